/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cold move at the source: libxl and Xen are played by this file, in memory shared with the child
 * that saves the guest; the destination is a thread behind a real link. What arrives there is what
 * libxl wrote, its end only once libxl has finished; and whatever fails before GO, the guest is
 * resumed here, paused if it was paused.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libxl_event.h>
#include <xenstore.h>

#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/source/link_rate.h"
#include "libxl-ext/source/move_cold.h"
#include "libxl-ext/xen/domain_here.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"
#include "transport/gather.h"

#define DOMID 9u
#define SUSPENDED (XEN_DOMINF_shutdown | (SHUTDOWN_suspend << XEN_DOMINF_shutdownshift))
#define PAGES 40960u

/* --- Xen and libxl --- */

enum fault { NO_FAULT, NEVER_SUSPENDS, FAILS_LATE, DIES };

static struct xen {
    atomic_uint flags; /* of the domain; pauses apart */
    atomic_int pauses;
    atomic_uint resumed, asked, aborted;
    atomic_bool ran_paused; /* it was resumed while no pause was in force */
    size_t bytes;           /* of its stream */
    size_t fails_at;        /* FAILS_LATE, DIES */
    enum fault fault;
    bool live;
} * xen;

static const libxl_asyncop_how *how; /* in the child */
static int into = -1;
static size_t written;

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 12));
}

int libxl_ctx_alloc(libxl_ctx **ctx, int version, unsigned flags, xentoollog_logger *log)
{
    (void)version;
    (void)flags;
    (void)log;
    *ctx = (libxl_ctx *)xen;
    return 0;
}

void libxl_postfork_child_noexec(libxl_ctx *ctx)
{
    (void)ctx;
}

xc_interface *xc_interface_open(xentoollog_logger *log, xentoollog_logger *dom, unsigned flags)
{
    (void)log;
    (void)dom;
    (void)flags;
    return (xc_interface *)xen;
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

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max, xc_domaininfo_t *info)
{
    (void)xch;
    (void)max;
    memset(info, 0, sizeof(*info));
    info->domain = (domid_t)first;
    info->tot_pages = PAGES;
    info->flags = xen->flags | (xen->pauses ? XEN_DOMINF_paused : 0);
    return 1;
}

int xc_domain_pause(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    CU_ASSERT_EQUAL(domid, DOMID);
    xen->pauses++;
    return 0;
}

int xc_domain_unpause(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    (void)domid;
    xen->pauses--;
    return 0;
}

int libxl_domain_info(libxl_ctx *ctx, libxl_dominfo *info, uint32_t domid)
{
    (void)ctx;
    info->domid = domid;
    info->shutdown = xen->flags & XEN_DOMINF_shutdown;
    info->shutdown_reason = LIBXL_SHUTDOWN_REASON_SUSPEND;
    return 0;
}

int libxl_domain_resume(libxl_ctx *ctx, uint32_t domid, int cancel, const libxl_asyncop_how *ao)
{
    (void)ctx;
    (void)domid;
    (void)ao;
    CU_ASSERT_EQUAL(cancel, 1);
    xen->resumed++;
    xen->ran_paused = !xen->pauses;
    xen->flags = 0;
    return 0;
}

int libxl_domain_suspend(libxl_ctx *ctx, uint32_t domid, int fd, int flags,
                         const libxl_asyncop_how *ao)
{
    static libxl_asyncop_how copy;

    (void)ctx;
    xen->asked++;
    xen->live = flags & LIBXL_SUSPEND_LIVE;
    if (domid != DOMID || xen->pauses)
        return ERROR_INVAL;
    copy = *ao;
    how = &copy;
    into = fd;
    return 0;
}

static void complete(int rc)
{
    const libxl_asyncop_how *was = how;

    how = NULL;
    was->callback(NULL, rc, was->u.for_callback);
}

int libxl_osevent_beforepoll(libxl_ctx *ctx, int *n, struct pollfd *fds, int *timeout,
                             struct timeval now)
{
    (void)ctx;
    (void)fds;
    (void)now;
    *n = 0;
    *timeout = 1;
    return 0;
}

