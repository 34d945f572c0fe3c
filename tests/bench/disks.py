#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that moves, at native speed, without Xen: a real QEMU with a writer in the guest's place, two
network namespaces, our relays and verification; against `qemu-img convert` of the same image to the
same server over the same line. Writes build/bench/disks.json, whose `targets` say what is required.

  BENCH_MIB=4096    size of the image, half of which is data
  BENCH_RUNS=3      the median of each figure counts
  BENCH_ONLY=REGEX  of veth/plain, veth/encrypted, 1g/plain, 1g/encrypted
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import race_net

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = f"{TOP}/build/bench/disks.json"
PROGRAM = f"{TOP}/build/tests/bench/disk_bench"
MIB = 1 << 20
PORT = 10809
POLL_S = 0.02  # between two looks at a job
LIMIT_S = 1800


def inside(side, *words):
    return ["ip", "netns", "exec", race_net.NETNS[side], *words]


def make_image(path, mib):
    with open(path, "wb") as f:
        for _ in range(mib // 2):
            f.write(os.urandom(4096) * 256)
        f.truncate(mib * MIB)


def convert(source, mib):
    """Seconds of qemu-img convert to a qemu-nbd on the other side."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
        copy = f"{d}/copy.img"
        with open(copy, "wb") as f:
            f.truncate(mib * MIB)
        server = subprocess.Popen(inside(1, "qemu-nbd", "-b", race_net.ADDRESSES[1], "-p", str(PORT),
                                         "--format=raw", "--export-name=xvda", "--shared=4",
                                         "--cache=none", "--discard=unmap", "--persistent", copy))
        url = f"nbd://{race_net.ADDRESSES[1]}:{PORT}/xvda"
        for _ in range(200):  # until it listens
            if subprocess.run(inside(0, "qemu-img", "info", url), capture_output=True,
                              check=False).returncode == 0:
                break
            time.sleep(0.05)
        began = time.monotonic()
        subprocess.run(inside(0, "qemu-img", "convert", "-n", "--target-is-zero", "-f", "raw", "-O",
                              "raw", source, url), check=True, timeout=LIMIT_S)
        took = time.monotonic() - began
        server.terminate()
        server.wait()
        return took


def mirror(mib, cipher):
    with tempfile.NamedTemporaryFile() as told:
        try:
            done = subprocess.run([PROGRAM, race_net.path(0), race_net.path(1),
                                   race_net.ADDRESSES[1], str(mib), cipher, told.name],
                                  stdout=sys.stderr, timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            print(f"it did not end within {LIMIT_S} s", file=sys.stderr)
            return None
        if done.returncode:
            return None
        return json.load(told)


def median(runs, key):
    good = [r[key] for r in runs if r]
    return statistics.median(good) if good and len(good) == len(runs) else None


def row(figure, where, ours, other, bound, least, against):
    ratio = ours / other if ours is not None and other else None
    met = ratio is not None and (ratio >= bound if least else ratio <= bound)
    return {"figure": figure, "where": where, "ours": ours, "other": other, "against": against,
            "ratio": ratio, "at_least" if least else "at_most": bound, "met": met}


def switch_bound(r, round_trip):
    """What the issue allows from the suspend on, without the factor of 1.5 of the last term."""
    rate = r["data"] / r["ready_s"]
    return 1.5 * r["left"] / rate + 10 * round_trip + r["fsync_s"] + POLL_S


def targets(result):
    rows = []
    for name, c in result["cases"].items():
        link, cipher = name.split("/")
        runs = c["runs"]
        base = result["convert"].get(link)
        where = f"{link}, {cipher}"
        ready = median(runs, "ready_s")
        data = result["mib"] // 2 * MIB
        floor = {"1g": 0.9, "veth": 0.5 if cipher == "plain" else 0.3}[link]
        if base:
            rows.append(row("rate, bytes/s", where, data / ready if ready else None,
                            data / base, floor, True, "qemu-img convert"))
        if link == "1g":
            rows.append(row("guest's write, p99, ms", where, median(runs, "copy_p99_ms"),
                            median(runs, "alone_p99_ms"), 3, False, "without a mirror"))
        good = [r for r in runs if r]
        if good:
            worst = max(good, key=lambda r: r["server_s"] - switch_bound(r, race_net.LINKS[link][1]))
            rows.append(row("from suspend to done, s", where, worst["server_s"] + worst["fsync_s"],
                            switch_bound(worst, race_net.LINKS[link][1]) + worst["fsync_s"], 1,
                            False, "1.5 x left / rate + 10 round trips + fsync"))
        limit = 32 * 1024 + result["mib"] * 1024 / 16384
        rows.append(row("memory, KiB", where, median(runs, "memory_kib"), limit, 1, False,
                        "the limit"))
        rows.append(row("stored, bytes", where, median(runs, "used_copy"), median(runs, "used"),
                        1.01, False, "the source"))
        rows.append(row("wrong blocks", where, median(runs, "wrong_blocks"), 1, 0, False, "none"))
    return rows


def measure(result, runs, only):
    link = race_net.Link("")
    for name in ("1g", "veth"):
        ciphers = [c for c in ("plain", "encrypted") if re.search(only, f"{name}/{c}")]
        if not ciphers:
            continue
        made, why = link.shape(name)
        if why:
            result["skipped"][name] = why
            continue
        result["links"][name] = made
        with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
            make_image(f"{d}/source.img", result["mib"])
            result["convert"][name] = statistics.median(
                convert(f"{d}/source.img", result["mib"]) for _ in range(runs))
        for cipher in ciphers:
            found = [mirror(result["mib"], cipher) for _ in range(runs)]
            result["cases"][f"{name}/{cipher}"] = {"runs": found}
            print(f"{name}/{cipher}: {found}", flush=True)


def main():
    runs = int(os.environ.get("BENCH_RUNS", "3"))
    result = {"mib": int(os.environ.get("BENCH_MIB", "4096")), "links": {}, "skipped": {},
              "convert": {}, "cases": {}}
    if os.geteuid():
        print("as root, for network namespaces")
        return 77
    race_net.set_up()
    try:
        measure(result, runs, os.environ.get("BENCH_ONLY", ""))
    finally:
        race_net.take_down()
    result["targets"] = targets(result)
    os.makedirs(os.path.dirname(OUT), exist_ok=True)
    with open(OUT, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
    missed = [t for t in result["targets"] if not t["met"]]
    for t in result["targets"]:
        print(f"{'met   ' if t['met'] else 'MISSED'} {t['figure']}, {t['where']}: {t['ours']} "
              f"against {t['other']} ({t['against']})")
    print("All figures: build/bench/disks.json")
    return 1 if missed or result["skipped"] else 0


if __name__ == "__main__":
    sys.exit(main())
