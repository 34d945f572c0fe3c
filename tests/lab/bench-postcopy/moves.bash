# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The part "moves": whole moves of a guest of 256 MiB, idle and busy, by the stock tool, by our
# pre-copy, by post-copy and by hybrid, and one of the same guest with a quarter of the memory
# in use. Total time, downtime by the heartbeat, and the guest's work second by second.

plotted='precopy postcopy hybrid'
after_s=11 # of the guest's work after SWITCH are drawn 10

go() { # KIND RUN COMMAND...
    local kind=$1 run=$2 file=$cases/$1-$2 watched=0
    shift 2
    case " ${MOVES:-$kind} " in *" $kind "*) ;; *) return 0 ;; esac
    ! kept "$kind" "$run" || return 0
    case " $plotted " in *" $kind "*) watched=$after_s ;; esac
    begin_move "$file" "$@"
    end_move "$kind" "$run" "$file" $watched || return 0
    [ $watched = 0 ] || timeout 60 "$lab" guest cmd $guest work >"$file.work" ||
        die "$kind: the guest does not say what it has done"
}

# Twice what the link carries of this guest while it is idle.
busy_rate() { # RUN
    [ -z "${RATE-}" ] || {
        echo "$RATE"
        return
    }
    jq -e '.report | 2 * .pages_sent / .phase_s.COPY | round' "$cases/idle-$1.json" ||
        die "no rate to be busy at: the idle guest did not move; RATE=PAGES/s gives one"
}

guest_with() { # MIB PAGES/S
    new_guest --mem 256 --fill "$1" --zero 0 --rate "$2" --ip 154 --disk vdb
}

quarter() { # RUN PAGES/S
    guest_with 24 "$2"
    go hybrid-quarter "$1" xl migrate --tcp --json --hybrid
}

moves() { # RUN
    local n=$1 rate k
    "$lab" net rate "$link" || die "cannot shape the link"
    guest_with 96 0
    go idle "$n" xl migrate --tcp --json --precopy
    rate=$(busy_rate "$n")
    say "  busy from now on: $rate pages/s rewritten, all over its 96 MiB"
    # A new guest in the place of one that met with trouble is to be as busy.
    guest_options=(--mem 256 --fill 96 --zero 0 --rate "$rate" --ip 154 --disk vdb)
    cmd rate "$rate"
    go stock "$n" /usr/sbin/xl migrate
    go precopy "$n" xl migrate --tcp --json --precopy
    go postcopy "$n" xl migrate --tcp --json --postcopy
    go hybrid "$n" xl migrate --tcp --json --hybrid
    quarter "$n" "$rate"
    # One downtime differs from the next by more than these two may differ from each other.
    for k in $(seq 2 "$pairs"); do
        guest_with 96 "$rate"
        go hybrid "$n.$k" xl migrate --tcp --json --hybrid
        quarter "$n.$k" "$rate"
    done
    "$lab" guest stop $guest >/dev/null
}

# The figures of the picture, as JSON.
draw() { # RUN
    local kind words=()
    for kind in $plotted; do
        [ ! -s "$cases/$kind-$1.work" ] ||
            words+=("${kind/copy/-copy}" "$cases/$kind-$1.work" "$cases/$kind-$1.watch.beats")
    done
    python3 -B "$parts/plot.py" "$out/postcopy.svg" "${words[@]}"
}
