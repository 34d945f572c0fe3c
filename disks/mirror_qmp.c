/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names, and the simplest of what QEMU is told of disks: see mirror_parts.h. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "disks/mirror_parts.h"

void xf_mirror_job_name(char out[XF_MIRROR_NODE], const char *vdev)
{
    snprintf(out, XF_MIRROR_NODE, "xf-%.*s", (int)XF_MIRROR_VDEV, vdev);
}

bool xf_mirror_is_ours(const char *node, const char *vdev)
{
    char name[XF_MIRROR_NODE];
    size_t len;

    xf_mirror_job_name(name, vdev);
    len = strlen(name);
    return !strncmp(node, name, len) &&
           (!node[len] || !strcmp(node + len, "-1") || !strcmp(node + len, "-2"));
}

int xf_mirror_open(struct xf_qmp *q, const struct xf_mirror_at *at, struct xf_err *err)
{
    *q = XF_QMP_CLOSED;
    return xf_qmp_open(q, at->monitor, at->domid, at->limit_ms, at->tick, err);
}

json_object *xf_mirror_word(const char *name, const char *value)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, name, json_object_new_string(value));
    return o;
}

int xf_mirror_tell(struct xf_qmp *q, const char *command, json_object *arguments,
                   struct xf_err *err)
{
    struct xf_json answer;
    int rc = xf_qmp_call(q, command, arguments, &answer, err);

    xf_json_close(&answer);
    return rc;
}

/* Other devices have no such property. */
/* QEMU writes a whole disk as its partition 0: "xvda0" (xen_block_get_vdev(),
 * hw/block/xen-block.c). */
static bool is_name(const char *name, const char *vdev)
{
    size_t len = strlen(vdev);

    if (strncmp(name, vdev, len) != 0 || !len)
        return false;
    return !name[len] || (!strcmp(name + len, "0") && !isdigit((unsigned char)vdev[len - 1]));
}

int xf_mirror_is_vdev(struct xf_qmp *q, const char *qdev, const char *vdev, struct xf_err *err)
{
    json_object *arguments = xf_mirror_word("path", qdev);
    char name[XF_MIRROR_VDEV];
    struct xf_json answer;
    struct xf_err why = {0};
    int rc;

    json_object_object_add(arguments, "property", json_object_new_string("vdev"));
    rc = xf_qmp_call_list(q, "qom-get", arguments, &answer, &why);
    if (!rc && xf_json_word(&answer, "return", name, sizeof(name))) {
        xf_qmp_close(q);
        rc = -1;
    }
    xf_json_close(&answer);
    if (rc && why.num == EREMOTEIO)
        return 0;
    return rc ? xf_fail_as(err, &why, "%s", why.text) : is_name(name, vdev);
}

int xf_mirror_set_throttle(struct xf_qmp *q, const char *qdev, uint64_t bytes_per_s,
                           struct xf_err *err)
{
    static const char *const none[] = {"bps", "bps_rd", "iops", "iops_rd", "iops_wr"};
    json_object *arguments = xf_mirror_word("id", qdev);

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        json_object_object_add(arguments, none[i], json_object_new_int64(0));
    json_object_object_add(arguments, "bps_wr", json_object_new_int64((int64_t)bytes_per_s));
    return xf_mirror_tell(q, "block_set_io_throttle", arguments, err);
}
