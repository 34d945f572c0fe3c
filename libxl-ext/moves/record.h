/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record of a move on its source host, for when its process may be gone while its guest is not:
 * a file for `xl migrate-recover`, and a lock that shows whether the process still lives.
 *
 * The file holds the move's key. It lies in a directory that only its owner can enter
 * (/run/xenferry, 0700), is readable by its owner alone (0600), appears complete (by rename), and
 * is trusted only if all that holds when it is read. Only two things in it change: a digit,
 * replaced by a single write() of one byte, which is its whole cost in downtime; and, once the
 * guest runs at the destination, a number of fixed length.
 *
 * Any thread; no state. `dir` is xf_run_dir() except in tests.
 */
#ifndef XF_RECORD_H
#define XF_RECORD_H

#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/host/own_address.h"

#define XF_RUNE_MAX 4096u

/* How far the move is known to have come. The file holds these numbers. */
enum xf_record_state {
    XF_RECORD_READY,   /* GO was not sent: the guest cannot run there */
    XF_RECORD_GO,      /* GO may have been sent, and no answer was received */
    XF_RECORD_PULLING, /* it runs there, and pages were missing */
    XF_RECORD_WHOLE,   /* it runs there with all its pages: the domain here is obsolete */
    XF_RECORD_TWICE,   /* GO was sent, and the guest was let run here too: no more pages are sent */
    XF_RECORD_STATES
};

struct xf_record {
    enum xf_record_state state;
    uint64_t ran_ns;          /* CPU time of the suspended domain's processors; 0: not known */
    uint32_t domid;           /* of the domain here, suspended */
    char uuid[40];            /* its uuid, as in the hello */
    char boot_id[XF_BOOT_ID]; /* of this host: the file is void after a reboot */
    char name[128];           /* the domain's there */
    char host[256];           /* as the operator gave it */
    char rune[XF_RUNE_MAX];   /* the command that starts a receiver there */
    char there[XF_BOOT_ID];   /* boot id of the destination */
    uint32_t there_domid;     /* number of the copy in that boot; 0: not known */
    char peer[XF_ADDR_LEN];   /* where the sink listens, numeric */
    uint16_t port;
    bool rdma;         /* the transport in use */
    bool encrypt;      /* over it */
    bool pull;         /* pages may arrive after GO: there is an urgent channel */
    unsigned protocol; /* version of the wire protocol agreed on; 0: the newest. A record from
                        * before version 2 omits it and means 1 */
    unsigned channels;
    unsigned rdma_buffer_mib, rdma_poll_us;
    struct xf_own own; /* addresses of this host to connect from */
    /* Disks that moved, too; both copies are kept until the move has been finished. */
    struct xf_record_disk {
        char vdev[XF_VDEV], source[512], target[XF_DISK_PATH];
    } disks[XF_MOVE_DISKS_MAX];
    unsigned nr_disks;
    bool all_disks;     /* they are all that the guest can write to */
    bool delete_source; /* remove `source` at the end, instead of renaming it */
    struct xf_key key;  /* the record's own; wiped by its user */
};

/*
 * Take the lock of a domain's move in `dir` (created if missing). EBUSY: a living process has it.
 * *fd is for xf_record_unlock(). The end of the process also releases the lock, and leaves its file
 * (N.lock), which the next move of that number reuses.
 */
int xf_record_lock(const char *dir, uint32_t domid, int *fd, struct xf_err *err);
/* Does a process have that lock? Does not take it, so that nobody else fails to. */
bool xf_record_is_locked(const char *dir, uint32_t domid);
/* Release the lock and remove its file. fd < 0: does nothing. */
void xf_record_unlock(const char *dir, uint32_t domid, int fd);

/* Write the record in place of any older one. *fd (the caller's to close) is for
 * xf_record_mark(). */
int xf_record_write(const char *dir, const struct xf_record *r, int *fd, struct xf_err *err);

/* Record that the move has reached a state. Never blocks on a disk. */
int xf_record_mark(int fd, enum xf_record_state state, struct xf_err *err);

/* Note ran_ns, which must not grow any more, for a successor. Not to be called between suspend and
 * RUNNING. */
int xf_record_ran(int fd, uint64_t ns, struct xf_err *err);

/*
 * Read the record of a domain. ENOENT: no record. EPERM: somebody else may have written it. EPROTO:
 * it is damaged. *fd as in write. r holds the key: erase it after use.
 */
int xf_record_read(const char *dir, uint32_t domid, struct xf_record *r, int *fd,
                   struct xf_err *err);

/* Erase the record; no error if there is none. */
void xf_record_remove(const char *dir, uint32_t domid);

/* The record as text, without a file: for tests. format: malloc()ed, to be freed by
 * xf_secret_free(); NULL: no memory. */
char *xf_record_format(const struct xf_record *r);
int xf_record_parse(const char *text, size_t len, struct xf_record *r, struct xf_err *err);

#endif
