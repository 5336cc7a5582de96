#!/usr/bin/env bash
# A long training of small batches with random=1 (make soak): memory, the taps' defect of orthogonality and speed stay
# flat. Not among the tests: it takes minutes.
#   BATCHES=20000 DARKNET=... soak.bash
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
: "${BATCHES:=20000}"
pictures 13
check soak_teacher teacher
# shellcheck disable=SC2034 # net() reads them
side=64 rate=0.0005
{
    net "$BATCHES" "${teacher_keys[@]}" | sed 's/batch=4/batch=2/; s/subdivisions=2/subdivisions=1/'
    student_layers 1
    tap 1 1
    tap 0 1 map=cayley rebase=7 foreground=0.5
    printf '\n[vkd_whiten]\nmode=whiten\nstatistics=running\nmomentum=0.9\n'
    tap 1 0 map=householder rebase=0 student_norm=gain
} >soak.cfg
data_file soak

# Resident memory in KiB beside the batch, ten times a second.
run() {
    "$DARKNET" detector train soak.data soak.cfg -seed 3 >soak.log 2>&1 </dev/null &
    local pid=$! kilobytes
    while kill -0 "$pid" 2>/dev/null; do
        kilobytes=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
        [ -z "$kilobytes" ] || echo "$(grep -Eo '^[0-9]+/' soak.log | tail -n 1 | tr -d /) $kilobytes" >>memory
        sleep .1
    done
    wait "$pid" || { tail -n 5 soak.log && return 1; }
}
check soak_runs run

# The mean, since the highest depends on what the loader and a resize hold at the moment of a look, by a megabyte on a
# busy machine. Between the two spans lie two fifths of the batches: 16 bytes lost in each are 128 KiB.
memory_is_flat() {
    awk -v batches="$BATCHES" 'NF == 2 {
            if ($1 >= batches / 5 && $1 <= batches * .6) { early += $2; ++n }
            if ($1 > batches * .6) { late += $2; ++m }
        }
        END { if (!n || !m) exit 1
            printf "resident memory: %.0f KiB on average from a fifth to the middle, %.0f KiB then\n", early / n, late / m
            exit !(late / m <= early / n + 128) }' memory
}
# P (12 x 6), (12 x 4) and (8 x 6): of 30 eps sqrt(k) at most, late as early.
defect_is_flat() {
    awk -F, -v batches="$BATCHES" 'NR > 1 {
            for (t = 0; t < 3; ++t) {
                defect = $(9 + 4 * t)
                if (defect > worst) worst = defect
                if ($1 <= batches / 10 && defect > early) early = defect
                if ($1 > batches * .9 && defect > late) late = defect
            }
        }
        END { printf "largest defect: %g in the first tenth, %g in the last, %g in all\n", early, late, worst
            exit !(NR == batches + 1 && worst > 0 && worst < 30 * 1.2e-7 * sqrt(4)) }' soak/soak_log.csv
}
# Others may compute at the same time, so only a drift that no neighbour explains fails.
speed_is_flat() {
    awk -F, -v batches="$BATCHES" 'NR > 1 { at[$1] = $3 }
        END { tenth = int(batches / 10)
            for (i = 0; i < 10; ++i) {
                step = (at[(i + 1) * tenth] - (i ? at[i * tenth] : 0)) / tenth * 1000
                printf "%.2f ", step
                if (i == 1) early = step
                if (i >= 1 && step < early) early = step
            }
            printf "ms a batch, by tenths\n"; exit !(step < 2 * early) }' soak/soak_log.csv
}
for figure in memory defect speed; do
    check "soak_${figure}_is_flat" "${figure}_is_flat"
    [ "$status" -ne 0 ] || sed 's/^/# /' said
done
exit "$status"
