/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bulk sending threads: see sender.h.
 *
 * Costs per batch of 1024 pages: one hypercall for the types, one mapping (mmap + one
 * ioctl + munmap), one pass over the bytes to find zero pages, and the sends themselves,
 * which copy from the mapping into the kernel (or through the cipher) and nowhere else. A
 * batch that is compressed is copied once more, and sent from the compressor's buffer.
 * Mappings are not kept from batch to batch: a gfn may name another page by then (the
 * guest balloons), and a stale mapping would send the old one without any error.
 */
#include "precopy/sender.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "pages/batch.h"
#include "pages/bitmap.h"
#include "pages/packing.h"
#include "pages/zero.h"
#include "transport/clock.h"
#include "transport/lock.h"

struct job {
    unsigned n;
    uint32_t round;
    bool last;
    unsigned long *zeros; /* not NULL: send only zero pages, and mark them here */
    uint64_t gfns[XF_BATCH_PAGES];
};

XF_LOCK_ROLE(senders_lock);

struct worker {
    struct xf_senders *s;
    struct xf_chan *chan;
    pthread_t thread;
    bool started;
    uint64_t pages;                              /* sent, of all kinds; the thread's own */
    uint32_t sync_done XF_GUARDED(senders_lock); /* last sync confirmed */
};

struct xf_senders {
    struct xf_source_vm *vm;
    struct xf_link *link;
    struct xf_compress_opts compress; /* constant */
    struct xf_packing_rule packing;
    pthread_mutex_t lock;
    pthread_cond_t work;  /* to the workers: a job, a sync, or stop */
    pthread_cond_t space; /* to the caller: room, a confirmed sync, or a failure */
    struct job *jobs XF_GUARDED(senders_lock); /* ring */
    unsigned cap;                              /* constant */
    unsigned head XF_GUARDED(senders_lock), count XF_GUARDED(senders_lock);
    unsigned sending XF_GUARDED(senders_lock); /* jobs taken and not finished */
    uint32_t sync_wanted XF_GUARDED(senders_lock);
    bool sync_last XF_GUARDED(senders_lock);
    bool stop XF_GUARDED(senders_lock);
    struct xf_sent sent XF_GUARDED(senders_lock);
    struct xf_err err XF_GUARDED(senders_lock); /* first failure */
    unsigned nr;                                /* the caller's */
    struct worker workers[XF_CHANNELS_MAX];
};

/* A worker's buffers for one batch; too big for a stack. */
struct scratch {
    struct job job;
    uint8_t ram[XF_BATCH_PAGES];
    uint64_t present[XF_BATCH_PAGES];
    struct xf_map map;
    struct xf_batch batch;
    struct iovec iov[XF_BATCH_PAGES];
    uint8_t *copy; /* XF_PAYLOAD_MAX bytes: pages of the last set, see seal() */
    struct xf_packing packing;
    uint8_t meta[XF_META_MAX];
};

/*
 * The last pages carry a checksum. It is computed over a copy: even a suspended guest's memory
 * changes (a backend finishes a read, a packet arrives, Xen sets an event's bit), and the bytes
 * summed must be the bytes sent. Returns the new length of the iovec.
 */
static int seal(struct scratch *x, int niov)
{
    size_t len = 0;

    for (int i = 0; i < niov; i++) {
        memcpy(x->copy + len, x->iov[i].iov_base, x->iov[i].iov_len);
        len += x->iov[i].iov_len;
    }
    x->iov[0] = (struct iovec){.iov_base = x->copy, .iov_len = len};
    x->batch.sum = XXH3_64bits(x->copy, len);
    return 1;
}

/* Turn the mapped pages into runs and an iovec. */
static int describe(struct scratch *x)
{
    struct xf_batch *b = &x->batch;
    unsigned mapped = 0;
    int niov = 0;

    xf_batch_clear(b, x->job.round);
    for (unsigned i = 0; i < x->job.n; i++) {
        uint64_t gfn = x->job.gfns[i];

        if (!x->ram[i]) {
            xf_batch_add(b, gfn, XF_RUN_ABSENT);
            continue;
        }
        unsigned slot = mapped++;
        uint8_t *page = x->map.page[slot];

        if (x->map.err[slot])
            xf_batch_add(b, gfn, XF_RUN_ABSENT); /* ballooned out since it was classified */
        else if (xf_page_is_zero(page))
            xf_batch_add(b, gfn, XF_RUN_ZERO);
        else {
            xf_batch_add(b, gfn, XF_RUN_DATA);
            niov = xf_iov_add(x->iov, niov, page);
        }
    }
    return x->job.last && niov ? seal(x, niov) : niov;
}

