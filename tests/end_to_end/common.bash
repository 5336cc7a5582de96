# Sourced by the scripts that train: a tiny set of pictures, a tiny student and a teacher, and how results are told.
# Environment: DARKNET (the program under test). Everything happens in $work, which is removed at exit.
# shellcheck shell=bash disable=SC2034
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${DARKNET:=$root/darknet}"
DARKNET=$(realpath "$DARKNET")
# Darknet itself frees little at exit. One thread each: the nets are too small for more.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}" LC_ALL=C
export OMP_NUM_THREADS="${VKD_TEST_THREADS:-1}" OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
status=0
: "${TRAIN_TIMEOUT:=120}" # seconds for one training

# A Python with NumPy: the first on the path, or Debian's.
python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import numpy' 2>/dev/null; then python=$candidate && break; fi
done
: "${python:=python3}"

# Limits are for TIMEOUT=300, run_tests.sh's own for a program; who gives the tests more gives it to every run in them.
: "${TIMEOUT:=300}"
timeout() {
    local seconds=$1
    shift
    command timeout "$((TIMEOUT > 300 ? seconds * TIMEOUT / 300 : seconds))" "$@"
}

# check NAME COMMAND...: `ok NAME` if the command succeeds, else `not ok NAME` and the end of what it said.
check() {
    local name=$1
    shift
    if "$@" >"$work/said" 2>&1; then
        echo "ok $name"
    else
        echo "not ok $name"
        tail -n 15 "$work/said" | sed 's/^/# /'
        status=1
    fi
}

