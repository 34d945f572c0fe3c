/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * COPY at the source: rounds of pages while the guest runs. SWITCH is in switch.c.
 *
 * A round: take the dirty log (CLEAN), find which gfns have memory now, send the coldest pages
 * first, sync with the destination, then ask the policy. Between two rounds every channel is
 * synced, so a newer copy of a page can never be overtaken by an older one on another channel.
 *
 * The link may be lost and replaced within a round, which then continues with the pages that no
 * sync has confirmed (xf_copy.pending) and those the guest has written meanwhile. So that these are
 * not all pages of a round, which may take an hour, it is also synced every few seconds.
 *
 * A round may also be cut short (xf_copy.switch_now, or a hybrid move whose round does not pay:
 * xf_policy_cut). It is still synced; the pages it has not sent stay in xf_copy.owed, from where
 * leave.c takes them for PULL.
 *
 * A post-copy move has no rounds, only one look at all pages: the zero pages are reported now, many
 * per message, instead of being fetched one by one in PULL. The dirty log is on, so a page that is
 * written later is still left for PULL.
 */
#include "precopy/copy.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "pages/rings.h"

#define TICK_MS 50
/* Seconds between peeks at the dirty log within a round. A hybrid move has to see early whether
 * the round pays, but peeking may take no more than PEEK_PART of its time. */
#define PEEK_EVERY 0.5
#define PEEK_FIRST 0.02
#define PEEK_PART (1.0 / 50)
/* Seconds between checks that the guest still exists. */
#define ALIVE_EVERY 0.1
/* Looks at the log needed to tell a curve from a line. */
#define LOOKS_MIN 4u
/* Seconds between two syncs within a round: a lost link costs at most the pages sent in this
 * time. Also at least CONFIRM_PART times what the last sync took: channels stand still for part
 * of it. */
#define CONFIRM_EVERY 5.0
#define CONFIRM_PART 20
/* How long to wait for messages that the peer may have sent before the link broke. */
#define LAST_WORDS_MS 200
#define FIRST_PAGES 2048u /* pages sent in small batches at first */
#define RATE_PAGES 512    /* a rate counts if it was measured over this many pages */

static uint64_t sent_total(struct xf_copy *c)
{
    struct xf_sent s = xf_senders_count(c->senders);

    return s.data + s.zero + s.absent;
}

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

static int read_log(struct xf_copy *c, enum xf_log_read how, unsigned long *map, struct xf_err *err)
{
    double began = xf_now();

    if (c->vm->ops->log_read(c->vm, how, map, err))
        return -1;
    c->log_read_s = xf_now() - began;
    return 0;
}

/* Seconds to wait before n more pages may go out under the bandwidth limit. */
static double limit_wait(struct xf_copy *c, unsigned n)
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

static bool cut_short(const struct xf_copy *c)
{
    return (c->switch_now || c->cut) && c->opts.mode == XF_MODE_HYBRID;
}

/* Let `seconds` pass, ticking, unless COPY is to end. */
static int pass_time(struct xf_copy *c, double seconds, struct xf_err *err)
{
    double until = xf_now() + seconds;

    while (xf_now() < until && !cut_short(c)) {
        double left = until - xf_now();
        struct timespec t = {.tv_nsec = (long)((left < 0.05 ? left : 0.05) * 1e9)};

        if (xf_copy_tick(c, err))
            return -1;
        if (t.tv_nsec > 0)
            nanosleep(&t, NULL);
    }
    return 0;
}

int xf_copy_tick(void *priv, struct xf_err *err)
{
    struct xf_copy *c = priv;
    double now = xf_now();

    /* First: any other failure may result from the guest's end. */
    if (c->vm->ops->alive && !c->times.began && now - c->alive_at >= ALIVE_EVERY) {
        c->alive_at = now;
        if (c->vm->ops->alive(c->vm, err))
            return -1;
    }
    return xf_tick(c->tick, err);
}

int xf_copy_late(struct xf_copy *c, struct xf_err *err)
{
    if (!c->deadline || xf_now() < c->deadline)
        return 0;
    return xf_fail(err, ETIMEDOUT,
                   "the destination did not take the last pages in time; check the "
                   "migration network");
}

/*
 * The guest is not suspended before the destination has its devices: waiting for them would be
 * downtime. 0: it has them. XF_AGAIN: not within wait_ms; ask again.
 */
static int ask_devices(struct xf_copy *c, int wait_ms, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    int rc;

    if (c->devices)
        return 0;
    if (!c->devices_asked && xf_link_say(c->link, XF_MSG_DEVICES, NULL, 0, err))
        return -1;
    c->devices_asked = true;
    rc = xf_link_hear(c->link, XF_MSG_DEVICES_ACK, &m, meta, wait_ms, err);
    c->devices = rc == 0;
    return rc;
}

