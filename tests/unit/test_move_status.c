/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a move's source tells of itself, phase by phase, when it can be switched to post-copy,
 * and that a request reaches the engine. There is no move here, only its state.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/source/move_status.h"
#include "libxl-ext/host/run_dir.h"
#include "tests/unit/suite.h"

static struct xf_move_opts opts;
static struct xf_report report;
static struct xf_watch watch;
static struct xf_move *m;
static unsigned notes;

static void note(void *priv, const char *sentence)
{
    (void)priv;
    notes += strstr(sentence, "migrate-status") != NULL;
}

static void open_move(enum xf_mode mode)
{
    notes = 0;
    memset(&report, 0, sizeof(report));
    xf_move_opts_init(&opts);
    opts.host = "host2";
    opts.mode = mode;
    watch.note = note;
    m = calloc(1, sizeof(*m));
    m->o = &opts;
    m->w = &watch;
    m->report = &report;
    m->domid = 5;
    m->pull.possible = mode != XF_MODE_PRECOPY;
    snprintf(m->name, sizeof(m->name), "web1");
    xf_move_status_open(m);
}

static void close_move(void)
{
    xf_status_close(m->show.status);
    free(m);
}

/* How it is seen when it has told of a phase. */
static struct xf_status seen(enum xf_phase phase)
{
    struct xf_progress p = {.round = 2,
                            .round_pages = 900,
                            .round_done = 100,
                            .pages_sent = 4000,
                            .elapsed_s = 7,
                            .rate_bps = 1e6,
                            .eta_s = 3};
    struct xf_status_list all;
    struct xf_status s = {0};

    m->show.phase = phase;
    xf_move_status_tell(m, &p);
    CU_ASSERT_EQUAL(xf_statuses(&all, NULL), 0);
    CU_ASSERT_EQUAL(all.nr, 1);
    if (all.nr)
        s = all.list[0];
    xf_statuses_free(&all);
    return s;
}

static void test_phases(void)
{
    struct xf_status s;

    open_move(XF_MODE_HYBRID);
    s = seen(XF_PHASE_COPY);
    CU_ASSERT(s.source && s.domid == 5 && s.pid == getpid() && s.phase == XF_PHASE_COPY);
    CU_ASSERT_STRING_EQUAL(s.domain, "web1");
    CU_ASSERT_STRING_EQUAL(s.host, "host2");
    CU_ASSERT(s.round == 2 && s.round_pages == 900 && s.round_done == 100);
    CU_ASSERT(s.pages_sent == 4000 && s.missing == 0 && s.left_out == 0);
    CU_ASSERT(s.rate_bps == 1e6 && s.eta_s == 3 && s.elapsed_s >= 7);

    /* The destination has said nothing yet, then something. */
    report.left_out = 1000;
    m->pull.pulled.missing = UINT64_MAX;
    s = seen(XF_PHASE_PULL);
    CU_ASSERT(s.left_out == 1000 && s.missing == 1000 && s.eta_s < 0);
    m->pull.pulled = (struct xf_pulled){
        .missing = 400, .faults = 9, .requested = 4, .median_ns = 300000, .p99_ns = 2000000};
    s = seen(XF_PHASE_PULL);
    CU_ASSERT(s.missing == 400 && s.faults == 9 && s.requested == 4);
    CU_ASSERT_DOUBLE_EQUAL(s.fault_median_s, 0.0003, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(s.fault_p99_s, 0.002, 1e-9);
    close_move();
}

static void test_when_it_can_switch(void)
{
    static const struct {
        enum xf_mode mode;
        bool pull;
        enum xf_phase phase;
        const char *says; /* NULL: it can */
    } cases[] = {
        {XF_MODE_HYBRID, true, XF_PHASE_COPY, NULL},
        {XF_MODE_HYBRID, true, XF_PHASE_CHECK, "ask again"},
        {XF_MODE_HYBRID, true, XF_PHASE_SKELETON, "ask again"},
        {XF_MODE_HYBRID, true, XF_PHASE_SWITCH, "ended its COPY"},
        {XF_MODE_HYBRID, true, XF_PHASE_PULL, "ended its COPY"},
        {XF_MODE_HYBRID, true, XF_PHASE_FINISH, "ended its COPY"},
        {XF_MODE_HYBRID, false, XF_PHASE_COPY, "no memory paging"},
        {XF_MODE_PRECOPY, false, XF_PHASE_COPY, "--hybrid"},
        {XF_MODE_POSTCOPY, true, XF_PHASE_COPY, "post-copy move already"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xf_err err = {0};
        int rc;

        open_move(cases[i].mode);
        m->pull.possible = cases[i].pull;
        seen(cases[i].phase);
        rc = xf_ask_postcopy("web1", &err);
        CU_ASSERT_EQUAL(rc, cases[i].says ? -1 : 0);
        if (cases[i].says)
            CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].says));
        CU_ASSERT_FALSE(m->copy.switch_now);
        seen(cases[i].phase);
        CU_ASSERT_EQUAL(m->copy.switch_now, !cases[i].says);
        close_move();
    }
}

/* A move that nobody can ask goes on, and says so; --check is none. */
static void test_without(void)
{
    struct xf_progress p = {0};
    char dir[256];

    snprintf(dir, sizeof(dir), "%s", xf_run_dir());
    setenv(XF_RUN_DIR_ENV, "/proc/none", 1);
    open_move(XF_MODE_HYBRID);
    setenv(XF_RUN_DIR_ENV, dir, 1);
    CU_ASSERT_PTR_NULL(m->show.status);
    CU_ASSERT_EQUAL(notes, 1);
    m->show.phase = XF_PHASE_COPY;
    xf_move_status_tell(m, &p);
    CU_ASSERT_FALSE(m->copy.switch_now);
    close_move();

    open_move(XF_MODE_HYBRID);
    close_move();
    opts.check_only = true;
    m = calloc(1, sizeof(*m));
    m->o = &opts;
    m->w = &watch;
    m->report = &report;
    xf_move_status_open(m);
    CU_ASSERT_PTR_NULL(m->show.status);
    CU_ASSERT_EQUAL(notes, 0);
    close_move();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"phases", test_phases},
        {"when it can be switched", test_when_it_can_switch},
        {"without a socket", test_without},
        CU_TEST_INFO_NULL,
    };
    char dir[] = "/tmp/xf-move-status-XXXXXX";
    int rc;

    if (!mkdtemp(dir) || setenv(XF_RUN_DIR_ENV, dir, 1))
        return 2;
    rc = run_suite("move status", tests);
    rmdir(dir);
    return rc;
}
