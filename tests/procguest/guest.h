/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that is a process: its memory is a file without a name (memory.h), its vCPUs are threads
 * whose whole state is one small struct, and they run a workload. It runs anywhere at native speed.
 * The engine's view of it is in source.h (dirty log) and sink.h (absent pages).
 *
 * A move has two copies of one guest, each a process of its own, and one `struct pg_truth`: the
 * expected contents of every page, kept outside the memory that is moved. A lost write, or a page
 * of another time, differs from it and is found, by the vCPUs themselves (pg_guest.bad) and by
 * pg_check().
 *
 * Everything here lies in memory shared with the processes forked after it was made, at one address
 * in all of them. Linux 5.19 or newer, and root, for userfaultfd; from 6.7 on the dirty log costs
 * the guest no fault that a thread has to handle (dirtylog.h).
 */
#ifndef XF_PG_GUEST_H
#define XF_PG_GUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/procguest/content.h"
#include "tests/procguest/dirtylog.h"

#define PG_VCPUS 4u /* at most */
#define PG_WORD 8u

enum pg_work {
    PG_REST,    /* does nothing */
    PG_SEQ,     /* its pages one after the other, again and again */
    PG_STRIDE,  /* every arg-th of them */
    PG_RANDOM,  /* any of them */
    PG_HOT,     /* any of the first arg of them, nine times of ten; else any */
    PG_BALLOON, /* gives a random page back, or takes one, and writes it */
};

/* A vCPU's whole state. vCPU n of N owns the gfns g with g % N == n within [first, first +
 * count): "its pages" are those. */
struct pg_vcpu {
    uint32_t work; /* enum pg_work */
    uint32_t arg;
    uint32_t rate;  /* pages per second; 0: as fast as it can */
    uint32_t reads; /* 1: read only, do not write */
    uint64_t first, count;
    uint64_t at, random, steps;
};

/* Clocks of a vCPU in this copy of the guest; not part of its state. CLOCK_MONOTONIC, ns. */
struct pg_beat {
    _Atomic uint64_t first, last, longest_gap;
};

struct pg_truth {
    uint64_t nr_gfns;
    unsigned nr_vcpus;
    uint32_t text;             /* PG_TEXT: pages are filled with it; 0: they are not */
    uint32_t zero_every;       /* every zero_every-th page is filled with zeros */
    _Atomic uint32_t *version; /* of each page; 0: all zero bytes */
};

struct pg_guest {
    struct pg_truth *truth;
    int memfd;             /* of memory.h, */
    bool large;            /* as well */
    uint8_t *mem;          /* all of it, as this process sees it */
    _Atomic uint8_t *has;  /* has[gfn]: the guest has a page there */
    _Atomic uint8_t *late; /* late[gfn]: the page is absent, its content has not arrived */
    _Atomic uint64_t pages;
    struct pg_vcpu vcpus[PG_VCPUS];
    struct pg_beat beats[PG_VCPUS];
    bool absent_ok; /* its userfaultfd is for absent pages; else it is for a dirty log */

    pid_t pid; /* 0: not started */
    int uffd;  /* number of the descriptor in the guest's process */
    struct pg_log log;
    _Atomic uint32_t ready, gate, parked;
    _Atomic uint32_t runs; /* how often it was let run */
    _Atomic uint32_t bad;  /* pages that a vCPU found wrong */
    _Atomic uint64_t bad_gfn;
};

/* The rest of this file ends the process with a message when a system call fails: no test could
 * go on. */

struct pg_truth *pg_truth_new(uint64_t nr_gfns, unsigned nr_vcpus);
void pg_truth_free(struct pg_truth *t);

/* A copy with no page yet, and no process. */
struct pg_guest *pg_new(struct pg_truth *t);
void pg_free(struct pg_guest *g); /* ends its process */

/* Give it pages [first, first + count), with the contents of the truth. Call before pg_start(). */
void pg_fill(struct pg_guest *g, uint64_t first, uint64_t count);
/* Start its process; the vCPUs stand still. */
void pg_start(struct pg_guest *g, bool absent_ok);
/* Let the vCPUs run; stop them at the end of a step. A vCPU that waits for an absent page
 * does not stop, so pg_stop() may wait for ever then. */
void pg_run(struct pg_guest *g);
void pg_stop(struct pg_guest *g);
bool pg_stop_within(struct pg_guest *g, uint64_t ns); /* false: they did not all stop */
bool pg_stopped(const struct pg_guest *g);
/* End it at once, whatever its vCPUs wait for. */
void pg_kill(struct pg_guest *g);
bool pg_alive(struct pg_guest *g);

/* The bytes of page gfn in its `version`. */
void pg_write_page(uint64_t *page, uint64_t gfn, uint32_t version);
bool pg_same_page(const uint64_t *page, uint64_t gfn, uint32_t version);
/* Read or write page gfn as a file: through a mapping that is not used else each page costs a fault
 * or two. 0, or -1 with errno. */
int pg_get(const struct pg_guest *g, uint64_t gfn, void *page);
int pg_put(const struct pg_guest *g, uint64_t gfn, const void *page);
/* Compare every page of a stopped guest with the truth, and its holes with those of `like`
 * (NULL: do not compare holes). Returns the number of differences and prints the first few. Gfns
 * in except are left out. */
uint64_t pg_check(const struct pg_guest *g, const struct pg_guest *like, const uint64_t *except,
                  unsigned nr_except);

/* Sum of the steps of all vCPUs. */
uint64_t pg_steps(const struct pg_guest *g);

#endif
