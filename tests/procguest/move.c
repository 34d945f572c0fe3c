/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A move of a process guest: see move.h. */
#include "tests/procguest/move.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/procguest/sink.h"
#include "tests/procguest/source.h"

#define SOON_MS 10000
#define RING_VERSION 0x5c5c5c5cu /* what the sink's rings hold */

static struct xf_link_cfg link_cfg(const struct pg_move *m)
{
    struct xf_link_cfg cfg = {.channels = m->opts.channels,
                              .encrypt = m->opts.encrypt,
                              .timeout_ms = SOON_MS,
                              .stall_ms = m->opts.stall_ms};

    memset(cfg.key, 0x42, sizeof(cfg.key));
    return cfg;
}

static int tick(void *priv, struct xf_err *err)
{
    (void)priv;
    (void)err;
    return 0;
}

/* --- the sink's engine --- */

static void committed(void *priv)
{
    struct pg_move *m = priv;

    m->committed = true;
}

static int serve(struct pg_move *m, struct xf_link *link, struct pg_sink *s, struct xf_err *err)
{
    const struct xf_sink_watch watch = {.priv = m, .tick = tick, .committed = committed};
    struct xf_link_cfg cfg = link_cfg(m);
    struct xf_listener *l;
    uint16_t port;

    if (link->ops->listen(&cfg, "127.0.0.1", 0, &l, &port, err))
        return -1;
    m->port = port;
    if (xf_link_accept(link, &cfg, l, false, SOON_MS, tick, m, err))
        return -1;
    link->ops->unlisten(l);
    m->sink.end = xf_sink_serve(&s->vm, link, &watch, err);
    if (m->sink.end != XF_SINK_RUNS)
        xf_link_say(link, XF_MSG_ABORTED, NULL, 0, NULL);
    return 0;
}

static void sink_main(struct pg_move *m)
{
    struct xf_link link = {.ops = &xf_tcp_ops};
    struct pg_sink s;

    pg_sink_open(&s, m->dst);
    s.garbage = m->opts.garbage;
    s.vm.built = s.vm.rings = m->rings;
    s.vm.nr_built = s.vm.nr_rings = 2;
    m->sink.end = XF_SINK_FAILED;
    serve(m, &link, &s, &m->sink.err);
    xf_link_close(&link);
    m->sink.done = true;
}

/* --- the source's --- */

static void fill_end(struct pg_move *m, struct xf_copy *c)
{
    m->source.status = c->status;
    m->source.times = c->times;
    if (c->senders)
        m->source.sent = xf_senders_count(c->senders);
    m->source.wire_bytes = xf_link_bytes(c->link);
}

static void call_off(struct xf_copy *c)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg msg;

    xf_link_abort_bulk(c->link);
    xf_copy_end(c);
    xf_link_say(c->link, XF_MSG_ABORT, NULL, 0, NULL);
    while (!c->link->ops->recv(c->link->control, &msg, meta, SOON_MS, NULL))
        if (msg.type == XF_MSG_ABORTED)
            break;
}

static void move(struct pg_move *m, struct xf_copy *c, struct xf_err *err)
{
    double began;

    if (xf_copy_begin(c, err))
        return;
    began = xf_now();
    if (xf_copy_rounds(c, err))
        return;
    m->source.copy_s = xf_now() - began;
    m->source.end = xf_switch(c, NULL, err);
}

static void source_main(struct pg_move *m)
{
    struct xf_link_cfg cfg = link_cfg(m);
    struct xf_link link = {.ops = &xf_tcp_ops};
    struct xf_copy copy = {
        .link = &link,
        .opts = {.policy = m->opts.policy, .bandwidth = m->opts.bandwidth},
        .tick = tick,
        .priv = m,
    };
    struct xf_link_peer peer = {.host = "127.0.0.1"};
    struct pg_source s;

    m->source.end = XF_SWITCH_BACK;
    while (!m->port)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    peer.port = (uint16_t)m->port;
    if (!pg_source_open(&s, m->src, m->rings, 2, &m->source.err)) {
        copy.vm = &s.vm;
        if (!xf_link_connect(&link, &cfg, &peer, false, &m->source.err)) {
            move(m, &copy, &m->source.err);
            fill_end(m, &copy);
            if (m->source.end == XF_SWITCH_BACK || m->source.end == XF_SWITCH_STUCK)
                call_off(&copy);
        }
        xf_copy_end(&copy);
        pg_source_close(&s);
    }
    xf_link_close(&link);
    m->source.done = true;
}

