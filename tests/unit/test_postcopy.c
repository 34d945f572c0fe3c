/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A post-copy move until its guest runs at the sink: what is left out then, and what is not.
 * Zero pages are told in COPY and are in place; whatever the guest does to them afterwards,
 * no byte may be lost. And COPY outlives its link, as that of any other move does.
 */
#include <stdio.h>
#include <string.h>

#include "pages/absent.h"
#include "tests/conformance/loopback.h"
#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"

static struct move m;
static struct xf_absent absent;
static uint8_t late[FAKE_GFNS]; /* as the pager has it */

/* --- a pager for the fake guest --- */

static int mark(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *no,
                struct xf_err *err)
{
    (void)v;
    (void)no;
    (void)err;
    for (unsigned i = 0; i < n; i++) {
        m.f->broken += !m.f->at_sink.has[gfns[i]] || late[gfns[i]];
        late[gfns[i]] = 1;
        memset(m.f->at_sink.mem + gfns[i] * XF_PAGE_SIZE, 0xdd, XF_PAGE_SIZE);
    }
    return 0;
}

static int put(struct xf_view *v, const uint64_t *gfns, const uint8_t *const *pages, unsigned n,
               struct xf_err *err)
{
    (void)v;
    (void)err;
    for (unsigned i = 0; i < n; i++) {
        m.f->broken += !late[gfns[i]];
        late[gfns[i]] = 0;
        fake_put(m.f, gfns[i], pages[i]);
    }
    return 0;
}

static const struct xf_pager_ops ops = {.mark = mark, .put = put};

/* --- a move --- */

static void open_move(const struct xf_loopback_fault *fault, const struct xf_transport_ops *second,
                      unsigned channels)
{
    xf_loopback_faults(fault, fault != NULL);
    CU_ASSERT_FATAL(move_open_over(&m, &xf_loopback_ops, second, false, channels, 10000));
    memset(late, 0, sizeof(late));
    m.copy.opts.mode = XF_MODE_POSTCOPY;
    m.f->dst.pager = &ops;
    CU_ASSERT_FATAL(xf_absent_init(&absent, &m.f->dst, NULL) == 0);
    m.f->dst.absent = &absent;
}

static bool is_zero(uint64_t gfn)
{
    static const uint8_t zeros[XF_PAGE_SIZE];

    return !memcmp(m.f->at_source.mem + gfn * XF_PAGE_SIZE, zeros, XF_PAGE_SIZE);
}

/* It runs at the sink; what is missing there is what both sides mean, and when that has come
 * it has all of its memory. Returns how many pages of those missing were zero, or -1. */
static int arrived(void)
{
    char why[100] = "it does not run there";
    uint64_t missing = 0;
    int zeros = 0;
    bool good = m.end == XF_SWITCHED && m.sink_end == XF_SINK_RUNS && m.f->runs_at_sink;

    for (uint64_t g = 0; good && g < FAKE_GFNS; g++) {
        if (late[g] != xf_is_absent(&absent, g))
            good = false;
        if (!late[g])
            continue;
        missing++;
        zeros += is_zero(g);
        memcpy(m.f->at_sink.mem + g * XF_PAGE_SIZE, m.f->at_source.mem + g * XF_PAGE_SIZE,
               XF_PAGE_SIZE);
    }
    good = good && missing == absent.at_go && missing && fake_same(m.f, why, sizeof(why)) &&
           !m.f->broken;
    if (!good)
        fprintf(stderr, "%s; source: %s; sink: %s; %s\n", why, m.err.text, m.sink_err.text,
                m.f->what);
    xf_absent_free(&absent);
    return move_close(&m) && good ? zeros : -1;
}

/* --- tests --- */

static void test_quiet(void)
{
    open_move(NULL, NULL, 2);
    move_run(&m);
    CU_ASSERT(absent.at_go > FAKE_GFNS / 2);
    CU_ASSERT_EQUAL(arrived(), 0);
}

/* `xl mem-set` while zero pages are told. */
static void new_target(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op != FAKE_MAP || nth != 1)
        return;
    pthread_mutex_lock(&f->lock);
    f->target_kib = 12345;
    pthread_mutex_unlock(&f->lock);
}

static void test_target(void)
{
    uint64_t kib;

    open_move(NULL, NULL, 2);
    m.f->hook = new_target;
    move_run(&m);
    kib = m.f->sink_target_kib;
    CU_ASSERT_EQUAL(arrived(), 0);
    CU_ASSERT_EQUAL(kib, 12345);
}

/* The destination attaches devices long after the last round of a hybrid move. */
static void write_in_round(struct fake *f, enum fake_op op, unsigned nth)
{
    /* The first peek is within round 1, or the one on which the policy decides after it. */
    if (op == FAKE_PEEK && nth == 1)
        for (uint64_t g = 100; g < 1000; g++)
            fake_write(f, g, (uint32_t)g);
    if (op == FAKE_SUSPEND)
        CU_ASSERT(atomic_load(&m.devices));
}

static void test_devices_late(void)
{
    /* A link so slow that it pays to leave pages out. */
    const struct xf_loopback_fault f = {XF_FAULT_DELAY, 1, false, 1, 300};

    open_move(&f, NULL, 1);
    m.copy.opts.mode = XF_MODE_HYBRID;
    m.copy.opts.policy.max_rounds = 1;
    m.copy.opts.policy.max_downtime_s = 0;
    m.devices_late = 8;
    m.f->hook = write_in_round;
    move_run(&m);
    CU_ASSERT_EQUAL(m.copy.status.round, 1);
    CU_ASSERT(absent.at_go > 500);
    CU_ASSERT(arrived() >= 0);
}

