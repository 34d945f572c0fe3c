/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's data connections, without a domain: which transport they use, what is said of
 * it, and how TCP takes the place of RDMA. The sink is a thread that gathers channels. This
 * machine may or may not have RDMA; the "RDMA" here leads nowhere either way.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libxl-ext/peer/hello.h"
#include "libxl-ext/source/move_link.h"
#include "tests/unit/suite.h"
#include "transport/clock.h"
#include "transport/gather.h"

static struct xf_move m;
static struct xf_move_opts opts;
static struct xf_report report;
static struct xf_findings found;
static struct xf_err err;
static char notes[2000];

/* --- the sink --- */

static struct xf_gather gather;
static pthread_t thread;
static atomic_bool stop;
static atomic_uint wholes; /* links that were complete */
static bool drops;         /* each of which is closed at once */

static void *sink_main(void *arg)
{
    while (!atomic_load(&stop)) {
        struct xf_link link = {0};

        if (xf_gather_step(&gather, 20, NULL))
            continue;
        xf_gather_take(&gather, &link);
        atomic_fetch_add(&wholes, 1);
        while (!drops && !atomic_load(&stop) && !xf_gather_called(&gather))
            xf_gather_step(&gather, 20, NULL);
        xf_link_close(&link);
    }
    return arg;
}

static void on_note(void *priv, const char *sentence)
{
    (void)priv;
    snprintf(notes + strlen(notes), sizeof(notes) - strlen(notes), "%s\n", sentence);
}

static bool forbidden; /* by this host's crypto policy */

int xf_tcp_allowed(struct xf_err *e)
{
    return forbidden ? xf_fail(e, EPROTONOSUPPORT, "the policy /p does not allow it") : 0;
}

static void begin(enum xf_transport wish, enum xf_encryption encrypt, bool listening)
{
    static const struct xf_watch watch = {.note = on_note};
    struct xf_link_cfg cfg;

    memset(&m, 0, sizeof(m));
    memset(&report, 0, sizeof(report));
    memset(&found, 0, sizeof(found));
    memset(&gather, 0, sizeof(gather));
    memset(&err, 0, sizeof(err));
    notes[0] = 0;
    atomic_store(&stop, false);
    atomic_store(&wholes, 0);
    drops = false;
    xf_move_opts_init(&opts);
    opts.transport = wish;
    opts.encrypt = encrypt;
    m.o = &opts;
    m.w = &watch;
    m.report = &report;
    m.check.hello.channels = opts.channels;
    m.check.hello.transport = wish;
    m.check.hello.encrypt = encrypt != XF_ENCRYPT_NO;
    m.check.hello.seal = encrypt == XF_ENCRYPT_YES;
    m.check.reply.nr_addresses = 2;
    strcpy(m.check.reply.addresses[0], "::1"); /* nobody there */
    strcpy(m.check.reply.addresses[1], "127.0.0.1");
    m.check.reply.rdma_port = m.check.reply.port = 1;
    m.check.hello.reconnect_s = opts.reconnect_s;
    cfg = xf_hello_link_cfg(&m.check.hello, false, 5000, 5000);
    if (listening)
        CU_ASSERT_EQUAL_FATAL(
            xf_gather_listen(&gather, &xf_tcp_ops, &cfg, "127.0.0.1", 0, &m.check.reply.port, &err),
            0);
    pthread_create(&thread, NULL, sink_main, NULL);
}

static void end(void)
{
    xf_link_close(&m.link);
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    xf_gather_unlisten(&gather, NULL);
}

static void rdma_is(enum xf_rdma_state here, enum xf_rdma_state there)
{
    m.check.hello.rdma = (struct xf_rdma_side){.state = here, .why = "reason A"};
    m.check.reply.rdma = (struct xf_rdma_side){.state = there, .why = "reason B"};
    m.check.hello.rdma.nr_addresses = here == XF_RDMA_READY;
    m.check.reply.rdma.nr_addresses = there == XF_RDMA_READY;
    strcpy(m.check.hello.rdma.addresses[0], "127.0.0.1");
    strcpy(m.check.reply.rdma.addresses[0], "127.0.0.1"); /* no RDMA device has it */
}

