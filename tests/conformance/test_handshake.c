/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conformance: how a channel is opened. Which peers are accepted, which are told why not, which are
 * dropped without an answer, and that none of them delays the others.
 */
#include "tests/conformance/harness.h"

#include "transport/frame.h"
#include "transport/wire.h"

static uint8_t meta[XF_META_MAX];

/* The listener still accepts a good peer. */
static bool still_good(struct xf_listener *l, const struct xf_link_cfg *cfg, uint16_t port,
                       unsigned index)
{
    struct pair p = {.l = l, .port = port};
    bool ok = pair_add(&p, cfg, index);

    row->ops->close(p.a);
    row->ops->close(p.b);
    return ok;
}

/* A message each way. */
static bool talks(struct xf_chan *a, struct xf_chan *b)
{
    struct xf_msg m = {7, 0, 5, 0}, r;

    return row->ops->send(a, &m, "hello", NULL, 0, NULL) == 0 &&
           row->ops->recv(b, &r, meta, SOON, NULL) == 0 && !memcmp(meta, "hello", 5) &&
           row->ops->send(b, &m, "HELLO", NULL, 0, NULL) == 0 &&
           row->ops->recv(a, &r, meta, SOON, NULL) == 0 && !memcmp(meta, "HELLO", 5);
}

#define ALL (XF_CHANNELS_MAX + 2) /* channels of the largest move */

static void whole_move(unsigned version)
{
    struct xf_link_cfg cfg = config(XF_CHANNELS_MAX);
    struct dial d[ALL];
    struct xf_chan *sink[ALL] = {0};
    struct xf_listener *l;
    uint16_t port;
    unsigned i, index;

    cfg.version = version;
    l = listen_row(&cfg, &port);
    for (i = 0; i < ALL; i++) /* all at once */
        dial_begin(&d[i], &cfg, port, i);
    for (i = 0; i < ALL; i++) {
        struct xf_chan *c = NULL;
        struct xf_err err = {0};

        CU_ASSERT(accept_row(l, SOON, &c, &index, &err) == 0);
        CU_ASSERT_FATAL(c && index < ALL && !sink[index]);
        sink[index] = c;
    }
    row->ops->unlisten(l); /* accepted channels live on */
    for (i = 0; i < ALL; i++) {
        CU_ASSERT_FATAL(dial_end(&d[i]) == 0);
        CU_ASSERT(talks(d[i].chan, sink[i])); /* so each index met its own peer */
        row->ops->close(d[i].chan);
        row->ops->close(sink[i]);
    }
}

/* In every version that is supported here. */
static void test_whole_move(void)
{
    for (unsigned v = XF_WIRE_OLDEST; v <= XF_WIRE_VERSION; v++)
        whole_move(v);
    whole_move(0);
}

static void test_addresses(void)
{
    struct xf_link_cfg cfg = config(4);
    struct pair p = {0};
    struct dial d;
    unsigned index;

    /* listen on all addresses, connect to this row's */
    CU_ASSERT_FATAL(row->ops->listen(&cfg, NULL, 0, &p.l, &p.port, NULL) == 0);
    CU_ASSERT_FATAL(pair_add(&p, &cfg, 0));
    CU_ASSERT(talks(p.a, p.b));
    pair_close(&p);
    memset(&p, 0, sizeof(p));
    p.l = listen_row(&cfg, &p.port);
    dial_begin(&d, &cfg, p.port, 1); /* warm, and as usual */
    CU_ASSERT(accept_row(p.l, SOON, &p.b, &index, NULL) == 0 && dial_end(&d) == 0);
    p.a = d.chan;
    pair_close(&p);
    memset(&p, 0, sizeof(p));
    CU_ASSERT(row->ops->listen(&cfg, "no address", 0, &p.l, &p.port, NULL) == -1);
    CU_ASSERT(row->ops->listen(&cfg, "192.0.2.1", 0, &p.l, &p.port, NULL) == -1);
    cfg.channels = 0;
    CU_ASSERT(row->ops->listen(&cfg, row->addr, 0, &p.l, &p.port, NULL) == -1);
    cfg.channels = 1;
    cfg.timeout_ms = 0;
    CU_ASSERT(row->ops->listen(&cfg, row->addr, 0, &p.l, &p.port, NULL) == -1);
    cfg = config(1);
    cfg.channels = XF_CHANNELS_MAX + 1;
    CU_ASSERT(row->ops->listen(&cfg, row->addr, 0, &p.l, &p.port, NULL) == -1);
}

