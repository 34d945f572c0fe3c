/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bootstrap: a byte pipe (ssh, socat, anything) on which the two sides find each
 * other, before there are data connections. docs/wire-protocol.md, "Bootstrap pipe":
 * the receiver writes xl's banner, the source a preamble of XF_PREAMBLE_BYTES and a
 * hello, the receiver a reply. After that the pipe only shows that the peer lives.
 */
#ifndef XF_BOOTSTRAP_H
#define XF_BOOTSTRAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libxl-ext/peer/agree.h"
#include "libxl-ext/peer/choice.h"
#include "libxl-ext/cpu.h"
#include "libxl-ext/libxl_ext.h"
#include "transport/transport.h"

/* Longer than xl's save header (48 bytes), so that a stock receiver refuses it at once. */
#define XF_PREAMBLE_BYTES 64
#define XF_FRAME_MAX (256u << 10)
#define XF_FINDINGS_MAX 32
#define XF_ADDRESSES_MAX 16
#define XF_BOOT_ID 40

/* What the configuration requires of the host (needs.h). */
#define XF_NEEDS_MAX 128u
enum xf_need_kind {
    XF_NEED_DISK,    /* a file or a block device */
    XF_NEED_BRIDGE,  /* a network interface */
    XF_NEED_SCRIPT,  /* for hotplug: a path, or a name in Xen's directory of them */
    XF_NEED_BOOT,    /* a file, to boot the domain again */
    XF_NEED_BACKEND, /* a domain by name */
    XF_NEED_START,   /* a file, without which the domain cannot be built */
    XF_NEED_USER,    /* as whom its device model runs */
    XF_NEEDS
};
struct xf_need {
    enum xf_need_kind kind;
    char what[512];
    char of[64]; /* for people: "disk xvda" */
};

/* A PCI device of the destination's that the guest is to have when it runs there. */
struct xf_pci_wish {
    char addr[XF_PCI_ADDR];
    char of[XF_PCI_ADDR]; /* the one at the source that it stands for */
    bool permissive;      /* xl.cfg(5): permissive=1 */
    bool relaxed;         /* xl.cfg(5): rdm_policy=relaxed */
};

/* A disk of the guest's that moves, too. */
struct xf_disk_plan {
    char vdev[XF_VDEV];
    char want[XF_DISK_PATH]; /* as in xf_place_choose(); empty: the first store */
    char name[XF_DISK_NAME]; /* for a place that is given without one */
    uint64_t bytes;          /* its size, a multiple of 512 */
    uint64_t used;           /* of them, with blocks of their own at the source */
    bool sparse;             /* it has others */
};
/* Where it goes. */
struct xf_disk_there {
    char path[XF_DISK_PATH];
    uint64_t free; /* bytes free in that store */
};

/* Source to receiver. Blobs are malloc()ed when decoded; xf_hello_free(), which wipes the key. */
struct xf_hello {
    struct xf_build build; /* the source's */
    unsigned agreed;       /* agreed version of the wire protocol; not sent. 0: the newest */
    char domain[128];
    char uuid[40];
    char boot_id[XF_BOOT_ID]; /* of the source host: tells a move to the same host */
    struct xf_key key;        /* the move's; all other uses point here */
    unsigned channels;
    enum xf_transport transport; /* what the source was told to use */
    bool encrypt;                /* TCP channels */
    bool seal;                   /* RDMA channels */
    unsigned rdma_buffer_mib;    /* 0: each side chooses */
    struct xf_rdma_side rdma;    /* the source's; examined unless transport is TCP */
    bool leave_paused;
    bool check_only;
    bool late_devices;    /* the copy gets its devices in SWITCH */
    bool cold;            /* the stock stream instead of COPY and SWITCH */
    bool pull;            /* pages may arrive after GO, if the receiver has paging */
    unsigned reconnect_s; /* how long the source retries a lost link in COPY; 0: never */
    bool find_only;       /* no move: the reply only says whether the domain is there */
    uint32_t copy_domid;  /* with find_only: the number that the copy had there; 0: not known */
    bool cpu_only;        /* with find_only: the question is what its processors offer instead */
    uint64_t need_kib;    /* memory that the domain takes from the host, overhead included */
    uint32_t xen_major, xen_minor;
    char qemu[16]; /* version of the guest's device model, "7.2.22"; empty: it has none */
    void *cpuid;   /* xen_cpuid_leaf_t[] */
    uint32_t cpuid_len;
    void *msrs; /* xen_msr_entry_t[] */
    uint32_t msr_len;
    struct xf_need *needs; /* malloc()ed */
    unsigned nr_needs;
    struct xf_pci_wish pci[XF_PCI_MAX];
    unsigned nr_pci;
    struct xf_disk_plan disks[XF_MOVE_DISKS_MAX];
    unsigned nr_disks;
    bool verify_disks; /* each has a second channel, to compare the copy */
};

