#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a lab leaves whose processes were all killed (the machine's memory ran out, a job's time
# was over) must not be in the way of the next: pids that run no more, sockets that nobody listens
# at. Such a state is made up here, in a place of its own, and taken down.
set -u -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XENFERRY_LAB_STATE=$work/state XENFERRY_LAB_NS=xf-test-killed
lab=$(cd "$(dirname "$0")" && pwd)/lab

state() { sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f1; }

mkdir "$work/state"
sleep 0 &
gone=$!
wait $gone
for name in b collect watchdog; do
    echo "$gone 1" >"$work/state/pid.$name"
done
# Its parent never waits.
sh -c 'sleep 0.1 & echo $! >"$1/zombie"; exec sleep 60' sh "$work/state" &
parent=$!
until zombie=$(cat "$work/state/zombie" 2>/dev/null) && [ "$(state "$zombie")" = Z ]; do
    sleep 0.02
done
echo "$zombie $(sed 's/.*) //' "/proc/$zombie/stat" | cut -d' ' -f20)" >"$work/state/pid.a"
echo 'Host *' >"$work/state/ssh_config"
# Bound, and nobody listens any more.
python3 -c 'import socket, sys
for path in sys.argv[1:]:
    socket.socket(socket.AF_UNIX).bind(path)' \
    "$work/state/ssh.a" "$work/state/ssh.b" "$work/state/a.monitor" || exit 1

up=$("$lab" status 2>&1 </dev/null)
out=$("$lab" down 2>&1 </dev/null)
rc=$?
kill $parent
bad=0
[ "$up" = "lab: down" ] || { bad=1 && echo "FAIL: lab status: $up"; }
[ $rc = 0 ] || { bad=1 && echo "FAIL: lab down: status $rc: $out"; }
[ "$out" = "lab: down" ] || { bad=1 && echo "FAIL: it says: $out"; }
[ ! -e "$work/state" ] || { bad=1 && echo "FAIL: the state is left"; }
[ $bad = 0 ] && echo passed
exit $bad
