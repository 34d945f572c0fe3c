/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The main() of a unit test program that is one CUnit suite.
 */
#ifndef XF_TEST_SUITE_H
#define XF_TEST_SUITE_H

#include <CUnit/Basic.h>

/* Run them and return an exit status. `tests` ends with CU_TEST_INFO_NULL. */
int run_suite(const char *name, CU_TestInfo *tests);

#endif
