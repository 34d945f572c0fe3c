#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Host b runs Debian's own hypervisor (no memory paging) on a CPU without POPCNT: the
# pre-copy move works there, and a guest that was given POPCNT is refused.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

guest_start a featured --mem 96 --fill 16 --rate 100 --ip 117 --disk vdc
case_begin "a CPU policy that the destination rejects"
if move a; then
    bad "it was not refused"
else
    [ "$(report .outcome)" = refused ] || bad "outcome $(report .outcome): $(report .error)"
    report .error | grep -q 'CPU features' || bad "it says: $(report .error)"
    intact a
fi
case_end
lab guest stop featured

case_begin "a move to Debian's hypervisor and back"
guest_start a plain --mem 96 --fill 16 --rate 100 --ip 118 --disk vdb \
    --config 'cpuid = "host,popcnt=0"'
good_move a
jq -es 'map(select(.type == "finding" and .code == "paging" and (.text | test("no memory paging"))))
    | length == 1' "$work/json" >/dev/null || bad "CHECK did not say that there is no paging"
good_move b
case_end
finish
