#!/usr/bin/env bash
# The scripts behind `make`: fetching, patching and installing, mostly where something is wrong. Needs no network.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
tarball=darknet_0.0.0+git20180914.61c9d02e.orig.tar.xz

# check NAME COMMAND...: ok when the command succeeds.
check() {
    local name=$1
    shift
    if "$@"; then echo "ok $name"; else
        echo "not ok $name"
        status=1
    fi
}
# shellcheck disable=SC2317 # called by check
one_line() { [ "$(wc -l <"$work/err")" -eq 1 ] || { cat "$work/err"; return 1; }; }
# shellcheck disable=SC2317
says() { grep -qF -- "$1" "$work/err" || { cat "$work/err"; return 1; }; }

# A PATH with the usual tools and without git, apt and dpkg.
plain_path() {
    local dir=$work/bin tool
    rm -rf "$dir"
    mkdir "$dir"
    for tool in bash env cat cp mv rm mkdir mktemp dirname basename sha256sum cut tar xz ls sort tail head id find cmp patch \
        grep sed wc touch chmod; do
        ln -s "$(command -v "$tool")" "$dir/$tool"
    done
    echo "$dir"
}

# ---- fetch_darknet.sh ----
mkdir "$work/wrong"
echo "not a tarball" >"$work/wrong/$tarball"
sum=$(sha256sum "$work/wrong/$tarball" | cut -d ' ' -f 1)
scripts/fetch_darknet.sh "$work/dest" "$work/wrong" 2>"$work/err"
check "a wrong checksum is exit status 1" [ $? -eq 1 ]
check "a wrong checksum is one line" one_line
check "the line has the found sum" says "$sum"
check "the line has the expected sum" says ec536ae11853846aab96183d8ec18730a46cce71f7d935768d235029329f9e93
check "nothing is left half done" [ -z "$(ls "$work/wrong")$(ls -d "$work"/dest* 2>/dev/null)" ]

DARKNET_SRC=$work/none scripts/fetch_darknet.sh "$work/dest" "$work/wrong" 2>"$work/err"
check "DARKNET_SRC without Darknet is exit status 1" [ $? -eq 1 ]
check "DARKNET_SRC without Darknet is one line" one_line

PATH=$(plain_path) scripts/fetch_darknet.sh "$work/dest" "$work/empty" 2>"$work/err"
check "neither apt nor git is exit status 1" [ $? -eq 1 ]
check "neither apt nor git is one line that names DARKNET_SRC" says DARKNET_SRC
check "neither apt nor git leaves nothing" [ -z "$(ls -d "$work"/dest* 2>/dev/null)" ]

mkdir -p "$work/src/include"
echo "/* a header */" >"$work/src/include/darknet.h"
DARKNET_SRC=$work/src scripts/fetch_darknet.sh "$work/dest" "$work/empty" 2>"$work/err"
check "DARKNET_SRC is copied" cmp -s "$work/src/include/darknet.h" "$work/dest/include/darknet.h"

if [ -f "build/download/$tarball" ]; then
    mkdir "$work/kept"
    cp "build/download/$tarball" "$work/kept"
    PATH=$(plain_path) scripts/fetch_darknet.sh "$work/again" "$work/kept" 2>"$work/err"
    check "a kept tarball needs no network" [ -f "$work/again/src/yolo_layer.c" ]
fi

# ---- patch_darknet.sh ----
mkdir -p "$work/tree/src" "$work/tree/include" "$work/tree/examples" "$work/patches"
printf 'one\ntwo\nthree\n' >"$work/tree/src/a.c"
printf 'kept\n' >"$work/tree/src/b.c"
cat >"$work/patches/good.patch" <<'PATCH'
Description: two becomes 2

--- a/src/a.c
+++ b/src/a.c
@@ -1,3 +1,3 @@
 one
-two
+2
 three
PATCH
printf '# a comment\ngood.patch\n' >"$work/patches/series"
scripts/patch_darknet.sh "$work/tree" "$work/patches" "$work/patched"
check "a patch is applied" [ "$(sed -n 2p "$work/patched/src/a.c")" = 2 ]
check "the pristine tree stays pristine" [ "$(sed -n 2p "$work/tree/src/a.c")" = two ]

touch -d 2001-01-01 "$work/patched/src/a.c" "$work/patched/src/b.c"
sed -i 's/^+2$/+zwei/' "$work/patches/good.patch"
scripts/patch_darknet.sh "$work/tree" "$work/patches" "$work/patched"
check "a changed patch rewrites what it touches" [ "$(sed -n 2p "$work/patched/src/a.c")" = zwei ]
check "and no other file" [ -z "$(find "$work/patched/src/b.c" -newermt 2002-01-01)" ]

sed 's/^-two$/-deux/' "$work/patches/good.patch" >"$work/patches/bad.patch"
echo bad.patch >>"$work/patches/series"
scripts/patch_darknet.sh "$work/tree" "$work/patches" "$work/patched" 2>"$work/err"
check "a patch that does not apply is exit status 1" [ $? -eq 1 ]
check "the message names it" says "bad.patch does not apply"
check "the patched tree is left alone" [ "$(sed -n 2p "$work/patched/src/a.c")" = zwei ]
check "no reject files" [ -z "$(find "$work" -name '*.rej')" ]

