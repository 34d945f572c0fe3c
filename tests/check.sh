#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What `make check` runs once the plain programs are built: the cluster's tests, the test programs and
# the front's scripts plain and, once those are built too, sanitized, the scripts about the source and
# the manual pages, the fuzz targets, then the lab (and before it, whether one that was killed is in
# the way of the next). So all that `make test` runs (test.sh) is among it. The last line is
# "N passed, N failed".
#
# From the Makefile: TESTS FRONT_TESTS CLUSTER_TESTS SCRIPTS FUZZ MAN (lists), SAN_DIR, FUZZ_TIME.
set -u -o pipefail

# Most of these wait most of their time.
CHECK_JOBS=${CHECK_JOBS:-$((2 * $(nproc)))}
BUILD_LIMIT=1800 # seconds for the sanitized programs
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

# Longest first, so that none of them is left over when all the others have ended.
long=" tests/disks/test_mirror tests/procguest/test_outage tests/procguest/test_pull_fail tests/procguest/test_pull
 tests/procguest/test_copy_fail tests/unit/test_engine_fail
 tests/procguest/test_copy tests/disks/test_disk_move tests/unit/test_relink tests/front/incomplete.sh
 tests/procguest/test_compress tests/conformance/test_drip tests/front/hostile.sh tests/front/drain.sh
 tests/front/watch.sh tests/unit/test_engine tests/procguest/test_link tests/procguest/test_death
 tests/front/receive.sh tests/procguest/test_hangup tests/unit/test_bootstrap
 tests/unit/test_recover tests/procguest/test_status tests/conformance/test_failures
 tests/conformance/test_pair tests/conformance/test_messages "
long=${long//$'\n'/}
longest_first() { # TEST...
    local t
    for t in $long; do
        [[ " $* " != *" $t "* ]] || echo "$t"
    done
    for t; do
        [[ $long == *" $t "* ]] || echo "$t"
    done
}

# run_built DIR LABEL ELSEWHERE: every test with the programs of DIR, but those of ELSEWHERE.
run_built() {
    local t
    # shellcheck disable=SC2086 # lists
    for t in $(longest_first $TESTS $FRONT_TESTS); do
        [[ $3 != *" $t "* ]] || continue
        case $t in
        *.sh) run "$t$2" env XL="$PWD/$1/xl" bash "$t" ;;
        *) run "$t$2" "$1/$t" ;;
        esac
    done
}

# For the image of a cluster's nodes they wait the first time: beside all the rest.
# shellcheck disable=SC2086 # a list
run_clusters $CLUSTER_TESTS &
waiting+=" $!"

# The plain tests leave the processors idle, so the sanitized programs are built beside them.
built=$logs/built # there once they are: run() may have waited for the job, so its status is lost
LIMIT=$BUILD_LIMIT one "the sanitized programs are built" \
    nice make --no-print-directory check-sanitized && : >"$built" &
building=$!
waiting+=" $building"
# SEEDS: of random failures
SEEDS=30 run_built build '' "$sanitized_only"
wait "$building" 2>/dev/null
if [ ! -e "$built" ]; then
    wait_for_all
    exit 1
fi
SEEDS=15 run_built "$SAN_DIR" ' (sanitized)' "$plain_only"

boot_lab
run_about_source
run tests/lab/test_killed bash tests/lab/test_killed.sh
run tests/plan/test_hbal bash tests/plan/test_hbal.sh
if [ -n "$FUZZ" ]; then
    read -ra targets <<<"$FUZZ"
    JOBS=$(nproc) # these never wait
    each=$((FUZZ_TIME / ${#targets[@]} > 0 ? FUZZ_TIME / ${#targets[@]} : 1))
    for f in "${targets[@]}"; do
        run "tests/fuzz/$f" tests/fuzz/run.sh "$f" "$each" build/check
    done
fi

wait_for_all
passed=$(count "$logs/passed")
failed=$(count "$logs/failed")
skipped=$(count "$logs/skipped")

run_lab

echo
[ "$skipped" = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
