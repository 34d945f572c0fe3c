#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What `make check` runs once everything is built: the test programs plain and sanitized, the
# front's scripts, the fuzz targets, the cluster's tests, the scripts about the source and the manual pages, then the
# lab (and before it, whether one that was killed is in the way of the next). So all that `make test`
# runs (test.sh) is among it. The last line is "N passed, N failed".
#
# From the Makefile: TESTS FRONT_TESTS CLUSTER_TESTS SCRIPTS FUZZ MAN (lists), SAN_DIR, FUZZ_TIME.
set -u -o pipefail

LAB_LIMIT=${CHECK_LAB_LIMIT:-5400} # seconds for the lab as a whole
logs=build/check

# shellcheck source=tests/runner.bash
. "$(dirname "$0")/runner.bash"
# shellcheck source=tests/lab/lib/progress.sh
. "$(dirname "$0")/lab/lib/progress.sh"

# The lab boots beside the last tests before it: idle hosts take a sixth of two processors, too. One
# that is up is left as it is.
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

# What moves memory for minutes runs once, sanitized: plain it would only be faster. So do not
# test_outage, which waits for minutes without a network, beside all the others, and test_key, which
# searches all of its memory: the address sanitizer makes terabytes of that.
sanitized_only=" tests/conformance/test_drip tests/unit/test_engine_fail tests/unit/test_relink
 tests/procguest/test_compress
 tests/procguest/test_copy tests/procguest/test_copy_fail tests/procguest/test_link
 tests/procguest/test_death tests/procguest/test_pull tests/procguest/test_pull_fail "
sanitized_only=${sanitized_only//$'\n'/}
sanitized_only+=" tests/front/incomplete.sh tests/front/hostile.sh tests/front/drain.sh tests/front/watch.sh "
plain_only=" tests/procguest/test_outage tests/unit/test_key "

# What waits most of its time takes no turn of a processor: one after the other, beside all the rest.
idle=" tests/unit/test_recover tests/unit/test_pager tests/unit/test_status tests/unit/test_receiver
 tests/conformance/test_failures tests/conformance/test_handshake tests/conformance/test_pair "
idle=${idle//$'\n'/}
run_idle() {
    local dir t label=''
    for dir in build "$SAN_DIR"; do
        for t in $idle; do
            one "$t$label" "$dir/$t"
        done
        one "tests/front/receive.sh$label" env XL="$PWD/$dir/xl" bash tests/front/receive.sh
        label=' (sanitized)'
    done
}
run_idle &
waiting+=" $!"

for dir in build "$SAN_DIR"; do
    label='' elsewhere=$sanitized_only
    export SEEDS=30 # of random failures
    if [ "$dir" != build ]; then
        label=' (sanitized)' elsewhere=$plain_only
        export SEEDS=15
    fi
    elsewhere+="$idle tests/front/receive.sh "
    for t in $TESTS; do
        [[ $elsewhere != *" $t "* ]] || continue
        if [ "$t" = tests/procguest/test_outage ]; then
            one "$t" "$dir/$t" &
            waiting+=" $!"
        else
            run "$t$label" "$dir/$t"
        fi
    done
    for t in $FRONT_TESTS; do
        [[ $elsewhere != *" $t "* ]] || continue
        run "$t$label" env XL="$PWD/$dir/xl" bash "$t"
    done
done

# For the image of a cluster's nodes they wait the first time: beside all the rest.
# shellcheck disable=SC2086 # a list
run_clusters $CLUSTER_TESTS &
waiting+=" $!"

boot_lab
if [ -n "$FUZZ" ]; then
    read -ra targets <<<"$FUZZ"
    each=$((FUZZ_TIME / ${#targets[@]} > 0 ? FUZZ_TIME / ${#targets[@]} : 1))
    for f in "${targets[@]}"; do
        run "tests/fuzz/$f" tests/fuzz/run.sh "$f" "$each" build/check
    done
fi

run_about_source
run tests/lab/test_killed bash tests/lab/test_killed.sh
run tests/plan/test_hbal bash tests/plan/test_hbal.sh
wait_for_all
passed=$(count "$logs/passed")
failed=$(count "$logs/failed")
skipped=$(count "$logs/skipped")

run_lab

echo
[ "$skipped" = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
