#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Disks that move with their guest, between hosts that share nothing: the image is on each host's own
# disk (/srv/own). The guest's own verify is the judge: every block of its disk is what it wrote.
#   ONLY=REGEX   of the cases, those that match
# shellcheck disable=SC2317 # functions are called by until_true and by fails
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"

store=/srv/own
image=$store/g1.img
at=a

# --- the stores, and what is in them ---

allow() { # HOST: disks may come there
    on "$1" "mkdir -p /etc/xen && printf '%s\n' '<xenferry><receive><storage dir=\"$store\"/></receive></xenferry>' >/etc/xen/xenferry.xml"
}
has_image() { on "$1" "test -e $image"; } # HOST
no_image() { ! has_image "$1"; }          # HOST
# Everything in the store by name; images of earlier moves have a name of their own.
in_store() { on "$1" "ls $store | grep -v lost+found || true"; } # HOST
forget_moved() { on "$1" "rm -f $store/*.moved-*"; }             # HOST
no_disk_processes() { # HOST
    local left
    left=$(on "$1" "pgrep -af '[q]emu-nbd'; ls /run/xenferry/disk-*.sock /run/xenferry/nbd-*.sock 2>/dev/null" || true)
    [ -z "$left" ] || bad "left on host $1: $left"
}
# The guest's QEMU has neither job nor node of ours.
no_job() { # HOST
    local said
    said=$(lab qmp "$1" "$guest" '{"execute":"query-jobs"}' '{"execute":"query-named-block-nodes","arguments":{"flat":true}}' || true)
    ! grep -q '"xf-' <<<"$said" || bad "a job or a node is left in the guest's QEMU: $(grep -o '"xf-[^"]*"' <<<"$said" | sort -u | tr '\n' ' ')"
}
writes() { status_field disk_writes; }
writes_on() { # WRITES: and the guest has gone on since
    [ "$(writes)" -gt $(($1 + 20)) ]
}
goes_on() {
    local before
    before=$(writes)
    until_true 60 writes_on "$before" || bad "the guest's disk stands still"
}

start() { # NAME [options of `lab guest start`]
    local name=$1
    shift
    on "$at" "rm -f $store/*.img*; truncate -s 64M $image"
    guest_start "$at" "$name" --mem 128 --fill 24 --rate 100 --ip 130 --disk $image --backend qdisk --diskrate 20 "$@"
}

# A move with its disk that must succeed.
disk_move() { # [options]
    local to=${other[$at]}
    if ! MOVE_LIMIT=600 move "$at" --with-disks "$@"; then
        bad "move to $to: status not 0: $(error_text)"
        return 0
    fi
    intact "$to"
    goes_on
    empty "$at"
    has_image "$to" || bad "no image on host $to"
    no_image "$at" || bad "the image on host $at still has its name"
    no_disk_processes "$at"
    no_disk_processes "$to"
    at=$to
}

for h in a b; do allow $h; done

# --- 1: it moves, and back ---

start g1
case_begin "disks: to a host that shares nothing"
lab watch start "$guest"
disk_move
beat 30
note "DISKS $(report .phase_s.DISKS) s, drained in $(report '.disks[0].drained_ms') ms, downtime $(report .downtime_s) s"
[ "$(report '.disks[0].verified')" = true ] || bad "the copy was not compared"
[ "$(report '.disks[0].vdev')" = xvda ] || bad "the report has no disk"
in_store a | grep -q 'g1\.img\.moved-' || bad "the image of before is gone: $(in_store a)"
case_end
enough_for_quick

case_begin "disks: and back, uncompared and unencrypted, the old image removed"
forget_moved a
disk_move --no-verify-disks --no-encrypt --delete-source
[ -z "$(in_store b)" ] || bad "left in the store of b: $(in_store b)"
[ "$(report '.disks[0].verified')" = false ] || bad "it claims to have been compared"
case_end

case_begin "disks: the gap beside that of a move without disks"
forget_moved b
lab watch start "$guest"
disk_move
lab watch stop "$guest" "$work/watch.json" >/dev/null
with=$(jq .heartbeat_gap_s "$work/watch.json")
lab guest stop "$guest"
guest_start a plain --mem 128 --fill 24 --rate 100 --ip 131 --disk vdb --diskrate 20
lab watch start "$guest"
move a || bad "the move without disks failed: $(error_text)"
lab watch stop "$guest" "$work/watch.json" >/dev/null
without=$(jq .heartbeat_gap_s "$work/watch.json")
note "heartbeat gap $with s with a disk, $without s without"
# A figure, and no reason to fail: other programs use these processors.
mkdir -p "$top/build/bench"
jq -n --argjson with "$with" --argjson without "$without" '{targets: [{
    name: "gap of a move with a 64 MiB disk, s", required: ($without + 1), measured: $with,
    met: ($with <= $without + 1)}]}' >"$top/build/bench/disks-lab.json"
