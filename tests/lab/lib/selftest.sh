# SPDX-License-Identifier: LGPL-2.1-or-later
# The lab tests itself before anyone believes a migration test: an emulated
# machine once garbled data silently (docs/lab.md, "Traps").

cmd_selftest() {
    local t0
    t0=$(now)
    lab_must_be_up
    rm -f "$READY"
    selftest_ssh || die "self-test: 40 MB through ssh a->b arrived damaged or not at all"
    selftest_tcp || die "self-test: 40 MB through TCP b->a arrived damaged or not at all"
    selftest_rdma || die "self-test: no RDMA between the hosts (rping over rxe0)"
    selftest_paging a || die "self-test: host a: memory paging is not as asked for"
    selftest_paging b || die "self-test: host b: memory paging is not as asked for"
    date +%s >"$READY"
    say "self-test passed in $(took "$t0") s"
}

run() { # HOST SECONDS CMD
    timeout "$2" ip netns exec "$NS" ssh -F "$STATE/ssh_config" "$1" "$3" </dev/null
}

selftest_ssh() {
    local out
    out=$(run a 150 'head -c 40000000 /dev/urandom >/dev/shm/rnd &&
        sha256sum </dev/shm/rnd && ssh 10.9.0.2 sha256sum </dev/shm/rnd') || return 1
    same_sums "$out"
}

selftest_tcp() {
    local out
    # The listener gives what it got; rnd is the file of selftest_ssh.
    run b 30 'rm -f /dev/shm/sum; setsid sh -c "timeout 150 nc -l -N 10.9.0.2 7003 |
        sha256sum >/dev/shm/sum.new; mv /dev/shm/sum.new /dev/shm/sum" \
        </dev/null >/dev/null 2>&1 &'
    out=$(run a 150 'sha256sum </dev/shm/rnd
        timeout 140 socat -u OPEN:/dev/shm/rnd TCP:10.9.0.2:7003,retry=100,interval=0.1
        rm /dev/shm/rnd') || return 1
    out+=$'\n'$(run b 30 'for i in $(seq 100); do
        [ -e /dev/shm/sum ] && exec cat /dev/shm/sum; sleep 0.1; done; exit 1') || return 1
    same_sums "$out"
}

same_sums() { # two lines, two equal checksums
    [ "$(printf '%s\n' "$1" | sort -u | wc -l)" = 1 ] &&
        [ "$(printf '%s\n' "$1" | wc -l)" = 2 ]
}

selftest_rdma() {
    run b 10 'setsid timeout 30 rping -s -a 10.9.0.2 -C 10 \
        </dev/null >/dev/null 2>&1 &'
    # rping has no retry of its own, and the server may not listen yet.
    run a 30 'for i in $(seq 20); do
        timeout 10 rping -c -a 10.9.0.2 -C 10 >/dev/null 2>&1 && exit 0
        sleep 0.1; done; exit 1'
}

selftest_paging() {
    local want=present
    [ "$(cat "$STATE/hyp.$1")" = debian ] && want=absent
    [ "$(run "$1" 20 xf-paging-probe)" = $want ]
}
