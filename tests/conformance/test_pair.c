/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every transport between two processes: without arguments this program starts a sink and a source
 * of it, over each row that the machine supports. Between two hosts (the lab):
 *
 *   test_pair --serve ADDR ROW           on one; prints "port N" when it listens
 *   test_pair --connect ADDR PORT ROW    on the other
 *
 * The exit status tells for each process whether it saw what it must. ROW is a name of the
 * harness's table. Hostile peers are in the other programs; here both are honest, until one of them
 * is killed.
 */
#include "tests/conformance/harness.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xxhash.h>

#include "transport/bytes.h"

#define LIMIT_S 60
#define BULK 1u
#define FLOOD (64u << 20) /* more than any ring or socket buffer holds */

/* Control messages that announce the data on the bulk channel; answered by DONE with a hash. */
enum { ORDER = 1, TINY, HOLD, READ, DIE, DONE, DATA };

static const uint32_t sizes[] = {0,     1,     7,     4095,   4096,     4097,          16384,
                                 65519, 65536, 65537, 262144, 1u << 20, XF_PAYLOAD_MAX};
#define NSIZES (sizeof(sizes) / sizeof(sizes[0]))
#define ROUNDS 3u
#define NTINY 3000u
#define CHUNK (1u << 20)

static const char *side;
static uint8_t *buf, scratch[XF_META_MAX];

static _Noreturn void die(const char *what, const struct xf_err *err)
{
    fprintf(stderr, "%s, %s: %s: %s\n", row->name, side, what, err ? err->text : "wrong");
    exit(1);
}

static void say(struct xf_chan *c, uint16_t type, uint64_t value)
{
    struct xf_msg m = {.type = type, .meta_len = 8};
    struct xf_err err = {0};
    uint8_t meta[8];

    put_le64(meta, value);
    if (row->ops->send(c, &m, meta, NULL, 0, &err))
        die("sending", &err);
}

/* 0: it arrived; else the reason why not. */
static int hear(struct xf_chan *c, struct xf_msg *m, uint64_t *value, struct xf_err *err)
{
    if (row->ops->recv(c, m, scratch, LIMIT_S * 1000, err))
        return -1;
    *value = m->meta_len >= 8 ? get_le64(scratch) : 0;
    return 0;
}

static void send_data(struct xf_chan *c, uint64_t seq, uint32_t n)
{
    struct xf_msg m = {.type = DATA, .meta_len = 8, .payload_len = n};
    struct iovec v = {buf, n};
    struct xf_err err = {0};
    uint8_t meta[8];

    fill(buf, n, (uint32_t)seq);
    put_le64(meta, seq);
    if (row->ops->send(c, &m, meta, &v, n ? 1 : 0, &err))
        die("sending data", &err);
}

/* Add the n bytes in buf to the hash. */
static void add(uint64_t *sum, uint32_t n)
{
    *sum = *sum * 1000003 + XXH3_64bits(buf, n);
}

/* The next message must be number seq, as made by send_data(). */
static void take_data(struct xf_chan *c, uint64_t seq, uint32_t n, uint64_t *sum)
{
    struct iovec v = {buf, n};
    struct xf_err err = {0};
    struct xf_msg m;
    uint64_t got;

    if (hear(c, &m, &got, &err) || (m.payload_len && row->ops->recv_payload(c, &v, 1, &err)))
        die("receiving data", &err);
    if (m.type != DATA || got != seq || m.payload_len != n)
        die("order or length of messages", NULL);
    add(sum, n);
}

/* The hash of `n` messages of these sizes, repeated in turn. */
static uint32_t size_of(unsigned what, uint64_t seq)
{
    return what == ORDER ? sizes[seq % NSIZES] : what == TINY ? (uint32_t)(seq % 9) : CHUNK;
}

static uint64_t count_of(unsigned what)
{
    return what == ORDER ? ROUNDS * NSIZES : what == TINY ? NTINY : FLOOD / CHUNK;
}

/* ---- sink ---- */

