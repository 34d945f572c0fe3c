/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A transport by itself, between two hosts: bulk throughput as in COPY, the time from a 4 KiB
 * page's request to its answer as in PULL (the sink asks; idle, and beside pages that are pushed
 * as postcopy/server_push.c does), work requests, completions, bytes on the wire and CPU time. The
 * source measures and writes one JSON object.
 *
 *   link_bench --serve [--addr A] [--port P] ...          prints "port P" when it listens
 *   link_bench --connect HOST --port P [--src A] ...
 *
 * Both sides: --transport rdma|tcp  --encrypt  --channels N  --buffer BYTES  --poll US
 * Source: --size BYTES (of a message's payload)  --seconds S  --pings N  --netdev NAME (count
 * its bytes, too)
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "postcopy/window.h"
#include "transport/bytes.h"
#include "transport/clock.h"
#include "transport/transport.h"

#define PAGE 4096u
#define SOON 30000 /* ms */

/* PUSH is answered with TAKEN, ASK (how many, how long in us) with ASKED (a latency). */
enum {
    MSG_DATA = 1,
    MSG_SYNC,
    MSG_SYNC_ACK,
    MSG_REQUEST,
    MSG_ANSWER,
    MSG_PUSH,
    MSG_TAKEN,
    MSG_ASK,
    MSG_ASKED
};

struct options {
    const struct xf_transport_ops *ops;
    struct xf_link_cfg cfg;
    const char *connect, *addr, *src, *netdev;
    uint16_t port;
    uint32_t size;
    double seconds;
    unsigned pings;
};

/* What a host has used up so far. */
struct usage {
    uint64_t process_us; /* CPU time of this process */
    uint64_t host_us;    /* of the whole host, interrupts included */
    uint64_t work_requests, completions;
    uint64_t wire; /* bytes the network device has sent; 0 if not asked for */
};
#define USAGE_BYTES 40u

struct worker {
    pthread_t thread;
    const struct options *o;
    struct xf_chan *c;
    atomic_bool *stop;
    uint64_t bytes;
    struct usage peer;
};

static void die(const char *what, const struct xf_err *err)
{
    fprintf(stderr, "link_bench: %s: %s\n", what, err->text);
    exit(1);
}

static void *must(void *p)
{
    if (!p) {
        fprintf(stderr, "link_bench: out of memory\n");
        exit(1);
    }
    return p;
}

static uint64_t host_us(void)
{
    unsigned long long v[8] = {0};
    FILE *f = fopen("/proc/stat", "re");
    int n = 0;

    if (f) {
        n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
                   &v[4], &v[5], &v[6], &v[7]);
        fclose(f);
    }
    /* user, nice, system, interrupts, soft interrupts */
    return n < 7 ? 0
                 : (v[0] + v[1] + v[2] + v[5] + v[6]) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

static uint64_t netdev_bytes(const char *netdev)
{
    unsigned long long n = 0;
    char path[128];
    FILE *f;

    if (!netdev)
        return 0;
    snprintf(path, sizeof(path), "/sys/class/net/%.32s/statistics/tx_bytes", netdev);
    f = fopen(path, "re");
    if (!f || fscanf(f, "%llu", &n) != 1)
        fprintf(stderr, "link_bench: %s: %s\n", path, strerror(errno));
    if (f)
        fclose(f);
    return n;
}

static struct usage usage_now(const struct options *o, const struct xf_chan *c)
{
    struct xf_chan_stats st = {0};
    struct rusage ru;
    struct usage u;

