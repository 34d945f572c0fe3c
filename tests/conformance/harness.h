/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared by the conformance programs: the table of transports (a new transport is a new row),
 * connected pairs, patterns, and a run of every test over every row. Only test_*.c include it.
 *
 * No test sleeps for an event: each waits for it with a deadline. A test that still hangs is ended
 * by an alarm.
 */
#ifndef XF_TEST_HARNESS_H
#define XF_TEST_HARNESS_H

#include <CUnit/Basic.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "tests/conformance/loopback.h"
#include "tests/conformance/raw.h"
#include "transport/clock.h"
#include "transport/frame.h"
#include "transport/transport.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* not every program uses every helper */

#define SOON 20000 /* ms: long enough for any expected event, on any machine */
#define STALL 150  /* ms: stall_ms where a test is about it */

struct row {
    const char *name;
    const struct xf_transport_ops *ops;
    bool encrypt;
    const char *addr;
    const struct raw_ops *raw; /* NULL: tests that need it are left out */
};

/* RDMA needs a device: its address is taken from the environment. */
static struct row rows[] = {
    {"tcp, plain, IPv4", &xf_tcp_ops, false, "127.0.0.1", &raw_tcp},
    {"tcp, TLS, IPv4", &xf_tcp_ops, true, "127.0.0.1", &raw_tcp},
    {"tcp, plain, IPv6", &xf_tcp_ops, false, "::1", &raw_tcp},
    {"tcp, TLS, IPv6", &xf_tcp_ops, true, "::1", &raw_tcp},
    {"loopback", &xf_loopback_ops, false, "127.0.0.1", NULL},
    {"rdma, plain, IPv4", &xf_rdma_ops, false, NULL, NULL},
    {"rdma, sealed, IPv4", &xf_rdma_ops, true, NULL, NULL},
    {"rdma, plain, IPv6", &xf_rdma_ops, false, NULL, NULL},
    {"rdma, sealed, IPv6", &xf_rdma_ops, true, NULL, NULL},
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

static const struct row *row; /* of the suite that runs */
static const struct row *row_order[NROWS];
static int row_next;
static unsigned row_limit_s;

static void nap(void)
{
    nanosleep(&(struct timespec){0, 2000000}, NULL);
}

/* Wait until cond holds; false after SOON. */
#define EVENTUALLY(cond)                                                                           \
    ({                                                                                             \
        int64_t end_ = xf_now_ms() + SOON;                                                         \
        while (!(cond) && xf_now_ms() < end_)                                                      \
            nap();                                                                                 \
        (bool)(cond);                                                                              \
    })

static struct xf_link_cfg config(unsigned channels)
{
    static struct xf_key key;
    struct xf_link_cfg cfg = {.channels = channels, .timeout_ms = SOON, .stall_ms = SOON};
    int i;

    cfg.encrypt = row->encrypt;
    for (i = 0; i < XF_KEY_BYTES; i++)
        key.bytes[i] = (uint8_t)(i * 7 + 1);
    cfg.key = &key;
    return cfg;
}

/* Channels are counted here as version 1 of the protocol does: 0 control, 1.. bulk, then urgent. */
static unsigned bulk_channels; /* of the last listen_row() */

static struct xf_listener *listen_row(const struct xf_link_cfg *cfg, uint16_t *port)
{
    struct xf_listener *l = NULL;
    struct xf_err err = {0};

    bulk_channels = cfg->channels;
    if (row->ops->listen(cfg, row->addr, 0, &l, port, &err)) {
        fprintf(stderr, "listen: %s\n", err.text);
        exit(2); /* nothing in this program makes sense without it */
    }
    return l;
}

static int accept_row(struct xf_listener *l, int timeout_ms, struct xf_chan **c, unsigned *index,
                      struct xf_err *err)
{
    struct xf_chan_id id = XF_CONTROL;
    int rc = row->ops->accept(l, timeout_ms, c, &id, err);

