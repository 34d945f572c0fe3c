/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of CPU features, comparison of levels, and the `cpuid=` line: see cpu.h. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <libxl.h>

#include "libxl-ext/xen/cpu_policy.h"

#define FEATURES (32u * XF_CPU_WORDS)
#define ARCH_CAPS_BIT (9u * 32 + 29)
#define MSR_WORDS(w) ((w) < XF_CPU_PLACES && xf_cpu_places[w].msr)

/* `cpuid=` takes them in lower case, with dashes. */
static const struct {
    const char *name;
    unsigned n;
} names[] = {
    {"CLFSH", 19}, /* before CLFLUSH, which is a number there (xl.cfg(5)) */
#define XEN_CPUFEATURE(name, value) {#name, value},
#include <xen/arch-x86/cpufeatureset.h>
};

/* --- names --- */

bool xf_cpu_feature(unsigned n, char out[XF_CPU_NAME])
{
    static const char *const regs[] = {"eax", "ebx", "ecx", "edx"};
    const struct xf_cpu_place *p = &xf_cpu_places[n / 32 % XF_CPU_PLACES];
    char *to = out;

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].n != n)
            continue;
        for (const char *c = names[i].name; *c && to < out + XF_CPU_NAME - 1; c++)
            *to++ = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
        *to = 0;
        return true;
    }
    if (n / 32 >= XF_CPU_PLACES)
        snprintf(out, XF_CPU_NAME, "feature word %u bit %u", n / 32, n % 32);
    else if (p->msr)
        snprintf(out, XF_CPU_NAME, "MSR 0x%x bit %u", p->leaf, 32 * p->reg + n % 32);
    else if (p->subleaf == XEN_CPUID_NO_SUBLEAF)
        snprintf(out, XF_CPU_NAME, "leaf 0x%x %s bit %u", p->leaf, regs[p->reg], n % 32);
    else
        snprintf(out, XF_CPU_NAME, "leaf 0x%x.%u %s bit %u", p->leaf, p->subleaf, regs[p->reg],
                 n % 32);
    return false;
}

/* Does libxl here take this word in `cpuid=`? */
static bool libxl_knows(const char *word)
{
    libxl_cpuid_policy_list list = NULL;
    int rc = libxl_cpuid_parse_config(&list, word);

    libxl_cpuid_dispose(&list);
    return rc == 0;
}

/* --- comparing --- */

void xf_cpu_compare(const struct xf_cpu_level *has, const struct xf_cpu_level *may,
                    struct xf_cpu_excess *out)
{
    memset(out, 0, sizeof(*out));
    out->limit = *may;
    out->leaf = has->leaf > may->leaf;
    out->subleaf = has->subleaf > may->subleaf;
    out->extended = has->extended > may->extended;
    out->any = out->leaf || out->subleaf || out->extended;
    for (unsigned w = 0; w < XF_CPU_WORDS; w++) {
        out->words[w] = has->words[w] & ~may->words[w];
        if (w < XF_CPU_PLACES)
            out->words[w] &= ~xf_cpu_places[w].ignore;
        out->any |= out->words[w] != 0;
    }
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void xf_cpu_common(const struct xf_cpu *hosts, unsigned n, struct xf_cpu_excess *out)
{
    struct xf_cpu_level some = hosts[0].usual, all = hosts[0].most;

    for (unsigned i = 1; i < n; i++) {
        const struct xf_cpu_level *u = &hosts[i].usual, *m = &hosts[i].most;

        some.leaf = larger(some.leaf, u->leaf);
        some.subleaf = larger(some.subleaf, u->subleaf);
        some.extended = larger(some.extended, u->extended);
        all.leaf = smaller(all.leaf, m->leaf);
        all.subleaf = smaller(all.subleaf, m->subleaf);
        all.extended = smaller(all.extended, m->extended);
        for (unsigned w = 0; w < XF_CPU_WORDS; w++) {
            some.words[w] |= u->words[w];
            all.words[w] &= m->words[w];
        }
    }
    xf_cpu_compare(&some, &all, out);
}

/* --- the line --- */

struct text {
    char *out;
    size_t size, len;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
    va_list al;
    int n;

