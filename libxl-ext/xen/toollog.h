/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log of Xen's libraries: discarded, except that the first error since the last query is kept,
 * so that our own error can quote it. XENFERRY_DEBUG in the environment prints everything to stderr
 * as well.
 */
#ifndef XF_TOOLLOG_H
#define XF_TOOLLOG_H

#include <pthread.h>
#include <stdbool.h>

#include <xentoollog.h>

#include "transport/lock.h"

XF_LOCK_ROLE(xf_toollog_lock);

struct xf_toollog {
    xentoollog_logger vtable; /* first: Xen's libraries see only this */
    pthread_mutex_t lock;
    bool debug;
    /* The first message of level ERROR or worse. */
    char last[320] XF_GUARDED(xf_toollog_lock);
};

void xf_toollog_init(struct xf_toollog *t);

/* Fetch and forget that error; "no reason given" when there is none. Copies at most len bytes into
 * buf and returns buf. */
const char *xf_toollog_last(struct xf_toollog *t, char *buf, size_t len);

#endif
