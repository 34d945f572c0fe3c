/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading the configuration file: libxml2 parses, the RELAX NG schema defines what is allowed
 * where, and the few rules that a schema cannot express are checked as values are read.
 *
 * The parser is tightly restricted, although only root can write the file: no network, no entities,
 * no document type, 64 KiB.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <libxml/tree.h>

#include "libxl-ext/host/config.h"

/* docs/xenferry.rng, embedded unchanged, so that the binary needs no other file. */
__asm__(".pushsection .rodata\n"
        ".global xf_config_schema\n"
        ".hidden xf_config_schema\n"
        "xf_config_schema:\n"
        ".incbin \"docs/xenferry.rng\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char xf_config_schema[] __attribute__((visibility("hidden")));

/* Context for libxml2's callbacks, which fill in the first error. */
struct reading {
    const char *name;
    struct xf_err *err;
    bool failed;
};

static void first_error(struct reading *r, int line, const char *what)
{
    int len = (int)strcspn(what, "\n");

    if (!r->failed)
        xf_fail(r->err, EINVAL, "%s:%d: %.*s; see xenferry.xml(5) for what is allowed there",
                r->name, line > 0 ? line : 1, len, what);
    r->failed = true;
}

/* The first of several errors is the cause; libxml2 keeps the last. */
static void on_parse_error(void *priv, xmlErrorPtr e)
{
    xmlParserCtxtPtr ctxt = priv;

    if (e->level >= XML_ERR_ERROR)
        first_error(ctxt->_private, e->line, e->message ? e->message : "not XML");
}

static void on_schema_error(void *priv, xmlErrorPtr e)
{
    struct reading *r = priv;
    xmlNodePtr node = e->node;
    xmlChar *value = NULL, *port = NULL;
    int line = e->line;
    char text[300];

    /* For a wrong value libxml2 names only the attribute; people look for the value. */
    if (node && node->type == XML_ELEMENT_NODE && e->str1)
        value = xmlGetNoNsProp(node, (const xmlChar *)e->str1);
    /* For a value that does not match a pattern it names nothing. */
    if (node && node->type == XML_TEXT_NODE)
        node = node->parent;
    if (node && node->name && !strcmp((const char *)node->name, "port"))
        port = xmlNodeGetContent(node);
    if (node && line <= 0)
        line = (int)xmlGetLineNo(node);
    if (value)
        snprintf(text, sizeof(text), "%s=\"%.60s\" is invalid in <%s>", e->str1, (char *)value,
                 (const char *)node->name);
    else if (port)
        snprintf(text, sizeof(text),
                 "<port> takes 0 to 65535 or a range such as 8600-8615, not '%.60s'", (char *)port);
    else
        snprintf(text, sizeof(text), "%s", e->message ? e->message : "does not match the schema");
    first_error(r, line, text);
    xmlFree(value);
    xmlFree(port);
}

/* Entities are defined in a document type declaration; refuse it before it is read. */
static void on_doctype(void *priv, const xmlChar *name, const xmlChar *external,
                       const xmlChar *system)
{
    xmlParserCtxtPtr ctxt = priv;

    (void)name;
    (void)external;
    (void)system;
    first_error(ctxt->_private, xmlSAX2GetLineNumber(ctxt),
                "a document type declaration is not allowed in this file");
    xmlStopParser(ctxt);
}

bool xf_is_address(const char *s)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_family = AF_INET6}, *found;
    struct in_addr v4;

    if (inet_pton(AF_INET, s, &v4) == 1)
        return true;
    /* Not inet_pton: fe80::1%eth0 is an address too. */
    if (!strchr(s, ':') || getaddrinfo(s, NULL, &hints, &found))
        return false;
    freeaddrinfo(found);
    return true;
}

