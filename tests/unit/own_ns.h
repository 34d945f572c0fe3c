/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Namespaces of a test's own, with root's rights in them: for anybody where the kernel lets users
 * have user namespaces.
 */
#ifndef XF_TEST_OWN_NS_H
#define XF_TEST_OWN_NS_H

/*
 * Into new namespaces (CLONE_NEWNET, CLONE_NEWNS: mounts made there stay there), before there is a
 * second thread. 0, or the exit status that main() returns, after a line that says why: 77, that of
 * a test that cannot run, or 2 for root, who should have been able to.
 */
int own_namespaces(int flags);

#endif
