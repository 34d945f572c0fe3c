/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cold move at the destination: the whole receiver on a made-up Xen host (fake_host.h) with its
 * stock xl, against a source that is this test. The stream reaches xl byte for byte, nothing runs
 * before GO, and nothing is left when the move fails.
 */
#include <endian.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libxl_event.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/peer/check.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/xen/pci.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/suite.h"
#include "transport/link.h"

#define UUID "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11"
#define COPY "web1--incoming"
#define BODY (3u << 20) /* bytes of the one record of the stream */

static char top[] = "/tmp/xf-receive-cold-XXXXXX";
static uint8_t meta[XF_META_MAX];
static uint8_t stream[BODY + 200];
static size_t stream_len;
static unsigned stream_sum;

/* --- the host, beyond what fake_host.h has --- */

int xf_check_peer(libxl_ctx *ctx, xc_interface *xch, struct xf_toollog *log,
                  const struct xf_hello *hello, bool same_host, struct xf_findings *f,
                  struct xf_err *err)
{
    (void)ctx;
    (void)xch;
    (void)log;
    (void)hello;
    (void)same_host;
    (void)f;
    (void)err;
    return 0;
}

bool xf_has_paging(xc_interface *xch)
{
    (void)xch;
    return true;
}

int libxl_domain_unpause(libxl_ctx *ctx, uint32_t domid, const libxl_asyncop_how *how)
{
    (void)ctx;
    (void)how;
    fake_host->unpaused = domid;
    return fake_host->unpause_fails ? ERROR_FAIL : 0;
}

/* PCI devices: shared with the receiver's processes. */
static struct {
    unsigned added;
    uint32_t to;
    char addr[XF_PCI_ADDR];
    char lost[XF_PCI_ADDR]; /* cannot be added */
} * pci;

static libxl_asyncop_how pci_how;
static int pci_rc;

int libxl_device_pci_add(libxl_ctx *ctx, uint32_t domid, libxl_device_pci *d,
                         const libxl_asyncop_how *how)
{
    (void)ctx;
    pci->to = domid;
    xf_pci_name(d, pci->addr);
    pci_rc = strcmp(pci->addr, pci->lost) ? 0 : ERROR_FAIL;
    pci->added += !pci_rc;
    pci_how = *how;
    return 0;
}

int libxl_osevent_beforepoll(libxl_ctx *ctx, int *n, struct pollfd *fds, int *timeout,
                             struct timeval now)
{
    (void)ctx;
    (void)fds;
    (void)now;
    *n = *timeout = 0;
    return 0;
}

void libxl_osevent_afterpoll(libxl_ctx *ctx, int n, const struct pollfd *fds, struct timeval now)
{
    (void)n;
    (void)fds;
    (void)now;
    pci_how.callback(ctx, pci_rc, pci_how.u.for_callback);
}

libxl_device_pci *libxl_device_pci_list(libxl_ctx *ctx, uint32_t domid, int *num)
{
    libxl_device_pci *d = calloc(1, sizeof(*d));
    struct xf_pci_parts p;

    (void)ctx;
    (void)domid;
    *num = d && xf_pci_parse(pci->addr, &p);
    d->bus = (uint8_t)p.bus;
    return d;
}

void libxl_device_pci_list_free(libxl_device_pci *list, int num)
{
    (void)num;
    free(list);
}

/* --- the source --- */

struct move {
    pid_t guard;
    struct xf_pipe pipe;
    struct xf_hello hello;
    struct xf_reply reply;
    struct xf_link link;
    struct xf_err err;
    uint64_t sent;
    uint32_t domid;
};

/* As libxl writes it, as far as the made-up xl looks: headers, one record of libxc's, both ends. */
static void make_stream(void)
{
    static const char libxl[17] = "LibxlFmt\0\0\0\2\0\0\0";
    const uint32_t head[2] = {htole32(1), htole32(BODY)};
    size_t at = 16 + 8 + 24 + 16;

    memcpy(stream, libxl, 16);
    memcpy(stream + at, head, sizeof(head));
    at += sizeof(head);
    for (unsigned i = 0; i < BODY; i++)
        stream[at + i] = (uint8_t)(i * 7 + (i >> 9));
    stream_len = at + BODY + 8 + 8;
    for (size_t i = 0; i < stream_len; i++)
        stream_sum += stream[i];
}

