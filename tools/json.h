/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate --json` and `xl migrate-status --json`: one object per line on a stream. Each has
 * a "type": progress, finding, note, error, background, report; status, ended. The manual page
 * lists the members.
 */
#ifndef XF_JSON_H
#define XF_JSON_H

#include <stdio.h>

#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/moves/history.h"
#include "libxl-ext/moves/status.h"

void json_progress(FILE *out, const struct xf_progress *p);
void json_finding(FILE *out, const struct xf_finding *f);
void json_note(FILE *out, const char *sentence);
void json_error(FILE *out, const struct xf_err *err);
/* `err` and `advice` (where the guest is, what to do) as shown when it failed; h may be NULL. The
 * line has at most REPORT_LINE_MAX bytes. */
#define REPORT_LINE_MAX (32u << 10)
void json_report(FILE *out, const struct xf_report *r, const struct xf_err *err, const char *advice,
                 const struct xf_history *h);

/* --no-wait: the guest runs at the destination, and the rest continues in another process. */
void json_background(FILE *out, const struct xf_report *r, int pid);
void json_status(FILE *out, const struct xf_status *s);
void json_ended(FILE *out, const struct xf_ended *e);

/* Stable word for an outcome: "moved", "refused", "stayed", "resumed", "unknown", "suspended". */
const char *outcome_word(enum xf_outcome o);

#endif
