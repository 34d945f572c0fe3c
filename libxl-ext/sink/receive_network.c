/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink process: the guest's network while pages are absent. See receive_parts.h. */
#include "libxl-ext/sink/receive_parts.h"
#include "transport/clock.h"

int xf_sink_hold_network(struct sink *s, struct xf_err *err)
{
    if (!s->xen.vm.absent || !s->pull.absent.nr || s->net.hold.held)
        return 0;
    return xf_hold_vif_begin(&s->net.hold, s->xen.domid, err);
}

void xf_sink_let_network(struct sink *s)
{
    struct xf_err why = {0};

    if (s->net.let)
        return;
    xf_clear(&s->net.failed);
    if (xf_hold_vif_end(&s->net.hold, &why)) {
        xf_fail(&s->net.failed, why.num,
                "the guest runs here, but its network is still held back: %s", why.text);
        return;
    }
    s->net.let = true;
    if (s->pull.pager && s->net.hold.nr)
        xf_pager_network(s->pull.pager, xf_now_ns() - s->go_ns);
    if (!s->xen.leave_paused)
        xf_announce_begin(&s->net.announce, s->xen.domid);
}

void xf_sink_network_tick(struct sink *s)
{
    if (s->pull.absent.at_go && !s->pull.absent.nr)
        xf_sink_let_network(s);
    else if (!s->net.let) /* errors are ignored: it was brought up from dom0, where dmesg shows the
                           * effect */
        xf_hold_vif_keep(&s->net.hold, NULL);
}
