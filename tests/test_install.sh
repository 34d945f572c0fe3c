#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# `make install` and `make uninstall` go where they are told, by B, DESTDIR, PREFIX, SBINDIR,
# MANDIR and OCFDIR, and take away what was installed and nothing else. The program is a made-up one.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL
mkdir "$work/b"
echo 'xenferry front command' >"$work/b/xl"
failed=0

run() { # -o all: it is not built here
    make -s -o all B="$work/b" DESTDIR="$work/root" "$@" >"$work/out" 2>&1 ||
        { echo "make $*: $(cat "$work/out")"; failed=1; }
}
files() { (cd "$work/root" 2>/dev/null && find . -type f -printf '%P %m\n' | sort); }
expect() { # WHAT FILES...
    local what=$1
    shift
    if [ "$(files)" != "$(printf '%s\n' "$@" | sort)" ]; then
        echo "$what: $(files)"
        failed=1
    fi
}

run install
expect "as it comes" "usr/local/sbin/xl 755" "usr/local/share/xenferry/xenferry.rng 644" \
    "usr/local/share/man/man1/xl-migrate.1 644" "usr/local/share/man/man5/xenferry.xml.5 644" \
    "usr/local/share/man/man7/xenferry-cluster.7 644" "usr/lib/ocf/resource.d/xenferry/Guest 755"
echo other >"$work/root/usr/local/share/man/man1/other.1"
run uninstall
expect "uninstalled" "usr/local/share/man/man1/other.1 644"
rm -rf "$work/root"

run install PREFIX=/usr SBINDIR=/usr/lib/xf MANDIR=/usr/man OCFDIR=/opt/ocf
expect "as told" "usr/lib/xf/xl 755" "usr/share/xenferry/xenferry.rng 644" \
    "usr/man/man1/xl-migrate.1 644" "usr/man/man5/xenferry.xml.5 644" \
    "usr/man/man7/xenferry-cluster.7 644" "opt/ocf/resource.d/xenferry/Guest 755"
cmp -s "$work/b/xl" "$work/root/usr/lib/xf/xl" || { echo "another program"; failed=1; }
# Somebody has put another xl there since.
echo other >"$work/root/usr/lib/xf/xl"
run uninstall PREFIX=/usr SBINDIR=/usr/lib/xf MANDIR=/usr/man OCFDIR=/opt/ocf
expect "another's xl stays" "usr/lib/xf/xl 755"
run uninstall
exit $failed
