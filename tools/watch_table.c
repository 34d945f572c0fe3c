/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The moves of a host as a table: see watch_table.h. */
#include "tools/watch_table.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "tools/format.h"
#include "tools/json.h"
#include "transport/text.h"
#include "transport/version.h"

#define CELL 320 /* bytes of a cell: the longest name */
#define BAR_MAX 40u
/* A move without an update for this long, in seconds, is busy with something lengthy. */
#define QUIET_S 5.0

enum column { DOMAIN, PEER, PHASE, BAR, PERCENT, RATE, DIRTY, ETA, COLUMNS };

/* In order of appearance; width: without more room. */
static const struct {
    const char *title;
    unsigned width;
    bool right;
} columns[COLUMNS] = {
    [DOMAIN] = {"DOMAIN", 12, false}, [PEER] = {"PEER", 12, false}, [PHASE] = {"PHASE", 8, false},
    [BAR] = {"", 10, false},          [PERCENT] = {"", 4, true},    [RATE] = {"RATE/s", 8, true},
    [DIRTY] = {"DIRTY/s", 8, true},   [ETA] = {"ETA", 10, true},
};
/* In the order in which they are dropped when there is less room. */
static const enum column dispensable[] = {DIRTY, BAR, RATE, PEER, ETA, PERCENT};

/* --- words --- */

/* Percent of the phase's work; -1: not known. */
static int percent(const struct xf_status *s)
{
    uint64_t all = 0, done = 0;

    if (s->source && (s->phase == XF_PHASE_COPY || s->phase == XF_PHASE_SWITCH)) {
        all = s->round_pages;
        done = s->round_done;
    } else if (s->phase == XF_PHASE_DISKS) {
        all = s->disks.of ? s->disks.of : s->disks.bytes;
        done = s->disks.of ? s->disks.checked : all - s->disks.left;
    } else if (s->phase == XF_PHASE_PULL && s->missing != XF_NO_COUNT) {
        all = s->left_out;
        done = s->missing < all ? all - s->missing : 0;
    }
    if (!all || all == XF_NO_COUNT || done == XF_NO_COUNT)
        return -1;
    return done < all ? (int)(100 * ((double)done / (double)all)) : 100;
}

static void phase(char *buf, const struct xf_status *s)
{
    if (s->waits_for[0])
        snprintf(buf, CELL, "waits");
    else if (s->phase == XF_PHASE_COPY && s->round)
        snprintf(buf, CELL, "%s %u", xf_phase_name(s->phase), s->round);
    else
        snprintf(buf, CELL, "%s", xf_phase_name(s->phase));
}

void table_line(char *buf, size_t n, const struct xf_status *s)
{
    char a[FMT_LEN];
    size_t len = (size_t)snprintf(buf, n, "%s %s %s: %s", s->domain, s->source ? "to" : "from",
                                  s->host[0] ? s->host : "another host", xf_phase_name(s->phase));
    int part = percent(s);

#define MORE(...)                                                                                  \
    do {                                                                                           \
        if (len < n)                                                                               \
            len += (size_t)snprintf(buf + len, n - len, __VA_ARGS__);                              \
    } while (0)
    if (s->waits_for[0])
        MORE("  waits: %s", s->waits_for);
    if (s->phase == XF_PHASE_COPY && s->round)
        MORE(" round %u", s->round);
    if (part >= 0)
        MORE("  %d%%", part);
    if (s->rate_bps > 0)
        MORE("  %s/s", fmt_bytes(a, s->rate_bps));
    if (s->dirty_pps > 0)
        MORE("  dirty %s/s", fmt_bytes(a, s->dirty_pps * 4096));
    if (s->eta_s >= 0)
        MORE("  ETA %s", fmt_duration(a, s->eta_s));
#undef MORE
}

/* --- cells --- */

/* The columns that the character at s takes, and its bytes. */
static unsigned char_width(const char *s, size_t *bytes, bool utf8)
{
    size_t n = xf_text_char(s, strlen(s));
    wchar_t w = 0;
    int width;

    *bytes = n ? n : 1;
    if (n <= 1 || !utf8)
        return 1;
    w = (unsigned char)s[0] & (0xff >> (n + 1));
    for (size_t i = 1; i < n; i++)
        w = (wchar_t)(w << 6 | ((unsigned char)s[i] & 0x3f));
    width = wcwidth(w);
    return width >= 0 ? (unsigned)width : 1;
}

