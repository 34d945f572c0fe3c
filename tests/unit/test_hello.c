/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hello and the reply of the bootstrap: round trip, and every way in which a peer's
 * text can be wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "libxl-ext/peer/hello.h"
#include "tests/unit/hello_seeds.h"
#include "tests/unit/suite.h"
#include "transport/version.h"
#include "transport/wire.h"

static struct xf_hello hello;
static struct xf_reply reply;
static struct xf_err err;

static int parse_hello(const char *text, size_t len)
{
    char *exact = malloc(len ? len : 1); /* so that one byte too far shows */
    int rc;

    memcpy(exact, text, len);
    xf_clear(&err);
    rc = xf_hello_parse(exact, len, &hello, &err);
    free(exact);
    if (rc && (rc != -1 || !err.num || !err.text[0]))
        CU_FAIL("failed without a reason");
    if (!rc && err.num)
        CU_FAIL("a reason without a failure");
    if (!rc)
        xf_hello_free(&hello);
    return rc;
}

static int parse_reply(const char *text, size_t len)
{
    char *exact = malloc(len ? len : 1);
    int rc;

    memcpy(exact, text, len);
    xf_clear(&err);
    rc = xf_reply_parse(exact, len, &reply, &err);
    free(exact);
    if (rc && (rc != -1 || !err.num || !err.text[0]))
        CU_FAIL("failed without a reason");
    return rc;
}

/* Parse the seed with one field replaced by `value` (JSON), or left out if that is NULL. */
static int with(bool is_hello, const char *field, const char *value)
{
    json_object *o = json_tokener_parse(is_hello ? SEED_HELLO : SEED_REPLY);
    const char *text;
    int rc;

    json_object_object_del(o, field);
    if (value) /* as raw text, whatever it is */
        json_object_object_add(o, field, json_tokener_parse(value));
    text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    rc = is_hello ? parse_hello(text, strlen(text)) : parse_reply(text, strlen(text));
    json_object_put(o);
    return rc;
}

static void refused(bool is_hello, const char *field, const char *value)
{
    int rc = with(is_hello, field, value);

    CU_ASSERT_EQUAL(rc, -1);
    CU_ASSERT(err.num == EPROTO);
    if (rc != -1 || err.num != EPROTO)
        fprintf(stderr, "%s = %.60s: %d %s\n", field, value ? value : "nothing", rc, err.text);
}

static void taken(bool is_hello, const char *field, const char *value)
{
    int rc = with(is_hello, field, value);

    CU_ASSERT_EQUAL(rc, 0);
    if (rc)
        fprintf(stderr, "%s = %.60s: %s\n", field, value, err.text);
}

/* A JSON string of n characters. */
static const char *text_of(size_t n, char c)
{
    static char buf[200000];

    buf[0] = '"';
    memset(buf + 1, c, n);
    memcpy(buf + 1 + n, "\"", 2);
    return buf;
}

