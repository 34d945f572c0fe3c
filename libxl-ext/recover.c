/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done here after a move that could not end by itself: xf_recover() finishes it in
 * place of a process that died, xf_resume_here() takes the guest back. Both begin with the
 * record that the move left (record.h) and with its lock, which a living process still holds.
 *
 * Whether the guest runs there is asked of those who know: the sink, which keeps listening as
 * long as pages are missing, and answers only who knows the move's key; if there is none, a new
 * receiver on that host, which looks for a domain of this uuid.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "libxl-ext/hello.h"
#include "libxl-ext/move.h"
#include "libxl-ext/run_dir.h"

/* A sink that has heard nothing for its stall time (20 s) listens for another source. */
#define LINK_MS 60000
#define REFUSED_MS 3000
#define BANNER_MS 60000 /* ssh may ask for a password */
#define REPLY_MS 30000
#define CHILD_MS 2000

/* What the destination says of the guest. */
enum whereabouts {
    WHERE_SILENT,   /* it could not be asked */
    WHERE_NOWHERE,  /* not there */
    WHERE_INCOMING, /* a copy that did not run yet */
    WHERE_LACKING,  /* there, with pages missing */
    WHERE_WHOLE,    /* there, complete */
};

/* --- which domain, which move --- */

static bool has_record(uint32_t domid)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%u.move", xf_run_dir(), domid);
    return access(path, F_OK) == 0;
}

/* A move within one host has given the domain's name to its copy. */
static int find_domain(libxl_ctx *ctx, const char *domain, uint32_t *domid, struct xf_err *err)
{
    char away[160];
    uint32_t aside;

    snprintf(away, sizeof(away), XF_AWAY, domain);
    if (!libxl_domain_qualifier_to_domid(ctx, domain, domid) && has_record(*domid))
        return 0;
    if (!libxl_name_to_domid(ctx, away, &aside)) {
        *domid = aside;
        return 0;
    }
    if (!libxl_domain_qualifier_to_domid(ctx, domain, domid))
        return 0;
    return xf_fail(err, ESRCH, "there is no domain \"%s\" here; `xl list` shows those there are",
                   domain);
}

static int lock_move(uint32_t domid, int *fd, struct xf_err *err)
{
    struct xf_err why = {0};

    if (!xf_record_lock(xf_run_dir(), domid, fd, &why))
        return 0;
    if (why.num == EBUSY)
        return xf_fail(err, EBUSY,
                       "the process that moves domain %u lives (`xl migrate`, or another "
                       "`xl migrate-recover`): let it go on, or end it first",
                       domid);
    return xf_fail(err, why.num, "%s", why.text);
}

/* How much of a name is the domain's own, if it is one of a domain that has moved away; else 0. */
static size_t own_part(const char *away)
{
    const char *suffix = strstr(XF_AWAY, "--");
    size_t len = away ? strlen(away) : 0, tail = strlen(suffix);

    return len > tail && !strcmp(away + len - tail, suffix) ? len - tail : 0;
}

static bool stepped_aside(libxl_ctx *ctx, uint32_t domid)
{
    char *name = libxl_domid_to_name(ctx, domid);
    bool is = own_part(name) > 0;

    free(name);
    return is;
}

/* Is the record about this domain, in this state? XF_AGAIN: no, about one before it. */
static int fits(libxl_ctx *ctx, uint32_t domid, const struct xf_record *r, bool *suspended,
                struct xf_err *err)
{
    char now[XF_BOOT_ID], uuid[40];
    libxl_dominfo info;

    libxl_dominfo_init(&info);
    if (libxl_domain_info(ctx, &info, domid)) {
        libxl_dominfo_dispose(&info);
        return xf_fail(err, ESRCH, "domain %u is gone", domid);
    }
    snprintf(uuid, sizeof(uuid), LIBXL_UUID_FMT, LIBXL_UUID_BYTES(info.uuid));
    *suspended =
        info.shutdown && !info.dying && info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;
    libxl_dominfo_dispose(&info);
    xf_boot_id(now);
    if (strcmp(uuid, r->uuid) || strcmp(now, r->boot_id))
        return XF_AGAIN;
    /* Ours are renamed within one host only; stock xl renames always. So a stock migration has
     * stopped this domain, after a move of ours that left its record and let it run. */
    return strcmp(r->there, now) && stepped_aside(ctx, domid) ? XF_AGAIN : 0;
}

/* --- asking --- */

static enum whereabouts read_answer(const struct xf_finding *list, unsigned n, struct xf_err *why)
{
    static const struct {
        const char *code;
        enum whereabouts where;
    } codes[] = {{"nowhere", WHERE_NOWHERE},
                 {"incoming", WHERE_INCOMING},
                 {"lacking", WHERE_LACKING},
                 {"found", WHERE_WHOLE}};
    enum whereabouts most = WHERE_SILENT;

