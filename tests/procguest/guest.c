/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest that is a process: see guest.h. */
#include "tests/procguest/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/procguest/memory.h"
#include "tests/procguest/uffd.h"
#include "transport/clock.h"
#include "transport/wire.h"

#define PAGE XF_PAGE_SIZE
#define GARBAGE 0xa5

static void give_up(const char *what)
{
    fprintf(stderr, "process guest: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* Sleep while *word is `value`, at most ns. Also across processes. */
static void sleep_on(_Atomic uint32_t *word, uint32_t value, uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};

    syscall(SYS_futex, word, FUTEX_WAIT, value, &t, NULL, 0);
}

static void wake_all(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void *shared(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        give_up("shared memory");
    return p;
}

/* --- pages --- */

/* The seed of all words of a page. Never 0 for a version above 0. */
void pg_write_page(uint64_t *page, uint64_t gfn, uint32_t version)
{
    uint64_t at = pg_page_seed(gfn, version);

    for (unsigned i = 0; i < PG_WORDS; i++)
        page[i] = pg_next_word(&at, version);
}

bool pg_same_page(const uint64_t *page, uint64_t gfn, uint32_t version)
{
    uint64_t at = pg_page_seed(gfn, version), differ = 0;

    for (unsigned i = 0; i < PG_WORDS; i++)
        differ |= page[i] ^ pg_next_word(&at, version);
    return !differ;
}

/* 0 if `done` bytes are a page, else -1. */
static int whole_page(ssize_t done)
{
    if (done == (ssize_t)PAGE)
        return 0;
    if (done >= 0)
        errno = EIO;
    return -1;
}

int pg_get(const struct pg_guest *g, uint64_t gfn, void *page)
{
    return whole_page(pread(g->memfd, page, PAGE, (off_t)(gfn * PAGE)));
}

int pg_put(const struct pg_guest *g, uint64_t gfn, const void *page)
{
    return whole_page(pwrite(g->memfd, page, PAGE, (off_t)(gfn * PAGE)));
}

static uint64_t *page_of(const struct pg_guest *g, uint64_t gfn)
{
    return (uint64_t *)(g->mem + gfn * PAGE);
}

/* --- what a vCPU does --- */

static uint64_t random_of(struct pg_vcpu *v)
{
    return pg_next_random(&v->random);
}

/* Which of its n pages is next. */
static uint64_t choose(struct pg_vcpu *v, uint64_t n)
{
    uint64_t at = v->at;

    switch (v->work) {
    case PG_SEQ:
        v->at = (at + 1) % n;
        return at % n;
    case PG_STRIDE: /* begin each pass one page later, so that all have their turn */
        v->at = at + v->arg < n ? at + v->arg : (at + 1) % v->arg % n;
        return at % n;
    case PG_HOT:
        if (v->arg && random_of(v) % 10)
            return random_of(v) % (v->arg < n ? v->arg : n);
        return random_of(v) % n;
    default:
        return random_of(v) % n;
    }
}

/* Release a page, or take one: a page that returns is new and zero. */
static bool balloon(struct pg_guest *g, uint64_t gfn)
{
    if (!g->has[gfn]) {
        g->truth->version[gfn] = 0;
        g->has[gfn] = 1;
        g->pages++;
        return true;
    }
    g->has[gfn] = 0;
    g->pages--;
    if (g->log.sync ? pg_log_remove(g, gfn) : madvise(page_of(g, gfn), PAGE, MADV_REMOVE))
        give_up("madvise");
    g->truth->version[gfn] = 0;
    return false;
}

static void step(struct pg_guest *g, struct pg_vcpu *v, unsigned id)
{
    unsigned stride = g->truth->nr_vcpus;
    uint64_t n = (v->count - id + stride - 1) / stride;
    uint64_t gfn = v->first + choose(v, n) * stride + id;
    uint64_t *page = page_of(g, gfn);
    uint32_t version = g->truth->version[gfn];

    v->steps++;
    if (v->work == PG_BALLOON) {
        if (!balloon(g, gfn))
            return;
        version = 0;
    }
    if (!g->has[gfn])
        return;
    if (!pg_same_page(page, gfn, version)) {
        g->bad_gfn = gfn;
        g->bad++;
    }
    if (v->reads)
        return;
    version = (version + 1) | g->truth->text;
    pg_write_page(page, gfn, version);
    g->truth->version[gfn] = version;
}

static void beat(struct pg_beat *b)
{
    uint64_t now = xf_now_ns();

    if (!b->first)
        b->first = now;
    else if (now - b->last > b->longest_gap)
        b->longest_gap = now - b->last;
    b->last = now;
}

struct vcpu_arg {
    struct pg_guest *g;
    unsigned id;
};

static void *vcpu_main(void *arg)
{
    struct vcpu_arg *a = arg;
    struct pg_guest *g = a->g;
    struct pg_vcpu *v = &g->vcpus[a->id];
    uint64_t began = 0, done = 0;

    for (;;) {
        if (!g->gate) {
            g->parked++;
            wake_all(&g->parked);
            while (!g->gate)
                sleep_on(&g->gate, 0, 1000000000u);
            g->parked--;
            began = xf_now_ns();
            done = 0;
        }
        if (v->work == PG_REST || !v->count) {
            sleep_on(&g->gate, 1, 5000000);
        } else if (v->rate && xf_now_ns() < began + done * 1000000000ull / v->rate) {
            uint64_t due = began + done * 1000000000ull / v->rate, now = xf_now_ns();

            if (due > now)
                sleep_on(&g->gate, 1, due - now < 5000000 ? due - now : 5000000);
        } else {
            step(g, v, a->id);
            beat(&g->beats[a->id]);
            done++;
        }
    }
    return NULL;
}

/* The log that costs nothing, where the kernel has it. */
static void open_uffd(struct pg_guest *g)
{
    pthread_t thread;

    g->uffd = -1;
    if (g->absent_ok)
        g->uffd = uffd_open(UFFD_ABSENT);
    else if (!getenv(PG_SYNC_LOG_ENV))
        g->uffd = uffd_open(UFFD_LOG_ASYNC);
    if (g->uffd < 0 && !g->absent_ok) {
        g->uffd = uffd_open(UFFD_LOG_SYNC);
        g->log.sync = true;
    }
    if (g->uffd < 0)
        give_up("userfaultfd");
    if (g->log.sync && pthread_create(&thread, NULL, pg_log_main, g))
        give_up("a thread");
}

static _Noreturn void guest_main(struct pg_guest *g)
{
    struct vcpu_arg args[PG_VCPUS];
    pthread_t thread;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_uffd(g);
    for (unsigned i = 0; i < g->truth->nr_vcpus; i++) {
        args[i] = (struct vcpu_arg){g, i};
        if (pthread_create(&thread, NULL, vcpu_main, &args[i]))
            give_up("a thread");
    }
    g->ready = 1;
    wake_all(&g->ready);
    for (;;)
        pause();
}

/* --- life cycle --- */

struct pg_truth *pg_truth_new(uint64_t nr_gfns, unsigned nr_vcpus)
{
    struct pg_truth *t = shared(sizeof(*t));

    t->nr_gfns = nr_gfns;
    t->nr_vcpus = nr_vcpus;
    t->zero_every = 7;
    t->version = shared(nr_gfns * sizeof(*t->version));
    return t;
}

void pg_truth_free(struct pg_truth *t)
{
    munmap((void *)t->version, t->nr_gfns * sizeof(*t->version));
    munmap(t, sizeof(*t));
}

struct pg_guest *pg_new(struct pg_truth *t)
{
    struct pg_guest *g = shared(sizeof(*g));

    g->truth = t;
    g->memfd = pg_memory_open(t->nr_gfns * PAGE, &g->large);
    if (g->memfd < 0)
        give_up("its memory");
    g->mem = mmap(NULL, t->nr_gfns * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g->memfd, 0);
    if (g->mem == MAP_FAILED)
        give_up("mapping its memory");
    g->has = shared(t->nr_gfns);
    g->late = shared(t->nr_gfns);
    pg_log_init(&g->log, shared(t->nr_gfns / 8 + sizeof(unsigned long)));
    for (unsigned i = 0; i < t->nr_vcpus; i++)
        g->vcpus[i] = (struct pg_vcpu){.count = t->nr_gfns, .random = 88172645463325252u + i};
    return g;
}

void pg_free(struct pg_guest *g)
{
    uint64_t n = g->truth->nr_gfns;

    pg_kill(g);
    munmap(g->mem, n * PAGE);
    close(g->memfd);
    munmap((void *)g->has, n);
    munmap((void *)g->late, n);
    munmap(g->log.bits, n / 8 + sizeof(unsigned long));
    munmap(g, sizeof(*g));
}

void pg_fill(struct pg_guest *g, uint64_t first, uint64_t count)
{
    uint64_t page[PG_WORDS];

    for (uint64_t gfn = first; gfn < first + count; gfn++) {
        uint32_t version = gfn % g->truth->zero_every ? g->truth->text | 1 : 0;

        g->has[gfn] = 1;
        g->pages++;
        g->truth->version[gfn] = version;
        pg_write_page(page, gfn, version);
        if (pg_put(g, gfn, page))
            give_up("filling its memory");
    }
}

void pg_start(struct pg_guest *g, bool absent_ok)
{
    pid_t pid;

    g->absent_ok = absent_ok;
    fflush(NULL);
    pid = fork(); /* both see g */
    if (pid < 0)
        give_up("fork");
    if (!pid)
        guest_main(g);
    g->pid = pid;
    while (!g->ready && pg_alive(g))
        sleep_on(&g->ready, 0, 50000000);
    if (!g->ready) {
        fprintf(stderr, "process guest: it did not start\n");
        exit(2);
    }
    pg_stop(g);
}

void pg_run(struct pg_guest *g)
{
    g->runs++;
    g->gate = 1;
    wake_all(&g->gate);
}

void pg_stop(struct pg_guest *g)
{
    while (!pg_stop_within(g, 1000000000))
        ;
}

bool pg_stop_within(struct pg_guest *g, uint64_t ns)
{
    uint64_t until = xf_now_ns() + ns;

    g->gate = 0;
    wake_all(&g->gate); /* and the vCPUs that sleep until their next step */
    while (g->parked != g->truth->nr_vcpus && xf_now_ns() < until)
        sleep_on(&g->parked, g->parked, 10000000);
    return g->parked == g->truth->nr_vcpus;
}

bool pg_stopped(const struct pg_guest *g)
{
    return !g->gate && g->parked == g->truth->nr_vcpus;
}

void pg_kill(struct pg_guest *g)
{
    if (g->pid > 0) {
        kill(g->pid, SIGKILL);
        waitpid(g->pid, NULL, 0);
    }
    g->pid = 0;
}

bool pg_alive(struct pg_guest *g)
{
    siginfo_t info = {0};

    return g->pid > 0 && !waitid(P_PID, (id_t)g->pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
           !info.si_pid;
}

/* --- comparing it --- */

static bool listed(uint64_t gfn, const uint64_t *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (list[i] == gfn)
            return true;
    return false;
}

uint64_t pg_check(const struct pg_guest *g, const struct pg_guest *like, const uint64_t *except,
                  unsigned nr_except)
{
    uint64_t wrong = 0, page[PG_WORDS];

    for (uint64_t gfn = 0; gfn < g->truth->nr_gfns; gfn++) {
        uint32_t version = g->truth->version[gfn];
        const char *what = NULL;

        if (listed(gfn, except, nr_except))
            continue;
        if (like && g->has[gfn] != like->has[gfn])
            what = g->has[gfn] ? "a page too many" : "a page is missing";
        else if (g->late[gfn])
            what = "a page has not arrived";
        else if (g->has[gfn] && pg_get(g, gfn, page))
            give_up("reading its memory");
        else if (g->has[gfn] && !pg_same_page(page, gfn, version))
            what = *(uint8_t *)page == GARBAGE ? "garbage" : "another content";
        if (what && wrong++ < 5)
            fprintf(stderr, "gfn %llu (version %u): %s\n", (unsigned long long)gfn, version, what);
    }
    return wrong;
}

uint64_t pg_steps(const struct pg_guest *g)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < g->truth->nr_vcpus; i++)
        sum += g->vcpus[i].steps;
    return sum;
}
