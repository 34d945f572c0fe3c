/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a domain of this host: see domain_here.h. */
#include "libxl-ext/xen/domain_here.h"

#include <errno.h>
#include <string.h>

#include <libxl.h>
#include <xen/sched.h>

int xf_domain_info(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info)
{
    int n = xc_domain_getinfolist(xch, domid, 1, info);

    /* Xen answers with the next existing domain. */
    if (n == 1 && info->domain == domid)
        return 0;
    if (n >= 0)
        errno = ESRCH;
    return -1;
}

static enum xf_here of_shutdown(unsigned reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        return XF_HERE_POWEROFF;
    case SHUTDOWN_reboot:
    case SHUTDOWN_soft_reset:
        return XF_HERE_REBOOT;
    case SHUTDOWN_suspend:
        return XF_HERE_SUSPENDED;
    case SHUTDOWN_watchdog:
        return XF_HERE_WATCHDOG;
    default:
        return XF_HERE_CRASHED;
    }
}

enum xf_here xf_here_of(const xc_domaininfo_t *info)
{
    enum xf_here here = XF_HERE_RUNS;

    if (info->flags & XEN_DOMINF_shutdown)
        here = of_shutdown((info->flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask);
    else if (info->flags & XEN_DOMINF_paused)
        here = XF_HERE_PAUSED;
    /* xl's monitor destroys a domain that has ended: how it ended is the reason, and what people
     * want to know. */
    if (info->flags & XEN_DOMINF_dying && (xf_here_lives(here) || here == XF_HERE_SUSPENDED))
        here = XF_HERE_DESTROYED;
    return here;
}

enum xf_here xf_xen_here(xc_interface *xch, uint32_t domid)
{
    xc_domaininfo_t info;

    return xf_domain_info(xch, domid, &info) ? XF_HERE_DESTROYED : xf_here_of(&info);
}

enum xf_dom xf_domain_here(xc_interface *xch, uint32_t domid, const char *uuid)
{
    xc_domaininfo_t info;
    libxl_uuid wanted;

    if (xf_domain_info(xch, domid, &info))
        return errno == ESRCH ? XF_DOM_GONE : XF_DOM_UNKNOWN;
    if (libxl_uuid_from_string(&wanted, uuid) ||
        memcmp(info.handle, libxl_uuid_bytearray(&wanted), sizeof(info.handle)) != 0)
        return XF_DOM_OTHER;
    if (info.flags & XEN_DOMINF_dying)
        return XF_DOM_DYING;
    return xf_here_of(&info) == XF_HERE_SUSPENDED ? XF_DOM_SUSPENDED : XF_DOM_RUNS;
}

bool xf_here_lives(enum xf_here here)
{
    return here == XF_HERE_RUNS || here == XF_HERE_PAUSED;
}

const char *xf_here_text(enum xf_here here)
{
    static const char *const texts[XF_HERES] = {
        [XF_HERE_RUNS] = "runs",
        [XF_HERE_PAUSED] = "was paused",
        [XF_HERE_SUSPENDED] = "was suspended by another program",
        [XF_HERE_POWEROFF] = "has powered off",
        [XF_HERE_REBOOT] = "has rebooted",
        [XF_HERE_CRASHED] = "has crashed",
        [XF_HERE_WATCHDOG] = "was stopped by its watchdog",
        [XF_HERE_DESTROYED] = "was destroyed",
    };

    return here < XF_HERES && texts[here] ? texts[here] : "has ended";
}

const char *xf_here_word(enum xf_here here)
{
    static const char *const words[XF_HERES] = {
        [XF_HERE_RUNS] = "running",        [XF_HERE_PAUSED] = "paused",
        [XF_HERE_SUSPENDED] = "suspended", [XF_HERE_POWEROFF] = "poweroff",
        [XF_HERE_REBOOT] = "reboot",       [XF_HERE_CRASHED] = "crashed",
        [XF_HERE_WATCHDOG] = "watchdog",   [XF_HERE_DESTROYED] = "destroyed",
    };

    return here < XF_HERES ? words[here] : NULL;
}
