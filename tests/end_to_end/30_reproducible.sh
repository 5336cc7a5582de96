#!/usr/bin/env bash
# What a seed fixes, and what a tap must not change: with weight=0 the student's weights are those of the plain cfg.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 13
check reproducible_teacher teacher

{
    net 20
    student_layers
} >plain.cfg
{
    net 20 "${teacher_keys[@]}"
    student_layers
    tap 1 1 weight=0
} >zero.cfg
{
    net 20 "${teacher_keys[@]}"
    student_layers
    tap 1 1
} >tapped.cfg
# Sections between the layers, and no teacher.
{
    net 20
    conv 4 2 3 leaky bn
    printf '\n[vkd_whiten]\nmode=none\n'
    tap 0 1
    conv 6 2 3 leaky bn
    tap -1 -3
    conv 14 1 1 linear
    yolo
} >inert.cfg

check train_plain train plain plain.cfg -seed 5
check train_plain_again train again plain.cfg -seed 5
check train_plain_other_seed train other plain.cfg -seed 6
check train_weight_0 train zero zero.cfg -seed 5
check train_inert train inert inert.cfg -seed 5
check train_tapped train tapped tapped.cfg -seed 5
check train_tapped_again train tapped2 tapped.cfg -seed 5

check seed_same_command_same_bytes same plain/plain_final.weights again/plain_final.weights
check seed_same_command_same_bytes_tapped same tapped/tapped_final.weights tapped2/tapped_final.weights
check seed_same_sidecar same tapped/tapped_final.weights.vkd tapped2/tapped_final.weights.vkd
check seed_another_differs differ plain/plain_final.weights other/plain_final.weights
check weight_0_is_the_plain_run same plain/plain_final.weights zero/zero_final.weights
check sections_without_teacher_are_inert same plain/plain_final.weights inert/inert_final.weights
check sections_without_teacher_say_so grep -qx "inert.cfg: no teacher is named, so the vkd sections do nothing" inert.log
check tap_changes_the_student differ plain/plain_final.weights tapped/tapped_final.weights

# The pictures are the same for the student alone and with a tap: so is its first loss, before any update.
first_loss() {
    awk -F, 'NR == 2 { print $1, $2, $5 }' "$1"
}
same_first_loss() {
    first_loss "$1"
    first_loss "$2"
    [ -n "$(first_loss "$1")" ] && [ "$(first_loss "$1")" = "$(first_loss "$2")" ]
}
check seed_same_pictures_alone_and_tapped same_first_loss plain/plain_log.csv tapped/tapped_log.csv
check seed_other_pictures_with_another eval '! same_first_loss plain/plain_log.csv other/plain_log.csv'

# A log line a batch, with the tap's numbers.
rows() {
    [ "$(awk -F, 'NF == 10 && NR > 1 && $6 > 0 && $7 > 0 && $8 > 0 && $9 < 1e-5' tapped/tapped_log.csv | wc -l)" -eq 20 ]
}
check log_has_a_row_a_batch rows

# Without -seed two runs differ, and the seed a run prints repeats it.
check train_unseeded train unseeded plain.cfg
check unseeded_differs differ plain/plain_final.weights unseeded/plain_final.weights
seed=$(sed -n 's/^Training .* seed \([0-9]*\)$/\1/p' unseeded.log)
check train_with_the_printed_seed train printed plain.cfg -seed "${seed:-missing}"
check printed_seed_repeats_the_run same unseeded/plain_final.weights printed/plain_final.weights

# The loader's threads and the BLAS's own scheduling decide nothing.
two_threads() {
    VKD_TEST_THREADS=2 OMP_NUM_THREADS=2 train "$1" tapped.cfg -seed 5
}
check train_two_threads two_threads threads1
check train_two_threads_again two_threads threads2
check seed_same_bytes_with_two_threads same threads1/tapped_final.weights threads2/tapped_final.weights
exit "$status"
