/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The destination's side of a disk that moves: which places are allowed, what is made there and
 * removed again.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disks/place.h"
#include "disks/program.h"
#include "disks/store.h"
#include "tests/unit/suite.h"

#define BYTES (1u << 20)

static char dir[] = "/var/tmp/xf-store-XXXXXX";
static struct xf_stores allowed;
static struct xf_err err;

/* --- instead of disks/program.c: LVM's tools --- */

static struct {
    char calls[1024];
    const char *vg_free; /* NULL: there is no such group */
    bool has_volume, lvcreate_fails;
} lvm;

int xf_program_run(const char *const argv[], int limit_ms, char out[XF_PROGRAM_OUT],
                   struct xf_err *e)
{
    size_t len = strlen(lvm.calls);

    CU_ASSERT(limit_ms > 0);
    for (int i = 0; argv[i]; i++)
        len += (size_t)snprintf(lvm.calls + len, sizeof(lvm.calls) - len, "%s ", argv[i]);
    out[0] = 0;
    if (!strcmp(argv[0], "vgs") && lvm.vg_free)
        snprintf(out, XF_PROGRAM_OUT, "  %s\n", lvm.vg_free);
    else if (!strcmp(argv[0], "vgs"))
        return xf_fail(e, EIO, "vgs failed: Volume group not found");
    if (!strcmp(argv[0], "lvs") && !lvm.has_volume)
        return xf_fail(e, EIO, "lvs failed: not found");
    if (!strcmp(argv[0], "lvcreate") && lvm.lvcreate_fails)
        return xf_fail(e, EIO, "lvcreate failed: insufficient free space");
    return 0;
}

/* --- --- */

static int choose(const char *want, const char *name, struct xf_place *p)
{
    xf_clear(&err);
    return xf_place_choose(&allowed, want, name, p, &err);
}

static void refused(const char *want, const char *name, int num, const char *words)
{
    struct xf_place p;
    bool good = choose(want, name, &p) == -1 && err.num == num && strstr(err.text, words);

    if (!good)
        printf("\n  \"%s\": %d %s\n", want, err.num, err.text);
    CU_ASSERT(good);
}

static void which_places(void)
{
    struct xf_place p;

    CU_ASSERT_EQUAL(choose("", "web1.img", &p), 0);
    CU_ASSERT(!strncmp(p.path, dir, strlen(dir)) && !strcmp(p.path + strlen(dir), "/web1.img"));
    CU_ASSERT_EQUAL(choose("/srv/b/", "web1.img", &p), 0);
    CU_ASSERT_STRING_EQUAL(p.path, "/srv/b/web1.img");
    CU_ASSERT_EQUAL(choose("/srv/b/x.raw", "web1.img", &p), 0);
    CU_ASSERT_STRING_EQUAL(p.path, "/srv/b/x.raw");
    CU_ASSERT_EQUAL(choose("vg:vg0", "web1", &p), 0);
    CU_ASSERT_STRING_EQUAL(p.path, "/dev/vg0/web1");
    CU_ASSERT_EQUAL(choose("vg:vg0/other", "web1", &p), 0);
    CU_ASSERT_STRING_EQUAL(p.path, "/dev/vg0/other");

    refused("/etc/passwd", "a", EPERM, "takes no disks in \"/etc\"");
    refused("/srv/b/../../etc/cron.d/x", "a", EPERM, "choose one of its stores");
    refused("vg:vg1", "a", EPERM, "takes no disks in \"vg1\"");
    refused("/vg0/x", "a", EPERM, "takes no disks in");
    refused("vg:vg0/a/b", "a", EINVAL, "cannot be the name");
    refused("x.img", "a", EINVAL, "is not a place for a disk");
    refused("/srv/b/..", "a", EINVAL, "cannot be the name");
    refused("/srv/b/-x", "a", EINVAL, "cannot be the name");
    refused("/srv/b/a,b", "a", EINVAL, "cannot be the name");
    refused("", "a b", EINVAL, "name the whole target");
    refused("", "", EINVAL, "cannot be the name");
}

static void none_allowed(void)
{
    struct xf_stores was = allowed;

    allowed.nr = 0;
    refused("", "a", EPERM, "<storage dir=\"/srv/xen\"/>");
    refused("/srv/b/x", "a", EPERM, "<storage dir=\"/srv/xen\"/>");
    allowed = was;
}

static void what_is_there(void)
{
    struct xf_place p;
    uint64_t bytes = 0;

    CU_ASSERT_EQUAL(choose("", "there", &p), 0);
    CU_ASSERT_EQUAL(xf_place_look(&p, &bytes, &err), 0);
    CU_ASSERT(bytes > 0);
    CU_ASSERT_EQUAL(symlink("/nowhere", p.path), 0);
    CU_ASSERT_EQUAL(xf_place_look(&p, &bytes, &err), -1);
    CU_ASSERT(err.num == EEXIST && strstr(err.text, "--disk"));
    unlink(p.path);

    CU_ASSERT_EQUAL(choose("/srv/b/", "a", &p), 0); /* allowed, and not there */
    CU_ASSERT_EQUAL(xf_place_look(&p, &bytes, &err), -1);
    CU_ASSERT(strstr(err.text, "make that directory") != NULL);

    memset(&lvm, 0, sizeof(lvm));
    CU_ASSERT_EQUAL(choose("vg:vg0", "a", &p), 0);
    CU_ASSERT_EQUAL(xf_place_look(&p, &bytes, &err), -1);
    CU_ASSERT(strstr(err.text, "Volume group not found") != NULL);
    lvm.vg_free = "1048576";
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_place_look(&p, &bytes, &err), 0);
    CU_ASSERT_EQUAL(bytes, 1048576);
    CU_ASSERT(strstr(lvm.calls, "-- vg0 ") && strstr(lvm.calls, "-- vg0/a "));
    lvm.has_volume = true;
    CU_ASSERT_EQUAL(xf_place_look(&p, &bytes, &err), -1);
    CU_ASSERT_EQUAL(err.num, EEXIST);
}

