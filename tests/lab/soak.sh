#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `make lab-soak`: a guest under load moves there and back, every byte verified each time.
#   MOVES=N    how many moves (20: ten times there and back)
#   GUEST=hvm  an HVM guest with QEMU (pvh)
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/t/lib.bash"

moves=${MOVES:-20}
case ${GUEST:-pvh} in
pvh) kind=() limit=10 ;;
hvm) kind=(--type hvm) limit=20 ;;
*)
    echo "GUEST is pvh or hvm, not '$GUEST'"
    exit 1
    ;;
esac
ours=no
if ! lab status >/dev/null 2>&1; then
    lab up
    ours=yes
fi
for h in a b; do
    lab put $h "$top/build/xl" /usr/local/sbin/xl
done
# Linux 6.1 loses 1 MiB at every move (docs/xen-notes.md), so it gets one more for each.
guest_start a soak "${kind[@]}" --mem $((140 + moves)) --fill 32 --rate 200 --pattern hot --vcpus 2 --ip 151 --disk vdb
at=a
for n in $(seq "$moves"); do
    case_begin "soak: move $n of $moves, from $at"
    lab watch start "$guest"
    good_move "$at"
    beat $limit
    note "downtime $(report .downtime_s) s, heartbeat gap $(jq .heartbeat_gap_s "$work/watch.json") s"
    at=${other[$at]}
    case_end
    [ "$failed" = 0 ] || break
done
lab guest stop "$guest"
guest=
[ $ours = no ] || lab down
finish
