/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * COPY when its link is lost, and another one can be had: the move ends as if nothing had been,
 * byte for byte. And what is no loss, or comes when it is too late for that, ends as it does
 * without a second transport. The first link is the loopback, whose faults come at a byte of a
 * message; the second is TCP.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/conformance/loopback.h"
#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"

static struct move m;
static int stall_ms; /* of the next link; for tests that wait for it */

/* What a move with one bulk channel sends on it; measured, for a batch has one heat only. */
static unsigned round1_sync;   /* the source's message that ends round 1 */
static unsigned copy_messages; /* the source's before SWITCH */
static unsigned syncs;         /* the sink's before SWITCH */
static unsigned cleans;        /* times that the log was read and begun anew, in the last move */

/* The guest writes, grows and shrinks all the time, also while a round is lost. */
static void as_busy(struct fake *f, enum fake_op op, unsigned nth)
{
    switch (op) {
    case FAKE_MAP:
        for (uint64_t g = 200; g < 230; g++)
            fake_write(f, g * 3, nth);
        break;
    case FAKE_PEEK:
        fake_write(f, 700 + nth, nth);
        fake_write(f, 701 + nth, 0);
        break;
    case FAKE_CLEAN:
        cleans = nth;
        fake_balloon_in(f, FAKE_SPARE + nth, nth);
        fake_write(f, FAKE_SPARE + nth, nth + 1);
        fake_balloon_out(f, 1100 + nth);
        fake_balloon_out(f, FAKE_SPARE + nth - 1);
        break;
    default:
        break;
    }
}

static void open_faulty(const struct xf_loopback_fault *f, const struct xf_transport_ops *second,
                        bool encrypt, unsigned channels)
{
    xf_loopback_faults(f, f != NULL);
    CU_ASSERT_FATAL(move_open_over(&m, &xf_loopback_ops, second, encrypt, channels,
                                   stall_ms ? stall_ms : 10000));
    stall_ms = 0;
    /* as many as it takes on a quiet machine: on a busy one the policy may want a third */
    m.copy.opts.policy.max_rounds = 2;
    m.f->hook = as_busy;
    cleans = 0;
}

static bool sound(void)
{
    if (m.f->broken)
        fprintf(stderr, "broken: %s\n", m.f->what);
    return !m.f->broken && !m.f->log_on;
}

/* It runs at the sink, with the memory it had. */
static bool arrived(void)
{
    char why[100] = "it does not run there";
    bool good = m.end == XF_SWITCHED && m.sink_end == XF_SINK_RUNS && !m.sink_err.num &&
                m.f->runs_at_sink && !m.f->running && fake_same(m.f, why, sizeof(why)) && sound();

    if (!good)
        fprintf(stderr, "%s; source: %s; sink: %s; lost: %s\n", why, m.err.text, m.sink_err.text,
                m.lost.text);
    return good && move_close(&m);
}

/* It runs at the source. num: the error, 0 for any. */
static bool stayed(int num)
{
    bool good = m.end == XF_SWITCH_BACK && m.sink_end != XF_SINK_RUNS && m.err.num &&
                (!num || m.err.num == num) && m.f->running && !m.f->runs_at_sink && !m.committed &&
                sound();

    if (!good)
        fprintf(stderr, "end %d; source: %d %s; sink: %s; lost: %s\n", m.end, m.err.num, m.err.text,
                m.sink_err.text, m.lost.text);
    return good && move_close(&m);
}

static void count_messages(struct fake *f, enum fake_op op, unsigned nth)
{
    as_busy(f, op, nth);
    if (op == FAKE_CLEAN && nth == 1) /* round 2 begins; a peek may fall into round 1 */
        round1_sync = xf_loopback_messages(1, false);
    if (op == FAKE_SUSPEND) {
        copy_messages = xf_loopback_messages(1, false);
        syncs = xf_loopback_messages(1, true);
    }
}

/* Nothing is lost; also shows where things are. */
static void test_measure(void)
{
    open_faulty(NULL, &xf_tcp_ops, false, 1);
    m.f->hook = count_messages;
    move_run(&m);
    CU_ASSERT_EQUAL(m.relinks, 0);
    CU_ASSERT_EQUAL(m.copy.status.round, 2);
    CU_ASSERT_EQUAL(syncs, 2);
    CU_ASSERT_FATAL(round1_sync > 4 && copy_messages > round1_sync + 1);
    CU_ASSERT(arrived());
}

/* --- lost, and gone on --- */

/* At every message of COPY, in its envelope, its meta part, its first or its last page: two of
 * these places for each message in turn, which is all of them over a few messages. */
