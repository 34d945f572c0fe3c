/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI devices of a guest that moves, at the source (--detach-pci): libxl is made up (fake_pci.h),
 * the destination's word arrives on a real link. Whatever fails before GO, the guest has its
 * devices again.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libxl-ext/peer/hello.h"
#include "libxl-ext/source/move_end.h"
#include "libxl-ext/source/move_pci.h"
#include "tests/unit/fake_pci.h"
#include "tests/unit/suite.h"
#include "transport/gather.h"

#define A "0000:05:00.0"
#define B "0000:06:00.1"
#define C "0000:07:00.0"
#define DOMID 9u

static struct xf_move m;
static struct xf_move_opts o;
static struct xf_report report;
static struct xf_findings found;
static struct xf_err err;
static char notes[2000];
static uint32_t flags; /* of the domain, in Xen */
static unsigned ticks, ticks_fail_at;
static volatile sig_atomic_t cancel;

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max, xc_domaininfo_t *info)
{
    (void)xch;
    (void)max;
    memset(info, 0, sizeof(*info));
    info->domain = (domid_t)first;
    info->flags = flags;
    return 1;
}

static int tick(void *priv, struct xf_err *e)
{
    (void)priv;
    return ++ticks == ticks_fail_at ? xf_fail(e, ECANCELED, "interrupted") : 0;
}

static const struct xf_tick each_tick = {tick, NULL};

static void note(void *priv, const char *text)
{
    (void)priv;
    snprintf(notes + strlen(notes), sizeof(notes) - strlen(notes), "%s\n", text);
}

static void begin(void)
{
    static const struct xf_watch w = {.note = note};

    libxl_device_pci_list_free(m.pci.list, m.pci.nr);
    memset(&pci, 0, sizeof(pci));
    memset(&m, 0, sizeof(m));
    memset(&o, 0, sizeof(o));
    memset(&report, 0, sizeof(report));
    memset(&found, 0, sizeof(found));
    xf_clear(&err);
    notes[0] = 0;
    flags = ticks = ticks_fail_at = 0;
    cancel = 0;
    o.detach_pci = true;
    o.cancel = &cancel;
    m.o = &o;
    m.w = &w;
    m.report = &report;
    m.domid = DOMID;
    strcpy(m.name, "web1");
    m.record.fd = m.record.lock_fd = -1;
    m.check.pipe = (struct xf_pipe){.in = -1, .out = -1};
    xf_toollog_init(&m.log);
    libxl_domain_config_init(&m.check.config);
    m.check.config.c_info.type = LIBXL_DOMAIN_TYPE_HVM;
    m.check.config.c_info.passthrough = LIBXL_PASSTHROUGH_DEFAULT;
    m.check.config.b_info.max_memkb = m.check.config.b_info.target_memkb = 1 << 20;
    m.check.config.num_pcidevs = 1;
    m.check.config.pcidevs = calloc(1, sizeof(libxl_device_pci));
    libxl_device_pci_init(m.check.config.pcidevs);
    strcpy(pci.has[0], A);
    strcpy(pci.has[1], B);
    pci.turns = 2;
}

static void end(void)
{
    for (int i = 0; i < m.check.config.num_pcidevs; i++)
        libxl_device_pci_dispose(&m.check.config.pcidevs[i]);
    free(m.check.config.pcidevs);
}

static bool says(const char *words)
{
    for (unsigned i = 0; i < found.n; i++)
        if (strstr(found.list[i].text, words))
            return !strcmp(found.list[i].code, "passthrough");
    return false;
}

/* Look, and expect a refusal with these words; NULL: none. */
static void look(const char *refusal)
{
    const struct xf_finding *f;

    xf_move_pci_look(&m, &found);
    f = xf_first_refusal(&found);
    if ((f != NULL) != (refusal != NULL) || (f && !strstr(f->text, refusal)))
        fprintf(stderr, "it says: %s\n", f ? f->text : "nothing");
    CU_ASSERT_EQUAL(f != NULL, refusal != NULL);
    CU_ASSERT(!f || strstr(f->text, refusal));
    CU_ASSERT_EQUAL(m.check.config.num_pcidevs, o.detach_pci ? 0 : 1);
    end();
}

static void pair(const char *here, const char *there)
{
    strcpy(o.pci[o.nr_pci].here, here);
    strcpy(o.pci[o.nr_pci++].there, there);
}

static void test_not_asked(void)
{
    begin();
    o.detach_pci = false;
    look("--detach-pci");
    begin(); /* a file for -C names none, but the guest has some */
    o.detach_pci = false;
    free(m.check.config.pcidevs);
    m.check.config.pcidevs = NULL;
    m.check.config.num_pcidevs = 0;
    xf_move_pci_look(&m, &found);
    CU_ASSERT(xf_first_refusal(&found) && says("--detach-pci"));
    CU_ASSERT(!xf_stock_can(&found) && xf_nothing_can(&found));
}

