/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of `xl migrate`.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/disk_option.h"
#include "tools/options.h"
#include "tools/pci_option.h"

/* xl's default level is XTL_PROGRESS, four steps above silence: more -v have no effect. */
#define VERBOSE_MAX 4

/* Indices into the table below. */
enum {
    O_HELP,
    O_CONFIG,
    O_SSH,
    O_EXIT,
    O_FOREGROUND,
    O_PAUSED,
    O_DOMID,
    O_DEBUG,
    O_LIVE,
    O_TCP,
    O_RDMA,
    O_TRANSPORT,
    O_DOWNTIME,
    O_ROUNDS,
    O_BANDWIDTH,
    O_CHANNELS,
    O_COMPRESS,
    O_ENCRYPT,
    O_NO_ENCRYPT,
    O_ADDRESS,
    O_RDMA_BUFFER,
    O_RDMA_POLL,
    O_CHECK,
    O_JSON,
    O_QUIET,
    O_STOCK,
    O_POSTCOPY,
    O_HYBRID,
    O_PRECOPY,
    O_POSTCOPY_AFTER,
    O_NO_WAIT,
    O_NO_QUEUE,
    O_WAIT,
    O_RECONNECT,
    O_LATE_DEVICES,
    O_COLD,
    O_DETACH_PCI,
    O_REPORT,
    O_WITH_DISKS,
    O_DISK,
    O_DISK_BANDWIDTH,
    O_THROTTLE_DISKS,
    O_NO_VERIFY_DISKS,
    O_DELETE_SOURCE,
    O_VERSION,
    OPTIONS
};

