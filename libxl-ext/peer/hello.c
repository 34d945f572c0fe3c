/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hello and the reply as JSON text. What comes from the peer is checked field by
 * field: type, length, range. Unknown fields are ignored, so that a later version can add
 * some; a missing one is an error.
 */
#include "libxl-ext/peer/hello.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "libxl-ext/peer/needs.h"
#include "libxl-ext/host/secret.h"
#include "pages/pack.h"
#include "transport/text.h"

#define VERSION 1
#define BLOB_MAX 65536u
#define CODECS_MAX 16u

static const char *const transports[] = {
    [XF_TRANSPORT_TCP] = "tcp", [XF_TRANSPORT_RDMA] = "rdma", [XF_TRANSPORT_AUTO] = "auto"};

/* --- out --- */

static void add_hex(json_object *o, const char *name, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    char *hex = malloc(2 * len + 1);

    if (!hex)
        return; /* the missing field is refused by the peer */
    for (size_t i = 0; i < len; i++)
        sprintf(hex + 2 * i, "%02x", bytes[i]);
    hex[2 * len] = 0;
    json_object_object_add(o, name, json_object_new_string(hex));
    free(hex);
}

static json_object *address_list(const char list[][XF_ADDR_LEN], unsigned n)
{
    json_object *a = json_object_new_array();

    for (unsigned i = 0; i < n; i++)
        json_object_array_add(a, json_object_new_string(list[i]));
    return a;
}

static json_object *rdma_side(const struct xf_rdma_side *r)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "state", json_object_new_string(xf_rdma_state_word(r->state)));
    json_object_object_add(o, "why", json_object_new_string(r->why));
    json_object_object_add(o, "addresses", address_list(r->addresses, r->nr_addresses));
    return o;
}

/* A word beside the names of codecs: an older peer takes it for one that it does not know. */
static const char in_pull[] = "pull";

static json_object *codec_list(unsigned codecs, bool pull)
{
    json_object *a = json_object_new_array();

    for (int c = XF_CODEC_LZ4; c < XF_CODECS; c++)
        if (codecs & XF_CODEC_BIT(c))
            json_object_array_add(a, json_object_new_string(xf_codec_name((enum xf_codec)c)));
    if (pull)
        json_object_array_add(a, json_object_new_string(in_pull));
    return a;
}

static json_object *need_list(const struct xf_need *list, unsigned n)
{
    json_object *a = json_object_new_array();

    for (unsigned i = 0; i < n; i++) {
        json_object *o = json_object_new_object();

        json_object_object_add(o, "kind", json_object_new_string(xf_need_word(list[i].kind)));
        json_object_object_add(o, "what", json_object_new_string(list[i].what));
        json_object_object_add(o, "of", json_object_new_string(list[i].of));
        json_object_array_add(a, o);
    }
    return a;
}

static char *to_text(json_object *o)
{
    char *text = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));

    json_object_put(o);
    return text;
}

char *xf_hello_format(const struct xf_hello *h)
{
    json_object *o = json_object_new_object();
    const char *text;
    char *whole;

    if (!o)
        return NULL;
    json_object_object_add(o, "version", json_object_new_int(VERSION));
    json_object_object_add(o, "domain", json_object_new_string(h->domain));
    json_object_object_add(o, "uuid", json_object_new_string(h->uuid));
    json_object_object_add(o, "boot_id", json_object_new_string(h->boot_id));
    json_object_object_add(o, "channels", json_object_new_int64(h->channels));
    json_object_object_add(o, "transport", json_object_new_string(transports[h->transport]));
    json_object_object_add(o, "encrypt", json_object_new_boolean(h->encrypt));
    json_object_object_add(o, "seal", json_object_new_boolean(h->seal));
    json_object_object_add(o, "rdma_buffer_mib", json_object_new_int64(h->rdma_buffer_mib));
    json_object_object_add(o, "rdma", rdma_side(&h->rdma));
    json_object_object_add(o, "leave_paused", json_object_new_boolean(h->leave_paused));
    json_object_object_add(o, "check_only", json_object_new_boolean(h->check_only));
    json_object_object_add(o, "pull", json_object_new_boolean(h->pull));
    json_object_object_add(o, "reconnect_s", json_object_new_int64(h->reconnect_s));
    if (h->find_only) {
        json_object_object_add(o, "find_only", json_object_new_boolean(true));
        json_object_object_add(o, "copy_domid", json_object_new_int64(h->copy_domid));
    }
    json_object_object_add(o, "need_kib", json_object_new_int64((int64_t)h->need_kib));
    json_object_object_add(o, "xen_major", json_object_new_int64(h->xen_major));
    json_object_object_add(o, "xen_minor", json_object_new_int64(h->xen_minor));
    add_hex(o, "cpuid", h->cpuid, h->cpuid_len);
    add_hex(o, "msrs", h->msrs, h->msr_len);
    if (h->nr_needs)
        json_object_object_add(o, "needs", need_list(h->needs, h->nr_needs));
    text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    whole = text ? xf_secret_format(text, &h->key) : NULL;
    json_object_put(o);
    return whole;
}

