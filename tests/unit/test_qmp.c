/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Talking to a device model: a monitor that this file plays on a Unix socket, well behaved and
 * hostile, and QEMU itself where it is installed.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/xen/qmp_commands.h"
#include "tests/unit/hostile.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"
#include "transport/text.h"

#define DOMID 7u
#define LONG_MS 60000 /* never over in a test that succeeds */
#define SHORT_MS 150  /* is waited for */

#define GREETING                                                                                   \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "             \
    "\"package\": \"Debian\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define ANSWER(id, body) "{\"return\": " body ", \"id\": " #id "}\r\n"
#define DONE(id) ANSWER(id, "{}")
#define REFUSAL(id, desc)                                                                          \
    "{\"id\": " #id ", \"error\": {\"class\": \"GenericError\", \"desc\": \"" desc "\"}}\r\n"
#define EVENT(name)                                                                                \
    "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"" name                    \
    "\", \"data\": {\"a\": [{\"b\": {}}]}}\r\n"
#define STATUS(id, word, running)                                                                  \
    ANSWER(id, "{\"status\": \"" word "\", \"singlestep\": false, \"running\": " running "}")

static char dir[] = "/tmp/xf-qmp-XXXXXX", path[64];
static struct xf_err err;
static struct xf_qmp q;
static const struct xf_tick no_tick;

/* --- the monitor --- */

static struct {
    int listener;
    pthread_t thread;
    const char *greeting; /* NULL: it greets and agrees on capabilities as it should */
    /* What it answers, one text for each line it receives; ends with NULL. Then it reads what else
     * comes, until the client hangs up. */
    const char *const *answers;
    size_t len;       /* of the one answer, which has a NUL; 0: they have none */
    bool hang_up;     /* it ends after its last answer */
    bool drips;       /* every byte by itself */
    bool floods;      /* after its last answer, with events */
    bool deaf;        /* reads nothing after its greeting */
    bool gated;       /* before an answer it waits for `go`; has given it: `said` */
    char heard[4096]; /* after capabilities */
    sem_t go, said;
} monitor;

static bool say(int fd, const char *text, size_t len)
{
    size_t step = monitor.drips ? 1 : len;

    for (size_t at = 0; at < len; at += step)
        if (send(fd, text + at, step, MSG_NOSIGNAL) != (ssize_t)step)
            return false;
    return true;
}

/* One line into heard; false: the client has hung up, or there is no room. */
static bool hear(int fd)
{
    size_t at = strlen(monitor.heard);
    char c = 0;

    while (c != '\n' && at < sizeof(monitor.heard) - 1) {
        if (recv(fd, &c, 1, 0) != 1)
            return false;
        monitor.heard[at++] = c;
        monitor.heard[at] = 0;
    }
    return c == '\n';
}

static bool greet(int fd)
{
    if (monitor.greeting)
        return say(fd, monitor.greeting, strlen(monitor.greeting));
    if (!say(fd, GREETING, strlen(GREETING)) || !hear(fd) ||
        strcmp(monitor.heard, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n") != 0)
        return false;
    monitor.heard[0] = 0;
    return say(fd, DONE(1), strlen(DONE(1)));
}

static void *play(void *arg)
{
    int fd = accept(monitor.listener, NULL, NULL);
    bool alive = greet(fd);

    (void)arg;
    for (const char *const *a = monitor.answers; alive && *a && (alive = hear(fd)); a++) {
        if (monitor.gated)
            sem_wait(&monitor.go);
        alive = say(fd, *a, monitor.len ? monitor.len : strlen(*a));
        if (monitor.gated)
            sem_post(&monitor.said);
    }
    if (monitor.deaf)
        poll(&(struct pollfd){.fd = fd}, 1, -1); /* until the client hangs up */
    while (alive && monitor.floods)
        alive = say(fd, EVENT("RTC_CHANGE"), strlen(EVENT("RTC_CHANGE")));
    while (alive && !monitor.hang_up)
        alive = hear(fd);
    close(fd);
    return NULL;
}

static void listen_at(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    unlink(path);
    monitor.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(monitor.listener >= 0 &&
                    !bind(monitor.listener, (struct sockaddr *)&a, sizeof(a)) &&
                    !listen(monitor.listener, 0));
    monitor.heard[0] = 0;
    xf_clear(&err);
}

/* The rest of the monitor's members are the caller's to set before. */
static void begin(const char *const *answers)
{
    static const char *const none[] = {NULL};

    monitor.answers = answers ? answers : none;
    listen_at();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&monitor.thread, NULL, play, NULL), 0);
}

static int dial(int limit_ms, struct xf_tick tick)
{
    return xf_qmp_open(&q, path, DOMID, limit_ms, tick, &err);
}

static void connected(const char *const *answers)
{
    begin(answers);
    CU_ASSERT_EQUAL_FATAL(dial(LONG_MS, no_tick), 0);
}

static void tidy(void)
{
    close(monitor.listener);
    unlink(path);
    monitor.greeting = NULL;
    monitor.len = 0;
    monitor.hang_up = monitor.drips = monitor.floods = monitor.deaf = monitor.gated = false;
}

/* The monitor's heard is valid from here on. */
static void end(void)
{
    xf_qmp_close(&q);
    pthread_join(monitor.thread, NULL);
    tidy();
}

static void says(const char *words)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, words));
    if (!strstr(err.text, words))
        fprintf(stderr, "it says: %s\n", err.text);
}

