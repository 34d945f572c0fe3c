/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the source: everything that can be refused before anything is touched. */
#include "libxl-ext/source/move_check.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "libxl-ext/source/check_disks.h"
#include "libxl-ext/source/check_hvm.h"
#include "libxl-ext/source/domain_config.h"
#include "libxl-ext/source/move_link.h"
#include "libxl-ext/source/move_pci.h"
#include "libxl-ext/source/move_rune.h"
#include "libxl-ext/source/move_status.h"
#include "libxl-ext/moves/record.h"
#include "libxl-ext/moves/slot.h"
#include "libxl-ext/moves/sweep.h"
#include "libxl-ext/peer/check.h"
#include "libxl-ext/peer/hello.h"
#include "libxl-ext/peer/needs.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/guest_kind.h"
#include "libxl-ext/xen/xen_pager.h"
#include "libxl-ext/xen/static_state.h"
#include "pages/pack.h"
#include "transport/version.h"
#include "transport/text.h"
#include "transport/times.h"

/* CHECK has failed for a reason that does not concern stock xl. */
static int only_ours(const struct xf_move *m)
{
    m->report->stock_can = m->o->or_stock;
    return -1;
}

/* A name that would be truncated, or cannot be shown unchanged, would denote another domain at the
 * destination. */
static int judge_name(const char *name, size_t size, uint32_t domid, struct xf_err *err)
{
    if (strlen(name) >= size)
        return xf_fail(err, ENAMETOOLONG,
                       "the domain's name has %zu bytes, over the limit of %zu: `xl rename %u "
                       "NEW-NAME`, or give it another name in the file for -C",
                       strlen(name), size - 1, domid);
    if (!xf_text_is_clean(name, strlen(name)))
        return xf_fail(err, EILSEQ,
                       "the domain's name \"%.100s\" has characters that cannot be shown: `xl "
                       "rename %u NEW-NAME`, or give it another name in the file for -C",
                       name, domid);
    return 0;
}

static int find_domain(struct xf_move *m, struct xf_err *err)
{
    char *name;

    if (libxl_domain_qualifier_to_domid(m->ctx, m->o->domain, &m->domid))
        return xf_fail(err, ESRCH,
                       "there is no domain \"%s\" here; `xl list` shows those that exist",
                       m->o->domain);
    if (m->domid == 0)
        return xf_fail(err, EINVAL, "domain 0 cannot be moved");
    name = libxl_domid_to_name(m->ctx, m->domid);
    if (!name)
        return xf_fail(err, ESRCH, "there is no domain %u here; `xl list` shows those that exist",
                       m->domid);
    if (judge_name(name, sizeof(m->name), m->domid, err)) {
        free(name);
        return only_ours(m);
    }
    snprintf(m->name, sizeof(m->name), "%s", name);
    snprintf(m->report->domain, sizeof(m->report->domain), "%s", name);
    free(name);
    return 0;
}

/* Writes in this host's page cache must be written back before the guest runs elsewhere. */
static void look_at_disks(struct xf_move *m, struct xf_findings *found)
{
    struct xf_err why = {0};

    if (xf_qdisks_open(&m->check.disks, m->domid, &why))
        xf_refuse_ours(found, XF_STOCK, "qdisk", "%s; or use `xl migrate --cold` or --stock",
                       why.text);
}

/* For --check also of a kind that is refused. */
static bool has_device_model(const struct xf_move *m)
{
    return m->check.kind && m->check.kind->device_model;
}

static void look_at_devices(struct xf_move *m, struct xf_findings *found)
{
    struct xf_model model;

    if (!has_device_model(m))
        return;
    xf_check_hvm(m->xch, m->domid, &m->check.config, found, &model);
    if (model.version.major)
        snprintf(m->check.hello.qemu, sizeof(m->check.hello.qemu), "%u.%u.%u",
                 model.version.major % 1000, model.version.minor % 1000,
                 model.version.micro % 1000);
    if (!m->o->cold)
        m->check.hello.late_devices |= xf_check_late(&m->check.config, &model, found);
}

/* *why: no page may be absent when the guest runs at the destination; NULL: nothing known here. */
static int must_be_whole(const struct xf_move *m, const char **why, struct xf_err *err)
{
    *why = NULL;
    if (m->o->mode == XF_MODE_PRECOPY || m->o->cold)
        return 0;
    if (m->check.hello.nr_pci)
        *why = "a PCI device is attached to it there (--detach-pci)";
    else if (m->check.hello.late_devices)
        *why = "its devices are attached in the switch (--late-devices)";
    else if (m->check.config.c_info.type != LIBXL_DOMAIN_TYPE_PV)
        return xf_check_whole(m->xch, m->domid, has_device_model(m), m->o->mode == XF_MODE_POSTCOPY,
                              why, err);
    return 0;
}