static struct xf_hello wishes; /* its PCI devices go into the next hello */

static void start(struct move *m, bool paused)
{
    struct xf_receive_opts opts = {
        .real_xl = "/proc/self/exe", .addresses = {"127.0.0.1"}, .nr_addresses = 1};
    int fds[2];

    memset(m, 0, sizeof(*m));
    m->hello = (struct xf_hello){
        .channels = 1, .cpuid = meta, .msrs = meta, .cold = true, .leave_paused = paused};
    memcpy(m->hello.pci, wishes.pci, sizeof(wishes.pci));
    m->hello.nr_pci = wishes.nr_pci;
    strcpy(m->hello.domain, "web1");
    strcpy(m->hello.uuid, UUID);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    m->guard = fork();
    if (!m->guard) {
        struct xf_err err = {0};

        opts.in_fd = fds[1];
        opts.out_fd = dup(fds[1]);
        close(fds[0]);
        _exit(xf_receive(&opts, &err) ? 1 : 0);
    }
    close(fds[1]);
    m->pipe = (struct xf_pipe){.in = fds[0], .out = fds[0]};
}

static int hear(struct move *m, uint16_t type)
{
    struct xf_msg msg;

    return xf_link_hear(&m->link, type, &msg, meta, 20000, &m->err);
}

static int send_config(struct move *m, const char *config, size_t len)
{
    struct iovec iov = {(void *)config, len};
    struct xf_msg msg = {.type = XF_MSG_CONFIG, .payload_len = (uint32_t)len};

    return m->link.ops->send(m->link.control, &msg, NULL, &iov, 1, &m->err);
}

static int send_piece(struct move *m, uint64_t offset, uint32_t flags, const void *data, size_t len)
{
    const struct xf_chunk c = {.offset = offset, .flags = flags};
    struct iovec iov = {(void *)data, len};
    struct xf_msg msg = {.type = XF_MSG_STREAM, .payload_len = (uint32_t)len};

    msg.meta_len = (uint32_t)xf_chunk_encode(&c, meta);
    return m->link.ops->send(m->link.bulk[0], &msg, meta, &iov, len ? 1 : 0, &m->err);
}

/* CHECK and the channels. */
static void greet(struct move *m, bool paused)
{
    struct xf_link_cfg cfg;
    struct xf_link_peer peer = {.host = "127.0.0.1"};

    start(m, paused);
    CU_ASSERT_EQUAL_FATAL(xf_hello_send(&m->pipe, &m->hello, &m->err), 0);
    CU_ASSERT_EQUAL_FATAL(xf_reply_receive(&m->pipe, &m->reply, 20000, NULL, &m->err), 0);
    CU_ASSERT(m->reply.cold && m->reply.pci);
    cfg = xf_hello_link_cfg(&m->hello, false, 5000, 20000);
    peer.port = m->reply.port;
    m->link.ops = &xf_tcp_ops;
    CU_ASSERT_EQUAL_FATAL(
        xf_link_connect(&m->link, &cfg, &peer, false, (struct xf_tick){0}, &m->err), 0);
}

static int build(struct move *m)
{
    char *config = fake_host_config("web1", UUID), why[XF_TEXT_MAX];
    struct xf_msg msg;
    int num, rc;

    rc = send_config(m, config, strlen(config) + 1);
    if (!rc)
        rc = xf_link_hear(&m->link, XF_MSG_BUILT, &msg, meta, 20000, &m->err);
    if (!rc)
        rc = xf_built_decode(&m->domid, &num, why, &msg, meta, &m->err);
    free(config);
    return rc;
}

/* The first `len` bytes of the stream, `last` if they are all. */
static int send_stream(struct move *m, size_t len, size_t piece)
{
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;

        if (send_piece(m, at, at + n == stream_len ? XF_CHUNK_LAST : 0, stream + at, n))
            return -1;
    }
    return 0;
}

