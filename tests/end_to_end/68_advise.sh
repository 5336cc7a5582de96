#!/usr/bin/env bash
# `darknet vkd advise`: the table of similarities, its advice, and what it refuses.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 20
check advise_teacher teacher
data_file d
{
    net 20 "${teacher_keys[@]}"
    student_layers
} >student.cfg
# advise NAME ARGUMENT...: what is printed goes to NAME.said.
advise() {
    local name=$1
    shift
    timeout 60 "$DARKNET" vkd advise "$@" >"$name.said" 2>"$name.log" </dev/null || {
        echo "exit status $?"
        tail -n 5 "$name.log"
        return 1
    }
}
row() {
    cat "$1.said"
    grep -qE "$2" "$1.said"
}
check advise_fresh advise fresh d.data student.cfg -seed 2
check advise_fresh_is_told row fresh "^The student's weights are fresh"
check advise_counts_pictures row fresh '^Linear CKA .* over 16 pictures of train.txt$'
check advise_strides row fresh '^stride 4, 8 x 8$'
# Layer 2 is the head's own, and no row; layer 1 has a grid of the teacher's layers 0 and 1.
check advise_columns row fresh '^  student             teacher +0 +1 +$'
check advise_row row fresh '^    1 convolutional   x 6 +-?[01]\.[0-9]+[* ] +-?[01]\.[0-9]+'
# Marks and advice: one best value a table; the tap is the last layer before the head.
marks() {
    cat fresh.said
    [ "$(grep -c '\*' fresh.said)" -eq 2 ] && [ "$(grep -c '^\[vkd_projection\]$' fresh.said)" -eq 1 ] && grep -qx 'from=1' fresh.said
}
check advise_marks marks
check advise_again advise again d.data student.cfg -seed 2
check advise_repeats cmp fresh.said again.said
# What it prints can be pasted.
pasted() {
    { cat student.cfg && sed -n '/^# stride/,$p' fresh.said; } >pasted.cfg
    "$DARKNET" vkd check pasted.cfg >pasted.said 2>pasted.log; row pasted '^0 .* 1 convolutional 8x8x6 /4'
}
check advise_can_be_pasted pasted

# A student that is the teacher: its own layers are the most alike, at 1.
sed 's/^max_batches/teacher_cfg=teacher.cfg\nteacher_weights=teacher.weights\n&/' teacher.cfg >twin.cfg
check advise_of_itself advise twin d.data twin.cfg teacher.weights -images 20
no_fresh() {
    ! grep -q fresh twin.said
}
check advise_of_itself_is_not_fresh no_fresh
diagonal() {
    cat twin.said
    awk '/^stride 4/ { t = 1 } t && /^    1 conv/ { found = $0 } /^stride 8/ { t = 0 } END { exit found !~ / 1\.00\*/ }' twin.said &&
        awk '/^stride 8/ { t = 1 } t && /^    2 conv/ { found = $0 } END { exit found !~ / 1\.00\*/ }' twin.said
}
check advise_of_itself_is_one diagonal
check advise_of_itself_takes_the_last_before_the_head row twin '^teacher_from=2$'

# Fresh weights take the batch's statistics, as in training, where a layer's map may be left to the pooling behind it: not
# here. A [route] that nobody reads is a reader all the same.
pooled_student() {
    net 20 "${teacher_keys[@]}"
    conv 4 2 3 leaky bn
    printf '\n[maxpool]\nsize=2\nstride=2\n%b' "$1"
    conv 6 1 3 leaky bn
    conv 14 1 1 linear
    yolo
}
pooled_student '' >pooled.cfg
pooled_student '\n[route]\nlayers=0\n\n[route]\nlayers=1\n' >read.cfg
check advise_pooled advise pooled d.data pooled.cfg -seed 2
check advise_read advise read d.data read.cfg -seed 2
map_is_kept() {
    cat pooled.said read.said
    grep -q '^    0 conv' pooled.said && [ "$(grep '^    0 conv' pooled.said)" = "$(grep '^    0 conv' read.said)" ]
}
check advise_keeps_the_map_before_a_pooling map_is_kept

# No head, padding beside the pictures, a teacher of its own size, flags.
{
    net 20 | sed 's/^width=32/width=64/'
    conv 4 2 3 leaky bn
    conv 6 2 3 leaky bn
    printf '\n[avgpool]\n\n[softmax]\ngroups=1\n'
} >classifier.cfg
check advise_classifier advise classifier d.data classifier.cfg -teacher_cfg teacher.cfg -teacher_weights teacher.weights
check advise_classifier_advice row classifier '^from=1$'
sed 's/^teacher_cfg/teacher_resize=1\n&/; s/^width=32/width=64/; s/^height=32/height=64/' student.cfg >resized.cfg
check advise_teacher_resize advise resized d.data resized.cfg -images 8
# A layer that is not trained is no place for a tap.
awk '{ print } /filters=4/ { print "stopbackward=1" }' student.cfg >frozen.cfg
check advise_frozen advise frozen d.data frozen.cfg
frozen_is_left_out() {
    cat frozen.said
    row frozen '^    1 convolutional' >said2 && ! grep -q '^    0 convolutional' frozen.said && grep -q '^    0 convolutional' fresh.said
}
check advise_frozen_is_left_out frozen_is_left_out
untouched() {
    ls d
    [ -z "$(ls d)" ]
}
check advise_leaves_nothing untouched

# ---- what is refused ----
usage='usage: darknet vkd advise DATA CFG [WEIGHTS] [-images N] [-seed N] [-teacher_cfg F] [-teacher_weights F]'
a=("$DARKNET" vkd advise)
check advise_no_arguments refuse "$usage" "${a[@]}"
check advise_no_cfg refuse "$usage" "${a[@]}" d.data
check advise_unknown_flag refuse \
    'vkd advise: unknown option -out; expected -images, -seed, -teacher_cfg or -teacher_weights' "${a[@]}" d.data student.cfg -out x
check advise_images_word refuse '-images: found "all"; expected an integer from 1 to 1000000' "${a[@]}" d.data student.cfg -images all
check advise_too_many_images refuse 'vkd advise: -images: found 30; train.txt has 20 pictures' "${a[@]}" d.data student.cfg -images 30
grep -v '^teacher_[cw]' student.cfg >orphan.cfg
check advise_without_teacher refuse \
    'orphan.cfg: no teacher is named; expected teacher_cfg and teacher_weights in [net], or as flags' "${a[@]}" d.data orphan.cfg
check advise_teacher_without_weights refuse \
    "orphan.cfg: a teacher's cfg is named but not its weights (teacher_weights); give both, in [net] or as flags" \
    "${a[@]}" d.data orphan.cfg -teacher_cfg teacher.cfg
check advise_missing_teacher refuse 'none.weights: No such file or directory' \
    "${a[@]}" d.data student.cfg -teacher_weights none.weights
# Grids of 3 x 3 cells and fewer, which no layer of the teacher has when it keeps its own size.
{
    net 20 teacher_resize=1 "${teacher_keys[@]}" | sed 's/=32$/=12/'
    conv 4 4 3 leaky bn
    conv 14 1 1 linear
    yolo
} >small.cfg
check advise_nothing_matches refuse "small.cfg: no layer has a grid that one of the teacher's matches" "${a[@]}" d.data small.cfg
exit "$status"
