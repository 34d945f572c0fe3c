/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate --json` and `xl migrate-status --json`, by json-c.
 */
#include <math.h>
#include <string.h>

#include <json-c/json.h>

#include "tools/json.h"
#include "transport/text.h"
#include "transport/version.h"

/* json-c copies strings unchanged; programs that read this expect UTF-8 in any case. */
static struct json_object *string(const char *s)
{
    char clean[2048];
    size_t n = xf_text_copy(clean, sizeof(clean), s, strlen(s));

    return json_object_new_string_len(clean, (int)n);
}

/* Negative and not-a-number mean "not known": null. */
static struct json_object *number(double d)
{
    char text[64];

    if (!isfinite(d) || d < 0)
        return NULL;
    snprintf(text, sizeof(text), "%.6f", d);
    return json_object_new_double_s(d, text);
}

static struct json_object *count(uint64_t n)
{
    return n == XF_NO_COUNT ? NULL : json_object_new_uint64(n);
}

static void add(struct json_object *o, const char *key, struct json_object *value)
{
    json_object_object_add(o, key, value);
}

/* NULL: the member is omitted. */
static void add_if(struct json_object *o, const char *key, struct json_object *value)
{
    if (value)
        add(o, key, value);
}

static struct json_object *begin(const char *type)
{
    struct json_object *o = json_object_new_object();

    add(o, "type", string(type));
    return o;
}

static void end(FILE *out, struct json_object *o)
{
    const char *text =
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

    fprintf(out, "%s\n", text ? text : "{\"type\":\"error\",\"text\":\"out of memory\"}");
    fflush(out);
    json_object_put(o);
}

static struct json_object *disks_progress(const struct xf_disks_progress *d)
{
    struct json_object *o = json_object_new_object();

    add(o, "count", json_object_new_int64(d->nr));
    add(o, "ready", json_object_new_int64(d->ready));
    add(o, "bytes", json_object_new_uint64(d->bytes));
    add(o, "left", json_object_new_uint64(d->left));
    add(o, "verified_bytes", d->of ? json_object_new_uint64(d->checked) : NULL);
    return o;
}

void json_progress(FILE *out, const struct xf_progress *p)
{
    struct json_object *o = begin("progress");

    add(o, "phase", string(xf_phase_name(p->phase)));
    add(o, "round", json_object_new_int64(p->round));
    add(o, "round_pages", json_object_new_uint64(p->round_pages));
    add(o, "round_done", json_object_new_uint64(p->round_done));
    add(o, "pages_sent", json_object_new_uint64(p->pages_sent));
    add(o, "pages_zero", json_object_new_uint64(p->pages_zero));
    add(o, "wire_bytes", json_object_new_uint64(p->wire_bytes));
    add(o, "elapsed_s", number(p->elapsed_s));
    add(o, "rate_bytes_per_s", number(p->rate_bps));
    add(o, "dirty_pages_per_s", number(p->dirty_pps));
    add(o, "predicted_downtime_s", number(p->predicted_down_s));
    add(o, "eta_s", number(p->eta_s));
    if (p->phase == XF_PHASE_PULL) {
        add(o, "left_out", json_object_new_uint64(p->left_out));
        add(o, "missing", json_object_new_uint64(p->missing));
        add(o, "faults", json_object_new_uint64(p->faults));
    }
    if (p->disks.nr)
        add(o, "disks", disks_progress(&p->disks));
    end(out, o);
}

void json_finding(FILE *out, const struct xf_finding *f)
{
    static const char *const severities[] = {
        [XF_INFO] = "info", [XF_WARNING] = "warning", [XF_REFUSAL] = "refusal"};
    struct json_object *o = begin("finding");

    add(o, "severity", string(severities[f->severity]));
    add(o, "code", string(f->code));
    add(o, "text", string(f->text));
    end(out, o);
}

void json_note(FILE *out, const char *sentence)
{
    struct json_object *o = begin("note");

    add(o, "text", string(sentence));
    end(out, o);
}

void json_error(FILE *out, const struct xf_err *err)
{
    struct json_object *o = begin("error");

    add(o, "errno", json_object_new_int(err->num));
    add(o, "text", string(err->text));
    end(out, o);
}

const char *outcome_word(enum xf_outcome o)
{
    switch (o) {
    case XF_MOVED:
        return "moved";
    case XF_REFUSED:
        return "refused";
    case XF_STAYED:
        return "stayed";
    case XF_RESUMED:
        return "resumed";
    case XF_UNKNOWN:
        return "unknown";
    case XF_SUSPENDED:
        return "suspended";
    case XF_PULLING:
        return "pulling";
    case XF_ENDED:
        return "ended";
    case XF_UNPLUGGED:
        return "unplugged";
    }
    return "unknown";
}

static struct json_object *page_costs(const struct xf_page_costs *c)
{
    struct json_object *o = json_object_new_object();

    add(o, "populate", number(c->populate_s * 1e6));
    add(o, "evict", number(c->evict_s * 1e6));
    add(o, "prep", number(c->prep_s * 1e6));
    add(o, "copy", number(c->copy_s * 1e6));
    add(o, "source_map", number(c->source_map_s * 1e6));
    add(o, "source_copy", number(c->source_copy_s * 1e6));
    return o;
}

/* Links lost and replaced in COPY; NULL: none. */
static struct json_object *copy_links(const struct xf_report *r)
{
    struct json_object *o;

    if (!r->copy_reconnects && r->copy_away_s <= 0)
        return NULL;
    o = json_object_new_object();
    add(o, "reconnects", json_object_new_int64(r->copy_reconnects));
    add(o, "away_s", number(r->copy_away_s));
    return o;
}

static struct json_object *latency(const struct xf_report *r)
{
    struct json_object *a = json_object_new_array();

    for (unsigned i = 0; i < XF_FAULT_BUCKETS; i++)
        json_object_array_add(a, json_object_new_uint64(r->latency[i]));
    return a;
}

/* NULL: no page arrived after GO. */
static struct json_object *pull(const struct xf_report *r)
{
    struct json_object *o;

    if (!r->left_out)
        return NULL;
    o = json_object_new_object();
    add(o, "left_out", json_object_new_uint64(r->left_out));
    add(o, "faults", json_object_new_uint64(r->faults));
    add(o, "requested", json_object_new_uint64(r->requested));
    add(o, "fault_median_s", number(r->fault_median_s));
    add(o, "fault_p99_s", number(r->fault_p99_s));
    add(o, "fault_latency", r->has_latency ? latency(r) : NULL);
    add(o, "page_us", page_costs(&r->page));
    add(o, "network_held_s", r->network_held_s > 0 ? number(r->network_held_s) : NULL);
    add(o, "reconnects", json_object_new_int64(r->pull_reconnects));
    if (r->pull_reconnects) {
        add(o, "away_s", number(r->pull_away_s));
        add(o, "longest_away_s", number(r->pull_longest_s));
        add(o, "recovery_s", number(r->pull_recovery_s));
    }
    return o;
}

static struct json_object *kib(uint64_t n)
{
    return n > INT64_MAX ? NULL : json_object_new_uint64(n);
}

/* With --check: also what it is derived from. */
static void add_reasons(struct json_object *o, const struct xf_outlook *f)
{
    add(o, "mode", string(f->mode));
    add(o, "why", string(f->why));
    add(o, "link_bytes_per_s", number(f->link_bytes_per_s));
    add(o, "network", f->network[0] ? string(f->network) : NULL);
    add(o, "line_bytes_per_s", number(f->line_bytes_per_s));
    add(o, "faster_network", f->faster_network[0] ? string(f->faster_network) : NULL);
    add(o, "faster_bytes_per_s", f->faster_network[0] ? number(f->faster_bytes_per_s) : NULL);
    add(o, "dirty_pages_per_s", number(f->dirty_pages_per_s));
    add(o, "working_set_pages",
        f->look_s > 0 ? json_object_new_uint64(f->working_set_pages) : NULL);
    add(o, "look_s", number(f->look_s));
    add(o, "slowdown", number(f->slowdown));
    add(o, "zero_part", number(f->zero_part));
    add(o, "memory_needed_kib", kib(f->memory_needed_kib));
    add(o, "memory_free_kib", kib(f->memory_free_kib));
}

/* NULL: none was taken. */
static struct json_object *forecast(const struct xf_report *r)
{
    const struct xf_outlook *f = &r->forecast;
    struct json_object *o, *actual;

    if (!f->taken)
        return NULL;
    o = json_object_new_object();
    add(o, "total_s", number(f->total_s));
    add(o, "downtime_s", number(f->downtime_s));
    add(o, "bytes", f->bytes < 0 ? NULL : json_object_new_uint64((uint64_t)f->bytes));
    add(o, "rounds", json_object_new_int64(f->rounds));
    add(o, "left_out", json_object_new_uint64((uint64_t)(f->left_out > 0 ? f->left_out : 0)));
    add(o, "guest_pages", f->guest_pages ? json_object_new_uint64(f->guest_pages) : NULL);
    if (f->mode[0]) {
        add_reasons(o, f);
        return o;
    }
    add(o, "at_s", number(f->at_s));
    actual = json_object_new_object();
    add(actual, "total_s", number(r->total_s));
    add(actual, "downtime_s", number(r->downtime_s));
    add(actual, "bytes", json_object_new_uint64(r->wire_bytes));
    add(o, "actual", actual);
    return o;
}

static struct json_object *disk_reports(const struct xf_report *r)
{
    struct json_object *a = json_object_new_array();

    for (unsigned i = 0; i < r->nr_disks; i++) {
        const struct xf_disk_report *d = &r->disks[i];
        struct json_object *o = json_object_new_object();

        add(o, "vdev", string(d->vdev));
        add(o, "source", d->kept ? string(d->source) : NULL);
        add(o, "target", string(d->target));
        add(o, "bytes", json_object_new_uint64(d->bytes));
        add(o, "used", json_object_new_uint64(d->used));
        add(o, "free", json_object_new_uint64(d->free));
        add(o, "sent", json_object_new_uint64(d->sent));
        add(o, "left", json_object_new_uint64(d->left));
        add(o, "ready", json_object_new_boolean(d->ready));
        add(o, "verified", json_object_new_boolean(d->verified));
        add(o, "drained_ms", d->drained_s < 0 ? NULL : number(d->drained_s * 1000));
        add(o, "again", json_object_new_uint64(d->again));
        if (d->forecast_s >= 0)
            add(o, "forecast_s", number(d->forecast_s));
        json_object_array_add(a, o);
    }
    return a;
}

static struct json_object *rounds(const struct xf_history *h)
{
    struct json_object *a = json_object_new_array();

    for (unsigned i = 0; i < h->nr_rounds; i++) {
        const struct xf_history_round *r = &h->rounds[i];
        struct json_object *o = json_object_new_object();

        add(o, "round", json_object_new_int64(r->round));
        add(o, "at_s", number(r->at_s));
        add(o, "took_s", number(r->took_s));
        add(o, "pages", json_object_new_uint64(r->pages));
        add(o, "sent", json_object_new_uint64(r->data));
        add(o, "zero", json_object_new_uint64(r->zero));
        add(o, "dirty", count(r->left));
        json_object_array_add(a, o);
    }
    return a;
}

/* Columns, which take a third of what an object for each sample would. */
static struct json_object *samples(const struct xf_history *h)
{
    static const char *const names[] = {
        "at_s", "phase", "wire_bytes", "pages", "dirty_pages_per_s", "missing"};
    struct json_object *o = json_object_new_object(), *columns[6];

    for (int c = 0; c < 6; c++)
        add(o, names[c], columns[c] = json_object_new_array());
    for (unsigned i = 0; i < h->nr; i++) {
        const struct xf_history_sample *s = &h->samples[i];

        json_object_array_add(columns[0], number(s->at_s));
        json_object_array_add(columns[1], string(xf_phase_name(s->phase)));
        json_object_array_add(columns[2], json_object_new_uint64(s->wire_bytes));
        json_object_array_add(columns[3], json_object_new_uint64(s->pages));
        json_object_array_add(columns[4], number(s->dirty_pps));
        json_object_array_add(columns[5], json_object_new_uint64(s->missing));
    }
    return o;
}

static struct json_object *history(const struct xf_history *h)
{
    struct json_object *o = json_object_new_object();

    add(o, "rounds", rounds(h));
    add(o, "samples", samples(h));
    return o;
}

void json_report(FILE *out, const struct xf_report *r, const struct xf_err *err, const char *advice,
                 const struct xf_history *h)
{
    struct json_object *o = begin("report"), *phases = json_object_new_object(),
                       *parts = json_object_new_object(), *packed = json_object_new_object();

    add(o, "xenferry", string(xf_version()));
    add(o, "outcome", string(outcome_word(r->outcome)));
    add(o, "exit_status", json_object_new_int(r->outcome));
    add(o, "domain", string(r->domain));
    add(o, "host", string(r->host));
    add(o, "transport", r->transport[0] ? string(r->transport) : NULL);
    add(o, "mode", r->mode[0] ? string(r->mode) : NULL);
    add(o, "fallback", r->fallback[0] ? string(r->fallback) : NULL);
    add(o, "encrypted", json_object_new_boolean(r->encrypted));
    add(o, "cipher", string(r->cipher));
    add(o, "channels", json_object_new_int64(r->channels));
    add_if(o, "began", h ? json_object_new_int64(h->began) : NULL);
    add(o, "total_s", number(r->total_s));
    add(o, "waited_s", number(r->waited_s));
    for (int i = 0; i < XF_PHASES; i++)
        add(phases, xf_phase_name(i), number(r->phase_s[i]));
    add(o, "phase_s", phases);
    add(o, "downtime_s", number(r->downtime_s));
    add(o, "predicted_downtime_s", number(r->predicted_down_s));
    add(o, "switch_reason", string(r->switch_reason));
    add(parts, "suspend_s", number(r->suspend_s));
    add(parts, "last_dirty_s", number(r->last_dirty_s));
    add(parts, "last_pages_s", number(r->last_pages_s));
    add(parts, "resume_s", number(r->resume_s));
    if (r->disks_s > 0)
        add(parts, "disks_s", number(r->disks_s));
    add(o, "switch", parts);
    add(o, "rounds", json_object_new_int64(r->rounds));
    add(o, "rounds_s", number(r->rounds_s));
    add(o, "guest_pages", json_object_new_uint64(r->guest_pages));
    add(o, "whole_pages", json_object_new_uint64(r->whole_pages));
    add(o, "large_pages", json_object_new_uint64(r->large_pages));
    add(o, "pages_sent", json_object_new_uint64(r->pages_sent));
    add(o, "pages_zero", json_object_new_uint64(r->pages_zero));
    add(o, "pages_skipped", json_object_new_uint64(r->pages_skipped));
    add(o, "last_pages", json_object_new_uint64(r->last_pages));
    add(o, "wire_bytes", json_object_new_uint64(r->wire_bytes));
    add(o, "work_requests", json_object_new_uint64(r->work_requests));
    add(o, "completions", json_object_new_uint64(r->completions));
    add(packed, "lz4_pages", json_object_new_uint64(r->lz4_pages));
    add(packed, "zstd_pages", json_object_new_uint64(r->zstd_pages));
    add(packed, "bytes", json_object_new_uint64((r->lz4_pages + r->zstd_pages) * 4096));
    add(packed, "packed_bytes", json_object_new_uint64(r->packed_bytes));
    add(packed, "cpu_s", number(r->pack_s));
    add(o, "compression", packed);
    add_if(o, "forecast", forecast(r));
    add_if(o, "link_lost", copy_links(r));
    add_if(o, "pull", pull(r));
    if (r->nr_disks)
        add(o, "disks", disk_reports(r));
    add_if(o, "history", h && h->nr ? history(h) : NULL);
    add(o, "ran_twice", json_object_new_boolean(r->ran_twice));
    add(o, "monitor_lost", json_object_new_boolean(r->monitor_lost));
    if (xf_here_word(r->here))
        add(o, "here", string(xf_here_word(r->here)));
    if (r->may_stop)
        add(o, "may_stop", json_object_new_boolean(true));
    if (r->outcome != XF_MOVED) {
        add(o, "errno", json_object_new_int(err->num));
        add(o, "error", string(err->text));
        add(o, "advice", string(advice));
    }
    end(out, o);
}

void json_background(FILE *out, const struct xf_report *r, int pid)
{
    struct json_object *o = begin("background");

    add(o, "domain", string(r->domain));
    add(o, "host", string(r->host));
    add(o, "pid", json_object_new_int(pid));
    add(o, "left_out", json_object_new_uint64(r->left_out));
    add(o, "downtime_s", number(r->downtime_s));
    add(o, "switch_reason", string(r->switch_reason));
    end(out, o);
}

static struct json_object *domid(uint32_t id)
{
    return id == XF_NO_DOMID ? NULL : json_object_new_int64(id);
}

void json_status(FILE *out, const struct xf_status *s)
{
    struct json_object *o = begin("status");

    add(o, "role", string(s->source ? "source" : "destination"));
    add(o, "domain", string(s->domain));
    add(o, "domid", domid(s->domid));
    add(o, "host", s->host[0] ? string(s->host) : NULL);
    add(o, "pid", json_object_new_int(s->pid));
    add(o, "phase", string(xf_phase_name(s->phase)));
    add(o, "waiting", json_object_new_boolean(s->waits_for[0] != 0));
    add(o, "waits_for", s->waits_for[0] ? string(s->waits_for) : NULL);
    add(o, "round", json_object_new_int64(s->round));
    add(o, "round_pages", count(s->round_pages));
    add(o, "round_done", count(s->round_done));
    add(o, "pages_sent", count(s->pages_sent));
    add(o, "left_out", count(s->left_out));
    add(o, "missing", count(s->missing));
    add(o, "faults", count(s->faults));
    add(o, "requested", count(s->requested));
    add(o, "fault_median_s", number(s->fault_median_s));
    add(o, "fault_p99_s", number(s->fault_p99_s));
    add(o, "rate_bytes_per_s", number(s->rate_bps));
    add(o, "dirty_pages_per_s", number(s->dirty_pps));
    add(o, "wire_bytes", count(s->wire_bytes));
    add(o, "eta_s", number(s->eta_s));
    add(o, "elapsed_s", number(s->elapsed_s));
    add(o, "age_s", number(s->age_s));
    if (s->disks.nr)
        add(o, "disks", disks_progress(&s->disks));
    add(o, "postcopy_possible", json_object_new_boolean(!s->no_switch[0]));
    add(o, "xenferry", s->version[0] ? string(s->version) : NULL);
    end(out, o);
}

void json_ended(FILE *out, const struct xf_ended *e)
{
    struct json_object *o = begin("ended");

    add(o, "domain", string(e->domain));
    add(o, "pid", json_object_new_int(e->pid));
    add(o, "host", string(e->host));
    add(o, "outcome", string(outcome_word(e->outcome)));
    add(o, "exit_status", json_object_new_int(e->outcome));
    add(o, "when", json_object_new_int64(e->when));
    add(o, "error", e->text[0] ? string(e->text) : NULL);
    end(out, o);
}
