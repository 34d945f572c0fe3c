/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SKELETON at the source: the bulk channels, and everything the destination needs to build
 * the domain while the guest still runs here. */
#include "libxl-ext/source/move_skeleton.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/source/check_hvm.h"
#include "libxl-ext/source/move_disks.h"
#include "libxl-ext/source/move_link.h"
#include "libxl-ext/source/move_pci.h"
#include "libxl-ext/source/move_status.h"
#include "libxl-ext/source/move_tick.h"
#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/guest_size.h"
#include "libxl-ext/xen/static_state.h"
#include "pages/pack.h"
#include "transport/times.h"

#define PINGS 5

/* The parts of the skeleton message that are blobs, in the order of the wire. */
struct parts {
    void *cpuid, *msrs, *context;
};

static int gather(struct xf_move *m, struct xf_skeleton *k, struct parts *p, struct xf_err *err)
{
    uint64_t pages;

    k->xen_major = m->check.hello.xen_major;
    k->xen_minor = m->check.hello.xen_minor;
    k->config_len = (uint32_t)strlen(m->check.config_json) + 1;
    k->nr_gfns = m->skeleton.xen.vm.nr_gfns;
    if (m->skeleton.xen.vm.ops->population(&m->skeleton.xen.vm, &pages, err) ||
        xf_read_policy(m->xch, m->domid, &p->cpuid, &k->cpuid_len, &p->msrs, &k->msr_len, err) ||
        m->check.kind->skeleton(&m->skeleton.xen.vm, k, &p->context, err))
        return -1;
    k->nr_pages = pages;
    m->report->guest_pages = pages;
    return 0;
}

static int send_skeleton(struct xf_move *m, const struct xf_skeleton *k, const struct parts *p,
                         struct xf_err *err)
{
    struct iovec iov[4] = {
        {.iov_base = m->check.config_json, .iov_len = k->config_len},
        {.iov_base = p->cpuid, .iov_len = k->cpuid_len},
        {.iov_base = p->msrs, .iov_len = k->msr_len},
        {.iov_base = p->context, .iov_len = k->ctx_len},
    };
    struct xf_msg msg = {.type = XF_MSG_SKELETON};
    uint8_t meta[XF_META_MAX];
    size_t len = 0;

    for (int i = 0; i < 4; i++)
        len += iov[i].iov_len;
    if (len > XF_PAYLOAD_MAX)
        return xf_fail(err, EMSGSIZE, "the domain's state (%zu bytes) is larger than a message",
                       len);
    msg.payload_len = (uint32_t)len;
    msg.meta_len = (uint32_t)xf_skeleton_encode(k, meta);
    return m->link.ops->send(m->link.control, &msg, meta, iov, 4, err);
}

int xf_move_wait_for(struct xf_move *m, uint16_t type, int timeout_ms, struct xf_msg *msg,
                     uint8_t *meta, struct xf_err *err)
{
    double until = xf_now() + timeout_ms / 1000.0;
    int rc;

    while ((rc = xf_link_hear(&m->link, type, msg, meta, 50, err)) == XF_AGAIN) {
        if (xf_copy_tick(&m->copy, err))
            return -1;
        if (xf_now() > until)
            return xf_fail(err, ETIMEDOUT, "the destination did not %s in time",
                           type == XF_MSG_BUILT    ? "build the domain"
                           : type == XF_MSG_LOADED ? "attach the guest's devices"
                                                   : "answer");
    }
    return rc;
}

/* Wait until the domain is built there. If pages were to be absent and cannot be, report why. */
static int wait_built(struct xf_move *m, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    char why[XF_TEXT_MAX];
    struct xf_msg msg;
    int num;

    if (xf_move_wait_for(m, XF_MSG_BUILT, XF_BUILT_MS, &msg, meta, err) ||
        xf_built_decode(&m->skeleton.copy_domid, &num, why, &msg, meta, err))
        return -1;
    if (!m->pull.possible || !why[0])
        return 0;
    m->pull.possible = false;
    if (m->o->mode == XF_MODE_POSTCOPY)
        return xf_fail(err, num ? num : ENOTSUP, "the destination cannot do post-copy: %s", why);
    xf_move_note(m, "pre-copy only: %s", why);
    return 0;
}

/* Prepare the guest's side of COPY while the destination builds. */
static int begin_copy(struct xf_move *m, struct xf_err *err)
{
    struct xf_copy *c = &m->copy;

    c->vm = &m->skeleton.xen.vm;
    c->link = &m->link;
    c->compress = (struct xf_compress_opts){.asked = m->o->compress,
                                            .can = m->check.reply.codecs & xf_pack_codecs()};
    c->tick = (struct xf_tick){xf_move_tick, m};
    c->priv = m;
    if (m->o->reconnect_s)
        c->relink = xf_move_relink;
    return xf_copy_begin(c, err);
}

/* The best of a few round trips: SWITCH will cost two. */
static int measure_rtt(struct xf_move *m, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg msg;

    m->skeleton.rtt_s = 1;
    for (int i = 0; i < PINGS; i++) {
        double began = xf_now();

        if (xf_link_say(&m->link, XF_MSG_PING, NULL, 0, err) ||
            xf_move_wait_for(m, XF_MSG_PONG, 10000, &msg, meta, err))
            return -1;
        if (xf_now() - began < m->skeleton.rtt_s)
            m->skeleton.rtt_s = xf_now() - began;
    }
    return 0;
}

int xf_move_skeleton(struct xf_move *m, struct xf_err *err)
{
    struct xf_skeleton *k = calloc(1, sizeof(*k));
    struct parts p = {0};
    int rc = -1;

    if (!k)
        return xf_fail(err, ENOMEM, "out of memory");
    if (xf_move_connect_bulk(m, err) || xf_move_unplug(m, (struct xf_tick){xf_move_tick, m}, err) ||
        xf_xen_source_open(&m->skeleton.xen, m->ctx, &m->log, m->domid, m->check.kind, err))
        goto out;
    m->skeleton.open = true;
    xf_move_disks_hook(m);
    m->skeleton.xen.disks = &m->check.disks;
    if (m->check.hello.late_devices)
        m->skeleton.xen.flush_ms = XF_DISKS_MS;
    xf_hvm_ram(&m->check.config.b_info, &m->skeleton.xen.ram_low, &m->skeleton.xen.ram_end);
    m->skeleton.xen.keep_paused = m->check.paused;
    m->skeleton.xen.restricted = xf_check_restricted(&m->check.config);
    m->skeleton.xen.early = !m->check.hello.late_devices;
    if (gather(m, k, &p, err) || send_skeleton(m, k, &p, err) || begin_copy(m, err) ||
        xf_qdisks_flush_begin(&m->check.disks, err) || wait_built(m, err) || measure_rtt(m, err))
        goto out;
    rc = 0;
out:
    free(p.cpuid);
    free(p.msrs);
    free(p.context);
    free(k);
    return rc;
}