char *xf_reply_format(const struct xf_reply *r)
{
    json_object *o = json_object_new_object();
    json_object *list = json_object_new_array();

    if (!o || !list) {
        json_object_put(o);
        json_object_put(list);
        return NULL;
    }
    json_object_object_add(o, "version", json_object_new_int(VERSION));
    json_object_object_add(o, "boot_id", json_object_new_string(r->boot_id));
    json_object_object_add(o, "port", json_object_new_int(r->port));
    json_object_object_add(o, "paging", json_object_new_boolean(r->paging));
    json_object_object_add(o, "compress", codec_list(r->codecs, r->unpacks_in_pull));
    json_object_object_add(o, "rdma_port", json_object_new_int(r->rdma_port));
    json_object_object_add(o, "rdma", rdma_side(&r->rdma));
    json_object_object_add(o, "addresses", address_list(r->addresses, r->nr_addresses));
    json_object_object_add(o, "findings", list);
    for (unsigned i = 0; i < r->nr_findings; i++) {
        json_object *f = json_object_new_object();

        json_object_object_add(f, "severity", json_object_new_int(r->findings[i].severity));
        json_object_object_add(f, "code", json_object_new_string(r->findings[i].code));
        json_object_object_add(f, "text", json_object_new_string(r->findings[i].text));
        json_object_array_add(list, f);
    }
    return to_text(o);
}

/* --- in --- */

static json_object *field(json_object *o, const char *name, enum json_type type, struct xf_err *err)
{
    json_object *v = NULL;

    if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, type)) {
        xf_fail(err, EPROTO, "the peer's message lacks a good field \"%s\"", name);
        return NULL;
    }
    return v;
}

/* A string of at most size - 1 bytes; NULL: it is none. */
static const char *get_string(json_object *o, const char *name, size_t size, size_t *len,
                              struct xf_err *err)
{
    json_object *v = field(o, name, json_type_string, err);

    if (!v)
        return NULL;
    *len = (size_t)json_object_get_string_len(v);
    if (*len >= size) {
        xf_fail(err, EPROTO, "the peer's \"%s\" is too long", name);
        return NULL;
    }
    return json_object_get_string(v);
}

/* A word that something is compared with or called by. */
static int get_word(json_object *o, const char *name, char *out, size_t size, struct xf_err *err)
{
    size_t len;
    const char *text = get_string(o, name, size, &len, err);

    if (!text)
        return -1;
    if (!xf_text_is_clean(text, len))
        return xf_fail(err, EPROTO,
                       "the peer's \"%s\" has control characters, or others that are not shown",
                       name);
    memcpy(out, text, len);
    out[len] = 0;
    return 0;
}

/* A sentence for people. */
static int get_sentence(json_object *o, const char *name, char *out, size_t size,
                        struct xf_err *err)
{
    size_t len;
    const char *text = get_string(o, name, size, &len, err);

    if (!text)
        return -1;
    xf_text_copy(out, size, text, len);
    return 0;
}

static int get_number(json_object *o, const char *name, int64_t min, int64_t max, int64_t *out,
                      struct xf_err *err)
{
    json_object *v = field(o, name, json_type_int, err);

    if (!v)
        return -1;
    *out = json_object_get_int64(v);
    if (*out < min || *out > max)
        return xf_fail(err, EPROTO, "the peer's \"%s\" is out of range", name);
    return 0;
}

static int get_bool(json_object *o, const char *name, bool *out, struct xf_err *err)
{
    json_object *v = field(o, name, json_type_boolean, err);

    if (!v)
        return -1;
    *out = json_object_get_boolean(v);
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* Hex text of a multiple of `unit` bytes, at most max; *out is malloc()ed (never NULL). */
static int get_blob(json_object *o, const char *name, size_t max, void **out, uint32_t *len,
                    struct xf_err *err)
{
    json_object *v = field(o, name, json_type_string, err);
    const char *hex;
    uint8_t *bytes;
    size_t n;

    if (!v)
        return -1;
    hex = json_object_get_string(v);
    n = (size_t)json_object_get_string_len(v);
    if (n % 2 || n / 2 > max)
        return xf_fail(err, EPROTO, "the peer's \"%s\" has a bad length", name);
    n /= 2;
    bytes = calloc(1, n + 1);
    if (!bytes)
        return xf_fail(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);

        if (hi < 0 || lo < 0) {
            free(bytes);
            return xf_fail(err, EPROTO, "the peer's \"%s\" is not hexadecimal", name);
        }
        bytes[i] = (uint8_t)(hi << 4 | lo);
    }
    *out = bytes;
    *len = (uint32_t)n;
    return 0;
}

