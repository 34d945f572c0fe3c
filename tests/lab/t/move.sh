#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest under load moves there and back, with and without encryption, and what `xl
# migrate` says of it is true.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

guest_start a mover --mem 128 --fill 32 --rate 200 --vcpus 2 --ip 111 --disk vdb

sealed=() # TCP is encrypted unless it is said, RDMA if it is
[ "$transport" != rdma ] || sealed=(--encrypt)
case_begin "move a guest of 2 vcpus, encrypted"
lab watch start "$guest"
writes=$(status_field page_writes)
good_move a "${sealed[@]}"
lab watch stop "$guest" "$work/watch.json" >/dev/null
[ "$(jq .backwards "$work/watch.json")" = 0 ] || bad "the heartbeat went backwards"
[ "$(jq .skipped "$work/watch.json")" = 0 ] || bad "heartbeats were lost"
[ "$(report .outcome)" = moved ] || bad "the report says $(report .outcome)"
[ "$(report .encrypted)" = true ] || bad "the report denies the encryption"
[ "$(status_field page_writes)" -gt "$writes" ] || bad "the guest no longer writes"
[ "$(report '.pages_zero > 0 and .pages_sent > 0 and .rounds > 0')" = true ] ||
    bad "the report counts nothing: $(report .)"
[ "$(report '.whole_pages >= 0.8 * .guest_pages and .large_pages >= 0.9 * .whole_pages')" = true ] ||
    bad "large pages: $(report .large_pages), of $(report .whole_pages) that were whole, of $(report .guest_pages)"
note "$(report .large_pages) of $(report .guest_pages) pages in large pages, $(report .whole_pages) possible"
note "downtime $(report .downtime_s) s, heartbeat gap $(jq .heartbeat_gap_s "$work/watch.json")" \
    "s, ping gap $(jq .ping_gap_s "$work/watch.json") s, $(report .total_s) s in all"
case_end

# Of the guest's configuration, as xl has it: what -C changes, and what it must not.
of_config() { # HOST JQ-EXPRESSION
    on "$1" "xl list -l $guest" | jq -r ".[0].config$2"
}

case_begin "and back, not encrypted, four channels, with -C"
uuid=$(of_config b .c_info.uuid)
on a "sed '/^on_crash/d' /root/$guest.cfg; echo 'on_crash = \"preserve\"'" >"$work/cfg"
lab put b "$work/cfg" /tmp/moved.cfg
good_move b --no-encrypt --channels 4 -C /tmp/moved.cfg
[ "$(report .channels)" = 4 ] || bad "the report counts $(report .channels) channels"
[ "$(of_config a .on_crash)" = preserve ] || bad "on_crash is $(of_config a .on_crash) after -C"
[ "$(of_config a .c_info.uuid)" = "$uuid" ] || bad "its uuid was $uuid and is $(of_config a .c_info.uuid)"
case_end

enough_for_quick
case_begin "-p leaves it paused, with everything in place"
if move a -p; then
    on b "xl list $guest" | grep -q -- '--p---' || bad "not paused: $(on b 'xl list')"
    on b "xl unpause $guest"
    # As in good_move: what asks the guest anything waits until the network knows where it is.
    until_true 20 is_seen b || bad "the network looks for the guest on host $(lab guest seen "$guest")"
    intact b
else
    bad "status not 0: $(error_text)"
fi
case_end

case_begin "IPv6 addresses, one channel, plain lines"
on a "printf '%s' '<xenferry><receive><address>fd09::1</address></receive></xenferry>' \
    >/etc/xen/xenferry.xml"
if on b "true" && timeout 240 "$here/../lab" ssh b \
    "xl migrate --$transport --channels 1 $guest 10.9.0.1" >"$work/out" 2>&1 </dev/null; then
    intact a
    grep -q 'moved to 10.9.0.1' "$work/out" || bad "no report: $(tail -n 3 "$work/out")"
else
    bad "status not 0: $(tail -n 3 "$work/out")"
fi
on a "rm /etc/xen/xenferry.xml"
case_end
finish
