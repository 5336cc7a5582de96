#!/usr/bin/env bash
# -map: AP while training, which leaves the trained bytes alone; the best weights; `detector map` on both.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 13
check map_teacher teacher

# 13 pictures, 4 a batch: an epoch is 4 batches.
{
    net 150 "${teacher_keys[@]}"
    conv 4 2 3 leaky bn
    conv 6 2 3 leaky bn
    printf '\n[dropout]\nprobability=.3\n'
    conv 14 1 1 linear
    yolo
    tap 1 1 map=matrix_exp # whose best weights are not the last
} >tapped.cfg
"$DARKNET" vkd strip tapped.cfg >plain.cfg
side=96 rate=0.0005
{
    net 260 "${teacher_keys[@]}"
    student_layers 1
    tap 1 1
} >sizes.cfg
side=32 rate=0.005

# rows FILE: `batch AP` of the rows that have one.
rows() {
    awk -F, 'NR > 1 && $NF != "" { print $1, $NF }' "$1"
}
best() {
    rows "$1" | awk 'NR == 1 || $2 > b { b = $2; at = $1 } END { print at, b }'
}

# unchanged NAME EPOCHS: NAME.cfg trains the same bytes with -map as without it, sidecar included.
unchanged() {
    train "$1_alone" "$1.cfg" -seed 5 || return
    train "$1_map" "$1.cfg" -seed 5 -map -mAP_epochs "$2" || return
    cmp "$1_alone/$1_final.weights" "$1_map/$1_final.weights" &&
        cmp "$1_alone/$1_final.weights.vkd" "$1_map/$1_final.weights.vkd"
}
check map_same_bytes unchanged tapped 1
check map_same_bytes_plain unchanged plain 3
check map_same_bytes_random_sizes unchanged sizes 5

# The csv but for the time and the AP is the same too.
columns() {
    awk -F, -v OFS=, '{ $3 = ""; $NF = ""; print }' "$1"
}
same_columns() {
    columns tapped_alone/tapped_log.csv >alone.csv
    columns tapped_map/tapped_log.csv >map.csv
    cmp alone.csv map.csv && [ -z "$(rows tapped_alone/tapped_log.csv)" ]
}
check map_same_log same_columns

# Every epoch, and at the end; every third one.
when() {
    rows "$1" | cut -d' ' -f1 | tr '\n' ' '
}
every() {
    when tapped_map/tapped_log.csv
    [ "$(when tapped_map/tapped_log.csv)" = "$(seq -s ' ' 4 4 148) 150 " ] || return
    when plain_map/plain_log.csv
    [ "$(when plain_map/plain_log.csv)" = "$(seq -s ' ' 12 12 144) 150 " ] || return
    grep -qx 'AP on 13 pictures of train.txt every 12 batches' plain_map.log
}
check map_every_epoch every

# ap_of CFG WEIGHTS: what `detector map` says.
ap_of() {
    "$DARKNET" detector map tapped_map.data "$1" "$2" 2>map.err | awk '$1 == "AP" { print $2 }'
}
agrees() {
    local at value
    read -r at value <<<"$(best tapped_map/tapped_log.csv)"
    echo "best $value at batch $at; detector map: $(ap_of tapped.cfg tapped_map/tapped_best.weights)"
    awk -v v="$value" 'BEGIN { exit !(v > 0) }' &&
        [ "$(ap_of tapped.cfg tapped_map/tapped_best.weights)" = "$(printf %.4f "$value")" ] || return
    [ "$(ap_of tapped.cfg tapped_map/tapped_final.weights)" = \
        "$(rows tapped_map/tapped_log.csv | awk 'END { printf "%.4f", $2 }')" ]
}
check map_agrees_with_detector_map agrees
# The best weights are a checkpoint of that batch: a count of pictures in the header's bytes 12 to 19, and a sidecar.
seen() {
    od -An -t u8 -j 12 -N 8 "$1" | tr -d ' '
}
best_is_a_checkpoint() {
    local at value
    read -r at value <<<"$(best tapped_map/tapped_log.csv)"
    echo "seen $(seen tapped_map/tapped_best.weights), batch $at"
    [ "$(seen tapped_map/tapped_best.weights)" = $((4 * at)) ] && [ -s tapped_map/tapped_best.weights.vkd ] || return
    if [ "$at" = "$(rows tapped_map/tapped_log.csv | awk 'END { print $1 }')" ]; then # nothing is left to train
        cmp tapped_map/tapped_best.weights tapped_alone/tapped_final.weights
        return
    fi
    train from_best tapped.cfg tapped_map/tapped_best.weights -seed 5 || return
    cmp from_best/tapped_final.weights tapped_alone/tapped_final.weights
}
check map_best_is_a_checkpoint best_is_a_checkpoint
without_map() {
    ! find tapped_alone -name '*_best*' | grep .
}
check map_no_best_without_it without_map
progress() {
    grep -qE '^150/150  loss [0-9.]+  vkd .*  AP 0\.[0-9]{4} \(best 0\.[0-9]{4}\)$' tapped_map.log
}
check map_is_on_the_progress_line progress

