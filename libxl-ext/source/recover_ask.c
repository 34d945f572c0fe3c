/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which domain, which record, and where the guest is: see recover.h. Whether the guest runs there
 * is asked here of a new receiver on that host, which looks for the domain by its name, its uuid
 * and the number of the copy that the move made.
 */
#include "libxl-ext/source/recover.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "libxl-ext/peer/check.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/source/move.h"
#include "libxl-ext/host/run_dir.h"
#include "transport/times.h"

#define CHILD_MS 2000

/* --- which domain, which move --- */

bool xf_recover_has_record(uint32_t domid)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%u.move", xf_run_dir(), domid);
    return access(path, F_OK) == 0;
}

/* A move within one host has given the domain's name to its copy. */
int xf_recover_domain(libxl_ctx *ctx, const char *domain, uint32_t *domid, struct xf_err *err)
{
    char away[160];
    uint32_t aside;

    snprintf(away, sizeof(away), XF_AWAY, domain);
    if (!libxl_domain_qualifier_to_domid(ctx, domain, domid) && xf_recover_has_record(*domid))
        return 0;
    if (!libxl_name_to_domid(ctx, away, &aside)) {
        *domid = aside;
        return 0;
    }
    if (!libxl_domain_qualifier_to_domid(ctx, domain, domid))
        return 0;
    return xf_fail(err, ESRCH, "there is no domain \"%s\" here; `xl list` shows those that exist",
                   domain);
}

int xf_recover_lock(uint32_t domid, int *fd, struct xf_err *err)
{
    struct xf_err why = {0};

    if (!xf_record_lock(xf_run_dir(), domid, fd, &why))
        return 0;
    if (why.num == EBUSY)
        return xf_fail(err, EBUSY,
                       "the process that moves domain %u is still running (`xl migrate`, or "
                       "another `xl migrate-recover`): let it finish, or end it first",
                       domid);
    return xf_fail(err, why.num, "%s", why.text);
}

size_t xf_recover_own_name(const char *away)
{
    const char *suffix = strstr(XF_AWAY, "--");
    size_t len = away ? strlen(away) : 0, tail = strlen(suffix);

    return len > tail && !strcmp(away + len - tail, suffix) ? len - tail : 0;
}

static bool stepped_aside(libxl_ctx *ctx, uint32_t domid)
{
    char *name = libxl_domid_to_name(ctx, domid);
    bool is = xf_recover_own_name(name) > 0;

    free(name);
    return is;
}

int xf_recover_fit(libxl_ctx *ctx, xc_interface *xch, uint32_t domid, const struct xf_record *r,
                   enum xf_fit *fit, enum xf_dom *here, struct xf_err *err)
{
    char now[XF_BOOT_ID];

    *here = xf_domain_here(xch, domid, r->uuid);
    if (*here == XF_DOM_UNKNOWN)
        return xf_fail(err, EIO, "Xen does not say what domain %u is", domid);
    if (*here == XF_DOM_GONE || *here == XF_DOM_DYING)
        return xf_fail(err, ESRCH, "domain %u is %s", domid,
                       *here == XF_DOM_GONE ? "gone" : "being destroyed");
    xf_boot_id(now);
    if (strcmp(now, r->boot_id))
        *fit = XF_FIT_OLD;
    /* Our moves rename a domain only within one host; stock xl always does. So a stock migration
     * has stopped this domain, after a move of ours that left its record and let the guest run. */
    else if (*here == XF_DOM_OTHER || (strcmp(r->there, now) && stepped_aside(ctx, domid)))
        *fit = XF_FIT_OTHER;
    else
        *fit = XF_FIT_ITS;
    return 0;
}

int xf_recover_misfit(const char *domain, uint32_t domid, const struct xf_record *r,
                      struct xf_err *err)
{
    return xf_fail(err, ESTALE,
                   "%s/%u.move is not about the last move of \"%.40s\", but about \"%.40s\" (uuid "
                   "%s) to \"%.40s\": if this domain runs nowhere else, `xl migrate-recover "
                   "--resume --force` lets it run here; if it does, `xl destroy %u` here",
                   xf_run_dir(), domid, domain, r->name, r->uuid, r->host, domid);
}

