#!/bin/sh
# `make demo-teacher`: trains the demo's teacher from scratch into DEMO_DIR/teacher.weights and compares it with the
# shipped one.  Environment: BATCHES, and what demo_common.sh lists.
set -eu
cd "$(dirname "$0")/.."
. scripts/demo_common.sh

start
train teacher "$teacher_cfg" 1
made=$DEMO_DIR/teacher.weights
measure teacher_made "$teacher_cfg" "$made"
if [ ! -f "$teacher_weights" ]; then
    echo "$made: made; there is no $teacher_weights to compare with"
    "$python" scripts/demo_table.py one "$made" "$DEMO_DIR/teacher_made.map"
    exit 0
fi
if cmp -s "$made" "$teacher_weights"; then
    echo "$made: the same bytes as $teacher_weights"
else
    echo "$made: not the same bytes as $teacher_weights;"
    echo "another processor, BLAS, number of threads or BATCHES rounds otherwise, and training magnifies that"
    measure teacher "$teacher_cfg" "$teacher_weights"
    "$python" scripts/demo_table.py one "$teacher_weights" "$DEMO_DIR/teacher.map"
fi
"$python" scripts/demo_table.py one "$made" "$DEMO_DIR/teacher_made.map"
