/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A move of a process guest: see move.h. */
#include "tests/procguest/move.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/moves/budget.h"
#include "libxl-ext/moves/record.h"
#include "libxl-ext/moves/status.h"
#include "postcopy/rejoin.h"
#include "pages/absent.h"
#include "pages/pack.h"
#include "tests/procguest/sink.h"
#include "tests/procguest/source.h"
#include "tests/unit/record_link.h"
#include "transport/times.h"

#define SOON_MS 10000
#define FORESEE_S 3.0 /* as --check */
#define REFUSED_MS 1000
#define PG_DOMID 7u
#define RING_VERSION 0x5c5c5c5cu /* contents of the sink's rings */

static struct xf_link_cfg link_cfg(const struct pg_move *m)
{
    static struct xf_key key;
    struct xf_link_cfg cfg = {.version = m->opts.protocol,
                              .key = &key,
                              .channels = m->opts.channels,
                              .encrypt = m->opts.encrypt,
                              .timeout_ms = m->opts.timeout_ms ? m->opts.timeout_ms : SOON_MS,
                              .stall_ms = m->opts.stall_ms};

    memset(&key, 0x42, sizeof(key));
    return cfg;
}

/* As in libxl-ext/source/move_link.c. */
static struct xf_link_cfg source_cfg(const struct pg_move *m)
{
    struct xf_link_cfg cfg = link_cfg(m);

    if (!m->opts.timeout_ms)
        cfg.timeout_ms = XF_REJOIN_CONNECT_MS;
    return cfg;
}

static int sink_stall_ms(const struct pg_move *m)
{
    return m->opts.sink_stall_ms ? m->opts.sink_stall_ms : m->opts.stall_ms;
}

static struct xf_link_cfg sink_cfg(const struct pg_move *m)
{
    struct xf_link_cfg cfg = link_cfg(m);

    cfg.stall_ms = sink_stall_ms(m);
    return cfg;
}

static int tick(void *priv, struct xf_err *err)
{
    struct pg_move *m = priv;

    return m->give_up ? xf_fail(err, ECANCELED, "told to give up") : 0;
}

/* The engine's process has to be in its network before it makes a socket. */
static void enter(const char *netns)
{
    int fd = netns ? open(netns, O_RDONLY | O_CLOEXEC) : -1;

    if (netns && (fd < 0 || setns(fd, CLONE_NEWNET))) {
        fprintf(stderr, "cannot enter %s: %s\n", netns, strerror(errno));
        exit(2);
    }
    if (fd >= 0)
        close(fd);
}

