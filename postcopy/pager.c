/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pager: see pager.h. The threads:
 *   pager     one, from new to free: faults, the urgent channel
 *   pullers   one for each bulk channel, while there is a link: pushed pages
 *   caller    the control channel
 */
#include "postcopy/pager.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "postcopy/times.h"
#include "postcopy/urgent.h"
#include "pages/extents.h"
#include "pages/packing.h"
#include "transport/clock.h"
#include "transport/lock.h"
#include "transport/times.h"

#define TICK_MS 50
#define KNOWS_MS 5000 /* for the source to confirm the guest's end */
#define FAULTS_AT_ONCE 64u

/* A page that the guest waits for. */
struct wait {
    uint64_t gfn;
    uint64_t since; /* CLOCK_MONOTONIC, ns */
    bool asked;     /* over the current link */
};

struct puller {
    struct xf_pager *p;
    struct xf_chan *chan;
    pthread_t thread;
    bool started;
};

struct scratch;

XF_LOCK_ROLE(pager_lock);

struct xf_pager {
    struct xf_sink_vm *vm;
    struct scratch *scratch; /* of the pager's thread, from before its start until its end */
    struct xf_absent *absent;
    struct xf_link *link; /* NULL: none; belongs to the caller's thread and the pullers */
    int silence_ms;
    int wake; /* eventfd: wakes the pager's thread */
    pthread_mutex_t lock;
    pthread_cond_t idle;                           /* to the caller: the urgent channel is free */
    struct xf_chan *urgent XF_GUARDED(pager_lock); /* lent to the pager's thread; NULL: no link */
    bool take_back XF_GUARDED(pager_lock);         /* that thread must return the urgent channel */
    bool stop XF_GUARDED(pager_lock);              /* the pager's thread must end */
    bool over XF_GUARDED(pager_lock);              /* the pager's thread has ended */
    /* One for each page that is waited for, grown as needed; nr_new: those not requested yet. */
    struct wait *waits XF_GUARDED(pager_lock);
    unsigned nr_waits XF_GUARDED(pager_lock), max_waits XF_GUARDED(pager_lock);
    unsigned nr_new XF_GUARDED(pager_lock);
    uint64_t faults XF_GUARDED(pager_lock), requested XF_GUARDED(pager_lock);
    struct xf_times times XF_GUARDED(pager_lock);
    uint64_t held_ns XF_GUARDED(pager_lock); /* hold of the guest's network; 0: not over, or none */
    struct xf_err lost XF_GUARDED(pager_lock);  /* what happened to the link */
    struct xf_err error XF_GUARDED(pager_lock); /* what ends PULL: ESRCH is the guest's end */

    struct xf_cost copy; /* taking pages off the link; any thread */
    pthread_t thread;
    bool started;      /* the caller's */
    bool source_knows; /* of the guest's end; likewise */
    unsigned nr;
    struct puller pullers[XF_CHANNELS_MAX];
};

/* A thread's buffers for taking pages; too big for a stack. */
struct scratch {
    struct xf_batch batch;
    uint64_t gfns[XF_BATCH_PAGES];
    const uint8_t *pages[XF_BATCH_PAGES];
    struct xf_view *view;
    uint8_t *payload;             /* XF_PAYLOAD_MAX bytes */
    struct xf_unpacker *unpacker; /* NULL until the first batch that needs it */
    struct xf_pack pack;
    uint8_t meta[XF_META_MAX];
};

static struct scratch *scratch_new(struct xf_sink_vm *vm, struct xf_err *err)
{
    struct scratch *x = calloc(1, sizeof(*x));

    if (x)
        x->payload = malloc(XF_PAYLOAD_MAX);
    if (x && x->payload && !vm->ops->view_open(vm, &x->view, err))
        return x;
    xf_fail(err, ENOMEM, "out of memory for a thread that takes pages");
    if (x)
        free(x->payload);
    free(x);
    return NULL;
}

static void scratch_free(struct xf_sink_vm *vm, struct scratch *x)
{
    if (!x)
        return;
    vm->ops->view_close(x->view);
    xf_unpacker_free(x->unpacker);
    free(x->payload);
    free(x);
}

