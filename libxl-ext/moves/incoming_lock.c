/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One move at a time per name, uuid and port: see incoming_lock.h. */
#include "libxl-ext/moves/incoming_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "libxl-ext/host/run_dir.h"

#define HOLDER_MAX 512
#define HASH_BYTES 16 /* of SHA-256's 32: nobody can make two names that share a file */

static int hash_file(const char *kind, const void *data, size_t len, char *out, size_t size,
                     struct xf_err *err)
{
    uint8_t hash[32];
    int n = snprintf(out, size, "incoming-%s-", kind);

    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, hash))
        return xf_fail(err, EIO, "cannot compute a hash");
    for (unsigned i = 0; i < HASH_BYTES; i++)
        n += snprintf(out + n, size - (size_t)n, "%02x", hash[i]);
    return 0;
}

/* Results of lock_fd() and take() other than failure. */
enum { FREE, TAKEN };

/* With F_OFD_GETLK a look changes nothing, even for a moment. */
static int lock_fd(int fd, bool look, const char *file, struct xf_err *err)
{
    struct flock want = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (!fcntl(fd, look ? F_OFD_GETLK : F_OFD_SETLK, &want))
        return look && want.l_type != F_UNLCK ? TAKEN : FREE;
    if (errno == EAGAIN || errno == EACCES)
        return TAKEN;
    return xf_fail(err, errno, "cannot lock %s/%s: %s", xf_run_dir(), file, strerror(errno));
}

/* The previous holder may have removed the file between open and lock. */
static bool is_in_place(int dir, const char *file, int fd)
{
    struct stat at, held;

    return !fstatat(dir, file, &at, AT_SYMLINK_NOFOLLOW) && !fstat(fd, &held) &&
           at.st_dev == held.st_dev && at.st_ino == held.st_ino;
}

/* *fd is open after FREE and TAKEN, or -1 if the file does not exist and we only look. */
static int take(const char *file, bool look, int *fd, struct xf_err *err)
{
    int dir = xf_run_dir_open(xf_run_dir(), true, err), rc = 0;
    char path[300];

    *fd = -1;
    if (dir < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/%s", xf_run_dir(), file);
    do {
        if (*fd >= 0)
            close(*fd);
        *fd = openat(dir, file, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (look ? 0 : O_CREAT), 0600);
        if (*fd < 0 && look && errno == ENOENT)
            break;
        if (*fd < 0)
            rc = xf_fail(err, errno, "cannot open %s: %s", path, strerror(errno));
        else if (xf_run_file_judge(*fd, path, err))
            rc = -1;
        else
            rc = lock_fd(*fd, look, file, err);
    } while (!rc && !look && !is_in_place(dir, file, *fd));
    if (rc < 0 && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    close(dir);
    return rc;
}

/* Only for the refusal of another move: if it cannot be written, the lock still holds. */
static void write_holder(int fd, const char *domain, const char *host)
{
    char text[HOLDER_MAX];
    int len = snprintf(text, sizeof(text), "%ld\n%.200s\n%.127s\n", (long)getpid(), host, domain);

    if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)len, 0) != len)
        (void)!ftruncate(fd, 0);
}

/* "web1" from 10.0.0.7, receiver's pid 4711: as far as the file has it; xf_find() cleans it. */
static void read_holder(int fd, char *out, size_t size)
{
    char text[HOLDER_MAX], *line[3] = {text, NULL, NULL};
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    size_t digits;

    snprintf(out, size, "its receiver gives no details");
    if (n <= 0)
        return;
    text[n] = 0;
    for (int i = 0; i < 3; i++) {
        char *end = strchr(line[i], '\n');

        if (!end)
            return; /* being written just now */
        *end = 0;
        if (i < 2)
            line[i + 1] = end + 1;
    }
    digits = strspn(line[0], "0123456789");
    if (digits && digits <= 10 && !line[0][digits])
        snprintf(out, size, "\"%.127s\" from %.200s, receiver's pid %.10s", line[2],
                 line[1][0] ? line[1] : "an unknown host", line[0]);
}

static void refuse(struct xf_findings *f, bool by_uuid, const char *domain, int fd)
{
    char who[HOLDER_MAX];

    read_holder(fd, who, sizeof(who));
    if (by_uuid)
        xf_find(f, XF_REFUSAL, "uuid",
                "another domain with the same uuid is moving there already (%.250s); wait until "
                "that move has ended, and give one of the two a uuid of its own",
                who);
    else
        xf_find(f, XF_REFUSAL, "name",
                "another move of a domain named \"%s\" is arriving there already (%.200s); "
                "wait until it has ended",
                domain, who);
}

int xf_incoming_lock(struct xf_incoming_lock *l, const char *domain, const libxl_uuid *uuid,
                     const char *host, bool look, struct xf_findings *f, struct xf_err *err)
{
    int rc, n = uuid ? 2 : 1;

    *l = (struct xf_incoming_lock)XF_INCOMING_UNLOCKED;
    if (hash_file("name", domain, strlen(domain), l->file[0], sizeof(l->file[0]), err) ||
        (uuid && hash_file("uuid", libxl_uuid_bytearray_const(uuid), 16, l->file[1],
                           sizeof(l->file[1]), err)))
        return -1;
    for (int i = 0; i < n; i++) {
        rc = take(l->file[i], look, &l->fd[i], err);
        if (rc == TAKEN)
            refuse(f, i == 1, domain, l->fd[i]);
        if (rc) {
            if (l->fd[i] >= 0)
                close(l->fd[i]);
            l->fd[i] = -1;
            xf_incoming_unlock(l);
            return rc < 0 ? -1 : 0;
        }
        if (look && l->fd[i] >= 0) {
            close(l->fd[i]);
            l->fd[i] = -1;
        }
    }
    for (int i = 0; i < n && !look; i++)
        write_holder(l->fd[i], domain, host);
    return 0;
}

void xf_incoming_unlock(struct xf_incoming_lock *l)
{
    int dir = xf_run_dir_open(xf_run_dir(), false, NULL);

    for (int i = 0; i < 2; i++) {
        if (l->fd[i] < 0)
            continue;
        if (dir >= 0) /* while it is ours: see is_in_place() */
            unlinkat(dir, l->file[i], 0);
        close(l->fd[i]);
        l->fd[i] = -1;
    }
    if (dir >= 0)
        close(dir);
}

int xf_port_lock(uint16_t port, struct xf_err *err)
{
    char file[48];
    int fd, rc;

    snprintf(file, sizeof(file), "port-%u.lock", port);
    rc = take(file, false, &fd, err);
    if (!rc)
        return fd;
    if (fd >= 0)
        close(fd);
    return rc < 0 ? -1 : xf_fail(err, EBUSY, "another incoming move uses port %u", port);
}
