/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves that succeed: the real engine (COPY, SWITCH, sink) carries a fake guest over TCP,
 * and the memory at the sink is compared byte for byte. What fails is in
 * test_engine_fail.c.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"

static struct move m;

/* The move went well, both sides think so, and nothing was lost or left behind. */
static void arrived(void)
{
    char why[100] = "";
    bool same = fake_same(m.f, why, sizeof(why));

    CU_ASSERT_EQUAL(m.end, XF_SWITCHED);
    if (m.end != XF_SWITCHED)
        fprintf(stderr, "source: %s; sink: %s\n", m.err.text, m.sink_err.text);
    CU_ASSERT_EQUAL(m.sink_end, XF_SINK_RUNS);
    CU_ASSERT_EQUAL(m.sink_err.num, 0);
    CU_ASSERT_EQUAL(atomic_load(&m.committed), 1);
    CU_ASSERT(m.f->runs_at_sink && !m.f->running);
    CU_ASSERT_FALSE(m.f->log_on);
    CU_ASSERT_EQUAL(atomic_load(&m.f->calls[FAKE_LOG_STOP]), 1);
    CU_ASSERT(same);
    if (!same)
        fprintf(stderr, "%s\n", why);
    CU_ASSERT_EQUAL(m.f->broken, 0);
    if (m.f->broken)
        fprintf(stderr, "broken: %s\n", m.f->what);
}

static void finish(void)
{
    CU_ASSERT(move_close(&m));
}

#define OPEN(encrypt, channels) CU_ASSERT_FATAL(move_open(&m, encrypt, channels))
#define EVERY_LINK(e) for (int e = 0; e < 2; e++)

static void test_idle(void)
{
    static const unsigned channels[] = {1, 2, 5};

    EVERY_LINK(e)
    {
        for (unsigned i = 0; i < 3; i++) {
            OPEN(e, channels[i]);
            move_run(&m);
            arrived();
            /* No page twice, and the rings by nobody. */
            CU_ASSERT_EQUAL(m.copy.status.round, 3);
            CU_ASSERT_EQUAL(m.copy.status.reason, XF_SWITCH_ROUNDS);
            CU_ASSERT_EQUAL(m.copy.times.pages, 2); /* what Xen wrote */
            CU_ASSERT(m.copy.times.running >= m.copy.times.loaded);
            CU_ASSERT(m.copy.times.loaded >= m.copy.times.log_read);
            CU_ASSERT(m.copy.times.suspended >= m.copy.times.began);
            finish();
        }
    }
}

/* Nothing may come after GO here, so being in a hurry changes nothing. (What it changes in a
 * hybrid move is in tests/procguest/test_status.c.) */
static void test_hurry(void)
{
    OPEN(false, 2);
    m.copy.switch_now = true;
    move_run(&m);
    arrived();
    CU_ASSERT_EQUAL(m.copy.status.round, 3);
    CU_ASSERT_EQUAL(m.copy.status.reason, XF_SWITCH_ROUNDS);
    CU_ASSERT_PTR_NULL(m.copy.missing);
    finish();
}

/* --- what the guest does meanwhile: hooks --- */

/* Balloon out in round 1's wake, in round 2's, between suspend and the last look. */
static void balloon_out(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op == FAKE_CLEAN && nth == 1) { /* sent in round 1, gone before round 2 looks */
        fake_balloon_out(f, 10);
        for (uint64_t g = 1100; g < 2048; g++)
            fake_balloon_out(f, g);
    }
    if (op == FAKE_CLEAN && nth == 2) {
        fake_write(f, 20, 5);
        fake_balloon_out(f, 20); /* dirty and gone */
    }
    if (op == FAKE_SUSPEND)
        fake_balloon_out(f, 30);
}

static void test_balloon_out(void)
{
    EVERY_LINK(e)
    {
        OPEN(e, 2);
        m.f->hook = balloon_out;
        move_run(&m);
        arrived();
        CU_ASSERT_FALSE(m.f->at_sink.has[10]);
        CU_ASSERT_FALSE(m.f->at_sink.has[1500]);
        CU_ASSERT_FALSE(m.f->at_sink.has[20]);
        CU_ASSERT_FALSE(m.f->at_sink.has[30]);
        finish();
    }
}

/* A page goes between the look at its kind and its mapping, in the middle of a batch. */
static void gone_before_map(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op == FAKE_MAP && nth <= 3)
        fake_balloon_out(f, 500 + nth);
}

static void test_gone_before_map(void)
{
    OPEN(false, 1);
    m.f->hook = gone_before_map;
    move_run(&m);
    arrived();
    CU_ASSERT_FALSE(m.f->at_sink.has[501]);
    finish();
}

