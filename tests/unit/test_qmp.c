/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection to a device model's monitor: messages in order, refusals, and a monitor that is
 * hostile, silent, busy or gone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/xen/qmp_commands.h"
#include "tests/unit/fake_monitor.h"
#include "tests/unit/hostile.h"
#include "tests/unit/suite.h"

#define LONG_MS 60000 /* never over in a test that succeeds */
#define SHORT_MS 150  /* is waited for */

static const struct xf_tick no_tick;
static struct xf_qmp *const q = &fake_monitor.q;
static struct xf_err *const err = &fake_monitor.err;

/* --- events --- */

/* Before an answer, behind it, in pieces; and one that nobody knows. */
static void test_events(void)
{
    static const char *const answers[] = {QMP_EVENT("VNC_CONNECTED") QMP_EVENT("SHUTDOWN")
                                              QMP_STATUS(2, "paused", "false") QMP_EVENT("RESUME"),
                                          QMP_EVENT("STOP")
                                              QMP_STATUS(3, "running", "true") "{\"event\": \"RE",
                                          "SET\"}\n" QMP_STATUS(4, "running", "true"), NULL};
    enum xf_qmp_state state;

    for (int drips = 0; drips < 2; drips++) {
        fake_monitor.drips = drips;
        fake_monitor_connect(answers);
        CU_ASSERT_EQUAL(q->seen, 0);
        CU_ASSERT_EQUAL(xf_qmp_status(q, &state, err), 0);
        CU_ASSERT_EQUAL(state, XF_QMP_IS_PAUSED);
        CU_ASSERT_EQUAL(q->seen, XF_QMP_SHUTDOWN);
        q->seen = 0;
        CU_ASSERT_EQUAL(xf_qmp_status(q, &state, err), 0);
        CU_ASSERT_EQUAL(q->seen, XF_QMP_STOP | XF_QMP_RESUME);
        CU_ASSERT_EQUAL(xf_qmp_status(q, &state, err), 0);
        CU_ASSERT_EQUAL(q->seen, XF_QMP_STOP | XF_QMP_RESUME);
        fake_monitor_end();
    }
}

/* --- refusals --- */

static void test_refusal(void)
{
    static char wordy[4000];
    const char *answers[] = {QMP_REFUSAL(2, "Failed to get \\\"write\\\" lock"), wordy, QMP_DONE(4),
                             NULL};
    int n;

    n = snprintf(wordy, sizeof(wordy),
                 "{\"id\": 3, \"error\": {\"class\": \"GenericError\", \"desc\": \"");
    memset(wordy + n, 'w', 3000);
    strcpy(wordy + n + 3000, "\"}}\r\n");
    fake_monitor_connect(answers);
    CU_ASSERT_EQUAL(xf_qmp_cont(q, err), -1);
    CU_ASSERT_EQUAL(err->num, EREMOTEIO);
    CU_ASSERT_STRING_EQUAL(
        err->text, "the device model of domain 7 refuses cont: Failed to get \"write\" lock");
    CU_ASSERT(q->fd >= 0);
    xf_clear(err);
    CU_ASSERT_EQUAL(xf_qmp_cont(q, err), -1);
    CU_ASSERT_EQUAL(err->num, EREMOTEIO);
    fake_monitor_says("cont: wwwwww");
    xf_clear(err);
    CU_ASSERT_EQUAL(xf_qmp_cont(q, err), 0);
    fake_monitor_end();
}

static void test_refusal_hostile(void)
{
    char text[200], expected[200];

    for (size_t i = 0; i < sizeof(hostiles) / sizeof(hostiles[0]); i++) {
        snprintf(text, sizeof(text), QMP_REFUSAL(2, "no: %s!"),
                 hostiles[i].json ? hostiles[i].json : hostiles[i].text);
        snprintf(expected, sizeof(expected), "refuses stop: no: %s!", hostiles[i].clean);
        fake_monitor_connect((const char *const[]){text, NULL});
        CU_ASSERT_EQUAL(xf_qmp_stop(q, err), -1);
        CU_ASSERT_EQUAL(err->num, EREMOTEIO);
        fake_monitor_says(expected);
        fake_monitor_end();
    }
}

/* --- a hostile monitor --- */

