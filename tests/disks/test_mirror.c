/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk is copied while it is written to, by the distribution's QEMU to qemu-nbd over an encrypted
 * channel: equal in the end; and whatever fails, the writer does not notice, and nothing is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/disks/host.h"
#include "tests/procguest/eventually.h"
#include "tests/unit/suite.h"

#define MIB (1ull << 20)
#define SIZE (32 * MIB)
#define DATA (12 * MIB)
#define STALL_MS 1500
#define SLOW (MIB / 4) /* bytes/s of a job that must not be over yet */
#define THROTTLED 50u  /* writes/s */

static const struct xf_tick no_tick;
static struct disk_host h;
static struct disk_path p;
static struct xf_mirror m;
static struct xf_err err;

static void begin(int stall_ms)
{
    xf_clear(&err);
    disk_host_begin(&h, SIZE, DATA);
    disk_path_begin(&p, &h, NULL, true, stall_ms);
}

static void start(uint64_t speed)
{
    const struct xf_mirror_target target = disk_path_target(&p);
    struct xf_mirror_disk disk;

    CU_ASSERT_EQUAL_FATAL(xf_mirror_find(&h.at, DISK_VDEV, &disk, &err), 0);
    CU_ASSERT_EQUAL(xf_mirror_start(&m, &h.at, &disk, &target, speed, &err), 0);
    if (err.num)
        fprintf(stderr, "%s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.num, 0);
}

/* A job that is to be slow sleeps for seconds, and only then sees that it has failed. */
static bool has_failed(void)
{
    xf_mirror_speed(&m, 0, NULL);
    return disk_await(&m, XF_MIRROR_FAILED);
}

/* The copy has failed: the guest writes on, its disk is whole, and nothing is left in QEMU. */
static void guest_is_well(void)
{
    char left[256];

    CU_ASSERT(disk_writer_goes_on(&h, 20));
    CU_ASSERT_EQUAL(xf_mirror_cancel(&m, &err), 0);
    if (err.num)
        fprintf(stderr, "%s\n", err.text);
    disk_leftovers(&h, left);
    CU_ASSERT_STRING_EQUAL(left, "");
    CU_ASSERT(disk_writer_goes_on(&h, 20));
    disk_writer_end(&h);
    CU_ASSERT(disk_host_well(&h));
    CU_ASSERT_EQUAL(disk_wrong(&h, h.image), 0);
}

static void end(void)
{
    disk_path_end(&p);
    disk_host_end(&h);
}

static uint64_t used(const char *file)
{
    struct stat st;

    return stat(file, &st) ? UINT64_MAX : (uint64_t)st.st_blocks * 512;
}

static void test_disk(void)
{
    struct xf_mirror_disk disk;

    begin(DISK_LIMIT_MS);
    CU_ASSERT_EQUAL_FATAL(xf_mirror_find(&h.at, DISK_VDEV, &disk, &err), 0);
    CU_ASSERT_STRING_EQUAL(disk.node, DISK_VDEV "-raw");
    CU_ASSERT_STRING_EQUAL(disk.file, h.image);
    CU_ASSERT(disk.size == SIZE && disk.raw && !disk.read_only);
    CU_ASSERT_EQUAL(xf_mirror_find(&h.at, "xvdb", &disk, &err), -1);
    CU_ASSERT_EQUAL(err.num, ENOENT);
    end();
}

/* Under a writer: equal, flushed, sparse, and verified. */
static void test_copy(void)
{
    struct xf_relay_look bytes;
    struct xf_mirror_look look;
    char left[256];

    begin(DISK_LIMIT_MS);
    start(0);
    disk_writer_begin(&h, 200);
    CU_ASSERT_FATAL(disk_await(&m, XF_MIRROR_READY));
    CU_ASSERT_EQUAL(xf_verify_run(&p.verify, no_tick, &err), 0);
    CU_ASSERT(p.verify.checked == SIZE && p.verify.pass >= 1);
    disk_writer_end(&h); /* the guest is suspended */
    CU_ASSERT_EQUAL(xf_mirror_finish_begin(&m, &err), 0);
    CU_ASSERT_EQUAL(xf_mirror_look(&m, &look, &err), 0);
    CU_ASSERT(look.state == XF_MIRROR_ENDS || look.state == XF_MIRROR_DONE);
    CU_ASSERT_EQUAL(xf_mirror_finished(&m, DISK_LIMIT_MS, &err), 0);
    CU_ASSERT_EQUAL(xf_relay_ended(p.source, DISK_LIMIT_MS, &err), 0);
    CU_ASSERT_EQUAL(xf_relay_ended(p.sink, DISK_LIMIT_MS, &err), 0);
    CU_ASSERT_EQUAL(disk_path_server(&p), 0);
    CU_ASSERT_EQUAL(xf_verify_hot(&p.verify, &err), 0);
    if (err.num)
        fprintf(stderr, "%s\n", err.text);
    CU_ASSERT_EQUAL(err.num, 0);
    CU_ASSERT_EQUAL(disk_wrong(&h, p.image), 0);
    CU_ASSERT_EQUAL(disk_wrong(&h, h.image), 0);
    xf_relay_look(p.source, &bytes);
    CU_ASSERT(bytes.joined && bytes.up > DATA && bytes.wire > bytes.up);
    /* Zeros are neither sent nor stored. What the writer wrote comes on top. */
    CU_ASSERT(bytes.up < DATA + (atomic_load(&h.written) + 256) * 2 * DISK_BLOCK);
    CU_ASSERT(used(p.image) <= used(h.image) + MIB);
    disk_leftovers(&h, left);
    CU_ASSERT_STRING_EQUAL(left, "");
    CU_ASSERT(access(p.socket, F_OK) && disk_host_well(&h));
    CU_ASSERT_EQUAL(xf_verify_end(&p.verify, &err), 0);
    end();
}

/* Not complete yet: it may not be ended as if it were. */
static void test_early(void)
{
    begin(DISK_LIMIT_MS);
    disk_writer_begin(&h, 100);
    start(SLOW);
    CU_ASSERT_EQUAL(xf_mirror_finish_begin(&m, &err), -1);
    CU_ASSERT_EQUAL(err.num, EBUSY);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_mirror_speed(&m, 0, &err), 0);
    CU_ASSERT_EQUAL(xf_mirror_throttle(&m, 8 * MIB, &err), 0);
    CU_ASSERT(disk_await(&m, XF_MIRROR_READY));
    guest_is_well();
    end();
}