/* Out in one round and back in the next, with other content, and written unlogged. */
static void out_and_in(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op == FAKE_CLEAN && nth == 1) {
        fake_balloon_out(f, 40);
        fake_balloon_out(f, 41);
        fake_balloon_out(f, 42);
    }
    if (op == FAKE_CLEAN && nth == 2) {
        fake_balloon_in(f, 40, 4040);
        fake_balloon_in(f, 41, 0); /* back as zeros */
    }
    if (op == FAKE_CLEAN && nth == 3)
        fake_write(f, 40, 4041); /* still unlogged: it came after CLEAN 1 and 2 caught it */
    if (op == FAKE_SUSPEND)
        fake_balloon_in(f, 42, 4242);
}

static void test_out_and_in(void)
{
    EVERY_LINK(e)
    {
        OPEN(e, 2);
        m.f->hook = out_and_in;
        m.copy.opts.policy.max_rounds = 5;
        move_run(&m);
        arrived();
        CU_ASSERT(m.f->at_sink.has[40] && m.f->at_sink.has[41] && m.f->at_sink.has[42]);
        finish();
    }
}

/* New pages that are written while nothing logs them: after the CLEAN but before the sweep
 * (which then finds them), and again before each later CLEAN. */
static void balloon_in(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op == FAKE_POPULATION && nth == 3) { /* within round 2's sweep, after its CLEAN */
        fake_balloon_in(f, FAKE_SPARE, 1);
        fake_balloon_in(f, FAKE_HOLE2 + 512, 1); /* where a whole chunk had no page */
    }
    if (op == FAKE_CLEAN && nth == 2) { /* written after it was sent, before logging begins */
        fake_write(f, FAKE_SPARE, 2);
        fake_write(f, FAKE_HOLE2 + 512, 2);
        fake_balloon_in(f, FAKE_SPARE + 1, 1);
    }
    if (op == FAKE_LAST)
        return;
    if (op == FAKE_SUSPEND) {
        fake_write(f, FAKE_SPARE, 3);
        fake_write(f, FAKE_SPARE + 1, 3);
        fake_balloon_in(f, FAKE_SPARE + 2, 3);
    }
}

static void test_balloon_in(void)
{
    for (unsigned rounds = 2; rounds <= 6; rounds++) {
        OPEN(rounds & 1, 2);
        m.f->hook = balloon_in;
        m.copy.opts.policy.max_rounds = rounds;
        move_run(&m);
        arrived();
        CU_ASSERT(m.f->at_sink.has[FAKE_SPARE] && m.f->at_sink.has[FAKE_HOLE2 + 512]);
        finish();
    }
}

/* --- a guest that never rests --- */

struct guest {
    pthread_t thread;
    atomic_bool stop;
    unsigned hot; /* pages that it writes */
    bool balloons;
    unsigned writes;
    unsigned out_at[100]; /* of FAKE_SPARE + n: CLEANs + 1 when it was ballooned out */
};

/* A page may come and go, but for good between two looks: out and in again within one round
 * is what nothing at the source can see (Xen neither logs nor tells). */
static void balloon(struct guest *g, uint32_t x)
{
    unsigned n = (x >> 16) % 100, cleans = atomic_load(&m.f->calls[FAKE_CLEAN]);

    if (x & 64) {
        fake_balloon_out(m.f, FAKE_SPARE + n);
        g->out_at[n] = cleans + 1;
    } else if (!g->out_at[n] || cleans > g->out_at[n]) {
        fake_balloon_in(m.f, FAKE_SPARE + n, x | 1);
    }
}

