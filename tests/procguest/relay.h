/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A relay between the engines of a move, in a process of its own: it forwards bytes, or cuts every
 * connection and accepts no new one, or keeps them open without forwarding anything; or it damages
 * a piece of the data, of up to 64 KiB.
 */
#ifndef XF_PG_RELAY_H
#define XF_PG_RELAY_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

enum pg_line { PG_LINE_UP, PG_LINE_CUT, PG_LINE_STALLED };

enum pg_harm {
    PG_HARM_FLIP,  /* one bit is flipped */
    PG_HARM_TWICE, /* the piece arrives twice */
    PG_HARM_DROP,  /* it does not arrive */
    PG_HARM_HOLD,  /* it arrives later, and so do those behind it: other channels overtake it */
    PG_HARMS
};

/* In shared memory. */
struct pg_relay {
    _Atomic uint32_t line;  /* enum pg_line; the relay follows within 10 ms */
    _Atomic uint32_t port;  /* where it listens; 0: not yet */
    _Atomic uint32_t to;    /* where it connects to; 0: not known yet */
    _Atomic uint64_t bytes; /* forwarded, both directions */
    /* When this many have been forwarded: cut, and up again after cut_ms. 0: never. Once. */
    _Atomic uint64_t cut_at;
    uint32_t cut_ms;
    /* When this many have been forwarded: harm to the next piece. 0: none. Once. */
    _Atomic uint64_t harm_at;
    uint32_t harm;           /* enum pg_harm */
    uint32_t hold_ms;        /* PG_HARM_HOLD */
    _Atomic uint32_t harmed; /* how often it did harm */
    _Atomic uint64_t rate;   /* bytes per second of each connection and direction; 0: no limit */
    _Atomic uint32_t cuts;   /* how often it has cut */
    pid_t pid;
};

struct pg_relay *pg_relay_start(void);
void pg_relay_free(struct pg_relay *r);

#endif
