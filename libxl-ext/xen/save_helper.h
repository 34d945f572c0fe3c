/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether Xen's own save helper is working on a domain: a migration or save other than ours. */
#ifndef XF_SAVE_HELPER_H
#define XF_SAVE_HELPER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * proc: where procfs is ("/proc"). Any process can imitate a helper's command line, so one counts
 * only if it runs as root (all four user ids) and its program is Xen's, which an upgrade may have
 * deleted meanwhile. False if that cannot be determined. Any thread.
 */
bool xf_save_helper_runs(const char *proc, uint32_t domid);

#endif
