#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What stops `xl migrate-drain` before its end, and how the service that drains a host at its shutdown
# calls it. Ctrl-C of a drain is in drain.sh.
# shellcheck source=tests/front/drain.bash
. "$(dirname "$0")/drain.bash"
top=$(dirname "$0")/../..

# --- SIGTERM, which the service sends when its time is up, and the loss of the terminal ---
for signal in TERM HUP; do stopped_once $signal; done

# --- one that is ignored, as nohup has it, is none: the next one is the first ---
fresh
guest g1 1 30 runs waits
trap '' HUP
begin --to host2
trap - HUP
await "g1 under way" [ -e "$host/waits.g1" ]
kill -HUP "$pid"
kill -INT "$pid"
said
: >"$host/go.g1"
ended
same "ignored: status" 0 $rc
row g1 moved

# --- --undo, once: the one that comes comes, the other stays away until the next call ---
two_away
first="it's \$HOME"
echo waits >"$host/does/$first"
begin --undo --to host1 --limit 1
await "the first on its way" [ -e "$host/waits.$first" ]
kill -INT "$pid"
said
: >"$host/go.$first"
ended
same "undo, once: status" 2 $rc
same "undo, once: who is here" "$first" "$(here)"
contains "undo, once" " back" "$(grep "^it's" <<<"$out")"
row g1 "not begun"
[ ! -e "$host/cancelled" ] || fail "undo, once: a move is cancelled"
drain --undo --to host1
same "undo, again: status" 0 $rc
contains "undo, again" "1 back, 0 not" "$out"

# --- twice: it is cancelled where it runs, and its end is waited for ---
two_away
echo waits >"$host/does/$first"
begin --undo --to host1 --limit 1
await "the first on its way" [ -e "$host/waits.$first" ]
kill -INT "$pid"
said
kill -INT "$pid"
ended
same "undo, twice: status" 2 $rc
same "undo, twice: told" "cancel $first" "$(cat "$host/cancelled")"
same "undo, twice: ended there" 1 "$(grep -cx "end $first 3" "$host/log")"
same "undo, twice: who is here" "*" "$(here)"
contains "undo, twice" " cancelled" "$(grep "^it's" <<<"$out")"
row g1 "not begun"
# One that is past cancelling comes.
two_away
echo pulls >"$host/does/$first"
echo "fails 3" >"$host/does/g1"
begin --undo --to host1
await "the first on its way" [ -e "$host/waits.$first" ]
await "g1 has failed" grep -q "^end g1 3" "$host/log"
kill -INT "$pid"
said
kill -INT "$pid"
await "it is told" [ -e "$host/told.$first" ]
: >"$host/go.$first"
ended
same "undo, past it: status" 2 $rc
same "undo, past it: told" "cancel $first" "$(cat "$host/cancelled")"
contains "undo, past it" " back" "$(grep "^it's" <<<"$out")"

# --- the service: its command, with the manual's options; and without any ---
command=$(sed -n 's|^ExecStop=@SBINDIR@/xl migrate-drain ||p' "$top/service/xenferry-drain.service.in")
options=$(sed -n 's/.*DRAIN_OPTIONS=\\(dq\(.*\)\\(dq.*/\1/p' "$top/docs/xl-migrate-drain.1")
same "the service's words" "\$DRAIN_OPTIONS" "$command"
contains "the manual's options" "--to " "$options"
fresh
guest g1 1 20
guest g2 2 10
# shellcheck disable=SC2086 # as systemd splits them
drain ${command/\$DRAIN_OPTIONS/$options}
same "the service: status" 0 $rc
same "the service: who stays" "*" "$(here)"
row g1 moved
row g2 moved
fresh
guest g1 1 20
drain
same "the service, not set up: status" 1 $rc
same "the service, not set up: who stays" g1 "$(here)"
finish
