/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What unit test programs share: see suite.h.
 */
#include "tests/unit/suite.h"

#include <stdio.h>
#include <string.h>

int run_suite(const char *name, CU_TestInfo *tests)
{
    CU_SuiteInfo suites[] = {{.pName = name, .pTests = tests}, CU_SUITE_INFO_NULL};
    int bad;

    setvbuf(stdout, NULL, _IOLBF, 0); /* a program that is killed has said how far it came */
    if (CU_initialize_registry() || CU_register_suites(suites))
        return 2;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    /* A suite that ran nothing has shown nothing. */
    bad = CU_get_number_of_failures() != 0 || CU_get_number_of_tests_run() == 0;
    CU_cleanup_registry();
    return bad;
}

void split_words(struct words *w, const char *first, const char *words)
{
    char *save = NULL;

    w->argc = 0;
    snprintf(w->line, sizeof(w->line), "%s %s", first, words);
    for (char *word = strtok_r(w->line, " ", &save); word && w->argc < WORDS_MAX;
         word = strtok_r(NULL, " ", &save))
        w->argv[w->argc++] = strcmp(word, "_") ? word : word + 1;
    w->argv[w->argc] = NULL;
}
