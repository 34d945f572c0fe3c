/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encoders and decoders of the meta parts (docs/wire-protocol.md is the specification, wire.h the
 * contract). No I/O, no allocation; payloads are only counted here. An encoder returns 0, which is
 * not a valid length, when its struct breaks a limit.
 */
#include "transport/wire.h"

#include <errno.h>
#include <string.h>

#include "transport/bytes.h"
#include "transport/text.h"
#include "transport/wire_meta.h"

#define BATCH_FIXED 24u
#define RUN_BYTES 16u
#define SYNC_BYTES 16u
#define TEXT_FIXED 8u
#define BUILT_FIXED 8u
#define DOMID_LAST 0x7fefu /* DOMID_FIRST_RESERVED - 1, xen/include/public/xen.h */
#define ERRNO_MAX 4095u
#define EXTENTS_FIXED 8u
#define EXTENT_BYTES 16u
#define REQUEST_FIXED 8u
#define PACK_FIXED 8u
#define FOLLOW_FIXED 8u

_Static_assert(EXTENTS_FIXED + XF_EXTENTS_MAX * EXTENT_BYTES <= XF_META_MAX, "too many extents");

/* XF_MSG_BATCH */

/* Checks of the runs, for both directions. Their counts were checked against the limits before. */
static int check_runs(const struct xf_batch *b, uint64_t gfn_limit, struct xf_err *err)
{
    uint64_t next = 0;
    uint32_t pages = 0, data = 0, i;

    for (i = 0; i < b->nr_runs; i++) {
        const struct xf_run *r = &b->runs[i];

        if (r->count < 1 || r->count > XF_BATCH_PAGES - pages)
            return xf_fail(err, EPROTO, "run %u of a batch has %u pages, 1 to %u are possible", i,
                           r->count, XF_BATCH_PAGES - pages);
        if (r->kind > XF_RUN_ABSENT)
            return xf_fail(err, EPROTO, "run %u of a batch is of unknown kind %u", i, r->kind);
        if (r->gfn >= gfn_limit || r->count > gfn_limit - r->gfn)
            return xf_fail(
                err, EPROTO, "run %u of a batch reaches gfn 0x%llx, beyond the guest's 0x%llx", i,
                (unsigned long long)r->gfn + r->count - 1, (unsigned long long)gfn_limit);
        if (r->gfn < next)
            return xf_fail(err, EPROTO,
                           "run %u of a batch, gfn 0x%llx, does not follow the one before it", i,
                           (unsigned long long)r->gfn);
        next = r->gfn + r->count;
        pages += r->count;
        data += r->kind == XF_RUN_DATA ? r->count : 0;
    }
    if (pages != b->nr_pages || data != b->data_pages)
        return xf_fail(err, EPROTO,
                       "a batch says %u pages, %u of them data, but its runs make %u and %u",
                       b->nr_pages, b->data_pages, pages, data);
    return 0;
}

size_t xf_batch_encode(const struct xf_batch *b, void *meta)
{
    uint8_t *p = meta;
    uint32_t i;

    if (b->nr_runs < 1 || b->nr_runs > XF_BATCH_PAGES || check_runs(b, XF_GFN_MAX, NULL))
        return 0;
    p = put_le32(p, b->round);
    p = put_le32(p, b->nr_runs);
    p = put_le32(p, b->nr_pages);
    p = put_le32(p, b->data_pages);
    p = put_le64(p, b->sum);
    for (i = 0; i < b->nr_runs; i++) {
        p = put_le64(p, b->runs[i].gfn);
        p = put_le32(p, b->runs[i].count);
        p = put_le32(p, b->runs[i].kind);
    }
    return BATCH_FIXED + (size_t)b->nr_runs * RUN_BYTES;
}

/* meta holds m->meta_len bytes, and nothing but a batch. The caller checks the payload. */
static int decode_batch(struct xf_batch *b, const struct xf_msg *m, const void *meta,
                        uint64_t gfn_limit, struct xf_err *err)
{
    const uint8_t *p = meta;
    uint32_t i;

    if (min_meta(m, "a batch", BATCH_FIXED, err))
        return -1;
    b->round = get_le32(p);
    b->nr_runs = get_le32(p + 4);
    b->nr_pages = get_le32(p + 8);
    b->data_pages = get_le32(p + 12);
    b->sum = get_le64(p + 16);
    if (b->nr_runs < 1 || b->nr_runs > XF_BATCH_PAGES)
        return xf_fail(err, EPROTO, "a batch has %u runs, 1 to %u are allowed", b->nr_runs,
                       XF_BATCH_PAGES);
    if (exact_meta(m, "a batch", BATCH_FIXED + b->nr_runs * RUN_BYTES, err))
        return -1;
    p += BATCH_FIXED;
    for (i = 0; i < b->nr_runs; i++, p += RUN_BYTES) {
        b->runs[i].gfn = get_le64(p);
        b->runs[i].count = get_le32(p + 8);
        b->runs[i].kind = get_le32(p + 12);
    }
    return check_runs(b, gfn_limit < XF_GFN_MAX ? gfn_limit : XF_GFN_MAX, err);
}

