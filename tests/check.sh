#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What `make check` runs once everything is built: every test program plain and sanitized,
# the front's scripts, the fuzz targets, the scripts about the source and the manual pages, then the
# lab (and before it, whether one that was killed is in the way of the next). So all that `make test`
# runs (test.sh) is among it. The last line is "N passed, N failed".
#
# From the Makefile: TESTS FRONT_TESTS SCRIPTS FUZZ MAN (lists), SAN_DIR, FUZZ_TIME.
set -u -o pipefail

LAB_LIMIT=${CHECK_LAB_LIMIT:-5400} # seconds for the lab as a whole
logs=build/check

# shellcheck source=tests/runner.bash
. "$(dirname "$0")/runner.bash"
# shellcheck source=tests/lab/lib/progress.sh
. "$(dirname "$0")/lab/lib/progress.sh"

# The lab boots beside the tests before it, which mostly wait. One that is up is left as it is.
lab=tests/lab/lab
ours=no
boot_lab() {
    ! "$lab" status >/dev/null 2>&1 || return 0
    ours=yes
    timeout 1800 "$lab" up >"$logs/lab-up.log" 2>&1 </dev/null &
    booting=$! booting_since=$EPOCHSECONDS
}
lab_down() {
    [ $ours = no ] || "$lab" down >/dev/null 2>&1
    ours=no
}
trap lab_down EXIT
trap stopped INT TERM

# The lab's tests print a line each by themselves and end with "N passed, N failed".
run_lab() {
    local log=$logs/lab.log rc tally
    # Should it have failed, run-tests begins anew and says why that fails.
    [ -z "$booting" ] ||
        progress_wait "the lab comes up" "$logs/lab-up.log" "$booting" "$booting_since" ||
        "$lab" down >/dev/null 2>&1
    timeout -k 60 "$LAB_LIMIT" env QUICK=1 tests/lab/run-tests </dev/null 2>&1 | tee "$log"
    rc=${PIPESTATUS[0]}
    tally=$(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
    if [ -n "$tally" ]; then
        passed=$((passed + ${tally% *}))
        failed=$((failed + ${tally#* }))
    fi
    # A lab that fell over without counting it is a failure too.
    if [ "$rc" != 0 ] && { [ -z "$tally" ] || [ "${tally#* }" = 0 ]; }; then
        failed=$((failed + 1))
        echo "FAIL  tests/lab/run-tests: status $rc"
    fi
}

boot_lab
for dir in build "$SAN_DIR"; do
    label=
    if [ "$dir" != build ]; then
        label=' (sanitized)'
        export SEEDS=20 # of random failures, which take minutes under the sanitizers; 60 above
    fi
    for t in $TESTS; do
        # Once only: test_outage waits for minutes without a network, beside all the others;
        # test_key searches all of its memory, which the address sanitizer makes terabytes.
        case $dir:$t in
        build:tests/procguest/test_outage)
            one "$t" "$dir/$t" &
            waiting=$!
            ;;
        "$SAN_DIR":tests/procguest/test_outage | "$SAN_DIR":tests/unit/test_key) ;;
        *) run "$t$label" "$dir/$t" ;;
        esac
    done
    for t in $FRONT_TESTS; do
        run "$t$label" env XL="$PWD/$dir/xl" bash "$t"
    done
done

if [ -n "$FUZZ" ]; then
    read -ra targets <<<"$FUZZ"
    each=$((FUZZ_TIME / ${#targets[@]} > 0 ? FUZZ_TIME / ${#targets[@]} : 1))
    for f in "${targets[@]}"; do
        run "tests/fuzz/$f" tests/fuzz/run.sh "$f" "$each" build/check
    done
fi

run_about_source
run tests/lab/test_killed bash tests/lab/test_killed.sh
wait_for_all
passed=$(count "$logs/passed")
failed=$(count "$logs/failed")

run_lab

echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
