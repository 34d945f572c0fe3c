/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for the source's state machines (precopy/copy*.c, sender.c, leave.c, switch.c,
 * postcopy/server*.c) driven by a destination that knows the key and lies: it answers what it is
 * asked as an honest one would, until the input says otherwise. So an empty input is a whole move,
 * and a short one a single lie at a place of its choice.
 *
 * Beyond "no crash": GO is said once, and only after the destination has confirmed the state and
 * every page; the guest runs at most at one place whatever the answers were; a failure says why.
 *
 * Input: a byte of options, then the lies: channel, answers of that channel before it, kind,
 * argument, and for RAW a message type, a length and so many bytes.
 */
#include <errno.h>

#include "postcopy/server.h"
#include "precopy/copy.h"
#include "tests/fuzz/puppet.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/tiny_vm.h"
#include "transport/bytes.h"
#include "transport/wire.h"

enum {
    SWITCHED,
    BACK,
    UNKNOWN,
    PULL_DONE,
    PULL_LOST,
    PULL_FAILED,
    PULL_ENDED,
    ATTACHED,
    LIED,
    FIRST
};

#define BULK 1u /* which of several threads sends what would be a matter of luck */
#define URGENT PUPPET_URGENT(BULK)
#define LIES_MAX 8u
#define OWED_MAX 64u
#define TICKS_MAX 300u

/* The first byte. */
#define OPT_MODE 3u  /* precopy, hybrid, postcopy, a server that attaches */
#define OPT_ENDS 4u  /* the guest ends in PULL */
#define OPT_FIRST 8u /* the link is of version 1 */

enum lie {
    LIE_TYPE,    /* the answer has another type */
    LIE_FLIP,    /* ... a bit of its meta part is another */
    LIE_SHORT,   /* ... and its meta part is shorter */
    LIE_LONG,    /* ... or longer */
    LIE_PAYLOAD, /* ... and it has a payload */
    LIE_CLOSE,   /* the connection is closed instead */
    LIE_RAW,     /* another message comes before it, asked for or not */
    LIE_TWICE,   /* the answer comes twice */
    LIES
};

struct lie_at {
    uint8_t chan, after, kind, arg;
    uint8_t type;
    const uint8_t *raw;
    uint8_t len;
};

/* What the destination still has to answer on a channel. */
struct owed {
    uint16_t type; /* of what the source said */
    uint32_t seq, flags;
    uint64_t pages;
};

static struct {
    struct puppet puppet;
    struct tiny vm;
    struct xf_link link;
    /* All below under the puppet's lock. */
    struct lie_at lies[LIES_MAX];
    unsigned nr_lies;
    struct {
        struct owed list[OWED_MAX];
        unsigned head, nr;
        unsigned answers; /* given so far */
        bool closed;
    } chans[PUPPET_CHANNELS];
    unsigned options;
    bool go, loaded, synced, pulling, requested, answered, all;
    uint32_t last_seq; /* of the sync after the last page; 0: it was not asked for */
    uint64_t taken, missing, missing_gfn;
    unsigned ticks;
    /* How it ended, for tests that run a lie of their choice. */
    enum xf_switch_end end;
    int pull; /* enum xf_pull_end, -1: it did not come to PULL */
    struct xf_err err;
} fuzz; /* big, and a fuzzer has one input at a time */

static void owe(unsigned chan, const struct owed *o)
{
    unsigned n = fuzz.chans[chan].nr;

    if (n < OWED_MAX)
        fuzz.chans[chan].list[(fuzz.chans[chan].head + fuzz.chans[chan].nr++) % OWED_MAX] = *o;
}

/* --- an honest destination --- */

