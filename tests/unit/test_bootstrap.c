/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bootstrap pipe against receivers that are shell commands, and the builder against
 * an xl that is a shell script: those that answer, and those that answer wrongly, late,
 * or not at all.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/sink/builder.h"
#include "tests/unit/hello_seeds.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define BANNER "printf 'xl migration receiver ready, send binary domain data.\\n'; "

static struct xf_pipe p;
static struct xf_err err;
static volatile sig_atomic_t cancelled;

static void spawn(const char *rune)
{
    xf_clear(&err);
    CU_ASSERT_EQUAL_FATAL(xf_pipe_spawn(&p, rune, &err), 0);
}

static int banner(const char *rune, int timeout_ms)
{
    int rc;

    spawn(rune);
    rc = xf_pipe_await_banner(&p, timeout_ms, &cancelled, &err);
    return rc;
}

static void closed(void)
{
    pid_t pid = p.child;

    xf_pipe_close(&p, 100);
    CU_ASSERT_EQUAL(p.child, 0);
    CU_ASSERT(kill(pid, 0) && errno == ESRCH); /* reaped */
    xf_pipe_close(&p, 100);
}

static void test_banner(void)
{
    static const char *const good[] = {
        BANNER,
        "echo Welcome to this host, x, xl, xl migration receiver not; " BANNER,
        "head -c 60000 /dev/zero; " BANNER,
        "printf 'xl migration rec'; sleep 0.2; printf 'eiver ready, send binary domain data.\\n'",
        "printf x; " BANNER,
    };
    char rest[8] = "";

    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CU_ASSERT_EQUAL(banner(good[i], 10000), 0);
        closed();
    }
    /* what comes behind it is left in the pipe */
    CU_ASSERT_EQUAL(banner(BANNER "printf rest", 10000), 0);
    CU_ASSERT_EQUAL(read(p.in, rest, 7), 4);
    CU_ASSERT_STRING_EQUAL(rest, "rest");
    closed();
}

static void test_no_banner(void)
{
    double began = xf_now();

    CU_ASSERT_EQUAL(banner("echo no xl; exit 127", 10000), -1);
    CU_ASSERT_EQUAL(err.num, ECONNRESET);
    closed();
    CU_ASSERT_EQUAL(banner("exec head -c 70000 /dev/zero", 10000), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "the receiver sent other text instead of its banner");
    closed();
    CU_ASSERT(xf_now() - began < 5);

    began = xf_now();
    CU_ASSERT_EQUAL(banner("exec sleep 60", 300), -1);
    CU_ASSERT_EQUAL(err.num, ETIMEDOUT);
    closed(); /* and SIGTERM ends it */
    CU_ASSERT_EQUAL(banner("while :; do echo noise; sleep 0.05; done", 300), -1);
    CU_ASSERT_EQUAL(err.num, ETIMEDOUT);
    closed();
    CU_ASSERT(xf_now() - began < 5);
}

static void test_cancel(void)
{
    double began = xf_now();

    cancelled = 1;
    CU_ASSERT_EQUAL(banner("exec sleep 60", 30000), -1);
    CU_ASSERT_EQUAL(err.num, ECANCELED);
    closed();
    spawn("exec sleep 60");
    CU_ASSERT_EQUAL(xf_reply_receive(&p, &(struct xf_reply){0}, 30000, &cancelled, &err), -1);
    CU_ASSERT_EQUAL(err.num, ECANCELED);
    closed();
    cancelled = 0;
    CU_ASSERT(xf_now() - began < 5);
}

/* One that ignores SIGTERM is killed. */
static void test_stubborn(void)
{
    CU_ASSERT_EQUAL(banner("trap '' TERM; " BANNER "while :; do sleep 1; done", 10000), 0);
    closed();
}

static void test_dead(void)
{
    bool dead;

    spawn("exec sleep 60");
    CU_ASSERT_FALSE(xf_pipe_dead(&p));
    kill(p.child, SIGKILL);
    for (int i = 0; i < 500 && !(dead = xf_pipe_dead(&p)); i++)
        usleep(10000);
    CU_ASSERT(dead);
    closed();
}

/* --- hello and reply --- */

static struct xf_hello hello_of(char *cpuid)
{
    struct xf_hello h = {.domain = "web1", .channels = 2, .cpuid = cpuid, .cpuid_len = 3};

    h.msrs = cpuid;
    return h;
}

static void test_hello(void)
{
    char cpuid[] = "abc";
    struct xf_hello h = hello_of(cpuid), got;
    struct xf_pipe back;
    int fds[2];

    CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
    back = (struct xf_pipe){.in = fds[0], .out = fds[1]};
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_hello_send(&back, &h, &err), 0);
    CU_ASSERT_EQUAL_FATAL(xf_hello_receive(&back, &got, 1000, &err), 0);
    CU_ASSERT_STRING_EQUAL(got.domain, "web1");
    CU_ASSERT_EQUAL(memcmp(got.cpuid, "abc", 3), 0);
    xf_hello_free(&got);
    /* nothing more, and then garbage instead of the preamble */
    CU_ASSERT_EQUAL(xf_hello_receive(&back, &got, 200, &err), -1);
    CU_ASSERT_EQUAL(err.num, ETIMEDOUT);
    xf_clear(&err);
    CU_ASSERT_EQUAL(
        write(fds[1], "Xen saved domain, xl format\n \0 \r................................", 64),
        64);
    CU_ASSERT_EQUAL(xf_hello_receive(&back, &got, 1000, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "the source does not speak this protocol");
    xf_pipe_close(&back, 0);
}

