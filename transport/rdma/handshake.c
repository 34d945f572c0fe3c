/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a connected queue pair to an open channel: each side proves that it knows the one-time
 * key, and only then says where its ring is. A state machine that never waits, so that the
 * sink can drive many at once and none holds up the others.
 *
 *   source  challenge: hello, nonce          sink  answer: nonce, proof
 *   source  proof: ring, proof               sink  welcome: hello with verdict, ring, proof
 *
 * A proof covers all messages before it, from either side, and the rest of its own.
 */
#include "transport/rdma/rdma.h"

#include <errno.h>
#include <string.h>

enum { HS_TALK, HS_REFUSED, HS_DONE };

void xf_rdma_hs_init(struct xf_rdma_hs *hs, struct xf_chan *c, const struct xf_link_cfg *cfg,
                     bool server, uint32_t *taken)
{
    memset(hs, 0, sizeof(*hs));
    hs->c = c;
    hs->cfg = cfg;
    hs->server = server;
    hs->taken = taken;
    hs->ours = xf_chan_hello_ours(cfg, c->which);
}

static uint8_t *append(struct xf_rdma_hs *hs, const void *bytes, size_t len)
{
    uint8_t *at = hs->script + hs->script_len;

    memcpy(at, bytes, len);
    hs->script_len += len;
    return at;
}

/* Send the last len bytes of the script as the next message, with a proof (if any) appended. */
static int say(struct xf_rdma_hs *hs, unsigned n, size_t len, const uint8_t *proof_key,
               struct xf_err *err)
{
    uint8_t mac[XF_MAC_BYTES];

    if (proof_key) {
        if (xf_rdma_mac(mac, proof_key, hs->script, hs->script_len, err))
            return -1;
        append(hs, mac, sizeof(mac));
        len += sizeof(mac);
    }
    memcpy(xf_rdma_hs_out(hs->c, n), hs->script + hs->script_len - len, len);
    return xf_rdma_post_hs(hs->c, n, len, err);
}

/* Whether the script ends with the peer's proof. */
static int proved(const struct xf_rdma_hs *hs, const uint8_t proof_key[32], struct xf_err *err)
{
    uint8_t mac[XF_MAC_BYTES];
    size_t len = hs->script_len - XF_MAC_BYTES;

    if (xf_rdma_mac(mac, proof_key, hs->script, len, err))
        return -1;
    if (!xf_rdma_mac_equal(mac, hs->script + len))
        return xf_fail_peer(
            err, EACCES,
            "%s: the peer does not know our one-time key; is another move listening "
            "there?",
            hs->c->who);
    return 0;
}

static int derive(struct xf_rdma_hs *hs, struct xf_err *err)
{
    return xf_rdma_keys(&hs->keys, hs->cfg->key->bytes, hs->script + XF_HELLO_BYTES,
                        hs->script + XF_HS_CHALLENGE, err);
}

static void append_ring(struct xf_rdma_hs *hs, bool real)
{
    struct xf_chan *c = hs->c;
    struct xf_rdma_peer r = {0};
    uint8_t bytes[XF_RING_BYTES];

    if (real) {
        r.slot = c->rx.slot;
        r.slots = c->window;
        r.addr = c->small ? 0 : (uintptr_t)c->rx.base;
        r.rkey = c->small ? 0 : c->rx.mr->rkey;
    }
    xf_ring_encode(bytes, &r);
    append(hs, bytes, sizeof(bytes));
}

static int open_seals(struct xf_rdma_hs *hs, struct xf_err *err)
{
    const uint8_t *out = hs->server ? hs->keys.seal_sink : hs->keys.seal_source;
    const uint8_t *in = hs->server ? hs->keys.seal_source : hs->keys.seal_sink;

    if (!hs->cfg->encrypt)
        return 0;
    if (xf_rdma_seal_open(&hs->c->seal, out, err) || xf_rdma_seal_open(&hs->c->unseal, in, err))
        return xf_wrap(err, "%s", hs->c->who);
    return 0;
}

