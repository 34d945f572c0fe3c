/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A disk moves to another image of the same host, under a writer that does not notice. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disks/mirror_parts.h"
#include "tests/disks/host.h"
#include "tests/procguest/eventually.h"
#include "tests/unit/suite.h"

#define MIB (1ull << 20)
#define SIZE (16 * MIB)

static struct disk_host h;
static struct xf_mirror m;
static struct xf_err err;
static char file[3][128];

static void make(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

    CU_ASSERT_FATAL(fd >= 0 && !ftruncate(fd, SIZE));
    close(fd);
}

static void begin(void)
{
    xf_clear(&err);
    disk_host_begin(&h, SIZE, 4 * MIB);
    for (int i = 0; i < 3; i++) {
        snprintf(file[i], sizeof(file[i]), "%s/%d.img", h.dir, i);
        make(file[i]);
    }
    disk_writer_begin(&h, 100);
}

static int start(const char *to, uint64_t speed)
{
    const struct xf_mirror_target target = {.file = to};
    struct xf_mirror_disk disk;

    CU_ASSERT_EQUAL_FATAL(xf_mirror_find(&h.at, DISK_VDEV, &disk, &err), 0);
    return xf_mirror_start(&m, &h.at, &disk, &target, speed, &err);
}

/* Is a file open in QEMU? */
static bool is_open(const char *path)
{
    char command[500];

    snprintf(command, sizeof(command), "ls -l /proc/%d/fd | grep -q ' %s$'", h.qemu, path);
    return system(command) == 0;
}

static bool has_node(const char *name)
{
    char pattern[64];
    struct xf_json answer;
    struct xf_qmp q = XF_QMP_CLOSED;
    bool found;

    snprintf(pattern, sizeof(pattern), "\"node-name\": \"%s\"", name);
    CU_ASSERT_FATAL(!xf_mirror_open(&q, &h.at, &err));
    CU_ASSERT(!xf_qmp_call_list(&q, "query-named-block-nodes", NULL, &answer, &err));
    found = strstr(json_object_to_json_string(answer.o), pattern);
    xf_json_close(&answer);
    xf_qmp_close(&q);
    return found;
}

/* Three times, since the names of the nodes alternate, and only the first is libxl's. */
static void test_pivot(void)
{
    const char *old = NULL;

    begin();
    old = h.image;
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL_FATAL(start(file[i], 0), 0);
        CU_ASSERT_FATAL(disk_await(&m, XF_MIRROR_READY));
        CU_ASSERT_EQUAL(xf_mirror_pivot(&m, &err), 0);
        if (err.num)
            fprintf(stderr, "%s\n", err.text);
        CU_ASSERT(m.pivoted && !strcmp(m.disk.file, file[i]));
        CU_ASSERT(!is_open(old) && is_open(file[i]));
        CU_ASSERT(has_node(DISK_VDEV "-raw")); /* for libxl, to be deleted at a detach */
        CU_ASSERT(disk_writer_goes_on(&h, 30));
        CU_ASSERT_EQUAL(xf_mirror_cancel(&m, &err), 0);
        old = file[i];
    }
    disk_writer_end(&h);
    CU_ASSERT(disk_host_well(&h));
    CU_ASSERT_EQUAL(disk_wrong(&h, file[2]), 0);
    CU_ASSERT_NOT_EQUAL(disk_wrong(&h, file[1]), 0);
    CU_ASSERT_NOT_EQUAL(disk_wrong(&h, h.image), 0);
    disk_host_end(&h);
}

static void test_refused(void)
{
    char left[256];

    begin();
    CU_ASSERT_EQUAL(start("/nowhere/at/all", 0), -1);
    CU_ASSERT_EQUAL(err.num, EREMOTEIO);
    xf_clear(&err);
    disk_leftovers(&h, left);
    CU_ASSERT_STRING_EQUAL(left, "");
    CU_ASSERT_EQUAL_FATAL(start(file[0], MIB / 8), 0);
    CU_ASSERT_EQUAL(xf_mirror_pivot(&m, &err), -1);
    CU_ASSERT(err.num == EBUSY && !m.pivoted);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_mirror_cancel(&m, &err), 0);
    disk_leftovers(&h, left);
    CU_ASSERT_STRING_EQUAL(left, "");
    CU_ASSERT(!is_open(file[0]) && is_open(h.image));
    disk_writer_end(&h);
    CU_ASSERT(disk_host_well(&h));
    CU_ASSERT_EQUAL(disk_wrong(&h, h.image), 0);
    disk_host_end(&h);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"onto another image", test_pivot}, {"refused", test_refused}, CU_TEST_INFO_NULL};

    disk_need();
    alarm(390);
    return run_suite("pivot", tests);
}
