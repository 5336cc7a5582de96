#!/usr/bin/env bash
# Line coverage of darknet_vkd, by file and in total, and the lines that no test runs.
#   scripts/coverage.sh BUILD      a build of `make coverage` in which tests have run
# Writes BUILD/coverage.json (gcovr's), too.
set -euo pipefail
build=${1:?usage: coverage.sh BUILD}
command -v gcovr >/dev/null || { echo "coverage.sh: no gcovr here: scripts/install_deps.sh coverage" >&2 && exit 1; }
# Counts that several processes wrote at once may be off by a few, which gcovr takes for damage.
common=(--root . --filter 'darknet_vkd/' --object-directory "$build/obj" --gcov-ignore-parse-errors --exclude-unreachable-branches)
gcovr "${common[@]}" --json "$build/coverage.json" "$build/obj/darknet_vkd" 2>"$build/gcovr.log" || { cat "$build/gcovr.log" >&2 && exit 1; }
gcovr --root . --add-tracefile "$build/coverage.json" 2>>"$build/gcovr.log"
