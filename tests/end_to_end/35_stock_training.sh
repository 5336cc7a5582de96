#!/usr/bin/env bash
# The seam changes nothing for a cfg without vkd sections: the same program, linked to Darknet with patches/series up to
# the seam (no patch from 3xx on, none of the plugin) and to the whole, trains the same weights - to the byte where Darknet makes
# the convolutions in both, to rounding where the plugin does.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
: "${BUILD:=$root/build}"
CC=${CC:-gcc}
host=$BUILD/without_seam
for pristine in "$BUILD/source" "$BUILD/download/darknet" "$root/build/download/darknet"; do
    [ ! -d "$pristine/src" ] || break
done

# The flags of the build under test: other ones would round differently.
flags=$(cat "$BUILD/flags")
compile=${flags##* VKD_CFLAGS=}
compile=${compile%% VKD_LDFLAGS=*}
link=${flags##* VKD_LDFLAGS=}
link=${link%% VKD_DEPS=*}
openmp=$(grep -o 'OPENMP=[01]' <<<"$flags" | head -n 1)
opts=$(sed -n 's/.* OPTS=\(.*\)$/\1/p' <<<"$flags")
[ -z "$opts" ] || opts=${opts%% -O3 --compiler-options*}

build_without_seam() {
    cmp -s "$BUILD/flags" "$host.flags" || rm -rf "$host"
    mkdir -p patches
    cp "$root"/patches/[12]*.patch patches
    grep '^[12]' "$root/patches/series" >patches/series
    "$root/scripts/patch_darknet.sh" "$pristine" patches "$host" || return
    ! grep -rn vkd_ "$host/src" "$host/include" || return
    mkdir -p "$host/obj" "$host/backup" "$host/results"
    # Its own -march and include paths only; GPU and OpenCV play no part in training on the CPU.
    make --no-print-directory -s -C "$host" GPU=0 CUDNN=0 OPENCV=0 DEBUG=0 "$openmp" CC="$CC" VKD_CFLAGS="$compile" \
        VKD_LDFLAGS="$link" VKD_DEPS= VKD_LIBS= ${opts:+OPTS="$opts"} libdarknet.a || return
    cp "$BUILD/flags" "$host.flags"
}
if grep -q ' -DGPU\| -DOPENCV' <<<"$flags"; then
    echo "ok stock_training # skipped: the build under test has GPU or OPENCV"
    exit 0
fi
check stock_training_build build_without_seam

cat >driver.c <<'END'
#include "darknet.h"
#include "data.h"
#include "network.h"
#include "parser.h"
#ifdef LEAVE_CONVOLUTIONS // in place of the plugin's: all is left to Darknet
size_t vkd_convolution_bytes(const layer *l) { return 0; }
int vkd_convolve(const layer *l, const float *input, float *workspace, float *output) { return 0; }
int vkd_convolve_backward(const layer *l, const float *input, float *workspace, float **input_delta) { return 0; }
#endif
int main(int argc, char **argv)
{
    gpu_index = -1;
    srand(11);
    network *net = load_network(argv[1], 0, 0);
    list *names = get_paths("train.txt");
    char **paths = (char **)list_to_array(names);
    layer head = net->layers[net->n - 1];
    srand(12);
    while(get_current_batch(net) < net->max_batches){
        data d = load_data_detection(net->batch*net->subdivisions, paths, names->size, net->w, net->h,
                head.max_boxes, head.classes, .2, .1, 1.5, 1.5);
        train_network(net, d);
        free_data(d);
        if(argc > 3 && get_current_batch(net) == net->max_batches/2) resize_network(net, 64, 96);
    }
    save_weights(net, argv[2]);
    return 0;
}
END
compile_driver() {
    local tree=$1 out=$2
    shift 2
    # shellcheck disable=SC2086 # lists of flags
    "$CC" -w -O1 $compile -I"$tree/include" -I"$tree/src" driver.c -o "$out" \
        -Wl,--start-group "$tree/libdarknet.a" "$@" -Wl,--end-group $link -ldl
}
check stock_training_link_without compile_driver "$host" without
check stock_training_link_with compile_driver "$BUILD/darknet" with "$BUILD/libvkd_host.a" "$BUILD/libvkd.a" \
    -DLEAVE_CONVOLUTIONS -Wl,-z,muldefs
check stock_training_link_ours compile_driver "$BUILD/darknet" ours "$BUILD/libvkd_host.a" "$BUILD/libvkd.a"

pictures 13
{
    net 20
    conv 4 2 3 leaky bn
    conv 8 1 3 leaky bn
    conv 4 1 1 leaky bn
    printf '\n[shortcut]\nfrom=-3\nactivation=linear\n'
    printf '\n[maxpool]\nsize=2\nstride=2\n'
    printf '\n[dropout]\nprobability=.3\n'
    conv 6 1 3 leaky bn
    printf '\n[upsample]\nstride=2\n\n[route]\nlayers=-1,3\n'
    conv 14 1 1 linear
    yolo
} >dropout.cfg
# [dropout] cannot change its size.
sed '/^\[dropout\]/,/^probability/d' dropout.cfg >resized.cfg

# trained NAME ARGUMENT...: NAME.cfg by both programs.
trained() {
    local name=$1 program
    shift
    for program in without with; do
        "./$program" "$name.cfg" "$name.$program" "$@" >"$program.said" 2>"$program.log" || {
            tail -n 3 "$program.log"
            return 1
        }
    done
    grep -c 'Avg IOU' with.said
    [ "$(wc -c <"$name.with")" -gt 1000 ] && cmp without.said with.said && cmp "$name.without" "$name.with"
}
check stock_training_same_bytes trained dropout
check stock_training_same_bytes_resized trained resized resize
# NAME: how far the plugin's convolutions lead in these few batches, relative to how far training did.
cat >distance.py <<'END'
import sys
import numpy
start, without, ours = (numpy.fromfile(path, numpy.float32)[5:].astype(float) for path in sys.argv[1:4])
norm = numpy.linalg.norm
moved = norm(without - start)
print("relative distance %.2g of a way of %.2g" % (norm(ours - without) / moved, moved / norm(start)))
sys.exit(not (0 < norm(ours - without) <= 1e-5 * moved and moved > 1e-3 * norm(start)))
END
# Differences start at rounding, 1e-7, and grow from batch to batch: a few batches, one of them after the resize.
same_to_rounding() {
    sed 's/^max_batches=.*/max_batches=0/' "$1.cfg" >start.cfg
    sed 's/^max_batches=.*/max_batches=4/' "$1.cfg" >few.cfg
    ./without start.cfg start.weights >/dev/null 2>&1 || return
    for program in without ours; do
        "./$program" few.cfg "few.$program" "${@:2}" >/dev/null 2>&1 || return
    done
    /usr/bin/python3 distance.py start.weights few.without few.ours
}
check stock_training_same_to_rounding same_to_rounding dropout
check stock_training_same_to_rounding_resized same_to_rounding resized resize
learnt() {
    ! cmp -s dropout.with resized.with
}
check stock_training_is_of_the_cfg learnt
exit "$status"