#define XF_KIB_UNKNOWN UINT64_MAX

/* Receiver to source. */
struct xf_reply {
    struct xf_build build; /* the receiver's */
    char boot_id[XF_BOOT_ID];
    uint16_t port;            /* TCP; 0: not listening */
    uint16_t rdma_port;       /* RDMA; 0: not listening */
    struct xf_rdma_side rdma; /* the receiver's; examined unless transport is TCP */
    unsigned nr_addresses;
    char addresses[XF_ADDRESSES_MAX][XF_ADDR_LEN];
    unsigned nr_findings;
    struct xf_finding findings[XF_FINDINGS_MAX];
    unsigned codecs;      /* what it can decompress: XF_CODEC_BIT()s */
    bool unpacks_in_pull; /* ... also data that arrives after GO */
    bool hvm;             /* it can receive a guest with a device model, and late devices */
    bool cold;            /* it can receive a stock stream */
    bool pci;             /* it can attach PCI devices after GO */
    bool large;           /* it takes WHOLE */
    bool cpu_words;       /* it compares all words of the CPU's features */
    bool has_cpu;         /* `cpu` is filled in: the answer to cpu_only */
    struct xf_cpu cpu;
    bool probe;           /* with check_only, it answers a measurement of the link (speed.h) */
    uint64_t free_kib;    /* memory that is free there; XF_KIB_UNKNOWN: it did not say */
    unsigned moves;       /* under way on the receiver's host */
    unsigned moves_limit; /* its limit of them; 0: not known */
    bool disks;           /* it can receive disks */
    struct xf_disk_there there[XF_MOVE_DISKS_MAX]; /* the hello's, in its order; none if refused */
    unsigned nr_there;
    bool paging; /* the receiver's hypervisor has memory paging: post-copy is possible */
};

/* The pipe and, at the source, the process behind it. */
struct xf_pipe {
    int in, out;
    pid_t child; /* 0: none */
};

/* Start `sh -c rune` with its stdin and stdout as the pipe. */
int xf_pipe_spawn(struct xf_pipe *p, const char *rune, struct xf_err *err);
/* Close the pipe; give the child wait_ms to end on its own, then SIGTERM, then SIGKILL. */
void xf_pipe_close(struct xf_pipe *p, int wait_ms);
/* Close our writing end: the peer sees the end of its input. */
void xf_pipe_hang_up(struct xf_pipe *p);
/* Has the other end gone away? Never blocks. For times when no data is expected on the pipe: stray
 * bytes are discarded. */
bool xf_pipe_dead(const struct xf_pipe *p);

/*
 * Read until xl's banner has passed. Up to 64 KiB of other text before it (a login message)
 * are skipped. cancel as in xf_move_opts.
 */
int xf_pipe_await_banner(struct xf_pipe *p, int timeout_ms, const volatile sig_atomic_t *cancel,
                         struct xf_err *err);

int xf_hello_send(struct xf_pipe *p, const struct xf_hello *h, struct xf_err *err);
/* Also consumes the preamble. */
int xf_hello_receive(struct xf_pipe *p, struct xf_hello *h, int timeout_ms, struct xf_err *err);
void xf_hello_free(struct xf_hello *h);

int xf_reply_send(struct xf_pipe *p, const struct xf_reply *r, struct xf_err *err);
int xf_reply_receive(struct xf_pipe *p, struct xf_reply *r, int timeout_ms,
                     const volatile sig_atomic_t *cancel, struct xf_err *err);

/* JSON text to struct: separate, so that they can be tested and fuzzed. */
int xf_hello_parse(const char *json, size_t len, struct xf_hello *h, struct xf_err *err);
int xf_reply_parse(const char *json, size_t len, struct xf_reply *r, struct xf_err *err);

/* This boot of this host (/proc/sys/kernel/random/boot_id), empty when unknown. */
void xf_boot_id(char out[XF_BOOT_ID]);

#endif
