/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A cold move at the source: see move_cold.h. */
#include "libxl-ext/source/move_cold.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/source/check_hvm.h"
#include "libxl-ext/source/link_rate.h"
#include "libxl-ext/source/move_link.h"
#include "libxl-ext/source/move_pci.h"
#include "libxl-ext/source/move_skeleton.h"
#include "libxl-ext/source/move_status.h"
#include "libxl-ext/source/move_tick.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/guest_kind.h"
#include "precopy/hold.h"
#include "transport/times.h"

#define CHUNK (1u << 20) /* bytes of the stream in one message */
#define SLICE_MS 50
#define PING_S 1
#define DISKS_MS                                                                                   \
    15000 /* to write back disks that QEMU serves; has been under way since the suspend */
#define PROBE_MS 60000 /* for one answer */

/* Called by every wait. The destination hears from us meanwhile, or gives up. */
static int tick(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;
    struct xf_copy_status *st = &m->copy.status;
    double now = xf_now(), took = now - st->round_began;

    if (st->round) {
        st->round_done = m->cold.sent / XF_PAGE_SIZE;
        st->page_rate = took > 0 ? (double)st->round_done / took : 0;
    }
    if (xf_move_tick(m, err))
        return -1;
    if (m->cold.pinged <= 0 || now - m->cold.pinged < PING_S)
        return 0;
    m->cold.pinged = now;
    return xf_link_say(&m->link, XF_MSG_PING, NULL, 0, err);
}

/* --- before the guest is suspended --- */

static int open_guest(struct xf_move *m, struct xf_err *err)
{
    struct xf_xen_source *x = &m->skeleton.xen;
    xc_domaininfo_t info;

    if (xf_xen_source_open_bare(x, m->ctx, &m->log, m->domid, m->check.kind, err))
        return -1;
    m->skeleton.open = true;
    x->keep_paused = m->check.paused;
    x->restricted = xf_check_restricted(&m->check.config);
    if (xf_domain_info(m->xch, m->domid, &info))
        return xf_fail(err, ESRCH, "domain %u is gone", m->domid);
    m->report->guest_pages = info.tot_pages;
    m->copy.vm = &x->vm;
    m->copy.link = &m->link;
    m->copy.tick = (struct xf_tick){tick, m};
    m->copy.priv = m;
    return 0;
}

static int send_config(struct xf_move *m, struct xf_err *err)
{
    struct iovec iov = {.iov_base = m->check.config_json,
                        .iov_len = strlen(m->check.config_json) + 1};
    struct xf_msg msg = {.type = XF_MSG_CONFIG, .payload_len = (uint32_t)iov.iov_len};

    if (iov.iov_len > XF_PAYLOAD_MAX)
        return xf_fail(err, EMSGSIZE, "the domain's configuration (%zu bytes) exceeds a message",
                       iov.iov_len);
    if (m->link.ops->send(m->link.control, &msg, NULL, &iov, 1, err))
        return -1;
    m->cold.pinged = xf_now();
    return 0;
}

static int send_chunk(struct xf_move *m, const struct xf_chunk *c, const void *data, size_t len,
                      struct xf_err *err)
{
    struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
    struct xf_msg msg = {.type = XF_MSG_STREAM, .payload_len = (uint32_t)len};
    uint8_t meta[64];

    msg.meta_len = (uint32_t)xf_chunk_encode(c, meta);
    return m->link.ops->send(m->link.bulk[0], &msg, meta, &iov, len ? 1 : 0, err);
}

static int await_pong(struct xf_move *m, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg msg;

    return xf_move_wait_for(m, XF_MSG_PONG, PROBE_MS, &msg, meta, err);
}