# pictures COUNT: 40x40 pictures (binary PPM) with one rectangle each, their labels, and the list train.txt.
pictures() {
    mkdir -p images labels
    awk -v count="$1" 'BEGIN {
        srand(7)
        for (p = 0; p < count; ++p) {
            file = sprintf("images/p%02d.ppm", p)
            class = p % 2
            w = 10 + int(rand() * 14); h = 10 + int(rand() * 14)
            x = int(rand() * (40 - w)); y = int(rand() * (40 - h))
            printf "P6\n40 40\n255\n" >file
            for (j = 0; j < 40; ++j)
                for (i = 0; i < 40; ++i) {
                    inside = i >= x && i < x + w && j >= y && j < y + h
                    # Bytes 1 to 127: every awk prints them as they are.
                    printf "%c%c%c", inside && class ? 120 : 20 + int(rand() * 30), \
                        inside ? 100 : 20 + int(rand() * 30), inside && !class ? 120 : 20 + int(rand() * 30) >file
                }
            close(file)
            label = sprintf("labels/p%02d.txt", p)
            printf "%d %.5f %.5f %.5f %.5f\n", class, (x + w / 2) / 40, (y + h / 2) / 40, w / 40, h / 40 >label
            close(label)
        }
    }'
    ls -d "$work"/images/*.ppm >train.txt
    printf 'one\ntwo\n' >names
}

# data_file NAME: NAME.data, whose checkpoints go to the folder NAME.
data_file() {
    mkdir -p "$1"
    printf 'classes=2\ntrain=%s\nvalid=%s\nnames=%s\nbackup=%s\n' train.txt train.txt names "$1" >"$1.data"
}

# conv FILTERS STRIDE SIZE ACTIVATION [batch_normalize]
conv() {
    printf '\n[convolutional]\n'
    [ $# -lt 5 ] || echo batch_normalize=1
    printf 'filters=%d\nstride=%d\nsize=%d\npad=1\nactivation=%s\n' "$1" "$2" "$3" "$4"
}

yolo() {
    printf '\n[yolo]\nmask=0,1\nanchors=12,12, 20,20\nclasses=2\nnum=2\njitter=.2\nignore_thresh=.6\nrandom=%d\n' "${1:-0}"
}

# net BATCHES [LINE...]: the [net] section. Larger inputs want a lower rate, since Darknet sums over the cells.
side=32 rate=0.005
net() {
    printf '[net]\nbatch=4\nsubdivisions=2\nwidth=%d\nheight=%d\nchannels=3\n' "$side" "$side"
    printf 'momentum=0.9\ndecay=0.0005\nlearning_rate=%s\nburn_in=5\npolicy=constant\nmax_batches=%d\n' "$rate" "$1"
    printf 'saturation=1.5\nexposure=1.5\nhue=.1\n'
    shift
    [ $# -eq 0 ] || printf '%s\n' "$@"
}

# The student: layer 1 is the one to tap (8x8, 6 channels).
student_layers() {
    conv 4 2 3 leaky bn
    conv 6 2 3 leaky bn
    conv 14 1 1 linear
    yolo "${1:-0}"
}

# tap FROM TEACHER_FROM [LINE...]
tap() {
    printf '\n[vkd_projection]\nfrom=%d\nteacher_from=%d\n' "$1" "$2"
    shift 2
    [ $# -eq 0 ] || printf '%s\n' "$@"
}

teacher_keys=(teacher_cfg=teacher.cfg teacher_weights=teacher.weights)

# teacher.cfg and teacher.weights: 12 channels of 8x8 at layer 1, and a head that no tap looks at.
teacher() {
    {
        net 3
        conv 8 2 3 leaky bn
        conv 12 2 3 leaky bn
        conv 8 2 3 leaky bn
        conv 14 1 1 linear
        yolo
    } >teacher.cfg
    data_file teacher_run
    "$DARKNET" detector train teacher_run.data teacher.cfg -seed 99 >teacher.log 2>&1 || {
        tail -n 5 teacher.log
        return 1
    }
    cp teacher_run/teacher_final.weights teacher.weights
}

# mixed_teacher [ARGUMENT...]: one with every kind of layer that lies between convolutions, and activations of all sorts.
mixed_teacher() {
    {
        net 3
        conv 8 2 3 leaky bn
        printf '\n[convolutional]\nbatch_normalize=1\nfilters=12\ngroups=4\nsize=3\nstride=2\npad=1\nactivation=logistic\n'
        printf '\n[shortcut]\nfrom=-1\nactivation=linear\n'
        conv 7 1 1 linear
        printf '\n[route]\nlayers=-1,-2\n\n[upsample]\nstride=2\n\n[maxpool]\nsize=2\nstride=2\n'
        conv 10 1 3 leaky bn
        conv 14 1 1 linear
        yolo
    } >teacher.cfg
    train teacher_run teacher.cfg -seed 99 "$@" && cp teacher_run/teacher_final.weights teacher.weights
}

# near TOLERANCE NAME OTHER: loss, distillation loss and norms of two runs of ten batches, and not all the same.
near() {
    paste -d, "$2/$2_log.csv" "$3/$3_log.csv" | awk -F, -v tolerance="$1" '
    NR == 1 { n = NF / 2; for (i = 1; i <= n; ++i) left_out[i] = i < 5 || $i ~ /_defect$/ }
    NR > 1 {
        ++rows
        for (i = 1; i <= n; ++i) {
            if (left_out[i]) continue
            d = $i - $(n + i); d = d < 0 ? -d : d
            if (d > 0) differs = 1
            if (d > worst * $i) worst = d / $i
            if (!(d <= tolerance * $i + tolerance / 100)) { print $1, i, $i, $(n + i); bad = 1 }
        }
    }
    END { print rows " rows, differs: " differs + 0 ", by at most " worst; exit bad || rows != 10 || !differs }'
}

# train NAME CFG ARGUMENT...: a run of its own folder NAME; its output goes to NAME.log.
train() {
    local name=$1 cfg=$2
    shift 2
    data_file "$name"
    timeout "$TRAIN_TIMEOUT" "$DARKNET" detector train "$name.data" "$cfg" "$@" >"$name.log" 2>&1 </dev/null || {
        echo "exit status $?"
        tail -n 10 "$name.log"
        return 1
    }
}

# sort_pictures: the same pictures for a classifier, sorted.txt and classes: a class is a word in the picture's path.
sort_pictures() {
    local picture number class
    mkdir sorted
    printf 'evenclass\noddclass\n' >classes
    for picture in images/*.ppm; do
        number=${picture#images/p}
        number=${number%.ppm}
        class=evenclass
        [ $((10#$number % 2)) -eq 0 ] || class=oddclass
        cp "$picture" "sorted/${class}_$number.ppm"
    done
    ls -d "$work"/sorted/*.ppm >sorted.txt
}

# A student that tells them apart: layer 1 is the one to tap, as above.
classifier_layers() {
    conv 4 2 3 leaky bn
    conv 6 2 3 leaky bn
    conv 2 1 1 linear
    printf '\n[avgpool]\n\n[softmax]\ngroups=1\n'
}

# classifier NAME CFG ARGUMENT...: as `train`, of a classifier on the pictures in $list.
list=sorted.txt
classifier() {
    local name=$1 cfg=$2
    shift 2
    mkdir -p "$name"
    printf 'classes=2\ntrain=%s\nvalid=%s\nlabels=classes\nbackup=%s\ntop=1\n' "$list" "$list" "$name" >"$name.data"
    timeout "$TRAIN_TIMEOUT" "$DARKNET" classifier train "$name.data" "$cfg" "$@" >"$name.log" 2>&1 </dev/null || {
        echo "exit status $?"
        tail -n 10 "$name.log"
        return 1
    }
}

same() {
    cmp "$1" "$2"
}

differ() {
    echo "$1 and $2 should be there and differ"
    [ -s "$1" ] && [ -s "$2" ] && ! cmp -s "$1" "$2"
}

# refuse LINE COMMAND...: exit status 1, LINE the last of stderr, and nothing new in any folder of checkpoints.
refuse() {
    local line=$1 code=0
    shift
    find . -path './*/*' -type f ! -path './images/*' -exec cksum {} + | sort >before
    timeout 60 "$@" >out 2>err </dev/null || code=$?
    find . -path './*/*' -type f ! -path './images/*' -exec cksum {} + | sort >after
    if [ "$code" -ne 1 ]; then
        echo "exit status $code; expected 1"
        tail -n 5 err
        return 1
    fi
    if [ "$(tail -n 1 err)" != "$line" ]; then
        echo "found:    $(tail -n 1 err)"
        echo "expected: $line"
        return 1
    fi
    cmp before after
}
