/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A build of version 1, as it was recorded (tests/oldnew/record.c, commit 2541128), against today's
 * code: its hello and its reply, and each end of its move of a small fake guest. Whatever it hears
 * has to be, byte for byte, what its own other end said then.
 */
#include "tests/oldnew/tape.h"

#include "tests/unit/fake_vm.c"

#include "tests/unit/fake_move.c"

#include <fcntl.h>

#include "libxl-ext/peer/bootstrap.h"
#include "tests/conformance/raw.h"
#include "tests/unit/suite.h"

#define DIR_V1 "tests/oldnew/v1/"

static void test_bootstrap(void)
{
    struct xf_build here = xf_build_here();
    struct xf_pipe hello = {.in = open(DIR_V1 "hello", O_RDONLY)},
                   reply = {.in = open(DIR_V1 "reply", O_RDONLY)};
    static struct xf_reply r;
    struct xf_hello h;
    struct xf_err err = {0};
    unsigned version = 0;

    CU_ASSERT_FATAL(hello.in >= 0 && reply.in >= 0);
    CU_ASSERT_EQUAL_FATAL(xf_hello_receive(&hello, &h, SOON_MS, &err), 0);
    CU_ASSERT(h.build.newest == 1 && h.build.oldest == 1 && !h.build.release[0]);
    CU_ASSERT_STRING_EQUAL(h.domain, "web1");
    CU_ASSERT(h.channels == 1 && h.pull && h.key.bytes[31] == 0x42 && h.nr_needs == 1);
    CU_ASSERT(xf_agree(&here, &h.build, &version, &err) == 0 && version == 1);
    xf_hello_free(&h);
    CU_ASSERT_EQUAL_FATAL(xf_reply_receive(&reply, &r, SOON_MS, NULL, &err), 0);
    CU_ASSERT(r.build.newest == 1 && r.port == 4711 && r.nr_addresses == 1 && r.nr_findings == 1);
    CU_ASSERT(xf_agree(&here, &r.build, &version, &err) == 0 && version == 1);
    close(hello.in);
    close(reply.in);
}

/* One end of the tape, in a thread of its own. */
struct player {
    pthread_t thread;
    bool sink;     /* which end */
    int listener;  /* the sink's */
    uint16_t port; /* the source's: where the sink listens */
    struct raw ends[TAPE_CHANNELS];
    unsigned pieces, differ;
    char why[100]; /* it ended early; empty: it did not */
};

static int meet(struct player *p, struct raw *r)
{
    uint8_t key[32];

    memset(key, 0x42, sizeof(key));
    if (p->sink ? raw_tcp_answer(r, p->listener) : raw_tcp_dial(r, "127.0.0.1", p->port))
        return -1;
    return raw_tcp_prove(r, key);
}

/* Hear so many bytes, and compare them. */
static int hear_piece(struct player *p, struct raw *r, const uint8_t *want, size_t len)
{
    static _Thread_local uint8_t got[TAPE_PIECE_MAX];

    for (size_t have = 0; have < len;) {
        long n = raw_tcp_get(r, got + have, len - have);

        if (n <= 0)
            return -1;
        have += (size_t)n;
    }
    p->differ += memcmp(got, want, len) != 0;
    return 0;
}

static void *play(void *arg)
{
    static _Thread_local uint8_t bytes[TAPE_PIECE_MAX];
    struct player *p = arg;
    FILE *tape = fopen(DIR_V1 "tape", "rb");
    unsigned hellos[TAPE_CHANNELS] = {0};
    struct tape_head h;

    for (unsigned i = 0; i < TAPE_CHANNELS; i++)
        p->ends[i].fd = -1;
    while (tape && fread(&h, sizeof(h), 1, tape) == 1 && h.chan < TAPE_CHANNELS &&
           h.len <= sizeof(bytes) && fread(bytes, 1, h.len, tape) == h.len) {
        struct raw *r = &p->ends[h.chan];
        bool ours = (h.from_sink != 0) == p->sink;

        if ((r->fd < 0 && meet(p, r)) ||
            (ours ? raw_tcp_put(r, bytes, h.len) : hear_piece(p, r, bytes, h.len))) {
            snprintf(p->why, sizeof(p->why), "piece %u (channel %u, %u bytes, %s)", p->pieces,
                     h.chan, h.len, ours ? "ours" : "theirs");
            break;
        }
        p->pieces++;
        if (++hellos[h.chan] == 2)
            raw_tcp_plain(r);
    }
    if (tape)
        fclose(tape);
    for (unsigned i = 0; i < TAPE_CHANNELS; i++)
        raw_tcp_drop(&p->ends[i]);
    return NULL;
}

