/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What comes from elsewhere is clean when it is in, by whichever way it came: hello, reply, record,
 * status, end and answer of a move, error on the wire, finding, sentence of Xen's libraries. A word
 * that is compared with others is refused, and the refusal is clean; a sentence is cleaned.
 */
#include "transport/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/peer/check.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/moves/record.h"
#include "libxl-ext/host/secret.h"
#include "libxl-ext/moves/status_lines.h"
#include "libxl-ext/xen/toollog.h"
#include "tests/unit/hello_seeds.h"
#include "tests/unit/hostile.h"
#include "tests/unit/suite.h"
#include "transport/wire.h"

static struct xf_err err;

/* `old` in `text` replaced by `new`; freed by the next call. */
static const char *with(const char *text, const char *old, const char *new)
{
    static char *changed;
    const char *at = strstr(text, old);

    free(changed);
    changed = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    if (asprintf(&changed, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old)) < 0)
        exit(2);
    return changed;
}

static const char *in_json(const struct hostile *h)
{
    return h->json ? h->json : h->text;
}

static void refused(int rc)
{
    CU_ASSERT_EQUAL(rc, -1);
    CU_ASSERT(err.num == EPROTO && harmless(err.text, false));
    xf_clear(&err);
}

static void test_function(void)
{
    static const char fine[] = "b\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa2 \xd7\xa9\xd7\x9c";
    char text[64], cut[8];

    for (size_t i = 0; i < HOSTILES; i++) {
        snprintf(text, sizeof(text), "%s", hostiles[i].text);
        CU_ASSERT_FALSE(xf_text_is_clean(text, strlen(text)));
        xf_text_clean(text);
        CU_ASSERT_STRING_EQUAL(text, hostiles[i].clean);
        CU_ASSERT(xf_text_is_clean(text, strlen(text)));
    }
    snprintf(text, sizeof(text), "%s", fine);
    CU_ASSERT(xf_text_is_clean(fine, strlen(fine)));
    xf_text_clean(text);
    CU_ASSERT_STRING_EQUAL(text, fine);
    CU_ASSERT(xf_text_is_clean("", 0));
    CU_ASSERT_FALSE(xf_text_is_clean("a\0b", 3));
    CU_ASSERT_EQUAL(xf_text_copy(text, sizeof(text), "a\0b", 3), 3);
    CU_ASSERT_STRING_EQUAL(text, "a?b");
    /* Cut between characters; one that was cut before goes. */
    CU_ASSERT_EQUAL(xf_text_copy(cut, sizeof(cut), "abcde\xe2\x82\xac", 8), 5);
    CU_ASSERT_EQUAL(xf_text_copy(cut, sizeof(cut), "abcd\xe2\x82\xac", 7), 7);
    CU_ASSERT_EQUAL(xf_text_copy(cut, sizeof(cut), "abcd\xe2\x82", 6), 4);
    CU_ASSERT_EQUAL(xf_text_copy(cut, 1, "a", 1), 0);
    CU_ASSERT_STRING_EQUAL(cut, "");
}

/* Every character that there is, and every pair of bytes: what the function lets through is one of
 * those that a table made by hand from the list does not forbid. */
