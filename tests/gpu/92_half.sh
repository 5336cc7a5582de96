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
check map_half_is_the_cpus refuse "detector map: -half computes on the CPU; expected -nogpu beside it" \
    "$DARKNET" detector map probe.data teacher.cfg teacher.weights -half
without=$(half_line 'a program without cuDNN; expected 0, or one that is made with GPU=1 CUDNN=1')
if [ "$("$DARKNET" detector train probe.data half.cfg 2>&1 </dev/null | tail -n 1)" = "$without" ]; then
    check half_without_cudnn refuse "$without" "$DARKNET" detector train refused.data half.cfg
    exit "$status"
fi
in_half() {
    train full full.cfg -seed 3 && train half half.cfg -seed 3 &&
        grep '^Teacher teacher.cfg, layers 0 to 7, convolutions in half precision:' half.log
}
check half_trains in_half
check half_is_near near 1e-2 full half
# The CPU's roundings are the same ones; few values lie so near to a tie that another order of a sum tips it.
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
    train sizes sizes.cfg -seed 5 && grep -q '^220,' sizes/sizes_log.csv && ! grep 'not finite' sizes.log || return
    sed 's/random=1/random=0/' sizes.cfg >fixed.cfg
    train fixed fixed.cfg -seed 5 && differ sizes/sizes_final.weights fixed/fixed_final.weights
}
check half_random_sizes sizes
calibrated() {
    sed '0,/^\[vkd_projection\]/s//[vkd_whiten]\nmode=standardize\nstatistics=calibrated\nimages=8\n\n&/' half.cfg >calibrated.cfg
    train calibrated calibrated.cfg -seed 3 && ! grep 'not finite' calibrated.log
}
check half_calibrated calibrated
exit "$status"