static void test_look(void)
{
    const struct xf_hello *h = &m.check.hello;

    begin();
    look(NULL);
    CU_ASSERT(h->nr_pci == 2 && !strcmp(h->pci[0].addr, A) && !strcmp(h->pci[1].addr, B));
    CU_ASSERT(!strcmp(h->pci[0].of, A) && !h->pci[0].permissive && !h->pci[0].relaxed);
    CU_ASSERT(says(A " is detached from the guest, and " A " of the destination"));
    CU_ASSERT_EQUAL(m.check.config.c_info.passthrough, LIBXL_PASSTHROUGH_ENABLED);
    begin();
    o.pci_none = true;
    look(NULL);
    CU_ASSERT(!h->nr_pci && says(B " is detached from the guest, and none"));
    CU_ASSERT_EQUAL(m.check.config.c_info.passthrough, LIBXL_PASSTHROUGH_DEFAULT);
    begin();
    pair(B, C);
    o.pci_none = true;
    m.check.config.c_info.passthrough = LIBXL_PASSTHROUGH_SYNC_PT;
    look(NULL);
    CU_ASSERT(h->nr_pci == 1 && !strcmp(h->pci[0].addr, C) && !strcmp(h->pci[0].of, B));
    CU_ASSERT_EQUAL(m.check.config.c_info.passthrough, LIBXL_PASSTHROUGH_SYNC_PT);
    begin();
    pair(A, "");
    look(NULL);
    CU_ASSERT(h->nr_pci == 1 && !strcmp(h->pci[0].addr, B));
    begin();
    memset(pci.has, 0, sizeof(pci.has));
    look(NULL);
    CU_ASSERT(!h->nr_pci && says("no PCI device to detach"));
}

static void test_refused(void)
{
    begin();
    pair(C, A);
    look("the guest has no PCI device " C);
    begin();
    pair(A, B); /* which B's own stands for as well */
    look("would stand for both");
    begin();
    m.check.config.b_info.target_memkb--;
    look("xl mem-set");
    begin();
    o.pci_none = true;
    m.check.config.b_info.target_memkb--;
    look(NULL);
    begin(); /* a file for -C that names one number only */
    m.check.config.b_info.max_memkb = LIBXL_MEMKB_DEFAULT;
    look(NULL);
    begin();
    flags = XEN_DOMINF_paused;
    look("`xl unpause`");
    begin();
    for (unsigned i = 0; i <= XF_PCI_MAX; i++)
        snprintf(pci.has[i], XF_PCI_ADDR, "0001:%02x:00.0", i);
    look("more than the 16");
    CU_ASSERT_EQUAL(m.check.hello.nr_pci, 0);
}

static bool has_all(void)
{
    return pci_place(pci.has, A) && pci_place(pci.has, B);
}

static void test_detached(void)
{
    begin();
    look(NULL);
    CU_ASSERT_EQUAL(xf_move_unplug(&m, each_tick, &err), 0);
    CU_ASSERT(pci.removed == 2 && !pci_place(pci.has, A) && !pci_place(pci.has, B));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "asked to release PCI device " B));
    begin();
    o.detach_pci = false;
    look("--detach-pci");
    CU_ASSERT_EQUAL(xf_move_unplug(&m, each_tick, &err), 0);
    CU_ASSERT(!pci.removed && has_all());
}

/* It fails half way, or later: the guest gets back what it has released. */
static void test_comes_back(void)
{
    for (int how = 0; how < 3; how++) {
        begin();
        look(NULL);
        pci.clings = how == 0 ? B : NULL;
        pci.clings_rc = ERROR_TIMEDOUT;
        ticks_fail_at = how == 1 ? 4 : 0; /* after the first device */
        CU_ASSERT_EQUAL(xf_move_unplug(&m, each_tick, &err), how < 2 ? -1 : 0);
        CU_ASSERT_EQUAL(err.num, how == 0 ? EBUSY : how == 1 ? ECANCELED : 0);
        CU_ASSERT_EQUAL(pci.removed, how < 2 ? 1u : 2u);
        m.show.phase = XF_PHASE_SKELETON;
        CU_ASSERT_EQUAL(xf_move_give_up(&m, XF_STAYED, &err), XF_STAYED);
        CU_ASSERT(has_all() && pci.added == pci.removed && !m.pci.detached);
        CU_ASSERT_PTR_NOT_NULL(strstr(notes, A " is attached to the guest again"));
    }
}

static void test_not_back(void)
{
    begin();
    look(NULL);
    CU_ASSERT_EQUAL(xf_move_unplug(&m, each_tick, &err), 0);
    pci.lost = A;
    CU_ASSERT_EQUAL(xf_move_give_up(&m, XF_STAYED, &err), XF_STAYED);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "has not got it back"));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "`xl pci-attach web1 " A "`"));
    CU_ASSERT(pci_place(pci.has, B) && m.pci.detached == 1);
    begin(); /* it does not run, so it cannot take it */
    look(NULL);
    CU_ASSERT_EQUAL(xf_move_unplug(&m, each_tick, &err), 0);
    report.here = XF_HERE_SUSPENDED;
    xf_move_replug(&m);
    CU_ASSERT(!pci.added && strstr(notes, "once it runs again, `xl pci-attach web1 " B "`"));
    notes[0] = 0;
    report.here = XF_HERE_DESTROYED;
    xf_move_replug(&m);
    CU_ASSERT(!pci.added && !notes[0]);
}

