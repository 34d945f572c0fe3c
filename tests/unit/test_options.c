/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command lines of migrate and migrate-receive: what is ours, what is the real xl's,
 * every value and every refusal, and that table, --help and manual page agree.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suite.h"
#include "tools/options.h"

static struct migrate_args args;
static struct xf_err err;
static struct xf_config config;
static struct xl_globals globals;

static int parse(const char *words)
{
    static struct words w; /* what was parsed points into it */

    split_words(&w, "migrate", words);
    memset(&err, 0, sizeof(err));
    return migrate_parse(w.argc, w.argv, &globals, &config, false, &args, &err);
}

static void reset(void)
{
    memset(&globals, 0, sizeof(globals));
    memset(&config, 0, sizeof(config));
    config.encrypt = config.rdma_poll_us = config.mode = config.reconnect_s = -1;
}

static void fails_with(const char *words, const char *part)
{
    int rc = parse(words);

    if (rc != -1 || !strstr(err.text, part) || !strstr(err.text, "--help"))
        printf("\n  '%s': %d, '%s', wanted '%s'\n", words, rc, err.text, part);
    CU_ASSERT_EQUAL(rc, -1);
    CU_ASSERT_NOT_EQUAL(err.num, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--help"));
    CU_ASSERT_PTR_NULL(strchr(err.text, '\n'));
}

static void is_stock(const char *words)
{
    int rc = parse(words);

    if (rc || !args.stock)
        printf("\n  '%s': %d, '%s', not stock\n", words, rc, err.text);
    CU_ASSERT_EQUAL(rc, 0);
    CU_ASSERT_TRUE(args.stock);
}

static void ours(const char *words)
{
    int rc = parse(words);

    if (rc || args.stock)
        printf("\n  '%s': %d, '%s', not ours\n", words, rc, err.text);
    CU_ASSERT_EQUAL(rc, 0);
    CU_ASSERT_FALSE(args.stock);
}

static void test_stock_when_nothing_is_ours(void)
{
    reset();
    is_stock("g1 host2");
    is_stock("-s ssh -C /etc/g1.cfg -e -F -p -D --live --debug g1 host2");
    is_stock("");
    is_stock("-z g1 host2");
    is_stock("--nonsense g1 host2");
    is_stock("g1 host2 superfluous");
    is_stock("-C --tcp g1 host2"); /* the name of a file */
    is_stock("g1 host2 -- --tcp");
    is_stock("--stock g1 host2");
    CU_ASSERT_STRING_EQUAL(args.stock_word, "--stock");
    is_stock("--stock -z g1 host2");
    is_stock("-C"); /* the real xl says what is missing */
}

static void test_each_of_ours_asks_for_ours(void)
{
    reset();
    for (const struct migrate_option *o = migrate_options; o->name || o->letter; o++) {
        char words[100];
        if (!o->ours)
            continue;
        CU_ASSERT_EQUAL(o->letter, 0); /* long names only */
        /* Some say how disks move, which makes no sense without any. */
        bool of_disks = strstr(o->name, "disk") || !strcmp(o->name, "delete-source");
        snprintf(words, sizeof(words), "%s--%s%s g1 host2", of_disks ? "--with-disks " : "",
                 o->name,
                 !o->arg || *o->arg == '['        ? ""
                 : !strcmp(o->arg, "VDEV=TARGET") ? " xvda=/srv/"
                 : !strcmp(o->arg, "ADDR")        ? " 10.0.0.1"
                 : !strcmp(o->arg, "HOW")         ? " auto"
                                                  : " 5");
        int rc = parse(words);
        CU_ASSERT_FALSE(args.stock);
        CU_ASSERT_EQUAL(rc, strstr(o->help, "Not in this build") ? -1 : 0);
    }
    /* Even where the option itself is wrong, the line is ours to complain about. */
    fails_with("--channels", "--channels needs a value");
    fails_with("--tcp=5 g1 host2", "--tcp takes no value");
    fails_with("--tcp -z g1 host2", "no option -z");
}

static void test_config_asks_for_ours(void)
{
    reset();
    config.ours = true;
    ours("g1 host2");
    is_stock("--stock g1 host2");
    fails_with("-z g1 host2", "no option -z");
    fails_with("--debug g1 host2", "--stock");
}

static void test_defaults(void)
{
    reset();
    ours("--tcp g1 host2");
    CU_ASSERT_STRING_EQUAL(args.move.domain, "g1");
    CU_ASSERT_STRING_EQUAL(args.move.host, "host2");
    CU_ASSERT_PTR_NULL(args.move.ssh_command);
    CU_ASSERT_PTR_NULL(args.move.receive_args);
    CU_ASSERT_PTR_NULL(args.move.xl_args);
    CU_ASSERT_PTR_NULL(args.move.config_file);
    CU_ASSERT_PTR_NULL(args.move.address);
    CU_ASSERT_FALSE(args.move.preserve_domid);
    CU_ASSERT_FALSE(args.move.leave_paused);
    CU_ASSERT_FALSE(args.move.check_only);
    CU_ASSERT_FALSE(args.json);
    CU_ASSERT_FALSE(args.quiet);
    CU_ASSERT_FALSE(args.no_wait);
    /* What --help and the manual page promise. */
    CU_ASSERT_EQUAL(args.move.transport, XF_TRANSPORT_TCP);
    CU_ASSERT_EQUAL(args.move.encrypt, XF_ENCRYPT_USUAL);
    CU_ASSERT_EQUAL(args.move.compress, XF_COMPRESS_AUTO);
    CU_ASSERT_EQUAL(args.move.rdma_buffer_mib, 0);
    CU_ASSERT_EQUAL(args.move.rdma_poll_us, 20);
    CU_ASSERT_EQUAL(args.move.channels, 2);
    CU_ASSERT_EQUAL(args.move.max_downtime_ms, 300);
    CU_ASSERT_EQUAL(args.move.max_rounds, 10);
    CU_ASSERT_EQUAL(args.move.bandwidth, 0);
    CU_ASSERT_EQUAL(args.move.reconnect_s, 60);
}

static void test_values(void)
{
    reset();
    ours("--max-downtime 50 --max-rounds 3 --bandwidth 100 --channels 16 --no-encrypt --check "
         "--json --quiet --no-wait --migration-address fd00::1 -C /a/b -s _ -D g1 host2");
    CU_ASSERT_EQUAL(args.move.max_downtime_ms, 50);
    CU_ASSERT_EQUAL(args.move.max_rounds, 3);
    CU_ASSERT_EQUAL(args.move.bandwidth, 100ull << 20);
    CU_ASSERT_EQUAL(args.move.channels, 16);
    CU_ASSERT_EQUAL(args.move.encrypt, XF_ENCRYPT_NO);
    CU_ASSERT_TRUE(args.move.check_only);
    CU_ASSERT_TRUE(args.json);
    CU_ASSERT_TRUE(args.quiet);
    CU_ASSERT_TRUE(args.no_wait);
    CU_ASSERT_STRING_EQUAL(args.move.address, "fd00::1");
    CU_ASSERT_STRING_EQUAL(args.move.config_file, "/a/b");
    CU_ASSERT_STRING_EQUAL(args.move.ssh_command, "");
    CU_ASSERT_TRUE(args.move.preserve_domid);
    /* After the words too, and with "=", as stock xl's getopt has it. */
    ours("g1 host2 --channels=1 --live");
    CU_ASSERT_EQUAL(args.move.channels, 1);
    CU_ASSERT_STRING_EQUAL(args.move.host, "host2");
    ours("--bandwidth 1048576 g1 host2");
    CU_ASSERT_EQUAL(args.move.bandwidth, 1ull << 40);
    CU_ASSERT_FALSE(args.move.late_devices);
    ours("--late-devices g1 host2");
    CU_ASSERT_TRUE(args.move.late_devices);
    fails_with("--late-devices=1 g1 host2", "--late-devices takes no value");
    ours("--reconnect 0 g1 host2");
    CU_ASSERT_EQUAL(args.move.reconnect_s, 0);
    ours("--reconnect=3600 g1 host2");
    CU_ASSERT_EQUAL(args.move.reconnect_s, 3600);
    fails_with("--reconnect 3601 g1 host2", "--reconnect takes a whole number from 0 to 3600");
    fails_with("--reconnect 1m g1 host2", "--reconnect takes a whole number from 0 to 3600");
    fails_with("g1 host2 --reconnect", "--reconnect needs a value: S");
    ours("--compress zstd g1 host2");
    CU_ASSERT_EQUAL(args.move.compress, XF_COMPRESS_ZSTD);
    ours("--compress=lz4 g1 host2");
    CU_ASSERT_EQUAL(args.move.compress, XF_COMPRESS_LZ4);
    ours("--compress off g1 host2");
    CU_ASSERT_EQUAL(args.move.compress, XF_COMPRESS_OFF);
    fails_with("--compress 9 g1 host2", "--compress takes auto, off, lz4 or zstd, not '9'");
    fails_with("g1 host2 --compress", "--compress needs a value: HOW");
}

static void test_queue(void)
{
    reset();
    ours("--tcp g1 host2");
    CU_ASSERT(args.move.wait_s < 0 && !args.move.moves && !args.move.host_bandwidth);
    ours("--no-queue g1 host2");
    CU_ASSERT_EQUAL(args.move.wait_s, 0);
    ours("--wait 0 g1 host2");
    CU_ASSERT_EQUAL(args.move.wait_s, 0);
    ours("--wait 3600 g1 host2");
    CU_ASSERT_EQUAL(args.move.wait_s, 3600);
    fails_with("--wait -1 g1 host2", "--wait takes a whole number from 0 to 2147483647");
    fails_with("--wait 2147483648 g1 host2", "--wait takes a whole number from 0 to 2147483647");
    fails_with("--no-queue --wait 5 g1 host2", "--no-queue and --wait contradict each other");
    config.limit_moves = 5;
    config.limit_bandwidth = 7u << 20;
    ours("--tcp g1 host2");
    CU_ASSERT(args.move.moves == 5 && args.move.host_bandwidth == 7u << 20);
    CU_ASSERT_EQUAL(args.move.bandwidth, 0);
}

static void test_config_and_precedence(void)
{
    reset();
    config = (struct xf_config){.max_downtime_ms = 70,
                                .max_rounds = 4,
                                .channels = 5,
                                .bandwidth_mib = 6,
                                .encrypt = 0,
                                .compress = XF_COMPRESS_OFF,
                                .transport = XF_TRANSPORT_AUTO,
                                .rdma_buffer_mib = 32,
                                .rdma_poll_us = 0,
                                .reconnect_s = 0,
                                .source_address = "10.1.1.1"};
    ours("--tcp g1 host2");
    CU_ASSERT_EQUAL(args.move.max_downtime_ms, 70);
    CU_ASSERT_EQUAL(args.move.max_rounds, 4);
    CU_ASSERT_EQUAL(args.move.channels, 5);
    CU_ASSERT_EQUAL(args.move.bandwidth, 6ull << 20);
    CU_ASSERT_EQUAL(args.move.reconnect_s, 0);
    CU_ASSERT_EQUAL(args.move.encrypt, XF_ENCRYPT_NO);
    CU_ASSERT_STRING_EQUAL(args.move.address, "10.1.1.1");
    CU_ASSERT_EQUAL(args.move.transport, XF_TRANSPORT_TCP);
    CU_ASSERT(args.move.rdma_buffer_mib == 32 && args.move.rdma_poll_us == 0);
    CU_ASSERT_EQUAL(args.move.compress, XF_COMPRESS_OFF);
    ours("--json --compress auto g1 host2");
    CU_ASSERT_EQUAL(args.move.compress, XF_COMPRESS_AUTO);
    CU_ASSERT_EQUAL(args.move.transport, XF_TRANSPORT_AUTO);
    ours("--reconnect 5 g1 host2");
    CU_ASSERT_EQUAL(args.move.reconnect_s, 5);
    ours("--rdma --rdma-buffer 7 --rdma-poll 100 --encrypt g1 host2");
    CU_ASSERT_EQUAL(args.move.transport, XF_TRANSPORT_RDMA);
    CU_ASSERT(args.move.rdma_buffer_mib == 7 && args.move.rdma_poll_us == 100);
    CU_ASSERT_EQUAL(args.move.encrypt, XF_ENCRYPT_YES);
    ours("--max-downtime 1 --max-rounds 2 --channels 3 --bandwidth 0 --migration-address 10.2.2.2 "
         "g1 host2");
    CU_ASSERT_EQUAL(args.move.max_downtime_ms, 1);
    CU_ASSERT_EQUAL(args.move.max_rounds, 2);
    CU_ASSERT_EQUAL(args.move.channels, 3);
    CU_ASSERT_EQUAL(args.move.bandwidth, 0);
    CU_ASSERT_STRING_EQUAL(args.move.address, "10.2.2.2");
    config.encrypt = 1;
    ours("--no-encrypt g1 host2");
    CU_ASSERT_EQUAL(args.move.encrypt, XF_ENCRYPT_NO);
}

static void test_transports(void)
{
    static const struct {
        const char *words;
        enum xf_transport transport;
    } list[] = {{"--rdma g1 host2", XF_TRANSPORT_RDMA},
                {"--transport rdma g1 host2", XF_TRANSPORT_RDMA},
                {"--transport=rdma --rdma g1 host2", XF_TRANSPORT_RDMA},
                {"--transport auto g1 host2", XF_TRANSPORT_AUTO},
                {"--transport tcp g1 host2", XF_TRANSPORT_TCP},
                {"--tcp --transport tcp g1 host2", XF_TRANSPORT_TCP},
                {"--rdma-poll 0 g1 host2", XF_TRANSPORT_TCP}};

    reset();
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        ours(list[i].words);
        CU_ASSERT_EQUAL(args.move.transport, list[i].transport);
        CU_ASSERT_EQUAL(args.move.encrypt, XF_ENCRYPT_USUAL);
    }
    ours("--rdma --migration-address mlx5_0 g1 host2");
    CU_ASSERT_STRING_EQUAL(args.move.address, "mlx5_0");
    ours("--migration-address eth0 g1 host2");
    CU_ASSERT_STRING_EQUAL(args.move.address, "eth0");
}

