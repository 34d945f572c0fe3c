/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PULL at the source: see move_pull.h. */
#include "libxl-ext/source/move_pull.h"

#include <errno.h>

#include "libxl-ext/source/interrupt.h"
#include "libxl-ext/source/move_link.h"
#include "libxl-ext/source/move_record.h"
#include "libxl-ext/source/move_report.h"
#include "libxl-ext/source/move_status.h"

/* An interrupt can no longer take the guest back; a second one gives up its pages. */
static int pull_tick(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;
    struct xf_server_status status;

    xf_server_status(m->pull.server, &status);
    m->pull.pulled = status.pulled;
    m->pull.served = status.pushed + status.answered;
    xf_move_show(m);
    switch (xf_interrupt(m->o->cancel, &m->pull.told_cancel)) {
    case XF_INTERRUPT_NONE:
        break;
    case XF_INTERRUPT_TELL:
        xf_move_note(m, "the guest runs at the destination already and needs its other pages from "
                        "here: going on; interrupt again (Ctrl-C) to leave it without them");
        break;
    case XF_INTERRUPT_LEAVE:
        return xf_fail(err, ECANCELED, "interrupted while pages were missing");
    }
    return 0;
}

static void link_changed(void *priv, const struct xf_err *why)
{
    if (why)
        xf_move_note(priv,
                     "the link is lost (%s); the guest runs on with the pages it has, and the link "
                     "will be re-established as soon as possible",
                     why->text);
    else
        xf_move_note(priv, "the link is back");
}

/* Serve until the destination has every page, or reports that nobody needs them. */
enum xf_outcome xf_move_pull(struct xf_move *m, struct xf_err *err)
{
    struct xf_rejoin r = {
        .tick = {pull_tick, m},
        .link_changed = link_changed,
        .priv = m,
    };
    enum xf_pull_end end;

    xf_move_rejoin(m, &r);
    xf_copy_free_bulk(&m->copy);
    m->report->ran_there = true;
    m->pull.pulled.missing = m->report->left_out;
    end = xf_rejoin_serve(&r, m->pull.server, &m->link, err);
    xf_move_report_pull(m, &r.outage);
    if (end == XF_PULL_DONE)
        return XF_MOVED;
    if (end == XF_PULL_FAILED && m->report->ran_twice)
        xf_move_mark(m, XF_RECORD_TWICE, NULL);
    if (end == XF_PULL_FAILED)
        return m->report->ran_twice && !m->report->hopeless ? XF_UNKNOWN : XF_PULLING;
    if (end == XF_PULL_GONE) {
        xf_wrap(err,
                "cannot tell whether the guest still runs at the destination: no process there "
                "that knows this move's key has listened for its missing pages for %lld s",
                (long long)r.gone_ms / 1000);
        return XF_UNKNOWN;
    }
    xf_clear(err);
    m->report->ended_there = true;
    xf_move_note(m, "the guest has ended at the destination before all its pages were there");
    return XF_MOVED;
}
