/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encoders and decoders of a guest's state other than its pages: SKELETON and STREAM (wire.h),
 * STATE (state.h). As in wire.c: no I/O, no allocation; payloads are only counted here.
 */
#include "transport/wire_guest.h"

#include <errno.h>
#include <string.h>

#include "transport/bytes.h"
#include "transport/state.h"
#include "transport/wire_meta.h"

#define SKELETON_FIXED 72u
#define STATE1_FIXED (XF_TSC_BYTES + 8u) /* of version 1 */
#define STATE_FIXED 8u
#define STATE_LAST 1u
#define PIECE_BYTES 16u
#define CHUNK_BYTES 16u

/* Shared by both */

void xf_tsc_encode(uint8_t out[XF_TSC_BYTES], const struct xf_tsc *t)
{
    uint8_t *p = out;

    p = put_le32(p, t->mode);
    p = put_le32(p, t->khz);
    p = put_le64(p, t->nsec);
    p = put_le32(p, t->incarnation);
    put_le32(p, 0);
}

int xf_tsc_decode(struct xf_tsc *t, const uint8_t p[XF_TSC_BYTES], struct xf_err *err)
{
    t->mode = get_le32(p);
    t->khz = get_le32(p + 4);
    t->nsec = get_le64(p + 8);
    t->incarnation = get_le32(p + 16);
    if (get_le32(p + 20))
        return xf_fail(err, EPROTO, "the TSC information has a reserved field that is not zero");
    return 0;
}

void xf_params_encode(uint8_t *p, const struct xf_param *v, uint32_t n)
{
    for (; n; n--, v++) {
        p = put_le64(p, v->index);
        p = put_le64(p, v->value);
    }
}

static int check_params(const struct xf_param *v, uint32_t n, struct xf_err *err)
{
    uint32_t i;

    for (i = 0; i < n; i++)
        if (v[i].index > UINT32_MAX) /* the range Xen takes; Xen itself knows which ones exist */
            return xf_fail(err, EPROTO, "HVM parameter %u has the impossible index 0x%llx", i,
                           (unsigned long long)v[i].index);
    return 0;
}

int xf_params_decode(struct xf_param *v, const uint8_t *p, uint32_t n, struct xf_err *err)
{
    for (uint32_t i = 0; i < n; i++, p += XF_PARAM_BYTES) {
        v[i].index = get_le64(p);
        v[i].value = get_le64(p + 8);
    }
    return check_params(v, n, err);
}

/* XF_MSG_SKELETON */

/* The limits of a skeleton that do not depend on its envelope. */
static int check_skeleton(const struct xf_skeleton *s, struct xf_err *err)
{
    uint64_t payload = (uint64_t)s->config_len + s->cpuid_len + s->msr_len + s->ctx_len;

    if (payload > XF_PAYLOAD_MAX)
        return xf_fail(err, EPROTO, "a skeleton's parts make %llu bytes, over the limit of %u",
                       (unsigned long long)payload, XF_PAYLOAD_MAX);
    if (s->nr_gfns < 1 || s->nr_gfns > XF_GFN_MAX)
        return xf_fail(err, EPROTO, "a skeleton has a guest of %llu gfns, 1 to %llu are allowed",
                       (unsigned long long)s->nr_gfns, XF_GFN_MAX);
    if (s->nr_pages > s->nr_gfns)
        return xf_fail(err, EPROTO, "a skeleton has %llu pages for %llu gfns",
                       (unsigned long long)s->nr_pages, (unsigned long long)s->nr_gfns);
    if (s->nr_params > XF_PARAMS_MAX)
        return xf_fail(err, EPROTO, "a skeleton has %u HVM parameters, over the limit of %u",
                       s->nr_params, XF_PARAMS_MAX);
    if (s->nr_specials > XF_SPECIALS_MAX)
        return xf_fail(err, EPROTO, "a skeleton has %u special pages, over the limit of %u",
                       s->nr_specials, XF_SPECIALS_MAX);
    return 0;
}

static int check_specials(const struct xf_skeleton *s, struct xf_err *err)
{
    uint32_t i;

    for (i = 0; i < s->nr_specials; i++)
        if (s->specials[i] >= s->nr_gfns)
            return xf_fail(err, EPROTO, "special page %u, gfn 0x%llx, is beyond the guest's 0x%llx",
                           i, (unsigned long long)s->specials[i], (unsigned long long)s->nr_gfns);
    return 0;
}

