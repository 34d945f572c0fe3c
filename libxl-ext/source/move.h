/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of one move at the source, and its beginning and end. move.c runs it, or recover.c in
 * place of a process that died. Each phase has its own header (move_check.h, ...).
 *
 * The members are grouped by the phase that writes them, and every phase may read what an earlier
 * one wrote. All of it belongs to the one thread that runs the move. Private to libxl-ext/source.
 */
#ifndef XF_MOVE_H
#define XF_MOVE_H

#include <libxl.h>
#include <xenctrl.h>

#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/xen/changes.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/source/disks_moving.h"
#include "libxl-ext/host/own_address.h"
#include "libxl-ext/xen/qdisk.h"
#include "libxl-ext/moves/history.h"
#include "libxl-ext/moves/budget.h"
#include "libxl-ext/moves/status.h"
#include "libxl-ext/xen/toollog.h"
#include "libxl-ext/xen/xen_source.h"
#include "libxl-ext/xen/xen_stream.h"
#include "postcopy/server.h"
#include "precopy/copy.h"

/* The name of a domain that has moved away, as in stock xl (tools/xl/xl_migrate.c). */
#define XF_AWAY "%s--migratedaway"

struct xf_move {
    /* The options, and who is notified: xf_move_init(), constant. Each phase fills in its own part
     * of the report. */
    const struct xf_move_opts *o;
    const struct xf_watch *w;
    struct xf_report *report;

    /* Xen: xf_move_attach(), constant. */
    struct xf_toollog log;
    libxl_ctx *ctx;
    xc_interface *xch;

    /* Which domain: CHECK, or recover.c. The name changes when the guest is renamed, until SWITCH
     * (move_follow.c). */
    uint32_t domid;
    char name[128];

    /* What both sides know of each other and of the guest: CHECK; for a successor, as far as it
     * needs them, the record (move_record.c). Constant from then on, except hello.domain, which
     * follows the name, and the pipe, which is hung up when the move is called off. */
    struct {
        libxl_domain_config config;
        const struct xf_guest_kind_ops *kind; /* of the guest; not for a successor */
        char *config_json;                    /* what the destination will build from; malloc()ed */
        struct xf_pipe pipe;
        struct xf_own own; /* addresses of this host to use */
        struct xf_hello hello;
        struct xf_reply reply;
        struct xf_qdisks disks;    /* those of the guest's that QEMU serves here */
        struct xf_changes changes; /* changes made to the domain by others since */
        bool paused;               /* the guest is, and is to stay so */
        bool live;                 /* of a cold move: the guest runs until its last pages */
        const char *whole;         /* why no page may be absent at GO; NULL: nothing known */
    } check;

    /* The channels: move_link.c until SWITCH, then postcopy/rejoin.h. All phases talk over them. */
    struct xf_link link;
    /* How they are replaced: move_link.c only; the address also from the record. Without progress,
     * attempts end `reconnect_s` after the first loss, even if links existed for moments in
     * between. */
    struct {
        char address[XF_ADDR_LEN]; /* the one that answered */
        double lost_at;            /* first loss without progress, CLOCK_MONOTONIC; 0: none yet */
        double linked_at;          /* when there was a link again */
        uint64_t lost_confirmed;   /* xf_copy.confirmed at that time */
    } net;

    /* Both ends of the guest: SKELETON; recover.c opens `xen` for a successor. */
    struct {
        struct xf_xen_source xen;
        bool open;           /* `xen` is open */
        uint32_t copy_domid; /* of the copy there; 0: not known */
        double rtt_s;
    } skeleton;

    /* Disks that move, too: CHECK lists them, DISKS starts their copies (disks_moving.h). What is
     * to be reported of each is in report->disks[], in the same order. */
    struct xf_disks_moving disks;

    /* COPY and SWITCH: the engine's (precopy/copy.h). */
    struct xf_copy copy;
    double fixed_s;          /* COPY: what SWITCH takes without pages and disks; 0 before */
    struct xf_follow follow; /* move_follow.c, until SWITCH: changes for the destination to
                              * follow */
    bool renamed;            /* SWITCH: the domain here, to XF_AWAY, because both sides are one
                              * host */

    /* PCI devices that are passed through to the guest (move_pci.c only): CHECK lists them. */
    struct {
        libxl_device_pci *list; /* libxl's; NULL: none */
        int nr;
        uint32_t detached; /* bit i: list[i] was, and is not attached again */
    } pci;

    /* A cold move (move_cold.c only) instead of COPY and SWITCH. */
    struct {
        struct xf_xen_stream stream;
        uint64_t sent; /* bytes of the stream */
        double rate;   /* of the link, bytes per second, as measured */
        double pinged; /* when the destination was last told that we live; 0: need not be */
    } cold;

    /* PULL and its preparation. */
    struct {
        bool possible;              /* CHECK, SKELETON: requested, and the destination supports
                                     * it */
        struct xf_server_opts opts; /* before CHECK; SWITCH adds what COPY measured */
        struct xf_server *server;   /* SWITCH, or recover.c; NULL: no page was left out */
        /* move_pull.c only: */
        struct xf_pulled pulled; /* as last reported by the destination */
        uint64_t served;         /* pages sent in PULL so far */
        int told_cancel;         /* see interrupt.h */
    } pull;

    /* What a successor of this process would need: CHECK takes the lock, move_record.c writes. */
    struct {
        int lock_fd; /* the lock of the domain's move (record.h), -1: not held */
        int fd;      /* -1: not written */
    } record;

    /* The bandwidth shared with other moves: move.c in COPY. */
    struct xf_budget budget;

    /* The slot of this host that the move holds (slot.h); -1: none. move_queue.c only. */
    int slot;

    /* What is shown of the move, and when: move_status.c only. */
    struct {
        enum xf_phase phase;
        double began, phase_began, at;   /* at: when last shown */
        unsigned recorded;               /* the last round that has ended and was shown */
        char waits_for[160];             /* in CHECK: why it does not begin yet; empty: it has */
        struct xf_status_server *status; /* NULL: nobody can ask */
        struct xf_status_pace pace;      /* of PULL */
    } show;
};

/* Begin: an empty move in a zeroed struct, and its report. The arguments must outlive the move; w
 * may be NULL. */
void xf_move_init(struct xf_move *m, const struct xf_move_opts *o, const struct xf_watch *w,
                  struct xf_report *report);
/* Open Xen. -1: this is no dom0, or we are not root. */
int xf_move_attach(struct xf_move *m, struct xf_err *err);
/* End: show the move for the last time, release everything it holds, and complete the report. Waits
 * some seconds for the receiver to end. Nothing may be called on m afterwards. err: why, if the
 * outcome is not XF_MOVED. Returns the outcome. */
enum xf_outcome xf_move_end(struct xf_move *m, enum xf_outcome outcome, const struct xf_err *err);

#endif
