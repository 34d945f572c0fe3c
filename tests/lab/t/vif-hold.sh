#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The network waits in PULL whatever the guest does: one interface connects by itself, and sends
# pages that have not come yet. dom0's kernel must never meet one of them in netback.
# shellcheck disable=SC2317 # functions are called by until_true
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

# HOST: what its kernel says of backends that slept where they may not.
kernel_said() {
    on "$1" "dmesg | grep -E 'scheduling while atomic|BUG:|Call Trace' | head -n 5 || true"
}
# Whether the second interface is connected, as the guest and its backend say.
alone() { # HOST
    [ "$(on "$1" "d=\$(xl domid $guest 2>/dev/null || xl domid $guest--incoming)
        xenstore-read /local/domain/0/backend/vif/\$d/1/state")" = 4 ]
}
# Each of the 16 pages that it sends again and again by its second interface has come, and nothing
# else. (What is sent before the network is let go may be lost, as on any network.)
all_came() {
    [ -s "$work/expected" ] || lab guest cmd "$guest" rogue >"$work/expected"
    python3 - "$work/expected" "$work/datagrams" <<'END'
import sys
def pages(name):
    with open(name, "rb") as f:
        data = f.read()
    return {data[i:i + 1400] for i in range(0, len(data), 1400)}
want, came = (pages(name) for name in sys.argv[1:])
sys.exit(len(want) != 16 or want != came)
END
}

wait_for_the_pull() { # HOST
    until_true 240 in_phase PULL || bad "it does not come to PULL: $(error_text)"
    until_true 120 alone "$1" || bad "the guest did not connect by itself: this shows nothing"
}

guest_start a rogue --mem 128 --fill 16 --rate 50 --rogue 1 --ip 124 --disk vdb
ip netns exec "${XENFERRY_LAB_NS:-xflab}" socat -u UDP4-RECV:7009,so-rcvbuf=212992 "CREATE:$work/datagrams" &
background+=($!)

case_begin "a frontend that connects in PULL by itself"
on b "dmesg -C"
move_in_background a "XENFERRY_PULL=no-push=30" --postcopy
wait_for_the_pull b
in_phase FINISH && bad "PULL was over before it had connected"
move_ends 0
said=$(kernel_said b)
[ -z "$said" ] || bad "the kernel of host b says: $said"
until_true 20 is_seen b || bad "the network still looks for the guest on host $(lab guest seen "$guest")"
intact b
empty a
note "network held for $(report .pull.network_held_s) s, downtime $(report .downtime_s) s"
case_end

case_begin "its network is back, and sends what was in the pages"
until_true 60 all_came || bad "$(stat -c %s "$work/datagrams") bytes came, and not what was in them"
[ "$(status_field rogue_connects)" = 1 ] || bad "it connected $(status_field rogue_connects) times"
paging_is_off b
case_end
finish
