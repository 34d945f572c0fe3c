/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conformance: a source that knows the key and drips. Each byte is progress, but a message has a
 * limit as a whole; and waiting for it can be cancelled.
 */
#include "tests/conformance/harness.h"

#include "transport/frame.h"

#define PAYLOAD 3000u
#define PATIENT 1500    /* ms: stall_ms; the dripper may not get the processor for a while */
#define DRIP_NS 3000000 /* between two bytes: the whole message would take 9 s */

static uint8_t meta[XF_META_MAX];

/* Announces a message with this payload, and lets it drip. */
struct dripper {
    pthread_t thread;
    struct raw *raw;
    size_t head; /* bytes of the head that are sent at once */
    atomic_bool stop;
};

static void *drip_run(void *arg)
{
    struct dripper *d = arg;
    struct xf_msg m = {.type = 9, .payload_len = PAYLOAD};
    uint8_t bytes[XF_FRAME_BYTES + PAYLOAD] = {0};

    xf_frame_encode(bytes, &m, NULL, NULL);
    if (d->head)
        row->raw->put(d->raw, bytes, d->head);
    for (size_t i = d->head; i < sizeof(bytes) && !atomic_load(&d->stop); i++) {
        if (row->raw->put(d->raw, bytes + i, 1))
            break;
        nanosleep(&(struct timespec){.tv_nsec = DRIP_NS}, NULL);
    }
    return NULL;
}

static void drip_begin(struct dripper *d, struct raw_pair *p, size_t head)
{
    *d = (struct dripper){.raw = &p->r, .head = head};
    pthread_create(&d->thread, NULL, drip_run, d);
}

static void drip_end(struct dripper *d)
{
    atomic_store(&d->stop, true);
    pthread_join(d->thread, NULL);
}

/* The payload; and the rest of it after a part that was received already. */
static void test_payload(void)
{
    struct xf_link_cfg cfg = config(1);
    uint8_t buf[PAYLOAD] = {0};
    struct raw_pair p;
    struct dripper d;

    cfg.stall_ms = PATIENT;
    for (size_t first = 0; first < 40; first += 20) {
        struct iovec v[2] = {{buf, first}, {buf + first, PAYLOAD - first}};
        struct xf_err err = {0};
        struct xf_msg m;
        int64_t t;

        RAW_PAIR(p, &cfg);
        drip_begin(&d, &p, XF_FRAME_BYTES);
        CU_ASSERT(row->ops->recv(p.c, &m, meta, SOON, &err) == 0 && m.payload_len == PAYLOAD);
        t = xf_now_ms();
        CU_ASSERT(!first || row->ops->recv_payload(p.c, &v[0], 1, &err) == 0);
        CU_ASSERT(row->ops->recv_payload(p.c, &v[1], 1, &err) == -1);
        CU_ASSERT(err.num == ETIMEDOUT && strstr(err.text, "part of a message"));
        t = xf_now_ms() - t;
        CU_ASSERT(t >= PATIENT && t < PATIENT + PAYLOAD / XF_BYTES_PER_MS + SOON / 2);
        drip_end(&d);
        raw_pair_close(&p);
    }
}

/* The head as well: the length is not known yet. A short message gets no longer than its kind. */
static void test_whole(void)
{
    struct xf_link_cfg cfg = config(1);
    struct xf_err err = {0};
    uint8_t buf[PAYLOAD];
    struct iovec v = {buf, sizeof(buf)};
    struct raw_pair p;
    struct dripper d;
    struct xf_msg m;
    int64_t t = xf_now_ms();

    cfg.stall_ms = PATIENT;
    RAW_PAIR(p, &cfg);
    drip_begin(&d, &p, 0);
    CU_ASSERT(row->ops->recv(p.c, &m, meta, -1, &err) || row->ops->recv_payload(p.c, &v, 1, &err));
    CU_ASSERT(err.num == ETIMEDOUT && xf_now_ms() - t < SOON);
    drip_end(&d);
    raw_pair_close(&p);
}

