/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of the RDMA transport needs no device: encoders and decoders, credits and fragments
 * (the fuzz target on seeds), keys, sealing, the size of rings, walking iovecs.
 */
#include "tests/fuzz/fuzz_rdma.c"

#include "tests/unit/suite.h"

static void put_ring(uint8_t out[XF_RING_BYTES], uint64_t addr, uint32_t slot, uint32_t slots)
{
    struct xf_rdma_peer r = {addr, addr ? 9 : 0, slot, slots};

    xf_ring_encode(out, &r);
}

static void test_ring_limits(void)
{
    static const struct {
        uint64_t addr;
        uint32_t slot, slots;
        bool small, ok;
    } t[] = {
        {4096, 4096, 4, false, true},
        {4096, 1u << 20, 1024, false, true},
        {0, 16384, 32, true, true},
        {4096, 16384, 32, true, false},
        {4096, 4095, 4, false, false},
        {4096, 0, 4, false, false},
        {4096, 6000, 4, false, false},
        {4096, (1u << 20) + 4096, 4, false, false},
        {4096, 4096, 3, false, false},
        {4096, 4096, 1025, false, false},
        {UINT64_MAX - 4 * 4096, 4096, 4, false, true},
        {UINT64_MAX - 4 * 4096 + 1, 4096, 4, false, false},
    };
    uint8_t bytes[XF_RING_BYTES];
    struct xf_rdma_peer r;
    size_t i;

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct xf_err err = {0};

        put_ring(bytes, t[i].addr, t[i].slot, t[i].slots);
        CU_ASSERT((xf_ring_decode(&r, bytes, t[i].small, &err) == 0) == t[i].ok);
        CU_ASSERT(t[i].ok ? !err.num : err.num == EPROTO);
        CU_ASSERT(!t[i].ok ||
                  (r.addr == t[i].addr && r.slot == t[i].slot && r.slots == t[i].slots));
    }
    put_ring(bytes, 4096, 4096, 4);
    for (i = 20; i < XF_RING_BYTES; i++) {
        bytes[i] = 1;
        CU_ASSERT(xf_ring_decode(&r, bytes, false, NULL) == -1);
        bytes[i] = 0;
    }
}

static void test_immediates(void)
{
    static const struct {
        uint32_t word;
        bool ok;
    } t[] = {
        {0x10000000, true},  {0x1000ffff, true},  {0x1400ffff, true},  {0x14010000, false},
        {0x20000000, true},  {0x20000001, false}, {0x24000000, true},  {0x30000000, false},
        {0x40000000, false}, {0x80000000, false}, {0x00010000, true},  {0x00010001, false},
        {0x00000000, false}, {0x04000000, true},  {0x04010000, false}, {0x0fff0000, false},
    };
    size_t i;

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct xf_imm imm;

        CU_ASSERT((xf_imm_decode(&imm, t[i].word, NULL) == 0) == t[i].ok);
        CU_ASSERT(!t[i].ok || xf_imm_encode(&imm) == t[i].word);
    }
}

static void test_greeting(void)
{
    uint8_t g[56] = {0};
    uint16_t version;

    xf_greeting_encode(g);
    CU_ASSERT(!memcmp(g, "XFR1\1\0\0\0", 8));
    CU_ASSERT(xf_greeting_decode(&version, g, 8) == 0 && version == 1);
    CU_ASSERT(xf_greeting_decode(&version, g, 56) == 0); /* as rdma_cm pads it */
    CU_ASSERT(xf_greeting_decode(&version, g, 7) == -1 && version == 0);
    CU_ASSERT(xf_greeting_decode(&version, NULL, 0) == -1 && version == 0);
    g[4] = 2;
    CU_ASSERT(xf_greeting_decode(&version, g, 8) == -1 && version == 2);
    g[0] = 'Y';
    CU_ASSERT(xf_greeting_decode(&version, g, 8) == -1 && version == 0);
}

/* Seeds of the fuzz target, cut off and with every bit flipped. */
static void test_damage(void)
{
    static uint8_t seed[FUZZ_INPUT_MAX];
    size_t i, len;

    for (int kind = 0; (len = fuzz_seed(kind, seed)) > 0; kind++) {
        for (i = 0; i <= len; i++)
            LLVMFuzzerTestOneInput(seed, i);
        for (i = 8; i < len * 8; i++) {
            seed[i / 8] ^= (uint8_t)(1u << i % 8);
            LLVMFuzzerTestOneInput(seed, len);
            seed[i / 8] ^= (uint8_t)(1u << i % 8);
        }
    }
}

