#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest that balloons while it is copied: down, up again, and beyond what it had when the
# move began. Memory must be right, and holes must stay holes.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

guest_start a balloon --mem 128 --maxmem 128 --fill 32 --rate 200 --ip 114 --disk vdb

pages() { # HOST: memory of the guest as Xen counts it, MiB
    on "$1" "xl list $guest" | awk 'NR == 2 { print $3 }'
}
has() { # HOST MIB
    local now
    now=$(pages "$1")
    [ "$now" -ge $(($2 - 1)) ] && [ "$now" -le $(($2 + 1)) ]
}

case_begin "balloons down and up while it is copied"
move_in_background a "" --bandwidth 2
until_true 90 copying || bad "no COPY: $(error_text)"
on a "xl mem-set $guest 112"
until_true 30 has a 112 || note "the balloon is at $(pages a) MiB instead of 112"
on a "xl mem-set $guest 124"
until_true 30 has a 124 || note "the balloon is at $(pages a) MiB instead of 124"
in_phase SWITCH && bad "the move was over before the guest had ballooned"
move_ends 0
intact b
until_true 30 has b 124 || bad "it has $(pages b) MiB there instead of 124"
case_end

case_begin "stays at its reduced size when it moves, then grows while it is copied"
on b "xl mem-set $guest 100"
until_true 30 has b 100 || note "the balloon is at $(pages b) MiB instead of 100"
move_in_background b "" --bandwidth 2
until_true 90 copying || bad "no COPY: $(error_text)"
on b "xl mem-set $guest 126"
until_true 30 has b 126 || note "the balloon is at $(pages b) MiB instead of 126"
in_phase SWITCH && bad "the move was over before the guest had ballooned"
move_ends 0
intact a
until_true 30 has a 126 || bad "it has $(pages a) MiB there instead of 126"
case_end
finish
