#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A whole host empties: its plan, its table and its page, two guests at a time, no newcomer meanwhile;
# --undo brings them back, and --end takes guests again. And what a forecast says of a move, beside what
# the move then says.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"
# shellcheck source=tests/lab/t/several.bash
. "$here/several.bash"

LIMIT_S=1200 # of one wait: two guests at once take a minute or two each

# shellcheck disable=SC2317 # called by the trap
clean() { # also if the test ends early
    local rc=$? h
    trap - ERR
    set +e
    for h in a b; do
        on "$h" "pkill -INT -x -f 'xl migrate-drain .*'; xl migrate-drain --end" >/dev/null 2>&1
    done
    several_stop
    (exit "$rc")
    leave
}
trap clean EXIT

# xl_on HOST WORDS...: output in $work/out, errors in $work/err, status in $rc
xl_on() {
    local h=$1
    shift
    rc=0
    lasting "$h" $LIMIT_S "xl $*" >"$work/out" 2>"$work/err" || rc=$?
}
status_is() { # STATUS WHAT
    [ "$rc" = "$1" ] || bad "$2: status $rc, not $1: $(tail -n 5 "$work/out" "$work/err")"
}
says() { # PART: in the output, however it is wrapped
    tr -s '\n ' ' ' <"$work/out" | grep -qF -- "$1" || bad "no '$1' in: $(cat "$work/out")"
}
row() { # GUEST HOST OUTCOME: of the table, with a time and a downtime
    grep -qE "^$1 +$2 +[0-9].* +[0-9.]+ m?s +$3\$" "$work/out" ||
        bad "no row '$1 $2 ... $3' in: $(cat "$work/out")"
}

# A move to HOST is refused in CHECK, because that is being drained.
refuses_newcomers() { # HOST GUEST, which is on the other one
    local from=${other[$1]}
    xl_on "$from" "migrate --tcp --check --json $2 host$1"
    status_is 1 "a newcomer"
    jq -es 'map(select(.type == "finding" and .code == "draining" and .severity == "refusal")) | length == 1' \
        "$work/out" >/dev/null || bad "host $1 takes guests: $(cat "$work/out" "$work/err")"
}

# page HOST FILE HEADING: a whole page that fetches nothing and runs nothing (drawn by tests/browser)
page() {
    lab get "$1" "$2" "$work/page.html"
    grep -qF "<h1>$3</h1>" "$work/page.html" || bad "$2 has no heading '$3': $(grep -o '<h1>.*</h1>' "$work/page.html")"
    [ "$(head -c 15 "$work/page.html")" = '<!DOCTYPE html>' ] || bad "$2 begins with $(head -c 40 "$work/page.html")"
    [ "$(tail -n 1 "$work/page.html" | tail -c 8)" = '</html>' ] || bad "$2 has no end"
    grep -q '<svg' "$work/page.html" || bad "$2 has no chart"
    ! grep -qE '<script|<link|<img|src=|@import|url\(|href="[^#]' "$work/page.html" || bad "$2 refers to elsewhere"
}

case_begin "drain --check: a plan, and nothing moves"
several_start a g1 g2 g3
several_start b g4
beats_begin
xl_on a "migrate-drain --to hostb --limit 2 --check"
status_is 0 "the plan"
for g in g1 g2 g3; do row $g hostb "can leave"; done
says "3 guests can leave"
note "$(tail -n 2 "$work/out" | tr -s '\n ' ' ')"
all_on a g1 g2 g3 || bad "a plan moves guests: $(on b 'xl list')"
! on a "test -e /run/xenferry/drain" || bad "a plan leaves a record"
case_end

