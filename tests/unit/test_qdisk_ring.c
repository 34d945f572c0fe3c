/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rings of a suspended guest's disks, made up here: waited for until every request is answered. */
#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xengnttab.h>
#include <xenstore.h>

#include <xen/io/blkif.h>

#include "libxl-ext/xen/qdisk_ring.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"

static const char devids[2][24] = {"51712", "51728"};

static struct {
    const char *state, *ref; /* of the second disk; NULL: there is no such node */
    bool multi;              /* it has a ring of several pages */
    struct blkif_sring ring;
    int looks, answer_at; /* it answers at that look, 0: it has */
    int mapped, refuses;
} guest;

xengnttab_handle *xengnttab_open(struct xentoollog_logger *log, unsigned flags)
{
    (void)log;
    (void)flags;
    return (xengnttab_handle *)&guest;
}

int xengnttab_close(xengnttab_handle *xgt)
{
    (void)xgt;
    CU_ASSERT_EQUAL(guest.mapped, 0);
    return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
    (void)xgt;
    (void)prot;
    CU_ASSERT(domid == 9 && ref == 77);
    errno = guest.refuses;
    if (guest.refuses)
        return NULL;
    guest.mapped++;
    return &guest.ring;
}

int xengnttab_unmap(xengnttab_handle *xgt, void *at, uint32_t n)
{
    (void)xgt;
    CU_ASSERT(at == &guest.ring && n == 1);
    guest.mapped--;
    return 0;
}

int usleep(useconds_t us)
{
    (void)us;
    if (++guest.looks == guest.answer_at)
        guest.ring.rsp_prod = guest.ring.req_prod;
    return 0;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)&guest;
}

void xs_close(struct xs_handle *h)
{
    (void)h;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len)
{
    const char *found = NULL;

    (void)h;
    (void)t;
    (void)len;
    if (!strcmp(path, "/local/domain/9/device/vbd/51712/state"))
        found = "1"; /* no frontend */
    else if (!strcmp(path, "/local/domain/9/device/vbd/51728/state"))
        found = guest.state;
    else if (!strcmp(path, guest.multi ? "/local/domain/9/device/vbd/51728/ring-ref0"
                                       : "/local/domain/9/device/vbd/51728/ring-ref"))
        found = guest.ref;
    return found ? strdup(found) : NULL;
}

static int look(int timeout_ms, struct xf_err *err)
{
    return xf_qdisk_rings_rest(9, devids, 2, timeout_ms, err);
}

static void answered(void)
{
    struct xf_err err = {0};

    memset(&guest, 0, sizeof(guest));
    guest.state = "4";
    guest.ref = "77";
    guest.ring.req_prod = guest.ring.rsp_prod = UINT32_MAX;
    CU_ASSERT_EQUAL(look(1000, &err), 0);
    CU_ASSERT_EQUAL(guest.looks, 0);

    guest.multi = true;
    guest.ring.req_prod = 3; /* they wrap */
    guest.answer_at = 5;
    CU_ASSERT_EQUAL(look(1000, &err), 0);
    CU_ASSERT_EQUAL(guest.looks, 5);
    CU_ASSERT_EQUAL(err.num, 0);
}

static void never_answered(void)
{
    struct xf_err err = {0};

    memset(&guest, 0, sizeof(guest));
    guest.state = "4";
    guest.ref = "77";
    guest.ring.req_prod = 1;
    CU_ASSERT_EQUAL(look(30, &err), -1);
    CU_ASSERT(err.num == EBUSY && strstr(err.text, "51728"));
}

static void odd_ones(void)
{
    static const char *const refs[] = {NULL, "", "x", "-1", "4294967296", "7 7"};
    struct xf_err err = {0};

    for (unsigned i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
        memset(&guest, 0, sizeof(guest));
        xf_clear(&err);
        guest.state = "4";
        guest.ref = refs[i];
        CU_ASSERT_EQUAL(look(1000, &err), -1);
        CU_ASSERT_EQUAL(err.num, EINVAL);
    }
    guest.ref = "77";
    guest.refuses = EINVAL;
    xf_clear(&err);
    CU_ASSERT_EQUAL(look(1000, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "51728"));

    /* No frontend has connected: nothing is under way. */
    guest.state = NULL;
    xf_clear(&err);
    CU_ASSERT_EQUAL(look(1000, &err), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {{"all answered, or soon", answered},
                           {"never answered", never_answered},
                           {"rings that are not there", odd_ones},
                           CU_TEST_INFO_NULL};

    return run_suite("qdisk_ring", tests);
}
