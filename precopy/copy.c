/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The course of COPY at the source: rounds of pages (copy_round.c) while the guest runs, until the
 * policy says that it is time to switch. SWITCH is in switch.c. A round whose link is lost
 * continues over another link, if the caller has one.
 */
#include "precopy/copy_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long to wait for messages that the peer may have sent before the link broke. */
#define LAST_WORDS_MS 200

int xf_copy_begin(struct xf_copy *c, struct xf_err *err)
{
    c->status.predicted_s = -1;
    c->dirty = xf_bitmap_new(c->vm->nr_gfns);
    c->owed = xf_bitmap_new(c->vm->nr_gfns);
    c->pending = xf_bitmap_new(c->vm->nr_gfns);
    if (!c->dirty || !c->owed || !c->pending || xf_order_init(&c->order, c->vm->nr_gfns))
        return xf_fail(err, ENOMEM, "out of memory for bitmaps of %llu pages",
                       (unsigned long long)c->vm->nr_gfns);
    if (xf_presence_init(&c->presence, c->vm, err))
        return -1;
    c->presence.tick = c->tick;
    if (xf_presence_first(&c->presence, err) || c->vm->ops->target(c->vm, &c->target_kib, err))
        return -1;
    memcpy(c->owed, c->presence.now, xf_bitmap_words(c->vm->nr_gfns) * sizeof(*c->owed));
    memcpy(c->pending, c->owed, xf_bitmap_words(c->vm->nr_gfns) * sizeof(*c->owed));
    if (c->vm->ops->log_start(c->vm, err))
        return -1;
    c->log_on = true;
    c->cleaned = xf_now();
    return xf_senders_start(&c->senders, c->vm, c->link, &c->compress, err);
}

void xf_copy_free_bulk(struct xf_copy *c)
{
    xf_senders_stop(c->senders);
    c->senders = NULL;
}

void xf_copy_end(struct xf_copy *c)
{
    xf_copy_free_bulk(c);
    if (c->log_on)
        c->vm->ops->log_stop(c->vm);
    c->log_on = false;
    xf_presence_free(&c->presence);
    xf_order_free(&c->order);
    free(c->dirty);
    free(c->missing);
    free(c->due);
    free(c->owed);
    free(c->pending);
    free(c->zeros);
    c->dirty = c->missing = c->due = c->owed = c->pending = c->zeros = NULL;
}

int xf_copy_change_link(struct xf_copy *c, struct xf_err *err)
{
    const struct xf_transport_ops *ops = c->link->ops;
    struct xf_err why = *err;

    assert(err->num);
    if (!c->relink || err->whose != XF_LINK)
        return -1;
    xf_senders_halt(c->senders);
    /* A peer that failed has sent its reason and hung up; that is not a lost link. */
    xf_link_last_words(c->link, LAST_WORDS_MS, err);
    if (strcmp(err->text, why.text))
        return -1;
    xf_clear(err);
    if (c->relink(c->priv, &why, err))
        return -1;
    memcpy(c->owed, c->pending, xf_bitmap_words(c->vm->nr_gfns) * sizeof(*c->owed));
    c->again = true;
    c->devices_asked = c->cut = false;
    if (!c->status.forecast_at)
        c->status.forecast_at = -1; /* the round's figures are those of two links now */
    if (c->link->ops != ops)
        c->status.page_rate = 0;
    return xf_senders_go(c->senders, err);
}

/* The round that began at `began` is complete: does COPY end? Sets status.reason. */
static int decide(struct xf_copy *c, double began, struct xf_err *err)
{
    struct xf_copy_status *st = &c->status;
    struct xf_round r;
    bool settled;

    st->leave = true;
    if (xf_copy_cut_short(c)) {
        st->reason = c->switch_now ? XF_SWITCH_ASKED : XF_SWITCH_NOT_PAYING;
        st->predicted_s = -1; /* the remaining pages were not counted */
        xf_copy_foresee(c, true);
        return 0;
    }
    if (xf_copy_read_log(c, XF_LOG_PEEK, c->dirty, err))
        return -1;
    r = (struct xf_round){
        .round = st->round,
        .remaining = xf_bitmap_count(c->dirty, c->vm->nr_gfns),
        .page_rate = st->page_rate,
        .fixed_s = c->opts.fixed_s + c->log_read_s,
        .next = -1,
    };
    if (xf_presence_settled(&c->presence, c->opts.policy.max_downtime_s / 10, &settled, err))
        return -1;
    if (!settled)
        r.fixed_s += c->presence.last_sweep_s;
    xf_growth_add(&c->growth, xf_now() - c->cleaned, r.remaining);
    if (r.page_rate > 0)
        r.next = xf_growth_at(&c->growth, (double)r.remaining / r.page_rate, c->presence.present);
    st->dirty_pps = (double)r.remaining / (xf_now() - began);
    xf_copy_foresee(c, true);
    st->last.left = r.remaining;
    st->predicted_s = xf_policy_predict(&r);
    st->reason = xf_policy_decide(&c->opts.policy, &r);
    st->leave = st->reason != XF_SWITCH_SHORT && xf_policy_worth(&c->opts.policy, &r);
    return 0;
}

/* COPY of a post-copy move. */
static int copy_zeros(struct xf_copy *c, struct xf_err *err)
{
    bool told = false, waited;

    c->status.reason = XF_SWITCH_AT_ONCE;
    for (;;) {
        told = told || !xf_copy_tell_zeros(c, err);
        if (told && !xf_copy_await_devices(c, &waited, err) && !xf_copy_follow_target(c, err))
            return 0;
        if (xf_copy_change_link(c, err))
            return -1;
    }
}

static int rounds(struct xf_copy *c, struct xf_err *err)
{
    struct xf_copy_status *st = &c->status;
    bool waited;

    c->opts.policy.may_leave = c->opts.mode == XF_MODE_HYBRID;
    if (c->opts.mode == XF_MODE_POSTCOPY)
        return copy_zeros(c, err);
    for (;;) {
        double began = xf_now();

        if (xf_copy_tell_whole(c, err) || xf_copy_one_round(c, err)) {
            if (xf_copy_change_link(c, err))
                return -1;
            continue;
        }
        if (decide(c, began, err) || xf_copy_tick(c, err))
            return -1;
        if (st->reason == XF_SWITCH_NOT_YET)
            continue;
        if (xf_copy_await_devices(c, &waited, err)) {
            if (xf_copy_change_link(c, err))
                return -1;
            continue;
        }
        /* Pages that the guest has written meanwhile are sent in one more round, unless the rest
         * is left for PULL: then the switch was asked for, this was the last round, or no other
         * would pay. */
        if (waited && !(c->opts.policy.may_leave && st->leave))
            continue;
        /* The target may have changed in the last round, or following it was postponed for the
         * devices. */
        if (!xf_copy_follow_target(c, err))
            return 0;
        if (xf_copy_change_link(c, err))
            return -1;
    }
}

int xf_copy_rounds(struct xf_copy *c, struct xf_err *err)
{
    struct xf_err why = {0};

    if (!rounds(c, err))
        return 0;
    /* If the guest has ended, a missing page or dirty log may have been noticed first. */
    if (c->vm->ops->alive && c->vm->ops->alive(c->vm, &why) && !strstr(err->text, why.text)) {
        xf_wrap(err, "%s", why.text);
        err->num = why.num;
    }
    return -1;
}
