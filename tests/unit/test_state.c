/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's state as a list of parts (transport/state.h): what a list takes, how it goes on the
 * wire and comes off it, and what is not let in. And a whole state over a link, in both versions.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "precopy/state_link.h"
#include "tests/unit/fake_move.h"
#include "tests/unit/suite.h"
#include "transport/bytes.h"
#include "transport/state.h"

static struct xf_err err;
static uint8_t meta[XF_META_MAX];

static int add(struct xf_state *s, uint16_t kind, uint16_t flags, uint32_t len)
{
    uint8_t *data = malloc(len ? len : 1);

    for (uint32_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 + kind);
    return xf_state_add(s, kind, flags, data, len, &err);
}

static void test_list(void)
{
    static const struct {
        uint16_t kind;
        uint32_t len;
        int rc;
    } adds[] = {
        {XF_PART_TSC, 24, 0},
        {XF_PART_TSC, 24, -1},  /* twice */
        {XF_PART_MSRS, 16, -1}, /* backwards */
        {XF_PART_HVM_CONTEXT, 0, -1},
        {XF_PART_HVM_CONTEXT, XF_PAYLOAD_MAX + 1, -1},
        {XF_PART_HVM_CONTEXT, XF_PAYLOAD_MAX, 0},
        {XF_PART_HVM_PARAMS, 17, -1}, /* one and a bit */
        {XF_PART_HVM_PARAMS, 65 * 16, -1},
        {XF_PART_HVM_PARAMS, 64 * 16, 0},
        {99, 0, -1},
        {99, 1, 0}, /* whoever added it knows why */
    };
    struct xf_state s = {0};
    struct xf_tsc tsc;

    for (size_t i = 0; i < sizeof(adds) / sizeof(adds[0]); i++)
        CU_ASSERT_EQUAL(add(&s, adds[i].kind, XF_PART_MUST, adds[i].len), adds[i].rc);
    CU_ASSERT(s.nr == 4 && xf_state_find(&s, 99) && !xf_state_find(&s, XF_PART_MSRS));
    xf_state_free(&s);
    CU_ASSERT(s.nr == 0);
    CU_ASSERT_EQUAL(add(&s, XF_PART_TSC, 0, 23), -1);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_state_tsc(&s, &tsc, &err), -1);
    CU_ASSERT(err.num == EPROTO && strstr(err.text, "lacks its TSC"));
    for (unsigned i = 0; i < XF_PARTS_MAX; i++)
        CU_ASSERT_EQUAL(add(&s, (uint16_t)(100 + i), 0, 1), 0);
    CU_ASSERT_EQUAL(add(&s, 1000, 0, 1), -1); /* too many */
    xf_state_free(&s);
}

/* From one list to another by messages alone; returns how many there were, or -1. */
static int carry(const struct xf_state *from, struct xf_state_in *in)
{
    struct xf_state_at at = {0};
    struct xf_pieces p = {0}, got;
    struct iovec out[XF_PARTS_MAX], to[XF_PARTS_MAX];
    int n = 0;

    for (; !p.last; n++) {
        struct xf_msg m = {.type = XF_MSG_STATE};

        xf_state_cut(from, &at, &p, out);
        for (uint32_t i = 0; i < p.nr; i++)
            m.payload_len += p.list[i].len;
        CU_ASSERT(m.payload_len <= XF_PAYLOAD_MAX);
        m.meta_len = (uint32_t)xf_pieces_encode(&p, meta);
        if (!m.meta_len || xf_pieces_decode(&got, &m, meta, &err) ||
            xf_state_take(in, &got, to, &err))
            return -1;
        for (uint32_t i = 0; i < got.nr; i++) {
            CU_ASSERT(to[i].iov_len == out[i].iov_len);
            if (to[i].iov_base)
                memcpy(to[i].iov_base, out[i].iov_base, out[i].iov_len);
        }
    }
    return n;
}

static bool same(const struct xf_part *a, const struct xf_part *b)
{
    return a && b && a->kind == b->kind && a->flags == b->flags && a->len == b->len &&
           !memcmp(a->data, b->data, a->len);
}

static void test_carried(void)
{
    struct xf_state s = {0};
    struct xf_state_in in = {0};

    add(&s, XF_PART_TSC, XF_PART_MUST, 24);
    add(&s, XF_PART_HVM_CONTEXT, XF_PART_MUST, XF_PAYLOAD_MAX); /* does not fit with the rest */
    add(&s, XF_PART_HVM_PARAMS, XF_PART_MUST, 32);
    add(&s, 40, 0, 2 * XF_PAYLOAD_MAX + 5); /* of a later version, which may be left out */
    CU_ASSERT_EQUAL(carry(&s, &in), 4);
    CU_ASSERT(in.complete && in.state.nr == 3);
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT(same(&s.list[i], xf_state_find(&in.state, s.list[i].kind)));
    CU_ASSERT_EQUAL(carry(&s, &in), -1); /* once is enough */
    xf_state_free(&in.state);
    in = (struct xf_state_in){0};
    xf_clear(&err);
    add(&s, 41, XF_PART_MUST, 1); /* of a later version, which may not */
    CU_ASSERT_EQUAL(carry(&s, &in), -1);
    CU_ASSERT(err.num == EOPNOTSUPP && strstr(err.text, "kind (41)"));
    xf_state_free(&in.state);
    xf_state_free(&s);
}

