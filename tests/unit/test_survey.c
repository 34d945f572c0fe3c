/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The look at a guest that is not moved: what it finds, and that nothing of it stays; and the
 * forecast that COPY takes of itself.
 */
#include <errno.h>
#include <string.h>

#include "pages/pack.h"
#include "precopy/survey.h"
#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"

static struct fake *f;
static struct xf_survey s;
static struct xf_err err;
static unsigned peeks, cancel_at;

/* The guest writes ten more pages before each look, and always page 7. */
static void write_some(struct fake *fake, enum fake_op op, unsigned nth)
{
    if (op != FAKE_PEEK)
        return;
    for (unsigned i = 0; i < 10; i++)
        fake_write(fake, 100 + 10 * nth + i, nth + 1);
    fake_write(fake, 7, nth + 1);
    peeks = nth;
}

static int tick(void *priv, struct xf_err *e)
{
    (void)priv;
    return cancel_at && peeks >= cancel_at ? xf_fail(e, ECANCELED, "interrupted") : 0;
}

static void begin(void)
{
    f = fake_new();
    f->hook = write_some;
    s = (struct xf_survey){0};
    err = (struct xf_err){0};
    peeks = cancel_at = 0;
}

/* Nothing was left on or open, and the guest runs. */
static void end(void)
{
    CU_ASSERT(!f->log_on && f->running && !f->views && !f->broken);
    CU_ASSERT_EQUAL(f->calls[FAKE_CLEAN], 0);
    fake_free(f);
}

static int look(double seconds)
{
    return xf_survey_look(&s, &f->src, seconds, (struct xf_tick){tick, NULL}, &err);
}

static void test_look(void)
{
    uint64_t pages;

    begin();
    CU_ASSERT_EQUAL_FATAL(look(0.4), 0);
    CU_ASSERT(peeks >= 1 && s.growth.n >= 1);
    CU_ASSERT_EQUAL(s.written, 10 * peeks + 1);
    CU_ASSERT(s.look_s >= 0.4);
    CU_ASSERT_DOUBLE_EQUAL(xf_growth_at(&s.growth, s.look_s, 1u << 20), s.written, 1e-6);
    CU_ASSERT_EQUAL(f->src.ops->population(&f->src, &pages, &err), 0);
    CU_ASSERT_EQUAL(s.memory, pages);
    end();
    begin(); /* a guest that is paused: one look, which costs no time */
    f->hook = NULL;
    CU_ASSERT_EQUAL(look(0), 0);
    CU_ASSERT_EQUAL(f->calls[FAKE_PEEK], 1);
    CU_ASSERT_EQUAL(s.written, 0);
    end();
}

static void test_look_fails(void)
{
    static const enum fake_op ops[] = {FAKE_POPULATION, FAKE_LOG_START, FAKE_PEEK};

    for (unsigned i = 0; i < 3; i++) {
        begin();
        fake_fail_next(f, ops[i]);
        CU_ASSERT_EQUAL(look(0.1), -1);
        CU_ASSERT(err.num && err.text[0]);
        end();
    }
    begin();
    cancel_at = 1;
    CU_ASSERT_EQUAL(look(600), -1);
    CU_ASSERT_EQUAL(err.num, ECANCELED);
    end();
}

static void test_sample(void)
{
    unsigned both = XF_CODEC_BIT(XF_CODEC_LZ4) | XF_CODEC_BIT(XF_CODEC_ZSTD);

    begin();
    CU_ASSERT_EQUAL_FATAL(xf_survey_sample(&s, &f->src, xf_pack_codecs() & both, &err), 0);
    CU_ASSERT(s.sampled > 500 && s.sampled <= 2048);
    CU_ASSERT(s.map_s > 0 && s.zero_part >= 0 && s.zero_part < 1);
    for (int c = XF_CODEC_LZ4; c < XF_CODECS; c++)
        CU_ASSERT(!(xf_pack_codecs() & XF_CODEC_BIT(c)) ||
                  (s.cost[c].left > 0 && s.cost[c].left < 1.1 && s.cost[c].pack_s > 0));
    end();
    begin();
    for (uint64_t g = 0; g < FAKE_GFNS; g += 1) /* the guest frees everything */
        fake_write(f, g, 0);
    CU_ASSERT_EQUAL_FATAL(xf_survey_sample(&s, &f->src, both, &err), 0);
    CU_ASSERT(s.zero_part > 0.99);
    CU_ASSERT(s.cost[XF_CODEC_LZ4].left <= 0 || s.zero_part < 1);
    end();
}

