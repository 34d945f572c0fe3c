/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines of status_lines.h as JSON text. A reader checks type, length and range of each field,
 * as hello.c does with a peer's; unknown fields are ignored, so that a later version can add
 * some.
 */
#include "libxl-ext/moves/status_lines.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include <json-c/json.h>

#include "transport/text.h"

#define SECONDS_MAX 1e12

/* --- out --- */

/* Control characters would be the longest when escaped, and have no place in a name. */
static void add_text(json_object *o, const char *name, const char *text)
{
    char clean[XF_ERR_TEXT];
    size_t n = xf_text_copy(clean, sizeof(clean), text, strlen(text));

    json_object_object_add(o, name, json_object_new_string_len(clean, (int)n));
}

/* What is not known is null. */
static void add_count(json_object *o, const char *name, uint64_t n)
{
    json_object_object_add(o, name, n == XF_NO_COUNT ? NULL : json_object_new_uint64(n));
}

static void add_seconds(json_object *o, const char *name, double d)
{
    json_object_object_add(
        o, name, !isfinite(d) || d < 0 || d > SECONDS_MAX ? NULL : json_object_new_double(d));
}

static size_t to_line(json_object *o, char line[XF_STATUS_LINE])
{
    const char *text =
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    size_t len = text ? strlen(text) : 0;

    if (len + 2 > XF_STATUS_LINE)
        len = 0;
    if (len) {
        memcpy(line, text, len);
        line[len++] = '\n';
    }
    line[len] = 0;
    json_object_put(o);
    return len;
}

size_t xf_status_encode(const struct xf_status *s, char line[XF_STATUS_LINE])
{
    json_object *o = json_object_new_object();

    add_text(o, "role", s->source ? "source" : "destination");
    json_object_object_add(o, "pid", json_object_new_int64(s->pid));
    if (s->version[0])
        add_text(o, "xenferry", s->version);
    add_text(o, "domain", s->domain);
    add_count(o, "domid", s->domid == XF_NO_DOMID ? XF_NO_COUNT : s->domid);
    add_text(o, "host", s->host);
    add_text(o, "phase", xf_phase_name(s->phase));
    json_object_object_add(o, "round", json_object_new_int64(s->round));
    add_count(o, "round_pages", s->round_pages);
    add_count(o, "round_done", s->round_done);
    add_count(o, "pages_sent", s->pages_sent);
    add_count(o, "left_out", s->left_out);
    add_count(o, "missing", s->missing);
    add_count(o, "faults", s->faults);
    add_count(o, "requested", s->requested);
    add_seconds(o, "fault_median_s", s->fault_median_s);
    add_seconds(o, "fault_p99_s", s->fault_p99_s);
    add_seconds(o, "rate_bytes_per_s", s->rate_bps);
    add_seconds(o, "eta_s", s->eta_s);
    add_seconds(o, "elapsed_s", s->elapsed_s);
    add_seconds(o, "age_s", s->age_s);
    add_text(o, "no_switch", s->no_switch);
    return to_line(o, line);
}

size_t xf_ended_encode(const struct xf_ended *e, char line[XF_STATUS_LINE])
{
    json_object *o = json_object_new_object();

    add_text(o, "domain", e->domain);
    json_object_object_add(o, "pid", json_object_new_int64(e->pid));
    add_text(o, "host", e->host);
    json_object_object_add(o, "exit_status", json_object_new_int(e->outcome));
    json_object_object_add(o, "when", json_object_new_int64(e->when));
    add_text(o, "text", e->text);
    return to_line(o, line);
}

size_t xf_answer_encode(const char *why_not, char line[XF_STATUS_LINE])
{
    json_object *o = json_object_new_object();

    add_text(o, "why_not", why_not);
    return to_line(o, line);
}

/* --- in --- */

static int bad(const char *name, struct xf_err *err)
{
    return xf_fail(err, EPROTO,
                   "what a move says of itself has no good field \"%s\"; it may be "
                   "of another version of Xenferry",
                   name);
}

/* Text of at most size - 1 bytes, as clean as add_text() made it. */
static int get_text(json_object *o, const char *name, char *out, size_t size, struct xf_err *err)
{
    json_object *v;
    size_t len;

    if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_string))
        return bad(name, err);
    len = (size_t)json_object_get_string_len(v);
    if (len >= size)
        return bad(name, err);
    memcpy(out, json_object_get_string(v), len);
    out[len] = 0;
    return xf_text_is_clean(out, len) ? 0 : bad(name, err);
}

static int get_number(json_object *o, const char *name, int64_t min, int64_t max, int64_t *out,
                      struct xf_err *err)
{
    json_object *v;

    if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_int))
        return bad(name, err);
    *out = json_object_get_int64(v);
    return *out < min || *out > max ? bad(name, err) : 0;
}

static int get_count(json_object *o, const char *name, uint64_t *out, struct xf_err *err)
{
    json_object *v;

    *out = XF_NO_COUNT;
    if (!json_object_object_get_ex(o, name, &v))
        return bad(name, err);
    if (!v)
        return 0;
    if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0)
        return bad(name, err);
    *out = json_object_get_uint64(v);
    return 0;
}

static int get_seconds(json_object *o, const char *name, double *out, struct xf_err *err)
{
    json_object *v;

    *out = -1;
    if (!json_object_object_get_ex(o, name, &v))
        return bad(name, err);
    if (!v)
        return 0;
    if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int))
        return bad(name, err);
    *out = json_object_get_double(v);
    return !isfinite(*out) || *out < 0 || *out > SECONDS_MAX ? bad(name, err) : 0;
}

