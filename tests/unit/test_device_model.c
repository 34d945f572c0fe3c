/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The copy's device model, started ahead: the FIFO is real, the monitor and xenstore are made up
 * here, and a child stands in for QEMU's process. The real one is in the lab.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xenstore.h>

#include "libxl-ext/xen/device_model.h"
#include "tests/unit/suite.h"
#include "transport/times.h"

#define DOMID 7
#define BIG (200u << 10) /* more than a pipe holds */

static char dir[] = "/tmp/xf-dm-XXXXXX", file[64];
static struct xf_device_model dm;
static struct xf_err err;
static uint8_t blob[BIG], got[BIG + 1];

/* QEMU, as it is to be found. */
static struct {
    bool listens, gone;
    struct xf_qmp_version version;
    enum xf_qmp_state state, then; /* then: from the second question on */
    int opens, open_now;
    int busy, limit; /* it listens, but does not answer so many times */
    pid_t pid;
    char told[64];
} qemu;

int xf_qmp_open(struct xf_qmp *q, const char *path, uint32_t domid, int limit_ms,
                struct xf_tick tick, struct xf_err *e)
{
    (void)tick;
    CU_ASSERT(strstr(path, "-7") && domid == DOMID && limit_ms > 0 && q->fd < 0);
    qemu.opens++;
    if (qemu.busy && qemu.busy--) {
        CU_ASSERT(limit_ms >= qemu.limit); /* ever more patient */
        qemu.limit = limit_ms;
        return xf_fail(e, ETIMEDOUT, "no answer");
    }
    if (!qemu.listens)
        return xf_fail(e, qemu.opens % 2 ? ENOENT : ECONNREFUSED, "nobody listens");
    qemu.open_now++;
    q->fd = 100;
    return 0;
}

void xf_qmp_close(struct xf_qmp *q)
{
    if (q->fd >= 0)
        qemu.open_now--;
    q->fd = -1;
}

int xf_qmp_status(struct xf_qmp *q, enum xf_qmp_state *out, struct xf_err *e)
{
    CU_ASSERT(q->fd == 100);
    if (qemu.gone)
        return xf_fail(e, ECONNRESET, "it has ended");
    *out = qemu.state;
    qemu.state = qemu.then;
    return 0;
}

int xf_qmp_version(struct xf_qmp *q, struct xf_qmp_version *out, struct xf_err *e)
{
    (void)e;
    CU_ASSERT(q->fd == 100);
    *out = qemu.version;
    return 0;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)&qemu;
}

void xs_close(struct xs_handle *h)
{
    (void)h;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len)
{
    char text[16];

    (void)h;
    (void)t;
    if (strcmp(path, "/local/domain/7/image/device-model-pid") != 0 || !qemu.pid)
        return NULL;
    *len = (unsigned)snprintf(text, sizeof(text), "%d", qemu.pid);
    return strdup(text);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
              unsigned len)
{
    (void)h;
    (void)t;
    CU_ASSERT_STRING_EQUAL(path, "/local/domain/0/device-model/7/state");
    snprintf(qemu.told, sizeof(qemu.told), "%.*s", (int)len, (const char *)data);
    return true;
}

static void begin(void)
{
    memset(&err, 0, sizeof(err));
    memset(&qemu, 0, sizeof(qemu));
    qemu.version = (struct xf_qmp_version){7, 2, 22};
    qemu.state = qemu.then = XF_QMP_IS_INMIGRATE;
    qemu.pid = fork();
    if (!qemu.pid) {
        pause();
        _exit(0);
    }
    dm = (struct xf_device_model)XF_DEVICE_MODEL_NONE;
    CU_ASSERT_EQUAL_FATAL(xf_device_model_begin(&dm, dir, DOMID, "7.2.22", &err), 0);
}

static void kill_qemu(void)
{
    kill(qemu.pid, SIGKILL);
    waitpid(qemu.pid, NULL, 0);
    qemu.pid = 0;
}

static void finish(void)
{
    struct stat st;

    xf_device_model_end(&dm);
    CU_ASSERT(stat(file, &st) && qemu.open_now == 0);
    CU_ASSERT(dm.fifo == -1 && dm.process == -1 && !dm.domid);
    if (qemu.pid)
        kill_qemu();
}

