/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Something fails at a random moment of a random move, and the contract of docs/design.md holds:
 * the guest is in one place, whole, or the place of its remains is known.
 *
 * SEEDS=N tries N seeds (0: until stopped), SEED=N only that one. A failure prints its seed. The
 * moment is counted in bytes on the wire, so that it falls into each phase however fast the machine
 * is; the threads' timing is not repeatable.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "tests/procguest/eventually.h"
#include "tests/procguest/move.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define GFNS 1536u /* 6 MiB */
#define HARM_NS 2000000000ull
#define DEFAULT_SEEDS 60u
/* How long an engine or the line stands still: less than the 5 s after which the other end gives
 * up the link (stall_ms); in a soak, also longer. */
#define STILL_MS 2000u
#define STILL_SOAK_MS 8000u
#define RUN_DIR_BYTES "16k"

enum act {
    CUT,         /* the line breaks and recovers */
    KILL_SOURCE, /* the source's engine; another takes over if there is something to do */
    KILL_SINK,   /* the sink's engine */
    KILL_GUEST,  /* the guest at the sink */
    GIVE_UP,     /* Ctrl-C at both ends */
    HARM,        /* a piece of the data on the line is damaged, lost, doubled or late */
    FREEZE,      /* one end's engine stands still for a while */
    STALL,       /* nothing passes the line for a while */
    FULL,        /* the run directory has no room any more */
    ACTS
};

static const char *const act_names[ACTS] = {
    "cut", "kill source", "kill sink", "kill guest", "give up", "harm", "freeze", "stall", "full"};
static const char *const harm_names[PG_HARMS] = {"flip", "twice", "drop", "hold"};

static struct pg_move *m;
static uint64_t random_state;
static unsigned bad;              /* broken rules of this seed */
static unsigned ends[4];          /* moved, stayed, ended, given up: over all seeds */
static unsigned harmed[PG_HARMS]; /* how often each occurred */
static unsigned done[ACTS];
static unsigned refused; /* moves for want of a record */
static bool soak;        /* until it is stopped */
static bool may_mount;   /* a mount namespace of its own */

static uint64_t pick(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    bad++;
    fprintf(stderr, "    not so: %s\n", what);
}

#define MUST(cond) must(cond, #cond)

/* It lives at the sink, complete. */
static void lives_there(void)
{
    MUST(m->committed && m->dst->gate && pg_stopped(m->src));
    MUST(pg_move_check(m, m->dst) == 0);
    ends[0]++;
}

/* It lives at the source; if it lies suspended, the operator may let it run. */
static void lives_here(void)
{
    MUST(!m->committed && !m->dst->gate);
    if (pg_stopped(m->src))
        pg_run(m->src);
    MUST(pg_move_check(m, m->src) == 0);
    ends[1]++;
}

/* GO was received and the sink's engine goes on; the source's has ended or was killed. */
static void finish_at_sink(void)
{
    MUST(EVENTUALLY(m->sink.done || m->sink.pulled));
    if (!m->sink.done) {
        pg_move_take_over(m);
        MUST(EVENTUALLY(m->source.done && m->sink.done));
        MUST(m->source.pull == XF_PULL_DONE && m->sink.pull == XF_PULL_DONE);
    }
    lives_there();
}

/* After a cut line: both engines continue on their own. */
static void after_cut(void)
{
    MUST(EVENTUALLY(m->source.done));
    if (m->source.end == XF_SWITCH_UNKNOWN) {
        MUST(EVENTUALLY(m->sink.done || m->committed));
        if (m->committed)
            finish_at_sink();
        else
            lives_here();
        return;
    }
    MUST(m->source.end == XF_SWITCHED || m->source.end == XF_SWITCH_BACK);
    MUST(EVENTUALLY(m->sink.done));
    MUST(!m->source.pulled || m->source.pull == XF_PULL_DONE);
    MUST(!m->sink.pulled || m->sink.pull == XF_PULL_DONE);
    if (m->source.end == XF_SWITCHED)
        lives_there();
    else
        lives_here();
}

static void after_source(void)
{
    MUST(EVENTUALLY(m->sink.done || m->committed));
    if (m->committed)
        finish_at_sink();
    else
        lives_here();
}

/* With the sink's engine dead the source waits for it if the guest depends on it. */
static void after_sink(void)
{
    MUST(EVENTUALLY(m->source.done || m->lost[0]));
    m->give_up = true;
    MUST(EVENTUALLY(m->source.done));
    if (!m->committed) {
        lives_here();
        return;
    }
    MUST(pg_stopped(m->src)); /* with all its pages kept */
    MUST(m->src->bad == 0 && m->dst->bad == 0);
    ends[3]++;
}

