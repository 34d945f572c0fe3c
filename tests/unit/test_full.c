/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A run directory in which nothing can be written: full, out of inodes, read-only, or with a limit
 * of files' sizes. The lock, the record, its marks and the ends of moves say so; and a move of
 * which no record can be left, or whose state cannot be noted, ends before GO. The move is
 * xf_move() itself, with CHECK, SKELETON, COPY and SWITCH played by this file. Needs root, for
 * mounts in a mount namespace of its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/source/move_queue.h"
#include "libxl-ext/source/move_skeleton.h"
#include "libxl-ext/moves/record.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/status.h"
#include "tests/unit/own_ns.h"
#include "tests/unit/suite.h"

#define DOMID 7u

static char top[] = "/tmp/xf-full-XXXXXX", dir[60];
static struct xf_err err;
static struct xf_record r;

/* --- the move, played --- */

static struct {
    bool no_mark; /* the limit falls on SWITCH, when the record is there */
    bool switched, gone;
} play;

static void limit(rlim_t bytes)
{
    const struct rlimit to = {bytes, RLIM_INFINITY};

    setrlimit(RLIMIT_FSIZE, &to);
}

int xf_move_attach(struct xf_move *m, struct xf_err *e)
{
    (void)m;
    (void)e;
    return 0;
}

int xf_move_queue(struct xf_move *m, struct xf_err *e)
{
    m->domid = DOMID;
    snprintf(m->name, sizeof(m->name), "g1");
    snprintf(m->check.hello.domain, sizeof(m->check.hello.domain), "g1");
    snprintf(m->check.hello.uuid, sizeof(m->check.hello.uuid),
             "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11");
    snprintf(m->net.address, sizeof(m->net.address), "192.0.2.1");
    m->check.hello.channels = 1;
    m->check.reply.port = 4711;
    m->link.ops = &xf_tcp_ops;
    return xf_record_lock(xf_run_dir(), DOMID, &m->record.lock_fd, e);
}

int xf_move_skeleton(struct xf_move *m, struct xf_err *e)
{
    (void)m;
    (void)e;
    return 0;
}

int xf_copy_rounds(struct xf_copy *c, struct xf_err *e)
{
    (void)c;
    (void)e;
    return 0;
}

enum xf_switch_end xf_switch(struct xf_copy *c, int (*before_go)(void *priv, struct xf_err *e),
                             struct xf_err *e)
{
    struct xf_move *m = (struct xf_move *)((char *)c - offsetof(struct xf_move, copy));
    int rc;

    play.switched = true;
    c->times.suspended = 1;
    if (play.no_mark)
        limit(0);
    rc = before_go(m, e);
    limit(RLIM_INFINITY);
    if (rc)
        return XF_SWITCH_BACK;
    play.gone = true;
    return XF_SWITCHED;
}

enum xf_dom xf_domain_here(xc_interface *xch, uint32_t domid, const char *uuid)
{
    (void)xch;
    (void)domid;
    (void)uuid;
    return XF_DOM_SUSPENDED;
}

enum xf_here xf_xen_here(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    (void)domid;
    return XF_HERE_RUNS;
}

int libxl_domain_destroy(libxl_ctx *ctx, uint32_t domid, const libxl_asyncop_how *how)
{
    (void)ctx;
    (void)how;
    return domid == DOMID ? 0 : -1;
}

static enum xf_outcome move(void)
{
    struct xf_move_opts o;
    struct xf_report report;

    xf_move_opts_init(&o);
    o.domain = "g1";
    o.host = "host2";
    xf_clear(&err);
    play.switched = play.gone = false;
    return xf_move(&o, NULL, &report, &err);
}

/* --- directories --- */

static void mount_tmpfs(unsigned long flags, const char *options)
{
    CU_ASSERT_EQUAL_FATAL(mount("none", dir, "tmpfs", flags, options), 0);
}

static void unmount(void)
{
    CU_ASSERT_EQUAL(umount2(dir, MNT_DETACH), 0);
}

/* Every block of it is taken. */
static void fill_up(void)
{
    static char block[65536];
    char path[100];
    int fd;

    snprintf(path, sizeof(path), "%s/filler", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    for (size_t n = sizeof(block); n; n /= 2)
        while (write(fd, block, n) == (ssize_t)n)
            ;
    close(fd);
}

static unsigned entries(void)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    unsigned n = 0;

    while (d && (e = readdir(d)))
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strcmp(e->d_name, "filler");
    if (d)
        closedir(d);
    return n;
}

static void said(int num, const char *part)
{
    CU_ASSERT_EQUAL(err.num, num);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, strerror(num)));
    if (err.num != num || !strstr(err.text, part))
        printf("\n    %d: %s\n", err.num, err.text);
    xf_clear(&err);
}

static const struct xf_ended ended = {.pid = 77, .domain = "g1", .host = "h", .outcome = XF_STAYED};

/* --- tests --- */

static void test_full(void)
{
    int fd, lock;

    mount_tmpfs(0, "size=64k,mode=0700");
    CU_ASSERT_EQUAL(xf_record_write(dir, &r, &fd, &err), 0);
    fill_up();
    /* What is there can be marked without a new block. */
    CU_ASSERT_EQUAL(xf_record_mark(fd, XF_RECORD_GO, &err), 0);
    close(fd);
    xf_record_remove(dir, DOMID);
    fill_up();
    CU_ASSERT_EQUAL(xf_record_lock(dir, DOMID, &lock, &err), 0); /* a file of no bytes */
    CU_ASSERT_EQUAL(xf_record_write(dir, &r, &fd, &err), -1);
    CU_ASSERT_EQUAL(fd, -1);
    said(ENOSPC, "without which nobody could finish this move");
    CU_ASSERT_EQUAL(xf_ended_write(&ended, &err), -1);
    said(ENOSPC, "ended-77");
    CU_ASSERT_EQUAL(entries(), 1); /* the lock: no half of anything */
    xf_record_unlock(dir, DOMID, lock);
    CU_ASSERT_EQUAL(entries(), 0);

    CU_ASSERT_EQUAL(move(), XF_STAYED);
    CU_ASSERT_FALSE(play.switched);
    said(ENOSPC, "without which nobody could finish this move");
    CU_ASSERT_EQUAL(entries(), 0);
    unmount();
}

