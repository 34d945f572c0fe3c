/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sink process: CHECK, SKELETON, COPY and SWITCH at the destination, read top to
 * bottom in run_sink(). Signals: SIGTERM, SIGINT, SIGHUP and the guard's death set a flag
 * that every wait looks at; before GO it ends the move, after GO it is ignored.
 */
#include "libxl-ext/receive_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libxl_utils.h>
#include <xenstore.h>

#include "libxl-ext/announce.h"
#include "libxl-ext/bootstrap.h"
#include "libxl-ext/check.h"
#include "libxl-ext/hello.h"
#include "libxl-ext/hold_vif.h"
#include "libxl-ext/own_address.h"
#include "libxl-ext/static_state.h"
#include "libxl-ext/status.h"
#include "libxl-ext/xen_pager.h"
#include "libxl-ext/xen_sink.h"
#include "postcopy/rejoin.h"
#include "precopy/absent.h"
#include "precopy/pack.h"
#include "precopy/sink.h"
#include "transport/clock.h"
#include "transport/gather.h"

#define HELLO_MS 30000
#define CONNECT_MS 15000  /* one channel: connect and handshake */
#define CHANNELS_MS 60000 /* until the source has connected them all */
#define STALL_MS 20000
/* All pages are here, or the guest has ended, and the source is gone: how long it may come back
 * to hear of it. */
#define DONE_MS 60000
/* The largest ring of a channel that a source is given because it asked for it. */
#define BUFFER_MIB_TRUSTED 64u
#define BUILD_MS 120000
#define BUILD_SLICE_MS 50
#define TELL_S 0.1 /* how often migrate-status hears something new */

/* The one global of this process: a signal handler can reach nothing else. */
static volatile sig_atomic_t stop_asked;

static void ask_stop(int sig)
{
    (void)sig;
    stop_asked = 1;
}

struct sink {
    const struct xf_receive_opts *o;
    struct xf_builder_fds *fds;
    struct xf_sink_shared *shared;
    pid_t guard;
    struct xf_pipe pipe;
    struct xf_toollog log;
    libxl_ctx *ctx;
    xc_interface *xch;
    struct xf_hello hello;
    bool same_host;
    struct xf_gather gather;
    struct xf_link link;
    struct xf_builder builder;
    void *stream; /* what it builds from */
    bool devices; /* it has built all */
    int64_t build_until;
    struct xf_xen_sink xen;
    struct xf_skeleton skeleton;
    struct xf_announce announce;
    struct xf_hold_vif hold_vif;
    uint64_t go_ns; /* when GO came, CLOCK_MONOTONIC */
    bool network_let;
    struct xf_err vif;       /* why the network was not let go */
    bool pull;               /* pages may come after GO: asked for, and possible as it seems */
    struct xf_err no_paging; /* ... and here is why not, as it turned out */
    struct xf_xen_pager paging;
    struct xf_absent absent;
    struct xf_pager *pager;
    struct xf_rejoin rejoin; /* and how a lost link is made again then */
    uint16_t port, rdma_port;
    uint64_t rings[XF_SPECIALS_MAX];
    bool go;
    enum xf_phase phase;             /* for migrate-status, and all below */
    struct xf_status_server *status; /* NULL: nobody can ask */
    struct xf_status_pace pace;
    double began, told;
};

/* --- what others may know (status.h) --- */

/* The source's address, if the command that brought us here says it. */
static void name_source(char *out, size_t size)
{
    const char *ssh = getenv("SSH_CONNECTION"); /* client port server port */
    const char *socat = getenv("SOCAT_PEERADDR");
    const char *name = ssh ? ssh : socat ? socat : "";

    snprintf(out, size, "%.*s", (int)strcspn(name, " "), name);
}

static struct xf_status status_of(struct sink *s)
{
    struct xf_status status = {
        .pid = getpid(),
        .domid = s->xen.domid ? s->xen.domid : XF_NO_DOMID,
        .phase = s->phase,
        .pages_sent = XF_NO_COUNT,
        .left_out = s->absent.at_go,
        .rate_bps = -1,
        .eta_s = -1,
        .elapsed_s = xf_now() - s->began,
        .no_switch = "only the source can switch a move to post-copy",
    };
    struct xf_pulled pulled;

