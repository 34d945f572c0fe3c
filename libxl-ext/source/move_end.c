/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ends of a move at the source: see move_end.h. */
#include "libxl-ext/source/move_end.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "disks/retire.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/source/move_pci.h"
#include "libxl-ext/source/move_record.h"
#include "libxl-ext/source/move_report.h"
#include "libxl-ext/source/move_status.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/xen_suspend.h"
#include "transport/times.h"

/* How long to wait for a guest that accepted the suspend request after the request was given up.
 * The guest has already had a minute before that. */
#define LATE_MS 30000
#define AGAIN_MS 500

/* The guest is suspended. If we asked for that, resume it, however late it suspended. */
static enum xf_outcome let_go_on(struct xf_move *m, struct xf_err *err)
{
    struct xf_err why = {0};

    if (!m->skeleton.xen.asked)
        return XF_ENDED;
    if (!m->skeleton.xen.vm.ops->resume(&m->skeleton.xen.vm, &why)) {
        m->report->here = XF_HERE_RUNS;
        xf_move_note(
            m, "the guest suspended after the move had given up waiting for that, and was resumed");
        return XF_RESUMED;
    }
    xf_wrap(err, "%s; and before that", why.text);
    return XF_SUSPENDED;
}

/*
 * It could not be resumed at once. The copy's device model may have had the guest's images, which
 * it locks as soon as it has the devices' state, right before GO. The destination destroys the copy
 * now; if it cannot be heard, it does so when it has found the source gone.
 */
static enum xf_outcome try_again(struct xf_move *m)
{
    int64_t until = xf_now_ms() + XF_ABORTED_MS;

    if (!m->check.kind || !m->check.kind->device_model)
        return XF_SUSPENDED;
    do {
        if (!m->skeleton.xen.vm.ops->resume(&m->skeleton.xen.vm, NULL)) {
            m->report->here = XF_HERE_RUNS;
            return XF_RESUMED;
        }
        nanosleep(&(struct timespec){.tv_nsec = AGAIN_MS * 1000000L}, NULL);
    } while (xf_now_ms() < until && xf_xen_here(m->xch, m->domid) == XF_HERE_SUSPENDED);
    return XF_SUSPENDED;
}

enum xf_outcome xf_move_settle(struct xf_move *m, enum xf_outcome end, struct xf_err *err)
{
    struct xf_report *r = m->report;

    if (m->skeleton.xen.may_stop)
        xf_move_note(m,
                     "the guest has taken the suspend request but has not suspended yet: waiting "
                     "for up to %d s, to resume it then",
                     LATE_MS / 1000);
    r->here = m->skeleton.open ? xf_xen_await_stop(&m->skeleton.xen, LATE_MS, m->o->cancel)
                               : xf_xen_here(m->xch, m->domid);
    r->may_stop = m->skeleton.xen.may_stop;
    if (xf_here_lives(r->here))
        return end == XF_SUSPENDED ? XF_RESUMED : end; /* somebody else has resumed it */
    if (r->here == XF_HERE_SUSPENDED)
        end = end == XF_SUSPENDED && m->skeleton.xen.asked ? try_again(m) : let_go_on(m, err);
    else
        end = XF_ENDED;
    if (end == XF_ENDED && !strstr(err->text, xf_here_text(r->here)))
        xf_wrap(err, "the guest %s", xf_here_text(r->here));
    return end;
}

