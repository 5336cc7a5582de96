#!/usr/bin/env bash
# Calibrated statistics, inside a run and from a file of their own, and padding that is left out.
# shellcheck disable=SC1091,SC2016,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 12
check statistics_teacher teacher

# student NAME BATCHES WHITEN [LINE...]: a cfg with one tap below [vkd_whiten] with the keys WHITEN.
student() {
    local name=$1 batches=$2 whiten=$3
    shift 3
    {
        net "$batches" "${teacher_keys[@]}"
        student_layers
        # shellcheck disable=SC2086 # keys
        printf '\n[vkd_whiten]\n%s\n' "$(printf '%s\n' $whiten)"
        tap 1 1 "$@"
    } >"$name.cfg"
}
# blocks FILE: the named blocks of a sidecar as `NAME HEX`, but for those that only a checkpoint has.
blocks() {
    python3 - "$1" <<'EOF'
import struct, sys
data = open(sys.argv[1], "rb").read()
count, at = struct.unpack_from("<I", data, 12)[0], 40
for _ in range(count):
    name, size = data[at:at + 32].rstrip(b"\0").decode(), struct.unpack_from("<Q", data, at + 32)[0]
    if name.split(".")[1] in ("samples", "mean", "second"):
        print(name, data[at + 40:at + 40 + size].hex())
    at += 40 + size
EOF
}

# 7 is no multiple of the 2 pictures of a sub-batch: the last one counts in part.
student whole 120 "mode=whiten statistics=calibrated images=7" foreground=0
# calibrate NAME: NAME.cal of NAME.cfg.
calibrate() {
    data_file "$1"
    "$DARKNET" vkd calibrate "$1.data" "$1.cfg" -out "$1.cal" -seed 5 >out 2>err && [ "$(cat out)" = "$1.cal" ]
}
check calibrate calibrate whole
check calibrated_inside train whole whole.cfg -seed 5
# same_numbers NAME: those of NAME.cal, left in the file a, and of a run.
same_numbers() {
    blocks "$1.cal" >a
    blocks "$1/$1_final.weights.vkd" >b
    [ "$(wc -l <a)" -eq 3 ] && cmp a b
}
# On the objects alone, which are the default.
student objects 20 "mode=whiten statistics=calibrated images=7"
check calibrate_objects calibrate objects
check calibrated_inside_objects train objects objects.cfg -seed 5
check calibrated_inside_and_outside_of_objects same_numbers objects
fewer_samples() {
    local first
    first=$(awk '$1 == "tap0.samples" { print $2 }' a)
    echo "$first"
    # Little-endian: some, and fewer than 7 pictures have locations.
    [ $((0x${first:2:2}${first:0:2})) -gt 0 ] && [ $((0x${first:2:2}${first:0:2})) -lt 448 ] && [ "${first:4}" = 000000000000 ]
}
check calibrated_on_fewer_samples fewer_samples
check calibrated_inside_and_outside_give_the_same_numbers same_numbers whole
samples() {
    [ "$(awk '$1 == "tap0.samples" { print $2 }' a)" = c001000000000000 ] # 7 pictures of 8 x 8, little-endian
}
check calibrated_on_the_pictures_asked_for samples
check calibrated_from_the_file train file whole.cfg -seed 5 -calibration whole.cal
check calibrated_from_the_file_is_the_same_run same whole/whole_final.weights file/whole_final.weights
said() {
    grep -q 'Calibrated the teacher.s statistics on 7 draws from the 12 pictures of whole.data' whole.log &&
        grep -qE 'vkd tap 0  whitened: [0-9]+ of 12 directions kept, condition number [0-9.e+]+$' whole.log &&
        ! grep -q 'Calibrated' file.log
}
check calibrated_says_so said
other_seed() {
    "$DARKNET" vkd calibrate whole.data whole.cfg -out other.cal -seed 6 >out 2>err && differ whole.cal other.cal
}
check calibrated_on_other_pictures_with_another_seed other_seed
# Resumed: the statistics come from the sidecar, without a second look at the pictures.
resumed() {
    mkdir -p from
    cp whole/whole_100.weights from/whole.backup
    cp whole/whole_100.weights.vkd from/whole.backup.vkd
    train resumed whole.cfg from/whole.backup -seed 5 && ! grep -q Calibrated resumed.log &&
        grep -q 'vkd tap 0  whitened' resumed.log &&
        cmp whole/whole_final.weights resumed/whole_final.weights &&
        cmp whole/whole_final.weights.vkd resumed/whole_final.weights.vkd
}
check calibrated_resumed resumed
student plain 120 "mode=standardize statistics=calibrated images=4"
check calibrated_standardize train plain plain.cfg -seed 5
running() {
    student running 20 "mode=whiten"
    train running running.cfg -seed 5 &&
        grep -qE 'vkd tap 0  whitened: [0-9]+ of 12 directions kept, condition number [0-9.e+]+$' running.log
}
check running_says_the_condition_number running

