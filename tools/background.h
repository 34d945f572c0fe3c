/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A move that goes on when nobody waits for it any more: because the command has returned
 * (--no-wait), or because the terminal has gone.
 *
 * --no-wait: a move in a process of its own.
 *
 * That process is made before the move begins, not when the command returns: mappings of a
 * guest's memory and Xen's handles do not survive a fork. Until it detaches, the command waits
 * for it, passes its standard error on, and ends as it ends.
 */
#ifndef XF_BACKGROUND_H
#define XF_BACKGROUND_H

#include <stdbool.h>

#include "transport/err.h"

struct background {
    int word;      /* where the waiting command listens; -1: there is none */
    bool detached; /* nobody sees what is printed */
};

/*
 * Run work() in a new process, with the standard input and output of this one. Returns an exit
 * status: 0 as soon as it has detached, else its own; or -1 with an error when there is no new
 * process. Ends this process by the signal that has killed the other one. Only before this
 * process has threads.
 */
int background_run(int (*work)(void *priv, struct background *b), void *priv, struct xf_err *err);

/* In work(): the command returns 0. In any process: from now on a session of its own if possible,
 * and no terminal; what is to be said goes to background_log(). Whatever was printed must be
 * flushed before. */
void background_detach(struct background *b, const char *name);

/* Was the process begun with this signal ignored, as nohup(1) does? */
bool background_ignores(int sig);

/* A sentence about `what`, to syslog. */
void background_log(const char *what, const char *sentence);

#endif
