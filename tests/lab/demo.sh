#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `make demo`: a real guest under load moves between two real Xen hosts, with the stock `xl
# migrate` over ssh and with ours (encrypted), in one boot of the lab, in turns, every byte
# verified after each move. Prints both side by side and writes build/demo/report.json.
#   RUNS=N     moves of each kind (3; figures are medians)
#   GUEST=hvm  an HVM guest with QEMU (pvh)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
lab=$here/lab
out=$top/build/demo
runs=${RUNS:-3}
guest=demo
declare -A address=([a]=10.9.0.1 [b]=10.9.0.2) other=([a]=b [b]=a)
ours=no

# shellcheck source=tests/lab/lib/progress.sh
. "$here/lib/progress.sh"

say() { printf '%s\n' "$*"; }

leave() {
    "$lab" guest stop $guest >/dev/null 2>&1 || true
    [ $ours = no ] || "$lab" down
}
trap leave EXIT
trap 'exit 1' INT TERM

die() {
    say "demo: $*"
    "$lab" logs "$out/logs" >/dev/null 2>&1 || true
    exit 1
}

case ${GUEST:-pvh} in
pvh) type=() kind="A guest" ;;
hvm) type=(--type hvm) kind="An HVM guest" ;;
*) die "GUEST is pvh or hvm, not '$GUEST'" ;;
esac
case $runs in '' | *[!0-9]* | 0) die "RUNS is a number of moves, not '$runs'" ;; esac
rm -rf "$out"
mkdir -p "$out"
if ! "$lab" status >/dev/null 2>&1; then
    timeout 1800 "$lab" up
    ours=yes
fi
for h in a b; do
    "$lab" put $h "$top/build/xl" /usr/local/sbin/xl
done

say "$kind of 256 MiB, 96 of them full of data, that rewrites 100 pages a second, writes"
say "to its disk, beats every 20 ms on its console and answers ping:"
"$lab" guest start a $guest "${type[@]}" --mem 256 --fill 96 --rate 100 --ip 150 --disk vdb >/dev/null
at=a

bytes() { "$lab" net bytes | jq '.a_to_b + .b_to_a'; }

# one KIND N: a move of that kind from where the guest is; its figures in $out/KIND-N.json
one() {
    local kind=$1 file=$out/$1-$2 to=${other[$at]} before after t0 t1 answer command
    case $kind in
    stock) command="/usr/sbin/xl migrate $guest ${address[$to]}" ;;
    ours) command="xl migrate --tcp --json $guest ${address[$to]}" ;;
    esac
    progress_begin "$kind move"
    before=$(bytes)
    "$lab" watch start $guest
    t0=${EPOCHREALTIME/./}
    timeout 600 "$lab" ssh $at "$command" >"$file.out" 2>"$file.err" </dev/null ||
        die "$kind move failed: $(tail -n 3 "$file.out" "$file.err")"
    t1=${EPOCHREALTIME/./}
    after=$(bytes)
    "$lab" guest wait $guest 60
    progress_end "$kind move"
    "$lab" watch stop $guest "$file.watch" >/dev/null
    at=$to
    [ "$("$lab" guest where $guest)" = $at ] || die "the guest is not on host $at"
    answer=$("$lab" guest cmd $guest verify)
    case $answer in OK*) ;; *) die "$kind move: verify says $answer" ;; esac
    jq -e '.backwards == 0 and .skipped == 0' "$file.watch" >/dev/null ||
        die "$kind move: the heartbeat was disturbed: $(cat "$file.watch")"
    jq -n --argjson us $((t1 - t0)) --argjson bytes $((after - before)) \
        --slurpfile w "$file.watch" \
        '{total_s: ($us / 1e6), downtime_s: $w[0].heartbeat_gap_s,
          ping_gap_s: $w[0].ping_gap_s, bytes: $bytes}' >"$file.json"
    say "  $(printf '%-5s' $kind) ${other[$at]} -> $at  $(jq -r \
        '"\(.total_s * 10 | round / 10) s, downtime \(.downtime_s * 1000 | round) ms"' \
        "$file.json"), $answer"
}

for n in $(seq "$runs"); do
    one stock "$n"
    one ours "$n"
done

median() { # KIND: each figure's median over the runs
    jq -s 'def median: sort | if length % 2 == 1 then .[(length - 1) / 2]
               else (.[length / 2] + .[length / 2 - 1]) / 2 end;
           . as $all | reduce ($all[0] | keys[]) as $k ({}; .[$k] = ($all | map(.[$k]) | median))' \
        "$out/$1"-*.json
}

jq -n --argjson stock "$(median stock)" --argjson ours "$(median ours)" --argjson runs "$runs" '
    def target($name; $required; $measured):
        {name: $name, required: $required, measured: $measured, met: ($measured <= $required)};
    {runs: $runs, stock: $stock, ours: $ours, verified: true,
     targets: [target("downtime, ours / stock"; 0.2; $ours.downtime_s / $stock.downtime_s),
               target("total time, ours / stock"; 0.5; $ours.total_s / $stock.total_s)]}' \
    >"$out/report.json"

jq -r '
    def ms: . * 1000 | round | tostring + " ms";
    def s: . * 10 | round / 10 | tostring + " s";
    def mib: . / 1048576 * 10 | round / 10 | tostring + " MiB";
    def row($name; $a; $b; $r): [$name, $a, $b, ($r * 1000 | round / 1000 | tostring)];
    def pad($n): . + (" " * ([$n - length, 0] | max));
    [["", "stock", "ours", "ours/stock"],
     row("total time"; .stock.total_s | s; .ours.total_s | s; .ours.total_s / .stock.total_s),
     row("downtime (heartbeat)"; .stock.downtime_s | ms; .ours.downtime_s | ms;
         .ours.downtime_s / .stock.downtime_s),
     row("downtime (ping)"; .stock.ping_gap_s | ms; .ours.ping_gap_s | ms;
         .ours.ping_gap_s / .stock.ping_gap_s),
     row("bytes on the wire"; .stock.bytes | mib; .ours.bytes | mib;
         .ours.bytes / .stock.bytes)]
    | .[] | (.[0] | pad(24)) + (.[1] | pad(16)) + (.[2] | pad(16)) + .[3]' "$out/report.json" |
    { echo; cat; echo; }
jq -r '.targets[] | "\(if .met then "met " else "MISSED" end)  \(.name): \(.measured * 1000 | round / 1000)" +
    " (at most \(.required))"' "$out/report.json"
say "Median of $runs moves each, all bytes verified each time: build/demo/report.json"
