/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The moves of this host as OpenMetrics text: see metrics.h. */
#include "tools/metrics.h"

#include <math.h>
#include <string.h>

#include "tools/json.h"

#define PAGE 4096.0

/* --- the values of a move; NAN: not known --- */

static double known(double d)
{
    return d >= 0 ? d : NAN;
}

static double count(uint64_t n, double each)
{
    return n == XF_NO_COUNT ? NAN : (double)n * each;
}

static double elapsed(const struct xf_status *s)
{
    return known(s->elapsed_s);
}

static double age(const struct xf_status *s)
{
    return known(s->age_s);
}

static double eta(const struct xf_status *s)
{
    return known(s->eta_s);
}

static double waiting(const struct xf_status *s)
{
    return s->waits_for[0] ? 1 : 0;
}

static double round_now(const struct xf_status *s)
{
    return s->source ? s->round : NAN;
}

static double round_bytes(const struct xf_status *s)
{
    return s->source ? count(s->round_pages, PAGE) : NAN;
}

static double round_done(const struct xf_status *s)
{
    return s->source ? count(s->round_done, PAGE) : NAN;
}

static double rate(const struct xf_status *s)
{
    return known(s->rate_bps);
}

static double dirty(const struct xf_status *s)
{
    return s->dirty_pps >= 0 ? s->dirty_pps * PAGE : NAN;
}

static double memory(const struct xf_status *s)
{
    return s->source ? count(s->pages_sent, PAGE) : NAN;
}

static double wire(const struct xf_status *s)
{
    return count(s->wire_bytes, 1);
}

static bool in_pull(const struct xf_status *s)
{
    return s->phase >= XF_PHASE_PULL && s->left_out != XF_NO_COUNT && s->left_out;
}

static double missing(const struct xf_status *s)
{
    return in_pull(s) ? count(s->missing, PAGE) : NAN;
}

static double faults(const struct xf_status *s)
{
    return in_pull(s) ? count(s->faults, 1) : NAN;
}

static double requested(const struct xf_status *s)
{
    return in_pull(s) ? count(s->requested, 1) : NAN;
}

struct family {
    const char *name, *type, *unit, *help;
    double (*get)(const struct xf_status *s);
};

static const struct family families[] = {
    {"xenferry_move_elapsed_seconds", "gauge", "seconds", "Time since the move began.", elapsed},
    {"xenferry_move_age_seconds", "gauge", "seconds", "Time since the move said all this.", age},
    {"xenferry_move_eta_seconds", "gauge", "seconds",
     "Estimated time until the end of the round (COPY) or of the move (PULL).", eta},
    {"xenferry_move_waiting", "gauge", NULL,
     "1 if the move waits until the hosts take part in fewer moves, else 0.", waiting},
    {"xenferry_move_round", "gauge", NULL, "Round of COPY.", round_now},
    {"xenferry_move_round_bytes", "gauge", "bytes", "Memory that the round set out to send.",
     round_bytes},
    {"xenferry_move_round_done_bytes", "gauge", "bytes", "Memory of the round handled so far.",
     round_done},
    {"xenferry_move_rate_bytes_per_second", "gauge", "bytes_per_second",
     "Guest memory moved, recently.", rate},
    {"xenferry_move_dirty_bytes_per_second", "gauge", "bytes_per_second",
     "Guest memory written by the guest, recently, in whole pages.", dirty},
    {"xenferry_move_memory_bytes", "counter", "bytes",
     "Guest memory sent with its content, in all rounds.", memory},
    {"xenferry_move_wire_bytes", "counter", "bytes", "Bytes on the data connections.", wire},
    {"xenferry_move_missing_bytes", "gauge", "bytes",
     "Guest memory that the destination lacks while the guest runs there.", missing},
    {"xenferry_move_faults", "counter", NULL,
     "Missing pages that the guest touched before they arrived.", faults},
    {"xenferry_move_requested_faults", "counter", NULL,
     "Of these, pages requested over the network.", requested},
};

/* --- text --- */

static void header(FILE *out, const char *name, const char *type, const char *unit,
                   const char *help)
{
    fprintf(out, "# TYPE %s %s\n", name, type);
    if (unit)
        fprintf(out, "# UNIT %s %s\n", name, unit);
    fprintf(out, "# HELP %s %s\n", name, help);
}

