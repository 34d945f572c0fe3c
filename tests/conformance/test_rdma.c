/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Failures that only RDMA can have: peers that lie in the handshake, in immediates, lengths,
 * credits and addresses; devices that fall silent; objects of the kernel left behind. The contract
 * of all transports is tested by the other programs.
 */
#include "tests/conformance/harness.h"
#include "tests/conformance/raw_rdma.h"

#include "transport/frame.h"
#include "transport/rdma/probe.h"

#define WINDOW_BUFFER (256u << 10) /* the smallest ring: 16 slots of 16 KiB */

static uint8_t meta[XF_META_MAX];
static uint8_t got[1 << 16];

static struct xf_link_cfg small_config(unsigned channels)
{
    struct xf_link_cfg cfg = config(channels);

    cfg.rdma_buffer = WINDOW_BUFFER;
    return cfg;
}

/* A hostile source in a thread: the sink's accept() has to run meanwhile. */
struct foe {
    struct xf_listener *l; /* foe_open() */
    struct xf_chan *c;     /* likewise */
    pthread_t thread;
    const struct xf_link_cfg *cfg;
    const struct rr_lie *lie;
    uint16_t port;
    unsigned index;
    struct rr r;
    bool dialled;
    bool told; /* the sink ended the connection while this peer waited for an answer */
    int verdict;
    atomic_bool done;
};

static void *foe_run(void *arg)
{
    struct foe *f = arg;
    uint8_t hello[32];

    f->verdict = -1;
    raw_hello(hello, f->index, f->cfg->channels, f->cfg->encrypt);
    f->dialled = rr_dial(&f->r, row->addr, f->port, f->lie ? f->lie->greeting : NULL);
    if (f->dialled)
        f->verdict = rr_prove(&f->r, f->cfg->key->bytes, hello, f->lie);
    f->told = f->r.told;
    if (f->lie) /* peers that lie here are not needed any more */
        rr_drop(&f->r, true);
    atomic_store(&f->done, true);
    return NULL;
}

static void foe_begin(struct foe *f, const struct xf_link_cfg *cfg, uint16_t port, unsigned index,
                      const struct rr_lie *lie)
{
    memset(f, 0, sizeof(*f));
    f->cfg = cfg;
    f->port = port;
    f->index = index;
    f->lie = lie;
    pthread_create(&f->thread, NULL, foe_run, f);
}

/* f->c, the sink's end of a channel whose source is hostile, at a listener of its own. */
static void foe_open(struct foe *f, const struct xf_link_cfg *cfg, unsigned index)
{
    struct xf_err err = {0};
    uint16_t port = 0;
    struct xf_listener *l = listen_row(cfg, &port);
    unsigned got_index = 99;
    int rc;

    foe_begin(f, cfg, port, index, NULL);
    f->l = l;
    rc = accept_row(l, SOON, &f->c, &got_index, &err);
    pthread_join(f->thread, NULL);
    if (rc || f->verdict || got_index != index)
        fprintf(stderr, "foe: %d %d %s\n", rc, f->verdict, err.text);
    CU_ASSERT_FATAL(rc == 0 && f->verdict == 0 && got_index == index);
}

static void foe_close(struct foe *f)
{
    rr_drop(&f->r, true);
    row->ops->close(f->c);
    row->ops->unlisten(f->l);
}

static bool still_good(struct xf_listener *l, const struct xf_link_cfg *cfg, uint16_t port)
{
    struct pair p = {.l = l, .port = port};
    bool ok = pair_add(&p, cfg, 1);

    row->ops->close(p.a);
    row->ops->close(p.b);
    return ok;
}

