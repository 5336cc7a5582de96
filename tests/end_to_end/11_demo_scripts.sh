#!/bin/sh
# The demo's scripts around a stand-in for darknet that trains nothing and measures fixed figures: what they run, what
# they skip, what they print; and that the demo's two student cfgs are one student.
# shellcheck disable=SC2317,SC2094 # functions are called through check; plain is also a name of a file
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
status=0

check() { # NAME COMMAND...: one test; the command's output is shown if it fails
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

# --- the cfgs ---

plain() { # a cfg without comments, blank lines, vkd sections and the teacher's keys
    sed -e 's/#.*//' -e 's/[[:space:]]*$//' "$1" |
        awk '/^\[/ { vkd = /^\[vkd_/ } !vkd && NF && !/^teacher_(cfg|weights)=/'
}
one_student() {
    plain "$root/cfg/fashion/student.cfg" >plain && plain "$root/cfg/fashion/student_vkd.cfg" >stripped
    [ "$(wc -l <plain)" -gt 60 ] && diff plain stripped && grep -q '^\[vkd_projection\]' "$root/cfg/fashion/student_vkd.cfg"
}
check demo_student_cfgs_are_one_student one_student
names_and_classes() {
    [ "$(wc -l <"$root/cfg/fashion/fashion.names")" -eq 10 ] && grep -qx classes=10 "$root/cfg/fashion/fashion.data"
}
check demo_names_match_the_classes names_and_classes

# --- the scripts, in a copy of their folders ---

mkdir cfg && cp -r "$root/cfg/fashion" cfg/ && cp -r "$root/scripts" .
rm -f cfg/fashion/teacher.weights
cat >darknet <<'SH'
#!/bin/sh
# Stand-in: train writes BASE_final.weights and a checkpoint; map prints figures that depend on the weights' text.
set -eu
echo "$*" >>calls
case "$1 $2" in
"detector train")
    base=$(basename "$4" .cfg)
    [ -z "${BREAK:-}" ] || case $base in *$BREAK*) exit 1 ;; esac
    folder=$(sed -n 's/^backup=//p' "$3")
    [ -f "$(head -n 1 "$(sed -n 's/^train=//p' "$3")")" ]
    echo "$base" >"$folder/${base}_final.weights"
    cp "$folder/${base}_final.weights" "$folder/${base}_100.weights"
    ;;
"detector map")
    ap50=0.5010
    case $(cat "$5") in
    student_alone_s1) ap=0.2550 ;; student_distilled_s1) ap=0.2800 ap50=0.5312 ;;
    student_alone_s2) ap=0.2650 ;; student_distilled_s2) ap=0.2960 ;;
    student_alone_s3) ap=0.2600 ;; student_distilled_s3) ap=0.2780 ;;
    *) ap=0.4104 ap50=0.7 ;;
    esac
    printf 'AP      %s\nAP50    %s\nAP75    0.1000\n\nclass    AP    AP50  objects\nboot  0.3  0.4  7\n' "$ap" "$ap50"
    ;;
*) exit 2 ;;
esac
SH
chmod +x darknet
export DARKNET="$work/darknet" TRAIN=4 TEST=2
unset BATCHES SEED SEEDS BUILD FASHION_MNIST DEMO_DIR DATA_DIR || true

fails_with() { # MESSAGE COMMAND...
    message=$1
    shift
    if "$@" >said 2>&1; then echo "no error"; return 1; fi
    cat said
    grep -qF -- "$message" said
}
calls() { grep -c "^detector $1" calls || true; }

check demo_without_a_teacher_says_so fails_with 'cfg/fashion/teacher.weights is missing' scripts/demo.sh
echo teacher >cfg/fashion/teacher.weights
check demo_without_darknet_says_so fails_with "run 'make' first" env DARKNET="$work/none" scripts/demo.sh
check demo_bad_batches_says_so fails_with 'BATCHES=1e3' env BATCHES=1e3 scripts/demo.sh
check demo_bad_seed_says_so fails_with 'SEED=x' env SEED=x scripts/demo.sh

stops_at_a_failure() {
    fails_with 'student_distilled_s1: training failed' env BREAK=distilled scripts/demo.sh || return 1
    [ -f build/demo/student_alone_s1.weights ] && [ ! -e build/demo/student_distilled_s1.weights ]
}
check demo_stops_at_a_failed_training stops_at_a_failure

