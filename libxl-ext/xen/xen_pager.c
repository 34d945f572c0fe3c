/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Xen's memory paging as absent pages: see xen_pager.h. File names of Xen are those of 4.17.
 *
 * `paged` and the list of waiters, under one lock, connect the two halves: arriving requests and
 * arriving pages. A page is loaded first, then its bit is cleared and its waiters are answered; a
 * request for a page whose bit is clear is answered at once. So no vCPU is forgotten, whichever
 * happens first.
 */
#include "libxl-ext/xen/xen_pager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <xen/hvm/params.h>

#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/xen_sink.h"
#include "libxl-ext/xen/xen_view.h"
#include "pages/bitmap.h"

#define LOOK_NS 250000000 /* how often to check that the domain still exists */
/* A page held for a moment (by Xen itself, while it maps it) is soon released. */
#define EVICT_TRIES 8

static struct xf_xen_pager *of(struct xf_sink_vm *vm)
{
    return ((struct xf_xen_sink *)vm)->pager;
}

/* xen/common/vm_event.c, vm_event_domctl(), in its order. */
const char *xf_paging_refusal(int num)
{
    switch (num) {
    case ENOSYS:
        return "Xen was built without memory paging: build it with CONFIG_UNSUPPORTED=y and "
               "CONFIG_MEM_PAGING=y, and boot it with a PV dom0 (no dom0=pvh on its command line)";
    case EOPNOTSUPP:
        return "memory paging needs a PV dom0 (no dom0=pvh on Xen's command line) and a guest "
               "that was built with a ring page for it";
    case ENODEV:
        return "memory paging needs a guest with hardware-assisted paging (hap=1)";
    case EMLINK:
        return "memory paging does not work with an IOMMU: set passthrough=\"disabled\" in the "
               "guest's configuration";
    case EXDEV:
        return "memory paging does not work with populate-on-demand: give the guest maxmem equal "
               "to memory";
    case EBUSY:
        return "another program pages this guest's memory already (xenpaging?): stop it";
    case EPERM:
        return "Xen's security policy forbids memory paging of this guest: allow dom0 mem_paging "
               "of it there, or move without post-copy";
    case EINVAL:
    case ENOENT:
        return "Xen does not accept the guest's ring page, or the guest has no vCPUs yet: try "
               "again, and if that fails, move without post-copy";
    case ENOMEM:
        return "Xen has no memory left for memory paging of this guest: free some there";
    case ESRCH:
        return "the guest is gone";
    default:
        return strerror(num);
    }
}

static int domain_gone(struct xf_err *err)
{
    return xf_fail(err, ESRCH, "the guest is gone");
}

/* Dying or dead: Xen enables nothing for it, but still returns 0. */
static bool is_gone(xc_interface *xch, uint32_t domid)
{
    xc_domaininfo_t info;

    return xf_domain_info(xch, domid, &info) || (info.flags & XEN_DOMINF_dying);
}

/* --- on and off --- */

/* Map the ring's page: built with the domain, or removed by an earlier use of paging. */
static int map_ring(struct xf_xen_pager *p, struct xf_err *err)
{
    uint64_t gfn = 0;
    xen_pfn_t pfn;
    int bad = 0;

    if (xc_hvm_param_get(p->xch, p->domid, HVM_PARAM_PAGING_RING_PFN, &gfn))
        return xf_fail(err, errno, "cannot read where the paging ring of domain %u is: %s",
                       p->domid, strerror(errno));
    if (!gfn || gfn >= p->nr_gfns)
        return xf_fail(err, EOPNOTSUPP, "%s", xf_paging_refusal(EOPNOTSUPP));
    pfn = gfn;
    for (int i = 0; i < 2; i++) {
        p->page = xenforeignmemory_map(p->fmem, p->domid, PROT_READ | PROT_WRITE, 1, &pfn, &bad);
        if (p->page && !bad)
            return 0;
        if (p->page)
            xenforeignmemory_unmap(p->fmem, p->page, 1);
        p->page = NULL;
        if (xc_domain_populate_physmap_exact(p->xch, p->domid, 1, 0, 0, &pfn))
            break;
    }
    return xf_fail(err, ENOMEM, "cannot map the paging ring of domain %u", p->domid);
}