    /* There may be more than one, within one host: who runs counts. */
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < 4; k++)
            if (!strcmp(list[i].code, codes[k].code) && codes[k].where > most)
                most = codes[k].where;
    if (most == WHERE_SILENT)
        xf_fail(why, EPROTO, "its receiver gave no answer that is known here: %s",
                n ? list[0].text : "none");
    return most;
}

static int fill_question(const struct xf_record *r, const char *boot_id, struct xf_hello *h,
                         struct xf_err *err)
{
    *h = (struct xf_hello){.channels = 1, .encrypt = true, .check_only = true, .find_only = true};
    snprintf(h->domain, sizeof(h->domain), "%s", r->name);
    snprintf(h->uuid, sizeof(h->uuid), "%s", r->uuid);
    snprintf(h->boot_id, sizeof(h->boot_id), "%s", boot_id);
    /* Nothing will be connected; but a key is a key. */
    if (getrandom(h->key, sizeof(h->key), 0) != (ssize_t)sizeof(h->key))
        return xf_fail(err, errno, "the system gives no random numbers: %s", strerror(errno));
    return 0;
}

/* `why` is filled when the answer is WHERE_SILENT. */
static enum whereabouts ask(libxl_ctx *ctx, const struct xf_record *r,
                            const volatile sig_atomic_t *cancel, struct xf_err *why)
{
    struct xf_findings found = {0};
    struct xf_pipe pipe = {.in = -1, .out = -1};
    struct xf_reply *reply = NULL;
    struct xf_hello hello;
    char now[XF_BOOT_ID];
    enum whereabouts where = WHERE_SILENT;

    xf_boot_id(now);
    if (now[0] && !strcmp(now, r->there))
        return xf_check_find(ctx, r->uuid, true, &found, why)
                   ? WHERE_SILENT
                   : read_answer(found.list, found.n, why);
    if (!(reply = calloc(1, sizeof(*reply)))) {
        xf_fail(why, ENOMEM, "out of memory");
        return where;
    }
    if (!fill_question(r, now, &hello, why) && !xf_pipe_spawn(&pipe, r->rune, why) &&
        !xf_pipe_await_banner(&pipe, BANNER_MS, cancel, why) &&
        !xf_hello_send(&pipe, &hello, why) &&
        !xf_reply_receive(&pipe, reply, REPLY_MS, cancel, why))
        where = read_answer(reply->findings, reply->nr_findings, why);
    /* A host that has started anew runs the guest no more, but another host that answers to the
     * same name is none to believe; this looks the same. */
    if (where != WHERE_SILENT && strcmp(reply->boot_id, r->there)) {
        where = WHERE_SILENT;
        xf_fail(why, ESTALE, "it has been started anew since then, or is another host");
    }
    xf_pipe_close(&pipe, CHILD_MS);
    free(reply);
    return where;
}

/* --- finishing --- */

struct recovery {
    struct xf_move m;
    struct xf_move_opts opts;
    struct xf_record record;
};

/* 0: there is a move to finish, its domain lies here, and nobody else is at it. */
static int load(struct recovery *v, const struct xf_recover_opts *o, struct xf_err *err)
{
    struct xf_move *m = &v->m;
    struct xf_record *r = &v->record;
    bool suspended = false;
    char *name;
    int rc;

    if (find_domain(m->ctx, o->domain, &m->domid, err) || lock_move(m->domid, &m->lock_fd, err))
        return -1;
    if (!has_record(m->domid))
        return xf_fail(err, ENOENT, "no move of \"%s\" from here waits to be finished", o->domain);
    if (xf_record_read(xf_run_dir(), m->domid, r, &m->record_fd, err))
        return -1;
    rc = fits(m->ctx, m->domid, r, &suspended, err);
    if (rc < 0)
        return -1;
    if (rc == XF_AGAIN)
        return xf_fail(err, ESTALE,
                       "no move of \"%s\" from here waits to be finished; what one of "
                       "another domain left in %s/%u.move is of no use any more",
                       o->domain, xf_run_dir(), m->domid);
    if (!suspended)
        return xf_fail(err, EINVAL,
                       "domain %u is not suspended: it was resumed since it was to "
                       "move, and there is nothing to finish",
                       m->domid);
    if (o->host && strcmp(o->host, r->host))
        return xf_fail(err, EINVAL, "\"%s\" went to \"%.200s\": name that host, or none", o->domain,
                       r->host);
    xf_move_from_record(m, r);
    /* Within one host the name is its copy's by now: what is said of what lies here says this. */
    name = libxl_domid_to_name(m->ctx, m->domid);
    if (name)
        snprintf(m->report->domain, sizeof(m->report->domain), "%s", name);
    free(name);
    v->opts.host = r->host;
    v->opts.channels = r->channels;
    v->opts.rdma_poll_us = r->rdma_poll_us;
    return 0;
}

