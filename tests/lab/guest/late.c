// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory that is written once and then only handed to the kernel: pages of a file
// in memory go to the disk by direct I/O, and to whoever asks for them by sendfile;
// pages of the block device's cache are written back long after they were dirtied.
// So backends reach them before any CPU of the guest has.
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#define WHAT_LATE 3
#define WHAT_BACK 4
#define CHUNK 8u // pages of one write
#define STEP_NS 50000000
#define BACK_PAGES 256u // of the block device's cache
#define BACK_STEPS 100  // between two times they are written back

static int file = -1, direct = -1, cached = -1;
static unsigned long npages;
static uint8_t *map;       // of the file; not read after late_start()
static off_t at, back_at;  // places on the disk: direct writes, cached ones
static unsigned long done; // pages that have been on the disk at least once
static uint32_t back_gen;  // of what is on the disk, once written back
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // done, back_gen, the disk's places
static atomic_ulong nwrites, nback;

static void write_chunk(unsigned long i)
{
    size_t len = CHUNK * PAGE;
    if (pwrite(direct, map + i * PAGE, len, at + (off_t)(i * PAGE)) != (ssize_t)len) {
        error_note("late: write of page %lu: %m", i);
        return;
    }
    if (done < i + CHUNK)
        done = i + CHUNK;
    nwrites += CHUNK;
}

static void write_back(uint8_t *page)
{
    if (fdatasync(cached))
        error_note("late: write-back: %m");
    nback++;
    for (unsigned long i = 0; i < BACK_PAGES; i++) {
        pattern_fill(page, WHAT_BACK, i, back_gen + 1);
        if (pwrite(cached, page, PAGE, back_at + (off_t)(i * PAGE)) != PAGE)
            error_note("late: cached write of page %lu: %m", i);
    }
    back_gen++;
}

static void *worker(void *page)
{
    unsigned long i = 0;
    for (unsigned step = 0;; step++) {
        nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
        pthread_mutex_lock(&lock);
        write_chunk(i);
        if (step % BACK_STEPS == 0)
            write_back(page);
        pthread_mutex_unlock(&lock);
        i = (i + CHUNK) % npages;
    }
    return NULL;
}

// The file's pages lie behind `offset` on the disk.
void late_start(const char *path, long mib, long offset_mib)
{
    pthread_t t;
    void *page;
    if (mib <= 0 || !*path)
        return;
    npages = (unsigned long)mib << 8;
    at = (off_t)offset_mib << 20;
    back_at = at + ((off_t)mib << 20);
    file = memfd_create("late", MFD_CLOEXEC);
    direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    cached = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || direct < 0 || cached < 0 || ftruncate(file, (off_t)(npages * PAGE))) {
        error_note("late: %m");
        return;
    }
    map = mmap(NULL, npages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    page = aligned_alloc(PAGE, PAGE);
    if (map == MAP_FAILED || !page) {
        error_note("late: no memory");
        return;
    }
    for (unsigned long i = 0; i < npages; i++)
        pattern_fill(map + i * PAGE, WHAT_LATE, i, 0);
    if (pthread_create(&t, NULL, worker, page))
        error_note("late: no thread");
}

// What is on the disk, read past the cache, and the cached pages read through it.
unsigned long late_verify(char *out, size_t size, unsigned long *pages)
{
    unsigned long bad = 0;
    size_t used = strlen(out);
    uint8_t *page = aligned_alloc(PAGE, PAGE);
    *pages = 0;
    if (!page)
        return 1;
    pthread_mutex_lock(&lock);
    for (unsigned long i = 0; i < done + (back_gen ? BACK_PAGES : 0); i++) {
        bool back = i >= done;
        unsigned long n = back ? i - done : i;
        off_t from = (back ? back_at : at) + (off_t)(n * PAGE);
        bool got = pread(back ? cached : direct, page, PAGE, from) == PAGE;
        int wrong =
            !got ? 0 : pattern_check(page, back ? WHAT_BACK : WHAT_LATE, n, back ? back_gen : 0);
        ++*pages;
        if (wrong >= 0 && bad++ < 4 && used < size)
            used += (size_t)snprintf(out + used, size - used, " %s[%lu]+%d", back ? "back" : "late",
                                     n, wrong);
    }
    pthread_mutex_unlock(&lock);
    free(page);
    return bad;
}

// The whole file to c, without looking at it.
void late_send(int c)
{
    off_t from = 0;
    while (file >= 0 && from < (off_t)(npages * PAGE)) {
        ssize_t n = sendfile(c, file, &from, npages * PAGE - (size_t)from);
        if (n <= 0 && errno != EINTR) {
            console_line("late: sendfile: %m");
            break;
        }
    }
}

void late_status(char *out, size_t size)
{
    snprintf(out, size, "\"late_writes\": %lu, \"late_syncs\": %lu", atomic_load(&nwrites),
             atomic_load(&nback));
}
