/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole receiver, guard, sink and xl, on a Xen host that is made up (fake_host.h), against a
 * source that is this test: what it builds is its own, what it destroys as well, whoever of them
 * dies; one move at a time under a name; and what it cannot do it says.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
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
#include "transport/clock.h"
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

/* SKELETON: send the configuration; *domid is what BUILT says. */
static int build(struct move *m, const char *name, const char *uuid, uint32_t *domid)
{
    struct xf_link_cfg cfg = xf_hello_link_cfg(&m->hello, false, 5000, 20000);
    struct xf_link_peer peer = {.host = "127.0.0.1", .port = m->reply.port};
    struct xf_skeleton k = {.xen_major = 4, .xen_minor = 17, .nr_gfns = 4096, .nr_pages = 16};
    struct xf_msg msg = {.type = XF_MSG_SKELETON};
    char *config = fake_host_config(name, uuid), why[XF_TEXT_MAX];
    struct iovec iov = {config, strlen(config) + 1};
    int rc, num;

    m->link.ops = &xf_tcp_ops;
    m->link.version = m->hello.agreed;
    m->link.nr_bulk = 1;
    k.config_len = msg.payload_len = (uint32_t)iov.iov_len;
    rc = m->link.ops->connect(&cfg, peer.host, peer.port, NULL, XF_CONTROL, &m->link.control,
                              &m->err);
    if (!rc)
        rc = m->link.ops->connect(&cfg, peer.host, peer.port, NULL, XF_BULK(0), &m->link.bulk[0],
                                  &m->err);
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

/* Its sink: the guard's child. */
static pid_t sink_of(const struct move *m)
{
    char cmd[80];
    long pid = 0;
    FILE *f;

    snprintf(cmd, sizeof(cmd), "cat /proc/%ld/task/%ld/children", (long)m->guard, (long)m->guard);
    f = popen(cmd, "r");
    if (fscanf(f, "%ld", &pid) != 1)
        pid = 0;
    pclose(f);
    CU_ASSERT_FATAL(pid > 0);
    return (pid_t)pid;
}

static bool in_time(bool (*is)(void))
{
    double until = xf_now() + 10;

    while (!is() && xf_now() < until)
        usleep(1000);
    return is();
}

static void begin(void)
{
    fake_host_new();
    opts = (struct xf_receive_opts){
        .real_xl = "/proc/self/exe", .addresses = {"127.0.0.1"}, .nr_addresses = 1};
}

/* Nothing of this test is left: no lock, no socket, no process. killed: a sink was killed with -9;
 * its locks' files stay for the next one, its socket does not. */
static void end_of(bool killed)
{
    char cmd[100];

    snprintf(cmd, sizeof(cmd), "test -z \"$(ls %s | grep -v ^port-)\"", top);
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

/* --- a move, and its undoing --- */

static void test_moves(void)
{
    uint32_t domid = 0;
    struct move m;

    begin();
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), 0);
    CU_ASSERT(fake_host_find(COPY) && fake_host_find(COPY)->domid == domid);
    CU_ASSERT_EQUAL(let_run(&m), 0);
    ends(&m, 0, "");
    CU_ASSERT_EQUAL(fake_host->unpaused, domid);
    CU_ASSERT(fake_host_find("web1") && fake_host_find("web1")->domid == domid);
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    end();
}

static void test_given_up(void)
{
    uint32_t domid = 0;
    struct move m;

    begin();
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), 0);
    xf_link_say(&m.link, XF_MSG_ABORT, NULL, 0, NULL);
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_ABORTED), 0);
    CU_ASSERT_PTR_NULL(fake_host_find(COPY));
    ends(&m, 1, "gave up the move");
    end();
}

/* Sources of other versions: what both understand is spoken on the channels. */
static void test_versions(void)
{
    static const struct {
        struct xf_build source;
        unsigned agreed; /* 0: none */
    } cases[] = {
        {{1, 1, ""}, 1}, /* an old one says nothing; the same is heard of this */
        {{XF_WIRE_VERSION + 1, XF_WIRE_VERSION - 1, "1.0"}, XF_WIRE_VERSION},
        {{XF_WIRE_VERSION + 3, XF_WIRE_VERSION + 1, "2.0"}, 0},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t domid = 0;
        struct move m;

        begin();
        start(&m, "web1", UUID);
        m.hello.build = cases[i].source;
        m.hello.agreed = cases[i].agreed;
        CU_ASSERT_EQUAL(greet(&m), cases[i].agreed != 0);
        CU_ASSERT_EQUAL(m.reply.build.newest, XF_WIRE_VERSION);
        CU_ASSERT_EQUAL(m.reply.build.oldest, XF_WIRE_OLDEST);
        if (cases[i].agreed) {
            CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), 0);
            CU_ASSERT_EQUAL(let_run(&m), 0);
        } else {
            refused(&m, "version", "Xenferry 2.0 on the other one");
        }
        ends(&m, 0, "");
        end();
    }
}