/* Made anew, of the right size, for root alone; and only that is removed. */
static void made_and_removed(void)
{
    struct xf_made m, second;
    struct xf_place p;
    struct stat st;
    int fd, fd2;

    CU_ASSERT_EQUAL(choose("", "made", &p), 0);
    CU_ASSERT_EQUAL(xf_made_create(&m, &p, BYTES, true, &fd, &err), 0);
    CU_ASSERT(m.exists && !stat(p.path, &st));
    CU_ASSERT(st.st_size == BYTES && st.st_blocks == 0 && (st.st_mode & 0777) == 0600);
    CU_ASSERT_EQUAL(xf_made_create(&second, &p, BYTES, true, &fd2, &err), -1);
    CU_ASSERT(err.num == EEXIST && !second.exists && fd2 == -1);
    CU_ASSERT_EQUAL(xf_made_remove(&second, &err), 0);
    CU_ASSERT_EQUAL(stat(p.path, &st), 0);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_made_sync(&m, fd, &err), 0);
    CU_ASSERT_EQUAL(xf_made_remove(&m, &err), 0);
    CU_ASSERT(!m.exists && stat(p.path, &st) && errno == ENOENT);
    close(fd);

    /* Somebody has put another file there. */
    CU_ASSERT_EQUAL(xf_made_create(&m, &p, BYTES, false, &fd, &err), 0);
    CU_ASSERT(!fstat(fd, &st) && st.st_blocks >= BYTES / 512);
    CU_ASSERT(!unlink(p.path) && !symlink("/etc/passwd", p.path));
    CU_ASSERT_EQUAL(xf_made_remove(&m, &err), 0);
    CU_ASSERT_EQUAL(lstat(p.path, &st), 0);
    unlink(p.path);
    close(fd);

    CU_ASSERT_EQUAL(xf_made_create(&m, &p, 1000, true, &fd, &err), -1);
    CU_ASSERT_EQUAL(xf_made_create(&m, &p, 0, true, &fd, &err), -1);
    CU_ASSERT(stat(p.path, &st) && errno == ENOENT);
}

static void too_large(void)
{
    struct xf_made m;
    struct xf_place p;
    struct stat st;
    int fd;

    xf_clear(&err);
    CU_ASSERT_EQUAL(choose("", "large", &p), 0);
    CU_ASSERT_EQUAL(xf_made_create(&m, &p, 1ull << 50, false, &fd, &err), -1);
    CU_ASSERT(err.num == ENOSPC || err.num == EFBIG);
    CU_ASSERT(!m.exists && stat(p.path, &st) && errno == ENOENT);
}

static void volumes(void)
{
    struct xf_made m;
    struct xf_place p;
    int fd;

    memset(&lvm, 0, sizeof(lvm));
    xf_clear(&err);
    CU_ASSERT_EQUAL(choose("vg:vg0", "a", &p), 0);
    lvm.lvcreate_fails = true;
    CU_ASSERT_EQUAL(xf_made_create(&m, &p, BYTES, true, &fd, &err), -1);
    CU_ASSERT(!m.exists && strstr(err.text, "insufficient free space"));
    CU_ASSERT(strstr(lvm.calls, "--size 1048576b --name a -- vg0 ") != NULL);
    CU_ASSERT(!strstr(lvm.calls, "lvremove"));
    /* It was made, and cannot be opened. */
    lvm.lvcreate_fails = false;
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_made_create(&m, &p, BYTES, true, &fd, &err), -1);
    CU_ASSERT(!m.exists && strstr(lvm.calls, "lvremove --yes --quiet -- vg0/a "));
}

int main(void)
{
    CU_TestInfo tests[] = {{"which places are allowed", which_places},
                           {"none is", none_allowed},
                           {"what is there already", what_is_there},
                           {"made and removed", made_and_removed},
                           {"too large", too_large},
                           {"volumes", volumes},
                           CU_TEST_INFO_NULL};
    int rc;

    if (!mkdtemp(dir)) {
        perror("store: no directory");
        return 1;
    }
    allowed.nr = 3;
    snprintf(allowed.list[0].name, XF_STORE_NAME, "%s", dir);
    snprintf(allowed.list[1].name, XF_STORE_NAME, "/srv/b");
    allowed.list[2].vg = true;
    snprintf(allowed.list[2].name, XF_STORE_NAME, "vg0");
    rc = run_suite("store", tests);
    rmdir(dir);
    return rc;
}
