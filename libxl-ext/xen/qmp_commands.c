/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands given to a device model: see qmp_commands.h. */
#include "libxl-ext/xen/qmp_commands.h"

#include <stdio.h>
#include <string.h>

#include "transport/text.h"

#define REASONS_MAX 4096u /* in one answer */
#define REASONS_SHOWN 3u
#define REASON 120u  /* size of one that is shown */
#define PCI_MAX 256u /* buses, devices of one, regions of one */
#define CLASS_DISPLAY 3
#define UNMAPPED (-1) /* PCI_BAR_UNMAPPED, include/hw/pci/pci.h in QEMU */

_Static_assert((REASON + 2) * REASONS_SHOWN + sizeof("and 4096 more") <= XF_QMP_REASONS,
               "all of it fits");

/* A command whose answer says nothing but that it was carried out. */
static int tell(struct xf_qmp *q, const char *command, json_object *arguments, struct xf_err *err)
{
    struct xf_json answer;
    int rc = xf_qmp_call(q, command, arguments, &answer, err);

    xf_json_close(&answer);
    return rc;
}

/* Done with an answer. rc: whether it was invalid. */
static int finish(struct xf_qmp *q, struct xf_json *answer, int rc)
{
    xf_json_close(answer);
    if (rc)
        xf_qmp_close(q);
    return rc;
}

static int read_status(const struct xf_json *j, enum xf_qmp_state *out)
{
    char word[32];
    bool running;

    if (xf_json_word(j, "status", word, sizeof(word)) || xf_json_bool(j, "running", &running))
        return -1;
    *out = !strcmp(word, "running")     ? XF_QMP_IS_RUNNING
           : !strcmp(word, "paused")    ? XF_QMP_IS_PAUSED
           : !strcmp(word, "inmigrate") ? XF_QMP_IS_INMIGRATE
                                        : XF_QMP_IS_OTHER;
    return running == (*out == XF_QMP_IS_RUNNING)
               ? 0
               : xf_json_bad(j, "running", "contradicts \"status\"");
}

int xf_qmp_status(struct xf_qmp *q, enum xf_qmp_state *out, struct xf_err *err)
{
    struct xf_json answer;

    if (xf_qmp_call(q, "query-status", NULL, &answer, err))
        return -1;
    return finish(q, &answer, read_status(&answer, out));
}

static int read_version(const struct xf_json *j, struct xf_qmp_version *out)
{
    int64_t major, minor, micro;
    struct xf_json qemu;

    if (xf_json_object(j, "qemu", &qemu) || xf_json_number(&qemu, "major", 0, 999, &major) ||
        xf_json_number(&qemu, "minor", 0, 999, &minor) ||
        xf_json_number(&qemu, "micro", 0, 999, &micro))
        return -1;
    *out = (struct xf_qmp_version){(unsigned)major, (unsigned)minor, (unsigned)micro};
    return 0;
}

int xf_qmp_version(struct xf_qmp *q, struct xf_qmp_version *out, struct xf_err *err)
{
    struct xf_json answer;

    if (xf_qmp_call(q, "query-version", NULL, &answer, err))
        return -1;
    return finish(q, &answer, read_version(&answer, out));
}

int xf_qmp_stop(struct xf_qmp *q, struct xf_err *err)
{
    return tell(q, "stop", NULL, err);
}

int xf_qmp_cont(struct xf_qmp *q, struct xf_err *err)
{
    return tell(q, "cont", NULL, err);
}

static int set_log(struct xf_qmp *q, bool on, struct xf_err *err)
{
    json_object *arguments = json_object_new_object();

    json_object_object_add(arguments, "enable", json_object_new_boolean(on));
    return tell(q, "xen-set-global-dirty-log", arguments, err);
}

int xf_qmp_log_on(struct xf_qmp *q, struct xf_err *err)
{
    if (set_log(q, true, err))
        return -1;
    q->log_on = true;
    return 0;
}

int xf_qmp_log_off(struct xf_qmp *q, struct xf_err *err)
{
    if (!q->log_on)
        return 0;
    /* Before it is sent: without an answer nobody knows, and it must not be sent again. */
    q->log_on = false;
    return set_log(q, false, err);
}