static int look_at_mode(struct xf_move *m, struct xf_findings *found, struct xf_err *err)
{
    const char *why;

    if (must_be_whole(m, &why, err))
        return -1;
    m->check.whole = why;
    m->check.hello.pull = m->o->mode != XF_MODE_PRECOPY && !m->o->cold && !why;
    if (m->o->cold)
        xf_find(found, XF_INFO, "cold", "the guest moves by stock xl's stream, %s",
                m->check.live ? "and runs while its memory is copied" : "standing still");
    else if (why && m->o->mode == XF_MODE_POSTCOPY)
        xf_refuse_ours(found, XF_STOCK, "postcopy",
                       "the guest moves by pre-copy, since %s; leave --postcopy away", why);
    else if (why && m->o->mode == XF_MODE_HYBRID)
        xf_find(found, XF_INFO, "precopy", "the guest moves by pre-copy, since %s", why);
    return 0;
}

static int look_at_domain(struct xf_move *m, struct xf_findings *found, struct xf_err *err)
{
    if (!m->o->check_only && xf_changes_begin(&m->check.changes, m->domid, err))
        return -1;
    if (xf_domain_config(m->ctx, &m->log, m->domid, m->o, &m->check.config, found, err))
        return -1;
    xf_move_pci_look(m, found);
    if (xf_check_source(m->ctx, m->xch, &m->log, m->domid, &m->check.config, found,
                        &m->check.hello.need_kib, err) ||
        xf_needs_of(&m->check.config, &m->check.hello.needs, &m->check.hello.nr_needs, found, err))
        return -1;
    m->check.kind = xf_guest_kind(m->check.config.c_info.type); /* NULL: that was refused */
    m->check.paused = xf_xen_here(m->xch, m->domid) == XF_HERE_PAUSED;
    m->check.live = m->o->cold && m->check.config.c_info.type == LIBXL_DOMAIN_TYPE_PV &&
                    !m->check.paused && xf_logs_pv(m->xch);
    m->check.hello.cold = m->o->cold;
    m->check.hello.late_devices = m->o->late_devices;
    look_at_devices(m, found);
    if (look_at_mode(m, found, err))
        return -1;
    look_at_disks(m, found);
    if (xf_move_disks_look(m, found, err))
        return -1;
    if (m->o->cold)
        xf_findings_for_cold(found);
    m->check.config_json = libxl_domain_config_to_json(m->ctx, &m->check.config);
    if (!m->check.config_json)
        return xf_fail(err, ENOMEM, "cannot write the domain's configuration as JSON");
    return 0;
}

static int fill_hello(struct xf_move *m, struct xf_err *err)
{
    const libxl_version_info *info = libxl_get_version_info(m->ctx);
    const char *name = m->check.config.c_info.name ? m->check.config.c_info.name : m->name;
    struct xf_hello *h = &m->check.hello;

    if (!info)
        return xf_fail(err, EIO, "cannot read Xen's version");
    if (judge_name(name, sizeof(h->domain), m->domid, err))
        return only_ours(m);
    snprintf(h->domain, sizeof(h->domain), "%s", name);
    snprintf(h->uuid, sizeof(h->uuid), LIBXL_UUID_FMT,
             LIBXL_UUID_BYTES(m->check.config.c_info.uuid));
    xf_boot_id(h->boot_id);
    if (xf_key_make(&h->key, err))
        return -1;
    h->channels = m->report->channels = m->o->cold ? 1 : m->o->channels;
    h->transport = m->o->transport;
    h->encrypt = m->o->encrypt != XF_ENCRYPT_NO;
    h->seal = m->o->encrypt == XF_ENCRYPT_YES;
    h->rdma_buffer_mib = m->o->rdma_buffer_mib;
    if (h->transport != XF_TRANSPORT_TCP) {
        struct xf_link_cfg cfg = xf_hello_link_cfg(h, true, 0, 0);

        xf_rdma_look(&cfg, m->check.own.list, m->check.own.n, &h->rdma);
    }
    h->reconnect_s = m->o->reconnect_s;
    h->leave_paused = m->o->leave_paused || m->check.paused;
    h->check_only = m->o->check_only;
    h->xen_major = (uint32_t)info->xen_version_major;
    h->xen_minor = (uint32_t)info->xen_version_minor;
    return xf_read_policy(m->xch, m->domid, &h->cpuid, &h->cpuid_len, &h->msrs, &h->msr_len, err);
}

