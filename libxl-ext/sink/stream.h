/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream that makes a stock `xl migrate-receive` build a skeleton: xl's save header
 * with the configuration, the libxl stream and in it the libxc stream with everything but
 * the guest's ordinary pages (docs/specs/libxl-migration-stream.pandoc and
 * libxc-migration-stream.pandoc in Xen's source). Xen's own verify-stream-v2 accepts it.
 */
#ifndef XF_STREAM_H
#define XF_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "transport/wire.h"

/* The stream ends with libxc's END record and libxl's, of so many bytes. Without them a receiver
 * that has read all the rest waits for more, with the domain made and not introduced. */
#define XF_STREAM_END 16u

struct xf_skeleton_parts {
    const struct xf_skeleton *skeleton;
    const char *config;  /* JSON, skeleton->config_len bytes with its NUL */
    const void *cpuid;   /* skeleton->cpuid_len bytes */
    const void *msrs;    /* skeleton->msr_len bytes */
    const void *context; /* skeleton->ctx_len bytes */
};

/* Write the whole stream into a malloc()ed buffer, the caller's to free. */
int xf_stream_build(const struct xf_skeleton_parts *p, void **out, size_t *len, struct xf_err *err);

#endif
