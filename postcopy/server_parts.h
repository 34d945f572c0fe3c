/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * State shared by the parts of the page server, from the bottom up: server_pages.c (reading and
 * sending pages), server_answer.c (the answering thread), server_push.c (the pushers), server.c
 * (the caller's thread). Private to them.
 *
 * The threads:
 *   answering   one, while there is a link: the urgent channel
 *   pushers     one for each bulk channel, in xf_server_run()
 *   caller      the control channel
 */
#ifndef XF_SERVER_PARTS_H
#define XF_SERVER_PARTS_H

#include <pthread.h>

#include "postcopy/prefetch.h"
#include "postcopy/server.h"
#include "postcopy/still.h"
#include "pages/cost.h"
#include "pages/packing.h"
#include "transport/lock.h"

struct pusher {
    struct xf_server *s;
    struct xf_chan *chan;
    pthread_t thread;
    bool started;
};

/* A thread's buffers for one batch; too big for a stack. */
struct scratch {
    struct xf_still pages;
    struct xf_request request;
    uint64_t gfns[XF_BATCH_PAGES];
    struct xf_packing packing; /* never compresses in the answering thread */
    uint8_t meta[XF_META_MAX];
};

XF_LOCK_ROLE(server_lock);

struct xf_server {
    /* xf_server_new(). Constant. */
    struct xf_source_vm *vm;
    int silence_ms, quiet_ms;
    double page_rate;
    struct xf_compress_opts compress;
    pthread_mutex_t lock;
    pthread_cond_t push; /* to the pushers: go, more, or stop */

    /* The caller's thread. The others read the link; it changes only while there are none. */
    struct xf_link *link; /* NULL: none */
    pthread_t answerer;
    bool answering; /* started */
    unsigned nr;
    struct pusher pushers[XF_CHANNELS_MAX];
    double push_from;      /* when pushing may begin, 0 before PULL */
    bool pushing;          /* pushing has begun over this link */
    struct xf_view *watch; /* for xf_server_check(); NULL: not opened yet */

    /* The pushers, after server_push.c has begun it for the link. Has its own lock. */
    struct xf_packing_rule packing;

    /* Under the lock. server.c fills both, while there are no other threads. Then a request changes
     * the order (answering) and a push takes from it (pushers). */
    struct xf_prefetch order XF_GUARDED(server_lock);
    unsigned long *owed XF_GUARDED(server_lock); /* may be requested: all that were missing */

    /* Under the lock. Each thread adds what it has done; the sink's word is the caller's. */
    struct xf_server_status status XF_GUARDED(server_lock);

    /* Under the lock. The caller; stop and err also every thread that fails. */
    bool go XF_GUARDED(server_lock), stop XF_GUARDED(server_lock);
    struct xf_err err XF_GUARDED(server_lock); /* first failure of a thread */

    /* Without the lock. The answering thread and the pushers. */
    struct xf_cost map, copy;
};

/* --- server_pages.c: reading and sending pages --- */

/* A thread has failed with err: note the first such error, and have the pushers stop. The answering
 * thread and the pushers. */
void xf_server_failed(struct xf_server *s, const struct xf_err *err);
/* No more pages can be sent, or are wanted. Any thread. */
void xf_server_set_hopeless(struct xf_server *s);
/* Send the n ascending gfns in x->gfns as one batch: type is BATCH, which may get compressed, or
 * ANSWER. view and x are the calling thread's. -1: the link's error; EBUSY, ESRCH: the guest was
 * resumed, or is gone, which the status shows then. The answering thread and the pushers. */
int xf_server_send_pages(struct xf_server *s, struct xf_chan *chan, uint16_t type,
                         struct xf_view *view, struct scratch *x, unsigned n, struct xf_err *err);

/* --- server_answer.c --- */

/* The answering thread, started by xf_server_start(). */
void *xf_server_answer_main(void *server);

/* --- server_push.c: both are for the caller's thread --- */

/* Start a pusher for each bulk channel of s->link; aborting the link and `stop` end them. After -1
 * some may run. */
int xf_server_start_pushing(struct xf_server *s, struct xf_err *err);
/* Begin pushing once it is time. Returns how long the thread may sleep, ms. */
int xf_server_let_push(struct xf_server *s);

#endif