/* How many findings of this code and severity there are whose text has this part. */
static unsigned says(enum xf_severity severity, const char *code, const char *part)
{
    unsigned n = 0;

    for (unsigned i = 0; i < found.n; i++)
        n += found.list[i].severity == severity && !strcmp(found.list[i].code, code) &&
             strstr(found.list[i].text, part);
    return n;
}

static void test_tcp(void)
{
    begin(XF_TRANSPORT_TCP, XF_ENCRYPT_USUAL, true);
    CU_ASSERT_EQUAL(xf_move_connect(&m, &found, &err), 0);
    CU_ASSERT_EQUAL(found.n, 0); /* nothing worth a word */
    CU_ASSERT_STRING_EQUAL(m.net.address, "127.0.0.1");
    CU_ASSERT_STRING_EQUAL(report.transport, "tcp");
    CU_ASSERT_STRING_EQUAL(report.cipher, "TLS 1.3");
    CU_ASSERT_TRUE(report.encrypted);
    CU_ASSERT_EQUAL(xf_move_connect_bulk(&m, &err), 0);
    CU_ASSERT_EQUAL(m.link.nr_bulk, 2);
    end();
    CU_ASSERT_EQUAL(wholes, 1);

    begin(XF_TRANSPORT_TCP, XF_ENCRYPT_NO, true);
    CU_ASSERT_EQUAL(xf_move_connect(&m, &found, &err), 0);
    CU_ASSERT_EQUAL(says(XF_WARNING, "encryption", "unencrypted (--no-encrypt)"), 1);
    CU_ASSERT_FALSE(report.encrypted);
    CU_ASSERT_STRING_EQUAL(report.cipher, "");
    end();
}

static void test_nobody(void)
{
    begin(XF_TRANSPORT_TCP, XF_ENCRYPT_USUAL, false);
    CU_ASSERT_EQUAL(xf_move_connect(&m, &found, &err), 0);
    CU_ASSERT_PTR_NULL(m.link.control);
    CU_ASSERT_EQUAL(says(XF_REFUSAL, "address", "(tried ::1, 127.0.0.1, port 1: "), 1);
    end();
}

/* auto: TCP, with the reason in one line. */
static void test_auto(void)
{
    static const struct {
        enum xf_rdma_state here, there;
        const char *reason;
    } list[] = {{XF_RDMA_NO_DEVICE, XF_RDMA_READY, "here reason A"},
                {XF_RDMA_READY, XF_RDMA_DOWN, "at the destination reason B"},
                {XF_RDMA_READY, XF_RDMA_READY, "memory goes over TCP"}};

    for (unsigned i = 0; i < 3; i++) {
        begin(XF_TRANSPORT_AUTO, XF_ENCRYPT_USUAL, true);
        rdma_is(list[i].here, list[i].there);
        CU_ASSERT_EQUAL(xf_move_connect(&m, &found, &err), 0);
        CU_ASSERT_EQUAL(says(XF_INFO, "rdma", list[i].reason), 1);
        CU_ASSERT_EQUAL(says(XF_INFO, "transport", "memory goes over TCP to 127.0.0.1"), 1);
        CU_ASSERT_EQUAL(found.n, 2);
        CU_ASSERT_STRING_EQUAL(report.transport, "tcp");
        CU_ASSERT_TRUE(report.encrypted);
        CU_ASSERT_EQUAL(xf_move_connect_bulk(&m, &err), 0);
        end();
        CU_ASSERT_EQUAL(wholes, 1);
    }
}

/* What a policy forbids is not a matter of addresses and ports. */
static void test_policy(void)
{
    begin(XF_TRANSPORT_TCP, XF_ENCRYPT_USUAL, true);
    forbidden = true;
    CU_ASSERT_EQUAL(xf_move_connect(&m, &found, &err), 0);
    forbidden = false;
    CU_ASSERT_PTR_NULL(m.link.control);
    CU_ASSERT_EQUAL(says(XF_REFUSAL, "crypto-policy", "the policy /p does not allow it"), 1);
    CU_ASSERT_EQUAL(found.n, 1);
    end();
}

