/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What people and programs see of a move: progress within any width, quantities, wrapped
 * sentences, the report, JSON that any parser takes.
 */
#include <math.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <json-c/json.h>

#include "transport/json_in.h"
#include "tests/unit/suite.h"
#include "tools/format.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/report.h"
#include "transport/version.h"

static const struct xf_progress copying = {.phase = XF_PHASE_COPY,
                                           .round = 3,
                                           .round_pages = 65536,
                                           .round_done = 29491,
                                           .pages_sent = 300000,
                                           .wire_bytes = 1288490188,
                                           .elapsed_s = 12,
                                           .rate_bps = 851443712,
                                           .dirty_pps = 3072,
                                           .predicted_down_s = 0.123,
                                           .eta_s = 14};

static char text[20000];

static const char *line(unsigned width, const struct xf_progress *p)
{
    size_t n = progress_line(text, sizeof(text), width, p);

    CU_ASSERT_EQUAL(n, strlen(text));
    CU_ASSERT_TRUE(n <= width);
    return text;
}

static void test_line(void)
{
    struct xf_progress p = {.phase = XF_PHASE_CHECK, .predicted_down_s = -1, .eta_s = -1};

    CU_ASSERT_STRING_EQUAL(line(200, &copying),
                           "COPY round 3   45%  1.2 GiB sent  812 MiB/s  dirty 12 MiB/s  "
                           "downtime ~123 ms  ETA 14.0 s");
    CU_ASSERT_STRING_EQUAL(line(80, &copying), "COPY round 3   45%  812 MiB/s  dirty 12 MiB/s  "
                                               "downtime ~123 ms  ETA 14.0 s");
    CU_ASSERT_STRING_EQUAL(line(40, &copying), "COPY round 3   45%  ETA 14.0 s");
    CU_ASSERT_STRING_EQUAL(line(200, &p), "CHECK");
    p = copying;
    p.phase = XF_PHASE_SWITCH;
    p.round_done = p.round_pages * 2; /* never more than all of it */
    CU_ASSERT_STRING_EQUAL(line(40, &p), "SWITCH  100%  812 MiB/s  ETA 14.0 s");
    p.phase = XF_PHASE_PULL; /* has its own pages, and SWITCH's are through */
    p.left_out = 2000;
    p.missing = 1500;
    CU_ASSERT_STRING_EQUAL(line(40, &p), "PULL   25%  812 MiB/s  ETA 14.0 s");
    p.missing = 2001; /* a peer may say so */
    CU_ASSERT_STRING_EQUAL(line(40, &p), "PULL    0%  812 MiB/s  ETA 14.0 s");
    p.missing = 0;
    CU_ASSERT_STRING_EQUAL(line(40, &p), "PULL  100%  812 MiB/s  ETA 14.0 s");
    p.phase = XF_PHASE_FINISH;
    CU_ASSERT_STRING_EQUAL(line(40, &p), "FINISH  812 MiB/s  ETA 14.0 s");
    for (unsigned w = 0; w <= 200; w++)
        line(w, &copying);
    /* The buffer limits as well. */
    CU_ASSERT_TRUE(progress_line(text, 10, 200, &copying) < 10);
}

static void test_extremes(void)
{
    struct xf_progress p = {.phase = XF_PHASE_COPY,
                            .round = 4294967295u,
                            .round_pages = UINT64_MAX,
                            .round_done = UINT64_MAX,
                            .pages_sent = UINT64_MAX,
                            .wire_bytes = UINT64_MAX,
                            .rate_bps = 1e300,
                            .dirty_pps = INFINITY,
                            .predicted_down_s = 1e300,
                            .eta_s = INFINITY};

    for (unsigned w = 0; w <= 200; w += 10)
        line(w, &p);
    p.eta_s = p.rate_bps = p.predicted_down_s = NAN;
    line(200, &p);
}

