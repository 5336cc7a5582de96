#!/usr/bin/env bash
# Training on a GPU against the same program's CPU (-nogpu): ten batches to rounding, with every kind of tap; what must
# not depend on where: weight=0 as without taps, a resumed run, random=1, the map. Run by `make test-gpu`.
# NOGPU=1 puts the CPU on both sides, to try the script itself where there is no GPU.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/../end_to_end/common.bash"
# float32 throughout: cuDNN and cuBLAS else round products to TF32.
export NVIDIA_TF32_OVERRIDE=0
here=()
[ "${NOGPU:-0}" = 0 ] || here=(-nogpu)
pictures 8
# The teacher is trained on the CPU, so that a broken device breaks no other test.
teacher() {
    {
        net 3
        conv 8 2 3 leaky bn
        conv 12 2 3 leaky bn
        printf '\n[shortcut]\nfrom=-1\nactivation=linear\n'
        conv 8 2 3 leaky bn
        conv 14 1 1 linear
        yolo
        printf '\n[route]\nlayers=-4\n\n[upsample]\nstride=2\n\n[maxpool]\nsize=2\nstride=2\n'
        conv 10 1 1 leaky bn
        conv 14 1 1 linear
        yolo
    } >teacher.cfg
    train teacher_run teacher.cfg -seed 99 -nogpu && cp teacher_run/teacher_final.weights teacher.weights
}
check gpu_teacher_on_the_cpu teacher

# Without batch norm, whose eps is another on a GPU (sqrt(variance + 1e-5), on the CPU sqrt(variance) + 1e-6).
plain_layers() {
    conv 6 2 3 leaky
    conv 6 2 3 leaky
    conv 6 1 1 leaky
    printf '\n[shortcut]\nfrom=-2\nactivation=linear\n'
    conv 14 1 1 linear
    yolo "${1:-0}"
}
# cfg NAME LAYERS TAP_LINE...: NAME.cfg, with taps at layers 1 and 0.
cfg() {
    local name=$1 layers=$2
    shift 2
    {
        net 10 "${teacher_keys[@]}"
        "$layers" 0
        [ "${whiten:-}" = "" ] || printf '\n[vkd_whiten]\n%s\n' "$whiten"
        tap 1 1 "$@"
        tap 0 0
    } >"$name.cfg"
}
# near NAME TOLERANCE: losses, weights and ratios of all batches, the student's weights and the sidecar's size.
near() {
    train "$1_cpu" "$1.cfg" -seed 3 -nogpu || return
    train "$1_gpu" "$1.cfg" -seed 3 "${here[@]}" || return
    "$python" - "$1" "$2" <<'END'
import csv, os, sys
import numpy as np

name, tolerance = sys.argv[1], float(sys.argv[2])
rows = [list(csv.DictReader(open(f"{name}_{where}/{name}_log.csv"))) for where in ("cpu", "gpu")]
bad = len(rows[0]) != 10 or len(rows[1]) != 10
for a, b in zip(*rows):
    for key in a:
        if key in ("seconds",) or not a[key]:
            continue
        x, y = float(a[key]), float(b[key])
        # An orthogonality defect is all rounding.
        limit = 1e-4 if "defect" in key else tolerance * max(abs(x), 1e-3)
        if not abs(x - y) <= limit:
            print(f"batch {a['batch']} {key}: {x} on the CPU, {y} on the GPU")
            bad = True
read = lambda where: np.fromfile(f"{name}_{where}/{name}_final.weights", np.float32)[5:]
a, b = read("cpu"), read("gpu")
worst = np.abs(a - b).max() / np.abs(a).max()
print("weights differ by", worst, "of the largest")
sizes = [os.path.getsize(f"{name}_{where}/{name}_final.weights.vkd") for where in ("cpu", "gpu")]
print("sidecars of", sizes)
sys.exit(bool(bad or not worst <= tolerance or a.shape != b.shape or sizes[0] != sizes[1]))
END
}
# twin NAME LAYERS TOLERANCE TAP_LINE...
twin() {
    local name=$1 layers=$2 tolerance=$3
    shift 3
    cfg "$name" "$layers" "$@"
    check "gpu_ten_batches_$name" near "$name" "$tolerance"
}
twin plain plain_layers 1e-4
# cuDNN divides a variance by N, Darknet by N - 1: of many values, and at a rate at which a training does not make much of
# what is different.
if [ "${CUDNN:-0}" = 1 ]; then
    side=96 rate=0.0005 twin batchnorm student_layers 2e-2