static int link_tick(void *priv, struct xf_err *err)
{
    struct recovery *v = priv;

    return xf_move_tick(&v->m, err);
}

/* The end of a recovery that got nowhere: as it was. */
static enum xf_outcome as_before(const struct recovery *v)
{
    return v->record.state == XF_RECORD_PULLING ? XF_PULLING : XF_UNKNOWN;
}

/* The link to a sink that is in PULL. -1 with *over: this side cannot go on. */
static int find_sink(struct recovery *v, bool *over, struct xf_err *err)
{
    const struct xf_server_opts opts = {.silence_ms = XF_MOVE_STALL_MS};
    struct xf_move *m = &v->m;
    struct xf_rejoin r = {.tick = link_tick, .priv = v};

    *over = true;
    if (xf_xen_source_open(&m->xen, m->ctx, &m->log, m->domid, err))
        return -1;
    m->xen_open = true;
    if (xf_server_new(&m->server, &m->xen.vm, NULL, &opts, err))
        return -1;
    xf_move_rejoin(m, &r);
    if (xf_rejoin_take_over(&r, m->server, &m->link, LINK_MS, REFUSED_MS, err)) {
        *over = !xf_link_is_loss(err) && err->num != EPROTO && err->num != EBADMSG;
        return -1;
    }
    *over = false;
    return 0;
}

/* The sink has taken GO and is there: bring what it lacks. */
static enum xf_outcome serve(struct recovery *v, struct xf_err *err)
{
    struct xf_move *m = &v->m;
    struct xf_server_status status;

    xf_move_mark(m, XF_RECORD_PULLING, NULL);
    xf_server_status(m->server, &status);
    m->report->left_out = status.left;
    if (!status.ended)
        xf_move_note(m, "the guest runs at the destination; bringing the %llu pages that it lacks",
                     (unsigned long long)status.left);
    return xf_move_pull(m, err);
}

/* No sink answers. */
static enum xf_outcome by_asking(struct recovery *v, const struct xf_err *no_link,
                                 struct xf_err *err)
{
    struct xf_move *m = &v->m;
    struct xf_record *r = &v->record;
    struct xf_err why = {0};

    switch (ask(m->ctx, r, m->o->cancel, &why)) {
    case WHERE_WHOLE:
        return XF_MOVED;
    case WHERE_LACKING:
        xf_fail(err, no_link->num ? no_link->num : EHOSTUNREACH,
                "the guest runs there and lacks pages, but nobody there takes them (%.200s)",
                no_link->num ? no_link->text : "the move was to leave none out");
        return XF_PULLING;
    case WHERE_INCOMING:
        xf_fail(err, EAGAIN,
                "the destination still has a copy that was not let run, and may be about "
                "to destroy it; call again in a minute. If that does not change, nobody is left "
                "there to do it: `xl destroy %s--incoming` there first",
                r->name);
        return XF_UNKNOWN;
    case WHERE_NOWHERE:
        if (r->state == XF_RECORD_GO) {
            xf_fail(err, ECANCELED,
                    "the destination does not have the guest: it never let it run, or "
                    "the guest has ended there since");
            return XF_SUSPENDED;
        }
        xf_fail(err, ESRCH,
                "the guest ran at the destination and is not there any more; what lies "
                "here is as old as the switch");
        return XF_UNKNOWN;
    case WHERE_SILENT:
        break;
    }
    xf_fail(err, why.num ? why.num : EHOSTUNREACH,
            "the destination cannot be asked (%.200s%s%.150s)", why.text, no_link->num ? "; " : "",
            no_link->num ? no_link->text : "");
    return as_before(v);
}

static enum xf_outcome run_recovery(struct recovery *v, const struct xf_recover_opts *o,
                                    struct xf_err *err)
{
    struct xf_move *m = &v->m;
    struct xf_err no_link = {0};
    enum xf_outcome end = XF_UNKNOWN;
    bool over = false, linked = false;

