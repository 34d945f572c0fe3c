/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The value of `xl migrate --detach-pci`: see pci_option.h. */
#include "tools/pci_option.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libxl-ext/host/pci_addr.h"

static const char pointer[] = "(xl migrate --help lists the options)";

int pci_option_take(const char *value, struct xf_move_opts *o, struct xf_err *err)
{
    struct xf_pci_pair pair = {0};
    char here[40];
    const char *there = value ? strchr(value, '=') : NULL;

    o->detach_pci = true;
    if (!value)
        return 0;
    if (!strcmp(value, "none")) {
        o->pci_none = true;
        return 0;
    }
    snprintf(here, sizeof(here), "%.*s", there ? (int)(there - value) : 0, value);
    if (!there || !xf_pci_addr(here, pair.here) ||
        (strcmp(there + 1, "none") != 0 && !xf_pci_addr(there + 1, pair.there)))
        return xf_fail(err, EINVAL,
                       "--detach-pci takes none, or two PCI addresses as in "
                       "0000:05:00.0=0000:06:00.0, the second of which may be none, not '%.60s' %s",
                       value, pointer);
    for (unsigned i = 0; i < o->nr_pci; i++)
        if (!strcmp(o->pci[i].here, pair.here) ||
            (pair.there[0] && !strcmp(o->pci[i].there, pair.there)))
            return xf_fail(err, EINVAL, "--detach-pci names %s twice %s",
                           strcmp(o->pci[i].here, pair.here) ? pair.there : pair.here, pointer);
    if (o->nr_pci == XF_PCI_MAX)
        return xf_fail(err, EINVAL, "--detach-pci names more than %u devices %s", XF_PCI_MAX,
                       pointer);
    o->pci[o->nr_pci++] = pair;
    return 0;
}
