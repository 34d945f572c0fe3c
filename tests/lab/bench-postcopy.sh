#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `make bench-postcopy`: what post-copy and hybrid moves cost a busy guest, in one boot of the
# lab, beside the stock tool and our own pre-copy. Writes build/bench/postcopy.json, prints its
# targets, and draws build/bench/postcopy.svg: the guest's work before, during and after each
# kind of move. Under emulation only the ratios say anything.
#   RUNS=N       of every move (1: some 50 minutes; figures are medians)
#   PAIRS=N      in each run, of the two hybrid moves whose downtimes are compared (3)
#   PARTS=...    "moves faults": of these parts only
#   LIMIT=S      after so many seconds a move is ended and its row says so (600)
#   LINK=MBIT    of the link between the hosts (16)
#   FAULT_LINK=MBIT  the same for the part faults (48)
#   MOVES=...    "idle stock precopy postcopy hybrid hybrid-quarter": of the part moves
#   KEEP=1       add to what an earlier run has measured in the same boot of the lab
#   PATTERNS=... "seq stride random": of the part faults
#
# The link is shaped, or it would be the one CPU of a host in emulation that a move is bound by,
# and no guest can write faster than that which it shares with the move. For the same reason
# dom0 has Xen's own weight here and not that of the lab's tests, which is four times the
# guest's: with that the guest got to a twentieth of what it was to write.
#
# The guest writes faster than the link carries: at twice the rate that COPY of the same
# guest had in this boot when it was idle (RATE=PAGES/s says otherwise). --bandwidth limits
# nothing here. The pair of guests for what memory in use costs in downtime is of one size, 256
# MiB, with 96 and 24 MiB of it filled and rewritten: below some 100 MiB Debian's kernel and
# the payload do not fit.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
parts=$here/bench-postcopy
# shellcheck source=tests/lab/bench-postcopy/lib.bash
. "$parts/lib.bash"
# shellcheck source=tests/lab/bench-postcopy/moves.bash
. "$parts/moves.bash"
# shellcheck source=tests/lab/bench-postcopy/faults.bash
. "$parts/faults.bash"

mkdir -p "$out"
[ -n "${KEEP-}" ] || rm -rf "$cases"
mkdir -p "$cases"
begin_lab
for run in $(seq "$runs"); do
    for part in ${PARTS:-moves faults}; do
        say "run $run of $runs, $part:"
        case $part in
        moves) moves "$run" ;;
        faults) faults "$run" ;;
        *) die "PARTS holds moves and faults, not '$part'" ;;
        esac
    done
done

work=null
if [ -e "$cases/hybrid-1.work" ]; then
    work=$(draw 1) || die "cannot draw; what it was to be drawn from is in $cases"
fi
jq -s --argjson link "$link" --argjson fault_link "$fault_link" --argjson work "$work" -f "$parts/targets.jq" "$cases"/*.json >"$out/postcopy.json" ||
    die "cannot sum up what is in $cases"

jq -r '.moves[] | select(.case | test("^(adaptive|linear|fault)-") | not) | "\(.case): " + (if .total_s then "\(.total_s * 10 | round / 10) s" else "-" end)
    + (if .downtime_s then ", downtime \(.downtime_s * 1000 | round) ms" else "" end)
    + (if .trouble then "; \(.trouble)" else "" end)' "$out/postcopy.json"
jq -r '.targets[] | "\(if .met then "met   " else "MISSED" end)  \(.name): " +
    (if .measured == null then "not measured: \(.why)" else
     "\(.measured * 1000 | round / 1000) (at most \(.required))" end)' "$out/postcopy.json"
jq -c '{faults, asked_for, page_us}' "$out/postcopy.json"
say "build/bench/postcopy.json$([ "$work" = null ] || echo ', build/bench/postcopy.svg')"
