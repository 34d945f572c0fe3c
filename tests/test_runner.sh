#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test.sh over made-up tests: it counts what passes, fails, is skipped and hangs, shows the output of
# what failed, ends with the tally, and takes a skip for a failure when root runs it.
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/build/tests" "$work/tests" "$work/bin"
cp "$here/test.sh" "$here/runner.bash" "$work/tests/"
cd "$work" || exit 2
failed=0

made() { # NAME, and what it does
    { echo '#!/bin/bash'; cat; } >"$1"
    chmod +x "$1"
}
made build/tests/good <<<'exit 0'
made build/tests/bad <<<'echo why it failed; exit 3'
made build/tests/skips <<<'echo "needs what is not here"; exit 77'
made build/tests/hangs <<<'exec sleep 60'
made tests/script.sh <<<'exit 0'
# shellcheck disable=SC2016
made tests/front.sh <<<'[ "$XL" = "$PWD/build/xl" ]'
# shellcheck disable=SC2016
made bin/id <<<'echo "${FAKE_UID:?}"'
made bin/mandoc <<<'exit 0'

expect() { # WHAT UID STATUS TALLY TESTS
    out=$(PATH=$work/bin:$PATH FAKE_UID=$2 CHECK_LIMIT=${limit:-60} DIR=build TESTS="$5" \
        FRONT_TESTS=tests/front.sh SCRIPTS=tests/script.sh MAN=page.1 tests/test.sh 2>&1)
    rc=$?
    if [ $rc != "$3" ] || [ "$(tail -n 1 <<<"$out")" != "$4" ]; then
        echo "$1: status $rc: $out"
        failed=1
    fi
}
says() {
    [[ $out == *"$1"* ]] || {
        echo "no '$1' in: $out"
        failed=1
    }
}

expect "all pass" 1000 0 "4 passed, 0 failed" tests/good
expect "one fails" 1000 1 "4 passed, 1 failed" "tests/good tests/bad"
says "FAIL  tests/bad"
says "| why it failed"
expect "one is skipped" 1000 0 "4 passed, 0 failed" "tests/good tests/skips"
says "skip  tests/skips"
says "needs what is not here"
says "1 skipped"
expect "root skips nothing" 0 1 "3 passed, 1 failed" tests/skips
limit=2 expect "one hangs" 1000 1 "3 passed, 1 failed" tests/hangs
says "stopped after 2 seconds"
expect "one is not there" 1000 1 "3 passed, 1 failed" tests/missing
# As many at once as CHECK_JOBS says: they wait until two have met, and then for one too many.
made build/tests/one <<'END'
touch "at.$$"
until [ -e met ] || [ "$(ls at.* | wc -l)" -ge 2 ]; do sleep 0.05; done
touch met
sleep 0.3
ls at.* | wc -l >>seen
rm "at.$$"
END
for i in 2 3 4 5 6; do cp build/tests/one build/tests/one$i; done
export CHECK_JOBS=2
expect "two at once" 1000 0 "9 passed, 0 failed" "tests/one tests/one2 tests/one3 tests/one4 tests/one5 tests/one6"
most=$(sort -n seen | tail -n 1)
[ "$most" = 2 ] || { echo "$most tests at once, not 2"; failed=1; }
exit $failed
