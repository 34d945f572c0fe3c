/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The report's parts on COPY, SWITCH and PULL: see move_report.h. */
#include "libxl-ext/source/move_report.h"

#include <stdio.h>
#include <string.h>

#include "libxl-ext/source/move_forecast.h"

static void report_wire(struct xf_move *m)
{
    struct xf_chan_stats wire = xf_link_stats(&m->link);

    m->report->wire_bytes = wire.tx_bytes + wire.rx_bytes;
    m->report->work_requests = wire.work_requests;
    m->report->completions = wire.completions;
}

void xf_move_report_copy(struct xf_move *m)
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
    if (m->check.hello.cold)
        r->pages_sent = m->cold.sent / XF_PAGE_SIZE;
    r->lz4_pages = sent.by[XF_CODEC_LZ4];
    r->zstd_pages = sent.by[XF_CODEC_ZSTD];
    r->packed_bytes = sent.packed;
    r->pack_s = sent.pack_s;
    r->pages_skipped = m->copy.order.skipped;
    r->last_pages = t->pages;
    r->whole_pages = m->copy.status.whole_pages;
    r->large_pages = m->copy.status.large_pages;
    report_wire(m);
    r->predicted_down_s = m->copy.status.predicted_s;
    if (m->copy.status.reason)
        snprintf(r->switch_reason, sizeof(r->switch_reason), "%s",
                 xf_switch_reason_text(m->copy.status.reason));
    xf_move_report_forecast(m);
    r->downtime_s = -1;
    if (t->running > 0) {
        r->downtime_s = t->running - t->began;
        r->suspend_s = t->suspended - t->began;
        r->last_dirty_s = t->log_read - t->suspended;
        r->last_pages_s = t->loaded - t->log_read;
        r->resume_s = t->running - t->loaded;
    }
}

_Static_assert(XF_FAULT_BUCKETS == XF_LATENCY_BUCKETS, "the report has what PULLED has");

static double mean_s(const struct xf_cost_sum *c)
{
    return c->pages ? (double)c->ns / 1e9 / (double)c->pages : -1;
}

static void outage_report(struct xf_report *r, const struct xf_outage *o)
{
    r->pull_reconnects = o->nr;
    r->pull_away_s = o->away_s;
    r->pull_longest_s = o->longest_s;
    r->pull_recovery_s = o->recovery_s;
}

void xf_move_report_pull(struct xf_move *m, const struct xf_outage *o)
{
    struct xf_server_status status;
    struct xf_report *r = m->report;

    outage_report(r, o);
    xf_server_status(m->pull.server, &status);
    r->pages_sent += status.pushed + status.answered;
    m->pull.served = 0; /* now in pages_sent */
    r->hopeless = status.hopeless;
    r->ran_twice = status.resumed;
    report_wire(m);
    if (status.pulled.missing == UINT64_MAX)
        return; /* it never reported */
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
    r->has_latency = status.pulled.has_latency;
    memcpy(r->latency, status.pulled.latency, sizeof(r->latency));
    r->network_held_s = (double)status.pulled.held_ns / 1e9;
}
