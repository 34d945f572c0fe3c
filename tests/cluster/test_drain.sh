#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Two nodes. A drain of six guests, two at a time: one is refused, one is in PULL for seconds, the
# mover of one dies in PULL, and the agent of one is killed there. Five arrive, the refused one runs on
# where it was, and leaves when the reason is gone. Then the other node is shut down, and its guests
# come back first.
# shellcheck disable=SC2317 # called by until_true
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"

cluster_up 2 g1=1 g2=1 g3=1 g4=1 g5=1 g6=1
echo "pull=15000" >"$MNT/shared/plan/g1"
echo "refuse=1" >"$MNT/shared/plan/g2"
echo "pull=4000" >"$MNT/shared/plan/g3"
printf 'pull=4000\ndie=1\n' >"$MNT/shared/plan/g4"

on 2 crm_standby -N xen1 -v on || fail "no standby"

# What a timeout of g1's migrate_to does, in its PULL: SIGKILL to the agent's process group.
pulls() { [ "$(happened "go g1")" = 1 ]; }
until_true "g1 does not move" pulls
cut=no
for pid in $(pgrep -f 'xenferry/Guest migrate_to'); do
    group=$(ps -o pgid= -p "$pid" | tr -d ' ')
    if grep -qz '^OCF_RESOURCE_INSTANCE=g1$' "/proc/$pid/environ" 2>/dev/null && [ -n "$group" ] &&
        kill -KILL -- "-$group"; then
        cut=yes
        echo "xen1 cut g1" >>"$MNT/shared/log"
        break
    fi
done
# A machine that is busy enough has let it end; then there is nothing to be seen of this.
[ $cut = yes ] || [ "$(happened "end g1")" = 1 ] || fail "no agent waits for g1"

blocked() { grep -q "<resource id=\"$1\" [^>]*blocked=\"true\"" <<<"$crm"; }
drained() {
    local g
    for g in g1 g3 g4 g5 g6; do
        is_on "$g" 2 || return
    done
    crm
    for g in g3 g4 g5 g6; do
        known_on "$g" 2 || return
    done
    blocked g2 && { [ "$cut" = no ] || blocked g1; }
}
until_true "xen1 is not drained" drained
for g in g1 g3 g4 g5 g6; do at $g 2; done
at g2 1
# Not in crm_mon: Pacemaker 2.1.5 keeps no reasons of migrate_to.
grep -q 'g2 was not moved to xen2 and runs on here (status 1' "$MNT/node/xen1/var/log/pacemaker/pacemaker.log" ||
    fail "no reason for g2 in xen1's log"
[ "$(happened "refused g2")" = 1 ] || fail "g2 was refused $(happened "refused g2") times"
[ "$(happened "dead g4") $(happened "recover g4")" = "1 1" ] || fail "g4 was not recovered"
check_log 2

# The reason is gone.
rm "$MNT/shared/plan/"*
for g in g1 g2; do
    on 2 crm_resource --cleanup -r $g >/dev/null 2>&1 || fail "no cleanup"
done
gone() { is_on g2 2 && all_known; }
until_true "g2 has not left" gone
check_log 2

# A shutdown.
on 2 crm_standby -N xen1 -v off || fail "no end of standby"
stop_node 2
until_true "xen2 does not shut down" node_stopped 2
for g in $GUESTS; do at "$g" 1; done
check_log 2
finish