/* The guest must not see the ring; Xen's and our references remain. */
static int hide_ring(struct xf_xen_pager *p, struct xf_err *err)
{
    uint64_t gfn = 0;
    xen_pfn_t pfn;

    if (xc_hvm_param_get(p->xch, p->domid, HVM_PARAM_PAGING_RING_PFN, &gfn))
        return xf_fail(err, errno, "cannot read where the paging ring is");
    pfn = gfn;
    if (xc_domain_decrease_reservation_exact(p->xch, p->domid, 1, 0, &pfn))
        return xf_fail(err, errno ? errno : EIO, "cannot hide the paging ring from the guest");
    return 0;
}

static int watch_one(struct xf_xen_pager *p, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e);
}

static int watch(struct xf_xen_pager *p, struct xf_err *err)
{
    struct itimerspec look = {.it_interval = {.tv_nsec = LOOK_NS},
                              .it_value = {.tv_nsec = LOOK_NS}};

    p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p->timer < 0 || p->epoll < 0 || timerfd_settime(p->timer, 0, &look, NULL) ||
        watch_one(p, p->timer) || watch_one(p, xenevtchn_fd(p->xce)))
        return xf_fail(err, errno, "no descriptor for the pager: %s", strerror(errno));
    return 0;
}

static int turn_on(struct xf_xen_pager *p, struct xf_err *err)
{
    xenevtchn_port_or_error_t port;
    uint32_t remote = 0;

    if (map_ring(p, err))
        return -1;
    /* Nobody else uses the page yet; Xen starts to with ENABLE. */
    memset(p->page, 0, XC_PAGE_SIZE);
    SHARED_RING_INIT((vm_event_sring_t *)p->page);
    BACK_RING_INIT(&p->ring, (vm_event_sring_t *)p->page, XC_PAGE_SIZE);
    if (is_gone(p->xch, p->domid))
        return domain_gone(err);
    if (xc_mem_paging_enable(p->xch, p->domid, &remote))
        return xf_fail(err, errno, "%s", xf_paging_refusal(errno));
    p->on = true;
    port = xenevtchn_bind_interdomain(p->xce, p->domid, remote);
    if (port < 0)
        return xf_fail(err, errno, "cannot bind the paging ring's event channel: %s",
                       strerror(errno));
    p->port = (evtchn_port_t)port;
    return hide_ring(p, err) ? -1 : watch(p, err);
}

static int enable(struct xf_sink_vm *vm, struct xf_err *err)
{
    struct xf_xen_pager *p = of(vm);
    int rc = turn_on(p, err);

    /* The move may continue without paging, and the guest must not be left with a ring that nobody
     * reads. No page is absent yet. */
    if (rc && p->on && !xc_mem_paging_disable(p->xch, p->domid))
        p->on = false;
    return rc;
}

/* Notify Xen of the responses. */
XF_NEEDS(xf_xen_pager_lock)
static void kick(struct xf_xen_pager *p)
{
    if (!p->answered)
        return;
    RING_PUSH_RESPONSES(&p->ring);
    xenevtchn_notify(p->xce, p->port);
    p->answered = false;
}

/* One answer for each request, or its slot is lost; without version and reason
 * Xen ignores it and the vCPU stays paused (vm_event_resume()). */
XF_NEEDS(xf_xen_pager_lock)
static void answer(struct xf_xen_pager *p, const struct xf_xen_waiter *w)
{
    vm_event_response_t rsp = {
        .version = VM_EVENT_INTERFACE_VERSION,
        .reason = VM_EVENT_REASON_MEM_PAGING,
        .vcpu_id = w->vcpu,
        .flags = w->flags & VM_EVENT_FLAG_VCPU_PAUSED,
    };

    rsp.u.mem_paging.gfn = w->gfn;
    rsp.u.mem_paging.flags = w->paging_flags;
    memcpy(RING_GET_RESPONSE(&p->ring, p->ring.rsp_prod_pvt), &rsp, sizeof(rsp));
    p->ring.rsp_prod_pvt++;
    p->answered = true;
}

static int disable(struct xf_sink_vm *vm, struct xf_err *err)
{
    struct xf_xen_pager *p = of(vm);

    if (!p->on)
        return 0;
    /* EBUSY while a vCPU waits for a slot of the ring: one is free now, and the vCPU needs a
     * moment. */
    for (int i = 0; xc_mem_paging_disable(p->xch, p->domid); i++) {
        if (is_gone(p->xch, p->domid))
            return domain_gone(err);
        if (errno != EBUSY || i == 100)
            return xf_fail(err, errno, "cannot turn memory paging of domain %u off: %s", p->domid,
                           strerror(errno));
        usleep(1000);
    }
    p->on = false;
    xc_domain_claim_pages(p->xch, p->domid, 0);
    return 0;
}

