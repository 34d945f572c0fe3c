/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The messages of the data connections: their meaning, and their form on the wire
 * (docs/wire-protocol.md is the specification; this is its decoder). Little-endian. Encoders write
 * into a caller's buffer of XF_META_MAX bytes and return the length. Decoders trust nothing: every
 * count, length, kind and gfn is checked, and on failure `err` says which. They allocate nothing.
 */
#ifndef XF_WIRE_H
#define XF_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/err.h"
#include "transport/transport.h"

/* The current version of the wire protocol, and the oldest one still understood: the current one
 * and the two before it, if they exist. */
#define XF_WIRE_VERSION 2u
#define XF_WIRE_OLDEST 1u
#define XF_PAGE_SIZE 4096u
#define XF_LARGE_PAGES 512u  /* of a large page: 2 MiB. Its first gfn is a multiple of this */
#define XF_BATCH_PAGES 1024u /* most pages named by one batch, all kinds together */
#define XF_GFN_MAX (1ull << 40)
#define XF_TEXT_MAX 480u

enum xf_msg_type {
    XF_MSG_BATCH = 1,     /* bulk, source -> sink: pages */
    XF_MSG_SYNC = 2,      /* bulk, source -> sink: all before this must be in memory, then ack */
    XF_MSG_SYNC_ACK = 3,  /* bulk, sink -> source */
    XF_MSG_ERROR = 4,     /* control, sink -> source: the move has failed; errno and sentence */
    XF_MSG_PACKED = 5,    /* bulk, source -> sink: a batch whose payload is compressed */
    XF_MSG_SKELETON = 16, /* control, source -> sink: build the domain (meta: xf_skeleton) */
    XF_MSG_BUILT = 17,    /* control, sink -> source: the domain exists, its memory can be filled */
    XF_MSG_TARGET = 18,   /* control, source -> sink: the guest's memory target changed */
    XF_MSG_TARGET_ACK = 19,
    XF_MSG_STATE = 20,   /* control, source -> sink: the final state, in parts (state.h) */
    XF_MSG_LOADED = 21,  /* control, sink -> source: everything is in place; waits for GO */
    XF_MSG_GO = 22,      /* control, source -> sink: the guest is yours */
    XF_MSG_RUNNING = 23, /* control, sink -> source: it runs (or is left paused, as asked) */
    XF_MSG_ABORT = 24,   /* control, source -> sink: give up, destroy your copy */
    XF_MSG_ABORTED = 25, /* control, sink -> source: nothing of it is left */
    XF_MSG_PING = 26,    /* control, source -> sink: measures the round trip */
    XF_MSG_PONG = 27,
    XF_MSG_ABSENT = 28,      /* control, source -> sink: pages that follow after GO; mark them */
    XF_MSG_ABSENT_ACK = 29,  /* control, sink -> source: those that cannot be absent */
    XF_MSG_REQUEST = 30,     /* urgent, sink -> source: pages that a vCPU waits for */
    XF_MSG_ANSWER = 31,      /* urgent, source -> sink: these pages (meta: a batch) */
    XF_MSG_TAKEN = 32,       /* bulk, sink -> source, in PULL: pages taken on this channel */
    XF_MSG_PULLED = 33,      /* control, sink -> source, in PULL: what is missing; see xf_pulled */
    XF_MSG_BYE = 34,         /* control, source -> sink: I know that nothing is missing */
    XF_MSG_ATTACH = 35,      /* control, source -> sink: a new link to continue PULL */
    XF_MSG_MISSING = 36,     /* control, sink -> source: the answer, pages still missing */
    XF_MSG_ENDED = 37,       /* control, sink -> source, in PULL: the guest has ended */
    XF_MSG_DEVICES = 40,     /* control, source -> sink: report when devices are attached */
    XF_MSG_DEVICES_ACK = 41, /* control, sink -> source: they are; the guest may be suspended */
    XF_MSG_FOLLOW = 44,      /* control, source -> sink: the guest was renamed, or its vCPUs set */
    XF_MSG_FOLLOW_ACK = 45,
    XF_MSG_WHOLE = 46,     /* control, source -> sink, in COPY: ranges that may be large pages */
    XF_MSG_WHOLE_ACK = 47, /* control, sink -> source: from now on they are */
    XF_MSG_CONFIG = 48,    /* control, source -> sink, cold: what the stock stream is of */
    XF_MSG_STREAM = 49,    /* bulk, source -> sink, cold: a piece of the stock stream */
    XF_MSG_PLUGGED = 52, /* control, sink -> source, after RUNNING: the PCI devices; as an error */
    XF_MSG_PROBE = 56,   /* bulk, source -> sink, `--check`: bytes to discard (speed.h) */
    XF_MSG_PROBE_ACK = 57,  /* bulk, sink -> source: they have arrived */
    XF_MSG_DISK_BYTES = 64, /* disk, both ways: payload: a piece of a stream (disks/relay.h) */
    XF_MSG_DISK_END = 65,   /* disk, both ways: nothing follows on this channel */
    XF_MSG_DISK_ASK = 66,   /* disk, source -> sink: the hashes of these chunks (disks/verify.h)? */
    XF_MSG_DISK_HASHES = 67,   /* disk, sink -> source: these */
    XF_MSG_DISKS_MADE = 72,    /* control, sink -> source: the disk channels may be connected */
    XF_MSG_DISKS_COPIED = 73,  /* control, source -> sink: every copy follows; SKELETON is next */
    XF_MSG_DISKS_DRAINED = 74, /* control, source -> sink, in SWITCH: every copy is complete */
    XF_MSG_DISKS_DONE = 75,    /* control, sink -> source: ... and would survive a crash here */
};

