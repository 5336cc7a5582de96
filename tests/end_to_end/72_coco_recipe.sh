#!/usr/bin/env bash
# The COCO recipe, as far as it goes without COCO and trained weights: the joined cfgs are Darknet's own students, every
# tap lies where its comment says, what a tap compares is finite, and the check of `make coco-check` runs, at a small
# size. Its figures at full size are in the README.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
: "${BUILD:=$root/build}"
export BUILD
darknet_cfg=$BUILD/darknet/cfg
for teacher in yolov3 yolov3-spp; do
    "$root/scripts/join_cfg.sh" "$darknet_cfg/yolov3-tiny.cfg" "$root/cfg/coco/yolov3-tiny-from-$teacher.taps" \
        >"yolov3-tiny-from-$teacher.cfg"
done

# Stripped, a joined cfg is Darknet's yolov3-tiny.cfg but for the two lines that make it train.
darknets_own() {
    local teacher
    for teacher in yolov3 yolov3-spp; do
        "$DARKNET" vkd strip "yolov3-tiny-from-$teacher.cfg" | grep . >stripped || return
        sed -e 's/^batch=.*/batch=64/' -e 's/^subdivisions=.*/subdivisions=8/' "$darknet_cfg/yolov3-tiny.cfg" | grep . |
            diff - stripped || return
    done
}
check coco_students_are_darknets_own darknets_own
if [ "$BUILD" = "$root/build" ]; then
    made() { cmp "$BUILD/cfg/coco/yolov3-tiny-from-yolov3.cfg" yolov3-tiny-from-yolov3.cfg; }
    check coco_cfgs_are_made made
fi

# kind FILE INDEX: the section that Darknet counts as this layer, on one line.
kind() {
    awk -v index_="$2" '/^\[/ && !/^\[(net|vkd_)/ { ++n } /^\[vkd_/ { exit } n == index_ + 1 { gsub(/[ \t\r]/, ""); printf "%s ", $0 }' "$1"
}
# Each tap stands right before a head: a convolution with batch norm, then one to 255 numbers, then [yolo].
before_a_head() { # FILE INDEX
    echo "$1 $2: $(kind "$1" "$2")"
    [[ $(kind "$1" "$2") == "[convolutional] batch_normalize=1 "* && $(kind "$1" $(($2 + 1))) == *filters=255* &&
        $(kind "$1" $(($2 + 2))) == "[yolo] "* ]]
}
taps_before_heads() {
    local cfg teacher from
    for cfg in yolov3-tiny-from-yolov3.cfg yolov3-tiny-from-yolov3-spp.cfg "$root/cfg/coco/depthwise.cfg"; do
        teacher=$darknet_cfg/$(basename "$(sed -n 's/^teacher_cfg=//p' "$cfg")")
        while read -r from; do
            before_a_head "$cfg" "$from" || return
        done < <(sed -n '/^\[vkd/,$s/^from=//p' "$cfg")
        while read -r from; do
            before_a_head "$teacher" "$from" || return
        done < <(sed -n 's/^teacher_from=//p' "$cfg")
    done
}
check coco_taps_stand_before_heads taps_before_heads

# The check itself: three batches of two pictures of 96 x 96 for each, alone and distilled.
runs() {
    (cd "$root" && OMP_NUM_THREADS=2 SIZE=96 BATCH=2 BATCHES=3 CHECK_DIR="$work/check" \
        CFGS="$work/yolov3-tiny-from-yolov3.cfg $work/yolov3-tiny-from-yolov3-spp.cfg cfg/coco/depthwise.cfg" \
        scripts/coco_check.sh) | tee table
}
check coco_check_runs runs
row() { grep -qE "$1" table || { cat table; return 1; }; }
check coco_tap_tiny_stride_32 row 'student  14 +3 x +3 x 512 -> teacher  80 +3 x +3 x1024  P 1024 x 512'
check coco_tap_tiny_stride_16 row 'student  21 +6 x +6 x 256 -> teacher  92 +6 x +6 x 512  P 512 x 256'
check coco_tap_spp_stride_32 row 'student  14 +3 x +3 x 512 -> teacher  87 +3 x +3 x1024  P 1024 x 512'
check coco_tap_spp_stride_16 row 'student  21 +6 x +6 x 256 -> teacher  99 +6 x +6 x 512  P 512 x 256'
check coco_tap_depthwise_stride_32 row 'student  50 +3 x +3 x 768 -> teacher  80 +3 x +3 x1024  P 1024 x 768'
check coco_tap_depthwise_stride_16 row 'student  59 +6 x +6 x 384 -> teacher  92 +6 x +6 x 512  P 512 x 384'
check coco_tap_depthwise_stride_8 row 'student  68 +12 x +12 x 192 -> teacher 104 +12 x +12 x 256  P 256 x 192'
rows() { [ "$(grep -cE '[0-9]+ MB +[0-9.]+ s a batch' table)" -eq 6 ]; }
check coco_check_measures_all rows

# Random weights give features of sane size through all of yolov3's 105 layers.
dumped() {
    "$DARKNET" vkd dump check/photographs.data check/yolov3-tiny-from-yolov3.cfg -out step -images 2 -seed 1 \
        -teacher_cfg "$darknet_cfg/yolov3.cfg" -teacher_weights check/yolov3.weights >dump.log 2>&1 || {
        tail -n 3 dump.log
        return 1
    }
    /usr/bin/python3 - step <<'PYTHON'
import numpy, sys
for tap in (0, 1):
    for side in ("student", "teacher", "dstudent"):
        x = numpy.load(f"{sys.argv[1]}/tap{tap}_{side}.npy")
        print(tap, side, x.shape, float(abs(x).max()), float(x.std()))
        assert numpy.isfinite(x).all() and x.std() > 0
        assert side != "teacher" or 1e-3 < x.std() < 1e3
PYTHON
}
check coco_features_are_finite dumped
exit "$status"
