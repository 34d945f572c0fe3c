/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PCI devices of a guest that moves: see move_pci.h. */
#include "libxl-ext/source/move_pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/source/move_status.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/pci.h"
#include "transport/clock.h"
#include "transport/times.h"

#define HEAR_MS 100

/* --- CHECK --- */

/* The guest's own would be attached by the stock xl there, ahead. */
static void strip(libxl_domain_config *config)
{
    for (int i = 0; i < config->num_pcidevs; i++)
        libxl_device_pci_dispose(&config->pcidevs[i]);
    free(config->pcidevs);
    config->pcidevs = NULL;
    config->num_pcidevs = 0;
}

/* What stands for this device at the destination; "": nothing. */
static const char *stands_for(const struct xf_move_opts *o, const char *here)
{
    for (unsigned i = 0; i < o->nr_pci; i++)
        if (!strcmp(o->pci[i].here, here))
            return o->pci[i].there;
    return o->pci_none ? "" : here;
}

static void look_at_one(struct xf_move *m, const libxl_device_pci *d, struct xf_findings *found)
{
    struct xf_hello *h = &m->check.hello;
    struct xf_pci_wish *w = &h->pci[h->nr_pci];
    char here[XF_PCI_ADDR];
    const char *there;

    xf_pci_name(d, here);
    there = stands_for(m->o, here);
    if (!there[0]) {
        xf_find(found, XF_INFO, "passthrough",
                "PCI device %s is detached from the guest, and none is attached there in its place",
                here);
        return;
    }
    for (unsigned i = 0; i < h->nr_pci; i++)
        if (!strcmp(h->pci[i].addr, there))
            xf_find(found, XF_REFUSAL, "passthrough",
                    "PCI device %s of the destination would stand for both %s and %s; name another "
                    "one, or none (--detach-pci=%s=none)",
                    there, h->pci[i].of, here, here);
    xf_find(found, XF_INFO, "passthrough",
            "PCI device %s is detached from the guest, and %s of the destination attached when it "
            "runs there",
            here, there);
    *w = (struct xf_pci_wish){.permissive = d->permissive,
                              .relaxed = d->rdm_policy == LIBXL_RDM_RESERVE_POLICY_RELAXED};
    snprintf(w->addr, sizeof(w->addr), "%s", there);
    snprintf(w->of, sizeof(w->of), "%s", here);
    h->nr_pci++;
}

/*
 * The copy is to have an IOMMU although no device is attached to it yet: libxl derives that from
 * the devices in the configuration, and Xen "assigns" a device to a domain without one by doing
 * nothing. libxl refuses an IOMMU for a domain with populate-on-demand, as it sees one in this
 * configuration.
 */
static void want_iommu(libxl_domain_config *config, struct xf_findings *found)
{
    libxl_passthrough *p = &config->c_info.passthrough;
    const libxl_domain_build_info *b = &config->b_info;

    if (*p == LIBXL_PASSTHROUGH_DEFAULT || *p == LIBXL_PASSTHROUGH_DISABLED)
        *p = LIBXL_PASSTHROUGH_ENABLED;
    if (config->c_info.type == LIBXL_DOMAIN_TYPE_HVM && b->max_memkb != LIBXL_MEMKB_DEFAULT &&
        b->target_memkb < b->max_memkb)
        xf_find(found, XF_REFUSAL, "passthrough",
                "the guest has %llu of at most %llu MiB, and a guest with less than its maximum "
                "cannot be built there for PCI devices; give it all by `xl mem-set`, or use "
                "--detach-pci=none",
                (unsigned long long)(b->target_memkb >> 10),
                (unsigned long long)(b->max_memkb >> 10));
}

static void check_named(const struct xf_move *m, struct xf_findings *found)
{
    for (unsigned i = 0; i < m->o->nr_pci; i++)
        if (!xf_pci_listed(m->pci.list, m->pci.nr, m->o->pci[i].here))
            xf_find(found, XF_REFUSAL, "passthrough",
                    "the guest has no PCI device %s, which --detach-pci names; `xl pci-list %s` "
                    "shows those it has",
                    m->o->pci[i].here, m->name);
}

