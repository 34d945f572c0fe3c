# SPDX-License-Identifier: LGPL-2.1-or-later
# Guests: small PVH or HVM domains running our workload (guest/), and the commands
# they answer on TCP port 7000, reached from the outside.

guest_help() {
    cat <<'END'
lab guest start HOST NAME [--mem MiB] [--maxmem MiB] [--fill MiB] [--zero PCT]
                [--type pvh|hvm|pv]
                [--bios seabios|ovmf]  of an HVM guest; OVMF boots it from a disk made for it
                [--emulated]         HVM without PV drivers: disk and NIC are QEMU's
                [--vga none|stdvga|cirrus]  of an HVM guest; a screen on VNC, with 16 MiB out of --mem
                [--cd 0|1]           of an HVM guest: a drive with a disk in it, hdc
                [--rate PAGES/s] [--pattern seq|random|hot|stride] [--hot PCT]
                [--reads PCT]        of the touches; the others write
                [--vcpus N] [--ip N] [--disk vdb|vdc|none|PATH] [--diskrate N]
                [--diskblocks N]     of its disk that are written, the first (0: 16 MiB)
                [--backend qdisk]    what serves its disk (else dom0's kernel)
                [--format qcow2]     of its disk (else raw)
                [--vdev NAME]        of its disk (xvda, with --emulated hda)
                [--rogue 0|1]        a second interface that connects by itself, and sends
                [--late MiB]         of memory that only the kernel hands on
                [--persistent 0|1]   grants of its disk
                [--beat MS]          between two heartbeats (20, with --emulated 2000; 0: none)
                [--config LINE]      a line more for its xl configuration
lab guest cmd NAME status|verify|pause|resume|rate N|pattern X|reads PCT|poweroff
lab guest cmd NAME send          the late memory, by sendfile
lab guest cmd NAME rogue         what the second interface sends
lab guest cmd NAME work          lines `its clock in ns, touches so far`, 15 minutes back
lab guest cmd NAME touched FROM TO    touches and pages between two times of its clock
lab guest cmd NAME video off          its video memory is mapped no more
lab guest cmd NAME damage mem|disk    so that the next verify must say BAD
lab guest wait NAME [SECONDS]    until it answers
lab guest where NAME             a, b, both or none
lab guest seen NAME              the host behind which the network's switch has it
lab guest list                   name, host
lab guest stop NAME              destroy it on both hosts
END
}

# Under emulation an exit to Xen costs 0.2 ms, so two things are avoided:
# rdtsc trapped by Xen (tsc_mode), and 100,000 reads of a PIT that is not there
# (clearcpuid=tsc; the guest's clock is Xen's all the same). Without a TSC the
# kernel would wait for ticks that do not come yet: lpj= is its delay loop.
GUEST_WORDS='quiet loglevel=3 mitigations=off panic=1'
PV_BOOT='console=hvc0 clearcpuid=tsc lpj=6000000'

guest_config() { # TYPE NAME MEM MAXMEM VCPUS VIFS DISK KERNEL|'' INITRAMFS EXTRA LINES
    local from=''
    [ -z "$8" ] || printf -v from 'kernel = "/srv/guest/%s"\nramdisk = "/srv/guest/%s"\nextra = "%s"' "$8" "$9" \
        "$GUEST_WORDS ${10}"
    cat <<END
name = "$2"
type = "$1"
$from
memory = $3
maxmem = $4
vcpus = $5
vif = [ $6 ]
disk = [ $7 ]
tsc_mode = "native"
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "preserve"
${11}
END
}

guest_start() {
    local host=$1 name=$2 type=pvh emulated='' bios=seabios vga=none mem='' maxmem='' fill='' zero=25 rate=200 pattern=random
    local hot=10 reads=0 vcpus=1 ip=100 disk=vdb diskrate=20 late=0 persistent=1 beat='' diskline='' config='' words mac vifs out
    local diskblocks=0 backend='' rogue=0 format=raw cd=0
    local kernel=vmlinux initramfs=initramfs boot=$PV_BOOT nic='' vdev='' device='' lines='' create_s=120 boot_s=60
    host_ok "$host"
    shift 2
    while [ $# -gt 0 ]; do
        case $1 in
        --emulated)
            emulated=yes
            shift
            continue
            ;;
        --type | --bios | --vga | --mem | --maxmem | --fill | --zero | --rate | --pattern | --hot | --reads | --vcpus | \
            --ip | --disk | --diskrate | --diskblocks | --backend | --format | --vdev | --cd | --rogue | --late | --persistent | --beat | \
            --config)
            [ $# -gt 1 ] || die "$1 needs a value (lab guest help)"
            printf -v "${1#--}" %s "$2"
            ;;
        *) die "unknown option $1 (lab guest help)" ;;
        esac
        shift 2
    done
    [ "$ip" -ge 100 ] && [ "$ip" -le 199 ] || die "--ip is 100 to 199"
    case $type in
    pvh | pv) [ "$bios$vga$emulated$cd" = seabiosnone0 ] || die "--bios, --vga, --cd and --emulated need --type hvm" ;;
    hvm) hvm_defaults ;;
    *) die "--type is pvh, hvm or pv, not '$type'" ;;
    esac
    : "${mem:=128}" "${fill:=40}" "${beat:=20}" "${vdev:=xvda}"
    : "${device:=/dev/$vdev}"
    [[ $disk == /* || $disk == none ]] || disk=/dev/$disk
    [ "$disk" = none ] || diskline="'format=$format,vdev=$vdev,access=rw${backend:+,backendtype=$backend},target=$disk'"
    [ "$cd" = 0 ] || diskline+="${diskline:+, }'devtype=cdrom,vdev=hdc,access=ro,format=raw,target=/srv/guest/initramfs'"
    words="$boot xf.ip=10.9.1.$ip xf.fill=$fill xf.zero=$zero xf.rate=$rate xf.pattern=$pattern"
    words+=" xf.hot=$hot xf.reads=$reads xf.diskrate=$diskrate xf.late=$late xf.persistent=$persistent xf.beat=$beat xf.diskblocks=$diskblocks"
    [ "$disk" = none ] || words+=" xf.disk=$device"
    [ "$bios" = seabios ] || hvm_by_efi
    mac=$(printf '00:16:3e:09:01:%02x' "$ip")
    vifs="'mac=$mac,bridge=xenbr0$nic'"
    if [ "$rogue" = 1 ]; then
        vifs+=",'mac=00:16:3e:09:02:$(printf %02x "$ip"),script=vif-quick$nic'"
        words+=" xf.rogue=10.9.1.$((200 + ip % 50))"
    fi
    printf '%s\n' "$ip" >"$STATE/guest.$name"
    # Through an emulated NIC some ten frames a second get here; what comes faster takes the turn of others.
    if [ -n "$emulated" ]; then echo 500; else echo 10; fi >"$STATE/period.$name"
    # Fixed: else a guest that is away for a while costs our own ARP's seconds.
    in_ns ip neigh replace "10.9.1.$ip" lladdr "$mac" dev lan nud permanent
    guest_config "$type" "$name" "$mem" "${maxmem:-$mem}" "$vcpus" "$vifs" "$diskline" "$kernel" "$initramfs" \
        "$words" "$lines$config" | host_ssh "$host" "cat >/root/$name.cfg"
    out=$(run "$host" "$create_s" "xl create -q /root/$name.cfg" 2>&1) ||
        die "host $host did not start $name: $out"
    guest_wait "$name" "$boot_s"
    out=$(guest_cmd "$name" status)
    case $out in
    *'"errors": 0,'*) ;;
    *) die "guest $name began with an error: ${out##*\"first_error\": }" ;;
    esac
}

guest_ip() {
    [ -e "$STATE/guest.$1" ] || die "no guest '$1' was started (lab guest list)"
    printf '10.9.1.%s' "$(cat "$STATE/guest.$1")"
}

# One command line; gives up when the guest does not connect or answer.
guest_cmd() { # NAME WORDS...
    local ip
    ip=$(guest_ip "$1") || exit 1
    shift
    printf '%s\n' "$*" |
        in_ns timeout 300 socat -t 280 - "TCP:$ip:7000,connect-timeout=3"
}

guest_answers() { guest_cmd "$1" status >/dev/null 2>&1; }

guest_wait() {
    retry "${2:-30}" guest_answers "$1" || die "guest $1 does not answer (lab logs DIR)"
}

guest_on() { # HOST NAME: running or paused there, under its own name
    run "$1" 30 "xl domid $2 >/dev/null 2>&1"
}

guest_where() {
    local on=''
    guest_on a "$1" && on=a
    guest_on b "$1" && on+=b
    case $on in
    '') echo none ;;
    ab) echo both ;;
    *) echo $on ;;
    esac
}

# The switch learns it from frames that the guest has sent.
guest_seen() {
    local mac port
    mac=$(printf '00:16:3e:09:01:%02x' "$(cat "$STATE/guest.$1")") || exit 1
    port=$(in_ns bridge fdb show br lan | sed -n "s/^$mac dev \([ab]\)-lan .*/\1/p")
    echo "${port:-none}"
}

guest_stop() {
    local h
    for h in a b; do
        # Also what a failed migration may have left behind.
        run "$h" 60 "for n in $1 $1--incoming $1--migratedaway; do
            xl domid \$n >/dev/null 2>&1 && xl destroy \$n; done; true"
    done
    rm -f "$STATE/guest.$1" "$STATE/period.$1"
}

cmd_guest() {
    local verb=${1-help} g
    [ "$verb" = help ] || lab_must_be_up
    [ $# = 0 ] || shift
    case $verb in
    start)
        [ $# -ge 2 ] || die "usage: lab guest start a|b NAME (lab guest help)"
        guest_start "$@"
        ;;
    cmd)
        [ $# -ge 2 ] || die "usage: lab guest cmd NAME WORDS"
        guest_cmd "$@"
        ;;
    stop | where | seen | wait)
        [ $# -ge 1 ] || die "usage: lab guest $verb NAME"
        "guest_$verb" "$@"
        ;;
    list)
        for g in "$STATE"/guest.*; do
            [ ! -e "$g" ] || echo "${g##*/guest.} $(guest_where "${g##*/guest.}")"
        done
        ;;
    help) guest_help ;;
    *) die "lab guest what? (lab guest help)" ;;
    esac
}
