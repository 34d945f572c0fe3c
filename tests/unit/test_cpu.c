/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CPU features: where a policy has them, what they are called, what CHECK finds, and the `cpuid=`
 * line. libxl's own parser is asked whether it understands what is printed. Of Xen only the host is
 * made up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl.h>
#include <xenctrl.h>
#include <xenguest.h>

#include "libxl-ext/peer/check.h"
#include "libxl-ext/xen/cpu_policy.h"
#include "tests/unit/suite.h"

#define PLAIN XEN_CPUID_NO_SUBLEAF
#define AVX512F (5 * 32 + 16)
#define AVX512DQ (5 * 32 + 17)
#define RDCL_NO (16 * 32)
#define ARCH_CAPS (9 * 32 + 29)

static void give(struct xf_cpu_level *l, unsigned n)
{
    l->words[n / 32] |= 1u << n % 32;
}

static void take(struct xf_cpu_level *l, unsigned n)
{
    l->words[n / 32] &= ~(1u << n % 32);
}

static const struct xf_cpu_level much = {.leaf = 0xd, .subleaf = 2, .extended = 0x80000021};

static xen_cpuid_leaf_t leaf0(const char name[12], uint32_t highest)
{
    xen_cpuid_leaf_t l = {.leaf = 0, .subleaf = PLAIN, .a = highest};

    memcpy(&l.b, name, 4);
    memcpy(&l.d, name + 4, 4);
    memcpy(&l.c, name + 8, 4);
    return l;
}

/* --- a policy --- */

static void test_places(void)
{
    /* In the order of Xen's words; reg 4 and 5 are the halves of the MSR. */
    static const struct {
        uint32_t leaf, subleaf;
        unsigned reg;
    } wanted[] = {{1, PLAIN, 3},
                  {1, PLAIN, 2},
                  {0x80000001, PLAIN, 3},
                  {0x80000001, PLAIN, 2},
                  {0xd, 1, 0},
                  {7, 0, 1},
                  {7, 0, 2},
                  {0x80000007, PLAIN, 3},
                  {0x80000008, PLAIN, 1},
                  {7, 0, 3},
                  {7, 1, 0},
                  {0x80000021, PLAIN, 0},
                  {7, 1, 1},
                  {7, 2, 3},
                  {7, 1, 2},
                  {7, 1, 3},
                  {0, 0, 4},
                  {0, 0, 5},
                  {0x80000021, PLAIN, 2}};

    CU_ASSERT_EQUAL(sizeof(wanted) / sizeof(wanted[0]), XF_CPU_PLACES);
    for (unsigned w = 0; w < XF_CPU_PLACES; w++) {
        xen_cpuid_leaf_t l = {.leaf = wanted[w].leaf, .subleaf = wanted[w].subleaf};
        xen_msr_entry_t m = {.idx = 0x10a};
        const uint32_t bits = 0x80000001u + (w << 8);
        struct xf_cpu_level got;
        char vendor[XF_CPU_VENDOR];
        unsigned others = 0;

        if (wanted[w].reg < 4)
            (&l.a)[wanted[w].reg] = bits;
        else
            m.val = (uint64_t)bits << 32 * (wanted[w].reg - 4);
        xf_cpu_of_policy(&l, sizeof(l), &m, sizeof(m), &got, vendor);
        CU_ASSERT_EQUAL(got.words[w], bits);
        for (unsigned i = 0; i < XF_CPU_WORDS; i++)
            others += i != w && got.words[i];
        CU_ASSERT_EQUAL(others, 0);
    }
}

static void test_policy(void)
{
    const xen_cpuid_leaf_t list[] = {leaf0("GenuineIntel", 0xd),
                                     {7, 0, 2, 1, 0, 0},
                                     {7, 0, 1, 2, 0, 0}, /* a second time */
                                     {7, PLAIN, 99, 4, 0, 0},
                                     {0x80000000, PLAIN, 0x80000008, 0, 0, 0}};
    const xen_cpuid_leaf_t odd = leaf0("\33[2J\n\377 xxxxx", 0);
    struct xf_cpu_level got;
    char vendor[XF_CPU_VENDOR];

    xf_cpu_of_policy(list, sizeof(list), NULL, 0, &got, vendor);
    CU_ASSERT_STRING_EQUAL(vendor, "GenuineIntel");
    CU_ASSERT(got.leaf == 0xd && got.subleaf == 2 && got.extended == 0x80000008);
    CU_ASSERT_EQUAL(got.words[5], 3);
    /* What a peer sends as its name goes to a terminal. */
    xf_cpu_of_policy(&odd, sizeof(odd), NULL, 0, &got, vendor);
    CU_ASSERT_STRING_EQUAL(vendor, "?[2J?? xxxxx");
    xf_cpu_of_policy(list, sizeof(list[0]) - 1, NULL, 0, &got, vendor);
    CU_ASSERT(!vendor[0] && !got.leaf);
    xf_cpu_of_policy(NULL, 0, NULL, 0, &got, vendor);
    CU_ASSERT(!vendor[0] && !got.leaf);
}

