# SPDX-License-Identifier: LGPL-2.1-or-later
# The two hypervisors, both as QEMU's multiboot loader wants them (ELF32):
#   xen-debian  Debian's own binary: no memory paging
#   xen-paging  the same source with memory paging and shadow paging

XEN_EXTRA_CONFIG='CONFIG_EXPERT=y CONFIG_UNSUPPORTED=y CONFIG_MEM_PAGING=y
CONFIG_SHADOW_PAGING=y'
XEN_PACKAGE=xen-hypervisor-4.17-amd64

xen_key() { { cat "$LAB/lib/xen.sh" "$LAB/lib/apt.sh"; echo "$SUITE"; } | key_of; }

xen_item() { cache_get xen "$(xen_key)" xen_build; }

xen_build() {
    local out=$1 work=$1/work opts
    mkdir "$work"
    progress_mark 1/3 "package lists"
    apt_setup "$work/apt"
    opts=$(apt_opts "$work/apt")
    cd "$work"
    progress_mark 2/3 source
    timeout 180 apt-get $opts -q download "$XEN_PACKAGE/$SUITE"
    timeout 180 apt-get $opts -q source "xen/$SUITE"
    dpkg -x ./"$XEN_PACKAGE"_*.deb deb
    zcat deb/boot/xen-4.17-amd64.gz >"$out/xen-debian"

    cd xen-4.17*/
    cp "$work/deb/boot/xen-4.17-amd64.config" xen/.config
    printf '%s\n' $XEN_EXTRA_CONFIG >>xen/.config
    timeout 60 make -C xen olddefconfig
    grep -qx CONFIG_MEM_PAGING=y xen/.config
    progress_mark 3/3 compiling
    timeout 900 make -C xen -j2 build
    cp xen/xen "$out/xen-paging"
    cp xen/.config "$out/xen-paging.config"
    (cd "$work" && ls -1 ./*.dsc ./*.deb) >"$out/VERSIONS"
    for f in xen-debian xen-paging; do
        [ "$(head -c5 "$out/$f" | od -An -tx1 | tr -d ' ')" = 7f454c4601 ] || {
            echo "$f is not ELF32"
            exit 1
        }
    done
    cd "$out"
    rm -rf "$work"
}
