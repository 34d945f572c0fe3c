/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One receiver against a source that is this test: what it builds is its own, what it destroys as
 * well; and what it cannot do it says.
 */
#include "tests/unit/receiving.h"

/* --- a move, and its undoing --- */

static void test_moves(void)
{
    uint32_t domid = 0;
    struct move m;

    begin();
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), 0);
    CU_ASSERT(fake_host_find(COPY) && fake_host_find(COPY)->domid == domid);
    CU_ASSERT_EQUAL(let_run(&m), 0);
    ends(&m, 0, "");
    CU_ASSERT_EQUAL(fake_host->unpaused, domid);
    CU_ASSERT(fake_host_find("web1") && fake_host_find("web1")->domid == domid);
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    end();
}

static void test_given_up(void)
{
    uint32_t domid = 0;
    struct move m;

    begin();
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), 0);
    xf_link_say(&m.link, XF_MSG_ABORT, NULL, 0, NULL);
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_ABORTED), 0);
    CU_ASSERT_PTR_NULL(fake_host_find(COPY));
    ends(&m, 1, "gave up the move");
    end();
}

/* Sources of other versions: what both understand is spoken on the channels. */
static void test_versions(void)
{
    static const struct {
        struct xf_build source;
        unsigned agreed; /* 0: none */
    } cases[] = {
        {{1, 1, ""}, 1}, /* an old one says nothing; the same is heard of this */
        {{XF_WIRE_VERSION + 1, XF_WIRE_VERSION - 1, "1.0"}, XF_WIRE_VERSION},
        {{XF_WIRE_VERSION + 3, XF_WIRE_VERSION + 1, "2.0"}, 0},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t domid = 0;
        struct move m;

        begin();
        start(&m, "web1", UUID);
        m.hello.build = cases[i].source;
        m.hello.agreed = cases[i].agreed;
        CU_ASSERT_EQUAL(greet(&m), cases[i].agreed != 0);
        CU_ASSERT_EQUAL(m.reply.build.newest, XF_WIRE_VERSION);
        CU_ASSERT_EQUAL(m.reply.build.oldest, XF_WIRE_OLDEST);
        if (cases[i].agreed) {
            CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), 0);
            CU_ASSERT_EQUAL(let_run(&m), 0);
        } else {
            refused(&m, "version", "Xenferry 2.0 on the other one");
        }
        ends(&m, 0, "");
        end();
    }
}

/* A configuration that is not of the domain that was announced builds nothing. */
static void test_other_config(void)
{
    static const char *const configs[][2] = {{"web2", UUID}, {"web1", OTHER_UUID}};

    for (int i = 0; i < 2; i++) {
        uint32_t domid;
        struct move m;

        begin();
        start(&m, "web1", UUID);
        CU_ASSERT(greet(&m));
        CU_ASSERT_EQUAL(build(&m, configs[i][0], configs[i][1], &domid), -1);
        ends(&m, 1, "the source's configuration");
        CU_ASSERT_EQUAL(fake_host->xl_started, 0);
        end();
    }
}

/* CHECK at the source refuses it; a source that does not is no reason to build it. */
static void test_other_kind(void)
{
    uint32_t domid;
    struct move m;

    begin();
    fake_host->pv = true;
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), -1);
    ends(&m, 1, "(type=\"pv\") that this Xenferry cannot receive");
    CU_ASSERT_EQUAL(fake_host->xl_started, 0);
    end();
}

/* GO came, and Xen does not let the guest run: no receiver says that all is well. */
static void test_no_unpause(void)
{
    uint32_t domid = 0;
    struct move m;

    begin();
    fake_host->unpause_fails = true;
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), 0);
    CU_ASSERT_EQUAL(let_run(&m), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "cannot unpause"));
    ends(&m, 1, "cannot unpause");
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    CU_ASSERT_PTR_NOT_NULL(fake_host_at(domid));
    end();
}

/* --- other domains --- */

