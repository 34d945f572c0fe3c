/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A real qemu-nbd that writes to an image made for a disk: what it can do, and how it ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disks/serve.h"
#include "disks/store.h"
#include "tests/unit/nbd_client.h"
#include "tests/unit/suite.h"

#define BYTES (1u << 20)
#define MUST_END_MS 60000

static char dir[] = "/var/tmp/xf-serve-XXXXXX";
static struct xf_stores allowed;
static struct xf_err err;

/* What the process keeps of root's rights. */
static bool has_capabilities(pid_t pid)
{
    char path[40], line[128];
    unsigned long long caps, any = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    f = fopen(path, "r");
    if (!f)
        return true;
    while (fgets(line, sizeof(line), f))
        if ((!strncmp(line, "CapEff:", 7) || !strncmp(line, "CapPrm:", 7) ||
             !strncmp(line, "CapBnd:", 7)) &&
            sscanf(line + 7, "%llx", &caps) == 1)
            any |= caps;
    fclose(f);
    return any != 0;
}

static void served(void)
{
    struct xf_serve s;
    struct xf_made m;
    struct xf_place p;
    char text[] = "written over there, in 512 bytes", back[sizeof(text)] = "", block[512] = "";
    struct stat st;
    int fd, sock;

    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_place_choose(&allowed, "", "served", &p, &err), 0);
    CU_ASSERT_EQUAL(xf_made_create(&m, &p, BYTES, true, &fd, &err), 0);
    CU_ASSERT_EQUAL(xf_serve_start(&s, fd, BYTES, "xvda", dir, &sock, &err), 0);
    CU_ASSERT_EQUAL(nbd_begin(sock, "xvda"), BYTES);
    if (!geteuid())
        CU_ASSERT_FALSE(has_capabilities(s.pid));
    memcpy(block, text, sizeof(text));
    CU_ASSERT_EQUAL(xf_serve_wait(&s, 0, &err), XF_AGAIN);
    close(sock);
    CU_ASSERT_EQUAL(xf_serve_wait(&s, MUST_END_MS, &err), 0);

    CU_ASSERT_EQUAL(xf_serve_start(&s, fd, BYTES, "xvda", dir, &sock, &err), 0);
    CU_ASSERT_EQUAL(nbd_begin(sock, "xvda"), BYTES);
    CU_ASSERT_EQUAL(nbd_ask(sock, NBD_WRITE, 4096, block, sizeof(block)), 0);
    CU_ASSERT(nbd_ask(sock, NBD_WRITE, BYTES, block, sizeof(block)) > 0); /* beyond its end */
    CU_ASSERT_EQUAL(nbd_ask(sock, NBD_FLUSH, 0, NULL, 0), 0);
    close(sock);
    CU_ASSERT_EQUAL(xf_serve_wait(&s, MUST_END_MS, &err), 0);
    CU_ASSERT_EQUAL(pread(fd, back, sizeof(back), 4096), (ssize_t)sizeof(back));
    CU_ASSERT_STRING_EQUAL(back, text);
    CU_ASSERT(!fstat(fd, &st) && st.st_size == BYTES && st.st_blocks <= 16);
    if (err.num)
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL(xf_made_remove(&m, &err), 0);
    close(fd);
}

static void serving_fails(void)
{
    struct xf_serve s;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), sock;

    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_serve_start(&s, fd, BYTES, "xvda", dir, &sock, &err), 0);
    CU_ASSERT_EQUAL(xf_serve_wait(&s, MUST_END_MS, &err), -1);
    CU_ASSERT(strstr(err.text, "qemu-nbd has failed: ") != NULL);
    close(sock);
    close(fd);

    fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    CU_ASSERT_EQUAL(ftruncate(fd, BYTES), 0);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_serve_start(&s, fd, BYTES, "xvda", dir, &sock, &err), 0);
    kill(s.pid, SIGKILL);
    CU_ASSERT_EQUAL(xf_serve_wait(&s, MUST_END_MS, &err), -1);
    CU_ASSERT(strstr(err.text, "killed by signal 9") != NULL);
    close(sock);
    CU_ASSERT_EQUAL(xf_serve_start(&s, fd, BYTES, "xvda", dir, &sock, &err), 0);
    xf_serve_kill(&s);
    CU_ASSERT(s.pid == 0 && recv(sock, &s, 1, MSG_DONTWAIT) <= 0);
    close(sock);
    close(fd);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"written to", served}, {"it fails, or is killed", serving_fails}, CU_TEST_INFO_NULL};
    int rc;

    if (!mkdtemp(dir)) {
        perror("serve: no directory");
        return 1;
    }
    allowed.nr = 1;
    snprintf(allowed.list[0].name, XF_STORE_NAME, "%s", dir);
    rc = run_suite("serve", tests);
    rmdir(dir);
    return rc;
}