/* The text as an object of our version. */
static json_object *open_message(const char *json, size_t len, struct xf_err *err)
{
    json_tokener *t = json_tokener_new_ex(8);
    json_object *o;
    int64_t version;

    if (!t) {
        xf_fail(err, ENOMEM, "out of memory");
        return NULL;
    }
    json_tokener_set_flags(t, JSON_TOKENER_STRICT);
    o = json_tokener_parse_ex(t, json, (int)len);
    if (json_tokener_get_error(t) != json_tokener_success) {
        xf_fail(err, EPROTO, "the peer's message is not JSON: %s",
                json_tokener_error_desc(json_tokener_get_error(t)));
        goto bad;
    }
    if (!json_object_is_type(o, json_type_object) || json_tokener_get_parse_end(t) != len) {
        xf_fail(err, EPROTO, "the peer's message is not one JSON object");
        goto bad;
    }
    if (get_number(o, "version", 0, INT32_MAX, &version, err))
        goto bad;
    if (version != VERSION) {
        xf_fail(err, EPROTO,
                "the peer speaks version %lld of the protocol, this build %d; "
                "install the same Xenferry on both hosts",
                (long long)version, VERSION);
        goto bad;
    }
    json_tokener_free(t);
    return o;
bad:
    json_tokener_free(t);
    json_object_put(o);
    return NULL;
}

/* An address in digits, with a zone (fe80::1%xenbr0) if need be: no name of the peer's
 * choosing is ever looked up. */
static bool is_numeric(const char *text)
{
    static const char zone[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_";
    char a[XF_ADDR_LEN];
    struct in6_addr bytes;
    char *percent;

    snprintf(a, sizeof(a), "%s", text);
    percent = strchr(a, '%');
    if (!percent)
        return inet_pton(AF_INET, a, &bytes) == 1 || inet_pton(AF_INET6, a, &bytes) == 1;
    *percent++ = 0;
    return inet_pton(AF_INET6, a, &bytes) == 1 && *percent && !percent[strspn(percent, zone)];
}

/* Numeric addresses only: no name of the peer's choosing is ever looked up. */
static int get_addresses(json_object *o, char out[][XF_ADDR_LEN], unsigned max, unsigned *n,
                         struct xf_err *err)
{
    json_object *list = field(o, "addresses", json_type_array, err);

    *n = 0;
    if (!list)
        return -1;
    if (json_object_array_length(list) > max)
        return xf_fail(err, EPROTO, "the peer sent too many addresses");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *a = json_object_array_get_idx(list, i);
        size_t len;

        if (!json_object_is_type(a, json_type_string))
            return xf_fail(err, EPROTO, "the peer sent an invalid address");
        len = (size_t)json_object_get_string_len(a);
        if (len == 0 || len >= XF_ADDR_LEN)
            return xf_fail(err, EPROTO, "the peer sent an address of %zu bytes", len);
        memcpy(out[*n], json_object_get_string(a), len);
        out[*n][len] = 0;
        if (strlen(out[*n]) != len || !is_numeric(out[*n]))
            return xf_fail(err, EPROTO, "the peer sent an address that is not numeric");
        ++*n;
    }
    return 0;
}

static int get_rdma(json_object *o, struct xf_rdma_side *out, struct xf_err *err)
{
    json_object *v = field(o, "rdma", json_type_object, err);
    char state[16];
    int i;

    if (!v || get_word(v, "state", state, sizeof(state), err) ||
        get_sentence(v, "why", out->why, sizeof(out->why), err) ||
        get_addresses(v, out->addresses, XF_RDMA_ADDRS_MAX, &out->nr_addresses, err))
        return -1;
    for (i = 0; i < XF_RDMA_STATES && strcmp(state, xf_rdma_state_word(i)); i++)
        ;
    if (i == XF_RDMA_STATES)
        return xf_fail(err, EPROTO, "the peer's RDMA is in an unknown state");
    if (i == XF_RDMA_READY && !out->nr_addresses)
        return xf_fail(err, EPROTO, "the peer's RDMA has no address");
    out->state = (enum xf_rdma_state)i;
    return 0;
}

