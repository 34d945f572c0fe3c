/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The largest payload's buffers are kept from one input to the next: each thread of the engine
 * allocates one of 4 MiB, and with a sanitizer making them anew takes longer than all the rest of
 * an input. Linked with --wrap=malloc and --wrap=free. What is free is poisoned, so that a use
 * after free shows; buffers that are not freed use the pool up, which shows as well.
 */
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

#include "transport/transport.h"

#define BUFFERS 16u

void *__real_malloc(size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void __wrap_free(void *p);

static struct {
    pthread_mutex_t lock;
    void *at[BUFFERS]; /* NULL: not made yet */
    bool used[BUFFERS];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

void *__wrap_malloc(size_t size)
{
    void *p = NULL;

    if (size != XF_PAYLOAD_MAX)
        return __real_malloc(size);
    pthread_mutex_lock(&pool.lock);
    for (unsigned i = 0; i < BUFFERS && !p; i++) {
        if (pool.used[i])
            continue;
        if (!pool.at[i])
            pool.at[i] = __real_malloc(size);
        p = pool.at[i];
        pool.used[i] = p != NULL;
    }
    pthread_mutex_unlock(&pool.lock);
    if (p)
        __asan_unpoison_memory_region(p, size);
    return p; /* NULL: so many at once are leaked */
}

void __wrap_free(void *p)
{
    bool ours = false;

    pthread_mutex_lock(&pool.lock);
    for (unsigned i = 0; p && i < BUFFERS && !ours; i++) {
        ours = p == pool.at[i];
        if (ours) {
            __asan_poison_memory_region(p, XF_PAYLOAD_MAX);
            pool.used[i] = false;
        }
    }
    pthread_mutex_unlock(&pool.lock);
    if (!ours)
        __real_free(p);
}