int xf_batch_decode(struct xf_batch *b, const struct xf_msg *m, const void *meta,
                    uint64_t gfn_limit, struct xf_err *err)
{
    if (decode_batch(b, m, meta, gfn_limit, err))
        return -1;
    if (m->payload_len != b->data_pages * XF_PAGE_SIZE)
        return xf_fail(err, EPROTO, "a batch of %u data pages has a payload of %u bytes",
                       b->data_pages, m->payload_len);
    return 0;
}

/* XF_MSG_PACKED */

/* Check the blocks against the batch's data pages and the payload. The batch was checked. */
static int check_pack(const struct xf_pack *k, uint32_t data_pages, uint32_t payload_len,
                      struct xf_err *err)
{
    uint32_t sum = 0;

    if (k->codec == XF_CODEC_NONE || k->codec >= XF_CODECS)
        return xf_fail(err, EPROTO, "a batch is compressed by unknown method %u", k->codec);
    if (!data_pages || k->nr_blocks != xf_pack_blocks(data_pages))
        return xf_fail(err, EPROTO, "a batch of %u data pages is compressed in %u blocks",
                       data_pages, k->nr_blocks);
    for (uint32_t i = 0; i < k->nr_blocks; i++) {
        uint32_t raw = xf_pack_raw(data_pages, i);

        if (k->len[i] < 1 || k->len[i] > raw)
            return xf_fail(err, EPROTO,
                           "block %u of a compressed batch has %u bytes, 1 to %u are possible", i,
                           k->len[i], raw);
        sum += k->len[i];
    }
    if (sum != payload_len)
        return xf_fail(err, EPROTO,
                       "a compressed batch has a payload of %u bytes where its blocks make %u",
                       payload_len, sum);
    return 0;
}

size_t xf_packed_encode(const struct xf_pack *k, const struct xf_batch *b, void *meta)
{
    uint32_t sum = 0;
    uint8_t *p = meta;
    size_t len;

    for (uint32_t i = 0; i < k->nr_blocks && i < XF_PACK_BLOCKS; i++)
        sum += k->len[i];
    if (b->data_pages > XF_BATCH_PAGES || check_pack(k, b->data_pages, sum, NULL))
        return 0;
    p = put_le32(p, k->codec);
    p = put_le32(p, k->nr_blocks);
    for (uint32_t i = 0; i < k->nr_blocks; i++)
        p = put_le32(p, k->len[i]);
    len = xf_batch_encode(b, p);
    return len ? (size_t)(p - (uint8_t *)meta) + len : 0;
}

int xf_packed_decode(struct xf_pack *k, struct xf_batch *b, const struct xf_msg *m,
                     const void *meta, uint64_t gfn_limit, struct xf_err *err)
{
    struct xf_msg inner = *m;
    const uint8_t *p = meta;
    uint32_t head;

    if (min_meta(m, "a compressed batch", PACK_FIXED, err))
        return -1;
    k->codec = get_le32(p);
    k->nr_blocks = get_le32(p + 4);
    if (k->nr_blocks < 1 || k->nr_blocks > XF_PACK_BLOCKS)
        return xf_fail(err, EPROTO, "a compressed batch has %u blocks, 1 to %u are allowed",
                       k->nr_blocks, XF_PACK_BLOCKS);
    head = PACK_FIXED + k->nr_blocks * 4;
    if (min_meta(m, "a compressed batch", head, err))
        return -1;
    for (uint32_t i = 0; i < k->nr_blocks; i++)
        k->len[i] = get_le32(p + PACK_FIXED + i * 4);
    inner.meta_len -= head;
    if (decode_batch(b, &inner, p + head, gfn_limit, err))
        return -1;
    return check_pack(k, b->data_pages, m->payload_len, err);
}

/* XF_MSG_SYNC, XF_MSG_SYNC_ACK */

size_t xf_sync_encode(const struct xf_sync *s, void *meta)
{
    uint8_t *p = meta;

    p = put_le32(p, s->seq);
    p = put_le32(p, s->flags);
    put_le64(p, s->pages);
    return SYNC_BYTES;
}

