/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two threads that handle a page request: a guest waits while they wait for a processor.
 */
#ifndef XF_URGENT_H
#define XF_URGENT_H

/*
 * Give the calling thread, for its lifetime, priority over others of its process and machine (nice
 * -10): a request wakes it, it works for a few microseconds and sleeps again. It asks for time
 * slices no longer than that, so that it need not wait for the end of another thread's (Linux 6.12,
 * kernel/sched/fair.c, PREEMPT_SHORT; older kernels use the nice value alone). Without the
 * privilege the thread stays as it is; that is no error.
 */
void xf_urgent_thread(void);

#endif
