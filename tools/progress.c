/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Showing a running move on a terminal or in a log.
 */
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/format.h"
#include "tools/progress.h"

#define WIDTH_UNKNOWN 80
#define WIDTH_MAX 200
#define LOG_EVERY_S 5.0

/* The parts of a line, in order of appearance. */
enum part { PHASE, PERCENT, SENT, RATE, DIRTY, DOWN, ETA, PARTS };
/* ... and in the order in which they are dropped. */
static const enum part dispensable[] = {SENT, DIRTY, DOWN, RATE, ETA, PERCENT};

/* Percentage of the phase's work, in phases that know the total. */
static void percent(char text[64], const struct xf_progress *p)
{
    uint64_t all = 0, done = 0;

    if (p->phase == XF_PHASE_COPY || p->phase == XF_PHASE_SWITCH) {
        all = p->round_pages;
        done = p->round_done;
    } else if (p->phase == XF_PHASE_DISKS) {
        all = p->disks.of ? p->disks.of : p->disks.bytes;
        done = p->disks.of ? p->disks.checked : p->disks.bytes - p->disks.left;
    } else if (p->phase == XF_PHASE_PULL) {
        all = p->left_out;
        done = p->missing < all ? all - p->missing : 0;
    }
    if (all)
        snprintf(text, 64, "%3.0f%%", done < all ? 100.0 * (double)done / (double)all : 100);
}

static void fill_parts(char text[PARTS][64], const struct xf_progress *p)
{
    char a[FMT_LEN];

    memset(text, 0, PARTS * sizeof(text[0]));
    if (p->phase == XF_PHASE_COPY && p->round)
        snprintf(text[PHASE], 64, "%s round %u", xf_phase_name(p->phase), p->round);
    else if (p->phase == XF_PHASE_DISKS && p->disks.of)
        snprintf(text[PHASE], 64, "%s compared", xf_phase_name(p->phase));
    else
        snprintf(text[PHASE], 64, "%s", xf_phase_name(p->phase));
    percent(text[PERCENT], p);
    if (p->phase == XF_PHASE_DISKS)
        snprintf(text[SENT], 64, "%s left", fmt_bytes(a, (double)p->disks.left));
    else if (p->wire_bytes)
        snprintf(text[SENT], 64, "%s sent", fmt_bytes(a, (double)p->wire_bytes));
    if (p->rate_bps > 0)
        snprintf(text[RATE], 64, "%s/s", fmt_bytes(a, p->rate_bps));
    if (p->dirty_pps > 0)
        snprintf(text[DIRTY], 64, "dirty %s/s", fmt_bytes(a, p->dirty_pps * 4096));
    if (p->predicted_down_s >= 0)
        snprintf(text[DOWN], 64, "downtime ~%s", fmt_duration(a, p->predicted_down_s));
    if (p->eta_s >= 0)
        snprintf(text[ETA], 64, "ETA %s", fmt_duration(a, p->eta_s));
}

static size_t width_of(char text[PARTS][64])
{
    size_t width = 0;

    for (int i = 0; i < PARTS; i++)
        if (text[i][0])
            width += strlen(text[i]) + (width ? 2 : 0);
    return width;
}

size_t progress_line(char *buf, size_t n, unsigned width, const struct xf_progress *p)
{
    char text[PARTS][64];
    size_t len = 0;

    if (width > n - 1)
        width = (unsigned)(n - 1);
    fill_parts(text, p);
    for (size_t i = 0; i < sizeof(dispensable) / sizeof(dispensable[0]); i++)
        if (width_of(text) > width)
            text[dispensable[i]][0] = '\0';
    buf[0] = '\0';
    for (int i = 0; i < PARTS && len < width; i++)
        if (text[i][0])
            len += (size_t)snprintf(buf + len, width + 1 - len, "%s%s", len ? "  " : "", text[i]);
    /* snprintf returns the length it would have written. */
    return strlen(buf);
}

void progress_init(struct progress_view *v, FILE *out, bool in_place)
{
    *v = (struct progress_view){.out = out, .in_place = in_place};
}

static unsigned terminal_width(FILE *out)
{
    struct winsize ws;

    if (ioctl(fileno(out), TIOCGWINSZ, &ws) || !ws.ws_col)
        return WIDTH_UNKNOWN;
    return ws.ws_col < WIDTH_MAX ? ws.ws_col : WIDTH_MAX;
}

static void draw(struct progress_view *v, const struct xf_progress *p)
{
    char line[WIDTH_MAX + 1];
    unsigned width = terminal_width(v->out);
    unsigned len, blank;

    /* The last column stays empty: some terminals wrap as soon as it is written. */
    if (width > 1)
        width--;
    len = (unsigned)progress_line(line, sizeof(line), width, p);
    if (v->drawn > width)
        v->drawn = width; /* the window has shrunk */
    blank = v->drawn > len ? v->drawn - len : 0;
    fprintf(v->out, "\r%s%*s\r", line, (int)blank, "");
    fflush(v->out);
    v->drawn = len;
}

/* A terminal that accepts nothing (Ctrl-S, a hanging connection) must not delay the move. */
static bool would_wait(FILE *out)
{
    struct pollfd pf = {.fd = fileno(out), .events = POLLOUT};

    return pf.fd >= 0 && poll(&pf, 1, 0) == 0;
}

void progress_show(struct progress_view *v, const struct xf_progress *p)
{
    bool news = !v->any || p->phase != v->phase || p->round != v->round;
    char line[WIDTH_MAX + 1];

    if (would_wait(v->out))
        return;
    if (v->in_place) {
        draw(v, p);
        return;
    }
    if (!news && p->elapsed_s - v->at_s < LOG_EVERY_S)
        return;
    progress_line(line, sizeof(line), WIDTH_MAX, p);
    fprintf(v->out, "%s\n", line);
    fflush(v->out);
    v->any = true;
    v->phase = p->phase;
    v->round = p->round;
    v->at_s = p->elapsed_s;
}

void progress_clear(struct progress_view *v)
{
    if (!v->drawn)
        return;
    fprintf(v->out, "\r%*s\r", (int)v->drawn, "");
    v->drawn = 0;
}
