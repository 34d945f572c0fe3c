/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a configuration needs of its host, and a host that lacks it: every kind of thing is found to
 * be missing, all at once, and nothing that is there is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "libxl-ext/peer/needs.h"
#include "tests/unit/suite.h"

static char top[] = "/tmp/xf-needs-XXXXXX", scripts[64], net[64];
static struct xf_host_paths paths = {.scripts = scripts, .net = net};
static struct xf_findings f;
static struct xf_need *list;
static unsigned n;

int libxl_name_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    (void)ctx;
    *domid = 3;
    return strcmp(name, "netvm") ? ERROR_INVAL : 0;
}

/* A file of this test's host; its path until the next call but three. */
static const char *at(const char *name)
{
    static char path[4][100];
    static unsigned i;

    i = (i + 1) % 4;
    snprintf(path[i], sizeof(path[i]), "%s/%s", top, name);
    return path[i];
}

static void make(const char *name, mode_t mode)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    CU_ASSERT_FATAL(fd >= 0);
    fchmod(fd, mode);
    close(fd);
}

static void make_host(void)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(top));
    snprintf(scripts, sizeof(scripts), "%s/scripts", top);
    snprintf(net, sizeof(net), "%s/net", top);
    mkdir(scripts, 0700);
    mkdir(net, 0700);
    mkdir(at("net/xenbr0"), 0700);
    mkdir(at("net/eth1"), 0700);
    mkdir(at("net/eth1/bridge"), 0700);
    mkdir(at("net/eth2"), 0700);
    make("scripts/vif-bridge", 0700);
    make("scripts/block-iscsi", 0700);
    make("scripts/no-exec", 0600);
    make("disk.img", 0600);
    make("vmlinuz", 0600);
}

static unsigned found(const char *code, enum xf_severity severity)
{
    unsigned is = 0;

    for (unsigned i = 0; i < f.n; i++)
        is += !strcmp(f.list[i].code, code) && f.list[i].severity == severity;
    return is;
}

static void check(void)
{
    memset(&f, 0, sizeof(f));
    xf_check_needs(NULL, &paths, list, n, &f);
}

static void check_one(enum xf_need_kind kind, const char *what)
{
    struct xf_need one = {.kind = kind, .of = "it"};

    snprintf(one.what, sizeof(one.what), "%s", what);
    memset(&f, 0, sizeof(f));
    xf_check_needs(NULL, &paths, &one, 1, &f);
}

static bool lists(enum xf_need_kind kind, const char *what, const char *of)
{
    for (unsigned i = 0; i < n; i++)
        if (list[i].kind == kind && !strcmp(list[i].what, what) && !strcmp(list[i].of, of))
            return true;
    return false;
}

/* What libxl makes of a configuration; what is not said is as libxl's own defaults. */
static libxl_device_disk disks[5];
static libxl_device_nic nics[4];
static libxl_domain_config config;

static void make_config(void)
{
    memset(&config, 0, sizeof(config));
    for (unsigned i = 0; i < 5; i++)
        libxl_device_disk_init(&disks[i]);
    for (unsigned i = 0; i < 4; i++)
        libxl_device_nic_init(&nics[i]);
    disks[0].vdev = "xvda";
    disks[0].pdev_path = "/dev/vg/web";
    disks[1].vdev = "xvdb";
    disks[1].pdev_path = "iqn.2001-05.com.example";
    disks[1].script = "block-iscsi";
    disks[2].vdev = "xvdc";
    disks[2].format = LIBXL_DISK_FORMAT_EMPTY;
    disks[3].vdev = "xvdd";
    disks[3].pdev_path = "/dev/of-another-domain";
    disks[3].backend_domname = "storage";
    disks[4].vdev = "xvde";
    disks[4].pdev_path = "/dev/of-another-domain";
    disks[4].backend_domid = 4;
    nics[0].devid = 0;
    nics[0].bridge = "xenbr0";
    nics[0].script = "/etc/xen/scripts/vif-bridge";
    nics[1].devid = 1;
    nics[1].bridge = "ovs0.17";
    nics[1].script = "vif-openvswitch";
    nics[2].devid = 2;
    nics[2].bridge = "xenbr2";
    nics[3].bridge = "xenbr0";
    nics[3].backend_domname = "netvm";
    config.disks = disks;
    config.num_disks = 5;
    config.nics = nics;
    config.num_nics = 4;
    config.b_info.kernel = "/boot/vmlinuz";
    config.b_info.ramdisk = "/boot/initrd";
    config.b_info.bootloader = "pygrub"; /* libxl knows where */
}

