/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record that a move leaves for `xl migrate-recover`: what is written is read again, its
 * state is changed in place, nobody else's file is believed, a damaged one never does harm,
 * and the lock is a living process's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxl-ext/moves/record.h"
#include "libxl-ext/moves/sweep.h"
#include "tests/unit/suite.h"

#define DOMID 12u

static char top[] = "/tmp/xf-record-XXXXXX", dir[64], path[96];
static struct xf_record r, got;
static struct xf_err err;

static void fill(void)
{
    memset(&r, 0, sizeof(r));
    r.state = XF_RECORD_READY;
    r.domid = DOMID;
    strcpy(r.uuid, "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11");
    strcpy(r.boot_id, "boot-here");
    strcpy(r.name, "web1");
    strcpy(r.host, "xl migrate-receive \"two\"\nlines");
    strcpy(r.rune, "exec ssh host2 'xl' migrate-receive\t# \\");
    strcpy(r.there, "boot-there");
    r.there_domid = 6;
    strcpy(r.peer, "fe80::1%eth0");
    r.port = 4711;
    r.rdma = true;
    r.encrypt = true;
    r.pull = true;
    r.protocol = 2;
    r.channels = 3;
    r.rdma_buffer_mib = 16;
    r.rdma_poll_us = 20;
    r.own.n = 2;
    strcpy(r.own.list[0], "10.0.0.1");
    strcpy(r.own.list[1], "fd00::1");
    for (unsigned i = 0; i < XF_KEY_BYTES; i++)
        r.key.bytes[i] = (uint8_t)(i * 9 + 3);
}

/* A directory as a move makes it, with a record in it. */
static void begin(void)
{
    int fd;

    fill();
    xf_clear(&err);
    CU_ASSERT_EQUAL_FATAL(xf_record_write(dir, &r, &fd, &err), 0);
    close(fd);
}

/* Reading fails, with this number and a sentence that names the file, and leaves nothing. */
static void refused(int num)
{
    static const struct xf_record none;
    int fd = 5;

    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_record_read(dir, DOMID, &got, &fd, &err), -1);
    CU_ASSERT_EQUAL(fd, -1);
    CU_ASSERT_EQUAL(err.num, num);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, dir));
    if (num == EPROTO)
        CU_ASSERT_EQUAL(memcmp(&got, &none, sizeof(got)), 0);
}

