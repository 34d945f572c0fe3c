# SPDX-License-Identifier: LGPL-2.1-or-later
# Bringing the lab up, taking it down, saying how it is, collecting its logs.

lab_alive() { pid_of a >/dev/null || pid_of b >/dev/null; }

lab_must_be_up() {
    [ -e "$STATE/up" ] && lab_alive && return
    # Who has not ended it himself wants to know who did.
    die "the lab is not up; start it: lab up ($(cat "$STATE.ended" 2>/dev/null || echo never ran))"
}

# What a host of a suite needs: build_for SUITE HYPERVISOR
build_for() {
    local xen
    # Downloading and compiling side by side.
    of_suite "$1" hyp_item "$2" >/dev/null &
    xen=$!
    of_suite "$1" base_item >/dev/null || die "build failed"
    of_suite "$1" overlay_item >/dev/null || die "build failed"
    wait $xen || die "build failed"
}

cmd_build() { # [SUITE]
    local t0 suite=${1:-bookworm}
    suite_ok "$suite"
    t0=$(now)
    build_for "$suite" "$(usual_hypervisor "$suite")"
    # A test of a host without memory paging.
    of_suite "$suite" hyp_item debian >/dev/null || die "build failed"
    say "all built ($(took "$t0") s), cache: $CACHE"
}

# Not every mirror has the source of trixie's Xen.
usual_hypervisor() { [ "$1" = bookworm ] && echo paging || echo debian; } # SUITE

cmd_verify() { # [SUITE]
    suite_ok "${1:-bookworm}"
    of_suite "${1:-bookworm}" verify_suite
}

verify_suite() {
    local item dir bad=0
    for item in "shared/$(shared_key)" "$(hyp_name "$(usual_hypervisor "$SUITE")")/$(xen_key)" \
        "$(hyp_name debian)/$(xen_key)" "$(of_name base)/$(base_key)" "$(of_name overlay)/$(overlay_key)"; do
        dir=$CACHE/$item
        if [ ! -d "$dir" ]; then
            say "$item: not built yet (lab build)"
        elif cache_verify "$dir"; then
            say "$item: good"
        else
            say "$item: damaged, removed; make it again: lab build"
            rm -rf "$dir"
            bad=1
        fi
    done
    return $bad
}

cmd_up() {
    local suite_a=bookworm suite_b=bookworm hyp_a='' hyp_b='' mem_a=2560 mem_b=2560 cpu_a='' cpu_b='' t0 h
    while [ $# -gt 1 ]; do
        case $1 in
        --suite-a) suite_a=$2 ;;
        --suite-b) suite_b=$2 ;;
        --suite) suite_a=$2 suite_b=$2 ;;
        --hyp-a) hyp_a=$2 ;;
        --hyp-b) hyp_b=$2 ;;
        --mem-a) mem_a=$2 ;;
        --mem-b) mem_b=$2 ;;
        --cpu-a) cpu_a=$2 ;;
        --cpu-b) cpu_b=$2 ;;
        --hypervisor) hyp_a=$2 hyp_b=$2 ;;
        *) die "unknown option $1 (lab help)" ;;
        esac
        shift 2
    done
    [ $# = 0 ] || die "what is '$1'? (lab help)"
    suite_ok "$suite_a"
    suite_ok "$suite_b"
    : "${hyp_a:=$(usual_hypervisor "$suite_a")}" "${hyp_b:=$(usual_hypervisor "$suite_b")}"
    for h in "$hyp_a" "$hyp_b"; do
        [ "$h" = paging ] || [ "$h" = debian ] || die "hypervisor: paging or debian, not '$h'"
    done
    # Whatever fails without a word of its own names itself.
    trap 'say "stopped at ${BASH_SOURCE[0]##*/} line $LINENO: $BASH_COMMAND"' ERR
    set -E
    build_for "$suite_a" "$hyp_a"
    build_for "$suite_b" "$hyp_b"

    t0=$(now)
    exec 8>"$STATE.lock"
    flock -n 8 || die "another 'lab up' or 'lab down' is at work; wait for it"
    if lab_alive; then
        die "the lab is already up, $(cat "$STATE/up" 2>/dev/null); end it: lab down"
    fi
    lab_end "a new lab up"
    mkdir -p -m 700 "$STATE"
    printf 'since %s by %s\n' "$(date +%T)" "$LAB" >"$STATE/up"
    printf '%s\n' "$hyp_a" >"$STATE/hyp.a"
    printf '%s\n' "$hyp_b" >"$STATE/hyp.b"
    printf '%s\n' "$suite_a" >"$STATE/suite.a"
    printf '%s\n' "$suite_b" >"$STATE/suite.b"
    truncate -s 256M "$STATE/disk-b.img" "$STATE/disk-c.img"
    for h in a b; do
        rm -f "$STATE/own-$h.img"
        truncate -s 256M "$STATE/own-$h.img"
        mke2fs -q -t ext4 -E lazy_itable_init=1,lazy_journal_init=1 "$STATE/own-$h.img"
    done
    net_up
    ssh_setup
    collector_start
    spawn watchdog "$STATE/watchdog.log" "$LAB/lab" _watchdog "$MAX_SECONDS"
    progress_begin "booting the hosts"
    of_suite "$suite_a" host_start a "$hyp_a" "$mem_a" "$cpu_a"
    of_suite "$suite_b" host_start b "$hyp_b" "$mem_b" "$cpu_b"
    for h in a b; do
        host_wait "$h" 180
        retry 60 ssh_master "$h" || die "no ssh to host $h: $STATE/$h.console"
    done
    progress_end "booting the hosts"
    say "hosts up in $(took "$t0") s"
    progress_begin "testing the lab"
    cmd_selftest
    progress_end "testing the lab"
}