/* Libxl's event loop: another piece of the stream. */
void libxl_osevent_afterpoll(libxl_ctx *ctx, int n, const struct pollfd *fds, struct timeval now)
{
    uint8_t piece[60000];
    size_t len = xen->bytes - written < sizeof(piece) ? xen->bytes - written : sizeof(piece);

    (void)ctx;
    (void)n;
    (void)fds;
    (void)now;
    if (!how)
        return;
    if (xen->fault == NEVER_SUSPENDS) {
        complete(ERROR_GUEST_TIMEDOUT);
        return;
    }
    xen->flags = SUSPENDED;
    if (xen->fault != NO_FAULT && written >= xen->fails_at) {
        if (xen->fault == DIES)
            raise(SIGKILL);
        complete(ERROR_FAIL);
        return;
    }
    for (size_t i = 0; i < len; i++)
        piece[i] = byte_at(written + i);
    if (write(into, piece, len) != (ssize_t)len)
        complete(ERROR_FAIL);
    written += len;
    if (how && written == xen->bytes)
        complete(0);
}

int libxl_ao_abort(libxl_ctx *ctx, const libxl_asyncop_how *ao)
{
    (void)ctx;
    (void)ao;
    xen->aborted++;
    complete(ERROR_ABORTED);
    return 0;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return NULL;
}

bool xf_changes_due(struct xf_changes *c)
{
    (void)c;
    return false;
}

/* How long the link is measured is not what this is about. */
bool xf_link_rate_more(const struct xf_link_rate *r, double now)
{
    (void)now;
    return r->sent < 3 && r->sent - r->answered < 2;
}

/* --- the destination --- */

enum script { TAKES_ALL, NO_MEMORY, HANGS_UP, NO_RUNNING, HASTY };

static struct {
    enum script script;
    size_t at; /* NO_MEMORY, HANGS_UP, HASTY: after so many bytes */
    struct xf_gather gather;
    struct xf_link link;
    pthread_t thread;
    size_t bytes;
    unsigned probes;
    bool right, last, go, aborted;
    char config[40];
} there;

static volatile sig_atomic_t cancel;
static size_t cancel_at;

static bool take_piece(uint8_t *data)
{
    uint8_t meta[XF_META_MAX];
    const struct xf_transport_ops *ops = there.link.ops;
    struct iovec iov = {.iov_base = data};
    struct xf_chunk c;
    struct xf_msg m;

    if (ops->recv(there.link.bulk[0], &m, meta, 20, NULL) || xf_chunk_decode(&c, &m, meta, NULL))
        return false;
    iov.iov_len = m.payload_len;
    if (m.payload_len && ops->recv_payload(there.link.bulk[0], &iov, 1, NULL))
        return false;
    if (c.flags & XF_CHUNK_PROBE) {
        there.probes++;
        return !xf_link_say(&there.link, XF_MSG_PONG, NULL, 0, NULL);
    }
    there.right &= c.offset == there.bytes && !there.last;
    for (size_t i = 0; i < m.payload_len; i++)
        there.right &= data[i] == byte_at(there.bytes + i);
    there.bytes += m.payload_len;
    there.last = c.flags & XF_CHUNK_LAST;
    if (cancel_at && there.bytes >= cancel_at)
        cancel = 1;
    if (there.script == HASTY && there.bytes >= there.at) {
        there.at = SIZE_MAX;
        xf_link_say(&there.link, XF_MSG_LOADED, NULL, 0, NULL);
    }
    return !there.last || !xf_link_say(&there.link, XF_MSG_LOADED, NULL, 0, NULL);
}

