/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A Xen host as far as a receiver looks at it: see fake_host.h. */
#include "tests/unit/fake_host.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libxl_utils.h>
#include <xenctrl.h>
#include <xenstore.h>

#include "libxl-ext/libxl_ext.h"

#define ENV "XF_FAKE_HOST"

struct fake_host *fake_host;

static char path[] = "/tmp/xf-fake-host-XXXXXX";

static void map_host(int fd)
{
    fake_host = mmap(NULL, sizeof(*fake_host), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (fake_host == MAP_FAILED)
        abort();
}

void fake_host_new(void)
{
    int fd;

    strcpy(path + strlen(path) - 6, "XXXXXX");
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, sizeof(*fake_host)))
        abort();
    setenv(ENV, path, 1);
    map_host(fd);
    fake_host->next = 5;
    fake_host_add("Domain-0", "00000000-0000-0000-0000-000000000000");
}

void fake_host_free(void)
{
    munmap(fake_host, sizeof(*fake_host));
    fake_host = NULL;
    unlink(path);
}

uint32_t fake_host_add(const char *name, const char *uuid)
{
    for (unsigned i = 0; i < FAKE_DOMAINS; i++) {
        struct fake_domain *d = &fake_host->domain[i];

        if (d->domid)
            continue;
        memset(d, 0, sizeof(*d));
        snprintf(d->name, sizeof(d->name), "%s", name);
        snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
        d->domid = fake_host->next++;
        return d->domid;
    }
    abort();
}

struct fake_domain *fake_host_find(const char *name)
{
    for (unsigned i = 0; i < FAKE_DOMAINS; i++)
        if (fake_host->domain[i].domid && !strcmp(fake_host->domain[i].name, name))
            return &fake_host->domain[i];
    return NULL;
}

struct fake_domain *fake_host_at(uint32_t domid)
{
    for (unsigned i = 0; domid && i < FAKE_DOMAINS; i++)
        if (fake_host->domain[i].domid == domid)
            return &fake_host->domain[i];
    return NULL;
}

char *fake_host_config(const char *name, const char *uuid)
{
    char *text;

    if (asprintf(&text, "{\"name\": \"%s\", \"uuid\": \"%s\", \"b_info\": {\"max_memkb\": 16384}}",
                 name, uuid) < 0)
        abort();
    return text;
}

/* --- Xen's libraries --- */

int libxl_ctx_alloc(libxl_ctx **ctx, int version, unsigned flags, xentoollog_logger *log)
{
    (void)version;
    (void)flags;
    (void)log;
    *ctx = (libxl_ctx *)fake_host;
    return fake_host->no_xen ? ERROR_FAIL : 0;
}

int libxl_ctx_free(libxl_ctx *ctx)
{
    (void)ctx;
    return 0;
}

xc_interface *xc_interface_open(xentoollog_logger *log, xentoollog_logger *dom, unsigned flags)
{
    (void)log;
    (void)dom;
    (void)flags;
    return (xc_interface *)fake_host;
}

int xc_version(xc_interface *xch, int cmd, void *arg)
{
    unsigned major = 0, minor = 0;

    (void)xch;
    (void)cmd;
    (void)arg;
    sscanf(xf_xen_release(), "%u.%u", &major, &minor);
    return (int)(major << 16 | minor);
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int xc_physinfo(xc_interface *xch, xc_physinfo_t *info)
{
    (void)xch;
    info->total_pages = 1u << 20;
    return 0;
}

int libxl_name_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    const struct fake_domain *d = fake_host_find(name);

    (void)ctx;
    *domid = d ? d->domid : 0;
    return d ? 0 : ERROR_INVAL;
}

char *libxl_domid_to_name(libxl_ctx *ctx, uint32_t domid)
{
    const struct fake_domain *d = fake_host_at(domid);

    (void)ctx;
    return d ? strdup(d->name) : NULL;
}

static void fill_info(libxl_dominfo *info, const struct fake_domain *d)
{
    libxl_dominfo_init(info);
    libxl_uuid_from_string(&info->uuid, d->uuid);
    info->domid = d->domid;
    info->dying = d->dying;
    info->paused = true;
}

int libxl_domain_info(libxl_ctx *ctx, libxl_dominfo *info, uint32_t domid)
{
    const struct fake_domain *d = fake_host_at(domid);

    (void)ctx;
    if (!d)
        return ERROR_DOMAIN_NOTFOUND;
    fill_info(info, d);
    return 0;
}

libxl_dominfo *libxl_list_domain(libxl_ctx *ctx, int *n)
{
    libxl_dominfo *list = calloc(FAKE_DOMAINS, sizeof(*list));

    (void)ctx;
    *n = 0;
    for (unsigned i = 0; i < FAKE_DOMAINS; i++)
        if (fake_host->domain[i].domid)
            fill_info(&list[(*n)++], &fake_host->domain[i]);
    return list;
}

int libxl_domain_destroy(libxl_ctx *ctx, uint32_t domid, const libxl_asyncop_how *how)
{
    struct fake_domain *d = fake_host_at(domid);

    (void)ctx;
    (void)how;
    if (!d)
        return ERROR_DOMAIN_NOTFOUND;
    d->domid = 0;
    fake_host->destroyed++;
    return 0;
}

