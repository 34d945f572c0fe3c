/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What moves a guest for the cluster's made-up xl (node/xl): a process guest is moved by the engine
 * from one node's network to another's, and its memory is compared at the end.
 *
 *   mover --netns-a PATH --netns-b PATH --addr ADDR --hook COMMAND [--size MIB] [--bandwidth MIB]
 *       [--pull MS] [--die FILE] [--no-wait]
 *
 * --pull: by post-copy, and nothing is pushed for so long. --die: the source's engine is killed in
 * PULL, and another one takes over when FILE exists.
 *
 * Runs "COMMAND go" when the guest runs there, "COMMAND dead" when the engine was killed, and
 * "COMMAND end STATUS" at the end, with a status of xl migrate. As with xl migrate --no-wait, the
 * mover is in a session of its own from GO on, and with --no-wait the command ends there.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/procguest/move.h"

#define FAILED 3  /* the guest has never stopped */
#define MISSING 7 /* it runs there, and pages are missing */
#define POLL_NS 5000000
#define DIE_NS 300000000

struct mover {
    struct pg_move *m;
    const char *hook, *die;
    bool no_wait;
};

static void die(const char *what)
{
    fprintf(stderr, "mover: %s\n", what);
    exit(2);
}

static unsigned number(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*end || end == text || n > 1u << 20)
        die("a number is wrong");
    return (unsigned)n;
}

static void rest(long ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static void tell(const struct mover *v, const char *event)
{
    char line[512];

    snprintf(line, sizeof(line), "%s %s", v->hook, event);
    if (system(line)) /* NOLINT(cert-env33-c): the test's own words */
        fprintf(stderr, "mover: failed: %s\n", line);
}

static void parse(struct mover *v, int argc, char **argv)
{
    static const struct option longs[] = {
        {"netns-a", 1, NULL, 'a'}, {"netns-b", 1, NULL, 'b'}, {"addr", 1, NULL, 'A'},
        {"hook", 1, NULL, 'h'},    {"size", 1, NULL, 's'},    {"bandwidth", 1, NULL, 'w'},
        {"pull", 1, NULL, 'p'},    {"die", 1, NULL, 'd'},     {"no-wait", 0, NULL, 'n'},
        {NULL, 0, NULL, 0},
    };
    struct pg_opts o = {0};
    unsigned mib = 16;
    int opt;

    while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (opt) {
        case 'a':
            o.netns[0] = optarg;
            break;
        case 'b':
            o.netns[1] = optarg;
            break;
        case 'A':
            o.addr = optarg;
            break;
        case 'h':
            v->hook = optarg;
            break;
        case 's':
            mib = number(optarg);
            break;
        case 'w':
            o.bandwidth = (uint64_t)number(optarg) << 20;
            break;
        case 'p':
            o.mode = XF_MODE_POSTCOPY;
            o.quiet_ms = (int)number(optarg);
            break;
        case 'd':
            v->die = optarg;
            break;
        case 'n':
            v->no_wait = true;
            break;
        default:
            die("there is no such option");
        }
    }
    if (optind < argc || !o.netns[0] || !o.netns[1] || !o.addr || !v->hook || !mib)
        die("the command line is wrong");
    v->m = pg_move_new((uint64_t)mib << 8, 1);
    v->m->opts.mode = o.quiet_ms ? XF_MODE_POSTCOPY : XF_MODE_PRECOPY;
    v->m->opts.quiet_ms = o.quiet_ms;
    v->m->opts.netns[0] = o.netns[0];
    v->m->opts.netns[1] = o.netns[1];
    v->m->opts.addr = o.addr;
    v->m->opts.bandwidth = o.bandwidth;
    v->m->opts.stall_ms = 60000; /* the machine is busy */
    v->m->opts.compress.asked = XF_COMPRESS_OFF;
    v->m->src->vcpus[0].work = PG_RANDOM;
    v->m->src->vcpus[0].rate = 200;
}

/* The engine dies in PULL; the sink goes on waiting for another one. */
static void kill_it(const struct mover *v)
{
    while (!v->m->pulling && !v->m->source.done)
        rest(POLL_NS);
    rest(DIE_NS);
    if (v->m->source.done)
        return;
    pg_move_kill_source(v->m);
    tell(v, "dead");
    while (access(v->die, F_OK))
        rest(POLL_NS);
    pg_move_take_over(v->m);
}

/* Out of the command's process group, with all processes of the move, which are one in xl. */
static void leave_group(const struct pg_move *m)
{
    const pid_t pids[] = {m->source_pid, m->sink_pid, m->src->pid, m->dst->pid};

    for (unsigned i = 0; i < sizeof(pids) / sizeof(pids[0]); i++)
        if (pids[i] > 0)
            setpgid(pids[i], 0);
    setsid();
}

/* Returns a status of xl migrate. */
static int move(const struct mover *v, int front)
{
    struct pg_move *m = v->m;
    bool whole;

    pg_move_start(m);
    while (!m->committed && !m->source.done && !m->sink.done)
        rest(POLL_NS);
    if (m->committed) {
        leave_group(m);
        tell(v, "go");
        if (v->no_wait && write(front, "", 1) != 1)
            fprintf(stderr, "mover: nobody waits\n");
        if (v->die)
            kill_it(v);
    }
    whole = pg_move_wait(m) && (!m->source.pulled || m->source.pull == XF_PULL_DONE);
    if (m->source.err.num || m->sink.err.num)
        fprintf(stderr, "mover: source: %s; sink: %s\n", m->source.err.text, m->sink.err.text);
    if (!m->committed)
        return FAILED;
    return whole && !pg_move_check(m, m->dst) ? 0 : MISSING;
}

int main(int argc, char **argv)
{
    struct mover v = {0};
    unsigned char status = FAILED;
    char event[16];
    int ends[2];
    pid_t pid;

    parse(&v, argc, argv);
    if (pipe(ends))
        die(strerror(errno));
    pid = fork();
    if (pid < 0)
        die(strerror(errno));
    if (pid) { /* the command; without a word from the mover, it has been killed */
        close(ends[1]);
        return read(ends[0], &status, 1) == 1 ? status : FAILED;
    }
    close(ends[0]);
    status = (unsigned char)move(&v, ends[1]);
    snprintf(event, sizeof(event), "end %u", status);
    tell(&v, event);
    if (write(ends[1], &status, 1) != 1 && !v.no_wait)
        fprintf(stderr, "mover: nobody waits\n");
    pg_move_free(v.m);
    return 0;
}
