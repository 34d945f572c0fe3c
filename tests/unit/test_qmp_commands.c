/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands of a device model: what is sent, which answers are taken, what must not be sent; to
 * a monitor that the test plays, and to QEMU itself where it is installed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/xen/qmp_commands.h"
#include "tests/unit/fake_monitor.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define LONG_MS 60000 /* never over in a test that succeeds */

static const struct xf_tick no_tick;
static struct xf_qmp *const q = &fake_monitor.q;
static struct xf_err *const err = &fake_monitor.err;

static void test_session(void)
{
    static const char *const answers[] = {
        QMP_STATUS(2, "running", "true"),
        QMP_ANSWER(3,
                   "{\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"x\"}"),
        QMP_ANSWER(4, "{\"status\": \"completed\", \"downtime\": 3}"),
        QMP_DONE(5),
        QMP_EVENT("STOP") QMP_DONE(6),
        QMP_DONE(7),
        QMP_EVENT("RESUME") QMP_DONE(8),
        QMP_DONE(9),
        QMP_DONE(10),
        NULL};
    struct xf_qmp_version version;
    char reasons[XF_QMP_REASONS];
    enum xf_qmp_state state;

    fake_monitor_connect(answers);
    CU_ASSERT_EQUAL(xf_qmp_status(q, &state, err), 0);
    CU_ASSERT_EQUAL(state, XF_QMP_IS_RUNNING);
    CU_ASSERT_EQUAL(xf_qmp_version(q, &version, err), 0);
    CU_ASSERT(version.major == 7 && version.minor == 2 && version.micro == 22);
    CU_ASSERT_EQUAL(xf_qmp_blocked(q, reasons, err), 0);
    CU_ASSERT_STRING_EQUAL(reasons, "");
    CU_ASSERT_EQUAL(xf_qmp_log_on(q, err), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), 0);
    CU_ASSERT_EQUAL(q->seen, XF_QMP_STOP);
    CU_ASSERT_EQUAL(xf_qmp_save(q, "/run/a \"b\"/dm-7", err), 0);
    CU_ASSERT_EQUAL(xf_qmp_cont(q, err), 0);
    CU_ASSERT_EQUAL(q->seen, XF_QMP_STOP | XF_QMP_RESUME);
    CU_ASSERT_EQUAL(xf_qmp_log_off(q, err), 0);
    CU_ASSERT_EQUAL(xf_qmp_announce(q, err), 0);
    CU_ASSERT_EQUAL(err->num, 0);
    fake_monitor_end();
    CU_ASSERT_STRING_EQUAL(
        fake_monitor.heard,
        "{\"execute\":\"query-status\",\"id\":2}\n"
        "{\"execute\":\"query-version\",\"id\":3}\n"
        "{\"execute\":\"query-migrate\",\"id\":4}\n"
        "{\"execute\":\"xen-set-global-dirty-log\",\"arguments\":{\"enable\":true},\"id\":5}\n"
        "{\"execute\":\"stop\",\"id\":6}\n"
        "{\"execute\":\"xen-save-devices-state\","
        "\"arguments\":{\"filename\":\"/run/a \\\"b\\\"/dm-7\",\"live\":true},\"id\":7}\n"
        "{\"execute\":\"cont\",\"id\":8}\n"
        "{\"execute\":\"xen-set-global-dirty-log\",\"arguments\":{\"enable\":false},\"id\":9}\n"
        "{\"execute\":\"announce-self\","
        "\"arguments\":{\"initial\":50,\"max\":1000,\"rounds\":10,\"step\":100},\"id\":10}\n");
}

