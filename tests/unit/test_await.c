/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-wait` and `xl migrate-cancel`, with whole moves (queueing.h): each at every point of
 * a move's life, and when the move's process is killed.
 */
#include "tests/unit/queueing.h"

static unsigned ask(const char *cmd, const char *domain)
{
    char *const argv[] = {(char *)"xl", (char *)cmd, (char *)domain, NULL};

    return call("a", argv);
}

/* It ends with this status, and says these words. */
static void says(unsigned i, int wanted, const char *words)
{
    int status = ended(i);
    char both[2000];
    int n = snprintf(both, sizeof(both), "%.999s", slurp(calls[i].out));

    snprintf(both + n, sizeof(both) - (size_t)n, "%.999s", slurp(calls[i].err));
    CU_ASSERT_EQUAL(status, wanted);
    CU_ASSERT_PTR_NOT_NULL(strstr(both, words));
    if (status != wanted || !strstr(both, words))
        fprintf(stderr, "status %d, it says: %s\n", status, both);
}

/* Has the call been told that it may wait? Then it is in a poll() without a limit. */
static bool settled(unsigned i)
{
    unsigned long fds, nr, timeout;
    char file[60];

    snprintf(file, sizeof(file), "/proc/%d/syscall", (int)calls[i].pid);
    return sscanf(slurp(file), "%*d %lx %lx %lx", &fds, &nr, &timeout) == 3 && nr == 1 &&
           (int)timeout == -1;
}

static void two_hosts(void)
{
    host("a", 1);
    host("b", 1);
    hold();
}

/* Several wait, one leaves: all others have the status of the move. */
static void test_wait(void)
{
    unsigned m, w[5];

    two_hosts();
    m = move("a", "b", 1, "");
    eventually(under_way("b") == 1);
    for (unsigned i = 0; i < 5; i++)
        w[i] = ask("migrate-wait", i % 2 ? "1" : "g1");
    for (unsigned i = 0; i < 5; i++)
        eventually(settled(w[i]));
    kill(calls[w[4]].pid, SIGKILL);
    CU_ASSERT_EQUAL(ended(w[4]), 128 + SIGKILL);
    CU_ASSERT_EQUAL(under_way("a"), 1);
    let_go();
    CU_ASSERT_EQUAL(ended(m), 0);
    for (unsigned i = 0; i < 4; i++)
        says(w[i], 0, "g1 has moved to ");
    says(ask("migrate-wait", "g1"), 1, "no move of a domain");
    says(ask("migrate-wait", "g9"), 1, "no move of a domain");
    clean();
}

/* A move that fails: its status, and why. */
static void test_wait_failed(void)
{
    unsigned m, w;

    two_hosts();
    m = move("a", "b", 1, "");
    eventually(under_way("b") == 1);
    w = ask("migrate-wait", "g1");
    eventually(settled(w));
    kill(calls[m].pid, SIGTERM);
    CU_ASSERT_EQUAL(ended(m), 3);
    says(w, 3, "interrupted");
    clean();
}

static void test_wait_killed(void)
{
    unsigned m, w;

    two_hosts();
    m = move("a", "b", 1, "");
    eventually(under_way("b") == 1);
    w = ask("migrate-wait", "g1");
    eventually(settled(w));
    kill(calls[m].pid, SIGKILL);
    ended(m);
    says(w, 5, "has died; `xl migrate-recover g1`");
    clean();
}

/* One that copies, and one that waits for it. */
static void test_cancel(void)
{
    unsigned first, second;

    two_hosts();
    first = move("a", "b", 1, "");
    eventually(under_way("b") == 1);
    second = move("a", "b", 2, "");
    eventually(waiting("a", "\"waiting\":true") == 1);
    says(ask("migrate-cancel", "g2"), 0, "The move of g2 is cancelled; it runs here.");
    CU_ASSERT_EQUAL(ended(second), 1);
    CU_ASSERT_EQUAL(under_way("a"), 1);
    says(ask("migrate-cancel", "g1"), 0, "The move of g1 is cancelled; it runs here.");
    CU_ASSERT_EQUAL(ended(first), 3);
    says(ask("migrate-cancel", "g1"), 1, "no move of a domain");
    CU_ASSERT_EQUAL(busy("a"), 0);
    eventually(busy("b") == 0);
    clean();
}

/* In PULL and later the guest is elsewhere; at the destination nothing is cancelled. */
static void test_too_late(void)
{
    static volatile sig_atomic_t cancel;
    struct xf_status s = {.source = true,
                          .pid = getpid(),
                          .domain = "g1",
                          .domid = 1,
                          .host = "host2",
                          .phase = XF_PHASE_PULL,
                          .no_switch = "no"};
    struct xf_status_server *server = NULL;
    struct xf_err err = {0};

    two_hosts();
    be_on("a");
    CU_ASSERT_EQUAL_FATAL(xf_status_open(&server, 1, &s, &err), 0);
    xf_status_let_cancel(server, &cancel);
    says(ask("migrate-cancel", "g1"), 1, "it is too late: the guest has left for \"host2\"");
    CU_ASSERT_EQUAL(cancel, 0);
    /* It is asked in SWITCH, after GO. */
    s.phase = XF_PHASE_SWITCH;
    xf_status_set(server, &s);
    {
        unsigned c = ask("migrate-cancel", "g1");

        eventually(cancel == 1);
        s.phase = XF_PHASE_PULL;
        xf_status_set(server, &s);
        says(c, 1, "it is too late: g1 runs at host2");
    }
    xf_status_close(server);
    s.source = false;
    CU_ASSERT_EQUAL_FATAL(xf_status_open(&server, 1, &s, &err), 0);
    says(ask("migrate-cancel", "g1"), 1, "give the command at its source");
    says(ask("migrate-wait", "g1"), 1, "give the command at its source");
    xf_status_close(server);
    clean();
}

static void test_words(void)
{
    char *const help[] = {(char *)"xl", (char *)"migrate-wait", (char *)"--help", NULL};
    char *const two[] = {(char *)"xl", (char *)"migrate-cancel", (char *)"g1", (char *)"g2", NULL};
    char *const odd[] = {(char *)"xl", (char *)"migrate-wait", (char *)"--now", (char *)"g1", NULL};

    says(call("a", help), 0, "Usage: xl migrate-wait DOMAIN");
    says(ask("migrate-cancel", "-h"), 0, "Usage: xl migrate-cancel DOMAIN");
    says(ask("migrate-cancel", ""), 1, "name one domain");
    says(call("a", two), 1, "name one domain");
    says(call("a", odd), 1, "no option '--now'");
    clean();
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"wait", test_wait},
        {"wait for one that fails", test_wait_failed},
        {"wait for one that is killed", test_wait_killed},
        {"cancel", test_cancel},
        {"too late", test_too_late},
        {"words", test_words},
        CU_TEST_INFO_NULL,
    };
    int rc;

    queueing_begin(argc, argv, argc > 1);
    rc = run_suite("await", tests);
    rmdir(top);
    return rc;
}
