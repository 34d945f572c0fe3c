#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Host b has a CPU without POPCNT, which a guest of host a has: CHECK names it, with the line that
# cures it, which `xl migrate-cpu` prints as well; and a guest with this line moves both ways.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

case_begin "the processors of the hosts"
for h in a b; do
    on $h "xl migrate-cpu --json" >"$work/$h.json" || bad "host $h: status $?"
    jq -e '.type == "cpu" and .host == null and (.vendor | length) == 12 and
        (.usual.features - .most.features | length) == 0' "$work/$h.json" >/dev/null ||
        bad "host $h says: $(cat "$work/$h.json")"
done
jq -e '.usual.features | index("popcnt")' "$work/a.json" >/dev/null || bad "host a has no popcnt"
jq -e '.most.features | index("popcnt") | not' "$work/b.json" >/dev/null || bad "host b has popcnt"
line=$(on a "xl migrate-cpu ${address[b]}") || bad "status $?"
[[ $line == 'cpuid="host,'*'popcnt=0'* ]] || bad "the line: $line"
[ "$line" = "$(on b "xl migrate-cpu ${address[a]}")" ] || bad "host b prints another line"
case_end

guest_start a featured --mem 128 --fill 24 --rate 100 --ip 121 --disk vdc
case_begin "a guest with a feature that the destination lacks: named, with the cure"
if move a; then
    bad "it was not refused"
else
    [ "$(report .outcome)" = refused ] || bad "outcome $(report .outcome): $(report .error)"
    for words in 'this host lacks: ' popcnt 'restart it with cpuid="host,' 'popcnt=0'; do
        report .error | grep -qF "$words" || bad "no '$words' in: $(report .error)"
    done
fi
intact a
case_end
lab guest stop featured

case_begin "a guest with the printed line moves there and back"
guest_start a level --mem 128 --fill 24 --rate 100 --ip 122 --disk vdb --config "$line"
good_move a
good_move b
case_end

finish
