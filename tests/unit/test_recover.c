/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate-recover without Xen: which record it believes, whom it asks, and above all when it
 * destroys or resumes a domain. Xen's libraries are played by this file, the destination by a
 * shell command that gives a prepared answer, or by a thread that listens as a sink does.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl.h>
#include <libxl_utils.h>
#include <xen/sched.h>

#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/moves/record.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/status.h"
#include "libxl-ext/xen/qmp_commands.h"
#include "libxl-ext/xen/xen_source.h"
#include "pages/bitmap.h"
#include "tests/unit/record_link.h"
#include "tests/unit/suite.h"
#include "transport/gather.h"
#include "transport/link.h"

#define DOMID 7u
#define RAN_NS 4711u
#define COPY_DOMID 9u /* within one host: the copy that runs */
#define UUID "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11"
#define OTHER_UUID "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a12"

static char top[] = "/tmp/xf-recover-XXXXXX", answer[64];

/* --- Xen, played --- */

static struct {
    const char *name, *uuid;
    bool running;
    bool copy;                   /* there is a domain COPY_DOMID called web1, with the same uuid */
    bool copy_dying, copy_other; /* the latter: its uuid is another one */
    const char *copy_name;
    uint64_t copy_paged;
    bool hvm, no_monitor; /* it has a device model, which does not answer */
    unsigned destroyed, resumed, renamed, paused, unpaused, announced;
    unsigned looks; /* at domain DOMID */
    unsigned then;  /* after so many of them it is what `later` says; 0: never */
    enum { OTHER_UUID_LATER, RUNS_LATER, GONE_LATER, DYING_LATER, UNKNOWN_LATER } later;
} xen;

int libxl_ctx_alloc(libxl_ctx **ctx, int version, unsigned flags, xentoollog_logger *log)
{
    (void)version;
    (void)flags;
    (void)log;
    *ctx = (libxl_ctx *)&xen;
    return 0;
}

int libxl_ctx_free(libxl_ctx *ctx)
{
    (void)ctx;
    return 0;
}

xc_interface *xc_interface_open(xentoollog_logger *log, xentoollog_logger *dom, unsigned flags)
{
    (void)log;
    (void)dom;
    (void)flags;
    return (xc_interface *)&xen;
}

int xc_version(xc_interface *xch, int cmd, void *arg)
{
    unsigned major = 0, minor = 0;

    (void)xch;
    (void)cmd;
    (void)arg;
    sscanf(xf_xen_release(), "%u.%u", &major, &minor);
    return (int)(major << 16 | minor);
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int libxl_name_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    (void)ctx;
    if (xen.copy && !strcmp(name, "web1"))
        *domid = COPY_DOMID;
    else if (!strcmp(name, xen.name))
        *domid = DOMID;
    else
        return ERROR_INVAL;
    return 0;
}

int libxl_domain_qualifier_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    if (!strcmp(name, "7"))
        *domid = DOMID;
    else
        return libxl_name_to_domid(ctx, name, domid);
    return 0;
}

char *libxl_domid_to_name(libxl_ctx *ctx, uint32_t domid)
{
    (void)ctx;
    return strdup(domid != COPY_DOMID ? xen.name : xen.copy_name ? xen.copy_name : "web1");
}

static void fill_info(libxl_dominfo *info, uint32_t domid)
{
    bool suspended = domid == DOMID && !xen.running;

    memset(info, 0, sizeof(*info));
    libxl_uuid_from_string(&info->uuid, domid == DOMID   ? xen.uuid
                                        : xen.copy_other ? OTHER_UUID
                                                         : UUID);
    info->dying = domid == COPY_DOMID && xen.copy_dying;
    info->domid = domid;
    info->shutdown = suspended;
    info->shutdown_reason = suspended ? LIBXL_SHUTDOWN_REASON_SUSPEND : 0;
    info->domain_type = xen.hvm ? LIBXL_DOMAIN_TYPE_HVM : LIBXL_DOMAIN_TYPE_PVH;
    info->paged_memkb = domid == COPY_DOMID ? xen.copy_paged : 0;
}

