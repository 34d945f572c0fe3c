/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for an RDMA channel from its first word to its sealed fragments, without a
 * device: both sides' handshakes (transport/rdma/handshake.c) run against each other, and one
 * message on the way is changed, by a stranger, or by a peer that knows the key and so proves
 * what it has changed. Beyond "no crash": a stranger's change is never taken, by either side; what
 * a peer with the key makes of its ring keeps to the limits or is refused; a sealed fragment opens
 * to what was sealed, or not at all.
 *
 * Input: options, which message, its length, so many bytes of change, then changes of fragments.
 */
#include "transport/rdma/rdma.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/fuzz/target.h"

enum { BOTH_OPEN, STRANGER_REFUSED, LIAR_REFUSED, LIAR_OPEN, UNSEALED, SEAL_BROKEN };

#define OPT_SEAL 1u
#define OPT_KNOWS 2u /* who changes the message knows the key */
#define OPT_SMALL 4u
#define NONE 4u /* no message is changed */

struct end {
    struct xf_chan c;
    struct xf_rdma_hs hs;
    struct ibv_cq cq;
    struct ibv_wc queue[8];
    unsigned nr;
    uint8_t in[2][XF_HS_MAX], out[2][XF_HS_MAX];
    size_t len[2];
    unsigned said;
    struct ibv_mr mr;
    struct iovec win[XF_IOV_MAX + 2];
    int rc;
    struct xf_err err;
};

static struct {
    struct end source, sink;
    struct ibv_context device;
    uint32_t taken;
    uint8_t nonce;
} fuzz; /* big, and a fuzzer has one thread */

/* --- what the handshake needs of a device --- */

static struct end *end_of(struct xf_chan *c)
{
    return c == &fuzz.source.c ? &fuzz.source : &fuzz.sink;
}

static int poll_cq(struct ibv_cq *cq, int max, struct ibv_wc *wc)
{
    struct end *e = cq == &fuzz.source.cq ? &fuzz.source : &fuzz.sink;

    if (!e->nr || max < 1)
        return 0;
    *wc = e->queue[0];
    memmove(e->queue, e->queue + 1, --e->nr * sizeof(*wc));
    return 1;
}

static void complete(struct end *e, const struct ibv_wc *wc)
{
    MUST(e->nr < sizeof(e->queue) / sizeof(e->queue[0]));
    e->queue[e->nr++] = *wc;
    e->c.armed = false;
}

uint8_t *xf_rdma_hs_out(struct xf_chan *c, unsigned n)
{
    MUST(n < 2);
    return end_of(c)->out[n];
}

uint8_t *xf_rdma_hs_in(struct xf_chan *c, unsigned n)
{
    MUST(n < 2);
    return end_of(c)->in[n];
}

int xf_rdma_post_hs(struct xf_chan *c, unsigned n, size_t len, struct xf_err *err)
{
    struct end *e = end_of(c);

    (void)err;
    MUST(n < 2 && n == e->said && len <= XF_HS_MAX);
    e->len[n] = len;
    e->said++;
    complete(
        e, &(struct ibv_wc){.status = IBV_WC_SUCCESS, .opcode = IBV_WC_SEND, .wr_id = ++c->posted});
    return 0;
}

int xf_rdma_rx_open(struct xf_chan *c, const struct xf_link_cfg *cfg, struct xf_err *err)
{
    (void)cfg, (void)err;
    c->rx = (struct xf_rdma_ring){.slot = 65536, .slots = 32, .base = (uint8_t *)0x10000};
    c->rx.mr = &end_of(c)->mr;
    c->rx.mr->rkey = 99;
    c->window = 16;
    return 0;
}

/* Only for a peer that has proved that it knows the key, and whose ring can be. */
int xf_rdma_tx_open(struct xf_chan *c, const struct xf_link_cfg *cfg, struct xf_err *err)
{
    (void)cfg, (void)err;
    MUST(end_of(c)->hs.authentic);
    MUST(c->peer.slot >= XF_SLOT_MIN && c->peer.slot <= XF_SLOT_MAX);
    MUST(c->peer.slots >= XF_SLOTS_MIN && c->peer.slots <= XF_SLOTS_MAX);
    return 0;
}

