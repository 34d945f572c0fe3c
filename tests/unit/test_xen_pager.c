/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Absent pages of a Xen domain, many in one hypercall, against a Xen made up here: which
 * pages end as what when some of a list fail, who is let go on, and that pages which nobody
 * waits for cost neither an answer nor a notification.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <xen/hvm/params.h>

#include "libxl-ext/xen/xen_pager.h"
#include "libxl-ext/xen/xen_sink.h"
#include "libxl-ext/xen/xen_view.h"
#include "pages/bitmap.h"
#include "tests/unit/suite.h"

#define GFNS 2048u
#define DOMID 9u

/* What Xen has at a gfn. */
enum entry { RAM, OUT, PAGED };

static struct {
    enum entry p2m[GFNS];
    bool held[GFNS]; /* nominate: EBUSY */
    int busy[GFNS];  /* so many evicts are EBUSY */
    int fail[GFNS];  /* this errno for the gfn's next nominate or prep, and those after it */
    int evict_fail[GFNS];
    uint8_t content[GFNS][XF_PAGE_SIZE];
    unsigned hypercalls, notified;
    unsigned stop_after; /* the next multicall ends with EFAULT after so many entries; 0: none */
    bool dying;
    bool paging, no_port; /* enabled; its event channel cannot be bound */
} xen;

/* --- Xen's libraries, as far as they are used --- */

xencall_handle *xencall_open(struct xentoollog_logger *logger, unsigned flags)
{
    (void)logger;
    (void)flags;
    return (xencall_handle *)&xen;
}

int xencall_close(xencall_handle *h)
{
    (void)h;
    return 0;
}

void *xencall_alloc_buffer_pages(xencall_handle *h, size_t n)
{
    (void)h;
    return calloc(n, XF_PAGE_SIZE);
}

void xencall_free_buffer_pages(xencall_handle *h, void *p, size_t n)
{
    (void)h;
    (void)n;
    free(p);
}

static int do_op(const xen_mem_paging_op_t *o)
{
    enum entry *e = &xen.p2m[o->gfn];

    CU_ASSERT(o->domain == DOMID && o->gfn < GFNS);
    if (xen.dying)
        return -ESRCH;
    switch (o->op) {
    case XENMEM_paging_op_nominate:
        if (xen.fail[o->gfn])
            return -xen.fail[o->gfn];
        if (*e != RAM || xen.held[o->gfn])
            return -EBUSY;
        *e = OUT;
        return 0;
    case XENMEM_paging_op_evict:
        if (xen.evict_fail[o->gfn])
            return -xen.evict_fail[o->gfn];
        if (*e != OUT)
            return -EBUSY;
        if (xen.busy[o->gfn] && xen.busy[o->gfn]--)
            return -EBUSY;
        *e = PAGED;
        return 0;
    case XENMEM_paging_op_prep:
        if (*e != PAGED)
            return -ENOENT;
        if (xen.fail[o->gfn])
            return -xen.fail[o->gfn];
        memcpy(xen.content[o->gfn], o->buffer.p, XF_PAGE_SIZE);
        *e = RAM;
        return 0;
    default:
        return -ENOSYS;
    }
}

int xencall2(xencall_handle *h, unsigned op, uint64_t arg1, uint64_t arg2)
{
    multicall_entry_t *calls = (multicall_entry_t *)(uintptr_t)arg1;

    CU_ASSERT_FATAL(h == (xencall_handle *)&xen && op == __HYPERVISOR_multicall);
    CU_ASSERT(arg2 > 0 && arg2 <= XF_PAGING_OPS);
    xen.hypercalls++;
    for (unsigned i = 0; i < arg2; i++) {
        if (xen.stop_after && i == xen.stop_after) {
            xen.stop_after = 0;
            errno = EFAULT;
            return -1;
        }
        CU_ASSERT(calls[i].op == __HYPERVISOR_memory_op && calls[i].args[0] == XENMEM_paging_op);
        calls[i].result = (xen_ulong_t)(long)do_op((void *)(uintptr_t)calls[i].args[1]);
    }
    return 0;
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max, xc_domaininfo_t *info)
{
    (void)xch;
    (void)max;
    memset(info, 0, sizeof(*info));
    info->domain = (domid_t)first;
    info->flags = xen.dying ? XEN_DOMINF_dying : 0;
    return 1;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    (void)port;
    xen.notified++;
    return 0;
}

