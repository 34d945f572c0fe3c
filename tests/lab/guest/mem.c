// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory load: N MiB of known contents, touched at a set rate: rewritten, or read and
// checked. The table of generations says what each page must hold, so a page that is lost,
// stale or went back in time does not match.
#include "guest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <time.h>

enum pattern { SEQ, RANDOM, HOT, STRIDE };
static const char *const names[] = {"seq", "random", "hot", "stride"};

#define WHAT_MEM 1
#define TICK_NS 20000000u
#define RESERVE_MIB 6 // tables, stacks, sockets
#define STEP 16u      // pages from one touch to the next of STRIDE

static uint8_t *mem;
static uint32_t *gens; // 0: never written by the rewriter
static unsigned long npages, nzero;
static uint8_t *is_zero; // pages that stay zero

// Held by whoever writes pages or checks them.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER; // there may be some again
static atomic_bool paused;
static atomic_long rate;
static atomic_int pattern;
static atomic_ulong writes, reads;
static long hot_pct;
static atomic_long reads_pct; // of all touches

static void rewrite(unsigned long i)
{
    if (is_zero[i])
        return;
    gens[i]++;
    pattern_fill(mem + i * PAGE, WHAT_MEM, i, gens[i]);
    writes++;
    work_touch(i);
}

static void look_at(unsigned long i)
{
    const uint8_t *p = mem + i * PAGE;
    int at = is_zero[i] ? zero_check(p) : pattern_check(p, WHAT_MEM, i, gens[i]);
    if (at >= 0)
        error_note("mem: page %lu wrong at byte %d, generation %u", i, at, gens[i]);
    reads++;
    work_touch(i);
}

static void touch(unsigned long i, uint64_t *rnd)
{
    if (reads_pct && (long)(random_next(rnd) % 100) < reads_pct)
        look_at(i);
    else
        rewrite(i);
}

static unsigned long pick(uint64_t *rnd, unsigned long *next)
{
    unsigned long hot = npages * (unsigned long)hot_pct / 100 + 1;
    switch ((enum pattern)atomic_load(&pattern)) {
    case SEQ:
        return (*next)++ % npages;
    case HOT: // nine of ten writes go to the hot share at the start
        if (random_next(rnd) % 10)
            return random_next(rnd) % (hot < npages ? hot : npages);
        break;
    case STRIDE: { // all pages in the end, a sixteenth of them each time over
        unsigned long lap = npages / STEP, n = (*next)++;
        return n % lap * STEP + n / lap % STEP;
    }
    case RANDOM:
        break;
    }
    return random_next(rnd) % npages;
}

