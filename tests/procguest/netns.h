/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A network of its own for the two engines of a move: two network namespaces with a pair of veth
 * between them, 192.0.2.1 (source) and 192.0.2.2 (sink). As root; ip and tc make it.
 */
#ifndef XF_PG_NETNS_H
#define XF_PG_NETNS_H

#include <stdbool.h>

struct pg_netns {
    char paths[2][64]; /* for pg_opts.netns */
    int nr;            /* the number given to pg_netns_make() */
};

#define PG_SINK_ADDR "192.0.2.2"

/* False, with a message, if it cannot be made. nr: a different one for each that exists at a
 * time. */
bool pg_netns_make(struct pg_netns *n, int nr);
/* Set the shaper of both ends, in tc's words, such as "tbf rate 1gbit burst 256k latency 20ms". */
bool pg_netns_shape(const struct pg_netns *n, const char *qdisc);
/* yes: frames can still be sent, and none arrives; no: they arrive again. */
bool pg_netns_silent(const struct pg_netns *n, bool yes);
/* Take the source's interface down, so that the sink's loses its carrier, or up again. */
bool pg_netns_down(const struct pg_netns *n, bool yes);
void pg_netns_drop(const struct pg_netns *n);

/* An outage of the network. */
struct pg_outage {
    const char *name;
    double seconds;
    bool silent; /* packets vanish; else the interface is down */
};
void pg_away(const struct pg_netns *n, const struct pg_outage *o, bool yes);
/* Runs `one` for all outages at the same time, since they mostly wait: each in a process of its
 * own, whose failures count here. The number is for pg_netns_make(). */
void pg_all_at_once(void (*one)(const struct pg_outage *, int), const struct pg_outage *list,
                    unsigned n);

#endif