/* --rdma: refused, and TCP is not even tried. */
static void test_explicit(void)
{
    begin(XF_TRANSPORT_RDMA, XF_ENCRYPT_USUAL, true);
    rdma_is(XF_RDMA_MEMLOCK, XF_RDMA_READY);
    CU_ASSERT_EQUAL(xf_move_connect(&m, &found, &err), 0);
    CU_ASSERT_EQUAL(says(XF_REFUSAL, "rdma", "here reason A; or move with --tcp"), 1);
    CU_ASSERT_PTR_NULL(m.link.control);
    end();

    begin(XF_TRANSPORT_RDMA, XF_ENCRYPT_USUAL, true);
    rdma_is(XF_RDMA_READY, XF_RDMA_READY);
    CU_ASSERT_EQUAL(xf_move_connect(&m, &found, &err), 0);
    CU_ASSERT_EQUAL(says(XF_REFUSAL, "rdma", "RDMA is not possible: "), 1);
    CU_ASSERT_PTR_NULL(m.link.control);
    end();
}

static void test_check(void)
{
    begin(XF_TRANSPORT_AUTO, XF_ENCRYPT_USUAL, true);
    opts.check_only = true;
    rdma_is(XF_RDMA_READY, XF_RDMA_DOWN);
    CU_ASSERT_EQUAL(xf_move_connect(&m, &found, &err), 0);
    CU_ASSERT_EQUAL(says(XF_INFO, "rdma", "RDMA here: ready at 127.0.0.1"), 1);
    CU_ASSERT_EQUAL(says(XF_INFO, "rdma", "RDMA at the destination: down: reason B"), 1);
    end();
}

/* As if RDMA had been used until now: its channels are gone, TCP takes their place. */
static void test_relink(void)
{
    const struct xf_err why = {.num = ETIMEDOUT,
                               .text = "channel 1: the peer has taken nothing for 10000 ms"};

    begin(XF_TRANSPORT_AUTO, XF_ENCRYPT_USUAL, true);
    m.link.ops = &xf_rdma_ops;
    m.link.past.tx_bytes = 1000;
    m.copy.status.round = 3;
    CU_ASSERT_EQUAL(xf_move_relink(&m, &why, &err), 0);
    CU_ASSERT(m.link.control && m.link.nr_bulk == 2 && m.link.ops == &xf_tcp_ops);
    CU_ASSERT_PTR_NOT_NULL(strstr(report.fallback, "lost in round 3 of COPY (channel 1: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "going on over TCP"));
    CU_ASSERT_STRING_EQUAL(report.transport, "tcp");
    CU_ASSERT_STRING_EQUAL(report.cipher, "TLS 1.3");
    CU_ASSERT_FALSE(report.encrypted); /* what went before was not */
    CU_ASSERT(xf_link_stats(&m.link).tx_bytes > 1000);
    CU_ASSERT_EQUAL(report.copy_reconnects, 1);
    end();
    CU_ASSERT_EQUAL(wholes, 1);

    begin(XF_TRANSPORT_AUTO, XF_ENCRYPT_USUAL, false);
    m.link.ops = &xf_rdma_ops;
    m.copy.status.round = 1;
    opts.reconnect_s = 1;
    CU_ASSERT_EQUAL(xf_move_relink(&m, &why, &err), -1);
    CU_ASSERT_EQUAL(err.num, ECONNREFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "taken nothing"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "tried ::1, 127.0.0.1"));
    CU_ASSERT_PTR_NULL(strstr(notes, "going on over TCP"));
    end();
}

/* TCP is lost: the same again. */
static void test_relink_tcp(void)
{
    const struct xf_err why = {.num = ECONNRESET, .text = "channel 1: Connection reset by peer"};

    begin(XF_TRANSPORT_TCP, XF_ENCRYPT_USUAL, true);
    CU_ASSERT_EQUAL(xf_move_connect(&m, &found, &err), 0);
    CU_ASSERT_EQUAL(xf_move_connect_bulk(&m, &err), 0);
    m.copy.status.round = 2;
    for (unsigned i = 1; i <= 2; i++) {
        CU_ASSERT_EQUAL(xf_move_relink(&m, &why, &err), 0);
        CU_ASSERT(m.link.control && m.link.nr_bulk == 2 && m.link.ops == &xf_tcp_ops);
        CU_ASSERT_EQUAL(report.copy_reconnects, i);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "the link is lost (channel 1: Connection reset by peer); "
                                         "trying again for up to 60 s\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "the link is back after "));
    CU_ASSERT_STRING_EQUAL(report.fallback, "");
    CU_ASSERT_TRUE(report.encrypted);
    CU_ASSERT(report.copy_away_s > 0 && report.copy_away_s < 30);
    end();
    CU_ASSERT_EQUAL(wholes, 3);

    /* Nobody there, for as long as was asked. */
    begin(XF_TRANSPORT_TCP, XF_ENCRYPT_USUAL, false);
    m.link.ops = &xf_tcp_ops;
    strcpy(m.net.address, "127.0.0.1");
    m.copy.status.round = 2;
    opts.reconnect_s = 1;
    CU_ASSERT_EQUAL(xf_move_relink(&m, &why, &err), -1);
    CU_ASSERT_EQUAL(err.num, ECONNREFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "the TCP connection was lost in round 2 of COPY "
                                            "(channel 1: Connection reset by peer), and could not "
                                            "be re-established within 1 s (tried 127.0.0.1: "));
    CU_ASSERT(report.copy_away_s >= 1 && report.copy_reconnects == 0);
    end();
}

/* A peer that takes each connection and drops it, without a page having arrived. */
static void test_drops(void)
{
    const struct xf_err why = {.num = ECONNRESET, .text = "lost"};
    unsigned links = 0;
    double began;

    begin(XF_TRANSPORT_TCP, XF_ENCRYPT_USUAL, true);
    CU_ASSERT_EQUAL(xf_move_connect(&m, &found, &err), 0);
    CU_ASSERT_EQUAL(xf_move_connect_bulk(&m, &err), 0);
    opts.reconnect_s = 2;
    drops = true;
    began = xf_now();
    while (links < 100000 && !xf_move_relink(&m, &why, &err)) {
        links++;
        /* Progress, twice: the time begins anew. */
        if (links == 2 || links == 4)
            m.copy.confirmed += 10;
        else
            usleep(200000);
    }
    CU_ASSERT(links >= 4 && links < 100000);
    CU_ASSERT(xf_now() - began >= 2);
    CU_ASSERT_EQUAL(err.num, ECONNRESET);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "again and again for 2 s without a page arriving"));
    end();
}

