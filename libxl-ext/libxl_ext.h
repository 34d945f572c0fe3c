/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library behind the command, as tools/ calls it. Not installed, and not a stable interface:
 * other programs call `xl migrate --json` (docs/architecture.md, "The interface"). Nothing here
 * prints, exits or reads a terminal.
 *
 * Calls keep messages of up to XF_META_MAX (64 KiB) on the stack, several frames deep, as do the
 * threads they start: the usual 8 MiB are enough. One move per process.
 *
 * A move has these phases (docs/design.md): CHECK, DISKS, SKELETON, COPY, SWITCH, PULL, FINISH.
 * xf_move() runs them from the source; xf_receive() answers at the destination.
 */
#ifndef XF_LIBXL_EXT_H
#define XF_LIBXL_EXT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "disks/place.h"
#include "pages/mode.h"
#include "transport/err.h"

/* "4.17": the release of Xen whose libraries this was built with. A move refuses to run on another.
 */
const char *xf_xen_release(void);

enum xf_phase {
    XF_PHASE_CHECK,
    XF_PHASE_DISKS, /* with disks only */
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
    XF_REFUSED = 1, /* nothing was touched: CHECK refused, or there is no valid peer */
    XF_STAYED = 3,  /* the move failed before the suspend: the guest never stopped */
    XF_RESUMED = 4, /* the move failed in SWITCH: the guest was resumed at the source */
    /* Suspended at the source. GO was sent and no answer arrived; or (xf_report.ran_there) the
     * guest ran at the destination, and its present state there is unknown. */
    XF_UNKNOWN = 5,
    XF_SUSPENDED = 6, /* the move failed and the guest could not be resumed at the source */
    XF_PULLING = 7,   /* runs at the destination, but lacks pages that exist only here */
    /* The guest ended at the source before it was moved, or somebody else suspended it
     * (xf_report.here says which). Nothing of it exists at the destination. */
    XF_ENDED = 8,
    /* Runs at the destination with all its memory, but a PCI device that was to be attached there
     * is not, or that is not known (xf_move_opts.detach_pci). */
    XF_UNPLUGGED = 9,
};

