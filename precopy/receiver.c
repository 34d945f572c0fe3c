/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bulk receiving threads, one per channel: populate what is missing, map, receive straight into the
 * mapping (or decompress there), unmap. Contract in sink.h.
 *
 * One bitmap for all threads tells which gfns have memory. Between two syncs a gfn is on one
 * channel only (the source syncs every channel between rounds), so no two threads ever populate the
 * same gfn at once if the source keeps to the protocol; if it does not, the atomic bit makes one of
 * them fail, and Xen refuses the second populate anyway.
 */
#include "precopy/sink.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "pages/absent.h"
#include "pages/batch.h"
#include "pages/packing.h"
#include "pages/rings.h"
#include "pages/zero.h"
#include "precopy/large.h"
#include "transport/lock.h"

struct receiver {
    struct xf_receivers *r;
    struct xf_chan *chan;
    pthread_t thread;
    bool started;
    uint64_t pages;
};

XF_LOCK_ROLE(receivers_lock);

struct xf_receivers {
    struct xf_sink_vm *vm;
    struct xf_link *link;
    unsigned long *present; /* atomic bits */
    unsigned long *rings;   /* constant after start */
    struct xf_large large;  /* fills parts of present */
    pthread_mutex_t lock;
    struct xf_err err XF_GUARDED(receivers_lock); /* first failure */
    /* Channels that have synced after their last page. */
    unsigned complete XF_GUARDED(receivers_lock);
    bool stopping XF_GUARDED(receivers_lock); /* failures are caused by this side now */
    unsigned nr;
    struct receiver list[XF_CHANNELS_MAX];
};

struct scratch {
    struct xf_batch batch;
    uint64_t data[XF_BATCH_PAGES], zero[XF_BATCH_PAGES], fresh[XF_BATCH_PAGES],
        gone[XF_BATCH_PAGES];
    unsigned nr_data, nr_zero, nr_fresh, nr_gone;
    uint32_t data_at[XF_BATCH_PAGES]; /* which page of the payload belongs to data[i] */
    uint64_t late[XF_BATCH_PAGES];    /* marked absent: to be put in, never mapped */
    const uint8_t *late_page[XF_BATCH_PAGES];
    unsigned nr_late;
    uint64_t away[XF_BATCH_PAGES]; /* marked absent, and released by the guest since */
    unsigned nr_away;
    uint8_t *bounce; /* XF_PAYLOAD_MAX bytes; NULL: no page can be absent, not needed yet */
    struct iovec iov[XF_BATCH_PAGES];
    XXH3_state_t *sum;
    struct xf_unpacker *unpacker; /* NULL until the first batch that needs it */
    struct xf_pack pack;          /* of the batch; nr_blocks 0: it is not compressed */
    struct xf_map map;
    uint8_t meta[XF_META_MAX];
};

/* Sort the batch's gfns by what must be done with them. */
static int sort_gfns(struct xf_receivers *r, struct scratch *x, struct xf_err *err)
{
    const struct xf_absent *absent = r->vm->absent;
    uint32_t at = 0;

    x->nr_data = x->nr_zero = x->nr_fresh = x->nr_gone = x->nr_late = x->nr_away = 0;
    for (unsigned i = 0; i < x->batch.nr_runs; i++) {
        const struct xf_run *run = &x->batch.runs[i];

        for (uint64_t g = run->gfn; g < run->gfn + run->count; g++) {
            if (xf_bit(r->rings, g))
                return xf_fail(err, EPROTO, "the source sent gfn 0x%llx, which is not its to send",
                               (unsigned long long)g);
            if (run->kind == XF_RUN_ABSENT) {
                if (xf_unset_atomic(r->present, g))
                    x->gone[x->nr_gone++] = g;
                if (absent && xf_is_absent(absent, g))
                    x->away[x->nr_away++] = g;
                continue;
            }
            if (absent && xf_is_absent(absent, g)) {
                x->late[x->nr_late] = g;
                x->late_page[x->nr_late++] =
                    run->kind == XF_RUN_DATA ? x->bounce + (size_t)at++ * XF_PAGE_SIZE : NULL;
                continue;
            }
            if (!xf_set_atomic(r->present, g)) {
                x->fresh[x->nr_fresh++] = g;
                if (run->kind == XF_RUN_ZERO && r->vm->fresh_zero)
                    continue;
            }
            if (run->kind == XF_RUN_DATA) {
                x->data_at[x->nr_data] = at++;
                x->data[x->nr_data++] = g;
            } else {
                x->zero[x->nr_zero++] = g;
            }
        }
    }
    return 0;
}

