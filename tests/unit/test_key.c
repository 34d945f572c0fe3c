/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one-time key: where it is when everybody who had it has gone. A move's two ends use it as
 * they do in a move (hello, listener, connections, record, another process that reads the record),
 * and then the memory of this process is searched for it, as bytes and as digits.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libxl-ext/peer/hello.h"
#include "libxl-ext/moves/record.h"
#include "libxl-ext/host/secret.h"
#include "tests/unit/suite.h"
#include "transport/transport.h"

#define SOON_MS 60000 /* a search of all memory takes long under a sanitizer */
#define CHUNK (1u << 20)
#define REGION_MAX (1ull << 30) /* a sanitizer's shadow is larger, and holds nothing of ours */

/* --- the search --- */

/* What is looked for, masked, so that it is not found here. */
#define MASK 0x5a
static uint8_t wanted[XF_KEY_BYTES], digits[2 * XF_KEY_BYTES];

static void remember(const struct xf_key *k)
{
    static const char hex[] = "0123456789abcdef";

    for (unsigned i = 0; i < XF_KEY_BYTES; i++) {
        wanted[i] = k->bytes[i] ^ MASK;
        digits[2 * i] = (uint8_t)hex[k->bytes[i] >> 4] ^ MASK;
        digits[2 * i + 1] = (uint8_t)hex[k->bytes[i] & 15] ^ MASK;
    }
}

static unsigned count(const uint8_t *at, size_t len, const uint8_t *masked, size_t n)
{
    unsigned found = 0;

    for (size_t i = 0; i + n <= len; i++) {
        size_t k = 0;

        while (k < n && at[i + k] == (masked[k] ^ MASK))
            k++;
        found += k == n;
    }
    return found;
}

/* How often the key is anywhere in this process's memory. */
static unsigned search(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    uint8_t *buf = malloc(CHUNK);
    char line[600], mode[5];
    uint64_t from, to;
    unsigned found = 0;

    CU_ASSERT_FATAL(maps && mem >= 0 && buf);
    while (fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, mode) != 3 || mode[0] != 'r' ||
            mode[1] != 'w' || to - from > REGION_MAX)
            continue;
        /* Chunks overlap, so that nothing lies across a border. */
        for (uint64_t at = from; at < to; at += CHUNK - 64) {
            ssize_t n = pread(mem, buf, to - at < CHUNK ? to - at : CHUNK, (off_t)at);
            unsigned here;

            if (n <= 0)
                break;
            here = count(buf, (size_t)n, wanted, sizeof(wanted)) +
                   count(buf, (size_t)n, digits, sizeof(digits));
            explicit_bzero(buf, CHUNK); /* it may be searched, too */
            if (here)
                printf("\n    %u times in %s", here, line);
            found += here;
        }
    }
    free(buf);
    close(mem);
    fclose(maps);
    return found;
}

/* --- the two ends --- */

struct ends {
    int pipe[2];
    bool encrypt;
    char *dir;
    uint16_t port; /* told by the sink through its reply */
    bool served;
};

static struct xf_link_cfg link_cfg(const struct xf_hello *h)
{
    return xf_hello_link_cfg(h, false, SOON_MS, SOON_MS);
}

static void *sink_main(void *arg)
{
    struct ends *e = arg;
    struct xf_pipe pipe = {.in = e->pipe[1], .out = e->pipe[1]};
    struct xf_hello *h = calloc(1, sizeof(*h));
    struct xf_reply reply = {.nr_addresses = 1, .addresses = {"127.0.0.1"}};
    struct xf_listener *l = NULL;
    struct xf_chan *c = NULL;
    struct xf_msg m = {.type = 7};
    struct xf_link_cfg cfg;
    struct xf_chan_id id;

    if (!xf_hello_receive(&pipe, h, SOON_MS, NULL)) {
        cfg = link_cfg(h);
        if (!xf_tcp_ops.listen(&cfg, "127.0.0.1", 0, &l, &reply.port, NULL) &&
            !xf_reply_send(&pipe, &reply, NULL) && !xf_tcp_ops.accept(l, SOON_MS, &c, &id, NULL))
            e->served = !xf_tcp_ops.send(c, &m, NULL, NULL, 0, NULL);
        xf_tcp_ops.unlisten(l);
        xf_tcp_ops.close(c);
    }
    xf_hello_free(h);
    free(h);
    return NULL;
}

/* As the source's process does, and the one that takes over from it. */
static void leave_record(const struct ends *e, const struct xf_hello *h)
{
    struct xf_record *r = calloc(1, sizeof(*r)), *again = calloc(1, sizeof(*again));
    struct xf_err err = {0};
    int fd;

    r->domid = 7;
    r->port = 1;
    r->channels = 1;
    snprintf(r->name, sizeof(r->name), "g1");
    snprintf(r->uuid, sizeof(r->uuid), "u");
    snprintf(r->peer, sizeof(r->peer), "127.0.0.1");
    r->key = h->key;
    CU_ASSERT_EQUAL(xf_record_write(e->dir, r, &fd, &err), 0);
    close(fd);
    CU_ASSERT_EQUAL(xf_record_read(e->dir, 7, again, &fd, &err), 0);
    close(fd);
    CU_ASSERT_EQUAL(memcmp(&again->key, &h->key, sizeof(h->key)), 0);
    xf_record_remove(e->dir, 7);
    xf_key_wipe(&r->key);
    xf_key_wipe(&again->key);
    free(r);
    free(again);
}

