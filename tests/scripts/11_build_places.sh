#!/usr/bin/env bash
# Where make builds: in a folder whose path has everything that make splits or expands, in sources that cannot be written
# to, for a second user, in a BUILD of any kind. Each works or is one line. Needs no network; what is built already is
# taken along, so that little is compiled.
# shellcheck disable=SC2317 # functions that check() calls
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
root=$PWD
here=${BUILD:-$root/build} # the build under test
unset BUILD              # make would take it from here
work=$(mktemp -d)
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
chmod 755 "$work"
status=0
# make of its own, without what the make above was told.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL
flags=(INSTALL_DEPS=0)
# The flags of the build under test, so that its objects serve.
for flag in OPENMP OPENCV DEBUG; do
    value=$(grep -o " $flag=[01]" "$here/flags" | head -n 1) && flags+=("${value# }")
done

check() {
    local name=$1
    shift
    if "$@" >"$work/said" 2>&1; then echo "ok $name"; else
        echo "not ok $name"
        tail -n 15 "$work/said" | sed 's/^/# /'
        status=1
    fi
}
# refused TEXT COMMAND...: status 2 of make, and one line with the text.
refused() {
    local text=$1 code=0
    shift
    "$@" >"$work/out" 2>&1 || code=$?
    cat "$work/out"
    [ "$code" -eq 2 ] && [ "$(wc -l <"$work/out")" -eq 1 ] && grep -qF -- "$text" "$work/out"
}

# ---- names of BUILD ----
at=$(grep -n 'error .*FOLDERS' Makefile | cut -d: -f1)
# names NAME BUILD FOUND
names() { check "build_name_$1" refused "Makefile:$at: *** BUILD=$2: found $3" make BUILD="$2"; }
shown="in the name, which make would not take as it is"
names blank "a b" "a blank in the name"
names hash "a#b" "a # $shown"
names colon "a:b" "a : $shown"
# shellcheck disable=SC2016 # a dollar it is
names dollar 'a$b' "a \$ $shown"
names quote "a'b" "a ' $shown"
names percent "a%b" "a % $shown"
# shellcheck disable=SC2088 # as make gets it
names tilde "~/b" "a ~ $shown"
names empty "" "no name"
names dash "-b" "a name that begins with -"
names file "Makefile" "Makefile, which is no folder"
names below_a_file "Makefile/b" "Makefile, which is no folder"
names sources "." "other files in it"
names sources_absolute "$root" "other files in it"
mkdir -p "$work/home/tests"
echo mine >"$work/home/tests/mine"
names other_files "$work/home" "other files in it"
clean_refuses() { refused "found other files in it" make BUILD="$work/home" clean && [ -s "$work/home/tests/mine" ]; }
check build_clean_of_a_folder_with_other_files clean_refuses
check build_from_elsewhere refused "run make in the folder of this Makefile" make --no-print-directory -C "$work" -f "$root/Makefile"
normalised() {
    local line="build=new/b downloads=build/download"
    mkdir -p build/download
    [ "$(scripts/check_folders.sh new/b)" = "$line" ] && [ "$(scripts/check_folders.sh ./new/b/)" = "$line" ] &&
        [ "$(scripts/check_folders.sh "$root/new/b")" = "$line" ] && [ ! -e new ]
}
check build_name_as_make_wants_it normalised
# Kernels of one CUDA are not those of another.
other_cuda() {
    local cuda
    for cuda in one two; do
        make --no-print-directory "${flags[@]}" BUILD="$work/cuda" GPU=1 NVCC="$root/tests/gpu/toolkit/nvcc" CUDA="/$cuda" \
            "$work/cuda/flags" "$work/cuda/flags_nvcc" && cp "$work/cuda/flags_nvcc" "$work/$cuda" || return
    done
    ! cmp "$work/one" "$work/two"
}
check build_of_another_cuda other_cuda

# ---- a path with everything in it ----
# sources FOLDER: the repository's files. built FOLDER: what is made of them already.
sources() {
    mkdir -p "$1" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -p -t "$1"
}
built() {
    mkdir -p "$1" || return
    for part in flags sources obj darknet cfg libvkd.a libvkd_host.a; do
        cp -a "$here/$part" "$1/" || return
    done
}
pristine=$here/source
for folder in "$here/download/darknet" build/download/darknet; do
    [ -d "$pristine" ] || pristine=$folder
done
if [ "${SANITIZE:-0}" != 0 ] || ! git rev-parse --git-dir >/dev/null 2>&1 || [ ! -e "$pristine/include/darknet.h" ]; then
    echo "# skipped: another kind of build, or no repository to take the sources from"
    echo "ok build_places_skipped"
    exit "$status"