static void *guest_main(void *arg)
{
    struct guest *g = arg;
    uint32_t x = 1;

    while (!atomic_load(&g->stop)) {
        uint64_t gfn;

        x = x * 1664525u + 1013904223u;
        gfn = 100 + (x >> 8) % g->hot;
        fake_write(m.f, gfn, x % 11 ? x | 1 : 0);
        if (g->balloons && x % 64 == 5) {
            balloon(g, x);
            fake_write(m.f, FAKE_SPARE + (x >> 12) % 100, x | 1);
        }
        if (++g->writes % 16 == 0)
            nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    return NULL;
}

static void guest_begin(struct guest *g, unsigned hot, bool balloons)
{
    *g = (struct guest){.hot = hot, .balloons = balloons};
    pthread_create(&g->thread, NULL, guest_main, g);
}

static void guest_end(struct guest *g)
{
    atomic_store(&g->stop, true);
    pthread_join(g->thread, NULL);
    CU_ASSERT(g->writes > 0);
}

static void test_busy(void)
{
    EVERY_LINK(e)
    {
        for (unsigned channels = 1; channels <= 4; channels += 3) {
            struct guest g;

            OPEN(e, channels);
            m.copy.opts.policy.max_rounds = 8;
            guest_begin(&g, 800, false);
            move_run(&m);
            guest_end(&g);
            arrived();
            finish();
        }
    }
}

static void test_busy_balloon(void)
{
    for (int i = 0; i < 10; i++) {
        struct guest g;

        OPEN(i & 1, 2);
        m.copy.opts.policy.max_rounds = 8;
        guest_begin(&g, 800, true);
        move_run(&m);
        guest_end(&g);
        arrived();
        finish();
    }
}

/* With a bandwidth limit a round lasts, so that pages found dirty again lose their turn. */
static void test_limited(void)
{
    struct guest g;
    double began;

    OPEN(true, 2);
    m.copy.opts.bandwidth = 10u << 20; /* 15 MiB of guest: round 1 takes some 1.5 s */
    m.copy.opts.policy.max_rounds = 2;
    guest_begin(&g, 4800, false);
    began = xf_now();
    move_run(&m);
    guest_end(&g);
    arrived();
    CU_ASSERT(xf_now() - began > 1.0);
    CU_ASSERT(m.copy.order.skipped > 0);
    finish();
}

/* --- when to switch --- */

static void test_short(void)
{
    OPEN(false, 2);
    m.copy.opts.policy = (struct xf_policy){.max_downtime_s = 5, .max_rounds = 10};
    move_run(&m);
    arrived();
    CU_ASSERT_EQUAL(m.copy.status.reason, XF_SWITCH_SHORT);
    CU_ASSERT_EQUAL(m.copy.status.round, 1);
    CU_ASSERT(m.copy.status.predicted_s >= 0 && m.copy.status.predicted_s <= 5);
    finish();
}

/* Always the same pages dirty again when a round ends: it never gets better. */
static void as_dirty_again(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op == FAKE_PEEK && nth > 1)
        for (uint64_t g = 100; g < 900; g++)
            fake_write(f, g, nth);
}

static void test_not_paying(void)
{
    OPEN(false, 2);
    m.f->hook = as_dirty_again;
    m.copy.opts.policy.max_rounds = 10;
    move_run(&m);
    arrived();
    CU_ASSERT_EQUAL(m.copy.status.reason, XF_SWITCH_NOT_PAYING);
    CU_ASSERT_EQUAL(m.copy.status.round, 2);
    CU_ASSERT_EQUAL(m.copy.times.pages, 802);
    finish();
}

static void new_target(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op != FAKE_TARGET || nth < 2)
        return;
    pthread_mutex_lock(&f->lock);
    f->target_kib = nth == 2 ? 12345 : 12346;
    pthread_mutex_unlock(&f->lock);
}

/* The destination attaches devices long after the pages are there: the guest runs until it
 * has, and what it wrote meanwhile goes in one round more, not in downtime. */
static void write_while_waiting(struct fake *f, enum fake_op op, unsigned nth)
{
    /* The second peek is the one after round 1, on which the policy decides. */
    if (op == FAKE_PEEK && nth == 2)
        for (uint64_t g = 100; g < 300; g++)
            fake_write(f, g, (uint32_t)g);
    if (op == FAKE_SUSPEND)
        CU_ASSERT(atomic_load(&m.devices));
}

/* Emulated devices get their state after the guest's last page, however late that is. */
static void slow_last_pages(struct fake *f, enum fake_op op, unsigned nth)
{
    (void)nth;
    if (op == FAKE_SINK_MAP && !f->running)
        usleep(30000);
}

static void test_emulated(void)
{
    OPEN(false, 2);
    fake_emulate(m.f);
    m.f->hook = slow_last_pages;
    move_run(&m);
    arrived();
    CU_ASSERT_EQUAL(atomic_load(&m.f->calls[FAKE_LOAD_DEVICES]), 1);
    finish();

    OPEN(false, 1);
    fake_emulate(m.f);
    fake_fail_next(m.f, FAKE_LOAD_DEVICES);
    move_run(&m);
    CU_ASSERT(m.end == XF_SWITCH_BACK && m.sink_end == XF_SINK_FAILED);
    CU_ASSERT(m.f->running && !m.f->runs_at_sink);
    finish();
}

static void test_devices_late(void)
{
    OPEN(false, 2);
    m.devices_late = 8;
    m.copy.opts.policy.max_rounds = 1;
    m.f->hook = write_while_waiting;
    move_run(&m);
    arrived();
    CU_ASSERT_EQUAL(m.copy.status.round, 2);
    CU_ASSERT(m.copy.times.pages < 10);
    finish();
}

static void test_target(void)
{
    EVERY_LINK(e)
    {
        OPEN(e, 1);
        m.f->hook = new_target;
        move_run(&m);
        arrived();
        CU_ASSERT_EQUAL(m.f->sink_target_kib, 12346);
        CU_ASSERT_EQUAL(atomic_load(&m.f->calls[FAKE_SET_TARGET]), 2);
        finish();
    }
}