/* --- absent pages --- */

static int cannot_evict(const struct xf_view *v, uint64_t gfn, int num, struct xf_err *err)
{
    return xf_fail(err, num, "cannot evict gfn 0x%llx of domain %u: %s", (unsigned long long)gfn,
                   v->domid, strerror(num));
}

/*
 * A nomination cannot be undone: prep refuses the page, and without a pager the guest would lose it
 * (mem_paging.c, p2m_mem_paging_prep()). So eviction must then succeed, or the domain is useless;
 * it has never run, and the move is over.
 */
static int evict_busy(struct xf_view *v, uint64_t gfn, struct xf_err *err)
{
    int num = EBUSY;

    for (int i = 0; i < EVICT_TRIES && num == EBUSY; i++) {
        xf_paging_begin(&v->paging);
        xf_paging_add(&v->paging, XENMEM_paging_op_evict, gfn);
        if (xf_paging_run(&v->paging, err))
            return -1;
        num = xf_paging_result(&v->paging, 0);
    }
    return num ? cannot_evict(v, gfn, num, err) : 0;
}

/* Result for the i-th page of a hypercall with two operations per page: 0; EBUSY if it was
 * nominated and Xen held it for a moment; -1. refused as in mark(). */
static int marked(struct xf_view *v, unsigned i, uint64_t gfn, uint8_t *refused, struct xf_err *err)
{
    int nominate = xf_paging_result(&v->paging, 2 * i);
    int evict = xf_paging_result(&v->paging, 2 * i + 1);

    /* Xen or somebody else holds the page, and it is unchanged; evict found the same. */
    *refused = nominate == EBUSY;
    if (*refused)
        return 0;
    if (nominate)
        return xf_fail(err, nominate, "cannot nominate gfn 0x%llx of domain %u: %s",
                       (unsigned long long)gfn, v->domid, strerror(nominate));
    return !evict || evict == EBUSY ? evict : cannot_evict(v, gfn, evict, err);
}

#define MARK_PAGES (XF_PAGING_OPS / 2)

static int mark_some(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *refused,
                     struct xf_err *err)
{
    struct xf_xen_pager *p = v->pager;
    uint64_t busy[MARK_PAGES];
    unsigned nr_busy = 0;

    xf_paging_begin(&v->paging);
    for (unsigned i = 0; i < n; i++) {
        xf_paging_add(&v->paging, XENMEM_paging_op_nominate, gfns[i]);
        xf_paging_add(&v->paging, XENMEM_paging_op_evict, gfns[i]);
    }
    if (xf_paging_run(&v->paging, err))
        return -1;
    for (unsigned i = 0; i < n; i++) {
        int rc = marked(v, i, gfns[i], &refused[i], err);

        if (rc < 0)
            return -1;
        if (rc == EBUSY)
            busy[nr_busy++] = gfns[i];
    }
    for (unsigned i = 0; i < nr_busy; i++)
        if (evict_busy(v, busy[i], err))
            return -1;
    xf_lock(&p->lock, xf_xen_pager_lock);
    for (unsigned i = 0; i < n; i++)
        if (!refused[i])
            xf_set(p->paged, gfns[i]);
    xf_unlock(&p->lock, xf_xen_pager_lock);
    return 0;
}

/* Nobody waits for any of these pages (the guest does not run), so many are marked in one
 * hypercall. After a failure the domain is useless, and nothing is noted. */
static int mark(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *refused,
                struct xf_err *err)
{
    for (unsigned at = 0, some; at < n; at += some) {
        some = n - at < MARK_PAGES ? n - at : MARK_PAGES;
        if (mark_some(v, gfns + at, some, refused + at, err))
            return -1;
    }
    return 0;
}

static int claim(struct xf_sink_vm *vm, uint64_t pages, struct xf_err *err)
{
    struct xf_xen_pager *p = of(vm);
    xc_domaininfo_t info;

    if (xf_domain_info(p->xch, p->domid, &info))
        return domain_gone(err);
    pages += info.tot_pages;
    if (pages > info.max_pages)
        pages = info.max_pages;
    /* A used-up claim does not grow with the pages that eviction frees, and any other must be
     * dropped before a new one can be made (domain_set_outstanding_pages(), page_alloc.c). */
    if (xc_domain_claim_pages(p->xch, p->domid, 0) ||
        (pages > info.tot_pages && xc_domain_claim_pages(p->xch, p->domid, pages)))
        return xf_fail(err, errno,
                       "the memory that the absent pages will need was taken by others: %s",
                       strerror(errno));
    return 0;
}

