/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of one move at the source, passed from phase to phase (move.c, move_check.c,
 * move_skeleton.c). Private to libxl-ext. */
#ifndef XF_MOVE_H
#define XF_MOVE_H

#include <libxl.h>
#include <xenctrl.h>

#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/xen/changes.h"
#include "libxl-ext/peer/check.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/host/own_address.h"
#include "libxl-ext/xen/qdisk.h"
#include "libxl-ext/moves/record.h"
#include "libxl-ext/moves/status.h"
#include "libxl-ext/xen/toollog.h"
#include "libxl-ext/xen/xen_source.h"
#include "postcopy/rejoin.h"
#include "precopy/copy.h"

struct xf_move {
    const struct xf_move_opts *o;
    const struct xf_watch *w;
    struct xf_report *report;

    struct xf_toollog log;
    libxl_ctx *ctx;
    xc_interface *xch;
    uint32_t domid;
    char name[128];
    char *config_json; /* what the destination will build from */
    libxl_domain_config config;
    int lock_fd;   /* the lock of the domain's move (record.h), -1: not held */
    int record_fd; /* what a successor of this process would need, -1: not written */

    struct xf_pipe pipe;
    struct xf_hello hello;
    struct xf_reply reply;
    struct xf_own own; /* what of this host is used */
    struct xf_link link;
    char peer[XF_ADDR_LEN]; /* the address that answered */
    uint32_t copy_domid;    /* of the copy there, from BUILT on; 0: not known */
    double rtt_s;

    struct xf_xen_source xen;
    bool xen_open;
    struct xf_qdisks disks; /* of the guest, those that QEMU serves here */
    struct xf_copy copy;
    /* COPY: a link that was lost. Without progress, attempts are over `patience_s` after the
     * first loss, however often there is a link for a moment. */
    double lost_at;          /* first loss without progress, CLOCK_MONOTONIC; 0: none yet */
    double linked_at;        /* when there was a link again */
    uint64_t lost_confirmed; /* xf_copy.confirmed then */
    bool pull;               /* pages may come after GO: asked for, and possible there */
    struct xf_server_opts server_opts;
    struct xf_server *server;        /* PULL */
    struct xf_pulled pulled;         /* as heard last */
    uint64_t served;                 /* pages that went in PULL, while it lasts */
    int told_cancel;                 /* see interrupt.h */
    struct xf_status_server *status; /* NULL: nobody can ask */
    struct xf_status_pace pace;      /* of PULL */
    struct xf_changes changes;       /* what others do to the domain since CHECK */
    struct xf_follow follow;         /* of that, what the destination follows */
    bool renamed;                    /* here, to NAME--migratedaway: both sides are one host */

    enum xf_phase phase;
    double began, phase_began, shown;
};

/* Go on to a phase: book the time of the one before, tell the watcher. */
void xf_move_phase(struct xf_move *m, enum xf_phase p);
/* Look for a cancel and for a peer that is gone; show progress. priv is the xf_move. */
int xf_move_tick(void *priv, struct xf_err *err);
void xf_move_note(struct xf_move *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Let others ask how the move stands; the domain is locked. A failure is a note. */
void xf_move_status_open(struct xf_move *m);
/* Tell them, and hear what they want; fills what p says of PULL. */
void xf_move_status_tell(struct xf_move *m, struct xf_progress *p);

/* CHECK: the domain, the peer, the way to it. After 0 the control channel is open. -1 with
 * report->outcome = XF_REFUSED: nothing was touched. */
int xf_move_check(struct xf_move *m, struct xf_err *err);

/* CHECK: choose the transport, open the control channel. 0 also when that is not possible:
 * then there is a refusal among the findings and no control channel. */
int xf_move_connect(struct xf_move *m, struct xf_findings *found, struct xf_err *err);
/* SKELETON: the bulk channels. */
int xf_move_connect_bulk(struct xf_move *m, struct xf_err *err);
/* COPY: xf_copy.relink. Over the transport that was in use; over TCP, if that was RDMA and the
 * move may use either. Tries for opts.reconnect_s in which there was no progress. */
int xf_move_relink(void *priv, const struct xf_err *why, struct xf_err *err);
bool xf_move_uses_rdma(const struct xf_move *m);
/* PULL: how the present link would be made again. */
void xf_move_rejoin(const struct xf_move *m, struct xf_rejoin *r);

/* The name of a domain that has moved away, as stock xl has it (tools/xl/xl_migrate.c). */
#define XF_AWAY "%s--migratedaway"

/* The parts of a move that migrate-recover (recover.c) needs, too: an empty move (of a zeroed
 * struct) and its report (w may be NULL); handles of Xen; PULL on m->server, whose link is
 * there; the end of the domain here; freeing all. */
void xf_move_init(struct xf_move *m, const struct xf_move_opts *o, const struct xf_watch *w,
                  struct xf_report *report);
int xf_move_attach(struct xf_move *m, struct xf_err *err);
enum xf_outcome xf_move_pull(struct xf_move *m, struct xf_err *err);
/* XF_MOVED, also when it could not be destroyed (a note says so); XF_UNKNOWN: it was not, because
 * somebody has let it run here, too. */
enum xf_outcome xf_move_finish(struct xf_move *m, struct xf_err *err);
void xf_move_let_go(struct xf_move *m);

/* The command that starts the receiver; malloc()ed, NULL: no memory. */
char *xf_move_rune(const struct xf_move_opts *o);
/* Before the suspend: leave what a successor would need if this process died (record.h). */
int xf_move_record(struct xf_move *m, struct xf_err *err);
/* And the other way round: fill what PULL and FINISH use of a move, and the report as far as
 * the record knows it. m->report is set. m->hello holds the key afterwards. */
void xf_move_from_record(struct xf_move *m, const struct xf_record *r);
/* The move has come to a state. A failure matters only before GO. */
int xf_move_mark(struct xf_move *m, enum xf_record_state state, struct xf_err *err);

/* The domain may have been changed since CHECK (changes.h): have it followed by the destination, or
 * -1 if that cannot be. For every tick until the guest is suspended. */
int xf_move_follow(struct xf_move *m, struct xf_err *err);
/* Before GO: -1 if it was changed after the last tick. */
int xf_move_unchanged(struct xf_move *m, struct xf_err *err);

/*
 * A move from SKELETON on has failed before GO and was called off: how is the guest here? What it
 * has done since decides what the end is called; one that has suspended too late is resumed. Fills
 * report->here and may_stop, and puts what became of the guest before the error.
 */
enum xf_outcome xf_move_settle(struct xf_move *m, enum xf_outcome end, struct xf_err *err);

/* SKELETON: the domain stands at the destination, paused, and waits for pages. */
int xf_move_skeleton(struct xf_move *m, struct xf_err *err);

#endif
