/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink process of a receiving move: see receive.c for who is who. */
#ifndef XF_RECEIVE_SINK_H
#define XF_RECEIVE_SINK_H

#include <sys/types.h>

#include "libxl-ext/builder.h"
#include "libxl-ext/libxl_ext.h"

/* Memory shared by guard and sink. Written by the sink only. */
struct xf_sink_shared {
    volatile bool committed; /* GO has come: the guest is not to be destroyed any more */
    volatile bool said;      /* the sink ended by itself; err says how */
    volatile pid_t xl;       /* the stock xl, 0: none */
    char domain[128];        /* empty until known */
    struct xf_err err;
};

/* Runs the whole receiving side. Returns the exit status. */
int xf_sink_main(const struct xf_receive_opts *o, struct xf_builder_fds *fds, pid_t guard,
                 struct xf_sink_shared *shared);

#endif
