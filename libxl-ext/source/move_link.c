/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's data connections: which transport, the control channel (CHECK), the bulk channels
 * (SKELETON), and replacing all of them when they are lost in COPY, over TCP if RDMA fails and the
 * move may use either.
 */
#include "libxl-ext/source/move_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libxl-ext/peer/hello.h"
#include "libxl-ext/source/move_status.h"
#include "libxl-ext/source/move_tick.h"
#include "transport/clock.h"
#include "transport/times.h"

#define ROUTE_MS 3000 /* per address */
#define RELINK_PAUSE_MS 250

/* Result of connecting, unless this side ended the attempt. */
enum { CONNECTED, UNREACHED };

static const struct xf_transport_ops *ops_of(bool rdma)
{
    return rdma ? &xf_rdma_ops : &xf_tcp_ops;
}

static struct xf_link_cfg link_cfg(const struct xf_move *m, bool rdma, int timeout_ms)
{
    struct xf_link_cfg cfg =
        xf_hello_link_cfg(&m->check.hello, rdma, timeout_ms, XF_SOURCE_STALL_MS);

    cfg.rdma_poll_us = m->o->rdma_poll_us;
    return cfg;
}

/* Note in the report which transport is used now. */
static void use(struct xf_move *m, bool rdma)
{
    struct xf_report *r = m->report;
    bool encrypted = rdma ? m->check.hello.seal : m->check.hello.encrypt;
    bool crossed = m->copy.status.round || m->copy.zeros;

    m->link.ops = ops_of(rdma);
    snprintf(r->transport, sizeof(r->transport), "%s", m->link.ops->name);
    r->cipher[0] = 0;
    if (encrypted)
        snprintf(r->cipher, sizeof(r->cipher), "%s", rdma ? "AES-256-GCM" : "TLS 1.3");
    /* Data sent before a fallback in COPY counts too. */
    r->encrypted = encrypted && (!crossed || r->encrypted);
}

bool xf_move_uses_rdma(const struct xf_move *m)
{
    return m->link.ops == &xf_rdma_ops;
}

/* Open the control channel to this address. */
static int connect_to(struct xf_move *m, bool rdma, const char *address, struct xf_err *why)
{
    struct xf_link_cfg cfg = link_cfg(m, rdma, XF_CONTROL_MS);
    uint16_t port = rdma ? m->check.reply.rdma_port : m->check.reply.port;
    const char *src = xf_own_for(&m->check.own, address);

    xf_clear(why);
    if ((rdma && xf_rdma_can_reach(address, src, ROUTE_MS, why)) ||
        ops_of(rdma)->connect(&cfg, address, port, src, XF_CONTROL, &m->link.control, why))
        return -1;
    use(m, rdma);
    xf_link_watch(&m->link, (struct xf_tick){xf_move_tick, m});
    if (address != m->net.address)
        snprintf(m->net.address, sizeof(m->net.address), "%s", address);
    return 0;
}

/*
 * Open the control channel to the first address that answers. UNREACHED: none did; why->text has
 * the last one's error and `tried` lists them.
 */
static int connect_control(struct xf_move *m, bool rdma, char *tried, size_t size,
                           struct xf_err *why, struct xf_err *err)
{
    unsigned n = rdma ? m->check.reply.rdma.nr_addresses : m->check.reply.nr_addresses;
    size_t len = 0;

    tried[0] = 0;
    xf_clear(why);
    for (unsigned i = 0; i < n; i++) {
        const char *a = rdma ? m->check.reply.rdma.addresses[i] : m->check.reply.addresses[i];

        if (xf_move_tick(m, err))
            return -1;
        if (!connect_to(m, rdma, a, why))
            return CONNECTED;
        if (len < size)
            len += (size_t)snprintf(tried + len, size - len, "%s%s", len ? ", " : "", a);
    }
    return UNREACHED;
}

/* With --check: report one side's capabilities. */
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

    if (m->check.hello.transport != XF_TRANSPORT_TCP)
        xf_find(found, XF_INFO, "transport", "memory goes over %s to %s", rdma ? "RDMA" : "TCP",
                m->net.address);
    if (m->report->encrypted)
        return;
    xf_find(
        found, XF_WARNING, "encryption",
        rdma && m->o->encrypt == XF_ENCRYPT_USUAL
            ? "the guest's memory will cross the RDMA network unencrypted; --encrypt encrypts it"
            : "the guest's memory will cross the network unencrypted (--no-encrypt)");
}

/* RDMA, if it is wanted and possible; *choice says what remains to be tried. */
static int try_rdma(struct xf_move *m, struct xf_findings *found, enum xf_choice *choice,
                    struct xf_err *err)
{
    const struct xf_rdma_side *there = &m->check.reply.rdma;
    char tried[256], why[sizeof(found->list[0].text)];
    struct xf_err route = {0};

