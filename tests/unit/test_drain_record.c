/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a drain keeps in the run directory: written and read again, refused when it is damaged or
 * not ours, void after a restart; what the receiver makes of it; the lock. And what is taken from
 * the lines of a child.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libxl-ext/drain/said.h"
#include "libxl-ext/moves/drain_record.h"
#include "tests/unit/suite.h"

static char dir[64], path[100];
static struct xf_drain_record made, r;
static struct xf_err err;

static void begin(void)
{
    struct xf_drain_left g = {.name = "web1", .uuid = "u-1", .host = "host2", .left = true};

    snprintf(dir, sizeof(dir), "/tmp/xf-drain-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/drain", dir);
    xf_clear(&err);
    CU_ASSERT_FATAL(!xf_drain_record_init(&made, &err));
    made.draining = made.has_ssh = true;
    strcpy(made.ssh, "ssh -p 22");
    made.nr_hosts = 2;
    strcpy(made.host[0], "host2");
    strcpy(made.host[1], "host3");
    CU_ASSERT(!xf_drain_record_put(&made, &g, &err));
    strcpy(g.uuid, "u-2");
    strcpy(g.name, "it's");
    g.left = false;
    CU_ASSERT(!xf_drain_record_put(&made, &g, &err));
}

static void end(void)
{
    xf_drain_record_free(&made);
    xf_drain_record_free(&r);
    for (const char *const *name = (const char *const[]){"drain", "drain.new", "drain.lock", NULL};
         *name; name++) {
        char file[100];

        snprintf(file, sizeof(file), "%s/%s", dir, *name);
        unlink(file);
    }
    CU_ASSERT(!rmdir(dir));
}

static void test_round_trip(void)
{
    begin();
    CU_ASSERT_EQUAL(xf_drain_record_read(dir, &r, &err), -1);
    CU_ASSERT_EQUAL(err.num, ENOENT);
    xf_drain_record_free(&r);
    xf_clear(&err);
    CU_ASSERT(!xf_drain_record_write(dir, &made, &err));
    CU_ASSERT(!xf_drain_record_read(dir, &r, &err));
    CU_ASSERT(r.draining && r.has_ssh && r.nr_hosts == 2 && r.nr == 2);
    CU_ASSERT_STRING_EQUAL(r.ssh, "ssh -p 22");
    CU_ASSERT_STRING_EQUAL(r.host[1], "host3");
    CU_ASSERT(!memcmp(r.guest, made.guest, 2 * sizeof(*r.guest)));
    CU_ASSERT_PTR_EQUAL(xf_drain_record_find(&r, "u-2"), &r.guest[1]);
    CU_ASSERT_PTR_NULL(xf_drain_record_find(&r, "u-3"));
    xf_drain_record_drop(&r, "u-1");
    xf_drain_record_drop(&r, "u-9");
    CU_ASSERT(r.nr == 1 && !strcmp(r.guest[0].uuid, "u-2"));
    xf_drain_record_free(&r);
    CU_ASSERT_EQUAL(xf_drain_record_remove(dir, &err), 1);
    CU_ASSERT_EQUAL(xf_drain_record_remove(dir, &err), 0);
    end();
}

/* No more than its limit, and a full one is read again. */
static void test_full(void)
{
    struct xf_drain_left g = {.host = "host2"};

    begin();
    memset(g.name, 'n', sizeof(g.name) - 1);
    for (unsigned i = made.nr; i < XF_DRAIN_GUESTS_MAX; i++) {
        snprintf(g.uuid, sizeof(g.uuid), "uuid-%u", i);
        CU_ASSERT(!xf_drain_record_put(&made, &g, &err));
    }
    CU_ASSERT(!xf_drain_record_put(&made, &g, &err)); /* it is there */
    strcpy(g.uuid, "another");
    CU_ASSERT_EQUAL(xf_drain_record_put(&made, &g, &err), -1);
    CU_ASSERT(err.num == ENOSPC && strstr(err.text, "--end"));
    xf_clear(&err);
    CU_ASSERT(!xf_drain_record_write(dir, &made, &err));
    CU_ASSERT(!xf_drain_record_read(dir, &r, &err) && r.nr == XF_DRAIN_GUESTS_MAX);
    end();
}

static void put(const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");

    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
    chmod(path, mode);
}

