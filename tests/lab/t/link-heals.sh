#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The network is away for a while and comes back, and nobody does anything about it: COPY goes on,
# and in PULL pages flow again within 10 s. "cut" is a dead switch, frames vanish; "down" takes
# the carrier away. The bootstrap pipe (ssh) goes over the same network.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

MOVE_LIMIT=900
END_LIMIT=600

# Without a disk: its backend gives up on a page after 33 s (docs/xen-notes.md).
guest_start a heals --mem 128 --fill 40 --rate 500 --ip 126 --disk none
at=a

away() { # cut|down SECONDS
    lab net "$1"
    sleep "$2" # this long, whatever happens meanwhile
    lab net "$([ "$1" = cut ] && echo heal || echo up)"
}
missing() { jq -rs 'map(select(.type == "progress" and .phase == "PULL")) | last | .missing' "$work/json"; }
# shellcheck disable=SC2317 # called by until_true
less_missing() { # THAN
    local n
    move_over && return 0
    n=$(missing) && [ -n "$n" ] && [ "$n" != null ] && [ "$n" -lt "$1" ]
}

in_copy() { # cut|down SECONDS RECONNECTS-AT-LEAST
    wanted "COPY $1 $2" || return 0
    case_begin "in COPY: the network is away ($1) for $2 s"
    move_in_background "$at" "" --precopy --bandwidth 2
    until_true 120 copying || bad "no COPY: $(error_text)"
    away "$1" "$2"
    move_ends 0
    [ "$(report '.link_lost.reconnects // 0')" -ge "$3" ] ||
        bad "the report tells of $(report '.link_lost') and not of $3 new links"
    note "$(report '.link_lost // "TCP waited by itself"'), $(report .total_s) s in all"
    [ "$(report '.link_lost.reconnects // 0')" = 0 ] ||
        grep -q "the link is back" "$work/json" || bad "nobody said that the link is back"
    intact "${other[$at]}"
    empty "$at"
    at=${other[$at]}
    case_end
}

in_pull() { # cut|down SECONDS
    local before began
    wanted "PULL $1 $2" || return 0
    case_begin "in PULL: the network is away ($1) for $2 s"
    move_in_background "$at" "XENFERRY_PULL=no-push=3" --postcopy
    until_true 300 in_phase PULL || bad "no PULL: $(error_text)"
    until_true 30 less_missing 1000000 || bad "nobody says what is missing"
    away "$1" "$2"
    before=$(missing)
    began=$SECONDS
    ! move_over || bad "PULL was over before"
    # One second more than is asked: this looks at whole ones, and by ssh.
    until_true 11 less_missing "$before" || bad "no page within 10 s: $before are missing still"
    note "pages flow $((SECONDS - began)) s after the network's return"
    move_ends 0
    note "by the source: $(report '.pull | "away \(.away_s) s, pages \(.recovery_s) s after the first answer"')"
    [ "$2" -lt 15 ] || [ "$(report '.pull.reconnects')" -ge 1 ] || bad "the report tells of no new link"
    report '.pull | .reconnects == 0 or .recovery_s < 10' | grep -q true ||
        bad "it took $(report .pull.recovery_s) s"
    intact "${other[$at]}"
    empty "$at"
    at=${other[$at]}
    case_end
}

in_copy cut 5 0
in_pull cut 20
enough_for_quick
in_copy down 5 0
in_copy cut 20 1
in_pull cut 5
in_pull down 5
in_pull cut 120
finish
