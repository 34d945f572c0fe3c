/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A move of a fake guest over real TCP: see fake_move.h. */
#include "tests/unit/fake_move.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SOON_MS 10000

static void nap(void)
{
    nanosleep(&(struct timespec){0, 2000000}, NULL);
}

static int entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

/* --- connecting --- */

static struct xf_link_cfg link_cfg(const struct move *m)
{
    static struct xf_key key;
    struct xf_link_cfg cfg = {.version = m->version,
                              .key = &key,
                              .channels = m->channels,
                              .encrypt = m->encrypt,
                              .timeout_ms = SOON_MS,
                              .stall_ms = m->stall_ms};

    memset(&key, 0x42, sizeof(key));
    return cfg;
}

/* All channels of the source, one after the other. */
static int dial_all(struct move *m, const struct xf_transport_ops *ops, uint16_t port,
                    struct xf_err *err)
{
    struct xf_link_cfg cfg = link_cfg(m);
    struct xf_link *l = &m->source;

    l->ops = ops;
    l->nr_bulk = m->channels;
    l->version = m->version;
    if (ops->connect(&cfg, "127.0.0.1", port, NULL, XF_CONTROL, &l->control, err))
        return -1;
    for (unsigned i = 0; i < m->channels; i++)
        if (ops->connect(&cfg, "127.0.0.1", port, NULL, XF_BULK(i), &l->bulk[i], err))
            return -1;
    return 0;
}

static void *dial_main(void *arg)
{
    struct move *m = arg;

    m->dialled = dial_all(m, m->gather.at[0].ops, m->ports[0], &m->err);
    return NULL;
}

/* The sink's: wait for all of them. */
static int gather_all(struct move *m, struct xf_err *err)
{
    for (int waited = 0; waited < SOON_MS; waited += 20) {
        int rc = xf_gather_step(&m->gather, 20, err);

        if (rc == 0)
            xf_gather_take(&m->gather, &m->sink);
        if (rc <= 0)
            return rc;
        if (xf_tick(m->tick_relink, err))
            return -1;
    }
    return xf_fail(err, ETIMEDOUT, "the source did not connect all channels");
}

static bool connect_all(struct move *m, const struct xf_transport_ops *const ops[2])
{
    struct xf_link_cfg cfg = link_cfg(m);
    struct xf_err err = {0};
    pthread_t thread;
    int rc;

    for (unsigned i = 0; i < 2 && ops[i]; i++) {
        if (i)
            cfg.stall_ms = SOON_MS; /* what a test is about is the first link */
        if (i && ops[1] == ops[0]) {
            m->ports[1] = m->ports[0];
            break;
        }
        if (xf_gather_listen(&m->gather, ops[i], &cfg, "127.0.0.1", 0, &m->ports[i], &err)) {
            fprintf(stderr, "listen: %s\n", err.text);
            return false;
        }
    }
    pthread_create(&thread, NULL, dial_main, m);
    rc = gather_all(m, &err);
    pthread_join(thread, NULL);
    if (ops[0] != ops[1])
        xf_gather_unlisten(&m->gather, ops[0]);
    m->stall_ms = SOON_MS;
    if (rc || m->dialled)
        fprintf(stderr, "accept: %s; connect: %s\n", err.text, m->err.text);
    return !rc && !m->dialled;
}

/* --- the sink --- */

static int sink_tick(void *priv, struct xf_err *err)
{
    struct move *m = priv;

    if (atomic_load(&m->sink_stop) && !atomic_load(&m->committed))
        return xf_fail(err, ECANCELED, "the sink was told to stop");
    if (atomic_load(&m->hung_up) && !atomic_load(&m->committed) && !m->sink.control)
        return xf_fail(err, ECONNRESET, "the source has gone away");
    return 0;
}

static bool ready(void *priv)
{
    struct move *m = priv;

    atomic_store(&m->devices, m->devices_late-- <= 0);
    return atomic_load(&m->devices);
}

static void committed(void *priv)
{
    struct move *m = priv;

    atomic_fetch_add(&m->committed, 1);
}

/* As in libxl-ext/sink/receive_copy.c. */
static bool called(void *priv)
{
    struct move *m = priv;

    xf_gather_step(&m->gather, 0, NULL);
    return xf_gather_called(&m->gather);
}

static int sink_relink(void *priv, struct xf_err *err)
{
    struct move *m = priv;

    xf_link_close(&m->sink);
    m->sink_relinks++;
    return gather_all(m, err);
}

static int sink_follow(void *priv, const struct xf_follow *f, struct xf_err *err)
{
    struct move *m = priv;

    m->followed = *f;
    m->follows++;
    return m->follow_fails ? xf_fail(err, EEXIST, "the name is taken there") : 0;
}

static void *sink_main(void *arg)
{
    struct move *m = arg;
    struct xf_sink_watch watch = {.priv = m,
                                  .tick = {sink_tick, m},
                                  .ready = ready,
                                  .follow = sink_follow,
                                  .committed = committed};

    if (m->gather.nr) {
        watch.called = called;
        watch.relink = sink_relink;
    }
    m->sink_end = xf_sink_serve(&m->f->dst, &m->sink, &watch, &m->sink_err);
    if (m->sink_end != XF_SINK_RUNS && m->sink.control)
        xf_link_say(&m->sink, XF_MSG_ABORTED, NULL, 0, NULL);
    xf_link_close(&m->sink);
    return NULL;
}

