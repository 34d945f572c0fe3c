/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Absent pages of a process guest (struct xf_pager_ops).
 *
 * userfaultfd reports every first touch of a page without memory, absent or not: a page that the
 * guest balloons in does not concern the engine and gets zeros here. An absent page that the guest
 * releases is reported as dropped. One lock makes an event and the handling of its page atomic: a
 * page is put in before its event is read, or after, never between the event and its consequences.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/procguest/sink.h"
#include "tests/procguest/uffd.h"
#include "tests/procguest/view.h"

#define PAGE XF_PAGE_SIZE

static struct pg_sink *of(struct xf_sink_vm *vm)
{
    return (struct pg_sink *)vm;
}

static int gone(struct pg_sink *s, struct xf_err *err)
{
    atomic_store(&s->gone, true);
    return xf_fail(err, ESRCH, "the guest is gone");
}

static bool is_gone(const struct pg_sink *s)
{
    struct pollfd p = {.fd = s->pidfd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static int enable(struct xf_sink_vm *vm, struct xf_err *err)
{
    struct pg_sink *s = of(vm);
    struct epoll_event e = {.events = EPOLLIN};

    s->uffd = uffd_borrow(s->g->pid, s->g->uffd);
    s->pidfd = (int)syscall(SYS_pidfd_open, s->g->pid, 0);
    s->again = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->uffd < 0 || s->pidfd < 0 || s->again < 0 || s->epoll < 0 ||
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->uffd, &e) ||
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->pidfd, &e) ||
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->again, &e) ||
        uffd_register(s->uffd, s->g->mem, vm->nr_gfns * PAGE, true))
        return xf_fail(err, errno, "no page can be absent here: %s; userfaultfd needs root",
                       strerror(errno));
    return 0;
}

static int read_events(struct pg_sink *s, struct xf_err *err);

/*
 * Nothing is registered any more, so no new event about released memory begins. A thread that had
 * begun one waits until it is read, and may not even have queued it yet; the kernel refuses to put
 * pages in (EAGAIN) as long as there is one.
 */
