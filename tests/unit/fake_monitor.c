/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device model's monitor that a test plays: see fake_monitor.h. */
#include "tests/unit/fake_monitor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/suite.h"
#include "transport/text.h"

struct fake_monitor fake_monitor;

static bool say(int fd, const char *text, size_t len)
{
    size_t step = fake_monitor.drips ? 1 : len;

    for (size_t at = 0; at < len; at += step)
        if (send(fd, text + at, step, MSG_NOSIGNAL) != (ssize_t)step)
            return false;
    return true;
}

/* One line into heard; false: the client has hung up, or there is no room. */
static bool hear(int fd)
{
    size_t at = strlen(fake_monitor.heard);
    char c = 0;

    while (c != '\n' && at < sizeof(fake_monitor.heard) - 1) {
        if (recv(fd, &c, 1, 0) != 1)
            return false;
        fake_monitor.heard[at++] = c;
        fake_monitor.heard[at] = 0;
    }
    return c == '\n';
}

static bool greet(int fd)
{
    if (fake_monitor.greeting)
        return say(fd, fake_monitor.greeting, strlen(fake_monitor.greeting));
    if (!say(fd, QMP_GREETING, strlen(QMP_GREETING)) || !hear(fd) ||
        strcmp(fake_monitor.heard, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n") != 0)
        return false;
    fake_monitor.heard[0] = 0;
    return say(fd, QMP_DONE(1), strlen(QMP_DONE(1)));
}

/* Many events at once, so that they are sent faster than they can be read. */
static bool flood(int fd)
{
    static const char event[] = QMP_EVENT("RTC_CHANGE");
    const size_t len = sizeof(event) - 1;
    char many[500 * (sizeof(event) - 1)];

    for (size_t at = 0; at < sizeof(many); at += len)
        memcpy(many + at, event, len);
    return say(fd, many, sizeof(many));
}

static void *play(void *arg)
{
    int fd = accept(fake_monitor.listener, NULL, NULL);
    bool alive = greet(fd);

    (void)arg;
    for (const char *const *a = fake_monitor.answers; alive && *a && (alive = hear(fd)); a++) {
        if (fake_monitor.gated)
            sem_wait(&fake_monitor.go);
        alive = say(fd, *a, fake_monitor.len ? fake_monitor.len : strlen(*a));
        if (fake_monitor.gated)
            sem_post(&fake_monitor.said);
    }
    if (fake_monitor.deaf)
        poll(&(struct pollfd){.fd = fd}, 1, -1); /* until the client hangs up */
    while (alive && fake_monitor.floods)
        alive = flood(fd);
    while (alive && !fake_monitor.hang_up)
        alive = hear(fd);
    close(fd);
    return NULL;
}

void fake_monitor_open(void)
{
    strcpy(fake_monitor.dir, "/tmp/xf-qmp-XXXXXX");
    fake_monitor.q = XF_QMP_CLOSED;
    if (!mkdtemp(fake_monitor.dir) || sem_init(&fake_monitor.go, 0, 0) ||
        sem_init(&fake_monitor.said, 0, 0))
        abort();
    snprintf(fake_monitor.path, sizeof(fake_monitor.path), "%s/qmp", fake_monitor.dir);
}

void fake_monitor_close(void)
{
    rmdir(fake_monitor.dir);
}

void fake_monitor_listen(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", fake_monitor.path);
    unlink(fake_monitor.path);
    CU_ASSERT_FATAL(fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) && !listen(fd, 0));
    fake_monitor.listener = fd;
    fake_monitor.heard[0] = 0;
    xf_clear(&fake_monitor.err);
}

void fake_monitor_begin(const char *const *answers)
{
    static const char *const none[] = {NULL};

    fake_monitor.answers = answers ? answers : none;
    fake_monitor.q.id = 0; /* of another device model than before */
    fake_monitor_listen();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&fake_monitor.thread, NULL, play, NULL), 0);
}

int fake_monitor_dial(int limit_ms, struct xf_tick tick)
{
    return xf_qmp_open(&fake_monitor.q, fake_monitor.path, FAKE_MONITOR_DOMID, limit_ms, tick,
                       &fake_monitor.err);
}

void fake_monitor_connect(const char *const *answers)
{
    fake_monitor_begin(answers);
    CU_ASSERT_EQUAL_FATAL(fake_monitor_dial(60000, (struct xf_tick){0}), 0);
}

void fake_monitor_unlisten(void)
{
    close(fake_monitor.listener);
    unlink(fake_monitor.path);
    fake_monitor.greeting = NULL;
    fake_monitor.len = 0;
    fake_monitor.hang_up = fake_monitor.drips = fake_monitor.floods = false;
    fake_monitor.deaf = fake_monitor.gated = false;
}

void fake_monitor_end(void)
{
    xf_qmp_close(&fake_monitor.q);
    pthread_join(fake_monitor.thread, NULL);
    fake_monitor_unlisten();
}

void fake_monitor_says(const char *words)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(fake_monitor.err.text, words));
    if (!strstr(fake_monitor.err.text, words))
        fprintf(stderr, "it says: %s\n", fake_monitor.err.text);
}

void fake_monitor_broken(int num, const char *words)
{
    struct xf_err *err = &fake_monitor.err;
    struct xf_json answer;

    CU_ASSERT_EQUAL(err->num, num);
    fake_monitor_says(words);
    CU_ASSERT(xf_text_is_clean(err->text, strlen(err->text)));
    CU_ASSERT(fake_monitor.q.fd == -1 && !fake_monitor.q.in);
    xf_clear(err);
    CU_ASSERT_EQUAL(xf_qmp_call(&fake_monitor.q, "stop", NULL, &answer, err), -1);
    CU_ASSERT_EQUAL(err->num, ENOTCONN);
    xf_clear(err);
}
