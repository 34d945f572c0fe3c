/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One end of a move of a process guest, so that the ends may be of two builds:
 *
 *     end source|sink TRUTH [precopy|hybrid|postcopy] [encrypt]
 *
 * Bootstrap and key go over standard input and output, as between two hosts. TRUTH is a file of
 * the two: what each page ought to hold (struct pg_truth). The sink compares every byte with it and
 * says so on standard error, in one line; both end with 0 when all was well.
 *
 * This file is compiled in an older checkout, too (tests/old_new.sh), so it may use only what was
 * there then, or ask for it.
 */
#include "tests/procguest/move.c"

#include "libxl-ext/peer/hello.h"

#define GFNS 16384u /* 64 MiB */
#define VCPUS 2u
#define HELLO_MS 10000

/* The versions of pages in the file, for both programs. */
static void share_truth(struct pg_move *m, const char *path)
{
    size_t len = GFNS * sizeof(*m->truth->version);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)len) ||
        mmap((void *)m->truth->version, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
             0) == MAP_FAILED) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    close(fd);
}

static int fail(const char *what, const struct xf_err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    return 1;
}

/* From what was said in the bootstrap. */
static unsigned agree(struct pg_move *m, const struct xf_hello *h, const struct xf_reply *r,
                      struct xf_err *err)
{
#ifdef XF_WIRE_OLDEST
    struct xf_build here = xf_build_here();
    unsigned version = 0;

    xf_agree(&here, h ? &h->build : &r->build, &version, err);
    m->opts.protocol = version;
    return version;
#else
    (void)m, (void)h, (void)r, (void)err;
    return 1;
#endif
}

static int source(struct pg_move *m, struct xf_pipe *pipe)
{
    static struct xf_reply reply;
    struct xf_hello hello = {.domain = "process-guest", .uuid = "u", .channels = 2};
    struct xf_err err = {0};
    unsigned version;

    hello.encrypt = m->opts.encrypt;
    hello.pull = pulls(m);
    memset(&hello.key, 0x42, sizeof(hello.key));
    if (xf_pipe_await_banner(pipe, HELLO_MS, NULL, &err) || xf_hello_send(pipe, &hello, &err) ||
        xf_reply_receive(pipe, &reply, HELLO_MS, NULL, &err))
        return fail("the bootstrap", &err);
    version = agree(m, NULL, &reply, &err);
    if (!version)
        return fail("versions", &err);
    m->port = reply.port;
    pg_move_fill(m);
    for (unsigned i = 0; i < VCPUS; i++) {
        m->src->vcpus[i].work = PG_RANDOM;
        m->src->vcpus[i].rate = 2000;
    }
    pg_start(m->src, false);
    m->source_pid = start(source_main, "engine-source", m);
    pg_run(m->src);
    if (!ended(&m->source_pid, true, "source") || !m->source.done)
        return 1;
    fprintf(stderr, "source: version %u, %llu pages left out, %llu asked for, %llu pushed\n",
            version, (unsigned long long)m->source.left_out, (unsigned long long)m->source.answered,
            (unsigned long long)m->source.pushed);
    if (m->source.end != XF_SWITCHED || m->source.err.num ||
        (m->source.pulled && m->source.pull != XF_PULL_DONE))
        return fail("source", &m->source.err);
    return m->source.pulled == pulls(m) ? 0 : 1;
}

static int sink(struct pg_move *m, struct xf_pipe *pipe)
{
    static struct xf_reply reply;
    struct xf_hello hello;
    struct xf_err err = {0};
    unsigned version;
    uint64_t wrong;

    if (write(pipe->out, XF_XL_BANNER, strlen(XF_XL_BANNER)) < 0 ||
        xf_hello_receive(pipe, &hello, HELLO_MS, &err))
        return fail("the bootstrap", &err);
    version = agree(m, &hello, NULL, &err);
    if (!version)
        return fail("versions", &err);
    pg_start(m->dst, true);
    m->sink_pid = start(sink_main, "engine-sink", m);
    while (!m->port && !m->sink.done)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    reply.port = (uint16_t)m->port;
    if (xf_reply_send(pipe, &reply, &err))
        return fail("the bootstrap", &err);
    if (!ended(&m->sink_pid, true, "sink") || !m->sink.done)
        return 1;
    if (m->sink.end != XF_SINK_RUNS || m->sink.err.num ||
        (m->sink.pulled && m->sink.pull != XF_PULL_DONE))
        return fail("sink", &m->sink.err);
    wrong = pg_move_check(m, m->dst);
    fprintf(stderr, "sink: version %u, %llu faults, %llu steps of the guest, %llu pages differ\n",
            version, (unsigned long long)m->sink.status.faults,
            (unsigned long long)pg_steps(m->dst), (unsigned long long)wrong);
    return wrong || m->sink.pulled != pulls(m) ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct xf_pipe pipe = {.in = STDIN_FILENO, .out = STDOUT_FILENO};
    const char *mode = argc > 3 ? argv[3] : "precopy";
    struct pg_move *m;
    int rc;

    if (argc < 3) {
        fprintf(stderr, "end source|sink TRUTH [precopy|hybrid|postcopy] [encrypt]\n");
        return 2;
    }
    m = pg_move_new(GFNS, VCPUS);
    share_truth(m, argv[2]);
    m->opts.encrypt = argc > 4;
    m->opts.mode = !strcmp(mode, "postcopy") ? XF_MODE_POSTCOPY
                   : !strcmp(mode, "hybrid") ? XF_MODE_HYBRID
                                             : XF_MODE_PRECOPY;
    if (m->opts.mode == XF_MODE_HYBRID) /* so that COPY does not pay, and pages are left out */
        m->opts.policy = (struct xf_policy){.max_downtime_s = 1e-6, .max_rounds = 2};
    rc = strcmp(argv[1], "sink") ? source(m, &pipe) : sink(m, &pipe);
    pg_move_free(m);
    return rc;
}
