#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the lab's tests count (t/lib.bash), without a lab: scripts that fail in every way there is,
# over a lab made up here, each with the results that it must print. However a test ends, run-tests
# has to hear of it, and of the place.
set -u -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
t=$work/tests/lab/t
mkdir -p "$t"
cp "$(dirname "$0")/t/lib.bash" "$t/"
cat >"$t/../lab" <<'EOS'
#!/bin/bash
echo "$*" >>"${0%/*}/asked"
[ "$1" = ssh ] || exit 0
case $3 in *'xl migrate'*) exit 3 ;; esac
exec bash -c "$3"
EOS
chmod +x "$t/../lab"
bad=0

# script NAME: standard input is what a test has after it has sourced lib.bash, from line 2 on.
script() {
    name=$1
    {
        echo ". '$t/lib.bash'"
        cat
    } >"$t/$name.sh"
    : >"$t/../asked"
    rc=0
    out=$(timeout 60 bash "$t/$name.sh" 2>&1 </dev/null) || rc=$?
}

wrong() {
    bad=1
    echo "FAIL: $name: $*"
    printf '%s\n' "$out" | sed 's/^/      | /'
}

# tally STATUS LINE: how it ended, and its last line; and it has cleaned up.
tally() {
    [ "$rc" = "$1" ] || wrong "status $rc instead of $1"
    [ "${out##*$'\n'}" = "$2" ] || wrong "the last line is not '$2'"
    [ "$(grep -c ' passed, ' <<<"$out")" = 1 ] || wrong "not one tally"
    grep -qx 'net heal' "$t/../asked" || wrong "the lab was left as it was"
}

says() { # REGEX...: a line for each
    local r
    for r; do
        grep -qE "$r" <<<"$out" || wrong "no line like '$r'"
    done
}

script good <<'EOS'
case_begin one
on a true
case_end
case_begin two
case_end
finish
EOS
tally 0 '2 passed, 0 failed'

script function <<'EOS'
inner() {
    on a "exit 3"
    echo never
}
outer() { inner; }
case_begin before
case_end
case_begin here
outer
case_end
echo never
finish
EOS
tally 1 '1 passed, 1 failed'
says '^ok .*before' '^FAIL .*here$' 'here: lib.bash line [0-9]+: status 3: timeout' \
    'called from function.sh line 3$' 'called from function.sh line 6$' 'called from function.sh line 10$'
! grep -q never <<<"$out" || wrong "it went on"

script top <<'EOS'
case_begin here
false
EOS
tally 1 '0 passed, 1 failed'
says '^FAIL .*here$' 'here: top.sh line 3: status 1: false$'

script between <<'EOS'
case_begin before
case_end
prepare() { return 4; }
prepare
EOS
tally 1 '1 passed, 1 failed'
says '^FAIL .*between.sh, between cases$' 'between.sh line 5: status 4'

script unset <<'EOS'
one() { case_begin here; echo "$nothing"; }
one
finish
EOS
tally 1 '0 passed, 1 failed'
says '^FAIL .*here$' 'line 2: nothing: unbound variable'

script exits <<'EOS'
case_begin here
case_end
exit 0
EOS
tally 1 '1 passed, 1 failed'
says '^FAIL .*exits.sh, between cases$' 'by itself, with status 0'

script unfinished <<'EOS'
case_begin here
EOS
tally 1 '0 passed, 1 failed'
says '^FAIL .*here$'

# What is asked, caught or thrown away is no failure; nor is what fails in a subshell.
script harmless <<'EOS'
fails() { false; echo "was ignored"; return 1; }
text() { false; echo text; }
never() { return 1; }
case_begin here
if fails; then :; fi
! fails
fails || note caught
fails && note never
until_true 0 never || note never
n=0
until [ $n = 2 ]; do n=$((n + 1)); done
while [ $n != 3 ]; do n=$((n + 1)); done
[ "$(text)" = text ] || bad "a command substitution ended early"
say=$(fails) || note "$say"
false | true || note caught # pipefail
note "$(false; echo "went on")"
(
    rc=0
    (exit 5) || rc=$?
    exit $rc
) &
wait $! || [ $? = 5 ] || bad "the subshell has another status"
guest=made-up
move_in_background a "" --option
until_true 30 move_over || bad "no status"
move_ends 3
case_end
finish
EOS
tally 0 '1 passed, 0 failed'

script subshell <<'EOS'
case_begin here
broken() { on a "exit 6"; echo never; }
(broken)
case_end
EOS
tally 1 '0 passed, 1 failed'
says 'subshell.sh line 4: status 6' '^FAIL .*here$'
! grep -q never <<<"$out" || wrong "the subshell went on"

script stopped <<'EOS'
case_begin here
kill -TERM $$
EOS
[ $rc = 1 ] || wrong "status $rc"
! grep -q ' passed, ' <<<"$out" || wrong "a tally of what was stopped"
grep -qx 'net heal' "$t/../asked" || wrong "the lab was left as it was"

[ $bad = 0 ] && echo passed
exit $bad