static void fuzz_sent(struct puppet *p, unsigned chan, const struct xf_msg *m, const uint8_t *meta)
{
    struct owed o = {.type = m->type};
    struct xf_batch b;

    (void)p;
    if (m->type != XF_MSG_PING) /* which comes five times a second, whatever happens */
        fuzz.ticks = 0;
    switch (m->type) {
    case XF_MSG_SYNC:
        o.seq = get_le32(meta);
        o.flags = get_le32(meta + 4);
        o.pages = fuzz.taken;
        if (o.flags & XF_SYNC_LAST)
            fuzz.last_seq = o.seq;
        break;
    case XF_MSG_BATCH:
    case XF_MSG_ANSWER:
        MUST(!xf_batch_decode(&b, m, meta, TINY_GFNS, NULL));
        fuzz.taken += b.nr_pages;
        if (fuzz.pulling)
            fuzz.missing = fuzz.missing > b.nr_pages ? fuzz.missing - b.nr_pages : 0;
        fuzz.answered |= m->type == XF_MSG_ANSWER; /* without it the guest still waits */
        if (m->type == XF_MSG_ANSWER || !fuzz.pulling)
            return;
        o.pages = b.nr_pages;
        break;
    case XF_MSG_GO:
        MUST(chan == 0 && !fuzz.go && fuzz.loaded && fuzz.synced);
        fuzz.go = true;
        pthread_mutex_lock(&fuzz.vm.lock);
        MUST(!fuzz.vm.running);
        fuzz.vm.given_away = true;
        pthread_mutex_unlock(&fuzz.vm.lock);
        fuzz.missing = m->meta_len ? get_le64(meta) : 0;
        fuzz.pulling = fuzz.missing;
        break;
    case XF_MSG_BYE:
        fuzz.chans[0].closed = true;
        return;
    case XF_MSG_PING:
        return;
    default:
        break;
    }
    owe(chan, &o);
}

static size_t honest_extents(uint8_t *meta, bool some)
{
    const struct xf_extents x = {.flags = XF_EXTENTS_LAST,
                                 .nr = some ? 1 : 0,
                                 .list = {{fuzz.missing_gfn, some ? fuzz.missing : 0}}};

    return xf_extents_encode(&x, meta);
}

/* The answer to the oldest thing that has none, or what a sink in PULL says by itself. */
static bool honest(unsigned chan, struct xf_msg *m, uint8_t *meta)
{
    const struct xf_pulled pulled = {.missing = fuzz.missing, .faults = 1, .requested = 1};
    const struct xf_request request = {.nr = 1, .gfns = {fuzz.missing_gfn}};
    struct owed o;
    struct xf_sync sync;

    *m = (struct xf_msg){0};
    if (!fuzz.chans[chan].nr) {
        if (chan == URGENT && fuzz.pulling && !fuzz.requested) {
            fuzz.requested = true;
            m->type = XF_MSG_REQUEST;
            m->meta_len = (uint32_t)xf_request_encode(&request, meta);
        } else if (chan == 0 && fuzz.pulling && fuzz.options & OPT_ENDS) {
            m->type = XF_MSG_ENDED;
        } else if (chan == 0 && fuzz.pulling && fuzz.answered && !fuzz.missing && !fuzz.all) {
            fuzz.all = true;
            m->type = XF_MSG_PULLED;
            m->meta_len = (uint32_t)xf_pulled_encode(&pulled, meta);
        }
        return m->type;
    }
    o = fuzz.chans[chan].list[fuzz.chans[chan].head++ % OWED_MAX];
    fuzz.chans[chan].head %= OWED_MAX;
    fuzz.chans[chan].nr--;
    switch (o.type) {
    case XF_MSG_DEVICES:
        m->type = XF_MSG_DEVICES_ACK;
        break;
    case XF_MSG_WHOLE:
        m->type = XF_MSG_WHOLE_ACK;
        break;
    case XF_MSG_TARGET:
        m->type = XF_MSG_TARGET_ACK;
        break;
    case XF_MSG_ABSENT:
        m->type = XF_MSG_ABSENT_ACK;
        m->meta_len = (uint32_t)honest_extents(meta, false);
        break;
    case XF_MSG_STATE:
        m->type = XF_MSG_LOADED;
        break;
    case XF_MSG_GO:
        m->type = XF_MSG_RUNNING;
        break;
    case XF_MSG_ATTACH:
        m->type = XF_MSG_MISSING;
        m->meta_len = (uint32_t)honest_extents(meta, true);
        fuzz.pulling = true;
        break;
    case XF_MSG_SYNC:
        sync = (struct xf_sync){o.seq, o.flags, o.pages};
        m->type = XF_MSG_SYNC_ACK;
        m->meta_len = (uint32_t)xf_sync_encode(&sync, meta);
        break;
    case XF_MSG_BATCH:
        m->type = XF_MSG_TAKEN;
        m->meta_len = (uint32_t)xf_u64s_encode(&o.pages, 1, meta);
        break;
    default:
        return false;
    }
    return true;
}