#define TSC                                                                                        \
    {                                                                                              \
        XF_PART_TSC, 1, 24, 0, 24                                                                  \
    }
#define LAST true
static void test_lies(void)
{
    static const struct {
        struct xf_pieces first, second; /* the second is optional */
        const char *word;
    } lies[] = {
        {{LAST, 0, {TSC}}, {0}, "0 parts"},
        {{LAST, 1, {{XF_PART_TSC, 2, 24, 0, 24}}}, {0}, "flags"},
        {{LAST, 1, {{XF_PART_TSC, 1, 24, 0, 0}}}, {0}, "0 bytes"},
        {{LAST, 1, {{XF_PART_TSC, 1, 24, 25, 1}}}, {0}, "at 25"},
        {{LAST, 1, {{XF_PART_TSC, 1, 24, 8, 17}}}, {0}, "17 bytes"},
        {{LAST, 1, {{XF_PART_TSC, 1, 24, 8, UINT32_MAX}}}, {0}, "at 8"},
        {{LAST, 1, {{XF_PART_TSC, 1, 23, 0, 23}}}, {0}, "TSC take 23 bytes"},
        {{LAST, 1, {{XF_PART_HVM_PARAMS, 1, 24, 0, 24}}}, {0}, "HVM parameters"},
        {{LAST, 1, {{XF_PART_HVM_CONTEXT, 1, XF_PAYLOAD_MAX + 1, 0, 9}}}, {0}, "context"},
        {{LAST, 1, {{0, 0, 5, 0, 5}}}, {0}, "kind 0"},
        {{LAST, 1, {{77, 0, XF_STATE_MAX + 1, 0, 9}}}, {0}, "larger"},
        {{LAST, 2, {TSC, TSC}}, {0}, "does not follow"},
        {{LAST, 2, {{4, 1, 8, 0, 8}, TSC}}, {0}, "does not follow"},
        {{LAST, 2, {{XF_PART_TSC, 1, 24, 0, 20}, {4, 1, 8, 0, 8}}}, {0}, "cut off"},
        {{LAST, 1, {{XF_PART_TSC, 1, 24, 0, 20}}}, {0}, "cut off"},
        {{LAST, 1, {{XF_PART_TSC, 1, 24, 4, 20}}}, {0}, "begins at byte 4"},
        {{false, 1, {TSC}}, {LAST, 1, {TSC}}, "after one of kind 3"},
        {{false, 1, {{4, 1, 8, 0, 4}}}, {LAST, 1, {{4, 1, 8, 5, 3}}}, "does not continue"},
        {{false, 1, {{4, 1, 8, 0, 4}}}, {LAST, 1, {{4, 1, 9, 4, 5}}}, "does not continue"},
        {{false, 1, {{4, 1, 8, 0, 4}}}, {LAST, 1, {{4, 0, 8, 4, 4}}}, "does not continue"},
        {{false, 1, {{4, 1, 8, 0, 4}}}, {LAST, 1, {{5, 1, 16, 0, 16}}}, "does not continue"},
        {{false, 1, {{99, 0, XF_STATE_MAX - 8, 0, 9}}},
         {LAST, 1, {{99, 0, 16, 9, 7}}},
         "does not continue"},
        {{LAST, 1, {TSC}}, {LAST, 1, {{4, 1, 8, 0, 8}}}, "more"},
    };

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        const struct xf_pieces *both[2] = {&lies[i].first, &lies[i].second};
        struct xf_state_in in = {0};
        int rc = 0;

        xf_clear(&err);
        for (unsigned k = 0; k < 2 && !rc && (both[k]->nr || !k); k++) {
            struct xf_msg m = {.type = XF_MSG_STATE, .meta_len = 8 + 16 * both[k]->nr};
            struct iovec iov[XF_PARTS_MAX];
            struct xf_pieces got;
            uint8_t *at = put_le32(put_le32(meta, both[k]->last), both[k]->nr);

            for (uint32_t n = 0; n < both[k]->nr; n++) { /* as the encoder would not */
                const struct xf_piece *x = &both[k]->list[n];

                at = put_le16(put_le16(at, x->kind), x->flags);
                at = put_le32(put_le32(put_le32(at, x->total), x->offset), x->len);
                m.payload_len += x->len;
            }
            rc = xf_pieces_decode(&got, &m, meta, &err);
            if (!rc)
                rc = xf_state_take(&in, &got, iov, &err);
        }
        CU_ASSERT_EQUAL(rc, -1);
        CU_ASSERT(err.num == EPROTO && strstr(err.text, lies[i].word));
        if (rc != -1 || !strstr(err.text, lies[i].word))
            fprintf(stderr, "lie %zu: %s\n", i, err.text);
        xf_state_free(&in.state);
    }
}