lab guest stop "$guest"
at=a
start g1
case_end

# --- --check, refusals: nothing is touched ---

refused() { # NAME TEXT [options]
    local name=$1 text=$2 before
    shift 2
    wanted "$name" || return 0
    case_begin "disks: refused: $name"
    before=$(in_store "${other[$at]}")
    if move "$at" "$@"; then bad "it was not refused"; fi
    [ "$(report .exit_status)" = 1 ] || bad "status $(report .exit_status): $(error_text)"
    grep -q "$text" "$work/json" || bad "no word of '$text': $(error_text)"
    [ "$(in_store "${other[$at]}")" = "$before" ] || bad "something was made there"
    no_job "$at"
    intact "$at"
    case_end
}

case_begin "disks: --check lists them"
move "$at" --check --with-disks || bad "--check failed: $(error_text)"
[ "$(report '.disks[0].target')" = $image ] || bad "no target: $(report .disks)"
jq -es 'map(select(.type == "report")) | last | .disks[0] | .bytes == 67108864 and .free > 0' "$work/json" >/dev/null ||
    bad "size or free space is missing: $(report .disks)"
no_image b || bad "--check has made an image"
case_end

refused "a place that is not allowed" "choose one of its stores" --disk xvda=/root/g1.img
refused "no such disk" "has no disk xvdc" --with-disks=xvdc
on b "touch $image"
refused "the target exists" "exists there already" --with-disks
on b "rm $image; fallocate -l 200M $store/full"
refused "too little space" "are free" --with-disks
on b "rm $store/full; rm /etc/xen/xenferry.xml"
refused "the host takes no disks" "takes no disks" --with-disks
allow b

# --- 2 to 6: failures ---

disks_ready() { on "$at" "test -e /tmp/hold"; }

# fails_in_disks NAME COMMAND...: it is done while the disks are copied, and the move ends with 3.
fails_in_disks() {
    local name=$1 to=${other[$at]}
    shift
    wanted "$name" || return 0
    case_begin "disks: in DISKS: $name"
    on "$at" "rm -f /tmp/hold"
    MOVE_LIMIT=600 move_in_background "$at" "XENFERRY_HOLD=disks-ready=/tmp/hold" --with-disks
    until_true 300 disks_ready || bad "the copy does not come so far: $(error_text)"
    "$@"
    goes_on
    on "$at" "rm -f /tmp/hold"
    END_LIMIT=240 move_ends 3
    note "$(report .error)"
    lab net heal
    on "$to" "rm -f $store/full"
    intact "$at"
    goes_on
    until_true 60 no_image "$to" || bad "an image is left on host $to"
    until_true 60 is_empty "$to" || empty "$to"
    no_job "$at"
    no_disk_processes "$at"
    until_true 30 no_nbd "$to" || no_disk_processes "$to"
    case_end
}
no_nbd() { [ -z "$(on "$1" "pgrep -f '[q]emu-nbd'" || true)" ]; }
kill_nbd() { on "${other[$at]}" "pkill -KILL qemu-nbd"; }

