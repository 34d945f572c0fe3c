/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The RDMA listener against a librdmacm and verbs made up here: a connection that cannot be
 * served ends alone, whatever it is that it lacks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/suite.h"
#include "transport/rdma/rdma.h"

#define IDS 200

static struct {
    struct ibv_device device[2]; /* InfiniBand or RoCE; iWARP */
    struct ibv_context verbs[2];
    struct rdma_event_channel channel;
    int pipe[2];
    struct rdma_cm_id ids[IDS];
    unsigned nr_ids;
    struct rdma_cm_event event;
    uint8_t greeting[XF_GREETING_BYTES];
    unsigned events, nr_pending; /* the ids from `events` on ask to be connected */
    unsigned rejected, destroyed, accepted;
    bool no_pd; /* the device has nothing left to give */
} fake;

/* --- librdmacm and libibverbs, as far as they are used --- */

struct ibv_device **ibv_get_device_list(int *n)
{
    static struct ibv_device *list[2];

    list[0] = &fake.device[0];
    *n = 1;
    return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
    (void)list;
}

struct rdma_event_channel *rdma_create_event_channel(void)
{
    CU_ASSERT_EQUAL_FATAL(pipe(fake.pipe), 0);
    fake.channel.fd = fake.pipe[0];
    return &fake.channel;
}

void rdma_destroy_event_channel(struct rdma_event_channel *ch)
{
    (void)ch;
    close(fake.pipe[0]);
    close(fake.pipe[1]);
}

int rdma_create_id(struct rdma_event_channel *ch, struct rdma_cm_id **id, void *context,
                   enum rdma_port_space ps)
{
    (void)context;
    (void)ps;
    *id = &fake.ids[fake.nr_ids++];
    (*id)->channel = ch;
    return 0;
}

int rdma_destroy_id(struct rdma_cm_id *id)
{
    (void)id;
    fake.destroyed++;
    return 0;
}

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *addr)
{
    (void)id;
    (void)addr;
    return 0;
}

int rdma_listen(struct rdma_cm_id *id, int backlog)
{
    (void)id;
    (void)backlog;
    return 0;
}

__be16 rdma_get_src_port(struct rdma_cm_id *id)
{
    (void)id;
    return htons(7);
}

int rdma_set_option(struct rdma_cm_id *id, int level, int name, void *value, size_t len)
{
    (void)id;
    (void)level;
    (void)name;
    (void)value;
    (void)len;
    return 0;
}

int rdma_get_cm_event(struct rdma_event_channel *ch, struct rdma_cm_event **ev)
{
    char byte;

    (void)ch;
    if (!fake.nr_pending) {
        errno = EAGAIN;
        return -1;
    }
    if (!--fake.nr_pending && read(fake.pipe[0], &byte, 1) != 1)
        return -1;
    memset(&fake.event, 0, sizeof(fake.event));
    fake.event.event = RDMA_CM_EVENT_CONNECT_REQUEST;
    fake.event.id = &fake.ids[fake.events++];
    xf_greeting_encode(fake.greeting);
    fake.event.param.conn.private_data = fake.greeting;
    fake.event.param.conn.private_data_len = sizeof(fake.greeting);
    *ev = &fake.event;
    return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *ev)
{
    (void)ev;
    return 0;
}

int rdma_reject(struct rdma_cm_id *id, const void *data, uint8_t len)
{
    (void)id;
    CU_ASSERT(len == XF_GREETING_BYTES && !memcmp(data, "XFR1", 4));
    fake.rejected++;
    return 0;
}

int rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
    (void)id;
    (void)param;
    fake.accepted++;
    return 0;
}

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
    (void)context;
    errno = fake.no_pd ? ENOMEM : EIO;
    return NULL;
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attr)
{
    CU_ASSERT_PTR_EQUAL(context, &fake.verbs[0]); /* of the other nothing is wanted */
    *attr = (struct ibv_device_attr){
        .max_qp_wr = 4096, .max_sge = 4, .max_cqe = 1 << 20, .max_mr_size = UINT64_MAX};
    return 0;
}

/* --- the listener --- */

static struct xf_listener *l;

static void begin(void)
{
    static const struct xf_key key = {{1}};
    struct xf_link_cfg cfg = {.key = &key, .channels = 2, .timeout_ms = 1000, .stall_ms = 1000};
    uint16_t port = 0;
    struct xf_err err = {0};

    memset(&fake, 0, sizeof(fake));
    fake.device[0].transport_type = IBV_TRANSPORT_IB;
    fake.device[1].transport_type = IBV_TRANSPORT_IWARP;
    for (unsigned i = 0; i < 2; i++)
        fake.verbs[i].device = &fake.device[i];
    CU_ASSERT_EQUAL_FATAL(xf_rdma_listen(&cfg, NULL, 0, &l, &port, &err), 0);
    CU_ASSERT_EQUAL(port, 7);
}

static void end(void)
{
    xf_rdma_unlisten(l);
}

/* n connection requests over that device. */
static void call(unsigned device, unsigned n)
{
    fake.events = fake.nr_ids;
    for (unsigned i = 0; i < n; i++) {
        struct rdma_cm_id *id = &fake.ids[fake.nr_ids++];
        struct sockaddr_in *from = (struct sockaddr_in *)&id->route.addr.dst_addr;

        id->channel = &fake.channel;
        id->verbs = &fake.verbs[device];
        from->sin_family = AF_INET;
        from->sin_addr.s_addr = htonl(0xc0000201 + device);
    }
    fake.nr_pending = n;
    CU_ASSERT_EQUAL(write(fake.pipe[1], "x", 1), 1);
}

/* The listener takes what has come, and is good for more. */
static void goes_on(void)
{
    struct xf_chan *c = NULL;
    struct xf_chan_id id;
    struct xf_err err = {0};

    CU_ASSERT_EQUAL(xf_rdma_accept(l, 20, &c, &id, &err), XF_AGAIN);
    CU_ASSERT_EQUAL(err.num, 0);
    CU_ASSERT_EQUAL(fake.nr_pending, 0);
}

/* A listener on every address hears of requests over any device, an iWARP one included. */
static void test_iwarp(void)
{
    begin();
    call(1, 1);
    goes_on();
    CU_ASSERT_EQUAL(fake.rejected, 1);
    CU_ASSERT_EQUAL(fake.destroyed, 1);
    call(1, 100);
    goes_on();
    CU_ASSERT_EQUAL(fake.rejected, 101);
    CU_ASSERT_EQUAL(fake.destroyed, 101);
    CU_ASSERT_EQUAL(fake.accepted, 0);
    end();
}

/* The device has no protection domain left, or fails otherwise. */
static void test_exhausted(void)
{
    for (unsigned i = 0; i < 2; i++) {
        begin();
        fake.no_pd = i;
        call(0, 3);
        goes_on();
        CU_ASSERT_EQUAL(fake.destroyed, 3);
        CU_ASSERT_EQUAL(fake.accepted, 0);
        end();
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a stranger over iWARP", test_iwarp},
        {"a device that has nothing left", test_exhausted},
        CU_TEST_INFO_NULL,
    };

    return run_suite("rdma listener", tests);
}
