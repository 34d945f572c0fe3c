/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of gfns in messages: what an answer covers, and a peer that never comes to the end of a set,
 * as the source meets it when pages are marked absent and when it attaches again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postcopy/server.h"
#include "precopy/copy_parts.h"
#include "pages/absent.h"
#include "pages/extents.h"
#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define GFNS 40000u

static struct xf_extents in, out;

/* --- the answer to a set --- */

static bool holds(const struct xf_extents *x, uint64_t gfn)
{
    for (uint32_t i = 0; i < x->nr; i++)
        if (gfn >= x->list[i].gfn && gfn < x->list[i].gfn + x->list[i].count)
            return true;
    return false;
}

/* All of it in messages, into a map; returns how many there were. */
static unsigned collect(const unsigned long *map, unsigned long *found)
{
    struct xf_extents_in order = xf_extents_expect(1000, GFNS);
    unsigned messages = 0;
    uint64_t at = 0;
    bool last;

    do {
        last = xf_next_within(&out, map, &in, &at);
        CU_ASSERT_EQUAL(!!(out.flags & XF_EXTENTS_LAST), last);
        CU_ASSERT(last || out.nr == XF_EXTENTS_MAX);
        CU_ASSERT_EQUAL(xf_extents_take(&order, &out, NULL), 0);
        xf_set_extents(found, &out);
        messages++;
    } while (!last);
    return messages;
}

static void test_within(void)
{
    unsigned long *map = xf_bitmap_new(GFNS), *found = xf_bitmap_new(GFNS);

    srandom(7);
    for (unsigned turn = 0; turn < 50; turn++) {
        uint64_t g = 0;

        memset(map, 0, GFNS / 8);
        memset(found, 0, GFNS / 8);
        in = (struct xf_extents){0};
        while (in.nr < 1 + turn && g < GFNS - 2000) {
            g += 1 + (uint64_t)random() % 400;
            in.list[in.nr] = (struct xf_extent){g, 1 + (uint64_t)random() % 900};
            g += in.list[in.nr++].count;
        }
        for (unsigned i = 0; i < 3000; i++) {
            g = (uint64_t)random() % GFNS;
            if (holds(&in, g))
                xf_set(map, g);
        }
        CU_ASSERT_EQUAL(collect(map, found), 1);
        CU_ASSERT(!memcmp(map, found, GFNS / 8));
        xf_unset_extents(map, &out);
        CU_ASSERT_EQUAL(xf_bitmap_count(map, GFNS), 0);
    }
    /* Every other page of one extent: more than a message holds. */
    memset(found, 0, GFNS / 8);
    in = (struct xf_extents){.nr = 1, .list = {{3, 20001}}};
    for (uint64_t g = 3; g < 20004; g += 2)
        xf_set(map, g);
    CU_ASSERT_EQUAL(collect(map, found), 3);
    CU_ASSERT(!memcmp(map, found, GFNS / 8));
    in.nr = 0;
    memset(found, 0, GFNS / 8);
    CU_ASSERT(collect(map, found) == 1 && out.nr == 0);
    free(map);
    free(found);
}

/* --- what a peer may send as one set --- */

static void test_take(void)
{
    struct xf_extents_in order = xf_extents_expect(60000, GFNS);
    struct xf_err err = {0};

    out = (struct xf_extents){.nr = 1, .list = {{10, 5}}};
    CU_ASSERT_EQUAL(xf_extents_take(&order, &out, &err), 0);
    out.list[0] = (struct xf_extent){15, 1};
    CU_ASSERT_EQUAL(xf_extents_take(&order, &out, &err), 0);
    CU_ASSERT_EQUAL(xf_extents_take(&order, &out, &err), -1); /* again */
    CU_ASSERT_EQUAL(err.num, EPROTO);
    xf_clear(&err);
    out.nr = 0;
    CU_ASSERT_EQUAL(xf_extents_take(&order, &out, &err), -1);
    CU_ASSERT_EQUAL(err.num, EPROTO);
    xf_clear(&err);
    out.flags = XF_EXTENTS_LAST;
    CU_ASSERT_EQUAL(xf_extents_take(&order, &out, &err), 0);
    CU_ASSERT_EQUAL(xf_extents_take(&order, NULL, &err), 0);
    order.until_ms = xf_now_ms();
    CU_ASSERT_EQUAL(xf_extents_take(&order, &out, &err), 0); /* it has come to the end */
    CU_ASSERT_EQUAL(xf_extents_take(&order, NULL, &err), -1);
    CU_ASSERT_EQUAL(err.num, ETIMEDOUT);
}

