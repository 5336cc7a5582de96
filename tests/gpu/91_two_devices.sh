#!/usr/bin/env bash
# `classifier train -gpus 0,1` with taps: the student learns, checkpoints go on, on two devices, on one and on the CPU; of
# pictures that are all one, two devices learn what one does. Run by `make test-gpu` where there are two GPUs, and by
# `make gpu-on-cpu`. What the taps of the two are at each sync: devices/test_two_devices.c.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/../end_to_end/common.bash"
export NVIDIA_TF32_OVERRIDE=0
pictures 12
sort_pictures
cpu_teacher() {
    {
        net 3
        conv 8 2 3 leaky bn
        conv 12 2 3 leaky bn
        conv 14 1 1 linear
        yolo
    } >teacher.cfg
    train teacher_run teacher.cfg -seed 99 -nogpu && cp teacher_run/teacher_final.weights teacher.weights
}
check two_devices_teacher_on_the_cpu cpu_teacher
# cfg NAME BATCHES TAP_LINE...: NAME.cfg, with a tap at layer 1.
cfg() {
    local name=$1 batches=$2
    shift 2
    {
        net "$batches" "${teacher_keys[@]}"
        classifier_layers
        tap 1 1 "$@"
    } >"$name.cfg"
}
cfg probe 1
classifier probe probe.cfg -i 1 >/dev/null
if grep -q '^GPU 1 cannot be used' probe.log; then
    echo "ok two_devices (left out: there is one)"
    exit "$status"
fi

# Where the first device is another's, none of it is asked for.
second_alone() {
    local -x VKD_DEVICE_BUSY=0
    classifier second probe.cfg -gpus 1 && sed 's/^max_batches=.*/max_batches=2/' teacher.cfg >detector.cfg &&
        train detector detector.cfg -gpus 1
}
check two_devices_only_the_second second_alone

# Every fourth batch of each is a sync, after which as many count as both have made.
learns() {
    rate=0.02 cfg "$1" 96 pool=global "${@:2}"
    classifier "$1" "$1.cfg" -gpus 0,1 -seed 3 || return
    [ "$(grep -c 'Syncing\.\.\.' "$1.log")" -eq 12 ] && [ -s "$1/$1.weights.vkd" ] || return
    # N, EPOCHS: LOSS, ...
    awk -F '[:,]' '/ images$/ { loss[++n] = $3 } END {
        for (i = 1; i <= 12; ++i) { first += loss[i]; last += loss[n + 1 - i] }
        print n " batches, loss from " first / 12 " to " last / 12
        exit !(n == 48 && last < 0.9 * first) }' "$1.log"
}
for map in matrix_exp procrustes linear frozen; do
    check "two_devices_learn_$map" learns "$map" "map=$map"
done

# goes_on NAME LOADED ARGUMENT...: from NAME's last checkpoint, which so many networks load.
goes_on() {
    local name=$1 loaded=$2
    shift 2
    sed s/max_batches=96/max_batches=112/ "$name.cfg" >longer.cfg
    classifier on longer.cfg "$name/$name.weights" -seed 3 "$@" || return
    [ "$(grep -c "^Loading taps from $name/$name.weights.vkd...Done!" on.log)" -eq "$loaded" ] && [ -s on/longer.weights.vkd ]
}
check two_devices_resume goes_on matrix_exp 2 -gpus 0,1
check two_devices_resume_procrustes goes_on procrustes 2 -gpus 0,1
check one_device_goes_on goes_on matrix_exp 1 -i 1
check cpu_goes_on goes_on procrustes 1 -nogpu

# One picture, alike from left and right, and loaded as it is: both devices see what one alone does. Darknet trains two at
# twice the rate, and counts their batches together, if only at each sync: hence a weight that has no course.
one_picture() {
    local name=evenclass_one.ppm
    "$python" -c 'import sys
rows = bytes(b for y in range(32) for x in range(32) for b in (8 * y, abs(2 * x - 31) * 4, 60 + y * abs(2 * x - 31) // 8))
open(sys.argv[1], "wb").write(b"P6\n32 32\n255\n" + rows)' "$name"
    echo "$work/$name" >one.txt
}
# as_one NAME TAP_LINE...
as_one() {
    local name=$1 where list=one.txt
    shift
    for where in one two; do
        if [ "$where" = one ]; then rate=0.02 cfg "${name}_one" 8 ramp=constant "$@"; else rate=0.01 cfg "${name}_two" 16 ramp=constant "$@"; fi
        sed -i 's/^burn_in=.*/max_crop=32/; /^saturation/d; /^exposure/d; /^hue/d' "${name}_$where.cfg"
    done
    classifier "${name}_one" "${name}_one.cfg" -i 1 -seed 3 && classifier "${name}_two" "${name}_two.cfg" -gpus 0,1 -seed 3 || return
    "$python" - "$name" <<'END_OF_PYTHON'
import sys
import numpy as np

name, files = sys.argv[1], {}
for where in ("one", "two"):
    path = f"{name}_{where}/{name}_{where}.weights"
    sidecar = open(path + ".vkd", "rb").read()
    blocks = {"weights": np.fromfile(path, np.float32)[5:]}
    for block, kind in (("P", np.float32), ("momentum", np.float32), ("cross", np.float64), ("mean", np.float64)):
        at = sidecar.find(f"tap0.{block}\0".encode())
        if at >= 0:
            size = int.from_bytes(sidecar[at + 32:at + 40], "little")
            blocks[block] = np.frombuffer(sidecar[at + 40:at + 40 + size], kind)
    files[where] = blocks
one, two = files["one"], files["two"]
bad = one.keys() != two.keys() or "P" not in one
for block in one:
    size, apart = np.abs(one[block]).max(), np.abs(one[block] - two[block]).max()
    print(block, one[block].shape, "differ by", apart, "of the largest,", size)
    bad = bad or not 0 < size or not apart <= 1e-3 * size
sys.exit(bool(bad))
END_OF_PYTHON
}
one_picture
for map in matrix_exp procrustes linear; do
    check "two_devices_as_one_$map" as_one "same_$map" "map=$map"
done
exit "$status"
