/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking a guest to suspend, and what became of it when a move has failed, with libxl, xenstore
 * and Xen played by this file. libxl's operation ends only when the test or an abort lets it, so a
 * minute of its patience is a test that hangs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl_event.h>
#include <xen/hvm/params.h>
#include <xenstore.h>

#include "libxl-ext/source/move_end.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/xen_suspend.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define DOMID 9u
#define CODE(reason) (XEN_DOMINF_shutdown | ((uint32_t)(reason) << XEN_DOMINF_shutdownshift))
#define SUSPENDED CODE(SHUTDOWN_suspend)

static struct {
    uint32_t now, then; /* flags of the domain, and after `turns` looks */
    unsigned turns;
    bool gone;     /* `then` it is */
    int rc;        /* what libxl's operation ends with, when `then` has come */
    bool never;    /* ... if it does */
    int begin_rc;  /* it does not even begin */
    char node[16]; /* control/shutdown */
    bool takes;    /* the guest takes the request from it */
    unsigned asked, aborts, resumed;
    int resume_rc;
    uint64_t irq;    /* PV drivers have set one */
    bool mute;       /* ... and Xen does not tell */
    unsigned shut;   /* Xen was told to suspend it */
    unsigned locked; /* so many resumes fail first */
    const libxl_asyncop_how *how;
} xen;

static bool then(void)
{
    return !xen.turns;
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max, xc_domaininfo_t *info)
{
    (void)xch;
    (void)max;
    memset(info, 0, sizeof(*info));
    info->domain = (domid_t)(then() && xen.gone ? first + 3 : first);
    info->flags = then() ? xen.then : xen.now;
    if (xen.turns)
        xen.turns--;
    return 1;
}

int libxl_domain_suspend_only(libxl_ctx *ctx, uint32_t domid, const libxl_asyncop_how *how)
{
    static libxl_asyncop_how copy;

    (void)ctx;
    CU_ASSERT(domid == DOMID && how && how->callback);
    xen.asked++;
    strcpy(xen.node, xen.takes ? "" : "suspend");
    copy = *how;
    xen.how = &copy;
    return xen.begin_rc;
}

int libxl_osevent_beforepoll(libxl_ctx *ctx, int *n, struct pollfd *fds, int *timeout,
                             struct timeval now)
{
    (void)ctx;
    (void)fds;
    (void)now;
    CU_ASSERT(*n > 3 && *timeout <= 100);
    *n = 0;
    *timeout = 1;
    return 0;
}

static void complete(int rc)
{
    xen.how->callback(NULL, rc, xen.how->u.for_callback);
    xen.how = NULL;
}

void libxl_osevent_afterpoll(libxl_ctx *ctx, int n, const struct pollfd *fds, struct timeval now)
{
    (void)ctx;
    (void)n;
    (void)fds;
    (void)now;
    if (then() && !xen.never && xen.how)
        complete(xen.rc);
}

int libxl_ao_abort(libxl_ctx *ctx, const libxl_asyncop_how *how)
{
    (void)ctx;
    xen.aborts++;
    CU_ASSERT_FATAL(xen.how && how->u.for_callback == xen.how->u.for_callback);
    complete(ERROR_ABORTED);
    return 0;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)&xen;
}

void xs_close(struct xs_handle *xs)
{
    (void)xs;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    (void)h;
    return 1;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
    (void)h;
    (void)t;
    (void)abort;
    return true;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len)
{
    (void)h;
    (void)t;
    CU_ASSERT_STRING_EQUAL(path, "/local/domain/9/control/shutdown");
    *len = (unsigned)strlen(xen.node);
    return strdup(xen.node);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
              unsigned len)
{
    (void)h;
    (void)t;
    CU_ASSERT_STRING_EQUAL(path, "/local/domain/9/control/shutdown");
    snprintf(xen.node, sizeof(xen.node), "%.*s", (int)len, (const char *)data);
    if (len)
        xen.asked++;
    return true;
}

int xc_hvm_param_get(xc_interface *xch, uint32_t dom, uint32_t param, uint64_t *value)
{
    (void)xch;
    CU_ASSERT(dom == DOMID && param == HVM_PARAM_CALLBACK_IRQ);
    if (xen.mute) {
        errno = EPERM;
        return -1;
    }
    *value = xen.irq;
    return 0;
}

