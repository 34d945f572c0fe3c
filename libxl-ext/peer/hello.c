/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hello and the reply written as JSON text; hello_in.c reads them. */
#include "libxl-ext/peer/hello.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "libxl-ext/peer/cpu_json.h"
#include "libxl-ext/peer/needs.h"
#include "libxl-ext/host/secret.h"
#include "pages/pack.h"

const char *xf_transport_word(enum xf_transport t)
{
    static const char *const words[] = {
        [XF_TRANSPORT_TCP] = "tcp", [XF_TRANSPORT_RDMA] = "rdma", [XF_TRANSPORT_AUTO] = "auto"};

    return words[t];
}

static void add_hex(json_object *o, const char *name, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    char *hex = malloc(2 * len + 1);

    if (!hex)
        return; /* the peer refuses the missing field */
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

static json_object *codec_list(unsigned codecs, bool pull)
{
    json_object *a = json_object_new_array();

    for (int c = XF_CODEC_LZ4; c < XF_CODECS; c++)
        if (codecs & XF_CODEC_BIT(c))
            json_object_array_add(a, json_object_new_string(xf_codec_name((enum xf_codec)c)));
    if (pull)
        json_object_array_add(a, json_object_new_string(XF_COMPRESS_IN_PULL));
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

static json_object *pci_list(const struct xf_pci_wish *list, unsigned n)
{
    json_object *a = json_object_new_array();

    for (unsigned i = 0; i < n; i++) {
        json_object *o = json_object_new_object();

        json_object_object_add(o, "addr", json_object_new_string(list[i].addr));
        json_object_object_add(o, "of", json_object_new_string(list[i].of));
        json_object_object_add(o, "permissive", json_object_new_boolean(list[i].permissive));
        json_object_object_add(o, "relaxed", json_object_new_boolean(list[i].relaxed));
        json_object_array_add(a, o);
    }
    return a;
}

static json_object *disk_list(const struct xf_hello *h)
{
    json_object *a = json_object_new_array();

    for (unsigned i = 0; i < h->nr_disks; i++) {
        const struct xf_disk_plan *d = &h->disks[i];
        json_object *o = json_object_new_object();

        json_object_object_add(o, "vdev", json_object_new_string(d->vdev));
        json_object_object_add(o, "want", json_object_new_string(d->want));
        json_object_object_add(o, "name", json_object_new_string(d->name));
        json_object_object_add(o, "bytes", json_object_new_int64((int64_t)d->bytes));
        json_object_object_add(o, "used", json_object_new_int64((int64_t)d->used));
        json_object_object_add(o, "sparse", json_object_new_boolean(d->sparse));
        json_object_array_add(a, o);
    }
    return a;
}

static json_object *there_list(const struct xf_reply *r)
{
    json_object *a = json_object_new_array();

    for (unsigned i = 0; i < r->nr_there; i++) {
        json_object *o = json_object_new_object();

        json_object_object_add(o, "path", json_object_new_string(r->there[i].path));
        json_object_object_add(o, "free", json_object_new_uint64(r->there[i].free));
        json_object_array_add(a, o);
    }
    return a;
}

/* The build and its versions: `version` is that of the bootstrap, which has never changed. */
static void add_build(json_object *o, const struct xf_build *said)
{
    struct xf_build b = said->newest ? *said : xf_build_here();

    json_object_object_add(o, "version", json_object_new_int(XF_BOOTSTRAP_VERSION));
    json_object_object_add(o, "protocol", json_object_new_int64(b.newest));
    json_object_object_add(o, "oldest", json_object_new_int64(b.oldest));
    if (b.release[0])
        json_object_object_add(o, "xenferry", json_object_new_string(b.release));
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
    add_build(o, &h->build);
    json_object_object_add(o, "domain", json_object_new_string(h->domain));
    json_object_object_add(o, "uuid", json_object_new_string(h->uuid));
    json_object_object_add(o, "boot_id", json_object_new_string(h->boot_id));
    json_object_object_add(o, "channels", json_object_new_int64(h->channels));
    json_object_object_add(o, "transport", json_object_new_string(xf_transport_word(h->transport)));
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
        if (h->cpu_only)
            json_object_object_add(o, "cpu_only", json_object_new_boolean(true));
    }
    json_object_object_add(o, "need_kib", json_object_new_int64((int64_t)h->need_kib));
    json_object_object_add(o, "xen_major", json_object_new_int64(h->xen_major));
    json_object_object_add(o, "xen_minor", json_object_new_int64(h->xen_minor));
    if (h->late_devices)
        json_object_object_add(o, "late_devices", json_object_new_boolean(true));
    if (h->cold)
        json_object_object_add(o, "cold", json_object_new_boolean(true));
    if (h->qemu[0])
        json_object_object_add(o, "qemu", json_object_new_string(h->qemu));
    add_hex(o, "cpuid", h->cpuid, h->cpuid_len);
    add_hex(o, "msrs", h->msrs, h->msr_len);
    if (h->nr_needs)
        json_object_object_add(o, "needs", need_list(h->needs, h->nr_needs));
    if (h->nr_pci)
        json_object_object_add(o, "pci", pci_list(h->pci, h->nr_pci));
    if (h->nr_disks) {
        json_object_object_add(o, "disks", disk_list(h));
        json_object_object_add(o, "verify_disks", json_object_new_boolean(h->verify_disks));
    }
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
    add_build(o, &r->build);
    json_object_object_add(o, "boot_id", json_object_new_string(r->boot_id));
    json_object_object_add(o, "port", json_object_new_int(r->port));
    json_object_object_add(o, "hvm", json_object_new_boolean(r->hvm));
    json_object_object_add(o, "cold", json_object_new_boolean(r->cold));
    json_object_object_add(o, "pci", json_object_new_boolean(r->pci));
    json_object_object_add(o, "large", json_object_new_boolean(r->large));
    json_object_object_add(o, "cpu_words", json_object_new_boolean(r->cpu_words));
    if (r->has_cpu)
        json_object_object_add(o, "cpu", xf_cpu_to_json(&r->cpu));
    json_object_object_add(o, "probe", json_object_new_boolean(r->probe));
    json_object_object_add(o, "disks", json_object_new_boolean(r->disks));
    if (r->nr_there)
        json_object_object_add(o, "there", there_list(r));
    if (r->free_kib <= INT64_MAX)
        json_object_object_add(o, "free_kib", json_object_new_int64((int64_t)r->free_kib));
    json_object_object_add(o, "paging", json_object_new_boolean(r->paging));
    if (r->moves_limit) {
        json_object_object_add(o, "moves", json_object_new_int64(r->moves));
        json_object_object_add(o, "moves_limit", json_object_new_int64(r->moves_limit));
    }
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
        .version = h->agreed,
        .key = &h->key,
        .channels = h->channels,
        .disk_channels = rdma ? 0 : h->nr_disks * (h->verify_disks ? 2 : 1),
        .encrypt = rdma ? h->seal : h->encrypt,
        .rdma_buffer = h->rdma_buffer_mib << 20,
        .timeout_ms = timeout_ms,
        .stall_ms = stall_ms,
    };
}
