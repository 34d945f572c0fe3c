/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for what a peer can put into an RDMA channel below the messages: greeting,
 * ring descriptor, immediates, and the completions that its fragments become. The first byte
 * chooses. Beyond "no crash": what a decoder takes, the encoder writes back bit for bit, and
 * no sequence of completions makes this side believe in a slot, a length or a credit that
 * cannot be.
 *
 * tests/unit/test_rdma.c includes this file to run damaged seeds in the ordinary tests.
 */
#include "transport/rdma/flow.c"

#include <stdlib.h>

#include "tests/fuzz/target.h"
#include "transport/bytes.h"

enum { TOOK_GREETING, TOOK_RING, TOOK_SMALL_RING, TOOK_IMM, TOOK_BULK, TOOK_SMALL };

/* flow.c posts; there is no device here. */
int xf_rdma_repost_slot(struct xf_chan *c, uint32_t slot, struct xf_err *err)
{
    (void)err;
    MUST(c->small && slot < c->rx.slots);
    return 0;
}

int xf_rdma_repost(struct xf_chan *c, struct xf_err *err)
{
    (void)err;
    c->reposts = 0;
    return 0;
}

int xf_rdma_post_note(struct xf_chan *c, uint32_t flags, struct xf_err *err)
{
    (void)flags, (void)err;
    c->owed = 0;
    return 0;
}

int xf_rdma_post_probe(struct xf_chan *c, struct xf_err *err)
{
    (void)c, (void)err;
    return 0;
}

static void fuzz_ring(const uint8_t *data, size_t size, bool small)
{
    struct xf_rdma_peer r;
    struct xf_err err = {0};
    uint8_t again[XF_RING_BYTES];

    if (size < XF_RING_BYTES)
        return;
    if (xf_ring_decode(&r, data, small, &err)) {
        MUST(err.num == EPROTO && err.text[0]);
        return;
    }
    MUST(r.slot >= XF_SLOT_MIN && r.slot <= XF_SLOT_MAX && r.slot % XF_SLOT_MIN == 0);
    MUST(r.slots >= XF_SLOTS_MIN && r.slots <= XF_SLOTS_MAX);
    MUST(r.addr <= UINT64_MAX - (uint64_t)r.slot * r.slots);
    MUST(!small || (!r.addr && !r.rkey));
    xf_ring_encode(again, &r);
    MUST(!memcmp(again, data, XF_RING_BYTES));
    fuzz_reached(small ? TOOK_SMALL_RING : TOOK_RING);
}

static void fuzz_greeting(const uint8_t *data, size_t size)
{
    uint8_t again[XF_GREETING_BYTES];
    uint16_t version;

    if (xf_greeting_decode(&version, data, size))
        return;
    xf_greeting_encode(again);
    MUST(size >= sizeof(again) && !memcmp(again, data, sizeof(again)));
    MUST(version == XF_RDMA_VERSION);
    fuzz_reached(TOOK_GREETING);
}

static void fuzz_imm(uint32_t word)
{
    struct xf_err err = {0};
    struct xf_imm i;

    if (xf_imm_decode(&i, word, &err)) {
        MUST(err.num == EPROTO && err.text[0]);
        return;
    }
    MUST(i.credits <= XF_SLOTS_MAX && i.flags <= XF_IMM_BYE);
    MUST(xf_imm_encode(&i) == word);
    fuzz_reached(TOOK_IMM);
}

/* Eight bytes for each completion: immediate, 18 bits of length, what this side does between. */
static void fuzz_completions(const uint8_t *data, size_t size, bool small)
{
    static struct xf_rdma_fragment queue[32];
    static struct xf_chan c;
    size_t at;

    memset(&c, 0, sizeof(c));
    c.small = small;
    c.queue = queue;
    c.window = 32;
    c.rx.slot = 65536;
    c.rx.slots = small ? 48 : 32;
    c.peer.slots = c.credits = 8;
    for (at = 0; at + 8 <= size && !c.fault.num; at += 8) {
        uint32_t more = get_le32(data + at + 4);
        struct ibv_wc wc = {.opcode = more & 1 << 18 ? IBV_WC_RECV_RDMA_WITH_IMM : IBV_WC_RECV,
                            .wc_flags = more & 1 << 19 ? 0 : IBV_WC_WITH_IMM,
                            .imm_data = htonl(get_le32(data + at)),
                            .byte_len = more & 0x3ffff,
                            .wr_id = at / 8 % 48};
        uint32_t before = c.waiting;

        arrived(&c, &wc);
        MUST(c.credits <= c.peer.slots && c.waiting <= c.window && c.waiting - before <= 1);
        if (c.waiting > before) {
            const struct xf_rdma_fragment *f = &queue[(c.arrived - 1) % c.window];

            MUST(!c.fault.num && f->slot < c.rx.slots && f->len >= 1 && f->len <= c.rx.slot);
        }
        if (more & 1 << 20 && c.waiting)
            c.waiting--;
        if (more & 1 << 21 && c.credits)
            c.credits--;
    }
    MUST(!c.fault.num || (c.fault.num == EPROTO && c.fault.text[0]));
    if (!c.fault.num && c.arrived >= 4 && c.bye)
        fuzz_reached(small ? TOOK_SMALL : TOOK_BULK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    switch (data[0] % 6) {
    case 0:
        fuzz_greeting(data + 1, size - 1);
        break;
    case 1:
    case 2:
        fuzz_ring(data + 1, size - 1, data[0] % 6 == 2);
        break;
    case 3:
        if (size >= 5)
            fuzz_imm(get_le32(data + 1));
        break;
    default:
        fuzz_completions(data + 1, size - 1, data[0] % 6 == 5);
    }
    return 0;
}

/* One of each kind; the last two are six completions of a good peer, which then says good-bye. */
static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    struct xf_rdma_peer ring = {n == 1 ? 1u << 20 : 0, n == 1 ? 9 : 0, 65536, 32};

    out[0] = (uint8_t)n;
    switch (n) {
    case 0:
        xf_greeting_encode(out + 1);
        return 1 + XF_GREETING_BYTES;
    case 1:
    case 2:
        xf_ring_encode(out + 1, &ring);
        return 1 + XF_RING_BYTES;
    case 3:
        put_le32(out + 1, 0x10020003);
        return 5;
    case 4:
    case 5:
        for (uint32_t i = 0; i < 6; i++) {
            put_le32(out + 1 + i * 8, 0x10000000 | i);
            put_le32(out + 5 + i * 8, 1000 | (n == 4 ? 1 << 18 : 0) | 1 << 21);
        }
        put_le32(out + 49, 0x20000000);
        put_le32(out + 53, 0);
        return 57;
    }
    return 0;
}

FUZZ_TARGET(fuzz_seed, "a greeting is taken", "a ring is taken", "a small ring is taken",
            "an immediate is taken", "fragments of a bulk channel until the good-bye",
            "fragments of a small channel until the good-bye")