int xf_rdma_hs_begin(struct xf_rdma_hs *hs, struct xf_err *err)
{
    uint8_t hello[XF_HELLO_BYTES], nonce[XF_NONCE_BYTES];

    if (xf_rdma_nonce(nonce, err))
        return -1;
    xf_chan_hello_encode(hello, &hs->ours);
    append(hs, hello, sizeof(hello));
    append(hs, nonce, sizeof(nonce));
    return say(hs, 0, XF_HS_CHALLENGE, NULL, err);
}

/* Source, on the sink's answer. */
static int prove(struct xf_rdma_hs *hs, struct xf_err *err)
{
    if (derive(hs, err) || proved(hs, hs->keys.proof_sink, err))
        return -1;
    hs->authentic = true;
    if (xf_rdma_rx_open(hs->c, hs->cfg, err))
        return -1;
    append_ring(hs, true);
    return say(hs, 1, XF_RING_BYTES, hs->keys.proof_source, err);
}

static int refused(struct xf_rdma_hs *hs, struct xf_err *err)
{
    xf_chan_hello_refused(hs->verdict, &hs->ours, &hs->peer, err);
    return xf_wrap(err, "%s", hs->c->who);
}

/* Source, on the sink's welcome: check its verdict, and judge its hello ourselves. */
static int welcomed(struct xf_rdma_hs *hs, struct xf_err *err)
{
    const uint8_t *hello = hs->script + hs->script_len - XF_HS_WELCOME;

    if (proved(hs, hs->keys.proof_sink, err))
        return -1;
    if (xf_chan_hello_decode(&hs->peer, hello, err))
        return xf_wrap(err, "%s", hs->c->who);
    hs->verdict = hs->peer.status;
    if (hs->verdict == XF_HELLO_WELCOME)
        hs->verdict = xf_chan_hello_judge(&hs->ours, &hs->peer, 0);
    if (hs->verdict == XF_HELLO_WELCOME && !xf_chan_id_same(hs->peer.id, hs->ours.id))
        hs->verdict = XF_HELLO_ROLE;
    if (hs->verdict != XF_HELLO_WELCOME)
        return refused(hs, err);
    if (xf_ring_decode(&hs->c->peer, hello + XF_HELLO_BYTES, hs->c->small, err))
        return xf_wrap(err, "%s", hs->c->who);
    hs->stage = HS_DONE;
    return xf_rdma_tx_open(hs->c, hs->cfg, err) || open_seals(hs, err) ? -1 : 0;
}

/* Sink, on the source's challenge. */
static int answer(struct xf_rdma_hs *hs, struct xf_err *err)
{
    uint8_t nonce[XF_NONCE_BYTES];

    if (xf_rdma_nonce(nonce, err))
        return -1;
    append(hs, nonce, sizeof(nonce));
    if (derive(hs, err))
        return -1;
    return say(hs, 0, XF_NONCE_BYTES, hs->keys.proof_sink, err);
}

/* Sink: decide on the answer. From here on the channel counts as taken. */
static void judge(struct xf_rdma_hs *hs)
{
    struct xf_chan *c = hs->c;
    const uint8_t *ring = hs->script + hs->script_len - XF_HS_PROOF;

    if (xf_chan_hello_decode(&hs->peer, hs->script, NULL)) {
        hs->verdict = XF_HELLO_MALFORMED;
    } else {
        hs->verdict = xf_chan_hello_judge(&hs->ours, &hs->peer, *hs->taken);
        hs->ours.id = hs->peer.id;
    }
    if (hs->verdict == XF_HELLO_WELCOME) {
        c->which = hs->peer.id;
        c->small = xf_rdma_small(c->which);
        if (xf_ring_decode(&c->peer, ring, c->small, NULL))
            hs->verdict = XF_HELLO_MALFORMED;
        else
            *hs->taken = xf_chan_hello_take(*hs->taken, hs->peer.id);
    }
    hs->ours.status = (uint16_t)hs->verdict;
}