    snprintf(status.domain, sizeof(status.domain), "%s", s->hello.domain);
    name_source(status.host, sizeof(status.host));
    if (s->phase != XF_PHASE_PULL || !s->pager)
        return status;
    xf_pager_status(s->pager, &pulled);
    status.faults = pulled.faults;
    status.requested = pulled.requested;
    status.fault_median_s = (double)pulled.median_ns / 1e9;
    status.fault_p99_s = (double)pulled.p99_ns / 1e9;
    xf_status_pace(&s->pace, pulled.missing, xf_now(), &status);
    return status;
}

static void tell(struct sink *s, enum xf_phase phase)
{
    struct xf_status status;

    if (!s->status || (phase == s->phase && xf_now() - s->told < TELL_S))
        return;
    s->phase = phase;
    s->told = xf_now();
    status = status_of(s);
    xf_status_set(s->status, &status);
}

/* A move that nobody can ask goes on all the same. */
static void begin_telling(struct sink *s)
{
    struct xf_status status;

    s->began = xf_now();
    status = status_of(s);
    if (!s->hello.check_only)
        xf_status_open(&s->status, (uint32_t)getpid(), &status, NULL);
}

static int tick(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    tell(s, s->phase);
    if (s->go)
        return 0;
    if (stop_asked || getppid() != s->guard)
        return xf_fail(err, ECANCELED, "the receiver was told to stop");
    if (xf_pipe_dead(&s->pipe))
        return xf_fail(err, ECONNRESET, "the source has gone away");
    return 0;
}

/* --- CHECK --- */

/* Where the data connections may come in, the best first. */
static void list_addresses(const struct sink *s, struct xf_reply *r)
{
    const char *ssh = getenv("SSH_CONNECTION"); /* client port server port */
    const char *socat = getenv("SOCAT_SOCKADDR");
    char local[XF_ADDRESSES_MAX][XF_ADDR_LEN];
    char server[XF_ADDR_LEN] = "";
    int n;

    for (unsigned i = 0; i < s->o->nr_addresses && r->nr_addresses < XF_ADDRESSES_MAX; i++)
        snprintf(r->addresses[r->nr_addresses++], XF_ADDR_LEN, "%s", s->o->addresses[i]);
    if (r->nr_addresses)
        return; /* configured: those and no others */
    /* The address that the source used to get here is the one most likely to work. */
    if (ssh && sscanf(ssh, "%*s %*s %63s", server) == 1)
        snprintf(r->addresses[r->nr_addresses++], XF_ADDR_LEN, "%s", server);
    else if (socat && sscanf(socat, "%63s", server) == 1 && !strchr(server, '['))
        snprintf(r->addresses[r->nr_addresses++], XF_ADDR_LEN, "%s", server);
    n = xf_local_addresses(local, XF_ADDRESSES_MAX);
    for (int i = 0; i < n && r->nr_addresses < XF_ADDRESSES_MAX; i++)
        if (strcmp(local[i], server))
            memcpy(r->addresses[r->nr_addresses++], local[i], XF_ADDR_LEN);
}

/* Every page is in, or never was out: the guest's network comes back. Only once; if that fails
 * (s->vif), whoever calls next tries again. */
static void let_network(struct sink *s)
{
    struct xf_err why = {0};

    if (s->network_let)
        return;
    xf_clear(&s->vif);
    if (xf_hold_vif_end(&s->hold_vif, &why)) {
        xf_fail(&s->vif, why.num, "the guest runs here, but its network was not let go on: %s",
                why.text);
        return;
    }
    s->network_let = true;
    if (s->pager && s->hold_vif.nr)
        xf_pager_network(s->pager, xf_now_ns() - s->go_ns);
    if (!s->xen.leave_paused)
        xf_announce_begin(&s->announce, s->xen.domid);
}

/* In PULL: the guest depends on us, so nobody is asked whether to go on. The network need not
 * wait until the source knows that nothing is missing, and the source hears how long it did. */
static int pull_tick(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    (void)err;
    tell(s, s->phase);
    if (s->absent.at_go && !s->absent.nr)
        let_network(s);
    return 0;
}