static void test_numbers(void)
{
    static const char *const wrong[] = {
        "0", "-1", "+5", "5x", "x", "0x5", "5.5", "1e1", "17", "_", "99999999999999999999999"};
    char words[100];

    reset();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(words, sizeof(words), "--channels %s g1 host2", wrong[i]);
        fails_with(words, "--channels takes a whole number from 1 to 16");
    }
    fails_with("--max-downtime 0 g1 host2", "from 1 to 600000");
    fails_with("--max-downtime 600001 g1 host2", "from 1 to 600000");
    fails_with("--max-rounds 0 g1 host2", "from 1 to 1000");
    fails_with("--max-rounds 1001 g1 host2", "from 1 to 1000");
    fails_with("--bandwidth -1 g1 host2", "from 0 to 1048576");
    fails_with("--bandwidth 1048577 g1 host2", "from 0 to 1048576");
    fails_with("--bandwidth 18446744073709551617 g1 host2", "from 0 to 1048576");
}

static void test_refusals(void)
{
    reset();
    fails_with("--rdma --tcp g1 host2", "--tcp, --rdma and --transport contradict");
    fails_with("--rdma --transport auto g1 host2", "contradict");
    fails_with("--transport rdma --tcp g1 host2", "contradict");
    fails_with("--transport udp g1 host2", "--transport takes auto, rdma or tcp, not 'udp'");
    fails_with("--encrypt --no-encrypt g1 host2", "--encrypt and --no-encrypt contradict");
    fails_with("--rdma --stock g1 host2", "--stock and --rdma contradict");
    fails_with("--rdma-buffer 0 g1 host2", "--rdma-buffer takes a whole number from 1 to 1024");
    fails_with("--rdma-buffer 1025 g1 host2", "from 1 to 1024");
    fails_with("--rdma-poll 10001 g1 host2", "from 0 to 10000");
    ours("--tcp g1 host2");
    CU_ASSERT_EQUAL(args.move.mode, XF_MODE_HYBRID); /* the default */
    config.mode = XF_MODE_PRECOPY;
    ours("--tcp g1 host2");
    CU_ASSERT_EQUAL(args.move.mode, XF_MODE_PRECOPY);
    ours("--postcopy g1 host2");
    CU_ASSERT_EQUAL(args.move.mode, XF_MODE_POSTCOPY);
    config.mode = -1;
    ours("--hybrid g1 host2");
    CU_ASSERT_EQUAL(args.move.mode, XF_MODE_HYBRID);
    ours("--postcopy-after 3 g1 host2");
    CU_ASSERT(args.move.mode == XF_MODE_HYBRID && args.move.postcopy_after == 3);
    ours("--precopy g1 host2");
    CU_ASSERT_EQUAL(args.move.mode, XF_MODE_PRECOPY);
    fails_with("--postcopy --hybrid g1 host2", "contradict");
    fails_with("--postcopy-after 2 --precopy g1 host2", "contradict");
    fails_with("--postcopy-after 0 g1 host2", "from 1 to 1000");
    fails_with("--tcp --debug g1 host2", "verify pass");
    fails_with("--tcp --stock g1 host2", "--stock and --tcp contradict");
    fails_with("--tcp g1", "one is missing");
    fails_with("--tcp", "one is missing");
    fails_with("--tcp g1 host2 host3", "nothing more");
    fails_with("--tcp _ host2", "the domain is empty");
    fails_with("--tcp g1 _", "the host is empty");
    fails_with("--tcp --nonsense g1 host2", "no option '--nonsense'");
    fails_with("--ch 2 g1 host2 --tcp", "ambiguous"); /* --channels, --check */
    fails_with("--tcp g1 host2 -C", "-C needs a value");
    fails_with("--tcp --live=1 g1 host2", "--live takes no value");
    fails_with("--migration-address fd00::zz g1 host2", "numeric IPv4 or IPv6 address");
    fails_with("--migration-address 10.0.0 g1 host2", "numeric IPv4 or IPv6 address");
    fails_with("--migration-address _ g1 host2", "numeric IPv4 or IPv6 address");
    globals.dry_run = true;
    fails_with("--tcp g1 host2", "use --check");
    reset();
    /* The first thing that is wrong is the one named; --json is still seen. */
    fails_with("--channels x --max-rounds y --json g1 host2", "--channels");
    CU_ASSERT_TRUE(args.json);
}