/* Print text in exactly `width` columns; what is too long ends in a '~'. */
static void cell(FILE *out, const char *text, unsigned width, bool right, bool utf8)
{
    unsigned all = 0, used = 0;
    size_t bytes;

    for (const char *s = text; *s; s += bytes)
        all += char_width(s, &bytes, utf8);
    if (right && all < width)
        fprintf(out, "%*s", (int)(width - all), "");
    for (const char *s = text; *s; s += bytes) {
        unsigned w = char_width(s, &bytes, utf8);

        if (used + w > (all > width ? width - 1 : width))
            break;
        used += w;
        if (bytes == 1 || utf8)
            fprintf(out, "%.*s", (int)bytes, s);
        else
            fputc('?', out);
    }
    if (all > width && width) {
        fputc('~', out);
        used++;
    }
    if (!right && used < width)
        fprintf(out, "%*s", (int)(width - used), "");
}

static void bar(char *buf, unsigned width, int part)
{
    unsigned inner = width - 2, full = part > 0 ? inner * (unsigned)part / 100 : 0;

    buf[0] = 0;
    if (part < 0)
        return;
    buf[0] = '[';
    memset(buf + 1, '#', full);
    memset(buf + 1 + full, '.', inner - full);
    buf[width - 1] = ']';
    buf[width] = 0;
}

static void fill(char cells[COLUMNS][CELL], const unsigned widths[COLUMNS],
                 const struct xf_status *s)
{
    char a[FMT_LEN];
    int part = percent(s);

    memset(cells, 0, (size_t)COLUMNS * CELL);
    snprintf(cells[DOMAIN], CELL, "%s", s->domain);
    snprintf(cells[PEER], CELL, "%s %s", s->source ? ">" : "<", s->host[0] ? s->host : "?");
    phase(cells[PHASE], s);
    if (widths[BAR])
        bar(cells[BAR], widths[BAR], part);
    if (part >= 0)
        snprintf(cells[PERCENT], CELL, "%d%%", part);
    if (s->rate_bps > 0)
        snprintf(cells[RATE], CELL, "%s", fmt_bytes(a, s->rate_bps));
    if (s->dirty_pps > 0)
        snprintf(cells[DIRTY], CELL, "%s", fmt_bytes(a, s->dirty_pps * 4096));
    if (s->age_s > QUIET_S)
        snprintf(cells[ETA], CELL, "silent");
    else if (s->eta_s >= 0)
        snprintf(cells[ETA], CELL, "%s", fmt_duration(a, s->eta_s));
}

static unsigned total(const unsigned widths[COLUMNS])
{
    unsigned sum = 0;

    for (int c = 0; c < COLUMNS; c++)
        if (widths[c])
            sum += widths[c] + (sum ? 1 : 0);
    return sum;
}

/* What fits: columns are dropped, or the names and the bar get what is left. */
static void choose_widths(unsigned widths[COLUMNS], unsigned room)
{
    unsigned left;

    for (int c = 0; c < COLUMNS; c++)
        widths[c] = columns[c].width;
    for (size_t i = 0; i < sizeof(dispensable) / sizeof(dispensable[0]); i++)
        if (total(widths) > room)
            widths[dispensable[i]] = 0;
    if (total(widths) > room) { /* two are left */
        widths[PHASE] = room > 2 * columns[PHASE].width ? columns[PHASE].width : 0;
        widths[DOMAIN] = widths[PHASE] ? room - widths[PHASE] - 1 : room;
        return;
    }
    left = room - total(widths);
    widths[DOMAIN] += left / 3;
    if (widths[PEER])
        widths[PEER] += left / 3;
    if (widths[BAR] && left)
        widths[BAR] +=
            left / 3 < BAR_MAX - columns[BAR].width ? left / 3 : BAR_MAX - columns[BAR].width;
}

static void row(FILE *out, char cells[COLUMNS][CELL], const unsigned widths[COLUMNS], bool utf8)
{
    bool first = true;

    for (int c = 0; c < COLUMNS; c++) {
        if (!widths[c])
            continue;
        if (!first)
            fputc(' ', out);
        cell(out, cells[c], widths[c], columns[c].right, utf8);
        first = false;
    }
}

/* --- the screen --- */

struct screen {
    FILE *out;
    const struct table_view *v;
    const char *end;
    unsigned width, left; /* left: lines */
};

