/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whole moves by the command, each with its receiver, between two hosts that differ by their run
 * directory, configuration and boot id: what the tests of waiting share. The domains, and what a
 * move does between CHECK and its end, are made up; what a move waits for in COPY is a file that
 * the test makes. It is included, and not linked as a helper, because it replaces functions of the
 * product. The test program is its own xl.
 */
#ifndef XF_TEST_QUEUEING_H
#define XF_TEST_QUEUEING_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "libxl-ext/host/config.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/slot.h"
#include "libxl-ext/peer/check.h"
#include "libxl-ext/sink/receive_parts.h"
#include "libxl-ext/source/domain_config.h"
#include "libxl-ext/source/move_check.h"
#include "libxl-ext/source/move_forecast.h"
#include "libxl-ext/source/move_link.h"
#include "libxl-ext/source/move_skeleton.h"
#include "libxl-ext/source/move_tick.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/static_state.h"
#include "libxl-ext/xen/xen_open.h"
#include "tests/unit/suite.h"
#include "tools/front.h"

#define BOOT "XF_QUEUE_BOOT" /* which host a process is on */
#define OPEN "XF_QUEUE_OPEN" /* the file that lets its moves go on */
#define MOVES 100
#define LONG_MS 60000

static char top[] = "/tmp/xf-queue-XXXXXX", self[200];

/* Of the test itself, also where no suite runs. */
static void must(bool true_of_the_test)
{
    if (!true_of_the_test)
        abort();
}

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* --- the host: domains g1, g2, ... with the number in their name --- */

int libxl_ctx_alloc(libxl_ctx **ctx, int version, unsigned flags, xentoollog_logger *log)
{
    (void)version;
    (void)flags;
    (void)log;
    *ctx = (libxl_ctx *)self;
    return 0;
}

int libxl_ctx_free(libxl_ctx *ctx)
{
    (void)ctx;
    return 0;
}

int xf_xen_open(xc_interface **xch, struct xf_toollog *log, struct xf_err *err)
{
    (void)log;
    (void)err;
    *xch = (xc_interface *)self;
    return 0;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int libxl_domain_qualifier_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    (void)ctx;
    return sscanf(name, "g%u", domid) == 1 ? 0 : ERROR_INVAL;
}

char *libxl_domid_to_name(libxl_ctx *ctx, uint32_t domid)
{
    char name[20];

    (void)ctx;
    snprintf(name, sizeof(name), "g%u", domid);
    return strdup(name);
}

int libxl_domain_rename(libxl_ctx *ctx, uint32_t domid, const char *old_name, const char *new_name)
{
    (void)ctx;
    (void)domid;
    (void)old_name;
    (void)new_name;
    return 0;
}

const libxl_version_info *libxl_get_version_info(libxl_ctx *ctx)
{
    static const libxl_version_info info = {.xen_version_major = 4, .xen_version_minor = 17};

    (void)ctx;
    return &info;
}

char *libxl_domain_config_to_json(libxl_ctx *ctx, libxl_domain_config *p)
{
    (void)ctx;
    (void)p;
    return strdup("{}");
}

void xf_boot_id(char out[XF_BOOT_ID])
{
    snprintf(out, XF_BOOT_ID, "%s", getenv(BOOT) ? getenv(BOOT) : "");
}

enum xf_here xf_xen_here(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    (void)domid;
    return XF_HERE_RUNS;
}

/* For what may be swept: no domain is gone. */
int xf_domain_info(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info)
{
    (void)xch;
    (void)domid;
    (void)info;
    return 0;
}

enum xf_dom xf_domain_here(xc_interface *xch, uint32_t domid, const char *uuid)
{
    (void)xch;
    (void)domid;
    (void)uuid;
    return XF_DOM_GONE;
}

bool xf_has_paging(xc_interface *xch)
{
    (void)xch;
    return false;
}

enum xf_lacks xf_lacks_pages(const char *domain, uint64_t *missing, char *where)
{
    (void)domain;
    *missing = 0;
    *where = 0;
    return XF_LACKS_NONE;
}

/* --- CHECK --- */

int xf_changes_begin(struct xf_changes *c, uint32_t domid, struct xf_err *err)
{
    (void)c;
    (void)domid;
    (void)err;
    return 0;
}

int xf_changes_look(struct xf_changes *c, bool *changed, struct xf_err *err)
{
    (void)c;
    (void)err;
    *changed = false;
    return 0;
}

int libxl_get_free_memory(libxl_ctx *ctx, uint64_t *kib)
{
    (void)ctx;
    *kib = 1u << 20;
    return 0;
}

libxl_device_pci *libxl_device_pci_list(libxl_ctx *ctx, uint32_t domid, int *num)
{
    (void)ctx;
    (void)domid;
    *num = 0;
    return NULL;
}

