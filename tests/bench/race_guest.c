/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One move of a process guest by the engine, for the race: the source in one network namespace,
 * the sink in another. Writes one JSON object. race.py runs it.
 *
 *   race_guest --size MIB [--mode precopy|hybrid|postcopy] [--text] [--zero N] [--rate N]
 *       [--channels N] [--encrypt] [--compress HOW] [--resident] [--max-downtime MS]
 *       [--netns-a PATH --netns-b PATH --addr ADDR] [--samples FILE] [--check]
 *       [--forecast] [--turn] [--bandwidth MIB] [--shared MIB]
 *   race_guest --warm MIB     only touch so much memory, as each move does before it begins
 *
 * --zero N: every N-th page is zeros, 0: none. --rate N: the guest's one vCPU rewrites so many
 * random pages a second, 0 none. --samples: "nanoseconds pages-written" of the guest, once a
 * millisecond. --check: compare all memory at the end. --forecast: before the move, look at the
 * guest and measure the link, as `xl migrate --check` does. --turn: say "ready" when the guest
 * runs, move it when a byte arrives on standard input, say "moved", and let it run until that ends.
 * --bandwidth: of this move, a second. --shared: the move takes a slot of its host, and shares so
 * much bandwidth with all moves of the same run directory; with --turn.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/moves/slot.h"
#include "tests/procguest/memory.h"
#include "tests/procguest/move.h"

#define SAMPLE_NS 1000000
#define AFTER_NS 1000000000u /* the guest is watched so long after the move has ended */
/* A guest is moved when it has been running for so long. */
#define BEFORE_NS 300000000u
#define LIMIT_S 600u /* of a move; with --turn, of all moves before it, too */
#define TURN_LIMIT_S 3600u

static void die(const char *what)
{
    fprintf(stderr, "race_guest: %s\n", what);
    exit(2);
}

static unsigned number(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*end || end == text || n > 1u << 24)
        die("a number is wrong");
    return (unsigned)n;
}

/*
 * A virtual machine may give free memory back to its host (free page reporting), and then the first
 * touch of it waits for the host, for whichever of the race's sides comes first. Touched and
 * given back just now it is there, for the two seconds until the kernel reports it again.
 */
static void warm(size_t bytes)
{
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        die("no memory to touch");
    for (size_t i = 0; i < bytes; i += XF_PAGE_SIZE)
        ((volatile char *)p)[i] = 1;
    munmap(p, bytes);
}

/* Which of these words? Ended by NULL. */
static int choose(const char *word, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (!strcmp(word, words[i]))
            return i;
    die("a word is wrong");
    return 0;
}

struct race {
    struct pg_move *m;
    FILE *samples;
    bool check, turn;
};

static void parse(struct race *r, int argc, char **argv)
{
    static const struct option longs[] = {
        {"size", 1, NULL, 'S'},     {"mode", 1, NULL, 'm'},     {"text", 0, NULL, 't'},
        {"zero", 1, NULL, 'z'},     {"rate", 1, NULL, 'r'},     {"channels", 1, NULL, 'c'},
        {"encrypt", 0, NULL, 'e'},  {"compress", 1, NULL, 'C'}, {"resident", 0, NULL, 'R'},
        {"netns-a", 1, NULL, 'a'},  {"netns-b", 1, NULL, 'b'},  {"addr", 1, NULL, 'A'},
        {"samples", 1, NULL, 's'},  {"check", 0, NULL, 'k'},    {"max-downtime", 1, NULL, 'd'},
        {"forecast", 0, NULL, 'f'}, {"turn", 0, NULL, 'T'},     {"bandwidth", 1, NULL, 'w'},
        {"shared", 1, NULL, 'W'},   {NULL, 0, NULL, 0},
    };
    static const char *const modes[] = {"precopy", "hybrid", "postcopy", NULL};
    static const char *const ways[] = {"auto", "off", "lz4", "zstd", NULL};
    struct pg_move *m;
    int opt;

    if (argc < 3 || strcmp(argv[1], "--size"))
        die("--size MIB comes first");
    m = r->m = pg_move_new((uint64_t)number(argv[2]) << 8, 1);
    m->opts.garbage = false;
    m->opts.whole = true;
    m->opts.compress.asked = XF_COMPRESS_OFF;
    m->opts.policy.max_rounds = 10;
    while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (opt) {
        case 'S':
            break;
        case 'm':
            m->opts.mode = (enum xf_mode[]){XF_MODE_PRECOPY, XF_MODE_HYBRID,
                                            XF_MODE_POSTCOPY}[choose(optarg, modes)];
            break;
        case 't':
            m->truth->text = PG_TEXT;
            break;
        case 'z':
            m->truth->zero_every = number(optarg) ? number(optarg) : UINT32_MAX;
            break;
        case 'r':
            m->src->vcpus[0].rate = number(optarg);
            if (m->src->vcpus[0].rate)
                m->src->vcpus[0].work = PG_RANDOM;
            break;
        case 'c':
            m->opts.channels = number(optarg);
            break;
        case 'e':
            m->opts.encrypt = true;
            break;
        case 'C':
            m->opts.compress.asked = (enum xf_compress)choose(optarg, ways);
            break;
        case 'R':
            m->opts.resident = true;
            break;
        case 'a':
            m->opts.netns[0] = optarg;
            break;
        case 'b':
            m->opts.netns[1] = optarg;
            break;
        case 'A':
            m->opts.addr = optarg;
            break;
        case 's':
            r->samples = fopen(optarg, "we");
            if (!r->samples)
                die("cannot write the samples");
            break;
        case 'k':
            r->check = true;
            break;
        case 'f':
            m->opts.foresee = true;
            break;
        case 'T':
            r->turn = true;
            break;
        case 'w':
            m->opts.bandwidth = (uint64_t)number(optarg) << 20;
            break;
        case 'W':
            m->opts.host_bandwidth = (uint64_t)number(optarg) << 20;
            break;
        case 'd':
            m->opts.policy.max_downtime_s = number(optarg) / 1000.0;
            break;
        default:
            die("there is no such option");
        }
    }
    if (optind < argc || m->opts.channels < 1 || m->opts.channels > XF_CHANNELS_MAX)
        die("the command line is wrong");
}