static uint64_t take_all(struct xf_chan *bulk, unsigned what)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count_of(what); i++)
        take_data(bulk, i, size_of(what, i), &sum);
    return sum;
}

static int serve(const char *addr)
{
    struct xf_link_cfg cfg = config(BULK);
    struct xf_chan *c[BULK + 1] = {NULL};
    struct xf_listener *l;
    struct xf_err err = {0};
    uint16_t port;

    cfg.timeout_ms = cfg.stall_ms = LIMIT_S * 1000;
    if (row->ops->listen(&cfg, addr, 0, &l, &port, &err))
        die("listening", &err);
    printf("port %u\n", port);
    fflush(stdout);
    for (unsigned i = 0; i <= BULK; i++) {
        unsigned index = 99;
        struct xf_chan *one;

        if (accept_row(l, LIMIT_S * 1000, &one, &index, &err))
            die("accepting", &err);
        if (index > BULK || c[index])
            die("the number of a channel", NULL);
        c[index] = one;
    }
    row->ops->unlisten(l);
    for (;;) {
        struct xf_msg m;
        uint64_t unused;

        if (hear(c[0], &m, &unused, &err)) {
            if (err.num != ECONNRESET)
                die("waiting for a task", &err);
            break; /* it has closed */
        }
        if (m.type == ORDER || m.type == TINY || m.type == READ)
            say(c[0], DONE, take_all(c[BULK], m.type));
        else if (m.type == DIE)
            raise(SIGKILL);
        else if (m.type != HOLD)
            die("a task", NULL);
    }
    for (unsigned i = 0; i <= BULK; i++)
        row->ops->close(c[i]);
    return 0;
}

/* ---- source ---- */

struct flood {
    struct xf_chan *c;
    uint64_t sum;
    atomic_bool done;
};

static uint64_t send_all(struct xf_chan *bulk, unsigned what)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count_of(what); i++) {
        send_data(bulk, i, size_of(what, i));
        add(&sum, size_of(what, i));
    }
    return sum;
}

static void *flood_run(void *arg)
{
    struct flood *f = arg;

    f->sum = send_all(f->c, READ);
    atomic_store(&f->done, true);
    return NULL;
}

static void must_agree(struct xf_chan *control, uint64_t sum)
{
    struct xf_err err = {0};
    struct xf_msg m;
    uint64_t theirs;

    if (hear(control, &m, &theirs, &err))
        die("waiting for the sink", &err);
    if (m.type != DONE || theirs != sum)
        die("what the sink has got", NULL);
}

/* The sink does not read: the source has to stop, and nothing is lost when reading resumes. */
static void back_pressure(struct xf_chan *c[])
{
    struct flood f = {.c = c[BULK]};
    struct xf_chan_stats before, after = {0};
    pthread_t t;

    say(c[0], HOLD, 0);
    pthread_create(&t, NULL, flood_run, &f);
    do { /* until nothing moves for half a second */
        before = after;
        nanosleep(&(struct timespec){0, 500000000}, NULL);
        row->ops->stats(c[BULK], &after);
    } while (after.tx_bytes == 0 || after.tx_bytes != before.tx_bytes);
    if (atomic_load(&f.done) || after.tx_bytes >= FLOOD)
        die("a source that nobody stops", NULL);
    say(c[0], READ, 0);
    pthread_join(t, NULL);
    must_agree(c[0], f.sum);
}

/* The sink is killed: the source learns of it on both channels. */
static void peer_death(struct xf_chan *c[])
{
    struct xf_err err = {0};
    struct xf_msg m;
    uint64_t unused;

    say(c[0], DIE, 0);
    if (!hear(c[0], &m, &unused, &err) || (err.num != ECONNRESET && err.num != ETIMEDOUT))
        die("a dead peer on the control channel", &err);
    xf_clear(&err);
    for (unsigned i = 0;; i++) {
        struct iovec v = {buf, CHUNK};

        m = (struct xf_msg){.type = DATA, .payload_len = CHUNK};
        if (row->ops->send(c[BULK], &m, NULL, &v, 1, &err))
            break;
        if (i == FLOOD / CHUNK)
            die("a dead peer that takes everything", NULL);
    }
}