bool xf_is_address_or_device(const char *s)
{
    /* A letter must come first, so that a mistyped address is not mistaken for a device. */
    size_t len = strlen(s), bad = strspn(s, "0123456789.:");

    return xf_is_address(s) || (len && len < XF_ADDR_LEN && bad == 0 &&
                                strspn(s, "0123456789._-abcdefghijklmnopqrstuvwxyz"
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == len);
}

/* The schema has validated these values: any present is a number within its limits. */
static unsigned get_number(xmlNodePtr node, const char *attribute)
{
    xmlChar *text = xmlGetNoNsProp(node, (const xmlChar *)attribute);
    unsigned value = text ? (unsigned)strtoul((const char *)text, NULL, 10) : 0;

    xmlFree(text);
    return value;
}

static bool get_word(xmlNodePtr node, const char *attribute, const char *wanted, bool *given)
{
    xmlChar *text = xmlGetNoNsProp(node, (const xmlChar *)attribute);
    bool is = text && !strcmp((const char *)text, wanted);

    if (given)
        *given = text != NULL;
    xmlFree(text);
    return is;
}

/* Takes ownership of `text`. or_device: the name of a device is also accepted. */
static void take_address(struct reading *r, xmlNodePtr node, xmlChar *text, bool or_device,
                         char out[XF_ADDR_LEN])
{
    const char *begin = text ? (const char *)text : "";
    size_t len;
    char what[160];

    begin += strspn(begin, " \t\r\n");
    for (len = strlen(begin); len && strchr(" \t\r\n", begin[len - 1]);)
        len--;
    snprintf(out, XF_ADDR_LEN, "%.*s", (int)len, begin);
    if (len >= XF_ADDR_LEN || !(or_device ? xf_is_address_or_device(out) : xf_is_address(out))) {
        snprintf(what, sizeof(what), "'%.80s' is not a numeric IPv4 or IPv6 address%s", begin,
                 or_device ? " or the name of a device" : "");
        first_error(r, (int)xmlGetLineNo(node), what);
    }
    xmlFree(text);
}

static void take_migrate(xmlNodePtr node, struct xf_config *out)
{
    bool given, yes = get_word(node, "encrypt", "yes", &given);

    out->encrypt = given ? yes : -1;
    if (get_word(node, "transport", "rdma", NULL))
        out->transport = XF_TRANSPORT_RDMA;
    else if (get_word(node, "transport", "auto", NULL))
        out->transport = XF_TRANSPORT_AUTO;
    out->ours = out->transport != XF_TRANSPORT_TCP || get_word(node, "transport", "tcp", NULL);
    if (get_word(node, "compress", "off", NULL))
        out->compress = XF_COMPRESS_OFF;
    else if (get_word(node, "compress", "lz4", NULL))
        out->compress = XF_COMPRESS_LZ4;
    else if (get_word(node, "compress", "zstd", NULL))
        out->compress = XF_COMPRESS_ZSTD;
    if (get_word(node, "mode", "precopy", &given))
        out->mode = XF_MODE_PRECOPY;
    else if (get_word(node, "mode", "postcopy", NULL))
        out->mode = XF_MODE_POSTCOPY;
    else if (given) /* the only other value in the schema */
        out->mode = XF_MODE_HYBRID;
    out->max_downtime_ms = get_number(node, "max-downtime");
    out->max_rounds = get_number(node, "max-rounds");
    out->channels = get_number(node, "channels");
    out->bandwidth_mib = get_number(node, "bandwidth");
    if (xmlHasProp(node, (const xmlChar *)"reconnect"))
        out->reconnect_s = (int)get_number(node, "reconnect");
}

static void take_limit(xmlNodePtr node, struct xf_config *out)
{
    out->limit_moves = get_number(node, "moves");
    out->limit_bandwidth = (uint64_t)get_number(node, "bandwidth") << 20;
}

static void take_rdma(xmlNodePtr node, struct xf_config *out)
{
    out->rdma_buffer_mib = get_number(node, "buffer");
    if (xmlHasProp(node, (const xmlChar *)"poll"))
        out->rdma_poll_us = (int)get_number(node, "poll");
}

/* Takes ownership of `text`: a port, or the first and last of a range. The schema has validated the
 * form. */
static void take_port(struct reading *r, xmlNodePtr node, xmlChar *text, struct xf_config *out)
{
    char *end = NULL;
    unsigned long first = text ? strtoul((const char *)text, &end, 10) : 0, last = 0;
    char what[120];

    if (end && (end = strchr(end, '-')))
        last = strtoul(end + 1, NULL, 10);
    if (end && (!first || last < first)) {
        snprintf(what, sizeof(what),
                 "a range of ports takes two above 0, the lower first, such as 8600-8615, not "
                 "'%.40s'",
                 (const char *)text);
        first_error(r, (int)xmlGetLineNo(node), what);
    }
    out->port = (uint16_t)first;
    out->port_last = (uint16_t)last;
    xmlFree(text);
}

/* The schema has validated that it has one of the two attributes. */
static void take_storage(struct reading *r, xmlNodePtr node, struct xf_stores *out)
{
    xmlChar *dir = xmlGetNoNsProp(node, (const xmlChar *)"dir");
    xmlChar *vg = xmlGetNoNsProp(node, (const xmlChar *)"vg");
    const char *text = (const char *)(dir ? dir : vg);
    char what[400];

    if (out->nr == XF_STORES_MAX) {
        first_error(r, (int)xmlGetLineNo(node), "more than eight <storage>");
    } else if (!text || !(dir ? xf_store_dir_ok(text) : xf_store_vg_ok(text))) {
        snprintf(what, sizeof(what), "'%.80s' is not %s in <storage>", text ? text : "",
                 dir ? "an absolute path of letters, digits and . _ + @ ~ - without . or .. or // "
                       "or / at its end"
                     : "the name of a volume group");
        first_error(r, (int)xmlGetLineNo(node), what);
    } else {
        struct xf_store *s = &out->list[out->nr++];

        s->vg = !dir;
        snprintf(s->name, sizeof(s->name), "%s", text);
    }
    xmlFree(dir);
    xmlFree(vg);
}

static void take_receive(struct reading *r, xmlNodePtr node, struct xf_config *out)
{
    bool port_seen = false;

    for (xmlNodePtr n = xmlFirstElementChild(node); n; n = xmlNextElementSibling(n)) {
        xmlChar *text;

        if (!strcmp((const char *)n->name, "storage")) {
            take_storage(r, n, &out->stores);
            continue;
        }
        text = xmlNodeGetContent(n);
        if (!strcmp((const char *)n->name, "port")) {
            if (port_seen)
                first_error(r, (int)xmlGetLineNo(n), "a second <port>");
            port_seen = true;
            take_port(r, n, text, out);
        } else if (out->nr_addresses == XF_CONFIG_ADDRESSES) {
            first_error(r, (int)xmlGetLineNo(n), "more than eight addresses");
            xmlFree(text);
        } else {
            take_address(r, n, text, false, out->addresses[out->nr_addresses++]);
        }
    }
}

static void take(struct reading *r, xmlDocPtr doc, struct xf_config *out)
{
    static const char *const once[] = {"migrate", "receive", "source", "rdma", "limit"};
    bool seen[sizeof(once) / sizeof(once[0])] = {false};

    for (xmlNodePtr n = xmlFirstElementChild(xmlDocGetRootElement(doc)); n;
         n = xmlNextElementSibling(n)) {
        const char *name = (const char *)n->name;
        for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
            if (strcmp(name, once[i]))
                continue;
            if (seen[i]) {
                char what[80];
                snprintf(what, sizeof(what), "a second <%s>", name);
                first_error(r, (int)xmlGetLineNo(n), what);
            }
            seen[i] = true;
        }
        if (!strcmp(name, "migrate"))
            take_migrate(n, out);
        else if (!strcmp(name, "receive"))
            take_receive(r, n, out);
        else if (!strcmp(name, "rdma"))
            take_rdma(n, out);
        else if (!strcmp(name, "limit"))
            take_limit(n, out);
        else
            take_address(r, n, xmlGetNoNsProp(n, (const xmlChar *)"address"), true,
                         out->source_address);
    }
}

