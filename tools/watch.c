/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Watching the moves of this host: see watch.h. */
#include "tools/watch.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/moves/status.h"
#include "tools/json.h"
#include "tools/watch_table.h"
#include "transport/clock.h"

#define EVERY_MS 1000
#define LOG_EVERY_S 5.0
#define COLUMNS_UNKNOWN 80
#define ROWS_UNKNOWN 24
#define COLUMNS_MAX 400
#define ROWS_MAX 300

/* Another screen, without a cursor and without wrapping; and back. */
#define SCREEN_ON "\033[?1049h\033[?25l\033[?7l\033[2J"
#define SCREEN_OFF "\033[?7h\033[?25h\033[?1049l"
#define LINE_END "\033[K\r\n"
#define HOME "\033[H"
#define CLEAR_REST "\033[K\033[J"

struct watch {
    const char *domain;
    bool json, full; /* full: the whole screen */
    bool seen;       /* the domain had a move */
    int signals;     /* signalfd */
    sigset_t before; /* the signals blocked by our caller */
    struct termios cooked;
    bool keys; /* standard input is the terminal, and set to single keys */
};

/* --- the terminal --- */

static void put(const char *text)
{
    size_t len = strlen(text);

    /* A terminal that has gone takes nothing; SIGHUP or the end of its input follows. */
    while (len) {
        ssize_t n = write(STDOUT_FILENO, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

static void screen_on(struct watch *w)
{
    struct termios raw;

    /* In the background of its shell a process may not set the terminal. */
    w->keys = isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &w->cooked) &&
              tcgetpgrp(STDIN_FILENO) == getpgrp();
    if (w->keys) {
        raw = w->cooked;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    put(SCREEN_ON);
}

static void screen_off(struct watch *w)
{
    put(SCREEN_OFF);
    if (w->keys)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &w->cooked);
}

static struct table_view view_of(const struct watch *w)
{
    struct table_view v = {.columns = COLUMNS_UNKNOWN,
                           .rows = ROWS_UNKNOWN,
                           .utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8"),
                           .domain = w->domain,
                           .now = time(NULL)};
    struct winsize ws;

    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) && ws.ws_col && ws.ws_row) {
        v.columns = ws.ws_col < COLUMNS_MAX ? ws.ws_col : COLUMNS_MAX;
        v.rows = ws.ws_row < ROWS_MAX ? ws.ws_row : ROWS_MAX;
    }
    return v;
}

static int draw(struct watch *w, const struct xf_status_list *all, struct xf_err *err)
{
    struct table_view v = view_of(w);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return xf_fail(err, ENOMEM, "out of memory");
    fputs(HOME, out);
    table_write(out, all, &v, LINE_END);
    fputs(CLEAR_REST, out);
    if (fclose(out) || !text) {
        free(text);
        return xf_fail(err, ENOMEM, "out of memory");
    }
    put(text);
    free(text);
    return 0;
}

/* --- lines --- */

/* What a line was last written for. */
struct said {
    pid_t pid;
    enum xf_phase phase;
    unsigned round;
    bool waits;
    double at;
};

static bool is_news(struct said said[XF_STATUS_MAX], unsigned *nr, const struct xf_status *s)
{
    double now = xf_now();
    unsigned i = 0;

    while (i < *nr && said[i].pid != s->pid)
        i++;
    if (i == *nr) {
        /* Full of old ones: those of this round of looks come again. */
        *nr = i = *nr < XF_STATUS_MAX ? *nr : 0;
        ++*nr;
    } else if (said[i].phase == s->phase && said[i].round == s->round &&
               said[i].waits == (s->waits_for[0] != 0) && now - said[i].at < LOG_EVERY_S) {
        return false;
    }
    said[i] = (struct said){.pid = s->pid,
                            .phase = s->phase,
                            .round = s->round,
                            .waits = s->waits_for[0] != 0,
                            .at = now};
    return true;
}

/* -1: nobody reads it. */
static int print(const struct watch *w, const struct xf_status_list *all,
                 struct said said[XF_STATUS_MAX], unsigned *nr)
{
    char line[800];

