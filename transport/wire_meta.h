/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of a message's lengths, for the decoders of wire.c and wire_guest.c. EPROTO. */
#ifndef XF_WIRE_META_H
#define XF_WIRE_META_H

#include <errno.h>

#include "transport/err.h"
#include "transport/transport.h"

static inline int no_payload(const struct xf_msg *m, const char *what, struct xf_err *err)
{
    if (m->payload_len)
        return xf_fail(err, EPROTO, "%s carries a payload of %u bytes, none is allowed", what,
                       m->payload_len);
    return 0;
}

static inline int min_meta(const struct xf_msg *m, const char *what, uint32_t min,
                           struct xf_err *err)
{
    if (m->meta_len < min)
        return xf_fail(err, EPROTO, "%s is cut off: %u bytes of at least %u", what, m->meta_len,
                       min);
    return 0;
}

static inline int exact_meta(const struct xf_msg *m, const char *what, uint32_t len,
                             struct xf_err *err)
{
    if (m->meta_len != len)
        return xf_fail(err, EPROTO, "%s has %u bytes where its counts make %u", what, m->meta_len,
                       len);
    return 0;
}

#endif
