/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A receiver, guard, sink and xl, on a Xen host that is made up (fake_host.h), and the source's end
 * of its move: what their tests share. It is included, and not linked as a helper, because it
 * replaces functions of the product, and fork(), which other tests must not get.
 */
#ifndef XF_TEST_RECEIVING_H
#define XF_TEST_RECEIVING_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xenctrl.h>

#include "libxl-ext/sink/announce.h"
#include "libxl-ext/peer/check.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/xen/xen_sink.h"
#include "precopy/state_link.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/suite.h"
#include "transport/link.h"

#define UUID "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11"
#define OTHER_UUID "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a12"
#define COPY "web1--incoming"

static char top[] = "/tmp/xf-receiver-XXXXXX";
static uint8_t meta[XF_META_MAX];

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
    if (getenv("DIE_IN_CHECK"))
        kill(getpid(), SIGKILL);
    return 0;
}

int libxl_get_free_memory(libxl_ctx *ctx, uint64_t *kib)
{
    (void)ctx;
    *kib = 1u << 20;
    return 0;
}

bool xf_has_paging(xc_interface *xch)
{
    (void)xch;
    return false;
}

static int view_open(struct xf_sink_vm *vm, struct xf_view **out, struct xf_err *err)
{
    (void)vm;
    (void)err;
    *out = malloc(1);
    return 0;
}

static void view_close(struct xf_view *v)
{
    free(v);
}

static int load_state(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err)
{
    (void)vm;
    (void)s;
    (void)err;
    return 0;
}

static int run(struct xf_sink_vm *vm, struct xf_err *err)
{
    struct xf_xen_sink *x = (struct xf_xen_sink *)vm;

    if (fake_host->unpause_fails)
        return xf_fail(err, EINVAL, "cannot unpause domain %u", x->domid);
    fake_host->unpaused = x->domid;
    return 0;
}

int xf_xen_sink_open(struct xf_xen_sink *x, libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid,
                     const struct xf_guest_kind_ops *kind, struct xf_err *err)
{
    static const struct xf_sink_ops ops = {
        .view_open = view_open, .view_close = view_close, .load_state = load_state, .run = run};

    (void)kind;
    (void)err;
    *x = (struct xf_xen_sink){.vm.ops = &ops, .domid = domid, .ctx = ctx, .log = log};
    return 0;
}

int xf_xen_sink_claim(struct xf_xen_sink *x, uint64_t nr_pages, struct xf_err *err)
{
    (void)x;
    (void)nr_pages;
    (void)err;
    return 0;
}

void xf_xen_sink_close(struct xf_xen_sink *x)
{
    (void)x;
}

void xf_announce_begin(struct xf_announce *a, uint32_t domid)
{
    (void)a;
    (void)domid;
}

void xf_announce_end(struct xf_announce *a)
{
    (void)a;
}

static bool no_fork;

pid_t fork(void)
{
    pid_t (*real)(void) = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");

    if (!no_fork || !real)
        return real ? real() : -1;
    errno = EAGAIN;
    return -1;
}

/* --- a receiver, and the source's end of it --- */

struct move {
    pid_t guard;
    struct xf_pipe pipe;
    int said; /* the receiver's error */
    struct xf_hello hello;
    struct xf_reply reply;
    struct xf_link link;
    struct xf_err err;
};

static struct xf_receive_opts opts;

static void start(struct move *m, const char *name, const char *uuid)
{
    int pipe_fds[2], said[2];

    memset(m, 0, sizeof(*m));
    m->hello = (struct xf_hello){.channels = 1, .cpuid = meta, .msrs = meta};
    snprintf(m->hello.domain, sizeof(m->hello.domain), "%s", name);
    snprintf(m->hello.uuid, sizeof(m->hello.uuid), "%s", uuid);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipe_fds), 0);
    CU_ASSERT_EQUAL_FATAL(pipe2(said, O_CLOEXEC), 0);
    m->guard = fork();
    if (!m->guard) {
        struct xf_err err = {0};
        int rc;

        no_fork = getenv("NO_FORK") != NULL;
        opts.in_fd = pipe_fds[1];
        opts.out_fd = dup(pipe_fds[1]);
        close(pipe_fds[0]);
        close(said[0]);
        rc = xf_receive(&opts, &err);
        if (write(said[1], err.text, strlen(err.text)) < 0)
            rc = 2;
        _exit(rc < 0 ? 1 : rc);
    }
    close(pipe_fds[1]);
    close(said[1]);
    m->said = said[0];
    m->pipe = (struct xf_pipe){.in = pipe_fds[0], .out = pipe_fds[0]};
}

/* CHECK. True: it may come. */
static bool greet(struct move *m)
{
    CU_ASSERT_EQUAL(xf_hello_send(&m->pipe, &m->hello, &m->err), 0);
    CU_ASSERT_EQUAL(xf_reply_receive(&m->pipe, &m->reply, 20000, NULL, &m->err), 0);
    for (unsigned i = 0; i < m->reply.nr_findings; i++)
        if (m->reply.findings[i].severity == XF_REFUSAL)
            return false;
    return m->err.num == 0;
}