static char *contents(FILE *f)
{
    size_t n;

    fflush(f);
    rewind(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static void test_log(void)
{
    FILE *f = tmpfile();
    struct progress_view v;
    struct xf_progress p = copying;
    unsigned lines = 0;

    progress_init(&v, f, false);
    for (p.elapsed_s = 0; p.elapsed_s < 20; p.elapsed_s += 0.1)
        progress_show(&v, &p); /* the first, then every 5 s */
    p.round++;
    progress_show(&v, &p);
    progress_show(&v, &p);
    p.phase = XF_PHASE_SWITCH;
    progress_show(&v, &p);
    progress_clear(&v);
    contents(f);
    for (char *c = text; *c; c++)
        lines += *c == '\n';
    CU_ASSERT_EQUAL(lines, 6);
    CU_ASSERT_PTR_NULL(strchr(text, '\r'));
}

static void test_in_place(void)
{
    FILE *f = tmpfile(); /* no terminal: 80 columns */
    struct progress_view v;
    struct xf_progress p = copying;

    progress_init(&v, f, true);
    progress_show(&v, &p);
    p.phase = XF_PHASE_FINISH;
    progress_show(&v, &p);
    progress_clear(&v);
    contents(f);
    CU_ASSERT_PTR_NULL(strchr(text, '\n'));
    /* Each stretch between two returns is blank or a line, and never wider than allowed. */
    for (char *c = text; *c; c += strcspn(c, "\r"), c += *c == '\r')
        CU_ASSERT_TRUE(strcspn(c, "\r") < 80);
    CU_ASSERT_EQUAL(text[strlen(text) - 1], '\r');
    CU_ASSERT_EQUAL(v.drawn, 0);
}

static void test_terminal(void)
{
    struct winsize ws = {.ws_row = 24, .ws_col = 40};
    struct xf_progress p = copying;
    struct progress_view v;
    int master, slave;
    size_t got = 0;
    ssize_t n;
    FILE *f;

    CU_ASSERT_EQUAL_FATAL(openpty(&master, &slave, NULL, NULL, &ws), 0);
    f = fdopen(slave, "w");
    progress_init(&v, f, true);
    progress_show(&v, &p);
    ws.ws_col = 12; /* the window shrinks */
    CU_ASSERT_EQUAL(ioctl(slave, TIOCSWINSZ, &ws), 0);
    progress_show(&v, &p);
    progress_clear(&v);
    fclose(f);
    /* A terminal hands on in pieces; EIO is its end. */
    while (got < sizeof(text) - 1 && (n = read(master, text + got, sizeof(text) - 1 - got)) > 0)
        got += (size_t)n;
    text[got] = '\0';
    CU_ASSERT_STRING_EQUAL(text, "\rCOPY round 3   45%  ETA 14.0 s\r" /* 39 columns at most */
                                 "\rCOPY round \r"                    /* 11 */
                                 "\r           \r");
    close(master);
}

static void test_quantities(void)
{
    char b[FMT_LEN];

    CU_ASSERT_STRING_EQUAL(fmt_bytes(b, 0), "0 B");
    CU_ASSERT_STRING_EQUAL(fmt_bytes(b, 1023), "1023 B");
    CU_ASSERT_STRING_EQUAL(fmt_bytes(b, 1024), "1.0 KiB");
    CU_ASSERT_STRING_EQUAL(fmt_bytes(b, 1048575), "1.0 MiB");
    CU_ASSERT_STRING_EQUAL(fmt_bytes(b, 10.4 * 1048576), "10 MiB");
    CU_ASSERT_STRING_EQUAL(fmt_bytes(b, -1), "0 B");
    CU_ASSERT_STRING_EQUAL(fmt_count(b, 999), "999");
    CU_ASSERT_STRING_EQUAL(fmt_count(b, 1000), "1.0k");
    CU_ASSERT_STRING_EQUAL(fmt_count(b, 12345678), "12M");
    CU_ASSERT_STRING_EQUAL(fmt_duration(b, 0.0021), "2.1 ms");
    CU_ASSERT_STRING_EQUAL(fmt_duration(b, 0.084), "84 ms");
    CU_ASSERT_STRING_EQUAL(fmt_duration(b, 0.9999), "1.0 s");
    CU_ASSERT_STRING_EQUAL(fmt_duration(b, 59.99), "1 min 0 s");
    CU_ASSERT_STRING_EQUAL(fmt_duration(b, 200), "3 min 20 s");
    CU_ASSERT_STRING_EQUAL(fmt_duration(b, 3700), "1 h 2 min");
    CU_ASSERT_STRING_EQUAL(fmt_duration(b, INFINITY), "0.0 ms");
}

static const char *wrapped(const char *s, unsigned width, unsigned column, unsigned indent)
{
    FILE *f = tmpfile();

    print_wrapped(f, s, width, column, indent);
    return contents(f);
}

static void test_wrapping(void)
{
    CU_ASSERT_STRING_EQUAL(wrapped("one two three", 80, 0, 4), "one two three\n");
    CU_ASSERT_STRING_EQUAL(wrapped("one two three", 8, 0, 2), "one two\n  three\n");
    CU_ASSERT_STRING_EQUAL(wrapped("one two three", 8, 4, 2), "one\n  two\n  three\n");
    CU_ASSERT_STRING_EQUAL(wrapped("a longerthanthewidth b", 5, 0, 0),
                           "a\nlongerthanthewidth\nb\n");
    CU_ASSERT_STRING_EQUAL(wrapped("it took 800 ms, good", 11, 0, 0), "it took\n800 ms,\ngood\n");
    CU_ASSERT_STRING_EQUAL(wrapped("say `xl list` there", 8, 0, 0), "say\n`xl list`\nthere\n");
    CU_ASSERT_STRING_EQUAL(wrapped("an `unclosed quote", 8, 0, 0), "an\n`unclosed quote\n");
    CU_ASSERT_STRING_EQUAL(wrapped("", 8, 0, 0), "\n");
}

static struct xf_report moved(void)
{
    struct xf_report r = {.outcome = XF_MOVED,
                          .domain = "web1",
                          .host = "host2",
                          .transport = "tcp",
                          .encrypted = true,
                          .cipher = "TLS1.3-AES-256-GCM",
                          .channels = 2,
                          .total_s = 12.3,
                          .phase_s = {0.4, 0, 1.1, 9.9, 0.1, 0, 0.8},
                          .downtime_s = 0.084,
                          .predicted_down_s = 0.09,
                          .switch_reason = "what is left fits into 300 ms",
                          .suspend_s = 0.012,
                          .last_dirty_s = 0.002,
                          .last_pages_s = 0.04,
                          .resume_s = 0.03,
                          .rounds = 4,
                          .rounds_s = 8.7,
                          .guest_pages = 262144,
                          .pages_sent = 300000,
                          .pages_zero = 1234,
                          .pages_skipped = 321,
                          .last_pages = 321,
                          .wire_bytes = 1234567890};
    return r;
}

static void test_report(void)
{
    struct xf_report r = moved();
    FILE *f = tmpfile();

    report_print(f, &r);
    contents(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "web1 moved to host2 in 12.3 s."));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "84 ms, predicted 90 ms"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "4 in 8.7 s; then the switch: what is left fits"));
    CU_ASSERT_PTR_NULL(strstr(text, "pull"));
    CU_ASSERT_PTR_NULL(strstr(text, "compress"));
    for (char *c = text; *c; c += strcspn(c, "\n"), c += *c == '\n')
        CU_ASSERT_TRUE(strcspn(c, "\n") <= 80);
    /* Everything at its longest still fits, in more lines. */
    memset(r.switch_reason, 'x', sizeof(r.switch_reason) - 1);
    memset(r.cipher, 'c', sizeof(r.cipher) - 1);
    for (int i = 0; i < XF_PHASES; i++)
        r.phase_s[i] = 360000;
    r.pages_sent = r.pages_zero = r.pages_skipped = r.guest_pages = r.wire_bytes = UINT64_MAX;
    r.encrypted = false;
    r.cipher[0] = 0;
    f = tmpfile();
    report_print(f, &r);
    contents(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "not encrypted"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "pull"));
}

