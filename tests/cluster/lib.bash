# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the cluster's tests share. Sourced first: the test begins again in mount, pid and network
# namespaces of its own, so that nothing of it is left when it ends, however it ends. Its parent is
# then `unshare`, whose death kills the first process of the pid namespace, and that one's all others;
# with them go the mounts, the loop device, the networks and the interfaces.
#
# There, /mnt has:  base  the nodes' image     shared, net, mover  what every node sees
#                   node/xenN  a node's root   cib.xml
set -u -o pipefail
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$HERE/../.." && pwd)
MNT=/mnt
LIMIT_S=${CLUSTER_LIMIT_S:-240} # for one wait; the machine may be busy
bad=0

skip() { # WHY: status 77, and the reason as the last line
    echo "$*"
    exit 77
}
if [ -z "${XF_CLUSTER_IMAGE-}" ]; then
    [ "$(id -u)" = 0 ] || skip "needs root"
    [ -e /dev/loop-control ] || skip "no loop devices here"
    unshare --mount --net --pid --fork true 2>/dev/null || skip "no namespaces here"
    XF_CLUSTER_IMAGE=$("$HERE/cluster" image) || exit 1
    export XF_CLUSTER_IMAGE
    exec unshare --mount --net --uts --ipc --pid --fork --kill-child --mount-proc bash "$0" "$@"
fi
trap 'exit 143' TERM INT

fail() {
    echo "FAIL: $*"
    bad=1
}
give_up() {
    fail "$@"
    show_end
    exit 1
}
finish() {
    show_end
    [ $bad = 0 ] && echo passed
    exit $bad
}
show_end() {
    local n
    [ $bad != 0 ] && [ -e "$MNT/shared/log" ] || return 0
    echo "--- what happened"
    cat "$MNT/shared/log"
    tail -n 5 "$MNT"/shared/mover.* 2>/dev/null
    for ((n = 1; n <= NODES; n++)); do
        echo "--- xen$n"
        cat "$MNT/node/xen$n.out" "$MNT/node/xen$n/var/log/pacemakerd.out"
        grep -E 'error|warning|notice: .*(Result|Transition)' "$MNT/node/xen$n/var/log/pacemaker/pacemaker.log" | tail -n 40
    done
}

# mounts: /mnt with the image.
mounts() {
    mount -t tmpfs -o size=1g cluster "$MNT" || exit 1
    mkdir -p "$MNT"/{base,shared/plan,shared/moves,net,mover,node}
    mount -o loop,ro "$XF_CLUSTER_IMAGE" "$MNT/base" || skip "no loop device can be had here"
}

# The mover with the libraries of this machine, which may be another Debian than the nodes.
pack_mover() {
    local lib loader
    cp "${MOVER:-$TOP/build/tests/cluster/mover}" "$MNT/mover/mover" || exit 1
    loader=$(ldd "$MNT/mover/mover" | awk '/ld-linux/ { print $1 }')
    for lib in $(ldd "$MNT/mover/mover" | awk '{ for (i = 1; i <= NF; i++) if ($i ~ "^/") print $i }'); do
        cp -L "$lib" "$MNT/mover/"
    done
    printf '#!/bin/sh\nexec /mover/%s --library-path /mover /mover/mover "$@"\n' "${loader##*/}" >"$MNT/mover/run"
    chmod +x "$MNT/mover/run"
}

network() { # of node N
    local net=$MNT/net/xen$1
    : >"$net"
    unshare --net="$net" true &&
        nsenter --net="$net" ip link set lo up &&
        ip link add "v$1" master br0 type veth peer name eth0 netns "$net" &&
        ip link set "v$1" up &&
        nsenter --net="$net" ip addr add "10.77.0.$1/24" dev eth0 &&
        nsenter --net="$net" ip link set eth0 up
}

# A root for node N: the image, and what is ours on a layer above.
node_root() {
    local root=$MNT/node/xen$1 n g ring=()
    mkdir -p "$root" "$MNT/node/up$1" "$MNT/node/work$1"
    mount -t overlay -o "lowerdir=$MNT/base,upperdir=$MNT/node/up$1,workdir=$MNT/node/work$1" \
        node "$root" || return
    for n in shared mover; do
        mount --bind "$MNT/$n" "$root/$n" || return
    done
    mount --rbind "$MNT/net" "$root/net" || return
    for ((n = 1; n <= NODES; n++)); do ring+=("xen$n=10.77.0.$n"); done
    corosync_conf "${ring[@]}" >"$root/etc/corosync/corosync.conf"
    {
        echo "127.0.0.1 localhost"
        for ((n = 1; n <= NODES; n++)); do echo "10.77.0.$n xen$n"; done
    } >"$root/etc/hosts"
    mkdir -p "$root/usr/lib/ocf/resource.d/xenferry" "$root/usr/local/sbin" "$MNT/shared/xen$1"
    cp "$TOP/cluster/Guest" "$root/usr/lib/ocf/resource.d/xenferry/"
    cp "$HERE/node/xl" "$root/usr/local/sbin/"
    cp "$HERE/node/init" "$HERE/node/daemons" "$root/"
    for g in $GUESTS; do
        echo "name = \"$g\"" >"$root/etc/xen/$g.cfg"
    done
    install -m 600 -o 150 -g 150 "$MNT/cib.xml" "$root/var/lib/pacemaker/cib/cib.xml"
}