int libxl_domain_info(libxl_ctx *ctx, libxl_dominfo *info, uint32_t domid)
{
    (void)ctx;
    fill_info(info, domid);
    return 0;
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max, xc_domaininfo_t *info)
{
    bool now = xen.then && ++xen.looks > xen.then;
    libxl_uuid uuid;

    (void)xch;
    CU_ASSERT(first == DOMID && max == 1);
    if (now && xen.later == UNKNOWN_LATER) {
        errno = EACCES;
        return -1;
    }
    xen.running |= now && xen.later == RUNS_LATER;
    if (now && xen.later == OTHER_UUID_LATER)
        xen.uuid = OTHER_UUID;
    memset(info, 0, sizeof(*info));
    /* Xen's answer is then the next domain that there is. */
    info->domain = now && xen.later == GONE_LATER ? COPY_DOMID : (domid_t)first;
    libxl_uuid_from_string(&uuid, xen.uuid);
    memcpy(info->handle, libxl_uuid_bytearray(&uuid), sizeof(info->handle));
    if (!xen.running)
        info->flags = XEN_DOMINF_shutdown | SHUTDOWN_suspend << XEN_DOMINF_shutdownshift;
    if (now && xen.later == DYING_LATER)
        info->flags |= XEN_DOMINF_dying;
    return 1;
}

int xc_domain_pause(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    CU_ASSERT_EQUAL(domid, DOMID);
    xen.paused++;
    return 0;
}

int libxl_domain_unpause(libxl_ctx *ctx, uint32_t domid, const libxl_asyncop_how *how)
{
    (void)ctx;
    (void)how;
    CU_ASSERT_EQUAL(domid, DOMID);
    xen.unpaused++;
    return 0;
}

libxl_dominfo *libxl_list_domain(libxl_ctx *ctx, int *n)
{
    libxl_dominfo *list = calloc(2, sizeof(*list));

    (void)ctx;
    *n = 1 + xen.copy;
    fill_info(&list[0], DOMID);
    fill_info(&list[1], COPY_DOMID);
    return list;
}

int libxl_domain_destroy(libxl_ctx *ctx, uint32_t domid, const libxl_asyncop_how *how)
{
    (void)ctx;
    (void)how;
    CU_ASSERT_EQUAL(domid, DOMID);
    xen.destroyed++;
    return 0;
}

int libxl_domain_resume(libxl_ctx *ctx, uint32_t domid, int cancel, const libxl_asyncop_how *how)
{
    (void)ctx;
    (void)how;
    CU_ASSERT(domid == DOMID && cancel == 1);
    xen.resumed++;
    return 0;
}

int xf_qmp_open(struct xf_qmp *q, const char *path, uint32_t domid, int limit_ms,
                struct xf_tick tick, struct xf_err *e)
{
    (void)q;
    (void)path;
    (void)limit_ms;
    (void)tick;
    CU_ASSERT(domid == DOMID && xen.hvm && xen.resumed);
    return xen.no_monitor ? xf_fail(e, ECONNREFUSED, "nobody listens") : 0;
}

int xf_qmp_announce(struct xf_qmp *q, struct xf_err *e)
{
    (void)q;
    (void)e;
    xen.announced++;
    return 0;
}

int libxl_domain_rename(libxl_ctx *ctx, uint32_t domid, const char *old, const char *new)
{
    (void)ctx;
    CU_ASSERT(domid == DOMID && !strcmp(old, xen.name) && !strcmp(new, "web1"));
    xen.renamed++;
    return 0;
}

static int no_view(struct xf_source_vm *vm, struct xf_view **out, struct xf_err *err)
{
    (void)vm;
    *out = (struct xf_view *)&xen;
    (void)err;
    return 0;
}

static void no_close(struct xf_view *v)
{
    (void)v;
}

static int untouched(struct xf_source_vm *vm, struct xf_view *v, struct xf_err *e)
{
    (void)vm;
    (void)v;
    return xen.running ? xf_fail(e, EBUSY, "it was resumed by somebody") : 0;
}

int xf_xen_source_open(struct xf_xen_source *x, libxl_ctx *ctx, struct xf_toollog *log,
                       uint32_t domid, const struct xf_guest_kind_ops *kind, struct xf_err *err)
{
    static const struct xf_source_ops ops = {
        .view_open = no_view, .view_close = no_close, .untouched = untouched};

    (void)log;
    (void)err;
    CU_ASSERT_PTR_NULL(kind);
    *x = (struct xf_xen_source){.vm = {.ops = &ops, .nr_gfns = 64}, .domid = domid, .ctx = ctx};
    return 0;
}

uint64_t xf_xen_source_ran(struct xf_xen_source *x)
{
    return x->ran_ns;
}

void xf_xen_source_set_ran(struct xf_xen_source *x, uint64_t ns)
{
    CU_ASSERT_EQUAL(ns, RAN_NS);
    x->ran_ns = ns;
}

void xf_xen_source_close(struct xf_xen_source *x)
{
    (void)x;
}

/* --- the record, the destination --- */

static struct xf_record r;
static struct xf_err err;
static struct xf_report report;
static char notes[2000];

