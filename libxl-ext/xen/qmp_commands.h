/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands that a move gives to a domain's device model. Errors, and what is left of the
 * connection after one: qmp.h. An answer that lacks something is EPROTO and closes it, too.
 */
#ifndef XF_QMP_COMMANDS_H
#define XF_QMP_COMMANDS_H

#include "qmp/qmp.h"

#define XF_QMP_REASONS 400u

enum xf_qmp_state {
    XF_QMP_IS_RUNNING,
    XF_QMP_IS_PAUSED,    /* by stop, or loaded but an image could not be activated */
    XF_QMP_IS_INMIGRATE, /* waits for its state */
    XF_QMP_IS_OTHER,     /* not running, for another reason */
};

struct xf_qmp_version {
    unsigned major, minor, micro; /* each below 1000 */
};

int xf_qmp_status(struct xf_qmp *q, enum xf_qmp_state *out, struct xf_err *err);
int xf_qmp_version(struct xf_qmp *q, struct xf_qmp_version *out, struct xf_err *err);

/* Stop it: requests in flight are finished and images flushed, which may take seconds. In INMIGRATE
 * it only means that QEMU does not run after loading. Twice is harmless. */
int xf_qmp_stop(struct xf_qmp *q, struct xf_err *err);
/* Let it run; images that xf_qmp_save() gave up are taken back first, and QEMU refuses if another
 * QEMU has one of them. In INMIGRATE it only means that QEMU runs after loading. Twice is
 * harmless. */
int xf_qmp_cont(struct xf_qmp *q, struct xf_err *err);

/*
 * From the answer on, QEMU enters every page of the guest that it writes into Xen's dirty log. May
 * be called again.
 */
int xf_qmp_log_on(struct xf_qmp *q, struct xf_err *err);
/*
 * No longer. A QEMU that is told so while this is off aborts, and the guest is lost. So nothing is
 * sent, and 0 returned, unless q->log_on: the answer to our own xf_qmp_log_on() has arrived and no
 * xf_qmp_log_off() was sent since. Left on for want of that answer it costs little, and the next
 * xf_qmp_log_on() changes nothing. Somebody else, such as a stock migration, must not have turned
 * it off meanwhile. If QEMU is stopped it takes effect at cont.
 */
int xf_qmp_log_off(struct xf_qmp *q, struct xf_err *err);

/*
 * Save the state of all devices to `file`, an absolute path where QEMU creates or truncates a file;
 * it is complete when QEMU has answered. QEMU must be stopped. It then gives up its images as well
 * (locks, metadata), so that another QEMU can open them, until cont. A second save before cont
 * makes QEMU abort, and the guest is lost; so do not repeat one that has failed with anything but
 * EREMOTEIO, since it may have been carried out. (libxl_domain_suspend_only() saves without giving
 * up the images, and does not count.)
 */
int xf_qmp_save(struct xf_qmp *q, const char *file, struct xf_err *err);

/* Have it announce its emulated network interfaces to the switches, again and again for some five
 * seconds, as it does by itself when it has been given a state. Does not wait for that. */
int xf_qmp_announce(struct xf_qmp *q, struct xf_err *err);

/* Why the devices cannot be migrated, in QEMU's words, cleaned: the first reasons, and how many
 * more there are. Empty: they can. */
int xf_qmp_blocked(struct xf_qmp *q, char out[XF_QMP_REASONS], struct xf_err *err);

/* Has the guest a video card whose memory it does not map, so that nothing but QEMU knows where it
 * is? */
int xf_qmp_video_unmapped(struct xf_qmp *q, bool *out, struct xf_err *err);

#endif
