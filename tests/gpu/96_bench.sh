#!/usr/bin/env bash
# What `make bench-gpu` runs gives all of its figures; what they are is the machine's business.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/../end_to_end/common.bash"
bench=$BUILD/tests/bench/bench_device_step
{
    net 1000
    student_layers
    tap 1 1
    tap 0 0 map=matrix_exp
} >student.cfg
pictures 2
check bench_teacher teacher
# Made weights whose variances nobody has set would make features grow a millionfold at every layer.
{
    net 3
    conv 8 2 3 leaky bn
    conv 12 2 3 leaky bn
    for i in 1 2 3 4 5 6 7; do conv 12 1 3 leaky bn; done
} >deep.cfg
{
    net 1000
    student_layers
    tap 1 8
} >deep_student.cfg
# Asked twice, as in rounds.
answers() {
    printf '2\n1\n' | timeout 200 "$bench" "$1" "$2" "$3" 2 64 >told 2>err || return
    cat told
    ! grep 'not finite' err || return
    grep -qE '^machine 0 [^ ]+$' told && grep -qE '^least [0-9.]+ [0-9.]+ [0-9.]+ [0-9.]+$' told &&
        [ "$(grep -cE '^(forward|backward|update|teacher|alone|with_teacher|step) [0-9]+\.[0-9]+ [0-9.]+$' told)" -eq 14 ] &&
        [ "$(grep -cE '^taps -?[0-9]+\.[0-9]+ 0\.0000$' told)" -eq 2 ] &&
        [ "$(grep -cE '^memory [0-9.]+$' told)" -eq 2 ] && [ "$(grep -c '^end$' told)" -eq 2 ]
}
check bench_answers answers student.cfg teacher.cfg teacher.weights
check bench_makes_weights answers deep_student.cfg deep.cfg made.weights
exit "$status"
