#!/usr/bin/env bash
# Writers that are killed, and disks that are full: what has a file's name is whole, the old one or the new one, and a
# training goes on from its last checkpoint to the bytes of one that was left alone.
# RUNS=N (12): so many runs are killed, every second one at a call that changes files (tests/interrupt/kill_at.c), in
# even steps from the first to the last of them, the others at random moments; every third is killed twice.
# shellcheck disable=SC1091,SC2016,SC2086,SC2154,SC2317 # common.bash, lists of files, what rows eval, and functions that check() calls
. "$(dirname "$0")/common.bash"
: "${RUNS:=12}" "${SANITIZE:=0}" "${BUILD:=$root/build}"
kill_at=$(realpath "$BUILD")/tests/interrupt/kill_at.so
pictures 13
check killed_teacher teacher
{
    net 230 "${teacher_keys[@]}"
    student_layers
    printf '\n[vkd_whiten]\nmode=whiten\n'
    tap 1 1
} >t.cfg

# program ARGUMENT...: Darknet, with what the variables ask for; what it says goes to $said. A log is no file that the
# limit may cut.
at='' count='' limit='' said=log
program() {
    (
        [ -z "$limit" ] || { ulimit -f "$limit" && trap '' XFSZ; }
        [ -z "$at$count" ] || set -- env KILL_AT="$at" KILL_COUNT="$count" LD_PRELOAD="$kill_at" "$DARKNET" "$@"
        [ -n "$at$count" ] || set -- "$DARKNET" "$@"
        exec "$@" </dev/null 2>&1
    ) | cat >"$work/$said"
    return "${PIPESTATUS[0]}"
}
# counted COMMAND...: runs it, and leaves in $calls how many calls of it change files.
counted() {
    local count=$work/count
    rm -f "$count"
    [ "$SANITIZE" = 0 ] || count='' # the sanitizers want to be loaded first
    "$@" && calls=0 && { [ -z "$count" ] || calls=$(cat "$count"); }
}

# ---- training ----
start() {
    local folder=$1 from=()
    [ ! -e "$folder/t.backup" ] || from=("$folder/t.backup")
    said=$folder.log program detector train "$folder.data" t.cfg ${from[@]+"${from[@]}"} -seed 5
}
whole() {
    data_file whole
    began=$(date +%s%N)
    counted start whole && lasts=$((($(date +%s%N) - began) / 1000000))
}
check killed_whole whole

# Every checkpoint is one of the whole run's, of any moment, and its sidecar or the one that waits is of that moment.
kept() {
    local file of found
    for file in cut/*; do
        case $file in
        'cut/*') continue ;; # nothing at all
        *.part | *.new | *.next | *_log.csv) continue ;; # nothing is read from such names
        *.vkd)
            [ -e "${file%.vkd}" ] && continue
            echo "$file without its weights"
            return 1
            ;;
        esac
        found=
        for of in whole/*.weights; do
            cmp -s "$file" "$of" && { cmp -s "$file.vkd" "$of.vkd" || cmp -s "$file.vkd.next" "$of.vkd"; } && found=$of
        done
        if [ -z "$found" ]; then
            echo "$file is no checkpoint, or its sidecar is of another moment"
            ls -l cut
            return 1
        fi
    done
}
# killed N: starts the run, or goes on with it, and kills it at its N-th call; for 0 at a random moment.
kills=0
killed() {
    local code=0 milliseconds from=()
    [ ! -e cut/t.backup ] || from=(cut/t.backup)
    if [ "$1" -gt 0 ]; then
        at=$1 start cut || code=$?
    else
        milliseconds=$((RANDOM % lasts))
        # Not through a pipe, whose ends would be killed in its place.
        "$DARKNET" detector train cut.data t.cfg ${from[@]+"${from[@]}"} -seed 5 >cut.log 2>&1 </dev/null &
        sleep "$(printf '%d.%03d' $((milliseconds / 1000)) $((milliseconds % 1000)))"
        kill -9 $! 2>/dev/null
        wait $! 2>/dev/null || code=$?
    fi
    case $code in
    137) kills=$((kills + 1)) ;;
    0) ;; # it was faster
    *)
        echo "exit status $code"
        return 1
        ;;
    esac
    ! grep -E 'damaged|of other weights|of another|not there|cannot be' cut.log && kept
}
finished() {
    local file
    start cut || return
    for file in whole/*; do
        case $file in
        *_log.csv) cmp <(cut -d, -f1,2,4- "$file") <(cut -d, -f1,2,4- "cut/${file#*/}") || return ;;
        *) cmp "$file" "cut/${file#*/}" || return ;;
        esac
    done
    [ "$(ls whole)" = "$(ls cut)" ] # and nothing is left over
}
training() {
    local i call
    for ((i = 0; i < RUNS; ++i)); do
        call=0
        [ "$calls" -eq 0 ] || [ $((i % 2)) -eq 1 ] || call=$((1 + i * calls / RUNS))
        rm -rf cut && data_file cut
        echo "run $i, killed at call $call of $calls"
        killed "$call" || return
        [ $((i % 3)) -gt 0 ] || killed "$((call ? 1 + RANDOM % calls : 0))" || return
        finished || return
    done
}
check killed_training training
tail -n 3 said
echo "# $kills kills in $RUNS runs, $calls calls that change files in a whole one, $lasts ms"

