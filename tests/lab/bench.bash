# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the benchmarks in the lab share: the two hosts, the guest that moves between them, and a
# clean end. Who sources it has set $here (this directory), $top (the tree), $bench (its own
# name), $on_limit (seconds for one command in a host) and $logs (a directory for what the lab
# knows when the benchmark fails; empty: none).

lab=$here/lab
out=$top/build/bench
guest=bench
at=a    # where the guest is
ours=no # whether the lab was started here
background=()
# shellcheck disable=SC2034 # used by those who source it
declare -A address=([a]=10.9.0.1 [b]=10.9.0.2) other=([a]=b [b]=a)

on() { # HOST COMMAND...: in that host's dom0
    local h=$1
    shift
    timeout "$on_limit" "$lab" ssh "$h" "$@" </dev/null
}

# shellcheck disable=SC2317 # called by the trap
leave() {
    local p
    for p in "${background[@]}"; do
        kill "$p" 2>/dev/null || true
    done
    "$lab" guest stop $guest >/dev/null 2>&1 || true
    [ $ours = no ] || "$lab" down
}
trap leave EXIT
trap 'exit 1' INT TERM

die() { # WHY
    printf '%s: %s\n' "$bench" "$*" >&2
    [ -z "$logs" ] || "$lab" logs "$logs" >/dev/null 2>&1 || true
    exit 1
}