/* Our own options are long only, so that they never collide with a letter of a later stock xl. */
const struct migrate_option migrate_options[OPTIONS + 1] = {
    [O_HELP] = {"help", 'h', NULL, false, "Print this help."},
    [O_CONFIG] = {NULL, 'C', "CONFIG", false, "Send CONFIG instead of the running configuration."},
    [O_SSH] = {NULL, 's', "COMMAND", false,
               "Use COMMAND, run by sh, instead of ssh. If it is empty,\n"
               "HOST itself is the command that runs migrate-receive."},
    [O_EXIT] = {NULL, 'e', NULL, false,
                "Do not wait at HOST in the background for the domain's death."},
    [O_FOREGROUND] = {NULL, 'F', NULL, false, "As -e."},
    [O_PAUSED] = {NULL, 'p', NULL, false, "Leave the domain paused at HOST."},
    [O_DOMID] = {NULL, 'D', NULL, false, "Preserve the domain's number."},
    [O_DEBUG] = {"debug", 0, NULL, false,
                 "Stock migration only: send and verify everything again."},
    [O_LIVE] = {"live", 0, NULL, false, "Ignored, as in stock xl: a migration is always live."},
    [O_TCP] = {"tcp", 0, NULL, true, "Move memory over our own TCP connections (default)."},
    [O_RDMA] = {"rdma", 0, NULL, true, "Move memory over RDMA (InfiniBand, RoCE), or not at all."},
    [O_TRANSPORT] = {"transport", 0, "HOW", true,
                     "tcp: as --tcp. rdma: as --rdma. auto: over RDMA if both\n"
                     "hosts can, else TCP; also TCP if RDMA is lost on the way."},
    [O_DOWNTIME] = {"max-downtime", 0, "MS", true,
                    "Stop the guest when the rest should take at most MS\n"
                    "milliseconds (default 300)."},
    [O_ROUNDS] = {"max-rounds", 0, "N", true, "Copy memory at most N times over (default 10)."},
    [O_BANDWIDTH] = {"bandwidth", 0, "MIB", true,
                     "Send at most MIB MiB of guest memory per second while the\n"
                     "guest runs here; 0: no limit (default)."},
    [O_CHANNELS] = {"channels", 0, "N", true, "Bulk connections, 1 to 16 (default 2)."},
    [O_COMPRESS] = {"compress", 0, "HOW", true,
                    "auto: compress memory where that is faster (default).\n"
                    "off: never. lz4, zstd: always."},
    [O_ENCRYPT] = {"encrypt", 0, NULL, true,
                   "Encrypt guest memory on the way. TCP does it by default,\n"
                   "RDMA does not."},
    [O_NO_ENCRYPT] = {"no-encrypt", 0, NULL, true,
                      "Do not encrypt guest memory on the way. The peers still prove\n"
                      "to each other that they know the move's key."},
    [O_ADDRESS] = {"migration-address", 0, "ADDR", true,
                   "Send memory from this local address, network interface or\n"
                   "RDMA device."},
    [O_RDMA_BUFFER] = {"rdma-buffer", 0, "MIB", true,
                       "Registered memory of each bulk connection, on each side, 1 to\n"
                       "1024 (default: chosen from what is free)."},
    [O_RDMA_POLL] = {"rdma-poll", 0, "US", true,
                     "Poll the RDMA device for US microseconds before sleeping, 0 to\n"
                     "10000 (default 20)."},
    [O_CHECK] = {"check", 0, NULL, true,
                 "Only say whether it is possible, and what it would take."},
    [O_JSON] = {"json", 0, NULL, true, "Report on standard output, one JSON object per line."},
    [O_QUIET] = {"quiet", 0, NULL, true, "Print errors only (with --json: only the final report)."},
    [O_STOCK] = {"stock", 0, NULL, false, "Use stock xl whatever the configuration says."},
    [O_POSTCOPY] = {"postcopy", 0, NULL, true,
                    "Switch at once: memory follows when the guest runs there.\n"
                    "The destination's Xen needs memory paging."},
    [O_HYBRID] = {"hybrid", 0, NULL, true,
                  "Copy as long as it pays, then switch; the rest follows\n"
                  "(default). Without memory paging there it is --precopy."},
    [O_PRECOPY] = {"precopy", 0, NULL, true, "All memory before the switch."},
    [O_POSTCOPY_AFTER] = {"postcopy-after", 0, "N", true,
                          "--hybrid, with at most N rounds before the switch."},
    [O_NO_WAIT] = {"no-wait", 0, NULL, true,
                   "Return when the domain runs at HOST; memory that follows is\n"
                   "sent in the background (see xl migrate-status)."},
    [O_NO_QUEUE] = {"no-queue", 0, NULL, true,
                    "If this host or HOST takes part in as many moves as its limit\n"
                    "allows, do not wait for one to end: refuse."},
    [O_WAIT] = {"wait", 0, "S", true,
                "Wait for that at most S seconds, then refuse (default: as long\n"
                "as it takes)."},
    [O_RECONNECT] = {"reconnect", 0, "S", true,
                     "If the link is lost while memory is copied, try to connect\n"
                     "again for S seconds (default 60); 0: give up at once."},
    [O_LATE_DEVICES] = {"late-devices", 0, NULL, true,
                        "Attach the devices at HOST when the domain is suspended, as\n"
                        "stock xl does, not ahead. Costs seconds of downtime."},
    [O_COLD] = {"cold", 0, NULL, true,
                "Move the domain while it stands still, by stock xl's stream:\n"
                "for guests that cannot be copied while they run."},
    [O_DETACH_PCI] = {"detach-pci", 0, "[=MAP]", true,
                      "Detach the domain's PCI devices, and attach those of the same\n"
                      "address at HOST when it runs there. MAP is HERE=THERE or\n"
                      "HERE=none for one device (may be repeated), or none: no others\n"
                      "are attached there."},
    [O_REPORT] = {"report", 0, "FILE", true,
                  "When the move has ended, write a page about it to FILE (HTML)."},
    [O_WITH_DISKS] = {"with-disks", 0, "[=VDEV,...]", true,
                      "Its disks move with it, or only those named: to new images in\n"
                      "the first store that HOST allows."},
    [O_DISK] = {"disk", 0, "VDEV=TARGET", true,
                "Disk VDEV moves, to TARGET at HOST: /DIR/FILE, /DIR/ or\n"
                "vg:GROUP. May be repeated."},
    [O_DISK_BANDWIDTH] = {"disk-bandwidth", 0, "MIB", true,
                          "Copy at most MIB MiB of disks per second; 0: no limit\n"
                          "(default)."},
    [O_THROTTLE_DISKS] = {"throttle-disks", 0, NULL, true,
                          "If the domain writes faster than its disks are copied, slow\n"
                          "its writes; without it the move waits."},
    [O_NO_VERIFY_DISKS] = {"no-verify-disks", 0, NULL, true,
                           "Do not compare the copies of its disks with the originals."},
    [O_DELETE_SOURCE] = {"delete-source", 0, NULL, true,
                         "Remove the images here at the end; without it they are renamed\n"
                         "to NAME.moved-TIME."},
    [O_VERSION] = {"version", 0, NULL, true, "Print the version of Xenferry, and for which Xen."},
};

