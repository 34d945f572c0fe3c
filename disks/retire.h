/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image or volume that a moved disk leaves behind. Any thread; no state. */
#ifndef XF_RETIRE_H
#define XF_RETIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "transport/err.h"

/*
 * Nobody uses it any more: rename it to NAME.moved-TIME (a logical volume, too), so that nobody
 * does by mistake, or remove it (`remove`). out[size]: its new name; empty: it was removed. -1: it
 * is as before.
 */
int xf_image_retire(const char *path, bool remove, char *out, size_t size, struct xf_err *err);

#endif
