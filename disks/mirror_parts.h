/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What mirror.c, mirror_find.c and mirror_qmp.c share, private to them: QEMU's names, and questions
 * in a session that is open. Errors as in qmp/qmp.h.
 */
#ifndef XF_MIRROR_PARTS_H
#define XF_MIRROR_PARTS_H

#include "disks/mirror.h"

/* The job of a disk, and the node of a copy elsewhere: "xf-xvda". */
void xf_mirror_job_name(char out[XF_MIRROR_NODE], const char *vdev);
/* Is this the node of a copy of the disk? */
bool xf_mirror_is_ours(const char *node, const char *vdev);

int xf_mirror_open(struct xf_qmp *q, const struct xf_mirror_at *at, struct xf_err *err);
/* A command whose answer says nothing but that it was carried out. */
int xf_mirror_tell(struct xf_qmp *q, const char *command, json_object *arguments,
                   struct xf_err *err);
/* {"NAME": "VALUE"} */
json_object *xf_mirror_word(const char *name, const char *value);

struct xf_mirror_job {
    bool exists, ready;
    bool concluded;
    bool failed;
    uint64_t offset, len;
    char why[XF_MIRROR_WHY];
};
int xf_mirror_job(struct xf_qmp *q, const char *vdev, struct xf_mirror_job *out,
                  struct xf_err *err);
/* Wait for at most timeout_ms until the job has concluded, or is gone. XF_AGAIN: it has not. */
int xf_mirror_job_wait(struct xf_qmp *q, const char *vdev, int timeout_ms,
                       struct xf_mirror_job *out, struct xf_err *err);

/* Is the device at this path the disk `vdev`? 1: yes; 0: no. */
int xf_mirror_is_vdev(struct xf_qmp *q, const char *qdev, const char *vdev, struct xf_err *err);
/* The disk, whatever uses it: out->node may be a job's filter. */
int xf_mirror_lookup(struct xf_qmp *q, const char *vdev, struct xf_mirror_disk *out,
                     struct xf_err *err);

/* Size of a node, bytes. */
int xf_mirror_node_size(struct xf_qmp *q, const char *node, uint64_t *size, struct xf_err *err);

int xf_mirror_set_throttle(struct xf_qmp *q, const char *qdev, uint64_t bytes_per_s,
                           struct xf_err *err);

/* Remove job, nodes and throttle of the copy of this disk, in whatever state. */
int xf_mirror_remove(struct xf_qmp *q, const struct xf_mirror_disk *disk, bool throttled,
                     bool *found, struct xf_err *err);

#endif
