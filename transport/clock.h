/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monotonic clock, and deadlines on it. Any thread. */
#ifndef XF_CLOCK_H
#define XF_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC in seconds. */
static inline double xf_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t xf_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* CLOCK_MONOTONIC in milliseconds. */
static inline int64_t xf_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* CLOCK_MONOTONIC in microseconds. */
static inline int64_t xf_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

/* Milliseconds until `deadline` (on xf_now_ms()) as a timeout for poll: -1 if it is < 0 (no
 * deadline), otherwise at least 0. */
static inline int xf_ms_left(int64_t deadline)
{
    int64_t left;

    if (deadline < 0)
        return -1;
    left = deadline - xf_now_ms();
    return left <= 0 ? 0 : left > 1 << 30 ? 1 << 30 : (int)left;
}

/* The moment `ms` from now, for pthread_cond_timedwait on CLOCK_MONOTONIC. */
static inline struct timespec xf_time_in(int ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

#endif
