# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# The root file system of a cluster's nodes: a small Debian with Pacemaker in an image, in the lab's
# cache. Nothing of it is installed on this machine. The nodes write on a layer of their own.
#
# Packages are unpacked and not installed: no script of theirs runs, and what these would have done
# and a node needs is done here.

ROOT_PACKAGES=$(sed 's/#.*//' <<'LIST' | tr -s ' \n' '  '
corosync pacemaker pacemaker-cli-utils resource-agents
ganeti-htools  # hbal, for plans
base-files base-passwd bash coreutils dash diffutils findutils gawk grep hostname sed tar util-linux
mount procps iproute2 libc-bin
LIST
)

root_key() {
    { cat "$HERE/lib/root.sh"; echo "$SUITE"; } | key_of
}

# Prints the path of the image, which is built first if it is missing or damaged.
root_image() {
    local dir
    dir=$(cache_get cluster "$(root_key)" root_build) || return
    printf '%s/root.img\n' "$dir"
}

root_build() { # DIR
    local out=$1 root=$1/root apt=$1/apt d
    progress_mark 1/3 "packages"
    apt_setup "$apt"
    # shellcheck disable=SC2046,SC2086 # lists
    timeout 1200 apt-get $(apt_opts "$apt") -q -y --no-install-recommends --download-only \
        install $ROOT_PACKAGES
    progress_mark 2/3 "unpacking"
    mkdir -p "$root"/{dev,proc,run,sys,shared,net,mover} "$root"/usr/{bin,sbin,lib,lib64}
    for d in bin sbin lib lib64; do
        ln -s "usr/$d" "$root/$d"
    done
    printf '%s\0' "$apt"/cache/archives/*.deb | xargs -0 -n1 basename >"$out/VERSIONS"
    # Side by side: each is a few processes that mostly wait for each other.
    export -f root_unpack
    # shellcheck disable=SC2016 # expanded there
    printf '%s\0' "$apt"/cache/archives/*.deb | xargs -0 -n1 -P8 bash -c 'root_unpack "$0" "$1"' "$root"
    root_settle "$root"
    progress_mark 3/3 "disk image"
    mke2fs -q -t ext4 -O ^has_journal -L cluster -d "$root" "$out/root.img" 512M
    rm -rf --one-file-system "$root" "$apt"
}

root_unpack() { # ROOT DEB
    set -o pipefail
    dpkg-deb --fsys-tarfile "$2" | tar -x --keep-directory-symlink -C "$1" \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*'
}

# What the scripts of these packages would have done.
root_settle() { # ROOT
    local root=$1
    cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
    cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
    echo 'hacluster:x:150:150::/var/lib/pacemaker:/usr/sbin/nologin' >>"$root/etc/passwd"
    echo 'haclient:x:150:' >>"$root/etc/group"
    printf '%s: files\n' passwd group hosts >"$root/etc/nsswitch.conf"
    [ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
    ln -sf gawk "$root/usr/bin/awk"
    ln -sf which.debianutils "$root/usr/bin/which"
    ldconfig -r "$root"
    mkdir -p "$root"/var/lib/pacemaker/{blackbox,cib,cores,pengine} "$root"/var/lib/corosync \
        "$root"/var/log/{cluster,corosync,pacemaker} "$root/tmp" "$root/etc/xen"
    chown -R 150:150 "$root/var/lib/pacemaker" "$root/var/log/pacemaker"
    chmod -R 750 "$root/var/lib/pacemaker"
    chmod 1777 "$root/tmp"
}
