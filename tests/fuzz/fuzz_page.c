/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for reports that become pages. The input is a line of JSON, without its newline.
 * Beyond "no crash": a page that was made is ASCII, and holds no element that runs or fetches
 * something, whatever the report says.
 */
#include "tests/fuzz/target.h"
#include "tools/page.h"

enum { TOOK_REPORT, TOOK_OTHER };

/* Is there an element with this attribute? A report's own text may well contain its name, but no
 * `<`, and nothing that ends an attribute's value. */
static bool has_attribute(const char *html, const char *name)
{
    char quote = 0;
    bool inside = false;

    for (const char *p = html; *p; p++) {
        if (quote)
            quote = *p == quote ? 0 : quote;
        else if (inside && (*p == '"' || *p == '\''))
            quote = *p;
        else if (*p == '<' || *p == '>')
            inside = *p == '<';
        else if (inside && *p == ' ' && !strncasecmp(p + 1, name, strlen(name)) &&
                 p[1 + strlen(name)] == '=')
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct page *p = page_new();
    struct xf_err err = {0};
    size_t len = 0;
    char *line, *text;

    if (!p || !(line = malloc(size ? size : 1))) { /* exact: it has no NUL that would end it */
        page_free(p);
        return 0;
    }
    memcpy(line, data, size);
    if (page_add(p, line, size, &err)) {
        MUST(err.num && err.text[0] && !strchr(err.text, '\n') && !page_moves(p));
    } else if (!page_moves(p)) {
        fuzz_reached(TOOK_OTHER);
    } else {
        MUST(!page_add(p, line, size, &err) && page_moves(p) == 2);
        text = page_text(p, &len, &err);
        MUST(text && strlen(text) == len);
        for (size_t i = 0; i < len; i++)
            MUST((unsigned char)text[i] < 0x80);
        MUST(!strcasestr(text, "<script") && !strcasestr(text, "<img"));
        MUST(has_attribute(text, "content") && !has_attribute(text, "src"));
        free(text);
        fuzz_reached(TOOK_REPORT);
    }
    free(line);
    page_free(p);
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static const char *const lines[] = {
        "{\"type\":\"progress\",\"phase\":\"COPY\"}",
        "{\"type\":\"report\",\"outcome\":\"moved\",\"exit_status\":0,\"domain\":\"g\",\"host\":"
        "\"h\","
        "\"total_s\":3.5,\"phase_s\":{\"CHECK\":0.5,\"COPY\":3.0}}",
        "{\"type\":\"report\",\"outcome\":\"stayed\",\"exit_status\":3,\"domain\":\"g\",\"host\":"
        "\"h\","
        "\"mode\":\"hybrid\",\"transport\":\"tcp\",\"encrypted\":true,\"cipher\":\"c\",\"error\":"
        "\"e\","
        "\"advice\":\"a\",\"began\":1796040000,\"total_s\":3.5,\"downtime_s\":0.1,"
        "\"forecast\":{\"total_s\":4,\"downtime_s\":0.2},"
        "\"phase_s\":{\"CHECK\":0.5,\"COPY\":3.0},\"switch\":{\"suspend_s\":0.1,\"resume_s\":0.2},"
        "\"guest_pages\":9,\"wire_bytes\":8,"
        "\"compression\":{\"lz4_pages\":4,\"zstd_pages\":1,\"packed_bytes\":99,\"cpu_s\":0.1},"
        "\"pull\":{\"left_out\":5,\"faults\":4,\"requested\":3,\"fault_median_s\":0.1,"
        "\"fault_latency\":[1,0,7]},\"history\":{\"rounds\":[{\"round\":1,\"at_s\":0,\"took_s\":1,"
        "\"pages\":9,\"sent\":8,\"zero\":1,\"dirty\":3},{\"round\":2,\"dirty\":null}],"
        "\"samples\":{\"at_s\":[0,1,2.5],\"phase\":[\"CHECK\",\"COPY\",\"PULL\"],"
        "\"wire_bytes\":[0,500,900],\"pages\":[0,4,9],\"dirty_pages_per_s\":[null,2.5,null],"
        "\"missing\":[0,0,4]}}}"};
    size_t len;

    if (n >= 3)
        return 0;
    len = strlen(lines[n]);
    memcpy(out, lines[n], len);
    return len;
}

FUZZ_TARGET(fuzz_seed, "a report is taken", "another line is passed over")