/* In the source's engine's process. Nobody calls at the sink before. */
static void take_turn(struct pg_move *m, void (*engine)(struct pg_move *m))
{
    struct xf_err err = {0};
    unsigned busy;
    int slot = -1;
    char c;

    if (read(STDIN_FILENO, &c, 1) != 1)
        _exit(1);
    if (m->opts.host_bandwidth && xf_slot_take(XF_MOVES_USUAL, &slot, &busy, &err))
        die(err.num ? err.text : "the host has no slot");
    engine(m);
    xf_slot_give(&slot);
}

/* The move has ended: tell, and wait until the others have, too. */
static void end_turn(void)
{
    char c;

    puts("moved");
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
}

/* Watch the guest until both engines have ended, and a moment longer. An engine that dies
 * never says that it is done, so there is a limit. */
static void watch(struct race *r)
{
    uint64_t limit_s = r->turn ? TURN_LIMIT_S : LIMIT_S;
    uint64_t limit = xf_now_ns() + limit_s * 1000000000u, until = UINT64_MAX;

    while (xf_now_ns() < limit && xf_now_ns() < until) {
        uint64_t a = pg_steps(r->m->src), b = pg_steps(r->m->dst);

        if (r->samples)
            fprintf(r->samples, "%" PRIu64 " %" PRIu64 "\n", xf_now_ns(), a > b ? a : b);
        if (until == UINT64_MAX && r->m->source.done && r->m->sink.done) {
            if (r->turn)
                end_turn();
            until = r->turn ? 0 : xf_now_ns() + AFTER_NS;
        }
        nanosleep(&(struct timespec){.tv_nsec = SAMPLE_NS}, NULL);
    }
}

/* What --check would say, and what COPY said. */
static void report_forecast(const struct pg_source_end *s)
{
    const struct xf_forecast *own = &s->status.forecast;

    printf(" \"forecast_s\": %.6f, \"forecast_down_s\": %.6f, \"forecast_bytes\": %.0f,\n",
           s->forecast.total_s, s->forecast.downtime_s, s->forecast.bytes);
    printf(" \"forecast_rounds\": %u, \"forecast_left\": %.0f, \"link_bytes_per_s\": %.0f,\n",
           s->forecast.rounds, s->forecast.left_out, s->speed.bytes_per_s);
    printf(" \"written\": %" PRIu64 ", \"zero_part\": %.4f, \"map_s\": %.9f,\n", s->survey.written,
           s->survey.zero_part, s->survey.map_s);
    if (s->status.forecast_at > 0)
        printf(" \"own_forecast_s\": %.6f, \"own_forecast_at_s\": %.6f,\n", own->total_s,
               s->status.forecast_at - s->status.forecast_from);
}

/* The part of its memory that lies in large pages. */
static double large(const struct pg_guest *g)
{
    return pg_memory_large(g->mem, g->truth->nr_gfns * XF_PAGE_SIZE);
}