/* The move is called off and the guest stays here: the destination must leave nothing behind. */
static void call_off(struct xf_move *m, struct xf_err *err)
{
    uint8_t *meta = malloc(XF_META_MAX);
    struct xf_msg msg;
    double until;

    /* Workers first: they hold the bulk channels. */
    xf_link_abort_bulk(&m->link);
    xf_move_report_copy(m);
    xf_copy_end(&m->copy);
    if (m->link.control && meta) {
        /* If the peer failed, it has reported why by now. */
        if (err->num != ECANCELED && err->num != EPERM)
            xf_link_last_words(&m->link, 500, err);
        xf_link_say(&m->link, XF_MSG_ABORT, NULL, 0, NULL);
        /* A peer that is still building does not read the channel, but notices this. */
        xf_pipe_hang_up(&m->check.pipe);
        /* Wait for its clean-up, so that nothing obstructs a second attempt. A cut link ends the
         * wait: then nothing arrives within the first seconds. */
        until = xf_now() + XF_ABORTED_MS / 1000.0;
        while (xf_now() < until) {
            int rc = m->link.ops->recv(m->link.control, &msg, meta, 500, NULL);

            if (rc < 0 || (!rc && (msg.type == XF_MSG_ABORTED || msg.payload_len)))
                break;
            if (m->check.pipe.child && xf_pipe_dead(&m->check.pipe))
                break;
        }
    }
    free(meta);
    /* No channel to ask on: the end of the receiver shows that it has cleaned up. */
    if (!m->link.control)
        xf_pipe_close(&m->check.pipe, XF_ABORTED_MS);
}

enum xf_outcome xf_move_give_up(struct xf_move *m, enum xf_outcome end, struct xf_err *err)
{
    /* First: a copy whose bytes nobody takes any more cannot be ended. */
    xf_disks_moving_end(&m->disks);
    call_off(m, err);
    end = xf_move_settle(m, end, err);
    xf_move_replug(m);
    if (m->record.fd >= 0 && end != XF_SUSPENDED)
        xf_record_remove(xf_run_dir(), m->domid);
    return end;
}

/* The guest has its disks at the destination, and nobody uses those here. */
static void retire_images(struct xf_move *m)
{
    for (unsigned i = 0; i < m->report->nr_disks; i++) {
        struct xf_disk_report *r = &m->report->disks[i];
        char now[sizeof(r->source)];
        struct xf_err err = {0};

        if (xf_image_retire(r->source, m->o->delete_source, now, sizeof(now), &err)) {
            xf_move_note(m, "disk %s has moved, but its image here, %s", r->vdev, err.text);
            continue;
        }
        r->kept = now[0];
        if (r->kept)
            snprintf(r->source, sizeof(r->source), "%s", now);
    }
}

enum xf_outcome xf_move_finish(struct xf_move *m, struct xf_err *err)
{
    char why[300];

    xf_copy_end(&m->copy); /* before the domain is destroyed: it owns mappings of it */
    switch (xf_domain_here(m->xch, m->domid, m->check.hello.uuid)) {
    case XF_DOM_RUNS:
        xc_domain_pause(m->xch, m->domid);
        xf_move_mark(m, XF_RECORD_TWICE, NULL);
        m->report->ran_twice = true;
        xf_fail(err, EBUSY,
                "the guest runs at the destination with all its pages, and somebody has let its "
                "old domain %u run here, too; it is paused now",
                m->domid);
        return XF_UNKNOWN;
    case XF_DOM_OTHER:
        xf_move_note(m, "domain %u here is a different domain by now, so it was left alone",
                     m->domid);
        break;
    case XF_DOM_GONE:
    case XF_DOM_DYING:
        break;
    case XF_DOM_UNKNOWN:
        /* Another domain may have its number by now. The record stays, so that the move can still
         * be finished. */
        xf_move_mark(m, XF_RECORD_WHOLE, NULL);
        xf_move_note(m,
                     "the guest runs at the destination, but Xen does not say whether domain %u "
                     "here is still its old one, so it was left alone; `xl migrate-recover %u` "
                     "looks again, and destroys it",
                     m->domid, m->domid);
        return XF_MOVED;
    case XF_DOM_SUSPENDED:
        xf_move_mark(m, XF_RECORD_WHOLE, NULL);
        if (!libxl_domain_destroy(m->ctx, m->domid, NULL))
            break;
        xf_move_note(m,
                     "the guest runs at the destination, but its old domain %u could not be "
                     "destroyed (%s); `xl destroy %u`",
                     m->domid, xf_toollog_last(&m->log, why, sizeof(why)), m->domid);
        return XF_MOVED;
    }
    xf_record_remove(xf_run_dir(), m->domid);
    retire_images(m);
    return XF_MOVED;
}