# ---- refusals ----
usage="usage: darknet vkd calibrate DATA CFG -out FILE [-teacher_cfg F -teacher_weights F] [-seed N]"
check calibrate_no_out refuse "$usage" "$DARKNET" vkd calibrate whole.data whole.cfg
check calibrate_no_cfg refuse "$usage" "$DARKNET" vkd calibrate whole.data -out x.cal
check calibrate_nothing_to_do refuse \
    "running.cfg: found no tap with a teacher and [vkd_whiten] statistics=calibrated; nothing to write" \
    "$DARKNET" vkd calibrate whole.data running.cfg -out x.cal
check calibration_missing refuse "-calibration: missing.cal: cannot be opened: No such file or directory" \
    "$DARKNET" detector train whole.data whole.cfg -calibration missing.cal
check calibration_unused refuse \
    "-calibration whole.cal: found no tap with a teacher and [vkd_whiten] statistics=calibrated in running.cfg" \
    "$DARKNET" detector train whole.data running.cfg -calibration whole.cal
check calibration_of_a_calibration refuse \
    "vkd calibrate: found -calibration whole.cal; expected to make such a file, not to take one" \
    "$DARKNET" vkd calibrate whole.data whole.cfg -out x.cal -calibration whole.cal
head -c 300 whole.cal >cut.cal
check calibration_cut refuse "-calibration: cut.cal: damaged: its checksum does not match its 300 bytes" \
    "$DARKNET" detector train whole.data whole.cfg -calibration cut.cal
check calibration_of_other_taps refuse \
    "-calibration: whole.cal: of another cfg; calibrate with the one in use" \
    "$DARKNET" detector train whole.data plain.cfg -calibration whole.cal
check calibration_of_objects_for_all refuse \
    "-calibration: objects.cal: of another cfg; calibrate with the one in use" \
    "$DARKNET" detector train whole.data whole.cfg -calibration objects.cal
# One picture has fewer objects than the teacher has channels.
few() {
    side=16 student few 20 "mode=whiten statistics=calibrated images=1"
    calibrate few && cat err && grep -qE '^  vkd tap 0  whitened from [0-9]+ samples of objects for 12 channels: raise images$' err &&
        ! grep -q 'raise images' whole.log
}
check calibrated_on_few_samples few
check calibrate_unwritable refuse "nowhere/x.cal.new: cannot be written: No such file or directory" \
    "$DARKNET" vkd calibrate whole.data whole.cfg -out nowhere/x.cal
# Other trainings than those two do not hand over their pictures.
elsewhere() {
    local picture
    mkdir -p numbers/images numbers/labels
    for picture in images/*.ppm; do
        cp "$picture" "numbers/$(basename "$picture" .ppm).jpg"
        mv numbers/*.jpg numbers/images
        echo .5 .5 >"numbers/labels/$(basename "$picture" .ppm).txt"
    done
    ls -d "$work"/numbers/images/*.jpg >numbers.txt
    sed 's/^train=.*/train=numbers.txt/' whole.data >numbers.data
    { sed '/^\[yolo\]/,/^$/d; s/^filters=14$/filters=2/' whole.cfg && printf '\n[avgpool]\n\n[cost]\ntype=sse\n'; } >numbers.cfg
    refuse 'numbers.cfg: [vkd_whiten] statistics: "calibrated" looks at the pictures of `detector train` or `classifier train`; '"\
hand it a file of "'`darknet vkd calibrate` with -calibration FILE' "$DARKNET" regressor train numbers.data numbers.cfg
}
check calibrated_elsewhere elsewhere

