/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's network is held back and let go, against a xenstore and interfaces of dom0 made up
 * here: what holds it is that an interface is down, what others change meanwhile is not undone, and
 * a failure is told.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#include "libxl-ext/sink/hold_vif.h"
#include "tests/unit/suite.h"

#define VIFS 2

static struct {
    int state[VIFS];
    int pending, at; /* a write in the open transaction; which interface it concerns */
    int conflicts;   /* transactions that somebody else spoils, first ones */
    bool open, unreachable;
    int no_list, no_backend; /* errno of reading the list, the second one's backend; 0: there */
    bool down[VIFS];         /* dom0's interface */
    int stuck;               /* errno of what is done to the second one's interface; 0: it works */
} store;

/* --- instead of vif_link.c --- */

int xf_vif_link_find(struct xf_vif_link *l, const char *root, const char *backend,
                     struct xf_err *err)
{
    CU_ASSERT_STRING_EQUAL(root, "/sys");
    *l = (struct xf_vif_link){0};
    CU_ASSERT_EQUAL(sscanf(backend, "/local/domain/0/backend/vif/9/%u", &l->index), 1);
    l->index++;
    return store.stuck == ENODEV && l->index == 2 ? xf_fail(err, ENODEV, "no interface") : 0;
}

int xf_vif_link_down(struct xf_vif_link *l, struct xf_err *err)
{
    if (store.stuck && l->index == 2)
        return xf_fail(err, store.stuck, "it does not go down");
    CU_ASSERT(l->index > 0);
    l->down = store.down[l->index - 1] = true;
    return 0;
}

int xf_vif_link_up(struct xf_vif_link *l, struct xf_err *err)
{
    if (!l->down)
        return 0;
    if (store.stuck && l->index == 2)
        return xf_fail(err, store.stuck, "it does not come up");
    l->down = store.down[l->index - 1] = false;
    return 0;
}

int xf_vif_link_keep_down(struct xf_vif_link *l, struct xf_err *err)
{
    (void)err;
    if (l->down)
        store.down[l->index - 1] = true;
    return 0;
}

/* --- instead of xenstore --- */

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return store.unreachable ? NULL : (struct xs_handle *)&store;
}

void xs_close(struct xs_handle *h)
{
    (void)h;
    CU_ASSERT_FALSE(store.open);
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *num)
{
    char **list = malloc(VIFS * sizeof(*list) + 4);

    (void)h;
    (void)t;
    CU_ASSERT_STRING_EQUAL(path, "/libxl/9/device/vif");
    if (store.no_list) {
        free(list);
        errno = store.no_list;
        return NULL;
    }
    memcpy(list + VIFS, "0\0001", 4);
    list[0] = (char *)(list + VIFS);
    list[1] = list[0] + 2;
    *num = VIFS;
    return list;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len)
{
    char text[64];
    unsigned i;

    (void)h;
    if (sscanf(path, "/libxl/9/device/vif/%u/backend", &i) == 1 && i < VIFS && t == XBT_NULL) {
        if (i == 1 && store.no_backend) {
            errno = store.no_backend;
            return NULL;
        }
        snprintf(text, sizeof(text), "/local/domain/0/backend/vif/9/%u", i);
    } else if (t != XBT_NULL && sscanf(path, "/local/domain/0/backend/vif/9/%u/sta", &i) == 1 &&
               i < VIFS && store.state[i]) {
        snprintf(text, sizeof(text), "%d", store.state[i]);
    } else {
        return NULL;
    }
    *len = (unsigned)strlen(text);
    return strdup(text);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
              unsigned len)
{
    (void)h;
    CU_ASSERT(t != XBT_NULL && len == 1);
    CU_ASSERT_EQUAL(sscanf(path, "/local/domain/0/backend/vif/9/%d/state", &store.at), 1);
    store.pending = *(const char *)data - '0';
    return true;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    (void)h;
    CU_ASSERT_FALSE(store.open);
    store.open = true;
    return 1;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
    (void)h;
    (void)t;
    store.open = false;
    if (abort)
        return true;
    if (store.conflicts > 0) {
        store.conflicts--;
        return false;
    }
    store.state[store.at] = store.pending;
    return true;
}

