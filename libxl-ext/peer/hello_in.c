/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hello and the reply read from JSON text (transport/json_in.h). The peer's data is checked
 * field by field; a missing field is an error, unless older peers do not send it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/json_in.h"
#include "libxl-ext/host/pci_addr.h"
#include "libxl-ext/host/secret.h"
#include "libxl-ext/peer/cpu_json.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/peer/needs.h"
#include "pages/pack.h"
#include "transport/version.h"

#define DEPTH 8
#define BLOB_MAX 65536u
#define CODECS_MAX 16u
#define DISK_BYTES_MAX (1ll << 50)
#define CODEC_LEN 64u
#define MOVES_MAX 1000
#define WIRE_VERSIONS 65535 /* largest possible version of the protocol */

static const char what[] = "the peer's message";

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* Hex text of at most `max` bytes; *out is malloc()ed (never NULL). */
static int get_blob(const struct xf_json *j, const char *name, size_t max, void **out,
                    uint32_t *len)
{
    size_t n;
    const char *hex = xf_json_string(j, name, 2 * max + 1, &n);
    uint8_t *bytes;

    if (!hex)
        return -1;
    if (n % 2)
        return xf_json_bad(j, name, "has an odd number of digits");
    n /= 2;
    bytes = calloc(1, n + 1);
    if (!bytes)
        return xf_fail(j->err, ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);

        if (hi < 0 || lo < 0) {
            free(bytes);
            return xf_json_bad(j, name, "is not hexadecimal");
        }
        bytes[i] = (uint8_t)(hi << 4 | lo);
    }
    *out = bytes;
    *len = (uint32_t)n;
    return 0;
}

/* Read the peer's build. A peer of version 1 does not send it. */
static int get_build(const struct xf_json *j, struct xf_build *b)
{
    int64_t version, newest = 1, oldest = 1;

    *b = (struct xf_build){0};
    if (xf_json_has(j, "xenferry") && xf_json_sentence(j, "xenferry", b->release, XF_RELEASE_BYTES))
        return -1;
    if (xf_json_number(j, "version", 0, INT32_MAX, &version))
        return -1;
    if (version != XF_BOOTSTRAP_VERSION)
        return xf_fail(j->err, EPROTO,
                       "the peer (Xenferry %s) speaks version %lld of the bootstrap, this one (%s) "
                       "only %d: install the same Xenferry on both hosts",
                       b->release[0] ? b->release : "of an unknown version", (long long)version,
                       xf_version(), XF_BOOTSTRAP_VERSION);
    if ((xf_json_has(j, "protocol") || xf_json_has(j, "oldest")) &&
        (xf_json_number(j, "protocol", 1, WIRE_VERSIONS, &newest) ||
         xf_json_number(j, "oldest", 1, newest, &oldest)))
        return -1;
    b->newest = (unsigned)newest;
    b->oldest = (unsigned)oldest;
    return 0;
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
static int get_addresses(const struct xf_json *j, char out[][XF_ADDR_LEN], unsigned max,
                         unsigned *n)
{
    size_t count;
    json_object *list = xf_json_array(j, "addresses", max, &count);

    *n = 0;
    if (!list)
        return -1;
    for (; *n < count; ++*n) {
        if (xf_json_item_word(j, "addresses", list, *n, out[*n], XF_ADDR_LEN))
            return -1;
        if (!is_numeric(out[*n]))
            return xf_json_bad(j, "addresses", "has an address that is not numeric");
    }
    return 0;
}

static int get_rdma(const struct xf_json *j, struct xf_rdma_side *out)
{
    struct xf_json v;
    char state[16];
    int i;

    if (xf_json_object(j, "rdma", &v) || xf_json_word(&v, "state", state, sizeof(state)) ||
        xf_json_sentence(&v, "why", out->why, sizeof(out->why)) ||
        get_addresses(&v, out->addresses, XF_RDMA_ADDRS_MAX, &out->nr_addresses))
        return -1;
    for (i = 0; i < XF_RDMA_STATES && strcmp(state, xf_rdma_state_word(i)); i++)
        ;
    if (i == XF_RDMA_STATES)
        return xf_fail(j->err, EPROTO, "the peer's RDMA is in an unknown state");
    if (i == XF_RDMA_READY && !out->nr_addresses)
        return xf_fail(j->err, EPROTO, "the peer's RDMA has no address");
    out->state = (enum xf_rdma_state)i;
    return 0;
}

static int get_transport(const struct xf_json *j, enum xf_transport *out)
{
    char word[8];

    if (xf_json_word(j, "transport", word, sizeof(word)))
        return -1;
    for (int i = XF_TRANSPORT_TCP; i <= XF_TRANSPORT_AUTO; i++) {
        if (strcmp(word, xf_transport_word((enum xf_transport)i)))
            continue;
        *out = (enum xf_transport)i;
        return 0;
    }
    return xf_fail(j->err, EPROTO, "the peer wants an unknown transport");
}

/* May be missing. An unknown kind comes from a later version, and cannot be checked. */
static int get_needs(const struct xf_json *j, struct xf_hello *h)
{
    json_object *list;
    size_t n;

    if (!xf_json_has(j, "needs"))
        return 0;
    list = xf_json_array(j, "needs", XF_NEEDS_MAX, &n);
    if (!list)
        return -1;
    h->needs = calloc(n + 1, sizeof(*h->needs));
    if (!h->needs)
        return xf_fail(j->err, ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct xf_need *x = &h->needs[h->nr_needs];
        struct xf_json v;
        char word[16];
        int k = 0;

        if (xf_json_item(j, "needs", list, i, &v) || xf_json_word(&v, "kind", word, sizeof(word)) ||
            xf_json_word(&v, "what", x->what, sizeof(x->what)) ||
            xf_json_word(&v, "of", x->of, sizeof(x->of)))
            return -1;
        while (k < XF_NEEDS && strcmp(word, xf_need_word((enum xf_need_kind)k)))
            k++;
        x->kind = (enum xf_need_kind)k;
        h->nr_needs += k < XF_NEEDS && x->what[0];
    }
    return 0;
}

/* An address in full, as xf_pci_addr() writes it. */
static int get_pci_addr(const struct xf_json *j, const char *name, char out[XF_PCI_ADDR])
{
    char text[XF_PCI_ADDR];

    if (xf_json_word(j, name, text, sizeof(text)))
        return -1;
    if (!xf_pci_addr(text, out) || strcmp(text, out) != 0)
        return xf_json_bad(j, name, "is not the address of a PCI device");
    return 0;
}

/* May be missing. */
static int get_pci(const struct xf_json *j, struct xf_hello *h)
{
    json_object *list;
    size_t n;

    if (!xf_json_has(j, "pci"))
        return 0;
    list = xf_json_array(j, "pci", XF_PCI_MAX, &n);
    if (!list)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct xf_pci_wish *w = &h->pci[i];
        struct xf_json v;

        if (xf_json_item(j, "pci", list, i, &v) || get_pci_addr(&v, "addr", w->addr) ||
            get_pci_addr(&v, "of", w->of) || xf_json_bool(&v, "permissive", &w->permissive) ||
            xf_json_bool(&v, "relaxed", &w->relaxed))
            return -1;
        for (size_t k = 0; k < i; k++)
            if (!strcmp(h->pci[k].addr, w->addr))
                return xf_json_bad(j, "pci", "names a device twice");
    }
    h->nr_pci = (unsigned)n;
    return 0;
}