/* The record with `old` replaced. */
static const char *changed(const char *old, const char *new)
{
    static char text[4096];
    char *whole = xf_drain_record_format(&made), *at = strstr(whole, old);

    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - whole), whole, new, at + strlen(old));
    free(whole);
    return text;
}

/* Reading fails with num, names the file, and newcomers are refused with a remedy all the same. */
static bool refuses(int num)
{
    char why[XF_ERR_TEXT] = "";
    bool good;

    xf_clear(&err);
    good = xf_drain_record_read(dir, &r, &err) == -1 && err.num == num && strstr(err.text, path);
    xf_drain_record_free(&r);
    good = good && xf_drain_refuses(dir, why, sizeof(why)) &&
           strstr(why, "run `xl migrate-drain --end` there");
    if (!good)
        printf("\n  %d: %s / %s\n", err.num, err.text, why);
    return good;
}

static void test_damaged(void)
{
    begin();
    put("", 0600);
    CU_ASSERT(refuses(EPROTO));
    put("[]", 0600);
    CU_ASSERT(refuses(EPROTO));
    put(changed("\"version\":1", "\"version\":2"), 0600);
    CU_ASSERT(refuses(EPROTO));
    put(changed("\"draining\":true", "\"draining\":1"), 0600);
    CU_ASSERT(refuses(EPROTO));
    put(changed("u-2", "u-1"), 0600); /* twice the same */
    CU_ASSERT(refuses(EPROTO));
    put(changed("\"web1\"", "\"\""), 0600);
    CU_ASSERT(refuses(EPROTO));
    put(changed("\"web1\"", "\"\\u001b[31m\""), 0600);
    CU_ASSERT(refuses(EPROTO));
    put(changed("\"host2\",\"left\"", "\"\",\"left\""), 0600);
    CU_ASSERT(refuses(EPROTO));
    put(changed("\"guests\":[", "\"guests\":[7,"), 0600);
    CU_ASSERT(refuses(EPROTO));
    put(changed("}", "} more"), 0600);
    CU_ASSERT(refuses(EPROTO));
    put(changed("u-2", "u-3"), 0644);
    CU_ASSERT(refuses(EPERM));
    unlink(path);
    CU_ASSERT(!symlink("/dev/null", path));
    CU_ASSERT(refuses(ELOOP));
    unlink(path);
    CU_ASSERT(!mkfifo(path, 0600));
    CU_ASSERT(refuses(EPERM));
    end();
}

static void test_receiver(void)
{
    char why[XF_ERR_TEXT];

    begin();
    CU_ASSERT_FALSE(xf_drain_refuses("/nonexistent", why, sizeof(why)));
    CU_ASSERT_FALSE(xf_drain_refuses(dir, why, sizeof(why)));
    CU_ASSERT(!xf_drain_record_write(dir, &made, &err));
    CU_ASSERT_TRUE(xf_drain_refuses(dir, why, sizeof(why)));
    CU_ASSERT(strstr(why, "is being drained") && strstr(why, "xl migrate-drain --undo` there"));
    made.draining = false; /* they come back */
    CU_ASSERT(!xf_drain_record_write(dir, &made, &err));
    CU_ASSERT_FALSE(xf_drain_refuses(dir, why, sizeof(why)));
    /* Of an earlier boot: void. */
    made.draining = true;
    strcpy(made.boot_id, "another");
    CU_ASSERT(!xf_drain_record_write(dir, &made, &err));
    CU_ASSERT_FALSE(xf_drain_refuses(dir, why, sizeof(why)));
    CU_ASSERT(xf_drain_record_read(dir, &r, &err) == -1 && err.num == ENOENT);
    end();
}

static void test_lock(void)
{
    int a, b;

    begin();
    CU_ASSERT(!xf_drain_lock(dir, &a, &err) && a >= 0);
    CU_ASSERT(xf_drain_lock(dir, &b, &err) == -1 && b == -1 && err.num == EBUSY);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "another xl migrate-drain"));
    close(a);
    CU_ASSERT(!xf_drain_lock(dir, &b, &err));
    close(b);
    end();
}

/* --- what a child says --- */

static struct xf_said said;

static void say(const char *line)
{
    xf_said_line(&said, line, strlen(line));
}

