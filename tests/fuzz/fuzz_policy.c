/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for the comparison of a guest's CPU policy, whose leaves and MSRs the source
 * sends, with this host's; and for what is said of it. Input: a length, then the guest's leaves,
 * then the host's; the bytes of the guest's leaves are taken for its MSRs as well. Beyond "no
 * crash": every policy fits itself, less of it fits it too, and a refusal is a clean sentence with
 * a remedy.
 */
#include <string.h>

#include <xenctrl.h>

#include "libxl-ext/peer/check.h"
#include "libxl-ext/xen/cpu_policy.h"
#include "tests/fuzz/target.h"
#include "transport/text.h"

enum { FITS, DOES_NOT, FITS_LESS };

static void *fuzz_copy(const void *from, size_t len)
{
    void *to = malloc(len ? len : 1); /* exact, so that one byte too far shows */

    MUST(to);
    memcpy(to, from, len);
    return to;
}

static void fuzz_read(const void *bytes, size_t len, struct xf_cpu_level *out,
                      char vendor[XF_CPU_VENDOR])
{
    void *exact = fuzz_copy(bytes, len);

    xf_cpu_of_policy(exact, (uint32_t)len, exact, (uint32_t)len, out, vendor);
    MUST(strlen(vendor) == 0 || strlen(vendor) == XF_CPU_VENDOR - 1);
    MUST(xf_text_is_clean(vendor, strlen(vendor)));
    free(exact);
}

static void fuzz_findings(const struct xf_findings *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        const struct xf_finding *x = &f->list[i];

        MUST(x->severity == XF_REFUSAL && memchr(x->text, 0, sizeof(x->text)));
        MUST(xf_text_is_clean(x->text, strlen(x->text)));
        MUST(strstr(x->text, "restart it with") || !strcmp(x->code, "cpu-vendor"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xf_findings found = {0}, none = {0};
    struct xf_cpu_level guest, less;
    char vendor[XF_CPU_VENDOR];
    struct xf_cpu host = {0};
    struct xf_cpu_excess x;
    size_t len;

    if (size < 1 || size > 8192)
        return 0;
    len = data[0] * sizeof(xen_cpuid_leaf_t);
    len = len < size - 1 ? len : size - 1;
    fuzz_read(data + 1, len, &guest, vendor);
    fuzz_read(data + 1 + len, size - 1 - len, &host.most, host.vendor);
    xf_find_cpu(vendor, &guest, &host, &found);
    fuzz_findings(&found);
    if (found.n)
        fuzz_reached(DOES_NOT);
    else if (len >= sizeof(xen_cpuid_leaf_t) && size - 1 > len)
        fuzz_reached(FITS);
    less = guest;
    for (unsigned w = 0; w < XF_CPU_WORDS; w++)
        less.words[w] &= 0x0f0f0f0f;
    xf_cpu_compare(&less, &guest, &x);
    MUST(!x.any);
    memset(less.words, 0, sizeof(less.words));
    less.leaf = less.subleaf = less.extended = 0;
    host.vendor[0] = 0;
    xf_find_cpu(vendor, &less, &host, &none);
    MUST(!none.n);
    fuzz_reached(FITS_LESS);
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    uint8_t *at = out + 1;

    if (n >= 2)
        return 0;
    out[0] = XF_CPU_LEAVES;
    for (unsigned i = 0; i < 2 * XF_CPU_LEAVES; i++) {
        const xen_cpuid_leaf_t l = {.leaf = xf_cpu_leaves[i % XF_CPU_LEAVES].leaf,
                                    .subleaf = xf_cpu_leaves[i % XF_CPU_LEAVES].subleaf,
                                    .a = 0x12345678,
                                    .b = 0x55555555,
                                    .c = n && i == 2 * XF_CPU_LEAVES - 1 ? 0 : 0x33333333,
                                    .d = n && i == XF_CPU_LEAVES + 1 ? 0x100 : 0x0f0f0f0f};

        memcpy(at, &l, sizeof(l));
        at += sizeof(l);
    }
    return (size_t)(at - out);
}

FUZZ_TARGET(fuzz_seed, "a policy that fits", "a policy that does not", "less of a policy")