static void test_help(void)
{
    reset();
    CU_ASSERT_EQUAL(parse("--help"), 0);
    CU_ASSERT_TRUE(args.help);
    CU_ASSERT_EQUAL(parse("-h g1 host2"), 0);
    CU_ASSERT_TRUE(args.help);
    CU_ASSERT_FALSE(args.stock);
    CU_ASSERT_EQUAL(parse("--rdma -h"), 0);
    CU_ASSERT_TRUE(args.help);
    CU_ASSERT_FALSE(args.version);
    CU_ASSERT_EQUAL(parse("--version"), 0);
    CU_ASSERT_TRUE(args.version && !args.stock);
    CU_ASSERT_EQUAL(parse("--stock --version g1 host2"), 0);
    CU_ASSERT_TRUE(args.version && !args.stock);
}

static void test_far_words(void)
{
    static char *const argv[] = {(char *)"migrate", (char *)"--tcp", (char *)"g", (char *)"h",
                                 NULL};

    reset();
    ours("--tcp -e g1 host2");
    CU_ASSERT_STRING_EQUAL(args.move.receive_args, " -e");
    ours("--tcp -F -p g1 host2");
    CU_ASSERT_STRING_EQUAL(args.move.receive_args, " -e -p");
    CU_ASSERT_TRUE(args.move.leave_paused);
    globals = (struct xl_globals){.verbose = 3, .cr = true, .timestamps = true};
    ours("--tcp -p g1 host2");
    CU_ASSERT_STRING_EQUAL(args.move.receive_args, " -p");
    CU_ASSERT_STRING_EQUAL(args.move.xl_args, " -t -T -vvv");
    globals = (struct xl_globals){.verbose = 9};
    ours("--tcp g1 host2");
    CU_ASSERT_STRING_EQUAL(args.move.xl_args, " -vvvv");
    reset();
    CU_ASSERT_EQUAL(migrate_parse(4, argv, &globals, &config, true, &args, &err), 0);
    CU_ASSERT_STRING_EQUAL(args.move.xl_args, " -t");
}

