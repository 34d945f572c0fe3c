/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fake guest (fake_vm.h), a link over real TCP on this machine (or another transport), and
 * the engine at both ends: the sink serves in a thread of its own, the source in the test's.
 */
#ifndef XF_FAKE_MOVE_H
#define XF_FAKE_MOVE_H

#include "precopy/copy.h"
#include "precopy/sink.h"
#include "tests/unit/fake_vm.h"
#include "transport/gather.h"

struct move {
    struct fake *f;
    struct xf_copy copy;
    struct xf_link source, sink;
    bool encrypt;
    unsigned version; /* of the protocol; 0: the newest */
    unsigned channels;
    int stall_ms;
    const struct xf_transport_ops *second; /* COPY may continue over it after a loss; NULL: none */
    uint16_t ports[2];
    int dialled;

    /* the sink's thread */
    pthread_t thread;
    bool serving;
    enum xf_sink_end sink_end;
    struct xf_err sink_err;
    atomic_int committed;
    atomic_bool sink_stop;     /* its tick fails */
    int devices_late;          /* checks by the sink until the devices are attached */
    atomic_bool devices;       /* they are attached */
    struct xf_follow followed; /* the last change it received */
    unsigned follows;
    bool follow_fails;
    atomic_bool hung_up; /* the source has closed the bootstrap pipe */
    struct xf_gather gather;
    unsigned sink_relinks;
    struct xf_tick tick_relink;

    /* the source's */
    struct xf_err err;
    enum xf_switch_end end;
    bool switched;      /* reached xf_switch() */
    atomic_bool cancel; /* the tick fails */
    atomic_bool thaw;   /* lets move_freeze() go on */
    atomic_uint ticks;
    int (*before_go)(void *priv, struct xf_err *err);
    unsigned relinks;
    void (*before_relink)(struct move *m); /* NULL, or: before the source connects again */
    struct xf_err lost;                    /* why the first link was given up */

    int fds, threads; /* before it began */
};

/* A fresh guest and a connected link; false, with a message, when that fails. Change
 * m->copy.opts and hooks (m->f->hook; m is m->f->priv) before move_run(). */
bool move_open(struct move *m, bool encrypt, unsigned channels);
/* In this version of the protocol. */
bool move_open_in(struct move *m, unsigned version, unsigned channels);
/* The same over another transport; with a second one, COPY goes on over that when the first link
 * is lost. It may be the same one, whose listener then stays. */
bool move_open_over(struct move *m, const struct xf_transport_ops *first,
                    const struct xf_transport_ops *second, bool encrypt, unsigned channels,
                    int stall_ms);
/* The sink's half, in its thread. move_run() and the hostile source begin with it. */
void move_serve(struct move *m);
/* The whole move as libxl-ext/source/move.c does it, cancelling included. Both ends are finished
 * and their links closed afterwards. */
void move_run(struct move *m);
/* Wait for the sink's thread. */
void move_join(struct move *m);
/* Closes what is left, frees, and returns whether no threads, descriptors or views were left
 * behind. */
bool move_close(struct move *m);

/* For hooks: the sink's process dies; it hangs until the source's side has finished. */
void move_kill_sink(struct move *m);
void move_freeze(struct move *m);

#endif