static void label(FILE *out, const char *name, const char *value)
{
    fprintf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\n')
            fputs("\\n", out);
        else if (*value == '"' || *value == '\\')
            fprintf(out, "\\%c", *value);
        else
            fputc(*value, out);
    }
    fputc('"', out);
}

/* The process is among the labels: without it two moves of a domain, one after the other, would be
 * one series whose counters fall. */
static void labels(FILE *out, const struct xf_status *s)
{
    label(out, "domain", s->domain);
    fputc(',', out);
    label(out, "role", s->source ? "source" : "destination");
    fputc(',', out);
    label(out, "peer", s->host);
    fprintf(out, ",pid=\"%d\"", (int)s->pid);
}

/* extra: one more label, with its comma; or "". */
static void sample(FILE *out, const char *name, const char *suffix, const struct xf_status *s,
                   const char *extra, double value)
{
    if (!isfinite(value))
        return;
    fprintf(out, "%s%s{", name, suffix);
    labels(out, s);
    fprintf(out, "%s} %.15g\n", extra, value);
}

static void write_family(FILE *out, const struct family *f, const struct xf_status_list *all)
{
    const char *suffix = !strcmp(f->type, "counter") ? "_total" : "";

    header(out, f->name, f->type, f->unit, f->help);
    for (unsigned i = 0; i < all->nr; i++)
        sample(out, f->name, suffix, &all->list[i], "", f->get(&all->list[i]));
}

static void write_phases(FILE *out, const struct xf_status_list *all)
{
    static const char name[] = "xenferry_move_phase";
    char extra[32];

    header(out, name, "gauge", NULL, "1 for the phase that the move is in.");
    for (unsigned i = 0; i < all->nr; i++) {
        snprintf(extra, sizeof(extra), ",phase=\"%s\"", xf_phase_name(all->list[i].phase));
        sample(out, name, "", &all->list[i], extra, 1);
    }
}

static void write_latency(FILE *out, const struct xf_status_list *all)
{
    static const char name[] = "xenferry_move_fault_latency_seconds";

    header(out, name, "summary", "seconds", "Time from a fault until its page was there.");
    for (unsigned i = 0; i < all->nr; i++) {
        const struct xf_status *s = &all->list[i];

        if (!(faults(s) > 0))
            continue;
        sample(out, name, "", s, ",quantile=\"0.5\"", known(s->fault_median_s));
        sample(out, name, "", s, ",quantile=\"0.99\"", known(s->fault_p99_s));
    }
}

static void write_host(FILE *out, const struct xf_status_list *all)
{
    static const enum xf_outcome outcomes[] = {XF_MOVED,   XF_REFUSED,   XF_STAYED,  XF_RESUMED,
                                               XF_UNKNOWN, XF_SUSPENDED, XF_PULLING, XF_ENDED};
    unsigned sources = 0;

    for (unsigned i = 0; i < all->nr; i++)
        sources += all->list[i].source;
    header(out, "xenferry_moves", "gauge", NULL, "Moves under way, by this host's role.");
    fprintf(out, "xenferry_moves{role=\"source\"} %u\n", sources);
    fprintf(out, "xenferry_moves{role=\"destination\"} %u\n", all->nr - sources);
    header(out, "xenferry_silent_processes", "gauge", NULL,
           "Living processes of moves that did not answer.");
    fprintf(out, "xenferry_silent_processes %u\n", all->silent);
    header(out, "xenferry_ended_moves", "gauge", NULL,
           "Moves that ended in the background during the last day, by outcome.");
    for (size_t o = 0; o < sizeof(outcomes) / sizeof(outcomes[0]); o++) {
        unsigned n = 0;

        for (unsigned i = 0; i < all->nr_ended; i++)
            n += all->ended[i].outcome == outcomes[o];
        fprintf(out, "xenferry_ended_moves{outcome=\"%s\"} %u\n", outcome_word(outcomes[o]), n);
    }
}

void metrics_write(FILE *out, const struct xf_status_list *all)
{
    write_host(out, all);
    write_phases(out, all);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        write_family(out, &families[i], all);
    write_latency(out, all);
    fputs("# EOF\n", out);
}
