// SPDX-License-Identifier: LGPL-2.1-or-later
// What an init does first: file systems, modules, network.
#include "guest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void boot_mounts(void)
{
    mkdir("/dev", 0755);
    mkdir("/proc", 0755);
    mkdir("/sys", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
}

// `xl sysrq` may do all it can (b: reboot, c: crash): Debian's kernel leaves some out.
void boot_sysrq(void)
{
    int fd = open("/proc/sys/kernel/sysrq", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "1", 1) != 1)
        error_note("cannot allow sysrq: %m");
    if (fd >= 0)
        close(fd);
}

void boot_modules(void)
{
    char name[64], path[96];
    bool rogue = *boot_word("xf.rogue", "");
    FILE *f = fopen("/modules/ORDER", "re");
    while (f && fscanf(f, "%63s", name) == 1) {
        snprintf(path, sizeof(path), "/modules/%s", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        // Without persistent grants the disk's backend gets at the pages themselves.
        bool bare = strstr(name, "blkfront") && !boot_number("xf.persistent", 1);
        bool net = rogue && strstr(name, "netfront");
        if (net)
            rogue_hold_back();
        if (fd < 0 || syscall(SYS_finit_module, fd, bare ? "feature_persistent=0" : "", 0))
            error_note("cannot load %s: %m", name);
        if (fd >= 0)
            close(fd);
        if (net)
            rogue_bind_first();
    }
    if (f)
        fclose(f);
}

bool boot_wait_path(const char *path, int seconds)
{
    for (int i = 0; i < seconds * 50; i++) {
        if (!access(path, F_OK))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    }
    return false;
}

static void set_address(int s, unsigned long what, struct ifreq *r, const char *ip)
{
    struct sockaddr_in *a = (struct sockaddr_in *)&r->ifr_addr;
    memset(a, 0, sizeof(*a));
    a->sin_family = AF_INET;
    if (inet_pton(AF_INET, ip, &a->sin_addr) != 1 || ioctl(s, what, r))
        error_note("cannot set address %s on %s: %m", ip, r->ifr_name);
}

static void set_up(int s, const char *dev)
{
    struct ifreq r = {0};
    strncpy(r.ifr_name, dev, IFNAMSIZ - 1);
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(s, SIOCSIFFLAGS, &r))
        error_note("cannot bring %s up: %m", dev);
}

bool boot_interface(const char *dev, const char *ip, const char *mask)
{
    char path[64];
    struct ifreq r = {0};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(path, sizeof(path), "/sys/class/net/%s", dev);
    if (s < 0 || !boot_wait_path(path, 10)) {
        error_note("no %s after 10 s", dev);
        if (s >= 0)
            close(s);
        return false;
    }
    strncpy(r.ifr_name, dev, IFNAMSIZ - 1);
    set_address(s, SIOCSIFADDR, &r, ip);
    set_address(s, SIOCSIFNETMASK, &r, mask);
    set_up(s, dev);
    close(s);
    return true;
}

void boot_network(const char *ip)
{
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0) {
        error_note("no socket: %m");
        return;
    }
    set_up(s, "lo");
    close(s);
    if (*ip)
        boot_interface("eth0", ip, "255.255.255.0");
}

const char *boot_word(const char *name, const char *dflt)
{
    static char line[4096];
    if (!line[0]) {
        int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);
        if (fd >= 0)
            close(fd);
        line[n > 0 ? n : 0] = 0;
        for (char *p = line; *p; p++)
            if (*p == ' ' || *p == '\n')
                *p = 0; // words, each ended by 0, an empty one at the end
    }
    size_t len = strlen(name);
    const char *end = line + sizeof(line);
    for (const char *p = line; p < end; p += strlen(p) + 1)
        if (!strncmp(p, name, len) && p[len] == '=')
            return p + len + 1;
    return dflt;
}

long boot_number(const char *name, long dflt)
{
    const char *w = boot_word(name, NULL);
    return w ? strtol(w, NULL, 10) : dflt;
}
