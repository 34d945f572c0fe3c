/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the sink process share: receive_sink.c (its course, COPY to FINISH),
 * receive_check.c (CHECK), receive_build.c (SKELETON), receive_status.c (what others may know).
 * Private to them. All of it belongs to the sink's one main thread.
 */
#ifndef XF_RECEIVE_PARTS_H
#define XF_RECEIVE_PARTS_H

#include "libxl-ext/sink/announce.h"
#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/sink/hold_vif.h"
#include "libxl-ext/moves/incoming_lock.h"
#include "libxl-ext/xen/qdisk.h"
#include "libxl-ext/sink/receive_sink.h"
#include "libxl-ext/moves/status.h"
#include "libxl-ext/xen/xen_pager.h"
#include "libxl-ext/xen/xen_sink.h"
#include "postcopy/rejoin.h"
#include "pages/absent.h"
#include "transport/gather.h"

struct sink {
    const struct xf_receive_opts *o;
    struct xf_builder_fds *fds;
    struct xf_sink_shared *shared;
    pid_t guard;
    struct xf_pipe pipe;
    struct xf_toollog log;
    libxl_ctx *ctx;
    xc_interface *xch;
    struct xf_hello hello;
    struct xf_incoming_lock lock; /* of its name and uuid */
    struct xf_incoming_lock name; /* of the name that it was given since, if any */
    int port_lock;                /* -1: none */
    int guard_fd;                 /* to tell the guard: see receive_sink.h */
    bool same_host;
    struct xf_gather gather;
    struct xf_link link;
    struct xf_builder builder;
    void *stream;  /* what it builds from */
    bool devices;  /* it has built all */
    bool asked;    /* the source has asked for that: SWITCH is next */
    double looked; /* when xf_sink_still_there() did */
    int64_t build_until;
    struct xf_xen_sink xen;
    struct xf_skeleton skeleton;
    struct xf_announce announce;
    struct xf_hold_vif hold_vif;
    struct xf_qdisks disks; /* those that QEMU serves here */
    uint64_t go_ns;         /* when GO came, CLOCK_MONOTONIC */
    bool network_let;
    struct xf_err vif;       /* why the network was not let go */
    bool pull;               /* pages may come after GO: asked for, and possible as it seems */
    struct xf_err no_paging; /* ... and here is why not, as it turned out */
    struct xf_xen_pager paging;
    struct xf_absent absent;
    struct xf_pager *pager;
    uint16_t port, rdma_port;
    uint64_t rings[XF_SPECIALS_MAX];
    bool go;
    enum xf_phase phase;             /* for migrate-status, and all below */
    struct xf_status_server *status; /* NULL: nobody can ask */
    struct xf_status_pace pace;
    double began, told;
};

/* Before GO: -1 once the move must end, because somebody wants that or is gone. */
int xf_sink_tick(void *priv, struct xf_err *err);

/* --- receive_check.c --- */

/* CHECK: say hello, look, lock, listen, reply. *refused: the source has been told why not, or all
 * that it asked for, and goes away. After -1 it has been told, too, if it could be. */
int xf_sink_check(struct sink *s, bool *refused, struct xf_err *err);
/* What is agreed about the data connections; it holds the key. */
struct xf_link_cfg xf_sink_link_cfg(const struct sink *s, bool rdma);
/* One configured address is also the only one listened on; else NULL. */
const char *xf_sink_listen_address(const struct sink *s);

/* --- receive_build.c --- */

/* SKELETON: the domain stands, its memory can be filled, and the source knows it. */
int xf_sink_skeleton(struct sink *s, struct xf_err *err);
/* The stock xl at work: s->devices is set when it is done. */
int xf_sink_build_on(struct sink *s, int wait_ms, struct xf_err *err);
/* The copy may be destroyed here by others while it is filled: at most once a second, is it still
 * there? Often enough that no other domain can have got its number: libxl gives none again within
 * a minute (LIBXL_DOMID_REUSE_TIMEOUT). */
int xf_sink_still_there(struct sink *s, struct xf_err *err);

/* --- receive_status.c --- */

/* The source's address, if the command that brought us here says it; else empty. */
void xf_sink_name_source(char *out, size_t size);
/* A move that nobody can ask goes on all the same. */
void xf_sink_begin_telling(struct sink *s);
/* The phase is this one now; and everything else that migrate-status shows, ten times a second. */
void xf_sink_tell(struct sink *s, enum xf_phase phase);

#endif