/* As often as needed, though the questions are apart. */
static int step(void)
{
    dm.asked = 0;
    return xf_device_model_step(&dm, &err);
}

static void wait_for_state(void)
{
    begin();
    qemu.listens = true;
    CU_ASSERT_EQUAL_FATAL(step(), 0);
    CU_ASSERT_FATAL(dm.waits);
}

static void test_fifo(void)
{
    static const char *const wrong[] = {"", "7", "7.2", "new", "-1.x.2"};
    struct stat st;
    int fd = open(file, O_CREAT | O_WRONLY, 0644); /* an old one's state */

    close(fd);
    begin();
    CU_ASSERT(!stat(file, &st) && S_ISFIFO(st.st_mode) && (st.st_mode & 0777) == 0600);
    finish();
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        dm = (struct xf_device_model)XF_DEVICE_MODEL_NONE;
        CU_ASSERT(xf_device_model_begin(&dm, dir, DOMID, wrong[i], &err) == -1);
        CU_ASSERT(err.num == EPROTO && stat(file, &st));
        xf_clear(&err);
    }
    CU_ASSERT(xf_device_model_begin(&dm, "/nowhere", DOMID, "7.2.22", &err) == -1);
    CU_ASSERT(err.num == ENOENT && dm.fifo == -1);
    /* Left by a process that died; a file of libxl's own is none of ours. */
    begin();
    close(dm.fifo);
    xf_device_model_forget(dir, DOMID + 1);
    CU_ASSERT_EQUAL(stat(file, &st), 0);
    xf_device_model_forget(dir, DOMID);
    CU_ASSERT_NOT_EQUAL(stat(file, &st), 0);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    xf_device_model_forget(dir, DOMID);
    CU_ASSERT_EQUAL(stat(file, &st), 0);
    unlink(file);
    kill_qemu();
    dm = (struct xf_device_model)XF_DEVICE_MODEL_NONE;
    xf_clear(&err);
    /* Without one, nothing is asked. */
    CU_ASSERT(step() == 0 && xf_device_model_lives(&dm, &err) == 0);
}

static void test_wait(void)
{
    begin();
    for (int i = 0; i < 4; i++)
        CU_ASSERT(step() == 0 && !dm.waits && !err.num);
    CU_ASSERT_EQUAL(qemu.opens, 4);
    CU_ASSERT(xf_device_model_step(&dm, &err) == 0 && qemu.opens == 4); /* not at once again */
    CU_ASSERT(xf_device_model_lives(&dm, &err) == 0);                   /* not known yet */
    qemu.listens = true;
    CU_ASSERT(step() == 0 && dm.waits && !strcmp(qemu.told, "running"));
    CU_ASSERT_EQUAL(qemu.open_now, 0); /* others want to ask, too */
    CU_ASSERT(step() == 0 && qemu.opens == 5);
    CU_ASSERT(xf_device_model_lives(&dm, &err) == 0);
    kill_qemu();
    CU_ASSERT(xf_device_model_lives(&dm, &err) == -1 && err.num == ESRCH);
    finish();
}

/* It listens before its machine is built; so long as that takes it is asked again. */
static void test_busy(void)
{
    begin();
    qemu.busy = 9;
    qemu.listens = true;
    for (int i = 0; i < 9; i++)
        CU_ASSERT(step() == 0 && !dm.waits && !err.num);
    CU_ASSERT(qemu.limit > 1000 && qemu.limit < XF_SINK_STALL_MS);
    CU_ASSERT(step() == 0 && dm.waits && !strcmp(qemu.told, "running"));
    finish();
}

