/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xf_recover(): finish an unfinished move in place of a process that died. It begins with the
 * record that the move left (record.h) and with its lock, which a living process would still hold.
 *
 * Whether the guest runs there is asked of the sink, which keeps listening as long as pages are
 * missing and answers only a peer that knows the move's key; if there is no sink, of a new receiver
 * on that host (recover_ask.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl_utils.h>

#include "libxl-ext/source/move_end.h"
#include "libxl-ext/source/move_link.h"
#include "libxl-ext/source/move_pull.h"
#include "libxl-ext/source/move_record.h"
#include "libxl-ext/source/move_status.h"
#include "libxl-ext/source/move_tick.h"
#include "libxl-ext/source/recover.h"
#include "libxl-ext/host/run_dir.h"
#include "transport/text.h"
#include "transport/times.h"

#define REFUSED_MS 3000 /* of retries while nobody listens there */

struct recovery {
    struct xf_move m;
    struct xf_move_opts opts;
    struct xf_record record;
};

/* The error for a domain that is not suspended here. */
static int not_suspended(struct recovery *v, struct xf_err *err)
{
    const struct xf_record *r = &v->record;

    if (r->state == XF_RECORD_READY)
        return xf_fail(err, EINVAL,
                       "domain %u is not suspended: it has been resumed since that move, so there "
                       "is nothing to finish",
                       v->m.domid);
    return xf_fail(err, EINVAL,
                   "domain %u is not suspended: it was resumed here after \"%.100s\" had been told "
                   "to run it, so it may run on both hosts. Look there with `xl list`, and `xl "
                   "destroy` one of the two; the disks may have been written by both",
                   v->m.domid, r->host);
}

/* The domain here, its record and its lock. */
static int load_record(struct recovery *v, const char *domain, struct xf_err *err)
{
    struct xf_move *m = &v->m;
    struct xf_record *r = &v->record;
    enum xf_dom here;
    enum xf_fit fit;

    if (xf_recover_domain(m->ctx, domain, &m->domid, err) ||
        xf_recover_lock(m->domid, &m->record.lock_fd, err))
        return -1;
    if (!xf_recover_has_record(m->domid))
        return xf_fail(err, ENOENT, "no move of \"%s\" from here waits to be finished", domain);
    if (xf_record_read(xf_run_dir(), m->domid, r, &m->record.fd, err) ||
        xf_recover_fit(m->ctx, m->xch, m->domid, r, &fit, &here, err))
        return -1;
    if (fit == XF_FIT_OLD)
        return xf_fail(err, ESTALE,
                       "no move of \"%s\" from here waits to be finished; %s/%u.move is from a "
                       "move before this host was started, and no longer of use",
                       domain, xf_run_dir(), m->domid);
    if (fit == XF_FIT_OTHER)
        return xf_recover_misfit(domain, m->domid, r, err);
    return here == XF_DOM_SUSPENDED || r->state == XF_RECORD_TWICE ? 0 : not_suspended(v, err);
}

/* 0: there is a move to finish, its domain is here, and nobody else is working on it. */
static int load(struct recovery *v, const struct xf_recover_opts *o, struct xf_err *err)
{
    struct xf_move *m = &v->m;
    struct xf_record *r = &v->record;
    char *name;

    if (load_record(v, o->domain, err))
        return -1;
    /* The record may hold a truncated name. */
    if (o->host && strncmp(o->host, r->host, sizeof(r->host) - 1))
        return xf_fail(err, EINVAL, "\"%s\" went to \"%.200s\": name that host, or none", o->domain,
                       r->host);
    xf_move_from_record(m, r);
    /* Within one host the copy has the name by now: messages about the domain here use its present
     * name. */
    name = libxl_domid_to_name(m->ctx, m->domid);
    if (name)
        xf_text_copy(m->report->domain, sizeof(m->report->domain), name, strlen(name));
    free(name);
    v->opts.host = r->host;
    v->opts.channels = r->channels;
    v->opts.rdma_poll_us = r->rdma_poll_us;
    v->opts.delete_source = r->delete_source;
    return 0;
}

static int link_tick(void *priv, struct xf_err *err)
{
    struct recovery *v = priv;

    return xf_move_tick(&v->m, err);
}

/* The outcome of a recovery that achieved nothing: the state as before. */
static enum xf_outcome as_before(const struct recovery *v)
{
    return v->record.state == XF_RECORD_PULLING ? XF_PULLING : XF_UNKNOWN;
}

/* Link to a sink that is in PULL. -1 with *over: this side cannot continue. */
static int find_sink(struct recovery *v, bool *over, struct xf_err *err)
{
    const struct xf_server_opts opts = {.silence_ms = XF_SOURCE_STALL_MS};
    struct xf_move *m = &v->m;
    struct xf_rejoin r = {.tick = {link_tick, v}};

    *over = true;
    if (xf_xen_source_open(&m->skeleton.xen, m->ctx, &m->log, m->domid, NULL, err))
        return -1;
    m->skeleton.open = true;
    xf_xen_source_set_ran(&m->skeleton.xen, v->record.ran_ns);
    if (xf_server_new(&m->pull.server, &m->skeleton.xen.vm, NULL, &opts, err))
        return -1;
    xf_move_rejoin(m, &r);
    if (xf_rejoin_take_over(&r, m->pull.server, &m->link, XF_TAKE_OVER_MS, REFUSED_MS, err)) {
        /* That the guest was let run here too does not end it yet: the destination is asked what it
         * has. */
        *over = err->whose == XF_OURS && err->num != EBUSY;
        return -1;
    }
    *over = false;
    return 0;
}

/* A sink that has received GO is connected: send what it lacks. */
static enum xf_outcome serve(struct recovery *v, struct xf_err *err)
{
    struct xf_move *m = &v->m;
    struct xf_server_status status;

    xf_move_mark(m, XF_RECORD_PULLING, NULL);
    xf_server_status(m->pull.server, &status);
    m->report->left_out = status.left;
    if (!status.ended)
        xf_move_note(m, "the guest runs at the destination; bringing the %llu pages that it lacks",
                     (unsigned long long)status.left);
    return xf_move_pull(m, err);
}

/* No sink answers: ask a new receiver. */
static enum xf_outcome by_asking(struct recovery *v, const struct xf_err *no_link,
                                 struct xf_err *err)
{
    struct xf_move *m = &v->m;
    struct xf_record *r = &v->record;
    struct xf_err why = {0};

    switch (xf_recover_ask(m->ctx, r, m->o->cancel, &why)) {
    case XF_WHERE_WHOLE:
        return XF_MOVED;
    case XF_WHERE_LACKING:
        xf_fail(err, no_link->num ? no_link->num : EHOSTUNREACH,
                "the guest runs there and lacks pages, but no process there takes them (%.200s)",
                no_link->num ? no_link->text : "the move should have left none out");
        return XF_PULLING;
    case XF_WHERE_INCOMING:
        xf_fail(err, EAGAIN,
                "the destination still has a copy that was never started, and may be about to "
                "destroy it; try again in a minute. If that does not change, no process is left "
                "there to do it: `xl destroy %s--incoming` there first",
                r->name);
        return XF_UNKNOWN;
    case XF_WHERE_DYING:
        xf_fail(err, EAGAIN, "at the destination %.200s; try again in a minute", why.text);
        return XF_UNKNOWN;
    case XF_WHERE_OTHER:
        xf_fail(err, EEXIST,
                "the copy that the move made is not at the destination, and %.150s: the guest, "
                "booted anew, or a clone. The domain here is as old as the switch",
                why.text);
        return XF_UNKNOWN;
    case XF_WHERE_NOWHERE:
        if (r->state == XF_RECORD_GO) {
            xf_fail(err, ECANCELED,
                    "the destination does not have the guest: it was never started there, or has "
                    "ended there since");
            return XF_SUSPENDED;
        }
        xf_fail(err, ESRCH,
                "the guest ran at the destination and is no longer there; the domain here is as "
                "old as the switch%s",
                r->nr_disks && r->all_disks ? ", and so are its disks" : "");
        return XF_UNKNOWN;
    case XF_WHERE_SILENT:
        break;
    }
    xf_fail(err, why.num ? why.num : EHOSTUNREACH,
            "the destination cannot be asked (%.200s%s%.150s)", why.text, no_link->num ? "; " : "",
            no_link->num ? no_link->text : "");
    return as_before(v);
}

static enum xf_outcome run_recovery(struct recovery *v, const struct xf_recover_opts *o,
                                    struct xf_err *err)
{
    struct xf_move *m = &v->m;
    struct xf_err no_link = {0};
    enum xf_outcome end = XF_UNKNOWN;
    bool over = false, linked = false;

    if (xf_move_attach(m, err) || load(v, o, err))
        return XF_REFUSED;
    m->report->ran_there = v->record.state >= XF_RECORD_PULLING;
    if (v->record.state == XF_RECORD_TWICE) {
        m->report->ran_twice = true;
        xf_fail(err, EBUSY, "somebody let the guest run here while it ran at the destination");
        return XF_UNKNOWN;
    }
    if (v->record.state == XF_RECORD_READY) {
        xf_fail(err, ECANCELED, "the move ended before the destination was told to run the guest");
        return XF_SUSPENDED;
    }
    xf_move_phase(m, XF_PHASE_PULL);
    xf_move_status_open(m); /* replaces the socket left by a killed move */
    if (v->record.pull && v->record.state != XF_RECORD_WHOLE)
        linked = !find_sink(v, &over, &no_link);
    if (over) {
        xf_fail(err, no_link.num, "%s", no_link.text);
        return as_before(v);
    }
    end = linked ? serve(v, err) : by_asking(v, &no_link, err);
    xf_move_phase(m, XF_PHASE_FINISH);
    if (end != XF_MOVED)
        return end;
    snprintf(m->report->domain, sizeof(m->report->domain), "%s", m->name);
    return xf_move_finish(m, err);
}

enum xf_outcome xf_recover(const struct xf_recover_opts *o, const struct xf_watch *w,
                           struct xf_report *report, struct xf_err *err)
{
    struct recovery *v = calloc(1, sizeof(*v));
    struct xf_report unwanted;
    struct xf_move *m;
    enum xf_outcome end;

    if (!v) {
        xf_fail(err, ENOMEM, "out of memory");
        return XF_REFUSED;
    }
    m = &v->m;
    xf_move_opts_init(&v->opts);
    v->opts.domain = o->domain;
    v->opts.cancel = o->cancel;
    v->opts.host = o->host ? o->host : "";
    xf_move_init(m, &v->opts, w, report ? report : &unwanted);
    m->report->predicted_down_s = -1;

    end = run_recovery(v, o, err);
    xf_move_end(m, end, err);
    explicit_bzero(v, sizeof(*v));
    free(v);
    return end;
}