static bool take_control(uint8_t *data)
{
    uint8_t meta[XF_META_MAX];
    struct iovec iov = {.iov_base = data};
    struct xf_msg m;
    int rc = there.link.ops->recv(there.link.control, &m, meta, 0, NULL);

    if (rc)
        return rc == XF_AGAIN;
    iov.iov_len = m.payload_len;
    if (m.payload_len && there.link.ops->recv_payload(there.link.control, &iov, 1, NULL))
        return false;
    switch (m.type) {
    case XF_MSG_CONFIG:
        snprintf(there.config, sizeof(there.config), "%.30s", (char *)data);
        xf_link_say(&there.link, XF_MSG_BUILT, meta, xf_built_encode(33, 0, NULL, meta), NULL);
        return true;
    case XF_MSG_GO:
        there.go = true;
        if (there.script == NO_RUNNING)
            return false;
        xf_link_say(&there.link, XF_MSG_RUNNING, NULL, 0, NULL);
        return true;
    case XF_MSG_PING:
        return true;
    default:
        return false;
    }
}

/* Whoever has given up still takes what is on its way, until the source hangs up: a source that
 * waits for room to send hears nothing. */
static void discard(uint8_t *data)
{
    const struct xf_transport_ops *ops = there.link.ops;
    uint8_t meta[XF_META_MAX];
    struct iovec iov = {.iov_base = data};
    struct xf_msg m;
    int rc;

    while ((rc = ops->recv(there.link.bulk[0], &m, meta, 20, NULL)) >= 0) {
        iov.iov_len = m.payload_len;
        if (!rc && m.payload_len && ops->recv_payload(there.link.bulk[0], &iov, 1, NULL))
            break;
    }
}

static void *serve(void *arg)
{
    uint8_t *data = malloc(XF_PAYLOAD_MAX), meta[200];
    bool on = true;

    while (xf_gather_step(&there.gather, 20, NULL) == XF_AGAIN)
        ;
    xf_gather_take(&there.gather, &there.link);
    while (on && take_control(data)) {
        take_piece(data);
        if (there.script == NO_MEMORY && there.bytes >= there.at) {
            xf_link_say(&there.link, XF_MSG_ERROR, meta, xf_text_encode(ENOMEM, "no room", meta),
                        NULL);
            discard(data);
            break;
        }
        on = there.script != HANGS_UP || there.bytes < there.at;
    }
    if (there.script != NO_MEMORY)
        xf_link_close(&there.link);
    free(data);
    return arg;
}

/* --- the move --- */

static struct xf_move m;
static struct xf_move_opts opts;
static struct xf_report report;
static struct xf_err err;
static char notes[1000];
static unsigned before_gos;
static bool refuses;

static void on_note(void *priv, const char *sentence)
{
    (void)priv;
    snprintf(notes + strlen(notes), sizeof(notes) - strlen(notes), "%s\n", sentence);
}

static int before_go(void *priv, struct xf_err *e)
{
    CU_ASSERT(priv == &m && there.last && !there.go);
    before_gos++;
    return refuses ? xf_fail(e, EBUSY, "not now") : 0;
}

static void begin(size_t bytes, enum script script)
{
    static const struct xf_watch watch = {.note = on_note};
    struct xf_link_cfg cfg;

    memset(xen, 0, sizeof(*xen));
    xen->bytes = bytes;
    memset(&there, 0, sizeof(there));
    there.script = script;
    there.right = true;
    memset(&m, 0, sizeof(m));
    memset(&report, 0, sizeof(report));
    memset(&err, 0, sizeof(err));
    notes[0] = 0;
    cancel = 0;
    cancel_at = 0;
    before_gos = 0;
    refuses = false;
    xf_move_opts_init(&opts);
    opts.cold = true;
    opts.cancel = &cancel;
    m.o = &opts;
    m.w = &watch;
    m.report = &report;
    m.domid = DOMID;
    m.ctx = (libxl_ctx *)xen;
    m.xch = (xc_interface *)xen;
    xf_toollog_init(&m.log);
    m.check.config_json = (char *)"{\"name\": \"web1\"}";
    m.check.hello.channels = 1;
    m.check.hello.encrypt = true;
    m.check.hello.cold = true;
    m.check.pipe = (struct xf_pipe){.in = -1, .out = -1};
    cfg = xf_hello_link_cfg(&m.check.hello, false, 5000, 5000);
    CU_ASSERT_EQUAL_FATAL(xf_gather_listen(&there.gather, &xf_tcp_ops, &cfg, "127.0.0.1", 0,
                                           &m.check.reply.port, &err),
                          0);
    strcpy(m.net.address, "127.0.0.1");
    m.link.ops = &xf_tcp_ops;
    pthread_create(&there.thread, NULL, serve, NULL);
    CU_ASSERT_EQUAL_FATAL(xf_tcp_ops.connect(&cfg, "127.0.0.1", m.check.reply.port, NULL,
                                             XF_CONTROL, &m.link.control, &err),
                          0);
    m.show.phase = XF_PHASE_SKELETON;
}

