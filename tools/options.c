/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of `xl migrate`.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/disk_option.h"
#include "tools/options_table.h"
#include "tools/pci_option.h"

/* xl's default level is XTL_PROGRESS, four steps above silence: more -v have no effect. */
#define VERBOSE_MAX 4

static const char pointer[] = "(xl migrate --help lists the options)";

static int parse_number(const char *option, const char *text, unsigned min, unsigned max,
                        unsigned *out, struct xf_err *err)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    /* strtoull would accept " 5", "+5" and "-5". */
    if (!isdigit((unsigned char)text[0]) || *end || errno || value < min || value > max)
        return xf_fail(err, EINVAL, "--%s takes a whole number from %u to %u, not '%.40s' %s",
                       option, min, max, text, pointer);
    *out = (unsigned)value;
    return 0;
}

static int take_transport(const char *value, enum xf_transport *out, struct xf_err *err)
{
    static const char *const words[] = {
        [XF_TRANSPORT_TCP] = "tcp", [XF_TRANSPORT_RDMA] = "rdma", [XF_TRANSPORT_AUTO] = "auto"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(value, words[i]))
            continue;
        *out = (enum xf_transport)i;
        return 0;
    }
    return xf_fail(err, EINVAL, "--transport takes auto, rdma or tcp, not '%.40s' %s", value,
                   pointer);
}

static int take_compress(const char *value, enum xf_compress *out, struct xf_err *err)
{
    static const char *const words[] = {[XF_COMPRESS_AUTO] = "auto",
                                        [XF_COMPRESS_OFF] = "off",
                                        [XF_COMPRESS_LZ4] = "lz4",
                                        [XF_COMPRESS_ZSTD] = "zstd"};

    for (int i = 0; i < 4; i++) {
        if (strcmp(value, words[i]))
            continue;
        *out = (enum xf_compress)i;
        return 0;
    }
    return xf_fail(err, EINVAL, "--compress takes auto, off, lz4 or zstd, not '%.40s' %s", value,
                   pointer);
}

/* Handles all options except those that only set a mark; i is the row. */
static int take_value(int i, const char *value, struct migrate_args *out, struct xf_err *err)
{
    const char *name = migrate_options[i].name;
    unsigned mib = 0, seconds;

    switch (i) {
    case O_CONFIG:
        out->move.config_file = value;
        return 0;
    case O_SSH:
        out->move.ssh_command = value;
        return 0;
    case O_DOWNTIME:
        return parse_number(name, value, 1, 600000, &out->move.max_downtime_ms, err);
    case O_ROUNDS:
        return parse_number(name, value, 1, 1000, &out->move.max_rounds, err);
    case O_RECONNECT:
        return parse_number(name, value, 0, XF_RECONNECT_MAX_S, &out->move.reconnect_s, err);
    case O_NO_QUEUE:
        out->move.wait_s = 0;
        return 0;
    case O_WAIT:
        if (parse_number(name, value, 0, INT32_MAX, &seconds, err))
            return -1;
        out->move.wait_s = (int)seconds;
        return 0;
    case O_CHANNELS:
        return parse_number(name, value, 1, XF_CHANNELS_MAX, &out->move.channels, err);
    case O_BANDWIDTH:
        if (parse_number(name, value, 0, 1u << 20, &mib, err))
            return -1;
        out->move.bandwidth = (uint64_t)mib << 20;
        return 0;
    case O_ADDRESS:
        out->move.address = value;
        if (xf_is_address_or_device(value))
            return 0;
        return xf_fail(err, EINVAL,
                       "--%s takes a numeric IPv4 or IPv6 address, a network interface or an RDMA "
                       "device of this machine, not '%.60s' %s",
                       name, value, pointer);
    case O_TRANSPORT:
        return take_transport(value, &out->move.transport, err);
    case O_COMPRESS:
        return take_compress(value, &out->move.compress, err);
    case O_RDMA_BUFFER:
        return parse_number(name, value, 1, XF_RDMA_BUFFER_MIB_MAX, &out->move.rdma_buffer_mib,
                            err);
    case O_RDMA_POLL:
        return parse_number(name, value, 0, 10000, &out->move.rdma_poll_us, err);
    case O_DETACH_PCI:
        return pci_option_take(value, &out->move, err);
    case O_WITH_DISKS:
        return disk_option_with(value, &out->move, err);
    case O_DISK:
        return disk_option_one(value, &out->move, err);
    case O_DISK_BANDWIDTH:
        if (parse_number(name, value, 0, 1u << 20, &mib, err))
            return -1;
        out->move.disk_bandwidth = (uint64_t)mib << 20;
        return 0;
    case O_REPORT:
        out->report = value;
        return 0;
    case O_POSTCOPY:
        out->move.mode = XF_MODE_POSTCOPY;
        return 0;
    case O_HYBRID:
        out->move.mode = XF_MODE_HYBRID;
        return 0;
    case O_PRECOPY:
        out->move.mode = XF_MODE_PRECOPY;
        return 0;
    case O_POSTCOPY_AFTER:
        out->move.mode = XF_MODE_HYBRID;
        return parse_number(name, value, 1, 1000, &out->move.postcopy_after, err);
    }
    return 0;
}

