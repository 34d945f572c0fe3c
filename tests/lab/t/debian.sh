#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Host b runs Debian's own hypervisor (no memory paging) on a CPU without POPCNT: the
# pre-copy move works there, a guest that was given POPCNT is refused, a hybrid move becomes
# pre-copy, and a post-copy one is refused.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

guest_start a featured --mem 128 --fill 24 --rate 100 --ip 117 --disk vdc
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
guest_start a plain --mem 128 --fill 24 --rate 100 --ip 118 --disk vdb \
    --config 'cpuid = "host,popcnt=0"'
good_move a
jq -es 'map(select(.type == "finding" and .code == "paging" and (.text | test("no memory paging"))))
    | length == 1' "$work/json" >/dev/null || bad "CHECK did not say that there is no paging"
good_move b
case_end

enough_for_quick

case_begin "hybrid to Debian's hypervisor: pre-copy, and one sentence why"
good_move a --hybrid
jq -es 'map(select(.text? // "" | test("memory paging|pre-copy only"))) | length == 1' \
    "$work/json" >/dev/null || bad "said of it: $(jq -c 'select(.text? // "" | test("paging|pre-copy"))' "$work/json")"
jq -es 'any(.code? == "paging" and (.text | test("no memory paging: pre-copy only")))' "$work/json" >/dev/null ||
    bad "CHECK does not say that it becomes pre-copy"
[ "$(report .pull)" = null ] || bad "$(report .pull.left_out) pages were left out"
good_move b
case_end

case_begin "post-copy to Debian's hypervisor: refused in CHECK, with the remedy"
if move a --postcopy; then
    bad "it was not refused"
else
    [ "$(report .outcome)" = refused ] || bad "outcome $(report .outcome): $(report .error)"
    for words in CONFIG_UNSUPPORTED=y CONFIG_MEM_PAGING=y "PV dom0"; do
        report .error | grep -q "$words" || bad "no '$words' in: $(report .error)"
    done
fi
intact a
case_end
finish