/* Processor time that this process has used, user and system. */
static double cpu_now(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Resources of this process: processor time since `before`, and its own memory. */
static void account(double before, double *cpu_s, uint64_t *own_kib)
{
    unsigned long long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/self/status", "re");

    *cpu_s = cpu_now() - before;
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "RssAnon: %llu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    *own_kib = kib;
}

static bool pulls(const struct pg_move *m)
{
    return m->opts.mode != XF_MODE_PRECOPY;
}

/* --- status for migrate-status --- */

struct telling {
    struct xf_status_server *server; /* NULL: not served */
    struct xf_status_pace pace;
    struct xf_status now;
};

static void tell_begin(struct telling *t, const struct pg_move *m, bool source)
{
    struct xf_err err = {0};

    t->now = (struct xf_status){.source = source,
                                .pid = getpid(),
                                .domid = source ? 1 : 2,
                                .domain = PG_NAME,
                                .phase = XF_PHASE_COPY,
                                .rate_bps = -1,
                                .eta_s = -1};
    if (!source || m->opts.mode != XF_MODE_HYBRID)
        snprintf(t->now.no_switch, sizeof(t->now.no_switch), "it cannot be switched");
    if (m->opts.told && xf_status_open(&t->server, t->now.domid, &t->now, &err))
        fprintf(stderr, "%s\n", err.text);
}

static void tell(struct telling *t, enum xf_phase phase, const struct xf_pulled *pulled)
{
    t->now.phase = phase;
    if (phase != XF_PHASE_COPY && !t->now.no_switch[0])
        snprintf(t->now.no_switch, sizeof(t->now.no_switch), "it has been switched");
    if (pulled) {
        t->now.faults = pulled->faults;
        t->now.requested = pulled->requested;
        xf_status_pace(&t->pace, pulled->missing, xf_now(), &t->now);
    }
    xf_status_set(t->server, &t->now);
}

/* --- the sink's engine --- */

struct sinking {
    struct pg_move *m;
    struct pg_sink guest;
    struct xf_absent absent;
    struct xf_link link;
    struct xf_pager *pager;
    struct xf_gather gather;
    struct xf_rejoin rejoin;
    struct telling telling;
    double cpu_before; /* when the link was open */
};

static int sink_tick(void *priv, struct xf_err *err)
{
    struct sinking *s = priv;
    struct xf_pulled pulled;

    s->m->after_end += atomic_load(&s->guest.gone);
    /* There is no pipe here; until GO a sink ends at the end of its pipe. */
    if (s->m->hung_up && !s->m->committed)
        return xf_fail(err, ECONNRESET, "the source has gone away");
    if (s->m->sink.pulled) {
        xf_pager_status(s->pager, &pulled);
        s->m->missing = pulled.missing;
        tell(&s->telling, XF_PHASE_PULL, &pulled);
        if (!s->absent.nr)
            xf_pager_network(s->pager, PG_HELD_NS);
    }
    return tick(s->m, err);
}

/* Faults are taken already before GO. */
static int prepare(void *priv, struct xf_err *err)
{
    struct sinking *s = priv;

    if (!s->guest.vm.absent || !s->absent.nr)
        return 0;
    if (xf_pager_new(&s->pager, &s->guest.vm, sink_stall_ms(s->m), err))
        return -1;
    xf_pager_start(s->pager, &s->link);
    return 0;
}

static void committed(void *priv)
{
    struct pg_move *m = ((struct sinking *)priv)->m;

    m->committed = true;
    m->go_held = m->die == PG_DIES_AFTER_GO;
    while (m->go_held)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void sink_lost(void *priv, const struct xf_err *why)
{
    ((struct sinking *)priv)->m->lost[1] += why != NULL;
}

static void take_rest(struct sinking *s)
{
    struct pg_sink_end *end = &s->m->sink;

    end->pulled = true;
    end->pull = xf_rejoin_take(&s->rejoin, s->pager, &s->link, s->m->opts.done_ms, &end->err);
    xf_pager_status(s->pager, &end->status);
    end->knows = xf_pager_source_knows(s->pager);
    end->mean_ns = xf_pager_mean_ns(s->pager);
    if (end->pull == XF_PULL_DONE)
        s->guest.vm.pager->disable(&s->guest.vm, &end->err);
}

static int gather_link(struct sinking *s, int within_ms, struct xf_err *err)
{
    int64_t until = xf_now_ms() + within_ms;
    int rc;

    while ((rc = xf_gather_step(&s->gather, 20, err)) == XF_AGAIN) {
        if (sink_tick(s, err))
            return -1;
        if (xf_now_ms() > until)
            return xf_fail(err, ETIMEDOUT, "the source did not connect all of its channels");
    }
    if (!rc)
        xf_gather_take(&s->gather, &s->link);
    return rc;
}

/* As in libxl-ext/sink/receive_sink.c. */
static bool called(void *priv)
{
    struct sinking *s = priv;

    xf_gather_step(&s->gather, 0, NULL);
    return xf_gather_called(&s->gather);
}

/* As in libxl-ext/sink/receive_sink.c; then the source connects again. */
static int answer_probes(struct sinking *s, struct xf_err *err)
{
    if (xf_speed_serve(&s->link, XF_PROBE_MS, (struct xf_tick){sink_tick, s}, err))
        return -1;
    xf_link_close(&s->link);
    return gather_link(s, SOON_MS, err);
}

static int relink(void *priv, struct xf_err *err)
{
    struct sinking *s = priv;

    xf_link_close(&s->link);
    s->m->relinks[1]++;
    return gather_link(s, s->m->opts.reconnect_ms + SOON_MS, err);
}

static int serve(struct sinking *s, struct xf_err *err)
{
    const struct xf_sink_watch watch = {.priv = s,
                                        .tick = {sink_tick, s},
                                        .prepare = prepare,
                                        .committed = committed,
                                        .called = called,
                                        .relink = relink};
    struct pg_move *m = s->m;
    struct xf_rejoin *r = &s->rejoin;

    *r = (struct xf_rejoin){.ops = s->link.ops,
                            .cfg = sink_cfg(m),
                            .addr = m->opts.addr,
                            .gather = &s->gather,
                            .tick = {sink_tick, s},
                            .link_changed = sink_lost,
                            .priv = s};
    if (xf_gather_listen(&s->gather, r->ops, &r->cfg, r->addr, 0, &r->port, err))
        return -1;
    s->gather.urgent = pulls(m);
    m->port = r->port;
    if (gather_link(s, m->opts.call_ms ? m->opts.call_ms : SOON_MS, err) ||
        (m->opts.foresee && answer_probes(s, err)))
        return -1;
    s->cpu_before = cpu_now();
    m->sink.end = xf_sink_serve(&s->guest.vm, &s->link, &watch, err);
    if (m->sink.end != XF_SINK_RUNS)
        return s->link.control ? xf_link_say(&s->link, XF_MSG_ABORTED, NULL, 0, NULL) : -1;
    if (!s->guest.vm.absent)
        return 0;
    if (s->absent.at_go)
        take_rest(s);
    else
        s->guest.vm.pager->disable(&s->guest.vm, &m->sink.err);
    return 0;
}

static void sink_main(struct pg_move *m)
{
    struct sinking s = {.m = m, .link = {.ops = &xf_tcp_ops}};

    enter(m->opts.netns[1]);
    m->sink.end = XF_SINK_FAILED;
    tell_begin(&s.telling, m, false);
    if (!pg_sink_open(&s.guest, m->dst, pulls(m), &m->sink.err) &&
        (!m->opts.resident || !pg_sink_resident(&s.guest, &m->sink.err))) {
        s.guest.garbage = m->opts.garbage;
        /* Where pages may be absent, untouched pages would fault at the pager. */
        s.guest.vm.fresh_zero = !m->opts.garbage && !pulls(m);
        s.guest.vm.built = s.guest.vm.rings = m->rings;
        s.guest.vm.nr_built = s.guest.vm.nr_rings = 2;
        if (pulls(m))
            s.guest.vm.absent = &s.absent;
        if (!pulls(m) || !xf_absent_init(&s.absent, &s.guest.vm, &m->sink.err))
            serve(&s, &m->sink.err);
    }
    account(s.cpu_before, &m->sink.cpu_s, &m->sink.own_kib);
    xf_pager_free(s.pager);
    xf_gather_unlisten(&s.gather, NULL);
    xf_link_close(&s.link);
    xf_absent_free(&s.absent);
    pg_sink_close(&s.guest);
    xf_status_close(s.telling.server);
    m->sink.done = true;
}

/* --- the source's --- */

struct sourcing {
    struct pg_move *m;
    struct pg_source guest;
    struct xf_copy copy;
    struct xf_link link;
    struct xf_server *server;
    struct xf_rejoin rejoin;
    struct telling telling;
    struct xf_budget budget;
    int record; /* descriptor, -1: none */
};

static int source_tick(void *priv, struct xf_err *err)
{
    struct sourcing *s = priv;
    struct xf_server_status status = {0};

    s->telling.now.round = s->copy.status.round;
    s->telling.now.round_pages = s->copy.status.round_pages;
    s->telling.now.round_done = s->copy.status.round_done;
    s->m->copied |= s->copy.status.round_done > 0;
    s->telling.now.left_out = s->m->source.left_out;
    if (s->m->pulling) {
        xf_server_status(s->server, &status);
        if (status.pulled.missing == UINT64_MAX)
            status.pulled.missing = s->m->source.left_out;
        tell(&s->telling, XF_PHASE_PULL, &status.pulled);
    } else {
        tell(&s->telling, s->copy.times.began > 0 ? XF_PHASE_SWITCH : XF_PHASE_COPY, NULL);
    }
    s->copy.switch_now |= xf_status_asked(s->telling.server);
    if (s->m->opts.source_tick && s->m->opts.source_tick(s->m, &status, err))
        return -1;
    return tick(s->m, err);
}

static void source_lost(void *priv, const struct xf_err *why)
{
    ((struct sourcing *)priv)->m->lost[0] += why != NULL;
}

/* As in libxl-ext/source/move_link.c, with fewer messages. */
static int source_relink(void *priv, const struct xf_err *why, struct xf_err *err)
{
    struct sourcing *s = priv;
    int64_t until = xf_now_ms() + s->m->opts.reconnect_ms;
    struct xf_err last = *why;

    if (!s->m->opts.reconnect_ms)
        return xf_fail(err, why->num, "%s", why->text);
    do {
        if (source_tick(s, err))
            return -1;
        xf_link_close(&s->link);
        xf_clear(&last);
        if (!xf_link_connect(&s->link, &s->rejoin.cfg, &s->rejoin.peer, pulls(s->m),
                             (struct xf_tick){source_tick, s}, &last)) {
            s->m->relinks[0]++;
            return 0;
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    } while (xf_now_ms() < until);
    return xf_fail(err, last.num, "%s", last.text);
}

static void fill_end(struct sourcing *s)
{
    struct pg_source_end *end = &s->m->source;

    end->status = s->copy.status;
    end->times = s->copy.times;
    if (s->copy.senders)
        end->sent = xf_senders_count(s->copy.senders);
    end->wire_bytes = xf_link_bytes(&s->link);
}

static void call_off(struct xf_copy *c)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg msg;

    xf_link_abort_bulk(c->link);
    xf_copy_end(c);
    if (!c->link->control) /* lost, and not replaced */
        return;
    xf_link_say(c->link, XF_MSG_ABORT, NULL, 0, NULL);
    while (!c->link->ops->recv(c->link->control, &msg, meta, SOON_MS, NULL))
        if (msg.type == XF_MSG_ABORTED)
            break;
}

static struct xf_server_opts server_opts(const struct pg_move *m)
{
    return (struct xf_server_opts){.silence_ms = m->opts.stall_ms,
                                   .linear = m->opts.linear,
                                   .quiet_ms = m->opts.quiet_ms,
                                   .compress = m->opts.compress};
}

/* As in libxl-ext/source/move_record.c. */
static int leave_record(struct sourcing *s, struct xf_err *err)
{
    struct pg_move *m = s->m;
    const struct xf_link_cfg *cfg = &s->rejoin.cfg;
    struct xf_record r = {
        .domid = PG_DOMID,
        .uuid = "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11",
        .name = "procguest",
        .port = s->rejoin.peer.port,
        .encrypt = cfg->encrypt,
        .pull = pulls(m),
        .protocol = cfg->version,
        .channels = cfg->channels,
    };

    r.key = *cfg->key;
    snprintf(r.peer, sizeof(r.peer), "%s", m->opts.addr);
    return xf_record_write(m->dir, &r, &s->record, err);
}

static double spend(void *priv, uint64_t bytes)
{
    return xf_budget_spend(&((struct sourcing *)priv)->budget, bytes);
}

/* The first request may follow GO at once. */
static int before_go(void *priv, struct xf_err *err)
{
    struct sourcing *s = priv;
    struct xf_server_opts opts = server_opts(s->m);

    opts.page_rate = s->m->opts.page_rate > 0 ? s->m->opts.page_rate : s->copy.status.page_rate;
    s->m->source.left_out = s->copy.nr_missing;
    if (s->copy.nr_missing &&
        (xf_server_new(&s->server, &s->guest.vm, s->copy.missing, &opts, err) ||
         xf_server_start(s->server, &s->link, err)))
        return -1;
    if (xf_record_mark(s->record, XF_RECORD_GO, err))
        return -1;
    if (s->m->die == PG_DIES_BEFORE_GO)
        raise(SIGKILL);
    return 0;
}

static void serve_rest(struct sourcing *s)
{
    struct pg_source_end *end = &s->m->source;
    struct xf_server_status status;
    double began = xf_now();

    end->pulled = true;
    if (s->m->opts.pull_rate)
        s->m->relay->rate = s->m->opts.pull_rate;
    s->m->pulling = true;
    end->pull = xf_rejoin_serve(&s->rejoin, s->server, &s->link, &end->err);
    end->pull_s = xf_now() - began;
    end->outage = s->rejoin.outage;
    xf_server_status(s->server, &status);
    end->pushed = status.pushed;
    end->resumed = status.resumed;
    end->told = status.pulled;
    end->map = status.map;
    end->copy = status.copy;
    end->answered = status.answered;
    end->packed = status.packed;
}

static void move(struct sourcing *s, struct xf_err *err)
{
    struct xf_copy *c = &s->copy;
    double start = xf_now(), cpu = cpu_now(), began;

    if (xf_copy_begin(c, err))
        return;
    began = xf_now();
    s->m->copying = true;
    if (xf_copy_rounds(c, err))
        return;
    s->m->source.copy_s = xf_now() - began;
    if (leave_record(s, err))
        return;
    s->m->source.end = xf_switch(c, before_go, err);
    s->m->source.total_s = xf_now() - start;
    fill_end(s);
    account(cpu, &s->m->source.cpu_s, &s->m->source.own_kib);
    if (s->m->source.end == XF_SWITCHED)
        xf_record_mark(s->record, s->server ? XF_RECORD_PULLING : XF_RECORD_WHOLE, NULL);
    if (s->m->source.end != XF_SWITCHED || !s->server)
        return;
    xf_copy_free_bulk(c);
    serve_rest(s);
    s->m->source.total_s = xf_now() - start;
    s->m->source.wire_bytes = xf_link_bytes(&s->link);
    account(cpu, &s->m->source.cpu_s, &s->m->source.own_kib);
}

static void source_open(struct sourcing *s)
{
    struct pg_move *m = s->m;

    s->record = -1;
    s->link.ops = &xf_tcp_ops;
    tell_begin(&s->telling, m, true);
    s->copy = (struct xf_copy){
        .vm = &s->guest.vm,
        .link = &s->link,
        .compress = m->opts.compress,
        .opts = {.mode = m->opts.mode,
                 .large = !m->opts.small,
                 .policy = m->opts.policy,
                 .bandwidth = m->opts.bandwidth,
                 .confirm_s = m->opts.confirm_s},
        .tick = {source_tick, s},
        .relink = source_relink,
        .priv = s,
    };
    s->budget.fd = -1;
    if (m->opts.host_bandwidth && !xf_budget_open(&s->budget, m->opts.host_bandwidth, NULL))
        s->copy.spend = spend;
    while (!m->port)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (m->relay)
        m->relay->to = m->port;
    s->rejoin = (struct xf_rejoin){
        .ops = s->link.ops,
        .cfg = source_cfg(m),
        .peer = {.host = m->opts.addr, .port = (uint16_t)(m->relay ? m->relay->port : m->port)},
        .gone = {.limit_ms = {REFUSED_MS, m->opts.stranger_ms, m->opts.silent_ms}},
        .tick = {source_tick, s},
        .link_changed = source_lost,
        .priv = s,
    };
}

static void source_close(struct sourcing *s)
{
    xf_copy_end(&s->copy);
    xf_budget_close(&s->budget);
    xf_server_free(s->server);
    pg_source_close(&s->guest);
    xf_link_close(&s->link);
    xf_status_close(s->telling.server);
    if (s->record >= 0)
        close(s->record);
    s->m->hung_up = true;
    s->m->source.done = true;
}

static int connect_all(struct sourcing *s, struct xf_err *err)
{
    return xf_link_connect(&s->link, &s->rejoin.cfg, &s->rejoin.peer, pulls(s->m),
                           (struct xf_tick){source_tick, s}, err);
}

/* As in libxl-ext/source/move_forecast.c. */
static int foresee(struct sourcing *s, struct xf_err *err)
{
    struct pg_source_end *end = &s->m->source;
    struct xf_tick tick = {source_tick, s};
    struct xf_survey_plan plan = {.mode = s->m->opts.mode,
                                  .policy = s->m->opts.policy,
                                  .compress = s->m->opts.compress.asked,
                                  .threads = s->m->opts.channels,
                                  .bandwidth = s->m->opts.bandwidth};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (plan.threads > processors)
        plan.threads = (unsigned)processors;
    if (xf_survey_look(&end->survey, &s->guest.vm, FORESEE_S, tick, err) ||
        xf_survey_sample(&end->survey, &s->guest.vm, s->m->opts.compress.can, err) ||
        xf_speed_measure(&s->link, tick, &end->speed, err))
        return -1;
    end->forecast = xf_survey_forecast(&end->survey, &end->speed, &plan);
    xf_link_close(&s->link);
    s->link.past = (struct xf_chan_stats){0}; /* the move's bytes count, not these */
    return connect_all(s, err);
}

static void source_main(struct pg_move *m)
{
    struct sourcing s = {.m = m};
    struct xf_err *err = &m->source.err;

    enter(m->opts.netns[0]);
    source_open(&s);
    m->source.end = XF_SWITCH_BACK;
    nanosleep(&(struct timespec){.tv_nsec = (long)m->opts.wait_ns}, NULL);
    if (!pg_source_open(&s.guest, m->src, m->rings, 2, err) && !connect_all(&s, err) &&
        (!m->opts.foresee || !foresee(&s, err))) {
        move(&s, err);
        if (m->source.end == XF_SWITCH_BACK || m->source.end == XF_SWITCH_STUCK)
            call_off(&s.copy);
    }
    source_close(&s);
}

static void around_source(struct pg_move *m)
{
    m->opts.around(m, source_main);
}

/* The source's engine died after GO was recorded; only the suspended guest and the record are
 * left. As in libxl-ext/source/recover.c. */
static void take_over_main(struct pg_move *m)
{
    const struct xf_server_opts opts = server_opts(m);
    struct sourcing s = {.m = m,
                         .record = -1,
                         .budget.fd = -1,
                         .guest = {.uffd = -1, .pagemap = -1},
                         .link = {.ops = &xf_tcp_ops}};
    struct xf_err *err = &m->source.err;
    struct xf_record r;

    enter(m->opts.netns[0]);
    m->source.pull = XF_PULL_LOST;
    if (!xf_record_read(m->dir, PG_DOMID, &r, &s.record, err)) {
        m->found = r.state;
        s.rejoin = (struct xf_rejoin){
            .ops = s.link.ops,
            .cfg = record_link_cfg(&r, SOON_MS, m->opts.stall_ms),
            .peer = {.host = r.peer, .port = r.port},
            .gone = {.limit_ms = {REFUSED_MS, m->opts.stranger_ms, m->opts.silent_ms}},
            .tick = {source_tick, &s},
            .link_changed = source_lost,
            .priv = &s};
        if (!pg_source_open(&s.guest, m->src, m->rings, 2, err) &&
            !xf_server_new(&s.server, &s.guest.vm, NULL, &opts, err) &&
            !xf_rejoin_take_over(&s.rejoin, s.server, &s.link, 2 * SOON_MS, REFUSED_MS, err)) {
            xf_record_mark(s.record, XF_RECORD_PULLING, NULL);
            serve_rest(&s);
        }
    }
    source_close(&s);
}

/* --- both --- */

struct pg_move *pg_move_new(uint64_t nr_gfns, unsigned nr_vcpus)
{
    struct pg_move *m =
        mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (m == MAP_FAILED)
        exit(2);
    m->opts = (struct pg_opts){.channels = 2,
                               .addr = "127.0.0.1",
                               .compress = {.can = xf_pack_codecs()},
                               .garbage = true,
                               .stall_ms = SOON_MS,
                               .done_ms = 500,
                               .reconnect_ms = SOON_MS,
                               .policy = {.max_downtime_s = 0.05, .max_rounds = 5}};
    m->truth = pg_truth_new(nr_gfns, nr_vcpus);
    m->src = pg_new(m->truth);
    m->dst = pg_new(m->truth);
    for (unsigned i = 0; i < 2; i++) {
        m->rings[i] = nr_gfns - 2 + i;
        m->dst->has[m->rings[i]] = 1;
        m->dst->pages++;
        pg_write_page((uint64_t *)(m->dst->mem + m->rings[i] * XF_PAGE_SIZE), m->rings[i],
                      RING_VERSION);
    }
    for (unsigned i = 0; i < nr_vcpus; i++)
        m->src->vcpus[i].count = nr_gfns - 2; /* the guest's workload leaves the rings alone */
    snprintf(m->dir, sizeof(m->dir), "/tmp/xf-procguest-XXXXXX");
    if (!mkdtemp(m->dir))
        exit(2);
    return m;
}

/* name: of the process and its threads, in perf and ps. */
static pid_t start(void (*main)(struct pg_move *), const char *name, struct pg_move *m)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, name);
        main(m);
        exit(0); /* not _exit(): a sanitizer looks for leaks here */
    }
    if (pid < 0)
        exit(2);
    return pid;
}

