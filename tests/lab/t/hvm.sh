#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# HVM guests under load move there and back: with PV drivers, with a screen, with emulated devices
# only; with QEMU started ahead, and late.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"
export MOVE_LIMIT=300
lost=0

# hvm_move FROM SECONDS MODE [options]: and its QEMU runs there, and no longer here. At most SECONDS
# without a heartbeat, by MODE.
hvm_move() {
    local from=$1 to=${other[$1]} limit=$2 mode=$3 s
    shift 3
    lab watch start "$guest"
    good_move "$from" "$@"
    # A line on an emulated serial port goes out character by character, and the switch may cut it in
    # two, one half in each host's file.
    beat "$limit" "$lost"
    note "downtime $(report .downtime_s) s, heartbeat gap $(jq .heartbeat_gap_s "$work/watch.json") s," \
        "ping gap $(jq .ping_gap_s "$work/watch.json") s, $(report .total_s) s in all"
    [ "$(report .mode)" = "$mode" ] || bad "it moved by $(report .mode), not $mode"
    s=$(qemu_status "$to" "$guest")
    [ "$s" = running ] || bad "its QEMU on host $to is '$s'"
    no_qemu "$from" || bad "a QEMU is left on host $from"
    on "$to" "ls /var/lib/xen/qemu-resume.* /run/xenferry/devices-* 2>/dev/null" >"$work/left" || true
    [ ! -s "$work/left" ] || bad "left on host $to: $(cat "$work/left")"
}

case_begin "hvm: PV drivers, there"
guest_start a hvm --type hvm --rate 100 --ip 126 --disk vdb
hvm_move a 12 precopy --precopy
case_end

case_begin "hvm: and back"
hvm_move b 12 precopy --precopy
case_end
enough_for_quick

case_begin "hvm: with late devices"
hvm_move a 60 precopy --late-devices
case_end

# Pages are absent when QEMU gets its state, and when it and the guest run.
case_begin "hvm: hybrid"
hvm_move b 20 hybrid --hybrid --postcopy-after 1
paging_is_off a
case_end

case_begin "hvm: post-copy"
hvm_move a 30 postcopy --postcopy
[ "$(report '.pull.left_out > 1000')" = true ] || bad "too few pages were left out: $(report .pull.left_out)"
paging_is_off b
case_end

case_begin "hvm: xl mem-set while it is copied"
before=$(on b "xenstore-read /local/domain/\$(xl domid $guest)/memory/target")
move_in_background b "" --bandwidth 4
until_true 120 copying || bad "no COPY: $(error_text)"
on b "xl mem-set $guest $((before / 1024 - 8))"
set=$(on b "xenstore-read /local/domain/\$(xl domid $guest)/memory/target")
move_ends 0
intact a
after=$(on a "xenstore-read /local/domain/\$(xl domid $guest)/memory/target")
[ "$after" = "$set" ] || bad "its memory target was $before KiB, then $set, and is $after after the move"
case_end

case_begin "hvm: -p leaves it paused"
if move a -p; then
    on b "xl list $guest" | grep -q -- '--p---' || bad "not paused: $(on b 'xl list')"
    on b "xl unpause $guest"
    until_true 20 is_seen b || bad "the network looks for the guest on host $(lab guest seen "$guest")"
    intact b
else
    bad "status not 0: $(error_text)"
fi
case_end

case_begin "hvm: two domains of one host, and one disk's locks"
if timeout 300 "$here/../lab" ssh b "xl migrate --tcp --json $guest localhost" >"$work/json" 2>"$work/stderr" </dev/null; then
    intact b
    empty a
else
    bad "status not 0: $(error_text)"
fi
case_end
lab guest stop hvm

case_begin "hvm: a screen, there"
guest_start a screen --type hvm --vga stdvga --rate 100 --ip 126 --disk vdb
hvm_move a 12 precopy --precopy
[ "$(on b 'exec 3<>/dev/tcp/127.0.0.1/5900 && head -c 4 <&3')" = "RFB " ] || bad "no VNC on host b"
case_end

case_begin "hvm: a screen, and back by post-copy"
hvm_move b 30 postcopy --postcopy
paging_is_off a
case_end
lab guest stop screen

case_begin "hvm: emulated devices only, there"
lost=1
guest_start a emulated --type hvm --emulated --vga stdvga --rate 100 --ip 126 --disk vdb
hvm_move a 20 precopy
case_end

case_begin "hvm: emulated devices only, and back"
hvm_move b 20 precopy
case_end
finish