static xmlDocPtr parse(struct reading *r, const char *text, size_t len)
{
    xmlParserCtxtPtr ctxt = xmlNewParserCtxt();
    xmlDocPtr doc;

    if (!ctxt) {
        r->failed = true;
        xf_fail(r->err, ENOMEM, "no memory to read %s", r->name);
        return NULL;
    }
    ctxt->_private = r;
    ctxt->sax->internalSubset = on_doctype;
    ctxt->sax->serror = on_parse_error;
    doc = xmlCtxtReadMemory(ctxt, text, (int)len, NULL, NULL,
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!doc || !ctxt->wellFormed || r->failed) {
        first_error(r, 1, "this is not an XML document");
        xmlFreeDoc(doc);
        doc = NULL;
    }
    xmlFreeParserCtxt(ctxt);
    return doc;
}

static void validate(struct reading *r, xmlDocPtr doc)
{
    xmlRelaxNGParserCtxtPtr pctxt =
        xmlRelaxNGNewMemParserCtxt(xf_config_schema, (int)strlen(xf_config_schema));
    xmlRelaxNGPtr schema = pctxt ? xmlRelaxNGParse(pctxt) : NULL;
    xmlRelaxNGValidCtxtPtr vctxt = schema ? xmlRelaxNGNewValidCtxt(schema) : NULL;

    if (!vctxt) {
        r->failed = true;
        xf_fail(r->err, ENOMEM, "no memory to check %s", r->name);
    } else {
        xmlRelaxNGSetValidStructuredErrors(vctxt, on_schema_error, r);
        if (xmlRelaxNGValidateDoc(vctxt, doc))
            first_error(r, 1, "does not match the schema");
    }
    xmlRelaxNGFreeValidCtxt(vctxt);
    xmlRelaxNGFree(schema);
    xmlRelaxNGFreeParserCtxt(pctxt);
}

