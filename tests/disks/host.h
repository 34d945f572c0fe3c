/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a test of disks needs of a host without Xen: the distribution's qdisk QEMU, which serves one
 * disk that a writer in the guest's place writes to; qemu-nbd with an image at the destination; and
 * the path between them, over the channels that moves use, through a line that can be cut.
 *
 * Everything is in a directory of its own, on a disk; nothing is left when the program ends.
 */
#ifndef XF_TEST_DISKS_HOST_H
#define XF_TEST_DISKS_HOST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "disks/mirror.h"
#include "disks/relay.h"
#include "disks/verify.h"
#include "tests/procguest/relay.h"

#define DISK_QEMU "/usr/libexec/xen-qemu-system-i386"
#define DISK_NBD "/usr/bin/qemu-nbd"
#define DISK_VDEV "xvda"
#define DISK_BLOCK 4096u
#define DISK_LIMIT_MS 60000 /* never over in a test that succeeds */

/* --- the host of the guest --- */

struct disk_host {
    char dir[64];
    char image[128], log[128];
    uint64_t size;
    pid_t qemu;
    struct xf_mirror_at at; /* its monitor */

    /* The writer. */
    pthread_t thread;
    bool writes; /* the thread is to be joined */
    atomic_bool stop;
    atomic_bool refused;          /* a write was not done */
    atomic_uint_fast64_t written; /* writes answered */
    unsigned per_s;
    uint8_t *content; /* the byte that fills each block, as the guest knows it */
    float *took_ms;   /* of each write, for max of them; the caller's. NULL: nobody asks */
    size_t nr_took, max_took;
};

/* A program that the test needs is not installed: exits with 77, and says which. */
void disk_need(void);
/* Start QEMU with an image of `size` bytes of which the first `data` are not zero. */
void disk_host_begin(struct disk_host *h, uint64_t size, uint64_t data);
void disk_host_end(struct disk_host *h);
/* Does QEMU live, and has it never refused a write? */
bool disk_host_well(struct disk_host *h);

/* Write blocks at random, per_s of them in a second, until stopped. */
void disk_writer_begin(struct disk_host *h, unsigned per_s);
void disk_writer_end(struct disk_host *h);
/* Has the writer done `more` writes since? */
bool disk_writer_goes_on(struct disk_host *h, uint64_t more);

/* Number of blocks of `file` that are not as the guest wrote them. */
uint64_t disk_wrong(const struct disk_host *h, const char *file);
/* Names of jobs and nodes in QEMU that are ours; "" if there are none. */
void disk_leftovers(struct disk_host *h, char out[256]);

/* --- the destination, and the path there --- */

struct disk_path {
    char image[160], socket[128], nbd[128]; /* the source's socket, the destination's */
    pid_t server;
    int status;            /* of the server, once it has ended */
    struct pg_relay *line; /* NULL: over a link that is not ours */
    struct xf_relay *source, *sink;
    /* The channel of the hashes, both ends; a thread answers at the destination. */
    struct xf_chan *asks, *answers;
    struct xf_verify_image own, other;
    struct xf_verify verify;
    pthread_t thread;
    int fd_own, fd_other;
    struct xf_err served;
};

/* Two network namespaces, open, and the destination's address in its own. */
struct disk_link {
    int source_ns, sink_ns;
    const char *address;
};
/* All of it open. image: NULL: a new one in the host's directory. */
void disk_path_begin(struct disk_path *p, struct disk_host *h, const char *image, bool encrypt,
                     int stall_ms);
void disk_path_begin_over(struct disk_path *p, struct disk_host *h, bool encrypt,
                          const struct disk_link *link);
void disk_path_end(struct disk_path *p);
/* Wait for the server's end; returns its status. */
int disk_path_server(struct disk_path *p);
struct xf_mirror_target disk_path_target(const struct disk_path *p);

/* Look until the mirror is in this state, or has failed. Returns whether it is. */
bool disk_await(struct xf_mirror *m, enum xf_mirror_state state);

#endif
