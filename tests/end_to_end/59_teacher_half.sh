#!/usr/bin/env bash
# teacher_half=1 on the CPU: what the teacher's layers hold is what NumPy makes of the weights file with halves where they
# belong, and a training with it is near to one without.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
pictures 8
check half_teacher mixed_teacher
data_file d
# cfg NAME KEY...: a tap at each convolution of the teacher, at its shortcut, and at its pooling.
cfg() {
    local name=$1
    shift
    {
        net 10 "${teacher_keys[@]}" "$@"
        student_layers
        for layer in 0 1 2 3 6 7; do tap 1 "$layer" map=matrix_exp foreground=0; done
    } >"$name.cfg"
}
rate=0.0002
cfg full
cfg half teacher_half=1
dump() {
    timeout 60 "$DARKNET" vkd dump d.data "$1.cfg" -out "$1_dump" -seed 3 2>"$1.log" </dev/null
}
check half_dump dump half
check full_dump dump full
cat >forward.py <<'END'
# forward.py FOLDER half|full: exit status 0 where the maps in FOLDER are what the layers of mixed_teacher compute, in half
# precision or in full; 3 where they are not.
import sys
import numpy as np

folder, half = sys.argv[1], sys.argv[2] == "half"
numbers = np.fromfile("teacher.weights", np.float32)[5:].astype(float)
near = lambda x: x.astype(np.float16).astype(float) if half else x
ACTIVATIONS = {"leaky": lambda x: np.where(x < 0, 0.1 * x, x), "logistic": lambda x: 1 / (1 + np.exp(-x)), "linear": lambda x: x}


def take(*shape):
    global numbers
    taken, numbers = numbers[: np.prod(shape)], numbers[np.prod(shape) :]
    return taken.reshape(shape)


