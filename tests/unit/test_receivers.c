/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Receivers beside others: one move at a time under a name, a port for each, and what is cleaned up
 * when the sink of one dies.
 */
#include <netinet/in.h>

#include "libxl-ext/moves/drain_record.h"
#include "libxl-ext/xen/cpu_policy.h"
#include "tests/unit/receiving.h"
#include "transport/speed.h"
#include "transport/clock.h"

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

/* While the host is drained nobody comes, except a guest that is here already. */
static void test_draining(void)
{
    struct xf_drain_record r;
    struct xf_err err = {0};
    struct move m;

    begin();
    CU_ASSERT_FATAL(!xf_drain_record_init(&r, &err));
    r.draining = true;
    CU_ASSERT_EQUAL(xf_drain_record_write(top, &r, &err), 0);
    start(&m, "web1", UUID);
    CU_ASSERT_FALSE(greet(&m));
    refused(&m, "draining", "run `xl migrate-drain --undo` there");
    ends(&m, 0, "");
    start(&m, "web1", UUID);
    xf_boot_id(m.hello.boot_id);
    CU_ASSERT(greet(&m));
    ends(&m, 1, "");
    r.draining = false; /* they are brought back */
    CU_ASSERT_EQUAL(xf_drain_record_write(top, &r, &err), 0);
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    ends(&m, 1, "");
    xf_drain_record_free(&r);
    xf_drain_record_remove(top, &err);
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

/* --- ports --- */

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

int xf_cpu_read(xc_interface *xch, struct xf_cpu *out, struct xf_err *err)
{
    (void)xch;
    *out = (struct xf_cpu){.vendor = "GenuineIntel", .most.words = {7}};
    return getenv("NO_CPU") ? xf_fail(err, EPERM, "no features here") : 0;
}

/* A question for the processors is no move: nothing is locked, looked for or left. */
static void test_cpu_only(void)
{
    struct move asks, moves;

    begin();
    start(&moves, "web1", UUID);
    CU_ASSERT(greet(&moves));
    CU_ASSERT(moves.reply.cpu_words && !moves.reply.has_cpu);
    start(&asks, "web1", UUID); /* at the same time, and even by this name */
    asks.hello.check_only = asks.hello.find_only = asks.hello.cpu_only = true;
    CU_ASSERT(greet(&asks));
    CU_ASSERT(asks.reply.has_cpu && asks.reply.cpu.most.words[0] == 7);
    CU_ASSERT_STRING_EQUAL(asks.reply.cpu.vendor, "GenuineIntel");
    CU_ASSERT(!asks.reply.nr_findings && !asks.reply.port);
    ends(&asks, 0, "");
    ends(&moves, 1, "");
    setenv("NO_CPU", "1", 1);
    start(&asks, "-", UUID);
    asks.hello.check_only = asks.hello.find_only = asks.hello.cpu_only = true;
    CU_ASSERT_FALSE(greet(&asks));
    refused(&asks, "receiver", "no features here");
    ends(&asks, 1, "no features here");
    unsetenv("NO_CPU");
    CU_ASSERT_EQUAL(fake_host->xl_started, 0);
    end();
}

/* --check: it says what is free, answers the measurement of the link, and leaves nothing behind,
 * whether the source measures or not. */
static void test_check_only(void)
{
    struct xf_speed s;
    struct move m;

    begin();
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m)); /* a move: nothing of this */
    CU_ASSERT(!m.reply.probe && m.reply.free_kib == XF_KIB_UNKNOWN);
    ends(&m, 1, "");
    start(&m, "web1", UUID);
    m.hello.check_only = true;
    CU_ASSERT(greet(&m));
    CU_ASSERT(m.reply.probe && m.reply.free_kib == 1u << 20);
    CU_ASSERT_EQUAL(connect_all(&m), 0);
    CU_ASSERT_EQUAL(xf_speed_measure(&m.link, (struct xf_tick){0}, &s, &m.err), 0);
    CU_ASSERT(s.bytes_per_s > 0);
    ends(&m, 0, "");
    CU_ASSERT_EQUAL(fake_host->xl_started, 0);
    start(&m, "web1", UUID);
    m.hello.check_only = true;
    CU_ASSERT(greet(&m)); /* an older source goes away now */
    ends(&m, 0, "");
    end();
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"two moves", test_two_moves},
        {"the host is being drained", test_draining},
        {"the sink dies in CHECK", test_dies_in_check},
        {"the sink is killed, another move waits", test_killed_with_another},
        {"the sink is killed while xl makes the domain", test_killed_early},
        {"a range of ports", test_ports},
        {"a question for the processors", test_cpu_only},
        {"--check", test_check_only},
        CU_TEST_INFO_NULL,
    };

    return receiving_main(argc, argv, "receivers", tests);
}
