/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A page as a document, and as a file: see page.h. */
#include "tools/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libxml/HTMLtree.h>

#include "tools/format.h"
#include "tools/json.h"
#include "tools/new_file.h"
#include "tools/page_parts.h"

struct page {
    unsigned nr;
    struct page_move *moves[PAGE_MOVES];
};

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#59636e;--line:#d1d9e0;"
    "--p0:#8c959f;--p1:#8250df;--p2:#0969da;--p3:#cf222e;--p4:#1a7f37;--p5:#9a6700;--p6:#bf3989}"
    "@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--dim:#9198a1;"
    "--line:#3d444d;--p0:#7d8590;--p1:#a371f7;--p2:#4493f8;--p3:#f85149;--p4:#3fb950;"
    "--p5:#d29922;--p6:#f778ba}}"
    "body{margin:0 auto;max-width:52rem;padding:1rem;background:var(--bg);color:var(--fg);"
    "font:15px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}"
    "h1{font-size:1.5rem}h2{font-size:1.25rem;border-top:1px solid var(--line);"
    "padding-top:1rem}h3{font-size:1rem;margin:1.2rem 0 .4rem}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:0}"
    "dt{color:var(--dim)}dd{margin:0}"
    "svg{display:block;width:100%;height:auto}"
    "svg text{font:12px system-ui,sans-serif;fill:var(--dim)}"
    ".grid{stroke:var(--line)}.curve{fill:none;stroke-width:1.6}"
    ".p0,.before{fill:var(--p0);background:var(--p0)}.p1{fill:var(--p1);background:var(--p1)}"
    ".p2,.memory{fill:var(--p2);background:var(--p2)}"
    ".p3,.failed,.dirty{fill:var(--p3);background:var(--p3)}"
    ".p4,.wire{fill:var(--p4);background:var(--p4)}.p5{fill:var(--p5);background:var(--p5)}"
    ".p6{fill:var(--p6);background:var(--p6)}"
    ".curve.memory{fill:none;background:none;stroke:var(--p2)}"
    ".curve.wire{fill:none;background:none;stroke:var(--p4)}"
    ".curve.dirty{fill:none;background:none;stroke:var(--p3);stroke-dasharray:5 3}"
    ".key{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.3rem 0;padding:0}"
    ".key span:first-child{display:inline-block;width:.8em;height:.8em;margin-right:.4em}"
    ".key b{font-weight:normal;color:var(--dim);margin-right:.4em}"
    "table{border-collapse:collapse;margin:.6rem 0}"
    "th,td{text-align:left;padding:.15rem .8rem .15rem 0;border-bottom:1px solid var(--line);"
    "vertical-align:top}th{color:var(--dim);font-weight:normal}"
    ".list{overflow-x:auto}.list th,.list td{white-space:nowrap}"
    ".list td:nth-child(-n+2){white-space:normal;min-width:6em}"
    ".numbers th,.numbers td{text-align:right}"
    ".error{border-left:4px solid var(--p3);padding-left:.8rem}"
    "footer{color:var(--dim);margin-top:2rem}"
    "@media print{body{max-width:none;padding:0}"
    "*{-webkit-print-color-adjust:exact;print-color-adjust:exact}"
    ".chart,tr{break-inside:avoid}h2,h3{break-after:avoid}}";

struct page *page_new(void)
{
    return calloc(1, sizeof(struct page));
}

void page_free(struct page *p)
{
    for (unsigned i = 0; p && i < p->nr; i++)
        free(p->moves[i]);
    free(p);
}

unsigned page_moves(const struct page *p)
{
    return p->nr;
}

int page_add(struct page *p, const char *line, size_t len, struct xf_err *err)
{
    struct page_move *m = malloc(sizeof(*m));
    int rc;

    if (!m)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = page_read(line, len, m, err);
    if (!rc && p->nr == PAGE_MOVES)
        rc = xf_fail(err, E2BIG, "a page has room for %u moves", PAGE_MOVES);
    if (rc)
        free(m);
    else
        p->moves[p->nr++] = m;
    return rc < 0 ? -1 : 0;
}

/* --- the document --- */

static void list_row(xmlNodePtr table, const struct page_move *m, unsigned nr)
{
    xmlNodePtr tr = page_el(table, "tr", NULL), td = page_el(tr, "td", NULL);
    char began[40] = "-", a[FMT_LEN];
    time_t when = (time_t)m->began;
    struct tm tm;

    page_attr(page_el(td, "a", m->domain), "href", "#m%u", nr);
    page_el(tr, "td", m->host);
    if (m->began >= 0 && localtime_r(&when, &tm))
        strftime(began, sizeof(began), "%Y-%m-%d %H:%M:%S", &tm);
    page_el(tr, "td", began);
    page_el(tr, "td", m->total_s >= 0 ? fmt_duration(a, m->total_s) : "-");
    page_el(tr, "td", m->downtime_s >= 0 ? fmt_duration(a, m->downtime_s) : "-");
    page_el(tr, "td", fmt_bytes(a, (double)m->wire_bytes));
    page_el(tr, "td", m->outcome);
}

