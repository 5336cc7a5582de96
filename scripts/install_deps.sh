#!/usr/bin/env bash
# Installs what a step needs, from the Debian/Ubuntu archive the machine already uses.
#   scripts/install_deps.sh [--check] [GROUP...]   GROUP: build, test, stock, dnn, demo, study, bench, opencv, fuzz, lint,
#     coverage, valgrind
# Without a group: build, test, stock, dnn and demo. Asks dpkg first: when everything is there, nothing is run and the
# network is not touched. --check installs nothing: it looks for headers and programs, wherever they are from, and names
# in one line, with exit status 1, the packages that have what is missing.
set -euo pipefail

packages_of() {
    case $1 in
    build) echo gcc g++ make patch pkg-config xz-utils ca-certificates libopenblas-openmp-dev liblapacke-dev ;;
    test) echo libcmocka-dev unzip python3 python3-numpy python3-pil dataset-fashion-mnist ;;
    demo) echo python3 python3-numpy python3-pil python3-matplotlib dataset-fashion-mnist ;;
    study) echo python3 python3-numpy python3-pil python3-scipy python3-matplotlib dataset-fashion-mnist ;;
    bench) echo python3 python3-numpy python3-scipy python3-torch ;;
    opencv) echo libopencv-dev ;;
    dnn) echo g++ libopencv-dnn-dev ;; # OpenCV's dnn module alone, to check exported students with
    fuzz) echo clang "libclang-rt-$(clang_version)-dev" ;; # the sanitizers and libFuzzer of that clang
    stock) echo darknet ;; # the distribution's own Darknet, to check exported students against
    lint) echo git clang-format clang-tidy cppcheck shellcheck pyflakes3 ;;
    coverage) echo gcovr ;;
    valgrind) echo valgrind ;;
    *)
        echo "install_deps.sh: unknown group \"$1\"; expected build, test, stock, dnn, demo, study, bench, opencv, fuzz, lint, coverage or valgrind" >&2
        exit 2
        ;;
    esac
}

# Of the compiler that the package clang stands for in this release.
clang_version() {
    apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1
}

# Where there is no dpkg, the package's own file or program is looked for instead.
probe() {
    case $1 in
    gcc | g++) command -v "$1" >/dev/null || command -v "${CC:-cc}" >/dev/null ;;
    make | patch | pkg-config | python3 | unzip | darknet | clang | git | clang-format | clang-tidy | cppcheck | shellcheck | \
        pyflakes3 | gcovr | valgrind) command -v "$1" >/dev/null ;;
    xz-utils) command -v xz >/dev/null ;;
    ca-certificates) true ;;
    libopenblas-openmp-dev) has_header cblas.h || pkg-config --exists openblas 2>/dev/null ;;
    liblapacke-dev) has_header lapacke.h || pkg-config --exists lapacke 2>/dev/null ;;
    libcmocka-dev) has_header setjmp.h stdarg.h stddef.h stdint.h cmocka.h ;;
    libopencv-dnn-dev) pkg-config --exists opencv4 2>/dev/null || test -e /usr/include/opencv4/opencv2/dnn.hpp ;;
    libopencv-dev) pkg-config --exists opencv4 2>/dev/null ;;
    python3-numpy) python3 -c 'import numpy' 2>/dev/null ;;
    python3-scipy) python3 -c 'import scipy' 2>/dev/null ;;
    python3-torch) python3 -c 'import torch' 2>/dev/null ;;
    python3-pil) python3 -c 'import PIL' 2>/dev/null ;;
    python3-matplotlib) python3 -c 'import matplotlib' 2>/dev/null ;;
    libclang-rt-*) echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | clang -fsanitize=fuzzer,address -x c -o /dev/null - 2>/dev/null ;;
    dataset-fashion-mnist) test -d /usr/share/datasets/fashion-mnist || test -n "${FASHION_MNIST:-}" ;;
    *) false ;;
    esac
}

has_header() {
    printf '#include <%s>\n' "$@" | "${CC:-cc}" -E -x c - >/dev/null 2>&1
}

present() {
    if [ -z "$only_check" ] && command -v dpkg-query >/dev/null; then
        # A virtual or renamed package (pkg-config is provided by pkgconf) shows as its provider's program.
        [ "$(dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | head -n 1)" = installed ] ||
            { [ "$1" = pkg-config ] && command -v pkg-config >/dev/null; }
    else
        probe "$1"
    fi
}

missing=() only_check=
if [ "${1-}" = --check ]; then only_check=yes && shift; fi
[ $# -gt 0 ] || set -- build test stock dnn demo
for group in "$@"; do
    list=$(packages_of "$group")
    for package in $list; do
        case " ${missing[*]-} " in *" $package "*) continue ;; esac
        present "$package" || missing+=("$package")
    done
done
[ "${#missing[@]}" -gt 0 ] || exit 0
if [ -n "$only_check" ]; then
    echo "install_deps.sh: not found here: what the packages ${missing[*]} have" >&2
    exit 1
fi

give_up() {
    echo "install_deps.sh: $1; please install: ${missing[*]}" >&2
    exit 1
}

command -v apt-get >/dev/null || give_up "there is no apt-get here"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || give_up "not root, and there is no sudo"
    # Never hang on a password prompt nobody sees.
    if ! sudo -n true 2>/dev/null && ! [ -t 0 ]; then give_up "not root, and sudo wants a password"; fi
    as_root=(sudo)
fi

echo "installing: ${missing[*]}" >&2
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q
    --no-install-recommends -o DPkg::Lock::Timeout=300)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The lists already here usually do; they are fetched anew only if the first try fails.
if ! "${install[@]}" "${missing[@]}" >"$log" 2>&1 </dev/null; then
    "${as_root[@]}" apt-get update -q >"$log" 2>&1 </dev/null || true
    "${install[@]}" "${missing[@]}" >>"$log" 2>&1 </dev/null || {
        tail -n 15 "$log" >&2
        give_up "apt-get install failed"
    }
fi