fails_in_disks "the link is cut" cut_link
fails_in_disks "qemu-nbd is killed" kill_nbd
fails_in_disks "the sink is killed" kill_sink
fails_in_disks "the receiving side's guard is killed" kill_receiver
fails_in_disks "Ctrl-C" interrupt

if wanted "the source's xl is killed"; then
    case_begin "disks: in DISKS: the source's xl is killed"
    on "$at" "rm -f /tmp/hold"
    MOVE_LIMIT=600 move_in_background "$at" "XENFERRY_HOLD=disks-ready=/tmp/hold" --with-disks
    until_true 300 disks_ready || bad "the copy does not come so far: $(error_text)"
    on "$at" "kill -KILL \$(cat /tmp/move.pid)"
    goes_on
    on "$at" "rm -f /tmp/hold"
    until_true 60 no_image "${other[$at]}" || bad "an image is left on host ${other[$at]}"
    intact "$at"
    # Its job is still in QEMU, and does not hinder the next move.
    disk_move
    forget_moved "${other[$at]}"
    case_end
fi

if wanted "a byte of the copy is wrong"; then
    case_begin "disks: a byte of the copy is wrong: no GO"
    on "$at" "rm -f /tmp/hold"
    to=${other[$at]}
    MOVE_LIMIT=600 move_in_background "$at" "XENFERRY_HOLD=disks-ready=/tmp/hold" --with-disks
    until_true 300 disks_ready || bad "the copy does not come so far: $(error_text)"
    # The last block, which the guest has not come to.
    on "$to" "printf X | dd of=$image bs=1 seek=$((64 * 1048576 - 100)) conv=notrunc 2>/dev/null; sync"
    on "$at" "rm -f /tmp/hold"
    # One part may be what the guest writes to all the time: it is compared again in SWITCH.
    END_LIMIT=300 move_ends 4
    grep -q 'although the guest is suspended' "$work/json" || bad "another reason: $(error_text)"
    intact "$at"
    until_true 60 no_image "$to" || bad "an image is left on host $to"
    no_job "$at"
    case_end
fi

if wanted "in SWITCH"; then
    case_begin "disks: in SWITCH, all drained, the link is cut"
    to=${other[$at]}
    on "$at" "rm -f /tmp/hold"
    MOVE_LIMIT=600 move_in_background "$at" "XENFERRY_HOLD=disks-done=/tmp/hold" --with-disks
    until_true 400 disks_ready || bad "the move does not come so far: $(error_text)"
    cut_link
    on "$at" "rm -f /tmp/hold"
    END_LIMIT=240 move_ends 4 5
    status=$(cat "$move_status")
    note "status $status: $(report .error)"
    lab net heal
    if [ "$status" = 4 ]; then
        intact "$at"
        goes_on
        until_true 60 no_image "$to" || bad "an image is left on host $to"
    else # GO was lost on its way: both copies are kept
        { has_image "$at" && has_image "$to"; } || bad "a copy is missing"
        on "$at" "xl migrate-recover --resume $guest" || bad "it cannot be resumed"
        intact "$at"
        on "$to" "rm -f $image"
    fi
    no_job "$at"
    case_end
fi

# --- 7: the sink dies in PULL ---

# The guest is at the destination, without all of its pages, and its sink is dead.
lose_sink() { # [options]
    MOVE_LIMIT=600 move_in_background "$at" "XENFERRY_PULL=no-push=600" --postcopy "$@"
    until_true 400 in_phase PULL || bad "the move does not come to PULL: $(error_text)"
    kill_sink
    END_LIMIT=300 move_ends 5 7
}
recover() { # STATUS OPTIONS: migrate-recover here; what it says is in $work/recover
    local wanted=$1 rc=0
    shift
    on "$at" "xl migrate-recover $* $guest" >"$work/recover" 2>&1 || rc=$?
    [ "$rc" = "$wanted" ] || bad "migrate-recover $*: status $rc: $(tail -n 2 "$work/recover")"
}
says() { tr '\n' ' ' <"$work/recover" | tr -s ' ' | grep -qF -- "$1" || bad "no word of '$1': $(cat "$work/recover")"; } # TEXT

