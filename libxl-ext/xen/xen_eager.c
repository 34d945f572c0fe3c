/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages that must be in place before GO: see xen_eager.h.
 *
 * Why: when Linux (5.16 and newer) resumes, each CPU registers its vcpu_info, which lies in its
 * per-CPU area, and Xen 4.17 answers EINVAL when that page is absent (xen/common/domain.c,
 * map_vcpu_info()); the kernel panics. The pages of secondary CPUs may never have been touched
 * before, so the dirty log does not reliably list them.
 */
#include "libxl-ext/xen/xen_eager.h"

#include <xen/hvm/save.h>

#include "libxl-ext/xen/xen_source.h"
#include "pages/bitmap.h"

#define VCPUS_MAX 128u
/* The static per-CPU variables of a distribution's kernel take about 200 KiB. The area lies in the
 * direct map and is contiguous; nevertheless it is translated once per step. */
#define AREA_PAGES 128u
#define STEP_PAGES 32u

static void add_area(struct xf_xen_source *x, unsigned vcpu, uint64_t base, unsigned long *bitmap)
{
    if (!(base >> 63))
        return; /* not a kernel address */
    for (unsigned at = 0; at < AREA_PAGES; at += STEP_PAGES) {
        unsigned long gfn = xc_translate_foreign_address(x->xch, x->domid, (int)vcpu,
                                                         base + (uint64_t)at * XF_PAGE_SIZE);

        for (uint64_t g = gfn; gfn && g < gfn + STEP_PAGES && g < x->vm.nr_gfns; g++)
            xf_set(bitmap, g);
    }
}

int xf_xen_eager(struct xf_source_vm *vm, unsigned long *bitmap, struct xf_err *err)
{
    struct xf_xen_source *x = (struct xf_xen_source *)vm;
    HVM_SAVE_TYPE(CPU) cpu;

    (void)err; /* a guest in which nothing is found counts as one that needs nothing */
    for (unsigned vcpu = 0; vcpu < VCPUS_MAX; vcpu++) {
        if (xc_domain_hvm_getcontext_partial(x->xch, x->domid, HVM_SAVE_CODE(CPU), (uint16_t)vcpu,
                                             &cpu, sizeof(cpu)))
            break;
        /* Swapped or not, one of the two is the kernel's. */
        add_area(x, vcpu, cpu.gs_base, bitmap);
        add_area(x, vcpu, cpu.shadow_gs, bitmap);
    }
    return 0;
}
