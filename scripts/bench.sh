#!/bin/sh
# `make bench`: milliseconds a training batch of the demo takes, alone and distilled, and their ratio, in one run.
# Environment: BATCHES (default 40), and what demo_common.sh lists.
set -eu
cd "$(dirname "$0")/.."
: "${BATCHES:=40}" "${DEMO_DIR:=build/bench}"
# shellcheck source=scripts/demo_common.sh
. scripts/demo_common.sh
need_teacher
start

# milliseconds LOG.csv: the median over batches, the first five left out.
milliseconds() {
    awk -F, 'NR > 2 { if (NR > 7) print 1000 * ($3 - last) } { last = $3 }' "$1" | sort -n |
        awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] }'
}

for kind in alone distilled; do
    case $kind in alone) from=student ;; *) from=student_vkd ;; esac
    derive_cfg "cfg/fashion/$from.cfg" "$DEMO_DIR/$kind.cfg"
    "$DARKNET" detector train "$data" "$DEMO_DIR/$kind.cfg" -seed 1 -clear 2>"$DEMO_DIR/$kind.err" || {
        tail -n 1 "$DEMO_DIR/$kind.err" >&2
        fail "$kind: training failed"
    }
done
alone=$(milliseconds "$DEMO_DIR/alone_log.csv")
distilled=$(milliseconds "$DEMO_DIR/distilled_log.csv")
echo "student alone      $alone ms a batch of 32"
echo "student distilled  $distilled ms, $(awk "BEGIN { printf \"%.2f\", $distilled / $alone }") times as long"
tail -n 1 "$DEMO_DIR/distilled.err"