/* A domain of that name came into being since CHECK. */
static void test_came_since(void)
{
    uint32_t other, domid;
    struct move m;

    begin();
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    other = fake_host_add(COPY, UUID);
    fake_host_at(other)->introduced = true;
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), -1);
    ends(&m, 1, "has appeared there");
    CU_ASSERT_PTR_NOT_NULL(fake_host_at(other));
    CU_ASSERT_EQUAL(fake_host->xl_started, 0);
    end();
}

/* A stock receiver makes one of this name and uuid, and introduces it, just before our xl could. */
static void test_too_late(void)
{
    uint32_t domid;
    struct move m;

    begin();
    fake_host->xl = XL_TOO_LATE;
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "already exists"));
    ends(&m, 1, "already exists");
    CU_ASSERT_PTR_NOT_NULL(fake_host_find(COPY));
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    end();
}

/* xl made what it was not told to make; it is not filled, and xl alone takes it away. */
static void test_other_built(void)
{
    uint32_t domid;
    struct move m;

    begin();
    fake_host->xl = XL_OTHER;
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), -1);
    ends(&m, 1, "is not the one that xl was given to build");
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    end();
}

/* The copy is destroyed here while it is filled, and its number is another domain's soon. */
static void test_destroyed(void)
{
    uint32_t domid = 0;
    struct move m;

    begin();
    start(&m, "web1", UUID);
    CU_ASSERT(greet(&m));
    CU_ASSERT_EQUAL(build(&m, "web1", UUID, &domid), 0);
    kill(fake_host->xl_pid, SIGSTOP); /* which would destroy it by its number, once it is let go */
    strcpy(fake_host_at(domid)->name, "db1");
    strcpy(fake_host_at(domid)->uuid, OTHER_UUID);
    CU_ASSERT_EQUAL(hear(&m, XF_MSG_PONG), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(m.err.text, "is gone"));
    kill(fake_host->xl_pid, SIGKILL);
    ends(&m, 1, "is gone");
    CU_ASSERT_PTR_NOT_NULL(fake_host_find("db1"));
    CU_ASSERT_EQUAL(fake_host->destroyed, 0);
    end();
}

/* --- what it cannot do --- */

static void test_no_xen(void)
{
    struct move m;

    begin();
    fake_host->no_xen = true;
    start(&m, "web1", UUID);
    CU_ASSERT_FALSE(greet(&m));
    refused(&m, "receiver", "the destination cannot receive: cannot talk to Xen");
    ends(&m, 1, "cannot talk to Xen");
    end();
}

static void test_no_fork(void)
{
    struct move m;

    begin();
    setenv("NO_FORK", "1", 1);
    start(&m, "web1", UUID);
    unsetenv("NO_FORK");
    CU_ASSERT_FALSE(greet(&m));
    refused(&m, "receiver", "the destination cannot receive: cannot start the sink");
    ends(&m, 1, "cannot start the sink");
    end();
}

static void test_bad_uuid(void)
{
    struct move m;

    begin();
    start(&m, "web1", "not one");
    CU_ASSERT_FALSE(greet(&m));
    refused(&m, "receiver", "invalid uuid");
    ends(&m, 1, "invalid uuid");
    end();
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"a move", test_moves},
        {"sources of other versions", test_versions},
        {"a move that is given up", test_given_up},
        {"another domain's configuration", test_other_config},
        {"a kind of guest that cannot be received", test_other_kind},
        {"no unpause", test_no_unpause},
        {"a domain of its name came since CHECK", test_came_since},
        {"... and just before xl made one", test_too_late},
        {"another domain was built", test_other_built},
        {"the copy is destroyed", test_destroyed},
        {"no Xen", test_no_xen},
        {"no fork", test_no_fork},
        {"no uuid", test_bad_uuid},
        CU_TEST_INFO_NULL,
    };

    return receiving_main(argc, argv, "receiver", tests);
}
