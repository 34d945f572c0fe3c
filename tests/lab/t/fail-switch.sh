#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Row 2 of the failure contract: whatever fails in SWITCH before GO, the guest is resumed at
# the source with its disk and network working, nothing is left at the destination, and the
# next move succeeds. The move is held where it shall fail (precopy/hold.h).
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

guest_start a switched --mem 128 --fill 24 --rate 100 --ip 116 --disk vdb
at=a

held() { on $at "test -e /tmp/hold"; }

# fails_at POINT NAME COMMAND...
fails_at() {
    local point=$1 name=$2 to=${other[$at]}
    shift 2
    case_begin "in SWITCH ($point): $name"
    on $at "rm -f /tmp/hold"
    lab watch start "$guest"
    move_in_background $at "XENFERRY_HOLD=$point=/tmp/hold"
    until_true 120 held || bad "the move does not come to $point: $(error_text)"
    "$@"
    on $at "rm -f /tmp/hold"
    move_ends 4
    note "$(report .error)"
    lab net heal
    # The hold and our own ssh are in the gap; what counts is that it is bounded.
    beat 25
    note "heartbeat gap $(jq .heartbeat_gap_s "$work/watch.json") s, hold included"
    intact $at
    until_true 45 is_empty "$to" || empty "$to"
    good_move $at
    at=$to
    case_end
}

fails_at suspended "the receiving xl is killed" kill_receiver
enough_for_quick
fails_at before-go "the sink is killed" kill_sink
fails_at suspended "the link is cut" cut_link
fails_at before-go "Ctrl-C" interrupt

# The last pages need memory that is not there: the guest balloons up after the last round
# has looked, and the destination may not have any more.
grow_without_room() {
    on "${other[$at]}" "xl mem-max $guest--incoming 40"
    on $at "xl mem-set $guest 126"
    until_true 30 grown || note "the balloon did not move"
}
grown() { [ "$(on $at "xl list $guest" | awk 'NR == 2 { print $3 }')" -ge 125 ]; }
shrunk() { [ "$(on $at "xl list $guest" | awk 'NR == 2 { print $3 }')" -le 116 ]; }
on $at "xl mem-set $guest 115"
until_true 30 shrunk || note "the balloon did not move"
fails_at before-suspend "the destination is out of memory" grow_without_room
finish
