/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk moves from one side to the other, both here: real channels, relays, checksums and
 * qemu-nbd. The mirror, which is QEMU's, is made up: a client of NBD that copies the image, and
 * whose guest writes once more in the switch.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libxl-ext/sink/disks_here.h"
#include "libxl-ext/source/disks_moving.h"
#include "tests/unit/nbd_client.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

#define BYTES (3u << 20)
#define PIECE 65536u
#define LIMIT_MS 60000

static char dir[] = "/var/tmp/xf-moving-XXXXXX";
static struct xf_err err;

/* --- instead of disks/mirror.c --- */

static struct {
    int sock;  /* to the relay */
    int image; /* the guest's */
    bool ready, fails, ends;
    uint64_t copied;
    unsigned cancelled, throttled;
    int lie_at; /* a byte that is copied wrong; -1: none */
} mirror;

static int copy_piece(uint64_t at)
{
    static char data[PIECE];

    if (pread(mirror.image, data, sizeof(data), (off_t)at) != (ssize_t)sizeof(data))
        return -1;
    if (mirror.lie_at >= (int)at && mirror.lie_at < (int)(at + PIECE))
        data[mirror.lie_at - (int)at] ^= 1;
    return nbd_ask(mirror.sock, NBD_WRITE, at, data, sizeof(data));
}

int xf_mirror_start(struct xf_mirror *m, const struct xf_mirror_at *at,
                    const struct xf_mirror_disk *disk, const struct xf_mirror_target *target,
                    uint64_t speed, struct xf_err *e)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    (void)speed;
    m->at = *at;
    m->disk = *disk;
    CU_ASSERT(strlen(target->socket) < sizeof(to.sun_path));
    snprintf(to.sun_path, sizeof(to.sun_path), "%.100s", target->socket);
    mirror.sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(mirror.sock, (struct sockaddr *)&to, sizeof(to)))
        return xf_fail(e, errno, "the relay does not listen");
    if (nbd_begin(mirror.sock, target->export) != BYTES)
        return xf_fail(e, EFBIG, "the export has another size");
    return 0;
}

int xf_mirror_look(const struct xf_mirror *m, struct xf_mirror_look *out, struct xf_err *e)
{
    (void)m;
    (void)e;
    if (mirror.copied < BYTES && !mirror.fails && copy_piece(mirror.copied) == 0)
        mirror.copied += PIECE;
    else if (mirror.copied < BYTES)
        mirror.fails = true;
    *out = (struct xf_mirror_look){.state = mirror.fails             ? XF_MIRROR_FAILED
                                            : mirror.copied == BYTES ? XF_MIRROR_READY
                                                                     : XF_MIRROR_COPIES,
                                   .offset = mirror.copied,
                                   .len = BYTES,
                                   .left = BYTES - mirror.copied,
                                   .why = "Input/output error"};
    return 0;
}

int xf_mirror_speed(const struct xf_mirror *m, uint64_t bytes_per_s, struct xf_err *e)
{
    (void)m;
    (void)e;
    CU_ASSERT(bytes_per_s > 0);
    return 0;
}

int xf_mirror_throttle(struct xf_mirror *m, uint64_t bytes_per_s, struct xf_err *e)
{
    (void)m;
    (void)e;
    mirror.throttled += bytes_per_s != 0;
    return 0;
}

int xf_mirror_finish_begin(struct xf_mirror *m, struct xf_err *e)
{
    (void)m;
    return mirror.copied == BYTES ? 0 : xf_fail(e, EBUSY, "it is not READY");
}

/* The last write of the guest is copied now. */
int xf_mirror_finished(struct xf_mirror *m, int timeout_ms, struct xf_err *e)
{
    (void)m;
    CU_ASSERT(timeout_ms > 0);
    if (copy_piece(0) || nbd_ask(mirror.sock, NBD_FLUSH, 0, NULL, 0))
        return xf_fail(e, EIO, "Input/output error");
    close(mirror.sock);
    mirror.sock = -1;
    return 0;
}

int xf_mirror_cancel(struct xf_mirror *m, struct xf_err *e)
{
    (void)m;
    (void)e;
    mirror.cancelled++;
    return 0;
}

/* --- both sides --- */

static struct {
    struct xf_key key;
    struct xf_link_cfg cfg;
    struct xf_gather gather;
    struct xf_hello hello;
    struct xf_stores stores;
    struct xf_made made[XF_MOVE_DISKS_MAX];
    struct xf_disks_here here;
    struct xf_report report;
    struct xf_disks_moving moving;
    struct xf_chan *chan[2];
    uint16_t port;
} t;

static int tick(void *priv, struct xf_err *e)
{
    (void)priv;
    return xf_disks_here_look(&t.here, e) || xf_disks_moving_look(&t.moving, e) ? -1 : 0;
}

struct dial {
    pthread_t thread;
    unsigned nr;
};

