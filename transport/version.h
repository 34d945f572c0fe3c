/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The version of this Xenferry. */
#ifndef XF_VERSION_H
#define XF_VERSION_H

/* The release, from the file VERSION, such as "0.9.0"; at most 31 bytes, printable ASCII. Static.
 */
const char *xf_version(void);

#endif
