/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of `xl migrate-drain`. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/drain.h"
#include "transport/text.h"

#define LIMIT 2

enum { D_HELP, D_TO, D_LIMIT, D_ORDER, D_SSH, D_CHECK, D_UNDO, D_END, D_REPORT, D_JSON, OPTIONS };

const struct migrate_option drain_options[OPTIONS + 1] = {
    [D_HELP] = {"help", 'h', NULL, true, "Print this help."},
    [D_TO] = {"to", 0, "HOST", true,
              "Where they go: each to the host that has the most free memory\n"
              "and takes it. Further hosts may follow: --to HOST HOST ...\n"
              "With --undo: what the other hosts call this one (default:\n"
              "its host name)."},
    [D_LIMIT] = {"limit", 0, "N", true, "Move N guests at once, 1 to 64 (default 2)."},
    [D_ORDER] = {"order", 0, "HOW", true,
                 "working-set: first the one that uses most memory (default).\n"
                 "memory: first the largest. name: by name."},
    [D_SSH] = {NULL, 's', "COMMAND", true, "Use COMMAND, run by sh, instead of ssh."},
    [D_CHECK] = {"check", 0, NULL, true, "Only print the plan, and what it would take."},
    [D_UNDO] = {"undo", 0, NULL, true, "Bring back what has left, and take guests again."},
    [D_END] = {"end", 0, NULL, true, "Take guests again, and leave away what has left."},
    [D_REPORT] = {"report", 0, "FILE", true,
                  "At the end write a page (HTML) about the moves to FILE."},
    [D_JSON] = {"json", 0, NULL, true, "Report on standard output, one JSON object per line."},
};

static const char pointer[] = "(xl migrate-drain --help)";

static int take_limit(const char *text, unsigned *out, struct xf_err *err)
{
    unsigned long n = strtoul(text, NULL, 10);

    if (!isdigit((unsigned char)text[0]) || text[strspn(text, "0123456789")] || strlen(text) > 4 ||
        n < 1 || n > XF_DRAIN_LIMIT_MAX)
        return xf_fail(err, EINVAL, "--limit takes a whole number from 1 to %u, not '%.40s' %s",
                       XF_DRAIN_LIMIT_MAX, text, pointer);
    *out = (unsigned)n;
    return 0;
}

static int take_order(const char *text, enum drain_order *out, struct xf_err *err)
{
    static const char *const words[] = {[DRAIN_BY_WORKING_SET] = "working-set",
                                        [DRAIN_BY_MEMORY] = "memory",
                                        [DRAIN_BY_NAME] = "name"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(text, words[i]))
            continue;
        *out = (enum drain_order)i;
        return 0;
    }
    return xf_fail(err, EINVAL, "--order takes working-set, memory or name, not '%.40s' %s", text,
                   pointer);
}

static int take_host(const char *host, struct drain_args *out, struct xf_err *err)
{
    if (!host[0] || host[0] == '-')
        return xf_fail(err, EINVAL, "'%.60s' is no name of a host %s", host, pointer);
    if (strlen(host) >= sizeof(((struct drain_row *)NULL)->to))
        return xf_fail(err, ENAMETOOLONG, "a host's name has at most 255 bytes %s", pointer);
    if (!xf_text_is_clean(host, strlen(host)))
        return xf_fail(err, EILSEQ, "a host's name has characters that cannot be shown %s",
                       pointer);
    for (unsigned i = 0; i < out->nr_hosts; i++)
        if (!strcmp(out->host[i], host))
            return xf_fail(err, EINVAL, "the host '%.60s' is named twice %s", host, pointer);
    if (out->nr_hosts == XF_DRAIN_HOSTS_MAX)
        return xf_fail(err, E2BIG, "at most %u hosts can be named %s", XF_DRAIN_HOSTS_MAX, pointer);
    out->host[out->nr_hosts++] = host;
    return 0;
}

static int take_ssh(const char *command, struct drain_args *out, struct xf_err *err)
{
    out->ssh = command;
    if (!command[0])
        return xf_fail(err, EINVAL, "-s needs a command that is given the host's name %s", pointer);
    if (strlen(command) >= sizeof(((struct xf_drain_record *)NULL)->ssh) ||
        !xf_text_is_clean(command, strlen(command)))
        return xf_fail(err, EINVAL,
                       "the command of -s is longer than 1023 bytes, or has characters that cannot "
                       "be shown %s",
                       pointer);
    return 0;
}

