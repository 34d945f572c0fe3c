#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `xl migrate-drain --undo` and --end: what has left comes back, by the command that reaches its host;
# and what a receiver does meanwhile.
# shellcheck source=tests/front/drain.bash
. "$(dirname "$0")/drain.bash"

two_away
drain --undo --to host1 --report "$work/back.html"
same "back: status" 0 $rc
contains "back: a page" "<h1>2 moves, 2 of them done</h1>" "$(cat "$work/back.html")"
same "back: hosts asked" "host2 host3" "$(sort "$host/reached" | xargs)"
row g1 back
contains "back: a name that a shell would change" "it's \$HOME" "$out"
contains "back: to this host" " host1" "$(grep "begin g1 host1" "$host/log")"
contains "back" "2 back, 0 not. This host takes guests." "$out"
narrow
[ ! -e "$XENFERRY_RUN_DIR/drain" ] || fail "there is still a record"
drain --undo --to host1
same "twice: status" 1 $rc
contains "twice" "there is nothing to bring back" "$err"

# One host does not answer: the other guest comes, and the next call tries again.
two_away
: >"$host/down.host2"
drain --undo --to host1 --json
same "one is down: status" 2 $rc
same "one is down: back" 1 "$(grep -c '"outcome":"back"' <<<"$out")"
contains "one is down" '"outcome":"failed","remains":true,"exit_status":255' "$out"
contains "one is down" "No route to host" "$out"
contains "one is down" '"action":"undo","exit_status":2,"moved":1,"remain":1' "$out"
rm "$host/down.host2"
drain --undo --to host1
same "up again: status" 0 $rc
contains "up again" "1 back, 0 not" "$out"

# A host that says what is not true: seen, and not forgotten.
two_away
fake "$work/liar" <<'EOC'
echo '{"type":"report","exit_status":0,"total_s":1,"downtime_s":0.1}'
EOC
drain --undo --to host1 -s "$work/liar"
same "a liar: status" 2 $rc
contains "a liar" "reports that it has moved here, and it does not run here" "$(tr -s '\n ' ' ' <<<"$out")"
drain --undo --to host1 -s "$ssh"
same "after the liar" 0 $rc

# One that came back on its own; one that is refused.
two_away
mv "$host/away/g1" "$host/guests/g1"
echo "refused cpu-policy" >"$host/does/it's \$HOME"
drain --undo --to host1
same "here already: status" 2 $rc
row g1 "here already"
contains "refused" "(cpu-policy) CHECK refuses" "$out"
drain --end
same "end: status" 0 $rc
contains "end" "takes guests again" "$out"
drain --end
contains "end again" "was not being drained" "$out"

# Killed while they come: the next call goes on.
two_away
echo waits >"$host/does/g1"
begin --undo --to host1
await "g1 on its way" [ -e "$host/waits.g1" ]
await "the other back" [ -e "$host/guests/it's \$HOME" ]
# shellcheck disable=SC2317 # called by await
recorded() { ! grep -q HOME "$XENFERRY_RUN_DIR/drain"; }
await "its end recorded" recorded
kill -KILL "$pid"
wait "$pid" 2>/dev/null
: >"$host/go.g1"
await "g1 back" [ -e "$host/guests/g1" ]
drain --undo --to host1
same "killed: status" 0 $rc
row g1 "here already"

# --- while it drains a stock source finds no receiver; and one call at a time ---
receive() { # a stock source; the status
    printf 'LibxlFmt\0\0\0\0\0\0\0\0' | XENFERRY_REAL_XL=$work/real "$XL" migrate-receive 2>&1 | tr -d '\0'
}
fake "$work/real" <<'EOC'
printf 'xl migration receiver ready, send binary domain data.\n'
echo "real $*"
EOC
fresh
guest g1 1 10 runs waits
contains "before" "real migrate-receive" "$(receive)"
begin --to host2
await "it moves" [ -e "$host/waits.g1" ]
contains "meanwhile" "the host is being drained and takes no guests" "$(receive)"
drain --to host2
same "a second one: status" 1 $rc
contains "a second one" "another xl migrate-drain is at work" "$err"
drain --end
same "end meanwhile: status" 1 $rc
: >"$host/go.g1"
ended
same "it ends" 0 $rc
contains "afterwards" "being drained" "$(receive)"
drain --end
contains "ended" "real migrate-receive" "$(receive)"

# A record that is of no use is not used.
echo '{"draining":' >"$XENFERRY_RUN_DIR/drain"
chmod 600 "$XENFERRY_RUN_DIR/drain"
contains "damaged" "run \`xl migrate-drain --end\` there" "$(receive)"
drain --to host2
same "damaged: status" 1 $rc
contains "damaged" "\`xl migrate-drain --end\` removes it" "$(tr -s '\n ' ' ' <<<"$err")"
drain --end
drain --to host2
same "mended" 0 $rc
finish