# ---- without objects ----
# The first pictures that a run sees have none, so there are no statistics yet; later ones have.
without_objects() {
    mv labels with_objects && mkdir labels && for label in with_objects/*; do : >"labels/${label##*/}"; done
}
with_objects() { rm -r labels && mv with_objects labels; }
without_objects
check calibrated_without_objects refuse \
    "objects.cfg:$(grep -n vkd_projection objects.cfg | cut -d: -f1): [vkd_projection]: calibrating tap 0: found no object in 7 draws from the \
pictures of objects.data; raise images, or set foreground below 1" \
    "$DARKNET" vkd calibrate objects.data objects.cfg -out none.cal
student late 120 "mode=whiten"
check late_objects train late late.cfg -seed 5
said_nothing() { ! grep whitened late.log; }
check late_objects_no_condition_number_yet said_nothing
with_objects
late_objects_resumed() {
    mkdir -p late_from
    cp late/late_100.weights late_from/late.backup
    cp late/late_100.weights.vkd late_from/late.backup.vkd
    train late_resumed late.cfg late_from/late.backup -seed 5 && [ "$(grep -c whitened late_resumed.log)" -eq 1 ] &&
        grep -qE 'vkd tap 0  whitened: [0-9]+ of 12 directions kept, condition number [0-9.e+]+$' late_resumed.log
}
check late_objects_resumed late_objects_resumed

# ---- padding ----
# Square pictures with jitter: the loader pads at one side or another.
student padded 120 "mode=standardize" mask_padding=1 foreground=0.5
student unmasked 120 "mode=standardize" foreground=0.5
check padding_masked train padded padded.cfg -seed 5
check padding_masked_again train padded2 padded.cfg -seed 5
check padding_masked_repeats same padded/padded_final.weights padded2/padded_final.weights
check padding_unmasked train unmasked unmasked.cfg -seed 5
check padding_matters differ padded/padded_final.weights unmasked/unmasked_final.weights
# A checkpoint that ends within a batch of the new size: training begins with a whole one, so that every picture
# meets its own frame (masks of other pictures, and of batches still being loaded, made runs that did not repeat).
other_batch() {
    mkdir -p other_from
    cp padded/padded_100.weights other_from/padded.backup
    cp padded/padded_100.weights.vkd other_from/padded.backup.vkd
    sed 's/^batch=4/batch=12/; s/^subdivisions=2/subdivisions=3/; s/^max_batches=120/max_batches=60/' padded.cfg >padded12.cfg
    train other1 padded12.cfg other_from/padded.backup -seed 5 && train other2 padded12.cfg other_from/padded.backup -seed 5 &&
        cmp other1/padded12_final.weights other2/padded12_final.weights &&
        sed -n 2p other1/padded12_log.csv | grep -q '^34,408,' # 400 pictures are 33 batches of 12 and a rest
}
check padding_after_another_batch_size other_batch
# dump calibrates itself, on pictures of its own, and still masks its own pictures.
masks_itself() {
    sed 's/^width=32/width=64/; s/mode=standardize/&\nstatistics=calibrated\nimages=6/' padded.cfg >wide.cfg
    "$DARKNET" vkd dump padded.data wide.cfg -seed 5 -images 2 -out wide >out 2>err && grep -q Calibrated err &&
        "$python" -c 'import numpy; mask = numpy.load("wide/tap0_mask.npy"); print(mask.mean()); assert mask.mean() == 0.5'
}
check padding_in_a_dump_that_calibrates masks_itself
exit "$status"
