# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the lab's tests share: a guest under load, moves of it, and the questions that are
# asked afterwards: is every byte right, is nothing left behind, did it keep beating.
#
# A test is a script that sources this file, and ends with `finish`. Each `case_` line it
# prints is one result. The lab is up, and our xl is installed on both hosts (run-tests).
# However the script ends, but for a signal, its last line is "N passed, N failed".
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../../.." && pwd)
state=${XENFERRY_LAB_STATE:-/run/xenferry-lab}
work=$(mktemp -d)
declare -A address=([a]=10.9.0.1 [b]=10.9.0.2) other=([a]=b [b]=a)
passed=0 failed=0 current='' finished='' background=()
transport=${TRANSPORT:-tcp} # tcp, rdma, or transport=auto: the option of every move

lab() { "$here/../lab" "$@"; }

# on HOST COMMAND...: in that host's dom0, for at most a minute.
on() {
    local h=$1
    shift
    timeout 60 "$here/../lab" ssh "$h" "$@" </dev/null
}

# --- results ---

note() { printf '      %s\n' "$*"; }

case_begin() {
    current=$1
    case_failed=0
    case_at=$SECONDS
}

# Something is not as it must be; the case goes on, to show what else is wrong.
bad() {
    case_failed=1
    printf '      %s: %s\n' "$current" "$*"
}

case_end() {
    if [ $case_failed = 0 ]; then
        passed=$((passed + 1))
        printf 'ok    lab: %-47s %4d s\n' "$current" $((SECONDS - case_at))
    else
        failed=$((failed + 1))
        printf 'FAIL  lab: %s\n' "$current"
        mkdir -p "$top/build/check"
        lab logs "$top/build/check/lab-${current//[^a-z0-9]/-}" >/dev/null 2>&1 || true
        cp -r "$work" "$top/build/check/lab-${current//[^a-z0-9]/-}/work" 2>/dev/null || true
    fi
    current=''
}

# The results, once. False if there is a failure among them.
tally() {
    trap - ERR
    finished=yes
    [ -z "$current" ] || { bad "ended early"; case_end; }
    echo "$passed passed, $failed failed"
    [ $failed = 0 ]
}

finish() {
    tally && exit 0
    exit 1
}

# The case is lost, or what the next ones need.
lost() { # WHY
    [ -n "$current" ] || case_begin "${0##*/}, between cases"
    bad "$*"
}

# A command that nobody expected to fail did, in the script or in a function that it called. In a
# subshell nothing can be counted: what becomes of its status, whoever started it decides.
# shellcheck disable=SC2317 # called by the trap
unexpected() { # STATUS COMMAND
    local i
    [ "$BASHPID" = $$ ] || return 0
    lost "${BASH_SOURCE[1]##*/} line ${BASH_LINENO[0]}: status $1: $2"
    for ((i = 2; i < ${#FUNCNAME[@]}; i++)); do # 0 is this function, 1 where it failed
        note "called from ${BASH_SOURCE[i]##*/} line ${BASH_LINENO[i - 1]}"
    done
    finish
}
set -E # in functions, too
trap 'unexpected $? "$BASH_COMMAND"' ERR

# shellcheck disable=SC2317 # called by the trap
leave() {
    local rc=$? p
    trap - ERR
    if [ -z "$finished" ]; then # an unset variable, `exit`, or nobody has called finish
        lost "the script ended by itself, with status $rc"
        tally || rc=1
    fi
    for p in "${background[@]}"; do
        kill "$p" 2>/dev/null || true
    done
    lab net heal >/dev/null 2>&1 || true
    [ -z "${guest-}" ] || lab guest stop "$guest" >/dev/null 2>&1 || true
    rm -rf "$work"
    exit "$rc"
}
trap leave EXIT
trap 'finished=signal; exit 1' INT TERM

# --- the guest ---

# guest_start HOST NAME [options of `lab guest start`]
guest_start() {
    guest=$2
    lab guest start "$@" >"$work/start" 2>&1 || {
        cat "$work/start"
        return 1
    }
}

status_field() { # FIELD
    lab guest cmd "$guest" status | jq -r ".$1"
}

# The guest runs on HOST, answers over its network, and every byte of its memory and
# disk is what it wrote.
intact() { # HOST
    local at answer
    at=$(lab guest where "$guest")
    [ "$at" = "$1" ] || bad "the guest is on '$at', not on $1"
    answer=$(lab guest cmd "$guest" verify 2>&1) || true
    case $answer in
    OK*) ;;
    *) bad "verify: ${answer:-no answer}" ;;
    esac
    [ "$(status_field errors)" = 0 ] || bad "the guest saw: $(status_field first_error)"
}

# No vCPU of its is paused for good, and Xen pages nothing of it any more.
paging_is_off() { # HOST
    local state
    state=$(on "$1" "xl list $guest" | awk 'NR == 2 { print $5 }')
    case $state in
    *p*) bad "the guest is paused: $state" ;;
    esac
    on "$1" "xl dmesg -c >/dev/null; xl debug-keys q; xl dmesg" >"$work/q" 2>&1
    # xen/common/keyhandler.c, dump_domains(): "paged_pages=N" of every domain
    ! grep -E 'paged_pages=[1-9]' "$work/q" || bad "pages are still paged out"
}

