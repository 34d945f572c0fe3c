/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xf_move(): a move from the source's side, phase by phase. run_move() reads top to
 * bottom; CHECK is in move_check.c, SKELETON in move_skeleton.c, COPY and SWITCH are the
 * engine's (precopy/).
 */
#include "libxl-ext/source/move.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/source/interrupt.h"
#include "libxl-ext/host/run_dir.h"
#include "transport/text.h"
#include "transport/times.h"

/* A first guess of what the guest's own suspend takes; the report shows what it took. */
#define SUSPEND_GUESS_S 0.03
#define PROGRESS_S 0.1
/* How long the receiver may take to end by itself after the pipe was closed. */
#define CHILD_MS 10000
#define CHILD_FAILED_MS 2000
/* The guest stands still meanwhile, as for the last pages. */
#define DISKS_MS 10000

const char *xf_phase_name(enum xf_phase p)
{
    static const char *const names[XF_PHASES] = {"CHECK",  "SKELETON", "COPY",
                                                 "SWITCH", "PULL",     "FINISH"};

    return p < XF_PHASES ? names[p] : "?";
}

void xf_move_opts_init(struct xf_move_opts *o)
{
    *o = (struct xf_move_opts){
        .rdma_poll_us = XF_RDMA_POLL_US,
        .mode = XF_MODE_HYBRID,
        .channels = 2,
        .max_downtime_ms = 300,
        .max_rounds = 10,
        .reconnect_s = XF_RECONNECT_S,
    };
}

/* --- what the caller sees --- */

void xf_move_note(struct xf_move *m, const char *fmt, ...)
{
    char text[400];
    va_list al;

    if (!m->w->note)
        return;
    va_start(al, fmt);
    vsnprintf(text, sizeof(text), fmt, al);
    va_end(al);
    xf_text_clean(text);
    m->w->note(m->w->priv, text);
}

static void show_progress(struct xf_move *m)
{
    const struct xf_copy_status *st = &m->copy.status;
    /* In PULL the senders have gone, and what they did is in the report. */
    struct xf_sent sent = {.data = m->report->pages_sent, .zero = m->report->pages_zero};
    struct xf_progress p = {
        .phase = m->phase,
        .round = st->round,
        .round_pages = st->round_pages,
        .round_done = st->round_done,
        .dirty_pps = st->dirty_pps,
        .predicted_down_s = st->predicted_s,
        .eta_s = -1,
    };
    double now = xf_now(), in_round = now - st->round_began;

    if (m->copy.senders)
        sent = xf_senders_count(m->copy.senders);
    p.pages_sent = sent.data + m->served;
    p.pages_zero = sent.zero;
    p.wire_bytes = xf_link_bytes(&m->link);
    p.left_out = m->report->left_out;
    p.missing = m->pulled.missing;
    p.faults = m->pulled.faults;
    p.elapsed_s = now - m->began;
    if (m->phase == XF_PHASE_COPY && in_round > 0.2 && st->round_done) {
        p.rate_bps = (double)st->round_done * XF_PAGE_SIZE / in_round;
        if (st->round_pages > st->round_done)
            p.eta_s =
                (double)(st->round_pages - st->round_done) * in_round / (double)st->round_done;
    } else {
        p.rate_bps = st->page_rate * XF_PAGE_SIZE;
    }
    m->shown = now;
    xf_move_status_tell(m, &p);
    if (m->w->progress)
        m->w->progress(m->w->priv, &p);
}

void xf_move_phase(struct xf_move *m, enum xf_phase p)
{
    double now = xf_now();

    m->report->phase_s[m->phase] += now - m->phase_began;
    m->phase = p;
    m->phase_began = now;
    show_progress(m);
}

int xf_move_tick(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;

    if (m->o->cancel && *m->o->cancel)
        return xf_fail(err, ECANCELED, "interrupted");
    /* What the phase SWITCH shows would be paid for in downtime. */
    if (m->phase != XF_PHASE_SWITCH && xf_now() - m->shown > PROGRESS_S)
        show_progress(m);
    if (m->pipe.child && xf_pipe_dead(&m->pipe))
        return xf_fail(err, ECONNRESET, "the receiver at the destination has gone away");
    return m->copy.times.began > 0 ? 0 : xf_move_follow(m, err);
}

/* --- ends --- */

