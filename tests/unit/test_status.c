/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moves seen from outside: what is told comes out as it went in, nonsense is refused, no
 * client disturbs the server, and what dead processes leave behind is taken away.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/moves/status_lines.h"
#include "tests/unit/suite.h"

static char dir[] = "/tmp/xf-status-XXXXXX";
static char line[XF_STATUS_LINE];
static struct xf_err err;

static struct xf_status a_move(bool source, uint32_t domid, const char *domain)
{
    struct xf_status s = {
        .source = source,
        .pid = getpid(),
        .domid = domid,
        .host = "host2",
        .phase = XF_PHASE_PULL,
        .round = 3,
        .round_pages = 1000,
        .round_done = 400,
        .pages_sent = 123456789012,
        .left_out = 5000,
        .missing = 1200,
        .faults = 70,
        .requested = 30,
        .fault_median_s = 0.0004,
        .fault_p99_s = 0.002,
        .rate_bps = 5e7,
        .dirty_pps = 1500,
        .wire_bytes = 987654321,
        .eta_s = -1,
        .elapsed_s = 12.5,
    };

    snprintf(s.domain, sizeof(s.domain), "%s", domain);
    return s;
}

static bool same(const struct xf_status *a, const struct xf_status *b)
{
    return a->source == b->source && a->pid == b->pid && !strcmp(a->domain, b->domain) &&
           a->domid == b->domid && !strcmp(a->host, b->host) && a->phase == b->phase &&
           a->round == b->round && a->round_pages == b->round_pages &&
           a->round_done == b->round_done && a->pages_sent == b->pages_sent &&
           a->left_out == b->left_out && a->missing == b->missing && a->faults == b->faults &&
           a->requested == b->requested && a->fault_median_s == b->fault_median_s &&
           a->fault_p99_s == b->fault_p99_s && a->rate_bps == b->rate_bps &&
           a->dirty_pps == b->dirty_pps && a->wire_bytes == b->wire_bytes && a->eta_s == b->eta_s &&
           a->elapsed_s == b->elapsed_s && !strcmp(a->no_switch, b->no_switch) &&
           !strcmp(a->waits_for, b->waits_for) && !strcmp(a->version, b->version);
}

/* --- lines --- */

static void test_lines(void)
{
    struct xf_status s = a_move(true, 7, "web \"1\" \xc3\xa4"), t;
    struct xf_ended e = {.domain = "g/1",
                         .pid = 9,
                         .host = "h",
                         .outcome = XF_PULLING,
                         .when = 1700000000,
                         .text = "no \\ good"},
                    f;
    size_t len = xf_status_encode(&s, line);

    CU_ASSERT(len > 0 && line[len - 1] == '\n' && strlen(line) == len);
    CU_ASSERT_EQUAL(strcspn(line, "\n"), len - 1);
    CU_ASSERT_EQUAL(xf_status_decode(line, len - 1, &t, &err), 0);
    CU_ASSERT(same(&s, &t));

    snprintf(s.version, sizeof(s.version), "0.9.0");
    len = xf_status_encode(&s, line);
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"xenferry\":\"0.9.0\""));
    CU_ASSERT_EQUAL(xf_status_decode(line, len - 1, &t, &err), 0);
    CU_ASSERT(same(&s, &t));

    s.domid = XF_NO_DOMID;
    s.missing = s.pages_sent = XF_NO_COUNT;
    s.rate_bps = NAN;
    s.source = false;
    s.phase = XF_PHASE_CHECK;
    snprintf(s.no_switch, sizeof(s.no_switch), "it cannot");
    snprintf(s.waits_for, sizeof(s.waits_for), "2 moves under way here, limit 2");
    len = xf_status_encode(&s, line);
    CU_ASSERT_EQUAL(xf_status_decode(line, len - 1, &t, &err), 0);
    s.rate_bps = -1;
    CU_ASSERT(same(&s, &t));

    len = xf_ended_encode(&e, line);
    CU_ASSERT_EQUAL(xf_ended_decode(line, len - 1, &f, &err), 0);
    CU_ASSERT(!strcmp(e.domain, f.domain) && e.pid == f.pid && !strcmp(e.host, f.host) &&
              e.outcome == f.outcome && e.when == f.when && !strcmp(e.text, f.text));

    len = xf_answer_encode("", line);
    CU_ASSERT_EQUAL(xf_answer_decode(line, len - 1, &err), 0);
    len = xf_answer_encode("it is too late", line);
    CU_ASSERT_EQUAL(xf_answer_decode(line, len - 1, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "it is too late");
}

