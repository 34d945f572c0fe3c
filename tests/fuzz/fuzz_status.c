/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for the lines that moves tell of themselves: how they stand, how they ended,
 * the answer to a request. The first byte chooses; the rest is the line without its newline.
 * Beyond "no crash": what is taken keeps to its limits, holds nothing that a terminal obeys, and
 * encoded and read again means the same.
 */
#include <errno.h>
#include <math.h>

#include "libxl-ext/moves/status_lines.h"
#include "tests/fuzz/target.h"

enum { TOOK_STATUS, TOOK_ENDED, TOOK_YES, TOOK_NO };

static void fuzz_refused(const struct xf_err *err)
{
    MUST(err->num && err->text[0] && !strchr(err->text, '\n'));
}

static void fuzz_text(const char *s, size_t size)
{
    MUST(memchr(s, 0, size));
    for (; *s; s++)
        MUST((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static void fuzz_seconds(double a, double b)
{
    MUST(isfinite(a) && (a >= 0 || a == -1));
    MUST(a == b || fabs(a - b) <= 1e-9 * fabs(a)); /* json-c may round */
}

static void fuzz_status(const char *line, size_t len)
{
    static struct xf_status s, twice;
    char again[XF_STATUS_LINE];
    struct xf_err err = {0};
    size_t n;

    if (xf_status_decode(line, len, &s, &err)) {
        fuzz_refused(&err);
        return;
    }
    fuzz_text(s.domain, sizeof(s.domain));
    fuzz_text(s.host, sizeof(s.host));
    fuzz_text(s.no_switch, sizeof(s.no_switch));
    fuzz_text(s.waits_for, sizeof(s.waits_for));
    MUST(s.pid > 0 && s.phase < XF_PHASES);
    n = xf_status_encode(&s, again);
    if (!n) /* escaped it is too long for a line, and is not told then */
        return;
    MUST(again[n - 1] == '\n' && !xf_status_decode(again, n - 1, &twice, &err));
    MUST(!strcmp(s.domain, twice.domain) && !strcmp(s.host, twice.host));
    MUST(s.domid == twice.domid && s.missing == twice.missing && s.faults == twice.faults);
    fuzz_seconds(s.eta_s, twice.eta_s);
    fuzz_seconds(s.rate_bps, twice.rate_bps);
    fuzz_seconds(s.dirty_pps, twice.dirty_pps);
    MUST(s.wire_bytes == twice.wire_bytes);
    fuzz_seconds(s.fault_p99_s, twice.fault_p99_s);
    fuzz_reached(TOOK_STATUS);
}

static void fuzz_ended(const char *line, size_t len)
{
    static struct xf_ended e, twice;
    char again[XF_STATUS_LINE];
    struct xf_err err = {0};
    size_t n;

    if (xf_ended_decode(line, len, &e, &err)) {
        fuzz_refused(&err);
        return;
    }
    fuzz_text(e.domain, sizeof(e.domain));
    fuzz_text(e.host, sizeof(e.host));
    fuzz_text(e.text, sizeof(e.text));
    MUST(e.pid > 0 && e.when >= 0);
    n = xf_ended_encode(&e, again);
    if (!n)
        return;
    MUST(!xf_ended_decode(again, n - 1, &twice, &err));
    MUST(e.outcome == twice.outcome && e.when == twice.when && !strcmp(e.text, twice.text));
    fuzz_reached(TOOK_ENDED);
}

static void fuzz_answer(const char *line, size_t len)
{
    struct xf_err err = {0};

    if (!xf_answer_decode(line, len, &err)) {
        MUST(!err.num);
        fuzz_reached(TOOK_YES);
        return;
    }
    fuzz_refused(&err);
    fuzz_text(err.text, sizeof(err.text));
    if (err.num == EPERM)
        fuzz_reached(TOOK_NO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line;

    if (size < 1 || size > XF_STATUS_LINE + 1)
        return 0;
    line = malloc(size); /* exact: it has no NUL that would end it */
    MUST(line);
    memcpy(line, data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        fuzz_status(line, size - 1);
        break;
    case 1:
        fuzz_ended(line, size - 1);
        break;
    default:
        fuzz_answer(line, size - 1);
    }
    free(line);
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static const struct xf_status status = {.source = true,
                                            .pid = 4711,
                                            .domain = "web1",
                                            .domid = 7,
                                            .host = "host2",
                                            .phase = XF_PHASE_COPY,
                                            .round = 2,
                                            .round_pages = 1000,
                                            .round_done = 17,
                                            .missing = XF_NO_COUNT,
                                            .rate_bps = 1e8,
                                            .eta_s = 1.5,
                                            .elapsed_s = 20,
                                            .fault_median_s = -1,
                                            .fault_p99_s = 0.25,
                                            .no_switch = "it was not asked for"};
    static const struct xf_ended ended = {.domain = "web1",
                                          .pid = 4711,
                                          .host = "host2",
                                          .outcome = XF_PULLING,
                                          .when = 1700000000,
                                          .text = "the link was lost"};
    char *line = (char *)out + 1;
    size_t len = 0;

    out[0] = (uint8_t)n;
    switch (n) {
    case 0:
        len = xf_status_encode(&status, line);
        break;
    case 1:
        len = xf_ended_encode(&ended, line);
        break;
    case 2:
        len = xf_answer_encode("", line);
        break;
    case 3:
        out[0] = 2;
        len = xf_answer_encode("it is in SWITCH already", line);
        break;
    }
    return len; /* the first byte, and no newline */
}

FUZZ_TARGET(fuzz_seed, "how a move stands is taken", "how a move ended is taken",
            "an answer that says yes", "an answer that says no")