/* One configured address is also the only one listened on. */
static const char *listen_address(const struct sink *s)
{
    return s->o->nr_addresses == 1 ? s->o->addresses[0] : NULL;
}

static struct xf_link_cfg link_cfg(const struct sink *s, bool rdma)
{
    struct xf_link_cfg cfg = xf_hello_link_cfg(&s->hello, rdma, CONNECT_MS, STALL_MS);
    uint32_t mib = s->hello.rdma_buffer_mib;

    if (!rdma)
        return cfg;
    /* How much memory a move takes here is not for the source alone to say. */
    if (mib > BUFFER_MIB_TRUSTED)
        mib = BUFFER_MIB_TRUSTED;
    cfg.rdma_buffer = (s->o->rdma_buffer_mib ? s->o->rdma_buffer_mib : mib) << 20;
    cfg.rdma_poll_us = s->o->rdma_poll_us;
    return cfg;
}

/* RDMA, if the source may use it and both ends can; and where. */
static int listen_rdma(struct sink *s, struct xf_reply *reply, struct xf_err *err)
{
    struct xf_link_cfg cfg = link_cfg(s, true);
    char only[XF_OWN_MAX][XF_ADDR_LEN];
    char why[300];

    for (unsigned i = 0; i < s->o->nr_addresses; i++)
        snprintf(only[i], XF_ADDR_LEN, "%s", s->o->addresses[i]);
    xf_rdma_look(&cfg, only, s->o->nr_addresses, &reply->rdma);
    if (xf_choose(s->hello.transport, &s->hello.rdma, &reply->rdma, NULL, why, sizeof(why)) !=
        XF_CHOICE_RDMA)
        return 0;
    return xf_gather_listen(&s->gather, &xf_rdma_ops, &cfg, NULL, s->o->port, &reply->rdma_port,
                            err);
}

static int listen_all(struct sink *s, struct xf_reply *reply, struct xf_err *err)
{
    struct xf_link_cfg cfg = link_cfg(s, false);

    if (s->hello.transport != XF_TRANSPORT_TCP && listen_rdma(s, reply, err))
        return -1;
    if (s->hello.transport == XF_TRANSPORT_RDMA)
        return 0;
    list_addresses(s, reply);
    return xf_gather_listen(&s->gather, &xf_tcp_ops, &cfg, listen_address(s), s->o->port,
                            &reply->port, err);
}

/* Say hello, look, listen, reply. *refused: the source has been told and will go away. */
static int phase_check(struct sink *s, bool *refused, struct xf_err *err)
{
    struct xf_findings found = {0};
    struct xf_reply *reply = calloc(1, sizeof(*reply));
    int rc = -1;

    if (!reply)
        return xf_fail(err, ENOMEM, "out of memory");
    if (xf_hello_receive(&s->pipe, &s->hello, HELLO_MS, err))
        goto out;
    if (!s->hello.find_only) { /* else it is no domain of this receiver's: nobody cleans it up */
        snprintf(s->shared->domain, sizeof(s->shared->domain), "%s", s->hello.domain);
        begin_telling(s);
    }
    xf_boot_id(reply->boot_id);
    s->same_host = reply->boot_id[0] && !strcmp(reply->boot_id, s->hello.boot_id);
    if (s->hello.find_only) {
        *refused = true; /* no move, and nothing else to wait for */
        if (xf_check_find(s->ctx, s->hello.uuid, s->same_host, &found, err))
            goto out;
        memcpy(reply->findings, found.list, sizeof(found.list));
        reply->nr_findings = found.n;
        rc = xf_reply_send(&s->pipe, reply, err);
        goto out;
    }
    reply->paging = xf_has_paging(s->xch);
    reply->codecs = xf_pack_codecs();
    reply->unpacks_in_pull = true;
    if (xf_check_peer(s->ctx, s->xch, &s->log, &s->hello, s->same_host, &found, err))
        goto out;
    memcpy(reply->findings, found.list, sizeof(found.list));
    reply->nr_findings = found.n;
    *refused = xf_first_refusal(&found) != NULL;
    if (!*refused && listen_all(s, reply, err))
        goto out;
    if (!s->gather.nr)
        *refused = true; /* the source sees in the reply why RDMA is not possible */
    s->pull = s->hello.pull && reply->paging;
    s->gather.urgent = s->pull;
    s->port = reply->port;
    s->rdma_port = reply->rdma_port;
    rc = xf_reply_send(&s->pipe, reply, err);
out:
    if (rc && s->hello.domain[0]) {
        /* The source would see only the end of the pipe: give it the reason as a refusal. */
        memset(reply, 0, sizeof(*reply));
        found.n = 0;
        xf_find(&found, XF_REFUSAL, "receiver", "the receiver cannot serve: %s", err->text);
        reply->nr_findings = 1;
        reply->findings[0] = found.list[0];
        xf_reply_send(&s->pipe, reply, NULL);
    }
    free(reply);
    return rc;
}

