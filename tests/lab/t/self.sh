#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Tests of the lab itself, in a lab that is up: each instrument must show what
# is really there, or no result measured with it means anything.
set -euo pipefail
lab=$(cd "$(dirname "$0")/.." && pwd)/lab
state=${XENFERRY_LAB_STATE:-/run/xenferry-lab}
name=self$$
out=$(mktemp -d)
trap '"$lab" net heal; "$lab" net up; "$lab" net rate off
    "$lab" guest stop $name >/dev/null 2>&1 || true; rm -rf "$out"' EXIT

ok() { echo "self: ok: $*"; }
fail() {
    echo "self: FAILED: $*"
    exit 1
}
check() { # WHAT CMD...
    local what=$1
    shift
    "$@" >/dev/null 2>&1 || fail "$what"
    ok "$what"
}
check_not() {
    local what=$1
    shift
    ! "$@" >/dev/null 2>&1 || fail "$what"
    ok "$what"
}
mig_ping() { "$lab" ssh a 'ping -q -c 2 -i 0.3 -W 1 10.9.0.2'; }
carrier() { [ "$("$lab" ssh a cat /sys/class/net/eth0/carrier)" = "$1" ]; }
member() { sed -n "s/.*\"$2\": \"*\([^,\"}]*\).*/\1/p" "$1"; }
a_to_b() { "$lab" net bytes | sed 's/.*"a_to_b": \([0-9]*\).*/\1/'; }

[ -e "$state/selftest-passed" ] || fail "no lab with a passed self-test: lab up"
check_not "a second lab is refused" "$lab" up

# Network
check "hosts ping each other" mig_ping
"$lab" net cut
check_not "net cut: no ping" mig_ping
check "net cut: the link stays up" carrier 1
"$lab" net heal
check "net heal: ping again" mig_ping
"$lab" net down
check "net down: the host sees it" carrier 0
"$lab" net up
check "net up: carrier" carrier 1
check "net up: ping again" mig_ping

send='head -c 10000000 /srv/guest/random | socat -u - TCP:10.9.0.2:7009,retry=50,interval=0.1'
recv='timeout 60 setsid socat -u TCP-LISTEN:7009,reuseaddr /dev/null </dev/null >/dev/null 2>&1 &'
"$lab" net rate 20
before=$(a_to_b)
t0=${EPOCHREALTIME/./}
"$lab" ssh b "$recv"
"$lab" ssh a "$send"
ms=$(((${EPOCHREALTIME/./} - t0) / 1000))
"$lab" net rate off
sent=$(($(a_to_b) - before))
[ $ms -ge 3500 ] || fail "rate 20: 80 Mbit took only $ms ms"
ok "net rate 20: 80 Mbit took $ms ms"
[ $sent -ge 10000000 ] && [ $sent -le 12000000 ] || fail "net bytes: $sent for 10 MB"
ok "net bytes: $sent for 10 MB"

# Guest
"$lab" guest start a "$name" --mem 128 --vcpus 2 --ip 160 --disk vdc
[ "$("$lab" guest where "$name")" = a ] || fail "where is not a"
ok "guest runs, 2 vcpus"
"$lab" guest cmd "$name" verify | grep -q ^OK || fail "verify of an untouched guest"
ok "verify says OK"
"$lab" watch start "$name"
"$lab" ssh a "xl pause $name; sleep 2; xl unpause $name"
sleep 1 # so that the gap is not the last thing the watch sees
"$lab" watch stop "$name" "$out/watch" >/dev/null
for gap in heartbeat_gap_s ping_gap_s; do
    member "$out/watch" $gap | awk '$1 < 1.9 || $1 > 4 { exit 1 }' ||
        fail "2 s of pause show as $(member "$out/watch" $gap) s ($gap)"
    ok "2 s of pause show as $(member "$out/watch" $gap) s ($gap)"
done
[ "$(member "$out/watch" skipped)$(member "$out/watch" backwards)" = 00 ] || fail "beats lost"
ok "no beat lost"
for what in mem disk; do
    "$lab" guest cmd "$name" pause >/dev/null
    "$lab" guest cmd "$name" damage $what >/dev/null
    answer=$("$lab" guest cmd "$name" verify)
    case $answer in
    BAD*" ${what}["*) ok "damage to $what is found: $answer" ;;
    *) fail "damage to $what not found: $answer" ;;
    esac
done
"$lab" guest cmd "$name" poweroff >/dev/null || true
gone() { [ "$("$lab" guest where "$name")" = none ]; }
for i in $(seq 50); do
    gone && break
    [ "$i" -lt 50 ] || fail "still there after poweroff"
done
ok "poweroff"
"$lab" logs "$out/logs" 2>/dev/null
for f in a.console b.console a/dmesg b/xl-dmesg a/log/xen/console/guest-$name.log; do
    [ -s "$out/logs/$f" ] || fail "logs: no $f"
done
ok "logs"
echo "self: all ok"