/* Receive the batch's data pages, in their order, into `to`. */
static int receive_pages(struct receiver *w, struct scratch *x, uint8_t *to, struct xf_err *err)
{
    return xf_packing_receive(&x->unpacker, w->r->link->ops, w->chan, &x->pack, &x->batch, to, err);
}

/* Copy the mapped pages from the payload that was received into x->bounce. */
static void copy_mapped(struct scratch *x)
{
    for (unsigned i = 0; i < x->nr_data; i++)
        memcpy(x->map.page[i], x->bounce + (size_t)x->data_at[i] * XF_PAGE_SIZE, XF_PAGE_SIZE);
}

/* As receive_pages(), into the niov pieces of x->iov, which are the mapped pages. */
static int receive_scattered(struct receiver *w, struct scratch *x, int niov, struct xf_err *err)
{
    if (!x->pack.nr_blocks)
        return w->r->link->ops->recv_payload(w->chan, x->iov, niov, err);
    if (!x->bounce)
        x->bounce = malloc(XF_PAYLOAD_MAX);
    if (!x->bounce)
        return xf_fail(err, ENOMEM, "out of memory for decompressing");
    if (receive_pages(w, x, x->bounce, err))
        return -1;
    copy_mapped(x);
    return 0;
}

static bool sum_is(struct scratch *x, int niov, uint64_t sum)
{
    XXH3_64bits_reset(x->sum);
    for (int i = 0; i < niov; i++)
        XXH3_64bits_update(x->sum, x->iov[i].iov_base, x->iov[i].iov_len);
    return XXH3_64bits_digest(x->sum) == sum;
}

static int put_data(struct receiver *w, struct xf_view *view, struct scratch *x, struct xf_err *err)
{
    const struct xf_sink_ops *ops = w->r->vm->ops;
    int rc, niov = 0;

    if (ops->map(view, x->data, x->nr_data, true, &x->map, err))
        return -1;
    for (unsigned i = 0; i < x->nr_data; i++)
        niov = xf_iov_add(x->iov, niov, x->map.page[i]);
    rc = niov == 1 ? receive_pages(w, x, x->iov[0].iov_base, err)
                   : receive_scattered(w, x, niov, err);
    if (!rc && x->batch.sum && !sum_is(x, niov, x->batch.sum))
        rc = xf_fail(err, EBADMSG, "the pages received do not match their checksum");
    ops->unmap(view, &x->map);
    return rc;
}

/* As put_data(), when some of the batch's pages are absent and cannot be mapped. */
static int put_mixed(struct receiver *w, struct xf_view *view, struct scratch *x,
                     struct xf_err *err)
{
    const struct xf_sink_ops *ops = w->r->vm->ops;
    size_t len = (size_t)x->batch.data_pages * XF_PAGE_SIZE;

    if (len && receive_pages(w, x, x->bounce, err))
        return -1;
    if (x->batch.sum && XXH3_64bits(x->bounce, len) != x->batch.sum)
        return xf_fail(err, EBADMSG, "the pages received do not match their checksum");
    if (x->nr_data) {
        if (ops->map(view, x->data, x->nr_data, true, &x->map, err))
            return -1;
        copy_mapped(x);
        ops->unmap(view, &x->map);
    }
    return xf_absent_put(w->r->vm->absent, view, x->late, x->late_page, x->nr_late, err) < 0 ? -1
                                                                                             : 0;
}

/* New memory holds whatever the heap gave (Xen does not scrub a live guest's freed pages), and
 * old memory has old contents: check, and write only where needed. */
static int put_zeros(struct receiver *w, struct xf_view *view, struct scratch *x,
                     struct xf_err *err)
{
    const struct xf_sink_ops *ops = w->r->vm->ops;

    if (ops->map(view, x->zero, x->nr_zero, false, &x->map, err))
        return -1;
    for (unsigned i = 0; i < x->nr_zero; i++) {
        uint8_t *page = x->map.page[i];

        if (!xf_page_is_zero(page))
            memset(page, 0, XF_PAGE_SIZE);
    }
    ops->unmap(view, &x->map);
    return 0;
}

