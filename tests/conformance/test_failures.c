/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conformance: an open channel whose peer dies, stalls, lies, or that another thread gives up.
 * Every way out is an error with the right number, in bounded time, and leaves no descriptor
 * behind.
 */
#include "tests/conformance/harness.h"

#include "transport/frame.h" /* to write good envelopes, and then damage them */

static uint8_t meta[XF_META_MAX];
static uint8_t big[XF_PAYLOAD_MAX]; /* to send from; to receive into */
static uint8_t got[XF_PAYLOAD_MAX];

/* A good message in one buffer: header, meta, payload; pattern 1 and 2. */
static size_t compose(uint8_t *out, uint32_t meta_len, uint32_t payload_len)
{
    struct xf_msg m = {9, 0, meta_len, payload_len};

    fill(out + XF_FRAME_BYTES, meta_len, 1);
    fill(out + XF_FRAME_BYTES + meta_len, payload_len, 2);
    xf_frame_encode(out, &m, out + XF_FRAME_BYTES, NULL);
    return XF_FRAME_BYTES + meta_len + payload_len;
}

/* Receive one whole message into got. */
static int take(struct xf_chan *c, struct xf_err *err)
{
    struct xf_msg m = {0};
    struct iovec v;

    if (row->ops->recv(c, &m, meta, -1, err))
        return -1;
    v = (struct iovec){got, m.payload_len};
    return row->ops->recv_payload(c, &v, 1, err);
}

/* A raw source that sends n bytes of a good message before it ends. */
static void cut_at(size_t n, bool stall, int num)
{
    struct xf_link_cfg cfg = config(1);
    static uint8_t bytes[51024];
    struct xf_err err = {0};
    struct raw_pair p;
    int64_t t;

    cfg.stall_ms = STALL;
    RAW_PAIR(p, &cfg);
    CU_ASSERT(compose(bytes, 1000, 50000) == sizeof(bytes));
    CU_ASSERT(n == 0 || row->raw->put(&p.r, bytes, n) == 0);
    if (!stall)
        row->raw->drop(&p.r);
    t = xf_now_ms();
    CU_ASSERT(take(p.c, &err) == -1 && err.num == num);
    CU_ASSERT(xf_now_ms() - t < SOON);
    if (stall)
        CU_ASSERT(xf_now_ms() - t >= STALL - 20);
    xf_clear(&err); /* final: it stays an error */
    CU_ASSERT(stall || (take(p.c, &err) == -1 && err.num));
    raw_pair_close(&p);
}

