/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages about moves: that they have what the reports have, that drawings keep to their boxes, that
 * nothing in a name becomes markup, that nothing is fetched from elsewhere, and that no line from
 * outside is taken unless it is right. The page is read again by libxml2's HTML parser.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>
#include <libxml/HTMLparser.h>
#include <libxml/xpath.h>

#include "tests/unit/suite.h"
#include "tools/json.h"
#include "tools/page.h"

static struct xf_history history;
static struct xf_report report;
static struct xf_err none;
static char line[PAGE_LINE];

static void a_move(const char *domain)
{
    memset(&report, 0, sizeof(report));
    memset(&history, 0, sizeof(history));
    report = (struct xf_report){.outcome = XF_MOVED,
                                .total_s = 20,
                                .phase_s = {1, 0, 2, 10, 0.5, 6, 0.5},
                                .downtime_s = 0.1,
                                .predicted_down_s = 0.08,
                                .suspend_s = 0.02,
                                .last_dirty_s = 0.01,
                                .last_pages_s = 0.05,
                                .resume_s = 0.02,
                                .guest_pages = 262144,
                                .pages_sent = 300000,
                                .wire_bytes = 900000000,
                                .lz4_pages = 1000,
                                .packed_bytes = 1024000,
                                .left_out = 5000,
                                .faults = 70,
                                .requested = 30,
                                .has_latency = true};
    report.latency[0] = 3;
    report.latency[8] = 60;
    report.latency[23] = 7;
    snprintf(report.domain, sizeof(report.domain), "%s", domain);
    snprintf(report.host, sizeof(report.host), "host2");
    snprintf(report.mode, sizeof(report.mode), "hybrid");
    snprintf(report.transport, sizeof(report.transport), "tcp");
    history.began = 1796040000;
    for (unsigned i = 0; i < 50; i++)
        xf_history_sample(&history, &(struct xf_history_sample){
                                        .at_s = 0.4 * i,
                                        .phase = i < 10   ? XF_PHASE_SKELETON
                                                 : i < 40 ? XF_PHASE_COPY
                                                          : XF_PHASE_PULL,
                                        .wire_bytes = i * i * 300000,
                                        .pages = i * 6000,
                                        .dirty_pps = i > 20 && i < 40 ? 9000 : -1,
                                    });
    for (unsigned i = 1; i <= 3; i++)
        xf_history_round(&history, &(struct xf_history_round){.round = i,
                                                              .at_s = 4.0 * i,
                                                              .took_s = 4,
                                                              .pages = 90000 / i,
                                                              .data = 80000 / i,
                                                              .zero = 100,
                                                              .left = i < 3 ? 30000 : UINT64_MAX});
}

static void add(struct page *p)
{
    FILE *f = fmemopen(line, sizeof(line), "w");

    json_report(f, &report, &none, "look there", &history);
    fclose(f);
    line[strcspn(line, "\n")] = 0;
    CU_ASSERT_EQUAL(page_add(p, line, strlen(line), &none), 0);
}

/* --- looking at it --- */

static xmlDocPtr doc;
static xmlXPathContextPtr xpath;
static char *text;

static void quiet(void *ctx, const char *fmt, ...)
{
    (void)ctx, (void)fmt;
}