/* A call has failed, the connection is closed, and stays so. */
static void broken(int num, const char *words)
{
    enum xf_qmp_state state;

    CU_ASSERT_EQUAL(err.num, num);
    says(words);
    CU_ASSERT(xf_text_is_clean(err.text, strlen(err.text)));
    CU_ASSERT(q.fd == -1 && !q.in);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_qmp_status(&q, &state, &err), -1);
    CU_ASSERT_EQUAL(err.num, ENOTCONN);
    xf_clear(&err);
}

/* --- as it should be --- */

static void test_session(void)
{
    static const char *const answers[] = {
        STATUS(2, "running", "true"),
        ANSWER(3, "{\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"x\"}"),
        ANSWER(4, "{\"status\": \"completed\", \"downtime\": 3}"),
        DONE(5),
        EVENT("STOP") DONE(6),
        DONE(7),
        EVENT("RESUME") DONE(8),
        DONE(9),
        NULL};
    struct xf_qmp_version version;
    char reasons[XF_QMP_REASONS];
    enum xf_qmp_state state;

    connected(answers);
    CU_ASSERT_EQUAL(xf_qmp_status(&q, &state, &err), 0);
    CU_ASSERT_EQUAL(state, XF_QMP_IS_RUNNING);
    CU_ASSERT_EQUAL(xf_qmp_version(&q, &version, &err), 0);
    CU_ASSERT(version.major == 7 && version.minor == 2 && version.micro == 22);
    CU_ASSERT_EQUAL(xf_qmp_blocked(&q, reasons, &err), 0);
    CU_ASSERT_STRING_EQUAL(reasons, "");
    CU_ASSERT_EQUAL(xf_qmp_log_on(&q, &err), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), 0);
    CU_ASSERT_EQUAL(q.seen, XF_QMP_STOP);
    CU_ASSERT_EQUAL(xf_qmp_save(&q, "/run/a \"b\"/dm-7", &err), 0);
    CU_ASSERT_EQUAL(xf_qmp_cont(&q, &err), 0);
    CU_ASSERT_EQUAL(q.seen, XF_QMP_STOP | XF_QMP_RESUME);
    CU_ASSERT_EQUAL(xf_qmp_log_off(&q, &err), 0);
    CU_ASSERT_EQUAL(err.num, 0);
    end();
    CU_ASSERT_STRING_EQUAL(
        monitor.heard,
        "{\"execute\":\"query-status\",\"id\":2}\n"
        "{\"execute\":\"query-version\",\"id\":3}\n"
        "{\"execute\":\"query-migrate\",\"id\":4}\n"
        "{\"execute\":\"xen-set-global-dirty-log\",\"arguments\":{\"enable\":true},\"id\":5}\n"
        "{\"execute\":\"stop\",\"id\":6}\n"
        "{\"execute\":\"xen-save-devices-state\","
        "\"arguments\":{\"filename\":\"/run/a \\\"b\\\"/dm-7\",\"live\":true},\"id\":7}\n"
        "{\"execute\":\"cont\",\"id\":8}\n"
        "{\"execute\":\"xen-set-global-dirty-log\",\"arguments\":{\"enable\":false},\"id\":9}\n");
}

