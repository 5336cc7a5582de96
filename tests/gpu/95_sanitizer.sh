#!/usr/bin/env bash
# What compute-sanitizer says of the kernels and of a training: accesses outside of a buffer, races in shared memory,
# values that nobody wrote, barriers that not all threads meet. Run by `make test-gpu`; left out where the tool is not.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/../end_to_end/common.bash"
sanitizer=
near_nvcc=$(dirname "$(command -v "${NVCC:-nvcc}" || echo nowhere/nvcc)")
for candidate in compute-sanitizer "$near_nvcc/compute-sanitizer" "$near_nvcc/../compute-sanitizer/compute-sanitizer"; do
    if command -v "$candidate" >/dev/null; then sanitizer=$candidate && break; fi
done
if [ -z "$sanitizer" ]; then
    echo "ok sanitizer (left out: no compute-sanitizer)"
    exit
fi
# clean TOOL COMMAND...: the command as it is, and nothing that the tool found.
clean() {
    local tool=$1 code=0
    shift
    timeout 300 "$sanitizer" --tool "$tool" --print-limit 5 --error-exitcode 99 "$@" </dev/null || code=$?
    echo "exit status $code"
    return "$code"
}
for program in "$BUILD"/tests/on_gpu/test_*; do
    [ -x "$program" ] || continue
    name=$(basename "$program")
    for tool in memcheck racecheck synccheck; do
        check "${name}_$tool" clean "$tool" "$program"
    done
    # Not of a whole tap: cuBLAS reads, and drops, what lies in its own workspace.
    case $name in *_kernels) check "${name}_initcheck" clean initcheck "$program" ;; esac
done
pictures 4
# As a GPU's CPU trains it, so that a broken device breaks no other test.
check sanitizer_teacher mixed_teacher -nogpu
{
    net 3 "${teacher_keys[@]}"
    student_layers
    printf '\n[vkd_whiten]\nmode=whiten\nrank=5\n'
    tap 1 1
    tap 0 0 map=matrix_exp pool=global
    tap 1 7 map=cayley loss=smooth_l1 student_norm=layernorm
} >tapped.cfg
data_file tapped
for tool in memcheck racecheck synccheck; do
    check "training_$tool" clean "$tool" "$DARKNET" detector train tapped.data tapped.cfg -seed 3
done
exit "$status"