lab_end() {
    local p h
    for p in "$STATE"/pid.*; do
        [ -e "$p" ] || continue
        p=${p##*/pid.}
        # The watchdog takes the lab down itself: it must not end itself first.
        if [ "$p" = watchdog ] && [ -n "${LAB_WATCHDOG-}" ]; then
            continue
        fi
        pid_kill "$p"
    done
    for h in a b; do # masters of ssh; of a lab that was killed only the sockets are left
        [ ! -S "$STATE/ssh.$h" ] || ssh -F "$STATE/ssh_config" -O exit "$h" 2>/dev/null || true
    done
    net_down
    if [ -d "$STATE" ]; then
        printf 'ended %s by %s' "$(date +%T)" "$1" >"$STATE.ended"
        rm -rf "$STATE"
    fi
}

cmd_down() {
    exec 8>"$STATE.lock"
    flock -w 60 8 || die "another 'lab up' or 'lab down' is at work"
    lab_end "lab down from $LAB"
    say "down"
}

# _watchdog SECONDS: whatever was forgotten, the lab ends by then.
cmd__watchdog() {
    sleep "$1"
    exec 8>"$STATE.lock"
    flock -w 300 8 || true # an `up` that hangs does not outlive its lab
    LAB_WATCHDOG=1 lab_end "its watchdog after $1 s"
}

cmd_status() {
    local h
    if ! lab_alive; then
        echo "lab: down"
        return 1
    fi
    printf 'lab: up %s, self-test %s\n' "$(cat "$STATE/up")" \
        "$([ -e "$READY" ] && echo passed || echo NOT passed)"
    for h in a b; do
        printf 'host %s: %s, %s hypervisor, pid %s\n' "$h" "$(suite_of $h)" "$(cat "$STATE/hyp.$h")" \
            "$(pid_of "$h" || echo GONE)"
        host_trouble "$h" | head -n 3 || true
    done
}

# cmd_logs DIR: everything that may explain a failure.
cmd_logs() {
    local h
    [ $# = 1 ] || die "usage: lab logs DIR"
    mkdir -p "$1"
    [ -d "$STATE" ] || die "no lab, no logs"
    cp "$STATE"/*.console "$STATE"/*.qemu "$STATE"/*.log "$1/" 2>/dev/null || true
    for h in a b; do
        pid_of "$h" >/dev/null || continue
        mkdir -p "$1/$h"
        timeout 60 "$LAB/lab" ssh "$h" 'cd /tmp && rm -rf xflogs && mkdir xflogs &&
            dmesg >xflogs/dmesg; timeout 10 xl dmesg >xflogs/xl-dmesg
            timeout 10 xl list -v >xflogs/xl-list; timeout 10 xenstore-ls -f >xflogs/xenstore
            ps axww -o pid,stat,time,args >xflogs/ps; ss -tnap >xflogs/ss
            cp -r /var/log xflogs/ 2>/dev/null; cp -r /var/crash xflogs/ 2>/dev/null
            tar -C xflogs -czf - .' >"$1/$h.tgz" </dev/null &&
            tar -C "$1/$h" -xzf "$1/$h.tgz" || say "host $h gave no logs"
        rm -f "$1/$h.tgz"
    done
    say "logs in $1"
}
