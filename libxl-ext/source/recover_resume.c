/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xf_resume_here(), xf_resume_as_of_switch(): take back the guest of an unfinished move. Refused
 * while it may run elsewhere, unless that is forced.
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
#include "libxl-ext/source/move_record.h"
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

/* How the guest is taken back. */
struct how {
    const char *option;       /* that asked for it */
    bool as_of_switch, force; /* force: the destination is not asked */
};

#define IF_OFF                                                                                     \
    "if that host is off and will not run it again, `xl migrate-recover %s --force` takes it "     \
    "back from its state at the switch"

/* Is the guest gone there? */
static int ask(libxl_ctx *ctx, const struct xf_record *r, const struct how *how, struct xf_err *err)
{
    struct xf_err why = {0};

    switch (xf_recover_ask(ctx, r, NULL, &why)) {
    case XF_WHERE_NOWHERE:
        return 0;
    case XF_WHERE_LACKING:
    case XF_WHERE_WHOLE:
        if (how->as_of_switch)
            return xf_fail(err, EEXIST,
                           "it is still at \"%.100s\": `xl migrate-recover` without "
                           "--as-of-switch finishes the move; if what it has done there is to be "
                           "lost, `xl destroy %.60s` there first",
                           r->host, r->name);
        return xf_fail(err, EEXIST,
                       "it runs at \"%.100s\": `xl migrate-recover` without --resume "
                       "finishes the move",
                       r->host);
    case XF_WHERE_OTHER:
        return xf_fail(err, EEXIST,
                       "at \"%.80s\" %.150s: it may be the same guest, booted anew; if it is not, "
                       "`xl migrate-recover %s --force` lets this one run here",
                       r->host, why.text, how->option);
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
                   why.text, how->option);
}

/* Would it run twice? */
static int may_resume(libxl_ctx *ctx, const struct xf_record *r, const struct how *how,
                      struct xf_err *err)
{
    if (r->state == XF_RECORD_READY)
        return 0;
    if (r->state == XF_RECORD_TWICE)
        return xf_fail(err, EEXIST,
                       "somebody let it run here while it ran at \"%.100s\": if it is gone there "
                       "for good, `xl migrate-recover --resume --force` lets it go on here",
                       r->host);
    if (r->state == XF_RECORD_GO)
        return ask(ctx, r, how, err);
    if (r->nr_disks && r->all_disks)
        return xf_fail(err, EEXIST,
                       "it runs at \"%.100s\"%s: `xl migrate-recover` without --resume finishes "
                       "the move; if it is gone there, `xl migrate-recover --as-of-switch` lets it "
                       "go on here with its disks and its memory as they were at the switch",
                       r->host, r->state == XF_RECORD_PULLING ? ", without all of its pages" : "");
    return xf_fail(err, EEXIST,
                   "it runs at \"%.100s\"%s: `xl migrate-recover` without --resume "
                   "finishes the move; " IF_OFF,
                   r->host, r->state == XF_RECORD_PULLING ? ", without all of its pages" : "",
                   how->option);
}

/* Are its memory and its disks here of one moment? And then: would it run twice? */
static int may_go_back(libxl_ctx *ctx, const struct xf_record *r, const struct how *how,
                       struct xf_err *err)
{
    if (r->state == XF_RECORD_READY)
        return xf_fail(err, ENOTSUP,
                       "\"%.100s\" was never told to run it: `xl migrate-recover --resume` lets it "
                       "run here",
                       r->host);
    if (r->state == XF_RECORD_TWICE)
        return xf_fail(err, ENOTSUP,
                       "somebody let it run here while it ran at \"%.100s\", so it is no longer as "
                       "it was at the switch: if it is gone there for good, `xl migrate-recover "
                       "--resume --force` lets it go on here",
                       r->host);
    if (!r->nr_disks || !r->all_disks)
        return xf_fail(err, ENOTSUP,
                       "%s, and may have been written since the switch: its memory here does not "
                       "match them. If it is gone at \"%.100s\", `xl destroy` it here and boot it "
                       "anew",
                       r->nr_disks ? "it can write to disks that did not move with it"
                                   : "its disks did not move with it",
                       r->host);
    return how->force ? 0 : ask(ctx, r, how, err);
}

