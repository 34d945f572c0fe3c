/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeping the distribution's xl from reading the memory of a guest whose memory is not all
 * here yet: it would wait for pages without end, or leave them out without a word.
 */
#ifndef XF_INCOMPLETE_H
#define XF_INCOMPLETE_H

#include "tools/front.h"

/* The domain that this call would read the memory of; NULL: none. Points into argv. */
const char *incomplete_victim(const struct front *f);

/* -1 with a sentence for people when `domain` lacks pages; 0 also when nobody can tell. */
int incomplete_refuse(const char *domain, struct xf_err *err);

#endif
