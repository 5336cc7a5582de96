#!/usr/bin/env bash
# `darknet vkd dump` and scripts/check_dump.py: a step as files, which NumPy finds right, and no other trace of it.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 5
check dump_teacher teacher
data_file d

# cfg NAME [LINE...]: NAME.cfg, the student with one tap at layer 1.
cfg() {
    local name=$1
    shift
    {
        net 20 "${teacher_keys[@]}"
        student_layers
        tap 1 1 "$@"
    } >"$name.cfg"
}
# dump NAME CFG ARGUMENT...: into the folder NAME; what it prints goes to NAME.said and NAME.log.
dump() {
    local name=$1 cfg=$2
    shift 2
    timeout 60 "$DARKNET" vkd dump d.data "$cfg" -out "$name" "$@" >"$name.said" 2>"$name.log" </dev/null || {
        echo "exit status $?"
        tail -n 5 "$name.log"
        return 1
    }
}
right() {
    "$python" "$root/scripts/check_dump.py" "$@"
}
wrong() {
    right "$@"
    [ $? -eq 1 ] && grep -q 'WRONG$' "$work/said"
}
# dumped NAME ARGUMENT...: NAME.cfg is dumped, and check_dump.py ARGUMENT... finds it right.
dumped() {
    local name=$1
    shift
    dump "$name" "$name.cfg" -seed 3 && right "$name" "$@"
}
# shapes FOLDER NAME SHAPE...: of the .npy files, all of them float32.
shapes() {
    "$python" - "$@" <<'END'
import sys, numpy
for name, shape in zip(sys.argv[2::2], sys.argv[3::2]):
    a = numpy.load(f"{sys.argv[1]}/{name}.npy")
    print(name, a.shape, a.dtype)
    if "x".join(map(str, a.shape)) != shape or a.dtype != numpy.float32:
        sys.exit(f"expected {shape}")
END
}

# ---- what is written ----
cfg plain foreground=0
check dump_default dumped plain
check dump_shapes shapes plain input 2x3x32x32 tap0_student 2x6x8x8 tap0_teacher 2x12x8x8 tap0_target 2x12x8x8 \
    tap0_P 12x6 tap0_loss 1 tap0_dstudent 2x6x8x8 tap0_xi 12x6
check dump_again dump again plain.cfg -seed 3
check dump_repeats diff -r plain again
no_more() {
    find plain -type f
    [ "$(find plain -type f | wc -l)" -eq 8 ] && [ "$(wc -l <plain.said)" -eq 8 ]
}
check dump_nothing_else no_more
told() {
    cat plain.said
    grep -qE '^input\.npy +2 x 3 x 32 x 32 +[-0-9.e]+ \.\. [-0-9.e]+$' plain.said &&
        grep -qE '^tap0_loss\.npy +1 +[0-9.]+ \.\. [0-9.]+$' plain.said
}
check dump_says_what_it_writes told
check dump_one_image dump one plain.cfg -seed 3 -images 1
check dump_one_image_shapes shapes one input 1x3x32x32 tap0_student 1x6x8x8 tap0_target 1x12x8x8
check dump_one_image_is_right right one
check dump_all_images dump all plain.cfg -images 5 -seed 3
check dump_all_images_shapes shapes all input 5x3x32x32 tap0_dstudent 5x6x8x8 tap0_P 12x6
check dump_all_images_is_right right all
check dump_same_P_for_another_batch same one/tap0_P.npy all/tap0_P.npy
# The first pictures, as they are: 40x40 shrunk to 32x32, so no padding.
first_pictures() {
    "$python" -c 'import numpy
one, two = numpy.load("one/input.npy"), numpy.load("all/input.npy")
raw = numpy.frombuffer(open("images/p00.ppm", "rb").read()[-4800:], numpy.uint8).reshape(40, 40, 3) / 255
assert (one[0] == two[0]).all()
corners = one[0][:, ::31, ::31], raw.transpose(2, 0, 1)[:, ::39, ::39]
print(corners)
assert abs(corners[0] - corners[1]).max() < 1e-6'
}
check dump_first_pictures first_pictures
check dump_teacher_by_flags dump flags plain.cfg -seed 3 -teacher_cfg teacher.cfg -teacher_weights teacher.weights
check dump_teacher_by_flags_is_the_cfgs diff -r plain flags

