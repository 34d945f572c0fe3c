/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * State shared by the parts of the sink process, in the order of a move's phases: receive_sink.c
 * (overall course), receive_check.c (CHECK), receive_disks.c (DISKS), receive_build.c (SKELETON),
 * receive_copy.c (COPY, SWITCH), receive_pull.c (PULL), receive_finish.c (FINISH); and helpers for
 * several of them: receive_late.c, receive_cold.c (a cold move, in place of SKELETON to SWITCH),
 * receive_pci.c, receive_tick.c, receive_link.c, receive_network.c, receive_status.c. Private to
 * them.
 *
 * The members are grouped by the phase that writes them, and every phase may read what an earlier
 * one wrote. All of it belongs to the sink's one main thread.
 */
#ifndef XF_RECEIVE_PARTS_H
#define XF_RECEIVE_PARTS_H

#include "libxl-ext/sink/announce.h"
#include "libxl-ext/sink/disks_here.h"
#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/peer/check.h"
#include "libxl-ext/sink/hold_vif.h"
#include "libxl-ext/moves/incoming_lock.h"
#include "libxl-ext/xen/device_model.h"
#include "libxl-ext/xen/qdisk.h"
#include "libxl-ext/sink/receive_sink.h"
#include "libxl-ext/moves/status.h"
#include "libxl-ext/xen/xen_pager.h"
#include "libxl-ext/xen/xen_sink.h"
#include "postcopy/rejoin.h"
#include "precopy/sink.h"
#include "pages/absent.h"
#include "transport/gather.h"

struct sink {
    /* From the guard: xf_sink_main(), constant. `shared` tells the guard the sink's progress. */
    const struct xf_receive_opts *o;
    struct xf_builder_fds *fds;
    struct xf_sink_shared *shared;
    pid_t guard;
    int guard_fd; /* to tell the guard: see receive_sink.h */
    struct xf_pipe pipe;

    /* Xen: the log by receive_sink.c, the handles by CHECK; constant. */
    struct xf_toollog log;
    libxl_ctx *ctx;
    xc_interface *xch;

    /* CHECK. Then constant, except hello.domain, which follows a renamed guest. */
    struct {
        struct xf_hello hello;
        bool same_host;
        struct xf_incoming_lock lock; /* of its name and uuid */
        uint16_t port, rdma_port;     /* listened on; 0: not over that transport */
        int port_lock;                /* -1: none */
        int slot;                     /* of this host's (slot.h), receive_slot.c; -1: none */
    } check;

    /* The channels: CHECK listens, receive_link.c gathers them, PULL gathers them again. */
    struct xf_gather gather;
    struct xf_link link;

    /* SKELETON; the stock xl continues with the devices in COPY (xf_sink_build_on()). */
    struct {
        struct xf_builder builder;
        void *stream; /* what it builds from; malloc()ed */
        struct xf_skeleton skeleton;
        const struct xf_guest_kind_ops *kind; /* of the guest */
        struct xf_device_model dm;            /* if the kind has one; until GO */
        uint64_t rings[XF_SPECIALS_MAX];
        int64_t until;          /* deadline for the build, xf_now_ms() */
        bool devices;           /* everything is built */
        struct xf_qdisks disks; /* those that QEMU serves here; open when `devices` is */
        double looked;          /* when xf_sink_still_there() last looked */
    } build;
    struct xf_xen_sink xen; /* the copy as the engine's guest */

    /* Disks that move, too: disks_here.c only. */
    struct xf_disks_here disks;

    /* COPY and SWITCH. */
    struct {
        bool asked;                   /* the source has asked for the devices: SWITCH follows */
        struct xf_incoming_lock name; /* of the name the guest was given since, if any */
    } copy;
    bool go;        /* GO has arrived: the tick can no longer end the move */
    uint64_t go_ns; /* when, CLOCK_MONOTONIC */

    /* PULL and its preparation. */
    struct {
        bool possible;              /* CHECK: pages may arrive after GO; SKELETON may rule it out */
        struct xf_err no_paging;    /* SKELETON: ... and why */
        struct xf_xen_pager paging; /* SKELETON */
        struct xf_absent absent;    /* SKELETON; COPY marks pages, PULL puts them in */
        struct xf_pager *pager;     /* SWITCH; NULL: no page is absent */
    } pull;

    /* The guest's network, held while pages are absent: receive_network.c only. */
    struct {
        struct xf_hold_vif hold;
        struct xf_announce announce;
        bool let;             /* it was released */
        struct xf_err failed; /* why it was not */
    } net;

    /* For migrate-status: receive_status.c only. */
    struct {
        enum xf_phase phase;
        struct xf_status_server *status; /* NULL: nobody can ask */
        struct xf_status_pace pace;
        double began, told;
    } show;
};

/* --- receive_tick.c --- */

/* From now on a signal that asks to stop is remembered. Called once, before anything else. */
void xf_sink_signals(void);
/* Before GO: -1 once the move must end, on request or because the peer is gone. */
int xf_sink_tick(void *priv, struct xf_err *err);
/* -1 after `until` (xf_now_ms()): xl did not do `what` within within_ms. */
int xf_sink_in_time(int64_t until, int within_ms, const char *what, struct xf_err *err);
#define XF_ATTACHES "attach the guest's devices"