static void build(void)
{
    CU_ASSERT_EQUAL_FATAL(xf_move_cold_build(&m, &err), 0);
    CU_ASSERT_EQUAL(m.skeleton.copy_domid, 33);
    CU_ASSERT_STRING_EQUAL(there.config, m.check.config_json);
    CU_ASSERT(there.probes > 0 && xen->asked == 0);
    m.show.phase = XF_PHASE_SWITCH;
}

static void end(void)
{
    xf_xen_source_close(&m.skeleton.xen);
    xf_link_close(&m.link);
    pthread_join(there.thread, NULL);
    xf_link_close(&there.link);
    xf_gather_unlisten(&there.gather, NULL);
    CU_ASSERT(m.cold.stream.child <= 0);
}

/* It failed before GO, with these words; suspended: the guest had been, and was resumed. */
static void is_back(bool suspended, const char *words)
{
    CU_ASSERT_EQUAL(xf_move_cold_switch(&m, before_go, &err), XF_SWITCH_BACK);
    CU_ASSERT_EQUAL(xen->resumed, suspended);
    CU_ASSERT_EQUAL(m.copy.times.suspended > 0, suspended);
    CU_ASSERT_EQUAL(xen->flags, 0);
    if (!strstr(err.text, words))
        fprintf(stderr, "it says: %s\n", err.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, words));
    CU_ASSERT_FALSE(there.go);
    end();
}

static void moves(size_t bytes)
{
    begin(bytes, TAKES_ALL);
    build();
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "the guest will stand still for about "));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "160 MiB of memory at "));
    CU_ASSERT_EQUAL(xf_move_cold_switch(&m, before_go, &err), XF_SWITCHED);
    CU_ASSERT_EQUAL(there.bytes, bytes);
    CU_ASSERT(there.right && there.last && there.go && before_gos == 1);
    CU_ASSERT(!xen->resumed && xen->flags == SUSPENDED && !xen->live);
    CU_ASSERT(m.copy.times.began <= m.copy.times.suspended &&
              m.copy.times.suspended <= m.copy.times.loaded &&
              m.copy.times.loaded <= m.copy.times.running);
    CU_ASSERT_STRING_EQUAL(report.mode, "cold");
    CU_ASSERT_EQUAL(report.guest_pages, PAGES);
    end();
}

static void test_moves(void)
{
    moves((5u << 20) + 123);
    moves(3u << 20); /* whole pieces */
    moves(1u << 20);
    moves(10);
}

/* A guest whose writes Xen logs runs meanwhile: the downtime begins when it is suspended. */
static void test_live(void)
{
    begin(1u << 20, TAKES_ALL);
    m.check.live = true;
    build();
    CU_ASSERT_PTR_NOT_NULL(
        strstr(notes, "runs while its memory is copied; then it will stand still for at most "));
    CU_ASSERT_EQUAL(xf_move_cold_switch(&m, before_go, &err), XF_SWITCHED);
    CU_ASSERT(xen->live && m.show.phase == XF_PHASE_SWITCH);
    CU_ASSERT_EQUAL(m.copy.times.began, m.copy.times.suspended);
    end();
}

static void test_no_memory_there(void)
{
    begin(8u << 20, NO_MEMORY);
    there.at = 2u << 20;
    build();
    is_back(true, "destination: no room");
}

