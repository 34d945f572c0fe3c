/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a move would take, and was to take: see move_forecast.h. */
#include "libxl-ext/source/move_forecast.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/host/nics.h"
#include "libxl-ext/source/move_link.h"
#include "libxl-ext/source/move_status.h"
#include "libxl-ext/source/move_tick.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/guest_size.h"
#include "pages/pack.h"
#include "precopy/survey.h"
#include "transport/speed.h"

#define LOOK_S 3.0
/* What the first write to a page costs the guest while the log is on: an exit to Xen, which notes
 * the page and maps it writable. An estimate, for the sentence about the look's cost. */
#define TRAP_S 3e-6
/* FINISH: the old domain is destroyed. */
#define FINISH_S 0.1

enum xf_mode xf_move_mode(const struct xf_move *m)
{
    return m->pull.possible ? m->o->mode : XF_MODE_PRECOPY;
}

struct xf_policy xf_move_policy(const struct xf_move *m)
{
    return (struct xf_policy){
        .max_downtime_s = m->o->max_downtime_ms / 1000.0,
        .max_rounds = m->pull.possible && m->o->mode == XF_MODE_HYBRID && m->o->postcopy_after
                          ? m->o->postcopy_after
                          : m->o->max_rounds,
    };
}

const char *xf_move_mode_word(enum xf_mode mode)
{
    static const char *const words[] = {[XF_MODE_PRECOPY] = "precopy",
                                        [XF_MODE_HYBRID] = "hybrid",
                                        [XF_MODE_POSTCOPY] = "postcopy"};

    return words[mode];
}

/* --- --check --- */

/* Everything that was found out about the move. */
struct found {
    struct xf_survey guest;
    struct xf_speed link;
    struct xf_nics before, after;
};

static bool cancelled(const struct xf_err *err)
{
    return err->num == ECANCELED;
}

/* A part of the forecast is missing. -1: because the move was cancelled. */
static int without(struct xf_move *m, const char *what, const struct xf_err *why,
                   struct xf_err *err)
{
    if (cancelled(why)) {
        *err = *why;
        return -1;
    }
    xf_move_note(m, "the forecast is without %s: %s", what, why->text);
    return 0;
}

/* Reading the type of a page that is populated on demand populates it. */
static bool on_demand(const struct xf_move *m)
{
    uint64_t tot = 0, reserve = 0, entries = 0;

    return !xc_domain_get_pod_target(m->xch, m->domid, &tot, &reserve, &entries) && entries;
}

static int look_at_guest(struct xf_move *m, struct xf_survey *s, struct xf_err *why)
{
    struct xf_xen_source *x = &m->skeleton.xen;
    struct xf_tick tick = {xf_move_tick, m};
    int rc;

    if (!m->check.kind || xf_xen_source_open(x, m->ctx, &m->log, m->domid, m->check.kind, why))
        return -1;
    m->skeleton.open = true;
    xf_hvm_ram(&m->check.config.b_info, &x->ram_low, &x->ram_end);
    rc = xf_survey_look(s, &x->vm, m->check.paused ? 0 : LOOK_S, tick, why);
    if (!rc && !on_demand(m))
        rc = xf_survey_sample(s, &x->vm, m->check.reply.codecs & xf_pack_codecs(), why);
    xf_xen_source_close(x);
    m->skeleton.open = false;
    return rc;
}

static int measure(struct xf_move *m, struct xf_speed *speed, struct xf_err *why)
{
    if (!m->check.reply.probe)
        return xf_fail(why, EOPNOTSUPP, "the destination's Xenferry cannot be asked for it");
    if (xf_move_connect_bulk(m, why))
        return -1;
    return xf_speed_measure(&m->link, (struct xf_tick){xf_move_tick, m}, speed, why);
}

/* The mode, and why that one; left: pages that would follow after the switch. */
static void say_mode(const struct xf_move *m, const struct xf_forecast *f, struct xf_outlook *o)
{
    enum xf_mode mode = xf_move_mode(m);

    snprintf(o->mode, sizeof(o->mode), "%s", m->o->cold ? "cold" : xf_move_mode_word(mode));
    if (m->o->cold)
        snprintf(o->why, sizeof(o->why), "a cold move was asked for");
    else if (m->o->mode == mode && mode == XF_MODE_PRECOPY)
        snprintf(o->why, sizeof(o->why), "pre-copy was asked for");
    else if (m->check.whole)
        snprintf(o->why, sizeof(o->why), "%.190s", m->check.whole);
    else if (mode == XF_MODE_PRECOPY)
        snprintf(o->why, sizeof(o->why), "the destination's Xen has no memory paging");
    else if (mode == XF_MODE_POSTCOPY)
        snprintf(o->why, sizeof(o->why), "post-copy was asked for");
    else if (f->total_s < 0)
        snprintf(o->why, sizeof(o->why), "pages that cannot be copied in time follow the switch");
    else if (f->left_out > 0)
        snprintf(o->why, sizeof(o->why),
                 "the guest writes too much for the link, so about %.0f MiB follow the switch",
                 f->left_out * XF_PAGE_SIZE / (1 << 20));
    else
        snprintf(o->why, sizeof(o->why), "the link is fast enough to copy all of it ahead");
}

