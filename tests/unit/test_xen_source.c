/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A Xen domain at the source, against a Xen made up here: what a page that cannot be mapped
 * means. Of a domain that lives it is a hole; of one that is being destroyed, or is gone, it is
 * nothing at all, and the running guest must not get zeros for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/qdisk.h"
#include "libxl-ext/xen/xen_source.h"
#include "libxl-ext/xen/xen_view.h"
#include "tests/unit/suite.h"

#define DOMID 9u
#define GFNS 2048u
#define HOLE 102u

static struct {
    bool dying, gone, shutdown;
    uint64_t ran_ns;
    unsigned paused;
    uint64_t gfns; /* highest + 1; 0: GFNS */
    unsigned asked, mapped;
    uint8_t memory[4 * XF_PAGE_SIZE];
} xen;

/* --- Xen's libraries, as far as they are used --- */

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild,
                                unsigned flags)
{
    (void)logger;
    (void)dombuild;
    (void)flags;
    return (xc_interface *)&xen;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int xc_domain_nr_gpfns(xc_interface *xch, uint32_t domid, xen_pfn_t *gpfns)
{
    (void)xch;
    (void)domid;
    *gpfns = xen.gfns ? xen.gfns : GFNS;
    return 0;
}

int xc_hvm_param_get(xc_interface *xch, uint32_t domid, uint32_t param, uint64_t *value)
{
    (void)xch;
    (void)domid;
    (void)param;
    *value = 0;
    return 0;
}

void *xc__hypercall_buffer_alloc_pages(xc_interface *xch, xc_hypercall_buffer_t *b, int nr_pages)
{
    (void)xch;
    b->hbuf = calloc((size_t)nr_pages, XC_PAGE_SIZE);
    return b->hbuf;
}

void xc__hypercall_buffer_free_pages(xc_interface *xch, xc_hypercall_buffer_t *b, int nr_pages)
{
    (void)xch;
    (void)nr_pages;
    free(b->hbuf);
}

/* Of a domain that is not there Linux's privcmd says so page by page, like of a hole. */
void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages,
                           const xen_pfn_t arr[], int err[])
{
    (void)fmem;
    CU_ASSERT(dom == DOMID && prot == PROT_READ && pages <= 4);
    xen.mapped++;
    for (size_t i = 0; i < pages; i++)
        err[i] = xen.gone ? -ESRCH : xen.dying || arr[i] == HOLE ? -EINVAL : 0;
    return xen.memory;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
    (void)fmem;
    CU_ASSERT(addr == xen.memory && pages <= 4);
    xen.mapped--;
    return 0;
}

/* Xen answers with the next domain that there is. */
int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max, xc_domaininfo_t *info)
{
    (void)xch;
    (void)max;
    xen.asked++;
    memset(info, 0, sizeof(*info));
    info->domain = (domid_t)(xen.gone ? first + 3 : first);
    info->cpu_time = xen.ran_ns;
    info->max_pages = GFNS;
    if (xen.dying)
        info->flags |= XEN_DOMINF_dying;
    if (xen.shutdown)
        info->flags |= XEN_DOMINF_shutdown | (SHUTDOWN_suspend << XEN_DOMINF_shutdownshift);
    return 1;
}

int xc_domain_pause(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    CU_ASSERT_EQUAL(domid, DOMID);
    xen.paused++;
    return 0;
}

/* --- tests --- */

static struct xf_toollog toollog;
static struct xf_xen_source source;
static struct xf_view view;
static struct xf_map m;
static struct xf_err err;

/* A kind of guest that is made up: one ring, and a state of its own. */

static unsigned rings(const struct xf_param *params, uint32_t n, uint64_t nr_gfns, uint64_t *out,
                      unsigned max)
{
    (void)params;
    CU_ASSERT(n == 0 && nr_gfns && max >= 1);
    out[0] = 77;
    return 1;
}

static int suspend(struct xf_source_vm *vm, struct xf_err *e)
{
    xen.shutdown = ((struct xf_xen_source *)vm)->domid == DOMID;
    (void)e;
    return 0;
}

static int resume(struct xf_source_vm *vm, struct xf_err *e)
{
    (void)vm;
    (void)e;
    xen.shutdown = false;
    return 0;
}

static int state(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *e)
{
    (void)vm;
    return xf_state_add(s, XF_PART_HVM_CONTEXT, XF_PART_MUST, strdup("made up"), 8, e);
}

