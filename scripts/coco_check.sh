#!/usr/bin/env bash
# `make coco-check`: a few training batches of each COCO student on the seven photographs that come with Darknet, at
# full size, alone and distilled from teachers with random weights. Shows that the cfgs and taps fit, what memory they
# take and how long a batch takes; nothing about accuracy.
# Environment: BATCHES (default 4), BATCH (8), SUBDIVISIONS (1), SIZE (416), CHECK_DIR (build/coco_check),
# DARKNET (program), BUILD (folder with darknet/ and cfg/coco/), CFGS (the cfgs to check).
set -euo pipefail
cd "$(dirname "$0")/.."
: "${BATCHES:=4}" "${BATCH:=8}" "${SUBDIVISIONS:=1}" "${SIZE:=416}" "${BUILD:=build}" "${DARKNET:=./darknet}"
: "${CHECK_DIR:=build/coco_check}"
: "${CFGS:=$BUILD/cfg/coco/yolov3-tiny-from-yolov3.cfg $BUILD/cfg/coco/yolov3-tiny-from-yolov3-spp.cfg cfg/coco/depthwise.cfg}"
python=/usr/bin/python3

fail() {
    echo "coco_check.sh: $*" >&2
    exit 1
}
"$python" -c 'import numpy' 2>/dev/null || fail "no $python with numpy; on Debian: apt install python3-numpy"
mkdir -p "$CHECK_DIR"/{images,labels,backup}
for photograph in "$BUILD"/darknet/data/*.jpg; do
    ln -sf "$(realpath "$photograph")" "$CHECK_DIR/images/"
done
cp cfg/coco/photographs/*.txt "$CHECK_DIR/labels/"
ls "$CHECK_DIR"/images/*.jpg >"$CHECK_DIR/train.txt"
data=$CHECK_DIR/photographs.data
printf 'classes=80\ntrain=%s\nvalid=%s\nnames=%s\nbackup=%s\n' "$CHECK_DIR/train.txt" "$CHECK_DIR/train.txt" \
    "$BUILD/darknet/data/coco.names" "$CHECK_DIR/backup" >"$data"

# short_run CFG: with the batch and size that are asked for, at one size.
short_run() {
    sed -e "s/^batch=.*/batch=$BATCH/" -e "s/^subdivisions=.*/subdivisions=$SUBDIVISIONS/" -e 's/^random=.*/random=0/' \
        -e "s/^\(width\|height\)=.*/\1=$SIZE/" -e 's/^max_batches *=.*/max_batches='"$BATCHES/" "$1"
}

# measured LOG COMMAND...: runs it; prints its peak of memory in megabytes.
measured() {
    "$python" -c '
import resource, subprocess, sys
with open(sys.argv[1], "w") as log:
    status = subprocess.call(sys.argv[2:], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(status)' "$@"
}

# seconds LOG.csv: the median over the batches but the first.
seconds() {
    awk -F, 'NR > 2 { print $3 - last } NR > 1 { last = $3 }' "$1" | sort -n |
        awk '{ t[NR] = $1 } END { printf "%.2f", t[int((NR + 1) / 2)] }'
}

# train NAME CFG [ARGUMENT...]: a line of the table.
train() {
    local name=$1 cfg=$2 log=$CHECK_DIR/$1.log peak
    shift 2
    peak=$(measured "$log" "$DARKNET" detector train "$data" "$cfg" -seed 1 -clear "$@") || {
        tail -n 5 "$log" >&2
        fail "$name: training failed"
    }
    if grep -q 'not finite\|do nothing' "$log"; then
        grep 'not finite\|do nothing' "$log" >&2
        fail "$name: nothing was taught"
    fi
    printf '%-45s %6d MB %8s s a batch\n' "$name" "$peak" "$(seconds "$CHECK_DIR/backup/${name}_log.csv")"
    rm -f "$CHECK_DIR/backup/$name"*.weights* "$CHECK_DIR/backup/$name.backup"*
}

echo "batches of $BATCH in $SUBDIVISIONS, $SIZE x $SIZE, $(nproc) processors:$(sed -n '/^model name/{s/.*://p;q}' /proc/cpuinfo)"
for cfg in $CFGS; do
    name=$(basename "$cfg" .cfg)
    short_run "$cfg" >"$CHECK_DIR/$name.cfg"
    "$DARKNET" vkd strip "$CHECK_DIR/$name.cfg" >"$CHECK_DIR/${name}_alone.cfg"
    teacher=$BUILD/darknet/cfg/$(basename "$(sed -n 's/^teacher_cfg=//p' "$cfg")")
    weights=$CHECK_DIR/$(basename "$teacher" .cfg).weights
    [ -s "$weights" ] || "$python" scripts/make_random_weights.py "$teacher" "$weights" >/dev/null
    train "${name}_alone" "$CHECK_DIR/${name}_alone.cfg"
    train "$name" "$CHECK_DIR/$name.cfg" -teacher_cfg "$teacher" -teacher_weights "$weights"
    grep 'vkd tap' "$CHECK_DIR/$name.log"
done