static void *dial(void *arg)
{
    const struct dial *d = arg;
    struct xf_err e = {0};

    if (xf_tcp_ops.connect(&t.cfg, "127.0.0.1", t.port, NULL, XF_DISK(d->nr), &t.chan[d->nr], &e))
        printf("\n  channel %u: %s\n", d->nr, e.text);
    return NULL;
}

/* The image at the source: random, with a hole. */
static void make_image(char path[64])
{
    static char data[BYTES];
    unsigned seed = 7;

    for (unsigned i = 0; i < BYTES; i++)
        data[i] = (i >> 20) == 1 ? 0 : (char)rand_r(&seed);
    snprintf(path, 64, "%s/source", dir);
    mirror.image = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CU_ASSERT(mirror.image >= 0);
    CU_ASSERT_EQUAL(pwrite(mirror.image, data, BYTES, 0), (ssize_t)BYTES);
}

static void connect_all(void)
{
    struct dial d[2] = {{.nr = 0}, {.nr = 1}};
    bool all = false;
    int64_t until = xf_now_ms() + LIMIT_MS;

    for (unsigned i = 0; i < 2; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&d[i].thread, NULL, dial, &d[i]), 0);
    while (!all && xf_now_ms() < until) {
        CU_ASSERT(xf_gather_step(&t.gather, 20, &err) >= 0);
        CU_ASSERT_EQUAL_FATAL(xf_disks_here_join(&t.here, &t.gather, &all, &err), 0);
    }
    CU_ASSERT(all);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(d[i].thread, NULL);
    CU_ASSERT_FATAL(t.chan[0] && t.chan[1]);
}

/* As far as READY. */
static void begin(void)
{
    struct xf_disk_moving *x = &t.moving.list[0];
    struct xf_disk_plan *plan = &t.hello.disks[0];
    int64_t until = xf_now_ms() + LIMIT_MS;

    memset(&t, 0, sizeof(t));
    memset(&mirror, 0, sizeof(mirror));
    mirror.lie_at = -1;
    xf_clear(&err);
    t.stores = (struct xf_stores){.nr = 1};
    snprintf(t.stores.list[0].name, XF_STORE_NAME, "%s", dir);
    t.hello.nr_disks = 1;
    t.hello.verify_disks = true;
    *plan = (struct xf_disk_plan){.vdev = "xvda", .name = "copy", .bytes = BYTES, .sparse = true};
    t.cfg = (struct xf_link_cfg){.key = &t.key,
                                 .channels = 1,
                                 .disk_channels = 2,
                                 .encrypt = true,
                                 .timeout_ms = LIMIT_MS,
                                 .stall_ms = LIMIT_MS};
    CU_ASSERT_EQUAL_FATAL(
        xf_gather_listen(&t.gather, &xf_tcp_ops, &t.cfg, "127.0.0.1", 0, &t.port, &err), 0);
    CU_ASSERT_EQUAL_FATAL(xf_disks_here_make(&t.here, &t.stores, &t.hello, t.made, &err), 0);
    make_image(t.report.disks[0].source);
    t.moving.nr = t.report.nr_disks = 1;
    x->report = &t.report.disks[0];
    x->found.size = BYTES;
    snprintf(x->found.vdev, sizeof(x->found.vdev), "xvda");
    connect_all();
    CU_ASSERT_EQUAL_FATAL(xf_disk_moving_begin(&t.moving, x, 7, t.chan[0], t.chan[1], &err), 0);
    while (!t.moving.all_ready && !mirror.fails && xf_now_ms() < until) {
        t.moving.looked = 1; /* often */
        if (tick(NULL, &err))
            break;
    }
}

static void end(void)
{
    xf_disks_moving_end(&t.moving);
    xf_disks_here_end(&t.here);
    xf_gather_unlisten(&t.gather, NULL);
    if (mirror.sock >= 0)
        close(mirror.sock);
    close(mirror.image);
    CU_ASSERT_EQUAL(xf_made_remove(&t.made[0], &err), 0);
    unlink(t.report.disks[0].source);
}

static bool equal(void)
{
    static char a[BYTES], b[BYTES];
    int fd = open(t.made[0].place.path, O_RDONLY | O_CLOEXEC);
    bool same = fd >= 0 && pread(fd, a, BYTES, 0) == (ssize_t)BYTES &&
                pread(mirror.image, b, BYTES, 0) == (ssize_t)BYTES && !memcmp(a, b, BYTES);

    if (fd >= 0)
        close(fd);
    return same;
}

