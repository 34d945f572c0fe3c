/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this machine can do over RDMA: see probe.h. */
#include "transport/rdma/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "transport/clock.h"
#include "transport/lookup.h"
#include "transport/rdma/cm.h"

static int add_ports(struct ibv_context *ctx, struct xf_rdma_device *out, int max)
{
    struct ibv_device_attr attr;
    int n = 0;

    if (ibv_query_device(ctx, &attr))
        return 0;
    for (unsigned port = 1; port <= attr.phys_port_cnt && n < max; port++) {
        struct xf_rdma_device *d = &out[n];
        struct ibv_port_attr p;

        if (ibv_query_port(ctx, (uint8_t)port, &p))
            continue;
        memset(d, 0, sizeof(*d));
        snprintf(d->name, sizeof(d->name), "%s", ibv_get_device_name(ctx->device));
        snprintf(d->state, sizeof(d->state), "%s", ibv_port_state_str(p.state));
        d->port = port;
        d->active = p.state == IBV_PORT_ACTIVE;
        d->usable = xf_cm_usable(ctx->device);
        d->mtu = 128u << p.active_mtu; /* IBV_MTU_256 is 1 */
        d->max_qp_wr = (unsigned)attr.max_qp_wr;
        d->max_sge = (unsigned)attr.max_sge;
        d->max_mr_size = attr.max_mr_size;
        n++;
    }
    return n;
}

/* rdma_cm itself says which port an address belongs to: it knows VLANs, bonds and IPoIB. */
static void add_address(struct rdma_event_channel *ch, const char addr[XF_ADDR_LEN],
                        struct xf_rdma_device *out, int n)
{
    struct rdma_cm_id *id = xf_cm_id(ch, NULL, NULL);

    if (!id)
        return;
    if (!xf_cm_bind_source(id, addr, AF_UNSPEC, NULL) && id->verbs)
        for (int i = 0; i < n; i++)
            if (out[i].port == id->port_num && out[i].nr_addr < XF_RDMA_ADDRS_MAX &&
                !strcmp(out[i].name, ibv_get_device_name(id->verbs->device)))
                memcpy(out[i].addr[out[i].nr_addr++], addr, XF_ADDR_LEN);
    rdma_destroy_id(id);
}

int xf_rdma_devices(struct xf_rdma_device *out, int max)
{
    char addrs[64][XF_ADDR_LEN];
    struct rdma_event_channel *ch;
    struct ibv_device **list;
    int nr = 0, n = 0, m;

    list = ibv_get_device_list(&nr);
    for (int i = 0; list && i < nr && n < max; i++) {
        struct ibv_context *ctx = ibv_open_device(list[i]);

        if (!ctx)
            continue;
        n += add_ports(ctx, out + n, max - n);
        ibv_close_device(ctx);
    }
    if (list)
        ibv_free_device_list(list);
    ch = n ? xf_cm_channel(NULL) : NULL;
    if (!ch)
        return n;
    m = xf_local_addresses(addrs, 64);
    for (int i = 0; i < m; i++)
        add_address(ch, addrs[i], out, n);
    rdma_destroy_event_channel(ch);
    return n;
}

static int reach(struct rdma_event_channel *ch, const struct addrinfo *to, const char *src,
                 int timeout_ms, struct xf_err *err)
{
    struct rdma_cm_id *id = xf_cm_id(ch, NULL, err);
    int rc;

    if (!id)
        return -1;
    rc = xf_cm_resolve(id, to, src, xf_now_ms() + timeout_ms, err);
    rdma_destroy_id(id);
    return rc;
}

int xf_rdma_can_reach(const char *host, const char *src, int timeout_ms, struct xf_err *err)
{
    struct rdma_event_channel *ch;
    struct addrinfo *list, *ai;
    struct xf_err last = {0};
    int rc = -1, left = 0;

    if (xf_lookup(host, 0, 0, AF_UNSPEC, &list, err))
        return xf_wrap(err, "%s", host);
    ch = xf_cm_channel(&last);
    for (ai = list; ai; ai = ai->ai_next)
        left++;
    for (ai = list; ch && ai && rc; ai = ai->ai_next, left--) {
        xf_clear(&last); /* an even share each */
        rc = reach(ch, ai, src, timeout_ms / left, &last);
    }
    if (ch)
        rdma_destroy_event_channel(ch);
    freeaddrinfo(list);
    return rc ? xf_fail_as(err, &last, "no RDMA to %s: %s", host, last.text) : 0;
}

static struct ibv_context *open_active(struct xf_err *err)
{
    struct ibv_device **list;
    struct ibv_context *ctx = NULL;
    int nr = 0;

    list = ibv_get_device_list(&nr);
    for (int i = 0; list && i < nr && !ctx; i++) {
        struct xf_rdma_device port[4];
        bool active = false;
        int n;

        ctx = ibv_open_device(list[i]);
        n = ctx ? add_ports(ctx, port, 4) : 0;
        for (int k = 0; k < n; k++)
            active |= port[k].active && port[k].usable;
        if (ctx && !active) {
            ibv_close_device(ctx);
            ctx = NULL;
        }
    }
    if (list)
        ibv_free_device_list(list);
    if (!ctx)
        xf_fail(err, ENODEV, "this machine has no active RDMA device");
    return ctx;
}

static int try_register(struct ibv_context *ctx, size_t len, int *num)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct ibv_pd *pd = ibv_alloc_pd(ctx);
    struct ibv_mr *mr = NULL;

    *num = ENOMEM;
    if (pd && p != MAP_FAILED) {
        mr = ibv_reg_mr(pd, p, len, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
        *num = errno;
    }
    if (mr)
        ibv_dereg_mr(mr);
    if (pd)
        ibv_dealloc_pd(pd);
    if (p != MAP_FAILED)
        munmap(p, len);
    return mr ? 0 : -1;
}

int xf_rdma_memlock_ok(uint64_t bytes, struct xf_err *err)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    size_t page = (size_t)sysconf(_SC_PAGESIZE), len = page;
    struct ibv_context *ctx = open_active(err);
    bool low;
    int num, rc = 0;

    if (!ctx)
        return -1;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    low = limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < bytes;
    if (low) /* just above the limit: refused only if the limit applies */
        len = ((size_t)limit.rlim_cur / page + 1) * page;
    if (try_register(ctx, len, &num)) {
        if (low)
            rc = xf_fail(err, ENOMEM,
                         "RLIMIT_MEMLOCK is %llu KiB and RDMA needs %llu KiB: raise it "
                         "(ulimit -l %llu) or run as root with CAP_IPC_LOCK",
                         (unsigned long long)limit.rlim_cur >> 10, (unsigned long long)bytes >> 10,
                         (unsigned long long)bytes >> 10);
        else
            rc = xf_fail(err, num, "the RDMA device %s cannot register memory: %s",
                         ibv_get_device_name(ctx->device), strerror(num));
    }
    ibv_close_device(ctx);
    return rc;
}
