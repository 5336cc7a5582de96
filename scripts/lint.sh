#!/usr/bin/env bash
# Format, scripts and static checks, each with what it has to say; `lint: clean` when none has anything, else exit
# status 1. A tool that is not here is left out, in a word: scripts/install_deps.sh lint brings them all.
#   BUILD=build scripts/lint.sh
# BUILD: a build, whose patched Darknet has the headers that host/ includes.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
: "${BUILD:=build}" "${JOBS:=$(nproc 2>/dev/null || echo 1)}"
status=0 left_out=

has() {
    command -v "$1" >/dev/null && return 0
    echo "lint: no $1 here, left out" >&2
    left_out="$left_out${left_out:+, }$1"
    return 1
}
# failed TOOL: said something.
failed() {
    echo "lint: $1 is not content" >&2
    status=1
}

git ls-files >/dev/null || exit # a folder without git, or git does not trust its owner: it says so
# Those of the work in progress, too.
files() { git ls-files --cached --others --exclude-standard -- "$@"; }
mapfile -t sources < <(files '*.c' '*.h' '*.cpp' '*.cu' '*.cuh')
mapfile -t scripts < <(files '*.sh' '*.bash' .ci/run)
mapfile -t python < <(files '*.py')
mapfile -t plugin < <(files 'darknet_vkd/*.c' ':!darknet_vkd/gpu/device.c')
[ "${#plugin[@]}" -gt 20 ] || { echo "lint: found ${#plugin[@]} sources; expected the repository" >&2 && exit 1; }

if has clang-format; then
    clang-format --dry-run -Werror "${sources[@]}" || failed clang-format
fi
if has shellcheck; then
    shellcheck "${scripts[@]}" || failed shellcheck
fi
if has pyflakes3; then
    pyflakes3 "${python[@]}" || failed pyflakes3
fi
# nullPointerRedundantCheck is wrong about vkd_refuse() and vkd_fail(), which do not return.
if has cppcheck; then
    cppcheck -q -j "$JOBS" --std=c11 --error-exitcode=1 --enable=warning,portability --inline-suppr \
        --suppress=missingInclude --suppress=nullPointerRedundantCheck -Idarknet_vkd darknet_vkd || failed cppcheck
fi
# A file a process: clang 14 takes a va_list for uninitialised from the second file on.
if has clang-tidy; then
    if [ -f "$BUILD/darknet/include/darknet.h" ]; then
        mapfile -t flags < <(pkg-config --cflags openblas lapacke 2>/dev/null | tr ' ' '\n' | grep .)
        printf '%s\0' "${plugin[@]}" | xargs -0 -P "$JOBS" -I '{}' clang-tidy --quiet '{}' -- -std=c11 -fopenmp -Idarknet_vkd \
            -isystem "$BUILD/darknet/include" -isystem "$BUILD/darknet/src" "${flags[@]}" \
            2> >(grep -v 'warnings\? generated\.$' >&2) || failed clang-tidy
    else
        echo "lint: no $BUILD/darknet, left out clang-tidy: run make first" >&2
        left_out="$left_out${left_out:+, }clang-tidy"
    fi
fi
# The lower floors know nothing of Darknet.
if git grep -n 'include.*darknet\.h' -- darknet_vkd/numerics darknet_vkd/core darknet_vkd/gpu; then failed "the order of the floors"; fi
[ "$status" -ne 0 ] || echo "lint: clean${left_out:+, without $left_out}"
exit "$status"
