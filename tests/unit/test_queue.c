/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The limit of moves of a host, and waiting for it: whole moves between two hosts (queueing.h).
 *
 * "test_queue cost [N]" prints what N moves (64) that wait on one host cost, and fails above 1 % of
 * a processor together or 2 MiB each.
 */
#include "tests/unit/queueing.h"

/* --- moves --- */

/* Limits of 20 and 5 give 5. Those who wait for the other host hold nothing here, and say what they
 * wait for. */
static void test_smaller(void)
{
    host("a", 20);
    host("b", 5);
    hold();
    for (unsigned i = 1; i <= 7; i++)
        move("a", "b", i, "");
    eventually(waiting("a", "\"waits_for\":\"5 moves under way at echo") == 2);
    eventually(busy("a") == 5);
    CU_ASSERT_EQUAL(busy("b"), 5);
    CU_ASSERT_EQUAL(under_way("a"), 5);
    CU_ASSERT_EQUAL(under_way("b"), 5);
    let_go();
    all_moved();
    CU_ASSERT_EQUAL(busy("a"), 0);
    eventually(busy("b") == 0);
    clean();
}

/* Of those who wait for the other host one asks it again, less and less often; each of five would
 * do so twice in this time at least. */
static void test_one_asks(void)
{
    unsigned before;

    host("a", 20);
    host("b", 1);
    hold();
    for (unsigned i = 1; i <= 6; i++)
        move("a", "b", i, "");
    eventually(waiting("a", "\"waits_for\":\"1 move under way at echo") == 5);
    before = asked("b");
    CU_ASSERT(before >= 6);
    nap(6000);
    CU_ASSERT(asked("b") > before && asked("b") <= before + 5);
    let_go();
    all_moved();
    clean();
}

/* Six moves at once, two at a time: whoever looks never sees three, on either host. */
static void test_six(void)
{
    unsigned most[2] = {0}, n, looks = 0;
    bool left = true;

    host("a", 2);
    host("b", 2);
    unsetenv(OPEN);
    hold();
    for (unsigned i = 1; i <= 6; i++)
        move("a", "b", i, "");
    eventually(waiting("a", "\"waits_for\":\"2 moves under way here, limit 2\"") >= 3);
    eventually(under_way("a") == 2 && under_way("b") == 2);
    let_go();
    while (left) {
        for (unsigned h = 0; h < 2; h++) {
            n = under_way(h ? "b" : "a");
            most[h] = n > most[h] ? n : most[h];
            looks++;
        }
        left = false;
        for (unsigned i = 0; i < nr_calls; i++) {
            siginfo_t info = {0};

            waitid(P_PID, (id_t)calls[i].pid, &info, WEXITED | WNOHANG | WNOWAIT);
            left |= !info.si_pid;
        }
    }
    CU_ASSERT(most[0] <= 2 && most[1] <= 2);
    if (most[0] > 2 || most[1] > 2)
        fprintf(stderr, "%u and %u at once, in %u looks\n", most[0], most[1], looks);
    all_moved();
    clean();
}

/* Each has a limit of one, and moves a guest to the other. */
static void test_each_other(void)
{
    host("a", 1);
    host("b", 1);
    unsetenv(OPEN);
    for (unsigned i = 0; i < 3; i++) {
        move("a", "b", 1 + i, "");
        move("b", "a", 11 + i, "");
    }
    all_moved();
    clean();
}

/* A move within one host takes part in it once. */
static void test_within(void)
{
    host("a", 1);
    unsetenv(OPEN);
    move("a", "a", 1, "");
    move("a", "a", 2, "");
    all_moved();
    clean();
}

/* The mover is killed: whoever waits goes on. */
static void test_mover_killed(void)
{
    unsigned first;

    host("a", 1);
    host("b", 2);
    hold();
    first = move("a", "b", 1, "");
    eventually(under_way("a") == 1);
    move("a", "b", 2, "");
    eventually(waiting("a", "\"waits_for\":\"1 move under way here, limit 1\"") == 1);
    kill(calls[first].pid, SIGKILL);
    CU_ASSERT_EQUAL(ended(first), 128 + SIGKILL);
    let_go();
    all_moved();
    clean();
}

