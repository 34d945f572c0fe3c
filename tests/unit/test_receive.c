/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-receive` for a source of ours: greeted once, handed to xf_receive() with all
 * its bytes and what the configuration says. (A stock source: tests/front/receive.sh.)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/host/config.h"
#include "libxl-ext/libxl_ext.h"
#include "tests/unit/fake_log.h"
#include "tests/unit/suite.h"
#include "tools/front.h"
#include "transport/version.h"

#define REST "and the rest"

/* Plays the receiver: tells the source what it was given, then fails when it reads "fail". */
int xf_receive(const struct xf_receive_opts *o, struct xf_err *err)
{
    char got[100] = "", port[20];
    size_t n = 0, want = sizeof(XF_PREAMBLE REST) - 1;

    while (n < want) {
        ssize_t r = read(o->in_fd, got + n, want - n);
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    if (o->port_last)
        snprintf(port, sizeof(port), "%u-%u", o->port, o->port_last);
    else
        snprintf(port, sizeof(port), "%u", o->port);
    dprintf(o->out_fd, "%s|%s|%s|%d|%u|%s|%s", strcmp(got, XF_PREAMBLE REST) ? "wrong" : "right",
            o->real_xl, o->xl_args ? o->xl_args : "", o->leave_paused, o->nr_addresses,
            o->nr_addresses ? o->addresses[o->nr_addresses - 1] : "", port);
    return getenv("PLAY_FAILURE") ? xf_fail(err, EIO, "memory did not arrive") + 8 : 0;
}

static char answer[1000], errs[1000];

static size_t drain(int fd, char *buf, size_t size)
{
    size_t n = 0;
    ssize_t r;

    while (n < size - 1 && (r = read(fd, buf + n, size - 1 - n)) > 0)
        n += (size_t)r;
    buf[n] = '\0';
    return n;
}

/* Start "xl WORDS" between a source and a pipe for what it says. */
static pid_t start(const char *words, const int source[2], const int err[2])
{
    pid_t pid = fork();

    if (!pid) {
        struct words w;
        struct front f;
        int status;

        split_words(&w, "xl", words);
        dup2(source[1], STDIN_FILENO);
        dup2(source[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        close(source[0]);
        close(source[1]);
        front_parse(w.argc, w.argv, &f);
        status = cmd_migrate_receive(&f);
        fflush(NULL);
        _exit(status);
    }
    close(source[1]);
    close(err[1]);
    return pid;
}

/* Run "xl WORDS" with a source that sends our preamble; returns the exit status. */
static int run(const char *words)
{
    int source[2], err[2], status;
    pid_t pid;

    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, source), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(err), 0);
    pid = start(words, source, err);
    CU_ASSERT_EQUAL(write(source[0], XF_PREAMBLE REST, sizeof(XF_PREAMBLE REST) - 1),
                    (ssize_t)sizeof(XF_PREAMBLE REST) - 1);
    drain(source[0], answer, sizeof(answer));
    drain(err[0], errs, sizeof(errs));
    close(source[0]);
    close(err[0]);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_plain(void)
{
    setenv(XF_CONFIG_ENV, "/nonexistent/xenferry.xml", 1);
    CU_ASSERT_EQUAL(run("migrate-receive"), 0);
    CU_ASSERT_STRING_EQUAL(answer, XF_XL_BANNER "right|/bin/true||0|0||0");
    CU_ASSERT_STRING_EQUAL(errs, "");
    CU_ASSERT_EQUAL(run("-v -t migrate-receive -e -p"), 0);
    CU_ASSERT_STRING_EQUAL(answer, XF_XL_BANNER "right|/bin/true|-e|1|0||0");
}

static void test_configured(void)
{
    char path[] = "/tmp/xf-receive-XXXXXX";
    int fd = mkstemp(path);

    dprintf(fd, "<xenferry><receive><address>10.0.0.1</address><address>fd00::2</address>"
                "<port>4711</port></receive></xenferry>");
    setenv(XF_CONFIG_ENV, path, 1);
    CU_ASSERT_EQUAL(run("migrate-receive"), 0);
    CU_ASSERT_STRING_EQUAL(answer, XF_XL_BANNER "right|/bin/true||0|2|fd00::2|4711");

    CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
    CU_ASSERT_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    dprintf(fd, "<xenferry><receive><port>8600-8615</port></receive></xenferry>");
    CU_ASSERT_EQUAL(run("migrate-receive"), 0);
    CU_ASSERT_STRING_EQUAL(answer, XF_XL_BANNER "right|/bin/true||0|0||8600-8615");
    close(fd);
    unlink(path);
}

/* The configuration is broken: the source hears that, as a refusal in a reply that it can read,
 * after its whole hello has been taken; and nobody else serves it. */
static void test_broken_config(void)
{
    static const struct xf_hello hello = {.domain = "web1", .channels = 1};
    struct xf_pipe p = {.in = -1, .out = -1};
    struct xf_reply *r = calloc(1, sizeof(*r));
    char path[] = "/tmp/xf-receive-XXXXXX";
    struct xf_err err = {0};
    int fd = mkstemp(path), source[2], quiet[2], status;
    pid_t pid;

    dprintf(fd, "<xenferry>\n<receive>\n<port>ssh</port></receive></xenferry>");
    setenv(XF_CONFIG_ENV, path, 1);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, source), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(quiet), 0);
    pid = start("migrate-receive", source, quiet);
    p = (struct xf_pipe){.in = source[0], .out = source[0]};
    CU_ASSERT_EQUAL(xf_pipe_await_banner(&p, 5000, NULL, &err), 0);
    CU_ASSERT_EQUAL(xf_hello_send(&p, &hello, &err), 0);
    CU_ASSERT_EQUAL(xf_reply_receive(&p, r, 5000, NULL, &err), 0);
    CU_ASSERT_EQUAL(r->nr_findings, 1);
    CU_ASSERT_EQUAL(r->findings[0].severity, XF_REFUSAL);
    CU_ASSERT_STRING_EQUAL(r->findings[0].code, "receiver");
    CU_ASSERT_PTR_NOT_NULL(strstr(r->findings[0].text, "the destination cannot receive: /tmp/"));
    CU_ASSERT_PTR_NOT_NULL(strstr(r->findings[0].text, ":3: <port> takes"));
    drain(quiet[0], errs, sizeof(errs));
    CU_ASSERT_PTR_NOT_NULL(strstr(errs, path));
    waitpid(pid, &status, 0);
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    close(source[0]);
    close(quiet[0]);
    close(fd);
    unlink(path);
    free(r);
}

/* The log says which Xenferry receives. */
static void test_log(void)
{
    char wanted[80], got[200] = "";
    int log[2];

    setenv(XF_CONFIG_ENV, "/nonexistent/xenferry.xml", 1);
    snprintf(wanted, sizeof(wanted), "migrate-receive: Xenferry %s: incoming move\n", xf_version());
    CU_ASSERT_EQUAL_FATAL(pipe(log), 0);
    fake_log_to(log[1]);
    CU_ASSERT_EQUAL(run("migrate-receive"), 0);
    fake_log_to(-1);
    close(log[1]);
    CU_ASSERT(read(log[0], got, sizeof(got) - 1) > 0);
    CU_ASSERT_STRING_EQUAL(got, wanted);
    close(log[0]);
}

static void test_failure(void)
{
    setenv(XF_CONFIG_ENV, "/nonexistent/xenferry.xml", 1);
    setenv("PLAY_FAILURE", "1", 1);
    CU_ASSERT_EQUAL(run("migrate-receive"), 7);
    CU_ASSERT_STRING_EQUAL(errs, "xl migrate-receive: memory did not arrive\n");
    unsetenv("PLAY_FAILURE");
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"plain", test_plain},
        {"configured", test_configured},
        {"broken configuration", test_broken_config},
        {"failure", test_failure},
        {"log", test_log},
        CU_TEST_INFO_NULL,
    };

    setenv("XENFERRY_REAL_XL", "/bin/true", 1);
    return run_suite("receive", tests);
}
