#!/usr/bin/env bash
# nvcc's flags for the GPUs that a program is built for, on one line.
#   scripts/gpu_architectures.sh NVCC [ARCH...]
# ARCH: sm_75, 7.5 or 75 and the like, native (the GPUs of this machine), or flags of nvcc's own, which are passed on.
# Without one: native where nvcc finds a GPU here, else machine code for one of each generation that nvcc knows (it
# runs on the generation's later members, too), and code that the driver compiles: of the newest for GPUs to come, of
# the oldest for those between that run no other's machine code, as Jetson's.
set -euo pipefail
nvcc=$1
shift

# Tries what nvcc's native would do: it warns and goes on where there is no GPU.
has_gpu() {
    local said
    said=$("$nvcc" -arch=native --dryrun -x cu -c /dev/null -o /dev/null 2>&1) && ! grep -q 'Cannot find valid GPU' <<<"$said"
}

# generations: 75 80 90 ..., those that this nvcc knows of the ones worth a copy.
generations() {
    local known
    known=$("$nvcc" --list-gpu-arch | sed 's/compute_//')
    for number in 60 70 75 80 90 100 120; do
        if grep -qx "$number" <<<"$known"; then echo "$number"; fi
    done
}

flags_for() {
    local flags="" last=""
    for number in "$@"; do
        flags+="-gencode arch=compute_$number,code=sm_$number "
        last=$number
    done
    echo "$flags-gencode arch=compute_$last,code=compute_$last"
}

if [ $# -eq 0 ] && has_gpu; then set -- native; fi
case ${1-} in
'')
    mapfile -t all < <(generations)
    if [ ${#all[@]} -eq 0 ]; then
        echo "gpu_architectures.sh: $nvcc names no architecture; set ARCH" >&2
        exit 1
    fi
    echo "-gencode arch=compute_${all[0]},code=compute_${all[0]} $(flags_for "${all[@]}")"
    ;;
native) echo -arch=native ;;
-*) echo "$*" ;;
*)
    numbers=()
    for arch in "$@"; do
        number=${arch#sm_}
        number=${number/./}
        if ! [[ $number =~ ^[0-9]+[af]?$ ]]; then
            echo "gpu_architectures.sh: ARCH: found \"$arch\"; expected sm_75 and the like, native, or flags for nvcc" >&2
            exit 1
        fi
        numbers+=("$number")
    done
    flags_for "${numbers[@]}"
    ;;
esac
