/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which domain a move builds here, and that no other one is taken over or destroyed: the identity
 * of the copy, xl's undoing, and the locks that keep a second move out.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxl-ext/sink/builder.h"
#include "libxl-ext/sink/incoming.h"
#include "libxl-ext/moves/incoming_lock.h"
#include "libxl-ext/host/run_dir.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/suite.h"
#include "transport/transport.h"

#define UUID "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11"
#define OTHER_UUID "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a12"
#define COPY "web1--incoming"

static char top[] = "/tmp/xf-incoming-XXXXXX";
static struct xf_err err;
static struct xf_incoming in;
static struct xf_toollog tool_log;
static libxl_ctx *ctx;

static void begin(void)
{
    fake_host_new();
    ctx = (libxl_ctx *)fake_host;
    xf_clear(&err);
    xf_toollog_init(&tool_log);
    CU_ASSERT_EQUAL(xf_incoming_init(&in, "web1", UUID, &err), 0);
}

static int destroy(void)
{
    xf_clear(&err);
    return xf_incoming_destroy(&in, ctx, &tool_log, &err);
}

static void says(const char *words)
{
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, words));
    if (!strstr(err.text, words))
        fprintf(stderr, "it says: %s\n", err.text);
}

static void test_known(void)
{
    uint32_t domid;

    begin();
    CU_ASSERT_STRING_EQUAL(in.name, COPY);
    CU_ASSERT_EQUAL(in.domid, 0);
    CU_ASSERT_EQUAL(xf_incoming_absent(&in, ctx, &err), 0);
    CU_ASSERT_EQUAL(xf_incoming_find(&in, ctx, &err), -1);
    CU_ASSERT_EQUAL(err.num, ESRCH);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_incoming_check(&in, ctx, &err), -1);
    CU_ASSERT_EQUAL(destroy(), 0); /* there is nothing */

    domid = fake_host_add(COPY, UUID);
    fake_host_add("web1", UUID);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_incoming_find(&in, ctx, &err), 0);
    CU_ASSERT_EQUAL(in.domid, domid);
    CU_ASSERT_EQUAL(xf_incoming_check(&in, ctx, &err), 0);
    CU_ASSERT_EQUAL(destroy(), 0);
    CU_ASSERT_EQUAL(fake_host->destroyed, 1);
    CU_ASSERT_PTR_NULL(fake_host_find(COPY));
    CU_ASSERT_PTR_NOT_NULL(fake_host_find("web1"));
    CU_ASSERT_EQUAL(xf_incoming_check(&in, ctx, &err), -1);
    CU_ASSERT_EQUAL(destroy(), 0);
    CU_ASSERT_EQUAL(fake_host->destroyed, 1);
    fake_host_free();
}

static void test_others(void)
{
    uint32_t domid;

    begin();
    /* It has the name, and is not ours. */
    fake_host_add(COPY, OTHER_UUID);
    CU_ASSERT_EQUAL(xf_incoming_absent(&in, ctx, &err), -1);
    says("unless another move is building it");
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_incoming_find(&in, ctx, &err), -1);
    CU_ASSERT_EQUAL(err.num, EEXIST);
    CU_ASSERT_EQUAL(in.domid, 0);
    CU_ASSERT_EQUAL(destroy(), -1);
    says("it was left alone");
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    fake_host_free();

    /* It has name and uuid, but we never learned that it is what our xl made. */
    begin();
    fake_host_add(COPY, UUID);
    CU_ASSERT_EQUAL(destroy(), -1);
    says("it was left alone");
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    fake_host_free();

    /* Ours is gone: another one has the number, or the name and the uuid. */
    begin();
    domid = fake_host_add(COPY, UUID);
    CU_ASSERT_EQUAL(xf_incoming_find(&in, ctx, &err), 0);
    strcpy(fake_host_at(domid)->uuid, OTHER_UUID);
    CU_ASSERT_EQUAL(xf_incoming_check(&in, ctx, NULL), -1);
    CU_ASSERT_EQUAL(destroy(), 0);
    strcpy(fake_host_at(domid)->uuid, UUID);
    strcpy(fake_host_at(domid)->name, "web1");
    CU_ASSERT_EQUAL(xf_incoming_check(&in, ctx, NULL), -1);
    CU_ASSERT_EQUAL(destroy(), 0);
    fake_host_at(domid)->domid = 0;
    fake_host_add(COPY, UUID);
    CU_ASSERT_EQUAL(xf_incoming_check(&in, ctx, NULL), -1);
    CU_ASSERT_EQUAL(destroy(), 0);
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    fake_host_free();
}

