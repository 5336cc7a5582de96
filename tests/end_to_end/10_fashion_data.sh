#!/bin/sh
# The demo's data set: same arguments, same bytes; labels that fit; splits apart; the stamp; wrong input.
# shellcheck disable=SC2317 # functions are called through check
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
make_data=$root/scripts/make_fashion_detection.py
python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import numpy, PIL' 2>/dev/null; then python=$candidate; break; fi
done
: "${python:=python3}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
status=0

# check NAME COMMAND...: one test; the command's output is shown if it fails.
check() {
    name=$1
    shift
    if "$@" >output 2>&1; then
        echo "ok $name"
    else
        echo "not ok $name"
        sed 's/^/# /' output
        status=1
    fi
}

make_it() { "$python" "$make_data" "$@"; }
same_scenes() { diff -r "$1/images" "$2/images" && diff -r "$1/labels" "$2/labels"; }
differ() { ! cmp -s "$1" "$2"; }
run_fails_with() { # MESSAGE ARGUMENT...: exit status 1, one line, holding MESSAGE
    message=$1
    shift
    if make_it "$@" >said 2>&1; then echo "no error"; return 1; fi
    cat said
    [ "$(wc -l <said)" -eq 1 ] && grep -qF -- "$message" said
}

check fashion_data_is_made make_it -out a -train 40 -test 10 -seed 5
make_it -out b -train 40 -test 10 -seed 5 -jobs 1 >/dev/null
check fashion_data_same_seed_same_bytes same_scenes a b
make_it -out c -train 12 -test 10 -seed 5 >/dev/null
first_of_more() {
    [ "$(find c/images/train -type f | wc -l)" -eq 12 ] || return 1
    for file in c/images/train/*.jpg c/labels/train/*.txt; do cmp "$file" "a/${file#c/}" || return 1; done
}
check fashion_data_fewer_scenes_are_the_first_ones first_of_more
make_it -out d -train 12 -test 1 -seed 6 >/dev/null
other_seed() {
    for file in d/images/train/*.jpg; do differ "$file" "a/${file#d/}" || return 1; done
}
check fashion_data_other_seed_other_bytes other_seed

cat >labels.py <<'PYTHON'
# Labels: in range, as many as items, around pixels that differ from an empty scene; the lists name every picture.
import glob, os, sys
import numpy as np
sys.path.insert(0, os.path.dirname(sys.argv[1]))
sys.dont_write_bytecode = True
import make_fashion_detection as made
from PIL import Image
boxes = 0
for split, number in (("train", 40), ("test", 10)):
    with open("a/%s.txt" % split) as file:
        paths = file.read().split("\n")
    assert paths.pop() == "" and len(paths) == number == len(set(paths)), paths
    assert sorted(paths) == sorted(glob.glob("a/images/%s/*" % split))
    for path in paths:
        assert Image.open(path).size == (160, 160) and Image.open(path).mode == "RGB"
        label = path.replace("images", "labels", 1).replace(".jpg", ".txt", 1)
        with open(label) as file:
            lines = [line.split() for line in file]
        assert 1 <= len(lines) <= 6, (label, len(lines))
        for line in lines:
            kind, (x, y, w, h) = int(line[0]), map(float, line[1:])
            assert 0 <= kind < 10 and len(line) == 5, line
            assert 4 <= 160 * w <= 72.001 and 4 <= 160 * h <= 72.001, line
            assert x - w / 2 > -1e-5 and y - h / 2 > -1e-5 and x + w / 2 < 1 + 1e-5 and y + h / 2 < 1 + 1e-5, line
            boxes += 1
assert boxes > 100, boxes
# An item's box is tight: on a black scene, with a white picture, the bright pixels end exactly at the box.
made.background = lambda rng: rng.random() and np.zeros((160, 160, 3), np.float32)
grey = np.zeros((1, 28, 28), np.uint8)
grey[0, 4:20, 7:25] = 255
single = 0
for number in range(40):
    pixels, found = made.make_scene(3, "train", number, grey, np.array([7]))
    if len(found) != 1:
        continue
    single += 1
    kind, x, y, w, h = found[0]
    bright = pixels.max(2) > 90
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    edges = (160 * (x - w / 2), 160 * (x + w / 2), 160 * (y - h / 2), 160 * (y + h / 2))
    seen = (columns[0], columns[-1] + 1, rows[0], rows[-1] + 1)
    assert kind == 7 and np.abs(np.subtract(edges, seen)).max() <= 1, (edges, seen)
assert single >= 3, single
PYTHON
check fashion_data_labels_fit "$python" labels.py "$make_data"

cat >splits.py <<'PYTHON'
# Splits apart: of a source whose training pictures are all of class 1 and test pictures of class 2, no scene mixes.
import os, struct
import numpy as np
os.mkdir("source")
for prefix, kind, number in (("train", 1, 30), ("t10k", 2, 20)):
    pictures = np.zeros((number, 28, 28), np.uint8)
    pictures[:, 3:25, 5:20] = 200
    with open("source/%s-images-idx3-ubyte" % prefix, "wb") as file:
        file.write(b"\0\0\x08\x03" + struct.pack(">3I", number, 28, 28) + pictures.tobytes())
    with open("source/%s-labels-idx1-ubyte" % prefix, "wb") as file:
        file.write(b"\0\0\x08\x01" + struct.pack(">I", number) + bytes([kind]) * number)
PYTHON
"$python" splits.py
splits_apart() {
    make_it -out e -train 20 -test 20 -source source || return 1
    [ "$(cut -d ' ' -f 1 e/labels/train/*.txt | sort -u)" = 1 ] && [ "$(cut -d ' ' -f 1 e/labels/test/*.txt | sort -u)" = 2 ]
}
check fashion_data_splits_are_apart splits_apart

second_run_does_nothing() {
    touch -d 2001-01-01 a/train.txt
    make_it -out a -train 40 -test 10 -seed 5 | grep -F 'a is up to date' || return 1
    [ "$(date -r a/train.txt +%Y)" = 2001 ]
}
check fashion_data_second_run_does_nothing second_run_does_nothing
other_arguments_make_it_anew() {
    make_it -out a -train 3 -test 2 -seed 5 && [ "$(wc -l <a/train.txt)" -eq 3 ] && [ ! -e a/images/train/scene_000003.jpg ]
}
check fashion_data_other_arguments_make_it_anew other_arguments_make_it_anew

mkdir foreign && echo mine >foreign/file
check fashion_data_keeps_a_foreign_folder run_fails_with 'was not made by this program' -out foreign -train 1 -test 1
check fashion_data_names_the_package run_fails_with 'install the Debian package dataset-fashion-mnist' -out f -source nowhere
head -c 1000 source/train-images-idx3-ubyte >short && cp short source/train-images-idx3-ubyte
check fashion_data_reports_a_short_file run_fails_with 'train-images-idx3-ubyte is cut short' -out f -source source
check fashion_data_refuses_a_path_darknet_replaces run_fails_with "must not hold 'images', 'raw'" -out drawn/raw
check fashion_data_reports_a_bad_number run_fails_with '-train' -out f -train -3
nothing_left() { [ -z "$(find . -maxdepth 1 -name 'f*' ! -name foreign)" ] && [ -z "$(find . -maxdepth 1 -name '*.tmp.*')" ]; }
check fashion_data_leaves_nothing_after_an_error nothing_left
exit $status
