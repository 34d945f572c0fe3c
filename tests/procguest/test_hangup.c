/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The terminal of `xl migrate` dies, or the operator loses patience. The source's engine is a job
 * of a shell on a terminal of its own (a pty), with the front end's signals and output
 * (tools/show.c) around it. As interactive shells do, this one passes a hangup on to its job, and
 * its own end makes the kernel send another one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/source/interrupt.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/status.h"
#include "tests/procguest/eventually.h"
#include "tests/procguest/move.h"
#include "tests/procguest/uffd.h"
#include "tests/unit/suite.h"
#include "tools/show.h"
#include "transport/clock.h"

#define GFNS 8192u /* 32 MiB */
#define SOON_NS 60000000000ull

static struct pg_move *m;
static pid_t emulator;
static int keys[2]; /* to it: typed keys */

/* Results from the other processes; shared. */
static struct {
    char terminal[64];
    _Atomic bool open;
    _Atomic size_t len; /* of the terminal's output */
    char shown[65536];
    _Atomic bool stopped; /* it accepts no output */
    _Atomic pid_t job;
    _Atomic int hangups, notes;
    _Atomic bool own_session, no_terminal, no_output;
} * seen;

/* --- the terminal --- */

/* Its emulator: no other process has the pty's other end, so its death is the terminal's. */
static void be_emulator(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct pollfd fds[2] = {{.fd = master}, {.fd = keys[0], .events = POLLIN}};
    char c;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (master < 0 || grantpt(master) || unlockpt(master) ||
        ptsname_r(master, seen->terminal, sizeof(seen->terminal)))
        _exit(1);
    seen->open = true;
    for (;;) {
        ssize_t n;

        fds[0].events = seen->stopped ? 0 : POLLIN;
        poll(fds, 2, 10);
        if ((fds[1].revents & POLLIN) && read(keys[0], &c, 1) == 1 && write(master, &c, 1) < 0)
            _exit(1);
        if (!(fds[0].revents & POLLIN))
            continue;
        if (seen->len > sizeof(seen->shown) / 2)
            seen->len = 0;
        n = read(master, seen->shown + seen->len, sizeof(seen->shown) - 1 - seen->len);
        seen->len += n > 0 ? (size_t)n : 0;
    }
}

static void press(char key)
{
    CU_ASSERT_EQUAL(write(keys[1], &key, 1), 1);
}

static void close_terminal(void)
{
    if (emulator > 0) {
        kill(emulator, SIGKILL);
        waitpid(emulator, NULL, 0);
    }
    emulator = 0;
}

/* --- the job --- */

static struct show show;
static struct xf_watch watch;
static struct xf_report report = {.domain = "g1", .host = "host2", .downtime_s = -1};
static const volatile sig_atomic_t *cancel;
static int told;

static void look_around(void)
{
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct stat null, out, errs;

    seen->own_session = getsid(0) == getpid();
    seen->no_terminal = tty < 0;
    if (tty >= 0)
        close(tty);
    seen->no_output = !stat("/dev/null", &null) && !fstat(1, &out) && !fstat(2, &errs) &&
                      out.st_rdev == null.st_rdev && errs.st_rdev == null.st_rdev;
}

/* As xf_move()'s ticks do. */
static int job_tick(struct pg_move *mm, const struct xf_server_status *status, struct xf_err *err)
{
    struct xf_progress p = {.phase = mm->pulling ? XF_PHASE_PULL : XF_PHASE_COPY,
                            .predicted_down_s = -1,
                            .eta_s = -1,
                            .left_out = mm->source.left_out,
                            .missing = status->pulled.missing};

    report.left_out = mm->source.left_out;
    watch.progress(watch.priv, &p);
    if (show.background && show.background->detached)
        look_around();
    if (!mm->pulling)
        return *cancel ? xf_fail(err, ECANCELED, "interrupted") : 0;
    switch (xf_interrupt(cancel, &told)) {
    case XF_INTERRUPT_NONE:
        break;
    case XF_INTERRUPT_TELL:
        seen->notes++;
        watch.note(watch.priv, "interrupt again");
        break;
    case XF_INTERRUPT_LEAVE:
        return xf_fail(err, ECANCELED, "interrupted while pages were missing");
    }
    return 0;
}

