/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dom0's interface of a guest's, taken down and up again, in a network namespace of our own: what
 * scripts and administrators have given it is there afterwards.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/xen/vif_link.h"
#include "tests/unit/own_ns.h"
#include "tests/unit/suite.h"

#define BACKEND "/local/domain/0/backend/vif/9/1"
#define DIR_OF "bus/xen-backend/devices/vif-9-1/net"

static char sys[] = "/tmp/xf-vif-link-XXXXXX";

/* Only what is given here, no text from elsewhere. */
static bool run(const char *command)
{
    return system(command) == 0; /* NOLINT(cert-env33-c) */
}

static bool is_up(const char *name)
{
    char command[96];

    snprintf(command, sizeof(command), "ip -o link show dev %s up | grep -q .", name);
    return run(command);
}

static void found_by_its_backend(void)
{
    struct xf_vif_link l;
    struct xf_err err = {0};

    CU_ASSERT_EQUAL(xf_vif_link_find(&l, sys, BACKEND, &err), 0);
    CU_ASSERT_EQUAL(l.index, if_nametoindex("guest1"));

    CU_ASSERT_EQUAL(xf_vif_link_find(&l, sys, "/local/domain/0/backend/vif/9/2", &err), -1);
    CU_ASSERT_EQUAL(err.num, ENODEV);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_vif_link_find(&l, sys, "/local/domain/4/backend/vif/9/1", &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "another domain"));
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_vif_link_find(&l, sys, BACKEND "/../../1", &err), -1);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_vif_link_find(&l, sys, "/local/domain/0/backend/vbd/9/1", &err), -1);
    CU_ASSERT_EQUAL(l.index, 0);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_vif_link_down(&l, &err), -1);
}

static void down_and_up(void)
{
    struct xf_vif_link l;
    struct xf_err err = {0};

    /* As vif-route has it, and an administrator might. */
    CU_ASSERT(run("ip link set guest1 up && ip addr add 10.3.0.1/32 dev guest1 &&"
                  "ip route add 10.3.0.9 dev guest1 src 10.3.0.1 &&"
                  "ip route add 10.4.0.0/16 via 10.3.0.9 dev guest1 table 77 metric 5"));
    run("ip -6 addr add fd03::1/64 dev guest1 nodad 2>/dev/null &&"
        "ip -6 route add fd04::/64 via fd03::9 dev guest1");
    CU_ASSERT(run("{ ip route show table all; ip -6 route show table all; ip -6 addr; } |"
                  " grep -E 'guest1|fd03' | grep -v fe80 | sort >/tmp/xf-vif-link.before"));

    CU_ASSERT_EQUAL(xf_vif_link_find(&l, sys, BACKEND, &err), 0);
    CU_ASSERT_EQUAL(xf_vif_link_down(&l, &err), 0);
    CU_ASSERT(l.down && !is_up("guest1"));
    CU_ASSERT_FALSE(run("ip route show table all | grep -q 10.3.0.9"));

    /* Somebody brings it up meanwhile. */
    CU_ASSERT_EQUAL(xf_vif_link_keep_down(&l, &err), 0);
    CU_ASSERT(run("ip link set guest1 up"));
    CU_ASSERT_EQUAL(xf_vif_link_keep_down(&l, &err), 0);
    CU_ASSERT_FALSE(is_up("guest1"));

    CU_ASSERT_EQUAL(xf_vif_link_up(&l, &err), 0);
    CU_ASSERT(is_up("guest1") && !l.down && !l.kept);
    CU_ASSERT(run("{ ip route show table all; ip -6 route show table all; ip -6 addr; } |"
                  " grep -E 'guest1|fd03' | grep -v fe80 | sort >/tmp/xf-vif-link.after"));
    CU_ASSERT(run("diff /tmp/xf-vif-link.before /tmp/xf-vif-link.after"));
    CU_ASSERT_EQUAL(err.num, 0);

    /* And not once more. */
    CU_ASSERT(run("ip link set guest1 down"));
    CU_ASSERT_EQUAL(xf_vif_link_up(&l, &err), 0);
    CU_ASSERT_EQUAL(xf_vif_link_keep_down(&l, &err), 0);
    CU_ASSERT_FALSE(is_up("guest1"));
}

/* It was down before: nobody but its owner brings it up. */
static void was_down(void)
{
    struct xf_vif_link l;
    struct xf_err err = {0};

    CU_ASSERT(run("ip link set guest1 down"));
    CU_ASSERT_EQUAL(xf_vif_link_find(&l, sys, BACKEND, &err), 0);
    CU_ASSERT_EQUAL(xf_vif_link_down(&l, &err), 0);
    CU_ASSERT_EQUAL(xf_vif_link_up(&l, &err), 0);
    CU_ASSERT_FALSE(is_up("guest1"));
    CU_ASSERT_EQUAL(err.num, 0);
}

static void a_name_is_nothing(void)
{
    struct xf_vif_link l;
    struct xf_err err = {0};

    CU_ASSERT(run("ip link set guest1 up"));
    CU_ASSERT_EQUAL(xf_vif_link_find(&l, sys, BACKEND, &err), 0);
    CU_ASSERT_EQUAL(xf_vif_link_down(&l, &err), 0);
    CU_ASSERT(run("ip link set guest1 name renamed"));
    CU_ASSERT_EQUAL(xf_vif_link_up(&l, &err), 0);
    CU_ASSERT(is_up("renamed"));

    /* The guest is gone, and its interface with it. */
    CU_ASSERT_EQUAL(xf_vif_link_down(&l, &err), 0);
    CU_ASSERT(run("ip link del renamed"));
    CU_ASSERT_EQUAL(xf_vif_link_keep_down(&l, &err), 0);
    CU_ASSERT_EQUAL(xf_vif_link_up(&l, &err), 0);
    CU_ASSERT(!l.down && !l.kept && !err.num);
    CU_ASSERT_EQUAL(xf_vif_link_down(&l, &err), -1);
}

int main(void)
{
    CU_TestInfo tests[] = {{"found by its backend", found_by_its_backend},
                           {"down, and up with its routes", down_and_up},
                           {"one that was down stays so", was_down},
                           {"renamed, and gone", a_name_is_nothing},
                           CU_TEST_INFO_NULL};
    char command[128];
    int rc = own_namespaces(CLONE_NEWNET);

    if (rc)
        return rc;
    if (!mkdtemp(sys))
        return 1;
    if (!run("ip link set lo up && ip link add guest1 type veth peer name other1 &&"
             "ip link set other1 up"))
        return 1;
    snprintf(command, sizeof(command), "mkdir -p %s/" DIR_OF "/guest1", sys);
    if (!run(command))
        return 1;
    rc = run_suite("vif_link", tests);
    snprintf(command, sizeof(command), "rm -rf %s /tmp/xf-vif-link.before /tmp/xf-vif-link.after",
             sys);
    run(command);
    return rc;
}
