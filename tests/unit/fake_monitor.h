/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device model's monitor that a test plays, in a thread on a Unix socket, and one client of it.
 */
#ifndef XF_FAKE_MONITOR_H
#define XF_FAKE_MONITOR_H

#include <pthread.h>
#include <semaphore.h>

#include "qmp/qmp.h"

#define FAKE_MONITOR_DOMID 7u

/* Lines of QEMU. */
#define QMP_GREETING                                                                               \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "             \
    "\"package\": \"Debian\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define QMP_ANSWER(id, body) "{\"return\": " body ", \"id\": " #id "}\r\n"
#define QMP_DONE(id) QMP_ANSWER(id, "{}")
#define QMP_ERROR(id, class, desc)                                                                 \
    "{\"id\": " #id ", \"error\": {\"class\": \"" class "\", \"desc\": \"" desc "\"}}\r\n"
#define QMP_REFUSAL(id, desc) QMP_ERROR(id, "GenericError", desc)
#define QMP_EVENT(name)                                                                            \
    "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"" name                    \
    "\", \"data\": {\"a\": [{\"b\": {}}]}}\r\n"
#define QMP_STATUS(id, word, running)                                                              \
    QMP_ANSWER(id, "{\"status\": \"" word "\", \"singlestep\": false, \"running\": " running "}")

extern struct fake_monitor {
    /* How it behaves; reset by fake_monitor_end(). */
    const char *greeting; /* NULL: it greets and agrees on capabilities as it should */
    size_t len;           /* of its only answer, which has a NUL; 0: they have none */
    bool hang_up;         /* it ends after its last answer */
    bool drips;           /* every byte by itself */
    bool floods;          /* after its last answer, with events */
    bool deaf;            /* reads nothing after its greeting */
    bool gated;           /* before an answer it waits for `go`; has given it: `said` */
    sem_t go, said;

    char heard[4096]; /* what it was sent after capabilities; valid after fake_monitor_end() */
    char dir[32], path[64];
    int listener;

    /* The client. */
    struct xf_qmp q;
    struct xf_err err;

    /* Private to fake_monitor.c. */
    const char *const *answers;
    pthread_t thread;
} fake_monitor;

/* Before all others: a directory for its socket, and after them. */
void fake_monitor_open(void);
void fake_monitor_close(void);

/* A socket at which nobody accepts. */
void fake_monitor_listen(void);
/* ... and the monitor behind it. answers: one for each line that it receives, then NULL; after them
 * it reads what comes until the client hangs up. NULL: none. */
void fake_monitor_begin(const char *const *answers);
int fake_monitor_dial(int limit_ms, struct xf_tick tick);
/* Both, and it succeeds. */
void fake_monitor_connect(const char *const *answers);
/* Close both sides. */
void fake_monitor_end(void);
/* Only the socket: there is no monitor, or the test has joined it. */
void fake_monitor_unlisten(void);

/* The error has these words. */
void fake_monitor_says(const char *words);
/* A call has failed in this way, and the connection is closed. Clears the error. */
void fake_monitor_broken(int num, const char *words);

#endif