static void source(struct ends *e)
{
    struct xf_pipe pipe = {.in = e->pipe[0], .out = e->pipe[0]};
    struct xf_hello *h = calloc(1, sizeof(*h));
    struct xf_reply reply;
    struct xf_link_cfg cfg;
    struct xf_err err = {0};
    struct xf_chan *c = NULL;
    struct xf_msg m;
    uint8_t *meta = malloc(XF_META_MAX);

    h->channels = 1;
    h->encrypt = e->encrypt;
    snprintf(h->domain, sizeof(h->domain), "g1");
    CU_ASSERT_EQUAL_FATAL(xf_key_make(&h->key, &err), 0);
    remember(&h->key);
    CU_ASSERT(search() > 0); /* else it would never be found */
    CU_ASSERT_EQUAL(xf_hello_send(&pipe, h, &err), 0);
    CU_ASSERT_EQUAL(xf_reply_receive(&pipe, &reply, SOON_MS, NULL, &err), 0);
    cfg = link_cfg(h);
    CU_ASSERT_EQUAL(xf_tcp_ops.connect(&cfg, "127.0.0.1", reply.port, NULL, XF_CONTROL, &c, &err),
                    0);
    CU_ASSERT(c && !xf_tcp_ops.recv(c, &m, meta, SOON_MS, &err) && m.type == 7);
    xf_tcp_ops.close(c);
    leave_record(e, h);
    xf_hello_free(h);
    free(h);
    free(meta);
}

static void whole_life(bool encrypt)
{
    char dir[] = "/tmp/xf-key-XXXXXX";
    struct ends e = {.encrypt = encrypt, .dir = dir};
    pthread_t sink;

    CU_ASSERT_FATAL(mkdtemp(dir) && !socketpair(AF_UNIX, SOCK_STREAM, 0, e.pipe));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&sink, NULL, sink_main, &e), 0);
    source(&e);
    pthread_join(sink, NULL);
    CU_ASSERT(e.served);
    close(e.pipe[0]);
    close(e.pipe[1]);
    rmdir(dir);
    CU_ASSERT_EQUAL(search(), 0);
}

static void test_encrypted(void)
{
    whole_life(true);
}

static void test_plain(void)
{
    whole_life(false);
}

/* A hello that is cut off, refused, or of another version holds its key as well. */
static void test_refused(void)
{
    static const char *const spoilt[][2] = {
        {"\"version\":1", "\"version\":2"},
        {"\"channels\":1", "\"channels\":99"},
        {"}", ""},
        {",\"key\":\"", ",\"key\" : \""},
        {",\"key\":\"", ",\"k\\u0065y\":\""},
        {",\"key\":\"", ",\"key\":\"x"},
    };

    for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
        struct xf_hello h = {.channels = 1, .domain = "g1"}, got;
        char *text, *changed, *at;
        size_t len;
        int rc;

        CU_ASSERT_EQUAL_FATAL(xf_key_make(&h.key, NULL), 0);
        remember(&h.key);
        text = xf_hello_format(&h);
        at = strstr(text, spoilt[i][0]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        len = strlen(text) + strlen(spoilt[i][1]);
        changed = calloc(1, len + 1);
        memcpy(changed, text, (size_t)(at - text));
        strcat(changed, spoilt[i][1]);
        strcat(changed, at + strlen(spoilt[i][0]));
        rc = xf_hello_parse(changed, strlen(changed), &got, NULL);
        CU_ASSERT_EQUAL(rc, i == 3 ? 0 : -1); /* blanks are JSON */
        if (!rc)
            xf_hello_free(&got);
        xf_secret_free(text, strlen(text));
        xf_secret_free(changed, len);
        xf_key_wipe(&h.key);
        /* Whoever writes the member in another way has it as a field of no meaning, and gives
         * his key away himself. */
        CU_ASSERT(search() == 0 || i == 4);
    }
}

/* Which member is the key, and which only looks like it. */
static void test_member(void)
{
#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"{\"a\":1,\"key\":\"" KEY "\"}", true},
        {"{\"key\":\"" KEY "\",\"a\":\"b\"}", true},
        {"{\"a\":{\"key\":\"zz\"},\"key\":\"" KEY "\"}", true},
        {"{\"a\":\"\\\"key\\\":\",\"key\":\"" KEY "\"}", true},
        {"{\"a\":\"key\",\"b\":1,\"key\":\"" KEY "\"}", true},
        {"{\"a\":\"x\\\\\",\"key\":\"" KEY "\"}", true},
        {"{\"a\":{\"key\":\"" KEY "\"}}", false},
        {"[{\"key\":\"" KEY "\"}]", false},
        {"{\"key\":\"" KEY "\",\"key\":\"" KEY "\"}", false},
        {"{\"key\":7}", false},
        {"{\"key\":\"" KEY, true}, /* whoever parses the rest finds that */
        {"{\"key\":\"", false},
        {"{\"key\":", false},
        {"{\"key\"", false},
        {"{\"ke", false},
        {"\"key\":\"" KEY "\"", false},
        {"", false},
        {"\\", false},
        {"{\"\\", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xf_err err = {0};
        struct xf_key k;
        char *rest = xf_secret_take(cases[i].text, strlen(cases[i].text), &k, &err);

        CU_ASSERT_PTR_NOT_NULL_FATAL(rest);
        CU_ASSERT_EQUAL(err.num, cases[i].good ? 0 : EPROTO);
        CU_ASSERT_EQUAL(k.bytes[1], cases[i].good ? 0x11 : 0);
        CU_ASSERT_EQUAL(strlen(rest), strlen(cases[i].text));
        free(rest);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"nowhere after a move", test_encrypted},
        {"nor after one whose data is not encrypted", test_plain},
        {"nor after a hello that was refused", test_refused},
        {"which member it is", test_member},
        CU_TEST_INFO_NULL,
    };

    return run_suite("the one-time key", tests);
}
