/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of `xl migrate-drain`: what it means, and that the table, --help and the manual
 * page agree. (What is refused: tests/front/drain.sh.)
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/suite.h"
#include "tools/drain.h"

static struct words w;
static struct drain_args args;
static struct xf_err err;

static int parse(const char *words)
{
    const struct xl_globals g = {0};

    split_words(&w, "migrate-drain", words);
    xf_clear(&err);
    return drain_parse(w.argc, w.argv, &g, &args, &err);
}

static void test_values(void)
{
    CU_ASSERT_EQUAL(parse(""), 0);
    CU_ASSERT(args.limit == 2 && args.order == DRAIN_BY_WORKING_SET && !args.nr_hosts && !args.ssh);
    CU_ASSERT(!args.help && !args.check && !args.undo && !args.end && !args.json);
    CU_ASSERT_EQUAL(parse("--to a b --limit 64 --to c --order name -s rsh --check --json"), 0);
    CU_ASSERT_EQUAL_FATAL(args.nr_hosts, 3);
    CU_ASSERT_STRING_EQUAL(args.host[0], "a");
    CU_ASSERT_STRING_EQUAL(args.host[1], "c");
    CU_ASSERT_STRING_EQUAL(args.host[2], "b");
    CU_ASSERT(args.limit == 64 && args.order == DRAIN_BY_NAME && args.check && args.json);
    CU_ASSERT_STRING_EQUAL(args.ssh, "rsh");
    CU_ASSERT(parse("--undo --to me --limit 1") == 0 && args.undo && args.nr_hosts == 1);
    CU_ASSERT(parse("--order memory") == 0 && args.order == DRAIN_BY_MEMORY);
    CU_ASSERT(parse("--end --json") == 0 && args.end && args.json);
    CU_ASSERT(parse("--undo --report x.html") == 0 && !strcmp(args.report, "x.html"));
    CU_ASSERT(parse("--no-such --help") == 0 && args.help);
    /* Whatever is wrong, how it is reported is known. */
    CU_ASSERT(parse("--limit 65 --json") == -1 && args.json);
    CU_ASSERT_EQUAL(parse("--limit 1x"), -1);
    CU_ASSERT_EQUAL(parse("--limit _"), -1);
    CU_ASSERT_EQUAL(parse("--limit -1"), -1);
    CU_ASSERT_EQUAL(parse("--undo --to a b"), -1);
    CU_ASSERT_EQUAL(parse("--to a\x1b"), -1);
}

static void test_too_much(void)
{
    char line[400] = "--to";

    for (unsigned i = 0; i <= XF_DRAIN_HOSTS_MAX; i++)
        snprintf(line + strlen(line), sizeof(line) - strlen(line), " h%u", i);
    CU_ASSERT_EQUAL(parse(line), -1);
    CU_ASSERT(strstr(err.text, "at most 32 hosts") && args.nr_hosts == XF_DRAIN_HOSTS_MAX);
    memset(line, 'h', 300);
    memcpy(line, "--to ", 5);
    line[300] = 0;
    CU_ASSERT_EQUAL(parse(line), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "at most 255 bytes"));
}

static const char *slurp(FILE *f)
{
    static char text[65536];

    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    return text;
}

static void test_help_and_manual_agree(void)
{
    FILE *help = tmpfile();
    const char *text = slurp(fopen("docs/xl-migrate-drain.1", "r"));
    unsigned rows = 0, items = 0;
    char item[40];

    for (const struct migrate_option *o = drain_options; o->name || o->letter; o++, rows++) {
        if (o->name)
            snprintf(item, sizeof(item), " Fl -%s", o->name);
        else
            snprintf(item, sizeof(item), "\n.It Fl %c ", o->letter);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, item));
    }
    for (const char *p = text; (p = strstr(p, "\n.It Fl ")); p++)
        items++;
    CU_ASSERT_EQUAL(items, rows);
    drain_help(help);
    rewind(help);
    text = slurp(help);
    for (const struct migrate_option *o = drain_options; o->name || o->letter; o++) {
        snprintf(item, sizeof(item), o->name ? "--%s" : "-%s",
                 o->name ? o->name : (char[]){(char)o->letter, 0});
        CU_ASSERT_PTR_NOT_NULL(strstr(text, item));
    }
    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
        CU_ASSERT_TRUE(strcspn(p, "\n") <= 80);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"values", test_values},
        {"too much", test_too_much},
        {"--help and the manual agree", test_help_and_manual_agree},
        CU_TEST_INFO_NULL,
    };

    return run_suite("drain_options", tests);
}
