/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a move at the source publishes: see move_status.h. */
#include "libxl-ext/source/move_status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "transport/text.h"

#define SHOW_S 0.1

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

/* --- migrate-status, migrate-postcopy --- */

/* Why the move cannot be switched to post-copy at this moment, with the remedy; NULL: it can. */
static const char *why_not(const struct xf_move *m)
{
    if (m->check.hello.cold)
        return "this is a cold move, which sends all memory before the switch";
    if (m->o->mode == XF_MODE_PRECOPY)
        return "this move sends all memory before the switch, as --precopy asked for: only a "
               "--hybrid one can be cut short";
    if (m->o->mode == XF_MODE_POSTCOPY)
        return "this move is a post-copy move already";
    if (m->show.phase < XF_PHASE_COPY)
        return "this move does not copy memory yet: ask again when `xl migrate-status` shows COPY";
    if (m->show.phase > XF_PHASE_COPY)
        return "this move has ended its COPY already";
    if (!m->pull.possible)
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
        .phase = m->show.phase,
        .left_out = m->report->left_out,
        .faults = m->pull.pulled.faults,
        .requested = m->pull.pulled.requested,
        .fault_median_s = (double)m->pull.pulled.median_ns / 1e9,
        .fault_p99_s = (double)m->pull.pulled.p99_ns / 1e9,
        .rate_bps = -1,
        .dirty_pps = -1,
        .wire_bytes = XF_NO_COUNT,
        .eta_s = -1,
    };

    xf_disks_moving_progress(&m->disks, &s.disks);
    snprintf(s.domain, sizeof(s.domain), "%s", m->name);
    snprintf(s.host, sizeof(s.host), "%s", m->o->host);
    snprintf(s.waits_for, sizeof(s.waits_for), "%s", m->show.waits_for);
    snprintf(s.no_switch, sizeof(s.no_switch), "%s", why ? why : "");
    return s;
}

void xf_move_status_open(struct xf_move *m)
{
    struct xf_status s = status_of(m);
    struct xf_err err = {0};

    if (m->o->check_only)
        return;
    if (xf_status_open(&m->show.status, m->domid, &s, &err))
        xf_move_note(m, "`xl migrate-status` will not show this move: %s", err.text);
    xf_status_let_cancel(m->show.status, m->o->cancel);
}

void xf_move_status_tell(struct xf_move *m, struct xf_progress *p)
{
    struct xf_status s = status_of(m);

    s.round = p->round;
    s.round_pages = p->round_pages;
    s.round_done = p->round_done;
    s.pages_sent = p->pages_sent;
    s.elapsed_s = p->elapsed_s;
    s.wire_bytes = p->wire_bytes;
    if (m->show.phase == XF_PHASE_COPY && p->dirty_pps > 0)
        s.dirty_pps = p->dirty_pps;
    if (m->show.phase == XF_PHASE_PULL) {
        /* Until the destination reports how much it lacks, that is what it lacked at GO. */
        xf_status_pace(&m->show.pace,
                       m->pull.pulled.missing < s.left_out ? m->pull.pulled.missing : s.left_out,
                       xf_now(), &s);
        p->missing = s.missing;
        p->rate_bps = s.rate_bps;
        p->eta_s = s.eta_s;
    } else {
        s.rate_bps = p->rate_bps;
        s.eta_s = p->eta_s;
    }
    xf_status_set(m->show.status, &s);
    if (xf_status_asked(m->show.status))
        m->copy.switch_now = true;
}

void xf_move_waits(struct xf_move *m, const char *fmt, ...)
{
    struct xf_progress p = {.elapsed_s = xf_now() - m->show.began, .rate_bps = -1, .eta_s = -1};
    char text[sizeof(m->show.waits_for)];
    va_list al;

    va_start(al, fmt);
    vsnprintf(text, sizeof(text), fmt, al);
    va_end(al);
    xf_text_clean(text);
    memcpy(m->show.waits_for, text, sizeof(text));
    xf_move_status_tell(m, &p);
}