int xc_hvm_param_get(xc_interface *xch, uint32_t domid, uint32_t param, uint64_t *value)
{
    (void)xch;
    CU_ASSERT(domid == DOMID && param == HVM_PARAM_PAGING_RING_PFN);
    *value = GFNS - 1;
    return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages,
                           const xen_pfn_t arr[], int err[])
{
    static uint8_t page[XF_PAGE_SIZE] __attribute__((aligned(4096)));

    (void)fmem;
    (void)prot;
    CU_ASSERT(dom == DOMID && pages == 1 && arr[0] == GFNS - 1);
    err[0] = 0;
    return page;
}

int xc_mem_paging_enable(xc_interface *xch, uint32_t domid, uint32_t *port)
{
    (void)xch;
    (void)domid;
    xen.paging = true;
    *port = 5;
    return 0;
}

int xc_mem_paging_disable(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    (void)domid;
    xen.paging = false;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
                                                     evtchn_port_t remote)
{
    (void)xce;
    CU_ASSERT(domid == DOMID && remote == 5);
    errno = ENOSPC;
    return xen.no_port ? -1 : 6;
}

int xc_domain_decrease_reservation_exact(xc_interface *xch, uint32_t domid, unsigned long n,
                                         unsigned int order, xen_pfn_t *list)
{
    (void)xch;
    (void)order;
    CU_ASSERT(domid == DOMID && n == 1 && list[0] == GFNS - 1);
    errno = EPERM;
    return -1;
}

/* --- the pager of a domain all of whose pages are there, and Xen's end of its ring --- */

static struct xf_xen_pager pager;
static struct xf_view view;
static struct xf_toollog toollog;
static vm_event_front_ring_t front;
static uint8_t ring_page[XF_PAGE_SIZE] __attribute__((aligned(4096)));
static uint64_t gfns[XF_BATCH_PAGES];
static uint8_t refused[XF_BATCH_PAGES];
static struct xf_err err;

static void begin(void)
{
    memset(&xen, 0, sizeof(xen));
    memset(ring_page, 0, sizeof(ring_page));
    memset(refused, 0, sizeof(refused));
    xf_clear(&err);
    pager = (struct xf_xen_pager){.domid = DOMID, .nr_gfns = GFNS, .timer = -1};
    pager.epoll = epoll_create1(EPOLL_CLOEXEC);
    pager.paged = xf_bitmap_new(GFNS);
    pthread_mutex_init(&pager.lock, NULL);
    SHARED_RING_INIT((vm_event_sring_t *)ring_page);
    BACK_RING_INIT(&pager.ring, (vm_event_sring_t *)ring_page, XF_PAGE_SIZE);
    FRONT_RING_INIT(&front, (vm_event_sring_t *)ring_page, XF_PAGE_SIZE);
    view = (struct xf_view){.domid = DOMID, .pager = &pager};
    CU_ASSERT_FATAL(!xf_paging_open(&view.paging, &toollog, DOMID, &err));
    for (unsigned i = 0; i < XF_BATCH_PAGES; i++)
        gfns[i] = 100 + i;
}

static void end(void)
{
    xf_paging_close(&view.paging);
    close(pager.epoll);
    free(pager.paged);
    pthread_mutex_destroy(&pager.lock);
}

static int mark(unsigned n)
{
    return xf_xen_pager_ops.mark(&view, gfns, n, refused, &err);
}

/* The content of a page is its gfn, all over; every 7th is zero. */
static bool is_zero(uint64_t gfn)
{
    return gfn % 7 == 0;
}