/* The hello is complete: a receiver on this host shall know that the move has a slot here. With
 * --check there is no slot, and the limit is a finding. */
static int show_limit(struct xf_move *m, struct xf_findings *found, struct xf_err *err)
{
    unsigned busy, limit = m->o->moves ? m->o->moves : XF_MOVES_USUAL;

    if (!m->o->check_only)
        return xf_slot_mark(m->slot, &m->check.hello.key, err);
    if (xf_slots_busy(&busy, err))
        return -1;
    xf_find_limit(found, XF_INFO, "this host", "/etc/xen/xenferry.xml", busy, limit);
    return 0;
}

static int start_peer(struct xf_move *m, struct xf_err *err)
{
    char *rune = xf_move_rune(m->o);
    int rc;

    if (!rune)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = xf_pipe_spawn(&m->check.pipe, rune, err);
    free(rune);
    return rc;
}

static int ask_peer(struct xf_move *m, struct xf_err *err)
{
    const struct xf_build here = xf_build_here();

    if (xf_pipe_await_banner(&m->check.pipe, XF_BANNER_MS, m->o->cancel, err)) {
        if (err->num != ECANCELED)
            xf_wrap(err,
                    "no receiver answers at \"%s\" (is Xen running there, and xl in its PATH?)",
                    m->o->host);
        return -1;
    }
    if (xf_hello_send(&m->check.pipe, &m->check.hello, err) ||
        xf_reply_receive(&m->check.pipe, &m->check.reply, XF_REPLY_MS, m->o->cancel, err)) {
        /* A stock receiver reads our preamble as a save file and gives up. */
        if (err->num == ECONNRESET || err->num == EPIPE) {
            xf_clear(err);
            xf_fail(err, EPROTONOSUPPORT,
                    "\"%s\" has no Xenferry, or cannot receive: install it there, earlier in "
                    "PATH than the distribution's xl, or use `xl migrate --stock`",
                    m->o->host);
            return only_ours(m);
        }
        return -1;
    }
    return xf_agree(&here, &m->check.reply.build, &m->check.hello.agreed, err) ? only_ours(m) : 0;
}

/* Compression was requested explicitly and is not possible: not refused, but reported. */
static void check_compress(const struct xf_move *m, struct xf_findings *found)
{
    enum xf_codec c = m->o->compress == XF_COMPRESS_LZ4    ? XF_CODEC_LZ4
                      : m->o->compress == XF_COMPRESS_ZSTD ? XF_CODEC_ZSTD
                                                           : XF_CODEC_NONE;

    if (c && !m->o->cold && !(m->check.reply.codecs & XF_CODEC_BIT(c)))
        xf_find(found, XF_WARNING, "compress",
                "the destination's Xenferry cannot decompress %s, so memory goes uncompressed; "
                "install this version (%s) there",
                xf_codec_name(c), xf_version());
}

/* Can the destination's Xenferry do what this move needs? */
static void check_receiver(const struct xf_move *m, struct xf_findings *found)
{
    const struct xf_hello *h = &m->check.hello;
    const char *what = NULL;

    if (h->nr_pci && !m->check.reply.pci)
        xf_find(found, XF_REFUSAL, "receiver",
                "the destination's Xenferry cannot attach PCI devices; install this version (%s) "
                "there, or use --detach-pci=none",
                xf_version());
    if (h->cold)
        what = m->check.reply.cold ? NULL : "receive a cold move";
    else if (h->late_devices && !m->check.reply.hvm)
        what = "attach devices late";
    else if (has_device_model(m) && !m->check.reply.hvm)
        what = "receive a guest with a device model (type=\"hvm\")";
    if (what)
        xf_refuse_ours(found, XF_STOCK, "receiver",
                       "the destination's Xenferry cannot %s; install this version (%s) there, or "
                       "use `xl migrate --stock`",
                       what, xf_version());
}

/* What the destination has found. Its Xenferry may refuse what a stock receiver would not. */
static void add_peers(const struct xf_move *m, struct xf_findings *found)
{
    for (unsigned i = 0; i < m->check.reply.nr_findings; i++) {
        struct xf_finding f = m->check.reply.findings[i];

        if (f.severity == XF_REFUSAL && (!strcmp(f.code, "receiver") || !strcmp(f.code, "version")))
            f.otherwise = XF_STOCK;
        xf_find_too(found, &f);
    }
}