static int reply(const char *rune, struct xf_reply *r)
{
    int rc;

    spawn(rune);
    rc = xf_reply_receive(&p, r, 1000, NULL, &err);
    closed();
    return rc;
}

static void test_reply(void)
{
    static struct xf_reply r;
    char rune[1000];

    snprintf(rune, sizeof(rune), "printf '\\%03o\\%03o\\0\\0%s'",
             (unsigned)strlen(SEED_REPLY) & 255, (unsigned)strlen(SEED_REPLY) >> 8, "%s");
    snprintf(rune + strlen(rune), sizeof(rune) - strlen(rune), " '%s'", SEED_REPLY);
    CU_ASSERT_EQUAL(reply(rune, &r), 0);
    CU_ASSERT_EQUAL(r.port, 40000);

    CU_ASSERT_EQUAL(reply("printf '\\0\\0\\0\\0'", &r), -1); /* no length */
    CU_ASSERT_EQUAL(err.num, EPROTO);
    CU_ASSERT_EQUAL(reply("printf '\\1\\0\\004\\0'", &r), -1); /* one more than the limit */
    CU_ASSERT_EQUAL(err.num, EPROTO);
    CU_ASSERT_EQUAL(reply("printf '\\377\\377\\377\\377'", &r), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "the peer announced a message of an invalid length (4294967295 bytes)");
    CU_ASSERT_EQUAL(reply("printf '\\4\\0\\0\\0nul'", &r), -1); /* cut off */
    CU_ASSERT_EQUAL(err.num, ECONNRESET);
    CU_ASSERT_EQUAL(reply("printf '\\4\\0\\0\\0'; exec sleep 60", &r), -1);
    CU_ASSERT_EQUAL(err.num, ETIMEDOUT);
    CU_ASSERT_EQUAL(reply("printf '\\4\\0\\0\\0nope'", &r), -1);
    CU_ASSERT_EQUAL(err.num, EPROTO);
}

/* --- the builder --- */

static char xl[] = "/tmp/xf-fake-xl-XXXXXX";
static struct xf_builder b;
static size_t rest; /* of the stream: held back */

/* As the sink does it: XF_AGAIN when it has not built after timeout_ms. */
static int step(const void *stream, size_t len, int timeout_ms)
{
    double until = xf_now() + timeout_ms / 1000.0;
    int rc;

    xf_builder_feed(&b, stream, len, rest);
    do {
        rc = xf_builder_step(&b, 50, &err);
        if (xf_builder_restores(&b))
            xf_builder_feed_rest(&b);
    } while (rc == XF_AGAIN && xf_now() < until);
    if (!rc)
        CU_ASSERT_EQUAL(xf_builder_step(&b, 50, &err), 0);
    return rc;
}

/* Build with an xl that runs `script` (its stdin is the stream, of a megabyte). */
static int build(const char *script, int timeout_ms)
{
    static uint8_t stream[1 << 20];
    struct xf_builder_fds fds;
    FILE *f = fopen(xl, "w");

    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    chmod(xl, 0700);
    xf_clear(&err);
    memset(stream, 'd', sizeof(stream));
    b = (struct xf_builder){.in = -1, .out = -1, .said = -1};
    CU_ASSERT_EQUAL_FATAL(xf_builder_pipes(&fds, &err), 0);
    CU_ASSERT_EQUAL_FATAL(xf_builder_start(&b, &fds, xl, " -e  --x", &err), 0);
    return step(stream, sizeof(stream), timeout_ms);
}

/* There is no domain. (tests/unit/test_incoming.c has some.) */
int libxl_name_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    (void)ctx;
    (void)name;
    (void)domid;
    return ERROR_INVAL;
}

static void undone(void)
{
    const struct xf_incoming copy = {.name = "web1--incoming"};
    pid_t pid = b.pid;

    CU_ASSERT_EQUAL(xf_builder_undo(&b, &copy, NULL, NULL, &err), 0);
    CU_ASSERT_EQUAL(b.pid, 0);
    CU_ASSERT(kill(pid, 0) && errno == ESRCH);
    CU_ASSERT(b.in == -1 && b.out == -1 && b.said == -1);
}

#define READY "printf 'domain received, ready to unpause\\0'; "
#define TAKE "n=$(head -c 1048576 | wc -c); [ \"$n\" = 1048576 ] || exit 9; "