/* The bulk channels cannot be had over RDMA: all anew over TCP, control channel included. */
static void test_bulk(void)
{
    begin(XF_TRANSPORT_AUTO, XF_ENCRYPT_USUAL, true);
    m.link.ops = &xf_rdma_ops;
    strcpy(m.net.address, "127.0.0.1");
    CU_ASSERT_EQUAL(xf_move_connect_bulk(&m, &err), 0);
    CU_ASSERT(m.link.control && m.link.nr_bulk == 2 && m.link.ops == &xf_tcp_ops);
    CU_ASSERT_PTR_NOT_NULL(strstr(report.fallback, "could not be connected over RDMA ("));
    CU_ASSERT_TRUE(report.encrypted); /* nothing has gone before */
    end();

    begin(XF_TRANSPORT_RDMA, XF_ENCRYPT_USUAL, true);
    m.link.ops = &xf_rdma_ops;
    strcpy(m.net.address, "127.0.0.1");
    CU_ASSERT_EQUAL(xf_move_connect_bulk(&m, &err), -1);
    CU_ASSERT(err.num != 0);
    CU_ASSERT_STRING_EQUAL(report.fallback, "");
    end();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"TCP", test_tcp},
        {"nobody there", test_nobody},
        {"a crypto policy", test_policy},
        {"auto", test_auto},
        {"RDMA or nothing", test_explicit},
        {"--check", test_check},
        {"lost in COPY", test_relink},
        {"TCP lost in COPY", test_relink_tcp},
        {"lost again and again", test_drops},
        {"no bulk channels", test_bulk},
        CU_TEST_INFO_NULL,
    };

    alarm(390);
    return run_suite("data connections", tests);
}