static void refused(struct move *m, const char *code, const char *words)
{
    const struct xf_finding *f = &m->reply.findings[0];

    CU_ASSERT_EQUAL(m->reply.nr_findings, 1);
    CU_ASSERT_STRING_EQUAL(f->code, code);
    CU_ASSERT_PTR_NOT_NULL(strstr(f->text, words));
    if (!strstr(f->text, words))
        fprintf(stderr, "it says: %s; %s\n", f->text, m->err.text);
}

/* All channels. */
static int connect_all(struct move *m)
{
    struct xf_link_cfg cfg = xf_hello_link_cfg(&m->hello, false, 5000, 20000);
    struct xf_link_peer peer = {.host = "127.0.0.1", .port = m->reply.port};

    m->link.ops = &xf_tcp_ops;
    return xf_link_connect(&m->link, &cfg, &peer, false, (struct xf_tick){0}, &m->err);
}

/* SKELETON: send the configuration; *domid is what BUILT says. */
static int build(struct move *m, const char *name, const char *uuid, uint32_t *domid)
{
    struct xf_skeleton k = {.xen_major = 4, .xen_minor = 17, .nr_gfns = 4096, .nr_pages = 16};
    struct xf_msg msg = {.type = XF_MSG_SKELETON};
    char *config = fake_host_config(name, uuid), why[XF_TEXT_MAX];
    struct iovec iov = {config, strlen(config) + 1};
    int rc, num;

    k.config_len = msg.payload_len = (uint32_t)iov.iov_len;
    rc = connect_all(m);
    msg.meta_len = (uint32_t)xf_skeleton_encode(&k, meta);
    if (!rc)
        rc = m->link.ops->send(m->link.control, &msg, meta, &iov, 1, &m->err);
    if (!rc)
        rc = xf_link_hear(&m->link, XF_MSG_BUILT, &msg, meta, 20000, &m->err);
    if (!rc)
        rc = xf_built_decode(domid, &num, why, &msg, meta, &m->err);
    free(config);
    return rc;
}

static int hear(struct move *m, uint16_t type)
{
    struct xf_msg msg;

    return xf_link_hear(&m->link, type, &msg, meta, 20000, &m->err);
}

/* SWITCH, of a guest without pages. */
static int let_run(struct move *m)
{
    struct xf_sync sync = {.seq = 1, .flags = XF_SYNC_LAST};
    struct xf_state s = {0};
    struct xf_msg msg = {.type = XF_MSG_SYNC};

    xf_link_say(&m->link, XF_MSG_DEVICES, NULL, 0, NULL);
    if (hear(m, XF_MSG_DEVICES_ACK))
        return -1;
    msg.meta_len = (uint32_t)xf_sync_encode(&sync, meta);
    m->link.ops->send(m->link.bulk[0], &msg, meta, NULL, 0, NULL);
    if (m->link.ops->recv(m->link.bulk[0], &msg, meta, 20000, NULL))
        return -1;
    xf_state_add_tsc(&s, &(struct xf_tsc){.khz = 1}, NULL);
    xf_state_add_copy(&s, XF_PART_HVM_CONTEXT, "context", 8, NULL);
    xf_state_send(&m->link, &s, NULL);
    xf_state_free(&s);
    if (hear(m, XF_MSG_LOADED))
        return -1;
    xf_link_say(&m->link, XF_MSG_GO, NULL, 0, NULL);
    return hear(m, XF_MSG_RUNNING);
}

/* The receiver has this status, and said these words ("": any). */
static void ends(struct move *m, int wanted, const char *words)
{
    char text[600] = "";
    int status = 0;
    ssize_t n;

    xf_link_close(&m->link);
    if (m->pipe.in >= 0)
        close(m->pipe.in);
    n = read(m->said, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = 0;
    waitpid(m->guard, &status, 0);
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == wanted);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, words));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != wanted || !strstr(text, words))
        fprintf(stderr, "status %x, it says: %s\n", status, text);
    close(m->said);
}

static void begin(void)
{
    fake_host_new();
    opts = (struct xf_receive_opts){
        .real_xl = "/proc/self/exe", .moves = 64, .addresses = {"127.0.0.1"}, .nr_addresses = 1};
}

/* Nothing of this test is left: no lock, no socket, no process. killed: a sink was killed with -9;
 * its locks' files stay for the next one, its socket does not. */
static void end_of(bool killed)
{
    char cmd[120];

    snprintf(cmd, sizeof(cmd), "test -z \"$(ls %s | grep -v -e ^port- -e ^slot)\"", top);
    CU_ASSERT(killed || system(cmd) == 0);
    snprintf(cmd, sizeof(cmd), "test -z \"$(ls %s | grep sock)\"", top);
    CU_ASSERT_EQUAL(system(cmd), 0);
    snprintf(cmd, sizeof(cmd), "rm -rf %s/*", top);
    CU_ASSERT_EQUAL(system(cmd), 0);
    CU_ASSERT(!fake_host->xl_pid || (kill(fake_host->xl_pid, 0) && errno == ESRCH));
    fake_host_free();
}

static void end(void)
{
    end_of(false);
}

static int receiving_main(int argc, char **argv, const char *suite, CU_TestInfo *tests)
{
    char cmd[100];
    int rc;

    fake_host_play_xl(argc, argv);
    if (!mkdtemp(top))
        return 2;
    setenv(XF_RUN_DIR_ENV, top, 1);
    signal(SIGPIPE, SIG_IGN);
    alarm(150);
    rc = run_suite(suite, tests);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
    return system(cmd) ? 2 : rc;
}

#endif
