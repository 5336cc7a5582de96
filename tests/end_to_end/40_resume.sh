#!/usr/bin/env bash
# A run that is killed at a checkpoint and resumed with -seed leaves the bytes of one that was not.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 13
check resume_teacher teacher

# student NAME BATCHES TAPS: NAME.cfg
student() {
    {
        net "$2" "${teacher_keys[@]}"
        student_layers "${4:-0}"
        $3
    } >"$1.cfg"
}
one_tap() {
    tap 1 1
}
# Everything a sidecar holds: running whitening, a fixed weight, a wide P, a square one, other maps and bases, pooling, a tap that has ended.
many_taps() {
    printf '\n[vkd_whiten]\nmode=whiten\nstatistics=running\nmomentum=0.9\n'
    tap 1 1 map=cayley rebase=7 ratio=0.2
    tap 1 1 map=procrustes momentum=0.99 ratio=0.2
    tap 0 1 map=householder rebase=0 ratio=0.2
    tap 2 3 map=cayley rebase=0 ratio=0.2
    tap 0 1 weight=3 warmup=150 ramp=cosine
    printf '\n[vkd_whiten]\nmode=standardize\nmomentum=0.95\n'
    tap 1 0 pool=global student_norm=none ratio=0.2
    tap 0 0 until=120 ratio=0.2
}
plain_taps() {
    :
}

# killed NAME CFG ARGUMENT...: starts a run and kills it right after its checkpoint at batch 100 and the sidecar are in
# place.
killed() {
    local name=$1 cfg=$2 base=${2%.cfg} last i=0
    shift 2
    data_file "$name"
    last=$name/$base.backup.vkd
    "$DARKNET" detector train "$name.data" "$cfg" "$@" >"$name.log" 2>&1 </dev/null &
    until [ -e "$last" ] || [ $((i += 1)) -gt 12000 ]; do sleep .005; done
    kill -9 $!
    wait $! 2>/dev/null
    tail -n 5 "$name.log"
    [ -e "$last" ] && [ ! -e "$name/${base}_final.weights" ]
}

# resumed CFG_NAME: the whole story for one cfg, 600 batches.
resumed() {
    train "$1_whole" "$1.cfg" -seed 3 || return
    killed "$1_cut" "$1.cfg" -seed 3 || return
    # The checkpoint goes elsewhere, as the run overwrites its own.
    mkdir -p "$1_from"
    cp "$1_cut/$1.backup"* "$1_from"
    train "$1_cut" "$1.cfg" "$1_from/$1.backup" -seed 3 || return
    cmp "$1_whole/$1_final.weights" "$1_cut/$1_final.weights" || return
    cmp "$1_whole/$1_final.weights.vkd" "$1_cut/$1_final.weights.vkd" || return
    grep -qE "^Loading (taps|momentum) from $1_from/$1.backup.vkd...Done!" "$1_cut.log"
}

student one 600 one_tap
student many 600 many_taps
student plain 600 plain_taps
# Sizes of 64, 96 and 128 up to batch 200.
side=96 rate=0.0002
student sizes 400 one_tap 1
sed 's/random=1/random=0/' sizes.cfg >fixed.cfg
side=32 rate=0.005
check resume_one_tap resumed one
check resume_many_taps resumed many
check resume_plain resumed plain
check resume_random_sizes resumed sizes
fixed_sizes() {
    train fixed fixed.cfg -seed 3 && differ fixed/fixed_100.weights sizes_whole/sizes_100.weights
}
check resume_sizes_were_random fixed_sizes

# The log goes on behind the checkpoint: one row a batch, the columns but the time those of the whole run.
without_time() {
    cut -d, -f1,2,4- "$1"
}
logs_agree() {
    without_time one_whole/one_log.csv >whole.csv
    without_time one_cut/one_log.csv >cut.csv
    [ "$(wc -l <whole.csv)" -eq 601 ] && diff whole.csv cut.csv | head -n 5 | grep . && return 1
    return 0
}
check resume_log_goes_on logs_agree

