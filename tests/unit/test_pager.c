/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pager that does not get what it needs: before GO that is a failure of the move, after GO it
 * is one of the link, for the guest has nobody else, and later there may be enough.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "postcopy/pager.h"
#include "postcopy/rejoin.h"
#include "postcopy/server.h"
#include "pages/absent.h"
#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"

static struct move m;
static struct xf_absent absent;
static int never;            /* a descriptor that is never readable */
static atomic_int no_memory; /* so many calls of put fail for it */

/* As many vCPUs as Xen allows, each of which waits for a page of its own; told all at once. */
#define VCPUS 128u
#define FIRST 200u
static atomic_uint waiting; /* faults not read yet */
static int touched = -1;    /* what is readable when there are some; -1: never */

static int fault_fd(struct xf_sink_vm *vm)
{
    (void)vm;
    return touched >= 0 ? touched : never;
}

static int read_faults(struct xf_sink_vm *vm, struct xf_fault *list, unsigned max,
                       struct xf_err *err)
{
    unsigned n = 0;

    (void)vm;
    (void)err;
    while (n < max && atomic_load(&waiting))
        list[n++] = (struct xf_fault){.gfn = FIRST + atomic_fetch_sub(&waiting, 1) - 1};
    return (int)n;
}

static int put(struct xf_view *v, const uint64_t *gfns, const uint8_t *const *pages, unsigned n,
               struct xf_err *err)
{
    (void)v;
    (void)gfns;
    (void)pages;
    (void)n;
    return no_memory-- > 0 ? xf_fail(err, ENOMEM, "out of memory for a page") : 0;
}

static const struct xf_pager_ops ops = {
    .fault_fd = fault_fd, .read_faults = read_faults, .put = put};

static const struct xf_tick no_tick;

/* A guest at the sink that lacks one page, and a link. */
static void begin(void)
{
    CU_ASSERT_FATAL(move_open(&m, false, 2));
    never = eventfd(0, EFD_CLOEXEC);
    CU_ASSERT_FATAL(never >= 0);
    m.f->dst.pager = &ops;
    CU_ASSERT_FATAL(xf_absent_init(&absent, &m.f->dst, NULL) == 0);
    m.f->dst.absent = &absent;
    xf_set(absent.missing, 100);
    absent.nr = absent.at_go = 1;
}

static void say_zero(struct xf_chan *c)
{
    struct xf_batch b = {.nr_runs = 1, .nr_pages = 1, .runs = {{100, 1, XF_RUN_ZERO}}};
    struct xf_msg msg = {.type = XF_MSG_BATCH};
    uint8_t meta[128];

    msg.meta_len = (uint32_t)xf_batch_encode(&b, meta);
    CU_ASSERT_EQUAL(m.source.ops->send(c, &msg, meta, NULL, 0, NULL), 0);
}

/* What the source hears last on the control channel. */
static int last_word(int *num, char *text)
{
    static uint8_t meta[XF_META_MAX];
    struct xf_msg msg;

    do {
        if (m.source.ops->recv(m.source.control, &msg, meta, 5000, NULL))
            return -1;
    } while (msg.type == XF_MSG_PULLED);
    return msg.type == XF_MSG_ERROR ? xf_text_decode(num, text, &msg, meta, NULL) : -1;
}

static void end(void)
{
    close(never);
    xf_absent_free(&absent);
    CU_ASSERT_EQUAL(m.f->views, 0);
    CU_ASSERT(move_close(&m));
}

static void test_before_go(void)
{
    struct xf_pager *p = NULL;
    struct xf_err err = {0};

    begin();
    m.f->fail[FAKE_SINK_VIEW] = 1;
    CU_ASSERT_EQUAL(xf_pager_new(&p, &m.f->dst, 0, &err), -1);
    CU_ASSERT(err.num && err.text[0] && !p);
    if (p)
        xf_pager_free(p);
    end();
}