static const char *in_run_dir(const char *name)
{
    static char path[100];

    snprintf(path, sizeof(path), "%s/%s", xf_run_dir(), name);
    return path;
}

/* What a killed move leaves: its record, and the name under which it told its status. */
static void leave(enum xf_record_state state)
{
    int fd;

    r.state = state;
    CU_ASSERT_EQUAL_FATAL(xf_record_write(xf_run_dir(), &r, &fd, NULL), 0);
    close(fd);
    fd = open(in_run_dir("source-7.sock"), O_WRONLY | O_CREAT, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
}

static bool left(void)
{
    return access(in_run_dir("7.move"), F_OK) == 0;
}

static bool nothing_left(void)
{
    return !left() && access(in_run_dir("source-7.sock"), F_OK);
}

/* What a receiver there would answer: findings by their codes, parted by blanks. NULL: there
 * is none. */
static void answers(const char *codes)
{
    struct xf_reply *reply = calloc(1, sizeof(*reply));
    char list[100], *word, *text, *at = NULL;
    uint32_t len;
    int fd = open(answer, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    snprintf(r.rune, sizeof(r.rune), codes ? "cat %s; exec cat >/dev/null" : "exit 1", answer);
    snprintf(list, sizeof(list), "%s", codes ? codes : "");
    for (word = strtok_r(list, " ", &at); word; word = strtok_r(NULL, " ", &at)) {
        struct xf_finding *f = &reply->findings[reply->nr_findings++];

        snprintf(f->code, sizeof(f->code), "%s", word);
        snprintf(f->text, sizeof(f->text), "as prepared");
    }
    strcpy(reply->boot_id, "boot-there");
    text = xf_reply_format(reply);
    len = (uint32_t)strlen(text);
    CU_ASSERT(write(fd, XF_XL_BANNER, strlen(XF_XL_BANNER)) > 0 && write(fd, &len, 4) == 4 &&
              write(fd, text, len) == (ssize_t)len);
    close(fd);
    free(text);
    free(reply);
}

static void begin(void)
{
    memset(&xen, 0, sizeof(xen));
    xen.name = "web1";
    xen.uuid = UUID;
    xf_record_remove(xf_run_dir(), DOMID);
    memset(&r, 0, sizeof(r));
    r.domid = DOMID;
    r.ran_ns = RAN_NS;
    strcpy(r.uuid, UUID);
    xf_boot_id(r.boot_id);
    strcpy(r.name, "web1");
    strcpy(r.host, "host2");
    strcpy(r.there, "boot-there");
    r.there_domid = COPY_DOMID;
    strcpy(r.peer, "127.0.0.1");
    r.port = 1; /* nobody listens */
    r.channels = 2;
    memset(&r.key, 0x42, sizeof(r.key));
    answers(NULL);
}

static void on_note(void *priv, const char *sentence)
{
    (void)priv;
    snprintf(notes + strlen(notes), sizeof(notes) - strlen(notes), "%s\n", sentence);
}

static enum xf_outcome recover_at(const char *domain, const char *host)
{
    static const struct xf_watch watch = {.note = on_note};
    const struct xf_recover_opts o = {.domain = domain, .host = host};
    enum xf_outcome end;

    notes[0] = 0;
    xf_clear(&err);
    end = xf_recover(&o, &watch, &report, &err);
    CU_ASSERT_EQUAL(end, report.outcome);
    CU_ASSERT_EQUAL(end == XF_MOVED, err.num == 0);
    /* Always: what is destroyed has moved, and what has moved leaves no record. */
    CU_ASSERT_EQUAL(xen.destroyed, end == XF_MOVED);
    CU_ASSERT(end != XF_MOVED || nothing_left());
    CU_ASSERT_EQUAL(xen.resumed, 0);
    return end;
}

/* --- which record is believed --- */

static void test_nothing_to_do(void)
{
    int fd;

    begin();
    CU_ASSERT_EQUAL(recover_at("web2", NULL), XF_REFUSED);
    CU_ASSERT_EQUAL(err.num, ESRCH);
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_REFUSED);
    CU_ASSERT_EQUAL(err.num, ENOENT);

    answers("found");
    leave(XF_RECORD_WHOLE);
    xen.uuid = OTHER_UUID; /* of which domain it is nobody knows; it says what can be done */
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_REFUSED);
    CU_ASSERT_EQUAL(err.num, ESTALE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, UUID));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--resume --force"));
    xen.uuid = UUID;
    xen.running = true; /* resumed by hand */
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "not suspended"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "may run on both"));
    leave(XF_RECORD_READY);
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "nothing to finish"));
    leave(XF_RECORD_WHOLE);
    xen.running = false;
    CU_ASSERT_EQUAL(recover_at("web1", "host3"), XF_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "\"host2\""));
    CU_ASSERT_EQUAL(xf_record_lock(xf_run_dir(), DOMID, &fd, &err), 0);
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_REFUSED);
    CU_ASSERT_EQUAL(err.num, EBUSY);
    close(fd);
    strcpy(r.boot_id, "of an earlier boot");
    leave(XF_RECORD_WHOLE);
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_REFUSED);
    CU_ASSERT_EQUAL(err.num, ESTALE);
    xf_boot_id(r.boot_id);
    leave(XF_RECORD_WHOLE);
    xen.name = "web1--migratedaway"; /* stopped by a stock migration since */
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_REFUSED);
    CU_ASSERT_EQUAL(err.num, ESTALE);
    xen.name = "web1";
    CU_ASSERT_EQUAL(recover_at("7", "host2"), XF_MOVED); /* else none of these says anything */
    CU_ASSERT_STRING_EQUAL(report.domain, "web1");
    CU_ASSERT_STRING_EQUAL(report.host, "host2");
}

