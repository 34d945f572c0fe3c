#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Row 1 of the failure contract: whatever fails in COPY, the guest runs on at the source as
# if nothing had been, nothing is left at the destination, and the next move succeeds.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

guest_start a copied --mem 128 --fill 24 --rate 100 --ip 115 --disk vdb
at=a

# fails_in_copy NAME STATUS COMMAND...: the command does the damage, in COPY.
fails_in_copy() {
    local name=$1 status=$2 to=${other[$at]}
    shift 2
    wanted "$name" || return 0
    case_begin "in COPY: $name"
    lab watch start "$guest"
    move_in_background $at "" --bandwidth 2 --reconnect 5
    until_true 90 copying || bad "no COPY: $(error_text)"
    "$@"
    move_ends "$status"
    note "$(report .error)"
    lab net heal
    # It ran all the time: what shows is the noise of an emulated machine.
    beat 2
    intact $at
    until_true 45 is_empty "$to" || empty "$to"
    good_move $at
    at=$to
    case_end
}
fails_in_copy "the receiving xl is killed" 3 kill_receiver
enough_for_quick
fails_in_copy "the sink is killed" 3 kill_sink
fails_in_copy "the link is cut" 3 cut_link
fails_in_copy "Ctrl-C" 3 interrupt
fails_in_copy "the destination is out of memory" 3 no_more_memory
finish
