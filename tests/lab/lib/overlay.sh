# SPDX-License-Identifier: LGPL-2.1-or-later
# Everything of a host that is ours: init, configuration, keys, small tools,
# the guest's kernel and initramfs. Made in seconds, and given to the hosts as
# a small disk of its own (/dev/vdd): ov/ is laid over the Debian disk at boot
# by dom0's initramfs, guest/ is /srv/guest.

# Modules in load order (virtio_ring before virtio, see docs/lab.md).
DOM0_MODULES='virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci
virtio_blk crc32c_generic libcrc32c crc16 mbcache jbd2 ext4'
GUEST_MODULES='xen-blkfront xen-netfront'
# Of a guest without PV drivers: its IDE or AHCI disk, and its rtl8139.
EMULATED_MODULES='crct10dif_common crct10dif_generic crc64 crc64_rocksoft_generic crc64-rocksoft crc-t10dif
t10-pi scsi_common scsi_mod libata ata_piix libahci ahci sd_mod mii 8139cp'
[ "$SUITE" = bookworm ] || EMULATED_MODULES=${EMULATED_MODULES/t10-pi /} # part of the kernel itself
LAB_CFLAGS='-std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror'

overlay_key() {
    {
        base_key
        cat "$CACHE/shared/$(shared_key)/MANIFEST" # made by shared_item before
        cat "$LAB/lib/overlay.sh" "$LAB"/dom0/* "$LAB"/guest/* "$LAB"/tools/*
        gcc -dumpfullversion
    } | key_of
}

overlay_item() {
    shared_item >/dev/null || return
    cache_get "$(of_name overlay)" "$(overlay_key)" overlay_build
}

# What both hosts have alike, also when they run different suites: keys, and what the self-test sends.
# Making that in a host would cost seconds.
shared_key() { { sed -n '/^shared_build/,/^}/p' "$LAB/lib/overlay.sh"; } | key_of; }
shared_item() { cache_get shared "$(shared_key)" shared_build; }
shared_build() {
    ssh-keygen -q -t ed25519 -N '' -C lab -f "$1/id_ed25519"
    ssh-keygen -q -t ed25519 -N '' -C lab-host -f "$1/ssh_host_ed25519_key"
    head -c 40000000 /dev/urandom >"$1/random"
    sha256sum <"$1/random" >"$1/random.sum"
}

# module_path KERNELDIR NAME: where a module lies; nothing if built in.
module_path() {
    local alt=${2//-/_}
    find "$1" -name "$2.ko*" -o -name "$alt.ko*" -o -name "${2//_/-}.ko*" | head -n1
}

# Of trixie's kernel some are no modules any more.
is_builtin() { tr - _ <"$1/modules.builtin" | grep -q "/${2//-/_}\.ko\$"; } # KERNELDIR NAME

# Copied as the kernel itself loads it: trixie's are packed.
copy_module() { # PATH TO
    case $1 in
    *.ko) cp "$1" "$2/" ;;
    *.ko.xz) xz -dc "$1" >"$2/$(basename "$1" .xz)" ;;
    *) return 1 ;;
    esac
}

# copy_modules KERNELDIR DEST NAMES...: with ORDER, the list to insmod.
copy_modules() {
    local from=$1 to=$2 name path
    shift 2
    mkdir -p "$to"
    : >"$to/ORDER"
    for name in "$@"; do
        path=$(module_path "$from" "$name")
        [ -n "$path" ] || ! is_builtin "$from" "$name" || continue
        [ -n "$path" ] && copy_module "$path" "$to" || {
            echo "no module $name"
            return 1
        }
        basename "$path" .xz >>"$to/ORDER"
    done
}

# Not compressed: unpacking costs seconds under emulation.
pack_initramfs() { # DIR OUT
    (cd "$1" && find . | cpio -o -H newc --quiet) >"$2"
}

# The ELF image inside a bzImage, found by its setup header, for the same
# reason: Xen and libxl would unpack it anew for every domain.
extract_vmlinux() { # BZIMAGE OUT
    local start size
    start=$((($(header_field "$1" 0x1f1 1) + 1) * 512 + $(header_field "$1" 0x248 4)))
    size=$(($(header_field "$1" 0x24c 4) - 4)) # the last 4 bytes are the length
    dd if="$1" iflag=skip_bytes,count_bytes skip="$start" count="$size" bs=1M status=none >"$2.packed"
    if [ "$(od -An -tx4 -N4 "$2.packed" | tr -d ' ')" = fd2fb528 ]; then # trixie's
        zstd -qdc "$2.packed" >"$2"
    else
        xz -dc --single-stream "$2.packed" >"$2"
    fi
    rm "$2.packed"
}

header_field() { od -An -tu"$3" -j$(($2)) -N"$3" "$1" | tr -d ' '; }

# What is linked with Xen's libraries is made where they are those of the host.
xen_tools() { # DIR
    local made=build/lab/$SUITE top
    top=$(cd "$LAB/../.." && pwd)
    mkdir -p "$top/$made"
    # shellcheck disable=SC2016 # expanded by that shell
    set -- "$1" sh -euc 'cd "$1"
        gcc '"$LAB_CFLAGS"' -D__XEN_TOOLS__ -o "$2/xf-paging-probe" tests/lab/tools/xf-paging-probe.c -lxenctrl
        gcc '"$LAB_CFLAGS"' -o "$2/xf-resume" tests/lab/tools/xf-resume.c -lxenlight -lxentoollog' sh
    if [ "$SUITE" = "$(own_suite)" ]; then
        "${@:2}" "$top" "$made"
    else
        "$top/tests/suite/suite" run "$SUITE" "${@:2}" /src "$made"
    fi
    install -m 755 "$top/$made/xf-paging-probe" "$top/$made/xf-resume" "$1/"
}

overlay_build() {
    local out=$1 base work=$1/work shared mods top tool
    base=$(base_dir)
    shared=$CACHE/shared/$(shared_key)
    mkdir -p "$work/ours/ov" "$work/ours/guest"
    tar -C "$work" -xf "$base/modules.tar"
    mods=$(echo "$work"/lib/modules/*)
    top=$work/ours/ov
    extract_vmlinux "$base/vmlinuz" "$out/vmlinux"

    # The guest.
    mkdir -p "$work/guest"
    gcc $LAB_CFLAGS -static -pthread -o "$work/guest/init" "$LAB"/guest/*.c
    mkdir -p "$work/guest/dev" "$work/guest/proc" "$work/guest/sys" "$work/guest/sbin"
    ln -s /init "$work/guest/sbin/poweroff"
    ln -s /init "$work/guest/sbin/reboot"
    copy_modules "$mods" "$work/guest/modules" $GUEST_MODULES
    pack_initramfs "$work/guest" "$work/ours/guest/initramfs"
    rm -r "$work/guest/modules"
    copy_modules "$mods" "$work/guest/modules" $EMULATED_MODULES
    pack_initramfs "$work/guest" "$work/ours/guest/initramfs.emulated"
    cp "$out/vmlinux" "$work/ours/guest/vmlinux"
    # An HVM guest's firmware boots no ELF, and reads 8 MB faster than 37.
    cp "$base/vmlinuz" "$work/ours/guest/vmlinuz"

    # Tools for the hosts.
    mkdir -p "$top/usr/local/sbin" "$top/usr/local/bin"
    xen_tools "$top/usr/local/bin"
    gcc $LAB_CFLAGS -o "$top/usr/local/sbin/xf-relay" "$LAB/tools/xf-relay.c"
    install -m 755 "$LAB/tools/xf-qmp" "$top/usr/local/bin/xf-qmp"
    # And for the outside.
    for tool in xf-collect xf-ping; do
        gcc $LAB_CFLAGS -o "$out/$tool" "$LAB/tools/$tool.c"
    done

    cp "$shared/random" "$work/ours/guest/random"

    # Configuration and keys.
    mkdir -p "$top/usr/sbin" "$top/etc/ssh" "$top/etc/xen" "$top/root/.ssh"
    install -m 755 "$LAB/dom0/xf-init" "$top/usr/sbin/xf-init"
    install -m 644 "$LAB/dom0/sshd_config" "$top/etc/ssh/sshd_config"
    install -m 644 "$LAB/dom0/ssh_config" "$top/etc/ssh/ssh_config"
    install -m 644 "$LAB/dom0/xl.conf" "$top/etc/xen/xl.conf"
    install -D -m 755 "$LAB/dom0/vif-quick" "$top/etc/xen/scripts/vif-quick"
    install -m 644 "$LAB/dom0/hosts" "$top/etc/hosts"
    install -m 600 "$shared/id_ed25519" "$top/root/.ssh/id_ed25519"
    install -m 644 "$shared/id_ed25519.pub" "$top/root/.ssh/id_ed25519.pub"
    install -m 600 "$shared/ssh_host_ed25519_key" "$top/etc/ssh/ssh_host_ed25519_key"
    install -m 644 "$shared/ssh_host_ed25519_key.pub" "$top/etc/ssh/ssh_host_ed25519_key.pub"
    cp "$top/root/.ssh/id_ed25519.pub" "$top/root/.ssh/authorized_keys"
    chmod 700 "$top/root" "$top/root/.ssh"

    mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -d "$work/ours" "$out/ours.img" 160M

    # dom0's initramfs.
    mkdir -p "$work/ram/bin" "$work/ram/dev" "$work/ram/proc" "$work/ram/sys" "$work/ram/root"
    copy_modules "$mods" "$work/ram/modules" $DOM0_MODULES
    cp /bin/busybox "$work/ram/bin/busybox"
    install -m 755 "$LAB/dom0/initramfs-init" "$work/ram/init"
    pack_initramfs "$work/ram" "$out/initramfs"
    rm -rf "$work"
}
