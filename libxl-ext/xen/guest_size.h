/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The limit of a guest's address space. The guest itself chooses its highest gfn (one
 * XENMEM_add_to_physmap is enough), and both sides of a move keep some bits for every gfn up to it,
 * so the highest gfn is bounded by the memory that the guest may have.
 */
#ifndef XF_GUEST_SIZE_H
#define XF_GUEST_SIZE_H

#include <stdint.h>

#include <libxl.h>

#include "transport/err.h"
#include "transport/wire.h"

/*
 * The largest number of gfns of a guest that may have max_kib of memory: twice that, plus 16 GiB
 * for whatever lies between and above it (the hole below 4 GiB, ACPI, video, BARs, grant frames). A
 * guest's own memory begins at 0 with a single hole, so no honest guest comes near the limit. Pure.
 */
uint64_t xf_gfn_limit(uint64_t max_kib);

/* The basis of the limit: the larger of max_memkb and target_memkb, plus video_memkb, of a
 * libxl_domain_config as JSON. -1: not a valid one (EPROTO). */
int xf_config_max_kib(const char *json, uint64_t *max_kib, struct xf_err *err);

/* Destination: check the skeleton's address space against its configuration, and the configuration
 * against this host, which has host_pages of memory. */
int xf_check_skeleton_size(const struct xf_skeleton *k, const char *json, uint64_t host_pages,
                           struct xf_err *err);

/*
 * Where an HVM guest's RAM is, by its configuration: gfns below *low, and from 4 GiB up to *end (0:
 * none there). Everything else that it has is its devices' or Xen's (libxl__build_hvm(),
 * tools/libs/light/libxl_dom.c). Pure.
 */
void xf_hvm_ram(const libxl_domain_build_info *b, uint64_t *low, uint64_t *end);

#endif
