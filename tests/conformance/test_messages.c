/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conformance: what two good peers may expect of a channel. Bad peers are in test_failures.c,
 * opening a channel in test_handshake.c.
 */
#include "tests/conformance/harness.h"

#include <poll.h>

static uint8_t big[XF_PAYLOAD_MAX], got[XF_PAYLOAD_MAX]; /* the sender's, the receiver's */
static uint8_t meta[XF_META_MAX], meta_got[XF_META_MAX];

struct sender {
    pthread_t thread;
    struct xf_chan *c;
    const struct xf_msg *msgs;
    int n, times;
    int rc;
    struct xf_err err;
    atomic_int sent;
};

/* Message i: meta with pattern i, payload with pattern 0 (big holds it). */
static void *sender_run(void *arg)
{
    struct sender *s = arg;
    uint8_t *m = malloc(XF_META_MAX);
    int i;

    for (i = 0; i < s->n * s->times && !s->rc; i++) {
        const struct xf_msg *msg = &s->msgs[i % s->n];
        struct iovec v = {big, msg->payload_len};

        fill(m, msg->meta_len, (uint32_t)i);
        s->rc = row->ops->send(s->c, msg, msg->meta_len ? m : NULL, &v, msg->payload_len ? 1 : 0,
                               &s->err);
        atomic_fetch_add(&s->sent, s->rc == 0);
    }
    free(m);
    return NULL;
}

static void sender_begin(struct sender *s, struct xf_chan *c, const struct xf_msg *msgs, int n,
                         int times)
{
    memset(s, 0, sizeof(*s));
    s->c = c;
    s->msgs = msgs;
    s->n = n;
    s->times = times;
    pthread_create(&s->thread, NULL, sender_run, s);
}

static bool take(struct xf_chan *c, const struct xf_msg *want, uint32_t seed)
{
    struct xf_err err = {0};
    struct xf_msg m;
    struct iovec v;

    if (row->ops->recv(c, &m, meta_got, SOON, &err) || memcmp(&m, want, sizeof(m)) ||
        !holds(meta_got, m.meta_len, seed)) {
        fprintf(stderr, "take %u: %s\n", seed, err.text);
        return false;
    }
    if (!m.payload_len)
        return true;
    memset(got, 0, m.payload_len);
    v = (struct iovec){got, m.payload_len};
    return row->ops->recv_payload(c, &v, 1, &err) == 0 && !memcmp(got, big, m.payload_len);
}

static void test_sizes(void)
{
    static const struct xf_msg msgs[] = {
        {1, 0, 0, 0},
        {2, 1, 1, 0},
        {3, 2, 0, 1},
        {4, 3, 1, 1},
        {5, 0xffff, 24, 4096},
        {0xffff, 0, XF_META_MAX, 0},
        {7, 0, 0, XF_PAYLOAD_MAX},
        {8, 0, XF_META_MAX, XF_PAYLOAD_MAX},
        {9, 0, 16383, 16385},
        {10, 0, 16384 - 24, 16384},
        {11, 0, 16385, 16383},
        {12, 0, 7, 1234567},
        {13, 0, 0, 0},
    };
    int n = sizeof(msgs) / sizeof(msgs[0]), i;
    struct xf_link_cfg cfg = config(1);
    struct xf_chan_stats sa, sb;
    struct sender s;
    uint64_t sum = 0;
    struct pair p;

    PAIR(p, &cfg);
    sender_begin(&s, p.a, msgs, n, 3);
    for (i = 0; i < 3 * n; i++) {
        CU_ASSERT_FATAL(take(p.b, &msgs[i % n], (uint32_t)i));
        sum += 24ull + msgs[i % n].meta_len + msgs[i % n].payload_len;
    }
    pthread_join(s.thread, NULL);
    CU_ASSERT(s.rc == 0);
    row->ops->stats(p.a, &sa);
    row->ops->stats(p.b, &sb);
    CU_ASSERT(sa.tx_bytes == sb.rx_bytes && sa.rx_bytes == sb.tx_bytes);
    CU_ASSERT(sa.tx_bytes >= sum && sa.tx_bytes < sum + sum / 20 + 4096);
    /* and the other way round */
    sender_begin(&s, p.b, msgs, n, 1);
    for (i = 0; i < n; i++)
        CU_ASSERT_FATAL(take(p.a, &msgs[i], (uint32_t)i));
    pthread_join(s.thread, NULL);
    CU_ASSERT(s.rc == 0);
    pair_close(&p);
}