static void test_hello_round_trip(void)
{
    struct xf_hello h = {.domain = "d\xc3\xbcne \"1\" \\",
                         .uuid = "u",
                         .boot_id = "b",
                         .channels = 16,
                         .encrypt = true,
                         .check_only = true,
                         .late_devices = true,
                         .qemu = "999.999.999-rc",
                         .find_only = true,
                         .copy_domid = 32751,
                         .transport = XF_TRANSPORT_AUTO,
                         .seal = true,
                         .rdma_buffer_mib = 1024,
                         .reconnect_s = 77,
                         .cold = true,
                         .rdma = {.state = XF_RDMA_MEMLOCK, .why = "\"32\" KiB"},
                         .need_kib = 1ull << 40,
                         .xen_major = 4,
                         .xen_minor = 19};
    uint8_t cpuid[300], msrs[16];
    struct xf_need needs[XF_NEEDS_MAX];
    char *json;

    memset(needs, 0, sizeof(needs));
    for (unsigned i = 0; i < XF_NEEDS_MAX; i++) { /* the longest that there are */
        needs[i].kind = (enum xf_need_kind)(i % XF_NEEDS);
        memset(needs[i].what, i & 1 ? '/' : '"', sizeof(needs[i].what) - 1);
        memset(needs[i].of, 'o', sizeof(needs[i].of) - 1);
    }
    h.needs = needs;
    h.nr_needs = XF_NEEDS_MAX;

    for (unsigned i = 0; i < sizeof(h.key); i++)
        h.key.bytes[i] = (uint8_t)(i * 37);
    memset(msrs, 0xff, sizeof(msrs));
    for (unsigned i = 0; i < sizeof(cpuid); i++)
        cpuid[i] = (uint8_t)i;
    h.cpuid = cpuid;
    h.cpuid_len = sizeof(cpuid);
    h.msrs = msrs;
    h.msr_len = sizeof(msrs);
    json = xf_hello_format(&h);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT(strlen(json) <= XF_FRAME_MAX);
    CU_ASSERT_EQUAL_FATAL(xf_hello_parse(json, strlen(json), &hello, &err), 0);
    CU_ASSERT(hello.build.newest == XF_WIRE_VERSION && hello.build.oldest == XF_WIRE_OLDEST);
    CU_ASSERT_STRING_EQUAL(hello.build.release, xf_version());
    CU_ASSERT_STRING_EQUAL(hello.domain, h.domain);
    CU_ASSERT_STRING_EQUAL(hello.uuid, "u");
    CU_ASSERT_STRING_EQUAL(hello.boot_id, "b");
    CU_ASSERT_EQUAL(memcmp(&hello.key, &h.key, sizeof(h.key)), 0);
    CU_ASSERT(hello.channels == 16 && hello.encrypt && !hello.leave_paused && hello.check_only);
    CU_ASSERT(hello.find_only && hello.copy_domid == 32751 && !hello.pull);
    CU_ASSERT(hello.reconnect_s == 77 && hello.cold);
    CU_ASSERT_EQUAL(hello.need_kib, 1ull << 40);
    CU_ASSERT(hello.transport == XF_TRANSPORT_AUTO && hello.seal && hello.rdma_buffer_mib == 1024);
    CU_ASSERT_EQUAL(memcmp(&hello.rdma, &h.rdma, sizeof(h.rdma)), 0);
    CU_ASSERT(hello.late_devices && !strcmp(hello.qemu, h.qemu));
    CU_ASSERT(hello.xen_major == 4 && hello.xen_minor == 19);
    CU_ASSERT(hello.cpuid_len == sizeof(cpuid) && !memcmp(hello.cpuid, cpuid, sizeof(cpuid)));
    CU_ASSERT(hello.msr_len == sizeof(msrs) && !memcmp(hello.msrs, msrs, sizeof(msrs)));
    CU_ASSERT(hello.nr_needs == XF_NEEDS_MAX && !memcmp(hello.needs, needs, sizeof(needs)));
    xf_hello_free(&hello);
    CU_ASSERT(!hello.cpuid && !hello.msrs && !hello.needs && hello.key.bytes[1] == 0);
    xf_hello_free(&hello);
    free(json);
}

