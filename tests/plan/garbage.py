#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""garbage.py PROGRAM SEED...: the planner's reader of a host's answers (READ_HOST, a program of awk)
over answers with random damage. Whatever they are, what it says of them has its form."""

import os
import random
import re
import subprocess
import sys
import tempfile

INFO = b"""host                   : h1.example
nr_cpus                : 8
hw_caps                : bfebfbff:77faf3ff:2c100800:00000121
total_memory           : 32768
free_memory            : 8000
"""
LIST = b"""1000.50 1.00
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0  1024     2     r-----     100.0
web1                                         1  4096     4     -b----    1000.0
web2--incoming                               2  4096     1     --p---       0.0
a name                                       3   512     1     r-----      10.0
"""
N = r"[0-9]{1,15}(\.[0-9]+)?"
TEXT = r"[ -~]{0,110}"
FORMS = {
    "H": rf"H\t7\t{N}\t{N}\t{N}\t{N}\t{N}\t[A-Za-z0-9][A-Za-z0-9._-]{{0,252}}\t([0-9a-f:]{{1,512}}|-)",
    "G": rf"G\t7\t{N}\t{N}\t{N}\t{TEXT}\t[ -~]{{0,64}}",
    "O": rf"O\t7\t{TEXT}\t[ -~]{{0,64}}",
    "M": r"M\t[ -~]{0,64}",
    "W": rf"W\t7\t{TEXT}",
    "B": rf"B\t7\t{TEXT}",
}
WORDS = [b"\t", b"\n", b"|", b"-", b"99999999999999999999", b"1e9", b"nan", b"\xff\xfe", b" ", b";reboot",
         b"Domain-0", b"--incoming", b"0", b"-1", b"x" * 5000]


def damaged(rng, text):
    text = bytearray(text)
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(text) + 1)
        how = rng.randrange(4)
        if how == 0:
            text[at:at] = rng.choice(WORDS)
        elif how == 1:
            del text[at:at + rng.randrange(40)]
        elif how == 2:
            text[at:at + 1] = bytes([rng.randrange(1, 256)])
        else:
            text[at:at] = text[:rng.randrange(200)]
        if not text:
            text = bytearray(b"\n")
    return bytes(text)


def main():
    program, where = sys.argv[1], tempfile.mkdtemp()
    kinds = dict.fromkeys(FORMS, 0)
    for seed in map(int, sys.argv[2:]):
        rng = random.Random(seed)
        for name, text in (("info", INFO), ("first", LIST),
                           ("second", LIST.replace(b"1000.50", b"1060.50"))):
            with open(f"{where}/{name}", "wb") as f:
                f.write(damaged(rng, text) + b"\t\n")
        words = [w for n in ("info", "first", "second") for w in (f"part={n}", f"{where}/{n}")]
        done = subprocess.run(["awk", "-v", "n=7", program, *words], stdout=subprocess.PIPE,
                              check=True, timeout=60, env={**os.environ, "LC_ALL": "C"})
        lines = done.stdout.decode("latin-1").split("\n")[:-1]
        for line in lines:
            if not re.fullmatch(FORMS.get(line[:1], "?!"), line):
                sys.exit(f"seed {seed}: {line!r}")
            kinds[line[0]] += 1
        if sum(line[0] in "HB" for line in lines) != 1:
            sys.exit(f"seed {seed}: neither read nor refused, or both: {lines!r}")
    missing = [k for k, n in kinds.items() if not n]
    if missing and len(sys.argv) > 100:
        sys.exit(f"never seen: {' '.join(missing)}")


if __name__ == "__main__":
    main()
