/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stream that makes a stock receiver build a skeleton: see stream.h. */
#include "libxl-ext/sink/stream.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* xl's save file header (tools/xl/xl.h: struct save_file_header, SAVEFILE_BYTEORDER_VALUE). */
#define XL_MAGIC "Xen saved domain, xl format\n \0 \r" /* 32 bytes, no NUL */
#define XL_BYTEORDER 0x01020304u
#define XL_FLAG_JSON 1u
#define XL_FLAG_STREAMV2 2u

/* libxl stream records */
#define LIBXL_IDENT 0x4c6962786c466d74ull /* "LibxlFmt" */
#define LIBXL_VERSION 2u
#define LIBXL_END 0u
#define LIBXL_LIBXC_CONTEXT 1u
#define LIBXL_EMULATOR_CONTEXT 3u
#define LIBXL_QEMU_UPSTREAM 2u

/* libxc stream records */
#define LIBXC_ID 0x58454e46u /* "XENF" */
#define LIBXC_VERSION 3u
#define LIBXC_DOMAIN_HVM 2u
#define REC_END 0x00u
#define REC_PAGE_DATA 0x01u
#define REC_TSC_INFO 0x08u
#define REC_HVM_CONTEXT 0x09u
#define REC_HVM_PARAMS 0x0au
#define REC_STATIC_DATA_END 0x10u
#define REC_CPUID_POLICY 0x11u
#define REC_MSR_POLICY 0x12u

static void put(FILE *f, const void *data, size_t len)
{
    if (len)
        fwrite(data, 1, len, f); /* a memory stream: failure shows at fclose */
}

static void put32(FILE *f, uint32_t v)
{
    v = htole32(v);
    put(f, &v, sizeof(v));
}

static void put64(FILE *f, uint64_t v)
{
    v = htole64(v);
    put(f, &v, sizeof(v));
}

static void put32be(FILE *f, uint32_t v)
{
    v = htobe32(v);
    put(f, &v, sizeof(v));
}

static void put64be(FILE *f, uint64_t v)
{
    v = htobe64(v);
    put(f, &v, sizeof(v));
}

static void pad8(FILE *f, size_t len)
{
    static const char zeros[8];

    put(f, zeros, (8 - len % 8) % 8);
}

/* A record, libxl's and libxc's alike. */
static void record(FILE *f, uint32_t type, const void *body, size_t len)
{
    put32(f, type);
    put32(f, (uint32_t)len);
    put(f, body, len);
    pad8(f, len);
}

static void xl_header(FILE *f, const char *config, uint32_t len)
{
    _Static_assert(sizeof(XL_MAGIC) - 1 == 32, "xl's magic has 32 bytes");
    put(f, XL_MAGIC, 32);
    put32(f, XL_BYTEORDER);
    put32(f, XL_FLAG_JSON | XL_FLAG_STREAMV2);
    put32(f, 0);
    put32(f, (uint32_t)sizeof(uint32_t) + len);
    put32(f, len);
    put(f, config, len);
}

/* XF_STREAM_LIBXL_HEADER bytes. */
static void libxl_header(FILE *f)
{
    put64be(f, LIBXL_IDENT);
    put32be(f, LIBXL_VERSION);
    put32be(f, 0); /* little-endian, not converted */
}

/* Empty pages for the gfns that HVM parameters name: a restore clears some of them, and
 * xenstored and xenconsoled map theirs as soon as the domain is introduced. */
static void special_pages(FILE *f, const struct xf_skeleton *s)
{
    static const uint8_t empty[XF_PAGE_SIZE];

    if (!s->nr_specials)
        return;
    put32(f, REC_PAGE_DATA);
    put32(f, 8 + s->nr_specials * (8 + XF_PAGE_SIZE));
    put32(f, s->nr_specials);
    put32(f, 0);
    for (uint32_t i = 0; i < s->nr_specials; i++)
        put64(f, s->specials[i]); /* type in the top bits: 0, ordinary */
    for (uint32_t i = 0; i < s->nr_specials; i++)
        put(f, empty, sizeof(empty));
}

/* How a part is written as a record of libxc's stream. */
enum shape {
    AS_IT_IS,
    COUNTED, /* a count, zero, and then that many entries of 16 bytes */
};

/*
 * The record of each part, in the order in which a restore wants them: first what is needed to make
 * the domain, then, after its first pages, what is needed to run it.
 */