static void test_reply_round_trip(void)
{
    struct xf_reply r = {.build = {.newest = 65535, .oldest = 3, .release = "10.11.12-rc1"},
                         .boot_id = "b",
                         .port = 65535,
                         .rdma_port = 1,
                         .rdma = {.state = XF_RDMA_READY, .nr_addresses = XF_RDMA_ADDRS_MAX},
                         .hvm = true,
                         .cold = true,
                         .pci = true,
                         .cpu_words = true,
                         .large = true,
                         .has_cpu = true,
                         .cpu = {.vendor = "GenuineIntel",
                                 .most = {0x7fffffff, UINT32_MAX, 0x80000021, {1, 2, 0xffffffff}},
                                 .usual.words = {[XF_CPU_WORDS - 1] = 0x80000001}},
                         .probe = true,
                         .free_kib = 1ull << 40,
                         .paging = true,
                         .moves = 3,
                         .moves_limit = 5,
                         .codecs = XF_CODEC_BIT(XF_CODEC_LZ4) | XF_CODEC_BIT(XF_CODEC_ZSTD),
                         .nr_addresses = 16,
                         .nr_findings = XF_FINDINGS_MAX};
    char *json;

    for (unsigned i = 0; i < XF_ADDRESSES_MAX; i++)
        snprintf(r.addresses[i], XF_ADDR_LEN, "10.0.0.%u", i);
    for (unsigned i = 0; i < XF_RDMA_ADDRS_MAX; i++)
        snprintf(r.rdma.addresses[i], XF_ADDR_LEN, "fd00::%u", i);
    snprintf(r.addresses[3], XF_ADDR_LEN, "fe80::abcd:ef%%xenbr0.1-a");
    for (unsigned i = 0; i < XF_FINDINGS_MAX; i++) {
        r.findings[i].severity = (enum xf_severity)(i % 3);
        snprintf(r.findings[i].code, sizeof(r.findings[i].code), "code%u", i);
        memset(r.findings[i].text, 'a', sizeof(r.findings[i].text) - 1);
    }
    json = xf_reply_format(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT_EQUAL_FATAL(parse_reply(json, strlen(json)), 0);
    CU_ASSERT_EQUAL(memcmp(&r, &reply, sizeof(r)), 0);
    free(json);
}

static void test_seeds(void)
{
    CU_ASSERT_EQUAL(parse_hello(SEED_HELLO, strlen(SEED_HELLO)), 0);
    CU_ASSERT_EQUAL(parse_reply(SEED_REPLY, strlen(SEED_REPLY)), 0);
    for (size_t i = 0; i < strlen(SEED_HELLO); i++)
        if (parse_hello(SEED_HELLO, i) != -1)
            CU_FAIL("a hello that is cut off was taken");
    for (size_t i = 0; i < strlen(SEED_REPLY); i++)
        if (parse_reply(SEED_REPLY, i) != -1)
            CU_FAIL("a reply that is cut off was taken");
    /* A later version may add fields. */
    taken(true, "later", "{\"gid\":[1,2]}");
    taken(false, "later", "null");
}

static void test_fields(void)
{
    static const char *const hello_fields[] = {
        "version",    "domain",    "uuid",      "boot_id",   "key",          "channels",
        "encrypt",    "transport", "seal",      "rdma",      "leave_paused", "rdma_buffer_mib",
        "check_only", "need_kib",  "xen_major", "xen_minor", "cpuid",        "msrs"};
    static const char *const reply_fields[] = {"version",   "boot_id", "port",     "paging",
                                               "rdma_port", "rdma",    "findings", "addresses"};
    static const char *const wrong[] = {NULL, "null", "1.5", "{}", "[[]]", "{\"a\":1}"};

    for (unsigned w = 0; w < sizeof(wrong) / sizeof(wrong[0]); w++) {
        for (unsigned i = 0; i < sizeof(hello_fields) / sizeof(hello_fields[0]); i++)
            refused(true, hello_fields[i], wrong[w]);
        for (unsigned i = 0; i < sizeof(reply_fields) / sizeof(reply_fields[0]); i++)
            refused(false, reply_fields[i], wrong[w]);
    }
    /* Those that may be missing are still of their type. */
    for (unsigned w = 0; w < sizeof(wrong) / sizeof(wrong[0]); w++) {
        CU_ASSERT_EQUAL(with(true, "pull", wrong[w]), w ? -1 : 0);
        CU_ASSERT_EQUAL(with(true, "find_only", wrong[w]), w ? -1 : 0);
        CU_ASSERT_EQUAL(with(true, "cpu_only", wrong[w]), w ? -1 : 0);
        CU_ASSERT_EQUAL(with(false, "cpu_words", wrong[w]), w ? -1 : 0);
        CU_ASSERT_EQUAL(with(false, "cpu", wrong[w]), w ? -1 : 0);
        CU_ASSERT_EQUAL(with(true, "copy_domid", wrong[w]), w ? -1 : 0);
        CU_ASSERT_EQUAL(with(true, "needs", wrong[w]), w ? -1 : 0);
        CU_ASSERT_EQUAL(with(true, "pci", wrong[w]), w ? -1 : 0);
        CU_ASSERT_EQUAL(with(false, "pci", wrong[w]), w ? -1 : 0);
        CU_ASSERT_EQUAL(with(true, "reconnect_s", wrong[w]), w ? -1 : 0);
    }
    CU_ASSERT_EQUAL(with(true, "reconnect_s", NULL), 0);
    CU_ASSERT_EQUAL(hello.reconnect_s, 60);
    /* numbers as texts and the other way round */
    refused(true, "channels", "\"2\"");
    refused(true, "encrypt", "1");
    refused(true, "encrypt", "\"true\"");
    refused(true, "domain", "7");
    refused(true, "key", "7");
    refused(false, "port", "true");
}

/* What a peer says of its versions: nothing, if it is of version 1. */
static void test_builds(void)
{
    for (unsigned h = 0; h < 2; h++) {
        const struct xf_build *b = h ? &hello.build : &reply.build;

        CU_ASSERT_EQUAL(with(h, "protocol", NULL), h ? -1 : 0); /* but "oldest" */
        CU_ASSERT_EQUAL(parse_reply(SEED_REPLY, strlen(SEED_REPLY)), 0);
        CU_ASSERT(reply.build.newest == 1 && reply.build.oldest == 1 && !reply.build.release[0]);
        taken(h, "xenferry", "\"1.2.3\"");
        CU_ASSERT_STRING_EQUAL(b->release, "1.2.3");
        taken(h, "xenferry", "\"\\u001b[2J\"");
        CU_ASSERT_STRING_EQUAL(b->release, "?[2J"); /* for people */
        taken(h, "xenferry", text_of(31, 'x'));
        refused(h, "xenferry", text_of(32, 'x'));
        refused(h, "xenferry", "7");
        refused(h, "xenferry", "null");
    }
    CU_ASSERT_EQUAL(with(true, "xenferry", NULL), 0);
    CU_ASSERT(!hello.build.release[0] && hello.build.newest == 2 && hello.build.oldest == 1);
    refused(true, "oldest", NULL);
    refused(true, "oldest", "0");
    refused(true, "oldest", "3"); /* newer than the newest */
    refused(true, "oldest", "-1");
    refused(true, "protocol", "0");
    refused(true, "protocol", "65536");
    refused(true, "protocol", "\"2\"");
    refused(true, "protocol", "null");
    taken(true, "protocol", "65535");
    CU_ASSERT(hello.build.newest == 65535 && hello.build.oldest == 1);
    refused(false, "oldest", "1"); /* with "protocol", or not at all */
    refused(false, "protocol", "1");
}

static void test_ranges(void)
{
    refused(true, "version", "2");
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "same Xenferry"));
    refused(true, "version", "-1");
    refused(true, "version", "4294967297");
    refused(true, "channels", "0");
    refused(true, "channels", "17");
    refused(true, "channels", "4294967297");
    refused(true, "channels", "-1");
    taken(true, "channels", "16");
    refused(true, "reconnect_s", "-1");
    refused(true, "reconnect_s", "3601");
    taken(true, "reconnect_s", "3600");
    refused(true, "need_kib", "-1");
    taken(true, "need_kib", "9223372036854775807");
    refused(true, "copy_domid", "-1");
    refused(true, "copy_domid", "32768");
    refused(true, "xen_major", "1001");
    refused(true, "xen_minor", "-1");
    refused(false, "free_kib", "-1");
    refused(false, "free_kib", "\"1\"");
    taken(false, "free_kib", "0");
    CU_ASSERT_EQUAL(reply.free_kib, 0);
    taken(false, "free_kib", "9223372036854775807");
    taken(false, "free_kib", NULL); /* it did not say */
    CU_ASSERT_EQUAL(reply.free_kib, XF_KIB_UNKNOWN);
    CU_ASSERT_FALSE(reply.probe);
    refused(false, "probe", "1");
    taken(false, "probe", "true");
    CU_ASSERT_TRUE(reply.probe);
    refused(false, "port", "65536");
    refused(false, "port", "-1");
    taken(false, "port", "0"); /* check only: nobody listens */
    refused(false, "findings", "[{\"severity\":3,\"code\":\"a\",\"text\":\"b\"}]");
    refused(false, "findings", "[{\"severity\":-1,\"code\":\"a\",\"text\":\"b\"}]");
    refused(false, "findings", "[{\"severity\":0,\"code\":\"a\"}]");
    refused(false, "findings", "[7]");
}

