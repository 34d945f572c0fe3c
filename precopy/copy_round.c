/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One round of COPY at the source, and the sending of the last pages in SWITCH, which is much the
 * same.
 *
 * A round: take the dirty log (CLEAN), find which gfns have memory now, send the coldest pages
 * first, sync with the destination. Between two rounds every channel is synced, so a newer copy of
 * a page can never be overtaken by an older one on another channel.
 *
 * The link may be lost and replaced within a round, which then continues with the pages that no
 * sync has confirmed (xf_copy.pending) and those the guest has written meanwhile. So that these are
 * not all pages of a round, which may take an hour, it is also synced every few seconds.
 *
 * A round may also be cut short (xf_copy.switch_now, or a hybrid move whose round does not pay:
 * xf_policy_cut). It is still synced; the pages it has not sent stay in xf_copy.owed, from where
 * leave.c takes them for PULL.
 */
#include "precopy/copy_parts.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "pages/rings.h"

#define TICK_MS 50
/* Seconds between peeks at the dirty log within a round. A hybrid move has to see early whether
 * the round pays, but peeking may take no more than PEEK_PART of its time. */
#define PEEK_EVERY 0.5
#define PEEK_FIRST 0.02
#define PEEK_PART (1.0 / 50)
/* Looks at the log needed to tell a curve from a line. */
#define LOOKS_MIN 4u
/* Seconds between two syncs within a round: a lost link costs at most the pages sent in this
 * time. Also at least CONFIRM_PART times what the last sync took: channels stand still for part
 * of it. */
#define CONFIRM_EVERY 5.0
#define CONFIRM_PART 20
#define FIRST_PAGES 2048u /* pages sent in small batches at first */
#define RATE_PAGES 512    /* a rate counts if it was measured over this many pages */

static uint64_t sent_total(struct xf_copy *c)
{
    struct xf_sent s = xf_senders_count(c->senders);

    return s.data + s.zero + s.absent;
}

int xf_copy_read_log(struct xf_copy *c, enum xf_log_read how, unsigned long *map,
                     struct xf_err *err)
{
    double began = xf_now();

    if (c->vm->ops->log_read(c->vm, how, map, err))
        return -1;
    c->log_read_s = xf_now() - began;
    return 0;
}

/* Seconds to wait before n more pages may go out under the move's own bandwidth limit. */
static double own_wait(struct xf_copy *c, unsigned n)
{
    double now = xf_now();
    double due;

    if (!c->opts.bandwidth)
        return 0;
    if (!c->tokens_began)
        c->tokens_began = now;
    due = c->tokens_began + (double)c->tokens_pages * XF_PAGE_SIZE / (double)c->opts.bandwidth;
    if (now > due + 0.2) { /* unused bandwidth is not saved up */
        c->tokens_began = now;
        c->tokens_pages = 0;
        due = now;
    }
    c->tokens_pages += n;
    return due - now;
}

/* ... and under that which it shares with others. */
static double limit_wait(struct xf_copy *c, unsigned n)
{
    double own = own_wait(c, n);
    double shared = c->spend ? c->spend(c->priv, (uint64_t)n * XF_PAGE_SIZE) : 0;

    return own > shared ? own : shared;
}

bool xf_copy_cut_short(const struct xf_copy *c)
{
    return (c->switch_now || c->cut) && c->opts.mode == XF_MODE_HYBRID;
}

/* Let `seconds` pass, ticking, unless COPY is to end. */
static int pass_time(struct xf_copy *c, double seconds, struct xf_err *err)
{
    double until = xf_now() + seconds;

    while (xf_now() < until && !xf_copy_cut_short(c)) {
        double left = until - xf_now();
        struct timespec t = {.tv_nsec = (long)((left < 0.05 ? left : 0.05) * 1e9)};

        if (xf_copy_tick(c, err))
            return -1;
        if (t.tv_nsec > 0)
            nanosleep(&t, NULL);
    }
    return 0;
}

int xf_copy_late(struct xf_copy *c, struct xf_err *err)
{
    if (!c->deadline || xf_now() < c->deadline)
        return 0;
    return xf_fail(err, ETIMEDOUT,
                   "the destination did not take the last pages in time; check the "
                   "migration network");
}

