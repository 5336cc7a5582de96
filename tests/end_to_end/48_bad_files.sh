#!/usr/bin/env bash
# Files that are cut, damaged, of something else or not there: one line that names the file, exit status 1, and every
# checkpoint as it was. Each table has a row a case: its name, what makes the file, and the line that is expected.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154,SC2317 # common.bash, what rows eval, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 20
cp train.txt whole.txt
check files_teacher teacher
{
    net 120 "${teacher_keys[@]}"
    student_layers
    tap 1 1
} >tapped.cfg
{
    net 120
    student_layers
} >plain.cfg
check files_run train run tapped.cfg -seed 3
mkdir good
cp run/tapped.backup good/tapped.weights
cp run/tapped.backup.vkd good/tapped.weights.vkd
size=$(wc -c <good/tapped.weights.vkd)

# rows COMMAND: reads `name | what makes it | expected` from stdin, blanks around the bars, and runs COMMAND for each.
rows() {
    local name make expected
    while IFS='|' read -r name make expected; do
        read -r name <<<"$name"
        [ -z "$name" ] || check "$1_$name" "$1" "$make" "${expected# }"
    done
}
# bytes FILE OFFSET HEX...: puts them into the file.
bytes() {
    local file=$1 at=$2 hex text=
    shift 2
    for hex; do text+=\\x$hex; done
    printf '%b' "$text" | dd of="$file" bs=1 seek="$at" conv=notrunc 2>dd.log
}
# Neither a folder nor a link to itself opens, whoever asks.
folder() {
    rm -f "$1" && mkdir "$1"
}
loop() {
    rm -f "$1" && ln -s "$(basename "$1")" "$1"
}
checkpoints() {
    find . -path './*/*' \( -name '*.weights*' -o -name '*.backup*' \) ! -path './bad/*' -exec cksum {} + | sort
}
# ends LINE COMMAND...: status 1, LINE the last of stderr, the file it names in no other line, all checkpoints as before.
ends() {
    local line=$1 code=0
    shift
    checkpoints >before
    timeout 60 "$@" >out 2>err </dev/null || code=$?
    cat err
    if [ "$code" -ne 1 ] || [ "$(tail -n 1 err)" != "$line" ]; then
        echo "status $code; expected 1 and: $line"
        return 1
    fi
    [ "$(grep -v '^Loading' err | grep -cF "${line%%:*}")" -eq 1 ] && checkpoints | cmp before -
}

# ---- weights: 20 bytes of header, then 496, 960 and 392 of three layers; the first one's variances begin at 68 ----
weights() {
    rm -rf bad && mkdir bad && cp good/tapped.weights bad/w.weights && cd bad && eval "$1" && cd .. || return
    ends "$2" "$DARKNET" detector train run.data plain.cfg bad/w.weights -seed 3
}
rows weights <<'TABLE'
empty           | : >w.weights                          | bad/w.weights: the file ends within its header
in_the_header   | truncate -s 19 w.weights              | bad/w.weights: the file ends within its header
header_alone    | truncate -s 20 w.weights              | bad/w.weights: layer 0 (convolutional): found 0 bytes, expected 496
in_a_layer      | truncate -s 515 w.weights             | bad/w.weights: layer 0 (convolutional): found 495 bytes, expected 496
one_byte_short  | truncate -s -1 w.weights              | bad/w.weights: layer 2 (convolutional): found 391 bytes, expected 392
one_byte_more   | truncate -s +1 w.weights              | bad/w.weights: found 1 bytes after the last of 4 layers, expected none: these are another cfg's weights
of_another_net  | cp ../teacher.weights w.weights       | bad/w.weights: found 6880 bytes after the last of 4 layers, expected none: these are another cfg's weights
older_version   | bytes w.weights 4 01                  | bad/w.weights: found 4 bytes after the last of 4 layers, expected none: these are another cfg's weights
nan             | bytes w.weights 100 00 00 c0 7f       | bad/w.weights: layer 0 (convolutional): found nan among its weights; the file is damaged, or another cfg's
infinity        | bytes w.weights 1476 00 00 80 ff      | bad/w.weights: layer 2 (convolutional): found -inf among its biases; the file is damaged, or another cfg's
negative        | bytes w.weights 68 00 00 80 bf        | bad/w.weights: layer 0 (convolutional): found -1 among its variances; the file is damaged, or another cfg's
folder          | folder w.weights                      | bad/w.weights: cannot be read: Is a directory
unreadable      | loop w.weights                        | bad/w.weights: cannot be opened: Too many levels of symbolic links
missing         | rm w.weights                          | bad/w.weights: cannot be opened: No such file or directory
TABLE