/* The longest texts of the worst kind still make a line. */
static void test_long_lines(void)
{
    struct xf_status s = a_move(true, 7, ""), t;
    struct xf_ended e = {.pid = 1}, f;
    static const char worst[] = {'"', '\\', '\n', '\x7f', '\xff'};

    for (size_t i = 0; i < sizeof(worst); i++) {
        size_t len;

        memset(s.domain, worst[i], sizeof(s.domain) - 1);
        memset(s.host, worst[i], sizeof(s.host) - 1);
        memset(s.no_switch, worst[i], sizeof(s.no_switch) - 1);
        memset(s.waits_for, worst[i], sizeof(s.waits_for) - 1);
        memset(s.version, worst[i], sizeof(s.version) - 1);
        memset(e.domain, worst[i], sizeof(e.domain) - 1);
        memset(e.host, worst[i], sizeof(e.host) - 1);
        memset(e.text, worst[i], sizeof(e.text) - 1);
        len = xf_status_encode(&s, line);
        CU_ASSERT_FATAL(len > 0);
        CU_ASSERT_EQUAL(strcspn(line, "\n"), len - 1);
        CU_ASSERT_EQUAL(xf_status_decode(line, len - 1, &t, NULL), 0);
        CU_ASSERT_EQUAL(strlen(t.host), sizeof(s.host) - 1);
        len = xf_ended_encode(&e, line);
        CU_ASSERT_FATAL(len > 0);
        CU_ASSERT_EQUAL(xf_ended_decode(line, len - 1, &f, NULL), 0);
    }
}

/* A good line in which one piece is replaced. */
static int with(const char *piece, const char *other)
{
    struct xf_status s = a_move(true, 7, "web1"), t;
    char changed[2 * XF_STATUS_LINE], *at;

    xf_status_encode(&s, line);
    line[strlen(line) - 1] = 0;
    at = strstr(line, piece);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - line), line, other,
             at + strlen(piece));
    memset(&err, 0, sizeof(err));
    return xf_status_decode(changed, strlen(changed), &t, &err);
}

static void test_nonsense(void)
{
    static const char *const cases[][2] = {
        {"\"role\":\"source\"", "\"role\":\"sink\""},
        {"\"role\":\"source\"", "\"role\":5"},
        {"\"role\":\"source\",", ""},
        {"\"phase\":\"PULL\"", "\"phase\":\"pull\""},
        {"\"phase\":\"PULL\"", "\"phase\":\"PULLPULLPULLPULLPULL\""},
        {"\"domain\":\"web1\"", "\"domain\":\"we\\u0000b1\""},
        {"\"domain\":\"web1\"", "\"domain\":\"we\\nb1\""},
        {"\"domid\":7", "\"domid\":-1"},
        {"\"domid\":7", "\"domid\":4294967295"},
        {"\"domid\":7", "\"domid\":\"7\""},
        {"\"missing\":1200", "\"missing\":-1200"},
        {"\"missing\":1200", "\"missing\":1.5"},
        {"\"round\":3", "\"round\":null"},
        {"\"round\":3", "\"round\":99999999999"},
        {"\"elapsed_s\":12.5", "\"elapsed_s\":-12.5"},
        {"\"elapsed_s\":12.5", "\"elapsed_s\":1e300"},
        {"\"elapsed_s\":12.5", "\"elapsed_s\":[12]"},
        {"{", "[{"},
        {"}", "}}"},
        {"}", ""},
        {"{", "{\"x\":[[[[[[]]]]]],"},
    };
    struct xf_status t;

    CU_ASSERT_EQUAL(with("{", "{\"later\":true,"), 0); /* what we do not know is ignored */
    CU_ASSERT_EQUAL(with("\"missing\":1200", "\"missing\":null"), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (with(cases[i][0], cases[i][1]) != -1 || !err.num)
            printf("\n  taken: %s ", cases[i][1]);
        CU_ASSERT_NOT_EQUAL(err.num, 0);
    }
    for (size_t len = 0; len < 3; len++)
        CU_ASSERT_EQUAL(xf_status_decode("{}", len, &t, NULL), -1);
    memset(line, ' ', sizeof(line));
    line[0] = '{';
    line[sizeof(line) - 1] = '}';
    CU_ASSERT_EQUAL(xf_status_decode(line, sizeof(line), &t, NULL), -1);
}

