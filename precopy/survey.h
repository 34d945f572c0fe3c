/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A look at a running guest that is not moved, for a forecast (forecast.h): how much it writes, and
 * what its pages are like. Changes nothing in the guest, and leaves the dirty log off. What it
 * costs the guest: the first write to each page while the log is on is trapped (xf_survey.written
 * of them), and Xen splits the large mappings that these are in.
 */
#ifndef XF_SURVEY_H
#define XF_SURVEY_H

#include "precopy/forecast.h"
#include "pages/vm.h"
#include "transport/speed.h"
#include "transport/tick.h"

struct xf_survey {
    uint64_t memory; /* pages of the guest */

    /* Of the dirty log. */
    double look_s;           /* how long it was on */
    uint64_t written;        /* pages that it named then */
    struct xf_growth growth; /* their number over that time */
    double log_read_s;       /* reading it once */

    /* Of a sample of the pages; all 0: none was taken. */
    unsigned sampled;
    double zero_part;                    /* of them, fraction */
    double map_s;                        /* mapping one and testing it for zeros, one thread */
    struct xf_pack_cost cost[XF_CODECS]; /* of those that are not zero */
};

/* Look at the log for `seconds`. The caller makes sure that nobody else uses it. -1: the log could
 * not be used, or the tick's error; the log is off. */
int xf_survey_look(struct xf_survey *s, struct xf_source_vm *vm, double seconds,
                   struct xf_tick tick, struct xf_err *err);

/* Read some pages spread over the guest's memory, and compress some of them with each of these
 * codecs (XF_CODEC_BIT()s). Takes some ten milliseconds of a processor. */
int xf_survey_sample(struct xf_survey *s, struct xf_source_vm *vm, unsigned codecs,
                     struct xf_err *err);

/* How the guest would be moved. */
struct xf_survey_plan {
    enum xf_mode mode;
    struct xf_policy policy;
    enum xf_compress compress;
    unsigned threads;   /* bulk channels, at most as many as there are processors */
    uint64_t bandwidth; /* as in xf_copy_opts */
    double suspend_s;   /* a guess */
};

/* The forecast from a survey and a measurement of the link, counted from the first round. Without
 * looks at the log, or a rate of the link, it is unknown. Pure. */
struct xf_forecast xf_survey_forecast(const struct xf_survey *s, const struct xf_speed *link,
                                      const struct xf_survey_plan *plan);

#endif
