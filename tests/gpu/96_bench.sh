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
answers() {
    # Twice, as it is asked in rounds; the teacher's weights are there, then made.
    printf '2\n1\n' | timeout 200 "$bench" student.cfg teacher.cfg "$1" 2 64 >told 2>err || return
    cat told
    grep -qE '^machine 0 [^ ]+$' told && grep -qE '^least [0-9.]+ [0-9.]+ [0-9.]+ [0-9.]+$' told &&
        [ "$(grep -cE '^(forward|backward|update|alone|step) [0-9]+\.[0-9]+ [0-9.]+$' told)" -eq 10 ] &&
        [ "$(grep -cE '^(teacher|taps) -?[0-9]+\.[0-9]+ [0-9.]+$' told)" -eq 4 ] &&
        [ "$(grep -cE '^memory [0-9.]+$' told)" -eq 2 ] && [ "$(grep -c '^end$' told)" -eq 2 ]
}
check bench_answers answers teacher.weights
check bench_makes_weights answers made.weights
exit "$status"
