#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A cluster whose test is killed by SIGKILL, with moves under way, leaves nothing: no process, no mount,
# no loop device, no interface.
set -u -o pipefail
cd "$(dirname "$0")" || exit 2
if [ "${1-}" = victim ]; then
    # shellcheck source=tests/cluster/lib.bash
    . ./lib.bash
    cluster_up 2 g1=1 g2=1
    printf 'pull=600000\n' >"$MNT/shared/plan/g1"
    on 2 crm_standby -N xen1 -v on
    # shellcheck disable=SC2317 # called by until_true
    moves() { [ "$(happened "go g1")" = 1 ]; }
    until_true "it does not move" moves
    loop=$(findmnt -n -o SOURCE "$MNT/base")
    loop=/sys/block/${loop#/dev/}
    echo "victim: up $loop $(cat "$loop/diskseq")"
    sleep 600
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What could be left: processes by a mark in their environment.
ours() { grep -lsF "XF_CLUSTER_MARK=$work" /proc/[0-9]*/environ | cut -d/ -f3; }
seen() { # of a cluster; other tests come and go
    findmnt -rn -o TARGET,SOURCE | grep -E '^/mnt| cluster| node$' | sort
    ip -o link | awk -F': ' '{ print $2 }' | grep -E '^(br0|v[0-9])'
}
bad=0
before=$(seen)
: >"$work/out"
XF_CLUSTER_MARK=$work bash ./test_left.sh victim >"$work/out" 2>&1 &
victim=$!
end=$((SECONDS + 300))
until grep -q "^victim: up" "$work/out"; do
    if ! kill -0 $victim 2>/dev/null; then
        wait $victim
        rc=$?
        cat "$work/out"
        exit $rc
    fi
    [ $SECONDS -lt $end ] || break
    sleep 1
done
grep -q "^victim: up" "$work/out" || { bad=1; echo "FAIL: it does not come up: $(cat "$work/out")"; }
[ "$(ours | wc -l)" -gt 10 ] || { bad=1; echo "FAIL: its processes are not found"; }
read -r _ _ loop number < <(grep "^victim: up" "$work/out")
attached() { [ -e "$loop/loop" ] && [ "$(cat "$loop/diskseq")" = "$number" ]; }
attached || { bad=1; echo "FAIL: there is no loop device '$loop'"; }
kill -KILL $victim
wait $victim 2>/dev/null
end=$((SECONDS + 60))
while [ -n "$(ours)" ] || [ "$(seen)" != "$before" ] || attached; do
    if [ $SECONDS -ge $end ]; then
        bad=1
        echo "FAIL: left: $(ours | paste -sd , | xargs -r ps -o pid,args -p) $(diff <(echo "$before") <(seen)) $loop"
        break
    fi
    sleep 0.5
done
[ $bad = 0 ] && echo passed
exit $bad
