/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What --check says a move would take, of a guest, a link and network cards that are made up; and
 * what the report of a move says of COPY's own forecast.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libxl-ext/host/nics.h"
#include "libxl-ext/source/move_forecast.h"
#include "libxl-ext/source/move_link.h"
#include "libxl-ext/source/move_tick.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/guest_kind.h"
#include "precopy/survey.h"
#include "tests/unit/suite.h"
#include "transport/speed.h"

#define PAGES 65536u /* 256 MiB */
#define LINK 120e6

static struct xf_move m;
static struct xf_move_opts opts;
static struct xf_report report;
static struct xf_err err;
static char notes[1000];

/* --- the world --- */

static struct {
    int look_num, sample_num, connect_num, measure_num; /* errno with which it fails; 0: it works */
    uint64_t on_demand;
    double writes; /* pages per second, any of its pages */
    unsigned opened, closed, sampled;
    double seconds; /* of the look */
    bool fast_card;
} world;

int xf_xen_source_open(struct xf_xen_source *x, libxl_ctx *ctx, struct xf_toollog *log,
                       uint32_t domid, const struct xf_guest_kind_ops *kind, struct xf_err *e)
{
    (void)ctx;
    (void)log;
    (void)kind;
    (void)e;
    x->domid = domid;
    world.opened++;
    return 0;
}

void xf_xen_source_close(struct xf_xen_source *x)
{
    (void)x;
    world.closed++;
}

int xf_survey_look(struct xf_survey *s, struct xf_source_vm *vm, double seconds,
                   struct xf_tick tick, struct xf_err *e)
{
    (void)vm;
    (void)tick;
    world.seconds = seconds;
    if (world.look_num)
        return xf_fail(e, world.look_num, "no log today");
    s->memory = PAGES;
    for (double t = 0.5; t <= 3; t += 0.5)
        xf_growth_add(&s->growth, t, (uint64_t)(t * world.writes));
    s->look_s = 3;
    s->written = (uint64_t)(3 * world.writes);
    return 0;
}

int xf_survey_sample(struct xf_survey *s, struct xf_source_vm *vm, unsigned codecs,
                     struct xf_err *e)
{
    (void)vm;
    (void)codecs;
    world.sampled++;
    if (world.sample_num)
        return xf_fail(e, world.sample_num, "no page today");
    s->sampled = 1000;
    s->zero_part = 0.5;
    s->map_s = 1e-6;
    return 0;
}

int xf_move_connect_bulk(struct xf_move *move, struct xf_err *e)
{
    (void)move;
    return world.connect_num ? xf_fail(e, world.connect_num, "no channel today") : 0;
}

int xf_speed_measure(struct xf_link *l, struct xf_tick tick, struct xf_speed *out, struct xf_err *e)
{
    (void)l;
    (void)tick;
    if (world.measure_num)
        return xf_fail(e, world.measure_num, "no answer today");
    *out = (struct xf_speed){.bytes_per_s = LINK, .round_trip_s = 0.001};
    return 0;
}

int xc_domain_get_pod_target(xc_interface *xch, uint32_t domid, uint64_t *tot_pages,
                             uint64_t *pod_cache_pages, uint64_t *pod_entries)
{
    (void)xch;
    (void)domid;
    *tot_pages = *pod_cache_pages = 0;
    *pod_entries = world.on_demand;
    return 0;
}

int xf_domain_info(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info)
{
    (void)xch;
    (void)domid;
    *info = (xc_domaininfo_t){.tot_pages = PAGES};
    return 0;
}

bool xf_nics_route(const char *peer, const char *src, char name[IFNAMSIZ])
{
    CU_ASSERT_STRING_EQUAL(peer, "192.0.2.7");
    CU_ASSERT_PTR_NULL(src);
    snprintf(name, IFNAMSIZ, "xenbr0");
    return true;
}

void xf_nics_look(const char *dir, const char *used, struct xf_nics *out)
{
    static double when;

    (void)dir;
    CU_ASSERT_STRING_EQUAL(used, "xenbr0");
    *out = (struct xf_nics){.n = world.fast_card ? 2 : 1,
                            .seconds = ++when,
                            .list = {{.name = "eth0", .bytes_per_s = 125e6, .ours = true},
                                     {.name = "eth1", .bytes_per_s = 1250e6}}};
}

/* --- */

