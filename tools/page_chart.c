/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The charts of a page. Lengths are in units of the drawing, which is WIDTH wide. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/format.h"
#include "tools/page_parts.h"
#include "transport/text.h"

#define WIDTH 720.0
#define LEFT 84.0 /* of the plot: room for the labels of its y axis */
#define RIGHT 700.0
#define TOP 14.0
#define FLOOR 200.0 /* of the plot */
#define TALL 224.0  /* a drawing with an x axis */
#define BAR_TALL 34.0
#define GRID 4
#define NAME_CHARS 16u /* of a label: at most 64 bytes */
#define PAGE 4096.0

static const char *phase_class(enum xf_phase p)
{
    static const char *const classes[] = {
        [XF_PHASE_CHECK] = "p0", [XF_PHASE_DISKS] = "p6",  [XF_PHASE_SKELETON] = "p1",
        [XF_PHASE_COPY] = "p2",  [XF_PHASE_SWITCH] = "p3", [XF_PHASE_PULL] = "p4",
        [XF_PHASE_FINISH] = "p5"};

    return classes[p];
}

/* A legend of swatches: a row for each part. */
static void key(xmlNodePtr list, const char *class, const char *name, const char *value)
{
    xmlNodePtr li = page_el(list, "li", NULL);

    page_classed(li, "span", class, " ");
    page_el(li, "b", name);
    if (value)
        page_el(li, "span", value);
}

/* --- bars that are divided --- */

struct part {
    const char *class, *name;
    double s; /* <= 0: left out */
};

static void divided(xmlNodePtr parent, const char *what, const struct part *parts, int nr)
{
    double all = 0, x = 0;
    char text[120], a[FMT_LEN];
    xmlNodePtr svg, list;

    for (int i = 0; i < nr; i++)
        all += parts[i].s > 0 ? parts[i].s : 0;
    if (!(all > 0))
        return;
    svg = page_svg(parent, WIDTH, BAR_TALL, what);
    list = page_classed(parent, "ul", "key", NULL);
    for (int i = 0; i < nr; i++) {
        double width = parts[i].s > 0 ? parts[i].s / all * WIDTH : 0;

        if (!(parts[i].s > 0))
            continue;
        snprintf(text, sizeof(text), "%s: %s (%.0f%%)", parts[i].name, fmt_duration(a, parts[i].s),
                 100 * parts[i].s / all);
        page_rect(svg, parts[i].class, x, 2, width, BAR_TALL - 4, text);
        x += width;
        key(list, parts[i].class, parts[i].name, fmt_duration(a, parts[i].s));
    }
}

void page_phases(xmlNodePtr parent, const struct page_move *m)
{
    struct part parts[XF_PHASES];

    for (int p = 0; p < XF_PHASES; p++)
        parts[p] = (struct part){phase_class((enum xf_phase)p), xf_phase_name((enum xf_phase)p),
                                 m->phase_s[p]};
    divided(parent, "Time by phase", parts, XF_PHASES);
}

void page_downtime(xmlNodePtr parent, const struct page_move *m)
{
    bool cold = !strcmp(m->mode, "cold");
    const struct part parts[] = {
        {"p0", "suspend", m->suspend_s},
        {"p1", "last dirty log", cold ? -1 : m->last_dirty_s},
        {"p2", cold ? "stream and devices" : "last pages", m->last_pages_s},
        {"p3", "resume", m->resume_s},
    };

    divided(parent, "Downtime in parts", parts, 4);
}

void page_compression(xmlNodePtr parent, const struct page_move *m)
{
    uint64_t pages = m->lz4_pages + m->zstd_pages;
    double bytes = (double)pages * PAGE, part;
    char text[160], a[FMT_LEN], b[FMT_LEN];
    xmlNodePtr svg, list;

    if (!pages)
        return;
    part = (double)m->packed_bytes / bytes;
    if (part > 1)
        part = 1;
    snprintf(text, sizeof(text), "%s became %s (%.0f%%)", fmt_bytes(a, bytes),
             fmt_bytes(b, (double)m->packed_bytes), 100 * part);
    svg = page_svg(parent, WIDTH, 2 * BAR_TALL, "Compression");
    page_rect(svg, "before", 0, 2, WIDTH, BAR_TALL - 4, text);
    page_rect(svg, "wire", 0, BAR_TALL + 2, part * WIDTH, BAR_TALL - 4, text);
    list = page_classed(parent, "ul", "key", NULL);
    key(list, "before", "compressed pages", a);
    key(list, "wire", "on the wire", b);
    if (m->pack_s > 0)
        key(list, "none", "time of the sending threads", fmt_duration(a, m->pack_s));
}

