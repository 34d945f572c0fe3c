/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PVH guest (guest_kind.h): hardware-assisted, without a device model, with Xen's PV drivers. So
 * all its state beside its memory is what Xen has of it, and it must suspend by itself.
 */
#include "libxl-ext/xen/guest_kind.h"

#include <errno.h>
#include <string.h>

#include "libxl-ext/xen/static_state.h"
#include "libxl-ext/xen/xen_eager.h"
#include "libxl-ext/xen/xen_sink.h"
#include "libxl-ext/xen/xen_source.h"
#include "libxl-ext/xen/xen_suspend.h"

static struct xf_xen_source *source_of(struct xf_source_vm *vm)
{
    return (struct xf_xen_source *)vm;
}

static struct xf_xen_sink *sink_of(struct xf_sink_vm *vm)
{
    return (struct xf_xen_sink *)vm;
}

static int skeleton(struct xf_source_vm *vm, struct xf_skeleton *k, void **context,
                    struct xf_err *err)
{
    struct xf_xen_source *x = source_of(vm);

    if (xf_read_tsc(x->xch, x->domid, &k->tsc, err) ||
        xf_read_params(x->xch, x->domid, k->params, &k->nr_params, err) ||
        xf_read_context(x->xch, x->domid, context, &k->ctx_len, err))
        return -1;
    /* One that is offline by SWITCH (`xl vcpu-set`) is not in the last context, and would run on
     * there with the registers of this one. */
    xf_context_drop_cpus(*context, &k->ctx_len);
    k->nr_specials =
        xf_special_gfns(k->params, k->nr_params, k->nr_gfns, k->specials, XF_SPECIALS_MAX);
    return 0;
}

static int resume(struct xf_source_vm *vm, struct xf_err *err)
{
    struct xf_xen_source *x = source_of(vm);

    return xf_xen_resume(x->ctx, x->log, x->domid, err);
}

static int state(struct xf_source_vm *vm, struct xf_state *s, void **blob, uint32_t *len,
                 struct xf_err *err)
{
    struct xf_xen_source *x = source_of(vm);

    if (xf_read_tsc(x->xch, x->domid, &s->tsc, err) ||
        xf_read_params(x->xch, x->domid, s->params, &s->nr_params, err))
        return -1;
    return xf_read_context(x->xch, x->domid, blob, len, err);
}

static int load_state(struct xf_sink_vm *vm, const struct xf_state *s, const void *blob,
                      uint32_t len, struct xf_err *err)
{
    struct xf_xen_sink *x = sink_of(vm);

    if (xc_domain_set_tsc_info(x->xch, x->domid, s->tsc.mode, s->tsc.nsec, s->tsc.khz,
                               s->tsc.incarnation))
        return xf_fail(err, errno, "Xen refused the guest's TSC state: %s", strerror(errno));
    /* The parameters were set when the domain was built. None may change in a running guest
     * except by its device model; if one did, what was built is not what is coming. */
    for (uint32_t i = 0; i < s->nr_params; i++) {
        uint64_t have = 0;

        if (xc_hvm_param_get(x->xch, x->domid, (uint32_t)s->params[i].index, &have) ||
            have != s->params[i].value)
            return xf_fail(err, EINVAL, "HVM parameter %llu changed while the guest was copied",
                           (unsigned long long)s->params[i].index);
    }
    if (xc_domain_hvm_setcontext(x->xch, x->domid, (uint8_t *)blob, len))
        return xf_fail(err, errno, "Xen refused the guest's CPU state: %s", strerror(errno));
    return 0;
}

static int run(struct xf_sink_vm *vm, struct xf_err *err)
{
    struct xf_xen_sink *x = sink_of(vm);

    if (!x->leave_paused && xc_domain_unpause(x->xch, x->domid))
        return xf_fail(err, errno, "cannot unpause domain %u: %s; `xl unpause` it", x->domid,
                       strerror(errno));
    return 0;
}

const struct xf_guest_kind_ops xf_guest_pvh = {
    .name = "pvh",
    .rings = xf_ring_gfns,
    .skeleton = skeleton,
    .suspend = xf_xen_suspend,
    .resume = resume,
    .state = state,
    .eager = xf_xen_eager,
    .load_state = load_state,
    .run = run,
};