static void read_page(const struct page *p)
{
    size_t len = 0;

    text = page_text(p, &len, &none);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_EQUAL(strlen(text), len);
    /* It knows neither section nor svg, and says so. */
    xmlSetGenericErrorFunc(NULL, quiet);
    doc = htmlReadMemory(text, (int)len, NULL, NULL, HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    xpath = xmlXPathNewContext(doc);
}

static void drop_page(struct page *p)
{
    xmlXPathFreeContext(xpath);
    xmlFreeDoc(doc);
    free(text);
    page_free(p);
}

/* The value of an expression, as a number or a string that stays until the next. */
static double number(const char *expr)
{
    xmlXPathObjectPtr o = xmlXPathEvalExpression(BAD_CAST expr, xpath);
    double v = xmlXPathCastToNumber(o);

    xmlXPathFreeObject(o);
    return v;
}

static const char *string(const char *expr)
{
    static char s[4000];
    xmlXPathObjectPtr o = xmlXPathEvalExpression(BAD_CAST expr, xpath);
    xmlChar *v = xmlXPathCastToString(o);

    snprintf(s, sizeof(s), "%s", (const char *)v);
    xmlFree(v);
    xmlXPathFreeObject(o);
    return s;
}

static void says(const char *expr, const char *wanted)
{
    const char *got = string(expr);

    if (strcmp(got, wanted))
        printf("\n  %s: '%s', wanted '%s'\n", expr, got, wanted);
    CU_ASSERT_STRING_EQUAL(got, wanted);
}

/* --- the page of a move --- */

static void test_one(void)
{
    struct page *p = page_new();

    a_move("web1");
    add(p);
    read_page(p);
    CU_ASSERT_EQUAL(strncmp(text, "<!DOCTYPE html>", 15), 0);
    says("//title", "web1 to host2");
    says("//h1", "web1 to host2: moved");
    says("//dt[.='total time']/following-sibling::dd[1]", "20.0 s");
    says("//dt[.='downtime']/following-sibling::dd[1]", "100 ms, predicted 80 ms");
    says("//dt[.='faults']/following-sibling::dd[1]", "70, 30 over the network; median 0.0 ms, 99% "
                                                      "0.0 ms");
    CU_ASSERT_EQUAL(number("count(//svg)"), 6);
    CU_ASSERT_EQUAL(number("count(//h3)"), 6);
    /* Half of the time was COPY: half of the bar is. */
    CU_ASSERT_DOUBLE_EQUAL(number("//svg[@aria-label='Time by phase']/rect[3]/@width"), 360, 0.1);
    says("//svg[@aria-label='Time by phase']/rect[3]/title", "COPY: 10.0 s (50%)");
    CU_ASSERT_DOUBLE_EQUAL(number("//svg[@aria-label='Downtime in parts']/rect[3]/@width"), 360,
                           0.1);
    CU_ASSERT_DOUBLE_EQUAL(number("//svg[@aria-label='Compression']/rect[2]/@width"), 180, 0.1);
    CU_ASSERT_EQUAL(number("count(//svg[@aria-label='Rates over time']/polyline)"), 3);
    CU_ASSERT_EQUAL(number("count(//svg[@aria-label='Rounds of COPY']/rect)"), 6);
    says("//table[tr/th='Round']/tr[4]/td[7]", "-");
    says("//table[tr/th='Round']/tr[2]/td[3]", "352 MiB");
    /* All 24 buckets are drawn; those with faults have a row. */
    CU_ASSERT_EQUAL(number("count(//svg[@aria-label='Faults by latency']/rect)"), 24);
    CU_ASSERT_EQUAL(number("count(//table[tr/th='Faults']/tr)"), 4);
    says("//table[tr/th='Faults']/tr[2]/td[1]", "0 to 2 us");
    says("//table[tr/th='Faults']/tr[3]/td[1]", "256 us to 512 us");
    says("//table[tr/th='Faults']/tr[3]/td[2]", "60");
    says("//table[tr/th='Faults']/tr[4]/td[1]", "8 s or more");
    drop_page(p);
}

/* Every shape lies within its drawing, and every label does as far as its anchor tells. */
static void test_boxes(void)
{
    struct page *p = page_new();

    a_move("web1");
    add(p);
    add(p);
    read_page(p);
    CU_ASSERT(number("count(//rect)") > 60);
    for (int i = 1; i <= (int)number("count(//rect)"); i++) {
        char expr[200];
        double x, y, w, h, height;

        snprintf(expr, sizeof(expr), "(//rect)[%d]/@x", i);
        x = number(expr);
        snprintf(expr, sizeof(expr), "(//rect)[%d]/@y", i);
        y = number(expr);
        snprintf(expr, sizeof(expr), "(//rect)[%d]/@width", i);
        w = number(expr);
        snprintf(expr, sizeof(expr), "(//rect)[%d]/@height", i);
        h = number(expr);
        snprintf(expr, sizeof(expr), "substring-after((//rect)[%d]/../@viewbox, '720 ')", i);
        height = number(expr);
        CU_ASSERT(x >= 0 && y >= 0 && w >= 0 && h >= 0);
        CU_ASSERT(x + w <= 720.01 && y + h <= height + 0.01);
    }
    CU_ASSERT_EQUAL(number("count(//text[not(@x >= 0 and @x <= 720 and @y > 0)])"), 0);
    CU_ASSERT_EQUAL(number("count(//text[@text-anchor='start' and @x > 660])"), 0);
    drop_page(p);
}

/* --- hostile and strange ones --- */

static void test_names(void)
{
    static const char name[] = "<script>alert(1)</script>\"'& \xc3\xa4\xe6\x9d\xb1";
    struct page *p = page_new();

    a_move(name);
    add(p);
    add(p); /* so that it is in the list and in the timeline, too */
    read_page(p);
    CU_ASSERT_EQUAL(number("count(//script)"), 0);
    CU_ASSERT_PTR_NULL(strstr(text, "<script"));
    says("//div[@class='list']/table/tr[2]/td[1]", name);
    /* Only ASCII, whatever it is served as. */
    for (const char *s = text; *s; s++)
        CU_ASSERT((unsigned char)*s < 0x80);
    /* Nothing from elsewhere, and links only within the page. */
    CU_ASSERT_EQUAL(number("count(//link | //img | //iframe | //object | //@src | //@onload)"), 0);
    CU_ASSERT_EQUAL(number("count(//@href[not(starts-with(., '#'))])"), 0);
    CU_ASSERT_PTR_NULL(strstr(text, "url("));
    CU_ASSERT_PTR_NULL(strstr(text, "http:"));
    CU_ASSERT_PTR_NULL(strstr(text, "https:"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "default-src 'none'"));
    drop_page(p);
}

/* A move that was refused has nothing to draw; no heading stands without its chart. */
static void test_refused(void)
{
    struct page *p = page_new();
    struct xf_err err = {.num = 1, .text = "the destination has too little memory"};
    FILE *f = fmemopen(line, sizeof(line), "w");

    a_move("web1");
    report = (struct xf_report){.outcome = XF_REFUSED, .downtime_s = -1, .domain = "web1"};
    snprintf(report.host, sizeof(report.host), "host2");
    json_report(f, &report, &err, "It was not touched.", NULL);
    fclose(f);
    CU_ASSERT_EQUAL(page_add(p, line, strcspn(line, "\n"), &none), 0);
    read_page(p);
    says("//h1", "web1 to host2: refused");
    says("//p[@class='error']", err.text);
    says("//p[2]", "It was not touched.");
    says("//dt[.='downtime']/following-sibling::dd[1]", "-");
    CU_ASSERT_EQUAL(number("count(//svg) + count(//h3) + count(//table)"), 0);
    drop_page(p);
}

static void test_several(void)
{
    struct page *p = page_new();

    a_move("a-guest-with-a-name-that-is-long");
    add(p);
    a_move("db1");
    report.outcome = XF_STAYED;
    history.began += 10;
    add(p);
    read_page(p);
    says("//h1", "2 moves, 1 of them done");
    says("//div[@class='list']/table/tr[3]/td[7]", "stayed");
    says("//div[@class='list']/table/tr[3]/td[1]/a/@href", "#m1");
    says("//section[@id='m1']/h2", "db1 to host2: stayed");
    /* The second began ten seconds after the first, of thirty in all. */
    CU_ASSERT_DOUBLE_EQUAL(number("//svg[@aria-label='When each move ran']/rect[2]/@x"),
                           220 + 480.0 / 3, 0.1);
    says("//svg[@aria-label='When each move ran']/rect[2]/@class", "failed");
    says("//svg[@aria-label='When each move ran']/text[1]", "a-guest-with-a-n...");
    drop_page(p);
}

/* --- lines from outside --- */

static void refused(const char *from, const char *to, const char *word)
{
    struct page *p = page_new();
    struct xf_err err = {0};
    static char changed[PAGE_LINE];
    const char *at;
    int rc;

    add(p);
    at = strstr(line, from);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - line), line, to, at + strlen(from));
    rc = page_add(p, changed, strlen(changed), &err);
    if (rc != -1 || !strstr(err.text, word))
        printf("\n  %s -> %s: %d '%s', wanted '%s'\n", from, to, rc, err.text, word);
    CU_ASSERT(rc == -1 && err.num && strstr(err.text, word));
    CU_ASSERT_EQUAL(page_moves(p), 1);
    page_free(p);
}

