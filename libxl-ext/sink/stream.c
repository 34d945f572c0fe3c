/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stream that makes a stock receiver build a skeleton: see stream.h. */
#include "libxl-ext/sink/stream.h"

#include <endian.h>
#include <errno.h>
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

static void xl_header(FILE *f, const struct xf_skeleton_parts *p)
{
    _Static_assert(sizeof(XL_MAGIC) - 1 == 32, "xl's magic has 32 bytes");
    put(f, XL_MAGIC, 32);
    put32(f, XL_BYTEORDER);
    put32(f, XL_FLAG_JSON | XL_FLAG_STREAMV2);
    put32(f, 0);
    put32(f, (uint32_t)sizeof(uint32_t) + p->skeleton->config_len);
    put32(f, p->skeleton->config_len);
    put(f, p->config, p->skeleton->config_len);
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

static void tsc_info(FILE *f, const struct xf_tsc *tsc)
{
    put32(f, REC_TSC_INFO);
    put32(f, 24);
    put32(f, tsc->mode);
    put32(f, tsc->khz);
    put64(f, tsc->nsec);
    put32(f, tsc->incarnation);
    put32(f, 0);
}

static void hvm_params(FILE *f, const struct xf_skeleton *s)
{
    if (!s->nr_params)
        return;
    put32(f, REC_HVM_PARAMS);
    put32(f, 8 + 16 * s->nr_params);
    put32(f, s->nr_params);
    put32(f, 0);
    for (uint32_t i = 0; i < s->nr_params; i++) {
        put64(f, s->params[i].index);
        put64(f, s->params[i].value);
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

    if (s->cpuid_len)
        record(f, REC_CPUID_POLICY, p->cpuid, s->cpuid_len);
    if (s->msr_len)
        record(f, REC_MSR_POLICY, p->msrs, s->msr_len);
    record(f, REC_STATIC_DATA_END, NULL, 0);
    special_pages(f, s);
    tsc_info(f, &s->tsc);
    record(f, REC_HVM_CONTEXT, p->context, s->ctx_len);
    hvm_params(f, s);
    record(f, REC_END, NULL, 0);
}

int xf_stream_build(const struct xf_skeleton_parts *p, void **out, size_t *len, struct xf_err *err)
{
    char *buf = NULL;
    FILE *f = open_memstream(&buf, len);

    if (!f)
        return xf_fail(err, ENOMEM, "out of memory for the skeleton's stream");
    xl_header(f, p);
    put64be(f, LIBXL_IDENT);
    put32be(f, LIBXL_VERSION);
    put32be(f, 0);
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