/*
 * Put in the absent pages that are to be removed, if only for a moment. Removing an absent page
 * would make Xen report it on the pager's ring, and if that is full (nothing reads it yet), the
 * page would be counted as paged out for as long as the domain lives (docs/xen-notes.md).
 */
static int bring_back(struct receiver *w, struct xf_view *view, struct scratch *x,
                      struct xf_err *err)
{
    static const uint8_t *const zeros[XF_BATCH_PAGES];

    return x->nr_away && xf_absent_put(w->r->vm->absent, view, x->away, zeros, x->nr_away, err) < 0
               ? -1
               : 0;
}

static int place(struct receiver *w, struct xf_view *view, struct scratch *x, struct xf_err *err)
{
    const struct xf_sink_ops *ops = w->r->vm->ops;

    xf_large_touch(&w->r->large, view, &x->batch);
    if (sort_gfns(w->r, x, err))
        return -1;
    if (bring_back(w, view, x, err))
        return -1;
    if (x->nr_gone && ops->depopulate(view, x->gone, x->nr_gone, err))
        return -1;
    if (x->nr_fresh && ops->populate(view, x->fresh, x->nr_fresh, err))
        return -1;
    if (x->nr_late ? put_mixed(w, view, x, err) : x->nr_data && put_data(w, view, x, err))
        return -1;
    if (x->nr_zero && put_zeros(w, view, x, err))
        return -1;
    w->pages += x->batch.nr_pages;
    return 0;
}

static int take_batch(struct receiver *w, struct xf_view *view, const struct xf_msg *m,
                      struct scratch *x, struct xf_err *err)
{
    struct xf_absent *absent = w->r->vm->absent;
    int rc;

    if (xf_packing_decode(&x->pack, &x->batch, m, x->meta, w->r->vm->nr_gfns, err))
        return -1;
    if (!absent)
        return place(w, view, x, err);
    xf_rdlock(&absent->lock, xf_absent_lock);
    rc = place(w, view, x, err);
    xf_rwunlock(&absent->lock, xf_absent_lock);
    return rc;
}

/* *last: no page follows this sync. */
static int answer_sync(struct receiver *w, const struct xf_msg *m, struct scratch *x, bool *last,
                       struct xf_err *err)
{
    struct xf_msg ack = {.type = XF_MSG_SYNC_ACK};
    struct xf_sync sync;

    if (xf_sync_decode(&sync, m, x->meta, err))
        return -1;
    *last = sync.flags & XF_SYNC_LAST;
    if (*last) {
        xf_lock(&w->r->lock, receivers_lock);
        w->r->complete++;
        xf_unlock(&w->r->lock, receivers_lock);
    }
    sync.pages = w->pages;
    ack.meta_len = (uint32_t)xf_sync_encode(&sync, x->meta);
    return w->r->link->ops->send(w->chan, &ack, x->meta, NULL, 0, err);
}

static void *receiver_main(void *arg)
{
    struct receiver *w = arg;
    struct xf_receivers *r = w->r;
    struct xf_err err = {0};
    struct xf_view *view = NULL;
    struct scratch *x = calloc(1, sizeof(*x));
    bool last = false;

    if (x)
        x->sum = XXH3_createState();
    if (!x || !x->sum) {
        xf_fail(&err, ENOMEM, "out of memory for a receiving thread");
        goto out;
    }
    if (r->vm->absent) {
        x->bounce = malloc(XF_PAYLOAD_MAX);
        if (!x->bounce) {
            xf_fail(&err, ENOMEM, "out of memory for a receiving thread");
            goto out;
        }
        memset(x->bounce, 0, XF_PAYLOAD_MAX); /* first touch now, not in downtime */
    }
    if (r->vm->ops->view_open(r->vm, &view, &err))
        goto out;
    while (!last) {
        struct xf_msg m;

        if (r->link->ops->recv(w->chan, &m, x->meta, -1, &err))
            break;
        if (m.type == XF_MSG_BATCH || m.type == XF_MSG_PACKED) {
            if (take_batch(w, view, &m, x, &err))
                break;
        } else if (m.type == XF_MSG_SYNC) {
            if (answer_sync(w, &m, x, &last, &err))
                break;
        } else {
            xf_fail(&err, EPROTO, "the source sent message %u on a bulk channel", m.type);
            break;
        }
    }
out:
    xf_lock(&r->lock, receivers_lock);
    if (err.num && !r->err.num && !r->stopping)
        r->err = err;
    xf_unlock(&r->lock, receivers_lock);
    if (view)
        r->vm->ops->view_close(view);
    if (x) {
        xf_unpacker_free(x->unpacker);
        XXH3_freeState(x->sum);
        free(x->bounce);
    }
    free(x);
    return NULL;
}