static int get_transport(json_object *o, enum xf_transport *out, struct xf_err *err)
{
    char word[8];

    if (get_word(o, "transport", word, sizeof(word), err))
        return -1;
    for (int i = XF_TRANSPORT_TCP; i <= XF_TRANSPORT_AUTO; i++) {
        if (strcmp(word, transports[i]))
            continue;
        *out = (enum xf_transport)i;
        return 0;
    }
    return xf_fail(err, EPROTO, "the peer wants an unknown transport");
}

/* May be missing. A kind that is not known here is a later version's, and cannot be looked for. */
static int get_needs(json_object *o, struct xf_hello *h, struct xf_err *err)
{
    json_object *list;
    size_t n;

    if (!json_object_object_get_ex(o, "needs", NULL))
        return 0;
    list = field(o, "needs", json_type_array, err);
    if (!list)
        return -1;
    n = json_object_array_length(list);
    if (n > XF_NEEDS_MAX)
        return xf_fail(err, EPROTO, "the peer's domain needs too many things of this host");
    h->needs = calloc(n + 1, sizeof(*h->needs));
    if (!h->needs)
        return xf_fail(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        json_object *v = json_object_array_get_idx(list, i);
        struct xf_need *x = &h->needs[h->nr_needs];
        char word[16];
        int k = 0;

        if (!json_object_is_type(v, json_type_object))
            return xf_fail(err, EPROTO, "the peer's message lacks a good field \"needs\"");
        if (get_word(v, "kind", word, sizeof(word), err) ||
            get_word(v, "what", x->what, sizeof(x->what), err) ||
            get_word(v, "of", x->of, sizeof(x->of), err))
            return -1;
        while (k < XF_NEEDS && strcmp(word, xf_need_word((enum xf_need_kind)k)))
            k++;
        x->kind = (enum xf_need_kind)k;
        h->nr_needs += k < XF_NEEDS && x->what[0];
    }
    return 0;
}

static int read_hello(json_object *o, struct xf_hello *h, struct xf_err *err)
{
    int64_t channels, need, major, minor, buffer, copy = 0, reconnect = XF_RECONNECT_S;

    if (get_word(o, "domain", h->domain, sizeof(h->domain), err) ||
        get_word(o, "uuid", h->uuid, sizeof(h->uuid), err) ||
        get_word(o, "boot_id", h->boot_id, sizeof(h->boot_id), err) ||
        get_number(o, "channels", 1, XF_CHANNELS_MAX, &channels, err) ||
        get_transport(o, &h->transport, err) || get_bool(o, "encrypt", &h->encrypt, err) ||
        get_bool(o, "seal", &h->seal, err) || get_rdma(o, &h->rdma, err) ||
        get_number(o, "rdma_buffer_mib", 0, XF_RDMA_BUFFER_MIB_MAX, &buffer, err) ||
        get_bool(o, "leave_paused", &h->leave_paused, err) ||
        get_bool(o, "check_only", &h->check_only, err) ||
        (json_object_object_get_ex(o, "pull", NULL) && get_bool(o, "pull", &h->pull, err)) ||
        (json_object_object_get_ex(o, "reconnect_s", NULL) &&
         get_number(o, "reconnect_s", 0, XF_RECONNECT_MAX_S, &reconnect, err)) ||
        (json_object_object_get_ex(o, "find_only", NULL) &&
         get_bool(o, "find_only", &h->find_only, err)) ||
        (json_object_object_get_ex(o, "copy_domid", NULL) &&
         get_number(o, "copy_domid", 0, 32767, &copy, err)) ||
        get_number(o, "need_kib", 0, INT64_MAX, &need, err) ||
        get_number(o, "xen_major", 0, 1000, &major, err) ||
        get_number(o, "xen_minor", 0, 1000, &minor, err) ||
        get_blob(o, "cpuid", BLOB_MAX, &h->cpuid, &h->cpuid_len, err) ||
        get_blob(o, "msrs", BLOB_MAX, &h->msrs, &h->msr_len, err) || get_needs(o, h, err))
        return -1;
    h->channels = (unsigned)channels;
    h->rdma_buffer_mib = (unsigned)buffer;
    h->reconnect_s = (unsigned)reconnect;
    h->need_kib = (uint64_t)need;
    h->copy_domid = (uint32_t)copy;
    h->xen_major = (uint32_t)major;
    h->xen_minor = (uint32_t)minor;
    if (!h->domain[0])
        return xf_fail(err, EPROTO, "the peer's domain has no name");
    return 0;
}