/* getopt_long's return value for the table's row i where it has no letter. */
#define LONG_BASE 256

static int row_of(int val)
{
    if (val >= LONG_BASE)
        return val - LONG_BASE;
    for (int i = 0; i < OPTIONS; i++)
        if (migrate_options[i].letter == val)
            return i;
    return -1;
}

static int has_arg(const struct migrate_option *o)
{
    if (!o->arg)
        return no_argument;
    return o->arg[0] == '[' ? optional_argument : required_argument;
}

static void build_getopt(struct option longs[OPTIONS + 1], char shorts[2 * OPTIONS + 2])
{
    size_t nl = 0, ns = 0;

    memset(longs, 0, (OPTIONS + 1) * sizeof(*longs));
    shorts[ns++] = ':'; /* distinguishes a missing value from an unknown option */
    for (int i = 0; i < OPTIONS; i++) {
        const struct migrate_option *o = &migrate_options[i];
        if (o->name)
            longs[nl++] =
                (struct option){o->name, has_arg(o), NULL, o->letter ? o->letter : LONG_BASE + i};
        if (o->letter) {
            shorts[ns++] = (char)o->letter;
            if (o->arg)
                shorts[ns++] = ':';
        }
    }
    shorts[ns] = '\0';
}

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
    int row = optopt ? row_of(optopt) : -1;
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
    build_getopt(longs, shorts);

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
            int row = optopt ? row_of(optopt) : -1;
            if (row >= 0 && migrate_options[row].ours && !ours)
                ours = migrate_options[row].name;
            usage_error(opt, words[optind - 1], &first);
            continue;
        }
        int row = row_of(opt);
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

static void help_row(FILE *out, const struct migrate_option *o)
{
    char left[48];
    int n = 0;

    if (o->letter)
        n += snprintf(left, sizeof(left), "-%c%s", o->letter, o->name ? ", " : "");
    if (o->name)
        n += snprintf(left + n, sizeof(left) - (size_t)n, "--%s", o->name);
    if (o->arg)
        snprintf(left + n, sizeof(left) - (size_t)n, "%s%s", o->arg[0] == '[' ? "" : " ", o->arg);
    /* A long name gets its own line. */
    if (strlen(left) > 15)
        fprintf(out, "  %s\n  %-15s ", left, "");
    else
        fprintf(out, "  %-15s ", left);
    for (const char *line = o->help; *line;) {
        int len = (int)strcspn(line, "\n");
        fprintf(out, "%.*s\n", len, line);
        line += len;
        if (*line++ != '\n')
            break;
        fprintf(out, "  %-15s ", "");
    }
}

void options_help(FILE *out, const struct migrate_option *first, const struct migrate_option *last)
{
    for (; first <= last; first++)
        help_row(out, first);
}

void migrate_help(FILE *out)
{
    fputs("Usage: xl [-vtT] migrate [options] DOMAIN HOST\n\n"
          "Move a running domain to another host.\n\n"
          "Options of stock xl:\n\n",
          out);
    options_help(out, migrate_options, &migrate_options[O_TCP - 1]);
    fputs("\nOptions of Xenferry (any of them makes the move ours; so does\n"
          "a transport in <migrate> of " XF_CONFIG_PATH "):\n\n",
          out);
    options_help(out, &migrate_options[O_TCP], &migrate_options[OPTIONS - 1]);
    fputs("\nExit status:\n\n"
          "  0  The domain runs at HOST (with --check: nothing prevents it;\n"
          "     with --no-wait: some of its memory may still be on its way).\n"
          "  1  Refused: nothing was touched.\n"
          "  3  It never stopped and runs on here.\n"
          "  4  It had stopped, was resumed and runs on here.\n"
          "  5  It is suspended here and may run at HOST; the message says what to do.\n"
          "  6  It is suspended here and could not be resumed.\n"
          "  7  It runs at HOST and lacks pages that are only here: xl migrate-recover.\n"
          "  9  It runs at HOST, without a PCI device of --detach-pci.\n"
          "\nSee xl-migrate(1).\n",
          out);
}
