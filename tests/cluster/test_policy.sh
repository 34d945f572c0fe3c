#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What Pacemaker does after each exit status of xl migrate (xl-migrate(1) lists them), by crm_simulate
# and with the configuration of xenferry-cluster(7): the agent turns the status into a result, and
# Pacemaker's next two transitions are looked at. And the same without on-fail=block, to show what
# that is for.
# shellcheck source=tests/cluster/lib.bash
. "$(dirname "$0")/lib.bash"
NODES=2
mounts
root=$MNT/node/root
mkdir -p "$root" "$MNT/node/up" "$MNT/node/work"
mount -t overlay -o "lowerdir=$MNT/base,upperdir=$MNT/node/up,workdir=$MNT/node/work" node "$root" || exit 1
mount --bind /dev "$root/dev"
mount --bind /proc "$root/proc"
mount --bind "$MNT/shared" "$root/shared"
mkdir -p "$root/usr/lib/ocf/resource.d/xenferry" "$root/usr/local/sbin"
cp "$TOP/cluster/Guest" "$root/usr/lib/ocf/resource.d/xenferry/"
agent=/usr/lib/ocf/resource.d/xenferry/Guest
in_image() { chroot "$root" env PATH=/usr/local/sbin:/usr/sbin:/usr/bin OCF_ROOT=/usr/lib/ocf "$@"; }

# Guest g1 runs on xen1, which is in standby.
cib_node() { [ "$1" != 1 ] || printf '<instance_attributes id="n1">%s</instance_attributes>' "$(nv n1 standby on)"; }
operation() { # CALL OPERATION INTERVAL RC [EXPECTED]
    local wanted=${5:-$4}
    printf '<lrm_rsc_op id="g1_%s" operation_key="g1_%s_%s" operation="%s" crm_feature_set="3.16.1"' \
        "$1" "$2" "$3" "$2"
    printf ' transition-key="%d:1:%d:aaaaaaaa-0000-0000-0000-000000000000"' "$1" "$wanted"
    printf ' transition-magic="0:%d;%d:1:%d:aaaaaaaa-0000-0000-0000-000000000000"' "$4" "$1" "$wanted"
    printf ' call-id="%d" rc-code="%d" op-status="0" interval="%d" last-rc-change="1700000000"' "$1" "$4" "$3"
    printf ' exec-time="1" queue-time="0" op-digest="x"/>'
}
monitored=0 # what the last monitor of g1 has found
past() {
    local n class provider type
    IFS=: read -r class provider type <<<"$CIB_GUEST"
    for n in 1 2; do
        printf '<node_state id="%d" uname="xen%d" in_ccm="true" crmd="online" join="member" expected="member">' $n $n
        printf '<lrm id="%d"><lrm_resources><lrm_resource id="g1" class="%s" provider="%s" type="%s">' $n \
            "$class" "$provider" "$type"
        if [ $n = 1 ]; then
            operation 1 start 0 0
            operation 2 monitor 30000 "$monitored" 0
        else
            operation 1 monitor 0 7
        fi
        printf '</lrm_resource></lrm_resources></lrm></node_state>'
    done
}

# Sets actions: what Pacemaker does in this transition and the next if OPERATION ends with RC. With
# fencing, which is on in a cluster worth the name.
simulate() { # OPERATION@NODE=RC
    local fails=(-F "g1_$1")
    [ "${1##*=}" != 0 ] || fails=()
    cib 2 "$(past)" g1 | sed 's/stonith-enabled" value="false"/stonith-enabled" value="true"/
        s|</resources>|<primitive id="fence" class="stonith" type="fence_one"/>&|' >"$MNT/shared/in.xml"
    if ! in_image crm_simulate -x /shared/in.xml -S "${fails[@]}" -O /shared/next.xml >"$MNT/shared/first" 2>&1 ||
        ! in_image crm_simulate -x /shared/next.xml -S >"$MNT/shared/second" 2>&1; then
        give_up "crm_simulate: $(cat "$MNT"/shared/{first,second})"
    fi
    actions=$(sed -n 's/.*Resource action: g1 *//p; s/.*\(Fencing .*\)/\1/p' "$MNT/shared/first" |
        grep -v monitor | tr -s ' ' | paste -sd ';')
    actions+="|$(sed -n 's/.*Resource action: g1 *//p; s/.*\(Fencing .*\)/\1/p' "$MNT/shared/second" |
        grep -v monitor | tr -s ' ' | paste -sd ';')"
    after=$(sed -n '/Revised Cluster Status/,$ s/.*\* g1[^:]*:[^)]*)[^A-Za-z]*//p' "$MNT/shared/second" | tr -s '\t ' ' ')
}
want() { # WHAT ACTIONS [STATUS]
    [ "$actions" = "$2" ] || fail "$1: Pacemaker does '$actions', not '$2'"
    # shellcheck disable=SC2053 # a pattern
    [ $# = 2 ] || [[ $after == $3 ]] || fail "$1: afterwards '$after', not '$3'"
    printf '%-40s %-60s %s\n' "$1" "$actions" "$after"
}

meta=$(in_image crm_resource --show-metadata ocf:xenferry:Guest 2>&1)
[[ $meta == *'<resource-agent name="Guest"'*'name="migrate_to"'* ]] || fail "meta-data: $meta"

# The agent's result for a status of xl migrate.
xl=$root/usr/local/sbin/xl
cat >"$xl" <<'END'
#!/bin/sh
case $1 in
list) echo "g1 1 16 1 $STATE 1.0" ;;
migrate) exit "$STATUS" ;;
migrate-recover) exit "$RECOVER" ;;
esac
END
chmod +x "$xl"
result() { # STATUS [STATUS-OF-RECOVER]
    local state=-b----
    case $1 in 5 | 6 | 7) state=---ss- ;; esac
    in_image env STATUS="$1" RECOVER="${2-$1}" STATE=$state OCF_RESOURCE_INSTANCE=g1 OCF_RESKEY_config=/etc/passwd \
        OCF_RESKEY_CRM_meta_migrate_target=xen2 HA_LOGFACILITY=none $agent migrate_to >"$MNT/shared/said" 2>&1
}