int xf_hello_parse(const char *json, size_t len, struct xf_hello *h, struct xf_err *err)
{
    struct xf_err no_key = {0};
    json_object *o;
    char *rest;
    int rc;

    memset(h, 0, sizeof(*h));
    rest = xf_secret_take(json, len, &h->key, &no_key);
    if (!rest)
        return xf_fail(err, ENOMEM, "out of memory");
    o = open_message(rest, len, err);
    rc = o ? read_hello(o, h, err) : -1;
    if (!rc && no_key.num)
        rc = xf_fail(err, EPROTO, "the peer's message cannot be used: %s", no_key.text);
    json_object_put(o);
    free(rest);
    if (rc)
        xf_hello_free(h);
    return rc;
}

void xf_hello_free(struct xf_hello *h)
{
    free(h->cpuid);
    free(h->msrs);
    free(h->needs);
    h->cpuid = h->msrs = NULL;
    h->needs = NULL;
    h->nr_needs = 0;
    xf_key_wipe(&h->key);
}

struct xf_link_cfg xf_hello_link_cfg(const struct xf_hello *h, bool rdma, int timeout_ms,
                                     int stall_ms)
{
    return (struct xf_link_cfg){
        .key = &h->key,
        .channels = h->channels,
        .encrypt = rdma ? h->seal : h->encrypt,
        .rdma_buffer = h->rdma_buffer_mib << 20,
        .timeout_ms = timeout_ms,
        .stall_ms = stall_ms,
    };
}

static int read_finding(json_object *o, struct xf_finding *f, struct xf_err *err)
{
    int64_t severity;

    if (!json_object_is_type(o, json_type_object))
        return xf_fail(err, EPROTO, "the peer sent an invalid finding");
    if (get_number(o, "severity", XF_INFO, XF_REFUSAL, &severity, err) ||
        get_word(o, "code", f->code, sizeof(f->code), err) ||
        get_sentence(o, "text", f->text, sizeof(f->text), err))
        return -1;
    f->severity = (enum xf_severity)severity;
    return 0;
}

/* A peer that is older says nothing of it; what a later one may add is not for us. */
static int get_codecs(json_object *o, unsigned *out, bool *pull, struct xf_err *err)
{
    json_object *list;

    *out = 0;
    *pull = false;
    if (!json_object_object_get_ex(o, "compress", NULL))
        return 0;
    list = field(o, "compress", json_type_array, err);
    if (!list)
        return -1;
    if (json_object_array_length(list) > CODECS_MAX)
        return xf_fail(err, EPROTO, "the peer knows too many ways to compress");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *v = json_object_array_get_idx(list, i);

        if (!json_object_is_type(v, json_type_string))
            return xf_fail(err, EPROTO, "the peer's \"compress\" has an invalid entry");
        *pull |= !strcmp(json_object_get_string(v), in_pull);
        for (int c = XF_CODEC_LZ4; c < XF_CODECS; c++)
            if (!strcmp(json_object_get_string(v), xf_codec_name((enum xf_codec)c)))
                *out |= XF_CODEC_BIT(c);
    }
    return 0;
}

static int read_reply(json_object *o, struct xf_reply *r, struct xf_err *err)
{
    json_object *findings = field(o, "findings", json_type_array, err);
    int64_t port, rdma_port;

    if (!findings || get_word(o, "boot_id", r->boot_id, sizeof(r->boot_id), err) ||
        get_bool(o, "paging", &r->paging, err) || get_number(o, "port", 0, 65535, &port, err) ||
        get_codecs(o, &r->codecs, &r->unpacks_in_pull, err) ||
        get_number(o, "rdma_port", 0, 65535, &rdma_port, err) || get_rdma(o, &r->rdma, err) ||
        get_addresses(o, r->addresses, XF_ADDRESSES_MAX, &r->nr_addresses, err))
        return -1;
    r->port = (uint16_t)port;
    r->rdma_port = (uint16_t)rdma_port;
    if (json_object_array_length(findings) > XF_FINDINGS_MAX)
        return xf_fail(err, EPROTO, "the peer's reply is too long");
    for (size_t i = 0; i < json_object_array_length(findings); i++)
        if (read_finding(json_object_array_get_idx(findings, i), &r->findings[r->nr_findings++],
                         err))
            return -1;
    return 0;
}

int xf_reply_parse(const char *json, size_t len, struct xf_reply *r, struct xf_err *err)
{
    json_object *o = open_message(json, len, err);
    int rc;

    memset(r, 0, sizeof(*r));
    if (!o)
        return -1;
    rc = read_reply(o, r, err);
    json_object_put(o);
    return rc;
}
