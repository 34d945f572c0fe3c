/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What moves left in the run directory for domains that are gone. A move that ends by itself takes
 * its record along; a domain that was destroyed by hand, with a move's record still there for
 * `xl migrate-recover`, leaves one that nobody can use, with a key in it.
 *
 * Any thread; no state.
 */
#ifndef XF_SWEEP_H
#define XF_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Remove the records and the locks of domains that do not exist and that no process has the lock
 * of. `gone` says whether a domain certainly does not exist; it is asked with the lock held.
 * Returns how many domains it cleaned up after. What cannot be read or removed stays.
 */
unsigned xf_sweep(const char *dir, bool (*gone)(uint32_t domid, void *priv), void *priv);

#endif