static void test_status(void)
{
    static const struct {
        const char *answer;
        enum xf_qmp_state state;
    } good[] = {
        {QMP_STATUS(2, "running", "true"), XF_QMP_IS_RUNNING},
        {QMP_STATUS(2, "paused", "false"), XF_QMP_IS_PAUSED},
        {QMP_STATUS(2, "inmigrate", "false"), XF_QMP_IS_INMIGRATE},
        {QMP_STATUS(2, "prelaunch", "false"), XF_QMP_IS_OTHER},
        {QMP_STATUS(2, "internal-error", "false"), XF_QMP_IS_OTHER},
    };
    static const char *const bad[] = {
        QMP_STATUS(2, "running", "false"),
        QMP_STATUS(2, "paused", "true"),
        QMP_STATUS(2, "inmigrate", "true"),
        QMP_STATUS(2, "suspended", "true"),
        QMP_STATUS(2, "running", "1"),
        QMP_ANSWER(2, "{\"status\": \"running\"}"),
        QMP_ANSWER(2, "{\"running\": true}"),
        QMP_STATUS(2, "a status of more than thirty bytes", "false"),
        QMP_STATUS(2, "run\\u001bning", "false"),
    };
    enum xf_qmp_state state;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        fake_monitor_connect((const char *const[]){good[i].answer, NULL});
        CU_ASSERT_EQUAL(xf_qmp_status(q, &state, err), 0);
        CU_ASSERT_EQUAL(state, good[i].state);
        CU_ASSERT(q->fd >= 0);
        fake_monitor_end();
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fake_monitor_connect((const char *const[]){bad[i], NULL});
        CU_ASSERT_EQUAL(xf_qmp_status(q, &state, err), -1);
        fake_monitor_broken(EPROTO, "device model");
        fake_monitor_end();
    }
}

static void test_version(void)
{
    static const char *const bad[] = {
        QMP_ANSWER(2, "{\"package\": \"7.2.22\"}"),
        QMP_ANSWER(2, "{\"qemu\": \"7.2.22\"}"),
        QMP_ANSWER(2, "{\"qemu\": {\"major\": 7, \"minor\": 2}}"),
        QMP_ANSWER(2, "{\"qemu\": {\"major\": 1000, \"minor\": 2, \"micro\": 1}}"),
        QMP_ANSWER(2, "{\"qemu\": {\"major\": 7, \"minor\": -1, \"micro\": 1}}"),
        QMP_ANSWER(2, "{\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": \"1\"}}"),
    };
    struct xf_qmp_version version;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fake_monitor_connect((const char *const[]){bad[i], NULL});
        CU_ASSERT_EQUAL(xf_qmp_version(q, &version, err), -1);
        fake_monitor_broken(EPROTO, "device model");
        fake_monitor_end();
    }
}

static void test_blocked(void)
{
    static const struct {
        const char *answer, *reasons;
    } good[] = {
        {QMP_ANSWER(2, "{}"), ""},
        {QMP_ANSWER(2, "{\"blocked-reasons\": []}"), ""},
        {QMP_ANSWER(2, "{\"blocked-reasons\": [\"one\"]}"), "one"},
        {QMP_ANSWER(2, "{\"blocked-reasons\": [\"a\\u001b\", \"b\\n\", \"c\"]}"), "a?; b ; c"},
        {QMP_ANSWER(2, "{\"blocked-reasons\": [\"a\", \"b\", \"c\", \"d\", 5]}"),
         "a; b; c; and 2 more"},
    };
    static const char *const bad[] = {
        QMP_ANSWER(2, "{\"blocked-reasons\": \"one\"}"),
        QMP_ANSWER(2, "{\"blocked-reasons\": null}"),
        QMP_ANSWER(2, "{\"blocked-reasons\": [\"a\", 7]}"),
    };
    static char many[XF_QMP_LINE];
    char reasons[XF_QMP_REASONS];
    int n;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        fake_monitor_connect((const char *const[]){good[i].answer, NULL});
        CU_ASSERT_EQUAL(xf_qmp_blocked(q, reasons, err), 0);
        CU_ASSERT_STRING_EQUAL(reasons, good[i].reasons);
        fake_monitor_end();
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fake_monitor_connect((const char *const[]){bad[i], NULL});
        CU_ASSERT_EQUAL(xf_qmp_blocked(q, reasons, err), -1);
        fake_monitor_broken(EPROTO, "blocked-reasons");
        fake_monitor_end();
    }
    /* Three of the longest, and the largest number: all of it fits. */
    n = sprintf(many, "{\"id\": 2, \"return\": {\"blocked-reasons\": [");
    for (int i = 0; i < 4096; i++)
        n += sprintf(many + n, "%s\"%0*d\"", i ? ", " : "", i < 3 ? 5000 : 1, i);
    strcpy(many + n, "]}}\n");
    fake_monitor_connect((const char *const[]){many, NULL});
    CU_ASSERT_EQUAL(xf_qmp_blocked(q, reasons, err), 0);
    CU_ASSERT(strlen(reasons) > 300);
    CU_ASSERT_PTR_NOT_NULL(strstr(reasons, "0; and 4093 more"));
    fake_monitor_end();
    strcpy(many + n, ", \"one too many\"]}}\n");
    fake_monitor_connect((const char *const[]){many, NULL});
    CU_ASSERT_EQUAL(xf_qmp_blocked(q, reasons, err), -1);
    fake_monitor_broken(EPROTO, "too many");
    fake_monitor_end();
}

