/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Turning memory paging on and off, against a Xen made up here: every answer that Xen has
 * to ENABLE (vm_event_domctl(), xen/common/vm_event.c) becomes a sentence with its remedy, and
 * a guest that is gone is told apart from one that cannot be paged.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libxl-ext/xen/xen_pager.h"
#include "libxl-ext/xen/xen_sink.h"
#include "tests/unit/suite.h"

#define DOMID 9u
#define GFNS 64u
#define RING 40u

static struct {
    uint64_t ring;     /* the parameter */
    bool no_page;      /* at the ring's gfn, until it is populated */
    bool dying, dies;  /* it does so during ENABLE, which then says 0 */
    int enable_errno;  /* 0: it is turned on */
    int disable_errno; /* while disable_fails > 0 */
    int disable_fails;
    unsigned enabled, disabled, populated, hidden;
    int event;
    uint8_t *page;
} xen;

static int answer(int num)
{
    errno = num;
    return num ? -1 : 0;
}

xc_interface *xc_interface_open(xentoollog_logger *log, xentoollog_logger *dom, unsigned flags)
{
    (void)log;
    (void)dom;
    (void)flags;
    return (xc_interface *)&xen;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

xenevtchn_handle *xenevtchn_open(xentoollog_logger *log, unsigned flags)
{
    (void)log;
    (void)flags;
    return (xenevtchn_handle *)&xen;
}

int xenevtchn_close(xenevtchn_handle *xce)
{
    (void)xce;
    return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    (void)xce;
    return xen.event;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
                                                     evtchn_port_t port)
{
    (void)xce;
    CU_ASSERT_EQUAL(domid, DOMID);
    return port == 7 ? 3 : answer(xen.dying ? ESRCH : EINVAL);
}

xenforeignmemory_handle *xenforeignmemory_open(xentoollog_logger *log, unsigned flags)
{
    (void)log;
    (void)flags;
    return (xenforeignmemory_handle *)&xen;
}

int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
    (void)fmem;
    return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t domid, int prot, size_t n,
                           const xen_pfn_t *gfns, int *bad)
{
    (void)fmem;
    (void)prot;
    CU_ASSERT(domid == DOMID && n == 1 && gfns[0] == RING);
    *bad = xen.no_page ? -EINVAL : 0;
    return xen.page;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *page, size_t n)
{
    (void)fmem;
    CU_ASSERT(page == xen.page && n == 1);
    return 0;
}

int xc_hvm_param_get(xc_interface *xch, uint32_t domid, uint32_t param, uint64_t *value)
{
    (void)xch;
    (void)param;
    CU_ASSERT_EQUAL(domid, DOMID);
    *value = xen.ring;
    return 0;
}

int xc_domain_populate_physmap_exact(xc_interface *xch, uint32_t domid, unsigned long n,
                                     unsigned order, unsigned flags, xen_pfn_t *gfns)
{
    (void)xch;
    (void)order;
    (void)flags;
    CU_ASSERT(domid == DOMID && n == 1 && gfns[0] == RING);
    xen.populated++;
    xen.no_page = false;
    return 0;
}

int xc_domain_decrease_reservation_exact(xc_interface *xch, uint32_t domid, unsigned long n,
                                         unsigned order, xen_pfn_t *gfns)
{
    (void)xch;
    (void)order;
    CU_ASSERT(domid == DOMID && n == 1 && gfns[0] == RING);
    xen.hidden++;
    return 0;
}