static void test_not_waiting(void)
{
    static const struct {
        struct xf_qmp_version version;
        enum xf_qmp_state state;
        int num;
    } cases[] = {
        {{7, 2, 1}, XF_QMP_IS_INMIGRATE, 0},
        {{8, 0, 0}, XF_QMP_IS_INMIGRATE, 0},
        {{7, 1, 99}, XF_QMP_IS_INMIGRATE, EPROTONOSUPPORT},
        {{6, 9, 99}, XF_QMP_IS_INMIGRATE, EPROTONOSUPPORT},
        {{7, 2, 22}, XF_QMP_IS_RUNNING, EIO},
        {{7, 2, 22}, XF_QMP_IS_PAUSED, EIO},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        qemu.listens = true;
        qemu.version = cases[i].version;
        qemu.state = cases[i].state;
        CU_ASSERT(step() == (cases[i].num ? -1 : 0) && err.num == cases[i].num);
        CU_ASSERT(!cases[i].num == !strcmp(qemu.told, "running"));
        finish();
    }
    begin();
    qemu.listens = qemu.gone = true;
    CU_ASSERT(step() == -1 && err.num == ECONNRESET);
    finish();
    begin();
    qemu.listens = true;
    kill_qemu(); /* xenstore names no process */
    CU_ASSERT(step() == -1 && err.num == EIO && !qemu.told[0]);
    finish();
}

static void *reader(void *arg)
{
    int fd = *(int *)arg;
    size_t have = 0;
    ssize_t n;

    while (have < BIG && (n = read(fd, got + have, sizeof(got) - have)) != 0)
        if (n > 0)
            have += (size_t)n;
    return NULL;
}

static void test_load(void)
{
    static const struct {
        enum xf_qmp_state then;
        int num;
    } ends[] = {{XF_QMP_IS_RUNNING, 0}, {XF_QMP_IS_PAUSED, EIO}, {XF_QMP_IS_OTHER, EIO}};
    pthread_t thread;
    int fd;

    for (size_t i = 0; i < BIG; i++)
        blob[i] = (uint8_t)(i * 7 + (i >> 8));
    for (unsigned i = 0; i < 3; i++) {
        wait_for_state();
        fd = open(file, O_RDONLY); /* as libxl opens it */
        pthread_create(&thread, NULL, reader, &fd);
        memset(got, 0, sizeof(got));
        qemu.state = XF_QMP_IS_INMIGRATE;
        qemu.then = ends[i].then;
        CU_ASSERT_EQUAL(xf_device_model_load(&dm, blob, BIG, &err), ends[i].num ? -1 : 0);
        CU_ASSERT_EQUAL(err.num, ends[i].num);
        pthread_join(thread, NULL);
        CU_ASSERT(!memcmp(got, blob, BIG) && dm.fifo == -1);
        close(fd);
        unlink(file); /* as libxl does */
        finish();
    }
}

static void test_load_dies(void)
{
    int fd;

    /* While it is given its state, which nobody reads. */
    wait_for_state();
    kill_qemu();
    CU_ASSERT(xf_device_model_load(&dm, blob, BIG, &err) == -1 && err.num == ESRCH);
    finish();
    /* While it loads it: it has said why. */
    wait_for_state();
    qemu.gone = true;
    snprintf(dm.log, sizeof(dm.log), "%s/log", dir);
    fd = open(dm.log, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    for (int i = 0; i < 100; i++)
        dprintf(fd, "nothing of interest\n");
    dprintf(fd, "Unknown savevm section \33[2Jxyz\nload of migration failed\n");
    close(fd);
    CU_ASSERT(xf_device_model_load(&dm, blob, 100, &err) == -1 && err.num == ECONNRESET);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ": Unknown savevm section "));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "xyz; load of migration failed"));
    CU_ASSERT_PTR_NULL(strchr(err.text, 27));
    unlink(dm.log);
    unlink(file);
    finish();
    /* Before. */
    wait_for_state();
    qemu.listens = false;
    CU_ASSERT(xf_device_model_load(&dm, blob, 100, &err) == -1 && err.num);
    finish();
}

int main(void)
{
    CU_TestInfo tests[] = {{"the FIFO", test_fifo},
                           {"until it waits", test_wait},
                           {"it builds its machine", test_busy},
                           {"it does not wait", test_not_waiting},
                           {"it gets its state", test_load},
                           {"it ends meanwhile", test_load_dies},
                           CU_TEST_INFO_NULL};
    int rc;

    if (!mkdtemp(dir))
        return 1;
    snprintf(file, sizeof(file), "%s/qemu-resume.%d", dir, DOMID);
    rc = run_suite("device model of the copy", tests);
    rmdir(dir);
    return rc;
}