static void report(const struct race *r, uint64_t wrong)
{
    const struct pg_source_end *s = &r->m->source;
    const struct pg_sink_end *k = &r->m->sink;
    const struct pg_beat *a = &r->m->src->beats[0], *b = &r->m->dst->beats[0];
    bool beats = a->last && b->first;
    uint64_t gap = beats ? b->first - a->last : 0;

    printf("{\"ok\": %s, \"wrong\": %" PRIu64 ", \"error\": \"%s%s\",\n",
           s->end == XF_SWITCHED && k->end == XF_SINK_RUNS && !wrong &&
                   (!s->pulled || s->pull == XF_PULL_DONE)
               ? "true"
               : "false",
           wrong, s->err.num ? "source failed " : "", k->err.num ? "sink failed" : "");
    if (s->err.num || k->err.num)
        fprintf(stderr, "race_guest: source: %s; sink: %s\n", s->err.text, k->err.text);
    printf(" \"total_s\": %.6f, \"copy_s\": %.6f, \"pull_s\": %.6f, \"rounds\": %u,\n", s->total_s,
           s->copy_s, s->pull_s, s->status.round);
    printf(" \"engine_down_s\": %.6f, \"gap_s\": %.6f, \"longest_gap_after_s\": %.6f,\n",
           s->times.running > 0 ? s->times.running - s->times.began : -1,
           beats ? (double)gap / 1e9 : -1, (double)b->longest_gap / 1e9);
    printf(" \"data_pages\": %" PRIu64 ", \"zero_pages\": %" PRIu64 ", \"last_pages\": %" PRIu64
           ", \"wire_bytes\": %" PRIu64 ",\n",
           s->sent.data, s->sent.zero, s->times.pages, s->wire_bytes);
    printf(" \"lz4_pages\": %" PRIu64 ", \"zstd_pages\": %" PRIu64 ", \"pack_s\": %.6f,\n",
           s->sent.by[XF_CODEC_LZ4], s->sent.by[XF_CODEC_ZSTD], s->sent.pack_s);
    printf(" \"left_out\": %" PRIu64 ", \"faults\": %" PRIu64 ", \"requested\": %" PRIu64
           ", \"fault_mean_s\": %.9f, \"fault_p50_s\": %.9f, \"fault_p99_s\": %.9f,\n",
           s->left_out, k->status.faults, k->status.requested, (double)k->mean_ns / 1e9,
           (double)k->status.median_ns / 1e9, (double)k->status.p99_ns / 1e9);
    printf(" \"cpu_s\": %.6f, \"source_cpu_s\": %.6f, \"sink_cpu_s\": %.6f,\n", s->cpu_s + k->cpu_s,
           s->cpu_s, k->cpu_s);
    if (r->m->opts.foresee)
        report_forecast(s);
    printf(" \"steps\": %" PRIu64 ", \"ran_s\": %.6f,\n", pg_steps(r->m->dst),
           beats ? (double)(b->last - a->first) / 1e9 : 0);
    printf(" \"source_large\": %.4f, \"sink_large\": %.4f,\n", large(r->m->src), large(r->m->dst));
    printf(" \"switched_ns\": %" PRIu64 ", \"source_own_kib\": %" PRIu64
           ", \"sink_own_kib\": %" PRIu64 "}\n",
           (uint64_t)a->last, s->own_kib, k->own_kib);
}

int main(int argc, char **argv)
{
    struct race r = {0};
    uint64_t wrong = 0;
    bool ended;

    if (argc == 3 && !strcmp(argv[1], "--warm")) {
        warm((size_t)number(argv[2]) << 20);
        return 0;
    }
    parse(&r, argc, argv);
    pg_move_fill(r.m);
    warm(r.m->truth->nr_gfns * XF_PAGE_SIZE);
    r.m->opts.wait_ns = r.m->src->vcpus[0].rate ? BEFORE_NS : 0;
    if (r.turn) {
        /* It may wait long for a drain.py that has been killed. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        r.m->opts.around = take_turn;
        r.m->opts.call_ms = TURN_LIMIT_S * 1000;
        r.m->opts.wait_ns = 0;
    }
    pg_move_start(r.m);
    if (r.turn) {
        puts("ready");
        fflush(stdout);
    }
    watch(&r);
    ended = r.m->source.done && r.m->sink.done && pg_move_wait(r.m);
    if (ended && r.check)
        wrong = pg_move_check(r.m, r.m->dst);
    report(&r, wrong);
    if (r.samples)
        fclose(r.samples);
    pg_move_free(r.m);
    return ended ? 0 : 1;
}