static void nudge(struct xf_pager *p)
{
    uint64_t one = 1;

    if (write(p->wake, &one, sizeof(one)) < 0)
        return; /* full, so it is readable already */
}

static void set_error(struct xf_pager *p, const struct xf_err *err)
{
    xf_lock(&p->lock, pager_lock);
    if (!p->error.num)
        p->error = *err;
    xf_unlock(&p->lock, pager_lock);
}

static void set_lost(struct xf_pager *p, const struct xf_err *err)
{
    xf_lock(&p->lock, pager_lock);
    if (!p->lost.num)
        p->lost = *err;
    xf_unlock(&p->lock, pager_lock);
}

/* There is no memory for a page now. This is not final: the guest waits for it, the link is
 * given up with this reason, and there may be memory when the link is made again. */
static bool is_short(const struct xf_err *err)
{
    return err->num == ENOMEM;
}

/* Would a thread that takes pages meet this error over another link, too? */
static bool is_ours(const struct xf_err *err)
{
    return err->whose == XF_OURS && !is_short(err);
}

/* --- waits --- */

XF_NEEDS(pager_lock)
static struct wait *find_wait(struct xf_pager *p, uint64_t gfn)
{
    for (unsigned i = 0; i < p->nr_waits; i++)
        if (p->waits[i].gfn == gfn)
            return &p->waits[i];
    return NULL;
}

XF_NEEDS(pager_lock)
static void end_wait(struct xf_pager *p, struct wait *w)
{
    assert(p->nr_waits && p->nr_new <= p->nr_waits && (w->asked || p->nr_new));
    if (!w->asked)
        p->nr_new--;
    *w = p->waits[--p->nr_waits];
}

XF_NEEDS(pager_lock)
static int add_wait(struct xf_pager *p, uint64_t gfn, struct xf_err *err)
{
    if (find_wait(p, gfn))
        return 0;
    if (p->nr_waits == p->max_waits) {
        unsigned max = p->max_waits ? 2 * p->max_waits : 64;
        struct wait *more = realloc(p->waits, max * sizeof(*more));

        if (!more)
            return xf_fail(err, ENOMEM, "out of memory for the list of faults");
        p->waits = more;
        p->max_waits = max;
    }
    p->waits[p->nr_waits++] = (struct wait){.gfn = gfn, .since = xf_now_ns()};
    p->nr_new++;
    p->faults++;
    return 0;
}

/* These pages have been put in: end the waits for them. */
static void arrived(struct xf_pager *p, const uint64_t *gfns, unsigned n)
{
    uint64_t now;

    xf_lock(&p->lock, pager_lock);
    now = p->nr_waits ? xf_now_ns() : 0;
    for (unsigned i = 0; i < n && p->nr_waits; i++) {
        struct wait *w = find_wait(p, gfns[i]);

        if (!w)
            continue;
        xf_times_add(&p->times, now - w->since);
        end_wait(p, w);
    }
    xf_unlock(&p->lock, pager_lock);
}

/* --- arriving pages --- */

/* A batch whose message has been received: receive its payload and put it into the guest. */
static int take_pages(struct xf_pager *p, struct xf_chan *chan, const struct xf_msg *m,
                      struct scratch *x, struct xf_err *err)
{
    const uint8_t *next = x->payload;
    uint64_t began = xf_now_ns();
    unsigned n = 0;

    if (xf_packing_decode(&x->pack, &x->batch, m, x->meta, p->vm->nr_gfns, err) ||
        xf_packing_receive(&x->unpacker, p->link->ops, chan, &x->pack, &x->batch, x->payload, err))
        return -1;
    for (unsigned i = 0; i < x->batch.nr_runs; i++) {
        const struct xf_run *r = &x->batch.runs[i];

        if (r->kind == XF_RUN_ABSENT)
            return xf_fail(err, EPROTO, "the source sent an absent page during PULL");
        for (uint32_t k = 0; k < r->count; k++, n++) {
            x->gfns[n] = r->gfn + k;
            x->pages[n] = NULL;
            if (r->kind != XF_RUN_DATA)
                continue;
            x->pages[n] = next;
            next += XF_PAGE_SIZE;
        }
    }
    xf_cost_add(&p->copy, n, began);
    if (xf_absent_put(p->absent, x->view, x->gfns, x->pages, n, err) < 0)
        return -1;
    arrived(p, x->gfns, n);
    return 0;
}

