# SPDX-License-Identifier: LGPL-2.1-or-later
# How long a guest stood still, seen from outside, all on one clock: heartbeats
# relayed from the hosts' console logs, and a ping every 10 ms, or what the guest bears (guest_start).

BEATS=$STATE/beats.log # of all guests, since `lab up`

# Started once, by `lab up`.
collector_start() {
    : >"$BEATS"
    cp "$(of_suite "$(suite_of a)" overlay_item)"/xf-{collect,ping} "$STATE/"
    spawn collect "$STATE/collect.log" ip netns exec "$NS" "$STATE/xf-collect" 7001 "$BEATS"
}

watch_start() {
    local name=$1 ip
    ip=$(guest_ip "$name") || exit 1
    pid_kill "ping.$name"
    rm -f "$STATE/ping.$name"
    spawn "ping.$name" "$STATE/ping.log" \
        ip netns exec "$NS" "$STATE/xf-ping" "$ip" "$STATE/ping.$name" "$(cat "$STATE/period.$name")"
    retry 5 grep -qs '^# start' "$STATE/ping.$name" || die "no ping: $STATE/ping.log"
}

# A JSON object. A gap counts from the start of the watch to its end, so a
# guest that never comes back shows as a long one. See docs/lab.md.
watch_stop() {
    local name=$1 out=$2 from to
    pid_of "ping.$name" >/dev/null || die "not watching $name: lab watch start $name"
    pid_kill "ping.$name"
    # The pinger's own clock says from when to when.
    from=$(sed -n 's/^# start //p' "$STATE/ping.$name")
    to=$(awk '$2 == "stop" { print $3 }' "$STATE/ping.$name")
    {
        echo '{'
        awk -v from="$from" -v to="$to" -v name="$name" -f "$LAB/lib/beats.awk" "$BEATS"
        awk -v from="$from" -v to="$to" -f "$LAB/lib/pings.awk" "$STATE/ping.$name"
        echo '}'
    } >"$out"
    awk -v from="$from" -v name="$name" '$1 >= from && $3 == name' "$BEATS" >"$out.beats"
    mv "$STATE/ping.$name" "$out.pings"
    cat "$out"
}

cmd_watch() {
    lab_must_be_up
    case "${1-} $#" in
    "start 2") watch_start "$2" ;;
    "stop 3") watch_stop "$2" "$3" ;;
    *) die "usage: lab watch start NAME | stop NAME OUT.json" ;;
    esac
}
