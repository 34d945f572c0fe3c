/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Variables that are for tests: see test_env.h. */
#include "transport/test_env.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <syslog.h>
#include <unistd.h>

static bool is_root(void)
{
    uid_t real, effective, saved;

    return !getresuid(&real, &effective, &saved) && !real && !effective && !saved &&
           !getauxval(AT_SECURE);
}

const char *xf_test_env(const char *name)
{
    const char *value = getenv(name);

    if (!value)
        return NULL;
    if (!is_root()) {
        syslog(LOG_DAEMON | LOG_WARNING, "xenferry: %s is ignored: only root may set it", name);
        return NULL;
    }
    /* The value is not logged: it comes from outside, and can be looked up in the process. */
    syslog(LOG_DAEMON | LOG_NOTICE, "xenferry: %s, which is for tests, is in effect", name);
    return value;
}
