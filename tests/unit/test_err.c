/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of transport/err.c: filled once, wrapped in order, cut cleanly, one line.
 */
#include "transport/err.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <string.h>

static void test_fill_once(void)
{
    struct xf_err e = {0};

    CU_ASSERT(xf_fail(&e, ENOENT, "no %s", "page") == -1);
    CU_ASSERT(xf_fail(&e, EIO, "second") == -1);
    CU_ASSERT(e.num == ENOENT && !strcmp(e.text, "no page"));
    xf_clear(&e);
    CU_ASSERT(e.num == 0 && e.text[0] == '\0');
    xf_fail(&e, 0, "without a number");
    CU_ASSERT(e.num != 0);
}

/* Whose fault it is: settled where the error is made, and kept on its way up. */
static void test_whose(void)
{
    static const int peers[] = {EPROTO, EBADMSG};
    static const int ours[] = {EINVAL, EIO, ECONNRESET, ETIMEDOUT, ENOMEM, ECANCELED};
    struct xf_err e = {0}, other = {0};

    for (unsigned i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        CU_ASSERT(xf_fail(&e, ours[i], "x") == -1 && e.whose == XF_OURS);
        xf_clear(&e);
        CU_ASSERT(xf_fail_link(&e, ours[i], "x") == -1);
        CU_ASSERT(e.whose == XF_LINK && e.num == ours[i]);
        xf_clear(&e);
        CU_ASSERT(e.whose == XF_OURS);
        CU_ASSERT(xf_fail_peer(&e, ours[i], "x") == -1);
        CU_ASSERT(e.whose == XF_PEER && e.num == ours[i]);
        xf_clear(&e);
    }
    for (unsigned i = 0; i < 2; i++) {
        xf_fail(&e, peers[i], "x");
        CU_ASSERT_EQUAL(e.whose, XF_PEER);
        xf_clear(&e);
        xf_fail_link(&e, peers[i], "what a system call said");
        CU_ASSERT_EQUAL(e.whose, XF_LINK);
        xf_clear(&e);
    }
    xf_fail_link(&e, ECONNRESET, "cut");
    xf_fail(&e, EPROTO, "what came of it");
    xf_fail_peer(&e, EIO, "what came of it");
    xf_wrap(&e, "channel %d", 1);
    CU_ASSERT(e.whose == XF_LINK && e.num == ECONNRESET && !strcmp(e.text, "channel 1: cut"));
    CU_ASSERT_EQUAL(xf_fail_as(&other, &e, "%s, again", "lost"), -1);
    CU_ASSERT(other.whose == XF_LINK && other.num == ECONNRESET &&
              !strcmp(other.text, "lost, again"));
}

static void test_null(void)
{
    CU_ASSERT(xf_fail(NULL, EIO, "x") == -1);
    CU_ASSERT(xf_wrap(NULL, "x") == -1);
    CU_ASSERT(xf_fail_link(NULL, EIO, "x") == -1 && xf_fail_peer(NULL, EIO, "x") == -1);
    xf_clear(NULL);
}

static void test_wrap(void)
{
    struct xf_err e = {0};

    CU_ASSERT(xf_wrap(&e, "nothing there") == -1 && e.text[0] == '\0');
    xf_fail(&e, EIO, "disk");
    xf_wrap(&e, "reading %d", 5);
    xf_wrap(&e, "copy");
    CU_ASSERT(e.num == EIO && !strcmp(e.text, "copy: reading 5: disk"));
}

static void test_long(void)
{
    struct xf_err e = {0};
    char big[2 * XF_ERR_TEXT];
    int i;

    memset(big, 'a', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    xf_fail(&e, EIO, "%s", big);
    CU_ASSERT(strlen(e.text) == XF_ERR_TEXT - 1);
    xf_wrap(&e, "front");
    CU_ASSERT(!strncmp(e.text, "front: aaa", 10) && strlen(e.text) == XF_ERR_TEXT - 1);
    xf_wrap(&e, "%s", big);
    CU_ASSERT(strlen(e.text) == XF_ERR_TEXT - 1);

    /* a character of 2, 3 and 4 bytes across the end, at each offset */
    for (i = 0; i < 4; i++) {
        static const char *const chars[] = {"\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x90\xa2"};
        int k;

        for (k = 0; k < 3; k++) {
            size_t n = strlen(chars[k]);

            memset(big, 'a', sizeof(big));
            memcpy(big + XF_ERR_TEXT - 1 - i, chars[k], n);
            big[sizeof(big) - 1] = '\0';
            xf_clear(&e);
            xf_fail(&e, EIO, "%s", big);
            /* it is there whole, or not at all */
            if ((size_t)i < n)
                CU_ASSERT(strlen(e.text) == XF_ERR_TEXT - 1 - (size_t)i);
            if ((size_t)i >= n)
                CU_ASSERT(strlen(e.text) == XF_ERR_TEXT - 1);
        }
    }
}

static void test_one_line(void)
{
    struct xf_err e = {0};

    xf_fail(&e, EIO, "two\nlines\tand \x1b[31m\x7f");
    CU_ASSERT(!strcmp(e.text, "two lines and ?[31m?"));
    xf_wrap(&e, "b\xc3\xbc\n");
    CU_ASSERT(!strncmp(e.text, "b\xc3\xbc : two", 9));
}

int main(void)
{
    unsigned failed;
    CU_pSuite s;

    if (CU_initialize_registry())
        return 2;
    s = CU_add_suite("err", NULL, NULL);
    if (!s || !CU_add_test(s, "filled once", test_fill_once) ||
        !CU_add_test(s, "whose fault", test_whose) || !CU_add_test(s, "NULL allowed", test_null) ||
        !CU_add_test(s, "wrapped", test_wrap) || !CU_add_test(s, "cut cleanly", test_long) ||
        !CU_add_test(s, "one line", test_one_line))
        return 2;
    CU_basic_run_tests();
    failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