static void test_config(void)
{
    static const struct {
        const char *name, *uuid;
        bool fits;
    } list[] = {
        {"web1", UUID, true}, {"web2", UUID, false},  {"web1", OTHER_UUID, false},
        {COPY, UUID, false},  {"web1 ", UUID, false}, {"web1", "no", false},
        {"web", UUID, false},
    };

    begin();
    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        libxl_domain_type type = LIBXL_DOMAIN_TYPE_INVALID;
        char *config = fake_host_config(list[i].name, list[i].uuid);

        xf_clear(&err);
        CU_ASSERT_EQUAL(xf_incoming_fits(&in, ctx, config, &type, &err), list[i].fits ? 0 : -1);
        CU_ASSERT_EQUAL(err.num, list[i].fits ? 0 : EPROTO);
        CU_ASSERT(!list[i].fits || type == LIBXL_DOMAIN_TYPE_PVH);
        free(config);
    }
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_incoming_fits(&in, ctx, "nothing", &(libxl_domain_type){0}, &err), -1);
    CU_ASSERT_EQUAL(xf_incoming_init(&in, "web1", "f00", &err), -1);
    fake_host_free();
}

/* --- undo --- */

/* An xl that has ended by itself, and left what the test has put there. */
static int undo(void)
{
    struct xf_builder b = {.in = -1, .out = -1, .said = -1};
    struct xf_builder_fds fds;
    int rc;

    xf_clear(&err);
    CU_ASSERT_EQUAL_FATAL(xf_builder_pipes(&fds, &err), 0);
    CU_ASSERT_EQUAL_FATAL(xf_builder_start(&b, &fds, "/bin/true", NULL, &err), 0);
    rc = xf_builder_undo(&b, &in, ctx, &tool_log, &err);
    CU_ASSERT_EQUAL(b.pid, 0);
    return rc;
}

static void test_undo(void)
{
    struct xf_builder b = {.in = -1, .out = -1, .said = -1};
    uint32_t domid;

    begin();
    domid = fake_host_add(COPY, UUID);
    /* No xl was started: nothing is ours. */
    CU_ASSERT_EQUAL(xf_builder_undo(&b, &in, ctx, &tool_log, &err), 0);
    /* One was, but which domain it made is not known. */
    CU_ASSERT_EQUAL(undo(), -1);
    CU_ASSERT_EQUAL(err.num, EEXIST);
    CU_ASSERT_PTR_NOT_NULL(fake_host_find(COPY));
    /* Ours, and xl has left it. */
    CU_ASSERT_EQUAL(xf_incoming_find(&in, ctx, &err), 0);
    CU_ASSERT_EQUAL(in.domid, domid);
    CU_ASSERT_EQUAL(undo(), 0);
    CU_ASSERT_PTR_NULL(fake_host_find(COPY));
    /* xl has destroyed ours, and another move has made one of the same name since. */
    fake_host_add(COPY, UUID);
    CU_ASSERT_EQUAL(undo(), 0);
    CU_ASSERT_PTR_NOT_NULL(fake_host_find(COPY));
    CU_ASSERT_EQUAL(fake_host->destroyed, 1);
    fake_host_free();
}