int xf_receivers_start(struct xf_receivers **out, struct xf_sink_vm *vm, struct xf_link *link,
                       struct xf_err *err)
{
    struct xf_receivers *r = calloc(1, sizeof(*r));

    if (!r)
        return xf_fail(err, ENOMEM, "out of memory");
    r->vm = vm;
    r->link = link;
    pthread_mutex_init(&r->lock, NULL);
    r->present = xf_bitmap_new(vm->nr_gfns);
    r->rings = xf_bitmap_new(vm->nr_gfns);
    if (!r->present || !r->rings || xf_large_init(&r->large, vm, r->present, r->rings)) {
        xf_receivers_stop(r);
        return xf_fail(err, ENOMEM, "out of memory for a map of %llu pages",
                       (unsigned long long)vm->nr_gfns);
    }
    xf_mark_built(vm, r->present);
    xf_mark_rings(vm, r->rings);
    if (xf_receivers_go(r, err)) {
        xf_receivers_stop(r);
        return -1;
    }
    *out = r;
    return 0;
}

int xf_receivers_go(struct xf_receivers *r, struct xf_err *err)
{
    assert(!r->nr && r->link->nr_bulk <= XF_CHANNELS_MAX);
    for (unsigned i = 0; i < r->link->nr_bulk; i++) {
        struct receiver *w = &r->list[r->nr++];
        int rc;

        *w = (struct receiver){.r = r, .chan = r->link->bulk[i]};
        rc = pthread_create(&w->thread, NULL, receiver_main, w);
        if (rc)
            return xf_fail(err, rc, "cannot start a receiving thread: %s", strerror(rc));
        w->started = true;
    }
    return 0;
}

int xf_receivers_check(struct xf_receivers *r, struct xf_err *err)
{
    int rc = 0;

    xf_lock(&r->lock, receivers_lock);
    if (r->err.num) {
        if (err)
            *err = r->err;
        rc = -1;
    }
    xf_unlock(&r->lock, receivers_lock);
    return rc;
}

int xf_receivers_whole(struct xf_receivers *r, const struct xf_extents *set, struct xf_err *err)
{
    return xf_large_add(&r->large, set, err);
}

uint64_t xf_receivers_large(struct xf_receivers *r)
{
    return r->large.pages;
}

int xf_receivers_mark(struct xf_receivers *r, struct xf_view *view, const struct xf_extents *set,
                      unsigned long *refused, struct xf_err *err)
{
    return xf_absent_mark(r->vm->absent, view, set, r->present, refused, err);
}

static unsigned complete(struct xf_receivers *r)
{
    unsigned n;

    xf_lock(&r->lock, receivers_lock);
    n = r->complete;
    xf_unlock(&r->lock, receivers_lock);
    return n;
}

bool xf_receivers_complete(struct xf_receivers *r)
{
    return complete(r) == r->nr;
}

bool xf_receivers_ending(struct xf_receivers *r)
{
    return complete(r) > 0;
}

static void join(struct xf_receivers *r, bool abort)
{
    xf_lock(&r->lock, receivers_lock);
    r->stopping = true;
    xf_unlock(&r->lock, receivers_lock);
    if (abort)
        xf_link_abort_bulk(r->link);
    for (unsigned i = 0; i < r->nr; i++)
        if (r->list[i].started)
            pthread_join(r->list[i].thread, NULL);
    r->nr = 0;
}

XF_ALONE
void xf_receivers_halt(struct xf_receivers *r)
{
    join(r, true);
    r->stopping = false;
    xf_clear(&r->err);
}

void xf_receivers_stop(struct xf_receivers *r)
{
    if (!r)
        return;
    join(r, !xf_receivers_complete(r));
    pthread_mutex_destroy(&r->lock);
    xf_large_free(&r->large);
    free(r->present);
    free(r->rings);
    free(r);
}
