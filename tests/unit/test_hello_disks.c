/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The disks in a hello, in a reply and in a record: there and back, and what a hostile peer or a
 * damaged file may hold. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "libxl-ext/host/secret.h"
#include "libxl-ext/moves/record.h"
#include "libxl-ext/moves/status_lines.h"
#include "libxl-ext/peer/hello.h"
#include "tests/unit/hello_seeds.h"
#include "tests/unit/suite.h"

static struct xf_hello hello;
static struct xf_reply reply;
static struct xf_record record;
static struct xf_err err;

enum which { HELLO, REPLY, RECORD };

/* The seed with this text as that field. */
static int with(enum which which, const char *field, const char *value)
{
    static const char *const seeds[] = {SEED_HELLO, SEED_REPLY, SEED_RECORD};
    json_object *o = json_tokener_parse(seeds[which]);
    const char *text;
    int rc;

    json_object_object_add(o, field, json_tokener_parse(value));
    text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    xf_clear(&err);
    if (which == HELLO)
        rc = xf_hello_parse(text, strlen(text), &hello, &err);
    else if (which == REPLY)
        rc = xf_reply_parse(text, strlen(text), &reply, &err);
    else
        rc = xf_record_parse(text, strlen(text), &record, &err);
    xf_hello_free(&hello);
    json_object_put(o);
    return rc;
}

static void refused(enum which which, const char *field, const char *value)
{
    int rc = with(which, field, value);

    if (rc != -1 || err.num != EPROTO)
        fprintf(stderr, "%d, %s: %.100s\n", rc, err.text, value);
    CU_ASSERT_EQUAL(rc, -1);
    CU_ASSERT_EQUAL(err.num, EPROTO);
}

#define DISK(vdev, more)                                                                           \
    "{\"vdev\":\"" vdev "\",\"want\":\"\",\"name\":\"a.img\",\"sparse\":true," more "}"
#define SIZE "\"bytes\":1024,\"used\":512"

static void test_hello(void)
{
    static char many[4000] = "[";

    CU_ASSERT_EQUAL(with(HELLO, "disks", "[" DISK("xvda", SIZE) "," DISK("xvdb", SIZE) "]"), 0);
    CU_ASSERT(hello.nr_disks == 2 && hello.verify_disks && hello.disks[1].sparse);
    CU_ASSERT(hello.disks[0].bytes == 1024 && hello.disks[0].used == 512);
    CU_ASSERT_STRING_EQUAL(hello.disks[1].vdev, "xvdb");
    CU_ASSERT_EQUAL(with(HELLO, "disks", "[]"), 0);
    CU_ASSERT_EQUAL(hello.nr_disks, 0);
    refused(HELLO, "disks", "[" DISK("xvda", SIZE) "," DISK("xvda", SIZE) "]");
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "names a disk twice"));
    refused(HELLO, "disks", "[" DISK("", SIZE) "]");
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is not that of a disk"));
    refused(HELLO, "disks", "[" DISK("../xvda", SIZE) "]");
    refused(HELLO, "disks", "[" DISK("xvda,size=1", SIZE) "]");
    refused(HELLO, "disks", "[" DISK("xvda0123456789ab", SIZE) "]");
    refused(HELLO, "disks", "[" DISK("xvda", "\"bytes\":1000,\"used\":0") "]");
    refused(HELLO, "disks", "[" DISK("xvda", "\"bytes\":0,\"used\":0") "]");
    refused(HELLO, "disks", "[" DISK("xvda", "\"bytes\":-512,\"used\":0") "]");
    refused(HELLO, "disks", "[" DISK("xvda", "\"bytes\":2251799813685248,\"used\":0") "]");
    refused(HELLO, "disks", "[" DISK("xvda", "\"bytes\":512") "]");
    refused(HELLO, "disks", "[7]");
    refused(HELLO, "disks", "7");
    refused(HELLO, "verify_disks", "7");
    for (unsigned i = 0; i <= XF_MOVE_DISKS_MAX; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many),
                 "%s{\"vdev\":\"xvd%c\",\"want\":\"\",\"name\":\"a\",\"sparse\":true," SIZE "}",
                 i ? "," : "", 'a' + (int)i);
    strcat(many, "]");
    refused(HELLO, "disks", many);
}

static void test_reply(void)
{
    CU_ASSERT_EQUAL(with(REPLY, "there", "[{\"path\":\"/srv/a\",\"free\":5}]"), 0);
    CU_ASSERT(reply.disks && reply.nr_there == 1 && reply.there[0].free == 5);
    CU_ASSERT_STRING_EQUAL(reply.there[0].path, "/srv/a");
    refused(REPLY, "there", "[{\"path\":\"srv/a\",\"free\":5}]");
    refused(REPLY, "there", "[{\"path\":\"/srv/a,script=x\",\"free\":5}]");
    refused(REPLY, "there", "[{\"path\":\"/srv/a b\",\"free\":5}]");
    refused(REPLY, "there", "[{\"path\":\"/srv/a\",\"free\":-1}]");
    refused(REPLY, "there", "[{\"free\":1}]");
    refused(REPLY, "there", "{}");
    refused(REPLY, "disks", "7");
}