static void test_every_message(void)
{
    static const uint32_t at[] = {0, 10, 30, 3000, 100000};

    for (unsigned message = 1; message <= copy_messages; message++) {
        for (unsigned i = 2 * message; i < 2 * message + 2; i++) {
            const struct xf_loopback_fault f = {XF_FAULT_KILL, 1, false, message, at[i % 5]};

            open_faulty(&f, &xf_tcp_ops, i & 1, 1);
            move_run(&m);
            CU_ASSERT_EQUAL(m.relinks, 1);
            CU_ASSERT_EQUAL(m.sink_relinks, 1);
            CU_ASSERT_EQUAL(m.lost.num, ECONNRESET);
            /* A round that began anew counts once. Each reads the log anew, but the first. There is
             * a third where the devices were waited for, as on a busy machine. */
            CU_ASSERT_EQUAL(m.copy.status.round - 1 + m.relinks, cleans);
            CU_ASSERT(m.copy.status.round == 2 || m.copy.status.round == 3);
            CU_ASSERT_EQUAL(xf_loopback_hits(), 1);
            CU_ASSERT(arrived());
        }
    }
}

/* The sink's word that all has arrived is what gets lost. */
static void test_every_answer(void)
{
    for (unsigned message = 1; message <= syncs; message++) {
        for (unsigned i = 0; i < 2; i++) {
            const struct xf_loopback_fault f = {XF_FAULT_KILL, 1, true, message, i * 30};

            open_faulty(&f, &xf_tcp_ops, true, 1);
            move_run(&m);
            CU_ASSERT_EQUAL(m.relinks, 1);
            CU_ASSERT(arrived());
        }
    }
}

/* Faults are of all channels that are connected after they were said. */
static void heal(struct move *mm)
{
    (void)mm;
    xf_loopback_faults(NULL, 0);
}

/* Over the same transport, whose listener has taken all of these channels before. */
static void test_same_again(void)
{
    for (unsigned message = 1; message <= copy_messages; message += 2) {
        const struct xf_loopback_fault f = {XF_FAULT_KILL, 1, message & 2, message, 30};

        if (f.from_sink && message > syncs)
            continue;
        open_faulty(&f, &xf_loopback_ops, false, 1);
        m.before_relink = heal;
        move_run(&m);
        CU_ASSERT_EQUAL(m.relinks, 1);
        CU_ASSERT_EQUAL(m.sink_relinks, 1);
        CU_ASSERT(arrived());
    }
}

/* Time and again: each new link carries a little, and is lost. */
static void next_fault(struct move *mm)
{
    const struct xf_loopback_fault f = {XF_FAULT_KILL, 1 + mm->relinks % 2, false, 1, 5000};

    xf_loopback_faults(&f, mm->relinks < 8);
}

static void test_again_and_again(void)
{
    const struct xf_loopback_fault f = {XF_FAULT_KILL, 1, false, 2, 5000};

    open_faulty(&f, &xf_loopback_ops, false, 2);
    m.before_relink = next_fault;
    move_run(&m);
    CU_ASSERT_EQUAL(m.relinks, 8);
    CU_ASSERT_EQUAL(m.sink_relinks, 8);
    CU_ASSERT(arrived());
}

/* Batches that are sent again when the last one of round 1 is lost; confirmed each: after each of
 * them there is a sync. */
static unsigned sent_again(bool each)
{
    const unsigned batches = round1_sync - 1;
    const struct xf_loopback_fault f = {XF_FAULT_KILL, 1, false, each ? 2 * batches - 1 : batches,
                                        30};
    unsigned maps[2];

    for (unsigned lost = 0; lost < 2; lost++) {
        xf_loopback_faults(&f, lost);
        CU_ASSERT_FATAL(move_open_over(&m, &xf_loopback_ops, &xf_loopback_ops, false, 1, 10000));
        m.copy.opts.policy.max_rounds = 1;
        m.copy.opts.confirm_s = each ? 1e-9 : 1000;
        m.before_relink = heal;
        move_run(&m);
        CU_ASSERT_EQUAL(m.relinks, lost);
        maps[lost] = m.f->calls[FAKE_MAP];
        CU_ASSERT(arrived());
    }
    return maps[1] - maps[0];
}

/* What was confirmed within a round is not sent again. */
static void test_confirmed(void)
{
    CU_ASSERT(sent_again(false) >= round1_sync - 2); /* the last one had not been sent */
    CU_ASSERT(sent_again(true) <= 1);
}