/* A good peer's fragments and credits, one by one. */
static void test_credits(void)
{
    static struct xf_rdma_fragment queue[4];
    static struct xf_chan c;
    struct ibv_wc wc = {.opcode = IBV_WC_RECV_RDMA_WITH_IMM, .wc_flags = IBV_WC_WITH_IMM};
    uint32_t i;

    memset(&c, 0, sizeof(c));
    c.queue = queue;
    c.window = c.rx.slots = 4;
    c.rx.slot = 4096;
    c.peer.slots = 4;
    c.credits = 1;                /* three fragments of ours are not returned yet */
    for (i = 0; i < 70000; i++) { /* beyond where the number wraps */
        struct xf_imm imm = {(uint16_t)i, i == 5 ? 2 : 0, XF_IMM_DATA};

        wc.imm_data = htonl(xf_imm_encode(&imm));
        wc.byte_len = 1 + i % 4096;
        arrived(&c, &wc);
        CU_ASSERT_FATAL(!c.fault.num && c.waiting == 1);
        CU_ASSERT(queue[i % 4].slot == i % 4 && queue[i % 4].len == 1 + i % 4096);
        c.waiting--;
    }
    CU_ASSERT(c.credits == 3 && c.reposts == 70000);
    wc.imm_data = htonl(0x00020000); /* two credits where one is out */
    wc.opcode = IBV_WC_RECV;
    wc.byte_len = 0;
    arrived(&c, &wc);
    CU_ASSERT(c.fault.num == EPROTO && c.credits == 3);
}

/* Sides, directions and moves have keys of their own; both sides have the same. */
static void test_keys(void)
{
    uint8_t key[XF_KEY_BYTES] = {1}, a[XF_NONCE_BYTES] = {2}, b[XF_NONCE_BYTES] = {3};
    struct xf_rdma_keys k[4];
    uint8_t *all[16];
    int i, j;

    CU_ASSERT(xf_rdma_keys(&k[0], key, a, b, NULL) == 0);
    CU_ASSERT(xf_rdma_keys(&k[1], key, a, b, NULL) == 0);
    CU_ASSERT(!memcmp(&k[0], &k[1], sizeof(k[0])));
    CU_ASSERT(xf_rdma_keys(&k[1], key, b, a, NULL) == 0);
    key[31] ^= 1;
    CU_ASSERT(xf_rdma_keys(&k[2], key, a, b, NULL) == 0);
    key[31] ^= 1;
    b[31] ^= 1;
    CU_ASSERT(xf_rdma_keys(&k[3], key, a, b, NULL) == 0);
    for (i = 0; i < 4; i++) {
        all[4 * i] = k[i].proof_source;
        all[4 * i + 1] = k[i].proof_sink;
        all[4 * i + 2] = k[i].seal_source;
        all[4 * i + 3] = k[i].seal_sink;
    }
    for (i = 0; i < 16; i++)
        for (j = 0; j < i; j++)
            CU_ASSERT(memcmp(all[i], all[j], 32) != 0);
}

/* Pieces of every kind in, pieces of another cut out; then a byte changed. */
static void test_seal(void)
{
    static struct xf_chan c; /* both ends: what it seals, it opens */
    static uint8_t from[9000], ring[9100], to[9000];
    static struct iovec win[XF_IOV_MAX + 2];
    uint8_t key[32] = {7}, head[30];
    struct iovec hv = {head, sizeof(head)}, in[5], out[4];
    struct xf_iter h, b, o;
    size_t i, n;

    memset(&c, 0, sizeof(c));
    c.win = win;
    memset(head, 0x33, sizeof(head));
    for (i = 0; i < sizeof(from); i++)
        from[i] = (uint8_t)(i * 7 + i / 256);
    CU_ASSERT_FATAL(xf_rdma_seal_open(&c.seal, key, NULL) == 0);
    CU_ASSERT_FATAL(xf_rdma_seal_open(&c.unseal, key, NULL) == 0);
    for (n = 31; n <= 9000; n = n * 3 + 1) {
        size_t body = n - sizeof(head);

        in[0] = (struct iovec){from, body / 3};
        in[1] = (struct iovec){NULL, 0};
        in[2] = (struct iovec){from + body / 3, 1};
        in[3] = (struct iovec){from + body / 3 + 1, body > body / 3 + 1 ? body - body / 3 - 1 : 0};
        if (body < 2)
            in[2].iov_len = body - body / 3;
        h = xf_iter(&hv, 1, sizeof(head));
        b = xf_iter(in, 4, body);
        CU_ASSERT(xf_rdma_seal_gather(&c, &h, &b, n, ring, NULL) == 0 && !h.left && !b.left);
        out[0] = (struct iovec){to + n - 5, 5};
        out[1] = (struct iovec){to, n / 2};
        out[2] = (struct iovec){to + n / 2, n - n / 2 - 5};
        o = xf_iter(out, 3, n);
        CU_ASSERT(xf_rdma_seal_scatter(&c, ring, n + XF_TAG_BYTES, &o, NULL) == 0 && !o.left);
        for (i = 0; i < n; i++) { /* the first five bytes went to the end */
            uint8_t want = i < sizeof(head) ? 0x33 : from[i - sizeof(head)];

            CU_ASSERT(to[i < 5 ? n - 5 + i : i - 5] == want);
        }
    }
    CU_ASSERT(c.seal.count == c.unseal.count && c.seal.count > 3);
    for (i = 0; i < 3; i++) { /* text, tag; and the same twice */
        struct xf_err err = {0};

        h = xf_iter(&hv, 1, sizeof(head));
        b = xf_iter(NULL, 0, 0);
        CU_ASSERT(xf_rdma_seal_gather(&c, &h, &b, sizeof(head), ring, NULL) == 0);
        out[0] = (struct iovec){to, sizeof(head)};
        o = xf_iter(out, 1, sizeof(head));
        if (i == 2)
            c.unseal.count++;
        else
            ring[i ? sizeof(head) + 15 : 0] ^= 1;
        CU_ASSERT(xf_rdma_seal_scatter(&c, ring, sizeof(head) + XF_TAG_BYTES, &o, &err) == -1);
        CU_ASSERT(err.num == EPROTO);
    }
    c.seal.count = UINT64_MAX;
    h = xf_iter(&hv, 1, sizeof(head));
    CU_ASSERT(xf_rdma_seal_gather(&c, &h, &b, sizeof(head), ring, NULL) == -1);
    xf_rdma_seal_close(&c.seal);
    xf_rdma_seal_close(&c.unseal);
}

