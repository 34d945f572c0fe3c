/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A system log that a test can read: see fake_log.h. */
#include "tests/unit/fake_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

static char last[2048];
static int copy_to = -1;

const char *fake_log_last(void)
{
    return last;
}

void fake_log_to(int fd)
{
    copy_to = fd;
}

static void keep(const char *format, va_list al)
{
    vsnprintf(last, sizeof(last), format, al);
    if (copy_to >= 0)
        dprintf(copy_to, "%s\n", last);
}

/* Under the name that the compiler gives it. */
#ifdef _FORTIFY_SOURCE
void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list al;

    (void)priority;
    (void)flag;
#else
void syslog(int priority, const char *format, ...)
{
    va_list al;

    (void)priority;
#endif
    va_start(al, format);
    keep(format, al);
    va_end(al);
}
