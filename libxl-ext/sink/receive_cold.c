/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cold move at the sink: the stock xl restores the guest from libxl's own stream, which arrives
 * on the bulk channel, and is fed to it as it comes. Whether the guest runs then is up to GO, as in
 * every move. See receive_parts.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/sink/receive_parts.h"
#include "transport/clock.h"
#include "transport/times.h"

#define SLICE_MS 50

struct cold {
    struct sink *s;
    const uint8_t *header; /* of libxl's stream, which xl has been given */
    uint8_t *piece;        /* of the stream, being fed to xl; XF_PAYLOAD_MAX bytes */
    uint64_t offset;       /* of the next one */
    bool last;             /* the stream has arrived */
    int64_t until;         /* then: deadline for the devices */
    int64_t heard;         /* when the source last sent anything, xf_now_ms() */
    bool loaded;
    bool aborted;
    uint8_t meta[XF_META_MAX];
};

static int tick(struct cold *c, struct xf_err *err)
{
    if (xf_sink_tick(c->s, err))
        return -1;
    if (xf_now_ms() - c->heard > XF_SINK_STALL_MS)
        return xf_fail_link(err, ETIMEDOUT, "the source has sent nothing for %d s",
                            XF_SINK_STALL_MS / 1000);
    return 0;
}

static int receive(struct cold *c, struct xf_chan *from, struct xf_msg *m, int wait_ms,
                   struct xf_err *err)
{
    int rc = c->s->link.ops->recv(from, m, c->meta, wait_ms, err);

    if (!rc)
        c->heard = xf_now_ms();
    return rc;
}

static int receive_into(struct cold *c, struct xf_chan *from, const struct xf_msg *m, void *to,
                        struct xf_err *err)
{
    struct iovec iov = {.iov_base = to, .iov_len = m->payload_len};
    int rc = m->payload_len ? c->s->link.ops->recv_payload(from, &iov, 1, err) : 0;

    c->heard = xf_now_ms();
    return rc;
}

/* One message of the control channel, if there is any. 1: GO. */
static int take_control(struct cold *c, int wait_ms, struct xf_err *err)
{
    struct xf_msg m;
    int rc = receive(c, c->s->link.control, &m, wait_ms, err);

    if (rc)
        return rc == XF_AGAIN ? 0 : -1;
    if (m.payload_len)
        return xf_fail(err, EPROTO, "message %u must not have a payload, but has one of %u bytes",
                       m.type, m.payload_len);
    if (m.type == XF_MSG_PING)
        return 0;
    if (m.type == XF_MSG_GO && c->loaded)
        return 1;
    c->aborted = m.type == XF_MSG_ABORT;
    return c->aborted ? xf_fail(err, ECANCELED, "the source gave up the move")
                      : xf_fail(err, EPROTO,
                                "the source sent message %u, which is not allowed here", m.type);
}

/* --- SKELETON: the domain is made, and has no memory yet --- */

/* The configuration that xl gets. */
static int take_config(struct cold *c, struct xf_err *err)
{
    struct sink *s = c->s;
    char *config = (char *)c->piece;
    libxl_domain_type type;
    struct xf_msg m;
    size_t len;
    int rc;

    while ((rc = receive(c, s->link.control, &m, SLICE_MS, err)) == XF_AGAIN)
        if (tick(c, err))
            return -1;
    if (rc)
        return -1;
    if (m.type != XF_MSG_CONFIG)
        return xf_fail(err, EPROTO, "the source sent message %u before the configuration", m.type);
    if (receive_into(c, s->link.control, &m, config, err))
        return -1;
    len = m.payload_len;
    /* The first NUL must be the last byte, so that the text checked is the text that xl reads. */
    if (!len || memchr(config, 0, len) != config + len - 1)
        return xf_fail(err, EPROTO, "the source's configuration is not a string");
    if (xf_incoming_fits(&s->shared->copy, s->ctx, config, &type, err) ||
        xf_stream_head(config, (uint32_t)len, &s->build.stream, &len, err))
        return -1;
    c->header = (uint8_t *)s->build.stream + len - XF_STREAM_LIBXL_HEADER;
    xf_builder_feed(&s->build.builder, s->build.stream, len, 0);
    return 0;
}

/* xl frees memory, if it does that, and makes the domain before it reads the first byte of libxl's
 * stream. So the domain of that name is the one that this xl has made. */
static int await_domain(struct cold *c, struct xf_err *err)
{
    struct sink *s = c->s;
    struct xf_incoming *copy = &s->shared->copy;

    while (!xf_builder_restores(&s->build.builder))
        if (xf_sink_build_on(s, SLICE_MS, err) || take_control(c, 0, err) || tick(c, err) ||
            xf_sink_in_time(s->build.until, XF_BUILD_MS, "make the domain", err))
            return -1;
    if (xf_incoming_find(copy, s->ctx, err))
        return -1;
    s->xen.domid = copy->domid;
    return xf_link_say(&s->link, XF_MSG_BUILT, c->meta,
                       xf_built_encode(copy->domid, 0, NULL, c->meta), err);
}

static int build(struct cold *c, struct xf_err *err)
{
    struct sink *s = c->s;
    int rc;

    xf_sink_tell(s, XF_PHASE_SKELETON);
    if (take_config(c, err) || xf_incoming_absent(&s->shared->copy, s->ctx, err))
        return -1;
    rc = xf_builder_start(&s->build.builder, s->fds, s->o->real_xl, s->o->xl_args, err);
    s->shared->xl = s->build.builder.pid;
    s->build.until = xf_now_ms() + XF_BUILD_MS;
    return rc ? -1 : await_domain(c, err);
}