    if (xf_move_attach(m, err) || load(v, o, err))
        return XF_REFUSED;
    m->report->ran_there =
        v->record.state == XF_RECORD_PULLING || v->record.state == XF_RECORD_WHOLE;
    if (v->record.state == XF_RECORD_READY) {
        xf_fail(err, ECANCELED, "the move ended before the destination was told to run the guest");
        return XF_SUSPENDED;
    }
    xf_move_phase(m, XF_PHASE_PULL);
    xf_move_status_open(m); /* in the place of the socket that a killed move left */
    if (v->record.pull && v->record.state != XF_RECORD_WHOLE)
        linked = !find_sink(v, &over, &no_link);
    if (over) {
        xf_fail(err, no_link.num, "%s", no_link.text);
        return as_before(v);
    }
    end = linked ? serve(v, err) : by_asking(v, &no_link, err);
    xf_move_phase(m, XF_PHASE_FINISH);
    if (end != XF_MOVED)
        return end;
    snprintf(m->report->domain, sizeof(m->report->domain), "%s", m->name);
    xf_move_finish(m);
    return end;
}

enum xf_outcome xf_recover(const struct xf_recover_opts *o, const struct xf_watch *w,
                           struct xf_report *report, struct xf_err *err)
{
    struct recovery *v = calloc(1, sizeof(*v));
    struct xf_report unwanted;
    struct xf_move *m;
    enum xf_outcome end;

    if (!v) {
        xf_fail(err, ENOMEM, "out of memory");
        return XF_REFUSED;
    }
    m = &v->m;
    xf_move_opts_init(&v->opts);
    v->opts.domain = o->domain;
    v->opts.cancel = o->cancel;
    v->opts.host = o->host ? o->host : "";
    xf_move_init(m, &v->opts, w, report ? report : &unwanted);
    m->report->predicted_down_s = -1;

    end = m->report->outcome = run_recovery(v, o, err);
    xf_move_let_go(m);
    xf_move_phase(m, m->phase);
    m->report->total_s = xf_now() - m->began;
    explicit_bzero(v, sizeof(*v));
    free(v);
    return end;
}

/* --- taking the guest back --- */

/* A domain that stepped aside for a move within one host gets its own name again. */
static int take_name_back(libxl_ctx *ctx, uint32_t domid, struct xf_err *err)
{
    char *away = libxl_domid_to_name(ctx, domid);
    size_t len = own_part(away);
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
    if (r->state != XF_RECORD_GO)
        return xf_fail(err, EEXIST,
                       "it runs at \"%.100s\"%s: `xl migrate-recover` without --resume "
                       "finishes the move; " IF_OFF,
                       r->host, r->state == XF_RECORD_PULLING ? ", without all of its pages" : "");
    switch (ask(ctx, r, NULL, &why)) {
    case WHERE_NOWHERE:
        return 0;
    case WHERE_LACKING:
    case WHERE_WHOLE:
        return xf_fail(err, EEXIST,
                       "it runs at \"%.100s\": `xl migrate-recover` without --resume "
                       "finishes the move",
                       r->host);
    case WHERE_INCOMING:
        return xf_fail(err, EAGAIN,
                       "\"%.100s\" still has a copy that was not let run, and may be about "
                       "to destroy it; call again in a minute",
                       r->host);
    case WHERE_SILENT:
        break;
    }
    return xf_fail(err, why.num ? why.num : EHOSTUNREACH,
                   "\"%.80s\" was told to run it and cannot be asked (%.120s); " IF_OFF, r->host,
                   why.text);
}

static int check_record(libxl_ctx *ctx, uint32_t domid, struct xf_err *err)
{
    struct xf_record *r = calloc(1, sizeof(*r));
    bool suspended = false;
    int fd = -1, rc;

    if (!r)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = xf_record_read(xf_run_dir(), domid, r, &fd, err);
    if (rc)
        xf_wrap(err, "whether it runs elsewhere cannot be known (--force does without)");
    else
        rc = fits(ctx, domid, r, &suspended, err);
    if (!rc && suspended)
        rc = may_resume(ctx, r, err);
    if (fd >= 0)
        close(fd);
    explicit_bzero(r, sizeof(*r));
    free(r);
    return rc < 0 ? -1 : 0;
}

int xf_resume_here(const char *domain, bool force, struct xf_err *err)
{
    struct xf_toollog log;
    libxl_ctx *ctx = NULL;
    uint32_t domid;
    int lock = -1, rc;

    xf_toollog_init(&log);
    if (libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &log.vtable))
        return xf_fail(err, EIO, "cannot talk to Xen; is this a dom0, and are you root?");
    rc = find_domain(ctx, domain, &domid, err) || lock_move(domid, &lock, err) ? -1 : 0;
    if (!rc && !force && has_record(domid))
        rc = check_record(ctx, domid, err);
    if (!rc)
        rc = xf_xen_resume(ctx, &log, domid, err);
    if (!rc) {
        xf_record_remove(xf_run_dir(), domid);
        xf_status_forget(domid);
        rc = take_name_back(ctx, domid, err);
    }
    if (lock >= 0)
        close(lock);
    libxl_ctx_free(ctx);
    return rc;
}
