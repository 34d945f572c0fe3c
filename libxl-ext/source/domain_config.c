/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration sent with a domain: see domain_config.h. */
#include "libxl-ext/source/domain_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>
#include <libxlutil.h>

#define OUTPUT_MAX (1u << 20)

/* Run `real_xl create -n file`, its stdout into a malloc()ed string. */
static char *xl_reads(const char *real_xl, const char *file, struct xf_err *err)
{
    size_t have = 0;
    char *text = calloc(1, OUTPUT_MAX);
    int from[2], status;
    pid_t pid;
    ssize_t n;

    if (!text || pipe2(from, O_CLOEXEC)) {
        free(text);
        xf_fail(err, errno, "cannot make a pipe: %s", strerror(errno));
        return NULL;
    }
    pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, STDIN_FILENO);
        dup2(from[1], STDOUT_FILENO);
        execl(real_xl, "xl", "create", "-n", file, (char *)NULL);
        _exit(127);
    }
    close(from[1]);
    while (pid > 0 && have < OUTPUT_MAX - 1) {
        n = read(from[0], text + have, OUTPUT_MAX - 1 - have);
        if (n > 0)
            have += (size_t)n;
        else if (n == 0 || errno != EINTR)
            break;
    }
    close(from[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status)) {
        free(text);
        xf_fail(err, EINVAL, "xl cannot read the configuration file %s (-C)", file);
        return NULL;
    }
    return text;
}

static int from_file(libxl_ctx *ctx, const struct xf_move_opts *o, libxl_domain_config *config,
                     struct xf_err *err)
{
    char *text = xl_reads(o->real_xl, o->config_file, err);
    const char *at = text ? strchr(text, '{') : NULL; /* xl first prints which file it reads */
    json_object *whole = at ? json_tokener_parse(at) : NULL;
    json_object *inner = whole;
    int rc = 0;

    if (!text)
        return -1;
    /* The configuration itself, or (some versions) {"domid": null, "config": {...}}. */
    if (whole && !json_object_object_get_ex(whole, "config", &inner))
        inner = whole;
    if (!whole || libxl_domain_config_from_json(ctx, config, json_object_to_json_string(inner)))
        rc = xf_fail(err, EINVAL, "cannot parse xl's output for %s (-C)", o->config_file);
    json_object_put(whole);
    free(text);
    return rc;
}

/* Does the file itself name a uuid? If not, xl generates one, and its output does not show that. */
static int names_uuid(const char *file, bool *names, struct xf_err *err)
{
    FILE *quiet = fopen("/dev/null", "we"); /* xl has complained already */
    XLU_Config *cfg = quiet ? xlu_cfg_init(quiet, file) : NULL;
    const char *uuid;
    int rc = -1;

    if (!cfg)
        xf_fail(err, ENOMEM, "out of memory");
    else if (xlu_cfg_readfile(cfg, file))
        xf_fail(err, EINVAL,
                "cannot read the configuration file %s (-C) twice; is it a plain file?", file);
    else
        rc = 0;
    *names = !rc && !xlu_cfg_get_string(cfg, "uuid", &uuid, 1);
    if (cfg)
        xlu_cfg_destroy(cfg);
    if (quiet)
        fclose(quiet);
    return rc;
}

static int keep_uuid(libxl_ctx *ctx, uint32_t domid, const char *file, libxl_domain_config *config,
                     struct xf_findings *found, struct xf_err *err)
{
    libxl_uuid *uuid = &config->c_info.uuid;
    libxl_dominfo info;
    bool named = false;
    int rc = 0;

    libxl_dominfo_init(&info);
    if (libxl_domain_info(ctx, &info, domid))
        rc = xf_fail(err, ESRCH, "domain %u is gone", domid);
    else if (file)
        rc = names_uuid(file, &named, err);
    if (named && libxl_uuid_compare(uuid, &info.uuid))
        xf_find(found, XF_REFUSAL, "uuid",
                "%.120s (-C) names the uuid " LIBXL_UUID_FMT ", but the domain has " LIBXL_UUID_FMT
                " and keeps it when it moves; take uuid= out of the file",
                file, LIBXL_UUID_BYTES(*uuid), LIBXL_UUID_BYTES(info.uuid));
    if (!rc)
        libxl_uuid_copy(ctx, uuid, &info.uuid);
    libxl_dominfo_dispose(&info);
    return rc;
}

int xf_domain_config(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid,
                     const struct xf_move_opts *o, libxl_domain_config *config,
                     struct xf_findings *found, struct xf_err *err)
{
    char why[300];

    if (o->config_file) {
        if (from_file(ctx, o, config, err))
            return -1;
    } else if (libxl_retrieve_domain_configuration(ctx, domid, config, NULL)) {
        return xf_fail(err, EIO, "cannot retrieve the configuration of domain %u: %s", domid,
                       xf_toollog_last(log, why, sizeof(why)));
    } else {
        config->c_info.domid = o->preserve_domid ? domid : 0;
    }
    return keep_uuid(ctx, domid, o->config_file, config, found, err);
}