# A longer schedule is the same run up to where they part.
sed 's/max_batches=600/max_batches=700/' one.cfg >longer.cfg
longer() {
    train longer longer.cfg one_whole/one_final.weights -seed 3 || return
    grep -q '^700,' longer/longer_log.csv
}
check resume_longer_max_batches longer
nothing_left() {
    train finished one.cfg one_whole/one_final.weights -seed 3 || return
    grep -qx "one_whole/one_final.weights has seen 600 batches of 600; nothing is left to train (-clear starts afresh, a larger max_batches goes on)" \
        finished.log || return
    [ ! -e finished/one_final.weights ] # another run's result is not replaced by what was handed in
}
check resume_finished_run_says_so nothing_left
# killed_at_random CFG_NAME: SIGKILL at any moment, again and again; each time the run starts anew from the checkpoint it
# left, or from nothing where it left none. Weights, sidecar, best weights and log are those of the whole run.
killed_at_random() {
    local name=$1 kills=0 from milliseconds
    data_file "$name-cut"
    train "$name-whole" "$name.cfg" -seed 8 -mAP_epochs 10 || return
    while [ $((kills += 1)) -le 12 ] && [ ! -e "$name-cut/${name}_final.weights" ]; do
        from=()
        [ ! -e "$name-cut/$name.backup" ] || from=("$name-cut/$name.backup")
        milliseconds=$((50 + RANDOM % 700))
        "$DARKNET" detector train "$name-cut.data" "$name.cfg" ${from[@]+"${from[@]}"} -seed 8 -mAP_epochs 10 \
            >"$name-cut.log" 2>&1 </dev/null &
        sleep "$(printf '0.%03d' "$milliseconds")"
        kill -9 $! 2>/dev/null
        wait $! 2>/dev/null
        echo "killed after $milliseconds ms, from ${from[*]:-nothing}: $(tail -n 1 "$name-cut.log" | tr -d '\r')"
        ! grep -qE 'damaged|of other weights|of another|not there|cannot be' "$name-cut.log" || return
    done
    if [ ! -e "$name-cut/${name}_final.weights" ]; then
        from=()
        [ ! -e "$name-cut/$name.backup" ] || from=("$name-cut/$name.backup")
        train "$name-cut" "$name.cfg" ${from[@]+"${from[@]}"} -seed 8 -mAP_epochs 10 || return
    fi
    local file
    for file in _final.weights _final.weights.vkd _best.weights _best.weights.vkd _last.weights _last.weights.vkd; do
        cmp "$name-whole/$name$file" "$name-cut/$name$file" || return
    done
    without_time "$name-whole/${name}_log.csv" | cmp - <(without_time "$name-cut/${name}_log.csv")
}
# Enough batches that some kills come before the first checkpoint and some long after.
student tapped 1500 many_taps
student alone 1500 plain_taps
check resume_killed_at_random killed_at_random tapped
check resume_killed_at_random_plain killed_at_random alone

# Killed between the last backup and the result: the restart writes the result, the log stays.
finishes() {
    mkdir -p unfinished
    cp one_whole/one_600.weights unfinished/one.backup
    cp one_whole/one_600.weights.vkd unfinished/one.backup.vkd
    cp one_whole/one_log.csv unfinished/one_log.csv
    train unfinished one.cfg unfinished/one.backup -seed 3 || return
    cmp one_whole/one_final.weights unfinished/one_final.weights &&
        cmp one_whole/one_final.weights.vkd unfinished/one_final.weights.vkd &&
        cmp one_whole/one_log.csv unfinished/one_log.csv
}
check resume_writes_a_missing_result finishes

