/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options about disks that move: what they set, and what is refused. */
#include <string.h>

#include "tests/unit/suite.h"
#include "tools/options.h"

static struct migrate_args args;
static struct xf_err err;
static struct xf_config config = {.encrypt = -1, .rdma_poll_us = -1, .mode = -1, .reconnect_s = -1};
static struct xl_globals globals;

static int parse(const char *words)
{
    static struct words w;

    split_words(&w, "migrate", words);
    memset(&err, 0, sizeof(err));
    return migrate_parse(w.argc, w.argv, &globals, &config, false, &args, &err);
}

static void refused(const char *words, const char *part)
{
    int rc = parse(words);

    if (rc != -1 || !strstr(err.text, part) || !strstr(err.text, "--help"))
        printf("\n  '%s': %d, '%s', wanted '%s'\n", words, rc, err.text, part);
    CU_ASSERT(rc == -1 && strstr(err.text, part) && strstr(err.text, "--help"));
}

static void test_set(void)
{
    const struct xf_move_opts *o = &args.move;

    CU_ASSERT_EQUAL(parse("--tcp g host"), 0);
    CU_ASSERT(!o->all_disks && !o->nr_disks && !o->disk_bandwidth && !o->no_verify_disks);
    CU_ASSERT_EQUAL(parse("--with-disks g host"), 0);
    CU_ASSERT(o->all_disks && !o->nr_disks && !args.stock);
    CU_ASSERT_EQUAL(parse("--with-disks=xvda,xvdb g host"), 0);
    CU_ASSERT(!o->all_disks && o->nr_disks == 2);
    CU_ASSERT(!strcmp(o->disks[1].vdev, "xvdb") && !o->disks[1].target[0]);
    CU_ASSERT_EQUAL(parse("--with-disks --disk xvdb=vg:vg0 --disk xvda=/srv/a.img --throttle-disks "
                          "--no-verify-disks --delete-source --disk-bandwidth 5 g host"),
                    0);
    CU_ASSERT(o->all_disks && o->nr_disks == 2 && o->disk_bandwidth == 5u << 20);
    CU_ASSERT(o->throttle_disks && o->no_verify_disks && o->delete_source);
    CU_ASSERT_STRING_EQUAL(o->disks[0].target, "vg:vg0");
    CU_ASSERT_STRING_EQUAL(o->disks[1].target, "/srv/a.img");
    CU_ASSERT_EQUAL(parse("--with-disks=xvda --disk xvda=/srv/ g host"), 0);
    CU_ASSERT(o->nr_disks == 1 && !strcmp(o->disks[0].target, "/srv/"));
}

static void test_refused(void)
{
    refused("--with-disks=xvda,, g host", "is not the name of a disk");
    refused("--with-disks=../x g host", "is not the name of a disk");
    refused("--with-disks=a,b,c,d,e,f,g,h g host", "at most 7 disks");
    refused("--disk xvda g host", "--disk takes a disk and where it goes");
    refused("--disk xvda=web.img g host", "--disk takes a disk and where it goes");
    refused("--disk =/srv/a g host", "is not the name of a disk");
    refused("--disk xvda=/a --disk xvda=/b g host", "twice");
    refused("--delete-source g host", "--delete-source says how disks move");
    refused("--no-verify-disks g host", "--no-verify-disks says how disks move");
    refused("--throttle-disks g host", "--throttle-disks says how disks move");
    refused("--disk-bandwidth 5 g host", "--disk-bandwidth says how disks move");
    refused("--disk-bandwidth x --with-disks g host", "whole number");
    refused("--cold --with-disks g host", "contradict each other");
    refused("--stock --with-disks g host", "--stock and --with-disks contradict");
}

int main(void)
{
    CU_TestInfo tests[] = {{"set", test_set}, {"refused", test_refused}, CU_TEST_INFO_NULL};

    return run_suite("options, disks", tests);
}
