#!/usr/bin/env bash
# Feeds the fuzzers that `make fuzzers` built, each for SECONDS_EACH seconds, or RUNS inputs; then gives what they
# found worth keeping to the program itself.
#   BUILD=build/fuzz scripts/fuzz.sh
# An input that takes TIMEOUT seconds (10) hangs; by the clock, so a machine with much else to do wants more of them.
# Seeds are the repository's cfgs and Darknet's, made small. The corpus stays in $BUILD/corpus, what ends a fuzzer in
# $BUILD/findings: minimise it with -minimize_crash=1, mend it, and keep it in tests/fuzz/options or tests/fuzz/cfg.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
: "${BUILD:=$root/build/fuzz}" "${SECONDS_EACH:=60}" "${RUNS:=}" "${PROCESSES:=200}" "${TIMEOUT:=10}"
seeds=$BUILD/seeds findings=$BUILD/findings
mkdir -p "$seeds" "$findings" "$BUILD/corpus/options" "$BUILD/corpus/cfg"

# One picture of 32 x 32, few filters; the heads' numbers of filters, which are no powers of two, must stay.
small() {
    awk -F '[= \t]+' '
        /^(width|height) *=/ { print $1 "=32"; next }
        /^(batch|subdivisions|time_steps) *=/ { print $1 "=1"; next }
        /^(filters|output) *=/ { n = $2; while (n > 1 && n % 2 == 0) n /= 2; if (n == 1 && $2 > 8) { print $1 "=8"; next } }
        { print }' "$1"
}

for cfg in "$root"/cfg/*/*.cfg "$root"/tests/cfg_errors/*.cfg "$BUILD"/darknet/cfg/*.cfg "$root"/cfg/coco/*.taps; do
    [ "$(wc -c <"$cfg")" -lt 8000 ] || continue
    small "$cfg" >"$seeds/$(basename "$cfg")"
done

export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:quarantine_size_mb=16:malloc_context_size=6 UBSAN_OPTIONS=print_stacktrace=1
limit=(-max_total_time="$SECONDS_EACH")
[ -z "$RUNS" ] || limit+=(-runs="$RUNS")
status=0
for kind in options cfg; do
    echo "fuzz_$kind"
    "$BUILD/tests/fuzz/fuzz_$kind" "${limit[@]}" -timeout="$TIMEOUT" -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="$findings/$kind-" "$BUILD/corpus/$kind" "$seeds" "$root/tests/fuzz/$kind" \
        >"$BUILD/$kind.log" 2>&1 || status=1
    grep -E '^inputs:|^fault:|ERROR|SUMMARY|Test unit written' "$BUILD/$kind.log" || true
    if [ "$status" -ne 0 ]; then tail -n 40 "$BUILD/$kind.log"; fi
done

# The same in processes of their own: exit status and one line, as a user meets them. Half as a student with a
# teacher, half as a teacher.
cat >"$BUILD/plain.cfg" <<'END'
[net]
width=32
height=32
channels=3
[convolutional]
filters=4
activation=leaky
END
{ cat "$BUILD/plain.cfg"; printf '[vkd_projection]\nfrom=0\nteacher_from=-1\n'; } >"$BUILD/student.cfg"
count=0 accepted=0
while IFS= read -r file; do
    for arguments in "$file -teacher_cfg $BUILD/plain.cfg" "$BUILD/student.cfg -teacher_cfg $file"; do
        code=0
        # shellcheck disable=SC2086 # a list of words; no path here has spaces
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 timeout "$((TIMEOUT * 6))" "$BUILD/darknet/darknet" vkd check \
            $arguments >/dev/null 2>"$BUILD/stderr" </dev/null || code=$?
        line=$(tail -n 1 "$BUILD/stderr" | tr -d '\0')
        count=$((count + 1))
        case $code:$line in
        0:*) accepted=$((accepted + 1)) ;;
        1:"$file:"* | 1:"$BUILD/student.cfg:"*) ;;
        *) echo "status $code of vkd check $arguments: $line" && status=1 ;;
        esac
    done
done < <(find "$BUILD/corpus/cfg" "$BUILD/corpus/options" -type f | sort -R --random-source=<(yes) | head -n "$((PROCESSES / 2))")
echo "processes: $count, accepted: $accepted"
exit $status
