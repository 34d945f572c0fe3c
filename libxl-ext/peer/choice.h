/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which transport a move uses: each side's RDMA capabilities, in a form that fits into the hello,
 * and the choice made from them in CHECK.
 */
#ifndef XF_CHOICE_H
#define XF_CHOICE_H

#include "libxl-ext/libxl_ext.h"
#include "transport/rdma/probe.h"
#include "transport/transport.h"

/* What prevents RDMA on one side. */
enum xf_rdma_state {
    XF_RDMA_UNASKED, /* not examined */
    XF_RDMA_READY,
    XF_RDMA_NO_DEVICE,
    XF_RDMA_DOWN,         /* no port is active */
    XF_RDMA_UNUSABLE,     /* lacks capabilities that the transport needs */
    XF_RDMA_NO_ADDRESS,   /* no active port has an address, or the one asked for */
    XF_RDMA_MEMLOCK,      /* the limit of locked memory is too low */
    XF_RDMA_REGISTRATION, /* the device refuses to register memory */
    XF_RDMA_STATES
};
/* A stable word: "unasked", "ready", "no-device", "down", ... */
const char *xf_rdma_state_word(enum xf_rdma_state s);

struct xf_rdma_side {
    enum xf_rdma_state state;
    char why[320]; /* what prevents RDMA, with the remedy; empty when ready */
    unsigned nr_addresses;
    char addresses[XF_RDMA_ADDRS_MAX][XF_ADDR_LEN]; /* of active ports, when ready */
};

/*
 * The state of a side with these n ports. only (nr_only of them; 0: any) are the addresses it shall
 * use. memlock is the error of registering memory, or NULL. Pure.
 */
void xf_rdma_judge(const struct xf_rdma_device *ports, int n, const char only[][XF_ADDR_LEN],
                   unsigned nr_only, const struct xf_err *memlock, struct xf_rdma_side *out);

/* Examine this machine's ports and judge them, for channels as in cfg. */
void xf_rdma_look(const struct xf_link_cfg *cfg, const char only[][XF_ADDR_LEN], unsigned nr_only,
                  struct xf_rdma_side *out);

enum xf_choice { XF_CHOICE_TCP, XF_CHOICE_RDMA, XF_CHOICE_NONE };

/*
 * The choice. `route`: why `here` does not reach `there` over RDMA; NULL: it does, or that was not
 * tried yet. `why` is set to one sentence when RDMA was wanted and is not chosen, else empty. Pure.
 */
enum xf_choice xf_choose(enum xf_transport wish, const struct xf_rdma_side *here,
                         const struct xf_rdma_side *there, const struct xf_err *route, char *why,
                         size_t size);

#endif
