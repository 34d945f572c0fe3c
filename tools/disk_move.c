/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `xl disk-move`: a disk of a running guest goes to another image of this host. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/disk_move.h"
#include "tools/format.h"
#include "tools/show.h"
#include "transport/clock.h"
#include "transport/text.h"

#define EVERY_S 5 /* a line, where there is no terminal */

struct view {
    bool in_place;
    double shown;
};

static void print_progress(void *priv, const struct xf_disk_progress *p)
{
    char done[FMT_LEN], total[FMT_LEN], rate[FMT_LEN];
    struct view *v = priv;

    if (!v->in_place && xf_now() < v->shown + EVERY_S)
        return;
    v->shown = xf_now();
    fprintf(stderr, "%s%s %s of %s", v->in_place ? "\r" : "", p->verifies ? "comparing" : "copying",
            fmt_bytes(done, (double)p->done), fmt_bytes(total, (double)p->total));
    if (p->rate > 0)
        fprintf(stderr, ", %s/s", fmt_bytes(rate, p->rate));
    fputs(v->in_place ? "\033[K" : "\n", stderr);
    fflush(stderr);
}

static void clear(const struct view *v)
{
    if (v->in_place && v->shown > 0)
        fprintf(stderr, "\r\033[K");
}

/* A path of the operator's; it may hold anything. */
static const char *clean(char *path)
{
    xf_text_clean(path);
    return path;
}

static void print_moved(const struct xf_disk_move_opts *o, struct xf_disk_moved *m)
{
    char size[FMT_LEN], took[FMT_LEN], name[160], disk[40];

    xf_text_copy(name, sizeof(name), o->domain, strlen(o->domain));
    xf_text_copy(disk, sizeof(disk), o->vdev, strlen(o->vdev));
    printf("%s of %s is at %s now", disk, name, clean(m->to));
    if (m->finished_only)
        printf("; an earlier call had copied it.\n");
    else
        printf(" (%s in %s).\n", fmt_bytes(size, (double)m->size), fmt_duration(took, m->seconds));
    if (m->unverified)
        printf("Not compared, since the guest writes there all the time: %u parts of 256 KiB.\n",
               m->unverified);
    if (m->kept[0])
        printf("The old image is kept as %s.\n", clean(m->kept));
    printf("In the file that %s is created from, replace %s by that path; xl does not change it.\n",
           name, clean(m->from));
}

int cmd_disk_move(const struct front *f)
{
    struct view view = {.in_place = isatty(STDERR_FILENO) || f->globals.cr};
    enum xf_disk_outcome outcome = XF_DISK_REFUSED;
    struct xf_disk_moved moved;
    struct disk_move_args args;
    struct xf_err err = {0};

    if (!disk_move_parse(f->argc - f->cmd, f->argv + f->cmd, &args, &err)) {
        if (args.help) {
            disk_move_help(stdout);
            return 0;
        }
        args.move.cancel = show_catch_signals();
        args.move.progress = print_progress;
        args.move.priv = &view;
        outcome = xf_disk_move(&args.move, &moved, &err);
        clear(&view);
        if (outcome == XF_DISK_MOVED)
            print_moved(&args.move, &moved);
    }
    if (outcome != XF_DISK_MOVED)
        front_error("disk-move", &err);
    return (int)outcome;
}