/* --- after GO --- */

/* What the destination does; NULL text: it hangs up. */
static struct {
    struct xf_gather gather;
    struct xf_link link;
    uint16_t type;
    int num;
    const char *text;
    bool silent;
} there;

static void *serve(void *arg)
{
    uint8_t meta[XF_TEXT_MAX + 64];

    while (xf_gather_step(&there.gather, 20, NULL) == XF_AGAIN)
        ;
    xf_gather_take(&there.gather, &there.link);
    if (there.text)
        xf_link_say(&there.link, there.type, meta, xf_text_encode(there.num, there.text, meta),
                    NULL);
    if (there.silent)
        cancel = 1;
    else if (!there.text)
        xf_link_close(&there.link);
    return arg;
}

static enum xf_outcome plugged(uint16_t type, int num, const char *text)
{
    static struct xf_key key;
    struct xf_link_cfg cfg = {
        .key = &key, .channels = 1, .encrypt = true, .timeout_ms = 10000, .stall_ms = 10000};
    enum xf_outcome outcome;
    pthread_t thread;
    uint16_t port;

    begin();
    look(NULL);
    memset(&there.gather, 0, sizeof(there.gather));
    memset(&there.link, 0, sizeof(there.link));
    there.type = type;
    there.num = num;
    there.text = text;
    CU_ASSERT_EQUAL_FATAL(
        xf_gather_listen(&there.gather, &xf_tcp_ops, &cfg, "127.0.0.1", 0, &port, &err), 0);
    pthread_create(&thread, NULL, serve, NULL);
    m.link.ops = &xf_tcp_ops;
    CU_ASSERT_EQUAL_FATAL(
        xf_tcp_ops.connect(&cfg, "127.0.0.1", port, NULL, XF_CONTROL, &m.link.control, &err), 0);
    CU_ASSERT_EQUAL_FATAL(
        xf_tcp_ops.connect(&cfg, "127.0.0.1", port, NULL, XF_BULK(0), &m.link.bulk[0], &err), 0);
    m.link.nr_bulk = 1;
    outcome = xf_move_plugged(&m, &err);
    pthread_join(thread, NULL);
    xf_link_close(&m.link);
    xf_link_close(&there.link);
    xf_gather_unlisten(&there.gather, NULL);
    CU_ASSERT_EQUAL(outcome == XF_MOVED, !err.num);
    CU_ASSERT(!err.num || strstr(err.text, "the guest runs at the destination"));
    return outcome;
}

static void test_plugged(void)
{
    CU_ASSERT_EQUAL(plugged(XF_MSG_PLUGGED, 0, ""), XF_MOVED);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "has the PCI devices"));
    CU_ASSERT_EQUAL(plugged(XF_MSG_PLUGGED, EIO, B " could not be attached (no IOMMU)"),
                    XF_UNPLUGGED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, B " could not be attached (no IOMMU)"));
    CU_ASSERT_EQUAL(plugged(XF_MSG_PLUGGED, EIO, "a\x1b[2Jb\nc"), XF_UNPLUGGED);
    CU_ASSERT(!strchr(err.text, '\x1b') && !strchr(err.text, '\n'));
    CU_ASSERT_EQUAL(plugged(XF_MSG_ERROR, EIO, "no"), XF_UNPLUGGED);
    CU_ASSERT_EQUAL(plugged(XF_MSG_BUILT, 0, ""), XF_UNPLUGGED);
    CU_ASSERT_EQUAL(plugged(0, 0, NULL), XF_UNPLUGGED);
    there.silent = true;
    CU_ASSERT_EQUAL(plugged(0, 0, NULL), XF_UNPLUGGED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "interrupted"));
    there.silent = false;
    begin(); /* nothing is to be attached: nobody is waited for */
    o.pci_none = true;
    look(NULL);
    CU_ASSERT_EQUAL(xf_move_plugged(&m, &err), XF_MOVED);
}

int main(void)
{
    CU_TestInfo tests[] = {{"without the option", test_not_asked},
                           {"what stands for what", test_look},
                           {"what is refused", test_refused},
                           {"detached", test_detached},
                           {"the devices come back", test_comes_back},
                           {"a device does not come back", test_not_back},
                           {"after GO", test_plugged},
                           CU_TEST_INFO_NULL};
    int rc;

    signal(SIGPIPE, SIG_IGN);
    alarm(390);
    rc = run_suite("move_pci", tests);
    libxl_device_pci_list_free(m.pci.list, m.pci.nr);
    return rc;
}
