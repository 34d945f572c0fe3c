/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a connected socket to an open channel: TLS handshake, then one hello each way
 * inside TLS, then either stay in TLS or leave it. A state machine that never waits, so
 * that the sink can drive many at once and none holds up the others.
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum { HS_TLS, HS_SEND, HS_RECV, HS_JUDGE, HS_REPLY, HS_DONE };

void xf_hs_init(struct xf_hs *hs, struct xf_chan *c, const struct xf_link_cfg *cfg, bool server,
                uint32_t *taken)
{
    memset(hs, 0, sizeof(*hs));
    hs->c = c;
    hs->server = server;
    hs->taken = taken;
    hs->encrypt = cfg->encrypt;
    hs->ours = xf_chan_hello_ours(cfg, c->which);
    hs->stage = HS_TLS;
}

static int again(const struct xf_hs *hs, short *events)
{
    *events = gnutls_record_get_direction(hs->c->tls) ? POLLOUT : POLLIN;
    return 0;
}

static bool would_block(int rc)
{
    return rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED;
}

/* Failed before the key mattered: the hosts allow nothing in common. */
static bool has_nothing_in_common(const struct xf_chan *c, int rc)
{
    gnutls_alert_description_t alert;

    if (rc == GNUTLS_E_NO_CIPHER_SUITES || rc == GNUTLS_E_NO_COMMON_KEY_SHARE ||
        rc == GNUTLS_E_INSUFFICIENT_CREDENTIALS || rc == GNUTLS_E_UNSUPPORTED_VERSION_PACKET)
        return true;
    if (rc != GNUTLS_E_FATAL_ALERT_RECEIVED)
        return false;
    alert = gnutls_alert_get(c->tls);
    return alert == GNUTLS_A_HANDSHAKE_FAILURE || alert == GNUTLS_A_INSUFFICIENT_SECURITY ||
           alert == GNUTLS_A_PROTOCOL_VERSION;
}

static int failed(struct xf_hs *hs, int rc, struct xf_err *err)
{
    struct xf_chan *c = hs->c;

    if (hs->stage != HS_TLS)
        return xf_tls_error(c, rc, err);
    gnutls_alert_send_appropriate(c->tls, rc); /* so that the peer can report why; best effort */
    if (has_nothing_in_common(c, rc))
        return xf_tls_nothing_in_common(c, err);
    if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
        return xf_fail_peer(err, EACCES,
                            "%s: the peer refuses our one-time key (TLS alert '%s'); "
                            "is another move listening there?",
                            c->who, gnutls_alert_get_name(gnutls_alert_get(c->tls)));
    if (rc == GNUTLS_E_PREMATURE_TERMINATION)
        return xf_fail_link(err, ECONNRESET,
                            "%s: the peer closed the connection during the handshake", c->who);
    if (rc == GNUTLS_E_PUSH_ERROR || rc == GNUTLS_E_PULL_ERROR)
        return xf_tls_error(c, rc, err);
    return xf_fail(err, EPROTO, "%s: TLS handshake: %s", c->who, gnutls_strerror(rc));
}

static int do_tls(struct xf_hs *hs, short *events, struct xf_err *err)
{
    int rc;

    do
        rc = gnutls_handshake(hs->c->tls);
    while (rc && !would_block(rc) && !gnutls_error_is_fatal(rc));
    if (would_block(rc))
        return again(hs, events);
    if (rc)
        return failed(hs, rc, err);
    if (gnutls_auth_get_type(hs->c->tls) != GNUTLS_CRD_PSK ||
        gnutls_protocol_get_version(hs->c->tls) != GNUTLS_TLS1_3)
        return xf_fail(err, EPROTO, "%s: TLS agreed on something other than the one-time key",
                       hs->c->who);
    return 1;
}

static int do_send(struct xf_hs *hs, const struct xf_chan_hello *hello, short *events,
                   struct xf_err *err)
{
    ssize_t n;

    xf_chan_hello_encode(hs->bytes, hello);
    n = gnutls_record_send(hs->c->tls, hs->bytes, sizeof(hs->bytes));
    if (would_block((int)n))
        return again(hs, events);
    return n < 0 ? failed(hs, (int)n, err) : 1;
}