static void test_lies(void)
{
    struct page *p = page_new();
    static char other[] = "{\"type\":\"progress\",\"phase\":\"COPY\"}";
    struct xf_err err = {0};

    CU_ASSERT_EQUAL(page_add(p, other, strlen(other), &none), 0);
    CU_ASSERT_EQUAL(page_moves(p), 0);
    CU_ASSERT_PTR_NULL(page_text(p, &(size_t){0}, &err));
    CU_ASSERT_EQUAL(page_add(p, "no json", 7, &err), -1);
    CU_ASSERT_EQUAL(page_add(p, "{\"a\":1}", 7, &err), -1);
    page_free(p);

    a_move("web1");
    refused("\"web1\"", "\"we\\u001bb1\"", "domain");
    refused("\"web1\"", "7", "domain");
    refused("\"total_s\":20.000000", "\"total_s\":2e300", "total_s");
    refused("\"guest_pages\":262144", "\"guest_pages\":18446744073709551615", "guest_pages");
    refused("\"guest_pages\":262144", "\"guest_pages\":-1", "guest_pages");
    refused("\"phase_s\":{", "\"phase_s\":7,\"x\":{", "phase_s");
    refused("\"at_s\":[0.000000", "\"at_s\":[99.0", "ascend");
    refused("\"at_s\":[0.000000", "\"at_s\":[null", "ascend");
    refused("\"at_s\":[0.000000", "\"at_s\":[0,0", "length");
    refused("\"PULL\"]", "\"ELSEWHERE\"]", "phase");
    refused("\"fault_latency\":[3", "\"fault_latency\":[-3", "fault_latency");
    refused("\"fault_latency\":[3", "\"fault_latency\":[1,2,3", "fault_latency");
    refused("\"dirty\":30000", "\"dirty\":\"x\"", "dirty");
}

