/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library behind the command, as tools/ calls it. Not installed, and no promise to anybody
 * else: who wants to move domains calls `xl migrate --json` (docs/architecture.md, "The
 * interface"). Nothing here prints, exits or reads a terminal.
 *
 * Calls take messages of up to XF_META_MAX (64 KiB) on their stack, several frames deep, and start
 * threads that do: the usual 8 MiB are enough. One move per process.
 *
 * A move has six phases (docs/design.md): CHECK, SKELETON, COPY, SWITCH, PULL, FINISH.
 * xf_move() runs them from the source; xf_receive() answers at the destination.
 */
#ifndef XF_LIBXL_EXT_H
#define XF_LIBXL_EXT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "pages/mode.h"
#include "transport/err.h"

enum xf_phase {
    XF_PHASE_CHECK,
    XF_PHASE_SKELETON,
    XF_PHASE_COPY,
    XF_PHASE_SWITCH,
    XF_PHASE_PULL, /* post-copy only */
    XF_PHASE_FINISH,
    XF_PHASES
};
const char *xf_phase_name(enum xf_phase p); /* "CHECK", ... */

/* Where a call of xf_move() left the guest. The values are xl migrate's exit codes. */
enum xf_outcome {
    XF_MOVED = 0,   /* runs (or is paused, as asked) at the destination */
    XF_REFUSED = 1, /* nothing was touched: CHECK refused, or the peer is no peer */
    XF_STAYED = 3,  /* the move failed before the suspend: the guest never stopped */
    XF_RESUMED = 4, /* the move failed in SWITCH: the guest was resumed at the source */
    /* Suspended at the source. GO was sent and no answer came; or (xf_report.ran_there) the guest
     * ran at the destination, and what became of it there cannot be known from here. */
    XF_UNKNOWN = 5,
    XF_SUSPENDED = 6, /* the move failed and the guest could not be resumed at the source */
    XF_PULLING = 7,   /* runs at the destination, but waits for pages that only lie here */
    /* The guest has ended at the source before it was moved, or somebody else has suspended it
     * (xf_report.here says which). Nothing of it is at the destination. */
    XF_ENDED = 8,
};

/* How a guest is at the source when a move has failed. */
enum xf_here {
    XF_HERE_UNKNOWN, /* nobody has looked: it was moved, or nothing was touched */
    XF_HERE_RUNS,
    XF_HERE_PAUSED, /* by somebody else; the rest as well */
    XF_HERE_SUSPENDED,
    XF_HERE_POWEROFF,
    XF_HERE_REBOOT,
    XF_HERE_CRASHED,
    XF_HERE_WATCHDOG,
    XF_HERE_DESTROYED,
    XF_HERES
};
const char *xf_here_word(enum xf_here here); /* "running", "crashed", ...; NULL: unknown */

#define XF_RDMA_BUFFER_MIB_MAX 1024u
/* How long COPY tries to connect again when its link is lost, seconds: the default, the most. */
#define XF_RECONNECT_S 60u
#define XF_RECONNECT_MAX_S 3600u

/* How guest memory travels. */
enum xf_transport {
    XF_TRANSPORT_TCP,
    XF_TRANSPORT_RDMA, /* or not at all */
    XF_TRANSPORT_AUTO, /* RDMA if both ends can, else TCP; and TCP when RDMA is lost in COPY */
};
enum xf_encryption {
    XF_ENCRYPT_USUAL, /* TCP is encrypted, RDMA is not */
    XF_ENCRYPT_YES,
    XF_ENCRYPT_NO,
};

/* Something CHECK found. */
enum xf_severity { XF_INFO, XF_WARNING, XF_REFUSAL };
struct xf_finding {
    enum xf_severity severity;
    char code[24];  /* stable word for programs, e.g. "memory", "cpu-policy", "name" */
    char text[400]; /* one sentence that names the remedy */
};

/* State of a running move, for progress displays. Sizes in pages of 4096 bytes. */
struct xf_progress {
    enum xf_phase phase;
    unsigned round;          /* COPY: 1, 2, ... */
    uint64_t round_pages;    /* pages this round set out to send */
    uint64_t round_done;     /* of them, handled so far */
    uint64_t pages_sent;     /* all rounds, with their bytes */
    uint64_t pages_zero;     /* all rounds, as marks */
    uint64_t wire_bytes;     /* on the data connections */
    double elapsed_s;        /* since the move began */
    double rate_bps;         /* guest memory moved, bytes per second, recent */
    double dirty_pps;        /* pages the guest dirties, per second, recent */
    double predicted_down_s; /* if SWITCH began now; negative: not known yet */
    double eta_s;            /* negative: not known */
    uint64_t left_out;       /* PULL: pages missing at GO */
    uint64_t missing;        /* PULL: pages that the destination lacks */
    uint64_t faults;         /* PULL: absent pages that were touched before they came */
};

/* What a page of PULL cost, seconds of one thread, each a mean; negative: nothing was
 * measured. See docs/xl-migrate.1. */
struct xf_page_costs {
    double populate_s, evict_s; /* destination, before GO */
    double prep_s, copy_s;      /* destination, in PULL */
    double source_map_s, source_copy_s;
};

/* What a move reports at its end; also filled as far as known when it fails. */
struct xf_report {
    enum xf_outcome outcome;
    char domain[160]; /* its name here, as it is when the move has ended */
    char host[256];
    char transport[16]; /* "tcp" or "rdma"; empty: not chosen yet */
    char mode[12];      /* "precopy", "hybrid" or "postcopy", as it was possible; empty: it
                           did not come to COPY */
    char fallback[300]; /* empty, or why and when COPY went on over `transport` */
    bool encrypted;     /* all guest memory was, on every transport used */
    char cipher[64];    /* of `transport`; empty when not encrypted */
    unsigned channels;
    double total_s;
    double phase_s[XF_PHASES];
    double downtime_s;       /* source's clock: from the suspend request to "it runs"; < 0: none */
    double predicted_down_s; /* what the policy predicted when it chose to switch */
    char switch_reason[80];  /* why COPY ended */
    /* SWITCH's parts, seconds on the source's clock */
    double suspend_s;    /* guest asked to suspend until it has */
    double last_dirty_s; /* reading the last dirty log */
    double last_pages_s; /* sending the last pages until all are in place there */
    double resume_s;     /* GO until the destination says that it runs */
    unsigned rounds;
    double rounds_s; /* sending them; the rest of COPY waited for the destination's devices */
    uint64_t guest_pages;
    uint64_t pages_sent, pages_zero, pages_skipped; /* skipped: dirty again before their turn;
                                                     * sent: also in PULL */
    uint64_t last_pages;                            /* sent in SWITCH */
    uint64_t wire_bytes;
    /* Of the pages sent until GO; those of neither went as they were. */
    uint64_t lz4_pages, zstd_pages;
    uint64_t packed_bytes; /* what these pages became */
    double pack_s;         /* sum over the sending threads: compressing, and trying it */
    /* PULL; all 0 when there was none */
    uint64_t left_out;  /* pages missing at GO */
    uint64_t faults;    /* absent pages that were touched before they came */
    uint64_t requested; /* of these, asked for over the network */
    double fault_median_s, fault_p99_s;
    struct xf_page_costs page;
    double disks_s; /* of the downtime, beside the last pages: writing back disks that QEMU serves;
                       0: there are none */
    double network_held_s; /* the guest's network waited for, from GO on; 0: it has none */
    /* Links lost and made again. COPY: time without one, since that was noticed. PULL (those
     * that brought pages again): since the destination was heard last until it answered, and
     * from then until pages came (the longest). */
    unsigned copy_reconnects, pull_reconnects;
    double copy_away_s, pull_away_s, pull_longest_s, pull_recovery_s;
    bool ran_there;    /* it did, for certain: what lies here is older than its disks */
    bool ended_there;  /* and has ended before all its pages were there */
    enum xf_here here; /* how the guest is at the source, after a move that failed */
    /* XF_STAYED: it has taken a suspend request that was given up, and may still suspend: then
     * xf_resume_here(). */
    bool may_stop;
    bool hopeless; /* XF_PULLING: and its missing pages cannot come any more */
    /* Somebody has let it run here, too, after GO; here it is paused. With XF_PULLING it lacks
     * pages there, which cannot come any more, and was paused there as well if that host could be
     * told; with XF_UNKNOWN it has all its pages there, or that is not known. */
    bool ran_twice;
    bool monitor_lost; /* it runs here, and xl's process that watched it has ended */
    uint64_t work_requests, completions; /* RDMA: those of the source */
};

/* How the caller watches a move. Any member may be NULL. Called from the thread that
 * called xf_move(), at most some ten times a second. */
struct xf_watch {
    void *priv;
    void (*finding)(void *priv, const struct xf_finding *f);
    void (*progress)(void *priv, const struct xf_progress *p);
    void (*note)(void *priv, const char *sentence); /* worth a line of its own */
};

struct xf_move_opts {
    const char *domain;       /* name or number */
    const char *host;         /* destination as given; with ssh_command "" the whole rune */
    const char *ssh_command;  /* NULL: "ssh" */
    const char *receive_args; /* appended to "xl migrate-receive", e.g. " -e"; NULL: none */
    const char *xl_args;      /* put between "xl" and "migrate-receive", e.g. " -vvv"; NULL: none */
    const char *config_file;  /* -C: configuration sent instead of the running one; NULL */
    const char *real_xl;      /* the distribution's xl, which reads config_file; else unused */
    bool preserve_domid;      /* -D */
    bool leave_paused;        /* -p */
    bool check_only;          /* stop after CHECK */
    enum xf_transport transport;
    enum xf_encryption encrypt;
    unsigned rdma_buffer_mib; /* RDMA: ring of one bulk channel, each side; 0: found out */
    unsigned rdma_poll_us;    /* RDMA: busy polling before a thread sleeps */
    enum xf_mode mode;        /* hybrid (default) is pre-copy where paging is impossible */
    unsigned postcopy_after;  /* hybrid: rounds before the switch at most; 0: max_rounds */
    enum xf_compress compress;
    unsigned channels;        /* bulk channels, 1..16 */
    unsigned max_downtime_ms; /* target for the policy */
    unsigned max_rounds;
    unsigned reconnect_s; /* COPY: a lost link is tried for so long, without progress; 0: not */
    uint64_t bandwidth;   /* bytes per second of guest memory, 0 = no limit */
    const char *address;  /* data connections at the source: an address, a network
                              interface or an RDMA device; NULL: whatever leads there */
    /* Counted up by a signal handler for each time that somebody asks to give up (Ctrl-C), or
     * XF_HUNG_UP. Before GO the guest stays, whichever it is; in PULL the first one is answered by
     * a note, and only one that comes after that gives up. */
    const volatile sig_atomic_t *cancel;
};
/* For `cancel`: whoever began the move has gone, and has asked for nothing. */
#define XF_HUNG_UP (-1)
/* The defaults of every option that has one; pointers NULL. */
void xf_move_opts_init(struct xf_move_opts *o);

/*
 * Move a domain. Returns the outcome, which is also in report->outcome; `err` says what
 * failed when it is not XF_MOVED. Blocks until the move has ended. One at a time per
 * process and domain; a second one for the same domain is refused. With check_only the
 * answer is XF_MOVED when nothing stands against the move.
 */
enum xf_outcome xf_move(const struct xf_move_opts *o, const struct xf_watch *w,
                        struct xf_report *report, struct xf_err *err);

struct xf_receive_opts {
    int in_fd, out_fd;        /* the bootstrap: two ends of any byte pipe */
    const char *real_xl;      /* path of the distribution's xl */
    const char *xl_args;      /* extra arguments for it, e.g. "-e"; NULL: none */
    bool leave_paused;        /* -p was given on migrate-receive's command line */
    const char *addresses[8]; /* where the data connections may come in; none: found out */
    unsigned nr_addresses;
    uint16_t port;            /* 0: any */
    uint16_t port_last;       /* the first free one from `port` to this; 0: `port` alone */
    unsigned rdma_buffer_mib; /* as in xf_move_opts; 0: as the source asks */
    unsigned rdma_poll_us;
};

/*
 * Serve one incoming move of ours: the source's preamble has been seen on in_fd but not
 * consumed. Returns 0 when the domain runs here (or the source was told why it cannot come), -1
 * when not. Blocks until it ended.
 *
 * It takes the calling process over, which should be one of its own, with one thread, and end
 * afterwards: it forks the sink, makes this process a subreaper (prctl(2); so it stays), and closes
 * in_fd and out_fd as soon as the source has its reply, though not if it fails before that. What
 * the sink hands it stays open until the process ends: the locks of the move. SIGPIPE must be
 * ignored.
 */
int xf_receive(const struct xf_receive_opts *o, struct xf_err *err);

/*
 * Serve it not at all: take the source's hello and answer that the destination cannot receive, and
 * why. For callers that fail between the preamble and xf_receive(), which does the same when it
 * cannot begin. The descriptors stay the caller's. SIGPIPE must be ignored, as for xf_receive().
 */
void xf_receive_refuse(int in_fd, int out_fd, const struct xf_err *why);

struct xf_recover_opts {
    const char *domain; /* name or number, of the domain that lies suspended here */
    const char *host;   /* NULL: wherever it went; else it must be the one it went to */
    const volatile sig_atomic_t *cancel; /* as in xf_move_opts */
};

/*
 * Finish a move whose process died, or gave up, after GO may have been sent (`xl
 * migrate-recover`): bring the pages that the destination lacks, destroy the suspended domain.
 * Nothing is destroyed that the destination does not have whole. Outcomes and `err` as of
 * xf_move(); what they mean here:
 *
 *   XF_MOVED      finished
 *   XF_REFUSED    there is nothing to finish here, or a living process is at it
 *   XF_UNKNOWN    the destination could not be asked, or had no clear answer: as before; or the
 *                 guest has run on both hosts (xf_report.ran_twice)
 *   XF_SUSPENDED  the guest does not run there: xf_resume_here() may be called
 *   XF_PULLING    the guest runs there, and pages are still missing: call again
 */
enum xf_outcome xf_recover(const struct xf_recover_opts *o, const struct xf_watch *w,
                           struct xf_report *report, struct xf_err *err);

/*
 * Let a domain that a failed move left suspended run here again (`xl migrate-recover
 * --resume`), under its own name. Refused if the move's record says that it may run at the
 * destination, unless the destination says that it does not; and while the move's process
 * lives. `force`: whatever the record says; for a destination that is off or cannot be asked.
 * Without a record (of a stock move, or of an earlier boot) the caller has made sure; one of this
 * boot that is not of this domain's last move needs `force`. The guest has no monitor of xl's then
 * (xf_report.monitor_lost).
 */
int xf_resume_here(const char *domain, bool force, struct xf_err *err);

/*
 * The first bytes of every move of ours on the bootstrap pipe (followed by more; see
 * docs/wire-protocol.md), against which migrate-receive decides who serves.
 */
#define XF_PREAMBLE "Xenferry move, protocol 1\n"
/* xl's own banner, which every receiver writes first (xl_migrate.c, without its NUL). */
#define XF_XL_BANNER "xl migration receiver ready, send binary domain data.\n"

#endif
