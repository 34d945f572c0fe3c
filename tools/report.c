/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The message at the end of a move.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "tools/disk_rows.h"
#include "tools/format.h"
#include "tools/outlook.h"
#include "tools/report.h"

#define COLUMNS 80
#define INDENT 12 /* column where values begin, after their names */

static void row(FILE *out, const char *name, const char *text)
{
    fprintf(out, "  %-9s ", name);
    print_wrapped(out, text, COLUMNS, INDENT, INDENT);
}

static bool is_cold(const struct xf_report *r)
{
    return !strcmp(r->mode, "cold");
}

static void print_times(FILE *out, const struct xf_report *r)
{
    char text[400] = "", a[FMT_LEN], b[FMT_LEN], c[FMT_LEN], d[FMT_LEN], n[FMT_LEN];
    size_t len = 0;

    for (int i = 0; i < XF_PHASES; i++) {
        char name[16];
        if ((i == XF_PHASE_PULL || i == XF_PHASE_DISKS) && r->phase_s[i] <= 0)
            continue; /* post-copy only; with disks only */
        snprintf(name, sizeof(name), "%s", xf_phase_name(i));
        for (char *p = name; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %s", len ? ", " : "", name,
                                fmt_duration(a, r->phase_s[i]));
    }
    row(out, "phases", text);
    if (is_cold(r))
        snprintf(text, sizeof(text), "suspend %s, stream and devices %s, resume %s",
                 fmt_duration(a, r->suspend_s), fmt_duration(c, r->last_pages_s),
                 fmt_duration(d, r->resume_s));
    else
        snprintf(text, sizeof(text), "suspend %s, last dirty log %s, last %s pages %s, resume %s",
                 fmt_duration(a, r->suspend_s), fmt_duration(b, r->last_dirty_s),
                 fmt_count(n, (double)r->last_pages), fmt_duration(c, r->last_pages_s),
                 fmt_duration(d, r->resume_s));
    row(out, "switch", text);
}

/* Print the share of pages compressed, the result and the cost. */
static void print_compression(FILE *out, const struct xf_report *r)
{
    uint64_t pages = r->lz4_pages + r->zstd_pages;
    double bytes = (double)pages * 4096;
    char text[300], a[FMT_LEN], b[FMT_LEN], c[FMT_LEN];

    if (!pages) {
        if (r->pack_s > 0)
            row(out, "compress", "no page: it would not have been faster");
        return;
    }
    snprintf(text, sizeof(text),
             "%" PRIu64 " pages by LZ4, %" PRIu64
             " by zstd: %s became %s (%.0f%%), taking %s of the sending threads' time",
             r->lz4_pages, r->zstd_pages, fmt_bytes(a, bytes),
             fmt_bytes(b, (double)r->packed_bytes), 100 * (double)r->packed_bytes / bytes,
             fmt_duration(c, r->pack_s));
    row(out, "compress", text);
}

/* Print the thread time per page on both hosts; values not measured are omitted. */
static void print_page_costs(FILE *out, const struct xf_page_costs *c)
{
    const struct {
        const char *name;
        double s;
    } parts[] = {{"populate", c->populate_s},
                 {"evict", c->evict_s},
                 {"prep", c->prep_s},
                 {"copy", c->copy_s},
                 {"source map", c->source_map_s},
                 {"source copy", c->source_copy_s}};
    char text[300] = "";
    size_t len = 0;

    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i].s >= 0)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %.3g us", len ? ", " : "",
                                    parts[i].name, parts[i].s * 1e6);
    if (len)
        row(out, "per page", text);
}

static const char *times(char buf[24], unsigned n)
{
    if (n == 1)
        return "once";
    snprintf(buf, 24, "%u times", n);
    return buf;
}

/* Print links lost and replaced. */
static void print_links(FILE *out, const struct xf_report *r)
{
    char text[300], a[FMT_LEN], b[FMT_LEN], c[FMT_LEN], n[24];

    if (r->copy_reconnects) {
        snprintf(text, sizeof(text),
                 "lost %s while memory was copied, and re-established; down for %s",
                 times(n, r->copy_reconnects), fmt_duration(a, r->copy_away_s));
        row(out, "link", text);
    }
    if (r->pull_reconnects) {
        snprintf(text, sizeof(text),
                 "lost %s after the switch, and re-established; down for %s (at most %s at a "
                 "time); pages arrived again within %s of the first answer",
                 times(n, r->pull_reconnects), fmt_duration(a, r->pull_away_s),
                 fmt_duration(b, r->pull_longest_s), fmt_duration(c, r->pull_recovery_s));
        row(out, "link", text);
    }
}