/* A configuration that is not of the domain that was announced builds nothing. */
static void test_other_config(void)
{
    static const char *const configs[][2] = {{"web2", UUID}, {"web1", OTHER_UUID}};

    for (int i = 0; i < 2; i++) {
        uint32_t domid;
        struct move m;

        begin();
        start(&m, "web1", UUID);
        CU_ASSERT(greet(&m));
        CU_ASSERT_EQUAL(build(&m, configs[i][0], configs[i][1], &domid), -1);
        ends(&m, 1, "the source's configuration");
        CU_ASSERT_EQUAL(fake_host->xl_started, 0);
        end();
    }
}

/* CHECK at the source refuses it; a source that does not is no reason to build it. */
static void test_other_kind(void)
{
    uint32_t domid;
    struct move m;

    begin();
    fake_host->hvm = true;
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), -1);
    ends(&m, 1, "(type=\"hvm\") that this Xenferry cannot receive");
    CU_ASSERT_EQUAL(fake_host->xl_started, 0);
    end();
}

/* GO came, and Xen does not let the guest run: no receiver says that all is well. */
static void test_no_unpause(void)
{
    uint32_t domid = 0;
    struct move m;

    begin();
    fake_host->unpause_fails = true;
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), 0);
    CU_ASSERT_EQUAL(let_run(&m), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "cannot unpause"));
    ends(&m, 1, "cannot unpause");
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    CU_ASSERT_PTR_NOT_NULL(fake_host_at(domid));
    end();
}

/* --- other domains --- */

/* A domain of that name came into being since CHECK. */
static void test_came_since(void)
{
    uint32_t other, domid;
    struct move m;

    begin();
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    other = fake_host_add(COPY, UUID);
    fake_host_at(other)->introduced = true;
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), -1);
    ends(&m, 1, "has appeared there");
    CU_ASSERT_PTR_NOT_NULL(fake_host_at(other));
    CU_ASSERT_EQUAL(fake_host->xl_started, 0);
    end();
}

/* A stock receiver makes one of this name and uuid, and introduces it, just before our xl could. */
static void test_too_late(void)
{
    uint32_t domid;
    struct move m;

    begin();
    fake_host->xl = XL_TOO_LATE;
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "already exists"));
    ends(&m, 1, "already exists");
    CU_ASSERT_PTR_NOT_NULL(fake_host_find(COPY));
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    end();
}

/* xl made what it was not told to make; it is not filled, and xl alone takes it away. */
static void test_other_built(void)
{
    uint32_t domid;
    struct move m;

    begin();
    fake_host->xl = XL_OTHER;
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), -1);
    ends(&m, 1, "is not the one that xl was given to build");
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    end();
}

/* The copy is destroyed here while it is filled, and its number is another domain's soon. */
static void test_destroyed(void)
{
    uint32_t domid = 0;
    struct move m;

    begin();
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), 0);
    strcpy(fake_host_at(domid)->name, "db1");
    strcpy(fake_host_at(domid)->uuid, OTHER_UUID);
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_PONG), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "is gone"));
    kill(fake_host->xl_pid, SIGKILL); /* which would destroy it by its number */
    ends(&m, 1, "is gone");
    CU_ASSERT_PTR_NOT_NULL(fake_host_find("db1"));
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    end();
}

/* --- two moves --- */

static void test_two_moves(void)
{
    struct move first, second;
    uint32_t domid = 0;
    char pid[40];

    begin();
    start(&first, "web1", UUID);
    CU_ASSERT(greet(&first)); /* past CHECK, and nothing is built yet */
    snprintf(pid, sizeof(pid), "receiver's pid %ld", (long)sink_of(&first));
    start(&second, "web1", OTHER_UUID);
    CU_ASSERT_FALSE(greet(&second));
    refused(&second, "name", pid);
    ends(&second, 0, "");
    start(&second, "web2", UUID);
    CU_ASSERT_FALSE(greet(&second));
    refused(&second, "uuid", pid);
    ends(&second, 0, "");
    start(&second, "web1", UUID);
    second.hello.check_only = true;
    CU_ASSERT_FALSE(greet(&second));
    refused(&second, "name", pid);
    ends(&second, 0, "");
    CU_ASSERT_EQUAL(build(&first, "web1", UUID, &domid), 0);
    CU_ASSERT_EQUAL(let_run(&first), 0);
    ends(&first, 0, "");
    CU_ASSERT(fake_host_find("web1") && fake_host_find("web1")->domid == domid);

    /* The first has ended; whether its domain is in the way is another question (check_peer.c). */
    start(&second, "web1", UUID);
    CU_ASSERT(greet(&second));
    ends(&second, 1, "");
    end();
}