static unsigned flushes;

int xf_qdisks_flush_end(struct xf_qdisks *q, int timeout_ms, struct xf_err *e)
{
    (void)q;
    flushes++;
    return timeout_ms > 500 ? xf_fail(e, ETIMEDOUT, "the disk is slow") : 0;
}

static const struct xf_guest_kind_ops made_up = {
    .name = "made up", .rings = rings, .suspend = suspend, .resume = resume, .state = state};

static void begin(void)
{
    memset(&xen, 0, sizeof(xen));
    xf_clear(&err);
    view = (struct xf_view){.domid = DOMID};
    CU_ASSERT_FATAL(!xf_xen_source_open(&source, NULL, &toollog, DOMID, &made_up, &err));
    xen.asked = 0;
}

static int map(uint64_t first)
{
    const uint64_t gfns[] = {first, first + 1, first + 2};

    return source.vm.ops->map(&view, gfns, 3, &m, &err);
}

static void test_hole(void)
{
    begin();
    CU_ASSERT_EQUAL(map(110), 0);
    CU_ASSERT(!m.err[0] && !m.err[1] && !m.err[2] && xen.asked == 0); /* and nobody is asked */
    source.vm.ops->unmap(&view, &m);
    CU_ASSERT_EQUAL(map(HOLE - 1), 0);
    CU_ASSERT(!m.err[0] && m.err[1] && !m.err[2]);
    source.vm.ops->unmap(&view, &m);
    CU_ASSERT_EQUAL(xen.mapped, 0);
    xf_xen_source_close(&source);
}

static void test_destroyed(void)
{
    for (unsigned gone = 0; gone < 2; gone++) {
        begin();
        xen.gone = gone;
        xen.dying = !gone;
        CU_ASSERT_EQUAL(map(110), -1);
        CU_ASSERT_EQUAL(err.num, ESRCH);
        CU_ASSERT(xen.mapped == 0 && m.base == NULL);
        xf_xen_source_close(&source);
    }
}

/* GO is for a guest that lies here suspended: not for one that is being destroyed meanwhile. */
static void test_suspended(void)
{
    begin();
    CU_ASSERT(!source.vm.ops->suspended(&source.vm));
    xen.shutdown = true;
    CU_ASSERT(source.vm.ops->suspended(&source.vm));
    xen.dying = true;
    CU_ASSERT(!source.vm.ops->suspended(&source.vm));
    xf_xen_source_close(&source);
}

static int look(void)
{
    xf_clear(&err);
    return source.vm.ops->untouched(&source.vm, &view, &err);
}

/* After GO: that it is suspended is not enough, it must never have run in between. It is paused
 * once, since Xen counts. */
static void test_untouched(void)
{
    for (unsigned again = 0; again < 2; again++) {
        begin();
        xen.shutdown = true;
        xen.ran_ns = 1000;
        CU_ASSERT_EQUAL(look(), 0);
        CU_ASSERT_EQUAL(look(), 0);
        xen.shutdown = again;
        xen.ran_ns += 5;
        CU_ASSERT(look() == -1 && err.num == EBUSY && strstr(err.text, "resumed by somebody"));
        CU_ASSERT_EQUAL(xen.paused, 1);
        xen.shutdown = true;
        CU_ASSERT(look() == -1 && err.num == EBUSY);
        CU_ASSERT_EQUAL(xen.paused, 1);
        xen.dying = true;
        CU_ASSERT(look() == -1 && err.num == ESRCH);
        xf_xen_source_close(&source);
    }
    begin(); /* it was resumed and suspended again while no process of the move lived */
    xen.shutdown = true;
    xen.ran_ns = 1000;
    CU_ASSERT_EQUAL(xf_xen_source_ran(&source), 1000);
    xf_xen_source_set_ran(&source, 999);
    CU_ASSERT(look() == -1 && err.num == EBUSY && xf_xen_source_ran(&source) == 0);
    xf_xen_source_close(&source);
    begin(); /* its record does not know */
    xen.shutdown = true;
    xf_xen_source_set_ran(&source, 0);
    CU_ASSERT_EQUAL(look(), 0);
    xf_xen_source_close(&source);
    begin(); /* running when it is looked at for the first time */
    CU_ASSERT(look() == -1 && err.num == EBUSY && xen.paused == 1);
    xf_xen_source_close(&source);
}