static void report_wire(struct xf_move *m)
{
    struct xf_chan_stats wire = xf_link_stats(&m->link);

    m->report->wire_bytes = wire.tx_bytes + wire.rx_bytes;
    m->report->work_requests = wire.work_requests;
    m->report->completions = wire.completions;
}

static void fill_report(struct xf_move *m)
{
    struct xf_report *r = m->report;
    const struct xf_switch_times *t = &m->copy.times;
    struct xf_sent sent = {0};

    if (m->copy.senders)
        sent = xf_senders_count(m->copy.senders);
    r->rounds = m->copy.status.round;
    r->rounds_s = m->copy.status.rounds_s;
    r->pages_sent = sent.data;
    r->pages_zero = sent.zero;
    r->lz4_pages = sent.by[XF_CODEC_LZ4];
    r->zstd_pages = sent.by[XF_CODEC_ZSTD];
    r->packed_bytes = sent.packed;
    r->pack_s = sent.pack_s;
    r->pages_skipped = m->copy.order.skipped;
    r->last_pages = t->pages;
    report_wire(m);
    r->predicted_down_s = m->copy.status.predicted_s;
    if (m->copy.status.reason)
        snprintf(r->switch_reason, sizeof(r->switch_reason), "%s",
                 xf_switch_reason_text(m->copy.status.reason));
    r->downtime_s = -1;
    if (t->running > 0) {
        r->downtime_s = t->running - t->began;
        r->suspend_s = t->suspended - t->began;
        r->last_dirty_s = t->log_read - t->suspended;
        r->last_pages_s = t->loaded - t->log_read;
        r->resume_s = t->running - t->loaded;
    }
}

/* On one host two domains cannot have one name, so ours steps aside, as in stock xl. On two
 * hosts nothing needs to be renamed, and nothing is: it would be downtime. */
static int step_aside(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;
    char away[sizeof(m->name) + 20];

    if (!m->hello.boot_id[0] || strcmp(m->hello.boot_id, m->reply.boot_id))
        return 0;
    snprintf(away, sizeof(away), XF_AWAY, m->name);
    if (libxl_domain_rename(m->ctx, m->domid, m->name, away))
        return xf_fail(err, EIO, "cannot rename the domain to \"%s\"", away);
    m->renamed = true;
    snprintf(m->report->domain, sizeof(m->report->domain), "%s", away);
    return 0;
}

static void step_back(struct xf_move *m)
{
    char away[sizeof(m->name) + 20];

    if (!m->renamed)
        return;
    snprintf(away, sizeof(away), XF_AWAY, m->name);
    if (!libxl_domain_rename(m->ctx, m->domid, away, m->name))
        snprintf(m->report->domain, sizeof(m->report->domain), "%s", m->name);
    m->renamed = false;
}

static double mean_s(const struct xf_cost_sum *c)
{
    return c->pages ? (double)c->ns / 1e9 / (double)c->pages : -1;
}

static void pull_report(struct xf_move *m)
{
    struct xf_server_status status;
    struct xf_report *r = m->report;

    xf_server_status(m->server, &status);
    r->pages_sent += status.pushed + status.answered;
    m->served = 0; /* counted there now */
    r->hopeless = status.hopeless;
    r->ran_twice = status.resumed;
    report_wire(m);
    if (status.pulled.missing == UINT64_MAX)
        return; /* it never said */
    r->faults = status.pulled.faults;
    r->requested = status.pulled.requested;
    r->fault_median_s = (double)status.pulled.median_ns / 1e9;
    r->fault_p99_s = (double)status.pulled.p99_ns / 1e9;
    r->page = (struct xf_page_costs){
        .populate_s = mean_s(&status.pulled.populate),
        .evict_s = mean_s(&status.pulled.evict),
        .prep_s = mean_s(&status.pulled.prep),
        .copy_s = mean_s(&status.pulled.copy),
        .source_map_s = mean_s(&status.map),
        .source_copy_s = mean_s(&status.copy),
    };
    r->network_held_s = (double)status.pulled.held_ns / 1e9;
}

static void outage_report(struct xf_report *r, const struct xf_outage *o)
{
    r->pull_reconnects = o->nr;
    r->pull_away_s = o->away_s;
    r->pull_longest_s = o->longest_s;
    r->pull_recovery_s = o->recovery_s;
}

