#!/usr/bin/env bash
# Numbers that are not finite: the batch is named, a tap skips it, a loss or a weight ends the run, and no file of weights
# takes one in.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 8
check not_finite_teacher teacher

# plain NAME BATCHES RATE
plain() {
    {
        rate=$3 net "$2"
        student_layers
    } >"$1.cfg"
}

# stops LINE NAME PROGRAM ARGUMENT...: status 1, one line that matches LINE last, and no file that was not there or
# changed in the folder NAME.
stops() {
    local line=$1 name=$2
    shift 2
    mkdir -p "$name"
    (cd "$name" && find . -name '*.weights*' -o -name '*.backup*' | sort | xargs -r cksum) >before
    "$DARKNET" "$@" >"$name.log" 2>&1 </dev/null
    [ $? -eq 1 ] || return
    (cd "$name" && find . -name '*.weights*' -o -name '*.backup*' | sort | xargs -r cksum) >after
    tail -n 1 "$name.log"
    tail -n 1 "$name.log" | grep -qxE "$line" && cmp before after
}

loss_line='batch [0-9]+: the loss is not finite; earlier checkpoints stay: lower the learning rate or lengthen burn_in'
weights_line='[a-z/_.]*: batch 1: layer [0-9] \(convolutional\): found inf among its weights; it is not written, earlier checkpoints stay: lower the learning rate or lengthen burn_in'

# A run that goes well until its checkpoint of batch 100 and is then resumed with a rate that ends it.
plain good 100 0.005
check not_finite_first_a_good_run train good good.cfg -seed 3
broken_loss() {
    cp good/good_final.weights good/good.backup
    cp good/good_final.weights.vkd good/good.backup.vkd
    plain good 400 1e20
    stops "$loss_line" good detector train good.data good.cfg good/good.backup -seed 3
}
check not_finite_loss_keeps_the_checkpoint broken_loss
checkpoint_is_whole() {
    plain good 110 0.005
    train good good.cfg good/good.backup -seed 3
}
check not_finite_checkpoint_goes_on checkpoint_is_whole

# The last batch's loss is finite, what its gradient does to the weights is not.
broken_weights() {
    plain weights 1 1e38
    sed -i 's/burn_in=5/burn_in=0/' weights.cfg
    data_file weights
    stops "$weights_line" weights detector train weights.data weights.cfg -seed 3
}
check not_finite_weights_are_not_written broken_weights

# Darknet's own trainer goes on after such a loss; the rule is the plugin's, whoever trains.
mkdir sorted
printf 'evenclass\noddclass\n' >classes
for picture in images/*.ppm; do
    number=${picture//[!0-9]/}
    if [ $((10#$number % 2)) -eq 0 ]; then cp "$picture" "sorted/evenclass_$number.ppm"; else cp "$picture" "sorted/oddclass_$number.ppm"; fi
done
ls -d "$work"/sorted/*.ppm >sorted.txt
# classifier BATCHES
classifier() {
    {
        rate=1e38 net "$1" | sed 's/burn_in=5/burn_in=0/'
        conv 4 2 3 leaky bn
        conv 6 2 3 leaky bn
        conv 2 1 1 linear
        echo learning_rate=10
        printf '\n[avgpool]\n\n[softmax]\ngroups=1\n'
    } >classifier.cfg
    printf 'classes=2\ntrain=sorted.txt\nvalid=sorted.txt\nlabels=classes\nbackup=classifier\ntop=1\n' >classifier.data
    stops "$2" classifier classifier train classifier.data classifier.cfg -seed 3
}
check not_finite_classifier_weights classifier 1 "$weights_line"
check not_finite_classifier_loss classifier 20 "$loss_line"

# A teacher whose features are never finite: every batch is named, once for its two sub-batches, and trains as if alone.
{
    head -c 20 teacher.weights
    printf '\346\261\141\177'
    tail -c +25 teacher.weights
} >huge.weights
{
    net 30 teacher_cfg=teacher.cfg teacher_weights=huge.weights
    student_layers
    tap 1 1
} >tap.cfg
plain alone 30 0.005
tap_skips() {
    train tap tap.cfg -seed 3 && train alone alone.cfg -seed 3 || return
    for ((batch = 1; batch <= 30; ++batch)); do
        echo "batch $batch: vkd tap 0 (student layer 1): its features or its loss are not finite; it skips the batch"
    done >expected
    grep '^batch' tap.log | diff - expected | head -n 5 | grep . && return 1
    same tap/tap_final.weights alone/alone_final.weights
}
check not_finite_tap_names_and_skips_the_batch tap_skips
exit "$status"
