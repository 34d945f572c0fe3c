/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sink process in SKELETON: a stock xl builds the copy. See receive_parts.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenstore.h>

#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/guest_size.h"
#include "libxl-ext/sink/receive_parts.h"
#include "transport/clock.h"
#include "transport/test_env.h"
#include "transport/times.h"

#define BUILD_SLICE_MS 50
#define LOOK_S 1.0 /* between two checks that the copy still exists */

/* XENFERRY_RECORD_STREAM=FILE saves the stream fed to the stock xl, for Xen's own checker. */
static void record_stream(const void *stream, size_t len)
{
    const char *path = xf_test_env("XENFERRY_RECORD_STREAM");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    if (write(fd, stream, len) != (ssize_t)len)
        unlink(path);
    close(fd);
}

/* Split the payload of a skeleton message and turn it into the stock stream. */
static int skeleton_stream(struct sink *s, uint8_t *payload, void **stream, size_t *len,
                           struct xf_err *err)
{
    const struct xf_skeleton *k = &s->build.skeleton;
    struct xf_state state = {0};
    struct xf_skeleton_parts parts = {.skeleton = k, .config = (char *)payload, .state = &state};
    libxl_domain_type type;
    xc_physinfo_t host = {0};
    int rc;

    /* The first NUL must be the last byte, so that the text checked is the text that xl reads. */
    if (!k->config_len || memchr(payload, 0, k->config_len) != payload + k->config_len - 1)
        return xf_fail(err, EPROTO, "the source's configuration is not a string");
    if (xf_incoming_fits(&s->shared->copy, s->ctx, parts.config, &type, err))
        return -1;
    s->build.kind = xf_guest_kind(type);
    if (!s->build.kind)
        return xf_fail(err, ENOTSUP,
                       "the guest is of a kind (type=\"%s\") that this Xenferry cannot receive; "
                       "install the source's version here",
                       libxl_domain_type_to_string(type));
    if (xc_physinfo(s->xch, &host))
        return xf_fail(err, errno, "cannot read how much memory this host has: %s",
                       strerror(errno));
    if (xf_check_skeleton_size(k, parts.config, host.total_pages, err))
        return -1;
    rc = xf_stream_parts(k, payload, &state, err);
    if (!rc)
        rc = xf_stream_build(&parts, stream, len, err);
    xf_state_free(&state);
    return rc;
}

/* The disks are attached now. Pages cached by attaching them are dropped again in SWITCH, which
 * then finds few. On one host both ends share the page cache. */
static int open_disks(struct sink *s, struct xf_err *err)
{
    if (s->check.same_host)
        return 0;
    if (xf_qdisks_open(&s->build.disks, s->shared->copy.domid, err))
        return -1;
    /* What is written to those that move is written here, and so is never older than the cache. */
    for (unsigned i = 0; i < s->disks.nr; i++)
        xf_qdisks_leave_out(&s->build.disks, s->disks.list[i].made->place.path);
    xf_qdisks_drop(&s->build.disks, NULL);
    return 0;
}

static int built_in_time(const struct sink *s, struct xf_err *err)
{
    return xf_sink_in_time(s->build.until, XF_BUILD_MS, "build the domain", err);
}

int xf_sink_build_on(struct sink *s, int wait_ms, struct xf_err *err)
{
    int rc;

    if (s->build.devices)
        return 0;
    /* If the devices wait for SWITCH, that has its own limit. */
    if (!s->check.hello.late_devices && !s->check.hello.cold && built_in_time(s, err))
        return -1;
    rc = xf_builder_step(&s->build.builder, wait_ms, err);
    if (rc >= 0 && xf_device_model_step(&s->build.dm, err))
        return -1;
    s->build.devices = rc == 0;
    if (rc == 0 && open_disks(s, err))
        return -1;
    return rc < 0 ? -1 : 0;
}

static int build_slice(struct sink *s, struct xf_err *err)
{
    return xf_sink_build_on(s, BUILD_SLICE_MS, err) || xf_sink_tick(s, err) ? -1 : 0;
}

/* Until the domain is as far as it can be without its devices. */
static int await_restore(struct sink *s, struct xf_err *err)
{
    while (xf_builder_has_helper(&s->build.builder))
        if (build_slice(s, err) || built_in_time(s, err))
            return -1;
    return 0;
}

static int begin_devices(struct sink *s, struct xf_err *err)
{
    const struct xf_incoming *copy = &s->shared->copy;
    struct xf_device_model *dm = &s->build.dm;

    if (!s->build.kind->device_model || s->check.hello.late_devices)
        return 0;
    /* Named by libxl__create_qemu_logfile(), tools/libs/light/libxl_dm.c. */
    snprintf(dm->log, sizeof(dm->log), "/var/log/xen/qemu-dm-%.140s.log", copy->name);
    return xf_device_model_begin(dm, XF_XEN_LIB_DIR, copy->domid, s->check.hello.qemu, err);
}

/*
 * The domain's number is known before xl can introduce it: the end of the stream is held back from
 * xl until we know it. The domain's memory can be filled as soon as xl has restored the stream and
 * introduced the domain to xenstore (libxl__build_post, tools/libs/light/libxl_dom.c); the hotplug
 * scripts of its devices, which take most of the time, run after that and do not touch the guest's
 * memory.
 */
static int await_domain(struct sink *s, struct xs_handle *xs, struct xf_err *err)
{
    struct xf_incoming *copy = &s->shared->copy;

    while (!s->build.devices && !xf_builder_restores(&s->build.builder))
        if (build_slice(s, err))
            return -1;
    if (xf_incoming_find(copy, s->ctx, err) || begin_devices(s, err))
        return -1;
    if (s->check.hello.late_devices)
        return await_restore(s, err);
    xf_builder_feed_rest(&s->build.builder);
    while (!s->build.devices && !xs_is_domain_introduced(xs, copy->domid))
        if (build_slice(s, err))
            return -1;
    return 0;
}