size_t xf_skeleton_encode(const struct xf_skeleton *s, void *meta)
{
    uint8_t *p = meta;
    uint32_t i;

    if (check_skeleton(s, NULL) || check_params(s->params, s->nr_params, NULL) ||
        check_specials(s, NULL))
        return 0;
    p = put_le32(p, s->xen_major);
    p = put_le32(p, s->xen_minor);
    p = put_le32(p, s->config_len);
    p = put_le32(p, s->cpuid_len);
    p = put_le32(p, s->msr_len);
    p = put_le32(p, s->ctx_len);
    p = put_le64(p, s->nr_gfns);
    p = put_le64(p, s->nr_pages);
    xf_tsc_encode(p, &s->tsc);
    p = put_le32(p + XF_TSC_BYTES, s->nr_params);
    p = put_le32(p, s->nr_specials);
    xf_params_encode(p, s->params, s->nr_params);
    p += s->nr_params * XF_PARAM_BYTES;
    for (i = 0; i < s->nr_specials; i++)
        p = put_le64(p, s->specials[i]);
    return (size_t)(p - (uint8_t *)meta);
}

int xf_skeleton_decode(struct xf_skeleton *s, const struct xf_msg *m, const void *meta,
                       struct xf_err *err)
{
    const uint8_t *p = meta;
    uint32_t i;

    if (min_meta(m, "a skeleton", SKELETON_FIXED, err))
        return -1;
    s->xen_major = get_le32(p);
    s->xen_minor = get_le32(p + 4);
    s->config_len = get_le32(p + 8);
    s->cpuid_len = get_le32(p + 12);
    s->msr_len = get_le32(p + 16);
    s->ctx_len = get_le32(p + 20);
    s->nr_gfns = get_le64(p + 24);
    s->nr_pages = get_le64(p + 32);
    s->nr_params = get_le32(p + 64);
    s->nr_specials = get_le32(p + 68);
    if (xf_tsc_decode(&s->tsc, p + 40, err) || check_skeleton(s, err) ||
        exact_meta(m, "a skeleton",
                   SKELETON_FIXED + s->nr_params * XF_PARAM_BYTES + s->nr_specials * 8, err))
        return -1;
    if (m->payload_len != s->config_len + s->cpuid_len + s->msr_len + s->ctx_len)
        return xf_fail(err, EPROTO, "a skeleton's parts do not fill its payload of %u bytes",
                       m->payload_len);
    p += SKELETON_FIXED;
    if (xf_params_decode(s->params, p, s->nr_params, err))
        return -1;
    p += s->nr_params * XF_PARAM_BYTES;
    for (i = 0; i < s->nr_specials; i++)
        s->specials[i] = get_le64(p + (size_t)i * 8);
    return check_specials(s, err);
}

/* XF_MSG_STATE of version 1 */

size_t xf_state1_encode(const struct xf_state1 *s, void *meta)
{
    uint8_t *p = meta;

    if (s->nr_params > XF_PARAMS_MAX || check_params(s->params, s->nr_params, NULL))
        return 0;
    xf_tsc_encode(p, &s->tsc);
    p = put_le32(p + XF_TSC_BYTES, s->nr_params);
    p = put_le32(p, 0);
    xf_params_encode(p, s->params, s->nr_params);
    return STATE1_FIXED + s->nr_params * XF_PARAM_BYTES;
}

int xf_state1_decode(struct xf_state1 *s, const struct xf_msg *m, const void *meta,
                     struct xf_err *err)
{
    const uint8_t *p = meta;

    if (min_meta(m, "a state", STATE1_FIXED, err) || xf_tsc_decode(&s->tsc, p, err))
        return -1;
    s->nr_params = get_le32(p + XF_TSC_BYTES);
    if (s->nr_params > XF_PARAMS_MAX)
        return xf_fail(err, EPROTO, "a state has %u HVM parameters, over the limit of %u",
                       s->nr_params, XF_PARAMS_MAX);
    if (get_le32(p + XF_TSC_BYTES + 4))
        return xf_fail(err, EPROTO, "a state has a reserved field that is not zero");
    if (exact_meta(m, "a state", STATE1_FIXED + s->nr_params * XF_PARAM_BYTES, err))
        return -1;
    return xf_params_decode(s->params, p + STATE1_FIXED, s->nr_params, err);
}

/* XF_MSG_STATE */

