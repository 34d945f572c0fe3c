/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Absent pages of a Xen domain (struct xf_pager_ops): Xen's memory paging. A page is evicted
 * (nominate, evict); an access to it makes Xen put a request on a ring; loading it (prep, with its
 * content) lets the access continue. docs/xen-notes.md describes Xen's unexpected behaviour.
 *
 * Threads: put from any thread, with its own view; all else as in pages/vm.h.
 */
#ifndef XF_XEN_PAGER_H
#define XF_XEN_PAGER_H

#include <pthread.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xen/vm_event.h>

#include "libxl-ext/xen/toollog.h"
#include "pages/vm.h"
#include "transport/lock.h"

/* As many as the ring could have slots (it has 8): a request keeps its slot until it is answered,
 * however many vCPUs the guest has (128 at most). All others wait within Xen for a slot. */
#define XF_XEN_WAITERS (XC_PAGE_SIZE / sizeof(vm_event_request_t))

/* A paused vCPU, to be resumed when its page is in. */
struct xf_xen_waiter {
    uint64_t gfn;
    uint32_t vcpu, flags, paging_flags;
};

XF_LOCK_ROLE(xf_xen_pager_lock);

struct xf_xen_pager {
    uint32_t domid;
    uint64_t nr_gfns;
    xc_interface *xch;       /* the move's thread's */
    xc_interface *fault_xch; /* that of the thread that calls read_faults */
    xenevtchn_handle *xce;
    xenforeignmemory_handle *fmem;
    evtchn_port_t port;
    bool on; /* paging is enabled */
    int epoll, timer;
    void *page; /* the ring's */

    pthread_mutex_t lock;
    vm_event_back_ring_t ring XF_GUARDED(xf_xen_pager_lock);
    /* The ring holds responses of which Xen was not notified yet. */
    bool answered XF_GUARDED(xf_xen_pager_lock);
    /* Evicted, and not loaded again as far as known. */
    unsigned long *paged XF_GUARDED(xf_xen_pager_lock);
    struct xf_xen_waiter waiters[XF_XEN_WAITERS] XF_GUARDED(xf_xen_pager_lock);
    unsigned nr_waiters XF_GUARDED(xf_xen_pager_lock);
};

extern const struct xf_pager_ops xf_xen_pager_ops;

/* Opens handles and allocates memory; asks nothing of Xen yet. log must outlive it. After -1 there
 * is nothing to close. */
int xf_xen_pager_open(struct xf_xen_pager *p, struct xf_toollog *log, uint32_t domid,
                      uint64_t nr_gfns, struct xf_err *err);
/* Frees its own resources. Paging that is still enabled stays enabled: either the domain will be
 * destroyed, or it has pages that nobody will bring. */
void xf_xen_pager_close(struct xf_xen_pager *p);

/* The error text for an errno of XEN_VM_EVENT_ENABLE, with its remedy. */
const char *xf_paging_refusal(int num);

#endif
