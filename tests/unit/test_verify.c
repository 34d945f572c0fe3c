/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two images are compared over a channel that a test plays: equal, different, changing meanwhile;
 * and a peer that sends nonsense. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "disks/verify.h"
#include "tests/unit/suite.h"
#include "transport/bytes.h"
#include "transport/wire.h"

#define CHUNKS 300u
#define SIZE ((uint64_t)CHUNKS * XF_VERIFY_CHUNK - 1000) /* the last one is not whole */

static const struct xf_tick no_tick;
static struct xf_err err;
static int fd[2];
static struct xf_verify_image image[2];

/* In place of the C library's: nobody waits for what a test has sent already. */
int nanosleep(const struct timespec *want, struct timespec *left)
{
    (void)want;
    (void)left;
    return 0;
}

/* --- the channel: what is sent is answered by xf_verify_serve() when recv is called --- */

static struct {
    struct xf_msg asked, answer;
    uint8_t meta[XF_META_MAX], back[XF_META_MAX];
    unsigned asks;
    void (*meanwhile)(unsigned asks); /* the guest writes */
    int lie;                          /* a row of test_lies() */
    bool ended;
} wire;

static int server_recv(struct xf_chan *c, struct xf_msg *m, void *meta, int timeout_ms,
                       struct xf_err *e)
{
    (void)c;
    (void)timeout_ms;
    if (wire.ended)
        return xf_fail_link(e, ECONNRESET, "closed");
    *m = wire.asked;
    memcpy(meta, wire.meta, m->meta_len);
    wire.ended = true;
    return 0;
}

static int server_send(struct xf_chan *c, const struct xf_msg *m, const void *meta,
                       const struct iovec *iov, int niov, struct xf_err *e)
{
    (void)c;
    (void)iov;
    (void)niov;
    (void)e;
    wire.answer = *m;
    memcpy(wire.back, meta, m->meta_len);
    return 0;
}

static const struct xf_transport_ops server_ops = {.recv = server_recv, .send = server_send};

static int client_send(struct xf_chan *c, const struct xf_msg *m, const void *meta,
                       const struct iovec *iov, int niov, struct xf_err *e)
{
    struct xf_err end = {0};

    (void)c;
    (void)iov;
    (void)niov;
    (void)e;
    wire.asked = *m;
    if (m->meta_len)
        memcpy(wire.meta, meta, m->meta_len);
    wire.ended = false;
    wire.asks++;
    if (wire.meanwhile)
        wire.meanwhile(wire.asks);
    CU_ASSERT_EQUAL(xf_verify_serve(&image[1], &server_ops, c, &end),
                    m->type == XF_MSG_DISK_END ? 0 : -1);
    CU_ASSERT(!end.num || end.num == ECONNRESET);
    return 0;
}

static int client_recv(struct xf_chan *c, struct xf_msg *m, void *meta, int timeout_ms,
                       struct xf_err *e)
{
    (void)c;
    (void)timeout_ms;
    (void)e;
    *m = wire.answer;
    if (wire.lie == 1)
        m->type = XF_MSG_DISK_ASK;
    if (wire.lie == 2)
        m->meta_len -= XF_VERIFY_HASH;
    if (wire.lie == 3)
        m->payload_len = 1;
    memcpy(meta, wire.back, m->meta_len);
    return 0;
}

static const struct xf_transport_ops client_ops = {.recv = client_recv, .send = client_send};

/* --- */

static void put(int side, uint64_t at, uint8_t byte)
{
    CU_ASSERT_FATAL(pwrite(fd[side], &byte, 1, (off_t)at) == 1);
}

static struct xf_verify *begin(void)
{
    static struct xf_verify v;

