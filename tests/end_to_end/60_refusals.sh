#!/usr/bin/env bash
# Wrong calls and wrong files: one line that says what is wrong, exit status 1, and nothing written.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 5
check refusals_teacher teacher
data_file r
{
    net 20 "${teacher_keys[@]}"
    student_layers
    tap 1 1
} >tapped.cfg
{
    net 20
    student_layers
} >plain.cfg
line() {
    grep -nF "$1" tapped.cfg | head -n 1 | cut -d: -f1
}

# refused NAME LINE ARGUMENT...: `darknet detector train ARGUMENT...`
refused() {
    local name=$1 line=$2
    shift 2
    check "refused_$name" refuse "$line" "$DARKNET" detector train "$@"
}
# changed SED_SCRIPT: tapped.cfg, changed, as changed.cfg.
changed() {
    sed "$1" tapped.cfg >changed.cfg
}

# ---- the command line ----
usage="usage: darknet detector train DATA CFG [WEIGHTS] [-teacher_cfg F -teacher_weights F] [-seed N] [-map] [-clear]"
refused no_cfg "$usage" r.data
refused nothing "$usage"
unknown_option=$("$DARKNET" detector train r.data plain.cfg -no_such 2>&1 | tail -n 1)
case $unknown_option in
"detector train: unknown option -no_such; expected "*) echo "ok refused_unknown_option_line" ;;
*)
    echo "not ok refused_unknown_option_line"
    echo "# $unknown_option"
    status=1
    ;;
esac
refused unknown_option "$unknown_option" r.data plain.cfg -no_such
refused fourth_file 'detector train: unexpected "extra" after DATA CFG WEIGHTS' r.data plain.cfg teacher.weights extra
refused seed_word '-seed: found "word"; expected an integer >= 0' r.data plain.cfg -seed word
refused seed_fraction '-seed: found "1.5"; expected an integer >= 0' r.data plain.cfg -seed 1.5
refused seed_too_large '-seed: found "99999999999999999999999"; expected an integer >= 0' r.data plain.cfg \
    -seed 99999999999999999999999
refused seed_without_a_value "-seed needs a value" r.data plain.cfg -seed
refused seed_before_a_flag "-seed needs a value" r.data plain.cfg -seed -clear
refused teacher_cfg_without_a_value "-teacher_cfg needs a value" r.data tapped.cfg -teacher_cfg
refused gpus_without_a_value "detector train: -gpus needs a value" r.data plain.cfg -gpus

# ---- the teacher ----
refused teacher_without_taps "plain.cfg: a teacher is named but there is no [vkd_projection] to learn from it" \
    r.data plain.cfg -teacher_cfg teacher.cfg -teacher_weights teacher.weights
sed '/^teacher_[cw]/d' tapped.cfg >unnamed.cfg
refused teacher_without_weights \
    "unnamed.cfg: a teacher's cfg is named but not its weights (teacher_weights); give both, in [net] or as flags" \
    r.data unnamed.cfg -teacher_cfg teacher.cfg
refused teacher_without_cfg \
    "unnamed.cfg: a teacher's weights is named but not its cfg (teacher_cfg); give both, in [net] or as flags" \
    r.data unnamed.cfg -teacher_weights teacher.weights
changed 's/^teacher_weights=.*/teacher_weights=no_such.weights/'
refused teacher_weights_missing "changed.cfg: [net] teacher_weights: no_such.weights: No such file or directory" r.data changed.cfg
# The flag wins over the cfg.
refused teacher_weights_flag_missing "-teacher_weights: other.weights: No such file or directory" r.data tapped.cfg \
    -teacher_weights other.weights
: >empty.weights
refused teacher_weights_empty "empty.weights: the file ends within its header" r.data tapped.cfg -teacher_weights empty.weights
head -c 20 teacher.weights >header.weights
refused teacher_weights_header_only "header.weights: layer 0 (convolutional): found 0 bytes, expected 992" \
    r.data tapped.cfg -teacher_weights header.weights
head -c 500 teacher.weights >cut.weights
refused teacher_weights_cut "cut.weights: layer 0 (convolutional): found 480 bytes, expected 992" \
    r.data tapped.cfg -teacher_weights cut.weights
# Between two layers: a student may take the first layers of a file, a teacher needs all of its own.
head -c 1012 teacher.weights >one_layer.weights
refused teacher_weights_one_layer "one_layer.weights: layer 1 (convolutional): found 0 bytes, expected 3648" \
    r.data tapped.cfg -teacher_weights one_layer.weights
