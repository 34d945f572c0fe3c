/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a process that moves a guest says: see said.h. */
#include "libxl-ext/drain/said.h"

#include <stdio.h>
#include <string.h>

#include "transport/json_in.h"

#define DEPTH 6
#define SECONDS_MAX 1e9
#define BYTES_MAX 1e18

static const struct xf_forecast unknown = {.total_s = -1,
                                           .downtime_s = -1,
                                           .bytes = -1,
                                           .dirty_pps = -1,
                                           .working_set_pages = UINT64_MAX,
                                           .memory_needed_kib = UINT64_MAX,
                                           .memory_free_kib = UINT64_MAX};

void xf_said_init(struct xf_said *s)
{
    *s = (struct xf_said){.total_s = -1, .downtime_s = -1, .forecast = unknown};
}

/* A member that is missing or wrong is not known. */
static double real(const struct xf_json *j, const char *name, double max)
{
    double d;

    return xf_json_real(j, name, max, &d) ? -1 : d;
}

static uint64_t count(const struct xf_json *j, const char *name)
{
    uint64_t n;

    return xf_json_count(j, name, UINT64_MAX, &n) ? UINT64_MAX : n;
}

static void take_forecast(struct xf_said *s, const struct xf_json *j)
{
    s->forecasts = true;
    s->forecast = (struct xf_forecast){.total_s = real(j, "total_s", SECONDS_MAX),
                                       .downtime_s = real(j, "downtime_s", SECONDS_MAX),
                                       .bytes = real(j, "bytes", BYTES_MAX),
                                       .dirty_pps = real(j, "dirty_pages_per_s", BYTES_MAX),
                                       .working_set_pages = count(j, "working_set_pages"),
                                       .memory_needed_kib = count(j, "memory_needed_kib"),
                                       .memory_free_kib = count(j, "memory_free_kib")};
}

static void take_finding(struct xf_said *s, const struct xf_json *j)
{
    char severity[16], code[sizeof(s->code)];
    bool memory;

    if (xf_json_word(j, "severity", severity, sizeof(severity)) ||
        strcmp(severity, "refusal") != 0 || xf_json_word(j, "code", code, sizeof(code)))
        return;
    memory = !strcmp(code, "memory");
    if (!s->code[0] || (s->refusals == s->for_memory && !memory))
        memcpy(s->code, code, sizeof(code));
    s->refusals++;
    s->for_memory += memory;
}

static void take_error(struct xf_said *s, const struct xf_json *j, const char *name)
{
    int64_t num;

    if (xf_json_sentence(j, name, s->error, sizeof(s->error)))
        s->error[0] = 0;
    s->num = xf_json_number(j, "errno", 0, 4095, &num) ? 0 : (int)num;
}

static void take_report(struct xf_said *s, const struct xf_json *j)
{
    int64_t status;

    if (xf_json_number(j, "exit_status", 0, 255, &status))
        return;
    s->total_s = real(j, "total_s", SECONDS_MAX);
    s->downtime_s = real(j, "downtime_s", SECONDS_MAX);
    take_error(s, j, "error");
}

bool xf_said_line(struct xf_said *s, const char *line, size_t len)
{
    struct xf_json j, forecast;
    bool report = false;
    char type[16];

    if (len <= XF_SAID_LINE && !xf_json_open(&j, line, len, DEPTH, "it", NULL)) {
        if (xf_json_word(&j, "type", type, sizeof(type)))
            type[0] = 0;
        if (!xf_json_object(&j, "forecast", &forecast))
            take_forecast(s, &forecast);
        else if (!strcmp(type, "forecast"))
            take_forecast(s, &j);
        report = !strcmp(type, "report");
        if (report)
            take_report(s, &j);
        else if (!strcmp(type, "finding"))
            take_finding(s, &j);
        else if (!strcmp(type, "error")) /* of a move that did not begin, the only line */
            take_error(s, &j, "text");
    }
    xf_json_close(&j);
    return report;
}
