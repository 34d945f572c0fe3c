/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A receiver that cannot serve tells the source why: see refuse.h. */
#include "libxl-ext/sink/refuse.h"

#include <stdlib.h>

#include "libxl-ext/peer/check.h"
#include "transport/times.h"

void xf_refuse(struct xf_pipe *p, bool heard, const struct xf_err *why)
{
    struct xf_reply *reply = calloc(1, sizeof(*reply));
    struct xf_findings found = {0};
    struct xf_hello hello;

    if (!reply)
        return;
    if (!heard && !xf_hello_receive(p, &hello, XF_HELLO_MS, NULL))
        xf_hello_free(&hello);
    xf_find(&found, XF_REFUSAL, "receiver", "the destination cannot receive: %s", why->text);
    reply->findings[0] = found.list[0];
    reply->nr_findings = 1;
    xf_reply_send(p, reply, NULL);
    free(reply);
}

void xf_receive_refuse(int in_fd, int out_fd, const struct xf_err *why)
{
    struct xf_pipe p = {.in = in_fd, .out = out_fd};

    xf_refuse(&p, false, why);
}
