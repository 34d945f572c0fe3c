/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a peer may say in a hello or a reply and must not: each lie gets its own sentence, so
 * that whoever reads it knows which side to look at. Beside test_hello.c, which tries the limits of
 * each field. Each row changes one place of a good message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/peer/hello.h"
#include "tests/unit/hello_seeds.h"
#include "tests/unit/suite.h"

#define LONG "~" /* stands for 600 letters */
#define TEN "1,1,1,1,1,1,1,1,1,1"
#define FORTY TEN "," TEN "," TEN "," TEN

static const struct row {
    const char *good, *from, *to; /* `from` occurs in the good message */
    const char *says;
} rows[] = {
    {SEED_REPLY, "40000", "\"x\"", "the peer's message has no valid field \"port\""},
    {SEED_REPLY, "\"port\":40000,", "", "the peer's message has no valid field \"port\""},
    {SEED_REPLY, "memory", "m\\u0007",
     "the peer's message has a field \"code\" that has control characters or others that cannot be "
     "shown"},
    {SEED_REPLY, "tight", LONG, "the peer's message has a field \"text\" that is too long"},
    {SEED_REPLY, "40000", "65536", "the peer's message has a field \"port\" that is out of range"},
    {SEED_REPLY, "}]}", "}]", "the peer's message is not JSON: "},
    {SEED_REPLY, SEED_REPLY, "[]", "the peer's message is not one JSON object"},
    {SEED_REPLY, "\"version\":1", "\"version\":2",
     "the peer (Xenferry of an unknown version) speaks version 2 of the bootstrap, this one ("},
    {SEED_REPLY, "\"addresses\":[\"192.0.2.7\"", "\"addresses\":[" TEN "," TEN ",1",
     "the peer's message has a field \"addresses\" that has too many entries"},
    {SEED_REPLY, "\"192.0.2.7\"", "7",
     "the peer's message has a field \"addresses\" that has an invalid entry"},
    {SEED_REPLY, "192.0.2.7", LONG,
     "the peer's message has a field \"addresses\" that is too long"},
    {SEED_REPLY, "192.0.2.7", "host2",
     "the peer's message has a field \"addresses\" that has an address that is not numeric"},
    {SEED_REPLY, "192.0.2.8", "fe80::1%;id",
     "the peer's message has a field \"addresses\" that has an address that is not numeric"},
    {SEED_REPLY, "ready", "steady", "the peer's RDMA is in an unknown state"},
    {SEED_REPLY, "[\"192.0.2.8\",\"2001:db8::2\"]", "[]", "the peer's RDMA has no address"},
    {SEED_REPLY, "[{\"severity\"", "[5,{\"severity\"",
     "the peer's message has a field \"findings\" that has an invalid entry"},
    {SEED_REPLY, "[{\"severity\"", "[" FORTY ",{\"severity\"",
     "the peer's message has a field \"findings\" that has too many entries"},
    {SEED_REPLY, "\"port\"", "\"compress\":[" FORTY "],\"port\"",
     "the peer's message has a field \"compress\" that has too many entries"},
    {SEED_REPLY, "\"port\"", "\"compress\":[1],\"port\"",
     "the peer's message has a field \"compress\" that has an invalid entry"},
    {SEED_REPLY, "\"version\":1", "\"xenferry\":\"9.1\\u001b\",\"version\":2",
     "the peer (Xenferry 9.1?) speaks version 2 of the bootstrap, this one ("},
    {SEED_REPLY, "\"version\":1", "\"protocol\":3,\"oldest\":4,\"version\":1",
     "the peer's message has a field \"oldest\" that is out of range"},
    {SEED_HELLO, "\"oldest\":1,", "", "the peer's message has no valid field \"oldest\""},
    {SEED_HELLO, "auto", "pigeon", "the peer wants an unknown transport"},
    {SEED_HELLO, SEED_KEY, "00", "the peer's message cannot be used: "},
    {SEED_HELLO, "[{\"kind\"", "[5,{\"kind\"",
     "the peer's message has a field \"needs\" that has an invalid entry"},
    {SEED_HELLO, "[{\"kind\"", "[" FORTY "," FORTY "," FORTY "," TEN ",{\"kind\"",
     "the peer's message has a field \"needs\" that has too many entries"},
    {SEED_HELLO, "web1", "", "the peer's domain has no name"},
    {SEED_HELLO, "\"0102\"", "\"012\"",
     "the peer's message has a field \"cpuid\" that has an odd number of digits"},
    {SEED_HELLO, "\"0102\"", "\"01zz\"",
     "the peer's message has a field \"cpuid\" that is not hexadecimal"},
    {SEED_REPLY, "178bfbff76f83203", "178bfbff76f8320",
     "a field \"features\" that is not made of words of 8 hexadecimal digits"},
    {SEED_REPLY, "178bfbff76f83203", "178bfbff76f8320X",
     "a field \"features\" that is not made of words of 8 hexadecimal digits"},
    {SEED_REPLY, "178bfbff76f83203", LONG, "a field \"features\" that is too long"},
    {SEED_REPLY, "GenuineIntel", "GenuineIntels", "a field \"vendor\" that is too long"},
    {SEED_REPLY, "GenuineIntel", "Genuine\\nIntl", "field \"vendor\""},
    {SEED_REPLY, "\"leaf\":13", "\"leaf\":-1", "a field \"leaf\" that is out of range"},
    {SEED_REPLY, "\"extended\":2147483656", "\"extended\":4294967296",
     "a field \"extended\" that is out of range"},
    {SEED_REPLY, "\"most\":", "\"least\":", "no valid field \"most\""},
};

/* The good message with its one change, malloc()ed. */
static char *change(const struct row *r)
{
    const char *at = strstr(r->good, r->from);
    char *out = calloc(1, strlen(r->good) + strlen(r->to) + 601), *to;

    CU_ASSERT_FATAL(at && out);
    to = out + (at - r->good);
    memcpy(out, r->good, (size_t)(at - r->good));
    if (!strcmp(r->to, LONG))
        memset(to, 'a', 600);
    else
        memcpy(to, r->to, strlen(r->to));
    strcat(out, at + strlen(r->from));
    return out;
}

static void test_lies(void)
{
    static struct xf_reply reply;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct xf_err err = {0};
        struct xf_hello hello;
        char *text = change(&rows[i]);
        bool is_hello = !strcmp(rows[i].good, SEED_HELLO);
        int rc = is_hello ? xf_hello_parse(text, strlen(text), &hello, &err)
                          : xf_reply_parse(text, strlen(text), &reply, &err);
        bool good = rc == -1 && strstr(err.text, rows[i].says);

        CU_ASSERT(good);
        if (!good)
            fprintf(stderr, "%s instead of %s: %s\n", rows[i].to, rows[i].from, err.text);
        if (is_hello && !rc)
            xf_hello_free(&hello);
        free(text);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"each lie has its sentence", test_lies},
        CU_TEST_INFO_NULL,
    };

    return run_suite("lies in hello and reply", tests);
}
