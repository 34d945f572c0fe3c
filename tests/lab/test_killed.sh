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

mkdir "$work/state"
sleep 0 &
gone=$!
wait $gone
for name in a b collect watchdog; do
    echo "$gone 1" >"$work/state/pid.$name"
done
echo 'Host *' >"$work/state/ssh_config"
# Bound, and nobody listens any more.
python3 -c 'import socket, sys
for path in sys.argv[1:]:
    socket.socket(socket.AF_UNIX).bind(path)' \
    "$work/state/ssh.a" "$work/state/ssh.b" "$work/state/a.monitor" || exit 1

out=$("$lab" down 2>&1 </dev/null)
rc=$?
bad=0
[ $rc = 0 ] || { bad=1 && echo "FAIL: lab down: status $rc: $out"; }
[ "$out" = "lab: down" ] || { bad=1 && echo "FAIL: it says: $out"; }
[ ! -e "$work/state" ] || { bad=1 && echo "FAIL: the state is left"; }
[ $bad = 0 ] && echo passed
exit $bad
