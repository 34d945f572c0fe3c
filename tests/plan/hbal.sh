#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Prints the path of an hbal that runs here: Debian's ganeti-htools with all its libraries, unpacked into
# the lab's cache and not installed. Fetched when it is missing or damaged; --cached: only if it is there.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
LAB=$here/../lab
# shellcheck source=/dev/null
for part in common cache apt; do . "$LAB/lib/$part.sh"; done
say() { printf 'hbal.sh: %s\n' "$*" >&2; }

key=$({ cat "$here/hbal.sh" "$LAB/lib/apt.sh"; echo "$SUITE"; } | key_of)
dir=$CACHE/hbal/$key
build() { # DIR
    local apt=$1.apt deb ld
    trap 'rm -rf "$tmp" "$tmp.apt"' EXIT
    apt_setup "$apt"
    # With no package known as installed, all that it needs comes along.
    # shellcheck disable=SC2046
    timeout 600 apt-get $(apt_opts "$apt") -q -y --no-install-recommends --download-only install ganeti-htools
    for deb in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$apt/root"; done
    mkdir "$1/lib"
    cp -L "$apt"/root/usr/lib/ganeti/*/usr/bin/htools "$apt"/root/lib/*-linux-gnu/ld-linux-*.so.* "$1"
    # What it is linked with, and no more.
    ld=$(echo "$1"/ld-linux-*.so.*)
    "$ld" --library-path "$(echo "$apt"/root/lib/*-linux-gnu):$(echo "$apt"/root/usr/lib/*-linux-gnu)" \
        --list "$1/htools" | awk '$3 ~ /^\// { print $3 }' | xargs cp -Lt "$1/lib"
    # It does as its name says, and the dynamic linker keeps that from it.
    cat >"$1/hbal" <<'RUN'
#!/bin/sh
d=${0%/*}
HTOOLS=hbal exec "$d"/ld-linux-*.so.* --library-path "$d/lib" "$d/htools" "$@"
RUN
    chmod 755 "$1/hbal"
    "$1/hbal" --version >&2
}

if ! cache_verify "$dir" >/dev/null; then
    [ "${1-}" != --cached ] || exit 1
    mkdir -p "$CACHE/hbal"
    exec 9>"$CACHE/hbal.lock"
    flock -w 1200 9
    if ! cache_verify "$dir" >/dev/null; then
        say "fetching ganeti-htools into $CACHE/hbal"
        rm -rf "$CACHE"/hbal/*
        tmp=$(mktemp -d "$CACHE/hbal/tmp.XXXXXX")
        (build "$tmp" >"$CACHE/hbal.log" 2>&1 && manifest "$tmp" && mv "$tmp" "$dir") || {
            tail -n 5 "$CACHE/hbal.log" >&2
            exit 1
        }
    fi
fi
printf '%s\n' "$dir/hbal"