/* A guest that is throttled writes slowly, but on. */
static void test_throttle(void)
{
    uint64_t began;

    begin(DISK_LIMIT_MS);
    start(SLOW);
    CU_ASSERT_EQUAL(xf_mirror_throttle(&m, THROTTLED * DISK_BLOCK, &err), 0);
    began = xf_now_ns();
    disk_writer_begin(&h, 100 * THROTTLED);
    CU_ASSERT(disk_writer_goes_on(&h, THROTTLED));
    CU_ASSERT(xf_now_ns() - began > 500000000ull); /* a second, less what may come at once */
    guest_is_well();
    end();
}

/* The line breaks: at once everything goes on, and a second attempt succeeds. */
static void test_cut(void)
{
    begin(DISK_LIMIT_MS);
    disk_writer_begin(&h, 100);
    start(SLOW);
    atomic_store(&p.line->line, PG_LINE_CUT);
    CU_ASSERT(has_failed());
    CU_ASSERT_EQUAL(xf_relay_ended(p.source, DISK_LIMIT_MS, &err), -1);
    CU_ASSERT_EQUAL(err.whose, XF_LINK);
    xf_clear(&err);
    guest_is_well();
    disk_path_end(&p);

    disk_path_begin(&p, &h, NULL, true, DISK_LIMIT_MS);
    start(0);
    CU_ASSERT(disk_await(&m, XF_MIRROR_READY));
    CU_ASSERT_EQUAL(xf_mirror_finish_begin(&m, &err), 0);
    CU_ASSERT_EQUAL(xf_mirror_finished(&m, DISK_LIMIT_MS, &err), 0);
    CU_ASSERT_EQUAL(disk_path_server(&p), 0);
    CU_ASSERT_EQUAL(disk_wrong(&h, p.image), 0);
    end();
}