/* Hybrid: does the rest of this round pay? Sets c->cut if not. The log was just read. */
static int consider_cut(struct xf_copy *c, uint64_t sent, uint64_t skipped, struct xf_err *err)
{
    const struct xf_order *o = &c->order;
    double now = xf_now(), took = now - c->status.round_began;
    struct xf_within w = {.memory = c->presence.present, .fixed_s = c->opts.fixed_s};
    uint64_t gone = 0, written = 0;
    int rc;

    for (size_t i = 0; i < xf_bitmap_words(o->nr_gfns); i++) {
        unsigned long again = o->again[i];

        written += (uint64_t)__builtin_popcountl(again);
        gone += (uint64_t)__builtin_popcountl(again & c->owed[i] & ~o->todo[i]);
        w.to_send += (uint64_t)__builtin_popcountl(o->todo[i] & ~again);
    }
    xf_growth_add(&c->growth, now - c->cleaned, written);
    if (c->growth.n < LOOKS_MIN || !sent || took <= 0)
        return 0;
    /* Some of the pages that had their turn and are written again were skipped for that reason. */
    w.wasted = gone > skipped ? gone - skipped : 0;
    w.written = (double)written;
    w.page_rate = (double)sent / took;
    w.at_end =
        xf_growth_at(&c->growth, now - c->cleaned + (double)w.to_send / w.page_rate, w.memory);
    if (!xf_policy_cut(&c->opts.policy, &w))
        return 0;
    /* Until the devices are attached the guest cannot be switched, and going on costs only time. */
    rc = xf_copy_ask_devices(c, 0, err);
    c->cut = rc == 0;
    return rc < 0 ? -1 : 0;
}

/* Do the first looks of this round matter? To a hybrid move, and to the forecast. */
static bool peeks_early(const struct xf_copy *c)
{
    return c->opts.policy.may_leave || (c->status.round == 1 && !c->status.forecast_at);
}

/* Within a round, from time to time: which pages are dirty again and need not be sent in it? */
static int peek(struct xf_copy *c, double *next, uint64_t sent, uint64_t skipped,
                struct xf_err *err)
{
    double wait;

    if (xf_now() < *next)
        return 0;
    if (xf_copy_read_log(c, XF_LOG_PEEK, c->order.again, err))
        return -1;
    wait = PEEK_EVERY;
    if (c->opts.policy.may_leave && consider_cut(c, sent, skipped, err))
        return -1;
    if (!c->opts.policy.may_leave && c->status.round == 1)
        xf_growth_add(&c->growth, xf_now() - c->cleaned,
                      xf_bitmap_count(c->order.again, c->vm->nr_gfns));
    xf_copy_foresee(c, false);
    if (peeks_early(c)) {
        /* As the round goes on, the peeks get further apart. */
        wait = (xf_now() - c->status.round_began) / 8;
        wait = wait > PEEK_EVERY ? PEEK_EVERY : wait < PEEK_FIRST ? PEEK_FIRST : wait;
        wait = wait < c->log_read_s / PEEK_PART ? c->log_read_s / PEEK_PART : wait;
    }
    *next = xf_now() + wait;
    return 0;
}

/* Most pages for the next batch. Pages sent before the first batches have been measured are not
 * compressed, so these batches are small. */
static unsigned batch_pages(struct xf_copy *c, bool last)
{
    bool first = !last && c->compress.asked == XF_COMPRESS_AUTO && c->compress.can &&
                 sent_total(c) < FIRST_PAGES;

    return first ? XF_BATCH_PAGES / 2 : XF_BATCH_PAGES;
}

int xf_copy_sync_round(struct xf_copy *c, const uint64_t *base, struct xf_err *err)
{
    int rc;

    if (xf_senders_sync_begin(c->senders, false, err))
        return -1;
    while ((rc = xf_senders_sync_wait(c->senders, TICK_MS, err)) == XF_AGAIN) {
        if (base)
            c->status.round_done = sent_total(c) - *base;
        if (xf_copy_tick(c, err))
            return -1;
        if (base && xf_copy_cut_short(c))
            xf_senders_take_back(c->senders, c->order.todo);
    }
    if (rc)
        return -1;
    /* No page of the round is in flight now. */
    memcpy(c->pending, c->order.todo, xf_bitmap_words(c->vm->nr_gfns) * sizeof(*c->pending));
    c->confirmed = sent_total(c);
    return 0;
}

/* Within a round: have the pages sent so far confirmed, from time to time. */
static int confirm(struct xf_copy *c, const uint64_t *base, struct xf_err *err)
{
    double began = xf_now(), took, wait;

    if (!c->relink || began < c->confirm_at)
        return 0;
    if (xf_copy_sync_round(c, base, err))
        return -1;
    took = xf_now() - began;
    wait = took * CONFIRM_PART > CONFIRM_EVERY ? took * CONFIRM_PART : CONFIRM_EVERY;
    c->confirm_at = began + took + (c->opts.confirm_s > 0 ? c->opts.confirm_s : wait);
    return 0;
}

