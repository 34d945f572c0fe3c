/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A network of its own: see netns.h. */
#include "tests/procguest/netns.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/suite.h"

__attribute__((format(printf, 1, 2))) static bool run(const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (!system(line)) /* NOLINT(cert-env33-c): our own words and numbers */
        return true;
    fprintf(stderr, "failed: %s\n", line);
    return false;
}

static const char *name(const struct pg_netns *n, unsigned side)
{
    return n->paths[side] + sizeof("/run/netns/") - 1;
}

bool pg_netns_make(struct pg_netns *n, int nr)
{
    n->nr = nr;
    for (unsigned i = 0; i < 2; i++) {
        snprintf(n->paths[i], sizeof(n->paths[i]), "/run/netns/xfpg-%d-%d-%u", (int)getpid(), nr,
                 i);
        if (!run("ip netns add %s", name(n, i)))
            return false;
    }
    if (!run("ip -n %s link add v0 type veth peer name v1 netns %s", name(n, 0), name(n, 1)))
        return false;
    for (unsigned i = 0; i < 2; i++)
        if (!run("ip -n %s addr add 192.0.2.%u/24 dev v%u", name(n, i), i + 1, i) ||
            !run("ip -n %s link set v%u up", name(n, i), i))
            return false;
    return true;
}

bool pg_netns_shape(const struct pg_netns *n, const char *qdisc)
{
    return run("tc -n %s qdisc add dev v0 root %s", name(n, 0), qdisc) &&
           run("tc -n %s qdisc add dev v1 root %s", name(n, 1), qdisc);
}

/* Frames to an address that no interface has are dropped where they arrive. */
bool pg_netns_silent(const struct pg_netns *n, bool yes)
{
    bool good = true;

    for (unsigned i = 0; i < 2; i++)
        good &= yes ? run("ip -n %s neigh replace 192.0.2.%u lladdr 02:00:00:00:00:99 nud "
                          "permanent dev v%u",
                          name(n, i), 2 - i, i)
                    : run("ip -n %s neigh del 192.0.2.%u dev v%u", name(n, i), 2 - i, i);
    return good;
}

bool pg_netns_down(const struct pg_netns *n, bool yes)
{
    return run("ip -n %s link set v0 %s", name(n, 0), yes ? "down" : "up");
}

void pg_netns_drop(const struct pg_netns *n)
{
    for (unsigned i = 0; i < 2; i++)
        run("ip netns del %s", name(n, i));
}

void pg_away(const struct pg_netns *n, const struct pg_outage *o, bool yes)
{
    CU_ASSERT(o->silent ? pg_netns_silent(n, yes) : pg_netns_down(n, yes));
}

void pg_all_at_once(void (*one)(const struct pg_outage *, int), const struct pg_outage *list,
                    unsigned n)
{
    pid_t pids[16];
    int status;

    fflush(NULL);
    for (unsigned i = 0; i < n; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            unsigned before = CU_get_number_of_failures();

            one(&list[i], (int)i);
            fflush(NULL);
            _exit(CU_get_number_of_failures() != before);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        CU_ASSERT(waitpid(pids[i], &status, 0) == pids[i]);
        if (status)
            printf("\n    FAILED: %s (status 0x%x)", list[i].name, status);
        CU_ASSERT_EQUAL(status, 0);
    }
}
