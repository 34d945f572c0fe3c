// SPDX-License-Identifier: LGPL-2.1-or-later
// Console lines and sticky errors.
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static int console = 2;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned errors;
static char first[160];

void console_open(void)
{
    int fd = open("/dev/hvc0", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return;
    // Raw: a line then is one event of the console ring, not two, and Xen's
    // console daemon limits the number of events.
    struct termios t;
    if (!tcgetattr(fd, &t)) {
        cfmakeraw(&t);
        tcsetattr(fd, TCSANOW, &t);
    }
    console = fd;
}

void console_line(const char *fmt, ...)
{
    char buf[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(buf, sizeof(buf) - 1, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if (n > (int)sizeof(buf) - 2)
        n = sizeof(buf) - 2;
    buf[n++] = '\n';
    if (write(console, buf, (size_t)n) < 0)
        return; // nowhere left to say it
}

void error_note(const char *fmt, ...)
{
    char buf[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&lock);
    if (!errors++)
        memcpy(first, buf, sizeof(first));
    pthread_mutex_unlock(&lock);
    console_line("ERROR %s", buf);
}

unsigned error_count(void)
{
    pthread_mutex_lock(&lock);
    unsigned n = errors;
    pthread_mutex_unlock(&lock);
    return n;
}

void error_first(char *buf, size_t size)
{
    pthread_mutex_lock(&lock);
    snprintf(buf, size, "%s", first);
    pthread_mutex_unlock(&lock);
}