/* --- asking --- */

/* A receiver of another version, or one that lies. */
static void test_odd_answer(void)
{
    begin();
    answers("sideways");
    leave(XF_RECORD_GO);
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_UNKNOWN);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err.text, "its receiver gave no answer that this host understands: as prepared"));
}

static void test_asked(void)
{
    static const struct {
        enum xf_record_state state;
        const char *answer;
        enum xf_outcome end;
    } list[] = {
        {XF_RECORD_READY, "found", XF_SUSPENDED}, /* nobody is asked */
        {XF_RECORD_GO, "found", XF_MOVED},
        {XF_RECORD_GO, "lacking", XF_PULLING},
        {XF_RECORD_GO, "incoming", XF_UNKNOWN},
        {XF_RECORD_GO, "nowhere", XF_SUSPENDED},
        {XF_RECORD_GO, "incoming found", XF_MOVED},
        {XF_RECORD_GO, "other", XF_UNKNOWN},
        {XF_RECORD_GO, "dying", XF_UNKNOWN},
        {XF_RECORD_GO, "other dying", XF_UNKNOWN},
        {XF_RECORD_GO, "other found", XF_MOVED},
        {XF_RECORD_GO, "memory", XF_UNKNOWN}, /* of a receiver that does not know the question */
        {XF_RECORD_GO, "", XF_UNKNOWN},
        {XF_RECORD_GO, NULL, XF_UNKNOWN},
        {XF_RECORD_PULLING, "found", XF_MOVED},
        {XF_RECORD_PULLING, "lacking", XF_PULLING},
        {XF_RECORD_PULLING, "nowhere", XF_UNKNOWN},
        {XF_RECORD_PULLING, "other", XF_UNKNOWN},
        {XF_RECORD_PULLING, "dying", XF_UNKNOWN},
        {XF_RECORD_PULLING, NULL, XF_PULLING},
        {XF_RECORD_WHOLE, "found", XF_MOVED},
        {XF_RECORD_WHOLE, "lacking", XF_PULLING},
        {XF_RECORD_WHOLE, "nowhere", XF_UNKNOWN},
        {XF_RECORD_WHOLE, "other", XF_UNKNOWN},
        {XF_RECORD_TWICE, "found", XF_UNKNOWN}, /* nobody is asked */
        {XF_RECORD_WHOLE, NULL, XF_UNKNOWN},
    };

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        enum xf_outcome end;

        begin();
        answers(list[i].answer);
        leave(list[i].state);
        end = recover_at("web1", NULL);
        CU_ASSERT_EQUAL(end, list[i].end);
        CU_ASSERT_EQUAL(report.ran_there, list[i].state >= XF_RECORD_PULLING);
        if (end != list[i].end)
            printf("\n  state %d, \"%s\": %d, %s\n", list[i].state, list[i].answer, end, err.text);
    }
    /* A host that was started anew, or took over the name. */
    begin();
    answers("found");
    strcpy(r.there, "another boot");
    leave(XF_RECORD_WHOLE);
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_UNKNOWN);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "rebooted"));
}

/* Within one host: the copy has the name, and this host is asked itself. */
static void test_one_host(void)
{
    begin();
    xf_boot_id(r.there);
    xen.name = "web1--migratedaway";
    leave(XF_RECORD_GO);
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_SUSPENDED); /* what lies here does not count */
    CU_ASSERT_STRING_EQUAL(report.domain, "web1--migratedaway");
    xen.copy = true;
    xen.copy_paged = 4;
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_PULLING);
    xen.copy_paged = 0;
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_MOVED);
    CU_ASSERT_STRING_EQUAL(report.domain, "web1");
}