/* The line stalls: the guest does not, and the relay gives up. */
static void test_stall(void)
{
    begin(STALL_MS);
    disk_writer_begin(&h, 100);
    start(SLOW);
    atomic_store(&p.line->line, PG_LINE_STALLED);
    CU_ASSERT(disk_writer_goes_on(&h, 50));
    CU_ASSERT_EQUAL(xf_relay_ended(p.source, DISK_LIMIT_MS, &err), -1);
    xf_clear(&err);
    CU_ASSERT(has_failed());
    guest_is_well();
    end();
}

/* The server accepts, and says nothing: QEMU's monitor waits with it, until the relay gives up. */
static void test_mute(void)
{
    const struct xf_mirror_target target = {.socket = p.socket, .export = DISK_VDEV};
    struct xf_mirror_disk disk;

    begin(STALL_MS);
    CU_ASSERT_EQUAL_FATAL(xf_mirror_find(&h.at, DISK_VDEV, &disk, &err), 0);
    kill(p.server, SIGSTOP);
    CU_ASSERT_EQUAL(xf_mirror_start(&m, &h.at, &disk, &target, 0, &err), -1);
    CU_ASSERT_EQUAL(err.num, EREMOTEIO);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_relay_ended(p.source, DISK_LIMIT_MS, &err), -1);
    CU_ASSERT_EQUAL(err.num, ETIMEDOUT);
    xf_clear(&err);
    disk_writer_begin(&h, 100);
    guest_is_well();
    end();
}

static void fails_when(void (*what)(void))
{
    begin(DISK_LIMIT_MS);
    disk_writer_begin(&h, 100);
    start(SLOW);
    what();
    CU_ASSERT(has_failed());
    guest_is_well();
    end();
}

static void kill_relay(void)
{
    xf_relay_close(p.source);
    p.source = NULL;
}
static void kill_sink(void)
{
    xf_relay_close(p.sink);
    p.sink = NULL;
}
static void kill_server(void)
{
    kill(p.server, SIGKILL);
    CU_ASSERT_NOT_EQUAL(disk_path_server(&p), 0);
}

static void test_killed(void)
{
    fails_when(kill_relay);
    fails_when(kill_sink);
    fails_when(kill_server);
}

/* Cancelled while it copies, and when it is complete; without the relay's help. */
static void test_cancel(void)
{
    for (int ready = 0; ready < 2; ready++) {
        begin(DISK_LIMIT_MS);
        disk_writer_begin(&h, 100);
        start(ready ? 0 : SLOW);
        CU_ASSERT(!ready || disk_await(&m, XF_MIRROR_READY));
        guest_is_well();
        CU_ASSERT_EQUAL(xf_mirror_cancel(&m, &err), 0);
        end();
    }
}

/* What a dead move has left: a job that runs, or one that has failed. */
static void test_leftover(void)
{
    struct xf_mirror_disk disk;
    bool found;

    for (int failed = 0; failed < 2; failed++) {
        begin(DISK_LIMIT_MS);
        disk_writer_begin(&h, 100);
        start(SLOW);
        if (failed) {
            kill_relay();
            CU_ASSERT(has_failed());
        }
        CU_ASSERT_EQUAL(xf_mirror_find(&h.at, DISK_VDEV, &disk, &err), -1);
        CU_ASSERT_EQUAL(err.num, EBUSY);
        xf_clear(&err);
        CU_ASSERT_EQUAL(xf_mirror_clear(&h.at, DISK_VDEV, &found, &err), 0);
        CU_ASSERT(found);
        CU_ASSERT_EQUAL(xf_mirror_clear(&h.at, DISK_VDEV, &found, &err), 0);
        CU_ASSERT(!found);
        CU_ASSERT_EQUAL(xf_mirror_find(&h.at, DISK_VDEV, &disk, &err), 0);
        guest_is_well();
        end();
    }
}

