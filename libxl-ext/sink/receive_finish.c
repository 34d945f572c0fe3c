/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink process after GO. See receive_parts.h. */
#include <errno.h>
#include <sys/wait.h>

#include "libxl-ext/sink/receive_parts.h"

/* The guest runs; the remaining work costs it nothing. */
static void settle(struct sink *s, struct xf_err *err)
{
    char why[300];

    if (s->build.builder.pid > 0)
        waitpid(s->build.builder.pid, NULL, 0);
    s->build.builder.pid = 0;
    if (libxl_domain_rename(s->ctx, s->xen.domid, s->shared->copy.name, s->check.hello.domain))
        xf_fail(err, EIO, "the guest runs here, but could not be renamed from \"%s\": %s",
                s->shared->copy.name, xf_toollog_last(&s->log, why, sizeof(why)));
}

int xf_sink_finish(struct sink *s, struct xf_err *err)
{
    struct xf_err late = {0}, paused = *err;
    bool pull = s->xen.vm.absent && s->pull.absent.at_go, ended = false;

    xf_clear(err);
    xf_disks_here_end(&s->disks);
    s->xen.leave_paused |= paused.num != 0;
    xf_sink_tell(s, pull ? XF_PHASE_PULL : XF_PHASE_FINISH);
    settle(s, &late);
    if (pull && xf_sink_pull(s, &ended, err))
        return -1;
    xf_sink_tell(s, XF_PHASE_FINISH);
    xf_clear(err);
    /* If it has ended there is no paging to turn off, no network to release, and no name to give
     * it. */
    if (ended)
        xf_clear(&late);
    else if (s->xen.vm.absent && s->xen.vm.pager->disable(&s->xen.vm, &late) && late.num == ESRCH)
        xf_clear(&late); /* it has ended: nothing to turn off */
    else
        xf_sink_let_network(s);
    if (!ended && s->net.failed.num)
        late = s->net.failed;
    if (!pull)
        xf_sink_plug(s, &late);
    if (paused.num)
        late = paused;
    return late.num ? xf_fail(err, late.num, "%s", late.text) : 0;
}
