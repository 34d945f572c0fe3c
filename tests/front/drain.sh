#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `xl migrate-drain`: who leaves, in which order, how many at once, what becomes of those that are
# refused, what a second call and Ctrl-C do, and the table.
# shellcheck source=tests/front/drain.bash
. "$(dirname "$0")/drain.bash"

# --- six guests, two at once; one is refused, one only until another has left ---
fresh
guest g1 1 100000
guest g2 2 600000
guest g3 3 300000 runs "refused cpu-policy"
guest g4 4 700000 runs "memory 3"
guest g5 5 200000
guest g6 6 500000
drain --to host2
same "six guests: status" 2 $rc
same "six guests: who stays" g3 "$(here)"
same "the largest first" "g2 g4" "$(awk '$1 == "begin" { print $2 }' "$host/log" | head -n 2 | sort | xargs)"
[ "$(most)" -le 2 ] || fail "$(most) at once"
for g in g1 g2 g4 g5 g6; do row $g moved; done
row g3 refused
contains "why g3 stays" "g3: (cpu-policy) CHECK refuses: because of cpu-policy" "$out"
contains "the table's head" "guest  to     time    downtime  outcome" "$out"
contains "a row" "g1     host2  12.3 s  81 ms     moved" "$out"
contains "the end" "5 left, 1 remains" "$out"
narrow
contains "on the way" "xl migrate-drain: g2: to host2" "$err"
case $out$err in *$'\033'*|*$'\r'*) fail "a pipe is given more than text" ;; esac

# A second call goes on, with the hosts of the first.
rm "$host/does/g3"
drain
same "a second call: status" 0 $rc
same "a second call: who stays" "*" "$(here)"
row g3 moved
row g1 "left earlier"
drain
same "a third call: status" 0 $rc
contains "a third call" "6 left, 0 remain" "$out"

# --- no memory to the end: nobody is waited for ---
fresh
guest g1 1 100 runs "memory 9"
guest g2 2 200
drain --to host2 --limit 1 --order name
same "never memory: status" 2 $rc
row g1 "no memory"
row g2 moved
same "it was offered again when another had left" 2 "$(grep -c "begin g1" "$host/log")"

# --- limit ---
fresh
for i in 1 2 3 4 5 6; do guest g$i $i 1000 runs waits; done
begin --to host2 --limit 3 --order memory
# shellcheck disable=SC2317 # called by await
three() { [ "$(find "$host" -name 'waits.*' | wc -l)" = 3 ]; }
await "three under way" three
for i in 1 2 3 4 5 6; do : >"$host/go.g$i"; done
ended
same "limit: status" 0 $rc
same "limit: at once" 3 "$(most)"

# --- several hosts: the one with most free memory, then another that takes it ---
fresh
guest g1 1 4000
guest g2 2 3000 runs "refused bridge-missing host2"
guest g3 3 2000
echo 5000 >"$host/free.host2"
echo 8000 >"$host/free.host3"
drain --to host2 host3 --limit 1 --order memory
same "hosts: status" 0 $rc
same "hosts" "g1 host3 g2 host2 g2 host3 g3 host2" "$(awk '$1 == "begin" { print $2, $3 }' "$host/log" | xargs)"

# --- the largest working set ---
fresh
guest g1 1 9000
guest g2 2 1000
echo 99999 >"$host/free.host2"
echo 10 >"$host/set.g1"
echo 200 >"$host/set.g2"
drain --to host2 --limit 1
same "working set" "g2 g1" "$(awk '$1 == "begin" { print $2 }' "$host/log" | xargs)"

# --- all that a move may end with ---
fresh
guest g0 10 1 runs "fails 3"
guest g1 11 1 runs "fails 4"
guest g2 12 1 runs "fails 7"
guest g3 13 1 runs dies
guest g4 14 1 runs strange
guest g5 15 1 suspended
guest g6 16 1 ended
guest g7--incoming 17 1
guest g8 18 1
drain --to host2 --limit 8
same "failures: status" 2 $rc
row g0 stayed
row g1 resumed
row g2 unfinished
row g3 failed
row g4 refused
row g5 suspended
row g6 "not running"
row g7--incoming "not a guest"
row g8 moved
contains "pulling" "g2: it failed; \`xl migrate-recover g2\` finishes that move" "$(tr -s '\n ' ' ' <<<"$out")"
contains "killed" "g3: its process was killed by signal 9" "$out"
contains "nonsense" "g4: its process ended with status 1; a ?[31msad end" "$out"
contains "a copy" "xl destroy g7--incoming" "$out"
narrow

