/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI devices of a guest that moves (--detach-pci): the guest releases them before it is copied,
 * and when it runs at the destination it gets devices of that host. A move that fails before GO
 * gives them back.
 */
#ifndef XF_MOVE_PCI_H
#define XF_MOVE_PCI_H

#include "libxl-ext/peer/check.h"
#include "libxl-ext/source/move.h"

/* CHECK, with the configuration: list the guest's devices; they are findings, and without the
 * option refused. With it they are taken out of the configuration, and the hello gets what is to be
 * attached there. */
void xf_move_pci_look(struct xf_move *m, struct xf_findings *found);

/* SKELETON: make the guest release its devices, one after the other. -1: it does not, or the tick,
 * called meanwhile and after each device, has failed. */
int xf_move_unplug(struct xf_move *m, struct xf_tick tick, struct xf_err *err);

/* The move has failed and the guest is here: give back what it has released. Failures become notes.
 * Waits up to 10 s for each device. */
void xf_move_replug(struct xf_move *m);

/* The guest runs at the destination: wait to hear that its devices are attached there. XF_MOVED, or
 * XF_UNPLUGGED and why. */
enum xf_outcome xf_move_plugged(struct xf_move *m, struct xf_err *err);

#endif