/* The move is off and the guest is ours: the destination must leave nothing behind. */
static void call_off(struct xf_move *m, struct xf_err *err)
{
    uint8_t *meta = malloc(XF_META_MAX);
    struct xf_msg msg;
    double until;

    /* Workers first: they hold the bulk channels. */
    xf_link_abort_bulk(&m->link);
    fill_report(m);
    xf_copy_end(&m->copy);
    if (m->link.control && meta) {
        /* If it was the peer that failed it has said why by now. */
        if (err->num != ECANCELED && err->num != EPERM)
            xf_link_last_words(&m->link, 500, err);
        xf_link_say(&m->link, XF_MSG_ABORT, NULL, 0, NULL);
        /* A peer that is still building does not read the channel, but sees this. */
        xf_pipe_hang_up(&m->pipe);
        /* Wait for its clean-up, so that a second attempt finds nothing in its way. A cut
         * link ends the wait: nothing arrives within the first seconds. */
        until = xf_now() + XF_ABORTED_MS / 1000.0;
        while (xf_now() < until) {
            int rc = m->link.ops->recv(m->link.control, &msg, meta, 500, NULL);

            if (rc < 0 || (!rc && (msg.type == XF_MSG_ABORTED || msg.payload_len)))
                break;
            if (m->pipe.child && xf_pipe_dead(&m->pipe))
                break;
        }
    }
    free(meta);
    /* No channel to ask on: that the receiver ends says that it has cleaned up. */
    if (!m->link.control)
        xf_pipe_close(&m->pipe, XF_ABORTED_MS);
}

void xf_move_let_go(struct xf_move *m)
{
    xf_status_close(m->status);
    m->status = NULL;
    xf_copy_end(&m->copy);
    xf_server_free(m->server);
    if (m->xen_open)
        xf_xen_source_close(&m->xen);
    m->xen_open = false;
    xf_qdisks_close(&m->disks);
    xf_link_close(&m->link);
    xf_pipe_close(&m->pipe, m->report->outcome == XF_MOVED ? CHILD_MS : CHILD_FAILED_MS);
    xf_hello_free(&m->hello);
    xf_changes_end(&m->changes);
    free(m->config_json);
    libxl_domain_config_dispose(&m->config);
    if (m->record_fd >= 0)
        close(m->record_fd);
    xf_record_unlock(xf_run_dir(), m->domid, m->lock_fd);
    if (m->xch)
        xc_interface_close(m->xch);
    if (m->ctx)
        libxl_ctx_free(m->ctx);
}

/* --- the phases --- */

int xf_move_attach(struct xf_move *m, struct xf_err *err)
{
    xf_toollog_init(&m->log);
    if (libxl_ctx_alloc(&m->ctx, LIBXL_VERSION, 0, &m->log.vtable))
        return xf_fail(err, EIO, "cannot talk to Xen; is this a dom0, and are you root?");
    m->xch = xc_interface_open(&m->log.vtable, &m->log.vtable, 0);
    if (!m->xch)
        return xf_fail(err, errno, "cannot open Xen's privileged interface: %s", strerror(errno));
    return 0;
}

static int phase_copy(struct xf_move *m, struct xf_err *err)
{
    static const char *const modes[] = {[XF_MODE_PRECOPY] = "precopy",
                                        [XF_MODE_HYBRID] = "hybrid",
                                        [XF_MODE_POSTCOPY] = "postcopy"};
    struct xf_copy *c = &m->copy;

    c->opts = (struct xf_copy_opts){
        .mode = m->pull ? m->o->mode : XF_MODE_PRECOPY,
        .policy = {.max_downtime_s = m->o->max_downtime_ms / 1000.0,
                   .max_rounds = m->pull && m->o->mode == XF_MODE_HYBRID && m->o->postcopy_after
                                     ? m->o->postcopy_after
                                     : m->o->max_rounds},
        .bandwidth = m->o->bandwidth,
        .fixed_s = SUSPEND_GUESS_S + 2 * m->rtt_s,
    };
    snprintf(m->report->mode, sizeof(m->report->mode), "%s", modes[c->opts.mode]);
    return xf_copy_rounds(c, err);
}

/* Everything is in place there; with pages left out, the first request may follow GO at once. */
static int before_go(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;
    struct xf_copy *c = &m->copy;

    if (m->reply.unpacks_in_pull)
        m->server_opts.compress = c->compress;
    m->server_opts.page_rate = c->status.page_rate;
    m->report->left_out = c->nr_missing;
    /* The flush has been at it since the suspend. */
    if (xf_move_unchanged(m, err) || xf_qdisks_flush_end(&m->disks, DISKS_MS, err))
        return -1;
    m->report->disks_s = xf_qdisks_last_s(&m->disks);
    if (step_aside(priv, err))
        return -1;
    if (c->nr_missing && (xf_server_new(&m->server, c->vm, c->missing, &m->server_opts, err) ||
                          xf_server_start(m->server, &m->link, err)))
        return -1;
    return xf_move_mark(m, XF_RECORD_GO, err);
}

