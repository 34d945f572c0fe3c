/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Absent pages before GO, told by a source that knows the key: in good order, and with lies.
 * Whatever it says, no page is mapped while it is absent, and the guest runs only when both
 * sides mean the same pages.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pages/absent.h"
#include "precopy/state_link.h"
#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"

static struct move m;
static struct xf_absent absent;
static uint8_t late[FAKE_GFNS]; /* as the pager has it */
static uint8_t meta[XF_META_MAX];
static uint8_t page[XF_PAGE_SIZE];
static atomic_bool put_waits; /* a page that was put in stays counted until there is a claim ... */
static atomic_uint nr_put;
static atomic_uint claims, claimed; /* ... which sees this sum of pages, absent and put in */
static unsigned taken_absent;       /* pages that were taken away while they were absent */

/* --- a pager for the fake guest --- */

static int mark(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *no,
                struct xf_err *err)
{
    (void)v;
    (void)err;
    for (unsigned i = 0; i < n; i++) {
        if (gfns[i] == 777) { /* the hypervisor holds this one */
            no[i] = 1;
            continue;
        }
        CU_ASSERT(m.f->at_sink.has[gfns[i]] && !late[gfns[i]]);
        late[gfns[i]] = 1;
    }
    return 0;
}

static int put(struct xf_view *v, const uint64_t *gfns, const uint8_t *const *pages, unsigned n,
               struct xf_err *err)
{
    (void)v;
    (void)err;
    for (unsigned i = 0; i < n; i++) {
        CU_ASSERT(late[gfns[i]]);
        late[gfns[i]] = 0;
        fake_put(m.f, gfns[i], pages[i]);
    }
    nr_put += n;
    for (unsigned i = 0; put_waits && !claims && i < 300; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return 0;
}

static int claim(struct xf_sink_vm *vm, uint64_t pages, struct xf_err *err)
{
    (void)vm;
    (void)err;
    claimed = (unsigned)pages + nr_put;
    claims++;
    return 0;
}

static const struct xf_pager_ops ops = {.mark = mark, .put = put, .claim = claim};

/* Gfn 103 is the only one that is ever taken away here. */
static void look(struct fake *f, enum fake_op op, unsigned nth)
{
    (void)f;
    (void)nth;
    if (op == FAKE_DEPOPULATE)
        taken_absent += late[103];
}

/* --- what the source says --- */

static void begin(bool pull)
{
    CU_ASSERT_FATAL(move_open(&m, false, 1));
    memset(page, 0x11, sizeof(page));
    memset(late, 0, sizeof(late));
    taken_absent = 0;
    put_waits = false;
    nr_put = claims = claimed = 0;
    m.f->hook = look;
    if (pull) {
        m.f->dst.pager = &ops;
        CU_ASSERT_FATAL(xf_absent_init(&absent, &m.f->dst, NULL) == 0);
        m.f->dst.absent = &absent;
    }
    move_serve(&m);
}

static int hear(uint16_t type)
{
    struct xf_msg msg;

    return xf_link_hear(&m.source, type, &msg, meta, 5000, &m.err);
}

static void say_absent(uint64_t gfn, uint64_t count)
{
    static struct xf_extents x;

    x.flags = XF_EXTENTS_LAST;
    x.nr = 1;
    x.list[0] = (struct xf_extent){gfn, count};
    xf_link_say(&m.source, XF_MSG_ABSENT, meta, xf_extents_encode(&x, meta), NULL);
}

/* The one page that was refused, or 0. */
static uint64_t hear_refused(void)
{
    static struct xf_extents x;
    struct xf_msg msg;

    CU_ASSERT_FATAL(!xf_link_hear(&m.source, XF_MSG_ABSENT_ACK, &msg, meta, 5000, &m.err));
    CU_ASSERT_FATAL(!xf_extents_decode(&x, &msg, meta, FAKE_GFNS, NULL));
    CU_ASSERT(x.flags == XF_EXTENTS_LAST && x.nr <= 1 && (!x.nr || x.list[0].count == 1));
    return x.nr ? x.list[0].gfn : 0;
}

static void say_page(uint64_t gfn, uint32_t kind)
{
    struct xf_batch b = {.nr_runs = 1, .nr_pages = 1, .runs = {{gfn, 1, kind}}};
    struct xf_msg msg = {.type = XF_MSG_BATCH};
    struct iovec iov = {page, sizeof(page)};

    b.data_pages = kind == XF_RUN_DATA;
    msg.meta_len = (uint32_t)xf_batch_encode(&b, meta);
    msg.payload_len = b.data_pages * XF_PAGE_SIZE;
    m.source.ops->send(m.source.bulk[0], &msg, meta, &iov, (int)b.data_pages, NULL);
}

/* State and the last sync, all confirmed. */
static void complete(void)
{
    static const struct xf_tsc tsc = {.mode = 1, .khz = 2400000};
    static const struct xf_param param = {.index = 12, .value = 34};
    struct xf_state s = {0};
    struct xf_msg msg;
    struct xf_sync sync = {.seq = 1, .flags = XF_SYNC_LAST};
    uint8_t blob[FAKE_STATE_BYTES];

    xf_link_say(&m.source, XF_MSG_DEVICES, NULL, 0, NULL);
    CU_ASSERT_EQUAL(hear(XF_MSG_DEVICES_ACK), 0);
    memset(blob, 0x3e, sizeof(blob));
    xf_state_add_tsc(&s, &tsc, NULL);
    xf_state_add_copy(&s, XF_PART_HVM_CONTEXT, blob, sizeof(blob), NULL);
    xf_state_add_params(&s, &param, 1, NULL);
    CU_ASSERT_EQUAL(xf_state_send(&m.source, &s, NULL), 0);
    xf_state_free(&s);
    CU_ASSERT_EQUAL(hear(XF_MSG_LOADED), 0);
    msg = (struct xf_msg){.type = XF_MSG_SYNC, .meta_len = (uint32_t)xf_sync_encode(&sync, meta)};
    m.source.ops->send(m.source.bulk[0], &msg, meta, NULL, 0, NULL);
    CU_ASSERT(m.source.ops->recv(m.source.bulk[0], &msg, meta, 5000, NULL) == 0);
}

static void finish(void)
{
    m.f->running = false;
    move_join(&m);
    CU_ASSERT_EQUAL(m.f->broken, 0);
    if (m.f->dst.absent)
        xf_absent_free(&absent);
    CU_ASSERT(move_close(&m));
}

static void refused(const char *word)
{
    CU_ASSERT_EQUAL(hear(XF_MSG_RUNNING), -1);
    move_join(&m);
    CU_ASSERT_EQUAL(m.sink_end, XF_SINK_FAILED);
    CU_ASSERT_EQUAL(m.sink_err.num, EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.sink_err.text, word));
    if (!strstr(m.sink_err.text, word))
        fprintf(stderr, "sink: %s\n", m.sink_err.text);
    CU_ASSERT(m.f->calls[FAKE_RUN] == 0 && m.committed == 0);
    finish();
}