/* Sink, on the source's proof. */
static int welcome(struct xf_rdma_hs *hs, struct xf_err *err)
{
    uint8_t hello[XF_HELLO_BYTES];
    bool good;

    if (proved(hs, hs->keys.proof_source, err))
        return -1;
    hs->authentic = true;
    judge(hs);
    good = hs->verdict == XF_HELLO_WELCOME;
    if (good && (xf_rdma_rx_open(hs->c, hs->cfg, err) || xf_rdma_tx_open(hs->c, hs->cfg, err) ||
                 open_seals(hs, err)))
        return -1;
    xf_chan_hello_encode(hello, &hs->ours);
    append(hs, hello, sizeof(hello));
    append_ring(hs, good);
    hs->stage = good ? HS_DONE : HS_REFUSED;
    return say(hs, 1, XF_HELLO_BYTES + XF_RING_BYTES, hs->keys.proof_sink, err);
}

static int hear(struct xf_rdma_hs *hs, const struct ibv_wc *wc, struct xf_err *err)
{
    static const uint32_t sizes[2][XF_RDMA_HS_RECVS] = {{XF_HS_ANSWER, XF_HS_WELCOME},
                                                        {XF_HS_CHALLENGE, XF_HS_PROOF}};
    unsigned n = hs->received;

    if (n >= XF_RDMA_HS_RECVS || wc->opcode != IBV_WC_RECV || wc->wc_flags & IBV_WC_WITH_IMM ||
        wc->byte_len != sizes[hs->server][n])
        return xf_fail(err, EPROTO, "%s: the peer's handshake is not ours", hs->c->who);
    append(hs, xf_rdma_hs_in(hs->c, n), wc->byte_len);
    hs->received++;
    if (hs->server)
        return n ? welcome(hs, err) : answer(hs, err);
    return n ? welcomed(hs, err) : prove(hs, err);
}

static int broken(const struct xf_rdma_hs *hs, const struct ibv_wc *wc, struct xf_err *err)
{
    if (wc->status == IBV_WC_RETRY_EXC_ERR || wc->status == IBV_WC_RNR_RETRY_EXC_ERR)
        return xf_fail_link(err, ETIMEDOUT, "%s: the peer does not answer any more", hs->c->who);
    return xf_fail_link(err, ECONNRESET, "%s: the peer closed the connection during the handshake",
                        hs->c->who);
}

/* Handle one completion; 1: there was none. Takes only the handshake's own. */
static int step(struct xf_rdma_hs *hs, struct xf_err *err)
{
    struct xf_chan *c = hs->c;
    struct ibv_wc wc;
    int n = ibv_poll_cq(c->cq, 1, &wc);

    if (n == 0)
        return 1;
    if (n < 0)
        return xf_fail_link(err, EIO, "%s: the completion queue cannot be read", c->who);
    if (wc.status != IBV_WC_SUCCESS)
        return hs->stage == HS_REFUSED ? refused(hs, err) : broken(hs, &wc, err);
    if (wc.opcode & IBV_WC_RECV)
        return hear(hs, &wc, err);
    c->done = (uint32_t)wc.wr_id;
    return hs->stage == HS_REFUSED && c->done == c->posted ? refused(hs, err) : 0;
}

int xf_rdma_hs_step(struct xf_rdma_hs *hs, struct xf_err *err)
{
    struct xf_chan *c = hs->c;

    for (;;) {
        int rc = step(hs, err);

        if (rc < 0)
            return -1;
        if (hs->stage == HS_DONE) {
            gnutls_memset(&hs->keys, 0, sizeof(hs->keys));
            return 1;
        }
        if (rc == 1 && c->armed)
            return 0;
        if (rc == 1 && xf_rdma_arm(c, err)) /* and poll once more */
            return -1;
    }
}

void xf_rdma_hs_cancel(struct xf_rdma_hs *hs)
{
    if (hs->server && hs->authentic && hs->verdict == XF_HELLO_WELCOME &&
        hs->received == XF_RDMA_HS_RECVS)
        *hs->taken = xf_chan_hello_untake(*hs->taken, hs->peer.id);
    gnutls_memset(&hs->keys, 0, sizeof(hs->keys));
    xf_rdma_chan_free(hs->c);
    hs->c = NULL;
}
