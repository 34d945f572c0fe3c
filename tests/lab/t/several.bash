# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# shellcheck disable=SC2154 # of lib.bash
#
# Several guests at once, for the tests in which a whole host empties. Sourced after lib.bash; $guest is
# the one of them that was asked last.

guests=()
beats_from=0 most=0

# Small ones, with addresses from .141 on, the first two with a disk. Few heartbeats: dom0 has one
# processor for all of them.
several_start() { # HOST NAME...
    local h=$1 disks=(vdb vdc none none) g n
    shift
    for g; do
        n=${#guests[@]}
        guests+=("$g")
        guest_start "$h" "$g" --mem 112 --fill 16 --rate 20 --diskrate 5 --beat 100 --ip $((141 + n)) \
            --disk "${disks[n]}"
    done
}

# For a trap: also where the test has ended early.
several_stop() {
    local g
    for g in "${guests[@]}"; do
        lab guest stop "$g" >/dev/null 2>&1 || true
    done
    guest=
}

# lasting HOST SECONDS COMMAND: as `on`, for longer.
lasting() { timeout "$2" "$here/../lab" ssh "$1" "$3" </dev/null; }

names_on() { on "$1" "xl list" | awk 'NR > 1 && $1 != "Domain-0" { print $1 }'; } # HOST

all_on() { # HOST [GUEST...]: all of them, or these, are there, and no part of them is on the other
    local h=$1 there other_has g
    shift
    [ $# -gt 0 ] || set -- "${guests[@]}"
    there=$(names_on "$h") || return
    other_has=$(names_on "${other[$h]}") || return
    for g; do
        grep -qx -- "$g" <<<"$there" || return
        ! grep -qE -- "^$g(--|$)" <<<"$other_has" || return
    done
}

all_intact() { # HOST [GUEST...]
    local h=$1
    shift
    [ $# -gt 0 ] || set -- "${guests[@]}"
    for guest; do
        # As in good_move: before anybody asks it anything.
        until_true 20 is_seen "$h" || bad "the network still looks for $guest on host $(lab guest seen "$guest")"
        intact "$h"
    done
}

# Moves from HOST that are under way, and do not wait for others.
moves_from() {
    { on "$1" "xl migrate-status --json" 2>/dev/null || true; } |
        jq -s 'map(select(.type == "status" and .role == "source" and .waiting != true)) | length'
}

# For until_true: have all of them, or these, left FROM? Keeps in $most how many moved at once, as far
# as that was seen.
have_left() { # FROM [GUEST...]
    local n
    n=$(moves_from "$1") || return
    [ "$n" -le "$most" ] || most=$n
    sleep 1 # what is looked at works while nobody looks
    all_on "${other[$1]}" "${@:2}"
}

# --- one life: their heartbeats from beats_begin on ---

last_beat() { tail -n 1 "$state/beats.log" | cut -d ' ' -f 1; }
beats_begin() { beats_from=$(last_beat); }

# No number of a guest's is missing, and none came back with another time: it was not started anew, and
# did not run twice.
one_life() { # [GUEST...]
    local g to
    [ $# -gt 0 ] || set -- "${guests[@]}"
    to=$(last_beat)
    for g; do
        {
            echo '{'
            awk -v from="$beats_from" -v to="$to" -v name="$g" -f "$here/../lib/beats.awk" "$state/beats.log"
            echo "\"guest\": \"$g\"}"
        } >"$work/beats-$g.json"
        jq -e '.heartbeats > 0 and .skipped == 0 and .backwards == 0' "$work/beats-$g.json" >/dev/null ||
            bad "$g's heartbeat: $(jq -c . "$work/beats-$g.json")"
        note "$g stood still for at most $(jq .heartbeat_gap_s "$work/beats-$g.json") s"
    done
}
