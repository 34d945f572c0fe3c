/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System-wide crypto policies of GnuTLS: what they leave is used, and what they take away is said
 * with the policy's name, not as if a key were wrong. GnuTLS reads a policy once per process, so
 * each end is a process of its own: this program again, with a word.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/suite.h"
#include "transport/transport.h"

#define SOON_MS 5000

static struct xf_key key = {{1, 2, 3}};
static const struct xf_link_cfg cfg = {
    .key = &key, .channels = 1, .encrypt = true, .timeout_ms = SOON_MS, .stall_ms = SOON_MS};
static char top[] = "/tmp/xf-policy-XXXXXX";
static const char *self;

/* --- the ends --- */

static int tell(const struct xf_err *err)
{
    printf("%d %s\n", err->num, err->text);
    return err->num != 0;
}

static int serve(void)
{
    struct xf_listener *l;
    struct xf_chan *c = NULL;
    struct xf_msg m = {.type = 7};
    struct xf_err err = {0};
    struct xf_chan_id id;
    uint16_t port;

    if (xf_tcp_ops.listen(&cfg, "127.0.0.1", 0, &l, &port, &err))
        return tell(&err);
    printf("port %u\n", port);
    fflush(stdout);
    if (!xf_tcp_ops.accept(l, 2 * SOON_MS, &c, &id, &err))
        xf_tcp_ops.send(c, &m, NULL, NULL, 0, NULL);
    xf_tcp_ops.close(c);
    xf_tcp_ops.unlisten(l);
    return 0;
}

static int call(const char *port, bool wrong_key)
{
    static uint8_t meta[XF_META_MAX];
    struct xf_chan *c = NULL;
    struct xf_msg m;
    struct xf_err err = {0};

    key.bytes[5] = wrong_key;
    if (!xf_tcp_ops.connect(&cfg, "127.0.0.1", (uint16_t)atoi(port), NULL, XF_CONTROL, &c, &err))
        xf_tcp_ops.recv(c, &m, meta, SOON_MS, &err);
    xf_tcp_ops.close(c);
    return tell(&err);
}

/* --- running them --- */

/* The first line that this program says when it is run with `words` under a policy (NULL: none). */
static pid_t begin(const char *policy, const char *word, const char *port, FILE **out)
{
    char path[100];
    int up[2];
    pid_t pid;

    snprintf(path, sizeof(path), "%s/policy", top);
    if (policy) {
        FILE *f = fopen(path, "we");

        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        fputs(policy, f);
        fclose(f);
    }
    CU_ASSERT_EQUAL_FATAL(pipe(up), 0);
    pid = fork();
    if (!pid) {
        dup2(up[1], STDOUT_FILENO);
        close(up[0]);
        setenv("GNUTLS_SYSTEM_PRIORITY_FILE", policy ? path : "/nonexistent/policy", 1);
        execl(self, self, word, port, (char *)NULL);
        _exit(9);
    }
    close(up[1]);
    *out = fdopen(up[0], "r");
    return pid;
}

static char said[2][800];

static void hear(FILE *f, char line[800])
{
    line[0] = 0;
    if (!fgets(line, 800, f))
        line[0] = 0;
    line[strcspn(line, "\n")] = 0;
}

/* A connection; what the sink said of itself is said[0], what the source found said[1]. */
static void meet(const char *sink, const char *source, const char *how)
{
    FILE *there, *here;
    pid_t serving = begin(sink, "serve", NULL, &there), calling;

    said[1][0] = 0;
    hear(there, said[0]);
    if (!strncmp(said[0], "port ", 5)) {
        calling = begin(source, how, said[0] + 5, &here);
        hear(here, said[1]);
        fclose(here);
        waitpid(calling, NULL, 0);
        kill(serving, SIGTERM);
    }
    fclose(there);
    waitpid(serving, NULL, 0);
}

