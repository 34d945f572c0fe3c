/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-drain`: what its files share. drain_options.c reads the command line, drain.c begins
 * and ends a drain, drain_run.c runs it (the scheduler is libxl-ext/drain/sched.h), drain_row.c has
 * its guests, drain_end.c judges how a child ended, drain_child.c has the children, drain_show.c
 * the table and the JSON, drain_page.c the page.
 */
#ifndef XF_DRAIN_H
#define XF_DRAIN_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "libxl-ext/drain/guests.h"
#include "libxl-ext/drain/said.h"
#include "libxl-ext/drain/sched.h"
#include "libxl-ext/moves/drain_record.h"
#include "tools/drain_child.h"
#include "tools/options.h"
#include "tools/page.h"

/* --- the command line --- */

enum drain_order { DRAIN_BY_WORKING_SET, DRAIN_BY_MEMORY, DRAIN_BY_NAME };

struct drain_args {
    bool help, check, undo, end, json;
    unsigned limit;
    enum drain_order order;
    const char *ssh;    /* -s; NULL: not given */
    const char *report; /* --report; NULL: not given */
    const char *host[XF_DRAIN_HOSTS_MAX];
    unsigned nr_hosts;
};
extern const struct migrate_option drain_options[];

/* argv[0] is "migrate-drain". argv may be reordered; `out` points into it. On failure out->json
 * says how to report it. */
int drain_parse(int argc, char **argv, const struct xl_globals *g, struct drain_args *out,
                struct xf_err *err);
void drain_help(FILE *out);

/* --- a drain --- */

/* A guest: a row of the table. How it stands is in the scheduler's guest of the same index. */
struct drain_row {
    struct xf_guest at;
    char to[256];               /* where it was last started to, or went */
    double total_s, downtime_s; /* negative: not known */
    int exit_status;            /* of its move; -1: none */
    char code[24];              /* of the finding that refused it; empty: none */
    const char *outcome;        /* a word or two; NULL: that of its state */
    char reason[900];           /* sentences: why it has not left; may be empty */
    bool forecasts;
    struct xf_forecast forecast;
};

struct drain {
    const struct drain_args *args;
    struct xf_drain sched;              /* sched.guest[i] is that of row[i] */
    struct drain_row *row;              /* XF_DRAIN_GUESTS_MAX */
    char host[XF_DRAIN_HOSTS_MAX][256]; /* sched.host[i] is that of host[i] */
    struct xf_drain_record record;
    const char *ssh; /* NULL: "ssh" */
    char back[256];  /* --undo: this host, as the others know it */
    struct drain_children children;
    unsigned arriving; /* guests that a move is just bringing here */
    double began;
    struct page *page; /* of the moves so far; NULL: none is wanted */
    char page_path[PATH_MAX];
};

/* --- drain_row.c --- */

/* Make a row of a guest; returns its index, -1 if there are too many. */
int drain_add(struct drain *d, const struct xf_guest *g, enum xf_drain_state state);
/* The row of this uuid; -1: none. */
int drain_find(const struct drain *d, const char *uuid);
/* A guest has left for a host, or may have: keep that in the record; NULL: it has not. */
int drain_note(struct drain *d, unsigned guest, const char *host, bool left, struct xf_err *err);
/* A line on standard error: "xl migrate-drain: GUEST: ...". guest < 0: of none. */
void drain_say(const struct drain *d, int guest, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What a guest's outcome is called. */
const char *drain_outcome(const struct drain *d, unsigned guest);
/* Is it one that should have left (or come back) and has not? */
bool drain_remains(const struct drain *d, unsigned guest);

/* --- drain_run.c --- */

/* Look at this host's guests and moves: follow those that others move, and add newcomers. */
int drain_look(struct drain *d, struct xf_err *err);
/* Ask the destinations about the guests, for their order and each host's free memory. */
void drain_ask(struct drain *d);
/* Until all have ended or the call was interrupted. */
int drain_run(struct drain *d, struct xf_err *err);

/* --- drain_end.c --- */

/* Judge the end of a child that moved (or asked about) a guest, fill in its row and keep the
 * record. */
enum xf_drain_end drain_judge(struct drain *d, struct drain_child *c);

/* --- drain_page.c --- */

/* Before anything is moved: -1 if the file that --report names cannot be written. */
int drain_page_begin(struct drain *d, struct xf_err *err);
/* The move that a child has made. */
void drain_page_add(struct drain *d, const struct drain_child *c);
/* Write the page. A failure is said, and changes nothing. */
void drain_page_end(struct drain *d);

/* --- drain_show.c --- */

/* The table, and below it why guests remain; or JSON. */
void drain_show(FILE *out, const struct drain *d, int exit_status);

#endif
