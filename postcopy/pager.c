/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pager's life, and PULL on the control channel: the caller's thread. See pager.h; the other
 * threads are in pager_urgent.c and pager_pages.c.
 */
#include "postcopy/pager_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pages/extents.h"
#include "transport/clock.h"
#include "transport/times.h"

#define TICK_MS 50
#define KNOWS_MS 5000 /* for the source to confirm the guest's end */

static void nudge(struct xf_pager *p)
{
    uint64_t one = 1;

    if (write(p->wake, &one, sizeof(one)) < 0)
        return; /* full, so it is readable already */
}

int xf_pager_new(struct xf_pager **out, struct xf_sink_vm *vm, int silence_ms, struct xf_err *err)
{
    struct xf_pager *p = calloc(1, sizeof(*p));
    int rc;

    if (!p)
        return xf_fail(err, ENOMEM, "out of memory");
    p->vm = vm;
    p->absent = vm->absent;
    p->silence_ms = silence_ms;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->wake < 0) {
        xf_fail(err, errno, "no descriptor for the pager: %s", strerror(errno));
        xf_pager_free(p);
        return -1;
    }
    /* Not in the thread: a failure must be known before GO. */
    p->scratch = xf_pager_scratch_new(vm, err);
    if (!p->scratch) {
        xf_pager_free(p);
        return -1;
    }
    rc = pthread_create(&p->thread, NULL, xf_pager_main, p);
    if (rc) {
        xf_pager_free(p);
        return xf_fail(err, rc, "cannot start the pager's thread: %s", strerror(rc));
    }
    p->started = true;
    *out = p;
    return 0;
}

void xf_pager_start(struct xf_pager *p, struct xf_link *link)
{
    xf_lock(&p->lock, pager_lock);
    p->link = link;
    p->tells_latency = false;
    xf_clear(&p->lost);
    p->urgent = p->over ? NULL : link->urgent;
    xf_unlock(&p->lock, pager_lock);
    nudge(p);
}

/* Afterwards no thread uses the link any more, and it is dead. */
static void detach(struct xf_pager *p)
{
    if (!p->link)
        return;
    xf_link_abort(p->link);
    xf_lock(&p->lock, pager_lock);
    if (p->urgent)
        p->take_back = true;
    nudge(p);
    while (p->urgent)
        pthread_cond_wait(&p->idle, &p->lock);
    p->take_back = false;
    xf_unlock(&p->lock, pager_lock);
    for (unsigned i = 0; i < p->nr; i++)
        if (p->pullers[i].started)
            pthread_join(p->pullers[i].thread, NULL);
    p->nr = 0;
    p->link = NULL;
}

