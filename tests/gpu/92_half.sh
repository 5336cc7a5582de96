#!/usr/bin/env bash
# teacher_half=1: a training with the teacher's convolutions in half precision beside one without, and what it refuses.
# Run by `make test-gpu` and, for a build with cuDNN, by `make cudnn-on-cpu`.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/../end_to_end/common.bash"
export NVIDIA_TF32_OVERRIDE=0
pictures 8
check half_teacher_on_the_cpu mixed_teacher -nogpu
# cfg NAME KEY...: taps at the teacher's first convolution, at the one with groups, and behind all of them. At a rate that
# the student, which has no batch norm, bears.
rate=0.0002
cfg() {
    local name=$1
    shift
    {
        net 10 "${teacher_keys[@]}" "$@"
        conv 6 2 3 leaky
        conv 6 2 3 leaky
        conv 14 1 1 linear
        yolo
        tap 0 0 map=matrix_exp
        tap 1 1 map=matrix_exp
        tap 1 7 map=matrix_exp
    } >"$name.cfg"
}
cfg full
cfg half teacher_half=1
half_line() {
    echo "half.cfg:$(grep -n teacher_half half.cfg | cut -d: -f1): [net] teacher_half: found 1 in $1"
}
data_file probe
data_file refused
without=$(half_line 'a program without cuDNN; expected 0, or one that is made with GPU=1 CUDNN=1')
if [ "$("$DARKNET" detector train probe.data half.cfg 2>&1 </dev/null | tail -n 1)" = "$without" ]; then
    check half_without_cudnn refuse "$without" "$DARKNET" detector train refused.data half.cfg
    exit "$status"
fi
# near TOLERANCE NAME OTHER: the losses of two runs, and not the same: it is another arithmetic.
near() {
    paste -d, "$2/$2_log.csv" "$3/$3_log.csv" | awk -F, -v tolerance="$1" 'NR > 1 {
        ++rows
        n = NF / 2
        for (i = 5; i < n; ++i) {
            d = $i - $(n + i); d = d < 0 ? -d : d
            if (d > 0) differs = 1
            if (i == 9 || i == 13 || i == 17) continue
            if (d > worst * $i) worst = d / $i
            if (!(d <= tolerance * $i + tolerance / 100)) { print $1, i, $i, $(n + i); bad = 1 }
        }
    }
    END { print rows " rows, differs: " differs + 0 ", by at most " worst; exit bad || rows != 10 || !differs }'
}
in_half() {
    train full full.cfg -seed 3 && train half half.cfg -seed 3 &&
        grep '^Teacher teacher.cfg, layers 0 to 7, convolutions in half precision:' half.log
}
check half_trains in_half
check half_is_near near 1e-2 full half
# The CPU's roundings are the same ones; one in some hundred values lies so near to a tie that another order of a sum tips it.
rounded() {
    cp half.cfg rounded.cfg && train rounded rounded.cfg -seed 3 -nogpu &&
        grep '^Teacher teacher.cfg, layers 0 to 7, convolutions rounded to half precision:' rounded.log
}
check half_on_the_cpu rounded
check half_is_nearer_to_the_cpu near 1e-3 rounded half
# The teacher takes the student's size, whose buffers change with it.
sizes() {
    local side=64 rate=0.00005
    cfg sizes teacher_half=1 && sed -i 's/^max_batches=.*/max_batches=220/; s/random=0/random=1/' sizes.cfg || return
    train sizes sizes.cfg -seed 5 && grep -q '^220,' sizes/sizes_log.csv && ! grep 'not finite' sizes.log
}
check half_random_sizes sizes
calibrated() {
    sed '0,/^\[vkd_projection\]/s//[vkd_whiten]\nmode=standardize\nstatistics=calibrated\nimages=8\n\n&/' half.cfg >calibrated.cfg
    train calibrated calibrated.cfg -seed 3 && ! grep 'not finite' calibrated.log
}
check half_calibrated calibrated
# Batch norm's scale makes weights of layer 0 that no half holds.
too_large() {
    "$python" -c 'import numpy as np
x = np.fromfile("teacher.weights", np.float32); x[5 + 8:5 + 16] *= 1e8; x.tofile("large.weights")'
    "$DARKNET" detector train refused.data half.cfg -teacher_weights large.weights >out 2>err </dev/null
    [ $? -eq 1 ] || return
    tail -n 1 err
    tail -n 1 err | grep -qE "^large.weights: layer 0 \(convolutional\): found a weight of -?[0-9.e+]+; expected at most 65504, where half precision ends$" &&
        [ -z "$(ls -A refused)" ]
}
check half_weights_too_large too_large
exit "$status"
