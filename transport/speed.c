/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The speed of a link: see speed.h. */
#include "transport/speed.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "transport/clock.h"

#define MESSAGE (1u << 20)       /* payload of one PROBE */
#define FIRST_BYTES (256u << 10) /* for each channel; they also show how many to send then */
#define LANE_MAX (256u << 20)
#define STAGES 3
#define STAGE_S 0.5 /* what a later stage should take */
#define SLOW_S 2.0  /* a stage that took this long is the last */
#define ANSWER_MS 120000
#define TICK_MS 50
#define PINGS 5

/* One bulk channel and its thread. */
struct lane {
    const struct xf_transport_ops *ops;
    struct xf_chan *chan;
    const uint8_t *data; /* source: MESSAGE bytes, shared */
    uint64_t bytes;      /* source: to send */
    pthread_t thread;
    atomic_bool done;
    struct xf_err err; /* the thread's; valid when done */
};

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* Start a thread for each bulk channel. -1: those that were started are in *n. */
static int start(struct xf_link *l, struct lane *lanes, unsigned *n, void *(*run)(void *),
                 struct xf_err *err)
{
    for (*n = 0; *n < l->nr_bulk; ++*n) {
        struct lane *w = &lanes[*n];
        int rc;

        w->ops = l->ops;
        w->chan = l->bulk[*n];
        rc = pthread_create(&w->thread, NULL, run, w);
        if (rc)
            return xf_fail(err, rc, "cannot start a thread: %s", strerror(rc));
    }
    return 0;
}

/* With `abort` the channels are dead afterwards. */
static void join(struct xf_link *l, struct lane *lanes, unsigned n, bool abort)
{
    if (abort)
        xf_link_abort_bulk(l);
    for (unsigned i = 0; i < n; i++)
        pthread_join(lanes[i].thread, NULL);
}

/* --- the source --- */

static int send_all(struct lane *w, uint8_t *meta)
{
    struct xf_msg m = {.type = XF_MSG_PROBE};
    int rc;

    for (uint64_t left = w->bytes; left > 0; left -= m.payload_len) {
        struct iovec iov = {.iov_base = (void *)w->data,
                            .iov_len = left < MESSAGE ? left : MESSAGE};

        m.payload_len = (uint32_t)iov.iov_len;
        if (w->ops->send(w->chan, &m, NULL, &iov, 1, &w->err))
            return -1;
    }
    m.payload_len = 0;
    if (w->ops->send(w->chan, &m, NULL, NULL, 0, &w->err))
        return -1;
    rc = w->ops->recv(w->chan, &m, meta, ANSWER_MS, &w->err);
    if (rc == XF_AGAIN)
        return xf_fail(&w->err, ETIMEDOUT, "the destination does not answer on a bulk channel");
    if (!rc && (m.type != XF_MSG_PROBE_ACK || m.meta_len || m.payload_len))
        return xf_fail(&w->err, EPROTO, "the destination answered a probe with message %u", m.type);
    return rc;
}

static void *send_main(void *arg)
{
    struct lane *w = arg;
    uint8_t *meta = malloc(XF_META_MAX);

    if (!meta)
        xf_fail(&w->err, ENOMEM, "out of memory");
    else
        send_all(w, meta);
    free(meta);
    w->done = true;
    return NULL;
}

/* Send this much on every channel; *seconds until all of it has arrived. */
static int stage(struct xf_link *l, const uint8_t *data, uint64_t bytes, struct xf_tick tick,
                 double *seconds, struct xf_err *err)
{
    struct lane lanes[XF_CHANNELS_MAX];
    double began = xf_now();
    unsigned n, done = 0;
    int rc;

    for (unsigned i = 0; i < l->nr_bulk; i++)
        lanes[i] = (struct lane){.data = data, .bytes = bytes};
    rc = start(l, lanes, &n, send_main, err);
    while (!rc && done < n) {
        nap(done || bytes > FIRST_BYTES ? 2 : 1);
        rc = xf_tick(tick, err);
        for (done = 0; done < n && lanes[done].done;)
            if (lanes[done++].err.num && !rc) {
                *err = lanes[done - 1].err;
                rc = -1;
            }
    }
    *seconds = xf_now() - began;
    join(l, lanes, n, rc);
    return rc;
}

/* The best of a few round trips. */
static int ping(struct xf_link *l, struct xf_tick tick, double *round_trip_s, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;

    *round_trip_s = 10;
    for (int i = 0; i < PINGS; i++) {
        double began = xf_now(), took;
        int rc;

        if (xf_link_say(l, XF_MSG_PING, NULL, 0, err))
            return -1;
        while ((rc = xf_link_hear(l, XF_MSG_PONG, &m, meta, TICK_MS, err)) == XF_AGAIN) {
            if (xf_tick(tick, err))
                return -1;
            if (xf_now() - began > ANSWER_MS / 1e3)
                return xf_fail(err, ETIMEDOUT,
                               "the destination does not answer on the control channel");
        }
        took = xf_now() - began;
        if (rc)
            return -1;
        if (took < *round_trip_s)
            *round_trip_s = took;
    }
    return 0;
}