/* --- locks --- */

static struct xf_findings found;

static int lock(struct xf_incoming_lock *l, const char *name, const char *uuid, bool look)
{
    libxl_uuid u;

    libxl_uuid_from_string(&u, uuid);
    memset(&found, 0, sizeof(found));
    xf_clear(&err);
    return xf_incoming_lock(l, name, &u, "10.0.0.7", look, &found, &err);
}

/* Is there one refusal, of this code and with these words? */
static void refused(const char *code, const char *words)
{
    CU_ASSERT_EQUAL(found.n, 1);
    CU_ASSERT_EQUAL(found.list[0].severity, XF_REFUSAL);
    CU_ASSERT_STRING_EQUAL(found.list[0].code, code);
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[0].text, words));
    if (!strstr(found.list[0].text, words))
        fprintf(stderr, "it says: %s\n", found.list[0].text);
}

static unsigned files(void)
{
    char cmd[200];
    unsigned n = 0;
    FILE *f;

    snprintf(cmd, sizeof(cmd), "ls %s | wc -l", top);
    f = popen(cmd, "r");
    if (fscanf(f, "%u", &n) != 1)
        n = 999;
    pclose(f);
    return n;
}

static void test_locks(void)
{
    struct xf_incoming_lock first, second;
    char who[100];

    snprintf(who, sizeof(who), "(\"web1\" from 10.0.0.7, receiver's pid %ld)", (long)getpid());
    CU_ASSERT_EQUAL(lock(&first, "web1", UUID, true), 0);
    CU_ASSERT_EQUAL(found.n, 0);
    CU_ASSERT_EQUAL(files(), 0); /* to look leaves nothing */
    CU_ASSERT_EQUAL(lock(&first, "web1", UUID, false), 0);
    CU_ASSERT_EQUAL(found.n, 0);
    for (int look = 0; look < 2; look++) {
        CU_ASSERT_EQUAL(lock(&second, "web1", OTHER_UUID, look), 0);
        refused("name", who);
        CU_ASSERT(second.fd[0] < 0 && second.fd[1] < 0);
        CU_ASSERT_EQUAL(lock(&second, "web2", UUID, look), 0);
        refused("uuid", who);
        CU_ASSERT(second.fd[0] < 0 && second.fd[1] < 0);
    }
    /* What the second one had taken before it was refused, it has given back. */
    CU_ASSERT_EQUAL(lock(&second, "web2", OTHER_UUID, false), 0);
    CU_ASSERT_EQUAL(found.n, 0);
    xf_incoming_unlock(&second);
    xf_incoming_unlock(&first);
    CU_ASSERT_EQUAL(files(), 0);
    CU_ASSERT_EQUAL(lock(&second, "web1", UUID, false), 0);
    CU_ASSERT_EQUAL(found.n, 0);
    xf_incoming_unlock(&second);
    xf_incoming_unlock(&second);
}

/* A guest that is renamed while it moves: its move has the lock of the uuid, and needs that of the
 * new name. */
static void test_lock_name(void)
{
    struct xf_incoming_lock first, second, third;

    CU_ASSERT_EQUAL(lock(&first, "web1", UUID, false), 0);
    CU_ASSERT_EQUAL(xf_incoming_lock(&second, "web2", NULL, "10.0.0.7", false, &found, &err), 0);
    CU_ASSERT(found.n == 0 && second.fd[0] >= 0 && second.fd[1] < 0);
    CU_ASSERT_EQUAL(files(), 3);
    CU_ASSERT_EQUAL(lock(&third, "web2", OTHER_UUID, false), 0);
    refused("name", "\"web2\"");
    memset(&found, 0, sizeof(found));
    CU_ASSERT_EQUAL(xf_incoming_lock(&third, "web1", NULL, "10.0.0.7", false, &found, &err), 0);
    refused("name", "\"web1\"");
    xf_incoming_unlock(&second);
    xf_incoming_unlock(&first);
    CU_ASSERT_EQUAL(files(), 0);
}

