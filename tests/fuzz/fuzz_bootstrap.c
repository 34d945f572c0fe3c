/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for the bytes of the bootstrap pipe before anybody reads JSON: the banner
 * behind a login's noise, preamble and frames, and the look at the first bytes that decides whose
 * receiver a pipe gets. The first byte chooses. Beyond "no crash": each says what a few lines
 * here say of the same bytes, and leaves in the pipe what is not its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libxl-ext/peer/bootstrap.h"
#include "tests/fuzz/target.h"
#include "tests/unit/hello_seeds.h"
#include "tools/peek.h"
#include "transport/bytes.h"

enum { BANNER, NO_BANNER, HELLO, REPLY, CUT_OFF, PEEKED, NOT_OURS };

#define SIZE_MAX_ 60000u /* what a pipe takes without a reader */
#define WAIT_MS 10000    /* never: the writing end is closed */

/* A pipe (or a socket) that holds these bytes and their end. */
static void fuzz_pipe(int fd[2], bool socket, const uint8_t *bytes, size_t len)
{
    MUST(!(socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, fd) : pipe2(fd, O_CLOEXEC)));
    MUST(write(fd[1], bytes, len) == (ssize_t)len);
    close(fd[1]);
}

/* What is still in it: these bytes, and no more. */
static void fuzz_left(int fd, const uint8_t *bytes, size_t len)
{
    static uint8_t buf[SIZE_MAX_ + 1];
    size_t have = 0;
    ssize_t n;

    while ((n = read(fd, buf + have, sizeof(buf) - have)) > 0)
        have += (size_t)n;
    MUST(have == len && (!len || !memcmp(buf, bytes, len)));
}

static void fuzz_banner(const uint8_t *data, size_t len)
{
    const uint8_t *at = memmem(data, len, XF_XL_BANNER, strlen(XF_XL_BANNER));
    struct xf_err err = {0};
    struct xf_pipe p = {.out = -1};
    int fd[2], rc;

    fuzz_pipe(fd, false, data, len);
    p.in = fd[0];
    rc = xf_pipe_await_banner(&p, WAIT_MS, NULL, &err);
    MUST((rc == 0) == (at != NULL));
    MUST(!rc || (err.num == ECONNRESET && err.text[0]));
    if (!rc) {
        at += strlen(XF_XL_BANNER);
        fuzz_left(fd[0], at, len - (size_t)(at - data));
    }
    fuzz_reached(rc ? NO_BANNER : BANNER);
    close(fd[0]);
}

static void fuzz_frame(const uint8_t *data, size_t len, bool hello)
{
    size_t head = hello ? XF_PREAMBLE_BYTES : 0, frame = 0;
    static struct xf_reply r;
    struct xf_err err = {0};
    struct xf_pipe p = {.out = -1};
    struct xf_hello h;
    int fd[2], rc;

    fuzz_pipe(fd, false, data, len);
    p.in = fd[0];
    rc = hello ? xf_hello_receive(&p, &h, WAIT_MS, &err)
               : xf_reply_receive(&p, &r, WAIT_MS, NULL, &err);
    if (len >= head + 4)
        frame = get_le32(data + head);
    if (rc) {
        MUST(rc == -1 && err.num && err.text[0]);
        if (err.num == ECONNRESET)
            fuzz_reached(CUT_OFF);
    } else {
        MUST(frame && frame <= XF_FRAME_MAX && head + 4 + frame <= len);
        MUST(!hello || !memcmp(data, XF_PREAMBLE, strlen(XF_PREAMBLE)));
        fuzz_left(fd[0], data + head + 4 + frame, len - head - 4 - frame);
        fuzz_reached(hello ? HELLO : REPLY);
        if (hello)
            xf_hello_free(&h);
    }
    close(fd[0]);
}

static void fuzz_peek(const uint8_t *data, size_t len, bool socket)
{
    static const char prefix[] = XF_PREAMBLE;
    size_t n = strlen(prefix);
    struct xf_err err = {0};
    int fd[2], rc;

    fuzz_pipe(fd, socket, data, len);
    MUST(peek_possible(fd[0]));
    rc = peek_prefix(fd[0], prefix, n, &err);
    MUST(rc == (len >= n && !memcmp(data, prefix, n)) && !err.num);
    fuzz_left(fd[0], data, len);
    fuzz_reached(rc ? PEEKED : NOT_OURS);
    close(fd[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > SIZE_MAX_)
        return 0;
    switch (data[0] % 5) {
    case 0:
        if (size < 4096) /* it is read byte by byte */
            fuzz_banner(data + 1, size - 1);
        break;
    case 1:
    case 2:
        fuzz_frame(data + 1, size - 1, data[0] % 5 == 1);
        break;
    default:
        fuzz_peek(data + 1, size - 1, data[0] % 5 == 4);
    }
    return 0;
}

/* --- seeds --- */

static size_t put_frame(uint8_t *out, const char *json)
{
    put_le32(out, (uint32_t)strlen(json));
    memcpy(out + 4, json, strlen(json));
    return 4 + strlen(json);
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static const char banner[] = "Last login: today\r\nxl migration\n" XF_XL_BANNER "and more";
    uint8_t *at = out + 1;

    out[0] = (uint8_t)n;
    memset(at, 0, XF_PREAMBLE_BYTES);
    memcpy(at, XF_PREAMBLE, strlen(XF_PREAMBLE));
    switch (n) {
    case 0:
        memcpy(at, banner, sizeof(banner));
        return 1 + sizeof(banner);
    case 1:
        return 1 + XF_PREAMBLE_BYTES + put_frame(at + XF_PREAMBLE_BYTES, SEED_HELLO);
    case 2:
        return 1 + put_frame(at, SEED_REPLY);
    case 3:
    case 4:
        return 1 + XF_PREAMBLE_BYTES;
    case 5: /* stops within the banner, and within a frame */
        memcpy(at, XF_XL_BANNER, 20);
        return 21;
    case 6:
        return 1 + XF_PREAMBLE_BYTES + put_frame(at + XF_PREAMBLE_BYTES, SEED_HELLO) - 7;
    case 8:
        at[3] ^= 1;
        return 1 + XF_PREAMBLE_BYTES;
    case 7: /* a frame of 4 GiB */
        put_le32(at, UINT32_MAX);
        return 9;
    }
    return 0;
}

FUZZ_TARGET(fuzz_seed, "the banner comes", "it does not", "a hello is received",
            "a reply is received", "a frame is cut off", "a pipe begins with our preamble",
            "a pipe does not")