/* The destination's file system is full in the middle. */
static void test_full(void)
{
    char at[80], image[100];

    if (geteuid()) {
        printf("skipped: not root\n");
        return;
    }
    xf_clear(&err);
    disk_host_begin(&h, SIZE, DATA);
    snprintf(at, sizeof(at), "%s/full", h.dir);
    snprintf(image, sizeof(image), "%s/copy.img", at);
    CU_ASSERT_FATAL(!mkdir(at, 0700) && !mount("none", at, "tmpfs", 0, "size=4m"));
    disk_path_begin(&p, &h, image, true, DISK_LIMIT_MS);
    start(0);
    disk_writer_begin(&h, 100);
    CU_ASSERT(has_failed());
    guest_is_well();
    disk_path_end(&p);
    CU_ASSERT_EQUAL(umount(at), 0);
    disk_host_end(&h);
}

/* An image of another size. */
static void test_size(void)
{
    char left[256];

    begin(DISK_LIMIT_MS);
    disk_path_end(&p);
    h.size += MIB;
    disk_path_begin(&p, &h, NULL, true, DISK_LIMIT_MS);
    h.size -= MIB;
    {
        const struct xf_mirror_target target = disk_path_target(&p);
        struct xf_mirror_disk disk;

        CU_ASSERT_EQUAL_FATAL(xf_mirror_find(&h.at, DISK_VDEV, &disk, &err), 0);
        CU_ASSERT_EQUAL(xf_mirror_start(&m, &h.at, &disk, &target, 0, &err), -1);
        CU_ASSERT_EQUAL(err.num, EFBIG);
    }
    xf_clear(&err);
    disk_leftovers(&h, left);
    CU_ASSERT_STRING_EQUAL(left, "");
    end();
}

static void flip(uint64_t at)
{
    uint8_t byte;

    CU_ASSERT_FATAL(pread(p.fd_other, &byte, 1, (off_t)at) == 1);
    byte ^= 1;
    CU_ASSERT_FATAL(pwrite(p.fd_other, &byte, 1, (off_t)at) == 1 && !fsync(p.fd_other));
}

/* A byte of the copy changes: it is noticed, once more than a few do not; and a few when the guest
 * is suspended. */
static void test_flip(void)
{
    begin(DISK_LIMIT_MS);
    start(0);
    CU_ASSERT_FATAL(disk_await(&m, XF_MIRROR_READY));
    for (uint64_t i = 0; i <= XF_VERIFY_HOT; i++)
        flip(i * XF_VERIFY_CHUNK + 17);
    CU_ASSERT_EQUAL(xf_verify_run(&p.verify, no_tick, &err), -1);
    CU_ASSERT_EQUAL(err.num, EILSEQ);
    xf_clear(&err);
    CU_ASSERT_EQUAL(p.verify.again, XF_VERIFY_HOT + 1);
    for (uint64_t i = 1; i <= XF_VERIFY_HOT; i++)
        flip(i * XF_VERIFY_CHUNK + 17); /* as it was */
    CU_ASSERT_EQUAL(xf_verify_run(&p.verify, no_tick, &err), 0);
    CU_ASSERT(p.verify.nr_hot == 1 && p.verify.hot[0] == 0);
    CU_ASSERT_EQUAL(xf_verify_hot(&p.verify, &err), -1);
    CU_ASSERT_EQUAL(err.num, EILSEQ);
    xf_clear(&err);
    flip(17);
    CU_ASSERT_EQUAL(xf_verify_hot(&p.verify, &err), 0);
    CU_ASSERT_EQUAL(xf_mirror_cancel(&m, &err), 0);
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the disk", test_disk},       {"a copy under a writer", test_copy},
        {"too early", test_early},     {"a throttled guest", test_throttle},
        {"link cut", test_cut},        {"link stalled", test_stall},
        {"a mute server", test_mute},  {"relay, sink, server killed", test_killed},
        {"cancel", test_cancel},       {"leftovers of a dead move", test_leftover},
        {"target full", test_full},    {"target of another size", test_size},
        {"a flipped byte", test_flip}, CU_TEST_INFO_NULL,
    };

    disk_need();
    alarm(390);
    return run_suite("mirror", tests);
}
