# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# An HVM guest that OVMF boots. OVMF takes no kernel from xl, so the guest's kernel, initramfs and command
# line are one EFI program (a unified kernel image) on a disk of its own, which is a FAT file system as a
# whole. Firmware and tools are not in the hosts' image, since one test needs them.

EFI_PACKAGES='ovmf systemd-boot-efi mtools'

efi_key() { cat "$LAB/lib/efi.sh" "$LAB/lib/apt.sh" | key_of; }
efi_item() { cache_get efi "$(efi_key)" efi_build; }

efi_build() {
    local out=$1 work=$1/work
    apt_unpack "$work" $EFI_PACKAGES
    cp "$work"/deb/usr/share/qemu/OVMF.fd "$work"/deb/usr/lib/systemd/boot/efi/linuxx64.efi.stub \
        "$work"/deb/usr/bin/mtools "$out/"
    rm -rf "$work"
}

# Both hosts get the firmware and the guest's boot disk: the same file, which nobody writes to.
efi_put() { # NAME KERNEL INITRAMFS WORDS
    local item dir h
    item=$(of_suite bookworm efi_item) || exit 1
    dir=$(mktemp -d)
    host_ssh a "cat /srv/guest/$2" >"$dir/linux"
    host_ssh a "cat /srv/guest/$3" >"$dir/initrd"
    printf '%s' "$4" >"$dir/cmdline"
    # Where systemd's own tools put them: behind the stub, and apart.
    objcopy --add-section .cmdline="$dir/cmdline" --change-section-vma .cmdline=0x30000 \
        --add-section .linux="$dir/linux" --change-section-vma .linux=0x2000000 \
        --add-section .initrd="$dir/initrd" --change-section-vma .initrd=0x3000000 \
        "$item/linuxx64.efi.stub" "$dir/BOOTX64.EFI"
    truncate -s 24M "$dir/disk"
    "$item/mtools" -c mformat -i "$dir/disk" ::
    "$item/mtools" -c mmd -i "$dir/disk" ::/EFI ::/EFI/BOOT
    "$item/mtools" -c mcopy -i "$dir/disk" "$dir/BOOTX64.EFI" ::/EFI/BOOT/
    for h in a b; do
        host_ssh $h "cat >/root/OVMF.fd" <"$item/OVMF.fd"
        host_ssh $h "cat >/root/$1.efi" <"$dir/disk"
    done
    rm -r "$dir"
}