/* The error for what getopt_long refused, by its return value and optopt; `word` is the argument in
 * question. */
static int usage_error(int opt, const char *word, struct xf_err *err)
{
    int row = optopt ? option_row(optopt) : -1;
    char name[40];

    if (row < 0 && optopt)
        return xf_fail(err, EINVAL, "there is no option -%c %s", optopt, pointer);
    if (row < 0)
        return xf_fail(err, EINVAL, "there is no option '%.60s', or it is ambiguous %s", word,
                       pointer);
    if (migrate_options[row].name)
        snprintf(name, sizeof(name), "--%s", migrate_options[row].name);
    else
        snprintf(name, sizeof(name), "-%c", migrate_options[row].letter);
    if (opt == ':')
        return xf_fail(err, EINVAL, "%s needs a value: %s %s", name, migrate_options[row].arg,
                       pointer);
    return xf_fail(err, EINVAL, "%s takes no value %s", name, pointer);
}

/* The arguments that stock xl adds to the command it runs at the destination. */
static void far_words(const struct xl_globals *g, bool leave, bool stderr_tty,
                      struct migrate_args *out)
{
    int v = g->verbose < VERBOSE_MAX ? g->verbose : VERBOSE_MAX;

    snprintf(out->xl_args, sizeof(out->xl_args), "%s%s%s%.*s", g->cr || stderr_tty ? " -t" : "",
             g->timestamps ? " -T" : "", v ? " -" : "", v, "vvvv");
    snprintf(out->receive_args, sizeof(out->receive_args), "%s%s", leave ? " -e" : "",
             out->move.leave_paused ? " -p" : "");
    out->move.xl_args = out->xl_args[0] ? out->xl_args : NULL;
    out->move.receive_args = out->receive_args[0] ? out->receive_args : NULL;
}

static void apply_config(const struct xf_config *cfg, struct xf_move_opts *o)
{
    if (cfg->max_downtime_ms)
        o->max_downtime_ms = cfg->max_downtime_ms;
    if (cfg->max_rounds)
        o->max_rounds = cfg->max_rounds;
    if (cfg->channels)
        o->channels = cfg->channels;
    if (cfg->bandwidth_mib)
        o->bandwidth = (uint64_t)cfg->bandwidth_mib << 20;
    o->moves = cfg->limit_moves;
    o->host_bandwidth = cfg->limit_bandwidth;
    if (cfg->encrypt >= 0)
        o->encrypt = cfg->encrypt ? XF_ENCRYPT_YES : XF_ENCRYPT_NO;
    o->transport = cfg->transport;
    o->compress = cfg->compress;
    if (cfg->mode >= 0)
        o->mode = (enum xf_mode)cfg->mode;
    o->rdma_buffer_mib = cfg->rdma_buffer_mib;
    if (cfg->rdma_poll_us >= 0)
        o->rdma_poll_us = (unsigned)cfg->rdma_poll_us;
    if (cfg->reconnect_s >= 0)
        o->reconnect_s = (unsigned)cfg->reconnect_s;
    if (cfg->source_address[0])
        o->address = cfg->source_address;
}

