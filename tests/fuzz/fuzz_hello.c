/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for the JSON of the bootstrap, and of the record that a move leaves. The
 * first byte chooses: bit 2 the record, else bit 0 the reply, else the hello; the rest is the
 * text. Beyond "no crash": what is taken keeps to its
 * limits, and what the formatter writes from it is taken again and means the same.
 *
 * tests/unit/test_replay_hello.c includes this file to run damaged
 * seeds in the ordinary tests.
 */
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/host/pci_addr.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/moves/record.h"
#include "tests/fuzz/target.h"
#include "tests/unit/hello_seeds.h"

enum { TOOK_HELLO, TOOK_REPLY, TOOK_RECORD };

static void fuzz_text(const char *s, size_t size)
{
    MUST(memchr(s, 0, size));
    for (; *s; s++)
        MUST((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static void fuzz_rdma(const struct xf_rdma_side *r)
{
    MUST(r->state < XF_RDMA_STATES && r->nr_addresses <= XF_RDMA_ADDRS_MAX);
    MUST(r->state != XF_RDMA_READY || r->nr_addresses);
    fuzz_text(r->why, sizeof(r->why));
    for (unsigned i = 0; i < r->nr_addresses; i++) {
        fuzz_text(r->addresses[i], sizeof(r->addresses[i]));
        MUST(r->addresses[i][0] && !strchr(r->addresses[i], ' '));
    }
}

/* Latin-1 and torn UTF-8 go through as they are, so the second reading sees the same bytes. */
static void fuzz_hello(const char *json, size_t len)
{
    struct xf_hello h, twice;
    struct xf_err err = {0};
    char *again;

    if (xf_hello_parse(json, len, &h, &err)) {
        MUST(err.num && err.text[0] && !strchr(err.text, '\n'));
        MUST(!h.cpuid && !h.msrs && !h.needs);
        return;
    }
    fuzz_reached(TOOK_HELLO);
    fuzz_text(h.domain, sizeof(h.domain));
    fuzz_text(h.uuid, sizeof(h.uuid));
    fuzz_text(h.boot_id, sizeof(h.boot_id));
    fuzz_rdma(&h.rdma);
    MUST(h.transport <= XF_TRANSPORT_AUTO && h.rdma_buffer_mib <= XF_RDMA_BUFFER_MIB_MAX);
    MUST(h.domain[0] && h.channels >= 1 && h.channels <= XF_CHANNELS_MAX && h.cpuid && h.msrs);
    MUST(h.nr_needs <= XF_NEEDS_MAX && (h.needs || !h.nr_needs));
    for (unsigned i = 0; i < h.nr_needs; i++) {
        MUST(h.needs[i].kind < XF_NEEDS && h.needs[i].what[0]);
        fuzz_text(h.needs[i].what, sizeof(h.needs[i].what));
        fuzz_text(h.needs[i].of, sizeof(h.needs[i].of));
    }
    MUST(h.nr_pci <= XF_PCI_MAX);
    for (unsigned i = 0; i < h.nr_pci; i++) {
        struct xf_pci_parts p;

        MUST(xf_pci_parse(h.pci[i].addr, &p) && xf_pci_parse(h.pci[i].of, &p));
        MUST(strlen(h.pci[i].addr) == XF_PCI_ADDR - 1 && strlen(h.pci[i].of) == XF_PCI_ADDR - 1);
    }
    again = xf_hello_format(&h);
    MUST(again);
    if (!xf_hello_parse(again, strlen(again), &twice, NULL)) {
        MUST(!strcmp(h.domain, twice.domain) && h.cpuid_len == twice.cpuid_len);
        MUST(!memcmp(&h.key, &twice.key, sizeof(h.key)) && h.need_kib == twice.need_kib);
        MUST(!memcmp(h.msrs, twice.msrs, h.msr_len));
        MUST(h.transport == twice.transport && h.seal == twice.seal);
        MUST(h.find_only == twice.find_only && h.pull == twice.pull);
        MUST(!h.find_only || h.cpu_only == twice.cpu_only);
        MUST(!memcmp(&h.rdma, &twice.rdma, sizeof(h.rdma)));
        MUST(h.nr_needs == twice.nr_needs && h.nr_pci == twice.nr_pci);
        MUST(!memcmp(h.pci, twice.pci, h.nr_pci * sizeof(*h.pci)));
        MUST(!h.nr_needs || !memcmp(h.needs, twice.needs, h.nr_needs * sizeof(*h.needs)));
        xf_hello_free(&twice);
    } else {
        MUST(0);
    }
    xf_hello_free(&h);
    free(again);
}

static void fuzz_reply(const char *json, size_t len)
{
    static struct xf_reply r, twice;
    struct xf_err err = {0};
    char *again;

    if (xf_reply_parse(json, len, &r, &err)) {
        MUST(err.num && err.text[0] && !strchr(err.text, '\n'));
        return;
    }
    fuzz_reached(TOOK_REPLY);
    fuzz_rdma(&r.rdma);
    fuzz_text(r.cpu.vendor, sizeof(r.cpu.vendor));
    MUST(r.moves <= 1000 && r.moves_limit <= 1000);
    MUST(r.nr_addresses <= XF_ADDRESSES_MAX && r.nr_findings <= XF_FINDINGS_MAX);
    for (unsigned i = 0; i < r.nr_addresses; i++) {
        fuzz_text(r.addresses[i], sizeof(r.addresses[i]));
        MUST(r.addresses[i][0] && !strchr(r.addresses[i], ' '));
    }
    for (unsigned i = 0; i < r.nr_findings; i++) {
        fuzz_text(r.findings[i].code, sizeof(r.findings[i].code));
        fuzz_text(r.findings[i].text, sizeof(r.findings[i].text));
        MUST(r.findings[i].severity <= XF_REFUSAL);
    }
    again = xf_reply_format(&r);
    MUST(again);
    MUST(!xf_reply_parse(again, strlen(again), &twice, &err));
    MUST(!memcmp(&r, &twice, sizeof(r)));
    free(again);
}

static void fuzz_record(const char *json, size_t len)
{
    static struct xf_record r, twice;
    struct xf_err err = {0};
    char *again;

    if (xf_record_parse(json, len, &r, &err)) {
        MUST(err.num && err.text[0] && !strchr(err.text, '\n'));
        MUST(!r.domid && !r.key.bytes[0] && !r.key.bytes[31]);
        return;
    }
    fuzz_reached(TOOK_RECORD);
    fuzz_text(r.name, sizeof(r.name));
    fuzz_text(r.peer, sizeof(r.peer));
    MUST(memchr(r.host, 0, sizeof(r.host)) && memchr(r.rune, 0, sizeof(r.rune)));
    MUST(r.state < XF_RECORD_STATES && r.domid && r.port && r.uuid[0] && r.name[0] && r.peer[0]);
    MUST(r.channels >= 1 && r.channels <= XF_CHANNELS_MAX && r.own.n <= XF_OWN_MAX);
    for (unsigned i = 0; i < r.own.n; i++)
        fuzz_text(r.own.list[i], sizeof(r.own.list[i]));
    again = xf_record_format(&r);
    MUST(again);
    MUST(!xf_record_parse(again, strlen(again), &twice, &err));
    MUST(!memcmp(&r, &twice, sizeof(r)));
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *exact;

    if (size < 1 || size > XF_FRAME_MAX)
        return 0;
    exact = malloc(size);
    MUST(exact);
    memcpy(exact, data + 1, size - 1);
    exact[size - 1] = 0; /* as frame_receive() leaves it */
    if (data[0] & 4)
        fuzz_record(exact, size - 1);
    else if (data[0] & 1)
        fuzz_reply(exact, size - 1);
    else
        fuzz_hello(exact, size - 1);
    free(exact);
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static const char *const seeds[] = {"0" SEED_HELLO, "1" SEED_REPLY, "4" SEED_RECORD};
    size_t len;

    if (n >= 3)
        return 0;
    len = strlen(seeds[n]);
    memcpy(out, seeds[n], len);
    return len;
}

FUZZ_TARGET(fuzz_seed, "a hello is taken", "a reply is taken", "a record is taken")
