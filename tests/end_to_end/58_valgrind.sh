#!/usr/bin/env bash
# A short distillation under valgrind, where that is installed: every kind of tap, two sizes, a checkpoint, a resumption.
# make valgrind takes more batches and a program that valgrind knows every instruction of.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
: "${BATCHES:=3}"
if [ "${GRIND:-}" = must ] && ! command -v valgrind >/dev/null; then
    echo "not ok valgrind_is_here"
    echo "# no valgrind: scripts/install_deps.sh valgrind"
    exit 1
fi
if ! command -v valgrind >valgrind_path || [ "${SANITIZE:-0}" != 0 ]; then
    echo "# skipped: no valgrind, or a sanitizer is at work"
    echo "ok valgrind_skipped"
    exit 0
fi
pictures 4
check valgrind_teacher teacher
{
    net "$BATCHES" "${teacher_keys[@]}" | sed 's/burn_in=5/burn_in=0/'
    student_layers 1
    tap 1 1 map=matrix_exp foreground=0.5 mask_padding=1
    tap 0 1 map=cayley rebase=2 student_norm=layernorm
    tap 1 0 map=householder rebase=0 student_norm=gain loss=smooth_l1
    printf '\n[vkd_whiten]\nmode=whiten\nstatistics=running\nmomentum=0.9\n'
    tap 1 1 map=procrustes
    printf '\n[vkd_whiten]\nmode=layernorm\n'
    tap 1 1 map=linear pool=global student_norm=none
} >grind.cfg
data_file grind

grind() {
    OPENBLAS_CORETYPE=Nehalem valgrind --error-exitcode=9 --quiet "$DARKNET" detector train grind.data grind.cfg "$@" \
        -seed 3 >grind.log 2>&1 </dev/null
    echo $? >code
}
grind
# An instruction that valgrind does not know says nothing about the program.
if grep -q 'unrecognised instruction\|Illegal opcode' grind.log && [ "${GRIND:-}" != must ]; then
    echo "# skipped: built for a processor that valgrind does not know; see make valgrind"
    echo "ok valgrind_skipped"
    exit "$status"
fi
no_error() {
    grep '^==' grind.log | head -n 20
    [ "$(cat code)" -eq 0 ]
}
check valgrind_training no_error
resumed() {
    sed -i "s/max_batches=$BATCHES/max_batches=$((BATCHES + 2))/" grind.cfg
    cp grind/grind_final.weights from.weights && cp grind/grind_final.weights.vkd from.weights.vkd || return
    grind from.weights
    grep -q 'Loading taps from from.weights.vkd' grind.log && no_error
}
check valgrind_resumed resumed
exit "$status"