static void test_status(void)
{
    static const struct {
        const char *answer;
        enum xf_qmp_state state;
    } good[] = {
        {STATUS(2, "running", "true"), XF_QMP_IS_RUNNING},
        {STATUS(2, "paused", "false"), XF_QMP_IS_PAUSED},
        {STATUS(2, "inmigrate", "false"), XF_QMP_IS_INMIGRATE},
        {STATUS(2, "prelaunch", "false"), XF_QMP_IS_OTHER},
        {STATUS(2, "internal-error", "false"), XF_QMP_IS_OTHER},
    };
    static const char *const bad[] = {
        STATUS(2, "running", "false"),
        STATUS(2, "paused", "true"),
        STATUS(2, "inmigrate", "true"),
        STATUS(2, "suspended", "true"),
        STATUS(2, "running", "1"),
        ANSWER(2, "{\"status\": \"running\"}"),
        ANSWER(2, "{\"running\": true}"),
        STATUS(2, "a status of more than thirty bytes", "false"),
        STATUS(2, "run\\u001bning", "false"),
    };
    enum xf_qmp_state state;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        connected((const char *const[]){good[i].answer, NULL});
        CU_ASSERT_EQUAL(xf_qmp_status(&q, &state, &err), 0);
        CU_ASSERT_EQUAL(state, good[i].state);
        CU_ASSERT(q.fd >= 0);
        end();
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        connected((const char *const[]){bad[i], NULL});
        CU_ASSERT_EQUAL(xf_qmp_status(&q, &state, &err), -1);
        broken(EPROTO, "device model");
        end();
    }
}

static void test_version(void)
{
    static const char *const bad[] = {
        ANSWER(2, "{\"package\": \"7.2.22\"}"),
        ANSWER(2, "{\"qemu\": \"7.2.22\"}"),
        ANSWER(2, "{\"qemu\": {\"major\": 7, \"minor\": 2}}"),
        ANSWER(2, "{\"qemu\": {\"major\": 1000, \"minor\": 2, \"micro\": 1}}"),
        ANSWER(2, "{\"qemu\": {\"major\": 7, \"minor\": -1, \"micro\": 1}}"),
        ANSWER(2, "{\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": \"1\"}}"),
    };
    struct xf_qmp_version version;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        connected((const char *const[]){bad[i], NULL});
        CU_ASSERT_EQUAL(xf_qmp_version(&q, &version, &err), -1);
        broken(EPROTO, "device model");
        end();
    }
}

/* --- events --- */

/* Before an answer, behind it, in pieces; and one that nobody knows. */
static void test_events(void)
{
    static const char *const answers[] = {
        EVENT("VNC_CONNECTED") EVENT("SHUTDOWN") STATUS(2, "paused", "false") EVENT("RESUME"),
        EVENT("STOP") STATUS(3, "running", "true") "{\"event\": \"RE",
        "SET\"}\n" STATUS(4, "running", "true"), NULL};
    enum xf_qmp_state state;

    for (int drips = 0; drips < 2; drips++) {
        monitor.drips = drips;
        connected(answers);
        CU_ASSERT_EQUAL(q.seen, 0);
        CU_ASSERT_EQUAL(xf_qmp_status(&q, &state, &err), 0);
        CU_ASSERT_EQUAL(state, XF_QMP_IS_PAUSED);
        CU_ASSERT_EQUAL(q.seen, XF_QMP_SHUTDOWN);
        q.seen = 0;
        CU_ASSERT_EQUAL(xf_qmp_status(&q, &state, &err), 0);
        CU_ASSERT_EQUAL(q.seen, XF_QMP_STOP | XF_QMP_RESUME);
        CU_ASSERT_EQUAL(xf_qmp_status(&q, &state, &err), 0);
        CU_ASSERT_EQUAL(q.seen, XF_QMP_STOP | XF_QMP_RESUME);
        end();
    }
}

/* --- refusals --- */

static void test_refusal(void)
{
    static char wordy[4000];
    const char *answers[] = {REFUSAL(2, "Failed to get \\\"write\\\" lock"), wordy, DONE(4), NULL};
    int n;

    n = snprintf(wordy, sizeof(wordy),
                 "{\"id\": 3, \"error\": {\"class\": \"GenericError\", "
                 "\"desc\": \"");
    memset(wordy + n, 'w', 3000);
    strcpy(wordy + n + 3000, "\"}}\r\n");
    connected(answers);
    CU_ASSERT_EQUAL(xf_qmp_cont(&q, &err), -1);
    CU_ASSERT_EQUAL(err.num, EREMOTEIO);
    CU_ASSERT_STRING_EQUAL(
        err.text, "the device model of domain 7 refuses cont: Failed to get \"write\" lock");
    CU_ASSERT(q.fd >= 0);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_qmp_cont(&q, &err), -1);
    CU_ASSERT_EQUAL(err.num, EREMOTEIO);
    says("cont: wwwwww");
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_qmp_cont(&q, &err), 0);
    end();
}