XF_ALONE
void xf_pager_free(struct xf_pager *p)
{
    if (!p)
        return;
    detach(p);
    if (p->started) {
        xf_lock(&p->lock, pager_lock);
        p->stop = true;
        xf_unlock(&p->lock, pager_lock);
        nudge(p);
        pthread_join(p->thread, NULL);
    }
    xf_pager_scratch_free(p->vm, p->scratch);
    if (p->wake >= 0)
        close(p->wake);
    free(p->waits);
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* --- the control channel --- */

static int tell_missing(struct xf_pager *p, struct xf_link *link, struct xf_err *err)
{
    struct xf_extents *x = malloc(sizeof(*x));
    uint8_t meta[XF_META_MAX];
    int rc;

    /* Pages that a puller of the last link was putting in when it ended are in by now: detach()
     * has joined it. So the bits are complete. */
    if (!x)
        return xf_fail(err, ENOMEM, "out of memory for the set of missing pages");
    rc = xf_send_extents(link, XF_MSG_MISSING, p->absent->missing, p->vm->nr_gfns, x, meta, NULL,
                         err);
    free(x);
    return rc;
}

/*
 * The guest has ended: tell the source, and wait until it knows. On a link that is dead without
 * showing it, a successful send proves nothing.
 */
static int tell_ended(struct xf_pager *p, struct xf_link *link, struct xf_tick tick,
                      struct xf_err *err)
{
    uint64_t until = xf_now_ns() + KNOWS_MS * 1000000ull;
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;

    if (xf_link_say(link, XF_MSG_ENDED, NULL, 0, err))
        return -1;
    while (xf_now_ns() < until) {
        int rc = link->ops->recv(link->control, &m, meta, TICK_MS, err);

        if (rc < 0)
            return -1;
        if (!rc && m.type == XF_MSG_BYE && !m.payload_len) {
            p->source_knows = true;
            return 0;
        }
        if (!rc && (m.type != XF_MSG_PING || m.payload_len))
            return xf_fail(err, EPROTO, "the source answered the guest's end with message %u",
                           m.type);
        if (xf_tick(tick, err))
            return -1;
    }
    return xf_fail_peer(err, ETIMEDOUT, "the source did not answer the guest's end");
}

bool xf_pager_source_knows(const struct xf_pager *p)
{
    return p->source_knows;
}

/* Wait for the source's ATTACH. 0: received. */
static int hear_attach(struct xf_link *link, struct xf_tick tick, struct xf_err *err)
{
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    int rc;

    for (int waited = 0;; waited += TICK_MS) {
        rc = link->ops->recv(link->control, &m, meta, TICK_MS, err);
        if (rc != XF_AGAIN)
            break;
        if (xf_tick(tick, err))
            return -1;
        if (waited >= XF_ATTACH_MS)
            return xf_fail_peer(err, ETIMEDOUT, "the source connected but sent nothing");
    }
    if (!rc && (m.type != XF_MSG_ATTACH || m.payload_len))
        rc = xf_fail(err, EPROTO, "the source sent message %u instead of ATTACH", m.type);
    return rc;
}

int xf_pager_attach(struct xf_pager *p, struct xf_link *link, struct xf_tick tick,
                    struct xf_err *err)
{
    int rc = hear_attach(link, tick, err);

    if (!rc)
        rc = tell_missing(p, link, err);
    if (!rc)
        xf_pager_start(p, link);
    return rc;
}

int xf_pager_attach_ended(struct xf_pager *p, struct xf_link *link, struct xf_tick tick,
                          struct xf_err *err)
{
    int rc = hear_attach(link, tick, err);

    return rc ? rc : tell_ended(p, link, tick, err);
}

/* all: no page was missing when tick was last called, so tick has added what it had to add. */
static int tell_pulled(struct xf_pager *p, bool all, uint64_t *missing, struct xf_err *err)
{
    struct xf_pulled pulled;
    uint8_t meta[8 * XF_PULLED_MAX];

    xf_pager_status(p, &pulled);
    pulled.has_latency = p->tells_latency;
    if (!pulled.missing && !all)
        return 0; /* next time */
    *missing = pulled.missing;
    return xf_link_say(p->link, XF_MSG_PULLED, meta, xf_pulled_encode(&pulled, meta), err);
}

/* How PULL, or its link, has ended. */
static enum xf_pull_end check(struct xf_pager *p, struct xf_err *err)
{
    enum xf_pull_end end = XF_PULL_GOES_ON;

    xf_lock(&p->lock, pager_lock);
    if (p->error.num)
        end = p->error.num == ESRCH ? XF_PULL_ENDED : XF_PULL_FAILED;
    else if (p->lost.num)
        end = XF_PULL_LOST;
    if (end != XF_PULL_GOES_ON && err)
        *err = p->error.num ? p->error : p->lost;
    xf_unlock(&p->lock, pager_lock);
    return end;
}

enum xf_pull_end xf_pager_check(struct xf_pager *p, struct xf_err *err)
{
    enum xf_pull_end end;

    xf_lock(&p->lock, pager_lock);
    xf_clear(&p->lost);
    xf_unlock(&p->lock, pager_lock);
    end = check(p, err);
    return end == XF_PULL_GOES_ON ? XF_PULL_LOST : end;
}

/* The source sends no more pages. */
static enum xf_pull_end take_error(struct xf_pager *p, const struct xf_msg *m, const uint8_t *meta,
                                   struct xf_err *err)
{
    char text[XF_TEXT_MAX];
    int num;

    if (xf_text_decode(&num, text, m, meta, err))
        return XF_PULL_LOST;
    if (!p->absent->nr)
        return XF_PULL_DONE;
    xf_fail_peer(err, num ? num : EIO, "source: %s", text);
    return XF_PULL_FAILED;
}

/* One message of the source; told: the number of missing pages last reported to it. */
static enum xf_pull_end take_word(struct xf_pager *p, const struct xf_msg *m, const uint8_t *meta,
                                  uint64_t told, struct xf_err *err)
{
    if (m->type == XF_MSG_PING && !m->payload_len) {
        p->tells_latency = xf_ping_wants_latency(m, meta);
        return XF_PULL_GOES_ON;
    }
    if (m->type == XF_MSG_BYE && !m->payload_len && told == 0)
        return XF_PULL_DONE;
    if (m->type == XF_MSG_ERROR && !m->payload_len)
        return take_error(p, m, meta, err);
    xf_fail(err, EPROTO, "the source sent message %u during PULL", m->type);
    return XF_PULL_LOST;
}

static enum xf_pull_end serve(struct xf_pager *p, struct xf_tick tick, struct xf_err *err)
{
    uint64_t told = UINT64_MAX, at = 0, heard = xf_now_ns();
    uint8_t meta[XF_META_MAX];
    struct xf_msg m;

    if (xf_pager_start_pullers(p, err))
        return XF_PULL_LOST; /* the guest depends on PULL: try again over another link */
    for (;;) {
        bool all = !p->absent->nr;
        enum xf_pull_end end = check(p, err);
        int rc;

        if (end != XF_PULL_GOES_ON)
            return end;
        if (xf_tick(tick, err))
            return XF_PULL_FAILED;
        if ((all && told) || xf_now_ns() - at > XF_TELL_MS * 1000000ull) {
            if (tell_pulled(p, all, &told, err))
                return XF_PULL_LOST;
            at = xf_now_ns();
        }
        rc = p->link->ops->recv(p->link->control, &m, meta, TICK_MS, err);
        if (rc < 0)
            return XF_PULL_LOST;
        if (!rc) {
            heard = xf_now_ns();
            end = take_word(p, &m, meta, told, err);
            if (end != XF_PULL_GOES_ON)
                return end;
        }
        if (p->silence_ms > 0 && xf_now_ns() - heard > (uint64_t)p->silence_ms * 1000000u) {
            xf_fail_link(err, ETIMEDOUT, "the source has sent nothing for %d ms", p->silence_ms);
            return XF_PULL_LOST;
        }
    }
}

enum xf_pull_end xf_pager_run(struct xf_pager *p, struct xf_tick tick, struct xf_err *err)
{
    enum xf_pull_end end = serve(p, tick, err);

    if (end == XF_PULL_ENDED)
        tell_ended(p, p->link, tick, NULL);
    if (err && (end == XF_PULL_FAILED || (end == XF_PULL_LOST && xf_pager_is_short(err)))) {
        uint8_t meta[XF_TEXT_MAX + 64];

        xf_link_say(p->link, XF_MSG_ERROR, meta, xf_text_encode(err->num, err->text, meta), NULL);
    }
    detach(p);
    return end;
}

/* --- statistics --- */

void xf_pager_status(struct xf_pager *p, struct xf_pulled *out)
{
    xf_lock(&p->lock, pager_lock);
    *out = (struct xf_pulled){
        .missing = p->absent->nr,
        .faults = p->faults,
        .requested = p->requested,
        .median_ns = xf_times_part(&p->times, 0.5),
        .p99_ns = xf_times_part(&p->times, 0.99),
        .populate = xf_cost_sum(&p->absent->populate),
        .evict = xf_cost_sum(&p->absent->evict),
        .prep = xf_cost_sum(&p->absent->put),
        .copy = xf_cost_sum(&p->copy),
        .held_ns = p->held_ns,
        .has_latency = true,
    };
    memcpy(out->latency, p->times.latency, sizeof(out->latency));
    xf_unlock(&p->lock, pager_lock);
}

void xf_pager_network(struct xf_pager *p, uint64_t held_ns)
{
    xf_lock(&p->lock, pager_lock);
    p->held_ns = held_ns;
    xf_unlock(&p->lock, pager_lock);
}

uint64_t xf_pager_mean_ns(struct xf_pager *p)
{
    uint64_t mean;

    xf_lock(&p->lock, pager_lock);
    mean = xf_times_mean(&p->times);
    xf_unlock(&p->lock, pager_lock);
    return mean;
}