/* One page far up, and there would be a bit of each of eight bitmaps for every gfn below it. */
static void test_far_up(void)
{
    static const uint64_t far[] = {2 * GFNS + (16ull << 30 >> 12) + 1, 1ull << 36, 1ull << 40};

    for (unsigned i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        memset(&xen, 0, sizeof(xen));
        xf_clear(&err);
        xen.gfns = far[i];
        CU_ASSERT_EQUAL(xf_xen_source_open(&source, NULL, &toollog, DOMID, &made_up, &err), -1);
        CU_ASSERT(err.num == EFBIG && strstr(err.text, "start it again"));
    }
    xen.gfns = far[0] - 1;
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_xen_source_open(&source, NULL, &toollog, DOMID, &made_up, &err), 0);
    xf_xen_source_close(&source);
}

/* What depends on the kind of a guest is asked of its kind, and of nobody else. */
static void test_kind(void)
{
    static const libxl_domain_type others[] = {LIBXL_DOMAIN_TYPE_INVALID, LIBXL_DOMAIN_TYPE_PV};
    const struct xf_guest_kind_ops *pvh = xf_guest_kind(LIBXL_DOMAIN_TYPE_PVH);
    const struct xf_guest_kind_ops *hvm = xf_guest_kind(LIBXL_DOMAIN_TYPE_HVM);
    struct xf_source_vm *vm = &source.vm;
    struct xf_state s = {0};

    begin();
    CU_ASSERT(vm->nr_rings == 1 && vm->rings[0] == 77 && !vm->ops->eager);
    CU_ASSERT(vm->ops->suspend(vm, &err) == 0 && xen.shutdown);
    CU_ASSERT(vm->ops->state(vm, &s, &err) == 0);
    CU_ASSERT(s.nr == 1 && s.list[0].len == 8 && !flushes);
    xf_state_free(&s);
    /* Late devices: its writes are on its disks before the copy opens them. */
    s = (struct xf_state){0};
    source.flush_ms = 500;
    CU_ASSERT(vm->ops->state(vm, &s, &err) == 0 && s.nr == 1 && flushes == 1);
    xf_state_free(&s);
    s = (struct xf_state){0};
    source.flush_ms = 600;
    CU_ASSERT(vm->ops->state(vm, &s, &err) == -1 && !s.nr && err.num == ETIMEDOUT);
    xf_clear(&err);
    /* Whatever kind it is of: what somebody else has suspended is not ours to resume. */
    CU_ASSERT(vm->ops->resume(vm, &err) == -1 && err.num == EBUSY && xen.shutdown);
    source.asked = source.may_stop = true;
    CU_ASSERT(vm->ops->resume(vm, &err) == 0 && !xen.shutdown && !source.may_stop);
    xf_xen_source_close(&source);

    /* For PULL alone it needs none. */
    CU_ASSERT_FATAL(!xf_xen_source_open(&source, NULL, &toollog, DOMID, NULL, &err));
    CU_ASSERT(!vm->nr_rings && !vm->ops->suspend && !vm->ops->state && vm->ops->untouched);
    xf_xen_source_close(&source);

    for (unsigned i = 0; i < 2; i++)
        CU_ASSERT_PTR_NULL(xf_guest_kind(others[i]));
    CU_ASSERT_PTR_EQUAL_FATAL(pvh, &xf_guest_pvh);
    CU_ASSERT(pvh->rings && pvh->skeleton && pvh->suspend && pvh->resume && pvh->state);
    CU_ASSERT(pvh->eager && pvh->load_state && pvh->run);
    CU_ASSERT(!pvh->device_model && !pvh->load_devices && !pvh->log_writes);
    CU_ASSERT_PTR_EQUAL_FATAL(hvm, &xf_guest_hvm);
    CU_ASSERT(hvm->rings && hvm->skeleton && hvm->suspend && hvm->resume && hvm->state);
    CU_ASSERT(hvm->load_state && hvm->run);
    CU_ASSERT(hvm->device_model && hvm->load_devices && hvm->log_writes);
}

int main(void)
{
    CU_TestInfo tests[] = {{"a hole", test_hole},
                           {"a page far above the memory", test_far_up},
                           {"a domain that is destroyed", test_destroyed},
                           {"suspended, or not any more", test_suspended},
                           {"it has not run since", test_untouched},
                           {"kinds of guests", test_kind},
                           CU_TEST_INFO_NULL};

    return run_suite("Xen domain, source", tests);
}