/* Measure the link, by probes that the destination discards. */
static int measure(struct xf_move *m, struct xf_err *err)
{
    const struct xf_chunk c = {.flags = XF_CHUNK_PROBE};
    struct xf_link_rate r = {0};
    void *data = calloc(1, XF_PROBE);
    int rc = 0;

    if (!data)
        return xf_fail(err, ENOMEM, "out of memory");
    do {
        while (!rc && xf_link_rate_more(&r, xf_now())) {
            rc = send_chunk(m, &c, data, XF_PROBE, err);
            r.sent++;
        }
        if (!rc)
            rc = await_pong(m, err);
        if (!rc)
            xf_link_rate_answer(&r, xf_now());
    } while (!rc && (r.answered < r.sent || xf_link_rate_more(&r, xf_now())));
    free(data);
    m->cold.rate = rc ? 0 : xf_link_rate(&r);
    return rc ? -1 : 0;
}

/* A guest that runs meanwhile stands still for the last of libxl's rounds, which is all of its
 * memory at worst. */
static void say_how_long(struct xf_move *m)
{
    double bytes = (double)m->report->guest_pages * XF_PAGE_SIZE;
    double s = bytes / m->cold.rate;

    if (!m->check.live)
        m->copy.status.predicted_s = s;
    xf_move_note(m,
                 "%s will stand still for %s %.*f s, and while its devices are attached "
                 "there: %.0f MiB of memory at %.1f MiB/s, as measured on the link just now",
                 m->check.live ? "the guest runs while its memory is copied; then it" : "the guest",
                 m->check.live ? "at most" : "about", s < 10 ? 1 : 0, s, bytes / (1 << 20),
                 m->cold.rate / (1 << 20));
}

int xf_move_cold_build(struct xf_move *m, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    char why[XF_TEXT_MAX];
    struct xf_msg msg;
    int num;

    snprintf(m->report->mode, sizeof(m->report->mode), "cold");
    if (xf_move_connect_bulk(m, err) || open_guest(m, err))
        return -1;
    /* No thread of its own uses the bulk channel. */
    if (m->link.ops->watch)
        m->link.ops->watch(m->link.bulk[0], (struct xf_tick){tick, m});
    if (send_config(m, err) || xf_qdisks_flush_begin(&m->check.disks, err) ||
        xf_move_wait_for(m, XF_MSG_BUILT, XF_BUILT_MS, &msg, meta, err) ||
        xf_built_decode(&m->skeleton.copy_domid, &num, why, &msg, meta, err) ||
        xf_move_unplug(m, m->copy.tick, err) || measure(m, err))
        return -1;
    say_how_long(m);
    return 0;
}

/* --- the stream --- */

/* Two pieces: one that is full waits for the next to begin, since the last one must not be sent
 * before libxl has finished. */
struct pieces {
    uint8_t *now, *full; /* being filled; waiting, if there is one */
    size_t have;         /* in `now` */
    bool waits;          /* `full` is in use */
};

/* If the destination has anything to say, it is why it gives up. */
static int listen_to_peer(struct xf_move *m, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg msg;
    int rc = xf_link_hear(&m->link, XF_MSG_LOADED, &msg, meta, 0, err);

    if (!rc)
        return xf_fail(err, EPROTO, "the destination has loaded the guest before its end was sent");
    return rc < 0 || xf_copy_tick(&m->copy, err) ? -1 : 0;
}

/* Note when the guest stops, and begin what need not wait for its memory. */
static int look_at_guest(struct xf_move *m, struct xf_err *err)
{
    double at = xf_xen_stream_suspended_at(&m->cold.stream);

    if (at <= 0 || m->copy.times.suspended > 0)
        return 0;
    m->copy.times.suspended = m->copy.times.log_read = at;
    if (m->check.live) {
        m->copy.times.began = at;
        xf_move_phase(m, XF_PHASE_SWITCH);
    }
    xf_qdisks_flush_last(&m->check.disks);
    return xf_hold("suspended", (struct xf_tick){xf_copy_tick, &m->copy}, err);
}

static int send_piece(struct xf_move *m, const void *data, size_t len, bool last,
                      struct xf_err *err)
{
    const struct xf_chunk c = {.offset = m->cold.sent, .flags = last ? XF_CHUNK_LAST : 0};

    if (send_chunk(m, &c, data, len, err))
        return -1;
    m->cold.sent += len;
    return 0;
}