static void moves(void)
{
    struct xf_disks_progress p;

    begin();
    CU_ASSERT(t.moving.all_ready && t.report.disks[0].ready);
    CU_ASSERT_EQUAL(xf_disk_moving_verify(&t.moving.list[0], (struct xf_tick){tick, NULL}, &err),
                    0);
    CU_ASSERT(t.report.disks[0].verified);
    xf_disks_moving_progress(&t.moving, &p);
    CU_ASSERT(p.nr == 1 && p.ready == 1 && p.bytes == BYTES && !p.left && !p.of);
    /* The guest writes, and is suspended. */
    CU_ASSERT_EQUAL(pwrite(mirror.image, "last words", 10, 512), 10);
    CU_ASSERT(!equal());
    xf_disks_moving_drain(&t.moving);
    CU_ASSERT_EQUAL(xf_disks_moving_drained(&t.moving, LIMIT_MS, &err), 0);
    CU_ASSERT_EQUAL(xf_disks_here_complete(&t.here, LIMIT_MS, (struct xf_tick){0}, &err), 0);
    CU_ASSERT_EQUAL(xf_disks_moving_verify_hot(&t.moving, &err), 0);
    CU_ASSERT(equal() && t.report.disks[0].drained_s >= 0);
    if (err.num)
        printf("\n  %s\n", err.text);
    end();
    CU_ASSERT(!mirror.cancelled && t.report.disks[0].sent > BYTES / 2);
    CU_ASSERT(access(t.made[0].place.path, F_OK) && errno == ENOENT);
}

static void differs(void)
{
    begin();
    mirror.lie_at = -1;
    /* A byte of the copy is changed behind everybody's back. */
    {
        int fd = open(t.made[0].place.path, O_WRONLY | O_CLOEXEC);

        CU_ASSERT_EQUAL(pwrite(fd, "X", 1, BYTES - 5), 1);
        CU_ASSERT_EQUAL(fsync(fd), 0);
        close(fd);
    }
    /* It may be that the guest writes there all the time: that shows when it stands still. */
    CU_ASSERT_EQUAL(xf_disk_moving_verify(&t.moving.list[0], (struct xf_tick){tick, NULL}, &err),
                    0);
    CU_ASSERT(!t.report.disks[0].verified && t.report.disks[0].again == 1);
    xf_disks_moving_drain(&t.moving);
    CU_ASSERT_EQUAL(xf_disks_moving_drained(&t.moving, LIMIT_MS, &err), 0);
    CU_ASSERT_EQUAL(xf_disks_here_complete(&t.here, LIMIT_MS, (struct xf_tick){0}, &err), 0);
    CU_ASSERT_EQUAL(xf_disks_moving_verify_hot(&t.moving, &err), -1);
    CU_ASSERT(err.num == EILSEQ && !strncmp(err.text, "disk xvda: ", 11));
    CU_ASSERT(!t.report.disks[0].verified);
    end();
}

/* Until both sides know that it is over. */
static bool fails_here(void)
{
    int64_t until = xf_now_ms() + LIMIT_MS;

    while (xf_now_ms() < until)
        if (xf_disks_here_look(&t.here, &err))
            return true;
    return false;
}

static bool fails_there(void)
{
    int64_t until = xf_now_ms() + LIMIT_MS;

    while (xf_now_ms() < until) {
        t.moving.looked = 1;
        if (xf_disks_moving_look(&t.moving, &err))
            return true;
    }
    return false;
}

static void server_killed(void)
{
    begin();
    kill(t.here.list[0].serve.pid, SIGKILL);
    CU_ASSERT(fails_here() && strstr(err.text, "disk xvda: qemu-nbd was killed by signal 9"));
    xf_clear(&err);
    CU_ASSERT(fails_there() && !strncmp(err.text, "disk xvda: ", 11));
    end();
    CU_ASSERT_EQUAL(mirror.cancelled, 1);
}

static void job_fails(void)
{
    begin();
    mirror.fails = true;
    CU_ASSERT(fails_there());
    CU_ASSERT_STRING_EQUAL(err.text, "disk xvda: its copy has failed: Input/output error");
    end();
}

/* What could not be said in the suspend is said before GO. */
static void not_ready(void)
{
    begin();
    mirror.copied = 0;
    xf_disks_moving_drain(&t.moving);
    CU_ASSERT_EQUAL(xf_disks_moving_drained(&t.moving, LIMIT_MS, &err), -1);
    CU_ASSERT(err.num == EBUSY && strstr(err.text, "disk xvda: it is not READY"));
    end();
    CU_ASSERT_EQUAL(mirror.cancelled, 1);
}

int main(void)
{
    CU_TestInfo tests[] = {{"it moves", moves},
                           {"a byte of the copy is wrong", differs},
                           {"qemu-nbd is killed", server_killed},
                           {"the job fails", job_fails},
                           {"it is not ready in the switch", not_ready},
                           CU_TEST_INFO_NULL};
    char run[64];
    int rc;

    if (!mkdtemp(dir))
        return 1;
    snprintf(run, sizeof(run), "%s/run", dir);
    setenv("XENFERRY_RUN_DIR", run, 1);
    rc = run_suite("disks, both sides", tests);
    rmdir(run);
    rmdir(dir);
    return rc;
}
