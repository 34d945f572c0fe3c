/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Relays between sockets over real channels: bytes in both directions, who may connect, every way
 * to end, and a peer that sends nonsense. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "disks/relay.h"
#include "tests/unit/suite.h"
#include "transport/wire.h"

#define LONG_MS 60000
#define STALL_MS 300
#define BYTES (3u << 20)

static char dir[] = "/tmp/xf-relay-XXXXXX", path[64];
static struct xf_err err;
static struct xf_chan *here, *there; /* two ends of one channel */
static struct xf_relay *source, *sink;
static int client, server; /* the sockets behind them */

/* --- a channel's two ends --- */

struct dial {
    struct xf_link_cfg cfg;
    uint16_t port;
    struct xf_chan *control;
};

static void *dial(void *arg)
{
    struct dial *d = arg;

    xf_tcp_ops.connect(&d->cfg, "127.0.0.1", d->port, NULL, XF_CONTROL, &d->control, NULL);
    xf_tcp_ops.connect(&d->cfg, "127.0.0.1", d->port, NULL, XF_BULK(0), &here, NULL);
    return NULL;
}

static void connect_both(int stall_ms)
{
    static struct xf_key key;
    struct dial d = {.cfg = {.key = &key,
                             .channels = 1,
                             .encrypt = true,
                             .timeout_ms = LONG_MS,
                             .stall_ms = stall_ms}};
    struct xf_listener *l = NULL;
    struct xf_chan *control = NULL;
    struct xf_chan_id id;
    pthread_t thread;

    xf_clear(&err);
    CU_ASSERT_FATAL(!xf_tcp_ops.listen(&d.cfg, "127.0.0.1", 0, &l, &d.port, &err));
    CU_ASSERT_FATAL(!pthread_create(&thread, NULL, dial, &d));
    CU_ASSERT_FATAL(!xf_tcp_ops.accept(l, LONG_MS, &control, &id, &err));
    CU_ASSERT_FATAL(!xf_tcp_ops.accept(l, LONG_MS, &there, &id, &err));
    pthread_join(thread, NULL);
    xf_tcp_ops.close(control);
    xf_tcp_ops.close(d.control);
    xf_tcp_ops.unlisten(l);
    CU_ASSERT_FATAL(here && there);
}

static int dial_socket(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    CU_ASSERT_FATAL(!connect(fd, (struct sockaddr *)&a, sizeof(a)));
    return fd;
}

static void join(int stall_ms)
{
    int pair[2];

    connect_both(stall_ms);
    CU_ASSERT_FATAL(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    CU_ASSERT_FATAL(!xf_relay_join(&sink, pair[0], &xf_tcp_ops, there, &err));
    CU_ASSERT_FATAL(!xf_relay_listen(&source, path, &xf_tcp_ops, here, stall_ms, &err));
    server = pair[1];
    client = dial_socket();
}

static void end(void)
{
    xf_relay_close(source);
    xf_relay_close(sink);
    close(client);
    close(server);
    source = sink = NULL;
}

/* --- */

struct pour {
    int fd;
    uint8_t *bytes;
};

static void *pour(void *arg)
{
    struct pour *p = arg;
    size_t at = 0;
    ssize_t n;

    while (at < BYTES && (n = write(p->fd, p->bytes + at, BYTES - at)) > 0)
        at += (size_t)n;
    return NULL;
}

static size_t drain(int fd, uint8_t *out)
{
    size_t at = 0;
    ssize_t n;

    while (at < BYTES && (n = read(fd, out + at, BYTES - at)) > 0)
        at += (size_t)n;
    return at;
}

/* From one socket to the other, and then back. */
static void test_bytes(void)
{
    uint8_t *sent = malloc(BYTES), *got = malloc(BYTES);
    struct xf_relay_look look;
    struct pour p;
    pthread_t thread;

    CU_ASSERT_FATAL(sent && got);
    for (size_t i = 0; i < BYTES; i++)
        sent[i] = (uint8_t)(i * 7 + i / 4096);
    join(LONG_MS);
    for (int back = 0; back < 2; back++) {
        p = (struct pour){back ? server : client, sent};
        memset(got, 0, BYTES);
        CU_ASSERT_FATAL(!pthread_create(&thread, NULL, pour, &p));
        CU_ASSERT_EQUAL(drain(back ? client : server, got), BYTES);
        pthread_join(thread, NULL);
        CU_ASSERT(!memcmp(sent, got, BYTES));
    }
    CU_ASSERT_EQUAL(xf_relay_ended(source, 0, &err), XF_AGAIN);
    close(client);
    client = -1;
    CU_ASSERT_EQUAL(read(server, got, 1), 0);
    CU_ASSERT_EQUAL(xf_relay_ended(source, LONG_MS, &err), 0);
    CU_ASSERT_EQUAL(xf_relay_ended(sink, LONG_MS, &err), 0);
    xf_relay_look(source, &look);
    CU_ASSERT(look.up == BYTES && look.down == BYTES && look.wire > 2 * BYTES && look.joined);
    end();
    free(sent);
    free(got);
}

/* Only root's, only one client, and gone when that has come. */
static void test_socket(void)
{
    struct xf_relay *second = NULL;
    struct xf_relay_look look;
    struct stat st;
    char byte;
    int fd;

    connect_both(LONG_MS);
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600); /* not a socket: not removed */
    CU_ASSERT(fd >= 0 && !close(fd));
    CU_ASSERT_EQUAL(xf_relay_listen(&second, path, &xf_tcp_ops, here, LONG_MS, &err), -1);
    CU_ASSERT_EQUAL(err.num, EADDRINUSE);
    xf_clear(&err);
    unlink(path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    {
        struct sockaddr_un a = {.sun_family = AF_UNIX}; /* what a killed process has left */

        snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
        CU_ASSERT(!bind(fd, (struct sockaddr *)&a, sizeof(a)));
        close(fd);
    }
    CU_ASSERT_EQUAL_FATAL(xf_relay_listen(&source, path, &xf_tcp_ops, here, LONG_MS, &err), 0);
    CU_ASSERT(!stat(path, &st) && (st.st_mode & 07777) == 0600);
    xf_relay_look(source, &look);
    CU_ASSERT(!look.joined);
    client = dial_socket();
    CU_ASSERT(write(client, "x", 1) == 1);
    {
        struct xf_msg m = {0};
        uint8_t meta[XF_META_MAX];
        struct iovec iov = {&byte, 1};

        CU_ASSERT_EQUAL(xf_tcp_ops.recv(there, &m, meta, LONG_MS, &err), 0);
        CU_ASSERT(m.type == XF_MSG_DISK_BYTES && m.payload_len == 1);
        CU_ASSERT_EQUAL(xf_tcp_ops.recv_payload(there, &iov, 1, &err), 0);
        CU_ASSERT_EQUAL(byte, 'x');
    }
    CU_ASSERT(access(path, F_OK));
    xf_tcp_ops.close(there);
    CU_ASSERT_EQUAL(xf_relay_ended(source, LONG_MS, &err), -1);
    CU_ASSERT_EQUAL(err.whose, XF_LINK);
    CU_ASSERT_EQUAL(read(client, &byte, 1), 0);
    server = -1;
    end();
}

static void test_abort(void)
{
    char byte;

    join(LONG_MS);
    xf_relay_abort(source);
    CU_ASSERT_EQUAL(xf_relay_ended(source, LONG_MS, &err), -1);
    CU_ASSERT_EQUAL(err.num, ECANCELED);
    CU_ASSERT(read(client, &byte, 1) <= 0); /* reset, if it had not been accepted yet */
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_relay_ended(sink, LONG_MS, &err), -1);
    CU_ASSERT_EQUAL(read(server, &byte, 1), 0);
    end();

    connect_both(LONG_MS); /* nobody has come */
    CU_ASSERT_EQUAL_FATAL(xf_relay_listen(&source, path, &xf_tcp_ops, here, LONG_MS, &err), 0);
    xf_relay_close(source);
    CU_ASSERT(access(path, F_OK));
    xf_tcp_ops.close(there);
    source = NULL;
}