/* A name with several addresses, one of which listens; a local address to connect from. */
static void dial_as(const char *host, const char *src, int num)
{
    struct xf_link_cfg cfg = config(1);
    struct xf_chan *a = NULL, *b = NULL;
    struct xf_listener *l;
    struct xf_err err = {0};
    struct dial d = {.cfg = cfg, .host = host, .src = src, .index = 1};
    unsigned index;

    l = listen_row(&cfg, &d.port);
    pthread_create(&d.thread, NULL, dial_run, &d);
    if (num == 0)
        CU_ASSERT(accept_row(l, SOON, &b, &index, &err) == 0);
    dial_end(&d);
    a = d.chan;
    CU_ASSERT(d.err.num == num);
    CU_ASSERT((num == 0) == (d.rc == 0));
    CU_ASSERT(num == 0 || d.err.text[0]);
    row->ops->close(a);
    row->ops->close(b);
    row->ops->unlisten(l);
}

static void test_names(void)
{
    bool four = strchr(row->addr, '.'), lo = four && !strncmp(row->addr, "127.", 4);

    if (lo)
        dial_as("localhost", NULL, 0);
    dial_as(row->addr, lo ? "127.0.0.2" : row->addr, 0);
    dial_as(row->addr, four ? "192.0.2.1" : "2001:db8::1", EADDRNOTAVAIL);
    dial_as("", NULL, EADDRNOTAVAIL);
}

static void test_nobody(void)
{
    struct xf_link_cfg cfg = config(1);
    struct xf_listener *l;
    struct xf_chan *c = NULL;
    struct xf_err err = {0};
    struct dial d;
    uint16_t port;
    unsigned index;
    int64_t t;

    l = listen_row(&cfg, &port);
    t = xf_now_ms();
    CU_ASSERT(accept_row(l, 0, &c, &index, &err) == XF_AGAIN);
    CU_ASSERT(accept_row(l, 50, &c, &index, &err) == XF_AGAIN && err.num == 0);
    CU_ASSERT(xf_now_ms() - t >= 49 && xf_now_ms() - t < SOON);
    cfg.timeout_ms = 150; /* a listener that never accepts */
    t = xf_now_ms();
    dial_begin(&d, &cfg, port, 1);
    /* the kernel has accepted the connection, where that shows */
    CU_ASSERT(dial_end(&d) == -1 && d.err.num == (row->raw ? ETIME : ETIMEDOUT));
    CU_ASSERT(xf_now_ms() - t >= 149 && xf_now_ms() - t < SOON);
    row->ops->unlisten(l);
    cfg.timeout_ms = SOON; /* no listener at all */
    t = xf_now_ms();
    dial_begin(&d, &cfg, port, 1);
    CU_ASSERT(dial_end(&d) == -1 && d.err.num == ECONNREFUSED);
    CU_ASSERT(xf_now_ms() - t < SOON);
}

/* A peer that does not know the key is dropped without an error to the sink's caller; the source
 * is told. */
static void test_wrong_key(void)
{
    struct xf_link_cfg cfg = config(1), bad = cfg;
    struct xf_key wrong;
    struct xf_listener *l;
    struct dial d;
    uint16_t port;
    int bit;

    l = listen_row(&cfg, &port);
    for (bit = 0; bit < 256; bit += 85) {
        bad = cfg;
        wrong = *cfg.key;
        wrong.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        bad.key = &wrong;
        dial_begin(&d, &bad, port, 1);
        CU_ASSERT(accept_none(l, &d.done));
        CU_ASSERT(dial_end(&d) == -1);
        CU_ASSERT(d.err.num == EACCES && strstr(d.err.text, "key"));
    }
    CU_ASSERT(still_good(l, &cfg, port, 1));
    row->ops->unlisten(l);
}