static void *rewriter(void *unused)
{
    (void)unused;
    uint64_t rnd = 1, due = now_ns();
    unsigned long next = 0;
    double credit = 0;
    for (;;) {
        if (paused || !rate) { // an idle guest must not wake up for nothing
            pthread_mutex_lock(&lock);
            while (paused || !rate)
                pthread_cond_wait(&work, &lock);
            pthread_mutex_unlock(&lock);
            due = now_ns();
        }
        due += TICK_NS;
        uint64_t now = now_ns();
        if (now < due) {
            uint64_t left = due - now;
            nanosleep(&(struct timespec){.tv_nsec = (long)left}, NULL);
        } else if (now > due + 10 * TICK_NS) {
            due = now; // after a stop: no catching up in one burst
        }
        credit += (double)rate * TICK_NS / 1e9;
        pthread_mutex_lock(&lock);
        for (; credit >= 1 && !paused; credit -= 1)
            touch(pick(&rnd, &next), &rnd);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void *table(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void mem_start(long fill_mib, long zero_pct, long start_rate, const char *name, long hot,
               long start_reads)
{
    if (fill_mib <= 0)
        return;
    struct sysinfo info;
    long room = sysinfo(&info) ? 0 : (long)(info.freeram * info.mem_unit >> 20) - RESERVE_MIB;
    if (fill_mib > room) { // rather than die of it
        error_note("xf.fill=%ld MiB, but there is room for %ld only", fill_mib, room);
        return;
    }
    npages = (unsigned long)fill_mib << 8;
    mem = table(npages * PAGE);
    gens = table(npages * sizeof(*gens));
    is_zero = table(npages);
    if (!mem || !gens || !is_zero) {
        error_note("no memory for %ld MiB", fill_mib);
        npages = 0;
        return;
    }
    uint64_t rnd = 7;
    for (unsigned long i = 0; i < npages; i++) {
        is_zero[i] = (long)(random_next(&rnd) % 100) < zero_pct;
        nzero += is_zero[i];
        if (is_zero[i])
            memset(mem + i * PAGE, 0, PAGE); // a page of its own, not the shared zero page
        else
            pattern_fill(mem + i * PAGE, WHAT_MEM, i, 0);
    }
    hot_pct = hot;
    mem_rate(start_rate);
    mem_reads(start_reads);
    if (!mem_pattern(name))
        error_note("unknown pattern %s", name);
    pthread_t t;
    if (pthread_create(&t, NULL, rewriter, NULL))
        error_note("no rewriter thread");
}

void mem_pause(bool p)
{
    pthread_mutex_lock(&lock);
    paused = p;
    pthread_cond_signal(&work);
    pthread_mutex_unlock(&lock);
}

void mem_rate(long r)
{
    pthread_mutex_lock(&lock);
    rate = r < 0 ? 0 : r;
    pthread_cond_signal(&work);
    pthread_mutex_unlock(&lock);
}

void mem_reads(long pct)
{
    reads_pct = pct < 0 ? 0 : pct;
}

bool mem_pattern(const char *name)
{
    for (int i = SEQ; i <= STRIDE; i++)
        if (!strcmp(name, names[i])) {
            pattern = i;
            return true;
        }
    return false;
}

unsigned long mem_verify(char *out, size_t size, unsigned long *pages)
{
    unsigned long bad = 0;
    size_t used = strlen(out);
    pthread_mutex_lock(&lock);
    for (unsigned long i = 0; i < npages; i++) {
        const uint8_t *p = mem + i * PAGE;
        int at = is_zero[i] ? zero_check(p) : pattern_check(p, WHAT_MEM, i, gens[i]);
        if (at < 0)
            continue;
        if (bad++ < 4 && used < size) {
            uint64_t got;
            memcpy(&got, p + at, sizeof(got));
            // Older contents say "stale", which tells more than "wrong".
            bool stale = !is_zero[i] && pattern_check(p, WHAT_MEM, i, gens[i] - 1) < 0;
            used += (size_t)snprintf(out + used, size - used, " mem[%lu]+%d gen %u%s%s=%016llx", i,
                                     at, gens[i], stale ? " stale" : "", is_zero[i] ? " zero" : "",
                                     (unsigned long long)got);
        }
    }
    pthread_mutex_unlock(&lock);
    *pages = npages;
    return bad;
}

// For tests of verify itself: one page goes back to its last contents.
void mem_damage(void)
{
    pthread_mutex_lock(&lock);
    for (unsigned long i = 0; i < npages; i++)
        if (!is_zero[i]) {
            pattern_fill(mem + i * PAGE, WHAT_MEM, i, gens[i] - 1);
            break;
        }
    pthread_mutex_unlock(&lock);
}

void mem_status(char *out, size_t size)
{
    snprintf(out, size,
             "\"pages\": %lu, \"zero_pages\": %lu, \"page_writes\": %lu, \"page_reads\": %lu, "
             "\"rate\": %ld, \"pattern\": \"%s\", \"reads\": %ld, \"paused\": %s",
             npages, nzero, atomic_load(&writes), atomic_load(&reads), atomic_load(&rate),
             names[atomic_load(&pattern)], atomic_load(&reads_pct), paused ? "true" : "false");
}