/* One whole message in one fragment; pattern 1 and 2. Sealed by the raw peer's key. */
static size_t compose(const struct rr *r, bool sealed, uint64_t nonce_nr, uint8_t *out,
                      uint32_t meta_len, uint32_t payload_len)
{
    struct xf_msg m = {9, 0, meta_len, payload_len};
    size_t len = XF_FRAME_BYTES + meta_len + payload_len, total = len + 16;
    gnutls_datum_t key = {(uint8_t *)r->seal_source, 32};
    gnutls_aead_cipher_hd_t h;
    uint8_t nonce[12] = {0}, *plain = malloc(len);

    fill(plain + XF_FRAME_BYTES, meta_len, 1);
    fill(plain + XF_FRAME_BYTES + meta_len, payload_len, 2);
    xf_frame_encode(plain, &m, plain + XF_FRAME_BYTES, NULL);
    if (!sealed) {
        memcpy(out, plain, len);
        free(plain);
        return len;
    }
    rr_put(nonce + 4, nonce_nr, 8);
    gnutls_aead_cipher_init(&h, GNUTLS_CIPHER_AES_256_GCM, &key);
    gnutls_aead_cipher_encrypt(h, nonce, 12, NULL, 0, 16, plain, len, out, &total);
    gnutls_aead_cipher_deinit(h);
    free(plain);
    return total;
}

static int take(struct xf_chan *c, struct xf_err *err)
{
    struct xf_msg m = {0};
    struct iovec v;

    if (row->ops->recv(c, &m, meta, SOON, err))
        return -1;
    v = (struct iovec){got, m.payload_len};
    return row->ops->recv_payload(c, &v, 1, err);
}

/* A source written from the document, with none of the transport's code, is understood. */
static void test_by_the_book(void)
{
    static const struct {
        uint32_t meta, payload;
    } sizes[] = {{0, 0}, {1000, 3000}, {8, 4096}, {0, 1}};
    struct xf_link_cfg cfg = small_config(1);
    struct xf_err err = {0};
    struct xf_msg m = {3, 0, 5, 0};
    uint8_t bytes[16384], back[RR_RECV_BYTES];
    unsigned index;
    size_t i;

    for (index = 0; index < 2; index++) {
        struct foe f;

        foe_open(&f, &cfg, index);
        CU_ASSERT(f.r.slots >= 4 && f.r.slot >= 4096 && !f.r.ring == !index);
        for (i = 0; i < 20; i++) {
            size_t k = i % 4;
            size_t len = compose(&f.r, cfg.encrypt, i, bytes, sizes[k].meta, sizes[k].payload);

            CU_ASSERT(rr_fragment(&f.r, bytes, len) == IBV_WC_SUCCESS);
            CU_ASSERT_FATAL(take(f.c, &err) == 0);
            CU_ASSERT(holds(meta, sizes[k].meta, 1) && holds(got, sizes[k].payload, 2));
        }
        CU_ASSERT(row->ops->send(f.c, &m, "hello", NULL, 0, &err) == 0);
        do { /* credits may also arrive on their own */
            CU_ASSERT_FATAL(rr_recv(&f.r, back, sizeof(back)) >= 0);
        } while (!(ntohl(f.r.last.imm_data) >> 28 & 1));
        CU_ASSERT(f.r.last.byte_len == 29u + (cfg.encrypt ? 16 : 0));
        CU_ASSERT(cfg.encrypt || !f.r.last.byte_len ||
                  !memcmp(index ? f.r.mem + RR_MEM / 2 : back, "XFM1", 4));
        rr_drop(&f.r, true);
        CU_ASSERT(take(f.c, &err) == -1 && err.num == ECONNRESET);
        xf_clear(&err);
        row->ops->close(f.c);
        row->ops->unlisten(f.l);
    }
}

/* Greetings and handshakes that are not ours: dropped at once, without an error to the sink's
 * caller: the stranger learns it long before its time is over. */