static void begin(void)
{
    fake_host_new();
    fake_host->pv = true; /* of a kind for which the engine has no operations */
}

/* The receiver ends with this status, and xl with it. */
static void ends(struct move *m, int wanted)
{
    int status = 0;

    xf_link_close(&m->link);
    close(m->pipe.in);
    waitpid(m->guard, &status, 0);
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == wanted);
    CU_ASSERT(!fake_host->xl_pid || kill(fake_host->xl_pid, 0));
}

/* The source hears why, and nothing of the copy is left. */
static void fails(struct move *m, const char *words)
{
    int rc = hear(m, XF_MSG_LOADED);

    if (rc != -1 || !strstr(m->err.text, words))
        fprintf(stderr, "it says: %s\n", m->err.text);
    CU_ASSERT(rc == -1 && strstr(m->err.text, words));
    xf_clear(&m->err);
    CU_ASSERT_EQUAL(hear(m, XF_MSG_ABORTED), 0);
    CU_ASSERT_PTR_NULL(fake_host_find(COPY));
    CU_ASSERT_EQUAL(fake_host->unpaused, 0);
    ends(m, 1);
    fake_host_free();
}

/* --- tests --- */

static void moves(size_t piece, bool paused)
{
    struct move m;

    begin();
    greet(&m, paused);
    CU_ASSERT_EQUAL_FATAL(build(&m), 0);
    CU_ASSERT(fake_host_find(COPY) && fake_host_find(COPY)->domid == m.domid);
    CU_ASSERT_EQUAL(fake_host->xl_bytes, 16); /* it is made before the stream begins */
    CU_ASSERT_EQUAL(send_piece(&m, 0, XF_CHUNK_PROBE, stream, 1000), 0);
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_PONG), 0);
    CU_ASSERT_EQUAL(send_stream(&m, stream_len, piece), 0);
    xf_link_say(&m.link, XF_MSG_PING, NULL, 0, NULL); /* not answered */
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_LOADED), 0);
    CU_ASSERT_EQUAL(fake_host->xl_bytes, stream_len);
    CU_ASSERT_EQUAL(fake_host->xl_sum, stream_sum);
    CU_ASSERT_EQUAL(fake_host->unpaused, 0);
    xf_link_say(&m.link, XF_MSG_GO, NULL, 0, NULL);
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_RUNNING), 0);
    CU_ASSERT_EQUAL(fake_host->unpaused, paused ? 0 : m.domid);
    ends(&m, 0);
    CU_ASSERT(fake_host_find("web1") && fake_host_find("web1")->domid == m.domid);
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    fake_host_free();
}

static void test_moves(void)
{
    moves(1u << 20, false);
    moves(XF_PAYLOAD_MAX, false); /* all in one */
    moves(70001, true);
}

/* The source may end a stream by an empty piece. */
static void test_empty_last(void)
{
    struct move m;

    begin();
    greet(&m, false);
    CU_ASSERT_EQUAL_FATAL(build(&m), 0);
    CU_ASSERT_EQUAL(send_piece(&m, 0, 0, stream, stream_len - 8), 0);
    CU_ASSERT_EQUAL(send_piece(&m, stream_len - 8, 0, stream + stream_len - 8, 4), 0);
    CU_ASSERT_EQUAL(send_piece(&m, stream_len - 4, XF_CHUNK_LAST, stream + stream_len - 4, 4), 0);
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_LOADED), 0);
    xf_link_say(&m.link, XF_MSG_ABORT, NULL, 0, NULL);
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_ABORTED), 0);
    CU_ASSERT_PTR_NULL(fake_host_find(COPY));
    ends(&m, 1);
    fake_host_free();
}

/* xl has no memory for the guest: its own words, while the source still sends. */
static void test_full(void)
{
    struct move m;

    begin();
    fake_host->xl = XL_FULL;
    greet(&m, false);
    CU_ASSERT_EQUAL_FATAL(build(&m), 0);
    send_stream(&m, stream_len, 100000); /* may fail half way */
    xf_clear(&m.err);
    fails(&m, "Failed to populate physmap");
}

