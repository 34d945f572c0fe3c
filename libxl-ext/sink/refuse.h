/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A receiver that cannot serve tells the source why. */
#ifndef XF_REFUSE_H
#define XF_REFUSE_H

#include "libxl-ext/peer/bootstrap.h"

/*
 * Answer a source of ours with `why` as the one finding, a refusal of code "receiver". heard: its
 * hello has been read, as far as possible; else it is read first and discarded, so that the source
 * is not cut off while sending it. Errors are ignored: there is no other way to tell the source.
 */
void xf_refuse(struct xf_pipe *p, bool heard, const struct xf_err *why);

#endif
