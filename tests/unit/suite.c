/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The main() of a unit test program that is one CUnit suite.
 */
#include "tests/unit/suite.h"

int run_suite(const char *name, CU_TestInfo *tests)
{
    CU_SuiteInfo suites[] = {{.pName = name, .pTests = tests}, CU_SUITE_INFO_NULL};
    int bad;

    if (CU_initialize_registry() || CU_register_suites(suites))
        return 2;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    /* A suite that ran nothing has shown nothing. */
    bad = CU_get_number_of_failures() != 0 || CU_get_number_of_tests_run() == 0;
    CU_cleanup_registry();
    return bad;
}
