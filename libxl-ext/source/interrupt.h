/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an interrupt means in PULL, when the guest runs elsewhere and lacks pages that exist only
 * here. Leaving it without them takes a second interrupt, sent after the user was told the
 * consequence: a dying terminal or an impatient supervisor also sends signals, often more than one.
 */
#ifndef XF_INTERRUPT_H
#define XF_INTERRUPT_H

#include <signal.h>

enum xf_interrupt {
    XF_INTERRUPT_NONE,
    XF_INTERRUPT_TELL,  /* say what another interrupt would do */
    XF_INTERRUPT_LEAVE, /* another interrupt arrived after that */
};

/* cancel as in xf_move_opts; NULL: nobody can interrupt. *told starts as 0 and is written only
 * here. */
static inline enum xf_interrupt xf_interrupt(const volatile sig_atomic_t *cancel, int *told)
{
    int asked = cancel ? *cancel : 0;

    if (asked <= 0 || asked == *told) /* XF_HUNG_UP is no request */
        return XF_INTERRUPT_NONE;
    if (*told)
        return XF_INTERRUPT_LEAVE;
    *told = asked;
    return XF_INTERRUPT_TELL;
}

#endif
