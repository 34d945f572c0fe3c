/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for what is received of disks. The first byte says what the rest is: all that a
 * QEMU's monitor sends in each of the sessions about a disk; a question of the source's; or libxl's
 * configuration of a domain. Beyond "no crash": every error is one clean sentence, what is returned
 * keeps to its limits, and a job that is not complete is not told to end.
 */
#include <errno.h>

#include "disks/mirror.h"
#include "disks/verify.h"
#include "libxl-ext/disks/disk_records.h"
#include "tests/fuzz/monitor.h"
#include "tests/fuzz/target.h"
#include "tests/unit/fake_monitor.h"
#include "transport/text.h"
#include "transport/wire.h"

enum { FOUND, REFUSED, READY, FAILED, DONE, CLEARED, STARTED, ASKED, EDITED };

static bool fuzz_fine(int rc, struct xf_err *err)
{
    MUST(rc <= 0 && !rc == !err->num);
    MUST(!rc || (err->text[0] && xf_text_is_clean(err->text, strlen(err->text))));
    if (err->num == EREMOTEIO)
        fuzz_reached(REFUSED);
    xf_clear(err);
    return !rc;
}

static void fuzz_monitor(void)
{
    const struct xf_mirror_at at = {.monitor = "/anywhere", .domid = 7, .limit_ms = 200};
    const struct xf_mirror_target target = {.file = "/new"};
    struct xf_mirror m = {.at = at, .disk.vdev = "xvda", .target = "xf-xvda-1", .local = true};
    struct xf_mirror_look look = {0};
    struct xf_mirror_disk disk;
    struct xf_err err = {0};
    bool found = false;

    if (fuzz_fine(xf_mirror_find(&at, "xvda", &disk, &err), &err)) {
        fuzz_reached(FOUND);
        MUST(memchr(disk.node, 0, sizeof(disk.node)) && memchr(disk.file, 0, sizeof(disk.file)) &&
             xf_text_is_clean(disk.file, strlen(disk.file)) && disk.size <= INT64_MAX);
        m.disk = disk;
    }
    for (int ending = 0; ending < 2; ending++) {
        m.ending = ending;
        if (!fuzz_fine(xf_mirror_look(&m, &look, &err), &err))
            continue;
        MUST(look.left == look.len - look.offset && look.left <= look.len);
        MUST(xf_text_is_clean(look.why, strlen(look.why)));
        if (look.state == XF_MIRROR_READY)
            fuzz_reached(READY);
        if (look.state == XF_MIRROR_FAILED)
            fuzz_reached(FAILED);
        if (look.state == XF_MIRROR_DONE)
            fuzz_reached(DONE);
    }
    m.ending = false;
    if (!fuzz_fine(xf_mirror_finish_begin(&m, &err), &err))
        MUST(!m.ending);
    m.ending = false;
    if (!fuzz_fine(xf_mirror_pivot(&m, &err), &err))
        MUST(!m.pivoted || !m.target[0]);
    if (fuzz_fine(xf_mirror_clear(&at, "xvda", &found, &err), &err) && found)
        fuzz_reached(CLEARED);
    if (fuzz_fine(xf_mirror_start(&m, &at, &m.disk, &target, 0, &err), &err))
        fuzz_reached(STARTED);
    fuzz_fine(xf_mirror_cancel(&m, &err), &err);
}

static void fuzz_question(const uint8_t *data, size_t size)
{
    struct xf_msg m = {.type = XF_MSG_DISK_ASK, .meta_len = (uint32_t)size};
    uint64_t chunk[XF_VERIFY_ASK];
    struct xf_err err = {0};
    unsigned n = 0;

    if (!fuzz_fine(xf_verify_ask_decode(chunk, &n, &m, data, 1000, &err), &err))
        return;
    fuzz_reached(ASKED);
    MUST(n >= 1 && n <= XF_VERIFY_ASK && chunk[0] < 1000);
    for (unsigned i = 1; i < n; i++)
        MUST(chunk[i] > chunk[i - 1] && chunk[i] < 1000);
}