static int do_recv(struct xf_hs *hs, short *events, struct xf_err *err)
{
    ssize_t n = gnutls_record_recv(hs->c->tls, hs->bytes, sizeof(hs->bytes));

    if (would_block((int)n))
        return again(hs, events);
    if (n == 0)
        return xf_fail_link(err, ECONNRESET,
                            "%s: the peer closed the connection instead of sending a hello",
                            hs->c->who);
    if (n < 0)
        return failed(hs, (int)n, err);
    /* one record, one hello: anything left in the session would be lost when we leave TLS */
    if (n != XF_HELLO_BYTES || gnutls_record_check_pending(hs->c->tls))
        return xf_fail(err, EPROTO, "%s: the peer's hello is not of %u bytes", hs->c->who,
                       XF_HELLO_BYTES);
    return 1;
}

/* Sink: decide on the answer. From here on the channel counts as taken. */
static void judge(struct xf_hs *hs)
{
    if (xf_chan_hello_decode(&hs->peer, hs->bytes, NULL)) {
        hs->verdict = XF_HELLO_MALFORMED;
    } else {
        hs->verdict = xf_chan_hello_judge(&hs->ours, &hs->peer, *hs->taken);
        hs->ours.id = hs->peer.id;
    }
    hs->ours.status = (uint16_t)hs->verdict;
    if (hs->verdict == XF_HELLO_WELCOME) {
        *hs->taken = xf_chan_hello_take(*hs->taken, hs->peer.id);
        hs->c->which = hs->peer.id;
    }
}

static int refused(struct xf_hs *hs, struct xf_err *err)
{
    xf_chan_hello_refused(hs->verdict, &hs->ours, &hs->peer, err);
    return xf_wrap(err, "%s", hs->c->who);
}

/* Source: check the sink's verdict, and judge its hello ourselves. */
static int do_verdict(struct xf_hs *hs, struct xf_err *err)
{
    if (xf_chan_hello_decode(&hs->peer, hs->bytes, err))
        return xf_wrap(err, "%s", hs->c->who);
    hs->verdict = hs->peer.status;
    if (hs->verdict == XF_HELLO_WELCOME)
        hs->verdict = xf_chan_hello_judge(&hs->ours, &hs->peer, 0);
    if (hs->verdict == XF_HELLO_WELCOME && !xf_chan_id_same(hs->peer.id, hs->ours.id))
        hs->verdict = XF_HELLO_ROLE;
    if (hs->verdict != XF_HELLO_WELCOME)
        return refused(hs, err);
    return 1;
}

int xf_hs_step(struct xf_hs *hs, short *events, struct xf_err *err)
{
    int rc = 1;

    while (rc == 1 && hs->stage != HS_DONE) {
        switch (hs->stage) {
        case HS_TLS:
            rc = do_tls(hs, events, err);
            if (rc == 1)
                hs->stage = hs->server ? HS_RECV : HS_SEND;
            break;
        case HS_SEND:
            rc = do_send(hs, &hs->ours, events, err);
            if (rc == 1)
                hs->stage = HS_RECV;
            break;
        case HS_RECV:
            rc = do_recv(hs, events, err);
            if (rc == 1)
                hs->stage = HS_JUDGE;
            break;
        case HS_JUDGE:
            if (hs->server)
                judge(hs);
            else
                rc = do_verdict(hs, err);
            if (rc == 1)
                hs->stage = hs->server ? HS_REPLY : HS_DONE;
            break;
        case HS_REPLY:
            rc = do_send(hs, &hs->ours, events, err);
            if (rc == 1) {
                if (hs->verdict != XF_HELLO_WELCOME)
                    return refused(hs, err);
                hs->stage = HS_DONE;
            }
            break;
        }
    }
    if (rc == 1) {
        hs->c->mid_record = false;
        hs->c->key = NULL;
        if (!hs->encrypt)
            xf_tls_drop(hs->c);
        else if (xf_tls_open(hs->c, err))
            return -1;
    }
    return rc;
}

void xf_hs_cancel(struct xf_hs *hs)
{
    if (hs->server && hs->stage == HS_REPLY && hs->verdict == XF_HELLO_WELCOME)
        *hs->taken = xf_chan_hello_untake(*hs->taken, hs->peer.id);
    xf_chan_free(hs->c);
    hs->c = NULL;
}
