/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared by unit test programs: the main() of one CUnit suite, command lines.
 */
#ifndef XF_TEST_SUITE_H
#define XF_TEST_SUITE_H

#include <CUnit/Basic.h>

/* Run the tests and return an exit status. `tests` ends with CU_TEST_INFO_NULL. */
int run_suite(const char *name, CU_TestInfo *tests);

/* A command line: `first`, then `words` split at blanks ("_" stands for an empty one). */
#define WORDS_MAX 60
struct words {
    int argc;
    char *argv[WORDS_MAX + 1];
    char line[400];
};
void split_words(struct words *w, const char *first, const char *words);

#endif
