/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A qemu-nbd of our own that writes to one image: what arrives from a source goes to it through a
 * Unix socket that has no name any more when it begins to run, so nobody else can connect. It gets
 * the image as a descriptor, has no capabilities, and dies with the thread that started it.
 *
 * One thread; the socket may be handed to another.
 */
#ifndef XF_SERVE_H
#define XF_SERVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "transport/err.h"

struct xf_serve {
    pid_t pid;      /* 0: none */
    int complaints; /* what it writes to stderr; -1: none */
};
#define XF_SERVE_NONE ((struct xf_serve){.complaints = -1})

/*
 * Start it for the image (open for reading and writing; it stays the caller's) of `bytes` bytes,
 * exported under `name`. dir: where the socket has its name for a moment; only root may enter it.
 * *sock is the caller's: our end of the connection. ENOENT: qemu-nbd is not installed.
 */
int xf_serve_start(struct xf_serve *s, int image, uint64_t bytes, const char *name, const char *dir,
                   int *sock, struct xf_err *err);

/* 0: it has ended well, which it does when the connection ends. XF_AGAIN: it still runs after
 * wait_ms. -1: it has failed, or was killed; the error says why. */
int xf_serve_wait(struct xf_serve *s, int wait_ms, struct xf_err *err);

/* End it at once, if it runs. */
void xf_serve_kill(struct xf_serve *s);

/* Is qemu-nbd installed? ENOENT, with the remedy. */
int xf_serve_possible(struct xf_err *err);

#endif