static void say_networks(const struct xf_move *m, const struct found *x, struct xf_outlook *o)
{
    double line = xf_nics_speed(&x->after);
    const struct xf_nic *idle =
        xf_nics_idle(&x->before, &x->after, line > 0 ? line : x->link.bytes_per_s);

    o->link_bytes_per_s = x->link.bytes_per_s > 0 ? x->link.bytes_per_s : -1;
    o->line_bytes_per_s = line;
    /* Over RDMA the card is the one with that address, too, but what else is idle is not known. */
    if (!idle || xf_move_uses_rdma(m))
        return;
    snprintf(o->faster_network, sizeof(o->faster_network), "%s", idle->name);
    o->faster_bytes_per_s = idle->bytes_per_s;
}

static void say_guest(const struct xf_survey *s, struct xf_outlook *o)
{
    o->look_s = s->look_s;
    o->working_set_pages = s->written;
    o->dirty_pages_per_s = xf_growth_at(&s->growth, 1, s->memory);
    o->guest_pages = s->memory;
    o->zero_part = s->sampled ? s->zero_part : -1;
    o->slowdown = s->look_s > 0 ? (double)s->written * TRAP_S / s->look_s : 0;
}

/* A stock stream: everything once, and the guest stands still unless Xen can log its writes. */
static struct xf_forecast cold(const struct xf_move *m, const struct found *x)
{
    struct xf_forecast f = {.total_s = -1, .downtime_s = -1, .bytes = -1};

    if (!x->guest.memory)
        return f;
    f.bytes = (double)x->guest.memory * XF_PAGE_SIZE;
    if (x->link.bytes_per_s > 0)
        f.total_s = f.bytes / x->link.bytes_per_s;
    f.downtime_s = m->check.live ? -1 : f.total_s;
    return f;
}

static struct xf_forecast compute(const struct xf_move *m, const struct found *x)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct xf_survey_plan plan = {
        .mode = xf_move_mode(m),
        .policy = xf_move_policy(m),
        .compress = m->o->compress,
        .threads = m->o->channels,
        .bandwidth = m->o->bandwidth,
        .suspend_s = XF_SUSPEND_GUESS_S,
    };

    if (m->o->cold)
        return cold(m, x);
    if (processors > 0 && (unsigned)processors < plan.threads)
        plan.threads = (unsigned)processors;
    return xf_survey_forecast(&x->guest, &x->link, &plan);
}

static void report(const struct xf_forecast *f, double begin_s, double end_s, struct xf_outlook *o)
{
    o->taken = true;
    o->total_s = f->total_s < 0 ? -1 : begin_s + f->total_s + end_s;
    o->downtime_s = f->downtime_s;
    o->bytes = f->bytes;
    o->rounds = f->rounds;
    o->left_out = f->left_out;
}

/* The memory that the guest needs there, and what is free. A cold move's guest, whose log cannot be
 * looked at, is at least counted. */
static void say_memory(struct xf_move *m, struct xf_survey *s, struct xf_outlook *o)
{
    xc_domaininfo_t info;

    o->memory_needed_kib = m->check.hello.need_kib;
    o->memory_free_kib = m->check.reply.free_kib;
    if (!s->memory && !xf_domain_info(m->xch, m->domid, &info))
        s->memory = info.tot_pages;
}

int xf_move_foresee(struct xf_move *m, struct xf_err *err)
{
    struct xf_outlook *o = &m->report->forecast;
    double check_s = xf_now() - m->show.began;
    struct found x = {0};
    struct xf_err why = {0};
    struct xf_forecast f;
    char used[IFNAMSIZ] = "";

    if (m->net.address[0] &&
        xf_nics_route(m->net.address, xf_own_for(&m->check.own, m->net.address), used))
        snprintf(o->network, sizeof(o->network), "%s", used);
    xf_nics_look(XF_NICS_DIR, used, &x.before);
    if (!m->o->cold && look_at_guest(m, &x.guest, &why) && without(m, "the guest", &why, err))
        return -1;
    xf_nics_look(XF_NICS_DIR, used, &x.after); /* before the measurement, which is traffic */
    xf_clear(&why);
    if (measure(m, &x.link, &why) && without(m, "the link's rate", &why, err))
        return -1;
    say_memory(m, &x.guest, o);
    f = compute(m, &x);
    /* SKELETON has the same kind of work to do as CHECK: both start xl there, and wait for it. */
    report(&f, 2 * check_s, FINISH_S, o);
    say_mode(m, &f, o);
    say_networks(m, &x, o);
    say_guest(&x.guest, o);
    return 0;
}

/* --- the report of a move --- */

void xf_move_report_forecast(struct xf_move *m)
{
    const struct xf_copy_status *st = &m->copy.status;
    struct xf_outlook *o = &m->report->forecast;

    if (st->forecast_at <= 0)
        return;
    o->at_s = st->forecast_at - m->show.began;
    report(&st->forecast, st->forecast_from - m->show.began, FINISH_S, o);
    o->guest_pages = m->report->guest_pages;
}
