#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A disk that QEMU serves lies in dom0's page cache, at both ends: what the guest has written must be
# on the shared disk before it runs at the destination, and nothing that the destination read before
# may be shown to it.
# shellcheck disable=SC2317 # functions are called by until_true
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

served_by_qemu() { # HOST
    on "$1" "d=\$(xl domid $guest); xenstore-read /local/domain/0/backend/qdisk/\$d/51712/params" >"$work/params" ||
        bad "host $1 does not serve it by QEMU"
}
# Writes and reads so much since.
busy_since() { # WRITES
    [ "$(status_field disk_writes)" -gt $(($1 + 40)) ]
}

# QEMU reads sector 0 when it attaches the disk, and the kernel the next blocks with it.
guest_start a old --mem 128 --fill 16 --rate 50 --ip 125 --disk vdb --backend qdisk --diskblocks 4
case_begin "qdisk: blocks that the destination read when it attached the disk"
served_by_qemu a
good_move a
served_by_qemu b
writes=$(status_field disk_writes)
until_true 30 busy_since "$writes" || bad "the guest's disk stands still"
intact b
note "downtime $(report .downtime_s) s"
case_end

case_begin "qdisk: and back, where it was served before"
good_move b
writes=$(status_field disk_writes)
until_true 30 busy_since "$writes" || bad "the guest's disk stands still"
intact a
note "downtime $(report .downtime_s) s"
case_end
lab guest stop old

# The source closes the disk only when PULL is over; until then nothing else writes back what is in
# its page cache.
guest_start a unwritten --mem 128 --fill 16 --rate 50 --ip 126 --disk vdb --backend qdisk --diskrate 50
case_begin "qdisk: blocks in the source's page cache, in a post-copy move"
MOVE_LIMIT=600 move_in_background a "XENFERRY_PULL=no-push=15" --postcopy
move_ends 0
intact b
note "downtime $(report .downtime_s) s"
case_end

case_begin "qdisk: both ends on one host"
if ! timeout 300 "$here/../lab" ssh b "xl migrate --tcp --json $guest ${address[b]}" >"$work/json" \
    2>"$work/stderr" </dev/null; then
    bad "status not 0: $(error_text)"
fi
writes=$(status_field disk_writes)
until_true 30 busy_since "$writes" || bad "the guest's disk stands still"
intact b
case_end
finish