# A plain run of the same name takes the place of the weights: the sidecar beside them is its own.
stale() {
    mkdir -p plain_cfg stale
    cp one_whole/one_final.weights one_whole/one_final.weights.vkd stale/
    "$DARKNET" vkd strip one.cfg >plain_cfg/one.cfg || return
    train stale plain_cfg/one.cfg -seed 4 || return
    [ -e stale/one_final.weights ] && differ stale/one_final.weights.vkd one_whole/one_final.weights.vkd || return
    sed 's/max_batches=600/max_batches=610/' plain_cfg/one.cfg >plain_cfg/more.cfg
    train stale plain_cfg/more.cfg stale/one_final.weights -seed 4 || return
    grep -qx 'Loading momentum from stale/one_final.weights.vkd...Done!' stale.log
}
check resume_plain_run_replaces_the_sidecar stale
# From the weights of a plain run to taps, as from any weights: its sidecar knows nothing of them.
plain_to_taps() {
    mkdir -p taps_from
    cp plain_whole/plain_100.weights taps_from/one.weights
    train bare one.cfg taps_from/one.weights -seed 3 || return
    grep -qx 'taps_from/one.weights.vkd: not there; the projections start afresh' bare.log || return
    cp plain_whole/plain_100.weights.vkd taps_from/one.weights.vkd
    train pretrained one.cfg taps_from/one.weights -seed 3 || return
    grep -qx 'taps_from/one.weights.vkd: of a run without taps; the projections start afresh' pretrained.log || return
    cmp bare/one_final.weights pretrained/one_final.weights
}
check resume_from_a_plain_run_with_taps plain_to_taps
# A plain run takes any weights, as Darknet does; where the sidecar beside them is not its own, it starts without momentum.
plain_from() {
    local name=$1 said=$2
    mkdir -p "$name"
    cp plain_whole/plain_100.weights "$name/plain.weights"
    train "$name" plain.cfg "$name/plain.weights" -seed 3 || return
    mv "$name/plain_final.weights" "$name/without"
    cp "$3" "$name/plain.weights.vkd"
    train "$name" plain.cfg "$name/plain.weights" -seed 3 || return
    grep -xF "$name/plain.weights.vkd: $said; the momentum starts at zero" "$name.log" || return
    cmp "$name/without" "$name/plain_final.weights" && differ "$name/without" plain_whole/plain_final.weights
}
check resume_plain_from_taps plain_from after_taps "of another cfg" one_whole/one_100.weights.vkd
check resume_plain_from_another_moment plain_from after_moment \
    "of another moment: it has seen 800 images, the weights 400" plain_whole/plain_200.weights.vkd
head -c 2000 plain_whole/plain_100.weights.vkd >cut.vkd
check resume_plain_from_a_cut_sidecar plain_from after_cut \
    "damaged: its checksum does not match its 2000 bytes" cut.vkd

# ---- what is refused ----
data_file r
# refused NAME LINE CFG WEIGHTS ARGUMENT...
refused() {
    local name=$1 line=$2 cfg=$3 weights=$4
    shift 4
    check "$name" refuse "$line" "$DARKNET" detector train r.data "$cfg" "$weights" -seed 3 "$@"
}
copy() {
    mkdir -p r_from
    cp one_from/one.backup "r_from/$1.backup"
    cp one_from/one.backup.vkd "r_from/$1.backup.vkd"
}
copy cut
size=$(wc -c <one_from/one.backup.vkd)
head -c "$((size / 2))" one_from/one.backup.vkd >r_from/cut.backup.vkd
refused resume_cut_sidecar "r_from/cut.backup.vkd: damaged: its checksum does not match its $((size / 2)) bytes" \
    one.cfg r_from/cut.backup
copy flipped
printf '\377' | dd of=r_from/flipped.backup.vkd bs=1 seek=$((size / 2)) conv=notrunc 2>dd.log
refused resume_flipped_byte "r_from/flipped.backup.vkd: damaged: its checksum does not match its $size bytes" \
    one.cfg r_from/flipped.backup
