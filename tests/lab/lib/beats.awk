# SPDX-License-Identifier: LGPL-2.1-or-later
# Heartbeat log lines (ARRIVAL HOST GUEST SEQ GUEST_NS) -> JSON members.
#   skipped    a number between the first and the last that never arrived
#   repeated   the same line twice: two console daemons read the same ring
#   backwards  an old number with another time, or a time that went back: the
#              guest ran twice, or from an old state
BEGIN { prev = from }
$1 < from || $1 > to || $3 != name { next }
{
    n++
    if (seen[$4]) {
        if (seen[$4] == $5) repeated++
        else backwards++
        next
    }
    if ($4 < max) backwards++ # never seen, yet older than what was seen
    else if (max) {
        skipped += $4 - max - 1
        if ($5 <= maxns) backwards++
    }
    seen[$4] = $5
    if ($4 > max) { max = $4; maxns = $5 }
    if ($1 - prev > gap) { gap = $1 - prev; at = prev; hosts = last $2 }
    prev = $1
    last = $2
}
END {
    if (to - prev > gap) { gap = to - prev; at = prev; hosts = last "-" }
    printf "\"heartbeat_gap_s\": %.4f, \"gap_at_s\": %.3f, \"gap_hosts\": \"%s\",\n", \
        gap / 1e9, (at - from) / 1e9, hosts
    printf "\"heartbeats\": %d, \"skipped\": %d, \"repeated\": %d, \"backwards\": %d,\n", \
        n, skipped, repeated, backwards
}
