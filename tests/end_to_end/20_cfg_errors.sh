#!/bin/sh
# A bad cfg ends `darknet detector train` before any training: the one line on stderr, exit status 1, no file left.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
: "${DARKNET:=./darknet}"
cd "$root" # the messages name the cfg as it was named
DARKNET=$(realpath "$DARKNET")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

cat >"$work/teacher.cfg" <<'EOF'
[net]
batch=1
width=32
height=32
channels=3

[convolutional]
filters=4
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters=16
size=3
stride=2
pad=1
activation=leaky
EOF
mkdir "$work/backup"
echo "$work/no_such_picture.jpg" >"$work/train.txt"
echo thing >"$work/names"
cat >"$work/bad.data" <<EOF
classes=1
train=$work/train.txt
valid=$work/train.txt
names=$work/names
backup=$work/backup
EOF
: >"$work/teacher.weights"

# refused CFG: the exact line alone on stderr's last line, status 1, nothing in backup/.
refused() {
    code=0
    timeout 60 "$DARKNET" detector train "$work/bad.data" "$1" -teacher_cfg "$work/teacher.cfg" \
        -teacher_weights "$work/teacher.weights" >"$work/out" 2>"$work/err" </dev/null || code=$?
    if [ "$code" -ne 1 ]; then
        echo "exit status $code"
        return 1
    fi
    tail -n 1 "$work/err" | cmp -s - "${1%.cfg}.expected" || return 1
    [ -z "$(ls -A "$work/backup")" ]
}

# One of each kind: types, ranges, words, what is still to come, keys, rules between keys and between sections.
for name in from_word from_beyond from_before teacher_from_missing map_unknown rebase_unused momentum_frozen \
    ratio_nan weight_overflow until_before_warmup eps_zero shrinkage_unused procrustes_smooth_l1 key_unknown \
    key_nearly_known key_twice no_equals value_empty value_long ratio_and_weight whiten_alone whiten_above_layer \
    section_nearly_known section_comment section_above_net teacher_resize_range teacher_key_unknown \
    teacher_cfg_twice; do
    if refused "tests/cfg_errors/$name.cfg" >"$work/why"; then
        echo "ok cfg_error_$name"
    else
        echo "not ok cfg_error_$name"
        {
            cat "$work/why"
            echo "expected:"
            cat "tests/cfg_errors/$name.expected"
            echo "stderr:"
            tail -n 5 "$work/err"
        } | sed 's/^/# /'
        status=1
    fi
done

# Carriage returns change no line number and no word.
sed 's/$/\r/' tests/cfg_errors/map_unknown.cfg >"$work/crlf.cfg"
sed "s|^[^:]*|$work/crlf.cfg|" tests/cfg_errors/map_unknown.expected >"$work/crlf.expected"
if refused "$work/crlf.cfg" >/dev/null; then
    echo "ok cfg_error_crlf"
else
    echo "not ok cfg_error_crlf"
    status=1
fi
exit $status