static void after_guest(void)
{
    MUST(EVENTUALLY(m->source.done && m->sink.done));
    if (m->source.end == XF_SWITCH_BACK) {
        MUST(!m->committed);
        lives_here();
        return;
    }
    MUST(!m->source.pulled || m->source.pull == XF_PULL_ENDED || m->source.pull == XF_PULL_DONE);
    MUST(pg_stopped(m->src));
    ends[2]++;
}

static void after_give_up(void)
{
    MUST(EVENTUALLY(m->source.done && m->sink.done));
    if (!m->committed) {
        MUST(m->source.end == XF_SWITCH_BACK || m->source.end == XF_SWITCH_UNKNOWN);
        lives_here();
    } else if (!m->sink.pulled || m->sink.pull == XF_PULL_DONE) {
        lives_there();
    } else {
        MUST(m->sink.pull == XF_PULL_FAILED && pg_stopped(m->src) && pg_alive(m->dst));
        MUST(m->src->bad == 0 && m->dst->bad == 0);
        ends[3]++;
    }
}

/*
 * Bytes that TCP would never have let through. Only encryption notices all of them; a lost piece
 * may also have been the last for a while, so that there is nothing to notice, and the operator
 * gives up.
 */
static void after_harm(void)
{
    uint64_t end = xf_now_ns() + HARM_NS;

    if (m->relay->harm == PG_HARM_HOLD)
        MUST(EVENTUALLY(m->source.done));
    while (!m->source.done && xf_now_ns() < end)
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    if (!m->source.done) {
        m->give_up = true;
        MUST(EVENTUALLY(m->source.done));
    }
    if (m->source.end != XF_SWITCH_BACK && m->source.pull != XF_PULL_DONE)
        MUST(EVENTUALLY(m->sink.done || m->committed));
    if (m->give_up)
        after_give_up();
    else if (m->committed && m->source.pulled && m->source.pull != XF_PULL_DONE)
        finish_at_sink();
    else
        after_cut();
}

/* --- acts that need more than the relay --- */

static void wait_ms(uint64_t ms)
{
    nanosleep(&(struct timespec){(time_t)(ms / 1000), (long)(ms % 1000 * 1000000)}, NULL);
}

static uint64_t still_ms(void)
{
    return 200 + pick(soak && !pick(4) ? STILL_SOAK_MS : STILL_MS);
}

static void freeze(void)
{
    pid_t pid = pick(2) ? m->source_pid : m->sink_pid;
    uint64_t ms = still_ms();

    /* A zombie until it is waited for, so the pid is not reused. */
    MUST(pid > 0 && !kill(pid, SIGSTOP));
    wait_ms(ms);
    MUST(!kill(pid, SIGCONT));
}

static void stall(void)
{
    m->relay->line = PG_LINE_STALLED;
    wait_ms(still_ms());
    m->relay->line = PG_LINE_UP;
}

static void run_dir_path(char path[96], const char *name)
{
    snprintf(path, 96, "%s/%s", m->dir, name);
}

/* The directory of the record in a file system that can be full. */
static void mount_run_dir(void)
{
    MUST(!mount("xf-run", m->dir, "tmpfs", 0, "mode=0700,size=" RUN_DIR_BYTES));
}

static void fill_run_dir(void)
{
    static const char zeros[4096];
    char path[96];
    int fd;

    run_dir_path(path, "full");
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    MUST(fd >= 0);
    while (write(fd, zeros, sizeof(zeros)) > 0)
        ;
    MUST(errno == ENOSPC);
    close(fd);
}

/* Without a record a move could not be finished after GO. */
static void after_full(void)
{
    char path[96];

    after_cut();
    run_dir_path(path, "7.move");
    MUST(!m->committed || !access(path, F_OK));
    refused += !m->committed && m->source.err.num == ENOSPC;
}

