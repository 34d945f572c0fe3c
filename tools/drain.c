/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-drain`: begins and ends a drain. See drain.h for the other files.
 */
#include "tools/drain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "tools/json.h"
#include "transport/clock.h"
#include "transport/text.h"

#define NOT_ALL 2

/* --- hosts --- */

static int add_host(struct drain *d, const char *host)
{
    unsigned n = d->sched.nr_hosts;

    for (unsigned i = 0; i < n; i++)
        if (!strcmp(d->host[i], host))
            return (int)i;
    if (n == XF_DRAIN_HOSTS_MAX)
        return -1;
    snprintf(d->host[n], sizeof(d->host[n]), "%s", host);
    d->sched.nr_hosts++;
    return (int)n;
}

/* Those of the command line, else those of the drain that this call goes on with. */
static int take_hosts(struct drain *d, struct xf_err *err)
{
    const struct drain_args *a = d->args;

    for (unsigned i = 0; i < a->nr_hosts; i++)
        add_host(d, a->host[i]);
    for (unsigned i = 0; !a->nr_hosts && i < d->record.nr_hosts; i++)
        add_host(d, d->record.host[i]);
    if (!d->sched.nr_hosts)
        return xf_fail(err, EINVAL,
                       "say where the guests are to go: xl migrate-drain --to HOST [HOST ...] (xl "
                       "migrate-drain --help)");
    d->record.nr_hosts = d->sched.nr_hosts;
    for (unsigned i = 0; i < d->sched.nr_hosts; i++)
        memcpy(d->record.host[i], d->host[i], sizeof(d->record.host[i]));
    return 0;
}

static int take_ssh(struct drain *d)
{
    if (d->args->ssh) {
        d->record.has_ssh = true;
        snprintf(d->record.ssh, sizeof(d->record.ssh), "%s", d->args->ssh);
    }
    d->ssh = d->record.has_ssh ? d->record.ssh : NULL;
    return 0;
}

/* The name of this host for the others. */
static int take_back(struct drain *d, struct xf_err *err)
{
    if (d->args->nr_hosts) {
        snprintf(d->back, sizeof(d->back), "%s", d->args->host[0]);
        return 0;
    }
    if (gethostname(d->back, sizeof(d->back) - 1) || !d->back[0] || d->back[0] == '-' ||
        !strncmp(d->back, "localhost", 9) || !xf_text_is_clean(d->back, strlen(d->back)))
        return xf_fail(err, EINVAL,
                       "this host has no name that others could use: say what they call it with "
                       "--to NAME");
    return 0;
}

/* --- beginning --- */

/* What earlier calls moved belongs into the table, too; what died before it was recorded is no
 * longer here. */
static int add_earlier(struct drain *d, struct xf_err *err)
{
    for (unsigned k = 0; k < d->record.nr; k++) {
        struct xf_drain_left *x = &d->record.guest[k];
        struct xf_guest g = {0};
        int i = drain_find(d, x->uuid);

        if (i >= 0) {
            /* Here. If another process moves it, this is where to. */
            if (!d->row[i].to[0])
                memcpy(d->row[i].to, x->host, sizeof(x->host));
            continue;
        }
        memcpy(g.uuid, x->uuid, sizeof(g.uuid));
        memcpy(g.name, x->name, sizeof(x->name));
        i = drain_add(d, &g, XF_DRAIN_LEFT);
        if (i < 0)
            break;
        d->row[i].outcome = "left earlier";
        memcpy(d->row[i].to, x->host, sizeof(d->row[i].to));
        x->left = true;
    }
    return d->args->check ? 0 : xf_drain_record_write(xf_run_dir(), &d->record, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct drain_row *)a)->at.name, ((const struct drain_row *)b)->at.name);
}

/* By name: the scheduler takes equal ranks as they stand. Before anything is started, and with all
 * guests of one drain known. */
static void order_by_name(struct drain *d)
{
    struct drain_row *was = calloc(d->sched.nr_guests + 1, sizeof(*was));
    struct xf_drain_guest *guest = calloc(d->sched.nr_guests + 1, sizeof(*guest));

    if (was && guest) {
        memcpy(was, d->row, d->sched.nr_guests * sizeof(*was));
        memcpy(guest, d->sched.guest, d->sched.nr_guests * sizeof(*guest));
        qsort(d->row, d->sched.nr_guests, sizeof(*d->row), by_name);
        for (unsigned i = 0; i < d->sched.nr_guests; i++)
            for (unsigned k = 0; k < d->sched.nr_guests; k++)
                if (!strcmp(was[k].at.uuid, d->row[i].at.uuid))
                    d->sched.guest[i] = guest[k];
    }
    free(guest);
    free(was);
}

static int begin_drain(struct drain *d, struct xf_err *err)
{
    if (take_hosts(d, err) || take_ssh(d))
        return -1;
    /* From now on nobody comes. */
    d->record.draining = true;
    if (!d->args->check && xf_drain_record_write(xf_run_dir(), &d->record, err))
        return -1;
    if (drain_look(d, err) || add_earlier(d, err))
        return -1;
    if (d->args->order == DRAIN_BY_NAME)
        order_by_name(d);
    /* A plan waits for nobody. */
    for (unsigned i = 0; d->args->check && i < d->sched.nr_guests; i++)
        if (d->sched.guest[i].state == XF_DRAIN_ELSEWHERE) {
            d->sched.guest[i].state = XF_DRAIN_OUT;
            d->row[i].outcome = "under way";
        }
    /* A plan for one host is itself the question. */
    if (!d->args->check || d->sched.nr_hosts > 1)
        drain_ask(d);
    return 0;
}

/* One that is here already has come back on its own. */
static int begin_undo(struct drain *d, struct xf_err *err)
{
    struct xf_guest *list = NULL;
    unsigned n, k = 0;

    if (take_back(d, err) || take_ssh(d) || xf_guests(&list, &n, err)) {
        free(list);
        return -1;
    }
    d->record.draining = false;
    while (k < d->record.nr) {
        const struct xf_drain_left *x = &d->record.guest[k];
        struct xf_guest g = {0};
        enum xf_drain_state state = XF_DRAIN_TODO;
        int i, h;

        memcpy(g.uuid, x->uuid, sizeof(g.uuid));
        memcpy(g.name, x->name, sizeof(x->name));
        for (unsigned at = 0; at < n; at++)
            if (!strcmp(list[at].uuid, x->uuid) && state != XF_DRAIN_LEFT)
                state = list[at].state == XF_GUEST_RUNS        ? XF_DRAIN_LEFT
                        : list[at].state == XF_GUEST_SUSPENDED ? XF_DRAIN_STUCK
                                                               : state;
        h = add_host(d, x->host);
        i = drain_add(d, &g, h < 0 ? XF_DRAIN_STAYED : state);
        if (i < 0)
            break;
        memcpy(d->row[i].to, x->host, sizeof(d->row[i].to));
        d->sched.guest[i].may = h < 0 ? 0 : 1u << h;
        if (h < 0)
            snprintf(d->row[i].reason, sizeof(d->row[i].reason),
                     "too many hosts at once; call it again");
        if (state == XF_DRAIN_STUCK)
            snprintf(d->row[i].reason, sizeof(d->row[i].reason),
                     "it is suspended here; `xl migrate-recover %.128s` finishes its move, or says "
                     "what to do",
                     g.name);
        if (state == XF_DRAIN_LEFT) {
            d->row[i].outcome = "here already";
            xf_drain_record_drop(&d->record, g.uuid);
        } else {
            k++;
        }
    }
    free(list);
    return xf_drain_record_write(xf_run_dir(), &d->record, err);
}

/* --- ending --- */

static int exit_status(const struct drain *d)
{
    for (unsigned i = 0; i < d->sched.nr_guests; i++)
        if (drain_remains(d, i))
            return NOT_ALL;
    return d->arriving ? NOT_ALL : 0;
}

static int end_drain(const struct drain_args *args, struct xf_err *err)
{
    int rc = xf_drain_record_remove(xf_run_dir(), err);

    if (rc < 0)
        return 1;
    if (!args->json)
        printf("%s\n", rc ? "This host takes guests again." : "This host was not being drained.");
    return 0;
}

/* What an earlier call has left behind; none is no error, except for --undo. */
static int read_record(struct drain *d, struct xf_err *err)
{
    struct xf_err why = {0};

    if (!xf_drain_record_read(xf_run_dir(), &d->record, &why))
        return 0;
    xf_drain_record_free(&d->record);
    if (why.num != ENOENT)
        return xf_fail(err, why.num, "%s; `xl migrate-drain --end` removes it", why.text);
    if (d->args->undo)
        return xf_fail(err, ENOENT,
                       "there is nothing to bring back: no drain of this host is "
                       "recorded since it booted");
    return xf_drain_record_init(&d->record, err);
}

static int run(struct drain *d, struct xf_err *err)
{
    int rc;

    d->began = xf_now();
    if (drain_page_begin(d, err) || read_record(d, err) || children_init(&d->children, err) ||
        (d->args->undo ? begin_undo(d, err) : begin_drain(d, err)) || drain_run(d, err))
        return 1;
    drain_page_end(d);
    rc = exit_status(d);
    /* All are back: the drain is over. */
    if (d->args->undo && !rc && xf_drain_record_remove(xf_run_dir(), err) < 0)
        return 1;
    drain_show(stdout, d, rc);
    return rc;
}

static int with_lock(const struct drain_args *args, struct xf_err *err)
{
    struct drain d = {.args = args, .children = {.sigfd = -1}};
    int lock = -1, rc = 1;

    /* A plan changes nothing, and may be made beside a drain. */
    if (!args->check && xf_drain_lock(xf_run_dir(), &lock, err))
        return 1;
    if (args->end) {
        rc = end_drain(args, err);
    } else {
        d.sched.limit = args->limit;
        d.row = calloc(XF_DRAIN_GUESTS_MAX, sizeof(*d.row));
        d.sched.guest = calloc(XF_DRAIN_GUESTS_MAX, sizeof(*d.sched.guest));
        if (!d.row || !d.sched.guest)
            xf_fail(err, ENOMEM, "out of memory");
        else
            rc = run(&d, err);
    }
    page_free(d.page);
    children_free(&d.children);
    xf_drain_record_free(&d.record);
    free(d.sched.guest);
    free(d.row);
    if (lock >= 0)
        close(lock);
    return rc;
}

int cmd_migrate_drain(const struct front *f)
{
    struct drain_args args;
    struct xf_err err = {0};
    int rc = 1;

    if (!drain_parse(f->argc - f->cmd, f->argv + f->cmd, &f->globals, &args, &err)) {
        if (args.help) {
            drain_help(stdout);
            return 0;
        }
        rc = with_lock(&args, &err);
    }
    if (err.num) {
        if (args.json)
            json_error(stdout, &err);
        front_error("migrate-drain", &err);
    }
    return rc;
}