static void test_pace(void)
{
    struct xf_status_pace p = {0};
    struct xf_status s = {0};

    xf_status_pace(&p, 10000, 50, &s);
    CU_ASSERT(s.missing == 10000 && s.rate_bps == 0 && s.eta_s < 0);
    xf_status_pace(&p, 9500, 50.5, &s); /* too soon to tell */
    CU_ASSERT(s.missing == 9500 && s.rate_bps == 0 && s.eta_s < 0);
    xf_status_pace(&p, 8000, 52, &s);
    CU_ASSERT_DOUBLE_EQUAL(s.rate_bps, 1000 * 4096, 1);
    CU_ASSERT_DOUBLE_EQUAL(s.eta_s, 8, 0.01);
    xf_status_pace(&p, 8000, 54, &s); /* the link is lost */
    CU_ASSERT_DOUBLE_EQUAL(s.rate_bps, 500 * 4096, 1);
    xf_status_pace(&p, 8100, 54.1, &s); /* told anew; never negative */
    CU_ASSERT(s.rate_bps > 0 && s.missing == 8100);
    xf_status_pace(&p, 0, 60, &s);
    CU_ASSERT(s.missing == 0 && s.eta_s == 0);
}

/* --- servers --- */

static unsigned files(void)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    unsigned n = 0;

    while ((e = readdir(d)))
        n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    closedir(d);
    return n;
}

static struct xf_status_server *start(uint32_t id, const struct xf_status *s)
{
    struct xf_status_server *server = NULL;

    memset(&err, 0, sizeof(err));
    if (xf_status_open(&server, id, s, &err))
        printf("\n  %s ", err.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(server);
    return server;
}

static int dial(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", dir, name);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
        close(fd);
        return -1;
    }
    return fd;
}

/* All there is to read until the server closes. */
static size_t slurp(int fd, char *buf, size_t size)
{
    size_t len = 0;
    ssize_t n;

    while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
        len += (size_t)n;
    buf[len] = 0;
    return len;
}

static void test_serving(void)
{
    struct xf_status a = a_move(true, 7, "web1"), b = a_move(false, XF_NO_DOMID, "web2");
    struct xf_status_server *sa = start(7, &a), *sb = start(4711, &b);
    struct xf_status_list all;
    struct stat st;
    char path[64];

    snprintf(path, sizeof(path), "%s/source-7.sock", dir);
    CU_ASSERT(!stat(path, &st) && (st.st_mode & 0777) == 0600);
    CU_ASSERT_EQUAL(files(), 2);
    CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0);
    CU_ASSERT(all.nr == 2 && all.nr_ended == 0 && all.silent == 0);
    CU_ASSERT_STRING_EQUAL(all.list[0].domain, "web1");
    CU_ASSERT_EQUAL(all.list[0].missing, 1200);
    CU_ASSERT(all.list[0].elapsed_s >= 12.5 && all.list[0].age_s >= 0);
    CU_ASSERT(!all.list[1].source && all.list[1].domid == XF_NO_DOMID);
    xf_statuses_free(&all);

    a.missing = 3;
    xf_status_set(sa, &a);
    xf_status_close(sb);
    CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0);
    CU_ASSERT(all.nr == 1 && all.list[0].missing == 3);
    xf_statuses_free(&all);
    xf_status_close(sa);
    CU_ASSERT_EQUAL(files(), 0);
    CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0);
    CU_ASSERT(all.nr == 0 && all.silent == 0);
    xf_statuses_free(&all);
    xf_status_set(NULL, &a); /* a move without a server goes on */
    CU_ASSERT_FALSE(xf_status_asked(NULL));
    xf_status_close(NULL);
}