# cluster_up NODES GUEST=NODE...: nodes xen1 ... with Pacemaker, and guests that run there already.
cluster_up() {
    local n where
    NODES=$1 GUESTS='' RUNNERS=()
    shift
    mounts
    pack_mover
    for where; do
        GUESTS+=" ${where%=*}"
        mkdir -p "$MNT/shared/xen${where#*=}"
        cat /proc/sys/kernel/random/uuid >"$MNT/shared/xen${where#*=}/${where%=*}"
        cp "$MNT/shared/xen${where#*=}/${where%=*}" "$MNT/shared/boot.${where%=*}"
    done
    # Whatever else this machine does: no move waits for that.
    # shellcheck disable=SC2086 # a list
    cib "$NODES" "" $GUESTS | sed 's/value="1000%"/value="1000000%"/' >"$MNT/cib.xml"
    ip link set lo up
    ip link add br0 type bridge && ip link set br0 up || exit 1
    for ((n = 1; n <= NODES; n++)); do
        network "$n" || exit 1
    done
    for ((n = 1; n <= NODES; n++)); do
        node_root "$n" || exit 1
        nsenter --net="$MNT/net/xen$n" unshare --mount --uts --ipc --pid --fork --kill-child \
            chroot "$MNT/node/xen$n" /init "xen$n" </dev/null >"$MNT/node/xen$n.out" 2>&1 &
        RUNNERS[n]=$!
    done
    until_true "the cluster does not know its guests" all_known
    rm -f "$MNT/shared/log"
}

node_pid() { cat "/proc/${RUNNERS[$1]}/task/${RUNNERS[$1]}/children"; }
on() { # N COMMAND...: in node N
    local pid
    pid=$(node_pid "$1")
    shift
    # shellcheck disable=SC2086 # one number and a space
    nsenter -t ${pid% } -m -u -i -n -p -r -w "$@"
}
stop_node() { # N: as a shutdown of the host
    local pid
    pid=$(node_pid "$1")
    # shellcheck disable=SC2086
    kill -TERM ${pid% }
}
node_stopped() { ! kill -0 "${RUNNERS[$1]}" 2>/dev/null; }

# crm: the cluster's state as XML, in $crm; false if there is none yet.
crm() {
    crm=$(on "${OBSERVER:-$NODES}" crm_mon -1 --output-as=xml 2>/dev/null)
}
known_on() { crm_has "$1" "xen$2"; } # GUEST N
all_known() {
    local g f
    crm || return
    for g in $GUESTS; do
        for f in "$MNT"/shared/xen*/"$g"; do
            f=${f%/*}
            known_on "$g" "${f##*xen}" || return
        done
    done
}

until_true() { # WHAT-NOT COMMAND...: with a limit
    local what=$1 end=$((SECONDS + LIMIT_S))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || give_up "$what"
        sleep 1
    done
}

where() { # GUEST: the nodes where its domain is, "xen1" or "xen1- xen2" with - for suspended
    local f out=''
    for f in "$MNT"/shared/xen*/"$1"; do
        [ -e "$f" ] || continue
        out+="${out:+ }$(basename "${f%/*}")"
        [ ! -e "$f.suspended" ] || out+=-
    done
    echo "$out"
}
is_on() { [ "$(where "$1")" = "xen$2" ]; }
at() { # GUEST N: it is there and nowhere else
    is_on "$1" "$2" || fail "$1 is at '$(where "$1")', not at xen$2"
}
happened() { grep -cE "^xen[0-9]* $1( |$)" "$MNT/shared/log" 2>/dev/null; } # EVENT...: how often

# The most moves that a node took part in at once. One that another process takes up, or that goes on
# without its agent, is none for Pacemaker.
most_moves() {
    awk '$2 == "begin" {
            from[$3] = $1; to[$3] = $4
            if (++moves[$1] > most) most = moves[$1]
            if (++moves[$4] > most) most = moves[$4]
        }
        $2 ~ /^(end|dead|cut)$/ && $3 in from { moves[from[$3]]--; moves[to[$3]]--; delete from[$3] }
        END { print most + 0 }' "$MNT/shared/log"
}

# Never a reboot, never two, never lost.
none_lost() {
    local g f words
    if words=$(grep -E 'TWICE|LOST|REBOOT|unknown|shutdown|destroy' "$MNT/shared/log"); then
        fail "$words"
    fi
    for g in $GUESTS; do
        for f in "$MNT"/shared/xen*/"$g"; do
            cmp -s "$f" "$MNT/shared/boot.$g" || fail "$g: another boot, at $(where "$g")"
        done
    done
}
# And no more than LIMIT moves of a node at once, but as many once.
check_log() { # LIMIT
    none_lost
    [ "$(most_moves)" = "$1" ] || fail "$(most_moves) moves at once, not $1"
}

# shellcheck source=tests/cluster/lib/cib.sh
. "$HERE/lib/cib.sh"
# shellcheck source=tests/cluster/lib/corosync.sh
. "$HERE/lib/corosync.sh"
# shellcheck source=tests/cluster/lib/crm.sh
. "$HERE/lib/crm.sh"