    *choice =
        xf_choose(m->check.hello.transport, &m->check.hello.rdma, there, NULL, why, sizeof(why));
    if (*choice == XF_CHOICE_RDMA) {
        int rc = connect_control(m, true, tried, sizeof(tried), &route, err);

        if (rc <= 0)
            return rc;
        *choice = xf_choose(m->check.hello.transport, &m->check.hello.rdma, there, &route, why,
                            sizeof(why));
    }
    if (why[0] && *choice == XF_CHOICE_NONE)
        xf_refuse_ours(found, XF_STOCK, "rdma", "%s", why);
    else if (why[0])
        xf_find(found, XF_INFO, "rdma", "%s", why);
    return 0;
}

int xf_move_connect(struct xf_move *m, struct xf_findings *found, struct xf_err *err)
{
    enum xf_choice choice;
    char tried[256];
    struct xf_err why = {0};
    int rc;

    if (m->o->check_only && m->check.hello.transport != XF_TRANSPORT_TCP) {
        say_side(found, "here", &m->check.hello.rdma);
        say_side(found, "at the destination", &m->check.reply.rdma);
    }
    if (try_rdma(m, found, &choice, err))
        return -1;
    if (choice == XF_CHOICE_TCP) {
        rc = connect_control(m, false, tried, sizeof(tried), &why, err);
        if (rc < 0)
            return -1;
        if (rc == UNREACHED && why.num == EPROTONOSUPPORT)
            xf_refuse_ours(found, XF_STOCK, "crypto-policy", "%s", why.text);
        else if (rc == UNREACHED)
            xf_refuse_ours(
                found, XF_STOCK, "address",
                "no migration address of the destination can be reached (tried %s, port %u: "
                "%s); open the port, or name another address in /etc/xen/xenferry.xml there",
                tried[0] ? tried : "none", m->check.reply.port, why.text);
    }
    if (m->link.control)
        say_transport(m, found);
    return 0;
}

/* The sink's address and port for the transport in use. */
static struct xf_link_peer link_peer(const struct xf_move *m)
{
    return (struct xf_link_peer){
        .host = m->net.address,
        .port = xf_move_uses_rdma(m) ? m->check.reply.rdma_port : m->check.reply.port,
        .src = xf_own_for(&m->check.own, m->net.address),
    };
}

/* All channels except the control channel, which exists. */
static int connect_bulk(struct xf_move *m, struct xf_err *err)
{
    struct xf_link_cfg cfg = link_cfg(m, xf_move_uses_rdma(m), XF_BULK_MS);
    struct xf_link_peer peer = link_peer(m);

    return xf_link_connect(&m->link, &cfg, &peer, m->pull.possible,
                           (struct xf_tick){xf_move_tick, m}, err);
}

int xf_move_connect_disk(struct xf_move *m, unsigned n, struct xf_chan **out, struct xf_err *err)
{
    struct xf_link_cfg cfg = link_cfg(m, false, XF_BULK_MS);

    return xf_tcp_ops.connect(&cfg, m->net.address, m->check.reply.port,
                              xf_own_for(&m->check.own, m->net.address), XF_DISK(n), out, err);
}

void xf_move_rejoin(const struct xf_move *m, struct xf_rejoin *r)
{
    r->ops = m->link.ops;
    r->cfg = link_cfg(m, xf_move_uses_rdma(m), XF_REJOIN_CONNECT_MS);
    r->peer = link_peer(m);
    r->gone.limit_ms[XF_ANSWER_REFUSED] = XF_GONE_MS;
    r->gone.limit_ms[XF_ANSWER_STRANGER] = XF_GONE_MS;
    r->gone.limit_ms[XF_ANSWER_SILENT] = XF_SILENT_MS;
}

/* All channels, the control channel first, over the transport in use to the address in use.
 * UNREACHED: not at present; last says why, and `tried` where. */
static int connect_all(struct xf_move *m, bool rdma, char *tried, size_t size, struct xf_err *last,
                       struct xf_err *err)
{
    struct xf_link_cfg cfg = link_cfg(m, rdma, XF_CONTROL_MS);
    struct xf_link_peer peer;
    int rc;

    xf_link_close(&m->link);
    if (m->link.ops == ops_of(rdma)) {
        snprintf(tried, size, "%s", m->net.address);
        rc = connect_to(m, rdma, m->net.address, last) ? UNREACHED : CONNECTED;
    } else {
        rc = connect_control(m, rdma, tried, size, last, err);
    }
    if (rc != CONNECTED)
        return rc;
    peer = link_peer(m);
    if (!xf_link_connect(&m->link, &cfg, &peer, m->pull.possible, (struct xf_tick){xf_move_tick, m},
                         last))
        return CONNECTED;
    return xf_move_tick(m, err) ? -1 : UNREACHED;
}