/* The copy is known by its number, its uuid and its name together. */
static void test_which_copy(void)
{
    enum { DYING, CLONE, SAME_NAME, RENAMED, ANOTHER_NUMBER, NUMBER_UNKNOWN, WAYS };

    for (unsigned way = 0; way < WAYS; way++) {
        begin();
        xf_boot_id(r.there);
        xen.name = "web1--migratedaway";
        xen.copy = true;
        xen.copy_dying = way == DYING;
        xen.copy_name = way == CLONE || way == RENAMED ? "web2" : "web1";
        xen.copy_other = way == SAME_NAME;
        r.there_domid = way == ANOTHER_NUMBER || way == CLONE ? 31
                        : way == NUMBER_UNKNOWN               ? 0
                                                              : COPY_DOMID;
        leave(XF_RECORD_GO);
        CU_ASSERT_EQUAL(recover_at("7", NULL), XF_UNKNOWN);
        CU_ASSERT_EQUAL(err.num, way == DYING ? EAGAIN : EEXIST);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "domain 9"));
        CU_ASSERT_TRUE(left());
        xf_clear(&err);
        CU_ASSERT_EQUAL(xf_resume_here("7", false, &err), -1);
        CU_ASSERT_EQUAL(err.num, way == DYING ? EAGAIN : EEXIST);
        CU_ASSERT(xen.resumed == 0 && left());
    }
}

/* What is destroyed at the end is looked at once more. */
static void test_looked_at_again(void)
{
    static const struct xf_watch watch = {.note = on_note};
    const struct xf_recover_opts o = {.domain = "web1"};

    for (unsigned later = OTHER_UUID_LATER; later <= DYING_LATER; later++) {
        enum xf_outcome end;

        begin();
        answers("found");
        leave(XF_RECORD_WHOLE);
        xen.then = 1;
        xen.later = later;
        xf_clear(&err);
        end = xf_recover(&o, NULL, &report, &err);
        CU_ASSERT_EQUAL(end, later == RUNS_LATER ? XF_UNKNOWN : XF_MOVED);
        CU_ASSERT_EQUAL(xen.destroyed, 0);
        CU_ASSERT_EQUAL(xen.paused, later == RUNS_LATER);
        CU_ASSERT_EQUAL(report.ran_twice, later == RUNS_LATER);
        CU_ASSERT_EQUAL(left(), later == RUNS_LATER);
    }
    /* Xen does not answer: it may be another domain by now, so it is left alone, and the record
     * with it, for another call. */
    begin();
    answers("found");
    leave(XF_RECORD_WHOLE);
    xen.then = 1;
    xen.later = UNKNOWN_LATER;
    notes[0] = 0;
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_recover(&o, &watch, &report, &err), XF_MOVED);
    CU_ASSERT(xen.destroyed == 0 && xen.paused == 0 && left());
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "`xl migrate-recover 7`"));
    xen.then = 0;
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_MOVED); /* which does it */
    /* It stays so, and says so, until somebody has decided. */
    begin();
    xen.running = true;
    leave(XF_RECORD_TWICE);
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_UNKNOWN);
    CU_ASSERT(report.ran_twice && left());
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "let the guest run here while it ran"));
    CU_ASSERT_EQUAL(xf_resume_here("web1", false, &err), -1);
    CU_ASSERT(xen.unpaused == 0 && left());
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_resume_here("web1", true, &err), 0);
    CU_ASSERT(xen.unpaused == 1 && xen.resumed == 0 && nothing_left());
}

/* --- a sink that listens --- */

static struct xf_gather gather;
static uint16_t last_word;
static bool resumed_at_end; /* somebody resumes the domain when the last page has gone */

static void *sink_main(void *arg)
{
    struct xf_link link = {0};
    struct xf_extents none = {.flags = XF_EXTENTS_LAST};
    struct xf_pulled all = {0};
    static uint8_t meta[XF_META_MAX];
    struct xf_msg m;
    uint16_t end = *(uint16_t *)arg;
    int rc = XF_AGAIN;

    last_word = 0;
    for (int i = 0; i < 1500 && rc == XF_AGAIN; i++)
        rc = xf_gather_step(&gather, 20, NULL);
    if (rc)
        return NULL;
    xf_gather_take(&gather, &link);
    if (!link.ops->recv(link.control, &m, meta, 30000, NULL) && m.type == XF_MSG_ATTACH &&
        !xf_link_say(&link, XF_MSG_MISSING, meta, xf_extents_encode(&none, meta), NULL) &&
        ((xen.running = resumed_at_end), true) &&
        !xf_link_say(&link, end, meta, end == XF_MSG_PULLED ? xf_pulled_encode(&all, meta) : 0,
                     NULL))
        while (!link.ops->recv(link.control, &m, meta, 30000, NULL) && last_word != XF_MSG_BYE &&
               last_word != XF_MSG_ERROR)
            last_word = m.type;
    xf_link_close(&link);
    return NULL;
}

