/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A forecast as people and programs see it: within 80 columns, and unknown values as such. */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "tests/unit/suite.h"
#include "tools/json.h"
#include "tools/outlook.h"

static char text[8000];

static const struct xf_outlook checked = {
    .taken = true,
    .total_s = 6.4,
    .downtime_s = 0.035,
    .bytes = 553648128,
    .rounds = 3,
    .mode = "hybrid",
    .why = "the link is fast enough to copy all of it ahead",
    .link_bytes_per_s = 117440512,
    .network = "xenbr0",
    .line_bytes_per_s = 125e6,
    .faster_network = "eth1",
    .faster_bytes_per_s = 1250e6,
    .look_s = 3.02,
    .dirty_pages_per_s = 1900,
    .working_set_pages = 5100,
    .guest_pages = 131072,
    .zero_part = 0.12,
    .slowdown = 0.00507,
    .memory_needed_kib = 530000,
    .memory_free_kib = 12u << 20,
};

static const char *contents(FILE *f)
{
    size_t n;

    fflush(f);
    rewind(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = 0;
    fclose(f);
    for (const char *c = text; *c; c += strcspn(c, "\n"), c += *c == '\n')
        CU_ASSERT_TRUE(strcspn(c, "\n") <= 80);
    return text;
}

static const char *shown(const struct xf_outlook *o)
{
    FILE *f = tmpfile();

    outlook_print(f, o);
    return contents(f);
}

static void has(const char *words)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(text, words));
    if (!strstr(text, words))
        printf("\"%s\" is not in\n%s", words, text);
}

static void test_check(void)
{
    struct xf_outlook o = checked;

    shown(&o);
    has("  forecast  6.4 s, downtime 35 ms, 528 MiB on the wire, 3 rounds\n");
    has("  mode      hybrid: the link is fast enough to copy all of it ahead\n");
    has("  guest     512 MiB, 12% of it zero; it wrote 1.9k pages in the first second");
    has("0.51%");
    has("  network   xenbr0 (1 Gbit/s), 112 MiB/s measured; eth1 (10 Gbit/s) lies idle");
    has("--migration-address eth1");
    has("  memory    518 MiB needed there, 12 GiB free\n");
    o.link_bytes_per_s = o.total_s = o.downtime_s = o.bytes = o.line_bytes_per_s = -1;
    o.network[0] = o.faster_network[0] = 0;
    o.zero_part = -1;
    o.look_s = 0;
    o.memory_free_kib = UINT64_MAX;
    shown(&o);
    has("  forecast  not known\n");
    has("  guest     512 MiB\n");
    has("  network   interface not known\n");
    has("  memory    518 MiB needed there\n");
    o.taken = false;
    CU_ASSERT_STRING_EQUAL(shown(&o), "");
    /* Everything at its longest. */
    o = checked;
    memset(o.network, 'n', sizeof(o.network) - 1);
    memset(o.faster_network, 'f', sizeof(o.faster_network) - 1);
    for (unsigned i = 0; i < sizeof(o.why) - 1; i++)
        o.why[i] = i % 8 ? 'w' : ' ';
    o.total_s = o.downtime_s = o.bytes = o.dirty_pages_per_s = o.slowdown = 1e30;
    o.working_set_pages = o.guest_pages = o.memory_needed_kib = UINT64_MAX;
    o.memory_free_kib = UINT64_MAX - 1;
    shown(&o);
}

static void test_beside(void)
{
    struct xf_report r = {
        .total_s = 4.6, .downtime_s = 0.028, .wire_bytes = 541065216, .forecast = checked};
    FILE *f = tmpfile();

    r.forecast.mode[0] = 0;
    r.forecast.at_s = 2.1;
    outlook_beside(f, &r);
    contents(f);
    has("  forecast  6.4 s, downtime 35 ms, 528 MiB on the wire, said after 2.1 s; it was");
    has("4.6 s, downtime 28 ms, 516 MiB on the wire\n");
    r.forecast.taken = false;
    f = tmpfile();
    outlook_beside(f, &r);
    CU_ASSERT_STRING_EQUAL(contents(f), "");
}

static struct json_object *json_of(const struct xf_report *r, struct json_object **whole)
{
    struct xf_err err = {0};
    FILE *f = tmpfile();
    size_t n;

    json_report(f, r, &err, "", NULL);
    fflush(f);
    rewind(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = 0;
    fclose(f);
    *whole = json_tokener_parse(text);
    return json_object_object_get(*whole, "forecast");
}

static double number(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;

    CU_ASSERT_TRUE(json_object_object_get_ex(o, key, &v));
    return v ? json_object_get_double(v) : -1;
}

static void test_json(void)
{
    struct xf_report r = {
        .total_s = 4.6, .downtime_s = 0.028, .wire_bytes = 5, .forecast = checked};
    struct json_object *whole, *o = json_of(&r, &whole), *actual;

    CU_ASSERT_DOUBLE_EQUAL(number(o, "total_s"), 6.4, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(number(o, "downtime_s"), 0.035, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(number(o, "bytes"), 553648128, 0.1);
    CU_ASSERT_DOUBLE_EQUAL(number(o, "link_bytes_per_s"), 117440512, 1);
    CU_ASSERT_DOUBLE_EQUAL(number(o, "dirty_pages_per_s"), 1900, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(number(o, "working_set_pages"), 5100, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(number(o, "memory_needed_kib"), 530000, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(number(o, "memory_free_kib"), 12u << 20, 1e-6);
    CU_ASSERT_STRING_EQUAL(json_object_get_string(json_object_object_get(o, "mode")), "hybrid");
    CU_ASSERT_STRING_EQUAL(json_object_get_string(json_object_object_get(o, "why")), checked.why);
    CU_ASSERT_STRING_EQUAL(json_object_get_string(json_object_object_get(o, "network")), "xenbr0");
    CU_ASSERT_FALSE(json_object_object_get_ex(o, "actual", NULL));
    json_object_put(whole);

    r.forecast.total_s = r.forecast.downtime_s = r.forecast.bytes = -1;
    r.forecast.link_bytes_per_s = -1;
    r.forecast.look_s = 0;
    r.forecast.network[0] = 0;
    r.forecast.memory_free_kib = UINT64_MAX;
    o = json_of(&r, &whole);
    CU_ASSERT(number(o, "total_s") < 0 && number(o, "downtime_s") < 0 && number(o, "bytes") < 0);
    CU_ASSERT(number(o, "link_bytes_per_s") < 0 && number(o, "network") < 0);
    CU_ASSERT(number(o, "working_set_pages") < 0 && number(o, "memory_free_kib") < 0);
    json_object_put(whole);

    r.forecast = checked;
    r.forecast.mode[0] = 0; /* of a move */
    r.forecast.at_s = 2;
    o = json_of(&r, &whole);
    actual = json_object_object_get(o, "actual");
    CU_ASSERT_DOUBLE_EQUAL(number(o, "at_s"), 2, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(number(actual, "total_s"), 4.6, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(number(actual, "downtime_s"), 0.028, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(number(actual, "bytes"), 5, 1e-6);
    CU_ASSERT_FALSE(json_object_object_get_ex(o, "network", NULL));
    json_object_put(whole);

    r.forecast.taken = false;
    CU_ASSERT_PTR_NULL(json_of(&r, &whole));
    json_object_put(whole);
}

int main(void)
{
    CU_TestInfo tests[] = {{"--check", test_check},
                           {"beside what happened", test_beside},
                           {"JSON", test_json},
                           CU_TEST_INFO_NULL};

    return run_suite("outlook", tests);
}
