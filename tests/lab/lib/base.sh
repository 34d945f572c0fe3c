# SPDX-License-Identifier: LGPL-2.1-or-later
# The Debian part of a host: everything that comes from packages, as one disk
# image with the kernel beside it. What is ours goes on top of it at boot
# (overlay.sh), so changing ours never rebuilds this.

# One per line, with the reason where it is not plain.
dom0_packages() {
    local t64=t64 # the names of libraries with a 64-bit time_t
    [ "$SUITE" != bookworm ] || t64=''
    sed 's/#.*//' <<LIST | tr -s ' \n' '  '
xen-utils-$(xen_release) xen-utils-common xenstore-utils  # xl, xenstored, xenconsoled
qemu-utils  # qemu-nbd receives disks
qemu-system-xen  # serves disks with backendtype=qdisk, one process for each guest
rdma-core ibverbs-providers ibverbs-utils rdmacm-utils perftest  # Soft-RoCE
librdmacm1$t64 libibverbs1
openssh-server openssh-client socat netcat-openbsd
iproute2 iputils-ping kmod procps psmisc iperf3 tcpdump ethtool
libgnutls30$t64 gnutls-bin libjson-c5 libxml2 libxml2-utils libxxhash0 libcunit1
liblz4-1 libzstd1
python3-minimal python3  # verify-stream-v2
strace gdb
corosync pacemaker pacemaker-cli-utils resource-agents  # t/cluster.sh starts them, nothing else does
libasan8 libubsan1 libtsan2  # sanitizer builds run in the hosts
LIST
}

base_key() {
    { cat "$LAB/lib/base.sh"; echo "$SUITE"; } | key_of
}

base_dir() { printf '%s/%s/%s\n' "$CACHE" "$(of_name base)" "$(base_key)"; }
base_item() { cache_get "$(of_name base)" "$(base_key)" base_build; }

base_build() {
    local out=$1 root=$1/root m kernel
    m=$(mirror)
    progress_mark 1/5 "the smallest Debian"
    timeout 600 debootstrap --variant=minbase "$SUITE" "$root" "$m"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    printf 'force-unsafe-io\n' >"$root/etc/dpkg/dpkg.cfg.d/lab"
    # No documentation in a lab host.
    printf 'path-exclude=/usr/share/%s/*\n' doc man locale info \
        >"$root/etc/dpkg/dpkg.cfg.d/nodoc"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    printf 'deb %s %s main\n' "$m" "$SUITE" >"$root/etc/apt/sources.list"
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C
    progress_mark 2/5 packages
    timeout 120 chroot "$root" apt-get -q update
    timeout 600 chroot "$root" apt-get -q -y --no-install-recommends \
        install $(dom0_packages)

    progress_mark 3/5 kernel
    # The kernel is unpacked, not installed: its hooks would build an
    # initramfs we do not use.
    kernel=$(chroot "$root" apt-cache depends linux-image-amd64 |
        sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n1)
    (cd "$root/tmp" && timeout 180 chroot "$root" sh -c "cd /tmp && apt-get -q download $kernel")
    # Not `dpkg -x`: it would replace the link /lib by a directory.
    dpkg-deb --fsys-tarfile "$root"/tmp/linux-image-*.deb |
        tar -x --keep-directory-symlink -C "$root"
    rm -f "$root"/tmp/*.deb
    kernel=$(ls "$root/lib/modules")
    chroot "$root" depmod "$kernel"
    cp "$root/boot/vmlinuz-$kernel" "$out/vmlinuz"
    printf '%s\n' "$kernel" >"$out/kernel"

    progress_mark 4/5 "cleaning up"
    chroot "$root" dpkg-query -W >"$out/VERSIONS"
    chroot "$root" apt-get clean
    rm -rf "$root"/var/lib/apt/lists/* "$root"/boot/vmlinuz* "$root"/usr/share/doc/* \
        "$root"/usr/share/man/* "$root"/usr/share/locale/*
    mkdir -p "$root/xf"
    progress_mark 5/5 "disk image"
    mke2fs -q -t ext4 -O ^has_journal -L xfroot -d "$root" "$out/root.img" 3G
    # Modules once more by themselves, for the two initramfs.
    tar -C "$root" -cf "$out/modules.tar" "./lib/modules/$kernel"
    rm -rf --one-file-system "$root"
}
