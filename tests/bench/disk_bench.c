/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One disk is mirrored from one network namespace to another while a guest writes, and it is told
 * in a line of JSON how long everything took. For disks.py. disk_bench SOURCE_NETNS SINK_NETNS
 * SINK_ADDRESS MIB plain|encrypted
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/disks/host.h"
#include "tests/procguest/eventually.h"
#include "tests/unit/suite.h"

#define WRITES_PER_S 200
#define ALONE_S 5
#define TOOK_MAX 1000000u
#define LOOK_MS 20 /* a look costs the QEMU something */

static struct disk_host h;
static struct disk_path p;
static struct xf_mirror m;
static struct xf_err err;

struct figures {
    double ready_s, verify_s, finish_s, server_s, fsync_s;
    double alone_p50_ms, alone_p99_ms, copy_p50_ms, copy_p99_ms;
    uint64_t left, up, wire, used, used_copy, wrong;
    long memory_kib;
    unsigned hot;
};

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* Of the writes since `from`; the writer may go on writing. */
static void latencies(size_t from, double *p50, double *p99)
{
    size_t n = h.nr_took - from;
    float *sorted = malloc((n + 1) * sizeof(*sorted));

    CU_ASSERT_FATAL(sorted && n > 0);
    memcpy(sorted, h.took_ms + from, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_value);
    *p50 = (double)sorted[n / 2];
    *p99 = (double)sorted[n * 99 / 100];
    free(sorted);
}

static long memory_kib(const char *field)
{
    char line[128], pattern[32];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");

    snprintf(pattern, sizeof(pattern), "%s: %%ld", field);
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, pattern, &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static uint64_t used(const char *file)
{
    struct stat st;

    return stat(file, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, err.text);
    return -1;
}

/* However long that takes: disks.py has a limit for all of it. */
static bool await_ready(void)
{
    struct xf_mirror_look now;

    do {
        for (int ms = 0; ms < LOOK_MS; ms++)
            pg_nap();
        if (xf_mirror_look(&m, &now, &err))
            return false;
    } while (now.state == XF_MIRROR_COPIES);
    if (now.state != XF_MIRROR_READY)
        xf_fail(&err, EIO, "%s", now.why);
    return now.state == XF_MIRROR_READY;
}

static int copy(struct figures *f)
{
    const struct xf_mirror_target target = disk_path_target(&p);
    const struct xf_tick none = {0};
    struct xf_mirror_disk disk;
    size_t from = h.nr_took;
    double began = xf_now();

    if (xf_mirror_find(&h.at, DISK_VDEV, &disk, &err) ||
        xf_mirror_start(&m, &h.at, &disk, &target, 0, &err) || !await_ready())
        return failed("copy");
    f->ready_s = xf_now() - began;
    latencies(from, &f->copy_p50_ms, &f->copy_p99_ms);
    began = xf_now();
    if (xf_verify_run(&p.verify, none, &err))
        return failed("verify");
    f->verify_s = xf_now() - began;
    return 0;
}

static int finish(struct figures *f)
{
    struct xf_mirror_look look;
    struct xf_relay_look bytes;
    double began;

    disk_writer_end(&h);
    if (xf_mirror_look(&m, &look, &err))
        return failed("look");
    f->left = look.left;
    began = xf_now();
    if (xf_mirror_finish_begin(&m, &err) || xf_mirror_finished(&m, DISK_LIMIT_MS, &err))
        return failed("finish");
    f->finish_s = xf_now() - began;
    if (disk_path_server(&p))
        return failed("server");
    f->server_s = xf_now() - began;
    if (fsync(p.fd_other) || xf_verify_hot(&p.verify, &err))
        return failed("hot");
    f->fsync_s = xf_now() - began - f->server_s;
    f->hot = p.verify.nr_hot;
    xf_relay_look(p.source, &bytes);
    f->up = bytes.up;
    f->wire = bytes.wire;
    return 0;
}

static void print(FILE *out, const struct figures *f, uint64_t size, uint64_t data)
{
    fprintf(out,
            "{\"size\": %llu, \"data\": %llu, \"ready_s\": %.3f, \"verify_s\": %.3f, \"finish_s\": "
            "%.4f, \"server_s\": %.4f, \"fsync_s\": %.4f, \"left\": %llu, \"up\": %llu, \"wire\": "
            "%llu, \"used\": %llu, \"used_copy\": %llu, \"hot\": %u, \"wrong_blocks\": %llu, "
            "\"memory_kib\": %ld, \"alone_p50_ms\": %.3f, \"alone_p99_ms\": %.3f, \"copy_p50_ms\": "
            "%.3f, \"copy_p99_ms\": %.3f}\n",
            (unsigned long long)size, (unsigned long long)data, f->ready_s, f->verify_s,
            f->finish_s, f->server_s, f->fsync_s, (unsigned long long)f->left,
            (unsigned long long)f->up, (unsigned long long)f->wire, (unsigned long long)f->used,
            (unsigned long long)f->used_copy, f->hot, (unsigned long long)f->wrong, f->memory_kib,
            f->alone_p50_ms, f->alone_p99_ms, f->copy_p50_ms, f->copy_p99_ms);
}

static char **words; /* of the command line */

static void test_mirror(void)
{
    const struct disk_link link = {open(words[1], O_RDONLY | O_CLOEXEC),
                                   open(words[2], O_RDONLY | O_CLOEXEC), words[3]};
    uint64_t size = (uint64_t)atoi(words[4]) << 20;
    struct figures f = {0};
    FILE *out;
    long before;

    CU_ASSERT_FATAL(link.source_ns >= 0 && link.sink_ns >= 0);
    disk_host_begin(&h, size, size / 2);
    h.took_ms = calloc(TOOK_MAX, sizeof(*h.took_ms));
    CU_ASSERT_PTR_NOT_NULL_FATAL(h.took_ms);
    h.max_took = TOOK_MAX;
    disk_writer_begin(&h, WRITES_PER_S);
    CU_ASSERT(disk_writer_goes_on(&h, ALONE_S * WRITES_PER_S));
    latencies(0, &f.alone_p50_ms, &f.alone_p99_ms);
    before = memory_kib("VmRSS");
    disk_path_begin_over(&p, &h, !strcmp(words[5], "encrypted"), &link);
    CU_ASSERT_FATAL(!copy(&f) && !finish(&f));
    f.memory_kib = memory_kib("VmHWM") - before;
    f.wrong = disk_wrong(&h, p.image);
    f.used = used(h.image);
    f.used_copy = used(p.image);
    out = fopen(words[6], "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    print(out, &f, size, size / 2);
    CU_ASSERT(!fclose(out));
    disk_path_end(&p);
    free(h.took_ms);
    disk_host_end(&h);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {{"one mirror", test_mirror}, CU_TEST_INFO_NULL};

    if (argc != 7)
        return 2;
    words = argv;
    disk_need();
    return run_suite("bench", tests);
}
