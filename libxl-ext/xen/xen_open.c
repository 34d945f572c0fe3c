/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening Xen's privileged interface: see xen_open.h. XF_XEN_RELEASE comes from the Makefile. */
#include "libxl-ext/xen/xen_open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libxl-ext/libxl_ext.h"

const char *xf_xen_release(void)
{
    _Static_assert(sizeof(XF_XEN_RELEASE) > 1, "is libxen-dev installed?");
    return XF_XEN_RELEASE;
}

static int fits(xc_interface *xch, struct xf_err *err)
{
    int version = xc_version(xch, XENVER_version, NULL);
    char here[24];

    if (version < 0)
        return xf_fail(err, errno, "cannot read Xen's version: %s", strerror(errno));
    snprintf(here, sizeof(here), "%d.%d", version >> 16, version & 0xffff);
    if (!strcmp(here, xf_xen_release()))
        return 0;
    return xf_fail(err, ENOTSUP,
                   "this is Xenferry for Xen %s, but Xen %s runs here: install Xenferry for Xen %s",
                   xf_xen_release(), here, here);
}

int xf_xen_open(xc_interface **xch, struct xf_toollog *log, struct xf_err *err)
{
    *xch = xc_interface_open(&log->vtable, &log->vtable, 0);
    if (!*xch)
        return xf_fail(err, errno, "cannot talk to Xen (%s); is this a dom0, and are you root?",
                       strerror(errno));
    if (!fits(*xch, err))
        return 0;
    xc_interface_close(*xch);
    *xch = NULL;
    return -1;
}

int xf_xen_check(struct xf_toollog *log, struct xf_err *err)
{
    xc_interface *xch;

    if (xf_xen_open(&xch, log, err))
        return -1;
    xc_interface_close(xch);
    return 0;
}
