/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK at the destination: can this host give the guest the processor that it knows? See check.h.
 * Xen itself refuses little, and silently clears the features that it cannot give. */
#include "libxl-ext/peer/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <xenguest.h>

#include "libxl-ext/xen/cpu_policy.h"

#define CODE "cpu-policy"
#define LACKS "the guest uses CPU features that this host lacks: "
/* Of names in one finding, so that the shorter remedy always fits behind them. */
#define NAMES 230u

/* The remedy, shorter if it would not fit behind the first part of a finding. */
static void add_remedy(struct xf_finding *x, const char *line)
{
    size_t len = strlen(x->text), left = sizeof(x->text) - len;
    int n =
        snprintf(x->text + len, left, "; restart it with %s, or with that added to its own", line);

    if (!line[0] || n < 0 || (size_t)n >= left)
        snprintf(x->text + len, left,
                 "; restart it with the cpuid= line that `xl migrate-cpu` prints for both hosts");
}

static void refuse(struct xf_findings *f, const char *what, const char *line)
{
    struct xf_finding x = {.severity = XF_REFUSAL};

    snprintf(x.code, sizeof(x.code), CODE);
    snprintf(x.text, sizeof(x.text), "%s", what);
    add_remedy(&x, line);
    xf_find_too(f, &x);
}

/* All of them, in as many findings as that takes. */
static void find_features(const struct xf_cpu_excess *x, const char *line, struct xf_findings *f)
{
    char what[sizeof(LACKS) + NAMES] = "", name[XF_CPU_NAME];

    for (unsigned n = 0; n < 32 * XF_CPU_WORDS; n++) {
        if (!(x->words[n / 32] >> n % 32 & 1))
            continue;
        xf_cpu_feature(n, name);
        if (what[0] && strlen(what) + strlen(name) + 2 >= sizeof(what)) {
            refuse(f, what, line);
            what[0] = 0;
        }
        snprintf(what + strlen(what), sizeof(what) - strlen(what), "%s%s", what[0] ? ", " : LACKS,
                 name);
    }
    if (what[0])
        refuse(f, what, line);
}

static void find_leaf(bool beyond, const char *which, uint32_t guest, uint32_t host,
                      const char *line, struct xf_findings *f)
{
    char what[160];

    if (!beyond)
        return;
    snprintf(what, sizeof(what), "the guest's highest %s is 0x%x and this host's is 0x%x", which,
             guest, host);
    refuse(f, what, line);
}

void xf_find_cpu(const char *vendor, const struct xf_cpu_level *guest, const struct xf_cpu *host,
                 struct xf_findings *f)
{
    char line[XF_CPU_LINE] = "";
    struct xf_cpu_excess x;
    struct xf_err why = {0};

    if (vendor[0] && host->vendor[0] && strcmp(vendor, host->vendor) != 0) {
        xf_find(f, XF_REFUSAL, "cpu-vendor",
                "the guest was booted on a processor of %s and this host has one of %s: a running "
                "guest cannot change between them; shut it down and start it there",
                vendor, host->vendor);
        return;
    }
    xf_cpu_compare(guest, &host->most, &x);
    if (!x.any)
        return;
    if (xf_cpu_line(&x, line, sizeof(line), &why))
        line[0] = 0;
    find_features(&x, line, f);
    find_leaf(x.leaf, "CPUID leaf", guest->leaf, x.limit.leaf, line, f);
    find_leaf(x.subleaf, "subleaf of CPUID leaf 7", guest->subleaf, x.limit.subleaf, line, f);
    find_leaf(x.extended, "extended CPUID leaf", guest->extended, x.limit.extended, line, f);
}

/* What Xen itself would refuse when the domain is built. */
static int ask_xen(xc_interface *xch, const struct xf_hello *hello, struct xf_findings *f,
                   struct xf_err *err)
{
    xc_cpu_policy_t *host = xc_cpu_policy_init(), *guest = xc_cpu_policy_init();
    int rc = 0;

    if (!host || !guest)
        rc = xf_fail(err, ENOMEM, "out of memory");
    else if (xc_cpu_policy_get_system(xch, XEN_SYSCTL_cpu_policy_hvm_max, host))
        rc = xf_fail(err, errno, "cannot read the CPU policy of this host: %s", strerror(errno));
    else if (xc_cpu_policy_update_cpuid(xch, guest, hello->cpuid,
                                        hello->cpuid_len / (uint32_t)sizeof(xen_cpuid_leaf_t)) ||
             xc_cpu_policy_update_msrs(xch, guest, hello->msrs,
                                       hello->msr_len / (uint32_t)sizeof(xen_msr_entry_t)) ||
             !xc_cpu_policy_is_compatible(xch, host, guest))
        xf_find(f, XF_REFUSAL, CODE,
                "Xen on this host rejects the guest's CPU policy; restart the guest with the "
                "cpuid= line that `xl migrate-cpu` prints for both hosts");
    if (host)
        xc_cpu_policy_destroy(host);
    if (guest)
        xc_cpu_policy_destroy(guest);
    return rc;
}

int xf_check_cpu(xc_interface *xch, const struct xf_hello *hello, struct xf_findings *f,
                 struct xf_err *err)
{
    char vendor[XF_CPU_VENDOR];
    struct xf_cpu_level guest;
    struct xf_cpu host;
    unsigned before = f->n;

    if (hello->cpuid_len % sizeof(xen_cpuid_leaf_t) || hello->msr_len % sizeof(xen_msr_entry_t))
        return xf_fail(err, EPROTO, "the source sent a CPU policy of an invalid length");
    if (xf_cpu_read(xch, &host, err))
        return -1;
    xf_cpu_of_policy(hello->cpuid, hello->cpuid_len, hello->msrs, hello->msr_len, &guest, vendor);
    xf_find_cpu(vendor, &guest, &host, f);
    return f->n == before ? ask_xen(xch, hello, f, err) : 0;
}
