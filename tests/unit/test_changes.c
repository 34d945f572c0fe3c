/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A domain that is changed while it is moved, at the source: a xenstore made up here, changed as
 * libxl would change it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl.h>
#include <libxl_utils.h>

#include "libxl-ext/xen/follow.h"
#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/source/move_follow.h"
#include "tests/unit/suite.h"

#define NODES 64

static struct {
    char path[NODES][96], value[NODES][64];
    unsigned n, events, watches, reads;
    bool no_watch;
    uint32_t flags; /* of the domain */
    bool name_used, set_fails;
    uint8_t online[2];
} xs;

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)&xs;
}

void xs_close(struct xs_handle *h)
{
    (void)h;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    (void)h;
    (void)token;
    CU_ASSERT(strstr(path, "/9/") != NULL);
    xs.watches++;
    xs.events++; /* as xenstored does */
    errno = ENOSPC;
    return !xs.no_watch;
}

char **xs_check_watch(struct xs_handle *h)
{
    (void)h;
    if (!xs.events)
        return NULL;
    xs.events--;
    return malloc(8);
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len)
{
    (void)h;
    (void)t;
    xs.reads++;
    for (unsigned i = 0; i < xs.n; i++) {
        if (strcmp(xs.path[i], path))
            continue;
        *len = (unsigned)strlen(xs.value[i]);
        return strdup(xs.value[i]);
    }
    return NULL;
}

/* Pointers and names in one piece, in an order of no meaning. */
char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *num)
{
    size_t len = strlen(path);
    char **list = calloc(NODES, sizeof(*list) + 96), *at = (char *)(list + NODES);

    (void)h;
    (void)t;
    *num = 0;
    for (unsigned i = xs.n; i-- > 0;) {
        const char *rest = xs.path[i] + len + 1;
        bool seen = false;

        if (strncmp(xs.path[i], path, len) || xs.path[i][len] != '/')
            continue;
        snprintf(at, 96, "%.*s", (int)strcspn(rest, "/"), rest);
        for (unsigned k = 0; k < *num; k++)
            seen = seen || !strcmp(list[k], at);
        if (seen)
            continue;
        list[(*num)++] = at;
        at += 96;
    }
    return list;
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max, xc_domaininfo_t *info)
{
    (void)xch;
    (void)max;
    memset(info, 0, sizeof(*info));
    info->domain = (domid_t)first;
    info->flags = xs.flags;
    return 1;
}

int libxl_name_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    (void)ctx;
    (void)name;
    *domid = 4;
    return xs.name_used ? 0 : ERROR_INVAL;
}

int libxl_set_vcpuonline(libxl_ctx *ctx, uint32_t domid, libxl_bitmap *map,
                         const libxl_asyncop_how *how)
{
    (void)ctx;
    (void)how;
    CU_ASSERT_EQUAL(domid, 11);
    CU_ASSERT_EQUAL_FATAL(map->size, sizeof(xs.online));
    memcpy(xs.online, map->map, map->size);
    return xs.set_fails ? ERROR_FAIL : 0;
}

/* --- what a toolstack does --- */

static void put(const char *path, const char *value)
{
    unsigned i = 0;

    while (i < xs.n && strcmp(xs.path[i], path))
        i++;
    CU_ASSERT_FATAL(i < NODES);
    xs.n += i == xs.n;
    snprintf(xs.path[i], sizeof(xs.path[i]), "%s", path);
    snprintf(xs.value[i], sizeof(xs.value[i]), "%s", value);
    xs.events++;
}

static void drop(const char *below)
{
    for (unsigned i = 0; i < xs.n;) {
        if (strncmp(xs.path[i], below, strlen(below))) {
            i++;
            continue;
        }
        xs.n--;
        memmove(xs.path[i], xs.path[i + 1], (xs.n - i) * sizeof(xs.path[0]));
        memmove(xs.value[i], xs.value[i + 1], (xs.n - i) * sizeof(xs.value[0]));
    }
    xs.events++;
}

static void device(const char *kind, const char *id)
{
    char path[96];

    snprintf(path, sizeof(path), "/libxl/9/device/%s/%s/backend", kind, id);
    put(path, "/local/domain/0/backend/x");
    snprintf(path, sizeof(path), "/libxl/9/device/%s/%s/params", kind, id);
    put(path, "/dev/vdb");
}

