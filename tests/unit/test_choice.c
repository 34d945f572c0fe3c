/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which transport a move uses: what ports mean for a side, every refusal with its remedy, and
 * the choice of all wishes over all states of both sides. And what --migration-address names.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libxl-ext/peer/choice.h"
#include "libxl-ext/host/own_address.h"
#include "tests/unit/suite.h"

static struct xf_rdma_device ports[3];
static struct xf_rdma_side side;

/* Two good ports and one that is down. */
static void reset(void)
{
    memset(ports, 0, sizeof(ports));
    for (int i = 0; i < 3; i++) {
        snprintf(ports[i].name, XF_RDMA_NAME, "mlx5_%d", i);
        ports[i].port = 1;
        ports[i].usable = true;
        ports[i].active = i < 2;
        snprintf(ports[i].state, sizeof(ports[i].state), "%s", i < 2 ? "PORT_ACTIVE" : "PORT_DOWN");
        ports[i].nr_addr = 2;
        snprintf(ports[i].addr[0], XF_ADDR_LEN, "10.0.0.%d", i);
        snprintf(ports[i].addr[1], XF_ADDR_LEN, "fd00::%d", i);
    }
}

static void judge(int n)
{
    xf_rdma_judge(ports, n, NULL, 0, NULL, &side);
}

/* It stands in the way, says so with `word`, and gives no address to the peer. */
static bool stands_against(enum xf_rdma_state state, const char *word)
{
    bool good = side.state == state && strstr(side.why, word) && !strchr(side.why, '\n') &&
                side.nr_addresses == 0;

    if (!good)
        fprintf(stderr, "%s: %s\n", xf_rdma_state_word(side.state), side.why);
    return good;
}

static void test_ready(void)
{
    reset();
    judge(3);
    CU_ASSERT_EQUAL(side.state, XF_RDMA_READY);
    CU_ASSERT_STRING_EQUAL(side.why, "");
    CU_ASSERT_EQUAL(side.nr_addresses, 4);
    CU_ASSERT_STRING_EQUAL(side.addresses[0], "10.0.0.0");
    CU_ASSERT_STRING_EQUAL(side.addresses[3], "fd00::1");
    for (int i = 0; i < 3; i++) { /* more than fit */
        ports[i].active = true;
        ports[i].nr_addr = XF_RDMA_ADDRS_MAX;
        for (int k = 0; k < XF_RDMA_ADDRS_MAX; k++)
            snprintf(ports[i].addr[k], XF_ADDR_LEN, "10.%d.0.%d", i, k);
    }
    judge(3);
    CU_ASSERT_EQUAL(side.nr_addresses, XF_RDMA_ADDRS_MAX);
}

static void test_judgements(void)
{
    const struct xf_err memlock = {.num = ENOMEM, .text = "raise RLIMIT_MEMLOCK to 2048 KiB"};
    const struct xf_err registration = {.num = EOPNOTSUPP,
                                        .text = "mlx5_0 refuses to register memory"};

    reset();
    judge(0);
    CU_ASSERT(stands_against(XF_RDMA_NO_DEVICE, "load its driver"));
    for (int i = 0; i < 3; i++)
        ports[i].active = false;
    judge(3);
    CU_ASSERT(stands_against(XF_RDMA_DOWN, "port 1 of mlx5_2 is not active (PORT_DOWN); bring"));
    reset();
    for (int i = 0; i < 3; i++)
        ports[i].usable = false;
    judge(3);
    CU_ASSERT(stands_against(XF_RDMA_UNUSABLE, "use another device"));
    ports[2].usable = true; /* the one that is down is the better hope */
    judge(3);
    CU_ASSERT(stands_against(XF_RDMA_DOWN, "mlx5_2"));
    reset();
    ports[0].nr_addr = ports[1].nr_addr = 0;
    judge(3);
    CU_ASSERT(stands_against(XF_RDMA_NO_ADDRESS, "give its network interface one"));
    reset();
    xf_rdma_judge(ports, 3, NULL, 0, &memlock, &side);
    CU_ASSERT(stands_against(XF_RDMA_MEMLOCK, "RLIMIT_MEMLOCK to 2048 KiB"));
    xf_rdma_judge(ports, 3, NULL, 0, &registration, &side);
    CU_ASSERT(stands_against(XF_RDMA_REGISTRATION, "refuses to register"));
    xf_rdma_judge(ports, 0, NULL, 0, &memlock, &side); /* first things first */
    CU_ASSERT(stands_against(XF_RDMA_NO_DEVICE, "no RDMA device"));
}

static void test_only(void)
{
    const char one[][XF_ADDR_LEN] = {"fd00::1"}, down[][XF_ADDR_LEN] = {"10.0.0.2"},
               two[][XF_ADDR_LEN] = {"192.0.2.1", "10.0.0.1"};

    reset();
    xf_rdma_judge(ports, 3, one, 1, NULL, &side);
    CU_ASSERT(side.state == XF_RDMA_READY && side.nr_addresses == 1);
    CU_ASSERT_STRING_EQUAL(side.addresses[0], "fd00::1");
    xf_rdma_judge(ports, 3, two, 2, NULL, &side);
    CU_ASSERT(side.state == XF_RDMA_READY && side.nr_addresses == 1);
    CU_ASSERT_STRING_EQUAL(side.addresses[0], "10.0.0.1");
    xf_rdma_judge(ports, 3, down, 1, NULL, &side);
    CU_ASSERT(stands_against(XF_RDMA_NO_ADDRESS, "no active RDMA port has the address 10.0.0.2"));
}