static void test_builder(void)
{
    /* It is asked for what it must be asked for, takes it all, and ends when its input does. */
    CU_ASSERT_EQUAL(build("[ \"$*\" = 'migrate-receive -p -e --x' ] || exit 3; " BANNER TAKE READY
                          "read x; exit 0",
                          20000),
                    0);
    undone();
    /* Noise between the words, and words in pieces */
    CU_ASSERT_EQUAL(build("echo domain; " BANNER TAKE
                          "printf 'do domain received, ready'; sleep 0.1; "
                          "printf ' to unpause\\0'; read x",
                          20000),
                    0);
    undone();
}

/* What is held back comes once the rest was read, and not before: xl has made the domain by then.
 * Of one that has ended, or that does not read, that is never said. */
static void test_builder_rest(void)
{
    static uint8_t stream[1 << 20];
    double until;

    rest = 16;
    CU_ASSERT_EQUAL(build(BANNER
                          "sleep 0.3; n=$(head -c 1048560 | wc -c); [ $n = 1048560 ] || exit 9;"
                          "n=$(head -c 16 | wc -c); [ $n = 16 ] || exit 9;" READY "read x",
                          20000),
                    0);
    undone();
    CU_ASSERT_EQUAL(build(BANNER "head -c 1048570 >/dev/null;" READY "read x", 20000), 0);
    CU_ASSERT_EQUAL(b.rest, 0);
    undone();

    rest = 0;
    CU_ASSERT_EQUAL(build(BANNER "head -c 1000 >/dev/null; exec sleep 60", 500), XF_AGAIN);
    CU_ASSERT_FALSE(xf_builder_restores(&b));
    kill(b.pid, SIGKILL);
    undone();

    /* It takes a little into its socket's buffer, and ends without having read it. */
    CU_ASSERT_EQUAL(build(BANNER "exec sleep 60", 100), XF_AGAIN);
    xf_builder_feed(&b, stream, 16, 0);
    until = xf_now() + 10;
    while (b.left && xf_now() < until)
        xf_builder_step(&b, 10, NULL);
    kill(b.pid, SIGKILL);
    while (xf_now() < until && xf_builder_step(&b, 10, &err) == XF_AGAIN)
        CU_ASSERT_FALSE(xf_builder_restores(&b));
    CU_ASSERT_FALSE(xf_builder_restores(&b));
    undone();
}

static void test_builder_dismiss(void)
{
    CU_ASSERT_EQUAL(build(BANNER TAKE READY "trap '' TERM; read x; sleep 60", 20000), 0);
    xf_builder_dismiss(&b);
    undone();
}

static void test_builder_fails(void)
{
    double began = xf_now();

    CU_ASSERT_EQUAL(build("echo all is well >&2; echo 'libxl: error: no such bridge xenbr7' >&2; "
                          "echo migration target: giving up >&2; exit 1",
                          20000),
                    -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no such bridge xenbr7"));
    undone();
    CU_ASSERT_EQUAL(build(BANNER TAKE "echo out of cheese >&2; exit 1", 20000), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "out of cheese"));
    undone();
    CU_ASSERT_EQUAL(build(BANNER "head -c 1000 >/dev/null; kill -9 $$", 20000), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "it gave no reason"));
    undone();
    CU_ASSERT(xf_now() - began < 10);
}

static void test_builder_silent(void)
{
    double began = xf_now();

    CU_ASSERT_EQUAL(build(BANNER "cat >/dev/null", 500), XF_AGAIN);
    undone();
    CU_ASSERT_EQUAL(build("cat >/dev/null", 500), XF_AGAIN);
    undone();
    CU_ASSERT(xf_now() - began < 10);
}

static void test_builder_missing(void)
{
    struct xf_builder_fds fds;

    xf_clear(&err);
    b = (struct xf_builder){.in = -1, .out = -1, .said = -1};
    CU_ASSERT_EQUAL_FATAL(xf_builder_pipes(&fds, &err), 0);
    CU_ASSERT_EQUAL_FATAL(xf_builder_start(&b, &fds, "/nonexistent/xl", NULL, &err), 0);
    CU_ASSERT_EQUAL(step("x", 1, 5000), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot run /nonexistent/xl"));
    undone();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"banner", test_banner},
        {"no banner", test_no_banner},
        {"cancel", test_cancel},
        {"stubborn", test_stubborn},
        {"dead", test_dead},
        {"hello", test_hello},
        {"reply", test_reply},
        {"builder", test_builder},
        {"builder, the end held back", test_builder_rest},
        {"builder, dismissed", test_builder_dismiss},
        {"builder, fails", test_builder_fails},
        {"builder, silent", test_builder_silent},
        {"builder, missing", test_builder_missing},
        CU_TEST_INFO_NULL,
    };
    int fd = mkstemp(xl), rc;

    if (fd < 0)
        return 2;
    close(fd);
    signal(SIGPIPE, SIG_IGN);
    alarm(390);
    rc = run_suite("bootstrap", tests);
    unlink(xl);
    return rc;
}
