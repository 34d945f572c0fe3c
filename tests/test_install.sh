#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# `make install` and `make uninstall` go where they are told, by B, DESTDIR, PREFIX, SBINDIR,
# LIBDIR, BASHDIR, ZSHDIR, FISHDIR, MANDIR, UNITDIR and OCFDIR, and take away what was installed and nothing else. The program is a
# made-up one.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL
mkdir "$work/b"
echo 'xenferry front command' >"$work/b/choose"
echo build >"$work/b/xl"
failed=0

run() { # -o all: it is not built here
    make -s -o all B="$work/b" DESTDIR="$work/root" XEN_RELEASE=4.99 "$@" >"$work/out" 2>&1 ||
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
expect "as it comes" "usr/local/sbin/xl 755" "usr/local/lib/xenferry/xen-4.99/xl 755" "etc/bash_completion.d/xenferry 644" "usr/local/share/xenferry/xenferry.rng 644" \
    "usr/local/share/zsh/site-functions/_xl 644" "usr/local/share/fish/vendor_completions.d/xl.fish 644" \
    "usr/local/share/man/man1/xl-disk-move.1 644" "usr/local/share/man/man1/xl-migrate.1 644" "usr/local/share/man/man1/xl-migrate-drain.1 644" \
    "usr/local/share/man/man5/xenferry.xml.5 644" \
    "usr/local/share/man/man8/xenferry-plan.8 644" "usr/local/sbin/xenferry-plan 755" \
    usr/local/share/xenferry/plan/{collect,hbal,run,show}.sh" 644" \
    usr/local/lib/systemd/system/xenferry-{drain.service,plan.service,plan.timer}" 644" \
    "usr/local/share/man/man7/xenferry-cluster.7 644" "usr/lib/ocf/resource.d/xenferry/Guest 755"
for unit in plan.service plan.timer drain.service; do
    ! grep -n '@[A-Z]*@' "$work/root/usr/local/lib/systemd/system/xenferry-$unit" || failed=1
done
echo other >"$work/root/usr/local/share/man/man1/other.1"
run uninstall
expect "uninstalled" "usr/local/share/man/man1/other.1 644"
rm -rf "$work/root"

where="PREFIX=/usr SBINDIR=/usr/lib/xf LIBDIR=/usr/lib64 BASHDIR=/usr/bash ZSHDIR=/usr/zsh FISHDIR=/usr/fish MANDIR=/usr/man UNITDIR=/lib/systemd/system OCFDIR=/opt/ocf"
# shellcheck disable=SC2086 # words
run install $where
expect "as told" "usr/lib/xf/xl 755" "usr/lib64/xenferry/xen-4.99/xl 755" "usr/bash/xenferry 644" "usr/share/xenferry/xenferry.rng 644" \
    "usr/zsh/_xl 644" "usr/fish/xl.fish 644" \
    "usr/man/man1/xl-disk-move.1 644" "usr/man/man1/xl-migrate.1 644" "usr/man/man1/xl-migrate-drain.1 644" "usr/man/man5/xenferry.xml.5 644" \
    "usr/man/man8/xenferry-plan.8 644" "usr/lib/xf/xenferry-plan 755" \
    usr/share/xenferry/plan/{collect,hbal,run,show}.sh" 644" \
    lib/systemd/system/xenferry-{drain.service,plan.service,plan.timer}" 644" \
    "usr/man/man7/xenferry-cluster.7 644" "opt/ocf/resource.d/xenferry/Guest 755"
units=$work/root/lib/systemd/system
# Its parts are found where they were installed.
grep -qx "parts=/usr/share/xenferry/plan" "$work/root/usr/lib/xf/xenferry-plan" || { echo "no parts"; failed=1; }
grep -q "^ExecStart=/usr/lib/xf/xenferry-plan " "$units/xenferry-plan.service" ||
    { echo "the planner's service starts something else"; failed=1; }
grep -qx 'ExecStop=/usr/lib/xf/xl migrate-drain .*' "$units/xenferry-drain.service" ||
    { echo "the drain's service starts something else"; failed=1; }
cmp -s "$work/b/choose" "$work/root/usr/lib/xf/xl" || { echo "another program"; failed=1; }
cmp -s "$work/b/xl" "$work/root/usr/lib64/xenferry/xen-4.99/xl" || { echo "another build"; failed=1; }
# Somebody has put another xl there since.
echo other >"$work/root/usr/lib/xf/xl"
# shellcheck disable=SC2086 # words
run uninstall $where
expect "another's xl stays" "usr/lib/xf/xl 755"
run uninstall
exit $failed
