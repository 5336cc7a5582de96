#!/bin/sh
# What the README prints of the program's and of the study's is what they print.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${DARKNET:=./darknet}"
printed=$(mktemp)
written=$(mktemp)
trap 'rm -f "$printed" "$written"' EXIT
failed=0

result() {
    [ "$1" -eq 0 ] || failed=1
    [ "$1" -eq 0 ] && echo "ok $2" || echo "not ok $2"
}

"$DARKNET" vkd reference | sed '/^$/d' >"$printed"
sed -n '/^<!-- reference:/,/^<!-- end of reference/{/^<!--/d;/^$/d;p}' README.md >"$written"
[ -s "$printed" ] && cmp -s "$printed" "$written"
result $? "the README's reference is the option table's"

# What the study calls the defaults are the program's.
# shellcheck disable=SC2016 # backticks of Markdown
"$DARKNET" vkd reference | /usr/bin/python3 -c '
import re, sys
sys.dont_write_bytecode = True
sys.path.insert(0, "scripts")
import study
table = dict(re.findall(r"^\| `(\w+)` \|.*?\| `([^`]*)` \|[^|]*\|$", sys.stdin.read(), re.M))
wrong = {k: (v, table.get(k)) for k, v in study.BASE.items() if k != "taps" and table.get(k) != v}
sys.exit(f"study.py, option table: {wrong}" if wrong else 0)'
result $? "the study's defaults are the option table's"

name="the README's table of the study is that of cfg/fashion/study.csv"
if /usr/bin/python3 -c 'import scipy' 2>/dev/null; then
    cp README.md "$written"
    scripts/study.py report --readme "$written" >"$printed" && grep -q '^| distilled |' "$printed" && cmp "$written" README.md
    result $? "$name"
else
    echo "ok $name # skipped: no SciPy (scripts/install_deps.sh study)"
fi
exit $failed