copy short
printf 'VKDS' >r_from/short.backup.vkd
refused resume_short_sidecar "r_from/short.backup.vkd: only 4 bytes, too few for a sidecar" one.cfg r_from/short.backup
copy text
printf '%0100d\n' 0 >r_from/text.backup.vkd
refused resume_text_for_a_sidecar "r_from/text.backup.vkd: not a .vkd sidecar" one.cfg r_from/text.backup
copy older
cp one_whole/one_final.weights.vkd r_from/older.backup.vkd
refused resume_sidecar_of_another_moment \
    "r_from/older.backup.vkd: of another moment: it has seen 2400 images, the weights 400; remove it to start the projections afresh" \
    one.cfg r_from/older.backup
copy foreign
printf '\001\002' | dd of=r_from/foreign.backup bs=1 seek=24 conv=notrunc 2>dd.log # a bias's low bytes
refused resume_sidecar_of_other_weights \
    "r_from/foreign.backup.vkd: of other weights than those beside it; remove it to start the projections afresh" \
    one.cfg r_from/foreign.backup
sed 's/teacher_from=1/&\nratio=0.3/' one.cfg >other.cfg
refused resume_other_cfg "one_from/one.backup.vkd: of another cfg; train with the one it was made with, or start afresh with -clear" \
    other.cfg one_from/one.backup
"$DARKNET" detector train teacher_run.data teacher.cfg -seed 98 >teacher2.log 2>&1
cp teacher_run/teacher_final.weights other_teacher.weights
refused resume_other_teacher \
    "one_from/one.backup.vkd: of another teacher; train with the one it was made with, or start afresh with -clear" \
    one.cfg one_from/one.backup -teacher_weights other_teacher.weights

# Killed between the weights and their sidecar: the new sidecar waits under another name, the old one is still there.
between() {
    mkdir -p "$1_from"
    cp one_whole/one_500.weights "$1_from/one.backup"
    cp one_whole/one_500.weights.vkd "$1_from/one.backup.vkd.next"
    [ -z "$2" ] || cp "$2" "$1_from/one.backup.vkd"
    train "$1" one.cfg "$1_from/one.backup" -seed 3 || return
    cmp one_whole/one_final.weights "$1/one_final.weights" && cmp one_whole/one_final.weights.vkd "$1/one_final.weights.vkd"
}
check resume_killed_between_weights_and_sidecar between between one_whole/one_400.weights.vkd
check resume_killed_before_the_first_sidecar between first ''
before_the_weights() {
    mkdir -p early_from
    cp one_whole/one_400.weights early_from/one.backup
    cp one_whole/one_400.weights.vkd early_from/one.backup.vkd
    cp one_whole/one_500.weights.vkd early_from/one.backup.vkd.next
    train early one.cfg early_from/one.backup -seed 3 || return
    cmp one_whole/one_final.weights early/one_final.weights && cmp one_whole/one_final.weights.vkd early/one_final.weights.vkd
}
check resume_killed_before_the_weights before_the_weights
nothing_waits() {
    [ -s one_whole/one_500.weights.vkd ] && ! find one_whole -name '*.next' | grep .
}
check resume_leaves_no_waiting_sidecar nothing_waits

# -clear: a damaged sidecar is not even looked at, and the run counts from 0.
clear() {
    train cleared one.cfg r_from/flipped.backup -seed 3 -clear || return
    ! grep -q 'Loading taps' cleared.log && sed -n 2p cleared/one_log.csv | grep -q '^1,4,'
}
check resume_clear_starts_afresh clear
# Weights without a sidecar: pretrained ones are the ordinary case, a checkpoint that lost its own is told.
cp one_from/one.backup r_from/alone.backup
alone() {
    train alone one.cfg r_from/alone.backup -seed 3 || return
    grep -qx "r_from/alone.backup.vkd: not there; the projections start afresh" alone.log
}
check resume_without_a_sidecar_says_so alone
exit "$status"
