#!/usr/bin/env bash
# scripts/get_coco.sh around a downloader that brings tiny archives, scripts/coco_labels.py on a hand-made JSON, and
# scripts/join_cfg.sh. Needs no network.
# shellcheck disable=SC2317 # functions that check() calls
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
status=0
python=/usr/bin/python3

check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$work/output" 2>&1; then echo "ok $name"; else
        echo "not ok $name"
        tail -n 15 "$work/output" | sed 's/^/# /'
        status=1
    fi
}

# ---- the labels: two pictures and a half; a gap in the numbers, a crowd, a box beyond the edge, one without an area ----
make_json() { # NAME SPLIT: NAME gets instances_SPLIT.json
    cat >"$1" <<'JSON'
{"info": {}, "images": [
  {"id": 9, "file_name": "000000000009.jpg", "width": 200, "height": 100},
  {"id": 3, "file_name": "000000000003.jpg", "width": 64, "height": 64},
  {"id": 7, "file_name": "000000000007.jpg", "width": 50, "height": 80}],
 "annotations": [
  {"id": 1, "image_id": 9, "category_id": 1, "iscrowd": 0, "bbox": [20, 10, 40, 50], "segmentation": [[1, 2, 3, 4]]},
  {"id": 2, "image_id": 9, "category_id": 90, "iscrowd": 0, "bbox": [150.5, 60, 60, 20], "segmentation": []},
  {"id": 3, "image_id": 9, "category_id": 1, "iscrowd": 1, "bbox": [0, 0, 200, 100],
   "segmentation": {"counts": [1], "size": [1, 1]}},
  {"id": 4, "image_id": 3, "category_id": 13, "iscrowd": 0, "bbox": [0, 0, 64, 64]},
  {"id": 5, "image_id": 3, "category_id": 2, "iscrowd": 0, "bbox": [5, 5, 0, 10]}]}
JSON
}
make_json instances.json
mkdir pictures
touch pictures/00000000000{3,7,9}.jpg
labels() {
    "$python" "$root/scripts/coco_labels.py" "${1:-instances.json}" pictures labels list.txt
}
converts() {
    labels | grep -F '3 pictures, 3 objects; left out: 1 crowds, 1 without an area' || return
    printf '0 0.200000 0.350000 0.200000 0.500000\n79 0.876250 0.700000 0.247500 0.200000\n' |
        diff - labels/000000000009.txt &&
        echo '11 0.500000 0.500000 1.000000 1.000000' | diff - labels/000000000003.txt &&
        [ -f labels/000000000007.txt ] && [ ! -s labels/000000000007.txt ]
}
check coco_labels converts
in_order() { printf "$work/pictures/00000000000%d.jpg\n" 3 7 9 | diff - list.txt; }
check coco_labels_list_every_picture in_order
# The first, the last, and those beside gaps, by the names in Darknet's own coco.names.
classes() {
    "$python" - "$root/scripts" <<'PYTHON'
import sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from coco_labels import CLASS_OF
assert len(CLASS_OF) == 80 and sorted(CLASS_OF.values()) == list(range(80))
for number, index in {1: 0, 11: 10, 13: 11, 25: 23, 27: 24, 31: 26, 44: 39, 46: 40, 67: 60, 70: 61, 72: 62, 82: 72, 84: 73,
                      90: 79}.items():
    assert CLASS_OF[number] == index, number
PYTHON
}
check coco_labels_classes classes
refused() { # LINE JSON
    local said
    said=$(labels "$2" 2>&1) && return 1
    echo "$said"
    [ "$said" = "coco_labels.py: $1" ]
}
sed 's/"category_id": 13/"category_id": 12/' instances.json >category.json
check coco_labels_refuse_a_category refused "annotation 4: category_id 12 is none of COCO's 80" category.json
sed 's/"image_id": 3, "category_id": 13/"image_id": 4, "category_id": 13/' instances.json >image.json
check coco_labels_refuse_an_image refused "annotation 4: there is no image 4" image.json
echo '{"images": []}' >other.json
check coco_labels_refuse_another_json refused "other.json: not COCO's instances: KeyError('annotations')" other.json
sed 's/000000000007/000000000008/' instances.json >missing.json
check coco_labels_refuse_missing_pictures refused \
    "pictures: 1 of 3 pictures are missing, 000000000008.jpg for one" missing.json