/* As describe(), for a job that sends only the zero pages. */
static void sift(struct scratch *x)
{
    unsigned mapped = 0;

    xf_batch_clear(&x->batch, x->job.round);
    for (unsigned i = 0; i < x->job.n; i++) {
        unsigned slot = mapped;

        if (!x->ram[i])
            continue;
        mapped++;
        if (x->map.err[slot] || !xf_page_is_zero(x->map.page[slot]))
            continue;
        xf_batch_add(&x->batch, x->job.gfns[i], XF_RUN_ZERO);
        xf_set_atomic(x->job.zeros, x->job.gfns[i]);
    }
}

static int send_batch(struct worker *w, struct xf_view *view, struct scratch *x, struct xf_err *err)
{
    const struct xf_source_ops *ops = w->s->vm->ops;
    double began = xf_now();
    unsigned present = 0;
    int rc = 0, niov = 0;

    if (ops->classify(view, x->job.gfns, x->job.n, x->ram, err))
        return -1;
    for (unsigned i = 0; i < x->job.n; i++)
        if (x->ram[i])
            x->present[present++] = x->job.gfns[i];
    x->map.base = NULL;
    if (present && ops->map(view, x->present, present, &x->map, err))
        return -1;
    if (x->job.zeros)
        sift(x);
    else
        niov = describe(x);
    if (!x->job.zeros || x->batch.nr_pages)
        rc = xf_packing_send(&x->packing, w->s->link->ops, w->chan, &x->batch, x->iov, niov,
                             x->job.last, x->meta, err);
    if (present)
        ops->unmap(view, &x->map);
    if (rc)
        return -1;
    w->pages += x->batch.nr_pages;
    if (!x->job.zeros)
        xf_packing_sent(&x->packing, began, 0);
    return 0;
}

static int do_sync(struct worker *w, uint32_t seq, bool last, struct scratch *x, struct xf_err *err)
{
    const struct xf_transport_ops *t = w->s->link->ops;
    struct xf_sync sync = {.seq = seq, .flags = last ? XF_SYNC_LAST : 0};
    struct xf_msg m = {.type = XF_MSG_SYNC};

    m.meta_len = (uint32_t)xf_sync_encode(&sync, x->meta);
    if (t->send(w->chan, &m, x->meta, NULL, 0, err) || t->recv(w->chan, &m, x->meta, -1, err))
        return -1;
    if (m.type != XF_MSG_SYNC_ACK || xf_sync_decode(&sync, &m, x->meta, err))
        return xf_fail(err, EPROTO, "the destination answered a sync with message %u", m.type);
    if (sync.seq != seq)
        return xf_fail(err, EPROTO, "the destination confirmed sync %u instead of %u", sync.seq,
                       seq);
    if (sync.pages != w->pages)
        return xf_fail(err, EPROTO, "the destination has taken %llu pages where %llu were sent",
                       (unsigned long long)sync.pages, (unsigned long long)w->pages);
    return 0;
}

/* Takes the oldest job; false when there is none. */
XF_NEEDS(senders_lock)
static bool take_job(struct xf_senders *s, struct job *out)
{
    assert(s->count <= s->cap && s->head < s->cap);
    if (!s->count)
        return false;
    struct job *j = &s->jobs[s->head];

    out->n = j->n;
    out->round = j->round;
    out->last = j->last;
    out->zeros = j->zeros;
    memcpy(out->gfns, j->gfns, j->n * sizeof(j->gfns[0]));
    s->head = (s->head + 1) % s->cap;
    s->count--;
    s->sending++;
    return true;
}