static void setup(enum act act)
{
    m = pg_move_new(GFNS, 2);
    m->opts.mode = (enum xf_mode)pick(3);
    m->opts.channels = 1 + (unsigned)pick(3);
    m->opts.encrypt = pick(2);
    m->opts.stall_ms = 5000;
    m->opts.done_ms = 5000;
    m->opts.policy.max_downtime_s = pick(2) ? 0 : 0.01;
    m->opts.policy.max_rounds = 1 + (unsigned)pick(3);
    m->opts.relayed = true;
    m->opts.relay_rate = 80u << 20;
    for (unsigned i = 0; i < 2; i++) {
        struct pg_vcpu *v = &m->src->vcpus[i];

        v->work = (uint32_t)pick(PG_BALLOON + 1);
        v->arg = 1 + (uint32_t)pick(64);
        v->rate = pick(3) ? 0 : 10000;
    }
    if (act == HARM)
        m->opts.encrypt = true;
}

static void one(uint64_t seed)
{
    static void (*const after[ACTS])(void) = {after_cut,   after_source,  after_sink,
                                              after_guest, after_give_up, after_harm,
                                              after_cut,   after_cut,     after_full};
    enum act act;
    uint64_t when;

    random_state = (seed + 1) * 0x9e3779b97f4a7c15ull;
    bad = 0;
    act = (enum act)pick(ACTS);
    if (act == FULL && !may_mount)
        act = CUT;
    setup(act);
    if (act == FULL)
        mount_run_dir();
    /* Handshakes alone are some KiB; a move is two or three times the memory at most. */
    when = 2000 + pick(pick(2) ? GFNS * XF_PAGE_SIZE : 3ull * GFNS * XF_PAGE_SIZE);
    if (act == FULL && pick(2)) /* before there is a record */
        when = 0;
    pg_move_start(m);
    if (act == HARM) {
        m->relay->harm = (uint32_t)pick(PG_HARMS);
        m->relay->hold_ms = (uint32_t)pick(500);
        m->relay->harm_at = when;
    } else if (act == CUT) {
        m->relay->cut_ms = 20 + (uint32_t)pick(pick(3) ? 100 : 800);
        m->relay->cut_at = when;
    } else {
        MUST(EVENTUALLY(m->relay->bytes >= when || (m->source.done && m->sink.done)));
    }
    if (act == KILL_SOURCE && !m->source.done)
        pg_move_kill_source(m);
    if (act == KILL_SINK)
        pg_move_kill_sink(m);
    if (act == KILL_GUEST)
        pg_kill(m->dst);
    if (act == GIVE_UP)
        m->give_up = true;
    if (act == FREEZE)
        freeze();
    if (act == STALL)
        stall();
    if (act == FULL)
        fill_run_dir();
    after[act]();
    done[act]++;
    if (bad)
        fprintf(stderr,
                "SEED=%llu: %s after %llu bytes, mode %d, source %d/%d (%s), sink %d/%d (%s)\n",
                (unsigned long long)seed, act == HARM ? harm_names[m->relay->harm] : act_names[act],
                (unsigned long long)when, m->opts.mode, m->source.end,
                m->source.pulled ? (int)m->source.pull : -1, m->source.err.text, m->sink.end,
                m->sink.pulled ? (int)m->sink.pull : -1, m->sink.err.text);
    CU_ASSERT_EQUAL(bad, 0);
    if (act == HARM)
        harmed[m->relay->harm] += m->relay->harmed;
    if (act == FULL)
        umount2(m->dir, MNT_DETACH);
    pg_move_free(m);
}

static void test_deaths(void)
{
    const char *seeds = getenv("SEEDS"), *only = getenv("SEED");
    uint64_t n = seeds ? strtoull(seeds, NULL, 10) : DEFAULT_SEEDS, first = 0;

    if (only) {
        first = strtoull(only, NULL, 10);
        n = 1;
    } else {
        first = (uint64_t)time(NULL) * 1000; /* different ones each time */
    }
    soak = !n;
    /* For FULL; without the right to it the other acts are as good. */
    may_mount = !unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    printf("\n    seeds from %llu ", (unsigned long long)first);
    fflush(stdout);
    for (uint64_t i = 0; !n || i < n; i++)
        one(first + i);
    printf("\n    moved %u, stayed %u, the guest ended %u, given up in PULL %u ", ends[0], ends[1],
           ends[2], ends[3]);
    printf("\n    bytes flipped %u, twice %u, lost %u, late %u times ", harmed[PG_HARM_FLIP],
           harmed[PG_HARM_TWICE], harmed[PG_HARM_DROP], harmed[PG_HARM_HOLD]);
    printf("\n    engine frozen %u, line stalled %u, run directory full %u times (no GO %u) ",
           done[FREEZE], done[STALL], done[FULL], refused);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"something fails at a random moment", test_deaths},
        CU_TEST_INFO_NULL,
    };

    return run_suite("process guest, random failures", tests);
}