/* One of two pulling threads has no view. */
static void test_after_go(void)
{
    struct xf_pager *p = NULL;
    struct xf_err err = {0};

    begin();
    m.f->fail[FAKE_SINK_VIEW] = 3;
    CU_ASSERT_EQUAL_FATAL(xf_pager_new(&p, &m.f->dst, 0, &err), 0);
    xf_pager_start(p, &m.sink);
    CU_ASSERT_EQUAL(xf_pager_run(p, no_tick, &err), XF_PULL_LOST);
    CU_ASSERT(err.num && err.text[0]);
    CU_ASSERT_EQUAL(xf_pager_check(p, NULL), XF_PULL_LOST); /* and the next link may do */
    xf_pager_free(p);
    end();
}

/* The sink has no memory for a page: it gives the link up, says why, and can go on over
 * another. Nothing is forgotten. */
static void test_short(void)
{
    struct xf_pager *p = NULL;
    struct xf_err err = {0};
    char text[XF_TEXT_MAX] = "";
    int num = 0;

    begin();
    no_memory = 1;
    CU_ASSERT_EQUAL_FATAL(xf_pager_new(&p, &m.f->dst, 0, &err), 0);
    xf_pager_start(p, &m.sink);
    say_zero(m.source.bulk[1]);
    CU_ASSERT_EQUAL(xf_pager_run(p, no_tick, &err), XF_PULL_LOST);
    CU_ASSERT_EQUAL(err.num, ENOMEM);
    CU_ASSERT(!last_word(&num, text) && num == ENOMEM && strstr(text, "out of memory"));
    CU_ASSERT_EQUAL(xf_pager_check(p, NULL), XF_PULL_LOST);
    CU_ASSERT(absent.nr == 1 && xf_is_absent(&absent, 100));
    xf_pager_free(p);
    end();
}

/* And the source connects again; for any other reason of the sink's it does not. */
static void test_short_there(void)
{
    static const int nums[] = {ENOMEM, EIO};
    unsigned long missing[FAKE_GFNS / 64 + 1] = {0};
    uint8_t meta[XF_TEXT_MAX + 64];

    xf_set(missing, 100);
    for (unsigned i = 0; i < 2; i++) {
        struct xf_server_status status;
        struct xf_server *s = NULL;
        struct xf_err err = {0};

        begin();
        m.f->running = false;
        CU_ASSERT_EQUAL_FATAL(xf_server_new(&s, &m.f->src, missing, NULL, &err), 0);
        /* There is no urgent channel here, and nobody asks: any other will do. */
        m.source.urgent = m.source.bulk[1];
        m.source.bulk[1] = NULL;
        m.source.nr_bulk = 1;
        CU_ASSERT_EQUAL_FATAL(xf_server_start(s, &m.source, &err), 0);
        xf_link_say(&m.sink, XF_MSG_ERROR, meta, xf_text_encode(nums[i], "it is so", meta), NULL);
        CU_ASSERT_EQUAL(xf_server_run(s, no_tick, &err), i ? XF_PULL_FAILED : XF_PULL_LOST);
        CU_ASSERT(err.num == nums[i] && strstr(err.text, "it is so"));
        xf_server_status(s, &status);
        CU_ASSERT_EQUAL(status.hopeless, i == 1);
        xf_server_free(s);
        end();
    }
}

/*
 * SWITCH has failed, the guest is to go on here, and the sink asks for a page nevertheless: nobody
 * answers, or the answering thread would find that the guest runs, and stop it. The control channel
 * still works, to call the move off.
 */