static void test_order(void)
{
    static const struct xf_msg msgs[] = {{1, 0, 8, 0}, {2, 0, 40, 100}, {3, 0, 300, 4096}};
    struct xf_link_cfg cfg = config(1);
    struct sender s;
    struct pair p;
    int i;

    PAIR(p, &cfg);
    sender_begin(&s, p.a, msgs, 3, 2000);
    for (i = 0; i < 6000; i++)
        CU_ASSERT_FATAL(take(p.b, &msgs[i % 3], (uint32_t)i));
    pthread_join(s.thread, NULL);
    CU_ASSERT(s.rc == 0);
    pair_close(&p);
}

static void test_limits(void)
{
    struct iovec v = {big, XF_PAYLOAD_MAX}, two[2] = {{big, XF_PAYLOAD_MAX}, {big, 1}};
    struct xf_link_cfg cfg = config(1);
    struct {
        struct xf_msg m;
        int niov;
    } bad[] = {
        {{1, 0, XF_META_MAX + 1, 0}, 0},     {{1, 0, 0, XF_PAYLOAD_MAX + 1}, 2},
        {{1, 0, UINT32_MAX, UINT32_MAX}, 1}, {{1, 0, 0, 5}, 1}, /* more memory than payload */
        {{1, 0, 0, 5}, 0} /* less */,        {{1, 0, 0, XF_PAYLOAD_MAX}, 2049},
        {{1, 0, 0, XF_PAYLOAD_MAX}, -1},
    };
    size_t i;
    struct pair p;

    PAIR(p, &cfg);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct xf_err err = {0};

        CU_ASSERT(row->ops->send(p.a, &bad[i].m, meta, bad[i].niov == 2 ? two : &v, bad[i].niov,
                                 &err) == -1);
        CU_ASSERT(err.num == EMSGSIZE || err.num == EINVAL);
    }
    pair_close(&p);
}

/* 2048 pieces: tiny, empty, of odd lengths, out of order in memory. */
static void test_pieces(void)
{
    struct iovec v[2048], w[3];
    struct xf_link_cfg cfg = config(1);
    struct xf_msg m = {1, 0, 10, 0}, r;
    struct xf_err err = {0};
    size_t at = 0, len = 0;
    struct pair p;
    int i;

    PAIR(p, &cfg);
    for (i = 0; i < 2048; i++) {
        size_t n = i % 7 == 3 ? 0 : (size_t)(i * 37 % 1900 + 1);

        v[2047 - i] = (struct iovec){n ? big + len : NULL, n}; /* backwards: no neighbours */
        len += n;
    }
    m.payload_len = (uint32_t)len;
    CU_ASSERT_FATAL(len < XF_PAYLOAD_MAX);
    CU_ASSERT(row->ops->send(p.a, &m, meta, v, 2048, &err) == 0);
    CU_ASSERT_FATAL(row->ops->recv(p.b, &r, meta_got, SOON, &err) == 0 && r.payload_len == len);
    /* received in other pieces: 1 byte, nothing, in the middle of records, then the rest */
    for (i = 0; at < len; i++) {
        size_t n = i == 0 ? 1 : i == 1 ? 0 : i < 40 ? (size_t)i * 501 : len - at;

        n = n > len - at ? len - at : n;
        w[0] = (struct iovec){got + at, n / 3};
        w[1] = (struct iovec){NULL, 0};
        w[2] = (struct iovec){got + at + n / 3, n - n / 3};
        CU_ASSERT_FATAL(row->ops->recv_payload(p.b, w, 3, &err) == 0);
        at += n;
    }
    for (i = 0, at = 0; i < 2048; i++) {
        CU_ASSERT(!v[i].iov_len || !memcmp(got + at, v[i].iov_base, v[i].iov_len));
        at += v[i].iov_len;
    }
    pair_close(&p);
}

/* A channel that must keep little in the network, then less, then more: it only gets slower. */
static void test_held(void)
{
    static const struct {
        double rate;
        size_t more;
    } to[] = {{0, 0}, {1e6, 12 << 10}, {1e300, 1}, {1e9, 4 << 20}};
    struct xf_msg m = {1, 0, 100, XF_PAYLOAD_MAX};
    struct xf_link_cfg cfg = config(1);
    struct sender s;
    struct pair p;

    PAIR(p, &cfg);
    for (unsigned i = 0; row->ops->hold && i < 4; i++) {
        row->ops->hold(p.a, to[i].rate, to[i].more);
        sender_begin(&s, p.a, &m, 1, 2);
        CU_ASSERT(take(p.b, &m, 0) && take(p.b, &m, 1));
        pthread_join(s.thread, NULL);
        CU_ASSERT_EQUAL(s.rc, 0);
    }
    pair_close(&p);
}