/* --- and its lies --- */

static struct lie_at *lie_now(unsigned chan)
{
    for (unsigned i = 0; i < fuzz.nr_lies; i++) {
        struct lie_at *l = &fuzz.lies[i];

        if (l->chan != chan || l->after != fuzz.chans[chan].answers || l->kind == LIES)
            continue;
        return l;
    }
    return NULL;
}

static void distort(const struct lie_at *l, struct xf_msg *m, uint8_t *meta)
{
    switch (l->kind) {
    case LIE_TYPE:
        m->type = l->arg;
        break;
    case LIE_FLIP:
        if (m->meta_len)
            meta[l->arg / 8 % m->meta_len] ^= (uint8_t)(1u << l->arg % 8);
        break;
    case LIE_SHORT:
        m->meta_len -= m->meta_len < l->arg ? m->meta_len : l->arg;
        break;
    case LIE_LONG:
        memset(meta + m->meta_len, l->arg, l->arg);
        m->meta_len += l->arg;
        break;
    case LIE_PAYLOAD:
        m->payload_len = l->arg;
        break;
    }
}

/* What the source may build GO on, true or not: it was said, and when it was due. */
static void note(unsigned chan, const struct xf_msg *m, const uint8_t *meta)
{
    struct xf_sync sync;

    fuzz.ticks = 0;
    if (chan == 0 && m->type == XF_MSG_LOADED)
        fuzz.loaded = true;
    if (chan == 1 && m->type == XF_MSG_SYNC_ACK && !xf_sync_decode(&sync, m, meta, NULL))
        fuzz.synced = fuzz.last_seq && sync.seq == fuzz.last_seq;
}

static enum puppet_next fuzz_next(struct puppet *p, unsigned chan, struct xf_msg *m, uint8_t *meta)
{
    struct lie_at *l = lie_now(chan);
    unsigned kind = l ? l->kind : LIES;

    (void)p;
    if (kind == LIE_CLOSE)
        fuzz.chans[chan].closed = true;
    if (fuzz.chans[chan].closed)
        return PUPPET_END;
    if (kind == LIE_RAW) {
        *m = (struct xf_msg){.type = l->type, .meta_len = l->len};
        memcpy(meta, l->raw, l->len);
    } else if (honest(chan, m, meta)) {
        fuzz.chans[chan].answers++;
    } else {
        return PUPPET_NOTHING;
    }
    if (l) {
        fuzz_reached(LIED);
        if (kind == LIE_TWICE)
            owe(chan, &(struct owed){.type = XF_MSG_GO}); /* an answer that nobody awaits */
        else
            distort(l, m, meta);
        l->kind = LIES;
    }
    note(chan, m, meta);
    return PUPPET_MESSAGE;
}

static const struct puppet_ops puppet_ops = {.next = fuzz_next, .sent = fuzz_sent};

/* --- the source --- */

static int fuzz_tick(void *priv, struct xf_err *err)
{
    (void)priv;
    return ++fuzz.ticks > TICKS_MAX ? xf_fail(err, ECANCELED, "interrupted") : 0;
}

static void fuzz_said(const struct xf_err *err)
{
    MUST(err->num && err->text[0] && !strchr(err->text, '\n'));
}

