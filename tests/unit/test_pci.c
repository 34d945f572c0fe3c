/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PCI devices: their addresses, attaching and detaching them by a made-up libxl (fake_pci.h), and
 * the destination's CHECK. */
#include <errno.h>
#include <stdio.h>

#include "libxl-ext/sink/check_pci.h"
#include "tests/unit/fake_pci.h"
#include "tests/unit/suite.h"

#define A "0000:05:00.0"
#define B "0000:06:00.1"
#define DOMID 9

static struct xf_toollog toollog;
static struct xf_err err;
static bool iommu, no_physinfo;
static unsigned ticks;

int libxl_get_physinfo(libxl_ctx *ctx, libxl_physinfo *info)
{
    (void)ctx;
    info->cap_hvm_directio = iommu;
    return no_physinfo ? ERROR_FAIL : 0;
}

static int tick(void *priv, struct xf_err *e)
{
    (void)priv;
    ticks++;
    return xf_fail(e, ECANCELED, "interrupted");
}

static libxl_device_pci device(const char *addr)
{
    struct xf_pci_parts p;
    libxl_device_pci d;

    libxl_device_pci_init(&d);
    CU_ASSERT_FATAL(xf_pci_parse(addr, &p));
    d.domain = (int)p.domain;
    d.bus = (uint8_t)p.bus;
    d.dev = (uint8_t)p.dev;
    d.func = (uint8_t)p.func;
    return d;
}

static void begin(void)
{
    memset(&pci, 0, sizeof(pci));
    xf_clear(&err);
    ticks = 0;
    iommu = true;
    no_physinfo = false;
    pci.turns = 3;
    strcpy(pci.has[0], A);
    strcpy(pci.has[4], B);
    xf_toollog_init(&toollog);
}

static void test_addresses(void)
{
    static const char *const bad[] = {"",
                                      "05:00",
                                      "05:00.",
                                      "05:00.8",
                                      "05:20.0",
                                      "5:00.0",
                                      "05:00.00",
                                      "005:00.0",
                                      "+5:00.0",
                                      " 5:00.0",
                                      "05:00.0 ",
                                      "05.00.0",
                                      ":05:00.0",
                                      "000:05:00.0",
                                      "00000:05:00.0",
                                      "0000:05:00",
                                      "0000;05:00.0",
                                      "0000:05:00.g",
                                      "0x00:5:0",
                                      "0000:05:00.0\n",
                                      "-000:05:00.0",
                                      "0000:05:00:0",
                                      "\xff\xff:05:00.0"};
    char out[XF_PCI_ADDR];

    CU_ASSERT(xf_pci_addr("05:00.0", out) && !strcmp(out, A));
    CU_ASSERT(xf_pci_addr("ABCD:eF:1f.7", out) && !strcmp(out, "abcd:ef:1f.7"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (xf_pci_addr(bad[i], out))
            fprintf(stderr, "\"%s\" was taken\n", bad[i]);
        CU_ASSERT(!xf_pci_addr(bad[i], out));
    }
}

static void test_detach(void)
{
    libxl_device_pci d = device(B);

    begin();
    CU_ASSERT_EQUAL(xf_pci_detach(NULL, &toollog, DOMID, &d, (struct xf_tick){tick, NULL}, &err),
                    0);
    CU_ASSERT(pci.removed == 1 && ticks >= 3); /* whose failure is not this call's */
    CU_ASSERT(!pci_place(pci.has, B) && pci_place(pci.has, A));
}

/* The guest keeps it, whatever libxl says. */
static void test_clings(void)
{
    static const int rcs[] = {ERROR_TIMEDOUT, ERROR_FAIL, 0};
    libxl_device_pci d = device(A);

    for (unsigned i = 0; i < 3; i++) {
        begin();
        pci.clings = A;
        pci.clings_rc = rcs[i];
        CU_ASSERT_EQUAL(xf_pci_detach(NULL, &toollog, DOMID, &d, (struct xf_tick){0}, &err), -1);
        CU_ASSERT_EQUAL(err.num, EBUSY);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "did not release PCI device " A));
        CU_ASSERT_EQUAL(strstr(err.text, "no answer within 10 s") != NULL,
                        rcs[i] == ERROR_TIMEDOUT);
        CU_ASSERT_EQUAL(strstr(err.text, "has revoked its access") != NULL, rcs[i] == 0);
    }
    begin();
    pci.begin_fails = true;
    CU_ASSERT_EQUAL(xf_pci_detach(NULL, &toollog, DOMID, &d, (struct xf_tick){0}, &err), -1);
    CU_ASSERT_EQUAL(pci.beforepolls, 0);
}

static void test_attach(void)
{
    libxl_device_pci d = device("0000:07:00.0");

    begin();
    CU_ASSERT_EQUAL(xf_pci_attach(NULL, &toollog, DOMID, &d, &err), 0);
    CU_ASSERT(pci.added == 1 && pci_place(pci.has, "0000:07:00.0"));
    begin();
    pci.lost = "0000:07:00.0";
    CU_ASSERT_EQUAL(xf_pci_attach(NULL, &toollog, DOMID, &d, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "0000:07:00.0 could not be attached"));
    xf_clear(&err);
    pci.begin_fails = true;
    CU_ASSERT_EQUAL(xf_pci_attach(NULL, &toollog, DOMID, &d, &err), -1);
}

/* CHECK at the destination. The number of refusals; each has the remedy. */
static unsigned refusals(const struct xf_hello *h, bool same_host)
{
    struct xf_findings f = {0};

    xf_check_pci(NULL, h, same_host, &f);
    for (unsigned i = 0; i < f.n; i++) {
        CU_ASSERT_EQUAL(f.list[i].severity, XF_REFUSAL);
        CU_ASSERT_STRING_EQUAL(f.list[i].code, "pci-missing");
        CU_ASSERT_PTR_NOT_NULL(strstr(f.list[i].text, "--detach-pci="));
    }
    return f.n;
}

static void test_check(void)
{
    static struct xf_hello h = {.nr_pci = 2, .pci = {{.addr = A, .of = A}, {.addr = B, .of = A}}};
    static const struct xf_hello none;

    begin();
    CU_ASSERT_EQUAL(refusals(&h, false), 2); /* nothing is assignable */
    strcpy(pci.assignable[7], A);
    CU_ASSERT_EQUAL(refusals(&h, false), 1);
    strcpy(pci.assignable[0], B);
    CU_ASSERT_EQUAL(refusals(&h, false), 0);
    iommu = false;
    CU_ASSERT_EQUAL(refusals(&h, false), 1);
    CU_ASSERT_EQUAL(refusals(&none, false), 0);
    iommu = no_physinfo = true;
    CU_ASSERT_EQUAL(refusals(&h, false), 1);
    begin(); /* within one host the guest has A itself, but not B */
    CU_ASSERT_EQUAL(refusals(&h, true), 1);
}

int main(void)
{
    CU_TestInfo tests[] = {{"addresses", test_addresses},
                           {"the guest releases a device", test_detach},
                           {"the guest keeps it", test_clings},
                           {"a device is attached", test_attach},
                           {"CHECK at the destination", test_check},
                           CU_TEST_INFO_NULL};

    return run_suite("pci", tests);
}
