#!/bin/sh
# A student's cfg on stdout: a plain cfg with the keys and the vkd sections of a taps file.
#   scripts/join_cfg.sh CFG TAPS
# TAPS begins with a paragraph for [net], up to the first empty line: the teacher's keys are added to CFG's [net], any
# other key takes the place of the one there. All that follows is put at CFG's end, comments too.
set -eu
[ $# -eq 2 ] || {
    echo "usage: join_cfg.sh CFG TAPS" >&2
    exit 2
}
for file in "$@"; do
    if ! { [ -r "$file" ] && [ -s "$file" ]; }; then
        echo "join_cfg.sh: $file: cannot be read, or is empty" >&2
        exit 1
    fi
done
awk -v name="$1" '
    function key_of(line) {
        if (line !~ /^[a-z_]+[ \t]*=/) return ""
        sub(/[ \t]*=.*/, "", line)
        return line
    }
    FNR == NR {
        if ($0 == "") rest = 1
        if (rest) tail = tail $0 "\n"
        else if (key_of($0) ~ /^teacher_/) added = added $0 "\n"
        else if (key_of($0) != "") value[key_of($0)] = $0
        next
    }
    /^\[/ { in_net = /^\[net\]/ }
    /^\[net\]/ { printf "%s\n%s", $0, added; next }
    in_net && key_of($0) in value { print value[key_of($0)]; replaced[key_of($0)] = 1; next }
    { print }
    END {
        for (key in value)
            if (!(key in replaced)) {
                print "join_cfg.sh: " name ": no " key "= in [net] to replace" | "cat >&2"
                exit 1
            }
        printf "%s", tail
    }' "$2" "$1"
