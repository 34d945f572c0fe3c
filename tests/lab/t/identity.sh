#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Never two guests: a move with -C keeps the guest's uuid, so that a successor knows it; somebody who
# resumes the suspended source in PULL gets no page of it sent; what a move holds is not let run by
# hand; and a guest that was resumed is told to have no monitor, and gets one by its next move.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

# A page costs some milliseconds in PULL under emulation.
MOVE_LIMIT=900
END_LIMIT=600
at=a

guest_start a same --mem 128 --fill 32 --rate 2000 --ip 131 --disk vdb --config 'on_reboot = "restart"'
config=/root/$guest.cfg # on host a, and without uuid=: xl makes one up each time that it reads it
uuid_on() { on "$1" "xl list -v $guest" | grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'; }

# refused_on HOST STATUS WORDS COMMAND...
refused_on() {
    local h=$1 status=$2 words=$3 rc=0
    shift 3
    on "$h" "$*" >"$work/said" 2>&1 || rc=$?
    [ $rc = "$status" ] || bad "'$*' has status $rc and not $status: $(tail -n 3 "$work/said")"
    tr '\n' ' ' <"$work/said" | tr -s ' ' | grep -qF -- "$words" ||
        bad "'$*' does not say '$words': $(cat "$work/said")"
}
into_pull() { # QUIET [options]: pages are missing for so many seconds, whatever is done meanwhile
    local quiet=$1
    shift
    move_in_background "$at" "XENFERRY_PULL=no-push=$quiet" --postcopy-after 1 "$@"
    until_true 300 in_phase PULL || bad "no PULL: $(error_text)"
}
state_on() { on "$1" "xl list $guest" | awk 'NR == 2 { print $5 }'; }

case_begin "-C: a file that names another uuid is refused"
other_uuid=7a4a1f3e-0000-4000-8000-000000000001
on a "{ cat $config; echo 'uuid = \"$other_uuid\"'; } >/root/other.cfg"
refused_on a 1 "take uuid= out of the file" xl migrate --tcp -C /root/other.cfg "$guest" "${address[b]}"
on a "xl migrate --check --json --tcp -C /root/other.cfg $guest ${address[b]}" >"$work/json" 2>/dev/null || true
jq -es 'any(.type == "finding" and .code == "uuid" and .severity == "refusal")' "$work/json" >/dev/null ||
    bad "no finding \"uuid\": $(cat "$work/json")"
case_end

case_begin "-C without uuid=, killed in PULL, recovered"
before=$(uuid_on a)
into_pull 20 -C "$config"
on a "kill -KILL \$(cat /tmp/move.pid)"
until_true 60 on a "! kill -0 \$(cat /tmp/move.pid) 2>/dev/null" || bad "it lives"
refused_on a 1 "finishes the move" xl migrate-recover --resume "$guest"
for words in "unpause" "save" "migrate --stock"; do
    refused_on a 1 "is here as a move to" xl "$words" "$guest" /tmp/saved
done
rc=0
timeout 300 "$here/../lab" ssh a "xl migrate-recover --json $guest" >"$work/json" 2>"$work/stderr" </dev/null || rc=$?
[ $rc = 0 ] || bad "migrate-recover: status $rc: $(error_text)"
[ "$(uuid_on b)" = "$before" ] || bad "its uuid was $before and is $(uuid_on b)"
intact b
until_true 45 is_empty a || empty a
no_trace a || bad "left on host a: $(on a 'ls /run/xenferry')"
case_end

enough_for_quick

at=b
case_begin "resumed after a failed move: no monitor, and the next move gives it one"
on b "rm -f /tmp/hold"
move_in_background b "XENFERRY_HOLD=suspended=/tmp/hold" --precopy
# shellcheck disable=SC2317 # called by until_true
held() { on b "test -e /tmp/hold"; }
until_true 180 held || bad "the move does not come to the switch: $(error_text)"
kill_receiver
on b "rm -f /tmp/hold"
move_ends 4
[ "$(report .monitor_lost)" = true ] || bad "the report does not say so: $(report .)"
report .advice | grep -q "on_reboot, on_crash and on_poweroff are not carried out" || bad "advice: $(report .advice)"
intact b
until_true 45 is_empty a || empty a
monitors() { on b "pgrep -af '[x]l (create|migrate-receive)' || true"; }
[ -z "$(monitors)" ] || bad "it has a monitor after all: $(monitors)"
MOVE_LIMIT=240
if ! timeout 240 "$here/../lab" ssh b "xl migrate --tcp --json -s '' $guest 'xl migrate-receive'" \
    >"$work/json" 2>"$work/stderr" </dev/null; then
    bad "the move within one host: $(error_text)"
fi
[ -n "$(monitors)" ] || bad "it has no monitor after a move within its host"
old=$(on b "xl domid $guest")
on b "xl sysrq $guest b"
# shellcheck disable=SC2317 # called by until_true
reborn() { [ "$(on b "xl domid $guest" 2>/dev/null)" != "$old" ] && lab guest cmd "$guest" status >/dev/null 2>&1; }
until_true 120 reborn || bad "it was not booted anew: $(on b 'xl list')"
intact b
case_end

case_begin "what a move holds is not let run by hand"
into_pull 40
for words in unpause save; do
    refused_on b 1 "is being moved to" xl "$words" "$guest" /tmp/saved
done
case_end

case_begin "resumed at its source in PULL: no page goes any more, nobody says that all is well"
domid=$(on b "xl domid $guest")
on b "xf-resume $domid" || bad "it cannot be resumed: $(on b 'xl list')"
move_ends 7
[ "$(report .ran_twice)" = true ] || bad "the report does not say so: $(report .)"
[ "$(report .outcome)" = pulling ] || bad "outcome $(report .outcome)"
note "$(report .error)"
case $(state_on b) in *p*) ;; *) bad "it is not paused at its source: $(state_on b)" ;; esac
# shellcheck disable=SC2317 # called by until_true
paused_there() { case $(state_on a) in *p*) ;; *) return 1 ;; esac; }
until_true 30 paused_there || bad "it is not paused at the destination: $(on a 'xl list')"
refused_on b 5 "let the guest run here while it ran" xl migrate-recover "$guest"
refused_on b 1 "--resume --force" xl migrate-recover --resume "$guest"
refused_on b 1 "is here as a move to" xl unpause "$guest"
refused_on a 1 "as paged out" xl unpause "$guest"
on b "xl migrate-status $guest" >"$work/said" 2>&1 && bad "migrate-status: $(cat "$work/said")"
for h in a b; do
    on $h "xl destroy $guest"
    until_true 45 is_empty $h || empty $h
done
case_end
finish
