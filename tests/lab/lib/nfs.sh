# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# A directory that both hosts share: /srv/nfs, served by host a over NFS 4, which it mounts, too. So
# the locks of a guest's image are those of NFS. The server is not in the hosts' image, since one
# test needs it.

NFS_PACKAGES='nfs-kernel-server nfs-common libtirpc3 libwrap0'
[ "$SUITE" = bookworm ] || NFS_PACKAGES=${NFS_PACKAGES/libtirpc3/libtirpc3t64}
NFS_FILES='usr/sbin/rpc.mountd usr/sbin/rpc.nfsd usr/sbin/exportfs sbin/mount.nfs4'

nfs_key() { { echo "$SUITE"; cat "$LAB/lib/nfs.sh" "$LAB/lib/apt.sh"; } | key_of; }
nfs_item() { cache_get "$(of_name nfs)" "$(nfs_key)" nfs_build; }

nfs_build() {
    local out=$1 work=$1/work f
    mkdir -p "$work/root/usr/sbin" "$work/root/usr/lib/x86_64-linux-gnu"
    apt_unpack "$work" $NFS_PACKAGES
    cd "$work"
    for f in $NFS_FILES; do
        cp "deb/$f" root/usr/sbin/
    done
    find deb -name '*.so.*' -exec cp -P {} root/usr/lib/x86_64-linux-gnu/ \;
    tar -C root -cf "$out/nfs.tar" usr
    rm -rf "$work"
}

cmd_nfs() {
    local item h
    lab_must_be_up
    for h in a b; do
        item=$(of_suite "$(suite_of $h)" nfs_item)
        host_ssh $h "mkdir -p /srv/nfs && tar -C / --keep-directory-symlink -xf - && ldconfig" <"$item/nfs.tar" ||
            die "host $h does not take the NFS packages"
    done
    run a 120 "set -e
        ! mountpoint -q /srv/nfs || exit 0
        modprobe nfsd
        mkdir -p /srv/export /var/lib/nfs/v4recovery
        touch /var/lib/nfs/etab /var/lib/nfs/rmtab
        mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
        echo '/srv/export *(rw,no_root_squash,insecure,no_subtree_check,fsid=0)' >/etc/exports
        # rpc.nfsd asks for its port by name; netbase is not in the image.
        grep -qs '^nfs' /etc/services || printf 'nfs 2049/tcp\nnfs 2049/udp\n' >>/etc/services
        exportfs -ra
        rpc.nfsd -N 3 -V 4 2
        rpc.mountd -N 3 -V 4
        echo Y >/proc/fs/nfsd/v4_end_grace" || die "host a does not serve NFS"
    for h in a b; do
        run $h 60 "mountpoint -q /srv/nfs || mount -t nfs4 -o vers=4.2 10.9.1.1:/ /srv/nfs" ||
            die "host $h does not mount /srv/nfs"
    done
}
