/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of the image that a moved disk leaves behind. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disks/retire.h"
#include "tests/unit/suite.h"

static char dir[] = "/var/tmp/xf-retire-XXXXXX";
static char path[64], now[512];
static struct xf_err err;

static void make(void)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    CU_ASSERT(fd >= 0);
    close(fd);
    xf_clear(&err);
}

static void renamed(void)
{
    char second[512];
    size_t len = strlen(path);

    make();
    CU_ASSERT_EQUAL(xf_image_retire(path, false, now, sizeof(now), &err), 0);
    CU_ASSERT(access(path, F_OK) && errno == ENOENT);
    CU_ASSERT(!access(now, F_OK));
    CU_ASSERT(!strncmp(now, path, len) && !strncmp(now + len, ".moved-2", 8));
    /* Another one in the same second does not replace it: it keeps its name, or gets another. */
    make();
    if (xf_image_retire(path, false, second, sizeof(second), &err))
        CU_ASSERT(err.num == EEXIST && !access(path, F_OK) && !second[0])
    else
        CU_ASSERT(strcmp(now, second) != 0);
    CU_ASSERT(!access(now, F_OK));
    unlink(path);
    unlink(now);
    unlink(second);
}

static void removed(void)
{
    make();
    CU_ASSERT_EQUAL(xf_image_retire(path, true, now, sizeof(now), &err), 0);
    CU_ASSERT(access(path, F_OK) && errno == ENOENT && !now[0]);
    CU_ASSERT_EQUAL(xf_image_retire(path, true, now, sizeof(now), &err), -1);
    CU_ASSERT(err.num == ENOENT && strstr(err.text, "could not be removed"));
}

static void no_room(void)
{
    char small[40];

    make();
    CU_ASSERT_EQUAL(xf_image_retire(path, false, small, sizeof(small), &err), -1);
    CU_ASSERT(strstr(err.text, "left as it is") && !small[0] && !access(path, F_OK));
    unlink(path);
}

int main(void)
{
    CU_TestInfo tests[] = {{"renamed", renamed},
                           {"removed", removed},
                           {"its name is too long", no_room},
                           CU_TEST_INFO_NULL};
    int rc;

    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof(path), "%s/web1.img", dir);
    rc = run_suite("retire", tests);
    rmdir(dir);
    return rc;
}