fi
odd="$work/a b #c:d \$e 'f' %g \"h\" é (i) &j"
sources "$odd" && built "$odd/build" && mkdir "$odd/build/download" && cp -a "$pristine" "$odd/build/download/darknet"
made() {
    touch "$odd"/darknet_vkd/{numerics/rng,core/npy,host/run}.c "$odd/build/darknet/src/list.c"
    make --no-print-directory -C "$odd" "${flags[@]}" darknet build/tests/numerics/test_rng build/tests/patches/test_170_names_and_leaks &&
        [ "$odd/darknet" -nt "$odd/darknet_vkd/host/run.c" ]
}
check build_in_an_odd_path made
runs() (
    cd "$odd" || exit
    out=$(BUILD=$odd/build scripts/run_tests.sh build/tests/numerics/test_rng build/tests/patches/test_170_names_and_leaks \
        tests/end_to_end/60_refusals.sh tests/end_to_end/68_advise.sh) || { echo "$out" && return 1; }
    grep -q '^tests/numerics/test_rng: ' <<<"$out" && [ "$(./darknet vkd reference | wc -l)" -gt 20 ]
)
check build_runs_in_an_odd_path runs
nothing_again() (
    cd "$odd" && make "${flags[@]}" darknet >"$work/again" && ! grep -v '^make' "$work/again"
)
check build_in_an_odd_path_once nothing_again
# CFLAGS= on the command line is not Darknet's, which has its own.
flags_are_ours() (
    cd "$odd" && touch build/darknet/src/list.c && make -n "${flags[@]}" CFLAGS=-g1 V=1 darknet >"$work/commands" || exit
    grep -q 'src/list\.c' "$work/commands" && ! grep 'src/list\.c' "$work/commands" | grep -v -- '-fPIC.*-I../include'
)
check build_flags_are_not_darknets flags_are_ours
mv "$odd" "$work/moved here"
moved() { make --no-print-directory -C "$work/moved here" "${flags[@]}" darknet && "$work/moved here/darknet" vkd reference >/dev/null; }
check build_moved moved

# ---- another user, and sources that cannot be written to ----
user=$(id -u)
as=()
if [ "$user" -eq 0 ]; then
    command -v setpriv >/dev/null || { echo "# skipped: root, and no setpriv" && exit "$status"; }
    user=65534
    as=(setpriv --reuid "$user" --regid "$user" --clear-groups env HOME="$work" USER=nobody)
fi
me=$("${as[@]}" id -un)
fixed="$work/fixed"
sources "$fixed"
mkdir -p "$fixed/build/download" && cp -a "$pristine" "$fixed/build/download/darknet"
chmod -R a+rX,a-w "$fixed"
check build_read_only_sources refused "BUILD=build: $me cannot write to build" "${as[@]}" make --no-print-directory -C "$fixed" "${flags[@]}"
mkdir "$work/theirs" && built "$work/theirs/b"
[ "$(id -u)" -ne 0 ] || chown -R "$user" "$work/theirs"
elsewhere() {
    "${as[@]}" touch "$work/theirs/b/obj/darknet_vkd/core/npy.c.o" && rm "$work/theirs/b/libvkd.a" &&
        "${as[@]}" make --no-print-directory -C "$fixed" "${flags[@]}" BUILD="$work/theirs/b" "$work/theirs/b/libvkd.a" &&
        [ "$(stat -c %u "$work/theirs/b/libvkd.a")" -eq "$user" ]
}
check build_of_read_only_sources_elsewhere elsewhere
# Neither is there a place beside the sources for Darknet's: it comes with BUILD.
chmod -R u+w "$fixed/build" && rm -r "$fixed/build"
fetched_elsewhere() {
    "${as[@]}" mkdir -p "$work/theirs/n/download" && "${as[@]}" cp -r "$pristine" "$work/theirs/n/download/darknet" && "${as[@]}" touch "$work/theirs/n/flags" &&
        (cd "$fixed" && "${as[@]}" scripts/check_folders.sh "$work/theirs/n" | grep -x "build=$work/theirs/n downloads=$work/theirs/n/download") &&
        "${as[@]}" make --no-print-directory -C "$fixed" "${flags[@]}" BUILD="$work/theirs/n" "$work/theirs/n/darknet/.patched"
}
check build_brings_darknet_to_build fetched_elsewhere
if [ "$(id -u)" -eq 0 ]; then
    mkdir "$work/roots" && chmod 777 "$work/roots" && touch "$work/roots/flags"
    mkdir "$work/roots/obj"
    check build_of_another_user refused "$me cannot write to $work/roots/flags (root's); change its owner" "${as[@]}" make --no-print-directory -C "$fixed" "${flags[@]}" BUILD="$work/roots"
fi
exit "$status"
