/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a QEMU that a test plays says of disks and jobs: taken if it is well formed, refused else. A
 * real one is in tests/disks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "disks/mirror.h"
#include "tests/unit/fake_monitor.h"
#include "tests/unit/suite.h"

#define LONG_MS 60000 /* never over in a test that succeeds */
#define BLOCK(qdev, node, drv)                                                                     \
    "{\"device\": \"\", \"qdev\": \"" qdev "\", \"inserted\": {\"node-name\": \"" node             \
    "\", \"drv\": \"" drv "\", \"ro\": false, \"image\": {\"filename\": \"/srv/g1.img\", "         \
    "\"virtual-size\": 4096}}}"
#define NO_JOBS QMP_ANSWER(5, "[]")
#define JOB(id, more)                                                                              \
    QMP_ANSWER(id, "[{\"device\": \"other\"}, {\"device\": \"xf-xvda\", \"ready\": true, "         \
                   "\"offset\": 5, \"len\": 8, \"status\": " more "}]")

static struct xf_err *const err = &fake_monitor.err;
static struct xf_mirror_disk disk;

static struct xf_mirror_at at(void)
{
    struct xf_mirror_at a = {.domid = FAKE_MONITOR_DOMID, .limit_ms = LONG_MS};

    snprintf(a.monitor, sizeof(a.monitor), "%s", fake_monitor.path);
    return a;
}

static int find(const char *const *answers)
{
    const struct xf_mirror_at a = at();
    int rc;

    fake_monitor_begin(answers);
    rc = xf_mirror_find(&a, "xvda", &disk, err);
    fake_monitor_end();
    return rc;
}

/* The disk's name is the device's, not the node's: after a change of images those differ. */
static void test_find(void)
{
    static const char *const good[] = {
        QMP_ANSWER(2, "[{\"device\": \"cd\"}, " BLOCK("/m/ide", "ide0", "raw") ", " BLOCK(
                          "/m/d0", "xvdb-raw", "raw") ", " BLOCK("/m/d1", "xf-xvda-1", "raw") "]"),
        QMP_REFUSAL(3, "Property 'ide-hd.vdev' not found"),
        QMP_ANSWER(4, "\"xvdb0\""),
        QMP_ANSWER(5, "\"xvda0\""),
        QMP_ANSWER(6, "[]"),
        NULL};

    CU_ASSERT_EQUAL(find(good), 0);
    CU_ASSERT_EQUAL(err->num, 0);
    CU_ASSERT(disk.size == 4096 && disk.raw && !disk.read_only);
    CU_ASSERT_STRING_EQUAL(disk.qdev, "/m/d1");
    CU_ASSERT_STRING_EQUAL(disk.node, "xf-xvda-1");
    CU_ASSERT_STRING_EQUAL(disk.file, "/srv/g1.img");
    CU_ASSERT_PTR_NOT_NULL(strstr(fake_monitor.heard,
                                  "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/m/"
                                  "d1\",\"property\":\"vdev\"},\"id\":5}\n"));
}

static void test_not_found(void)
{
    static const char *const none[] = {QMP_ANSWER(2, "[]"), NULL};
    static const char *const empty[] = {QMP_ANSWER(2, "[{\"qdev\": \"/m/d1\"}]"),
                                        QMP_ANSWER(3, "\"xvda0\""), NULL};
    static const char *const filter[] = {
        QMP_ANSWER(2, "[" BLOCK("/m/d1", "xf-top-xvda", "mirror_top") "]"),
        QMP_ANSWER(3, "\"xvda\""), QMP_ANSWER(4, "[]"), NULL};
    static const char *const job[] = {QMP_ANSWER(2, "[" BLOCK("/m/d1", "xvda-raw", "raw") "]"),
                                      QMP_ANSWER(3, "\"xvda\""), JOB(4, "\"running\""), NULL};
    static const struct {
        const char *const *answers;
        int num;
    } rows[] = {{none, ENOENT}, {empty, ENOMEDIUM}, {filter, EBUSY}, {job, EBUSY}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CU_ASSERT_EQUAL(find(rows[i].answers), -1);
        CU_ASSERT_EQUAL(err->num, rows[i].num);
        xf_clear(err);
    }
}

static void test_invalid(void)
{
    static const char *const lists[] = {
        "{}",
        "[1]",
        "[{\"qdev\": 1}]",
        "[{\"qdev\": \"a\\u001b\"}]",
    };
    static const char *const inserted[] = {
        "1",
        "{}",
        "{\"node-name\": \"n\", \"drv\": \"raw\", \"ro\": 0, \"image\": {}}",
        "{\"node-name\": \"n\", \"drv\": \"raw\", \"ro\": true, \"image\": {\"filename\": \"/a\"}}",
        "{\"node-name\": \"n\", \"drv\": \"raw\", \"ro\": true, \"image\": {\"virtual-size\": -1}}",
        "{\"node-name\": \"0123456789012345678901234567890123456789\", \"drv\": \"raw\"}",
    };
    char line[400];
    const char *answers[] = {line, NULL, NULL};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        snprintf(line, sizeof(line), QMP_ANSWER(2, "%s"), lists[i]);
        CU_ASSERT_EQUAL(find(answers), -1);
        CU_ASSERT_EQUAL(err->num, EPROTO);
        xf_clear(err);
    }
    answers[1] = QMP_ANSWER(3, "\"xvda\"");
    for (size_t i = 0; i < sizeof(inserted) / sizeof(inserted[0]); i++) {
        snprintf(line, sizeof(line), QMP_ANSWER(2, "[{\"qdev\": \"/m\", \"inserted\": %s}]"),
                 inserted[i]);
        CU_ASSERT_EQUAL(find(answers), -1);
        CU_ASSERT_EQUAL(err->num, EPROTO);
        xf_clear(err);
    }
    answers[1] = QMP_ANSWER(3, "{}");
    CU_ASSERT_EQUAL(find(answers), -1);
    CU_ASSERT_EQUAL(err->num, EPROTO);
    xf_clear(err);
}

