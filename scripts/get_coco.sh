#!/usr/bin/env bash
# Brings COCO 2017 for `detector train`: pictures, labels in Darknet's format, lists and a data file.
#   scripts/get_coco.sh FOLDER [-y] [--dry-run]
# Says first what it would download and what room that takes, and asks; -y does not ask, --dry-run ends there. A stopped
# download goes on where it was; what is done is not done again.
# Environment: COCO_URL (a mirror of http://images.cocodataset.org), NAMES (default build/darknet/data/coco.names).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
: "${COCO_URL:=http://images.cocodataset.org}" "${NAMES:=$root/build/darknet/data/coco.names}"

# Path below COCO_URL, size in bytes of the archive. What comes out of it is no larger: pictures do not compress, and
# of the annotations only two files are taken.
archives=(
    "zips/train2017.zip 19336861798"
    "zips/val2017.zip 815585330"
    "annotations/annotations_trainval2017.zip 252907541"
)
labels_room=1000000000 # 123,287 small files

fail() {
    echo "get_coco.sh: $*" >&2
    exit 1
}
usage() {
    echo "usage: get_coco.sh FOLDER [-y] [--dry-run]" >&2
    exit 2
}

folder="" yes=0 dry=0
for argument in "$@"; do
    case $argument in
    -y) yes=1 ;;
    --dry-run) dry=1 ;;
    -*) usage ;;
    *)
        [ -z "$folder" ] || usage
        folder=$argument
        ;;
    esac
done
[ -n "$folder" ] || usage

gigabytes() { awk -v bytes="$1" 'BEGIN { printf "%.1f GB", bytes / 1e9 }'; }
size_of() { if [ -f "$1" ]; then wc -c <"$1"; else echo 0; fi; }
# done_mark ARCHIVE: the file that says that an archive is unpacked.
done_mark() { echo "$folder/.$(basename "$1" .zip).unpacked"; }

# ---- what there is to do, and whether it fits ----
room=$labels_room
echo "COCO 2017 to $folder:"
for entry in "${archives[@]}"; do
    read -r path bytes <<<"$entry"
    zip=$folder/$(basename "$path")
    if [ -e "$(done_mark "$path")" ]; then
        echo "  $COCO_URL/$path: is there"
        continue
    fi
    here=$(size_of "$zip")
    [ "$here" -gt 0 ] || here=$(size_of "$zip.part")
    note=
    if [ "$here" -gt 0 ]; then note=", $(gigabytes "$here") of it there"; fi
    echo "  $COCO_URL/$path: $(gigabytes "$bytes")$note"
    room=$((room + 2 * bytes - here))
done
parent=$folder
while ! [ -d "$parent" ]; do parent=$(dirname "$parent"); done
free=$(df -Pk "$parent" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')
echo "room while unpacking: up to $(gigabytes "$room"); free: $(gigabytes "$free")"

# ---- whether it can be done ----
missing=()
command -v curl >/dev/null || command -v wget >/dev/null || missing+=(curl)
for tool in unzip python3; do command -v "$tool" >/dev/null || missing+=("$tool"); done
[ "${#missing[@]}" -eq 0 ] || fail "please install: ${missing[*]}"
[ "$free" -ge "$room" ] ||
    fail "$parent has $(gigabytes "$free") free, $(gigabytes "$room") are needed"
[ -f "$NAMES" ] || fail "$NAMES is missing; run 'make' first"
[ "$dry" -eq 0 ] || exit 0
if [ "$yes" -eq 0 ]; then
    [ -t 0 ] || fail "nobody to ask; -y downloads without asking"
    read -r -p "Download? [y/N] " answer
    case $answer in y | Y | yes) ;; *) exit 1 ;; esac
fi

# ---- download, check, unpack ----
mkdir -p "$folder/images" "$folder/backup"
folder=$(cd "$folder" && pwd)

# fetch URL FILE BYTES: to FILE.part, which becomes FILE when it is whole.
fetch() {
    [ ! -f "$2" ] || return 0
    # A server has nothing to add to a whole file, and says so with an error.
    if [ "$(size_of "$2.part")" -lt "$3" ]; then
        if command -v curl >/dev/null; then
            curl -fL --retry 5 -C - -o "$2.part" "$1"
        else
            wget -c -O "$2.part" "$1"
        fi || fail "$1: the download failed; the same command goes on from there"
    fi
    mv "$2.part" "$2"
}

for entry in "${archives[@]}"; do
    read -r path bytes <<<"$entry"
    mark=$(done_mark "$path")
    [ ! -e "$mark" ] || continue
    zip=$folder/$(basename "$path")
    fetch "$COCO_URL/$path" "$zip" "$bytes"
    unzip -tqq "$zip" >/dev/null || {
        rm -f "$zip"
        fail "$zip: not a whole archive; removed, the same command downloads it again"
    }
    case $path in
    annotations/*) unzip -qo "$zip" 'annotations/instances_*2017.json' -d "$folder" ;;
    *) unzip -qo "$zip" -d "$folder/images" ;;
    esac
    touch "$mark"
    rm -f "$zip" # its contents are there; the room is for the next one
done

# ---- labels, lists, data file ----
for split in train2017 val2017; do
    python3 "$root/scripts/coco_labels.py" "$folder/annotations/instances_$split.json" "$folder/images/$split" \
        "$folder/labels/$split" "$folder/$split.txt"
done
cp "$NAMES" "$folder/coco.names"
cat >"$folder/coco.data" <<DATA
classes=80
train=$folder/train2017.txt
valid=$folder/val2017.txt
names=$folder/coco.names
backup=$folder/backup
eval=coco
DATA
echo "$folder/coco.data: ready to train with"