if wanted "the sink dies in PULL"; then
    case_begin "disks: the sink dies in PULL: the guest goes on as of the switch"
    to=${other[$at]}
    lose_sink --with-disks
    has_image "$at" || bad "the image here is gone"
    has_image "$to" || bad "the image there is gone"
    # It is there, and lacks pages that nobody takes.
    recover 1 --as-of-switch
    says "it is still at"
    recover 1 --resume
    on "$to" "xl destroy $guest"
    recover 5
    says "--as-of-switch"
    recover 0 --as-of-switch
    says "$image"
    intact "$at"
    goes_on
    has_image "$to" || bad "the newer image there is gone"
    on "$to" "rm -f $image"
    empty "$to"
    no_job "$at"
    disk_move
    forget_moved "${other[$at]}"
    case_end
fi

# --- a guest with a disk of both kinds ---

# xvdb is on the storage that both hosts reach, xvda is not.
add_shared() { on "$at" "xl block-attach $guest 'format=raw,vdev=xvdb,access=rw,target=/dev/vdb'"; }
has_shared() { on "$1" "xenstore-ls -f /local/domain/0/backend | grep -q '/dev = .xvdb'"; } # HOST
drop_shared() { on "$at" "xl block-detach $guest xvdb"; }

if wanted "one disk moves, and one is shared"; then
    case_begin "disks: one disk moves, and one is shared"
    add_shared
    disk_move --with-disks=xvda
    has_shared "$at" || bad "the shared disk is missing at host $at"
    forget_moved "${other[$at]}"
    case_end
    refused "all of them, of which one is served by the kernel" "xvdb is served by the kernel" --with-disks
    case_begin "disks: one disk is shared, the sink dies in PULL: no way back"
    to=${other[$at]}
    lose_sink --with-disks=xvda
    on "$to" "xl destroy $guest"
    recover 1 --as-of-switch
    says "it can write to disks that did not move with it"
    recover 1 --as-of-switch --force
    # Nobody has written to it in truth, and so it may be told to go on.
    recover 0 --resume --force
    intact "$at"
    on "$to" "rm -f $image"
    drop_shared
    case_end
fi

# --- HVM ---

if wanted "an HVM guest"; then
    lab guest stop "$guest"
    at=a
    on b "rm -f $store/*.img*"
    start hvm --type hvm --mem 160
    case_begin "disks: an HVM guest, there"
    lab watch start "$guest"
    disk_move
    beat 60
    no_qemu "${other[$at]}" || bad "a QEMU is left on host ${other[$at]}"
    note "drained in $(report '.disks[0].drained_ms') ms, downtime $(report .downtime_s) s"
    forget_moved "${other[$at]}"
    case_end
    case_begin "disks: an HVM guest, and back"
    disk_move --no-verify-disks
    forget_moved "${other[$at]}"
    case_end
    fails_in_disks "an HVM guest: the link is cut" cut_link
    fails_in_disks "an HVM guest: the sink is killed" kill_sink
    if wanted "an HVM guest: the sink dies in PULL"; then
        case_begin "disks: an HVM guest: the sink dies in PULL"
        to=${other[$at]}
        lose_sink --with-disks
        on "$to" "xl destroy $guest"
        recover 0 --as-of-switch
        intact "$at"
        goes_on
        on "$to" "rm -f $image"
        case_end
    fi
    case_begin "disks: an HVM guest without PV drivers is refused"
    lab guest stop "$guest"
    start emulated --type hvm --mem 160 --emulated
    if move "$at" --with-disks; then bad "it was not refused"; fi
    [ "$(report .exit_status)" = 1 ] || bad "status $(report .exit_status): $(error_text)"
    grep -q "has no PV drivers" "$work/json" || bad "another reason: $(error_text)"
    intact "$at"
    lab guest stop "$guest"
    case_end
    start g1
fi

case_begin "disks: after all that it moves"
disk_move
case_end
finish