static void test_strangers(void)
{
    static const struct rr_lie lies[] = {
        {.greeting = "XFR2\1\0\0\0"},
        {.greeting = "XFR1\2\0\0\0"},
        {.greeting = "XFR1\1\0\1\0"},
        {.greeting = "\0\0\0\0\0\0\0\0"},
        {.cut = 1},
        {.cut = 64},
        {.stop_after = 1},
        {.stop_after = 2, .flip = 33},
        {.flip = 1} /* ring */,
        {.flip = 20},
        {.flip = 33} /* proof */,
        {.flip = 64},
        {.mirror = true},
    };
    struct xf_link_cfg cfg = small_config(1);
    struct xf_listener *l;
    uint16_t port = 0;
    size_t i;

    cfg.timeout_ms = 12 * RR_WAIT_MS; /* an end before this is not a time-out */
    l = listen_row(&cfg, &port);
    for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct foe f;

        foe_begin(&f, &cfg, port, 1, &lies[i]);
        CU_ASSERT(accept_none(l, &f.done));
        pthread_join(f.thread, NULL);
        CU_ASSERT(f.verdict == -1);
        CU_ASSERT(f.dialled == !lies[i].greeting);
        /* peers that send no more hang up on their own */
        CU_ASSERT(f.told == (!lies[i].greeting && !lies[i].stop_after));
    }
    CU_ASSERT(still_good(l, &cfg, port));
    row->ops->unlisten(l);
}

static void ring_of(uint8_t out[32], uint64_t addr, uint32_t rkey, uint32_t slot, uint32_t slots)
{
    memset(out, 0, 32);
    rr_put(out, addr, 8);
    rr_put(out + 8, rkey, 4);
    rr_put(out + 12, slot, 4);
    rr_put(out + 16, slots, 4);
}

static const struct {
    uint64_t addr;
    uint32_t slot, slots;
    uint8_t tail;
    unsigned index;
} bad_rings[] = {
    {4096, 0, 32, 0, 1},
    {4096, 4095, 32, 0, 1},
    {4096, 2u << 20, 32, 0, 1},
    {4096, UINT32_MAX, 32, 0, 1},
    {4096, 4096, 3, 0, 1},
    {4096, 4096, 1025, 0, 1},
    {4096, 4096, UINT32_MAX, 0, 1},
    {UINT64_MAX - 4096, 4096, 4, 0, 1},
    {4096, 4096, 32, 1, 1},
    {4096, 4096, 32, 0, 0}, /* memory on a small channel */
};

/* A peer that knows the key and has an impossible ring: reported on both sides. */
static void test_rings(void)
{
    struct xf_link_cfg cfg = small_config(1);
    struct xf_listener *l;
    struct rr sink;
    uint16_t port, port2 = 0;
    size_t i;

    l = listen_row(&cfg, &port);
    CU_ASSERT_FATAL(rr_listen(&sink, row->addr, &port2));
    for (i = 0; i < sizeof(bad_rings) / sizeof(bad_rings[0]); i++) {
        uint8_t ring[32], hello[32];
        struct rr_lie lie = {.ring = ring};
        struct xf_err err = {0};
        struct xf_chan *c;
        unsigned index;
        struct foe f;
        struct dial d;

        ring_of(ring, bad_rings[i].addr, 7, bad_rings[i].slot, bad_rings[i].slots);
        ring[31] = bad_rings[i].tail;
        foe_begin(&f, &cfg, port, bad_rings[i].index, &lie);
        CU_ASSERT(accept_row(l, SOON, &c, &index, &err) == -1 && err.num == EPROTO);
        pthread_join(f.thread, NULL);
        CU_ASSERT(f.verdict == 6);

        /* and the other way round */
        raw_hello(hello, bad_rings[i].index, 1, cfg.encrypt);
        dial_begin(&d, &cfg, port2, bad_rings[i].index);
        CU_ASSERT_FATAL(rr_answer(&sink, NULL));
        CU_ASSERT(rr_serve(&sink, cfg.key->bytes, hello, &lie));
        CU_ASSERT(dial_end(&d) == -1 && d.err.num == EPROTO);
        rr_drop(&sink, true);
    }
    CU_ASSERT(still_good(l, &cfg, port));
    row->ops->unlisten(l);
    rr_unlisten(&sink);
}

