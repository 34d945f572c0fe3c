/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a domain's configuration requires of its host: see needs.h. */
#include "libxl-ext/peer/needs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/text.h"

struct listing {
    struct xf_need *list;
    unsigned n, left_out;
};

const char *xf_need_word(enum xf_need_kind kind)
{
    static const char *const words[XF_NEEDS] = {
        [XF_NEED_DISK] = "disk", [XF_NEED_BRIDGE] = "bridge",   [XF_NEED_SCRIPT] = "script",
        [XF_NEED_BOOT] = "boot", [XF_NEED_BACKEND] = "backend", [XF_NEED_START] = "start",
        [XF_NEED_USER] = "user",
    };

    return kind < XF_NEEDS ? words[kind] : NULL;
}

static void need(struct listing *l, enum xf_need_kind kind, const char *what, const char *of)
{
    struct xf_need *x = &l->list[l->n];

    if (!what || !what[0])
        return;
    if (l->n == XF_NEEDS_MAX || strlen(what) >= sizeof(x->what) || strlen(of) >= sizeof(x->of) ||
        !xf_text_is_clean(what, strlen(what)) || !xf_text_is_clean(of, strlen(of))) {
        l->left_out++;
        return;
    }
    x->kind = kind;
    snprintf(x->what, sizeof(x->what), "%s", what);
    snprintf(x->of, sizeof(x->of), "%s", of);
    l->n++;
}

static void needs_of_disk(struct listing *l, const libxl_device_disk *d)
{
    char of[64];

    snprintf(of, sizeof(of), "disk %.40s", d->vdev ? d->vdev : "?");
    /* A driver domain's needs are not this host's. */
    if (d->backend_domid || d->backend_domname) {
        need(l, XF_NEED_BACKEND, d->backend_domname, of);
        return;
    }
    /* With its own script the target may be anything. */
    if (d->script && d->script[0])
        need(l, XF_NEED_SCRIPT, d->script, of);
    else if (d->format != LIBXL_DISK_FORMAT_EMPTY)
        need(l, XF_NEED_DISK, d->pdev_path, of);
}

static void needs_of_nic(struct listing *l, const libxl_device_nic *nic, int i)
{
    const char *script = nic->script ? nic->script : "vif-bridge";
    const char *base = strrchr(script, '/');
    char of[64];

    snprintf(of, sizeof(of), "network interface %d", nic->devid >= 0 ? nic->devid : i);
    if (nic->backend_domid || nic->backend_domname) {
        need(l, XF_NEED_BACKEND, nic->backend_domname, of);
        return;
    }
    need(l, XF_NEED_SCRIPT, script, of);
    /* Other scripts (vif-route, vif-openvswitch) interpret the bridge differently. */
    if (!strcmp(base ? base + 1 : script, "vif-bridge"))
        need(l, XF_NEED_BRIDGE, nic->bridge, of);
}

/* For the first reboot after the move; QEMU also reads a kernel and its ramdisk when it starts. */
static void needs_to_boot(struct listing *l, const libxl_domain_build_info *b)
{
    const char *const files[][2] = {
        {b->kernel, "kernel"}, {b->ramdisk, "ramdisk"}, {b->bootloader, "bootloader"}};

    bool at_start = b->type == LIBXL_DOMAIN_TYPE_HVM;

    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (files[i][0] && files[i][0][0] == '/') /* else libxl searches its own directories */
            need(l, at_start ? XF_NEED_START : XF_NEED_BOOT, files[i][0], files[i][1]);
}

static void needs_of_model(struct listing *l, const libxl_domain_build_info *b)
{
    if (b->type != LIBXL_DOMAIN_TYPE_HVM)
        return;
    if (b->device_model_user)
        need(l, XF_NEED_USER, b->device_model_user, "device_model_user=");
    else if (!libxl_defbool_is_default(b->dm_restrict) && libxl_defbool_val(b->dm_restrict))
        need(l, XF_NEED_USER, XF_QEMU_RANGE, "dm_restrict=1");
}

int xf_needs_of(const libxl_domain_config *config, struct xf_need **list, unsigned *n,
                struct xf_findings *f, struct xf_err *err)
{
    struct listing l = {.list = calloc(XF_NEEDS_MAX + 1, sizeof(*l.list))};

    if (!l.list)
        return xf_fail(err, ENOMEM, "out of memory");
    for (int i = 0; i < config->num_disks; i++)
        needs_of_disk(&l, &config->disks[i]);
    for (int i = 0; i < config->num_nics; i++)
        needs_of_nic(&l, &config->nics[i], i);
    needs_to_boot(&l, &config->b_info);
    needs_of_model(&l, &config->b_info);
    if (l.left_out)
        xf_find(f, XF_WARNING, "not-looked-for",
                "%u files, bridges or scripts that the guest needs were not looked for at the "
                "destination: there are more than %u, or their names are too long",
                l.left_out, XF_NEEDS_MAX);
    *list = l.list;
    *n = l.n;
    return 0;
}