static int put(unsigned n)
{
    static uint8_t pages[XF_BATCH_PAGES][XF_PAGE_SIZE];
    static const uint8_t *list[XF_BATCH_PAGES];
    int rc;

    for (unsigned i = 0; i < n; i++) {
        memset(pages[i], (int)(gfns[i] & 0xff), XF_PAGE_SIZE);
        list[i] = is_zero(gfns[i]) ? NULL : pages[i];
    }
    xen.hypercalls = 0;
    rc = xf_xen_pager_ops.put(&view, gfns, list, n, &err);
    memset(pages, 0xee, sizeof(pages)); /* they are the caller's again */
    return rc;
}

static bool is_in(uint64_t gfn)
{
    uint8_t want = is_zero(gfn) ? 0 : (uint8_t)gfn;

    return xen.p2m[gfn] == RAM && xen.content[gfn][0] == want && xen.content[gfn][4095] == want &&
           !xf_bit(pager.paged, gfn);
}

/* A vCPU touches a page. */
static void touch(uint64_t gfn, uint32_t vcpu)
{
    vm_event_request_t req = {.version = VM_EVENT_INTERFACE_VERSION,
                              .reason = VM_EVENT_REASON_MEM_PAGING,
                              .flags = VM_EVENT_FLAG_VCPU_PAUSED,
                              .vcpu_id = vcpu};
    struct xf_xen_sink sink = {.pager = &pager};
    struct xf_fault f[2];

    req.u.mem_paging.gfn = gfn;
    memcpy(RING_GET_REQUEST(&front, front.req_prod_pvt), &req, sizeof(req));
    front.req_prod_pvt++;
    RING_PUSH_REQUESTS(&front);
    CU_ASSERT_EQUAL(xf_xen_pager_ops.read_faults(&sink.vm, f, 2, &err), 1);
    CU_ASSERT(f[0].gfn == gfn && !f[0].dropped);
}

/* The vCPUs that were let go since the last call, a bit for each. */
static unsigned let_go(void)
{
    unsigned vcpus = 0;

    while (RING_HAS_UNCONSUMED_RESPONSES(&front)) {
        vm_event_response_t *r = RING_GET_RESPONSE(&front, front.rsp_cons);

        CU_ASSERT(r->version == VM_EVENT_INTERFACE_VERSION &&
                  r->reason == VM_EVENT_REASON_MEM_PAGING &&
                  (r->flags & VM_EVENT_FLAG_VCPU_PAUSED));
        vcpus |= 1u << r->vcpu_id;
        front.rsp_cons++;
    }
    return vcpus;
}

/* --- tests --- */

/* Paging that was turned on and is of no use is turned off: the move may go on without it. */
static void test_enable_fails(void)
{
    struct xf_xen_sink sink = {.pager = &pager};

    for (unsigned port = 0; port < 2; port++) {
        begin();
        xen.no_port = !port;
        CU_ASSERT_EQUAL(xf_xen_pager_ops.enable(&sink.vm, &err), -1);
        CU_ASSERT_EQUAL(err.num, port ? EPERM : ENOSPC);
        CU_ASSERT(!xen.paging && !pager.on);
        end();
    }
}

static void test_mark(void)
{
    begin();
    xen.held[gfns[3]] = xen.held[gfns[64]] = xen.held[gfns[1023]] = true;
    xen.busy[gfns[5]] = 1;
    xen.busy[gfns[700]] = 3;
    CU_ASSERT_EQUAL(mark(XF_BATCH_PAGES), 0);
    for (unsigned i = 0; i < XF_BATCH_PAGES; i++) {
        bool no = i == 3 || i == 64 || i == 1023;

        CU_ASSERT_EQUAL(refused[i], no);
        CU_ASSERT_EQUAL(xen.p2m[gfns[i]], no ? RAM : PAGED);
        CU_ASSERT_EQUAL(!!xf_bit(pager.paged, gfns[i]), !no);
    }
    CU_ASSERT_EQUAL(xf_bitmap_count(pager.paged, GFNS), XF_BATCH_PAGES - 3);
    /* 64 pages each, and those that were busy again: twice the first time, for it counts. */
    CU_ASSERT_EQUAL(xen.hypercalls, XF_BATCH_PAGES * 2 / XF_PAGING_OPS + 1 + 3);
    end();
}

