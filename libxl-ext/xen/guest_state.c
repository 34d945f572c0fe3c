/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a hardware-assisted guest in Xen itself: see guest_state.h. */
#include "libxl-ext/xen/guest_state.h"

#include <errno.h>
#include <string.h>

#include "libxl-ext/xen/static_state.h"

static struct xf_xen_source *source_of(struct xf_source_vm *vm)
{
    return (struct xf_xen_source *)vm;
}

static struct xf_xen_sink *sink_of(struct xf_sink_vm *vm)
{
    return (struct xf_xen_sink *)vm;
}

int xf_guest_skeleton(struct xf_source_vm *vm, struct xf_skeleton *k, void **context,
                      struct xf_err *err)
{
    struct xf_xen_source *x = source_of(vm);

    if (xf_read_tsc(x->xch, x->domid, &k->tsc, err) ||
        xf_read_params(x->xch, x->domid, k->params, &k->nr_params, err) ||
        xf_read_context(x->xch, x->domid, context, &k->ctx_len, err))
        return -1;
    /* Nothing of this context is needed: the last one replaces it. A vCPU that is offline by SWITCH
     * (`xl vcpu-set`) is not in that one, and would run with its registers from this one. */
    xf_context_outline(*context, &k->ctx_len);
    k->nr_specials =
        xf_special_gfns(k->params, k->nr_params, k->nr_gfns, k->specials, XF_SPECIALS_MAX);
    return 0;
}

int xf_guest_resume(struct xf_source_vm *vm, struct xf_err *err)
{
    struct xf_xen_source *x = source_of(vm);

    return xf_xen_resume(x->ctx, x->log, x->domid, err);
}

int xf_guest_state(struct xf_source_vm *vm, struct xf_state *s, struct xf_err *err)
{
    struct xf_xen_source *x = source_of(vm);
    struct xf_param params[XF_PARAMS_MAX];
    struct xf_tsc tsc = {0};
    void *context;
    uint32_t len = 0, n = 0;

    if (xf_read_tsc(x->xch, x->domid, &tsc, err) || xf_state_add_tsc(s, &tsc, err) ||
        xf_read_context(x->xch, x->domid, &context, &len, err) ||
        xf_state_add(s, XF_PART_HVM_CONTEXT, XF_PART_MUST, context, len, err) ||
        xf_read_params(x->xch, x->domid, params, &n, err))
        return -1;
    return xf_state_add_params(s, params, n, err);
}

int xf_guest_load_state(struct xf_sink_vm *vm, const struct xf_state *s, struct xf_err *err)
{
    struct xf_xen_sink *x = sink_of(vm);
    struct xf_param params[XF_PARAMS_MAX];
    const void *context;
    struct xf_tsc tsc;
    uint32_t len, n;

    if (xf_state_tsc(s, &tsc, err) || xf_state_params(s, params, &n, err) ||
        xf_state_context(s, &context, &len, err))
        return -1;
    if (xc_domain_set_tsc_info(x->xch, x->domid, tsc.mode, tsc.nsec, tsc.khz, tsc.incarnation))
        return xf_fail(err, errno, "Xen refused the guest's TSC state: %s", strerror(errno));
    /* The parameters were set when the domain was built. None may change in a running guest except
     * by its device model; if one did, the copy that was built does not match. */
    for (uint32_t i = 0; i < n; i++) {
        uint64_t have = 0;

        if (xc_hvm_param_get(x->xch, x->domid, (uint32_t)params[i].index, &have) ||
            have != params[i].value)
            return xf_fail(err, EINVAL, "HVM parameter %llu changed while the guest was copied",
                           (unsigned long long)params[i].index);
    }
    if (xc_domain_hvm_setcontext(x->xch, x->domid, (uint8_t *)context, len))
        return xf_fail(err, errno, "Xen refused the guest's CPU state: %s", strerror(errno));
    return 0;
}

int xf_guest_run(struct xf_sink_vm *vm, struct xf_err *err)
{
    struct xf_xen_sink *x = sink_of(vm);

    if (x->leave_paused)
        return 0;
    /* libxl's also lets a device model run that it has started for a later unpause. */
    if (x->late && libxl_domain_unpause(x->ctx, x->domid, NULL))
        return xf_fail(err, EIO, "libxl cannot unpause domain %u; `xl unpause` it", x->domid);
    if (!x->late && xc_domain_unpause(x->xch, x->domid))
        return xf_fail(err, errno, "cannot unpause domain %u: %s; `xl unpause` it", x->domid,
                       strerror(errno));
    return 0;
}