/* The source goes away in the stream, or when all has arrived. */
static void test_source_dies(void)
{
    for (int whole = 0; whole < 2; whole++) {
        struct move m;

        begin();
        greet(&m, false);
        CU_ASSERT_EQUAL_FATAL(build(&m), 0);
        CU_ASSERT_EQUAL(send_stream(&m, whole ? stream_len : 1u << 20, 1u << 20), 0);
        CU_ASSERT(!whole || !hear(&m, XF_MSG_LOADED));
        ends(&m, 1);
        CU_ASSERT_PTR_NULL(fake_host_find(COPY));
        CU_ASSERT_EQUAL(fake_host->unpaused, 0);
        fake_host_free();
    }
}

/* GO has come: the guest is here, whatever follows. */
static void test_no_unpause(void)
{
    struct move m;

    begin();
    fake_host->unpause_fails = true;
    greet(&m, false);
    CU_ASSERT_EQUAL_FATAL(build(&m), 0);
    CU_ASSERT_EQUAL(send_stream(&m, stream_len, 1u << 20), 0);
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_LOADED), 0);
    xf_link_say(&m.link, XF_MSG_GO, NULL, 0, NULL);
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_RUNNING), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "cannot unpause"));
    ends(&m, 1);
    CU_ASSERT(fake_host_at(m.domid) && !fake_host->destroyed);
    fake_host_free();
}

/* PCI devices that the guest gets when it runs, all but those that fail; the source hears. */
static void test_pci(void)
{
    static const struct xf_pci_wish list[] = {{.addr = "0000:05:00.0", .of = "0000:09:00.0"},
                                              {.addr = "0000:06:00.0", .of = "0000:09:00.1"}};
    char why[XF_TEXT_MAX];
    struct xf_msg msg;
    int num;

    for (int lost = 0; lost < 2; lost++) {
        struct move m;

        begin();
        memset(pci, 0, sizeof(*pci));
        strcpy(pci->lost, lost ? list[0].addr : "");
        memcpy(wishes.pci, list, sizeof(list));
        wishes.nr_pci = 2;
        greet(&m, false);
        wishes.nr_pci = 0;
        CU_ASSERT_EQUAL_FATAL(build(&m), 0);
        CU_ASSERT_EQUAL(send_stream(&m, stream_len, 1u << 20), 0);
        CU_ASSERT_EQUAL(hear(&m, XF_MSG_LOADED), 0);
        CU_ASSERT_EQUAL(pci->added, 0);
        xf_link_say(&m.link, XF_MSG_GO, NULL, 0, NULL);
        CU_ASSERT_EQUAL(hear(&m, XF_MSG_RUNNING), 0);
        CU_ASSERT_EQUAL(xf_link_hear(&m.link, XF_MSG_PLUGGED, &msg, meta, 20000, &m.err), 0);
        CU_ASSERT_EQUAL(xf_text_decode(&num, why, &msg, meta, &m.err), 0);
        CU_ASSERT(pci->to == m.domid && pci->added == (lost ? 1u : 2u));
        CU_ASSERT_EQUAL(num != 0, lost);
        CU_ASSERT_EQUAL(strstr(why, list[0].addr) != NULL, lost);
        CU_ASSERT_EQUAL(fake_host->unpaused, m.domid);
        ends(&m, lost);
        CU_ASSERT(fake_host_find("web1") && !fake_host->destroyed);
        fake_host_free();
    }
}

