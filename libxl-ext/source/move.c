/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xf_move(): a move from the source's side, phase by phase. run_move() reads top to bottom. CHECK,
 * SKELETON, PULL and the ends have their own files (move_*.c). COPY and SWITCH belong to the engine
 * (precopy/); their parts specific to Xen domains are here.
 */
#include "libxl-ext/source/move.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl_utils.h>

#include "libxl-ext/source/check_disks.h"
#include "libxl-ext/source/move_cold.h"
#include "libxl-ext/source/move_disks.h"
#include "libxl-ext/source/move_end.h"
#include "libxl-ext/source/move_follow.h"
#include "libxl-ext/source/move_forecast.h"
#include "libxl-ext/source/move_pci.h"
#include "libxl-ext/source/move_pull.h"
#include "libxl-ext/source/move_queue.h"
#include "libxl-ext/source/move_record.h"
#include "libxl-ext/source/move_report.h"
#include "libxl-ext/source/move_skeleton.h"
#include "libxl-ext/source/move_status.h"
#include "transport/times.h"

/* Two domains on one host cannot share a name, so ours is renamed, as in stock xl. Between two
 * hosts nothing is renamed: it is not needed and would cost downtime. */
static int step_aside(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;
    char away[sizeof(m->name) + 20];

    if (!m->check.hello.boot_id[0] || strcmp(m->check.hello.boot_id, m->check.reply.boot_id))
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

/* --- the phases --- */

/* With pages left out the first request may follow GO at once, or come before it. */
static int serve(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;
    struct xf_copy *c = &m->copy;

    if (m->check.reply.unpacks_in_pull)
        m->pull.opts.compress = c->compress;
    m->pull.opts.page_rate = c->status.page_rate;
    if (!c->nr_missing)
        return 0;
    return xf_server_new(&m->pull.server, c->vm, c->missing, &m->pull.opts, err) ||
                   xf_server_start(m->pull.server, &m->link, err)
               ? -1
               : 0;
}

static void back(void *priv)
{
    xf_server_hush(((struct xf_move *)priv)->pull.server);
}

static double spend(void *priv, uint64_t bytes)
{
    return xf_budget_spend(&((struct xf_move *)priv)->budget, bytes);
}

static int phase_copy(struct xf_move *m, struct xf_err *err)
{
    struct xf_copy *c = &m->copy;

    m->fixed_s = XF_SUSPEND_GUESS_S + 2 * m->skeleton.rtt_s;
    c->opts = (struct xf_copy_opts){
        .mode = xf_move_mode(m),
        .large = m->check.reply.large,
        .policy = xf_move_policy(m),
        .bandwidth = m->o->bandwidth,
        .fixed_s = m->fixed_s + xf_disks_moving_owed_s(&m->disks),
        .switch_s = m->check.hello.late_devices ? XF_LATE_SWITCH_MS / 1000.0 : 0,
    };
    c->serve = serve;
    c->back = back;
    if (m->o->host_bandwidth) {
        if (xf_budget_open(&m->budget, m->o->host_bandwidth, err))
            return -1;
        c->spend = spend;
    }
    snprintf(m->report->mode, sizeof(m->report->mode), "%s", xf_move_mode_word(c->opts.mode));
    return xf_copy_rounds(c, err);
}

/* Everything is in place at the destination. */
static int before_go(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;
    struct xf_copy *c = &m->copy;

    m->report->left_out = c->nr_missing;
    /* The flush has been running since the suspend. */
    if (xf_move_unchanged(m, err) || xf_move_disks_done(m, err) ||
        xf_qdisks_flush_end(&m->check.disks, XF_DISKS_MS, err))
        return -1;
    m->report->disks_s = xf_qdisks_last_s(&m->check.disks);
    if (step_aside(priv, err))
        return -1;
    return xf_move_mark(m, XF_RECORD_GO, err);
}

static enum xf_outcome phase_switch(struct xf_move *m, struct xf_err *err)
{
    if (xf_move_record(m, err))
        return XF_STAYED;
    switch (m->o->cold ? xf_move_cold_switch(m, before_go, err)
                       : xf_switch(&m->copy, before_go, err)) {
    case XF_SWITCHED:
        xf_move_mark(m, m->pull.server ? XF_RECORD_PULLING : XF_RECORD_WHOLE, NULL);
        if (m->pull.server)
            xf_record_ran(m->record.fd, xf_xen_source_ran(&m->skeleton.xen), NULL);
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

static enum xf_outcome run_move(struct xf_move *m, struct xf_err *err)
{
    enum xf_outcome end;

    m->pull.opts.silence_ms = XF_SOURCE_STALL_MS;
    if (xf_server_opts_env(&m->pull.opts, err) || xf_move_attach(m, err) || xf_move_queue(m, err))
        return XF_REFUSED;
    if (m->o->check_only) {
        if (xf_move_foresee(m, err))
            return XF_REFUSED;
        xf_move_disks_foresee(m);
        return XF_MOVED;
    }
    if (m->disks.nr) {
        xf_move_phase(m, XF_PHASE_DISKS);
        if (xf_move_disks(m, err))
            return xf_move_give_up(m, XF_STAYED, err);
    }
    xf_move_phase(m, XF_PHASE_SKELETON);
    if (m->o->cold ? xf_move_cold_build(m, err) : xf_move_skeleton(m, err))
        return xf_move_give_up(m, XF_STAYED, err);
    if (!m->o->cold) {
        xf_move_phase(m, XF_PHASE_COPY);
        if (phase_copy(m, err) || xf_move_disks_settle(m, err))
            return xf_move_give_up(m, XF_STAYED, err);
    }
    xf_move_phase(m, XF_PHASE_SWITCH);
    end = phase_switch(m, err);
    if (end != XF_MOVED && end != XF_UNKNOWN)
        end = xf_move_give_up(m, end, err);
    else
        xf_move_report_copy(m);
    xf_disks_moving_end(&m->disks);
    if (end == XF_MOVED && m->pull.server) {
        xf_move_phase(m, XF_PHASE_PULL);
        end = xf_move_pull(m, err);
    }
    xf_move_phase(m, XF_PHASE_FINISH);
    if (end == XF_MOVED)
        end = xf_move_finish(m, err);
    return end == XF_MOVED ? xf_move_plugged(m, err) : end;
}

enum xf_outcome xf_move(const struct xf_move_opts *o, const struct xf_watch *w,
                        struct xf_report *report, struct xf_err *err)
{
    struct xf_move *m = calloc(1, sizeof(*m));
    struct xf_report unwanted = {0};
    enum xf_outcome outcome;

    if (!m) {
        xf_fail(err, ENOMEM, "out of memory");
        return XF_REFUSED;
    }
    xf_move_init(m, o, w, report ? report : &unwanted);
    outcome = run_move(m, err);
    xf_move_end(m, outcome, err);
    free(m);
    return outcome;
}