def convolution(x, n, size, stride, activation, norm, groups=1):
    bias = take(n)
    scale, mean, variance = (take(n), take(n), take(n)) if norm else (np.ones(n), np.zeros(n), np.ones(n))
    weights = take(n, x.shape[1] // groups, size, size)
    if norm:
        weights = weights * (scale / (np.sqrt(variance) + 1e-6))[:, None, None, None]
        bias = bias - mean * scale / (np.sqrt(variance) + 1e-6)
    x, weights, pad = near(x), near(weights), size // 2
    side = (x.shape[2] + 2 * pad - size) // stride + 1
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    y = np.zeros((x.shape[0], n, side, side))
    for g in range(groups):
        ins, outs = (slice(g * c // groups, (g + 1) * c // groups) for c in (x.shape[1], n))
        for i in range(size):
            for j in range(size):
                seen = padded[:, ins, i : i + stride * side : stride, j : j + stride * side : stride]
                y[:, outs] += np.einsum("nc,bchw->bnhw", weights[outs, :, i, j], seen)
    return ACTIVATIONS[activation](near(y) + bias[:, None, None])


x = np.load(f"{folder}/input.npy").astype(float)
maps = {}
maps[0] = convolution(x, 8, 3, 2, "leaky", True)
maps[1] = convolution(maps[0], 12, 3, 2, "logistic", True, groups=4)
maps[2] = 2 * maps[1]
maps[3] = convolution(maps[2], 7, 1, 1, "linear", False)
maps[6] = np.concatenate((maps[3], maps[2]), 1)  # upsampling by 2 and pooling 2x2 leave it as it is
maps[7] = convolution(maps[6], 10, 3, 1, "leaky", True)
bad = False
for tap, layer in enumerate((0, 1, 2, 3, 6, 7)):
    found, expected = np.load(f"{folder}/tap{tap}_teacher.npy"), maps[layer]
    off = np.abs(found - expected) / np.sqrt((expected**2).mean())
    # A sum next to the middle between two halves goes to the other one in another order, here and in what follows.
    exact = (off < 5e-6).mean()
    print(f"layer {layer}: {found.shape}, off by at most {off.max():.2g}, {exact:.1%} exact")
    bad = bad or found.shape != expected.shape or off.max() > (2e-3 if half else 1e-5) or exact < (0.9 if layer == 7 else 0.98)
sys.exit(3 if bad else 0)
END
check half_is_numpys "$python" forward.py half_dump half
check full_is_numpys "$python" forward.py full_dump full
another() {
    "$python" forward.py half_dump full
    [ $? -eq 3 ] || return
    "$python" forward.py full_dump half
    [ $? -eq 3 ]
}
check half_is_not_full another

trains() {
    train full full.cfg -seed 3 && train half half.cfg -seed 3 && near 1e-2 full half &&
        grep '^Teacher teacher.cfg, layers 0 to 7, convolutions rounded to half precision:' half.log
}
check half_trains trains
repeats() {
    train again half.cfg -seed 3 && cmp half/half_final.weights again/half_final.weights
}
check half_repeats repeats
# The teacher takes the student's size, and its buffers change with it.
sizes() {
    local name side=96 rate=0.00002
    cfg fixed teacher_half=1 && sed -i 's/^max_batches=.*/max_batches=230/' fixed.cfg && sed 's/random=0/random=1/' fixed.cfg >sizes.cfg || return
    for name in fixed sizes; do
        train "$name" "$name.cfg" -seed 5 && grep -q '^230,' "$name/${name}_log.csv" && ! grep 'not finite' "$name.log" || return
    done
    differ fixed/fixed_final.weights sizes/sizes_final.weights
}
check half_random_sizes sizes
# Batch norm's scale makes weights of layer 0 that no half holds.
too_large() {
    "$python" -c 'import numpy as np
x = np.fromfile("teacher.weights", np.float32); x[5 + 8:5 + 16] *= 1e8; x.tofile("large.weights")'
    data_file refused
    "$DARKNET" detector train refused.data half.cfg -teacher_weights large.weights >out 2>err </dev/null
    [ $? -eq 1 ] || return
    tail -n 1 err
    tail -n 1 err | grep -qE "^large.weights: layer 0 \(convolutional\): found a weight of -?[0-9.e+]+; expected at most 65504, where half precision ends$" &&
        [ -z "$(ls -A refused)" ]
}
check half_weights_too_large too_large

# Shapes alone are looked at: weights that nobody has read are not judged, and rounded inputs take memory.
looked_at() {
    local which side=320
    cfg large_full && cfg large_half teacher_half=1 || return
    for which in full half; do
        "$DARKNET" vkd check "large_$which.cfg" >"$which.table" 2>"$which.err" || { tail -n 1 "$which.err" && return 1; }
    done
    # "teacher, layers 0 to 7   PARAMETERS   MEMORY MB ..."
    awk '/^teacher, layers/ { print; count[++n] = $6; mb[n] = $7 } END { exit !(n == 2 && count[1] == count[2] && mb[1] < mb[2]) }' full.table half.table
}
check half_is_looked_at looked_at

# ---- detector map -half ----
# The teacher's detections are near to those in full: nine in ten within a fifth of a pixel, and not all the same.
map_of() {
    "$DARKNET" detector map d.data teacher.cfg teacher.weights -thresh 0.05 "$@" >"$1.map" 2>map.err
}
maps() {
    map_of -json full.json && map_of -half -json half.json && "$python" - <<'END'
import json
full, half = (json.load(open(name)) for name in ("full.json", "half.json"))
print(len(full), len(half))
assert full and abs(len(full) - len(half)) <= 2
off = [min(max(abs(a - b) for a, b in zip([f["score"], *f["bbox"]], [h["score"], *h["bbox"]])) for h in half
           if h["image_id"] == f["image_id"] and h["category_id"] == f["category_id"]) for f in full]
print([sorted(off)[len(off) * q // 100] for q in (0, 50, 80, 90, 95, 99)], max(off))
assert 0 < max(off) and sorted(off)[len(off) * 9 // 10] < 0.2
END
}
check map_half maps
refused_half() {
    "$DARKNET" detector map d.data teacher.cfg large.weights -half >out 2>err </dev/null
    [ $? -eq 1 ] || return
    tail -n 1 err | grep '^large.weights: layer 0 (convolutional): found a weight of .*; expected at most 65504, where half precision ends$'
}
check map_half_weights_too_large refused_half
exit "$status"