/* --- asking --- */

static enum xf_where read_answer(const struct xf_finding *list, unsigned n, struct xf_err *why)
{
    static const struct {
        const char *code;
        enum xf_where where;
    } codes[] = {{"nowhere", XF_WHERE_NOWHERE}, {"other", XF_WHERE_OTHER},
                 {"dying", XF_WHERE_DYING},     {"incoming", XF_WHERE_INCOMING},
                 {"lacking", XF_WHERE_LACKING}, {"found", XF_WHERE_WHOLE}};
    enum xf_where most = XF_WHERE_SILENT;

    xf_clear(why);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < sizeof(codes) / sizeof(codes[0]); k++) {
            if (strcmp(list[i].code, codes[k].code) != 0 || codes[k].where <= most)
                continue;
            most = codes[k].where;
            xf_clear(why);
            xf_fail(why, EEXIST, "%s", list[i].text);
        }
    }
    if (most == XF_WHERE_SILENT)
        xf_fail(why, EPROTO, "its receiver gave no answer that this host understands: %s",
                n ? list[0].text : "none");
    return most;
}

static int fill_question(const struct xf_record *r, const char *boot_id, struct xf_hello *h,
                         struct xf_err *err)
{
    *h = (struct xf_hello){.channels = 1,
                           .encrypt = true,
                           .check_only = true,
                           .find_only = true,
                           .copy_domid = r->there_domid};
    snprintf(h->domain, sizeof(h->domain), "%s", r->name);
    snprintf(h->uuid, sizeof(h->uuid), "%s", r->uuid);
    snprintf(h->boot_id, sizeof(h->boot_id), "%s", boot_id);
    return xf_key_make(&h->key, err); /* nothing will be connected, but every hello has a key */
}

/* Ask a new receiver on the other host. */
static enum xf_where ask_there(const struct xf_record *r, const struct xf_hello *hello,
                               const volatile sig_atomic_t *cancel, struct xf_err *why)
{
    struct xf_pipe pipe = {.in = -1, .out = -1};
    struct xf_reply *reply = calloc(1, sizeof(*reply));
    enum xf_where where = XF_WHERE_SILENT;

    if (!reply) {
        xf_fail(why, ENOMEM, "out of memory");
        return where;
    }
    if (!xf_pipe_spawn(&pipe, r->rune, why) &&
        !xf_pipe_await_banner(&pipe, XF_BANNER_MS, cancel, why) &&
        !xf_hello_send(&pipe, hello, why) &&
        !xf_reply_receive(&pipe, reply, XF_REPLY_MS, cancel, why))
        where = read_answer(reply->findings, reply->nr_findings, why);
    /* A rebooted host no longer runs the guest, but another host that answers under the same name
     * proves nothing; the two cannot be told apart. */
    if (where != XF_WHERE_SILENT && strcmp(reply->boot_id, r->there)) {
        where = XF_WHERE_SILENT;
        xf_clear(why);
        xf_fail(why, ESTALE, "it has been rebooted since then, or is another host");
    }
    xf_pipe_close(&pipe, CHILD_MS);
    free(reply);
    return where;
}

enum xf_where xf_recover_ask(libxl_ctx *ctx, const struct xf_record *r,
                             const volatile sig_atomic_t *cancel, struct xf_err *why)
{
    struct xf_findings found = {0};
    struct xf_hello hello = {0};
    char now[XF_BOOT_ID];
    enum xf_where where = XF_WHERE_SILENT;

    xf_boot_id(now);
    if (!fill_question(r, now, &hello, why)) {
        if (!now[0] || strcmp(now, r->there) != 0)
            where = ask_there(r, &hello, cancel, why);
        else if (!xf_check_find(ctx, &hello, true, &found, why))
            where = read_answer(found.list, found.n, why);
    }
    xf_hello_free(&hello);
    return where;
}
