# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# The cluster's configuration as xenferry-cluster(7) has it, as a CIB that is there before Pacemaker
# is started: no crm_ command is needed, and no time for them.

CIB_GUEST=ocf:xenferry:Guest # of test_policy.sh, which compares
CIB_BLOCK=' on-fail="block"'

nv() { printf '<nvpair id="%s-%s" name="%s" value="%s"/>' "$1" "$2" "$2" "$3"; }

cib_guest() { # NAME
    local g=$1 class provider type
    IFS=: read -r class provider type <<<"$CIB_GUEST"
    printf '<primitive id="%s" class="%s" provider="%s" type="%s">' "$g" "$class" "$provider" "$type"
    printf '<instance_attributes id="%s-i">%s</instance_attributes>' "$g" "$(nv "$g" config "/etc/xen/$g.cfg")"
    printf '<meta_attributes id="%s-m">%s%s</meta_attributes><operations>' "$g" \
        "$(nv "$g" allow-migrate true)" "$(nv "$g" resource-stickiness 100)"
    printf '<op id="%s-monitor" name="monitor" interval="30s" timeout="120s"/>' "$g"
    printf '<op id="%s-start" name="start" interval="0" timeout="120s"/>' "$g"
    printf '<op id="%s-to" name="migrate_to" interval="0" timeout="3600s"%s/>' "$g" "$CIB_BLOCK"
    printf '<op id="%s-from" name="migrate_from" interval="0" timeout="120s"%s/>' "$g" "$CIB_BLOCK"
    printf '<op id="%s-stop" name="stop" interval="0" timeout="900s"%s/>' "$g" "$CIB_BLOCK"
    printf '</operations></primitive>\n'
}

# cib NODES STATUS GUEST...: STATUS goes between <status> and </status>.
cib() {
    local nodes=$1 status=$2 n g
    shift 2
    printf '<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" epoch="5" num_updates="0"'
    printf ' admin_epoch="1" have-quorum="1" dc-uuid="1"><configuration><crm_config>'
    printf '<cluster_property_set id="p">'
    nv p stonith-enabled false
    nv p no-quorum-policy ignore
    nv p migration-limit 2
    nv p load-threshold 1000%
    nv p node-health-strategy migrate-on-red
    nv p dc-deadtime 4s
    printf '</cluster_property_set></crm_config><nodes>'
    for ((n = 1; n <= nodes; n++)); do
        printf '<node id="%d" uname="%s">%s</node>' "$n" "$(cib_name "$n")" "$(cib_node "$n")"
    done
    printf '</nodes><resources>\n'
    for g; do cib_guest "$g"; done
    printf '</resources><constraints/></configuration><status>%s</status></cib>\n' "$status"
}
# Of node N, for a test to replace: its name, and attributes.
cib_name() { echo "xen$1"; }
cib_node() { :; }
