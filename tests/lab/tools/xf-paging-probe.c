// SPDX-License-Identifier: LGPL-2.1-or-later
// Says whether the running hypervisor has memory paging, without touching any
// domain: the call is aimed at a domain that cannot exist, so "no such domain"
// means the code is there and "not implemented" that it is not.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xenctrl.h>

int main(void)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    if (!xch) {
        perror("xf-paging-probe: no Xen here");
        return 2;
    }
    int rc = xc_mem_paging_prep(xch, 0x7FF4 /* DOMID_INVALID */, 0);
    int err = rc ? errno : 0;
    xc_interface_close(xch);
    if (err == ESRCH)
        puts("present");
    else if (err == ENOSYS)
        puts("absent");
    else
        printf("unknown (%s)\n", strerror(err));
    return err == ESRCH || err == ENOSYS ? 0 : 2;
}