/* A source that is too slow for a moment, and makes up for it, is not a dripper. */
static void test_slow_start(void)
{
    struct xf_link_cfg cfg = config(1);
    struct xf_msg head = {.type = 9, .payload_len = PAYLOAD}, m;
    uint8_t bytes[XF_FRAME_BYTES + PAYLOAD] = {0}, buf[PAYLOAD];
    struct iovec v = {buf, sizeof(buf)};
    struct xf_err err = {0};
    struct raw_pair p;
    size_t i;

    RAW_PAIR(p, &cfg);
    xf_frame_encode(bytes, &head, NULL, NULL);
    for (i = 0; i < 20; i++) {
        CU_ASSERT(row->raw->put(&p.r, bytes + i, 1) == 0);
        nap();
    }
    CU_ASSERT(row->raw->put(&p.r, bytes + i, sizeof(bytes) - i) == 0);
    CU_ASSERT(row->ops->recv(p.c, &m, meta, SOON, &err) == 0);
    CU_ASSERT(row->ops->recv_payload(p.c, &v, 1, &err) == 0 && !err.num);
    raw_pair_close(&p);
}

static int stop_soon(void *priv, struct xf_err *err)
{
    unsigned *ticks = priv;

    return ++*ticks == 3 ? xf_fail(err, EINTR, "enough of this") : 0;
}

/* The channel's watch: during a payload that drips, and during one that has stopped. */
static void test_watch(void)
{
    struct xf_link_cfg cfg = config(1);
    uint8_t buf[PAYLOAD];
    struct iovec v = {buf, sizeof(buf)};
    struct raw_pair p;
    struct dripper d;

    cfg.stall_ms = 60000;
    for (unsigned stopped = 0; stopped < 2; stopped++) {
        struct xf_err err = {0};
        struct xf_msg m;
        unsigned ticks = 0;
        int64_t t = xf_now_ms();

        RAW_PAIR(p, &cfg);
        row->ops->watch(p.c, (struct xf_tick){stop_soon, &ticks});
        drip_begin(&d, &p, XF_FRAME_BYTES);
        CU_ASSERT(row->ops->recv(p.c, &m, meta, SOON, &err) == 0);
        if (stopped)
            drip_end(&d);
        CU_ASSERT(row->ops->recv_payload(p.c, &v, 1, &err) == -1);
        CU_ASSERT(err.num == EINTR && ticks == 3 && strstr(err.text, "enough of this"));
        CU_ASSERT(xf_now_ms() - t < SOON);
        if (!stopped)
            drip_end(&d);
        raw_pair_close(&p);
    }
}

/* The same while there is no room to send: a peer that reads nothing. */
static void test_watch_sending(void)
{
    static uint8_t much[XF_PAYLOAD_MAX];
    struct xf_link_cfg cfg = config(1);
    struct iovec v = {much, sizeof(much)};
    struct xf_msg m = {.type = 9, .payload_len = sizeof(much)};
    struct xf_err err = {0};
    struct raw_pair p;
    unsigned ticks = 0, n;

    cfg.stall_ms = 60000;
    RAW_PAIR(p, &cfg);
    row->ops->watch(p.c, (struct xf_tick){stop_soon, &ticks});
    for (n = 0; n < 16 && !row->ops->send(p.c, &m, NULL, &v, 1, &err); n++)
        ;
    CU_ASSERT(n < 16 && err.num == EINTR && ticks == 3);
    raw_pair_close(&p);
}

int main(void)
{
    static const struct test tests[] = {
        {"a payload that drips", test_payload, true},
        {"a message that drips from its first byte", test_whole, true},
        {"a slow start", test_slow_start, true},
        {"whoever waits is called off", test_watch, true},
        {"whoever sends is called off", test_watch_sending, true},
    };

    return run(tests, sizeof(tests) / sizeof(tests[0]), 120);
}