static void with_sink(enum xf_record_state state, uint16_t end)
{
    struct xf_link_cfg cfg;
    pthread_t thread;

    begin();
    r.pull = true;
    r.encrypt = true;
    cfg = record_link_cfg(&r, 30000, 30000);
    CU_ASSERT_EQUAL_FATAL(
        xf_gather_listen(&gather, &xf_tcp_ops, &cfg, "127.0.0.1", 0, &r.port, NULL), 0);
    gather.urgent = true;
    leave(state);
    pthread_create(&thread, NULL, sink_main, &end);
    CU_ASSERT_EQUAL(recover_at("web1", NULL), resumed_at_end ? XF_UNKNOWN : XF_MOVED);
    pthread_join(thread, NULL);
    xf_gather_unlisten(&gather, NULL);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "the guest runs at the destination"));
    CU_ASSERT_STRING_EQUAL(report.transport, "tcp");
    CU_ASSERT(report.encrypted && report.channels == 2 && report.phase_s[XF_PHASE_PULL] > 0);
}

static void test_sink(void)
{
    with_sink(XF_RECORD_GO, XF_MSG_PULLED);
    CU_ASSERT_EQUAL(last_word, XF_MSG_BYE);
    with_sink(XF_RECORD_PULLING, XF_MSG_PULLED);
    CU_ASSERT(report.ran_there && !report.ended_there);
    with_sink(XF_RECORD_PULLING, XF_MSG_ENDED);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "has ended at the destination"));
    CU_ASSERT(report.ended_there);
    CU_ASSERT_EQUAL(last_word, XF_MSG_BYE);
    resumed_at_end = true;
    with_sink(XF_RECORD_PULLING, XF_MSG_PULLED);
    resumed_at_end = false;
    CU_ASSERT(report.ran_twice && left() && err.num == EBUSY);
    CU_ASSERT_EQUAL(last_word, XF_MSG_ERROR);
    /* None there: then the host is asked, and the reason is told. */
    begin();
    r.pull = true;
    answers("lacking");
    leave(XF_RECORD_PULLING);
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_PULLING);
    CU_ASSERT_EQUAL(err.num, ECONNREFUSED);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err.text, "no process there takes them (control channel to 127.0.0.1"));
    CU_ASSERT_TRUE(left());
}

static void test_interrupted(void)
{
    static volatile sig_atomic_t cancel = 1;
    const struct xf_recover_opts o = {.domain = "web1", .cancel = &cancel};

    begin();
    r.pull = true;
    answers("nowhere");
    leave(XF_RECORD_PULLING);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_recover(&o, NULL, NULL, &err), XF_PULLING);
    CU_ASSERT_EQUAL(err.num, ECANCELED);
    CU_ASSERT(left() && !xen.destroyed);
}

/* --- taking back --- */

static int resume(bool force)
{
    unsigned before = xen.resumed;
    int rc;

    xf_clear(&err);
    rc = xf_resume_here("web1", force, &err);
    CU_ASSERT_EQUAL(rc != 0, err.num != 0);
    CU_ASSERT_EQUAL(xen.resumed - before, rc == 0);
    CU_ASSERT(rc || nothing_left());
    CU_ASSERT_EQUAL(xen.destroyed, 0);
    return rc;
}

