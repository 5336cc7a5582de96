#!/usr/bin/env bash
# `darknet vkd check`: the taps as a table before anything runs, without weights, and memory that is then measured.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 5
{
    net 3
    conv 8 2 3 leaky bn
    conv 12 2 3 leaky bn
    conv 8 2 3 leaky bn
    conv 14 1 1 linear
    yolo
} >teacher.cfg
# cfg NAME [LINE...]: NAME.cfg, the student with a tap at layer 1; no weights are there.
cfg() {
    local name=$1
    shift
    {
        net 20 "${teacher_keys[@]}"
        student_layers
        tap 1 1 "$@"
    } >"$name.cfg"
}
# table NAME CFG ARGUMENT...: what is printed goes to NAME.table.
table() {
    local name=$1
    shift
    timeout 60 "$DARKNET" vkd check "$@" >"$name.table" 2>"$name.log" </dev/null || {
        echo "exit status $?"
        tail -n 5 "$name.log"
        return 1
    }
}
# row NAME REGEX: a line of it.
row() {
    cat "$1.table"
    grep -qE "$2" "$1.table"
}
cfg plain
check check_runs table plain plain.cfg
check check_the_tap row plain '^0 +1 convolutional 8x8x6 /4 +1 convolutional 8x8x12 /4 +12 x 6 +procrustes none$'
check check_parameters row plain '^tap 0 +72 '
# 3x3x3x8 weights at 16x16 and 3x3x8x12 at 8x8; 216 + 8 + 864 + 12 parameters.
check check_teacher row plain '^teacher, layers 0 to 1 +1100 +[0-9.]+ MB +0\.11 M '
# 3 (108 256 + 216 64 + 84 64) = 140544.
check check_step row plain 'a step of the student alone is 0\.14 M an image,$'
check check_batches row plain '^Of batches of 2 x 2 pictures of 32 x 32'
sum_of_lines() {
    cat plain.table
    awk '/^tap 0/ { a += $4 } /^teacher, /{ a += $7 } /^together/ { found = $3 } END { exit !(a > found - .2 && a < found + .2) }' plain.table
}
check check_adds_up sum_of_lines
no_files() {
    ls
    [ ! -e teacher.weights ] && [ ! -e backup ]
}
check check_leaves_nothing no_files
grep -v '^teacher_[cw]' plain.cfg >orphan.cfg
check check_teacher_by_flag table flag orphan.cfg -teacher_cfg teacher.cfg
check check_teacher_by_flag_is_the_same cmp flag.table plain.table
cfg pooled pool=global map=cayley
check check_pool table pooled pooled.cfg
check check_pool_row row pooled '12 x 6 +cayley +mean of all$'
{
    net 20 "${teacher_keys[@]}"
    student_layers 1
    tap 1 0
    tap 0 1
} >grids.cfg
check check_grids table grids grids.cfg
check check_grids_average row grids '^0 .* 0 convolutional 16x16x8 /2 .* mean of 2 x 2$'
check check_grids_bilinear row grids '^1 .* 1 convolutional 8x8x12 /4 .* bilinear$'
check check_random row grids '^With random=1 sizes go to 1.4 times that'
sed 's/^teacher_cfg/teacher_resize=1\n&/; s/^width=32/width=64/' plain.cfg >resized.cfg
check check_teacher_resize table resized resized.cfg
check check_teacher_resize_row row resized '^0 +1 convolutional 16x8x6 /4 +1 convolutional 8x8x12 /4 .* bilinear$'
{
    net 20 "${teacher_keys[@]}"
    student_layers
    printf '\n[vkd_whiten]\nmode=whiten\nstatistics=calibrated\n'
    tap 1 1
} >calibrated.cfg
check check_calibrated table calibrated calibrated.cfg

