/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks that move with a guest, in words: see disk_rows.h. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/disk_rows.h"
#include "tools/format.h"

void disk_row(char *buf, size_t n, const struct xf_disk_report *d, bool check)
{
    char a[FMT_LEN], b[FMT_LEN], c[FMT_LEN];
    size_t len;

    len = (size_t)snprintf(buf, n, "%s, %s of %s in use, to %s", d->vdev,
                           fmt_bytes(a, (double)d->used), fmt_bytes(b, (double)d->bytes),
                           d->target[0] ? d->target : "a place not known yet");
    if (len >= n)
        return;
    if (check) {
        if (d->forecast_s >= 0)
            snprintf(buf + len, n - len, ": about %s before memory is copied",
                     fmt_duration(c, d->forecast_s));
        return;
    }
    len += (size_t)snprintf(buf + len, n - len, ": %s sent, %s", fmt_bytes(a, (double)d->sent),
                            d->verified ? "compared" : "not compared");
    if (d->again && len < n)
        len +=
            (size_t)snprintf(buf + len, n - len, " (%" PRIu64 " chunks more than once)", d->again);
    if (d->drained_s >= 0 && len < n)
        len += (size_t)snprintf(buf + len, n - len, ", complete %s after the suspend",
                                fmt_duration(b, d->drained_s));
    if (len < n && d->kept)
        snprintf(buf + len, n - len, "; its image here is %s", d->source);
    else if (len < n)
        snprintf(buf + len, n - len, "; its image here was removed");
}

void disks_progress_row(char *buf, size_t n, const struct xf_disks_progress *d)
{
    char a[FMT_LEN], b[FMT_LEN];
    size_t len;

    len = (size_t)snprintf(buf, n, "%u of %u follow, %s of %s left", d->ready, d->nr,
                           fmt_bytes(a, (double)d->left), fmt_bytes(b, (double)d->bytes));
    if (d->of && len < n)
        snprintf(buf + len, n - len, ", %.0f%% compared", 100 * (double)d->checked / (double)d->of);
}

void disks_advice(char *buf, size_t n, const struct xf_report *r)
{
    if (!r->nr_disks || !r->all_disks || !n)
        return;
    snprintf(buf, n,
             " Its disks moved with it, and are here as they were at the switch, too: so if it is "
             "gone at %s for good, `xl migrate-recover --as-of-switch %s` here lets it go on from "
             "then, without what it has done since. Or boot it there, from its newer disks (%s%s): "
             "the choice is yours.",
             r->host, r->domain, r->disks[0].target, r->nr_disks > 1 ? " and others" : "");
}