# --- long names ---
fresh
guest a-very-long-name-of-a-guest-that-somebody-liked 1 10
drain --to a-very-long-name-of-a-host.example.org
same "long names: status" 0 $rc
contains "long names" "a-very-long-name-..." "$out"
narrow

# --- killed: its moves go on, and the next call waits for them ---
fresh
guest g1 1 20 runs waits
guest g2 2 10 runs waits
begin --to host2 --order memory --limit 1
await "g1 under way" [ -e "$host/waits.g1" ]
kill -KILL "$pid"
wait "$pid" 2>/dev/null
server source-1 source g1 1 COPY
begin --order memory --limit 2
await "g2 under way" [ -e "$host/waits.g2" ]
: >"$host/go.g2"
await "g2 gone" [ ! -e "$host/guests/g2" ]
kill -0 "$pid" || fail "it did not wait for the move of the first"
: >"$host/go.g1"
await "g1 gone" [ ! -e "$host/guests/g1" ]
no_server source-1
ended
same "killed: status" 0 $rc
same "killed: begun once" 1 "$(grep -c "begin g1" "$host/log")"
row g1 moved
row g2 moved

# --- one that another process has for a while; one that reboots ---
fresh
guest g1 1 30 runs "busy 2"
guest g2 2 20 runs reboots
guest g3 3 10 runs "busy 9"
drain --to host2 --order memory
same "busy: status" 2 $rc
row g1 moved
row g2 moved
row g3 failed
same "busy for ever: begun" 3 "$(grep -c "begin g3" "$host/log")"

# --- a move that brings a guest here was accepted before: it comes, and leaves, too ---
fresh
guest g1 1 30
guest new1--incoming 7 20
mkdir -m 700 "$work/run"
server destination-100 destination new1 7 COPY
begin --to host2 --order memory
await "g1 gone" [ ! -e "$host/guests/g1" ]
sed 's/COPY/PULL/' "$work/destination-100" >"$work/next"
mv "$work/next" "$work/destination-100"
guest new1 7 20
rm "$host/guests/new1--incoming"
kill -0 "$pid" || fail "it did not wait for the one that arrives"
no_server destination-100
ended
same "arriving: status" 0 $rc
same "arriving: order" "g1 new1" "$(awk '$1 == "begin" { print $2 }' "$host/log" | xargs)"
row new1 moved

# --- Ctrl-C once: what is under way ends, nothing more is begun ---
stopped_once INT

# --- twice: they are cancelled; one in PULL goes on ---
fresh
guest g1 1 30 runs waits
guest g2 2 20 runs pulls
guest g3 3 10
begin --to host2 --order memory
await "two under way" [ -e "$host/waits.g2" ]
kill -INT "$pid"
said
kill -INT "$pid"
await "g2 is told" [ -e "$host/told.g2" ]
: >"$host/go.g2"
ended
same "twice: status" 2 $rc
same "twice: who stays" "g1 g3" "$(here)"
row g1 cancelled
row g2 moved
row g3 "not begun"

# --- the plan: nothing is moved, nothing is written ---
fresh
guest g1 1 1048576
guest g2 2 2097152 runs "refused cpu-policy"
echo 9000000 >"$host/free.host2"
drain --to host2 --check
same "plan: status" 2 $rc
same "plan: who stays" "g1 g2" "$(here)"
contains "plan" "g1     host2  30.5 s  200 ms    can leave" "$out"
row g2 refused
contains "plan" "1 guest can leave, with 1.0 GiB to be sent" "$out"
[ ! -e "$XENFERRY_RUN_DIR/drain" ] || fail "a plan leaves a record"
[ ! -s "$host/log" ] || fail "a plan moves something"
narrow
drain --to host2 --check --json
contains "plan in JSON" '"guest":"g1"' "$out"
contains "plan in JSON" '"working_set_pages":5,"memory_needed_kib":1048576,"memory_free_kib":9000000' "$out"
contains "plan in JSON" '{"type":"drain","action":"check","exit_status":2' "$out"
# Two hosts: how long all of it takes.
guest g2 2 2097152
guest g3 3 524288
echo 2500000 >"$host/free.host2"
echo 1700000 >"$host/free.host3"
drain --to host2 host3 --check --json --order memory --limit 1
same "plan for two hosts: status" 0 $rc
contains "plan for two hosts: one by one" '"forecast_s":91.5' "$out"
drain --to host2 host3 --check --json --order memory --limit 2
contains "plan for two hosts: two at once" '"forecast_s":61.0' "$out"
same "plan for two hosts: who stays" "g1 g2 g3" "$(here)"
# Memory that one is to take is not promised to the next.
goes_to() { jq -rs 'map(select(.type == "guest") | .guest + " " + .to) | sort | join(", ")' <<<"$out"; }
for limit in 1 3; do
    drain --to host2 host3 --check --json --order memory --limit $limit
    same "plan for two hosts: who goes where" "g1 host3, g2 host2, g3 host3" "$(goes_to)"
