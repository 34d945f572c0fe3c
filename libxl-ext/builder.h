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

#include "libxl-ext/stream.h"
#include "libxl-ext/toollog.h"

struct xf_builder {
    pid_t pid;   /* the stock xl, 0: not started or reaped */
    int in, out; /* our ends of its stdin and stdout */
    int said;    /* an unlinked file with its stderr */
    /* What is still to be fed to it, and how far what it says has come. */
    const uint8_t *stream;
    size_t left, heard;
    unsigned step;
    char name[160]; /* of the domain while it is built: NAME--incoming */
};

/* Descriptors that somebody else must hold or close: see receive.c. */
struct xf_builder_fds {
    int in[2];  /* [0] the stock xl's stdin, [1] ours */
    int out[2]; /* [0] ours, [1] the stock xl's stdout */
};
int xf_builder_pipes(struct xf_builder_fds *fds, struct xf_err *err);

/* Start `real_xl migrate-receive -p xl_args`. Takes over the descriptors' ends. */
int xf_builder_start(struct xf_builder *b, const struct xf_builder_fds *fds, const char *real_xl,
                     const char *xl_args, const char *domain, struct xf_err *err);

/* What it shall build from. The stream stays the caller's and must live until the domain
 * stands, or until xf_builder_undo(). */
void xf_builder_feed(struct xf_builder *b, const void *stream, size_t len);

/*
 * Go on feeding it for at most wait_ms. 0: it has said that the domain stands, with its
 * devices attached (and from then on always 0); XF_AGAIN: not yet.
 */
int xf_builder_step(struct xf_builder *b, int wait_ms, struct xf_err *err);

/* The domain is ours now: the stock xl has no more say in it. */
void xf_builder_dismiss(struct xf_builder *b);

/*
 * The move has failed: close its input and let it clean up; whatever is left of the domain
 * after that is destroyed here. Nothing of the domain remains after 0.
 */
int xf_builder_undo(struct xf_builder *b, libxl_ctx *ctx, struct xf_toollog *log,
                    struct xf_err *err);

/* Destroy the domain of that name if there is one. */
int xf_destroy_by_name(libxl_ctx *ctx, struct xf_toollog *log, const char *name,
                       struct xf_err *err);

#endif