int libxl_domain_rename(libxl_ctx *ctx, uint32_t domid, const char *old_name, const char *new_name)
{
    struct fake_domain *d = fake_host_at(domid);

    (void)ctx;
    if (!d || strcmp(d->name, old_name) || fake_host_find(new_name))
        return ERROR_INVAL;
    snprintf(d->name, sizeof(d->name), "%s", new_name);
    fake_host->renamed++;
    return 0;
}

int libxl_domain_config_from_json(libxl_ctx *ctx, libxl_domain_config *config, const char *s)
{
    char name[160], uuid[40];

    (void)ctx;
    if (sscanf(s, "{\"name\": \"%159[^\"]\", \"uuid\": \"%39[^\"]\"}", name, uuid) != 2)
        return ERROR_FAIL;
    config->c_info.name = strdup(name);
    config->c_info.type = fake_host->pv ? LIBXL_DOMAIN_TYPE_PV : LIBXL_DOMAIN_TYPE_PVH;
    return libxl_uuid_from_string(&config->c_info.uuid, uuid) ? ERROR_FAIL : 0;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)fake_host;
}

void xs_close(struct xs_handle *h)
{
    (void)h;
}

/* Nothing is in xenstore but who was introduced. */
char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *at, unsigned *num)
{
    (void)h;
    (void)t;
    (void)at;
    *num = 0;
    errno = ENOENT;
    return NULL;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *at, unsigned *len)
{
    (void)h;
    (void)t;
    (void)at;
    *len = 0;
    errno = ENOENT;
    return NULL;
}

bool xs_is_domain_introduced(struct xs_handle *h, unsigned domid)
{
    const struct fake_domain *d = fake_host_at(domid);

    (void)h;
    return d && d->introduced;
}

/* --- the stock xl --- */

static uint32_t made; /* by this xl */

static void destroy_made(void)
{
    if (made && fake_host_at(made))
        fake_host_at(made)->domid = 0;
}

static void count(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; made && i < n; i++)
        fake_host->xl_sum += bytes[i];
    fake_host->xl_bytes += made ? (unsigned)n : 0;
}

/* libxl destroys what it made when its input ends too early. */
static void take(void *buf, size_t len)
{
    uint8_t *at = buf, sink[512] = {0};

    while (len) {
        ssize_t n =
            read(STDIN_FILENO, buf ? at : sink, buf || len < sizeof(sink) ? len : sizeof(sink));

        if (n <= 0) {
            while (fake_host->xl == XL_HANGS)
                usleep(1000);
            destroy_made();
            fprintf(stderr, "libxl: error: the stream ends too early\n");
            exit(1);
        }
        count(buf ? at : sink, (size_t)n);
        if (buf)
            at += n;
        len -= (size_t)n;
    }
}

static void say(const char *text, size_t len)
{
    if (write(STDOUT_FILENO, text, len) != (ssize_t)len)
        exit(1);
}

static void make_domain(const char *name, const char *uuid)
{
    char full[200];

    snprintf(full, sizeof(full), "%s--incoming", name);
    if (fake_host->xl == XL_TOO_LATE)
        fake_host_at(fake_host_add(full, uuid))->introduced = true;
    if (fake_host_find(full)) {
        fprintf(stderr, "libxl: error: Domain with name \"%s\" already exists.\n", full);
        exit(1);
    }
    made = fake_host_add(full,
                         fake_host->xl == XL_OTHER ? "99999999-9999-9999-9999-999999999999" : uuid);
    while (fake_host->xl == XL_DEAF)
        usleep(1000);
}

/* Records of libxl's or libxc's stream, up to the END of the kind (0 in both). */
static void take_records(void)
{
    uint32_t head[2];

    do {
        take(head, sizeof(head));
        take(NULL, (le32toh(head[1]) + 7u) & ~7u);
        if (fake_host->xl == XL_FULL) {
            destroy_made();
            fprintf(stderr, "libxc: error: Failed to populate physmap: out of memory\n");
            exit(1);
        }
    } while (head[0]);
}

/* xl's part of the stream (tools/xl/xl.h), then libxl's and libxc's headers. */
static void restore(void)
{
    static const char ready[] = "domain received, ready to unpause";
    uint32_t head[3 + 2];
    char xl[32], *config, name[160], uuid[40];

    take(xl, sizeof(xl));
    take(head, sizeof(head));
    config = calloc(1, le32toh(head[4]) + 1u);
    take(config, le32toh(head[4]));
    if (sscanf(config, "{\"name\": \"%159[^\"]\", \"uuid\": \"%39[^\"]\"}", name, uuid) != 2)
        exit(1);
    free(config);
    make_domain(name, uuid);
    take(NULL, 16); /* libxl's header */
    take(NULL, 8);  /* its LIBXC_CONTEXT */
    take(NULL, 24 + 16);
    take_records();
    take_records();
    fake_host_at(made)->introduced = true;
    say(ready, sizeof(ready));
    take(NULL, 1); /* GO, which never comes */
    exit(0);
}

void fake_host_play_xl(int argc, char **argv)
{
    const char *host = getenv(ENV);
    int fd;

    if (argc < 2 || strcmp(argv[1], "migrate-receive") != 0)
        return;
    fd = host ? open(host, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        exit(9);
    map_host(fd);
    fake_host->xl_pid = getpid();
    fake_host->xl_started++;
    say(XF_XL_BANNER, strlen(XF_XL_BANNER));
    restore();
}
