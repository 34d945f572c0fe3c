/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether Xen's own save helper is at work on a domain: a migration or save that is not ours. */
#ifndef XF_SAVE_HELPER_H
#define XF_SAVE_HELPER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * proc: where procfs is ("/proc"). Anybody can give a process a helper's command line, so it counts
 * only if root alone runs it (all four user ids) and its program is Xen's, which an upgrade may
 * have deleted meanwhile. False if that cannot be found out. Any thread.
 */
bool xf_save_helper_runs(const char *proc, uint32_t domid);

#endif