/* The caller's tick finds that the guest was renamed: told once, and before the suspend, whenever
 * it was found. */
static enum fake_op renamed_at;
static const struct xf_follow renamed = {.name = "web2", .nr_vcpus = 3, .vcpus = {5}};

static void rename_guest(struct fake *f, enum fake_op op, unsigned nth)
{
    (void)f;
    (void)nth;
    if (op == renamed_at && !m.copy.follow) {
        m.copy.follow = &renamed;
        m.copy.follow_due = true;
    }
    if (op == FAKE_SUSPEND)
        CU_ASSERT(m.follows == 1 && !m.copy.follow_due);
}

static void test_follow(void)
{
    static const enum fake_op list[] = {FAKE_LOG_START, FAKE_TARGET, FAKE_ALIVE, FAKE_PEEK};

    for (unsigned i = 0; i < 2 * sizeof(list) / sizeof(list[0]); i++) {
        OPEN(i & 1, 1);
        m.devices_late = i & 1 ? 5 : 0;
        renamed_at = list[i / 2];
        m.f->hook = rename_guest;
        move_run(&m);
        arrived();
        CU_ASSERT(m.follows == 1 && !memcmp(&m.followed, &renamed, sizeof(renamed)));
        finish();
    }
}

/* What cannot be followed there ends the move while the guest runs. */
static void test_follow_refused(void)
{
    OPEN(false, 1);
    m.copy.follow = &renamed;
    m.copy.follow_due = true;
    m.copy.opts.policy.max_rounds = 1;
    m.follow_fails = true;
    move_run(&m);
    CU_ASSERT(m.end == XF_SWITCH_BACK && m.err.num == EEXIST && !m.f->calls[FAKE_SUSPEND]);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "taken there"));
    finish();
}

/* `xl mem-set` in the last round. */
static void late_target(struct fake *f, enum fake_op op, unsigned nth)
{
    /* The second peek is the one after round 1, on which the policy decides. */
    if (op != FAKE_PEEK || nth != 2)
        return;
    pthread_mutex_lock(&f->lock);
    f->target_kib = 12347;
    pthread_mutex_unlock(&f->lock);
}

static void test_late_target(void)
{
    OPEN(false, 2);
    m.copy.opts.policy.max_rounds = 1;
    m.f->hook = late_target;
    move_run(&m);
    arrived();
    CU_ASSERT_EQUAL(m.copy.status.round, 1);
    CU_ASSERT_EQUAL(m.f->sink_target_kib, 12347);
    finish();
}

/* A word from the caller at the last moment, and what the report is made of. */
static int approve(void *priv, struct xf_err *err)
{
    struct move *mm = priv;

    (void)err;
    if (mm->f->running || mm->f->runs_at_sink || !mm->f->loaded)
        mm->f->broken++;
    return 0;
}

static void test_before_go(void)
{
    struct xf_sent sent;

    OPEN(false, 2);
    m.before_go = approve;
    m.copy.opts.policy.max_rounds = 1;
    move_serve(&m);
    CU_ASSERT_EQUAL_FATAL(xf_copy_begin(&m.copy, &m.err), 0);
    CU_ASSERT_EQUAL(m.copy.presence.present, m.f->at_source.pages);
    CU_ASSERT_EQUAL_FATAL(xf_copy_rounds(&m.copy, &m.err), 0);
    sent = xf_senders_count(m.copy.senders);
    CU_ASSERT_EQUAL(sent.data + sent.zero, m.f->at_source.pages - 2);
    CU_ASSERT_EQUAL(sent.absent, 0);
    CU_ASSERT_EQUAL(m.copy.status.round_pages, m.f->at_source.pages - 2);
    m.end = xf_switch(&m.copy, approve, &m.err);
    xf_copy_end(&m.copy);
    xf_copy_end(&m.copy); /* idempotent */
    xf_link_close(&m.source);
    move_join(&m);
    arrived();
    finish();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"emulated devices come last", test_emulated},
        {"idle", test_idle},
        {"told to hurry, pre-copy", test_hurry},
        {"balloon out", test_balloon_out},
        {"gone before map", test_gone_before_map},
        {"out and in", test_out_and_in},
        {"balloon in", test_balloon_in},
        {"busy", test_busy},
        {"busy and ballooning", test_busy_balloon},
        {"bandwidth limit", test_limited},
        {"short downtime", test_short},
        {"not paying", test_not_paying},
        {"devices come late", test_devices_late},
        {"target", test_target},
        {"a guest that is renamed", test_follow},
        {"a name that is taken there", test_follow_refused},
        {"target in the last round", test_late_target},
        {"before GO", test_before_go},
        CU_TEST_INFO_NULL,
    };

    alarm(390);
    return run_suite("engine", tests);
}