    getrusage(RUSAGE_SELF, &ru);
    if (c)
        o->ops->stats(c, &st);
    u.process_us = (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 +
                   (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
    u.host_us = host_us();
    u.work_requests = st.work_requests;
    u.completions = st.completions;
    u.wire = netdev_bytes(o->netdev);
    return u;
}

static void usage_encode(uint8_t *p, const struct usage *u)
{
    p = put_le64(p, u->process_us);
    p = put_le64(p, u->host_us);
    p = put_le64(p, u->work_requests);
    p = put_le64(p, u->completions);
    put_le64(p, u->wire);
}

static struct usage usage_decode(const uint8_t *p)
{
    return (struct usage){get_le64(p), get_le64(p + 8), get_le64(p + 16), get_le64(p + 24),
                          get_le64(p + 32)};
}

/* ---- sink ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct latency {
    double median, p99; /* us */
    unsigned n;
};

/* n requests one after the other; with a deadline (s, 0: none) as many as there is time for. */
static struct latency ping(const struct options *o, struct xf_chan *c, unsigned n, double seconds)
{
    double *us = must(calloc(n, sizeof(*us))), end = xf_now() + seconds;
    uint8_t *meta = must(malloc(XF_META_MAX)), page[PAGE];
    struct iovec v = {page, PAGE};
    struct xf_err err = {0};
    struct latency l = {0};