/* How a job is judged, before and after it is told to end. */
static void test_look(void)
{
    static const struct {
        const char *answer;
        bool ending;
        enum xf_mirror_state state;
        const char *why;
    } rows[] = {
        {JOB(2, "\"running\""), false, XF_MIRROR_READY, ""},
        {JOB(2, "\"ready\""), true, XF_MIRROR_ENDS, ""},
        {JOB(2, "\"concluded\""), true, XF_MIRROR_DONE, ""},
        {JOB(2, "\"concluded\""), false, XF_MIRROR_FAILED, "by another program"},
        {JOB(2, "\"concluded\", \"error\": \"No space\\nleft\""), true, XF_MIRROR_FAILED,
         "No space left"},
        {QMP_ANSWER(2, "[]"), false, XF_MIRROR_FAILED, "gone"},
    };
    static const char *const bad[] = {
        QMP_ANSWER(2, "{}"),
        QMP_ANSWER(2, "[{}]"),
        QMP_ANSWER(2, "[{\"device\": \"xf-xvda\"}]"),
        QMP_ANSWER(2, "[{\"device\": \"xf-xvda\", \"status\": \"running\", \"ready\": true, "
                      "\"offset\": -1, \"len\": 8}]"),
        JOB(2, "\"concluded\", \"error\": 1"),
    };
    struct xf_mirror m = {.disk.vdev = "xvda"};
    struct xf_mirror_look look;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        m.at = at();
        m.ending = rows[i].ending;
        fake_monitor_begin((const char *const[]){rows[i].answer, NULL});
        CU_ASSERT_EQUAL(xf_mirror_look(&m, &look, err), 0);
        fake_monitor_end();
        CU_ASSERT_EQUAL(look.state, rows[i].state);
        CU_ASSERT_PTR_NOT_NULL(strstr(look.why, rows[i].why));
        CU_ASSERT(look.state == XF_MIRROR_FAILED || look.left == 3);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fake_monitor_begin((const char *const[]){bad[i], NULL});
        CU_ASSERT_EQUAL(xf_mirror_look(&m, &look, err), -1);
        fake_monitor_end();
        CU_ASSERT_EQUAL(err->num, EPROTO);
        xf_clear(err);
    }
}

/* The settings that STORAGE asks for reach QEMU, word by word. */
static void test_start(void)
{
    static const char *const answers[] = {
        QMP_DONE(2),
        QMP_ANSWER(3, "[{\"node-name\": \"a\"}, {\"node-name\": \"xf-xvda\", \"image\": "
                      "{\"virtual-size\": 4096}}]"),
        QMP_DONE(4), NULL};
    const struct xf_mirror_target target = {.socket = "/run/s", .export = "xvda"};
    const struct xf_mirror_at a = at();
    struct xf_mirror m;

    disk = (struct xf_mirror_disk){.vdev = "xvda", .node = "xvda-raw", .qdev = "/m", .size = 4096};
    fake_monitor_begin(answers);
    CU_ASSERT_EQUAL(xf_mirror_start(&m, &a, &disk, &target, 1000, err), 0);
    fake_monitor_end();
    CU_ASSERT_STRING_EQUAL(
        fake_monitor.heard,
        "{\"execute\":\"blockdev-add\",\"arguments\":{\"driver\":\"nbd\",\"node-name\":\"xf-xvda\","
        "\"export\":\"xvda\",\"server\":{\"type\":\"unix\",\"path\":\"/run/s\"},"
        "\"reconnect-delay\":0},\"id\":2}\n"
        "{\"execute\":\"query-named-block-nodes\",\"arguments\":{\"flat\":true},\"id\":3}\n"
        "{\"execute\":\"blockdev-mirror\",\"arguments\":{\"job-id\":\"xf-xvda\",\"device\":"
        "\"xvda-raw\",\"target\":\"xf-xvda\",\"sync\":\"full\",\"copy-mode\":\"background\","
        "\"granularity\":4096,\"speed\":1000,\"on-source-error\":\"report\",\"on-target-error\":"
        "\"report\",\"filter-node-name\":\"xf-top-xvda\",\"auto-dismiss\":false},\"id\":4}\n");
}

int main(void)
{
    CU_TestInfo tests[] = {{"the disk is found by its device", test_find},
                           {"no such disk, no medium, a job", test_not_found},
                           {"invalid answers", test_invalid},
                           {"how a job is judged", test_look},
                           {"the settings of a mirror", test_start},
                           CU_TEST_INFO_NULL};
    int rc;

    fake_monitor_open();
    rc = run_suite("answers about mirrors", tests);
    fake_monitor_close();
    return rc;
}