static const struct {
    uint16_t kind;
    uint32_t record;
    enum shape shape;
    bool first; /* before STATIC_DATA_END */
} records[] = {
    {XF_PART_CPUID, REC_CPUID_POLICY, AS_IT_IS, true},
    {XF_PART_MSRS, REC_MSR_POLICY, AS_IT_IS, true},
    {XF_PART_TSC, REC_TSC_INFO, AS_IT_IS, false},
    {XF_PART_HVM_CONTEXT, REC_HVM_CONTEXT, AS_IT_IS, false},
    {XF_PART_HVM_PARAMS, REC_HVM_PARAMS, COUNTED, false},
};

static void part_records(FILE *f, const struct xf_state *s, bool first)
{
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        const struct xf_part *p = xf_state_find(s, records[i].kind);

        if (!p || records[i].first != first)
            continue;
        if (records[i].shape == AS_IT_IS) {
            record(f, records[i].record, p->data, p->len);
            continue;
        }
        put32(f, records[i].record);
        put32(f, 8 + p->len);
        put32(f, p->len / 16);
        put32(f, 0);
        put(f, p->data, p->len);
    }
}

static void libxc_stream(FILE *f, const struct xf_skeleton_parts *p)
{
    const struct xf_skeleton *s = p->skeleton;

    put64be(f, ~0ull);
    put32be(f, LIBXC_ID);
    put32be(f, LIBXC_VERSION);
    put64(f, 0); /* options: little-endian; reserved */

    put32(f, LIBXC_DOMAIN_HVM);
    put32(f, 12); /* page shift; reserved */
    put32(f, s->xen_major);
    put32(f, s->xen_minor);

    part_records(f, p->state, true);
    record(f, REC_STATIC_DATA_END, NULL, 0);
    special_pages(f, s);
    part_records(f, p->state, false);
    record(f, REC_END, NULL, 0);
}

int xf_stream_parts(const struct xf_skeleton *k, const uint8_t *payload, struct xf_state *out,
                    struct xf_err *err)
{
    const uint8_t *cpuid = payload + k->config_len, *msrs = cpuid + k->cpuid_len;

    if (xf_state_add_copy(out, XF_PART_CPUID, cpuid, k->cpuid_len, err) ||
        xf_state_add_copy(out, XF_PART_MSRS, msrs, k->msr_len, err) ||
        xf_state_add_tsc(out, &k->tsc, err) ||
        xf_state_add_copy(out, XF_PART_HVM_CONTEXT, msrs + k->msr_len, k->ctx_len, err))
        return -1;
    return xf_state_add_params(out, k->params, k->nr_params, err);
}

int xf_stream_head(const char *config, uint32_t len, void **out, size_t *size, struct xf_err *err)
{
    char *buf = NULL;
    FILE *f = open_memstream(&buf, size);

    if (!f)
        return xf_fail(err, ENOMEM, "out of memory for the head of the stream");
    xl_header(f, config, len);
    libxl_header(f);
    if (fclose(f)) {
        free(buf);
        return xf_fail(err, ENOMEM, "out of memory for the head of the stream");
    }
    *out = buf;
    return 0;
}

int xf_stream_build(const struct xf_skeleton_parts *p, void **out, size_t *len, struct xf_err *err)
{
    char *buf = NULL;
    FILE *f = open_memstream(&buf, len);

    if (!f)
        return xf_fail(err, ENOMEM, "out of memory for the skeleton's stream");
    xl_header(f, p->config, p->skeleton->config_len);
    libxl_header(f);
    record(f, LIBXL_LIBXC_CONTEXT, NULL, 0);
    libxc_stream(f, p);
    record(f, LIBXL_END, NULL, 0); /* with libxc's before it: XF_STREAM_END */
    if (fclose(f)) {
        free(buf);
        return xf_fail(err, ENOMEM, "out of memory for the skeleton's stream");
    }
    *out = buf;
    return 0;
}

int xf_stream_rest(const struct xf_state *s, void **out, size_t *len, struct xf_err *err)
{
    const struct xf_part *devices = xf_state_find(s, XF_PART_DEVICES);
    char *buf = NULL;
    FILE *f = open_memstream(&buf, len);

    if (!f)
        return xf_fail(err, ENOMEM, "out of memory for the devices' state");
    if (devices) {
        put32(f, LIBXL_EMULATOR_CONTEXT);
        put32(f, 8 + devices->len);
        put32(f, LIBXL_QEMU_UPSTREAM);
        put32(f, 0); /* the first and only one */
        put(f, devices->data, devices->len);
        pad8(f, devices->len);
    }
    record(f, LIBXL_END, NULL, 0);
    if (fclose(f)) {
        free(buf);
        return xf_fail(err, ENOMEM, "out of memory for the devices' state");
    }
    *out = buf;
    return 0;
}
