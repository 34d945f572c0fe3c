/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest announces itself after a move, against a xenstore made up here: only a connected
 * backend is touched, with what it says already, and nobody's change is undone.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#include "libxl-ext/sink/announce.h"
#include "tests/unit/suite.h"

#define BACK "/local/domain/0/backend/vif/7/0"

static struct {
    const char *vif;                /* what /libxl/7/device/vif holds; NULL: nothing */
    const char *backend;            /* and where it points */
    int state, connected_at, reads; /* connected at that read of the state */
    int conflicts;                  /* transactions that somebody else spoils, first ones */
    int writes, wrong_writes, open_transactions, opened, closed;
    bool change_in_between; /* the backend begins to close between the read and the write */
} store;

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    store.opened++;
    return (struct xs_handle *)&store;
}

void xs_close(struct xs_handle *h)
{
    (void)h;
    store.closed++;
}

static char *text(const char *s, unsigned *len)
{
    *len = (unsigned)strlen(s);
    return strdup(s);
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *num)
{
    char **list;

    (void)h;
    (void)t;
    CU_ASSERT_STRING_EQUAL(path, "/libxl/7/device/vif");
    if (!store.vif)
        return NULL;
    list = malloc(sizeof(*list) + strlen(store.vif) + 1);
    list[0] = (char *)(list + 1);
    strcpy(list[0], store.vif);
    *num = 1;
    return list;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len)
{
    char digits[12];

    (void)h;
    if (!strcmp(path, "/libxl/7/device/vif/0/backend"))
        return text(store.backend, len);
    if (strcmp(path, BACK "/state"))
        return NULL;
    CU_ASSERT(t != XBT_NULL);
    if (++store.reads == store.connected_at)
        store.state = 4;
    snprintf(digits, sizeof(digits), "%d", store.state);
    return text(digits, len);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
              unsigned len)
{
    (void)h;
    store.writes++;
    if (t == XBT_NULL || strcmp(path, BACK "/state") || len != 1 || *(const char *)data != '4')
        store.wrong_writes++;
    return true;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    (void)h;
    store.open_transactions++;
    return 1;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
    (void)h;
    (void)t;
    store.open_transactions--;
    if (abort)
        return true;
    if (store.conflicts > 0) {
        store.conflicts--;
        store.writes--; /* it never happened */
        if (store.change_in_between)
            store.state = 5;
        return false;
    }
    return true;
}

static void run(void)
{
    struct xf_announce a = {0};

    xf_announce_begin(&a, 7);
    CU_ASSERT(a.running);
    xf_announce_end(&a);
    CU_ASSERT(!a.running);
    CU_ASSERT(store.opened == 1 && store.closed == 1);
    CU_ASSERT(store.open_transactions == 0);
    CU_ASSERT(store.wrong_writes == 0);
}

static void reset(void)
{
    memset(&store, 0, sizeof(store));
    store.vif = "0";
    store.backend = BACK;
    store.state = 2;
    store.connected_at = 5;
}

static void once_connected(void)
{
    reset();
    run();
    CU_ASSERT_EQUAL(store.writes, 3);
    CU_ASSERT(store.reads >= store.connected_at + 2);
}

static void others_change_it(void)
{
    reset();
    store.conflicts = 2;
    run();
    CU_ASSERT_EQUAL(store.writes, 3);
    CU_ASSERT_EQUAL(store.state, 4);
}

static void it_closes(void)
{
    reset();
    store.conflicts = 1;
    store.change_in_between = true;
    run();
    CU_ASSERT_EQUAL(store.writes, 0);
    CU_ASSERT_EQUAL(store.state, 5);
}

static void nothing_to_do(void)
{
    char far[300];

    reset();
    store.vif = NULL;
    run();
    CU_ASSERT_EQUAL(store.reads, 0);

    reset();
    memset(far, 'x', sizeof(far) - 1);
    far[sizeof(far) - 1] = 0;
    store.backend = far;
    run();
    CU_ASSERT_EQUAL(store.reads, 0);
}

static void never_begun(void)
{
    struct xf_announce a = {0};

    xf_announce_end(&a);
    CU_ASSERT(!a.running);
}

int main(void)
{
    CU_TestInfo tests[] = {{"touched once connected, and again", once_connected},
                           {"a transaction that others spoil is done again", others_change_it},
                           {"a backend that closes is left alone", it_closes},
                           {"no interface, or none that can be named", nothing_to_do},
                           {"never begun", never_begun},
                           CU_TEST_INFO_NULL};

    return run_suite("announce", tests);
}
