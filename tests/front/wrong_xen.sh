#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A build on a Xen of another release: each command that asks Xen says so in one sentence, which names the
# remedy, and does nothing. Xen is made up.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

fake "$work/bin/xl" <<'EOS'
echo "real $*" >>"${0%/bin/xl}/called"
EOS
fake "$work/bin/ssh" <<'EOS'
echo "ssh $*" >>"${0%/bin/ssh}/called"
EOS
export PATH=$work/bin:$PATH XENFERRY_RUN_DIR=$work/run
cat >"$work/xen.c" <<'EOC'
#include <libxl.h>
#include <xenctrl.h>
extern char **environ;
int libxl_ctx_alloc(libxl_ctx **ctx, int version, unsigned flags, xentoollog_logger *log)
{
    (void)version, (void)flags, (void)log;
    *ctx = (libxl_ctx *)environ;
    return 0;
}
int libxl_ctx_free(libxl_ctx *ctx) { return ctx == NULL; }
int libxl_domain_qualifier_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    (void)ctx, (void)name, (void)domid;
    return ERROR_FAIL;
}
libxl_dominfo *libxl_list_domain(libxl_ctx *ctx, int *n)
{
    (void)ctx, (void)n;
    return NULL;
}
xc_interface *xc_interface_open(xentoollog_logger *a, xentoollog_logger *b, unsigned flags)
{
    (void)a, (void)b, (void)flags;
    return (xc_interface *)environ;
}
int xc_interface_close(xc_interface *xch) { return xch == NULL; }
int xc_version(xc_interface *xch, int cmd, void *arg)
{
    (void)xch, (void)cmd, (void)arg;
    return 4 << 16 | 99;
}
EOC
cc -shared -fPIC -D__XEN_TOOLS__ -o "$work/xen.so" "$work/xen.c" || exit 1

release=$("$XL" migrate --version | sed 's/.* Xen //')
says="this is Xenferry for Xen $release, but Xen 4.99 runs here: install Xenferry for Xen 4.99"
elsewhere() { # WORDS...
    local out rc said
    out=$(LD_PRELOAD=$work/xen.so "$XL" "$@" 2>"$work/err")
    rc=$?
    same "$*: status" 1 $rc
    same "$*: output" "" "$out"
    said=$(tr -s ' \n' ' ' <"$work/err") # a report's lines are wrapped
    contains "$*" "xl $1: $says " "$said"
    case ${said#*"$says"} in ' ' | ' xl '*' g1 was not touched: it is as before. ') ;; *) fail "$*: more: $said" ;; esac
}
elsewhere migrate --tcp --quiet g1 host2
elsewhere migrate --check --quiet g1 host2
elsewhere migrate-recover --quiet g1 host2
elsewhere migrate-recover --resume g1
elsewhere migrate-drain --to host2
elsewhere migrate-cpu
elsewhere migrate-cpu host2
elsewhere disk-move g1 xvda "$work"
[ ! -e "$work/called" ] || fail "$(cat "$work/called")"
finish
