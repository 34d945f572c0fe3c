/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's data connections: which transport, the control channel (CHECK), the bulk
 * channels (SKELETON), and all of them anew over TCP when RDMA fails or is lost and the move
 * may use either.
 */
#include "libxl-ext/move.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libxl-ext/hello.h"
#include "transport/clock.h"

#define CONTROL_MS 5000 /* each address */
#define BULK_MS 15000
#define ROUTE_MS 3000 /* each address */
/* COPY, RDMA lost: what took it away may have taken the network with it for a while. The
 * destination waits 60 s (CHANNELS_MS, receive_sink.c). */
#define RELINK_MS 30000
#define RELINK_PAUSE_MS 250
/* PULL: nobody listens there any more. More than a sink takes to listen again, or to get its port
 * back from somebody, and no less than it waits for us at its end (DONE_MS, receive_sink.c). */
#define GONE_MS 60000
/* PULL: who listens there says nothing. It may be the destination, which is stopped (a debugger, a
 * machine that swaps, a suspended virtual machine), so it is waited for longer than anybody would
 * believe. `xl migrate-recover` goes on if it does come back after that. */
#define SILENT_MS 600000

static const struct xf_transport_ops *ops_of(bool rdma)
{
    return rdma ? &xf_rdma_ops : &xf_tcp_ops;
}

static struct xf_link_cfg link_cfg(const struct xf_move *m, bool rdma, int timeout_ms)
{
    struct xf_link_cfg cfg = xf_hello_link_cfg(&m->hello, rdma, timeout_ms, XF_MOVE_STALL_MS);

    cfg.rdma_poll_us = m->o->rdma_poll_us;
    return cfg;
}

/* What is being used now, for the report. */
static void use(struct xf_move *m, bool rdma)
{
    struct xf_report *r = m->report;
    bool encrypted = rdma ? m->hello.seal : m->hello.encrypt;
    bool crossed = m->copy.status.round || m->copy.zeros;

    m->link.ops = ops_of(rdma);
    snprintf(r->transport, sizeof(r->transport), "%s", m->link.ops->name);
    r->cipher[0] = 0;
    if (encrypted)
        snprintf(r->cipher, sizeof(r->cipher), "%s", rdma ? "AES-256-GCM" : "TLS 1.3");
    /* What crossed the network before a fallback in COPY counts, too. */
    r->encrypted = encrypted && (!crossed || r->encrypted);
}

bool xf_move_uses_rdma(const struct xf_move *m)
{
    return m->link.ops == &xf_rdma_ops;
}

/*
 * Open the control channel to the first address that answers. XF_AGAIN: none did; why->text
 * says what became of the last one and `tried` lists them.
 */
static int connect_control(struct xf_move *m, bool rdma, char *tried, size_t size,
                           struct xf_err *why, struct xf_err *err)
{
    struct xf_link_cfg cfg = link_cfg(m, rdma, CONTROL_MS);
    unsigned n = rdma ? m->reply.rdma.nr_addresses : m->reply.nr_addresses;
    uint16_t port = rdma ? m->reply.rdma_port : m->reply.port;
    size_t len = 0;

    tried[0] = 0;
    xf_clear(why);
    for (unsigned i = 0; i < n; i++) {
        const char *a = rdma ? m->reply.rdma.addresses[i] : m->reply.addresses[i];
        const char *src = xf_own_for(&m->own, a);

        if (xf_move_tick(m, err))
            return -1;
        xf_clear(why);
        if ((!rdma || !xf_rdma_can_reach(a, src, ROUTE_MS, why)) &&
            !ops_of(rdma)->connect(&cfg, a, port, src, 0, &m->link.control, why)) {
            use(m, rdma);
            xf_link_watch(&m->link, xf_move_tick, m);
            snprintf(m->peer, sizeof(m->peer), "%s", a);
            return 0;
        }
        if (len < size)
            len += (size_t)snprintf(tried + len, size - len, "%s%s", len ? ", " : "", a);
    }
    return XF_AGAIN;
}

/* With --check: what one side can do. */
static void say_side(struct xf_findings *found, const char *where, const struct xf_rdma_side *side)
{
    char list[200] = "";
    size_t len = 0;

    for (unsigned i = 0; i < side->nr_addresses && len < sizeof(list); i++)
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
                                side->addresses[i]);
    xf_find(found, XF_INFO, "rdma", "RDMA %s: %s%s%s", where, xf_rdma_state_word(side->state),
            side->state == XF_RDMA_READY ? " at " : ": ",
            side->state == XF_RDMA_READY ? list : side->why);
}

static void say_transport(struct xf_move *m, struct xf_findings *found)
{
    bool rdma = xf_move_uses_rdma(m);

    if (m->hello.transport != XF_TRANSPORT_TCP)
        xf_find(found, XF_INFO, "transport", "memory goes over %s to %s", rdma ? "RDMA" : "TCP",
                m->peer);
    if (m->report->encrypted)
        return;
    xf_find(found, XF_WARNING, "encryption",
            rdma && m->o->encrypt == XF_ENCRYPT_USUAL
                ? "the guest's memory will cross the RDMA network unencrypted; --encrypt seals it"
                : "the guest's memory will cross the network unencrypted (--no-encrypt)");
}

/* RDMA, if it is wanted and possible; *choice says what is left to do. */
static int try_rdma(struct xf_move *m, struct xf_findings *found, enum xf_choice *choice,
                    struct xf_err *err)
{
    const struct xf_rdma_side *there = &m->reply.rdma;
    char tried[256], why[sizeof(found->list[0].text)];
    struct xf_err route = {0};

