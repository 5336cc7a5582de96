#!/bin/sh
# `make bench`: what a training batch of the demo costs alone, distilled, and distilled with whitened targets, in one
# run: the three take turns, and medians over the rounds are printed.
# Environment: BATCHES (default 80), ROUNDS (default 3), and what demo_common.sh lists.
set -eu
cd "$(dirname "$0")/.."
: "${BATCHES:=80}" "${ROUNDS:=3}" "${DEMO_DIR:=build/bench}"
# shellcheck source=scripts/demo_common.sh
. scripts/demo_common.sh
need_teacher
start
# Behind the batches that warm up and those in which a whitening matrix is made every time.
first=40
[ "$BATCHES" -gt "$first" ] || fail "BATCHES=$BATCHES: expected more than $first"

# milliseconds LOG.csv: the mean over the batches from `first` on.
milliseconds() {
    awk -F, -v first="$first" 'NR > 1 { if ($1 == first) from = $3; last = $3; batch = $1 }
        END { printf "%.2f\n", 1000 * (last - from) / (batch - first) }' "$1"
}
median() {
    sort -n "$1" | awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] }'
}

kinds='alone distilled whitened'
derive_cfg cfg/fashion/student.cfg "$DEMO_DIR/alone.cfg"
derive_cfg cfg/fashion/student_vkd.cfg "$DEMO_DIR/distilled.cfg"
# One [vkd_whiten] for the tap, in place of what stands there.
awk '/^\[/ { skip = $0 == "[vkd_whiten]" } /^\[vkd_projection\]/ { print "[vkd_whiten]\nmode=whiten\n" } !skip' \
    "$DEMO_DIR/distilled.cfg" >"$DEMO_DIR/whitened.cfg"
for kind in $kinds; do : >"$DEMO_DIR/$kind.ms"; done
round=1
while [ "$round" -le "$ROUNDS" ]; do
    for kind in $kinds; do
        echo "round $round of $ROUNDS: $kind" >&2
        "$DARKNET" detector train "$data" "$DEMO_DIR/$kind.cfg" -seed 1 -clear 2>"$DEMO_DIR/$kind.err" || {
            tail -n 1 "$DEMO_DIR/$kind.err" >&2
            fail "$kind: training failed"
        }
        milliseconds "$DEMO_DIR/${kind}_log.csv" >>"$DEMO_DIR/$kind.ms"
    done
    round=$((round + 1))
done
alone=$(median "$DEMO_DIR/alone.ms")
distilled=$(median "$DEMO_DIR/distilled.ms")
# The ratio of the same round's: the machine's speed drifts.
whitened=$(paste "$DEMO_DIR/whitened.ms" "$DEMO_DIR/distilled.ms" | awk '{ print 100 * ($1 / $2 - 1) }' >"$DEMO_DIR/ratio" &&
    median "$DEMO_DIR/ratio")
echo "student alone      $alone ms a batch of 32"
echo "student distilled  $distilled ms, $(awk "BEGIN { printf \"%.2f\", $distilled / $alone }") times as long"
echo "mode=whiten        $(median "$DEMO_DIR/whitened.ms") ms, $(printf '%+.1f' "$whitened") % of mode=standardize's step"
# Between runs a busy machine drifts by more than whitening costs; within a run the taps are timed for themselves.
taps() {
    sed -nE 's/^A batch took ([0-9.]+) s:.*the taps ([0-9.]+) s.*/\1 \2/p' "$DEMO_DIR/$1.err"
}
echo "                   the taps alone: $(echo "$(taps distilled) $(taps whitened)" |
    awk '{ printf "%+.1f ms, %+.1f %%", 1000 * ($4 - $2), 100 * ($4 - $2) / $1 }')"
grep '^A batch took' "$DEMO_DIR/distilled.err"