static void test_argv_is_left_alone(void)
{
    char *argv[] = {(char *)"migrate", (char *)"g1", (char *)"--tcp", (char *)"host2", NULL};

    reset();
    CU_ASSERT_EQUAL(migrate_parse(4, argv, &globals, &config, false, &args, &err), 0);
    CU_ASSERT_STRING_EQUAL(argv[1], "g1");
    CU_ASSERT_STRING_EQUAL(argv[2], "--tcp");
    CU_ASSERT_STRING_EQUAL(argv[3], "host2");
}

static char *slurp(FILE *f)
{
    static char text[65536];
    size_t n = fread(text, 1, sizeof(text) - 1, f);

    text[n] = '\0';
    return text;
}

/* Whether the manual page has an item for the option. */
static bool documented(const char *man, const struct migrate_option *o)
{
    char item[64];

    if (o->name)
        snprintf(item, sizeof(item), " Fl -%s", o->name);
    else
        snprintf(item, sizeof(item), " Fl %c", o->letter);
    for (const char *p = man; (p = strstr(p, "\n.It Fl ")); p++) {
        const char *found = strstr(p, item), *end = strchr(p + 1, '\n');
        size_t n = strlen(item);
        if (found && end && found < end && strchr(" \n", found[n]))
            return true;
    }
    return false;
}

