/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Failures in PULL, one at a time: the guest runs at the sink, and each row of the contract
 * (docs/design.md) holds, every byte compared afterwards.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/moves/record.h"
#include "tests/procguest/eventually.h"
#include "tests/procguest/move.h"
#include "tests/unit/record_link.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define GFNS 8192u /* 32 MiB */

static struct pg_move *m;

/* A post-copy move of a guest that writes at random, through a relay. */
static void open_move(void)
{
    m = pg_move_new(GFNS, 2);
    m->opts.mode = XF_MODE_POSTCOPY;
    m->opts.relayed = true;
    m->opts.relay_rate = 40u << 20; /* so that PULL takes long enough to fail in */
    m->src->vcpus[0].work = PG_RANDOM;
    m->src->vcpus[1].work = PG_SEQ;
    m->src->vcpus[1].rate = 5000;
}

static void arrived(void)
{
    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.pull, XF_PULL_DONE);
    CU_ASSERT_EQUAL(m->sink.pull, XF_PULL_DONE);
    if (m->source.err.num || m->sink.err.num)
        fprintf(stderr, "source: %s; sink: %s\n", m->source.err.text, m->sink.err.text);
    CU_ASSERT(pg_stopped(m->src));
    CU_ASSERT_EQUAL(m->sink.status.missing, 0);
    CU_ASSERT_EQUAL(pg_move_check(m, m->dst), 0);
}

/* Cut after `part` of 16 of the memory has gone over the line. */
static void cut_at(unsigned part)
{
    m->opts.policy.max_rounds = 1;
    pg_move_start(m);
    m->relay->cut_ms = 200;
    m->relay->cut_at = (uint64_t)GFNS * XF_PAGE_SIZE / 16 * part;
}

/* The line breaks and recovers. There is no intervention. */
static void test_cut(void)
{
    for (unsigned part = 4; part <= 12; part += 4) {
        open_move();
        m->opts.channels = 1 + part / 4;
        m->opts.encrypt = part == 8;
        cut_at(part);
        arrived();
        CU_ASSERT(m->relay->cuts == 1);
        CU_ASSERT(m->lost[0] >= 1 && m->lost[1] >= 1);
        pg_move_free(m);
    }
}

/* While it is broken the guest goes on with what it has. */
static void test_runs_on(void)
{
    uint64_t steps;

    open_move();
    m->src->vcpus[0].work = PG_HOT;
    m->src->vcpus[0].arg = 64;
    m->src->vcpus[0].rate = 20000;
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(m->relay->bytes > (uint64_t)GFNS * XF_PAGE_SIZE / 2));
    m->relay->line = PG_LINE_CUT;
    CU_ASSERT(EVENTUALLY(m->lost[0] && m->lost[1]));
    /* One vCPU may have met a missing page, and waits; the hot pages are here or will not
     * arrive. */
    steps = pg_steps(m->dst);
    CU_ASSERT(pg_alive(m->dst));
    printf("\n    %llu steps when it was cut ", (unsigned long long)steps);
    CU_ASSERT(m->sink_pid > 0 && !m->sink.done && !m->source.done);
    m->relay->line = PG_LINE_UP;
    arrived();
    pg_move_free(m);
}

/* The line stays up and carries nothing: both sides notice on their own. */
static void test_stall(void)
{
    open_move();
    m->opts.stall_ms = 700;
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(m->relay->bytes > (uint64_t)GFNS * XF_PAGE_SIZE / 4));
    CU_ASSERT(EVENTUALLY(m->pulling));
    m->relay->line = PG_LINE_STALLED;
    CU_ASSERT(EVENTUALLY(m->lost[0] || m->source.done));
    m->relay->line = PG_LINE_UP;
    arrived();
    pg_move_free(m);
}

/* The engine of the source is killed, again and again, and another one continues. */
static void test_take_over(void)
{
    unsigned kills = 0;

    open_move();
    pg_move_start(m);
    for (unsigned part = 3; part <= 9; part += 3) {
        CU_ASSERT(EVENTUALLY(
            m->source.done ||
            (m->pulling && m->relay->bytes > (uint64_t)GFNS * XF_PAGE_SIZE / 12 * part)));
        if (m->source.done)
            break;
        pg_move_kill_source(m);
        kills++;
        CU_ASSERT(pg_alive(m->dst) && pg_stopped(m->src));
        pg_move_take_over(m);
    }
    CU_ASSERT(kills > 0);
    arrived();
    CU_ASSERT(m->lost[1] >= kills);
    pg_move_free(m);
}

