/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The skeleton at the destination: a stock `xl migrate-receive` that is fed a stream
 * without the guest's ordinary pages builds the domain, with its devices, paused, and
 * then waits for xl's GO message, which it never gets: at our GO it is killed, because
 * all it would still do is rename and unpause, and if that failed it would destroy a
 * guest that already runs. If it is told nothing and its input closes, it destroys the
 * domain that it built: that is the clean-up of a move that fails.
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
    int said;    /* an unlinked file with its stderr */
    /* What is still to be fed to it, and how far what it says has come. */
    const uint8_t *stream;
    size_t left, heard;
    size_t rest; /* held back */
    unsigned step;
};

/* Descriptors that somebody else must hold or close: see receive.c. */
struct xf_builder_fds {
    int in[2];  /* [0] the stock xl's stdin, [1] ours */
    int out[2]; /* [0] ours, [1] the stock xl's stdout */
};
int xf_builder_pipes(struct xf_builder_fds *fds, struct xf_err *err);

/* Start `real_xl migrate-receive -p xl_args`. Takes over the descriptors' ends. */
int xf_builder_start(struct xf_builder *b, const struct xf_builder_fds *fds, const char *real_xl,
                     const char *xl_args, struct xf_err *err);

/* What it shall build from; the last `rest` bytes are held back. The stream stays the caller's and
 * must live until the domain stands, or until xf_builder_undo(). */
void xf_builder_feed(struct xf_builder *b, const void *stream, size_t len, size_t rest);

/* Has it read all that was not held back? Then it restores a domain, and needs the rest for that.
 * Never true of one that has ended. */
bool xf_builder_restores(const struct xf_builder *b);

/* Let it have the rest. */
void xf_builder_feed_rest(struct xf_builder *b);

/*
 * Go on feeding it for at most wait_ms. 0: it has said that the domain stands, with its
 * devices attached (and from then on always 0); XF_AGAIN: not yet.
 */
int xf_builder_step(struct xf_builder *b, int wait_ms, struct xf_err *err);

/* The domain is ours now: the stock xl has no more say in it. */
void xf_builder_dismiss(struct xf_builder *b);

/*
 * The move has failed: close its input and let it clean up; whatever is left of the copy after
 * that is destroyed here, as xf_incoming_destroy() has it. Nothing of it remains after 0. Does
 * nothing if it was not started.
 */
int xf_builder_undo(struct xf_builder *b, const struct xf_incoming *copy, libxl_ctx *ctx,
                    struct xf_toollog *log, struct xf_err *err);

#endif