static void test_many_channels(void)
{
    static const unsigned channels[] = {2, 3, 5};

    for (unsigned i = 0; i < 3; i++) {
        for (unsigned c = 1; c <= channels[i]; c++) {
            const struct xf_loopback_fault f = {XF_FAULT_KILL, c, false, 1, 20000};

            open_faulty(&f, &xf_tcp_ops, i & 1, channels[i]);
            move_run(&m);
            /* That a channel's first message is a batch of pages and no sync is likely, but
             * either is a message of COPY. */
            CU_ASSERT_EQUAL(m.relinks, 1);
            CU_ASSERT(arrived());
        }
    }
}

/* Nobody is told: the source finds out by itself, and the sink by being called. */
static void test_silence(void)
{
    const struct {
        bool from_sink;
        unsigned message;
        uint32_t at;
    } where[] = {
        {false, 1, 0}, {false, 2, 500000}, {false, round1_sync, 0}, {false, round1_sync + 1, 10},
        {true, 1, 0},  {true, 2, 10}};

    for (unsigned i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
        const struct xf_loopback_fault f = {XF_FAULT_SILENCE, 1, where[i].from_sink,
                                            where[i].message, where[i].at};

        stall_ms = 200;
        open_faulty(&f, &xf_tcp_ops, false, 1);
        move_run(&m);
        CU_ASSERT_EQUAL(m.relinks, 1);
        CU_ASSERT_EQUAL(m.sink_relinks, 1);
        CU_ASSERT_EQUAL(m.lost.num, ETIMEDOUT);
        CU_ASSERT(arrived());
    }
}

/* The sink finds out: it waits for the rest of a message, and the source for the answer. */
static void test_sink_notices(void)
{
    const struct xf_loopback_fault f = {XF_FAULT_TRUNCATE, 1, false, round1_sync, 4};

    stall_ms = 200;
    open_faulty(&f, &xf_tcp_ops, false, 1);
    move_run(&m);
    CU_ASSERT_EQUAL(m.relinks, 1);
    CU_ASSERT_EQUAL(m.sink_relinks, 1);
    CU_ASSERT(arrived());
}

/* WHOLE, or the question whether the devices are there, or its answer, is what gets lost: one round
 * more, and it is sent again. */
static void test_devices(void)
{
    for (unsigned i = 0; i < 8; i++) {
        const struct xf_loopback_fault f = {XF_FAULT_KILL, 0, i & 1, 1 + i / 4, i & 2 ? 10 : 0};

        open_faulty(&f, &xf_tcp_ops, false, 2);
        move_run(&m);
        CU_ASSERT_EQUAL(m.relinks, 1);
        CU_ASSERT_EQUAL(m.sink_relinks, 1);
        CU_ASSERT_EQUAL(xf_loopback_hits(), 1);
        CU_ASSERT(arrived());
    }
}

static void follow_target(struct fake *f, enum fake_op op, unsigned nth)
{
    as_busy(f, op, nth);
    if (op == FAKE_TARGET && nth == 3)
        f->target_kib = 12345;
}

/* The control channel's own exchange: the memory target, told again over the new link. */
static void test_control(void)
{
    for (unsigned i = 0; i < 8; i++) {
        const struct xf_loopback_fault f = {XF_FAULT_KILL, 0, i & 1, 1 + i / 4, i & 2 ? 25 : 0};

        open_faulty(&f, &xf_tcp_ops, false, 2);
        m.f->hook = follow_target;
        move_run(&m);
        CU_ASSERT_EQUAL(m.relinks, 1);
        CU_ASSERT_EQUAL(m.f->sink_target_kib, 12345);
        CU_ASSERT(arrived());
    }
}

/* --- what a network may do, and no harm is done --- */

static void test_harmless(void)
{
    const struct xf_loopback_fault list[] = {{XF_FAULT_DELAY, 1, false, 1, 30},
                                             {XF_FAULT_DELAY, 1, false, round1_sync, 30},
                                             {XF_FAULT_DELAY, 0, false, 1, 30},
                                             {XF_FAULT_DELAY, 1, true, 1, 30}};

    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        open_faulty(&list[i], &xf_tcp_ops, false, 1);
        move_run(&m);
        CU_ASSERT_EQUAL(m.relinks, 0);
        CU_ASSERT_EQUAL(xf_loopback_hits(), 1);
        CU_ASSERT(arrived());
    }
}

/* --- no loss, or not a good time for one --- */