int xc_domain_shutdown(xc_interface *xch, uint32_t domid, int reason)
{
    (void)xch;
    CU_ASSERT(domid == DOMID && reason == SHUTDOWN_suspend);
    xen.shut++;
    return 0;
}

static int resume(struct xf_source_vm *vm, struct xf_err *err)
{
    (void)vm;
    xen.resumed++;
    if (xen.locked && xen.locked--)
        return xf_fail(err, EIO, "an image is locked");
    return xen.resume_rc ? xf_fail(err, EIO, "it could not be resumed") : 0;
}

/* --- tests --- */

static const struct xf_source_ops ops = {.resume = resume};
static struct xf_toollog toollog;
static struct xf_move m;
static struct xf_report report;
static struct xf_err err;
static char notes[600];

static void note(void *priv, const char *text)
{
    (void)priv;
    snprintf(notes, sizeof(notes), "%s", text);
}

static void begin(void)
{
    static const struct xf_move_opts o;
    static const struct xf_watch w = {.note = note};

    memset(&xen, 0, sizeof(xen));
    memset(&m, 0, sizeof(m));
    memset(&report, 0, sizeof(report));
    xf_clear(&err);
    notes[0] = 0;
    m.o = &o;
    m.w = &w;
    m.report = &report;
    m.domid = DOMID;
    m.skeleton.open = true;
    m.show.phase = XF_PHASE_SWITCH;
    m.skeleton.xen =
        (struct xf_xen_source){.vm = {.ops = &ops}, .domid = DOMID, .log = &toollog, .asked = true};
}

static void test_suspends(void)
{
    begin();
    xen.turns = 3;
    xen.then = SUSPENDED;
    CU_ASSERT_EQUAL(xf_xen_suspend(&m.skeleton.xen.vm, &err), 0);
    CU_ASSERT(xen.asked == 1 && !xen.aborts && !m.skeleton.xen.may_stop);
}

/* Whatever ends the guest while it is asked ends the asking, and is said. */
static void test_ends(void)
{
    static const struct {
        uint32_t flags;
        bool gone;
        const char *says;
    } ends[] = {
        {CODE(SHUTDOWN_crash), false, "has crashed"},
        {CODE(SHUTDOWN_poweroff), false, "has powered off"},
        {CODE(SHUTDOWN_reboot), false, "has rebooted"},
        {CODE(SHUTDOWN_watchdog), false, "watchdog"},
        {XEN_DOMINF_dying, false, "was destroyed"},
        {0, true, "was destroyed"},
        /* xl's monitor destroys what has crashed. */
        {CODE(SHUTDOWN_crash) | XEN_DOMINF_dying, false, "has crashed"},
        {SUSPENDED | XEN_DOMINF_dying, false, "was destroyed"},
        {XEN_DOMINF_paused | XEN_DOMINF_dying, false, "was destroyed"},
    };

    for (unsigned before = 0; before < 2; before++) {
        for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
            int64_t began = xf_now_ms();

            begin();
            xen.turns = before ? 0 : 4;
            xen.then = ends[i].flags;
            xen.gone = ends[i].gone;
            xen.never = true;
            CU_ASSERT_EQUAL(xf_xen_suspend(&m.skeleton.xen.vm, &err), -1);
            CU_ASSERT_EQUAL(err.num, ESRCH);
            CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ends[i].says));
            CU_ASSERT(xen.asked == !before && xen.aborts == !before && !m.skeleton.xen.may_stop);
            CU_ASSERT(xf_now_ms() - began < 1000);
        }
    }
}

/* A guest that is paused cannot answer, and must not find the request when it is let go on. */
static void test_paused(void)
{
    begin();
    xen.then = XEN_DOMINF_paused;
    CU_ASSERT_EQUAL(xf_xen_suspend(&m.skeleton.xen.vm, &err), -1);
    CU_ASSERT(err.num == EBUSY && xen.asked == 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "`xl unpause`"));
    begin();
    xen.turns = 3;
    xen.then = XEN_DOMINF_paused;
    xen.never = true;
    CU_ASSERT_EQUAL(xf_xen_suspend(&m.skeleton.xen.vm, &err), -1);
    CU_ASSERT(err.num == EBUSY && xen.aborts == 1);
    CU_ASSERT(!m.skeleton.xen.may_stop && !xen.node[0]);
}

