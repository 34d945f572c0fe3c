/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a fuzz target demands beyond "no crash". */
#ifndef XF_MUST_H
#define XF_MUST_H

#include <stdio.h>
#include <stdlib.h>

#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #x);                      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
