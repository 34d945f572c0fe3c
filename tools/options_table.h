/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of `xl migrate`'s options, for those who read its command line. */
#ifndef XF_OPTIONS_TABLE_H
#define XF_OPTIONS_TABLE_H

#include <getopt.h>

#include "tools/options.h"

/* Rows of migrate_options. */
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

/* The row of what getopt_long returned, or left in optopt; -1: none. */
int option_row(int val);
/* The table as getopt_long takes it. */
void options_getopt(struct option longs[OPTIONS + 1], char shorts[2 * OPTIONS + 2]);

#endif