/* A disk's name, as libxl takes it: letters and digits. */
static bool is_vdev(const char *s)
{
    return s[0] && !s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789")];
}

static int get_disk(const struct xf_json *v, struct xf_disk_plan *d)
{
    int64_t bytes, used;

    if (xf_json_word(v, "vdev", d->vdev, sizeof(d->vdev)) ||
        xf_json_word(v, "want", d->want, sizeof(d->want)) ||
        xf_json_word(v, "name", d->name, sizeof(d->name)) ||
        xf_json_number(v, "bytes", 512, DISK_BYTES_MAX, &bytes) ||
        xf_json_number(v, "used", 0, INT64_MAX, &used) || xf_json_bool(v, "sparse", &d->sparse))
        return -1;
    if (!is_vdev(d->vdev) || bytes % 512)
        return xf_json_bad(v, is_vdev(d->vdev) ? "bytes" : "vdev", "is not that of a disk");
    d->bytes = (uint64_t)bytes;
    d->used = (uint64_t)used;
    return 0;
}

/* May be missing. */
static int get_disks(const struct xf_json *j, struct xf_hello *h)
{
    json_object *list;
    size_t n;

    if (!xf_json_has(j, "disks"))
        return 0;
    list = xf_json_array(j, "disks", XF_MOVE_DISKS_MAX, &n);
    if (!list || xf_json_bool(j, "verify_disks", &h->verify_disks))
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct xf_json v;

        if (xf_json_item(j, "disks", list, i, &v) || get_disk(&v, &h->disks[i]))
            return -1;
        for (size_t k = 0; k < i; k++)
            if (!strcmp(h->disks[k].vdev, h->disks[i].vdev))
                return xf_json_bad(j, "disks", "names a disk twice");
    }
    h->nr_disks = (unsigned)n;
    return 0;
}