#define REGION(bar, address) "{\"bar\": " bar ", \"type\": \"memory\", \"address\": " address "}"
#define DEVICE(class, regions)                                                                     \
    "{\"slot\": 2, \"class_info\": {\"class\": " class ", \"desc\": \"\"}, \"regions\": [" regions \
                                                       "]}"
#define PCI(devices) QMP_ANSWER(2, "[{\"bus\": 0, \"devices\": [" devices "]}]")

static void test_video(void)
{
    static const struct {
        const char *answer;
        bool unmapped;
    } good[] = {
        {QMP_ANSWER(2, "[]"), false},
        {PCI(""), false},
        {PCI(DEVICE("1664", REGION("0", "-1"))), false},
        {PCI(DEVICE("768", REGION("0", "4026531840") ", " REGION("6", "-1"))), false},
        {PCI(DEVICE("768", REGION("0", "-1") ", " REGION("2", "-1"))), true},
        {PCI(DEVICE("1536", "") ", " DEVICE("896", REGION("0", "-1"))), true},
    };
    static const char *const bad[] = {
        QMP_DONE(2),
        QMP_ANSWER(2, "[7]"),
        QMP_ANSWER(2, "[{\"bus\": 0}]"),
        PCI("{\"class_info\": {}}"),
        PCI("{\"class_info\": {\"class\": 65536}}"),
        PCI(DEVICE("768", "5")),
        PCI(DEVICE("768", REGION("0", "\"-1\""))),
        PCI(DEVICE("768", REGION("-1", "0"))),
    };
    bool unmapped;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        fake_monitor_connect((const char *const[]){good[i].answer, NULL});
        unmapped = !good[i].unmapped;
        CU_ASSERT_EQUAL(xf_qmp_video_unmapped(q, &unmapped, err), 0);
        CU_ASSERT_EQUAL(unmapped, good[i].unmapped);
        fake_monitor_end();
    }
    CU_ASSERT_STRING_EQUAL(fake_monitor.heard, "{\"execute\":\"query-pci\",\"id\":2}\n");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fake_monitor_connect((const char *const[]){bad[i], NULL});
        CU_ASSERT_EQUAL(xf_qmp_video_unmapped(q, &unmapped, err), -1);
        fake_monitor_broken(EPROTO, "device model");
        fake_monitor_end();
    }
}

/* --- what must not be sent --- */

#define ENABLE "\"arguments\":{\"enable\":true}"
#define DISABLE "\"arguments\":{\"enable\":false}"

static unsigned count(const char *words)
{
    unsigned n = 0;

    for (const char *at = fake_monitor.heard; (at = strstr(at, words)); at++)
        n++;
    return n;
}