static void test_hushed(void)
{
    static unsigned long missing[1024];
    const struct xf_request r = {.nr = 1, .gfns = {100}};
    struct xf_server *s = NULL;
    struct xf_err err = {0};
    uint8_t meta[XF_META_MAX], page[XF_PAGE_SIZE];
    struct iovec iov = {.iov_base = page};
    struct xf_msg msg = {.type = XF_MSG_REQUEST};
    struct xf_server_status status;
    struct xf_chan *urgent;

    xf_set(missing, 100);
    begin();
    m.f->running = false;
    xf_server_hush(NULL);
    CU_ASSERT_EQUAL_FATAL(xf_server_new(&s, &m.f->src, missing, NULL, &err), 0);
    xf_server_hush(s); /* it has not begun */
    m.source.urgent = m.source.bulk[1];
    m.source.bulk[1] = NULL;
    m.source.nr_bulk = 1;
    urgent = m.sink.bulk[1];
    CU_ASSERT_EQUAL_FATAL(xf_server_start(s, &m.source, &err), 0);
    /* Before GO it answers: devices may need a page when they are loaded. */
    msg.meta_len = (uint32_t)xf_request_encode(&r, meta);
    CU_ASSERT_EQUAL(m.sink.ops->send(urgent, &msg, meta, NULL, 0, &err), 0);
    CU_ASSERT_EQUAL(m.sink.ops->recv(urgent, &msg, meta, 5000, &err), 0);
    CU_ASSERT_FATAL(msg.type == XF_MSG_ANSWER && msg.payload_len <= sizeof(page));
    iov.iov_len = msg.payload_len;
    if (iov.iov_len)
        CU_ASSERT_EQUAL(m.sink.ops->recv_payload(urgent, &iov, 1, &err), 0);
    xf_server_hush(s);
    m.f->running = true;
    msg = (struct xf_msg){.type = XF_MSG_REQUEST};
    msg.meta_len = (uint32_t)xf_request_encode(&r, meta);
    m.sink.ops->send(urgent, &msg, meta, NULL, 0, NULL);
    CU_ASSERT_NOT_EQUAL(m.sink.ops->recv(urgent, &msg, meta, 300, NULL), 0);
    xf_server_status(s, &status); /* it has not asked, either, whether the guest runs */
    CU_ASSERT(!status.resumed && status.answered == 1);
    CU_ASSERT_EQUAL(xf_link_say(&m.source, XF_MSG_ABORT, NULL, 0, &err), 0);
    CU_ASSERT_EQUAL(m.sink.ops->recv(m.sink.control, &msg, meta, 5000, &err), 0);
    CU_ASSERT_EQUAL(msg.type, XF_MSG_ABORT);
    xf_server_hush(s);
    xf_server_free(s);
    end();
}

/* The guest is let run at its source when its last page is there already: that is no good end, and
 * the sink is told. */
static void test_let_run_late(void)
{
    static uint8_t meta[XF_META_MAX];
    unsigned long missing[FAKE_GFNS / 64 + 1] = {0};
    const struct xf_pulled all = {0};
    struct xf_server_status status;
    struct xf_server *s = NULL;
    struct xf_err err = {0};
    struct xf_msg msg;
    int num = 0, rc;
    char text[XF_TEXT_MAX] = "";

    xf_set(missing, 100);
    begin();
    m.f->running = false;
    CU_ASSERT_EQUAL_FATAL(xf_server_new(&s, &m.f->src, missing, NULL, &err), 0);
    m.source.urgent = m.source.bulk[1];
    m.source.bulk[1] = NULL;
    m.source.nr_bulk = 1;
    CU_ASSERT_EQUAL(xf_server_check(s, &err), 0);
    CU_ASSERT_EQUAL_FATAL(xf_server_start(s, &m.source, &err), 0);
    m.f->running = true;
    xf_link_say(&m.sink, XF_MSG_PULLED, meta, xf_pulled_encode(&all, meta), NULL);
    CU_ASSERT_EQUAL(xf_server_run(s, no_tick, &err), XF_PULL_FAILED);
    CU_ASSERT(err.num == EBUSY && strstr(err.text, "let it run here, too"));
    xf_server_status(s, &status);
    CU_ASSERT(status.resumed);
    do {
        rc = m.sink.ops->recv(m.sink.control, &msg, meta, 5000, NULL);
    } while (!rc && msg.type == XF_MSG_PING);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    CU_ASSERT_EQUAL_FATAL(msg.type, XF_MSG_ERROR);
    CU_ASSERT(!xf_text_decode(&num, text, &msg, meta, NULL) && num == EBUSY);
    xf_server_free(s);
    end();
}

