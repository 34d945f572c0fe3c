/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink process in CHECK: which move arrives, whether it is allowed, and where the source
 * connects. See receive_parts.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/peer/check.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/host/own_address.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/drain_record.h"
#include "libxl-ext/sink/check_disks.h"
#include "libxl-ext/sink/receive_parts.h"
#include "libxl-ext/sink/refuse.h"
#include "libxl-ext/xen/cpu_policy.h"
#include "libxl-ext/xen/xen_open.h"
#include "pages/pack.h"
#include "transport/times.h"

/* List addresses for data connections, the best first. */
static void list_addresses(const struct sink *s, struct xf_reply *r)
{
    const char *ssh = getenv("SSH_CONNECTION"); /* "client port server port" */
    const char *socat = getenv("SOCAT_SOCKADDR");
    char local[XF_ADDRESSES_MAX][XF_ADDR_LEN];
    char server[XF_ADDR_LEN] = "";
    int n;

    for (unsigned i = 0; i < s->o->nr_addresses && r->nr_addresses < XF_ADDRESSES_MAX; i++)
        snprintf(r->addresses[r->nr_addresses++], XF_ADDR_LEN, "%s", s->o->addresses[i]);
    if (r->nr_addresses)
        return; /* configured: only these */
    /* The address that the source already used to reach us is the most likely to work. */
    if (ssh && sscanf(ssh, "%*s %*s %63s", server) == 1)
        snprintf(r->addresses[r->nr_addresses++], XF_ADDR_LEN, "%s", server);
    else if (socat && sscanf(socat, "%63s", server) == 1 && !strchr(server, '['))
        snprintf(r->addresses[r->nr_addresses++], XF_ADDR_LEN, "%s", server);
    n = xf_local_addresses(local, XF_ADDRESSES_MAX);
    for (int i = 0; i < n && r->nr_addresses < XF_ADDRESSES_MAX; i++)
        if (strcmp(local[i], server))
            memcpy(r->addresses[r->nr_addresses++], local[i], XF_ADDR_LEN);
}

/* Listen over RDMA, if the source may use it and both ends can. */
static int listen_rdma(struct sink *s, uint16_t port, struct xf_reply *reply, struct xf_err *err)
{
    struct xf_link_cfg cfg = xf_sink_link_cfg(s, true);
    char why[300];

    if (xf_choose(s->check.hello.transport, &s->check.hello.rdma, &reply->rdma, NULL, why,
                  sizeof(why)) != XF_CHOICE_RDMA)
        return 0;
    return xf_gather_listen(&s->gather, &xf_rdma_ops, &cfg, NULL, port, &reply->rdma_port, err);
}

/* Listen over every transport that the source may use; all share one port number. */
static int listen_at(struct sink *s, uint16_t port, struct xf_reply *reply, struct xf_err *err)
{
    struct xf_link_cfg cfg = xf_sink_link_cfg(s, false);

    if (s->check.hello.transport != XF_TRANSPORT_TCP && listen_rdma(s, port, reply, err))
        return -1;
    if (s->check.hello.transport == XF_TRANSPORT_RDMA && !s->check.hello.nr_disks)
        return 0;
    return xf_gather_listen(&s->gather, &xf_tcp_ops, &cfg, xf_sink_listen_address(s), port,
                            &reply->port, err);
}

static int all_taken(uint16_t first, uint16_t last, const struct xf_err *why, struct xf_err *err)
{
    if (first == last)
        return xf_fail(err, EADDRINUSE,
                       "its port %u is in use (%.150s); wait until that move has ended, or give a "
                       "range as <port> in /etc/xen/xenferry.xml there",
                       first, why->text);
    return xf_fail(err, EADDRINUSE,
                   "all its ports from %u to %u are in use (the last one: %.100s); wait until one "
                   "of the moves has ended, or widen the range, <port> in /etc/xen/xenferry.xml "
                   "there",
                   first, last, why->text);
}

/* Listen on the first free port of the configured range. */
static int listen_all(struct sink *s, struct xf_reply *reply, struct xf_err *err)
{
    uint16_t first = s->o->port, last = s->o->port_last ? s->o->port_last : first;
    struct xf_link_cfg cfg = xf_sink_link_cfg(s, true);
    char only[XF_OWN_MAX][XF_ADDR_LEN];
    struct xf_err why = {0};

    for (unsigned i = 0; i < s->o->nr_addresses; i++)
        snprintf(only[i], XF_ADDR_LEN, "%s", s->o->addresses[i]);
    if (s->check.hello.transport != XF_TRANSPORT_TCP)
        xf_rdma_look(&cfg, only, s->o->nr_addresses, &reply->rdma);
    if (s->check.hello.transport != XF_TRANSPORT_RDMA)
        list_addresses(s, reply);
    if (!first)
        return listen_at(s, 0, reply, err);
    for (unsigned port = first; port <= last; port++) {
        xf_clear(&why);
        s->check.port_lock = xf_port_lock((uint16_t)port, &why);
        if (s->check.port_lock >= 0 && !listen_at(s, (uint16_t)port, reply, &why))
            return 0;
        xf_gather_unlisten(&s->gather, NULL);
        if (s->check.port_lock >= 0)
            close(s->check.port_lock);
        s->check.port_lock = -1;
        if (why.num != EADDRINUSE && why.num != EBUSY)
            return xf_fail(err, why.num, "%s", why.text);
    }
    return all_taken(first, last, &why, err);
}