static void list(xmlNodePtr body, const struct page *p)
{
    static const char *const names[] = {"Guest",    "To",   "Began",  "Time",
                                        "Downtime", "Wire", "Outcome"};
    unsigned moved = 0;
    xmlNodePtr table, tr;
    char text[80];

    for (unsigned i = 0; i < p->nr; i++)
        moved += p->moves[i]->exit_status == 0;
    snprintf(text, sizeof(text), "%u moves, %u of them done", p->nr, moved);
    page_el(body, "h1", text);
    table = page_el(page_classed(body, "div", "list", NULL), "table", NULL);
    tr = page_el(table, "tr", NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        page_el(tr, "th", names[i]);
    for (unsigned i = 0; i < p->nr; i++)
        list_row(table, p->moves[i], i);
    page_timeline(page_classed(body, "div", "chart", NULL),
                  (const struct page_move *const *)p->moves, p->nr);
}

static void fill(xmlDocPtr doc, const struct page *p)
{
    xmlNodePtr html = xmlNewNode(NULL, BAD_CAST "html"), head, body, meta;
    char text[480];

    if (html)
        xmlDocSetRootElement(doc, html);
    page_attr(html, "lang", "en");
    head = page_el(html, "head", NULL);
    page_attr(page_el(head, "meta", NULL), "charset", "utf-8");
    /* Nothing is to be run or fetched, whatever a name holds. */
    meta = page_el(head, "meta", NULL);
    page_attr(meta, "http-equiv", "Content-Security-Policy");
    page_attr(meta, "content", "default-src 'none'; style-src 'unsafe-inline'");
    meta = page_el(head, "meta", NULL);
    page_attr(meta, "name", "viewport");
    page_attr(meta, "content", "width=device-width, initial-scale=1");
    if (p->nr == 1)
        snprintf(text, sizeof(text), "%s to %s", p->moves[0]->domain, p->moves[0]->host);
    else
        snprintf(text, sizeof(text), "%u moves", p->nr);
    page_el(head, "title", text);
    page_el(head, "style", style);
    body = page_el(html, "body", NULL);
    if (p->nr > 1)
        list(body, p);
    for (unsigned i = 0; i < p->nr; i++)
        page_section(body, p->moves[i], i, p->nr == 1);
    page_el(body, "footer", "Written by xl migrate (Xenferry).");
}

char *page_text(const struct page *p, size_t *len, struct xf_err *err)
{
    xmlDocPtr doc = p->nr ? htmlNewDocNoDtD(NULL, NULL) : NULL;
    xmlChar *text = NULL;
    char *out = NULL;
    int n = 0;

    if (doc && xmlCreateIntSubset(doc, BAD_CAST "html", NULL, NULL)) {
        fill(doc, p);
        htmlDocDumpMemoryFormat(doc, &text, &n, 0);
    }
    if (text && n > 0 && (out = malloc((size_t)n + 1))) {
        memcpy(out, text, (size_t)n);
        out[n] = 0;
        *len = (size_t)n;
    }
    xmlFree(text);
    if (doc)
        xmlFreeDoc(doc);
    if (!out)
        xf_fail(err, p->nr ? ENOMEM : EINVAL,
                p->nr ? "out of memory" : "there is no move to make a page of");
    return out;
}

/* --- files --- */

/* The line of one report. */
static int add_report(struct page *p, const struct xf_report *r, const struct xf_err *err,
                      const char *advice, const struct xf_history *h, struct xf_err *why)
{
    char *line = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&line, &len);
    int rc = -1;

    if (f)
        json_report(f, r, err, advice, h);
    if (!f || fclose(f) || !line || !len)
        xf_fail(why, ENOMEM, "out of memory");
    else
        rc = page_add(p, line, len - 1, why);
    free(line);
    return rc;
}

int page_of_report(const char *path, const struct xf_report *r, const struct xf_err *err,
                   const char *advice, const struct xf_history *h, struct xf_err *why)
{
    struct page *p = page_new();
    char *text = NULL;
    size_t len;
    int rc = p ? add_report(p, r, err, advice, h, why) : xf_fail(why, ENOMEM, "out of memory");

    if (!rc)
        rc = (text = page_text(p, &len, why)) ? new_file_write(path, text, len, why) : -1;
    free(text);
    page_free(p);
    return rc;
}