/* Options that make sense alone but not together. */
static int check_whole(const bool seen[OPTIONS], const struct xl_globals *g, int words,
                       const struct drain_args *out, struct xf_err *err)
{
    static const int with_end[] = {D_TO, D_LIMIT, D_ORDER, D_SSH, D_CHECK, D_UNDO, D_REPORT};

    if (g->dry_run)
        return xf_fail(err, EINVAL, "xl -N has no meaning for migrate-drain: use --check %s",
                       pointer);
    if (words && !seen[D_TO])
        return xf_fail(err, EINVAL, "hosts are named by --to: xl migrate-drain --to HOST %s",
                       pointer);
    for (size_t i = 0; seen[D_END] && i < sizeof(with_end) / sizeof(with_end[0]); i++)
        if (seen[with_end[i]])
            return xf_fail(err, EINVAL, "--end moves nothing: leave out %s%s %s",
                           drain_options[with_end[i]].name ? "--" : "-s",
                           drain_options[with_end[i]].name ? drain_options[with_end[i]].name : "",
                           pointer);
    if (seen[D_CHECK] && seen[D_REPORT])
        return xf_fail(err, EINVAL, "--check moves nothing: leave out --report %s", pointer);
    if (seen[D_UNDO] && (seen[D_CHECK] || seen[D_ORDER]))
        return xf_fail(err, EINVAL, "--undo and --%s contradict each other: leave one out %s",
                       seen[D_CHECK] ? "check" : "order", pointer);
    if (seen[D_UNDO] && out->nr_hosts > 1)
        return xf_fail(err, EINVAL, "with --undo, --to names one host: this one %s", pointer);
    return 0;
}

static int take(int row, const char *value, struct drain_args *out, struct xf_err *err)
{
    switch (row) {
    case D_TO:
        return take_host(value, out, err);
    case D_LIMIT:
        return take_limit(value, &out->limit, err);
    case D_ORDER:
        return take_order(value, &out->order, err);
    case D_SSH:
        return take_ssh(value, out, err);
    case D_REPORT:
        out->report = value;
        return value[0] ? 0 : xf_fail(err, EINVAL, "--report names the file to write %s", pointer);
    }
    return 0;
}

int drain_parse(int argc, char **argv, const struct xl_globals *g, struct drain_args *out,
                struct xf_err *err)
{
    struct option longs[OPTIONS + 1] = {0};
    bool seen[OPTIONS] = {false};
    int opt, row, nl = 0;

    *out = (struct drain_args){.limit = LIMIT};
    for (int i = 0; i < OPTIONS; i++)
        if (drain_options[i].name)
            longs[nl++] = (struct option){drain_options[i].name,
                                          drain_options[i].arg ? required_argument : no_argument,
                                          NULL, 256 + i};
    opterr = 0;
    optind = 0;
    /* Continue after an error: --json says how to report it. */
    while ((opt = getopt_long(argc, argv, ":hs:", longs, NULL)) != -1) {
        if (opt == ':') {
            xf_fail(err, EINVAL, "%.60s needs a value %s", argv[optind - 1], pointer);
            continue;
        }
        if (opt == '?') {
            xf_fail(err, EINVAL, "there is no option '%.60s' %s", argv[optind - 1], pointer);
            continue;
        }
        row = opt == 'h' ? D_HELP : opt == 's' ? D_SSH : opt - 256;
        seen[row] = true;
        take(row, optarg, out, err);
    }
    for (int i = optind; i < argc && seen[D_TO]; i++)
        take_host(argv[i], out, err);
    out->help = seen[D_HELP];
    out->check = seen[D_CHECK];
    out->undo = seen[D_UNDO];
    out->end = seen[D_END];
    out->json = seen[D_JSON];
    if (out->help)
        xf_clear(err); /* nothing else matters */
    else
        check_whole(seen, g, argc - optind, out, err);
    return err->num ? -1 : 0;
}

void drain_help(FILE *out)
{
    fputs("Usage: xl migrate-drain --to HOST [HOST ...] [--limit N] [--order HOW]\n"
          "                        [-s COMMAND] [--check] [--report FILE] [--json]\n"
          "       xl migrate-drain --undo [--to NAME] [--limit N] [-s COMMAND]\n"
          "                        [--report FILE] [--json]\n"
          "       xl migrate-drain --end\n\n"
          "Move all guests of this host to others, and take none until --undo or --end.\n"
          "A second call goes on where the first one ended.\n\n",
          out);
    options_help(out, drain_options, &drain_options[OPTIONS - 1]);
    fputs("\nExit status:\n\n"
          "  0  All have left (--undo: are back; --check: can leave).\n"
          "  1  Nothing was begun: the message says why.\n"
          "  2  Some have not; the table says which, and why.\n"
          "\nSee xl-migrate-drain(1).\n",
          out);
}
