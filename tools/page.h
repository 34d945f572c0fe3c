/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages about moves, for `xl migrate --report` and `xl migrate-report`: one self-contained HTML
 * file, with charts as SVG and without any script or reference to elsewhere. Made from the lines
 * that `--json` writes ("report"), which may come from another process or version.
 */
#ifndef XF_PAGE_H
#define XF_PAGE_H

#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/moves/history.h"

/* The most moves on one page, and bytes of a line. */
#define PAGE_MOVES 256u
#define PAGE_LINE (64u << 10)

struct page;

/* NULL: out of memory. Free with page_free(), which takes NULL. */
struct page *page_new(void);
void page_free(struct page *p);

/* Add the move of a line of JSON without its newline. 0: it was added, or is not of the type
 * "report". -1: it is no JSON object or a damaged report (EPROTO), or there are too many (E2BIG).
 */
int page_add(struct page *p, const char *line, size_t len, struct xf_err *err);
unsigned page_moves(const struct page *p);

/* The page as text, malloc()ed, and its length; NULL: out of memory, or no move was added. */
char *page_text(const struct page *p, size_t *len, struct xf_err *err);

/* Write the page of one move to a file: its report, error and advice as json_report() takes them.
 * The file appears complete, or stays as it was. */
int page_of_report(const char *path, const struct xf_report *r, const struct xf_err *err,
                   const char *advice, const struct xf_history *h, struct xf_err *why);

#endif
