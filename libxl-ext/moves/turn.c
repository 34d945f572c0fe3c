/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose turn it is to ask a destination: see turn.h. */
#include "libxl-ext/moves/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "libxl-ext/host/run_dir.h"

int xf_turn_open(const char *host)
{
    uint8_t hash[32];
    uint64_t number;
    char name[32];
    int dir, fd;

    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, host, strlen(host), hash))
        return -1;
    dir = xf_run_dir_open(xf_run_dir(), true, NULL);
    if (dir < 0)
        return -1;
    memcpy(&number, hash, sizeof(number));
    snprintf(name, sizeof(name), "turn.%016" PRIx64, number);
    /* Not opened for writing, whose end would wake those who wait for a slot (xf_slot_watch()). */
    fd = openat(dir, name, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    close(dir);
    return fd;
}

int xf_turn_take(int fd)
{
    /* What cannot be locked for another reason is no reason to wait. */
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK ? -1 : 0;
}

void xf_turn_end(int *fd)
{
    if (*fd < 0)
        return;
    flock(*fd, LOCK_UN);
    close(*fd);
    *fd = -1;
}