/* Check for options that make sense alone but not together. */
static int check_whole(int words, const struct xl_globals *g, bool debug, struct migrate_args *out,
                       struct xf_err *err)
{
    if (debug)
        return xf_fail(err, EINVAL,
                       "--debug asks for the verify pass, which belongs to the stock stream: leave "
                       "it out, or use --stock without our options %s",
                       pointer);
    if (g->dry_run)
        return xf_fail(err, EINVAL, "xl -N has no meaning for migrate: use --check %s", pointer);
    if (words != 2)
        return xf_fail(err, EINVAL, "migrate takes a domain and a host, %s %s",
                       words < 2 ? "and one is missing" : "and nothing more", pointer);
    if (!out->move.domain[0] || !out->move.host[0])
        return xf_fail(err, EINVAL, "the %s is empty: name it %s",
                       out->move.domain[0] ? "host" : "domain", pointer);
    return 0;
}

/* A cold move copies nothing ahead, and leaves nothing for later. */
static void take_cold(const bool seen[OPTIONS], struct migrate_args *out, struct xf_err *err)
{
    static const int others[] = {O_POSTCOPY, O_HYBRID, O_PRECOPY, O_POSTCOPY_AFTER, O_LATE_DEVICES};

    out->move.cold = seen[O_COLD];
    for (size_t i = 0; seen[O_COLD] && i < sizeof(others) / sizeof(others[0]); i++)
        if (seen[others[i]])
            xf_fail(err, EINVAL, "--cold and --%s contradict each other: leave one out %s",
                    migrate_options[others[i]].name, pointer);
}

/* Options that say how disks move need some that do. */
static void take_disks(const bool seen[OPTIONS], struct migrate_args *out, struct xf_err *err)
{
    static const int others[] = {O_DISK_BANDWIDTH, O_THROTTLE_DISKS, O_NO_VERIFY_DISKS,
                                 O_DELETE_SOURCE};
    bool any = seen[O_WITH_DISKS] || seen[O_DISK];

    out->move.throttle_disks = seen[O_THROTTLE_DISKS];
    out->move.no_verify_disks = seen[O_NO_VERIFY_DISKS];
    out->move.delete_source = seen[O_DELETE_SOURCE];
    for (size_t i = 0; !any && i < sizeof(others) / sizeof(others[0]); i++)
        if (seen[others[i]])
            xf_fail(err, EINVAL, "--%s says how disks move: add --with-disks %s",
                    migrate_options[others[i]].name, pointer);
    if (any && seen[O_COLD])
        xf_fail(err, EINVAL,
                "--cold and --%s contradict each other: a cold move has no disks; leave one out %s",
                migrate_options[seen[O_WITH_DISKS] ? O_WITH_DISKS : O_DISK].name, pointer);
}

/* Options without a value that say how memory travels. */
static void take_marks(const bool seen[OPTIONS], struct migrate_args *out, struct xf_err *err)
{
    enum xf_transport *t = &out->move.transport;

    if ((seen[O_TCP] && seen[O_RDMA]) ||
        (seen[O_TRANSPORT] && seen[O_TCP] && *t != XF_TRANSPORT_TCP) ||
        (seen[O_TRANSPORT] && seen[O_RDMA] && *t != XF_TRANSPORT_RDMA))
        xf_fail(err, EINVAL, "--tcp, --rdma and --transport contradict each other: give one %s",
                pointer);
    if (seen[O_NO_QUEUE] && seen[O_WAIT])
        xf_fail(err, EINVAL, "--no-queue and --wait contradict each other: leave one out %s",
                pointer);
    if (seen[O_ENCRYPT] && seen[O_NO_ENCRYPT])
        xf_fail(err, EINVAL, "--encrypt and --no-encrypt contradict each other: leave one out %s",
                pointer);
    if (seen[O_TCP])
        *t = XF_TRANSPORT_TCP;
    if (seen[O_RDMA])
        *t = XF_TRANSPORT_RDMA;
    if (seen[O_ENCRYPT])
        out->move.encrypt = XF_ENCRYPT_YES;
    if (seen[O_NO_ENCRYPT])
        out->move.encrypt = XF_ENCRYPT_NO;
}