# ---- every kind of tap ----
cfg raw student_norm=none
check dump_student_norm_none dumped raw --student-norm none
check dump_student_norm_none_is_not_the_default wrong raw
cfg linear map=linear
check dump_linear dumped linear --map linear
check dump_linear_writes_the_plain_gradient wrong linear
cfg frozen map=frozen
check dump_frozen dumped frozen --map frozen
{ net 20 "${teacher_keys[@]}" && student_layers && tap 2 3 map=identity; } >identity.cfg # from head to head
check dump_identity dumped identity --map identity
for map in cayley householder procrustes; do
    cfg "$map" map=$map
    check "dump_$map" dumped "$map" --map "$map"
done
cfg objects foreground=0.5
check dump_foreground dumped objects
check dump_foreground_shapes shapes objects tap0_emphasis 2x8x8
cfg alone foreground=1
check dump_foreground_alone dumped alone
check dump_foreground_alone_shapes shapes alone tap0_mask 2x8x8
# Pictures without an object: nothing comes of them, and the check says so of other numbers.
without_objects() {
    mv labels with_objects && mkdir labels || return
    for label in with_objects/*; do : >"labels/${label##*/}"; done
    cp alone.cfg bare.cfg && dumped bare
    local code=$?
    rm -r labels && mv with_objects labels
    return "$code"
}
check dump_without_objects without_objects
not_without_objects() {
    cp -r bare wrong_bare && cp alone/tap0_dstudent.npy wrong_bare && ! right wrong_bare
}
check dump_without_objects_is_checked not_without_objects
cfg global pool=global
check dump_global dumped global
check dump_global_shapes shapes global tap0_student 2x6x8x8 tap0_target 2x12x1x1 tap0_dstudent 2x6x8x8
# whitened NAME LINE...: a [vkd_whiten] with these lines.
whitened() {
    local name=$1
    shift
    {
        net 20 "${teacher_keys[@]}"
        student_layers
        printf '\n[vkd_whiten]\n'
        printf '%s\n' "$@"
        tap 1 1
    } >"$name.cfg"
}
whitened layernorm mode=layernorm
check dump_layernorm dumped layernorm --mode layernorm
check dump_layernorm_is_not_the_default wrong layernorm
whitened unscaled mode=none
check dump_mode_none dumped unscaled --mode none
whitened batch statistics=batch eps=0.1
check dump_statistics_batch dumped batch --eps 0.1
whitened white mode=whiten shrinkage=0.1
check dump_whiten dumped white --mode whiten --shrinkage 0.1
whitened leading mode=whiten rank=5
check dump_whiten_rank dumped leading --mode whiten --rank 5
whitened cholesky mode=whiten whitening=cholesky
check dump_whiten_cholesky dumped cholesky --mode whiten --cholesky
whitened calibrated mode=whiten statistics=calibrated images=5
check dump_calibrated dumped calibrated --mode given
cfg white_objects foreground=0.5
sed 's/^\[vkd_projection\]/[vkd_whiten]\nmode=whiten\n\n&/' white_objects.cfg >folded.cfg
check dump_whiten_foreground dumped folded --mode whiten
sed 's/^teacher_from/loss=smooth_l1\n&/' folded.cfg >unfolded.cfg
check dump_whiten_foreground_smooth_l1 dumped unfolded --mode whiten --loss smooth_l1
cfg smooth loss=smooth_l1
check dump_smooth_l1 dumped smooth --loss smooth_l1
check dump_smooth_l1_is_not_the_default wrong smooth
cfg bysample student_norm=layernorm
check dump_student_norm_layernorm dumped bysample --student-norm layernorm
cfg gain student_norm=gain
check dump_student_norm_gain dumped gain --student-norm gain
check dump_student_norm_gain_shapes shapes gain tap0_gain 1
# Layer 0 has 16x16 on both sides: a teacher grid twice as large, and one half as large.
{
    net 20 "${teacher_keys[@]}"
    student_layers
    tap 1 0
    tap 0 1
} >grids.cfg
check dump_grids dumped grids
check dump_grids_shapes shapes grids tap0_teacher 2x8x16x16 tap0_target 2x8x8x8 tap1_teacher 2x12x8x8 tap1_target 2x12x16x16
# More student channels than the teacher has.
{
    net 20 "${teacher_keys[@]}"
    conv 14 2 3 leaky bn
    conv 6 2 3 leaky bn
    conv 14 1 1 linear
    yolo
    tap 0 1
    tap 0 1 foreground=0.5 map=cayley student_norm=none
} >wide.cfg
check dump_wide dump wide wide.cfg -seed 3
wide_is_right() {
    right wide && return 1 # the second tap's student_norm is another
    cp -r wide wide2 && rm wide/tap1_* && right wide || return
    rm wide2/tap0_mask.npy # of the objects, where the first tap is
    for name in student teacher target P loss dstudent xi emphasis; do
        mv "wide2/tap1_$name.npy" "wide2/tap0_$name.npy"
    done
    right wide2 --student-norm none --map cayley
}
check dump_wide_is_right wide_is_right
check dump_wide_shapes shapes wide tap0_P 12x14 tap0_xi 12x14
# Pictures of 40x40 in a net of 64x32 lie in its middle half.
sed 's/^width=32/width=64/; s/^\[vkd_projection\]/&\nmask_padding=1/' white_objects.cfg >masked.cfg
check dump_masked dumped masked
middle() {
    "$python" -c 'import numpy
mask = numpy.load("masked/tap0_mask.npy")
print(mask)
assert mask.shape == (2, 8, 16) and (mask[:, :, 4:12] == 1).all() and mask.sum() == 2 * 8 * 8
assert (numpy.load("masked/tap0_dstudent.npy")[..., :4] == 0).all()'
}
check dump_masked_padding_is_left_out middle
sed 's/^\[vkd_projection\]/[vkd_whiten]\nmode=whiten\n\n&/' masked.cfg >masked_white.cfg
check dump_masked_whiten dumped masked_white --mode whiten
unmasked() {
    rm -f masked/tap0_mask.npy && wrong masked
}
check dump_mask_counts unmasked
{
    net 20 "${teacher_keys[@]}"
    conv 4 2 3 leaky bn
    conv 6 2 3 leaky bn
    printf '\n[dropout]\nprobability=.5\n'
    conv 14 1 1 linear
    yolo
    tap 1 1
} >dropout.cfg
check dump_dropout dumped dropout
check dump_dropout_again dump dropout2 dropout.cfg -seed 3
check dump_dropout_repeats diff -r dropout dropout2
{
    net 20 "${teacher_keys[@]}"
    conv 4 2 3 leaky bn
    conv 6 2 3 leaky bn
    conv 2 1 1 linear
    printf '\n[avgpool]\n\n[softmax]\ngroups=1\n'
    tap 1 1
} >classifier.cfg
check dump_classifier dumped classifier
# An earlier dump's file of an option that is gone does not stay.
check dump_over_an_earlier_one dump objects plain.cfg -seed 3
check dump_leaves_nothing_stale diff -r plain objects

