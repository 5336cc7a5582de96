#!/usr/bin/env bash
# What taps can be set to, seen through whole runs: two at once, other grids, pooling, warm-up, an end, changing sizes.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 13
check taps_teacher teacher

# column NAME CSV: "batch value" of each row.
column() {
    awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; ++i) if ($i == name) at = i; if (!at) exit 1; next } { print $1, $at }' "$2"
}
# holds NAME CSV CONDITION: for all rows, `b` being the batch from 1 and `v` the value.
holds() {
    column "$1" "$2" >column.txt && [ -s column.txt ] &&
        awk "{ b = \$1; v = \$2; if (!($3)) { print; ++bad } } END { exit bad > 0 }" column.txt
}

# ---- several taps; n < k; other grids; pooling ----
{
    net 60 "${teacher_keys[@]}"
    conv 14 2 3 leaky bn
    tap -1 1 ratio=0.3
    conv 6 2 3 leaky bn
    printf '\n[vkd_whiten]\nmode=whiten\nstatistics=batch\n'
    tap -1 0 pool=global map=linear
    tap -2 -3 student_norm=none map=cayley
    conv 14 1 1 linear
    yolo
} >several.cfg
check taps_several train several several.cfg -seed 4
check taps_fewer_teacher_channels_is_said \
    grep -q '^  vkd tap 0  student   0   16 x  16 x  14 -> teacher   1    8 x   8 x  12  P 12 x 14 .*; 2 of the student.s 14 directions are not supervised$' several.log
check taps_defect_0 holds tap0_defect several/several_log.csv 'v >= 0 && v < 1e-5'
check taps_defect_2 holds tap2_defect several/several_log.csv 'v >= 0 && v < 1e-5'
check taps_loss_0 holds tap0_loss several/several_log.csv 'v > 0 && v < 100'
check taps_loss_1 holds tap1_loss several/several_log.csv 'v > 0 && v < 100'
check taps_loss_2 holds tap2_loss several/several_log.csv 'v > 0 && v < 100'
falls() {
    column "$1" "$2" | awk '{ if (NR <= 10) a += $2; last[NR % 10] = $2 } END { for (i in last) b += last[i]; print a, b; exit !(b < a) }'
}
check taps_loss_falls falls tap0_loss several/several_log.csv

# ---- the weight: warm-up, ramp, end ----
{
    net 60 "${teacher_keys[@]}"
    student_layers
    tap 1 1 weight=8 warmup=10 until=30 ramp=linear
    tap 0 0 weight=2 until=40 ramp=constant
} >schedule.cfg
check taps_schedule train schedule schedule.cfg -seed 4
# Batch b of the log is batch b - 1 of the schedule.
check taps_warmup_rises holds tap0_weight schedule/schedule_log.csv \
    'b > 10 || (v - 8 * b / 10 < 1e-5 && 8 * b / 10 - v < 1e-5)'
check taps_ramp_falls holds tap0_weight schedule/schedule_log.csv \
    'b <= 10 || b > 30 || (v - 8 * (31 - b) / 20 < 1e-4 && 8 * (31 - b) / 20 - v < 1e-4)'
check taps_end_0 holds tap0_weight schedule/schedule_log.csv 'b <= 30 || v == 0'
check taps_end_1 holds tap1_weight schedule/schedule_log.csv 'b <= 40 ? v == 2 : v == 0'

# Behind its end a tap does nothing, and its teacher is not asked: a run resumed there with the teacher goes on as one
# whose tap weighs 0. (Only with a teacher is the sidecar read, which carries the student's momentum.)
resumed_behind_the_end() {
    {
        net 200 "${teacher_keys[@]}"
        student_layers
        tap 1 1 until=100
    } >ending.cfg
    train ending ending.cfg -seed 4 || return
    train ended ending.cfg ending/ending_100.weights -seed 4 || return
    cmp ending/ending_final.weights ended/ending_final.weights &&
        cmp ending/ending_final.weights.vkd ended/ending_final.weights.vkd
}
check taps_resumed_behind_the_end resumed_behind_the_end
ended_taps_do_nothing() {
    {
        net 40 "${teacher_keys[@]}"
        student_layers
        tap 1 1 until=1 weight=0
    } >nothing.cfg
    train nothing nothing.cfg -seed 4 || return
    sed -e '/^teacher_[cw]/d' nothing.cfg >plain.cfg
    train plain plain.cfg -seed 4 || return
    cmp plain/plain_final.weights nothing/nothing_final.weights
}
check taps_ended_do_nothing ended_taps_do_nothing