# Resumed: the best AP of the rows before is known, so a lower one replaces nothing.
resumed() {
    mkdir -p again_from again
    cp tapped_map/tapped_100.weights again_from/tapped.backup
    cp tapped_map/tapped_100.weights.vkd again_from/tapped.backup.vkd
    # As if batch 96 had been perfect.
    awk -F, -v OFS=, '$1 == 96 { $NF = "0.999000" } { print }' tapped_map/tapped_log.csv >again/tapped_log.csv
    train again tapped.cfg again_from/tapped.backup -seed 5 -map || return
    [ ! -e again/tapped_best.weights ] && grep -q '(best 0.9990)$' again.log || return
    cmp again/tapped_final.weights tapped_map/tapped_final.weights || return
    cp tapped_map/tapped_log.csv again/tapped_log.csv
    train again tapped.cfg again_from/tapped.backup -seed 5 -map || return
    rows again/tapped_log.csv | diff - <(rows tapped_map/tapped_log.csv)
}
check map_best_survives_a_resumption resumed

# _last.weights: of every 100th batch, with its sidecar.
last() {
    cmp tapped_map/tapped_last.weights tapped_map/tapped_100.weights &&
        cmp tapped_map/tapped_last.weights.vkd tapped_map/tapped_100.weights.vkd || return
    [ "$(seen tapped_map/tapped_last.weights)" = 400 ] && ! find . -name '*.part' -o -name '*.next' | grep .
}
check last_weights last

# ---- what is refused before training ----
data_file r
sed '/^valid=/d' r.data >no_valid.data
check map_without_valid refuse "no_valid.data: valid: missing; expected the list of pictures to evaluate on" \
    "$DARKNET" detector train no_valid.data plain.cfg -map
# A label file that goes bad meanwhile: a pipe, read when training begins and when AP is measured.
goes_bad() {
    mkdir -p other bad
    cp "$(find images -name '*.ppm' | head -n 1)" other/one.ppm
    mkfifo other/one.txt
    echo "$work/other/one.ppm" >valid.txt
    sed 's/^valid=.*/valid=valid.txt/; s/^backup=.*/backup=bad/' r.data >bad.data
    : >err
    {
        echo 0 .5 .5 .2 .2 >other/one.txt
        until grep -q '^AP on 1 pictures' err; do sleep .1; done # the first reader has closed it
        echo 0 .5 nan .2 .2 >other/one.txt
    } &
    local writer=$! code=0
    timeout 60 "$DARKNET" detector train bad.data plain.cfg -seed 5 -map -mAP_epochs 3 >out 2>err </dev/null || code=$?
    kill "$writer" 2>kill.log
    tail -n 1 err
    [ "$code" -eq 1 ] && tail -n 1 err | grep -q "^$work/other/one.txt:1: y: found nan, expected a number"
}
check map_labels_go_bad goes_bad
cp train.txt lost.txt
echo "$work/images/lost.ppm" >>lost.txt
sed 's/^valid=.*/valid=lost.txt/' r.data >lost.data
check map_valid_picture_missing refuse "lost.txt: $work/images/lost.ppm: No such file or directory" \
    "$DARKNET" detector train lost.data plain.cfg -map
