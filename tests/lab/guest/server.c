// SPDX-License-Identifier: LGPL-2.1-or-later
// Commands from outside: one line in, one line out, on TCP port 7000.
#include "guest.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define PORT 7000

static void answer_status(char *out, size_t size)
{
    char late[96], rogue[96], beat[160], mem[256], disk[128], err[160];
    beat_status(beat, sizeof(beat));
    mem_status(mem, sizeof(mem));
    disk_status(disk, sizeof(disk));
    late_status(late, sizeof(late));
    rogue_status(rogue, sizeof(rogue));
    error_first(err, sizeof(err));
    struct sysinfo si = {0};
    sysinfo(&si);
    snprintf(out, size,
             "{%s, %s, %s, %s, %s, \"free_kib\": %lu, \"errors\": %u, \"first_error\": \"%s\"}",
             beat, mem, disk, late, rogue, si.freeram / 1024 * si.mem_unit, error_count(), err);
}

static void answer_verify(char *out, size_t size)
{
    char detail[1024] = "";
    unsigned long pages, blocks, late;
    unsigned long bad_mem = mem_verify(detail, sizeof(detail), &pages);
    unsigned long bad_disk = disk_verify(detail, sizeof(detail), &blocks);
    unsigned long bad_late = late_verify(detail, sizeof(detail), &late);
    if (bad_mem || bad_disk || bad_late) {
        error_note("verify: %lu pages, %lu blocks, %lu late blocks bad", bad_mem, bad_disk,
                   bad_late);
        snprintf(out, size, "BAD pages=%lu/%lu disk=%lu/%lu late=%lu/%lu%s", bad_mem, pages,
                 bad_disk, blocks, bad_late, late, detail);
    } else if (error_count()) {
        char err[160];
        error_first(err, sizeof(err));
        snprintf(out, size, "BAD contents good, but earlier: %s", err);
    } else {
        snprintf(out, size, "OK pages=%lu disk=%lu late=%lu", pages, blocks, late);
    }
}

static void answer(char *line, char *out, size_t size)
{
    char word[32] = "", arg[32] = "", more[32] = "";
    sscanf(line, "%31s %31s %31s", word, arg, more);
    snprintf(out, size, "OK");
    if (!strcmp(word, "status"))
        answer_status(out, size);
    else if (!strcmp(word, "verify"))
        answer_verify(out, size);
    else if (!strcmp(word, "pause"))
        mem_pause(true);
    else if (!strcmp(word, "resume"))
        mem_pause(false);
    else if (!strcmp(word, "rate") && *arg)
        mem_rate(strtol(arg, NULL, 10));
    else if (!strcmp(word, "pattern") && mem_pattern(arg))
        ;
    else if (!strcmp(word, "reads") && *arg)
        mem_reads(strtol(arg, NULL, 10));
    else if (!strcmp(word, "touched") && *more)
        work_touched(strtoull(arg, NULL, 10), strtoull(more, NULL, 10), out, size);
    else if (!strcmp(word, "damage") && !strcmp(arg, "mem"))
        mem_damage();
    else if (!strcmp(word, "damage") && !strcmp(arg, "disk"))
        disk_damage();
    else if (!strcmp(word, "video") && !strcmp(arg, "off") && video_off())
        ;
    else if (!strcmp(word, "poweroff"))
        reboot(RB_POWER_OFF);
    else
        snprintf(out, size,
                 "ERR commands: status verify pause resume rate N pattern seq|random|hot|stride "
                 "reads PCT work touched FROM_NS TO_NS damage mem|disk send rogue video off "
                 "poweroff");
}

static void *serve(void *arg)
{
    int c = (int)(intptr_t)arg;
    char line[128], out[2048];
    size_t used = 0;
    ssize_t n;
    while (used < sizeof(line) - 1 && (n = read(c, line + used, sizeof(line) - 1 - used)) > 0) {
        used += (size_t)n;
        if (memchr(line, '\n', used))
            break;
    }
    line[used] = 0;
    if (!strncmp(line, "send", 4)) {
        late_send(c);
    } else if (!strncmp(line, "rogue", 5)) {
        rogue_send(c);
    } else if (!strncmp(line, "work", 4)) {
        work_send(c);
    } else if (used) {
        answer(line, out, sizeof(out) - 1);
        strcat(out, "\n");
        if (send(c, out, strlen(out), MSG_NOSIGNAL) < 0)
            console_line("client gone");
    }
    close(c);
    return NULL;
}

void server_run(void)
{
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 8))
        error_note("no server: %m");
    for (;;) {
        int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);
        if (c < 0) {
            sleep(1);
            continue;
        }
        pthread_t t;
        if (pthread_create(&t, NULL, serve, (void *)(intptr_t)c))
            close(c);
        else
            pthread_detach(t);
    }
}
