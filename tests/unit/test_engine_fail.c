/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves that fail, at every place where they can: afterwards the guest runs at the source
 * as if nothing had happened, or, once GO is out, nowhere twice. And a source that lies.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pages/bitmap.h"
#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"

static struct move m;
static uint8_t *before; /* the guest's memory when the move began */

#define OPEN(encrypt) CU_ASSERT_FATAL(move_open(&m, encrypt, 2))
#define EVERY_LINK(e) for (int e = 0; e < 2; e++)

static void go(void)
{
    before = malloc((size_t)FAKE_GFNS * XF_PAGE_SIZE);
    memcpy(before, m.f->at_source.mem, (size_t)FAKE_GFNS * XF_PAGE_SIZE);
    move_run(&m);
}

/* Memory is as it was, but for the pages that Xen itself writes when it suspends a guest. */
static bool untouched(void)
{
    for (uint64_t g = 0; g < FAKE_GFNS; g++) {
        bool xens = m.f->calls[FAKE_SUSPEND] && (g == 3 || g == 4995);
        bool came = g >= FAKE_SPARE && g < FAKE_SPARE + 100;

        if (!xens && !came &&
            memcmp(before + g * XF_PAGE_SIZE, m.f->at_source.mem + g * XF_PAGE_SIZE, XF_PAGE_SIZE))
            return false;
    }
    return true;
}

/* What holds after every failure: the log is off, nobody was told to run twice, and both
 * sides say why. */
static void failed(int num)
{
    CU_ASSERT(untouched());
    free(before);
    CU_ASSERT_FALSE(m.f->log_on);
    CU_ASSERT_EQUAL(m.f->broken, 0);
    if (m.f->broken)
        fprintf(stderr, "broken: %s\n", m.f->what);
    CU_ASSERT(m.err.num != 0 && m.err.text[0]);
    if (num)
        CU_ASSERT_EQUAL(m.err.num, num);
    if (num && num != m.err.num)
        fprintf(stderr, "error %d, not %d: %s\n", m.err.num, num, m.err.text);
}

/* Failed before GO: it runs here, never ran there. */
static void stayed(int num, bool suspended)
{
    failed(num);
    CU_ASSERT_EQUAL(m.end, XF_SWITCH_BACK);
    CU_ASSERT(m.f->running && !m.f->runs_at_sink);
    CU_ASSERT_EQUAL(m.f->calls[FAKE_SUSPEND] > 0, suspended);
    CU_ASSERT_EQUAL(m.f->calls[FAKE_RESUME], suspended ? 1u : 0u);
    CU_ASSERT_EQUAL(m.committed, 0);
    CU_ASSERT_NOT_EQUAL(m.sink_end, XF_SINK_RUNS);
    CU_ASSERT(move_close(&m));
}

/* --- operations that fail, one by one --- */

/* Every source operation that can fail before the suspend, in its first and a later call. */
static void test_source_copy(void)
{
    static const struct {
        enum fake_op op;
        unsigned nth;
    } list[] = {
        {FAKE_VIEW_OPEN, 1},  {FAKE_VIEW_OPEN, 2}, {FAKE_VIEW_OPEN, 3}, {FAKE_CLASSIFY, 1},
        {FAKE_CLASSIFY, 7},   {FAKE_CLASSIFY, 12}, {FAKE_MAP, 1},       {FAKE_MAP, 4},
        {FAKE_LOG_START, 1},  {FAKE_PEEK, 1},      {FAKE_PEEK, 2},      {FAKE_CLEAN, 1},
        {FAKE_POPULATION, 1}, {FAKE_TARGET, 1},    {FAKE_TARGET, 2},    {FAKE_POPULATION, 2}};

    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        OPEN(i & 1);
        m.f->fail[list[i].op] = list[i].nth;
        go();
        stayed(EIO, false);
    }
}

static enum fake_op failing;

static void fail_in_switch(struct fake *f, enum fake_op op, unsigned nth)
{
    (void)nth;
    if (op != FAKE_SUSPEND)
        return;
    fake_balloon_in(f, FAKE_SPARE, 9); /* so that the sink has to populate, too */
    fake_balloon_out(f, FAKE_SPARE + 1);
    fake_fail_next(f, failing);
}

static void test_switch_ops(void)
{
    static const enum fake_op list[] = {FAKE_LAST,     FAKE_POPULATION, FAKE_CLASSIFY,
                                        FAKE_MAP,      FAKE_STATE,      FAKE_POPULATE,
                                        FAKE_SINK_MAP, FAKE_LOAD_STATE};

    for (unsigned i = 0; i < 2 * sizeof(list) / sizeof(list[0]); i++) {
        OPEN(i & 1);
        failing = list[i / 2];
        m.f->hook = fail_in_switch;
        go();
        stayed(EIO, true);
    }
}

