#!/usr/bin/env bash
# Commands called with too little, with flags alone or with values missing: one line and exit status 1, never a crash.
# And files with a byte order mark, as some editors write them.
# shellcheck disable=SC1091,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"

# refused NAME LINE ARGUMENT...: `darknet ARGUMENT...`
refused() {
    local name=$1 line=$2
    shift 2
    check "command_$name" refuse "$line" "$DARKNET" "$@"
}
behind="flags stand behind it"
refused no_word "usage: darknet COMMAND ..., as detector, classifier or vkd; $behind"
refused flags_alone "usage: darknet COMMAND ..., as detector, classifier or vkd; $behind" -nogpu
refused flag_and_value_alone "usage: darknet COMMAND ..., as detector, classifier or vkd; $behind" -i 0
expected="expected a command: vkd, detector, classifier, partial, ...; $behind"
refused flag_first "darknet: found \"-seed\"; $expected" -seed 1 detector train a b
refused unknown "darknet: found \"trian\"; $expected" trian a b
refused empty "darknet: found \"\"; $expected" ""
subs="train map test valid valid2 demo recall"
refused detector_alone "usage: darknet detector COMMAND FILE...; COMMAND is one of $subs" detector
refused detector_unknown "darknet detector: found \"est\"; expected one of $subs" detector est a b
refused detector_empty "darknet detector: found \"\"; expected one of $subs" detector "" a b
refused detector_flag_first "darknet detector: found \"-clear\"; expected one of $subs" detector -clear train a b
refused detector_device_alone "usage: darknet detector COMMAND FILE...; COMMAND is one of $subs" detector -i 0
refused test_without_cfg "usage: darknet detector test DATA CFG [WEIGHTS] [FILE]" detector test a.data -thresh .5
refused classifier_without_cfg "usage: darknet classifier train DATA CFG [WEIGHTS] [FILE]" classifier train a.data
refused seed_is_no_file "usage: darknet classifier train DATA CFG [WEIGHTS] [FILE]" classifier train a.data -seed 3
refused try_without_layer "usage: darknet classifier try DATA CFG WEIGHTS PICTURE LAYER" classifier try a b c d
refused value_missing "darknet detector: -thresh needs a value" detector test a b c d -thresh
refused value_is_a_flag "darknet detector: -thresh needs a value" detector test a b c d -thresh -out x
refused value_is_no_number 'darknet detector: -thresh: found "half"; expected a number' detector test a b -thresh half
refused negative_seed '-seed: found "-1"; expected an integer >= 0' detector train a b -seed -1
refused gpus_of_the_cpu 'darknet classifier: -gpus: found "0,1" in a run on the CPU; expected one number, or a run on GPUs' \
    classifier train a b -gpus 0,1 -nogpu
refused negative_seed_elsewhere '-seed: found "-1"; expected an integer >= 0' classifier train a b -seed -1
refused negative_images '-images: found "-3"; expected an integer from 1 to 1000000' vkd dump a b -out x -images -3
refused epochs_flag "detector train: -mAP_epochs needs a value" detector train a b -mAP_epochs -clear
refused map_flag "detector map: -thresh needs a value" detector map a b c -thresh -json x
refused rnn_seed "darknet rnn: -seed needs a value" rnn generate a -seed
refused calibrate_unknown "vkd calibrate: unknown option -clear; expected -out, -seed, -teacher_cfg or -teacher_weights" \
    vkd calibrate a b -out x -clear

# Every command that Darknet has, alone and with one word: Darknet opened NULL, or read a number from it.
alone() {
    local command code
    for command in average yolo super lsd detector detect cifar go rnn coco classify classifier regressor isegmenter \
        segmenter art tag 3d test nightmare rgbgr reset denormalize statistics normalize rescale ops speed oneoff oneoff2 \
        print partial visualize mkimg imtest vkd; do
        for word in "" x train test; do
            # shellcheck disable=SC2086 # no word at all where it is empty
            timeout 60 "$DARKNET" $command $word >out 2>err </dev/null
            code=$?
            [ "$code" -eq 1 ] && [ -s err ] && continue
            echo "exit status $code of darknet $command $word"
            return 1
        done
    done
}
check command_each_alone alone
vkd_flags_alone() {
    refuse "$("$DARKNET" vkd 2>&1 | tail -n 1)" "$DARKNET" vkd -seed 1 && grep -q '^  darknet vkd strip CFG' err
}
check command_vkd_with_flags_alone vkd_flags_alone

