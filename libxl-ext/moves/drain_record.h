/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record of a drain (`xl migrate-drain`) on the host that is drained: the file "drain" in the
 * run directory. While it says so, the receiver's CHECK refuses newcomers; and it remembers what
 * left, for --undo and for a second call.
 *
 * It appears complete (by rename), is readable by its owner alone, and is trusted only if that
 * holds when it is read. It belongs to one boot of the host: after a restart it is void, the host
 * takes guests again, and what left is not remembered.
 *
 * Any thread; no state. `dir` is xf_run_dir() except in tests.
 */
#ifndef XF_DRAIN_RECORD_H
#define XF_DRAIN_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "transport/err.h"

#define XF_DRAIN_GUESTS_MAX 1024u
#define XF_DRAIN_DESTINATIONS_MAX 32u

struct xf_drain_left {
    char name[128]; /* as in the hello */
    char uuid[40];
    char host[256]; /* where it went, as the operator named it */
    bool left;      /* it has left; else its move was begun, and its end not recorded */
};

struct xf_drain_record {
    char boot_id[40]; /* of this host */
    bool draining;    /* newcomers are refused */
    bool has_ssh;
    char ssh[1024]; /* -s of the drain, if has_ssh */
    unsigned nr_hosts;
    char host[XF_DRAIN_DESTINATIONS_MAX][256];
    unsigned nr;
    struct xf_drain_left *guest; /* XF_DRAIN_GUESTS_MAX, malloc()ed by init and read */
};

/* An empty record of this boot. ENOMEM. */
int xf_drain_record_init(struct xf_drain_record *r, struct xf_err *err);
void xf_drain_record_free(struct xf_drain_record *r);

/* The guest with this uuid, or NULL. */
struct xf_drain_left *xf_drain_record_find(struct xf_drain_record *r, const char *uuid);
/* Enter a guest, in place of an entry with its uuid. ENOSPC. */
int xf_drain_record_put(struct xf_drain_record *r, const struct xf_drain_left *x,
                        struct xf_err *err);
/* No error if there is none. */
void xf_drain_record_drop(struct xf_drain_record *r, const char *uuid);

/* Write the record in place of any older one, with the lock held. */
int xf_drain_record_write(const char *dir, const struct xf_drain_record *r, struct xf_err *err);
/* Read it; to be freed, also after a failure. ENOENT: no record of this boot. EPERM: somebody else
 * may have written it. EPROTO: it is damaged. */
int xf_drain_record_read(const char *dir, struct xf_drain_record *r, struct xf_err *err);
/* 1: there was a file; 0: none. -1: it cannot be removed. */
int xf_drain_record_remove(const char *dir, struct xf_err *err);

/* Does this host refuse newcomers? Then `why` (a sentence) names the remedy. A record that cannot
 * be used counts as a drain. */
bool xf_drain_refuses(const char *dir, char *why, size_t size);

/*
 * Only one process drains a host: take the lock ("drain.lock"), which the end of the process
 * releases, too. EBUSY: a living process has it. *fd is the caller's to close.
 */
int xf_drain_lock(const char *dir, int *fd, struct xf_err *err);

/* The record as text, without a file: for tests. format: malloc()ed; NULL: no memory. */
char *xf_drain_record_format(const struct xf_drain_record *r);
int xf_drain_record_parse(const char *text, size_t len, struct xf_drain_record *r,
                          struct xf_err *err);

#endif
