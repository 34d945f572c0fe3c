#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Four nodes. The health of one turns red: its guests leave, and come back to nothing. Another is
# shut down: its guests leave before its Pacemaker ends. Guests of the others stay.
# shellcheck disable=SC2317 # called by until_true
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"

cluster_up 4 g1=1 g2=1 g3=2 g4=2 g5=3

# GUESTS-THAT-LEFT NODE THOSE-THAT-STAYED: none of the first is on the node, all are known.
left() {
    local g
    for g in $1; do
        case " $(where "$g") " in *" xen$2"* | "  ") return 1 ;; esac
    done
    all_known
}
on 4 attrd_updater -N xen1 -n '#health-memory' -U red || fail "no health"
until_true "the ailing node is not empty" left "g1 g2" 1
at g3 2
at g4 2
at g5 3

stop_node 2
until_true "xen2 does not shut down" node_stopped 2
until_true "the guests of xen2 are unknown" left "g1 g2 g3 g4" 2
left "g1 g2 g3 g4" 1 || fail "a guest went to the ailing node"
at g5 3
check_log 2
finish
