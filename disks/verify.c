/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Comparing two images by hashes: see verify.h. */
#include "disks/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "transport/bytes.h"
#include "transport/clock.h"
#include "transport/wire.h"

#define ALIGNED 4096u
#define TICK_MS 100
#define REST_MS 100 /* after the first pass; doubled each time */
#define REST_MAX_MS 800
#define ANSWER_MS 60000 /* the destination reads 32 MiB for one */

/* --- one image --- */

int xf_verify_open(struct xf_verify_image *v, int fd, uint64_t size, bool direct,
                   struct xf_err *err)
{
    char path[32];

    *v = (struct xf_verify_image){.fd = -1, .size = size};
    if (!size || size > XF_VERIFY_SIZE_MAX)
        return xf_fail(err, EINVAL, "an image of %llu bytes cannot be compared",
                       (unsigned long long)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (direct)
        v->fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (v->fd < 0 && (!direct || errno == EINVAL))
        v->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (v->fd < 0)
        return xf_fail(err, errno, "cannot open an image to compare it: %s", strerror(errno));
    if (posix_memalign(&v->buffer, ALIGNED, XF_VERIFY_CHUNK)) {
        xf_verify_close(v);
        return xf_fail(err, ENOMEM, "out of memory");
    }
    return 0;
}

void xf_verify_close(struct xf_verify_image *v)
{
    if (v->fd >= 0)
        close(v->fd);
    free(v->buffer);
    *v = (struct xf_verify_image){.fd = -1};
}

/* Whole chunks are read even if the image ends within one: O_DIRECT needs whole blocks. */
static int read_chunk(struct xf_verify_image *v, uint64_t chunk, size_t *len, struct xf_err *err)
{
    uint64_t at = chunk * XF_VERIFY_CHUNK;
    size_t need = v->size - at < XF_VERIFY_CHUNK ? (size_t)(v->size - at) : XF_VERIFY_CHUNK;
    size_t got = 0;

    while (got < need) {
        ssize_t n = pread(v->fd, (char *)v->buffer + got, XF_VERIFY_CHUNK - got, (off_t)(at + got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return xf_fail(err, errno, "cannot read an image to compare it: %s", strerror(errno));
        if (n == 0)
            return xf_fail(err, EIO, "an image to compare has become smaller than the disk");
        got += (size_t)n;
    }
    *len = need;
    return 0;
}

static int hash_chunks(struct xf_verify_image *v, const uint64_t *chunk, unsigned n, uint8_t *out,
                       struct xf_err *err)
{
    XXH128_canonical_t form;
    size_t len = 0;

    for (unsigned i = 0; i < n; i++) {
        if (read_chunk(v, chunk[i], &len, err))
            return -1;
        XXH128_canonicalFromHash(&form, XXH3_128bits(v->buffer, len));
        memcpy(out + i * XF_VERIFY_HASH, form.digest, XF_VERIFY_HASH);
    }
    return 0;
}

/* --- on the wire --- */

size_t xf_verify_ask_encode(const uint64_t *chunk, unsigned n, void *meta)
{
    uint8_t *p = meta;

    for (unsigned i = 0; i < n; i++)
        p = put_le64(p, chunk[i]);
    return (size_t)(p - (uint8_t *)meta);
}

int xf_verify_ask_decode(uint64_t chunk[XF_VERIFY_ASK], unsigned *n, const struct xf_msg *m,
                         const void *meta, uint64_t chunks, struct xf_err *err)
{
    if (m->payload_len || !m->meta_len || m->meta_len % 8 || m->meta_len / 8 > XF_VERIFY_ASK)
        return xf_fail(err, EPROTO, "a question about a disk has an invalid length");
    *n = m->meta_len / 8;
    for (unsigned i = 0; i < *n; i++) {
        chunk[i] = get_le64((const uint8_t *)meta + (size_t)i * 8);
        if (chunk[i] >= chunks || (i && chunk[i] <= chunk[i - 1]))
            return xf_fail(err, EPROTO, "a question about a disk names an invalid part of it");
    }
    return 0;
}

/* --- the destination --- */

int xf_verify_serve(struct xf_verify_image *image, const struct xf_transport_ops *ops,
                    struct xf_chan *chan, struct xf_err *err)
{
    uint64_t *chunk = calloc(XF_VERIFY_ASK, sizeof(*chunk));
    uint8_t *meta = malloc(XF_META_MAX);
    struct xf_msg m, answer = {.type = XF_MSG_DISK_HASHES};
    unsigned n;
    int rc = chunk && meta ? 0 : xf_fail(err, ENOMEM, "out of memory");

    while (!rc) {
        rc = ops->recv(chan, &m, meta, -1, err);
        if (rc || (m.type == XF_MSG_DISK_END && !m.meta_len && !m.payload_len))
            break;
        if (m.type != XF_MSG_DISK_ASK)
            rc = xf_fail(err, EPROTO, "a disk's channel has an invalid message (type %u)", m.type);
        else
            rc = xf_verify_ask_decode(chunk, &n, &m, meta, xf_verify_chunks(image->size), err) ||
                         hash_chunks(image, chunk, n, meta, err)
                     ? -1
                     : 0;
        if (!rc) {
            answer.meta_len = n * XF_VERIFY_HASH;
            rc = ops->send(chan, &answer, meta, NULL, 0, err);
        }
    }
    free(chunk);
    free(meta);
    return rc;
}

/* --- the source --- */

/* One run of xf_verify_run(). */
struct run {
    struct xf_verify *v;
    struct xf_tick tick;
    uint64_t chunks;
    uint8_t *differs; /* bit by chunk */
    uint64_t nr;      /* bits that are set */
    uint64_t chunk[XF_VERIFY_ASK];
    uint8_t own[XF_VERIFY_ASK * XF_VERIFY_HASH];
    uint8_t meta[XF_META_MAX];
};

static int hear(struct xf_verify *v, unsigned n, uint8_t *meta, struct xf_tick tick,
                struct xf_err *err)
{
    int64_t until = xf_now_ms() + ANSWER_MS;
    struct xf_msg m;
    int rc;

    while ((rc = v->ops->recv(v->chan, &m, meta, TICK_MS, err)) == XF_AGAIN) {
        if (!xf_ms_left(until))
            return xf_fail_link(err, ETIMEDOUT,
                                "the other host has not read a part of its image within %d s",
                                ANSWER_MS / 1000);
        if (xf_tick(tick, err))
            return -1;
    }
    if (rc)
        return -1;
    if (m.type != XF_MSG_DISK_HASHES || m.payload_len || m.meta_len != n * XF_VERIFY_HASH)
        return xf_fail(err, EPROTO, "an answer about a disk is invalid (type %u, %u bytes)", m.type,
                       m.meta_len);
    return 0;
}

/* Ask for run->chunk[0..n); the hash of each, as both sides have it, is in meta and own. */
static int ask(struct run *r, unsigned n, struct xf_err *err)
{
    struct xf_msg m = {.type = XF_MSG_DISK_ASK};

    if (r->v->local)
        return hash_chunks(r->v->image, r->chunk, n, r->own, err) ||
                       hash_chunks(r->v->local, r->chunk, n, r->meta, err)
                   ? -1
                   : 0;
    m.meta_len = (uint32_t)xf_verify_ask_encode(r->chunk, n, r->meta);
    if (r->v->ops->send(r->v->chan, &m, r->meta, NULL, 0, err) ||
        hash_chunks(r->v->image, r->chunk, n, r->own, err))
        return -1;
    return hear(r->v, n, r->meta, r->tick, err);
}

static bool same(const struct run *r, unsigned i)
{
    return !memcmp(r->own + i * XF_VERIFY_HASH, r->meta + i * XF_VERIFY_HASH, XF_VERIFY_HASH);
}

static bool marked(const struct run *r, uint64_t chunk)
{
    return r->differs[chunk / 8] & 1u << chunk % 8;
}

static void mark(struct run *r, uint64_t chunk, bool differs)
{
    if (marked(r, chunk) == differs)
        return;
    r->differs[chunk / 8] ^= (uint8_t)(1u << chunk % 8);
    r->nr += differs ? 1 : UINT64_MAX;
}

/* All chunks the first time, later those that differed. */
static int compare_pass(struct run *r, bool all, struct xf_err *err)
{
    uint64_t next = 0;

    atomic_store(&r->v->checked, 0);
    while (next < r->chunks) {
        unsigned n = 0;

        for (; next < r->chunks && n < XF_VERIFY_ASK; next++)
            if (all || marked(r, next))
                r->chunk[n++] = next;
        if (!n)
            break;
        if (xf_tick(r->tick, err) || ask(r, n, err))
            return -1;
        for (unsigned i = 0; i < n; i++)
            mark(r, r->chunk[i], !same(r, i));
        atomic_store(&r->v->checked,
                     next == r->chunks ? r->v->image->size : next * XF_VERIFY_CHUNK);
    }
    return 0;
}

/* What was on its way arrives meanwhile. */
static int rest(unsigned pass, struct xf_tick tick, struct xf_err *err)
{
    const struct timespec piece = {.tv_nsec = TICK_MS * 1000000};
    unsigned ms = REST_MS << (pass - 1);

    for (unsigned slept = 0; slept < (ms < REST_MAX_MS ? ms : REST_MAX_MS); slept += TICK_MS) {
        if (xf_tick(tick, err))
            return -1;
        nanosleep(&piece, NULL);
    }
    return 0;
}

static int run_passes(struct run *r, struct xf_err *err)
{
    for (unsigned pass = 1;; pass++) {
        atomic_store(&r->v->pass, pass);
        if (compare_pass(r, pass == 1, err))
            return -1;
        if (pass == 1)
            r->v->again = r->nr;
        if (!r->nr || pass == XF_VERIFY_PASSES)
            return 0;
        if (rest(pass, r->tick, err))
            return -1;
    }
}

int xf_verify_run(struct xf_verify *v, struct xf_tick tick, struct xf_err *err)
{
    struct run *r = calloc(1, sizeof(*r));
    int rc = -1;

    v->nr_hot = 0;
    if (r) {
        r->v = v;
        r->tick = tick;
        r->chunks = xf_verify_chunks(v->image->size);
        r->differs = calloc(1, r->chunks / 8 + 1);
    }
    if (!r || !r->differs)
        xf_fail(err, ENOMEM, "no memory to compare an image");
    else
        rc = run_passes(r, err);
    if (!rc && r->nr > XF_VERIFY_HOT)
        rc = xf_fail(err, EILSEQ,
                     "the copy differs from the disk in %llu parts of 256 KiB even when looked at "
                     "%u times: it is wrong, or the guest writes faster than the link takes",
                     (unsigned long long)r->nr, XF_VERIFY_PASSES);
    for (uint64_t i = 0; !rc && i < r->chunks; i++)
        if (marked(r, i))
            v->hot[v->nr_hot++] = i;
    if (r)
        free(r->differs);
    free(r);
    return rc;
}

int xf_verify_hot(struct xf_verify *v, struct xf_err *err)
{
    struct run *r = v->nr_hot ? calloc(1, sizeof(*r)) : NULL;
    int rc;

    if (!v->nr_hot)
        return 0;
    if (!r)
        return xf_fail(err, ENOMEM, "no memory to compare an image");
    r->v = v;
    memcpy(r->chunk, v->hot, v->nr_hot * sizeof(v->hot[0]));
    rc = ask(r, v->nr_hot, err);
    for (unsigned i = 0; !rc && i < v->nr_hot; i++)
        if (!same(r, i))
            rc = xf_fail(err, EILSEQ,
                         "the copy differs from the disk at byte %llu although the guest is "
                         "suspended",
                         (unsigned long long)v->hot[i] * XF_VERIFY_CHUNK);
    free(r);
    return rc;
}

int xf_verify_end(struct xf_verify *v, struct xf_err *err)
{
    const struct xf_msg m = {.type = XF_MSG_DISK_END};

    return v->ops->send(v->chan, &m, NULL, NULL, 0, err);
}