static void test_texts(void)
{
    char big[6000];
    size_t n;

    refused(true, "domain", "\"\"");
    taken(true, "domain", text_of(127, 'x'));
    refused(true, "domain", text_of(128, 'x'));
    refused(true, "uuid", text_of(40, 'x'));
    refused(true, "boot_id", text_of(40, 'x'));
    refused(true, "domain", "\"a\\nb\"");
    refused(true, "domain", "\"a\\u0000b\"");
    refused(true, "domain", "\"a\\u001b[2Jb\"");
    refused(true, "domain", "\"a\\u007fb\"");
    refused(false, "findings", "[{\"severity\":0,\"code\":\"\\u001b[31m\",\"text\":\"a\"}]");
    taken(false, "findings", "[{\"severity\":0,\"code\":\"a\",\"text\":\"\\u001b[31m\"}]");
    CU_ASSERT_STRING_EQUAL(reply.findings[0].text, "?[31m"); /* for people: cleaned */
    n = (size_t)sprintf(big, "[{\"severity\":0,\"code\":\"a\",\"text\":%s}]", text_of(400, 'x'));
    CU_ASSERT(n < sizeof(big));
    refused(false, "findings", big);
    n = (size_t)sprintf(big, "[{\"severity\":0,\"code\":%s,\"text\":\"\"}]", text_of(24, 'x'));
    CU_ASSERT(n < sizeof(big));
    refused(false, "findings", big);
}