/* --- both --- */

struct pg_move *pg_move_new(uint64_t nr_gfns, unsigned nr_vcpus)
{
    struct pg_move *m =
        mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t hole = nr_gfns / 2, hole_end = hole + nr_gfns / 16;

    if (m == MAP_FAILED)
        exit(2);
    m->opts = (struct pg_opts){.channels = 2,
                               .garbage = true,
                               .stall_ms = SOON_MS,
                               .policy = {.max_downtime_s = 0.05, .max_rounds = 5}};
    m->truth = pg_truth_new(nr_gfns, nr_vcpus);
    m->src = pg_new(m->truth);
    m->dst = pg_new(m->truth);
    pg_fill(m->src, 0, hole);
    pg_fill(m->src, hole_end, nr_gfns - hole_end);
    for (unsigned i = 0; i < 2; i++) {
        m->rings[i] = nr_gfns - 2 + i;
        m->dst->has[m->rings[i]] = 1;
        m->dst->pages++;
        pg_write_page((uint64_t *)(m->dst->mem + m->rings[i] * XF_PAGE_SIZE), m->rings[i],
                      RING_VERSION);
    }
    for (unsigned i = 0; i < nr_vcpus; i++)
        m->src->vcpus[i].count = nr_gfns - 2; /* the rings are not for the guest's work */
    return m;
}

static pid_t start(void (*main)(struct pg_move *), struct pg_move *m)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        main(m);
        exit(0); /* not _exit(): a sanitizer looks for leaks here */
    }
    if (pid < 0)
        exit(2);
    return pid;
}

void pg_move_start(struct pg_move *m)
{
    pg_start(m->src, false);
    pg_start(m->dst, true);
    m->sink_pid = start(sink_main, m);
    m->source_pid = start(source_main, m);
    pg_run(m->src);
}

static bool ended(pid_t *pid, bool done, const char *who)
{
    int status = 0;

    if (*pid <= 0)
        return true;
    waitpid(*pid, &status, 0);
    *pid = 0;
    if (status || !done)
        fprintf(stderr, "the engine of the %s ended with status 0x%x\n", who, status);
    return !status && done;
}

bool pg_move_wait(struct pg_move *m)
{
    bool source = ended(&m->source_pid, true, "source");
    bool sink = ended(&m->sink_pid, true, "sink");

    return source && sink && m->source.done && m->sink.done;
}

uint64_t pg_move_check(struct pg_move *m, struct pg_guest *where)
{
    const uint64_t *rings = where == m->dst ? m->rings : NULL;
    uint64_t wrong;

    pg_stop(where);
    wrong = pg_check(where, NULL, rings, rings ? 2 : 0);
    for (unsigned i = 0; rings && i < 2; i++)
        if (!pg_same_page((uint64_t *)(where->mem + rings[i] * XF_PAGE_SIZE), rings[i],
                          RING_VERSION)) {
            fprintf(stderr, "a ring was touched\n");
            wrong++;
        }
    if (where->bad) {
        fprintf(stderr, "a vCPU found %u pages wrong, the last gfn %llu\n", where->bad,
                (unsigned long long)where->bad_gfn);
        wrong += where->bad;
    }
    return wrong;
}

void pg_move_free(struct pg_move *m)
{
    pid_t *pids[] = {&m->source_pid, &m->sink_pid};

    for (unsigned i = 0; i < 2; i++) {
        if (*pids[i] > 0) {
            kill(*pids[i], SIGKILL);
            waitpid(*pids[i], NULL, 0);
        }
    }
    pg_free(m->src);
    pg_free(m->dst);
    pg_truth_free(m->truth);
    munmap(m, sizeof(*m));
}