static void test_mark_fails(void)
{
    begin();
    xen.fail[gfns[70]] = EINVAL;
    CU_ASSERT_EQUAL(mark(100), -1);
    CU_ASSERT(err.num == EINVAL && strstr(err.text, "nominate gfn 0xaa"));
    end();

    begin();
    xen.evict_fail[gfns[2]] = ENOMEM;
    CU_ASSERT_EQUAL(mark(4), -1);
    CU_ASSERT(err.num == ENOMEM && strstr(err.text, "evict gfn 0x66"));
    end();

    begin();
    xen.busy[gfns[2]] = 1000; /* it never ends */
    CU_ASSERT_EQUAL(mark(4), -1);
    CU_ASSERT(err.num == EBUSY && strstr(err.text, "evict gfn 0x66"));
    CU_ASSERT(xen.hypercalls < 20);
    end();

    begin();
    xen.stop_after = 5;
    CU_ASSERT_EQUAL(mark(4), -1);
    CU_ASSERT_EQUAL(err.num, EFAULT);
    end();
}

static void test_put(void)
{
    begin();
    CU_ASSERT_EQUAL(mark(100), 0);
    CU_ASSERT_EQUAL(put(100), 0);
    for (unsigned i = 0; i < 100; i++)
        CU_ASSERT(is_in(gfns[i]));
    CU_ASSERT_EQUAL(xen.hypercalls, (100 + XF_PAGING_PAGES - 1) / XF_PAGING_PAGES);
    /* Nobody waited. */
    CU_ASSERT(xen.notified == 0 && let_go() == 0);
    end();
}

/* Two vCPUs wait for one page of a list, a third for a page that does not come. */
static void test_waiters(void)
{
    begin();
    CU_ASSERT_EQUAL(mark(50), 0);
    touch(gfns[10], 0);
    touch(gfns[10], 2);
    touch(gfns[45], 1);
    CU_ASSERT_EQUAL(put(32), 0);
    CU_ASSERT_EQUAL(let_go(), 1u << 0 | 1u << 2);
    CU_ASSERT_EQUAL(xen.notified, 1);
    CU_ASSERT_EQUAL(pager.nr_waiters, 1);
    CU_ASSERT_EQUAL(put(50), 0); /* most of it a second time */
    CU_ASSERT_EQUAL(let_go(), 1u << 1);
    CU_ASSERT_EQUAL(xen.notified, 2);
    end();
}

/* One page of a list cannot be put in: the others are, and who waits for them goes on. */
static void test_put_fails(void)
{
    begin();
    CU_ASSERT_EQUAL(mark(40), 0);
    touch(gfns[4], 0);
    touch(gfns[5], 1);
    touch(gfns[31], 2);
    xen.fail[gfns[5]] = ENOMEM;
    CU_ASSERT_EQUAL(put(40), -1);
    CU_ASSERT(err.num == ENOMEM && strstr(err.text, "0x69") && strstr(err.text, "free some"));
    CU_ASSERT_EQUAL(let_go(), 1u << 0 | 1u << 2);
    for (unsigned i = 0; i < XF_PAGING_PAGES; i++)
        CU_ASSERT_EQUAL(is_in(gfns[i]), i != 5);
    CU_ASSERT(xf_bit(pager.paged, gfns[5]) && xen.p2m[gfns[5]] == PAGED);
    /* There is memory again: all of it comes once more, and is there then. */
    xen.fail[gfns[5]] = 0;
    CU_ASSERT_EQUAL(put(40), 0);
    for (unsigned i = 0; i < 40; i++)
        CU_ASSERT(is_in(gfns[i]));
    CU_ASSERT_EQUAL(let_go(), 1u << 1);
    end();
}