# ---- the sidecar: damage to it, and damage to the weights that it knows ----
sidecar() {
    rm -rf bad && mkdir bad && cp good/tapped.weights* bad && cd bad && eval "$1" && cd .. || return
    ends "${2//SIZE/$size}" "$DARKNET" detector train run.data tapped.cfg bad/tapped.weights -seed 3
}
other="of other weights than those beside it; remove it to start the projections afresh"
rows sidecar <<TABLE
empty           | : >tapped.weights.vkd                 | bad/tapped.weights.vkd: only 0 bytes, too few for a sidecar
in_the_header   | truncate -s 39 tapped.weights.vkd     | bad/tapped.weights.vkd: only 39 bytes, too few for a sidecar
in_a_block      | truncate -s 999 tapped.weights.vkd    | bad/tapped.weights.vkd: damaged: its checksum does not match its 999 bytes
one_byte_short  | truncate -s -1 tapped.weights.vkd     | bad/tapped.weights.vkd: damaged: its checksum does not match its $((size - 1)) bytes
flipped_data    | bytes tapped.weights.vkd 700 a5       | bad/tapped.weights.vkd: damaged: its checksum does not match its SIZE bytes
flipped_sum     | bytes tapped.weights.vkd $((size - 3)) a5 5a | bad/tapped.weights.vkd: damaged: its checksum does not match its SIZE bytes
other_version   | bytes tapped.weights.vkd 4 07         | bad/tapped.weights.vkd: version 7; this program reads version 2
other_order     | bytes tapped.weights.vkd 8 01 02 03 04 | bad/tapped.weights.vkd: written on a machine of another byte order
weights         | cp tapped.weights tapped.weights.vkd  | bad/tapped.weights.vkd: not a .vkd sidecar
folder          | folder tapped.weights.vkd             | bad/tapped.weights.vkd: not a regular file
unreadable      | loop tapped.weights.vkd               | bad/tapped.weights.vkd: cannot be opened: Too many levels of symbolic links
bias_changed    | bytes tapped.weights 20 a5            | bad/tapped.weights.vkd: $other
mean_changed    | bytes tapped.weights 52 a5            | bad/tapped.weights.vkd: $other
variance_changed | bytes tapped.weights 68 a5           | bad/tapped.weights.vkd: $other
TABLE
# A sidecar of before normalisation was hashed is still read: the hash of weights and biases alone is as good.
older_hash() {
    rm -rf bad && mkdir bad && cp good/tapped.weights* bad || return
    "$python" - bad/tapped.weights bad/tapped.weights.vkd <<'PYTHON' || return
import struct, sys

def fnv(data, value=14695981039346656037):
    for byte in data:
        value = (value ^ byte) * 1099511628211 % 2**64
    return value

weights, sidecar = (bytearray(open(path, "rb").read()) for path in sys.argv[1:])
value, at = fnv(b""), 20
for filters, inputs, normed in ((4, 27, True), (6, 36, True), (14, 6, False)):
    biases, at = weights[at:at + 4 * filters], at + 4 * filters * (4 if normed else 1)
    value, at = fnv(biases, fnv(weights[at:at + 4 * filters * inputs], value)), at + 4 * filters * inputs
assert sidecar[40:61] == b"student0.weights_hash"
sidecar[80:88] = struct.pack("<Q", value)
sidecar[-8:] = struct.pack("<Q", fnv(sidecar[:-8]))
open(sys.argv[2], "wb").write(sidecar)
PYTHON
    ! cmp -s good/tapped.weights.vkd bad/tapped.weights.vkd || return
    train older tapped.cfg bad/tapped.weights -seed 3 && grep -q '^Loading taps' older.log
}
check sidecar_of_an_older_program older_hash

