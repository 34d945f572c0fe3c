/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a process guest's memory lies in: large pages where the machine has them, as QEMU's does (it
 * asks for them by madvise), without a setting of the whole machine. A tmpfs of its own that is
 * mounted nowhere says so for its files (Documentation/admin-guide/mm/transhuge.rst, "huge=");
 * that needs root. Else a memfd, whose pages are as /sys/kernel/mm/transparent_hugepage/
 * shmem_enabled says: 4 KiB by default.
 */
#ifndef XF_PG_MEMORY_H
#define XF_PG_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* "small": a memfd in any case, to measure both kinds. */
#define PG_PAGES_ENV "XENFERRY_TEST_PAGES"

/* A file without a name of so many bytes, all of it a hole; it is gone when it is closed and no
 * longer mapped. *large: a first touch may give it a large page. Returns -1 with errno. */
int pg_memory_open(uint64_t bytes, bool *large);

/* The part of the memory at `mem`, a mapping of this process with so many bytes, that lies in large
 * pages. Reads it, so that a hole gets a page. */
double pg_memory_large(const volatile uint8_t *mem, uint64_t bytes);

#endif
