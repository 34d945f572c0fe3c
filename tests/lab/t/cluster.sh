#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The two hosts as a real Pacemaker cluster, with our agent and our xl: it finds three guests that run, a
# host in standby is left by them two at a time, and one that is shut down by all of them before its
# Pacemaker ends. Every byte is right, and no guest is ever started anew.
# shellcheck source=tests/lab/t/lib.bash
. "$(dirname "$0")/lib.bash"
# shellcheck source=tests/lab/t/several.bash
. "$here/several.bash"
cluster=$top/tests/cluster
for part in cib corosync crm; do
    # shellcheck source=/dev/null
    . "$cluster/lib/$part.sh"
done

LIMIT_S=1200 # of one wait: a monitor takes seconds here, and a move a minute
declare -A ring=([a]=10.9.1.1 [b]=10.9.1.2)
observer=b
# shellcheck disable=SC2317 # called by cib
cib_name() {
    local names=(hosta hostb)
    echo "${names[$1 - 1]}"
}

# shellcheck disable=SC2317 # called by the trap
clean() { # also if the test ends early
    local rc=$? h
    trap - ERR
    set +e
    # All at once: what ends in order would shut the guests down.
    for h in a b; do
        on "$h" "kill -KILL -- -\$(cat /run/daemons.pid); pkill -KILL '^(pacemaker|corosync)'
            rm -f /etc/xen/xenferry.xml" >/dev/null 2>&1
    done
    several_stop
    (exit "$rc")
    leave
}
trap clean EXIT

