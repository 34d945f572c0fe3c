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
 */
#ifndef XF_ERR_H
#define XF_ERR_H

#define XF_ERR_TEXT 480

struct xf_err {
    int num;                /* errno value, 0 = no error */
    char text[XF_ERR_TEXT]; /* one sentence, clean (text.h) */
};

/* Fill `err` unless it already holds an error. Always returns -1. */
int xf_fail(struct xf_err *err, int num, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "fmt...: " in front of the sentence already there. Always returns -1. */
int xf_wrap(struct xf_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__
/* It looks at one file at a time and would follow "failed, yet 0 was returned". */
#define xf_fail(...) ((void)(xf_fail)(__VA_ARGS__), -1)
#define xf_wrap(...) ((void)(xf_wrap)(__VA_ARGS__), -1)
#endif

/* Forget an error, so that the struct can be used again. */
void xf_clear(struct xf_err *err);

#endif
