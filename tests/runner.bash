# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What test.sh and check.sh share: running tests side by side, a line each. The output of a test is
# kept in $logs and shown only when it fails. Sourced with `logs` set; lists are the Makefile's.

LIMIT=${CHECK_LIMIT:-400} # seconds for one program
JOBS=${CHECK_JOBS:-$(nproc)}

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
: "${logs:?}"
rm -rf "$logs"
mkdir -p "$logs"
# Children that are no tests, or that others do not wait for; and whether a test may be skipped.
booting=""
waiting=""
may_skip=no

# Tests with a real Pacemaker, one after the other. They may be skipped.
run_clusters() { # TEST...
    local t may_skip=yes
    if [ "$(id -u)" = 0 ]; then
        timeout -k 10 1800 tests/cluster/cluster build >>"$logs/cluster-build.log" 2>&1 </dev/null ||
            tail -n 5 "$logs/cluster-build.log"
    fi
    for t; do
        one "${t%.sh}" "$t"
    done
}

# One test: NAME COMMAND... Its line is printed when it ends, its result is a byte in a file.
# Returns its status; 77 with `may_skip`: it cannot run here, and its last line says why.
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
        return 0
    fi
    if [ $rc = 77 ] && [ "$may_skip" = yes ]; then
        printf . >>"$logs/skipped"
        printf 'skip  %-52s %s\n' "$name" "$(tail -n 1 "$log")"
        return
    fi
    printf . >>"$logs/failed"
    [ $rc != 124 ] || echo "stopped after $LIMIT seconds" >>"$log"
    {
        printf 'FAIL  %-52s status %d\n' "$name" "$rc"
        tail -n 100 "$log" | sed 's/^/      | /'
    } >"$log.shown"
    cat "$log.shown"
    return $rc
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
        [[ " $waiting " == *" $pid "* ]] || turns=$((turns + 1))
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

wait_for_all() {
    local p
    tests_running
    for p in "${pids[@]}"; do
        wait "$p" || true
    done
}

# A run that is stopped leaves no test behind; timeout hands the signal on to its own.
stopped() {
    local pid
    tests_running
    for pid in "${pids[@]}"; do
        pkill -TERM -P "$pid"
    done
    exit 1
}
trap stopped INT TERM

# Scripts about the source, and the manual pages.
run_about_source() {
    local t m
    for t in ${SCRIPTS-}; do
        run "${t%.sh}" "$t"
    done
    for m in ${MAN-}; do
        run "$m" mandoc -Tlint -Werror "$m"
    done
}