/* The holder is killed: its lock goes with it, and its file is used again. Names that look like
 * paths are only names. */
static void test_lock_killed(void)
{
    static const char name[] = "../../etc/\nweb1";
    struct xf_incoming_lock l;
    int ready[2];
    pid_t pid;
    char c;

    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    pid = fork();
    if (!pid) {
        c = lock(&l, name, UUID, false) || found.n ? 'x' : 'y';
        _exit(write(ready[1], &c, 1) == 1 ? pause() : 1);
    }
    CU_ASSERT(read(ready[0], &c, 1) == 1 && c == 'y');
    CU_ASSERT_EQUAL(lock(&l, name, UUID, false), 0);
    refused("name", "wait until it has ended");
    for (const char *p = found.list[0].text; *p; p++)
        if (p > strstr(found.list[0].text, "(\""))
            CU_ASSERT(*p != '\n');
    CU_ASSERT_EQUAL(files(), 2);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CU_ASSERT_EQUAL(lock(&l, name, UUID, false), 0);
    CU_ASSERT_EQUAL(found.n, 0);
    xf_incoming_unlock(&l);
    CU_ASSERT_EQUAL(files(), 0);
    close(ready[0]);
    close(ready[1]);
}

/* A lock that cannot be taken is an error, not a lock; what others wrote is not believed. */
static void test_lock_fails(void)
{
    struct xf_incoming_lock l;
    char path[200];
    int fd;

    CU_ASSERT_EQUAL(lock(&l, "web1", UUID, false), 0);
    snprintf(path, sizeof(path), "%s/%s", top, l.file[0]);
    xf_incoming_unlock(&l);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    CU_ASSERT_EQUAL(fchmod(fd, 0666), 0);
    close(fd);
    CU_ASSERT_EQUAL(lock(&l, "web1", UUID, false), -1);
    CU_ASSERT_EQUAL(err.num, EPERM);
    CU_ASSERT(l.fd[0] < 0 && l.fd[1] < 0);
    unlink(path);
    CU_ASSERT_EQUAL(symlink("/etc/passwd", path), 0);
    CU_ASSERT_EQUAL(lock(&l, "web1", UUID, false), -1);
    unlink(path);
    setenv(XF_RUN_DIR_ENV, "/proc/nowhere", 1);
    CU_ASSERT_EQUAL(lock(&l, "web1", UUID, false), -1);
    CU_ASSERT_EQUAL(lock(&l, "web1", UUID, true), -1);
    setenv(XF_RUN_DIR_ENV, top, 1);
}

static void test_port_lock(void)
{
    int fd = xf_port_lock(8600, &err), other;

    CU_ASSERT_FATAL(fd >= 0);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_port_lock(8600, &err), -1);
    CU_ASSERT_EQUAL(err.num, EBUSY);
    other = xf_port_lock(8601, &err);
    CU_ASSERT(other >= 0);
    close(other);
    close(fd);
    fd = xf_port_lock(8600, &err);
    CU_ASSERT(fd >= 0);
    close(fd);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"the copy is known", test_known},
        {"others are left alone", test_others},
        {"its configuration", test_config},
        {"undo", test_undo},
        {"one name, one uuid", test_locks},
        {"the lock of a new name", test_lock_name},
        {"the holder of a lock is killed", test_lock_killed},
        {"a lock that cannot be taken", test_lock_fails},
        {"one port", test_port_lock},
        CU_TEST_INFO_NULL,
    };
    char cmd[100];
    int rc;

    fake_host_play_xl(argc, argv);
    if (!mkdtemp(top))
        return 2;
    setenv(XF_RUN_DIR_ENV, top, 1);
    alarm(390);
    rc = run_suite("incoming", tests);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
    return system(cmd) ? 2 : rc;
}
