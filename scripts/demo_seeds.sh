#!/bin/sh
# `make demo-seeds`: the demo's two students for several seeds; mean and sample standard deviation.
# Environment: SEEDS (default "1 2 3"), BATCHES, and what demo_common.sh lists.
# Every finished pair is a row of DEMO_DIR/results.csv, so a stopped run goes on where it was.
set -eu
cd "$(dirname "$0")/.."
. scripts/demo_common.sh
: "${SEEDS:=1 2 3}"
for seed in $SEEDS; do
    case $seed in *[!0-9]*) fail "SEEDS=\"$SEEDS\": expected whole numbers" ;; esac
done

need_teacher
start
results=$DEMO_DIR/results.csv
for seed in $SEEDS; do
    pair "$seed"
    setting=$(digest "$DEMO_DIR/student_alone_s$seed.cfg" "$DEMO_DIR/student_distilled_s$seed.cfg" \
        "$DATA_DIR/.made_by_make_fashion_detection" "$teacher_weights" "$DARKNET")
    "$python" scripts/demo_table.py add "$results" "$seed" "$(batches_of "$DEMO_DIR/student_alone_s$seed.cfg")" \
        "$setting" "$DEMO_DIR/student_alone_s$seed.map" "$DEMO_DIR/student_distilled_s$seed.map"
done
measure teacher "$teacher_cfg" "$teacher_weights"
echo
# shellcheck disable=SC2086 # SEEDS is a list of words
"$python" scripts/demo_table.py summary "$results" "$setting" "$DEMO_DIR/teacher.map" $SEEDS