static void test_asking(void)
{
    struct xf_status a = a_move(true, 7, "web1"), b = a_move(false, 8, "web2");
    struct xf_status_server *sa, *sb = start(8, &b);

    snprintf(a.no_switch, sizeof(a.no_switch), "it is in PULL already");
    sa = start(7, &a);
    CU_ASSERT_EQUAL(xf_ask_postcopy("web1", &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "it is in PULL already");
    CU_ASSERT_FALSE(xf_status_asked(sa));
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_ask_postcopy("web2", &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "at its source"));
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_ask_postcopy("web3", &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no move of a domain \"web3\""));
    a.no_switch[0] = 0;
    xf_status_set(sa, &a);
    CU_ASSERT_EQUAL(xf_ask_postcopy("7", &err), 0);
    CU_ASSERT(xf_status_asked(sa));
    xf_status_close(sa);
    sa = start(7, &a);
    CU_ASSERT_FALSE(xf_status_asked(sa));
    CU_ASSERT_EQUAL(xf_ask_postcopy("web1", &err), 0);
    CU_ASSERT(xf_status_asked(sa));
    xf_status_close(sa);
    xf_status_close(sb);
}

/* Clients that say nothing, too much, or the wrong thing, in crowds; one that reads nothing. */
static void test_hostile_clients(void)
{
    struct xf_status a = a_move(true, 7, "web1");
    struct xf_status_server *s = start(7, &a);
    struct xf_status_list all;
    char big[70000], answer[8192];
    int fds[40], fd;

    for (unsigned i = 0; i < 40; i++) { /* more than it keeps; none says anything */
        fds[i] = dial("source-7.sock");
        CU_ASSERT(fds[i] >= 0);
    }
    CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0);
    CU_ASSERT_EQUAL(all.nr, 1);
    xf_statuses_free(&all);
    CU_ASSERT(slurp(fds[0], answer, sizeof(answer)) > 100); /* the oldest made room */
    for (unsigned i = 0; i < 40; i++)
        close(fds[i]);

    static const char *const wrong[] = {"p",        "postcop", "postcopx\n",
                                        "status\n", "\n",      "POSTCOPY\n"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        fd = dial("source-7.sock");
        CU_ASSERT(write(fd, wrong[i], strlen(wrong[i])) > 0);
        shutdown(fd, SHUT_WR);
        slurp(fd, answer, sizeof(answer));
        CU_ASSERT_PTR_NULL(strstr(answer, "why_not"));
        close(fd);
    }
    memset(big, 'p', sizeof(big));
    fd = dial("source-7.sock");
    send(fd, big, sizeof(big), MSG_NOSIGNAL | MSG_DONTWAIT);
    slurp(fd, answer, sizeof(answer));
    close(fd);
    CU_ASSERT_FALSE(xf_status_asked(s));

    fd = dial("source-7.sock"); /* in pieces, and more behind it */
    CU_ASSERT_EQUAL(write(fd, "post", 4), 4);
    while (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1000) == 0)
        ;
    CU_ASSERT_EQUAL(write(fd, "copy\nmore", 9), 9);
    slurp(fd, answer, sizeof(answer));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "why_not"));
    close(fd);
    CU_ASSERT(xf_status_asked(s));
    CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0);
    CU_ASSERT_EQUAL(all.nr, 1);
    xf_statuses_free(&all);
    fd = dial("source-7.sock"); /* is there when it closes */
    xf_status_close(s);
    slurp(fd, answer, sizeof(answer));
    close(fd);
}

