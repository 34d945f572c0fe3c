/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration file, /etc/xen/xenferry.xml (man page xenferry.xml(5), schema
 * docs/xenferry.rng, which is also inside the binary). Holds only what the file says: a move's
 * defaults are set by xf_move_opts_init().
 */
#ifndef XF_CONFIG_H
#define XF_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disks/place.h"
#include "libxl-ext/libxl_ext.h"
#include "transport/err.h"
#include "transport/transport.h"

#define XF_CONFIG_PATH "/etc/xen/xenferry.xml"
#define XF_CONFIG_ENV "XENFERRY_CONFIG" /* another path, for tests */
#define XF_CONFIG_MAX 65536u            /* largest file, bytes */
#define XF_CONFIG_ADDRESSES 8

/* A member not set by the file is 0, empty or -1. */
struct xf_config {
    bool ours; /* plain `xl migrate` uses Xenferry, over `transport` */
    enum xf_transport transport;
    unsigned max_downtime_ms; /* 0: not given */
    unsigned max_rounds;      /* 0: not given */
    unsigned channels;        /* 0: not given */
    unsigned bandwidth_mib;   /* MiB per second; 0: no limit */
    unsigned limit_moves;     /* of the host, at a time; 0: not given */
    uint64_t limit_bandwidth; /* of all its outgoing moves, bytes per second; 0: no limit */
    int encrypt;              /* 1, 0; -1: not given */
    int mode;                 /* enum xf_mode; -1: not given */
    int reconnect_s;          /* -1: not given */
    enum xf_compress compress;
    unsigned rdma_buffer_mib;                         /* 0: not given */
    int rdma_poll_us;                                 /* -1: not given */
    char source_address[XF_ADDR_LEN];                 /* or a network interface or an RDMA device */
    char addresses[XF_CONFIG_ADDRESSES][XF_ADDR_LEN]; /* where a receiver listens */
    unsigned nr_addresses;
    uint16_t port;           /* 0: any */
    uint16_t port_last;      /* of a range that begins with `port`; 0: no range */
    struct xf_stores stores; /* for disks that move here */
};

/*
 * Read the file at `path` (NULL: XENFERRY_CONFIG, else XF_CONFIG_PATH). A missing file is an empty
 * configuration. Errors name the file and the line.
 */
int xf_config_load(const char *path, struct xf_config *out, struct xf_err *err);

/* The same for text in memory; `name` stands for the file in messages. */
int xf_config_parse(const char *name, const char *text, size_t len, struct xf_config *out,
                    struct xf_err *err);

/* Whether this is a numeric IPv4 or IPv6 address. */
bool xf_is_address(const char *s);
/* Whether this is an address, or may be the name of a network interface or an RDMA device. */
bool xf_is_address_or_device(const char *s);

#endif
