/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest's state as a list of parts: see state.h. Its bytes on the wire are in wire_guest.c. */
#include "transport/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/wire_guest.h"

/* Every known kind. */
static const struct bounds {
    uint16_t kind;
    const char *name;
    uint32_t min, max, unit; /* bytes */
} kinds[] = {
    {XF_PART_CPUID, "CPUID leaves", 1, 65536, 1},
    {XF_PART_MSRS, "MSRs", 1, 65536, 1},
    {XF_PART_TSC, "TSC", XF_TSC_BYTES, XF_TSC_BYTES, 1},
    {XF_PART_HVM_CONTEXT, "HVM context", 1, XF_PAYLOAD_MAX, 1},
    {XF_PART_HVM_PARAMS, "HVM parameters", XF_PARAM_BYTES, XF_PARAMS_MAX *XF_PARAM_BYTES,
     XF_PARAM_BYTES},
    {XF_PART_DEVICES, "devices", 1, XF_DEVICES_MAX, 1},
};

static const struct bounds *bounds_of(uint16_t kind)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].kind == kind)
            return &kinds[i];
    return NULL;
}

/* Is a part of this kind and size valid? num: errno of the error. */
static int check_part(uint16_t kind, uint32_t total, int num, struct xf_err *err)
{
    const struct bounds *b = bounds_of(kind);

    if (b && (total < b->min || total > b->max || total % b->unit))
        return xf_fail(err, num, "the guest's %s take %u bytes, %u to %u are allowed", b->name,
                       total, b->min, b->max);
    if (!b && (!total || total > XF_STATE_MAX))
        return xf_fail(err, num, "a part of the guest's state, kind %u, has %u bytes", kind, total);
    return 0;
}

int xf_state_add(struct xf_state *s, uint16_t kind, uint16_t flags, void *data, uint32_t len,
                 struct xf_err *err)
{
    int rc = 0;

    if (s->nr == XF_PARTS_MAX)
        rc = xf_fail(err, EINVAL, "the guest's state has more than %u parts", XF_PARTS_MAX);
    else if (s->nr && s->list[s->nr - 1].kind >= kind)
        rc = xf_fail(err, EINVAL, "part %u of the guest's state does not follow part %u", kind,
                     s->list[s->nr - 1].kind);
    else
        rc = check_part(kind, len, EINVAL, err);
    if (rc) {
        free(data);
        return -1;
    }
    s->list[s->nr++] = (struct xf_part){.kind = kind, .flags = flags, .len = len, .data = data};
    return 0;
}

int xf_state_add_copy(struct xf_state *s, uint16_t kind, const void *data, uint32_t len,
                      struct xf_err *err)
{
    void *copy;

    if (!len)
        return 0;
    copy = malloc(len);
    if (!copy)
        return xf_fail(err, ENOMEM, "out of memory for %u bytes of the guest's state", len);
    memcpy(copy, data, len);
    return xf_state_add(s, kind, XF_PART_MUST, copy, len, err);
}

int xf_state_add_tsc(struct xf_state *s, const struct xf_tsc *tsc, struct xf_err *err)
{
    uint8_t bytes[XF_TSC_BYTES];

    xf_tsc_encode(bytes, tsc);
    return xf_state_add_copy(s, XF_PART_TSC, bytes, sizeof(bytes), err);
}

int xf_state_add_params(struct xf_state *s, const struct xf_param *list, uint32_t n,
                        struct xf_err *err)
{
    uint8_t bytes[XF_PARAMS_MAX * XF_PARAM_BYTES];

    if (n > XF_PARAMS_MAX)
        return xf_fail(err, EINVAL, "the guest has %u HVM parameters, over the limit of %u", n,
                       XF_PARAMS_MAX);
    xf_params_encode(bytes, list, n);
    return xf_state_add_copy(s, XF_PART_HVM_PARAMS, bytes, n * XF_PARAM_BYTES, err);
}

void xf_state_free(struct xf_state *s)
{
    for (unsigned i = 0; i < s->nr; i++)
        free(s->list[i].data);
    s->nr = 0;
}

const struct xf_part *xf_state_find(const struct xf_state *s, uint16_t kind)
{
    for (unsigned i = 0; i < s->nr; i++)
        if (s->list[i].kind == kind)
            return &s->list[i];
    return NULL;
}

static int lacks(uint16_t kind, struct xf_err *err)
{
    return xf_fail(err, EPROTO, "the guest's state lacks its %s", bounds_of(kind)->name);
}

int xf_state_tsc(const struct xf_state *s, struct xf_tsc *tsc, struct xf_err *err)
{
    const struct xf_part *p = xf_state_find(s, XF_PART_TSC);

    return p ? xf_tsc_decode(tsc, p->data, err) : lacks(XF_PART_TSC, err);
}

int xf_state_params(const struct xf_state *s, struct xf_param list[XF_PARAMS_MAX], uint32_t *n,
                    struct xf_err *err)
{
    const struct xf_part *p = xf_state_find(s, XF_PART_HVM_PARAMS);

    *n = p ? p->len / XF_PARAM_BYTES : 0;
    return p ? xf_params_decode(list, p->data, *n, err) : 0;
}