static int build(struct sink *s, size_t len, struct xf_err *err)
{
    struct xs_handle *xs;
    char args[96];
    int rc;

    snprintf(args, sizeof(args), "%s", s->o->xl_args ? s->o->xl_args : "");
    if (xf_incoming_absent(&s->shared->copy, s->ctx, err))
        return -1;
    xs = xs_open(0);
    if (!xs)
        return xf_fail(err, errno, "cannot reach xenstore: %s", strerror(errno));
    rc = xf_builder_start(&s->build.builder, s->fds, s->o->real_xl, args, err);
    s->shared->xl = s->build.builder.pid;
    if (!rc) {
        xf_builder_feed(&s->build.builder, s->build.stream, len,
                        s->check.hello.late_devices ? XF_STREAM_LIBXL_END : XF_STREAM_END);
        s->build.until = xf_now_ms() + XF_BUILD_MS;
        rc = await_domain(s, xs, err);
    }
    xs_close(xs);
    return rc;
}

int xf_sink_still_there(struct sink *s, struct xf_err *err)
{
    if (s->copy.asked || xf_now() - s->build.looked < LOOK_S)
        return 0;
    s->build.looked = xf_now();
    return xf_incoming_check(&s->shared->copy, s->ctx, err);
}

/* Enable paging, which shows conclusively whether it is possible. If not: s->pull.no_paging. */
static int try_paging(struct sink *s, struct xf_err *err)
{
    struct xf_sink_vm *vm = &s->xen.vm;

    if (xf_xen_pager_open(&s->pull.paging, &s->log, s->xen.domid, vm->nr_gfns, err))
        return -1;
    s->xen.pager = &s->pull.paging;
    vm->pager = &xf_xen_pager_ops;
    if (vm->pager->enable(vm, &s->pull.no_paging)) {
        xf_xen_pager_close(&s->pull.paging);
        s->xen.pager = NULL;
        vm->pager = NULL;
        s->pull.possible = s->gather.urgent = false;
        return 0;
    }
    if (xf_absent_init(&s->pull.absent, vm, err))
        return -1;
    vm->absent = &s->pull.absent;
    return 0;
}

static int say_built(struct sink *s, struct xf_err *err)
{
    uint8_t meta[XF_TEXT_MAX + 64];
    const struct xf_err *why = &s->pull.no_paging;
    size_t len = xf_built_encode(s->xen.domid, why->num, why->num ? why->text : NULL, meta);

    return xf_link_say(&s->link, XF_MSG_BUILT, meta, len, err);
}

/* The built domain as the engine's guest. */
static int adopt(struct sink *s, struct xf_err *err)
{
    const struct xf_skeleton *k = &s->build.skeleton;

    if (xf_xen_sink_open(&s->xen, s->ctx, &s->log, s->shared->copy.domid, s->build.kind, err))
        return -1;
    s->xen.leave_paused = s->check.hello.leave_paused || s->o->leave_paused;
    s->xen.dm = &s->build.dm;
    if (s->check.hello.late_devices)
        xf_sink_late(s);
    s->xen.vm.nr_gfns = k->nr_gfns;
    s->xen.vm.built = k->specials;
    s->xen.vm.nr_built = k->nr_specials;
    s->xen.vm.rings = s->build.rings;
    s->xen.vm.nr_rings =
        s->build.kind->rings(k->params, k->nr_params, k->nr_gfns, s->build.rings, XF_SPECIALS_MAX);
    if (s->pull.possible && try_paging(s, err))
        return -1;
    return xf_xen_sink_claim(&s->xen, k->nr_pages, err);
}

int xf_sink_skeleton(struct sink *s, struct xf_err *err)
{
    uint8_t *meta = malloc(XF_META_MAX), *payload = NULL;
    struct iovec iov;
    size_t len;
    struct xf_msg m;
    int rc;

    if (!meta)
        return xf_fail(err, ENOMEM, "out of memory");
    xf_sink_tell(s, XF_PHASE_SKELETON);
    do {
        rc = s->link.ops->recv(s->link.control, &m, meta, 100, err);
        if (rc >= 0 && xf_sink_tick(s, err))
            rc = -1;
    } while (rc == XF_AGAIN);
    if (!rc && m.type != XF_MSG_SKELETON)
        rc = xf_fail(err, EPROTO, "the source sent message %u before the skeleton", m.type);
    if (!rc)
        rc = xf_skeleton_decode(&s->build.skeleton, &m, meta, err);
    if (!rc && !(payload = malloc(m.payload_len + 1)))
        rc = xf_fail(err, ENOMEM, "out of memory for %u bytes", m.payload_len);
    iov = (struct iovec){.iov_base = payload, .iov_len = m.payload_len};
    if (!rc)
        rc = s->link.ops->recv_payload(s->link.control, &iov, 1, err);
    if (!rc)
        rc = skeleton_stream(s, payload, &s->build.stream, &len, err);
    if (!rc) {
        record_stream(s->build.stream, len);
        rc = build(s, len, err);
    }
    if (!rc && s->pull.possible && xf_hold_vif_possible((char *)payload, &s->pull.no_paging))
        s->pull.possible = s->gather.urgent = false;
    if (!rc)
        rc = adopt(s, err);
    if (!rc)
        rc = say_built(s, err);
    free(payload);
    free(meta);
    return rc;
}
