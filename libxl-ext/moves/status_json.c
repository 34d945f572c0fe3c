/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lines of status_lines.h as JSON text; read by host/json_in.h. */
#include "libxl-ext/moves/status_lines.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include <json-c/json.h>

#include "transport/json_in.h"
#include "transport/text.h"

#define SECONDS_MAX 1e12
#define DEPTH 3

static const char what[] = "a move's status";

/* --- out --- */

/* Control characters would be longest when escaped, and do not belong in a name. */
static void add_text(json_object *o, const char *name, const char *text)
{
    char clean[XF_ERR_TEXT];
    size_t n = xf_text_copy(clean, sizeof(clean), text, strlen(text));

    json_object_object_add(o, name, json_object_new_string_len(clean, (int)n));
}

/* An unknown value is null. */
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

static json_object *disks(const struct xf_disks_progress *d)
{
    json_object *o = json_object_new_object();

    add_count(o, "nr", d->nr);
    add_count(o, "ready", d->ready);
    add_count(o, "bytes", d->bytes);
    add_count(o, "left", d->left);
    add_count(o, "checked", d->checked);
    add_count(o, "of", d->of);
    return o;
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
    add_seconds(o, "dirty_pages_per_s", s->dirty_pps);
    add_count(o, "wire_bytes", s->wire_bytes);
    add_seconds(o, "eta_s", s->eta_s);
    add_seconds(o, "elapsed_s", s->elapsed_s);
    add_seconds(o, "age_s", s->age_s);
    if (s->waits_for[0])
        add_text(o, "waits_for", s->waits_for);
    if (s->disks.nr)
        json_object_object_add(o, "disks", disks(&s->disks));
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

static int open_line(struct xf_json *j, const char *line, size_t len, struct xf_err *err)
{
    *j = (struct xf_json){.what = what};
    if (len >= XF_STATUS_LINE)
        return xf_fail(err, EPROTO, "%s is too long", what);
    return xf_json_open(j, line, len, DEPTH, what, err);
}

static int get_count(const struct xf_json *j, const char *name, uint64_t *out)
{
    return xf_json_count(j, name, XF_NO_COUNT, out);
}

static int get_seconds(const struct xf_json *j, const char *name, double *out)
{
    return xf_json_real(j, name, SECONDS_MAX, out);
}

static int get_domid(const struct xf_json *j, uint32_t *out)
{
    uint64_t n;

    if (get_count(j, "domid", &n))
        return -1;
    if (n != XF_NO_COUNT && n >= XF_NO_DOMID)
        return xf_json_bad(j, "domid", "is out of range");
    *out = n == XF_NO_COUNT ? XF_NO_DOMID : (uint32_t)n;
    return 0;
}

/* Processes started before 0.9.0 was installed do not send it. */
static int get_version(const struct xf_json *j, char *out, size_t size)
{
    return xf_json_has(j, "xenferry") ? xf_json_word(j, "xenferry", out, size) : 0;
}

/* Only of a move that waits. */
static int get_waits_for(const struct xf_json *j, char *out, size_t size)
{
    return xf_json_has(j, "waits_for") ? xf_json_word(j, "waits_for", out, size) : 0;
}

/* Processes started before these were added do not send them. */
static int get_flow(const struct xf_json *j, struct xf_status *s)
{
    s->dirty_pps = -1;
    s->wire_bytes = XF_NO_COUNT;
    if (xf_json_has(j, "dirty_pages_per_s") && get_seconds(j, "dirty_pages_per_s", &s->dirty_pps))
        return -1;
    return xf_json_has(j, "wire_bytes") ? get_count(j, "wire_bytes", &s->wire_bytes) : 0;
}

/* Only of a move with disks. */
static int get_disks(const struct xf_json *j, struct xf_disks_progress *d)
{
    struct xf_json v;
    int64_t nr, ready;

    if (!xf_json_has(j, "disks"))
        return 0;
    if (xf_json_object(j, "disks", &v) || xf_json_number(&v, "nr", 1, XF_MOVE_DISKS_MAX, &nr) ||
        xf_json_number(&v, "ready", 0, nr, &ready) || get_count(&v, "bytes", &d->bytes) ||
        get_count(&v, "left", &d->left) || get_count(&v, "checked", &d->checked) ||
        get_count(&v, "of", &d->of))
        return -1;
    d->nr = (unsigned)nr;
    d->ready = (unsigned)ready;
    return 0;
}

/* Read which side it is, and where. */
static int read_place(const struct xf_json *j, struct xf_status *s)
{
    char word[16];
    int p = 0;

    if (xf_json_word(j, "role", word, sizeof(word)))
        return -1;
    s->source = !strcmp(word, "source");
    if (!s->source && strcmp(word, "destination"))
        return xf_json_bad(j, "role", "is unknown");
    if (xf_json_word(j, "phase", word, sizeof(word)))
        return -1;
    while (p < XF_PHASES && strcmp(word, xf_phase_name((enum xf_phase)p)))
        p++;
    if (p == XF_PHASES)
        return xf_json_bad(j, "phase", "is unknown");
    s->phase = (enum xf_phase)p;
    return 0;
}

static int read_status(const struct xf_json *j, struct xf_status *s)
{
    int64_t pid, round;

    if (read_place(j, s) || get_version(j, s->version, sizeof(s->version)) ||
        xf_json_number(j, "pid", 1, INT32_MAX, &pid) ||
        xf_json_word(j, "domain", s->domain, sizeof(s->domain)) || get_domid(j, &s->domid) ||
        xf_json_word(j, "host", s->host, sizeof(s->host)) ||
        xf_json_number(j, "round", 0, INT32_MAX, &round) ||
        get_count(j, "round_pages", &s->round_pages) ||
        get_count(j, "round_done", &s->round_done) || get_count(j, "pages_sent", &s->pages_sent) ||
        get_count(j, "left_out", &s->left_out) || get_count(j, "missing", &s->missing) ||
        get_count(j, "faults", &s->faults) || get_count(j, "requested", &s->requested) ||
        get_seconds(j, "fault_median_s", &s->fault_median_s) ||
        get_seconds(j, "fault_p99_s", &s->fault_p99_s) ||
        get_seconds(j, "rate_bytes_per_s", &s->rate_bps) || get_flow(j, s) ||
        get_seconds(j, "eta_s", &s->eta_s) || get_seconds(j, "elapsed_s", &s->elapsed_s) ||
        get_seconds(j, "age_s", &s->age_s) ||
        get_waits_for(j, s->waits_for, sizeof(s->waits_for)) || get_disks(j, &s->disks) ||
        xf_json_word(j, "no_switch", s->no_switch, sizeof(s->no_switch)))
        return -1;
    s->pid = (pid_t)pid;
    s->round = (unsigned)round;
    return 0;
}

int xf_status_decode(const char *line, size_t len, struct xf_status *out, struct xf_err *err)
{
    struct xf_json j;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = open_line(&j, line, len, err) || read_status(&j, out) ? -1 : 0;
    xf_json_close(&j);
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
    case XF_UNPLUGGED:
        return true;
    }
    return false;
}

