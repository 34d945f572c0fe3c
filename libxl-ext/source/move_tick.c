/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every wait of a move checks: see move_tick.h. */
#include "libxl-ext/source/move_tick.h"

#include <errno.h>

#include "libxl-ext/source/move_follow.h"
#include "libxl-ext/source/move_status.h"

int xf_move_tick(void *priv, struct xf_err *err)
{
    struct xf_move *m = priv;

    if (m->o->cancel && *m->o->cancel)
        return xf_fail(err, ECANCELED, "interrupted");
    /* Showing anything in SWITCH would cost downtime, which in a cold move does not matter. */
    if (m->show.phase != XF_PHASE_SWITCH || m->check.hello.cold)
        xf_move_show(m);
    if (m->check.pipe.child && xf_pipe_dead(&m->check.pipe))
        return xf_fail(err, ECONNRESET, "the receiver at the destination has gone away");
    if (m->copy.times.began > 0)
        return 0;
    if (xf_disks_moving_look(&m->disks, err))
        return -1;
    if (m->disks.nr && m->fixed_s > 0)
        m->copy.opts.fixed_s = m->fixed_s + xf_disks_moving_owed_s(&m->disks);
    return xf_move_follow(m, err);
}
