/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What another host's processors offer: see libxl-ext/cpu.h. Asked of a receiver there, like
 * `xl migrate-recover` asks for a guest (recover_ask.c); no move begins. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "libxl-ext/cpu.h"
#include "libxl-ext/peer/bootstrap.h"
#include "libxl-ext/source/move_rune.h"
#include "transport/times.h"

#define CHILD_MS 2000

static int fill_question(struct xf_hello *h, struct xf_err *err)
{
    /* A receiver that does not know cpu_only looks for this guest, and finds none. */
    *h = (struct xf_hello){.channels = 1,
                           .encrypt = true,
                           .check_only = true,
                           .find_only = true,
                           .cpu_only = true,
                           .domain = "-",
                           .uuid = "00000000-0000-0000-0000-000000000000"};
    xf_boot_id(h->boot_id);
    return xf_key_make(&h->key, err); /* nothing will be connected, but every hello has a key */
}

static int talk(struct xf_pipe *pipe, const struct xf_hello *h, struct xf_reply *reply,
                const volatile sig_atomic_t *cancel, struct xf_err *err)
{
    if (xf_pipe_await_banner(pipe, XF_BANNER_MS, cancel, err) || xf_hello_send(pipe, h, err) ||
        xf_reply_receive(pipe, reply, XF_REPLY_MS, cancel, err))
        return -1;
    if (reply->has_cpu)
        return 0;
    if (reply->nr_findings && reply->findings[0].severity == XF_REFUSAL)
        return xf_fail(err, EPERM, "%s", reply->findings[0].text);
    return xf_fail(err, ENOTSUP,
                   "its Xenferry is too old to say what its processors offer; install the same "
                   "one as here");
}

int xf_cpu_ask(const char *host, const char *ssh_command, const volatile sig_atomic_t *cancel,
               struct xf_cpu *out, struct xf_err *err)
{
    const struct xf_move_opts o = {.host = host, .ssh_command = ssh_command};
    struct xf_pipe pipe = {.in = -1, .out = -1};
    struct xf_reply *reply = calloc(1, sizeof(*reply));
    char *rune = xf_move_rune(&o);
    struct xf_hello hello = {0};
    int rc = -1;

    if (!reply || !rune)
        xf_fail(err, ENOMEM, "out of memory");
    else if (!fill_question(&hello, err) && !xf_pipe_spawn(&pipe, rune, err))
        rc = talk(&pipe, &hello, reply, cancel, err);
    if (!rc)
        *out = reply->cpu;
    else
        xf_wrap(err, "\"%.100s\" cannot be asked", host);
    xf_pipe_close(&pipe, CHILD_MS);
    xf_hello_free(&hello);
    free(rune);
    free(reply);
    return rc;
}