/* --- comparing --- */

static void test_compare(void)
{
    struct xf_cpu_level guest = much, host = much;
    struct xf_cpu_excess x;

    xf_cpu_compare(&guest, &host, &x);
    CU_ASSERT_FALSE(x.any);
    for (unsigned n = 0; n < 32 * XF_CPU_WORDS; n++) {
        /* HTT, OSXSAVE, CMP_LEGACY, OSPKE; and AMD's second copy of leaf 1's EDX */
        bool ignored = n == 28 || n == 32 + 27 || n == 3 * 32 + 1 || n == 6 * 32 + 4 ||
                       (n / 32 == 2 && 0x0183f3ff >> n % 32 & 1);

        guest = much;
        give(&guest, n);
        xf_cpu_compare(&guest, &host, &x);
        CU_ASSERT_EQUAL(x.any, !ignored);
        CU_ASSERT_EQUAL(x.words[n / 32], ignored ? 0 : 1u << n % 32);
        xf_cpu_compare(&host, &guest, &x);
        CU_ASSERT_FALSE(x.any);
    }
    guest = much;
    guest.subleaf++;
    xf_cpu_compare(&guest, &host, &x);
    CU_ASSERT(x.any && x.subleaf && !x.leaf && !x.extended && x.limit.subleaf == 2);
}

static void test_common(void)
{
    struct xf_cpu hosts[3] = {
        {"GenuineIntel", much, much}, {"GenuineIntel", much, much}, {"GenuineIntel", much, much}};
    struct xf_cpu_excess x;

    give(&hosts[0].usual, AVX512F);
    give(&hosts[0].most, AVX512F);
    xf_cpu_common(hosts, 1, &x);
    CU_ASSERT_FALSE(x.any);
    give(&hosts[1].most, AVX512F); /* the second one has it, and gives it only when asked */
    give(&hosts[1].most, AVX512DQ);
    xf_cpu_common(hosts, 2, &x);
    CU_ASSERT_FALSE(x.any);
    xf_cpu_common(hosts, 3, &x);
    CU_ASSERT(x.any && x.words[5] == 1u << 16 && !x.leaf);
    give(&hosts[1].usual, AVX512DQ);
    hosts[2].most.leaf = 0xb;
    xf_cpu_common(hosts, 3, &x);
    CU_ASSERT(x.words[5] == 3u << 16 && x.leaf && x.limit.leaf == 0xb);
}

/* --- names and lines, as libxl understands them --- */

/* What a guest with this gets, as JSON; malloc()ed. */
static char *as_json(libxl_cpuid_policy_list list)
{
    libxl_domain_build_info info;
    char *json;

    libxl_domain_build_info_init(&info);
    info.cpuid = list;
    json = libxl_domain_build_info_to_json(NULL, &info);
    libxl_domain_build_info_dispose(&info);
    return json;
}

static char *of_name(const char *name)
{
    libxl_cpuid_policy_list list = NULL;
    char word[XF_CPU_NAME + 8];

    snprintf(word, sizeof(word), "%s=0", name);
    CU_ASSERT_EQUAL(libxl_cpuid_parse_config(&list, word), 0);
    return as_json(list);
}