static void test_refusal_hostile(void)
{
    char text[200], expected[200];

    for (size_t i = 0; i < sizeof(hostiles) / sizeof(hostiles[0]); i++) {
        snprintf(text, sizeof(text), REFUSAL(2, "no: %s!"),
                 hostiles[i].json ? hostiles[i].json : hostiles[i].text);
        snprintf(expected, sizeof(expected), "refuses stop: no: %s!", hostiles[i].clean);
        connected((const char *const[]){text, NULL});
        CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), -1);
        CU_ASSERT_EQUAL(err.num, EREMOTEIO);
        says(expected);
        end();
    }
}

static void test_blocked(void)
{
    static const struct {
        const char *answer, *reasons;
    } good[] = {
        {ANSWER(2, "{}"), ""},
        {ANSWER(2, "{\"blocked-reasons\": []}"), ""},
        {ANSWER(2, "{\"blocked-reasons\": [\"one\"]}"), "one"},
        {ANSWER(2, "{\"blocked-reasons\": [\"a\\u001b\", \"b\\n\", \"c\"]}"), "a?; b ; c"},
        {ANSWER(2, "{\"blocked-reasons\": [\"a\", \"b\", \"c\", \"d\", 5]}"),
         "a; b; c; and 2 more"},
    };
    static const char *const bad[] = {
        ANSWER(2, "{\"blocked-reasons\": \"one\"}"),
        ANSWER(2, "{\"blocked-reasons\": null}"),
        ANSWER(2, "{\"blocked-reasons\": [\"a\", 7]}"),
    };
    static char many[XF_QMP_LINE];
    char reasons[XF_QMP_REASONS];
    int n;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        connected((const char *const[]){good[i].answer, NULL});
        CU_ASSERT_EQUAL(xf_qmp_blocked(&q, reasons, &err), 0);
        CU_ASSERT_STRING_EQUAL(reasons, good[i].reasons);
        end();
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        connected((const char *const[]){bad[i], NULL});
        CU_ASSERT_EQUAL(xf_qmp_blocked(&q, reasons, &err), -1);
        broken(EPROTO, "blocked-reasons");
        end();
    }
    /* Three of the longest, and the largest number: all of it fits. */
    n = sprintf(many, "{\"id\": 2, \"return\": {\"blocked-reasons\": [");
    for (int i = 0; i < 4096; i++)
        n += sprintf(many + n, "%s\"%0*d\"", i ? ", " : "", i < 3 ? 5000 : 1, i);
    strcpy(many + n, "]}}\n");
    connected((const char *const[]){many, NULL});
    CU_ASSERT_EQUAL(xf_qmp_blocked(&q, reasons, &err), 0);
    CU_ASSERT(strlen(reasons) > 300);
    CU_ASSERT_PTR_NOT_NULL(strstr(reasons, "0; and 4093 more"));
    end();
    strcpy(many + n, ", \"one too many\"]}}\n");
    connected((const char *const[]){many, NULL});
    CU_ASSERT_EQUAL(xf_qmp_blocked(&q, reasons, &err), -1);
    broken(EPROTO, "too many");
    end();
}

/* --- what must not be sent --- */

#define ENABLE "\"arguments\":{\"enable\":true}"
#define DISABLE "\"arguments\":{\"enable\":false}"

static unsigned count(const char *words)
{
    unsigned n = 0;

    for (const char *at = monitor.heard; (at = strstr(at, words)); at++)
        n++;
    return n;
}

/* Disabling aborts QEMU unless it has been enabled: so only once, after our own enable has been
 * answered, also on a later connection. */