static void test_said(void)
{
    xf_said_init(&said);
    say("Welcome to host2");
    say("{\"type\":\"progress\",\"phase\":\"COPY\"}");
    say("{\"type\":\"finding\",\"severity\":\"warning\",\"code\":\"kernel-missing\",\"text\":"
        "\"\"}");
    CU_ASSERT(!said.refusals && !said.forecasts && said.total_s == -1);
    say("{\"type\":\"finding\",\"severity\":\"refusal\",\"code\":\"memory\",\"text\":\"\"}");
    CU_ASSERT(said.refusals == 1 && said.for_memory == 1);
    CU_ASSERT_STRING_EQUAL(said.code, "memory");
    say("{\"type\":\"finding\",\"severity\":\"refusal\",\"code\":\"cpu-policy\",\"text\":\"\"}");
    say("{\"type\":\"finding\",\"severity\":\"refusal\",\"code\":\"name\",\"text\":\"\"}");
    CU_ASSERT(said.refusals == 3 && said.for_memory == 1);
    CU_ASSERT_STRING_EQUAL(said.code, "cpu-policy");
    say("{\"type\":\"report\",\"exit_status\":1,\"total_s\":1.5,\"downtime_s\":null,\"errno\":95,"
        "\"error\":\"a\\u001b[31m\\nb\"}");
    CU_ASSERT(said.num == 95);
    CU_ASSERT(said.total_s == 1.5 && said.downtime_s == -1);
    CU_ASSERT_STRING_EQUAL(said.error, "a?[31m b");
    say("{\"type\":\"error\",\"errno\":16,\"text\":\"wait\"}");
    CU_ASSERT(said.num == 16 && !strcmp(said.error, "wait"));
}

static void test_said_forecast(void)
{
    static const char own[] =
        "{\"type\":\"forecast\",\"total_s\":3.5,\"bytes\":4096,\"working_set_pages\":7}";
    static const char within[] =
        "{\"type\":\"report\",\"exit_status\":0,\"forecast\":{\"total_s\":3.5,\"bytes\":4096,"
        "\"working_set_pages\":7,\"memory_free_kib\":-1,\"memory_needed_kib\":\"x\"}}";
    static const char *const lines[] = {own, within};

    for (int i = 0; i < 2; i++) {
        xf_said_init(&said);
        say(lines[i]);
        CU_ASSERT(said.forecasts && said.forecast.total_s == 3.5 && said.forecast.bytes == 4096);
        CU_ASSERT(said.forecast.working_set_pages == 7 && said.forecast.downtime_s == -1);
        CU_ASSERT(said.forecast.memory_free_kib == UINT64_MAX &&
                  said.forecast.memory_needed_kib == UINT64_MAX);
    }
}

/* Nothing of this is taken. */
static void test_said_nonsense(void)
{
    static const char deep[] = "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}},"
                               "\"type\":\"report\",\"exit_status\":0,\"total_s\":1}";
    static const char *const lines[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"type\":7}",
        "{\"type\":\"report\"}",
        "{\"type\":\"report\",\"exit_status\":256,\"total_s\":1}",
        "{\"type\":\"report\",\"exit_status\":\"0\",\"total_s\":1}",
        "{\"type\":\"report\",\"exit_status\":0,\"total_s\":1} {}",
        "{\"type\":\"finding\",\"severity\":\"refusal\",\"code\":\"far too long for a code it "
        "is\"}",
        "{\"type\":\"finding\",\"severity\":\"refusal\",\"code\":\"\\u001b\"}",
        deep};

    xf_said_init(&said);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        say(lines[i]);
    CU_ASSERT(said.total_s == -1 && !said.error[0] && !said.refusals && !said.forecasts &&
              !said.code[0]);
    say("{\"type\":\"report\",\"exit_status\":0,\"total_s\":-1,\"downtime_s\":1e300,\"error\":7}");
    CU_ASSERT(said.total_s == -1 && said.downtime_s == -1 && !said.error[0]);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"written and read", test_round_trip},
        {"full", test_full},
        {"damaged, or somebody else's", test_damaged},
        {"newcomers", test_receiver},
        {"one at a time", test_lock},
        {"findings and the report of a child", test_said},
        {"a forecast", test_said_forecast},
        {"nonsense", test_said_nonsense},
        CU_TEST_INFO_NULL,
    };

    return run_suite("drain_record", tests);
}
