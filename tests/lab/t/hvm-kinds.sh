#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# HVM guests of other kinds than in hvm.sh, and what is done to one while it is copied.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"
export MOVE_LIMIT=300
at=a

there() {
    local to=${other[$at]} s
    lab watch start "$guest"
    good_move $at
    beat 30
    note "downtime $(report .downtime_s) s, $(report .mode), heartbeat gap $(jq .heartbeat_gap_s "$work/watch.json") s"
    s=$(qemu_status "$to" "$guest")
    [ "$s" = running ] || bad "its QEMU on host $to is '$s'"
    at=$to
}

# in_copy NAME SAYS COMMAND...: ends the move while the guest runs, with SAYS in its error
in_copy() {
    local name=$1 says=$2
    shift 2
    case_begin "hvm (COPY): $name"
    move_in_background $at "" --bandwidth 4
    until_true 120 copying || bad "no COPY: $(error_text)"
    "$@"
    move_ends 3 8
    note "$(report .error)"
    [[ $(report .error) == *"$says"* ]] || bad "that is not about $says"
    in_phase SWITCH && bad "it went on to SWITCH"
    until_true 45 is_empty "${other[$at]}" || empty "${other[$at]}"
    case_end
}

case_begin "hvm: two vCPUs, and Xen's Hyper-V interface"
guest_start a viridian --type hvm --vcpus 2 --rate 100 --ip 126 --disk vdb --config 'viridian = 1'
there
[ "$(report .mode)" = precopy ] || bad "it moved by $(report .mode)"
move $at --postcopy && bad "post-copy was not refused"
[[ $(error_text) == *viridian* ]] || bad "it says $(error_text)"
case_end

in_copy "xl vcpu-set" "vCPUs were set" on $at "xl vcpu-set viridian 1"
case_begin "hvm: and with one vCPU offline, back"
there
case_end
in_copy "it reboots" "the guest" sysrq $at b
lab guest stop viridian

case_begin "hvm: a disk that QEMU serves, and a generation id"
at=a
guest_start a served --type hvm --rate 100 --ip 126 --disk vdb --backend qdisk --config 'ms_vm_genid = "generate"'
there
case_end
case_begin "hvm: ... and back"
there
case_end
lab guest stop served

case_begin "hvm: booted by OVMF"
at=a
guest_start a ovmf --type hvm --bios ovmf --rate 100 --ip 126 --disk vdb
there
case_end
case_begin "hvm: ... and back by post-copy"
good_move $at --postcopy
[ "$(report '.pull.left_out > 1000')" = true ] || bad "too few pages were left out: $(report .pull.left_out)"
case_end
finish