/* For the links that PULL may need after this one; at once, so that nobody else gets the port. */
static int listen_for_pull(struct sink *s, struct xf_err *err)
{
    bool rdma = s->link.ops == &xf_rdma_ops;
    struct xf_rejoin *r = &s->rejoin;

    if (r->listener)
        r->ops->unlisten(r->listener);
    *r = (struct xf_rejoin){
        .ops = s->link.ops,
        .cfg = link_cfg(s, rdma),
        .addr = rdma ? NULL : listen_address(s),
        .port = rdma ? s->rdma_port : s->port,
        .tick = pull_tick,
        .priv = s,
    };
    return r->ops->listen(&r->cfg, r->addr, r->port, &r->listener, &r->port, err);
}

/* Wait until the source has connected all channels. If they are RDMA's and the source may
 * use either, TCP goes on listening: the source may have to come back. */
static int accept_channels(struct sink *s, struct xf_err *err)
{
    int64_t until = xf_now_ms() + CHANNELS_MS;
    int rc;

    while ((rc = xf_gather_step(&s->gather, 20, err)) == XF_AGAIN) {
        if (tick(s, err))
            return -1;
        if (xf_now_ms() > until)
            return xf_fail(err, ETIMEDOUT, "the source did not connect all of its channels");
    }
    if (rc)
        return -1;
    xf_gather_take(&s->gather, &s->link);
    if (s->link.ops == &xf_rdma_ops && s->hello.transport == XF_TRANSPORT_AUTO)
        xf_gather_unlisten(&s->gather, &xf_rdma_ops);
    else
        xf_gather_unlisten(&s->gather, NULL);
    return s->pull ? listen_for_pull(s, err) : 0;
}

/* COPY: has the source begun to connect anew? A stranger's failure is not the move's. */
static bool called(void *priv)
{
    struct sink *s = priv;

    xf_gather_step(&s->gather, 0, NULL);
    return s->gather.link.control != NULL;
}

static int relink(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    if (!s->gather.nr)
        return xf_fail(err, ECONNRESET, "there is no other way for the source to come back");
    xf_link_close(&s->link);
    return accept_channels(s, err);
}

/* --- SKELETON --- */

/* XENFERRY_RECORD_STREAM=FILE keeps what the stock xl was fed, for Xen's own checker. */
static void record_stream(const void *stream, size_t len)
{
    const char *path = getenv("XENFERRY_RECORD_STREAM");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    if (write(fd, stream, len) != (ssize_t)len)
        unlink(path);
    close(fd);
}

/* Split the payload of a skeleton message and turn it into the stock stream. */
static int skeleton_stream(struct sink *s, uint8_t *payload, void **stream, size_t *len,
                           struct xf_err *err)
{
    const struct xf_skeleton *k = &s->skeleton;
    struct xf_skeleton_parts parts = {.skeleton = k, .config = (char *)payload};

    if (!k->config_len || payload[k->config_len - 1] != 0)
        return xf_fail(err, EPROTO, "the source's configuration is not a string");
    parts.cpuid = payload + k->config_len;
    parts.msrs = payload + k->config_len + k->cpuid_len;
    parts.context = payload + k->config_len + k->cpuid_len + k->msr_len;
    return xf_stream_build(&parts, stream, len, err);
}

/* The stock xl at work: `devices` is set when it is done. */
static int build_on(struct sink *s, int wait_ms, struct xf_err *err)
{
    int rc;

    if (s->devices)
        return 0;
    if (xf_now_ms() > s->build_until)
        return xf_fail(err, ETIMEDOUT, "xl did not build the domain within %d s", BUILD_MS / 1000);
    rc = xf_builder_step(&s->builder, wait_ms, err);
    s->devices = rc == 0;
    return rc < 0 ? -1 : 0;
}

