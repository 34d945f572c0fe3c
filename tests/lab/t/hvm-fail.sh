#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What fails in the move of an HVM guest: before GO it goes on at the source with its QEMU and its disk,
# nothing is left at the destination, and the next move succeeds.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"
export MOVE_LIMIT=300

guest_start a hvm --type hvm --rate 100 --ip 126 --disk vdb
at=a

held() { on $at "test -e /tmp/hold"; }
copy() { echo "$guest--incoming"; }
kill_copys_qemu() { kill_qemu "${other[$at]}" "$(copy)"; }
copy_waits() { [ "$(qemu_status "${other[$at]}" "$(copy)")" = inmigrate ]; }

# It is where it was, with all that it had, and moves.
goes_on() {
    local to=${other[$at]} s
    intact $at
    s=$(qemu_status $at "$guest")
    [ "$s" = running ] || bad "its QEMU on host $at is '$s'"
    until_true 45 is_empty "$to" || empty "$to"
    no_qemu "$to" || bad "a QEMU is left on host $to"
    good_move $at
    at=$to
}

# fails_at POINT NAME COMMAND...: held in SWITCH
fails_at() {
    local point=$1 name=$2
    shift 2
    wanted "$name" || return 0
    case_begin "hvm ($point): $name"
    on $at "rm -f /tmp/hold"
    lab watch start "$guest"
    move_in_background $at "XENFERRY_HOLD=$point=/tmp/hold"
    until_true 180 held || bad "the move does not come to $point: $(error_text)"
    "$@"
    on $at "rm -f /tmp/hold"
    move_ends 4
    note "$(report .error)"
    lab net heal
    beat 60
    note "heartbeat gap $(jq .heartbeat_gap_s "$work/watch.json") s, hold included"
    goes_on
    case_end
}

# in_copy NAME STATUS COMMAND...: while pages are copied; the guest is never suspended
in_copy() {
    local name=$1 status=$2
    shift 2
    wanted "$name" || return 0
    case_begin "hvm (COPY): $name"
    lab watch start "$guest"
    move_in_background $at "" --bandwidth 4
    until_true 120 copying || bad "no COPY: $(error_text)"
    until_true 60 copy_waits || bad "the copy's QEMU is '$(qemu_status "${other[$at]}" "$(copy)")'"
    "$@"
    move_ends $status
    note "$(report .error)"
    in_phase SWITCH && bad "it went on to SWITCH"
    beat 10
    goes_on
    case_end
}

in_copy "its copy's QEMU is killed" 3 kill_copys_qemu
fails_at suspended "its copy's QEMU is killed" kill_copys_qemu
fails_at before-go "its copy's QEMU is killed" kill_copys_qemu
fails_at suspended "the link is cut" cut_link
fails_at before-go "the sink is killed" kill_sink
fails_at before-go "Ctrl-C" interrupt

# Its QEMU still logs its writes when the next move begins, and must not be told twice to stop.
if wanted "the moving xl is killed"; then
    case_begin "hvm (COPY): the moving xl is killed"
    move_in_background $at "" --bandwidth 4
    until_true 120 copying || bad "no COPY: $(error_text)"
    on $at "kill -KILL \$(cat /tmp/move.pid)"
    until_true 30 move_over || bad "the move does not end"
    until_true 60 is_empty "${other[$at]}" || empty "${other[$at]}"
    goes_on
    case_end
fi

if wanted "a kernel that is not there"; then
    case_begin "hvm: a kernel that is not there"
    kernel=$(on $at "xl list -l $guest" | jq -r '.[0].config.b_info.kernel')
    on "${other[$at]}" "mount -t tmpfs none ${kernel%/*}"
    move $at && bad "it moved"
    on "${other[$at]}" "umount ${kernel%/*}"
    [[ $(error_text) == *"$kernel"*"copy it"* ]] || bad "it says $(error_text)"
    goes_on
    case_end
fi

# The link is cut when the last pages and the state of the devices are on their way: they begin
# together, on channels of their own, and take seconds on a link this slow. The guest is quiet, so
# that the pages are few.
sent() { lab net bytes | jq ".${at}_to_${other[$at]}"; }
some_is_sent() { [ "$(sent)" -ge $((from + 30000)) ]; }
if wanted "half of the devices' state is sent"; then
    case_begin "hvm (SWITCH): half of the devices' state is sent, and the link is cut"
    lab guest stop "$guest"
    guest_start a quiet --type hvm --vga stdvga --rate 1 --diskrate 1 --ip 126 --disk vdb
    at=a
    on $at "rm -f /tmp/hold"
    move_in_background $at "XENFERRY_HOLD=suspended=/tmp/hold" --precopy
    until_true 180 held || bad "the move does not come to its hold: $(error_text)"
    lab net rate 1 16kb # of which only so much goes at once
    from=$(sent)
    on $at "rm -f /tmp/hold"
    until_true 30 some_is_sent || bad "nothing is sent"
    cut_link
    move_ends 4
    note "cut after $(($(sent) - from)) bytes: $(report .error)"
    lab net heal
    lab net rate off
    goes_on
    case_end
fi

# Nobody can start another one: the guest goes on without, as after any end of its QEMU, and the move
# says so. libxl lets no suspended guest run on without: it stays as it is, and the remedy is named.
without_qemu() { # POINT COMMAND...
    wanted "its own QEMU is killed" || return 0
    case_begin "hvm ($1): its own QEMU is killed"
    lab guest stop "$guest"
    guest_start a hvm --type hvm --rate 100 --ip 126 --disk vdb
    at=a
    on $at "rm -f /tmp/hold"
    if [ "$1" = COPY ]; then
        move_in_background $at "" --bandwidth 4
        until_true 120 copying || bad "no COPY: $(error_text)"
    else
        move_in_background $at "XENFERRY_HOLD=$1=/tmp/hold"
        until_true 180 held || bad "the move does not come to $1: $(error_text)"
    fi
    kill_qemu $at "$guest"
    on $at "rm -f /tmp/hold"
    if [ "$1" = suspended ]; then move_ends 6; else move_ends 3 4; fi
    note "$(report .error)"
    [[ $(report .error) == *"device model"* ]] || bad "it does not name the device model"
    if [ "$1" = suspended ]; then
        [[ $(report .error) == *"xl destroy"* ]] || bad "it names no remedy"
        on $at "xl list $guest | grep -q -- '--s'" || bad "it is not suspended: $(on $at "xl list")"
        on $at "xl destroy $guest; rm -f /run/xenferry/*.move" # the record of a domain that is no more
    else
        intact $at
    fi
    until_true 45 is_empty "${other[$at]}" || empty "${other[$at]}"
    case_end
}
without_qemu COPY
without_qemu before-suspend
without_qemu suspended
finish
