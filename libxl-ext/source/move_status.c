/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a move's source tells of itself to `xl migrate-status`, and hears from
 * `xl migrate-postcopy` (status.h).
 */
#include "libxl-ext/source/move.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Why the move cannot be switched to post-copy at this moment, with the remedy; NULL: it can. */
static const char *why_not(const struct xf_move *m)
{
    if (m->o->mode == XF_MODE_PRECOPY)
        return "this move sends all memory before the switch, as --precopy asked for: only a "
               "--hybrid one can be cut short";
    if (m->o->mode == XF_MODE_POSTCOPY)
        return "this move is a post-copy move already";
    if (m->phase < XF_PHASE_COPY)
        return "this move does not copy memory yet: ask again when `xl migrate-status` shows COPY";
    if (m->phase > XF_PHASE_COPY)
        return "this move has ended its COPY already";
    if (!m->pull)
        return "the destination's Xen has no memory paging, so all memory goes before the switch; "
               "CHECK says what paging needs";
    return NULL;
}

static struct xf_status status_of(const struct xf_move *m)
{
    const char *why = why_not(m);
    struct xf_status s = {
        .source = true,
        .pid = getpid(),
        .domid = m->domid,
        .phase = m->phase,
        .left_out = m->report->left_out,
        .faults = m->pulled.faults,
        .requested = m->pulled.requested,
        .fault_median_s = (double)m->pulled.median_ns / 1e9,
        .fault_p99_s = (double)m->pulled.p99_ns / 1e9,
        .rate_bps = -1,
        .eta_s = -1,
    };

    snprintf(s.domain, sizeof(s.domain), "%s", m->name);
    snprintf(s.host, sizeof(s.host), "%s", m->o->host);
    snprintf(s.no_switch, sizeof(s.no_switch), "%s", why ? why : "");
    return s;
}

void xf_move_status_open(struct xf_move *m)
{
    struct xf_status s = status_of(m);
    struct xf_err err = {0};

    if (m->o->check_only)
        return;
    if (xf_status_open(&m->status, m->domid, &s, &err))
        xf_move_note(m, "`xl migrate-status` will not show this move: %s", err.text);
}

void xf_move_status_tell(struct xf_move *m, struct xf_progress *p)
{
    struct xf_status s = status_of(m);

    s.round = p->round;
    s.round_pages = p->round_pages;
    s.round_done = p->round_done;
    s.pages_sent = p->pages_sent;
    s.elapsed_s = p->elapsed_s;
    if (m->phase == XF_PHASE_PULL) {
        /* Before the destination has said how much it lacks it is what it lacked at GO. */
        xf_status_pace(&m->pace, m->pulled.missing < s.left_out ? m->pulled.missing : s.left_out,
                       xf_now(), &s);
        p->missing = s.missing;
        p->rate_bps = s.rate_bps;
        p->eta_s = s.eta_s;
    } else {
        s.rate_bps = p->rate_bps;
        s.eta_s = p->eta_s;
    }
    xf_status_set(m->status, &s);
    if (xf_status_asked(m->status))
        m->copy.switch_now = true;
}