/* Fields that may be missing, because older peers do not send them. */
static int read_optional(const struct xf_json *j, struct xf_hello *h)
{
    int64_t copy = 0, reconnect = XF_RECONNECT_S;

    if ((xf_json_has(j, "pull") && xf_json_bool(j, "pull", &h->pull)) ||
        (xf_json_has(j, "reconnect_s") &&
         xf_json_number(j, "reconnect_s", 0, XF_RECONNECT_MAX_S, &reconnect)) ||
        (xf_json_has(j, "late_devices") && xf_json_bool(j, "late_devices", &h->late_devices)) ||
        (xf_json_has(j, "cold") && xf_json_bool(j, "cold", &h->cold)) ||
        (xf_json_has(j, "qemu") && xf_json_word(j, "qemu", h->qemu, sizeof(h->qemu))) ||
        (xf_json_has(j, "find_only") && xf_json_bool(j, "find_only", &h->find_only)) ||
        (xf_json_has(j, "copy_domid") && xf_json_number(j, "copy_domid", 0, 32767, &copy)) ||
        (xf_json_has(j, "cpu_only") && xf_json_bool(j, "cpu_only", &h->cpu_only)))
        return -1;
    h->reconnect_s = (unsigned)reconnect;
    h->copy_domid = (uint32_t)copy;
    return get_needs(j, h) || get_pci(j, h) || get_disks(j, h) ? -1 : 0;
}

static int read_hello(const struct xf_json *j, struct xf_hello *h)
{
    int64_t channels, need, major, minor, buffer;

    if (get_build(j, &h->build) || xf_json_word(j, "domain", h->domain, sizeof(h->domain)) ||
        xf_json_word(j, "uuid", h->uuid, sizeof(h->uuid)) ||
        xf_json_word(j, "boot_id", h->boot_id, sizeof(h->boot_id)) ||
        xf_json_number(j, "channels", 1, XF_CHANNELS_MAX, &channels) ||
        get_transport(j, &h->transport) || xf_json_bool(j, "encrypt", &h->encrypt) ||
        xf_json_bool(j, "seal", &h->seal) || get_rdma(j, &h->rdma) ||
        xf_json_number(j, "rdma_buffer_mib", 0, XF_RDMA_BUFFER_MIB_MAX, &buffer) ||
        xf_json_bool(j, "leave_paused", &h->leave_paused) ||
        xf_json_bool(j, "check_only", &h->check_only) ||
        xf_json_number(j, "need_kib", 0, INT64_MAX, &need) ||
        xf_json_number(j, "xen_major", 0, 1000, &major) ||
        xf_json_number(j, "xen_minor", 0, 1000, &minor) ||
        get_blob(j, "cpuid", BLOB_MAX, &h->cpuid, &h->cpuid_len) ||
        get_blob(j, "msrs", BLOB_MAX, &h->msrs, &h->msr_len) || read_optional(j, h))
        return -1;
    h->channels = (unsigned)channels;
    h->rdma_buffer_mib = (unsigned)buffer;
    h->need_kib = (uint64_t)need;
    h->xen_major = (uint32_t)major;
    h->xen_minor = (uint32_t)minor;
    if (!h->domain[0])
        return xf_fail(j->err, EPROTO, "the peer's domain has no name");
    return 0;
}

int xf_hello_parse(const char *json, size_t len, struct xf_hello *h, struct xf_err *err)
{
    struct xf_err no_key = {0};
    struct xf_json j = {0};
    char *rest;
    int rc;

    memset(h, 0, sizeof(*h));
    rest = xf_secret_take(json, len, &h->key, &no_key);
    if (!rest)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = xf_json_open(&j, rest, len, DEPTH, what, err) || read_hello(&j, h) ? -1 : 0;
    if (!rc && no_key.num)
        rc = xf_fail(err, EPROTO, "the peer's message cannot be used: %s", no_key.text);
    xf_json_close(&j);
    free(rest);
    if (rc)
        xf_hello_free(h);
    return rc;
}

static int read_finding(const struct xf_json *j, struct xf_finding *f)
{
    int64_t severity;

    if (xf_json_number(j, "severity", XF_INFO, XF_REFUSAL, &severity) ||
        xf_json_word(j, "code", f->code, sizeof(f->code)) ||
        xf_json_sentence(j, "text", f->text, sizeof(f->text)))
        return -1;
    f->severity = (enum xf_severity)severity;
    return 0;
}

/* An older peer does not send it; additions by a later one are ignored. */
static int get_codecs(const struct xf_json *j, unsigned *out, bool *pull)
{
    json_object *list;
    size_t n;

    *out = 0;
    *pull = false;
    if (!xf_json_has(j, "compress"))
        return 0;
    list = xf_json_array(j, "compress", CODECS_MAX, &n);
    if (!list)
        return -1;
    for (size_t i = 0; i < n; i++) {
        char word[CODEC_LEN];

        if (xf_json_item_word(j, "compress", list, i, word, sizeof(word)))
            return -1;
        *pull |= !strcmp(word, XF_COMPRESS_IN_PULL);
        for (int c = XF_CODEC_LZ4; c < XF_CODECS; c++)
            if (!strcmp(word, xf_codec_name((enum xf_codec)c)))
                *out |= XF_CODEC_BIT(c);
    }
    return 0;
}