int xf_rdma_arm(struct xf_chan *c, struct xf_err *err)
{
    (void)err;
    c->armed = true;
    return 0;
}

int xf_rdma_nonce(uint8_t out[XF_NONCE_BYTES], struct xf_err *err)
{
    (void)err;
    memset(out, ++fuzz.nonce, XF_NONCE_BYTES);
    return 0;
}

void xf_rdma_chan_free(struct xf_chan *c)
{
    xf_rdma_seal_close(&c->seal);
    xf_rdma_seal_close(&c->unseal);
}

/* --- the way between them --- */

static void open_end(struct end *e, const struct xf_link_cfg *cfg, bool sink, unsigned index)
{
    memset(e, 0, sizeof(*e));
    e->cq.context = &fuzz.device;
    e->c.cq = &e->cq;
    e->c.which = sink ? XF_CONTROL : xf_chan_id_of(index, cfg->channels);
    e->c.small = xf_rdma_small(xf_chan_id_of(index, cfg->channels));
    e->c.source = !sink;
    e->c.win = e->win;
    snprintf(e->c.who, sizeof(e->c.who), "channel %u", index);
    xf_rdma_hs_init(&e->hs, &e->c, cfg, sink, &fuzz.taken);
}

/* The proof at the end of a message that was changed, as one who knows the key makes it. */
static void prove(const struct end *to, bool by_sink, uint8_t *msg, size_t len)
{
    const struct xf_rdma_hs *hs = &to->hs;
    uint8_t all[XF_HS_SCRIPT + XF_HS_MAX];
    struct xf_rdma_keys keys;
    const uint8_t *source, *sink;

    memcpy(all, hs->script, hs->script_len);
    memcpy(all + hs->script_len, msg, len);
    source = all + XF_HELLO_BYTES;
    sink = all + XF_HS_CHALLENGE;
    MUST(!xf_rdma_keys(&keys, hs->cfg->key->bytes, source, sink, NULL));
    MUST(!xf_rdma_mac(msg + len - XF_MAC_BYTES, by_sink ? keys.proof_sink : keys.proof_source, all,
                      hs->script_len + len - XF_MAC_BYTES, NULL));
}

/* Message n of all (0..3) arrives. Returns whether it is another than was sent. */
static bool deliver(unsigned n, unsigned options, uint8_t len_change, const uint8_t *change,
                    size_t nr)
{
    struct end *from = n % 2 ? &fuzz.sink : &fuzz.source, *to = n % 2 ? &fuzz.source : &fuzz.sink;
    uint8_t *msg = to->in[n / 2];
    size_t len = from->len[n / 2], body;
    bool changed;

    memcpy(msg, from->out[n / 2], XF_HS_MAX);
    len ^= len_change;
    len = len <= XF_HS_MAX ? len : XF_HS_MAX;
    for (size_t i = 0; i < nr && i < len; i++)
        msg[i] ^= change[i];
    body = n ? XF_MAC_BYTES : 0;
    changed = len != from->len[n / 2] || memcmp(msg, from->out[n / 2], len);
    if (changed && options & OPT_KNOWS && n && len == from->len[n / 2] && len > body)
        prove(to, n % 2, msg, len);
    complete(to, &(struct ibv_wc){
                     .status = IBV_WC_SUCCESS, .opcode = IBV_WC_RECV, .byte_len = (uint32_t)len});
    to->rc = xf_rdma_hs_step(&to->hs, &to->err);
    MUST(to->rc >= 0 || (to->err.num && to->err.text[0]));
    return changed;
}

