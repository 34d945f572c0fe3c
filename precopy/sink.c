/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The destination's control loop in COPY and SWITCH: see sink.h. Pages arrive in the
 * receiver threads (receiver.c) meanwhile.
 */
#include "precopy/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pages/absent.h"
#include "pages/extents.h"
#include "precopy/state_link.h"
#include "transport/clock.h"

#define TICK_MS 50
#define LAST_MS 1 /* the guest stands still and only the last pages are missing */

struct serve {
    struct xf_sink_vm *vm;
    struct xf_link *link;
    const struct xf_sink_watch *watch;
    struct xf_receivers *receivers;
    bool whole;     /* the source has sent WHOLE, and so reads in LOADED what came of it */
    bool asked;     /* the source waits for the devices */
    bool ready;     /* the devices are attached */
    bool switching; /* part of the final state has arrived */
    bool disks;     /* the disks are complete; without any from the beginning */
    bool loaded;    /* the final state is in place */
    struct xf_state_in state;
    struct xf_view *view;   /* for marking; opened when first needed */
    struct xf_extents *set; /* likewise; and another one for the answer */
    unsigned long *refused; /* likewise: gfns that could not be marked absent; empty between sets */
    uint8_t meta[XF_META_MAX];
};

/* Answer the source once the devices are attached. */
static int answer_ready(struct serve *s, struct xf_err *err)
{
    if (!s->asked || (s->watch->ready && !s->watch->ready(s->watch->priv)))
        return 0;
    s->asked = false;
    s->ready = true;
    return xf_link_say(s->link, XF_MSG_DEVICES_ACK, NULL, 0, err);
}

/*
 * The last pages arrive meanwhile, and some of them were absent. A page that the guest already has,
 * but that still counts as absent, would be claimed twice, and the move would fail where memory
 * just suffices. So this waits until no batch is in progress; SWITCH waits for all of them anyway.
 */
