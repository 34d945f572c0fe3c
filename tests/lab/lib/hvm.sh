# SPDX-License-Identifier: LGPL-2.1-or-later
# What an HVM guest has besides: a QEMU, and emulated devices, which either give way to PV drivers
# when it boots, or are all it has (--emulated).

# Sets for guest_start, in its variables, what its options left open.
hvm_defaults() {
    local khz
    kernel=vmlinuz create_s=300 boot_s=300
    case $bios in
    seabios) ;;
    ovmf)
        [ -z "$emulated" ] || die "--bios ovmf needs PV drivers"
        : "${mem:=256}"
        vdev=${vdev:-xvdb}
        ;;
    *) die "--bios is seabios or ovmf, not '$bios'" ;;
    esac
    # The video memory is a part of memory=, and Linux gives as much back at its start.
    if [ "$vga" = none ]; then
        : "${mem:=160}"
    else
        : "${mem:=176}" "${fill:=32}"
    fi
    if [ -n "$emulated" ]; then
        [ "$rogue" = 0 ] || die "--rogue needs PV drivers"
        initramfs=initramfs.emulated nic=,model=rtl8139 vdev=${vdev:-hda} device=/dev/sda
        khz=$(hvm_khz "$host")
        [ -n "$khz" ] || die "host $host does not say how fast its TSC is (xl info)"
        boot="console=ttyS0,115200 xen_nopv net.ifnames=0 tsc_early_khz=$khz"
        # Each character on its serial line is an exit to QEMU.
        : "${beat:=2000}"
    else
        nic=,type=vif # no emulated NIC beside it
    fi
    lines=$(hvm_config)$'\n'
}

# In guest_start, once the kernel's command line is known: it boots from a disk of its own.
hvm_by_efi() {
    efi_put "$name" "$kernel" "$initramfs" "$GUEST_WORDS $words"
    kernel=''
    lines+="bios = \"ovmf\"
bios_path_override = \"/root/OVMF.fd\"
"
    diskline="'format=raw,vdev=hda,access=rw,target=/root/$name.efi'${diskline:+, }$diskline"
}

hvm_config() {
    cat <<'END'
device_model_version = "qemu-xen"
xen_platform_pci = 1
END
    case $vga in
    none) printf 'vga = "none"\nvnc = 0\n' ;;
    stdvga | cirrus) printf 'vga = "%s"\nvnc = 1\nvnclisten = "127.0.0.1"\n' "$vga" ;;
    *) die "--vga is none, stdvga or cirrus, not '$vga'" ;;
    esac
    if [ -n "$emulated" ]; then
        printf 'usb = 1\nusbdevice = "tablet"\n'
        # Where xf-relay finds its heartbeats.
        printf 'serial = "file:/var/log/xen/console/guest-%s--serial.log"\n' "$name"
    else
        printf 'serial = "pty"\n'
    fi
}

# Without PV drivers the kernel would measure the TSC's rate against the PIT, and each read of that is
# an exit. Xen knows the rate.
hvm_khz() { # HOST
    run "$1" 20 "xl info" | sed -n 's/^cpu_mhz *: *\([0-9]*\)\.\([0-9]*\)$/\1\2/p'
}

cmd_qmp() {
    lab_must_be_up
    host_ok "${1-}"
    [ $# -ge 3 ] || die "usage: lab qmp a|b DOMAIN JSON..."
    run "$1" 60 "d=\$(xl domid $2) && xf-qmp \$d $(printf ' %q' "${@:3}")"
}