# ONLY=REGEX: of a test with many cases, those that match.
wanted() { [[ $1 =~ ${ONLY:-.} ]]; }

# With QUICK=1 (as `make check` has it) a test ends here; the rest is for `make lab-check`.
enough_for_quick() { [ "${QUICK-}" != 1 ] || finish; }

# Nothing of any guest is left on HOST: no domain, no backend, no process of a move.
empty() { # HOST
    local left
    left=$(on "$1" "xl list | tail -n +2 | grep -v '^Domain-0 ' || true
        xenstore-ls -f /local/domain/0/backend 2>/dev/null | grep -E '/(vbd|vif)/[0-9]+/' || true
        pgrep -af '[m]igrate-receive|[l]ibxl-save-helper' || true")
    [ -z "$left" ] || bad "left on host $1: $left"
}

# The heartbeat over a watched time: never backwards, none lost (or at most LOST), no gap over SECONDS.
beat() { # SECONDS [LOST]
    lab watch stop "$guest" "$work/watch.json" >/dev/null
    local gap
    gap=$(jq .heartbeat_gap_s "$work/watch.json")
    [ "$(jq .backwards "$work/watch.json")" = 0 ] || bad "the heartbeat went backwards"
    [ "$(jq .skipped "$work/watch.json")" -le "${2-0}" ] || bad "heartbeats were lost: $(jq .skipped "$work/watch.json")"
    jq -e ".heartbeat_gap_s <= $1" "$work/watch.json" >/dev/null ||
        bad "the heartbeat stopped for $gap s (at most $1)"
}

# --- of an HVM guest: its QEMU. DOMAIN: $guest, or $guest--incoming where it is to come ---

qemu_pid() { on "$1" "xenstore-read /local/domain/\$(xl domid $2)/image/device-model-pid"; } # HOST DOMAIN
kill_qemu() { on "$1" "kill -KILL $(qemu_pid "$1" "$2")"; } # HOST DOMAIN
# running, inmigrate, paused, ...; nothing if it does not answer
qemu_status() { lab qmp "$1" "$2" '{"execute": "query-status"}' 2>/dev/null | jq -r .return.status || true; } # HOST DOMAIN
qemu_runs() { on "$1" "pgrep -f '^[^ ]*qemu-system-i386 -xen-domid' >/dev/null"; } # HOST: of any guest
qemu_is_gone() { ! qemu_runs "$1"; }
no_qemu() { until_true 20 qemu_is_gone "$1"; } # HOST: it ends a little after its domain

# --- moves ---

# move FROM [options]: our xl, to the other host; its JSON lines in $work/json. MOVE_LIMIT: seconds.
move() {
    local from=$1
    shift
    timeout "${MOVE_LIMIT:-240}" "$here/../lab" ssh "$from" \
        "xl migrate --$transport --json $* $guest ${address[${other[$from]}]}" \
        >"$work/json" 2>"$work/stderr" </dev/null
}

is_seen() { [ "$(lab guest seen "$guest")" = "$1" ]; }

# A move that must succeed, with everything that is to be asked after it.
good_move() { # FROM [options]
    local to=${other[$1]}
    if ! move "$@"; then
        bad "move to $to: status not 0: $(error_text)"
        return 0
    fi
    # Before anybody asks it anything, which it would answer, and be seen by that.
    until_true 20 is_seen "$to" || bad "the network still looks for the guest on host $(lab guest seen "$guest")"
    intact "$to"
    empty "$1"
}

# move_in_background FROM ENVIRONMENT [options]: its pid is in /tmp/move.pid of the host. Each has
# a file of its own for its status: the session of one that was killed may end much later.
move_in_background() {
    local from=$1 env=$2
    shift 2
    : >"$work/json"
    move_status=$work/status.${#background[@]}
    (
        rc=0
        timeout "${MOVE_LIMIT:-240}" "$here/../lab" ssh "$from" "echo \$\$ >/tmp/move.pid
            exec env $env xl migrate --$transport --json $* $guest ${address[${other[$from]}]}" \
            >"$work/json" 2>"$work/stderr" </dev/null || rc=$?
        echo $rc >"$move_status"
    ) &
    background+=($!)
}

report() { jq -rs "map(select(.type == \"report\")) | last | $1" "$work/json"; }
error_text() { jq -rs 'map(select(.error or .type == "error")) | last | .error // .text' "$work/json" 2>/dev/null; tail -n 2 "$work/stderr"; }

# until_true SECONDS COMMAND...: poll; not a guess at how long something takes.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

in_phase() { # PHASE: the background move has come to it
    grep -q "\"phase\":\"$1\"" "$work/json"
}
copying() { # pages are on their way
    jq -es 'map(select(.phase == "COPY" and .pages_sent > 500)) | length > 0' \
        "$work/json" >/dev/null 2>&1
}
move_over() { [ -e "$move_status" ]; }

# The background move must end with one of these statuses. END_LIMIT: seconds to wait for it.
move_ends() { # STATUS...
    local s got
    until_true "${END_LIMIT:-120}" move_over || {
        bad "the move does not end"
        return 0
    }
    got=$(cat "$move_status")
    for s; do
        [ "$got" != "$s" ] || return 0
    done
    bad "the move ended with status $got instead of $*: $(error_text)"
}

# --- what may befall a move from host $at ---

is_empty() { # HOST: as `empty`, without a word, and with nothing but domains and moves
    [ -z "$(on "$1" 'xl list | tail -n +2 | grep -v "^Domain-0 "; pgrep -af "[m]igrate-receive"')" ]
}
kill_receiver() { on "${other[$at]}" "pkill -KILL -o -f '[x]l migrate-receive'"; }
# The sink is the child of the receiver that called it and holds the data port.
kill_sink() { on "${other[$at]}" "pkill -KILL -P \$(pgrep -o -f '[x]l migrate-receive') -f '[m]igrate-receive'"; }
interrupt() { on "$at" "kill -INT \$(cat /tmp/move.pid)"; }
cut_link() { lab net cut; }
# Of a guest that cannot be reached otherwise: b reboots it, c crashes it.
# (It has its name there shortly after it runs.)
sysrq() { until_true 30 on "$1" "xl sysrq $guest $2 2>/dev/null" || bad "xl sysrq does not reach it"; } # HOST KEY
# No socket and no record of a move is left; the monitor of a guest that came stays with it.
no_trace() { [ -z "$(on "$1" "ls /run/xenferry/*.sock /run/xenferry/*.move 2>/dev/null || true")" ]; } # HOST
# The new domain gets no page more than it has: xl itself would not set such a limit.
no_more_memory() {
    on "${other[$at]}" "PYTHONPATH=\$(echo /usr/lib/xen-4.*/lib/python) python3 -c '
import sys, xen.lowlevel.xc
xen.lowlevel.xc.xc().domain_setmaxmem(int(sys.argv[1]), 1024)' \$(xl domid $guest--incoming)"
}