static void test_report_pull(void)
{
    struct xf_report r = moved();
    struct xf_err none = {0};
    FILE *f = tmpfile();

    r.left_out = 1000;
    r.page = (struct xf_page_costs){1.5e-6, 9e-6, 12.25e-6, 20e-6, 2e-6, -1};
    r.network_held_s = 3.2;
    report_print(f, &r);
    contents(f);
    for (char *c = text; *c; c += strcspn(c, "\n"), c += *c == '\n')
        CU_ASSERT_TRUE(strcspn(c, "\n") <= 80);
    for (char *c = text, *to = text; (*to = *c == '\n' ? ' ' : *c); c++) /* lines are wrapped */
        to += *to != ' ' || to == text || to[-1] != ' ';
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "per page populate 1.5 us, evict 9 us, prep 12.2 us, "));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "source map 2 us"));
    CU_ASSERT_PTR_NULL(strstr(text, "source copy"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "3.2 s"));
    f = tmpfile();
    r.network_held_s = 0; /* it has none */
    json_report(f, &r, &none, "", NULL);
    contents(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"page_us\":{\"populate\":1.500000,\"evict\":9.000000,"
                                        "\"prep\":12.250000,\"copy\":20.000000,"
                                        "\"source_map\":2.000000,\"source_copy\":null}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"network_held_s\":null"));
}

