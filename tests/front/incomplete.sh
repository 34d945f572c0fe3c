#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A guest whose memory is still elsewhere: what would read it is refused with a reason; one that a
# move holds: what would let it run or suspend it is; all else goes to the real xl. And what migrate-status and migrate-postcopy say. The move is played
# by a socket that answers as one does.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

fake "$work/bin/xl" <<'EOS'
echo "real $*"
EOS
export PATH=$work/bin:$PATH XENFERRY_RUN_DIR=$work/run
mkdir -m 700 "$work/run"

# status_line ROLE DOMAIN DOMID PHASE MISSING
status_line() {
    printf '{"role":"%s","pid":1,"domain":"%s","domid":%s,"host":"host2","phase":"%s","round":1,' \
        "$1" "$2" "$3" "$4"
    printf '"round_pages":10,"round_done":5,"pages_sent":null,"left_out":512,"missing":%s,' "$5"
    printf '"faults":2,"requested":1,"fault_median_s":0.001,"fault_p99_s":0.002,'
    printf '"rate_bytes_per_s":null,"eta_s":null,"elapsed_s":3.0,"age_s":0.0,"no_switch":"no"}\n'
}

# server NAME: the file $work/NAME to all who ask at the socket NAME
servers=()
server() {
    local i
    socat "UNIX-LISTEN:$work/run/$1,fork" "SYSTEM:cat $work/$1" 2>"$work/err.socat" &
    servers+=($!)
    for ((i = 0; i < 200; i++)); do
        [ ! -S "$work/run/$1" ] || return 0
        sleep 0.05
    done
    fail "socat does not listen"
}

# refused WORDS...: not passed on, with a reason that says what to do
refused() {
    local out rc
    out=$("$XL" "$@" 2>&1)
    rc=$?
    same "$*: exit status" 1 $rc
    contains "$*" "is not on this host yet" "$out"
    contains "$*" "still at host2" "$out"
    contains "$*" "xl migrate-status" "$out"
    case $out in *real*) fail "$*: passed on" ;; esac
}

# passed WORDS...: the real xl's
passed() {
    same "$*" "real $*" "$("$XL" "$@" 2>&1)"
}

passed save web1 "$work/file"
same "nothing runs" "No move is under way from or to this host." "$("$XL" migrate-status)"
out=$("$XL" migrate-status web1 2>&1)
same "no move of this domain: exit status" 1 $?
contains "no move of this domain" 'no move of a domain "web1"' "$out"

status_line destination web1 7 PULL 256 >"$work/destination-100.sock"
server destination-100.sock
status_line source web2 8 PULL 256 >"$work/source-8.sock"
server source-8.sock

for name in web1 7; do
    refused save $name "$work/file"
    refused save -c $name "$work/file" "$work/config"
    refused dump-core $name "$work/core"
    refused remus -i 200 $name host3
    refused suspend $name
    refused fork-vm -p $name
    refused migrate $name host3
    refused migrate -C "$work/config" $name host3
    refused migrate --tcp $name host3
    refused migrate --stock $name host3
done
[ ! -e "$work/file" ] || fail "a file was written"

# What reads no memory, or that of another domain, or nothing at all.
passed list web1
passed destroy web1
passed pause web1
passed save web3 web1
passed save
passed save -z
passed -N save web1 "$work/file"
passed migrate web3 web1
passed migrate
passed dump-core web2 "$work/core" # it does not run here

out=$("$XL" migrate-status)
contains "status" "web1 (domain 7) from host2: PULL" "$out"
contains "status" "256 missing (1.0 MiB) of 512 after the switch" "$out"
contains "status" "web2 (domain 8) to host2: PULL" "$out"
out=$("$XL" migrate-status --json 7)
same "status of a number: exit status" 0 $?
contains "status of a number" '"type":"status","role":"destination","domain":"web1"' "$out"
same "one line" 1 "$(wc -l <<<"$out")"
out=$("$XL" migrate-postcopy web1 2>&1)
same "post-copy at the destination: exit status" 1 $?
contains "post-copy at the destination" "at its source" "$out"

