/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for what lies in the run directory, whoever has written it: the record of a
 * move, the end of one, and what comes from the socket of a process that says it moves a domain.
 * The first byte chooses; the rest is the file, or all that the socket sends. Beyond "no crash":
 * a record that is read is that of the domain asked for, and may be marked and read again; an end
 * that is not one is taken away; a socket never makes the reader wait once it is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/moves/record.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/status_lines.h"
#include "tests/fuzz/target.h"
#include "tests/unit/hello_seeds.h"

enum { TOOK_RECORD, TOOK_END, TOOK_STATUS, SILENT };

#define DOMID 7u /* of the seeds */

static struct {
    char dir[64];
    int listener;
    const uint8_t *say; /* what the next client hears */
    size_t len;
    sem_t served;
} fuzz = {.listener = -1};

/* --- a process that moves a domain --- */

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept4(fuzz.listener, NULL, NULL, SOCK_CLOEXEC);

        MUST(fd >= 0);
        if (fuzz.len && send(fd, fuzz.say, fuzz.len, MSG_NOSIGNAL) < 0)
            MUST(errno == EPIPE || errno == ECONNRESET);
        close(fd);
        sem_post(&fuzz.served);
    }
    return NULL;
}

static void begin(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    pthread_t thread;

    snprintf(fuzz.dir, sizeof(fuzz.dir), "%s/xf-fuzz-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    MUST(mkdtemp(fuzz.dir));
    setenv(XF_RUN_DIR_ENV, fuzz.dir, 1);
    fuzz.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/listener", fuzz.dir);
    MUST(!bind(fuzz.listener, (struct sockaddr *)&a, sizeof(a)) && !listen(fuzz.listener, 8));
    MUST(!sem_init(&fuzz.served, 0, 0));
    MUST(!pthread_create(&thread, NULL, serve, NULL) && !pthread_detach(thread));
}

static void end(void)
{
    char path[PATH_MAX];

    if (!fuzz.dir[0])
        return;
    snprintf(path, sizeof(path), "%s/listener", fuzz.dir);
    unlink(path);
    rmdir(fuzz.dir);
}

static void put_file(char path[PATH_MAX], const char *name, const uint8_t *bytes, size_t len)
{
    int fd;

    snprintf(path, PATH_MAX, "%s/%s", fuzz.dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    close(fd);
}

/* --- each of them --- */

static void fuzz_record(const uint8_t *bytes, size_t len)
{
    static struct xf_record r, twice;
    struct xf_err err = {0};
    char path[PATH_MAX];
    int fd, again;

    put_file(path, "7.move", bytes, len);
    if (xf_record_read(fuzz.dir, DOMID, &r, &fd, &err)) {
        MUST(fd == -1 && err.num && err.text[0] && !strchr(err.text, '\n'));
    } else {
        MUST(r.domid == DOMID && fd >= 0);
        MUST(!xf_record_mark(fd, XF_RECORD_WHOLE, &err));
        MUST(!xf_record_read(fuzz.dir, DOMID, &twice, &again, &err));
        MUST(twice.state == XF_RECORD_WHOLE);
        twice.state = r.state;
        MUST(!memcmp(&r, &twice, sizeof(r)));
        close(again);
        close(fd);
        fuzz_reached(TOOK_RECORD);
    }
    xf_record_remove(fuzz.dir, DOMID);
    MUST(access(path, F_OK) && errno == ENOENT);
}

static void fuzz_ended(const uint8_t *bytes, size_t len)
{
    struct xf_status_list l;
    struct xf_err err = {0};
    char path[PATH_MAX];

    put_file(path, "ended-4711", bytes, len);
    MUST(!xf_statuses(&l, &err) && !l.nr && !l.silent && l.nr_ended <= 1);
    MUST((access(path, F_OK) == 0) == (l.nr_ended == 1));
    if (l.nr_ended)
        fuzz_reached(TOOK_END);
    xf_statuses_free(&l);
    unlink(path);
}

static void fuzz_socket(const uint8_t *bytes, size_t len)
{
    char path[PATH_MAX], to[PATH_MAX];
    struct xf_status_list l;
    struct xf_err err = {0};

    fuzz.say = bytes;
    fuzz.len = len;
    snprintf(path, sizeof(path), "%s/source-%u.sock", fuzz.dir, DOMID);
    snprintf(to, sizeof(to), "%s/listener", fuzz.dir);
    MUST(!link(to, path));
    MUST(!xf_statuses(&l, &err) && l.nr + l.silent == 1);
    MUST(!sem_wait(&fuzz.served));
    fuzz_reached(l.nr ? TOOK_STATUS : SILENT);
    xf_statuses_free(&l);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 16384)
        return 0;
    if (fuzz.listener < 0) {
        begin();
        atexit(end);
    }
    switch (data[0] % 3) {
    case 0:
        fuzz_record(data + 1, size - 1);
        break;
    case 1:
        fuzz_ended(data + 1, size - 1);
        break;
    default:
        fuzz_socket(data + 1, size - 1);
    }
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static struct xf_record r;
    static const struct xf_status status = {
        .source = true, .pid = 1, .domain = "web1", .domid = DOMID, .phase = XF_PHASE_PULL};
    struct xf_ended ended = {.domain = "web1", .pid = 4711, .when = time(NULL)};
    char *text;
    size_t len;

    out[0] = (uint8_t)n;
    switch (n) {
    case 0:
        if (xf_record_parse(SEED_RECORD, strlen(SEED_RECORD), &r, NULL))
            return 0;
        r.domid = DOMID;
        text = xf_record_format(&r);
        MUST(text);
        len = strlen(text);
        memcpy(out + 1, text, len);
        free(text);
        return 1 + len;
    case 1:
        return 1 + xf_ended_encode(&ended, (char *)out + 1);
    case 2:
        return 1 + xf_status_encode(&status, (char *)out + 1);
    case 3: /* more than a line may have */
        memset(out, 2, 3 * XF_STATUS_LINE);
        return 3 * XF_STATUS_LINE;
    }
    return 0;
}

FUZZ_TARGET(fuzz_seed, "a record is read", "an end is read", "a socket tells how a move stands",
            "a socket tells nothing of use")