static int claim(struct serve *s, struct xf_err *err)
{
    struct xf_sink_vm *vm = s->vm;
    struct timespec until = xf_time_in(TICK_MS);
    int rc = 0;

    if (!vm->absent || !vm->pager->claim)
        return 0;
    while (pthread_rwlock_clockwrlock(&vm->absent->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT) {
        if (xf_tick(s->watch->tick, err) || xf_receivers_check(s->receivers, err))
            return -1;
        until = xf_time_in(TICK_MS);
    }
    if (vm->absent->nr)
        rc = vm->pager->claim(vm, vm->absent->nr, err);
    pthread_rwlock_unlock(&vm->absent->lock);
    return rc;
}

/* Has the final state arrived, and is not loaded yet? */
static bool awaits_pages(const struct serve *s)
{
    return s->state.complete && !s->loaded;
}

/* Prepare what the guest will depend on when pages are absent at GO. */
static int make_ready(struct serve *s, struct xf_err *err)
{
    if (claim(s, err))
        return -1;
    return s->watch->prepare ? s->watch->prepare(s->watch->priv, err) : 0;
}

/*
 * The final state has arrived: load it, and report that. Emulated devices read and write the
 * guest's memory as soon as they have their state, and Xen writes to it for some guests when it
 * loads its own (viridian's pages), so with them this waits for the last page.
 */
static int load(struct serve *s, struct xf_err *err)
{
    const struct xf_sink_ops *ops = s->vm->ops;
    uint64_t large;

    if (!awaits_pages(s))
        return 0;
    if (ops->load_devices && !xf_receivers_complete(s->receivers))
        return 0;
    if (ops->load_state(s->vm, &s->state.state, err) || make_ready(s, err) ||
        (ops->load_devices && ops->load_devices(s->vm, &s->state.state, err)))
        return -1;
    xf_state_free(&s->state.state);
    s->loaded = true;
    large = xf_receivers_large(s->receivers);
    return s->whole ? xf_link_say_u64s(s->link, XF_MSG_LOADED, &large, 1, err)
                    : xf_link_say(s->link, XF_MSG_LOADED, NULL, 0, err);
}

static int take_state(struct serve *s, const struct xf_msg *m, struct xf_err *err)
{
    if (s->loaded || !s->ready)
        return xf_fail(err, EPROTO, "the source sent the final state %s",
                       s->loaded ? "twice" : "before it asked for the devices");
    s->switching = true;
    if (xf_state_receive(s->link, &s->state, m, s->meta, err))
        return -1;
    return load(s, err);
}

/* Answer with the gfns of s->set that could not be marked. The cost depends on the set alone,
 * not on the guest's number of gfns, which the guest chooses. */
static int answer_absent(struct serve *s, struct xf_err *err)
{
    struct xf_extents *answer = s->set + 1;
    uint64_t at = 0;
    bool last;

    do {
        last = xf_next_within(answer, s->refused, s->set, &at);
        if (xf_link_say(s->link, XF_MSG_ABSENT_ACK, s->meta, xf_extents_encode(answer, s->meta),
                        err))
            return -1;
        xf_unset_extents(s->refused, answer);
    } while (!last);
    return 0;
}

/* Ranges that are whole at the source, before the first of their pages. */
static int take_whole(struct serve *s, const struct xf_msg *m, struct xf_err *err)
{
    struct xf_extents *x = calloc(1, sizeof(*x));
    bool last;
    int rc;

    if (!x)
        return xf_fail(err, ENOMEM, "out of memory for a set of pages");
    rc = s->switching ? xf_fail(err, EPROTO, "the source named whole ranges in SWITCH")
                      : xf_extents_decode(x, m, s->meta, s->vm->nr_gfns, err);
    if (!rc)
        rc = xf_receivers_whole(s->receivers, x, err);
    last = x->flags & XF_EXTENTS_LAST;
    s->whole = true;
    free(x);
    return rc || !last ? rc : xf_link_say(s->link, XF_MSG_WHOLE_ACK, NULL, 0, err);
}

/* Pages that the source will send after GO. The answer names those that it must send before. */
static int take_absent(struct serve *s, const struct xf_msg *m, struct xf_err *err)
{
    struct xf_sink_vm *vm = s->vm;

    if (!vm->absent || s->switching)
        return xf_fail(err, EPROTO, "the source left pages out, which is not allowed now");
    if (!s->set) {
        s->set = calloc(2, sizeof(*s->set));
        s->refused = xf_bitmap_new(vm->nr_gfns);
        if (!s->set || !s->refused)
            return xf_fail(err, ENOMEM, "out of memory for a set of absent pages");
        if (vm->ops->view_open(vm, &s->view, err))
            return -1;
        vm->absent->tick = s->watch->tick;
    }
    if (xf_extents_decode(s->set, m, s->meta, vm->nr_gfns, err))
        return -1;
    if (xf_receivers_mark(s->receivers, s->view, s->set, s->refused, err))
        return -1;
    return answer_absent(s, err);
}

static int take_target(struct serve *s, const struct xf_msg *m, struct xf_err *err)
{
    uint64_t kib;

    if (xf_u64s_decode(&kib, 1, m, s->meta, err) || s->vm->ops->set_target(s->vm, kib, err))
        return -1;
    return xf_link_say(s->link, XF_MSG_TARGET_ACK, NULL, 0, err);
}

static int take_follow(struct serve *s, const struct xf_msg *m, struct xf_err *err)
{
    struct xf_follow f;

    if (xf_follow_decode(&f, m, s->meta, err))
        return -1;
    if (!s->watch->follow || s->switching)
        return xf_fail(err, EPROTO, "the source changed the guest, which is not allowed now");
    if (s->watch->follow(s->watch->priv, &f, err))
        return -1;
    return xf_link_say(s->link, XF_MSG_FOLLOW_ACK, NULL, 0, err);
}

static int take_disks(struct serve *s, struct xf_err *err)
{
    if (s->disks || !s->switching)
        return xf_fail(err, EPROTO, "the source completed its disks, which is not allowed now");
    if (s->watch->disks(s->watch->priv, err))
        return -1;
    s->disks = true;
    return xf_link_say(s->link, XF_MSG_DISKS_DONE, NULL, 0, err);
}

static int take_go(struct serve *s, const struct xf_msg *m, enum xf_sink_end *end,
                   struct xf_err *err)
{
    uint64_t missing = 0, absent = s->vm->absent ? s->vm->absent->nr : 0;
    struct xf_err lost = {0};

    if (!s->loaded || !s->disks || !xf_receivers_complete(s->receivers))
        return xf_fail(err, EPROTO, "the source sent GO before everything had arrived");
    /* Both sides must mean the same pages, or the guest would wait for one for ever. */
    if (m->meta_len && xf_u64s_decode(&missing, 1, m, s->meta, err))
        return -1;
    if (missing != absent)
        return xf_fail(err, EPROTO, "the source owes %llu pages and %llu are absent here",
                       (unsigned long long)missing, (unsigned long long)absent);
    if (absent)
        s->vm->absent->at_go = absent;
    *end = XF_SINK_RUNS;
    s->watch->committed(s->watch->priv);
    if (s->vm->ops->run(s->vm, err))
        return -1;
    /* If this does not arrive the source stays suspended and asks its operator. */
    xf_link_say(s->link, XF_MSG_RUNNING, NULL, 0, &lost);
    return 0;
}

/* One message of the control channel. 1: the move has ended, *end says how. */
static int take_message(struct serve *s, const struct xf_msg *m, enum xf_sink_end *end,
                        struct xf_err *err)
{
    if (m->payload_len && m->type != XF_MSG_STATE)
        return xf_fail(err, EPROTO, "message %u must not have a payload, but has one of %u bytes",
                       m->type, m->payload_len);
    switch (m->type) {
    case XF_MSG_PING:
        return xf_link_say(s->link, XF_MSG_PONG, NULL, 0, err);
    case XF_MSG_TARGET:
        return take_target(s, m, err);
    case XF_MSG_FOLLOW:
        return take_follow(s, m, err);
    case XF_MSG_WHOLE:
        return take_whole(s, m, err);
    case XF_MSG_ABSENT:
        return take_absent(s, m, err);
    case XF_MSG_DEVICES:
        s->asked = true;
        return answer_ready(s, err);
    case XF_MSG_STATE:
        return take_state(s, m, err);
    case XF_MSG_DISKS_DRAINED:
        return take_disks(s, err);
    case XF_MSG_GO:
        return take_go(s, m, end, err) ? -1 : 1;
    case XF_MSG_ABORT:
        *end = XF_SINK_ABORTED;
        return 1;
    default:
        return xf_fail(err, EPROTO, "the source sent message %u, which is not allowed here",
                       m->type);
    }
}

/*
 * A lost link may be replaced while the guest runs at the source: the pages that are here stay, and
 * the source sends again those that no sync has confirmed. In SWITCH every second is downtime, so a
 * lost link ends the move, and the guest goes on at the source.
 */
static bool may_relink(const struct serve *s)
{
    return s->watch->relink && !s->switching && !xf_receivers_ending(s->receivers);
}

static int relink(struct serve *s, struct xf_err *err)
{
    struct xf_err why = *err;

    xf_receivers_halt(s->receivers);
    xf_clear(err);
    s->asked = false; /* if the answer was lost the source asks again */
    if (!s->watch->relink(s->watch->priv, err))
        return xf_receivers_go(s->receivers, err);
    return why.num ? xf_wrap(err, "%s; then", why.text) : -1;
}

enum xf_sink_end xf_sink_serve(struct xf_sink_vm *vm, struct xf_link *link,
                               const struct xf_sink_watch *watch, struct xf_err *err)
{
    struct serve s = {.vm = vm, .link = link, .watch = watch, .disks = !watch->disks};
    enum xf_sink_end end = XF_SINK_FAILED;
    int rc;

    rc = xf_receivers_start(&s.receivers, vm, link, err);
    while (!rc) {
        struct xf_msg m;

        rc = link->ops->recv(link->control, &m, s.meta, awaits_pages(&s) ? LAST_MS : TICK_MS, err);
        if (!rc)
            rc = take_message(&s, &m, &end, err);
        else
            rc = rc == XF_AGAIN ? 0 : -1;
        if (!rc)
            rc = xf_receivers_check(s.receivers, err);
        if (!rc)
            rc = load(&s, err);
        if (!rc)
            rc = xf_tick(watch->tick, err);
        if (!rc)
            rc = answer_ready(&s, err);
        if (rc <= 0 && may_relink(&s) && (rc ? err->whose == XF_LINK : watch->called(watch->priv)))
            rc = relink(&s, err);
    }
    if (rc < 0) {
        uint8_t meta[XF_TEXT_MAX + 64];
        struct xf_err reason = *err, lost = {0};

        /* `end` is XF_SINK_RUNS when GO arrived and could not be carried out: the guest is here
         * then, stopped, and must not be destroyed. */
        if (link->control)
            xf_link_say(link, XF_MSG_ERROR, meta, xf_text_encode(reason.num, reason.text, meta),
                        &lost);
    }
    xf_receivers_stop(s.receivers);
    if (s.view)
        vm->ops->view_close(s.view);
    free(s.set);
    free(s.refused);
    xf_state_free(&s.state.state);
    return end;
}
