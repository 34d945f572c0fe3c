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

#include "transport/state.h"
#include "transport/wire.h"

/* The stream ends with libxc's END record and libxl's, of so many bytes. Without them a receiver
 * that has read all the rest waits for more, with the domain made and not introduced. */
#define XF_STREAM_END 16u

struct xf_skeleton_parts {
    const struct xf_skeleton *skeleton;
    const char *config;           /* JSON, skeleton->config_len bytes with its NUL */
    const struct xf_state *state; /* what the guest is: every part that there is a record for */
};

/*
 * What a skeleton's payload holds behind the configuration, as a list of parts (with the TSC and
 * the parameters of its meta part). Also after a failure `out`, which was empty, is the caller's to
 * free. `payload` has the skeleton's lengths.
 */
int xf_stream_parts(const struct xf_skeleton *k, const uint8_t *payload, struct xf_state *out,
                    struct xf_err *err);

/* Write the whole stream into a malloc()ed buffer, the caller's to free. */
int xf_stream_build(const struct xf_skeleton_parts *p, void **out, size_t *len, struct xf_err *err);

#endif
