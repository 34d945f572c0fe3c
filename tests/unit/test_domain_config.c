/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration that goes with a domain: with -C, too, the guest keeps its uuid, and a file
 * that names another one is refused. xl is played by a script, which makes a uuid up where the file
 * names none, as xl does; libxl by this file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "libxl-ext/source/domain_config.h"
#include "tests/unit/suite.h"

#define DOMID 7u
#define OWN "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a11"
#define OTHER "2f6c1c2e-0d3a-4a53-9f5e-6a1f0c9f7a12"

static char top[] = "/tmp/xf-config-XXXXXX", file[64], xl[64];
static bool gone;
static struct xf_findings found;
static struct xf_err err;
static libxl_domain_config config;

int libxl_domain_info(libxl_ctx *ctx, libxl_dominfo *info, uint32_t domid)
{
    (void)ctx;
    CU_ASSERT_EQUAL(domid, DOMID);
    libxl_uuid_from_string(&info->uuid, OWN);
    return gone ? ERROR_DOMAIN_NOTFOUND : 0;
}

int libxl_retrieve_domain_configuration(libxl_ctx *ctx, uint32_t domid, libxl_domain_config *c,
                                        const libxl_asyncop_how *how)
{
    (void)ctx;
    (void)domid;
    (void)how;
    libxl_uuid_from_string(&c->c_info.uuid, OWN);
    return 0;
}

int libxl_domain_config_from_json(libxl_ctx *ctx, libxl_domain_config *c, const char *s)
{
    json_object *o = json_tokener_parse(s), *info = NULL, *uuid = NULL;
    int rc = -1;

    (void)ctx;
    if (json_object_object_get_ex(o, "c_info", &info) &&
        json_object_object_get_ex(info, "uuid", &uuid))
        rc = libxl_uuid_from_string(&c->c_info.uuid, json_object_get_string(uuid));
    json_object_put(o);
    return rc;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");

    if (!f || fputs(text, f) < 0)
        abort();
    fclose(f);
    chmod(path, mode);
}

/* What a move with this file (NULL: without -C) is told. */
static int ask(const char *text)
{
    const struct xf_move_opts o = {.config_file = text ? file : NULL, .real_xl = xl};

    if (text)
        write_file(file, text, 0600);
    memset(&found, 0, sizeof(found));
    xf_clear(&err);
    memset(&config, 0, sizeof(config));
    return xf_domain_config(NULL, NULL, DOMID, &o, &config, &found, &err);
}

static bool keeps_own(void)
{
    libxl_uuid own;

    libxl_uuid_from_string(&own, OWN);
    return !libxl_uuid_compare(&config.c_info.uuid, &own);
}

static void test_keeps(void)
{
    CU_ASSERT(ask(NULL) == 0 && keeps_own() && found.n == 0);
    CU_ASSERT(ask("name = \"web1\"\n") == 0 && keeps_own() && found.n == 0);
    CU_ASSERT(ask("uuid = \"" OWN "\"\n") == 0 && keeps_own() && found.n == 0);
    CU_ASSERT(ask("# uuid = \"" OTHER "\"\nname='uuid'\n") == 0 && keeps_own() && found.n == 0);
}

static void test_another(void)
{
    CU_ASSERT_EQUAL(ask("name = \"web1\"\nuuid='" OTHER "'\n"), 0);
    CU_ASSERT_EQUAL_FATAL(found.n, 1);
    CU_ASSERT_EQUAL(found.list[0].severity, XF_REFUSAL);
    CU_ASSERT_STRING_EQUAL(found.list[0].code, "uuid");
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[0].text, OTHER));
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[0].text, OWN));
    CU_ASSERT_PTR_NOT_NULL(strstr(found.list[0].text, "take uuid= out of the file"));
}

static void test_fails(void)
{
    gone = true;
    CU_ASSERT(ask(NULL) == -1 && err.num == ESRCH);
    gone = false;
    CU_ASSERT(ask("uuid = [\n") == -1 && err.num == EINVAL); /* xl takes it, and nobody else does */
}

int main(void)
{
    CU_TestInfo tests[] = {{"a guest keeps its uuid", test_keeps},
                           {"a file names another one", test_another},
                           {"what fails", test_fails},
                           CU_TEST_INFO_NULL};
    char command[100];
    int rc;

    if (!mkdtemp(top))
        return 2;
    snprintf(file, sizeof(file), "%s/web1.cfg", top);
    snprintf(xl, sizeof(xl), "%s/xl", top);
    write_file(xl,
               "#!/bin/sh\n"
               "[ \"$1 $2\" = 'create -n' ] || exit 1\n"
               "u=$(sed -n \"s/^uuid *= *['\\\"]\\([^'\\\"]*\\)['\\\"].*/\\1/p\" \"$3\")\n"
               "echo \"Parsing config from $3\"\n"
               "echo \"{\\\"c_info\\\": {\\\"uuid\\\": \\\"${u:-$(cat "
               "/proc/sys/kernel/random/uuid)}\\\"}}\"\n",
               0700);
    rc = run_suite("domain's configuration", tests);
    snprintf(command, sizeof(command), "rm -r %s", top);
    return system(command) ? 2 : rc;
}