# ---- a run in progress ----
check dump_run train run plain.cfg -seed 3
sed s/max_batches=20/max_batches=60/ plain.cfg >longer.cfg
cp run/plain_final.weights run.weights
cp run/plain_final.weights.vkd run.weights.vkd
in_progress() {
    cksum run/* run.weights* teacher.weights* >before
    dump later longer.cfg run.weights -images 3 || return
    cksum run/* run.weights* teacher.weights* >after
    cat later.log
    grep -q '^Loading taps from run.weights.vkd...Done!$' later.log && cmp before after && differ later/tap0_P.npy plain/tap0_P.npy
}
check dump_in_progress in_progress
check dump_in_progress_is_right right later --mode given
check dump_in_progress_has_running_statistics wrong later
# Its last batch was the run's last.
check dump_of_a_finished_run dump finished plain.cfg run.weights -images 3
check dump_of_a_finished_run_is_the_same diff -r later finished
# Batches count as the cfg counts them, whatever -images says: 20 of 4 images are not 80 of 1.
sed 's/^from=1/until=30\n&/' longer.cfg >until30.cfg
sed 's/^from=1/until=20\n&/' longer.cfg >until20.cfg
rm run.weights.vkd
check dump_counts_batches_of_the_cfg dump until30 until30.cfg run.weights -images 1
check dump_refuses_an_ended_tap refuse "until20.cfg: every tap has ended by batch 20 (until=); there is no step to dump" \
    "$DARKNET" vkd dump d.data until20.cfg run.weights -images 1 -out ended
{
    cat until20.cfg
    tap 0 0
} >one_ended.cfg
one_ended() {
    dump one_ended one_ended.cfg run.weights -seed 3 || return
    ls one_ended
    grep -qx 'vkd tap 0 has ended by batch 20 (until=); it is left out' one_ended.log &&
        [ ! -e one_ended/tap0_P.npy ] && [ -e one_ended/tap1_P.npy ]
}
check dump_leaves_an_ended_tap_out one_ended

# ---- what it is checked with ----
# The script's own gradients against central differences of its own loss, in float64.
derivatives() {
    PYTHONDONTWRITEBYTECODE=1 "$python" - "$root/scripts" <<'END'
import argparse, sys, numpy
sys.path.insert(0, sys.argv[1])
import check_dump
rng = numpy.random.default_rng(5)
x, T, P, weight = (rng.standard_normal(s) for s in ((4, 18), (7, 18), (7, 4), (1, 18)))
for norm, kind in [(n, k) for n in ("standardize", "layernorm", "gain", "none") for k in ("l2", "smooth_l1")]:
    options = argparse.Namespace(student_norm=norm, loss=kind)
    loss = lambda x, P: check_dump.step(x, T, P, 0.3, weight, 1.7, options)[0][0]
    _, (dx, _), (G, _) = check_dump.step(x, T, P, 0.3, weight, 1.7, options)
    h, X, D = 1e-5, rng.standard_normal(x.shape), rng.standard_normal(P.shape)
    for found, up, down in (((dx * X).sum(), loss(x + h * X, P), loss(x - h * X, P)),
                            ((G * D).sum(), loss(x, P + h * D), loss(x, P - h * D))):
        print(norm, kind, found, (up - down) / (2 * h))
        assert abs(found - (up - down) / (2 * h)) < 1e-8 * max(1, abs(found))
END
}
check dump_check_has_the_derivatives derivatives

# ---- a wrong step is found ----
# tampered NAME FACTOR: the first image or row of tap0_NAME.npy times FACTOR.
tampered() {
    rm -rf tampered
    cp -r plain tampered
    "$python" - "$@" <<'END' && wrong tampered
import sys, numpy
path = f"tampered/tap0_{sys.argv[1]}.npy"
array = numpy.load(path)
array[0] *= numpy.float32(sys.argv[2])
numpy.save(path, array)
END
}
for name in student teacher target P loss dstudent xi; do
    check "dump_tampered_$name" tampered "$name" 1.01
done
check dump_tampered_sign tampered dstudent -1
check dump_tampered_nan tampered dstudent nan
check dump_tampered_nothing right plain
mkdir nothing
check dump_check_of_no_dump refuse "nothing: no tap*_P.npy; expected what \`darknet vkd dump\` wrote" \
    "$python" "$root/scripts/check_dump.py" nothing

# ---- refusals ----
# refused NAME LINE ARGUMENT...: `darknet vkd dump ARGUMENT...`, which leaves no folder `no`.
refused() {
    local name=$1 line=$2
    shift 2
    no_folder() {
        refuse "$@" && [ ! -e no ]
    }
    check "dump_refuses_$name" no_folder "$line" "$DARKNET" vkd dump "$@"
}
usage="usage: darknet vkd dump DATA CFG [WEIGHTS] -out DIR [-images N] [-seed N] [-teacher_cfg F] [-teacher_weights F]"
refused nothing "$usage"
refused no_cfg "$usage" d.data -out no
refused no_out "$usage" d.data plain.cfg
refused out_without_a_value "vkd dump: -out needs a value" d.data plain.cfg -out
refused images_without_a_value "vkd dump: -images needs a value" d.data plain.cfg -images -out no
refused unknown_option "vkd dump: unknown option -clear; expected -out, -images, -seed, -teacher_cfg or -teacher_weights" \
    d.data plain.cfg -out no -clear
refused fourth_file "vkd dump: unexpected \"extra\"; $usage" d.data plain.cfg teacher.weights extra -out no
refused images_word '-images: found "two"; expected an integer from 1 to 1000000' d.data plain.cfg -out no -images two
refused images_0 '-images: found "0"; expected an integer from 1 to 1000000' d.data plain.cfg -out no -images 0
refused images_too_many "vkd dump: -images: found 6; train.txt has 5 pictures" d.data plain.cfg -out no -images 6
refused cfg_missing "none.cfg: cannot be opened: No such file or directory" d.data none.cfg -out no
refused data_missing "none.data: cannot be opened: No such file or directory" none.data plain.cfg -out no
refused weights_missing "none.weights: cannot be opened: No such file or directory" d.data plain.cfg none.weights -out no
{
    net 20
    student_layers
} >untapped.cfg
refused no_tap "untapped.cfg: no [vkd_projection]; there is no step to dump" d.data untapped.cfg -out no
sed '/^teacher_[cw]/d' plain.cfg >unnamed.cfg
refused no_teacher "unnamed.cfg: no teacher is named; expected teacher_cfg and teacher_weights in [net], or as flags" \
    d.data unnamed.cfg -out no
refused half_a_teacher \
    "unnamed.cfg: a teacher's cfg is named but not its weights (teacher_weights); give both, in [net] or as flags" \
    d.data unnamed.cfg -out no -teacher_cfg teacher.cfg
refused out_is_a_file "names: found a file; expected a folder" d.data plain.cfg -out names
refused out_without_parent "none/deeper: the folder cannot be made: No such file or directory" d.data plain.cfg -out none/deeper
{
    head -n 1 train.txt
    echo none.ppm
} >missing.txt
sed 's/^train=.*/train=missing.txt/' d.data >missing.data
refused picture_missing "none.ppm: No such file or directory" missing.data plain.cfg -out no
{
    head -n 1 train.txt
    echo names
} >unreadable.txt
sed 's/^train=.*/train=unreadable.txt/' d.data >unreadable.data
unreadable() {
    refuse "" "$DARKNET" vkd dump unreadable.data plain.cfg -out no
    # Why differs between the readers of pictures.
    tail -n 1 err | grep -q '^names: the picture cannot be read' && refuse "$(tail -n 1 err)" \
        "$DARKNET" vkd dump unreadable.data plain.cfg -out no && [ ! -e no ]
}
check dump_refuses_picture_unreadable unreadable
sed '/^train=/d' d.data >list.data
refused no_list "list.data: train: missing; expected the list of training pictures" list.data plain.cfg -out no
printf '\n' >blank.txt
sed 's/^train=.*/train=blank.txt/' d.data >list.data
refused empty_list "blank.txt: no pictures" list.data plain.cfg -out no
# A teacher whose features overflow.
overflow() {
    "$python" -c 'import numpy, shutil
data = bytearray(open("teacher.weights", "rb").read())
data[20:24] = numpy.float32(3e38).tobytes() # a bias of layer 0
open("huge.weights", "wb").write(data)'
    refuse "vkd tap 0: the teacher's features are not finite; there is no step to dump" \
        "$DARKNET" vkd dump d.data plain.cfg -out no -teacher_weights huge.weights && [ ! -e no ]
}
check dump_refuses_what_is_not_finite overflow
listed() {
    "$DARKNET" vkd 2>err
    grep -q '^  darknet vkd dump DATA CFG \[WEIGHTS\] -out DIR \[-images N\] ' err
}
check dump_is_listed listed
exit "$status"
