/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for everything that looks at a peer's bytes before anyone else does:
 * the envelope, the hello and all meta parts. An input is one message as on the wire
 * (24 bytes of header, then the meta part). The check in the header is computed but not
 * demanded, or the fuzzer would never get past it.
 *
 * Beyond "no crash" it demands that what the decoder takes, the encoder writes back bit
 * for bit: two decoders could not disagree about such a message.
 *
 * tests/unit/test_replay.c includes this file with XF_FUZZ_REPLAY to run the seeds, damaged
 * in every bit, in the ordinary tests and with any compiler.
 */
#ifndef XF_FUZZ_REPLAY
#include "transport/err.c"
#include "transport/frame.c"
#include "transport/wire.c"
#endif

#include <string.h>

#include "tests/fuzz/seeds.h"
#include "tests/fuzz/target.h"
#include "transport/frame.h"
#include "transport/state.h"
#include "transport/text.h"
#include "transport/wire.h"

static struct {
    struct xf_batch batch;
    struct xf_pack pack;
    struct xf_skeleton skeleton;
    struct xf_pieces pieces;
    struct xf_state1 state1;
    struct xf_extents extents;
    struct xf_request request;
    struct xf_pulled pulled;
    struct xf_follow follow;
    struct xf_chunk chunk;
    uint8_t again[XF_META_MAX];
} fuzz; /* big, and a fuzzer has one thread */

/* A meta part of the kind was taken, and encoded again to the same bytes. */
enum {
    TOOK_BATCH,
    TOOK_PACKED,
    TOOK_SYNC,
    TOOK_TEXT,
    TOOK_SKELETON,
    TOOK_STATE,
    TOOK_EXTENTS,
    TOOK_REQUEST,
    TOOK_PULLED,
    TOOK_NUMBERS,
    TOOK_FOLLOW,
    WELCOME,
    TOOK_STATE1,
    PLACED_STATE,
    TOOK_CHUNK,
    WHOLE, /* the check of a frame is right */
};

static void fuzz_refused(const struct xf_err *err)
{
    MUST(err->num != 0 && err->text[0] && !strchr(err->text, '\n'));
}

static void fuzz_same(unsigned goal, const struct xf_msg *m, const void *meta, size_t len)
{
    MUST(len == m->meta_len && (!len || !memcmp(fuzz.again, meta, len)));
    fuzz_reached(goal);
}

static void fuzz_text(const struct xf_msg *m, const void *meta, struct xf_err *err)
{
    char text[XF_TEXT_MAX], twice[XF_TEXT_MAX];
    struct xf_msg m2 = *m;
    int num, num2;

    if (xf_text_decode(&num, text, m, meta, err)) {
        fuzz_refused(err);
        return;
    }
    MUST(strlen(text) < XF_TEXT_MAX);
    MUST(xf_text_is_clean(text, strlen(text)));
    m2.meta_len = (uint32_t)xf_text_encode(num, text, fuzz.again);
    MUST(m2.meta_len <= m->meta_len); /* a '?' is shorter than what it stands for */
    MUST(xf_text_decode(&num2, twice, &m2, fuzz.again, err) == 0);
    MUST(num == num2 && !strcmp(text, twice));
    fuzz_reached(TOOK_TEXT);
}

/* What is taken has a place within its part, and nothing else. */
static void fuzz_state(const struct xf_msg *m, const void *meta, struct xf_err *err)
{
    struct xf_state_in in = {0};
    struct iovec iov[XF_PARTS_MAX];
    uint64_t sum = 0;

    if (xf_pieces_decode(&fuzz.pieces, m, meta, err)) {
        fuzz_refused(err);
        return;
    }
    fuzz_same(TOOK_STATE, m, meta, xf_pieces_encode(&fuzz.pieces, fuzz.again));
    if (xf_state_take(&in, &fuzz.pieces, iov, err)) {
        fuzz_refused(err);
    } else {
        for (uint32_t i = 0; i < fuzz.pieces.nr; i++) {
            sum += iov[i].iov_len;
            if (iov[i].iov_base)
                memset(iov[i].iov_base, 1, iov[i].iov_len);
        }
        MUST(sum == m->payload_len && in.complete == fuzz.pieces.last);
        fuzz_reached(PLACED_STATE);
    }
    xf_state_free(&in.state);
}