static void test_report_links(void)
{
    struct xf_report r = moved();
    struct xf_err none = {0};
    FILE *f = tmpfile();

    json_report(f, &r, &none, "", NULL);
    contents(f);
    CU_ASSERT_PTR_NULL(strstr(text, "link_lost"));
    r.copy_reconnects = 1;
    r.copy_away_s = 5.25;
    r.left_out = 10;
    r.pull_reconnects = 2;
    r.pull_away_s = 140;
    r.pull_longest_s = 120;
    r.pull_recovery_s = 0.5;
    f = tmpfile();
    report_print(f, &r);
    contents(f);
    for (char *c = text, *to = text; (*to = *c == '\n' ? ' ' : *c); c++) /* lines are wrapped */
        to += *to != ' ' || to == text || to[-1] != ' ';
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "link lost once while memory was copied, and re-established; down for 5.2 s"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "link lost 2 times after the switch, and re-established; "
                                        "down for 2 min 20 s (at most 2 min 0 s at a time); pages "
                                        "arrived again within 500 ms of the first answer"));
    f = tmpfile();
    json_report(f, &r, &none, "", NULL);
    contents(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"link_lost\":{\"reconnects\":1,\"away_s\":5.250000}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"reconnects\":2,\"away_s\":140.000000,"
                                        "\"longest_away_s\":120.000000,\"recovery_s\":0.500000"));
}

static void test_report_compress(void)
{
    struct xf_report r = moved();
    FILE *f = tmpfile();

    r.pack_s = 0.001;
    report_print(f, &r);
    contents(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "compress  no page"));
    r.lz4_pages = 262144; /* 1 GiB, and another by zstd, became 512 MiB */
    r.zstd_pages = 262144;
    r.packed_bytes = 512u << 20;
    r.pack_s = 4.2;
    f = tmpfile();
    report_print(f, &r);
    contents(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "compress  262144 pages by LZ4, 262144 by zstd: 2.0 GiB"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "(25%)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "4.2 s"));
}

static void test_report_rdma(void)
{
    struct xf_report r = moved();
    FILE *f = tmpfile();

    strcpy(r.transport, "rdma");
    r.encrypted = false;
    r.cipher[0] = 0;
    r.work_requests = 4500;
    r.completions = 900;
    report_print(f, &r);
    contents(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "rdma, 2 channels, not encrypted\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "4500 work requests, 900 completions (15.0 and 3.0 per"));
    CU_ASSERT_PTR_NULL(strstr(text, "fallback"));
    /* Lost on the way. */
    strcpy(r.transport, "tcp");
    strcpy(r.cipher, "TLS 1.3");
    strcpy(r.fallback, "the RDMA connection was lost in round 2 of COPY (x), so it went over TCP");
    f = tmpfile();
    report_print(f, &r);
    contents(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "TLS 1.3 at the end, not encrypted before"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "fallback  the RDMA connection was lost in round 2"));
}

static void test_advice(void)
{
    static const struct {
        enum xf_outcome outcome;
        const char *says[4];
    } cases[] = {
        {XF_MOVED, {"web1 runs at host2"}},
        {XF_REFUSED, {"not touched"}},
        {XF_STAYED, {"never stopped", "runs on here"}},
        {XF_RESUMED, {"was resumed", "runs on here"}},
        {XF_UNKNOWN,
         {"`xl migrate-recover web1`", "`xl list`", "`xl destroy web1`",
          "`xl migrate-recover --resume web1`"}},
        {XF_PULLING, {"runs at host2", "must not be resumed", "`xl migrate-recover web1`"}},
        {XF_SUSPENDED, {"suspended here", "`xl migrate-recover --resume web1`"}},
    };
    struct xf_report r = moved();
    char advice[REPORT_ADVICE];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        r.outcome = cases[i].outcome;
        report_advice(advice, sizeof(advice), &r);
        for (int j = 0; j < 4 && cases[i].says[j]; j++)
            CU_ASSERT_PTR_NOT_NULL(strstr(advice, cases[i].says[j]));
    }
    r.outcome = XF_UNKNOWN;
    r.ran_there = true;
    report_advice(advice, sizeof(advice), &r);
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "web1 ran at host2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "`xl migrate-recover web1`"));
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "`xl destroy web1`"));
    CU_ASSERT_PTR_NULL(strstr(advice, "--resume")); /* its disks are newer than its memory */
    /* With all of its disks at the switch here as well there is a choice. */
    r.nr_disks = 2;
    snprintf(r.disks[0].target, sizeof(r.disks[0].target), "/srv/b/web1.img");
    report_advice(advice, sizeof(advice), &r);
    CU_ASSERT_PTR_NULL(strstr(advice, "--as-of-switch"));
    r.all_disks = true;
    report_advice(advice, sizeof(advice), &r);
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "`xl migrate-recover --as-of-switch web1`"));
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "(/srv/b/web1.img and others)"));
    r.nr_disks = 0;
    r.outcome = XF_PULLING;
    r.hopeless = true;
    report_advice(advice, sizeof(advice), &r);
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "`xl destroy web1` there"));
    CU_ASSERT_PTR_NULL(strstr(advice, "migrate-recover")); /* it would bring nothing */
    r.ran_twice = true;                                    /* and then nothing else matters */
    report_advice(advice, sizeof(advice), &r);
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "both may have written its disks"));
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "`xl destroy web1` on both hosts"));
    CU_ASSERT_PTR_NULL(strstr(advice, "migrate-recover"));
    r.outcome = XF_UNKNOWN;
    r.hopeless = false;
    report_advice(advice, sizeof(advice), &r);
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "both may have written its disks"));
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "`xl destroy web1` here"));
    r.outcome = XF_RESUMED;
    r.ran_twice = false;
    report_advice(advice, sizeof(advice), &r);
    CU_ASSERT_PTR_NULL(strstr(advice, "on_reboot"));
    r.monitor_lost = true;
    report_advice(advice, sizeof(advice), &r);
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "runs on here"));
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "on_reboot"));
    CU_ASSERT_PTR_NOT_NULL(strstr(advice, "`xl migrate --tcp -s '' web1 'xl migrate-receive'`"));
    r.outcome = XF_UNKNOWN;
    r.monitor_lost = r.ran_there = false;
    memset(r.domain, 'd', sizeof(r.domain) - 1);
    memset(r.host, 'h', sizeof(r.host) - 1);
    report_advice(advice, sizeof(advice), &r);
    CU_ASSERT_TRUE(strlen(advice) + 1 < sizeof(advice)); /* nothing cut off */
    r.ran_there = true;
    r.nr_disks = XF_MOVE_DISKS_MAX;
    memset(r.disks[0].target, 't', sizeof(r.disks[0].target) - 1);
    report_advice(advice, sizeof(advice), &r);
    CU_ASSERT_TRUE(strlen(advice) + 1 < sizeof(advice));
}

