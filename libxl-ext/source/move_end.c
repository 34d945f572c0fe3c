/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A move that has failed before GO, at the source: what became of the guest meanwhile. */
#include "libxl-ext/source/move.h"

#include <errno.h>
#include <string.h>

#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/xen_suspend.h"

/* How long a guest that has taken the suspend request is awaited after it was given up. It has had
 * a minute before that. */
#define LATE_MS 30000

/* It lies suspended. If that was us it shall run on, however late it came. */
static enum xf_outcome let_go_on(struct xf_move *m, struct xf_err *err)
{
    struct xf_err why = {0};

    if (!m->xen.asked)
        return XF_ENDED;
    if (!m->xen.vm.ops->resume(&m->xen.vm, &why)) {
        m->report->here = XF_HERE_RUNS;
        xf_move_note(m, "the guest suspended after its suspend had been given up, and was resumed");
        return XF_RESUMED;
    }
    xf_wrap(err, "%s; and before that", why.text);
    return XF_SUSPENDED;
}

enum xf_outcome xf_move_settle(struct xf_move *m, enum xf_outcome end, struct xf_err *err)
{
    struct xf_report *r = m->report;

    if (m->xen.may_stop)
        xf_move_note(
            m,
            "the guest has taken the suspend request and not suspended yet: waiting for it "
            "for up to %d s, to let it go on",
            LATE_MS / 1000);
    r->here = m->xen_open ? xf_xen_await_stop(&m->xen, LATE_MS, m->o->cancel)
                          : xf_xen_here(m->xch, m->domid);
    r->may_stop = m->xen.may_stop;
    if (xf_here_lives(r->here))
        return end == XF_SUSPENDED ? XF_RESUMED : end; /* somebody else has resumed it */
    if (r->here == XF_HERE_SUSPENDED)
        end = end == XF_SUSPENDED && m->xen.asked ? end : let_go_on(m, err);
    else
        end = XF_ENDED;
    if (end == XF_ENDED && !strstr(err->text, xf_here_text(r->here)))
        xf_wrap(err, "the guest %s", xf_here_text(r->here));
    return end;
}
