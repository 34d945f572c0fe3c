// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs in each host. Follows the console logs of its guests and sends every
// heartbeat line at once to the outside, where one clock stamps all of them.
//   xf-relay HOST ADDR PORT
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_PATH "/var/log/xen/console"
#define MAX_LOGS 64

struct log {
    char name[64]; // the guest's, without "--incoming" or "--serial"
    char file[96];
    int fd;
    char line[256]; // an unfinished line
    size_t used;
};

static struct log logs[MAX_LOGS];
static const char *host;
static int sock;

static struct log *log_find(const char *file, bool from_end)
{
    struct log *l = logs;
    for (; l < logs + MAX_LOGS && l->file[0]; l++)
        if (!strcmp(l->file, file))
            return l;
    size_t len = strlen(file);
    if (l == logs + MAX_LOGS || len < 11 || len >= sizeof(l->name) || strncmp(file, "guest-", 6) ||
        strcmp(file + len - 4, ".log"))
        return NULL;
    char path[sizeof(DIR_PATH) + 96];
    snprintf(path, sizeof(path), DIR_PATH "/%s", file);
    l->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (l->fd < 0)
        return NULL;
    if (from_end)
        lseek(l->fd, 0, SEEK_END);
    strcpy(l->file, file);
    memcpy(l->name, file + 6, len - 10);
    char *suffix = strstr(l->name, "--");
    if (suffix)
        *suffix = 0;
    return l;
}

static void send_line(const struct log *l)
{
    unsigned long seq;
    unsigned long long ns;
    char out[192];
    if (sscanf(l->line, "HB %lu %llu", &seq, &ns) != 2)
        return;
    int n = snprintf(out, sizeof(out), "%s %s %lu %llu\n", host, l->name, seq, ns);
    if (send(sock, out, (size_t)n, 0) < 0)
        perror("xf-relay: send");
}

static void log_read(struct log *l)
{
    char buf[4096];
    ssize_t n;
    struct stat st;
    if (!fstat(l->fd, &st) && st.st_size < lseek(l->fd, 0, SEEK_CUR)) {
        lseek(l->fd, 0, SEEK_SET); // somebody emptied it
        l->used = 0;               // a line whose end the guest wrote on the other host
    }
    while ((n = read(l->fd, buf, sizeof(buf))) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (buf[i] == '\n') {
                l->line[l->used] = 0;
                send_line(l);
                l->used = 0;
            } else if (l->used < sizeof(l->line) - 1) {
                l->line[l->used++] = buf[i];
            }
        }
}

static void forget(const char *file) // a log was removed or renamed
{
    struct log *l = log_find(file, false), *last = logs;
    if (!l)
        return;
    close(l->fd);
    while (last + 1 < logs + MAX_LOGS && last[1].file[0])
        last++;
    *l = *last;
    memset(last, 0, sizeof(*last));
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: xf-relay HOST ADDR PORT\n");
        return 2;
    }
    host = argv[1];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1 ||
        connect(sock, (struct sockaddr *)&to, sizeof(to))) {
        perror("xf-relay: socket");
        return 1;
    }

    int ino = inotify_init1(IN_CLOEXEC);
    if (ino < 0 ||
        inotify_add_watch(ino, DIR_PATH, IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM) < 0) {
        perror("xf-relay: " DIR_PATH);
        return 1;
    }
    DIR *d = opendir(DIR_PATH);
    for (struct dirent *e; d && (e = readdir(d));)
        log_find(e->d_name, true);
    if (d)
        closedir(d);

    _Alignas(struct inotify_event) char buf[8192];
    ssize_t n;
    while ((n = read(ino, buf, sizeof(buf))) > 0)
        for (char *p = buf; p < buf + n;) {
            const struct inotify_event *e = (const struct inotify_event *)p;
            p += sizeof(*e) + e->len;
            if (!e->len)
                continue;
            if (e->mask & (IN_DELETE | IN_MOVED_FROM)) {
                forget(e->name);
                continue;
            }
            struct log *l = log_find(e->name, false);
            if (l)
                log_read(l);
        }
    perror("xf-relay: inotify");
    return 1;
}
