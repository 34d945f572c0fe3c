#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `make bench-hvm`: what the move of an HVM guest costs it, beside a PVH guest of the same size and load,
# and beside the stock tool, in one boot of the lab. Writes build/bench/hvm.json and prints its targets.
# Under emulation only the ratios say anything.
#   RUNS=N   moves of each kind (5; of stock and of late devices at most 2; figures are medians)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
bench=bench-hvm on_limit=60 logs=''
# shellcheck source=tests/lab/bench.bash
. "$here/bench.bash"
runs=${RUNS:-5}
case $runs in '' | *[!0-9]* | 0) die "RUNS is a number of moves, not '$runs'" ;; esac
cases=$out/hvm
rm -rf "$cases"
mkdir -p "$cases"
size=(--mem 160 --fill 40 --rate 100 --ip 151 --disk vdb)

say() { printf '%s\n' "$*"; }

if ! "$lab" status >/dev/null 2>&1; then
    timeout 1800 "$lab" up
    ours=yes
fi
for h in a b; do
    "$lab" put $h "$top/build/xl" /usr/local/sbin/xl
done

# one KIND N: a move of that kind from where the guest is, every byte verified
one() {
    local kind=$1 file=$cases/$1-$2 to=${other[$at]} command answer
    case $kind in
    *-stock) command="/usr/sbin/xl migrate $guest ${address[$to]}" ;;
    *-late) command="xl migrate --tcp --json --precopy --late-devices $guest ${address[$to]}" ;;
    *) command="xl migrate --tcp --json --precopy $guest ${address[$to]}" ;;
    esac
    "$lab" watch start $guest
    timeout 600 "$lab" ssh $at "$command" >"$file.out" 2>"$file.err" </dev/null ||
        die "$kind: $(tail -n 3 "$file.out" "$file.err")"
    "$lab" guest wait $guest 60
    "$lab" watch stop $guest "$file.watch" >/dev/null
    at=$to
    answer=$("$lab" guest cmd $guest verify)
    case $answer in OK*) ;; *) die "$kind: verify says $answer" ;; esac
    jq -e '.backwards == 0 and .skipped == 0' "$file.watch" >/dev/null ||
        die "$kind: the heartbeat was disturbed: $(cat "$file.watch")"
    jq -s --arg kind "$kind" --slurpfile w "$file.watch" '
        (map(select(.type? == "report")) | last // {}) as $r |
        {kind: $kind, gap_s: $w[0].heartbeat_gap_s, ping_gap_s: $w[0].ping_gap_s,
         downtime_s: $r.downtime_s, total_s: $r.total_s, suspend_s: $r.switch.suspend_s,
         loaded_s: (if $r.switch then $r.switch | .last_dirty_s + .last_pages_s else null end),
         resume_s: $r.switch.resume_s,
         wakes_s: (if $r.switch then $w[0].heartbeat_gap_s - $r.downtime_s else null end)}' \
        < <(grep '^{' "$file.out" || echo '{}') >"$file.json"
    say "  $kind $2: $(jq -r '"heartbeat gap \(.gap_s * 1000 | round) ms" +
        (if .downtime_s then ", downtime \(.downtime_s * 1000 | round) ms" else "" end)' "$file.json")"
}

at=a
say "A PVH guest of 160 MiB, 40 of them rewritten at 100 pages a second:"
"$lab" guest start a $guest "${size[@]}" >/dev/null
for n in $(seq "$runs"); do one pvh "$n"; done
"$lab" guest stop $guest >/dev/null
at=a
say "An HVM guest with PV drivers of the same size and load:"
"$lab" guest start a $guest --type hvm "${size[@]}" >/dev/null
for n in $(seq "$runs"); do
    one hvm "$n"
    [ "$n" -gt 2 ] || { one hvm-stock "$n" && one hvm-late "$n"; }
done

jq -s --argjson runs "$runs" '
    def median: sort | if length % 2 == 1 then .[(length - 1) / 2]
        else (.[length / 2] + .[length / 2 - 1]) / 2 end;
    def of_ours: map(select(.)) | if length > 0 then median else null end;
    def target($name; $required; $measured):
        {name: $name, required: $required, measured: $measured, met: ($measured <= $required)};
    group_by(.kind) | map({key: .[0].kind, value: {moves: length, gap_s: (map(.gap_s) | median),
        ping_gap_s: (map(.ping_gap_s) | median),
        downtime_s: (map(.downtime_s) | of_ours), total_s: (map(.total_s) | of_ours),
        suspend_s: (map(.suspend_s) | of_ours), loaded_s: (map(.loaded_s) | of_ours),
        resume_s: (map(.resume_s) | of_ours), wakes_s: (map(.wakes_s) | of_ours)}}) |
    from_entries | {runs: $runs, verified: true, moves: .,
     targets: [target("downtime, HVM / PVH"; 1.3; .hvm.gap_s / .pvh.gap_s),
               target("downtime, HVM ours / stock"; 0.25; .hvm.gap_s / ."hvm-stock".gap_s)]}' \
    "$cases"/*.json >"$out/hvm.json"
jq -r '.targets[] | "\(if .met then "met   " else "MISSED" end)  \(.name): " +
    "\(.measured * 1000 | round / 1000) (at most \(.required))"' "$out/hvm.json"
# The guest suspends itself, and resumes itself: under emulation each access to an emulated device that
# it makes for that is milliseconds.
jq -r '.moves | to_entries[] | select(.value.suspend_s) | "\(.key): suspended in " +
    "\(.value.suspend_s * 1000 | round) ms, loaded in \(.value.loaded_s * 1000 | round) ms, running in " +
    "\(.value.resume_s * 1000 | round) ms, awake in \(.value.wakes_s * 1000 | round) ms"' "$out/hvm.json"
say "build/bench/hvm.json"
