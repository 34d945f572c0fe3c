/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's state other than its pages, as a list of parts. Each part has a kind, and each kind its
 * bounds. Only the code that makes a part and the code that loads it know its bytes
 * (docs/wire-protocol.md, "STATE", has the kinds and their bytes).
 *
 * Parts ascend by kind, each kind once. An unknown kind is refused if its part must be understood,
 * and skipped otherwise, so that a later version can add kinds of either sort.
 *
 * Any thread; no state but the structs.
 */
#ifndef XF_STATE_H
#define XF_STATE_H

#include <sys/uio.h>

#include "transport/wire.h"

/* The numbers are those on the wire. 16 and above: a device model's state. */
enum xf_part_kind {
    XF_PART_CPUID = 1,       /* CPUID leaves; for building the domain */
    XF_PART_MSRS = 2,        /* MSR entries; the same */
    XF_PART_TSC = 3,         /* struct xf_tsc */
    XF_PART_HVM_CONTEXT = 4, /* Xen's, of all vCPUs and the platform */
    XF_PART_HVM_PARAMS = 5,  /* struct xf_param, as many as there are */
    XF_PART_DEVICES = 16,    /* QEMU's, of all emulated devices, as it writes it */
};

#define XF_PART_MUST 1u  /* flag: a sink that does not know the kind cannot take the guest */
#define XF_PARTS_MAX 32u /* of one guest */
#define XF_STATE_MAX (128u << 20)  /* bytes of all parts together */
#define XF_DEVICES_MAX (16u << 20) /* bytes of XF_PART_DEVICES: some 10 KiB in practice */

struct xf_part {
    uint16_t kind;
    uint16_t flags;
    uint32_t len;
    void *data; /* malloc()ed, owned by the list */
};
struct xf_state {
    unsigned nr;
    struct xf_part list[XF_PARTS_MAX];
};

/* Append a part. `data` is malloc()ed and owned by the list afterwards, even on failure. EINVAL:
 * not ascending, or not within the kind's bounds; EPROTO in a list from a peer. */
int xf_state_add(struct xf_state *s, uint16_t kind, uint16_t flags, void *data, uint32_t len,
                 struct xf_err *err);
/* The same with a copy of data; if len is 0 nothing is added. */
int xf_state_add_copy(struct xf_state *s, uint16_t kind, const void *data, uint32_t len,
                      struct xf_err *err);
int xf_state_add_tsc(struct xf_state *s, const struct xf_tsc *tsc, struct xf_err *err);
int xf_state_add_params(struct xf_state *s, const struct xf_param *list, uint32_t n,
                        struct xf_err *err);
void xf_state_free(struct xf_state *s);

/* The part of a kind, or NULL. */
const struct xf_part *xf_state_find(const struct xf_state *s, uint16_t kind);
/* The contents of parts. EPROTO: the part is missing, or its bytes are invalid. Without parameters
 * *n is 0. */
int xf_state_tsc(const struct xf_state *s, struct xf_tsc *tsc, struct xf_err *err);
int xf_state_params(const struct xf_state *s, struct xf_param list[XF_PARAMS_MAX], uint32_t *n,
                    struct xf_err *err);
int xf_state_context(const struct xf_state *s, const void **data, uint32_t *len,
                     struct xf_err *err);

/* --- on the wire: XF_MSG_STATE from version 2 on --- */

/* A stretch of one part, in one message. */
struct xf_piece {
    uint16_t kind, flags;
    uint32_t total;  /* bytes of the whole part, at least 1 */
    uint32_t offset; /* of this stretch in it */
    uint32_t len;    /* at least 1 */
};
/* The contents of one message; the payload is the pieces' bytes. */
struct xf_pieces {
    bool last; /* nothing follows */
    uint32_t nr;
    struct xf_piece list[XF_PARTS_MAX];
};
size_t xf_pieces_encode(const struct xf_pieces *p, void *meta);
int xf_pieces_decode(struct xf_pieces *p, const struct xf_msg *m, const void *meta,
                     struct xf_err *err);

/* Where in a list the next message begins. Start with zeros. */
struct xf_state_at {
    unsigned part;
    uint32_t offset;
};
/* Fill p and iov with the next message; p->last says that it is the last one. */
void xf_state_cut(const struct xf_state *s, struct xf_state_at *at, struct xf_pieces *p,
                  struct iovec iov[XF_PARTS_MAX]);

/* A list that is being received. Start with zeros; xf_state_free(&in->state). */
struct xf_state_in {
    struct xf_state state;
    struct xf_piece now; /* the part begun last; offset: bytes of it so far */
    uint64_t bytes;      /* of all parts begun, including skipped ones */
    bool complete;       /* the last message was taken */
};
/* A message has arrived: set iov to where the bytes of its pieces belong. iov_base NULL: nowhere,
 * the part is skipped. On failure none of them may be taken. */
int xf_state_take(struct xf_state_in *in, const struct xf_pieces *p, struct iovec iov[XF_PARTS_MAX],
                  struct xf_err *err);

/* --- the same in version 1: one message with three parts in fixed places --- */

struct xf_state1 {
    struct xf_tsc tsc;
    uint32_t nr_params;
    struct xf_param params[XF_PARAMS_MAX];
};
size_t xf_state1_encode(const struct xf_state1 *s, void *meta);
int xf_state1_decode(struct xf_state1 *s, const struct xf_msg *m, const void *meta,
                     struct xf_err *err);
/* EPROTONOSUPPORT: a part that must be understood cannot be expressed in version 1. */
int xf_state_to1(const struct xf_state *s, struct xf_state1 *one, const void **context,
                 uint32_t *len, struct xf_err *err);
/* context is malloc()ed and owned by s afterwards, even on failure. */
int xf_state_from1(struct xf_state *s, const struct xf_state1 *one, void *context, uint32_t len,
                   struct xf_err *err);

#endif
