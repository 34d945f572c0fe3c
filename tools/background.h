/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A move that continues when nobody waits for it any more: because the command has returned
 * (--no-wait), or because the terminal has gone.
 *
 * --no-wait: a move in a process of its own.
 *
 * That process is made before the move begins, not when the command returns: mappings of a guest's
 * memory and Xen's handles do not survive a fork. Until it detaches, the command waits for it,
 * passes on its standard error, and ends with its exit status or signal.
 */
#ifndef XF_BACKGROUND_H
#define XF_BACKGROUND_H

#include <stdbool.h>

#include "transport/err.h"

struct background {
    int word;      /* to the waiting command; -1: none */
    bool detached; /* nobody sees what is printed */
};

/*
 * Run work() in a new process, with the standard input and output of this one. Returns an exit
 * status: 0 as soon as it has detached, else its own; or -1 with an error when no process could be
 * created. If a signal kills the new process, this one ends by the same signal. Only before this
 * process has threads.
 */
int background_run(int (*work)(void *priv, struct background *b), void *priv, struct xf_err *err);

/* In work(): lets the command return 0. In any process: enters its own session if possible and
 * gives up the terminal; further messages go to background_log(). All output must be flushed
 * before. */
void background_detach(struct background *b, const char *name);

/* Was the process started with this signal ignored, as by nohup(1)? */
bool background_ignores(int sig);

/* Send a sentence about `what` to syslog. */
void background_log(const char *what, const char *sentence);

#endif