/* Suspended by `xl save`: that is not ours to move, nor to resume. */
static void test_others(void)
{
    begin();
    m.skeleton.xen.asked = false;
    xen.then = SUSPENDED;
    CU_ASSERT_EQUAL(xf_xen_suspend(&m.skeleton.xen.vm, &err), -1);
    CU_ASSERT(err.num == EBUSY && xen.asked == 0);
    /* Seen at the last moment, in SWITCH: the engine could not resume it either. */
    CU_ASSERT_EQUAL(xf_move_settle(&m, XF_SUSPENDED, &err), XF_ENDED);
    CU_ASSERT(!xen.resumed && report.here == XF_HERE_SUSPENDED);
}

/* Who does not answer: libxl says 0 when it has taken its request back. */
static void test_no_answer(void)
{
    begin();
    xen.turns = 3;
    xen.rc = 0;
    CU_ASSERT_EQUAL(xf_xen_suspend(&m.skeleton.xen.vm, &err), -1);
    CU_ASSERT(err.num == ETIMEDOUT && !m.skeleton.xen.may_stop);
    begin();
    xen.turns = 3;
    xen.rc = ERROR_FAIL; /* whatever it was, the request is there */
    CU_ASSERT_EQUAL(xf_xen_suspend(&m.skeleton.xen.vm, &err), -1);
    CU_ASSERT(err.num == ETIMEDOUT && !m.skeleton.xen.may_stop && !xen.node[0]);
    begin();
    xen.begin_rc = ERROR_FAIL;
    CU_ASSERT_EQUAL(xf_xen_suspend(&m.skeleton.xen.vm, &err), -1);
    CU_ASSERT(err.num == ETIMEDOUT && !m.skeleton.xen.may_stop);
}

/* libxl gives up a guest that goes on for now: has it taken the request, or is that back? */
static void test_request(void)
{
    for (unsigned takes = 0; takes < 2; takes++) {
        begin();
        xen.rc = ERROR_GUEST_TIMEDOUT;
        xen.turns = 3;
        xen.takes = takes;
        CU_ASSERT_EQUAL(xf_xen_suspend(&m.skeleton.xen.vm, &err), -1);
        CU_ASSERT_EQUAL(err.num, ETIMEDOUT);
        CU_ASSERT_EQUAL(m.skeleton.xen.may_stop, takes);
        CU_ASSERT_STRING_EQUAL(xen.node, "");
    }
}

/* libxl has given up, but the guest has the request: it suspends in the end, and is resumed. */
static void test_late(void)
{
    begin();
    m.skeleton.xen.may_stop = true;
    xen.turns = 3;
    xen.then = SUSPENDED;
    xf_fail(&err, ETIMEDOUT, "the guest did not suspend when asked");
    CU_ASSERT_EQUAL(xf_move_settle(&m, XF_STAYED, &err), XF_RESUMED);
    CU_ASSERT(xen.resumed == 1 && report.here == XF_HERE_RUNS && !report.may_stop);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "was resumed"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "did not suspend when asked"));
    /* The same just after the last look, without waiting for it. */
    begin();
    xen.then = SUSPENDED;
    CU_ASSERT_EQUAL(xf_move_settle(&m, XF_STAYED, &err), XF_RESUMED);
    CU_ASSERT_EQUAL(xen.resumed, 1);
    begin();
    xen.then = SUSPENDED;
    xen.resume_rc = -1;
    xf_fail(&err, ETIMEDOUT, "x");
    CU_ASSERT_EQUAL(xf_move_settle(&m, XF_STAYED, &err), XF_SUSPENDED);
    CU_ASSERT(report.here == XF_HERE_SUSPENDED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "could not be resumed"));
}