    while (l.n < n && (seconds <= 0 || xf_now() < end)) {
        struct xf_msg m = {MSG_REQUEST, 0, 8, 0};
        double begin = xf_now();

        memset(meta, 0, 8);
        if (o->ops->send(c, &m, meta, NULL, 0, &err) || o->ops->recv(c, &m, meta, SOON, &err) ||
            o->ops->recv_payload(c, &v, 1, &err))
            die("asking for a page", &err);
        us[l.n++] = (xf_now() - begin) * 1e6;
    }
    qsort(us, l.n, sizeof(*us), by_value);
    if (l.n) {
        l.median = us[l.n / 2];
        l.p99 = us[(l.n * 99 - 1) / 100];
    }
    free(us);
    free(meta);
    return l;
}

/* The source wants to know how long it takes from here. */
static int asked(const struct worker *w, const uint8_t *meta, struct xf_err *err)
{
    struct latency l = ping(w->o, w->c, (unsigned)get_le64(meta), (double)get_le64(meta + 8) / 1e6);
    struct xf_msg m = {MSG_ASKED, 0, 24, 0};
    uint8_t out[24], *p = put_le64(out, (uint64_t)(l.median * 10));

    put_le64(put_le64(p, (uint64_t)(l.p99 * 10)), l.n);
    return w->o->ops->send(w->c, &m, out, NULL, 0, err);
}

/* Take data, answer what asks for an answer, until the peer closes. */
static void *serve_chan(void *arg)
{
    struct worker *w = arg;
    const struct xf_transport_ops *ops = w->o->ops;
    uint8_t *meta = must(malloc(XF_META_MAX)), *buf = must(calloc(1, XF_PAYLOAD_MAX));
    struct iovec v = {buf, 0};
    struct xf_err err = {0};
    struct xf_msg m;

    while (ops->recv(w->c, &m, meta, -1, &err) == 0) {
        struct xf_msg ack = {MSG_SYNC_ACK, 0, USAGE_BYTES, 0}, taken = {MSG_TAKEN, 0, 8, 0};
        struct usage u;
        int rc = 0;

        v.iov_len = m.payload_len;
        if (m.payload_len)
            rc = ops->recv_payload(w->c, &v, 1, &err);
        if (!rc && m.type == MSG_SYNC) {
            u = usage_now(w->o, w->c);
            usage_encode(meta, &u);
            rc = ops->send(w->c, &ack, meta, NULL, 0, &err);
        }
        if (!rc && m.type == MSG_PUSH)
            rc = ops->send(w->c, &taken, meta, NULL, 0, &err);
        if (!rc && m.type == MSG_ASK)
            rc = asked(w, meta, &err);
        if (rc)
            break;
    }
    if (err.num != ECONNRESET)
        die("serving", &err);
    ops->close(w->c);
    free(meta);
    free(buf);
    return NULL;
}

static int serve(const struct options *o)
{
    struct worker w[XF_CHANNELS_MAX + 1] = {0};
    struct xf_listener *l;
    struct xf_err err = {0};
    uint16_t port;
    unsigned i;

    if (o->ops->listen(&o->cfg, o->addr, o->port, &l, &port, &err))
        die("listening", &err);
    printf("port %u\n", port);
    fflush(stdout);
    for (i = 0; i <= o->cfg.channels; i++) {
        struct xf_chan_id id;

        if (o->ops->accept(l, i ? SOON : -1, &w[i].c, &id, &err))
            die("accepting", &err);
        w[i].o = o;
        pthread_create(&w[i].thread, NULL, serve_chan, &w[i]);
    }
    for (i = 0; i <= o->cfg.channels; i++)
        pthread_join(w[i].thread, NULL);
    o->ops->unlisten(l);
    return 0;
}

/* ---- source ---- */

/* All that was sent has been taken. */
static void sync_chan(struct worker *w)
{
    struct xf_msg m = {MSG_SYNC, 0, 0, 0};
    struct xf_err err = {0};
    uint8_t *meta = must(malloc(XF_META_MAX));

    if (w->o->ops->send(w->c, &m, NULL, NULL, 0, &err) ||
        w->o->ops->recv(w->c, &m, meta, SOON, &err))
        die("waiting for the sink", &err);
    w->peer = usage_decode(meta);
    free(meta);
}

static void *bulk(void *arg)
{
    struct worker *w = arg;
    const struct options *o = w->o;
    struct xf_msg m = {MSG_DATA, 0, 40, o->size};
    uint8_t meta[40] = {0}, *buf = must(malloc(o->size));
    struct iovec v = {buf, o->size};
    struct xf_err err = {0};

    memset(buf, 0x5a, o->size);
    while (!atomic_load(w->stop)) {
        if (o->ops->send(w->c, &m, meta, &v, 1, &err))
            die("sending", &err);
        w->bytes += o->size;
    }
    sync_chan(w);
    free(buf);
    return NULL;
}

static void taken(struct worker *w, struct xf_window *win, uint8_t *meta)
{
    struct xf_err err = {0};
    struct xf_msg m;

    if (w->o->ops->recv(w->c, &m, meta, SOON, &err))
        die("waiting for the sink", &err);
    xf_window_taken(win, xf_now());
}

/* Bulk as PULL has it: no more on its way than the path holds. */
static void *push(void *arg)
{
    struct worker *w = arg;
    const struct options *o = w->o;
    uint8_t *meta = must(calloc(1, XF_META_MAX)), *buf = must(malloc(XF_PUSH_MAX * PAGE));
    struct xf_err err = {0};
    struct xf_window win;

    memset(buf, 0x5a, XF_PUSH_MAX * PAGE);
    xf_window_init(&win);
    while (!atomic_load(w->stop)) {
        struct xf_msg m = {MSG_PUSH, 0, 40, xf_window_push(&win) * PAGE};
        struct iovec v = {buf, m.payload_len};

        while (!xf_window_room(&win, v.iov_len, XF_WINDOW_UNKNOWN) &&
               !(o->ops->in_network && xf_window_room(&win, v.iov_len, o->ops->in_network(w->c))))
            taken(w, &win, meta);
        xf_window_sent(&win, v.iov_len, xf_now());
        if (o->ops->send(w->c, &m, meta, &v, 1, &err))
            die("sending", &err);
        w->bytes += v.iov_len;
    }
    while (win.nr)
        taken(w, &win, meta);
    sync_chan(w);
    free(buf);
    free(meta);
    return NULL;
}

/* Let the sink ask for pages: n of them, or (n large) for so many seconds. */
static struct latency ask(const struct options *o, struct xf_chan *c, unsigned n, double seconds)
{
    struct xf_msg m = {MSG_ASK, 0, 16, 0}, answer = {MSG_ANSWER, 0, 8, PAGE};
    uint8_t *meta = must(calloc(1, XF_META_MAX)), page[PAGE];
    struct iovec v = {page, PAGE};
    struct xf_err err = {0};
    struct latency l;
    int rc;