static void be_job(void (*engine)(struct pg_move *m))
{
    setpgid(0, 0);
    show_init(&show, "migrate", false, false, true);
    show.domain = report.domain;
    show.report = &report;
    watch = show_watch(&show);
    cancel = show_catch_signals();
    engine(m);
    report.outcome = m->source.pull == XF_PULL_DONE && m->source.pulled ? XF_MOVED
                     : m->source.pulled                                 ? XF_PULLING
                                                                        : XF_STAYED;
    show_end(&show, &report, &m->source.err);
    exit(0);
}

/* The shell, and leader of the terminal's session. */
static void be_shell(struct pg_move *mm, void (*engine)(struct pg_move *m))
{
    sigset_t set;
    int tty, sig, status;
    pid_t job;

    (void)mm;
    setsid();
    tty = open(seen->terminal, O_RDWR);
    if (tty < 0 || ioctl(tty, TIOCSCTTY, 0))
        exit(3);
    for (int fd = 0; fd < 3; fd++)
        dup2(tty, fd);
    signal(SIGTTOU, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    job = fork();
    if (!job) {
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        signal(SIGTTOU, SIG_DFL);
        be_job(engine);
    }
    setpgid(job, job);
    tcsetpgrp(tty, job);
    seen->job = job;
    while (!sigwait(&set, &sig) && sig != SIGHUP)
        if (waitpid(job, &status, WNOHANG) == job)
            exit(WIFEXITED(status) ? WEXITSTATUS(status) : 4);
    kill(-job, SIGHUP);
    seen->hangups++;
    _exit(0); /* and the kernel sends the next one */
}

/* --- the test --- */

static void open_move(enum xf_mode mode)
{
    memset(seen, 0, sizeof(*seen));
    emulator = fork();
    if (!emulator)
        be_emulator();
    CU_ASSERT_FATAL(EVENTUALLY(seen->open));
    m = pg_move_new(GFNS, 2);
    m->opts.mode = mode;
    m->opts.relayed = true;
    m->opts.relay_rate = 20u << 20;                  /* so that there is time to fail in, */
    m->opts.compress = (struct xf_compress_opts){0}; /* and as many bytes as memory */
    m->opts.around = be_shell;
    m->opts.source_tick = job_tick;
    m->src->vcpus[0].work = PG_RANDOM;
    m->src->vcpus[1].work = PG_SEQ;
    m->src->vcpus[1].rate = 5000;
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(seen->job));
}

static bool is_under_way(void)
{
    return m->relay->bytes > (uint64_t)GFNS * XF_PAGE_SIZE / 4;
}

static void arrived(void)
{
    CU_ASSERT(EVENTUALLY(m->source.done && m->sink.done));
    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.pull, XF_PULL_DONE);
    CU_ASSERT_EQUAL(m->sink.pull, XF_PULL_DONE);
    if (m->source.err.num)
        fprintf(stderr, "source: %s\n", m->source.err.text);
    CU_ASSERT_EQUAL(m->sink.status.missing, 0);
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
}

/* The end that the job has recorded; removed. */
static bool left_end(enum xf_outcome outcome)
{
    struct xf_status_list all;
    char command[200];
    bool found = false;
    uint64_t end = xf_now_ns() + SOON_NS;

    while (!found && xf_now_ns() < end) {
        xf_statuses(&all, NULL);
        for (unsigned i = 0; i < all.nr_ended; i++)
            found |= all.ended[i].outcome == outcome && all.ended[i].pid == seen->job &&
                     !strcmp(all.ended[i].domain, "g1");
        xf_statuses_free(&all);
        pg_nap();
    }
    snprintf(command, sizeof(command), "rm -f '%s'/ended-*", xf_run_dir());
    return !system(command) && found;
}

/* The window is closed in PULL: both hangups arrive, and the guest still gets its pages. */
static void test_in_pull(void)
{
    open_move(XF_MODE_POSTCOPY);
    CU_ASSERT(EVENTUALLY(m->pulling && is_under_way()));
    close_terminal();
    arrived();
    CU_ASSERT_EQUAL(seen->hangups, 1);
    CU_ASSERT(seen->own_session);
    CU_ASSERT(seen->no_terminal);
    CU_ASSERT(seen->no_output);
    CU_ASSERT_EQUAL(seen->notes, 0); /* no request was made */
    CU_ASSERT(left_end(XF_MOVED));
    pg_move_free(m);
}