# Another cfg's weights that are long enough.
sed '0,/filters=8/s//filters=9/' teacher.cfg >wider.cfg
other_cfg() {
    refuse "" "$DARKNET" detector train r.data tapped.cfg -teacher_cfg wider.cfg
    # The number depends on the weights; with the line as it came, all that refuse() asks for must hold.
    refuse "$(tail -n 1 err)" "$DARKNET" detector train r.data tapped.cfg -teacher_cfg wider.cfg || return
    tail -n 1 err | grep -qx "teacher.weights: the teacher's layer [01] (convolutional): found -.* among its variances; the file is damaged, or another cfg's"
}
check refused_teacher_weights_of_another_cfg other_cfg
refused teacher_cfg_missing "-teacher_cfg: none.cfg: No such file or directory" r.data tapped.cfg -teacher_cfg none.cfg
sed 's/channels=3/channels=1/' teacher.cfg >grey.cfg
refused teacher_channels "grey.cfg:$(grep -n channels grey.cfg | cut -d: -f1): [net] channels: 1; expected the student's 3" r.data tapped.cfg \
    -teacher_cfg grey.cfg

# ---- the taps' layers ----
changed 's/^teacher_from=1/teacher_from=9/'
at=$(line teacher_from=1)
refused teacher_from_beyond \
    "changed.cfg:$at: [vkd_projection] teacher_from: found 9; the teacher teacher.cfg has 5 layers, expected -5 to 4" \
    r.data changed.cfg
changed 's/^teacher_from=1/teacher_from=-6/'
refused teacher_from_before \
    "changed.cfg:$at: [vkd_projection] teacher_from: found -6; the teacher teacher.cfg has 5 layers, expected -5 to 4" \
    r.data changed.cfg
changed 's/^teacher_from=1/teacher_from=4/'
refused teacher_from_yolo \
    "changed.cfg:$at: [vkd_projection] teacher_from: layer 4 of the teacher is [yolo], which has no feature map; expected a layer before a head" \
    r.data changed.cfg
changed 's/^from=1/from=3/'
refused from_yolo \
    "changed.cfg:$((at - 1)): [vkd_projection] from: layer 3 is [yolo], which has no feature map to learn; expected a layer before the head" \
    r.data changed.cfg
# The second [convolutional], filters=6.
changed 's/^filters=6/stopbackward=1\n&/'
refused from_untrained \
    "changed.cfg:$at: [vkd_projection] from: layer 1 is not trained: stopbackward=1 stands behind it" r.data changed.cfg
changed 's/^\[vkd_projection\]/[vkd_whiten]\nmode=whiten\nrank=13\n\n&/'
refused rank_beyond "changed.cfg:$(($(line '[vkd_projection]') + 2)): [vkd_whiten] rank: found 13; the teacher's layer has 12 channels" \
    r.data changed.cfg
changed 's/^teacher_from=1/&\nmap=identity/'
refused identity_of_unequal_channels \
    "changed.cfg:$((at + 1)): [vkd_projection] map: identity wants equal channels on both sides; the student's layer has 6, the teacher's 12" \
    r.data changed.cfg

