/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `xl migrate-cpu`: what the processors of this host offer to guests, or the `cpuid=` line of a
 * guest that this host and others can run.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "libxl-ext/cpu.h"
#include "tools/format.h"
#include "tools/front.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/show.h"

#define COLUMNS 80

enum { C_HELP, C_SSH, C_JSON, OPTIONS };

static const struct migrate_option options[OPTIONS + 1] = {
    [C_HELP] = {"help", 'h', NULL, true, "Print this help."},
    [C_SSH] = {NULL, 's', "COMMAND", true, "Use COMMAND, run by sh, instead of ssh."},
    [C_JSON] = {"json", 0, NULL, true, "Report on standard output, one JSON object per line."},
};

struct args {
    bool help, json;
    const char *ssh;
    char **hosts; /* in argv */
    unsigned nr_hosts;
};

static void help(FILE *out)
{
    fputs("Usage: xl migrate-cpu [-s COMMAND] [--json] [HOST...]\n\n"
          "Without HOST: what the processors of this host offer to guests. With HOST: the\n"
          "cpuid= line for the configuration of a guest that is to move between this host\n"
          "and every HOST, on standard output; nothing if it needs none.\n\n",
          out);
    options_help(out, options, &options[OPTIONS - 1]);
    fputs("\nExit status: 0, or 1 on errors, also when the hosts' processors are of different\n"
          "vendors. See xl-migrate(1).\n",
          out);
}

static int parse(const struct front *f, struct args *out, struct xf_err *err)
{
    static const struct option longs[] = {
        {"help", no_argument, NULL, 'h'}, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    int argc = f->argc - f->cmd, opt;
    char **argv = f->argv + f->cmd;

    memset(out, 0, sizeof(*out));
    opterr = 0;
    optind = 0;
    /* Continue after an error: --json says how to report it. */
    while ((opt = getopt_long(argc, argv, ":hs:", longs, NULL)) != -1) {
        if (opt == 'h')
            out->help = true;
        else if (opt == 'j')
            out->json = true;
        else if (opt == 's')
            out->ssh = optarg;
        else
            xf_fail(err, EINVAL, "%s '%.60s' (xl migrate-cpu --help)",
                    opt == ':' ? "a value is missing behind" : "there is no option",
                    argv[optind - 1]);
    }
    out->hosts = argv + optind;
    out->nr_hosts = (unsigned)(argc - optind);
    if (out->help)
        xf_clear(err); /* nothing else matters */
    else if (out->nr_hosts >= XF_CPU_HOSTS_MAX)
        xf_fail(err, EINVAL, "at most %u hosts (xl migrate-cpu --help)", XF_CPU_HOSTS_MAX - 1);
    for (unsigned i = 0; i < out->nr_hosts; i++)
        if (!out->hosts[i][0])
            xf_fail(err, EINVAL, "a host has no name (xl migrate-cpu --help)");
    return err->num ? -1 : 0;
}

/* --- JSON --- */

static json_object *feature_list(const uint32_t words[XF_CPU_WORDS])
{
    json_object *a = json_object_new_array();
    char name[XF_CPU_NAME];

    for (unsigned n = 0; n < 32 * XF_CPU_WORDS; n++) {
        if (!(words[n / 32] >> n % 32 & 1))
            continue;
        xf_cpu_feature(n, name);
        json_object_array_add(a, json_object_new_string(name));
    }
    return a;
}

static json_object *level(const struct xf_cpu_level *l)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "leaf", json_object_new_int64(l->leaf));
    json_object_object_add(o, "subleaf", json_object_new_int64(l->subleaf));
    json_object_object_add(o, "extended_leaf", json_object_new_int64(l->extended));
    json_object_object_add(o, "features", feature_list(l->words));
    return o;
}

static void print_object(json_object *o)
{
    printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                         JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

/* host: NULL for this one. */
static void json_cpu(const char *host, const struct xf_cpu *cpu)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "type", json_object_new_string("cpu"));
    json_object_object_add(o, "host", host ? json_object_new_string(host) : NULL);
    json_object_object_add(o, "vendor", json_object_new_string(cpu->vendor));
    json_object_object_add(o, "usual", level(&cpu->usual));
    json_object_object_add(o, "most", level(&cpu->most));
    print_object(o);
}