static int source(const char *addr, uint16_t port)
{
    struct xf_link_cfg cfg = config(BULK), wrong = config(BULK);
    struct xf_chan *c[BULK + 1] = {NULL}, *none;
    struct xf_key other;
    struct xf_err err = {0};

    cfg.timeout_ms = LIMIT_S * 1000;
    cfg.stall_ms = 10000;
    other = *cfg.key;
    other.bytes[0] ^= 1;
    wrong.key = &other;
    if (!row->ops->connect(&wrong, addr, port, NULL, XF_CONTROL, &none, &err))
        die("a wrong key that is taken", NULL);
    xf_clear(&err);
    for (unsigned i = 0; i <= BULK; i++)
        if (row->ops->connect(&cfg, addr, port, NULL, xf_chan_id_of(i, BULK), &c[i], &err))
            die("connecting", &err);
    for (unsigned what = ORDER; what <= TINY; what++) {
        say(c[0], (uint16_t)what, 0);
        must_agree(c[0], send_all(c[BULK], what));
    }
    back_pressure(c);
    peer_death(c);
    for (unsigned i = 0; i <= BULK; i++)
        row->ops->close(c[i]);
    printf("%s: right\n", row->name);
    return 0;
}

/* ---- both ---- */

/*
 * A sink of our own, which ends by SIGKILL on request. By exec: a child that was only forked may
 * not use the verbs of its parent (ib_safe_file_access(), include/rdma/ib.h: EACCES).
 */
static bool both(void)
{
    char line[64] = "";
    int to[2], status;
    unsigned port;
    pid_t sink, from;
    FILE *f;

    if (pipe(to))
        return false;
    sink = fork();
    if (sink == 0) {
        dup2(to[1], 1);
        execl("/proc/self/exe", "test_pair", "--serve", row->addr, row->name, NULL);
        _exit(2);
    }
    close(to[1]);
    f = fdopen(to[0], "r");
    if (!f || !fgets(line, sizeof(line), f) || sscanf(line, "port %u", &port) != 1)
        port = 0;
    from = port ? fork() : -1;
    if (from == 0) {
        snprintf(line, sizeof(line), "%u", port);
        execl("/proc/self/exe", "test_pair", "--connect", row->addr, line, row->name, NULL);
        _exit(2);
    }
    if (from < 0)
        kill(sink, SIGKILL);
    else if (waitpid(from, &status, 0) != from || !WIFEXITED(status) || WEXITSTATUS(status))
        kill(sink, SIGKILL), port = 0;
    if (waitpid(sink, &status, 0) != sink || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        port = 0;
    if (f)
        fclose(f);
    return port;
}

static void test_both(void)
{
    CU_ASSERT(both());
}

static bool choose(const char *name)
{
    for (size_t i = 0; i < NROWS; i++)
        if (!strcmp(rows[i].name, name))
            row = &rows[i];
    return row != NULL;
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {{"two processes", test_both, false}};
    unsigned long port;

    buf = malloc(XF_PAYLOAD_MAX);
    if (!buf)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    if (argc == 1) {
        for (size_t i = 0; i < NROWS; i++) /* lies in one process */
            if (rows[i].ops == &xf_loopback_ops)
                rows[i].addr = NULL;
        return run(tests, 1, LIMIT_S);
    }
    alarm(LIMIT_S * 2);
    if (argc == 4 && !strcmp(argv[1], "--serve") && choose(argv[3])) {
        side = "sink";
        return serve(argv[2]);
    }
    port = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
    if (port && port < 65536 && !strcmp(argv[1], "--connect") && choose(argv[4])) {
        side = "source";
        return source(argv[2], (uint16_t)port);
    }
    fprintf(stderr, "test_pair [--serve ADDR ROW | --connect ADDR PORT ROW]\n");
    return 2;
}