/* The rules for payloads: all of it, no more, before the next message. */
static void test_payload_rules(void)
{
    struct iovec v = {big, 100}, w = {got, 101};
    struct xf_link_cfg cfg = config(2);
    struct xf_msg m = {1, 0, 0, 100}, r;
    struct xf_err err = {0};
    struct pair p, q;

    PAIR(p, &cfg);
    CU_ASSERT(row->ops->send(p.a, &m, NULL, &v, 1, &err) == 0);
    CU_ASSERT(row->ops->recv(p.b, &r, meta_got, SOON, &err) == 0);
    CU_ASSERT(row->ops->recv_payload(p.b, &w, 1, &err) == -1 && err.num == EINVAL);
    q = p;
    CU_ASSERT_FATAL(pair_add(&q, &cfg, 2));
    xf_clear(&err);
    CU_ASSERT(row->ops->send(q.a, &m, NULL, &v, 1, &err) == 0);
    CU_ASSERT(row->ops->recv(q.b, &r, meta_got, SOON, &err) == 0);
    CU_ASSERT(row->ops->recv(q.b, &r, meta_got, SOON, &err) == -1 && err.num == EINVAL);
    row->ops->close(q.a);
    row->ops->close(q.b);
    pair_close(&p);
}

static void test_waiting(void)
{
    struct xf_link_cfg cfg = config(1);
    struct xf_msg m = {5, 0, 3, 0}, r;
    struct xf_err err = {0};
    struct pollfd pf = {.events = POLLIN};
    bool ready = true;
    struct pair p;
    int64_t t;
    int i;

    PAIR(p, &cfg);
    CU_ASSERT(row->ops->recv(p.b, &r, meta_got, 0, &err) == XF_AGAIN && err.num == 0);
    t = xf_now_ms();
    CU_ASSERT(row->ops->recv(p.b, &r, meta_got, 50, &err) == XF_AGAIN);
    CU_ASSERT(xf_now_ms() - t >= 49 && xf_now_ms() - t < SOON);
    pf.fd = row->ops->pollfd(p.b, &ready);
    CU_ASSERT(!ready && poll(&pf, 1, 0) == 0);
    for (i = 0; i < 3; i++)
        CU_ASSERT(row->ops->send(p.a, &m, meta, NULL, 0, &err) == 0);
    CU_ASSERT(poll(&pf, 1, SOON) == 1);
    /* poll and ready together never hide a message */
    for (i = 0; i < 3; i++) {
        row->ops->pollfd(p.b, &ready);
        CU_ASSERT(ready || poll(&pf, 1, SOON) == 1);
        CU_ASSERT(row->ops->recv(p.b, &r, meta_got, SOON, &err) == 0 && r.type == 5);
    }
    CU_ASSERT(row->ops->recv(p.b, &r, meta_got, 0, &err) == XF_AGAIN);
    pair_close(&p);
}

/* A slow receiver: the sender waits, with little data in between, and continues. */
static void test_back_pressure(void)
{
    static const struct xf_msg msg = {1, 0, 100, XF_PAYLOAD_MAX};
    struct xf_link_cfg cfg = config(1);
    struct xf_chan_stats st;
    uint64_t before = 1, after = 0;
    struct sender s;
    struct pair p;
    int i, calm = 0;

    PAIR(p, &cfg);
    sender_begin(&s, p.a, &msg, 1, 16);       /* 64 MiB */
    for (i = 0; i < 2000 && calm < 30; i++) { /* until nothing moves for 60 ms */
        nap();
        row->ops->stats(p.a, &st);
        before = after;
        after = st.tx_bytes;
        calm = before == after && after ? calm + 1 : 0;
    }
    CU_ASSERT(after < 32u << 20);
    CU_ASSERT(atomic_load(&s.sent) < 8);
    for (i = 0; i < 16; i++)
        CU_ASSERT_FATAL(take(p.b, &msg, (uint32_t)i));
    pthread_join(s.thread, NULL);
    CU_ASSERT(s.rc == 0 && atomic_load(&s.sent) == 16);
    pair_close(&p);
}

/* Faults while bulk waits: a full channel does not delay another. */
static void test_two_channels(void)
{
    static const struct xf_msg bulk = {1, 0, 100, XF_PAYLOAD_MAX}, small = {2, 0, 24, 4096};
    struct xf_link_cfg cfg = config(2);
    struct sender s, s2;
    struct pair p, q;
    int i;

    cfg.stall_ms = 0; /* the bulk channel is full for as long as the small messages take */
    PAIR(p, &cfg);
    q = p;
    CU_ASSERT_FATAL(pair_add(&q, &cfg, 2));
    sender_begin(&s, p.a, &bulk, 1, 8);
    sender_begin(&s2, q.a, &small, 1, 500);
    for (i = 0; i < 500; i++)
        CU_ASSERT_FATAL(take(q.b, &small, (uint32_t)i));
    pthread_join(s2.thread, NULL);
    for (i = 0; i < 8; i++)
        CU_ASSERT_FATAL(take(p.b, &bulk, (uint32_t)i));
    pthread_join(s.thread, NULL);
    CU_ASSERT(s.rc == 0 && s2.rc == 0);
    row->ops->close(q.a);
    row->ops->close(q.b);
    pair_close(&p);
}