else
    twin batchnorm student_layers 1e-2
fi
twin weight plain_layers 1e-4 weight=3
twin smooth plain_layers 1e-4 loss=smooth_l1 map=cayley
twin procrustes plain_layers 1e-4 map=procrustes
twin householder plain_layers 1e-4 map=householder rebase=0
twin linear plain_layers 1e-4 map=linear
identity() {
    {
        net 10 "${teacher_keys[@]}"
        conv 8 2 3 leaky
        conv 14 1 1 linear
        yolo
        tap 0 0 map=identity
    } >identity.cfg
    near identity 1e-4
}
check gpu_ten_batches_identity identity
twin global plain_layers 1e-4 pool=global
twin foreground plain_layers 1e-4 foreground=0.5 mask_padding=1
twin gain plain_layers 1e-4 student_norm=gain
twin layernorm plain_layers 1e-4 student_norm=layernorm
whiten='mode=whiten' twin whiten plain_layers 1e-3
whiten=$'mode=whiten\nrank=5' twin rank plain_layers 1e-3
whiten=$'mode=standardize\nstatistics=calibrated\nimages=16' twin calibrated plain_layers 1e-4
whiten='mode=layernorm' twin teacher_layernorm plain_layers 1e-4
# A layer of the teacher behind one of its heads, and a teacher of its own size.
{
    net 10 "${teacher_keys[@]}"
    plain_layers 0
    tap 1 9
} >behind.cfg
check gpu_ten_batches_behind_a_head near behind 1e-4
sed 's/^teacher_cfg/teacher_resize=1\n&/; s/^width=32/width=64/' plain.cfg >resized.cfg
check gpu_ten_batches_teacher_resize near resized 1e-4

