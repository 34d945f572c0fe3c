/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `xl migrate --detach-pci`: whether devices are detached, and what stands for them. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/suite.h"
#include "tools/options.h"

static struct xf_err err;
static struct migrate_args args;

static int parse(const char *words)
{
    static struct words w; /* what was parsed points into it */
    const struct xl_globals globals = {0};
    const struct xf_config config = {
        .encrypt = -1, .rdma_poll_us = -1, .mode = -1, .reconnect_s = -1};

    split_words(&w, "migrate", words);
    memset(&err, 0, sizeof(err));
    return migrate_parse(w.argc, w.argv, &globals, &config, false, &args, &err);
}

static void ours(const char *words)
{
    CU_ASSERT(!parse(words) && !args.stock);
}

static void fails_with(const char *words, const char *part)
{
    int rc = parse(words);

    if (rc != -1 || !strstr(err.text, part))
        fprintf(stderr, "'%s': %d, '%s'\n", words, rc, err.text);
    CU_ASSERT(rc == -1 && strstr(err.text, part) && strstr(err.text, "--help"));
}

static void test_map(void)
{
    static const char *const bad[] = {
        "--detach-pci= g1 host2",
        "--detach-pci=05:00.0 g1 host2",
        "--detach-pci=all g1 host2",
        "--detach-pci=none=none g1 host2",
        "--detach-pci=05:00.0= g1 host2",
        "--detach-pci==05:00.0 g1 host2",
        "--detach-pci=05:00.0=06:00.0=07:00.0 g1 host2",
        "--detach-pci=05:00.8=06:00.0 g1 host2",
        "--detach-pci=05:20.0=06:00.0 g1 host2",
        "--detach-pci=00000000000000000000000000000000000005:00.0=06:00.0 g1 host2",
    };
    char words[WORDS_MAX * 20] = "";

    ours("--tcp g1 host2");
    CU_ASSERT(!args.move.detach_pci && !args.move.pci_none && !args.move.nr_pci);
    ours("--detach-pci g1 host2"); /* a word behind it is not its value */
    CU_ASSERT(args.move.detach_pci && !args.move.pci_none && !args.move.nr_pci);
    CU_ASSERT_STRING_EQUAL(args.move.domain, "g1");
    ours("--detach-pci=none g1 host2");
    CU_ASSERT(args.move.detach_pci && args.move.pci_none && !args.move.nr_pci);
    ours("--detach-pci=0000:0A:1f.7=0b:00.0 --detach-pci=0001:05:00.0=none g1 host2");
    CU_ASSERT(args.move.detach_pci && !args.move.pci_none && args.move.nr_pci == 2);
    CU_ASSERT_STRING_EQUAL(args.move.pci[0].here, "0000:0a:1f.7");
    CU_ASSERT_STRING_EQUAL(args.move.pci[0].there, "0000:0b:00.0");
    CU_ASSERT_STRING_EQUAL(args.move.pci[1].here, "0001:05:00.0");
    CU_ASSERT_STRING_EQUAL(args.move.pci[1].there, "");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        fails_with(bad[i], "--detach-pci takes none, or two PCI addresses");
    fails_with("--detach-pci=05:00.0=06:00.0 --detach-pci=0000:05:00.0=none g1 host2",
               "--detach-pci names 0000:05:00.0 twice");
    fails_with("--detach-pci=05:00.0=06:00.0 --detach-pci=05:00.1=0000:06:00.0 g1 host2",
               "--detach-pci names 0000:06:00.0 twice");
    ours("--detach-pci=05:00.0=none --detach-pci=05:00.1=none g1 host2");
    for (unsigned i = 0; i <= XF_PCI_MAX; i++)
        snprintf(words + strlen(words), sizeof(words) - strlen(words), "--det=%02x:00.0=none ", i);
    strcat(words, "g1 host2");
    fails_with(words, "--detach-pci names more than 16 devices");
}

int main(void)
{
    CU_TestInfo tests[] = {{"--detach-pci", test_map}, CU_TEST_INFO_NULL};

    return run_suite("pci_option", tests);
}