int xf_speed_measure(struct xf_link *l, struct xf_tick tick, struct xf_speed *out,
                     struct xf_err *err)
{
    uint8_t *data = calloc(1, MESSAGE);
    uint64_t bytes = FIRST_BYTES;
    double s = 0;
    int rc;

    *out = (struct xf_speed){0};
    if (!data)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = ping(l, tick, &out->round_trip_s, err);
    /* The first finds buffers empty and threads not started: it counts only where the link is so
     * slow that another would take long. */
    for (int i = 0; !rc && i < STAGES && s < SLOW_S; i++) {
        rc = stage(l, data, bytes, tick, &s, err);
        s = s > 1e-6 ? s : 1e-6;
        out->bytes += bytes * l->nr_bulk;
        /* The best: a stall, of either host's processors or of others' traffic, only lowers it. */
        if (i <= 1 || (double)(bytes * l->nr_bulk) / s > out->bytes_per_s)
            out->bytes_per_s = (double)(bytes * l->nr_bulk) / s;
        bytes = (uint64_t)((double)bytes * STAGE_S / s);
        bytes = bytes > LANE_MAX ? LANE_MAX : bytes;
    }
    free(data);
    return rc;
}

/* --- the sink --- */

static int take_all(struct lane *w, uint8_t *meta, uint8_t *to)
{
    struct xf_msg m;

    for (;;) {
        struct iovec iov = {.iov_base = to};

        if (w->ops->recv(w->chan, &m, meta, -1, &w->err))
            return -1;
        if (m.type != XF_MSG_PROBE || m.meta_len || m.payload_len > MESSAGE)
            return xf_fail(&w->err, EPROTO,
                           "the source sent message %u (%u bytes) while it measures the link",
                           m.type, m.payload_len);
        iov.iov_len = m.payload_len;
        if (m.payload_len && w->ops->recv_payload(w->chan, &iov, 1, &w->err))
            return -1;
        /* A move's pages arrive in new memory, whose first touch costs as well. */
        madvise(to, MESSAGE, MADV_DONTNEED);
        if (m.payload_len)
            continue;
        m = (struct xf_msg){.type = XF_MSG_PROBE_ACK};
        if (w->ops->send(w->chan, &m, NULL, NULL, 0, &w->err))
            return -1;
    }
}

static void *take_main(void *arg)
{
    struct lane *w = arg;
    uint8_t *meta = malloc(XF_META_MAX);
    uint8_t *to = mmap(NULL, MESSAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (!meta || to == MAP_FAILED)
        xf_fail(&w->err, ENOMEM, "out of memory");
    else
        take_all(w, meta, to);
    free(meta);
    if (to != MAP_FAILED)
        munmap(to, MESSAGE);
    w->done = true;
    return NULL;
}

/* 1: the source has closed the link. */
static int answer(struct xf_link *l, uint8_t *meta, struct xf_err *err)
{
    struct xf_msg m;
    int rc = l->ops->recv(l->control, &m, meta, TICK_MS, err);

    if (rc == XF_AGAIN)
        return 0;
    if (rc && err->num == ECONNRESET) {
        xf_clear(err);
        return 1;
    }
    if (!rc && (m.type != XF_MSG_PING || m.payload_len))
        return xf_fail(err, EPROTO, "the source sent message %u while it measures the link",
                       m.type);
    return rc ? rc : xf_link_say(l, XF_MSG_PONG, NULL, 0, err);
}

/* A thread has ended other than by the source's closing its channel? */
static int failed(const struct lane *lanes, unsigned n, struct xf_err *err)
{
    for (unsigned i = 0; i < n; i++)
        if (lanes[i].done && lanes[i].err.num != ECONNRESET) {
            *err = lanes[i].err;
            return -1;
        }
    return 0;
}

int xf_speed_serve(struct xf_link *l, int within_ms, struct xf_tick tick, struct xf_err *err)
{
    struct lane lanes[XF_CHANNELS_MAX];
    uint8_t *meta = malloc(XF_META_MAX);
    int64_t until = xf_now_ms() + within_ms;
    unsigned n = 0;
    int rc;

    for (unsigned i = 0; i < l->nr_bulk; i++)
        lanes[i] = (struct lane){0};
    rc = meta ? start(l, lanes, &n, take_main, err) : xf_fail(err, ENOMEM, "out of memory");
    while (!rc) {
        rc = answer(l, meta, err);
        if (!rc && xf_now_ms() > until)
            rc = xf_fail(err, ETIMEDOUT, "the source measures the link for ever");
        if (!rc)
            rc = failed(lanes, n, err) || xf_tick(tick, err) ? -1 : 0;
    }
    join(l, lanes, n, true);
    free(meta);
    return rc < 0 ? -1 : 0;
}
