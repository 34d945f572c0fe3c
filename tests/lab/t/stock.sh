#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The stock tool in the lab: `xl migrate` over ssh from a to b and back, a
# 128 MiB guest under load, every byte verified after each move.
#   t/stock.sh [RATE]      pages rewritten per second (200)
set -euo pipefail
lab=$(cd "$(dirname "$0")/.." && pwd)/lab
state=${XENFERRY_LAB_STATE:-/run/xenferry-lab}
rate=${1:-200}
name=stock$$
out=$(mktemp -d)
trap '"$lab" guest stop $name >/dev/null 2>&1 || true; rm -rf "$out"' EXIT

fail() {
    echo "stock: FAILED: $*"
    exit 1
}

verify() {
    local answer
    answer=$("$lab" guest cmd "$name" verify)
    case $answer in
    OK*) echo "  verify $answer" ;;
    *) fail "verify: $answer" ;;
    esac
}

move() { # FROM TO ADDRESS
    local t0 t1
    "$lab" watch start "$name"
    t0=${EPOCHREALTIME/./}
    timeout 300 "$lab" ssh "$1" "/usr/sbin/xl migrate $name $3" >"$out/xl" 2>&1 ||
        fail "xl migrate: $(tail -n 3 "$out/xl")"
    t1=${EPOCHREALTIME/./}
    "$lab" guest wait "$name" 30
    "$lab" watch stop "$name" "$out/json" >/dev/null
    [ "$("$lab" guest where "$name")" = "$2" ] || fail "guest is not on $2"
    echo "$1->$2: $(((t1 - t0) / 1000)) ms"
    sed 's/^/  /' "$out/json"
    grep -q '"backwards": 0' "$out/json" || fail "the heartbeat went backwards"
    grep -q '"skipped": 0' "$out/json" || fail "the heartbeat skipped"
    verify
}

[ -e "$state/selftest-passed" ] || fail "no lab with a passed self-test: lab up"
"$lab" guest start a "$name" --mem 128 --fill 40 --rate "$rate" --ip 150 --disk vdc
verify
move a b 10.9.0.2
move b a 10.9.0.1
echo "stock: ok"