/* An older version's report has neither history nor latencies. */
static void test_older(void)
{
    static const char old[] =
        "{\"type\":\"report\",\"outcome\":\"moved\",\"exit_status\":0,\"domain\":\"g\",\"host\":"
        "\"h\","
        "\"total_s\":3.5,\"phase_s\":{\"CHECK\":0.5,\"COPY\":3.0},\"new\":[1,{}]}";
    struct page *p = page_new();

    CU_ASSERT_EQUAL(page_add(p, old, sizeof(old) - 1, &none), 0);
    read_page(p);
    CU_ASSERT_EQUAL(number("count(//svg)"), 1);
    drop_page(p);
}

/* A line stays below its limit, and the history within its bounds, however long the move. */
static void test_bounds(void)
{
    struct page *p = page_new();

    a_move("web1");
    for (unsigned i = 0; i < 1000000; i++)
        xf_history_sample(&history, &(struct xf_history_sample){.at_s = 20 + i * 0.1,
                                                                .phase = XF_PHASE_PULL,
                                                                .wire_bytes = (1ull << 49) + i,
                                                                .pages = (1ull << 40) + i,
                                                                .dirty_pps = 123456.789,
                                                                .missing = 1ull << 40});
    for (unsigned i = 4; i < 1000; i++)
        xf_history_round(&history, &(struct xf_history_round){.round = i,
                                                              .at_s = 123456.789 + i,
                                                              .took_s = 123.456,
                                                              .pages = 1ull << 40,
                                                              .data = 1ull << 40,
                                                              .zero = 1ull << 40,
                                                              .left = 1ull << 40});
    xf_history_round(&history, &history.rounds[history.nr_rounds - 1]);
    CU_ASSERT(history.nr <= XF_HISTORY_SAMPLES && history.nr >= XF_HISTORY_SAMPLES / 2);
    CU_ASSERT(history.samples[0].at_s == 0 && history.samples[1].at_s > 0);
    CU_ASSERT(history.samples[history.nr - 1].at_s > 90000);
    CU_ASSERT_EQUAL(history.nr_rounds, XF_HISTORY_ROUNDS);
    CU_ASSERT_EQUAL(history.rounds[XF_HISTORY_ROUNDS - 1].round, 999);
    add(p);
    CU_ASSERT(strlen(line) < REPORT_LINE_MAX);
    for (unsigned i = 1; i < PAGE_MOVES; i++)
        CU_ASSERT_EQUAL(page_add(p, line, strlen(line), &none), 0);
    CU_ASSERT_EQUAL(page_add(p, line, strlen(line), &(struct xf_err){0}), -1);
    CU_ASSERT_EQUAL(page_moves(p), PAGE_MOVES);
    page_free(p);
}

/* --- the file --- */

static void test_file(void)
{
    char dir[] = "/tmp/xf-page-XXXXXX", path[64], sub[64];
    struct xf_err err = {0};
    struct stat st;

    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/page.html", dir);
    snprintf(sub, sizeof(sub), "%s/none/page.html", dir);
    a_move("web1");
    CU_ASSERT_EQUAL(page_of_report(path, &report, &none, "", &history, &err), 0);
    CU_ASSERT(!stat(path, &st) && st.st_size > 5000 && (st.st_mode & 0400));
    CU_ASSERT_EQUAL(page_of_report(sub, &report, &none, "", &history, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, sub));
    unlink(path);
    CU_ASSERT_EQUAL(rmdir(dir), 0); /* nothing else was left in it */
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"one move", test_one},          {"boxes", test_boxes},
        {"names", test_names},           {"a refused move", test_refused},
        {"several moves", test_several}, {"lies", test_lies},
        {"an older report", test_older}, {"bounds", test_bounds},
        {"the file", test_file},         CU_TEST_INFO_NULL,
    };

    return run_suite("page", tests);
}