static void fuzz_pull(struct xf_server *s)
{
    struct xf_err err = {0};
    enum xf_pull_end end = xf_server_run(s, (struct xf_tick){.call = fuzz_tick}, &err);

    fuzz.pull = end;
    fuzz.err = err;
    switch (end) {
    case XF_PULL_DONE:
        fuzz_reached(PULL_DONE);
        break;
    case XF_PULL_ENDED:
        fuzz_reached(PULL_ENDED);
        break;
    case XF_PULL_LOST:
        fuzz_said(&err);
        fuzz_reached(PULL_LOST);
        break;
    case XF_PULL_FAILED:
        fuzz_said(&err);
        fuzz_reached(PULL_FAILED);
        break;
    case XF_PULL_GOES_ON:
    case XF_PULL_GONE:
        MUST(0);
    }
}

/* As in libxl-ext/source/move.c: the server answers from before GO on. */
struct fuzz_source {
    struct xf_copy copy;
    struct xf_server *server;
};

static int fuzz_before_go(void *priv, struct xf_err *err)
{
    struct fuzz_source *s = priv;

    if (!s->copy.nr_missing)
        return 0;
    fuzz.missing_gfn = xf_bitmap_next(s->copy.missing, 0, TINY_GFNS);
    return xf_server_new(&s->server, &fuzz.vm.src, s->copy.missing, NULL, err) ||
                   xf_server_start(s->server, &fuzz.link, err)
               ? -1
               : 0;
}

static void fuzz_move(enum xf_mode mode)
{
    struct fuzz_source s = {.copy = {.vm = &fuzz.vm.src,
                                     .link = &fuzz.link,
                                     .opts = {.mode = mode, .policy = {.max_rounds = 2}},
                                     .tick = {.call = fuzz_tick}}};
    enum xf_switch_end end = XF_SWITCH_BACK;
    struct xf_err err = {0};

    s.copy.priv = &s;
    if (!xf_copy_begin(&s.copy, &err) && !xf_copy_rounds(&s.copy, &err))
        end = xf_switch(&s.copy, fuzz_before_go, &err);
    MUST(end != XF_SWITCH_STUCK);
    MUST((end == XF_SWITCHED || end == XF_SWITCH_UNKNOWN) == fuzz.go);
    MUST(fuzz.vm.running == !fuzz.go);
    if (end != XF_SWITCHED)
        fuzz_said(&err);
    fuzz.end = end;
    fuzz.err = err;
    if (end == XF_SWITCHED && fuzz.link.version == 1)
        fuzz_reached(FIRST);
    fuzz_reached(end == XF_SWITCHED ? SWITCHED : end == XF_SWITCH_BACK ? BACK : UNKNOWN);
    if (end == XF_SWITCHED)
        xf_copy_free_bulk(&s.copy);
    else
        xf_link_abort_bulk(&fuzz.link);
    if (end == XF_SWITCHED && s.server)
        fuzz_pull(s.server);
    xf_server_free(s.server);
    xf_copy_end(&s.copy);
}

/* A process that takes over: its sink is in PULL. */
static void fuzz_attach(void)
{
    struct xf_server *s = NULL;
    struct xf_err err = {0};

    fuzz.vm.running = false;
    fuzz.vm.given_away = true;
    fuzz.missing_gfn = 40;
    fuzz.missing = 8;
    MUST(!xf_server_new(&s, &fuzz.vm.src, NULL, NULL, &err));
    if (!xf_server_attach(s, &fuzz.link, (struct xf_tick){.call = fuzz_tick}, &err)) {
        fuzz_reached(ATTACHED);
        fuzz_pull(s);
    } else {
        fuzz_said(&err);
        fuzz.err = err;
    }
    xf_server_free(s);
}

