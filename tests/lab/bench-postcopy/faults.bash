# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The part "faults": how long a fault takes while nothing is pushed and while all is, and what
# share of the pages that the workload touches in PULL has to be asked for over the network, with
# pushes that follow the faults and without (XENFERRY_PULL=linear).
#
# So that PULL holds the workload's memory and no more, the guest rewrites all of it after one
# round of COPY, while the move waits at a hold point. Then the pattern under test begins, at a
# quarter of the rate at which PULL pushed in the part "moves" (40 pages/s if that did not run;
# TOUCH_RATE=PAGES/s). Half of the touches read.
#
# The link is faster here than for the moves: what is asked is how long a fault takes while all is
# pushed, and on a link on which one page takes 2 ms that is the time of the pages before it.
#
# Asked for are also pages of the guest's kernel and of its backends; touched are only those that
# the workload names. That is against us, and little.

hold=/tmp/bench-hold
poll=/tmp/bench-poll

touch_rate() {
    local rate=${TOUCH_RATE-}
    # No such file, or none that says it: nothing is known of this boot.
    [ -n "$rate" ] || rate=$(jq -es 'map(select(.trouble == null) | .report
        | .pull.left_out / .phase_s.PULL / 4) | add / length
        | if . < 10 then 10 elif . > 400 then 400 else round end' "$cases"/hybrid-[0-9]*.json 2>/dev/null) ||
        rate=40
    echo "$rate"
}

held() { on "$1" "test -e $hold" 2>/dev/null; }

# What the destination says of the move, every other second until the flag goes; in the host, so
# that each time costs one process.
watch_status() { # HOST FILE
    on "$1" "touch $poll"
    timeout $((limit + 600)) "$lab" ssh "$1" "while test -e $poll; do
        xl migrate-status --json 2>/dev/null; sleep 2; done" >"$2" 2>/dev/null </dev/null &
    poller=$!
    background+=("$poller")
}

# All pages that the workload has, each once at least.
rewrite_all() {
    local before now pages end=$((SECONDS + 90)) # a hold point lets go after 120
    read -r before pages < <(written)
    cmd rate 4000
    while read -r now _ < <(written) && [ $((now - before)) -lt "$pages" ]; do
        [ $SECONDS -lt $end ] || die "the guest rewrote $((now - before)) of $pages pages in 90 s"
    done
}

# Pages written so far, and how many there are to be written.
written() {
    timeout 60 "$lab" guest cmd $guest status | jq -r '"\(.page_writes) \(.pages)"'
}

# pull KIND RUN PATTERN RATE SWITCH: one move, with the pattern's figures in KIND-RUN.json.
pull() {
    local kind=$1 run=$2 pattern=$3 rate=$4 file=$cases/$1-$2 from=$at to=${other[$at]} answer range
    local deadline=$((SECONDS + limit)) came=no rc
    ! kept "$kind" "$run" || return 0
    on "$from" "rm -f $hold"
    cmd pattern seq
    cmd reads 0
    cmd rate 0
    begin_move "$file" "env XENFERRY_PULL=$5 XENFERRY_HOLD=before-switch=$hold" \
        xl migrate --tcp --json --postcopy-after 1
    while [ ! -e "$file.rc" ] && [ $SECONDS -lt $deadline ]; do
        if held "$from"; then
            rewrite_all
            cmd pattern "$pattern"
            cmd reads 50
            cmd rate "$rate"
            watch_status "$to" "$file.status"
            came=yes
            on "$from" "rm -f $hold"
            break
        fi
        sleep 0.2
    done
    end_move "$kind" "$run" "$file" 0 && rc=0 || rc=$?
    if [ $came = yes ]; then
        on "$to" "rm -f $poll"
        wait "$poller" || true
    fi
    [ $rc = 0 ] || return 0
    [ $came = yes ] || die "$kind: the move did not come to its hold point: $(tail -n 1 "$file.err")"
    range=$(python3 -B "$parts/beats.py" "$file.watch.beats" "$(jq .report.phase_s.PULL "$file.json")") ||
        die "$kind: $file.watch.beats does not say when the guest changed hosts"
    # shellcheck disable=SC2086 # two words
    answer=$("$lab" guest cmd $guest touched $range)
    case $answer in OK*) ;; *) die "$kind: the guest says of what it touched: $answer" ;; esac
    jq --arg pattern "$pattern" --arg switch "$5" --argjson rate "$rate" \
        --argjson touches "$(sed 's/.*touches=\([0-9]*\).*/\1/' <<<"$answer")" \
        --argjson pages "$(sed 's/.*pages=\([0-9]*\).*/\1/' <<<"$answer")" \
        --slurpfile said "$file.status" '
        # The last word before anything was pushed: till then only what was asked for had come.
        ($said | map(select(.type == "status" and .role == "destination" and .phase == "PULL"
            and .missing != null and .left_out - .missing <= .faults + 16)) | last) as $quiet
        | . + {pattern: $pattern, switch: $switch, rate: $rate, touches: $touches, pages: $pages,
               quiet: ($quiet // {} | {faults, fault_median_s, fault_p99_s})}' \
        "$file.json" >"$file.tmp" || die "$kind: cannot read $file.status"
    mv "$file.tmp" "$file.json"
}

faults() { # RUN
    local n=$1 rate pattern how
    "$lab" net rate "$fault_link" || die "cannot shape the link"
    new_guest --mem 160 --fill 40 --zero 0 --rate 2000 --ip 154 --disk vdb
    rate=$(touch_rate)
    say "  in PULL $rate pages/s are touched"
    # Long enough for some hundred faults one after the other.
    pull fault-idle "$n" random "$rate" no-push=40
    for pattern in ${PATTERNS:-seq stride random}; do
        for how in adaptive linear; do
            pull "$how-$pattern" "$n" "$pattern" "$rate" "$([ $how = adaptive ] || echo linear)"
        done
    done
    "$lab" guest stop $guest >/dev/null
}