/* The copy's device model has the guest's images, until the destination has destroyed it. */
static void test_locked(void)
{
    begin();
    m.check.kind = &xf_guest_hvm;
    m.skeleton.xen.asked = true;
    xen.now = xen.then = SUSPENDED;
    xen.locked = 2;
    xf_fail(&err, EIO, "x");
    CU_ASSERT_EQUAL(xf_move_settle(&m, XF_SUSPENDED, &err), XF_RESUMED);
    CU_ASSERT(xen.resumed == 3 && report.here == XF_HERE_RUNS);
    /* Somebody else ends it meanwhile. */
    begin();
    m.check.kind = &xf_guest_hvm;
    m.skeleton.xen.asked = true;
    xen.now = SUSPENDED;
    xen.turns = 2;
    xen.then = CODE(SHUTDOWN_poweroff);
    xen.locked = 100;
    CU_ASSERT_EQUAL(xf_move_settle(&m, XF_SUSPENDED, &err), XF_SUSPENDED);
    CU_ASSERT(xen.resumed <= 3);
    /* Without a device model nothing would change by waiting. */
    begin();
    m.check.kind = &xf_guest_pvh;
    m.skeleton.xen.asked = true;
    xen.now = xen.then = SUSPENDED;
    CU_ASSERT_EQUAL(xf_move_settle(&m, XF_SUSPENDED, &err), XF_SUSPENDED);
    CU_ASSERT_EQUAL(xen.resumed, 0);
}

/* Xen does not say whether an HVM guest has PV drivers: nothing is done to it, by either way. */
static void test_mute(void)
{
    struct xf_xen_source *x = &m.skeleton.xen;

    for (int way = 0; way < 4; way++) {
        begin();
        x->kind = &xf_guest_hvm;
        x->asked = false;
        x->keep_paused = way & 1;
        xen.mute = true;
        xen.now = xen.then = way & 1 ? XEN_DOMINF_paused : 0;
        CU_ASSERT_EQUAL(way & 2 ? xf_xen_suspend(&x->vm, &err) : xf_xen_suspend_guest(&x->vm, &err),
                        -1);
        CU_ASSERT(err.num == EPERM && strstr(err.text, "PV drivers"));
        CU_ASSERT(!xen.asked && !xen.shut && !x->asked && !x->may_stop && !x->unpaused);
    }
    begin(); /* a kind without a device model has them */
    x->kind = &xf_guest_pvh;
    xen.mute = true;
    xen.turns = 2;
    xen.then = SUSPENDED;
    CU_ASSERT_EQUAL(xf_xen_suspend(&x->vm, &err), 0);
    begin(); /* what has ended is said before */
    x->kind = &xf_guest_hvm;
    xen.mute = true;
    xen.then = CODE(SHUTDOWN_crash);
    CU_ASSERT_EQUAL(xf_xen_suspend(&x->vm, &err), -1);
    CU_ASSERT_EQUAL(err.num, ESRCH);
}

/* Without libxl: by its PV drivers, or by Xen. */
static void test_directly(void)
{
    struct xf_xen_source *x = &m.skeleton.xen;

    for (int irq = 0; irq < 2; irq++) {
        begin();
        x->kind = &xf_guest_hvm;
        x->asked = false;
        xen.irq = (uint64_t)irq;
        xen.turns = 4;
        xen.then = SUSPENDED;
        CU_ASSERT_EQUAL(xf_xen_suspend_guest(&x->vm, &err), 0);
        CU_ASSERT(x->asked && !x->may_stop && !xen.how);
        CU_ASSERT(xen.asked == (unsigned)irq && xen.shut == (unsigned)!irq);
        CU_ASSERT_STRING_EQUAL(xen.node, irq ? "suspend" : "");
    }
    /* It crashes instead; nobody waits a minute for it, and the request is taken back. */
    begin();
    x->kind = &xf_guest_hvm;
    xen.irq = 1;
    xen.turns = 3;
    xen.then = CODE(SHUTDOWN_crash);
    CU_ASSERT_EQUAL(xf_xen_suspend_guest(&x->vm, &err), -1);
    CU_ASSERT_EQUAL(err.num, ESRCH);
    /* Paused, which no request wakes. */
    begin();
    x->kind = &xf_guest_hvm;
    xen.irq = 1;
    xen.now = xen.then = XEN_DOMINF_paused;
    CU_ASSERT_EQUAL(xf_xen_suspend_guest(&x->vm, &err), -1);
    CU_ASSERT(err.num == EBUSY && !xen.asked && !xen.shut);
}

