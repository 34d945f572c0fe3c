# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What both parts of the benchmark share: the guest, and one watched move with its figures. A
# move that does not end as it should makes a row that says so, and a new guest; a wrong byte
# ends everything.

bench='bench-postcopy' on_limit=60 logs=$top/build/bench/postcopy-logs
# shellcheck source=tests/lab/bench.bash
. "$here/bench.bash"
cases=$out/postcopy
runs=${RUNS:-1}
pairs=${PAIRS:-3}
limit=${LIMIT:-600}
link=${LINK:-16}
fault_link=${FAULT_LINK:-48}
guest_options=()

say() { printf '%s\n' "$*"; }

# Of dom0, against a guest's 256 (credit2).
weigh() { # WEIGHT
    local h
    for h in a b; do
        on $h "xl sched-credit2 -d 0 -w $1" || die "cannot set dom0's weight on host $h"
    done
}

# shellcheck disable=SC2317 # called by the trap
as_before() {
    "$lab" net rate off >/dev/null 2>&1 || true
    [ $ours = yes ] || (weigh 1024) >/dev/null 2>&1 || true # tests/lab/dom0/xf-init
    leave
}

begin_lab() {
    local h
    case $runs$pairs$limit$link$fault_link in
    *[!0-9]*) die "RUNS, PAIRS, LIMIT, LINK and FAULT_LINK are numbers, not" \
        "'$runs', '$pairs', '$limit', '$link' and '$fault_link'" ;;
    esac
    [ "$runs" -gt 0 ] || die "RUNS is at least 1"
    # Longer than a lab that was merely forgotten may live.
    export XENFERRY_LAB_MAX="${XENFERRY_LAB_MAX:-14400}"
    if ! "$lab" status >/dev/null 2>&1; then
        timeout 1800 "$lab" up || die "the lab does not come up"
        ours=yes
    fi
    for h in a b; do
        "$lab" put $h "$top/build/xl" /usr/local/sbin/xl || die "cannot install xl on host $h"
    done
    trap as_before EXIT
    weigh 256
}

# --- the guest ---

cmd() { # WORDS...: to the guest, which must agree
    local answer
    answer=$(timeout 60 "$lab" guest cmd $guest "$@") || die "the guest does not answer '$*'"
    [ "$answer" = OK ] || die "the guest answers '$*' with: $answer"
}

new_guest() { # OPTIONS of lab guest start; without any, as the last one
    [ $# = 0 ] || guest_options=("$@")
    "$lab" guest stop $guest >/dev/null 2>&1 || true
    "$lab" guest start a $guest "${guest_options[@]}" >"$cases/start.log" 2>&1 ||
        die "the guest does not start: $(tail -n 3 "$cases/start.log")"
    at=a
}

# --- one move ---

# What our xl says of it, or null.
report_of() { # FILE
    jq -s 'map(select(type == "object" and .type == "report")) | last' "$1" 2>/dev/null || echo null
}

# Has an earlier run in this boot measured it? KEEP=1
kept() { # KIND RUN
    [ -n "${KEEP-}" ] && jq -e '.trouble == null' "$cases/$1-$2.json" >/dev/null 2>&1
}

# begin_move FILE COMMAND...: in the background; its status comes to FILE.rc, its time to FILE.us.
begin_move() {
    local file=$1 from=$at
    shift
    rm -f "$file.rc"
    "$lab" watch start $guest
    (
        rc=0
        t0=${EPOCHREALTIME/./}
        # At the limit as by Ctrl-C: in COPY ours gives the move up, in PULL it goes on.
        timeout $((limit + 600)) "$lab" ssh "$from" \
            "timeout -s INT $limit $* $guest ${address[${other[$from]}]}" \
            >"$file.out" 2>"$file.err" </dev/null || rc=$?
        echo $((${EPOCHREALTIME/./} - t0)) >"$file.us"
        echo $rc >"$file.rc"
    ) &
    background+=($!)
    mover=$!
}

# end_move KIND RUN FILE WATCHED_S: wait for it, and so long after it, then all that is to be
# asked, and FILE.json. It is 1 if there was trouble; then there is a new guest on host a.
end_move() {
    local kind=$1 run=$2 file=$3 to=${other[$at]} rc answer trouble='' where
    wait "$mover" || true
    rc=$(cat "$file.rc" 2>/dev/null || echo "nothing: the move's shell died")
    case $rc in
    0) ;;
    124 | 130) trouble="hit the limit of $limit s" ;;
    *) trouble="ended with status $rc: $(report_of "$file.out" | jq -r '.error // empty') $(tail -n 1 "$file.err")" ;;
    esac
    if [ -z "$trouble" ]; then
        [ "$4" = 0 ] || sleep "$4" # the time after the move that is to be watched
        "$lab" guest wait $guest 120 >/dev/null 2>&1 || trouble="the guest does not answer after it"
    fi
    "$lab" watch stop $guest "$file.watch" >/dev/null || die "the watch gave nothing"
    if [ -z "$trouble" ]; then
        where=$("$lab" guest where $guest)
        [ "$where" = "$to" ] || die "$kind: the guest is on host '$where' after a move to $to"
        answer=$("$lab" guest cmd $guest verify)
        case $answer in OK*) ;; *) die "$kind: verify says $answer" ;; esac
        jq -e '.backwards == 0 and .skipped == 0' "$file.watch" >/dev/null ||
            die "$kind: the heartbeat was disturbed: $(cat "$file.watch")"
        at=$to
    fi
    jq -n --arg case "$kind" --argjson run "${run%%.*}" --arg trouble "$trouble" \
        --argjson us "$(cat "$file.us" 2>/dev/null || echo 0)" --slurpfile w "$file.watch" \
        --argjson report "$(report_of "$file.out")" '
        {case: $case, run: $run} + if $trouble == "" then
            {total_s: ($us / 1e6), downtime_s: $w[0].heartbeat_gap_s, report: $report, trouble: null}
        else {total_s: null, downtime_s: null, report: $report, trouble: $trouble} end' >"$file.json" ||
        die "$kind: no figures from $file.watch"
    say "  $(jq -r '"\(.case): " + (.trouble // "\(.total_s * 10 | round / 10) s, downtime " +
        "\(.downtime_s * 1000 | round) ms")' "$file.json")"
    [ -n "$trouble" ] || return 0
    new_guest
    return 1
}
