/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of unfinished handshakes: whose is given up for a new one when it is full. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/suite.h"
#include "transport/handshakes.h"

static struct xf_handshakes table;
static char who[XF_HANDSHAKES][INET6_ADDRSTRLEN]; /* whose handshake is at a place; "" : nobody's */
static unsigned cancelled;

static int take(struct xf_listener *l, struct xf_err *err)
{
    (void)l;
    (void)err;
    return 0;
}

static int step(struct xf_listener *l, unsigned i, short *events, struct xf_chan **out,
                struct xf_chan_id *id, struct xf_err *err)
{
    (void)l;
    (void)i;
    (void)events;
    (void)out;
    (void)id;
    (void)err;
    return XF_HANDSHAKE_GOES_ON;
}

static void cancel(struct xf_listener *l, unsigned i)
{
    (void)l;
    who[i][0] = 0;
    cancelled++;
}

static const struct xf_handshakes_ops ops = {take, step, cancel};

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage ss = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)&ss;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&ss;

    ss.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    CU_ASSERT_EQUAL_FATAL(
        inet_pton(ss.ss_family, text,
                  ss.ss_family == AF_INET6 ? (void *)&six->sin6_addr : (void *)&four->sin_addr),
        1);
    return ss;
}

/* A connection from there. Each is given more time than the one before, so it is younger. */
static void call(const char *text)
{
    static int ms = 100000;
    struct sockaddr_storage ss = address(text);
    unsigned i = xf_handshakes_room(&table, (struct sockaddr *)&ss);

    CU_ASSERT_FATAL(i < XF_HANDSHAKES && !who[i][0]);
    snprintf(who[i], sizeof(who[i]), "%s", text);
    xf_handshakes_begin(&table, i, 0, 0, ms += 1000);
}

static unsigned count(const char *text)
{
    unsigned n = 0;

    for (unsigned i = 0; i < XF_HANDSHAKES; i++)
        n += !strcmp(who[i], text);
    return n;
}

static void begin(void)
{
    memset(who, 0, sizeof(who));
    cancelled = 0;
    CU_ASSERT_EQUAL_FATAL(xf_handshakes_open(&table, &ops, NULL, NULL), 0);
}

static void end(void)
{
    xf_handshakes_close(&table);
}

/* The source's handshake is the oldest, and stays through a thousand connections of a stranger. */
static void test_flood(void)
{
    begin();
    call("192.0.2.1");
    for (unsigned i = 0; i < 1000; i++)
        call("198.51.100.7");
    CU_ASSERT_EQUAL(count("192.0.2.1"), 1);
    CU_ASSERT_EQUAL(cancelled, 1000 - (XF_HANDSHAKES - 1));
    /* A whole move's channels find room beside him, up to what makes him the smaller one. */
    for (unsigned i = 0; i < 15; i++)
        call("192.0.2.1");
    CU_ASSERT_EQUAL(count("192.0.2.1"), 16);
    for (unsigned i = 0; i < 1000; i++)
        call("198.51.100.7");
    CU_ASSERT_EQUAL(count("192.0.2.1"), 16);
    CU_ASSERT_EQUAL(count("198.51.100.7"), 16);
    end();
}

/* Whoever floods loses his oldest, so that he cannot keep places by being slow, either. */
static void test_own_oldest(void)
{
    char text[32];

    begin();
    for (unsigned i = 0; i < XF_HANDSHAKES; i++) {
        snprintf(text, sizeof(text), "2001:db8:0:1::%x", i);
        call(text);
    }
    call("2001:db8:0:1::ffff");
    CU_ASSERT_EQUAL(count("2001:db8:0:1::0"), 0);
    CU_ASSERT_EQUAL(count("2001:db8:0:1::1"), 1);
    end();
}

/* Every address of a /64 is one host's to choose: they share one allowance. */
static void test_prefix(void)
{
    char text[40];

    begin();
    call("2001:db8:0:2::1");
    for (unsigned i = 0; i < 500; i++) {
        snprintf(text, sizeof(text), "2001:db8:0:1::%x:%x", i, i + 1);
        call(text);
    }
    CU_ASSERT_EQUAL(count("2001:db8:0:2::1"), 1);
    end();
}

/* An IPv4 peer is the same one by a dual-stack socket, and all of them are not one /64. */
static void test_mapped(void)
{
    struct sockaddr_storage plain = address("192.0.2.1"), mapped = address("::ffff:192.0.2.1"),
                            other = address("::ffff:192.0.2.2");
    struct xf_neighbourhood a = xf_neighbourhood((struct sockaddr *)&plain),
                            b = xf_neighbourhood((struct sockaddr *)&mapped),
                            c = xf_neighbourhood((struct sockaddr *)&other);

    CU_ASSERT_EQUAL(a.family, b.family);
    CU_ASSERT(!memcmp(a.prefix, b.prefix, sizeof(a.prefix)));
    CU_ASSERT(memcmp(b.prefix, c.prefix, sizeof(b.prefix)) != 0);
    begin();
    call("::ffff:192.0.2.1");
    for (unsigned i = 0; i < 100; i++)
        call("::ffff:192.0.2.2");
    CU_ASSERT_EQUAL(count("::ffff:192.0.2.1"), 1);
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a flood from one address pushes out only itself", test_flood},
        {"its oldest goes first", test_own_oldest},
        {"a /64 is one neighbourhood", test_prefix},
        {"IPv4 by an IPv6 socket", test_mapped},
        CU_TEST_INFO_NULL,
    };

    return run_suite("handshakes", tests);
}
