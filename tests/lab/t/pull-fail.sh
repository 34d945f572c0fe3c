#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The rows of the failure contract about PULL: the guest runs at the destination and lacks pages
# that lie at the source. Whatever fails, they come in the end, by themselves or by
# `xl migrate-recover`, and every byte is right.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

# A page costs some milliseconds in PULL under emulation.
MOVE_LIMIT=900
END_LIMIT=600

start_guest() { # [options of `lab guest start`]
    guest_start a pulled --mem 128 --fill 32 --rate 2000 --ip 122 --disk vdb "$@"
    at=a
}

# A move that has come to PULL and lacks what the guest rewrote during one round: 32 MiB, so that
# a case is short. For the first QUIET seconds only what is asked for comes: whatever a case
# does to the move then, pages are missing.
into_pull() { # [QUIET]
    move_in_background "$at" "XENFERRY_PULL=no-push=${1:-15}" --postcopy-after 1
    until_true 300 in_phase PULL || bad "no PULL: $(error_text)"
}
# The session of ours goes on: the ssh to the receiver shares its error output.
killed() {
    on "$at" "kill -KILL \$(cat /tmp/move.pid)"
    until_true 60 on "$at" "! kill -0 \$(cat /tmp/move.pid) 2>/dev/null" || bad "it lives"
}
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
# Nothing of the move is left on either host, and nothing of the guest at its source.
clean() {
    local h
    until_true 45 is_empty "$at" || empty "$at"
    for h in a b; do
        until_true 45 no_trace $h || bad "left on host $h: $(on $h 'ls /run/xenferry')"
    done
}
# It is at the other host, whole, and nothing is left here.
arrived() {
    intact "${other[$at]}"
    clean
    at=${other[$at]}
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

case_begin "in PULL: interrupted once, and it goes on"
into_pull
interrupt
until_true 20 grep -q "interrupt again" "$work/json" || bad "no note: $(tail -n 3 "$work/json")"
grep "interrupt again" "$work/json" | grep -q "runs at the destination already" ||
    bad "the note does not say where the guest is: $(grep "interrupt again" "$work/json")"
move_ends 0
[ "$(report .outcome)" = moved ] || bad "outcome $(report .outcome)"
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
good_move "$at" --postcopy-after 1
at=${other[$at]}
case_end

# Both sides end by themselves, the source says why, and its copy is gone.
ended_there() {
    move_ends 0
    grep -q "has ended at the destination before" "$work/json" ||
        bad "nobody said that the guest has ended: $(tail -n 3 "$work/json")"
    clean
}

case_begin "in PULL: the guest is destroyed there"
into_pull
until_true 30 on "${other[$at]}" "xl destroy $guest 2>/dev/null" || bad "it cannot be destroyed"
ended_there
until_true 45 is_empty "${other[$at]}" || empty "${other[$at]}"
case_end
lab guest stop "$guest"

# xl's monitor at the destination destroys it and boots a new one under the same name.
# shellcheck disable=SC2317 # called by until_true
answers() { lab guest cmd "$guest" status >/dev/null 2>&1; }
start_guest --config 'on_reboot = "restart"'
case_begin "in PULL: the guest reboots, and is built anew there"
old=$(on a "xl domid $guest")
into_pull 60
sysrq b b
new=$(on b "xl domid $guest" || true)
ended_there
until_true 120 answers || bad "no new guest answers"
intact b
note "it was domain $old of host a, then $new of host b, and is $(on b "xl domid $guest") there now"
case_end
lab guest stop "$guest"

# With on_crash=preserve it stays, for a dump: so its memory comes all the same.
start_guest
case_begin "in PULL: the guest crashes, and is kept"
into_pull
sysrq b c
# shellcheck disable=SC2317 # called by until_true
crashed() { on b "xl list $guest" | awk 'NR == 2 && $5 ~ /c/ { found = 1 } END { exit !found }'; }
until_true 60 crashed || bad "it did not crash: $(on b "xl list $guest")"
move_ends 0
[ "$(report .outcome)" = moved ] || bad "outcome $(report .outcome): $(report .error)"
crashed || bad "it is not kept as it crashed: $(on b "xl list $guest")"
clean
paging_is_off b
on b "xl destroy $guest"
until_true 45 is_empty b || empty b
case_end
finish