    *index = xf_chan_index(id, bulk_channels);
    return rc;
}

/* connect() in a thread of its own */
struct dial {
    pthread_t thread;
    struct xf_link_cfg cfg;
    const char *host, *src;
    uint16_t port;
    unsigned index;
    struct xf_chan *chan;
    struct xf_err err;
    int rc;
    atomic_bool done;
};

static void *dial_run(void *arg)
{
    struct dial *d = arg;

    d->rc = row->ops->connect(&d->cfg, d->host ? d->host : row->addr, d->port, d->src,
                              xf_chan_id_of(d->index, d->cfg.channels), &d->chan, &d->err);
    atomic_store(&d->done, true);
    return NULL;
}

static void dial_begin(struct dial *d, const struct xf_link_cfg *cfg, uint16_t port, unsigned index)
{
    memset(d, 0, sizeof(*d));
    d->cfg = *cfg;
    d->port = port;
    d->index = index;
    pthread_create(&d->thread, NULL, dial_run, d);
}

static int dial_end(struct dial *d)
{
    pthread_join(d->thread, NULL);
    return d->rc;
}

/* Drive the listener until a peer has had its answer; no channel may result. */
static bool accept_none(struct xf_listener *l, atomic_bool *done)
{
    struct xf_err err = {0};
    struct xf_chan *c;
    unsigned index;
    bool none = true;

    while (none && !atomic_load(done))
        none = accept_row(l, 10, &c, &index, &err) == XF_AGAIN && err.num == 0;
    return none;
}

/* One connected channel: the source's end a, the sink's end b. */
struct pair {
    struct xf_listener *l;
    uint16_t port;
    struct xf_chan *a, *b;
};

static bool pair_add(struct pair *p, const struct xf_link_cfg *cfg, unsigned index)
{
    struct dial d;
    struct xf_err err = {0};
    unsigned got = 99;
    int rc;

    dial_begin(&d, cfg, p->port, index);
    rc = accept_row(p->l, SOON, &p->b, &got, &err);
    if (dial_end(&d))
        fprintf(stderr, "connect: %s\n", d.err.text);
    if (rc)
        fprintf(stderr, "accept: %d %s\n", rc, err.text);
    p->a = d.chan;
    return !rc && !d.rc && got == index;
}

static bool pair_open(struct pair *p, const struct xf_link_cfg *cfg)
{
    memset(p, 0, sizeof(*p));
    p->l = listen_row(cfg, &p->port);
    return pair_add(p, cfg, 1);
}

static void pair_close(struct pair *p)
{
    row->ops->close(p->a);
    row->ops->close(p->b);
    row->ops->unlisten(p->l);
}

/* Open a pair, or end the test */
#define PAIR(p, cfg)                                                                               \
    do {                                                                                           \
        bool open_ = pair_open(&(p), (cfg));                                                       \
        CU_ASSERT(open_);                                                                          \
        if (!open_) {                                                                              \
            pair_close(&(p));                                                                      \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* Bytes that depend on their position, so that lost, doubled or moved ones show. */
static uint8_t pattern(uint32_t seed, size_t i)
{
    return (uint8_t)((i * 2654435761u >> 13) + seed * 31 + i);
}

static void fill(void *buf, size_t len, uint32_t seed)
{
    uint8_t *p = buf;
    size_t i;

    for (i = 0; i < len; i++)
        p[i] = pattern(seed, i);
}

static bool holds(const void *buf, size_t len, uint32_t seed)
{
    const uint8_t *p = buf;
    size_t i;

    for (i = 0; i < len; i++)
        if (p[i] != pattern(seed, i))
            return false;
    return true;
}

static int open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Open a raw peer, up to the sink's welcome. */
static bool raw_open(struct raw *r, const struct xf_link_cfg *cfg, uint16_t port, unsigned index)
{
    uint8_t hello[32], answer[32];

    raw_hello(hello, index, cfg->channels, cfg->encrypt);
    if (row->raw->dial(r, row->addr, port) || row->raw->prove(r, cfg->key->bytes) ||
        row->raw->put(r, hello, sizeof(hello)) ||
        row->raw->get(r, answer, sizeof(answer)) != sizeof(answer) || answer[6])
        return false;
    if (!cfg->encrypt)
        row->raw->plain(r);
    return true;
}

struct raw_dial {
    pthread_t thread;
    struct xf_link_cfg cfg;
    uint16_t port;
    struct raw raw;
    bool ok;
};

static void *raw_dial_run(void *arg)
{
    struct raw_dial *d = arg;

    d->ok = raw_open(&d->raw, &d->cfg, d->port, 1);
    return NULL;
}

/* One channel with a raw peer as the source: c is the sink's end. */
struct raw_pair {
    struct xf_listener *l;
    struct xf_chan *c; /* NULL: it could not be opened */
    struct raw r;
};

static bool raw_pair_open(struct raw_pair *p, const struct xf_link_cfg *cfg)
{
    struct raw_dial d = {.cfg = *cfg};
    unsigned index;
    int rc;

    memset(p, 0, sizeof(*p));
    p->l = listen_row(cfg, &d.port);
    pthread_create(&d.thread, NULL, raw_dial_run, &d);
    rc = accept_row(p->l, SOON, &p->c, &index, NULL);
    pthread_join(d.thread, NULL);
    p->r = d.raw;
    return rc == 0 && d.ok;
}

static void raw_pair_close(struct raw_pair *p)
{
    row->raw->drop(&p->r);
    row->ops->close(p->c);
    row->ops->unlisten(p->l);
}

/* Open a raw pair, or end the test */
#define RAW_PAIR(p, cfg)                                                                           \
    do {                                                                                           \
        bool open_ = raw_pair_open(&(p), (cfg));                                                   \
        CU_ASSERT(open_);                                                                          \
        if (!open_) {                                                                              \
            raw_pair_close(&(p));                                                                  \
            return;                                                                                \
        }                                                                                          \
    } while (0)

static bool row_usable(const struct row *r)
{
    struct xf_link_cfg cfg;
    struct xf_listener *l;
    uint16_t port;

    row = r;
    cfg = config(1);
    if (r->ops->listen(&cfg, r->addr, 0, &l, &port, NULL))
        return false;
    r->ops->unlisten(l);
    return true;
}

/* Is there RDMA to test with? Prints a message if not. */
static bool rdma_rows(void)
{
    const char *four = getenv("XF_RDMA_ADDR"), *six = getenv("XF_RDMA_ADDR6");
    size_t r;

    if (!four && !six)
        printf("RDMA is left out: XF_RDMA_ADDR and XF_RDMA_ADDR6 name no address of a device\n");
    for (r = 0; r < NROWS; r++)
        if (rows[r].ops == &xf_rdma_ops)
            rows[r].addr = strstr(rows[r].name, "IPv6") ? six : four;
    return four || six;
}

static int suite_begin(void)
{
    row = row_order[row_next++];
    alarm(row_limit_s);
    return 0;
}

struct test {
    const char *name;
    void (*fn)(void);
    bool needs_raw;
};

/* main() of every program: all tests, over every row that this machine can run, each row within
 * limit_s. */
static int run(const struct test *tests, size_t n, unsigned limit_s)
{
    const char *only = getenv("XF_TEST_ONLY"); /* only rows whose names contain this */
    const char *name = getenv("XF_TEST_NAME"); /* and only tests with this */
    unsigned failed;
    size_t r, t;
    int used = 0;

    setvbuf(stdout, NULL, _IOLBF, 0); /* a program that is killed has printed how far it got */
    row_limit_s = limit_s;
    rdma_rows();
    if (CU_initialize_registry())
        return 2;
    for (r = 0; r < NROWS; r++) {
        CU_pSuite s;

        if (!rows[r].addr)
            continue;
        if (only && !strstr(rows[r].name, only))
            continue;
        if (!row_usable(&rows[r])) {
            printf("skipped, not on this machine: %s\n", rows[r].name);
            if (rows[r].ops == &xf_rdma_ops)
                return 1; /* it was asked for by name */
            continue;
        }
        row_order[used++] = &rows[r];
        s = CU_add_suite(rows[r].name, suite_begin, NULL);
        for (t = 0; s && t < n; t++)
            if ((rows[r].raw || !tests[t].needs_raw) && (!name || strstr(tests[t].name, name)))
                if (!CU_add_test(s, tests[t].name, tests[t].fn))
                    return 2;
        if (!s)
            return 2;
    }
    CU_basic_set_mode(getenv("XF_TEST_VERBOSE") ? CU_BRM_VERBOSE : CU_BRM_NORMAL);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
    CU_cleanup_registry();
    return failed || !used ? 1 : 0;
}

#endif