void move_serve(struct move *m)
{
    m->serving = pthread_create(&m->thread, NULL, sink_main, m) == 0;
}

void move_join(struct move *m)
{
    if (m->serving)
        pthread_join(m->thread, NULL);
    m->serving = false;
}

/* --- the source --- */

static int source_tick(void *priv, struct xf_err *err)
{
    struct move *m = priv;

    atomic_fetch_add(&m->ticks, 1);
    if (atomic_load(&m->cancel))
        return xf_fail(err, ECANCELED, "interrupted");
    return 0;
}

static int source_relink(void *priv, const struct xf_err *why, struct xf_err *err)
{
    struct move *m = priv;

    m->lost = *why;
    m->relinks++;
    if (m->before_relink)
        m->before_relink(m);
    xf_link_close(&m->source);
    return dial_all(m, m->second, m->ports[1], err);
}

/* As call_off() in libxl-ext/source/move_end.c, with less patience. */
static void call_off(struct move *m)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg msg;

    xf_link_abort_bulk(&m->source);
    xf_copy_end(&m->copy);
    if (m->source.control && m->err.num != ECANCELED)
        xf_link_last_words(&m->source, 200, &m->err);
    atomic_store(&m->hung_up, true);
    if (!m->source.control)
        return;
    xf_link_say(&m->source, XF_MSG_ABORT, NULL, 0, NULL);
    for (int i = 0; i < 5; i++) {
        int rc = m->source.ops->recv(m->source.control, &msg, meta, 200, NULL);

        if (rc < 0 || (!rc && msg.type == XF_MSG_ABORTED))
            break;
    }
}

void move_run(struct move *m)
{
    struct xf_copy *c = &m->copy;

    move_serve(m);
    m->end = XF_SWITCH_BACK;
    if (!xf_copy_begin(c, &m->err) && !xf_copy_rounds(c, &m->err)) {
        m->switched = true;
        m->end = xf_switch(c, m->before_go, &m->err);
    }
    if (m->end == XF_SWITCH_BACK || m->end == XF_SWITCH_STUCK)
        call_off(m);
    xf_copy_end(c);
    atomic_store(&m->thaw, true);
    xf_link_close(&m->source);
    move_join(m);
}

static void *nothing(void *arg)
{
    return arg;
}

static bool open_it(struct move *m, unsigned version, const struct xf_transport_ops *first,
                    const struct xf_transport_ops *second, bool encrypt, unsigned channels,
                    int stall_ms)
{
    const struct xf_transport_ops *const ops[2] = {first, second};
    pthread_t thread;

    /* A sanitizer starts a thread of its own with the first of ours. */
    if (!pthread_create(&thread, NULL, nothing, NULL))
        pthread_join(thread, NULL);
    *m = (struct move){
        .version = version, .encrypt = encrypt, .channels = channels, .stall_ms = stall_ms};
    m->fds = entries("/proc/self/fd");
    m->threads = entries("/proc/self/task");
    m->f = fake_new();
    m->f->priv = m;
    m->copy.vm = &m->f->src;
    m->copy.link = &m->source;
    m->copy.tick = (struct xf_tick){source_tick, m};
    m->copy.priv = m;
    m->copy.opts.large = true;
    m->copy.opts.policy = (struct xf_policy){.max_downtime_s = 0, .max_rounds = 3};
    m->second = second;
    m->tick_relink = (struct xf_tick){sink_tick, m};
    if (second)
        m->copy.relink = source_relink;
    return connect_all(m, ops);
}

bool move_open(struct move *m, bool encrypt, unsigned channels)
{
    return move_open_over(m, &xf_tcp_ops, NULL, encrypt, channels, SOON_MS);
}

bool move_open_in(struct move *m, unsigned version, unsigned channels)
{
    return open_it(m, version, &xf_tcp_ops, NULL, false, channels, SOON_MS);
}

bool move_open_over(struct move *m, const struct xf_transport_ops *first,
                    const struct xf_transport_ops *second, bool encrypt, unsigned channels,
                    int stall_ms)
{
    return open_it(m, 0, first, second, encrypt, channels, stall_ms);
}

bool move_close(struct move *m)
{
    bool clean = true;

    xf_copy_end(&m->copy);
    xf_link_close(&m->source);
    move_join(m);
    xf_link_close(&m->sink);
    xf_gather_unlisten(&m->gather, NULL);
    if (m->f->views) {
        fprintf(stderr, "%d views were left open\n", m->f->views);
        clean = false;
    }
    fake_free(m->f);
    /* A joined thread may take a moment to leave /proc. */
    for (int i = 0; i < 500 && entries("/proc/self/task") > m->threads; i++)
        nap();
    if (entries("/proc/self/fd") != m->fds || entries("/proc/self/task") > m->threads) {
        fprintf(stderr, "%d descriptors, %d threads; before %d, %d\n", entries("/proc/self/fd"),
                entries("/proc/self/task"), m->fds, m->threads);
        clean = false;
    }
    return clean;
}

void move_kill_sink(struct move *m)
{
    m->sink.ops->abort(m->sink.control);
    xf_link_abort_bulk(&m->sink);
}

void move_freeze(struct move *m)
{
    while (!atomic_load(&m->thaw))
        nap();
}
