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
if [ -z "$sanitizer" ] || [ ! -d "$BUILD/tests/on_gpu" ]; then
    echo "ok sanitizer (left out: $([ -z "$sanitizer" ] && echo 'no compute-sanitizer' || echo 'no program of a GPU'))"
    exit
fi
# The libraries' kernels are not ours to judge, nor are the errors that they meet and handle.
common=(--print-limit 5 --error-exitcode 99)
for library in cublas cudnn cutlass gemm gemv splitK xmma; do common+=(--kernel-name-exclude "regex=.*$library.*"); done
# clean TOOL COMMAND...: the command as it is, and nothing that the tool found.
clean() {
    local tool=$1 code=0
    shift
    [ "$tool" != memcheck ] || set -- --report-api-errors no "$@"
    timeout 30 "$sanitizer" --tool "$tool" "${common[@]}" "$@" </dev/null || code=$?
    echo "exit status $code"
    return "$code"
}
# A whole tap's programs launch the kernels of the others a hundred thousand times.
for program in "$BUILD"/tests/on_gpu/test_*; do
    [ -x "$program" ] || continue
    name=$(basename "$program")
    tools=(memcheck)
    case $name in *_kernels) tools+=(racecheck synccheck) ;; esac
    # What an excluded kernel has written counts as written by nobody: not where cuBLAS takes part.
    case $name in test_grid_kernels | test_teacher_kernels) tools+=(initcheck) ;; esac
    for tool in "${tools[@]}"; do check "${name}_$tool" clean "$tool" "$program"; done
done
pictures 4
# Trained on the CPU, so that a broken device breaks no other test.
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
