// SPDX-License-Identifier: LGPL-2.1-or-later
// What the workload has done, and when: a sample of its count of touches four times a
// second, and which page each of the last touches went to. In post-copy the network of a
// guest waits until all its memory is there, so nobody can ask meanwhile: both reach far
// enough back to be asked for afterwards, by the guest's own clock, which the heartbeat
// ties to the clock outside.
#include "guest.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define SAMPLE_NS 250000000u
#define SAMPLES 3600u  // a quarter of an hour
#define TOUCHES 65536u // as many, or fewer minutes
#define SLACK 64u      // entries that may be overwritten while they are read

struct sample {
    uint64_t ns, touches;
};

struct touch {
    uint32_t page, ms; // ms since base_ns
};

// Each has one writer: the heartbeat's thread and that of mem.c. No lock, so that neither
// waits for the other while that one waits for a page.
static struct sample samples[SAMPLES];
static struct touch touches[TOUCHES];
static atomic_ulong nsamples, ntouches;
static uint64_t base_ns, due_ns;

void work_start(void)
{
    base_ns = due_ns = now_ns();
}

void work_touch(unsigned long page)
{
    unsigned long n = atomic_load(&ntouches);
    touches[n % TOUCHES] =
        (struct touch){.page = (uint32_t)page, .ms = (uint32_t)((now_ns() - base_ns) / 1000000u)};
    atomic_store(&ntouches, n + 1);
}

void work_sample(uint64_t now)
{
    unsigned long n = atomic_load(&nsamples);
    if (now < due_ns)
        return;
    due_ns = now + SAMPLE_NS;
    samples[n % SAMPLES] = (struct sample){.ns = now, .touches = atomic_load(&ntouches)};
    atomic_store(&nsamples, n + 1);
}

static unsigned long oldest(unsigned long n, unsigned long max)
{
    return n > max - SLACK ? n - (max - SLACK) : 0;
}

// All samples, one a line: the guest's clock in ns, touches so far.
void work_send(int client)
{
    unsigned long n = atomic_load(&nsamples);
    char buf[4096];
    size_t used = 0;
    for (unsigned long i = oldest(n, SAMPLES); i < n; i++) {
        struct sample s = samples[i % SAMPLES];
        used += (size_t)snprintf(buf + used, sizeof(buf) - used, "%llu %llu\n",
                                 (unsigned long long)s.ns, (unsigned long long)s.touches);
        if (used < sizeof(buf) - 64 && i + 1 < n)
            continue;
        if (send(client, buf, used, MSG_NOSIGNAL) != (ssize_t)used) {
            console_line("work: client gone");
            return;
        }
        used = 0;
    }
}

// How many touches there were between two times of the guest's clock, and of how many pages.
void work_touched(uint64_t from_ns, uint64_t to_ns, char *out, size_t size)
{
    unsigned long n = atomic_load(&ntouches), first = oldest(n, TOUCHES), count = 0, pages = 0;
    uint64_t from = from_ns > base_ns ? (from_ns - base_ns) / 1000000u : 0;
    uint64_t to = to_ns > base_ns ? (to_ns - base_ns) / 1000000u : 0;
    uint8_t *seen = calloc(1, 1u << 20); // a bit for each page of 32 GiB
    if (!seen) {
        snprintf(out, size, "ERR no memory");
        return;
    }
    if (first && touches[first % TOUCHES].ms > from) {
        snprintf(out, size, "ERR what was touched is known from %llu ns on only",
                 (unsigned long long)(base_ns + touches[first % TOUCHES].ms * 1000000ull));
        free(seen);
        return;
    }
    for (unsigned long i = first; i < n; i++) {
        struct touch t = touches[i % TOUCHES];
        if (t.ms < from || t.ms > to || t.page >> 23)
            continue;
        count++;
        pages += !(seen[t.page / 8] >> t.page % 8 & 1);
        seen[t.page / 8] |= (uint8_t)(1u << t.page % 8);
    }
    free(seen);
    snprintf(out, size, "OK touches=%lu pages=%lu", count, pages);
}