static void test_hostile(void)
{
    static const struct {
        const char *answer, *words;
    } bad[] = {
        {"nonsense\r\n", "JSON"},
        {"\r\n", "JSON"},
        {"[]\r\n", "JSON"},
        {"{\"return\": {}, \"id\": 2} {}\r\n", "JSON"},
        {"{\"return\": {}, \"id\": 2\r\n", "JSON"},
        {QMP_DONE(3), "not that of the command"},
        {"{\"return\": {}, \"id\": -2}\r\n", "\"id\""},
        {"{\"return\": {}, \"id\": \"2\"}\r\n", "\"id\""},
        {"{\"return\": {}}\r\n", "\"id\""},
        {QMP_GREETING, "\"id\""},
        {"{\"id\": 2}\r\n", "\"return\""},
        {QMP_ANSWER(2, "[]"), "\"return\""},
        {QMP_ANSWER(2, "null"), "\"return\""},
        {"{\"id\": 2, \"error\": \"no\"}\r\n", "\"error\""},
        {"{\"id\": 2, \"error\": {\"class\": \"GenericError\"}}\r\n", "\"desc\""},
        {"{\"id\": 2, \"error\": {\"desc\": 5}, \"return\": {}}\r\n", "\"desc\""},
        {"{\"id\": 2, \"error\": {\"desc\": \"no\"}}\r\n", "\"class\""},
        {"{\"error\": {\"class\": \"GenericError\", \"desc\": \"Invalid JSON\"}}\r\n", "\"id\""},
        {"{\"event\": 5}\r\n" QMP_DONE(2), "\"event\""},
        {"{\"event\": \"STOP\\u0000\"}\r\n" QMP_DONE(2), "\"event\""},
        {"{\"event\": \"an event with a name that is longer than any event of QEMU's has\"}\r\n",
         "\"event\""},
    };
    static const char with_nul[] = "{\"return\": {}, \"id\": 2}\0\n";
    char deep[256];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fake_monitor_connect((const char *const[]){bad[i].answer, NULL});
        CU_ASSERT_EQUAL(xf_qmp_stop(q, err), -1);
        fake_monitor_broken(EPROTO, bad[i].words);
        fake_monitor_end();
    }
    fake_monitor.len = sizeof(with_nul) - 1;
    fake_monitor_connect((const char *const[]){with_nul, NULL});
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), -1);
    fake_monitor_broken(EPROTO, "JSON");
    fake_monitor_end();
    for (int i = 0; i < 40; i++)
        strcpy(deep + 5 * i, "{\"a\":");
    strcpy(deep + 5 * 40, "{}");
    memset(deep + 5 * 40 + 2, '}', 40);
    strcpy(deep + 6 * 40 + 2, "\n");
    fake_monitor_connect((const char *const[]){deep, NULL});
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), -1);
    fake_monitor_broken(EPROTO, "nesting too deep");
    fake_monitor_end();
}

/* What comes behind an answer and is no event spoils the next command, if it is not late. */
static void test_unasked(void)
{
    fake_monitor_connect(
        (const char *const[]){QMP_DONE(2) QMP_DONE(2), QMP_DONE(3) QMP_DONE(5), NULL});
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), 0);
    CU_ASSERT_EQUAL(xf_qmp_cont(q, err), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), -1);
    fake_monitor_broken(EPROTO, "not that of the command");
    fake_monitor_end();
}

/* QEMU answers a command of the connection before, which was given up. */
static void test_late_answer(void)
{
    fake_monitor.greeting = QMP_REFUSAL(5, "no") QMP_GREETING QMP_DONE(4) QMP_DONE(6);
    fake_monitor_begin((const char *const[]){"", QMP_REFUSAL(5, "no") QMP_DONE(7), NULL});
    q->domid = FAKE_MONITOR_DOMID;
    q->id = 5;
    CU_ASSERT_EQUAL(fake_monitor_dial(LONG_MS, no_tick), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), 0);
    fake_monitor_end();
    /* The command of before was qmp_capabilities, carried out for the client that it greeted. */
    fake_monitor.greeting =
        QMP_GREETING QMP_DONE(6) QMP_ERROR(7, "CommandNotFound", "already complete");
    fake_monitor_begin((const char *const[]){QMP_DONE(8), NULL});
    q->domid = FAKE_MONITOR_DOMID;
    q->id = 6;
    CU_ASSERT_EQUAL(fake_monitor_dial(LONG_MS, no_tick), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), 0);
    fake_monitor_end();
    /* Of another domain's QEMU it is not late. */
    fake_monitor.greeting = QMP_GREETING QMP_DONE(5);
    fake_monitor_begin(NULL);
    q->domid = FAKE_MONITOR_DOMID + 1;
    q->id = 5;
    CU_ASSERT_EQUAL(fake_monitor_dial(LONG_MS, no_tick), -1);
    fake_monitor_broken(EPROTO, "not that of the command");
    fake_monitor_end();
}

