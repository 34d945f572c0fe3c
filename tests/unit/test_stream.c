/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The skeleton's stream, read back by a parser of its own (written from Xen's
 * specifications, not from stream.c) and by Xen's verify-stream-v2 where it is installed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxl-ext/libxl_ext.h"
#include "libxl-ext/sink/stream.h"
#include "tests/unit/suite.h"

static const char config[] = "{\"c_info\":{\"type\":\"pvh\",\"name\":\"t\"},\"b_info\":{}}";
static uint8_t cpuid[3 * 24], msrs[2 * 16], context[1001]; /* an odd length: padded */
static struct xf_skeleton skeleton;

static struct xf_state state;

/* The payload of a skeleton as it came, taken apart. */
static int build_stream(void **out, size_t *len, struct xf_err *err)
{
    const struct xf_skeleton_parts p = {.skeleton = &skeleton, .config = config, .state = &state};
    uint8_t payload[sizeof(config) + sizeof(cpuid) + sizeof(msrs) + sizeof(context)], *at = payload;
    int rc;

    memcpy(at, config, skeleton.config_len);
    memcpy(at += skeleton.config_len, cpuid, skeleton.cpuid_len);
    memcpy(at += skeleton.cpuid_len, msrs, skeleton.msr_len);
    memcpy(at + skeleton.msr_len, context, skeleton.ctx_len);
    rc = xf_stream_parts(&skeleton, payload, &state, err);
    if (!rc)
        rc = xf_stream_build(&p, out, len, err);
    xf_state_free(&state);
    return rc;
}

static void fill(void)
{

    memset(cpuid, 0xc1, sizeof(cpuid));
    memset(msrs, 0, sizeof(msrs));
    msrs[0] = 0x8c; /* index, flags 0, value */
    msrs[16] = 0x8d;
    memset(context, 0xc0, sizeof(context));
    skeleton = (struct xf_skeleton){
        .xen_major = 4,
        .xen_minor = 17,
        .config_len = sizeof(config),
        .cpuid_len = sizeof(cpuid),
        .msr_len = sizeof(msrs),
        .ctx_len = sizeof(context),
        .nr_gfns = 0xff000,
        .nr_pages = 1000,
        .tsc = {.mode = 2, .khz = 0x11223344, .nsec = 0x8877665544332211, .incarnation = 5},
        .nr_params = 2,
        .params = {{.index = 1, .value = 0xfeffc}, {.index = 17, .value = 1ull << 63}},
        .nr_specials = 3,
        .specials = {0xfeffc, 0xfeffd, 7},
    };
}

/* --- the parser --- */

static const uint8_t *at, *end;
static int broken; /* a read beyond the end */

static uint64_t number(unsigned bytes, int big)
{
    uint64_t v = 0;

    if (end - at < (long)bytes) {
        broken++;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)at[i] << 8 * (big ? bytes - 1 - i : i);
    at += bytes;
    return v;
}
#define LE32() ((uint32_t)number(4, 0))
#define LE64() number(8, 0)
#define BE32() ((uint32_t)number(4, 1))
#define BE64() number(8, 1)

static void bytes(const void *want, size_t len)
{
    if ((size_t)(end - at) < len) {
        broken++;
        return;
    }
    CU_ASSERT_EQUAL(memcmp(at, want, len), 0);
    at += len;
}

static void zeros(size_t len)
{
    while (len--)
        CU_ASSERT_EQUAL(number(1, 0), 0);
}

/* A record's head; returns its length. */
static uint32_t record(uint32_t type)
{
    CU_ASSERT_EQUAL(LE32(), type);
    return LE32();
}

static void blob_record(uint32_t type, const void *want, uint32_t len)
{
    CU_ASSERT_EQUAL(record(type), len);
    bytes(want, len);
    zeros((8 - len % 8) % 8);
}