static void on_note(void *priv, const char *sentence)
{
    (void)priv;
    snprintf(notes + strlen(notes), sizeof(notes) - strlen(notes), "%s\n", sentence);
}

static const struct xf_watch watch = {.note = on_note};

static void begin(enum xf_mode mode)
{
    memset(&world, 0, sizeof(world));
    memset(&m, 0, sizeof(m));
    xf_move_opts_init(&opts);
    opts.domain = "web1";
    opts.host = "host2";
    opts.check_only = true;
    opts.compress = XF_COMPRESS_OFF;
    opts.mode = mode;
    xf_move_init(&m, &opts, &watch, &report);
    m.check.kind = &xf_guest_pvh;
    m.check.hello.need_kib = 300000;
    m.check.reply.free_kib = 5000000;
    m.check.reply.probe = true;
    m.pull.possible = mode != XF_MODE_PRECOPY;
    snprintf(m.net.address, sizeof(m.net.address), "192.0.2.7");
    err = (struct xf_err){0};
    notes[0] = 0;
}

static const struct xf_outlook *foreseen(void)
{
    CU_ASSERT_EQUAL(xf_move_foresee(&m, &err), 0);
    CU_ASSERT(report.forecast.taken && world.opened == world.closed && !m.skeleton.open);
    return &report.forecast;
}

static void test_all(void)
{
    const struct xf_outlook *o;
    double data_s = 0.5 * PAGES * XF_PAGE_SIZE / LINK;

    begin(XF_MODE_HYBRID);
    world.writes = 100;
    world.fast_card = true;
    o = foreseen();
    CU_ASSERT(o->total_s > data_s && o->total_s < 1.2 * data_s + 0.5);
    CU_ASSERT(o->downtime_s > 0.03 && o->downtime_s < 0.3);
    CU_ASSERT(o->bytes > 0.5 * PAGES * XF_PAGE_SIZE && o->bytes < 0.6 * PAGES * XF_PAGE_SIZE);
    CU_ASSERT_STRING_EQUAL(o->mode, "hybrid");
    CU_ASSERT_STRING_EQUAL(o->why, "the link is fast enough to copy all of it ahead");
    CU_ASSERT_STRING_EQUAL(o->network, "xenbr0");
    CU_ASSERT_DOUBLE_EQUAL(o->line_bytes_per_s, 125e6, 1);
    CU_ASSERT_DOUBLE_EQUAL(o->link_bytes_per_s, LINK, 1);
    CU_ASSERT_STRING_EQUAL(o->faster_network, "eth1");
    CU_ASSERT(o->working_set_pages == 300 && o->look_s >= 3 && o->guest_pages == PAGES);
    CU_ASSERT_DOUBLE_EQUAL(o->dirty_pages_per_s, 100, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(o->slowdown, 300 * 3e-6 / 3, 1e-9);
    CU_ASSERT(o->memory_needed_kib == 300000 && o->memory_free_kib == 5000000);
    CU_ASSERT_STRING_EQUAL(notes, "");
    CU_ASSERT_DOUBLE_EQUAL(world.seconds, 3, 1e-9);
    begin(XF_MODE_HYBRID); /* no other card */
    CU_ASSERT_STRING_EQUAL(foreseen()->faster_network, "");
    begin(XF_MODE_HYBRID); /* paused: it writes nothing, and no time is spent on that */
    m.check.paused = true;
    foreseen();
    CU_ASSERT_DOUBLE_EQUAL(world.seconds, 0, 1e-9);
    begin(XF_MODE_HYBRID); /* reading such pages would populate them */
    world.on_demand = 7;
    CU_ASSERT(foreseen()->zero_part < 0 && !world.sampled);
}

static void test_modes(void)
{
    static const char whole[] = "its devices are attached in the switch (--late-devices)";
    const struct xf_outlook *o;

    begin(XF_MODE_HYBRID);
    world.writes = 40000;
    o = foreseen();
    CU_ASSERT(o->left_out > 1000 && !strcmp(o->mode, "hybrid"));
    CU_ASSERT_PTR_NOT_NULL(strstr(o->why, "the guest writes too much for the link, so about "));
    begin(XF_MODE_PRECOPY);
    o = foreseen();
    CU_ASSERT(!strcmp(o->mode, "precopy") && !strcmp(o->why, "pre-copy was asked for"));
    begin(XF_MODE_POSTCOPY);
    o = foreseen();
    CU_ASSERT(!strcmp(o->mode, "postcopy") && !strcmp(o->why, "post-copy was asked for"));
    begin(XF_MODE_HYBRID);
    m.pull.possible = false;
    o = foreseen();
    CU_ASSERT(!strcmp(o->mode, "precopy") &&
              !strcmp(o->why, "the destination's Xen has no memory paging"));
    begin(XF_MODE_HYBRID);
    m.pull.possible = false;
    m.check.whole = whole;
    o = foreseen();
    CU_ASSERT(!strcmp(o->mode, "precopy") && !strcmp(o->why, whole));
    /* A cold move: all of it once, while the guest stands still; it is not looked at. */
    begin(XF_MODE_HYBRID);
    opts.cold = true;
    m.pull.possible = false;
    o = foreseen();
    CU_ASSERT(!strcmp(o->mode, "cold") && !world.opened);
    CU_ASSERT_DOUBLE_EQUAL(o->downtime_s, PAGES * 4096.0 / LINK, 1e-6);
    CU_ASSERT(o->total_s >= o->downtime_s && o->guest_pages == PAGES && o->look_s <= 0);
    begin(XF_MODE_HYBRID);
    opts.cold = m.check.live = true; /* unless Xen can log its writes: nobody knows then */
    CU_ASSERT(foreseen()->downtime_s < 0);
}

/* What cannot be found out is unknown, and the rest is said. */
static void test_parts_missing(void)
{
    const struct xf_outlook *o;

    begin(XF_MODE_HYBRID);
    m.check.reply.probe = false;
    m.check.reply.free_kib = XF_KIB_UNKNOWN;
    o = foreseen();
    CU_ASSERT(o->total_s < 0 && o->downtime_s < 0 && o->bytes < 0 && o->link_bytes_per_s < 0);
    CU_ASSERT(o->guest_pages == PAGES && o->memory_free_kib == UINT64_MAX);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "the forecast is without the link's rate: "));
    CU_ASSERT_STRING_EQUAL(o->mode, "hybrid");
    begin(XF_MODE_HYBRID);
    world.look_num = EINVAL;
    o = foreseen();
    CU_ASSERT(o->total_s < 0 && o->link_bytes_per_s > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "the forecast is without the guest: no log today"));
    for (unsigned i = 0; i < 2; i++) {
        begin(XF_MODE_HYBRID);
        *(i ? &world.connect_num : &world.measure_num) = ECONNRESET;
        CU_ASSERT(foreseen()->total_s < 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(notes, i ? "no channel today" : "no answer today"));
    }
}