/* Rings keep to the device's limits and to those of the protocol. */
static void test_geometry(void)
{
    static const uint32_t buffers[] = {0,        XF_RDMA_BUFFER_MIN, 1u << 20,
                                       8u << 20, 8u << 20 | 4097,    XF_RDMA_BUFFER_MAX};
    static const int depths[] = {38, 50, 100, 1000, 65536};
    struct xf_link_cfg cfg = {.channels = 4};
    size_t b, d;
    int side;

    for (b = 0; b < sizeof(buffers) / sizeof(buffers[0]); b++)
        for (d = 0; d < sizeof(depths) / sizeof(depths[0]); d++)
            for (side = 0; side < 4; side++) {
                struct ibv_device_attr attr = {
                    .max_qp_wr = depths[d], .max_sge = 1, .max_mr_size = UINT64_MAX};
                struct xf_rdma_geometry g;
                struct xf_rdma_peer r;
                uint8_t bytes[XF_RING_BYTES];
                bool small = side & 2;

                cfg.rdma_buffer = buffers[b];
                CU_ASSERT_FATAL(xf_rdma_geometry(&g, &cfg, side & 1, small, &attr, NULL) == 0);
                put_ring(bytes, small ? 0 : 4096, g.rx_slot, g.window);
                CU_ASSERT(xf_ring_decode(&r, bytes, small, NULL) == 0);
                CU_ASSERT(g.rx_slots == g.window + (small ? XF_RDMA_SPARE : 0));
                CU_ASSERT(g.window + XF_RDMA_SPARE + XF_RDMA_HS_RECVS <= (uint32_t)depths[d]);
                CU_ASSERT(!buffers[b] || side || (uint64_t)g.rx_slot * g.rx_slots <= buffers[b]);
            }
    for (d = 0; d < 38; d++) {
        struct ibv_device_attr attr = {
            .max_qp_wr = (int)d, .max_sge = 1, .max_mr_size = UINT64_MAX};
        struct xf_rdma_geometry g;

        CU_ASSERT(xf_rdma_geometry(&g, &cfg, false, true, &attr, NULL) == -1);
    }
}

static void test_iter(void)
{
    char buf[16] = "0123456789abcde", out[16] = {0};
    struct iovec v[5] = {{buf, 3}, {NULL, 0}, {buf + 3, 4}, {buf + 10, 2}, {NULL, 0}};
    struct xf_iter it = xf_iter(v, 5, 9);
    struct xf_err err = {0};
    uint8_t *at;
    uint64_t sum;

    CU_ASSERT(xf_iter_piece(&it, 100, &at) == 3 && at == (uint8_t *)buf);
    CU_ASSERT(xf_iter_gather(&it, out, 8) == 8 && !strcmp(out, "0123456a"));
    CU_ASSERT(xf_iter_gather(&it, out, 8) == 1 && out[0] == 'b' && it.left == 0);
    CU_ASSERT(xf_iter_gather(&it, out, 8) == 0 && xf_iter_piece(&it, 1, &at) == 0);
    it = xf_iter(v, 5, 9);
    CU_ASSERT(xf_iter_scatter(&it, "ABCDEFGHIJ", 10) == 9);
    CU_ASSERT(!strcmp(buf, "ABCDEFG789HIcde"));
    CU_ASSERT(xf_iov_sum(v, 5, &sum, &err) == 0 && sum == 9);
    CU_ASSERT(xf_iov_sum(v, -1, &sum, &err) == -1 && err.num == EINVAL);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"limits of a ring", test_ring_limits},
        {"immediates", test_immediates},
        {"greeting", test_greeting},
        {"damaged input", test_damage},
        {"fragments and credits", test_credits},
        {"keys", test_keys},
        {"sealing", test_seal},
        {"geometry", test_geometry},
        {"iovecs", test_iter},
        CU_TEST_INFO_NULL,
    };

    return run_suite("rdma", tests);
}