/* Begin a line; false: there is none left. */
static bool next_line(struct screen *s)
{
    if (!s->left)
        return false;
    if (s->left != s->v->rows)
        fputs(s->end, s->out);
    s->left--;
    return true;
}

static void text_line(struct screen *s, const char *text)
{
    if (next_line(s))
        cell(s->out, text, s->width, false, s->v->utf8);
}

static bool wanted(const struct table_view *v, const char *domain, uint32_t domid)
{
    return !v->domain || xf_status_is(domain, domid, v->domain);
}

/* Those that run, or those that wait; returns how many had no line. `keep` lines stay free. */
static unsigned moves(struct screen *s, const struct xf_status_list *all, bool waiting,
                      unsigned keep)
{
    char cells[COLUMNS][CELL];
    unsigned widths[COLUMNS], hidden = 0;

    choose_widths(widths, s->width);
    for (unsigned i = 0; i < all->nr; i++) {
        const struct xf_status *m = &all->list[i];

        if ((m->waits_for[0] != 0) != waiting || !wanted(s->v, m->domain, m->domid))
            continue;
        if (s->left <= keep || !next_line(s)) {
            hidden++;
            continue;
        }
        fill(cells, widths, m);
        row(s->out, cells, widths, s->v->utf8);
    }
    return hidden;
}

static void title(struct screen *s, const struct xf_status_list *all)
{
    unsigned nr = 0, waiting = 0;
    char text[200], clock[16] = "", silent[48] = "";
    struct tm tm;

    for (unsigned i = 0; i < all->nr; i++) {
        if (!wanted(s->v, all->list[i].domain, all->list[i].domid))
            continue;
        nr++;
        waiting += all->list[i].waits_for[0] != 0;
    }
    if (localtime_r(&s->v->now, &tm))
        strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    if (all->silent)
        snprintf(silent, sizeof(silent), ", %u not answering", all->silent);
    snprintf(text, sizeof(text), "%s  %u move%s, %u waiting%s  (Xenferry %s; q ends)", clock, nr,
             nr == 1 ? "" : "s", waiting, silent, xf_version());
    text_line(s, text);
}

static void titles(struct screen *s)
{
    char cells[COLUMNS][CELL];
    unsigned widths[COLUMNS];

    if (!next_line(s))
        return;
    choose_widths(widths, s->width);
    for (int c = 0; c < COLUMNS; c++)
        snprintf(cells[c], CELL, "%s", columns[c].title);
    row(s->out, cells, widths, s->v->utf8);
}

/* What ended in the background, the newest first, as far as there is room. */
static void ends(struct screen *s, const struct xf_status_list *all)
{
    char text[1100], a[FMT_LEN];

    for (unsigned i = all->nr_ended; i-- > 0 && s->left > 1;) {
        const struct xf_ended *e = &all->ended[i];
        double ago = (double)(s->v->now - e->when);

        if (!wanted(s->v, e->domain, XF_NO_DOMID))
            continue;
        snprintf(text, sizeof(text), "%s > %s: %s %s ago%s%s", e->domain, e->host,
                 outcome_word(e->outcome), fmt_duration(a, ago > 0 ? ago : 0),
                 e->text[0] ? ": " : "", e->text);
        text_line(s, text);
    }
}

/* Why the first of those that wait does. */
static void reason(struct screen *s, const struct xf_status_list *all)
{
    char why[400];

    for (unsigned i = 0; i < all->nr && s->left > 2; i++) {
        const struct xf_status *m = &all->list[i];

        if (!m->waits_for[0] || !wanted(s->v, m->domain, m->domid))
            continue;
        text_line(s, "");
        snprintf(why, sizeof(why), "%s waits: %s", m->domain, m->waits_for);
        text_line(s, why);
        return;
    }
}

void table_write(FILE *out, const struct xf_status_list *all, const struct table_view *v,
                 const char *end)
{
    struct screen s = {.out = out, .v = v, .end = end, .left = v->rows};
    unsigned hidden;
    char text[80];

    /* The last column stays empty: some terminals wrap as soon as it is written. */
    s.width = v->columns > 1 ? v->columns - 1 : 1;
    title(&s, all);
    titles(&s);
    hidden = moves(&s, all, false, 1);
    hidden += moves(&s, all, true, 1);
    if (hidden) {
        snprintf(text, sizeof(text), "and %u more", hidden);
        text_line(&s, text);
    }
    reason(&s, all);
    if (all->nr_ended && s.left > 2)
        text_line(&s, "");
    ends(&s, all);
}
