/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading the report of a move from its line of JSON. Members that an older version does not write
 * may be missing; what is there must be right. */
#include <errno.h>
#include <string.h>

#include "transport/json_in.h"
#include "tools/page_parts.h"

#define DEPTH 6
#define SECONDS_MAX 1e9
#define DATE_MAX 1e11

static const char what[] = "a report";

/* A member that is missing or null is left as it is. */
static bool given(const struct xf_json *j, const char *name)
{
    json_object *o;

    return json_object_object_get_ex(j->o, name, &o) && o;
}

static int word(const struct xf_json *j, const char *name, char *out, size_t size)
{
    return given(j, name) ? xf_json_word(j, name, out, size) : 0;
}

static int sentence(const struct xf_json *j, const char *name, char *out, size_t size)
{
    return given(j, name) ? xf_json_sentence(j, name, out, size) : 0;
}

static int seconds(const struct xf_json *j, const char *name, double *out)
{
    *out = -1;
    return given(j, name) ? xf_json_real(j, name, SECONDS_MAX, out) : 0;
}

/* Of pages, bytes or events; they are added and multiplied, so they keep far from the type's end.
 */
static int count(const struct xf_json *j, const char *name, uint64_t *out)
{
    *out = 0;
    if (!given(j, name))
        return 0;
    if (xf_json_count(j, name, 0, out))
        return -1;
    return *out >> 50 ? xf_json_bad(j, name, "is too large") : 0;
}

static int object(const struct xf_json *j, const char *name, struct xf_json *out)
{
    return given(j, name) ? (xf_json_object(j, name, out) ? -1 : 1) : 0;
}

static int phase_of(const char *name)
{
    int p = 0;

    while (p < XF_PHASES && strcmp(name, xf_phase_name((enum xf_phase)p)))
        p++;
    return p;
}

/* --- history --- */

static int read_round(const struct xf_json *j, struct xf_history_round *r)
{
    int64_t nr;

    if (xf_json_number(j, "round", 0, INT32_MAX, &nr) || seconds(j, "at_s", &r->at_s) ||
        seconds(j, "took_s", &r->took_s) || count(j, "pages", &r->pages) ||
        count(j, "sent", &r->data) || count(j, "zero", &r->zero) || count(j, "dirty", &r->left))
        return -1;
    r->round = (unsigned)nr;
    if (!given(j, "dirty"))
        r->left = UINT64_MAX;
    return 0;
}

static int read_rounds(const struct xf_json *j, struct xf_history *h)
{
    struct xf_json item;
    size_t n = 0;
    json_object *a;

    if (!given(j, "rounds"))
        return 0;
    a = xf_json_array(j, "rounds", XF_HISTORY_ROUNDS, &n);
    if (!a)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (xf_json_item(j, "rounds", a, i, &item) || read_round(&item, &h->rounds[i]))
            return -1;
    h->nr_rounds = (unsigned)n;
    return 0;
}

/* A column of numbers, as many as there are samples; null: -1. */
static int column(const struct xf_json *j, const char *name, size_t nr,
                  double out[XF_HISTORY_SAMPLES])
{
    size_t n = 0;
    json_object *a = xf_json_array(j, name, XF_HISTORY_SAMPLES, &n);

    if (!a)
        return -1;
    if (n != nr)
        return xf_json_bad(j, name, "has another length than its neighbours");
    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(a, i);
        bool is_number =
            json_object_is_type(o, json_type_int) || json_object_is_type(o, json_type_double);

        out[i] = o && is_number ? json_object_get_double(o) : -1;
        if (o && (!is_number || !(out[i] >= 0 && out[i] < 1e15)))
            return xf_json_bad(j, name, "has an element that is out of range");
    }
    return 0;
}

static int phases(const struct xf_json *j, size_t *nr, struct xf_history *h)
{
    json_object *a = xf_json_array(j, "phase", XF_HISTORY_SAMPLES, nr);
    char name[16];

    for (size_t i = 0; a && i < *nr; i++) {
        int p;

        if (xf_json_item_word(j, "phase", a, i, name, sizeof(name)))
            return -1;
        p = phase_of(name);
        if (p == XF_PHASES)
            return xf_json_bad(j, "phase", "names an unknown phase");
        h->samples[i].phase = (enum xf_phase)p;
    }
    return a ? 0 : -1;
}