/* --- plots with axes --- */

/* Lines and labels of the y axis from 0 to max. */
static void y_axis(xmlNodePtr svg, double max, char *(*format)(char *buf, double v),
                   const char *suffix)
{
    char text[FMT_LEN + 8], a[FMT_LEN];

    for (int i = 0; i <= GRID; i++) {
        double y = FLOOR - (FLOOR - TOP) * i / GRID;

        page_line(svg, "grid", LEFT, y, RIGHT, y);
        snprintf(text, sizeof(text), "%s%s", format(a, max * i / GRID), suffix);
        page_label(svg, "end", LEFT - 6, y + 4, text);
    }
}

/* Labels of an x axis of time, from 0 to max seconds. */
static void time_axis(xmlNodePtr svg, double y, double left, double max)
{
    char a[FMT_LEN];

    for (int i = 0; i <= GRID; i++) {
        double x = left + (RIGHT - left) * i / GRID;

        page_label(svg,
                   i == GRID ? "end"
                   : i       ? "middle"
                             : "start",
                   x, y, i ? fmt_duration(a, max * i / GRID) : "0");
    }
}

/* Rates between two neighbouring samples, bytes per second; < 0: not known. */
enum rate { MEMORY, WIRE, DIRTY, RATES };

static double rate_of(const struct xf_history *h, unsigned i, enum rate kind)
{
    const struct xf_history_sample *a = &h->samples[i - 1], *b = &h->samples[i];
    double s = b->at_s - a->at_s;

    if (kind == DIRTY)
        return b->dirty_pps >= 0 ? b->dirty_pps * PAGE : -1;
    if (s < 0.001)
        return -1;
    if (kind == MEMORY)
        return b->pages >= a->pages ? (double)(b->pages - a->pages) * PAGE / s : -1;
    return b->wire_bytes >= a->wire_bytes ? (double)(b->wire_bytes - a->wire_bytes) / s : -1;
}

static void curve(xmlNodePtr svg, const struct xf_history *h, enum rate kind, double end,
                  double max)
{
    static const char *const classes[] = {"memory", "wire", "dirty"};
    char points[XF_HISTORY_SAMPLES * 20] = "";
    size_t len = 0;
    xmlNodePtr n;

    for (unsigned i = 1; i < h->nr; i++) {
        double v = rate_of(h, i, kind);

        if (v < 0)
            continue;
        len += (size_t)snprintf(points + len, sizeof(points) - len, "%s%.1f,%.1f", len ? " " : "",
                                LEFT + (RIGHT - LEFT) * h->samples[i].at_s / end,
                                FLOOR - (FLOOR - TOP) * v / max);
    }
    n = page_el(svg, "polyline", NULL);
    page_attr(n, "class", "curve %s", classes[kind]);
    /* Not by page_attr(), which cuts what is longer than a sentence. */
    if (n)
        xmlNewProp(n, BAD_CAST "points", BAD_CAST points);
}

/* The phases, as a band above the plot. */
static void phase_band(xmlNodePtr svg, const struct xf_history *h, double end)
{
    for (unsigned i = 0, next; i + 1 < h->nr; i = next) {
        enum xf_phase p = h->samples[i].phase;
        double from = LEFT + (RIGHT - LEFT) * h->samples[i].at_s / end, to;

        for (next = i + 1; next + 1 < h->nr && h->samples[next].phase == p;)
            next++;
        to = LEFT + (RIGHT - LEFT) * h->samples[next].at_s / end;
        page_rect(svg, phase_class(p), from, 0, to - from, 6, xf_phase_name(p));
    }
}