/* Of a line by bits, those entries that do not begin with `without`. */
static char *of_list(const char *line, const char *without)
{
    libxl_cpuid_policy_list list = NULL;
    char copy[XF_CPU_LINE], *save = NULL;

    CU_ASSERT_EQUAL_FATAL(strncmp(line, "cpuid=[\"", 8), 0);
    CU_ASSERT_STRING_EQUAL(line + strlen(line) - 2, "\"]");
    snprintf(copy, sizeof(copy), "%s", line + 7);
    for (char *p = strtok_r(copy, "\"", &save); p; p = strtok_r(NULL, "\"", &save))
        if (*p == '0' && strncmp(p, without, strlen(without)) != 0)
            CU_ASSERT_EQUAL(libxl_cpuid_parse_config_xend(&list, p), 0);
    return as_json(list);
}

/* Every name means the bit that it is printed for. */
static void test_names(void)
{
    char name[XF_CPU_NAME], line[XF_CPU_LINE];
    unsigned named = 0;

    for (unsigned n = 0; n < 32 * XF_CPU_PLACES; n++) {
        struct xf_cpu_excess x = {.any = true, .extended = true, .limit.extended = 0x80000008};
        char *by_name, *by_bits;

        if (!xf_cpu_feature(n, name))
            continue;
        named++;
        by_name = of_name(name);
        x.words[n / 32] = 1u << n % 32;
        CU_ASSERT_EQUAL(xf_cpu_line(&x, line, sizeof(line), NULL), 0);
        by_bits = xf_cpu_places[n / 32].msr ? of_name("arch-caps") : of_list(line, "0x80000000");
        CU_ASSERT_PTR_NOT_NULL_FATAL(by_name);
        CU_ASSERT_PTR_NOT_NULL_FATAL(by_bits);
        if (!xf_cpu_places[n / 32].msr && strcmp(by_name, by_bits) != 0) {
            fprintf(stderr, "%s (%u.%u): %s%s\n", name, n / 32, n % 32, by_name, by_bits);
            CU_FAIL("a name means another bit");
        }
        if (xf_cpu_places[n / 32].msr)
            CU_ASSERT_PTR_NOT_NULL(strstr(line, "0x00000007,0x00:edx=xx0xxxxx"));
        free(by_name);
        free(by_bits);
    }
    CU_ASSERT(named > 200);
    CU_ASSERT(xf_cpu_feature(AVX512DQ, name) && !strcmp(name, "avx512dq"));
    CU_ASSERT(xf_cpu_feature(19, name) && !strcmp(name, "clfsh"));
    CU_ASSERT_FALSE(xf_cpu_feature(13 * 32 + 31, name));
    CU_ASSERT_STRING_EQUAL(name, "leaf 0x7.2 edx bit 31");
    CU_ASSERT_FALSE(xf_cpu_feature(2 * 32 + 10, name));
    CU_ASSERT_STRING_EQUAL(name, "leaf 0x80000001 edx bit 10");
    CU_ASSERT_FALSE(xf_cpu_feature(17 * 32 + 1, name));
    CU_ASSERT_STRING_EQUAL(name, "MSR 0x10a bit 33");
    CU_ASSERT_FALSE(xf_cpu_feature(31 * 32 + 31, name));
    CU_ASSERT_STRING_EQUAL(name, "feature word 31 bit 31");
}

static void test_line(void)
{
    struct xf_cpu_excess x = {.any = true, .leaf = true, .limit = {0xb, 1, 0x80000008, {0}}};
    struct xf_err err = {0};
    char line[XF_CPU_LINE], small[20];

    x.words[5] = 3u << 16;
    CU_ASSERT_EQUAL(xf_cpu_line(&x, line, sizeof(line), &err), 0);
    CU_ASSERT_STRING_EQUAL(line, "cpuid=\"host,avx512f=0,avx512dq=0,maxleaf=0xb\"");
    CU_ASSERT_EQUAL(xf_cpu_line(&x, small, sizeof(small), &err), -1);
    CU_ASSERT_EQUAL(err.num, EMSGSIZE);
    /* A subleaf has no name, and what has none in such a line is not mixed with what has one. */
    x.subleaf = x.extended = true;
    CU_ASSERT_EQUAL(xf_cpu_line(&x, line, sizeof(line), NULL), 0);
    CU_ASSERT_STRING_EQUAL(line, "cpuid=[\"0x00000000:eax=00000000000000000000000000001011\","
                                 "\"0x00000007,0x00:eax=00000000000000000000000000000001,"
                                 "ebx=xxxxxxxxxxxxxx00xxxxxxxxxxxxxxxx\","
                                 "\"0x80000000:eax=10000000000000000000000000001000\"]");
    free(of_list(line, "-"));
    /* A feature that the compiler's header does not know is denied by its bit. */
    x = (struct xf_cpu_excess){.any = true};
    x.words[15] = 1u << 31;
    CU_ASSERT_EQUAL(xf_cpu_line(&x, line, sizeof(line), NULL), 0);
    CU_ASSERT_STRING_EQUAL(line,
                           "cpuid=[\"0x00000007,0x01:edx=0xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"]");
    memset(&err, 0, sizeof(err));
    x.words[XF_CPU_PLACES] = 1;
    CU_ASSERT_EQUAL(xf_cpu_line(&x, line, sizeof(line), &err), -1);
    CU_ASSERT_EQUAL(err.num, ENOTSUP);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "how feature word 19 bit 0 is denied"));
    /* The longest of all. */
    memset(x.words, 0xff, XF_CPU_PLACES * sizeof(x.words[0]));
    x.words[XF_CPU_PLACES] = 0;
    x.leaf = x.subleaf = x.extended = true;
    CU_ASSERT_EQUAL(xf_cpu_line(&x, line, sizeof(line), NULL), 0);
    free(of_list(line, "-"));
}