/* *waited: so long that the guest may have dirtied more than was counted. */
static int await_devices(struct xf_copy *c, bool *waited, struct xf_err *err)
{
    int rc;

    *waited = false;
    while ((rc = ask_devices(c, TICK_MS, err)) == XF_AGAIN) {
        *waited = true;
        if (xf_copy_tick(c, err))
            return -1;
    }
    return rc;
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
    rc = ask_devices(c, 0, err);
    c->cut = rc == 0;
    return rc < 0 ? -1 : 0;
}

/* Within a round, from time to time: which pages are dirty again and need not be sent in it? */
static int peek(struct xf_copy *c, double *next, uint64_t sent, uint64_t skipped,
                struct xf_err *err)
{
    double wait;

    if (xf_now() < *next)
        return 0;
    if (read_log(c, XF_LOG_PEEK, c->order.again, err))
        return -1;
    wait = PEEK_EVERY;
    if (c->opts.policy.may_leave) {
        if (consider_cut(c, sent, skipped, err))
            return -1;
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

/* Wait until every page sent is in the destination's memory. base: pages sent before this round,
 * or NULL. A round that is cut short meanwhile takes back the queued pages. */
static int sync_round(struct xf_copy *c, const uint64_t *base, struct xf_err *err)
{
    int rc;

    if (xf_senders_sync_begin(c->senders, false, err))
        return -1;
    while ((rc = xf_senders_sync_wait(c->senders, TICK_MS, err)) == XF_AGAIN) {
        if (base)
            c->status.round_done = sent_total(c) - *base;
        if (xf_copy_tick(c, err))
            return -1;
        if (base && cut_short(c))
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
    if (sync_round(c, base, err))
        return -1;
    took = xf_now() - began;
    wait = took * CONFIRM_PART > CONFIRM_EVERY ? took * CONFIRM_PART : CONFIRM_EVERY;
    c->confirm_at = began + took + (c->opts.confirm_s > 0 ? c->opts.confirm_s : wait);
    return 0;
}

int xf_copy_send_order(struct xf_copy *c, bool last, struct xf_err *err)
{
    uint64_t gfns[XF_BATCH_PAGES];
    double next = xf_now() + (c->opts.policy.may_leave ? PEEK_FIRST : PEEK_EVERY);
    uint64_t base = sent_total(c), skipped = c->order.skipped;
    unsigned n;

    c->confirm_at = xf_now() + (c->opts.confirm_s > 0 ? c->opts.confirm_s : CONFIRM_EVERY);
    while ((last || !cut_short(c)) &&
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
    if (!last && cut_short(c))
        xf_senders_take_back(c->senders, c->order.todo);
    return 0;
}

/* The destination has to follow the guest's memory target, too: `xl mem-set` in COPY. */
static int follow_target(struct xf_copy *c, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    uint64_t kib;
    int rc;

    /* Only one answer at a time may be due on the control channel: try again later. */
    if (c->devices_asked && !c->devices)
        return 0;
    if (c->vm->ops->target(c->vm, &kib, err))
        return -1;
    if (kib == c->target_kib)
        return 0;
    if (xf_link_say_u64s(c->link, XF_MSG_TARGET, &kib, 1, err))
        return -1;
    while ((rc = xf_link_hear(c->link, XF_MSG_TARGET_ACK, &m, meta, TICK_MS, err)) == XF_AGAIN)
        if (xf_copy_tick(c, err))
            return -1;
    c->target_kib = kib;
    return rc;
}

int xf_copy_follow(struct xf_copy *c, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    int rc;

    if (!c->follow_due || (c->devices_asked && !c->devices))
        return 0;
    c->follow_due = false; /* the ticks below may set it again */
    rc = xf_link_say(c->link, XF_MSG_FOLLOW, meta, xf_follow_encode(c->follow, meta), err);
    if (!rc)
        while ((rc = xf_link_hear(c->link, XF_MSG_FOLLOW_ACK, &m, meta, TICK_MS, err)) == XF_AGAIN)
            if (xf_copy_tick(c, err)) {
                rc = -1;
                break;
            }
    if (rc)
        c->follow_due = true; /* try again over another link */
    return rc;
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

    if (c->status.round == 1 && !c->again) {
        /* Pages written in these first moments are hot: they go last. If the growth of the log
         * is to be watched, the log has to begin with the round; all pages are owed anyway. */
        if (read_log(c, c->opts.policy.may_leave ? XF_LOG_CLEAN : XF_LOG_PEEK, c->dirty, err))
            return -1;
    } else {
        if (read_log(c, XF_LOG_CLEAN, c->dirty, err))
            return -1;
        for (size_t w = 0; w < words; w++)
            c->owed[w] |= c->dirty[w];
        if (xf_presence_sweep(&c->presence, c->owed, err))
            return -1;
    }
    c->cleaned = xf_now();
    xf_growth_clear(&c->growth);
    memcpy(c->pending, c->owed, words * sizeof(*c->owed));
    memcpy(c->order.todo, c->owed, words * sizeof(*c->owed));
    xf_drop_rings(c->vm, c->order.todo);
    return 0;
}

static int one_round(struct xf_copy *c, struct xf_err *err)
{
    struct xf_copy_status *st = &c->status;
    double began = xf_now();
    uint64_t base = sent_total(c);
    uint64_t data = xf_senders_count(c->senders).data;

    if (!c->again)
        st->round++;
    if (follow_target(c, err) || xf_copy_follow(c, err) || choose_pages(c, err))
        return -1;
    xf_order_begin(&c->order, c->dirty);
    st->round_pages = c->order.left;
    st->round_done = 0;
    st->round_began = began;
    if (xf_copy_send_order(c, false, err) || sync_round(c, &base, err))
        return -1;
    /* Empty unless the round was cut short. */
    memcpy(c->owed, c->order.todo, xf_bitmap_words(c->vm->nr_gfns) * sizeof(*c->owed));
    c->again = false;
    st->rounds_s += xf_now() - began;
    learn_rate(c, xf_senders_count(c->senders).data - data, xf_now() - began);
    return 0;
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
    if (cut_short(c)) {
        st->reason = c->switch_now ? XF_SWITCH_ASKED : XF_SWITCH_NOT_PAYING;
        st->predicted_s = -1; /* the remaining pages were not counted */
        return 0;
    }
    if (read_log(c, XF_LOG_PEEK, c->dirty, err))
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
    st->predicted_s = xf_policy_predict(&r);
    st->reason = xf_policy_decide(&c->opts.policy, &r);
    st->leave = st->reason != XF_SWITCH_SHORT && xf_policy_worth(&c->opts.policy, &r);
    return 0;
}

/* The next pages of the map, ascending. */
static unsigned next_pages(const unsigned long *map, uint64_t *at, uint64_t nr_gfns, uint64_t *gfns)
{
    unsigned n = 0;

    for (; n < XF_BATCH_PAGES; n++) {
        gfns[n] = xf_bitmap_next(map, *at, nr_gfns);
        if (gfns[n] >= nr_gfns)
            break;
        *at = gfns[n] + 1;
    }
    return n;
}

/* Report all zero pages to the destination; the others stay owed. */
static int tell_zeros(struct xf_copy *c, struct xf_err *err)
{
    struct xf_copy_status *st = &c->status;
    size_t words = xf_bitmap_words(c->vm->nr_gfns);
    uint64_t gfns[XF_BATCH_PAGES], at = 0;
    unsigned n;

    if (!c->zeros)
        c->zeros = xf_bitmap_new(c->vm->nr_gfns);
    if (!c->zeros)
        return xf_fail(err, ENOMEM, "out of memory for the set of zero pages");
    memset(c->zeros, 0, words * sizeof(*c->zeros)); /* no sync has confirmed any */
    memcpy(c->order.todo, c->owed, words * sizeof(*c->owed));
    xf_drop_rings(c->vm, c->order.todo);
    st->round_pages = xf_bitmap_count(c->order.todo, c->vm->nr_gfns);
    st->round_done = 0;
    st->round_began = xf_now();
    while ((n = next_pages(c->order.todo, &at, c->vm->nr_gfns, gfns)) > 0) {
        int rc;

        do {
            rc = xf_senders_push_zeros(c->senders, gfns, n, c->zeros, TICK_MS, err);
            if (rc >= 0 && xf_copy_tick(c, err))
                rc = -1;
        } while (rc == XF_AGAIN);
        if (rc)
            return -1;
        st->round_done += n;
    }
    if (sync_round(c, NULL, err))
        return -1;
    for (size_t w = 0; w < words; w++)
        c->owed[w] &= ~c->zeros[w];
    memcpy(c->pending, c->owed, words * sizeof(*c->owed));
    return 0;
}

/* COPY of a post-copy move. */
static int copy_zeros(struct xf_copy *c, struct xf_err *err)
{
    bool told = false, waited;

    c->status.reason = XF_SWITCH_AT_ONCE;
    for (;;) {
        told = told || !tell_zeros(c, err);
        if (told && !await_devices(c, &waited, err) && !follow_target(c, err))
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

        if (one_round(c, err)) {
            if (xf_copy_change_link(c, err))
                return -1;
            continue;
        }
        if (decide(c, began, err) || xf_copy_tick(c, err))
            return -1;
        if (st->reason == XF_SWITCH_NOT_YET)
            continue;
        if (await_devices(c, &waited, err)) {
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
        if (!follow_target(c, err))
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
