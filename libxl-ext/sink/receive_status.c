/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink process: the status it publishes (status.h). See receive_parts.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/sink/receive_parts.h"
#include "transport/clock.h"

#define TELL_S 0.1 /* between updates of the status */

void xf_sink_name_source(char *out, size_t size)
{
    const char *ssh = getenv("SSH_CONNECTION"); /* "client port server port" */
    const char *socat = getenv("SOCAT_PEERADDR");
    const char *name = ssh ? ssh : socat ? socat : "";

    snprintf(out, size, "%.*s", (int)strcspn(name, " "), name);
}

static struct xf_status status_of(struct sink *s)
{
    struct xf_status status = {
        .pid = getpid(),
        .domid = s->xen.domid ? s->xen.domid : XF_NO_DOMID,
        .phase = s->show.phase,
        .pages_sent = XF_NO_COUNT,
        .left_out = s->pull.absent.at_go,
        .rate_bps = -1,
        .dirty_pps = -1,
        .wire_bytes = XF_NO_COUNT,
        .eta_s = -1,
        .elapsed_s = xf_now() - s->show.began,
        .no_switch = "only the source can switch a move to post-copy",
    };
    struct xf_pulled pulled;

    snprintf(status.domain, sizeof(status.domain), "%s", s->check.hello.domain);
    xf_sink_name_source(status.host, sizeof(status.host));
    if (s->show.phase != XF_PHASE_PULL || !s->pull.pager)
        return status;
    xf_pager_status(s->pull.pager, &pulled);
    status.faults = pulled.faults;
    status.requested = pulled.requested;
    status.fault_median_s = (double)pulled.median_ns / 1e9;
    status.fault_p99_s = (double)pulled.p99_ns / 1e9;
    xf_status_pace(&s->show.pace, pulled.missing, xf_now(), &status);
    return status;
}

void xf_sink_tell(struct sink *s, enum xf_phase phase)
{
    struct xf_status status;

    if (!s->show.status || (phase == s->show.phase && xf_now() - s->show.told < TELL_S))
        return;
    s->show.phase = phase;
    s->show.told = xf_now();
    status = status_of(s);
    xf_status_set(s->show.status, &status);
}

void xf_sink_begin_telling(struct sink *s)
{
    struct xf_status status;

    s->show.began = xf_now();
    status = status_of(s);
    if (!s->check.hello.check_only)
        xf_status_open(&s->show.status, (uint32_t)getpid(), &status, NULL);
}
