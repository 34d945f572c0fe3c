/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conformance: a flood of connections from one address, none of which knows the key, while the
 * source connects from another. Over IPv4 only: a machine has many IPv4 loopback addresses, but
 * only one of IPv6; tests/unit/test_handshakes.c covers IPv6 neighbourhoods.
 */
#include "tests/conformance/harness.h"

#include <arpa/inet.h>

#include "transport/gather.h"

#define OPEN 256 /* connections that the flood holds at once */
#define SOURCE "127.0.0.2"
#define LONG 20000 /* ms: on a busy machine the flood uses the processor, too */
#define TURNS 100  /* connections that the sink gives up: many times its table */

struct flood {
    pthread_t thread;
    uint16_t port;
    atomic_bool stop;
    atomic_uint made, given_up; /* connections; those closed again by the sink */
};

static int dial_from(const char *src, const char *dst, uint16_t port, int flags)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

    inet_pton(AF_INET, src, &from.sin_addr);
    inet_pton(AF_INET, dst, &to.sin_addr);
    to.sin_port = htons(port);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&from, sizeof(from)) ||
                    (connect(fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS))) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Close with a reset, so that no address and port stays in TIME_WAIT. */
static void drop(int fd)
{
    struct linger now = {1, 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

static void *flood_run(void *arg)
{
    struct flood *f = arg;
    int fds[OPEN], at = 0;
    char byte;

    memset(fds, -1, sizeof(fds));
    while (!atomic_load(&f->stop)) {
        if (fds[at] >= 0) {
            ssize_t n = recv(fds[at], &byte, 1, MSG_DONTWAIT);

            if (n < 0 && errno == EAGAIN) {
                nap(); /* no faster than the sink: the kernel's queue never fills */
                continue;
            }
            atomic_fetch_add(&f->given_up, 1);
            drop(fds[at]);
        }
        fds[at] = dial_from("127.0.0.1", row->addr, f->port, SOCK_NONBLOCK);
        if (fds[at] >= 0)
            atomic_fetch_add(&f->made, 1);
        else
            nap(); /* out of ports for a moment */
        at = (at + 1) % OPEN;
    }
    for (at = 0; at < OPEN; at++)
        if (fds[at] >= 0)
            drop(fds[at]);
    return NULL;
}

static void flood_begin(struct flood *f, uint16_t port)
{
    memset(f, 0, sizeof(*f));
    f->port = port;
    pthread_create(&f->thread, NULL, flood_run, f);
}

static void flood_end(struct flood *f)
{
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
}

static bool usable(void)
{
    return row->raw && strchr(row->addr, '.');
}

/* A source that is slow: between any two of its steps others fill the table many times. */
struct slow {
    pthread_t thread;
    struct flood *flood;
    const struct xf_link_cfg *cfg;
    struct raw raw;
    bool ok;
    atomic_bool done;
};

static bool await_turns(struct flood *f)
{
    unsigned from = atomic_load(&f->given_up);
    int64_t until = xf_now_ms() + LONG;

    while (atomic_load(&f->given_up) - from <= TURNS && xf_now_ms() < until)
        nap();
    return atomic_load(&f->given_up) - from > TURNS;
}

static void *slow_run(void *arg)
{
    struct slow *s = arg;
    uint8_t hello[32], answer[32];

    raw_hello(hello, 1, s->cfg->channels, s->cfg->encrypt);
    memset(&s->raw, 0, sizeof(s->raw));
    s->raw.fd = dial_from(SOURCE, row->addr, s->flood->port, 0);
    raw_limits(s->raw.fd);
    s->ok = s->raw.fd >= 0 && await_turns(s->flood) &&
            !row->raw->prove(&s->raw, s->cfg->key->bytes) && await_turns(s->flood) &&
            !row->raw->put(&s->raw, hello, sizeof(hello)) &&
            row->raw->get(&s->raw, answer, sizeof(answer)) == sizeof(answer) && !answer[6];
    atomic_store(&s->done, true);
    return NULL;
}

static void test_slow_source(void)
{
    struct xf_link_cfg cfg = config(1);
    struct xf_listener *l;
    struct xf_chan *c = NULL;
    struct flood f;
    struct slow s = {.flood = &f, .cfg = &cfg};
    struct xf_err err = {0};
    unsigned index = 99;
    uint16_t port;
    int rc = XF_AGAIN;

    if (!usable())
        return;
    cfg.timeout_ms = LONG;
    l = listen_row(&cfg, &port);
    flood_begin(&f, port);
    pthread_create(&s.thread, NULL, slow_run, &s);
    while (rc == XF_AGAIN && !atomic_load(&s.done))
        rc = accept_row(l, 10, &c, &index, &err);
    pthread_join(s.thread, NULL);
    CU_ASSERT(s.ok);
    if (rc == XF_AGAIN)
        rc = accept_row(l, LONG, &c, &index, &err);
    flood_end(&f);
    CU_ASSERT(rc == 0 && index == 1);
    row->raw->drop(&s.raw);
    row->ops->close(c);
    row->ops->unlisten(l);
}

/* COPY: all channels of a link, as the source connects and the sink gathers them. */
struct link_dial {
    pthread_t thread;
    const struct xf_link_cfg *cfg;
    uint16_t port;
    struct xf_link link;
    struct xf_err err;
    int rc;
    atomic_bool done;
};

static void *link_run(void *arg)
{
    struct link_dial *d = arg;
    struct xf_link_peer peer = {row->addr, d->port, SOURCE};

    d->link.ops = row->ops;
    d->rc = xf_link_connect(&d->link, d->cfg, &peer, true, (struct xf_tick){0}, &d->err);
    atomic_store(&d->done, true);
    return NULL;
}

static void test_whole_link(void)
{
    struct xf_link_cfg cfg = config(4);
    struct xf_gather g = {.urgent = true};
    struct link_dial d = {.cfg = &cfg};
    struct xf_link link = {0};
    struct flood f;
    struct xf_err err = {0};
    unsigned before;
    int64_t t;
    int rc = XF_AGAIN;

    if (!usable())
        return;
    cfg.timeout_ms = LONG;
    CU_ASSERT_FATAL(xf_gather_listen(&g, row->ops, &cfg, row->addr, 0, &d.port, &err) == 0);
    flood_begin(&f, d.port);
    for (t = xf_now_ms(); xf_now_ms() - t < LONG && atomic_load(&f.given_up) < TURNS;)
        xf_gather_step(&g, 10, &err);
    before = atomic_load(&f.made);
    t = xf_now_ms();
    pthread_create(&d.thread, NULL, link_run, &d);
    while (rc == XF_AGAIN && xf_now_ms() - t < 2 * LONG)
        rc = xf_gather_step(&g, 10, &err);
    pthread_join(d.thread, NULL);
    printf("\n    %u connections in %lld ms meanwhile ", atomic_load(&f.made) - before,
           (long long)(xf_now_ms() - t));
    flood_end(&f);
    CU_ASSERT(rc == 0 && d.rc == 0);
    if (d.rc || err.num)
        fprintf(stderr, "source: %s; sink: %s\n", d.err.text, err.text);
    xf_gather_take(&g, &link);
    xf_link_close(&d.link);
    xf_link_close(&link);
    xf_gather_unlisten(&g, NULL);
}

int main(void)
{
    static const struct test tests[] = {
        {"a source slower than the flood", test_slow_source, true},
        {"a whole link while it floods", test_whole_link, true},
    };

    return run(tests, sizeof(tests) / sizeof(tests[0]), 120);
}