    memset(page, 0x5a, PAGE);
    put_le64(put_le64(meta, n), (uint64_t)(seconds * 1e6));
    rc = o->ops->send(c, &m, meta, NULL, 0, &err);
    while (!rc && !(rc = o->ops->recv(c, &m, meta, -1, &err)) && m.type == MSG_REQUEST)
        rc = o->ops->send(c, &answer, meta, &v, 1, &err);
    if (rc)
        die("answering the sink", &err);
    l = (struct latency){(double)get_le64(meta) / 10, (double)get_le64(meta + 8) / 10,
                         (unsigned)get_le64(meta + 16)};
    free(meta);
    return l;
}

struct load {
    double seconds;
    uint64_t bytes;
    struct usage source, sink; /* what it took */
    struct latency pings;
};

static void add_difference(struct usage *sum, const struct usage *a, const struct usage *b,
                           bool first)
{
    sum->work_requests += b->work_requests - a->work_requests;
    sum->completions += b->completions - a->completions;
    if (!first)
        return; /* the same for all channels */
    sum->process_us = b->process_us - a->process_us;
    sum->host_us = b->host_us - a->host_us;
    sum->wire = b->wire - a->wire;
}

/* Bulk on all channels for a time: as in COPY, or as in PULL with requests beside it. */
static struct load run_load(const struct options *o, struct xf_chan **chan, bool pings)
{
    struct worker w[XF_CHANNELS_MAX] = {0};
    struct usage before[XF_CHANNELS_MAX], sink[XF_CHANNELS_MAX];
    struct load l = {0};
    atomic_bool stop = false;
    double begin;
    unsigned i;