static void test_all(void)
{
    char s[5];

    for (uint32_t c = 0x80; c < 0x110000; c++) {
        bool surrogate = c >= 0xd800 && c < 0xe000;
        bool forbidden = c < 0xa0 || surrogate || (c >= 0x202a && c <= 0x202e) ||
                         (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0x61c ||
                         (c >= 0x200b && c <= 0x200d) || c == 0x2060 || c == 0xfeff ||
                         c == 0x2028 || c == 0x2029;
        size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

        for (size_t i = n - 1; i > 0; i--)
            s[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
        s[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c >> 6 * (n - 1));
        if (forbidden && xf_text_is_clean(s, n))
            CU_FAIL("a forbidden character is let through");
        if (c >= 0xa1 && c < 0x600 && c != 0xad && !xf_text_is_clean(s, n))
            CU_FAIL("a letter of Europe is not");
    }
    for (unsigned a = 0x80; a < 0x100; a++)
        for (unsigned b = 0; b < 0x100; b++) {
            s[0] = (char)a;
            s[1] = (char)b;
            if (xf_text_is_clean(s, 2) && (a < 0xc2 || a > 0xdf || (b & 0xc0) != 0x80))
                CU_FAIL("two bytes that are no character");
        }
}

static void test_hello(void)
{
    static const char *const words[] = {"\"domain\":\"", "\"uuid\":\"", "\"boot_id\":\""};
    char *good, member[100];
    struct xf_hello h = {.channels = 1, .domain = "web1", .uuid = "u", .boot_id = "b"}, got;

    CU_ASSERT_EQUAL_FATAL(xf_key_make(&h.key, NULL), 0);
    good = xf_hello_format(&h);
    CU_ASSERT_PTR_NOT_NULL_FATAL(good);
    CU_ASSERT_EQUAL_FATAL(xf_hello_parse(good, strlen(good), &got, &err), 0);
    xf_hello_free(&got);
    for (size_t i = 0; i < HOSTILES; i++) {
        const char *text;

        for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
            snprintf(member, sizeof(member), "%s%s", words[k], in_json(&hostiles[i]));
            text = with(good, words[k], member);
            refused(xf_hello_parse(text, strlen(text), &got, &err));
        }
        snprintf(member, sizeof(member), "\"why\":\"%s", in_json(&hostiles[i]));
        text = with(good, "\"why\":\"", member);
        CU_ASSERT_EQUAL(xf_hello_parse(text, strlen(text), &got, &err), 0);
        CU_ASSERT_STRING_EQUAL(got.rdma.why, hostiles[i].clean);
        xf_hello_free(&got);
    }
    xf_secret_free(good, strlen(good));
}

static void test_reply(void)
{
    struct xf_reply r = {.nr_findings = 1}, got;
    char *good, member[100];

    snprintf(r.findings[0].code, sizeof(r.findings[0].code), "c");
    snprintf(r.findings[0].text, sizeof(r.findings[0].text), "t");
    good = xf_reply_format(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(good);
    for (size_t i = 0; i < HOSTILES; i++) {
        const char *text;

        snprintf(member, sizeof(member), "\"text\":\"%s\"", in_json(&hostiles[i]));
        text = with(good, "\"text\":\"t\"", member);
        CU_ASSERT_EQUAL(xf_reply_parse(text, strlen(text), &got, &err), 0);
        CU_ASSERT_STRING_EQUAL(got.findings[0].text, hostiles[i].clean);
        snprintf(member, sizeof(member), "\"code\":\"%s\"", in_json(&hostiles[i]));
        text = with(good, "\"code\":\"c\"", member);
        refused(xf_reply_parse(text, strlen(text), &got, &err));
        snprintf(member, sizeof(member), "\"boot_id\":\"%s\"", in_json(&hostiles[i]));
        text = with(good, "\"boot_id\":\"\"", member);
        refused(xf_reply_parse(text, strlen(text), &got, &err));
    }
    free(good);
}

static void test_record(void)
{
    static const char *const words[] = {"\"name\":\"", "\"uuid\":\"", "\"boot_id\":\"",
                                        "\"there\":\"", "\"peer\":\""};
    struct xf_record r = {.domid = 7,
                          .port = 1,
                          .channels = 1,
                          .name = "n",
                          .uuid = "u",
                          .peer = "p"},
                     got;
    char *good, member[100];

    snprintf(r.host, sizeof(r.host), "h");
    good = xf_record_format(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(good);
    CU_ASSERT_EQUAL_FATAL(xf_record_parse(good, strlen(good), &got, &err), 0);
    for (size_t i = 0; i < HOSTILES; i++) {
        const char *text;

        for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
            snprintf(member, sizeof(member), "%s%s", words[k], in_json(&hostiles[i]));
            text = with(good, words[k], member);
            refused(xf_record_parse(text, strlen(text), &got, &err));
        }
        /* What is compared or executed stays as the operator gave it, here and nowhere else. */
        snprintf(member, sizeof(member), "\"host\":\"%s\"", in_json(&hostiles[i]));
        text = with(good, "\"host\":\"h\"", member);
        CU_ASSERT_EQUAL(xf_record_parse(text, strlen(text), &got, &err), 0);
        CU_ASSERT_STRING_EQUAL(got.host, hostiles[i].text);
    }
    xf_secret_free(good, strlen(good));
}

static void test_status(void)
{
    char line[XF_STATUS_LINE], member[100];
    struct xf_status s = {.source = true, .pid = 1}, got;
    struct xf_ended e = {.pid = 1, .outcome = XF_STAYED}, end;

    for (size_t i = 0; i < HOSTILES; i++) {
        const struct hostile *h = &hostiles[i];
        const char *text;

        /* Told by us ... */
        snprintf(s.domain, sizeof(s.domain), "%s", h->text);
        snprintf(s.host, sizeof(s.host), "%s", h->text);
        CU_ASSERT(xf_status_encode(&s, line) > 0);
        CU_ASSERT_EQUAL(xf_status_decode(line, strlen(line) - 1, &got, &err), 0);
        CU_ASSERT_STRING_EQUAL(got.domain, h->clean);
        CU_ASSERT_STRING_EQUAL(got.host, h->clean);
        snprintf(e.text, sizeof(e.text), "%s", h->text);
        CU_ASSERT(xf_ended_encode(&e, line) > 0);
        CU_ASSERT_EQUAL(xf_ended_decode(line, strlen(line) - 1, &end, &err), 0);
        CU_ASSERT_STRING_EQUAL(end.text, h->clean);
        /* ... and by somebody else. */
        snprintf(s.domain, sizeof(s.domain), "d");
        CU_ASSERT(xf_status_encode(&s, line) > 0);
        line[strlen(line) - 1] = 0;
        snprintf(member, sizeof(member), "\"domain\":\"%s\"", in_json(h));
        text = with(line, "\"domain\":\"d\"", member);
        refused(xf_status_decode(text, strlen(text), &got, &err));
        snprintf(e.text, sizeof(e.text), "t");
        CU_ASSERT(xf_ended_encode(&e, line) > 0);
        line[strlen(line) - 1] = 0;
        snprintf(member, sizeof(member), "\"text\":\"%s\"", in_json(h));
        text = with(line, "\"text\":\"t\"", member);
        refused(xf_ended_decode(text, strlen(text), &end, &err));
        CU_ASSERT(xf_answer_encode("t", line) > 0);
        line[strlen(line) - 1] = 0;
        snprintf(member, sizeof(member), "\"why_not\":\"%s\"", in_json(h));
        text = with(line, "\"why_not\":\"t\"", member);
        refused(xf_answer_decode(text, strlen(text), &err));
    }
}

static void log_it(struct xf_toollog *log, const char *format, ...)
{
    va_list al;

    va_start(al, format);
    log->vtable.vmessage(&log->vtable, XTL_ERROR, -1, "test", format, al);
    va_end(al);
}

static void test_sentences(void)
{
    struct xf_findings found;
    struct xf_toollog log;
    uint8_t meta[XF_META_MAX];
    char text[XF_TEXT_MAX];
    int num;

    for (size_t i = 0; i < HOSTILES; i++) {
        struct xf_msg m = {.meta_len = (uint32_t)xf_text_encode(EIO, hostiles[i].text, meta)};

        CU_ASSERT_EQUAL(xf_text_decode(&num, text, &m, meta, &err), 0);
        CU_ASSERT_STRING_EQUAL(text, hostiles[i].clean);
        xf_fail(&err, EIO, "%s", hostiles[i].text);
        CU_ASSERT_STRING_EQUAL(err.text, hostiles[i].clean);
        xf_wrap(&err, "%s", hostiles[i].text);
        CU_ASSERT(harmless(err.text, false));
        xf_clear(&err);
        memset(&found, 0, sizeof(found));
        xf_find(&found, XF_INFO, "code", "%s", hostiles[i].text);
        CU_ASSERT_STRING_EQUAL(found.list[0].text, hostiles[i].clean);
        xf_toollog_init(&log);
        log_it(&log, "%s", hostiles[i].text);
        xf_toollog_last(&log, text, sizeof(text));
        CU_ASSERT(harmless(text, false) && !strncmp(text, "A", 1));
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the function", test_function},
        {"every character", test_all},
        {"hello", test_hello},
        {"reply", test_reply},
        {"record", test_record},
        {"status, end, answer", test_status},
        {"errors, findings, Xen's words", test_sentences},
        CU_TEST_INFO_NULL,
    };

    return run_suite("text", tests);
}