static void test_help_and_manual_agree(void)
{
    FILE *f = fopen("docs/xl-migrate.1", "r"), *tmp = tmpfile();
    unsigned rows = 0, items = 0;
    FILE *tmp2 = tmpfile();
    char *text;

    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tmp);
    text = slurp(f);
    fclose(f);
    for (const struct migrate_option *o = migrate_options; o->name || o->letter; o++, rows++) {
        bool there = documented(text, o);
        if (!there)
            printf("\n  docs/xl-migrate.1 lacks %s\n", o->name ? o->name : o->help);
        CU_ASSERT_TRUE(there);
    }
    for (const struct migrate_option *o = recover_options; o->name; o++, rows++)
        CU_ASSERT_TRUE(documented(text, o));
    /* ... and none besides those of the tables. */
    for (const char *p = text; (p = strstr(p, "\n.It Fl ")); p++)
        items++;
    CU_ASSERT_EQUAL(items, rows);

    migrate_help(tmp);
    rewind(tmp);
    text = slurp(tmp);
    fclose(tmp);
    for (const struct migrate_option *o = migrate_options; o->name || o->letter; o++) {
        char item[64];
        snprintf(item, sizeof(item), o->name ? "--%s" : "-%s",
                 o->name ? o->name : (char[]){(char)o->letter, 0});
        CU_ASSERT_PTR_NOT_NULL(strstr(text, item));
    }
    for (char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
        CU_ASSERT_TRUE(strcspn(p, "\n") <= 80);

    recover_help(tmp2);
    rewind(tmp2);
    text = slurp(tmp2);
    fclose(tmp2);
    for (const struct migrate_option *o = recover_options; o->name; o++) {
        char item[64];
        snprintf(item, sizeof(item), "--%s", o->name);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, item));
    }
    for (char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
        CU_ASSERT_TRUE(strcspn(p, "\n") <= 80);
}

