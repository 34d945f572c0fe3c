/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a process that moves a guest says: the lines of `xl migrate --json`, our own child's or, for
 * --undo, those of a command on another host. A line is data from elsewhere: whatever is not a
 * valid object of a type known here is skipped, and what is taken is checked and bounded.
 *
 * Any thread; no state but the struct.
 */
#ifndef XF_SAID_H
#define XF_SAID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/err.h"

#define XF_SAID_LINE 65536u /* longest line that is read */

/* What --check expects of a move. Negative and UINT64_MAX: not known. */
struct xf_forecast {
    double total_s, downtime_s, bytes, dirty_pps;
    uint64_t working_set_pages;
    uint64_t memory_needed_kib, memory_free_kib; /* at the destination */
};

/* All that was said so far. Begins with xf_said_init(). */
struct xf_said {
    int num; /* errno of the error; 0: none */
    double total_s, downtime_s;
    char error[XF_ERR_TEXT]; /* why it did not succeed; may be empty */
    char code[24];           /* of the first refusal that is not for memory, or else for memory;
                              * empty: none */
    unsigned refusals, for_memory;
    bool forecasts;
    struct xf_forecast forecast;
};

void xf_said_init(struct xf_said *s);
/* Take a line, without its newline. True: it is the report of a move. */
bool xf_said_line(struct xf_said *s, const char *line, size_t len);

#endif
