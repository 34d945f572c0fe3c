# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# The cluster's own configuration, below Pacemaker's.

# corosync_conf NAME=ADDRESS...; one setting a line
corosync_conf() {
    local node id=0
    cat <<END
totem {
    version: 2
    cluster_name: xenferry
    transport: udpu
    crypto_cipher: none
    crypto_hash: none
    token: 30000
}
system {
    sched_rr: no
    move_to_root_cgroup: no
}
logging {
    to_syslog: no
    to_logfile: yes
    logfile: /var/log/corosync.log
}
quorum {
    provider: corosync_votequorum
$([ $# != 2 ] || echo '    two_node: 1')
}
nodelist {
END
    for node; do
        id=$((id + 1))
        printf '    node {\n        ring0_addr: %s\n        name: %s\n        nodeid: %d\n    }\n' \
            "${node#*=}" "${node%%=*}" $id
    done
    echo "}"
}