static void test_sample_fails(void)
{
    static const enum fake_op ops[] = {FAKE_VIEW_OPEN, FAKE_CLASSIFY, FAKE_MAP};

    for (unsigned i = 0; i < 3; i++) {
        begin();
        fake_fail_next(f, ops[i]);
        CU_ASSERT_EQUAL(xf_survey_sample(&s, &f->src, 0, &err), -1);
        CU_ASSERT_EQUAL(s.sampled, 0);
        end();
    }
}

/* 2048 pages go as they are until COPY knows that compressing pays. */
static void test_plain(void)
{
    struct xf_survey_plan plan = {.mode = XF_MODE_PRECOPY,
                                  .policy = {.max_downtime_s = 0.3, .max_rounds = 5},
                                  .compress = XF_COMPRESS_AUTO,
                                  .threads = 2};
    struct xf_speed link = {.bytes_per_s = 4096 * 1000.0};
    struct xf_forecast how;

    s = (struct xf_survey){.memory = 8192, .cost[XF_CODEC_LZ4] = {.left = 0.5, .pack_s = 1e-6}};
    CU_ASSERT(xf_survey_forecast(&s, &link, &plan).total_s < 0); /* it was not looked at */
    xf_growth_add(&s.growth, 1, 0);
    how = xf_survey_forecast(&s, &link, &plan);
    CU_ASSERT_DOUBLE_EQUAL(how.total_s, 2.048 + 6.144 / 2, 0.1);
    CU_ASSERT_DOUBLE_EQUAL(how.bytes, 4096 * (2048 + 6144 / 2.0), 4096 * 100);
    plan.compress = XF_COMPRESS_LZ4; /* asked for: all of them */
    CU_ASSERT_DOUBLE_EQUAL(xf_survey_forecast(&s, &link, &plan).total_s, 8.192 / 2, 0.1);
    link.bytes_per_s = 0;
    CU_ASSERT(xf_survey_forecast(&s, &link, &plan).total_s < 0);
}

/* --- of COPY --- */

static void move_with(enum xf_mode mode, void (*lose)(struct fake *, enum fake_op, unsigned))
{
    const struct xf_copy_status *st;
    struct move m;

    CU_ASSERT_TRUE_FATAL(
        move_open_over(&m, &xf_tcp_ops, lose ? &xf_tcp_ops : NULL, false, 2, 10000));
    m.copy.opts.mode = mode;
    m.copy.opts.fixed_s = 0.5;
    m.f->hook = lose;
    move_run(&m);
    st = &m.copy.status;
    CU_ASSERT_EQUAL(m.end, XF_SWITCHED);
    if (lose) {
        CU_ASSERT_EQUAL(m.relinks, 1);
        CU_ASSERT(st->forecast_at < 0);
    } else {
        CU_ASSERT(st->forecast_at > st->forecast_from && st->forecast_from > 0);
        CU_ASSERT(st->forecast.downtime_s >= 0.5 && st->forecast.total_s > st->forecast.downtime_s);
        CU_ASSERT(st->forecast.bytes > 0.5 * 4096 * (double)m.copy.presence.present);
    }
    CU_ASSERT(move_close(&m));
}

static void cut_once(struct fake *fake, enum fake_op op, unsigned nth)
{
    if (op == FAKE_MAP && nth == 2)
        move_kill_sink(fake->priv);
}

static void test_copy(void)
{
    move_with(XF_MODE_PRECOPY, NULL);
    move_with(XF_MODE_HYBRID, NULL);
    move_with(XF_MODE_PRECOPY, cut_once); /* two links: no figures of the first round */
}

int main(void)
{
    CU_TestInfo tests[] = {{"look", test_look},
                           {"look fails", test_look_fails},
                           {"sample", test_sample},
                           {"sample fails", test_sample_fails},
                           {"pages that go uncompressed", test_plain},
                           {"COPY's own forecast", test_copy},
                           CU_TEST_INFO_NULL};

    return run_suite("survey", tests);
}
