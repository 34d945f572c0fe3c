/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The record that a move leaves for a successor of its process (record.h), and a successor's move
 * made from it: both directions side by side, so that neither omits what the other needs. */
#include "libxl-ext/source/move_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/source/move_link.h"
#include "libxl-ext/source/move_rune.h"
#include "transport/text.h"

int xf_move_record(struct xf_move *m, struct xf_err *err)
{
    struct xf_record *r = calloc(1, sizeof(*r));
    char *rune = xf_move_rune(m->o);
    int rc = -1;

    if (!r || !rune) {
        xf_fail(err, ENOMEM, "out of memory");
        goto out;
    }
    if (strlen(rune) >= sizeof(r->rune)) {
        xf_fail(err, E2BIG,
                "the command that reaches the destination is longer than %zu bytes; "
                "put it into a script",
                sizeof(r->rune) - 1);
        goto out;
    }
    r->state = XF_RECORD_READY;
    r->domid = m->domid;
    snprintf(r->uuid, sizeof(r->uuid), "%s", m->check.hello.uuid);
    snprintf(r->boot_id, sizeof(r->boot_id), "%s", m->check.hello.boot_id);
    snprintf(r->name, sizeof(r->name), "%s", m->check.hello.domain);
    snprintf(r->host, sizeof(r->host), "%s", m->o->host);
    snprintf(r->rune, sizeof(r->rune), "%s", rune);
    snprintf(r->there, sizeof(r->there), "%s", m->check.reply.boot_id);
    r->there_domid = m->skeleton.copy_domid;
    snprintf(r->peer, sizeof(r->peer), "%s", m->net.address);
    r->rdma = xf_move_uses_rdma(m);
    r->port = r->rdma ? m->check.reply.rdma_port : m->check.reply.port;
    r->encrypt = r->rdma ? m->check.hello.seal : m->check.hello.encrypt;
    r->pull = m->pull.possible;
    r->protocol = m->check.hello.agreed;
    r->channels = m->check.hello.channels;
    r->rdma_buffer_mib = m->check.hello.rdma_buffer_mib;
    r->rdma_poll_us = m->o->rdma_poll_us;
    r->own = m->check.own;
    r->key = m->check.hello.key;
    r->nr_disks = m->report->nr_disks;
    r->all_disks = m->report->all_disks;
    r->delete_source = m->o->delete_source;
    for (unsigned i = 0; i < r->nr_disks; i++) {
        const struct xf_disk_report *d = &m->report->disks[i];

        snprintf(r->disks[i].vdev, sizeof(r->disks[i].vdev), "%s", d->vdev);
        snprintf(r->disks[i].source, sizeof(r->disks[i].source), "%s", d->source);
        snprintf(r->disks[i].target, sizeof(r->disks[i].target), "%s", d->target);
    }
    rc = xf_record_write(xf_run_dir(), r, &m->record.fd, err);
out:
    if (r)
        explicit_bzero(r, sizeof(*r));
    free(r);
    free(rune);
    return rc;
}

int xf_move_mark(struct xf_move *m, enum xf_record_state state, struct xf_err *err)
{
    return m->record.fd < 0 ? 0 : xf_record_mark(m->record.fd, state, err);
}

void xf_report_from_record(struct xf_report *report, const struct xf_record *r)
{
    report->nr_disks = r->nr_disks;
    report->all_disks = r->all_disks;
    for (unsigned i = 0; i < r->nr_disks; i++) {
        struct xf_disk_report *d = &report->disks[i];

        *d = (struct xf_disk_report){.drained_s = -1, .forecast_s = -1, .kept = true};
        snprintf(d->vdev, sizeof(d->vdev), "%s", r->disks[i].vdev);
        snprintf(d->source, sizeof(d->source), "%s", r->disks[i].source);
        snprintf(d->target, sizeof(d->target), "%s", r->disks[i].target);
    }
    snprintf(report->domain, sizeof(report->domain), "%s", r->name);
    xf_text_copy(report->host, sizeof(report->host), r->host, strlen(r->host));
    snprintf(report->transport, sizeof(report->transport), "%s",
             (r->rdma ? &xf_rdma_ops : &xf_tcp_ops)->name);
    report->channels = r->channels;
    report->encrypted = r->encrypt;
    if (r->encrypt)
        snprintf(report->cipher, sizeof(report->cipher), "%s", r->rdma ? "AES-256-GCM" : "TLS 1.3");
}

void xf_move_from_record(struct xf_move *m, const struct xf_record *r)
{
    snprintf(m->check.hello.uuid, sizeof(m->check.hello.uuid), "%s", r->uuid);
    snprintf(m->check.hello.boot_id, sizeof(m->check.hello.boot_id), "%s", r->boot_id);
    snprintf(m->check.hello.domain, sizeof(m->check.hello.domain), "%s", r->name);
    snprintf(m->check.reply.boot_id, sizeof(m->check.reply.boot_id), "%s", r->there);
    snprintf(m->name, sizeof(m->name), "%s", r->name);
    snprintf(m->net.address, sizeof(m->net.address), "%s", r->peer);
    m->link.ops = r->rdma ? &xf_rdma_ops : &xf_tcp_ops;
    *(r->rdma ? &m->check.reply.rdma_port : &m->check.reply.port) = r->port;
    *(r->rdma ? &m->check.hello.seal : &m->check.hello.encrypt) = r->encrypt;
    m->pull.possible = r->pull;
    m->check.hello.agreed = r->protocol;
    m->check.hello.channels = r->channels;
    m->check.hello.rdma_buffer_mib = r->rdma_buffer_mib;
    m->check.own = r->own;
    m->check.hello.key = r->key;
    xf_report_from_record(m->report, r);
}