/* Another move of this host, known by its own xl's domain. */
static void test_dies_in_check(void)
{
    uint32_t other;
    struct move m;

    begin();
    other = fake_host_add(COPY, UUID);
    setenv("DIE_IN_CHECK", "1", 1);
    start(&m, "web1", UUID);
    unsetenv("DIE_IN_CHECK");
    CU_ASSERT_FALSE(greet(&m));
    refused(&m, "receiver", "the receiving process died");
    ends(&m, 1, "the receiving process died");
    CU_ASSERT_PTR_NOT_NULL(fake_host_at(other));
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    end_of(true);
}

static bool xl_has_started(void)
{
    return fake_host->xl_pid && fake_host_find(COPY);
}

static bool copy_is_gone(void)
{
    return !fake_host_find(COPY);
}

/* The sink is killed, and another move of this name waits for nothing else: it is refused until
 * the guard has cleaned up, and what it builds then is not touched any more. */
static void test_killed_with_another(void)
{
    struct move first, second;
    uint32_t domid = 0;

    begin();
    fake_host->xl = XL_HANGS;
    start(&first, "web1", UUID);
    CU_ASSERT(greet(&first));
    CU_ASSERT_EQUAL(build(&first, "web1", UUID, &domid), 0);
    kill(sink_of(&first), SIGKILL);
    CU_ASSERT_EQUAL(hear(&first, XF_MSG_PONG), -1);
    start(&second, "web1", UUID);
    CU_ASSERT_FALSE(greet(&second));
    refused(&second, "name", "wait until it has ended");
    ends(&second, 0, "");
    CU_ASSERT(fake_host_find(COPY) && fake_host_find(COPY)->domid == domid);
    kill(fake_host->xl_pid, SIGKILL); /* so the guard has to */
    ends(&first, 1, "the receiving process died");
    CU_ASSERT_PTR_NULL(fake_host_find(COPY));
    CU_ASSERT_EQUAL(fake_host->destroyed, 1);

    fake_host->xl = XL_BUILDS;
    start(&second, "web1", UUID);
    CU_ASSERT(greet(&second));
    CU_ASSERT_EQUAL(build(&second, "web1", UUID, &domid), 0);
    CU_ASSERT_EQUAL(let_run(&second), 0);
    ends(&second, 0, "");
    CU_ASSERT_EQUAL(fake_host->destroyed, 1);
    end_of(true);
}

/* Killed while xl makes the domain, when its number is not known: xl cleans up, or nobody does. */
static void test_killed_early(void)
{
    for (int hangs = 0; hangs < 2; hangs++) {
        uint32_t domid;
        struct move m;
        pid_t builder;

        begin();
        fake_host->xl = XL_DEAF;
        start(&m, "web1", UUID);
        CU_ASSERT(greet(&m));
        builder = fork();
        if (!builder)
            _exit(build(&m, "web1", UUID, &domid) == -1 ? 0 : 1);
        CU_ASSERT(in_time(xl_has_started));
        kill(sink_of(&m), SIGKILL);
        waitpid(builder, NULL, 0);
        if (hangs) {
            kill(fake_host->xl_pid, SIGKILL);
            ends(&m, 1, "it was left alone");
            CU_ASSERT_PTR_NOT_NULL(fake_host_find(COPY));
        } else {
            fake_host->xl = XL_BUILDS; /* it goes on, to the end of its input */
            CU_ASSERT(in_time(copy_is_gone));
            ends(&m, 1, "the receiving process died");
        }
        CU_ASSERT_EQUAL(fake_host->destroyed, 0);
        end_of(true);
    }
}

/* --- what it cannot do --- */

static void test_no_xen(void)
{
    struct move m;

    begin();
    fake_host->no_xen = true;
    start(&m, "web1", UUID);
    CU_ASSERT_FALSE(greet(&m));
    refused(&m, "receiver", "the destination cannot receive: cannot talk to Xen");
    ends(&m, 1, "cannot talk to Xen");
    end();
}