static void test_list(void)
{
    struct xf_err err = {0};

    make_config();
    memset(&f, 0, sizeof(f));
    CU_ASSERT_EQUAL_FATAL(xf_needs_of(&config, &list, &n, &f, &err), 0);
    CU_ASSERT(lists(XF_NEED_DISK, "/dev/vg/web", "disk xvda"));
    CU_ASSERT(lists(XF_NEED_SCRIPT, "block-iscsi", "disk xvdb"));
    CU_ASSERT(lists(XF_NEED_BACKEND, "storage", "disk xvdd"));
    CU_ASSERT(lists(XF_NEED_SCRIPT, "/etc/xen/scripts/vif-bridge", "network interface 0"));
    CU_ASSERT(lists(XF_NEED_BRIDGE, "xenbr0", "network interface 0"));
    CU_ASSERT(lists(XF_NEED_SCRIPT, "vif-openvswitch", "network interface 1"));
    CU_ASSERT(lists(XF_NEED_SCRIPT, "vif-bridge", "network interface 2"));
    CU_ASSERT(lists(XF_NEED_BRIDGE, "xenbr2", "network interface 2"));
    CU_ASSERT(lists(XF_NEED_BACKEND, "netvm", "network interface 3"));
    CU_ASSERT(lists(XF_NEED_BOOT, "/boot/vmlinuz", "kernel"));
    CU_ASSERT(lists(XF_NEED_BOOT, "/boot/initrd", "ramdisk"));
    CU_ASSERT_EQUAL(n, 11);
    CU_ASSERT_EQUAL(f.n, 0);
    free(list);

    /* A device model reads them when it starts. */
    config.b_info.type = LIBXL_DOMAIN_TYPE_HVM;
    CU_ASSERT_EQUAL_FATAL(xf_needs_of(&config, &list, &n, &f, &err), 0);
    CU_ASSERT(lists(XF_NEED_START, "/boot/vmlinuz", "kernel"));
    CU_ASSERT(lists(XF_NEED_START, "/boot/initrd", "ramdisk"));
    CU_ASSERT_EQUAL(n, 11);
    free(list);
    libxl_defbool_set(&config.b_info.dm_restrict, true);
    CU_ASSERT_EQUAL_FATAL(xf_needs_of(&config, &list, &n, &f, &err), 0);
    CU_ASSERT(n == 12 && lists(XF_NEED_USER, "xen-qemuuser-range-base", "dm_restrict=1"));
    free(list);
    config.b_info.device_model_user = (char[]){"qemu"};
    CU_ASSERT_EQUAL_FATAL(xf_needs_of(&config, &list, &n, &f, &err), 0);
    CU_ASSERT(n == 12 && lists(XF_NEED_USER, "qemu", "device_model_user="));
    free(list);
    config.b_info.device_model_user = NULL;
    libxl_defbool_set(&config.b_info.dm_restrict, false);
    config.b_info.type = LIBXL_DOMAIN_TYPE_PVH;
}

/* What does not fit, or would not be taken by the other side, is said and not cut. */
static void test_left_out(void)
{
    static libxl_device_disk many[XF_NEEDS_MAX + 2];
    struct xf_err err = {0};
    char longest[600];

    memset(longest, 'x', sizeof(longest) - 1);
    longest[0] = '/';
    longest[sizeof(longest) - 1] = 0;
    make_config();
    disks[0].pdev_path = longest;
    nics[0].bridge = "a\nb";
    memset(&f, 0, sizeof(f));
    CU_ASSERT_EQUAL_FATAL(xf_needs_of(&config, &list, &n, &f, &err), 0);
    CU_ASSERT(n == 9 && found("not-looked-for", XF_WARNING) == 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.list[0].text, "2 files"));
    free(list);
    for (unsigned i = 0; i < XF_NEEDS_MAX + 2; i++) {
        libxl_device_disk_init(&many[i]);
        many[i].pdev_path = "/dev/x";
    }
    memset(&config, 0, sizeof(config));
    config.disks = many;
    config.num_disks = XF_NEEDS_MAX + 2;
    memset(&f, 0, sizeof(f));
    CU_ASSERT_EQUAL_FATAL(xf_needs_of(&config, &list, &n, &f, &err), 0);
    CU_ASSERT(n == XF_NEEDS_MAX && found("not-looked-for", XF_WARNING) == 1);
    free(list);
}

/* All blockers at once. */
static void test_all_missing(void)
{
    struct xf_err err = {0};

    make_config();
    memset(&f, 0, sizeof(f));
    CU_ASSERT_EQUAL_FATAL(xf_needs_of(&config, &list, &n, &f, &err), 0);
    for (unsigned i = 0; i < n; i++)
        if (!strcmp(list[i].what, "/etc/xen/scripts/vif-bridge"))
            strcpy(list[i].what, "vif-bridge");
    rename(at("scripts"), at("scripts.away"));
    check();
    rename(at("scripts.away"), at("scripts"));
    CU_ASSERT_EQUAL(found("disk-missing", XF_REFUSAL), 1);
    CU_ASSERT_EQUAL(found("script-missing", XF_REFUSAL), 4);
    CU_ASSERT_EQUAL(found("bridge-missing", XF_REFUSAL), 1);  /* eth2 is none */
    CU_ASSERT_EQUAL(found("backend-missing", XF_REFUSAL), 1); /* netvm runs */
    CU_ASSERT_EQUAL(found("kernel-missing", XF_WARNING), 2);
    CU_ASSERT_EQUAL(f.n, 9);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.list[0].text, "disk xvda: \"/dev/vg/web\""));
    free(list);
}

