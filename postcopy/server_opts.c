/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test switch of PULL at the source, XENFERRY_PULL: see server.h. Without the variable it
 * costs one look-up in the environment. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "postcopy/server.h"
#include "transport/test_env.h"

#define QUIET_S 30
#define QUIET_MAX_S 3600

/* word has len bytes and is not terminated. */
static int take_word(const char *word, size_t len, struct xf_server_opts *opts)
{
    static const char no_push[] = "no-push";
    size_t n = sizeof(no_push) - 1;
    char *end;
    long s = QUIET_S;

    if (len == strlen("linear") && !strncmp(word, "linear", len)) {
        opts->linear = true;
        return 0;
    }
    if (len < n || strncmp(word, no_push, n))
        return -1;
    if (len > n) {
        if (word[n] != '=' || word[n + 1] < '0' || word[n + 1] > '9')
            return -1;
        s = strtol(word + n + 1, &end, 10);
        if (end != word + len || s < 1 || s > QUIET_MAX_S)
            return -1;
    }
    opts->quiet_ms = (int)s * 1000;
    return 0;
}

int xf_server_opts_env(struct xf_server_opts *opts, struct xf_err *err)
{
    return xf_server_opts_words(xf_test_env("XENFERRY_PULL"), opts, err);
}

int xf_server_opts_words(const char *word, struct xf_server_opts *opts, struct xf_err *err)
{
    while (word && *word) {
        size_t len = strcspn(word, ",");

        if (take_word(word, len, opts))
            return xf_fail(err, EINVAL,
                           "XENFERRY_PULL takes linear, no-push and no-push=N (1 to %d seconds), "
                           "separated by commas, not \"%.40s\": unset it or correct it",
                           QUIET_MAX_S, word);
        word += len;
        word += *word == ',';
    }
    return 0;
}