static void test_log(void)
{
    static const char *const refused[] = {REFUSAL(2, "no"), NULL};
    static const char *const both[] = {DONE(2), DONE(3), NULL};
    static const char *const first[] = {DONE(2), NULL};

    q = XF_QMP_CLOSED;
    connected(NULL);
    CU_ASSERT_EQUAL(xf_qmp_log_off(&q, &err), 0);
    end();
    CU_ASSERT_STRING_EQUAL(monitor.heard, "");

    connected(refused);
    CU_ASSERT_EQUAL(xf_qmp_log_on(&q, &err), -1);
    CU_ASSERT_EQUAL(xf_qmp_log_off(&q, NULL), 0);
    end();
    CU_ASSERT(count(ENABLE) == 1 && !count(DISABLE));

    /* Enabling was not answered. */
    monitor.hang_up = true;
    begin((const char *const[]){"", NULL});
    CU_ASSERT_EQUAL(dial(LONG_MS, no_tick), 0);
    CU_ASSERT_EQUAL(xf_qmp_log_on(&q, &err), -1);
    CU_ASSERT_EQUAL(err.num, ECONNRESET);
    end();
    connected(NULL);
    CU_ASSERT_EQUAL(xf_qmp_log_off(&q, &err), 0);
    end();
    CU_ASSERT_STRING_EQUAL(monitor.heard, "");

    connected(both);
    CU_ASSERT_EQUAL(xf_qmp_log_on(&q, &err), 0);
    CU_ASSERT_EQUAL(xf_qmp_log_on(&q, &err), 0);
    end();
    connected(both);
    CU_ASSERT_EQUAL(xf_qmp_log_off(&q, &err), 0);
    CU_ASSERT_EQUAL(xf_qmp_log_off(&q, &err), 0);
    end();
    CU_ASSERT(count(DISABLE) == 1);

    /* Disabling was not answered. */
    connected(first);
    CU_ASSERT_EQUAL(xf_qmp_log_on(&q, &err), 0);
    end();
    monitor.hang_up = true;
    begin((const char *const[]){"", NULL});
    CU_ASSERT_EQUAL(dial(LONG_MS, no_tick), 0);
    CU_ASSERT_EQUAL(xf_qmp_log_off(&q, &err), -1);
    end();
    CU_ASSERT(count(DISABLE) == 1);
    connected(NULL);
    CU_ASSERT_EQUAL(xf_qmp_log_off(&q, &err), 0);
    end();
    CU_ASSERT_STRING_EQUAL(monitor.heard, "");

    /* Another domain's. */
    connected(first);
    CU_ASSERT_EQUAL(xf_qmp_log_on(&q, &err), 0);
    end();
    begin(NULL);
    CU_ASSERT_EQUAL(xf_qmp_open(&q, path, DOMID + 1, LONG_MS, no_tick, &err), 0);
    CU_ASSERT_EQUAL(xf_qmp_log_off(&q, &err), 0);
    end();
    CU_ASSERT_STRING_EQUAL(monitor.heard, "");
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
        {DONE(3), "not that of the command"},
        {DONE(1), "not that of the command"},
        {"{\"return\": {}, \"id\": -2}\r\n", "\"id\""},
        {"{\"return\": {}, \"id\": \"2\"}\r\n", "\"id\""},
        {"{\"return\": {}}\r\n", "\"id\""},
        {GREETING, "\"id\""},
        {"{\"id\": 2}\r\n", "\"return\""},
        {ANSWER(2, "[]"), "\"return\""},
        {ANSWER(2, "null"), "\"return\""},
        {"{\"id\": 2, \"error\": \"no\"}\r\n", "\"error\""},
        {"{\"id\": 2, \"error\": {\"class\": \"GenericError\"}}\r\n", "\"desc\""},
        {"{\"id\": 2, \"error\": {\"desc\": 5}, \"return\": {}}\r\n", "\"desc\""},
        {"{\"error\": {\"class\": \"GenericError\", \"desc\": \"Invalid JSON\"}}\r\n", "\"id\""},
        {"{\"event\": 5}\r\n" DONE(2), "\"event\""},
        {"{\"event\": \"STOP\\u0000\"}\r\n" DONE(2), "\"event\""},
        {"{\"event\": \"an event with a name that is longer than any event of QEMU's has\"}\r\n",
         "\"event\""},
    };
    static const char with_nul[] = "{\"return\": {}, \"id\": 2}\0\n";
    char deep[256];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        connected((const char *const[]){bad[i].answer, NULL});
        CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), -1);
        broken(EPROTO, bad[i].words);
        end();
    }
    monitor.len = sizeof(with_nul) - 1;
    connected((const char *const[]){with_nul, NULL});
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), -1);
    broken(EPROTO, "JSON");
    end();
    for (int i = 0; i < 40; i++)
        strcpy(deep + 5 * i, "{\"a\":");
    strcpy(deep + 5 * 40, "{}");
    memset(deep + 5 * 40 + 2, '}', 40);
    strcpy(deep + 6 * 40 + 2, "\n");
    connected((const char *const[]){deep, NULL});
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), -1);
    broken(EPROTO, "nesting too deep");
    end();
}