static void *pull_main(void *arg)
{
    struct puller *q = arg;
    struct xf_pager *p = q->p;
    const struct xf_transport_ops *t = p->link->ops;
    struct xf_err err = {0};
    struct scratch *x = scratch_new(p->vm, &err);
    uint64_t taken = 0;

    while (x) {
        struct xf_msg m;

        if (t->recv(q->chan, &m, x->meta, -1, &err))
            break;
        if (m.type != XF_MSG_BATCH && m.type != XF_MSG_PACKED) {
            xf_fail(&err, EPROTO, "the source sent message %u on a bulk channel", m.type);
            break;
        }
        if (take_pages(p, q->chan, &m, x, &err))
            break;
        taken += x->batch.nr_pages;
        m = (struct xf_msg){.type = XF_MSG_TAKEN};
        m.meta_len = (uint32_t)xf_u64s_encode(&taken, 1, x->meta);
        if (t->send(q->chan, &m, x->meta, NULL, 0, &err))
            break;
    }
    /* Without a scratch the link is lost as well: there may be memory for it with the next one. */
    if (x && is_ours(&err))
        set_error(p, &err);
    else
        set_lost(p, &err);
    scratch_free(p->vm, x);
    return NULL;
}

/* --- the pager's thread --- */

static int drain_faults(struct xf_pager *p, struct xf_err *err)
{
    struct xf_fault list[FAULTS_AT_ONCE];
    int n, rc = 0;

    do {
        n = p->vm->pager->read_faults(p->vm, list, FAULTS_AT_ONCE, err);
        if (n < 0)
            return -1;
        xf_lock(&p->lock, pager_lock);
        for (int i = 0; i < n && !rc; i++) {
            struct wait *w;

            if (!list[i].dropped) {
                /* Not absent: the page arrived meanwhile, and its waiting vcpus have been
                 * resumed. Absent but just being put in: the same in a moment. */
                if (xf_is_absent(p->absent, list[i].gfn))
                    rc = add_wait(p, list[i].gfn, err);
                continue;
            }
            xf_absent_drop(p->absent, list[i].gfn);
            w = find_wait(p, list[i].gfn);
            if (w)
                end_wait(p, w);
        }
        xf_unlock(&p->lock, pager_lock);
    } while (n == (int)FAULTS_AT_ONCE && !rc);
    return rc;
}

/* Request the pages that are waited for and have not been requested yet. */
static int ask(struct xf_pager *p, struct xf_chan *urgent, struct scratch *x, struct xf_err *err)
{
    struct xf_request r;
    struct xf_msg m = {.type = XF_MSG_REQUEST};

    do {
        r.nr = 0;
        xf_lock(&p->lock, pager_lock);
        for (unsigned i = 0; i < p->nr_waits && p->nr_new && r.nr < XF_REQUEST_MAX; i++) {
            if (p->waits[i].asked)
                continue;
            p->waits[i].asked = true;
            p->nr_new--;
            r.gfns[r.nr++] = p->waits[i].gfn;
        }
        p->requested += r.nr;
        xf_unlock(&p->lock, pager_lock);
        if (!r.nr)
            return 0;
        m.meta_len = (uint32_t)xf_request_encode(&r, x->meta);
        if (p->link->ops->send(urgent, &m, x->meta, NULL, 0, err))
            return -1;
    } while (r.nr == XF_REQUEST_MAX);
    return 0;
}

/* Take the answers that have arrived. */
static int take_answers(struct xf_pager *p, struct xf_chan *urgent, struct scratch *x,
                        struct xf_err *err)
{
    for (;;) {
        struct xf_msg m;
        int rc = p->link->ops->recv(urgent, &m, x->meta, 0, err);

        if (rc)
            return rc == XF_AGAIN ? 0 : -1;
        if (m.type != XF_MSG_ANSWER)
            return xf_fail(err, EPROTO, "the source sent message %u on the urgent channel", m.type);
        if (take_pages(p, urgent, &m, x, err))
            return -1;
    }
}

