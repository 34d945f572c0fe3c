/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* XF_VERSION_TEXT comes from the Makefile, which reads the file VERSION. */
#include "transport/version.h"

const char *xf_version(void)
{
    _Static_assert(sizeof(XF_VERSION_TEXT) > 1 && sizeof(XF_VERSION_TEXT) <= 32,
                   "VERSION's length");
    return XF_VERSION_TEXT;
}
