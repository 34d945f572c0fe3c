# SPDX-License-Identifier: LGPL-2.1-or-later
# The two hosts: QEMU processes running Xen with our dom0, and ssh into them.

kvm_works() { # /dev/kvm alone proves nothing: look for the CPU flag
    grep -qwE 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ]
}

# host_start HOST HYPERVISOR MEM CPU: CPU is what to change of it, e.g. -popcnt
host_start() {
    local h=$1 hyp=$2 mem=$3 n=1 accel cpu overlay base xen
    [ "$h" = b ] && n=2
    base=$(base_item) overlay=$(overlay_item) xen=$(hyp_item "$hyp")
    if kvm_works; then
        accel=kvm cpu=host
    else
        # Each missing feature is a trap: docs/lab.md, "Traps".
        accel=tcg,thread=multi
        cpu=EPYC,-smap,-smep,-monitor,-rdtscp,-avx,-avx2,-f16c,-fma,-xsave
        cpu+=,-xsaveopt,-xsavec,-xsaves,+svm,+npt,+nrip-save
    fi
    cpu+=${4:+,$4}
    spawn "$h" "$STATE/$h.qemu" ip netns exec "$NS" qemu-system-x86_64 \
        -name "xflab-$h" -machine q35 -accel $accel -cpu $cpu -m "$mem" -smp 1 \
        -display none -no-reboot -nodefaults \
        -serial "file:$STATE/$h.console" \
        -monitor "unix:$STATE/$h.monitor,server,nowait" \
        -kernel "$xen/xen-$hyp" \
        -append "console=com1 com1=115200,8n1 dom0_mem=640M,max:640M dom0_max_vcpus=1 loglvl=all guest_loglvl=all noreboot" \
        -initrd "$overlay/vmlinux console=hvc0 root=/dev/vda xfhost=$h net.ifnames=0 mitigations=off panic=-1,$overlay/initramfs" \
        -netdev "tap,id=mig0,ifname=$h-mig,script=no,downscript=no" \
        -device "virtio-net-pci,id=mig,netdev=mig0,mac=52:54:00:09:00:0$n,addr=4" \
        -netdev "tap,id=lan0,ifname=$h-lan,script=no,downscript=no" \
        -device "virtio-net-pci,id=lan,netdev=lan0,mac=52:54:00:09:01:0$n,addr=5" \
        -drive "id=d0,if=none,file=$base/root.img,format=raw,snapshot=on" \
        -device virtio-blk-pci,drive=d0,addr=6 \
        -drive "id=d1,if=none,file=$STATE/disk-b.img,format=raw,file.locking=off,cache=unsafe" \
        -device virtio-blk-pci,drive=d1,addr=7 \
        -drive "id=d2,if=none,file=$STATE/disk-c.img,format=raw,file.locking=off,cache=unsafe" \
        -device virtio-blk-pci,drive=d2,addr=8 \
        -drive "id=d3,if=none,file=$overlay/ours.img,format=raw,readonly=on" \
        -device virtio-blk-pci,drive=d3,addr=9 \
        -drive "id=d4,if=none,file=$STATE/own-$h.img,format=raw,cache=unsafe,discard=unmap" \
        -device virtio-blk-pci,drive=d4,addr=10
}

# Trouble a host's console may show; printed, and true if there is any.
host_trouble() {
    grep -aE 'XF-PANIC|Kernel panic|Panic on CPU|BUG: |soft lockup|rcu.*stall|Oops' \
        "$STATE/$1.console" 2>/dev/null
}

host_wait() { # HOST SECONDS
    local h=$1 end=$((SECONDS + $2))
    until grep -aq "XF-READY" "$STATE/$h.console" 2>/dev/null; do
        pid_of "$h" >/dev/null || {
            tail -n 5 "$STATE/$h.qemu" >&2
            die "QEMU of host $h ended (see $STATE/$h.qemu)"
        }
        if host_trouble "$h" >&2; then
            die "host $h is in trouble: $STATE/$h.console"
        fi
        [ $SECONDS -lt $end ] || die "host $h not up after $2 s: $STATE/$h.console"
        sleep 0.2
    done
}

ssh_setup() {
    # A copy: the cache item may be pruned while the lab is up.
    install -m 600 "$(shared_item)/id_ed25519" "$STATE/id_ed25519"
    cp "$(shared_item)/random.sum" "$STATE/"
    cat >"$STATE/ssh_config" <<END
Host a
    HostName 10.9.1.1
Host b
    HostName 10.9.1.2
Host *
    User root
    IdentityFile $STATE/id_ed25519
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
    KexAlgorithms curve25519-sha256
    ConnectTimeout 10
    ServerAliveInterval 20
    ServerAliveCountMax 6
    ControlPath $STATE/ssh.%n
END
}

# One master connection per host, so that a command costs milliseconds.
ssh_master() {
    in_ns timeout 60 ssh -F "$STATE/ssh_config" -o ControlMaster=yes \
        -o ControlPersist=yes -Nf "$1" </dev/null >/dev/null 2>&1 8>&- 9>&-
}

host_ssh() { # HOST [CMD...]
    local h=$1
    shift
    in_ns ssh -F "$STATE/ssh_config" "$h" "$@"
}

cmd_ssh() {
    lab_must_be_up
    host_ok "${1-}"
    exec ip netns exec "$NS" ssh -F "$STATE/ssh_config" "$@"
}

cmd_put() {
    lab_must_be_up
    host_ok "${1-}"
    [ $# = 3 ] || die "usage: lab put a|b SRC DST"
    # Renamed into place: a program that still runs there cannot be written to.
    in_ns scp -q -r -F "$STATE/ssh_config" "$2" "$1:$3.new"
    in_ns ssh -F "$STATE/ssh_config" "$1" "mv -T '$3.new' '$3'" </dev/null
}

cmd_get() {
    lab_must_be_up
    host_ok "${1-}"
    [ $# = 3 ] || die "usage: lab get a|b SRC DST"
    in_ns scp -q -r -F "$STATE/ssh_config" "$1:$2" "$3"
}

# Our xl as it is built here, or for another suite in that one.
cmd_xl() {
    local suite top
    host_ok "${1-}"
    suite=$(suite_of "$1")
    top=$(cd "$LAB/../.." && pwd)
    if [ "$suite" = "$(own_suite)" ]; then
        printf '%s\n' "$top/build/xl"
        return
    fi
    "$top/tests/suite/suite" run "$suite" make -j"$(nproc)" B="build/$suite" "build/$suite/xl" >&2 ||
        die "xl for $suite does not build"
    printf '%s\n' "$top/build/$suite/xl"
}
