/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bandwidth that moves share: see budget.h. Not mapped: a file that somebody truncates would
 * kill the moves that have it mapped. */
#include "libxl-ext/moves/budget.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/slot.h"
#include "transport/clock.h"

#define FILE_NAME "bandwidth"
#define SECOND 1000000000u
/* What was not sent within the last moments may be made up for: no sleep is exact. */
#define SLACK_NS (SECOND / 5)
/* How long to try for the lock, which is held for microseconds unless its holder was stopped. */
#define LOCK_MS 50

int xf_budget_open(struct xf_budget *b, uint64_t rate, struct xf_err *err)
{
    int dir = xf_run_dir_open(xf_run_dir(), true, err);
    char path[300];

    *b = (struct xf_budget){.fd = -1, .rate = rate};
    if (dir < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/%s", xf_run_dir(), FILE_NAME);
    b->fd = openat(dir, FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    close(dir);
    if (b->fd < 0)
        return xf_fail(err, errno, "cannot open %s: %s", path, strerror(errno));
    if (!xf_run_file_judge(b->fd, path, err))
        return 0;
    xf_budget_close(b);
    return -1;
}

static uint64_t time_of(const struct xf_budget *b, uint64_t bytes)
{
    return (uint64_t)((double)bytes / (double)b->rate * SECOND);
}

/* Move `due` on by these bytes; returns when they may be sent. */
static uint64_t advance(const struct xf_budget *b, uint64_t *due, uint64_t bytes)
{
    /* Further ahead than by a batch of every move there can be is nothing that a move has written,
     * or only in an earlier boot. */
    uint64_t now = xf_now_ns(), most = time_of(b, (XF_MOVES_MAX + 1ull) * XF_BUDGET_BATCH) + SECOND;
    uint64_t begin = *due > now && *due - now > most ? now : *due;

    if (begin + SLACK_NS < now)
        begin = now - SLACK_NS;
    *due = begin + time_of(b, bytes);
    return begin;
}

static bool lock(int fd)
{
    int64_t until = xf_now_ms() + LOCK_MS;

    while (flock(fd, LOCK_EX | LOCK_NB)) {
        if (xf_now_ms() >= until)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return true;
}

double xf_budget_spend(struct xf_budget *b, uint64_t bytes)
{
    uint64_t due, begin, now;

    if (b->fd < 0 || !b->rate)
        return 0;
    if (lock(b->fd)) {
        if (pread(b->fd, &due, sizeof(due), 0) != (ssize_t)sizeof(due))
            due = 0;
        begin = advance(b, &due, bytes);
        /* If that fails (a limit of the file's size) this move is held to the rate all the same. */
        if (pwrite(b->fd, &due, sizeof(due), 0) == (ssize_t)sizeof(due))
            b->due = due;
        else
            begin = advance(b, &b->due, bytes);
        flock(b->fd, LOCK_UN);
    } else {
        begin = advance(b, &b->due, bytes);
    }
    now = xf_now_ns();
    return begin > now ? (double)(begin - now) / SECOND : 0;
}

void xf_budget_close(struct xf_budget *b)
{
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
}
