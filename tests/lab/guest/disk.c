// SPDX-License-Identifier: LGPL-2.1-or-later
// Disk load: direct writes of 4 KiB blocks with known contents, each read back
// at some later time. Direct, so that what is checked has been on the disk.
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WHAT_DISK 2
#define CHUNK 16u // blocks per read of verify

static int fd = -1;
static unsigned long nblocks;
static uint32_t *gens; // 0: never written
static uint8_t *buf;   // one chunk, page aligned for direct I/O
static long rate;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // buf, gens
static atomic_ulong nwrites, nreads;

static void write_block(unsigned long i)
{
    pattern_fill(buf, WHAT_DISK, i, gens[i] + 1);
    if (pwrite(fd, buf, PAGE, (off_t)(i * PAGE)) != PAGE) {
        error_note("disk: write of block %lu: %m", i);
        return;
    }
    gens[i]++;
    nwrites++;
}

static void read_block(unsigned long i)
{
    if (!gens[i])
        return;
    if (pread(fd, buf, PAGE, (off_t)(i * PAGE)) != PAGE) {
        error_note("disk: read of block %lu: %m", i);
        return;
    }
    int at = pattern_check(buf, WHAT_DISK, i, gens[i]);
    if (at >= 0)
        error_note("disk: block %lu wrong at byte %d, generation %u", i, at, gens[i]);
    nreads++;
}

static void *worker(void *unused)
{
    (void)unused;
    uint64_t rnd = 3;
    for (;;) {
        nanosleep(
            &(struct timespec){.tv_sec = rate == 1, .tv_nsec = 1000000000 / rate % 1000000000},
            NULL);
        pthread_mutex_lock(&lock);
        write_block(random_next(&rnd) % nblocks);
        read_block(random_next(&rnd) % nblocks);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

void disk_start(const char *path, long mib, long blocks, long start_rate)
{
    if (!*path || mib <= 0 || start_rate <= 0)
        return;
    if (!boot_wait_path(path, 10)) {
        error_note("disk: no %s after 10 s", path);
        return;
    }
    fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (fd < 0) {
        error_note("disk: %s: %m", path);
        return;
    }
    rate = start_rate;
    nblocks = (unsigned long)mib << 8;
    if (blocks > 0 && (unsigned long)blocks < nblocks)
        nblocks = (unsigned long)blocks;
    gens = calloc(nblocks, sizeof(*gens));
    buf = mmap(NULL, CHUNK * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t t;
    if (!gens || buf == MAP_FAILED || pthread_create(&t, NULL, worker, NULL)) {
        error_note("disk: no memory");
        nblocks = 0;
    }
}

unsigned long disk_verify(char *out, size_t size, unsigned long *blocks)
{
    unsigned long bad = 0;
    size_t used = strlen(out);
    *blocks = 0;
    pthread_mutex_lock(&lock);
    for (unsigned long c = 0; c < nblocks; c += CHUNK) {
        unsigned long end = c + CHUNK < nblocks ? c + CHUNK : nblocks;
        bool any = false;
        for (unsigned long i = c; i < end; i++)
            any |= gens[i] != 0;
        if (!any)
            continue;
        bool got = pread(fd, buf, CHUNK * PAGE, (off_t)(c * PAGE)) == CHUNK * PAGE;
        for (unsigned long i = c; i < end; i++) {
            if (!gens[i])
                continue;
            ++*blocks;
            int at = got ? pattern_check(buf + (i - c) * PAGE, WHAT_DISK, i, gens[i]) : 0;
            if (at >= 0 && bad++ < 4 && used < size)
                used += (size_t)snprintf(out + used, size - used, " disk[%lu]+%d gen %u%s", i, at,
                                         gens[i], got ? "" : " unreadable");
        }
    }
    pthread_mutex_unlock(&lock);
    return bad;
}

// For tests of verify itself: one block goes back to its last contents.
void disk_damage(void)
{
    pthread_mutex_lock(&lock);
    for (unsigned long i = 0; i < nblocks; i++)
        if (gens[i]) {
            pattern_fill(buf, WHAT_DISK, i, gens[i] - 1);
            if (pwrite(fd, buf, PAGE, (off_t)(i * PAGE)) != PAGE)
                error_note("disk: write of block %lu: %m", i);
            break;
        }
    pthread_mutex_unlock(&lock);
}

void disk_status(char *out, size_t size)
{
    snprintf(out, size, "\"disk_writes\": %lu, \"disk_reads\": %lu", atomic_load(&nwrites),
             atomic_load(&nreads));
}
