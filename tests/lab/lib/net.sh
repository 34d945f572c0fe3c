# SPDX-License-Identifier: LGPL-2.1-or-later
# The lab's network: a network namespace with two bridges and four TAPs.
#   mig  a-mig b-mig   migration network, 10.9.0.0/24 and fd09::/64, MTU 9000
#   lan  a-lan b-lan   control and guests, 10.9.1.0/24; the outside is .254
# Cutting mig therefore never cuts our ssh.

net_up() {
    local h n
    net_down
    ip netns add "$NS"
    in_ns ip link set lo up
    for n in mig lan; do
        in_ns ip link add "$n" type bridge forward_delay 0 stp_state 0 mcast_snooping 0
        for h in a b; do
            in_ns ip tuntap add "$h-$n" mode tap vnet_hdr
            in_ns ip link set "$h-$n" mtu 9000 master "$n" up
        done
        in_ns ip link set "$n" up
    done
    in_ns ip link set a-lan mtu 1500
    in_ns ip link set b-lan mtu 1500
    in_ns ip addr add 10.9.1.254/24 dev lan
}

net_down() {
    if ip netns list | grep -qw "^$NS"; then
        ip netns del "$NS"
    fi
}

# monitor HOST COMMAND: one command to QEMU's monitor.
monitor() {
    timeout 10 socat - "UNIX-CONNECT:$STATE/$1.monitor" <<<"$2" >/dev/null ||
        die "no answer from QEMU of host $1 (lab status)"
}

net_bytes() { # name of tap, rx or tx as the host's own sending/receiving
    in_ns cat "/sys/class/net/$1/statistics/rx_bytes"
}

cmd_net() {
    local h
    lab_must_be_up
    case ${1-} in
    cut | heal)
        # Frames vanish, the link stays up: what a dead switch looks like.
        for h in a b; do
            in_ns bridge link set dev "$h-mig" state \
                "$([ "$1" = cut ] && echo disabled || echo forwarding)"
        done
        ;;
    down | up)
        # The hosts see the carrier go.
        for h in a b; do
            monitor "$h" "set_link mig $([ "$1" = up ] && echo on || echo off)"
        done
        ;;
    rate)
        for h in a b; do
            case ${2-} in
            off) in_ns tc qdisc del dev "$h-mig" root 2>/dev/null || true ;;
            '' | *[!0-9]*) die "usage: lab net rate MBIT|off [BURST]" ;;
            *) in_ns tc qdisc replace dev "$h-mig" root tbf rate "$2mbit" \
                burst "${3-512kb}" latency 50ms ;;
            esac
        done
        ;;
    bytes)
        # What the TAP receives is what that host sent.
        printf '{"a_to_b": %s, "b_to_a": %s}\n' "$(net_bytes a-mig)" "$(net_bytes b-mig)"
        ;;
    *) die "usage: lab net cut|heal|down|up|rate MBIT|rate off|bytes" ;;
    esac
}
