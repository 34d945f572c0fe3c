/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Agreeing on the version of the wire protocol: see agree.h. */
#include "libxl-ext/peer/agree.h"

#include <errno.h>
#include <stdio.h>

#include "transport/version.h"
#include "transport/wire.h"

struct xf_build xf_build_here(void)
{
    struct xf_build b = {.newest = XF_WIRE_VERSION, .oldest = XF_WIRE_OLDEST};

    snprintf(b.release, sizeof(b.release), "%s", xf_version());
    return b;
}

int xf_agree(const struct xf_build *here, const struct xf_build *there, unsigned *version,
             struct xf_err *err)
{
    unsigned newest = here->newest < there->newest ? here->newest : there->newest;
    unsigned oldest = here->oldest > there->oldest ? here->oldest : there->oldest;

    if (newest >= oldest) {
        *version = newest;
        return 0;
    }
    return xf_fail(err, EPROTONOSUPPORT,
                   "Xenferry %s on this host and %s%s on the other one have no version of the "
                   "protocol in common (%u to %u here, %u to %u there): install the same Xenferry "
                   "on both",
                   here->release, there->release[0] ? "Xenferry " : "an older one",
                   there->release[0] ? there->release : "", here->oldest, here->newest,
                   there->oldest, there->newest);
}
