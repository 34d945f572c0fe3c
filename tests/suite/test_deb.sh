#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs in a release (suite run RELEASE tests/suite/test_deb.sh): the packages in build/deb/RELEASE are installed,
# installed again, upgraded, removed and purged. `xl` is ours in between, and nothing but the distribution's before and
# after; no call fails for want of a build, its libraries, or Xen.
set -u -o pipefail
export DEBIAN_FRONTEND=noninteractive
# shellcheck source=/dev/null
. /etc/os-release
debs=build/deb/$VERSION_CODENAME
xen=$(pkg-config --modversion xencontrol | cut -d. -f1-2)
bad=0
fail() {
    echo "FAIL: $*"
    bad=1
}
same() { [ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"; } # WHAT WANTED GOT
contains() { case $3 in *"$2"*) ;; *) fail "$1: no '$2' in '$3'" ;; esac; } # WHAT PART TEXT

# Which Xen runs is what sysfs says.
mount -t tmpfs sys /sys
runs() {
    mkdir -p /sys/hypervisor/version
    echo xen >/sys/hypervisor/type
    echo "${1%.*}" >/sys/hypervisor/version/major
    echo "${1#*.}" >/sys/hypervisor/version/minor
}
# Paths, types and, of links, where to.
listing() { find /usr /etc /opt /var/lib/systemd -xdev ! -path '/usr/share/man/*' ! -path '*/__pycache__*' -printf '%p %y %l\n' 2>/dev/null | sort; }
install() { # [DIR]
    dpkg -i "${1-$debs}"/xenferry_*.deb "${1-$debs}/xenferry-${xen}_"*.deb >/tmp/dpkg 2>&1 || fail "dpkg -i: $(tail -n 5 /tmp/dpkg)"
}
# The same as a later version.
mkdir /tmp/later
for deb in "$debs"/xenferry_*.deb "$debs/xenferry-${xen}_"*.deb; do
    rm -rf /tmp/unpacked
    dpkg-deb -R "$deb" /tmp/unpacked
    sed -i 's/^Version: .*/&+later/' /tmp/unpacked/DEBIAN/control
    dpkg-deb -b /tmp/unpacked "/tmp/later/${deb##*/}" >/tmp/dpkg
done
stock() { # what the distribution's xl says, and its status
    local out
    out=$("$@" 2>&1)
    printf '%s: %s\n' $? "$out"
}

runs "$xen"
before=$(listing)
plain=$(stock /usr/sbin/xl list)
words=$(stock /usr/sbin/xl unpause g1)

for how in install again upgrade; do
    if [ $how = upgrade ]; then install /tmp/later; else install; fi
    contains "$how" "for Xen $xen" "$(xl migrate --version 2>&1)"
    same "$how: xl list" "$plain" "$(stock xl list)"
    same "$how: xl unpause" "$words" "$(stock xl unpause g1)"
    same "$how: diverted" /usr/libexec/xl "$(dpkg-divert --truename /usr/sbin/xl)"
    [ "$(readlink -f /usr/libexec/xl)" = /usr/lib/xen-common/bin/xen-utils-wrapper ] || fail "$how: the distribution's xl leads nowhere"
done
same "the version" later "$(dpkg-query -W -f='${Version}' xenferry | sed 's/.*+//')"
sh debian/tests/installed || fail "the package's own test"
same "its test on Xen, without Xen" 77 "$(sh debian/tests/xen >/dev/null 2>&1; echo $?)"
for f in /usr/share/zsh/vendor-completions/_xl /usr/share/fish/vendor_completions.d/xl.fish /usr/sbin/xenferry-plan /usr/lib/ocf/resource.d/xenferry/Guest /usr/share/xenferry/xenferry.rng; do
    [ -e "$f" ] || fail "no $f"
done
! dpkg -L xenferry | grep -q /usr/local || fail "something is in /usr/local"
# Units are off.
[ -z "$(find /etc/systemd /var/lib/systemd -name 'xenferry*' 2>/dev/null)" ] || fail "a unit is on"
same "what the front links" "" "$(ldd /usr/sbin/xl | grep -i -e xen -e gnutls)"

# The build's own libraries are gone: the distribution's xl answers, and one line says why.
lib=$(ldd "/usr/lib/xenferry/xen-$xen/xl" | awk '/libxxhash/ { print $3 }')
mv "$lib" "$lib.away"
contains "no library" "does not start" "$(xl unpause g1 2>&1)"
same "no library: status" "${words%%:*}" "$(xl unpause g1 >/dev/null 2>&1; echo $?)"
same "no library: xl list" "$plain" "$(stock xl list)"
mv "$lib.away" "$lib"
# Another Xen runs: before the reboot into a new one, or after.
runs 4.99
contains "another Xen" "Xenferry for Xen 4.99 is not installed" "$(xl migrate g1 host2 2>&1)"
same "another Xen: xl list" "$(stock /usr/libexec/xl list)" "$(stock xl list)"
runs "$xen"
# The build alone is removed: what a host's upgrade does that removes what is no longer needed.
dpkg -r --force-depends "xenferry-$xen" >/tmp/dpkg 2>&1 || fail "dpkg -r: $(tail -n 5 /tmp/dpkg)"
contains "no build" "is not installed here" "$(xl unpause g1 2>&1)"
same "no build: xl list" "$plain" "$(stock xl list)"

for how in -r -P; do
    install
    dpkg $how xenferry "xenferry-$xen" >/tmp/dpkg 2>&1 || fail "dpkg $how: $(tail -n 5 /tmp/dpkg)"
    # The configuration of the shell stays until a purge.
    after=$(listing | if [ $how = -r ]; then grep -v '^/etc/bash_completion.d/xenferry '; else cat; fi)
    [ "$before" = "$after" ] || fail "dpkg $how leaves: $(diff <(echo "$before") <(echo "$after"))"
    same "dpkg $how: xl list" "$plain" "$(stock xl list)"
done

# The hypervisor's package, where it is built: before Debian's in GRUB's order, whatever the release.
for deb in "$debs"/xenferry-hypervisor-*.deb; do
    [ -e "$deb" ] || continue
    dpkg -i --force-depends "$deb" >/tmp/dpkg 2>&1 || fail "dpkg -i: $(tail -n 5 /tmp/dpkg)"
    same "the hypervisor is 32-bit ELF, multiboot" 7f454c4601 "$(zcat "/boot/xen-$xen-amd64-xenferry.gz" | od -An -tx1 -N5 | tr -d ' ')"
    dpkg --compare-versions "$xen-amd64-xenferry.gz" gt "$xen-amd64.gz" || fail "GRUB takes Debian's first"
    dpkg -P "xenferry-hypervisor-$xen" >/tmp/dpkg 2>&1 || fail "dpkg -P: $(tail -n 5 /tmp/dpkg)"
    [ ! -e "/boot/xen-$xen-amd64-xenferry.gz" ] || fail "the hypervisor stays"
done
[ $bad = 0 ] && echo passed
exit $bad