/*
 * Its memory can be filled as soon as xl has restored what it was fed and introduced the
 * domain to xenstore (libxl__build_post, tools/libs/light/libxl_dom.c); the hotplug scripts of
 * its devices, which take most of the time, come after that and touch no memory of the guest.
 */
static bool is_restored(struct sink *s, struct xs_handle *xs)
{
    uint32_t domid;

    return s->devices || (!libxl_name_to_domid(s->ctx, s->builder.name, &domid) &&
                          xs_is_domain_introduced(xs, domid));
}

static int build(struct sink *s, size_t len, struct xf_err *err)
{
    struct xs_handle *xs;
    char args[96];
    int rc = 0;

    snprintf(args, sizeof(args), "%s", s->o->xl_args ? s->o->xl_args : "");
    if (xf_builder_start(&s->builder, s->fds, s->o->real_xl, args, s->hello.domain, err))
        return -1;
    s->shared->xl = s->builder.pid;
    xf_builder_feed(&s->builder, s->stream, len);
    s->build_until = xf_now_ms() + BUILD_MS;
    xs = xs_open(0);
    if (!xs)
        return xf_fail(err, errno, "cannot reach xenstore: %s", strerror(errno));
    while (!rc && !is_restored(s, xs))
        rc = build_on(s, BUILD_SLICE_MS, err) || tick(s, err) ? -1 : 0;
    xs_close(xs);
    return rc;
}

/* Turn paging on, and so find out for good whether it is possible. If not: s->no_paging. */
static int try_paging(struct sink *s, struct xf_err *err)
{
    struct xf_sink_vm *vm = &s->xen.vm;

    if (xf_xen_pager_open(&s->paging, &s->log, s->xen.domid, vm->nr_gfns, err))
        return -1;
    s->xen.pager = &s->paging;
    vm->pager = &xf_xen_pager_ops;
    if (vm->pager->enable(vm, &s->no_paging)) {
        xf_xen_pager_close(&s->paging);
        s->xen.pager = NULL;
        vm->pager = NULL;
        s->pull = s->gather.urgent = false;
        return 0;
    }
    if (xf_absent_init(&s->absent, vm, err))
        return -1;
    vm->absent = &s->absent;
    return 0;
}

static int say_built(struct sink *s, struct xf_err *err)
{
    uint8_t meta[XF_TEXT_MAX + 64];
    size_t len = 0;

    if (s->no_paging.num)
        len = xf_text_encode(s->no_paging.num, s->no_paging.text, meta);
    return xf_link_say(&s->link, XF_MSG_BUILT, meta, len, err);
}

/* The built domain as the engine's guest. */
static int adopt(struct sink *s, struct xf_err *err)
{
    const struct xf_skeleton *k = &s->skeleton;
    uint32_t domid;

    if (libxl_name_to_domid(s->ctx, s->builder.name, &domid))
        return xf_fail(err, ESRCH, "xl built no domain named \"%s\"", s->builder.name);
    if (xf_xen_sink_open(&s->xen, s->ctx, &s->log, domid, err))
        return -1;
    s->xen.leave_paused = s->hello.leave_paused || s->o->leave_paused;
    s->xen.vm.nr_gfns = k->nr_gfns;
    s->xen.vm.built = k->specials;
    s->xen.vm.nr_built = k->nr_specials;
    s->xen.vm.rings = s->rings;
    s->xen.vm.nr_rings =
        xf_ring_gfns(k->params, k->nr_params, k->nr_gfns, s->rings, XF_SPECIALS_MAX);
    if (s->pull && try_paging(s, err))
        return -1;
    return xf_xen_sink_claim(&s->xen, k->nr_pages, err);
}