/* The shell dies, the terminal lives on; and the signal arrives again and again. */
static void test_again_and_again(void)
{
    open_move(XF_MODE_POSTCOPY);
    CU_ASSERT(EVENTUALLY(m->pulling && is_under_way()));
    for (int i = 0; i < 5; i++) {
        kill(seen->job, SIGHUP);
        kill(seen->job, SIGTERM);
        kill(seen->job, SIGINT); /* from a supervisor: not a Ctrl-C at the terminal */
        pg_nap();
    }
    kill(m->source_pid, SIGHUP);
    arrived();
    CU_ASSERT(seen->own_session);
    CU_ASSERT(seen->no_terminal);
    CU_ASSERT(seen->no_output);
    CU_ASSERT_EQUAL(seen->notes, 1);
    CU_ASSERT(left_end(XF_MOVED));
    close_terminal();
    pg_move_free(m);
}

/* Before GO a hangup is a cancel, and the outcome can be read later. */
static void test_in_copy(void)
{
    open_move(XF_MODE_PRECOPY);
    CU_ASSERT(EVENTUALLY(is_under_way()));
    close_terminal();
    CU_ASSERT(EVENTUALLY(m->source.done && m->sink.done));
    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.end, XF_SWITCH_BACK);
    CU_ASSERT_EQUAL(m->source.err.num, ECANCELED);
    CU_ASSERT(!m->committed && !m->source.pulled);
    CU_ASSERT(left_end(XF_STAYED));
    CU_ASSERT_EQUAL(pg_move_check(m, m->src), 0);
    pg_move_free(m);
}

/* A person at the terminal: the first Ctrl-C is answered, only one after the answer counts. */
static void test_ctrl_c(void)
{
    open_move(XF_MODE_POSTCOPY);
    CU_ASSERT(EVENTUALLY(m->pulling && is_under_way()));
    press('C' & 31);
    CU_ASSERT(EVENTUALLY(seen->notes == 1));
    CU_ASSERT_FALSE(m->source.done);
    kill(seen->job, SIGTERM);
    kill(seen->job, SIGINT);
    for (int i = 0; i < 100; i++)
        pg_nap();
    CU_ASSERT_FALSE(m->source.done);
    CU_ASSERT_PTR_NOT_NULL(memmem(seen->shown, seen->len, "interrupt again", 15));
    press('C' & 31);
    CU_ASSERT(EVENTUALLY(m->source.done));
    CU_ASSERT_EQUAL(m->source.pull, XF_PULL_FAILED);
    CU_ASSERT_EQUAL(m->source.err.num, ECANCELED);
    m->give_up = true; /* the sink would wait for ever */
    CU_ASSERT(pg_move_wait(m));
    close_terminal();
    pg_move_free(m);
}

/* A terminal that accepts no output (Ctrl-S) does not delay the pages. */
static void test_stopped_terminal(void)
{
    open_move(XF_MODE_POSTCOPY);
    seen->stopped = true;
    press('S' & 31);
    CU_ASSERT(EVENTUALLY(m->source.done && m->sink.done));
    CU_ASSERT_EQUAL(m->source.pull, XF_PULL_DONE);
    press('Q' & 31);
    seen->stopped = false;
    arrived();
    close_terminal();
    pg_move_free(m);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the terminal dies in PULL", test_in_pull},
        {"the shell does, and signals keep coming", test_again_and_again},
        {"the terminal dies in COPY", test_in_copy},
        {"Ctrl-C, and Ctrl-C again", test_ctrl_c},
        {"a terminal that takes nothing", test_stopped_terminal},
        CU_TEST_INFO_NULL,
    };
    char dir[] = "/tmp/xf-hangup-XXXXXX";
    int rc = uffd_skip();

    if (rc)
        return rc;
    seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED || pipe2(keys, O_CLOEXEC) || !mkdtemp(dir) ||
        setenv(XF_RUN_DIR_ENV, dir, 1))
        return 2;
    rc = run_suite("process guest, its terminal dies", tests);
    rmdir(dir);
    return rc;
}