static void parse_heads(void)
{
    bytes("Xen saved domain, xl format\n \0 \r", 32);
    CU_ASSERT_EQUAL(LE32(), 0x01020304);
    CU_ASSERT_EQUAL(LE32(), 3); /* JSON, stream v2 */
    CU_ASSERT_EQUAL(LE32(), 0);
    CU_ASSERT_EQUAL(LE32(), 4 + sizeof(config));
    CU_ASSERT_EQUAL(LE32(), sizeof(config));
    bytes(config, sizeof(config));

    bytes("LibxlFmt", 8);
    CU_ASSERT_EQUAL(BE32(), 2);
    CU_ASSERT_EQUAL(BE32(), 0); /* little-endian, no legacy */
    CU_ASSERT_EQUAL(record(1), 0);

    CU_ASSERT_EQUAL(BE64(), UINT64_MAX);
    CU_ASSERT_EQUAL(BE32(), 0x58454e46);
    CU_ASSERT_EQUAL(BE32(), 3);
    CU_ASSERT_EQUAL(BE64(), 0);
    CU_ASSERT_EQUAL(LE32(), 2); /* x86 HVM */
    CU_ASSERT_EQUAL(number(2, 0), 12);
    CU_ASSERT_EQUAL(number(2, 0), 0);
    CU_ASSERT_EQUAL(LE32(), 4);
    CU_ASSERT_EQUAL(LE32(), 17);
}

static void parse_pages(void)
{
    CU_ASSERT_EQUAL(record(1), 8 + 3 * (8 + 4096));
    CU_ASSERT_EQUAL(LE32(), 3);
    CU_ASSERT_EQUAL(LE32(), 0);
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(LE64(), skeleton.specials[i]);
    if (end - at >= 3 * 4096)
        for (unsigned i = 0; i < 3 * 4096; i++)
            broken += at[i] != 0;
    at += 3 * 4096;
}

static void parse_tail(void)
{
    CU_ASSERT_EQUAL(record(0x08), 24);
    CU_ASSERT_EQUAL(LE32(), 2);
    CU_ASSERT_EQUAL(LE32(), 0x11223344);
    CU_ASSERT_EQUAL(LE64(), 0x8877665544332211);
    CU_ASSERT_EQUAL(LE32(), 5);
    CU_ASSERT_EQUAL(LE32(), 0);
    blob_record(0x09, context, skeleton.ctx_len);
}

static void parse_params(void)
{
    CU_ASSERT_EQUAL(record(0x0a), 8 + 2 * 16);
    CU_ASSERT_EQUAL(LE32(), 2);
    CU_ASSERT_EQUAL(LE32(), 0);
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(LE64(), skeleton.params[i].index);
        CU_ASSERT_EQUAL(LE64(), skeleton.params[i].value);
    }
}

static void parse_end(void)
{
    CU_ASSERT_EQUAL(record(0), 0); /* libxc's */
    CU_ASSERT_EQUAL(record(0), 0); /* libxl's */
    CU_ASSERT_EQUAL(broken, 0);
    CU_ASSERT_PTR_EQUAL(at, end);
}

static uint8_t *build(size_t *len)
{
    struct xf_err err = {0};
    void *stream = NULL;

    fill();
    CU_ASSERT_EQUAL_FATAL(build_stream(&stream, len, &err), 0);
    at = stream;
    end = at + *len;
    broken = 0;
    return stream;
}

static void test_whole(void)
{
    size_t len;
    uint8_t *stream = build(&len);

    parse_heads();
    blob_record(0x11, cpuid, sizeof(cpuid));
    blob_record(0x12, msrs, sizeof(msrs));
    CU_ASSERT_EQUAL(record(0x10), 0);
    parse_pages();
    parse_tail();
    parse_params();
    parse_end();
    free(stream);
}