static void say_fallback(struct xf_move *m, const char *what, const struct xf_err *why)
{
    snprintf(m->report->fallback, sizeof(m->report->fallback),
             "%.70s (%.200s), so it went over TCP", what, why->text);
}

/* All channels over TCP instead of RDMA; `why` says how RDMA failed. */
static int fall_back(struct xf_move *m, const char *what, const struct xf_err *why,
                     struct xf_err *err)
{
    char tried[256];
    struct xf_err last = {0};
    int rc = connect_all(m, false, tried, sizeof(tried), &last, err);

    say_fallback(m, what, why);
    if (rc == UNREACHED)
        return xf_fail(err, last.num ? last.num : EHOSTUNREACH,
                       "%s (%.150s), and TCP does not reach the destination (tried %s: %.100s)",
                       what, why->text, tried[0] ? tried : "no address", last.text);
    if (!rc)
        xf_move_note(m, "%s (%s); going on over TCP", what, why->text);
    return rc;
}

int xf_move_connect_bulk(struct xf_move *m, struct xf_err *err)
{
    struct xf_err why;

    if (!connect_bulk(m, err))
        return 0;
    if (!xf_move_uses_rdma(m) || m->check.hello.transport != XF_TRANSPORT_AUTO ||
        err->num == ECANCELED)
        return -1;
    why = *err;
    xf_clear(err);
    return fall_back(m, "the bulk channels could not be connected over RDMA", &why, err);
}

/*
 * Deadline for replacing a link lost now. The period restarts when pages have been confirmed since
 * the last loss, or a link has held for as long; otherwise a peer that accepts every connection and
 * drops it would prolong the move for ever.
 */
static double give_up_at(struct xf_move *m)
{
    double now = xf_now();

    if (m->net.lost_at <= 0 || m->copy.confirmed != m->net.lost_confirmed ||
        now - m->net.linked_at > m->o->reconnect_s)
        m->net.lost_at = now;
    m->net.lost_confirmed = m->copy.confirmed;
    return m->net.lost_at + m->o->reconnect_s;
}

/* The guest may end while no link exists. */
static int look(struct xf_move *m, struct xf_err *err)
{
    return m->copy.vm ? xf_copy_tick(&m->copy, err) : xf_move_tick(m, err);
}

/* Retry until the deadline. As connect_all(); UNREACHED: the time is up. */
static int keep_connecting(struct xf_move *m, bool rdma, double until, char *tried, size_t size,
                           struct xf_err *last, struct xf_err *err)
{
    const struct timespec pause = {.tv_nsec = RELINK_PAUSE_MS * 1000000L};
    int rc;

    for (;;) {
        xf_clear(last);
        rc = look(m, err) ? -1 : connect_all(m, rdma, tried, size, last, err);
        if (rc != UNREACHED || xf_now() >= until)
            return rc;
        nanosleep(&pause, NULL);
    }
}

int xf_move_relink(void *priv, const struct xf_err *why, struct xf_err *err)
{
    struct xf_move *m = priv;
    struct xf_report *r = m->report;
    bool was_rdma = xf_move_uses_rdma(m);
    bool rdma = was_rdma && m->check.hello.transport != XF_TRANSPORT_AUTO;
    double began = xf_now(), until = give_up_at(m);
    char what[80], tried[256] = "";
    struct xf_err last = {0};
    int rc;

    if (m->copy.status.round)
        snprintf(what, sizeof(what), "the %s connection was lost in round %u of COPY",
                 was_rdma ? "RDMA" : "TCP", m->copy.status.round);
    else /* a post-copy move, which has no rounds */
        snprintf(what, sizeof(what), "the %s connection was lost in COPY",
                 was_rdma ? "RDMA" : "TCP");
    if (xf_move_tick(m, err))
        return -1;
    if (until <= began)
        return xf_fail(
            err, why->num,
            "%s (%.200s), and has been lost again and again for %u s without a page arriving", what,
            why->text, m->o->reconnect_s);
    xf_move_note(m, "the link is lost (%s); trying again for up to %.0f s", why->text,
                 until - began);
    rc = keep_connecting(m, rdma, until, tried, sizeof(tried), &last, err);
    r->copy_away_s += xf_now() - began;
    if (rc == UNREACHED)
        return xf_fail(
            err, last.num ? last.num : EHOSTUNREACH,
            "%s (%.150s), and could not be re-established within %u s (tried %s: %.100s)", what,
            why->text, m->o->reconnect_s, tried[0] ? tried : "no address", last.text);
    if (rc)
        return -1;
    m->net.linked_at = xf_now();
    r->copy_reconnects++;
    if (was_rdma && !rdma) {
        say_fallback(m, what, why);
        xf_move_note(m, "%s (%s); going on over TCP", what, why->text);
    } else {
        xf_move_note(m, "the link is back after %.1f s", m->net.linked_at - began);
    }
    return 0;
}
