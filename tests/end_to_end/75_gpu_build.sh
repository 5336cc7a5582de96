#!/usr/bin/env bash
# `make GPU=1` and `make GPU=1 CUDNN=1`: they compile and link wherever nvcc is, without a GPU as well, where -nogpu then
# trains to the bytes of the CPU's build. The builds stay in $BUILD/gpu, so that the next time is short.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
: "${BUILD:=$root/build}"
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
if [ -z "$nvcc" ]; then
    echo "ok gpu_build (skipped: no nvcc)"
    exit 0
fi
if [ "${SANITIZE:-0}" != 0 ]; then
    echo "ok gpu_build (left out: nvcc does not know the sanitizers)"
    exit 0
fi
cpu=$DARKNET
gpu=$BUILD/gpu

# build NAME FLAG...: of one architecture, which is enough to know that everything compiles.
build() {
    local name=$1
    shift
    env -u MAKEFLAGS -u MAKELEVEL make -s -C "$root" BUILD="$gpu/$name" INSTALL_DEPS=0 NVCC="$nvcc" ARCH=sm_75 GPU=1 "$@"
}
# goal FILE: of $gpu, as make names it, which sees it from the sources.
goal() {
    echo "${gpu#"$root"/}/$1"
}
# borrow FROM TO FILE...: objects that are the same in two builds, where TO has not made its own. Whether they are is
# make's to say: older than what they depend on, they are made again.
borrow() {
    local from=$1 to=$2 file
    shift 2
    for file in "$@"; do
        [ ! -e "$from/$file" ] || [ -e "$to/$file" ] || { mkdir -p "$to/$(dirname "$file")" && cp -p "$from/$file" "$to/$file"; }
    done
}
floors() {
    (cd "$1" && find obj/darknet_vkd/numerics obj/darknet_vkd/core obj/darknet_vkd/gpu -type f 2>/dev/null)
}
plain_build() {
    build plain "$(goal plain/flags)" || return
    # shellcheck disable=SC2046 # a list of names
    borrow "$BUILD" "$gpu/plain" flags_vkd $(floors "$BUILD")
    build plain all gpu-tests
}
# Kernels that know no layer are Darknet's own in both, and so are our lower floors.
cudnn_build() {
    local kernel from to
    build cudnn CUDNN=1 HOST_OPTS=-O0 "$(goal cudnn/flags)" "$(goal cudnn/darknet/.patched)" || return
    # shellcheck disable=SC2046 # a list of names
    borrow "$gpu/plain" "$gpu/cudnn" flags_vkd flags_nvcc $(floors "$gpu/plain")
    for kernel in activation im2col col2im blas; do
        from=$gpu/plain/darknet/obj/${kernel}_kernels.o to=$gpu/cudnn/darknet/obj/${kernel}_kernels.o
        [ "$to" -nt "$from" ] || { mkdir -p "$(dirname "$to")" && cp "$from" "$to"; }
    done
    build cudnn CUDNN=1 HOST_OPTS=-O0 all
}
check gpu_build plain_build
check cudnn_build cudnn_build
# The program starts: on a machine without a driver, too.
links() {
    ldd "$gpu/$1/darknet/darknet"
    ! ldd "$gpu/$1/darknet/darknet" | grep -E 'not found|libcuda\.so' && ldd "$gpu/$1/darknet/darknet" | grep -q "$2"
}
check gpu_links links plain libcublas
check cudnn_links links cudnn libcudnn

# ---- without a GPU ----
pictures 6
teacher
{
    net 12 "${teacher_keys[@]}"
    student_layers 1
    tap 1 1
} >student.cfg
# A shortcut, a 1x1 convolution with a stride, [batchnorm] and [connected], which had arrays on the device whatever was
# asked for; [region] activates its input itself.
{
    net 6
    conv 4 2 3 leaky bn
    conv 4 1 3 leaky bn
    printf '\n[shortcut]\nfrom=-2\nactivation=linear\n'
    conv 8 2 1 leaky
    printf '\n[batchnorm]\n\n[maxpool]\nsize=2\nstride=1\n\n[dropout]\nprobability=.2\n\n[upsample]\nstride=2\n'
    printf '\n[reorg]\nstride=2\n\n[route]\nlayers=-1\n'
    conv 14 1 1 linear
    printf '\n[region]\nanchors=1,1, 2,2\nclasses=2\ncoords=4\nnum=2\nsoftmax=1\njitter=.2\nrescore=1\nobject_scale=5\n'
    printf 'noobject_scale=1\nclass_scale=1\ncoord_scale=1\nabsolute=1\nthresh=.6\nrandom=0\n'
} >region.cfg
# as_cpu NAME CFG VARIANT FILE...: the run's files are the bytes of the CPU's.
as_cpu() {
    local name=$1 cfg=$2 variant=$3 file
    shift 3
    DARKNET=$gpu/$variant/darknet/darknet train "$name-$variant" "$cfg" -seed 3 -nogpu || return
    for file in "$@"; do cmp "$name/$file" "$name-$variant/$file" || return; done
}
# near_cpu NAME CFG VARIANT: losses to rounding, since that build is unoptimised.
near_cpu() {
    local name=$1 variant=$3
    DARKNET=$gpu/$variant/darknet/darknet train "$name-$variant" "$2" -seed 3 -nogpu || return
    paste -d, "$name/${2%.cfg}_log.csv" "$name-$variant/${2%.cfg}_log.csv" | awk -F, -v n="$(head -n 1 "$name/${2%.cfg}_log.csv" | tr -cd , | wc -c)" '
        NR > 1 { ++rows; d = $5 - $(n + 6); if (d < 0) d = -d; print $1, $5, $(n + 6); if (!(d <= 1e-3 * $5)) bad = 1 }
        END { exit bad || rows < 6 }'
}
sed 's/^teacher_cfg/teacher_half=1\n&/' student.cfg >half.cfg
check cpu_train train student student.cfg -seed 3
check cpu_train_half train half half.cfg -seed 3
check cpu_train_region train region region.cfg -seed 3
check nogpu_is_the_cpu as_cpu student student.cfg plain student_final.weights student_final.weights.vkd
check nogpu_is_the_cpu_half as_cpu half half.cfg plain half_final.weights half_final.weights.vkd
check nogpu_is_the_cpu_region as_cpu region region.cfg plain region_final.weights region_final.weights.vkd
check nogpu_with_cudnn near_cpu student student.cfg cudnn
check nogpu_with_cudnn_half near_cpu half half.cfg cudnn
check nogpu_with_cudnn_region near_cpu region region.cfg cudnn
# `vkd check` computes on the CPU in every build.
same_table() {
    "$cpu" vkd check student.cfg >cpu.table 2>/dev/null && "$gpu/$1/darknet/darknet" vkd check student.cfg >gpu.table || return
    # cuDNN has no say in the CPU's workspace.
    diff cpu.table gpu.table
}
check check_needs_no_gpu same_table plain
check check_needs_no_gpu_cudnn same_table cudnn
if ls /dev/nvidia[0-9]* >/dev/null 2>&1; then
    echo "ok no_gpu_is_told (left out: there is one)"
else
    for variant in plain cudnn; do
        no_gpu() {
            data_file none
            timeout 60 "$gpu/$variant/darknet/darknet" detector train none.data student.cfg >out 2>err </dev/null
            [ $? -eq 1 ] && cat out err && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] &&
                grep -qE '^GPU 0 cannot be used: .*; -nogpu computes on the CPU$' err
        }
        check "no_gpu_is_told_$variant" no_gpu
    done
fi
exit "$status"
