#!/usr/bin/env bash
# Line coverage of darknet_vkd by file and in total; the lines that no test runs, but for those that tests/coverage/reasons
# speaks for. Exit status 1 where one is left.
#   scripts/coverage.sh BUILD      a build of `make coverage` in which tests have run
# Leaves BUILD/coverage.json (gcovr's).
set -euo pipefail
build=${1:?usage: coverage.sh BUILD}
command -v gcovr >/dev/null || { echo "coverage.sh: no gcovr here: scripts/install_deps.sh coverage" >&2 && exit 1; }
# Counts that several processes write at once may be off by a few, which gcovr takes for damage.
gcovr --root . --filter 'darknet_vkd/' --object-directory "$build/obj" --gcov-ignore-parse-errors --json "$build/coverage.json" \
    "$build/obj" 2>"$build/gcovr.log" || { cat "$build/gcovr.log" >&2 && exit 1; }
python3 - "$build/coverage.json" tests/coverage/reasons <<'END_OF_PYTHON'
import json
import re
import sys

files = json.load(open(sys.argv[1]))["files"]
reasons = []
for line in open(sys.argv[2]):
    if line.strip() and not line.startswith("#"):
        where, pattern, why = line.rstrip("\n").split("\t")
        reasons.append([re.compile(where), re.compile(pattern), why, 0])

left = []
ran = lines = spoken_for = 0
for file in sorted(files, key=lambda f: f["file"]):
    source = open(file["file"]).read().split("\n")
    counted = [line for line in file["lines"] if not line.get("gcovr/noncode")]
    missed = [line["line_number"] for line in counted if not line["count"]]
    lines += len(counted)
    ran += len(counted) - len(missed)
    if counted:
        print(f"{file['file']:48} {len(counted) - len(missed):5} of {len(counted):5} lines  "
              f"{100 * (1 - len(missed) / len(counted)):5.1f} %")  # fmt: skip
    for number in missed:
        # What a line means may stand in the one before it, where a call is broken up.
        text = source[number - 2].strip() + " // " + source[number - 1].strip()
        for reason in reasons:
            if reason[0].search(file["file"]) and reason[1].search(text):
                reason[3] += 1
                spoken_for += 1
                break
        else:
            left.append(f"{file['file']}:{number}: {source[number - 1].strip()}")
print(f"{'together':48} {ran:5} of {lines:5} lines  {100 * ran / max(lines, 1):5.1f} %")
print(f"\n{lines - ran} lines that no test runs, {spoken_for} of them for a reason:")
for where, pattern, why, count in reasons:
    if count:
        print(f"  {count:3}  {why}")
if left:
    print("and without one:")
for line in left:
    print("  " + line)
sys.exit(bool(left))
END_OF_PYTHON