/* It dies when GO has arrived and before its answer: the record says GO, and the sink reports on
 * request that the guest runs. */
static void test_die_after_go(void)
{
    for (unsigned stall = 0; stall < 2; stall++) {
        open_move();
        m->opts.encrypt = stall;
        m->die = PG_DIES_AFTER_GO;
        pg_move_start(m);
        CU_ASSERT(EVENTUALLY(m->go_held));
        pg_move_kill_source(m);
        if (stall) /* the successor is ready first, and has to wait for the sink */
            pg_move_take_over(m);
        m->go_held = false;
        if (!stall) {
            CU_ASSERT(EVENTUALLY(m->sink.pulled));
            pg_move_take_over(m);
        }
        arrived();
        CU_ASSERT_EQUAL(m->found, XF_RECORD_GO);
        pg_move_free(m);
    }
}

/* It dies when GO is recorded and before it is sent: no sink listens any more, the guest has not
 * run there, and goes on here. */
static void test_die_before_go(void)
{
    open_move();
    m->opts.relayed = false; /* a relay listens always */
    m->die = PG_DIES_BEFORE_GO;
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(m->sink.done));
    pg_move_kill_source(m);
    CU_ASSERT(!m->committed && pg_stopped(m->src));
    pg_move_take_over(m);
    CU_ASSERT(EVENTUALLY(m->source.done));
    CU_ASSERT_EQUAL(m->found, XF_RECORD_GO);
    CU_ASSERT_EQUAL(m->source.pull, XF_PULL_LOST);
    CU_ASSERT_EQUAL(m->source.err.num, ECONNREFUSED);
    CU_ASSERT(!m->dst->gate);
    pg_run(m->src);
    CU_ASSERT_EQUAL(pg_move_check(m, m->src), 0);
    pg_move_free(m);
}

/* A connection to the sink that sends this, and hangs. */
static int stranger(const char *text)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)m->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static int dial(const struct xf_link_cfg *cfg, struct xf_chan **c)
{
    return xf_tcp_ops.connect(cfg, "127.0.0.1", (uint16_t)m->port, NULL, XF_CONTROL, c, NULL);
}

/* While there is no source, others connect: without the key they are not accepted; and a peer
 * with it that goes away halfway is waited for no longer than the handshake may take. */
static void test_strangers(void)
{
    struct xf_link_cfg cfg;
    struct xf_chan *c = NULL;
    struct xf_record r;
    int fds[3], fd;

    open_move();
    m->opts.encrypt = true;
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(m->pulling && m->relay->bytes > (uint64_t)GFNS * XF_PAGE_SIZE / 4));
    pg_move_kill_source(m);
    CU_ASSERT(EVENTUALLY(m->lost[1]));
    fds[0] = stranger("GET / HTTP/1.1\r\n\r\n");
    fds[1] = stranger("");
    fds[2] = stranger("\x16\x03\x01\x02\x00\x01");
    CU_ASSERT_EQUAL_FATAL(xf_record_read(m->dir, 7, &r, &fd, NULL), 0);
    close(fd);
    CU_ASSERT_EQUAL(r.state, XF_RECORD_PULLING);
    cfg = record_link_cfg(&r, 3000, 3000);
    r.key.bytes[31] ^= 1;
    CU_ASSERT_EQUAL(dial(&cfg, &c), -1);
    CU_ASSERT_PTR_NULL(c);
    r.key.bytes[31] ^= 1;
    CU_ASSERT_EQUAL(dial(&cfg, &c), 0);
    xf_tcp_ops.close(c);
    CU_ASSERT(!m->sink.done && pg_alive(m->dst));
    pg_move_take_over(m);
    arrived();
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
    pg_move_free(m);
}

/* The guest is destroyed: both sides end, and neither has an error to report; whatever the link
 * does meanwhile, the source learns it from the sink. */
