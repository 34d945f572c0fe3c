/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The PCI devices in a hello: what the source sends, and what a hostile one may. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "libxl-ext/peer/hello.h"
#include "tests/unit/hello_seeds.h"
#include "tests/unit/suite.h"

static struct xf_hello hello;
static struct xf_err err;

/* The seed with this text as its field `pci`. */
static int with(const char *value)
{
    json_object *o = json_tokener_parse(SEED_HELLO);
    const char *text;
    int rc;

    json_object_object_add(o, "pci", json_tokener_parse(value));
    text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    xf_clear(&err);
    rc = xf_hello_parse(text, strlen(text), &hello, &err);
    xf_hello_free(&hello);
    json_object_put(o);
    return rc;
}

static void taken(const char *value)
{
    CU_ASSERT_EQUAL(with(value), 0);
}

static void refused(const char *value)
{
    if (with(value) != -1)
        fprintf(stderr, "it was taken: %.100s\n", value);
    CU_ASSERT_EQUAL(err.num, EPROTO);
}

/* As many as there may be, and the whole hello keeps to a frame. */
static void test_round_trip(void)
{
    static struct xf_hello h = {.domain = "web1", .channels = 1, .nr_pci = XF_PCI_MAX};
    char *json;

    for (unsigned i = 0; i < XF_PCI_MAX; i++) {
        h.pci[i] = (struct xf_pci_wish){.permissive = i & 1, .relaxed = i & 2};
        snprintf(h.pci[i].addr, XF_PCI_ADDR, "ffff:%02x:1f.7", i);
        snprintf(h.pci[i].of, XF_PCI_ADDR, "0000:00:%02x.0", i);
    }
    json = xf_hello_format(&h);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT(strlen(json) < 4096);
    CU_ASSERT_EQUAL(xf_hello_parse(json, strlen(json), &hello, &err), 0);
    CU_ASSERT(hello.nr_pci == XF_PCI_MAX && !memcmp(hello.pci, h.pci, sizeof(h.pci)));
    xf_hello_free(&hello);
    free(json);
}

#define PCI(addr, more) "{\"addr\":\"" addr "\",\"of\":\"0000:05:00.0\"," more "}"
#define FLAGS "\"permissive\":false,\"relaxed\":true"

static void test_pci(void)
{
    char many[4000] = "[";

    taken("[]");
    CU_ASSERT_EQUAL(hello.nr_pci, 0);
    taken("[" PCI("0000:06:00.0", FLAGS) "]");
    CU_ASSERT(hello.nr_pci == 1 && hello.pci[0].relaxed && !hello.pci[0].permissive);
    CU_ASSERT_STRING_EQUAL(hello.pci[0].addr, "0000:06:00.0");
    CU_ASSERT_STRING_EQUAL(hello.pci[0].of, "0000:05:00.0");
    refused("[" PCI("06:00.0", FLAGS) "]"); /* as the source writes it, or not at all */
    refused("[" PCI("0000:0A:00.0", FLAGS) "]");
    refused("[" PCI("0000:06:20.0", FLAGS) "]");
    refused("[" PCI("", FLAGS) "]");
    refused("[" PCI("0000:06:00.0/", FLAGS) "]");
    refused("[" PCI("0000:06:00.0", "\"permissive\":1,\"relaxed\":true") "]");
    refused("[" PCI("0000:06:00.0", "\"relaxed\":true") "]");
    refused("[" PCI("0000:06:00.0", FLAGS) "," PCI("0000:06:00.0", FLAGS) "]");
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "names a device twice"));
    refused("[{\"addr\":\"0000:06:00.0\"," FLAGS "}]");
    refused("[7]");
    for (unsigned i = 0; i <= XF_PCI_MAX; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many),
                 "%s{\"addr\":\"0000:%02x:00.0\",\"of\":\"0000:05:00.0\"," FLAGS "}", i ? "," : "",
                 i);
    strcat(many, "]");
    refused(many);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"there and back", test_round_trip}, {"what is refused", test_pci}, CU_TEST_INFO_NULL};

    return run_suite("hello, PCI devices", tests);
}