/* An older peer has no limit. */
static int get_moves(const struct xf_json *j, struct xf_reply *r)
{
    int64_t moves = 0, limit = 0;

    if (xf_json_has(j, "moves_limit") && (xf_json_number(j, "moves_limit", 1, MOVES_MAX, &limit) ||
                                          xf_json_number(j, "moves", 0, MOVES_MAX, &moves)))
        return -1;
    r->moves = (unsigned)moves;
    r->moves_limit = (unsigned)limit;
    return 0;
}

/* Only in an answer to cpu_only. */
static int get_cpu(const struct xf_json *j, struct xf_reply *r)
{
    struct xf_json v;

    r->has_cpu = xf_json_has(j, "cpu");
    return r->has_cpu && (xf_json_object(j, "cpu", &v) || xf_cpu_from_json(&v, &r->cpu)) ? -1 : 0;
}

/* Paths that the copy's configuration will name: only this form. */
static int get_there(const struct xf_json *j, struct xf_reply *r)
{
    json_object *list;
    size_t n;

    if (!xf_json_has(j, "there"))
        return 0;
    list = xf_json_array(j, "there", XF_MOVE_DISKS_MAX, &n);
    if (!list)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct xf_disk_there *t = &r->there[i];
        struct xf_json v;
        int64_t bytes;

        if (xf_json_item(j, "there", list, i, &v) ||
            xf_json_word(&v, "path", t->path, sizeof(t->path)) ||
            xf_json_number(&v, "free", 0, INT64_MAX, &bytes))
            return -1;
        if (t->path[0] != '/' || strpbrk(t->path, ",\"' \\"))
            return xf_json_bad(&v, "path", "is not that of a disk");
        t->free = (uint64_t)bytes;
    }
    r->nr_there = (unsigned)n;
    return 0;
}

static int get_findings(const struct xf_json *j, struct xf_reply *r)
{
    size_t n;
    json_object *list = xf_json_array(j, "findings", XF_FINDINGS_MAX, &n);

    if (!list)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct xf_json v;

        if (xf_json_item(j, "findings", list, i, &v) ||
            read_finding(&v, &r->findings[r->nr_findings++]))
            return -1;
    }
    return 0;
}

static int read_reply(const struct xf_json *j, struct xf_reply *r)
{
    int64_t port, rdma_port, kib = -1;

    if (get_build(j, &r->build) || xf_json_word(j, "boot_id", r->boot_id, sizeof(r->boot_id)) ||
        xf_json_bool(j, "paging", &r->paging) || xf_json_number(j, "port", 0, 65535, &port) ||
        (xf_json_has(j, "hvm") && xf_json_bool(j, "hvm", &r->hvm)) ||
        (xf_json_has(j, "cold") && xf_json_bool(j, "cold", &r->cold)) ||
        (xf_json_has(j, "pci") && xf_json_bool(j, "pci", &r->pci)) ||
        (xf_json_has(j, "probe") && xf_json_bool(j, "probe", &r->probe)) ||
        (xf_json_has(j, "large") && xf_json_bool(j, "large", &r->large)) ||
        (xf_json_has(j, "cpu_words") && xf_json_bool(j, "cpu_words", &r->cpu_words)) ||
        get_cpu(j, r) ||
        (xf_json_has(j, "free_kib") && xf_json_number(j, "free_kib", 0, INT64_MAX, &kib)) ||
        (xf_json_has(j, "disks") && xf_json_bool(j, "disks", &r->disks)) || get_there(j, r) ||
        get_codecs(j, &r->codecs, &r->unpacks_in_pull) || get_moves(j, r) ||
        xf_json_number(j, "rdma_port", 0, 65535, &rdma_port) || get_rdma(j, &r->rdma) ||
        get_addresses(j, r->addresses, XF_ADDRESSES_MAX, &r->nr_addresses))
        return -1;
    r->port = (uint16_t)port;
    r->rdma_port = (uint16_t)rdma_port;
    r->free_kib = kib < 0 ? XF_KIB_UNKNOWN : (uint64_t)kib;
    return get_findings(j, r);
}

int xf_reply_parse(const char *json, size_t len, struct xf_reply *r, struct xf_err *err)
{
    struct xf_json j;
    int rc;

    memset(r, 0, sizeof(*r));
    rc = xf_json_open(&j, json, len, DEPTH, what, err) || read_reply(&j, r) ? -1 : 0;
    xf_json_close(&j);
    return rc;
}
