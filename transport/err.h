/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The error convention of the whole tree.
 *
 * A function that can fail returns 0 on success and -1 on failure, and takes a `struct xf_err *` as
 * its last parameter. On failure it has filled that struct exactly once: an errno value for
 * programs and one sentence for people, which names the remedy where there is one. Callers may
 * prefix the sentence (xf_wrap) on its way up. Nobody below tools/ prints an error; tools/ prints
 * it exactly once. After a failure an object may only be closed, unless its header says otherwise.
 *
 * `err` may be NULL where the caller does not care.
 *
 * `whose` (whose fault it is) is set where the error is made and travels with it. It alone decides
 * whether another connection is tried: in COPY for XF_LINK; in PULL, where the guest depends on it,
 * for all but XF_OURS.
 *
 * Most errno values are only reported. Callers act on these:
 *   EPROTO, EBADMSG   received data is invalid, whoever detects it: always XF_PEER
 *   ECANCELED         cancelled by the user or another thread: no alternative is tried
 *   ENOMEM            in PULL at the sink: no memory for a page; the guest waits for some
 *   ESRCH, EBUSY      from a guest's ops (pages/vm.h): the guest is gone; somebody else let it run
 *   ECONNREFUSED, EACCES, EPROTO, ETIME, ECONNRESET, EPIPE
 *                     from connect (transport.h): who listens there (postcopy/gone.h)
 *   EEXIST            from accept (transport.h): the channel is connected already
 *   EPROTONOSUPPORT   from TCP: the host's crypto policy forbids it
 * The header of a call says which of them it promises. The errno in an ERROR message is the peer's:
 * it is reported to the user, and in PULL ENOMEM means the same as above.
 *
 * A call that waits for a limited time returns XF_AGAIN when that time is over. Nothing has failed,
 * `err` is untouched, and the call may be repeated. XF_AGAIN has no other meaning.
 */
#ifndef XF_ERR_H
#define XF_ERR_H

#define XF_ERR_TEXT 480
#define XF_AGAIN 1

enum xf_whose {
    XF_OURS, /* this host's or this program's, or the user cancelled */
    XF_LINK, /* the connection broke, or was given up on this side */
    XF_PEER, /* the peer sent something invalid, or reported that it cannot go on */
};

struct xf_err {
    int num;                /* errno value, 0 = no error */
    enum xf_whose whose;    /* XF_OURS while there is no error */
    char text[XF_ERR_TEXT]; /* one sentence, clean (text.h) */
};

/* Fill `err` unless it already holds an error. Always returns -1. The fault is XF_OURS, but see
 * EPROTO. */
int xf_fail(struct xf_err *err, int num, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with fault XF_LINK, and with XF_PEER. */
int xf_fail_link(struct xf_err *err, int num, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int xf_fail_peer(struct xf_err *err, int num, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with the number and the fault of another error, but a new sentence. */
int xf_fail_as(struct xf_err *err, const struct xf_err *why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "fmt...: " in front of the sentence already there. Always returns -1. */
int xf_wrap(struct xf_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__
/* The analyzer sees one file at a time and would follow paths on which these return 0. */
#define xf_fail(...) ((void)(xf_fail)(__VA_ARGS__), -1)
#define xf_fail_link(...) ((void)(xf_fail_link)(__VA_ARGS__), -1)
#define xf_fail_peer(...) ((void)(xf_fail_peer)(__VA_ARGS__), -1)
#define xf_fail_as(...) ((void)(xf_fail_as)(__VA_ARGS__), -1)
#define xf_wrap(...) ((void)(xf_wrap)(__VA_ARGS__), -1)
#endif

/* Forget an error, so that the struct can be used again. */
void xf_clear(struct xf_err *err);

#endif
