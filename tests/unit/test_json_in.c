/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON from elsewhere is read strictly, and with the same result by every json-c, whatever bytes
 * its strings hold. */
#include "transport/json_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suite.h"

static int open_text(struct xf_json *j, const char *text, struct xf_err *err)
{
    size_t len = strlen(text);
    char *exact = malloc(len); /* no NUL behind it: the sanitizer watches its end */
    int rc;

    CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
    memcpy(exact, text, len);
    rc = xf_json_open(j, exact, len, 4, "the text", err);
    free(exact);
    return rc;
}

static void test_bytes(void)
{
    static const char *const names[] = {"d\xc3\xbcne", "\xf0\x9f\x90\xa2", "\xff\x80", "x"};
    char text[80], out[40];
    struct xf_err err = {0};
    struct xf_json j;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(text, sizeof(text), "{\"name\": \"%s\", \"%s\": 5}", names[i], names[i]);
        CU_ASSERT_EQUAL_FATAL(open_text(&j, text, &err), 0);
        CU_ASSERT_EQUAL(xf_json_bytes(&j, "name", out, sizeof(out)), 0);
        CU_ASSERT_STRING_EQUAL(out, names[i]);
        CU_ASSERT(xf_json_has(&j, names[i]));
        xf_json_close(&j);
    }
}

/* What a parser takes that is not strict; each also beside a name that is not ASCII. Single quotes,
 * NaN and control characters in strings are not among it: not every json-c refuses those when
 * strict. */
static void test_strict(void)
{
    static const char *const bad[] = {
        "{%s\"a\": 1,}", "{%s\"a\": tRUE}",  "{%s\"a\": 01}",   "{%s\"a\": 1} /* */",
        "{%s\"a\": 1}x", "{%s\"a\": 1}\xc3", "{%s\"a\": \xc3}", "{%s\"a\": \"\\\xc3\"}",
    };
    static const char *const before[] = {"", "\"n\": \"\xc3\xbc\", "};
    char text[80];
    struct xf_json j;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (size_t k = 0; k < 2; k++) {
            struct xf_err err = {0};

            snprintf(text, sizeof(text), bad[i], before[k]);
            CU_ASSERT_EQUAL(open_text(&j, text, &err), -1);
            CU_ASSERT_EQUAL(err.num, EPROTO);
            CU_ASSERT_PTR_NULL(j.o);
        }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"bytes", test_bytes},
        {"strict", test_strict},
        CU_TEST_INFO_NULL,
    };

    return run_suite("json_in", tests);
}
