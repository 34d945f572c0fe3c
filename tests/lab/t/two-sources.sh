#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Two moves that bring a guest of one name to one host: the second is refused in CHECK and told of
# the first, whose copy nobody else takes for his own, fills or destroys; not within one host, and
# not when a receiver is killed.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

guest_start a twin --mem 128 --fill 24 --rate 100 --ip 134 --disk vdb
lab guest start a other --mem 128 --fill 8 --rate 50 --ip 135 --disk none >"$work/start"
# shellcheck disable=SC2317 # called by the trap
clean() { # also if the test ends early
    local rc=$?
    lab guest stop other >/dev/null 2>&1 || true
    set +e
    (exit "$rc")
    leave
}
trap clean EXIT

# as HOST DOMAIN NAME: that domain's configuration under another name, in /tmp/as-NAME.cfg there.
as() {
    on a "sed \"s/^name.*/name = '$3'/\" /root/$2.cfg" >"$work/as"
    lab put "$1" "$work/as" "/tmp/as-$3.cfg"
}

# second_is_refused FROM DOMAIN NAME TO: moving it under that name is refused, by the lock.
second_is_refused() {
    local text pid
    if on "$1" "xl migrate --$transport --json -C /tmp/as-$3.cfg $2 ${address[$4]}" \
        >"$work/second" 2>"$work/second.err"; then
        bad "the second move was not refused"
    fi
    text=$(jq -rs 'map(select(.type == "report")) | last | .error' "$work/second")
    note "$text"
    [ "$(jq -rs 'map(select(.type == "report")) | last | .outcome' "$work/second")" = refused ] ||
        bad "outcome: $(cat "$work/second" "$work/second.err")"
    case $text in
    *"another move of a domain named \"$3\" is arriving there already"*) ;;
    *) bad "it is refused for another reason: $text" ;;
    esac
    pid=$(sed -n "s/.*receiver's pid \([0-9]*\).*/\1/p" <<<"$text")
    on "$4" "grep -q migrate-receive /proc/${pid:-0}/cmdline" || bad "no receiver has pid '$pid'"
}

# dies_in_check HOST NAME SECONDS: a receiver there gets the hello of a domain of that name, and
# its sink is killed so long after it could read the end of it.
dies_in_check() {
    local hello
    hello=$(printf '{"version":1,"domain":"%s","uuid":"2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11",' "$2"
        printf '"boot_id":"","key":"%064d","channels":2,"transport":"tcp","encrypt":true,' 0
        printf '"seal":false,"rdma_buffer_mib":0,"rdma":{"state":"unasked","why":"",'
        printf '"addresses":[]},"leave_paused":false,"check_only":false,"need_kib":1,'
        printf '"xen_major":4,"xen_minor":17,"cpuid":"","msrs":""}')
    {
        printf 'Xenferry move, protocol 1\n'
        head -c 38 /dev/zero
        # shellcheck disable=SC2059 # the number is the format
        printf "\\x$(printf %02x $((${#hello} & 255)))\\x$(printf %02x $((${#hello} >> 8)))\\0\\0"
        printf %s "$hello"
    } >"$work/hello"
    lab put "$1" "$work/hello" /tmp/hello
    on "$1" "rm -f /tmp/in; mkfifo /tmp/in
        xl migrate-receive </tmp/in >/tmp/reply 2>&1 &
        exec 7>/tmp/in
        head -c 100 /tmp/hello >&7
        for i in \$(seq 500); do sink=\$(pgrep -P \$!) && break; sleep 0.02; done
        kill -STOP \$sink; tail -c +101 /tmp/hello >&7; kill -CONT \$sink
        sleep $3
        kill -KILL \$sink 2>/dev/null && echo killed
        exec 7>&-
        wait" >"$work/killed" || true
    note "its sink after $3 s: $(tail -n 1 "$work/killed" | grep . || echo had ended)"
}

case_begin "two sources with a guest of one name"
as a other twin
move_in_background a "XENFERRY_HOLD=before-suspend=/tmp/hold" --bandwidth 20
until_true 120 on a "test -e /tmp/hold" || bad "the first move does not come to its hold: $(error_text)"
copy=$(on b "xl domid twin--incoming")
second_is_refused a other twin b
for after in 0 0.02 0.1 0.3; do
    dies_in_check b twin $after
    [ "$(on b "xl domid twin--incoming")" = "$copy" ] || bad "the first one's copy is gone"
done
on a "rm -f /tmp/hold"
move_ends 0
intact b
[ "$(on b "xl domid twin")" = "$copy" ] || bad "it is not the domain that was built"
is_seen b || until_true 20 is_seen b || bad "the network looks for it elsewhere"
[ "$(lab guest where other)" = a ] || bad "the other guest is on '$(lab guest where other)'"
until_true 20 no_trace b || bad "left there: $(on b "ls /run/xenferry")"
case_end

case_begin "... and a move within one host"
as b twin other
on a "rm -f /tmp/hold /tmp/within.status
    (XENFERRY_HOLD=before-suspend=/tmp/hold xl migrate --$transport --json -s '' other \
        'xl migrate-receive' >/tmp/within 2>&1; echo \$? >/tmp/within.status) </dev/null \
        >/dev/null 2>&1 &"
until_true 120 on a "test -e /tmp/hold" || bad "the move within a does not come to its hold: $(on a "cat /tmp/within")"
copy=$(on a "xl domid other--incoming")
second_is_refused b twin other a
[ "$(on a "xl domid other--incoming")" = "$copy" ] || bad "the first one's copy is gone"
on a "rm -f /tmp/hold"
until_true 120 on a "test -e /tmp/within.status" || bad "the move within a does not end"
[ "$(on a "cat /tmp/within.status")" = 0 ] || bad "it ended with $(on a "cat /tmp/within.status; tail -n 3 /tmp/within")"
[ "$(on a "xl domid other")" = "$copy" ] || bad "it is not the domain that was built"
[ "$(on a "xl list" | grep -c other)" = 1 ] || bad "there are several: $(on a "xl list")"
case_end

# The source of the first hears at once that the sink is dead; its guard takes as long as xl needs
# to destroy the copy. So the second comes while that is under way.
# lib.bash's looks for the oldest receiver, which on this host is the monitor of "other" by now.
kill_sink() {
    on a "kill -KILL \$(ls /run/xenferry | sed -n 's/^destination-\([0-9]*\)\.sock\$/\1/p')"
}

case_begin "the sink is killed, and the next move of that name is at its heels"
at=b
move_in_background b "" --bandwidth 2
until_true 120 copying || bad "no COPY: $(error_text)"
kill_sink
move_ends 3
tries=0 refused=0
until move b; do
    tries=$((tries + 1))
    [ "$(report .outcome)" = refused ] || bad "the next move ended so: $(report .outcome), $(report .error)"
    case $(report .error) in
    *"another move of a domain named"* | *"--incoming\" exists there already"*) refused=$((refused + 1)) ;;
    *) bad "refused for another reason: $(report .error)" ;;
    esac
    [ "$(lab guest where twin)" = b ] || bad "the guest is on '$(lab guest where twin)'"
    [ $tries -lt 60 ] || break
done
note "the next move was refused $refused times before the first one's copy was gone"
intact a
[ "$(on a "xl list" | grep -c twin)" = 1 ] || bad "there are several: $(on a "xl list")"
[ "$(on b "xl list" | grep -c twin)" = 0 ] || bad "left behind: $(on b "xl list")"
case_end
finish