# ---- what the commands write: the old file or the new one at whatever call the kill comes ----
sed 's/^mode=whiten/&\nstatistics=calibrated\nimages=8/' t.cfg >calibrated.cfg
# older FOLDER FILES: a folder with older files of these names.
older() {
    local file
    rm -rf "$1" && mkdir "$1" && for file in $2; do
        mkdir -p "$(dirname "$1/$file")" && echo old >"$1/$file"
    done
}
# old_or_new FILES: each of them, in the folder `at`.
old_or_new() {
    local file
    for file in $1; do
        [ "$(cat "at/$file")" = old ] || cmp "new/$file" "at/$file" || return
    done
}
# writer COMMAND FILES: what it writes, left alone and killed at call after call.
writer() {
    local command=$1 files=$2 n code step
    rm -rf new && mkdir new
    (cd new && counted eval "$command" && echo "$calls" >"$work/calls") || return
    [ "$(cd new && find . -type f | sort)" = "$(printf './%s\n' $files | sort)" ] || return
    calls=$(cat calls) step=$((2 * calls / RUNS + 1))
    for ((n = 1; n <= calls; n += step)); do
        older at "$files"
        code=0
        (cd at && at=$n && eval "$command") || code=$?
        [ "$code" -eq 137 ] && old_or_new "$files" || return
        kills=$((kills + 1))
    done
}
# full COMMAND FILES: where no file may be longer than a KiB, the command says so, old files stay, no half one is left.
full() {
    local code=0
    older at "$2"
    (cd at && limit=1 && eval "$1") || code=$?
    tail -n 2 log
    [ "$code" -eq 1 ] && tail -n 1 log | grep -q ': cannot be written: File too large$' && old_or_new "$2" &&
        [ "$(cd at && find . -type f | sort)" = "$(printf './%s\n' $2 | sort)" ]
}
sed -i "s|=teacher\\.|=$work/teacher.|" calibrated.cfg t.cfg
sed "s|=train.txt|=$work/train.txt|; s|=names|=$work/names|" whole.data >far.data
tap_files="$(printf 'step/tap0_%s.npy ' P dstudent loss mask student target teacher xi)"
while IFS='|' read -r name command files; do
    read -r name <<<"$name"
    check "killed_$name" writer "$command" "$files"
    check "full_$name" full "$command" "$files"
done <<TABLE
calibrate | program vkd calibrate ../far.data ../calibrated.cfg -out F -seed 1 | F
dump      | program vkd dump ../far.data ../t.cfg ../whole/t_final.weights -out step -images 4 -seed 1 | step/input.npy $tap_files
maps      | program vkd maps ../t.cfg ../whole/t_final.weights ../images/p05.ppm -out m | m/tap0.png
map_json  | program detector map ../far.data ../t.cfg ../whole/t_final.weights -json F | F
TABLE
echo "# $kills kills with those of the commands"

# Commands that print: no half cfg goes unnoticed.
printed() {
    local code=0
    "$@" >/dev/full 2>err || code=$?
    cat err
    [ "$code" -eq 1 ] && grep -q 'No space left on device$' err
}
if [ -w /dev/full ]; then
    check full_strip printed "$DARKNET" vkd strip t.cfg
    check full_reference printed "$DARKNET" vkd reference
    check full_check printed "$DARKNET" vkd check t.cfg
    check full_map printed "$DARKNET" detector map far.data t.cfg whole/t_final.weights
fi

# A disk that fills up later, and a folder that takes no more files: the checkpoint stays, and the run goes on from it.
checkpoint() {
    rm -rf cut && data_file cut
    cp whole/t_100.weights cut/t.backup && cp whole/t_100.weights.vkd cut/t.backup.vkd
    rm -rf before_it && cp -R cut before_it
}
goes_on() {
    tail -n 1 cut.log
    cmp before_it/t.backup cut/t.backup && cmp before_it/t.backup.vkd cut/t.backup.vkd || return
    ls -l cut whole
    [ "$(ls cut)" = "$(printf 't.backup\nt.backup.vkd\nt_log.csv')" ] || return
    start cut && cmp whole/t_final.weights cut/t_final.weights && cmp whole/t_final.weights.vkd cut/t_final.weights.vkd
}
fills_up() {
    local code=0
    checkpoint
    limit=2 start cut || code=$?
    cat cut.log
    [ "$code" -eq 1 ] && tail -n 1 cut.log | grep -qx 'cut/t_200.weights.vkd.next: cannot be written: File too large' && goes_on
}
# Not where lines are counted, whose counts neither the limit nor the other user lets be written.
[ "$SANITIZE" = coverage ] || check full_while_training fills_up
# Root writes everywhere, so that another user trains where this one is root.
read_only() {
    local code=0 user=()
    [ "$(id -u)" -ne 0 ] || user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    checkpoint
    chmod 755 "$work" && chmod 555 cut
    ${user[@]+"${user[@]}"} "$DARKNET" detector train cut.data t.cfg cut/t.backup -seed 5 >cut.log 2>&1 </dev/null || code=$?
    chmod 755 cut
    [ "$code" -eq 1 ] && tail -n 1 cut.log | grep -qx 'cut/t_log.csv: cannot be written: Permission denied' || return
    touch cut/t_log.csv && goes_on
}
[ "$SANITIZE" = coverage ] || check read_only_folder read_only
exit "$status"