static bool played(struct player *p)
{
    pthread_join(p->thread, NULL);
    if (p->why[0] || p->differ)
        fprintf(stderr, "the tape: %s; %u of %u pieces differ\n", p->why, p->differ, p->pieces);
    return !p->why[0] && !p->differ && p->pieces > 8;
}

static void begin(struct move *m)
{
    *m = (struct move){.version = 1, .channels = 1, .stall_ms = SOON_MS};
    m->f = fake_new();
    m->f->priv = m;
}

/* The old source, our sink. */
static void test_source(void)
{
    static struct move m;
    struct player p = {.sink = false};
    struct xf_link_cfg cfg;
    struct xf_err err = {0};
    char why[100] = "";

    begin(&m);
    CU_ASSERT_EQUAL(m.f->src.ops->suspend(&m.f->src, NULL), 0); /* it ran where the tape was made */
    cfg = link_cfg(&m);
    CU_ASSERT_EQUAL_FATAL(
        xf_gather_listen(&m.gather, &xf_tcp_ops, &cfg, "127.0.0.1", 0, &p.port, &err), 0);
    pthread_create(&p.thread, NULL, play, &p);
    CU_ASSERT_EQUAL_FATAL(gather_all(&m, &err), 0);
    move_serve(&m);
    CU_ASSERT(played(&p));
    move_join(&m);
    CU_ASSERT(m.sink_end == XF_SINK_RUNS && m.f->runs_at_sink && !m.f->broken);
    CU_ASSERT(fake_same(m.f, why, sizeof(why)));
    if (why[0] || m.sink_err.num)
        fprintf(stderr, "%s; %s\n", why, m.sink_err.text);
    xf_gather_unlisten(&m.gather, NULL);
    fake_free(m.f);
}

/* On a machine that has no time an answer may be late, and then a round more pays; the tape has
 * none. So what is due is waited for. */
static int patient_recv(struct xf_chan *c, struct xf_msg *msg, void *meta, int timeout_ms,
                        struct xf_err *err)
{
    return xf_tcp_ops.recv(c, msg, meta, timeout_ms > 0 ? SOON_MS : timeout_ms, err);
}

/* Our source, the old sink. */
static void test_sink(void)
{
    static struct xf_transport_ops ops;
    static struct move m;
    struct player p = {.sink = true};
    struct xf_copy *c = &m.copy;
    uint16_t port = 0;

    begin(&m);
    p.listener = raw_tcp_listen("127.0.0.1", &port);
    CU_ASSERT_FATAL(p.listener >= 0);
    pthread_create(&p.thread, NULL, play, &p);
    c->vm = &m.f->src;
    c->link = &m.source;
    c->tick = (struct xf_tick){source_tick, &m};
    c->priv = &m;
    c->opts.policy = (struct xf_policy){.max_downtime_s = 0, .max_rounds = 1};
    c->opts.confirm_s = 1000;
    m.end = XF_SWITCH_BACK;
    ops = xf_tcp_ops;
    ops.recv = patient_recv;
    if (!dial_all(&m, &ops, port, &m.err) && !xf_copy_begin(c, &m.err) &&
        !xf_copy_rounds(c, &m.err))
        m.end = xf_switch(c, NULL, &m.err);
    xf_copy_end(c);
    xf_link_close(&m.source);
    CU_ASSERT(played(&p));
    CU_ASSERT_EQUAL(m.end, XF_SWITCHED);
    CU_ASSERT(!m.f->running && !m.f->broken);
    if (m.err.num)
        fprintf(stderr, "%s\n", m.err.text);
    close(p.listener);
    fake_free(m.f);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"its bootstrap", test_bootstrap},
        {"its source", test_source},
        {"its sink", test_sink},
        CU_TEST_INFO_NULL,
    };

    return run_suite("a peer of version 1, recorded", tests);
}
