#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What CHECK refuses, with the guest untouched: one sentence each, status 1.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

guest_start a checked --mem 128 --fill 24 --rate 100 --ip 112 --disk vdb

# refused WORDS_IN_THE_ERROR [options]: `xl migrate` says no, and says why.
refused() {
    local words=$1
    shift
    if move a "$@"; then
        bad "it was not refused"
        lab guest stop "$guest"
        return 0
    fi
    [ "$(report .outcome)" = refused ] || bad "outcome $(report .outcome): $(report .error)"
    report .error | grep -qi -- "$words" || bad "no '$words' in: $(report .error)"
}

# finds CODE [options]: --check lists the finding.
finds() {
    local code=$1
    shift
    move a --check "$@" || true
    jq -es "map(select(.type == \"finding\" and .code == \"$code\" and .severity == \"refusal\"))
        | length == 1" "$work/json" >/dev/null ||
        bad "no refusal '$code' among: $(jq -c 'select(.type == "finding")' "$work/json")"
}

case_begin "--check finds nothing against a good move"
move a --check || bad "status not 0: $(error_text)"
case_end

case_begin "a name that is in use there"
on b "sed 's/^disk.*/disk = []/; s/^vif.*/vif = []/' >/tmp/c.cfg; xl create -q -p /tmp/c.cfg" \
    2>"$work/create" || true
on a "sed 's/^disk.*/disk = []/; s/^vif.*/vif = []/' /root/$guest.cfg" >"$work/cfg"
lab put b "$work/cfg" /tmp/c.cfg
on b "xl create -q -p /tmp/c.cfg"
refused "named \"$guest\""
on b "xl destroy $guest"
case_end

case_begin "too little memory there"
free=$(on b "xl info free_memory")
sed "s/^name.*/name = 'eater'/; s/^memory.*/memory = $((free - 60))/; s/^maxmem.*//" "$work/cfg" \
    >"$work/eater"
lab put b "$work/eater" /tmp/e.cfg
on b "xl create -q -p /tmp/e.cfg"
refused "MiB are free there"
on b "xl destroy eater"
case_end

case_begin "no receive front there"
on b "mv /usr/local/sbin/xl /root/xl.away"
refused "has no Xenferry"
on b "mv /root/xl.away /usr/local/sbin/xl"
case_end

case_begin "a migration address that cannot be reached"
on b "printf '%s' '<xenferry><receive><address>10.9.0.77</address></receive></xenferry>' \
    >/etc/xen/xenferry.xml"
refused "10.9.0.77"
on b "rm /etc/xen/xenferry.xml"
case_end

# What the lab's guest cannot be is taken from a configuration: CHECK looks at what it
# would build there.
case_begin "a device that is passed through, an HVM guest, a PV guest"
on a "{ cat /root/$guest.cfg; echo \"pci = ['00:1f.0']\"; } >/tmp/pci.cfg
    sed 's/^type.*/type = \"hvm\"/; s/^kernel.*//; s/^ramdisk.*//; s/^extra.*//' \
        /root/$guest.cfg >/tmp/hvm.cfg
    sed 's/^type.*/type = \"pv\"/; s/^tsc_mode.*//' /root/$guest.cfg >/tmp/pv.cfg"
finds passthrough -C /tmp/pci.cfg
finds device-model -C /tmp/hvm.cfg
finds pv-guest -C /tmp/pv.cfg
case_end

# All of them in one check, each with its code; a kernel that is missing is no reason to refuse.
case_begin "what the configuration needs is not there"
on a "sed -e 's/^kernel.*/kernel = \"\/root\/no-kernel\"/' -e 's/^disk.*//' -e 's/^vif.*//' \
        /root/$guest.cfg >/tmp/lacks.cfg
    {
        echo \"disk = ['/dev/none,raw,xvda,rw', '/dev/vdb,raw,xvdb,rw',\"
        echo \"  'vdev=xvdc,format=raw,script=block-none,target=x']\"
        echo \"vif = ['bridge=nobridge', 'bridge=xenbr0,script=vif-none']\"
        echo \"p9 = ['tag=share,path=/root,security_model=none']\"
    } >>/tmp/lacks.cfg"
finds disk-missing -C /tmp/lacks.cfg
finds bridge-missing -C /tmp/lacks.cfg
finds device-kind -C /tmp/lacks.cfg
jq -es 'map(select(.code == "script-missing" and .severity == "refusal")) | length == 2' \
    "$work/json" >/dev/null || bad "not two scripts: $(jq -c 'select(.type == "finding")' "$work/json")"
jq -es 'map(select(.code == "kernel-missing" and .severity == "warning")) | length == 1' \
    "$work/json" >/dev/null || bad "no warning of the kernel"
case_end

enough_for_quick
case_begin "a guest that is being migrated already"
move_in_background a "XENFERRY_HOLD=before-suspend=/tmp/hold" --bandwidth 20
until_true 90 on a "test -e /tmp/hold" || bad "the first move does not come to its hold"
cp "$work/json" "$work/first" 2>/dev/null || true
if on a "xl migrate --$transport $guest ${address[b]}" >"$work/second" 2>&1; then
    bad "the second move was not refused"
fi
grep -qi "being migrated already" "$work/second" || bad "it says: $(tail -n 2 "$work/second")"
on a "rm -f /tmp/hold"
move_ends 0
intact b
case_end

case_begin "memory that is populated on demand"
on b "xl destroy $guest"
lab guest stop "$guest"
sed "s/^name.*/name = 'podling'/; s/^memory.*/memory = 64/; s/^maxmem.*/maxmem = 128/" \
    "$work/cfg" >"$work/pod"
lab put a "$work/pod" /tmp/p.cfg
on a "xl create -q -p /tmp/p.cfg"
guest=podling
finds pod
finds paused
on a "xl destroy podling"
case_end

case_begin "a domain that does not exist"
guest=nobody
refused 'no domain "nobody"'
guest=
case_end
finish