static void test_guest_destroyed(void)
{
    enum { LINK_UP, LINK_CUT, WORD_LOST, TAKEN_OVER, WAYS };

    for (unsigned way = 0; way < WAYS; way++) {
        open_move();
        m->opts.done_ms = 60000;
        pg_move_start(m);
        CU_ASSERT(EVENTUALLY(m->pulling && m->relay->bytes > (uint64_t)GFNS * XF_PAGE_SIZE / 4));
        if (way == TAKEN_OVER)
            pg_move_kill_source(m);
        if (way == LINK_CUT || way == TAKEN_OVER) { /* between two links */
            m->relay->line = PG_LINE_CUT;
            CU_ASSERT(EVENTUALLY(m->source.done || m->lost[1]));
        }
        if (way == WORD_LOST) /* it is sent, into a line that carries nothing any more */
            m->relay->line = PG_LINE_STALLED;
        pg_kill(m->dst);
        if (way != LINK_UP) {
            CU_ASSERT(EVENTUALLY(m->after_end >= 5)); /* it is telling, or waits to do so */
            CU_ASSERT(!m->sink.done && !m->source.done);
        }
        if (way == WORD_LOST) {
            m->relay->line = PG_LINE_CUT;
            CU_ASSERT(EVENTUALLY(m->lost[0]));
        }
        m->relay->line = PG_LINE_UP;
        if (way == TAKEN_OVER)
            pg_move_take_over(m);
        if (!EVENTUALLY(m->source.done && m->sink.done))
            m->give_up = true;
        CU_ASSERT(pg_move_wait(m));
        CU_ASSERT_EQUAL(m->sink.pull, XF_PULL_ENDED);
        CU_ASSERT_EQUAL(m->source.pull, XF_PULL_ENDED);
        CU_ASSERT_EQUAL(m->source.err.num, 0);
        CU_ASSERT(m->sink.knows);
        CU_ASSERT(pg_stopped(m->src));
        pg_move_free(m);
    }
}

/* The guest is destroyed, and no source connects to learn of it: the sink does not wait for
 * ever. */
static void test_nobody_hears(void)
{
    open_move();
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(m->pulling && m->relay->bytes > (uint64_t)GFNS * XF_PAGE_SIZE / 4));
    pg_move_kill_source(m);
    pg_kill(m->dst);
    CU_ASSERT(EVENTUALLY(m->sink.done));
    CU_ASSERT_EQUAL(m->sink.pull, XF_PULL_ENDED);
    CU_ASSERT(!m->sink.knows && pg_stopped(m->src));
    pg_move_free(m);
}

/* The sink dies: the source finds that no process listens there, ends, and keeps its pages. */
static void test_sink_gone(void)
{
    open_move();
    m->opts.relayed = false; /* a relay listens always */
    m->opts.quiet_ms = 1000000;
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(m->pulling));
    pg_move_kill_sink(m);
    CU_ASSERT(EVENTUALLY(m->source.done));
    CU_ASSERT_EQUAL(m->source.pull, XF_PULL_GONE);
    CU_ASSERT_EQUAL(m->source.err.num, ECONNREFUSED);
    CU_ASSERT(pg_stopped(m->src));
    CU_ASSERT(m->src->bad == 0 && m->dst->bad == 0);
    pg_move_free(m);
}

/*
 * The sink dies, and another process takes its port at once: it sends something, it is another
 * move's sink, it hangs up, or it sends nothing. Each time the source finds that the sink is gone.
 */
enum squat { SAYS, OTHER_KEY, HANGS_UP, SILENT, SQUATS };

struct squatter {
    pthread_t thread;
    enum squat how;
    int fd;
    struct xf_listener *listener;
    atomic_bool stop;
    unsigned met;
};

/* True once it has the port, which the dead sink may hold for a moment longer. */
static bool has_port(struct squatter *q)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)m->port)};
    static const struct xf_key another = {{1}};
    struct xf_link_cfg cfg = {.key = &another, .channels = 2, .encrypt = true, .timeout_ms = 1000};
    uint16_t port;
    int on = 1;

    if (q->listener || q->fd >= 0)
        return true;
    if (q->how == OTHER_KEY)
        return !xf_tcp_ops.listen(&cfg, "127.0.0.1", (uint16_t)m->port, &q->listener, &port, NULL);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    q->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(q->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!bind(q->fd, (struct sockaddr *)&at, sizeof(at)) && !listen(q->fd, 64))
        return true;
    close(q->fd);
    q->fd = -1;
    return false;
}

static void *squat_run(void *arg)
{
    struct squatter *q = arg;
    int held[64], n = 0;

    while (!q->stop) {
        struct pollfd p = {.fd = q->fd, .events = POLLIN};
        struct xf_chan *c;
        struct xf_chan_id id;

        if (q->listener) {
            xf_tcp_ops.accept(q->listener, 20, &c, &id, NULL);
            continue;
        }
        if (poll(&p, 1, 20) <= 0 || n == 64)
            continue;
        held[n] = accept(q->fd, NULL, NULL);
        q->met++;
        if (q->how == SAYS && write(held[n], "220 mail.example ESMTP\r\n", 24) < 0)
            break;
        if (q->how == HANGS_UP)
            close(held[n]);
        else
            n++;
    }
    while (n)
        close(held[--n]);
    return NULL;
}