/* Fragments from the source to the sink; each byte of the input changes one of them. */
static void fuzz_fragments(const uint8_t *data, size_t size)
{
    static uint8_t plain[600], sealed[600 + XF_TAG_BYTES], opened[600];
    struct iovec none = {NULL, 0}, in = {plain, sizeof(plain)}, out;
    struct xf_err err = {0};

    for (size_t i = 0; i < 4; i++) {
        uint8_t change = i < size ? data[i] : 0;
        size_t n = 1 + (i < size ? data[i] * 2u : 200);
        struct xf_iter head = xf_iter(&none, 1, 0), body = xf_iter(&in, 1, n), to;
        int rc;

        memset(plain, (int)(i + 1), sizeof(plain));
        MUST(!xf_rdma_seal_gather(&fuzz.source.c, &head, &body, n, sealed, &err));
        sealed[change % (n + XF_TAG_BYTES)] ^= change;
        out = (struct iovec){opened, n};
        to = xf_iter(&out, 1, n);
        rc = xf_rdma_seal_scatter(&fuzz.sink.c, sealed, n + XF_TAG_BYTES, &to, &err);
        MUST((rc == 0) == (change == 0));
        fuzz_reached(rc ? SEAL_BROKEN : UNSEALED);
        if (rc)
            return;
        MUST(!memcmp(opened, plain, n));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xf_key key;
    struct xf_link_cfg cfg = {.channels = 2, .key = &key};
    unsigned options, victim;
    size_t nr, at = 4;
    bool changed = false;

    if (size < 4 || size > 1024)
        return 0;
    options = data[0];
    victim = data[1] % (NONE + 1);
    nr = data[3] < size - at ? data[3] : size - at;
    memset(&key, 0x42, sizeof(key));
    cfg.encrypt = options & OPT_SEAL;
    fuzz.device.ops.poll_cq = poll_cq;
    fuzz.taken = fuzz.nonce = 0;
    open_end(&fuzz.source, &cfg, false, options & OPT_SMALL ? 0 : 1);
    open_end(&fuzz.sink, &cfg, true, options & OPT_SMALL ? 0 : 1);
    MUST(!xf_rdma_hs_begin(&fuzz.source.hs, &fuzz.source.err));
    for (unsigned n = 0; n < 4; n++) {
        struct end *from = n % 2 ? &fuzz.sink : &fuzz.source;

        if (fuzz.source.rc < 0 || fuzz.sink.rc < 0 || from->said <= n / 2)
            break;
        changed |= n == victim ? deliver(n, options, data[2], data + at, nr)
                               : deliver(n, options, 0, NULL, 0);
    }
    if (!changed) {
        MUST(fuzz.source.rc == 1 && fuzz.sink.rc == 1);
        fuzz_reached(BOTH_OPEN);
        if (cfg.encrypt)
            fuzz_fragments(data + at + nr, size - at - nr);
    } else if (!(options & OPT_KNOWS)) {
        MUST(fuzz.source.rc != 1 && (fuzz.sink.rc != 1 || victim == 3));
        fuzz_reached(STRANGER_REFUSED);
    } else {
        fuzz_reached((victim == 3 ? fuzz.source.rc : fuzz.sink.rc) == 1 ? LIAR_OPEN : LIAR_REFUSED);
    }
    xf_rdma_hs_cancel(&fuzz.source.hs);
    xf_rdma_hs_cancel(&fuzz.sink.hs);
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static const uint8_t seeds[][8] = {
        {0, NONE},
        {OPT_SEAL, NONE, 0, 0, 0, 0, 0, 0},
        {OPT_SEAL | OPT_SMALL, NONE, 0, 0, 0, 7},
        {0, 0, 0, 1, 1},
        {OPT_SEAL, 1, 0, 1, 1},
        {0, 2, 0, 1, 1},
        {0, 3, 0, 1, 1},
        {0, 3, 16},
        {OPT_KNOWS, 2, 0, 1, 0x40},          /* another address of the ring */
        {OPT_KNOWS, 3, 0, 4, 0, 0, 0, 1},    /* another magic */
        {OPT_KNOWS | OPT_SMALL, 2, 0, 1, 1}, /* an address where none may be */
    };

    if ((size_t)n >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    memcpy(out, seeds[n], sizeof(seeds[n]));
    return sizeof(seeds[n]);
}

FUZZ_TARGET(fuzz_seed, "both sides are open", "a stranger is refused", "a liar is refused",
            "a liar is taken, within the limits", "a fragment is opened", "a changed one is not")