case_begin "drain: three guests leave, two at a time"
(
    rc=0
    lasting a $LIMIT_S "xl migrate-drain --to hostb --limit 2 --report /root/drain.html" \
        >"$work/table" 2>"$work/notes" || rc=$?
    echo $rc >"$work/drained"
) &
background+=($!)
# shellcheck disable=SC2317 # called by until_true
begun() { grep -q ': to hostb' "$work/notes" || [ -e "$work/drained" ]; }
until_true $LIMIT_S begun || bad "it begins nothing: $(cat "$work/notes")"
refuses_newcomers a g4
# shellcheck disable=SC2317 # called by until_true
drained() {
    have_left a g1 g2 g3 || true
    [ -e "$work/drained" ]
}
until_true $LIMIT_S drained || bad "it does not end: $(cat "$work/notes")"
cp "$work/table" "$work/out"
cp "$work/notes" "$work/err"
rc=$(cat "$work/drained" 2>/dev/null || echo none)
status_is 0 "the drain"
for g in g1 g2 g3; do row $g hostb moved; done
says "3 left, 0 remain"
[ "$most" = 2 ] || bad "at most $most moves were seen at once"
all_on b || bad "they are not there: $(on a 'xl list')"
all_intact b
empty a
one_life
page a /root/drain.html "3 moves, 3 of them done"
sed 's/^/      | /' "$work/table"
case_end

case_begin "drained, it refuses newcomers; --undo brings back what left"
refuses_newcomers a g4
most=0
(
    rc=0
    lasting a $LIMIT_S "xl migrate-drain --undo --json" >"$work/undone" 2>"$work/err" || rc=$?
    echo $rc >"$work/undo"
) &
background+=($!)
# shellcheck disable=SC2317 # called by until_true
undone() {
    have_left b g1 g2 g3 || true
    [ -e "$work/undo" ]
}
until_true $LIMIT_S undone || bad "it does not end"
cp "$work/undone" "$work/out"
rc=$(cat "$work/undo" 2>/dev/null || echo none)
status_is 0 "--undo"
jq -es 'map(select(.type == "guest" and .outcome == "back" and .from == "hostb")) | length == 3' "$work/out" >/dev/null ||
    bad "not three came back: $(cat "$work/out")"
[ "$most" = 2 ] || bad "at most $most moves were seen at once"
all_on a g1 g2 g3 || bad "they are not here: $(on b 'xl list')"
all_intact a g1 g2 g3
all_intact b g4
one_life
! on a "test -e /run/xenferry/drain" || bad "there is still a record"
case_end

case_begin "--end takes guests again, and forgets what left"
xl_on b "migrate-drain --to hosta --order name"
status_is 0 "a drain of one guest"
row g4 hosta moved
empty b
refuses_newcomers b g4
xl_on b "migrate-drain --end"
status_is 0 "--end"
says "This host takes guests again."
xl_on b "migrate-drain --undo"
status_is 1 "--undo after --end"
grep -q "there is nothing to bring back" "$work/err" || bad "it says: $(cat "$work/err")"
case_end

case_begin "a forecast, and what the move then says; a page"
guest=g4
xl_on a "migrate --tcp --check --json g4 hostb"
status_is 0 "--check"
jq -s 'map(select(.type == "report")) | last | .forecast' "$work/out" >"$work/forecast"
jq -e '.total_s > 0 and .downtime_s > 0 and .bytes > 0' "$work/forecast" >/dev/null ||
    bad "no forecast: $(cat "$work/out")"
xl_on a "migrate --tcp --report /root/one.html g4 hostb"
status_is 0 "the move"
says "said after"
says "; it was "
note "$(grep -A 2 '^ *forecast' "$work/out" | tr -s '\n ' ' ')"
page a /root/one.html "g4 to hostb: moved"
grep -q 'forecast' "$work/page.html" || bad "the page has no forecast"
all_on b g4 || bad "it is not there: $(on a 'xl list')"
all_intact b g4
xl_on b "migrate --tcp --json g4 hosta"
status_is 0 "the move back"
jq -s 'map(select(.type == "report")) | last' "$work/out" >"$work/report"
jq -e '.forecast.total_s > 0 and .forecast.actual.total_s == .total_s' "$work/report" >/dev/null ||
    bad "no forecast beside the truth: $(cat "$work/report")"
note "--check: $(jq -c '[.total_s, .downtime_s, .bytes]' "$work/forecast"), a move after its first pages:" \
    "$(jq -c '.forecast | [.total_s, .downtime_s, .bytes]' "$work/report"), it was:" \
    "$(jq -c '[.total_s, .downtime_s, .wire_bytes]' "$work/report") (s, s, bytes)"
all_on a g4 || bad "it is not there: $(on b 'xl list')"
all_intact a g4
one_life
case_end
finish