static int phase_skeleton(struct sink *s, struct xf_err *err)
{
    uint8_t *meta = malloc(XF_META_MAX), *payload = NULL;
    struct iovec iov;
    size_t len;
    struct xf_msg m;
    int rc;

    if (!meta)
        return xf_fail(err, ENOMEM, "out of memory");
    tell(s, XF_PHASE_SKELETON);
    do {
        rc = s->link.ops->recv(s->link.control, &m, meta, 100, err);
        if (rc >= 0 && tick(s, err))
            rc = -1;
    } while (rc == XF_AGAIN);
    if (!rc && m.type != XF_MSG_SKELETON)
        rc = xf_fail(err, EPROTO, "the source sent message %u before the skeleton", m.type);
    if (!rc)
        rc = xf_skeleton_decode(&s->skeleton, &m, meta, err);
    if (!rc && !(payload = malloc(m.payload_len + 1)))
        rc = xf_fail(err, ENOMEM, "out of memory for %u bytes", m.payload_len);
    iov = (struct iovec){.iov_base = payload, .iov_len = m.payload_len};
    if (!rc)
        rc = s->link.ops->recv_payload(s->link.control, &iov, 1, err);
    if (!rc)
        rc = skeleton_stream(s, payload, &s->stream, &len, err);
    if (!rc) {
        record_stream(s->stream, len);
        rc = build(s, len, err);
    }
    if (!rc)
        rc = adopt(s, err);
    if (!rc)
        rc = say_built(s, err);
    free(payload);
    free(meta);
    return rc;
}

/* --- COPY, SWITCH, FINISH --- */

static int serve_tick(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    if (tick(s, err) || build_on(s, 0, err))
        return -1;
    /* Not only at GO: this is not to be downtime. */
    if (s->xen.vm.absent && s->absent.nr && !s->hold_vif.held)
        return xf_hold_vif_begin(&s->hold_vif, s->xen.domid, err);
    return 0;
}

static bool devices_ready(void *priv)
{
    return ((struct sink *)priv)->devices;
}

/* Faults are taken from before GO on. */
static int prepare(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    tell(s, XF_PHASE_SWITCH);
    if (!s->xen.vm.absent || !s->absent.nr)
        return 0;
    if (xf_pager_new(&s->pager, &s->xen.vm, STALL_MS, err))
        return -1;
    xf_pager_start(s->pager, &s->link);
    return 0;
}

static void committed(void *priv)
{
    struct sink *s = priv;

    /* In this order: should we die in between, xl is gone and the guard destroys a copy
     * that never ran. */
    xf_builder_dismiss(&s->builder);
    s->go_ns = xf_now_ns();
    s->shared->committed = true;
    s->go = true;
}

/* The guest runs; what is left costs it nothing. */
static void phase_finish(struct sink *s, struct xf_err *err)
{
    char why[300];

    if (s->builder.pid > 0)
        waitpid(s->builder.pid, NULL, 0);
    s->builder.pid = 0;
    if (libxl_domain_rename(s->ctx, s->xen.domid, s->builder.name, s->hello.domain))
        xf_fail(err, EIO, "the guest runs here, but could not be renamed from \"%s\": %s",
                s->builder.name, xf_toollog_last(&s->log, why, sizeof(why)));
}

/* The guest runs and depends on us: nothing but its own end, or the last page, ends this.
 * *ended: it was the first. xl's monitor destroys a domain that was shut down to be booted again,
 * and builds the new one; we only have to let go of the old. */
static int phase_pull(struct sink *s, bool *ended, struct xf_err *err)
{
    enum xf_pull_end end = xf_rejoin_take(&s->rejoin, s->pager, &s->link, DONE_MS, err);

    *ended = end == XF_PULL_ENDED;
    if (end == XF_PULL_FAILED) {
        /* Better still than a guest whose vCPUs get stuck one after the other. */
        xc_domain_pause(s->xch, s->xen.domid);
        return xf_wrap(err, "the guest lacks pages and was paused");
    }
    return 0;
}

static int tell_source(struct sink *s, const struct xf_err *why)
{
    uint8_t meta[XF_TEXT_MAX + 64];

    if (!s->link.control)
        return -1;
    return xf_link_say(&s->link, XF_MSG_ERROR, meta, xf_text_encode(why->num, why->text, meta),
                       NULL);
}

