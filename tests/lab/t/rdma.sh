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

# The programs that run over every transport, in a host that has RDMA.
conformance() {
    local t
    for t in messages handshake failures rdma; do
        lab put b "$top/build/tests/conformance/test_$t" "/tmp/test_$t"
        timeout 400 "$here/../lab" ssh b "ulimit -l unlimited
            XF_TEST_ONLY=rdma XF_RDMA_ADDR=${address[b]} XF_RDMA_ADDR6=fd09::2 /tmp/test_$t" \
            >"$work/conformance" 2>&1 </dev/null ||
            bad "test_$t: $(grep -A 3 -m 3 FAILED "$work/conformance"; tail -n 5 "$work/conformance")"
        on b "rm /tmp/test_$t"
    done
}

case_begin "RDMA conformance in one host"
conformance
[ -z "$(leftovers b)" ] || bad "left behind: $(leftovers b)"
case_end

guest_start a carried --mem 128 --fill 32 --rate 100 --ip 119 --disk vdb

case_begin "a move with --rdma"
transport=rdma
good_move a
[ "$(report .transport)" = rdma ] || bad "it went over $(report .transport)"
[ "$(report .encrypted)" = false ] || bad "the report says that it was encrypted"
grep -qi "not encrypted" "$work/json" "$work/stderr" || bad "nobody said that it is not encrypted"
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