/* A guest without any of what may be left out: no empty records, which Xen refuses. */
static void test_least(void)
{
    struct xf_err err = {0};
    void *stream = NULL;
    size_t len;

    fill();
    skeleton.cpuid_len = skeleton.msr_len = skeleton.nr_params = skeleton.nr_specials = 0;
    skeleton.ctx_len = 8;
    CU_ASSERT_EQUAL_FATAL(build_stream(&stream, &len, &err), 0);
    at = stream;
    end = at + len;
    broken = 0;
    parse_heads();
    CU_ASSERT_EQUAL(record(0x10), 0);
    parse_tail();
    parse_end();
    free(stream);
}

static char xen[40], verifier[80];

static bool can_verify(void)
{
    snprintf(xen, sizeof(xen), "/usr/lib/xen-%s", xf_xen_release());
    snprintf(verifier, sizeof(verifier), "%s/bin/verify-stream-v2", xen);
    return !access(verifier, R_OK) && !access("/usr/bin/python3", X_OK);
}

/* Xen's own judge; its exit status, or -1 when it cannot be asked. */
static int verify(const uint8_t *stream, size_t len, const char *quiet)
{
    char path[] = "/tmp/xf-stream-XXXXXX", command[400];
    int fd = mkstemp(path), status;

    if (fd < 0)
        return -1;
    CU_ASSERT_EQUAL(write(fd, stream, len), (ssize_t)len);
    close(fd);
    snprintf(command, sizeof(command),
             "PYTHONPATH=%s/lib/python /usr/bin/python3 -B %s -i %s -f xl%s >&2", xen, verifier,
             path, quiet); /* Debian does not put Xen's modules into Python's path */
    fflush(NULL);
    status = system(command);
    unlink(path);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_verifier(void)
{
    size_t len;
    uint8_t *stream;

    if (!can_verify()) {
        printf("(not installed: %s) ", verifier);
        return;
    }
    stream = build(&len);
    CU_ASSERT_EQUAL(verify(stream, len, ""), 0);
    /* It does look: the same with a hole in it is refused. */
    stream[len - 16] ^= 0x40;
    CU_ASSERT_NOT_EQUAL(verify(stream, len, " -q"), 0);
    free(stream);
}

/* A stream whose end was held back, with the devices' state in its place: whole for Xen, too. */
static void test_rest(void)
{
    static const uint8_t header[16] = {3, 0, 0, 0, 13, 0, 0, 0, 2}; /* type, 8 + 5, QEMU, first */
    static const uint8_t last[8];
    struct xf_state s = {0};
    struct xf_err err = {0};
    size_t len, rest_len;
    uint8_t *stream, *rest, *whole;

    CU_ASSERT_EQUAL_FATAL(xf_stream_rest(&s, (void **)&rest, &rest_len, &err), 0);
    CU_ASSERT(rest_len == XF_STREAM_LIBXL_END && !memcmp(rest, last, sizeof(last)));
    free(rest);
    CU_ASSERT_EQUAL_FATAL(xf_state_add_copy(&s, XF_PART_DEVICES, "QEVM\3", 5, &err), 0);
    CU_ASSERT_EQUAL_FATAL(xf_stream_rest(&s, (void **)&rest, &rest_len, &err), 0);
    CU_ASSERT_FATAL(rest_len == 16 + 8 + 8 && !memcmp(rest, header, 16));
    CU_ASSERT(!memcmp(rest + 16, "QEVM\3\0\0\0", 8) && !memcmp(rest + 24, last, 8));
    stream = build(&len);
    whole = malloc(len + rest_len);
    memcpy(whole, stream, len - XF_STREAM_LIBXL_END);
    memcpy(whole + len - XF_STREAM_LIBXL_END, rest, rest_len);
    if (can_verify())
        CU_ASSERT_EQUAL(verify(whole, len - XF_STREAM_LIBXL_END + rest_len, ""), 0);
    free(whole);
    free(stream);
    free(rest);
    xf_state_free(&s);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"whole", test_whole},        {"least", test_least}, {"Xen's verifier", test_verifier},
        {"devices later", test_rest}, CU_TEST_INFO_NULL,
    };

    return run_suite("stream", tests);
}