static void test_round_trip(void)
{
    struct stat st;
    int fd, again;

    fill();
    CU_ASSERT_EQUAL_FATAL(xf_record_write(dir, &r, &fd, &err), 0);
    CU_ASSERT_EQUAL(stat(dir, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
    for (int s = XF_RECORD_READY; s < XF_RECORD_STATES; s++) {
        CU_ASSERT_EQUAL(xf_record_mark(fd, (enum xf_record_state)s, &err), 0);
        CU_ASSERT_EQUAL_FATAL(xf_record_read(dir, DOMID, &got, &again, &err), 0);
        r.state = (enum xf_record_state)s;
        CU_ASSERT_EQUAL(memcmp(&got, &r, sizeof(r)), 0);
        CU_ASSERT_EQUAL(xf_record_mark(again, XF_RECORD_GO, &err), 0); /* as a successor does */
        close(again);
    }
    r.state = XF_RECORD_GO;
    for (unsigned i = 0; i < 2; i++) {
        r.ran_ns = i ? UINT64_MAX : 123456789012;
        CU_ASSERT_EQUAL(xf_record_ran(fd, r.ran_ns, &err), 0);
        CU_ASSERT_EQUAL_FATAL(xf_record_read(dir, DOMID, &got, &again, &err), 0);
        CU_ASSERT_EQUAL(memcmp(&got, &r, sizeof(r)), 0);
        close(again);
    }
    close(fd);
    /* A later move of a domain with this number takes its place. */
    strcpy(r.name, "db");
    CU_ASSERT_EQUAL(xf_record_write(dir, &r, &fd, &err), 0);
    close(fd);
    CU_ASSERT_EQUAL_FATAL(xf_record_read(dir, DOMID, &got, &fd, &err), 0);
    CU_ASSERT_STRING_EQUAL(got.name, "db");
    close(fd);
    xf_record_remove(dir, DOMID);
    refused(ENOENT);
    xf_record_remove(dir, DOMID);
}

/* Whoever else could have written it could name a host that gets a guest's memory. */
static void test_trust(void)
{
    char other[100];
    int fd;

    begin();
    chmod(path, 0640);
    refused(EPERM);
    chmod(path, 0602);
    refused(EPERM);
    chmod(path, 0600);
    if (!geteuid()) {
        CU_ASSERT_EQUAL(chown(path, 1, 0), 0);
        refused(EPERM);
        CU_ASSERT_EQUAL(chown(path, 0, 0), 0);
        CU_ASSERT_EQUAL(chown(dir, 1, 0), 0);
        refused(EPERM);
        CU_ASSERT_EQUAL(chown(dir, 0, 0), 0);
    }
    chmod(dir, 0770);
    refused(EPERM);
    CU_ASSERT_EQUAL(xf_record_write(dir, &r, &fd, NULL), -1);
    CU_ASSERT_EQUAL(xf_record_lock(dir, DOMID, &fd, NULL), -1);
    chmod(dir, 0700);

    /* A second name, a link, something that is no file. */
    snprintf(other, sizeof(other), "%s/other", top);
    CU_ASSERT_EQUAL(link(path, other), 0);
    refused(EPERM);
    unlink(path);
    CU_ASSERT_EQUAL(symlink(other, path), 0);
    refused(ELOOP);
    unlink(path);
    unlink(other);
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    refused(EPERM);
    unlink(path);

    /* And a link is never written through. */
    CU_ASSERT_EQUAL(symlink(other, path), 0);
    begin();
    CU_ASSERT_EQUAL(access(other, F_OK), -1);
    CU_ASSERT_EQUAL(xf_record_read(dir, DOMID, &got, &fd, &err), 0);
    close(fd);
}

static void put(const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_TRUNC);

    CU_ASSERT_EQUAL(write(fd, text, len), (ssize_t)len);
    close(fd);
}

static void test_damaged(void)
{
    char *text, *big;
    size_t len;

    begin();
    text = xf_record_format(&r);
    len = strlen(text);
    for (size_t n = 0; n < len; n++) { /* cut off anywhere */
        xf_clear(&err);
        CU_ASSERT_EQUAL(xf_record_parse(text, n, &got, &err), -1);
        CU_ASSERT_EQUAL(err.num, EPROTO);
    }
    CU_ASSERT_EQUAL(xf_record_parse(text, len, &got, &err), 0);
    put(text, len / 2);
    refused(EPROTO);
    put("", 0);
    refused(EPROTO);
    put("{\"state\":0}", 11);
    refused(EPROTO);
    big = malloc(200000);
    memset(big, ' ', 200000);
    memcpy(big, text, len);
    put(big, 200000);
    refused(EPROTO);
    free(big);
    /* That of another domain, under this one's number. */
    r.domid = DOMID + 1;
    free(text);
    text = xf_record_format(&r);
    put(text, strlen(text));
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_record_read(dir, DOMID, &got, &(int){0}, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "domain 13"));
    free(text);
}

/* The good text with one part replaced; -1: refused. */
static int with(const char *old, const char *new)
{
    char *text, *at, changed[20000];
    int rc;

    fill();
    text = xf_record_format(&r);
    at = strstr(text, old);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    free(text);
    xf_clear(&err);
    rc = xf_record_parse(changed, strlen(changed), &got, &err);
    CU_ASSERT_EQUAL(rc == 0, err.num == 0);
    return rc;
}

