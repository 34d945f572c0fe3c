/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which calls must not be made for a guest that is being moved: see incomplete.h. */
#include "tools/incomplete.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/moves/held.h"
#include "libxl-ext/moves/status.h"
#include "tools/format.h"

static int refuse_lacking(const char *domain, unsigned does, struct xf_err *err)
{
    char host[256], a[FMT_LEN], much[48] = "part";
    uint64_t missing;

    enum xf_lacks lacks = xf_lacks_pages(domain, &missing, host);

    /* A move also brings its pages to a guest that was left paused and is then unpaused. */
    if (lacks == XF_LACKS_COMING && !(does & INCOMPLETE_READS))
        return 0;
    if (lacks != XF_LACKS_NONE && missing != XF_NO_COUNT)
        snprintf(much, sizeof(much), "%s", fmt_bytes(a, (double)missing * 4096));
    switch (lacks) {
    case XF_LACKS_NONE:
        break;
    case XF_LACKS_COMING:
        return xf_fail(err, EBUSY,
                       "%s of the memory of \"%s\" is not on this host yet, but still at %s, from "
                       "where it is being moved: wait until it is here; `xl migrate-status` shows "
                       "how far it is",
                       much, domain, host[0] ? host : "its source");
    case XF_LACKS_NOBODY:
        return xf_fail(
            err, EBUSY,
            "Xen counts %s of the memory of \"%s\" as paged out, and no move that would "
            "bring it answers: anything that reads it would wait for ever, or leave it out; see "
            "xl-migrate(1), \"While memory is missing\"",
            much, domain);
    }
    return 0;
}

static int refuse_held(const char *domain, unsigned does, struct xf_err *err)
{
    struct xf_hold hold;
    const char *to;

    xf_held(domain, &hold);
    to = hold.host[0] ? hold.host : "another host";
    switch (hold.how) {
    case XF_HELD_NOT:
        break;
    case XF_HELD_INCOMING:
        return xf_fail(
            err, EBUSY,
            "\"%.100s\" is being built here by a move, and must not be used before that move has "
            "ended; if none is under way (`xl migrate-status`), `xl destroy` it",
            domain);
    case XF_HELD_GOING: /* until the switch its memory may be read, and it may be paused and
                           unpaused */
        if (hold.phase < XF_PHASE_SWITCH ? !(does & INCOMPLETE_STOPS)
                                         : !(does & (INCOMPLETE_STOPS | INCOMPLETE_RUNS)))
            break;
        return xf_fail(
            err, EBUSY,
            "\"%.100s\" is being moved to %.150s, and no other command may let it run or suspend "
            "it; wait for that move to end; `xl migrate-status` shows how far it is",
            domain, to);
    case XF_HELD_LOCKED:
        if (!(does & (INCOMPLETE_STOPS | INCOMPLETE_RUNS)))
            break;
        return xf_fail(
            err, EBUSY,
            "a move of \"%.100s\" holds it here, and does not answer: wait for that move to "
            "end, or end its process, and `xl migrate-recover %.100s`",
            domain, domain);
    case XF_HELD_LEFT:
        if (!(does & (INCOMPLETE_STOPS | INCOMPLETE_RUNS)))
            break;
        return xf_fail(err, EBUSY,
                       "\"%.60s\" is here as a move to %.100s left it, and may run there: `xl "
                       "migrate-recover %.60s` finishes that move; `xl migrate-recover --resume "
                       "%.60s` lets it run here if it does not run there",
                       domain, to, domain, domain);
    }
    return 0;
}

int incomplete_refuse(const char *domain, unsigned does, struct xf_err *err)
{
    if (!domain)
        return 0;
    return refuse_lacking(domain, does, err) || refuse_held(domain, does, err) ? -1 : 0;
}