/* Give the urgent channel back if that was requested, or after it failed. */
static void leave_urgent(struct xf_pager *p, bool failed)
{
    xf_lock(&p->lock, pager_lock);
    if (p->take_back || failed) {
        p->urgent = NULL;
        p->take_back = false;
        for (unsigned i = 0; i < p->nr_waits; i++)
            p->waits[i].asked = false;
        p->nr_new = p->nr_waits;
        pthread_cond_broadcast(&p->idle);
    }
    xf_unlock(&p->lock, pager_lock);
}

/* Wait for a fault, an answer, or a nudge by the caller. */
static void wait_for_work(struct xf_pager *p, struct xf_chan *urgent)
{
    struct pollfd fds[3] = {{.fd = p->vm->pager->fault_fd(p->vm), .events = POLLIN},
                            {.fd = p->wake, .events = POLLIN},
                            {.fd = -1, .events = POLLIN}};
    bool ready = false;
    uint64_t n;

    if (urgent)
        fds[2].fd = p->link->ops->pollfd(urgent, &ready);
    poll(fds, 3, ready ? 0 : -1);
    if ((fds[1].revents & POLLIN) && read(p->wake, &n, sizeof(n)) < 0)
        return;
}

static void *pager_main(void *arg)
{
    struct xf_pager *p = arg;
    struct xf_err err = {0};
    struct scratch *x = p->scratch;

    xf_urgent_thread();
    for (;;) {
        struct xf_err link_err = {0};
        struct xf_chan *urgent;
        bool stop, take_back;

        xf_lock(&p->lock, pager_lock);
        urgent = p->urgent;
        take_back = p->take_back;
        stop = p->stop;
        xf_unlock(&p->lock, pager_lock);
        if (take_back)
            leave_urgent(p, false);
        if (stop)
            break;
        if (take_back)
            continue;
        wait_for_work(p, urgent);
        if (drain_faults(p, &err))
            break;
        if (!urgent)
            continue;
        if (ask(p, urgent, x, &link_err) || take_answers(p, urgent, x, &link_err)) {
            if (is_ours(&link_err)) {
                err = link_err;
                break;
            }
            set_lost(p, &link_err);
            leave_urgent(p, true);
        }
    }
    if (err.num)
        set_error(p, &err);
    xf_lock(&p->lock, pager_lock);
    p->over = true;
    xf_unlock(&p->lock, pager_lock);
    leave_urgent(p, true);
    return NULL;
}

/* --- the caller's thread --- */

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
    p->scratch = scratch_new(vm, err);
    if (!p->scratch) {
        xf_pager_free(p);
        return -1;
    }
    rc = pthread_create(&p->thread, NULL, pager_main, p);
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
    scratch_free(p->vm, p->scratch);
    if (p->wake >= 0)
        close(p->wake);
    free(p->waits);
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

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

static int start_pullers(struct xf_pager *p, struct xf_err *err)
{
    assert(!p->nr && p->link->nr_bulk <= XF_CHANNELS_MAX);
    for (unsigned i = 0; i < p->link->nr_bulk; i++) {
        struct puller *q = &p->pullers[p->nr++];
        int rc;

        *q = (struct puller){.p = p, .chan = p->link->bulk[i]};
        rc = pthread_create(&q->thread, NULL, pull_main, q);
        if (rc)
            return xf_fail(err, rc, "cannot start a pulling thread: %s", strerror(rc));
        q->started = true;
    }
    return 0;
}

/* all: no page was missing when tick was last called, so tick has added what it had to add. */
static int tell_pulled(struct xf_pager *p, bool all, uint64_t *missing, struct xf_err *err)
{
    struct xf_pulled pulled;
    uint8_t meta[8 * XF_PULLED_NUMBERS];

    xf_pager_status(p, &pulled);
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
    if (m->type == XF_MSG_PING && !m->payload_len)
        return XF_PULL_GOES_ON;
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

    if (start_pullers(p, err))
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
    if (err && (end == XF_PULL_FAILED || (end == XF_PULL_LOST && is_short(err)))) {
        uint8_t meta[XF_TEXT_MAX + 64];

        xf_link_say(p->link, XF_MSG_ERROR, meta, xf_text_encode(err->num, err->text, meta), NULL);
    }
    detach(p);
    return end;
}

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
    };
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