/* One end answers each message at once, the other always has 8 in flight. */
static void *echo(void *arg)
{
    struct xf_chan *c = arg;
    uint8_t *m = malloc(XF_META_MAX), page[4096];
    struct iovec v = {page, sizeof(page)};
    struct xf_msg r;

    while (row->ops->recv(c, &r, m, SOON, NULL) == 0)
        if (row->ops->recv_payload(c, &v, 1, NULL) || row->ops->send(c, &r, m, &v, 1, NULL))
            break;
    free(m);
    return NULL;
}

static void test_full_duplex(void)
{
    struct xf_msg m = {3, 0, 64, 4096}, r;
    struct xf_link_cfg cfg = config(1);
    struct xf_err err = {0};
    uint8_t page[4096];
    struct iovec v = {big, 4096}, w = {page, 4096};
    pthread_t t;
    struct pair p;
    uint16_t sent = 0, back = 0;

    PAIR(p, &cfg);
    pthread_create(&t, NULL, echo, p.b);
    while (back < 1000) {
        bool may_send = sent < 1000 && sent < back + 8;
        int rc;

        if (may_send) {
            m.flags = sent;
            fill(meta, 64, sent++);
            CU_ASSERT_FATAL(row->ops->send(p.a, &m, meta, &v, 1, &err) == 0);
        }
        rc = row->ops->recv(p.a, &r, meta_got, may_send ? 0 : SOON, &err);
        if (rc == XF_AGAIN && may_send)
            continue;
        CU_ASSERT_FATAL(rc == 0 && r.flags == back && holds(meta_got, 64, back));
        CU_ASSERT_FATAL(row->ops->recv_payload(p.a, &w, 1, &err) == 0);
        CU_ASSERT(!memcmp(page, big, 4096));
        back++;
    }
    row->ops->close(p.a);
    p.a = NULL;
    pthread_join(t, NULL);
    pair_close(&p);
}

/* The guest writes to its pages while they are sent: some mix arrives, never an error. */
static void *scribble(void *arg)
{
    atomic_bool *stop = arg;
    volatile uint8_t *p = big;
    uint32_t i = 0;

    while (!atomic_load(stop)) {
        p[i % XF_PAYLOAD_MAX] = (uint8_t)i;
        i += 4099;
    }
    return NULL;
}

static void test_changing_payload(void)
{
#if !defined(__SANITIZE_THREAD__) /* a data race on purpose */
    static const struct xf_msg msg = {1, 0, 100, XF_PAYLOAD_MAX};
    struct xf_link_cfg cfg = config(1);
    struct iovec v = {got, XF_PAYLOAD_MAX};
    atomic_bool stop = false;
    struct xf_msg r;
    struct sender s;
    struct pair p;
    pthread_t t;
    int i;

    PAIR(p, &cfg);
    pthread_create(&t, NULL, scribble, &stop);
    sender_begin(&s, p.a, &msg, 1, 8);
    for (i = 0; i < 8; i++) {
        CU_ASSERT_FATAL(row->ops->recv(p.b, &r, meta_got, SOON, NULL) == 0);
        CU_ASSERT_FATAL(row->ops->recv_payload(p.b, &v, 1, NULL) == 0);
    }
    pthread_join(s.thread, NULL);
    CU_ASSERT(s.rc == 0);
    atomic_store(&stop, true);
    pthread_join(t, NULL);
    fill(big, XF_PAYLOAD_MAX, 0);
    pair_close(&p);
#else
    (void)scribble;
#endif
}

int main(void)
{
    static const struct test tests[] = {
        {"messages of every size", test_sizes, false},
        {"order", test_order, false},
        {"over the limits: refused by the sender", test_limits, false},
        {"payload in many pieces", test_pieces, false},
        {"held back", test_held, false},
        {"rules for payloads", test_payload_rules, false},
        {"waiting and polling", test_waiting, false},
        {"back-pressure", test_back_pressure, false},
        {"two channels at once", test_two_channels, false},
        {"full duplex", test_full_duplex, false},
        {"payload that changes", test_changing_payload, false},
    };

    fill(big, XF_PAYLOAD_MAX, 0);
    return run(tests, sizeof(tests) / sizeof(tests[0]), 300);
}