done
rm "$host/guests/g3"
guest g2 2 2097152 runs "refused cpu-policy"
rm "$host"/free.*
drain --to host2 --check
contains "without a forecast" "g1     host2  -     -         can leave" "$out"

# --- a page: of what moved and of what was refused, and not of what no report came from ---
fresh
guest g1 1 30
guest g2 2 20 runs "refused cpu-policy"
guest g3 3 10 runs strange
drain --to host2 --report "$work/page.html"
same "page: status" 2 $rc
contains "page" "<h1>2 moves, 1 of them done</h1>" "$(cat "$work/page.html")"
contains "page" "g2 to host2" "$(cat "$work/page.html")"
contains "page" "g3: is not on the page:" "$err"
rm "$host"/guests/*
drain --report "$work/none.html"
same "no page: status" 0 $rc
contains "no page" "nothing was moved, so $work/none.html is not written" "$(tr -s '\n ' ' ' <<<"$err")"
[ ! -e "$work/none.html" ] || fail "there is a page about nothing"
# A file that can be written when it begins, and not in the end, changes nothing.
guest g4 4 10 runs waits
mkdir "$work/there"
begin --to host2 --report "$work/there/page.html"
await "g4 under way" [ -e "$host/waits.g4" ]
rmdir "$work/there"
: >"$host/go.g4"
ended
same "no directory: status" 0 $rc
row g4 moved
contains "no directory" "$work/there/page.html" "$(tr -s '\n ' ' ' <<<"$err")"

# --- JSON; and nobody here ---
fresh
guest g1 1 1048576
guest g2 2 2097152 runs "refused cpu-policy"
drain --to host2 --json
same "JSON: status" 2 $rc
contains "JSON" '"guest":"g1","uuid":"2f6c1c2e-0d3a-4a53-9f5e-000000000001","to":"host2","outcome":"moved","remains":false,"exit_status":0,"total_s":12.300000,"downtime_s":0.081000,"code":null,"error":null' "$out"
contains "JSON" '"outcome":"refused","remains":true,"exit_status":1' "$out"
contains "JSON" '"code":"cpu-policy"' "$out"
same "JSON: errors" "" "$err"
fresh
drain --to host2
same "nobody: status" 0 $rc
contains "nobody" "There is no guest here." "$out"

# --- wrong calls: one sentence that names the remedy, status 1, nothing touched ---
wrong() { # NAME PART WORDS...
    local name=$1 part=$2
    shift 2
    drain "$@"
    same "$name: status" 1 $rc
    same "$name: output" "" "$out"
    contains "$name" "$part" "$(tr -s '\n ' ' ' <<<"$err")"
}
fresh
guest g1 1 10
wrong "no host" "say where the guests are to go: xl migrate-drain --to HOST"
wrong "a host without --to" "hosts are named by --to" host2
wrong "an option that there is not" "there is no option '--fast'" --fast
wrong "a value that is missing" "--to needs a value" --to
wrong "no host's name" "'-oProxyCommand=x' is no name of a host" --to -oProxyCommand=x
wrong "an empty host" "'' is no name of a host" --to ''
wrong "a host twice" "is named twice" --to h h
wrong "a limit of 0" "--limit takes a whole number from 1 to 64, not '0'" --to h --limit 0
wrong "a limit in words" "not 'two'" --to h --limit two
wrong "an order" "--order takes working-set, memory or name" --to h --order size
wrong "undo and check" "--undo and --check contradict each other" --undo --check
wrong "end and more" "--end moves nothing: leave out --to" --end --to h
wrong "a page of a plan" "leave out --report" --to h --check --report "$work/p.html"
wrong "a page with --end" "--end moves nothing: leave out --report" --end --report "$work/p.html"
wrong "a page without a name" "--report names the file to write" --to h --report ''
wrong "a page that is a directory" "not a regular file" --to h --report "$work"
wrong "an empty -s" "-s needs a command" --to h -s ''
drain --json --order size --to h
contains "an error in JSON" '"type":"error"' "$out"
no_xen=1 wrong "no Xen" "cannot talk to Xen" --to h
same "nothing was touched" g1 "$(here)"
out=$("$XL" -N migrate-drain --to h 2>&1)
same "dry run" 1 $?
out=$("$XL" migrate-drain --help)
same "--help" 0 $?
narrow
finish
