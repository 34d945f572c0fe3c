/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A destination that knows the key and lies: wherever it does, the source says what it was told
 * and should not have been, and the guest stays where it is. The lies are inputs of the fuzz target
 * (fuzz_source.c), which also sees to it that the guest never runs twice.
 *
 * Each sentence in which the source accuses its peer has a row here, or in the test that
 * tests/accusations.sh names; that script fails for a sentence that has none.
 */
#include "tests/fuzz/fuzz_source.c"
#include "tests/fuzz/puppet.c"
#include "tests/fuzz/tiny_vm.c"

#include <unistd.h>

#include "tests/unit/suite.h"

#define NO_PULL (-1)
#define PRE 0
#define POST 2
#define ATTACH 3

static const struct row {
    const char *what;
    uint8_t len, lie[48]; /* as fuzz_source.c reads it */
    enum xf_switch_end end;
    int pull;
    const char *says;
} rows[] = {
    /* Before GO the guest goes on here. */
    {"another word for a target",
     5,
     {PRE, 0, 0, LIE_TYPE, XF_MSG_PONG},
     XF_SWITCH_BACK,
     NO_PULL,
     "the peer sent message 27 where 19 was due"},
    {"another word for the devices",
     5,
     {PRE, 0, 1, LIE_TYPE, XF_MSG_LOADED},
     XF_SWITCH_BACK,
     NO_PULL,
     "the peer sent message 21 where 41 was due"},
    {"another word for the state",
     5,
     {PRE, 0, 2, LIE_TYPE, XF_MSG_PONG},
     XF_SWITCH_BACK,
     NO_PULL,
     "the peer sent message 27 where 21 was due"},
    {"a payload with it",
     5,
     {PRE, 0, 2, LIE_PAYLOAD, 9},
     XF_SWITCH_BACK,
     NO_PULL,
     "message 21 must not have a payload, but has one of 9 bytes"},
    {"running before GO",
     6,
     {PRE, 0, 3, LIE_RAW, XF_MSG_RUNNING, 0},
     XF_SWITCH_BACK,
     NO_PULL,
     "the destination reports that the guest runs before GO was sent"},
    {"another word for a sync",
     5,
     {PRE, 1, 0, LIE_TYPE, XF_MSG_TAKEN},
     XF_SWITCH_BACK,
     NO_PULL,
     "the destination answered a sync with message "},
    {"another sync",
     5,
     {PRE, 1, 0, LIE_FLIP, 1},
     XF_SWITCH_BACK,
     NO_PULL,
     "the destination confirmed sync "},
    {"another last sync",
     5,
     {PRE, 1, 2, LIE_FLIP, 1},
     XF_SWITCH_BACK,
     NO_PULL,
     "the destination confirmed sync "},
    {"another number of pages",
     5,
     {PRE, 1, 0, LIE_FLIP, 64},
     XF_SWITCH_BACK,
     NO_PULL,
     "the destination has taken "},
    {"another last number of pages",
     5,
     {PRE, 1, 2, LIE_FLIP, 70},
     XF_SWITCH_BACK,
     NO_PULL,
     "the destination has taken "},
    {"half a sync", 5, {PRE, 1, 0, LIE_SHORT, 8}, XF_SWITCH_BACK, NO_PULL, "a sync "},
    {"another word for absent pages",
     5,
     {POST, 0, 2, LIE_TYPE, XF_MSG_MISSING},
     XF_SWITCH_BACK,
     NO_PULL,
     "the peer sent message 36 where 29 was due"},
    {"absent pages that are none",
     30,
     {POST, 0, 2, LIE_RAW, XF_MSG_ABSENT_ACK,
      24,   1, 0, 0,       0,
      1,    0, 0, 0,       200,
      0,    0, 0, 0,       0,
      0,    0, 1, 0,       0,
      0,    0, 0, 0,       0},
     XF_SWITCH_BACK,
     NO_PULL,
     " of a set of pages, "},
    {"half a set", 5, {POST, 0, 2, LIE_SHORT, 3}, XF_SWITCH_BACK, NO_PULL, "a set of pages "},
    {"it failed",
     12,
     {PRE, 0, 1, LIE_RAW, XF_MSG_ERROR, 6, 5, 0, 0, 0, 'n', 'o'},
     XF_SWITCH_BACK,
     NO_PULL,
     "a text "},

    /* After GO it may run there. */
    {"another word for GO",
     5,
     {PRE, 0, 3, LIE_TYPE, XF_MSG_PONG},
     XF_SWITCH_UNKNOWN,
     NO_PULL,
     "the peer sent message 27 where 23 was due"},
    {"gone before GO", 5, {PRE, 0, 3, LIE_CLOSE, 0}, XF_SWITCH_BACK, NO_PULL, "closed"},

    /* In PULL it does. */
    {"no request",
     5,
     {POST, URGENT, 0, LIE_TYPE, XF_MSG_PULLED},
     XF_SWITCHED,
     XF_PULL_LOST,
     "the destination sent message 33 on the urgent channel"},
    {"a page that it had",
     5,
     {POST, URGENT, 0, LIE_FLIP, 64},
     XF_SWITCHED,
     XF_PULL_LOST,
     "the destination asked for gfn 0x"},
    {"a page that is none",
     5,
     {POST, URGENT, 0, LIE_FLIP, 72},
     XF_SWITCHED,
     XF_PULL_LOST,
     "was asked for, beyond the guest's"},
    {"no TAKEN",
     5,
     {POST, 1, 2, LIE_TYPE, XF_MSG_SYNC_ACK},
     XF_SWITCHED,
     XF_PULL_LOST,
     "the destination answered a push with message "},
    {"another word in PULL",
     5,
     {POST, 0, 5, LIE_TYPE, XF_MSG_PONG},
     XF_SWITCHED,
     XF_PULL_FAILED,
     "the destination sent message 27 during PULL"},
    {"half of how far it is",
     5,
     {POST, 0, 5, LIE_SHORT, 8},
     XF_SWITCHED,
     XF_PULL_FAILED,
     "numbers"},
    {"a new process, another word",
     5,
     {ATTACH, 0, 0, LIE_TYPE, XF_MSG_PULLED},
     0,
     NO_PULL,
     "the peer sent message 33 where 36 was due"},
    {"a new process, no pages",
     5,
     {ATTACH, 0, 0, LIE_FLIP, 8 * 9},
     0,
     NO_PULL,
     " of a set of pages, "},
};

static void test_lies(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        bool good;

        fuzz.end = 0;
        xf_clear(&fuzz.err);
        LLVMFuzzerTestOneInput(r->lie, r->len);
        good = fuzz.end == r->end && fuzz.pull == r->pull && strstr(fuzz.err.text, r->says);
        CU_ASSERT(good);
        if (!good)
            fprintf(stderr, "%s: end %d, pull %d: %s\n", r->what, fuzz.end, fuzz.pull,
                    fuzz.err.text);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"lies of a destination", test_lies},
        CU_TEST_INFO_NULL,
    };

    alarm(390);
    return run_suite("a destination that lies", tests);
}