static int get_domid(json_object *o, uint32_t *out, struct xf_err *err)
{
    uint64_t n;

    if (get_count(o, "domid", &n, err))
        return -1;
    if (n != XF_NO_COUNT && n >= XF_NO_DOMID)
        return bad("domid", err);
    *out = n == XF_NO_COUNT ? XF_NO_DOMID : (uint32_t)n;
    return 0;
}

static json_object *open_line(const char *line, size_t len, struct xf_err *err)
{
    json_tokener *t = json_tokener_new_ex(3);
    json_object *o = NULL;
    bool good = false;

    if (t && len < XF_STATUS_LINE) {
        json_tokener_set_flags(t, JSON_TOKENER_STRICT);
        o = json_tokener_parse_ex(t, line, (int)len);
        good = o && json_tokener_get_error(t) == json_tokener_success &&
               json_tokener_get_parse_end(t) == len && json_object_is_type(o, json_type_object);
    }
    if (t)
        json_tokener_free(t);
    if (good)
        return o;
    json_object_put(o);
    xf_fail(err, EPROTO, "what a move says of itself is not one JSON object");
    return NULL;
}

/* Processes that were begun before 0.9.0 was installed do not say it. */
static int get_version(json_object *o, char *out, size_t size, struct xf_err *err)
{
    return json_object_object_get_ex(o, "xenferry", NULL) ? get_text(o, "xenferry", out, size, err)
                                                          : 0;
}

static int read_status(json_object *o, struct xf_status *s, struct xf_err *err)
{
    int64_t pid, round;
    char word[16];
    int p = 0;

    if (get_text(o, "role", word, sizeof(word), err))
        return -1;
    s->source = !strcmp(word, "source");
    if (!s->source && strcmp(word, "destination"))
        return bad("role", err);
    if (get_text(o, "phase", word, sizeof(word), err))
        return -1;
    while (p < XF_PHASES && strcmp(word, xf_phase_name((enum xf_phase)p)))
        p++;
    if (p == XF_PHASES)
        return bad("phase", err);
    s->phase = (enum xf_phase)p;
    if (get_version(o, s->version, sizeof(s->version), err) ||
        get_number(o, "pid", 1, INT32_MAX, &pid, err) ||
        get_text(o, "domain", s->domain, sizeof(s->domain), err) || get_domid(o, &s->domid, err) ||
        get_text(o, "host", s->host, sizeof(s->host), err) ||
        get_number(o, "round", 0, INT32_MAX, &round, err) ||
        get_count(o, "round_pages", &s->round_pages, err) ||
        get_count(o, "round_done", &s->round_done, err) ||
        get_count(o, "pages_sent", &s->pages_sent, err) ||
        get_count(o, "left_out", &s->left_out, err) || get_count(o, "missing", &s->missing, err) ||
        get_count(o, "faults", &s->faults, err) || get_count(o, "requested", &s->requested, err) ||
        get_seconds(o, "fault_median_s", &s->fault_median_s, err) ||
        get_seconds(o, "fault_p99_s", &s->fault_p99_s, err) ||
        get_seconds(o, "rate_bytes_per_s", &s->rate_bps, err) ||
        get_seconds(o, "eta_s", &s->eta_s, err) ||
        get_seconds(o, "elapsed_s", &s->elapsed_s, err) ||
        get_seconds(o, "age_s", &s->age_s, err) ||
        get_text(o, "no_switch", s->no_switch, sizeof(s->no_switch), err))
        return -1;
    s->pid = (pid_t)pid;
    s->round = (unsigned)round;
    return 0;
}

int xf_status_decode(const char *line, size_t len, struct xf_status *out, struct xf_err *err)
{
    json_object *o = open_line(line, len, err);
    int rc;

    memset(out, 0, sizeof(*out));
    if (!o)
        return -1;
    rc = read_status(o, out, err);
    json_object_put(o);
    return rc;
}

static bool is_outcome(int64_t n)
{
    switch ((enum xf_outcome)n) {
    case XF_MOVED:
    case XF_REFUSED:
    case XF_STAYED:
    case XF_RESUMED:
    case XF_UNKNOWN:
    case XF_SUSPENDED:
    case XF_PULLING:
    case XF_ENDED:
        return true;
    }
    return false;
}

int xf_ended_decode(const char *line, size_t len, struct xf_ended *out, struct xf_err *err)
{
    json_object *o = open_line(line, len, err);
    int64_t outcome, pid;
    int rc;

    memset(out, 0, sizeof(*out));
    if (!o)
        return -1;
    rc = get_text(o, "domain", out->domain, sizeof(out->domain), err) ||
                 get_number(o, "pid", 1, INT32_MAX, &pid, err) ||
                 get_text(o, "host", out->host, sizeof(out->host), err) ||
                 get_number(o, "exit_status", 0, 255, &outcome, err) ||
                 get_number(o, "when", 0, INT64_MAX, &out->when, err) ||
                 get_text(o, "text", out->text, sizeof(out->text), err)
             ? -1
             : 0;
    if (!rc && !is_outcome(outcome))
        rc = bad("exit_status", err);
    if (!rc) {
        out->outcome = (enum xf_outcome)outcome;
        out->pid = (pid_t)pid;
    }
    json_object_put(o);
    return rc;
}

int xf_answer_decode(const char *line, size_t len, struct xf_err *err)
{
    json_object *o = open_line(line, len, err);
    char why[XF_ERR_TEXT - 100];
    int rc;

    if (!o)
        return -1;
    rc = get_text(o, "why_not", why, sizeof(why), err);
    json_object_put(o);
    if (rc)
        return -1;
    return why[0] ? xf_fail(err, EPERM, "%s", why) : 0;
}