static void test_suspend_fails(void)
{
    OPEN(false);
    m.f->fail[FAKE_SUSPEND] = 1;
    go();
    failed(EIO);
    CU_ASSERT_EQUAL(m.end, XF_SWITCH_BACK);
    CU_ASSERT_EQUAL(m.copy.times.suspended, 0); /* how the caller tells that it never stopped */
    CU_ASSERT_EQUAL(m.f->calls[FAKE_RESUME], 0);
    CU_ASSERT(m.f->running && !m.f->runs_at_sink);
    CU_ASSERT(move_close(&m));
}

static void test_stuck(void)
{
    OPEN(true);
    m.f->fail[FAKE_LOAD_STATE] = 1;
    m.f->fail[FAKE_RESUME] = 1;
    go();
    failed(EIO);
    CU_ASSERT_EQUAL(m.end, XF_SWITCH_STUCK);
    CU_ASSERT(!m.f->running && !m.f->runs_at_sink);
    CU_ASSERT_EQUAL(m.sink_end, XF_SINK_FAILED);
    CU_ASSERT(move_close(&m));
}

static int object(void *priv, struct xf_err *err)
{
    (void)priv;
    return xf_fail(err, EBUSY, "the name is taken");
}

static void test_objection(void)
{
    OPEN(true);
    m.before_go = object;
    go();
    CU_ASSERT_EQUAL(m.sink_end, XF_SINK_ABORTED);
    CU_ASSERT_EQUAL(m.sink_err.num, 0);
    stayed(EBUSY, true);
}

/* The destination gives up after it has loaded everything, while the source gets ready for GO:
 * the last moment at which that can be seen. */
static int sink_ends(void *priv, struct xf_err *err)
{
    (void)priv;
    (void)err;
    atomic_store(&m.sink_stop, true);
    move_join(&m);
    return 0;
}

static void test_gone_before_go(void)
{
    EVERY_LINK(e)
    {
        OPEN(e);
        m.before_go = sink_ends;
        go();
        CU_ASSERT_EQUAL(m.sink_end, XF_SINK_FAILED);
        stayed(ECANCELED, true);
    }
}

/* Somebody else lets the suspended guest run on here, at the last moment (of one that is destroyed
 * `suspended` says the same): no GO, and nothing to resume. */
static int taken_up(void *priv, struct xf_err *err)
{
    (void)priv;
    (void)err;
    pthread_mutex_lock(&m.f->lock);
    m.f->running = true;
    pthread_mutex_unlock(&m.f->lock);
    return 0;
}

static void test_taken_up(void)
{
    OPEN(false);
    m.before_go = taken_up;
    go();
    CU_ASSERT_EQUAL(m.sink_end, XF_SINK_ABORTED);
    failed(ESRCH);
    CU_ASSERT_EQUAL(m.end, XF_SWITCH_BACK);
    CU_ASSERT(m.f->running && !m.f->runs_at_sink && m.committed == 0);
    CU_ASSERT_EQUAL(m.f->calls[FAKE_RESUME], 0);
    CU_ASSERT(move_close(&m));
}

/* The guest ends in COPY, at whatever it is that the source does then: it is not asked to suspend,
 * and what is said is what happened. */
static enum fake_op ends_at;

static void ends(struct fake *f, enum fake_op op, unsigned nth)
{
    (void)nth;
    if (op != ends_at)
        return;
    pthread_mutex_lock(&f->lock);
    f->ended = true;
    pthread_mutex_unlock(&f->lock);
}

static void test_guest_ends(void)
{
    static const enum fake_op list[] = {FAKE_CLASSIFY, FAKE_MAP, FAKE_PEEK, FAKE_TARGET,
                                        FAKE_POPULATION};

    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        OPEN(i & 1);
        ends_at = list[i];
        m.f->hook = ends;
        go();
        CU_ASSERT_STRING_EQUAL(m.err.text, "the guest has crashed");
        CU_ASSERT_EQUAL(m.sink_end, XF_SINK_ABORTED);
        stayed(ESRCH, false);
    }
}

/* COPY of hours: nobody waits for the end of the round, nor for anything that the pages wait for.
 */
static void test_guest_ends_at_once(void)
{
    double began = xf_now();

    OPEN(true);
    m.copy.opts.bandwidth = 64 * XF_PAGE_SIZE;
    ends_at = FAKE_MAP;
    m.f->hook = ends;
    go();
    CU_ASSERT(xf_now() - began < 5 && m.f->calls[FAKE_MAP] < 20);
    stayed(ESRCH, false);
}