# ---- a label file, met in one of the loader's threads ----
labels() {
    rm -rf "$f" && eval "$1" || return
    ends "$2" "$DARKNET" detector train run.data plain.cfg -seed 3 && rm -rf "$f"
}
at=$work/labels/p05.txt
five="expected five numbers: class x y width height"
cp -R labels labels_whole
f=labels/p05.txt zeros=$(printf '%060d' 0)
rows labels <<TABLE
nan             | echo 1 nan .5 .1 .1 >$f               | $at:1: x: found nan, expected a number
infinite        | echo 1 .5 -inf .1 .1 >$f              | $at:1: y: found -inf, expected a number
negative_width  | echo 1 .5 .5 -.1 .1 >$f               | $at:1: width: found -0.1, expected a number that is not negative
huge            | echo 1 .5 .5 .1 1e30 >$f              | $at:1: height: found 1e+30, expected a fraction of the picture's height, not pixels
pixels          | echo 1 10 20 30 40 >$f                | $at:1: x: found 10, expected a fraction of the picture's width, not pixels
class_beyond    | printf '0 .5 .5 .1 .1\n2 .5 .5 .1 .1\n' >$f | $at:2: class: found 2, expected an integer from 0 to 1
class_negative  | echo -1 .5 .5 .1 .1 >$f               | $at:1: class: found -1, expected an integer from 0 to 1
class_fraction  | echo 1.0 .5 .5 .1 .1 >$f              | $at:1: class: found "1.0", expected an integer from 0 to 1
four_numbers    | echo 1 .5 .5 .1 >$f                   | $at:1: found "1 .5 .5 .1", $five
commas          | echo 1,.5,.5,.1,.1 >$f                | $at:1: class: found "1,.5,.5,.1,.1", expected an integer from 0 to 1
control         | printf '1 .5 \033[2J\n' >$f           | $at:1: found "1 .5 ?[2J", $five
zeros           | head -c 4096 /dev/zero >$f            | $at:1: found a NUL byte, $five
picture         | cp images/p05.ppm $f                  | $at:1: class: found "P6", expected an integer from 0 to 1
endless         | printf '%050000d' 1 >$f               | $at:1: class: found "$zeros...", expected an integer from 0 to 1
folder          | mkdir $f                              | $at: cannot be read: Is a directory
unreadable      | ln -s p05.txt $f                      | $at: cannot be opened: Too many levels of symbolic links
TABLE
cp labels_whole/p05.txt labels/
# Several threads meet one at once: one of them is heard.
everywhere() {
    local i code
    for i in labels/*.txt; do echo none >"$i"; done
    for i in 1 2 3 4 5 6 7 8; do
        code=0
        timeout 60 "$DARKNET" detector train run.data plain.cfg -seed "$i" >out 2>err </dev/null || code=$?
        cat err
        [ "$code" -eq 1 ] && [ "$(grep -c '/labels/.*: class: found "none", expected' err)" -eq 1 ] || return
    done
}
check labels_all_bad everywhere
rm -rf labels && mv labels_whole labels

# ---- a picture: told once, and another takes its place; which one does not depend on what is wrong with it ----
sed 's/max_batches=120/max_batches=12/' plain.cfg >short.cfg
f=images/p05.ppm
cp "$f" whole.ppm
picture() {
    rm -rf "$f" && eval "$1" || return
    train "$2" short.cfg -seed 3 || return
    cat "$2.log"
    [ "$(grep -c p05.ppm "$2.log")" -eq 1 ] && grep -qE "$work/$f: (the picture cannot be read: .*; another takes its place|No such file.*)\$" "$2.log" &&
        grep -qx '1 of 20 pictures could not be read; others took their places' "$2.log" &&
        cmp missing/short_final.weights "$2/short_final.weights"
}
jpeg=$(dirname "$DARKNET")/data/eagle.jpg
# png WIDTH HEIGHT KIND BYTE...: every pixel of these bytes; kind 0 is grey, 4 grey with alpha, 6 colour with alpha.
png() {
    "$python" - "$@" <<'PYTHON'
import struct, sys, zlib
width, height, kind, *pixel = map(int, sys.argv[1:])

def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

rows = (b"\0" + bytes(pixel) * width) * height
sys.stdout.buffer.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
                        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
PYTHON
}
png 40 30 6 200 100 50 128 >alpha.png
rows picture <<'TABLE'
missing         | true                                  | missing
empty           | : >$f                                 | empty
text            | echo "this is no picture" >$f         | text
zeros           | head -c 5000 /dev/zero >$f            | zeros
cut_ppm         | head -c -1 whole.ppm >$f              | cut_ppm
cut_png         | head -c 60 alpha.png >$f              | cut_png
cut_jpeg        | head -c 60000 "$jpeg" >$f             | cut_jpeg
jpeg_start      | head -c 3 "$jpeg" >$f                 | jpeg_start
no_pixels       | printf 'P6\n0 0\n255\n' >$f           | no_pixels
many_pixels     | printf 'P6\n90000 90000\n255\n' >$f   | many_pixels
folder          | mkdir $f                              | folder
shell           | echo none >'`touch called`.ppm' && mv '`touch called`.ppm' $f | shell
TABLE
# What is unusual and no fault: it is trained on.
unusual() {
    rm -rf "$f" && eval "$1" || return
    train "$2" short.cfg -seed 3 || return
    cat "$2.log"
    ! grep -E 'p05|could not be read' "$2.log" && differ missing/short_final.weights "$2/short_final.weights"
}
rows unusual <<'TABLE'
grey            | png 40 30 0 90 >$f                    | grey
grey_and_alpha  | png 40 30 4 90 128 >$f                | grey_and_alpha
alpha           | cp alpha.png $f                       | alpha
whole_jpeg      | cp "$jpeg" $f                         | whole_jpeg
one_pixel       | png 1 1 6 9 99 199 255 >$f            | one_pixel
a_line          | png 20000 1 0 90 >$f                  | a_line
a_column        | png 1 20000 0 90 >$f                  | a_column
TABLE
# A list may name a picture several times, and it is still told once.
named_twice() {
    echo "no picture" >"$f"
    for i in 1 2 3; do cat whole.txt; done >train.txt
    train twice short.cfg -seed 3 || return
    cat twice.log
    [ "$(grep -c p05.ppm twice.log)" -eq 1 ] || return
    rm "$f" && train gone short.cfg -seed 3 || return
    cat gone.log
    [ "$(grep -c p05.ppm gone.log)" -eq 1 ]
}
check picture_named_twice named_twice
cp whole.txt train.txt
cp whole.ppm "$f"
# A picture's name is never a shell's line.
shell_name() {
    sed 's|p05.ppm$|`touch called`;touch called|' whole.txt >train.txt
    train shell_name short.cfg -seed 3 && [ ! -e called ]
}
check picture_name_is_no_command shell_name
cp whole.txt train.txt

# ---- lists and data files: other ways to write the same give the same bytes ----
check list_plain train as_is short.cfg -seed 3
written() {
    eval "$1" || return
    train other short.cfg -seed 3 && cmp as_is/short_final.weights other/short_final.weights
}
rows written <<'TABLE'
blank_lines     | sed '3s/$/\n\n   \n/' whole.txt >train.txt |
crlf            | sed 's/$/\r/' whole.txt >train.txt    |
trailing_blanks | sed 's/$/ \t/' whole.txt >train.txt   |
no_last_newline | printf %s "$(cat whole.txt)" >train.txt |
spaces          | mkdir "a b" && cp -R images labels "a b" && sed 's,/images,/a b/images,' whole.txt >train.txt |
TABLE
cp whole.txt train.txt
data_written() {
    mkdir -p "my lists" && cp whole.txt "my lists/train set.txt" && data_file other || return
    printf '\r\n# a comment\r\n  train =  my lists/train set.txt \r\nbackup\t= other\r\n' >other.data
    "$DARKNET" detector train other.data short.cfg -seed 3 >other.log 2>&1 && cmp as_is/short_final.weights other/short_final.weights
}
check written_data_file data_written
pipe() {
    mkfifo pipe || return
    cat whole.txt >pipe &
    data_file other && sed -i 's/^train=.*/train=pipe/' other.data || return
    timeout 60 "$DARKNET" detector train other.data short.cfg -seed 3 >other.log 2>&1 && cmp as_is/short_final.weights other/short_final.weights
}
check written_to_a_pipe pipe

