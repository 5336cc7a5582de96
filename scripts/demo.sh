#!/bin/sh
# `make demo`: trains a small detector alone and with V_kD from the shipped teacher, and compares their AP.
# Environment: SEED (default 1), BATCHES (default: as in the cfgs), and what demo_common.sh lists.
set -eu
cd "$(dirname "$0")/.."
. scripts/demo_common.sh
: "${SEED:=1}"
case $SEED in '' | *[!0-9]*) fail "SEED=$SEED: expected a whole number" ;; esac

need_teacher
start
pair "$SEED"
measure teacher "$teacher_cfg" "$teacher_weights"
echo
"$python" scripts/demo_table.py show "$DEMO_DIR/teacher.map" "$DEMO_DIR/student_alone_s$SEED.map" \
    "$DEMO_DIR/student_distilled_s$SEED.map"