static void test_blobs(void)
{
    refused(true, "key", text_of(62, 'a'));
    refused(true, "key", text_of(66, 'a'));
    refused(true, "key", text_of(63, 'a'));
    refused(true, "key", "\"\"");
    refused(true, "key", text_of(64, 'g'));
    refused(true, "key", text_of(64, 'A')); /* one way to write it is enough */
    refused(true, "cpuid", "\"012\"");
    refused(true, "cpuid", "\"0x\"");
    refused(true, "cpuid", "\"0\\u00001\"");
    taken(true, "cpuid", text_of(131072, '0'));
    refused(true, "cpuid", text_of(131074, '0'));
    refused(true, "msrs", text_of(131074, '0'));
    taken(true, "msrs", "\"ff\"");
}

static void test_addresses(void)
{
    char many[1000] = "[";

    taken(false, "addresses", "[]");
    taken(false, "addresses", "[\"::ffff:192.0.2.1\"]");
    taken(false, "addresses", "[\"fe80::1%xenbr0\"]");
    taken(false, "addresses", "[\"fe80::1%3\"]");
    refused(false, "addresses", "[\"\"]");
    refused(false, "addresses", "[7]");
    refused(false, "addresses", "[\"evil.example\"]");
    refused(false, "addresses", "[\"192.0.2.1 \"]");
    refused(false, "addresses", "[\"192.0.2.1\\u0000\"]");
    refused(false, "addresses", "[\"localhost\"]");
    refused(false, "addresses", "[\"dead.beef\"]"); /* a name, of hexadecimal digits */
    refused(false, "addresses", "[\"192.0.2.1%eth0\"]");
    /* A percent sign is no licence: only a zone may follow it, and only an address come before. */
    refused(false, "addresses", "[\"evil.example%eth0\"]");
    refused(false, "addresses", "[\"fe80::1%\\u001b[2J\"]");
    refused(false, "addresses", "[\"fe80::1%eth0 x\"]");
    refused(false, "addresses", "[\"%eth0\"]");
    refused(false, "addresses", "[\"fe80::1%a%b\"]");
    refused(false, "addresses", "[\"fe80::1%\"]");
    for (int i = 0; i < 17; i++)
        sprintf(many + strlen(many), "%s\"10.0.0.1\"", i ? "," : "");
    strcat(many, "]");
    refused(false, "addresses", many);
    snprintf(many, sizeof(many), "[%s]", text_of(64, '1'));
    refused(false, "addresses", many);
}