static void test_cancelled(void)
{
    int *const at[] = {&world.look_num, &world.sample_num, &world.connect_num, &world.measure_num};

    for (unsigned i = 0; i < 4; i++) {
        begin(XF_MODE_HYBRID);
        *at[i] = ECANCELED;
        CU_ASSERT_EQUAL(xf_move_foresee(&m, &err), -1);
        CU_ASSERT_EQUAL(err.num, ECANCELED);
        CU_ASSERT(world.opened == world.closed && !m.skeleton.open && !notes[0]);
    }
}

static void test_report(void)
{
    begin(XF_MODE_PRECOPY);
    xf_move_report_forecast(&m); /* COPY was not reached, or had no round */
    CU_ASSERT_FALSE(report.forecast.taken);
    m.copy.status.forecast_at = -1; /* the link was lost */
    xf_move_report_forecast(&m);
    CU_ASSERT_FALSE(report.forecast.taken);
    m.copy.status.forecast_from = m.show.began + 5;
    m.copy.status.forecast_at = m.show.began + 6;
    m.copy.status.forecast =
        (struct xf_forecast){.total_s = 10, .downtime_s = 0.1, .bytes = 7, .rounds = 2};
    xf_move_report_forecast(&m);
    CU_ASSERT(report.forecast.taken && !report.forecast.mode[0]);
    CU_ASSERT_DOUBLE_EQUAL(report.forecast.at_s, 6, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(report.forecast.total_s, 15, 0.2); /* and what was before COPY */
    CU_ASSERT_DOUBLE_EQUAL(report.forecast.bytes, 7, 1e-6);
}

int main(void)
{
    CU_TestInfo tests[] = {{"everything", test_all},
                           {"modes", test_modes},
                           {"parts missing", test_parts_missing},
                           {"cancelled", test_cancelled},
                           {"the report", test_report},
                           CU_TEST_INFO_NULL};

    return run_suite("forecast of a move", tests);
}
