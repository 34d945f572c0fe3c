/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink's half of making a link (transport/gather.h): over one of two transports, begun
 * anew over the other, and with one of them failing.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/conformance/loopback.h"
#include "tests/unit/suite.h"
#include "transport/frame.h"
#include "transport/gather.h"

#define STEPS 500 /* of 20 ms: what must come has come by then */

static struct xf_gather g;
static struct xf_key key;
static struct xf_link_cfg cfg;
static uint16_t ports[2];
static const struct xf_transport_ops *const both[2] = {&xf_loopback_ops, &xf_tcp_ops};

static void begin(void)
{
    memset(&g, 0, sizeof(g));
    cfg = (struct xf_link_cfg){.key = &key, .channels = 2, .timeout_ms = 10000, .stall_ms = 10000};
    for (unsigned i = 0; i < 2; i++)
        CU_ASSERT_EQUAL_FATAL(xf_gather_listen(&g, both[i], &cfg, "127.0.0.1", 0, &ports[i], NULL),
                              0);
    CU_ASSERT_EQUAL(xf_gather_listen(&g, both[0], &cfg, "127.0.0.1", 0, &ports[0], NULL), -1);
}

static void end(void)
{
    xf_gather_unlisten(&g, NULL);
    CU_ASSERT(g.nr == 0 && !g.link.control);
}

/* One connect() of the source, in its thread. */
struct dial {
    pthread_t thread;
    unsigned transport, index, channels;
    struct xf_chan *chan;
    struct xf_err err;
    atomic_bool done;
};

static void *dial_main(void *arg)
{
    struct dial *d = arg;
    struct xf_link_cfg mine = cfg;

    mine.channels = d->channels;
    both[d->transport]->connect(&mine, "127.0.0.1", ports[d->transport], NULL,
                                xf_chan_id_of(d->index, d->channels), &d->chan, &d->err);
    atomic_store(&d->done, true);
    return NULL;
}

/* Connect one channel; returns what xf_gather_step() said last. */
static int dial_as(struct dial *d, unsigned transport, unsigned index, unsigned channels,
                   struct xf_err *err)
{
    int rc = XF_AGAIN;

    *d = (struct dial){.transport = transport, .index = index, .channels = channels};
    pthread_create(&d->thread, NULL, dial_main, d);
    for (int i = 0; i < STEPS && rc == XF_AGAIN && !atomic_load(&d->done); i++)
        rc = xf_gather_step(&g, 20, err);
    pthread_join(d->thread, NULL);
    if (rc == XF_AGAIN && g.nr)
        rc = xf_gather_step(&g, 0, err);
    return rc;
}

static int dial(struct dial *d, unsigned transport, unsigned index)
{
    return dial_as(d, transport, index, 2, NULL);
}

static void hang_up(struct dial *d, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        both[d[i].transport]->close(d[i].chan);
}

/* Does this end still have a peer? */
static bool lives(struct dial *d)
{
    static uint8_t meta[XF_META_MAX];
    struct xf_msg m;

    return d->chan && both[d->transport]->recv(d->chan, &m, meta, 50, NULL) == XF_AGAIN;
}

static void test_either(void)
{
    for (unsigned t = 0; t < 2; t++) {
        struct xf_link link = {0};
        struct dial d[3];

        begin();
        CU_ASSERT_EQUAL(dial(&d[0], t, 0), XF_AGAIN);
        CU_ASSERT(g.link.control && g.link.ops == both[t]);
        CU_ASSERT_EQUAL(dial(&d[1], t, 2), XF_AGAIN); /* in whatever order */
        CU_ASSERT_EQUAL(dial(&d[2], t, 1), 0);
        xf_gather_take(&g, &link);
        CU_ASSERT(link.control && link.bulk[0] && link.bulk[1] && link.nr_bulk == 2);
        CU_ASSERT(link.ops == both[t] && !g.link.control);
        xf_gather_unlisten(&g, both[t]);
        CU_ASSERT(g.nr == 1 && g.at[0].ops == both[!t]);
        end();
        CU_ASSERT(lives(&d[0]) && lives(&d[1]) && lives(&d[2]));
        xf_link_close(&link);
        hang_up(d, 3);
    }
}

