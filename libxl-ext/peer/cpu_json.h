/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a processor offers (libxl-ext/cpu.h), as the object "cpu" of a reply. */
#ifndef XF_CPU_JSON_H
#define XF_CPU_JSON_H

#include <json-c/json.h>

#include "libxl-ext/cpu.h"
#include "transport/json_in.h"

/* NULL: no memory. */
json_object *xf_cpu_to_json(const struct xf_cpu *cpu);

/* Data from a peer: everything is checked. EPROTO. */
int xf_cpu_from_json(const struct xf_json *j, struct xf_cpu *out);

#endif
