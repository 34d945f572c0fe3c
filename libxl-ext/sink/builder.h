/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The skeleton at the destination: a stock `xl migrate-receive`, fed a stream without the guest's
 * ordinary pages, builds the domain with its devices, paused, and then waits for xl's GO message,
 * which it never receives. At our GO it is killed, because it would only rename and unpause, and on
 * failure destroy a guest that already runs. If its input closes without a message, it destroys the
 * domain it built; that cleans up after a failed move.
 */
#ifndef XF_BUILDER_H
#define XF_BUILDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <libxl.h>

#include "libxl-ext/sink/incoming.h"
#include "libxl-ext/sink/stream.h"
#include "libxl-ext/xen/toollog.h"

struct xf_builder {
    pid_t pid;   /* the stock xl, 0: not started or reaped */
    int in, out; /* our ends of its stdin and stdout */
    int said;    /* an unlinked file that holds its stderr */
    /* The input still to be fed to it, and how much of its output has been read. */
    const uint8_t *stream;
    size_t left, heard;
    size_t rest; /* held back */
    unsigned step;
};

/* Descriptors that other processes must hold or close: see receive.c. */
struct xf_builder_fds {
    int in[2];  /* [0] the stock xl's stdin, [1] ours */
    int out[2]; /* [0] ours, [1] the stock xl's stdout */
};
int xf_builder_pipes(struct xf_builder_fds *fds, struct xf_err *err);

/* Start `real_xl migrate-receive -p xl_args`. Takes over the descriptors. */
int xf_builder_start(struct xf_builder *b, const struct xf_builder_fds *fds, const char *real_xl,
                     const char *xl_args, struct xf_err *err);

/* Set the stream to build from; the last `rest` bytes are held back. The stream stays the caller's
 * and must live until the domain is built, or until xf_builder_undo(). */
void xf_builder_feed(struct xf_builder *b, const void *stream, size_t len, size_t rest);

/* Has it read all that was not held back? Then it is restoring a domain, and needs the rest. Never
 * true once it has ended. */
bool xf_builder_restores(const struct xf_builder *b);

/* Does a process of its still work on the stream that it has read (libxl-save-helper)? */
bool xf_builder_has_helper(const struct xf_builder *b);

/* Feed it the rest. */
void xf_builder_feed_rest(struct xf_builder *b);
/* Feed it this instead of the rest. */
void xf_builder_feed_last(struct xf_builder *b, const void *stream, size_t len);

/*
 * Continue feeding it for at most wait_ms. 0: it has reported the domain built, with its devices
 * attached (and from then on always 0); XF_AGAIN: not yet.
 */
int xf_builder_step(struct xf_builder *b, int wait_ms, struct xf_err *err);

/* The domain is ours now: end the stock xl's control over it. */
void xf_builder_dismiss(struct xf_builder *b);

/*
 * The move has failed: close its input and let it clean up; then destroy what is left of the copy,
 * by xf_incoming_destroy(). Nothing of the copy remains after 0. Does nothing if it was not
 * started.
 */
int xf_builder_undo(struct xf_builder *b, const struct xf_incoming *copy, libxl_ctx *ctx,
                    struct xf_toollog *log, struct xf_err *err);

#endif
