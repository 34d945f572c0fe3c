/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks that move with their guest, from DISKS to GO: see move_disks.h. */
#include "libxl-ext/source/move_disks.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "libxl-ext/source/move_link.h"
#include "libxl-ext/source/move_status.h"
#include "libxl-ext/source/move_tick.h"
#include "libxl-ext/xen/guest_kind.h"
#include "precopy/hold.h"
#include "transport/clock.h"
#include "transport/times.h"

#define STEP_MS 50
#define PING_S 2.0
#define MADE_MS 600000 /* an image with all its blocks takes a while on some file systems */

/* An answer of the control channel, while the guest runs. */
static int wait_for(struct xf_move *m, uint16_t type, int timeout_ms, const char *what,
                    struct xf_err *err)
{
    int64_t until = xf_now_ms() + timeout_ms;
    uint8_t meta[XF_META_MAX];
    struct xf_msg msg;
    int rc;

    while ((rc = xf_link_hear(&m->link, type, &msg, meta, STEP_MS, err)) == XF_AGAIN) {
        if (xf_move_tick(m, err))
            return -1;
        if (xf_now_ms() > until)
            return xf_fail_link(err, ETIMEDOUT, "the destination did not %s in time", what);
    }
    return rc;
}

/* What each wait of DISKS does: the tick looks at the copies, and the destination hears of us. */
static int disks_tick(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;

    if (xf_move_tick(m, err))
        return -1;
    if (xf_now() - m->disks.pinged < PING_S)
        return 0;
    m->disks.pinged = xf_now();
    return xf_link_say(&m->link, XF_MSG_PING, NULL, 0, err) ||
                   wait_for(m, XF_MSG_PONG, XF_SOURCE_STALL_MS, "answer", err)
               ? -1
               : 0;
}

static int begin_one(struct xf_move *m, unsigned i, struct xf_err *err)
{
    unsigned each = m->check.hello.verify_disks ? 2 : 1;
    struct xf_chan *relayed = NULL, *compared = NULL;

    if (xf_move_connect_disk(m, each * i, &relayed, err))
        return -1;
    if (each == 2 && xf_move_connect_disk(m, each * i + 1, &compared, err)) {
        xf_tcp_ops.close(relayed);
        return -1;
    }
    return xf_disk_moving_begin(&m->disks, &m->disks.list[i], m->domid, relayed, compared, err);
}

static int until_ready(struct xf_move *m, struct xf_err *err)
{
    while (!m->disks.all_ready) {
        if (disks_tick(m, err))
            return -1;
        poll(NULL, 0, STEP_MS);
    }
    return 0;
}

static void tell(void *priv, const char *sentence)
{
    xf_move_note(priv, "%s", sentence);
}

int xf_move_disks(struct xf_move *m, struct xf_err *err)
{
    const struct xf_tick tick = {disks_tick, m};

    if (!m->disks.nr)
        return 0;
    m->disks.note = tell;
    m->disks.priv = m;
    m->disks.bandwidth = m->o->disk_bandwidth;
    m->disks.throttle = m->o->throttle_disks;
    /* The destination begins with its part when it has the whole link. */
    if (xf_move_connect_bulk(m, err) ||
        wait_for(m, XF_MSG_DISKS_MADE, MADE_MS, "make the guest's disks", err))
        return -1;
    m->disks.pinged = xf_now();
    for (unsigned i = 0; i < m->disks.nr; i++)
        if (begin_one(m, i, err) || xf_tick(tick, err))
            return -1;
    if (until_ready(m, err) || xf_hold("disks-ready", tick, err))
        return -1;
    for (unsigned i = 0; i < m->disks.nr; i++)
        if (xf_disk_moving_verify(&m->disks.list[i], tick, err))
            return -1;
    return xf_link_say(&m->link, XF_MSG_DISKS_COPIED, NULL, 0, err);
}

/* --- SWITCH --- */

static void on_suspended(void *priv)
{
    xf_disks_moving_drain(&((struct xf_move *)priv)->disks);
}

/* This QEMU gives up its images when its state is saved, so all must be over by then. Its monitor
 * serves one client. */
static int before_state(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;

    xf_qmp_close(&m->skeleton.xen.monitor);
    xf_disks_moving_drain(&m->disks);
    return xf_disks_moving_drained(&m->disks, XF_DISKS_MS, err);
}

void xf_move_disks_hook(struct xf_move *m)
{
    struct xf_xen_source *x = &m->skeleton.xen;

    if (!m->disks.nr)
        return;
    x->priv = m;
    if (m->check.kind->device_model)
        x->before_state = before_state;
    else
        x->on_suspended = on_suspended;
}

int xf_move_disks_settle(struct xf_move *m, struct xf_err *err)
{
    double most = m->o->max_downtime_ms / 1000.0;
    bool told = false;

    while (m->disks.nr && (!m->disks.all_ready || xf_disks_moving_owed_s(&m->disks) > most)) {
        if (!told)
            xf_move_note(m,
                         "the switch waits for the copies of the guest's disks: what they owe "
                         "would take %.1f s",
                         xf_disks_moving_owed_s(&m->disks));
        told = true;
        if (xf_copy_tick(&m->copy, err))
            return -1;
        poll(NULL, 0, STEP_MS);
    }
    return 0;
}

/* The guest stands still: nothing but this is waited for. */
static int ask_done(struct xf_move *m, struct xf_err *err)
{
    int64_t until = xf_now_ms() + XF_DISKS_MS + XF_SOURCE_STALL_MS;
    uint8_t meta[XF_META_MAX];
    struct xf_msg msg;
    int rc;

    if (xf_link_say(&m->link, XF_MSG_DISKS_DRAINED, NULL, 0, err))
        return -1;
    while ((rc = xf_link_hear(&m->link, XF_MSG_DISKS_DONE, &msg, meta, STEP_MS, err)) == XF_AGAIN) {
        if (xf_copy_tick(&m->copy, err))
            return -1;
        if (xf_now_ms() > until)
            return xf_fail_link(err, ETIMEDOUT,
                                "the destination did not write the guest's disks in time");
    }
    return rc;
}

int xf_move_disks_done(struct xf_move *m, struct xf_err *err)
{
    if (!m->disks.nr)
        return 0;
    return xf_disks_moving_drained(&m->disks, XF_DISKS_MS, err) || ask_done(m, err) ||
                   xf_disks_moving_verify_hot(&m->disks, err) ||
                   xf_hold("disks-done", (struct xf_tick){xf_copy_tick, &m->copy}, err)
               ? -1
               : 0;
}
