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

struct dial {
    struct move *m;
    struct xf_link_cfg cfg;
    uint16_t port;
    int rc;
};

static void *dial_main(void *arg)
{
    struct dial *d = arg;
    struct xf_link *l = &d->m->source;

    d->rc = l->ops->connect(&d->cfg, "127.0.0.1", d->port, NULL, 0, &l->control, &d->m->err);
    for (unsigned i = 0; !d->rc && i < d->m->channels; i++) {
        d->rc =
            l->ops->connect(&d->cfg, "127.0.0.1", d->port, NULL, i + 1, &l->bulk[i], &d->m->err);
        l->nr_bulk = i + 1;
    }
    return NULL;
}

static bool connect_all(struct move *m)
{
    struct dial d = {.m = m};
    struct xf_listener *l = NULL;
    struct xf_err err = {0};
    pthread_t thread;
    bool ok = true;

    d.cfg = (struct xf_link_cfg){.channels = m->channels,
                                 .encrypt = m->encrypt,
                                 .timeout_ms = SOON_MS,
                                 .stall_ms = m->stall_ms};
    memset(d.cfg.key, 0x42, sizeof(d.cfg.key));
    m->source.ops = m->sink.ops = &xf_tcp_ops;
    if (xf_tcp_ops.listen(&d.cfg, "127.0.0.1", 0, &l, &d.port, &err)) {
        fprintf(stderr, "listen: %s\n", err.text);
        return false;
    }
    pthread_create(&thread, NULL, dial_main, &d);
    for (unsigned i = 0; ok && i <= m->channels; i++) {
        struct xf_chan *c = NULL;
        unsigned index = 0;

        ok = xf_tcp_ops.accept(l, SOON_MS, &c, &index, &err) == 0;
        if (!ok)
            fprintf(stderr, "accept: %s\n", err.text);
        else if (index)
            m->sink.bulk[index - 1] = c;
        else
            m->sink.control = c;
    }
    pthread_join(thread, NULL);
    xf_tcp_ops.unlisten(l);
    m->sink.nr_bulk = m->channels;
    if (d.rc)
        fprintf(stderr, "connect: %s\n", m->err.text);
    return ok && !d.rc;
}

/* --- the sink --- */

static int sink_tick(void *priv, struct xf_err *err)
{
    struct move *m = priv;

    if (atomic_load(&m->sink_stop) && !atomic_load(&m->committed))
        return xf_fail(err, ECANCELED, "the sink was told to stop");
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

static void *sink_main(void *arg)
{
    struct move *m = arg;
    const struct xf_sink_watch watch = {
        .priv = m, .tick = sink_tick, .ready = ready, .committed = committed};

    m->sink_end = xf_sink_serve(&m->f->dst, &m->sink, &watch, &m->sink_err);
    if (m->sink_end != XF_SINK_RUNS)
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

/* As call_off() in libxl-ext/move.c, with less patience. */
static void call_off(struct move *m)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg msg;

    xf_link_abort_bulk(&m->source);
    xf_copy_end(&m->copy);
    if (m->err.num != ECANCELED)
        xf_link_last_words(&m->source, 200, &m->err);
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

bool move_open(struct move *m, bool encrypt, unsigned channels)
{
    pthread_t thread;

    /* A sanitizer starts a thread of its own with the first of ours. */
    if (!pthread_create(&thread, NULL, nothing, NULL))
        pthread_join(thread, NULL);
    *m = (struct move){.encrypt = encrypt, .channels = channels, .stall_ms = SOON_MS};
    m->fds = entries("/proc/self/fd");
    m->threads = entries("/proc/self/task");
    m->f = fake_new();
    m->f->priv = m;
    m->copy.vm = &m->f->src;
    m->copy.link = &m->source;
    m->copy.tick = source_tick;
    m->copy.priv = m;
    m->copy.opts.policy = (struct xf_policy){.max_downtime_s = 0, .max_rounds = 3};
    return connect_all(m);
}

bool move_close(struct move *m)
{
    bool clean = true;

    xf_copy_end(&m->copy);
    xf_link_close(&m->source);
    move_join(m);
    xf_link_close(&m->sink);
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