/* --- CHECK --- */

static struct xf_cpu fake = {.vendor = "GenuineIntel"}; /* this host */
static int words_fail;                                  /* errno of xc_get_cpu_featureset() */
static bool incompatible;

static struct xf_findings found;

static void check(const char *vendor, const struct xf_cpu_level *guest)
{
    memset(&found, 0, sizeof(found));
    xf_find_cpu(vendor, guest, &fake, &found);
    for (unsigned i = 0; i < found.n; i++)
        CU_ASSERT(found.list[i].severity == XF_REFUSAL && found.list[i].otherwise == XF_NOTHING);
}

static void test_findings(void)
{
    struct xf_cpu_level guest = much;

    fake.most = much;
    check("GenuineIntel", &guest);
    CU_ASSERT_EQUAL(found.n, 0);
    check("", &guest);
    CU_ASSERT_EQUAL(found.n, 0);
    give(&guest, AVX512F);
    give(&guest, AVX512DQ);
    check("GenuineIntel", &guest);
    CU_ASSERT_EQUAL_FATAL(found.n, 1);
    CU_ASSERT_STRING_EQUAL(found.list[0].code, "cpu-policy");
    CU_ASSERT_STRING_EQUAL(found.list[0].text,
                           "the guest uses CPU features that this host lacks: avx512f, avx512dq; "
                           "restart it with cpuid=\"host,avx512f=0,avx512dq=0\", or with that "
                           "added to its own");
    guest.leaf = 0x16;
    check("GenuineIntel", &guest);
    CU_ASSERT_EQUAL_FATAL(found.n, 2);
    CU_ASSERT_STRING_EQUAL(found.list[1].text,
                           "the guest's highest CPUID leaf is 0x16 and this host's is 0xd; restart "
                           "it with cpuid=\"host,avx512f=0,avx512dq=0,maxleaf=0xd\", or with that "
                           "added to its own");
    /* Another vendor's: that alone. */
    check("AuthenticAMD", &guest);
    CU_ASSERT_EQUAL_FATAL(found.n, 1);
    CU_ASSERT_STRING_EQUAL(found.list[0].code, "cpu-vendor");
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[0].text, "of AuthenticAMD and this host has one of "
                                                      "GenuineIntel"));
    guest = much;
    guest.extended = 0x80000022;
    guest.subleaf = 3;
    check("GenuineIntel", &guest);
    CU_ASSERT_EQUAL_FATAL(found.n, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[0].text, "highest subleaf of CPUID leaf 7 is 0x3"));
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[0].text, "cpuid=[\"0x00000007,0x00:eax=0"));
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[1].text, "extended CPUID leaf is 0x80000022"));
}