/* The source changes its mind halfway, and a straggler of the first link comes after that. */
static void test_anew(void)
{
    for (unsigned t = 0; t < 2; t++) {
        struct xf_link link = {0};
        struct dial d[6];

        begin();
        CU_ASSERT_EQUAL(dial(&d[0], t, 0), XF_AGAIN);
        CU_ASSERT_EQUAL(dial(&d[1], t, 1), XF_AGAIN);
        CU_ASSERT(lives(&d[0]) && lives(&d[1]));
        CU_ASSERT_EQUAL(dial(&d[2], !t, 0), XF_AGAIN);
        CU_ASSERT(!lives(&d[0]) && !lives(&d[1]) && lives(&d[2]));
        CU_ASSERT_EQUAL(dial(&d[3], t, 2), XF_AGAIN);
        CU_ASSERT(!lives(&d[3]));
        CU_ASSERT_EQUAL(dial(&d[4], !t, 1), XF_AGAIN);
        CU_ASSERT_EQUAL(dial(&d[5], !t, 2), 0);
        xf_gather_take(&g, &link);
        CU_ASSERT(link.ops == both[!t] && lives(&d[2]) && lives(&d[4]) && lives(&d[5]));
        xf_link_close(&link);
        end();
        hang_up(d, 6);
    }
}

/* Over the same transport: a link that was taken, one in the making, and a channel that comes
 * twice, which is told so and harms nobody. */
static void test_same(void)
{
    for (unsigned t = 0; t < 2; t++) {
        struct xf_link links[2] = {{0}};
        struct dial d[9];

        begin();
        xf_gather_keep(&g, both[t]);
        CU_ASSERT(g.nr == 1 && g.at[0].ops == both[t]);
        for (unsigned l = 0; l < 2; l++) {
            CU_ASSERT(!xf_gather_called(&g));
            CU_ASSERT_EQUAL(dial(&d[3 * l], t, 0), XF_AGAIN);
            CU_ASSERT(xf_gather_called(&g));
            CU_ASSERT_EQUAL(dial(&d[3 * l + 1], t, 1), XF_AGAIN);
            CU_ASSERT_EQUAL(dial(&d[3 * l + 2], t, 2), 0);
            xf_gather_take(&g, &links[l]);
        }
        for (unsigned i = 0; i < 6; i++)
            CU_ASSERT(lives(&d[i])); /* whoever has taken them closes them */
        CU_ASSERT_EQUAL(dial(&d[6], t, 0), XF_AGAIN);
        CU_ASSERT_EQUAL(dial(&d[7], t, 1), XF_AGAIN);
        CU_ASSERT_EQUAL(dial(&d[8], t, 1), XF_AGAIN);
        CU_ASSERT(!d[8].chan && d[8].err.num == EEXIST);
        CU_ASSERT(lives(&d[7]));
        CU_ASSERT_EQUAL(dial(&d[8], t, 0), XF_AGAIN); /* and anew */
        CU_ASSERT(!lives(&d[6]) && !lives(&d[7]) && lives(&d[8]));
        xf_link_close(&links[0]);
        xf_link_close(&links[1]);
        end();
        hang_up(d, 9);
    }
}

/* A refused peer takes its transport out; with the last one it is a failure. */
static void test_misfit(void)
{
    struct xf_link link = {0};
    struct xf_err err = {0};
    struct dial d[4];

    begin();
    CU_ASSERT_EQUAL(dial_as(&d[0], 0, 0, 3, &err), XF_AGAIN);
    CU_ASSERT(d[0].err.num == EPROTO && err.num == 0);
    CU_ASSERT(g.nr == 1 && g.at[0].ops == &xf_tcp_ops);
    CU_ASSERT_EQUAL(dial(&d[1], 1, 0), XF_AGAIN);
    CU_ASSERT_EQUAL(dial(&d[2], 1, 1), XF_AGAIN);
    CU_ASSERT_EQUAL(dial(&d[3], 1, 2), 0);
    xf_gather_take(&g, &link);
    xf_link_close(&link);
    hang_up(d + 1, 3);
    CU_ASSERT_EQUAL(dial_as(&d[0], 1, 0, 3, &err), -1);
    CU_ASSERT_EQUAL(err.num, EPROTO);
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"over either transport", test_either},
        {"begun anew", test_anew},
        {"the same transport again", test_same},
        {"a peer that does not fit", test_misfit},
        CU_TEST_INFO_NULL,
    };

    alarm(390);
    return run_suite("gathering channels", tests);
}
