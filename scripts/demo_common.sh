# shellcheck shell=sh
# What the demo's scripts share.  Source it from the repository's root with `set -eu`.
#
# Environment: DARKNET (program), BATCHES (training batches, default: the cfg's), DEMO_DIR and DATA_DIR (folders for
# results and for the data set), FASHION_MNIST (folder of the IDX files), TRAIN and TEST (numbers of scenes).

: "${DARKNET:=./darknet}" "${BATCHES:=}" "${DEMO_DIR:=build/demo}" "${DATA_DIR:=build/fashion}"
: "${TRAIN:=6000}" "${TEST:=1000}"
teacher_cfg=cfg/fashion/teacher.cfg
teacher_weights=cfg/fashion/teacher.weights

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

interrupted() {
    trap - INT TERM
    printf '\n%s: stopped; finished trainings are kept, the same command goes on from there\n' "$(basename "$0")" >&2
    exit 130
}

# A Python that has numpy and Pillow: the first on the path, or Debian's.
find_python() {
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import numpy, PIL' 2>/dev/null; then return; fi
    done
    fail "no python3 with numpy and Pillow; on Debian: apt install python3-numpy python3-pil"
}

start() {
    trap interrupted INT TERM
    case $BATCHES in *[!0-9]* | 0*) fail "BATCHES=$BATCHES: expected a whole number above 0" ;; esac
    [ -x "$DARKNET" ] || fail "$DARKNET is missing; run 'make' first"
    find_python
    mkdir -p "$DEMO_DIR"
    "$python" scripts/make_fashion_detection.py -out "$DATA_DIR" -train "$TRAIN" -test "$TEST" \
        ${FASHION_MNIST:+-source "$FASHION_MNIST"}
    data=$DEMO_DIR/fashion.data
    sed -e "s#^train=.*#train=$DATA_DIR/train.txt#" -e "s#^valid=.*#valid=$DATA_DIR/test.txt#" \
        -e "s#^backup=.*#backup=$DEMO_DIR#" cfg/fashion/fashion.data >"$data.new"
    mv "$data.new" "$data"
}

# derive_cfg FROM TO: the cfg with BATCHES batches, its steps moved along. The burn-in stays: a shorter one diverges.
derive_cfg() {
    if [ -z "$BATCHES" ]; then
        cp "$1" "$2.new"
    else
        awk -v batches="$BATCHES" '
            FNR == NR { if ($0 ~ /^max_batches=/) { split($0, kv, "="); was = kv[2] } next }
            /^max_batches=/ { print "max_batches=" batches; next }
            /^steps=/ { sub(/^steps=/, ""); n = split($0, at, ",")
                for (i = 1; i <= n; i++) printf "%s%d", i == 1 ? "steps=" : ",", at[i] * batches / was
                print ""; next }
            { print }' "$1" "$1" >"$2.new"
    fi
    mv "$2.new" "$2"
}

batches_of() { sed -n 's/^max_batches=//p' "$1"; }

# digest FILE...: one word that changes with any of them; a missing file counts as empty.
digest() { cat "$@" 2>/dev/null | sha256sum | cut -c 1-16; }

# train NAME CFG SEED: trains DEMO_DIR/NAME.weights from scratch, or says that it is there from the same inputs.
train() {
    cfg=$DEMO_DIR/$1.cfg
    weights=$DEMO_DIR/$1.weights
    derive_cfg "$2" "$cfg"
    teacher_hash=none
    if grep -q '^teacher_weights=' "$2"; then teacher_hash=$(digest "$teacher_cfg" "$teacher_weights"); fi
    inputs="$(digest "$cfg") $(digest "$DATA_DIR/.made_by_make_fashion_detection") $teacher_hash $(digest "$DARKNET") seed $3"
    if [ -f "$weights" ] && [ "$(cat "$DEMO_DIR/$1.stamp" 2>/dev/null)" = "$inputs" ]; then
        echo "$1: trained before with the same inputs"
        return
    fi
    rm -f "$weights" "$weights.vkd" "$DEMO_DIR/$1.stamp" "$DEMO_DIR/$1.map"
    echo "$1: training $(batches_of "$cfg") batches, seed $3"
    "$DARKNET" detector train "$data" "$cfg" -seed "$3" -clear || fail "$1: training failed"
    [ -f "$DEMO_DIR/$1_final.weights" ] || fail "$1: training left no $DEMO_DIR/$1_final.weights"
    # Only the end counts here; what training kept on the way goes.
    rm -f "$DEMO_DIR/$1.backup"* "$DEMO_DIR/$1"_[0-9]*.weights* "$DEMO_DIR/$1_last.weights"*
    mv "$DEMO_DIR/$1_final.weights" "$weights"
    # The projection, for `vkd maps`.
    if [ -f "$DEMO_DIR/$1_final.weights.vkd" ]; then mv "$DEMO_DIR/$1_final.weights.vkd" "$weights.vkd"; fi
    echo "$inputs" >"$DEMO_DIR/$1.stamp"
}

# measure NAME CFG WEIGHTS: what `detector map` prints goes to DEMO_DIR/NAME.map, unless it is there already.
measure() {
    inputs="# $(digest "$2") $(digest "$3") $(digest "$DATA_DIR/.made_by_make_fashion_detection") $(digest "$DARKNET")"
    if [ "$(head -n 1 "$DEMO_DIR/$1.map" 2>/dev/null)" = "$inputs" ]; then return; fi
    echo "$1: measuring"
    if ! { echo "$inputs" && "$DARKNET" detector map "$data" "$2" "$3"; } \
        >"$DEMO_DIR/$1.map.new" 2>"$DEMO_DIR/$1.map.err"; then
        tail -n 3 "$DEMO_DIR/$1.map.err" >&2
        fail "$1: measuring failed"
    fi
    rm -f "$DEMO_DIR/$1.map.err"
    mv "$DEMO_DIR/$1.map.new" "$DEMO_DIR/$1.map"
}

need_teacher() {
    [ -f "$teacher_weights" ] || fail "$teacher_weights is missing; 'make demo-teacher' trains one (then copy it there)"
}

# pair SEED: both students of one seed, trained and measured.
pair() {
    train "student_alone_s$1" cfg/fashion/student.cfg "$1"
    train "student_distilled_s$1" cfg/fashion/student_vkd.cfg "$1"
    # The distilled one is an ordinary student: it is measured with the plain cfg.
    for kind in alone distilled; do
        measure "student_${kind}_s$1" cfg/fashion/student.cfg "$DEMO_DIR/student_${kind}_s$1.weights"
    done
}