# not_for_held PART WORDS...: refused since a move holds the domain, with a way out
not_for_held() {
    local part=$1 out rc
    shift
    out=$("$XL" "$@" 2>&1)
    rc=$?
    same "$*: exit status" 1 $rc
    contains "$*" "$part" "$out"
    case $out in *real*) fail "$*: passed on" ;; esac
}

# At the source, in PULL; by name and by number.
for name in web2 8; do
    for cmd in save resume unpause suspend "remus -e" fork-vm "migrate --stock" migrate; do
        # shellcheck disable=SC2086 # a command with its option
        not_for_held "wait for that move to end" $cmd $name
    done
    passed destroy $name
    passed pause $name
done
# While it runs here it may be paused and unpaused, but not saved.
status_line source web2 8 COPY 0 >"$work/source-8.sock"
passed unpause web2
not_for_held "is being moved to host2" save web2 "$work/file"
# What is built here and was not let run, by its name, also if nobody is at it any more.
status_line destination web4 12 COPY 0 >"$work/destination-100.sock"
for name in web4--incoming 12 web5--incoming; do
    for cmd in unpause resume save dump-core; do
        not_for_held "\`xl destroy\` it" $cmd $name
    done
    passed destroy $name
done
status_line destination web1 7 PULL 256 >"$work/destination-100.sock"
passed unpause web1 # it was left paused as asked; its pages come

# record BOOT_ID STATE: what a move of web6, domain 9, left
record() {
    local key
    key=$(printf '42%.0s' {1..32})
    printf '{"state":%s,"ran_ns":"00000000000000000000","version":2,"domid":9,"uuid":"2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11",' "$2"
    printf '"boot_id":"%s","name":"web6","host":"host2","rune":"exit 1","there":"b",' "$1"
    printf '"there_domid":3,"peer":"192.0.2.1","port":1,"rdma":false,"encrypt":true,"pull":true,'
    printf '"channels":2,"rdma_buffer_mib":0,"rdma_poll_us":0,"own":[],"key":"%s"}' "$key"
}
for state in 0 1 2 3 4; do
    (umask 077 && record "$(cat /proc/sys/kernel/random/boot_id)" $state >"$work/run/9.move")
    for name in web6 9; do
        for cmd in save resume unpause "migrate --stock"; do
            # shellcheck disable=SC2086
            not_for_held "migrate-recover $name" $cmd $name
        done
        passed dump-core $name "$work/core"
        passed destroy $name
        passed list $name
    done
done
passed save web7 "$work/file"
record "of an earlier boot" 2 >"$work/run/9.move"
passed unpause web6
rm "$work/run/9.move"
passed unpause web6

# A process that has the lock, and no more is known: of a domain by its number, since no Xen knows its name.
(umask 077 && : >"$work/run/9.lock")
passed unpause 9 # a file alone is no lock
exec 8<"$work/run/9.lock"
flock -n 8 || fail "cannot lock"
for cmd in save resume unpause suspend "migrate --stock"; do
    # shellcheck disable=SC2086
    not_for_held "migrate-recover 9" $cmd 9
done
passed dump-core 9 "$work/core"
passed resume 10
exec 8<&-
passed resume 9

# Complete: nothing is refused.
status_line destination web1 7 PULL 0 >"$work/destination-100.sock"
passed save web1 "$work/file"

# A process that was killed leaves its socket; the next look takes it away.
kill "${servers[@]}"
wait "${servers[@]}" 2>/dev/null
for name in destination-100 source-8; do
    [ -S "$work/run/$name.sock" ] || continue # socat may have been in time to clean up
    status=$("$XL" migrate-status)
    same "the dead" "No move is under way from or to this host." "$status"
    [ ! -e "$work/run/$name.sock" ] || fail "$name.sock is still there"
done
finish
