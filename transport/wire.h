/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the messages of the data connections mean, and how they look on the wire
 * (docs/wire-protocol.md is the specification; this is its decoder). Little-endian.
 * Encoders write into a caller's buffer of XF_META_MAX bytes and return the length.
 * Decoders trust nothing: every count, length, kind and gfn is checked, and on
 * failure `err` says which. They allocate nothing.
 */
#ifndef XF_WIRE_H
#define XF_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "transport/err.h"
#include "transport/transport.h"

#define XF_WIRE_VERSION 1u
#define XF_PAGE_SIZE 4096u
#define XF_BATCH_PAGES 1024u  /* most pages named by one batch, all kinds together */
#define XF_GFN_MAX (1ull << 40)
#define XF_TEXT_MAX 480u

enum xf_msg_type {
    XF_MSG_BATCH = 1,    /* bulk, source -> sink: pages */
    XF_MSG_SYNC = 2,     /* bulk, source -> sink: all before this must be in memory, then ack */
    XF_MSG_SYNC_ACK = 3, /* bulk, sink -> source */
    XF_MSG_ERROR = 4,    /* control, sink -> source: the move has failed; errno and sentence */
    XF_MSG_SKELETON = 16,/* control, source -> sink: build the domain (meta: xf_skeleton, payload: JSON config + static state) */
    XF_MSG_BUILT = 17,   /* control, sink -> source: the domain is there, its memory can be filled */
    XF_MSG_TARGET = 18,  /* control, source -> sink: the guest's memory target changed */
    XF_MSG_TARGET_ACK = 19,
    XF_MSG_STATE = 20,   /* control, source -> sink: final CPU state (payload: HVM context) */
    XF_MSG_LOADED = 21,  /* control, sink -> source: everything is in place, GO is awaited */
    XF_MSG_GO = 22,      /* control, source -> sink: the guest is yours */
    XF_MSG_RUNNING = 23, /* control, sink -> source: it runs (or is left paused, as asked) */
    XF_MSG_ABORT = 24,   /* control, source -> sink: give up, destroy your copy */
    XF_MSG_ABORTED = 25, /* control, sink -> source: nothing of it is left */
    XF_MSG_PING = 26,    /* control, source -> sink: measures the round trip */
    XF_MSG_PONG = 27,
    XF_MSG_DEVICES = 40,     /* control, source -> sink: say when the devices are attached */
    XF_MSG_DEVICES_ACK = 41, /* control, sink -> source: they are; the guest may be suspended */
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
    uint64_t sum;        /* XXH3-64 of the payload; 0 = not given (the guest was running) */
    struct xf_run runs[XF_BATCH_PAGES];
};

size_t xf_batch_encode(const struct xf_batch *b, void *meta);
/* gfn_limit: no run may reach beyond it. m gives meta_len and payload_len to be checked against. */
int xf_batch_decode(struct xf_batch *b, const struct xf_msg *m, const void *meta,
                    uint64_t gfn_limit, struct xf_err *err);

#define XF_SYNC_LAST 1u /* SYNC flag: no page comes after this one */

/* XF_MSG_SYNC and XF_MSG_SYNC_ACK meta. */
struct xf_sync {
    uint32_t seq;
    uint32_t flags;
    uint64_t pages; /* ack: pages (all kinds) taken on this channel since the start */
};
size_t xf_sync_encode(const struct xf_sync *s, void *meta);
int xf_sync_decode(struct xf_sync *s, const struct xf_msg *m, const void *meta,
                   struct xf_err *err);

/* XF_MSG_ERROR: errno number and one sentence. */
size_t xf_text_encode(int num, const char *text, void *meta);
int xf_text_decode(int *num, char text[XF_TEXT_MAX], const struct xf_msg *m, const void *meta,
                   struct xf_err *err); /* control characters replaced by '?' */

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
struct xf_skeleton {
    uint32_t xen_major, xen_minor; /* of the source */
    uint32_t config_len, cpuid_len, msr_len, ctx_len;
    uint64_t nr_gfns;  /* highest gfn + 1: the limit of every later gfn */
    uint64_t nr_pages; /* pages the guest has now, for the claim */
    struct xf_tsc tsc;
    uint32_t nr_params;   /* <= XF_PARAMS_MAX */
    uint32_t nr_specials; /* <= XF_SPECIALS_MAX: gfns that exist at once and are built by the sink */
    struct xf_param params[XF_PARAMS_MAX];
    uint64_t specials[XF_SPECIALS_MAX];
};
size_t xf_skeleton_encode(const struct xf_skeleton *s, void *meta);
int xf_skeleton_decode(struct xf_skeleton *s, const struct xf_msg *m, const void *meta,
                       struct xf_err *err);

/* XF_MSG_STATE: payload is the final HVM context. */
struct xf_state {
    struct xf_tsc tsc;
    uint32_t nr_params;
    struct xf_param params[XF_PARAMS_MAX];
};
size_t xf_state_encode(const struct xf_state *s, void *meta);
int xf_state_decode(struct xf_state *s, const struct xf_msg *m, const void *meta,
                    struct xf_err *err);

/* Messages whose meta is a few u64 (TARGET, BUILT, LOADED, RUNNING, PING, PONG): exactly n. */
size_t xf_u64s_encode(const uint64_t *v, unsigned n, void *meta);
int xf_u64s_decode(uint64_t *v, unsigned n, const struct xf_msg *m, const void *meta,
                   struct xf_err *err);

#endif
