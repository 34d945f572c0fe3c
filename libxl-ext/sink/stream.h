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

/* Size of libxc's and libxl's END records, which end the stream, bytes. Without them a receiver
 * that has read everything else waits, with the domain made but not introduced. */
#define XF_STREAM_END 16u
/* Size of libxl's alone. Without it a receiver that has read everything else waits, with the domain
 * complete but for its devices. */
#define XF_STREAM_LIBXL_END 8u

struct xf_skeleton_parts {
    const struct xf_skeleton *skeleton;
    const char *config;           /* JSON, skeleton->config_len bytes with its NUL */
    const struct xf_state *state; /* the guest's state: every part for which a record exists */
};

/*
 * The part of a skeleton's payload after the configuration, as a list of parts (with the TSC and
 * the parameters of its meta part). `out`, empty on entry, is the caller's to free, also after a
 * failure. `payload` has the skeleton's lengths.
 */
int xf_stream_parts(const struct xf_skeleton *k, const uint8_t *payload, struct xf_state *out,
                    struct xf_err *err);

/* The beginning of a stream that libxl has written elsewhere: xl's header with the configuration
 * (len bytes with its NUL), and libxl's own, of XF_STREAM_LIBXL_HEADER bytes, which is always the
 * same. malloc()ed, the caller's to free. */
#define XF_STREAM_LIBXL_HEADER 16u
int xf_stream_head(const char *config, uint32_t len, void **out, size_t *size, struct xf_err *err);

/* Write the whole stream into a malloc()ed buffer, the caller's to free. */
int xf_stream_build(const struct xf_skeleton_parts *p, void **out, size_t *len, struct xf_err *err);

/* The rest of a stream after XF_STREAM_LIBXL_END was held back: the devices' state
 * (XF_PART_DEVICES; without that part: none) and the end. malloc()ed, the caller's to free. */
int xf_stream_rest(const struct xf_state *s, void **out, size_t *len, struct xf_err *err);

#endif