static void test_record(void)
{
    static struct xf_record r;
    char *text;

    CU_ASSERT_EQUAL(with(RECORD, "delete_source", "true"), 0);
    CU_ASSERT(record.nr_disks == 1 && record.delete_source);
    CU_ASSERT_STRING_EQUAL(record.disks[0].source, "/srv/a");
    refused(RECORD, "disks", "[{\"vdev\":\"xvda\",\"source\":\"a\",\"target\":\"/srv/b\"}]");
    refused(RECORD, "disks", "[{\"vdev\":\"xvda\",\"target\":\"/srv/b\"}]");
    refused(RECORD, "disks", "7");
    refused(RECORD, "delete_source", "7");
    CU_ASSERT(!record.all_disks); /* one that does not say */
    refused(RECORD, "all_disks", "7");

    with(RECORD, "all_disks", "true");
    r = record;
    text = xf_record_format(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_EQUAL(xf_record_parse(text, strlen(text), &record, &err), 0);
    CU_ASSERT(record.nr_disks == 1 && record.delete_source && record.all_disks);
    CU_ASSERT(!memcmp(record.disks, r.disks, sizeof(r.disks)));
    xf_secret_free(text, strlen(text));
}

/* As many as there may be, and the whole hello keeps to a frame. */
static void test_round_trip(void)
{
    static struct xf_hello h = {
        .domain = "web1", .channels = 1, .nr_disks = XF_MOVE_DISKS_MAX, .verify_disks = true};
    static struct xf_reply r = {.disks = true, .nr_there = XF_MOVE_DISKS_MAX};
    char *json;

    for (unsigned i = 0; i < XF_MOVE_DISKS_MAX; i++) {
        struct xf_disk_plan *d = &h.disks[i];

        snprintf(d->vdev, sizeof(d->vdev), "xvd%c", 'a' + (int)i);
        memset(d->want, 'w', sizeof(d->want) - 1);
        memset(d->name, 'n', sizeof(d->name) - 1);
        d->bytes = 512ull << i;
        d->used = i;
        d->sparse = i & 1;
        snprintf(r.there[i].path, sizeof(r.there[i].path), "/srv/%u", i);
        r.there[i].free = i;
    }
    json = xf_hello_format(&h);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT(strlen(json) < 8192);
    CU_ASSERT_EQUAL(xf_hello_parse(json, strlen(json), &hello, &err), 0);
    CU_ASSERT(hello.nr_disks == XF_MOVE_DISKS_MAX && hello.verify_disks);
    CU_ASSERT(!memcmp(hello.disks, h.disks, sizeof(h.disks)));
    xf_hello_free(&hello);
    free(json);
    json = xf_reply_format(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT_EQUAL(xf_reply_parse(json, strlen(json), &reply, &err), 0);
    CU_ASSERT(reply.disks && reply.nr_there == XF_MOVE_DISKS_MAX);
    CU_ASSERT(!memcmp(reply.there, r.there, sizeof(r.there)));
    free(json);
}

/* Of a process that moves disks, and what another one may say in its place. */
static void test_status(void)
{
    static const char *const lies[][2] = {{"\"ready\":1", "\"ready\":3"},
                                          {"\"ready\":1", "\"ready\":-1"},
                                          {"\"nr\":2", "\"nr\":8"},
                                          {"\"nr\":2", "\"nr\":0"},
                                          {"\"left\":512", "\"left\":\"x\""}};
    static struct xf_status s = {.source = true,
                                 .pid = 7,
                                 .domain = "web1",
                                 .domid = 3,
                                 .phase = XF_PHASE_DISKS,
                                 .disks = {.nr = 2, .ready = 1, .bytes = 1024, .left = 512}};
    static struct xf_status got;
    char line[XF_STATUS_LINE], lie[XF_STATUS_LINE];
    size_t len = xf_status_encode(&s, line);

    line[--len] = 0; /* the newline */
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_status_decode(line, len, &got, &err), 0);
    CU_ASSERT(got.phase == XF_PHASE_DISKS && !memcmp(&got.disks, &s.disks, sizeof(s.disks)));
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        const char *at = strstr(line, lies[i][0]);

        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        snprintf(lie, sizeof(lie), "%.*s%s%s", (int)(at - line), line, lies[i][1],
                 at + strlen(lies[i][0]));
        xf_clear(&err);
        CU_ASSERT_EQUAL(xf_status_decode(lie, strlen(lie), &got, &err), -1);
    }
    s.disks.nr = 0;
    len = xf_status_encode(&s, line) - 1;
    CU_ASSERT(!strstr(line, "disks") && !xf_status_decode(line, len, &got, NULL) && !got.disks.nr);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"there and back", test_round_trip}, {"a hello", test_hello},   {"a reply", test_reply},
        {"a record", test_record},           {"a status", test_status}, CU_TEST_INFO_NULL};

    return run_suite("hello, disks", tests);
}