    va_start(al, fmt);
    n = vsnprintf(t->len < t->size ? t->out + t->len : NULL,
                  t->len < t->size ? t->size - t->len : 0, fmt, al);
    va_end(al);
    t->len += n > 0 ? (size_t)n : 0;
}

/* By names; false: libxl here does not know all that is needed. */
static bool by_names(const struct xf_cpu_excess *x, struct text *t)
{
    char name[XF_CPU_NAME], word[XF_CPU_NAME + 16];

    if (x->subleaf || x->extended)
        return false;
    add(t, "cpuid=\"host");
    for (unsigned n = 0; n < FEATURES; n++) {
        if (!(x->words[n / 32] >> n % 32 & 1))
            continue;
        if (!xf_cpu_feature(n, name))
            return false;
        snprintf(word, sizeof(word), "%s=0", name);
        if (!libxl_knows(word))
            return false;
        add(t, ",%s", word);
    }
    if (x->leaf) {
        snprintf(word, sizeof(word), "maxleaf=0x%x", x->limit.leaf);
        if (!libxl_knows(word))
            return false;
        add(t, ",%s", word);
    }
    add(t, "\"");
    return true;
}

/* A register as `cpuid=` takes it: "x" is Xen's default. */
struct bits {
    bool used;
    char bit[33]; /* bit 31 first */
};

static void deny(struct bits *b, uint32_t mask)
{
    b->used |= mask != 0;
    for (unsigned i = 0; i < 32; i++)
        if (mask >> i & 1)
            b->bit[31 - i] = '0';
}

static void set(struct bits *b, uint32_t value)
{
    b->used = true;
    for (unsigned i = 0; i < 32; i++)
        b->bit[31 - i] = value >> i & 1 ? '1' : '0';
}

/* One leaf's entry in the list, if anything of it changes. */
static void add_leaf(const struct xf_cpu_excess *x, uint32_t leaf, uint32_t subleaf, struct text *t,
                     bool *first)
{
    struct bits regs[4];
    bool begun = false;

    for (unsigned r = 0; r < 4; r++) {
        regs[r].used = false;
        memset(regs[r].bit, 'x', 32);
        regs[r].bit[32] = 0;
    }
    for (unsigned w = 0; w < XF_CPU_PLACES; w++)
        if (!MSR_WORDS(w) && xf_cpu_places[w].leaf == leaf && xf_cpu_places[w].subleaf == subleaf)
            deny(&regs[xf_cpu_places[w].reg], x->words[w]);
    if (leaf == 0 && x->leaf)
        set(&regs[0], x->limit.leaf);
    if (leaf == 7 && subleaf == 0 && x->subleaf)
        set(&regs[0], x->limit.subleaf);
    if (leaf == 0x80000000 && x->extended)
        set(&regs[0], x->limit.extended);
    for (unsigned r = 0; r < 4; r++) {
        if (!regs[r].used)
            continue;
        if (!begun) {
            add(t, "%s\"0x%08x", *first ? "" : ",", leaf);
            if (subleaf != XEN_CPUID_NO_SUBLEAF)
                add(t, ",0x%02x", subleaf);
        }
        add(t, "%se%cx=%s", begun ? "," : ":", "abcd"[r], regs[r].bit);
        begun = true;
    }
    if (!begun)
        return;
    add(t, "\"");
    *first = false;
}

/* By bits, which every libxl takes. An MSR cannot be given so; without `arch-caps` a guest has none
 * of its bits. */
static int by_bits(const struct xf_cpu_excess *wanted, struct text *t, struct xf_err *err)
{
    struct xf_cpu_excess x = *wanted;
    char name[XF_CPU_NAME];
    bool first = true;

    for (unsigned n = 0; n < FEATURES; n++) {
        if (!(x.words[n / 32] >> n % 32 & 1))
            continue;
        if (MSR_WORDS(n / 32))
            x.words[ARCH_CAPS_BIT / 32] |= 1u << ARCH_CAPS_BIT % 32;
        if (n / 32 < XF_CPU_PLACES)
            continue;
        xf_cpu_feature(n, name);
        return xf_fail(err, ENOTSUP,
                       "this Xenferry is too old to say how %s is denied to a guest: install one "
                       "that was built for the Xen that runs here",
                       name);
    }
    add(t, "cpuid=[");
    for (unsigned i = 0; i < XF_CPU_LEAVES; i++)
        add_leaf(&x, xf_cpu_leaves[i].leaf, xf_cpu_leaves[i].subleaf, t, &first);
    add(t, "]");
    return 0;
}

int xf_cpu_line(const struct xf_cpu_excess *x, char *out, size_t size, struct xf_err *err)
{
    struct text t = {.out = out, .size = size};

    if (!by_names(x, &t)) {
        t.len = 0;
        if (by_bits(x, &t, err))
            return -1;
    }
    if (t.len >= size)
        return xf_fail(err, EMSGSIZE, "the cpuid= line has %zu bytes", t.len);
    return 0;
}