/* One move at a time under this name, and with this uuid. */
static int lock_out_others(struct sink *s, struct xf_findings *found, struct xf_err *err)
{
    char host[200];

    xf_sink_name_source(host, sizeof(host));
    return xf_incoming_lock(&s->check.lock, s->check.hello.domain, &s->shared->copy.uuid, host,
                            s->check.hello.check_only, found, err);
}

/* Answer where the domain is, or what the processors offer. Not a move, so nothing follows. */
static int answer_question(struct sink *s, struct xf_reply *reply, struct xf_err *err)
{
    struct xf_findings found = {0};

    if (s->check.hello.cpu_only) {
        reply->has_cpu = true;
        return xf_cpu_read(s->xch, &reply->cpu, err);
    }
    if (xf_check_find(s->ctx, &s->check.hello, s->check.same_host, &found, err))
        return -1;
    memcpy(reply->findings, found.list, sizeof(found.list));
    reply->nr_findings = found.n;
    return 0;
}

/* Agree on the protocol version for the channels. */
static void agree(struct sink *s, struct xf_findings *found)
{
    const struct xf_build here = xf_build_here();
    struct xf_err why = {0};

    if (xf_agree(&here, &s->check.hello.build, &s->check.hello.agreed, &why))
        xf_find(found, XF_REFUSAL, "version", "%s", why.text);
}

/* A host that is being drained takes no newcomers; a guest that is here already is none. */
static void look_for_drain(const struct sink *s, struct xf_findings *found)
{
    char why[XF_ERR_TEXT];

    if (!s->check.same_host && xf_drain_refuses(xf_run_dir(), why, sizeof(why)))
        xf_find(found, XF_REFUSAL, "draining", "%s", why);
}

static int look(struct sink *s, struct xf_reply *reply, bool *refused, struct xf_err *err)
{
    struct xf_findings found = {0};

    reply->hvm = reply->cold = reply->pci = reply->cpu_words = reply->disks = reply->large = true;
    reply->paging = xf_has_paging(s->xch);
    reply->codecs = xf_pack_codecs();
    reply->probe = s->check.hello.check_only;
    reply->free_kib = XF_KIB_UNKNOWN;
    if (s->check.hello.check_only && libxl_get_free_memory(s->ctx, &reply->free_kib))
        reply->free_kib = XF_KIB_UNKNOWN;
    reply->unpacks_in_pull = true;
    agree(s, &found);
    look_for_drain(s, &found);
    xf_check_disks(&s->o->stores, &s->check.hello, reply, &found);
    if (lock_out_others(s, &found, err) ||
        xf_check_peer(s->ctx, s->xch, &s->log, &s->check.hello, s->check.same_host, &found, err) ||
        (!xf_first_refusal(&found) && xf_sink_take_slot(s, reply, &found, err)))
        return -1;
    memcpy(reply->findings, found.list, sizeof(found.list));
    reply->nr_findings = found.n;
    *refused = xf_first_refusal(&found) != NULL;
    if (!*refused && listen_all(s, reply, err))
        return -1;
    if (!s->gather.nr)
        *refused = true; /* the source sees in the reply why RDMA is not possible */
    s->pull.possible = s->check.hello.pull && reply->paging;
    s->gather.urgent = s->pull.possible;
    s->check.port = reply->port;
    s->check.rdma_port = reply->rdma_port;
    return 0;
}

static int open_xen(struct sink *s, struct xf_err *err)
{
    if (libxl_ctx_alloc(&s->ctx, LIBXL_VERSION, 0, &s->log.vtable)) {
        s->ctx = NULL;
        return xf_fail(err, EIO, "cannot talk to Xen; is it a dom0, and is the receiver root?");
    }
    return xf_xen_open(&s->xch, &s->log, err);
}

static int check(struct sink *s, struct xf_reply *reply, bool *refused, struct xf_err *err)
{
    if (open_xen(s, err))
        return -1;
    xf_boot_id(reply->boot_id);
    s->check.same_host = reply->boot_id[0] && !strcmp(reply->boot_id, s->check.hello.boot_id);
    *refused = s->check.hello.find_only;
    if (s->check.hello.find_only)
        return answer_question(s, reply, err);
    /* The domain of a mere question does not belong to this receiver, so nobody cleans it up. */
    if (xf_incoming_init(&s->shared->copy, s->check.hello.domain, s->check.hello.uuid, err))
        return -1;
    if (look(s, reply, refused, err))
        return -1;
    if (!*refused)
        xf_sink_begin_telling(s);
    return 0;
}

int xf_sink_check(struct sink *s, bool *refused, struct xf_err *err)
{
    struct xf_reply *reply = calloc(1, sizeof(*reply));
    int rc = -1;

    if (!reply)
        xf_fail(err, ENOMEM, "out of memory");
    else if (!xf_hello_receive(&s->pipe, &s->check.hello, XF_HELLO_MS, err))
        rc = 0;
    s->shared->heard = true;
    if (!rc)
        rc = check(s, reply, refused, err);
    if (!rc)
        rc = xf_reply_send(&s->pipe, reply, err);
    else
        xf_refuse(&s->pipe, true, err);
    xf_guard_tell(s->guard_fd, s->check.lock.fd);
    free(reply);
    return rc;
}
