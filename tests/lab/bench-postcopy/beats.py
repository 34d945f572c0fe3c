# SPDX-License-Identifier: LGPL-2.1-or-later
"""The heartbeats of a watch (`lab watch stop`: ARRIVAL_NS HOST GUEST SEQ GUEST_NS, docs/lab.md)
as a clock: when it was, outside, that the guest's own clock said so, and when it changed hosts.

    beats.py BEATS PULL_S    prints the guest's times in ns from the switch to the end of PULL
"""

import bisect
import sys


class Beats:
    def __init__(self, path):
        first = {}  # both console daemons may read a line: the first arrival counts
        with open(path, encoding="ascii") as f:
            for line in f:
                word = line.split()
                if len(word) == 5:
                    first.setdefault(int(word[3]), (int(word[0]), word[1], int(word[4])))
        rows, last = [], -1
        for seq in sorted(first):
            at, host, guest = first[seq]
            if at > last:  # one that overtook another says nothing new
                rows.append((at, host, guest))
                last = at
        if len(rows) < 2:
            raise SystemExit(f"{path}: too few heartbeats; did the guest run?")
        self.at = [r[0] for r in rows]
        self.guest = [r[2] for r in rows]
        moved = [i for i, r in enumerate(rows) if r[1] != rows[0][1]]
        if not moved:
            raise SystemExit(f"{path}: the guest beat on one host only: it did not move")
        self.first_there = moved[0]

    @property
    def switch_ns(self):
        """Outside, of the last sign of life at the source."""
        return self.at[self.first_there - 1]

    def guest_at(self, at):
        """The guest's clock when it was `at` outside. It stands still between two hosts."""
        return interpolate(self.at, self.guest, at)


def interpolate(xs, ys, x):
    """Along straight lines from point to point; beyond the ends as at the ends."""
    i = bisect.bisect_right(xs, x)
    if i == 0 or i == len(xs):
        return ys[min(i, len(xs) - 1)]
    part = (x - xs[i - 1]) / (xs[i] - xs[i - 1])
    return ys[i - 1] + part * (ys[i] - ys[i - 1])


def main():
    if len(sys.argv) != 3:
        raise SystemExit("usage: beats.py BEATS PULL_S")
    b = Beats(sys.argv[1])
    start = b.at[b.first_there]
    end = start + int(float(sys.argv[2]) * 1e9)
    print(b.guest[b.first_there], int(b.guest_at(end)))


if __name__ == "__main__":
    main()