    xf_clear(&err);
    memset(&wire, 0, sizeof(wire));
    for (int i = 0; i < 2; i++) {
        fd[i] = memfd_create("image", MFD_CLOEXEC);
        CU_ASSERT_FATAL(fd[i] >= 0 && !ftruncate(fd[i], (off_t)SIZE));
        CU_ASSERT_FATAL(!xf_verify_open(&image[i], fd[i], SIZE, i, &err));
        for (uint64_t c = 0; c < CHUNKS; c += 3)
            put(i, c * XF_VERIFY_CHUNK + 5, (uint8_t)(c + 1));
    }
    v = (struct xf_verify){.image = &image[0], .ops = &client_ops};
    return &v;
}

static void end(void)
{
    for (int i = 0; i < 2; i++) {
        xf_verify_close(&image[i]);
        close(fd[i]);
    }
}

static void test_equal(void)
{
    struct xf_verify *v = begin();

    CU_ASSERT_EQUAL(xf_verify_run(v, no_tick, &err), 0);
    CU_ASSERT(v->checked == SIZE && v->pass == 1 && !v->again && !v->nr_hot);
    CU_ASSERT_EQUAL(wire.asks, (CHUNKS + XF_VERIFY_ASK - 1) / XF_VERIFY_ASK);
    CU_ASSERT_EQUAL(xf_verify_hot(v, &err), 0);
    CU_ASSERT_EQUAL(xf_verify_end(v, &err), 0);
    end();
}

/* One bit, in the first byte and in the last. */
static void test_differs(void)
{
    static const uint64_t at[] = {0, SIZE - 1, 17 * XF_VERIFY_CHUNK - 1};

    for (size_t i = 0; i < 3; i++) {
        struct xf_verify *v = begin();

        put(1, at[i], 0x10);
        CU_ASSERT_EQUAL(xf_verify_run(v, no_tick, &err), 0);
        CU_ASSERT(v->nr_hot == 1 && v->hot[0] == at[i] / XF_VERIFY_CHUNK);
        CU_ASSERT(v->again == 1 && v->pass == XF_VERIFY_PASSES);
        CU_ASSERT_EQUAL(xf_verify_hot(v, &err), -1);
        CU_ASSERT_EQUAL(err.num, EILSEQ);
        xf_clear(&err);
        put(0, at[i], 0x10); /* what was on its way has arrived */
        CU_ASSERT_EQUAL(xf_verify_hot(v, &err), 0);
        end();
    }
}

static void test_too_much(void)
{
    struct xf_verify *v = begin();

    for (uint64_t c = 0; c <= XF_VERIFY_HOT; c++)
        put(1, (2 * c + 1) * XF_VERIFY_CHUNK, 1);
    CU_ASSERT_EQUAL(xf_verify_run(v, no_tick, &err), -1);
    CU_ASSERT(err.num == EILSEQ && v->again == XF_VERIFY_HOT + 1);
    end();
}

/* Differs in the first pass, and has arrived by the second. */
static void arrives(unsigned asks)
{
    if (asks == 4)
        put(1, 200 * XF_VERIFY_CHUNK, 9);
}

static void test_later(void)
{
    struct xf_verify *v = begin();

    put(0, 200 * XF_VERIFY_CHUNK, 9);
    wire.meanwhile = arrives;
    CU_ASSERT_EQUAL(xf_verify_run(v, no_tick, &err), 0);
    CU_ASSERT(v->again == 1 && v->pass == 2 && !v->nr_hot && wire.asks == 4);
    end();
}

static int cancel(void *priv, struct xf_err *e)
{
    (void)priv;
    return wire.asks ? xf_fail(e, ECANCELED, "cancelled") : 0;
}

static void test_cancel(void)
{
    struct xf_verify *v = begin();

    CU_ASSERT_EQUAL(xf_verify_run(v, (struct xf_tick){.call = cancel}, &err), -1);
    CU_ASSERT(err.num == ECANCELED && wire.asks == 1);
    end();
}

static void test_lies(void)
{
    for (int lie = 1; lie <= 3; lie++) {
        struct xf_verify *v = begin();

        wire.lie = lie;
        CU_ASSERT_EQUAL(xf_verify_run(v, no_tick, &err), -1);
        CU_ASSERT_EQUAL(err.num, EPROTO);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "an answer about a disk is invalid (type "));
        end();
    }
}