static void test_values(void)
{
    static const char *const bad[][2] = {
        {"\"state\":0", "\"state\":5"},
        {"\"state\":0", "\"state\":-1"},
        {"\"ran_ns\":\"0", "\"ran_ns\":\""},
        {"\"ran_ns\":\"00", "\"ran_ns\":\"99"}, /* more than 64 bits hold */
        {"\"ran_ns\":\"00", "\"ran_ns\":\" 1"},
        {"\"version\":2", "\"version\":1"}, /* without the number of the copy there */
        {"\"there_domid\":6", "\"there_domid\":32768"},
        {"\"there_domid\":6", "\"there_domid\":-1"},
        {"\"domid\":12", "\"domid\":0"},
        {"\"domid\":12", "\"domid\":32768"},
        {"\"domid\":12", "\"domid\":\"12\""},
        {"\"port\":4711", "\"port\":0"},
        {"\"port\":4711", "\"port\":70000"},
        {"\"protocol\":2", "\"protocol\":3"},
        {"\"protocol\":2", "\"protocol\":0"},
        {"\"protocol\":2", "\"protocol\":\"2\""},
        {"\"channels\":3", "\"channels\":17"},
        {"\"channels\":3", "\"channels\":0"},
        {"\"rdma\":true", "\"rdma\":1"},
        {"\"name\":\"web1\"", "\"name\":\"\""},
        {"\"name\":\"web1\"", "\"name\":\"a\\u001bb\""},
        {"\"name\":\"web1\"", "\"name\":\"a\\u0000b\""},
        {"\"name\":\"web1\"", "\"nome\":\"web1\""},
        {"\"uuid\":\"2f6c", "\"uuid\":\"12342f6c"},
        {"\"peer\":\"fe80::1%eth0\"", "\"peer\":\"\""},
        {"\"key\":\"", "\"key\":\"0"},
        {"\"key\":\"03", "\"key\":\"0g"},
        {"\"key\":\"03", "\"key\":\""},
        {"[\"10.0.0.1\"", "[7"},
        {"[\"10.0.0.1\"", "[\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\",\"1\""},
        {"\"own\":[", "\"own\":3,\"x\":["},
        {"\"rdma_buffer_mib\":16", "\"rdma_buffer_mib\":2000"},
    };

    CU_ASSERT_EQUAL(with("web1", "web2"), 0); /* else none of these says anything */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int rc = with(bad[i][0], bad[i][1]);

        if (!rc)
            printf("\n  taken: %s\n", bad[i][1]);
        CU_ASSERT_EQUAL(rc, -1);
        CU_ASSERT_EQUAL(err.num, EPROTO);
    }
}

/* Damaged text: whatever is taken keeps to the limits. */
static void test_random(void)
{
    uint64_t x = 88172645463325252ull;
    unsigned taken = 0;

    for (unsigned i = 0; i < 3000; i++) {
        char *text;
        size_t len;

        fill();
        text = xf_record_format(&r);
        len = strlen(text);
        for (unsigned k = 0; k < 1 + i % 3; k++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            text[x % len] = (char)(x >> 40);
        }
        xf_clear(&err);
        if (!xf_record_parse(text, len, &got, &err)) {
            taken++;
            CU_ASSERT(got.domid >= 1 && got.channels >= 1 && got.channels <= XF_CHANNELS_MAX);
            CU_ASSERT(got.own.n <= XF_OWN_MAX && got.name[0] && got.port);
            CU_ASSERT(memchr(got.rune, 0, sizeof(got.rune)) != NULL);
        }
        free(text);
    }
    CU_ASSERT(taken > 0 && taken < 3000);
}

struct domains {
    uint32_t last; /* none has a higher number */
    unsigned asked;
    bool returns; /* but by the second question there is one */
};

static bool no_domain(uint32_t domid, void *priv)
{
    struct domains *d = priv;

    return domid > d->last && !(d->returns && ++d->asked > 1);
}

/* Only what belongs to a domain that is gone and to no process is removed. */
static void test_sweep(void)
{
    struct domains d = {.last = DOMID};
    char other[120];
    int fd, lock;

    fill();
    for (r.domid = DOMID; r.domid <= DOMID + 2; r.domid++) {
        CU_ASSERT_EQUAL_FATAL(xf_record_write(dir, &r, &fd, &err), 0);
        close(fd);
    }
    snprintf(other, sizeof(other), "%s/0%u.move", dir, DOMID + 1);
    close(open(other, O_CREAT | O_WRONLY, 0600)); /* not a name of ours */
    d.returns = true;
    CU_ASSERT_EQUAL(xf_sweep(dir, no_domain, &d), 0);
    d.returns = false;
    CU_ASSERT_EQUAL(xf_record_lock(dir, DOMID + 2, &lock, &err), 0);
    CU_ASSERT_EQUAL(xf_sweep(dir, no_domain, &d), 1);
    CU_ASSERT_EQUAL(xf_record_read(dir, DOMID + 1, &got, &fd, &err), -1);
    for (unsigned i = 0; i <= 2; i += 2) {
        CU_ASSERT_EQUAL_FATAL(xf_record_read(dir, DOMID + i, &got, &fd, &err), 0);
        close(fd);
    }
    CU_ASSERT_EQUAL(unlink(other), 0);
    close(lock); /* its process is gone; the file of the lock is there */
    CU_ASSERT_EQUAL(xf_sweep(dir, no_domain, &d), 1);
    CU_ASSERT_EQUAL(xf_sweep(dir, no_domain, &d), 0);
    CU_ASSERT_EQUAL(xf_sweep("/nonexistent", no_domain, &d), 0);
    xf_record_remove(dir, DOMID);
}

