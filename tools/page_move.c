/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The section of a page about one move: figures in words, then the charts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/format.h"
#include "tools/page_parts.h"

static void fact(xmlNodePtr list, const char *name, const char *value)
{
    page_el(list, "dt", name);
    page_el(list, "dd", value);
}

static const char *time_or_dash(char buf[FMT_LEN], double s)
{
    return s >= 0 ? fmt_duration(buf, s) : "-";
}

static void times(xmlNodePtr list, const struct page_move *m)
{
    bool predicted = m->downtime_s >= 0 && m->predicted_s >= 0;
    char text[160], a[FMT_LEN], b[FMT_LEN];

    fact(list, "total time", time_or_dash(a, m->total_s));
    snprintf(text, sizeof(text), "%s%s%s", time_or_dash(a, m->downtime_s),
             predicted ? ", predicted " : "", predicted ? fmt_duration(b, m->predicted_s) : "");
    fact(list, "downtime", text);
    if (m->forecast_total_s >= 0) {
        snprintf(text, sizeof(text), "%s, downtime %s", fmt_duration(a, m->forecast_total_s),
                 time_or_dash(b, m->forecast_downtime_s));
        fact(list, "forecast", text);
    }
}

static void memory(xmlNodePtr list, const struct page_move *m)
{
    char text[300], a[FMT_LEN], b[FMT_LEN];

    snprintf(text, sizeof(text), "%s sent, of a guest of %s",
             fmt_bytes(a, (double)m->pages_sent * 4096),
             fmt_bytes(b, (double)m->guest_pages * 4096));
    fact(list, "memory", text);
    snprintf(text, sizeof(text),
             "%" PRIu64 " with content, %" PRIu64 " zero, %" PRIu64 " skipped, %" PRIu64
             " in the switch",
             m->pages_sent, m->pages_zero, m->pages_skipped, m->last_pages);
    fact(list, "pages", text);
    fact(list, "on the wire", fmt_bytes(a, (double)m->wire_bytes));
}

static void pull(xmlNodePtr list, const struct page_move *m)
{
    char text[300], a[FMT_LEN], b[FMT_LEN];

    if (!m->pull)
        return;
    fact(list, "after the switch", fmt_bytes(a, (double)m->left_out * 4096));
    snprintf(text, sizeof(text), "%" PRIu64 ", %" PRIu64 " over the network; median %s, 99%% %s",
             m->faults, m->requested, time_or_dash(a, m->fault_median_s),
             time_or_dash(b, m->fault_p99_s));
    fact(list, "faults", text);
    if (m->network_held_s > 0)
        fact(list, "network back after", fmt_duration(a, m->network_held_s));
}

static void disks(xmlNodePtr list, const struct page_move *m)
{
    char text[XF_DISK_PATH + 100], a[FMT_LEN], b[FMT_LEN];

    for (unsigned i = 0; i < m->nr_disks; i++) {
        snprintf(text, sizeof(text), "%s, %s to %s, %s sent, %s", m->disks[i].vdev,
                 fmt_bytes(a, (double)m->disks[i].bytes), m->disks[i].target,
                 fmt_bytes(b, (double)m->disks[i].sent),
                 m->disks[i].verified ? "compared" : "not compared");
        fact(list, "disk", text);
    }
}

static void facts(xmlNodePtr parent, const struct page_move *m)
{
    xmlNodePtr list = page_el(parent, "dl", NULL);
    char text[200];

    times(list, m);
    if (m->mode[0]) {
        snprintf(text, sizeof(text), "%s over %s, %s", m->mode, m->transport,
                 m->encrypted ? m->cipher[0] ? m->cipher : "encrypted" : "not encrypted");
        fact(list, "way", text);
    }
    if (m->switch_reason[0])
        fact(list, "reason of the switch", m->switch_reason);
    if (m->fallback[0])
        fact(list, "fallback", m->fallback);
    memory(list, m);
    disks(list, m);
    pull(list, m);
    if (m->xenferry[0])
        fact(list, "Xenferry", m->xenferry);
}

static void round_table(xmlNodePtr parent, const struct page_move *m)
{
    static const char *const names[] = {"Round", "Time", "To send", "Sent",
                                        "Zero",  "Rate", "Written"};
    const struct xf_history *h = &m->history;
    xmlNodePtr table, tr;
    char text[FMT_LEN + 8], a[FMT_LEN];

    if (!h->nr_rounds)
        return;
    table = page_classed(parent, "table", "numbers", NULL);
    tr = page_el(table, "tr", NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        page_el(tr, "th", names[i]);
    for (unsigned i = 0; i < h->nr_rounds; i++) {
        const struct xf_history_round *r = &h->rounds[i];
        double bytes = (double)(r->data + r->zero) * 4096;

        tr = page_el(table, "tr", NULL);
        snprintf(text, sizeof(text), "%u", r->round);
        page_el(tr, "td", text);
        page_el(tr, "td", time_or_dash(a, r->took_s));
        page_el(tr, "td", fmt_bytes(a, (double)r->pages * 4096));
        page_el(tr, "td", fmt_bytes(a, (double)r->data * 4096));
        page_el(tr, "td", fmt_bytes(a, (double)r->zero * 4096));
        snprintf(text, sizeof(text), "%s/s", r->took_s > 0 ? fmt_bytes(a, bytes / r->took_s) : "-");
        page_el(tr, "td", text);
        page_el(tr, "td", r->left == UINT64_MAX ? "-" : fmt_bytes(a, (double)r->left * 4096));
    }
}

/* A chart under its heading; the heading goes if nothing was drawn. */
static void chart(xmlNodePtr parent, const char *heading, const struct page_move *m,
                  void (*draw)(xmlNodePtr parent, const struct page_move *m),
                  void (*more)(xmlNodePtr parent, const struct page_move *m))
{
    xmlNodePtr box = page_classed(parent, "div", "chart", NULL);

    page_el(box, "h3", heading);
    draw(box, m);
    if (more)
        more(box, m);
    if (box && box->last && !strcmp((const char *)box->last->name, "h3")) {
        xmlUnlinkNode(box);
        xmlFreeNode(box);
    }
}

void page_section(xmlNodePtr parent, const struct page_move *m, unsigned nr, bool alone)
{
    xmlNodePtr section = page_el(parent, "section", NULL);
    char text[480];

    page_attr(section, "id", "m%u", nr);
    snprintf(text, sizeof(text), "%s to %s: %s", m->domain, m->host, m->outcome);
    page_el(section, alone ? "h1" : "h2", text);
    if (m->error[0])
        page_classed(section, "p", "error", m->error);
    if (m->advice[0])
        page_el(section, "p", m->advice);
    facts(section, m);
    chart(section, "Time by phase", m, page_phases, NULL);
    chart(section, "Downtime in parts", m, page_downtime, NULL);
    chart(section, "Rates", m, page_rates, NULL);
    chart(section, "Rounds", m, page_rounds, round_table);
    chart(section, "Compression", m, page_compression, NULL);
    chart(section, "Faults", m, page_faults, NULL);
}
