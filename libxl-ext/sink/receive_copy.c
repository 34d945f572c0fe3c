/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink process in COPY and SWITCH, which belong to the engine (precopy/sink.h): the parts
 * specific to Xen domains. See receive_parts.h. */
#include <errno.h>
#include <string.h>

#include "libxl-ext/xen/follow.h"
#include "libxl-ext/sink/receive_parts.h"
#include "transport/clock.h"
#include "transport/times.h"

/* COPY: has the source begun to reconnect? A stranger's failed attempt does not affect the move. */
static bool called(void *priv)
{
    struct sink *s = priv;

    xf_gather_step(&s->gather, 0, NULL);
    return xf_gather_called(&s->gather);
}

static int serve_tick(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    if (xf_sink_tick(s, err) || xf_sink_build_on(s, 0, err) || xf_sink_still_there(s, err) ||
        xf_device_model_lives(&s->build.dm, err))
        return -1;
    if (s->copy.asked && s->build.dm.domid && xf_device_model_connect(&s->build.dm, err))
        return -1;
    /* Before GO, so that it costs no downtime. */
    return s->build.devices ? xf_sink_hold_network(s, err) : 0;
}

/* The guest was renamed at the source. The copy keeps its first name until it runs, so that name's
 * lock is kept too. */
static int take_name(struct sink *s, const char *name, struct xf_err *err)
{
    struct xf_incoming_lock lock = XF_INCOMING_UNLOCKED;
    struct xf_findings found = {0};
    char host[XF_ADDR_LEN];

    xf_sink_name_source(host, sizeof(host));
    if (strcmp(name, s->shared->copy.domain) &&
        xf_incoming_lock(&lock, name, NULL, host, false, &found, err))
        return -1;
    if (found.n)
        return xf_fail(err, EEXIST, "%s", found.list[0].text);
    if (xf_follow_name(s->ctx, name, s->check.same_host, err)) {
        xf_incoming_unlock(&lock);
        return -1;
    }
    xf_incoming_unlock(&s->copy.name);
    s->copy.name = lock;
    snprintf(s->check.hello.domain, sizeof(s->check.hello.domain), "%s", name);
    return 0;
}

static int follow(void *priv, const struct xf_follow *f, struct xf_err *err)
{
    struct sink *s = priv;

    if (strcmp(f->name, s->check.hello.domain) && take_name(s, f->name, err))
        return -1;
    return xf_follow_online(s->ctx, &s->log, s->xen.domid, f, err);
}

/* The devices are attached meanwhile. The source has said how long it will retry, but may notice
 * the loss later than we do. */
static int relink(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    xf_link_close(&s->link);
    s->copy.asked = false;
    return xf_sink_accept(s, (int)s->check.hello.reconnect_s * 1000 + XF_LATER_MS,
                          (struct xf_tick){serve_tick, s}, err);
}

static bool devices_ready(void *priv)
{
    struct sink *s = priv;

    s->copy.asked = s->build.devices || s->check.hello.late_devices;
    return s->copy.asked;
}

/* Faults are handled from before GO on. */
static int prepare(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    xf_sink_tell(s, XF_PHASE_SWITCH);
    if (xf_qdisks_drop(&s->build.disks, err))
        return -1;
    if (!s->xen.vm.absent || !s->pull.absent.nr)
        return 0;
    if (xf_sink_hold_network(s, err)) /* already held, unless the last pages were marked just now */
        return -1;
    if (xf_pager_new(&s->pull.pager, &s->xen.vm, XF_SINK_STALL_MS, err))
        return -1;
    xf_pager_start(s->pull.pager, &s->link);
    return 0;
}

void xf_sink_committed(struct sink *s)
{
    /* In this order: if we die in between, xl is gone and the guard destroys a copy that never
     * ran. */
    xf_builder_dismiss(&s->build.builder);
    s->go_ns = xf_now_ns();
    s->shared->committed = true;
    s->go = true;
}

static void committed(void *priv)
{
    xf_sink_committed(priv);
}

enum xf_sink_end xf_sink_copy(struct sink *s, struct xf_err *err)
{
    struct xf_sink_watch watch = {
        .priv = s,
        .tick = {serve_tick, s},
        .ready = devices_ready,
        .prepare = prepare,
        .follow = follow,
        .committed = committed,
        .called = called,
        .relink = relink,
    };

    if (s->check.hello.nr_disks)
        watch.disks = xf_sink_disks_done;
    if (!s->check.hello.reconnect_s)
        watch.relink = NULL;
    xf_sink_tell(s, XF_PHASE_COPY);
    return xf_sink_serve(&s->xen.vm, &s->link, &watch, err);
}
