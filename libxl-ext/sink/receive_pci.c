/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI devices for a guest that runs here now (--detach-pci at the source). CHECK has found them
 * assignable; meanwhile another guest may have got them. See receive_parts.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libxl-ext/sink/receive_parts.h"
#include "libxl-ext/xen/pci.h"

static int plug(struct sink *s, const struct xf_pci_wish *w, struct xf_err *err)
{
    struct xf_pci_parts p;
    libxl_device_pci d;
    int rc;

    xf_pci_parse(w->addr, &p); /* as the hello's parser has */
    libxl_device_pci_init(&d);
    d.domain = (int)p.domain;
    d.bus = (uint8_t)p.bus;
    d.dev = (uint8_t)p.dev;
    d.func = (uint8_t)p.func;
    d.permissive = w->permissive;
    if (w->relaxed)
        d.rdm_policy = LIBXL_RDM_RESERVE_POLICY_RELAXED;
    rc = xf_pci_attach(s->ctx, &s->log, s->xen.domid, &d, err);
    libxl_device_pci_dispose(&d);
    return rc;
}

int xf_sink_plug(struct sink *s, struct xf_err *err)
{
    const struct xf_hello *h = &s->check.hello;
    uint8_t meta[XF_TEXT_MAX + 64];
    struct xf_err all = {0};

    if (!h->nr_pci)
        return 0;
    for (unsigned i = 0; i < h->nr_pci; i++) {
        struct xf_err why = {0};

        if (plug(s, &h->pci[i], &why))
            xf_fail(&all, why.num, "%s", why.text); /* the first one counts */
    }
    if (s->link.control)
        xf_link_say(&s->link, XF_MSG_PLUGGED, meta, xf_text_encode(all.num, all.text, meta), NULL);
    return all.num ? xf_fail(err, all.num, "the guest runs here, but %s", all.text) : 0;
}