/* --- a destination without end --- */

enum endless { SAME_AGAIN, NOTHING, ONE_BY_ONE, WAYS };

static struct move m;
static atomic_bool stop;
static enum endless way;

/* Says sets of that type, whatever it hears, until it is told to stop. */
static void *endless_run(void *arg)
{
    static uint8_t meta[XF_META_MAX];
    static struct xf_extents x;
    uint16_t type = *(uint16_t *)arg;

    x = (struct xf_extents){.nr = way == NOTHING ? 0 : 1, .list = {{1, 1}}};
    while (!stop) {
        if (xf_link_say(&m.sink, type, meta, xf_extents_encode(&x, meta), NULL))
            break;
        if (way == ONE_BY_ONE) { /* so that it would last half a minute */
            if (x.list[0].gfn < FAKE_GFNS - 2)
                x.list[0].gfn += 2;
            nanosleep(&(struct timespec){.tv_nsec = 12000000}, NULL);
        }
    }
    return NULL;
}

static unsigned ticks;

/* Called off at some time, as by an interrupt. */
static int some_ticks(void *priv, struct xf_err *err)
{
    (void)priv;
    return ++ticks == 20 ? xf_fail(err, ECANCELED, "interrupted") : 0;
}

static void begin(pthread_t *thread, uint16_t *type)
{
    CU_ASSERT_FATAL(move_open(&m, false, 2));
    stop = false;
    ticks = 0;
    pthread_create(thread, NULL, endless_run, type);
}

static void end(pthread_t thread)
{
    stop = true;
    xf_link_abort(&m.sink);
    xf_link_close(&m.source);
    pthread_join(thread, NULL);
    CU_ASSERT(move_close(&m));
}

/* The source attaches again, and hears what is missing. */
static void test_missing(void)
{
    for (way = 0; way < WAYS; way++) {
        uint16_t type = XF_MSG_MISSING;
        struct xf_server *s = NULL;
        struct xf_err err = {0};
        pthread_t thread;
        int rc;

        begin(&thread, &type);
        CU_ASSERT_EQUAL_FATAL(xf_server_new(&s, &m.f->src, NULL, NULL, &err), 0);
        rc = xf_server_attach(s, &m.source, (struct xf_tick){.call = some_ticks}, &err);
        CU_ASSERT_EQUAL(rc, -1);
        CU_ASSERT_EQUAL(err.num, way == ONE_BY_ONE ? ECANCELED : EPROTO);
        CU_ASSERT_EQUAL(err.whose, way == ONE_BY_ONE ? XF_OURS : XF_PEER);
        CU_ASSERT(ticks <= 20);
        xf_server_free(s);
        end(thread);
    }
}

/* Pages are to be marked absent, and the answer is of those that cannot be. */
static void test_absent_ack(void)
{
    for (way = 0; way < WAYS; way++) {
        uint16_t type = XF_MSG_ABSENT_ACK;
        struct xf_err err = {0};
        pthread_t thread;

        begin(&thread, &type);
        m.copy.opts.mode = XF_MODE_POSTCOPY;
        CU_ASSERT_EQUAL_FATAL(xf_copy_begin(&m.copy, &err), 0);
        m.copy.tick = (struct xf_tick){.call = some_ticks};
        CU_ASSERT_EQUAL(xf_copy_leave(&m.copy, &err), -1);
        CU_ASSERT_EQUAL(err.num, way == ONE_BY_ONE ? ECANCELED : EPROTO);
        end(thread);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the answer to a set", test_within},
        {"messages of one set", test_take},
        {"MISSING without end", test_missing},
        {"ABSENT_ACK without end", test_absent_ack},
        CU_TEST_INFO_NULL,
    };

    return run_suite("extents", tests);
}