static int read_ended(const struct xf_json *j, struct xf_ended *e)
{
    int64_t outcome, pid;

    if (xf_json_word(j, "domain", e->domain, sizeof(e->domain)) ||
        xf_json_number(j, "pid", 1, INT32_MAX, &pid) ||
        xf_json_word(j, "host", e->host, sizeof(e->host)) ||
        xf_json_number(j, "exit_status", 0, 255, &outcome) ||
        xf_json_number(j, "when", 0, INT64_MAX, &e->when) ||
        xf_json_word(j, "text", e->text, sizeof(e->text)))
        return -1;
    if (!is_outcome(outcome))
        return xf_json_bad(j, "exit_status", "is unknown");
    e->outcome = (enum xf_outcome)outcome;
    e->pid = (pid_t)pid;
    return 0;
}

int xf_ended_decode(const char *line, size_t len, struct xf_ended *out, struct xf_err *err)
{
    struct xf_json j;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = open_line(&j, line, len, err) || read_ended(&j, out) ? -1 : 0;
    xf_json_close(&j);
    return rc;
}

int xf_answer_decode(const char *line, size_t len, struct xf_err *err)
{
    char why[XF_ERR_TEXT - 100];
    struct xf_json j;
    int rc;

    rc = open_line(&j, line, len, err) || xf_json_word(&j, "why_not", why, sizeof(why)) ? -1 : 0;
    xf_json_close(&j);
    if (rc)
        return -1;
    return why[0] ? xf_fail(err, EPERM, "%s", why) : 0;
}