/* What comes behind an answer and is no event spoils the next command. */
static void test_unasked(void)
{
    connected((const char *const[]){DONE(2) DONE(2), DONE(3), NULL});
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), 0);
    CU_ASSERT_EQUAL(xf_qmp_cont(&q, &err), -1);
    broken(EPROTO, "not that of the command");
    end();
}

/* It answers what it has not read, until the socket's buffer is full. */
static void test_deaf(void)
{
    static char text[64 * 2000];
    size_t len = strlen(strcpy(text, GREETING));
    int rc = 0;

    for (int id = 1; id < 2000; id++)
        len += (size_t)sprintf(text + len, "{\"return\": {}, \"id\": %d}\n", id);
    monitor.greeting = text;
    monitor.deaf = true;
    begin(NULL);
    CU_ASSERT_EQUAL_FATAL(dial(LONG_MS, no_tick), 0);
    for (int i = 2; i < 2000 && !rc; i++)
        rc = xf_qmp_stop(&q, &err);
    broken(EPROTO, "does not read its commands");
    end();
}

/* The longest line, and one byte more; as an event, so that it is all in one message. */
static void test_long(void)
{
    static char text[XF_QMP_LINE + 1 + sizeof(DONE(2))];
    const char start[] = "{\"event\": \"STOP\", \"data\": \"", tail[] = "\"}\n";

    for (unsigned more = 0; more < 2; more++) {
        size_t len = XF_QMP_LINE + more;

        memset(text, 'x', len);
        memcpy(text, start, strlen(start));
        strcpy(text + len - strlen(tail), tail);
        strcpy(text + len, DONE(2));
        connected((const char *const[]){text, NULL});
        CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), more ? -1 : 0);
        if (more)
            broken(EPROTO, "longer than 256 KiB");
        else
            CU_ASSERT_EQUAL(q.seen, XF_QMP_STOP);
        end();
    }
    /* And one that has no end. */
    memset(text, ' ', sizeof(text) - 1);
    connected((const char *const[]){text, NULL});
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), -1);
    broken(EPROTO, "longer than 256 KiB");
    end();
}

static void test_death(void)
{
    static const char *const last[] = {"", "{\"return\": {}, \"id\": 2}", EVENT("SHUTDOWN")};

    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        monitor.hang_up = true;
        connected((const char *const[]){last[i], NULL});
        CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), -1);
        CU_ASSERT_EQUAL(q.seen, i == 2 ? XF_QMP_SHUTDOWN : 0);
        broken(ECONNRESET, "the device model of domain 7 has ended");
        end();
    }
    /* Between two commands. */
    monitor.hang_up = true;
    connected((const char *const[]){DONE(2), NULL});
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), 0);
    pthread_join(monitor.thread, NULL);
    CU_ASSERT_EQUAL(xf_qmp_cont(&q, &err), -1);
    broken(ECONNRESET, "has ended");
    tidy();
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
        {DONE(1), EPROTO, "\"QMP\""},
        {GREETING, ECONNRESET, "has ended"},
        {GREETING DONE(2), EPROTO, "not that of the command"},
        {GREETING REFUSAL(1, "CapsNegotiation"), EREMOTEIO, "refuses qmp_capabilities: Caps"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        monitor.greeting = bad[i].greeting;
        monitor.hang_up = bad[i].num == ECONNRESET;
        begin(NULL);
        CU_ASSERT_EQUAL(dial(LONG_MS, no_tick), -1);
        broken(bad[i].num, bad[i].words);
        end();
    }
}

