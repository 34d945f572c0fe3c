/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The limit of a guest's address space: see guest_size.h. */
#include "libxl-ext/xen/guest_size.h"

#include <errno.h>
#include <json-c/json.h>

#define KIB_OF_PAGE (XF_PAGE_SIZE / 1024)
#define BEYOND_GFNS (16ull << 30 >> 12)

uint64_t xf_gfn_limit(uint64_t max_kib)
{
    uint64_t pages = max_kib / KIB_OF_PAGE;

    if (pages > XF_GFN_MAX / 4) /* more than any Xen gives */
        pages = XF_GFN_MAX / 4;
    return 2 * pages + BEYOND_GFNS;
}

/* A number from the JSON; 0 if missing, since libxl omits members with default values. */
static int get_kib(json_object *info, const char *name, uint64_t *kib, struct xf_err *err)
{
    json_object *v;

    *kib = 0;
    if (!json_object_object_get_ex(info, name, &v))
        return 0;
    if (!json_object_is_type(v, json_type_int))
        return xf_fail(err, EPROTO, "the source's configuration has a %s that is not a number",
                       name);
    *kib = json_object_get_uint64(v);
    return 0;
}

int xf_config_max_kib(const char *json, uint64_t *max_kib, struct xf_err *err)
{
    json_object *top = json_tokener_parse(json), *info;
    uint64_t max, target, video;
    int rc = -1;

    if (!json_object_is_type(top, json_type_object) ||
        !json_object_object_get_ex(top, "b_info", &info) ||
        !json_object_is_type(info, json_type_object)) {
        xf_fail(err, EPROTO, "the source's configuration is not a libxl configuration");
    } else if (!get_kib(info, "max_memkb", &max, err) &&
               !get_kib(info, "target_memkb", &target, err) &&
               !get_kib(info, "video_memkb", &video, err)) {
        *max_kib = max > target ? max : target;
        if (video < UINT64_MAX - *max_kib)
            *max_kib += video;
        rc = 0;
    }
    json_object_put(top);
    return rc;
}

int xf_check_skeleton_size(const struct xf_skeleton *k, const char *json, uint64_t host_pages,
                           struct xf_err *err)
{
    uint64_t kib, limit;

    if (xf_config_max_kib(json, &kib, err))
        return -1;
    if (kib / KIB_OF_PAGE > host_pages)
        kib = host_pages * KIB_OF_PAGE;
    limit = xf_gfn_limit(kib);
    if (k->nr_gfns <= limit)
        return 0;
    return xf_fail(err, EFBIG,
                   "the guest's address space reaches to gfn 0x%llx, and the limit here for a "
                   "guest of %llu MiB is 0x%llx; shut the guest down and start it again",
                   (unsigned long long)k->nr_gfns - 1, (unsigned long long)(kib >> 10),
                   (unsigned long long)limit - 1);
}

#define GFN_4G (1ull << 20)
/* HVM_BELOW_4G_RAM_END, xen/include/public/hvm/e820.h */
#define RAM_END_GFN 0xf0000ull

void xf_hvm_ram(const libxl_domain_build_info *b, uint64_t *low, uint64_t *end)
{
    uint64_t max = b->max_memkb == LIBXL_MEMKB_DEFAULT ? 0 : b->max_memkb;
    uint64_t video = b->video_memkb == LIBXL_MEMKB_DEFAULT ? 0 : b->video_memkb;
    uint64_t hole = b->u.hvm.mmio_hole_memkb == LIBXL_MEMKB_DEFAULT ? 0 : b->u.hvm.mmio_hole_memkb;
    uint64_t ram = max > video ? (max - video) / KIB_OF_PAGE : 0, below = RAM_END_GFN;

    if (hole && hole / KIB_OF_PAGE < GFN_4G && GFN_4G - hole / KIB_OF_PAGE < below)
        below = GFN_4G - hole / KIB_OF_PAGE;
    *low = ram < below ? ram : below;
    *end = ram > below ? GFN_4G + ram - below : 0;
}