# ---- install_deps.sh: with programs that stand in for the system's ----
bin=$(plain_path)
rm "$bin/id"
export FAKE=$work/fake
mkdir "$FAKE"
cat >"$bin/dpkg-query" <<'FAKE_END'
#!/usr/bin/env bash
[ -e "$FAKE/installed" ] && echo installed
FAKE_END
cat >"$bin/apt-get" <<'FAKE_END'
#!/usr/bin/env bash
echo "$*" >>"$FAKE/apt"
[ -e "$FAKE/broken" ] && exit 100
case $* in *install*) touch "$FAKE/installed" ;; esac
exit 0
FAKE_END
cat >"$bin/id" <<'FAKE_END'
#!/usr/bin/env bash
echo "${FAKE_ID:-0}"
FAKE_END
chmod +x "$bin"/{dpkg-query,apt-get,id}

PATH=$bin scripts/install_deps.sh build 2>"$work/err"
check "missing packages are installed" [ -e "$FAKE/installed" ]
check "without asking" grep -q -- '-y' "$FAKE/apt"
check "and without an update that was not needed" [ "$(wc -l <"$FAKE/apt")" -eq 1 ]
rm "$FAKE/apt"
PATH=$bin scripts/install_deps.sh build test demo 2>"$work/err"
check "a second run calls nothing" [ ! -e "$FAKE/apt" ]
rm "$FAKE/installed"
FAKE_ID=1000 PATH=$bin scripts/install_deps.sh build 2>"$work/err"
check "no root and no sudo is exit status 1" [ $? -eq 1 ]
check "in one line" one_line
check "that lists what is missing" says "libopenblas-openmp-dev liblapacke-dev"
touch "$FAKE/broken"
PATH=$bin scripts/install_deps.sh build 2>"$work/err"
check "a failing apt-get is exit status 1" [ $? -eq 1 ]
check "after an update and a second try" [ "$(grep -c install "$FAKE/apt")" -eq 2 ]
check "with the list of what is missing" says "please install: gcc"
rm "$bin/apt-get"
PATH=$bin scripts/install_deps.sh build 2>"$work/err"
check "no apt-get is exit status 1" [ $? -eq 1 ]
check "with a reason" says "there is no apt-get here"
PATH=$bin scripts/install_deps.sh nonsense 2>"$work/err"
check "an unknown group is refused" [ $? -eq 2 ]

# ---- run_tests.sh ----
cat >"$work/good.sh" <<'END'
echo "ok one"
echo "ok two"
END
cat >"$work/bad.sh" <<'END'
echo "ok one"
echo "not ok two"
exit 1
END
echo 'kill -SEGV $$' >"$work/crash.sh"
echo 'true' >"$work/none.sh"
runs() { BUILD=$work/b bash "$root/scripts/run_tests.sh" "$@" >"$work/out" 2>&1; }
runs "$work/good.sh"
check "good tests are exit status 0" [ $? -eq 0 ]
check "the last line counts" [ "$(tail -n 1 "$work/out")" = "2 passed, 0 failed" ]
runs "$work/good.sh" "$work/bad.sh"
check "a failure is exit status 1" [ $? -eq 1 ]
check "and is counted" [ "$(tail -n 1 "$work/out")" = "3 passed, 1 failed" ]
runs "$work/good.sh" "$work/crash.sh"
check "a crash is counted as a failure" [ "$(tail -n 1 "$work/out")" = "2 passed, 1 failed" ]
runs "$work/good.sh" "$work/none.sh"
check "so is a script without a test" [ "$(tail -n 1 "$work/out")" = "2 passed, 1 failed" ]
runs
check "no tests at all is a failure" [ $? -eq 1 ]

# ---- gpu_architectures.sh: with an nvcc that stands in for CUDA's ----
cat >"$work/nvcc" <<'FAKE_END'
#!/usr/bin/env bash
case $* in
--list-gpu-arch) printf 'compute_%s\n' $FAKE_KNOWS ;;
*-arch=native*) [ "$FAKE_GPU" = 1 ] || echo "nvcc warning : Cannot find valid GPU for '-arch=native', default arch is used" >&2 ;;
esac
FAKE_END
chmod +x "$work/nvcc"
export FAKE_KNOWS="75 80 86 90 100 120" FAKE_GPU=0
# flags EXPECTED ARCH...
# shellcheck disable=SC2317 # called by check
flags() {
    local expected=$1 found
    shift
    found=$(scripts/gpu_architectures.sh "$work/nvcc" "$@" 2>"$work/err")
    [ "$found" = "$expected" ] || { echo "found: $found" && cat "$work/err" && return 1; }
}
code() { printf -- '-gencode arch=compute_%s,code=%s_%s' "$1" "$2" "$1"; }
check "without a GPU, one of each generation that nvcc knows, and code for those between and to come" \
    flags "$(code 75 compute) $(code 75 sm) $(code 80 sm) $(code 90 sm) $(code 100 sm) $(code 120 sm) $(code 120 compute)"
FAKE_KNOWS="50 60 70 75 80 86 90" check "an older CUDA's generations" \
    flags "$(code 60 compute) $(code 60 sm) $(code 70 sm) $(code 75 sm) $(code 80 sm) $(code 90 sm) $(code 90 compute)"
FAKE_GPU=1 check "with a GPU, its own" flags -arch=native
FAKE_GPU=1 check "ARCH wins" flags "$(code 86 sm) $(code 86 compute)" sm_86
check "in other words" flags "$(code 86 sm) $(code 90a sm) $(code 90a compute)" 8.6 sm_90a
check "flags of nvcc's own are passed on" flags "-gencode arch=compute_80,code=sm_80" -gencode arch=compute_80,code=sm_80
scripts/gpu_architectures.sh "$work/nvcc" volta 2>"$work/err"
check "a word is exit status 1" [ $? -eq 1 ]
check "in one line" one_line
check "that says what was found" says 'found "volta"'
scripts/gpu_architectures.sh "$work/none" 2>"$work/err"
check "no nvcc is exit status 1" [ $? -eq 1 ]

exit "$status"
