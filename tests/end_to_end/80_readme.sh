#!/bin/sh
# The README's cfg reference is what the program prints.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${DARKNET:=./darknet}"
printed=$(mktemp)
written=$(mktemp)
trap 'rm -f "$printed" "$written"' EXIT
"$DARKNET" vkd reference | sed '/^$/d' >"$printed"
sed -n '/^<!-- reference:/,/^<!-- end of reference/{/^<!--/d;/^$/d;p}' README.md >"$written"
if [ -s "$printed" ] && cmp -s "$printed" "$written"; then
    echo "ok the README's reference is the option table's"
else
    echo "not ok the README's reference is the option table's"
    exit 1
fi