prints_the_table() {
    scripts/demo.sh >table || return 1
    cat table
    cat >expected <<'TABLE'
                          AP    AP50
teacher                 41.0    70.0
student alone           25.5    50.1
student distilled       28.0    53.1
difference              +2.5    +3.0
TABLE
    tail -n 5 table | diff - expected
}
check demo_prints_the_table prints_the_table
goes_on() { # the student alone was not trained again after the failure above
    grep -q 'student_alone_s1: trained before' table && [ "$(calls train)" -eq 3 ] && [ "$(calls map)" -eq 3 ]
}
check demo_goes_on_after_a_failure goes_on
second_run() {
    : >calls
    prints_the_table && [ ! -s calls ]
}
check demo_second_run_trains_nothing second_run
commands() {
    rm -rf build/demo && : >calls
    SEED=7 scripts/demo.sh >/dev/null && cat calls
    grep -qx 'detector train build/demo/fashion.data build/demo/student_alone_s7.cfg -seed 7 -clear' calls &&
        grep -qx 'detector train build/demo/fashion.data build/demo/student_distilled_s7.cfg -seed 7 -clear' calls &&
        grep -qx 'detector map build/demo/fashion.data cfg/fashion/student.cfg build/demo/student_distilled_s7.weights' calls &&
        cmp build/demo/student_alone_s7.cfg cfg/fashion/student.cfg &&
        cmp build/demo/student_distilled_s7.cfg cfg/fashion/student_vkd.cfg &&
        cmp build/demo/fashion.data cfg/fashion/fashion.data
}
check demo_runs_the_commands commands
a_new_teacher() { # only what depends on it
    : >calls
    echo other >cfg/fashion/teacher.weights
    SEED=7 scripts/demo.sh >/dev/null && cat calls
    [ "$(calls 'train .*distilled')" -eq 1 ] && [ "$(calls train)" -eq 1 ]
}
check demo_new_teacher_trains_the_distilled_one_again a_new_teacher
fewer_batches() {
    BATCHES=50 scripts/demo.sh >/dev/null || return 1
    diff cfg/fashion/student.cfg build/demo/student_alone_s1.cfg >difference || true
    cat difference
    [ "$(grep -c '^>' difference)" -eq 2 ] &&
        grep -qx '> max_batches=50' difference && grep -qx '> steps=40,45' difference
}
check demo_batches_scale_the_schedule fewer_batches

seeds() {
    rm -rf build/demo && : >calls
    SEEDS="1 2" scripts/demo_seeds.sh >/dev/null && scripts/demo_seeds.sh >table || return 1
    cat table calls build/demo/results.csv
    [ "$(calls train)" -eq 6 ] && [ "$(wc -l <build/demo/results.csv)" -eq 4 ] || return 1
    # alone 25.5 26.5 26.0; distilled 28.0 29.6 27.8; difference 2.5 3.1 1.8
    grep -Eq '^student alone +26\.00 +0\.50 ' table && grep -Eq '^student distilled +28\.47 +0\.99 ' table &&
        grep -Eq '^paired difference +\+2\.47 +0\.65 ' table && grep -Eq '^teacher +41\.04 ' table
}
check demo_seeds_mean_and_deviation seeds

teacher() {
    : >calls
    scripts/demo_teacher.sh >said 2>&1 || return 1
    cat said
    grep -q 'not the same bytes' said && [ "$(cat build/demo/teacher.weights)" = teacher ] || return 1
    cp build/demo/teacher.weights cfg/fashion/teacher.weights
    scripts/demo_teacher.sh >said 2>&1 && cat said && grep -q ': the same bytes as cfg/fashion/teacher.weights' said
}
check demo_teacher_compares_with_the_shipped_one teacher

bad_map() { # TEXT MESSAGE
    printf '%b' "$1" >bad.map
    fails_with "$2" python3 scripts/demo_table.py one it bad.map
}
check demo_table_needs_both_figures bad_map 'AP 0.3\n' 'no line AP50'
check demo_table_refuses_nan bad_map 'AP nan\nAP50 0.1\n' 'not from 0 to 1'
check demo_table_refuses_points bad_map 'AP 25.5\nAP50 50.1\n' 'not from 0 to 1'
exit $status
