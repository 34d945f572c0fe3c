/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of `xl migrate`, and its --help: see options_table.h, options.h. */
#include "tools/options_table.h"

#include <string.h>

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

int option_row(int val)
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

void options_getopt(struct option longs[OPTIONS + 1], char shorts[2 * OPTIONS + 2])
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
