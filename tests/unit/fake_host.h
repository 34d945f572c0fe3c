/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A Xen host as a receiver sees it: domains with a number, a name and a uuid, in memory shared by
 * the processes of a test (a file, so that an exec'd xl has it, too). Defines the functions of
 * libxl, libxenctrl and libxenstore that list, name, introduce and destroy them; a test program
 * that uses anything from this header gets these instead of the real ones.
 */
#ifndef XF_FAKE_HOST_H
#define XF_FAKE_HOST_H

#include <libxl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_DOMAINS 16

struct fake_domain {
    uint32_t domid; /* 0: no domain */
    char name[160];
    char uuid[40];
    bool dying, introduced;
};

/* Behaviour of the test's stock xl. */
enum fake_xl {
    XL_BUILDS,   /* and destroys what it built when its input ends */
    XL_HANGS,    /* the same, but ignores the end of its input */
    XL_TOO_LATE, /* finds that another domain of this name and uuid has just been made */
    XL_OTHER,    /* makes a domain with a uuid other than the requested one */
    XL_DEAF,     /* makes a domain and then reads nothing of the stream to restore */
    XL_FULL,     /* makes a domain and has no memory for it after the first records */
};

struct fake_host {
    struct fake_domain domain[FAKE_DOMAINS];
    uint32_t next;
    bool no_xen;
    bool pv; /* the type in every configuration; else PVH */
    enum fake_xl xl;
    atomic_int xl_pid;
    atomic_uint xl_started, destroyed, renamed, unpaused;
    atomic_bool unpause_fails;
    atomic_uint xl_bytes, xl_sum; /* of the streams after the configuration, their number and sum */
};

/* The host of this process, or NULL. */
extern struct fake_host *fake_host;

/* A new host, shared with all children, also exec'd ones. */
void fake_host_new(void);
void fake_host_free(void);
/* Make a domain; returns its number. */
uint32_t fake_host_add(const char *name, const char *uuid);
/* NULL: there is none. */
struct fake_domain *fake_host_find(const char *name);
struct fake_domain *fake_host_at(uint32_t domid);
/* The configuration of such a domain, as far as it is read here. malloc()ed. */
char *fake_host_config(const char *name, const char *uuid);

/* For main(): plays `xl migrate-receive` on the host of this process's environment, if the program
 * was started as such (then it does not return). */
void fake_host_play_xl(int argc, char **argv);

#endif