/* Checks of a single message, for both directions. */
static int check_pieces(const struct xf_pieces *p, struct xf_err *err)
{
    for (uint32_t i = 0; i < p->nr; i++) {
        const struct xf_piece *x = &p->list[i];

        if (x->flags & ~XF_PART_MUST)
            return xf_fail(err, EPROTO, "part %u of the guest's state has unknown flags 0x%04x",
                           x->kind, x->flags);
        if (!x->len || x->offset > x->total || x->len > x->total - x->offset)
            return xf_fail(err, EPROTO,
                           "part %u of the guest's state has %u bytes at %u, of %u altogether",
                           x->kind, x->len, x->offset, x->total);
        if (i && (x->offset || x->kind <= x[-1].kind))
            return xf_fail(err, EPROTO, "part %u of the guest's state does not follow part %u",
                           x->kind, x[-1].kind);
        if (i + 1 < p->nr && x->offset + x->len != x->total)
            return xf_fail(err, EPROTO, "part %u of the guest's state is cut off", x->kind);
    }
    return 0;
}

size_t xf_pieces_encode(const struct xf_pieces *p, void *meta)
{
    uint8_t *at = meta;

    if (!p->nr || p->nr > XF_PARTS_MAX || check_pieces(p, NULL))
        return 0;
    at = put_le32(at, p->last ? STATE_LAST : 0);
    at = put_le32(at, p->nr);
    for (uint32_t i = 0; i < p->nr; i++) {
        at = put_le16(at, p->list[i].kind);
        at = put_le16(at, p->list[i].flags);
        at = put_le32(at, p->list[i].total);
        at = put_le32(at, p->list[i].offset);
        at = put_le32(at, p->list[i].len);
    }
    return (size_t)(at - (uint8_t *)meta);
}

int xf_pieces_decode(struct xf_pieces *p, const struct xf_msg *m, const void *meta,
                     struct xf_err *err)
{
    const uint8_t *at = meta;
    uint64_t sum = 0;
    uint32_t flags;

    if (min_meta(m, "a state", STATE_FIXED, err))
        return -1;
    flags = get_le32(at);
    p->last = flags & STATE_LAST;
    p->nr = get_le32(at + 4);
    if (flags & ~STATE_LAST)
        return xf_fail(err, EPROTO, "a state has unknown flags 0x%08x", flags);
    if (!p->nr || p->nr > XF_PARTS_MAX)
        return xf_fail(err, EPROTO, "a state has %u parts, 1 to %u are allowed", p->nr,
                       XF_PARTS_MAX);
    if (exact_meta(m, "a state", STATE_FIXED + p->nr * PIECE_BYTES, err))
        return -1;
    at += STATE_FIXED;
    for (uint32_t i = 0; i < p->nr; i++, at += PIECE_BYTES) {
        p->list[i] = (struct xf_piece){.kind = get_le16(at),
                                       .flags = get_le16(at + 2),
                                       .total = get_le32(at + 4),
                                       .offset = get_le32(at + 8),
                                       .len = get_le32(at + 12)};
        sum += p->list[i].len;
    }
    if (sum != m->payload_len)
        return xf_fail(err, EPROTO, "a state's parts do not fill its payload of %u bytes",
                       m->payload_len);
    return check_pieces(p, err);
}

/* XF_MSG_STREAM */

static int check_chunk(const struct xf_chunk *c, uint32_t payload, struct xf_err *err)
{
    if (c->flags & ~(XF_CHUNK_LAST | XF_CHUNK_PROBE) ||
        (c->flags & XF_CHUNK_PROBE && (c->flags != XF_CHUNK_PROBE || c->offset)))
        return xf_fail(err, EPROTO, "a piece of the stream has invalid flags 0x%08x at %llu",
                       c->flags, (unsigned long long)c->offset);
    if (!payload && !(c->flags & XF_CHUNK_LAST))
        return xf_fail(err, EPROTO, "a piece of the stream is empty");
    return 0;
}

size_t xf_chunk_encode(const struct xf_chunk *c, void *meta)
{
    uint8_t *at = meta;

    at = put_le64(at, c->offset);
    at = put_le32(at, c->flags);
    at = put_le32(at, 0);
    return (size_t)(at - (uint8_t *)meta);
}

int xf_chunk_decode(struct xf_chunk *c, const struct xf_msg *m, const void *meta,
                    struct xf_err *err)
{
    const uint8_t *at = meta;

    if (exact_meta(m, "a piece of the stream", CHUNK_BYTES, err))
        return -1;
    c->offset = get_le64(at);
    c->flags = get_le32(at + 8);
    if (get_le32(at + 12))
        return xf_fail(err, EPROTO, "a piece of the stream has a reserved field that is not zero");
    return check_chunk(c, m->payload_len, err);
}
