# SPDX-License-Identifier: LGPL-2.1-or-later
# The lab tests itself before anyone believes a migration test: an emulated
# machine once garbled data silently (docs/lab.md, "Traps").

cmd_selftest() {
    local t0 ssh tcp
    t0=$(now)
    lab_must_be_up
    rm -f "$READY"
    # Both directions at once, 40 MB of random data each.
    selftest_ssh &
    ssh=$!
    selftest_tcp &
    tcp=$!
    wait $ssh || die "self-test: 40 MB through ssh a->b damaged or late; try again: lab selftest"
    wait $tcp || die "self-test: 40 MB through TCP b->a damaged or late; try again: lab selftest"
    selftest_ping6 || die "self-test: no IPv6 between the hosts (fd09::1 to fd09::2)"
    selftest_rdma || die "self-test: no RDMA between the hosts (rping over rxe0)"
    selftest_paging a || die "self-test: host a: memory paging is not as asked for"
    selftest_paging b || die "self-test: host b: memory paging is not as asked for"
    date +%s >"$READY"
    say "self-test passed in $(took "$t0") s"
}

run() { # HOST SECONDS CMD
    timeout "$2" ip netns exec "$NS" ssh -F "$STATE/ssh_config" "$1" "$3" </dev/null
}

# The file is on the hosts' read-only disk, its sum was taken at build time, so
# this also tests the disks.
selftest_ssh() {
    [ "$(run a 150 'ssh 10.9.0.2 sha256sum </srv/guest/random')" = "$(cat "$STATE/random.sum")" ]
}

selftest_tcp() {
    local sum
    run b 30 'setsid timeout 150 socat -u OPEN:/srv/guest/random \
        TCP-LISTEN:7003,bind=10.9.0.2,reuseaddr </dev/null >/dev/null 2>&1 &'
    sum=$(run a 150 'socat -u TCP:10.9.0.2:7003,retry=100,interval=0.1 - | sha256sum')
    [ "$sum" = "$(cat "$STATE/random.sum")" ]
}

selftest_ping6() { run a 20 'ping -q -c 1 -W 10 fd09::2 >/dev/null'; }

selftest_rdma() {
    run b 10 'setsid timeout 60 rping -s -a 10.9.0.2 -C 10 </dev/null >/dev/null 2>&1 &'
    # rping has no retry of its own, and the server may not listen yet.
    run a 60 'for i in 1 2 3 4 5 6 7 8 9 10; do
        timeout 20 rping -c -a 10.9.0.2 -C 10 >/dev/null 2>&1 && exit 0
        sleep 0.2; done; exit 1'
}

selftest_paging() {
    local want=present
    [ "$(cat "$STATE/hyp.$1")" = debian ] && want=absent
    [ "$(run "$1" 20 xf-paging-probe)" = $want ]
}