int xf_sync_decode(struct xf_sync *s, const struct xf_msg *m, const void *meta, struct xf_err *err)
{
    const uint8_t *p = meta;

    if (exact_meta(m, "a sync", SYNC_BYTES, err) || no_payload(m, "a sync", err))
        return -1;
    s->seq = get_le32(p);
    s->flags = get_le32(p + 4);
    s->pages = get_le64(p + 8);
    return 0;
}

/* XF_MSG_ABSENT, XF_MSG_ABSENT_ACK, XF_MSG_MISSING */

static int check_extents(const struct xf_extents *x, uint64_t gfn_limit, struct xf_err *err)
{
    uint64_t next = 0;

    if (x->flags & ~XF_EXTENTS_LAST)
        return xf_fail(err, EPROTO, "a set of pages has unknown flags 0x%x", x->flags);
    for (uint32_t i = 0; i < x->nr; i++) {
        const struct xf_extent *e = &x->list[i];

        if (e->gfn >= gfn_limit || e->count < 1 || e->count > gfn_limit - e->gfn)
            return xf_fail(err, EPROTO,
                           "extent %u of a set of pages, %llu from gfn 0x%llx, is not within the "
                           "guest's 0x%llx",
                           i, (unsigned long long)e->count, (unsigned long long)e->gfn,
                           (unsigned long long)gfn_limit);
        if (e->gfn < next)
            return xf_fail(err, EPROTO,
                           "extent %u of a set of pages, gfn 0x%llx, does not follow the one "
                           "before it",
                           i, (unsigned long long)e->gfn);
        next = e->gfn + e->count;
    }
    return 0;
}

size_t xf_extents_encode(const struct xf_extents *x, void *meta)
{
    uint8_t *p = meta;

    if (x->nr > XF_EXTENTS_MAX || check_extents(x, XF_GFN_MAX, NULL))
        return 0;
    p = put_le32(p, x->flags);
    p = put_le32(p, x->nr);
    for (uint32_t i = 0; i < x->nr; i++) {
        p = put_le64(p, x->list[i].gfn);
        p = put_le64(p, x->list[i].count);
    }
    return (size_t)(p - (uint8_t *)meta);
}

int xf_extents_decode(struct xf_extents *x, const struct xf_msg *m, const void *meta,
                      uint64_t gfn_limit, struct xf_err *err)
{
    const uint8_t *p = meta;

    if (min_meta(m, "a set of pages", EXTENTS_FIXED, err) || no_payload(m, "a set of pages", err))
        return -1;
    x->flags = get_le32(p);
    x->nr = get_le32(p + 4);
    if (x->nr > XF_EXTENTS_MAX)
        return xf_fail(err, EPROTO, "a set of pages has %u extents, over the limit of %u", x->nr,
                       XF_EXTENTS_MAX);
    if (exact_meta(m, "a set of pages", EXTENTS_FIXED + x->nr * EXTENT_BYTES, err))
        return -1;
    p += EXTENTS_FIXED;
    for (uint32_t i = 0; i < x->nr; i++, p += EXTENT_BYTES) {
        x->list[i].gfn = get_le64(p);
        x->list[i].count = get_le64(p + 8);
    }
    return check_extents(x, gfn_limit < XF_GFN_MAX ? gfn_limit : XF_GFN_MAX, err);
}

/* XF_MSG_REQUEST */

static int check_request(const struct xf_request *r, uint64_t gfn_limit, struct xf_err *err)
{
    for (uint32_t i = 0; i < r->nr; i++)
        if (r->gfns[i] >= gfn_limit)
            return xf_fail(err, EPROTO, "gfn 0x%llx was asked for, beyond the guest's 0x%llx",
                           (unsigned long long)r->gfns[i], (unsigned long long)gfn_limit);
    return 0;
}

size_t xf_request_encode(const struct xf_request *r, void *meta)
{
    uint8_t *p = meta;

    if (r->nr < 1 || r->nr > XF_REQUEST_MAX || check_request(r, XF_GFN_MAX, NULL))
        return 0;
    p = put_le32(p, r->nr);
    p = put_le32(p, 0);
    for (uint32_t i = 0; i < r->nr; i++)
        p = put_le64(p, r->gfns[i]);
    return (size_t)(p - (uint8_t *)meta);
}