/* False sinks, seen from the source. */
static void test_other_sinks(void)
{
    static const struct {
        struct rr_lie lie;
        int num;
        bool key;
    } sinks[] = {
        {{.greeting = "XFR1\2\0\0\0"}, EPROTO, true},
        {{.greeting = "HTTP/1.1"}, EPROTO, true},
        {{.cut = 1}, EPROTO, true},
        {{0}, EACCES, false},
        {{.flip = 1}, EACCES, true} /* hello */,
        {{.flip = 40}, EACCES, true} /* ring */,
        {{.flip = 96}, EACCES, true} /* proof */,
        {{.stop_after = 1}, ECONNRESET, true},
    };
    struct xf_link_cfg cfg = small_config(1);
    uint8_t hello[32], wrong[32] = {1};
    struct rr sink;
    uint16_t port = 0;
    size_t i;

    raw_hello(hello, 1, 1, cfg.encrypt);
    CU_ASSERT_FATAL(rr_listen(&sink, row->addr, &port));
    for (i = 0; i < sizeof(sinks) / sizeof(sinks[0]); i++) {
        struct dial d;
        bool up, served = false;

        dial_begin(&d, &cfg, port, 1);
        up = rr_answer(&sink, sinks[i].lie.greeting);
        CU_ASSERT(up || sinks[i].lie.greeting);
        if (up && !sinks[i].lie.greeting)
            served = rr_serve(&sink, sinks[i].key ? cfg.key->bytes : wrong, hello, &sinks[i].lie);
        /* a sink whose answer is refused learns it while it waits for the next message */
        CU_ASSERT(sink.told ==
                  (up && !served && !sinks[i].lie.greeting && !sinks[i].lie.stop_after));
        if (sinks[i].lie.stop_after)
            rr_drop(&sink, true);
        CU_ASSERT(dial_end(&d) == -1);
        CU_ASSERT(d.err.num == sinks[i].num);
        rr_drop(&sink, true);
    }
    rr_unlisten(&sink);
}

/* The connection dies after each message of the handshake; the sink goes on. */
static void test_death_in_handshake(void)
{
    struct xf_link_cfg cfg = small_config(1);
    uint8_t hello[32];
    struct xf_listener *l;
    uint16_t port = 0;
    int step;

    raw_hello(hello, 1, 1, cfg.encrypt);
    l = listen_row(&cfg, &port);
    for (step = 0; step < 3; step++) {
        struct rr_lie lie = {.stop_after = step ? step : 1};
        struct xf_chan *c = NULL;
        struct xf_err err = {0};
        unsigned index;
        struct foe f;
        int rc;

        foe_begin(&f, &cfg, port, 1, &lie);
        do /* after the last message the sink may have opened the channel already */
            rc = accept_row(l, 20, &c, &index, &err);
        while (rc == XF_AGAIN && !atomic_load(&f.done));
        pthread_join(f.thread, NULL);
        CU_ASSERT(step == 2 || rc == XF_AGAIN);
        if (rc == 0) {
            CU_ASSERT(take(c, &err) == -1 && err.num == ECONNRESET);
            row->ops->close(c);
            row->ops->unlisten(l); /* the number is taken */
            l = listen_row(&cfg, &port);
        }
    }
    CU_ASSERT(still_good(l, &cfg, port));
    row->ops->unlisten(l);
}

/* Fragments that lie. Each ends the channel, with EPROTO where this side's device shows the
 * cause. */
enum { LEN_SLOT_1 = -1, WRITE_EMPTY = -2 };

