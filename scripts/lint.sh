#!/usr/bin/env bash
# Format, shell and static checks, each where its tool is installed. Exit status 1 if one has something to say.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
status=0

has() {
    command -v "$1" >/dev/null && return 0
    echo "lint: no $1 here, left out" >&2
    return 1
}

mapfile -t sources < <(git ls-files -- '*.c' '*.h' '*.cpp' '*.cu' '*.cuh')
mapfile -t scripts < <(git ls-files -- '*.sh' .ci/run)

if has clang-format; then
    clang-format --dry-run -Werror "${sources[@]}" || status=1
fi
if has shellcheck; then
    shellcheck "${scripts[@]}" || status=1
fi
if has cppcheck; then
    cppcheck -q --std=c11 --error-exitcode=1 --enable=warning,portability --inline-suppr \
        --suppress=missingInclude --suppress=nullPointerRedundantCheck -Idarknet_vkd darknet_vkd || status=1
fi
# The lower floors know nothing of Darknet.
if git grep -n 'include.*darknet\.h' -- darknet_vkd/numerics darknet_vkd/core darknet_vkd/gpu; then status=1; fi
exit "$status"