/* --- tests --- */

/* Marked, some of it delivered before GO after all, the rest missing when it runs. */
static void test_honest(void)
{
    uint64_t missing = 8;

    begin(true);
    say_page(101, XF_RUN_DATA); /* COPY's; stale when it is marked */
    say_absent(100, 12);
    CU_ASSERT_EQUAL(hear_refused(), 0);
    say_absent(777, 1);
    CU_ASSERT_EQUAL(hear_refused(), 777);
    say_absent(m.f->built[2], 1); /* built with the domain, and no ring */
    CU_ASSERT_EQUAL(hear_refused(), m.f->built[2]);
    say_absent(100, 12); /* once more is no harm */
    CU_ASSERT_EQUAL(hear_refused(), 0);
    CU_ASSERT(absent.nr == 12 && xf_is_absent(&absent, 100) && xf_is_absent(&absent, 111));
    say_page(101, XF_RUN_DATA);
    say_page(102, XF_RUN_ZERO);
    say_page(103, XF_RUN_ABSENT); /* ballooned out meanwhile */
    say_page(104, XF_RUN_DATA);
    say_page(777, XF_RUN_DATA);
    complete();
    CU_ASSERT_EQUAL(absent.nr, missing);
    m.f->running = false; /* it was suspended */
    xf_link_say_u64s(&m.source, XF_MSG_GO, &missing, 1, NULL);
    CU_ASSERT_EQUAL(hear(XF_MSG_RUNNING), 0);
    move_join(&m);
    CU_ASSERT(m.sink_end == XF_SINK_RUNS && absent.at_go == missing);
    CU_ASSERT(!memcmp(m.f->at_sink.mem + 101 * XF_PAGE_SIZE, page, sizeof(page)));
    CU_ASSERT(!memcmp(m.f->at_sink.mem + 104 * XF_PAGE_SIZE, page, sizeof(page)));
    CU_ASSERT(!memcmp(m.f->at_sink.mem + 777 * XF_PAGE_SIZE, page, sizeof(page)));
    CU_ASSERT(m.f->at_sink.mem[102 * XF_PAGE_SIZE] == 0 && !m.f->at_sink.has[103]);
    /* Xen counts what is paged out: what is taken away must not be, or it counts for ever. */
    CU_ASSERT(m.f->calls[FAKE_DEPOPULATE] == 1 && taken_absent == 0 && !late[103]);
    CU_ASSERT(late[100] && !late[101] && !late[102] && late[105] && late[111]);
    finish();
}