static void test_hung_up(void)
{
    begin(8u << 20, HANGS_UP);
    there.at = 2u << 20;
    build();
    is_back(true, "");
    CU_ASSERT(err.whose == XF_LINK);
}

/* What it says it has loaded cannot be the whole guest. */
static void test_hasty(void)
{
    begin(64u << 20, HASTY); /* more than may be on its way */
    there.at = 1u << 20;
    build();
    is_back(true, "the destination has loaded the guest before its end was sent");
}

/* Its stream has no end at the destination, so nothing there takes it for a guest. */
static void test_libxl_fails(void)
{
    begin(8u << 20, TAKES_ALL);
    xen->fault = FAILS_LATE;
    xen->fails_at = 3u << 20;
    build();
    is_back(true, "libxl could not save the guest");
    CU_ASSERT(!there.last && !before_gos && there.bytes < xen->fails_at);

    begin(8u << 20, TAKES_ALL);
    xen->fault = DIES;
    xen->fails_at = 3u << 20;
    build();
    is_back(true, "the process that saves the guest died");
    CU_ASSERT_FALSE(there.last);
}

static void test_no_suspend(void)
{
    begin(1u << 20, TAKES_ALL);
    xen->fault = NEVER_SUSPENDS;
    build();
    is_back(false, "did not suspend when asked");
    CU_ASSERT_FALSE(there.last);
}

static void test_cancelled(void)
{
    begin(64u << 20, TAKES_ALL);
    cancel_at = 2u << 20;
    build();
    is_back(true, "interrupted");
    CU_ASSERT_FALSE(there.last);
}

static void test_refused_before_go(void)
{
    begin(1u << 20, TAKES_ALL);
    refuses = true;
    build();
    is_back(true, "not now");
}

static void test_no_answer_to_go(void)
{
    begin(1u << 20, NO_RUNNING);
    build();
    CU_ASSERT_EQUAL(xf_move_cold_switch(&m, before_go, &err), XF_SWITCH_UNKNOWN);
    CU_ASSERT(there.go && !xen->resumed && xen->flags == SUSPENDED);
    end();
}

/* A paused guest runs for its suspend alone, and is paused again wherever it ends up. */
static void test_paused(void)
{
    begin(1u << 20, TAKES_ALL);
    m.check.paused = true;
    xen->pauses = 1;
    build();
    CU_ASSERT_EQUAL(xf_move_cold_switch(&m, before_go, &err), XF_SWITCHED);
    end();

    begin(1u << 20, TAKES_ALL);
    m.check.paused = refuses = true;
    xen->pauses = 2;
    build();
    is_back(true, "not now");
    CU_ASSERT(xen->pauses == 1 && !xen->ran_paused);

    begin(1u << 20, TAKES_ALL);
    m.check.paused = true;
    xen->pauses = 1;
    xen->fault = NEVER_SUSPENDS;
    build();
    is_back(false, "");
    CU_ASSERT_EQUAL(xen->pauses, 1);

    /* Somebody unpaused it meanwhile. */
    begin(1u << 20, TAKES_ALL);
    m.check.paused = true;
    build();
    is_back(false, "has been unpaused since");
    CU_ASSERT(!xen->asked && !xen->pauses);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"moves", test_moves},
        {"live", test_live},
        {"no memory at the destination", test_no_memory_there},
        {"the destination hangs up", test_hung_up},
        {"it has loaded too early", test_hasty},
        {"libxl fails, or its process dies", test_libxl_fails},
        {"the guest does not suspend", test_no_suspend},
        {"interrupted", test_cancelled},
        {"refused before GO", test_refused_before_go},
        {"no answer to GO", test_no_answer_to_go},
        {"a paused guest", test_paused},
        CU_TEST_INFO_NULL,
    };

    xen = mmap(NULL, sizeof(*xen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (xen == MAP_FAILED)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    alarm(390);
    return run_suite("move_cold", tests);
}
