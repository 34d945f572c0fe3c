/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for the comparison of a guest's CPU policy, whose leaves the source sends,
 * with this host's. Input: a length, then the guest's leaves, then the host's. Beyond "no crash":
 * every policy fits itself, less of it fits it too, and a refusal names a leaf.
 */
#include <xenctrl.h>

#include "libxl-ext/peer/check.h"
#include "tests/fuzz/target.h"

enum { FITS, DOES_NOT, FITS_LESS };

static void *fuzz_copy(const void *from, size_t len)
{
    void *to = malloc(len ? len : 1); /* exact, so that one byte too far shows */

    MUST(to);
    memcpy(to, from, len);
    return to;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len;
    void *guest, *host;
    char what[128] = "";

    if (size < 1 || size > 8192)
        return 0;
    len = data[0] * sizeof(xen_cpuid_leaf_t);
    len = len < size - 1 ? len : size - 1;
    guest = fuzz_copy(data + 1, len);
    host = fuzz_copy(data + 1 + len, size - 1 - len);
    if (xf_policy_missing(guest, (uint32_t)len, host, (uint32_t)(size - 1 - len), what,
                          sizeof(what))) {
        MUST(!strncmp(what, "leaf ", 5) && strlen(what) < sizeof(what));
        fuzz_reached(DOES_NOT);
    } else if (len >= sizeof(xen_cpuid_leaf_t) && size - 1 > len) {
        fuzz_reached(FITS);
    }
    MUST(!xf_policy_missing(guest, (uint32_t)len, guest, (uint32_t)len, what, sizeof(what)));
    MUST(!xf_policy_missing(NULL, 0, host, (uint32_t)(size - 1 - len), what, sizeof(what)));
    if (len >= sizeof(xen_cpuid_leaf_t)) { /* the guest gives up bits of its first leaf */
        xen_cpuid_leaf_t *less = fuzz_copy(guest, len);

        less->a &= 0x0f0f0f0f;
        less->b &= 0x0f0f0f0f;
        less->c &= 0x0f0f0f0f;
        less->d &= 0x0f0f0f0f;
        MUST(!xf_policy_missing(less, (uint32_t)len, guest, (uint32_t)len, what, sizeof(what)));
        fuzz_reached(FITS_LESS);
        free(less);
    }
    free(guest);
    free(host);
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static const uint32_t list[][2] = {{0, XEN_CPUID_NO_SUBLEAF},
                                       {1, XEN_CPUID_NO_SUBLEAF},
                                       {7, 0},
                                       {7, 1},
                                       {0xd, 1},
                                       {0x80000001, XEN_CPUID_NO_SUBLEAF},
                                       {0x80000007, XEN_CPUID_NO_SUBLEAF},
                                       {0x80000008, XEN_CPUID_NO_SUBLEAF}};
    const unsigned nr = sizeof(list) / sizeof(list[0]);
    uint8_t *at = out + 1;

    if (n >= 2)
        return 0;
    out[0] = (uint8_t)nr;
    for (unsigned i = 0; i < 2 * nr; i++) {
        const xen_cpuid_leaf_t l = {.leaf = list[i % nr][0],
                                    .subleaf = list[i % nr][1],
                                    .a = 0x12345678,
                                    .b = 0x55555555,
                                    .c = n && i == 2 * nr - 1 ? 0 : 0x33333333,
                                    .d = n && i == nr + 1 ? 0x100 : 0x0f0f0f0f};

        memcpy(at, &l, sizeof(l));
        at += sizeof(l);
    }
    return (size_t)(at - out);
}

FUZZ_TARGET(fuzz_seed, "a policy that fits", "a policy that does not", "less of a policy")