/* A peer that knows the key but does not match: reported on both sides, and the listener goes
 * on. */
static void refuse(struct xf_listener *l, uint16_t port, const struct xf_link_cfg *cfg,
                   unsigned index, int num, const char *word)
{
    struct xf_chan *c = NULL;
    struct xf_err err = {0};
    struct dial d;
    unsigned got;

    dial_begin(&d, cfg, port, index);
    CU_ASSERT(accept_row(l, SOON, &c, &got, &err) == -1);
    CU_ASSERT(err.num == num && strstr(err.text, word));
    CU_ASSERT(dial_end(&d) == -1);
    CU_ASSERT(d.err.num == num && strstr(d.err.text, word));
}

/* Two peers that use different versions, though both support both. */
static void test_versions(void)
{
    struct xf_link_cfg cfg = config(2), other;
    struct xf_listener *l;
    uint16_t port;

    for (unsigned v = 1; v <= 2; v++) {
        cfg.version = v;
        l = listen_row(&cfg, &port);
        other = cfg;
        other.version = 3 - v;
        for (unsigned i = 0; i < 4; i++)
            refuse(l, port, &other, i, EPROTO, "version");
        for (unsigned i = 0; i < 4; i++)
            CU_ASSERT(still_good(l, &cfg, port, i));
        row->ops->unlisten(l);
    }
    cfg.version = XF_WIRE_VERSION + 1;
    CU_ASSERT(row->ops->listen(&cfg, row->addr, 0, &l, &port, NULL) == -1);
}

static void test_misfits(void)
{
    struct xf_link_cfg cfg = config(2), other;
    struct xf_listener *l;
    struct pair p;
    uint16_t port;

    l = listen_row(&cfg, &port);
    other = cfg;
    other.channels = 3;
    refuse(l, port, &other, 1, EPROTO, "bulk channels");
    other = cfg;
    other.encrypt = !cfg.encrypt;
    refuse(l, port, &other, 1, EPROTO, "encryption");
    refuse(l, port, &cfg, 4, EPROTO, "channel 4"); /* 3 is the urgent one */
    refuse(l, port, &cfg, 40, EPROTO, "channel 40");
    p = (struct pair){.l = l, .port = port};
    CU_ASSERT_FATAL(pair_add(&p, &cfg, 1));
    refuse(l, port, &cfg, 1, EEXIST, "already");
    CU_ASSERT(talks(p.a, p.b)); /* the first one is not disturbed */
    CU_ASSERT(still_good(l, &cfg, port, 0));
    CU_ASSERT(still_good(l, &cfg, port, 2));
    CU_ASSERT(still_good(l, &cfg, port, 3));
    pair_close(&p);
}

/* A foreign implementation of the source: hellos that no transport of ours would send. */
struct lie {
    pthread_t thread;
    const struct xf_link_cfg *cfg;
    uint16_t port;
    const void *bytes;
    size_t len;
    long answered;
    uint8_t answer[64];
    atomic_bool done;
};

static void *lie_run(void *arg)
{
    struct lie *x = arg;
    struct raw r;

    x->answered = -1;
    if (row->raw->dial(&r, row->addr, x->port) == 0 &&
        row->raw->prove(&r, x->cfg->key->bytes) == 0 && row->raw->put(&r, x->bytes, x->len) == 0)
        x->answered = row->raw->get(&r, x->answer, sizeof(x->answer));
    row->raw->drop(&r);
    atomic_store(&x->done, true);
    return NULL;
}

