/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Encodings that SKELETON and STATE share. For transport/state.c and wire_guest.c. */
#ifndef XF_WIRE_GUEST_H
#define XF_WIRE_GUEST_H

#include "transport/wire.h"

#define XF_TSC_BYTES 24u
#define XF_PARAM_BYTES 16u

void xf_tsc_encode(uint8_t out[XF_TSC_BYTES], const struct xf_tsc *t);
int xf_tsc_decode(struct xf_tsc *t, const uint8_t in[XF_TSC_BYTES], struct xf_err *err);
/* n of XF_PARAM_BYTES each. */
void xf_params_encode(uint8_t *out, const struct xf_param *v, uint32_t n);
int xf_params_decode(struct xf_param *v, const uint8_t *in, uint32_t n, struct xf_err *err);

#endif
