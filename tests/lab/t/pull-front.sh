#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What an operator sees and may do while memory follows: --no-wait, migrate-status on both hosts,
# commands that are refused because they read memory, migrate-postcopy, and PULL over RDMA.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

MOVE_LIMIT=900 # a page costs some milliseconds in PULL under emulation
END_LIMIT=600

guest_start a shown --mem 128 --fill 32 --rate 2000 --ip 124 --disk vdb

# What the move says of itself on HOST; nothing if it says nothing.
said_on() { # HOST
    on "$1" "xl migrate-status --json $guest" 2>/dev/null | jq -c 'select(.type == "status")' || true
}
# The move's word on HOST meets a condition of jq's.
# shellcheck disable=SC2317 # called by until_true
says() { # HOST CONDITION
    said_on "$1" >"$work/status-$1" && jq -es "length == 1 and (.[0] | $2)" "$work/status-$1" >/dev/null
}
# refused_on HOST WORDS COMMAND...: status 1, and a sentence with these words.
refused_on() {
    local h=$1 words=$2 rc=0
    shift 2
    on "$h" "$*" >"$work/said" 2>&1 || rc=$?
    [ $rc = 1 ] || bad "'$*' has status $rc and not 1: $(tail -n 2 "$work/said")"
    tr '\n' ' ' <"$work/said" | tr -s ' ' | grep -q -- "$words" ||
        bad "'$*' does not say '$words': $(cat "$work/said")"
}

case_begin "--no-wait returns at GO"
at=a
timeout $MOVE_LIMIT "$here/../lab" ssh a "env XENFERRY_PULL=no-push=30 xl migrate --$transport --json \
    --no-wait --postcopy-after 1 $guest ${address[b]}" >"$work/json" 2>"$work/stderr" </dev/null ||
    bad "status not 0: $(error_text)"
mover=$(jq -rs 'map(select(.type == "background")) | last | .pid // 0' "$work/json")
left_out=$(jq -rs 'map(select(.type == "background")) | last | .left_out // 0' "$work/json")
[ "$left_out" -gt 1000 ] || bad "$left_out pages were left out: $(tail -n 1 "$work/json")"
[ "$(report .)" = null ] || bad "it waited for the report: $(report .outcome)"
case_end

case_begin "in PULL: migrate-status on both hosts"
for h in a b; do
    role=source
    [ $h = a ] || role=destination
    until_true 20 says $h ".role == \"$role\" and .phase == \"PULL\" and .missing > 0
        and .left_out == $left_out and .faults > 0 and .requested > 0 and .fault_median_s > 0
        and .fault_p99_s >= .fault_median_s" || bad "host $h says: $(cat "$work/status-$h")"
    on $h "xl migrate-status $guest" >"$work/words" || bad "status not 0 on host $h"
    grep -q PULL "$work/words" || bad "host $h tells a person: $(cat "$work/words")"
done
case_end

case_begin "in PULL: what reads its memory is refused there"
late="not on this host yet"
refused_on b "$late" xl save "$guest" /tmp/saved
refused_on b "$late" xl dump-core "$guest" /tmp/dumped
refused_on b "$late" xl migrate "$guest" "${address[a]}"
refused_on b "$late" xl migrate --tcp "$guest" "${address[a]}"
! on b "ls /tmp/saved /tmp/dumped 2>/dev/null" | grep -q . || bad "there is a file all the same"
refused_on a "has ended its COPY already" xl migrate-postcopy "$guest"
says b '.missing > 0' || bad "all pages were there before this was over: it shows nothing"
case_end

case_begin "in PULL: pages come, at a rate, until none is missing"
before=$(said_on b | jq .missing)
until_true 90 says b ".missing < ${before:-0} and .rate_bytes_per_s > 0 and .eta_s != null" ||
    bad "$before pages were missing, and then: $(cat "$work/status-b")"
note "$(jq -r '"missing \(.missing), median \(.fault_median_s) s, p99 \(.fault_p99_s) s, rate " +
    "\(.rate_bytes_per_s) B/s, eta \(.eta_s) s"' "$work/status-b" 2>/dev/null || true)"
# shellcheck disable=SC2317 # called by until_true
ended_well() {
    on a "xl migrate-status --json $guest" 2>/dev/null |
        jq -es "any(.type == \"ended\" and .pid == $mover and .outcome == \"moved\"
            and .exit_status == 0)" >/dev/null
}
until_true $END_LIMIT ended_well || bad "it has not ended: $(on a "xl migrate-status $guest" 2>&1)"
intact b
until_true 45 is_empty a || empty a
[ -z "$(said_on b)" ] || until_true 45 no_trace b || bad "host b still shows a move: $(said_on b)"
case_end

case_begin "migrate-postcopy of a pre-copy move: refused"
at=b
move_in_background b "" --precopy --bandwidth 2
until_true 90 copying || bad "no COPY: $(error_text)"
refused_on b "sends all memory before the switch" xl migrate-postcopy "$guest"
interrupt
move_ends 3
intact b
until_true 45 is_empty a || empty a
case_end

case_begin "migrate-postcopy of a hybrid move: it switches"
move_in_background b "" --hybrid --bandwidth 2
until_true 90 copying || bad "no COPY: $(error_text)"
on b "xl migrate-postcopy $guest" >"$work/said" 2>&1 || bad "refused: $(cat "$work/said")"
move_ends 0
[ "$(report .switch_reason)" = "asked for by migrate-postcopy" ] ||
    bad "the reason of the switch is '$(report .switch_reason)'"
[ "$(report '.pull.left_out > 1000')" = true ] || bad "left out: $(report .pull)"
intact a
until_true 45 is_empty b || empty b
case_end

case_begin "PULL over RDMA"
transport=rdma
good_move a --postcopy-after 1
[ "$(report .transport)" = rdma ] || bad "it went over $(report .transport)"
[ "$(report '.pull.left_out > 1000')" = true ] || bad "left out: $(report .pull)"
note "left out $(report .pull.left_out), faults $(report .pull.faults), median $(report .pull.fault_median_s) s," \
    "p99 $(report .pull.fault_p99_s) s, PULL $(report .phase_s.PULL) s"
case_end
finish
