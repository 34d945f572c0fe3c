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

void json_report(FILE *out, const struct xf_report *r, const struct xf_err *err, const char *advice)
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
    add_if(o, "link_lost", copy_links(r));
    add_if(o, "pull", pull(r));
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

static struct json_object *count(uint64_t n)
{
    return n == XF_NO_COUNT ? NULL : json_object_new_uint64(n);
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
    add(o, "eta_s", number(s->eta_s));
    add(o, "elapsed_s", number(s->elapsed_s));
    add(o, "age_s", number(s->age_s));
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
