#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The guest ends while it is copied: the move ends at once and says how, with status 8, and nothing
# of the guest is left at the destination.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

# ends NAME SAYS HERE LIMIT COMMAND...: the command ends the guest in COPY, and within LIMIT seconds
# the move ends, naming what happened (a regular expression, and the report's word).
ends() {
    local name=$1 says=$2 stands=$3 limit=$4 began
    shift 4
    wanted "$name" || return 0
    case_begin "in COPY: $name"
    guest_start a ending --mem 128 --fill 24 --rate 100 --ip 116 --disk vdb
    move_in_background a "" --bandwidth 1
    until_true 90 copying || bad "no COPY: $(error_text)"
    "$@"
    until_true 60 has_ended || bad "the guest does not end"
    began=$SECONDS
    END_LIMIT=$limit move_ends 8
    note "$((SECONDS - began)) s: $(report .error)"
    report .error | grep -Eq "$says" || bad "no '$says' in: $(report .error)"
    report .here | grep -Eq "^($stands)\$" || bad "here: $(report .here)"
    [ "$(report .outcome)" = ended ] || bad "outcome $(report .outcome)"
    ! report .advice | grep -q "runs on here" || bad "it says: $(report .advice)"
    until_true 45 is_empty b || empty b
    on a "xl destroy $guest 2>/dev/null" || true
    lab guest stop "$guest" >/dev/null 2>&1 || true
    guest=
    until_true 30 no_trace a || bad "a socket or a record is left"
    case_end
}

# shellcheck disable=SC2317 # called by name
{
    # Not running any more, in whatever state it is kept.
    has_ended() {
        local state
        state=$(on a "xl list $guest 2>/dev/null" | awk 'NR == 2 { print $5 }') || return 0
        case $state in
        '' | *[scd]*) return 0 ;;
        esac
        return 1
    }

    crash() { sysrq a c; }
    # Nobody may be left to answer.
    poweroff() { timeout 5 "$here/../lab" guest cmd "$guest" poweroff >/dev/null || true; }
    destroy() { on a "xl destroy $guest"; }
}

# xl's monitor destroys what has ended while we look, so a short moment may be all there is of it.
ends "it crashes" "has crashed|was destroyed" "crashed|destroyed" 40 crash
ends "it powers off" "has powered off|was destroyed" "poweroff|destroyed" 40 poweroff
ends "it is destroyed" "was destroyed" "destroyed" 40 destroy

# Right before it is asked to suspend: libxl alone would ask it for a minute.
case_begin "it crashes before the suspend"
guest_start a ending --mem 128 --fill 24 --rate 100 --ip 116 --disk vdb
move_in_background a "XENFERRY_HOLD=before-suspend=/tmp/hold"
until_true 120 on a "test -e /tmp/hold" || bad "it does not come to its hold"
sysrq a c
END_LIMIT=40 move_ends 8
note "$(report .error)"
[ "$(report .outcome)" = ended ] || bad "outcome $(report .outcome)"
until_true 45 is_empty b || empty b
on a "rm -f /tmp/hold; xl destroy $guest 2>/dev/null" || true
lab guest stop "$guest" >/dev/null 2>&1 || true
case_end

case_begin "it is paused before the suspend"
guest_start a ending --mem 128 --fill 24 --rate 100 --ip 116 --disk vdb
move_in_background a "XENFERRY_HOLD=before-suspend=/tmp/hold"
until_true 120 on a "test -e /tmp/hold" || bad "it does not come to its hold"
on a "xl pause $guest; rm -f /tmp/hold"
END_LIMIT=40 move_ends 3
note "$(report .error)"
[ "$(report .here)" = paused ] || bad "here: $(report .here)"
report .advice | grep -q "xl unpause" || bad "it says: $(report .advice)"
on a "xl unpause $guest"
intact a
case_end
finish
