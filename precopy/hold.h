/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hold points: how a test stops a move at a named place, to let something fail there.
 *
 * XENFERRY_HOLD=POINT=FILE in the environment of `xl migrate` makes it create FILE when it reaches
 * POINT and wait until FILE is gone (two minutes at most), if root runs it (xf_test_env()). Without
 * the variable a hold point costs one look-up in the environment. Points: before-switch,
 * before-suspend, suspended, before-go.
 */
#ifndef XF_HOLD_H
#define XF_HOLD_H

#include "transport/tick.h"

int xf_hold(const char *point, struct xf_tick tick, struct xf_err *err);

#endif
