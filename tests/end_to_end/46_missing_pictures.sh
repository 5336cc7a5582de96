#!/usr/bin/env bash
# Pictures without a label file, pictures that are not there, and files that are no pictures.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 30
cp train.txt whole.txt
{
    net 30
    student_layers
} >plain.cfg

# ---- no label file: no objects ----
mkdir kept
mv labels/p03.txt labels/p07.txt kept
check missing_labels_train train unlabelled plain.cfg -seed 3
check missing_labels_are_told grep -qx 'train.txt: 2 of 30 pictures have no label file: pictures without objects' unlabelled.log
: >labels/p03.txt
: >labels/p07.txt
check empty_labels_train train empty plain.cfg -seed 3
check missing_labels_are_empty_ones same unlabelled/plain_final.weights empty/plain_final.weights
check empty_labels_are_labels eval '! grep label empty.log'
mv kept/p*.txt labels
check whole_train train whole plain.cfg -seed 3
check labels_matter differ whole/plain_final.weights empty/plain_final.weights
mv labels hidden
data_file r
check no_labels_at_all refuse \
    "train.txt: no label file for any of 30 pictures; expected them at $work/labels/p29.txt and the like" \
    "$DARKNET" detector train r.data plain.cfg -seed 3
mv hidden labels

# ---- a few unreadable pictures: told once each, counted, others in their places ----
rm images/p05.ppm
echo "this is no picture" >images/p11.ppm
head -c 100 images/p20.ppm >cut.ppm && mv cut.ppm images/p20.ppm
# told LOG: each of the three once, the missing one before training.
told() {
    cat "$1"
    [ "$(grep -c 'p05.ppm' "$1")" -eq 1 ] && grep -q 'p05.ppm: No such file or directory$' "$1" || return
    grep -qx 'train.txt: 1 of 30 pictures are missing; others take their places' "$1" || return
    local picture
    for picture in p11 p20; do
        [ "$(grep -c "^$work/images/$picture.ppm: the picture cannot be read: .*; another takes its place\$" "$1")" -eq 1 ] || return
    done
    grep -qx '3 of 30 pictures could not be read; others took their places' "$1"
}
check missing_pictures_train train missing plain.cfg -seed 3
check missing_pictures_are_told told missing.log
check missing_pictures_change_the_run differ missing/plain_final.weights whole/plain_final.weights
check missing_pictures_again train again plain.cfg -seed 3
check missing_pictures_repeat same missing/plain_final.weights again/plain_final.weights
threads() {
    VKD_TEST_THREADS=2 OMP_NUM_THREADS=2 train "$1" plain.cfg -seed 3
}
check missing_pictures_threads threads two
check missing_pictures_threads_again threads two_again
check missing_pictures_repeat_with_threads same two/plain_final.weights two_again/plain_final.weights
# Resumed in the middle, the same pictures take their places.
resumed() {
    sed 's/max_batches=30/max_batches=160/' plain.cfg >long.cfg
    train long long.cfg -seed 3 || return
    train long_again long.cfg long/long_100.weights -seed 3 || return
    cmp long/long_final.weights long_again/long_final.weights
}
check missing_pictures_resumed resumed
# Where no unreadable picture is drawn, nothing changes: the loss of a batch is that of the whole set's run, as long as
# the weights are.
first_losses() {
    awk -F, 'NR > 1 && $5 != "" { print $1, $5 }' "$1/plain_log.csv"
}
as_before() {
    join <(first_losses whole | sort) <(first_losses missing | sort) | sort -n | awk '{ print }
        $2 != $3 && !n { n = $1 } END { exit !(n > 1) }'
}
check missing_pictures_change_no_other_choice as_before

# ---- too many ----
rm images/p06.ppm images/p08.ppm images/p09.ppm
check too_many_missing refuse "train.txt: 4 of 30 pictures are missing; expected at most one in ten" \
    "$DARKNET" detector train r.data plain.cfg -seed 3
too_many_are_named() {
    grep -c 'p0[5689].ppm: No such file or directory$' err
    [ "$(grep -c 'p0[5689].ppm: No such file or directory$' err)" -eq 4 ]
}
check too_many_missing_are_named too_many_are_named
sed 's/images/no_images/' whole.txt >train.txt
five_are_named() {
    refuse "train.txt: 30 of 30 pictures are missing; expected at most one in ten" \
        "$DARKNET" detector train r.data plain.cfg -seed 3 || return
    [ "$(grep -c ': No such file or directory$' err)" -eq 5 ]
}
check all_missing five_are_named
cp whole.txt train.txt
for picture in images/*.ppm images/p05.ppm images/p06.ppm images/p08.ppm images/p09.ppm; do
    echo "no picture" >"$picture"
done
# That they are no pictures shows only when they are loaded.
none_is_a_picture() {
    local code=0
    timeout 60 "$DARKNET" detector train r.data plain.cfg -seed 3 >out 2>err </dev/null || code=$?
    tail -n 3 err
    [ "$code" -eq 1 ] && [ "$(tail -n 1 err)" = \
        "4 of 30 training pictures cannot be read; expected at most one in ten" ] && ! find r -name '*.weights' | grep .
}
check none_is_a_picture none_is_a_picture
exit "$status"
