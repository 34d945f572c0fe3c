/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The destination and the path to it: see host.h. */
#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/disks/host.h"
#include "tests/procguest/eventually.h"

#define TMPFS 0x01021994

/* O_DIRECT, as at a real destination, where there is such a thing. */
static const char *cache_of(const char *image)
{
    struct statfs fs;

    CU_ASSERT_FATAL(!statfs(image, &fs));
    return fs.f_type == TMPFS ? "--cache=writeback" : "--cache=none";
}

static void run_server(struct disk_path *p)
{
    char socket[160];

    snprintf(socket, sizeof(socket), "--socket=%s", p->nbd);
    fflush(NULL);
    p->server = fork();
    if (p->server)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(DISK_NBD, DISK_NBD, socket, "--format=raw", "--export-name=" DISK_VDEV, "--shared=1",
          cache_of(p->image), "--discard=unmap", p->image, (char *)NULL);
    _exit(127);
}

static int dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
        return fd;
    close(fd);
    return -1;
}

/* --- the channels --- */

struct dialing {
    struct xf_link_cfg cfg;
    const struct disk_link *link; /* NULL: none */
    uint16_t port;
    struct xf_chan *control, *bytes, *hashes;
};

static void *dial_all(void *arg)
{
    struct dialing *d = arg;
    const char *to = d->link ? d->link->address : "127.0.0.1";
    struct xf_err err = {0};

    /* Of this thread alone. */
    if (d->link && setns(d->link->source_ns, CLONE_NEWNET))
        perror("setns");
    if (xf_tcp_ops.connect(&d->cfg, to, d->port, NULL, XF_CONTROL, &d->control, &err) ||
        xf_tcp_ops.connect(&d->cfg, to, d->port, NULL, XF_BULK(0), &d->bytes, &err) ||
        xf_tcp_ops.connect(&d->cfg, to, d->port, NULL, XF_BULK(1), &d->hashes, &err))
        fprintf(stderr, "connect: %s\n", err.text);
    return NULL;
}

/* source: the bytes, then the hashes; sink: the same. Over the link, or a line of ours. */
static void connect_all(struct disk_path *p, const struct xf_link_cfg *cfg,
                        const struct disk_link *link, struct xf_chan *source[2],
                        struct xf_chan *sink[2])
{
    struct dialing d = {.cfg = *cfg, .link = link};
    struct xf_chan *chan[3] = {NULL};
    struct xf_listener *l = NULL;
    struct xf_chan_id id;
    struct xf_err err = {0};
    pthread_t thread;
    uint16_t port;

    CU_ASSERT_FATAL(!link || !setns(link->sink_ns, CLONE_NEWNET));
    CU_ASSERT_FATAL(
        !xf_tcp_ops.listen(cfg, link ? link->address : "127.0.0.1", 0, &l, &port, &err));
    if (!link) {
        p->line = pg_relay_start();
        atomic_store(&p->line->to, port);
        CU_ASSERT_FATAL(EVENTUALLY(atomic_load(&p->line->port)));
        port = (uint16_t)atomic_load(&p->line->port);
    }
    d.port = port;
    CU_ASSERT_FATAL(!pthread_create(&thread, NULL, dial_all, &d));
    for (int i = 0; i < 3; i++)
        CU_ASSERT_FATAL(!xf_tcp_ops.accept(l, DISK_LIMIT_MS, &chan[i], &id, &err));
    pthread_join(thread, NULL);
    xf_tcp_ops.unlisten(l);
    xf_tcp_ops.close(d.control);
    xf_tcp_ops.close(chan[0]);
    source[0] = d.bytes;
    source[1] = d.hashes;
    sink[0] = chan[1];
    sink[1] = chan[2];
}

static void *serve(void *arg)
{
    struct disk_path *p = arg;

    xf_verify_serve(&p->other, &xf_tcp_ops, p->answers, &p->served);
    return NULL;
}

static void make_image(struct disk_path *p, const struct disk_host *h, const char *image)
{
    snprintf(p->image, sizeof(p->image), "%s", image ? image : h->dir);
    if (!image)
        snprintf(p->image + strlen(p->image), 20, "/copy.img");
    p->fd_other = open(p->image, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(p->fd_other >= 0 && !ftruncate(p->fd_other, (off_t)h->size));
}

static void begin(struct disk_path *p, struct disk_host *h, const char *image, bool encrypt,
                  int stall_ms, const struct disk_link *link)
{
    static struct xf_key key;
    const struct xf_link_cfg cfg = {.key = &key,
                                    .channels = 2,
                                    .encrypt = encrypt,
                                    .timeout_ms = DISK_LIMIT_MS,
                                    .stall_ms = stall_ms};
    struct xf_chan *source[2], *sink[2];
    struct xf_err err = {0};
    int fd = -1;

    memset(p, 0, sizeof(*p));
    memset(&key, 5, sizeof(key));
    make_image(p, h, image);
    snprintf(p->socket, sizeof(p->socket), "%s/source", h->dir);
    snprintf(p->nbd, sizeof(p->nbd), "%s/sink", h->dir);
    unlink(p->nbd);
    run_server(p);
    CU_ASSERT_FATAL(EVENTUALLY(fd >= 0 || (fd = dial(p->nbd)) >= 0));
    connect_all(p, &cfg, link, source, sink);
    CU_ASSERT_FATAL(!xf_relay_join(&p->sink, fd, &xf_tcp_ops, sink[0], &err));
    CU_ASSERT_FATAL(
        !xf_relay_listen(&p->source, p->socket, &xf_tcp_ops, source[0], stall_ms, &err));
    p->asks = source[1];
    p->answers = sink[1];
    p->fd_own = open(h->image, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(!xf_verify_open(&p->own, p->fd_own, h->size, false, &err));
    CU_ASSERT_FATAL(!xf_verify_open(&p->other, p->fd_other, h->size, true, &err));
    p->verify = (struct xf_verify){.image = &p->own, .ops = &xf_tcp_ops, .chan = p->asks};
    CU_ASSERT_FATAL(!pthread_create(&p->thread, NULL, serve, p));
}

void disk_path_begin(struct disk_path *p, struct disk_host *h, const char *image, bool encrypt,
                     int stall_ms)
{
    begin(p, h, image, encrypt, stall_ms, NULL);
}

void disk_path_begin_over(struct disk_path *p, struct disk_host *h, bool encrypt,
                          const struct disk_link *link)
{
    begin(p, h, NULL, encrypt, DISK_LIMIT_MS, link);
}

int disk_path_server(struct disk_path *p)
{
    if (p->server > 0 && waitpid(p->server, &p->status, 0) == p->server)
        p->server = 0;
    return p->status;
}

void disk_path_end(struct disk_path *p)
{
    xf_relay_close(p->source);
    xf_relay_close(p->sink);
    xf_tcp_ops.abort(p->answers);
    pthread_join(p->thread, NULL);
    xf_tcp_ops.close(p->asks);
    xf_tcp_ops.close(p->answers);
    xf_verify_close(&p->own);
    xf_verify_close(&p->other);
    close(p->fd_own);
    close(p->fd_other);
    if (p->server > 0) {
        kill(p->server, SIGKILL);
        disk_path_server(p);
    }
    if (p->line)
        pg_relay_free(p->line);
    unlink(p->image);
}

struct xf_mirror_target disk_path_target(const struct disk_path *p)
{
    return (struct xf_mirror_target){.socket = p->socket, .export = DISK_VDEV};
}