    for (unsigned i = 0; i < all->nr; i++) {
        const struct xf_status *s = &all->list[i];

        if (w->domain && !xf_status_is(s->domain, s->domid, w->domain))
            continue;
        if (w->json) {
            json_status(stdout, s);
        } else if (is_news(said, nr, s)) {
            table_line(line, sizeof(line), s);
            printf("%s\n", line);
        }
    }
    return fflush(stdout) || ferror(stdout) ? -1 : 0;
}

/* --- the loop --- */

static bool has_move(const struct xf_status_list *all, const char *domain)
{
    for (unsigned i = 0; i < all->nr; i++)
        if (xf_status_is(all->list[i].domain, all->list[i].domid, domain))
            return true;
    return false;
}

/* Ctrl-Z: leave the screen, stop like any other program, and come back. */
static void stop(struct watch *w)
{
    screen_off(w);
    raise(SIGSTOP);
    screen_on(w);
}

static bool take_signal(struct watch *w)
{
    struct signalfd_siginfo info;

    if (read(w->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return true;
    if (info.ssi_signo == SIGWINCH)
        return true;
    if (info.ssi_signo != SIGTSTP)
        return false;
    stop(w);
    return true;
}

/* Wait for the next look. False: it is over. */
static bool wait_for_more(struct watch *w)
{
    struct pollfd fds[3] = {{.fd = w->signals, .events = POLLIN},
                            {.fd = w->keys ? STDIN_FILENO : -1, .events = POLLIN},
                            /* whether a pipe's reader has gone */
                            {.fd = w->full ? -1 : STDOUT_FILENO}};
    char key;

    if (poll(fds, 3, EVERY_MS) < 0)
        return errno == EINTR;
    if (fds[2].revents & (POLLERR | POLLHUP))
        return false;
    if (fds[0].revents)
        return take_signal(w);
    if (fds[1].revents)
        return read(STDIN_FILENO, &key, 1) == 1 && key != 'q' && key != 'Q' && key != 3;
    return true;
}

static int run(struct watch *w, struct xf_err *err)
{
    struct said *said = calloc(XF_STATUS_MAX, sizeof(*said));
    unsigned nr_said = 0;
    bool on = false, again = true;
    int rc = said ? 0 : xf_fail(err, ENOMEM, "out of memory");

    while (!rc && again) {
        struct xf_status_list all;
        bool there;

        rc = xf_statuses(&all, err);
        there = !rc && (!w->domain || has_move(&all, w->domain));
        if (!rc && !there && !w->seen)
            rc = xf_fail(err, ESRCH,
                         "no move of a domain \"%s\" is under way from or to this host%s",
                         w->domain, all.silent ? ", as far as the moves of this host answer" : "");
        w->seen = true;
        if (!rc && w->full && !on) {
            screen_on(w);
            on = true;
        }
        if (!rc && w->full)
            rc = draw(w, &all, err);
        else if (!rc)
            again = !print(w, &all, said, &nr_said) && there;
        xf_statuses_free(&all);
        again = !rc && again && wait_for_more(w);
    }
    if (on)
        screen_off(w);
    free(said);
    return rc;
}

int watch_moves(const char *domain, bool json, struct xf_err *err)
{
    const char *term = getenv("TERM");
    struct watch w = {.domain = domain, .json = json};
    sigset_t set;
    int rc;

    w.full = !json && isatty(STDOUT_FILENO) && term && term[0] && strcmp(term, "dumb") != 0;
    setlocale(LC_CTYPE, "");
    sigemptyset(&set);
    if (w.full) {
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGQUIT);
        sigaddset(&set, SIGTSTP);
        sigaddset(&set, SIGWINCH);
    }
    sigprocmask(SIG_BLOCK, &set, &w.before);
    w.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    rc = w.signals < 0 ? xf_fail(err, errno, "cannot watch for signals: %s", strerror(errno))
                       : run(&w, err);
    if (w.signals >= 0)
        close(w.signals);
    sigprocmask(SIG_SETMASK, &w.before, NULL);
    return rc;
}