/* What it says when it does not wait, or no longer. */
static void test_not_waiting(void)
{
    static const char *const options[] = {"--no-queue", "--wait 0", "--wait 1"};
    unsigned i;

    host("a", 1);
    host("b", 1);
    host("c", 1);
    hold();
    move("a", "b", 1, "");
    eventually(under_way("b") == 1);
    for (unsigned k = 0; k < 3; k++) {
        i = move("a", "c", 2, options[k]);
        CU_ASSERT_EQUAL(ended(i), 1);
        slurp(calls[i].out);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"severity\":\"refusal\",\"code\":\"limit\""));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "this host takes part in at most 1 move at a time"));
        CU_ASSERT_EQUAL(count(text, "\"text\":\"waiting: "), k == 2);
        i = move("c", "b", 3, options[k]);
        CU_ASSERT_EQUAL(ended(i), 1);
        slurp(calls[i].out);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"code\":\"limit\",\"text\":\"the destination takes"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "and 1 is under way"));
        CU_ASSERT_EQUAL(busy("c"), 0);
    }
    /* To look costs nothing, and is never refused for that. */
    i = move("a", "b", 4, "--check");
    CU_ASSERT_EQUAL(ended(i), 0);
    slurp(calls[i].out);
    CU_ASSERT_PTR_NOT_NULL(strstr(text,
                                  "\"severity\":\"info\",\"code\":\"limit\",\"text\":\"this host "
                                  "takes part in at most 1 move at a time, and 1 is under way: "
                                  "another one would wait\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"code\":\"limit\",\"text\":\"the destination takes"));
    let_go();
    all_moved();
    clean();
}

/* Ctrl-C ends the waiting. For a person it is one line. */
static void test_interrupted(void)
{
    char *const argv[] = {(char *)"xl", (char *)"migrate", (char *)"--tcp",
                          (char *)"g2", (char *)"host2",   NULL};
    unsigned i;

    host("a", 1);
    host("b", 1);
    hold();
    move("a", "b", 1, "");
    eventually(under_way("a") == 1);
    i = call("a", argv);
    eventually(strstr(slurp(calls[i].err), "limit 1") != NULL);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nxl migrate: waiting: 1 move under way here, limit 1\n"));
    kill(calls[i].pid, SIGINT);
    CU_ASSERT_EQUAL(ended(i), 1);
    slurp(calls[i].err);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "interrupted"));
    CU_ASSERT_EQUAL(count(text, "waiting"), 1);
    let_go();
    all_moved();
    clean();
}

/* --- what it costs --- */

/* With its children that have ended: those that have asked the other host. */
static double cpu_of(pid_t pid)
{
    char file[60];
    unsigned long user = 0, system = 0, their_user = 0, their_system = 0;

    snprintf(file, sizeof(file), "/proc/%d/stat", (int)pid);
    slurp(file);
    if (strrchr(text, ')'))
        sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu",
               &user, &system, &their_user, &their_system);
    return (double)(user + system + their_user + their_system) / (double)sysconf(_SC_CLK_TCK);
}

static unsigned long pss_of(pid_t pid)
{
    char file[60];
    unsigned long kib = 0;

    snprintf(file, sizeof(file), "/proc/%d/smaps_rollup", (int)pid);
    slurp(file);
    if (strstr(text, "\nPss:"))
        sscanf(strstr(text, "\nPss:"), " Pss: %lu", &kib);
    return kib;
}

/* n moves that wait at host a, for one of its own slots or for host b's. */
static int cost_of(unsigned n, unsigned limit, const char *for_what)
{
    const int seconds = 60;
    double cpu = 0, began;
    unsigned long kib = 0;

    host("a", limit);
    host("b", 1);
    hold();
    move("a", "b", 99, "");
    while (under_way("a") < 1)
        nap(100);
    for (unsigned i = 1; i <= n; i++)
        move("a", "b", i, "--quiet");
    while (waiting("a", "\"waits_for\":\"1 move") < n)
        nap(100);
    for (unsigned i = 1; i <= n; i++)
        cpu -= cpu_of(calls[i].pid);
    began = xf_now();
    nap(seconds * 1000);
    for (unsigned i = 1; i <= n; i++)
        cpu += cpu_of(calls[i].pid);
    cpu /= xf_now() - began;
    for (unsigned i = 1; i <= n; i++)
        kib += pss_of(calls[i].pid);
    printf("%u moves wait for %s: %.2f %% of a processor together, %.2f MiB each (PSS)\n", n,
           for_what, 100 * cpu, (double)kib / n / 1024);
    for (unsigned i = 0; i <= n; i++)
        kill(calls[i].pid, SIGTERM);
    for (unsigned i = 0; i <= n; i++)
        ended(i);
    clean();
    return cpu < 0.01 && kib < n * 2048ul ? 0 : 1;
}

static int cost(unsigned n)
{
    int here = cost_of(n, 1, "their own host");

    return cost_of(n, XF_MOVES_MAX, "the other host") || here;
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"20 and 5 give 5", test_smaller},
        {"one asks", test_one_asks},
        {"six moves, two at a time", test_six},
        {"two hosts to each other", test_each_other},
        {"within one host", test_within},
        {"the mover is killed", test_mover_killed},
        {"not waiting", test_not_waiting},
        {"interrupted", test_interrupted},
        CU_TEST_INFO_NULL,
    };
    bool costs = argc > 1 && !strcmp(argv[1], "cost");
    int rc;

    queueing_begin(argc, argv, argc > 1 && !costs);
    rc = costs ? cost(argc > 2 ? (unsigned)atoi(argv[2]) : 64) : run_suite("queue", tests);
    rmdir(top);
    return rc;
}