/* What libxl has written. 1: the stream has ended. */
static int take(struct xf_move *m, struct pieces *p, struct xf_err *err)
{
    struct pollfd pf = {.fd = m->cold.stream.fd, .events = POLLIN};
    uint8_t *spare = p->full;
    ssize_t n;

    if (poll(&pf, 1, SLICE_MS) <= 0)
        return 0;
    n = read(pf.fd, p->now + p->have, CHUNK - p->have);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR
                   ? 0
                   : xf_fail(err, errno, "cannot read libxl's stream: %s", strerror(errno));
    if (!n)
        return 1;
    p->have += (size_t)n;
    if (p->have < CHUNK)
        return 0;
    if (p->waits && send_piece(m, p->full, CHUNK, false, err))
        return -1;
    p->full = p->now;
    p->waits = true;
    p->now = spare;
    p->have = 0;
    return 0;
}

/* libxl has finished, everything of the guest's is on its disks, and nobody here holds them: the
 * destination may end. */
static int send_end(struct xf_move *m, const struct pieces *p, struct xf_err *err)
{
    struct xf_source_vm *vm = &m->skeleton.xen.vm;

    if (xf_xen_stream_end(&m->cold.stream, &m->skeleton.xen, err))
        return -1;
    /* If it does not, the destination finds out, and says so. */
    if (m->check.kind && m->check.kind->release_disks)
        m->check.kind->release_disks(vm, NULL);
    if (xf_qdisks_flush_end(&m->check.disks, DISKS_MS, err))
        return -1;
    if (p->waits && send_piece(m, p->full, CHUNK, !p->have, err))
        return -1;
    return p->have || !p->waits ? send_piece(m, p->now, p->have, true, err) : 0;
}

static int transfer(struct xf_move *m, struct pieces *p, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg msg;
    int rc = 0;

    while (!rc)
        if (listen_to_peer(m, err) || look_at_guest(m, err) || (rc = take(m, p, err)) < 0)
            return -1;
    if (look_at_guest(m, err) || send_end(m, p, err) ||
        xf_move_wait_for(m, XF_MSG_LOADED, XF_LATE_SWITCH_MS, &msg, meta, err))
        return -1;
    m->copy.times.loaded = xf_now();
    return 0;
}

/* Changes since CHECK cannot be followed: the destination has the configuration already. */
static int unchanged(struct xf_move *m, struct xf_err *err)
{
    if (xf_hold("before-suspend", (struct xf_tick){xf_copy_tick, &m->copy}, err) ||
        xf_copy_tick(&m->copy, err))
        return -1;
    return m->copy.follow_due ? xf_fail(err, EBUSY,
                                        "the guest was renamed or its vCPUs were set while it was "
                                        "about to be moved; move it again")
                              : 0;
}

enum xf_switch_end xf_move_cold_switch(struct xf_move *m,
                                       int (*before_go)(void *priv, struct xf_err *err),
                                       struct xf_err *err)
{
    struct xf_copy *c = &m->copy;
    struct pieces p = {.now = malloc(CHUNK), .full = malloc(CHUNK)};
    int rc = -1;

    if (!p.now || !p.full)
        xf_fail(err, ENOMEM, "out of memory");
    else
        rc = unchanged(m, err);
    if (!rc && m->check.live)
        xf_move_phase(m, XF_PHASE_COPY);
    if (!rc) {
        c->times.began = c->status.round_began = xf_now();
        c->status.round = 1;
        c->status.round_pages = m->report->guest_pages;
        rc = xf_xen_stream_begin(&m->cold.stream, &m->skeleton.xen, m->check.live, err);
    }
    if (!rc)
        rc = transfer(m, &p, err);
    free(p.now);
    free(p.full);
    if (!rc)
        return xf_switch_go(c, before_go, err);
    xf_xen_stream_end(&m->cold.stream, &m->skeleton.xen, err);
    if (c->times.suspended <= 0 && c->vm->ops->suspended(c->vm))
        c->times.suspended = xf_now();
    return xf_switch_back(c, err);
}
