/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A move of a process guest over TCP on this machine: two guests (guest.h), and the engine
 * of each end in a process of its own, so that any of the four can be killed.
 */
#ifndef XF_PG_MOVE_H
#define XF_PG_MOVE_H

#include "postcopy/outage.h"
#include "postcopy/pull.h"
#include "postcopy/server.h"
#include "precopy/copy.h"
#include "precopy/sink.h"
#include "precopy/survey.h"
#include "tests/procguest/guest.h"
#include "tests/procguest/relay.h"

struct pg_move;

/* Set by the test before pg_move_start(). */
struct pg_opts {
    /* In the source's engine's process: around() runs engine() in an environment of its own;
     * source_tick() is called at each of its ticks, and -1 ends the move as the engine's own
     * tick does. NULL: just run it. */
    void (*around)(struct pg_move *m, void (*engine)(struct pg_move *m));
    int (*source_tick)(struct pg_move *m, const struct xf_server_status *status,
                       struct xf_err *err);
    enum xf_mode mode;
    bool linear;      /* PULL without regard to the faults */
    int quiet_ms;     /* of PULL: no pushing for this long */
    double page_rate; /* rate of the link passed to PULL; 0: that of COPY */
    int stranger_ms;  /* as xf_gone.limit_ms; 0: never */
    int silent_ms;
    int timeout_ms;      /* of a handshake; 0: long */
    int call_ms;         /* how long the sink waits for the source to connect; 0: SOON_MS */
    int done_ms;         /* how long the sink waits for a lost source when it has every page */
    bool relayed;        /* through pg_move.relay */
    uint64_t relay_rate; /* as pg_relay.rate */
    uint64_t pull_rate;  /* the same from the first moment of PULL; 0: unchanged */
    unsigned protocol;   /* version of the wire protocol; 0: the newest */
    unsigned channels;
    bool encrypt;
    struct xf_compress_opts compress; /* default: auto, the destination supports all */
    bool garbage;                     /* fresh memory at the sink is full of garbage */
    bool small;                       /* the sink is not told which ranges may be large pages */
    bool whole;                       /* without the hole */
    bool resident;                    /* the sink's memory is allocated before the move */
    uint64_t wait_ns;                 /* how long the guest runs before COPY, below 1 s */
    const char *netns[2];             /* of source and sink: path of a network namespace, or NULL */
    const char *addr;                 /* where the sink listens */
    int stall_ms;
    int sink_stall_ms; /* of the sink; 0: the same */
    double confirm_s;  /* as xf_copy_opts */
    int reconnect_ms;  /* COPY: how long to try when the link is lost; 0: not at all */
    struct xf_policy policy;
    uint64_t bandwidth;
    bool foresee;            /* before the move, do what --check does */
    uint64_t host_bandwidth; /* shared with other moves of the same run directory; 0: none */
    bool told;               /* both engines answer migrate-status, for a domain PG_NAME */
};
#define PG_NAME "process-guest"
/* The time that the sink reports for the guest's network, which does not exist. */
#define PG_HELD_NS 123456u

/* How it ended, as each engine saw it. */
struct pg_source_end {
    bool done;
    enum xf_switch_end end;
    bool pulled;           /* reached PULL */
    enum xf_pull_end pull; /* and how that ended */
    bool resumed;          /* because the guest was let run at the source */
    uint64_t left_out;     /* pages missing at GO */
    uint64_t pushed, answered;
    struct xf_pulled told;        /* the sink's last report */
    struct xf_cost_sum map, copy; /* as xf_server_status */
    uint64_t packed;              /* of pushed: those sent compressed */
    double pull_s;
    struct xf_outage outage; /* links lost in PULL */
    struct xf_err err;
    struct xf_copy_status status;
    struct xf_switch_times times;
    struct xf_sent sent;
    double copy_s; /* first round until COPY ended */
    uint64_t wire_bytes;
    double total_s;   /* until the destination had everything */
    double cpu_s;     /* of the engine's process, user and system, since it was connected */
    uint64_t own_kib; /* memory of its own at the end, the guest's not counted */
    /* with opts.foresee */
    struct xf_survey survey;
    struct xf_speed speed;
    struct xf_forecast forecast;
};
struct pg_sink_end {
    bool done;
    enum xf_sink_end end;
    bool pulled;
    enum xf_pull_end pull;
    bool knows;              /* XF_PULL_ENDED: the source has said that it knows */
    struct xf_pulled status; /* as it ended */
    uint64_t mean_ns;        /* from a fault until its page was there */
    double cpu_s;
    uint64_t own_kib;
    struct xf_err err;
};

/* Where the source's engine kills itself, and the sink waits for that. */
enum pg_die {
    PG_LIVES,
    PG_DIES_BEFORE_GO, /* GO is in the record, but not sent */
    PG_DIES_AFTER_GO,  /* GO has arrived, its answer is not sent yet */
};

/* In shared memory, like everything of a process guest. */
struct pg_move {
    struct pg_opts opts;
    struct pg_truth *truth;
    struct pg_guest *src, *dst;
    uint64_t rings[2];
    _Atomic uint32_t port; /* where the sink listens */
    _Atomic bool committed;
    _Atomic bool copying;        /* the source has reached COPY */
    _Atomic bool pulling;        /* the source is in PULL */
    _Atomic uint32_t lost[2];    /* links lost in PULL, as source and sink saw it */
    _Atomic uint64_t missing;    /* PULL: pages that the sink lacks */
    _Atomic bool copied;         /* COPY: pages have been sent */
    _Atomic uint32_t relinks[2]; /* links made again in COPY, as source and sink saw it */
    _Atomic uint32_t after_end;  /* ticks of the sink since it has found the guest gone */
    _Atomic bool give_up;        /* the ticks of both engines fail */
    _Atomic bool hung_up;        /* the source's engine has ended; a sink would see the pipe end */
    enum pg_die die;             /* set before the start */
    _Atomic bool go_held;        /* PG_DIES_AFTER_GO: the sink has GO and waits */
    char dir[64];                /* of the source's record (libxl-ext/moves/record.h) */
    uint32_t found;              /* the record's state as found by a source that took over */
    struct pg_relay *relay;      /* with opts.relayed */
    pid_t source_pid, sink_pid;
    struct pg_source_end source;
    struct pg_sink_end sink;
};

/*
 * A guest of nr_gfns pages with a hole of 1/16 of them at its middle and two rings at its end,
 * running nothing; the copy at the sink has nothing but its rings.
 */
struct pg_move *pg_move_new(uint64_t nr_gfns, unsigned nr_vcpus);
/* Fill the source's memory; pg_move_start() does it if it was not done. */
void pg_move_fill(struct pg_move *m);
/* Start the guests' processes, the source's vCPUs running, and both engines. */
void pg_move_start(struct pg_move *m);
/* End an engine at once; start another source that continues PULL from the record. It fails with
 * the error of the last attempt when no sink listens. */
void pg_move_kill_source(struct pg_move *m);
void pg_move_kill_sink(struct pg_move *m);
void pg_move_take_over(struct pg_move *m);
/* Wait until both engines have ended. Returns false and says why if one of them died. */
bool pg_move_wait(struct pg_move *m);
/* Stops the live copy and compares it with the truth. Returns the differences found here and by
 * the vCPUs as they ran. */
uint64_t pg_move_check(struct pg_move *m, struct pg_guest *where);
void pg_move_free(struct pg_move *m);

#endif