static void read_lies(const uint8_t *at, size_t left)
{
    fuzz.nr_lies = 0;
    while (left >= 4 && fuzz.nr_lies < LIES_MAX) {
        struct lie_at *l = &fuzz.lies[fuzz.nr_lies++];

        *l = (struct lie_at){at[0] % (URGENT + 1), at[1], at[2] % LIES, at[3], 0, NULL, 0};
        at += 4;
        left -= 4;
        if (l->kind != LIE_RAW)
            continue;
        l->type = l->arg;
        l->len = left ? *at : 0;
        at += left ? 1 : 0;
        left -= left ? 1 : 0;
        l->len = l->len < left ? l->len : (uint8_t)left;
        l->raw = at;
        at += l->len;
        left -= l->len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum xf_mode modes[] = {XF_MODE_PRECOPY, XF_MODE_HYBRID, XF_MODE_POSTCOPY};

    if (size < 1 || size > 4096)
        return 0;
    if (!fuzz.puppet.ops)
        puppet_init(&fuzz.puppet, &puppet_ops, NULL);
    read_lies(data + 1, size - 1);
    memset(fuzz.chans, 0, sizeof(fuzz.chans));
    fuzz.options = data[0];
    fuzz.go = fuzz.loaded = fuzz.synced = fuzz.pulling = fuzz.requested = fuzz.answered = fuzz.all =
        false;
    fuzz.taken = fuzz.missing = fuzz.last_seq = 0;
    fuzz.ticks = 0;
    fuzz.pull = -1;
    tiny_source(&fuzz.vm);
    puppet_connect(&fuzz.puppet, &fuzz.link, BULK);
    fuzz.link.version = data[0] & OPT_FIRST ? 1 : 0;
    if ((data[0] & OPT_MODE) == 3)
        fuzz_attach();
    else
        fuzz_move(modes[data[0] & OPT_MODE]);
    xf_link_close(&fuzz.link);
    tiny_end(&fuzz.vm);
    return 0;
}

/* --- seeds --- */

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static const struct {
        uint8_t len, bytes[12];
    } seeds[] = {
        {1, {0}}, /* honest: pre-copy, hybrid, post-copy, one that takes over */
        {1, {1}},
        {1, {2}},
        {1, {3}},
        {1, {2 | OPT_ENDS}},
        {1, {3 | OPT_ENDS}},
        {1, {OPT_FIRST}},
        {5, {0, 0, 0, LIE_TYPE, XF_MSG_RUNNING}}, /* it runs before it may */
        {5, {0, 0, 1, LIE_TYPE, XF_MSG_RUNNING}},
        {5, {0, 0, 2, LIE_TYPE, XF_MSG_PONG}},
        {5, {0, 0, 3, LIE_TYPE, XF_MSG_PONG}},
        {5, {0, 0, 3, LIE_CLOSE, 0}},
        {5, {0, 1, 0, LIE_FLIP, 0}}, /* another sync */
        {5, {0, 1, 1, LIE_SHORT, 3}},
        {5, {2, 0, 5, LIE_PAYLOAD, 9}},
        {5, {2, 1, 2, LIE_TYPE, XF_MSG_SYNC_ACK}}, /* no TAKEN */
        {5, {2, URGENT, 0, LIE_FLIP, 40}},         /* a page that it had at GO */
        {5, {2, 0, 1, LIE_TWICE, 0}},
        {8, {0, 0, 1, LIE_RAW, XF_MSG_ERROR, 2, 5, 0}},
        {6, {3, 0, 1, LIE_RAW, XF_MSG_ENDED, 0}},
        {5, {3, 0, 1, LIE_CLOSE, 0}},
        {5, {3, 1, 0, LIE_CLOSE, 0}},
        {5, {3, 0, 1, LIE_TYPE, XF_MSG_PONG}},
        {11, {2, 0, 6, LIE_RAW, XF_MSG_ERROR, 6, 5, 0, 0, 0, 'n'}},
    };

    if ((size_t)n >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    memcpy(out, seeds[n].bytes, seeds[n].len);
    return seeds[n].len;
}

FUZZ_TARGET(fuzz_seed, "the guest runs there", "it runs on here",
            "GO was sent, and no more is known", "PULL is done", "PULL loses its link",
            "PULL fails", "the guest ends in PULL", "a new process attaches", "a lie was told",
            "the guest runs at a sink of version 1")
