/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the destination: the disks that move with the guest. See check_disks.h. */
#include "libxl-ext/sink/check_disks.h"

#include <stdio.h>
#include <string.h>

#include "disks/serve.h"

/* What is left of a store after the disks before this one; all of them must fit in together. */
static uint64_t left_in(const struct xf_place *place, const uint64_t *takes, unsigned i,
                        uint64_t free_bytes)
{
    for (unsigned k = 0; k < i; k++) {
        if (place[k].store.vg != place[i].store.vg ||
            strcmp(place[k].store.name, place[i].store.name) != 0)
            continue;
        free_bytes = free_bytes > takes[k] ? free_bytes - takes[k] : 0;
    }
    return free_bytes;
}

static bool named_before(const struct xf_place *place, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (!strcmp(place[k].path, place[i].path))
            return true;
    return false;
}

void xf_check_disks(const struct xf_stores *allowed, const struct xf_hello *hello,
                    struct xf_reply *reply, struct xf_findings *f)
{
    struct xf_place place[XF_MOVE_DISKS_MAX];
    uint64_t takes[XF_MOVE_DISKS_MAX] = {0}, free_bytes, left;
    struct xf_err err = {0};

    reply->nr_there = hello->nr_disks;
    for (unsigned i = 0; i < hello->nr_disks; i++) {
        const struct xf_disk_plan *d = &hello->disks[i];
        struct xf_place *p = &place[i];

        free_bytes = 0;
        xf_clear(&err);
        if (xf_place_choose(allowed, d->want, d->name, p, &err) ||
            xf_place_look(p, &free_bytes, &err)) {
            xf_find(f, XF_REFUSAL, "disk-target", "disk %s: %.340s", d->vdev, err.text);
        } else if (named_before(place, i)) {
            xf_find(f, XF_REFUSAL, "disk-target",
                    "disk %s: another one goes to \"%.200s\", too; name a target of its own "
                    "(--disk)",
                    d->vdev, p->path);
        } else {
            takes[i] = d->sparse && !p->store.vg ? d->used : d->bytes;
            left = left_in(place, takes, i, free_bytes);
            if (takes[i] > left)
                xf_find(f, XF_REFUSAL, "disk-space",
                        "disk %s needs %llu MiB in \"%.150s\" there, and %llu MiB are free; free "
                        "some, or name another target (--disk)",
                        d->vdev, (unsigned long long)(takes[i] >> 20) + 1, p->store.name,
                        (unsigned long long)(left >> 20));
        }
        snprintf(reply->there[i].path, sizeof(reply->there[i].path), "%s", p->path);
        reply->there[i].free = free_bytes < INT64_MAX ? free_bytes : INT64_MAX;
    }
    xf_clear(&err);
    if (hello->nr_disks && xf_serve_possible(&err))
        xf_find(f, XF_REFUSAL, "disk-server", "%s", err.text);
    if (xf_first_refusal(f)) /* a path may be missing */
        reply->nr_there = 0;
}