int xf_request_decode(struct xf_request *r, const struct xf_msg *m, const void *meta,
                      uint64_t gfn_limit, struct xf_err *err)
{
    const uint8_t *p = meta;

    if (min_meta(m, "a request", REQUEST_FIXED, err) || no_payload(m, "a request", err))
        return -1;
    r->nr = get_le32(p);
    if (r->nr < 1 || r->nr > XF_REQUEST_MAX)
        return xf_fail(err, EPROTO, "a request is for %u pages, 1 to %u are allowed", r->nr,
                       XF_REQUEST_MAX);
    if (get_le32(p + 4))
        return xf_fail(err, EPROTO, "a request has a reserved field that is not zero");
    if (exact_meta(m, "a request", REQUEST_FIXED + r->nr * 8, err))
        return -1;
    for (uint32_t i = 0; i < r->nr; i++)
        r->gfns[i] = get_le64(p + REQUEST_FIXED + (size_t)i * 8);
    return check_request(r, gfn_limit < XF_GFN_MAX ? gfn_limit : XF_GFN_MAX, err);
}

/* Texts */

size_t xf_text_encode(int num, const char *text, void *meta)
{
    uint8_t *p = meta;
    size_t len = text ? strnlen(text, XF_TEXT_MAX) : 0;

    if (len >= XF_TEXT_MAX) { /* cut it, but between two characters */
        len = XF_TEXT_MAX - 1;
        while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80)
            len--;
    }
    p = put_le32(p, num > 0 && (unsigned)num <= ERRNO_MAX ? (uint32_t)num : 0);
    p = put_le32(p, (uint32_t)len);
    if (len)
        memcpy(p, text, len);
    return TEXT_FIXED + len;
}

int xf_text_decode(int *num, char text[XF_TEXT_MAX], const struct xf_msg *m, const void *meta,
                   struct xf_err *err)
{
    const uint8_t *p = meta;
    uint32_t n, len;

    if (min_meta(m, "a text", TEXT_FIXED, err) || no_payload(m, "a text", err))
        return -1;
    n = get_le32(p);
    len = get_le32(p + 4);
    if (n > ERRNO_MAX)
        return xf_fail(err, EPROTO, "a text has error number %u, over the limit of %u", n,
                       ERRNO_MAX);
    if (len > XF_TEXT_MAX - 1)
        return xf_fail(err, EPROTO, "a text has %u bytes, over the limit of %u", len,
                       XF_TEXT_MAX - 1);
    if (exact_meta(m, "a text", TEXT_FIXED + len, err))
        return -1;
    xf_text_copy(text, XF_TEXT_MAX, (const char *)p + TEXT_FIXED, len);
    *num = (int)n;
    return 0;
}

/* XF_MSG_BUILT */

size_t xf_built_encode(uint32_t domid, int num, const char *why, void *meta)
{
    uint8_t *p = put_le64(meta, domid);

    return why ? BUILT_FIXED + xf_text_encode(num, why, p) : BUILT_FIXED;
}

int xf_built_decode(uint32_t *domid, int *num, char why[XF_TEXT_MAX], const struct xf_msg *m,
                    const void *meta, struct xf_err *err)
{
    struct xf_msg text = *m;
    uint64_t id;

    *num = 0;
    why[0] = 0;
    if (min_meta(m, "BUILT", BUILT_FIXED, err) || no_payload(m, "BUILT", err))
        return -1;
    id = get_le64(meta);
    if (!id || id > DOMID_LAST)
        return xf_fail(err, EPROTO, "BUILT names domain %llu, which cannot be a guest",
                       (unsigned long long)id);
    *domid = (uint32_t)id;
    text.meta_len -= BUILT_FIXED;
    return text.meta_len ? xf_text_decode(num, why, &text, (const uint8_t *)meta + BUILT_FIXED, err)
                         : 0;
}

/* XF_MSG_FOLLOW */

unsigned xf_follow_vcpus(const struct xf_follow *f)
{
    unsigned n = 0;

    for (unsigned i = 0; i < sizeof(f->vcpus); i++)
        n += (unsigned)__builtin_popcount(f->vcpus[i]);
    return n;
}

size_t xf_follow_encode(const struct xf_follow *f, void *meta)
{
    uint32_t len = (uint32_t)strnlen(f->name, sizeof(f->name)), bytes = (f->nr_vcpus + 7) / 8;
    uint8_t *p = meta;

    if (!len || len == sizeof(f->name) || !f->nr_vcpus || f->nr_vcpus > XF_VCPUS_MAX)
        return 0;
    p = put_le32(p, f->nr_vcpus);
    p = put_le32(p, len);
    memcpy(p, f->vcpus, bytes);
    memcpy(p + bytes, f->name, len);
    return FOLLOW_FIXED + bytes + len;
}

