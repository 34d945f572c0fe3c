/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xf_resume_here(): take back the guest of an unfinished move. Refused while it may run elsewhere,
 * unless that is forced.
 */
#include "libxl-ext/source/recover.h"
#include "libxl-ext/xen/xen_open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/status.h"
#include "libxl-ext/xen/xen_source.h"

/* A domain that stepped aside for a move within one host gets its own name back. */
static int take_name_back(libxl_ctx *ctx, uint32_t domid, struct xf_err *err)
{
    char *away = libxl_domid_to_name(ctx, domid);
    size_t len = xf_recover_own_name(away);
    int rc = 0;

    if (len) {
        char *name = strndup(away, len);

        if (!name || libxl_domain_rename(ctx, domid, away, name))
            rc = xf_fail(err, EIO, "the domain runs, but could not be renamed from \"%s\"", away);
        free(name);
    }
    free(away);
    return rc;
}

#define IF_OFF                                                                                     \
    "if that host is off and will not run it again, `xl migrate-recover --resume --force` takes "  \
    "it back from its state at the switch"

/* Would it run twice? */
static int may_resume(libxl_ctx *ctx, const struct xf_record *r, struct xf_err *err)
{
    struct xf_err why = {0};

    if (r->state == XF_RECORD_READY)
        return 0;
    if (r->state == XF_RECORD_TWICE)
        return xf_fail(err, EEXIST,
                       "somebody let it run here while it ran at \"%.100s\": if it is gone there "
                       "for good, `xl migrate-recover --resume --force` lets it go on here",
                       r->host);
    if (r->state != XF_RECORD_GO)
        return xf_fail(err, EEXIST,
                       "it runs at \"%.100s\"%s: `xl migrate-recover` without --resume "
                       "finishes the move; " IF_OFF,
                       r->host, r->state == XF_RECORD_PULLING ? ", without all of its pages" : "");
    switch (xf_recover_ask(ctx, r, NULL, &why)) {
    case XF_WHERE_NOWHERE:
        return 0;
    case XF_WHERE_LACKING:
    case XF_WHERE_WHOLE:
        return xf_fail(err, EEXIST,
                       "it runs at \"%.100s\": `xl migrate-recover` without --resume "
                       "finishes the move",
                       r->host);
    case XF_WHERE_OTHER:
        return xf_fail(err, EEXIST,
                       "at \"%.80s\" %.150s: it may be the same guest, booted anew; if it is not, "
                       "`xl migrate-recover --resume --force` lets this one run here",
                       r->host, why.text);
    case XF_WHERE_DYING:
        return xf_fail(err, EAGAIN, "at \"%.80s\" %.150s; try again in a minute", r->host,
                       why.text);
    case XF_WHERE_INCOMING:
        return xf_fail(err, EAGAIN,
                       "\"%.100s\" still has a copy that was never started, and may be about to "
                       "destroy it; try again in a minute",
                       r->host);
    case XF_WHERE_SILENT:
        break;
    }
    return xf_fail(err, why.num ? why.num : EHOSTUNREACH,
                   "\"%.80s\" was told to run it and cannot be asked (%.120s); " IF_OFF, r->host,
                   why.text);
}

/* 0: it may be resumed, `force` taken into account; *twice: it was resumed before, and paused
 * because of that. */
static int check_record(libxl_ctx *ctx, xc_interface *xch, const char *domain, uint32_t domid,
                        bool force, bool *twice, struct xf_err *err)
{
    struct xf_record *r = calloc(1, sizeof(*r));
    enum xf_fit fit = XF_FIT_OLD;
    enum xf_dom here;
    int fd = -1, rc;

    *twice = false;
    if (!r)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = xf_record_read(xf_run_dir(), domid, r, &fd, err);
    if (rc)
        xf_wrap(err, "cannot tell whether it runs elsewhere (--force resumes it all the same)");
    else
        rc = xf_recover_fit(ctx, xch, domid, r, &fit, &here, err);
    if (!rc && fit == XF_FIT_OTHER && !force)
        rc = xf_recover_misfit(domain, domid, r, err);
    if (!rc && fit == XF_FIT_ITS) {
        *twice = r->state == XF_RECORD_TWICE;
        if (!force && (here == XF_DOM_SUSPENDED || *twice))
            rc = may_resume(ctx, r, err);
    }
    if (rc && force) { /* of no use; Xen decides what is possible without it */
        xf_clear(err);
        rc = 0;
    }
    if (fd >= 0)
        close(fd);
    explicit_bzero(r, sizeof(*r));
    free(r);
    return rc;
}

/* Let the domain run; it is suspended or, once it has run twice, perhaps only paused. */
static int let_run(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid, bool twice,
                   struct xf_err *err)
{
    char why[300];

    if (xf_xen_resume(ctx, log, domid, err)) {
        if (!twice || err->num != EINVAL)
            return -1;
        xf_clear(err);
    }
    if (twice && libxl_domain_unpause(ctx, domid, NULL))
        return xf_fail(err, EIO, "cannot unpause domain %u: %s", domid,
                       xf_toollog_last(log, why, sizeof(why)));
    return 0;
}

int xf_resume_here(const char *domain, bool force, struct xf_err *err)
{
    struct xf_toollog log;
    libxl_ctx *ctx = NULL;
    xc_interface *xch;
    bool twice = false;
    uint32_t domid = 0;
    int lock = -1, rc;

    xf_toollog_init(&log);
    if (libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &log.vtable))
        return xf_fail(err, EIO, "cannot talk to Xen; is this a dom0, and are you root?");
    if (xf_xen_open(&xch, &log, err)) {
        libxl_ctx_free(ctx);
        return -1;
    }
    rc = xf_recover_domain(ctx, domain, &domid, err) || xf_recover_lock(domid, &lock, err) ? -1 : 0;
    if (!rc && xf_recover_has_record(domid))
        rc = check_record(ctx, xch, domain, domid, force, &twice, err);
    if (!rc)
        rc = let_run(ctx, &log, domid, twice, err);
    if (!rc) {
        xf_record_remove(xf_run_dir(), domid);
        xf_status_forget(domid);
        rc = take_name_back(ctx, domid, err);
    }
    xf_record_unlock(xf_run_dir(), domid, lock);
    xc_interface_close(xch);
    libxl_ctx_free(ctx);
    return rc;
}