void xf_move_pci_look(struct xf_move *m, struct xf_findings *found)
{
    libxl_domain_config *config = &m->check.config;

    m->pci.list = libxl_device_pci_list(m->ctx, m->domid, &m->pci.nr);
    if (!m->o->detach_pci) {
        if (m->pci.nr || config->num_pcidevs)
            xf_find(found, XF_REFUSAL, "passthrough",
                    "a PCI device is passed through to the guest; --detach-pci moves the guest "
                    "without it, or detach it yourself (`xl pci-detach`)");
        return;
    }
    strip(config);
    check_named(m, found);
    if (m->pci.nr > (int)XF_PCI_MAX) {
        xf_find(found, XF_REFUSAL, "passthrough",
                "the guest has %d PCI devices, more than the %u that --detach-pci can move; detach "
                "some yourself (`xl pci-detach`)",
                m->pci.nr, XF_PCI_MAX);
        return;
    }
    for (int i = 0; i < m->pci.nr; i++)
        look_at_one(m, &m->pci.list[i], found);
    if (m->check.hello.nr_pci)
        want_iommu(config, found);
    if (!m->pci.nr)
        xf_find(found, XF_INFO, "passthrough", "the guest has no PCI device to detach");
    else if (xf_xen_here(m->xch, m->domid) == XF_HERE_PAUSED)
        xf_find(found, XF_REFUSAL, "passthrough",
                "the guest is paused and cannot release its PCI devices; `xl unpause` it");
}

/* --- the move --- */

int xf_move_unplug(struct xf_move *m, struct xf_tick tick, struct xf_err *err)
{
    if (!m->o->detach_pci)
        return 0;
    for (int i = 0; i < m->pci.nr; i++) {
        char name[XF_PCI_ADDR];

        xf_pci_name(&m->pci.list[i], name);
        xf_move_note(m, "the guest is asked to release PCI device %s", name);
        if (xf_pci_detach(m->ctx, &m->log, m->domid, &m->pci.list[i], tick, err))
            return -1;
        m->pci.detached |= 1u << i;
        if (xf_tick(tick, err))
            return -1;
    }
    return 0;
}

void xf_move_replug(struct xf_move *m)
{
    for (int i = 0; i < m->pci.nr && i < (int)XF_PCI_MAX; i++) {
        struct xf_err why = {0};
        char name[XF_PCI_ADDR];

        if (!(m->pci.detached & 1u << i))
            continue;
        xf_pci_name(&m->pci.list[i], name);
        if (!xf_here_lives(m->report->here)) {
            if (m->report->here == XF_HERE_SUSPENDED)
                xf_move_note(m,
                             "PCI device %s was detached from the guest; once it runs again, `xl "
                             "pci-attach %s %s`",
                             name, m->name, name);
        } else if (xf_pci_attach(m->ctx, &m->log, m->domid, &m->pci.list[i], &why)) {
            xf_move_note(m,
                         "the guest has released PCI device %s, and has not got it back: %s; `xl "
                         "pci-attach %s %s` tries again",
                         name, why.text, m->name, name);
        } else {
            m->pci.detached &= ~(1u << i);
            xf_move_note(m, "PCI device %s is attached to the guest again", name);
        }
    }
}

/* --- after GO --- */

static int hear(struct xf_move *m, struct xf_err *err)
{
    int64_t until = xf_now_ms() + (int64_t)m->check.hello.nr_pci * XF_PLUGGED_MS;
    uint8_t meta[XF_META_MAX];
    char why[XF_TEXT_MAX];
    struct xf_msg msg;
    int rc, num;

    while ((rc = xf_link_hear(&m->link, XF_MSG_PLUGGED, &msg, meta, HEAR_MS, err)) == XF_AGAIN) {
        xf_move_show(m);
        if (m->o->cancel && *m->o->cancel > 0)
            return xf_fail(err, ECANCELED, "interrupted");
        if (xf_now_ms() > until)
            return xf_fail(err, ETIMEDOUT, "the destination did not say so in time");
    }
    if (rc || xf_text_decode(&num, why, &msg, meta, err))
        return -1;
    return num ? xf_fail(err, num, "%s", why) : 0;
}

enum xf_outcome xf_move_plugged(struct xf_move *m, struct xf_err *err)
{
    struct xf_err why = {0};

    if (!m->check.hello.nr_pci)
        return XF_MOVED;
    if (!hear(m, &why)) {
        xf_move_note(m, "the guest has the PCI devices of the destination");
        return XF_MOVED;
    }
    xf_fail(
        err, why.num,
        "the guest runs at the destination, but not known to have all PCI devices that it was to "
        "get there: %s",
        why.text);
    return XF_UNPLUGGED;
}