static void fail_all(struct xf_senders *s, const struct xf_err *err)
{
    xf_lock(&s->lock, senders_lock);
    if (!s->err.num)
        s->err = *err;
    s->stop = true;
    pthread_cond_broadcast(&s->work);
    pthread_cond_broadcast(&s->space);
    xf_unlock(&s->lock, senders_lock);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct xf_senders *s = w->s;
    struct xf_err err = {0};
    struct xf_view *view = NULL;
    struct scratch *x = calloc(1, sizeof(*x));
    uint32_t synced;

    xf_lock(&s->lock, senders_lock);
    synced = w->sync_done; /* no other thread changes it */
    xf_unlock(&s->lock, senders_lock);
    if (x)
        x->copy = malloc(XF_PAYLOAD_MAX);
    if (!x || !x->copy) {
        xf_fail(&err, ENOMEM, "out of memory for a sending thread");
        goto out;
    }
    memset(x->copy, 0, XF_PAYLOAD_MAX); /* first touch now, not in downtime */
    if (xf_packing_init(&x->packing, &s->packing, &err))
        goto out;
    if (s->vm->ops->view_open(s->vm, &view, &err))
        goto out;
    for (;;) {
        bool job, last;
        uint32_t seq;

        xf_lock(&s->lock, senders_lock);
        while (!s->stop && !s->count && s->sync_wanted == synced)
            pthread_cond_wait(&s->work, &s->lock);
        if (s->stop) {
            xf_unlock(&s->lock, senders_lock);
            break;
        }
        job = take_job(s, &x->job);
        if (job)
            pthread_cond_broadcast(&s->space);
        seq = s->sync_wanted;
        last = s->sync_last;
        xf_unlock(&s->lock, senders_lock);

        if (job) {
            if (send_batch(w, view, x, &err))
                break;
        } else if (do_sync(w, seq, last, x, &err)) {
            break;
        }
        xf_lock(&s->lock, senders_lock);
        if (job) {
            assert(s->sending > 0);
            s->sending--;
            s->sent.data += x->batch.data_pages;
            s->sent.by[x->packing.sent_as] += x->batch.data_pages;
            s->sent.pack_s += x->packing.was.pack_s;
            if (x->packing.sent_as)
                s->sent.packed += x->packing.was.wire;
            for (unsigned i = 0; i < x->batch.nr_runs; i++) {
                if (x->batch.runs[i].kind == XF_RUN_ZERO)
                    s->sent.zero += x->batch.runs[i].count;
                else if (x->batch.runs[i].kind == XF_RUN_ABSENT)
                    s->sent.absent += x->batch.runs[i].count;
            }
        } else {
            synced = w->sync_done = seq;
            pthread_cond_broadcast(&s->space);
        }
        xf_unlock(&s->lock, senders_lock);
    }
out:
    if (err.num)
        fail_all(s, &err);
    if (view)
        s->vm->ops->view_close(view);
    if (x) {
        xf_packing_free(&x->packing);
        free(x->copy);
    }
    free(x);
    return NULL;
}

XF_ALONE
int xf_senders_start(struct xf_senders **out, struct xf_source_vm *vm, struct xf_link *link,
                     const struct xf_compress_opts *compress, struct xf_err *err)
{
    struct xf_senders *s = calloc(1, sizeof(*s));
    pthread_condattr_t attr;

    if (!s)
        return xf_fail(err, ENOMEM, "out of memory");
    s->vm = vm;
    s->link = link;
    s->compress = *compress;
    s->cap = XF_SENDER_QUEUE * link->nr_bulk;
    s->jobs = calloc(s->cap, sizeof(*s->jobs));
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->work, &attr);
    pthread_cond_init(&s->space, &attr);
    pthread_condattr_destroy(&attr);
    if (!s->jobs) {
        xf_senders_stop(s);
        return xf_fail(err, ENOMEM, "out of memory for the send queue");
    }
    if (xf_senders_go(s, err)) {
        xf_senders_stop(s);
        return -1;
    }
    *out = s;
    return 0;
}

XF_ALONE
int xf_senders_go(struct xf_senders *s, struct xf_err *err)
{
    assert(!s->nr && s->link->nr_bulk <= XF_CHANNELS_MAX);
    xf_packing_rule_init(&s->packing, &s->compress, s->link->nr_bulk);
    for (unsigned i = 0; i < s->link->nr_bulk; i++) {
        struct worker *w = &s->workers[s->nr++];
        int rc;

        *w = (struct worker){.s = s, .chan = s->link->bulk[i], .sync_done = s->sync_wanted};
        rc = pthread_create(&w->thread, NULL, worker_main, w);
        if (rc)
            return xf_fail(err, rc, "cannot start a sending thread: %s", strerror(rc));
        w->started = true;
    }
    return 0;
}

/* Wait on `space` until the deadline. False: it has passed. */
XF_NEEDS(senders_lock)
static bool wait_space(struct xf_senders *s, const struct timespec *deadline)
{
    return pthread_cond_timedwait(&s->space, &s->lock, deadline) != ETIMEDOUT;
}

/* The first failure as the caller's error. */
XF_NEEDS(senders_lock)
static int failed(struct xf_senders *s, struct xf_err *err)
{
    if (err)
        *err = s->err;
    return -1;
}