/* --- the sink --- */

static void test_sink_copy(void)
{
    static const enum fake_op list[] = {FAKE_SINK_VIEW, FAKE_POPULATE, FAKE_SINK_MAP};

    EVERY_LINK(e)
    {
        for (unsigned i = 0; i < 3; i++) {
            for (unsigned nth = 1; nth <= 2; nth++) {
                OPEN(e);
                m.f->fail[list[i]] = nth;
                go();
                CU_ASSERT_EQUAL(m.sink_end, XF_SINK_FAILED);
                CU_ASSERT_EQUAL(m.sink_err.num, EIO);
                /* The source reports the sink's reason, not that a channel broke. */
                CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "destination: fake operation"));
                stayed(EIO, false);
            }
        }
        OPEN(e);
        m.f->limit = 3000;
        go();
        CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "no more memory"));
        stayed(ENOMEM, false);
    }
}

static void kill_in_copy(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op == FAKE_SINK_MAP && nth == 3)
        move_kill_sink(f->priv);
}

static void kill_in_switch(struct fake *f, enum fake_op op, unsigned nth)
{
    (void)nth;
    if (op == FAKE_LOAD_STATE)
        move_kill_sink(f->priv);
}

static void freeze_in_switch(struct fake *f, enum fake_op op, unsigned nth)
{
    (void)nth;
    if (op == FAKE_LOAD_STATE)
        move_freeze(f->priv);
}

static void test_sink_dies(void)
{
    EVERY_LINK(e)
    {
        OPEN(e);
        m.f->hook = kill_in_copy;
        go();
        stayed(0, false);

        OPEN(e);
        m.f->hook = kill_in_switch;
        go();
        stayed(0, true);
    }
}

/* A sink that says nothing more must not cost the guest more than seconds. */
static void test_sink_hangs(void)
{
    OPEN(true);
    m.f->hook = freeze_in_switch;
    go();
    CU_ASSERT(m.copy.times.suspended > 0);
    CU_ASSERT(xf_now() - m.copy.times.suspended < 10);
    stayed(ETIMEDOUT, true);
}

/* A line that takes nothing: a batch is on its way, and none is queued behind it. A cancel
 * does not wait until the link is judged dead. */
static atomic_bool aborted;

static int stuck_send(struct xf_chan *c, const struct xf_msg *msg, const void *meta,
                      const struct iovec *iov, int niov, struct xf_err *err)
{
    if (msg->type != XF_MSG_BATCH)
        return xf_tcp_ops.send(c, msg, meta, iov, niov, err);
    atomic_store(&m.cancel, true);
    for (int i = 0; i < 400 && !atomic_load(&aborted); i++)
        usleep(20000);
    return xf_fail(err, ECANCELED, "given up");
}

static void stuck_abort(struct xf_chan *c)
{
    atomic_store(&aborted, true);
    xf_tcp_ops.abort(c);
}

static void test_cancel_stuck(void)
{
    struct xf_transport_ops stuck = xf_tcp_ops;
    double began;

    stuck.send = stuck_send;
    stuck.abort = stuck_abort;
    atomic_store(&aborted, false);
    OPEN(false);
    m.source.ops = &stuck;
    m.copy.opts.bandwidth = 2u << 20; /* the second batch is due in 2 s */
    move_serve(&m);
    CU_ASSERT_EQUAL_FATAL(xf_copy_begin(&m.copy, &m.err), 0);
    CU_ASSERT_EQUAL(xf_copy_rounds(&m.copy, &m.err), -1);
    CU_ASSERT_EQUAL(m.err.num, ECANCELED);
    began = xf_now();
    xf_copy_end(&m.copy);
    CU_ASSERT(xf_now() - began < 4);
    CU_ASSERT(m.f->running && !m.f->log_on);
    CU_ASSERT(move_close(&m));
}

/* --- cancel --- */

static enum fake_op cancel_at;
static unsigned cancel_nth;

static void cancel(struct fake *f, enum fake_op op, unsigned nth)
{
    struct move *mm = f->priv;

    if (op == cancel_at && nth == cancel_nth)
        atomic_store(&mm->cancel, true);
}

