/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The moves of this host as OpenMetrics text, for `xl migrate-status --metrics`. Only types that
 * the older text format of Prometheus has as well (gauge, counter, summary), and no time stamps: a
 * node exporter reads its textfile directory by that one.
 */
#ifndef XF_METRICS_H
#define XF_METRICS_H

#include <stdio.h>

#include "libxl-ext/moves/status.h"

/* Write all of it, with `# EOF` at the end. Unknown values have no line. */
void metrics_write(FILE *out, const struct xf_status_list *all);

#endif
