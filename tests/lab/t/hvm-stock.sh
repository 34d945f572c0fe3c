#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# HVM guests of each kind, moved by the stock tool: a fault that shows here is the guest's or the lab's,
# not ours.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

# Its PV disk and interface: 2 are connected, or none.
frontends() { # HOST
    on "$1" "xenstore-ls -f /local/domain/\$(xl domid $guest)/device |
        grep -cE '/(vbd|vif)/[0-9]+/state = \"4\"'" || true
}

is_well() { # HOST FRONTENDS
    local n s
    intact "$1"
    n=$(frontends "$1")
    [ "$n" = "$2" ] || bad "$n PV frontends are connected on host $1, not $2"
    s=$(qemu_status "$1" "$guest")
    [ "$s" = running ] || bad "its QEMU on host $1 is '$s'"
}

stock_move() {
    timeout 300 "$here/../lab" ssh a "xl migrate --stock $guest ${address[b]}" >"$work/xl" 2>&1 </dev/null ||
        bad "xl migrate --stock: $(tail -n 3 "$work/xl")"
    lab guest wait "$guest" 60 || bad "it does not answer after the move"
}

# Started on a, moved to b.
there() { # FRONTENDS
    is_well a "$1"
    lab watch start "$guest"
    stock_move
    beat 240
    note "heartbeat stopped for $(jq .heartbeat_gap_s "$work/watch.json") s, ping for $(jq .ping_gap_s "$work/watch.json") s"
    is_well b "$1"
    empty a
    no_qemu a || bad "a QEMU is left on host a"
}

case_begin "hvm-stock: PV drivers"
guest_start a hvm --type hvm --rate 100 --ip 127 --disk vdb
there 2
case_end
lab guest stop hvm

case_begin "hvm-stock: PV drivers and a screen"
guest_start a screen --type hvm --vga stdvga --rate 100 --ip 127 --disk vdb
there 2
[ "$(on b 'exec 3<>/dev/tcp/127.0.0.1/5900 && head -c 4 <&3')" = "RFB " ] || bad "no VNC on host b"
case_end
lab guest stop screen

case_begin "hvm-stock: emulated devices only"
guest_start a emulated --type hvm --emulated --vga stdvga --rate 100 --ip 127 --disk vdb
there 0
lab guest cmd "$guest" damage disk >/dev/null
answer=$(lab guest cmd "$guest" verify)
[[ $answer == BAD*disk\[* ]] || bad "a damaged block of the emulated disk is not found: $answer"
case_end

case_begin "hvm-stock: QEMU is found and killed"
qemu_runs b || bad "no QEMU is seen on host b"
kill_qemu b "$guest"
no_qemu b || bad "it lives on"
[ -z "$(qemu_status b "$guest")" ] || bad "it still answers"
case_end
finish