/* The claim is made while a page is being put in: it is not counted twice. */
static void test_claim(void)
{
    uint64_t missing = 11;

    begin(true);
    say_absent(100, 12);
    CU_ASSERT_EQUAL(hear_refused(), 0);
    put_waits = true;
    say_page(104, XF_RUN_DATA);
    for (unsigned i = 0; !nr_put && i < 5000; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    CU_ASSERT_EQUAL(nr_put, 1);
    complete();
    CU_ASSERT_EQUAL(claims, 1);
    CU_ASSERT_EQUAL(claimed, 12);
    m.f->running = false;
    xf_link_say_u64s(&m.source, XF_MSG_GO, &missing, 1, NULL);
    CU_ASSERT_EQUAL(hear(XF_MSG_RUNNING), 0);
    move_join(&m);
    finish();
}

static void test_lies(void)
{
    uint64_t wrong[] = {0, 11, 13};

    begin(false); /* post-copy was not asked for */
    say_absent(100, 1);
    refused("not allowed now");

    begin(true);
    say_absent(m.f->rings[0], 1);
    refused("not its to send");

    begin(true);
    say_absent(FAKE_GFNS - 1, 2);
    refused("within");

    begin(true); /* too late: the state is loaded */
    complete();
    say_absent(100, 1);
    refused("not allowed now");

    for (unsigned i = 0; i < 3; i++) {
        begin(true);
        say_absent(100, 12);
        CU_ASSERT_EQUAL(hear_refused(), 0);
        complete();
        xf_link_say_u64s(&m.source, XF_MSG_GO, &wrong[i], i ? 1 : 0, NULL);
        refused("owes");
    }

    begin(true); /* pages missing that were never named */
    complete();
    xf_link_say_u64s(&m.source, XF_MSG_GO, &wrong[1], 1, NULL);
    refused("owes");
}

/* A set of thousands of pages is being marked, which takes minutes for a large guest, when the sink
 * is told to stop: it does not finish the set first. */
static void stop_sink(struct fake *f, enum fake_op op, unsigned nth)
{
    (void)f;
    (void)nth;
    if (op == FAKE_POPULATE)
        m.sink_stop = true;
}

static void test_stopped(void)
{
    static struct xf_extents x;
    unsigned marked = 0;

    begin(true);
    m.f->hook = stop_sink;
    x = (struct xf_extents){
        .flags = XF_EXTENTS_LAST,
        .nr = 2,
        .list = {{0, FAKE_HOLE1}, {FAKE_HOLE1 + 100, FAKE_HOLE2 - FAKE_HOLE1 - 100}}};
    xf_link_say(&m.source, XF_MSG_ABSENT, meta, xf_extents_encode(&x, meta), NULL);
    CU_ASSERT_EQUAL(hear(XF_MSG_ABSENT_ACK), -1);
    move_join(&m);
    CU_ASSERT(m.sink_end == XF_SINK_FAILED && m.sink_err.num == ECANCELED);
    for (unsigned i = 0; i < FAKE_GFNS; i++)
        marked += late[i];
    CU_ASSERT(marked > 0 && marked <= XF_BATCH_PAGES);
    finish();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"absent pages in good order", test_honest},
        {"stopped while pages are marked", test_stopped},
        {"memory claimed for them", test_claim},
        {"lies about absent pages", test_lies},
        CU_TEST_INFO_NULL,
    };

    return run_suite("engine, absent pages", tests);
}