static void test_rdma(void)
{
#define SIDE(state, why, addresses)                                                                \
    "{\"state\":\"" state "\",\"why\":\"" why "\",\"addresses\":[" addresses "]}"
    char big[1000];

    for (int h = 0; h < 2; h++) {
        for (int i = 0; i < XF_RDMA_STATES; i++) {
            snprintf(big, sizeof(big), SIDE("%s", "x", "\"10.0.0.1\""), xf_rdma_state_word(i));
            taken(h, "rdma", big);
            CU_ASSERT_EQUAL(h ? hello.rdma.state : reply.rdma.state, (enum xf_rdma_state)i);
        }
        taken(h, "rdma", SIDE("down", "it is down", ""));
        refused(h, "rdma", SIDE("ready", "", "")); /* where, then? */
        refused(h, "rdma", SIDE("fine", "", "\"10.0.0.1\""));
        refused(h, "rdma", SIDE("?", "", "\"10.0.0.1\""));
        refused(h, "rdma", SIDE("", "", "\"10.0.0.1\""));
        refused(h, "rdma", SIDE("registration-and-more", "", ""));
        taken(h, "rdma", SIDE("down", "\\u001b[2J", ""));
        CU_ASSERT_STRING_EQUAL(h ? hello.rdma.why : reply.rdma.why, "?[2J");
        refused(h, "rdma", SIDE("ready", "", "\"evil.example\""));
        refused(h, "rdma", SIDE("ready", "", "7"));
        snprintf(big, sizeof(big), SIDE("down", "%.*s", ""), 319, text_of(400, 'x') + 1);
        taken(h, "rdma", big);
        snprintf(big, sizeof(big), SIDE("down", "%.*s", ""), 320, text_of(400, 'x') + 1);
        refused(h, "rdma", big);
        strcpy(big, "{\"state\":\"ready\",\"why\":\"\",\"addresses\":[");
        for (int i = 0; i <= XF_RDMA_ADDRS_MAX; i++)
            strcat(big, i ? ",\"10.0.0.1\"" : "\"10.0.0.1\"");
        strcat(big, "]}");
        refused(h, "rdma", big);
    }
    refused(true, "transport", "\"stock\"");
    refused(true, "transport", "\"\"");
    taken(true, "transport", "\"rdma\"");
    taken(true, "rdma_buffer_mib", "1024");
    refused(true, "rdma_buffer_mib", "1025");
    refused(true, "rdma_buffer_mib", "-1");
    refused(false, "rdma_port", "65536");
    refused(false, "rdma_port", "-1");
}