static int read_last_events(struct pg_sink *s, struct xf_err *err)
{
    int rc;

    pthread_mutex_lock(&s->lock);
    do
        rc = read_events(s, err);
    while (!rc && !uffd_put(s->uffd, s->g->mem, NULL, PAGE) && errno == EAGAIN);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static int disable(struct xf_sink_vm *vm, struct xf_err *err)
{
    struct pg_sink *s = of(vm);
    size_t len = vm->nr_gfns * PAGE;

    if (uffd_unregister(s->uffd, s->g->mem, len))
        return errno == ESRCH || is_gone(s) ? gone(s, err) : xf_fail(err, errno, "unregister");
    if (read_last_events(s, err))
        return -1;
    /* The kernel (6.18) wakes the waiting threads before it removes the registration: a thread
     * that faults again in between would sleep for ever. */
    return uffd_wake(s->uffd, s->g->mem, len) && is_gone(s) ? gone(s, err) : 0;
}

static int mark(struct xf_view *v, const uint64_t *gfns, unsigned n, uint8_t *refused,
                struct xf_err *err)
{
    (void)refused;
    for (unsigned i = 0; i < n; i++) {
        if (!v->g->has[gfns[i]] || v->g->late[gfns[i]])
            return xf_fail(err, EINVAL, "gfn 0x%llx has no memory to lose",
                           (unsigned long long)gfns[i]);
        v->g->late[gfns[i]] = 1;
    }
    return pg_punch(v->g, gfns, n, err);
}

static int fault_fd(struct xf_sink_vm *vm)
{
    return of(vm)->epoll;
}

/* With the lock. The guest touches a page that has no contents to wait for. */
static int give_zeros(struct pg_sink *s, uint64_t gfn, struct xf_err *err)
{
    uint8_t *page = s->g->mem + gfn * PAGE;

    if (uffd_put(s->uffd, page, NULL, PAGE) == PAGE)
        return 0;
    /* EEXIST: it was put in before its event was read. EAGAIN: more events are waiting, and the
     * guest will fault again after them. ENOENT: disable() ran in between. */
    if (errno == EEXIST || errno == EAGAIN || (errno == ENOENT && !is_gone(s)))
        return uffd_wake(s->uffd, page, PAGE) && is_gone(s) ? gone(s, err) : 0;
    if (errno == ESRCH || is_gone(s))
        return gone(s, err);
    return xf_fail(err, errno, "cannot give the guest a page: %s", strerror(errno));
}

static int add_found(struct pg_sink *s, uint64_t gfn, bool dropped, struct xf_err *err)
{
    if (s->nr_found == s->max_found) {
        unsigned max = s->max_found ? 2 * s->max_found : 256;
        struct xf_fault *more = reallocarray(s->found, max, sizeof(*more));

        if (!more)
            return xf_fail(err, ENOMEM, "out of memory for what the guest does");
        s->found = more;
        s->max_found = max;
    }
    s->found[s->nr_found++] = (struct xf_fault){.gfn = gfn, .dropped = dropped};
    return 0;
}

/* With the lock: read all events of userfaultfd. */
static int read_events(struct pg_sink *s, struct xf_err *err)
{
    for (;;) {
        uint64_t addr = 0, len = 0, gfn;
        int kind = uffd_event(s->uffd, &addr, &len);

        if (kind == 0)
            return 0;
        if (kind < 0)
            return is_gone(s) ? gone(s, err)
                              : xf_fail(err, errno, "userfaultfd: %s", strerror(errno));
        gfn = (addr - (uintptr_t)s->g->mem) / PAGE;
        if (kind == 1) {
            if (s->g->late[gfn] ? add_found(s, gfn, false, err) : give_zeros(s, gfn, err))
                return -1;
            continue;
        }
        for (; len; len -= PAGE, gfn++) {
            if (!s->g->late[gfn])
                continue;
            s->g->late[gfn] = 0;
            if (add_found(s, gfn, true, err))
                return -1;
        }
    }
}

static int read_faults(struct xf_sink_vm *vm, struct xf_fault *list, unsigned max,
                       struct xf_err *err)
{
    struct pg_sink *s = of(vm);
    unsigned n = 0;
    uint64_t ignored;
    int rc;

    pthread_mutex_lock(&s->lock);
    if (read(s->again, &ignored, sizeof(ignored)) < 0)
        ignored = 0;
    rc = read_events(s, err);
    if (!rc && !s->nr_found && is_gone(s))
        rc = gone(s, err);
    if (!rc) {
        n = s->nr_found < max ? s->nr_found : max;
        s->nr_found -= n;
    }
    if (n) {
        memcpy(list, s->found, n * sizeof(*list));
        memmove(s->found, s->found + n, s->nr_found * sizeof(*s->found));
    }
    pthread_mutex_unlock(&s->lock);
    return rc ? -1 : (int)n;
}

/* With the lock: put in the absent pages of [gfn, gfn + n); from: NULL for zeros. */
static int put_run(struct pg_sink *s, uint64_t gfn, const uint8_t *from, unsigned n,
                   struct xf_err *err)
{
    const uint64_t one = 1;

    while (n) {
        uint8_t *page = s->g->mem + gfn * PAGE;
        unsigned len = 0, done;

        while (len < n && s->g->late[gfn + len])
            len++;
        if (!len) { /* dropped meanwhile */
            done = 1;
        } else {
            done = (unsigned)(uffd_put(s->uffd, page, from, (size_t)len * PAGE) / PAGE);
            for (unsigned i = 0; i < done; i++)
                s->g->late[gfn + i] = 0;
        }
        if (!done && errno == EAGAIN) {
            /* The guest is releasing pages, and waits until these events have been read. */
            if (read_events(s, err))
                return -1;
            sched_yield(); /* it may not have noticed yet */
            if (write(s->again, &one, sizeof(one)) < 0)
                return xf_fail(err, errno, "eventfd: %s", strerror(errno));
            continue;
        }
        if (!done && (errno == ESRCH || is_gone(s)))
            return gone(s, err);
        if (!done)
            return xf_fail(err, errno, "cannot put gfn 0x%llx in: %s", (unsigned long long)gfn,
                           strerror(errno));
        gfn += done;
        n -= done;
        if (from)
            from += (size_t)done * PAGE;
    }
    return 0;
}

static int put(struct xf_view *v, const uint64_t *gfns, const uint8_t *const *pages, unsigned n,
               struct xf_err *err)
{
    struct pg_sink *s = v->owner;
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0, len; i < n && !rc; i += len) {
        len = 1;
        while (i + len < n && gfns[i + len] == gfns[i] + len &&
               pages[i + len] == (pages[i] ? pages[i] + (size_t)len * PAGE : NULL))
            len++;
        rc = put_run(s, gfns[i], pages[i], len, err);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

const struct xf_pager_ops pg_pager_ops = {
    .enable = enable,
    .mark = mark,
    .fault_fd = fault_fd,
    .read_faults = read_faults,
    .put = put,
    .disable = disable,
};
