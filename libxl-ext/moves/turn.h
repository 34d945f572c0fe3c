/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose turn it is to ask a destination that has no slot free. Each question costs both hosts a
 * login, so of the moves of this host that wait for the same destination only one asks again: the
 * holder of a file of the run directory (turn.<hash of the host's name>), by flock(2), which the
 * kernel gives back when its process dies. It asks until it has been accepted or refused for
 * another reason, and the next one takes over.
 *
 * No move holds a slot while it waits for its turn, and who has the turn may wait for a slot: those
 * who hold slots never wait for a turn. Nothing depends on a turn but the number of questions.
 *
 * Any thread; no state but the files.
 */
#ifndef XF_TURN_H
#define XF_TURN_H

/* The turn towards `host` (as the operator named it), not taken yet: a descriptor for the others;
 * -1: the run directory cannot be used, and everybody asks. */
int xf_turn_open(const char *host);
/* Take it. Does not block. 0: taken. -1: another process has it. fd < 0: always taken. */
int xf_turn_take(int fd);
/* Give it back, if it was taken, and close. *fd < 0: does nothing. */
void xf_turn_end(int *fd);

#endif