static void test_absent(void)
{
    char long_path[200];
    int fd;

    xf_clear(&err);
    unlink(path);
    CU_ASSERT_EQUAL(dial(LONG_MS, no_tick), -1);
    broken(ENOENT, path);
    listen_at();
    close(monitor.listener);
    CU_ASSERT_EQUAL(dial(LONG_MS, no_tick), -1);
    broken(ECONNREFUSED, "cannot reach the device model of domain 7");
    unlink(path);
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = 0;
    CU_ASSERT_EQUAL(xf_qmp_open(&q, long_path, DOMID, LONG_MS, no_tick, &err), -1);
    broken(ENAMETOOLONG, "too long");

    xf_qmp_path(4711, long_path);
    CU_ASSERT_STRING_EQUAL(long_path, "/var/run/xen/qmp-libxenstat-4711");

    /* No descriptor is left of one that failed. */
    fd = dup(0);
    close(fd);
    CU_ASSERT_EQUAL(dial(LONG_MS, no_tick), -1);
    CU_ASSERT_EQUAL(dup(0), fd);
    close(fd);
    xf_clear(&err);
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

    listen_at();
    CU_ASSERT_EQUAL(dial(SHORT_MS, no_tick), -1);
    broken(ETIMEDOUT, "is another program connected to its monitor, such as xentop?");
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    for (int i = 0; i < 3; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(clients[i], (struct sockaddr *)&a, sizeof(a)))
            CU_ASSERT_EQUAL(errno, EAGAIN);
    }
    CU_ASSERT_EQUAL(dial(SHORT_MS, no_tick), -1);
    broken(ETIMEDOUT, "is another program connected");
    ticks = 0;
    CU_ASSERT_EQUAL(dial(LONG_MS, (struct xf_tick){tick_thrice, NULL}), -1);
    broken(ECANCELED, "enough");
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    tidy();
}

static void test_silence(void)
{
    begin(NULL);
    CU_ASSERT_EQUAL_FATAL(dial(SHORT_MS, no_tick), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), -1);
    broken(ETIMEDOUT, "the device model of domain 7 has not answered within 150 ms");
    end();
    begin(NULL);
    ticks = 0;
    CU_ASSERT_EQUAL_FATAL(dial(LONG_MS, (struct xf_tick){tick_thrice, NULL}), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), -1);
    CU_ASSERT_EQUAL(ticks, 3);
    broken(ECANCELED, "enough");
    end();
}

/* Events without end neither prolong a call nor keep the caller from being served. */
static void test_flood(void)
{
    monitor.floods = true;
    begin((const char *const[]){EVENT("STOP"), NULL});
    CU_ASSERT_EQUAL_FATAL(dial(SHORT_MS, no_tick), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), -1);
    broken(ETIMEDOUT, "has not answered");
    end();
    monitor.floods = true;
    begin((const char *const[]){EVENT("STOP"), NULL});
    ticks = 0;
    CU_ASSERT_EQUAL_FATAL(dial(LONG_MS, (struct xf_tick){tick_thrice, NULL}), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), -1);
    CU_ASSERT_EQUAL(ticks, 3);
    broken(ECANCELED, "enough");
    end();
}

/* Takes longer than the call may; the answer arrives meanwhile. */
static int slow_tick(void *priv, struct xf_err *e)
{
    const struct timespec pause = {.tv_nsec = SHORT_MS * 1000000};

    (void)priv;
    (void)e;
    sem_post(&monitor.go);
    sem_wait(&monitor.said);
    nanosleep(&pause, NULL);
    return 0;
}

static void test_late(void)
{
    monitor.gated = true;
    begin((const char *const[]){DONE(2), NULL});
    CU_ASSERT_EQUAL_FATAL(dial(SHORT_MS, (struct xf_tick){slow_tick, NULL}), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), 0);
    end();
}

/* --- QEMU itself --- */

#define QEMU "/usr/bin/qemu-system-x86_64"

/* Start one that has no machine, and connect. */
static pid_t start_qemu(bool incoming)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    int64_t until = xf_now_ms() + LONG_MS;
    char at[100];
    pid_t pid;

    snprintf(at, sizeof(at), "unix:%s,server=on,wait=off", path);
    fflush(NULL);
    pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(QEMU, QEMU, "-machine", "none", "-display", "none", "-nodefaults", "-qmp", at,
              incoming ? "-incoming" : NULL, "defer", (char *)NULL);
        _exit(127);
    }
    CU_ASSERT_FATAL(pid > 0);
    xf_clear(&err);
    while (dial(LONG_MS, no_tick) && (err.num == ENOENT || err.num == ECONNREFUSED) &&
           !waitpid(pid, NULL, WNOHANG) && xf_now_ms() < until) {
        xf_clear(&err);
        nanosleep(&pause, NULL);
    }
    CU_ASSERT_EQUAL_FATAL(err.num, 0);
    return pid;
}

static bool is(enum xf_qmp_state wanted)
{
    enum xf_qmp_state state;

    return !xf_qmp_status(&q, &state, &err) && state == wanted;
}