# ---- sizes that change while training ----
side=96 rate=0.0002
{
    net 260 "${teacher_keys[@]}"
    student_layers 1
    tap 1 1
    tap 1 0 pool=global
} >sizes.cfg
side=32 rate=0.005
check taps_random_sizes train sizes sizes.cfg -seed 4
check taps_random_sizes_again train sizes2 sizes.cfg -seed 4
check taps_random_sizes_repeat same sizes/sizes_final.weights sizes2/sizes_final.weights
check taps_random_sizes_loss holds tap0_loss sizes/sizes_log.csv 'v > 0 && v < 100'
sed 's/random=1/random=0/' sizes.cfg >fixed.cfg
check taps_fixed_size train fixed fixed.cfg -seed 4
check taps_random_sizes_change_the_run differ sizes/sizes_final.weights fixed/fixed_final.weights

# ---- the weight that keeps a ratio ----
# Of the geometric mean over batches behind the start, where the task's gradient falls faster than its average.
mean_ratio() {
    {
        net 400 "${teacher_keys[@]}"
        student_layers
        tap 1 1 ratio=0.3 ramp=constant
    } >ratio.cfg
    train ratio ratio.cfg -seed 4 || return
    column tap0_ratio ratio/ratio_log.csv |
        awk '$1 > 200 { sum += log($2); ++n } END { print exp(sum / n); exit !(exp(sum / n) > 0.2 && exp(sum / n) < 0.45) }'
}
check taps_ratio_is_kept mean_ratio
{
    net 60 "${teacher_keys[@]}"
    student_layers
    tap 1 1 ratio=0
} >ratio0.cfg
sed 's/^ratio=0$/weight=0/' ratio0.cfg >weight0.cfg
check taps_ratio_0 train ratio0 ratio0.cfg -seed 4
check taps_weight_0 train weight0 weight0.cfg -seed 4
check taps_ratio_0_is_weight_0 same ratio0/ratio0_final.weights weight0/weight0_final.weights
# A frozen P and a learnt one start alike and part.
sed 's/ratio=0/map=frozen/' ratio0.cfg >frozen.cfg
sed 's/ratio=0/map=matrix_exp/' ratio0.cfg >learnt.cfg
check taps_frozen train frozen frozen.cfg -seed 4
check taps_learnt train learnt learnt.cfg -seed 4
check taps_learning_P_changes_the_run differ frozen/frozen_final.weights learnt/learnt_final.weights
first_row() {
    awk -F, 'NR == 2 { print $5, $6, $8 }' frozen/frozen_log.csv >a
    awk -F, 'NR == 2 { print $5, $6, $8 }' learnt/learnt_log.csv >b
    cat a b
    [ -s a ] && cmp a b
}
check taps_P_starts_alike first_row

# ---- a tap that gives nothing ----
# 3e38 among the teacher's first biases, which the next layer cannot hold: no batch has a target. The run stops at its 100th batch (of two
# sub-batches each) and says which tap it is; until then it trained as if alone.
{
    net 150 teacher_cfg=teacher.cfg teacher_weights=huge.weights
    student_layers
    tap 1 1
} >idle.cfg
{
    head -c 20 teacher.weights
    printf '\346\261\141\177'
    tail -c +25 teacher.weights
} >huge.weights
data_file idle
idle_line="batch 100: vkd tap 0 (student layer 1): its gradient was zero or not finite for 100 batches in a row; check \
that the layer is alive and the teacher's weights belong to its cfg"
idle() {
    "$DARKNET" detector train idle.data idle.cfg -seed 3 >out 2>err
    [ $? -eq 1 ] && tail -n 1 err && [ "$(tail -n 1 err)" = "$idle_line" ]
}
check taps_idle_stops_and_names_the_tap idle
# Pictures without an object are no such fault, however many come in a row.
no_objects() {
    mv labels with_objects && mkdir labels || return
    for label in with_objects/*; do : >"labels/${label##*/}"; done
    sed 's/huge.weights/teacher.weights/' idle.cfg >empty.cfg
    train empty empty.cfg -seed 3
    local code=$?
    rm -r labels && mv with_objects labels
    return "$code"
}
check taps_without_objects_go_on no_objects
no_objects_no_loss() { awk -F, 'NR > 1 && $6 != 0 { bad = 1 } END { exit bad || NR != 151 }' empty/empty_log.csv; }
check taps_without_objects_have_no_loss no_objects_no_loss
exit "$status"
