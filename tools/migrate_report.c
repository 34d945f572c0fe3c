/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `xl migrate-report`: a page about the moves whose JSON is on standard input. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/front.h"
#include "tools/new_file.h"
#include "tools/page.h"

static const char help[] =
    "Usage: xl migrate-report FILE < LINES\n\n"
    "Write a page (HTML) to FILE about the moves whose reports are on standard input: lines\n"
    "as `xl migrate --json` writes them. Other lines of that kind are passed over, so the\n"
    "output of several moves can be put together:\n\n"
    "  cat *.json | xl migrate-report moves.html\n\n"
    "  -h, --help  Print this help.\n\n"
    "Exit status: 0 when FILE was written; 1 for errors, and when there is no report.\n";

static int parse(const struct front *f, bool *wants_help, const char **file, struct xf_err *err)
{
    static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int argc = f->argc - f->cmd, opt;
    char **argv = f->argv + f->cmd;

    opterr = 0;
    optind = 0;
    while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (opt != 'h')
            return xf_fail(err, EINVAL, "there is no option '%.60s' (xl migrate-report --help)",
                           argv[optind - 1]);
        *wants_help = true;
    }
    if (*wants_help)
        return 0;
    if (argc - optind != 1 || !argv[optind][0])
        return xf_fail(err, EINVAL, "name one file to write (xl migrate-report --help)");
    *file = argv[optind];
    return 0;
}

/* A line in `line`, without its newline. Its length; -1: the end; what is longer than a line may be
 * counts as that long. */
static ssize_t next_line(FILE *in, char line[PAGE_LINE])
{
    size_t len = 0;
    int c = EOF;

    while ((c = getc(in)) != EOF && c != '\n')
        if (len < PAGE_LINE)
            line[len++] = (char)c;
    return c == EOF && !len ? -1 : (ssize_t)len;
}

static int add_lines(struct page *p, FILE *in, struct xf_err *err)
{
    char *line = malloc(PAGE_LINE);
    unsigned nr = 0;
    ssize_t len;
    int rc = line ? 0 : xf_fail(err, ENOMEM, "out of memory");

    while (!rc && (len = next_line(in, line)) >= 0) {
        nr++;
        if (!len)
            continue;
        rc = page_add(p, line, (size_t)len, err);
        if (rc)
            xf_wrap(err, "line %u", nr);
    }
    if (!rc && ferror(in))
        rc = xf_fail(err, EIO, "cannot read standard input");
    free(line);
    return rc;
}

static int run(const char *file, struct xf_err *err)
{
    struct page *p = page_new();
    char path[PATH_MAX], *text = NULL;
    size_t len = 0;
    int rc = p ? 0 : xf_fail(err, ENOMEM, "out of memory");

    if (!rc)
        rc = new_file_check(file, path, err) || add_lines(p, stdin, err) ? -1 : 0;
    if (!rc && !page_moves(p))
        rc = xf_fail(err, EINVAL,
                     "no report of a move is on standard input; `xl migrate --json` writes them");
    if (!rc)
        rc = (text = page_text(p, &len, err)) ? new_file_write(path, text, len, err) : -1;
    free(text);
    page_free(p);
    return rc;
}

int cmd_migrate_report(const struct front *f)
{
    struct xf_err err = {0};
    bool wants_help = false;
    const char *file = NULL;

    if (!parse(f, &wants_help, &file, &err) && wants_help) {
        fputs(help, stdout);
        return 0;
    }
    if (!err.num && !run(file, &err))
        return 0;
    front_error("migrate-report", &err);
    return 1;
}