static enum xf_outcome phase_switch(struct xf_move *m, struct xf_err *err)
{
    if (xf_move_record(m, err))
        return XF_STAYED;
    switch (xf_switch(&m->copy, before_go, err)) {
    case XF_SWITCHED:
        xf_move_mark(m, m->server ? XF_RECORD_PULLING : XF_RECORD_WHOLE, NULL);
        if (m->server)
            xf_record_ran(m->record_fd, xf_xen_source_ran(&m->xen), NULL);
        snprintf(m->report->domain, sizeof(m->report->domain), "%s", m->name);
        return XF_MOVED;
    case XF_SWITCH_BACK:
        step_back(m);
        xf_move_mark(m, XF_RECORD_READY, NULL);
        m->report->monitor_lost = m->copy.times.suspended > 0;
        return m->copy.times.suspended > 0 ? XF_RESUMED : XF_STAYED;
    case XF_SWITCH_STUCK:
        xf_move_mark(m, XF_RECORD_READY, NULL);
        return XF_SUSPENDED;
    case XF_SWITCH_UNKNOWN:
        break;
    }
    return XF_UNKNOWN;
}

/* An interrupt cannot take the guest back any more; another one gives its pages up. */
static int pull_tick(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;
    struct xf_server_status status;

    xf_server_status(m->server, &status);
    m->pulled = status.pulled;
    m->served = status.pushed + status.answered;
    if (xf_now() - m->shown > PROGRESS_S)
        show_progress(m);
    switch (xf_interrupt(m->o->cancel, &m->told_cancel)) {
    case XF_INTERRUPT_NONE:
        break;
    case XF_INTERRUPT_TELL:
        xf_move_note(m, "the guest runs at the destination already and needs its other pages from "
                        "here: going on; interrupt again (Ctrl-C) to leave it without them");
        break;
    case XF_INTERRUPT_LEAVE:
        return xf_fail(err, ECANCELED, "interrupted while pages were missing");
    }
    return 0;
}

static void link_changed(void *priv, const struct xf_err *why)
{
    if (why)
        xf_move_note(priv,
                     "the link is lost (%s); the guest runs on with the pages it has, and "
                     "the link is made again as soon as that is possible",
                     why->text);
    else
        xf_move_note(priv, "the link is there again");
}

/* Until the destination has every page, or has said that nobody needs them. */
enum xf_outcome xf_move_pull(struct xf_move *m, struct xf_err *err)
{
    struct xf_rejoin r = {
        .tick = {pull_tick, m},
        .link_changed = link_changed,
        .priv = m,
    };
    enum xf_pull_end end;

    xf_move_rejoin(m, &r);
    xf_copy_free_bulk(&m->copy);
    m->report->ran_there = true;
    m->pulled.missing = m->report->left_out;
    end = xf_rejoin_serve(&r, m->server, &m->link, err);
    pull_report(m);
    outage_report(m->report, &r.outage);
    if (end == XF_PULL_DONE)
        return XF_MOVED;
    if (end == XF_PULL_FAILED && m->report->ran_twice)
        xf_move_mark(m, XF_RECORD_TWICE, NULL);
    if (end == XF_PULL_FAILED)
        return m->report->ran_twice && !m->report->hopeless ? XF_UNKNOWN : XF_PULLING;
    if (end == XF_PULL_GONE) {
        xf_wrap(err,
                "whether the guest still runs at the destination is not known: nobody there who "
                "knows this move's key has listened for its missing pages for %lld s",
                (long long)r.gone_ms / 1000);
        return XF_UNKNOWN;
    }
    xf_clear(err);
    m->report->ended_there = true;
    xf_move_note(m, "the guest has ended at the destination before all its pages were there");
    return XF_MOVED;
}

enum xf_outcome xf_move_finish(struct xf_move *m, struct xf_err *err)
{
    char why[300];