# ---- the download, with a curl that copies from $work/site and a df that says what it is told ----
mkdir -p site/zips site/annotations bin made/annotations
for split in train2017 val2017; do
    mkdir "made/$split"
    cp pictures/* "made/$split"
    cp instances.json "made/annotations/instances_$split.json"
    (cd made && "$python" -m zipfile -c "../site/zips/$split.zip" "$split")
done
(cd made && "$python" -m zipfile -c ../site/annotations/annotations_trainval2017.zip annotations)
seq 80 >names
cat >bin/curl <<'CURL'
#!/bin/sh
# curl ... -o FILE URL; continues a FILE that is begun.
while [ $# -gt 1 ]; do
    case $1 in -o) out=$2 ;; esac
    shift
done
echo "$1" >>calls
[ ! -e offline ] || exit 6
begun=$(wc -c <"$out" 2>/dev/null || echo 0)
tail -c "+$((begun + 1))" "site/${1#http://site/}" >>"$out"
CURL
cat >bin/df <<'DF'
#!/bin/sh
echo "Filesystem 1024-blocks Used Available Capacity Mounted on"
echo "disk 1 1 $(cat free) 1% /"
DF
chmod +x bin/*
echo 50000000 >free
get() { PATH=$work/bin:$PATH COCO_URL=http://site NAMES=$work/names "$root/scripts/get_coco.sh" "$@" </dev/null; }
get_says() { # STATUS LINE ARGUMENT...: the status and the last line
    local code=0 wanted=$1 line=$2
    shift 2
    get "$@" >told 2>&1 || code=$?
    cat told
    [ "$code" -eq "$wanted" ] && [ "$(tail -n 1 told)" = "$line" ]
}
plan() {
    get_says 0 "room while unpacking: up to 41.8 GB; free: 51.2 GB" coco --dry-run &&
        grep -F 'http://site/zips/train2017.zip: 19.3 GB' told && grep -F 'annotations_trainval2017.zip: 0.3 GB' told &&
        [ ! -e coco ] && [ ! -e calls ]
}
check get_coco_plan plan
check get_coco_asks get_says 1 "get_coco.sh: nobody to ask; -y downloads without asking" coco
check get_coco_usage get_says 2 "usage: get_coco.sh FOLDER [-y] [--dry-run]" -y
echo 1000000 >free
check get_coco_without_room get_says 1 "get_coco.sh: $work has 1.0 GB free, 41.8 GB are needed" "$work/coco" -y
echo 50000000 >free
touch offline
check get_coco_offline get_says 1 \
    "get_coco.sh: http://site/zips/train2017.zip: the download failed; the same command goes on from there" coco -y
rm offline
# Half of the first archive is there; the second is damaged on its way.
head -c 100 site/zips/train2017.zip >coco/train2017.zip.part
mv site/zips/val2017.zip whole.zip
head -c 150 whole.zip >site/zips/val2017.zip
check get_coco_damaged get_says 1 \
    "get_coco.sh: $work/coco/val2017.zip: not a whole archive; removed, the same command downloads it again" coco -y
mv whole.zip site/zips/val2017.zip
rm calls
goes_on() {
    get_says 0 "$work/coco/coco.data: ready to train with" coco -y || return
    ! grep train2017.zip calls && [ "$(wc -l <calls)" -eq 2 ] && [ -z "$(find coco -name '*.zip*')" ]
}
check get_coco_goes_on goes_on
complete() {
    [ "$(wc -l <coco/train2017.txt)" -eq 3 ] && head -n 1 coco/val2017.txt | grep -qx "$work/coco/images/val2017/000000000003.jpg" &&
        [ -s coco/labels/train2017/000000000009.txt ] && grep -qx "valid=$work/coco/val2017.txt" coco/coco.data &&
        cmp names coco/coco.names
}
check get_coco_complete complete
rm calls
again() { get_says 0 "$work/coco/coco.data: ready to train with" coco -y && [ ! -e calls ]; }
check get_coco_again_downloads_nothing again

# ---- joining a cfg ----
printf '[net]\n# Testing\nbatch = 1\nwidth=32\n\n[convolutional]\nbatch=7\n' >plain.cfg
printf '# why\n[net]\nteacher_cfg=t.cfg\nbatch=64\n\n[vkd_projection]\n# this layer\nfrom=0\n' >taps
joins() {
    "$root/scripts/join_cfg.sh" plain.cfg taps >joined.cfg &&
        printf '[net]\nteacher_cfg=t.cfg\n# Testing\nbatch=64\nwidth=32\n\n[convolutional]\nbatch=7\n\n[vkd_projection]\n# this layer\nfrom=0\n' |
        diff - joined.cfg
}
check join_cfg joins
join_refuses() { # LINE ARGUMENT...
    local line=$1 said
    shift
    said=$("$root/scripts/join_cfg.sh" "$@" 2>&1 >/dev/null) && return 1
    echo "$said"
    [ "$said" = "$line" ]
}
sed 's/^batch=/bacth=/' taps >typing_error
check join_cfg_unknown_key join_refuses "join_cfg.sh: plain.cfg: no bacth= in [net] to replace" plain.cfg typing_error
check join_cfg_missing_file join_refuses "join_cfg.sh: none.cfg: cannot be read, or is empty" none.cfg taps
exit "$status"
