#!/usr/bin/env bash
# Brings the unpatched Darknet 61c9d02e to a folder.
#   scripts/fetch_darknet.sh DEST [DOWNLOADS]
# DARKNET_SRC=FOLDER copies a tree the user has. Otherwise the Debian/Ubuntu source package is fetched from the
# mirror this machine already uses (no root, no change to apt's settings), or else the commit from git.
# DOWNLOADS keeps the tarball, so a second build needs no network.
set -euo pipefail

commit=61c9d02ec461e30d55762ec7669d6a1d3c356fb2
repository=https://github.com/pjreddie/darknet
tarball=darknet_0.0.0+git20180914.61c9d02e.orig.tar.xz
sha256=ec536ae11853846aab96183d8ec18730a46cce71f7d935768d235029329f9e93

dest=${1:?usage: fetch_darknet.sh DEST [DOWNLOADS]}
mkdir -p "$(dirname "$dest")"
dest=$(cd "$(dirname "$dest")" && pwd)/$(basename "$dest")
mkdir -p "${2:-$(dirname "$dest")/download}"
downloads=$(cd "${2:-$(dirname "$dest")/download}" && pwd)
work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT

# check_sum FILE: one line with both sums when it is another file, which is then removed.
check_sum() {
    local found
    found=$(sha256sum "$1" | cut -d ' ' -f 1)
    [ "$found" = "$sha256" ] && return 0
    echo "fetch_darknet.sh: $1: sha256 is $found, expected $sha256" >&2
    rm -f "$1"
    return 1
}

# The archive this machine installs from, as deb-src lines in a private apt directory.
source_list() {
    local keyrings="" key
    for key in /usr/share/keyrings/{debian,ubuntu}-archive-keyring.{gpg,pgp}; do
        if [ -r "$key" ]; then keyrings="$keyrings${keyrings:+,}$key"; fi
    done
    # shellcheck disable=SC2016 # the $( ) are apt's own fields
    apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' |
        while IFS='|' read -r origin uri release component; do
            case $origin/$component in
            Debian/main | Ubuntu/universe) ;;
            *) continue ;;
            esac
            case $release in *-*) continue ;; esac # -updates, -security: the package never went there
            echo "deb-src ${keyrings:+[signed-by=$keyrings] }$uri $release $component"
        done | sort -u
}

from_apt() {
    command -v apt-get >/dev/null || return 1
    local apt=$work/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts" "$apt/out"
    source_list >"$apt/sources.list" 2>/dev/null
    [ -s "$apt/sources.list" ] || return 1
    local options=(-q -o "Dir::Etc::sourcelist=$apt/sources.list" -o "Dir::Etc::sourceparts=$apt/parts"
        -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Get::List-Cleanup=0)
    # Translations and other lists are not wanted; only the Sources index is.
    apt-get "${options[@]}" -o Acquire::Languages=none update >"$apt/log" 2>&1 || return 1
    (cd "$apt/out" && apt-get "${options[@]}" source --download-only --tar-only darknet) >>"$apt/log" 2>&1 || return 1
    [ -f "$apt/out/$tarball" ] || return 1
    mv "$apt/out/$tarball" "$work/$tarball"
}

from_git() {
    command -v git >/dev/null || return 1
    git init -q "$work/git" || return 1
    git -C "$work/git" fetch -q --depth 1 "$repository" "$commit" || return 1
    # git names a tree by its contents, so the hash above is the check.
    git -C "$work/git" checkout -q FETCH_HEAD || return 1
    [ "$(git -C "$work/git" rev-parse HEAD)" = "$commit" ] || return 1
    rm -rf "$work/git/.git"
    mv "$work/git" "$work/tree"
}

if [ -n "${DARKNET_SRC:-}" ]; then
    if ! [ -f "$DARKNET_SRC/include/darknet.h" ]; then
        echo "fetch_darknet.sh: DARKNET_SRC=$DARKNET_SRC: no include/darknet.h there" >&2
        exit 1
    fi
    cp -R "$DARKNET_SRC" "$work/tree"
    rm -rf "$work/tree/.git"
else
    if [ -f "$downloads/$tarball" ]; then
        check_sum "$downloads/$tarball" || exit 1
    elif from_apt; then
        check_sum "$work/$tarball" || exit 1
        mv "$work/$tarball" "$downloads/$tarball"
    elif ! from_git; then
        echo "fetch_darknet.sh: neither the source package nor git brought Darknet ${commit:0:8};" \
            "set DARKNET_SRC to a folder that has it" >&2
        if [ -s "$work/apt/log" ]; then tail -n 5 "$work/apt/log" >&2; fi
        exit 1
    fi
    if ! [ -d "$work/tree" ]; then
        mkdir "$work/tree"
        tar -xJf "$downloads/$tarball" --no-same-owner -C "$work/tree" --strip-components=1
    fi
fi
rm -rf "$dest"
mv "$work/tree" "$dest"