static void check_paging(struct xf_move *m, struct xf_findings *found)
{
    m->pull.possible = m->check.hello.pull && m->check.reply.paging;
    if (m->o->cold)
        return;
    if (m->check.reply.paging)
        xf_find(found, XF_INFO, "paging", "the destination's Xen has memory paging");
    else if (m->o->mode == XF_MODE_POSTCOPY)
        xf_refuse_ours(found, XF_STOCK, "paging", "the destination cannot do post-copy: %s",
                       xf_paging_refusal(ENOSYS));
    else
        xf_find(found, XF_INFO, "paging",
                "the destination's Xen has no memory paging: pre-copy only");
}

int xf_move_tell_findings(struct xf_move *m, const struct xf_findings *found, struct xf_err *err)
{
    const struct xf_finding *refusal = xf_first_refusal(found);

    if (err && m->o->or_stock && xf_stock_can(found)) {
        xf_fail(err, EPERM, "%s", refusal->text);
        return only_ours(m);
    }
    for (unsigned i = 0; m->w->finding && i < found->n; i++)
        m->w->finding(m->w->priv, &found->list[i]);
    if (!refusal)
        return 0;
    return xf_fail(err, EPERM, "%s", refusal->text);
}

/* Is the destination's limit of moves the only reason? */
static bool only_full(const struct xf_findings *found)
{
    bool full = false;

    for (unsigned i = 0; i < found->n; i++) {
        if (found->list[i].severity != XF_REFUSAL)
            continue;
        if (strcmp(found->list[i].code, XF_FOUND_LIMIT) != 0)
            return false;
        full = true;
    }
    return full;
}

/* Certainly: an error that may have another reason does not count. */
static bool is_gone(uint32_t domid, void *priv)
{
    const struct xf_move *m = priv;
    xc_domaininfo_t info;

    return xf_domain_info(m->xch, domid, &info) && errno == ESRCH;
}

int xf_move_check_begin(struct xf_move *m, struct xf_err *err)
{
    uint32_t before = m->domid;

    m->report->outcome = XF_REFUSED;
    if (xf_own_addresses(m->o->address, &m->check.own, err))
        return only_ours(m);
    if (find_domain(m, err))
        return -1;
    if (m->record.lock_fd >= 0 && m->domid == before)
        return 0;
    xf_status_close(m->show.status);
    m->show.status = NULL;
    xf_record_unlock(xf_run_dir(), before, m->record.lock_fd);
    m->record.lock_fd = -1;
    if (xf_record_lock(xf_run_dir(), m->domid, &m->record.lock_fd, err))
        return -1;
    xf_sweep(xf_run_dir(), is_gone, m);
    xf_move_status_open(m);
    return 0;
}

int xf_move_check(struct xf_move *m, struct xf_err *err)
{
    struct xf_findings found = {0};
    bool refused_here;

    memset(&m->check.hello, 0, sizeof(m->check.hello)); /* of an attempt before */
    /* The peer is called first, because logging in takes time; the checks here run meanwhile. */
    if (xf_move_check_begin(m, err) || start_peer(m, err) || look_at_domain(m, &found, err))
        return -1;
    refused_here = xf_first_refusal(&found) != NULL;
    /* With --check the peer is asked nevertheless: every finding counts. */
    if (refused_here && !m->o->check_only)
        return xf_move_tell_findings(m, &found, err);
    if (fill_hello(m, err) || show_limit(m, &found, err) || ask_peer(m, err)) {
        xf_move_tell_findings(m, &found, NULL);
        return -1;
    }
    add_peers(m, &found);
    check_receiver(m, &found);
    xf_find_uncompared(&m->check.hello, &m->check.reply, &found);
    if (only_full(&found))
        return XF_MOVE_FULL;
    if (xf_move_disks_place(m, &found, err))
        return -1;
    if (!xf_first_refusal(&found) && xf_move_connect(m, &found, err))
        return -1;
    check_compress(m, &found);
    check_paging(m, &found);
    return xf_move_tell_findings(m, &found, err);
}

void xf_move_uncheck(struct xf_move *m, int child_ms)
{
    xf_qdisks_close(&m->check.disks);
    xf_link_close(&m->link);
    xf_pipe_close(&m->check.pipe, child_ms);
    xf_hello_free(&m->check.hello);
    xf_changes_end(&m->check.changes);
    free(m->check.config_json);
    m->check.config_json = NULL;
    libxl_domain_config_dispose(&m->check.config);
    libxl_domain_config_init(&m->check.config);
    libxl_device_pci_list_free(m->pci.list, m->pci.nr);
    m->pci.list = NULL;
    m->pci.nr = 0;
}
