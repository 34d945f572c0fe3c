/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two threads on the way of a page request: a guest waits while they wait for a processor.
 */
#ifndef XF_URGENT_H
#define XF_URGENT_H

/*
 * The calling thread, for as long as it lives, goes before others of its process and machine
 * (nice -10): it is woken by a request, does its few microseconds and sleeps again. It asks for
 * slices no longer than that, so that it need not wait for the end of another's (Linux 6.12,
 * kernel/sched/fair.c, PREEMPT_SHORT; older ones take the nice value alone). Without the right to
 * do so it stays as it is; that is no error.
 */
void xf_urgent_thread(void);

#endif