/* And so is the sink's part: it goes on if it has every page, and cannot if one is missing. */
static void test_told(void)
{
    static const char why[] = "somebody let the guest run at its source, too";
    uint8_t meta[XF_TEXT_MAX + 64];

    for (unsigned lacking = 0; lacking < 2; lacking++) {
        struct xf_pager *p = NULL;
        struct xf_err err = {0};

        begin();
        if (!lacking)
            xf_absent_drop(&absent, 100);
        CU_ASSERT_EQUAL_FATAL(xf_pager_new(&p, &m.f->dst, 0, &err), 0);
        xf_pager_start(p, &m.sink);
        xf_link_say(&m.source, XF_MSG_ERROR, meta, xf_text_encode(EBUSY, why, meta), NULL);
        CU_ASSERT_EQUAL(xf_pager_run(p, no_tick, &err), lacking ? XF_PULL_FAILED : XF_PULL_DONE);
        CU_ASSERT_EQUAL(err.num, lacking ? EBUSY : 0);
        CU_ASSERT(!lacking || strstr(err.text, why));
        xf_pager_free(p);
        end();
    }
}

/* The sink's reports as they come in, until three have come; then the move is over. */
struct reports {
    unsigned nr, latencies;
};

static int read_reports(void *priv, struct xf_err *err)
{
    static uint8_t meta[XF_META_MAX];
    struct reports *r = priv;
    struct xf_pulled pulled;
    struct xf_msg msg;

    (void)err;
    while (r->nr < 3 && !m.source.ops->recv(m.source.control, &msg, meta, 0, NULL)) {
        CU_ASSERT(msg.type == XF_MSG_PULLED && !xf_pulled_decode(&pulled, &msg, meta, NULL));
        r->nr++;
        r->latencies += pulled.has_latency;
        if (r->nr == 3)
            xf_link_say(&m.source, XF_MSG_ERROR, meta, xf_text_encode(EBUSY, "enough", meta), NULL);
    }
    return 0;
}

/* Latencies are told to a source whose PING asks for them, from then on; and to no other. */
static void test_latencies(void)
{
    const uint64_t wants = XF_PING_LATENCY;
    uint8_t meta[8];

    for (unsigned asks = 0; asks < 2; asks++) {
        struct reports reports = {0};
        struct xf_pager *p = NULL;

        begin();
        CU_ASSERT_EQUAL_FATAL(xf_pager_new(&p, &m.f->dst, 0, NULL), 0);
        xf_pager_start(p, &m.sink);
        xf_link_say(&m.source, XF_MSG_PING, meta, asks ? xf_u64s_encode(&wants, 1, meta) : 0, NULL);
        xf_pager_run(p, (struct xf_tick){read_reports, &reports}, NULL);
        CU_ASSERT_EQUAL(reports.nr, 3);
        CU_ASSERT(asks ? reports.latencies >= 1 : !reports.latencies);
        xf_pager_free(p);
        end();
    }
}