void page_rates(xmlNodePtr parent, const struct page_move *m)
{
    const struct xf_history *h = &m->history;
    double end = h->nr ? h->samples[h->nr - 1].at_s : 0, max = 0;
    xmlNodePtr svg, list;

    if (h->nr < 2 || !(end > 0))
        return;
    for (unsigned i = 1; i < h->nr; i++)
        for (int r = 0; r < RATES; r++)
            max = fmax(max, rate_of(h, i, (enum rate)r));
    max = page_nice_bytes(max);
    svg = page_svg(parent, WIDTH, TALL, "Rates over time");
    phase_band(svg, h, end);
    y_axis(svg, max, fmt_bytes, "/s");
    time_axis(svg, FLOOR + 16, LEFT, end);
    for (int r = 0; r < RATES; r++)
        curve(svg, h, (enum rate)r, end, max);
    list = page_classed(parent, "ul", "key", NULL);
    key(list, "memory", "guest memory", NULL);
    key(list, "wire", "on the wire", NULL);
    key(list, "dirty", "written by the guest", NULL);
}

void page_rounds(xmlNodePtr parent, const struct page_move *m)
{
    const struct xf_history *h = &m->history;
    double max = 0, step, every;
    xmlNodePtr svg, list;
    char text[160], a[FMT_LEN], b[FMT_LEN], c[FMT_LEN];

    if (!h->nr_rounds)
        return;
    for (unsigned i = 0; i < h->nr_rounds; i++) {
        const struct xf_history_round *r = &h->rounds[i];

        max = fmax(max, (double)r->pages * PAGE);
        if (r->left != UINT64_MAX)
            max = fmax(max, (double)r->left * PAGE);
    }
    max = page_nice_bytes(max);
    svg = page_svg(parent, WIDTH, TALL, "Rounds of COPY");
    y_axis(svg, max, fmt_bytes, "");
    step = (RIGHT - LEFT) / h->nr_rounds;
    every = ceil(24 / step);
    for (unsigned i = 0; i < h->nr_rounds; i++) {
        const struct xf_history_round *r = &h->rounds[i];
        double x = LEFT + step * i, full = (FLOOR - TOP) * (double)r->pages * PAGE / max;
        bool counted = r->left != UINT64_MAX;
        double left = counted ? (FLOOR - TOP) * (double)r->left * PAGE / max : 0;

        snprintf(text, sizeof(text), "round %u: %s in %s; %s dirty at its end", r->round,
                 fmt_bytes(a, (double)r->pages * PAGE), fmt_duration(b, r->took_s),
                 counted ? fmt_bytes(c, (double)r->left * PAGE) : "not counted");
        page_rect(svg, "memory", x + step * 0.15, FLOOR - full, step * 0.4, full, text);
        page_rect(svg, "dirty", x + step * 0.55, FLOOR - left, step * 0.3, left, text);
        snprintf(text, sizeof(text), "%u", r->round);
        if (fmod(i, every) == 0)
            page_label(svg, "middle", x + step / 2, FLOOR + 16, text);
    }
    list = page_classed(parent, "ul", "key", NULL);
    key(list, "memory", "to be sent in the round", NULL);
    key(list, "dirty", "written meanwhile", NULL);
}

/* --- faults --- */

/* 2^n us, with 1024 of one unit as one of the next. */
static const char *bound(char buf[FMT_LEN], unsigned n)
{
    static const char *const units[] = {"us", "ms", "s"};

    snprintf(buf, FMT_LEN, "%u %s", 1u << n % 10, units[n / 10 < 3 ? n / 10 : 2]);
    return buf;
}

static void fault_bars(xmlNodePtr svg, const struct page_move *m, double max)
{
    double step = (RIGHT - LEFT) / XF_FAULT_BUCKETS;
    char text[120], a[FMT_LEN], b[FMT_LEN];

    for (unsigned i = 0; i < XF_FAULT_BUCKETS; i++) {
        double x = LEFT + step * i, tall = (FLOOR - TOP) * (double)m->latency[i] / max;

        if (i == XF_FAULT_BUCKETS - 1)
            snprintf(text, sizeof(text), "%s or more: %llu", bound(a, i),
                     (unsigned long long)m->latency[i]);
        else
            snprintf(text, sizeof(text), "%s to %s: %llu", i ? bound(a, i) : "0", bound(b, i + 1),
                     (unsigned long long)m->latency[i]);
        page_rect(svg, "memory", x + 1, FLOOR - tall, step - 2, tall, text);
        if (i % 3 == 0)
            page_label(svg, "start", x, FLOOR + 16, i ? bound(a, i) : "0");
    }
}