static void test_questions(void)
{
    static const uint64_t low[] = {0, 1, CHUNKS - 1}, twice[] = {4, 4}, down[] = {5, 4},
                          beyond[] = {CHUNKS};
    static const struct {
        const uint64_t *chunk;
        unsigned n;
        const char *words;
    } rows[] = {{low, 3, NULL},
                {twice, 2, "a question about a disk names an invalid part of it"},
                {down, 2, "a question about a disk names an invalid part of it"},
                {beyond, 1, "a question about a disk names an invalid part of it"}};
    static uint8_t meta[XF_META_MAX];
    uint64_t chunk[XF_VERIFY_ASK];
    struct xf_msg m = {.type = XF_MSG_DISK_ASK};
    unsigned n;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        xf_clear(&err);
        m.meta_len = (uint32_t)xf_verify_ask_encode(rows[i].chunk, rows[i].n, meta);
        CU_ASSERT_EQUAL(xf_verify_ask_decode(chunk, &n, &m, meta, CHUNKS, &err),
                        rows[i].words ? -1 : 0);
        CU_ASSERT(rows[i].words ? err.num == EPROTO && strstr(err.text, rows[i].words)
                                : n == rows[i].n && !memcmp(chunk, low, sizeof(low)));
    }
    for (uint64_t i = 0; i <= XF_VERIFY_ASK; i++)
        put_le64(meta + i * 8, i);
    static const uint32_t lengths[] = {0, 7, 9, (XF_VERIFY_ASK + 1) * 8};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        xf_clear(&err);
        m.meta_len = lengths[i];
        CU_ASSERT_EQUAL(xf_verify_ask_decode(chunk, &n, &m, meta, CHUNKS, &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a question about a disk has an invalid length"));
    }
    xf_clear(&err);
    m.meta_len = XF_VERIFY_ASK * 8;
    CU_ASSERT_EQUAL(xf_verify_ask_decode(chunk, &n, &m, meta, CHUNKS, &err), 0);
    m.payload_len = 1;
    CU_ASSERT_EQUAL(xf_verify_ask_decode(chunk, &n, &m, meta, CHUNKS, &err), -1);
}

/* The destination is asked for something else. */
static void test_served(void)
{
    begin();
    wire.asked = (struct xf_msg){.type = XF_MSG_BATCH};
    CU_ASSERT_EQUAL(xf_verify_serve(&image[1], &server_ops, NULL, &err), -1);
    CU_ASSERT_EQUAL(err.num, EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a disk's channel has an invalid message (type "));
    xf_clear(&err);
    CU_ASSERT_FATAL(!ftruncate(fd[1], 100)); /* the image shrinks under it */
    wire.ended = false;
    wire.asked = (struct xf_msg){.type = XF_MSG_DISK_ASK, .meta_len = 8};
    memset(wire.meta, 0, 8);
    CU_ASSERT_EQUAL(xf_verify_serve(&image[1], &server_ops, NULL, &err), -1);
    CU_ASSERT_EQUAL(err.num, EIO);
    end();
}

static void test_size(void)
{
    struct xf_verify_image v;

    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_verify_open(&v, 0, 0, false, &err), -1);
    CU_ASSERT_EQUAL(err.num, EINVAL);
    xf_verify_close(&v);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_verify_open(&v, 0, XF_VERIFY_SIZE_MAX + 1, false, &err), -1);
    CU_ASSERT_EQUAL(err.num, EINVAL);
    xf_verify_close(&v);
}

int main(void)
{
    CU_TestInfo tests[] = {{"equal", test_equal},
                           {"a bit differs", test_differs},
                           {"too much differs", test_too_much},
                           {"it arrives later", test_later},
                           {"cancelled", test_cancel},
                           {"invalid answers", test_lies},
                           {"invalid questions", test_questions},
                           {"served", test_served},
                           {"sizes", test_size},
                           CU_TEST_INFO_NULL};

    return run_suite("verify", tests);
}