/* What came with device models, and what a peer that knows of none leaves out. */
static void test_device_model(void)
{
    taken(true, "qemu", "\"8.0.0\"");
    CU_ASSERT_STRING_EQUAL(hello.qemu, "8.0.0");
    taken(true, "qemu", NULL);
    CU_ASSERT_STRING_EQUAL(hello.qemu, "");
    refused(true, "qemu", text_of(16, '7'));
    refused(true, "qemu", "\"7.2\\n\"");
    refused(true, "qemu", "7");
    taken(true, "late_devices", NULL);
    CU_ASSERT_FALSE(hello.late_devices);
    refused(true, "late_devices", "1");
    taken(false, "hvm", NULL);
    CU_ASSERT_FALSE(reply.hvm);
    taken(false, "hvm", "true");
    CU_ASSERT_TRUE(reply.hvm);
    refused(false, "hvm", "\"yes\"");
}

/* A peer may know no way to compress, or ways that we do not; not nonsense. */
static void test_compress(void)
{
    taken(false, "later", "null");
    CU_ASSERT_EQUAL(reply.codecs, 0);
    taken(false, "compress", "[]");
    CU_ASSERT_EQUAL(reply.codecs, 0);
    taken(false, "compress", "[\"zstd\"]");
    CU_ASSERT_EQUAL(reply.codecs, XF_CODEC_BIT(XF_CODEC_ZSTD));
    CU_ASSERT_FALSE(reply.unpacks_in_pull);
    taken(false, "compress", "[\"lz4\",\"pull\"]");
    CU_ASSERT(reply.codecs == XF_CODEC_BIT(XF_CODEC_LZ4) && reply.unpacks_in_pull);
    taken(false, "compress", "[\"lzma\",\"lz4\",\"lz4\",\"\"]");
    CU_ASSERT_EQUAL(reply.codecs, XF_CODEC_BIT(XF_CODEC_LZ4));
    refused(false, "compress", "\"lz4\"");
    refused(false, "compress", "true");
    refused(false, "compress", "null");
    refused(false, "compress", "[1]");
    refused(false, "compress", "[null]");
    refused(false, "compress", "[[\"lz4\"]]");
    refused(
        false, "compress",
        "[\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"]");
}

/* What the channels are made from, over either transport. */
static void test_link_cfg(void)
{
    struct xf_hello h = {.agreed = 1, .channels = 3, .encrypt = true, .rdma_buffer_mib = 5};
    struct xf_link_cfg tcp, rdma;

    h.key.bytes[31] = 7;
    tcp = xf_hello_link_cfg(&h, false, 10, 20);
    rdma = xf_hello_link_cfg(&h, true, 10, 20);
    CU_ASSERT(tcp.encrypt && !rdma.encrypt && rdma.rdma_buffer == 5u << 20);
    CU_ASSERT(tcp.version == 1 && rdma.version == 1);
    CU_ASSERT(tcp.channels == 3 && tcp.timeout_ms == 10 && tcp.stall_ms == 20);
    CU_ASSERT(tcp.key == &h.key && rdma.key == &h.key);
    h.encrypt = false;
    h.seal = true;
    CU_ASSERT(!xf_hello_link_cfg(&h, false, 1, 1).encrypt);
    CU_ASSERT(xf_hello_link_cfg(&h, true, 1, 1).encrypt);
}

