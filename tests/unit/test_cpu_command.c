/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-cpu`, with this host made up and others that are shell commands (-s ""): what a
 * receiver answers, what an older one answers, and what none does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxl-ext/cpu.h"
#include "libxl-ext/peer/hello.h"
#include "tests/unit/suite.h"
#include "tools/front.h"

static char dir[] = "/tmp/xf-cpu-XXXXXX";
static char out[65536], errors[65536];
static const struct xf_cpu_level plain = {.leaf = 0xd, .subleaf = 0, .extended = 0x80000008};
static struct xf_cpu here;

int xf_cpu_here(struct xf_cpu *cpu, struct xf_err *err)
{
    (void)err;
    *cpu = here;
    return 0;
}

static const char *path(const char *name)
{
    static char p[4][100];
    static unsigned i;

    snprintf(p[++i % 4], sizeof(p[0]), "%s/%s", dir, name);
    return p[i % 4];
}

static size_t slurp(const char *name, char *to, size_t size)
{
    FILE *f = fopen(path(name), "re");
    size_t n = f ? fread(to, 1, size - 1, f) : 0;

    to[n] = 0;
    if (f)
        fclose(f);
    return n;
}

/* Run it; its status. Words as of split_words(). */
static int call(char **words, int n)
{
    char *argv[10] = {(char *)"xl", (char *)"migrate-cpu"};
    struct front f = {.argv = argv, .argc = n + 2, .cmd = 1};
    int status = -1;
    pid_t pid;

    for (int i = 0; i < n; i++)
        argv[i + 2] = words[i];
    fflush(NULL);
    pid = fork();
    if (!pid) {
        if (!freopen(path("out"), "w", stdout) || !freopen(path("err"), "w", stderr))
            _exit(99);
        status = cmd_migrate_cpu(&f);
        fflush(NULL);
        _exit(status);
    }
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    slurp("out", out, sizeof(out));
    slurp("err", errors, sizeof(errors));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A host that answers with this reply: its name is the command. */
static const char *answers(const char *name, const struct xf_reply *r)
{
    static char rune[2][200];
    static unsigned i;
    char *json = xf_reply_format(r);
    FILE *f = fopen(path(name), "we");
    uint32_t len = (uint32_t)strlen(json);

    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(XF_XL_BANNER, f);
    for (unsigned k = 0; k < 4; k++)
        fputc((int)(len >> 8 * k & 0xff), f);
    fputs(json, f);
    fclose(f);
    free(json);
    snprintf(rune[++i % 2], sizeof(rune[0]), "cat %s; cat >%s", path(name), path("hello"));
    return rune[i % 2];
}

static int ask(const char *option, const char *first, const char *second)
{
    char *words[] = {(char *)"-s", (char *)"", (char *)first, (char *)second, (char *)option};
    int n = 3 + (second != NULL);

    words[n] = (char *)option;
    return call(words, n + (option != NULL));
}

static struct xf_reply there(const char *vendor)
{
    struct xf_reply r = {.has_cpu = true, .cpu = {.most = plain, .usual = plain}};

    snprintf(r.cpu.vendor, sizeof(r.cpu.vendor), "%s", vendor);
    return r;
}

static void test_here(void)
{
    char *json[] = {(char *)"--json"};

    CU_ASSERT_EQUAL(call(NULL, 0), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "Vendor: GenuineIntel\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "leaves: 0xd, 0x0 of leaf 7, 0x80000008\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "Features of a guest: avx512f avx512dq\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "Only with a cpuid= that asks for them: itsc\n"));
    CU_ASSERT_EQUAL(call(json, 1), 0);
    CU_ASSERT_STRING_EQUAL(
        out, "{\"type\":\"cpu\",\"host\":null,\"vendor\":\"GenuineIntel\",\"usual\":{\"leaf\":13,"
             "\"subleaf\":0,\"extended_leaf\":2147483656,\"features\":[\"avx512f\",\"avx512dq\"]},"
             "\"most\":{\"leaf\":13,\"subleaf\":0,\"extended_leaf\":2147483656,\"features\":["
             "\"avx512f\",\"avx512dq\",\"itsc\"]}}\n");
}

static void test_line(void)
{
    struct xf_reply b = there("GenuineIntel"), c = there("GenuineIntel");
    const char *asked[] = {XF_PREAMBLE, "\"check_only\":true", "\"find_only\":true",
                           "\"cpu_only\":true", NULL};
    char hello[4096];
    size_t n;

    b.cpu.most.words[5] = 1u << 17; /* avx512dq */
    CU_ASSERT_EQUAL(ask(NULL, answers("b", &b), NULL), 0);
    CU_ASSERT_STRING_EQUAL(out, "cpuid=\"host,avx512f=0\"\n");
    CU_ASSERT_STRING_EQUAL(errors, "");
    /* It was asked for nothing but its processors, as far as even an older one understands. */
    n = slurp("hello", hello, sizeof(hello));
    for (const char **w = asked; *w; w++)
        CU_ASSERT_PTR_NOT_NULL(memmem(hello, n, *w, strlen(*w)));
    CU_ASSERT_EQUAL(ask("--json", answers("b", &b), answers("c", &c)), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "{\"type\":\"cpuid\",\"line\":\"cpuid=\\\"host,avx512f=0,"
                                       "avx512dq=0\\\"\",\"denied\":[\"avx512f\",\"avx512dq\"]}"));
    c.cpu.most.words[5] = b.cpu.most.words[5] = 3u << 16;
    CU_ASSERT_EQUAL(ask(NULL, answers("b", &b), answers("c", &c)), 0);
    CU_ASSERT_STRING_EQUAL(out, "");
    CU_ASSERT_PTR_NOT_NULL(strstr(errors, "a guest needs no cpuid= to move between these hosts"));
    CU_ASSERT_EQUAL(ask("--json", answers("b", &b), answers("c", &c)), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "{\"type\":\"cpuid\",\"line\":null,\"denied\":[]}"));
}

static void test_refused(void)
{
    struct xf_reply amd = there("AuthenticAMD"), old = {.hvm = true}, no = {.nr_findings = 1};

    CU_ASSERT_EQUAL(ask(NULL, answers("b", &amd), NULL), 1);
    CU_ASSERT_STRING_EQUAL(out, "");
    CU_ASSERT_PTR_NOT_NULL(strstr(errors, "this host's processor is of GenuineIntel and that of"));
    CU_ASSERT_PTR_NOT_NULL(strstr(errors, "of AuthenticAMD: no guest can move between them"));
    CU_ASSERT_EQUAL(ask("--json", answers("b", &old), NULL), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"type\":\"error\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(errors, "its Xenferry is too old to say what its processors "
                                          "offer"));
    no.findings[0] = (struct xf_finding){XF_REFUSAL, XF_NOTHING, "receiver", "no Xen there"};
    CU_ASSERT_EQUAL(ask(NULL, answers("b", &no), NULL), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errors, "no Xen there"));
    CU_ASSERT_EQUAL(ask(NULL, "exit 1", NULL), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(errors, "\"exit 1\" cannot be asked: "));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"this host", test_here},
        {"the line", test_line},
        {"hosts that cannot be compared", test_refused},
        CU_TEST_INFO_NULL,
    };
    char remove[100];
    int rc;

    here = (struct xf_cpu){"GenuineIntel", plain, plain};
    here.usual.words[5] = here.most.words[5] = 3u << 16;
    here.most.words[7] = 1u << 8; /* itsc */
    if (!mkdtemp(dir))
        return 1;
    rc = run_suite("migrate-cpu", tests);
    snprintf(remove, sizeof(remove), "rm -r %s", dir);
    return system(remove) ? 1 : rc;
}
