/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Namespaces of a test's own, with root's rights in them: for any user where the kernel permits
 * user namespaces.
 */
#ifndef XF_TEST_OWN_NS_H
#define XF_TEST_OWN_NS_H

/*
 * Enter new namespaces (CLONE_NEWNET, CLONE_NEWNS: mounts made there stay there); call before there
 * is a second thread. Returns 0, or, after printing the reason, the exit status for main(): 77,
 * that of a test that cannot run, or 2 for root, who should have been able to.
 */
int own_namespaces(int flags);

#endif
