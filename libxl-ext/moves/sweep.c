/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The records of domains that are gone: see sweep.h. */
#include "libxl-ext/moves/sweep.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/record.h"

#define DOMIDS 32768u /* the highest is 32751 (xen/include/public/xen.h, DOMID_FIRST_RESERVED) */

/* The number of a record's or a lock's file: digits alone, as we write them. */
static bool is_ours(const char *name, uint32_t *domid)
{
    char again[32];

    *domid = (uint32_t)strtoul(name, NULL, 10);
    if (*domid >= DOMIDS)
        return false;
    snprintf(again, sizeof(again), "%u.move", *domid);
    if (!strcmp(again, name))
        return true;
    snprintf(again, sizeof(again), "%u.lock", *domid);
    return !strcmp(again, name);
}

static bool clean_up(const char *dir, uint32_t domid, bool (*gone)(uint32_t domid, void *priv),
                     void *priv)
{
    bool is;
    int fd;

    if (!gone(domid, priv) || xf_record_lock(dir, domid, &fd, NULL))
        return false;
    /* Again: before we had the lock, a domain of that number may have begun to move. */
    is = gone(domid, priv);
    if (is)
        xf_record_remove(dir, domid);
    xf_record_unlock(dir, domid, fd);
    return is;
}

unsigned xf_sweep(const char *dir, bool (*gone)(uint32_t domid, void *priv), void *priv)
{
    int at = xf_run_dir_open(dir, false, NULL);
    DIR *d = at < 0 ? NULL : fdopendir(at);
    bool found[DOMIDS] = {false};
    unsigned n = 0;
    uint32_t domid;

    if (!d) {
        if (at >= 0)
            close(at);
        return 0;
    }
    /* All are read first: taking a lock adds a file, which might be listed as well. */
    for (const struct dirent *e; (e = readdir(d));)
        if (is_ours(e->d_name, &domid))
            found[domid] = true;
    closedir(d);
    for (domid = 0; domid < DOMIDS; domid++)
        if (found[domid])
            n += clean_up(dir, domid, gone, priv);
    return n;
}
