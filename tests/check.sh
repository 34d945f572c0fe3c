#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What `make check` runs once everything is built: every test program plain and sanitized,
# the front's scripts, the fuzz targets, the manual pages, then the lab (and before it, whether
# its tests count right and whether one that was killed is in the way of the next). One line
# each; the output of a test is kept in build/check/ and shown only when it fails.
# The last line is "N passed, N failed".
#
# From the Makefile: TESTS FRONT_TESTS FUZZ MAN (lists), SAN_DIR, FUZZ_TIME.
set -u -o pipefail

LIMIT=${CHECK_LIMIT:-400}         # seconds for one program
LAB_LIMIT=${CHECK_LAB_LIMIT:-5400} # seconds for the lab as a whole
JOBS=${CHECK_JOBS:-$(nproc)}
logs=build/check

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
rm -rf "$logs"
mkdir -p "$logs"

# One test: NAME COMMAND... Its line is printed when it ends, its result is a byte in a file.
one() {
    local name=$1 log begin rc
    shift
    log=$logs/${name//\//_}.log
    begin=$SECONDS
    timeout -k 10 "$LIMIT" "$@" >"$log" 2>&1 </dev/null
    rc=$?
    if [ $rc = 0 ]; then
        printf . >>"$logs/passed"
        printf 'ok    %-52s %4d s\n' "$name" $((SECONDS - begin))
        return
    fi
    printf . >>"$logs/failed"
    [ $rc != 124 ] || echo "stopped after $LIMIT seconds" >>"$log"
    {
        printf 'FAIL  %-52s status %d\n' "$name" "$rc"
        tail -n 100 "$log" | sed 's/^/      | /'
    } >"$log.shown"
    cat "$log.shown"
}

# Those of `jobs` that are tests, in `pids`. Not in a pipeline of pipelines: there `jobs` is empty.
tests_running() {
    local pid all
    mapfile -t all < <(jobs -rp)
    pids=()
    for pid in "${all[@]}"; do
        [ "$pid" = "${booting:-none}" ] || pids+=("$pid")
    done
}
turns_taken() { # how many of them wait for no other
    local pid
    turns=0
    tests_running
    for pid in "${pids[@]}"; do
        [ "$pid" = "${waiting:-none}" ] || turns=$((turns + 1))
    done
}

# run NAME COMMAND...: as many at once as there are processors; many tests only wait.
run() {
    turns_taken
    while [ $turns -ge "$JOBS" ]; do
        wait -n "${pids[@]}" || true
        turns_taken
    done
    one "$@" &
}

count() { # FILE: bytes in it
    [ -e "$1" ] && stat -c %s "$1" || echo 0
}

# The lab boots beside the tests before it, which mostly wait. One that is up is left as it is.
lab=tests/lab/lab
ours=no
boot_lab() {
    ! "$lab" status >/dev/null 2>&1 || return 0
    ours=yes
    timeout 1800 "$lab" up >"$logs/lab-up.log" 2>&1 </dev/null &
    booting=$!
}
lab_down() {
    [ $ours = no ] || "$lab" down >/dev/null 2>&1
    ours=no
}
booting=""
waiting=""
trap lab_down EXIT
trap 'exit 1' INT TERM

# The lab's tests print a line each by themselves and end with "N passed, N failed".
run_lab() {
    local log=$logs/lab.log rc tally
    # Should it have failed, run-tests begins anew and says why that fails.
    [ -z "$booting" ] || wait "$booting" || "$lab" down >/dev/null 2>&1
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

run tests/accusations tests/accusations.sh
run tests/layers tests/layers.sh
run tests/test_layers tests/test_layers.sh
run tests/circles tests/circles.sh
run tests/test_circles tests/test_circles.sh
run tests/lab/test_lib bash tests/lab/test_lib.sh
run tests/lab/test_killed bash tests/lab/test_killed.sh
for m in $MAN; do
    run "$m" mandoc -Tlint -Werror "$m"
done
tests_running
for p in "${pids[@]}"; do
    wait "$p" || true
done
passed=$(count "$logs/passed")
failed=$(count "$logs/failed")

run_lab

echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
