/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A callback that a blocking call makes about ten times a second, unless its header says otherwise,
 * in the calling thread. With it the caller shows progress and checks for a cancel, or for anything
 * else that should end the wait.
 */
#ifndef XF_TICK_H
#define XF_TICK_H

#include <stddef.h>

#include "transport/err.h"

/* Passed by value. priv must live for as long as the tick is kept. */
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