static void test_cancel(void)
{
    static const struct {
        enum fake_op op;
        unsigned nth;
        bool suspended;
    } list[] = {{FAKE_MAP, 1, false},   {FAKE_PEEK, 1, false},     {FAKE_CLEAN, 1, false},
                {FAKE_CLEAN, 2, false}, {FAKE_SUSPEND, 1, true},   {FAKE_LAST, 1, true},
                {FAKE_STATE, 1, true},  {FAKE_LOAD_STATE, 1, true}};

    EVERY_LINK(e)
    {
        for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
            OPEN(e);
            cancel_at = list[i].op;
            cancel_nth = list[i].nth;
            m.f->hook = cancel;
            go();
            CU_ASSERT_EQUAL(m.sink_end, XF_SINK_ABORTED);
            stayed(ECANCELED, list[i].suspended);
        }
    }
}

/* The other side is told to stop. */
static void stop_sink(struct fake *f, enum fake_op op, unsigned nth)
{
    struct move *mm = f->priv;

    if (op == FAKE_SINK_MAP && nth == 2)
        atomic_store(&mm->sink_stop, true);
}

static void test_sink_stops(void)
{
    EVERY_LINK(e)
    {
        OPEN(e);
        m.f->hook = stop_sink;
        m.copy.opts.bandwidth = 20u << 20;
        go();
        CU_ASSERT_EQUAL(m.sink_end, XF_SINK_FAILED);
        stayed(ECANCELED, false);
    }
}

/* --- after GO --- */

static void unknown(void)
{
    failed(0);
    CU_ASSERT_EQUAL(m.end, XF_SWITCH_UNKNOWN);
    CU_ASSERT_EQUAL(m.f->calls[FAKE_RESUME], 0);
    CU_ASSERT_FALSE(m.f->running);
    CU_ASSERT_EQUAL(m.committed, 1);
    CU_ASSERT_EQUAL(m.sink_end, XF_SINK_RUNS);
    CU_ASSERT(move_close(&m));
}

static void kill_at_run(struct fake *f, enum fake_op op, unsigned nth)
{
    struct move *mm = f->priv;

    (void)nth;
    if (op == FAKE_RUN)
        mm->sink.ops->abort(mm->sink.control);
}

static void freeze_at_run(struct fake *f, enum fake_op op, unsigned nth)
{
    (void)nth;
    if (op == FAKE_RUN)
        move_freeze(f->priv);
}

static void test_unknown(void)
{
    EVERY_LINK(e)
    {
        OPEN(e);
        m.f->hook = kill_at_run;
        go();
        CU_ASSERT(m.f->runs_at_sink);
        unknown();

        OPEN(e);
        m.f->fail[FAKE_RUN] = 1;
        go();
        CU_ASSERT_FALSE(m.f->runs_at_sink);
        CU_ASSERT_EQUAL(m.sink_err.num, EIO);
        CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "destination: "));
        unknown();
    }
}

static void test_no_answer(void)
{
    OPEN(true);
    m.f->hook = freeze_at_run;
    go();
    CU_ASSERT_EQUAL(m.err.num, ETIMEDOUT);
    unknown();
}

/* A cancel or a word from the sink that comes after GO is out changes nothing any more. */
static void cancel_late(struct fake *f, enum fake_op op, unsigned nth)
{
    struct move *mm = f->priv;

    (void)nth;
    if (op == FAKE_RUN) {
        atomic_store(&mm->cancel, true);
        atomic_store(&mm->sink_stop, true);
    }
}

static void test_cancel_late(void)
{
    OPEN(true);
    m.f->hook = cancel_late;
    move_run(&m);
    CU_ASSERT_EQUAL(m.end, XF_SWITCHED);
    CU_ASSERT_EQUAL(m.sink_end, XF_SINK_RUNS);
    CU_ASSERT(m.f->runs_at_sink && !m.f->running);
    CU_ASSERT(move_close(&m));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"source fails in COPY", test_source_copy},
        {"operations fail in SWITCH", test_switch_ops},
        {"suspend fails", test_suspend_fails},
        {"stuck", test_stuck},
        {"objection before GO", test_objection},
        {"gone before GO", test_gone_before_go},
        {"the guest is not suspended any more before GO", test_taken_up},
        {"the guest ends in COPY", test_guest_ends},
        {"the guest ends in a long round", test_guest_ends_at_once},
        {"sink fails in COPY", test_sink_copy},
        {"sink dies", test_sink_dies},
        {"sink hangs in SWITCH", test_sink_hangs},
        {"cancel while the line hangs", test_cancel_stuck},
        {"cancel", test_cancel},
        {"sink is stopped", test_sink_stops},
        {"GO and no good answer", test_unknown},
        {"GO and no answer", test_no_answer},
        {"cancel after GO", test_cancel_late},
        CU_TEST_INFO_NULL,
    };

    alarm(390);
    return run_suite("engine, failures", tests);
}