/* They come before the options, and show what people do. */
static void test_examples(void)
{
    static const char *const shown[] = {
        "migrate --tcp ",    "migrate --check ", "migrate --rdma ", "migrate --hybrid ",
        "migrate-postcopy ", "migrate-status\n", "migrate-recover "};
    FILE *f = fopen("docs/xl-migrate.1", "r");
    char *text, *begin, *end;

    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    text = slurp(f);
    fclose(f);
    begin = strstr(text, "\n.Ss Examples\n");
    end = strstr(text, "\n.Ss Options of stock xl\n");
    CU_ASSERT_FATAL(begin && end && begin < end);
    *end = 0;
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        char line[60];

        snprintf(line, sizeof(line), "\n.Dl # xl %s", shown[i]);
        CU_ASSERT_PTR_NOT_NULL(strstr(begin, line));
    }
}

static int recover(const char *words, struct recover_args *out)
{
    static struct words w;
    int rc;

    xf_clear(&err);
    split_words(&w, "migrate-recover", words);
    rc = recover_parse(w.argc, w.argv, out, &err);
    CU_ASSERT_EQUAL(rc != 0, err.num != 0);
    if (rc)
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--help"));
    return rc;
}

static void test_recover(void)
{
    static const char *const bad[] = {"",
                                      "_",
                                      "a b c",
                                      "--resume",
                                      "--resume a b",
                                      "--force a",
                                      "--nonsense a",
                                      "-x a",
                                      "--resume --json a",
                                      "--resume --quiet a",
                                      "--as-of-switch",
                                      "--as-of-switch a b",
                                      "--as-of-switch --json a",
                                      "--as-of-switch --quiet --force a",
                                      "--as-of-switch --resume a",
                                      "--json=1 a"};
    struct recover_args r;

    CU_ASSERT_EQUAL(recover("web1", &r), 0);
    CU_ASSERT(!r.help && !r.resume && !r.force && !r.json && !r.quiet && !r.host);
    CU_ASSERT_STRING_EQUAL(r.domain, "web1");
    CU_ASSERT_EQUAL(recover("--json web1 host2 --quiet", &r), 0);
    CU_ASSERT(r.json && r.quiet && !r.resume);
    CU_ASSERT_STRING_EQUAL(r.domain, "web1");
    CU_ASSERT_STRING_EQUAL(r.host, "host2");
    CU_ASSERT_EQUAL(recover("web1 --resume", &r), 0);
    CU_ASSERT(r.resume && !r.force);
    CU_ASSERT_EQUAL(recover("--resume --force web1", &r), 0);
    CU_ASSERT(r.resume && r.force && !r.as_of_switch);
    CU_ASSERT_EQUAL(recover("web1 --as-of-switch --force", &r), 0);
    CU_ASSERT(r.as_of_switch && r.force && !r.resume);
    CU_ASSERT_EQUAL(recover("-h --nonsense", &r), 0);
    CU_ASSERT(r.help);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_EQUAL(recover(bad[i], &r), -1);
    CU_ASSERT_EQUAL(recover("--json a b c", &r), -1);
    CU_ASSERT_TRUE(r.json);
}