static void test_death(void)
{
    static const size_t at[] = {0, 1, 23, 24, 25, 500, 1023, 1024, 1025, 30000, 51023};
    size_t i;

    for (i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        cut_at(at[i], false, ECONNRESET);
}

static void test_stall_receiving(void)
{
    static const size_t at[] = {1, 500, 40000};
    size_t i;

    for (i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        cut_at(at[i], true, ETIMEDOUT);
}

/* Silence between two messages is not a stall. */
static void test_silence(void)
{
    struct xf_link_cfg cfg = config(1);
    struct xf_msg m = {1, 0, 0, 0}, r;
    struct xf_err err = {0};
    struct pair p;

    cfg.stall_ms = 50;
    PAIR(p, &cfg);
    CU_ASSERT(row->ops->recv(p.b, &r, meta, 200, &err) == XF_AGAIN && err.num == 0);
    CU_ASSERT(row->ops->send(p.a, &m, NULL, NULL, 0, &err) == 0);
    CU_ASSERT(row->ops->recv(p.b, &r, meta, SOON, &err) == 0);
    pair_close(&p);
}

struct flood {
    pthread_t thread;
    struct xf_chan *c;
    int limit; /* messages */
    atomic_int sent;
    atomic_bool over;
    struct xf_err err;
};

static void *flood_run(void *arg)
{
    static const struct xf_msg m = {1, 0, 0, XF_PAYLOAD_MAX};
    struct flood *f = arg;
    struct iovec v = {big, XF_PAYLOAD_MAX};

    while (atomic_load(&f->sent) < f->limit && !row->ops->send(f->c, &m, NULL, &v, 1, &f->err))
        atomic_fetch_add(&f->sent, 1);
    atomic_store(&f->over, true);
    return NULL;
}

static void flood_begin(struct flood *f, struct xf_chan *c)
{
    memset(f, 0, sizeof(*f));
    f->c = c;
    f->limit = 1000; /* 4 GiB: never reached */
    pthread_create(&f->thread, NULL, flood_run, f);
}

/* The bytes sent have not grown for some time: the sender is blocked. */
static bool blocked(struct xf_chan *c)
{
    struct xf_chan_stats st;
    uint64_t last = 0;
    int64_t end = xf_now_ms() + SOON;
    int calm = 0;

    while (calm < 10 && xf_now_ms() < end) {
        nap();
        row->ops->stats(c, &st);
        calm = st.tx_bytes && st.tx_bytes == last ? calm + 1 : 0;
        last = st.tx_bytes;
    }
    return calm == 10;
}

static void test_stall_sending(void)
{
    struct xf_link_cfg cfg = config(1);
    struct flood f;
    struct pair p;
    int64_t t;

    cfg.stall_ms = STALL;
    PAIR(p, &cfg);
    flood_begin(&f, p.a);
    CU_ASSERT(blocked(p.a));
    t = xf_now_ms();
    pthread_join(f.thread, NULL);
    CU_ASSERT(f.err.num == ETIMEDOUT && xf_now_ms() - t < SOON);
    pair_close(&p);
}

static void test_death_while_sending(void)
{
    struct xf_link_cfg cfg = config(1);
    struct flood f;
    struct pair p;

    PAIR(p, &cfg);
    flood_begin(&f, p.a);
    CU_ASSERT(blocked(p.a));
    row->ops->close(p.b);
    p.b = NULL;
    pthread_join(f.thread, NULL);
    CU_ASSERT(f.err.num == ECONNRESET);
    pair_close(&p);
}

/* An orderly close between messages, after all that was sent has been received. */
static void test_close(void)
{
    struct xf_msg m = {1, 0, 0, 0}, r;
    struct xf_link_cfg cfg = config(1);
    struct xf_err err = {0};
    struct pair p;
    int i;

    PAIR(p, &cfg);
    for (i = 0; i < 10; i++)
        CU_ASSERT(row->ops->send(p.a, &m, NULL, NULL, 0, &err) == 0);
    row->ops->close(p.a);
    p.a = NULL;
    for (i = 0; i < 10; i++)
        CU_ASSERT(row->ops->recv(p.b, &r, meta, SOON, &err) == 0);
    CU_ASSERT(row->ops->recv(p.b, &r, meta, SOON, &err) == -1 && err.num == ECONNRESET);
    CU_ASSERT(strstr(err.text, "closed") != NULL);
    pair_close(&p);
}

/* Envelopes that lie. The receiver must not wait for any bytes after them. */
static void test_lies(void)
{
    static const struct {
        int at;
        uint8_t flip;
        const char *word;
    } lies[] = {
        {0, 0x20, "XFM1"},     {3, 1, "XFM1"},        {4, 1, "check"},    {6, 1, "check"},
        {8, 1, NULL},          {10, 1, "meta"},       {11, 0x80, "meta"}, {12, 1, "check"},
        {14, 0x40, "payload"}, {15, 0x80, "payload"}, {16, 1, "check"},   {23, 0x80, "check"},
        {24, 1, "check"},      {1023, 0x80, "check"},
    };
    struct xf_link_cfg cfg = config(1);
    uint8_t bytes[4096];
    size_t i;

    for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        size_t len = compose(bytes, 1000, 2000);
        struct xf_err err = {0};
        struct raw_pair p;
        struct xf_msg m;

        bytes[lies[i].at] ^= lies[i].flip;
        RAW_PAIR(p, &cfg);
        CU_ASSERT(row->raw->put(&p.r, bytes, len) == 0);
        CU_ASSERT(row->ops->recv(p.c, &m, meta, SOON, &err) == -1 && err.num == EPROTO);
        CU_ASSERT(!lies[i].word || strstr(err.text, lies[i].word));
        raw_pair_close(&p);
    }
}

/* With encryption, bytes injected into the connection are not a message. */
static void test_injected(void)
{
    struct xf_link_cfg cfg = config(1);
    uint8_t bytes[256];
    struct xf_err err = {0};
    struct raw_pair p;
    struct xf_msg m;

    if (!row->encrypt)
        return;
    RAW_PAIR(p, &cfg);
    row->raw->put_socket(&p.r, bytes, compose(bytes, 8, 0));
    CU_ASSERT(row->ops->recv(p.c, &m, meta, SOON, &err) == -1 && err.num == EPROTO);
    raw_pair_close(&p);
}

/* Half a TLS record, then silence: a message has begun, although no byte of it can be read. */
static void test_half_record(void)
{
    static const uint8_t part[] = {0x17, 3, 3, 0x10, 0, 1, 2, 3};
    struct xf_link_cfg cfg = config(1);
    struct xf_err err = {0};
    struct raw_pair p;
    struct xf_msg m;

    if (!row->encrypt)
        return;
    cfg.stall_ms = STALL;
    RAW_PAIR(p, &cfg);
    row->raw->put_socket(&p.r, part, sizeof(part));
    CU_ASSERT(row->ops->recv(p.c, &m, meta, 20, &err) == XF_AGAIN && err.num == 0);
    CU_ASSERT(row->ops->recv(p.c, &m, meta, -1, &err) == -1 && err.num == ETIMEDOUT);
    raw_pair_close(&p);
}

/* A peer that sends one byte at a time is slow, but good. */
static void test_trickle(void)
{
    struct xf_link_cfg cfg = config(1);
    uint8_t bytes[512];
    size_t len = compose(bytes, 60, 200), i;
    struct xf_err err = {0};
    struct raw_pair p;

    RAW_PAIR(p, &cfg);
    for (i = 0; i < len; i++)
        CU_ASSERT(row->raw->put(&p.r, bytes + i, 1) == 0);
    CU_ASSERT(take(p.c, &err) == 0);
    CU_ASSERT(holds(meta, 60, 1) && holds(got, 200, 2));
    raw_pair_close(&p);
}

struct taker {
    pthread_t thread;
    struct xf_chan *c;
    atomic_bool inside;
    int rc;
    struct xf_err err;
};

static void *taker_run(void *arg)
{
    struct taker *t = arg;

    atomic_store(&t->inside, true);
    t->rc = take(t->c, &t->err);
    return NULL;
}

static void test_abort_recv(void)
{
    struct xf_link_cfg cfg = config(1);
    struct xf_msg m = {1, 0, 0, 100};
    struct taker k = {0};
    struct pair p;
    int64_t t;

    cfg.stall_ms = 0; /* for ever */
    PAIR(p, &cfg);
    k.c = p.b;
    pthread_create(&k.thread, NULL, taker_run, &k);
    CU_ASSERT(EVENTUALLY(atomic_load(&k.inside)));
    nap();
    t = xf_now_ms();
    row->ops->abort(p.b);
    pthread_join(k.thread, NULL);
    CU_ASSERT(k.rc == -1 && k.err.num == ECANCELED && xf_now_ms() - t < 1000);
    xf_clear(&k.err);
    CU_ASSERT(take(p.b, &k.err) == -1 && k.err.num == ECANCELED); /* and from then on */
    xf_clear(&k.err);
    m.payload_len = 0;
    CU_ASSERT(row->ops->send(p.b, &m, NULL, NULL, 0, &k.err) == -1 && k.err.num == ECANCELED);
    pair_close(&p);
}

/* In the middle of a message, from a peer that stays. */
static void test_abort_payload(void)
{
    struct xf_link_cfg cfg = config(1);
    static uint8_t bytes[70000];
    struct xf_chan_stats st;
    struct taker k = {0};
    struct raw_pair p;

    cfg.stall_ms = 0;
    RAW_PAIR(p, &cfg);
    k.c = p.c;
    compose(bytes, 100, 60000);
    CU_ASSERT(row->raw->put(&p.r, bytes, 30000) == 0);
    pthread_create(&k.thread, NULL, taker_run, &k);
    CU_ASSERT(EVENTUALLY((row->ops->stats(k.c, &st), st.rx_bytes >= 30000)));
    row->ops->abort(k.c);
    pthread_join(k.thread, NULL);
    CU_ASSERT(k.rc == -1 && k.err.num == ECANCELED);
    raw_pair_close(&p);
}

static void test_abort_send(void)
{
    struct xf_link_cfg cfg = config(1);
    struct flood f;
    struct pair p;
    int64_t t;

    cfg.stall_ms = 0;
    PAIR(p, &cfg);
    flood_begin(&f, p.a);
    CU_ASSERT(blocked(p.a));
    t = xf_now_ms();
    row->ops->abort(p.a);
    pthread_join(f.thread, NULL);
    CU_ASSERT(f.err.num == ECANCELED && xf_now_ms() - t < 1000);
    pair_close(&p);
}

/* Abort races with a channel in full use; then it is closed at once. */
static void test_abort_race(void)
{
    struct xf_link_cfg cfg = config(1);
    int i;

    for (i = 0; i < 20; i++) {
        struct flood f;
        struct taker k = {0};
        struct pair p;

        PAIR(p, &cfg);
        flood_begin(&f, p.a);
        k.c = p.b;
        pthread_create(&k.thread, NULL, taker_run, &k);
        if (i % 2)
            nap();
        row->ops->abort(p.a);
        row->ops->abort(p.b);
        row->ops->abort(p.b);
        pthread_join(f.thread, NULL);
        pthread_join(k.thread, NULL);
        CU_ASSERT(f.err.num == ECANCELED);
        CU_ASSERT(k.rc == 0 || k.err.num == ECANCELED);
        pair_close(&p);
    }
}

static void test_descriptors(void)
{
    struct xf_link_cfg cfg = config(1);
    struct xf_err err = {0};
    struct xf_msg m = {1, 0, 0, 0};
    int before = open_fds(), i;

    for (i = 0; i < 100; i++) {
        struct pair p;
        struct raw r;
        bool ok = pair_open(&p, &cfg);

        CU_ASSERT_FATAL(ok);
        if (i % 3 == 0)
            CU_ASSERT(row->ops->send(p.a, &m, NULL, NULL, 0, &err) == 0);
        if (i % 5 == 0)
            row->ops->abort(p.b);
        if (i % 4 == 0 && row->raw && row->raw->dial(&r, row->addr, p.port) == 0) {
            struct xf_chan *c;
            unsigned index; /* leave a failed or pending handshake behind */

            if (i % 8)
                row->raw->put_socket(&r, "junk and more junk", 18);
            CU_ASSERT(accept_row(p.l, 1, &c, &index, &err) == XF_AGAIN);
            row->raw->drop(&r);
        }
        if (i % 10 == 0) { /* a refused one, on both sides */
            struct xf_chan *c;
            unsigned index;
            struct dial d;

            dial_begin(&d, &cfg, p.port, 1);
            CU_ASSERT(accept_row(p.l, SOON, &c, &index, NULL) == -1);
            CU_ASSERT(dial_end(&d) == -1);
        }
        pair_close(&p);
    }
    CU_ASSERT(open_fds() == before);
}

int main(void)
{
    static const struct test tests[] = {
        {"peer dies at every step", test_death, true},
        {"peer stalls inside a message", test_stall_receiving, true},
        {"silence between messages", test_silence, false},
        {"peer stops receiving", test_stall_sending, false},
        {"peer dies while we send", test_death_while_sending, false},
        {"orderly close", test_close, false},
        {"envelopes that lie", test_lies, true},
        {"injected bytes", test_injected, true},
        {"half a record", test_half_record, true},
        {"one byte at a time", test_trickle, true},
        {"abort of recv", test_abort_recv, false},
        {"abort inside a payload", test_abort_payload, true},
        {"abort of send", test_abort_send, false},
        {"abort in full use", test_abort_race, false},
        {"no descriptor is lost", test_descriptors, false},
    };

    fill(big, XF_PAYLOAD_MAX, 0);
    return run(tests, sizeof(tests) / sizeof(tests[0]), 120);
}