static int fault_fd(struct xf_sink_vm *vm)
{
    return of(vm)->epoll;
}

/* Take one request off the ring; true if the engine must be told. */
XF_NEEDS(xf_xen_pager_lock)
static bool take_request(struct xf_xen_pager *p, const vm_event_request_t *req, struct xf_fault *f)
{
    struct xf_xen_waiter w = {.gfn = req->u.mem_paging.gfn,
                              .vcpu = req->vcpu_id,
                              .flags = req->flags,
                              .paging_flags = req->u.mem_paging.flags};
    bool paged = w.gfn < p->nr_gfns && xf_bit(p->paged, w.gfn);

    *f = (struct xf_fault){.gfn = w.gfn};
    if (w.paging_flags & MEM_PAGING_DROP_PAGE) {
        f->dropped = true;
        if (paged)
            xf_unset(p->paged, w.gfn);
        answer(p, &w);
        return paged;
    }
    /* Only a vCPU is held until its page is in. For dom0, and for a page already in, the answer
     * only frees the slot; a hypercall is retried by its caller. */
    if (!paged || !(w.flags & VM_EVENT_FLAG_VCPU_PAUSED))
        answer(p, &w);
    else
        p->waiters[p->nr_waiters++] = w; /* there is room: this request has a slot of the ring */
    return paged;
}

/* Take the event before reading the ring: later requests raise another. This is called whenever its
 * thread wakes, so without an event one system call is the whole cost. */
static int take_event(struct xf_xen_pager *p, struct xf_err *err)
{
    struct epoll_event found[2];
    int n = epoll_wait(p->epoll, found, 2, 0);

    for (int i = 0; i < n; i++) {
        xenevtchn_port_or_error_t port;
        uint64_t ticks;

        if (found[i].data.fd == p->timer) {
            if (read(p->timer, &ticks, sizeof(ticks)) == sizeof(ticks) &&
                is_gone(p->fault_xch, p->domid))
                return domain_gone(err);
            continue;
        }
        port = xenevtchn_pending(p->xce);
        if (port < 0 || xenevtchn_unmask(p->xce, (evtchn_port_t)port))
            return xf_fail(err, errno, "the paging ring's event channel: %s", strerror(errno));
    }
    return 0;
}

static int read_faults(struct xf_sink_vm *vm, struct xf_fault *list, unsigned max,
                       struct xf_err *err)
{
    struct xf_xen_pager *p = of(vm);
    unsigned n = 0;
    int more;

    if (take_event(p, err))
        return -1;
    xf_lock(&p->lock, xf_xen_pager_lock);
    do {
        while (n < max && RING_HAS_UNCONSUMED_REQUESTS(&p->ring)) {
            vm_event_request_t req;

            memcpy(&req, RING_GET_REQUEST(&p->ring, p->ring.req_cons), sizeof(req));
            p->ring.req_cons++;
            if (req.version != VM_EVENT_INTERFACE_VERSION) {
                xf_unlock(&p->lock, xf_xen_pager_lock);
                return xf_fail(err, ENOTSUP,
                               "Xen speaks version %u of vm_event and this program %u: build it "
                               "for this Xen",
                               req.version, VM_EVENT_INTERFACE_VERSION);
            }
            n += take_request(p, &req, &list[n]);
        }
        RING_FINAL_CHECK_FOR_REQUESTS(&p->ring, more);
    } while (more && n < max);
    kick(p);
    xf_unlock(&p->lock, xf_xen_pager_lock);
    return (int)n;
}

/* The page is in: resume its waiters. */
XF_NEEDS(xf_xen_pager_lock)
static void let_go(struct xf_xen_pager *p, uint64_t gfn)
{
    xf_unset(p->paged, gfn);
    for (unsigned i = 0; i < p->nr_waiters;) {
        if (p->waiters[i].gfn == gfn) {
            answer(p, &p->waiters[i]);
            p->waiters[i] = p->waiters[--p->nr_waiters];
        } else {
            i++;
        }
    }
}

