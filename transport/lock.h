/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locks whose use clang checks (-Wthread-safety, in `make lint`): which members a lock guards, and
 * which functions need it. In every other build these are plain pthread calls.
 *
 * In C an attribute of a member cannot name another member. So a lock has a role, named by
 * XF_LOCK_ROLE() beside its struct, and members and functions name the role: clang checks that such
 * a lock is held, but not which object's. Waiting on a condition is plain pthread_cond_wait().
 */
#ifndef XF_LOCK_H
#define XF_LOCK_H

#include <pthread.h>

#ifdef XF_CHECK_LOCKS
#define XF_ATTRIBUTE(...) __attribute__((__VA_ARGS__))
struct XF_ATTRIBUTE(capability("lock")) xf_lock_role {
    int unused;
};
#define XF_LOCK_ROLE(role) extern struct xf_lock_role role
void xf_role_take(struct xf_lock_role *r) XF_ATTRIBUTE(acquire_capability(r));
void xf_role_share(struct xf_lock_role *r) XF_ATTRIBUTE(acquire_shared_capability(r));
void xf_role_leave(struct xf_lock_role *r) XF_ATTRIBUTE(release_generic_capability(r));
#else
#define XF_ATTRIBUTE(...)
#define XF_LOCK_ROLE(role) struct xf_lock_role
#define xf_role_take(r) ((void)0)
#define xf_role_share(r) ((void)0)
#define xf_role_leave(r) ((void)0)
#endif

/* On a member: used only with this lock held. */
#define XF_GUARDED(role) XF_ATTRIBUTE(guarded_by(role))
/* Before a function: the caller holds the lock. */
#define XF_NEEDS(role) XF_ATTRIBUTE(requires_capability(role))
/* Before a function: no other thread knows the object, so it needs no lock. */
#define XF_ALONE XF_ATTRIBUTE(no_thread_safety_analysis)

#define xf_lock(mutex, role) (pthread_mutex_lock(mutex), xf_role_take(&(role)))
#define xf_unlock(mutex, role) (xf_role_leave(&(role)), pthread_mutex_unlock(mutex))
#define xf_rdlock(rwlock, role) (pthread_rwlock_rdlock(rwlock), xf_role_share(&(role)))
#define xf_wrlock(rwlock, role) (pthread_rwlock_wrlock(rwlock), xf_role_take(&(role)))
#define xf_rwunlock(rwlock, role) (xf_role_leave(&(role)), pthread_rwlock_unlock(rwlock))

#endif