    for (i = 0; i < o->cfg.channels; i++) {
        w[i] = (struct worker){.o = o, .c = chan[i + 1], .stop = &stop};
        sync_chan(&w[i]);
        sink[i] = w[i].peer;
        before[i] = usage_now(o, w[i].c);
    }
    begin = xf_now();
    for (i = 0; i < o->cfg.channels; i++)
        pthread_create(&w[i].thread, NULL, pings ? push : bulk, &w[i]);
    if (pings)
        l.pings = ask(o, chan[0], 100000, o->seconds);
    else
        usleep((useconds_t)(o->seconds * 1e6));
    atomic_store(&stop, true);
    for (i = 0; i < o->cfg.channels; i++)
        pthread_join(w[i].thread, NULL);
    l.seconds = xf_now() - begin;
    for (i = 0; i < o->cfg.channels; i++) {
        struct usage now = usage_now(o, w[i].c);

        l.bytes += w[i].bytes;
        add_difference(&l.source, &before[i], &now, i == 0);
        add_difference(&l.sink, &sink[i], &w[i].peer, i == 0);
    }
    return l;
}

static void print_latency(const char *name, const struct latency *l, const char *end)
{
    printf("  \"%s\": {\"median_us\": %.1f, \"p99_us\": %.1f, \"samples\": %u}%s\n", name,
           l->median, l->p99, l->n, end);
}

static void print_usage(const char *name, const struct usage *u, uint64_t bytes, const char *end)
{
    double pages = (double)bytes / PAGE, gib = (double)bytes / (1u << 30);

    printf(
        "  \"%s\": {\"work_requests_per_1000_pages\": %.2f, \"completions_per_1000_pages\": %.2f, "
        "\"process_cpu_s_per_gib\": %.3f, \"host_cpu_s_per_gib\": %.3f, "
        "\"netdev_tx_bytes_per_page\": %.1f}%s\n",
        name, (double)u->work_requests * 1000 / pages, (double)u->completions * 1000 / pages,
        (double)u->process_us / 1e6 / gib, (double)u->host_us / 1e6 / gib, (double)u->wire / pages,
        end);
}

static int measure(const struct options *o)
{
    struct xf_chan *chan[XF_CHANNELS_MAX + 1];
    struct xf_chan_stats st;
    struct xf_err err = {0};
    struct latency idle;
    struct load alone, loaded;
    uint64_t tx = 0;
    unsigned i;

    for (i = 0; i <= o->cfg.channels; i++)
        if (o->ops->connect(&o->cfg, o->connect, o->port, o->src, i ? XF_BULK(i - 1) : XF_CONTROL,
                            &chan[i], &err))
            die("connecting", &err);
    ask(o, chan[0], 20, 0); /* warm */
    idle = ask(o, chan[0], o->pings, 0);
    alone = run_load(o, chan, false);
    for (i = 1; i <= o->cfg.channels; i++) {
        o->ops->stats(chan[i], &st);
        tx += st.tx_bytes;
    }
    loaded = run_load(o, chan, true);
    for (i = 0; i <= o->cfg.channels; i++)
        o->ops->close(chan[i]);
    printf("{\n  \"transport\": \"%s\", \"encrypt\": %s, \"channels\": %u, \"size\": %u,\n",
           o->ops->name, o->cfg.encrypt ? "true" : "false", o->cfg.channels, o->size);
    printf(
        "  \"seconds\": %.3f, \"bytes\": %llu, \"mb_per_s\": %.3f, \"tx_bytes_per_page\": %.1f,\n",
        alone.seconds, (unsigned long long)alone.bytes, (double)alone.bytes / alone.seconds / 1e6,
        (double)tx / ((double)alone.bytes / PAGE));
    print_usage("source", &alone.source, alone.bytes, ",");
    print_usage("sink", &alone.sink, alone.bytes, ",");
    print_latency("page_idle", &idle, ",");
    print_latency("page_loaded", &loaded.pings, ",");
    printf("  \"loaded_mb_per_s\": %.3f\n}\n", (double)loaded.bytes / loaded.seconds / 1e6);
    return 0;
}

static unsigned long number(const char *s, unsigned long min, unsigned long max)
{
    char *end;
    unsigned long v = strtoul(s, &end, 0);

    if (*end || end == s || v < min || v > max) {
        fprintf(stderr, "link_bench: %s is not between %lu and %lu\n", s, min, max);
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"serve", no_argument, NULL, 's'},
        {"connect", required_argument, NULL, 'c'},
        {"addr", required_argument, NULL, 'a'},
        {"port", required_argument, NULL, 'p'},
        {"src", required_argument, NULL, 'S'},
        {"transport", required_argument, NULL, 't'},
        {"encrypt", no_argument, NULL, 'e'},
        {"channels", required_argument, NULL, 'n'},
        {"buffer", required_argument, NULL, 'b'},
        {"poll", required_argument, NULL, 'u'},
        {"size", required_argument, NULL, 'z'},
        {"seconds", required_argument, NULL, 'd'},
        {"pings", required_argument, NULL, 'i'},
        {"netdev", required_argument, NULL, 'N'},
        {NULL, 0, NULL, 0},
    };
    struct options o = {.ops = &xf_rdma_ops,
                        .cfg = {.channels = 1,
                                .timeout_ms = SOON,
                                .stall_ms = 10000,
                                .rdma_poll_us = XF_RDMA_POLL_US},
                        .size = 1u << 20,
                        .seconds = 5,
                        .pings = 1000};
    bool sink = false;
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 's':
            sink = true;
            break;
        case 'c':
            o.connect = optarg;
            break;
        case 'a':
            o.addr = optarg;
            break;
        case 'S':
            o.src = optarg;
            break;
        case 'N':
            o.netdev = optarg;
            break;
        case 'p':
            o.port = (uint16_t)number(optarg, 0, 65535);
            break;
        case 'e':
            o.cfg.encrypt = true;
            break;
        case 'n':
            o.cfg.channels = (unsigned)number(optarg, 1, XF_CHANNELS_MAX);
            break;
        case 'b':
            o.cfg.rdma_buffer = (uint32_t)number(optarg, 0, UINT32_MAX);
            break;
        case 'u':
            o.cfg.rdma_poll_us = (unsigned)number(optarg, 0, 1000000);
            break;
        case 'z':
            o.size = (uint32_t)number(optarg, 1, XF_PAYLOAD_MAX);
            break;
        case 'd':
            o.seconds = (double)number(optarg, 1, 3600);
            break;
        case 'i':
            o.pings = (unsigned)number(optarg, 1, 1000000);
            break;
        case 't':
            o.ops = !strcmp(optarg, "tcp")    ? &xf_tcp_ops
                    : !strcmp(optarg, "rdma") ? &xf_rdma_ops
                                              : NULL;
            break;
        default:
            return 2;
        }
    }
    if (!o.ops || optind != argc || sink == (o.connect != NULL)) {
        fprintf(stderr, "link_bench: one of --serve and --connect HOST; --transport rdma|tcp\n");
        return 2;
    }
    return sink ? serve(&o) : measure(&o);
}
