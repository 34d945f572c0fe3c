/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The children of `xl migrate-drain`: each runs a command that moves a guest and says in JSON how
 * that goes. They have a session of their own: Ctrl-C at the terminal is not for them, and they
 * cannot ask anything there. One that outlives this process goes on.
 *
 * One thread; one struct per process, since signals are blocked for it.
 */
#ifndef XF_DRAIN_CHILD_H
#define XF_DRAIN_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "libxl-ext/drain/said.h"
#include "libxl-ext/drain/sched.h"

struct drain_child {
    pid_t pid;
    int pidfd, out, err; /* out, err: -1 when at their end */
    unsigned guest, host;
    bool cancelled; /* by children_cancel() */
    int status;     /* once it has ended: wait status */
    struct xf_said said;
    char tail[400]; /* the last of its standard error, not cleaned and without a NUL */
    size_t tail_len;
    char *line; /* of its output; XF_SAID_LINE bytes */
    size_t len;
    char *report; /* the line with the report of its move; NULL: none, or no memory for it */
    size_t report_len;
    bool skip; /* the rest of a line that is too long */
};

struct drain_children {
    struct drain_child *list[XF_DRAIN_LIMIT_MAX];
    unsigned n;
    int sigfd;
    sigset_t mask; /* of this process before */
};

/* Blocks SIGINT, SIGTERM and, unless it is ignored, SIGHUP for children_wait(). */
int children_init(struct drain_children *c, struct xf_err *err);
/* Closes what is open; what still runs goes on. The signals stay blocked. */
void children_free(struct drain_children *c);

/* Run path with argv. At most XF_DRAIN_LIMIT_MAX at once. */
int children_start(struct drain_children *c, const char *path, char *const argv[], unsigned guest,
                   unsigned host, struct xf_err *err);

/* Wait at most ms (-1: without end). */
enum drain_event { CHILD_ENDED, CHILD_INTERRUPT, CHILD_TIME };
/* CHILD_ENDED: *ended is that child, no longer in the list, for children_forget(). */
enum drain_event children_wait(struct drain_children *c, int ms, struct drain_child **ended);
void children_forget(struct drain_child *c);

/* SIGINT for each. */
void children_cancel(struct drain_children *c);

#endif
