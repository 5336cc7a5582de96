#!/usr/bin/env bash
# scripts/make_random_weights.py: the length that Darknet expects of every shape, finite answers, the same bytes for the
# same seed. scripts/weights_for_opencv.py: the quotient of the two ways to divide. Both: what they refuse.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
: "${BUILD:=$root/build}"
python=/usr/bin/python3
random="$root/scripts/make_random_weights.py"
opencv="$root/scripts/weights_for_opencv.py"

# Every layer the scripts know, and a vkd section that they leave out.
{
    net 3
    conv 8 2 3 leaky bn
    conv 8 1 3 leaky bn
    printf '\n[shortcut]\nfrom=-2\nactivation=linear\n'
    conv 16 1 3 leaky bn
    printf 'groups=8\n'
    printf '\n[maxpool]\nsize=2\nstride=2\n\n[upsample]\nstride=2\n\n[route]\nlayers=-1,-3\n'
    printf '\n[reorg]\nstride=2\n'
    conv 14 1 1 linear
    yolo
    printf '\n[vkd_projection]\nfrom=1\nteacher_from=1\n'
    printf '\n[route]\nlayers = 2, 3\n'
    conv 14 1 1 linear
    yolo
} >all.cfg
pictures 2
data_file all

# map NAME CFG WEIGHTS: `detector map` refuses a score that is not finite.
map() {
    "$DARKNET" detector map all.data "$1" "$2" >map.log 2>&1 </dev/null || {
        tail -n 3 map.log
        return 1
    }
    ! grep 'keeps its initialisation' map.log
}
loads() {
    "$python" "$random" all.cfg all.weights && map all.cfg all.weights
}
check random_weights_of_every_layer loads
darknets_own() {
    local cfg
    for cfg in yolov3-tiny yolov2-tiny; do # both at a small size; [region] and [yolo], max with stride 1
        sed -e 's/^\(width\|height\)=.*/\1=96/' "$BUILD/darknet/cfg/$cfg.cfg" >"$cfg.cfg"
        sed 's/classes=2/classes=80/' all.data >own.data
        seq 80 >names
        "$python" "$random" "$cfg.cfg" own.weights && "$DARKNET" detector map own.data "$cfg.cfg" own.weights >map.log 2>&1 &&
            ! grep 'keeps its initialisation' map.log || return
    done
}
check random_weights_of_darknets_own_cfgs darknets_own
repeats() {
    "$python" "$random" all.cfg again.weights && same all.weights again.weights &&
        "$python" "$random" all.cfg other.weights --seed 2 && differ all.weights other.weights
}
check random_weights_of_a_seed repeats

# refused LINE COMMAND...: status 1, LINE, and no file.
refused() {
    local line=$1
    shift
    rm -f out.weights
    "$@" out.weights >told 2>&1 && return 1
    cat told
    [ "$(cat told)" = "$line" ] && [ ! -e out.weights ]
}
printf '[net]\nchannels=3\n\n[batchnorm]\n' >batchnorm.cfg
check random_weights_refuse_a_layer refused \
    "make_random_weights.py: batchnorm.cfg:4: [batchnorm] has weights of a kind that is not supported, or is unknown" \
    "$python" "$random" batchnorm.cfg
printf '[net]\nchannels=3\n\n[convolutional]\nfilters=4\ngroups=2\n' >groups.cfg
check random_weights_refuse_groups refused \
    "make_random_weights.py: groups.cfg:4: [convolutional] 4 filters of size 1 in 2 groups on 3 channels" \
    "$python" "$random" groups.cfg
printf '[net]\nchannels=3\n\n[route]\nlayers=-1\n' >route.cfg
check random_weights_refuse_a_route refused \
    "make_random_weights.py: route.cfg:4: [route] layer -1 does not exist" "$python" "$random" route.cfg
printf 'filters=4\n' >no_section.cfg
check random_weights_refuse_no_section refused \
    "make_random_weights.py: no_section.cfg:1: neither a section nor a key=value of one" "$python" "$random" no_section.cfg
check random_weights_without_a_cfg refused \
    "make_random_weights.py: [Errno 2] No such file or directory: 'none.cfg'" "$python" "$random" none.cfg

# Layer 0 has variances 0.001 instead of 1: its scales change by sqrt(v + 1e-6) / (sqrt(v) + 1e-6), the others' hardly.
scaled() {
    "$python" - <<'PYTHON' && "$python" "$opencv" all.cfg small.weights opencv.weights && "$python" - <<'CHECK'
import numpy
data = bytearray(open("all.weights", "rb").read())
numpy.frombuffer(data, "<f4", offset=20)[24:32] = 1e-3
open("small.weights", "wb").write(data)
PYTHON
import numpy
old, new = (numpy.fromfile(name, "<f4", offset=20) for name in ("small.weights", "opencv.weights"))
quotient = new / old
expected = numpy.sqrt(1e-3 + 1e-6) / (numpy.sqrt(1e-3) + 1e-6)
assert abs(quotient[8:16] / expected - 1).max() < 3e-7, quotient[8:16]
assert expected - 1 > 4e-4
quotient[8:16] = 1
assert numpy.nanmax(abs(quotient - 1)) < 2e-6
CHECK
}
check opencv_scales scaled
check opencv_refuses_other_weights refused \
    "weights_for_opencv.py: own.weights: found $(($(wc -c <own.weights) - 20)) bytes of weights, expected $(($(wc -c <all.weights) - 20)) for all.cfg" \
    "$python" "$opencv" all.cfg own.weights
head -c 10 all.weights >short.weights
check opencv_refuses_half_a_header refused "weights_for_opencv.py: short.weights: the file ends within its header" \
    "$python" "$opencv" all.cfg short.weights
exit "$status"