# ---- memory ----
# peak CFG: the most memory a short run takes, in MB, as the system counts it.
peak() {
    data_file memory
    python3 - "$DARKNET" "$1" <<'END'
import resource, subprocess, sys
with open("memory.log", "w") as log:
    subprocess.run([sys.argv[1], "detector", "train", "memory.data", sys.argv[2], "-seed", "1"], stdout=log,
                   stderr=log, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6)
END
}
ln -s "$root/cfg/fashion" fashion
# memory NAME SED: the demo's pair with that change takes what check says, within a tenth.
memory() {
    local before after said
    for kind in student student_vkd; do
        sed -e 's/^max_batches=.*/max_batches=3/' -e "s#=cfg/fashion#=fashion#" -e "$2" \
            "$root/cfg/fashion/$kind.cfg" >"$kind.cfg"
    done
    table "$1" student_vkd.cfg || return
    said=$(awk '/^together/ { print $3 }' "$1.table")
    before=$(peak student.cfg) && after=$(peak student_vkd.cfg) || return
    echo "alone $before MB, distilled $after MB, said $said MB more"
    awk -v a="$before" -v b="$after" -v c="$said" 'BEGIN { d = b - a; print "measured", d; exit !(c > .9 * d && c < 1.1 * d) }'
}
if [ "${SANITIZE:-0}" = 1 ]; then
    echo "ok check_memory (left out: the sanitizer's own memory is larger)"
else
    check check_memory memory demo 's/^batch=.*/batch=128/'
    check check_memory_of_whitening memory white 's/^batch=.*/batch=128/; s/^mode=standardize/mode=whiten/; s/^foreground=.*/loss=smooth_l1/'
    VKD_TEST_THREADS=2 OMP_NUM_THREADS=2 check check_memory_two_threads memory threads 's/^subdivisions=1/subdivisions=2/; s/^batch=.*/batch=192/'
fi

# ---- what is refused ----
c=("$DARKNET" vkd check)
check check_no_arguments refuse 'usage: darknet vkd check CFG [-teacher_cfg F]' "${c[@]}"
check check_too_much refuse 'vkd check: unexpected "w"; usage: darknet vkd check CFG [-teacher_cfg F]' "${c[@]}" plain.cfg w
check check_unknown_flag refuse 'vkd check: unknown option -map; expected -teacher_cfg' "${c[@]}" plain.cfg -map
check check_no_cfg refuse 'none.cfg: cannot be opened: No such file or directory' "${c[@]}" none.cfg
"$DARKNET" vkd strip plain.cfg >stripped.cfg
check check_without_taps refuse 'stripped.cfg: no [vkd_projection]; there is nothing to check' "${c[@]}" stripped.cfg
check check_without_teacher refuse 'orphan.cfg: no teacher is named; expected teacher_cfg in [net], or as -teacher_cfg' \
    "${c[@]}" orphan.cfg
check check_missing_teacher refuse '-teacher_cfg: none.cfg: No such file or directory' "${c[@]}" plain.cfg -teacher_cfg none.cfg
# As in training.
sed 's/^teacher_from=1/teacher_from=30/' plain.cfg >far.cfg
line=$(grep -n '^teacher_from' far.cfg | cut -d: -f1)
check check_layer_beyond refuse "far.cfg:$line: [vkd_projection] teacher_from: found 30; the teacher teacher.cfg has 5 layers, expected -5 to 4" \
    "${c[@]}" far.cfg
sed 's/^map=.*//; s/^from=1/map=expn\nfrom=1/' plain.cfg >map.cfg
line=$(grep -n '^map=' map.cfg | cut -d: -f1)
said_as_in_training() {
    "${c[@]}" map.cfg 2>a
    touch teacher.weights
    data_file t
    "$DARKNET" detector train t.data map.cfg 2>b
    tail -n 1 a b
    rm teacher.weights
    grep -q "^map.cfg:$line: \[vkd_projection\] map: " a && [ "$(tail -n 1 a)" = "$(tail -n 1 b)" ]
}
check check_says_what_training_says said_as_in_training
exit "$status"