int xf_qmp_save(struct xf_qmp *q, const char *file, struct xf_err *err)
{
    json_object *arguments = json_object_new_object();

    json_object_object_add(arguments, "filename", json_object_new_string(file));
    json_object_object_add(arguments, "live", json_object_new_boolean(true));
    return tell(q, "xen-save-devices-state", arguments, err);
}

int xf_qmp_announce(struct xf_qmp *q, struct xf_err *err)
{
    json_object *arguments = json_object_new_object();

    /* Milliseconds: after 50, then 150 later, 250, ... */
    json_object_object_add(arguments, "initial", json_object_new_int(50));
    json_object_object_add(arguments, "max", json_object_new_int(1000));
    json_object_object_add(arguments, "rounds", json_object_new_int(10));
    json_object_object_add(arguments, "step", json_object_new_int(100));
    return tell(q, "announce-self", arguments, err);
}

static int read_blocked(const struct xf_json *j, char out[XF_QMP_REASONS])
{
    static const char name[] = "blocked-reasons";
    size_t n, at = 0;
    json_object *reasons;

    out[0] = 0;
    if (!xf_json_has(j, name))
        return 0;
    reasons = xf_json_array(j, name, REASONS_MAX, &n);
    if (!reasons)
        return -1;
    for (size_t i = 0; i < n && i < REASONS_SHOWN; i++) {
        json_object *reason = json_object_array_get_idx(reasons, i);

        if (!json_object_is_type(reason, json_type_string))
            return xf_json_bad(j, name, "has an invalid entry");
        at += (size_t)snprintf(out + at, XF_QMP_REASONS - at, "%s", i ? "; " : "");
        at += xf_text_copy(out + at, REASON, json_object_get_string(reason),
                           (size_t)json_object_get_string_len(reason));
    }
    if (n > REASONS_SHOWN)
        snprintf(out + at, XF_QMP_REASONS - at, "; and %zu more", n - REASONS_SHOWN);
    return 0;
}

int xf_qmp_blocked(struct xf_qmp *q, char out[XF_QMP_REASONS], struct xf_err *err)
{
    struct xf_json answer;

    if (xf_qmp_call(q, "query-migrate", NULL, &answer, err))
        return -1;
    return finish(q, &answer, read_blocked(&answer, out));
}

/* Its memory is BAR 0. */
static int read_video(const struct xf_json *device, bool *unmapped)
{
    struct xf_json class_info, region;
    int64_t class, bar, address;
    json_object *regions;
    size_t n;

    if (xf_json_object(device, "class_info", &class_info) ||
        xf_json_number(&class_info, "class", 0, UINT16_MAX, &class))
        return -1;
    if (class >> 8 != CLASS_DISPLAY)
        return 0;
    regions = xf_json_array(device, "regions", PCI_MAX, &n);
    if (!regions)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (xf_json_item(device, "regions", regions, i, &region) ||
            xf_json_number(&region, "bar", 0, PCI_MAX, &bar) ||
            xf_json_number(&region, "address", INT64_MIN, INT64_MAX, &address))
            return -1;
        *unmapped |= bar == 0 && address == UNMAPPED;
    }
    return 0;
}

static int read_bus(const struct xf_json *bus, bool *unmapped)
{
    struct xf_json device;
    json_object *devices;
    size_t n;

    devices = xf_json_array(bus, "devices", PCI_MAX, &n);
    if (!devices)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (xf_json_item(bus, "devices", devices, i, &device) || read_video(&device, unmapped))
            return -1;
    return 0;
}

static int read_buses(const struct xf_json *j, bool *unmapped)
{
    struct xf_json bus;
    json_object *buses;
    size_t n;

    *unmapped = false;
    buses = xf_json_array(j, "return", PCI_MAX, &n);
    if (!buses)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (xf_json_item(j, "return", buses, i, &bus) || read_bus(&bus, unmapped))
            return -1;
    return 0;
}

int xf_qmp_video_unmapped(struct xf_qmp *q, bool *out, struct xf_err *err)
{
    struct xf_json answer;

    if (xf_qmp_call_list(q, "query-pci", NULL, &answer, err))
        return -1;
    return finish(q, &answer, read_buses(&answer, out));
}
