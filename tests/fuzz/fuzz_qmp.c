/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for a device model's monitor: the input is all that it ever sends, from its
 * greeting on; then it ends. Beyond "no crash": every error is one clean sentence and closes the
 * connection unless it is a refusal, what is returned keeps to its limits, and the dirty log is
 * turned off only if it is on.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "libxl-ext/xen/qmp_commands.h"
#include "tests/fuzz/monitor.h"
#include "tests/fuzz/target.h"
#include "tests/unit/fake_monitor.h"
#include "transport/text.h"

enum { OPENED, REFUSED, RUNS, WAITS, VERSION, FREE, BLOCKED, UNMAPPED, LOGGED, SAVED, CONTINUED };

/* Bytes that the monitor has been sent. */
static int fuzz_sent(void)
{
    int n = 0;

    MUST(!ioctl(monitor.fd, FIONREAD, &n));
    return n;
}

/* Can it go on? */
static bool fuzz_went(struct xf_qmp *q, int rc, struct xf_err *err)
{
    if (!rc) {
        MUST(!err->num && q->fd >= 0);
        return true;
    }
    MUST(rc == -1 && err->num && err->text[0] && xf_text_is_clean(err->text, strlen(err->text)));
    MUST(err->num == EREMOTEIO || err->num == EPROTO || err->num == ECONNRESET);
    MUST((q->fd >= 0) == (err->num == EREMOTEIO));
    if (err->num == EREMOTEIO)
        fuzz_reached(REFUSED);
    xf_clear(err);
    return q->fd >= 0;
}

static bool fuzz_questions(struct xf_qmp *q, struct xf_err *err)
{
    struct xf_qmp_version version = {0};
    enum xf_qmp_state state = XF_QMP_IS_OTHER;
    char reasons[XF_QMP_REASONS] = "";
    bool unmapped = false;

    if (!fuzz_went(q, xf_qmp_status(q, &state, err), err))
        return false;
    MUST(state <= XF_QMP_IS_OTHER);
    if (state == XF_QMP_IS_RUNNING)
        fuzz_reached(RUNS);
    if (state == XF_QMP_IS_INMIGRATE)
        fuzz_reached(WAITS);
    if (!fuzz_went(q, xf_qmp_version(q, &version, err), err))
        return false;
    MUST(version.major < 1000 && version.minor < 1000 && version.micro < 1000);
    if (version.major)
        fuzz_reached(VERSION);
    if (!fuzz_went(q, xf_qmp_blocked(q, reasons, err), err))
        return false;
    MUST(memchr(reasons, 0, sizeof(reasons)) && xf_text_is_clean(reasons, strlen(reasons)));
    fuzz_reached(reasons[0] ? BLOCKED : FREE);
    if (!fuzz_went(q, xf_qmp_video_unmapped(q, &unmapped, err), err))
        return false;
    if (unmapped)
        fuzz_reached(UNMAPPED);
    return true;
}

static void fuzz_orders(struct xf_qmp *q, struct xf_err *err)
{
    int before, rc;
    bool on;

    if (!fuzz_went(q, xf_qmp_log_on(q, err), err) || !fuzz_went(q, xf_qmp_stop(q, err), err))
        return;
    rc = xf_qmp_save(q, "/run/dm-7", err);
    if (!fuzz_went(q, rc, err))
        return;
    if (!rc)
        fuzz_reached(SAVED);
    rc = xf_qmp_cont(q, err);
    if (!fuzz_went(q, rc, err))
        return;
    if (!rc && q->seen & XF_QMP_RESUME)
        fuzz_reached(CONTINUED);
    for (int i = 0; i < 2; i++) {
        on = q->log_on;
        before = fuzz_sent();
        rc = xf_qmp_log_off(q, err);
        MUST(on == (fuzz_sent() > before) && !q->log_on);
        if (!fuzz_went(q, rc, err))
            return;
        if (on && !rc)
            fuzz_reached(LOGGED);
    }
    fuzz_went(q, xf_qmp_announce(q, err), err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xf_qmp q = XF_QMP_CLOSED;
    struct xf_err err = {0};
    int rc;

    if (size > FUZZ_INPUT_MAX)
        return 0;
    monitor_begin(data, size);
    rc = xf_qmp_open(&q, "/anywhere", 7, 60000, (struct xf_tick){0}, &err);
    MUST(!rc || q.fd < 0);
    if (rc) {
        MUST(err.num && err.text[0] && xf_text_is_clean(err.text, strlen(err.text)));
    } else {
        fuzz_reached(OPENED);
        if (fuzz_questions(&q, &err))
            fuzz_orders(&q, &err);
    }
    xf_qmp_close(&q);
    monitor_end();
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static const char *const seeds[] = {
        QMP_GREETING QMP_DONE(1) QMP_STATUS(2, "running", "true")
            QMP_ANSWER(3, "{\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}")
                QMP_ANSWER(4, "{\"status\": \"completed\"}")
                    QMP_ANSWER(5, "[{\"devices\": [{\"class_info\": {\"class\": 768}, "
                                  "\"regions\": [{\"bar\": 0, \"address\": -1}]}]}]") QMP_DONE(6)
                        QMP_EVENT("STOP") QMP_DONE(7) QMP_DONE(8) QMP_EVENT("RESUME") QMP_DONE(9)
                            QMP_EVENT("SHUTDOWN") QMP_DONE(10),
        QMP_GREETING QMP_DONE(1) QMP_STATUS(2, "inmigrate", "false") QMP_REFUSAL(3, "no\\n")
            QMP_ANSWER(4, "{\"blocked-reasons\": [\"a\\u001b\", \"b\", \"c\", \"d\"]}")
                QMP_REFUSAL(5, "no\\n") QMP_REFUSAL(6, "no\\n") QMP_REFUSAL(7, "no\\n")
                    QMP_REFUSAL(8, "no\\n") QMP_REFUSAL(9, "no\\n"),
        QMP_GREETING QMP_REFUSAL(1, "no\\n"),
        QMP_EVENT("STOP") QMP_GREETING QMP_DONE(1) QMP_STATUS(2, "paused", "false"),
    };
    size_t len;

    if ((size_t)n >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    len = strlen(seeds[n]);
    memcpy(out, seeds[n], len);
    return len;
}

FUZZ_TARGET(fuzz_seed, "the monitor is opened", "a refusal", "a QEMU that runs",
            "a QEMU that waits for its state", "a version", "no reason against a migration",
            "reasons against a migration", "video memory that is not mapped",
            "the dirty log is turned off", "a state is saved", "RESUME was seen")
