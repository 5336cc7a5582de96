#!/usr/bin/env bash
# scripts/plot_training.py: a chart of logs that are there, and a line about those that are not logs.
# shellcheck disable=SC1091,SC2154,SC2317 # common.bash, and functions that check() calls
. "$(dirname "$0")/common.bash"
python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import matplotlib, PIL' 2>/dev/null; then python=$candidate && break; fi
done
if [ -z "$python" ]; then
    echo "ok plot (left out: no python3 with matplotlib here)"
    exit 0
fi
export MPLCONFIGDIR="$work/matplotlib" PYTHONDONTWRITEBYTECODE=1

# log NAME TAPS BATCHES AP: a log as training writes it, AP measured every AP batches (0: never).
log() {
    awk -v taps="$2" -v batches="$3" -v every="$4" 'BEGIN {
        srand(3)
        printf "batch,images,seconds,rate,loss"
        for (t = 0; t < taps; ++t) printf ",tap%d_loss,tap%d_weight,tap%d_ratio,tap%d_defect", t, t, t, t
        print ",AP"
        for (b = 1; b <= batches; ++b) {
            printf "%d,%d,%.3f,0.01,%.6g", b, 8 * b, b / 10, 300 / b + 3 + rand()
            for (t = 0; t < taps; ++t)
                printf ",%.6g,2.5,%.4g,1e-07", b < batches / 2 ? 1 / (1 + b / 50) + .05 * rand() : 0, 2 * (1 - b / batches)
            printf ",%s\n", every && b % every == 0 ? .3 * b / batches : ""
        }
    }' >"$1"
}
plot() {
    "$python" "$root/scripts/plot_training.py" "$@"
}
# is_chart FILE WIDTH: a PNG of that width with more than one colour drawn.
is_chart() {
    "$python" -c 'import sys
from PIL import Image
image = Image.open(sys.argv[1]).convert("RGB")
colours = {tuple(c) for _, c in image.getcolors(1 << 20)}
print(image.format, image.size, len(colours))
assert image.size[0] == int(sys.argv[2])
for c in sys.argv[3:]:
    assert tuple(int(c[i:i + 2], 16) for i in (0, 2, 4)) in colours, c' "$@"
}
log plain_log.csv 0 400 0
log distilled_log.csv 1 400 100
log two_log.csv 2 300 0
check plot_plain plot plain_log.csv -o plain.png
check plot_plain_is_one_panel is_chart plain.png 814 0072B2
check plot_side_by_side plot plain_log.csv distilled_log.csv -o both.png
check plot_side_by_side_is_four_panels is_chart both.png 1628 0072B2 D55E00
check plot_two_taps plot two_log.csv distilled_log.csv plain_log.csv -o two.png -window 25
check plot_two_taps_is_a_chart is_chart two.png 1628 0072B2 D55E00 009E73
log one_log.csv 1 1 1
check plot_one_batch plot one_log.csv -o one.png
mkdir a b && cp plain_log.csv a && cp distilled_log.csv b/plain_log.csv
check plot_same_names plot a/plain_log.csv b/plain_log.csv -o same.png
# A run that is being written, or was killed, may end within a line.
head -c -7 distilled_log.csv >cut_log.csv
check plot_cut_line plot cut_log.csv -o cut.png
sed '5s/[^,]*,\(.*\)/5,\1/; 9s/,[^,]*,2.5,/,nan,2.5,/' distilled_log.csv >nan_log.csv
check plot_nan plot nan_log.csv -o nan.png

# A real one.
pictures 5
{
    net 12
    student_layers
} >real.cfg
check plot_run train run real.cfg -seed 3
check plot_of_a_run plot run/real_log.csv -o run.png

# complain LINE ARGUMENT...: status 1, one line, no chart.
complain() {
    local line=$1 code=0
    shift
    rm -f bad.png
    plot "$@" -o bad.png >out 2>err || code=$?
    echo "status $code: $(cat err)"
    [ "$code" -eq 1 ] && [ "$(cat err)" = "plot_training.py: $line" ] && [ ! -e bad.png ]
}
check plot_missing complain "[Errno 2] No such file or directory: 'none.csv'" none.csv
: >empty.csv
check plot_empty complain 'empty.csv: empty; expected the log of a training run' empty.csv
head -n 1 plain_log.csv >header.csv
check plot_no_batches complain 'header.csv: no batches yet' header.csv
printf 'a,b\n1,2\n' >other.csv
check plot_not_a_log complain \
    'other.csv: not a training log; its first line should start with batch,images,seconds,rate,loss' plain_log.csv other.csv
sed '4s/$/,1/' plain_log.csv >wide.csv
check plot_columns complain 'wide.csv:4: found 7 columns, expected 6' wide.csv
sed '3s/,0.01,/,fast,/' plain_log.csv >word.csv
check plot_word complain 'word.csv:3: rate: found "fast", expected a number' word.csv
head -c 3000 /dev/urandom >noise.csv
binary() {
    plot noise.csv -o bad.png >out 2>err
    [ $? -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q '^plot_training.py: ' err
}
check plot_binary binary
# A full disk: the older chart stays, and no half one beside it.
full() {
    local code=0
    mkdir -p charts && echo old >charts/c.png
    (ulimit -f 1 && trap '' XFSZ && plot plain_log.csv -o charts/c.png 2>&1 | tail -n 1 && exit "${PIPESTATUS[0]}") || code=$?
    [ "$code" -eq 1 ] && [ "$(cat charts/c.png)" = old ] && [ "$(ls charts)" = c.png ]
}
check plot_full_disk full
check plot_window complain '-window: found -3; expected 0 or more' plain_log.csv -window -3
exit "$status"
