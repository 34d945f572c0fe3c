/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of a page share: a move as read (page_in.c), elements (page_svg.c), and the parts
 * of the document. Private to tools/page*.c. */
#ifndef XF_PAGE_PARTS_H
#define XF_PAGE_PARTS_H

#include <libxml/tree.h>

#include "libxl-ext/moves/history.h"
#include "tools/page.h"
#include "tools/report.h"

/* A report. Negative seconds: not known. */
struct page_move {
    char domain[160], host[256], outcome[16], transport[16], mode[12], cipher[64], xenferry[32];
    char switch_reason[80], fallback[300], error[XF_ERR_TEXT], advice[REPORT_ADVICE];
    bool encrypted;
    int64_t exit_status;
    double began; /* seconds since 1970 */
    double total_s, phase_s[XF_PHASES], downtime_s, predicted_s;
    double suspend_s, last_dirty_s, last_pages_s, resume_s, disks_s;
    double forecast_total_s, forecast_downtime_s;
    uint64_t guest_pages, pages_sent, pages_zero, pages_skipped, last_pages, wire_bytes;
    uint64_t lz4_pages, zstd_pages, packed_bytes;
    double pack_s;
    bool pull; /* pages were left for it; all below but the history are of it */
    uint64_t left_out, faults, requested;
    double fault_median_s, fault_p99_s, network_held_s;
    bool has_latency;
    uint64_t latency[XF_FAULT_BUCKETS];
    struct {
        char vdev[XF_VDEV], target[XF_DISK_PATH];
        uint64_t bytes, sent;
        bool verified;
    } disks[XF_MOVE_DISKS_MAX];
    unsigned nr_disks;
    struct xf_history history;
};

/* page_in.c: 0: read; 1: a line of another type; -1: EPROTO. */
int page_read(const char *line, size_t len, struct page_move *out, struct xf_err *err);

/* --- page_svg.c: elements. A NULL parent, after a failed malloc(), makes no element. --- */

xmlNodePtr page_el(xmlNodePtr parent, const char *name, const char *text); /* NULL: no text */
void page_attr(xmlNodePtr n, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* An element with a class, and text that may be NULL. */
xmlNodePtr page_classed(xmlNodePtr parent, const char *name, const char *class, const char *text);

/* A drawing of this size, which scales with the page; `what` is its description. */
xmlNodePtr page_svg(xmlNodePtr parent, double width, double height, const char *what);
/* title: shown by a browser that points at it; NULL: none. */
xmlNodePtr page_rect(xmlNodePtr svg, const char *class, double x, double y, double width,
                     double height, const char *title);
void page_line(xmlNodePtr svg, const char *class, double x1, double y1, double x2, double y2);
/* anchor: "start", "middle" or "end" of the text is at x. */
void page_label(xmlNodePtr svg, const char *anchor, double x, double y, const char *text);

/* The least of 1, 2, 5 times a power of ten that is at least v; 1 for 0. */
double page_nice(double v);
/* For bytes: the same with powers of 1024. */
double page_nice_bytes(double v);

/* --- page_chart.c: each draws a chart with its legend, or nothing if there is nothing to draw ---
 */

void page_phases(xmlNodePtr parent, const struct page_move *m);
void page_downtime(xmlNodePtr parent, const struct page_move *m);
void page_rates(xmlNodePtr parent, const struct page_move *m);
void page_rounds(xmlNodePtr parent, const struct page_move *m);
void page_compression(xmlNodePtr parent, const struct page_move *m);
void page_faults(xmlNodePtr parent, const struct page_move *m);
/* When each of several moves ran. */
void page_timeline(xmlNodePtr parent, const struct page_move *const *moves, unsigned nr);

/* --- page_move.c: a move's section --- */

/* alone: the page has no other; its heading is that of the page. */
void page_section(xmlNodePtr parent, const struct page_move *m, unsigned nr, bool alone);

#endif