static void test_hellos(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        int status; /* -1: dropped without an answer */
        const char *word;
    } lies[] = {
        {"XFH1\3\0\0\0\1\0\1\0\0\0\1\0\1\0", 32, 1, "version 3"},
        {"XFH1\1\0\0\0\1\0\1\0\0\0\0\0\0\0", 32, 1, "version 1"}, /* not the agreed one */
        {"XFH1\0\0\0\0\1\0\1\0\0\0\0\0\0\0", 32, 1, "version 0"},
        {"XFH1\2\0\0\0\0\0\1\0\0\0\3\0\1\0", 32, 4, "disk channel 1"}, /* it has none */
        {"XFH1\2\0\0\0\0\0\1\0\0\0\4\0\1\0", 32, 4, "channel 0 of role 4"},
        {"XFH1\2\0\0\0\1\0\1\0\0\0\1\0\1\0", 32, 4, "bulk channel 2"},
        {"XFH1\2\0\0\0\1\0\1\0\0\0\0\0\1\0", 32, 4, "control channel"}, /* the second */
        {"XFH1\2\0\0\0\0\0\1\0\4\0\1\0\1\0", 32, 6, "malformed"},
        {"XFH1\2\0\0\0\0\0\1\0\0\0\1\0\0\0", 32, 6, "malformed"}, /* supports no version */
        {"XFH1\2\0\0\0\0\0\1\0\0\0\1\0\3\0", 32, 6, "malformed"}, /* not even its own version */
        {"XFH2\2\0\0\0\0\0\1\0\0\0\1\0\1\0", 32, 6, "malformed"},
        {"GET / HTTP/1.1\r\nHost: example", 32, 6, "malformed"},
        {"XFH1\2\0\0\0\0\0\1\0\0\0\1\0\1\0", 31, -1, NULL}, /* short, long, two at once */
        {"XFH1\2\0\0\0\0\0\1\0\0\0\1\0\1\0", 33, -1, NULL},
        {"XFH1\2\0\0\0\0\0\1\0\0\0\1\0\1\0", 64, -1, NULL},
    };
    struct xf_link_cfg cfg = config(1);
    struct xf_listener *l;
    uint16_t port;
    size_t i;

    l = listen_row(&cfg, &port);
    for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        char bytes[64] = {0};
        struct lie x = {.cfg = &cfg, .port = port, .bytes = bytes, .len = lies[i].len};
        struct xf_chan *c = NULL;
        struct xf_err err = {0};
        unsigned index;
        int rc;

        memcpy(bytes, lies[i].bytes, strlen(lies[i].bytes) > 18 ? strlen(lies[i].bytes) : 18);
        if (lies[i].status == 4) /* else this is what is refused */
            bytes[12] = cfg.encrypt;
        pthread_create(&x.thread, NULL, lie_run, &x);
        if (lies[i].status < 0) {
            CU_ASSERT(accept_none(l, &x.done));
        } else {
            rc = accept_row(l, SOON, &c, &index, &err);
            CU_ASSERT(rc == -1 && err.num == EPROTO && strstr(err.text, lies[i].word));
        }
        pthread_join(x.thread, NULL);
        if (lies[i].status < 0) {
            CU_ASSERT(x.answered <= 0);
        } else {
            CU_ASSERT(x.answered == 32 && x.answer[6] == lies[i].status && x.answer[4] == 2);
        }
    }
    CU_ASSERT(still_good(l, &cfg, port, 1));
    row->ops->unlisten(l);
}

