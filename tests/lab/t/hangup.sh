#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The operator's terminal: it dies in PULL (ssh dropped, window closed), and the guest gets its
# pages all the same; and only a second Ctrl-C there leaves the guest without them.
# shellcheck disable=SC2016,SC2317 # expanded on the hosts; called by until_true
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

MOVE_LIMIT=900
END_LIMIT=600

guest_start a hung --mem 128 --fill 32 --rate 2000 --ip 124 --disk vdb
at=a

# An interactive bash on a terminal of its own, on host $at; what is typed comes by /tmp/keys.
open_terminal() {
    on "$at" 'rm -f /tmp/keys /tmp/move.pid /tmp/move.status; mkfifo /tmp/keys'
    "$here/../lab" ssh "$at" "exec 9<>/tmp/keys; echo \$\$ >/tmp/script.pid
        exec script -qf -c 'bash --norc -i' /dev/null <&9 >/tmp/terminal 2>&1" \
        >/dev/null 2>&1 </dev/null &
    background+=($!)
}
press() { on "$at" "printf '%b' '$1' >/tmp/keys"; }
close_terminal() { on "$at" 'kill -KILL $(cat /tmp/script.pid)'; }

phase_is() { # PHASE
    on "$at" "xl migrate-status --json $guest" 2>/dev/null |
        jq -es "any(.type == \"status\" and .phase == \"$1\")" >/dev/null
}
alive() { on "$at" 'kill -0 $(cat /tmp/move.pid)' 2>/dev/null; }
told() { on "$at" 'grep -q "interrupt again" /tmp/terminal'; }

# For the first 30 s of PULL only what is asked for comes: pages are missing.
into_pull() {
    open_terminal
    cat >"$work/do-move" <<-EOC
	echo \$\$ >/tmp/move.pid
	exec env XENFERRY_PULL=no-push=30 xl migrate --$transport --postcopy-after 1 $guest ${address[${other[$at]}]}
	EOC
    lab put "$at" "$work/do-move" /tmp/do-move
    press 'sh /tmp/do-move; echo $? >/tmp/move.status\n'
    until_true 300 phase_is PULL || bad "no PULL: $(on "$at" 'tail -c 600 /tmp/terminal')"
}
ended_with() { # OUTCOME: for who asks later
    on "$at" "xl migrate-status --json $guest" 2>/dev/null |
        jq -es "any(.type == \"ended\" and .outcome == \"$1\")" >/dev/null
}
arrived() {
    local h
    intact "${other[$at]}"
    until_true 45 is_empty "$at" || empty "$at"
    for h in a b; do
        until_true 45 no_trace $h || bad "left on host $h: $(on $h 'ls /run/xenferry')"
    done
    at=${other[$at]}
}

case_begin "in PULL: the terminal dies, and the move goes on in the background"
into_pull
close_terminal
sleep 3 # for the hangups of shell and kernel
alive || bad "it died with its terminal: $(on "$at" 'tail -c 600 /tmp/terminal')"
[ "$(on "$at" 'readlink /proc/$(cat /tmp/move.pid)/fd/2')" = /dev/null ] || bad "it still has its terminal"
until_true $END_LIMIT ended_with moved || bad "no end: $(on "$at" "xl migrate-status $guest" 2>&1)"
arrived
case_end

case_begin "in PULL: signals of others do not end it, a second Ctrl-C does; then recovered"
into_pull
press '\003'
until_true 20 told || bad "no note: $(on "$at" 'tail -c 600 /tmp/terminal')"
on "$at" 'for s in INT TERM INT HUP; do kill -$s $(cat /tmp/move.pid); done'
sleep 2
alive || bad "a signal of another process ended it"
close_terminal # a hangup was among them: it is in the background, and Ctrl-C does not reach it
until_true $END_LIMIT ended_with moved || bad "no end: $(on "$at" "xl migrate-status $guest" 2>&1)"
arrived
into_pull
press '\003'
until_true 20 told || bad "no note: $(on "$at" 'tail -c 600 /tmp/terminal')"
press '\003'
until_true 60 on "$at" 'test -s /tmp/move.status' || bad "it does not end"
[ "$(on "$at" 'cat /tmp/move.status')" = 7 ] || bad "status $(on "$at" 'cat /tmp/move.status') instead of 7"
close_terminal
on "$at" "xl migrate-recover $guest" >"$work/said" 2>&1 || bad "not recovered: $(cat "$work/said")"
arrived
case_end

finish
