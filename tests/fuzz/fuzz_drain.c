/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for what `xl migrate-drain` reads: its record (first byte even), and the lines
 * of a child, which may be a command on another host. Beyond "no crash": a record that is read is
 * the same when it is written and read again; what is taken from a line is clean and in range.
 */
#include <math.h>

#include "libxl-ext/drain/said.h"
#include "libxl-ext/moves/drain_record.h"
#include "tests/fuzz/target.h"
#include "transport/text.h"

enum { TOOK_RECORD, TOOK_GUEST, TOOK_REPORT, TOOK_REFUSAL, TOOK_FORECAST };

static void fuzz_record(const char *text, size_t len)
{
    struct xf_drain_record r, twice;
    struct xf_err err = {0};
    char *again;

    if (xf_drain_record_parse(text, len, &r, &err)) {
        MUST(err.num && err.text[0] && !strchr(err.text, '\n'));
    } else {
        again = xf_drain_record_format(&r);
        MUST(again && !xf_drain_record_parse(again, strlen(again), &twice, NULL));
        MUST(r.nr == twice.nr && r.nr_hosts == twice.nr_hosts && r.draining == twice.draining);
        for (unsigned i = 0; i < r.nr; i++) {
            MUST(!memcmp(&r.guest[i], &twice.guest[i], sizeof(r.guest[i])));
            MUST(xf_text_is_clean(r.guest[i].name, strlen(r.guest[i].name)));
            MUST(xf_text_is_clean(r.guest[i].host, strlen(r.guest[i].host)));
            fuzz_reached(TOOK_GUEST);
        }
        free(again);
        xf_drain_record_free(&twice);
        fuzz_reached(TOOK_RECORD);
    }
    xf_drain_record_free(&r);
}

static bool in_range(double d)
{
    return d == -1 || (isfinite(d) && d >= 0 && d <= 1e18);
}

static void fuzz_lines(const char *text, size_t len)
{
    struct xf_said s;

    xf_said_init(&s);
    while (len) {
        const char *end = memchr(text, '\n', len);
        size_t part = end ? (size_t)(end - text) : len;

        xf_said_line(&s, text, part);
        part += end != NULL;
        text += part;
        len -= part;
    }
    MUST(s.for_memory <= s.refusals && (s.code[0] != 0) == (s.refusals != 0));
    MUST(xf_text_is_clean(s.code, strlen(s.code)) && xf_text_is_clean(s.error, strlen(s.error)));
    MUST(in_range(s.total_s) && in_range(s.downtime_s) && in_range(s.forecast.total_s) &&
         in_range(s.forecast.downtime_s) && in_range(s.forecast.bytes) &&
         in_range(s.forecast.dirty_pps));
    if (s.total_s >= 0 && s.error[0])
        fuzz_reached(TOOK_REPORT);
    if (s.refusals)
        fuzz_reached(TOOK_REFUSAL);
    if (s.forecast.working_set_pages != UINT64_MAX)
        fuzz_reached(TOOK_FORECAST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536)
        return 0;
    if (data[0] % 2)
        fuzz_lines((const char *)data + 1, size - 1);
    else
        fuzz_record((const char *)data + 1, size - 1);
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static const char record[] =
        "{\"version\":1,\"boot_id\":\"b\",\"draining\":true,\"ssh\":\"ssh -p 22\",\"hosts\":["
        "\"host2\"],\"guests\":[{\"name\":\"web1\",\"uuid\":\"u\",\"host\":\"host2\",\"left\":"
        "true}]}";
    static const char report[] =
        "{\"type\":\"finding\",\"severity\":\"refusal\",\"code\":\"memory\",\"text\":\"no\"}\n"
        "{\"type\":\"report\",\"exit_status\":1,\"total_s\":0.5,\"downtime_s\":null,\"errno\":95,"
        "\"error\":\"no\",\"forecast\":{\"total_s\":3,\"downtime_s\":0.1,\"bytes\":1e9,"
        "\"dirty_pages_per_s\":7,\"working_set_pages\":9,\"memory_needed_kib\":1,"
        "\"memory_free_kib\":2}}\n";
    static const char lines[] = "{\"type\":\"forecast\",\"working_set_pages\":9}\n"
                                "{\"type\":\"error\",\"errno\":16,\"text\":\"wait\"}\n";
    static const char *const seeds[] = {record, report, lines};
    size_t len;

    if (n >= (int)(sizeof(seeds) / sizeof(seeds[0])))
        return 0;
    len = strlen(seeds[n]);
    out[0] = n > 0;
    memcpy(out + 1, seeds[n], len);
    return 1 + len;
}

FUZZ_TARGET(fuzz_seed, "a record is read", "a guest of a record is read", "a report is taken",
            "a refusal is taken", "a forecast is taken")