# wrong SED_SCRIPT LINE: run.data changed so is refused by the command in $command.
wrong() {
    sed "$1" run.data >bad.data
    ends "$2" "$DARKNET" detector "$command" bad.data plain.cfg ${weights_file:+"$weights_file"}
}
command=train weights_file=
rows wrong <<'TABLE'
train           | /^train/d                             | bad.data: train: missing; expected the list of training pictures
train_empty     | s/^train=.*/train=/                   | bad.data: train: missing; expected the list of training pictures
train_nothing   | s/^/#/                                | bad.data: train: missing; expected the list of training pictures
train_missing   | s/^train=.*/train=no such.txt/        | no such.txt: cannot be opened: No such file or directory
train_folder    | s/^train=.*/train=images/             | images: cannot be opened: Is a directory
backup_file     | s/^backup=.*/backup=names/            | names: found a file; expected the backup folder
TABLE
command=map weights_file=run/tapped_final.weights
rows wrong <<'TABLE'
valid           | /^valid/d                             | bad.data: no valid= (the file that lists the pictures to evaluate on)
names           | /^names/d                             | bad.data: no names= (the file that lists the names of the classes)
names_folder    | s/^names=.*/names=images/             | images: cannot be opened: Is a directory
classes         | s/^classes=.*/classes=3/              | names: 2 names for 3 classes
TABLE
command=valid
sed '2,$d' names >one_name
rows wrong <<'TABLE'
valid_missing   | s/^valid=.*/valid=none.txt/           | none.txt: cannot be opened: No such file or directory
valid_names     | s/^names=.*/names=one_name/           | one_name: found 1 names, expected one for each of 2 classes
valid_results   | s/^names=.*/&\nresults=nowhere/       | nowhere/comp4_det_test_one.txt: cannot be opened: No such file or directory
TABLE
folders_as_data() {
    ends "images: cannot be opened: Is a directory" "$DARKNET" detector train images plain.cfg
}
check wrong_data_folder folders_as_data