static void print_pages(FILE *out, const struct xf_report *r)
{
    char text[400], a[FMT_LEN];

    snprintf(text, sizeof(text),
             "%" PRIu64 " sent, %" PRIu64 " as zero, %" PRIu64 " skipped, of a guest of %" PRIu64
             "; %s on the wire",
             r->pages_sent, r->pages_zero, r->pages_skipped, r->guest_pages,
             fmt_bytes(a, (double)r->wire_bytes));
    row(out, "pages", text);
    if (r->whole_pages) {
        snprintf(text, sizeof(text), "%.0f %% of the guest at the destination, of %.0f %% possible",
                 100.0 * (double)r->large_pages / (double)r->guest_pages,
                 100.0 * (double)r->whole_pages / (double)r->guest_pages);
        row(out, "large pages", text);
    }
    print_compression(out, r);
    snprintf(text, sizeof(text), "%u in %s%s%s", r->rounds, fmt_duration(a, r->rounds_s),
             r->switch_reason[0] ? "; then the switch: " : "", r->switch_reason);
    row(out, "rounds", text);
}

void report_disks(FILE *out, const struct xf_report *r, bool check)
{
    char text[1200];

    for (unsigned i = 0; i < r->nr_disks; i++) {
        disk_row(text, sizeof(text), &r->disks[i], check);
        row(out, "disk", text);
    }
}

void report_print(FILE *out, const struct xf_report *r)
{
    char text[700], a[FMT_LEN], b[FMT_LEN], c[FMT_LEN];

    snprintf(text, sizeof(text), "%s moved to %s in %s.", r->domain, r->host,
             fmt_duration(a, r->total_s));
    print_wrapped(out, text, COLUMNS, 0, 2);

    if (r->downtime_s >= 0) {
        char predicted[FMT_LEN + 16] = "";
        if (r->predicted_down_s >= 0)
            snprintf(predicted, sizeof(predicted), ", predicted %s",
                     fmt_duration(b, r->predicted_down_s));
        snprintf(text, sizeof(text), "%s%s", fmt_duration(a, r->downtime_s), predicted);
        row(out, "downtime", text);
    }
    snprintf(text, sizeof(text), "%s, %u channel%s, %s%s", r->transport, r->channels,
             r->channels == 1 ? "" : "s", r->cipher[0] ? r->cipher : "not encrypted",
             r->cipher[0] && !r->encrypted ? " at the end, not encrypted before" : "");
    row(out, "transport", text);
    if (r->fallback[0])
        row(out, "fallback", r->fallback);
    print_links(out, r);
    if (r->work_requests) {
        uint64_t pages = r->pages_sent ? r->pages_sent : 1;

        snprintf(text, sizeof(text),
                 "%" PRIu64 " work requests, %" PRIu64
                 " completions (%.1f and %.1f per 1000 pages)",
                 r->work_requests, r->completions, 1e3 * (double)r->work_requests / (double)pages,
                 1e3 * (double)r->completions / (double)pages);
        row(out, "rdma", text);
    }
    if (is_cold(r)) {
        snprintf(text, sizeof(text), "%s, of a guest of %s; %s on the wire",
                 fmt_bytes(a, (double)r->pages_sent * 4096),
                 fmt_bytes(b, (double)r->guest_pages * 4096), fmt_bytes(c, (double)r->wire_bytes));
        row(out, "stream", text);
    } else {
        print_pages(out, r);
    }
    report_disks(out, r, false);
    if (r->left_out) {
        snprintf(text, sizeof(text),
                 "%" PRIu64 " after the switch; %" PRIu64 " touched before they arrived, %" PRIu64
                 " requested; median %s, 99%% within %s",
                 r->left_out, r->faults, r->requested, fmt_duration(a, r->fault_median_s),
                 fmt_duration(b, r->fault_p99_s));
        if (r->network_held_s > 0) {
            size_t len = strlen(text);

            snprintf(text + len, sizeof(text) - len, "; the guest's network came back after %s",
                     fmt_duration(a, r->network_held_s));
        }
        row(out, "pull", text);
        print_page_costs(out, &r->page);
    }
    print_times(out, r);
    outlook_beside(out, r);
}