/* Of what a hybrid move was to leave out nearly all was written again, and goes before GO: then
 * the rest does, too. */
static void write_again(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op == FAKE_PEEK && nth == 1)
        for (uint64_t g = 100; g < 1000; g++)
            fake_write(f, g, (uint32_t)g);
    if (op == FAKE_SUSPEND)
        for (uint64_t g = 105; g < 1000; g++)
            fake_write(f, g, (uint32_t)g + 1);
}

static void test_few_left(void)
{
    const struct xf_loopback_fault f = {XF_FAULT_DELAY, 1, false, 1, 300};
    char why[100] = "it does not run there";

    open_move(&f, NULL, 1);
    m.copy.opts.mode = XF_MODE_HYBRID;
    m.copy.opts.fixed_s = 0.3;
    m.copy.opts.policy.max_rounds = 1;
    m.copy.opts.policy.max_downtime_s = 0;
    m.f->hook = write_again;
    move_run(&m);
    CU_ASSERT(m.end == XF_SWITCHED && m.sink_end == XF_SINK_RUNS && m.f->runs_at_sink);
    CU_ASSERT(m.copy.status.leave && !m.copy.nr_missing); /* it was to leave some, and did not */
    CU_ASSERT_EQUAL(absent.at_go, 0);
    CU_ASSERT_EQUAL(m.f->broken, 0);
    CU_ASSERT(fake_same(m.f, why, sizeof(why)));
    xf_absent_free(&absent);
    CU_ASSERT(move_close(&m));
}

/* Zero pages get content after they have been told, at every moment from then on; and pages
 * with content become zero, which nobody needs to notice. */
static void as_writer(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op == FAKE_CLEAN && nth == 1)
        fake_write(f, 14, 77);
    if (op == FAKE_CLEAN && nth == 1)
        fake_write(f, 15, 0);
    if (op == FAKE_SINK_MAP)
        fake_write(f, 7 * nth, nth);
    if (op == FAKE_SUSPEND)
        fake_write(f, 21, 78);
}

static void test_written(void)
{
    open_move(NULL, NULL, 2);
    m.f->hook = as_writer;
    move_run(&m);
    CU_ASSERT(late[14] && late[15]);
    CU_ASSERT(!late[21]); /* hot: it goes before GO */
    CU_ASSERT_EQUAL(arrived(), 1);
}

/* A zero page is given away, got back, and written where no log sees it. That the guest
 * balloons is seen by other pages. */
static void as_ballooner(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op != FAKE_CLEAN || nth != 1)
        return;
    fake_balloon_out(f, 28);
    fake_balloon_in(f, 28, 99);
    fake_balloon_out(f, 35);
    fake_balloon_in(f, FAKE_SPARE, 98);
}

static void test_ballooned(void)
{
    open_move(NULL, NULL, 2);
    m.f->hook = as_ballooner;
    move_run(&m);
    CU_ASSERT(late[28]);
    CU_ASSERT(arrived() > 100); /* nothing is taken for zero any more */
}

/* The link is lost while zero pages are told, at every message of it: four batches, of the
 * five that cover all gfns, and a sync, whose answer is the sink's first. */
static void test_lost_link(void)
{
    for (unsigned message = 1; message <= 6; message++) {
        const struct xf_loopback_fault f = {XF_FAULT_KILL, 1, message == 6,
                                            message % 6 + message / 6, 10};

        open_move(&f, &xf_tcp_ops, 1);
        m.f->hook = as_writer;
        move_run(&m);
        CU_ASSERT_EQUAL(xf_loopback_hits(), 1);
        CU_ASSERT_EQUAL(m.relinks, 1);
        CU_ASSERT(arrived() >= 0);
    }
}

/* It is lost while the source waits for the guest's devices. */
static void test_devices(void)
{
    for (unsigned i = 0; i < 4; i++) {
        const struct xf_loopback_fault f = {XF_FAULT_KILL, 0, i & 1, 1, i < 2 ? 0 : 10};

        open_move(&f, &xf_tcp_ops, 2);
        m.devices_late = 3;
        move_run(&m);
        CU_ASSERT_EQUAL(m.relinks, 1);
        CU_ASSERT_EQUAL(m.sink_relinks, 1);
        CU_ASSERT_EQUAL(xf_loopback_hits(), 1);
        CU_ASSERT_EQUAL(arrived(), 0);
    }
    /* And without another way to go the guest stays. */
    const struct xf_loopback_fault f = {XF_FAULT_KILL, 0, false, 1, 0};

    open_move(&f, NULL, 2);
    move_run(&m);
    CU_ASSERT(m.end == XF_SWITCH_BACK && m.f->running && !m.f->runs_at_sink && !m.switched);
    xf_absent_free(&absent);
    CU_ASSERT(move_close(&m));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a guest that does nothing", test_quiet},
        {"target", test_target},
        {"hybrid, devices late", test_devices_late},
        {"hybrid, few pages left", test_few_left},
        {"zero pages that are written", test_written},
        {"zero pages that are ballooned out and in", test_ballooned},
        {"a link lost while zero pages are told", test_lost_link},
        {"a link lost while devices are awaited", test_devices},
        CU_TEST_INFO_NULL,
    };

    return run_suite("post-copy, until GO", tests);
}