static void test_fragments(void)
{
    static const struct {
        const char *what;
        uint32_t seq, credits, flags;
        long len; /* 0: a whole message */
        int op;   /* 0: the right one */
        unsigned index;
    } lies[] = {
        {"flag 4", 0, 0, 4, 0, 0, 1},
        {"flags data and bye", 0, 0, 3, 0, 0, 1},
        {"credits over the limit", 0, 1025, 1, 0, 0, 1},
        {"wrong number", 1, 0, 1, 0, 0, 1},
        {"number of the one before", 0xffff, 0, 1, 0, 0, 1},
        {"credits never lent", 0, 1, 1, 0, 0, 1},
        {"all credits never lent", 0, 32, 1, 0, 0, 1},
        {"says nothing", 0, 0, 0, WRITE_EMPTY, 0, 1},
        {"data of no bytes", 0, 0, 1, WRITE_EMPTY, 0, 1},
        {"longer than a slot", 0, 0, 1, LEN_SLOT_1, 0, 1},
        {"note with a number", 7, 0, 2, WRITE_EMPTY, 1 + IBV_WR_SEND_WITH_IMM, 1},
        {"note written", 0, 0, 2, WRITE_EMPTY, 0, 1},
        {"SEND without an immediate", 0, 0, 0, WRITE_EMPTY, 1 + IBV_WR_SEND, 1},
        {"data sent on a bulk channel", 0, 0, 1, WRITE_EMPTY, 1 + IBV_WR_SEND_WITH_IMM, 1},
        {"wrong number, control", 3, 0, 1, 0, 0, 0},
        {"written to control", 0, 0, 1, WRITE_EMPTY, 1 + IBV_WR_RDMA_WRITE_WITH_IMM, 0},
        {"control, no immediate", 0, 0, 0, 0, 1 + IBV_WR_SEND, 0},
        {"control, credits never lent", 0, 5, 1, 0, 0, 0},
        {"control, data of no bytes", 0, 0, 1, WRITE_EMPTY, 0, 0},
    };
    struct xf_link_cfg cfg = small_config(1);
    uint8_t *bytes = calloc(1, 1 << 20);
    size_t i;

    for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct xf_err err = {0};
        struct foe f;
        uint32_t imm = rr_imm(lies[i].seq, lies[i].credits, lies[i].flags);
        size_t len;

        foe_open(&f, &cfg, lies[i].index);
        len = compose(&f.r, cfg.encrypt, 0, bytes, 10, 100);
        if (lies[i].len == LEN_SLOT_1)
            len = f.r.slot + 1;
        if (lies[i].len == WRITE_EMPTY)
            len = 0;
        memcpy(f.r.mem, bytes, len);
        rr_post(&f.r,
                lies[i].op      ? (enum ibv_wr_opcode)(lies[i].op - 1)
                : lies[i].index ? IBV_WR_RDMA_WRITE_WITH_IMM
                                : IBV_WR_SEND_WITH_IMM,
                0, len, imm, f.r.ring, f.r.rkey);
        CU_ASSERT(take(f.c, &err) == -1 && err.num == EPROTO);
        if (err.num != EPROTO)
            fprintf(stderr, "%s: %d %s\n", lies[i].what, err.num, err.text);
        xf_clear(&err); /* final: it stays an error */
        CU_ASSERT(take(f.c, &err) == -1 && err.num);
        foe_close(&f);
    }
    free(bytes);
}

/* More fragments than credits: those within the credits are good, the next is not. */
static void overrun(unsigned index)
{
    struct xf_link_cfg cfg = small_config(1);
    struct xf_err err = {0};
    uint8_t bytes[400];
    struct foe f;
    uint32_t i, n = 0;

    foe_open(&f, &cfg, index);
    for (i = 0; i <= f.r.slots; i++)
        rr_fragment(&f.r, bytes, compose(&f.r, cfg.encrypt, i, bytes, 100, 200));
    while (take(f.c, &err) == 0)
        n++;
    /* on a bulk channel the excess one has overwritten the first: the sender's own loss */
    CU_ASSERT(err.num == EPROTO && n <= f.r.slots);
    CU_ASSERT(cfg.encrypt || n == f.r.slots);
    foe_close(&f);
}

