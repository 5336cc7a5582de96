#!/usr/bin/env bash
# Networks that are odd and yet possible: of grey pictures, of two channels; features of too few locations, that are not
# finite, or that leave no whitening; and advice that likeness speaks against.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 8
check odd_teacher teacher
data_file d
{
    net 8 "${teacher_keys[@]}"
    student_layers
} >student.cfg
advise=("$DARKNET" vkd advise d.data student.cfg)

# ---- inputs ----
random_weights() {
    "$python" "$root/scripts/make_random_weights.py" "$1.cfg" "$1.weights"
}
# channels N: odd.cfg and its teacher, of N channels.
channels() {
    sed "s/^channels=.*/channels=$1/" teacher.cfg >other.cfg
    sed "s/^channels=.*/channels=$1/; s/=teacher\./=other./" student.cfg >odd.cfg
    random_weights other && random_weights odd
}
grey() {
    channels 1 || return
    { cat odd.cfg && tap 1 1; } >grey.cfg
    timeout 60 "$DARKNET" vkd maps grey.cfg odd.weights images/p00.ppm -out grey 2>&1 | tail -n 3
    [ -s grey/tap0.png ]
}
check odd_grey_maps grey
check odd_grey_score refuse "evaluation: the network takes 1 channels, pictures have 3" "$DARKNET" detector map d.data odd.cfg odd.weights
# Of every picture the loader of training makes three channels, which used to be written behind the network's input.
sed '/^teacher_[cw]/d' odd.cfg >alone.cfg
for map in '' -map; do
    check "odd_grey_training$map" refuse "alone.cfg: [net] channels: 1; expected 3, as pictures have" \
        "$DARKNET" detector train d.data alone.cfg -seed 1 $map
done
# So does that of a classifier, whose data has classes of its own.
{
    net 8
    conv 2 4 1 linear
    printf '\n[avgpool]\n\n[softmax]\ngroups=1\n'
} >classifier.cfg
sed 's/^channels=.*/channels=1/' classifier.cfg >grey_classifier.cfg
printf 'one\ntwo\nthree\n' >labels.txt
sed 's/^classes=.*/classes=3/; s/^names=.*/labels=labels.txt/' d.data >c.data
check odd_grey_classifier refuse "found 3072 numbers a picture, as it is loaded; the network takes 1024 (32 x 32 x 1)" \
    "$DARKNET" classifier train c.data grey_classifier.cfg -seed 1
check odd_more_classes refuse \
    "found 3 numbers of truth a picture, the network takes 2; do data and cfg agree on classes?" \
    "$DARKNET" classifier train c.data classifier.cfg -seed 1
two_channels() {
    channels 2 && refuse "the network takes 2 channels; expected 1 or 3, as pictures have" \
        "$DARKNET" vkd advise d.data odd.cfg
}
check odd_two_channels two_channels
# A list of fewer pictures than a batch has.
one_picture() {
    head -n 1 train.txt >one.txt
    sed 's/^train=.*/train=one.txt/' d.data >one.data
    { cat student.cfg && tap 1 1; } >tapped.cfg
    timeout 60 "$DARKNET" vkd dump one.data tapped.cfg -out one >said.log 2>&1 || {
        tail -n 3 said.log
        return 1
    }
    "$python" -c "import numpy; shape = numpy.load('one/input.npy').shape; print(shape); assert shape == (1, 3, 32, 32)"
}
check odd_fewer_pictures_than_a_batch one_picture

# ---- locations ----
# One in each picture.
few() {
    sed 's/^width=.*/width=4/; s/^height=.*/height=4/' teacher.cfg >tiny_teacher.cfg
    sed 's/^width=.*/width=4/; s/^height=.*/height=4/' student.cfg >tiny.cfg
    refuse "vkd advise: too few locations to compare; expected at least 4 in 3 pictures" \
        "$DARKNET" vkd advise d.data tiny.cfg -teacher_cfg tiny_teacher.cfg -images 3
}
check odd_few_locations few

# ---- features ----
# Advice goes by the place before the head; where another layer, here the student's own, is more alike, that is said.
more_alike() {
    { net 8 && conv 4 2 3 leaky bn && conv 6 2 3 leaky bn; } >body
    { cat body && conv 1 1 1 leaky bn && conv 14 1 1 linear && yolo; } >deep.cfg
    { cat body && conv 14 1 1 linear && yolo; } >shallow.cfg
    random_weights deep && random_weights shallow && # from one seed: what they share is the same
        timeout 60 "$DARKNET" vkd advise d.data shallow.cfg shallow.weights -teacher_cfg deep.cfg \
            -teacher_weights deep.weights >said.log 2>err.log
    cat said.log
    grep -q '^# stride 4: CKA 0\.[0-9]*; layer 1 of the teacher is more alike, 1\.00$' said.log &&
        grep -qx 'teacher_from=2' said.log
}
check odd_more_alike more_alike
# patched NAME CODE: the teacher's weights as numbers `w`, changed.
patched() {
    "$python" -c "import numpy
data = bytearray(open('teacher.weights', 'rb').read())
w = numpy.frombuffer(data, numpy.float32, offset=20)
$2
open('$1', 'wb').write(data)"
}
overflow() {
    patched huge.weights 'w[0] = 3e38' && # a bias of layer 0
        refuse "layer 1 of the teacher: its features are not finite; do the weights belong to the cfg?" \
            "${advise[@]}" -teacher_weights huge.weights
}
check odd_advise_not_finite overflow
{
    cat student.cfg
    printf '\n[vkd_whiten]\nmode=whiten\nstatistics=calibrated\nimages=4\nwhitening=cholesky\nshrinkage=0\neps=1e-37\n'
    tap 1 1
} >calibrated.cfg
at=calibrated.cfg:$(grep -n '^\[vkd_projection\]' calibrated.cfg | cut -d: -f1)
check odd_calibrate_not_finite refuse \
    "$at: [vkd_projection]: calibrating tap 0: the teacher's features are not finite; do its weights belong to its cfg?" \
    "$DARKNET" vkd calibrate d.data calibrated.cfg -out x.cal -teacher_weights huge.weights
# Twelve channels that are one: eps is lost beside their variance, and shrinkage=0 adds nothing. What is left is rounding,
# which of some pictures is below zero.
one_channel() {
    local seed
    # Layer 0: 4 x 8 numbers and 8 * 27 weights; layer 1: biases, scales, means, variances, weights.
    patched one.weights 'at = 4 * 8 + 8 * 27
for part in range(4): w[at + 12 * part:at + 12 * part + 12] = w[at + 12 * part]
at += 4 * 12
w[at:at + 12 * 72] = numpy.tile(w[at:at + 72], 12)' || return
    for seed in {1..16}; do
        refuse "$at: [vkd_projection]: tap 0: the whitening matrix cannot be computed; raise shrinkage" \
            "$DARKNET" vkd calibrate d.data calibrated.cfg -out x.cal -teacher_weights one.weights -seed "$seed" && return
    done
    return 1
}
check odd_whitening_of_one_channel one_channel
exit "$status"