#define NO_GROUP(x) "tls-disabled-group = group-" x "\n"
#define NO_CIPHER(x) "tls-disabled-cipher = " x "\n"
#define OVERRIDES "[overrides]\n"
static const char no_tls13[] = OVERRIDES "disabled-version = tls1.3\n",
                  no_groups[] = OVERRIDES NO_GROUP("x25519") NO_GROUP("secp256r1")
                      NO_GROUP("secp384r1") NO_GROUP("ffdhe3072"),
                  no_psk[] = OVERRIDES "tls-disabled-kx = ECDHE-PSK\ntls-disabled-kx = DHE-PSK\n",
                  no_ciphers[] = OVERRIDES NO_CIPHER("AES-128-GCM") NO_CIPHER("CHACHA20-POLY1305");

/* What is left is enough. */
static void test_enough(void)
{
    static const char *const policies[] = {
        NULL,
        OVERRIDES NO_GROUP("x25519"),
        OVERRIDES NO_GROUP("x25519") NO_GROUP("secp256r1"),
        OVERRIDES NO_GROUP("x25519") NO_GROUP("secp256r1") NO_GROUP("secp384r1"),
        OVERRIDES NO_CIPHER("AES-128-GCM"),
        OVERRIDES NO_CIPHER("CHACHA20-POLY1305"),
    };

    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        meet(policies[i], NULL, "call");
        CU_ASSERT_STRING_EQUAL(said[1], "0 ");
        meet(NULL, policies[i], "call");
        CU_ASSERT_STRING_EQUAL(said[1], "0 ");
    }
}

/* Neither end: it says so, and where. */
static void test_too_little(void)
{
    static const struct {
        const char *policy, *word;
    } cases[] = {
        {no_tls13, "TLS 1.3"}, {no_groups, "groups"}, {no_psk, "PSK"}, {no_ciphers, "AES-128-GCM"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int end = 0; end < 2; end++) {
            meet(end ? NULL : cases[i].policy, end ? cases[i].policy : NULL, "call");
            CU_ASSERT_EQUAL(atoi(said[end]), EPROTONOSUPPORT);
            CU_ASSERT_PTR_NOT_NULL(strstr(said[end], "/policy)"));
            CU_ASSERT_PTR_NOT_NULL(strstr(said[end], "crypto policy"));
            CU_ASSERT_PTR_NOT_NULL(strstr(said[end], cases[i].word));
            CU_ASSERT_PTR_NULL(strstr(said[end], "one-time key"));
        }
}

/* Each is enough alone, and they have nothing in common; but a wrong key is a wrong key. */
static void test_nothing_in_common(void)
{
    static const char aes[] = OVERRIDES NO_CIPHER("CHACHA20-POLY1305"),
                      chacha[] = OVERRIDES NO_CIPHER("AES-128-GCM"),
                      x25519[] = OVERRIDES NO_GROUP("secp256r1") NO_GROUP("secp384r1")
                          NO_GROUP("ffdhe3072"),
                      others[] = OVERRIDES NO_GROUP("x25519");
    const char *const pairs[][2] = {
        {aes, chacha}, {chacha, aes}, {x25519, others}, {others, x25519}};

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        meet(pairs[i][0], pairs[i][1], "call");
        CU_ASSERT_EQUAL(atoi(said[1]), EPROTONOSUPPORT);
        CU_ASSERT_PTR_NOT_NULL(strstr(said[1], "compare the system-wide crypto policies"));
        CU_ASSERT_PTR_NULL(strstr(said[1], "one-time key"));
    }
    meet(NULL, NULL, "call-wrong");
    CU_ASSERT_EQUAL(atoi(said[1]), EACCES);
    CU_ASSERT_PTR_NOT_NULL(strstr(said[1], "one-time key"));
    CU_ASSERT_PTR_NULL(strstr(said[1], "polic"));
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"enough is left", test_enough},
        {"too little is left", test_too_little},
        {"nothing in common", test_nothing_in_common},
        CU_TEST_INFO_NULL,
    };
    char command[100];
    int rc;

    if (argc > 1 && !strcmp(argv[1], "serve"))
        return serve();
    if (argc > 2)
        return call(argv[2], !strcmp(argv[1], "call-wrong"));
    self = "/proc/self/exe";
    if (!mkdtemp(top))
        return 2;
    rc = run_suite("crypto policy", tests);
    snprintf(command, sizeof(command), "rm -r %s", top);
    return system(command) ? 2 : rc;
}