/* It answers what it has not read, until the socket's buffer is full. */
static void test_deaf(void)
{
    static char text[64 * 2000];
    size_t len = strlen(strcpy(text, QMP_GREETING));
    int rc = 0;

    for (int id = 1; id < 2000; id++)
        len += (size_t)sprintf(text + len, "{\"return\": {}, \"id\": %d}\n", id);
    fake_monitor.greeting = text;
    fake_monitor.deaf = true;
    fake_monitor_connect(NULL);
    for (int i = 2; i < 2000 && !rc; i++)
        rc = xf_qmp_stop(q, err);
    fake_monitor_broken(EPROTO, "does not read its commands");
    fake_monitor_end();
}

/* The longest line, and one byte more; as an event, so that it is all in one message. */
static void test_long(void)
{
    static char text[XF_QMP_LINE + 1 + sizeof(QMP_DONE(2))];
    const char start[] = "{\"event\": \"STOP\", \"data\": \"", tail[] = "\"}\n";

    for (unsigned more = 0; more < 2; more++) {
        size_t len = XF_QMP_LINE + more;

        memset(text, 'x', len);
        memcpy(text, start, strlen(start));
        strcpy(text + len - strlen(tail), tail);
        strcpy(text + len, QMP_DONE(2));
        fake_monitor_connect((const char *const[]){text, NULL});
        CU_ASSERT_EQUAL(xf_qmp_stop(q, err), more ? -1 : 0);
        if (more)
            fake_monitor_broken(EPROTO, "longer than 256 KiB");
        else
            CU_ASSERT_EQUAL(q->seen, XF_QMP_STOP);
        fake_monitor_end();
    }
    /* And one that has no end. */
    memset(text, ' ', sizeof(text) - 1);
    fake_monitor_connect((const char *const[]){text, NULL});
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), -1);
    fake_monitor_broken(EPROTO, "longer than 256 KiB");
    fake_monitor_end();
}

static void test_death(void)
{
    static const char *const last[] = {"", "{\"return\": {}, \"id\": 2}", QMP_EVENT("SHUTDOWN")};

    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        fake_monitor.hang_up = true;
        fake_monitor_connect((const char *const[]){last[i], NULL});
        CU_ASSERT_EQUAL(xf_qmp_stop(q, err), -1);
        CU_ASSERT_EQUAL(q->seen, i == 2 ? XF_QMP_SHUTDOWN : 0);
        fake_monitor_broken(ECONNRESET, "the device model of domain 7 has ended");
        fake_monitor_end();
    }
    /* Between two commands. */
    fake_monitor.hang_up = true;
    fake_monitor_connect((const char *const[]){QMP_DONE(2), NULL});
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), 0);
    pthread_join(fake_monitor.thread, NULL);
    CU_ASSERT_EQUAL(xf_qmp_cont(q, err), -1);
    fake_monitor_broken(ECONNRESET, "has ended");
    fake_monitor_unlisten();
}

/* --- greeting --- */

static void test_greeting(void)
{
    static const struct {
        const char *greeting;
        int num;
        const char *words;
    } bad[] = {
        {"", ECONNRESET, "has ended"},
        {"{\"QMP\": {", ECONNRESET, "has ended"},
        {"RFB 003.008\n", EPROTO, "not JSON"},
        {"{\"QMP\": 1}\n", EPROTO, "\"QMP\""},
        {QMP_DONE(1), EPROTO, "\"QMP\""},
        {QMP_GREETING, ECONNRESET, "has ended"},
        {QMP_GREETING QMP_DONE(2), EPROTO, "not that of the command"},
        {QMP_GREETING QMP_REFUSAL(1, "CapsNegotiation"), EREMOTEIO,
         "refuses qmp_capabilities: Caps"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fake_monitor.greeting = bad[i].greeting;
        fake_monitor.hang_up = bad[i].num == ECONNRESET;
        fake_monitor_begin(NULL);
        CU_ASSERT_EQUAL(fake_monitor_dial(LONG_MS, no_tick), -1);
        fake_monitor_broken(bad[i].num, bad[i].words);
        fake_monitor_end();
    }
}

static void test_absent(void)
{
    char long_path[200];
    int fd;

    xf_clear(err);
    unlink(fake_monitor.path);
    CU_ASSERT_EQUAL(fake_monitor_dial(LONG_MS, no_tick), -1);
    fake_monitor_broken(ENOENT, fake_monitor.path);
    fake_monitor_listen();
    close(fake_monitor.listener);
    CU_ASSERT_EQUAL(fake_monitor_dial(LONG_MS, no_tick), -1);
    fake_monitor_broken(ECONNREFUSED, "cannot reach the device model of domain 7");
    unlink(fake_monitor.path);
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = 0;
    CU_ASSERT_EQUAL(xf_qmp_open(q, long_path, FAKE_MONITOR_DOMID, LONG_MS, no_tick, err), -1);
    fake_monitor_broken(ENAMETOOLONG, "too long");

    xf_qmp_path(4711, long_path);
    CU_ASSERT_STRING_EQUAL(long_path, "/var/run/xen/qmp-libxenstat-4711");

    /* No descriptor is left of one that failed. */
    fd = dup(0);
    close(fd);
    CU_ASSERT_EQUAL(fake_monitor_dial(LONG_MS, no_tick), -1);
    CU_ASSERT_EQUAL(dup(0), fd);
    close(fd);
    xf_clear(err);
}

/* --- time --- */

static unsigned ticks;

static int tick_thrice(void *priv, struct xf_err *e)
{
    (void)priv;
    return ++ticks < 3 ? 0 : xf_fail(e, ECANCELED, "enough");
}

/* Somebody else is connected: nobody greets. And with even more clients nobody can connect. */
static void test_busy(void)
{
    int clients[3];
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    fake_monitor_listen();
    CU_ASSERT_EQUAL(fake_monitor_dial(SHORT_MS, no_tick), -1);
    fake_monitor_broken(ETIMEDOUT, "is another program connected to its monitor, such as xentop?");
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", fake_monitor.path);
    for (int i = 0; i < 3; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(clients[i], (struct sockaddr *)&a, sizeof(a)))
            CU_ASSERT_EQUAL(errno, EAGAIN);
    }
    CU_ASSERT_EQUAL(fake_monitor_dial(SHORT_MS, no_tick), -1);
    fake_monitor_broken(ETIMEDOUT, "is another program connected");
    ticks = 0;
    CU_ASSERT_EQUAL(fake_monitor_dial(LONG_MS, (struct xf_tick){tick_thrice, NULL}), -1);
    fake_monitor_broken(ECANCELED, "enough");
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    fake_monitor_unlisten();
}