/* What a hostile source sends in place of what is due. */
static void test_hostile(void)
{
    static const struct {
        const char *what, *says;
    } cases[] = {
        {"a gap", "follows its first 0 bytes"},
        {"a probe in the stream", "measures the link"},
        {"GO too early", "is not allowed here"},
        {"another message", "instead of its stream"},
        {"a piece after the end of the stream", "goes on after its end"},
        {"flags", "invalid flags"},
        {"another header", "unknown header"},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct move m;

        begin();
        greet(&m, false);
        CU_ASSERT_EQUAL_FATAL(build(&m), 0);
        switch (i) {
        case 0:
            send_piece(&m, 7, 0, stream, 100);
            break;
        case 1:
            send_piece(&m, 0, 0, stream, 10);
            send_piece(&m, 0, XF_CHUNK_PROBE, stream, 100);
            break;
        case 2:
            xf_link_say(&m.link, XF_MSG_GO, NULL, 0, NULL);
            break;
        case 3:
            m.link.ops->send(m.link.bulk[0], &(struct xf_msg){.type = XF_MSG_SYNC}, meta, NULL, 0,
                             NULL);
            break;
        case 4: /* not said to be the last */
            send_piece(&m, 0, 0, stream, stream_len);
            break;
        case 5:
            send_piece(&m, 0, 8, stream, 100);
            break;
        case 6:
            send_piece(&m, 0, 0, stream, 9);
            send_piece(&m, 9, 0, stream, 100);
            break;
        }
        fails(&m, cases[i].says);
    }
}

/* A configuration that is not what was announced, or no text, builds nothing. */
static void test_config(void)
{
    char *other = fake_host_config("web2", UUID), *cut = fake_host_config("web1", UUID);

    for (int i = 0; i < 4; i++) {
        struct move m;

        begin();
        greet(&m, false);
        if (i == 0)
            send_config(&m, other, strlen(other) + 1);
        else if (i == 1)
            send_config(&m, cut, strlen(cut));
        else if (i == 2)
            send_config(&m, "", 0);
        else
            xf_link_say(&m.link, XF_MSG_STREAM, NULL, 0, NULL);
        CU_ASSERT_EQUAL(hear(&m, XF_MSG_BUILT), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, i == 0   ? "is not that of domain"
                                                  : i == 3 ? "before the configuration"
                                                           : "is not a string"));
        ends(&m, 1);
        CU_ASSERT_EQUAL(fake_host->xl_started, 0);
        fake_host_free();
    }
    free(other);
    free(cut);
}

/* Another receiver makes a domain of this name and uuid just before our xl could: that one is not
 * taken for ours, and is left alone. */
static void test_too_late(void)
{
    struct move m;

    begin();
    fake_host->xl = XL_TOO_LATE;
    greet(&m, false);
    CU_ASSERT_EQUAL(build(&m), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "already exists"));
    ends(&m, 1);
    CU_ASSERT_PTR_NOT_NULL(fake_host_find(COPY));
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    fake_host_free();
}

/* kill -9 of the sink in the stream: the guard leaves nothing. */
static void test_killed(void)
{
    char path[80];
    struct move m;
    long sink = 0;
    FILE *f;

    begin();
    greet(&m, false);
    CU_ASSERT_EQUAL_FATAL(build(&m), 0);
    CU_ASSERT_EQUAL(send_stream(&m, 1u << 20, 1u << 20), 0);
    snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", (long)m.guard, (long)m.guard);
    f = fopen(path, "re");
    CU_ASSERT_FATAL(f && fscanf(f, "%ld", &sink) == 1 && sink > 0);
    fclose(f);
    kill((pid_t)sink, SIGKILL);
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_LOADED), -1);
    ends(&m, 1);
    CU_ASSERT_PTR_NULL(fake_host_find(COPY));
    CU_ASSERT_EQUAL(fake_host->unpaused, 0);
    fake_host_free();
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"a move", test_moves},
        {"the end of a stream, and a move given up", test_empty_last},
        {"no memory for it", test_full},
        {"the source dies", test_source_dies},
        {"no unpause", test_no_unpause},
        {"PCI devices", test_pci},
        {"a hostile source", test_hostile},
        {"other configurations", test_config},
        {"another domain of its name comes", test_too_late},
        {"the sink is killed", test_killed},
        CU_TEST_INFO_NULL,
    };
    char cmd[100];
    int rc;

    fake_host_play_xl(argc, argv);
    if (!mkdtemp(top))
        return 2;
    setenv(XF_RUN_DIR_ENV, top, 1);
    signal(SIGPIPE, SIG_IGN);
    pci = mmap(NULL, sizeof(*pci), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (pci == MAP_FAILED)
        return 2;
    alarm(390);
    make_stream();
    rc = run_suite("receive_cold", tests);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
    return system(cmd) ? 2 : rc;
}