static void reset(int a, int b)
{
    memset(&store, 0, sizeof(store));
    store.state[0] = a;
    store.state[1] = b;
}

static void held_and_let_go(void)
{
    struct xf_hold_vif h = {0};
    struct xf_err err = {0};

    reset(2, 2);
    store.conflicts = 3;
    CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), 0);
    CU_ASSERT(store.state[0] == 1 && store.state[1] == 1 && h.held && h.nr == VIFS);
    CU_ASSERT(store.down[0] && store.down[1]);
    store.down[1] = false; /* somebody in dom0 knows better */
    CU_ASSERT_EQUAL(xf_hold_vif_keep(&h, &err), 0);
    CU_ASSERT(store.down[1]);
    CU_ASSERT_EQUAL(xf_hold_vif_end(&h, &err), 0);
    CU_ASSERT(store.state[0] == 2 && store.state[1] == 2 && !h.held);
    CU_ASSERT(!store.down[0] && !store.down[1]);
    CU_ASSERT_EQUAL(err.num, 0);

    /* A second end, or one without a beginning, touches nothing. */
    store.unreachable = true;
    CU_ASSERT_EQUAL(xf_hold_vif_end(&h, &err), 0);
}

static void not_in_its_place(void)
{
    static const int odd[] = {4, 1, 0, 5};

    for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct xf_hold_vif h = {0};
        struct xf_err err = {0};

        reset(2, odd[i]);
        CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "vif9.1 is in state"));
        CU_ASSERT_EQUAL(store.state[1], odd[i]);
        /* What was held is let go all the same. */
        CU_ASSERT_EQUAL(xf_hold_vif_end(&h, &err), 0);
        CU_ASSERT_EQUAL(store.state[0], 2);
    }
}

/* xenstore does not answer when it is time to let the network go: the next try does it. */
static void let_go_later(void)
{
    struct xf_hold_vif h = {0};
    struct xf_err err = {0};

    reset(2, 2);
    CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), 0);
    store.unreachable = true;
    CU_ASSERT_EQUAL(xf_hold_vif_end(&h, &err), -1);
    store.unreachable = false;
    store.conflicts = 51; /* and then somebody else is always first, but for one of them */
    store.state[0] = 2;
    CU_ASSERT_EQUAL(xf_hold_vif_end(&h, &err), -1);
    CU_ASSERT(store.state[1] == 1 && h.held);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_hold_vif_end(&h, &err), 0);
    CU_ASSERT(store.state[0] == 2 && store.state[1] == 2 && !h.held && !err.num);
}

/* A frontend that does not wait for its backend is connected by it: what holds its network is the
 * interface, and what is connected stays so. */
static void connected_by_itself(void)
{
    struct xf_hold_vif h = {0};
    struct xf_err err = {0};

    reset(2, 2);
    CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), 0);
    store.state[1] = 4;
    CU_ASSERT(store.down[1]);
    CU_ASSERT_EQUAL(xf_hold_vif_end(&h, &err), 0);
    CU_ASSERT(store.state[0] == 2 && store.state[1] == 4);
    CU_ASSERT(!store.down[0] && !store.down[1] && !err.num);
}

/* Without an interface that can be taken down nothing is held, whatever the frontend is told. */
static void not_to_be_enforced(void)
{
    static const int why[] = {ENODEV, EPERM};

    for (unsigned i = 0; i < 2; i++) {
        struct xf_hold_vif h = {0};
        struct xf_err err = {0};

        reset(2, 2);
        store.stuck = why[i];
        CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), -1);
        CU_ASSERT_EQUAL(err.num, why[i]);
        CU_ASSERT_EQUAL(store.state[1], 2);
        CU_ASSERT_EQUAL(xf_hold_vif_end(&h, NULL), 0);
        CU_ASSERT(!store.down[0] && store.state[0] == 2 && !h.held);
    }
}