static void test_resume(void)
{
    static const struct {
        enum xf_record_state state;
        const char *answer;
        int rc;
    } list[] = {
        {XF_RECORD_READY, NULL, 0},         {XF_RECORD_GO, "nowhere", 0},
        {XF_RECORD_GO, "found", -1},        {XF_RECORD_GO, "lacking", -1},
        {XF_RECORD_GO, "incoming", -1},     {XF_RECORD_GO, "nowhere lacking", -1},
        {XF_RECORD_GO, NULL, -1},           {XF_RECORD_GO, "memory", -1},
        {XF_RECORD_GO, "other", -1},        {XF_RECORD_GO, "dying", -1},
        {XF_RECORD_PULLING, "nowhere", -1}, {XF_RECORD_WHOLE, "nowhere", -1},
        {XF_RECORD_TWICE, "nowhere", -1},
    };
    char path[100];
    int fd;

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        begin();
        answers(list[i].answer);
        leave(list[i].state);
        CU_ASSERT_EQUAL(resume(false), list[i].rc);
        if (!list[i].rc)
            continue;
        CU_ASSERT_TRUE(left());
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "\"host2\""));
        CU_ASSERT_EQUAL(resume(true), 0);
    }
    /* No record, or one of an earlier boot: on the operator's word. */
    begin();
    CU_ASSERT_EQUAL(resume(false), 0);
    strcpy(r.boot_id, "of an earlier boot");
    leave(XF_RECORD_WHOLE);
    CU_ASSERT_EQUAL(resume(false), 0);
    xf_boot_id(r.boot_id);
    /* One of this boot that is about another uuid, or about an earlier move, is not none: where
     * this domain was to run is not known. It was taken for none, and a move whose -C file had no
     * uuid= left such a record of a guest that ran at the destination. */
    leave(XF_RECORD_WHOLE);
    xen.uuid = OTHER_UUID;
    CU_ASSERT_EQUAL(resume(false), -1);
    CU_ASSERT(left() && strstr(err.text, "--resume --force"));
    CU_ASSERT_EQUAL(resume(true), 0);
    xen.uuid = UUID;
    leave(XF_RECORD_WHOLE);
    xen.name = "web1--migratedaway";
    CU_ASSERT_EQUAL(resume(false), -1);
    CU_ASSERT(left() && strstr(err.text, "--resume --force"));
    xen.name = "web1";
    xen.running = true;
    CU_ASSERT_EQUAL(resume(true), -1);
    xen.running = false;
    /* A record that says nothing says no. */
    leave(XF_RECORD_READY);
    snprintf(path, sizeof(path), "%s/7.move", xf_run_dir());
    CU_ASSERT_EQUAL(truncate(path, 40), 0);
    CU_ASSERT_EQUAL(resume(false), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--force"));
    /* Not while the move lives, whatever is said. */
    CU_ASSERT_EQUAL(xf_record_lock(xf_run_dir(), DOMID, &fd, &err), 0);
    CU_ASSERT_EQUAL(resume(true), -1);
    CU_ASSERT_EQUAL(err.num, EBUSY);
    close(fd);
    CU_ASSERT_EQUAL(resume(true), 0);
    /* It had stepped aside. */
    xen.name = "web1--migratedaway";
    CU_ASSERT_EQUAL(xen.renamed, 0);
    CU_ASSERT_EQUAL(resume(false), 0);
    CU_ASSERT_EQUAL(xen.renamed, 1);
}

/* The switches have learned of the copy from its device model: this one tells them otherwise. */
static void test_announce(void)
{
    begin();
    CU_ASSERT(resume(false) == 0 && !xen.announced);
    begin();
    xen.hvm = true;
    CU_ASSERT(resume(false) == 0 && xen.announced == 1);
    begin();
    xen.hvm = xen.no_monitor = true;
    CU_ASSERT(resume(false) == 0 && !xen.announced);
}

/* As of the switch: only with all of its disks, and only where it is gone. */
static int go_back(bool force)
{
    unsigned before = xen.resumed;
    int rc;

    xf_clear(&err);
    memset(&report, 0xff, sizeof(report));
    rc = xf_resume_as_of_switch("web1", force, &report, &err);
    CU_ASSERT_EQUAL(rc != 0, err.num != 0);
    CU_ASSERT_EQUAL(xen.resumed - before, rc == 0);
    CU_ASSERT(rc ? left() : nothing_left());
    CU_ASSERT_EQUAL(xen.destroyed, 0);
    return rc;
}

/* A move of a guest with one disk that has moved, and none else. */
static void begin_with_disk(void)
{
    begin();
    r.nr_disks = 1;
    r.all_disks = true;
    strcpy(r.disks[0].vdev, "xvda");
    strcpy(r.disks[0].source, "/srv/a/web1.img");
    strcpy(r.disks[0].target, "/srv/b/web1.img");
}