static int read_samples(const struct xf_json *j, struct xf_history *h)
{
    double at[XF_HISTORY_SAMPLES], wire[XF_HISTORY_SAMPLES], pages[XF_HISTORY_SAMPLES],
        dirty[XF_HISTORY_SAMPLES], missing[XF_HISTORY_SAMPLES];
    size_t nr = 0;

    if (phases(j, &nr, h) || column(j, "at_s", nr, at) || column(j, "wire_bytes", nr, wire) ||
        column(j, "pages", nr, pages) || column(j, "dirty_pages_per_s", nr, dirty) ||
        column(j, "missing", nr, missing))
        return -1;
    for (size_t i = 0; i < nr; i++) {
        struct xf_history_sample *s = &h->samples[i];

        if (at[i] < 0 || at[i] > SECONDS_MAX || (i && at[i] < at[i - 1]))
            return xf_json_bad(j, "at_s", "does not ascend");
        s->at_s = at[i];
        s->wire_bytes = wire[i] > 0 ? (uint64_t)wire[i] : 0;
        s->pages = pages[i] > 0 ? (uint64_t)pages[i] : 0;
        s->dirty_pps = dirty[i];
        s->missing = missing[i] > 0 ? (uint64_t)missing[i] : 0;
    }
    h->nr = (unsigned)nr;
    return 0;
}

static int read_history(const struct xf_json *j, struct xf_history *h)
{
    struct xf_json history, inner;
    int has = object(j, "history", &history);

    if (has <= 0)
        return has;
    if (read_rounds(&history, h))
        return -1;
    has = object(&history, "samples", &inner);
    return has <= 0 ? has : read_samples(&inner, h);
}

/* --- the rest --- */

static int read_latency(const struct xf_json *j, struct page_move *m)
{
    size_t n = 0;
    json_object *a;

    if (!given(j, "fault_latency"))
        return 0;
    a = xf_json_array(j, "fault_latency", XF_FAULT_BUCKETS, &n);
    if (!a)
        return -1;
    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(a, i);
        int64_t v = json_object_is_type(o, json_type_int) ? json_object_get_int64(o) : -1;

        if (v < 0 || v >> 50)
            return xf_json_bad(j, "fault_latency", "has an element that is out of range");
        m->latency[i] = (uint64_t)v;
    }
    m->has_latency = n > 0;
    return 0;
}

static int read_pull(const struct xf_json *j, struct page_move *m)
{
    struct xf_json pull;
    int has = object(j, "pull", &pull);

    if (has <= 0)
        return has;
    m->pull = true;
    return count(&pull, "left_out", &m->left_out) || count(&pull, "faults", &m->faults) ||
                   count(&pull, "requested", &m->requested) ||
                   seconds(&pull, "fault_median_s", &m->fault_median_s) ||
                   seconds(&pull, "fault_p99_s", &m->fault_p99_s) ||
                   seconds(&pull, "network_held_s", &m->network_held_s) || read_latency(&pull, m)
               ? -1
               : 0;
}

static int read_times(const struct xf_json *j, struct page_move *m)
{
    struct xf_json inner;
    int has;

    if (seconds(j, "total_s", &m->total_s) || seconds(j, "downtime_s", &m->downtime_s) ||
        seconds(j, "predicted_downtime_s", &m->predicted_s) || xf_json_object(j, "phase_s", &inner))
        return -1;
    for (int p = 0; p < XF_PHASES; p++)
        if (seconds(&inner, xf_phase_name((enum xf_phase)p), &m->phase_s[p]))
            return -1;
    m->suspend_s = m->last_dirty_s = m->last_pages_s = m->resume_s = m->disks_s = -1;
    has = object(j, "switch", &inner);
    if (has < 0 || (has && (seconds(&inner, "suspend_s", &m->suspend_s) ||
                            seconds(&inner, "last_dirty_s", &m->last_dirty_s) ||
                            seconds(&inner, "last_pages_s", &m->last_pages_s) ||
                            seconds(&inner, "resume_s", &m->resume_s) ||
                            seconds(&inner, "disks_s", &m->disks_s))))
        return -1;
    m->forecast_total_s = m->forecast_downtime_s = -1;
    has = object(j, "forecast", &inner);
    if (has < 0 || (has && (seconds(&inner, "total_s", &m->forecast_total_s) ||
                            seconds(&inner, "downtime_s", &m->forecast_downtime_s))))
        return -1;
    m->began = -1;
    return given(j, "began") ? xf_json_real(j, "began", DATE_MAX, &m->began) : 0;
}

