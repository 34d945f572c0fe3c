/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a drain: the table in 80 columns, or JSON. See drain.h. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "tools/drain.h"
#include "tools/format.h"
#include "transport/clock.h"
#include "transport/text.h"

#define COLUMNS 80
/* The widest that a column becomes; all of them and the blanks between them fit into a line. */
#define NAME_WIDTH 20u
#define HOST_WIDTH 18u
#define TIME_WIDTH 11u
#define GAP 2

/* --- the table --- */

struct widths {
    unsigned name, host, time, down;
};

/* Columns that a clean text takes: its characters. */
static unsigned columns(const char *s)
{
    unsigned n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void widen(unsigned *width, unsigned most, const char *text)
{
    unsigned n = columns(text);

    if (n > *width)
        *width = n > most ? most : n;
}

/* A text in so many columns; the end of a longer one is cut. */
static void cell(FILE *out, const char *text, unsigned width)
{
    unsigned have = columns(text), keep = have > width ? width - 3 : have, n = 0;
    size_t len = 0;

    while (text[len] && n < keep) {
        size_t one = xf_text_char(text + len, strlen(text + len));

        len += one ? one : 1;
        n++;
    }
    fprintf(out, "%.*s%s", (int)len, text, have > width ? "..." : "");
    for (n = have > width ? width : have; n < width + GAP; n++)
        fputc(' ', out);
}

static const char *duration(char buf[FMT_LEN], double s)
{
    return s < 0 ? "-" : fmt_duration(buf, s);
}

/* What is shown as a guest's time: it took, or it would take. */
static double total(const struct drain *d, unsigned i)
{
    const struct drain_row *r = &d->row[i];

    return !d->args->check ? r->total_s : r->forecasts ? r->forecast.total_s : -1;
}

static double down(const struct drain *d, unsigned i)
{
    const struct drain_row *r = &d->row[i];

    return !d->args->check ? r->downtime_s : r->forecasts ? r->forecast.downtime_s : -1;
}

static const char *host_of(const struct drain_row *r)
{
    return r->to[0] ? r->to : "-";
}

static void measure(const struct drain *d, struct widths *w)
{
    char a[FMT_LEN];

    *w = (struct widths){5, 4, 4, 8};
    for (unsigned i = 0; i < d->sched.nr_guests; i++) {
        widen(&w->name, NAME_WIDTH, d->row[i].at.name);
        widen(&w->host, HOST_WIDTH, host_of(&d->row[i]));
        widen(&w->time, TIME_WIDTH, duration(a, total(d, i)));
        widen(&w->down, TIME_WIDTH, duration(a, down(d, i)));
    }
}

static void show_row(FILE *out, const struct drain *d, unsigned i, const struct widths *w)
{
    const struct drain_row *r = &d->row[i];
    char a[FMT_LEN];

    cell(out, r->at.name, w->name);
    cell(out, host_of(r), w->host);
    cell(out, duration(a, total(d, i)), w->time);
    cell(out, duration(a, down(d, i)), w->down);
    fprintf(out, "%s\n", drain_outcome(d, i));
}

static void show_reason(FILE *out, const struct drain *d, unsigned i)
{
    const struct drain_row *r = &d->row[i];
    char text[1200];

    if (!r->reason[0] || d->sched.guest[i].state == XF_DRAIN_LEFT)
        return;
    snprintf(text, sizeof(text), "%s: %s%s%s%s", r->at.name, r->code[0] ? "(" : "", r->code,
             r->code[0] ? ") " : "", r->reason);
    xf_text_clean(text); /* a name in it may have been cut within a character */
    print_wrapped(out, text, COLUMNS, 0, 2);
}

/* --- the plan --- */

/* The time in which all would leave, so many at once, in this order; -1: not known. */
static double makespan(const struct drain *d, const unsigned *order, unsigned n)
{
    double lane[XF_DRAIN_LIMIT_MAX] = {0}, last = 0;

    for (unsigned k = 0; k < n; k++) {
        unsigned first = 0;

        if (d->sched.guest[order[k]].state != XF_DRAIN_LEFT)
            continue;
        if (total(d, order[k]) < 0)
            return -1;
        for (unsigned i = 1; i < d->sched.limit; i++)
            if (lane[i] < lane[first])
                first = i;
        lane[first] += total(d, order[k]);
        last = fmax(last, lane[first]);
    }
    return last;
}

static void show_plan(FILE *out, const struct drain *d, const unsigned *order)
{
    unsigned leave = 0;
    double bytes = 0, s = makespan(d, order, d->sched.nr_guests);
    char text[300], a[FMT_LEN], b[FMT_LEN];

    for (unsigned i = 0; i < d->sched.nr_guests; i++) {
        if (d->sched.guest[i].state != XF_DRAIN_LEFT)
            continue;
        leave++;
        bytes += d->row[i].forecasts && d->row[i].forecast.bytes >= 0
                     ? d->row[i].forecast.bytes
                     : d->row[i].at.memory_kib * 1024.;
    }
    if (!leave)
        return;
    snprintf(text, sizeof(text), "%u guest%s can leave, with %s to be sent, %u at once%s%s.", leave,
             leave == 1 ? "" : "s", fmt_bytes(a, bytes), d->sched.limit,
             s > 0 ? "; at the rates measured for each that takes about " : "",
             s > 0 ? fmt_duration(b, s) : "");
    print_wrapped(out, text, COLUMNS, 0, 2);
}

/* --- the end in words --- */

static void show_summary(FILE *out, const struct drain *d)
{
    unsigned moved = xf_drain_count(&d->sched, XF_DRAIN_LEFT), remain = 0;
    char text[500], a[FMT_LEN];

    for (unsigned i = 0; i < d->sched.nr_guests; i++)
        remain += drain_remains(d, i);
    if (d->args->undo)
        snprintf(text, sizeof(text), "%u back, %u not. This host takes guests.%s", moved, remain,
                 remain ? " `xl migrate-drain --undo` again tries the rest, --end forgets it."
                        : "");
    else
        snprintf(text, sizeof(text),
                 "%u left, %u remain%s, after %s. This host takes no guests until `xl "
                 "migrate-drain --undo`, which brings back what left, or --end.",
                 moved, remain, remain == 1 ? "s" : "", fmt_duration(a, xf_now() - d->began));
    print_wrapped(out, text, COLUMNS, 0, 2);
}

static int compare(const void *a, const void *b, void *priv)
{
    const struct drain *d = priv;
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    uint64_t p = d->sched.guest[x].rank, q = d->sched.guest[y].rank;

    if (p != q)
        return p > q ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void show_table(FILE *out, const struct drain *d, const unsigned *order)
{
    struct widths w;

    if (!d->sched.nr_guests) {
        fprintf(out, "%s\n", d->args->undo ? "Nothing had left." : "There is no guest here.");
    } else {
        measure(d, &w);
        cell(out, "guest", w.name);
        cell(out, d->args->undo ? "from" : "to", w.host);
        cell(out, "time", w.time);
        cell(out, "downtime", w.down);
        fputs("outcome\n", out);
        for (unsigned i = 0; i < d->sched.nr_guests; i++)
            show_row(out, d, order[i], &w);
        for (unsigned i = 0; i < d->sched.nr_guests; i++)
            show_reason(out, d, order[i]);
    }
    if (d->arriving)
        fprintf(out, "%u more %s just being moved here.\n", d->arriving,
                d->arriving == 1 ? "is" : "are");
    if (d->args->check)
        show_plan(out, d, order);
    else
        show_summary(out, d);
}

/* --- JSON --- */

static void add(struct json_object *o, const char *key, struct json_object *value)
{
    json_object_object_add(o, key, value);
}

/* Negative: not known. */
static struct json_object *number(double x)
{
    char text[64];

    if (!isfinite(x) || x < 0)
        return NULL;
    snprintf(text, sizeof(text), "%.6f", x);
    return json_object_new_double_s(x, text);
}

static struct json_object *text_or_null(const char *s)
{
    char clean[sizeof(((struct drain_row *)NULL)->reason)];
    size_t n = xf_text_copy(clean, sizeof(clean), s, strlen(s));

    return n ? json_object_new_string_len(clean, (int)n) : NULL;
}

static struct json_object *count(uint64_t n)
{
    return n == UINT64_MAX ? NULL : json_object_new_uint64(n);
}

static void end(FILE *out, struct json_object *o)
{
    const char *text =
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

    fprintf(out, "%s\n", text ? text : "{\"type\":\"error\",\"text\":\"out of memory\"}");
    json_object_put(o);
}

static struct json_object *forecast(const struct xf_forecast *f)
{
    struct json_object *o = json_object_new_object();

    add(o, "total_s", number(f->total_s));
    add(o, "downtime_s", number(f->downtime_s));
    add(o, "bytes", number(f->bytes));
    add(o, "dirty_pages_per_s", number(f->dirty_pps));
    add(o, "working_set_pages", count(f->working_set_pages));
    add(o, "memory_needed_kib", count(f->memory_needed_kib));
    add(o, "memory_free_kib", count(f->memory_free_kib));
    return o;
}

static void json_row(FILE *out, const struct drain *d, unsigned i)
{
    const struct drain_row *r = &d->row[i];
    struct json_object *o = json_object_new_object();

    add(o, "type", json_object_new_string("guest"));
    add(o, "guest", json_object_new_string(r->at.name));
    add(o, "uuid", json_object_new_string(r->at.uuid));
    add(o, d->args->undo ? "from" : "to", text_or_null(r->to));
    add(o, "outcome", json_object_new_string(drain_outcome(d, i)));
    add(o, "remains", json_object_new_boolean(drain_remains(d, i)));
    add(o, "exit_status", r->exit_status < 0 ? NULL : json_object_new_int(r->exit_status));
    add(o, "total_s", number(r->total_s));
    add(o, "downtime_s", number(r->downtime_s));
    add(o, "code", text_or_null(r->code));
    add(o, "error", d->sched.guest[i].state == XF_DRAIN_LEFT ? NULL : text_or_null(r->reason));
    if (r->forecasts)
        add(o, "forecast", forecast(&r->forecast));
    end(out, o);
}

static void json_end(FILE *out, const struct drain *d, const unsigned *order, int exit_status)
{
    struct json_object *o = json_object_new_object();
    unsigned remain = 0;

    for (unsigned i = 0; i < d->sched.nr_guests; i++) {
        json_row(out, d, order[i]);
        remain += drain_remains(d, i);
    }
    add(o, "type", json_object_new_string("drain"));
    add(o, "action",
        json_object_new_string(d->args->check  ? "check"
                               : d->args->undo ? "undo"
                                               : "drain"));
    add(o, "exit_status", json_object_new_int(exit_status));
    add(o, "moved", json_object_new_int64(xf_drain_count(&d->sched, XF_DRAIN_LEFT)));
    add(o, "remain", json_object_new_int64(remain));
    add(o, "interrupted", json_object_new_boolean(d->sched.interrupts > 0));
    add(o, "total_s", number(xf_now() - d->began));
    if (d->args->check)
        add(o, "forecast_s", number(makespan(d, order, d->sched.nr_guests)));
    end(out, o);
}

void drain_show(FILE *out, const struct drain *d, int exit_status)
{
    unsigned *order = calloc(d->sched.nr_guests + 1, sizeof(*order));

    if (!order)
        return;
    for (unsigned i = 0; i < d->sched.nr_guests; i++)
        order[i] = i;
    qsort_r(order, d->sched.nr_guests, sizeof(*order), compare, (void *)d);
    if (d->args->json)
        json_end(out, d, order, exit_status);
    else
        show_table(out, d, order);
    fflush(out);
    free(order);
}