/* --- tests --- */

static struct xf_move m;
static struct xf_report report;
static struct xf_err err;
static char notes[500];

static void note(void *priv, const char *text)
{
    (void)priv;
    snprintf(notes, sizeof(notes), "%s", text);
}

/* Watched since CHECK, and nothing has happened. */
static void begin(void)
{
    static const struct xf_watch w = {.note = note};

    memset(&xs, 0, sizeof(xs));
    memset(&m, 0, sizeof(m));
    xf_clear(&err);
    notes[0] = 0;
    m.w = &w;
    m.report = &report;
    m.check.kind = &xf_guest_pvh;
    m.domid = 9;
    strcpy(m.name, "web1");
    strcpy(m.check.hello.domain, "web1");
    put("/local/domain/9/name", "web1");
    put("/local/domain/9/cpu/0/availability", "online");
    put("/local/domain/9/cpu/1/availability", "online");
    put("/local/domain/9/cpu/10/availability", "offline");
    device("vbd", "51712");
    device("vif", "0");
    device("vif", "1");
    device("vif", "10");
    CU_ASSERT_EQUAL_FATAL(xf_changes_begin(&m.check.changes, 9, &err), 0);
    CU_ASSERT(xs.watches == 3 && m.check.changes.now.nr_vcpus == 11);
}

static void end(void)
{
    xf_changes_end(&m.check.changes);
    CU_ASSERT_EQUAL(xf_move_follow(&m, &err), 0);
}

static void refused(const char *says)
{
    CU_ASSERT_EQUAL(xf_move_follow(&m, &err), -1);
    CU_ASSERT_EQUAL(err.num, EBUSY);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, says));
    CU_ASSERT_FALSE(m.copy.follow_due);
    end();
}

/* That there was no event is known without a question. */
static void test_nothing(void)
{
    begin();
    CU_ASSERT_EQUAL(xf_move_follow(&m, &err), 0); /* the watches themselves are events */
    xs.reads = 0;
    for (int i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(xf_move_follow(&m, &err) || xf_move_unchanged(&m, &err), 0);
    CU_ASSERT_EQUAL(xs.reads, 0);
    put("/local/domain/9/name", "web1");
    CU_ASSERT_EQUAL(xf_move_follow(&m, &err) || m.copy.follow_due, 0);
    CU_ASSERT(xs.reads > 0);
    end();
}

static void test_devices(void)
{
    begin();
    device("vbd", "51728");
    refused("(vbd 51728) was attached to");
    begin();
    device("vif", "2");
    refused("(vif 2) was attached to");
    begin();
    drop("/libxl/9/device/vif/0/");
    refused("(vif 0) was detached from");
    begin();
    drop("/libxl/9/device/vif/10/");
    refused("(vif 10) was detached from");
    begin();
    drop("/libxl/9/device/vbd");
    refused("(vbd 51712) was detached from");
    begin();
    device("vtpm", "0"); /* the last of the list */
    refused("(vtpm 0) was attached to");
    begin();
    put("/libxl/9/device/vbd/51712/params", "/root/other.iso"); /* xl cd-insert */
    refused("(vbd 51712) was changed in");
    begin();
    put("/libxl/9/device/vbd/51712/type", "cdrom");
    refused("(vbd 51712) was changed in");
}

/* All of a domain's nodes go before the domain does: that is its end, and no change. */
static void test_ends(void)
{
    begin();
    xs.flags = XEN_DOMINF_paused;
    drop("/libxl/9");
    CU_ASSERT_EQUAL(xf_move_follow(&m, &err), 0);
    xs.flags = 0; /* but if it was only paused */
    refused("was detached from");
    begin();
    drop("/local/domain/9");
    CU_ASSERT_EQUAL(xf_move_follow(&m, &err) || m.copy.follow_due, 0);
    end();
}

static void test_rename(void)
{
    begin();
    put("/local/domain/9/name", "web2");
    CU_ASSERT_EQUAL(xf_move_follow(&m, &err), 0);
    CU_ASSERT(m.copy.follow_due && m.copy.follow == &m.follow);
    CU_ASSERT_STRING_EQUAL(m.follow.name, "web2");
    CU_ASSERT_STRING_EQUAL(m.name, "web2");
    CU_ASSERT_STRING_EQUAL(m.check.hello.domain, "web2");
    CU_ASSERT_STRING_EQUAL(report.domain, "web2");
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "from \"web1\" to \"web2\""));
    m.copy.follow_due = false;
    put("/local/domain/9/name", "web3");
    CU_ASSERT_EQUAL(xf_move_follow(&m, &err), 0);
    CU_ASSERT(m.copy.follow_due && !strcmp(m.follow.name, "web3"));
    end();
    /* -C has given it another name there. */
    begin();
    strcpy(m.check.hello.domain, "blue");
    put("/local/domain/9/name", "web2");
    CU_ASSERT_EQUAL(xf_move_follow(&m, &err), 0);
    CU_ASSERT_STRING_EQUAL(m.name, "web2");
    CU_ASSERT_STRING_EQUAL(m.follow.name, "blue");
    CU_ASSERT_STRING_EQUAL(m.check.hello.domain, "blue");
    end();
}