enum xf_run_kind {
    XF_RUN_DATA = 0,   /* the pages' bytes are in the payload, in run order */
    XF_RUN_ZERO = 1,   /* all bytes zero */
    XF_RUN_ABSENT = 2, /* the guest has no page there (any more) */
};

struct xf_run {
    uint64_t gfn;   /* first */
    uint32_t count; /* >= 1 */
    uint32_t kind;  /* enum xf_run_kind */
};

/* XF_MSG_BATCH meta. Runs ascend and do not overlap. */
struct xf_batch {
    uint32_t round;
    uint32_t nr_runs;    /* 1..XF_BATCH_PAGES */
    uint32_t nr_pages;   /* sum of counts, <= XF_BATCH_PAGES */
    uint32_t data_pages; /* sum of counts of XF_RUN_DATA; payload = data_pages * 4096 */
    uint64_t sum;        /* XXH3-64 of the data pages; 0 = not given (the guest was running) */
    struct xf_run runs[XF_BATCH_PAGES];
};

size_t xf_batch_encode(const struct xf_batch *b, void *meta);
/* No run may reach beyond gfn_limit. m: its meta_len and payload_len are checked. */
int xf_batch_decode(struct xf_batch *b, const struct xf_msg *m, const void *meta,
                    uint64_t gfn_limit, struct xf_err *err);

/* How the payload of a batch is compressed. The numbers are those on the wire. */
enum xf_codec { XF_CODEC_NONE, XF_CODEC_LZ4, XF_CODEC_ZSTD, XF_CODECS };
#define XF_CODEC_BIT(codec) (1u << (codec))

/*
 * XF_MSG_PACKED meta, in addition to its batch. The batch's data pages, in order, are cut into
 * blocks of XF_PACK_PAGES pages (the last may have fewer), each compressed on its own. A block as
 * long as its pages holds them uncompressed.
 */
#define XF_PACK_PAGES 64u
#define XF_PACK_BLOCKS (XF_BATCH_PAGES / XF_PACK_PAGES)
#define XF_PACK_BYTES (XF_PACK_PAGES * XF_PAGE_SIZE)
struct xf_pack {
    uint32_t codec;               /* enum xf_codec, not XF_CODEC_NONE */
    uint32_t nr_blocks;           /* xf_pack_blocks() of the batch's data pages, at least 1 */
    uint32_t len[XF_PACK_BLOCKS]; /* 1..xf_pack_raw(); payload = their sum */
};
/* The number of blocks of data_pages pages, and the bytes of block i before compression. */
static inline uint32_t xf_pack_blocks(uint32_t data_pages)
{
    return (data_pages + XF_PACK_PAGES - 1) / XF_PACK_PAGES;
}
static inline uint32_t xf_pack_raw(uint32_t data_pages, uint32_t i)
{
    uint32_t left = data_pages - i * XF_PACK_PAGES;

    return (left < XF_PACK_PAGES ? left : XF_PACK_PAGES) * XF_PAGE_SIZE;
}
size_t xf_packed_encode(const struct xf_pack *k, const struct xf_batch *b, void *meta);
/* gfn_limit and m as in xf_batch_decode(). */
int xf_packed_decode(struct xf_pack *k, struct xf_batch *b, const struct xf_msg *m,
                     const void *meta, uint64_t gfn_limit, struct xf_err *err);

