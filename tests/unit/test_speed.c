/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Measuring a link: what comes out, and peers that do something else. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"
#include "transport/speed.h"

static struct move m;
static struct xf_err sink_err;
static int sink_rc, within_ms;
static atomic_bool stop, served;

static int sink_tick(void *priv, struct xf_err *err)
{
    (void)priv;
    return stop ? xf_fail(err, ECANCELED, "the sink was told to stop") : 0;
}

static void *serve_main(void *arg)
{
    (void)arg;
    sink_rc = xf_speed_serve(&m.sink, within_ms, (struct xf_tick){sink_tick, NULL}, &sink_err);
    xf_link_close(&m.sink);
    served = true;
    return NULL;
}

/* Answers the first message of each bulk channel with one of the wrong kind. */
static void *lie_main(void *arg)
{
    const struct xf_transport_ops *ops = m.sink.ops;
    struct xf_msg msg = {.type = XF_MSG_PONG};
    uint8_t *meta = malloc(XF_META_MAX);
    struct xf_msg got;

    (void)arg;
    for (int i = 0; i < 5; i++)
        if (!ops->recv(m.sink.control, &got, meta, -1, NULL))
            ops->send(m.sink.control, &msg, NULL, NULL, 0, NULL);
    msg.type = XF_MSG_SYNC_ACK;
    ops->send(m.sink.bulk[0], &msg, NULL, NULL, 0, NULL);
    while (!stop)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    free(meta);
    return NULL;
}

static void open_with(void *(*sink)(void *), bool encrypt, unsigned channels)
{
    sink_err = (struct xf_err){0};
    stop = served = false;
    within_ms = 60000;
    CU_ASSERT_TRUE_FATAL(move_open(&m, encrypt, channels));
    if (sink)
        m.serving = pthread_create(&m.thread, NULL, sink, NULL) == 0;
}

static void close_it(void)
{
    xf_link_close(&m.source);
    move_join(&m);
    CU_ASSERT(move_close(&m));
}

static void test_measure(void)
{
    for (unsigned i = 0; i < 4; i++) {
        struct xf_speed s;
        struct xf_err err = {0};

        open_with(serve_main, i & 1, i < 2 ? 1 : 3);
        for (int again = 0; again < 2; again++) {
            CU_ASSERT_EQUAL(xf_speed_measure(&m.source, (struct xf_tick){0}, &s, &err), 0);
            CU_ASSERT(s.bytes_per_s > 0 && s.round_trip_s > 0 && s.round_trip_s < 10);
            CU_ASSERT(s.bytes >= (i < 2 ? 1 : 3) * (256u << 10));
        }
        close_it();
        CU_ASSERT_EQUAL(sink_rc, 0);
        CU_ASSERT_STRING_EQUAL(sink_err.text, "");
    }
}

static int cancel(void *priv, struct xf_err *err)
{
    unsigned *left = priv;

    return *left && --*left ? 0 : xf_fail(err, ECANCELED, "interrupted");
}

static void test_cancelled(void)
{
    for (unsigned after = 1; after < 4; after++) {
        struct xf_speed s;
        struct xf_err err = {0};
        unsigned left = after;

        open_with(serve_main, false, 2);
        CU_ASSERT_EQUAL(xf_speed_measure(&m.source, (struct xf_tick){cancel, &left}, &s, &err), -1);
        CU_ASSERT_EQUAL(err.num, ECANCELED);
        close_it();
        CU_ASSERT_EQUAL(sink_rc, 0);
    }
}

static void test_lying_sink(void)
{
    struct xf_speed s;
    struct xf_err err = {0};

    open_with(lie_main, false, 2);
    CU_ASSERT_EQUAL(xf_speed_measure(&m.source, (struct xf_tick){0}, &s, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "the destination answered a probe with message 3"));
    stop = true;
    close_it();
}

static void await_end(void)
{
    for (int i = 0; i < 20000 && !served; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    CU_ASSERT(served);
    close_it();
    CU_ASSERT_EQUAL(sink_rc, -1);
}

static void test_lying_source(void)
{
    static uint8_t big[(1u << 20) + 1];
    const struct {
        uint16_t type;
        uint32_t payload, meta;
        bool control;
        const char *said;
    } lies[] = {
        {XF_MSG_BATCH, 0, 0, false, "the source sent message 1 (0 bytes) while it measures"},
        {XF_MSG_PROBE, sizeof(big), 0, false, "message 56 (1048577 bytes) while it measures"},
        {XF_MSG_PROBE, 0, 8, false, "the source sent message 56"},
        {XF_MSG_GO, 0, 0, true, "the source sent message 22 while it measures the link"},
        {XF_MSG_PING, 4096, 0, true, "the source sent message 26 while it measures the link"},
    };

    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct xf_msg msg = {
            .type = lies[i].type, .meta_len = lies[i].meta, .payload_len = lies[i].payload};
        struct iovec iov = {big, lies[i].payload};

        open_with(serve_main, false, 2);
        m.source.ops->send(lies[i].control ? m.source.control : m.source.bulk[1], &msg, big, &iov,
                           lies[i].payload ? 1 : 0, NULL);
        await_end();
        CU_ASSERT_PTR_NOT_NULL(strstr(sink_err.text, lies[i].said));
    }
}

/* A source that connects and does nothing is not waited for for ever; and the sink can be told. */
static void test_idle_source(void)
{
    open_with(NULL, false, 1);
    within_ms = 20;
    m.serving = pthread_create(&m.thread, NULL, serve_main, NULL) == 0;
    await_end();
    CU_ASSERT_EQUAL(sink_err.num, ETIMEDOUT);
    open_with(serve_main, false, 1);
    stop = true;
    await_end();
    CU_ASSERT_EQUAL(sink_err.num, ECANCELED);
}

int main(void)
{
    CU_TestInfo tests[] = {{"measure", test_measure},
                           {"cancelled", test_cancelled},
                           {"a sink that lies", test_lying_sink},
                           {"a source that lies", test_lying_source},
                           {"a source that does nothing", test_idle_source},
                           CU_TEST_INFO_NULL};

    return run_suite("speed of a link", tests);
}