/* kind: a job without its pages, which are the n at gfns. */
static int push(struct xf_senders *s, const struct job *kind, const uint64_t *gfns, unsigned n,
                int wait_ms, struct xf_err *err)
{
    struct timespec deadline = xf_time_in(wait_ms);
    int rc = 0;

    assert(n && n <= XF_BATCH_PAGES);
    xf_lock(&s->lock, senders_lock);
    while (!s->err.num && s->count == s->cap)
        if (!wait_space(s, &deadline))
            break;
    if (s->err.num) {
        rc = failed(s, err);
    } else if (s->count == s->cap) {
        rc = XF_AGAIN;
    } else {
        struct job *j = &s->jobs[(s->head + s->count) % s->cap];

        j->n = n;
        j->round = kind->round;
        j->last = kind->last;
        j->zeros = kind->zeros;
        memcpy(j->gfns, gfns, n * sizeof(gfns[0]));
        s->count++;
        pthread_cond_signal(&s->work);
    }
    xf_unlock(&s->lock, senders_lock);
    return rc;
}

int xf_senders_push(struct xf_senders *s, const uint64_t *gfns, unsigned n, uint32_t round,
                    bool last, int wait_ms, struct xf_err *err)
{
    const struct job kind = {.round = round, .last = last};

    return push(s, &kind, gfns, n, wait_ms, err);
}

int xf_senders_push_zeros(struct xf_senders *s, const uint64_t *gfns, unsigned n,
                          unsigned long *zeros, int wait_ms, struct xf_err *err)
{
    const struct job kind = {.zeros = zeros};

    return push(s, &kind, gfns, n, wait_ms, err);
}

void xf_senders_take_back(struct xf_senders *s, unsigned long *map)
{
    xf_lock(&s->lock, senders_lock);
    while (s->count) {
        const struct job *j = &s->jobs[(s->head + --s->count) % s->cap];

        for (unsigned i = 0; i < j->n; i++)
            xf_set(map, j->gfns[i]);
    }
    xf_unlock(&s->lock, senders_lock);
}

int xf_senders_sync_begin(struct xf_senders *s, bool last, struct xf_err *err)
{
    int rc = 0;

    xf_lock(&s->lock, senders_lock);
    if (s->err.num) {
        rc = failed(s, err);
    } else {
        s->sync_wanted++;
        s->sync_last = last;
        pthread_cond_broadcast(&s->work);
    }
    xf_unlock(&s->lock, senders_lock);
    return rc;
}

int xf_senders_sync_wait(struct xf_senders *s, int wait_ms, struct xf_err *err)
{
    struct timespec deadline = xf_time_in(wait_ms);
    int rc;

    xf_lock(&s->lock, senders_lock);
    for (;;) {
        unsigned done = 0;

        for (unsigned i = 0; i < s->nr; i++)
            done += s->workers[i].sync_done == s->sync_wanted;
        rc = s->err.num ? failed(s, err) : done == s->nr ? 0 : XF_AGAIN;
        if (rc != XF_AGAIN || !wait_space(s, &deadline))
            break;
    }
    xf_unlock(&s->lock, senders_lock);
    return rc;
}

struct xf_sent xf_senders_count(struct xf_senders *s)
{
    struct xf_sent sent;

    xf_lock(&s->lock, senders_lock);
    sent = s->sent;
    xf_unlock(&s->lock, senders_lock);
    return sent;
}

static void join(struct xf_senders *s, bool abort)
{
    xf_lock(&s->lock, senders_lock);
    s->stop = true;
    pthread_cond_broadcast(&s->work);
    xf_unlock(&s->lock, senders_lock);
    if (abort)
        xf_link_abort_bulk(s->link);
    for (unsigned i = 0; i < s->nr; i++)
        if (s->workers[i].started)
            pthread_join(s->workers[i].thread, NULL);
    s->nr = 0;
}

XF_ALONE
void xf_senders_halt(struct xf_senders *s)
{
    join(s, true);
    s->head = s->count = s->sending = 0;
    s->stop = false;
    xf_clear(&s->err);
}

/* No thread is left. */
XF_ALONE
static void free_all(struct xf_senders *s)
{
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->space);
    pthread_mutex_destroy(&s->lock);
    free(s->jobs);
    free(s);
}

void xf_senders_stop(struct xf_senders *s)
{
    bool busy;

    if (!s)
        return;
    xf_lock(&s->lock, senders_lock);
    busy = s->count > 0 || s->sending > 0;
    for (unsigned i = 0; i < s->nr; i++)
        busy |= s->workers[i].sync_done != s->sync_wanted;
    xf_unlock(&s->lock, senders_lock);
    join(s, busy);
    free_all(s);
}