static void clear(struct xf_config *out)
{
    memset(out, 0, sizeof(*out));
    out->encrypt = out->mode = out->rdma_poll_us = out->reconnect_s = -1;
}

int xf_config_parse(const char *name, const char *text, size_t len, struct xf_config *out,
                    struct xf_err *err)
{
    struct reading r = {.name = name, .err = err};
    xmlDocPtr doc;

    clear(out);
    if (len > XF_CONFIG_MAX)
        return xf_fail(err, EFBIG, "%s is larger than %u bytes, the limit for a configuration",
                       name, XF_CONFIG_MAX);
    doc = parse(&r, text, len);
    if (!doc)
        return -1;
    validate(&r, doc);
    if (!r.failed)
        take(&r, doc, out);
    xmlFreeDoc(doc);
    return r.failed ? -1 : 0;
}

int xf_config_load(const char *path, struct xf_config *out, struct xf_err *err)
{
    char *text;
    size_t len = 0;
    ssize_t n;
    int fd, rc;

    if (!path)
        path = getenv(XF_CONFIG_ENV);
    if (!path || !*path)
        path = XF_CONFIG_PATH;

    clear(out);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0
                               : xf_fail(err, errno, "cannot read %s: %s", path, strerror(errno));
    text = malloc(XF_CONFIG_MAX + 1);
    if (!text) {
        close(fd);
        return xf_fail(err, ENOMEM, "no memory to read %s", path);
    }
    /* One byte more than allowed, so that an oversized file is noticed whatever fstat reports. */
    while (len <= XF_CONFIG_MAX && (n = read(fd, text + len, XF_CONFIG_MAX + 1 - len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = xf_fail(err, errno, "cannot read %s: %s", path, strerror(errno));
            goto out;
        }
        len += (size_t)n;
    }
    rc = xf_config_parse(path, text, len, out, err);
out:
    free(text);
    close(fd);
    return rc;
}
