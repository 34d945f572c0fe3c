/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The builds of Xenferry that are installed here, one for each release of Xen: DIR/xen-4.17/xl.
 * Nothing of Xen is linked, so this also works where its libraries are gone.
 */
#ifndef XF_BUILDS_H
#define XF_BUILDS_H

#include <limits.h>
#include <stdbool.h>

#ifndef XF_HYPERVISOR /* a test has one of its own */
#define XF_HYPERVISOR "/sys/hypervisor"
#endif
#define BUILDS_RELEASE 16 /* room for a release with its NUL */

/* The release of the hypervisor that runs here, "4.17", from `sysfs` (XF_HYPERVISOR). False: none.
 */
bool builds_running(const char *sysfs, char release[BUILDS_RELEASE]);

/* The build for a release; with an empty one, the newest. False: there is none that can be
 * executed; `path` then says where it would be. */
bool builds_find(const char *dir, const char *release, char path[PATH_MAX]);

/* Can it be executed, and do its libraries load? Runs it; 0.01 s. */
bool builds_works(const char *path);

#endif
