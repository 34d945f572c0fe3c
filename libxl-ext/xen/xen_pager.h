/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Absent pages of a Xen domain (struct xf_pager_ops): Xen's memory paging. A page is evicted
 * (nominate, evict), whoever touches it makes Xen put a request on a ring, and loading it
 * (prep, with its content) lets it go on. docs/xen-notes.md says what Xen does unexpectedly.
 *
 * Threads: put from any thread, with a view of its own; all else as in pages/vm.h.
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

/* A paused vCPU, to be let go on when its page is in. */
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
    /* Responses are on the ring that Xen has not been told of. */
    bool answered XF_GUARDED(xf_xen_pager_lock);
    /* Evicted, and not in again as far as we know. */
    unsigned long *paged XF_GUARDED(xf_xen_pager_lock);
    struct xf_xen_waiter waiters[XF_XEN_WAITERS] XF_GUARDED(xf_xen_pager_lock);
    unsigned nr_waiters XF_GUARDED(xf_xen_pager_lock);
};

extern const struct xf_pager_ops xf_xen_pager_ops;

/* Handles and memory; nothing is asked of Xen yet. log must outlive it. After -1 nothing needs
 * to be closed. */
int xf_xen_pager_open(struct xf_xen_pager *p, struct xf_toollog *log, uint32_t domid,
                      uint64_t nr_gfns, struct xf_err *err);
/* Frees what is ours. Paging that is still enabled stays so: the domain is to be destroyed, or
 * there are pages that nobody will bring. */
void xf_xen_pager_close(struct xf_xen_pager *p);

/* The sentence for an errno of XEN_VM_EVENT_ENABLE, with its remedy. */
const char *xf_paging_refusal(int num);

#endif