# What `make install` and an administrator would put there. The ring is the guests' network: a cut of
# the migration network is none of the cluster.
install_cluster() { # HOST
    corosync_conf "hosta=${ring[a]}" "hostb=${ring[b]}" >"$work/corosync.conf"
    # dom0's own load is no reason to move less at once: all of this machine is busy.
    cib 2 "" | sed -e 's/value="1000%"/value="1000000%"/' -e 's|<cluster_property_set id="p">|&'"$(
        nv p cluster-delay 300s
        nv p node-action-limit 16
    )|" >"$work/cib.xml"
    echo '<xenferry><limit moves="2"/></xenferry>' >"$work/xenferry.xml"
    on "$1" "set -e
        mkdir -p /usr/lib/ocf/resource.d/xenferry /etc/corosync
        rm -rf /var/lib/pacemaker/cib/* /var/lib/corosync/* /var/log/pacemaker/*"
    lab put "$1" "$work/corosync.conf" /etc/corosync/corosync.conf
    lab put "$1" "$work/cib.xml" /root/cib.xml
    lab put "$1" "$work/xenferry.xml" /etc/xen/xenferry.xml
    lab put "$1" "$top/cluster/Guest" /usr/lib/ocf/resource.d/xenferry/Guest
    lab put "$1" "$cluster/node/daemons" /root/daemons
    on "$1" "set -e
        chmod 755 /root/daemons /usr/lib/ocf/resource.d/xenferry/Guest
        install -m 600 -o hacluster -g haclient /root/cib.xml /var/lib/pacemaker/cib/cib.xml
        setsid /root/daemons </dev/null >/var/log/daemons.out 2>&1 &
        echo \$! >/run/daemons.pid"
}

# crm: the cluster's state, in $crm; false if there is none yet.
# shellcheck disable=SC2317 # called by until_true
crm() { crm=$(on "$observer" "crm_mon -1 --output-as=xml" 2>/dev/null); }
# shellcheck disable=SC2317 # called by until_true
both_online() {
    crm && [ "$(grep -cE '<node name="host[ab]" [^>]*online="true"' <<<"$crm")" = 2 ] &&
        ! grep -qE '<node name="host[ab]" [^>]*pending="true"' <<<"$crm"
}
# shellcheck disable=SC2317 # called by until_true
known_on() { # HOST: for the cluster all of them are there, with nothing under way
    local g
    crm || return
    for g in "${guests[@]}"; do
        crm_has "$g" "host$1" || return
    done
}

# Moves from HOST as its Pacemaker's log has them: the most at once, how many, how many failed.
logged_moves() {
    on "$1" "cat /var/log/pacemaker/pacemaker.log" | awk '
        / Requesting local execution of migrate_to operation for / && ++now > most { most = now }
        / Result of migrate_to operation for / { now--; ended++; if (!/: ok/) failed++ }
        END { print most + 0, ended + 0, failed + 0 }'
}

# all_left FROM: asked after the last one has.
all_left() {
    local to=${other[$1]} h
    all_intact "$to"
    empty "$1"
    one_life
    [ "$most" = 2 ] || bad "at most $most moves were seen at once"
    [ "$(logged_moves "$1")" = "2 3 0" ] || bad "moves at once, moves, failures in the log: $(logged_moves "$1")"
    for h in a b; do
        ! on $h "grep 'execution of start operation for g' /var/log/pacemaker/pacemaker.log" >"$work/starts" ||
            bad "host $h started a guest: $(cat "$work/starts")"
    done
    ! grep -E '(blocked|failed)="true"|<failure ' <<<"$crm" >"$work/failed" ||
        bad "for the cluster there are failures: $(cat "$work/failed")"
}

case_begin "two hosts become a cluster, which finds three guests"
for h in a b; do install_cluster $h; done
until_true $LIMIT_S both_online || {
    lost "no cluster: $(on b 'tail -n 5 /var/log/daemons.out /var/log/corosync.out /var/log/pacemakerd.out' 2>&1)"
    finish
}
several_start a g1 g2 g3
beats_begin
{
    echo "<resources>"
    for g in "${guests[@]}"; do cib_guest "$g"; done
    echo "</resources>"
} | sed 's/interval="30s"/interval="60s"/' >"$work/resources.xml"
for g in "${guests[@]}"; do
    lab get a "/root/$g.cfg" "$work/$g.cfg"
    for h in a b; do lab put $h "$work/$g.cfg" "/etc/xen/$g.cfg"; done
done
lab put a "$work/resources.xml" /root/resources.xml
on a "cibadmin --replace -o resources --xml-file /root/resources.xml"
until_true $LIMIT_S known_on a || {
    lost "it does not find them: $crm"
    finish
}
all_on a || bad "they are not where they were: $(on b 'xl list')"
case_end

case_begin "standby: three guests leave, two at a time"
on b "crm_standby -N hosta -v on"
until_true $LIMIT_S have_left a || bad "they have not left: $(on a 'xl list; xl migrate-status')"
until_true $LIMIT_S known_on b || bad "for the cluster they have not: $crm"
all_left a
case_end

case_begin "the end of standby moves nothing"
on b "crm_standby -N hosta -v off"
# shellcheck disable=SC2317 # called by until_true
back() { crm && grep -qE '<node name="hosta" [^>]*standby="false"' <<<"$crm"; }
until_true $LIMIT_S back || bad "host a stays in standby: $crm"
lasting b $LIMIT_S "crm_resource --wait --timeout=$((LIMIT_S - 60))s" || bad "the cluster does not come to rest"
all_on b || bad "they have moved: $(on a 'xl list')"
case_end

enough_for_quick
case_begin "a host that shuts down is left first"
observer=a most=0
on b "kill -TERM \$(cat /run/daemons.pid)"
until_true $LIMIT_S have_left b || bad "they have not left: $(on b 'xl list; xl migrate-status')"
# shellcheck disable=SC2317 # called by until_true
is_shut_down() { ! on b "pgrep -x pacemakerd >/dev/null"; }
until_true $LIMIT_S is_shut_down || bad "its Pacemaker does not end"
until_true $LIMIT_S known_on a || bad "for the cluster they have not left: $crm"
all_left b
case_end
finish