/* A server that talks nonsense, or nothing, or without end. */
static void test_hostile_server(void)
{
    static const char *const says[] = {"", "nonsense\n", "{}\n", NULL};
    struct xf_status_list all;
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    for (unsigned i = 0; i < 4; i++) {
        int l = socket(AF_UNIX, SOCK_STREAM, 0), to_me[2], status;
        pid_t pid;

        snprintf(a.sun_path, sizeof(a.sun_path), "%s/source-1.sock", dir);
        CU_ASSERT(!bind(l, (struct sockaddr *)&a, sizeof(a)) && !listen(l, 5) && !pipe(to_me));
        pid = fork();
        if (pid == 0) {
            int fd = accept(l, NULL, NULL);

            close(to_me[1]);
            signal(SIGPIPE, SIG_IGN);
            if (!says[i])
                while (write(fd, "xxxxxxxxxxxxxxxx", 16) > 0)
                    ;
            else if (says[i][0])
                status = (int)write(fd, says[i], strlen(says[i]));
            else /* hold it until the test is through */
                status = (int)read(to_me[0], &fd, 1);
            _exit(0);
        }
        close(l);
        CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0);
        CU_ASSERT(all.nr == 0 && all.silent == 1);
        xf_statuses_free(&all);
        close(to_me[0]);
        close(to_me[1]);
        waitpid(pid, &status, 0);
        unlink(a.sun_path);
    }
}

static void put(const char *name, const char *text)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CU_ASSERT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void remove_file(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    unlink(path);
}

/* A process that was killed leaves its socket; the next one of the domain takes its place, or
 * the next who looks takes it away. */
static void test_stale(void)
{
    struct xf_status a = a_move(true, 7, "web1");
    struct xf_status_server *s;
    struct xf_status_list all;

    for (unsigned i = 0; i < 2; i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            start(7, &a);
            raise(SIGKILL);
        }
        waitpid(pid, &status, 0);
        CU_ASSERT_EQUAL(files(), 1);
        if (i == 0) {
            CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0);
            CU_ASSERT(all.nr == 0 && all.silent == 0);
            xf_statuses_free(&all);
        } else {
            s = start(7, &a);
            CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0);
            CU_ASSERT_EQUAL(all.nr, 1);
            xf_statuses_free(&all);
            xf_status_close(s);
        }
        CU_ASSERT_EQUAL(files(), 0);
    }
    /* Other files, of whatever name, are nobody's business. */
    put("7.lock", "");
    put("source-.sock", "");
    put("source-x.sock", "");
    put("source-5.sock.old", "");
    put("source-123456789012.sock", "");
    CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0);
    CU_ASSERT(all.nr == 0 && all.silent == 0);
    xf_statuses_free(&all);
    CU_ASSERT_EQUAL(files(), 5);
    remove_file("7.lock");
    remove_file("source-.sock");
    remove_file("source-x.sock");
    remove_file("source-5.sock.old");
    remove_file("source-123456789012.sock");
}

static void test_ends(void)
{
    struct xf_ended e = {.domain = "web1", .pid = 7, .host = "h", .outcome = XF_MOVED};
    struct xf_status_list all;

    e.when = time(NULL);
    CU_ASSERT_EQUAL(xf_ended_write(&e, &err), 0);
    e.outcome = XF_PULLING;
    snprintf(e.text, sizeof(e.text), "gone");
    e.when -= 5;
    e.pid = 8;
    CU_ASSERT_EQUAL(xf_ended_write(&e, &err), 0);
    CU_ASSERT_EQUAL(xf_ended_write(&e, &err), 0);
    e.pid = 9;
    e.when -= 25 * 3600; /* of yesterday */
    CU_ASSERT_EQUAL(xf_ended_write(&e, &err), 0);
    put("ended-10", "nonsense");
    put("ended-11", "");
    CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0);
    CU_ASSERT_EQUAL_FATAL(all.nr_ended, 2);
    CU_ASSERT(all.ended[0].outcome == XF_PULLING && all.ended[1].outcome == XF_MOVED);
    CU_ASSERT_STRING_EQUAL(all.ended[0].text, "gone");
    xf_statuses_free(&all);
    CU_ASSERT_EQUAL(files(), 2); /* the others are gone */
    remove_file("ended-7");
    remove_file("ended-8");
}