/* A source of version 1, byte for byte, where version 1 was agreed. */
static void test_first_version(void)
{
    static const char sent[32] = "XFH1\1\0\0\0\2\0\1\0\0\0", bulk[32] = "XFH1\1\0\0\0\1\0\1\0\0\0";
    const char *hellos[] = {bulk, sent};
    struct xf_link_cfg cfg = config(1);
    struct xf_listener *l;
    uint16_t port;

    cfg.version = 1;
    l = listen_row(&cfg, &port);
    for (unsigned i = 0; i < 2; i++) {
        char bytes[32];
        struct lie x = {.cfg = &cfg, .port = port, .bytes = bytes, .len = 32};
        struct xf_chan *c = NULL;
        unsigned index = 99;

        memcpy(bytes, hellos[i], 32);
        bytes[12] = cfg.encrypt;
        pthread_create(&x.thread, NULL, lie_run, &x);
        CU_ASSERT(accept_row(l, SOON, &c, &index, NULL) == 0 && index == i + 1);
        pthread_join(x.thread, NULL);
        CU_ASSERT(x.answered == 32 && !memcmp(x.answer, bytes, 32)); /* repeated, welcome */
        row->ops->close(c);
    }
    row->ops->unlisten(l);
}

/* A foreign implementation of the sink, seen from the source. */
static void test_other_sinks(void)
{
    static const struct {
        const char *bytes;
        const char *word;
        bool key;
    } sinks[] = {
        {"XFH1\3\0\1\0\0\0\1\0\0\0\1\0\1\0", "version 3", true},
        {"XFH1\3\0\0\0\0\0\1\0\0\0\1\0\1\0", "version 3", true}, /* did not refuse */
        {"XFH1\2\0\0\0\0\0\2\0\0\0\1\0\1\0", "bulk channels", true},
        {"XFH1\2\0\143\0\0\0\1\0\0\0\1\0\1\0", "unknown status 99", true},
        {"XFH1\2\0\0\0\0\0\1\0\0\0\0\0\1\0", "control channel", true}, /* not the requested one */
        {"XFH1\2\0\0\0\0\0\1\0\0\0\2\0\1\0", "urgent channel", true},  /* the same */
        {"XFH1\1\0\0\0\1\0\1\0\0\0\0\0\0\0", "version 1", true},
        {"XXXX\2\0\0\0\0\0\1\0\0\0\1\0\1\0", "XFH1", true},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS", false},
    };
    struct xf_link_cfg cfg = config(1);
    uint16_t port;
    int fd = row->raw->listen(row->addr, &port);
    size_t i;

    CU_ASSERT_FATAL(fd >= 0);
    for (i = 0; i < sizeof(sinks) / sizeof(sinks[0]); i++) {
        char bytes[32] = {0}, hello[32];
        struct raw r;
        struct dial d;

        memcpy(bytes, sinks[i].bytes, sinks[i].key ? 18 : 26);
        if (sinks[i].key && i != 2)
            bytes[12] = cfg.encrypt;
        dial_begin(&d, &cfg, port, 1);
        CU_ASSERT_FATAL(row->raw->answer(&r, fd) == 0);
        if (sinks[i].key) {
            CU_ASSERT(row->raw->prove(&r, cfg.key->bytes) == 0);
            CU_ASSERT(row->raw->get(&r, hello, 32) == 32 && hello[4] == 2 && hello[16] == 1);
            CU_ASSERT(hello[8] == 0 && hello[10] == 1 && hello[14] == 1);
            CU_ASSERT(row->raw->put(&r, bytes, 32) == 0);
        } else {
            row->raw->put_socket(&r, bytes, 26);
        }
        CU_ASSERT(dial_end(&d) == -1);
        CU_ASSERT(d.err.num == EPROTO && strstr(d.err.text, sinks[i].word));
        row->raw->drop(&r);
    }
    close(fd);
}

