/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every wait of the sink process checks. SIGTERM, SIGINT, SIGHUP and the guard's death set a
 * flag; before GO it ends the move, after GO it is ignored. See receive_parts.h.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "libxl-ext/sink/receive_parts.h"
#include "transport/clock.h"

/* The only global of this process: a signal handler can reach nothing else. */
static volatile sig_atomic_t stop_asked;

static void ask_stop(int sig)
{
    (void)sig;
    stop_asked = 1;
}

void xf_sink_signals(void)
{
    /* SA_RESTART: after GO signals are ignored, and must not disturb the libraries below either. */
    struct sigaction sa = {.sa_handler = ask_stop, .sa_flags = SA_RESTART};

    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int xf_sink_tick(void *priv, struct xf_err *err)
{
    struct sink *s = priv;

    xf_sink_tell(s, s->show.phase);
    if (s->go)
        return 0;
    if (stop_asked || getppid() != s->guard)
        return xf_fail(err, ECANCELED, "the receiver was told to stop");
    if (xf_pipe_dead(&s->pipe))
        return xf_fail(err, ECONNRESET, "the source has gone away");
    return xf_disks_here_look(&s->disks, err);
}

int xf_sink_in_time(int64_t until, int within_ms, const char *what, struct xf_err *err)
{
    if (xf_now_ms() <= until)
        return 0;
    return xf_fail(err, ETIMEDOUT, "xl did not %s within %d s", what, within_ms / 1000);
}
