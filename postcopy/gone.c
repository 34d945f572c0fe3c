/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does the sink still exist: see gone.h. */
#include "postcopy/gone.h"

#include <errno.h>
#include <string.h>

/* XF_ANSWERS: the network's own error, no answer. */
static enum xf_answer answer(const struct xf_err *why)
{
    switch (why->num) {
    case ECONNREFUSED:
        return XF_ANSWER_REFUSED;
    case EACCES:
    case EPROTO:
        return XF_ANSWER_STRANGER;
    case ETIME:
    case ECONNRESET:
    case EPIPE:
        return XF_ANSWER_SILENT;
    default:
        return XF_ANSWERS;
    }
}

int64_t xf_gone_tried(struct xf_gone *g, const struct xf_err *why, int64_t began, int64_t now)
{
    enum xf_answer met = answer(why);
    int64_t longest = 0;

    for (unsigned i = 0; i < XF_ANSWERS; i++) {
        if (i < met)
            g->since[i] = 0;
        else if (!g->since[i])
            g->since[i] = began;
        if (i >= met && g->limit_ms[i] > 0 && now - g->since[i] >= g->limit_ms[i] &&
            now - g->since[i] > longest)
            longest = now - g->since[i];
    }
    return longest;
}

void xf_gone_met(struct xf_gone *g)
{
    memset(g->since, 0, sizeof(g->since));
}