/* --- progress --- */

static void record(struct xf_move *m, const struct xf_progress *p)
{
    const struct xf_copy_round *last = &m->copy.status.last;
    struct xf_history *h = m->o->history;
    const struct xf_history_sample s = {
        .at_s = p->elapsed_s,
        .phase = p->phase,
        .wire_bytes = p->wire_bytes,
        .pages = p->pages_sent + p->pages_zero,
        .dirty_pps = p->phase == XF_PHASE_COPY && last->round ? p->dirty_pps : -1,
        .missing = p->phase == XF_PHASE_PULL ? p->missing : 0,
    };

    if (!h)
        return;
    xf_history_sample(h, &s);
    if (last->round)
        xf_history_round(h, &(struct xf_history_round){.round = last->round,
                                                       .at_s = last->began - m->show.began,
                                                       .took_s = last->took_s,
                                                       .pages = last->pages,
                                                       .data = last->data,
                                                       .zero = last->zero,
                                                       .left = last->left});
}

static void show(struct xf_move *m)
{
    const struct xf_copy_status *st = &m->copy.status;
    /* In PULL the senders are gone, and their counts are in the report. */
    struct xf_sent sent = {.data = m->report->pages_sent, .zero = m->report->pages_zero};
    struct xf_progress p = {
        .phase = m->show.phase,
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
    p.pages_sent = sent.data + m->pull.served;
    p.pages_zero = sent.zero;
    p.wire_bytes = xf_link_bytes(&m->link);
    p.left_out = m->report->left_out;
    p.missing = m->pull.pulled.missing;
    p.faults = m->pull.pulled.faults;
    p.elapsed_s = now - m->show.began;
    xf_disks_moving_progress(&m->disks, &p.disks);
    if (m->show.phase == XF_PHASE_DISKS) {
        p.rate_bps = m->disks.rate;
        if (p.rate_bps > 0)
            p.eta_s = (double)p.disks.left / p.rate_bps;
    } else if ((m->show.phase == XF_PHASE_COPY ||
                (m->show.phase == XF_PHASE_SWITCH && m->check.hello.cold)) &&
               in_round > 0.2 && st->round_done) {
        p.rate_bps = (double)st->round_done * XF_PAGE_SIZE / in_round;
        if (st->round_pages > st->round_done)
            p.eta_s =
                (double)(st->round_pages - st->round_done) * in_round / (double)st->round_done;
    } else {
        p.rate_bps = st->page_rate * XF_PAGE_SIZE;
    }
    m->show.at = now;
    xf_move_status_tell(m, &p);
    record(m, &p);
    if (m->w->progress)
        m->w->progress(m->w->priv, &p);
}

void xf_move_show(struct xf_move *m)
{
    bool ended = m->copy.status.last.round != m->show.recorded;

    m->show.recorded = m->copy.status.last.round;
    if (ended || xf_now() - m->show.at > SHOW_S)
        show(m);
}

void xf_move_book(struct xf_move *m)
{
    double now = xf_now();

    m->report->phase_s[m->show.phase] += now - m->show.phase_began;
    m->show.phase_began = now;
}

void xf_move_phase(struct xf_move *m, enum xf_phase p)
{
    xf_move_book(m);
    m->show.phase = p;
    show(m);
}

void xf_move_status_close(struct xf_move *m, const struct xf_err *err)
{
    struct xf_ended e = {.pid = getpid(), .outcome = m->report->outcome, .when = time(NULL)};

    show(m);
    snprintf(e.domain, sizeof(e.domain), "%s", m->report->domain);
    snprintf(e.host, sizeof(e.host), "%s", m->report->host);
    if (err && e.outcome != XF_MOVED)
        snprintf(e.text, sizeof(e.text), "%s", err->text);
    xf_status_end(m->show.status, &e);
    m->show.status = NULL;
}