int xf_qdisks_open(struct xf_qdisks *q, uint32_t domid, struct xf_err *err)
{
    (void)q;
    (void)domid;
    (void)err;
    return 0;
}

int xf_domain_config(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid,
                     const struct xf_move_opts *o, libxl_domain_config *config,
                     struct xf_findings *found, struct xf_err *err)
{
    (void)ctx;
    (void)log;
    (void)o;
    (void)found;
    (void)err;
    config->c_info.type = LIBXL_DOMAIN_TYPE_PVH;
    memcpy(&config->c_info.uuid, &domid, sizeof(domid));
    return 0;
}

int xf_check_source(libxl_ctx *ctx, xc_interface *xch, struct xf_toollog *log, uint32_t domid,
                    const libxl_domain_config *config, struct xf_findings *f, uint64_t *need_kib,
                    struct xf_err *err)
{
    (void)ctx;
    (void)xch;
    (void)log;
    (void)domid;
    (void)config;
    (void)f;
    (void)err;
    *need_kib = 1;
    return 0;
}

int xf_read_policy(xc_interface *xch, uint32_t domid, void **cpuid, uint32_t *cpuid_len,
                   void **msrs, uint32_t *msr_len, struct xf_err *err)
{
    (void)xch;
    (void)domid;
    (void)err;
    *cpuid = malloc(1);
    *msrs = malloc(1);
    *cpuid_len = *msr_len = 0;
    return 0;
}

int xf_check_peer(libxl_ctx *ctx, xc_interface *xch, struct xf_toollog *log,
                  const struct xf_hello *hello, bool same_host, struct xf_findings *f,
                  struct xf_err *err)
{
    (void)ctx;
    (void)xch;
    (void)log;
    (void)hello;
    (void)same_host;
    (void)f;
    (void)err;
    return 0;
}

int xf_move_connect(struct xf_move *m, struct xf_findings *found, struct xf_err *err)
{
    (void)found;
    (void)err;
    m->link.ops = &xf_tcp_ops;
    snprintf(m->net.address, sizeof(m->net.address), "127.0.0.1");
    return 0;
}

/* --- what follows --- */

/* --check: nothing here can be looked at. */
int xf_move_foresee(struct xf_move *m, struct xf_err *err)
{
    (void)m;
    (void)err;
    return 0;
}

int xf_move_skeleton(struct xf_move *m, struct xf_err *err)
{
    m->copy.tick = (struct xf_tick){xf_move_tick, m};
    return xf_move_tick(m, err);
}

int xf_copy_rounds(struct xf_copy *c, struct xf_err *err)
{
    const char *open = getenv(OPEN);

    while (open && access(open, F_OK)) {
        if (xf_tick(c->tick, err))
            return -1;
        nap(20);
    }
    return xf_tick(c->tick, err);
}

enum xf_switch_end xf_switch(struct xf_copy *c, int (*before_go)(void *priv, struct xf_err *err),
                             struct xf_err *err)
{
    (void)c;
    (void)before_go;
    (void)err;
    return XF_SWITCHED;
}

/* A receiver stays as long as its source. */
int xf_sink_accept(struct sink *s, int within_ms, struct xf_tick tick, struct xf_err *err)
{
    (void)within_ms;
    (void)tick;
    while (!xf_pipe_dead(&s->pipe))
        nap(20);
    return xf_fail(err, ECONNRESET, "the source has gone away");
}

static int play_xl(int argc, char **argv)
{
    struct front f;

    if (front_parse(argc, argv, &f) || !f.cmd)
        return 2;
    if (!strcmp(argv[f.cmd], "migrate"))
        return cmd_migrate(&f);
    if (!strcmp(argv[f.cmd], "migrate-receive"))
        return cmd_migrate_receive(&f);
    if (!strcmp(argv[f.cmd], "migrate-status"))
        return cmd_migrate_status(&f);
    if (!strcmp(argv[f.cmd], "migrate-wait"))
        return cmd_migrate_wait(&f);
    if (!strcmp(argv[f.cmd], "migrate-cancel"))
        return cmd_migrate_cancel(&f);
    return 2;
}

/* --- two hosts, and calls on them --- */

static struct {
    pid_t pid;
    char out[100], err[100];
} calls[MOVES];
static unsigned nr_calls;
static char text[65536];

static const char *path(const char *host, const char *file)
{
    static char p[4][200];
    static unsigned i;

    snprintf(p[++i % 4], sizeof(p[0]), "%s/%s%s", top, host, file);
    return p[i % 4];
}

/* Give a host its limit. */
static void host(const char *name, unsigned limit)
{
    FILE *f = fopen(path(name, ".xml"), "we");

    must(f != NULL);
    fprintf(f, "<xenferry><limit moves='%u'/></xenferry>", limit);
    fclose(f);
}