static void test_vcpus(void)
{
    begin();
    put("/local/domain/9/cpu/1/availability", "offline");
    put("/local/domain/9/cpu/10/availability", "online");
    CU_ASSERT_EQUAL(xf_move_follow(&m, &err), 0);
    CU_ASSERT(m.copy.follow_due && !strcmp(m.follow.name, "web1"));
    CU_ASSERT(m.follow.nr_vcpus == 11 && m.follow.vcpus[0] == 1 && m.follow.vcpus[1] == 4);
    end();
    /* The device model that waits at the destination would not know it; a name it need not know. */
    begin();
    m.check.kind = &xf_guest_hvm;
    put("/local/domain/9/cpu/10/availability", "online");
    refused("vCPUs were set while");
    begin();
    m.check.kind = &xf_guest_hvm;
    put("/local/domain/9/name", "web2");
    CU_ASSERT_EQUAL(xf_move_follow(&m, &err), 0);
    CU_ASSERT(m.copy.follow_due);
    end();
}

/* Between the last tick and GO nothing can be followed any more. */
static void test_last_moment(void)
{
    begin();
    xf_move_follow(&m, &err);
    CU_ASSERT_EQUAL(xf_move_unchanged(&m, &err), 0);
    put("/local/domain/9/name", "web2");
    CU_ASSERT_EQUAL(xf_move_unchanged(&m, &err), -1);
    CU_ASSERT_EQUAL(err.num, EBUSY);
    xf_changes_end(&m.check.changes);
    begin();
    xf_move_follow(&m, &err);
    device("vif", "3");
    CU_ASSERT_EQUAL(xf_move_unchanged(&m, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "attached to"));
    xf_changes_end(&m.check.changes);
}

static void test_no_watch(void)
{
    memset(&xs, 0, sizeof(xs));
    xf_clear(&err);
    xs.no_watch = true;
    CU_ASSERT_EQUAL(xf_changes_begin(&m.check.changes, 9, &err), -1);
    CU_ASSERT(err.num == ENOSPC && !m.check.changes.xs);
}

/* --- the destination --- */

static void test_there(void)
{
    struct xf_follow f = {.name = "web2", .nr_vcpus = 11, .vcpus = {5, 4}};
    struct xf_toollog log;

    xf_toollog_init(&log);
    memset(&xs, 0, sizeof(xs));
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_follow_online(NULL, &log, 11, &f, &err), 0);
    CU_ASSERT(xs.online[0] == 5 && xs.online[1] == 4);
    xs.set_fails = true;
    CU_ASSERT_EQUAL(xf_follow_online(NULL, &log, 11, &f, &err), -1);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_follow_name(NULL, "web2", false, &err), 0);
    xs.name_used = true;
    CU_ASSERT_EQUAL(xf_follow_name(NULL, "web2", true, &err), 0);
    CU_ASSERT_EQUAL(xf_follow_name(NULL, "web2", false, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "\"web2\""));
}

int main(void)
{
    CU_TestInfo tests[] = {{"nothing happens", test_nothing},
                           {"devices", test_devices},
                           {"the domain ends", test_ends},
                           {"renamed", test_rename},
                           {"vCPUs set", test_vcpus},
                           {"changed at the last moment", test_last_moment},
                           {"no watch", test_no_watch},
                           {"at the destination", test_there},
                           CU_TEST_INFO_NULL};

    return run_suite("changes", tests);
}