/* --- the stream --- */

/* Feed xl a piece, without what it has of the stream already. */
static int feed_piece(struct cold *c, uint64_t offset, uint32_t len, struct xf_err *err)
{
    uint32_t had = 0;

    if (offset < XF_STREAM_LIBXL_HEADER)
        had = XF_STREAM_LIBXL_HEADER - (uint32_t)offset;
    if (had > len)
        had = len;
    if (had && memcmp(c->piece, c->header + offset, had) != 0)
        return xf_fail(err, EPROTO, "the source's stream has an unknown header");
    xf_builder_feed_last(&c->s->build.builder, c->piece + had, len - had);
    return 0;
}

static int take_piece(struct cold *c, const struct xf_msg *m, struct xf_err *err)
{
    struct sink *s = c->s;
    struct xf_chunk k;

    if (m->type != XF_MSG_STREAM)
        return xf_fail(err, EPROTO, "the source sent message %u instead of its stream", m->type);
    if (xf_chunk_decode(&k, m, c->meta, err))
        return -1;
    if (k.flags & XF_CHUNK_PROBE)
        return c->offset ? xf_fail(err, EPROTO, "the source measures the link within its stream")
               : receive_into(c, s->link.bulk[0], m, c->piece, err)
                   ? -1
                   : xf_link_say(&s->link, XF_MSG_PONG, NULL, 0, err);
    if (k.offset != c->offset)
        return xf_fail(err, EPROTO, "a piece of the stream at %llu follows its first %llu bytes",
                       (unsigned long long)k.offset, (unsigned long long)c->offset);
    xf_sink_tell(s, XF_PHASE_SWITCH);
    if (receive_into(c, s->link.bulk[0], m, c->piece, err))
        return -1;
    c->offset += m->payload_len;
    c->last = k.flags & XF_CHUNK_LAST;
    c->until = xf_now_ms() + XF_LATE_DEVICES_MS;
    return feed_piece(c, k.offset, m->payload_len, err);
}

static int feed(struct cold *c, struct xf_err *err)
{
    struct sink *s = c->s;
    bool full = s->build.builder.left || c->last;
    struct xf_msg m;
    int rc;

    if (xf_sink_build_on(s, full ? SLICE_MS : 0, err))
        return -1;
    if (s->build.devices && !c->last)
        return xf_fail(err, EPROTO, "the source's stream goes on after its end");
    if (!full) {
        rc = receive(c, s->link.bulk[0], &m, SLICE_MS, err);
        if (rc < 0 || (!rc && take_piece(c, &m, err)))
            return -1;
    }
    if (c->last && !s->build.devices &&
        xf_sink_in_time(c->until, XF_LATE_DEVICES_MS, XF_ATTACHES, err))
        return -1;
    return take_control(c, 0, err) || tick(c, err) ? -1 : 0;
}

/* Everything until GO. */
static int until_go(struct cold *c, struct xf_err *err)
{
    struct sink *s = c->s;
    int rc;

    if (build(c, err))
        return -1;
    while (!s->build.devices)
        if (feed(c, err))
            return -1;
    if (xf_qdisks_drop(&s->build.disks, err) || xf_link_say(&s->link, XF_MSG_LOADED, NULL, 0, err))
        return -1;
    c->loaded = true;
    while (!(rc = take_control(c, SLICE_MS, err)))
        if (tick(c, err) || xf_sink_still_there(s, err))
            return -1;
    return rc < 0 ? -1 : 0;
}

/* GO: from here on nothing may destroy the guest. */
static int run(struct cold *c, struct xf_err *err)
{
    struct sink *s = c->s;
    char why[300];

    xf_sink_committed(s);
    s->xen.leave_paused = s->check.hello.leave_paused || s->o->leave_paused;
    if (!s->xen.leave_paused && libxl_domain_unpause(s->ctx, s->xen.domid, NULL))
        return xf_fail(err, EIO, "cannot unpause domain %u (%s); `xl unpause` it", s->xen.domid,
                       xf_toollog_last(&s->log, why, sizeof(why)));
    xf_link_say(&s->link, XF_MSG_RUNNING, NULL, 0, NULL);
    return 0;
}

enum xf_sink_end xf_sink_cold(struct sink *s, struct xf_err *err)
{
    struct cold *c = calloc(1, sizeof(*c));
    enum xf_sink_end end = XF_SINK_FAILED;
    int rc = -1;

    if (c)
        *c = (struct cold){.s = s, .piece = malloc(XF_PAYLOAD_MAX), .heard = xf_now_ms()};
    /* No thread of its own uses the bulk channel. */
    if (s->link.ops->watch)
        s->link.ops->watch(s->link.bulk[0], (struct xf_tick){xf_sink_tick, s});
    if (!c || !c->piece)
        xf_fail(err, ENOMEM, "out of memory");
    else
        rc = until_go(c, err);
    if (!rc) {
        end = XF_SINK_RUNS;
        rc = run(c, err);
    } else if (c && c->aborted) {
        end = XF_SINK_ABORTED;
    }
    if (rc && end != XF_SINK_ABORTED)
        xf_sink_tell_source(s, err);
    if (c)
        free(c->piece);
    free(c);
    return end;
}
