#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Somebody changes the guest while it is copied. A new name and the vCPUs it shall have online are
# followed; a device that comes or goes ends the move before the switch, with status 3, and it says so.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

# Of several vCPUs: docs/xen-notes.md, "A guest with several vCPUs can die in blkfront".
guest_start a changed --mem 128 --fill 24 --rate 100 --ip 117 --disk vdb --vcpus 2 --persistent 0
at=a

# In COPY, which is slow enough to do something in it.
begin_copy() {
    move_in_background $at "" --bandwidth 2
    until_true 120 copying || bad "no COPY: $(error_text)"
}

# What the guest's second vCPU shall be, as the destination has it.
second_vcpu() { # HOST online|offline
    [ "$(on "$1" "xenstore-read /local/domain/\$(xl domid $guest)/cpu/1/availability")" = "$2" ] ||
        bad "the destination does not know of it"
}

# ends_it NAME SAYS COMMAND: on the source's host, in COPY.
ends_it() {
    wanted "$1" || return 0
    case_begin "in COPY: $1"
    begin_copy
    on $at "$3" || bad "it cannot be changed"
    END_LIMIT=45 move_ends 3
    note "$(report .error)"
    report .error | grep -q "$2" || bad "no '$2' in: $(report .error)"
    intact $at
    until_true 45 is_empty "${other[$at]}" || empty "${other[$at]}"
    case_end
}
ends_it "a disk is attached" "attached to" "xl block-attach $guest phy:/dev/vdc xvdb r"
ends_it "a disk is detached" "detached from" "xl block-detach $guest xvdb"
ends_it "a NIC is attached" "attached to" "xl network-attach $guest bridge=xenbr0"
on a "xl network-detach $guest 1"

# What it needs to boot is missing there: a warning in CHECK, and the move succeeds, as by stock xl.
case_begin "in COPY: it is renamed; its kernel is missing there"
kernel=$(on a "sed -n 's/^kernel = \"\\(.*\\)\"/\\1/p' /root/$guest.cfg")
on b "mount -t tmpfs none ${kernel%/*}"
begin_copy
on a "xl rename $guest renamed"
END_LIMIT=120 move_ends 0
on b "umount ${kernel%/*}"
jq -es 'map(select(.code == "kernel-missing" and .severity == "warning")) | length > 0' \
    "$work/json" >/dev/null || bad "no warning of the kernel"
on b "xl domid renamed" >"$work/domid" || bad "no domain has the new name there"
! on b "xl domid $guest 2>/dev/null" || bad "one has the old name there"
on b "xl rename renamed $guest"
intact b
empty a
at=b
case_end

case_begin "in COPY: one of two vCPUs is taken away"
begin_copy
on b "xl vcpu-set $guest 1"
END_LIMIT=120 move_ends 0
intact a
empty b
at=a
second_vcpu a offline
on a "xl vcpu-list $guest" >"$work/vcpus"
awk 'NR > 1 && $3 == 1 { print $5 }' "$work/vcpus" | grep -q p ||
    bad "the vCPU runs: $(cat "$work/vcpus")"
case_end

case_begin "in COPY: it comes back"
begin_copy
on a "xl vcpu-set --ignore-host $guest 2" # dom0 has one processor
END_LIMIT=120 move_ends 0
intact b
at=b
# Its own user space would take it online, which this guest has none of.
second_vcpu b online
case_end

# After the last look and before GO it is too late to follow, and not too late to go back.
case_begin "renamed while it is suspended"
move_in_background $at "XENFERRY_HOLD=before-go=/tmp/hold"
until_true 120 on $at "test -e /tmp/hold" || bad "it does not come to its hold"
on $at "xl rename $guest renamed; rm -f /tmp/hold"
move_ends 4
note "$(report .error)"
report .error | grep -q "changed while it was being switched" || bad "it says: $(report .error)"
on $at "xl rename renamed $guest"
intact $at
case_end
finish