/* This process, and what it starts, is on that host from now on. */
static void be_on(const char *name)
{
    setenv(XF_RUN_DIR_ENV, path(name, ""), 1);
    setenv(XF_CONFIG_ENV, path(name, ".xml"), 1);
    setenv(BOOT, name, 1);
}

/* Start a call of xl there; returns its index. */
static unsigned call(const char *on, char *const argv[])
{
    unsigned i = nr_calls++;

    must(i < MOVES);
    snprintf(calls[i].out, sizeof(calls[i].out), "%s/out.%u", top, i);
    snprintf(calls[i].err, sizeof(calls[i].err), "%s/err.%u", top, i);
    fflush(NULL);
    calls[i].pid = fork();
    if (!calls[i].pid) {
        int out = open(calls[i].out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int err = open(calls[i].err, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        be_on(on);
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execv(self, argv);
        _exit(126);
    }
    return i;
}

/* Start a move of g<domid>, with an option ("": none). */
static unsigned move(const char *from, const char *to, unsigned domid, const char *option)
{
    char name[20], receiver[1000];
    char *argv[20] = {(char *)"xl", (char *)"migrate", (char *)"--precopy", (char *)"--json"};
    unsigned n = 4;
    char words[60], *save, *w;

    snprintf(name, sizeof(name), "g%u", domid);
    snprintf(receiver, sizeof(receiver), "echo >>%s; %s=%s %s=%s %s=%s exec %s migrate-receive",
             path(to, ".asked"), XF_RUN_DIR_ENV, path(to, ""), XF_CONFIG_ENV, path(to, ".xml"),
             BOOT, to, self);
    snprintf(words, sizeof(words), "%s", option);
    for (w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[n++] = w;
    argv[n++] = (char *)"-s";
    argv[n++] = (char *)"";
    argv[n++] = name;
    argv[n++] = receiver;
    return call(from, argv);
}

static const char *slurp(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    return text;
}

/* Wait for a call; its exit status. */
static int ended(unsigned i)
{
    int status = 0;

    waitpid(calls[i].pid, &status, 0);
    calls[i].pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

__attribute__((unused)) static void all_moved(void)
{
    for (unsigned i = 0; i < nr_calls; i++) {
        if (calls[i].pid && ended(i)) {
            CU_FAIL("a move has failed");
            fprintf(stderr, "%s%s\n", slurp(calls[i].err), slurp(calls[i].out));
        }
    }
}

static unsigned count(const char *where, const char *what)
{
    unsigned n = 0;

    for (const char *at = where; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

/* How often a receiver was started there. */
__attribute__((unused)) static unsigned asked(const char *host)
{
    return count(slurp(path(host, ".asked")), "\n");
}

/* What migrate-status --json says there. */
static const char *status(const char *on)
{
    static char *const argv[] = {(char *)"xl", (char *)"migrate-status", (char *)"--json", NULL};
    unsigned i = call(on, argv);
    const char *said;

    must(!ended(i));
    said = slurp(calls[i].out);
    nr_calls--;
    return said;
}

/* How many moves are under way there, or wait for something that reads like this. */
static unsigned under_way(const char *on)
{
    return count(status(on), "\"waiting\":false");
}

static unsigned waiting(const char *on, const char *what)
{
    return count(status(on), what);
}

/* Wait until an event that must come has come. */
#define eventually(condition)                                                                      \
    do {                                                                                           \
        int64_t until_ = xf_now_ms() + LONG_MS;                                                    \
        while (!(condition) && xf_now_ms() < until_)                                               \
            nap(20);                                                                               \
        CU_ASSERT(condition);                                                                      \
    } while (0)

static void hold(void)
{
    unlink(path("", "open"));
    setenv(OPEN, path("", "open"), 1);
}

static void let_go(void)
{
    close(open(path("", "open"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static unsigned busy(const char *on)
{
    struct xf_err err = {0};
    unsigned n = 99;

    be_on(on);
    CU_ASSERT_EQUAL(xf_slots_busy(&n, &err), 0);
    return n;
}

static void clean(void)
{
    char cmd[100];

    snprintf(cmd, sizeof(cmd), "rm -rf %s/*", top);
    must(!system(cmd));
    nr_calls = 0;
}

/* For main(): a test begins, or the program is run as xl (then this does not return). */
static void queueing_begin(int argc, char **argv, bool as_xl)
{
    signal(SIGPIPE, SIG_IGN);
    if (as_xl)
        exit(play_xl(argc, argv));
    if (!mkdtemp(top) || readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        exit(2);
    setenv("XENFERRY_REAL_XL", "/bin/true", 1);
}

#endif
