/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sending and receiving batches: see packing.h. */
#include "pages/packing.h"

#include <string.h>
#include <time.h>

#include "transport/clock.h"

XF_ALONE
void xf_packing_rule_init(struct xf_packing_rule *rule, const struct xf_compress_opts *opts,
                          unsigned threads)
{
    *rule = (struct xf_packing_rule){.lock = PTHREAD_MUTEX_INITIALIZER};
    xf_compress_init(&rule->policy, opts, threads);
}

int xf_packing_init(struct xf_packing *k, struct xf_packing_rule *rule, struct xf_err *err)
{
    bool possible;

    memset(k, 0, sizeof(*k));
    k->least = XF_COMPRESS_PAGES;
    k->rule = rule;
    xf_lock(&rule->lock, xf_packing_lock);
    possible = xf_compress_possible(&rule->policy);
    xf_unlock(&rule->lock, xf_packing_lock);
    return possible ? xf_packer_new(&k->packer, err) : 0;
}

void xf_packing_free(struct xf_packing *k)
{
    xf_packer_free(k->packer);
    k->packer = NULL;
}

/* Seconds of processor time that this thread has used. */
static double cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Choose how to send a batch with these pages. */
static enum xf_codec choose(struct xf_packing *k, const struct iovec *iov, int niov)
{
    struct xf_packing_rule *r = k->rule;
    uint64_t bytes, packed;
    enum xf_codec codec;

    xf_lock(&r->lock, xf_packing_lock);
    if (xf_compress_wants_sample(&r->policy)) {
        double cpu;

        xf_unlock(&r->lock, xf_packing_lock);
        cpu = cpu_now();
        xf_pack_sample(k->packer, iov, niov, &bytes, &packed);
        cpu = cpu_now() - cpu;
        xf_lock(&r->lock, xf_packing_lock);
        xf_compress_sampled(&r->policy, &k->was, bytes, packed, cpu);
    }
    codec = xf_compress_choose(&r->policy, &k->was);
    xf_unlock(&r->lock, xf_packing_lock);
    return codec;
}

/* Compress the batch if that is worth it: then m and the iovec describe the result, and the meta
 * part is written. Returns the new length of the iovec. */
static int pack(struct xf_packing *k, struct xf_batch *b, struct iovec *iov, int niov, bool still,
                struct xf_msg *m, uint8_t *meta)
{
    uint32_t len;
    double began = xf_now();
    enum xf_codec codec = choose(k, iov, niov);
    uint8_t *out;

    if (codec && xf_pack(k->packer, codec, iov, niov, still, b->data_pages, &k->pack, &out, &len)) {
        k->sent_as = codec;
        m->type = XF_MSG_PACKED;
        m->meta_len = (uint32_t)xf_packed_encode(&k->pack, b, meta);
        m->payload_len = len;
        iov[0] = (struct iovec){.iov_base = out, .iov_len = len};
        niov = 1;
    }
    k->was.pack_s = xf_now() - began;
    return niov;
}

int xf_packing_send(struct xf_packing *k, const struct xf_transport_ops *t, struct xf_chan *chan,
                    struct xf_batch *b, struct iovec *iov, int niov, bool still, uint8_t *meta,
                    struct xf_err *err)
{
    struct xf_msg m = {.type = XF_MSG_BATCH};
    double began, cpu;
    int rc;

    m.meta_len = (uint32_t)xf_batch_encode(b, meta);
    m.payload_len = b->data_pages * XF_PAGE_SIZE;
    k->was = (struct xf_compress_batch){.bytes = m.payload_len, .wire = m.payload_len};
    k->sent_as = XF_CODEC_NONE;
    if (!k->packer || b->data_pages < k->least)
        return t->send(chan, &m, meta, iov, niov, err);
    niov = pack(k, b, iov, niov, still, &m, meta);
    began = xf_now();
    cpu = cpu_now();
    rc = t->send(chan, &m, meta, iov, niov, err);
    k->was.send_s = xf_now() - began;
    k->was.send_cpu_s = cpu_now() - cpu;
    k->was.wire = m.payload_len;
    return rc;
}

void xf_packing_sent(struct xf_packing *k, double began, double waited_s)
{
    double now = xf_now();

    k->was.total_s = now - began;
    k->was.send_s += waited_s;
    if (!k->packer)
        return;
    xf_lock(&k->rule->lock, xf_packing_lock);
    xf_compress_sent(&k->rule->policy, &k->was, now);
    xf_unlock(&k->rule->lock, xf_packing_lock);
}

int xf_packing_decode(struct xf_pack *pack, struct xf_batch *b, const struct xf_msg *m,
                      const uint8_t *meta, uint64_t nr_gfns, struct xf_err *err)
{
    pack->nr_blocks = 0;
    return m->type == XF_MSG_PACKED ? xf_packed_decode(pack, b, m, meta, nr_gfns, err)
                                    : xf_batch_decode(b, m, meta, nr_gfns, err);
}

/* Blocks are received one by one, so that one is decompressed while the next arrives. */
int xf_packing_receive(struct xf_unpacker **unpacker, const struct xf_transport_ops *t,
                       struct xf_chan *chan, const struct xf_pack *pack, const struct xf_batch *b,
                       uint8_t *to, struct xf_err *err)
{
    struct iovec iov = {.iov_base = to, .iov_len = (size_t)b->data_pages * XF_PAGE_SIZE};

    if (!pack->nr_blocks)
        return iov.iov_len ? t->recv_payload(chan, &iov, 1, err) : 0;
    if (!*unpacker && xf_unpacker_new(unpacker, err))
        return -1;
    for (uint32_t i = 0; i < pack->nr_blocks; i++) {
        uint32_t raw = xf_pack_raw(b->data_pages, i), len = pack->len[i];

        iov.iov_base = len == raw ? to : xf_unpack_buffer(*unpacker);
        iov.iov_len = len;
        if (t->recv_payload(chan, &iov, 1, err))
            return -1;
        if (len != raw && xf_unpack(*unpacker, pack->codec, iov.iov_base, len, to, raw, err))
            return -1;
        to += raw;
    }
    return 0;
}