/* The one line in `f`, parsed strictly. */
static struct json_object *reread(FILE *f)
{
    struct json_tokener *tok = json_tokener_new();
    struct json_object *o;
    struct xf_json strict;
    size_t n;

    contents(f);
    n = strlen(text);
    CU_ASSERT_TRUE_FATAL(n > 0);
    CU_ASSERT_EQUAL(text[n - 1], '\n');
    CU_ASSERT_EQUAL(strcspn(text, "\n"), n - 1);
    /* In two steps: json_in.c says why. */
    CU_ASSERT_EQUAL(xf_json_open(&strict, text, n, 32, "the line", NULL), 0);
    xf_json_close(&strict);
    json_tokener_set_flags(tok, JSON_TOKENER_VALIDATE_UTF8);
    o = json_tokener_parse_ex(tok, text, (int)n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    json_tokener_free(tok);
    return o;
}

static const char *str(struct json_object *o, const char *key)
{
    return json_object_get_string(json_object_object_get(o, key));
}

static void test_json_progress(void)
{
    struct xf_progress p = copying;
    struct json_object *o;
    FILE *f = tmpfile();

    p.eta_s = -1;
    p.rate_bps = NAN;
    p.wire_bytes = UINT64_MAX;
    json_progress(f, &p);
    o = reread(f);
    CU_ASSERT_STRING_EQUAL(str(o, "type"), "progress");
    CU_ASSERT_STRING_EQUAL(str(o, "phase"), "COPY");
    CU_ASSERT_EQUAL(json_object_get_int(json_object_object_get(o, "round")), 3);
    CU_ASSERT_EQUAL(json_object_get_uint64(json_object_object_get(o, "wire_bytes")), UINT64_MAX);
    CU_ASSERT_DOUBLE_EQUAL(
        json_object_get_double(json_object_object_get(o, "predicted_downtime_s")), 0.123, 1e-9);
    CU_ASSERT_TRUE(json_object_object_get_ex(o, "eta_s", NULL));
    CU_ASSERT_PTR_NULL(json_object_object_get(o, "eta_s"));
    CU_ASSERT_PTR_NULL(json_object_object_get(o, "rate_bytes_per_s"));
    json_object_put(o);
}

static void test_json_strings(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"quote \" back \\ tab \t line \n bell \a", "quote \" back \\ tab   line   bell ?"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\xa2",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\xa2"},
        {"latin1 \xfc", "latin1 ?"},
        {"cut \xe2\x82", "cut "},
        {"overlong \xc0\xaf \xe0\x80\xaf", "overlong ?? ???"},
        {"surrogate \xed\xa0\x80", "surrogate ???"},
        {"beyond \xf4\x90\x80\x80 \xff", "beyond ???? ?"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        FILE *f = tmpfile();
        struct json_object *o;
        json_note(f, cases[i].in);
        o = reread(f);
        CU_ASSERT_STRING_EQUAL(str(o, "type"), "note");
        CU_ASSERT_STRING_EQUAL(str(o, "text"), cases[i].out);
        json_object_put(o);
    }
}