/* A sink that sends first: its message directly follows the welcome when that is read. */
static void test_eager_sink(void)
{
    struct xf_link_cfg cfg = config(1);
    uint8_t welcome[32], hello[32], frame[XF_FRAME_BYTES + 5] = {0};
    struct xf_msg m = {7, 0, 5, 0};
    uint16_t port;
    int fd = row->raw->listen(row->addr, &port);
    struct raw r;
    struct dial d;

    CU_ASSERT_FATAL(fd >= 0);
    raw_hello(welcome, 1, 1, cfg.encrypt);
    memcpy(frame + XF_FRAME_BYTES, "eager", 5);
    xf_frame_encode(frame, &m, frame + XF_FRAME_BYTES, NULL);
    dial_begin(&d, &cfg, port, 1);
    CU_ASSERT_FATAL(row->raw->answer(&r, fd) == 0);
    CU_ASSERT(row->raw->prove(&r, cfg.key->bytes) == 0);
    CU_ASSERT(row->raw->get(&r, hello, 32) == 32);
    row->raw->hold(&r, true); /* both in one segment */
    CU_ASSERT(row->raw->put(&r, welcome, 32) == 0);
    if (!cfg.encrypt)
        row->raw->plain(&r);
    CU_ASSERT(row->raw->put(&r, frame, sizeof(frame)) == 0);
    row->raw->hold(&r, false);
    CU_ASSERT_FATAL(dial_end(&d) == 0);
    CU_ASSERT(row->ops->recv(d.chan, &m, meta, SOON, NULL) == 0 && !memcmp(meta, "eager", 5));
    row->ops->close(d.chan);
    row->raw->drop(&r);
    close(fd);
}

/* The sink dies at each step of the handshake. */
static void test_dying_sink(void)
{
    struct xf_link_cfg cfg = config(1);
    uint16_t port;
    int fd = row->raw->listen(row->addr, &port), step;

    CU_ASSERT_FATAL(fd >= 0);
    for (step = 0; step < 3; step++) {
        uint8_t hello[32];
        struct raw r;
        struct dial d;

        dial_begin(&d, &cfg, port, 1);
        CU_ASSERT_FATAL(row->raw->answer(&r, fd) == 0);
        if (step > 0)
            CU_ASSERT(row->raw->prove(&r, cfg.key->bytes) == 0);
        if (step > 1)
            CU_ASSERT(row->raw->get(&r, hello, 32) == 32);
        row->raw->drop(&r);
        CU_ASSERT(dial_end(&d) == -1 && d.err.num == ECONNRESET);
    }
    close(fd);
}

/* Strangers of every kind, more than the table holds; a good peer is accepted among them. */
static void test_strangers(void)
{
    static const uint8_t client_hello[] = {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3};
    struct xf_link_cfg cfg = config(2);
    struct raw r[48], late;
    struct xf_listener *l;
    struct pair p;
    uint16_t port;
    uint8_t junk[2000];
    size_t i;

    l = listen_row(&cfg, &port);
    fill(junk, sizeof(junk), 77);
    for (i = 0; i < 48; i++) {
        CU_ASSERT_FATAL(row->raw->dial(&r[i], row->addr, port) == 0);
        if (i % 4 == 1)
            row->raw->put_socket(&r[i], junk, sizeof(junk));
        if (i % 4 == 2)
            row->raw->put_socket(&r[i], client_hello, sizeof(client_hello)); /* and no more */
        if (i % 4 == 3)
            row->raw->put_socket(&r[i], "SSH-2.0-OpenSSH_9.2\r\n", 21);
    }
    p = (struct pair){.l = l, .port = port};
    CU_ASSERT_FATAL(pair_add(&p, &cfg, 1));
    CU_ASSERT(row->raw->dial(&late, row->addr, port) == 0);
    row->raw->put_socket(&late, junk, sizeof(junk));
    CU_ASSERT(still_good(l, &cfg, port, 2));
    CU_ASSERT(talks(p.a, p.b));
    for (i = 0; i < 48; i++)
        row->raw->drop(&r[i]);
    row->raw->drop(&late);
    CU_ASSERT(still_good(l, &cfg, port, 0));
    pair_close(&p);
}

/* A peer that knows the key and then sends nothing, or garbage below TLS. */
static void *mute_run(void *arg)
{
    struct lie *x = arg;
    struct raw r;
    uint8_t b;

    x->answered = -99;
    if (row->raw->dial(&r, row->addr, x->port) == 0 &&
        row->raw->prove(&r, x->cfg->key->bytes) == 0) {
        if (x->len)
            row->raw->put_socket(&r, x->bytes, x->len);
        x->answered = row->raw->get(&r, &b, 1); /* until this peer is dropped */
    }
    row->raw->drop(&r);
    atomic_store(&x->done, true);
    return NULL;
}