/* The same in numbers: a row for each bucket that is not empty. */
static void fault_table(xmlNodePtr parent, const struct page_move *m)
{
    xmlNodePtr table = page_classed(parent, "table", "numbers", NULL), tr;
    char text[2 * FMT_LEN + 8], a[FMT_LEN], b[FMT_LEN];

    tr = page_el(table, "tr", NULL);
    page_el(tr, "th", "Time until the page was there");
    page_el(tr, "th", "Faults");
    for (unsigned i = 0; i < XF_FAULT_BUCKETS; i++) {
        if (!m->latency[i])
            continue;
        snprintf(text, sizeof(text), "%s %s %s", i ? bound(a, i) : "0",
                 i < XF_FAULT_BUCKETS - 1 ? "to" : "or",
                 i < XF_FAULT_BUCKETS - 1 ? bound(b, i + 1) : "more");
        tr = page_el(table, "tr", NULL);
        page_el(tr, "td", text);
        snprintf(text, sizeof(text), "%llu", (unsigned long long)m->latency[i]);
        page_el(tr, "td", text);
    }
}

void page_faults(xmlNodePtr parent, const struct page_move *m)
{
    double max = 0;
    xmlNodePtr svg;

    for (unsigned i = 0; m->has_latency && i < XF_FAULT_BUCKETS; i++)
        max = fmax(max, (double)m->latency[i]);
    if (!(max > 0))
        return;
    /* Four lines of the grid, each of whole faults. */
    max = fmax(page_nice(max), GRID);
    svg = page_svg(parent, WIDTH, TALL, "Faults by latency");
    y_axis(svg, max, fmt_count, "");
    fault_bars(svg, m, max);
    fault_table(parent, m);
}

/* --- several moves --- */

/* The beginning of a long name; it is whole in the table. text: at least 80 bytes. */
static void name_of(char *text, const struct page_move *m)
{
    size_t len = strlen(m->domain), bytes = 0;

    for (unsigned n = 0; n < NAME_CHARS && bytes < len; n++)
        bytes += xf_text_char(m->domain + bytes, len - bytes);
    snprintf(text, 80, "%.*s%s", (int)bytes, m->domain, bytes < len ? "..." : "");
}

void page_timeline(xmlNodePtr parent, const struct page_move *const *moves, unsigned nr)
{
    const double tall = 22, left = 220;
    double first = INFINITY, last = 0, span;
    char text[520], a[FMT_LEN], b[FMT_LEN];
    xmlNodePtr svg;

    for (unsigned i = 0; i < nr; i++) {
        if (moves[i]->began < 0 || moves[i]->total_s < 0)
            continue;
        first = fmin(first, moves[i]->began);
        last = fmax(last, moves[i]->began + moves[i]->total_s);
    }
    span = last - first;
    if (!(span > 0))
        return;
    svg = page_svg(parent, WIDTH, tall * nr + 24, "When each move ran");
    for (unsigned i = 0; i < nr; i++) {
        const struct page_move *m = moves[i];
        double x = left + (RIGHT - left) * (m->began - first) / span;

        name_of(text, m);
        page_label(svg, "start", 0, tall * i + 15, text);
        if (m->began < 0 || m->total_s < 0)
            continue;
        snprintf(text, sizeof(text), "%s to %s: %s, downtime %s", m->domain, m->host,
                 fmt_duration(a, m->total_s),
                 m->downtime_s >= 0 ? fmt_duration(b, m->downtime_s) : "none");
        page_rect(svg, m->exit_status ? "failed" : "memory", x, tall * i + 3,
                  fmax(1, (RIGHT - left) * m->total_s / span), tall - 6, text);
    }
    page_line(svg, "grid", left, tall * nr, RIGHT, tall * nr);
    time_axis(svg, tall * nr + 16, left, span);
}