static void test_json_rest(void)
{
    struct xf_finding finding = {
        .severity = XF_REFUSAL, .code = "memory", .text = "too little of it"};
    struct xf_err err = {.num = 104, .text = "the connection broke"};
    struct xf_report r = moved();
    struct json_object *o;
    FILE *f = tmpfile();

    json_finding(f, &finding);
    o = reread(f);
    CU_ASSERT_STRING_EQUAL(str(o, "type"), "finding");
    CU_ASSERT_STRING_EQUAL(str(o, "severity"), "refusal");
    CU_ASSERT_STRING_EQUAL(str(o, "code"), "memory");
    json_object_put(o);

    f = tmpfile();
    json_error(f, &err);
    o = reread(f);
    CU_ASSERT_STRING_EQUAL(str(o, "type"), "error");
    CU_ASSERT_STRING_EQUAL(str(o, "text"), err.text);
    CU_ASSERT_EQUAL(json_object_get_int(json_object_object_get(o, "errno")), 104);
    json_object_put(o);

    f = tmpfile();
    json_report(f, &r, &err, "advice", NULL);
    o = reread(f);
    CU_ASSERT_STRING_EQUAL(str(o, "type"), "report");
    CU_ASSERT_STRING_EQUAL(str(o, "xenferry"), xf_version());
    CU_ASSERT_STRING_EQUAL(str(o, "outcome"), "moved");
    CU_ASSERT_DOUBLE_EQUAL(json_object_get_double(json_object_object_get(
                               json_object_object_get(o, "phase_s"), "COPY")),
                           9.9, 1e-9);
    CU_ASSERT_FALSE(json_object_object_get_ex(o, "error", NULL));
    CU_ASSERT_FALSE(json_object_get_boolean(json_object_object_get(o, "ran_twice")));
    CU_ASSERT_TRUE(json_object_object_get_ex(o, "monitor_lost", NULL));
    json_object_put(o);

    r.outcome = XF_UNKNOWN;
    r.ran_twice = r.monitor_lost = true;
    r.downtime_s = -1;
    f = tmpfile();
    json_report(f, &r, &err, "look there", NULL);
    o = reread(f);
    CU_ASSERT_STRING_EQUAL(str(o, "outcome"), "unknown");
    CU_ASSERT_EQUAL(json_object_get_int(json_object_object_get(o, "exit_status")), 5);
    CU_ASSERT_STRING_EQUAL(str(o, "error"), err.text);
    CU_ASSERT_STRING_EQUAL(str(o, "advice"), "look there");
    CU_ASSERT_TRUE(json_object_get_boolean(json_object_object_get(o, "ran_twice")));
    CU_ASSERT_TRUE(json_object_get_boolean(json_object_object_get(o, "monitor_lost")));
    CU_ASSERT_PTR_NULL(json_object_object_get(o, "downtime_s"));
    json_object_put(o);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a line in any width", test_line},
        {"extreme values", test_extremes},
        {"lines for a log", test_log},
        {"a line in place", test_in_place},
        {"a line on a terminal", test_terminal},
        {"quantities", test_quantities},
        {"wrapping", test_wrapping},
        {"report", test_report},
        {"report: PULL", test_report_pull},
        {"the report of lost links", test_report_links},
        {"report of compression", test_report_compress},
        {"report, RDMA", test_report_rdma},
        {"advice", test_advice},
        {"JSON: progress", test_json_progress},
        {"JSON: strings", test_json_strings},
        {"JSON: the rest", test_json_rest},
        CU_TEST_INFO_NULL,
    };
    return run_suite("progress", tests);
}