# ---- byte order marks ----
pictures 5
{
    net 3
    student_layers
} >plain.cfg
check mark_without train plain plain.cfg -seed 1 -map
mark='\xef\xbb\xbf'
marked() { sed "1s/^/$mark/" "$1"; }
marked plain.cfg >marked.cfg
mkdir marked
for label in labels/*.txt; do marked "$label" >"$label.new" && mv "$label.new" "$label"; done
marked train.txt >marked.txt
marked names >marked.names
printf '\xef\xbb\xbftrain=marked.txt\nclasses=2\nvalid=marked.txt\nnames=marked.names\nbackup=marked\n' >marked.data
check mark_everywhere timeout 120 "$DARKNET" detector train marked.data marked.cfg -seed 1 -map
check mark_changes_nothing same plain/plain_final.weights marked/marked_final.weights
# shellcheck disable=SC2016 # awk's
check mark_same_ap same <(awk -F, '{ print $1, $5, $NF }' plain/plain_log.csv) <(awk -F, '{ print $1, $5, $NF }' marked/marked_log.csv)
names_of_classes() { "$DARKNET" detector map marked.data marked.cfg marked/marked_final.weights | grep '^one  '; }
check mark_names names_of_classes

# ---- what detector map and detector train are asked for ----
map_usage() {
    local code=0
    "$DARKNET" detector map plain.data plain.cfg 2>err || code=$?
    [ "$code" -eq 1 ] && grep -qE '^usage: .* detector map DATA CFG WEIGHTS \[-json FILE\]' err
}
check map_without_weights map_usage
# of LINE NAME: plain.data with another line, as NAME.data.
of() { sed "s#^${1%%=*}=.*#$1#" plain.data >"$2.data"; }
head -n 1 names >few && of names=few few
check map_with_few_names refuse "few: 1 names for 2 classes" "$DARKNET" detector map few.data plain.cfg plain/plain_final.weights
head -n 1 train.txt >first.txt && of valid=first.txt first
no_objects() {
    "$DARKNET" detector map first.data plain.cfg plain/plain_final.weights -thresh 0.01 >out && grep -q '^two  *-  *-  *0$' out
}
check map_of_a_class_without_objects no_objects
# COCO's own numbers: a picture's from its name, and class 11 is 13 there.
coco() {
    cp images/p00.ppm images/COCO_val2014_000000000042.ppm && cp labels/p00.txt labels/COCO_val2014_000000000042.txt
    echo images/COCO_val2014_000000000042.ppm >coco.txt
    of valid=coco.txt coco && echo eval=coco >>coco.data
    "$DARKNET" detector map coco.data plain.cfg plain/plain_final.weights -json coco.json -thresh 0 >out || return
    grep -q '"image_id":42, "category_id":1,' coco.json && ! grep -vE '^\[?$|^\]$|"image_id":42, "category_id":[12],' coco.json
}
check map_with_cocos_numbers coco
{
    net 3
    conv 4 2 3 leaky
} >headless.cfg
head -c 20 plain/plain_final.weights >headless.weights && head -c 448 /dev/zero >>headless.weights
check map_without_a_head refuse "evaluation: the network has no [yolo], [region] or [detection] layer" \
    "$DARKNET" detector map plain.data headless.cfg headless.weights
gpus() {
    train gpus plain.cfg plain/plain_final.weights -gpus 0 -clear -seed 1 -dont_show && cat gpus.log
    grep -q 'built without GPU=1; training on the CPU$' gpus.log
}
"$DARKNET" detector train plain.data none.cfg -gpus 0 2>&1 | grep -q 'built without GPU=1' && check train_gpus_on_the_cpu gpus

# What the environment of a run is, told by the system while it trains. Threads that wait sleep soon, unless the user
# has chosen, and the program keeps its name and number.
environment() {
    local pid i=0
    sed 's/^max_batches=.*/max_batches=100000/' plain.cfg >long.cfg
    data_file long
    rm -f long.log
    env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY "$@" "$DARKNET" detector train long.data long.cfg -seed 1 >long.log 2>&1 &
    pid=$!
    until grep -q '^1/' long.log || [ $((i += 1)) -gt 2000 ]; do sleep .01; done
    tr '\0' '\n' <"/proc/$pid/environ" | grep -E 'GOMP_SPINCOUNT|OMP_WAIT_POLICY' >environment
    cat "/proc/$pid/comm" >>environment
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
    cat environment
}
waiting_threads_sleep() {
    environment A=1 && printf 'GOMP_SPINCOUNT=10000\ndarknet\n' | cmp - environment
}
waiting_threads_of_the_user() {
    environment GOMP_SPINCOUNT=77 && printf 'GOMP_SPINCOUNT=77\ndarknet\n' | cmp - environment || return
    environment OMP_WAIT_POLICY=active && printf 'OMP_WAIT_POLICY=active\ndarknet\n' | cmp - environment
}
# The sanitizers' builds are without OpenMP.
if [ "${SANITIZE:-0}" = 0 ] || [ "$SANITIZE" = coverage ]; then
    check waiting_threads_sleep waiting_threads_sleep
    check waiting_threads_of_the_user waiting_threads_of_the_user
fi
exit "$status"