static void test_no_fork(void)
{
    struct move m;

    begin();
    setenv("NO_FORK", "1", 1);
    start(&m, "web1", UUID);
    unsetenv("NO_FORK");
    CU_ASSERT_FALSE(greet(&m));
    refused(&m, "receiver", "the destination cannot receive: cannot start the sink");
    ends(&m, 1, "cannot start the sink");
    end();
}

static void test_bad_uuid(void)
{
    struct move m;

    begin();
    start(&m, "web1", "not one");
    CU_ASSERT_FALSE(greet(&m));
    refused(&m, "receiver", "invalid uuid");
    ends(&m, 1, "invalid uuid");
    end();
}

static int listen_on(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (!bind(fd, (struct sockaddr *)&a, sizeof(a)) && !listen(fd, 1))
        return fd;
    close(fd);
    return -1;
}

/* The first of two ports that nobody has. */
static uint16_t free_ports(void)
{
    for (unsigned port = 20000; port < 60000; port++) {
        int a = listen_on(port), b = listen_on(port + 1);

        close(a);
        close(b);
        if (a >= 0 && b >= 0)
            return (uint16_t)port;
    }
    return 0;
}

static void test_ports(void)
{
    struct move m[3];
    uint32_t domid;
    int stranger;

    begin();
    opts.port = free_ports();
    opts.port_last = (uint16_t)(opts.port + 1);
    start(&m[0], "web1", UUID);
    CU_ASSERT(greet(&m[0]));
    CU_ASSERT_EQUAL(m[0].reply.port, opts.port);
    stranger = listen_on(opts.port_last); /* after the fork: it has no copy */
    start(&m[1], "web2", OTHER_UUID);
    CU_ASSERT_FALSE(greet(&m[1])); /* the other port is no move's, and taken all the same */
    refused(&m[1], "receiver", "all its ports from ");
    ends(&m[1], 1, "widen the range");
    close(stranger);
    start(&m[1], "web2", OTHER_UUID);
    CU_ASSERT(greet(&m[1]));
    CU_ASSERT_EQUAL(m[1].reply.port, opts.port_last);

    /* It is the first one's for its whole move, not only while it listens. */
    CU_ASSERT_EQUAL(build(&m[0], "web1", UUID, &domid), 0);
    start(&m[2], "web3", "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a13");
    CU_ASSERT_FALSE(greet(&m[2]));
    refused(&m[2], "receiver", "all its ports from ");
    ends(&m[2], 1, "widen the range");
    CU_ASSERT_EQUAL(let_run(&m[0]), 0);
    ends(&m[0], 0, "");
    start(&m[2], "web3", "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a13");
    CU_ASSERT(greet(&m[2]));
    CU_ASSERT_EQUAL(m[2].reply.port, opts.port);
    ends(&m[2], 1, "");
    ends(&m[1], 1, "");

    /* One port, and what to do about it. */
    opts.port_last = 0;
    start(&m[0], "web4", UUID);
    CU_ASSERT(greet(&m[0]));
    start(&m[1], "web2", OTHER_UUID);
    CU_ASSERT_FALSE(greet(&m[1]));
    refused(&m[1], "receiver", "give a range as <port>");
    ends(&m[1], 1, "is in use (another incoming move uses port");
    ends(&m[0], 1, "");
    end();
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"a move", test_moves},
        {"sources of other versions", test_versions},
        {"a move that is given up", test_given_up},
        {"another domain's configuration", test_other_config},
        {"a kind of guest that cannot be received", test_other_kind},
        {"no unpause", test_no_unpause},
        {"a domain of its name came since CHECK", test_came_since},
        {"... and just before xl made one", test_too_late},
        {"another domain was built", test_other_built},
        {"the copy is destroyed", test_destroyed},
        {"two moves", test_two_moves},
        {"the sink dies in CHECK", test_dies_in_check},
        {"the sink is killed, another move waits", test_killed_with_another},
        {"the sink is killed while xl makes the domain", test_killed_early},
        {"no Xen", test_no_xen},
        {"no fork", test_no_fork},
        {"no uuid", test_bad_uuid},
        {"a range of ports", test_ports},
        CU_TEST_INFO_NULL,
    };
    char cmd[100];
    int rc;

    fake_host_play_xl(argc, argv);
    if (!mkdtemp(top))
        return 2;
    setenv(XF_RUN_DIR_ENV, top, 1);
    signal(SIGPIPE, SIG_IGN);
    alarm(150);
    rc = run_suite("receiver", tests);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
    return system(cmd) ? 2 : rc;
}
