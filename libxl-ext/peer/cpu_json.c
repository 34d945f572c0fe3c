/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a processor offers, as JSON: see cpu_json.h. */
#include "libxl-ext/peer/cpu_json.h"

#include <stdio.h>
#include <string.h>

#define DIGITS 8u /* of a word */

static json_object *level(const struct xf_cpu_level *l)
{
    char hex[DIGITS * XF_CPU_WORDS + 1];
    json_object *o = json_object_new_object();

    for (unsigned w = 0; w < XF_CPU_WORDS; w++)
        snprintf(hex + DIGITS * w, DIGITS + 1, "%08x", l->words[w]);
    json_object_object_add(o, "leaf", json_object_new_int64(l->leaf));
    json_object_object_add(o, "subleaf", json_object_new_int64(l->subleaf));
    json_object_object_add(o, "extended", json_object_new_int64(l->extended));
    json_object_object_add(o, "features", json_object_new_string(hex));
    return o;
}

json_object *xf_cpu_to_json(const struct xf_cpu *cpu)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "vendor", json_object_new_string(cpu->vendor));
    json_object_object_add(o, "most", level(&cpu->most));
    json_object_object_add(o, "usual", level(&cpu->usual));
    return o;
}

/* Words that are missing at the end are 0, as of an older Xen. */
static int get_words(const struct xf_json *j, uint32_t words[XF_CPU_WORDS])
{
    size_t len;
    const char *hex = xf_json_string(j, "features", DIGITS * XF_CPU_WORDS + 1, &len);

    if (!hex)
        return -1;
    if (len % DIGITS || len != strspn(hex, "0123456789abcdef"))
        return xf_json_bad(j, "features", "is not made of words of 8 hexadecimal digits");
    for (size_t i = 0; i < len; i++) {
        uint32_t digit = (uint32_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);

        words[i / DIGITS] = words[i / DIGITS] << 4 | digit;
    }
    return 0;
}

static int get_level(const struct xf_json *j, const char *name, struct xf_cpu_level *out)
{
    struct xf_json v;
    int64_t leaf, subleaf, extended;

    if (xf_json_object(j, name, &v) || xf_json_number(&v, "leaf", 0, 0x7fffffff, &leaf) ||
        xf_json_number(&v, "subleaf", 0, UINT32_MAX, &subleaf) ||
        xf_json_number(&v, "extended", 0, UINT32_MAX, &extended) || get_words(&v, out->words))
        return -1;
    out->leaf = (uint32_t)leaf;
    out->subleaf = (uint32_t)subleaf;
    out->extended = (uint32_t)extended;
    return 0;
}

int xf_cpu_from_json(const struct xf_json *j, struct xf_cpu *out)
{
    memset(out, 0, sizeof(*out));
    if (xf_json_word(j, "vendor", out->vendor, sizeof(out->vendor)) ||
        get_level(j, "most", &out->most))
        return -1;
    return get_level(j, "usual", &out->usual);
}