/* Each page is asked for once, whatever the number of those who wait. */
static void test_many_vcpus(void)
{
    static uint8_t meta[XF_META_MAX];
    bool asked[VCPUS] = {false};
    struct xf_pager *p = NULL;
    struct xf_pulled pulled;
    unsigned n = 0, messages = 0;
    struct xf_request r;
    struct xf_msg msg;

    begin();
    for (unsigned i = 0; i < VCPUS; i++)
        xf_set(absent.missing, FIRST + i);
    absent.nr += VCPUS;
    touched = eventfd(0, EFD_CLOEXEC); /* read by nobody: the pager finds it readable each time */
    waiting = VCPUS;
    CU_ASSERT_EQUAL_FATAL(xf_pager_new(&p, &m.f->dst, 0, NULL), 0);
    /* There is no urgent channel here: a bulk channel will do. */
    m.sink.urgent = m.sink.bulk[1];
    m.sink.bulk[1] = NULL;
    m.sink.nr_bulk = 1;
    xf_pager_start(p, &m.sink);
    CU_ASSERT_EQUAL(eventfd_write(touched, 1), 0);
    for (; n < VCPUS; n += r.nr, messages++) {
        CU_ASSERT_EQUAL_FATAL(m.source.ops->recv(m.source.bulk[1], &msg, meta, 5000, NULL), 0);
        CU_ASSERT_EQUAL_FATAL(msg.type, XF_MSG_REQUEST);
        CU_ASSERT_EQUAL_FATAL(xf_request_decode(&r, &msg, meta, FAKE_GFNS, NULL), 0);
        for (unsigned i = 0; i < r.nr; i++) {
            CU_ASSERT_FATAL(r.gfns[i] >= FIRST && r.gfns[i] < FIRST + VCPUS);
            CU_ASSERT(!asked[r.gfns[i] - FIRST]);
            asked[r.gfns[i] - FIRST] = true;
        }
    }
    CU_ASSERT_EQUAL(messages, VCPUS / XF_REQUEST_MAX);
    /* And nothing more, though the descriptor says all the time that there may be something. */
    CU_ASSERT_EQUAL(m.source.ops->recv(m.source.bulk[1], &msg, meta, 50, NULL), XF_AGAIN);
    xf_pager_status(p, &pulled);
    CU_ASSERT_EQUAL(pulled.faults, VCPUS);
    CU_ASSERT_EQUAL(pulled.requested, VCPUS);
    xf_pager_free(p);
    close(touched);
    touched = -1;
    m.sink.bulk[1] = m.sink.urgent;
    m.sink.urgent = NULL;
    m.sink.nr_bulk = 2;
    end();
}

/* The guest gives its last missing page back while no source is there. One may come to hear
 * of it, but is not waited for without end. */
static int give_back(void *priv, struct xf_err *err)
{
    unsigned *ticks = priv;

    if (++*ticks == 5)
        xf_absent_drop(&absent, 100);
    return *ticks > 300 ? xf_fail(err, ETIMEDOUT, "it is waited for all the same") : 0;
}

static void test_given_back(void)
{
    unsigned ticks = 0;
    struct xf_gather gather = {0};
    struct xf_rejoin r = {.ops = &xf_tcp_ops,
                          .cfg = {.channels = 2, .timeout_ms = 5000},
                          .addr = "127.0.0.1",
                          .gather = &gather,
                          .tick = {give_back, &ticks}};
    struct xf_pager *p = NULL;
    struct xf_err err = {0};

    begin();
    CU_ASSERT_EQUAL_FATAL(xf_pager_new(&p, &m.f->dst, 0, &err), 0);
    xf_pager_start(p, &m.sink);
    xf_link_close(&m.source);
    CU_ASSERT_EQUAL(xf_rejoin_take(&r, p, &m.sink, 200, &err), XF_PULL_DONE);
    CU_ASSERT(ticks >= 5 && absent.nr == 0);
    xf_pager_free(p);
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {{"called off before GO", test_hushed},
                           {"before GO it cannot be had", test_before_go},
                           {"after GO a thread of its cannot be had", test_after_go},
                           {"no memory for a page", test_short},
                           {"no memory for a page, at the source", test_short_there},
                           {"let run at its source at the very end", test_let_run_late},
                           {"the sink is told so", test_told},
                           {"the last page is given back while nobody is there", test_given_back},
                           {"latencies", test_latencies},
                           {"128 vCPUs wait", test_many_vcpus},
                           CU_TEST_INFO_NULL};

    return run_suite("pager", tests);
}
