/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CHECK at the destination: does this host have what the domain's configuration requires? See
 * needs.h. The names come from the peer, so they are only looked up, never opened or run.
 */
#include "libxl-ext/peer/needs.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libxl_utils.h>

const struct xf_host_paths xf_host_paths = {.scripts = "/etc/xen/scripts", .net = "/sys/class/net"};

/* Resolve a name as libxl does: a relative one within a directory. */
static void locate(char path[PATH_MAX], const char *dir, const char *name)
{
    if (name[0] == '/')
        snprintf(path, PATH_MAX, "%s", name);
    else
        snprintf(path, PATH_MAX, "%s/%s", dir, name);
}

static void check_disk(const struct xf_need *x, struct xf_findings *f)
{
    char path[PATH_MAX];
    struct stat st;

    locate(path, "/dev", x->what);
    if (stat(path, &st))
        xf_find(f, XF_REFUSAL, "disk-missing",
                "%s: \"%s\" cannot be found there (%s); make the same storage available on both "
                "hosts",
                x->of, x->what, strerror(errno));
    else if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
        xf_find(f, XF_REFUSAL, "disk-missing",
                "%s: \"%s\" is neither a file nor a block device there; make the same storage "
                "available on both hosts",
                x->of, x->what);
}

/* xen-utils' vif-bridge accepts ethN for xenbrN if ethN is the bridge. */
static bool bridge_is_here(const struct xf_host_paths *paths, const char *name)
{
    static const char old[] = "xenbr";
    char path[PATH_MAX];

    if (strlen(name) >= IFNAMSIZ || strchr(name, '/') || name[0] == '.')
        return false;
    snprintf(path, sizeof(path), "%s/%s", paths->net, name);
    if (!access(path, F_OK))
        return true;
    if (strncmp(name, old, sizeof(old) - 1))
        return false;
    snprintf(path, sizeof(path), "%s/eth%s/bridge", paths->net, name + sizeof(old) - 1);
    return !access(path, F_OK);
}

static void check_script(const struct xf_host_paths *paths, const struct xf_need *x,
                         struct xf_findings *f)
{
    char path[PATH_MAX];
    struct stat st;

    locate(path, paths->scripts, x->what);
    if (stat(path, &st) || !S_ISREG(st.st_mode) || access(path, X_OK))
        xf_find(f, XF_REFUSAL, "script-missing",
                "%s: the hotplug script \"%s\" does not exist there, or cannot be run; install it "
                "there",
                x->of, x->what);
}

static void check_start(const struct xf_need *x, struct xf_findings *f)
{
    if (access(x->what, R_OK))
        xf_find(f, XF_REFUSAL, "kernel-missing",
                "the %s \"%s\" does not exist there, and the guest's device model reads it when it "
                "starts; copy it",
                x->of, x->what);
}

static void check_boot(const struct xf_need *x, struct xf_findings *f)
{
    if (access(x->what, R_OK))
        xf_find(f, XF_WARNING, "kernel-missing",
                "the %s \"%s\" does not exist there: the guest can be moved, but not booted there "
                "again; copy it",
                x->of, x->what);
}

static void check_user(const struct xf_need *x, struct xf_findings *f)
{
    if (!getpwnam(x->what) && (strcmp(x->what, XF_QEMU_RANGE) != 0 || !getpwnam(XF_QEMU_SHARED)))
        xf_find(f, XF_REFUSAL, "user-missing",
                "there is no user \"%s\" there, as whom the guest's device model is to run (%s); "
                "create it: useradd --system %s",
                x->what, x->of, x->what);
}

void xf_check_needs(libxl_ctx *ctx, const struct xf_host_paths *paths, const struct xf_need *list,
                    unsigned n, struct xf_findings *f)
{
    uint32_t domid;

    for (unsigned i = 0; i < n; i++) {
        const struct xf_need *x = &list[i];

        switch (x->kind) {
        case XF_NEED_DISK:
            check_disk(x, f);
            break;
        case XF_NEED_BRIDGE:
            if (!bridge_is_here(paths, x->what))
                xf_find(f, XF_REFUSAL, "bridge-missing",
                        "%s: there is no bridge \"%s\" there; create it, or name another one in a "
                        "configuration for the destination (-C)",
                        x->of, x->what);
            break;
        case XF_NEED_SCRIPT:
            check_script(paths, x, f);
            break;
        case XF_NEED_BOOT:
            check_boot(x, f);
            break;
        case XF_NEED_BACKEND:
            if (libxl_name_to_domid(ctx, x->what, &domid))
                xf_find(f, XF_REFUSAL, "backend-missing",
                        "%s: its backend domain \"%s\" does not run there; start it there", x->of,
                        x->what);
            break;
        case XF_NEED_START:
            check_start(x, f);
            break;
        case XF_NEED_USER:
            check_user(x, f);
            break;
        case XF_NEEDS:
            break;
        }
    }
}