/* Disabling aborts QEMU unless it has been enabled: so only once, after our own enable has been
 * answered, also on a later connection. */
static void test_log(void)
{
    static const char *const refused[] = {QMP_REFUSAL(2, "no"), NULL};
    static const char *const both[] = {QMP_DONE(2), QMP_DONE(3), NULL};
    static const char *const first[] = {QMP_DONE(2), NULL};

    *q = XF_QMP_CLOSED;
    fake_monitor_connect(NULL);
    CU_ASSERT_EQUAL(xf_qmp_log_off(q, err), 0);
    fake_monitor_end();
    CU_ASSERT_STRING_EQUAL(fake_monitor.heard, "");

    fake_monitor_connect(refused);
    CU_ASSERT_EQUAL(xf_qmp_log_on(q, err), -1);
    CU_ASSERT_EQUAL(xf_qmp_log_off(q, NULL), 0);
    fake_monitor_end();
    CU_ASSERT(count(ENABLE) == 1 && !count(DISABLE));

    /* Enabling was not answered. */
    fake_monitor.hang_up = true;
    fake_monitor_begin((const char *const[]){"", NULL});
    CU_ASSERT_EQUAL(fake_monitor_dial(LONG_MS, no_tick), 0);
    CU_ASSERT_EQUAL(xf_qmp_log_on(q, err), -1);
    CU_ASSERT_EQUAL(err->num, ECONNRESET);
    fake_monitor_end();
    fake_monitor_connect(NULL);
    CU_ASSERT_EQUAL(xf_qmp_log_off(q, err), 0);
    fake_monitor_end();
    CU_ASSERT_STRING_EQUAL(fake_monitor.heard, "");

    fake_monitor_connect(both);
    CU_ASSERT_EQUAL(xf_qmp_log_on(q, err), 0);
    CU_ASSERT_EQUAL(xf_qmp_log_on(q, err), 0);
    fake_monitor_end();
    fake_monitor_connect(both);
    CU_ASSERT_EQUAL(xf_qmp_log_off(q, err), 0);
    CU_ASSERT_EQUAL(xf_qmp_log_off(q, err), 0);
    fake_monitor_end();
    CU_ASSERT(count(DISABLE) == 1);

    /* Disabling was not answered. */
    fake_monitor_connect(first);
    CU_ASSERT_EQUAL(xf_qmp_log_on(q, err), 0);
    fake_monitor_end();
    fake_monitor.hang_up = true;
    fake_monitor_begin((const char *const[]){"", NULL});
    CU_ASSERT_EQUAL(fake_monitor_dial(LONG_MS, no_tick), 0);
    CU_ASSERT_EQUAL(xf_qmp_log_off(q, err), -1);
    fake_monitor_end();
    CU_ASSERT(count(DISABLE) == 1);
    fake_monitor_connect(NULL);
    CU_ASSERT_EQUAL(xf_qmp_log_off(q, err), 0);
    fake_monitor_end();
    CU_ASSERT_STRING_EQUAL(fake_monitor.heard, "");

    /* Another domain's. */
    fake_monitor_connect(first);
    CU_ASSERT_EQUAL(xf_qmp_log_on(q, err), 0);
    fake_monitor_end();
    fake_monitor_begin(NULL);
    CU_ASSERT_EQUAL(
        xf_qmp_open(q, fake_monitor.path, FAKE_MONITOR_DOMID + 1, LONG_MS, no_tick, err), 0);
    CU_ASSERT_EQUAL(xf_qmp_log_off(q, err), 0);
    fake_monitor_end();
    CU_ASSERT_STRING_EQUAL(fake_monitor.heard, "");
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

    snprintf(at, sizeof(at), "unix:%s,server=on,wait=off", fake_monitor.path);
    fflush(NULL);
    pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(QEMU, QEMU, "-machine", "none", "-display", "none", "-nodefaults", "-qmp", at,
              incoming ? "-incoming" : NULL, "defer", (char *)NULL);
        _exit(127);
    }
    CU_ASSERT_FATAL(pid > 0);
    xf_clear(err);
    while (fake_monitor_dial(LONG_MS, no_tick) &&
           (err->num == ENOENT || err->num == ECONNREFUSED) && !waitpid(pid, NULL, WNOHANG) &&
           xf_now_ms() < until) {
        xf_clear(err);
        nanosleep(&pause, NULL);
    }
    CU_ASSERT_EQUAL_FATAL(err->num, 0);
    return pid;
}