/* The envelope of one message. */
static void test_envelope(void)
{
    static const struct xf_pieces one = {LAST, 1, {TSC}};
    struct xf_pieces got;
    struct xf_msg m = {.type = XF_MSG_STATE, .payload_len = 24};
    size_t whole = xf_pieces_encode(&one, meta);

    for (size_t len = 0; len <= whole + 1; len++) {
        uint8_t *part = malloc(len ? len : 1); /* exact, so that one byte too far shows */

        memcpy(part, meta, len);
        m.meta_len = (uint32_t)len;
        CU_ASSERT_EQUAL(xf_pieces_decode(&got, &m, part, &err), len == whole ? 0 : -1);
        free(part);
    }
    m.meta_len = (uint32_t)whole;
    m.payload_len = 23;
    CU_ASSERT_EQUAL(xf_pieces_decode(&got, &m, meta, &err), -1);
    m.payload_len = 24;
    meta[0] = 2;
    CU_ASSERT_EQUAL(xf_pieces_decode(&got, &m, meta, &err), -1);
    meta[0] = 1, meta[4] = XF_PARTS_MAX + 1;
    CU_ASSERT_EQUAL(xf_pieces_decode(&got, &m, meta, &err), -1);
}

/* What version 1 can say, and what it cannot. */
static void test_first_version(void)
{
    struct xf_state s = {0}, back = {0};
    struct xf_state1 one;
    const void *context;
    void *copy;
    uint32_t len;

    CU_ASSERT_EQUAL(xf_state_add_tsc(&s, &(struct xf_tsc){1, 2, 3, 4}, &err), 0);
    CU_ASSERT_EQUAL(xf_state_to1(&s, &one, &context, &len, &err), -1); /* no context */
    add(&s, XF_PART_HVM_CONTEXT, XF_PART_MUST, 1000);
    add(&s, 50, 0, 9);
    CU_ASSERT_EQUAL_FATAL(xf_state_to1(&s, &one, &context, &len, &err), 0); /* without 50 */
    CU_ASSERT(one.tsc.khz == 2 && one.nr_params == 0 && len == 1000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy = malloc(len));
    memcpy(copy, context, len);
    CU_ASSERT_EQUAL(xf_state_from1(&back, &one, copy, len, &err), 0); /* takes copy over */
    CU_ASSERT(back.nr == 2 && same(&s.list[0], &back.list[0]) && same(&s.list[1], &back.list[1]));
    add(&s, 51, XF_PART_MUST, 9);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_state_to1(&s, &one, &context, &len, &err), -1);
    CU_ASSERT(err.num == EPROTONOSUPPORT && strstr(err.text, "kind 51"));
    xf_state_free(&s);
    xf_state_free(&back);
}

/* A whole move, in which the sink judges what comes. */
static void test_moves(void)
{
    for (unsigned v = XF_WIRE_OLDEST; v <= XF_WIRE_VERSION; v++) {
        static struct move m;

        CU_ASSERT_FATAL(move_open_in(&m, v, 2));
        CU_ASSERT(xf_link_version(&m.source) == v && xf_link_version(&m.sink) == v);
        move_run(&m);
        CU_ASSERT_EQUAL(m.end, XF_SWITCHED);
        CU_ASSERT(m.sink_end == XF_SINK_RUNS && m.f->runs_at_sink && !m.f->broken);
        if (m.f->broken)
            fprintf(stderr, "version %u: %s\n", v, m.f->what);
        CU_ASSERT(move_close(&m));
    }
}

/* State that the sink must understand and does not: said before GO, and the guest runs on here. */
static int (*honest)(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *err);
static int later_state(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *e)
{
    return honest(vm, s, e) || add(s, 60, XF_PART_MUST, 100) ? -1 : 0;
}

static void test_not_understood(void)
{
    for (unsigned v = XF_WIRE_OLDEST; v <= XF_WIRE_VERSION; v++) {
        static struct xf_source_ops ops;
        static struct move m;

        CU_ASSERT_FATAL(move_open_in(&m, v, 1));
        ops = *m.f->src.ops;
        honest = ops.state;
        ops.state = later_state;
        m.f->src.ops = &ops;
        move_run(&m);
        CU_ASSERT_EQUAL(m.end, XF_SWITCH_BACK);
        CU_ASSERT(m.f->running && !m.f->runs_at_sink && !atomic_load(&m.committed));
        CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, v == 1 ? "too old" : "does not know"));
        CU_ASSERT(move_close(&m));
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what a list takes", test_list},
        {"from one list to another", test_carried},
        {"lies", test_lies},
        {"one message's envelope", test_envelope},
        {"version 1", test_first_version},
        {"moves in every version", test_moves},
        {"state that is not understood", test_not_understood},
        CU_TEST_INFO_NULL,
    };

    return run_suite("state in parts", tests);
}