int migrate_parse(int argc, char *const argv[], const struct xl_globals *g,
                  const struct xf_config *cfg, bool stderr_tty, struct migrate_args *out,
                  struct xf_err *err)
{
    struct option longs[OPTIONS + 1];
    char shorts[2 * OPTIONS + 2];
    bool seen[OPTIONS] = {false};
    const char *ours = NULL; /* name of the first option that selects Xenferry */
    struct xf_err first = {0};
    int opt, rc = 0;

    memset(out, 0, sizeof(*out));
    xf_move_opts_init(&out->move);
    apply_config(cfg, &out->move);
    options_getopt(longs, shorts);

    /* getopt reorders arguments; the real xl must get argv unchanged. */
    char **words = calloc((size_t)argc + 1, sizeof(*words));
    if (!words)
        return xf_fail(err, ENOMEM, "out of memory");
    memcpy(words, argv, (size_t)argc * sizeof(*words));

    /* Continue after an error: only the whole line shows whether the error is ours to report. */
    opterr = 0;
    optind = 0;
    while ((opt = getopt_long(argc, words, shorts, longs, NULL)) != -1) {
        if (opt == '?' || opt == ':') {
            int row = optopt ? option_row(optopt) : -1;
            if (row >= 0 && migrate_options[row].ours && !ours)
                ours = migrate_options[row].name;
            usage_error(opt, words[optind - 1], &first);
            continue;
        }
        int row = option_row(opt);
        seen[row] = true;
        if (migrate_options[row].ours && !ours)
            ours = migrate_options[row].name;
        if (row == O_STOCK)
            out->stock_word = words[optind - 1];
        take_value(row, optarg, out, &first);
    }
    if (seen[O_POSTCOPY] + (seen[O_HYBRID] || seen[O_POSTCOPY_AFTER]) + seen[O_PRECOPY] > 1)
        xf_fail(&first, EINVAL,
                "--precopy, --hybrid and --postcopy contradict each other: choose one %s", pointer);
    out->help = seen[O_HELP];
    out->version = seen[O_VERSION];
    out->json = seen[O_JSON];
    out->quiet = seen[O_QUIET];
    out->no_wait = seen[O_NO_WAIT];
    out->move.check_only = seen[O_CHECK];
    out->move.leave_paused = seen[O_PAUSED];
    out->move.late_devices = seen[O_LATE_DEVICES];
    out->move.preserve_domid = seen[O_DOMID];
    out->move.or_stock = !ours;
    if (seen[O_REPORT] && seen[O_CHECK])
        xf_fail(&first, EINVAL,
                "--report and --check contradict each other: a check moves nothing that could be "
                "reported; leave one out %s",
                pointer);
    take_marks(seen, out, &first);
    take_cold(seen, out, &first);
    take_disks(seen, out, &first);
    out->move.domain = optind < argc ? words[optind] : "";
    out->move.host = optind + 1 < argc ? words[optind + 1] : "";
    far_words(g, seen[O_EXIT] || seen[O_FOREGROUND], stderr_tty, out);

    if (out->help || out->version)
        ; /* nothing else matters */
    else if (seen[O_STOCK] && ours)
        rc = xf_fail(err, EINVAL, "--stock and --%s contradict each other: leave one out %s", ours,
                     pointer);
    else if (seen[O_STOCK] || (!ours && !cfg->ours))
        out->stock = true;
    else if (first.num)
        rc = xf_fail(err, first.num, "%s", first.text);
    else
        rc = check_whole(argc - optind, g, seen[O_DEBUG], out, err);
    free(words);
    return rc;
}