/* Every missing feature is named, however many they are, and each sentence has a remedy. */
static void test_many(void)
{
    struct xf_cpu_level guest = much;
    unsigned missing = 0;

    fake.most = much;
    for (unsigned n = 0; n < 32 * XF_CPU_PLACES; n += 3)
        give(&guest, n);
    check("GenuineIntel", &guest);
    CU_ASSERT(found.n > 5 && found.n < XF_FINDINGS_MAX);
    for (unsigned i = 0; i < found.n; i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(found.list[i].text, "; restart it with the cpuid= line that "
                                                          "`xl migrate-cpu` prints"));
    for (unsigned n = 0; n < 32 * XF_CPU_PLACES; n += 3) {
        struct xf_cpu_excess x;
        char name[XF_CPU_NAME];
        bool named = false;

        xf_cpu_compare(&guest, &fake.most, &x);
        if (!(x.words[n / 32] >> n % 32 & 1))
            continue;
        xf_cpu_feature(n, name);
        for (unsigned i = 0; i < found.n; i++)
            named |= strstr(found.list[i].text, name) != NULL;
        CU_ASSERT(named);
        missing++;
    }
    CU_ASSERT(missing > 150);
    memset(guest.words, 0xff, sizeof(guest.words)); /* by a hostile peer */
    guest.leaf = guest.subleaf = guest.extended = UINT32_MAX;
    check("GenuineIntel", &guest);
    CU_ASSERT(found.n <= XF_FINDINGS_MAX && xf_first_refusal(&found));
}

/* --- this host --- */

int xc_cpu_policy_get_size(xc_interface *xch, uint32_t *nr_leaves, uint32_t *nr_msrs)
{
    (void)xch;
    *nr_leaves = *nr_msrs = 8;
    return 0;
}

int xc_cpu_policy_get_system(xc_interface *xch, unsigned index, xc_cpu_policy_t *policy)
{
    (void)xch;
    (void)policy;
    CU_ASSERT(index == XEN_SYSCTL_cpu_policy_hvm_default || index == XEN_SYSCTL_cpu_policy_hvm_max);
    return 0;
}

int xc_cpu_policy_serialise(xc_interface *xch, const xc_cpu_policy_t *policy,
                            xen_cpuid_leaf_t *leaves, uint32_t *nr_leaves, xen_msr_entry_t *msrs,
                            uint32_t *nr_msrs)
{
    (void)xch;
    (void)policy;
    (void)msrs;
    leaves[0] = leaf0(fake.vendor, fake.most.leaf);
    leaves[1] = (xen_cpuid_leaf_t){7, 0, fake.most.subleaf, 0, 0, 0};
    leaves[2] = (xen_cpuid_leaf_t){0x80000000, PLAIN, fake.most.extended, 0, 0, 0};
    *nr_leaves = 3;
    *nr_msrs = 0;
    return 0;
}

int xc_get_cpu_featureset(xc_interface *xch, uint32_t index, uint32_t *nr, uint32_t *words)
{
    (void)xch;
    CU_ASSERT(index == XEN_SYSCTL_cpu_featureset_hvm || index == XEN_SYSCTL_cpu_featureset_hvm_max);
    CU_ASSERT(*nr == XF_CPU_WORDS);
    memcpy(words, index == XEN_SYSCTL_cpu_featureset_hvm ? fake.usual.words : fake.most.words,
           XF_CPU_PLACES * sizeof(*words));
    *nr = XF_CPU_PLACES;
    errno = words_fail;
    return words_fail ? -1 : 0;
}

bool xc_cpu_policy_is_compatible(xc_interface *xch, xc_cpu_policy_t *host, xc_cpu_policy_t *guest)
{
    (void)xch;
    (void)host;
    (void)guest;
    return !incompatible;
}

