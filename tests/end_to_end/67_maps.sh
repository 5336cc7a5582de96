#!/usr/bin/env bash
# `darknet vkd maps`: a picture for each tap, what it tells, and what it refuses.
# shellcheck disable=SC1091,SC2119,SC2154,SC2034,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import numpy, PIL' 2>/dev/null; then python=$candidate && break; fi
done
: "${python:=python3}"
pictures 5
check maps_teacher teacher
{
    net 8 "${teacher_keys[@]}"
    student_layers
    tap 1 1
} >plain.cfg
check maps_run train run plain.cfg -seed 3
cp run/plain_final.weights w
cp run/plain_final.weights.vkd w.vkd
cp w bare

# maps NAME CFG WEIGHTS PICTURE [ARGUMENT...]: into the folder NAME; what it says goes to NAME.said and NAME.log.
maps() {
    local name=$1
    shift
    timeout 60 "$DARKNET" vkd maps "$@" -out "$name" >"$name.said" 2>"$name.log" </dev/null || {
        echo "exit status $?"
        tail -n 5 "$name.log"
        return 1
    }
}
# is_png FILE: a picture of eight cells in colour, none of them of one colour but the legend's.
is_png() {
    "$python" - "$1" <<'END'
import sys, numpy
from PIL import Image
a = numpy.asarray(Image.open(sys.argv[1])).astype(float)
print(a.shape)
assert a.ndim == 3 and a.shape[2] == 3 and a.shape[1] == 796
rows, width = numpy.split(a[:a.shape[0] // 2 * 2], 2), 200
for row in range(2):
    for column in range(4):
        cell = rows[row][24:-6, column * width:column * width + 196]
        assert (row, column) == (1, 0) or cell.std() > 4, (row, column, cell.std())
END
}
said() {
    cat "$1.said"
    grep -qE "^tap 0  student 1 -> teacher 1  explained -?[0-9.]+  $1/tap0.png\$" "$1.said"
}
cksum run/* w w.vkd >before_maps
check maps_of_a_run maps a plain.cfg w images/p00.ppm
check maps_png is_png a/tap0.png
check maps_says said a
# A picture much larger than its cell is averaged, not sampled: noise of black and white is nearly grey.
large() {
    "$python" -c 'import numpy
noise = numpy.random.default_rng(1).integers(0, 2, (1568, 1568, 1), numpy.uint8).repeat(3, 2) * 255
open("noise.ppm", "wb").write(b"P6\n1568 1568\n255\n" + noise.tobytes())' || return
    maps large plain.cfg w noise.ppm || return
    "$python" - large/tap0.png <<'END'
import sys, numpy
from PIL import Image
a = numpy.asarray(Image.open(sys.argv[1])).astype(float)[24:200, 20:180]
step = numpy.abs(numpy.diff(a, axis=1)).mean()
print("from pixel to pixel, on average:", step)
assert step < 40, step
END
}
check maps_of_a_large_picture large
sidecar_is_read() {
    cat a.log
    grep -q '^Loading taps from w.vkd...Done!$' a.log && ! grep -q 'random start' a.log
}
check maps_reads_the_sidecar sidecar_is_read
check maps_again maps b plain.cfg w images/p00.ppm
check maps_repeats same a/tap0.png b/tap0.png
no_trace() {
    cksum run/* w w.vkd >after_maps
    cmp before_maps after_maps
}
check maps_changes_nothing no_trace

# What is printed is what NumPy finds in a dump. Batch norm and running statistics make a training step see other
# features than inference does, so here is a student without the one and a target without the other.
explained_by_numpy() {
    data_file d
    ls -d "$work"/images/p00.ppm >train.txt
    {
        net 8 "${teacher_keys[@]}"
        conv 4 2 3 leaky
        conv 6 2 3 leaky
        conv 14 1 1 linear
        yolo
        printf '\n[vkd_whiten]\nmode=layernorm\n'
        tap 1 1
    } >exact.cfg
    train exact_run exact.cfg -seed 3 || return
    cp exact_run/exact_final.weights e && cp exact_run/exact_final.weights.vkd e.vkd
    maps exact exact.cfg e images/p00.ppm || return
    "$DARKNET" vkd dump d.data exact.cfg e -images 1 -out dumped >/dev/null 2>dumped.log || return
    "$python" - exact.said <<'END'
import sys, numpy
P, t, x = (numpy.load("dumped/tap0_%s.npy" % name).astype(float) for name in ("P", "target", "student"))
t, x = t[0].reshape(len(t[0]), -1), x[0].reshape(len(x[0]), -1)
x = (x - x.mean(1, keepdims=True)) / numpy.sqrt(x.var(1, keepdims=True) + 1e-5)
expected = 1 - ((P @ x - t) ** 2).sum() / (t ** 2).sum()
printed = float(open(sys.argv[1]).read().split("explained")[1].split()[0])
print("printed", printed, "expected", expected)
assert abs(printed - expected) < 6e-4
END
}
check maps_explained_is_numpys explained_by_numpy

check maps_without_a_sidecar maps bare_maps plain.cfg bare images/p00.ppm -seed 5
random_is_told() {
    cat bare_maps.log
    [ "$(grep -c "^bare.vkd: not there; P is its random start, and the statistics are this picture's\$" bare_maps.log)" -eq 1 ] &&
        [ "$(grep -c 'bare.vkd' bare_maps.log)" -eq 1 ]
}
check maps_tells_a_random_start random_is_told
check maps_without_a_sidecar_png is_png bare_maps/tap0.png

# Grids that differ, two taps, padding beside the picture.
{
    net 8 "${teacher_keys[@]}" | sed 's/^width=32/width=64/'
    student_layers
    tap 1 0 mask_padding=1
    tap 0 1 student_norm=layernorm
} >two.cfg
check maps_two_taps maps two two.cfg bare images/p01.ppm
check maps_two_taps_first is_png two/tap0.png
check maps_two_taps_second is_png two/tap1.png
sed 's/^from=1/pool=global\n&/' plain.cfg >global.cfg
check maps_global maps global global.cfg bare images/p00.ppm
no_map() {
    grep -q '^tap 0  student 1 -> teacher 1  one sample a picture (pool=global): no map$' global.said && [ ! -e global/tap0.png ]
}
check maps_global_has_no_map no_map

# ---- what is refused ----
usage='usage: darknet vkd maps CFG WEIGHTS IMAGE -out DIR [-seed N] [-teacher_cfg F] [-teacher_weights F]'
m=("$DARKNET" vkd maps)
check maps_no_arguments refuse "$usage" "${m[@]}"
check maps_no_folder refuse "$usage" "${m[@]}" plain.cfg w images/p00.ppm
check maps_no_picture refuse "$usage" "${m[@]}" plain.cfg w -out o
check maps_too_much refuse "vkd maps: unexpected \"more\"; $usage" "${m[@]}" plain.cfg w images/p00.ppm more -out o
check maps_unknown_flag refuse 'vkd maps: unknown option -tap; expected -out, -seed, -teacher_cfg or -teacher_weights' \
    "${m[@]}" plain.cfg w images/p00.ppm -tap 1
check maps_out_without_value refuse 'vkd maps: -out needs a value' "${m[@]}" plain.cfg w images/p00.ppm -out
check maps_missing_picture refuse 'none.png: No such file or directory' "${m[@]}" plain.cfg bare none.png -out o
"$DARKNET" vkd strip plain.cfg >stripped.cfg
check maps_without_taps refuse 'stripped.cfg: no [vkd_projection]; there is nothing to show' \
    "${m[@]}" stripped.cfg w images/p00.ppm -out o
grep -v '^teacher_[cw]' plain.cfg >orphan.cfg
check maps_without_teacher refuse \
    'orphan.cfg: no teacher is named; expected teacher_cfg and teacher_weights in [net], or as flags' \
    "${m[@]}" orphan.cfg w images/p00.ppm -out o
touch file
check maps_folder_is_a_file refuse 'file: found a file; expected a folder' "${m[@]}" plain.cfg bare images/p00.ppm -out file
exit "$status"
