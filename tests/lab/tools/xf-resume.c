// SPDX-License-Identifier: LGPL-2.1-or-later
// What `xl resume` of later versions does, and any program over libxl may do: resume a suspended
// domain as if its suspend had been cancelled, whoever suspended it.
//   xf-resume DOMID
#include <libxl.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    xentoollog_logger *log =
        (xentoollog_logger *)xtl_createlogger_stdiostream(stderr, XTL_ERROR, 0);
    libxl_ctx *ctx = NULL;

    if (argc != 2 || !log || libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, log)) {
        fprintf(stderr, "usage: xf-resume DOMID, on a dom0\n");
        return 2;
    }
    int rc = libxl_domain_resume(ctx, (uint32_t)atoi(argv[1]), 1, NULL);
    libxl_ctx_free(ctx);
    xtl_logger_destroy(log);
    return rc ? 1 : 0;
}