static void test_read(void)
{
    struct xf_err err = {0};
    struct xf_cpu got;

    fake.usual = fake.most = much;
    give(&fake.most, AVX512F);
    give(&fake.usual, RDCL_NO);
    CU_ASSERT_EQUAL(xf_cpu_read(NULL, &got, &err), 0);
    CU_ASSERT_EQUAL(memcmp(&got, &fake, sizeof(got)), 0);
    words_fail = ENOBUFS; /* this Xen has more words */
    CU_ASSERT_EQUAL(xf_cpu_read(NULL, &got, &err), 0);
    CU_ASSERT_EQUAL(memcmp(&got, &fake, sizeof(got)), 0);
    words_fail = EPERM;
    CU_ASSERT_EQUAL(xf_cpu_read(NULL, &got, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot read the CPU features of this host"));
    words_fail = 0;
}

/* A whole policy against this host; the MSR counts, too. */
static void test_check(void)
{
    xen_cpuid_leaf_t leaves[] = {leaf0("GenuineIntel", 0xd),
                                 {1, PLAIN, 0, 0, 0, 1u << 28 /* HTT */}};
    xen_msr_entry_t msr = {.idx = 0x10a};
    struct xf_hello h = {
        .cpuid = leaves, .cpuid_len = sizeof(leaves), .msrs = &msr, .msr_len = sizeof(msr)};
    struct xf_err err = {0};

    fake.usual = fake.most = much;
    memset(&found, 0, sizeof(found));
    CU_ASSERT_EQUAL(xf_check_cpu(NULL, &h, &found, &err), 0);
    CU_ASSERT_EQUAL(found.n, 0);
    msr.val = 1;
    CU_ASSERT_EQUAL(xf_check_cpu(NULL, &h, &found, &err), 0);
    CU_ASSERT_EQUAL_FATAL(found.n, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[0].text, "lacks: rdcl-no; restart it with "
                                                      "cpuid=\"host,rdcl-no=0\""));
    msr.val = 0;
    incompatible = true;
    memset(&found, 0, sizeof(found));
    CU_ASSERT_EQUAL(xf_check_cpu(NULL, &h, &found, &err), 0);
    CU_ASSERT_EQUAL_FATAL(found.n, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[0].text, "Xen on this host rejects"));
    h.cpuid_len--;
    CU_ASSERT_EQUAL(xf_check_cpu(NULL, &h, &found, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "the source sent a CPU policy of an invalid length"));
}

/* An older destination compares words 0 to 10 only. */
static void test_older_peer(void)
{
    xen_cpuid_leaf_t leaf = {7, 1, 1u << 10, 0, 0, 0};
    xen_msr_entry_t msr = {.idx = 0x10a};
    struct xf_hello h = {
        .cpuid = &leaf, .cpuid_len = sizeof(leaf), .msrs = &msr, .msr_len = sizeof(msr)};
    struct xf_reply old = {.hvm = true}, new = {.cpu_words = true};

    memset(&found, 0, sizeof(found));
    xf_find_uncompared(&h, &old, &found);
    CU_ASSERT_EQUAL(found.n, 0);
    leaf.d = 1u << 18;
    xf_find_uncompared(&h, &new, &found);
    CU_ASSERT_EQUAL(found.n, 0);
    xf_find_uncompared(&h, &old, &found);
    CU_ASSERT_EQUAL_FATAL(found.n, 1);
    CU_ASSERT_EQUAL(found.list[0].severity, XF_WARNING);
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[0].text, "does not compare all CPU features"));
    leaf.d = 0;
    msr.val = 1;
    xf_find_uncompared(&h, &old, &found);
    CU_ASSERT_EQUAL(found.n, 2);
}

/* A guest with the printed line fits every host. */
static void test_cure(void)
{
    struct xf_cpu hosts[2] = {{"GenuineIntel", much, much}, {"GenuineIntel", much, much}};
    struct xf_cpu_excess x;

    give(&hosts[0].usual, AVX512F);
    give(&hosts[0].usual, ARCH_CAPS);
    give(&hosts[1].usual, AVX512DQ);
    hosts[1].usual.leaf = hosts[1].most.leaf = 0xb;
    xf_cpu_common(hosts, 2, &x);
    for (unsigned from = 0; from < 2; from++) {
        struct xf_cpu_level guest = hosts[from].usual;

        for (unsigned n = 0; n < 32 * XF_CPU_WORDS; n++)
            if (x.words[n / 32] >> n % 32 & 1)
                take(&guest, n);
        if (x.leaf && guest.leaf > x.limit.leaf)
            guest.leaf = x.limit.leaf;
        for (unsigned to = 0; to < 2; to++) {
            fake = hosts[to];
            check("GenuineIntel", &guest);
            CU_ASSERT_EQUAL(found.n, 0);
        }
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"where a policy has its features", test_places},
        {"leaves and vendor of a policy", test_policy},
        {"what one has and the other lacks", test_compare},
        {"what several have in common", test_common},
        {"names mean their bits to libxl", test_names},
        {"the line", test_line},
        {"what CHECK finds", test_findings},
        {"many missing features", test_many},
        {"what Xen here offers", test_read},
        {"a guest's policy at the destination", test_check},
        {"a destination that compares less", test_older_peer},
        {"a guest with the line fits", test_cure},
        CU_TEST_INFO_NULL,
    };

    return run_suite("cpu", tests);
}