static void test_here(void)
{
    static const struct {
        enum xf_need_kind kind;
        const char *what;
    } odd[] = {{XF_NEED_DISK, "/tmp"}, {XF_NEED_DISK, "zero"}},
      good[] = {{XF_NEED_BRIDGE, "xenbr0"},
                {XF_NEED_BRIDGE, "xenbr1"},
                {XF_NEED_SCRIPT, "vif-bridge"},
                {XF_NEED_SCRIPT, "block-iscsi"},
                {XF_NEED_BACKEND, "netvm"}},
      bad[] = {{XF_NEED_DISK, "no/such/device"},
               {XF_NEED_BRIDGE, "xenbr2"},
               {XF_NEED_BRIDGE, ".."},
               {XF_NEED_BRIDGE, "../net/xenbr0"},
               {XF_NEED_BRIDGE, "a-name-that-is-none"},
               {XF_NEED_BRIDGE, "xenbr/../../net/"},
               {XF_NEED_SCRIPT, "no-exec"},
               {XF_NEED_SCRIPT, "."},
               {XF_NEED_BACKEND, "storage"}};

    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        check_one(good[i].kind, good[i].what);
        CU_ASSERT_EQUAL(f.n, 0);
    }
    for (unsigned i = 0; i < 2; i++) { /* a directory; a character device, looked for in /dev */
        check_one(odd[i].kind, odd[i].what);
        CU_ASSERT_EQUAL(found("disk-missing", XF_REFUSAL), 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(f.list[0].text, "neither a file nor a block device"));
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        check_one(bad[i].kind, bad[i].what);
        CU_ASSERT_EQUAL(f.n, 1);
    }
    check_one(XF_NEED_DISK, at("disk.img"));
    CU_ASSERT_EQUAL(f.n, 0);
    check_one(XF_NEED_SCRIPT, at("scripts/vif-bridge"));
    CU_ASSERT_EQUAL(f.n, 0);
    check_one(XF_NEED_BOOT, at("vmlinuz"));
    CU_ASSERT_EQUAL(f.n, 0);
    check_one(XF_NEED_START, at("vmlinuz"));
    CU_ASSERT_EQUAL(f.n, 0);
    check_one(XF_NEED_BOOT, at("missing"));
    CU_ASSERT(f.n == 1 && f.list[0].severity == XF_WARNING);
    check_one(XF_NEED_START, at("missing"));
    CU_ASSERT(f.n == 1 && f.list[0].severity == XF_REFUSAL);
    CU_ASSERT_STRING_EQUAL(f.list[0].code, "kernel-missing");
    check_one(XF_NEED_USER, "root");
    CU_ASSERT_EQUAL(f.n, 0);
    check_one(XF_NEED_USER, "no-such-user");
    CU_ASSERT(f.n == 1 && f.list[0].severity == XF_REFUSAL);
    CU_ASSERT_STRING_EQUAL(f.list[0].code, "user-missing");
}

/* A longest name of a thing leaves the sentence whole enough to be a sentence's beginning, and
 * nobody's memory is written over. */
static void test_long(void)
{
    struct xf_need one = {.kind = XF_NEED_DISK};

    memset(one.what, 'x', sizeof(one.what) - 1);
    memset(one.of, 'o', sizeof(one.of) - 1);
    for (int k = 0; k < XF_NEEDS; k++) {
        one.kind = (enum xf_need_kind)k;
        memset(&f, 0, sizeof(f));
        xf_check_needs(NULL, &paths, &one, 1, &f);
        CU_ASSERT(f.n == 1 && strlen(f.list[0].text) < sizeof(f.list[0].text));
    }
}

static void test_words(void)
{
    CU_ASSERT_STRING_EQUAL(xf_need_word(XF_NEED_BOOT), "boot");
    for (int k = 0; k < XF_NEEDS; k++)
        CU_ASSERT_PTR_NOT_NULL(xf_need_word((enum xf_need_kind)k));
    CU_ASSERT_PTR_NULL(xf_need_word(XF_NEEDS));
}

int main(void)
{
    CU_TestInfo tests[] = {{"a host is made", make_host},
                           {"what a configuration needs", test_list},
                           {"what is not looked for is said", test_left_out},
                           {"all that is missing, at once", test_all_missing},
                           {"what is there and what is not", test_here},
                           {"longest names", test_long},
                           {"words", test_words},
                           CU_TEST_INFO_NULL};
    char command[100];
    int rc;

    rc = run_suite("needs", tests);
    snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command) || rc; /* NOLINT(cert-env33-c): our own directory */
}