    xf_copy_end(&m->copy); /* before the domain goes: it owns mappings of it */
    switch (xf_domain_here(m->ctx, m->domid, m->hello.uuid)) {
    case XF_DOM_RUNS:
        xc_domain_pause(m->xch, m->domid);
        xf_move_mark(m, XF_RECORD_TWICE, NULL);
        m->report->ran_twice = true;
        xf_fail(err, EBUSY,
                "the guest runs at the destination with all its pages, and somebody has let its "
                "old domain %u run here, too; it is paused now",
                m->domid);
        return XF_UNKNOWN;
    case XF_DOM_OTHER:
        xf_move_note(m, "domain %u here is another one by now and was left alone", m->domid);
        break;
    case XF_DOM_GONE:
    case XF_DOM_DYING:
        break;
    case XF_DOM_UNKNOWN:
    case XF_DOM_SUSPENDED:
        xf_move_mark(m, XF_RECORD_WHOLE, NULL);
        if (!libxl_domain_destroy(m->ctx, m->domid, NULL))
            break;
        xf_move_note(m,
                     "the guest runs at the destination, but its old domain %u could not be "
                     "destroyed (%s); `xl destroy %u`",
                     m->domid, xf_toollog_last(&m->log, why, sizeof(why)), m->domid);
        return XF_MOVED;
    }
    xf_record_remove(xf_run_dir(), m->domid);
    return XF_MOVED;
}

/* Before GO: the destination drops its copy, and the guest is looked after here. */
static enum xf_outcome give_up(struct xf_move *m, enum xf_outcome end, struct xf_err *err)
{
    call_off(m, err);
    end = xf_move_settle(m, end, err);
    if (m->record_fd >= 0 && end != XF_SUSPENDED)
        xf_record_remove(xf_run_dir(), m->domid);
    return end;
}

static enum xf_outcome run_move(struct xf_move *m, struct xf_err *err)
{
    enum xf_outcome end;

    m->server_opts.silence_ms = XF_SOURCE_STALL_MS;
    if (xf_server_opts_env(&m->server_opts, err) || xf_move_attach(m, err) || xf_move_check(m, err))
        return XF_REFUSED;
    if (m->o->check_only)
        return XF_MOVED;
    xf_move_phase(m, XF_PHASE_SKELETON);
    if (xf_move_skeleton(m, err))
        return give_up(m, XF_STAYED, err);
    xf_move_phase(m, XF_PHASE_COPY);
    if (phase_copy(m, err))
        return give_up(m, XF_STAYED, err);
    xf_move_phase(m, XF_PHASE_SWITCH);
    end = phase_switch(m, err);
    if (end != XF_MOVED && end != XF_UNKNOWN)
        end = give_up(m, end, err);
    else
        fill_report(m);
    if (end == XF_MOVED && m->server) {
        xf_move_phase(m, XF_PHASE_PULL);
        end = xf_move_pull(m, err);
    }
    xf_move_phase(m, XF_PHASE_FINISH);
    return end == XF_MOVED ? xf_move_finish(m, err) : end;
}

void xf_move_init(struct xf_move *m, const struct xf_move_opts *o, const struct xf_watch *w,
                  struct xf_report *report)
{
    static const struct xf_watch nobody;

    m->o = o;
    m->w = w ? w : &nobody;
    m->report = report;
    memset(report, 0, sizeof(*report));
    report->downtime_s = -1;
    xf_text_copy(report->domain, sizeof(report->domain), o->domain, strlen(o->domain));
    xf_text_copy(report->host, sizeof(report->host), o->host, strlen(o->host));
    report->channels = o->channels;
    m->lock_fd = m->record_fd = -1;
    m->pipe = (struct xf_pipe){.in = -1, .out = -1};
    libxl_domain_config_init(&m->config);
    m->copy.status.predicted_s = -1;
    m->began = m->phase_began = xf_now();
}

enum xf_outcome xf_move(const struct xf_move_opts *o, const struct xf_watch *w,
                        struct xf_report *report, struct xf_err *err)
{
    struct xf_move *m = calloc(1, sizeof(*m));
    struct xf_report unwanted = {0};

    if (!m) {
        xf_fail(err, ENOMEM, "out of memory");
        return XF_REFUSED;
    }
    xf_move_init(m, o, w, report ? report : &unwanted);
    m->report->outcome = run_move(m, err);
    xf_move_let_go(m);
    xf_move_phase(m, m->phase);
    m->report->total_s = xf_now() - m->began;
    enum xf_outcome outcome = m->report->outcome;
    free(m);
    return outcome;
}