static void test_no_inodes(void)
{
    int fd;

    mount_tmpfs(0, "nr_inodes=1,mode=0700"); /* its own */
    CU_ASSERT_EQUAL(xf_record_lock(dir, DOMID, &fd, &err), -1);
    CU_ASSERT_EQUAL(fd, -1);
    said(ENOSPC, "7.lock");
    CU_ASSERT_EQUAL(xf_record_write(dir, &r, &fd, &err), -1);
    said(ENOSPC, "7.move");
    CU_ASSERT_EQUAL(xf_ended_write(&ended, &err), -1);
    said(ENOSPC, "ended-77");
    CU_ASSERT_EQUAL(move(), XF_REFUSED);
    said(ENOSPC, "7.lock");
    unmount();
}

static void test_read_only(void)
{
    int fd;

    mount_tmpfs(MS_RDONLY, "mode=0700");
    CU_ASSERT_EQUAL(xf_record_lock(dir, DOMID, &fd, &err), -1);
    said(EROFS, "7.lock");
    CU_ASSERT_EQUAL(xf_record_write(dir, &r, &fd, &err), -1);
    said(EROFS, "7.move");
    CU_ASSERT_EQUAL(xf_ended_write(&ended, &err), -1);
    said(EROFS, "ended-77");
    CU_ASSERT_EQUAL(move(), XF_REFUSED);
    said(EROFS, "7.lock");
    unmount();
}

/* ulimit -f: a signal that would end the process in SWITCH is ignored by the front. */
static void test_limit(void)
{
    int fd;

    CU_ASSERT_EQUAL(xf_record_write(dir, &r, &fd, &err), 0);
    limit(0);
    CU_ASSERT_EQUAL(xf_record_mark(fd, XF_RECORD_GO, &err), -1);
    said(EFBIG, "the move's progress");
    limit(100); /* within the record */
    close(fd);
    CU_ASSERT_EQUAL(xf_record_write(dir, &r, &fd, &err), -1);
    said(EFBIG, "7.move");
    CU_ASSERT_EQUAL(move(), XF_STAYED);
    CU_ASSERT_FALSE(play.switched);
    limit(RLIM_INFINITY);
    said(EFBIG, "7.move");
    xf_record_remove(dir, DOMID);
}

/* The record is there, and GO cannot be noted in it. */
static void test_no_mark(void)
{
    play.no_mark = true;
    CU_ASSERT_EQUAL(move(), XF_RESUMED);
    CU_ASSERT(play.switched && !play.gone);
    said(EFBIG, "the move's progress");
    play.no_mark = false;
    CU_ASSERT_EQUAL(entries(), 0);
    CU_ASSERT_EQUAL(move(), XF_MOVED); /* else nothing of this says anything */
    CU_ASSERT(play.switched && play.gone);
    CU_ASSERT_EQUAL(entries(), 0);
}

/* What a process left that died in between. */
static void test_drafts(void)
{
    static const char *const names[] = {".ended-99", ".source-7.sock", ".destination-99.sock",
                                        "7.move.new", "7.lock"};
    const struct timespec old[2] = {{.tv_sec = time(NULL) - 25 * 3600},
                                    {.tv_sec = time(NULL) - 25 * 3600}};
    struct xf_status_list all;
    char path[100];
    int fd, lock;

    for (int aged = 0; aged < 2; aged++) {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
            fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
            CU_ASSERT(fd >= 0 && !futimens(fd, aged ? old : NULL));
            close(fd);
        }
        CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0);
        CU_ASSERT(!all.nr && !all.nr_ended);
        xf_statuses_free(&all);
        CU_ASSERT_EQUAL(entries(), aged ? 2 : 5); /* a young one may be about to get its name */
    }
    /* The rest is the next move's of this number. */
    CU_ASSERT_EQUAL(xf_record_lock(dir, DOMID, &lock, &err), 0);
    CU_ASSERT_EQUAL(xf_record_write(dir, &r, &fd, &err), 0);
    close(fd);
    xf_record_remove(dir, DOMID);
    xf_record_unlock(dir, DOMID, lock);
    CU_ASSERT_EQUAL(entries(), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"full", test_full},
        {"out of inodes", test_no_inodes},
        {"read-only", test_read_only},
        {"a limit of files' sizes", test_limit},
        {"no mark", test_no_mark},
        {"drafts and locks that were left", test_drafts},
        CU_TEST_INFO_NULL,
    };
    int rc = own_namespaces(CLONE_NEWNS);

    if (rc)
        return rc;
    if (!mkdtemp(top))
        return 2;
    snprintf(dir, sizeof(dir), "%s/run", top);
    if (mkdir(dir, 0700) || setenv(XF_RUN_DIR_ENV, dir, 1))
        return 2;
    signal(SIGXFSZ, SIG_IGN);
    r = (struct xf_record){.domid = DOMID, .port = 1, .channels = 1, .uuid = "u", .peer = "p"};
    snprintf(r.name, sizeof(r.name), "g1");
    rc = run_suite("a run directory that takes nothing", tests);
    rmdir(dir);
    rmdir(top);
    return rc;
}