static int run_sink(struct sink *s, struct xf_err *err)
{
    struct xf_sink_watch watch = {
        .priv = s,
        .tick = serve_tick,
        .ready = devices_ready,
        .prepare = prepare,
        .committed = committed,
    };
    struct xf_err late = {0};
    bool refused = false, ended = false;

    xf_toollog_init(&s->log);
    if (libxl_ctx_alloc(&s->ctx, LIBXL_VERSION, 0, &s->log.vtable))
        return xf_fail(err, EIO, "cannot talk to Xen here; is this a dom0, and are you root?");
    s->xch = xc_interface_open(&s->log.vtable, &s->log.vtable, 0);
    if (!s->xch)
        return xf_fail(err, errno, "cannot open Xen's privileged interface: %s", strerror(errno));
    if (phase_check(s, &refused, err))
        return -1;
    if (refused)
        return 0; /* the source has the findings and reports them */
    if (accept_channels(s, err)) {
        if (s->hello.check_only)
            xf_clear(err);
        return s->hello.check_only ? 0 : -1;
    }
    if (phase_skeleton(s, err)) {
        tell_source(s, err);
        return -1;
    }
    if (s->gather.nr) {
        watch.called = called;
        watch.relink = relink;
    }
    tell(s, XF_PHASE_COPY);
    switch (xf_sink_serve(&s->xen.vm, &s->link, &watch, err)) {
    case XF_SINK_RUNS:
        tell(s, s->xen.vm.absent && s->absent.at_go ? XF_PHASE_PULL : XF_PHASE_FINISH);
        phase_finish(s, &late);
        if (s->xen.vm.absent && s->absent.at_go && phase_pull(s, &ended, err))
            return -1;
        tell(s, XF_PHASE_FINISH);
        /* No paging to turn off, no network to let go on, and no name that it should have. */
        if (ended) {
            xf_clear(err);
            return 0;
        }
        if (s->xen.vm.absent && s->xen.vm.pager->disable(&s->xen.vm, &late) && late.num == ESRCH)
            xf_clear(&late); /* the guest has ended: there is nothing to turn off */
        else
            let_network(s);
        if (s->vif.num)
            late = s->vif;
        return late.num ? xf_fail(err, late.num, "%s", late.text) : 0;
    case XF_SINK_ABORTED:
        xf_fail(err, ECANCELED, "the source gave the move up");
        return -1;
    case XF_SINK_FAILED:
        break;
    }
    return -1;
}

static void free_sink(struct sink *s)
{
    struct xf_err left = {0};

    xf_announce_end(&s->announce);
    xf_pager_free(s->pager);
    s->pager = NULL;
    xf_absent_free(&s->absent);
    if (s->xen.pager)
        xf_xen_pager_close(s->xen.pager);
    xf_xen_sink_close(&s->xen);
    if (!s->go && s->ctx)
        xf_builder_undo(&s->builder, s->ctx, &s->log, &left);
    /* Only now: whoever asked for the abort hears of its end, and of a bad one. */
    if (s->link.control && !s->go && left.num)
        tell_source(s, &left);
    else if (s->link.control && !s->go)
        xf_link_say(&s->link, XF_MSG_ABORTED, NULL, 0, NULL);
    xf_link_close(&s->link);
    xf_gather_unlisten(&s->gather, NULL);
    if (s->rejoin.listener)
        s->rejoin.ops->unlisten(s->rejoin.listener);
    xf_status_close(s->status);
    xf_hello_free(&s->hello);
    free(s->stream);
    if (s->xch)
        xc_interface_close(s->xch);
    if (s->ctx)
        libxl_ctx_free(s->ctx);
}

int xf_sink_main(const struct xf_receive_opts *o, struct xf_builder_fds *fds, pid_t guard,
                 struct xf_sink_shared *shared)
{
    /* SA_RESTART: after GO a signal is nothing to us, nor shall it be to the libraries below. */
    struct sigaction sa = {.sa_handler = ask_stop, .sa_flags = SA_RESTART};
    struct xf_err err = {0};
    struct sink *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return 1;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->o = o;
    s->fds = fds;
    s->shared = shared;
    s->guard = guard;
    s->pipe = (struct xf_pipe){.in = o->in_fd, .out = o->out_fd};
    s->builder = (struct xf_builder){.in = -1, .out = -1, .said = -1};
    rc = run_sink(s, &err);
    free_sink(s);
    free(s);
    shared->err = err;
    shared->said = true;
    return rc ? 1 : 0;
}