int xf_copy_send_order(struct xf_copy *c, bool last, struct xf_err *err)
{
    uint64_t gfns[XF_BATCH_PAGES];
    double next = xf_now() + (peeks_early(c) ? PEEK_FIRST : PEEK_EVERY);
    uint64_t base = sent_total(c), skipped = c->order.skipped;
    unsigned n;

    c->confirm_at = xf_now() + (c->opts.confirm_s > 0 ? c->opts.confirm_s : CONFIRM_EVERY);
    while ((last || !xf_copy_cut_short(c)) &&
           (n = xf_order_next(&c->order, gfns, batch_pages(c, last), !last)) > 0) {
        int rc;

        if (!last && pass_time(c, limit_wait(c, n), err))
            return -1;
        do {
            rc = xf_senders_push(c->senders, gfns, n, c->status.round, last, TICK_MS, err);
            c->status.round_done = sent_total(c) - base;
            if (rc >= 0 && (xf_copy_tick(c, err) || (rc && xf_copy_late(c, err))))
                rc = -1;
        } while (rc == XF_AGAIN);
        if (rc)
            return -1;
        if (!last && (peek(c, &next, sent_total(c) - base, c->order.skipped - skipped, err) ||
                      confirm(c, &base, err)))
            return -1;
    }
    if (!last && xf_copy_cut_short(c))
        xf_senders_take_back(c->senders, c->order.todo);
    return 0;
}

/* Update the link's rate from one round: data pages per second. */
static void learn_rate(struct xf_copy *c, uint64_t data_pages, double seconds)
{
    double rate = seconds > 0 ? (double)data_pages / seconds : 0;

    if (data_pages >= RATE_PAGES)
        c->status.page_rate = rate;
    else if (c->status.page_rate <= 0 && data_pages >= 32)
        c->status.page_rate = rate;
}

/* The pages that this round has to send: those owed, and the guest's changes since the last
 * look. */
static int choose_pages(struct xf_copy *c, struct xf_err *err)
{
    size_t words = xf_bitmap_words(c->vm->nr_gfns);

    bool clean = c->status.round > 1 || c->again || c->opts.policy.may_leave;

    if (c->status.round == 1 && !c->again) {
        /* Pages written in these first moments are hot: they go last. If the growth of the log
         * is to be watched, the log has to begin with the round; all pages are owed anyway. */
        if (xf_copy_read_log(c, clean ? XF_LOG_CLEAN : XF_LOG_PEEK, c->dirty, err))
            return -1;
    } else {
        if (xf_copy_read_log(c, XF_LOG_CLEAN, c->dirty, err))
            return -1;
        for (size_t w = 0; w < words; w++)
            c->owed[w] |= c->dirty[w];
        if (xf_presence_sweep(&c->presence, c->owed, err))
            return -1;
    }
    if (clean)
        c->cleaned = xf_now();
    xf_growth_clear(&c->growth);
    memcpy(c->pending, c->owed, words * sizeof(*c->owed));
    memcpy(c->order.todo, c->owed, words * sizeof(*c->owed));
    xf_drop_rings(c->vm, c->order.todo);
    return 0;
}

int xf_copy_one_round(struct xf_copy *c, struct xf_err *err)
{
    struct xf_copy_status *st = &c->status;
    double began = xf_now();
    uint64_t base = sent_total(c);
    struct xf_sent before = xf_senders_count(c->senders), after;

    if (!c->again)
        st->round++;
    if (xf_copy_follow_target(c, err) || xf_copy_follow(c, err) || choose_pages(c, err))
        return -1;
    xf_order_begin(&c->order, c->dirty);
    st->round_pages = c->order.left;
    st->round_done = 0;
    st->round_began = began;
    if (xf_copy_send_order(c, false, err) || xf_copy_sync_round(c, &base, err))
        return -1;
    /* Empty unless the round was cut short. */
    memcpy(c->owed, c->order.todo, xf_bitmap_words(c->vm->nr_gfns) * sizeof(*c->owed));
    c->again = false;
    after = xf_senders_count(c->senders);
    st->last = (struct xf_copy_round){.round = st->round,
                                      .began = began,
                                      .took_s = xf_now() - began,
                                      .pages = st->round_pages,
                                      .data = after.data - before.data,
                                      .zero = after.zero - before.zero,
                                      .left = UINT64_MAX};
    st->rounds_s += st->last.took_s;
    learn_rate(c, st->last.data, st->last.took_s);
    return 0;
}
