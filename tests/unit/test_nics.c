/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which card a move uses, and whether a faster one lies idle, of a directory like sysfs's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libxl-ext/host/nics.h"
#include "tests/unit/suite.h"

static char top[] = "/tmp/xf-nics-XXXXXX";

static void put(const char *nic, const char *file, const char *text)
{
    char path[200];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", top, nic);
    mkdir(path, 0700);
    if (strchr(file, '/') || !strcmp(file, "device")) {
        snprintf(path, sizeof(path), "%s/%s/%.*s", top, nic, (int)strcspn(file, "/"), file);
        mkdir(path, 0700);
    }
    if (!text)
        return;
    snprintf(path, sizeof(path), "%s/%s/%s", top, nic, file);
    f = fopen(path, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fprintf(f, "%s\n", text);
    fclose(f);
}

static void card(const char *nic, const char *mbit, const char *carrier)
{
    put(nic, "device", NULL);
    put(nic, "speed", mbit);
    put(nic, "carrier", carrier);
    put(nic, "statistics/rx_bytes", "1000");
    put(nic, "statistics/tx_bytes", "500");
}

static void upon(const char *upper, const char *lower)
{
    char path[200], to[200];

    put(upper, "flags", "0x1003");
    snprintf(path, sizeof(path), "%s/%s/lower_%s", top, upper, lower);
    snprintf(to, sizeof(to), "../%s", lower);
    CU_ASSERT_EQUAL(symlink(to, path), 0);
}

static void test_speed(void)
{
    struct xf_nics n;

    card("eth0", "1000", "1");
    card("eth1", "10000", "1");
    card("eth2", "100000", "0"); /* no cable */
    card("vif1.0", "-1", "1");   /* not a card's */
    upon("xenbr0", "eth0");
    upon("xenbr0", "vif1.0");
    upon("vlan7", "xenbr0");
    upon("loop", "loop"); /* never ends, if it were followed */
    xf_nics_look(top, "vlan7", &n);
    CU_ASSERT_EQUAL(n.n, 2);
    CU_ASSERT_DOUBLE_EQUAL(xf_nics_speed(&n), 125e6, 1);
    xf_nics_look(top, "eth1", &n);
    CU_ASSERT_DOUBLE_EQUAL(xf_nics_speed(&n), 1250e6, 1);
    xf_nics_look(top, "loop", &n);
    CU_ASSERT(xf_nics_speed(&n) < 0);
    xf_nics_look(top, "", &n);
    CU_ASSERT(xf_nics_speed(&n) < 0);
    xf_nics_look("/tmp/xf-there-is-none", "eth0", &n);
    CU_ASSERT_EQUAL(n.n, 0);
}

static void test_idle(void)
{
    struct xf_nics before, after;
    const struct xf_nic *nic;

    xf_nics_look(top, "xenbr0", &before);
    xf_nics_look(top, "xenbr0", &after);
    after.seconds = before.seconds + 2;
    nic = xf_nics_idle(&before, &after, xf_nics_speed(&after));
    CU_ASSERT(nic && !strcmp(nic->name, "eth1"));
    CU_ASSERT_PTR_NULL(xf_nics_idle(&before, &after, 1e9)); /* not much faster */
    CU_ASSERT_PTR_NULL(xf_nics_idle(&before, &after, -1));  /* faster than what? */
    after.seconds = before.seconds;
    CU_ASSERT_PTR_NULL(xf_nics_idle(&before, &after, 125e6)); /* no time has passed */
    put("eth1", "statistics/tx_bytes", "100000000");
    xf_nics_look(top, "xenbr0", &after);
    after.seconds = before.seconds + 2;
    CU_ASSERT_PTR_NULL(xf_nics_idle(&before, &after, 125e6)); /* busy */
    put("eth1", "statistics/tx_bytes", "0");
    xf_nics_look(top, "xenbr0", &after);
    after.seconds = before.seconds + 2;
    CU_ASSERT_PTR_NULL(xf_nics_idle(&before, &after, 125e6)); /* counted anew: not known */
    xf_nics_look(top, "eth1", &before);
    xf_nics_look(top, "eth1", &after);
    after.seconds = before.seconds + 2;
    CU_ASSERT_PTR_NULL(xf_nics_idle(&before, &after, 1250e6)); /* it is the move's own */
}

static void test_route(void)
{
    char name[IFNAMSIZ] = "";

    CU_ASSERT_TRUE(xf_nics_route("127.0.0.1", NULL, name));
    CU_ASSERT_STRING_EQUAL(name, "lo");
    name[0] = 0;
    CU_ASSERT_TRUE(xf_nics_route("192.0.2.1", "127.0.0.1", name)); /* by the address used here */
    CU_ASSERT_STRING_EQUAL(name, "lo");
    CU_ASSERT_FALSE(xf_nics_route("192.0.2.1", "192.0.2.99", name));
    CU_ASSERT_FALSE(xf_nics_route("no.number", NULL, name));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"speed", test_speed}, {"idle", test_idle}, {"route", test_route}, CU_TEST_INFO_NULL};
    char rm[60];
    int rc;

    if (!mkdtemp(top))
        return 2;
    rc = run_suite("network cards", tests);
    snprintf(rm, sizeof(rm), "rm -rf %s", top);
    return system(rm) ? 2 : rc;
}