/* It never does: the wait has an end, also by Ctrl-C, and the report says that it may. */
static void test_never(void)
{
    static volatile sig_atomic_t cancel = 1;
    int64_t began = xf_now_ms();

    begin();
    m.skeleton.xen.may_stop = true;
    CU_ASSERT_EQUAL(xf_xen_await_stop(&m.skeleton.xen, 300, NULL), XF_HERE_RUNS);
    CU_ASSERT(m.skeleton.xen.may_stop && xf_now_ms() - began >= 300);
    CU_ASSERT_EQUAL(xf_xen_await_stop(&m.skeleton.xen, 0, &cancel), XF_HERE_RUNS);
    xen.then = CODE(SHUTDOWN_crash);
    CU_ASSERT_EQUAL(xf_xen_await_stop(&m.skeleton.xen, 60000, NULL), XF_HERE_CRASHED);
    CU_ASSERT_FALSE(m.skeleton.xen.may_stop);
}

/* What the end of a failed move is called. */
static void test_settle(void)
{
    static const struct {
        enum xf_phase phase;
        uint32_t flags;
        enum xf_outcome before, after;
        enum xf_here here;
    } cases[] = {
        {XF_PHASE_COPY, 0, XF_STAYED, XF_STAYED, XF_HERE_RUNS},
        {XF_PHASE_COPY, XEN_DOMINF_paused, XF_STAYED, XF_STAYED, XF_HERE_PAUSED},
        {XF_PHASE_COPY, CODE(SHUTDOWN_crash), XF_STAYED, XF_ENDED, XF_HERE_CRASHED},
        {XF_PHASE_COPY, CODE(SHUTDOWN_poweroff), XF_STAYED, XF_ENDED, XF_HERE_POWEROFF},
        {XF_PHASE_SKELETON, CODE(SHUTDOWN_reboot), XF_STAYED, XF_ENDED, XF_HERE_REBOOT},
        {XF_PHASE_COPY, SUSPENDED, XF_STAYED, XF_ENDED, XF_HERE_SUSPENDED}, /* not by us */
        {XF_PHASE_SWITCH, 0, XF_RESUMED, XF_RESUMED, XF_HERE_RUNS},
        {XF_PHASE_SWITCH, CODE(SHUTDOWN_crash), XF_RESUMED, XF_ENDED, XF_HERE_CRASHED},
        {XF_PHASE_SWITCH, SUSPENDED | XEN_DOMINF_dying, XF_RESUMED, XF_ENDED, XF_HERE_DESTROYED},
        {XF_PHASE_SWITCH, SUSPENDED, XF_SUSPENDED, XF_SUSPENDED, XF_HERE_SUSPENDED},
        {XF_PHASE_SWITCH, 0, XF_SUSPENDED, XF_RESUMED, XF_HERE_RUNS}, /* by somebody else */
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        m.show.phase = cases[i].phase;
        m.skeleton.open = m.show.phase != XF_PHASE_SKELETON;
        m.skeleton.xen.asked = m.show.phase == XF_PHASE_SWITCH;
        xen.then = cases[i].flags;
        xf_fail(&err, EIO, "the link broke");
        CU_ASSERT_EQUAL(xf_move_settle(&m, cases[i].before, &err), cases[i].after);
        CU_ASSERT_EQUAL(report.here, cases[i].here);
        CU_ASSERT_EQUAL(xen.resumed, 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "the link broke"));
        CU_ASSERT_EQUAL(strstr(err.text, xf_here_text(cases[i].here)) != NULL,
                        cases[i].after == XF_ENDED);
    }
    begin(); /* said already */
    m.show.phase = XF_PHASE_COPY;
    xen.then = CODE(SHUTDOWN_crash);
    xf_fail(&err, ESRCH, "the guest has crashed");
    CU_ASSERT_EQUAL(xf_move_settle(&m, XF_STAYED, &err), XF_ENDED);
    CU_ASSERT_STRING_EQUAL(err.text, "the guest has crashed");
}

int main(void)
{
    CU_TestInfo tests[] = {{"it suspends", test_suspends},
                           {"it ends meanwhile", test_ends},
                           {"paused", test_paused},
                           {"suspended by somebody else", test_others},
                           {"no answer", test_no_answer},
                           {"a request that is taken, or taken back", test_request},
                           {"suspends too late", test_late},
                           {"resumed when the images are free", test_locked},
                           {"suspends without libxl", test_directly},
                           {"Xen does not say how", test_mute},
                           {"never suspends", test_never},
                           {"how a failed move ends", test_settle},
                           CU_TEST_INFO_NULL};

    return run_suite("suspend", tests);
}
