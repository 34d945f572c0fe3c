/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The device model of the copy: see device_model.h. */
#include "libxl-ext/xen/device_model.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <xenstore.h>

#include "transport/clock.h"
#include "transport/text.h"

#define FILE_BYTES sizeof(((struct xf_device_model *)0)->file)
#define ASK_MS                                                                                     \
    100 /* between two questions whether the machine is built; and for the first answer */
#define ANSWER_MS 4000
#define LOAD_MS 10000 /* the source has given up long before */
#define LOOK_NS 1000000L
#define WORDS 320 /* bytes of its log that are quoted, at most */

/* LIBXL_DEVICE_MODEL_RESTORE_FILE, tools/libs/light/libxl_internal.h. */
static void devices_file(const char *dir, uint32_t domid, char out[FILE_BYTES])
{
    snprintf(out, FILE_BYTES, "%.100s/qemu-resume.%u", dir, domid);
}

void xf_device_model_forget(const char *dir, uint32_t domid)
{
    char file[FILE_BYTES];
    struct stat st;

    devices_file(dir, domid, file);
    if (!lstat(file, &st) && S_ISFIFO(st.st_mode))
        unlink(file);
}

int xf_device_model_begin(struct xf_device_model *dm, const char *dir, uint32_t domid,
                          const char *source, struct xf_err *err)
{
    struct xf_qmp_version *v = &dm->source;

    if (sscanf(source, "%3u.%3u.%3u", &v->major, &v->minor, &v->micro) != 3)
        return xf_fail(err, EPROTO, "the source does not say which QEMU the guest has");
    devices_file(dir, domid, dm->file);
    unlink(dm->file); /* of an earlier domain with this number */
    if (mkfifo(dm->file, 0600))
        return xf_fail(err, errno, "cannot make %s: %s", dm->file, strerror(errno));
    /* With both ends here nobody's open() waits, and QEMU sees no end of the file. */
    dm->fifo = open(dm->file, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (dm->fifo < 0) {
        xf_fail(err, errno, "cannot open %s: %s", dm->file, strerror(errno));
        unlink(dm->file);
        return -1;
    }
    dm->domid = domid;
    dm->patience_ms = ASK_MS;
    return 0;
}

static int find_process(struct xf_device_model *dm, struct xs_handle *xs, struct xf_err *err)
{
    char path[64], *text;
    unsigned len;
    long pid;

    snprintf(path, sizeof(path), "/local/domain/%u/image/device-model-pid", dm->domid);
    text = xs_read(xs, XBT_NULL, path, &len);
    pid = text ? strtol(text, NULL, 10) : 0;
    free(text);
    if (pid <= 0)
        return xf_fail(err, EIO, "xenstore has no process of the copy's device model (%s)", path);
    dm->process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (dm->process < 0)
        return xf_fail(err, errno, "the copy's device model (process %ld) cannot be watched: %s",
                       pid, strerror(errno));
    return 0;
}

/* What QEMU says when it begins to run (xen_change_state_handler(), accel/xen/xen-all.c in QEMU),
 * for which libxl waits. */
static int report_running(struct xf_device_model *dm, struct xf_err *err)
{
    struct xs_handle *xs = xs_open(0);
    char path[64];
    int rc;

    if (!xs)
        return xf_fail(err, errno, "cannot reach xenstore: %s", strerror(errno));
    rc = find_process(dm, xs, err);
    snprintf(path, sizeof(path), "/local/domain/0/device-model/%u/state", dm->domid);
    if (!rc && !xs_write(xs, XBT_NULL, path, "running", strlen("running")))
        rc = xf_fail(err, errno, "cannot write %s in xenstore: %s", path, strerror(errno));
    xs_close(xs);
    return rc;
}

int xf_device_model_lives(const struct xf_device_model *dm, struct xf_err *err)
{
    struct pollfd pf = {.fd = dm->process, .events = POLLIN};

    if (dm->process < 0 || poll(&pf, 1, 0) == 0)
        return 0;
    return xf_fail(err, ESRCH, "the device model of the new domain %u has ended", dm->domid);
}

static int connect_to(struct xf_device_model *dm, int limit_ms, struct xf_err *err)
{
    if (dm->monitor.fd >= 0)
        return 0;
    return xf_qmp_open_domain(&dm->monitor, dm->domid, limit_ms, err);
}

int xf_device_model_connect(struct xf_device_model *dm, struct xf_err *err)
{
    return connect_to(dm, ANSWER_MS, err);
}

/* A newer QEMU reads the state of an older one, not the other way round. */
static int check_version(struct xf_device_model *dm, struct xf_err *err)
{
    const struct xf_qmp_version *s = &dm->source;
    struct xf_qmp_version v;

    if (xf_qmp_version(&dm->monitor, &v, err))
        return -1;
    if (v.major > s->major || (v.major == s->major && v.minor >= s->minor))
        return 0;
    return xf_fail(err, EPROTONOSUPPORT,
                   "QEMU is %u.%u.%u here and %u.%u.%u at the source, and an older one cannot read "
                   "the state of a newer one; install the source's version here",
                   v.major, v.minor, v.micro, s->major, s->minor, s->micro);
}

static int ask(struct xf_device_model *dm, enum xf_qmp_state *state, struct xf_err *err)
{
    if (connect_to(dm, dm->patience_ms, err) || check_version(dm, err) ||
        xf_qmp_status(&dm->monitor, state, err))
        return -1;
    xf_qmp_close(&dm->monitor); /* it serves one client at a time, and others want to ask, too */
    return 0;
}

/*
 * QEMU listens long before it answers: while it builds its machine, which takes seconds on a busy
 * host. Everything else that the sink serves would wait meanwhile, so its patience begins small;
 * libxl and the deadline of the build end the wait.
 */
int xf_device_model_step(struct xf_device_model *dm, struct xf_err *err)
{
    enum xf_qmp_state state;
    struct xf_err why = {0};

    if (!dm->domid || dm->waits || xf_now_ms() - dm->asked < ASK_MS)
        return 0;
    if (ask(dm, &state, &why)) {
        xf_qmp_close(&dm->monitor);
        dm->asked = xf_now_ms();
        if (why.num == ETIMEDOUT && dm->patience_ms < ANSWER_MS)
            dm->patience_ms *= 2;
        if (why.num == ENOENT || why.num == ECONNREFUSED || why.num == ETIMEDOUT)
            return 0;
        return xf_fail_as(err, &why, "%s", why.text);
    }
    if (state != XF_QMP_IS_INMIGRATE)
        return xf_fail(err, EIO, "the copy's device model does not wait for its state");
    dm->waits = true;
    return report_running(dm, err);
}

static int give(struct xf_device_model *dm, const uint8_t *state, size_t len, int64_t until,
                struct xf_err *err)
{
    while (len) {
        struct pollfd pf = {.fd = dm->fifo, .events = POLLOUT};
        ssize_t n = write(dm->fifo, state, len);

        if (n > 0) {
            state += n;
            len -= (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return xf_fail(err, errno, "cannot give the device model its state: %s",
                           strerror(errno));
        if (xf_device_model_lives(dm, err))
            return -1;
        if (xf_now_ms() > until)
            return xf_fail(err, ETIMEDOUT, "the device model does not read its state");
        poll(&pf, 1, 10);
    }
    close(dm->fifo);
    dm->fifo = -1;
    return 0;
}

/* QEMU ends when it cannot use its state, and says why only in its log: the last lines of that. */
static int refused(const struct xf_device_model *dm, struct xf_err *err)
{
    char buf[WORDS + 1], *line, *save = NULL, last[2][WORDS / 2] = {"", ""};
    int fd = dm->log[0] ? open(dm->log, O_RDONLY | O_CLOEXEC) : -1;
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    ssize_t n = fd < 0 ? 0 : pread(fd, buf, WORDS, end > WORDS ? end - WORDS : 0);

    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = 0;
    for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        memcpy(last[0], last[1], sizeof(last[0]));
        snprintf(last[1], sizeof(last[1]), "%.*s", (int)sizeof(last[1]) - 1, line);
    }
    xf_text_clean(last[0]);
    xf_text_clean(last[1]);
    return xf_wrap(err, "the device model cannot use the state from the source%s%s%s%s",
                   last[1][0] ? ": " : "", last[0], last[0][0] ? "; " : "", last[1]);
}

int xf_device_model_load(struct xf_device_model *dm, const void *state, size_t len,
                         struct xf_err *err)
{
    int64_t until = xf_now_ms() + LOAD_MS;
    enum xf_qmp_state now;

    if (xf_device_model_connect(dm, err) || give(dm, state, len, until, err))
        return -1;
    dm->monitor.limit_ms = LOAD_MS; /* it does not answer while it loads */
    do {
        if (xf_now_ms() > until)
            return xf_fail(err, ETIMEDOUT, "the device model did not take its state within %d s",
                           LOAD_MS / 1000);
        if (xf_qmp_status(&dm->monitor, &now, err))
            return refused(dm, err);
        if (now == XF_QMP_IS_INMIGRATE)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    } while (now == XF_QMP_IS_INMIGRATE);
    if (now != XF_QMP_IS_RUNNING)
        return xf_fail(err, EIO,
                       "the device model took its state, but cannot open the guest's images for "
                       "writing: is something else using them?");
    xf_qmp_close(&dm->monitor);
    return 0;
}

void xf_device_model_end(struct xf_device_model *dm)
{
    xf_qmp_close(&dm->monitor);
    if (dm->fifo >= 0) {
        close(dm->fifo);
        unlink(dm->file); /* libxl has done so, if it came that far */
    }
    if (dm->process >= 0)
        close(dm->process);
    *dm = (struct xf_device_model)XF_DEVICE_MODEL_NONE;
}