static void json_cpuid(const struct xf_cpu_excess *x, const char *line)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "type", json_object_new_string("cpuid"));
    json_object_object_add(o, "line", x->any ? json_object_new_string(line) : NULL);
    json_object_object_add(o, "denied", feature_list(x->words));
    print_object(o);
}

/* --- text --- */

static void print_features(const char *what, const uint32_t words[XF_CPU_WORDS])
{
    char name[XF_CPU_NAME], *text = calloc(32 * XF_CPU_WORDS, XF_CPU_NAME);
    char *to = text;

    if (!text)
        return;
    for (unsigned n = 0; n < 32 * XF_CPU_WORDS; n++) {
        if (!(words[n / 32] >> n % 32 & 1))
            continue;
        xf_cpu_feature(n, name);
        to += sprintf(to, "%s%s", to == text ? "" : " ", name);
    }
    printf("%s", what);
    print_wrapped(stdout, text[0] ? text : "none", COLUMNS, (unsigned)strlen(what), 2);
    free(text);
}

static void show_cpu(const struct xf_cpu *cpu)
{
    struct xf_cpu_excess more;

    xf_cpu_compare(&cpu->most, &cpu->usual, &more);
    printf("Vendor: %s\n", cpu->vendor);
    printf("Highest CPUID leaves: 0x%x, 0x%x of leaf 7, 0x%x\n", cpu->usual.leaf,
           cpu->usual.subleaf, cpu->usual.extended);
    print_features("Features of a guest: ", cpu->usual.words);
    print_features("Only with a cpuid= that asks for them: ", more.words);
}

static int show_line(const struct args *args, const struct xf_cpu *cpus, struct xf_err *err)
{
    char line[XF_CPU_LINE];
    struct xf_cpu_excess x;

    for (unsigned i = 1; i <= args->nr_hosts; i++)
        if (strcmp(cpus[i].vendor, cpus[0].vendor) != 0)
            return xf_fail(err, ENOTSUP,
                           "this host's processor is of %s and that of \"%.100s\" of %s: no guest "
                           "can move between them while it runs",
                           cpus[0].vendor, args->hosts[i - 1], cpus[i].vendor);
    xf_cpu_common(cpus, args->nr_hosts + 1, &x);
    if (x.any && xf_cpu_line(&x, line, sizeof(line), err))
        return -1;
    if (args->json)
        json_cpuid(&x, line);
    else if (x.any)
        puts(line);
    else
        fputs("xl migrate-cpu: a guest needs no cpuid= to move between these hosts\n", stderr);
    return 0;
}

static int run(const struct args *args, struct xf_err *err)
{
    struct xf_cpu *cpus = calloc(XF_CPU_HOSTS_MAX, sizeof(*cpus));
    const volatile sig_atomic_t *cancel = show_catch_signals();
    int rc = 0;

    if (!cpus)
        return xf_fail(err, ENOMEM, "out of memory");
    rc = xf_cpu_here(&cpus[0], err);
    for (unsigned i = 0; !rc && i < args->nr_hosts; i++)
        rc = xf_cpu_ask(args->hosts[i], args->ssh, cancel, &cpus[i + 1], err);
    for (unsigned i = 0; !rc && args->json && i <= args->nr_hosts; i++)
        json_cpu(i ? args->hosts[i - 1] : NULL, &cpus[i]);
    if (!rc && args->nr_hosts)
        rc = show_line(args, cpus, err);
    else if (!rc && !args->json)
        show_cpu(&cpus[0]);
    free(cpus);
    return rc;
}

int cmd_migrate_cpu(const struct front *f)
{
    struct xf_err err = {0};
    struct args args;

    if (!parse(f, &args, &err) && args.help) {
        help(stdout);
        return 0;
    }
    if (!err.num && !run(&args, &err))
        return 0;
    if (args.json)
        json_error(stdout, &err);
    front_error("migrate-cpu", &err);
    return 1;
}