static void test_silence(void)
{
    fake_monitor_connect(NULL);
    q->limit_ms = SHORT_MS;
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), -1);
    fake_monitor_broken(ETIMEDOUT, "the device model of domain 7 has not answered within 150 ms");
    fake_monitor_end();
    fake_monitor_connect(NULL);
    q->tick.call = tick_thrice;
    ticks = 0;
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), -1);
    CU_ASSERT_EQUAL(ticks, 3);
    fake_monitor_broken(ECANCELED, "enough");
    fake_monitor_end();
}

/* Events without end neither prolong a call nor keep the caller from being served. */
static void test_flood(void)
{
    fake_monitor.floods = true;
    fake_monitor_connect((const char *const[]){QMP_EVENT("STOP"), NULL});
    q->limit_ms = SHORT_MS;
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), -1);
    fake_monitor_broken(ETIMEDOUT, "has not answered");
    fake_monitor_end();
    fake_monitor.floods = true;
    fake_monitor_connect((const char *const[]){QMP_EVENT("STOP"), NULL});
    q->tick.call = tick_thrice;
    ticks = 0;
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), -1);
    CU_ASSERT_EQUAL(ticks, 3);
    fake_monitor_broken(ECANCELED, "enough");
    fake_monitor_end();
}

/* Takes longer than the call may; the answer arrives meanwhile. */
static int slow_tick(void *priv, struct xf_err *e)
{
    const struct timespec pause = {.tv_nsec = SHORT_MS * 1000000};

    (void)priv;
    (void)e;
    sem_post(&fake_monitor.go);
    sem_wait(&fake_monitor.said);
    nanosleep(&pause, NULL);
    return 0;
}

static void test_late(void)
{
    fake_monitor.gated = true;
    fake_monitor_connect((const char *const[]){QMP_DONE(2), NULL});
    q->tick.call = slow_tick;
    q->limit_ms = SHORT_MS;
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), 0);
    fake_monitor_end();
}

int main(void)
{
    CU_TestInfo tests[] = {{"events", test_events},
                           {"a refusal", test_refusal},
                           {"a refusal that a terminal would obey", test_refusal_hostile},
                           {"answers that are none", test_hostile},
                           {"an answer nobody asked for", test_unasked},
                           {"answers that are late", test_late_answer},
                           {"commands that it does not read", test_deaf},
                           {"a long message", test_long},
                           {"the device model ends", test_death},
                           {"greetings that are none", test_greeting},
                           {"nobody listens", test_absent},
                           {"somebody else is connected", test_busy},
                           {"silence", test_silence},
                           {"events without end", test_flood},
                           {"an answer that arrives while the caller is served", test_late},
                           CU_TEST_INFO_NULL};
    int rc;

    fake_monitor_open();
    rc = run_suite("qmp", tests);
    fake_monitor_close();
    return rc;
}
