#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Post-copy and hybrid moves: the guest runs at the destination before its memory is there.
# Afterwards every byte is right, paging is off, and nothing is left at the source.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

MOVE_LIMIT=900 # a page costs some 6 ms under emulation, 12 with four vCPUs beside it

# Pages were missing at GO, and all came.
pulled() {
    [ "$(report '.pull.left_out > 0')" = true ] || bad "no page was missing at GO"
    note "missing at GO $(report .pull.left_out), faults $(report .pull.faults), over the network" \
        "$(report .pull.requested), median $(report .pull.fault_median_s) s, p99 $(report .pull.fault_p99_s) s," \
        "downtime $(report .downtime_s) s, $(report .switch_reason)"
}

# Its own backends and its kernel bear the pages that come late.
kernel_is_calm() { # HOST
    local said
    said=$(on "$1" "dmesg | grep -E 'scheduling while atomic|I/O error|BUG:|Call Trace' || true")
    [ -z "$said" ] || bad "the kernel of host $1 says: $said"
}

# ONLY=REGEX: of the guests below, by their names.
late() {
    guest_start a late --mem 128 --fill 40 --rate 100 --ip 120 --disk vdb

    case_begin "post-copy: everything comes after GO"
    good_move a --postcopy
    pulled
    paging_is_off b
    kernel_is_calm b
    case_end

    enough_for_quick

    case_begin "post-copy back, under load"
    lab guest cmd "$guest" rate 2000 >/dev/null
    good_move b --postcopy
    pulled
    paging_is_off a
    kernel_is_calm a
    case_end

    # Limited, so that it is the guest that is faster: beside a move it gets little done here.
    case_begin "hybrid: a guest that writes faster than the wire"
    good_move a --hybrid --bandwidth 2
    pulled
    paging_is_off b
    case_end

    case_begin "hybrid with one round at most"
    good_move b --postcopy-after 1
    pulled
    paging_is_off a
    case_end

    case_begin "hybrid of a quiet guest: no page is left out"
    lab guest cmd "$guest" rate 0 >/dev/null
    good_move a --hybrid
    [ "$(report .pull)" = null ] || bad "$(report .pull.left_out) pages were left out"
    paging_is_off b
    case_end
    lab guest stop "$guest"
}

# What its kernel sends of these pages.
late_sum() { lab guest cmd "$guest" send | sha256sum; }
# shellcheck disable=SC2317 # called by until_true
written_once() { [ "$(status_field late_writes)" -ge 6144 ]; }
# Backends get at absent pages: direct I/O and write-back of pages that no CPU has touched, and
# sendfile of the same.
granted() {
    guest_start a granted --mem 160 --fill 16 --rate 100 --late 24 --persistent 0 --ip 123 --disk vdb
    case_begin "post-copy: pages that only the kernel hands on"
    until_true 90 written_once || bad "it does not write"
    sum=$(late_sum)
    before=$(status_field late_writes)
    good_move a --postcopy
    pulled
    [ "$(late_sum)" = "$sum" ] || bad "sendfile sends something else"
    [ "$(status_field late_writes)" -gt "$before" ] || bad "no late page was written since"
    [ "$(lab guest cmd "$guest" send | wc -c)" = $((24 << 20)) ] || bad "sendfile sends too little"
    paging_is_off b
    kernel_is_calm b
    case_end
    lab guest stop granted
}

# Its vCPUs write little: one that touches a page which is coming in for another spins in Xen. No
# persistent grants: blkfront of a guest with several vCPUs races with its own resume
# (docs/xen-notes.md).
wide() {
    local n at=a
    guest_start a wide --mem 160 --fill 24 --rate 50 --vcpus 4 --persistent 0 --ip 121 --disk vdb
    for n in $(seq "${WIDE:-2}"); do
        case_begin "post-copy with four vCPUs, $n"
        good_move "$at" --postcopy
        at=${other[$at]}
        pulled
        kernel_is_calm "$at"
        case_end
    done
}

! wanted late || late
! wanted granted || granted
! wanted wide || wide
finish