# ---- files ----
refused cfg_missing "none.cfg: cannot be opened: No such file or directory" r.data none.cfg
refused weights_missing "none.weights: cannot be opened: No such file or directory" r.data tapped.cfg none.weights
refused data_missing "none.data: cannot be opened: No such file or directory" none.data tapped.cfg
sed 's/^train=.*/train=none.txt/' r.data >list.data
refused list_missing "none.txt: cannot be opened: No such file or directory" list.data tapped.cfg
sed '/^train=/d' r.data >list.data
refused list_unnamed "list.data: train: missing; expected the list of training pictures" list.data tapped.cfg
printf '\n\n' >blank.txt
sed 's/^train=.*/train=blank.txt/' r.data >list.data
refused list_empty "blank.txt: no pictures" list.data tapped.cfg
sed 's/^backup=.*/backup=names/' r.data >list.data
refused backup_is_a_file "names: found a file; expected the backup folder" list.data tapped.cfg
sed 's|^backup=.*|backup=none/deeper|' r.data >list.data
refused backup_without_parent "none/deeper: the backup folder cannot be made: No such file or directory" list.data tapped.cfg
{
    net 20
    conv 14 4 1 linear
} >headless.cfg
refused no_head "headless.cfg: the last layer is [convolutional]; expected [yolo] or [region]" r.data headless.cfg
{
    net 20 "${teacher_keys[@]}"
    conv 4 2 3 leaky bn
    conv 16 1 1 linear
    printf '\n[region]\nanchors=1,1, 2,2\nclasses=2\ncoords=5\nnum=2\n'
    tap 0 0 foreground=0.5
} >region.cfg
at=region.cfg:$(grep -n '^foreground' region.cfg | cut -d: -f1)
refused region_of_other_boxes \
    "$at: [vkd_projection] foreground: found 0.5; the boxes of this [region] have 5 coordinates, expected 0 or coords=4" \
    r.data region.cfg
{
    net 0
    student_layers
} >endless.cfg
refused no_max_batches "endless.cfg: [net] max_batches: missing; expected an integer >= 1" r.data endless.cfg
# A full disk: the program says so and ends, and no half file has a checkpoint's name.
full() {
    mkdir -p full
    (
        # A file may have 2 KiB: the log fits, the weights do not.
        ulimit -f 2
        trap '' XFSZ
        "$DARKNET" detector train full.data tapped.cfg -seed 1 2>&1 </dev/null
        echo "status $?"
    ) | tail -n 2 >full.said
    cat full.said
    grep -qx "status 1" full.said && grep -q "^full/tapped_final.weights.*: " full.said || return
    find full -name '*.weights*' >left
    cat left
    [ ! -s left ]
}
data_file full
# The limit would keep the counts of `make coverage` from being written, too.
[ "${SANITIZE:-0}" = coverage ] || check refused_full_disk full

# ---- darknet vkd ----
vkd() {
    local expected=$1 code=0
    shift
    "$DARKNET" vkd "$@" >out 2>err </dev/null || code=$?
    cat err
    [ "$code" -eq 1 ] && [ ! -s out ] && [ "$(cat err)" = "$expected" ]
}
check vkd_strip_without_cfg vkd "usage: darknet vkd strip CFG" strip
check vkd_strip_two_files vkd "usage: darknet vkd strip CFG" strip tapped.cfg plain.cfg
check vkd_strip_missing vkd "none.cfg: cannot be opened: No such file or directory" strip none.cfg
check vkd_reference_extra vkd "usage: darknet vkd reference" reference extra
commands_are_listed() {
    vkd "" || true
    head -n 1 err | grep -qx usage: && grep -q '^  darknet vkd strip CFG ' err && grep -q '^  darknet vkd reference ' err || return
    cp err bare.err
    vkd "" bogus || true
    head -n 1 err | grep -qx 'darknet vkd: unknown command "bogus"' && tail -n +2 err | cmp - bare.err
}
check vkd_commands_are_listed commands_are_listed
wrong_command_status() {
    ! "$DARKNET" vkd bogus 2>/dev/null && ! "$DARKNET" vkd 2>/dev/null
}
check vkd_wrong_command_status wrong_command_status
strip_is_the_plain_cfg() {
    "$DARKNET" vkd strip tapped.cfg >stripped.cfg || return
    # What is left of tapped.cfg is plain.cfg, but for the blank line above the section.
    diff -B plain.cfg stripped.cfg && ! grep -E 'vkd|teacher' stripped.cfg
}
check vkd_strip strip_is_the_plain_cfg
strip_twice() {
    "$DARKNET" vkd strip stripped.cfg | cmp - stripped.cfg
}
check vkd_strip_again_changes_nothing strip_twice
reference() {
    "$DARKNET" vkd reference >reference.md || return
    for key in teacher_from map ratio weight student_norm pool warmup until ramp mode statistics shrinkage rank eps; do
        grep -qE "^\| *\`?$key\`? *\|" reference.md || {
            echo "no row for $key"
            return 1
        }
    done
}
check vkd_reference reference
# The sidecar's name is taken by a folder: known where it is to be written.
taken_name() {
    sed 's/^max_batches=.*/max_batches=2/' tapped.cfg >short.cfg
    data_file taken
    mkdir taken/short_final.weights.vkd
    timeout 60 "$DARKNET" detector train taken.data short.cfg -seed 1 >out 2>err </dev/null
    [ $? -eq 1 ] || return
    tail -n 1 err
    [ "$(tail -n 1 err)" = "taken/short_final.weights.vkd.next: cannot be renamed to taken/short_final.weights.vkd: Is a directory" ]
}
check refused_taken_name taken_name
full_output() {
    "$DARKNET" vkd strip plain.cfg >/dev/full 2>err
    [ $? -eq 1 ] && [ "$(tail -n 1 err)" = "standard output: No space left on device" ]
}
check refused_full_output full_output
exit "$status"