static void test_squatter(void)
{
    for (unsigned how = 0; how < SQUATS; how++) {
        struct squatter q = {.how = how, .fd = -1};
        uint64_t began;

        open_move();
        m->opts.relayed = false;
        m->opts.encrypt = true;
        m->opts.quiet_ms = 1000000;
        m->opts.timeout_ms = 1000;
        m->opts.stranger_ms = 1500;
        m->opts.silent_ms = 3000;
        pg_move_start(m);
        CU_ASSERT(EVENTUALLY(m->pulling));
        pg_move_kill_sink(m);
        CU_ASSERT_FATAL(EVENTUALLY(has_port(&q)));
        pthread_create(&q.thread, NULL, squat_run, &q);
        began = xf_now_ns();
        CU_ASSERT(EVENTUALLY(m->source.done));
        /* And not before the time limit; that for a stranger is the shorter one. */
        CU_ASSERT(xf_now_ns() - began > (how < HANGS_UP ? 1000000000u : 2000000000u));
        CU_ASSERT_EQUAL(m->source.pull, XF_PULL_GONE);
        CU_ASSERT(how == SAYS        ? m->source.err.num == EPROTO
                  : how == OTHER_KEY ? m->source.err.num == EACCES
                  : how == SILENT    ? m->source.err.num == ETIME
                                  : m->source.err.num == ECONNRESET || m->source.err.num == EPIPE);
        CU_ASSERT(pg_stopped(m->src));
        q.stop = true;
        pthread_join(q.thread, NULL);
        if (q.listener)
            xf_tcp_ops.unlisten(q.listener);
        else
            close(q.fd);
        pg_move_free(m);
    }
}

/* The sink is only stopped, for longer than the limit for a stranger: the source waits for it. */
static void test_slow_sink(void)
{
    open_move();
    m->opts.relayed = false;
    m->opts.stall_ms = 500;
    m->opts.timeout_ms = 500;
    m->opts.stranger_ms = 1000;
    m->opts.silent_ms = 60000;
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(m->pulling));
    kill(m->sink_pid, SIGSTOP);
    CU_ASSERT(EVENTUALLY(m->lost[0]));
    nanosleep(&(struct timespec){.tv_sec = 3}, NULL); /* the time itself is tested */
    CU_ASSERT(!m->source.done);
    kill(m->sink_pid, SIGCONT);
    arrived();
    pg_move_free(m);
}

/* A flood without the key, from another address than the source's, while both sides are without
 * a link: the source is still accepted. */
struct flood {
    pthread_t thread;
    atomic_bool stop;
    atomic_uint made;
};

static void *flood_run(void *arg)
{
    struct flood *f = arg;
    int fds[256], at = 0;

    memset(fds, -1, sizeof(fds));
    while (!f->stop) {
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000009)};
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)m->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct linger now = {1, 0};

        if (fds[at] >= 0) {
            setsockopt(fds[at], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
            close(fds[at]);
        }
        fds[at] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (bind(fds[at], (struct sockaddr *)&from, sizeof(from)) ||
            (connect(fds[at], (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS))
            pg_nap();
        else
            f->made++;
        at = (at + 1) % 256;
    }
    for (at = 0; at < 256; at++)
        if (fds[at] >= 0)
            close(fds[at]);
    return NULL;
}

static void test_flood(void)
{
    struct flood f = {0};
    uint64_t began;

    open_move();
    m->opts.encrypt = true;
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(m->pulling && m->relay->bytes > (uint64_t)GFNS * XF_PAGE_SIZE / 4));
    m->relay->line = PG_LINE_CUT;
    CU_ASSERT(EVENTUALLY(m->lost[0] && m->lost[1]));
    pthread_create(&f.thread, NULL, flood_run, &f);
    CU_ASSERT(EVENTUALLY(f.made > 2000));
    began = xf_now_ns();
    m->relay->line = PG_LINE_UP;
    arrived();
    f.stop = true;
    pthread_join(f.thread, NULL);
    printf("\n    %u connections; %.1f s until all was there ", f.made,
           (double)(xf_now_ns() - began) / 1e9);
    pg_move_free(m);
}

/* The operator gives up waiting: both sides end, the guest stays as it is, and the source keeps
 * its pages. */
