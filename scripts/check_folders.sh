#!/usr/bin/env bash
# Whether make can build in a folder, before it tries.
#   scripts/check_folders.sh BUILD
# Prints `build=NAME downloads=NAME`: BUILD as make is to name it, seen from the sources where it lies within them; and
# where Darknet's source is kept, build/download beside the sources for all builds, or BUILD's own where nothing can be
# written there. Otherwise one line that says what is wrong, and exit status 1.
# Run from the folder of the sources, which is never named, so that its own name may be any.
set -uo pipefail
build=${1-}

say() {
    echo "BUILD=$1: $2"
    exit 1
}

for here in "$(pwd -P)" "$(pwd)"; do build=${build#"$here"/}; done
while [ "$build" != "${build#./}" ]; do build=${build#./}; done
while [ "$build" != "${build%/}" ] && [ "$build" != / ]; do build=${build%/}; done
case $build in
'') say "$1" "found no name; expected a folder for all that is made" ;;
-*) say "$1" "found a name that begins with -, which programs take for a flag" ;;
*[[:space:]]*) say "$1" "found a blank in the name, at which make would split it; the sources' own folder may have one" ;;
esac
# What make, its patterns and the shell leave alone; bytes beyond ASCII, too.
odd=$(printf %s "$build" | LC_ALL=C tr -d 'A-Za-z0-9/._+,@\200-\377-' | head -c 1)
[ -z "$odd" ] || say "$1" "found a $odd in the name, which make would not take as it is; the sources' own folder may have one"

me=$(id -un 2>/dev/null || id -u)
of_another() {
    local owner
    owner=$(stat -c %U "$1" 2>/dev/null) && [ "$owner" != "$me" ] && echo " ($owner's)"
}

# The folder, or the nearest one above it that is there.
there=$build
while ! [ -e "$there" ] && ! [ -L "$there" ]; do
    case $there in
    /*/*) there=${there%/*} ;;
    /*) there=/ ;;
    */*) there=${there%/*} ;;
    *) there=. ;;
    esac
done
[ -d "$there" ] || say "$build" "found $there, which is no folder"
name=$there
[ "$there" != . ] || name="the folder of the sources"
# By writing: root may do more than permissions say, and less on a disk that is mounted read-only.
probe=$(mktemp -d "$there/.vkd_probe_XXXXXX" 2>/dev/null) ||
    say "$build" "$me cannot write to $name$(of_another "$there"); name another folder, as BUILD=$HOME/vkd"
rmdir "$probe"
if [ -d "$build" ]; then
    # `make clean` removes BUILD/tests and others of its own by name.
    if [ "$build" -ef . ] || { [ "$build" != build ] && ! [ -e "$build/flags" ] && [ -n "$(ls -A "$build")" ]; }; then
        say "$build" "found other files in it; expected a new folder, an empty one, or one of an earlier build"
    fi
    # Of an earlier `sudo make`, most often.
    for part in "$build"/{flags,darknet,obj,tests,cfg}; do
        [ ! -e "$part" ] || [ -w "$part" ] ||
            say "$build" "$me cannot write to $part$(of_another "$part"); change its owner, or name another folder, as BUILD=$HOME/vkd"
    done
fi

# Writing is tried again: BUILD lies elsewhere.
downloads=build/download
for nearest in build/download build .; do [ ! -d "$nearest" ] || break; done
if [ ! -f build/download/darknet/include/darknet.h ]; then
    if probe=$(mktemp -d "$nearest/.vkd_probe_XXXXXX" 2>/dev/null); then rmdir "$probe"; else downloads=$build/download; fi
fi
echo "build=$build downloads=$downloads"
