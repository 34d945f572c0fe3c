# SPDX-License-Identifier: LGPL-2.1-or-later
# Ping log lines (RECEIVED SEQ SENT; "# start NOW", "# stop NOW SENT") -> JSON
# members.
BEGIN { prev = from }
/^#/ { sent = $4; next }
{
    n++
    if ($1 - prev > gap) gap = $1 - prev
    if ($1 - $3 > rtt) rtt = $1 - $3
    prev = $1
}
END {
    if (to - prev > gap) gap = to - prev
    printf "\"ping_gap_s\": %.4f, \"pings\": %d, \"pings_lost\": %d, \"ping_max_s\": %.4f\n", \
        gap / 1e9, sent, sent - n, rtt / 1e9
}
