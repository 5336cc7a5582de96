#!/usr/bin/env bash
# A disk of its own, of a megabyte, that is full, has no room for another name, or is read-only: training ends in one line,
# the last good checkpoint stays, and with room again the run goes on from it to the same bytes.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
if [ "${IN_NAMESPACE:-}" != yes ]; then
    export IN_NAMESPACE=yes
    for options in -m -rm; do
        if unshare $options true 2>/dev/null; then exec unshare $options bash "$0"; fi
    done
    echo "# skipped: no mount is allowed here; 41_killed.sh has a limit on files in a full disk's place"
    echo "ok full_disk_skipped"
    exit 0
fi
. "$(dirname "$0")/common.bash"
mkdir disk
if ! mount -t tmpfs -o size=1m disk "$work/disk" 2>mount.err; then
    echo "# skipped: $(cat mount.err)"
    echo "ok full_disk_skipped"
    exit 0
fi
trap 'cd / && umount "$work/disk" 2>/dev/null; rm -rf "$work"' EXIT
pictures 5
check full_disk_teacher teacher
{
    net 130 "${teacher_keys[@]}"
    student_layers
    tap 1 1
} >t.cfg
check full_disk_whole train whole t.cfg -seed 5
data_file disk

# start: the run, or what is left of it, on the small disk.
start() {
    local from=()
    [ ! -e disk/t.backup ] || from=(disk/t.backup)
    timeout 120 "$DARKNET" detector train disk.data t.cfg ${from[@]+"${from[@]}"} -seed 5 >t.log 2>&1 </dev/null
}
checkpoint() {
    rm -rf disk/* && cp whole/t_100.weights disk/t.backup && cp whole/t_100.weights.vkd disk/t.backup.vkd
}
# stopped REASON: the run just made ended in one line, and no file has a checkpoint's name that is none.
stopped() {
    local file
    tail -n 1 t.log
    tail -n 1 t.log | grep -q ": cannot be [a-z]*: $1\$" || return
    cmp whole/t_100.weights disk/t.backup && cmp whole/t_100.weights.vkd disk/t.backup.vkd || return
    for file in disk/*.weights; do
        [ ! -e "$file" ] || cmp "$file" "whole/${file#*/}" || return
    done
}
goes_on() {
    start && cmp whole/t_final.weights disk/t_final.weights && cmp whole/t_final.weights.vkd disk/t_final.weights.vkd
}
# full PAGES: so many pages are free when the run goes on.
full() {
    local code=0
    checkpoint
    dd if=/dev/zero of=disk/filler bs=4k 2>/dev/null
    truncate -s "-$(($1 * 4096))" disk/filler
    df -k disk | tail -n 1
    start || code=$?
    if [ "$code" -eq 0 ]; then # it had room
        [ "$1" -gt 2 ] && cmp whole/t_final.weights disk/t_final.weights
        return
    fi
    [ "$code" -eq 1 ] && stopped "No space left on device" && rm disk/filler && goes_on
}
for pages in 0 1 2 3 5 8; do check "full_disk_$pages" full $pages; done

no_more_names() {
    local code=0 i
    checkpoint
    for ((i = 0; i < 100000; ++i)); do : 2>/dev/null >"disk/name$i" || break; done
    start || code=$?
    [ "$code" -eq 1 ] && stopped "No space left on device" && rm disk/name* && goes_on
}
mount -o remount,nr_inodes=40 disk "$work/disk" 2>/dev/null && check full_disk_no_more_names no_more_names

read_only() {
    local code=0
    checkpoint
    mount -o remount,ro disk "$work/disk" || return
    start || code=$?
    [ "$code" -eq 1 ] && stopped "Read-only file system" && mount -o remount,rw disk "$work/disk" && goes_on
}
check read_only_disk read_only
exit "$status"
