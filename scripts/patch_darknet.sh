#!/usr/bin/env bash
# Makes the patched host from the pristine tree.
#   scripts/patch_darknet.sh PRISTINE PATCHES DEST
# Applies the patches named in PATCHES/series in order. Files in DEST that come out the same are left alone, so a
# changed patch recompiles only what it touches. A patch that does not apply leaves DEST as it was.
set -euo pipefail

pristine=$1 patches=$2 dest=$3
mkdir -p "$(dirname "$dest")"
new=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$new"' EXIT
cp -R "$pristine/." "$new"
if [ -f "$patches/series" ]; then
    while read -r name _; do
        case $name in '' | '#'*) continue ;; esac
        if ! output=$(patch -p1 -d "$new" --force --no-backup-if-mismatch -F 0 <"$patches/$name" 2>&1); then
            printf '%s\n' "$output" >&2
            echo "patch_darknet.sh: $patches/$name does not apply" >&2
            exit 1
        fi
    done <"$patches/series"
fi
mkdir -p "$dest"
(cd "$new" && find . -type f -print0) | while IFS= read -r -d '' file; do
    if ! cmp -s "$new/$file" "$dest/$file"; then
        mkdir -p "$dest/$(dirname "$file")"
        cp "$new/$file" "$dest/$file"
    fi
done
# A source that a patch no longer adds must not linger.
for folder in src include examples; do
    [ -d "$dest/$folder" ] || continue
    (cd "$dest" && find "$folder" -type f) | while IFS= read -r file; do
        [ -e "$new/$file" ] || rm -f "$dest/$file"
    done
done