#define XF_SYNC_LAST 1u /* SYNC flag: no page follows this message */

/* XF_MSG_SYNC and XF_MSG_SYNC_ACK meta. */
struct xf_sync {
    uint32_t seq;
    uint32_t flags;
    uint64_t pages; /* ack: pages (all kinds) taken on this channel since the start */
};
size_t xf_sync_encode(const struct xf_sync *s, void *meta);
int xf_sync_decode(struct xf_sync *s, const struct xf_msg *m, const void *meta, struct xf_err *err);

/* XF_MSG_ABSENT, ABSENT_ACK, MISSING, WHOLE: a set of gfns as extents that ascend and do not
 * overlap. One set may take several messages, each valid on its own. */
#define XF_EXTENTS_MAX 4095u
#define XF_EXTENTS_LAST 1u /* flag: the set ends with this message */
struct xf_extent {
    uint64_t gfn;   /* first */
    uint64_t count; /* >= 1 */
};
struct xf_extents {
    uint32_t flags;
    uint32_t nr; /* 0..XF_EXTENTS_MAX */
    struct xf_extent list[XF_EXTENTS_MAX];
};
size_t xf_extents_encode(const struct xf_extents *x, void *meta);
int xf_extents_decode(struct xf_extents *x, const struct xf_msg *m, const void *meta,
                      uint64_t gfn_limit, struct xf_err *err);

/* XF_MSG_REQUEST: pages in the order in which they are wanted. */
#define XF_REQUEST_MAX 64u
struct xf_request {
    uint32_t nr; /* 1..XF_REQUEST_MAX */
    uint64_t gfns[XF_REQUEST_MAX];
};
size_t xf_request_encode(const struct xf_request *r, void *meta);
int xf_request_decode(struct xf_request *r, const struct xf_msg *m, const void *meta,
                      uint64_t gfn_limit, struct xf_err *err);

/* The cost of one kind of work: pages it was done for, and the time of all threads together. */
struct xf_cost_sum {
    uint64_t pages, ns;
};

/* XF_MSG_PING in PULL: one number of flags, which older peers neither send nor read. */
#define XF_PING_LATENCY 1u /* the sender takes PULLED with latencies */
bool xf_ping_wants_latency(const struct xf_msg *m, const void *meta);

/* XF_MSG_PULLED: the progress of PULL, at the sink. */
#define XF_LATENCY_BUCKETS 24u
struct xf_pulled {
    uint64_t missing;   /* pages whose content has not arrived yet */
    uint64_t faults;    /* accesses to absent pages so far, each page once */
    uint64_t requested; /* of these, requested over the network */
    uint64_t median_ns; /* from the fault until the page was in; 0: no fault yet */
    uint64_t p99_ns;
    struct xf_cost_sum populate; /* before GO: memory for pages to be marked absent */
    struct xf_cost_sum evict;    /* ... and marking them */
    struct xf_cost_sum prep;     /* giving absent pages their memory and content */
    struct xf_cost_sum copy;     /* receiving pages, from the arrival of their message on */
    uint64_t held_ns;            /* guest's network held, from GO to its release; 0: not (yet) */
    /* Sent only to a source whose PING asks for it. Faults by the time until their page was in: N
     * has those of [2^N, 2^(N+1)) us, the first also shorter and the last also longer ones. These
     * are the buckets of QEMU's postcopy-latency-dist. */
    bool has_latency;
    uint64_t latency[XF_LATENCY_BUCKETS];
};
#define XF_PULLED_NUMBERS 14u /* without the latencies */
#define XF_PULLED_MAX (XF_PULLED_NUMBERS + XF_LATENCY_BUCKETS)
size_t xf_pulled_encode(const struct xf_pulled *p, void *meta);
int xf_pulled_decode(struct xf_pulled *p, const struct xf_msg *m, const void *meta,
                     struct xf_err *err);