sed 's/lost\.ppm/wrong.ppm/' lost.txt >wrong.txt
cp images/p00.ppm images/wrong.ppm
echo "7 .5 .5 .1 .1" >labels/wrong.txt
sed 's/^valid=.*/valid=wrong.txt/' r.data >wrong.data
check map_valid_label_wrong refuse "$work/labels/wrong.txt:1: class: found 7, expected an integer from 0 to 1" \
    "$DARKNET" detector train wrong.data plain.cfg -map
# A picture that turns out to be none when it is measured on ends the run: another figure would be of other pictures.
garbage() {
    local code=0
    rm labels/wrong.txt && echo nothing >images/wrong.ppm
    mkdir -p garbage && sed 's/^backup=.*/backup=garbage/' wrong.data >garbage.data
    "$DARKNET" detector train garbage.data plain.cfg -seed 5 -map >garbage.log 2>&1 || code=$?
    tail -n 2 garbage.log
    [ "$code" -eq 1 ] && tail -n 1 garbage.log | grep -q "images/wrong.ppm: " && [ -z "$(ls garbage/*.weights 2>/dev/null)" ]
}
check map_valid_picture_is_none garbage
for value in 0 -1 1.5 x 99999999999; do
    check "map_epochs_$value" refuse "detector train: -mAP_epochs: found \"$value\"; expected an integer >= 1" \
        "$DARKNET" detector train r.data plain.cfg -mAP_epochs "$value"
done
check map_epochs_without_a_value refuse "detector train: -mAP_epochs needs a value" \
    "$DARKNET" detector train r.data plain.cfg -mAP_epochs

# ---- detector map: one more figure ----
map_of() {
    "$DARKNET" detector map tapped_map.data tapped.cfg tapped_map/tapped_best.weights "$@" 2>map.err
}
asked() {
    map_of >coco.out || return
    map_of -iou_thresh 0.75 -points 101 >at75.out || return
    map_of -points 101 >at50.out || return
    cat coco.out
    ! grep -q @ coco.out || return
    # The rest stands as it was; COCO's own points at COCO's own IoU are COCO's own figure.
    grep -v @ at75.out | cmp - coco.out && grep -v @ at50.out | cmp - coco.out || return
    [ "$(awk '$1 == "AP@0.75" { print $2 }' at75.out)" = "$(awk '$1 == "AP75" { print $2 }' coco.out)" ] &&
        [ "$(awk '$1 == "AP@0.5" { print $2 }' at50.out)" = "$(awk '$1 == "AP50" { print $2 }' coco.out)" ] || return
    map_of -iou_thresh 0.3 -points 11 >at30.out || return
    awk '$1 == "AP@0.3" { print; found = $2 > 0 } END { exit !found }' at30.out
}
check map_iou_thresh_and_points asked
# -nms is another thing: with 1, nothing is suppressed, and there are more detections.
suppresses() {
    map_of -nms 1 -json all.json >all.out && map_of -json some.json >some.out || return
    wc -l all.json some.json
    [ "$(wc -l <all.json)" -gt "$(wc -l <some.json)" ]
}
check map_nms suppresses
wrong() {
    check "$1" refuse "$2" "$DARKNET" detector map tapped_map.data tapped.cfg tapped_map/tapped_best.weights "${@:3}"
}
wrong map_unknown_option "detector map: unknown option -no_such; expected -json, -thresh, -nms, -iou_thresh, -points or -half" \
    -no_such
wrong map_iou_beyond 'detector map: -iou_thresh: "1.5" is not in 0 .. 1' -iou_thresh 1.5
wrong map_iou_0 'detector map: -iou_thresh: found 0; expected more than 0' -iou_thresh 0
wrong map_points_1 'detector map: -points: found "1"; expected 0, or an integer from 2 to 100000' -points 1
wrong map_points_word 'detector map: -points: found "many"; expected 0, or an integer from 2 to 100000' -points many
exit "$status"
