/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How far a guest's address space may reach. Its highest gfn is the guest's own choice (one
 * XENMEM_add_to_physmap is enough), and both sides of a move keep some bits for every gfn up to
 * there: so what they keep is bounded by the memory that the guest may have.
 */
#ifndef XF_GUEST_SIZE_H
#define XF_GUEST_SIZE_H

#include <stdint.h>

#include "transport/err.h"
#include "transport/wire.h"

/*
 * The largest number of gfns of a guest that may have max_kib of memory: twice that, and 16 GiB for
 * what lies between and above it (the hole below 4 GiB, ACPI, video, BARs, grant frames). A guest's
 * own memory begins at 0 and leaves out one hole, so no honest one comes near. Pure.
 */
uint64_t xf_gfn_limit(uint64_t max_kib);

/* What the limit is computed from: the largest of max_memkb and target_memkb, and video_memkb, of
 * a libxl_domain_config as JSON. -1: it is no such thing (EPROTO). */
int xf_config_max_kib(const char *json, uint64_t *max_kib, struct xf_err *err);

/* Destination: the skeleton's address space against its configuration, and that against this host,
 * which has host_pages of memory. */
int xf_check_skeleton_size(const struct xf_skeleton *k, const char *json, uint64_t host_pages,
                           struct xf_err *err);

#endif
