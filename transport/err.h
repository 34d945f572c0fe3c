/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The error convention of the whole tree.
 *
 * A function that can fail returns 0 on success and -1 on failure, and takes a
 * `struct xf_err *` as its last parameter. On failure it has filled that struct
 * exactly once: an errno value for programs and one sentence for people, which
 * names the remedy where there is one. Callers may put words in front of the
 * sentence (xf_wrap) on its way up. Nobody below tools/ prints an error; tools/
 * prints it exactly once. After a failure an object may only be closed, unless
 * its header says otherwise.
 *
 * `err` may be NULL where the caller does not care.
 *
 * Whose fault it is (`whose`) is settled where the error is made, and travels with it. Whether
 * another connection may help is decided by this alone: in COPY for XF_LINK; in PULL, where the
 * guest depends on it, for all but XF_OURS.
 *
 * Most numbers are only for the report. Those that a caller acts upon:
 *   EPROTO, EBADMSG   what was received is wrong, whoever finds it: always XF_PEER
 *   ECANCELED         the user, or another thread, called it off: nothing else is tried instead
 *   ENOMEM            in PULL at the sink: there was no memory for a page; the guest waits for some
 *   ESRCH, EBUSY      from a guest's ops (pages/vm.h): it is gone; somebody else let it run
 *   ECONNREFUSED, EACCES, EPROTO, ETIME, ECONNRESET, EPIPE
 *                     from connect (transport.h): who is there (postcopy/gone.h)
 *   EEXIST            from accept (transport.h): the channel is there already
 *   EPROTONOSUPPORT   from TCP: the host's crypto policy forbids it
 * The header of a call says which of them it promises. A number in an ERROR message is the peer's:
 * it is told to the user, and in PULL ENOMEM means the same as above.
 *
 * A call that waits for a limited time returns XF_AGAIN when that is over: not yet. Nothing has
 * failed, `err` is untouched, and it may be called again. It means nothing else.
 */
#ifndef XF_ERR_H
#define XF_ERR_H

#define XF_ERR_TEXT 480
#define XF_AGAIN 1

enum xf_whose {
    XF_OURS, /* this host's or this program's, or the user called it off */
    XF_LINK, /* the connection broke, or was given up on this side */
    XF_PEER, /* the peer said something wrong, or said that it cannot go on */
};

struct xf_err {
    int num;                /* errno value, 0 = no error */
    enum xf_whose whose;    /* XF_OURS while there is no error */
    char text[XF_ERR_TEXT]; /* one sentence, clean (text.h) */
};

/* Fill `err` unless it already holds an error. Always returns -1. XF_OURS, but see EPROTO. */
int xf_fail(struct xf_err *err, int num, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for the connection's fault, and for the peer's. */
int xf_fail_link(struct xf_err *err, int num, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int xf_fail_peer(struct xf_err *err, int num, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with the number and the fault of another error, in other words. */
int xf_fail_as(struct xf_err *err, const struct xf_err *why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "fmt...: " in front of the sentence already there. Always returns -1. */
int xf_wrap(struct xf_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__
/* It looks at one file at a time and would follow "failed, yet 0 was returned". */
#define xf_fail(...) ((void)(xf_fail)(__VA_ARGS__), -1)
#define xf_fail_link(...) ((void)(xf_fail_link)(__VA_ARGS__), -1)
#define xf_fail_peer(...) ((void)(xf_fail_peer)(__VA_ARGS__), -1)
#define xf_fail_as(...) ((void)(xf_fail_as)(__VA_ARGS__), -1)
#define xf_wrap(...) ((void)(xf_wrap)(__VA_ARGS__), -1)
#endif

/* Forget an error, so that the struct can be used again. */
void xf_clear(struct xf_err *err);

#endif