static void test_mute(void)
{
    struct xf_link_cfg cfg = config(2), fast = cfg;
    struct lie x[2] = {{.bytes = NULL}, {.bytes = "\x17\x03\x03\x00\x20 not a record", .len = 40}};
    static char junk[40] = "\x17\x03\x03";
    struct xf_listener *l;
    unsigned i;
    int64_t t = xf_now_ms();

    fast.timeout_ms = 1000; /* and time for a good peer on a busy machine */
    junk[4] = 0x20;
    x[1].bytes = junk;
    l = listen_row(&fast, &x[0].port);
    for (i = 0; i < 2; i++) {
        x[i].cfg = &fast;
        x[i].port = x[0].port;
        pthread_create(&x[i].thread, NULL, mute_run, &x[i]);
    }
    for (i = 0; i < 2; i++) {
        CU_ASSERT(accept_none(l, &x[i].done));
        pthread_join(x[i].thread, NULL);
        CU_ASSERT(x[i].answered != -99 && x[i].answered <= 0);
    }
    CU_ASSERT(xf_now_ms() - t < SOON);
    CU_ASSERT(still_good(l, &cfg, x[0].port, 1));
    row->ops->unlisten(l);
}

struct waiter {
    pthread_t thread;
    struct xf_listener *l;
    atomic_bool inside;
    int rc;
    struct xf_err err;
};

static void *wait_run(void *arg)
{
    struct waiter *w = arg;
    struct xf_chan *c;
    unsigned index;

    atomic_store(&w->inside, true);
    w->rc = accept_row(w->l, -1, &c, &index, &w->err);
    return NULL;
}

static void test_abort_accept(void)
{
    struct xf_link_cfg cfg = config(1);
    struct waiter w = {0};
    struct raw r = {.fd = -1};
    uint16_t port;
    int64_t t;

    w.l = listen_row(&cfg, &port);
    if (row->raw) /* with a handshake pending, too */
        CU_ASSERT(row->raw->dial(&r, row->addr, port) == 0);
    pthread_create(&w.thread, NULL, wait_run, &w);
    CU_ASSERT(EVENTUALLY(atomic_load(&w.inside)));
    nap(); /* most likely asleep in accept now; right also if not */
    t = xf_now_ms();
    row->ops->abort_accept(w.l);
    pthread_join(w.thread, NULL);
    CU_ASSERT(w.rc == -1 && w.err.num == ECANCELED);
    CU_ASSERT(xf_now_ms() - t < 1000);
    wait_run(&w); /* and from then on */
    CU_ASSERT(w.rc == -1 && w.err.num == ECANCELED);
    row->ops->unlisten(w.l);
    row->ops->unlisten(NULL);
    row->ops->close(NULL);
    if (row->raw)
        row->raw->drop(&r);
}

int main(void)
{
    static const struct test tests[] = {
        {"a whole move's channels at once", test_whole_move, false},
        {"addresses to listen on", test_addresses, false},
        {"names and local addresses", test_names, false},
        {"nobody there", test_nobody, false},
        {"wrong key", test_wrong_key, false},
        {"misfits: channels, encryption, role", test_misfits, false},
        {"versions", test_versions, false},
        {"sources with other hellos", test_hellos, true},
        {"a source of version 1", test_first_version, true},
        {"sinks with other hellos", test_other_sinks, true},
        {"sink that speaks first", test_eager_sink, true},
        {"sink dies during the handshake", test_dying_sink, true},
        {"strangers", test_strangers, true},
        {"knows the key and stays silent", test_mute, true},
        {"abort of accept", test_abort_accept, false},
    };

    return run(tests, sizeof(tests) / sizeof(tests[0]), 120);
}