/* --- receive_check.c: CHECK --- */

/* Read the hello, check, lock, listen, reply. *refused: the source has been told why not, or all
 * that it asked for, and will disconnect. After -1 it has also been told, if possible. */
int xf_sink_check(struct sink *s, bool *refused, struct xf_err *err);

/* --- receive_slot.c: this host's limit of moves --- */

/* Take a slot for the move, which is to be received. If there is none, a refusal is added to the
 * findings. With check_only: only report. */
int xf_sink_take_slot(struct sink *s, struct xf_reply *reply, struct xf_findings *found,
                      struct xf_err *err);

/* --- receive_link.c: the channels --- */

/* The parameters agreed for the data connections; they include the key. */
struct xf_link_cfg xf_sink_link_cfg(const struct sink *s, bool rdma);
/* One configured address is also the only one listened on; else NULL. */
const char *xf_sink_listen_address(const struct sink *s);
/* Wait until the source has connected all channels; the tick may end that. The listener stays open
 * for links that may replace this one, over the same transport or, in COPY, over TCP instead of
 * RDMA; so nobody else gets the port. */
int xf_sink_accept(struct sink *s, int within_ms, struct xf_tick tick, struct xf_err *err);

/* --- receive_disks.c: DISKS --- */

/* Make the guest's disks here and receive them, until the source says that every copy follows its
 * disk. */
int xf_sink_disks(struct sink *s, struct xf_err *err);
/* SWITCH: the source has drained them. See xf_sink_watch.disks. priv is the sink. */
int xf_sink_disks_done(void *priv, struct xf_err *err);

/* --- receive_build.c: SKELETON --- */

/* Build the domain; after 0 its memory can be filled, and the source has been told. */
int xf_sink_skeleton(struct sink *s, struct xf_err *err);
/* Let the stock xl work; sets s->build.devices when it is done. */
int xf_sink_build_on(struct sink *s, int wait_ms, struct xf_err *err);
/* Does the copy still exist? Others may destroy it while it is filled. Looks at most once a second:
 * often enough that no other domain can have got its number, since libxl does not reuse a number
 * within a minute (LIBXL_DOMID_REUSE_TIMEOUT). */
int xf_sink_still_there(struct sink *s, struct xf_err *err);

/* --- receive_late.c: devices in SWITCH --- */

/* The built domain's devices are attached by load_devices. */
void xf_sink_late(struct sink *s);

/* --- receive_copy.c: COPY, SWITCH --- */

/* Runs until GO (XF_SINK_RUNS; err then says why the copy could not be unpaused, if so), or until
 * the move has failed. */
enum xf_sink_end xf_sink_copy(struct sink *s, struct xf_err *err);

/* GO has arrived: end the stock xl's control over the copy. From here on nothing destroys it. */
void xf_sink_committed(struct sink *s);

/* --- receive_cold.c: a cold move, from the channels to GO --- */

/* As xf_sink_copy(), but begins with building the copy. */
enum xf_sink_end xf_sink_cold(struct sink *s, struct xf_err *err);

/* --- receive_link.c, again --- */

/* Send the source an ERROR, if it can be reached. */
void xf_sink_tell_source(struct sink *s, const struct xf_err *why);

/* --- receive_network.c: the guest's network while pages are absent --- */

/* If pages are absent and the backends exist: hold the network. Once. */
int xf_sink_hold_network(struct sink *s, struct xf_err *err);
/* In PULL: keep it held; release it as soon as no page is absent. */
void xf_sink_network_tick(struct sink *s);
/* No page is absent: release the network. Does so only once; if that fails (s->net.failed), the
 * next call tries again. */
void xf_sink_let_network(struct sink *s);

/* --- receive_pull.c: PULL --- */

/* The guest runs and depends on us: this returns only when the guest ends (*ended) or the last page
 * has arrived. -1: it lacks pages and was paused. */
int xf_sink_pull(struct sink *s, bool *ended, struct xf_err *err);

/* --- receive_pci.c: PCI devices after GO --- */

/* The guest runs: attach the PCI devices that the source asked for, and tell the source. -1: one of
 * them could not be attached. Does nothing if there are none. */
int xf_sink_plug(struct sink *s, struct xf_err *err);

/* --- receive_finish.c: what remains after GO --- */

/* PULL, if pages are absent, and FINISH. err: that of the unpause, if it failed. The guest is here
 * nevertheless, and somebody else may unpause it: everything is done as for a running guest, and
 * the failure is reported. */
int xf_sink_finish(struct sink *s, struct xf_err *err);

/* --- receive_status.c --- */

/* The source's address, if the command that started us reveals it; else empty. */
void xf_sink_name_source(char *out, size_t size);
/* Begin to serve status queries. On failure the move continues without them. */
void xf_sink_begin_telling(struct sink *s);
/* Publish the phase, and, ten times a second, everything else that migrate-status shows. */
void xf_sink_tell(struct sink *s, enum xf_phase phase);

#endif
