#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# HVM guests with other devices: where their disk is, which card draws, a QEMU without privileges, and
# what changes while they are copied.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"
export MOVE_LIMIT=300
at=a lost=0

# Moved to the other host, by the named mode of its devices.
there() {
    local to=${other[$at]} s
    lab watch start "$guest"
    good_move $at
    beat 60 $lost
    note "downtime $(report .downtime_s) s, $(report .mode), heartbeat gap $(jq .heartbeat_gap_s "$work/watch.json") s"
    s=$(qemu_status "$to" "$guest")
    [ "$s" = running ] || bad "its QEMU on host $to is '$s'"
    no_qemu $at || bad "a QEMU is left on host $at"
    at=$to
}

there_and_back() { # NAME
    case_begin "hvm: $1, there"
    there
    case_end
    case_begin "hvm: $1, and back"
    there
    case_end
}

# The shared disk becomes an empty qcow2 image.
make_qcow2() {
    qemu-img create -q -f qcow2 "$work/qcow2" 64M
    lab put a "$work/qcow2" /tmp/qcow2
    on a "dd if=/tmp/qcow2 of=/dev/vdb bs=64k conv=fsync oflag=direct status=none"
}
is_qcow2() { # HOST
    [ "$(on "$1" "dd if=/dev/vdb bs=512 count=1 iflag=direct status=none" | head -c 3)" = QFI ] ||
        bad "the disk is no longer qcow2"
}

moves_late() { grep -q '"late-devices"' "$work/json" || bad "its devices were not late"; }

# stays NAME STATUSES SAYS COMMAND...: done while it is copied; the move ends, and the guest goes on here.
stays() {
    local name=$1 statuses=$2 says=$3
    shift 3
    wanted "$name" || return 0
    case_begin "hvm (COPY): $name"
    lab watch start "$guest"
    move_in_background $at "" --bandwidth 4
    until_true 120 copying || bad "no COPY: $(error_text)"
    "$@"
    # shellcheck disable=SC2086 # a list
    move_ends $statuses
    note "$(report .error)"
    [[ $(report .error) == *"$says"* ]] || bad "that is not about: $says"
    beat 60
    intact $at
    until_true 45 is_empty "${other[$at]}" || empty "${other[$at]}"
    no_qemu "${other[$at]}" || bad "a QEMU is left on host ${other[$at]}"
    case_end
}

video_off() { [ "$(lab guest cmd "$guest" video off)" = OK ] || bad "the guest cannot set its video card"; }

if wanted "a screen"; then
    guest_start a screen --type hvm --vga stdvga --cd 1 --rate 100 --ip 126 --disk vdb
    at=a
    stays "xl cd-insert" "3 8" "a device (vbd 5632)" on $at "xl cd-insert screen hdc /srv/guest/vmlinuz"

    # QEMU has a device more than libxl knows of.
    stays "a device state that QEMU refuses" 4 "0000:00" lab qmp $at "$guest" \
        '{"execute": "device_add", "arguments": {"driver": "rtl8139", "id": "more", "romfile": ""}}'
    lab qmp $at "$guest" '{"execute": "device_del", "arguments": {"id": "more"}}' >/dev/null || true

    stays "the video memory is no longer mapped" "3 4" "video" video_off
    case_begin "hvm: no mapped video memory"
    video_off
    there
    moves_late
    case_end
    lab guest stop screen
fi

if wanted cirrus; then
    guest_start a cirrus --type hvm --vga cirrus --rate 100 --ip 126 --disk vdb
    at=a
    there_and_back "a Cirrus card"
    lab guest stop cirrus
fi

if wanted dm_restrict; then
    for h in a b; do on $h "id xen-qemuuser-range-base >/dev/null 2>&1 ||
        useradd --no-create-home --system --uid 900 xen-qemuuser-range-base"; done
    case_begin "hvm: a QEMU without privileges and with an emulated disk is refused"
    guest_start a restricted --type hvm --rate 100 --ip 126 --disk vdb --config 'dm_restrict = 1'
    move a && bad "it moved"
    [[ $(error_text) == *"dm_restrict=1"*"xvda"*"no tool moves it"* ]] || bad "it says $(error_text)"
    intact a
    case_end
    lab guest stop restricted
    guest_start a restricted --type hvm --rate 100 --ip 126 --disk vdb --vdev xvde --config 'dm_restrict = 1'
    at=a
    there_and_back "a QEMU without privileges, no emulated disk"
    lab guest stop restricted
fi

if wanted qcow2; then
    make_qcow2
    guest_start a grown --type hvm --rate 100 --ip 126 --disk vdb --backend qdisk --format qcow2
    at=a
    there_and_back "a qcow2 disk"
    case_begin "hvm: its format"
    is_qcow2 $at
    case_end
    lab guest stop grown
    make_qcow2
    lost=1
    guest_start a emulated --type hvm --emulated --rate 100 --ip 126 --disk vdb --format qcow2
    at=a
    there_and_back "an emulated qcow2 disk"
    lab guest stop emulated
fi

if wanted ahci; then
    lost=1
    guest_start a ahci --type hvm --emulated --rate 100 --ip 126 --disk vdb --config 'hdtype = "ahci"'
    at=a
    there_and_back "an AHCI disk"
    lab guest stop ahci
fi

locks() { on "$1" "grep -c OFDLCK /proc/locks" || true; }
held() { on $at "test -e /tmp/hold"; }
answers() { lab guest cmd "$guest" status >/dev/null 2>&1; }
if wanted NFS; then
    lab nfs
    on a "truncate -s 64M /srv/nfs/disk"
    lost=1
    guest_start a shared --type hvm --emulated --rate 100 --ip 126 --disk /srv/nfs/disk
    at=a
    [ "$(locks a)" -gt 0 ] || bad "its image is not locked on host a"
    there_and_back "an image on NFS"

    # Its QEMU had given up the locks, and the copy's had taken them.
    case_begin "hvm (before-go): an image on NFS, the sink is killed"
    on $at "rm -f /tmp/hold"
    move_in_background $at "XENFERRY_HOLD=before-go=/tmp/hold"
    until_true 180 held || bad "the move does not come to before-go: $(error_text)"
    kill_sink
    on $at "rm -f /tmp/hold"
    move_ends 4
    until_true 60 answers || bad "it does not answer" # an emulated NIC takes its time
    intact $at
    [ "$(locks $at)" -gt 0 ] || bad "its image is not locked again on host $at"
    until_true 45 is_empty "${other[$at]}" || empty "${other[$at]}"
    there
    case_end
    lab guest stop shared
    on a "rm -f /srv/nfs/disk"
fi
finish