static int read_pages(const struct xf_json *j, struct page_move *m)
{
    struct xf_json inner;
    int has;

    if (count(j, "guest_pages", &m->guest_pages) || count(j, "pages_sent", &m->pages_sent) ||
        count(j, "pages_zero", &m->pages_zero) || count(j, "pages_skipped", &m->pages_skipped) ||
        count(j, "last_pages", &m->last_pages) || count(j, "wire_bytes", &m->wire_bytes))
        return -1;
    has = object(j, "compression", &inner);
    return has < 0 || (has && (count(&inner, "lz4_pages", &m->lz4_pages) ||
                               count(&inner, "zstd_pages", &m->zstd_pages) ||
                               count(&inner, "packed_bytes", &m->packed_bytes) ||
                               seconds(&inner, "cpu_s", &m->pack_s)))
               ? -1
               : 0;
}

static int read_disks(const struct xf_json *j, struct page_move *m)
{
    json_object *list;
    size_t n;

    if (!given(j, "disks"))
        return 0;
    list = xf_json_array(j, "disks", XF_MOVE_DISKS_MAX, &n);
    if (!list)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct xf_json v;

        if (xf_json_item(j, "disks", list, i, &v) ||
            xf_json_word(&v, "vdev", m->disks[i].vdev, sizeof(m->disks[i].vdev)) ||
            xf_json_word(&v, "target", m->disks[i].target, sizeof(m->disks[i].target)) ||
            count(&v, "bytes", &m->disks[i].bytes) || count(&v, "sent", &m->disks[i].sent) ||
            xf_json_bool(&v, "verified", &m->disks[i].verified))
            return -1;
    }
    m->nr_disks = (unsigned)n;
    return 0;
}

static int read_words(const struct xf_json *j, struct page_move *m)
{
    if (xf_json_word(j, "domain", m->domain, sizeof(m->domain)) ||
        xf_json_word(j, "host", m->host, sizeof(m->host)) ||
        xf_json_word(j, "outcome", m->outcome, sizeof(m->outcome)) ||
        xf_json_number(j, "exit_status", 0, 255, &m->exit_status) ||
        word(j, "xenferry", m->xenferry, sizeof(m->xenferry)) ||
        word(j, "transport", m->transport, sizeof(m->transport)) ||
        word(j, "mode", m->mode, sizeof(m->mode)) ||
        word(j, "cipher", m->cipher, sizeof(m->cipher)) ||
        sentence(j, "switch_reason", m->switch_reason, sizeof(m->switch_reason)) ||
        sentence(j, "fallback", m->fallback, sizeof(m->fallback)) ||
        sentence(j, "error", m->error, sizeof(m->error)) ||
        sentence(j, "advice", m->advice, sizeof(m->advice)))
        return -1;
    return given(j, "encrypted") ? xf_json_bool(j, "encrypted", &m->encrypted) : 0;
}

int page_read(const char *line, size_t len, struct page_move *out, struct xf_err *err)
{
    struct xf_json j = {.what = what};
    char type[32];
    int rc;

    memset(out, 0, sizeof(*out));
    if (len >= PAGE_LINE)
        return xf_fail(err, EPROTO, "%s is too long", what);
    rc = xf_json_open(&j, line, len, DEPTH, what, err) ||
                 xf_json_word(&j, "type", type, sizeof(type))
             ? -1
             : 0;
    if (!rc && strcmp(type, "report") != 0)
        rc = 1;
    else if (!rc)
        rc = read_words(&j, out) || read_times(&j, out) || read_pages(&j, out) ||
                     read_disks(&j, out) || read_pull(&j, out) || read_history(&j, &out->history)
                 ? -1
                 : 0;
    xf_json_close(&j);
    return rc;
}