static bool is(enum xf_qmp_state wanted)
{
    enum xf_qmp_state state;

    return !xf_qmp_status(q, &state, err) && state == wanted;
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
    CU_ASSERT_EQUAL(xf_qmp_version(q, &version, err), 0);
    CU_ASSERT(version.major >= 6);
    CU_ASSERT_EQUAL(xf_qmp_blocked(q, reasons, err), 0);
    CU_ASSERT_STRING_EQUAL(reasons, "");
    CU_ASSERT_EQUAL(xf_qmp_log_off(q, err), 0); /* not sent */
    CU_ASSERT_EQUAL(xf_qmp_log_on(q, err), 0);
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), 0);
    CU_ASSERT(is(XF_QMP_IS_PAUSED));
    CU_ASSERT_EQUAL(xf_qmp_save(q, "/nowhere/at/all", err), -1);
    CU_ASSERT_EQUAL(err->num, EREMOTEIO);
    fake_monitor_says("/nowhere/at/all");
    xf_clear(err);
    snprintf(file, sizeof(file), "%s/state", fake_monitor.dir);
    CU_ASSERT_EQUAL(xf_qmp_save(q, file, err), 0);
    f = fopen(file, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT(fread(magic, 1, 4, f) == 4 && !strcmp(magic, "QEVM"));
    fclose(f);
    unlink(file);
    CU_ASSERT_EQUAL(xf_qmp_cont(q, err), 0);
    CU_ASSERT(is(XF_QMP_IS_RUNNING));
    CU_ASSERT_EQUAL(q->seen, XF_QMP_STOP | XF_QMP_RESUME);
    CU_ASSERT_EQUAL(xf_qmp_log_off(q, err), 0);
    CU_ASSERT_EQUAL(err->num, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CU_ASSERT(!is(XF_QMP_IS_RUNNING));
    fake_monitor_broken(ECONNRESET, "has ended");
    unlink(fake_monitor.path);
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
    CU_ASSERT_EQUAL(xf_qmp_stop(q, err), 0);
    CU_ASSERT(is(XF_QMP_IS_INMIGRATE));
    CU_ASSERT_EQUAL(xf_qmp_cont(q, err), 0);
    CU_ASSERT(is(XF_QMP_IS_INMIGRATE));
    xf_qmp_close(q);
    CU_ASSERT_EQUAL(fake_monitor_dial(LONG_MS, no_tick), 0); /* and once more */
    CU_ASSERT(is(XF_QMP_IS_INMIGRATE));
    xf_qmp_close(q);
    CU_ASSERT_EQUAL(err->num, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    unlink(fake_monitor.path);
}

int main(void)
{
    CU_TestInfo tests[] = {{"each command, and what is sent", test_session},
                           {"the words of a status", test_status},
                           {"versions", test_version},
                           {"why devices cannot be migrated", test_blocked},
                           {"a video card without mapped memory", test_video},
                           {"a dirty log is turned off only if it is on", test_log},
                           {"QEMU itself, running and stopped", test_qemu_runs},
                           {"QEMU itself, waiting for its state", test_qemu_waits},
                           CU_TEST_INFO_NULL};
    int rc;

    fake_monitor_open();
    rc = run_suite("qmp_commands", tests);
    fake_monitor_close();
    return rc;
}
