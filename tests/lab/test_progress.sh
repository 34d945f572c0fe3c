#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lib/progress.sh, with made-up steps that last until their line has been seen: elsewhere than on a
# terminal, on one (script(1) makes it), two side by side, one that fails, one whose owner is killed.
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XENFERRY_CACHE=$work/cache PROGRESS_EVERY=1 TERM=xterm
failed=0

fail() {
    echo "FAIL: $*"
    failed=1
}

# A script that has the functions, a log, and a way to wait until something has been shown.
cat >"$work/steps" <<END
set -eu -o pipefail
. $here/lib/progress.sh
work=$work
until_shown() { # in FILE, within 20 s
    local i
    for i in \$(seq 200); do
        ! grep -q -- "\$2" "\$1" 2>/dev/null || return 0
        sleep 0.1
    done
    echo "not shown: \$2" >>"\$work/missing"
}
END
script_of() { # NAME: from standard input
    { cat "$work/steps"; cat; } >"$work/$1"
}
missing() {
    [ ! -e "$work/missing" ] || fail "$1: $(cat "$work/missing")"
    rm -f "$work/missing"
}

script_of pipe <<'END'
progress_begin xen "$work/log"
progress_mark 2/5 fetching the source >"$work/log"
until_shown "$work/out" 'xen: [0-9]* s, 2/5 fetching the source$'
progress_end xen
END
bash "$work/pipe" 2>"$work/out" || fail "pipe: status $?"
missing pipe
! grep -q $'\r' "$work/out" || fail "pipe: a line is rewritten: $(cat -v "$work/out")"
grep -qx '[0-9][0-9]*' "$work/cache/progress/xen.took" || fail "pipe: nothing is kept"

# The second time: how much of it is over, and that it takes longer.
echo 1000 >"$work/cache/progress/xen.took"
script_of again <<'END'
progress_begin xen
until_shown "$work/out" 'xen: [1-9] s of about 1000, 0 %$'
echo 1 >"$PROGRESS_DIR/xen.took"
until_shown "$work/out" 'xen: [0-9]* s, longer than last time (1)$'
progress_end xen failed
END
bash "$work/again" 2>"$work/out" || fail "again: status $?"
missing again
[ "$(cat "$work/cache/progress/xen.took")" = 1 ] || fail "what a failed step took is kept"

# A step within it, whose words are in the log; and one that has begun before it is waited for.
script_of within <<'END'
echo 'xen: 7 s of about 9, 77 %, 3/3 compiling' >"$work/log"
echo 'a line: of another kind' >>"$work/log"
{ until_shown "$work/out" 'lab: 10[0-9] s, xen: 7 s of about 9, 77 %, 3/3 compiling$'; } &
progress_wait lab "$work/log" $! $((EPOCHSECONDS - 100))
[ "$(cat "$PROGRESS_DIR/lab.took")" -ge 100 ]
END
bash "$work/within" 2>"$work/out" || fail "within: status $?: $(cat "$work/out")"
missing within

# A memory that somebody has written something else into is none.
echo 'x; rm -rf /' >"$work/cache/progress/xen.took"
script_of damaged <<'END'
progress_begin xen
until_shown "$work/out" 'xen: [0-9]* s$'
progress_end xen failed
END
bash "$work/damaged" 2>"$work/out" || fail "damaged: status $?"
missing damaged

# On a terminal: one line for two steps, rewritten; who paints ends, and the other goes on.
script_of terminal <<'END'
echo 50 >"$PROGRESS_DIR/base.took"
progress_begin xen
(
    progress_begin base
    until_shown "$work/out" 'xen: .*base: [0-9]* s of about 50, [0-9]* %\|base: .*xen: '
    touch "$work/both"
    until_shown "$work/alone" .
    progress_end base
) &
while [ ! -e "$work/both" ] && kill -0 $!; do sleep 0.1; done
progress_end xen
size=$(stat -c %s "$work/out")
for i in $(seq 200); do
    tail -c +"$((size + 1))" "$work/out" | grep -q 'base: [0-9]* s' && break
    sleep 0.1
done
[ $i != 200 ] || echo "base alone" >>"$work/missing"
echo >"$work/alone" .
wait $!
progress_clear
echo finished
END
: >"$work/out"
script -qefc "bash $work/terminal" /dev/null </dev/null >"$work/out" 2>&1 || fail "terminal: status $?"
missing terminal
grep -q $'\r\033\[K' "$work/out" || fail "terminal: no line is rewritten: $(cat -v "$work/out")"
tail -n 1 "$work/out" | grep -q $'\033\[Kfinished' || fail "terminal: $(tail -n 1 "$work/out" | cat -v)"
if ls "$work/cache/progress/"*.step >/dev/null 2>&1; then fail "a step is left"; fi

# A dumb terminal is none.
script_of dumb <<'END'
progress_begin xen
until_shown "$work/out" 'xen: [0-9]* s'
progress_end xen failed
END
: >"$work/out"
TERM=dumb script -qefc "bash $work/dumb" /dev/null </dev/null >"$work/out" 2>&1 || fail "dumb: status $?"
missing dumb
! grep -q $'\033' "$work/out" || fail "dumb: $(cat -v "$work/out")"

# The owner is killed: what showed its step ends, too, so that the pipe has an end.
script_of killed <<'END'
progress_begin xen
until_shown "$work/out" 'xen: '
kill -9 $BASHPID
END
: >"$work/out"
bash "$work/killed" 2>&1 | timeout 20 cat >"$work/out"
status=${PIPESTATUS[*]}
[ "$status" = "137 0" ] || fail "killed: status $status"
missing killed

# A child that fails, and a directory that cannot be written: the step's own status is what counts.
script_of children <<'END'
true & progress_wait good /dev/null $!
false & if progress_wait bad /dev/null $!; then exit 9; fi
[ -e "$PROGRESS_DIR/good.took" ] && [ ! -e "$PROGRESS_DIR/bad.took" ]
PROGRESS_DIR=/proc/none
true & progress_wait good /dev/null $!
END
bash "$work/children" 2>"$work/out" || fail "children: status $?: $(cat "$work/out")"

[ $failed = 0 ] && echo passed
exit $failed