/* XF_MSG_ERROR: errno number and one sentence. XF_MSG_PLUGGED: the same, 0 if all are attached. */
size_t xf_text_encode(int num, const char *text, void *meta);
int xf_text_decode(int *num, char text[XF_TEXT_MAX], const struct xf_msg *m, const void *meta,
                   struct xf_err *err); /* the text is cleaned: text.h */

/* XF_MSG_SKELETON: what the sink needs to build the domain. Payload: config_len bytes of
 * JSON domain configuration (with its NUL), cpuid_len bytes of CPUID leaves, msr_len bytes of
 * MSR entries, ctx_len bytes of early HVM context, in that order; their sum is payload_len. */
#define XF_PARAMS_MAX 64u
#define XF_SPECIALS_MAX 512u
struct xf_param {
    uint64_t index;
    uint64_t value;
};
struct xf_tsc {
    uint32_t mode;
    uint32_t khz;
    uint64_t nsec;
    uint32_t incarnation;
};

/* The payload after it: the configuration as JSON, then the static state. */
struct xf_skeleton {
    uint32_t xen_major, xen_minor; /* of the source */
    uint32_t config_len, cpuid_len, msr_len, ctx_len;
    uint64_t nr_gfns;  /* highest gfn + 1: the limit of every later gfn */
    uint64_t nr_pages; /* pages the guest has now, for the claim */
    struct xf_tsc tsc;
    uint32_t nr_params; /* <= XF_PARAMS_MAX */
    /* <= XF_SPECIALS_MAX: gfns that exist from the start and are built by the sink */
    uint32_t nr_specials;
    struct xf_param params[XF_PARAMS_MAX];
    uint64_t specials[XF_SPECIALS_MAX];
};
size_t xf_skeleton_encode(const struct xf_skeleton *s, void *meta);
int xf_skeleton_decode(struct xf_skeleton *s, const struct xf_msg *m, const void *meta,
                       struct xf_err *err);

/* XF_MSG_BUILT: the domid at the sink, and the reason if pages were to be absent but cannot be
 * (otherwise why is NULL and num 0). meta has room for 8 bytes and a text. */
size_t xf_built_encode(uint32_t domid, int num, const char *why, void *meta);
/* *domid is a guest's. why[0] is 0 if no reason was given. */
int xf_built_decode(uint32_t *domid, int *num, char why[XF_TEXT_MAX], const struct xf_msg *m,
                    const void *meta, struct xf_err *err);

/* XF_MSG_FOLLOW: the guest's name, and which vCPUs are to be online. */
#define XF_VCPUS_MAX 512u
#define XF_NAME_BYTES 128u
struct xf_follow {
    char name[XF_NAME_BYTES];        /* at the sink; not empty, no control characters */
    uint32_t nr_vcpus;               /* 1..XF_VCPUS_MAX */
    uint8_t vcpus[XF_VCPUS_MAX / 8]; /* bit n of byte m: vCPU 8 m + n; at least one, none beyond */
};
size_t xf_follow_encode(const struct xf_follow *f, void *meta);
int xf_follow_decode(struct xf_follow *f, const struct xf_msg *m, const void *meta,
                     struct xf_err *err);
/* The number of vCPUs to be online. */
unsigned xf_follow_vcpus(const struct xf_follow *f);

/*
 * XF_MSG_STREAM: a piece of the stock stream of a cold move, whose payload it is. A probe is not
 * part of the stream: it measures the link, is discarded, and answered by PONG.
 */
#define XF_CHUNK_LAST 1u  /* the stream ends with this piece */
#define XF_CHUNK_PROBE 2u /* alone, at offset 0 */
struct xf_chunk {
    uint64_t offset; /* in the stream */
    uint32_t flags;
};
size_t xf_chunk_encode(const struct xf_chunk *c, void *meta);
/* m: a payload is required unless the piece is the last. */
int xf_chunk_decode(struct xf_chunk *c, const struct xf_msg *m, const void *meta,
                    struct xf_err *err);

/* Messages whose meta is a few u64 (TARGET, LOADED, GO, RUNNING, TAKEN, ...): exactly n. */
size_t xf_u64s_encode(const uint64_t *v, unsigned n, void *meta);
int xf_u64s_decode(uint64_t *v, unsigned n, const struct xf_msg *m, const void *meta,
                   struct xf_err *err);

#endif
