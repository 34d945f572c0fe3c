/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a call that may block calls meanwhile, some ten times a second unless its header says
 * otherwise, in the thread that made the call: the caller shows progress, looks for a cancel, or
 * for anything else that shall end the wait.
 */
#ifndef XF_TICK_H
#define XF_TICK_H

#include <stddef.h>

#include "transport/err.h"

/* Passed by value. priv must live as long as whoever keeps the tick. */
struct xf_tick {
    int (*call)(void *priv, struct xf_err *err); /* -1 ends the wait, with its error. NULL: nothing
                                                    is called */
    void *priv;
};

static inline int xf_tick(struct xf_tick t, struct xf_err *err)
{
    return t.call ? t.call(t.priv, err) : 0;
}

#endif
