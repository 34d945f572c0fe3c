/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A move at the source, from its beginning to its end: see move.h. */
#include "libxl-ext/source/move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/record.h"
#include "libxl-ext/moves/slot.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/source/move_check.h"
#include "libxl-ext/source/move_status.h"
#include "libxl-ext/xen/xen_open.h"
#include "transport/text.h"

/* How long the receiver may take to end on its own after the pipe was closed. */
#define CHILD_MS 10000
#define CHILD_FAILED_MS 2000

void xf_move_opts_init(struct xf_move_opts *o)
{
    *o = (struct xf_move_opts){
        .rdma_poll_us = XF_RDMA_POLL_US,
        .mode = XF_MODE_HYBRID,
        .channels = 2,
        .max_downtime_ms = 300,
        .max_rounds = 10,
        .reconnect_s = XF_RECONNECT_S,
        .wait_s = -1,
    };
}

void xf_move_init(struct xf_move *m, const struct xf_move_opts *o, const struct xf_watch *w,
                  struct xf_report *report)
{
    static const struct xf_watch nobody;

    m->o = o;
    m->w = w ? w : &nobody;
    m->report = report;
    memset(report, 0, sizeof(*report));
    report->downtime_s = -1;
    xf_text_copy(report->domain, sizeof(report->domain), o->domain, strlen(o->domain));
    xf_text_copy(report->host, sizeof(report->host), o->host, strlen(o->host));
    report->channels = o->channels;
    m->record.lock_fd = m->record.fd = m->slot = m->budget.fd = -1;
    m->check.pipe = (struct xf_pipe){.in = -1, .out = -1};
    libxl_domain_config_init(&m->check.config);
    m->copy.status.predicted_s = -1;
    m->show.began = m->show.phase_began = xf_now();
}

int xf_move_attach(struct xf_move *m, struct xf_err *err)
{
    xf_toollog_init(&m->log);
    if (libxl_ctx_alloc(&m->ctx, LIBXL_VERSION, 0, &m->log.vtable))
        return xf_fail(err, EIO, "cannot talk to Xen; is this a dom0, and are you root?");
    return xf_xen_open(&m->xch, &m->log, err);
}

static void let_go(struct xf_move *m, int child_ms)
{
    xf_copy_end(&m->copy);
    xf_budget_close(&m->budget);
    xf_server_free(m->pull.server);
    m->pull.server = NULL;
    if (m->skeleton.open)
        xf_xen_source_close(&m->skeleton.xen);
    m->skeleton.open = false;
    xf_move_uncheck(m, child_ms);
    if (m->record.fd >= 0)
        close(m->record.fd);
    xf_record_unlock(xf_run_dir(), m->domid, m->record.lock_fd);
    xf_slot_give(&m->slot);
    m->record.fd = m->record.lock_fd = -1;
    if (m->xch)
        xc_interface_close(m->xch);
    m->xch = NULL;
    if (m->ctx)
        libxl_ctx_free(m->ctx);
    m->ctx = NULL;
}

enum xf_outcome xf_move_end(struct xf_move *m, enum xf_outcome outcome, const struct xf_err *err)
{
    m->report->outcome = outcome;
    xf_move_status_close(m, err);
    let_go(m, outcome == XF_MOVED ? CHILD_MS : CHILD_FAILED_MS);
    xf_move_book(m);
    m->report->total_s = xf_now() - m->show.began;
    return outcome;
}