/* Every wish over every state of both sides, with a route and without. */
static void test_choices(void)
{
    const struct xf_err no_route = {.num = EHOSTUNREACH, .text = "no route to 10.0.0.9"};

    for (int a = 0; a < XF_RDMA_STATES; a++) {
        for (int b = 0; b < XF_RDMA_STATES; b++) {
            for (int r = 0; r < 2; r++) {
                struct xf_rdma_side here = {.state = (enum xf_rdma_state)a, .why = "reason A"};
                struct xf_rdma_side there = {.state = (enum xf_rdma_state)b, .why = "reason B"};
                const struct xf_err *route = r ? &no_route : NULL;
                bool can = a == XF_RDMA_READY && b == XF_RDMA_READY && !r;
                const char *reason = a == XF_RDMA_UNASKED ? "here the devices have not been"
                                     : a != XF_RDMA_READY ? "here reason A"
                                     : b == XF_RDMA_UNASKED
                                         ? "at the destination the devices have not been"
                                     : b != XF_RDMA_READY ? "at the destination reason B"
                                                          : "no route to 10.0.0.9";
                char why[400] = "old";

                CU_ASSERT_EQUAL(xf_choose(XF_TRANSPORT_TCP, &here, &there, route, why, sizeof(why)),
                                XF_CHOICE_TCP);
                CU_ASSERT_STRING_EQUAL(why, "");
                CU_ASSERT_EQUAL(
                    xf_choose(XF_TRANSPORT_AUTO, &here, &there, route, why, sizeof(why)),
                    can ? XF_CHOICE_RDMA : XF_CHOICE_TCP);
                CU_ASSERT(can ? !why[0] : strstr(why, reason) && strstr(why, "over TCP"));
                CU_ASSERT_EQUAL(
                    xf_choose(XF_TRANSPORT_RDMA, &here, &there, route, why, sizeof(why)),
                    can ? XF_CHOICE_RDMA : XF_CHOICE_NONE);
                CU_ASSERT(can ? !why[0]
                              : strstr(why, reason) && strstr(why, "not possible") &&
                                    strstr(why, "--tcp"));
            }
        }
    }
}

/* The longest reasons still leave room for the remedy in a finding. */
static void test_long(void)
{
    struct xf_rdma_side here = {.state = XF_RDMA_READY}, there = {.state = XF_RDMA_MEMLOCK};
    struct xf_finding f;

    memset(there.why, 'x', sizeof(there.why) - 1);
    xf_choose(XF_TRANSPORT_RDMA, &here, &there, NULL, f.text, sizeof(f.text));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.text, "; or move with --tcp"));
}

static void test_own(void)
{
    struct xf_own own;
    struct xf_err err = {0};

    CU_ASSERT(xf_own_addresses(NULL, &own, &err) == 0 && own.n == 0);
    CU_ASSERT_PTR_NULL(xf_own_for(&own, "10.0.0.1"));
    CU_ASSERT(xf_own_addresses("192.0.2.1", &own, &err) == 0 && own.n == 1);
    CU_ASSERT_STRING_EQUAL(xf_own_for(&own, "10.0.0.1"), "192.0.2.1");
    CU_ASSERT_STRING_EQUAL(xf_own_for(&own, "fd00::1"), "192.0.2.1");
    own.n = 2;
    strcpy(own.list[1], "fd00::7");
    CU_ASSERT_STRING_EQUAL(xf_own_for(&own, "fd00::1"), "fd00::7");
    CU_ASSERT_STRING_EQUAL(xf_own_for(&own, "10.0.0.1"), "192.0.2.1");
    CU_ASSERT_EQUAL(xf_own_addresses("no-such-device-here", &own, &err), -1);
    CU_ASSERT(err.num == ENODEV && strstr(err.text, "\"no-such-device-here\""));
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_own_addresses("lo", &own, &err), -1); /* of no use to a peer */
}

/* What the machine says of itself, whatever that is, fits together. */
static void test_look(void)
{
    struct xf_link_cfg cfg = {.channels = 2};

    xf_rdma_look(&cfg, NULL, 0, &side);
    CU_ASSERT(side.state != XF_RDMA_UNASKED && side.state < XF_RDMA_STATES);
    CU_ASSERT_EQUAL(side.state == XF_RDMA_READY, side.nr_addresses > 0);
    CU_ASSERT_EQUAL(side.state == XF_RDMA_READY, !side.why[0]);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"ready", test_ready},
        {"judgements", test_judgements},
        {"some addresses only", test_only},
        {"choices", test_choices},
        {"long reasons", test_long},
        {"own addresses", test_own},
        {"this machine", test_look},
        CU_TEST_INFO_NULL,
    };

    return run_suite("choice", tests);
}