/* A request that is not answered; and a line that is only quiet. */
static void test_overdue(void)
{
    char byte;

    join(STALL_MS);
    CU_ASSERT(write(server, "h", 1) == 1 && read(client, &byte, 1) == 1); /* the server greets */
    CU_ASSERT_EQUAL(xf_relay_ended(source, 4 * STALL_MS, &err), XF_AGAIN);
    CU_ASSERT(write(client, "q", 1) == 1 && read(server, &byte, 1) == 1);
    CU_ASSERT(write(server, "a", 1) == 1 && read(client, &byte, 1) == 1);
    CU_ASSERT_EQUAL(xf_relay_ended(source, 4 * STALL_MS, &err), XF_AGAIN);
    CU_ASSERT(write(client, "q", 1) == 1);
    CU_ASSERT_EQUAL(xf_relay_ended(source, LONG_MS, &err), -1);
    CU_ASSERT_EQUAL(err.num, ETIMEDOUT);
    CU_ASSERT_EQUAL(read(client, &byte, 1), 0);
    end();

    join(STALL_MS); /* a mute server */
    CU_ASSERT_EQUAL(xf_relay_ended(source, LONG_MS, &err), -1);
    CU_ASSERT_EQUAL(err.num, ETIMEDOUT);
    CU_ASSERT_EQUAL(read(client, &byte, 1), 0);
    end();
}

static void test_nonsense(void)
{
    static uint8_t payload[XF_RELAY_PIECE + 1];
    static const struct xf_msg bad[] = {
        {.type = XF_MSG_BATCH},
        {.type = XF_MSG_DISK_BYTES},
        {.type = XF_MSG_DISK_BYTES, .meta_len = 1, .payload_len = 1},
        {.type = XF_MSG_DISK_BYTES, .payload_len = XF_RELAY_PIECE + 1},
        {.type = XF_MSG_DISK_END, .meta_len = 1},
        {.type = XF_MSG_DISK_END, .payload_len = 1},
        {.type = XF_MSG_DISK_ASK},
    };
    struct iovec iov = {payload, 0};
    char byte;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        connect_both(LONG_MS);
        CU_ASSERT_FATAL(!xf_relay_listen(&source, path, &xf_tcp_ops, here, LONG_MS, &err));
        client = dial_socket();
        iov.iov_len = bad[i].payload_len;
        /* It need not be taken to its end. */
        xf_tcp_ops.send(there, &bad[i], payload, &iov, bad[i].payload_len ? 1 : 0, NULL);
        CU_ASSERT_EQUAL(xf_relay_ended(source, LONG_MS, &err), -1);
        CU_ASSERT_EQUAL(err.num, EPROTO);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a disk's channel has an invalid message (type "));
        CU_ASSERT_EQUAL(read(client, &byte, 1), 0);
        xf_tcp_ops.close(there);
        server = -1;
        end();
    }
}

int main(void)
{
    CU_TestInfo tests[] = {{"bytes, both ways", test_bytes},
                           {"the socket", test_socket},
                           {"given up", test_abort},
                           {"an answer is overdue", test_overdue},
                           {"invalid messages", test_nonsense},
                           CU_TEST_INFO_NULL};
    int rc;

    if (!mkdtemp(dir))
        return 2;
    snprintf(path, sizeof(path), "%s/s", dir);
    rc = run_suite("relay", tests);
    rmdir(dir);
    return rc;
}