    *choice = xf_choose(m->hello.transport, &m->hello.rdma, there, NULL, why, sizeof(why));
    if (*choice == XF_CHOICE_RDMA) {
        int rc = connect_control(m, true, tried, sizeof(tried), &route, err);

        if (rc <= 0)
            return rc;
        *choice = xf_choose(m->hello.transport, &m->hello.rdma, there, &route, why, sizeof(why));
    }
    if (why[0])
        xf_find(found, *choice == XF_CHOICE_NONE ? XF_REFUSAL : XF_INFO, "rdma", "%s", why);
    return 0;
}

int xf_move_connect(struct xf_move *m, struct xf_findings *found, struct xf_err *err)
{
    enum xf_choice choice;
    char tried[256];
    struct xf_err why = {0};
    int rc;

    if (m->o->check_only && m->hello.transport != XF_TRANSPORT_TCP) {
        say_side(found, "here", &m->hello.rdma);
        say_side(found, "at the destination", &m->reply.rdma);
    }
    if (try_rdma(m, found, &choice, err))
        return -1;
    if (choice == XF_CHOICE_TCP) {
        rc = connect_control(m, false, tried, sizeof(tried), &why, err);
        if (rc < 0)
            return -1;
        if (rc == XF_AGAIN && why.num == EPROTONOSUPPORT)
            xf_find(found, XF_REFUSAL, "crypto-policy", "%s", why.text);
        else if (rc == XF_AGAIN)
            xf_find(found, XF_REFUSAL, "address",
                    "no migration address of the destination can be reached (tried %s, port %u: "
                    "%s); open the port, or name another address in /etc/xen/xenferry.xml there",
                    tried[0] ? tried : "none", m->reply.port, why.text);
    }
    if (m->link.control)
        say_transport(m, found);
    return 0;
}

/* Where the sink listens for what is in use. */
static struct xf_link_peer link_peer(const struct xf_move *m)
{
    return (struct xf_link_peer){
        .host = m->peer,
        .port = xf_move_uses_rdma(m) ? m->reply.rdma_port : m->reply.port,
        .src = xf_own_for(&m->own, m->peer),
    };
}

/* All channels but the control channel, which is there. */
static int connect_bulk(struct xf_move *m, struct xf_err *err)
{
    struct xf_link_cfg cfg = link_cfg(m, xf_move_uses_rdma(m), BULK_MS);
    struct xf_link_peer peer = link_peer(m);

    return xf_link_connect(&m->link, &cfg, &peer, m->pull, xf_move_tick, m, err);
}

void xf_move_rejoin(const struct xf_move *m, struct xf_rejoin *r)
{
    r->ops = m->link.ops;
    r->cfg = link_cfg(m, xf_move_uses_rdma(m), BULK_MS);
    r->peer = link_peer(m);
    r->gone.limit_ms[XF_ANSWER_REFUSED] = GONE_MS;
    r->gone.limit_ms[XF_ANSWER_STRANGER] = GONE_MS;
    r->gone.limit_ms[XF_ANSWER_SILENT] = SILENT_MS;
}

/* All channels over TCP instead of RDMA, of which `why` says what became. Addresses are tried
 * again until patience_ms are over. */
static int fall_back(struct xf_move *m, const char *what, const struct xf_err *why, int patience_ms,
                     struct xf_err *err)
{
    const struct timespec pause = {.tv_nsec = RELINK_PAUSE_MS * 1000000L};
    int64_t until = xf_now_ms() + patience_ms;
    char tried[256];
    struct xf_err last = {0};
    int rc;

    xf_link_close(&m->link);
    snprintf(m->report->fallback, sizeof(m->report->fallback), "%s (%.200s), so it went over TCP",
             what, why->text);
    while ((rc = connect_control(m, false, tried, sizeof(tried), &last, err)) == XF_AGAIN &&
           xf_now_ms() < until)
        nanosleep(&pause, NULL);
    if (rc == XF_AGAIN)
        rc = xf_fail(err, last.num ? last.num : EHOSTUNREACH,
                     "%s (%.150s), and TCP does not reach the destination (tried %s: %.100s)", what,
                     why->text, tried[0] ? tried : "no address", last.text);
    if (rc || connect_bulk(m, err))
        return -1;
    xf_move_note(m, "%s (%s); going on over TCP", what, why->text);
    return 0;
}

int xf_move_connect_bulk(struct xf_move *m, struct xf_err *err)
{
    struct xf_err why;

    if (!connect_bulk(m, err))
        return 0;
    if (!xf_move_uses_rdma(m) || m->hello.transport != XF_TRANSPORT_AUTO || err->num == ECANCELED)
        return -1;
    why = *err;
    xf_clear(err);
    return fall_back(m, "the bulk channels could not be connected over RDMA", &why, 0, err);
}

int xf_move_relink(void *priv, const struct xf_err *why, struct xf_err *err)
{
    struct xf_move *m = priv;
    char what[80];

    if (xf_move_tick(m, err))
        return -1;
    if (!xf_move_uses_rdma(m))
        return xf_fail(err, why->num, "%s", why->text);
    if (m->copy.status.round)
        snprintf(what, sizeof(what), "the RDMA connection was lost in round %u of COPY",
                 m->copy.status.round);
    else /* a post-copy move, which has no rounds */
        snprintf(what, sizeof(what), "the RDMA connection was lost in COPY");
    return fall_back(m, what, why, RELINK_MS, err);
}