void report_recovered(FILE *out, const struct xf_report *r)
{
    char text[700], a[FMT_LEN], b[FMT_LEN], n[FMT_LEN];

    if (r->ended_there)
        snprintf(text, sizeof(text), "%s has ended at %s; its old domain here is gone.", r->domain,
                 r->host);
    else if (!r->left_out)
        snprintf(text, sizeof(text),
                 "%s runs at %s with all its pages; its old domain here is gone.", r->domain,
                 r->host);
    else
        snprintf(
            text, sizeof(text),
            "%s runs at %s with all its pages: %s were brought in %s (%s on the wire); its old "
            "domain here is gone.",
            r->domain, r->host, fmt_count(n, (double)r->left_out), fmt_duration(a, r->total_s),
            fmt_bytes(b, (double)r->wire_bytes));
    print_wrapped(out, text, COLUMNS, 0, 2);
}

void report_monitor(char *buf, size_t n, const char *domain)
{
    snprintf(
        buf, n,
        "The xl process that watched it ended when it was suspended: when it reboots, crashes or "
        "powers off, on_reboot, on_crash and on_poweroff are not carried out. Its next move "
        "gives it a new one, also a move within this host (`xl migrate --tcp -s '' %s 'xl "
        "migrate-receive'`), and so does `xl create` after a shutdown.",
        domain);
}

/* Advice when the guest has run on both hosts. */
static void advise_twice(char *buf, size_t n, const struct xf_report *r)
{
    const char *d = r->domain, *h = r->host;

    if (r->outcome == XF_PULLING)
        snprintf(
            buf, n,
            "Somebody let %s run here while it ran at %s, so both may have written its disks. It "
            "is paused here, and at %s if that host could be told, where it lacks pages that can "
            "no longer arrive: `xl destroy %s` on both hosts, check its disks, and boot it anew.",
            d, h, h, d);
    else
        snprintf(buf, n,
                 "Somebody let %s run here while it ran at %s, so both may have written its disks. "
                 "It is paused here. If it runs there with all its pages (`xl list` and `xl "
                 "migrate-status` there), `xl destroy %s` here; else `xl destroy %s` on both "
                 "hosts, check its disks, and boot it anew. Only if it is gone there for good and "
                 "you know what it wrote there, `xl migrate-recover --resume --force %s` here.",
                 d, h, d, d, d);
}

static void advise_stayed(char *buf, size_t n, const struct xf_report *r)
{
    const char *d = r->domain;

    if (r->here == XF_HERE_PAUSED)
        snprintf(buf, n,
                 "%s was not stopped by the move, and is paused here: `xl unpause %s` lets it run "
                 "on.",
                 d, d);
    else if (r->may_stop)
        snprintf(buf, n,
                 "%s has not stopped so far, but has taken the suspend request and may still stop "
                 "here. Look with `xl list`; if it is suspended, `xl migrate-recover --resume %s` "
                 "lets it run on.",
                 d, d);
    else
        snprintf(buf, n, "%s never stopped: it runs on here.", d);
}

/* Advice when the guest does not run here and never ran there. */
static void advise_ended(char *buf, size_t n, const struct xf_report *r)
{
    static const char *const ends[XF_HERES] = {
        [XF_HERE_SUSPENDED] = "%s was suspended here by another program, such as `xl save`, which "
                              "decides what becomes of it. %s was told to drop its copy.",
        [XF_HERE_POWEROFF] = "%s has powered off here. %s was told to drop its copy.",
        [XF_HERE_REBOOT] =
            "%s has rebooted here: if it runs it is another domain now, which can be "
            "moved like any other. %s was told to drop its copy.",
        [XF_HERE_CRASHED] = "%s has crashed here; what becomes of it is up to its on_crash. %s was "
                            "told to drop its copy.",
        [XF_HERE_WATCHDOG] = "%s was stopped here by its watchdog; what becomes of it is up to its "
                             "on_watchdog. %s was told to drop its copy.",
        [XF_HERE_DESTROYED] = "%s was destroyed here. %s was told to drop its copy.",
    };
    const char *fmt = r->here < XF_HERES ? ends[r->here] : NULL;

    snprintf(buf, n, fmt ? fmt : "%s has ended here. %s was told to drop its copy.", r->domain,
             r->host);
}

