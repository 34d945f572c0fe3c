/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an interrupt means in PULL, when the guest runs elsewhere and lacks pages that lie here. To
 * leave it without them takes somebody who has been told so, and then says so: a terminal that dies
 * and a supervisor that loses patience send signals, too, and often more than one.
 */
#ifndef XF_INTERRUPT_H
#define XF_INTERRUPT_H

#include <signal.h>

enum xf_interrupt {
    XF_INTERRUPT_NONE,
    XF_INTERRUPT_TELL,  /* say what another one would do */
    XF_INTERRUPT_LEAVE, /* another one came after that */
};

/* cancel as in xf_move_opts, NULL: nobody can. *told is 0 in the beginning, and ours. */
static inline enum xf_interrupt xf_interrupt(const volatile sig_atomic_t *cancel, int *told)
{
    int asked = cancel ? *cancel : 0;

    if (asked <= 0 || asked == *told) /* XF_HUNG_UP asks for nothing */
        return XF_INTERRUPT_NONE;
    if (*told)
        return XF_INTERRUPT_LEAVE;
    *told = asked;
    return XF_INTERRUPT_TELL;
}

#endif