static void receive(const char *words, struct receive_args *out)
{
    struct words w;

    split_words(&w, "migrate-receive", words);
    receive_parse(w.argc, w.argv, out);
}

static void test_receive(void)
{
    static const char *const stock[] = {
        "-r",     "--colo", "--coloft-script x", "--userspace-colo-proxy", "-z", "word", "-h",
        "--help", "-e -r"};
    struct receive_args r;

    for (size_t i = 0; i < sizeof(stock) / sizeof(stock[0]); i++) {
        receive(stock[i], &r);
        CU_ASSERT_TRUE(r.stock);
    }
    receive("", &r);
    CU_ASSERT_FALSE(r.stock);
    CU_ASSERT_FALSE(r.leave_paused);
    CU_ASSERT_STRING_EQUAL(r.xl_args, "");
    receive("-e -d -p", &r);
    CU_ASSERT_FALSE(r.stock);
    CU_ASSERT_TRUE(r.leave_paused);
    CU_ASSERT_STRING_EQUAL(r.xl_args, "-e -d");
    receive("-Fp", &r);
    CU_ASSERT_TRUE(r.leave_paused);
    CU_ASSERT_STRING_EQUAL(r.xl_args, "-F");
}

static void test_globals(void)
{
    struct front f;
    char *argv[] = {(char *)"xl",      (char *)"-vv", (char *)"-t", (char *)"-TN",
                    (char *)"migrate", (char *)"-f",  NULL};
    char *unknown[] = {(char *)"xl", (char *)"--help", NULL};
    char *none[] = {(char *)"xl", (char *)"-v", NULL};

    CU_ASSERT_EQUAL(front_parse(6, argv, &f), 0);
    CU_ASSERT_EQUAL(f.cmd, 4);
    CU_ASSERT_EQUAL(f.globals.verbose, 2);
    CU_ASSERT_TRUE(f.globals.cr);
    CU_ASSERT_TRUE(f.globals.timestamps);
    CU_ASSERT_TRUE(f.globals.dry_run);
    CU_ASSERT_FALSE(f.globals.force); /* behind the sub-command */
    CU_ASSERT_EQUAL(front_parse(2, unknown, &f), -1);
    CU_ASSERT_EQUAL(front_parse(2, none, &f), 0);
    CU_ASSERT_EQUAL(f.cmd, 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"stock when nothing is ours", test_stock_when_nothing_is_ours},
        {"each of ours asks for ours", test_each_of_ours_asks_for_ours},
        {"the configuration asks for ours", test_config_asks_for_ours},
        {"defaults", test_defaults},
        {"values", test_values},
        {"waiting for a slot", test_queue},
        {"configuration and precedence", test_config_and_precedence},
        {"transports", test_transports},
        {"numbers", test_numbers},
        {"refusals", test_refusals},
        {"help", test_help},
        {"words for the far side", test_far_words},
        {"argv is left alone", test_argv_is_left_alone},
        {"table, help and manual agree", test_help_and_manual_agree},
        {"the manual's examples", test_examples},
        {"migrate-recover", test_recover},
        {"migrate-receive", test_receive},
        {"options before the sub-command", test_globals},
        CU_TEST_INFO_NULL,
    };
    return run_suite("options", tests);
}
