/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a move leaves on its host for the time when its process may be gone and its guest is
 * not: a file for `xl migrate-recover`, and the lock that says whether the process still lives.
 *
 * The file holds the move's key. It lies in a directory that only its owner can enter
 * (/run/xenferry, 0700), is readable by its owner alone (0600), comes into being whole (by
 * rename), and is believed only if all that is so when it is read. What changes in it is a digit,
 * which a single write() of one byte replaces: that write is all the downtime it costs; and, once
 * the guest runs there, a number of fixed length.
 *
 * Any thread; no state. `dir` is xf_run_dir() but in tests.
 */
#ifndef XF_RECORD_H
#define XF_RECORD_H

#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/host/own_address.h"

#define XF_RUNE_MAX 4096u

/* How far the move had come for certain. The numbers are what the file holds. */
enum xf_record_state {
    XF_RECORD_READY,   /* GO was not written: the guest cannot run there */
    XF_RECORD_GO,      /* GO may have been sent, and no answer was heard */
    XF_RECORD_PULLING, /* it runs there, and pages were missing */
    XF_RECORD_WHOLE,   /* it runs there with all its pages: what is here is of no use */
    XF_RECORD_TWICE,   /* GO was sent, and the guest was let run here, too: no page goes any more */
    XF_RECORD_STATES
};

struct xf_record {
    enum xf_record_state state;
    uint64_t ran_ns;          /* what the suspended domain's processors had run; 0: not known */
    uint32_t domid;           /* of the domain here, suspended */
    char uuid[40];            /* its uuid, as in the hello */
    char boot_id[XF_BOOT_ID]; /* of this host: the file is of no use after a reboot */
    char name[128];           /* the domain's there */
    char host[256];           /* as the operator gave it */
    char rune[XF_RUNE_MAX];   /* the command that starts a receiver there */
    char there[XF_BOOT_ID];   /* boot id of the destination */
    uint32_t there_domid;     /* number of the copy in that boot; 0: not known */
    char peer[XF_ADDR_LEN];   /* where the sink listens, numeric */
    uint16_t port;
    bool rdma;         /* the transport in use */
    bool encrypt;      /* over it */
    bool pull;         /* pages may come after GO: there is an urgent channel */
    unsigned protocol; /* version of the wire protocol that was agreed; 0: the newest. A record of
                          before there were two says nothing of it and means 1 */
    unsigned channels;
    unsigned rdma_buffer_mib, rdma_poll_us;
    struct xf_own own; /* addresses of this host to connect from */
    struct xf_key key; /* the record's own; wiped by its user */
};

/*
 * Take the lock of a domain's move in `dir` (made if it is not there). EBUSY: a process that
 * lives has it. *fd is for xf_record_unlock(); the process's end gives the lock back as well, and
 * leaves its file (N.lock), which the next move of that number uses.
 */
int xf_record_lock(const char *dir, uint32_t domid, int *fd, struct xf_err *err);
/* Give it back, and take its file away. fd < 0: nothing. */
void xf_record_unlock(const char *dir, uint32_t domid, int fd);

/* Write the record in place of any older one. *fd (the caller's to close) is for mark. */
int xf_record_write(const char *dir, const struct xf_record *r, int *fd, struct xf_err *err);

/* The move has come to a state. Never blocks on a disk. */
int xf_record_mark(int fd, enum xf_record_state state, struct xf_err *err);

/* Note ran_ns, which must never grow any more, for a successor. Not between suspend and RUNNING. */
int xf_record_ran(int fd, uint64_t ns, struct xf_err *err);

/*
 * Read the record of a domain. ENOENT: there is none. EPERM: somebody else may have written
 * it. EPROTO: it is damaged. *fd as in write. r holds the key: erase it after use.
 */
int xf_record_read(const char *dir, uint32_t domid, struct xf_record *r, int *fd,
                   struct xf_err *err);

/* Erase it; no error if it is not there. */
void xf_record_remove(const char *dir, uint32_t domid);

/* The text, apart from any file: for tests. format: malloc()ed, to be freed by xf_secret_free(),
 * NULL when memory is short. */
char *xf_record_format(const struct xf_record *r);
int xf_record_parse(const char *text, size_t len, struct xf_record *r, struct xf_err *err);

#endif