static void fuzz_configuration(const uint8_t *data, size_t size)
{
    struct xf_err err = {0};
    char *text = xf_disk_record_edit((const char *)data, size, "xvda", "/new", &err), *again;

    if (!fuzz_fine(text ? 0 : -1, &err))
        return;
    fuzz_reached(EDITED);
    again = xf_disk_record_edit(text, strlen(text), "xvda", "/new", &err);
    MUST(again && !strcmp(again, text));
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > FUZZ_INPUT_MAX)
        return 0;
    monitor_begin(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        fuzz_monitor();
        break;
    case 1:
        fuzz_question(data + 1, size - 1);
        break;
    default:
        fuzz_configuration(data + 1, size - 1);
    }
    monitor_end();
    return 0;
}

/* A monitor answers each session alike; each takes of it what fits its question. */
#define DISK                                                                                       \
    QMP_ANSWER(2, "[{\"qdev\": \"/m\", \"inserted\": {\"node-name\": \"xf-xvda-1\", \"drv\": "     \
                  "\"raw\", \"ro\": false, \"image\": {\"filename\": \"/a\", \"virtual-size\": "   \
                  "9}}}]")                                                                         \
    QMP_ANSWER(3, "\"xvda\"")
#define JOB(id, more)                                                                              \
    QMP_ANSWER(id, "[{\"device\": \"xf-xvda\", \"ready\": true, \"offset\": 5, \"len\": 8, "       \
                   "\"status\": " more "}]")

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static const char *const seeds[] = {
        "0" QMP_GREETING QMP_DONE(1) DISK QMP_ANSWER(4, "[]"),
        "0" QMP_GREETING QMP_DONE(1) JOB(2, "\"ready\"") QMP_DONE(3) QMP_REFUSAL(4, "no"),
        "0" QMP_GREETING QMP_DONE(1) JOB(2, "\"concluded\""),
        "0" QMP_GREETING QMP_DONE(1) JOB(2, "\"concluded\", \"error\": \"a\\u001b\""),
        "0" QMP_GREETING QMP_DONE(1) DISK JOB(4, "\"concluded\"") QMP_DONE(5)
            QMP_ANSWER(6, "[{\"qdev\": \"/m\", \"inserted\": {\"node-name\": \"xvda-raw\", "
                          "\"drv\": \"raw\", \"ro\": false, \"image\": {\"filename\": \"/a\", "
                          "\"virtual-size\": 9}}}]") QMP_ANSWER(7, "\"xvda\"")
                QMP_ANSWER(8, "[{\"node-name\": \"xf-xvda\"}]") QMP_DONE(9) QMP_ANSWER(10, "[]")
                    QMP_DONE(11),
        "0" QMP_GREETING QMP_DONE(1) QMP_DONE(2)
            QMP_ANSWER(3, "[{\"node-name\": \"xf-xvda-1\", \"image\": {\"virtual-size\": 0}}]")
                QMP_DONE(4),
        "0" QMP_GREETING QMP_DONE(1) QMP_REFUSAL(2, "no\\n"),
        "2{\"disks\": [{\"vdev\": \"xvda\", \"pdev_path\": \"/a\"}]}",
    };
    size_t len;

    if ((size_t)n == sizeof(seeds) / sizeof(seeds[0])) {
        static const uint64_t ask[] = {0, 3, 999};

        out[0] = 1;
        return 1 + xf_verify_ask_encode(ask, 3, out + 1);
    }
    if ((size_t)n > sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    len = strlen(seeds[n]);
    memcpy(out, seeds[n], len);
    return len;
}

FUZZ_TARGET(fuzz_seed, "a disk is found", "a refusal", "a job is ready", "a job has failed",
            "a job is done", "leftovers are removed", "a mirror is started", "a question is taken",
            "a configuration is changed")