/* A peer that breaks the protocol is not given another link. */
static void test_violation(void)
{
    const struct xf_loopback_fault list[] = {{XF_FAULT_CORRUPT, 1, false, 2, 1},
                                             {XF_FAULT_CORRUPT, 1, false, 2, 60},
                                             {XF_FAULT_CORRUPT, 1, true, 1, 30},
                                             {XF_FAULT_TRUNCATE, 1, false, 2, 100},
                                             {XF_FAULT_DUPLICATE, 1, false, 2, 0},
                                             {XF_FAULT_DUPLICATE, 1, true, 1, 0},
                                             {XF_FAULT_CORRUPT, 1, false, copy_messages + 1, 300},
                                             {XF_FAULT_CORRUPT, 0, false, 1, 2}};

    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        open_faulty(&list[i], &xf_tcp_ops, false, 1);
        move_run(&m);
        CU_ASSERT_EQUAL(m.relinks, 0);
        CU_ASSERT_EQUAL(m.sink_relinks, 0);
        CU_ASSERT(stayed(0));
    }
}

/* In SWITCH a loss is downtime: back to the source. */
static void test_in_switch(void)
{
    const struct {
        unsigned channel;
        bool from_sink;
        unsigned message;
    } where[] = {{1, false, copy_messages + 1},
                 {1, false, copy_messages + 2},
                 {1, true, syncs + 1},
                 {0, false, 3}, /* after WHOLE and DEVICES */
                 {0, true, 3}};

    for (unsigned i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
        const struct xf_loopback_fault f = {XF_FAULT_KILL, where[i].channel, where[i].from_sink,
                                            where[i].message, 20};

        open_faulty(&f, &xf_tcp_ops, false, 1);
        move_run(&m);
        CU_ASSERT_EQUAL(xf_loopback_hits(), 1);
        CU_ASSERT_EQUAL(m.relinks, 0);
        CU_ASSERT_EQUAL(m.f->calls[FAKE_RESUME], 1);
        CU_ASSERT(stayed(ECONNRESET));
    }
}

/* Without a second transport. */
static void test_explicit(void)
{
    const struct xf_loopback_fault f = {XF_FAULT_KILL, 1, false, 2, 5000};

    open_faulty(&f, NULL, false, 2);
    move_run(&m);
    CU_ASSERT_EQUAL(m.relinks, 0);
    CU_ASSERT_EQUAL(m.f->calls[FAKE_SUSPEND], 0);
    CU_ASSERT(stayed(ECONNRESET));
}

/* The second one cannot be had either. */
static void test_no_way(void)
{
    const struct xf_loopback_fault f = {XF_FAULT_KILL, 1, false, 2, 5000};

    open_faulty(&f, &xf_tcp_ops, false, 2);
    m.ports[1] = 1; /* nobody listens there */
    move_run(&m);
    CU_ASSERT_EQUAL(m.relinks, 1);
    CU_ASSERT_EQUAL(m.f->calls[FAKE_SUSPEND], 0);
    CU_ASSERT(stayed(ECONNREFUSED));
}

/* A sink that has failed says why; that it hangs up then is no loss. */
static void test_sink_fails(void)
{
    open_faulty(NULL, &xf_tcp_ops, true, 2);
    m.f->limit = 2000;
    move_run(&m);
    CU_ASSERT_EQUAL(m.relinks, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "destination: no more memory"));
    CU_ASSERT(stayed(ENOMEM));
}

static void cancel_at_once(struct fake *f, enum fake_op op, unsigned nth)
{
    struct move *mm = f->priv;

    if (op == FAKE_SINK_MAP && nth == 2)
        atomic_store(&mm->cancel, true);
}

static void test_cancel(void)
{
    const struct xf_loopback_fault f = {XF_FAULT_DELAY, 1, false, 3, 200};

    open_faulty(&f, &xf_tcp_ops, false, 1);
    m.f->hook = cancel_at_once;
    move_run(&m);
    CU_ASSERT_EQUAL(m.relinks, 0);
    CU_ASSERT(stayed(ECANCELED));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"nothing is lost", test_measure},
        {"lost at every message", test_every_message},
        {"lost at every answer", test_every_answer},
        {"over the same transport", test_same_again},
        {"again and again", test_again_and_again},
        {"what was confirmed", test_confirmed},
        {"many channels", test_many_channels},
        {"lost in silence", test_silence},
        {"the sink notices", test_sink_notices},
        {"the control channel", test_control},
        {"harmless", test_harmless},
        {"the protocol broken", test_violation},
        {"devices", test_devices},
        {"in SWITCH", test_in_switch},
        {"no second transport", test_explicit},
        {"the second one fails, too", test_no_way},
        {"the sink fails", test_sink_fails},
        {"cancel", test_cancel},
        CU_TEST_INFO_NULL,
    };

    alarm(390);
    return run_suite("a lost link", tests);
}
