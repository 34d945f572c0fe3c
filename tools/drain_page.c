/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page about the moves of a drain: see drain.h. */
#include <errno.h>
#include <stdlib.h>

#include "tools/drain.h"
#include "tools/new_file.h"

int drain_page_begin(struct drain *d, struct xf_err *err)
{
    if (!d->args->report)
        return 0;
    if (new_file_check(d->args->report, d->page_path, err))
        return -1;
    d->page = page_new();
    return d->page ? 0 : xf_fail(err, ENOMEM, "out of memory");
}

void drain_page_add(struct drain *d, const struct drain_child *c)
{
    struct xf_err err = {0};

    if (d->page && c->report && page_add(d->page, c->report, c->report_len, &err))
        drain_say(d, (int)c->guest, "is not on the page: %s", err.text);
}

void drain_page_end(struct drain *d)
{
    struct xf_err err = {0};
    char *text = NULL;
    size_t len;

    if (!d->page)
        return;
    if (!page_moves(d->page))
        drain_say(d, -1, "nothing was moved, so %s is not written", d->page_path);
    else if (!(text = page_text(d->page, &len, &err)) ||
             new_file_write(d->page_path, text, len, &err))
        drain_say(d, -1, "%s", err.text);
    free(text);
}