void pg_move_fill(struct pg_move *m)
{
    uint64_t n = m->truth->nr_gfns, hole = n / 2;
    uint64_t hole_end = hole + (m->opts.whole ? 0 : n / 16);

    pg_fill(m->src, 0, hole);
    pg_fill(m->src, hole_end, n - hole_end);
}

void pg_move_start(struct pg_move *m)
{
    if (!m->src->pages)
        pg_move_fill(m);
    pg_start(m->src, false);
    pg_start(m->dst, true);
    if (m->opts.relayed) {
        m->relay = pg_relay_start();
        m->relay->rate = m->opts.relay_rate;
    }
    m->sink_pid = start(sink_main, "engine-sink", m);
    m->source_pid = start(m->opts.around ? around_source : source_main, "engine-source", m);
    pg_run(m->src);
}

static void end_now(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

void pg_move_kill_source(struct pg_move *m)
{
    end_now(&m->source_pid);
    m->hung_up = true;
}

void pg_move_kill_sink(struct pg_move *m)
{
    end_now(&m->sink_pid);
}

void pg_move_take_over(struct pg_move *m)
{
    m->pulling = m->source.done = false;
    xf_clear(&m->source.err);
    m->source_pid = start(take_over_main, "engine-source", m);
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

    if (!pg_stop_within(where, SOON_MS * 1000000ull)) {
        fprintf(stderr, "a vCPU waits for a page and should not\n");
        return 1;
    }
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
    end_now(&m->source_pid);
    end_now(&m->sink_pid);
    if (m->relay)
        pg_relay_free(m->relay);
    pg_free(m->src);
    pg_free(m->dst);
    pg_truth_free(m->truth);
    xf_record_remove(m->dir, PG_DOMID);
    rmdir(m->dir);
    munmap(m, sizeof(*m));
}