# ---- classifiers and regressors ----
sort_pictures
{
    net 3
    classifier_layers
} >class.cfg
printf 'classes=2\ntrain=sorted.txt\nvalid=sorted.txt\nlabels=one_name\nbackup=run\n' >class.data
for command in train valid; do
    check "wrong_labels_of_a_classifier_$command" ends "one_name: found 1 names, expected one for each of 2 classes" \
        "$DARKNET" classifier "$command" class.data class.cfg
done
{
    net 3
    conv 6 2 3 leaky bn
    conv 2 1 1 linear
    printf '\n[avgpool]\n\n[cost]\ntype=sse\n'
} >numbers.cfg
mkdir -p numbers/images numbers/labels
cp "$(find images -name '*.ppm' | head -n 1)" numbers/images/one.jpg
echo "$work/numbers/images/one.jpg" >numbers.txt
printf 'classes=2\ntrain=numbers.txt\nbackup=run\n' >numbers.data
label=$work/numbers/labels/one.txt
check wrong_numbers_missing ends "$label: cannot be opened: No such file or directory" \
    "$DARKNET" regressor train numbers.data numbers.cfg
echo 0.5 >"$label"
check wrong_numbers_too_few ends "$label: found 1 numbers, expected one for each of 2 classes" \
    "$DARKNET" regressor train numbers.data numbers.cfg
echo 0.5 x >"$label"
check wrong_numbers_words ends "$label: found 1 numbers, expected one for each of 2 classes" \
    "$DARKNET" regressor train numbers.data numbers.cfg

# ---- `detector valid` loads with four threads, also where there are fewer pictures ----
valid() {
    rm -rf results && mkdir results
    head -n "$1" whole.txt >few.txt
    sed 's/^valid=.*/valid=few.txt/' run.data >few.data
    timeout 60 "$DARKNET" detector valid few.data plain.cfg run/tapped_final.weights >out 2>err </dev/null || return
    tail -n 3 err
    # Untrained as it is, the net sees something in every picture.
    [ "$(cut -d' ' -f1 results/*.txt | sort -u | wc -l)" -eq "$1" ]
}
for n in 1 2 3 4 5 9; do
    check "valid_$n" valid $n
done
exit "$status"