/* Xen leaves a list in the middle. */
static void test_put_cut_short(void)
{
    begin();
    CU_ASSERT_EQUAL(mark(20), 0);
    touch(gfns[3], 0);
    touch(gfns[15], 1);
    xen.stop_after = 10;
    CU_ASSERT_EQUAL(put(20), -1);
    CU_ASSERT_EQUAL(err.num, EFAULT);
    CU_ASSERT_EQUAL(let_go(), 1u << 0);
    for (unsigned i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(is_in(gfns[i]), i < 10);
    CU_ASSERT_EQUAL(put(20), 0);
    CU_ASSERT_EQUAL(let_go(), 1u << 1);
    end();
}

/*
 * A guest of as many vCPUs as Xen allows, each of which touches a page of its own. Xen's rule: a
 * request takes a slot of the ring until it is answered, and a vCPU that finds none sleeps within
 * Xen until there is one. So no more wait here than the ring has slots, none is answered before its
 * page is in (it would only ask again, without end), and each is let go on exactly once.
 */
#define VCPUS 128u /* HVM_MAX_VCPUS */

static void test_many_vcpus(void)
{
    struct xf_xen_sink sink = {.pager = &pager};
    unsigned asked = 0, done = 0, most = 0;
    bool went_on[VCPUS] = {false};
    struct xf_fault f[64];

    begin();
    for (unsigned i = 0; i < XF_BATCH_PAGES; i++)
        gfns[i] = 100 + i;
    CU_ASSERT_EQUAL(mark(VCPUS), 0);
    while (done < VCPUS) {
        const uint64_t *next = &gfns[done];
        const uint8_t *zeros = NULL;
        int n;

        for (; asked < VCPUS && !RING_FULL(&front); asked++) {
            vm_event_request_t req = {.version = VM_EVENT_INTERFACE_VERSION,
                                      .reason = VM_EVENT_REASON_MEM_PAGING,
                                      .flags = VM_EVENT_FLAG_VCPU_PAUSED,
                                      .vcpu_id = asked};

            req.u.mem_paging.gfn = gfns[asked];
            memcpy(RING_GET_REQUEST(&front, front.req_prod_pvt), &req, sizeof(req));
            front.req_prod_pvt++;
        }
        RING_PUSH_REQUESTS(&front);
        n = xf_xen_pager_ops.read_faults(&sink.vm, f, 64, &err);
        CU_ASSERT(n >= 0);
        CU_ASSERT(!RING_HAS_UNCONSUMED_RESPONSES(&front));
        most = pager.nr_waiters > most ? pager.nr_waiters : most;
        CU_ASSERT_EQUAL(xf_xen_pager_ops.put(&view, next, &zeros, 1, &err), 0);
        CU_ASSERT_FATAL(RING_HAS_UNCONSUMED_RESPONSES(&front));
        while (RING_HAS_UNCONSUMED_RESPONSES(&front)) {
            vm_event_response_t *r = RING_GET_RESPONSE(&front, front.rsp_cons);

            CU_ASSERT_FATAL(r->vcpu_id < VCPUS);
            CU_ASSERT(r->vcpu_id == done && !went_on[r->vcpu_id]);
            went_on[r->vcpu_id] = true;
            front.rsp_cons++;
            done++;
        }
    }
    CU_ASSERT_EQUAL(asked, VCPUS);
    CU_ASSERT_EQUAL(most, RING_SIZE(&front));
    CU_ASSERT(most <= XF_XEN_WAITERS);
    CU_ASSERT_EQUAL(pager.nr_waiters, 0);
    end();
}

static void test_gone(void)
{
    begin();
    CU_ASSERT_EQUAL(mark(20), 0);
    xen.dying = true;
    CU_ASSERT_EQUAL(put(20), -1);
    CU_ASSERT_EQUAL(err.num, ESRCH);
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"paging that cannot be used", test_enable_fails},
        {"many pages are marked in few hypercalls", test_mark},
        {"marking fails", test_mark_fails},
        {"many pages are put in by few hypercalls", test_put},
        {"who waits for one of them is let go on", test_waiters},
        {"one of them cannot be put in", test_put_fails},
        {"a list is cut short", test_put_cut_short},
        {"128 vCPUs wait", test_many_vcpus},
        {"the guest is gone", test_gone},
        CU_TEST_INFO_NULL,
    };

    return run_suite("Xen's pager", tests);
}
