/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The course of one move: see history.h. */
#include "libxl-ext/moves/history.h"

#include <string.h>

#define EVERY_S 0.2 /* at first */

/* Keep every other sample, the first among them, and those at which a phase began. */
static void thin_out(struct xf_history *h)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < h->nr; i++)
        if (i % 2 == 0 || h->samples[i].phase != h->samples[i - 1].phase)
            h->samples[kept++] = h->samples[i];
    h->nr = kept;
    h->every_s *= 2;
}

void xf_history_sample(struct xf_history *h, const struct xf_history_sample *s)
{
    const struct xf_history_sample *last = h->nr ? &h->samples[h->nr - 1] : NULL;

    if (h->every_s <= 0)
        h->every_s = EVERY_S;
    if (last && last->phase == s->phase && s->at_s < last->at_s + h->every_s)
        return;
    if (h->nr == XF_HISTORY_SAMPLES)
        thin_out(h);
    /* More changes of phase than room: there are six phases, in order, so that is no move. */
    if (h->nr < XF_HISTORY_SAMPLES)
        h->samples[h->nr++] = *s;
}

void xf_history_round(struct xf_history *h, const struct xf_history_round *r)
{
    if (h->nr_rounds && h->rounds[h->nr_rounds - 1].round == r->round)
        return;
    if (h->nr_rounds == XF_HISTORY_ROUNDS) {
        memmove(h->rounds, h->rounds + 1, (XF_HISTORY_ROUNDS - 1) * sizeof(*h->rounds));
        h->nr_rounds--;
    }
    h->rounds[h->nr_rounds++] = *r;
}
