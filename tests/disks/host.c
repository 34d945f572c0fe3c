/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host of the guest: see host.h. The writer drives a virtio disk. An NBD export of this QEMU in
 * its place makes version 7.2 abort, and so do writes of the monitor (qemu-io) when a mirror
 * pivots. */
#include "tests/disks/host.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disks/mirror_parts.h"
#include "tests/disks/virtio.h"
#include "tests/procguest/eventually.h"

#define QDEV "/machine/peripheral/" DISK_VDEV "/virtio-backend"

/* In place of the product's: the only device is no xen-disk, and has no such name. */
int xf_mirror_is_vdev(struct xf_qmp *q, const char *qdev, const char *vdev, struct xf_err *err)
{
    (void)q;
    (void)err;
    return !strcmp(qdev, QDEV) && !strcmp(vdev, DISK_VDEV);
}

void disk_need(void)
{
    static const char *const needed[] = {DISK_QEMU, DISK_NBD};

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (access(needed[i], X_OK)) {
            printf("%s is missing: make deps\n", needed[i]);
            exit(77);
        }
}

static void fill_image(struct disk_host *h, uint64_t data)
{
    uint8_t block[DISK_BLOCK];
    int fd = open(h->image, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

    CU_ASSERT_FATAL(fd >= 0 && !ftruncate(fd, (off_t)h->size));
    for (uint64_t i = 0; i < data / DISK_BLOCK; i++) {
        h->content[i] = (uint8_t)(1 + i % 251);
        memset(block, h->content[i], sizeof(block));
        CU_ASSERT_FATAL(pwrite(fd, block, sizeof(block), (off_t)(i * DISK_BLOCK)) ==
                        (ssize_t)sizeof(block));
    }
    close(fd);
}

static void run_qemu(struct disk_host *h)
{
    char monitor[160], writer[160], drive[256];
    int out;

    snprintf(monitor, sizeof(monitor), "unix:%s,server=on,wait=off", h->at.monitor);
    snprintf(writer, sizeof(writer), "unix:%s/qtest,server=on,wait=off", h->dir);
    snprintf(drive, sizeof(drive),
             "driver=raw,node-name=" DISK_VDEV
             "-raw,discard=unmap,file.driver=file,file.filename=%s,file.locking=off",
             h->image);
    fflush(NULL);
    h->qemu = fork();
    if (h->qemu)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    out = open(h->log, O_CREAT | O_WRONLY | O_APPEND, 0600);
    dup2(out, 1);
    dup2(out, 2);
    execl(DISK_QEMU, DISK_QEMU, "-M", "pc", "-accel", "qtest", "-display", "none", "-nodefaults",
          "-qmp", monitor, "-qtest", writer, "-qtest-log", "none", "-object", "iothread,id=io",
          "-blockdev", drive, "-device",
          "virtio-blk-pci,id=" DISK_VDEV ",addr=4,drive=" DISK_VDEV "-raw,iothread=io",
          (char *)NULL);
    _exit(127);
}

void disk_host_begin(struct disk_host *h, uint64_t size, uint64_t data)
{
    memset(h, 0, sizeof(*h));
    snprintf(h->dir, sizeof(h->dir), "/var/tmp/xf-disks-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(h->dir));
    snprintf(h->image, sizeof(h->image), "%s/guest.img", h->dir);
    snprintf(h->log, sizeof(h->log), "%s/qemu.log", h->dir);
    snprintf(h->at.monitor, sizeof(h->at.monitor), "%s/qmp", h->dir);
    h->at.domid = 7;
    h->at.limit_ms = DISK_LIMIT_MS;
    h->size = size;
    h->content = calloc(1, size / DISK_BLOCK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(h->content);
    fill_image(h, data);
    run_qemu(h);
    CU_ASSERT_FATAL(h->qemu > 0);
    CU_ASSERT_FATAL(EVENTUALLY(!access(h->at.monitor, F_OK) || waitpid(h->qemu, NULL, WNOHANG)));
    CU_ASSERT_FATAL(disk_host_well(h));
}

bool disk_host_well(struct disk_host *h)
{
    char text[4096] = "";
    FILE *f = fopen(h->log, "r");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

    if (f)
        fclose(f);
    text[n] = 0;
    if (strstr(text, "failed") || strstr(text, "rror"))
        fprintf(stderr, "QEMU: %s\n", text);
    return !atomic_load(&h->refused) && !kill(h->qemu, 0) && !waitpid(h->qemu, NULL, WNOHANG) &&
           !strstr(text, "failed") && !strstr(text, "rror");
}

void disk_host_end(struct disk_host *h)
{
    char command[100];

    disk_writer_end(h);
    kill(h->qemu, SIGKILL);
    waitpid(h->qemu, NULL, 0);
    snprintf(command, sizeof(command), "rm -rf %s", h->dir);
    CU_ASSERT(system(command) == 0);
    free(h->content);
}

/* --- the writer --- */

static bool write_block(struct disk_host *h, struct virtio_disk *d, uint64_t block, uint8_t fill)
{
    uint64_t began = xf_now_ns();

    if (!virtio_write(d, block, fill))
        return false;
    if (h->nr_took < h->max_took)
        h->took_ms[h->nr_took++] = (float)(xf_now_ns() - began) / 1e6f;
    h->content[block] = fill;
    atomic_fetch_add(&h->written, 1);
    return true;
}

static void *write_on(void *arg)
{
    struct disk_host *h = arg;
    unsigned seed = 1;
    struct virtio_disk d;
    char path[XF_QMP_PATH];
    uint64_t began = xf_now_ns(), n = 0;
    bool good;

    snprintf(path, sizeof(path), "%.60s/qtest", h->dir);
    good = virtio_begin(&d, path);
    while (good && !atomic_load(&h->stop)) {
        if (xf_now_ns() < began + n * 1000000000ull / h->per_s) {
            pg_nap();
            continue;
        }
        good = write_block(h, &d, (uint64_t)rand_r(&seed) % (h->size / DISK_BLOCK),
                           (uint8_t)rand_r(&seed));
        n++;
    }
    if (!good) {
        fprintf(stderr, "a write of the guest has failed\n");
        atomic_store(&h->refused, true);
    }
    virtio_end(&d);
    return NULL;
}

void disk_writer_begin(struct disk_host *h, unsigned per_s)
{
    h->per_s = per_s;
    atomic_store(&h->stop, false);
    CU_ASSERT_FATAL(!pthread_create(&h->thread, NULL, write_on, h));
    h->writes = true;
    CU_ASSERT_FATAL(disk_writer_goes_on(h, 1));
}

void disk_writer_end(struct disk_host *h)
{
    if (!h->writes)
        return;
    atomic_store(&h->stop, true);
    pthread_join(h->thread, NULL);
    h->writes = false;
}

bool disk_writer_goes_on(struct disk_host *h, uint64_t more)
{
    uint64_t now = atomic_load(&h->written);

    return EVENTUALLY(atomic_load(&h->written) >= now + more);
}

/* --- what is there --- */

uint64_t disk_wrong(const struct disk_host *h, const char *file)
{
    uint8_t want[DISK_BLOCK], got[DISK_BLOCK];
    uint64_t wrong = 0;
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return UINT64_MAX;
    for (uint64_t i = 0; i < h->size / DISK_BLOCK; i++) {
        memset(want, h->content[i], sizeof(want));
        wrong += pread(fd, got, sizeof(got), (off_t)(i * DISK_BLOCK)) != (ssize_t)sizeof(got) ||
                 memcmp(want, got, sizeof(got)) != 0;
    }
    close(fd);
    return wrong;
}

static void add_ours(const struct xf_json *answer, const char *field, char out[256])
{
    const char *list = json_object_to_json_string(answer->o), *at = list;
    char pattern[64];

    snprintf(pattern, sizeof(pattern), "\"%s\": \"xf-", field);
    while ((at = strstr(at, pattern))) {
        at += strlen(pattern);
        snprintf(out + strlen(out), 256 - strlen(out), "xf-%.*s ", (int)strcspn(at, "\""), at);
    }
}

void disk_leftovers(struct disk_host *h, char out[256])
{
    struct xf_json answer;
    struct xf_qmp q = XF_QMP_CLOSED;
    struct xf_err err = {0};

    out[0] = 0;
    CU_ASSERT_FATAL(!xf_mirror_open(&q, &h->at, &err));
    CU_ASSERT(!xf_qmp_call_list(&q, "query-jobs", NULL, &answer, &err));
    add_ours(&answer, "id", out);
    xf_json_close(&answer);
    CU_ASSERT(!xf_qmp_call_list(&q, "query-named-block-nodes", NULL, &answer, &err));
    add_ours(&answer, "node-name", out);
    xf_json_close(&answer);
    xf_qmp_close(&q);
}

bool disk_await(struct xf_mirror *m, enum xf_mirror_state state)
{
    struct xf_mirror_look now;
    struct xf_err err = {0};

    if (!EVENTUALLY(xf_mirror_look(m, &now, &err) || now.state == state ||
                    now.state == XF_MIRROR_FAILED))
        fprintf(stderr, "the mirror stays in state %d\n", now.state);
    if (err.num)
        fprintf(stderr, "%s\n", err.text);
    else if (now.state != state)
        fprintf(stderr, "the mirror: state %d, %s\n", now.state, now.why);
    return !err.num && now.state == state;
}
