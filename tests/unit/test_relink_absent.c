/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A link that is lost while pages are being marked absent: the guest still runs, so it is made
 * again, and both sides mean the same pages when GO is due, every byte of the others being right.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pages/absent.h"
#include "tests/conformance/loopback.h"
#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"

static struct move m;
static struct xf_absent absent;

/* --- a pager for the fake guest --- */

static int mark(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *no,
                struct xf_err *err)
{
    (void)v;
    (void)err;
    for (unsigned i = 0; i < n; i++) {
        no[i] = gfns[i] == 777; /* the hypervisor holds this one */
        if (!no[i])             /* nobody keeps what was there */
            memset(m.f->at_sink.mem + gfns[i] * XF_PAGE_SIZE, 0xee, XF_PAGE_SIZE);
    }
    return 0;
}

static int put(struct xf_view *v, const uint64_t *gfns, const uint8_t *const *pages, unsigned n,
               struct xf_err *err)
{
    (void)v;
    (void)err;
    for (unsigned i = 0; i < n; i++)
        fake_put(m.f, gfns[i], pages[i]);
    return 0;
}

static const struct xf_pager_ops ops = {.mark = mark, .put = put};

/* The guest writes, also what is marked by then. */
static void as_busy(struct fake *f, enum fake_op op, unsigned nth)
{
    if (op != FAKE_CLEAN && op != FAKE_SUSPEND)
        return;
    for (uint64_t g = 300; g < 900; g += 7)
        fake_write(f, g, nth);
    if (op == FAKE_CLEAN)
        fake_balloon_out(f, 1100 + nth);
}

static uint64_t wrong, missing;

/* All is in place but GO. As if there were no page server, so it ends here. */
static int before_go(void *priv, struct xf_err *err)
{
    struct move *mm = priv;
    const struct xf_copy *c = &mm->copy;

    missing = c->nr_missing;
    wrong = missing != absent.nr;
    for (uint64_t g = 0; g < FAKE_GFNS; g++) {
        bool away = c->missing && xf_bit(c->missing, g);

        wrong += away != xf_is_absent(&absent, g);
        if (g >= FAKE_RING || away)
            continue;
        wrong += mm->f->at_source.has[g] != mm->f->at_sink.has[g];
        wrong += mm->f->at_source.has[g] &&
                 memcmp(mm->f->at_source.mem + g * XF_PAGE_SIZE,
                        mm->f->at_sink.mem + g * XF_PAGE_SIZE, XF_PAGE_SIZE) != 0;
    }
    return xf_fail(err, ECHILD, "that is all");
}

static void heal(struct move *mm)
{
    (void)mm;
    xf_loopback_faults(NULL, 0);
}

static void lose(enum xf_mode mode, const struct xf_loopback_fault *f)
{
    xf_loopback_faults(f, f != NULL);
    CU_ASSERT_FATAL(move_open_over(&m, &xf_loopback_ops, &xf_loopback_ops, false, 2, 10000));
    m.copy.opts.mode = mode;
    m.copy.opts.policy.max_rounds = 1;
    m.copy.switch_now = mode == XF_MODE_HYBRID;
    m.f->hook = as_busy;
    m.before_go = before_go;
    m.before_relink = heal;
    m.f->dst.pager = &ops;
    CU_ASSERT_FATAL(xf_absent_init(&absent, &m.f->dst, NULL) == 0);
    m.f->dst.absent = &absent;
    wrong = UINT64_MAX;
    missing = 0;
    move_run(&m);
    if (m.err.num != ECHILD)
        fprintf(stderr, "mode %d, %s message %u at %u: source: %s; sink: %s\n", mode,
                f && f->from_sink ? "sink" : "source", f ? f->message : 0, f ? f->arg : 0,
                m.err.text, m.sink_err.text);
    CU_ASSERT_EQUAL(m.err.num, ECHILD);
    CU_ASSERT(missing > 0);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(m.f->broken, 0);
    CU_ASSERT(m.f->running && !m.f->runs_at_sink);
    CU_ASSERT_EQUAL(m.relinks, f ? 1 : 0);
    CU_ASSERT(move_close(&m));
    xf_absent_free(&absent);
}

/* The control channel's messages: DEVICES and its answer, then ABSENT and its answer. */
static void test_marking(void)
{
    static const uint32_t at[] = {0, 30};

    for (unsigned mode = XF_MODE_HYBRID; mode <= XF_MODE_POSTCOPY; mode++) {
        lose((enum xf_mode)mode, NULL);
        for (unsigned i = 0; i < 4; i++) {
            const struct xf_loopback_fault f = {XF_FAULT_KILL, 0, i & 1, 2, at[i / 2]};

            lose((enum xf_mode)mode, &f);
        }
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"lost while pages are marked", test_marking},
        CU_TEST_INFO_NULL,
    };

    alarm(390);
    return run_suite("a link lost before the suspend", tests);
}
