/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of guests in CHECK: what does not fit, or cannot be shown as it is, is refused with the
 * remedy before anything is touched, and never cut. Xen's libraries are played by this file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "libxl-ext/source/check_hvm.h"
#include "libxl-ext/source/domain_config.h"
#include "libxl-ext/source/move_check.h"
#include "libxl-ext/source/move_pci.h"
#include "libxl-ext/host/run_dir.h"
#include "libxl-ext/xen/domain_here.h"
#include "libxl-ext/xen/static_state.h"
#include "tests/unit/hostile.h"
#include "tests/unit/suite.h"

#define DOMID 7u

static const char *running, *in_file; /* the domain's name, and that in a -C file; NULL: none */
static bool looked;                   /* CHECK came as far as the configuration */
static struct xf_err err;

int libxl_domain_qualifier_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    (void)ctx;
    (void)name;
    *domid = DOMID;
    return 0;
}

char *libxl_domid_to_name(libxl_ctx *ctx, uint32_t domid)
{
    (void)ctx;
    return domid == DOMID ? strdup(running) : NULL;
}

const libxl_version_info *libxl_get_version_info(libxl_ctx *ctx)
{
    static const libxl_version_info info = {.xen_version_major = 4, .xen_version_minor = 17};

    (void)ctx;
    return &info;
}

int xf_check_whole(xc_interface *xch, uint32_t domid, bool device_model, bool asked,
                   const char **why, struct xf_err *e)
{
    (void)xch;
    (void)domid;
    (void)device_model;
    (void)asked;
    (void)e;
    *why = NULL;
    return 0;
}

/* For what may be swept: no domain is gone. */
int xf_domain_info(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info)
{
    (void)xch;
    (void)domid;
    (void)info;
    return 0;
}

enum xf_here xf_xen_here(xc_interface *xch, uint32_t domid)
{
    (void)xch;
    CU_ASSERT_EQUAL(domid, DOMID);
    return XF_HERE_RUNS;
}

int xf_qdisks_open(struct xf_qdisks *q, uint32_t domid, struct xf_err *e)
{
    (void)q;
    (void)domid;
    (void)e;
    return 0;
}

int xf_changes_begin(struct xf_changes *c, uint32_t domid, struct xf_err *e)
{
    (void)c;
    (void)domid;
    (void)e;
    return 0;
}

int xf_domain_config(libxl_ctx *ctx, struct xf_toollog *log, uint32_t domid,
                     const struct xf_move_opts *o, libxl_domain_config *config,
                     struct xf_findings *found, struct xf_err *e)
{
    (void)ctx;
    (void)log;
    (void)domid;
    (void)o;
    (void)found;
    (void)e;
    looked = true;
    config->c_info.name = in_file ? strdup(in_file) : NULL;
    return 0;
}

void xf_move_pci_look(struct xf_move *m, struct xf_findings *found)
{
    (void)m;
    (void)found;
}

int xf_check_source(libxl_ctx *ctx, xc_interface *xch, struct xf_toollog *log, uint32_t domid,
                    const libxl_domain_config *config, struct xf_findings *f, uint64_t *need_kib,
                    struct xf_err *e)
{
    (void)ctx;
    (void)xch;
    (void)log;
    (void)domid;
    (void)config;
    (void)f;
    (void)e;
    *need_kib = 1;
    return 0;
}

char *libxl_domain_config_to_json(libxl_ctx *ctx, libxl_domain_config *p)
{
    (void)ctx;
    (void)p;
    return strdup("{}");
}

int xf_read_policy(xc_interface *xch, uint32_t domid, void **cpuid, uint32_t *cpuid_len,
                   void **msrs, uint32_t *msr_len, struct xf_err *e)
{
    (void)xch;
    (void)domid;
    (void)cpuid;
    (void)cpuid_len;
    (void)msrs;
    (void)msr_len;
    return xf_fail(e, ECHILD, "the name is taken"); /* as far as this test goes */
}

/* CHECK of a guest; the error is left in err, the name in m. */
static void check(struct xf_move *m)
{
    static struct xf_move_opts o;
    static struct xf_report report;

    memset(m, 0, sizeof(*m));
    xf_clear(&err);
    looked = false;
    xf_move_opts_init(&o);
    o.domain = "7";
    o.ssh_command = "";
    o.host = "exec cat >/dev/null";
    xf_move_init(m, &o, NULL, &report);
    CU_ASSERT_EQUAL(xf_move_check(m, &err), -1);
    CU_ASSERT_EQUAL(xf_move_end(m, XF_REFUSED, &err), XF_REFUSED);
    CU_ASSERT(harmless(err.text, false));
}

static const char *name_of(size_t len)
{
    static char name[400];

    memset(name, 'n', sizeof(name));
    name[len] = 0;
    return name;
}

static void refused(int num, const char *remedy)
{
    CU_ASSERT_EQUAL(err.num, num);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, remedy));
}

static void test_long(void)
{
    static struct xf_move m;
    char longest[128];

    in_file = NULL;
    running = name_of(127);
    check(&m);
    refused(ECHILD, "the name is taken");
    CU_ASSERT_STRING_EQUAL(m.name, running);
    CU_ASSERT_STRING_EQUAL(m.check.hello.domain, running);
    for (size_t len = 128; len < 400; len += 90) {
        running = name_of(len);
        check(&m);
        refused(ENAMETOOLONG, "`xl rename 7 NEW-NAME`");
        CU_ASSERT_FALSE(looked);
    }
    /* The one in a -C file is what the domain is to be called there. */
    memcpy(longest, name_of(127), sizeof(longest));
    running = longest;
    in_file = name_of(128);
    check(&m);
    refused(ENAMETOOLONG, "another name in the file for -C");
    CU_ASSERT(looked);
}

static void test_hostile(void)
{
    static struct xf_move m;

    for (size_t i = 0; i < HOSTILES; i++) {
        in_file = NULL;
        running = hostiles[i].text;
        check(&m);
        refused(EILSEQ, "`xl rename 7 NEW-NAME`");
        running = "web1";
        in_file = hostiles[i].text;
        check(&m);
        refused(EILSEQ, "another name in the file for -C");
    }
    in_file = NULL;
    running = "gr\xc3\xbc\xc3\x9f"; /* of another alphabet it may be */
    check(&m);
    refused(ECHILD, "the name is taken");
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"too long", test_long}, {"not to be shown", test_hostile}, CU_TEST_INFO_NULL};
    char dir[] = "/tmp/xf-names-XXXXXX";
    int rc;

    if (!mkdtemp(dir) || setenv(XF_RUN_DIR_ENV, dir, 1))
        return 2;
    rc = run_suite("names", tests);
    rmdir(dir);
    return rc;
}
