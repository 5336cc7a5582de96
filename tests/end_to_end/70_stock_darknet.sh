#!/usr/bin/env bash
# An exported student is an ordinary one: the distribution's own Darknet, built with OpenCV and without any patch,
# finds with the plain cfg and the weights what this program finds.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
: "${BUILD:=$root/build}"
stock=${STOCK_DARKNET:-$(command -v darknet)} || stock=
if [ -z "$stock" ]; then
    echo "ok stock_darknet # skipped: no stock darknet"
    exit 0
fi
export QT_QPA_PLATFORM=offscreen XDG_RUNTIME_DIR=$work
pictures 13
check stock_teacher teacher
{
    net 600 "${teacher_keys[@]}"
    student_layers
    printf '\n[vkd_whiten]\nmode=whiten\n'
    tap 1 1
    tap 0 0 until=300
} >student.cfg
check stock_train train student student.cfg -seed 5
strip() {
    "$DARKNET" vkd strip student.cfg >plain.cfg
}
check stock_strip strip
weights=student/student_final.weights

# The labels' letters, and a photograph; the same pixels as PPM, since OpenCV and stb decode JPEG differently.
ln -s "$BUILD/darknet/data" data
photograph() {
    /usr/bin/python3 -c 'import sys; from PIL import Image; Image.open(sys.argv[1]).save(sys.argv[2])' data/dog.jpg dog.ppm
}
check stock_photograph photograph
{
    echo "$work/dog.ppm"
    cat train.txt
} >valid.txt
for who in ours theirs; do
    mkdir "$who"
    printf 'classes=2\nvalid=valid.txt\nnames=names\nresults=%s/%s\n' "$work" "$who" >"$who.data"
done

valid() {
    "$DARKNET" detector valid ours.data plain.cfg "$weights" >ours.log 2>&1 </dev/null || return
    timeout 120 "$stock" detector valid theirs.data plain.cfg "$weights" >theirs.log 2>&1 </dev/null || return
    grep -h 'Total Detection Time' ours.log theirs.log
}
check stock_loads_the_student valid

# Rows "picture probability left top right bottom", in the same order, printed with six decimals: probabilities within
# 1e-5, edges within 1e-3 pixels, which is 2.5e-5 of the smallest picture here.
same_rows() {
    local file=comp4_det_test_$1.txt
    wc -l "ours/$file" "theirs/$file"
    [ "$(wc -l <"ours/$file")" -gt 20 ] && [ "$(wc -l <"ours/$file")" -eq "$(wc -l <"theirs/$file")" ] || return
    paste -d ' ' "ours/$file" "theirs/$file" | awk '
        function differs(a, b, limit) { return !(a - b <= limit && b - a <= limit) }
        {
            bad = NF != 12 || $1 != $7 || differs($2, $8, 1e-5)
            for (i = 3; i <= 6; ++i) if (differs($i, $(i + 6), 1e-3)) bad = 1
            if (bad) { print; ++count }
        }
        END { exit count > 0 }'
}
check stock_same_detections_class_one same_rows one
check stock_same_detections_class_two same_rows two
confident() {
    awk '$2 > 0.05 { ++count } END { print count; exit !(count > 5) }' ours/*.txt
}
check stock_student_has_learnt confident

# `detector test` prints class and percent. Of the JPEG itself the two decoders may differ by a percent, and at the
# threshold by a box: the surest of each class is compared.
names_and_percents() {
    sed -n 's/^\([a-z]*\): \([0-9]*\)%$/\1 \2/p' "$1" | sort -k1,1 -k2,2nr | sort -u -k1,1
}
tested() {
    "$DARKNET" detector test ours.data plain.cfg "$weights" data/dog.jpg -thresh .02 -out ours.picture >ours.txt 2>&1 </dev/null ||
        return
    timeout 120 "$stock" detector test theirs.data plain.cfg "$weights" data/dog.jpg -thresh .02 -out theirs.picture \
        >theirs.txt 2>&1 </dev/null || return
    names_and_percents ours.txt >ours.percents
    names_and_percents theirs.txt >theirs.percents
    cat ours.percents theirs.percents
    [ -s ours.percents ] && paste -d ' ' ours.percents theirs.percents |
        awk '{ if (NF != 4 || $1 != $3 || !($2 - $4 <= 1 && $4 - $2 <= 1)) bad = 1 } END { exit bad }'
}
check stock_same_photograph tested
exit "$status"