moved="migrate_to on xen1;migrate_from on xen2;stop on xen1|"
stays="migrate_to on xen1|"
: >"$MNT/shared/table"
table() { # STATUS moved|blocked [STATUS-OF-RECOVER]: that is what Pacemaker does
    local what="status $1${3:+, recovered: $3}" rc
    result "$1" ${3:+"$3"}
    rc=$?
    simulate "migrate_to_0@xen1=$rc"
    case $2 in
    moved) want "$what" "$moved" "Started xen2" ;;
    blocked) want "$what" "$stays" "*FAILED*blocked*" ;;
    esac
    echo "$1 $2" >>"$MNT/shared/table"
}
# Every status that the manual page lists; one that is not here fails the test.
statuses=$(awk '/^\.Sh/ { on = /EXIT STATUS/ } on && $1 == ".It" { print $2 }' "$TOP/docs/xl-migrate.1")
[ -n "$statuses" ] || fail "no statuses in the manual page"
for status in $statuses; do
    case $status in
    0 | 9) table "$status" moved ;;
    1 | 3 | 4 | 6 | 8 | 127) table "$status" blocked ;;
    5 | 7)
        table "$status" moved 0
        table "$status" blocked "$status"
        ;;
    *) fail "xl migrate's exit status $status: what is Pacemaker to do?" ;;
    esac
done
table 137 blocked # a process that was killed
# And the table of xenferry-cluster(7) is this one.
page=$TOP/docs/xenferry-cluster.7
listed=$(awk '/^\.S[sh]/ { on = /Exit statuses/ } on && / Ta (moved|blocked)$/ { print }' "$page" |
    sed 's/^\.It any other/.It 137/; s/^\.It \([0-9, ]*\) Ta .* /\1 /' |
    awk '{ gsub(",", ""); for (i = 1; i < NF; i++) print $i, $NF }' | sort)
[ "$listed" = "$(sort "$MNT/shared/table")" ] ||
    fail "the manual's table is another: $(diff <(echo "$listed") <(sort "$MNT/shared/table"))"
simulate "migrate_to_0@xen1=198" # a timeout
want "migrate_to times out" "$stays" "*blocked*"
simulate "migrate_from_0@xen2=1"
want "it has not arrived" "migrate_to on xen1;migrate_from on xen2|" "*blocked*"
simulate "stop_0@xen1=1"
want "the source's copy is not gone" "migrate_to on xen1;migrate_from on xen2;stop on xen1|" "*blocked*"

monitored=190
simulate "migrate_to_0@xen1=0"
want "xl does not answer to a monitor" "$moved" "Started xen2"
monitored=1
simulate "migrate_to_0@xen1=0"
[[ $actions == *stop*start* ]] || fail "a monitor that fails: '$actions'"
monitored=0

# The manual's configuration is the one that was looked at here, and that the other tests run.
operations() { grep -o '<op [^>]*>' | sed 's/ id="[^"]*"//'; }
[ "$(operations <"$page")" = "$(cib_guest g1 | operations)" ] ||
    fail "the manual's operations are not those of lib/cib.sh: $(diff <(operations <"$page") <(cib_guest g1 | operations))"
while read -r name value; do
    grep -q "name=\"$name\" value=\"$value\"" "$MNT/shared/in.xml" || fail "the manual sets $name to $value, lib/cib.sh does not"
done < <(sed -n 's/^# crm_attribute -t crm_config -n \(.*\) -v \(.*\)/\1 \2/p' "$page")

# Without: the guest is stopped on both nodes, and started anew. This is what must not happen.
CIB_BLOCK=
simulate "migrate_to_0@xen1=1"
[[ $actions == "migrate_to on xen1|"*stop*start* ]] || fail "without on-fail=block: '$actions'"
printf '%-40s %s\n' "refused, without on-fail=block" "$actions"
finish
