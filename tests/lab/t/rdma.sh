#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The RDMA transport on Soft-RoCE: the conformance suite within a host, moves with --rdma,
# and what becomes of a move whose RDMA device goes away.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

# Its queue pairs, memory regions and completion queues that belong to processes.
leftovers() { # HOST
    on "$1" "for r in qp mr cq; do rdma resource show \$r | grep -w pid || true; done"
}

rows='rdma' # of the conformance programs: those whose name holds this
[ "${QUICK-}" != 1 ] || rows='rdma, plain, IPv4'

# The programs that run over every transport, in a host that has RDMA.
conformance() {
    local t
    for t in messages handshake failures rdma pair; do
        lab put b "$top/build/tests/conformance/test_$t" "/tmp/test_$t"
        timeout 600 "$here/../lab" ssh b "ulimit -l unlimited
            XF_TEST_ONLY='$rows' XF_RDMA_ADDR=${address[b]} XF_RDMA_ADDR6=fd09::2 /tmp/test_$t" \
            >"$work/conformance" 2>&1 </dev/null ||
            bad "test_$t: $(grep -A 3 -m 3 FAILED "$work/conformance"; tail -n 5 "$work/conformance")"
    done
}

# Source on a, sink on b, which is killed in the end.
between_hosts() { # ROW ADDRESS
    local port rc=0
    on b "rm -f /tmp/port"
    timeout 200 "$here/../lab" ssh b "/tmp/test_pair --serve $2 '$1' >/tmp/port 2>/tmp/said" \
        </dev/null &
    background+=($!)
    # shellcheck disable=SC2317 # called by until_true
    listening() { port=$(on b "sed -n 's/^port //p' /tmp/port" 2>/dev/null) && [ -n "$port" ]; }
    until_true 30 listening || {
        bad "$1: $(on b "cat /tmp/said")"
        return 0
    }
    timeout 200 "$here/../lab" ssh a "/tmp/test_pair --connect $2 $port '$1'" >"$work/said" 2>&1 \
        </dev/null || bad "$(tail -n 3 "$work/said"); $(on b "cat /tmp/said")"
    wait "${background[-1]}" || rc=$?
    [ $rc = 137 ] || bad "$1: the sink ended with status $rc: $(on b "cat /tmp/said")"
}

case_begin "RDMA conformance in one host"
conformance
[ -z "$(leftovers b)" ] || bad "left behind: $(leftovers b)"
case_end

case_begin "RDMA conformance between two hosts"
lab put a "$top/build/tests/conformance/test_pair" /tmp/test_pair
between_hosts "rdma, plain, IPv4" "${address[b]}"
if [ "${QUICK-}" != 1 ]; then
    between_hosts "rdma, sealed, IPv4" "${address[b]}"
    between_hosts "rdma, plain, IPv6" fd09::2
    between_hosts "tcp, TLS, IPv4" "${address[b]}"
fi
for h in a b; do
    [ -z "$(leftovers $h)" ] || bad "left behind on $h: $(leftovers $h)"
    on $h "rm -f /tmp/test_*"
done
case_end

guest_start a carried --mem 128 --fill 32 --rate 100 --ip 119 --disk vdb

case_begin "a move with --rdma"
transport=rdma
good_move a
[ "$(report .transport)" = rdma ] || bad "it went over $(report .transport)"
[ "$(report .encrypted)" = false ] || bad "the report says that it was encrypted"
grep -qi unencrypted "$work/json" "$work/stderr" || bad "nobody said that it is not encrypted"
case_end

case_begin "and back, sealed, chosen by itself"
transport=transport=auto
good_move b --encrypt
[ "$(report .transport)" = rdma ] || bad "it went over $(report .transport)"
[ "$(report .encrypted)" = true ] || bad "the report denies the encryption"
for h in a b; do
    [ -z "$(leftovers $h)" ] || bad "left behind on $h: $(leftovers $h)"
done
case_end

enough_for_quick

# The link under rdma_cm goes down, and comes back when the move has noticed.
link_state() { on a "ip link set eth0 $1"; }

case_begin "link down in COPY, --transport=auto: goes on over TCP"
move_in_background a "" --bandwidth 2
until_true 90 copying || bad "no COPY: $(error_text)"
link_state down
sleep 15 # longer than a dead peer is waited for
link_state up
move_ends 0
intact b
[ "$(report .transport)" = tcp ] || bad "it ended over $(report .transport)"
report .fallback | grep -q . || bad "the report does not say why"
note "$(report .fallback)"
case_end

case_begin "link down in COPY, --rdma: fails, and the guest stays"
at=b
transport=rdma
move_in_background b "" --bandwidth 2
until_true 90 copying || bad "no COPY: $(error_text)"
link_state down
move_ends 3
link_state up
note "$(report .error)"
intact b
until_true 90 is_empty a || empty a
case_end

case_begin "and back with --rdma, over the link that is up again"
good_move b
[ "$(report .transport)" = rdma ] || bad "it went over $(report .transport)"
case_end

transport=transport=auto
# The device goes, the network stays: auto goes on over TCP.
lose_device() { on a "rdma link delete rxe0"; }
new_device() { on a "rdma link add rxe0 type rxe netdev eth0"; }

case_begin "the RDMA device goes away in COPY, --transport=auto"
move_in_background a "" --bandwidth 2
until_true 90 copying || bad "no COPY: $(error_text)"
lose_device
move_ends 0
intact b
[ "$(report .transport)" = tcp ] || bad "it ended over $(report .transport)"
report .fallback | grep -q . || bad "the report does not say why"
new_device
case_end

case_begin "the RDMA device goes away in COPY, --rdma"
at=b
transport=rdma
move_in_background b "" --bandwidth 2
until_true 90 copying || bad "no COPY: $(error_text)"
lose_device
move_ends 3
note "$(report .error)"
intact b
until_true 45 is_empty a || empty a
case_end

case_begin "no device there, --rdma: refused"
if move b; then
    bad "it was not refused"
else
    [ "$(report .outcome)" = refused ] || bad "outcome $(report .outcome): $(report .error)"
fi
new_device
case_end
finish