static void test_directory(void)
{
    struct xf_status a = a_move(true, 7, "web1");
    struct xf_status_server *s = NULL;
    struct xf_status_list all;
    char long_name[200], path[300];

    chmod(dir, 0777);
    memset(&err, 0, sizeof(err));
    CU_ASSERT_EQUAL(xf_status_open(&s, 7, &a, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "0700"));
    chmod(dir, 0700);
    CU_ASSERT_EQUAL(files(), 0);

    /* A link in its place may lead to where others write tomorrow. */
    snprintf(path, sizeof(path), "%s/link", dir);
    CU_ASSERT_EQUAL(symlink(dir, path), 0);
    setenv(XF_RUN_DIR_ENV, path, 1);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_status_open(&s, 7, &a, &err), -1);
    CU_ASSERT_EQUAL(err.num, EPERM);
    CU_ASSERT_EQUAL(files(), 1); /* the link */
    unlink(path);

    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = 0;
    snprintf(path, sizeof(path), "%s/%s", dir, long_name);
    setenv(XF_RUN_DIR_ENV, path, 1);
    xf_clear(&err);
    CU_ASSERT_EQUAL(xf_status_open(&s, 7, &a, &err), -1);
    CU_ASSERT_EQUAL(err.num, ENAMETOOLONG);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/none", dir);
    setenv(XF_RUN_DIR_ENV, path, 1);
    CU_ASSERT_EQUAL(xf_statuses(&all, &err), 0); /* nothing ever ran */
    CU_ASSERT_EQUAL(all.nr, 0);
    xf_statuses_free(&all);
    setenv(XF_RUN_DIR_ENV, dir, 1);
}

static void test_lacks(void)
{
    struct xf_status a = a_move(false, 7, "web1"), b = a_move(true, 8, "web2");
    struct xf_status_server *sa = start(100, &a), *sb = start(8, &b);
    uint64_t missing;
    char host[256];

    CU_ASSERT_EQUAL(xf_lacks_pages("web1", &missing, host), XF_LACKS_COMING);
    CU_ASSERT_EQUAL(missing, 1200);
    CU_ASSERT_STRING_EQUAL(host, "host2");
    CU_ASSERT_EQUAL(xf_lacks_pages("7", &missing, host), XF_LACKS_COMING);
    CU_ASSERT_EQUAL(xf_lacks_pages("web2", &missing, host), XF_LACKS_NONE); /* it is not here */
    CU_ASSERT_EQUAL(xf_lacks_pages("web3", &missing, host), XF_LACKS_NONE);
    a.missing = 0;
    xf_status_set(sa, &a);
    CU_ASSERT_EQUAL(xf_lacks_pages("web1", &missing, host), XF_LACKS_NONE);
    a.missing = 1;
    a.phase = XF_PHASE_SWITCH; /* nor does this one run yet */
    xf_status_set(sa, &a);
    CU_ASSERT_EQUAL(xf_lacks_pages("web1", &missing, host), XF_LACKS_NONE);
    xf_status_close(sa);
    xf_status_close(sb);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"lines there and back", test_lines},
        {"the longest lines", test_long_lines},
        {"nonsense in lines", test_nonsense},
        {"how fast PULL is", test_pace},
        {"serving", test_serving},
        {"asking for post-copy", test_asking},
        {"hostile clients", test_hostile_clients},
        {"hostile servers", test_hostile_server},
        {"sockets of the dead", test_stale},
        {"ends of moves", test_ends},
        {"the directory", test_directory},
        {"who lacks pages", test_lacks},
        CU_TEST_INFO_NULL,
    };
    int rc;

    if (!mkdtemp(dir) || setenv(XF_RUN_DIR_ENV, dir, 1))
        return 2;
    rc = run_suite("status", tests);
    rmdir(dir);
    return rc;
}