static void fuzz_meta(const struct xf_msg *m, const void *meta)
{
    uint64_t limit = m->flags & 1 ? XF_GFN_MAX : 0x100000, v[4];
    struct xf_err err = {0};
    struct xf_sync sync;
    unsigned n = m->meta_len / 8 < 4 ? m->meta_len / 8 : 4;

    switch (m->type) {
    case XF_MSG_BATCH:
    case XF_MSG_ANSWER:
        if (xf_batch_decode(&fuzz.batch, m, meta, limit, &err))
            fuzz_refused(&err);
        else
            fuzz_same(TOOK_BATCH, m, meta, xf_batch_encode(&fuzz.batch, fuzz.again));
        break;
    case XF_MSG_PACKED:
        if (xf_packed_decode(&fuzz.pack, &fuzz.batch, m, meta, limit, &err))
            fuzz_refused(&err);
        else
            fuzz_same(TOOK_PACKED, m, meta, xf_packed_encode(&fuzz.pack, &fuzz.batch, fuzz.again));
        break;
    case XF_MSG_SYNC:
    case XF_MSG_SYNC_ACK:
        if (xf_sync_decode(&sync, m, meta, &err))
            fuzz_refused(&err);
        else
            fuzz_same(TOOK_SYNC, m, meta, xf_sync_encode(&sync, fuzz.again));
        break;
    case XF_MSG_ERROR:
    case XF_MSG_PLUGGED:
    case XF_MSG_ABORT:
        fuzz_text(m, meta, &err);
        break;
    case XF_MSG_SKELETON:
        if (xf_skeleton_decode(&fuzz.skeleton, m, meta, &err))
            fuzz_refused(&err);
        else
            fuzz_same(TOOK_SKELETON, m, meta, xf_skeleton_encode(&fuzz.skeleton, fuzz.again));
        break;
    case XF_MSG_STATE:
        fuzz_state(m, meta, &err);
        break;
    case SEED_STATE1:
        if (xf_state1_decode(&fuzz.state1, m, meta, &err))
            fuzz_refused(&err);
        else
            fuzz_same(TOOK_STATE1, m, meta, xf_state1_encode(&fuzz.state1, fuzz.again));
        break;
    case XF_MSG_ABSENT:
    case XF_MSG_ABSENT_ACK:
    case XF_MSG_WHOLE:
    case XF_MSG_MISSING:
        if (xf_extents_decode(&fuzz.extents, m, meta, limit, &err))
            fuzz_refused(&err);
        else
            fuzz_same(TOOK_EXTENTS, m, meta, xf_extents_encode(&fuzz.extents, fuzz.again));
        break;
    case XF_MSG_REQUEST:
        if (xf_request_decode(&fuzz.request, m, meta, limit, &err))
            fuzz_refused(&err);
        else
            fuzz_same(TOOK_REQUEST, m, meta, xf_request_encode(&fuzz.request, fuzz.again));
        break;
    case XF_MSG_FOLLOW:
        if (xf_follow_decode(&fuzz.follow, m, meta, &err))
            fuzz_refused(&err);
        else
            fuzz_same(TOOK_FOLLOW, m, meta, xf_follow_encode(&fuzz.follow, fuzz.again));
        break;
    case XF_MSG_STREAM:
        if (xf_chunk_decode(&fuzz.chunk, m, meta, &err))
            fuzz_refused(&err);
        else
            fuzz_same(TOOK_CHUNK, m, meta, xf_chunk_encode(&fuzz.chunk, fuzz.again));
        break;
    case XF_MSG_PULLED:
        if (xf_pulled_decode(&fuzz.pulled, m, meta, &err))
            fuzz_refused(&err);
        else
            fuzz_same(TOOK_PULLED, m, meta, xf_pulled_encode(&fuzz.pulled, fuzz.again));
        break;
    default:
        if (xf_u64s_decode(v, n, m, meta, &err))
            fuzz_refused(&err);
        else
            fuzz_same(TOOK_NUMBERS, m, meta, xf_u64s_encode(v, n, fuzz.again));
    }
}

static void fuzz_hello(const uint8_t *data)
{
    struct xf_chan_hello ours = {.oldest = 1, .channels = 4, .encrypt = true, .disk_channels = 2},
                         peer;
    struct xf_err err = {0};
    uint8_t again[XF_HELLO_BYTES];
    enum xf_chan_hello_status verdict;

    if (xf_chan_hello_decode(&peer, data, &err)) {
        fuzz_refused(&err);
        return;
    }
    /* Whichever was agreed. */
    ours.version = peer.version == 1 ? 1 : XF_WIRE_VERSION;
    if (peer.version == ours.version) {
        xf_chan_hello_encode(again, &peer);
        MUST(!memcmp(again, data, sizeof(again)));
    }
    verdict = xf_chan_hello_judge(&ours, &peer, 2);
    if (verdict != XF_HELLO_WELCOME) {
        MUST(xf_chan_hello_refused(verdict, &ours, &peer, &err) == -1);
        fuzz_refused(&err);
    } else {
        fuzz_reached(WELCOME);
        MUST(peer.id.role < XF_ROLES && peer.id.nr < (peer.id.role == XF_ROLE_BULK ? 4 : 1));
        MUST(peer.id.role != XF_ROLE_BULK || peer.id.nr != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xf_err err = {0};
    struct xf_msg m;
    uint8_t *meta;

    if (size >= XF_HELLO_BYTES)
        fuzz_hello(data);
    if (size < XF_FRAME_BYTES)
        return 0;
    if (xf_frame_decode(&m, data, &err)) {
        fuzz_refused(&err);
        return 0;
    }
    MUST(m.meta_len <= XF_META_MAX && m.payload_len <= XF_PAYLOAD_MAX);
    if (m.meta_len > size - XF_FRAME_BYTES) /* the transport would still be reading */
        m.meta_len = (uint32_t)(size - XF_FRAME_BYTES);
    meta = malloc(m.meta_len ? m.meta_len : 1); /* exact, so that one byte too far shows */
    MUST(meta);
    memcpy(meta, data + XF_FRAME_BYTES, m.meta_len);
    if (xf_frame_check(data, &m, meta, &err))
        fuzz_refused(&err);
    else
        fuzz_reached(WHOLE);
    fuzz_meta(&m, meta);
    free(meta);
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    return xf_seed(n, out);
}

FUZZ_TARGET(fuzz_seed, "a batch is taken", "a packed batch is taken", "a sync is taken",
            "a text is taken", "a skeleton is taken", "a state is taken", "extents are taken",
            "a request is taken", "how far PULL is is taken", "numbers are taken",
            "what is to be followed is taken", "a hello is welcome",
            "a state of version 1 is taken", "a state has its place",
            "a piece of a stream is taken", "the check of a frame is right")
