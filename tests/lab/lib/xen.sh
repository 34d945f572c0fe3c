# SPDX-License-Identifier: LGPL-2.1-or-later
# The two hypervisors of a suite, both as QEMU's multiboot loader wants them (ELF32). Each is an item of
# its own, since some mirrors have no source of trixie's Xen.
#   xen-debian  Debian's own binary: no memory paging
#   xen-paging  the same source with memory paging and shadow paging

XEN_EXTRA_CONFIG='CONFIG_EXPERT=y CONFIG_UNSUPPORTED=y CONFIG_MEM_PAGING=y
CONFIG_SHADOW_PAGING=y'

xen_key() { { cat "$LAB/lib/xen.sh" "$LAB/lib/apt.sh"; echo "$SUITE"; } | key_of; }

# hyp_name debian|paging: of the item; hyp_item prints the directory that has the file xen-debian or xen-paging.
hyp_name() { [ "$1" = debian ] && of_name xen-debian || of_name xen; }
hyp_item() { cache_get "$(hyp_name "$1")" "$(xen_key)" "xen_build_$1"; }

# Debian's binary and configuration, in work/deb.
xen_fetch() { # OUT
    local out=$1 work=$1/work opts package
    package=xen-hypervisor-$(xen_release)-amd64
    mkdir "$work"
    progress_mark 1/3 "package lists"
    apt_setup "$work/apt"
    opts=$(apt_opts "$work/apt")
    cd "$work"
    timeout 180 apt-get $opts -q download "$package/$SUITE"
    dpkg -x ./"$package"_*.deb deb
}

# The multiboot loader takes nothing else.
xen_is_elf32() { # FILE
    [ "$(head -c5 "$1" | od -An -tx1 | tr -d ' ')" = 7f454c4601 ] || {
        echo "$1 is not ELF32"
        exit 1
    }
}

xen_build_debian() {
    local out=$1 work=$1/work
    xen_fetch "$out"
    zcat "deb/boot/xen-$(xen_release)-amd64.gz" >"$out/xen-debian"
    xen_is_elf32 "$out/xen-debian"
    ls -1 ./*.deb >"$out/VERSIONS"
    cd "$out"
    rm -rf "$work"
}

xen_build_paging() {
    local out=$1 work=$1/work
    xen_fetch "$out"
    progress_mark 2/3 source
    timeout 180 apt-get $(apt_opts "$work/apt") -q source "xen/$SUITE" || {
        echo "this mirror has no source of Xen $(xen_release); take --hyp-a, --hyp-b debian"
        exit 1
    }
    cd "xen-$(xen_release)"*/
    cp "$work/deb/boot/xen-$(xen_release)-amd64.config" xen/.config
    printf '%s\n' $XEN_EXTRA_CONFIG >>xen/.config
    timeout 60 make -C xen olddefconfig
    grep -qx CONFIG_MEM_PAGING=y xen/.config
    progress_mark 3/3 compiling
    timeout 900 make -C xen -j2 build
    cp xen/xen "$out/xen-paging"
    cp xen/.config "$out/xen-paging.config"
    (cd "$work" && ls -1 ./*.dsc ./*.deb) >"$out/VERSIONS"
    xen_is_elf32 "$out/xen-paging"
    cd "$out"
    rm -rf "$work"
}
