/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mirrors that are started and ended at random moments while a guest writes: the QEMU that serves
 * its disk lives, no write fails, and nothing is left. `make soak-disks`. disk_churn [STARTS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/disks/host.h"
#include "tests/procguest/eventually.h"
#include "tests/unit/suite.h"

#define MIB (1ull << 20)
#define WRITES_PER_S 200

static struct disk_host h;
static struct disk_path p;

static int fail(int i, const char *what, const struct xf_err *err)
{
    fprintf(stderr, "start %d: %s: %s\n", i, what, err->num ? err->text : "");
    return 1;
}

/* Ended by a cancel, by the relay's end, or in order. */
static int churn(int i, unsigned *seed)
{
    struct xf_mirror_target target;
    struct xf_mirror_disk disk;
    struct xf_mirror m;
    struct xf_err err = {0};
    char left[256];
    int how = rand_r(seed) % 3;

    disk_path_begin(&p, &h, NULL, true, DISK_LIMIT_MS);
    target = disk_path_target(&p);
    if (xf_mirror_find(&h.at, DISK_VDEV, &disk, &err) ||
        xf_mirror_start(&m, &h.at, &disk, &target, how ? 0 : 8 * MIB, &err))
        return fail(i, "it does not start", &err);
    for (int ms = rand_r(seed) % 300; ms > 0; ms--)
        pg_nap();
    if (how == 2) {
        if (!disk_await(&m, XF_MIRROR_READY) || xf_mirror_finish_begin(&m, &err) ||
            xf_mirror_finished(&m, DISK_LIMIT_MS, &err))
            return fail(i, "it does not finish", &err);
    } else if (how == 1) {
        xf_relay_close(p.source);
        p.source = NULL;
    }
    if (xf_mirror_cancel(&m, &err))
        return fail(i, "it is not cancelled", &err);
    disk_leftovers(&h, left);
    disk_path_end(&p);
    if (left[0] || !disk_writer_goes_on(&h, 3) || !disk_host_well(&h))
        return fail(i, left[0] ? left : "the guest is not well", &err);
    return 0;
}

static int starts = 100;

static void test_churn(void)
{
    unsigned seed = (unsigned)getpid();
    int bad = 0;

    printf("%d starts, seed %u\n", starts, seed);
    disk_host_begin(&h, 64 * MIB, 32 * MIB);
    disk_writer_begin(&h, WRITES_PER_S);
    for (int i = 1; i <= starts && !bad; i++)
        bad = churn(i, &seed);
    CU_ASSERT(!bad);
    disk_writer_end(&h);
    CU_ASSERT_EQUAL(disk_wrong(&h, h.image), 0);
    printf("%llu writes\n", (unsigned long long)atomic_load(&h.written));
    disk_host_end(&h);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {{"QEMU lives", test_churn}, CU_TEST_INFO_NULL};

    if (argc > 1)
        starts = atoi(argv[1]);
    disk_need();
    return run_suite("mirrors that come and go", tests);
}