static int not_loaded(struct xf_view *v, uint64_t gfn, int num, struct xf_err *err)
{
    /* Checked first: Xen gives a dying domain no page, and also returns ENOMEM for that. */
    if (num == ESRCH || is_gone(v->xch, v->domid))
        return domain_gone(err);
    if (num == ENOMEM)
        return xf_fail(err, ENOMEM,
                       "out of memory for gfn 0x%llx of the running guest; free some memory there",
                       (unsigned long long)gfn);
    return xf_fail(err, num, "cannot load gfn 0x%llx of domain %u: %s", (unsigned long long)gfn,
                   v->domid, strerror(num));
}

/* Load one hypercall's pages. The waiters of each loaded page are resumed even if other pages fail;
 * most pages have no waiters, and then neither the ring nor Xen is touched. */
static int put_some(struct xf_view *v, const uint64_t *gfns, const uint8_t *const *pages,
                    unsigned n, struct xf_err *err)
{
    struct xf_xen_pager *p = v->pager;
    uint64_t bad_gfn = 0;
    int rc, bad = 0;

    xf_paging_begin(&v->paging);
    for (unsigned i = 0; i < n; i++)
        xf_paging_add_load(&v->paging, gfns[i], pages[i]);
    rc = xf_paging_run(&v->paging, err);
    xf_lock(&p->lock, xf_xen_pager_lock);
    for (unsigned i = 0; i < n; i++) {
        int num = xf_paging_result(&v->paging, i);

        /* ENOENT: it was loaded before, or the guest gave it back. */
        if (!num || num == ENOENT) {
            let_go(p, gfns[i]);
        } else if (!bad) {
            bad = num;
            bad_gfn = gfns[i];
        }
    }
    kick(p);
    xf_unlock(&p->lock, xf_xen_pager_lock);
    return rc ? -1 : bad ? not_loaded(v, bad_gfn, bad, err) : 0;
}

static int put(struct xf_view *v, const uint64_t *gfns, const uint8_t *const *pages, unsigned n,
               struct xf_err *err)
{
    for (unsigned at = 0, some; at < n; at += some) {
        some = n - at < XF_PAGING_PAGES ? n - at : XF_PAGING_PAGES;
        if (put_some(v, gfns + at, pages + at, some, err))
            return -1;
    }
    return 0;
}

const struct xf_pager_ops xf_xen_pager_ops = {
    .enable = enable,
    .mark = mark,
    .claim = claim,
    .fault_fd = fault_fd,
    .read_faults = read_faults,
    .put = put,
    .disable = disable,
};

/* --- open and close --- */

XF_ALONE
int xf_xen_pager_open(struct xf_xen_pager *p, struct xf_toollog *log, uint32_t domid,
                      uint64_t nr_gfns, struct xf_err *err)
{
    *p = (struct xf_xen_pager){.domid = domid, .nr_gfns = nr_gfns, .epoll = -1, .timer = -1};
    pthread_mutex_init(&p->lock, NULL);
    p->xch = xc_interface_open(&log->vtable, &log->vtable, 0);
    p->fault_xch = xc_interface_open(&log->vtable, &log->vtable, 0);
    p->xce = xenevtchn_open(&log->vtable, 0);
    p->fmem = xenforeignmemory_open(&log->vtable, 0);
    p->paged = xf_bitmap_new(nr_gfns);
    if (p->xch && p->fault_xch && p->xce && p->fmem && p->paged)
        return 0;
    xf_fail(err, p->paged ? errno : ENOMEM, "cannot open Xen's interfaces for the pager");
    xf_xen_pager_close(p);
    return -1;
}

XF_ALONE
void xf_xen_pager_close(struct xf_xen_pager *p)
{
    if (p->page)
        xenforeignmemory_unmap(p->fmem, p->page, 1);
    if (p->epoll >= 0)
        close(p->epoll);
    if (p->timer >= 0)
        close(p->timer);
    if (p->xce)
        xenevtchn_close(p->xce); /* also unbinds the port */
    if (p->fmem)
        xenforeignmemory_close(p->fmem);
    if (p->fault_xch)
        xc_interface_close(p->fault_xch);
    if (p->xch)
        xc_interface_close(p->xch);
    free(p->paged);
    pthread_mutex_destroy(&p->lock);
    *p = (struct xf_xen_pager){.epoll = -1, .timer = -1};
}