#define NEED(kind, what, of) "{\"kind\":" kind ",\"what\":" what ",\"of\":" of "}"
static void test_needs(void)
{
    char big[XF_NEEDS_MAX * 80];

    taken(true, "needs", "[]");
    taken(true, "needs", "[" NEED("\"disk\"", "\"/dev/x\"", "\"disk xvda\"") "]");
    /* A kind of a later version cannot be looked for; something without a name is nothing. */
    taken(true, "needs", "[" NEED("\"tape\"", "\"/dev/x\"", "\"\"") "]");
    taken(true, "needs", "[" NEED("\"disk\"", "\"\"", "\"\"") "]");
    refused(true, "needs", "[7]");
    refused(true, "needs", "{\"kind\":\"disk\"}");
    refused(true, "needs", "[{}]");
    refused(true, "needs", "[" NEED("\"disk\"", "7", "\"\"") "]");
    refused(true, "needs", "[" NEED("\"disk\"", "\"/dev/x\"", "null") "]");
    refused(true, "needs", "[" NEED("\"disk\"", "\"/dev/\\u001b[2J\"", "\"\"") "]");
    refused(true, "needs", "[" NEED("\"disk\"", "\"/dev/\\u0000x\"", "\"\"") "]");
    refused(true, "needs", "[" NEED("\"a-kind-that-is-too-long\"", "\"x\"", "\"\"") "]");
    snprintf(big, sizeof(big), "[{\"kind\":\"disk\",\"what\":%s,\"of\":\"\"}]", text_of(511, 'x'));
    taken(true, "needs", big);
    snprintf(big, sizeof(big), "[{\"kind\":\"disk\",\"what\":%s,\"of\":\"\"}]", text_of(512, 'x'));
    refused(true, "needs", big);
    snprintf(big, sizeof(big), "[{\"kind\":\"disk\",\"what\":\"x\",\"of\":%s}]", text_of(64, 'x'));
    refused(true, "needs", big);
    for (unsigned n = XF_NEEDS_MAX; n <= XF_NEEDS_MAX + 1; n++) {
        strcpy(big, "[");
        for (unsigned i = 0; i < n; i++)
            strcat(strcat(big, i ? "," : ""), NEED("\"boot\"", "\"x\"", "\"\""));
        strcat(big, "]");
        CU_ASSERT_EQUAL(with(true, "needs", big), n > XF_NEEDS_MAX ? -1 : 0);
    }
}

static void test_not_json(void)
{
    static const char *const list[] = {
        "",         " ",
        "null",     "7",
        "\"text\"", "[]",
        "{",        "}",
        "{}}",      "{}",
        "{}{}",     "<xml/>",
        "{'a':1}",  "{\"version\":1,}",
        "\xff\xfe", "xl migrate-receive: no such command",
    };
    char deep[4000];
    char *more;

    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        CU_ASSERT_EQUAL(parse_hello(list[i], strlen(list[i])), -1);
        CU_ASSERT_EQUAL(err.num, EPROTO);
        CU_ASSERT_PTR_NULL(strstr(err.text, "success"));
        CU_ASSERT_EQUAL(parse_reply(list[i], strlen(list[i])), -1);
    }
    for (unsigned depth = 8; depth < 1500; depth *= 3) {
        size_t n = (size_t)sprintf(deep, "{\"version\":1,\"x\":");

        memset(deep + n, '[', depth);
        memset(deep + n + depth, ']', depth);
        strcpy(deep + n + 2 * depth, "}");
        CU_ASSERT_EQUAL(parse_hello(deep, strlen(deep)), -1);
    }
    /* Something behind the message */
    more = malloc(sizeof(SEED_HELLO) + 10);
    sprintf(more, "%s{}", SEED_HELLO);
    CU_ASSERT_EQUAL(parse_hello(more, strlen(more)), -1);
    sprintf(more, "%s", SEED_HELLO);
    CU_ASSERT_EQUAL(parse_hello(more, strlen(more) + 1), -1); /* its NUL */
    free(more);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"hello, there and back", test_hello_round_trip},
        {"reply, there and back", test_reply_round_trip},
        {"cut off", test_seeds},
        {"fields missing or of a wrong type", test_fields},
        {"who speaks", test_builds},
        {"out of range", test_ranges},
        {"texts", test_texts},
        {"blobs", test_blobs},
        {"addresses", test_addresses},
        {"RDMA", test_rdma},
        {"device models", test_device_model},
        {"compression", test_compress},
        {"connections", test_link_cfg},
        {"what the domain needs", test_needs},
        {"not JSON", test_not_json},
        CU_TEST_INFO_NULL,
    };

    return run_suite("hello", tests);
}