int xf_state_context(const struct xf_state *s, const void **data, uint32_t *len, struct xf_err *err)
{
    const struct xf_part *p = xf_state_find(s, XF_PART_HVM_CONTEXT);

    if (!p)
        return lacks(XF_PART_HVM_CONTEXT, err);
    *data = p->data;
    *len = p->len;
    return 0;
}

/* --- on the wire --- */

void xf_state_cut(const struct xf_state *s, struct xf_state_at *at, struct xf_pieces *p,
                  struct iovec iov[XF_PARTS_MAX])
{
    uint32_t room = XF_PAYLOAD_MAX;

    p->nr = 0;
    while (at->part < s->nr && room) {
        const struct xf_part *part = &s->list[at->part];
        struct xf_piece *x = &p->list[p->nr];

        *x = (struct xf_piece){.kind = part->kind,
                               .flags = part->flags,
                               .total = part->len,
                               .offset = at->offset,
                               .len = part->len - at->offset};
        if (x->len > room)
            x->len = room;
        iov[p->nr++] = (struct iovec){(uint8_t *)part->data + at->offset, x->len};
        room -= x->len;
        at->offset += x->len;
        if (at->offset == part->len)
            *at = (struct xf_state_at){.part = at->part + 1};
    }
    p->last = at->part == s->nr;
}

/* Begin another part: make room for it, if its kind is known. */
static int begin(struct xf_state_in *in, const struct xf_piece *x, struct xf_err *err)
{
    void *data;

    if (x->offset || x->kind <= in->now.kind)
        return xf_fail(err, EPROTO,
                       "a part of the guest's state, kind %u, begins at byte %u, after one of kind "
                       "%u",
                       x->kind, x->offset, in->now.kind);
    if (in->bytes + x->total > XF_STATE_MAX)
        return xf_fail(err, EPROTO, "the guest's state is larger than %u MiB", XF_STATE_MAX >> 20);
    if (!bounds_of(x->kind) && x->flags & XF_PART_MUST)
        return xf_fail(err, EOPNOTSUPP,
                       "the guest has state of a kind (%u) that the destination's Xenferry does "
                       "not know and must not leave out; install the source's version there",
                       x->kind);
    if (check_part(x->kind, x->total, EPROTO, err))
        return -1;
    in->bytes += x->total;
    in->now = *x;
    in->now.offset = 0;
    if (!bounds_of(x->kind))
        return 0;
    data = calloc(1, x->total);
    if (!data)
        return xf_fail(err, ENOMEM, "out of memory for %u bytes of the guest's state", x->total);
    return xf_state_add(&in->state, x->kind, x->flags, data, x->total, err);
}

static bool unfinished(const struct xf_state_in *in)
{
    return in->now.offset < in->now.total;
}

int xf_state_take(struct xf_state_in *in, const struct xf_pieces *p, struct iovec iov[XF_PARTS_MAX],
                  struct xf_err *err)
{
    if (in->complete)
        return xf_fail(err, EPROTO,
                       "the source sent more of the guest's state after its last part");
    for (uint32_t i = 0; i < p->nr; i++) {
        const struct xf_piece *x = &p->list[i];
        struct xf_piece *now = &in->now;

        if (!unfinished(in) && begin(in, x, err))
            return -1;
        if (x->kind != now->kind || x->flags != now->flags || x->total != now->total ||
            x->offset != now->offset)
            return xf_fail(err, EPROTO,
                           "part %u of the guest's state does not continue as it began", now->kind);
        iov[i] = (struct iovec){.iov_len = x->len};
        if (bounds_of(x->kind))
            iov[i].iov_base = (uint8_t *)in->state.list[in->state.nr - 1].data + x->offset;
        now->offset += x->len;
    }
    in->complete = p->last;
    if (p->last && unfinished(in))
        return xf_fail(err, EPROTO, "part %u of the guest's state is cut off", in->now.kind);
    return 0;
}

/* --- version 1 --- */

int xf_state_to1(const struct xf_state *s, struct xf_state1 *one, const void **context,
                 uint32_t *len, struct xf_err *err)
{
    for (unsigned i = 0; i < s->nr; i++)
        if (s->list[i].flags & XF_PART_MUST && s->list[i].kind != XF_PART_TSC &&
            s->list[i].kind != XF_PART_HVM_CONTEXT && s->list[i].kind != XF_PART_HVM_PARAMS)
            return xf_fail(err, EPROTONOSUPPORT,
                           "the destination's Xenferry is too old for this guest, which has state "
                           "of kind %u; install this version there",
                           s->list[i].kind);
    if (xf_state_tsc(s, &one->tsc, err) || xf_state_params(s, one->params, &one->nr_params, err) ||
        xf_state_context(s, context, len, err))
        return -1;
    return 0;
}

int xf_state_from1(struct xf_state *s, const struct xf_state1 *one, void *context, uint32_t len,
                   struct xf_err *err)
{
    if (xf_state_add_tsc(s, &one->tsc, err)) {
        free(context);
        return -1;
    }
    if (xf_state_add(s, XF_PART_HVM_CONTEXT, XF_PART_MUST, context, len, err))
        return -1;
    return xf_state_add_params(s, one->params, one->nr_params, err);
}