static void advise(char *buf, size_t n, const struct xf_report *r)
{
    const char *d = r->domain, *h = r->host;

    switch (r->outcome) {
    case XF_MOVED:
        snprintf(buf, n, r->ended_there ? "%s has ended at %s." : "%s runs at %s.", d, h);
        break;
    case XF_REFUSED:
        snprintf(buf, n, "%s was not touched: it is as before.", d);
        break;
    case XF_STAYED:
        advise_stayed(buf, n, r);
        break;
    case XF_RESUMED:
        snprintf(buf, n,
                 r->here == XF_HERE_PAUSED
                     ? "%s was resumed, and is paused here: `xl unpause` lets it run "
                       "on. %s was told to drop its copy."
                     : "%s was resumed: it runs on here, and %s was told to drop its copy.",
                 d, h);
        break;
    case XF_ENDED:
        advise_ended(buf, n, r);
        break;
    case XF_UNPLUGGED:
        snprintf(buf, n,
                 "%s runs at %s with all its memory, but without a PCI device that it was to have: "
                 "look there with `xl pci-list %s` and `xl pci-assignable-list`, and attach it by "
                 "`xl pci-attach %s DEVICE`.",
                 d, h, d, d);
        break;
    case XF_UNKNOWN:
        if (r->ran_there) {
            snprintf(
                buf, n,
                "%s ran at %s, and is suspended here as it was at the switch. It must not run on "
                "both hosts, and must not go on from its state here%s. `xl migrate-recover %s` "
                "here "
                "asks there, and finishes the move if it runs there with all its pages. If that "
                "does not help, look there with `xl list`. If it does not run there, `xl destroy "
                "%s` here, and boot it anew.",
                d, h,
                r->nr_disks && r->all_disks ? " while it is there"
                                            : ": its disks have been written since",
                d, d);
            break;
        }
        snprintf(buf, n,
                 "%s is suspended here and may run at %s, which had been told to start it. It must "
                 "not run on both hosts: `xl migrate-recover %s` here asks there and finishes the "
                 "move, or says that it may be resumed here. If that does not help, look there "
                 "with `xl list`. If it runs there, with all its pages, `xl destroy %s` here. If "
                 "it is not there, `xl migrate-recover --resume %s` here.",
                 d, h, d, d, d);
        break;
    case XF_SUSPENDED:
        snprintf(buf, n,
                 "%s is suspended here, with all its memory, and does not run at %s. `xl "
                 "migrate-recover --resume %s` here tries again to resume it.",
                 d, h, d);
        break;
    case XF_PULLING:
        if (r->hopeless) {
            snprintf(
                buf, n,
                "%s is at %s and lacks pages that can no longer arrive, so it cannot go on: `xl "
                "destroy %s` there and, if its old domain is left, here, and boot it anew.",
                d, h, d);
            break;
        }
        snprintf(buf, n,
                 "%s runs at %s and lacks pages that are only here. Its old domain stays here, "
                 "suspended: it must not be resumed or destroyed while the other runs. `xl "
                 "migrate-recover %s` here brings them.",
                 d, h, d);
        break;
    }
}

void report_advice(char *buf, size_t n, const struct xf_report *r)
{
    size_t len;

    if (r->ran_twice)
        advise_twice(buf, n, r);
    else
        advise(buf, n, r);
    len = strlen(buf);
    if (r->ran_there && (r->outcome == XF_UNKNOWN || r->outcome == XF_PULLING) && !r->ran_twice) {
        disks_advice(buf + len, n - len, r);
        len = strlen(buf);
    }
    if (r->monitor_lost && len + 1 < n) {
        buf[len++] = ' ';
        report_monitor(buf + len, n - len, r->domain);
    }
}
