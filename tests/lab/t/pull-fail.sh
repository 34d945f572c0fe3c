#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The rows of the failure contract about PULL: the guest runs at the destination and lacks pages
# that lie at the source. Whatever fails, they come in the end, by themselves or by
# `xl migrate-recover`, and every byte is right.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

start_guest() {
    guest_start a pulled --mem 256 --fill 96 --rate 200 --ip 122 --disk vdb
    at=a
}

# A post-copy move that has come to PULL.
into_pull() {
    move_in_background "$at" "" --postcopy
    until_true 180 in_phase PULL || bad "no PULL: $(error_text)"
}
killed() { on "$at" "kill -KILL \$(cat /tmp/move.pid)"; until_true 60 move_over || bad "it lives"; }
# shellcheck disable=SC2317 # called by until_true
held() { on "$at" "test -e /tmp/hold"; }
recover() { # WORDS...: its JSON lines in $work/json, its status in $work/status
    local rc=0
    timeout 300 "$here/../lab" ssh "$at" "xl migrate-recover --json $*" \
        >"$work/json" 2>"$work/stderr" </dev/null || rc=$?
    echo $rc >"$work/status"
}
resume() { # WORDS...: likewise, with --resume
    local rc=0
    on "$at" "xl migrate-recover --resume $*" >"$work/said" 2>&1 || rc=$?
    echo $rc >"$work/status"
}
ended_with() { # STATUS
    [ "$(cat "$work/status")" = "$1" ] ||
        bad "status $(cat "$work/status") instead of $1: $(error_text) $(cat "$work/said" 2>/dev/null)"
}
suspended_at() { # HOST
    local state
    state=$(on "$1" "xl list $guest" | awk 'NR == 2 { print $5 }')
    case $state in
    *s*) ;;
    *) bad "the domain on host $1 is not suspended: '$state'" ;;
    esac
}
# It is at the other host, whole, and nothing is left here.
arrived() {
    local to=${other[$at]}
    intact "$to"
    until_true 45 is_empty "$at" || empty "$at"
    [ -z "$(on "$at" "ls /run/xenferry/*.move 2>/dev/null" || true)" ] || bad "a record is left"
    at=$to
}

start_guest

case_begin "in PULL: xl migrate is killed, migrate-recover finishes"
into_pull
killed
suspended_at "$at"
resume "$guest"
ended_with 1 # it runs there
recover "$guest" "${address[${other[$at]}]}"
ended_with 0
note "brought $(report .pull.left_out) pages in $(report .total_s) s"
arrived
case_end

enough_for_quick

case_begin "in PULL: the link is cut for 20 s"
into_pull
cut_link
sleep 20 # this long, whatever happens meanwhile
lab net heal
move_ends 0
arrived
case_end

case_begin "in PULL: killed while the link is cut; recovered later"
into_pull
cut_link
killed
recover "$guest"
ended_with 7
suspended_at "$at"
lab net heal
recover "$guest"
ended_with 0
arrived
case_end

case_begin "in PULL: interrupted twice, then recovered"
into_pull
interrupt
until_true 20 grep -q "interrupt again" "$work/json" || bad "no note: $(tail -n 3 "$work/json")"
interrupt
move_ends 7
recover "$guest"
ended_with 0
arrived
case_end

case_begin "in PULL: the receiver that was called dies, its sink goes on"
into_pull
kill_receiver
move_ends 0
arrived
case_end

case_begin "before GO: xl migrate is killed; the guest is resumed"
on "$at" "rm -f /tmp/hold"
move_in_background "$at" "XENFERRY_HOLD=before-go=/tmp/hold" --postcopy
until_true 180 held || bad "the move does not come to before-go: $(error_text)"
killed
on "$at" "rm -f /tmp/hold"
until_true 60 is_empty "${other[$at]}" || empty "${other[$at]}"
suspended_at "$at"
recover "$guest"
ended_with 6
resume "$guest"
ended_with 0
intact "$at"
good_move "$at" --postcopy
at=${other[$at]}
case_end

case_begin "in PULL: the guest is destroyed there"
into_pull
on "${other[$at]}" "xl destroy $guest"
move_ends 0
until_true 45 is_empty "$at" || empty "$at"
until_true 45 is_empty "${other[$at]}" || empty "${other[$at]}"
case_end
finish
