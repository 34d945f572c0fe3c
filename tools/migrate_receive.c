/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-receive`: determine which kind of source is at the other end, and let xf_receive() or
 * the real xl serve it. Every source waits for the receiver's banner before it sends anything, so
 * we write that, look at the answer, and keep the real xl's own banner from being sent a second
 * time.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/host/config.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/moves/drain_record.h"
#include "tools/background.h"
#include "tools/front.h"
#include "tools/options.h"
#include "tools/peek.h"
#include "tools/real_xl.h"
#include "tools/relay.h"
#include "transport/version.h"

static int fail(const struct xf_err *err)
{
    front_error("migrate-receive", err);
    return 1;
}

static int write_banner(struct xf_err *err)
{
    const char *p = XF_XL_BANNER;
    size_t left = sizeof(XF_XL_BANNER) - 1;

    while (left) {
        ssize_t n = write(STDOUT_FILENO, p, left);
        if (n < 0 && errno != EINTR)
            return xf_fail(err, errno, "cannot greet the source: %s", strerror(errno));
        if (n > 0) {
            p += n;
            left -= (size_t)n;
        }
    }
    return 0;
}

static int serve_ours(const char *real_xl, const struct receive_args *args)
{
    struct xf_receive_opts o = {.in_fd = STDIN_FILENO,
                                .out_fd = STDOUT_FILENO,
                                .real_xl = real_xl,
                                .xl_args = args->xl_args[0] ? args->xl_args : NULL,
                                .leave_paused = args->leave_paused};
    struct xf_err err = {0};
    struct xf_config cfg;
    char text[60];
    int rc;

    snprintf(text, sizeof(text), "Xenferry %s: incoming move", xf_version());
    background_log("migrate-receive", text);
    if (xf_config_load(NULL, &cfg, &err)) {
        xf_receive_refuse(o.in_fd, o.out_fd, &err);
        return fail(&err);
    }
    for (unsigned i = 0; i < cfg.nr_addresses; i++)
        o.addresses[o.nr_addresses++] = cfg.addresses[i];
    o.moves = cfg.limit_moves;
    o.port = cfg.port;
    o.port_last = cfg.port_last;
    o.rdma_buffer_mib = cfg.rdma_buffer_mib;
    o.rdma_poll_us = cfg.rdma_poll_us < 0 ? XF_RDMA_POLL_US : (unsigned)cfg.rdma_poll_us;
    o.stores = cfg.stores;
    rc = xf_receive(&o, &err);
    if (rc)
        front_error("migrate-receive", &err);
    return rc < 0 ? 1 : rc;
}

static int serve_stock(const char *real_xl, const struct front *f)
{
    struct xf_err err = {0};
    char **words = calloc((size_t)f->argc + 1, sizeof(*words));
    int status;

    if (!words) {
        xf_fail(&err, ENOMEM, "out of memory");
        return fail(&err);
    }
    /* A stock source has no CHECK: it finds that the receiver ends, and its guest runs on. */
    if (xf_drain_refuses(xf_run_dir(), err.text, sizeof(err.text))) {
        free(words);
        return fail(&err);
    }
    words[0] = (char *)"xl";
    for (int i = 1; i < f->argc; i++)
        words[i] = f->argv[i];
    status = relay_run(real_xl, words, XF_XL_BANNER, sizeof(XF_XL_BANNER) - 1, &err);
    free(words);
    if (status < 0)
        return fail(&err);
    relay_exit(status);
}

int cmd_migrate_receive(const struct front *f)
{
    struct receive_args args;
    struct xf_err err = {0};
    char real_xl[PATH_MAX];

    receive_parse(f->argc - f->cmd, f->argv + f->cmd, &args);
    if (args.stock || f->globals.dry_run || !peek_possible(STDIN_FILENO))
        return real_xl_become(f->argv);
    if (real_xl_find(real_xl, &err))
        return fail(&err);
    /* A source that goes away must be an error here, not end this process. */
    signal(SIGPIPE, SIG_IGN);
    if (write_banner(&err))
        return fail(&err);
    switch (peek_prefix(STDIN_FILENO, XF_PREAMBLE, sizeof(XF_PREAMBLE) - 1, &err)) {
    case 1:
        return serve_ours(real_xl, &args);
    case 0:
        return serve_stock(real_xl, f);
    default:
        return fail(&err);
    }
}
