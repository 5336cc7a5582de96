#!/usr/bin/env bash
# Darknet's own trainer of classifiers takes a teacher too: its cfg's sections are all it needs.
# shellcheck disable=SC1091,SC2119,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 12
check classifier_teacher teacher

sort_pictures

{
    net 30
    classifier_layers
} >plain.cfg
for how in weight=0 ratio=0.5 pool=global; do
    {
        net 30 "${teacher_keys[@]}"
        classifier_layers
        tap 1 1 $how
    } >"${how%=*}.cfg"
done
check classifier_plain classifier plain plain.cfg -seed 3
check classifier_plain_again classifier again plain.cfg -seed 3
check classifier_plain_other_seed classifier other plain.cfg -seed 4
check classifier_weight_0 classifier weight weight.cfg -seed 3
check classifier_dense classifier ratio ratio.cfg -seed 3
check classifier_global classifier pool pool.cfg -seed 3
check classifier_global_again classifier pool2 pool.cfg -seed 3
# The teacher by flags, over a cfg that names none.
sed '/^teacher_[cw]/d' pool.cfg >flags.cfg
check classifier_flags classifier flags flags.cfg -teacher_cfg teacher.cfg -teacher_weights teacher.weights -seed 3

check classifier_seed_same_bytes same plain/plain.weights again/plain.weights
check classifier_seed_another_differs differ plain/plain.weights other/plain.weights
check classifier_weight_0_is_the_plain_run same plain/plain.weights weight/weight.weights
check classifier_dense_tap_changes_the_student differ plain/plain.weights ratio/ratio.weights
check classifier_global_tap_changes_the_student differ plain/plain.weights pool/pool.weights
check classifier_pool_is_not_dense differ ratio/ratio.weights pool/pool.weights
check classifier_tapped_same_bytes same pool/pool.weights pool2/pool.weights
check classifier_flags_are_the_cfg same pool/pool.weights flags/flags.weights
sidecars() {
    [ -s pool/pool.weights.vkd ] && [ -s pool/pool_3.weights.vkd ] && [ ! -e plain/plain.weights.vkd ]
}
check classifier_leaves_sidecars sidecars

# What it leaves is a plain classifier.
predicted() {
    "$DARKNET" vkd strip pool.cfg >stripped.cfg || return
    sed -e 's/^top=1/top=2/' pool.data >predict.data
    echo "names=classes" >>predict.data
    "$DARKNET" classifier predict predict.data stripped.cfg pool/pool.weights "$(head -n 1 sorted.txt)" >predicted.txt 2>&1 </dev/null || {
        tail -n 3 predicted.txt
        return 1
    }
    cat predicted.txt
    grep -q '^ *[0-9.]*%: evenclass$' predicted.txt && grep -q '^ *[0-9.]*%: oddclass$' predicted.txt
}
check classifier_predicts predicted

# The taps attach at the first step, which has counted its own images by then. A ramp would end elsewhere.
resumed() {
    sed 's/^pool=global/&\nramp=constant/' pool.cfg >steady.cfg
    sed s/max_batches=30/max_batches=40/ steady.cfg >longer.cfg
    classifier steady steady.cfg -seed 3 || return
    classifier whole longer.cfg -seed 3 || return
    classifier resumed longer.cfg steady/steady.weights -seed 3 || return
    grep -q "^Loading taps from steady/steady.weights.vkd...Done!" resumed.log || return
    cmp whole/longer.weights resumed/longer.weights && cmp whole/longer.weights.vkd resumed/longer.weights.vkd
}
check classifier_resumes resumed
# Calibrated on the pictures of a classifier, inside the run and before it.
{
    net 30 "${teacher_keys[@]}"
    classifier_layers
    printf '\n[vkd_whiten]\nmode=standardize\nstatistics=calibrated\nimages=5\n'
    tap 1 1 pool=global
} >calibrated.cfg
calibrated() {
    classifier calibrated calibrated.cfg -seed 3 || return
    grep -q 'Calibrated the teacher.s statistics on 5 draws from the 12 pictures of calibrated.data' calibrated.log || return
    "$DARKNET" vkd calibrate calibrated.data calibrated.cfg -out c.cal -seed 3 >out 2>err || return
    classifier from_file calibrated.cfg -seed 3 -calibration c.cal || return
    ! grep Calibrated from_file.log && cmp calibrated/calibrated.weights from_file/calibrated.weights
}
check classifier_calibrated calibrated
mkdir r
sed 's/backup=.*/backup=r/' pool.data >r.data
for key in foreground=0.5 mask_padding=1; do
    {
        net 30 "${teacher_keys[@]}"
        classifier_layers
        tap 1 1 $key
    } >wrong.cfg
    reason="found 0.5; a network that ends in [softmax] has no truth boxes, expected 0"
    [ $key = foreground=0.5 ] || reason="found 1; the pictures of a network that ends in [softmax] have no padding, expected 0"
    check "classifier_refuses_${key%=*}" refuse "wrong.cfg:$(grep -n $key wrong.cfg | cut -d: -f1): [vkd_projection] ${key%=*}: $reason" \
        "$DARKNET" classifier train r.data wrong.cfg
done
check classifier_refuses_a_missing_teacher refuse "-teacher_weights: none.weights: No such file or directory" \
    "$DARKNET" classifier train r.data pool.cfg -teacher_weights none.weights
exit "$status"