static void test_go_back(void)
{
    static const struct {
        enum xf_record_state state;
        const char *answer;
        int rc, forced;
        const char *why;
    } list[] = {
        {XF_RECORD_READY, "nowhere", -1, -1, "never told to run it"},
        {XF_RECORD_GO, "nowhere", 0, 0, NULL},
        {XF_RECORD_PULLING, "nowhere", 0, 0, NULL},
        {XF_RECORD_WHOLE, "nowhere", 0, 0, NULL},
        {XF_RECORD_PULLING, "lacking", -1, 0, "`xl destroy web1` there first"},
        {XF_RECORD_PULLING, "found", -1, 0, "it is still at \"host2\""},
        {XF_RECORD_PULLING, "nowhere lacking", -1, 0, "it is still at \"host2\""},
        {XF_RECORD_PULLING, "other", -1, 0, "`xl migrate-recover --as-of-switch --force`"},
        {XF_RECORD_PULLING, "dying", -1, 0, "try again in a minute"},
        {XF_RECORD_PULLING, "incoming", -1, 0, "try again in a minute"},
        {XF_RECORD_PULLING, NULL, -1, 0, "`xl migrate-recover --as-of-switch --force` takes it"},
        {XF_RECORD_TWICE, "nowhere", -1, -1, "no longer as it was at the switch"},
    };

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        begin_with_disk();
        answers(list[i].answer);
        leave(list[i].state);
        CU_ASSERT_EQUAL(go_back(false), list[i].rc);
        if (list[i].rc) {
            CU_ASSERT(list[i].why && strstr(err.text, list[i].why));
            CU_ASSERT_EQUAL(go_back(true), list[i].forced);
        }
        if (err.num)
            continue;
        CU_ASSERT(report.nr_disks == 1 && !strcmp(report.disks[0].target, "/srv/b/web1.img"));
        CU_ASSERT(!strcmp(report.domain, "web1") && !strcmp(report.host, "host2"));
    }
}

static void test_no_way_back(void)
{
    char path[100];
    int fd;

    /* None: the domain here may be of a stock move. */
    begin();
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_resume_as_of_switch("web1", true, &report, &err), -1);
    CU_ASSERT_EQUAL(err.num, ENOENT);
    for (unsigned nr = 0; nr < 2; nr++) {
        begin_with_disk();
        r.nr_disks = nr;
        r.all_disks = false;
        answers("nowhere");
        leave(XF_RECORD_PULLING);
        CU_ASSERT(go_back(false) && err.num == ENOTSUP);
        CU_ASSERT_PTR_NOT_NULL(
            strstr(err.text, nr ? "it can write to disks that did not move with it"
                                : "its disks did not move with it"));
        CU_ASSERT(go_back(true) && err.num == ENOTSUP);
        /* And nobody is sent there. */
        CU_ASSERT_EQUAL(resume(false), -1);
        CU_ASSERT_PTR_NULL(strstr(err.text, "--as-of-switch"));
    }
    begin_with_disk();
    answers("nowhere");
    leave(XF_RECORD_PULLING);
    CU_ASSERT_EQUAL(resume(false), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--as-of-switch"));
    CU_ASSERT_EQUAL(recover_at("web1", NULL), XF_UNKNOWN);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "and so are its disks"));
    CU_ASSERT(report.all_disks && report.nr_disks == 1);
    xen.running = true;
    CU_ASSERT(go_back(true) && strstr(err.text, "not suspended"));
    xen.running = false;
    xen.uuid = OTHER_UUID;
    CU_ASSERT(go_back(true) && err.num == ESTALE);
    xen.uuid = UUID;
    CU_ASSERT_EQUAL(xf_record_lock(xf_run_dir(), DOMID, &fd, &err), 0);
    CU_ASSERT(go_back(true) && err.num == EBUSY);
    close(fd);
    strcpy(r.boot_id, "of an earlier boot");
    leave(XF_RECORD_PULLING);
    CU_ASSERT(go_back(true) && strstr(err.text, "before this host was started"));
    xf_boot_id(r.boot_id);
    leave(XF_RECORD_PULLING);
    snprintf(path, sizeof(path), "%s/7.move", xf_run_dir());
    CU_ASSERT_EQUAL(truncate(path, 40), 0);
    CU_ASSERT(go_back(true) && strstr(err.text, "cannot tell what its disks here are"));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"nothing to finish", test_nothing_to_do},
        {"an answer of no known kind", test_odd_answer},
        {"the destination is asked", test_asked},
        {"within one host", test_one_host},
        {"which copy", test_which_copy},
        {"looked at again before the end", test_looked_at_again},
        {"a sink listens", test_sink},
        {"interrupted", test_interrupted},
        {"--resume", test_resume},
        {"back, its emulated interfaces are announced", test_announce},
        {"--as-of-switch", test_go_back},
        {"... which is refused", test_no_way_back},
        CU_TEST_INFO_NULL,
    };
    char dir[64], command[100];
    int rc;

    if (!mkdtemp(top))
        return 2;
    signal(SIGPIPE, SIG_IGN);
    alarm(600); /* each question is a process, and a machine may be busy */
    snprintf(dir, sizeof(dir), "%s/run", top);
    snprintf(answer, sizeof(answer), "%s/answer", top);
    setenv(XF_RUN_DIR_ENV, dir, 1);
    rc = run_suite("recover", tests);
    snprintf(command, sizeof(command), "rm -r %s", top);
    return system(command) ? 2 : rc;
}