int xc_domain_claim_pages(xc_interface *xch, uint32_t domid, unsigned long n)
{
    (void)xch;
    (void)domid;
    (void)n;
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

int xc_mem_paging_enable(xc_interface *xch, uint32_t domid, uint32_t *port)
{
    (void)xch;
    CU_ASSERT_EQUAL(domid, DOMID);
    xen.enabled++;
    if (xen.dies) { /* nothing is done, and the port is whatever was there */
        xen.dying = true;
        return 0;
    }
    *port = 7;
    return answer(xen.enable_errno);
}

int xc_mem_paging_disable(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    CU_ASSERT_EQUAL(domid, DOMID);
    xen.disabled++;
    return xen.disable_fails-- > 0 ? answer(xen.disable_errno) : 0;
}

/* --- the pager --- */

static struct xf_toollog toollog;
static struct xf_xen_pager pager;
static struct xf_xen_sink sink;
static struct xf_err err;

static void begin(void)
{
    uint8_t *page = xen.page;

    memset(&xen, 0, sizeof(xen));
    xen.ring = RING;
    xen.page = page;
    xen.event = eventfd(0, EFD_CLOEXEC);
    xf_clear(&err);
    sink = (struct xf_xen_sink){
        .vm = {.pager = &xf_xen_pager_ops, .nr_gfns = GFNS}, .domid = DOMID, .pager = &pager};
    CU_ASSERT_EQUAL_FATAL(xf_xen_pager_open(&pager, &toollog, DOMID, GFNS, &err), 0);
}

static int enable(void)
{
    return xf_xen_pager_ops.enable(&sink.vm, &err);
}

static int disable(void)
{
    return xf_xen_pager_ops.disable(&sink.vm, &err);
}

static void end(void)
{
    xf_xen_pager_close(&pager);
    close(xen.event);
}

static void test_on_and_off(void)
{
    begin();
    xen.no_page = true; /* an earlier paging has taken it away */
    CU_ASSERT(enable() == 0 && xen.populated == 1 && xen.hidden == 1);
    xen.disable_errno = EBUSY; /* vCPUs wait for a slot, and get one */
    xen.disable_fails = 3;
    CU_ASSERT(disable() == 0 && xen.disabled == 4);
    CU_ASSERT(disable() == 0 && xen.disabled == 4); /* it is off */
    end();
}

static void test_refused(void)
{
    static const struct {
        int num;
        const char *remedy;
    } answers[] = {{ENOSYS, "CONFIG_UNSUPPORTED=y and CONFIG_MEM_PAGING=y"},
                   {EOPNOTSUPP, "PV dom0"},
                   {ENODEV, "hap=1"},
                   {EMLINK, "set passthrough=\"disabled\""},
                   {EXDEV, "maxmem equal to memory"},
                   {EBUSY, "stop it"},
                   {EPERM, "allow dom0 mem_paging"},
                   {EINVAL, "try again"},
                   {ENOENT, "try again"},
                   {ENOMEM, "free some"}};

    for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        begin();
        xen.enable_errno = answers[i].num;
        CU_ASSERT_EQUAL(enable(), -1);
        CU_ASSERT_EQUAL(err.num, answers[i].num);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, answers[i].remedy));
        CU_ASSERT_PTR_NULL(strstr(err.text, strerror(answers[i].num)));
        CU_ASSERT_EQUAL(xen.hidden, 0);
        /* What was never turned on is not turned off. */
        CU_ASSERT(disable() == 0 && xen.disabled == 0);
        end();
    }
}

/* A guest that was built without a ring page, or whose parameter makes no sense. */
static void test_no_ring(void)
{
    static const uint64_t rings[] = {0, GFNS, UINT64_MAX};

    for (unsigned i = 0; i < 3; i++) {
        begin();
        xen.ring = rings[i];
        CU_ASSERT(enable() == -1 && err.num == EOPNOTSUPP && xen.enabled == 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "ring page"));
        end();
    }
}

/* Xen answers 0 for a domain that is dying, and has done nothing. */
static void test_dying(void)
{
    begin();
    xen.dying = true;
    CU_ASSERT(enable() == -1 && err.num == ESRCH && xen.enabled == 0);
    end();

    begin();
    xen.dies = true;
    CU_ASSERT(enable() == -1 && xen.enabled == 1 && xen.hidden == 0);
    end();

    begin();
    CU_ASSERT_EQUAL(enable(), 0);
    xen.dying = true;
    xen.disable_errno = EINVAL;
    xen.disable_fails = 1;
    CU_ASSERT(disable() == -1 && err.num == ESRCH && xen.disabled == 1);
    end();
}

static void test_stays_on(void)
{
    begin();
    CU_ASSERT_EQUAL(enable(), 0);
    xen.disable_errno = EPERM;
    xen.disable_fails = 1;
    CU_ASSERT(disable() == -1 && err.num == EPERM && xen.disabled == 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot turn memory paging of domain 9 off"));
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"on, and off again", test_on_and_off},
        {"every reason to refuse has a remedy", test_refused},
        {"no ring page", test_no_ring},
        {"a guest that is dying", test_dying},
        {"it cannot be turned off", test_stays_on},
        CU_TEST_INFO_NULL,
    };

    xen.page = aligned_alloc(XC_PAGE_SIZE, XC_PAGE_SIZE);
    return xen.page ? run_suite("memory paging, on and off", tests) : 2;
}