static void test_qemu_runs(void)
{
    char file[64], magic[5] = "";
    struct xf_qmp_version version;
    char reasons[XF_QMP_REASONS];
    FILE *f;
    pid_t pid;

    if (access(QEMU, X_OK)) {
        printf("skipped: no " QEMU "\n");
        return;
    }
    pid = start_qemu(false);
    CU_ASSERT(is(XF_QMP_IS_RUNNING));
    CU_ASSERT_EQUAL(xf_qmp_version(&q, &version, &err), 0);
    CU_ASSERT(version.major >= 6);
    CU_ASSERT_EQUAL(xf_qmp_blocked(&q, reasons, &err), 0);
    CU_ASSERT_STRING_EQUAL(reasons, "");
    CU_ASSERT_EQUAL(xf_qmp_log_off(&q, &err), 0); /* not sent, or it would abort */
    CU_ASSERT_EQUAL(xf_qmp_log_on(&q, &err), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), 0);
    CU_ASSERT(is(XF_QMP_IS_PAUSED));
    CU_ASSERT_EQUAL(xf_qmp_save(&q, "/nowhere/at/all", &err), -1);
    CU_ASSERT_EQUAL(err.num, EREMOTEIO);
    says("/nowhere/at/all");
    xf_clear(&err);
    snprintf(file, sizeof(file), "%s/state", dir);
    CU_ASSERT_EQUAL(xf_qmp_save(&q, file, &err), 0);
    f = fopen(file, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT(fread(magic, 1, 4, f) == 4 && !strcmp(magic, "QEVM"));
    fclose(f);
    unlink(file);
    CU_ASSERT_EQUAL(xf_qmp_cont(&q, &err), 0);
    CU_ASSERT(is(XF_QMP_IS_RUNNING));
    CU_ASSERT_EQUAL(q.seen, XF_QMP_STOP | XF_QMP_RESUME);
    CU_ASSERT_EQUAL(xf_qmp_log_off(&q, &err), 0);
    CU_ASSERT_EQUAL(err.num, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CU_ASSERT(!is(XF_QMP_IS_RUNNING));
    broken(ECONNRESET, "has ended");
    unlink(path);
}

static void test_qemu_waits(void)
{
    pid_t pid;

    if (access(QEMU, X_OK)) {
        printf("skipped: no " QEMU "\n");
        return;
    }
    pid = start_qemu(true);
    CU_ASSERT(is(XF_QMP_IS_INMIGRATE));
    CU_ASSERT_EQUAL(xf_qmp_stop(&q, &err), 0);
    CU_ASSERT(is(XF_QMP_IS_INMIGRATE));
    CU_ASSERT_EQUAL(xf_qmp_cont(&q, &err), 0);
    CU_ASSERT(is(XF_QMP_IS_INMIGRATE));
    xf_qmp_close(&q);
    CU_ASSERT_EQUAL(dial(LONG_MS, no_tick), 0); /* and once more */
    CU_ASSERT(is(XF_QMP_IS_INMIGRATE));
    xf_qmp_close(&q);
    CU_ASSERT_EQUAL(err.num, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    unlink(path);
}

int main(void)
{
    CU_TestInfo tests[] = {{"each command, and what is sent", test_session},
                           {"the words of a status", test_status},
                           {"versions", test_version},
                           {"events", test_events},
                           {"a refusal", test_refusal},
                           {"a refusal that a terminal would obey", test_refusal_hostile},
                           {"why devices cannot be migrated", test_blocked},
                           {"a dirty log is turned off only if it is on", test_log},
                           {"answers that are none", test_hostile},
                           {"an answer nobody asked for", test_unasked},
                           {"commands that it does not read", test_deaf},
                           {"a long message", test_long},
                           {"the device model ends", test_death},
                           {"greetings that are none", test_greeting},
                           {"nobody listens", test_absent},
                           {"somebody else is connected", test_busy},
                           {"silence", test_silence},
                           {"events without end", test_flood},
                           {"an answer that arrives while the caller is served", test_late},
                           {"QEMU itself, running and stopped", test_qemu_runs},
                           {"QEMU itself, waiting for its state", test_qemu_waits},
                           CU_TEST_INFO_NULL};
    int rc;

    if (!mkdtemp(dir) || sem_init(&monitor.go, 0, 0) || sem_init(&monitor.said, 0, 0))
        return 2;
    snprintf(path, sizeof(path), "%s/qmp", dir);
    q = XF_QMP_CLOSED;
    rc = run_suite("qmp", tests);
    rmdir(dir);
    return rc;
}
