#!/usr/bin/env bash
# What a run says: one line, rewritten and no wider than the terminal; plain lines in a file; Darknet's own lines only on
# request.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 13
check progress_teacher teacher
{
    net 120 "${teacher_keys[@]}"
    student_layers
    tap 1 1
    tap 0 1
} >tapped.cfg

# ---- a file ----
check progress_train train file tapped.cfg -seed 2 -map
parts='loss [0-9.]+  vkd [0-9.]+ \(ratio [0-9.]+\)  vkd [0-9.]+ \(ratio [0-9.]+\)  rate [0-9.]+  [0-9]+ images/s  left [0-9:]+'
plain_lines() {
    cat file.log
    ! grep -q $'[\r\033]' file.log && grep -qE "^1/120  $parts\$" file.log &&
        grep -qE "^120/120  $parts  AP 0\.[0-9]{4} \(best 0\.[0-9]{4}\)\$" file.log
}
check progress_plain_lines plain_lines
log_columns() {
    head -n 1 file/tapped_log.csv
    [ "$(head -n 1 file/tapped_log.csv)" = "batch,images,seconds,rate,loss,tap0_loss,tap0_weight,tap0_ratio,tap0_defect,tap1_loss,tap1_weight,tap1_ratio,tap1_defect,AP" ] &&
        [ "$(awk -F, 'NR > 1 && NF == 14' file/tapped_log.csv | wc -l)" -eq 120 ]
}
check progress_csv log_columns

# ---- Darknet's own lines ----
chatter='Using default|Avg IOU'
quiet() {
    ! grep -E "$chatter" file.log && grep -q '^layer  *filters' file.log && grep -q '^ *3 yolo' file.log
}
check progress_without_chatter quiet
verbose() {
    train loud tapped.cfg -seed 2 -verbose || return
    grep -q 'truth_thresh: Using default' loud.log && [ "$(grep -c 'Avg IOU' loud.log)" -ge 200 ] || return
    cmp loud/tapped_final.weights file/tapped_final.weights
}
check progress_verbose verbose

# ---- backup=FOLDER/ ----
slash() {
    { net 2 && student_layers; } >slash.cfg
    data_file slash
    sed -i 's|^backup=.*|&//|' slash.data
    "$DARKNET" detector train slash.data slash.cfg -seed 2 >slash.log 2>&1 &&
        grep -qx 'Saving weights to slash/slash_final.weights' slash.log && [ -s slash/slash_final.weights ]
}
check progress_one_slash slash

# ---- a terminal ----
# terminal COLUMNS NAME: a run on a pseudo-terminal so wide; NAME.typescript is what it shows.
terminal() {
    data_file "$2"
    script -qefc "stty cols $1; '$DARKNET' detector train '$2.data' tapped.cfg -seed 2 -map 2>&1" \
        "$2.typescript" </dev/null >/dev/null
}
# lines NAME: the progress lines as they were rewritten, without their ends.
lines() {
    tr '\r' '\n' <"$1.typescript" | sed -n 's/\x1b\[K$//p' | grep -E '^[0-9]+/120'
}
wide() {
    terminal 160 wide || return
    lines wide | tail -n 3
    grep -qE "$(printf '\r')120/120  $parts  AP [0-9.]+ \(best [0-9.]+\)$(printf '\033')\[K" wide.typescript || return
    # Rewritten in place: a return in front, and the line's rest cleared.
    [ "$(lines wide | wc -l)" -ge 12 ]
}
narrow() {
    local width=$1
    terminal "$width" "narrow$width" || return
    lines "narrow$width" | awk -v w="$width" '{ print length($0) ": " $0 } length($0) >= w { bad = 1 } END { exit bad || NR < 12 }' || return
    lines "narrow$width" | grep -v "^[0-9]*/120  loss [0-9.]*" && return 1
    # What matters most stays as long as there is room for it.
    [ "$width" -lt 80 ] || lines "narrow$width" | tail -n 1 | grep -qE "left 0:00  AP [0-9.]+ \(best [0-9.]+\)\$"
}
if command -v script >/dev/null && command -v stty >/dev/null; then
    check progress_is_rewritten wide
    check progress_fits_80_columns narrow 80
    check progress_fits_40_columns narrow 40
    # detector map, on enough pictures to take its second, however fast the machine is.
    measured() {
        for ((i = 0; i < 600; ++i)); do cat train.txt; done >many.txt
        sed 's/^valid=.*/valid=many.txt/' file.data >many.data
        for ((i = 0; i < 4; ++i)); do
            measured_once && return
            cat many.txt many.txt many.txt many.txt >more.txt && mv more.txt many.txt
        done
        return 1
    }
    measured_once() {
        script -qefc "'$DARKNET' detector map many.data tapped.cfg file/tapped_final.weights" many.typescript </dev/null >/dev/null
        tr '\r' '\n' <many.typescript | grep -E '^[0-9]+ of [0-9]+ pictures, [0-9.]+ a second, [0-9]+ s left' | tail -n 2 | tee left
        [ -s left ] && grep -q '^AP  ' many.typescript
    }
    check progress_of_map measured
    check progress_on_a_terminal_same_bytes same wide/tapped_final.weights file/tapped_final.weights
else
    echo "ok progress_on_a_terminal # skipped: no script, no stty"
fi

# ---- flags ----
accepted() {
    train shown tapped.cfg -seed 2 -dont_show && cmp shown/tapped_final.weights file/tapped_final.weights
}
check progress_dont_show accepted
exit "$status"
