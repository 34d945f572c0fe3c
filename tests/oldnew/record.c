/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records a build that moves a fake guest to itself over TCP: DIR/hello and DIR/reply are the bytes
 * of its bootstrap, DIR/tape those of its channels (tape.h). Compiled in the checkout of that
 * build, whose fake guest and transport it uses:
 *
 *     cp tests/oldnew/record.c tests/oldnew/tape.h OLD/tests/oldnew/
 *     make -C OLD build/tests/oldnew/record && OLD/build/tests/oldnew/record tests/oldnew/v1
 */
#include "tests/oldnew/tape.h"

#include "tests/unit/fake_vm.c"

#include "tests/unit/fake_move.c"

#include <fcntl.h>
#include <poll.h>

#include "libxl-ext/peer/hello.h"
#include "tests/conformance/raw.h"
#include "transport/tcp/tcp.h"

#ifdef XF_WIRE_OLDEST
typedef struct xf_chan_id chan_id;
#else
typedef unsigned chan_id;
#endif

struct relay {
    int listener;
    uint16_t port; /* of the sink */
    uint8_t chan;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *tape;
static uint8_t chans;

static void give_up_on(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(2);
}

/* On the tape before it goes on: an answer comes after what it answers. */
static void pass(uint8_t chan, bool from_sink, struct raw *to, const void *bytes, size_t len)
{
    const struct tape_head h = {chan, from_sink, (uint32_t)len};

    pthread_mutex_lock(&lock);
    fwrite(&h, sizeof(h), 1, tape);
    fwrite(bytes, 1, len, tape);
    pthread_mutex_unlock(&lock);
    if (raw_tcp_put(to, bytes, len))
        give_up_on("passing on");
}

static void *relay_main(void *arg)
{
    struct relay *r = arg;
    struct raw ends[2];
    uint8_t key[32], buf[TAPE_PIECE_MAX];
    int open = 2;

    memset(key, 0x42, sizeof(key));
    if (raw_tcp_answer(&ends[0], r->listener) || raw_tcp_prove(&ends[0], key) ||
        raw_tcp_dial(&ends[1], "127.0.0.1", r->port) || raw_tcp_prove(&ends[1], key))
        give_up_on("relaying");
    for (unsigned i = 0; i < 2; i++) { /* the hellos, and then both leave TLS */
        if (raw_tcp_get(&ends[i], buf, sizeof(buf)) != 32)
            give_up_on("a hello");
        pass(r->chan, i, &ends[!i], buf, 32);
    }
    raw_tcp_plain(&ends[0]);
    raw_tcp_plain(&ends[1]);
    while (open) {
        struct pollfd p[2] = {{.fd = ends[0].fd, .events = POLLIN},
                              {.fd = ends[1].fd, .events = POLLIN}};

        poll(p, 2, -1);
        for (unsigned i = 0; i < 2; i++) {
            long n = p[i].revents ? raw_tcp_get(&ends[i], buf, sizeof(buf)) : -1;

            if (n > 0)
                pass(r->chan, i, &ends[!i], buf, (size_t)n);
            if (p[i].revents && n <= 0) {
                shutdown(ends[!i].fd, SHUT_WR);
                open = 0;
            }
        }
    }
    raw_tcp_drop(&ends[0]);
    raw_tcp_drop(&ends[1]);
    return NULL;
}

static int relayed(const struct xf_link_cfg *cfg, const char *host, uint16_t port, const char *src,
                   chan_id id, struct xf_chan **out, struct xf_err *err)
{
    static struct relay relays[TAPE_CHANNELS];
    struct relay *r = &relays[chans];
    pthread_t thread;
    uint16_t at = 0;

    *r =
        (struct relay){.listener = raw_tcp_listen("127.0.0.1", &at), .port = port, .chan = chans++};
    pthread_create(&thread, NULL, relay_main, r);
    pthread_detach(thread);
    return xf_tcp_ops.connect(cfg, host, at, src, id, out, err);
}

static int in_dir(const char *dir, const char *name)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
}

static void bootstrap(const char *dir)
{
    struct xf_pipe hello_out = {.out = in_dir(dir, "hello")},
                   reply_out = {.out = in_dir(dir, "reply")};
    struct xf_need need = {.kind = XF_NEED_DISK, .what = "/dev/vg/web", .of = "disk xvda"};
    struct xf_hello h = {.domain = "web1",
                         .uuid = "7a4a1f3e-0000-4000-8000-000000000001",
                         .boot_id = "b1",
                         .channels = 1,
                         .pull = true,
                         .need_kib = 4096,
                         .xen_major = 4,
                         .xen_minor = 17,
                         .needs = &need,
                         .nr_needs = 1};
    static struct xf_reply r = {.boot_id = "b2", .port = 4711, .paging = true, .nr_findings = 1};

    memset(&h.key, 0x42, sizeof(h.key));
    h.reconnect_s = 60;
    snprintf(r.addresses[r.nr_addresses++], XF_ADDR_LEN, "192.0.2.7");
    snprintf(r.findings[0].code, sizeof(r.findings[0].code), "memory");
    snprintf(r.findings[0].text, sizeof(r.findings[0].text), "tight");
    if (xf_hello_send(&hello_out, &h, NULL) || xf_reply_send(&reply_out, &r, NULL))
        give_up_on("the bootstrap");
}

int main(int argc, char **argv)
{
    static struct xf_transport_ops ops;
    static struct move m;

    if (argc != 2)
        give_up_on("record DIR");
    bootstrap(argv[1]);
    tape = fdopen(in_dir(argv[1], "tape"), "wb");
    ops = xf_tcp_ops;
    ops.connect = relayed;
    if (!tape || !move_open_over(&m, &ops, NULL, false, 1, SOON_MS))
        give_up_on("connecting");
    m.copy.opts.policy = (struct xf_policy){.max_downtime_s = 0, .max_rounds = 1};
    m.copy.opts.confirm_s = 1000;
    move_run(&m);
    if (m.end != XF_SWITCHED || m.sink_end != XF_SINK_RUNS)
        give_up_on(m.err.text);
    pthread_mutex_lock(&lock); /* nothing is added any more */
    return fclose(tape) ? 2 : 0;
}