/* 0: it may be resumed, `force` taken into account; *twice: it was resumed before, and paused
 * because of that. */
static int check_resume(libxl_ctx *ctx, xc_interface *xch, const char *domain, uint32_t domid,
                        const struct how *how, struct xf_record *r, bool *twice, struct xf_err *err)
{
    enum xf_fit fit = XF_FIT_OLD;
    enum xf_dom here;
    int fd = -1, rc;

    rc = xf_record_read(xf_run_dir(), domid, r, &fd, err);
    if (rc)
        xf_wrap(err, "cannot tell whether it runs elsewhere (--force resumes it all the same)");
    else
        rc = xf_recover_fit(ctx, xch, domid, r, &fit, &here, err);
    if (!rc && fit == XF_FIT_OTHER && !how->force)
        rc = xf_recover_misfit(domain, domid, r, err);
    if (!rc && fit == XF_FIT_ITS) {
        *twice = r->state == XF_RECORD_TWICE;
        if (!how->force && (here == XF_DOM_SUSPENDED || *twice))
            rc = may_resume(ctx, r, how, err);
    }
    if (rc && how->force) { /* of no use; Xen decides what is possible without it */
        xf_clear(err);
        rc = 0;
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

/* As check_resume(), by what the record says of the disks: without it there is no going back. */
static int check_going_back(libxl_ctx *ctx, xc_interface *xch, const char *domain, uint32_t domid,
                            const struct how *how, struct xf_record *r, struct xf_err *err)
{
    enum xf_fit fit = XF_FIT_OLD;
    enum xf_dom here;
    int fd = -1, rc;

    rc = xf_record_read(xf_run_dir(), domid, r, &fd, err) ||
                 xf_recover_fit(ctx, xch, domid, r, &fit, &here, err)
             ? -1
             : 0;
    if (rc)
        xf_wrap(err, "cannot tell what its disks here are");
    else if (fit != XF_FIT_ITS)
        rc = fit == XF_FIT_OTHER
                 ? xf_recover_misfit(domain, domid, r, err)
                 : xf_fail(err, ESTALE, "%s/%u.move is from a move before this host was started",
                           xf_run_dir(), domid);
    else if (here != XF_DOM_SUSPENDED && r->state != XF_RECORD_TWICE)
        rc = xf_fail(err, EINVAL,
                     "domain %u is not suspended, and so no longer as it was at the switch", domid);
    else
        rc = may_go_back(ctx, r, how, err);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* 0: it may be let run; *twice as above. */
static int check_record(libxl_ctx *ctx, xc_interface *xch, const char *domain, uint32_t domid,
                        const struct how *how, struct xf_report *report, bool *twice,
                        struct xf_err *err)
{
    struct xf_record *r;
    int rc;

    if (!xf_recover_has_record(domid))
        return how->as_of_switch
                   ? xf_fail(err, ENOENT, "no move of \"%s\" from here waits to be finished",
                             domain)
                   : 0;
    r = calloc(1, sizeof(*r));
    if (!r)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = how->as_of_switch ? check_going_back(ctx, xch, domain, domid, how, r, err)
                           : check_resume(ctx, xch, domain, domid, how, r, twice, err);
    if (!rc && report)
        xf_report_from_record(report, r);
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

static int take_back(const char *domain, const struct how *how, struct xf_report *report,
                     struct xf_err *err)
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
    if (!rc)
        rc = check_record(ctx, xch, domain, domid, how, report, &twice, err);
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

int xf_resume_here(const char *domain, bool force, struct xf_err *err)
{
    const struct how how = {.option = "--resume", .force = force};

    return take_back(domain, &how, NULL, err);
}

int xf_resume_as_of_switch(const char *domain, bool force, struct xf_report *report,
                           struct xf_err *err)
{
    const struct how how = {.option = "--as-of-switch", .as_of_switch = true, .force = force};

    memset(report, 0, sizeof(*report));
    return take_back(domain, &how, report, err);
}
