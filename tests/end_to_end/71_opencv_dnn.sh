#!/usr/bin/env bash
# An exported student is an ordinary one: OpenCV's dnn module, an independent implementation, computes with the plain
# cfg and the weights what this program computes. Both get the same input, and every row is compared, not only the
# boxes that a threshold and suppression leave.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
: "${BUILD:=$root/build}"
print_rows=$BUILD/tests/handover/print_rows
photograph=$BUILD/darknet/data/dog.jpg

if pkg-config --exists opencv4 2>/dev/null; then
    read -ra flags <<<"$(pkg-config --cflags opencv4)"
elif [ -e /usr/include/opencv4/opencv2/dnn.hpp ]; then
    flags=(-I/usr/include/opencv4) # Debian's libopencv-dnn-dev alone, which brings no opencv4.pc
else
    echo "ok opencv_dnn # skipped: no OpenCV dnn module; scripts/install_deps.sh dnn"
    exit 0
fi
compile() {
    "${CXX:-g++}" -std=c++17 -O1 -Wall -Wextra -Werror "${flags[@]}" "$root/tests/handover/opencv_rows.cpp" \
        -o opencv_rows -lopencv_dnn -lopencv_core
}
check opencv_program_compiles compile
[ "$status" -eq 0 ] || exit 1

# threshold CFG: the cfg with the line that makes OpenCV write down scores of 0.2 and less too.
threshold() { sed 's/^\[yolo\]/[yolo]\nthresh=0/' "$1"; }

# agree CFG WEIGHTS PICTURE THRESH [OPENCV_WEIGHTS]
agree() {
    "$print_rows" "$1" "$2" "$3" input rows >ours.log 2>&1 </dev/null || {
        tail -n 3 ours.log
        return 1
    }
    timeout 120 ./opencv_rows "$1" "${5:-$2}" input rows "$4"
}

# ---- the shape of yolov3-tiny, with random weights ----
random() {
    cp "$BUILD/darknet/cfg/yolov3-tiny.cfg" tiny.cfg && threshold tiny.cfg >tiny_all.cfg &&
        /usr/bin/python3 "$root/scripts/make_random_weights.py" tiny.cfg tiny.weights
}
check opencv_random_weights random
check opencv_tiny_as_it_is agree tiny.cfg tiny.weights "$photograph" 0.2
check opencv_tiny_all_scores agree tiny_all.cfg tiny.weights "$photograph" 0

# ---- grouped convolutions and residual connections: the COCO student of MobileNet's size ----
depthwise() {
    "$DARKNET" vkd strip "$root/cfg/coco/depthwise.cfg" >depthwise.cfg && threshold depthwise.cfg >depthwise_all.cfg &&
        /usr/bin/python3 "$root/scripts/make_random_weights.py" depthwise.cfg depthwise.weights
}
check opencv_depthwise_weights depthwise
check opencv_depthwise_all_scores agree depthwise_all.cfg depthwise.weights "$photograph" 0

# ---- the demo's student, distilled for a while from the shipped teacher ----
demo_student() {
    /usr/bin/python3 "$root/scripts/make_fashion_detection.py" -out scenes -train 64 -test 2 || return
    cp "$root/cfg/fashion/teacher.cfg" "$root/cfg/fashion/teacher.weights" . || return
    # Gently: few batches of few scenes at the demo's rate diverge.
    sed -e 's/^batch=.*/batch=8/' -e 's/^max_batches=.*/max_batches=120/' -e 's/^burn_in=.*/burn_in=40/' \
        -e 's,cfg/fashion/,,' -e 's/^learning_rate=.*/learning_rate=0.004/' "$root/cfg/fashion/student_vkd.cfg" >student.cfg
    mkdir run
    printf 'classes=10\ntrain=scenes/train.txt\nvalid=scenes/test.txt\nnames=%s\nbackup=run\n' \
        "$root/cfg/fashion/fashion.names" >demo.data
    OMP_NUM_THREADS=2 timeout 400 "$DARKNET" detector train demo.data student.cfg -seed 3 >train.log 2>&1 </dev/null || {
        tail -n 5 train.log
        return 1
    }
    "$DARKNET" vkd strip student.cfg >plain.cfg && threshold plain.cfg >plain_all.cfg
}
check opencv_demo_student demo_student
student=run/student_final.weights
scene=$(head -n 1 scenes/test.txt)
check opencv_student_all_scores_of_a_scene agree plain_all.cfg "$student" "$scene" 0
check opencv_student_all_scores_of_a_photograph agree plain_all.cfg "$student" "$photograph" 0

# ---- the shipped teacher: small variances in its first layer, where the two divide differently ----
scales() {
    threshold teacher.cfg >teacher_all.cfg &&
        /usr/bin/python3 "$root/scripts/weights_for_opencv.py" teacher.cfg teacher.weights opencv.weights
}
check opencv_weights_for_opencv scales
check opencv_teacher_of_a_scene agree teacher_all.cfg teacher.weights "$scene" 0 opencv.weights
check opencv_teacher_of_a_photograph agree teacher_all.cfg teacher.weights "$photograph" 0 opencv.weights

# ---- a difference is found, and an unstripped cfg is refused ----
other_weights() {
    /usr/bin/python3 "$root/scripts/make_random_weights.py" tiny.cfg other.weights --seed 2 &&
        ! agree tiny_all.cfg tiny.weights "$photograph" 0 other.weights
}
check opencv_other_weights_differ other_weights
unstripped() {
    ! ./opencv_rows student.cfg "$student" input rows 0 2>err && cat err && grep -q 'Unknown layer type: vkd_' err
}
check opencv_wants_a_stripped_cfg unstripped
exit "$status"
