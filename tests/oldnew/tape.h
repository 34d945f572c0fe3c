/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What two builds said to each other, kept: record.c makes such a tape, tests/unit/test_old_peer.c
 * plays one end of it to today's code. A tape is a row of pieces in the order in which they passed
 * a relay between the two: u8 channel (0 control, 1 bulk), u8 who (0 source, 1 sink), u32 length
 * (host order, as the tape is of this machine's kind), bytes. Of TLS it holds what was inside.
 *
 * The guest is tests/unit/fake_vm.h's, with holes that leave it 23 pages.
 */
#ifndef XF_TAPE_H
#define XF_TAPE_H

#include "tests/unit/fake_vm.h"

#undef FAKE_HOLE1
#undef FAKE_HOLE2
#undef FAKE_HOLE2_LEN
#undef FAKE_SPARE
#define FAKE_HOLE1 4u
#define FAKE_HOLE2 108u
#define FAKE_HOLE2_LEN 4880u
#define FAKE_SPARE 120u /* in it */

#define TAPE_CHANNELS 2u /* of the link: control and one bulk channel */
#define TAPE_PIECE_MAX (1u << 16)

struct tape_head {
    uint8_t chan, from_sink;
    uint32_t len;
} __attribute__((packed));

#endif