static void test_lock(void)
{
    int fd, other, up[2];
    char c;
    pid_t pid;

    CU_ASSERT_EQUAL(xf_record_lock(dir, DOMID, &fd, &err), 0);
    xf_clear(&err);
    CU_ASSERT(xf_record_is_locked(dir, DOMID) && !xf_record_is_locked(dir, DOMID + 1));
    CU_ASSERT_EQUAL(xf_record_lock(dir, DOMID, &other, &err), -1);
    CU_ASSERT(err.num == EBUSY && other == -1);
    CU_ASSERT_EQUAL(xf_record_lock(dir, DOMID + 1, &other, &err), 0);
    close(other);
    close(fd);

    /* One that is killed has it no more. */
    CU_ASSERT_EQUAL_FATAL(pipe(up), 0);
    pid = fork();
    if (!pid) {
        c = xf_record_lock(dir, DOMID, &fd, NULL) ? 'n' : 'y';
        if (write(up[1], &c, 1) == 1)
            pause();
        _exit(1);
    }
    CU_ASSERT_EQUAL(read(up[0], &c, 1), 1);
    CU_ASSERT_EQUAL(c, 'y');
    CU_ASSERT_EQUAL(xf_record_lock(dir, DOMID, &fd, NULL), -1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CU_ASSERT_EQUAL(xf_record_lock(dir, DOMID, &fd, NULL), 0);
    close(fd);
    close(up[0]);
    close(up[1]);
}

/* Giving it back takes its file away, while others are at it: there is never more than one inside,
 * and nothing is left. */
static void test_unlock(void)
{
    enum { PROCESSES = 4, TURNS = 1000 };
    struct {
        atomic_uint inside, turns, wrong;
    } *all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char lock[120];
    int fd;

    CU_ASSERT_FATAL(all != MAP_FAILED);
    for (int i = 0; i < PROCESSES; i++)
        if (!fork()) {
            for (unsigned n = 0; n < TURNS;) {
                if (xf_record_lock(dir, DOMID, &fd, NULL))
                    continue;
                atomic_fetch_add(&all->wrong, atomic_fetch_add(&all->inside, 1) != 0);
                atomic_fetch_add(&all->turns, 1);
                n++;
                atomic_fetch_sub(&all->inside, 1);
                xf_record_unlock(dir, DOMID, fd);
            }
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    CU_ASSERT_EQUAL(all->turns, PROCESSES * TURNS);
    CU_ASSERT_EQUAL(all->wrong, 0);
    snprintf(lock, sizeof(lock), "%s/%u.lock", dir, DOMID);
    CU_ASSERT_EQUAL(access(lock, F_OK), -1);
    munmap(all, sizeof(*all));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"written, marked, read, removed", test_round_trip},
        {"whose it is", test_trust},
        {"damaged", test_damaged},
        {"wrong values", test_values},
        {"random damage", test_random},
        {"the lock", test_lock},
        {"the lock's file", test_unlock},
        {"of domains that are gone", test_sweep},
        CU_TEST_INFO_NULL,
    };
    char command[100];
    int rc;

    if (!mkdtemp(top))
        return 2;
    snprintf(dir, sizeof(dir), "%s/run", top);
    snprintf(path, sizeof(path), "%s/%u.move", dir, DOMID);
    rc = run_suite("record", tests);
    snprintf(command, sizeof(command), "rm -r %s", top);
    return system(command) ? 2 : rc;
}