/* One that does not come up is tried again, and keeps nobody else down. */
static void up_later(void)
{
    struct xf_hold_vif h = {0};
    struct xf_err err = {0};

    reset(2, 2);
    CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), 0);
    store.stuck = ENOMEM;
    CU_ASSERT_EQUAL(xf_hold_vif_end(&h, &err), -1);
    CU_ASSERT_EQUAL(err.num, ENOMEM);
    CU_ASSERT(!store.down[0] && store.down[1] && h.held && store.state[0] == 2);
    store.stuck = 0;
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_hold_vif_end(&h, &err), 0);
    CU_ASSERT(!store.down[1] && !h.held);
}

static void served_elsewhere(void)
{
    static const char *const good[] = {
        "{}", "{\"nics\": []}", "{\"nics\": [{\"devid\": 0, \"mac\": \"00:16:3e:00:00:01\"}]}",
        "{\"nics\": [{\"backend_domid\": 0, \"backend_domname\": \"\"}]}"};
    static const char *const bad[] = {"{\"nics\": [{\"devid\": 0}, {\"backend_domid\": 3}]}",
                                      "{\"nics\": [{\"backend_domname\": \"netvm\"}]}", "[]", "{",
                                      ""};
    struct xf_err err = {0};

    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CU_ASSERT_EQUAL(xf_hold_vif_possible(good[i], &err), 0);
    CU_ASSERT_EQUAL(err.num, 0);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        xf_clear(&err);
        CU_ASSERT_EQUAL(xf_hold_vif_possible(bad[i], &err), -1);
        CU_ASSERT(err.num != 0 && (i > 1 || strstr(err.text, "backend=")));
    }
}

static void closing_stays_closing(void)
{
    struct xf_hold_vif h = {0};
    struct xf_err err = {0};

    reset(2, 2);
    CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), 0);
    store.state[0] = 5;
    CU_ASSERT_EQUAL(xf_hold_vif_end(&h, &err), 0);
    CU_ASSERT(store.state[0] == 5 && store.state[1] == 2);
}

static void out_of_reach(void)
{
    struct xf_hold_vif h = {0};
    struct xf_err err = {0};

    reset(2, 2);
    store.unreachable = true;
    CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "xenstore"));

    reset(2, 2);
    store.conflicts = 1000000;
    CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), -1);
    CU_ASSERT(store.state[0] == 2 && store.state[1] == 2);
}

/* What cannot be seen is not held back, and netback would meet absent pages. */
static void not_all_are_seen(void)
{
    struct xf_hold_vif h = {0};
    struct xf_err err = {0};

    reset(2, 2);
    store.no_list = EIO;
    CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--precopy"));

    reset(2, 2);
    xf_clear(&err);
    store.no_backend = EIO;
    CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), -1);
    store.no_backend = 0;
    CU_ASSERT_EQUAL(xf_hold_vif_end(&h, &err), 0);
    CU_ASSERT(store.state[0] == 2 && store.state[1] == 2);

    /* There is none, or one of them was just detached. */
    reset(2, 2);
    xf_clear(&err);
    store.no_list = ENOENT;
    CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), 0);
    CU_ASSERT_EQUAL(h.nr, 0);
    reset(2, 2);
    store.no_backend = ENOENT;
    CU_ASSERT_EQUAL(xf_hold_vif_begin(&h, 9, &err), 0);
    CU_ASSERT(h.nr == 1 && store.state[0] == 1);
}

int main(void)
{
    CU_TestInfo tests[] = {{"held, and let go", held_and_let_go},
                           {"a backend in another state", not_in_its_place},
                           {"let go at the second try", let_go_later},
                           {"a frontend that does not wait", connected_by_itself},
                           {"an interface that does not go down", not_to_be_enforced},
                           {"one that does not come up at once", up_later},
                           {"backends in another domain", served_elsewhere},
                           {"a backend that closes meanwhile", closing_stays_closing},
                           {"no xenstore, or one that is never free", out_of_reach},
                           {"interfaces that cannot be seen", not_all_are_seen},
                           CU_TEST_INFO_NULL};

    return run_suite("hold_vif", tests);
}
