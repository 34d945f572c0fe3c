#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `make bench-rdma`: the RDMA transport between two lab hosts, held in the same minute against
# what perftest gets out of the same link, and against TCP without encryption. Writes
# build/bench/rdma.json and prints its targets. Soft-RoCE under emulation: only the ratios say
# anything.
#   RUNS=N   (3; figures are medians)     SECONDS_EACH=S  of one throughput run (8)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
bench='bench-rdma' on_limit=120 logs=''
# shellcheck source=tests/lab/bench.bash
. "$here/bench.bash"
runs=${RUNS:-3}
each=${SECONDS_EACH:-8}
size=1048576 # of a message: 256 pages
poll=10000   # us, the most that `xl migrate --rdma-poll` takes; perftest polls without end

# perftest PROGRAM OPTIONS: one run from a to b; the last row of its table.
perftest() {
    on b "timeout 60 $* -d rxe0 -F >/dev/null 2>&1" &
    background+=($!)
    # It listens on a TCP port of its own for the exchange of addresses.
    for _ in $(seq 100); do
        ! on b "ss -ltn | grep -q ':18515 '" || break
    done
    on a "$* -d rxe0 -F 10.9.0.2" >"$out/perftest.out" 2>&1 ||
        die "$1 failed: $(tail -n 3 "$out/perftest.out")"
    wait "${background[-1]}" || true
    awk '/^ *[0-9]+ +[0-9]+ / { row = $0 } END { print row }' "$out/perftest.out"
}

# latency [OPTIONS]: what ib_send_lat takes to send what a request and its answer are, us.
latency() {
    local request answer
    request=$(perftest ib_send_lat -s 32 -n 500 "$@" | awk '{ print $5 }')
    answer=$(perftest ib_send_lat -s 4128 -n 500 "$@" | awk '{ print $5 }')
    jq -n "$request + $answer"
}

# link TRANSPORT [options]: one run of link_bench, its JSON.
link() {
    local port t=$1
    shift
    on b "rm -f /tmp/port" # before anybody waits for a new one
    on b "timeout 100 /tmp/link_bench --serve --addr 10.9.0.2 --transport $t \
        --channels 1 $* >/tmp/port 2>/tmp/serve.err" &
    background+=($!)
    for _ in $(seq 100); do
        port=$(on b "sed -n 's/^port //p' /tmp/port 2>/dev/null" || true)
        [ -z "$port" ] || break
    done
    [ -n "$port" ] || die "link_bench does not serve: $(on b 'cat /tmp/serve.err')"
    on a "/tmp/link_bench --connect 10.9.0.2 --port $port --transport $t --channels 1 \
        --size $size --seconds $each --pings 500 --netdev eth0 $*"
    wait "${background[-1]}" || true
}

mkdir -p "$out"
rm -f "$out"/rdma-*.json
if ! "$lab" status >/dev/null 2>&1; then
    timeout 1800 "$lab" up
    ours=yes
fi
for h in a b; do
    "$lab" put $h "$top/build/xl" /usr/local/sbin/xl
    "$lab" put $h "$top/build/tests/bench/link_bench" /tmp/link_bench
done

for n in $(seq "$runs"); do
    echo "run $n of $runs"
    bw=$(perftest ib_write_bw -s $size -D "$each" --report_gbits | awk '{ print $4 }')
    # A request is 32 bytes with its header, an answer 4128. perftest polls or, with -e, sleeps.
    send=$(latency) events=$(latency -e)
    link rdma --poll $poll >"$out/link.json"
    link rdma >"$out/link-events.json"
    link tcp >"$out/link-tcp.json"
    jq -n --argjson bw "$bw" --argjson send "$send" --argjson events "$events" \
        --slurpfile rdma "$out/link.json" --slurpfile asleep "$out/link-events.json" \
        --slurpfile tcp "$out/link-tcp.json" \
        '{ib_write_mb_per_s: ($bw * 125), ib_send_us: $send, ib_send_events_us: $events,
          rdma: $rdma[0], rdma_events: $asleep[0], tcp: $tcp[0]}' >"$out/rdma-$n.json"
done

# A whole move of an idle guest, there and back.
"$lab" guest start a $guest --mem 512 --fill 384 --zero 0 --rate 0 --beat 0 --ip 152 \
    --disk none >/dev/null
: >"$out/moves.jsonl"
for n in $(seq "$runs"); do
    timeout 300 "$lab" ssh "$at" "xl migrate --rdma --precopy --json $guest ${address[${other[$at]}]}" \
        </dev/null >"$out/move.out" || die "the move failed: $(tail -n 1 "$out/move.out")"
    jq -c 'select(.type == "report")' "$out/move.out" >>"$out/moves.jsonl"
    at=${other[$at]}
    answer=$("$lab" guest cmd $guest verify)
    case $answer in OK*) ;; *) die "verify says $answer" ;; esac
done

jq -n --slurpfile moves "$out/moves.jsonl" '
    def median: sort | if length % 2 == 1 then .[(length - 1) / 2]
        else (.[length / 2] + .[length / 2 - 1]) / 2 end;
    def least($name; $required; $m): {name: $name, required: $required, measured: $m,
        met: ($m >= $required)};
    def most($name; $required; $m): {name: $name, required: $required, measured: $m,
        met: ($m <= $required)};
    [inputs] as $r
    # Beside the last rounds the destination attaches devices, and COPY waits for that.
    | ($moves | map((.pages_sent - .last_pages) * 4096 / 1e6 / .rounds_s) | median) as $copy
    | def ratio(f): $r | map(f) | median;
    {runs: $r, copy_mb_per_s: $copy, moves: $moves,
     targets: [
        least("bulk throughput / ib_write_bw"; 0.9; ratio(.rdma.mb_per_s / .ib_write_mb_per_s)),
        least("COPY of an idle guest / ib_write_bw"; 0.8;
              $copy / ratio(.ib_write_mb_per_s)),
        most("page request, median / ib_send_lat out and back, both polling"; 1.3;
             ratio(.rdma.page_idle.median_us / .ib_send_us)),
        most("page request p99 under load / idle"; 4;
             ratio(.rdma.page_loaded.p99_us / .rdma.page_idle.p99_us)),
        most("bytes on the wire per page"; 4160; ratio(.rdma.source.netdev_tx_bytes_per_page))],
     side_by_side: {
        page_request_by_events_to_ib_send_lat_e:
            ratio(.rdma_events.page_idle.median_us / .ib_send_events_us),
        page_request_by_events_p99_under_load_to_idle:
            ratio(.rdma_events.page_loaded.p99_us / .rdma_events.page_idle.p99_us),
        rdma: {work_requests_per_1000_pages: ratio(.rdma.source.work_requests_per_1000_pages),
               completions_per_1000_pages: ratio(.rdma.source.completions_per_1000_pages),
               cpu_s_per_gib: ratio(.rdma.source.host_cpu_s_per_gib + .rdma.sink.host_cpu_s_per_gib),
               mb_per_s: ratio(.rdma.mb_per_s)},
        tcp: {cpu_s_per_gib: ratio(.tcp.source.host_cpu_s_per_gib + .tcp.sink.host_cpu_s_per_gib),
              mb_per_s: ratio(.tcp.mb_per_s)}}}' "$out"/rdma-[0-9]*.json >"$out/rdma.json"

jq -r '.targets[] | "\(if .met then "met   " else "MISSED" end)  \(.name): " +
    "\(.measured * 1000 | round / 1000) (\(.required))"' "$out/rdma.json"
jq -c .side_by_side "$out/rdma.json"
echo "build/bench/rdma.json"
