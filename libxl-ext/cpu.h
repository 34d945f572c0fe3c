/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a processor offers to guests, and the `cpuid=` line (xl.cfg(5)) of a guest that several
 * hosts can run. For tools/, like libxl_ext.h.
 *
 * Features are the words of Xen's featureset (xen/arch-x86/cpufeatureset.h): feature n is bit
 * n % 32 of word n / 32. Their places are part of Xen's interface and never change; later versions
 * append words.
 *
 * Any thread; no state.
 */
#ifndef XF_CPU_H
#define XF_CPU_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/err.h"

#define XF_CPU_WORDS 32u /* Xen 4.17.7 and 4.20 have 19 */
#define XF_CPU_VENDOR 13
#define XF_CPU_NAME 48
#define XF_CPU_LINE 8192
#define XF_CPU_HOSTS_MAX 64u

/* A set of features, and the highest CPUID leaves. */
struct xf_cpu_level {
    uint32_t leaf;     /* basic leaves: CPUID 0 EAX */
    uint32_t subleaf;  /* of leaf 7: its EAX */
    uint32_t extended; /* CPUID 0x80000000 EAX; 0: there are none */
    uint32_t words[XF_CPU_WORDS];
};

/* What Xen on one host offers to HVM and PVH guests. */
struct xf_cpu {
    char vendor[XF_CPU_VENDOR]; /* "GenuineIntel"; printable */
    struct xf_cpu_level most;   /* at most: with more no guest can come here */
    struct xf_cpu_level usual;  /* to a guest without a `cpuid=` */
};

/* What a level has beyond another one. */
struct xf_cpu_excess {
    bool any;
    bool leaf, subleaf, extended; /* the highest leaf is beyond the other's, which is in `limit` */
    struct xf_cpu_level limit;    /* words: not used */
    uint32_t words[XF_CPU_WORDS];
};

/* This host's. -1: Xen cannot be asked. */
int xf_cpu_here(struct xf_cpu *out, struct xf_err *err);

/* Another host's, asked as `xl migrate` would begin a move: ssh_command and cancel as in struct
 * xf_move_opts. Blocks until it has answered. ENOTSUP: its Xenferry is too old to answer. */
int xf_cpu_ask(const char *host, const char *ssh_command, const volatile sig_atomic_t *cancel,
               struct xf_cpu *out, struct xf_err *err);

/* What `has` has and `may` lacks, without bits that are not capabilities but tell of the topology
 * or of the moment. */
void xf_cpu_compare(const struct xf_cpu_level *has, const struct xf_cpu_level *may,
                    struct xf_cpu_excess *out);

/* What a guest must be denied to move between all n hosts (1 or more): whatever any of them gives
 * without a `cpuid=`, and not all can give. */
void xf_cpu_common(const struct xf_cpu *hosts, unsigned n, struct xf_cpu_excess *out);

/* The name of feature n, as `cpuid=` knows it: "avx512f"; false: it has none, and the text says
 * where it is: "leaf 0x7 edx bit 5". */
bool xf_cpu_feature(unsigned n, char out[XF_CPU_NAME]);

/*
 * The line that denies all of the excess, if libxl here knows all names: cpuid="host,avx512f=0",
 * else by bits: cpuid=["0x00000007,0x00:ebx=xxx..."]. EMSGSIZE: it does not fit into out[size].
 * ENOTSUP: a feature has neither a name nor a leaf that this version knows.
 */
int xf_cpu_line(const struct xf_cpu_excess *x, char *out, size_t size, struct xf_err *err);

#endif
