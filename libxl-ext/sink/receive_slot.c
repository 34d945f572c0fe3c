/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink process: its slot among the moves of this host (slot.h). It is taken last in CHECK, when
 * nothing else refuses the move, and never waited for: the source does that, holding none of its
 * own. free_sink() (receive_sink.c) gives it back, or the kernel when this process dies. See
 * receive_parts.h.
 */
#include "libxl-ext/moves/slot.h"
#include "libxl-ext/sink/receive_parts.h"

int xf_sink_take_slot(struct sink *s, struct xf_reply *reply, struct xf_findings *found,
                      struct xf_err *err)
{
    unsigned limit = s->o->moves ? s->o->moves : XF_MOVES_USUAL;
    bool look = s->check.hello.check_only, none = false;

    reply->moves_limit = limit;
    if (look && xf_slots_busy(&reply->moves, err))
        return -1;
    /* Within one host the source has it. */
    if (!look && !xf_slot_marked(&s->check.hello.key)) {
        int rc = xf_slot_take(limit, &s->check.slot, &reply->moves, err);

        if (rc < 0)
            return -1;
        none = rc == XF_SLOT_NONE;
    }
    if (look || none)
        xf_find_limit(found, none ? XF_REFUSAL : XF_INFO, "the destination",
                      "/etc/xen/xenferry.xml there", reply->moves, limit);
    return 0;
}
