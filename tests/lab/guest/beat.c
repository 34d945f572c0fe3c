// SPDX-License-Identifier: LGPL-2.1-or-later
// The heartbeat: a line on the console every few ms (xf.beat), from a real-time thread,
// so that a missing line means the guest stood still, not that it was busy.
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static uint64_t every_ns;
static atomic_ulong seq;
static atomic_ullong max_gap_ns;

static void *beat(void *unused)
{
    (void)unused;
    uint64_t due = now_ns(), last = 0;
    for (;;) {
        uint64_t now = now_ns();
        if (now < last)
            error_note("clock went back by %llu ns", (unsigned long long)(last - now));
        else if (last && now - last > max_gap_ns)
            max_gap_ns = now - last;
        last = now;
        console_line("HB %lu %llu", atomic_fetch_add(&seq, 1) + 1, (unsigned long long)now);
        work_sample(now);
        due += every_ns;
        if (due < now)
            due = now + every_ns;
        struct timespec t = {.tv_sec = (time_t)(due / 1000000000u),
                             .tv_nsec = (long)(due % 1000000000u)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    }
    return NULL;
}

void beat_start(long ms)
{
    if (ms <= 0)
        return;
    every_ns = (uint64_t)ms * 1000000u;
    pthread_attr_t a;
    pthread_t t;
    pthread_attr_init(&a);
    pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&a, SCHED_FIFO);
    pthread_attr_setschedparam(&a, &(struct sched_param){.sched_priority = 50});
    if (pthread_create(&t, &a, beat, NULL))
        error_note("no heartbeat thread");
}

void beat_status(char *out, size_t size)
{
    snprintf(out, size, "\"seq\": %lu, \"mono_ns\": %llu, \"max_gap_ns\": %llu", atomic_load(&seq),
             (unsigned long long)now_ns(), (unsigned long long)atomic_load(&max_gap_ns));
}