/* The guest's state at the source after a failed move. */
enum xf_here {
    XF_HERE_UNKNOWN, /* not looked at: it was moved, or nothing was touched */
    XF_HERE_RUNS,
    XF_HERE_PAUSED, /* not by the move; nor are the states below */
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
/* Seconds for which COPY tries to replace a lost link: default and maximum. */
#define XF_RECONNECT_S 60u
#define XF_RECONNECT_MAX_S 3600u

struct xf_history;

/* How guest memory travels. */
enum xf_transport {
    XF_TRANSPORT_TCP,
    XF_TRANSPORT_RDMA, /* no fallback */
    XF_TRANSPORT_AUTO, /* RDMA if both ends can, else TCP; TCP also once RDMA is lost in COPY */
};
enum xf_encryption {
    XF_ENCRYPT_USUAL, /* TCP is encrypted, RDMA is not */
    XF_ENCRYPT_YES,
    XF_ENCRYPT_NO,
};

/* Something CHECK found. */
enum xf_severity { XF_INFO, XF_WARNING, XF_REFUSAL };
/* What else could move a guest that is refused. */
enum xf_otherwise {
    XF_NOTHING,
    XF_COLD,  /* a cold move */
    XF_STOCK, /* stock xl, and so a cold move, too: the reason is one of Xenferry's only */
};
struct xf_finding {
    enum xf_severity severity;
    enum xf_otherwise otherwise;
    char code[24];  /* stable word for programs, e.g. "memory", "cpu-policy", "name" */
    char text[400]; /* one sentence that names the remedy */
};

/* Disks that move with their guest. */
#define XF_MOVE_DISKS_MAX 7u
#define XF_VDEV 16u /* size of a disk's name, "xvda" */

/* One that moves, as asked for. */
struct xf_disk_wish {
    char vdev[XF_VDEV];
    char target[XF_DISK_PATH]; /* as in xf_place_choose(); empty: the destination chooses */
};

/* All of them together, while they move. */
struct xf_disks_progress {
    unsigned nr;          /* 0: none moves */
    unsigned ready;       /* of these, whose copies follow every write */
    uint64_t bytes, left; /* to copy in all, so far as is known; and still */
    uint64_t checked, of; /* DISKS: bytes compared, in this pass over one of them; of 0: none */
};

/* What became of one. */
struct xf_disk_report {
    char vdev[XF_VDEV];
    char source[512]; /* its image here; its new name, once it was renamed */
    char target[XF_DISK_PATH];
    bool kept;      /* the image here is kept, under the name `source` */
    uint64_t bytes; /* its size */
    uint64_t used;  /* of them, with blocks of their own here */
    uint64_t free;  /* in the destination's store, before */
    uint64_t sent;  /* on the wire, both ways */
    uint64_t left;  /* not at the destination when the guest was suspended */
    bool ready, verified;
    double drained_s;  /* from the suspend until all was there; < 0: not reached */
    uint64_t again;    /* chunks that were compared more than once */
    double forecast_s; /* --check: to copy it; < 0: not known */
};

/* State of a running move, for progress displays. Sizes in pages of 4096 bytes. */
struct xf_progress {
    enum xf_phase phase;
    unsigned round;          /* COPY: 1, 2, ... */
    uint64_t round_pages;    /* pages this round set out to send */
    uint64_t round_done;     /* of them, handled so far */
    uint64_t pages_sent;     /* all rounds, with content */
    uint64_t pages_zero;     /* all rounds, as markers */
    uint64_t wire_bytes;     /* on the data connections */
    double elapsed_s;        /* since the move began */
    double rate_bps;         /* guest memory moved, bytes per second, recent */
    double dirty_pps;        /* pages the guest dirties, per second, recent */
    double predicted_down_s; /* if SWITCH began now; negative: not known yet */
    double eta_s;            /* negative: not known */
    uint64_t left_out;       /* PULL: pages missing at GO */
    uint64_t missing;        /* PULL: pages that the destination lacks */
    uint64_t faults;         /* PULL: absent pages touched before they arrived */
    struct xf_disks_progress disks;
};

/* Cost of a page in PULL: mean seconds of one thread; negative: not measured. See
 * docs/xl-migrate.1. */
struct xf_page_costs {
    double populate_s, evict_s; /* destination, before GO */
    double prep_s, copy_s;      /* destination, in PULL */
    double source_map_s, source_copy_s;
};

/* What a move would take, or was to take: with --check from a short look at the guest and a
 * measurement of the link; of a move from what COPY knew early in its first round. < 0, or
 * UINT64_MAX: not known. */
struct xf_outlook {
    bool taken;     /* there is one: all of it is 0 otherwise */
    double at_s;    /* of a move: when it was taken, since the move began */
    double total_s; /* the whole move, until the destination has all pages */
    double downtime_s;
    double bytes;    /* on the wire */
    unsigned rounds; /* of COPY */
    double left_out; /* pages that follow after the switch */
    /* --check only, from here on. */
    char mode[12];              /* as in xf_report */
    char why[200];              /* why that mode, in a sentence without a full stop */
    double link_bytes_per_s;    /* as measured; encryption included */
    char network[32];           /* interface here; empty: not known */
    double line_bytes_per_s;    /* of its line, as its driver says */
    char faster_network[32];    /* one here that is faster and lies idle; empty: none is known */
    double faster_bytes_per_s;  /* of its line */
    double look_s;              /* how long the dirty log was looked at */
    double dirty_pages_per_s;   /* pages that the guest wrote in the first second of that */
    uint64_t working_set_pages; /* ... in all of it, each counted once */
    uint64_t guest_pages;
    double zero_part; /* of the pages, as sampled */
    double slowdown;  /* cost of the look to the guest: part of one vCPU's time in it, estimated */
    uint64_t memory_needed_kib, memory_free_kib; /* at the destination */
};

#define XF_FAULT_BUCKETS 24u

/* What a move reports at its end; also filled as far as known when it fails. */
struct xf_report {
    enum xf_outcome outcome;
    char domain[160]; /* its name here once the move has ended */
    char host[256];
    char transport[16]; /* "tcp" or "rdma"; empty: not chosen yet */
    char mode[12];      /* "precopy", "hybrid" or "postcopy", whichever was possible, or "cold";
                         * empty: COPY was not reached */
    char fallback[300]; /* empty, or when and why COPY fell back to `transport` */
    bool encrypted;     /* all guest memory was, on every transport used */
    char cipher[64];    /* of `transport`; empty when not encrypted */
    unsigned channels;
    double total_s;
    double waited_s; /* of it, until both hosts took part in fewer moves than their limits */
    double phase_s[XF_PHASES];
    double downtime_s;       /* source's clock: from the suspend request to "it runs"; < 0: none */
    double predicted_down_s; /* what the policy predicted when it chose to switch */
    char switch_reason[80];  /* why COPY ended */
    /* SWITCH's parts, seconds on the source's clock */
    double suspend_s;    /* suspend request until the guest is suspended */
    double last_dirty_s; /* reading the last dirty log */
    double last_pages_s; /* sending the last pages, until all are in place */
    double resume_s;     /* GO until the destination reports it running */
    unsigned rounds;
    double rounds_s; /* sending them; the rest of COPY waited for the destination's devices */
    uint64_t guest_pages;
    /* Of them, in ranges of 2 MiB that were there as a whole (0: not looked), and in large pages at
     * the destination by GO. */
    uint64_t whole_pages, large_pages;
    uint64_t pages_sent, pages_zero, pages_skipped; /* skipped: dirty again before their turn;
                                                     * sent: also in PULL */
    uint64_t last_pages;                            /* sent in SWITCH */
    uint64_t wire_bytes;
    /* Of the pages sent before GO; the others went uncompressed. */
    uint64_t lz4_pages, zstd_pages;
    uint64_t packed_bytes; /* compressed size of these pages */
    double pack_s;         /* compressing and attempts at it, summed over the sending threads */
    /* PULL; all 0 when there was none */
    uint64_t left_out;  /* pages missing at GO */
    uint64_t faults;    /* absent pages touched before they arrived */
    uint64_t requested; /* of these, asked for over the network */
    double fault_median_s, fault_p99_s;
    /* Faults by the time until their page was in, in the buckets of QEMU's postcopy-latency-dist: N
     * has those of [2^N, 2^(N+1)) us, the last also longer ones. */
    bool has_latency; /* the destination reported them */
    uint64_t latency[XF_FAULT_BUCKETS];
    struct xf_page_costs page;
    double disks_s; /* of the downtime, alongside the last pages: writing back disks that QEMU
                     * serves; 0: no such disks */
    double network_held_s; /* the guest's network waited for, from GO on; 0: it has none */
    /* Links lost and replaced. COPY: time without a link, counted from when the loss was noticed.
     * PULL (only links that brought pages again): from the destination's last message until it
     * answered, and from then until pages arrived (the longest). */
    unsigned copy_reconnects, pull_reconnects;
    double copy_away_s, pull_away_s, pull_longest_s, pull_recovery_s;
    bool ran_there;    /* the guest certainly ran there: the memory here is older than its disks */
    bool ended_there;  /* and ended before all its pages had arrived */
    enum xf_here here; /* the guest's state at the source after a failed move */
    /* XF_STAYED: the guest accepted a suspend request that was given up, and may still suspend; if
     * so, call xf_resume_here(). */
    bool may_stop;
    /* XF_REFUSED, with xf_move_opts.or_stock: stock xl may be able to move it, since the reason is
     * only one of Xenferry's. No refusal was given to xf_watch. */
    bool stock_can;
    bool hopeless; /* XF_PULLING: its missing pages can no longer arrive */
    /* Somebody let the guest run here as well after GO; it is now paused here. XF_PULLING: at the
     * destination it lacks pages that can no longer arrive, and it was paused there too if that
     * host could be told. XF_UNKNOWN: it has all its pages there, or that is not known. */
    bool ran_twice;
    bool monitor_lost; /* it runs here, but the xl process that monitored it has ended */
    uint64_t work_requests, completions; /* RDMA: those of the source */
    struct xf_outlook forecast;
    struct xf_disk_report disks[XF_MOVE_DISKS_MAX];
    unsigned nr_disks;
    bool all_disks; /* with disks: those that move are all that the guest can write to */
};

/* How the caller watches a move. Any member may be NULL. Called from the thread that called
 * xf_move(), at most about ten times a second. */
struct xf_watch {
    void *priv;
    void (*finding)(void *priv, const struct xf_finding *f);
    void (*progress)(void *priv, const struct xf_progress *p);
    void (*note)(void *priv, const char *sentence); /* worth a line of its own */
};

/* A PCI device by its address, in full and in lower case: "0000:05:00.0". */
#define XF_PCI_ADDR 13
#define XF_PCI_MAX 16u
struct xf_pci_pair {
    char here[XF_PCI_ADDR];
    char there[XF_PCI_ADDR]; /* empty: none */
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
    bool late_devices;        /* attach the devices in SWITCH, not ahead */
    bool cold;                /* the guest may stand still: move it by stock xl's stream */
    /* Detach its PCI devices, and attach others there when it runs: those of pci[], for all others
     * the one of the same address, or with pci_none none. */
    bool detach_pci, pci_none;
    struct xf_pci_pair pci[XF_PCI_MAX];
    unsigned nr_pci;
    /* Disks that move, too: those of disks[], and with all_disks every other one that can. */
    bool all_disks;
    struct xf_disk_wish disks[XF_MOVE_DISKS_MAX];
    unsigned nr_disks;
    uint64_t disk_bandwidth; /* bytes per second of all of them together, 0: no limit */
    bool throttle_disks;     /* slow the guest's writes if they outrun the copy */
    bool no_verify_disks;    /* do not compare the copies */
    bool delete_source;      /* remove the images here at the end, instead of renaming them */
    bool or_stock;           /* the caller can use stock xl instead: see xf_report.stock_can */
    enum xf_transport transport;
    enum xf_encryption encrypt;
    unsigned rdma_buffer_mib; /* RDMA: ring of one bulk channel, each side; 0: automatic */
    unsigned rdma_poll_us;    /* RDMA: busy polling before a thread sleeps */
    enum xf_mode mode;        /* hybrid (default) is pre-copy where paging is impossible */
    unsigned postcopy_after;  /* hybrid: maximum rounds before the switch; 0: max_rounds */
    enum xf_compress compress;
    unsigned channels;        /* bulk channels, 1..16 */
    unsigned max_downtime_ms; /* target for the policy */
    unsigned max_rounds;
    unsigned reconnect_s;    /* COPY: seconds to retry a lost link without progress; 0: never */
    uint64_t bandwidth;      /* bytes per second of guest memory, 0 = no limit */
    uint64_t host_bandwidth; /* the same, of all moves from this host together */
    unsigned moves;          /* this host's limit of moves at a time, 1..64; 0: the usual one */
    int wait_s;              /* how long to wait while a host has as many moves; < 0: for ever */
    const char *address; /* data connections at the source: an address, a network interface or an
                          * RDMA device; NULL: by the route to the destination */
    /* Incremented by a signal handler for each request to give up (Ctrl-C), or XF_HUNG_UP; made 1
     * by `xl migrate-cancel`. Before GO either one keeps the guest here; in PULL the first request
     * is answered by a note, and only a later one gives up. */
    volatile sig_atomic_t *cancel;
    /* Of the caller: its course is recorded there (moves/history.h). NULL: it is not. */
    struct xf_history *history;
};
/* For `cancel`: whoever began the move has gone without asking for anything. */
#define XF_HUNG_UP (-1)
/* The defaults of every option that has one; pointers NULL. */
void xf_move_opts_init(struct xf_move_opts *o);

/*
 * Move a domain. Returns the outcome, which is also in report->outcome; `err` says what failed when
 * it is not XF_MOVED. Blocks until the move has ended. One at a time per process and domain; a
 * second one for the same domain is refused. With check_only it returns XF_MOVED when nothing
 * prevents the move.
 */
enum xf_outcome xf_move(const struct xf_move_opts *o, const struct xf_watch *w,
                        struct xf_report *report, struct xf_err *err);

struct xf_receive_opts {
    int in_fd, out_fd;        /* the bootstrap: two ends of any byte pipe */
    const char *real_xl;      /* path of the distribution's xl */
    const char *xl_args;      /* extra arguments for it, e.g. "-e"; NULL: none */
    bool leave_paused;        /* -p was given on migrate-receive's command line */
    const char *addresses[8]; /* to listen on for data connections; none given: automatic */
    unsigned nr_addresses;
    unsigned moves;           /* this host's limit of moves at a time, 1..64; 0: the usual one */
    uint16_t port;            /* 0: any */
    uint16_t port_last;       /* the first free one from `port` to this; 0: `port` alone */
    unsigned rdma_buffer_mib; /* as in xf_move_opts; 0: as the source asks */
    unsigned rdma_poll_us;
    struct xf_stores stores; /* where disks may be put; none: they are refused */
};

/*
 * Serve one incoming Xenferry move: the source's preamble has been seen on in_fd but not consumed.
 * Returns 0 when the domain runs here (or the source was told why it cannot be moved), else -1.
 * Blocks until the move has ended.
 *
 * It takes over the calling process, which should be dedicated to it, single-threaded, and end
 * afterwards: it forks the sink, makes this process a subreaper for good (prctl(2)), and closes
 * in_fd and out_fd as soon as the source has its reply, but not if it fails before that. The move's
 * locks, which the sink hands over, stay open until the process ends. SIGPIPE must be ignored.
 */
int xf_receive(const struct xf_receive_opts *o, struct xf_err *err);

/*
 * Refuse an incoming move: read the source's hello and answer that the destination cannot receive,
 * and why. For callers that fail between the preamble and xf_receive(), which does the same when it
 * cannot begin. The descriptors stay the caller's. SIGPIPE must be ignored, as for xf_receive().
 */
void xf_receive_refuse(int in_fd, int out_fd, const struct xf_err *why);

struct xf_recover_opts {
    const char *domain;            /* name or number of the domain suspended here */
    const char *host;              /* NULL: whichever it went to; else must be that one */
    volatile sig_atomic_t *cancel; /* as in xf_move_opts */
};

/*
 * Finish a move whose process died, or gave up, after GO may have been sent (`xl migrate-recover`):
 * send the pages that the destination lacks, and destroy the suspended domain, but only once the
 * destination has all of it. Outcomes and `err` are those of xf_move(), with these meanings:
 *
 *   XF_MOVED      finished
 *   XF_REFUSED    nothing to finish here, or a living process is working on it
 *   XF_UNKNOWN    the destination could not be asked or gave no clear answer, and nothing has
 *                 changed; or the guest has run on both hosts (xf_report.ran_twice)
 *   XF_SUSPENDED  the guest does not run there: xf_resume_here() may be called
 *   XF_PULLING    the guest runs there, but pages are still missing: call again
 */
enum xf_outcome xf_recover(const struct xf_recover_opts *o, const struct xf_watch *w,
                           struct xf_report *report, struct xf_err *err);

/*
 * Let a domain that a failed move left suspended run here again (`xl migrate-recover --resume`),
 * under its own name. Refused if the move's record says that it may run at the destination, unless
 * the destination says that it does not; and while the move's process lives. `force`: whatever the
 * record says; for a destination that is off or cannot be asked. Without a record (a stock move, or
 * one of an earlier boot) the caller must have made sure; a record of this boot that is not of this
 * domain's last move needs `force`. The guest then has no xl monitor (xf_report.monitor_lost).
 */
int xf_resume_here(const char *domain, bool force, struct xf_err *err);

/*
 * As xf_resume_here(), for a guest that has run at the destination and is gone there (its sink died
 * in PULL, say): it goes on as of the switch, and what it has done since is lost (`xl
 * migrate-recover --as-of-switch`). Only if all disks that it can write to moved with it, so that
 * its disks and its memory here are of one moment: else ENOTSUP, whatever is forced. Refused if the
 * destination has a domain that may be the guest. `force`: do not ask the destination. `report`
 * then has the guest's name, the host, and the newer disks there, which nobody removes.
 */
int xf_resume_as_of_switch(const char *domain, bool force, struct xf_report *report,
                           struct xf_err *err);

/* --- a disk within this host --- */

struct xf_disk_progress {
    bool verifies;        /* the copy is complete and is compared */
    uint64_t done, total; /* bytes; total grows as the guest writes */
    double rate;          /* bytes/s at the moment; verifying: 0 */
};

struct xf_disk_move_opts {
    const char *domain; /* name or number */
    const char *vdev;   /* "xvda" */
    const char *target; /* a directory, a new file, or a block device */
    uint64_t bandwidth; /* bytes/s; 0: no limit */
    bool no_verify;
    bool delete_source;            /* else it is kept, a file under another name */
    volatile sig_atomic_t *cancel; /* not 0: give up; NULL: never */
    void (*progress)(void *priv, const struct xf_disk_progress *p); /* twice a second; or NULL */
    void *priv;
};

struct xf_disk_moved {
    char from[1024], to[1024];
    char kept[1100]; /* the old image's name now; "": it was removed, or is a device */
    uint64_t size;
    double seconds;
    uint64_t again;      /* parts that differed once and were compared again */
    unsigned unverified; /* parts of 256 KiB that the guest wrote to all the time */
    bool finished_only;  /* the guest used the target already: only the records were behind */
};

/* Where a call of xf_disk_move() left the disk. The values are xl disk-move's exit codes. */
enum xf_disk_outcome {
    XF_DISK_MOVED = 0,
    XF_DISK_REFUSED = 1, /* nothing was touched */
    XF_DISK_STAYED = 3,  /* the guest uses the old image; what was created is removed */
    XF_DISK_HALF = 4,    /* the guest uses the new image, but not all of what should follow is done;
                          * or QEMU does not say which it uses. Nothing was removed: call again, with
                          * the new image as the target */
};

/*
 * Move a disk that QEMU serves to another image of this host while the guest runs (`xl disk-move`):
 * it never stops. The guest may not be moved meanwhile.
 */
enum xf_disk_outcome xf_disk_move(const struct xf_disk_move_opts *o, struct xf_disk_moved *moved,
                                  struct xf_err *err);

/*
 * The first bytes that every Xenferry move sends on the bootstrap pipe (more follow; see
 * docs/wire-protocol.md). By them migrate-receive decides which program serves the move.
 */
#define XF_PREAMBLE "Xenferry move, protocol 1\n"
/* xl's own banner, which every receiver writes first (xl_migrate.c, without its NUL). */
#define XF_XL_BANNER "xl migration receiver ready, send binary domain data.\n"

#endif