# ---- what does not depend on where ----
on_gpu() {
    local name=$1 cfg=$2
    shift 2
    train "$name" "$cfg" "${here[@]}" "$@"
}
zero() {
    cfg zero plain_layers weight=0
    sed -i 's/^from=0$/&\nweight=0/' zero.cfg
    "$DARKNET" vkd strip zero.cfg >alone.cfg 2>/dev/null
    on_gpu zero zero.cfg -seed 3 && on_gpu alone alone.cfg -seed 3 && cmp zero/zero_final.weights alone/alone_final.weights
}
check gpu_weight_0_is_the_plain_run zero
# Where nothing can be pinned, as the stand-in has it then, the copies are the same.
unpinned() {
    cfg pinned plain_layers
    on_gpu pinned pinned.cfg -seed 3 && VKD_DEVICE_PINS_NOTHING=1 on_gpu unpinned pinned.cfg -seed 3 &&
        cmp pinned/pinned_final.weights unpinned/pinned_final.weights
}
check gpu_without_pinned_memory unpinned
# random=1: other sizes every ten batches, and the taps' buffers with them; the last ones at the cfg's own.
sizes() {
    local side=64 rate=0.0005
    {
        net 260 "${teacher_keys[@]}"
        student_layers 1
        tap 1 1 foreground=0.5
    } >sizes.cfg
    VKD_DEVICE_LEFT=1 on_gpu sizes sizes.cfg -seed 5 -map -mAP_epochs 20 || return
    grep -q '^260,' sizes/sizes_log.csv && ! grep -qi nan sizes/sizes_log.csv || return
    # The stand-in counts: what is pinned is let go of before it is made anew, and pinned then.
    grep 'left on the devices' sizes.log | sed 's/.*pinned: //' | { ! read -r left _ times || { echo "$left $times" && [ "$left" -eq 0 ] && [ "$times" -gt 6 ]; }; }
}
check gpu_random_sizes_and_map sizes
# Stopped at batch 100 (the first checkpoint) and gone on: the projections go on, too.
resumed() {
    {
        net 104 "${teacher_keys[@]}"
        student_layers
        tap 1 1
    } >long.cfg
    on_gpu long long.cfg -seed 7 || return
    data_file rest
    on_gpu rest long.cfg long/long.backup -seed 7 || return
    grep -q 'Loading taps from long/long.backup.vkd' rest.log || return
    paste -d, <(grep '^104,' long/long_log.csv) <(grep '^104,' rest/long_log.csv) |
        awk -F, '{ n = NF / 2; for (i = 4; i <= 7; ++i) { d = $i - $(n + i); if (d < 0) d = -d; if (!(d <= 1e-3 * $i)) exit 1 } }'
}
check gpu_resumed resumed
# `detector valid` takes one picture at a time, whatever the cfg's batch is.
valid() {
    local where on
    {
        net 1
        plain_layers
    } >valid.cfg
    train valid valid.cfg -seed 3 -nogpu || return
    for where in cpu gpu; do
        data_file "valid_$where" && printf 'results=valid_%s\n' "$where" >>"valid_$where.data"
        on=("${here[@]}")
        [ "$where" = gpu ] || on=(-nogpu)
        timeout 60 "$DARKNET" detector valid "valid_$where.data" valid.cfg valid/valid_final.weights "${on[@]}" </dev/null || return
    done
    for class in one two; do
        paste -d ' ' "valid_cpu/comp4_det_test_$class.txt" "valid_gpu/comp4_det_test_$class.txt"
    done | awk '{
        for (i = 2; i <= 6; ++i) { d = $i - $(i + 6); if ((d < 0 ? -d : d) > (i == 2 ? 1e-4 : 1e-2)) bad = 1 }
        if (bad || $1 != $7) { print; bad = 1 }
    } END { print NR " boxes"; exit bad || NR < 50 }'
}
check gpu_valid valid
# What [dropout] drops there is of the seed, and goes on where a run is resumed.
dropout() {
    {
        net 104 "${teacher_keys[@]}"
        conv 6 2 3 leaky
        conv 6 2 3 leaky
        printf '\n[dropout]\nprobability=.5\n'
        conv 14 1 1 linear
        yolo
        tap 1 1
    } >dropout.cfg
    on_gpu dropout dropout.cfg -seed 7 && on_gpu again dropout.cfg -seed 7 && on_gpu other dropout.cfg -seed 8 || return
    data_file rest
    on_gpu rest dropout.cfg dropout/dropout.backup -seed 7 || return
    for name in again rest other; do
        paste -d, <(grep '^104,' dropout/dropout_log.csv) <(grep '^104,' "$name/dropout_log.csv") |
            awk -F, '{ print $5 "," $(NF / 2 + 5) }'
    done | tee losses
    awk -F, 'function near(a, b) { return a - b <= 1e-3 * a && b - a <= 1e-3 * a }
        { alike[NR] = near($1, $2) } END { exit !(NR == 3 && alike[1] && alike[2] && !alike[3]) }' losses
}
check gpu_dropout_of_the_seed dropout
one_gpu() {
    [ "${NOGPU:-0}" = 0 ] || return 0
    data_file several
    refuse "detector train: -gpus 0,1: it trains on one GPU; expected its number" \
        "$DARKNET" detector train several.data plain.cfg -gpus 0,1 &&
        refuse "detector train: -gpus -1: it trains on one GPU; expected its number" \
            "$DARKNET" detector train several.data plain.cfg -gpus -1
}
check gpu_one_gpu one_gpu
# A layer that a frozen teacher is not run with on a GPU.
odd_teacher() {
    {
        net 3
        conv 8 2 3 leaky bn
        printf '\n[activation]\nactivation=leaky\n'
        conv 12 2 3 leaky bn
    } >odd.cfg
    "$python" -c 'import sys, numpy as np; np.concatenate([np.zeros(5), np.ones(3000)]).astype(np.float32).tofile("odd.weights")'
    sed 's/^from=1/from=0/; s/teacher_from=1/teacher_from=2/' plain.cfg >odd_student.cfg
    data_file odd
    if [ "${NOGPU:-0}" = 1 ]; then
        "$DARKNET" detector train odd.data odd_student.cfg -teacher_cfg odd.cfg -teacher_weights odd.weights -nogpu
        return
    fi
    refuse "odd.cfg: layer 1 of the teacher is [activation], which is not run on a GPU; -nogpu trains on the CPU" \
        "$DARKNET" detector train odd.data odd_student.cfg -teacher_cfg odd.cfg -teacher_weights odd.weights
}
check gpu_teacher_layer_refused odd_teacher
exit "$status"