static void test_give_up(void)
{
    open_move();
    pg_move_start(m);
    CU_ASSERT(EVENTUALLY(m->pulling));
    m->relay->line = PG_LINE_CUT;
    CU_ASSERT(EVENTUALLY(m->source.done || (m->lost[0] && m->lost[1])));
    m->give_up = true;
    CU_ASSERT(pg_move_wait(m));
    CU_ASSERT_EQUAL(m->source.pull, XF_PULL_FAILED);
    CU_ASSERT_EQUAL(m->source.err.num, ECANCELED);
    CU_ASSERT(pg_stopped(m->src) && pg_alive(m->dst));
    pg_move_free(m);
}

#define OTHER 0xe7

/* Let the guest run at its source, where it writes to all of its memory. */
static void let_run_here(void)
{
    for (unsigned i = 0; i < PG_VCPUS; i++)
        m->src->vcpus[i].work = PG_REST; /* the truth is that of the copy at the sink */
    pg_run(m->src);
    for (uint64_t g = 0; g < GFNS; g++)
        if (m->src->has[g])
            memset(m->src->mem + g * XF_PAGE_SIZE, OTHER, XF_PAGE_SIZE);
}

static unsigned foreign_pages(void)
{
    static uint8_t other[XF_PAGE_SIZE];
    unsigned n = 0;

    memset(other, OTHER, sizeof(other));
    for (uint64_t g = 0; g < GFNS; g++)
        n += m->dst->has[g] && !m->dst->late[g] &&
             !memcmp(m->dst->mem + g * XF_PAGE_SIZE, other, sizeof(other));
    return n;
}

/* The guest is let run at its source in PULL: nothing that it writes there reaches the sink,
 * both sides end with an error, and it is stopped. */
static void test_let_run(void)
{
    enum { PULLING, RAN_BEFORE, LINK_CUT, WAYS };

    for (unsigned way = 0; way < WAYS; way++) {
        open_move();
        m->opts.encrypt = way & 1;
        pg_move_start(m);
        CU_ASSERT(EVENTUALLY(m->pulling && m->relay->bytes > (uint64_t)GFNS * XF_PAGE_SIZE / 4));
        if (way == RAN_BEFORE) /* and is suspended again at the next check */
            kill(m->source_pid, SIGSTOP);
        if (way == LINK_CUT) {
            m->relay->line = PG_LINE_CUT;
            CU_ASSERT(EVENTUALLY(m->lost[0] && m->lost[1]));
        }
        CU_ASSERT(!m->source.done && !m->sink.done);
        let_run_here();
        if (way == RAN_BEFORE) {
            pg_stop(m->src);
            kill(m->source_pid, SIGCONT);
        }
        CU_ASSERT(EVENTUALLY(m->source.done));
        CU_ASSERT_EQUAL(m->source.pull, XF_PULL_FAILED);
        CU_ASSERT_EQUAL(m->source.err.num, EBUSY);
        CU_ASSERT_PTR_NOT_NULL(strstr(m->source.err.text, "let the guest run"));
        CU_ASSERT(m->source.resumed && EVENTUALLY(pg_stopped(m->src)));
        if (way != LINK_CUT) {
            CU_ASSERT(EVENTUALLY(m->sink.done));
            CU_ASSERT_EQUAL(m->sink.pull, XF_PULL_FAILED);
            CU_ASSERT_PTR_NOT_NULL(strstr(m->sink.err.text, "let the guest run at its source"));
        }
        pg_kill(m->dst); /* its vCPUs may wait for pages */
        CU_ASSERT_EQUAL(foreign_pages(), 0);
        CU_ASSERT_EQUAL(m->dst->bad, 0);
        pg_move_free(m);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the line is cut and comes back", test_cut},
        {"the guest runs on while it is cut", test_runs_on},
        {"the line stalls", test_stall},
        {"the source's engine is killed, another takes over", test_take_over},
        {"it dies between GO and the answer", test_die_after_go},
        {"it dies right before GO", test_die_before_go},
        {"strangers call", test_strangers},
        {"the guest is destroyed", test_guest_destroyed},
        {"it is, and no source comes to hear of it", test_nobody_hears},
        {"the sink dies", test_sink_gone},
        {"the sink dies, and somebody else has its port", test_squatter},
        {"the sink is stopped for a while", test_slow_sink},
        {"a flood while the source connects again", test_flood},
        {"the operator gives up", test_give_up},
        {"the guest is let run at its source", test_let_run},
        CU_TEST_INFO_NULL,
    };

    return run_suite("process guest, failures in PULL", tests);
}