int xf_follow_decode(struct xf_follow *f, const struct xf_msg *m, const void *meta,
                     struct xf_err *err)
{
    const uint8_t *p = meta;
    uint32_t len, bytes;

    memset(f, 0, sizeof(*f));
    if (min_meta(m, "a change of the guest", FOLLOW_FIXED, err) ||
        no_payload(m, "a change of the guest", err))
        return -1;
    f->nr_vcpus = get_le32(p);
    len = get_le32(p + 4);
    if (!f->nr_vcpus || f->nr_vcpus > XF_VCPUS_MAX)
        return xf_fail(err, EPROTO, "a change of the guest has %u vCPUs, the limit is %u",
                       f->nr_vcpus, XF_VCPUS_MAX);
    if (!len || len >= sizeof(f->name))
        return xf_fail(err, EPROTO,
                       "a change of the guest has a name of %u bytes, the limit is %zu", len,
                       sizeof(f->name) - 1);
    bytes = (f->nr_vcpus + 7) / 8;
    if (exact_meta(m, "a change of the guest", FOLLOW_FIXED + bytes + len, err))
        return -1;
    memcpy(f->vcpus, p + FOLLOW_FIXED, bytes);
    memcpy(f->name, p + FOLLOW_FIXED + bytes, len);
    if (!xf_text_is_clean(f->name, len))
        return xf_fail(err, EPROTO,
                       "a change of the guest has a name with characters that cannot be shown");
    if (!xf_follow_vcpus(f) || (f->nr_vcpus % 8 && f->vcpus[bytes - 1] >> f->nr_vcpus % 8))
        return xf_fail(err, EPROTO, "a change of the guest has no vCPU, or more than there are");
    return 0;
}

/* Numbers */

size_t xf_u64s_encode(const uint64_t *v, unsigned n, void *meta)
{
    uint8_t *p = meta;
    unsigned i;

    if (n > XF_META_MAX / 8)
        return 0;
    for (i = 0; i < n; i++)
        p = put_le64(p, v[i]);
    return (size_t)n * 8;
}

int xf_u64s_decode(uint64_t *v, unsigned n, const struct xf_msg *m, const void *meta,
                   struct xf_err *err)
{
    const uint8_t *p = meta;
    unsigned i;

    if (n > XF_META_MAX / 8)
        return xf_fail(err, EINVAL, "%u numbers do not fit into a message", n);
    if (exact_meta(m, "a message of numbers", n * 8, err) ||
        no_payload(m, "a message of numbers", err))
        return -1;
    for (i = 0; i < n; i++)
        v[i] = get_le64(p + (size_t)i * 8);
    return 0;
}

/* XF_MSG_PING, XF_MSG_PULLED */

bool xf_ping_wants_latency(const struct xf_msg *m, const void *meta)
{
    return m->meta_len >= 8 && get_le64(meta) & XF_PING_LATENCY;
}

size_t xf_pulled_encode(const struct xf_pulled *p, void *meta)
{
    uint64_t v[XF_PULLED_MAX] = {p->missing,  p->faults,         p->requested,   p->median_ns,
                                 p->p99_ns,   p->populate.pages, p->populate.ns, p->evict.pages,
                                 p->evict.ns, p->prep.pages,     p->prep.ns,     p->copy.pages,
                                 p->copy.ns,  p->held_ns};

    memcpy(v + XF_PULLED_NUMBERS, p->latency, sizeof(p->latency));
    return xf_u64s_encode(v, p->has_latency ? XF_PULLED_MAX : XF_PULLED_NUMBERS, meta);
}

int xf_pulled_decode(struct xf_pulled *p, const struct xf_msg *m, const void *meta,
                     struct xf_err *err)
{
    bool latency = m->meta_len == XF_PULLED_MAX * 8;
    uint64_t v[XF_PULLED_MAX] = {0};

    if (xf_u64s_decode(v, latency ? XF_PULLED_MAX : XF_PULLED_NUMBERS, m, meta, err))
        return -1;
    *p = (struct xf_pulled){
        .missing = v[0],
        .faults = v[1],
        .requested = v[2],
        .median_ns = v[3],
        .p99_ns = v[4],
        .populate = {v[5], v[6]},
        .evict = {v[7], v[8]},
        .prep = {v[9], v[10]},
        .copy = {v[11], v[12]},
        .held_ns = v[13],
        .has_latency = latency,
    };
    memcpy(p->latency, v + XF_PULLED_NUMBERS, sizeof(p->latency));
    return 0;
}