static void test_overrun(void)
{
    overrun(0);
    overrun(1);
}

static void test_after_bye(void)
{
    struct xf_link_cfg cfg = small_config(1);
    struct xf_err err = {0};
    uint8_t bytes[400];
    struct foe f;
    int last;

    for (last = 0; last < 2; last++) {
        xf_clear(&err);
        foe_open(&f, &cfg, 1);
        rr_fragment(&f.r, bytes, compose(&f.r, cfg.encrypt, 0, bytes, 100, 200));
        CU_ASSERT(rr_post(&f.r, IBV_WR_SEND_WITH_IMM, 0, 0, rr_imm(0, 0, 2), 0, 0) ==
                  IBV_WC_SUCCESS);
        if (last)
            rr_fragment(&f.r, bytes, compose(&f.r, cfg.encrypt, 1, bytes, 100, 200));
        CU_ASSERT(take(f.c, &err) == 0); /* received before the disconnect */
        CU_ASSERT(take(f.c, &err) == -1 && err.num == (last ? EPROTO : ECONNRESET));
        CU_ASSERT(last || strstr(err.text, "closed"));
        foe_close(&f);
    }
}

/* Writes outside the offered memory: the device refuses them, and the channel ends. */
static void test_memory(void)
{
    struct xf_link_cfg cfg = small_config(1);
    int i;

    for (i = 0; i < 5; i++) {
        struct xf_err err = {0};
        struct foe f;
        uint64_t at;
        uint32_t rkey, key_off = 0;
        enum ibv_wc_status st;

        foe_open(&f, &cfg, i < 4);
        at = f.r.ring;
        if (i == 0) /* one byte beyond the ring */
            at += (uint64_t)f.r.slot * f.r.slots - 63;
        if (i == 1)
            at -= 1;
        if (i == 2)
            key_off = 1 << 8;
        if (i == 3)
            at = (uintptr_t)&cfg;
        rkey = f.r.rkey + key_off;
        st = rr_post(&f.r, IBV_WR_RDMA_WRITE_WITH_IMM, 0, 64, rr_imm(0, 0, 1), at, rkey);
        CU_ASSERT(st != IBV_WC_SUCCESS);
        CU_ASSERT(take(f.c, &err) == -1 && (err.num == EPROTO || err.num == ECONNRESET));
        foe_close(&f);
    }
    /* reading is not possible at all */
    {
        struct foe f;

        foe_open(&f, &cfg, 1);
        CU_ASSERT(rr_post(&f.r, IBV_WR_RDMA_READ, 0, 64, 0, f.r.ring, f.r.rkey) != IBV_WC_SUCCESS);
        foe_close(&f);
    }
}

/* A message split into fragments of any size, also at the critical places; then changed. */
static void test_torn(void)
{
    static const size_t at[] = {1, 23, 24, 25, 123, 124, 125, 300};
    struct xf_link_cfg cfg = small_config(1);
    uint8_t bytes[600];
    size_t i;

    if (cfg.encrypt)
        return; /* test_sealed */
    for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        struct xf_err err = {0};
        struct foe f;
        size_t len;

        foe_open(&f, &cfg, i % 2);
        len = compose(&f.r, false, 0, bytes, 100, 400);
        rr_fragment(&f.r, bytes, at[i]);
        rr_fragment(&f.r, bytes + at[i], len - at[i]);
        CU_ASSERT(take(f.c, &err) == 0 && holds(meta, 100, 1) && holds(got, 400, 2));
        bytes[at[i] % 124] ^= 0x10; /* in the head or the meta part */
        rr_fragment(&f.r, bytes, len);
        CU_ASSERT(take(f.c, &err) == -1 && err.num == EPROTO);
        foe_close(&f);
    }
}

