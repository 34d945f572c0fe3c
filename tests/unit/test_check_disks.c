/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the destination: a place for each disk that moves, all of them together. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disks/serve.h"
#include "libxl-ext/sink/check_disks.h"
#include "tests/unit/suite.h"

static struct xf_stores allowed = {.nr = 2, .list = {{.name = "/srv/a"}, {.name = "/srv/b"}}};
static struct xf_hello hello;
static struct xf_reply reply;
static struct xf_findings found;
static const char *taken; /* a path that exists */
static bool no_server;

/* --- instead of disks/: 1 MiB is free in each store --- */

int xf_place_look(const struct xf_place *p, uint64_t *free_bytes, struct xf_err *err)
{
    *free_bytes = 1 << 20;
    if (taken && !strcmp(taken, p->path))
        return xf_fail(err, EEXIST, "it exists");
    return 0;
}

int xf_serve_possible(struct xf_err *err)
{
    return no_server ? xf_fail(err, ENOENT, "install qemu-utils") : 0;
}

/* --- --- */

static void want(const char *vdev, const char *where, const char *name, uint64_t bytes,
                 uint64_t used)
{
    struct xf_disk_plan *d = &hello.disks[hello.nr_disks++];

    *d = (struct xf_disk_plan){.bytes = bytes, .used = used, .sparse = used < bytes};
    snprintf(d->vdev, sizeof(d->vdev), "%s", vdev);
    snprintf(d->want, sizeof(d->want), "%s", where);
    snprintf(d->name, sizeof(d->name), "%s", name);
}

static void begin(void)
{
    memset(&hello, 0, sizeof(hello));
    memset(&reply, 0, sizeof(reply));
    memset(&found, 0, sizeof(found));
    taken = NULL;
    no_server = false;
}

static void finds(const char *code, const char *text)
{
    bool good;

    xf_check_disks(&allowed, &hello, &reply, &found);
    good = found.n == 1 && found.list[0].severity == XF_REFUSAL &&
           !strcmp(found.list[0].code, code) && strstr(found.list[0].text, text);
    if (!good)
        printf("\n  %u: %s\n", found.n, found.list[0].text);
    CU_ASSERT(good && !reply.nr_there);
}

static void good_places(void)
{
    begin();
    xf_check_disks(&allowed, &hello, &reply, &found);
    CU_ASSERT(!found.n && !reply.nr_there);

    want("xvda", "", "web1.img", 512 << 10, 512 << 10);
    want("xvdb", "/srv/b/", "data.img", 1 << 30, 600 << 10);
    want("xvdc", "/srv/a/c.img", "x", 512 << 10, 512 << 10); /* just fits beside xvda */
    xf_check_disks(&allowed, &hello, &reply, &found);
    CU_ASSERT(!found.n && reply.nr_there == 3);
    CU_ASSERT_STRING_EQUAL(reply.there[0].path, "/srv/a/web1.img");
    CU_ASSERT_STRING_EQUAL(reply.there[1].path, "/srv/b/data.img");
    CU_ASSERT_STRING_EQUAL(reply.there[2].path, "/srv/a/c.img");
    CU_ASSERT_EQUAL(reply.there[1].free, 1 << 20);
}

static void bad_places(void)
{
    begin();
    want("xvda", "/etc/x", "web1.img", 512, 512);
    finds("disk-target", "disk xvda: that host takes no disks in \"/etc\"");
    begin();
    want("xvda", "", "web1.img", 512, 512);
    taken = "/srv/a/web1.img";
    finds("disk-target", "it exists");
    begin();
    want("xvda", "", "web1.img", 512, 512);
    want("xvdb", "/srv/a/web1.img", "y", 512, 512);
    finds("disk-target", "disk xvdb: another one goes to \"/srv/a/web1.img\", too");
    begin();
    want("xvda", "", "web1.img", (1 << 20) + 512, (1 << 20) + 512);
    finds("disk-space", "needs 2 MiB");
    begin(); /* together they do not fit */
    want("xvda", "", "web1.img", 1 << 20, 1 << 20);
    want("xvdb", "", "web2.img", 512, 512);
    finds("disk-space", "0 MiB are free");
    begin();
    want("xvda", "", "web1.img", 512, 512);
    no_server = true;
    finds("disk-server", "install qemu-utils");
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"good places", good_places}, {"bad places", bad_places}, CU_TEST_INFO_NULL};

    return run_suite("check, disks", tests);
}
