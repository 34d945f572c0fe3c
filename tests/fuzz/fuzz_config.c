/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer target for the configuration file. Only root can write it, and still: a file that is
 * damaged, or that another tool has written, gets one sentence with its line and never a crash;
 * and what is taken keeps to the limits of the schema.
 */
#include "libxl-ext/host/config.h"
#include "tests/fuzz/target.h"

enum { TOOK_EMPTY, TOOK_MIGRATE, TOOK_RECEIVE, TOOK_SOURCE, TOOK_RDMA, TOOK_STORAGE };

static void fuzz_taken(const struct xf_config *c)
{
    MUST(c->transport <= XF_TRANSPORT_AUTO && c->encrypt >= -1 && c->encrypt <= 1);
    MUST(c->channels <= XF_CHANNELS_MAX && c->mode >= -1 && c->mode <= XF_MODE_POSTCOPY + 1);
    MUST(c->limit_moves <= 64 && c->limit_bandwidth <= 1ull << 40);
    MUST(c->nr_addresses <= XF_CONFIG_ADDRESSES);
    for (unsigned i = 0; i < c->nr_addresses; i++)
        MUST(memchr(c->addresses[i], 0, XF_ADDR_LEN) && xf_is_address(c->addresses[i]));
    MUST(c->stores.nr <= XF_STORES_MAX);
    for (unsigned i = 0; i < c->stores.nr; i++) {
        const struct xf_store *s = &c->stores.list[i];

        MUST(memchr(s->name, 0, sizeof(s->name)));
        MUST(s->vg ? xf_store_vg_ok(s->name) : xf_store_dir_ok(s->name));
        fuzz_reached(TOOK_STORAGE);
    }
    MUST(memchr(c->source_address, 0, XF_ADDR_LEN));
    MUST(!c->source_address[0] || xf_is_address_or_device(c->source_address));
    MUST(!c->port_last || c->port_last >= c->port); /* a range may be of one port */
    MUST(c->transport == XF_TRANSPORT_TCP || c->ours);
    fuzz_reached(c->max_downtime_ms && c->channels ? TOOK_MIGRATE : TOOK_EMPTY);
    if (c->port && c->nr_addresses)
        fuzz_reached(TOOK_RECEIVE);
    if (c->source_address[0])
        fuzz_reached(TOOK_SOURCE);
    if (c->rdma_buffer_mib && c->rdma_poll_us >= 0)
        fuzz_reached(TOOK_RDMA);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xf_config c;
    struct xf_err err = {0};

    if (xf_config_parse("fuzz.xml", (const char *)data, size, &c, &err)) {
        MUST(err.num && err.text[0] && !strchr(err.text, '\n'));
        MUST(!strncmp(err.text, "fuzz.xml", 8));
    } else {
        MUST(!err.num);
        fuzz_taken(&c);
    }
    return 0;
}

static size_t fuzz_seed(int n, uint8_t out[FUZZ_INPUT_MAX])
{
    static const char *const seeds[] = {
        "<xenferry/>",
        "<xenferry>\n"
        " <migrate transport=\"auto\" encrypt=\"yes\" compress=\"lz4\" mode=\"hybrid\"\n"
        "  max-downtime=\"200\" max-rounds=\"7\" channels=\"4\" bandwidth=\"100\"/>\n"
        "</xenferry>",
        "<xenferry><receive><address>192.0.2.1</address><port>8002</port></receive></xenferry>",
        "<xenferry><receive><address> 2001:db8::1 </address></receive></xenferry>",
        "<xenferry><receive><port>8002-8009</port></receive></xenferry>",
        "<xenferry><source address=\"eth0\"/><rdma buffer=\"16\" poll=\"0\"/></xenferry>",
        "<xenferry><receive><storage dir=\"/srv/xen\"/><storage vg=\"vg0\"/></receive></xenferry>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><xenferry>&b;</xenferry>",
    };
    size_t len;

    if ((size_t)n >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    len = strlen(seeds[n]);
    memcpy(out, seeds[n], len);
    return len;
}

FUZZ_TARGET(fuzz_seed, "a configuration without numbers is taken", "<migrate> is taken",
            "<receive> is taken", "<source> is taken", "<rdma> is taken", "<storage> is taken")