/* Sealed: a bit changed, a fragment repeated, one left out, one not sealed, one too short. */
static void test_sealed(void)
{
    struct xf_link_cfg cfg = small_config(1);
    uint8_t bytes[600];
    int i;

    if (!cfg.encrypt)
        return;
    for (i = 0; i < 7; i++) {
        struct xf_err err = {0};
        struct foe f;
        size_t len;

        foe_open(&f, &cfg, i % 2);
        len = compose(&f.r, true, 0, bytes, 100, 200);
        rr_fragment(&f.r, bytes, len);
        CU_ASSERT(take(f.c, &err) == 0 && holds(got, 200, 2));
        if (i != 2) /* 2: the same one again */
            len = compose(&f.r, true, i == 3 ? 2 : 1, bytes, 100, 200);
        if (i == 0)
            bytes[0] ^= 1;
        if (i == 1)
            bytes[len - 1] ^= 0x80;
        if (i == 4)
            len = compose(&f.r, false, 0, bytes, 100, 200);
        if (i == 5)
            len = 16; /* only a tag */
        if (i == 6)
            len--;
        rr_fragment(&f.r, bytes, len);
        CU_ASSERT(take(f.c, &err) == -1 && err.num == EPROTO);
        foe_close(&f);
    }
}

/* A sink that returns no credits: the source fills the ring, and sends no more. */
static void test_no_credits(void)
{
    struct xf_link_cfg cfg = small_config(1);
    uint8_t hello[32], page[4096] = {0};
    struct iovec v = {page, sizeof(page)};
    struct xf_msg m = {1, 0, 0, sizeof(page)};
    struct rr sink;
    struct dial d;
    uint16_t port = 0;
    int sent = 0, arrived = 0;
    struct xf_err err = {0};
    int64_t end;
    struct ibv_wc wc;

    cfg.stall_ms = STALL;
    raw_hello(hello, 1, 1, cfg.encrypt);
    CU_ASSERT_FATAL(rr_listen(&sink, row->addr, &port));
    dial_begin(&d, &cfg, port, 1);
    CU_ASSERT_FATAL(rr_answer(&sink, NULL) && rr_serve(&sink, cfg.key->bytes, hello, NULL));
    CU_ASSERT_FATAL(dial_end(&d) == 0);
    while (sent < 1000 && row->ops->send(d.chan, &m, NULL, &v, 1, &err) == 0)
        sent++;
    CU_ASSERT(sent == 32 && err.num == ETIMEDOUT); /* its ring's slots */
    end = rr_now() + SOON;
    while (arrived < 32 && rr_now() < end && rr_wait(&sink, true, &wc))
        arrived++;
    CU_ASSERT(arrived == 32);
    row->ops->close(d.chan);
    rr_unlisten(&sink);
}

/* The peer's queue pair is gone without notice: a waiting side still notices. */
static void test_silent_death(void)
{
    struct xf_link_cfg cfg = small_config(1);
    struct xf_err err = {0};
    struct xf_msg m;
    struct foe f;

    cfg.stall_ms = 600; /* so the device gives up after about as long */
    foe_open(&f, &cfg, 1);
    CU_ASSERT(row->ops->recv(f.c, &m, meta, 1500, &err) == XF_AGAIN); /* alive, though silent */
    rr_drop(&f.r, false);
    CU_ASSERT(row->ops->recv(f.c, &m, meta, -1, &err) == -1);
    CU_ASSERT(err.num == ETIMEDOUT || err.num == ECONNRESET);
    foe_close(&f);
}

/* The kernel's counts of queue pairs and the like, over all RDMA devices. */
static void resources(char *out, size_t size)
{
    FILE *p = popen("rdma resource show", "r");
    size_t n = p ? fread(out, 1, size - 1, p) : 0;

    out[n] = 0;
    if (p)
        pclose(p);
}

