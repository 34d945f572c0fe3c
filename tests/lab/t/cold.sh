#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Cold moves (--cold): libxl's own stream over our channels. Every byte arrives, the stand-still is
# announced, and whatever fails before GO the guest goes on at the source. PV guests, too, and
# paused ones of any kind, which stay paused.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

guest_start a chilled --mem 128 --fill 40 --rate 200 --vcpus 2 --ip 151 --disk vdb
at=a

# A cold move to the other host that must succeed.
cold_move() {
    lab watch start "$guest"
    good_move "$at" --cold
    at=${other[$at]}
    beat 120
    [ "$(report .mode)" = cold ] || bad "the report says mode $(report .mode)"
    [ "$(report .encrypted)" = true ] || [ "$transport" != tcp ] || bad "it was not encrypted"
    jq -es 'map(select(.type == "note" and (.text | test("will stand still for (about|at most) [0-9.]+ s")))) |
        length == 1' "$work/json" >/dev/null || bad "the stand-still was not announced"
    note "downtime $(report .downtime_s) s, predicted $(report .predicted_downtime_s) s," \
        "heartbeat gap $(jq .heartbeat_gap_s "$work/watch.json") s"
}

case_begin "a PVH guest, cold"
cold_move
case_end
enough_for_quick
case_begin "and back"
cold_move
case_end

held() { on "$at" "test -e /tmp/hold"; }

# fails_at POINT NAME COMMAND...
fails_at() {
    local point=$1 name=$2 to=${other[$at]}
    shift 2
    wanted "$name" || return 0
    case_begin "cold ($point): $name"
    on "$at" "rm -f /tmp/hold"
    lab watch start "$guest"
    move_in_background "$at" "XENFERRY_HOLD=$point=/tmp/hold" --cold
    until_true 120 held || bad "the move does not come to $point: $(error_text)"
    "$@"
    on "$at" "rm -f /tmp/hold"
    move_ends 4
    note "$(report .error)"
    lab net heal
    beat 60
    intact "$at"
    until_true 45 is_empty "$to" || empty "$to"
    no_trace "$at" || bad "a record or a socket is left"
    case_end
}

fails_at suspended "the sink is killed" kill_sink
fails_at suspended "the receiving xl is killed" kill_receiver
fails_at suspended "the link is cut" cut_link
fails_at before-suspend "the destination is out of memory" no_more_memory
fails_at before-go "the sink is killed at the end" kill_sink
fails_at suspended "Ctrl-C" interrupt
case_begin "cold, after all that"
cold_move
case_end

# A paused guest: it is paused wherever it ends up, and whole when it is let run.
paused_on() { on "$1" "xl list $guest" | grep -q -- '--p---'; }
for how in --precopy --cold; do
    case_begin "a paused guest, $how"
    on "$at" "xl pause $guest"
    if move "$at" $how; then
        at=${other[$at]}
        paused_on "$at" || bad "not paused: $(on "$at" 'xl list')"
    else
        bad "status not 0: $(error_text)"
    fi
    on "$at" "xl unpause $guest"
    until_true 20 is_seen "$at" || bad "the network looks for it on host $(lab guest seen "$guest")"
    intact "$at"
    case_end
done
case_begin "a paused guest whose move fails"
on "$at" "xl pause $guest"
move_in_background "$at" "XENFERRY_HOLD=suspended=/tmp/hold" --cold
until_true 120 held || bad "the move does not come to its hold: $(error_text)"
kill_sink
on "$at" "rm -f /tmp/hold"
move_ends 4
paused_on "$at" || bad "not paused: $(on "$at" 'xl list')"
on "$at" "xl unpause $guest"
intact "$at"
case_end
lab guest stop "$guest"

guest_start a classic --type pv --mem 128 --fill 40 --rate 200 --ip 152 --disk vdb
at=a
case_begin "a PV guest is refused without --cold"
if move "$at"; then
    bad "it was moved"
    at=${other[$at]}
fi
[ "$(report .outcome)" = refused ] || bad "the report says $(report .outcome)"
[[ $(error_text) == *--cold* ]] || bad "the remedy is not named: $(error_text)"
case_end
case_begin "a PV guest, cold"
cold_move
case_end
case_begin "a PV guest, cold, back"
cold_move
case_end
fails_at suspended "the sink of a PV guest is killed" kill_sink
finish