static void test_leaks(void)
{
    struct xf_link_cfg cfg = small_config(1);
    char before[1024], after[1024];
    struct xf_msg m = {1, 0, 0, 0};
    struct xf_err err = {0};
    int fds, i;

    fds = open_fds();
    resources(before, sizeof(before));
    CU_ASSERT(strstr(before, " qp ") != NULL);
    for (i = 0; i < 100; i++) {
        struct pair p;
        struct foe f;

        CU_ASSERT_FATAL(pair_open(&p, &cfg));
        if (i % 3 == 0)
            CU_ASSERT(row->ops->send(p.a, &m, NULL, NULL, 0, &err) == 0);
        if (i % 5 == 0)
            row->ops->abort(p.b);
        if (i % 10 == 0) { /* an unfinished one is left to unlisten */
            static const struct rr_lie lie = {.stop_after = 1};

            foe_begin(&f, &cfg, p.port, 0, &lie);
            CU_ASSERT(accept_none(p.l, &f.done));
            pthread_join(f.thread, NULL);
        }
        pair_close(&p);
    }
    resources(after, sizeof(after));
    CU_ASSERT_STRING_EQUAL(before, after);
    CU_ASSERT(open_fds() == fds);
}

static void test_probe(void)
{
    static struct xf_rdma_device devs[XF_RDMA_DEVICES_MAX];
    int n = xf_rdma_devices(devs, XF_RDMA_DEVICES_MAX), i, k, found = 0;
    struct xf_link_cfg cfg = config(4);
    struct xf_err err = {0};
    uint64_t need;

    CU_ASSERT(n > 0);
    for (i = 0; i < n; i++) {
        CU_ASSERT(devs[i].name[0] && devs[i].state[0] && devs[i].port >= 1);
        for (k = 0; k < devs[i].nr_addr; k++)
            found += devs[i].active && devs[i].usable && !strcmp(devs[i].addr[k], row->addr);
    }
    CU_ASSERT(found == 1);
    CU_ASSERT(xf_rdma_can_reach(row->addr, NULL, SOON, &err) == 0);
    CU_ASSERT(xf_rdma_can_reach(row->addr, row->addr, SOON, &err) == 0);
    CU_ASSERT(xf_rdma_can_reach("127.0.0.1", NULL, 500, &err) == -1 && err.num && err.text[0]);
    xf_clear(&err);
    CU_ASSERT(xf_rdma_can_reach(row->addr, "192.0.2.1", 500, &err) == -1);
    CU_ASSERT(err.num == EADDRNOTAVAIL);
    xf_clear(&err);
    CU_ASSERT(xf_rdma_can_reach("", NULL, 500, &err) == -1 && err.num == EADDRNOTAVAIL);
    cfg.rdma_buffer = 1 << 20;
    need = xf_rdma_memory(&cfg);
    CU_ASSERT(need >= 4u << 20 && need < 32u << 20);
    xf_clear(&err);
    CU_ASSERT(xf_rdma_memlock_ok(need, &err) == 0);
    cfg.rdma_buffer = 4096;
    CU_ASSERT(row->ops->listen(&cfg, row->addr, 0, NULL, NULL, &err) == -1 && err.num == EINVAL);
}

int main(void)
{
    static const struct test tests[] = {
        {"probe", test_probe, false},
        {"a source by the document", test_by_the_book, false},
        {"strangers", test_strangers, false},
        {"rings that cannot be", test_rings, false},
        {"sinks that are not ours", test_other_sinks, false},
        {"death during the handshake", test_death_in_handshake, false},
        {"fragments that lie", test_fragments, false},
        {"more than the credits", test_overrun, false},
        {"good-bye", test_after_bye, false},
        {"memory that was not offered", test_memory, false},
        {"torn messages", test_torn, false},
        {"sealed fragments", test_sealed, false},
        {"no credits", test_no_credits, false},
        {"silent death", test_silent_death, false},
        {"nothing is left", test_leaks, false},
    };

    if (!rdma_rows())
        return 0;
    setenv("XF_TEST_ONLY", "rdma", 0);
    return run(tests, sizeof(tests) / sizeof(tests[0]), 170);
}
