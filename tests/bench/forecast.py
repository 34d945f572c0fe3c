#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make bench-forecast: what a move is said to take, against what it then takes, as root.

Ten moves of a process guest, idle to thrashing, in every mode, over links shaped as the race's.
Before each the guest is looked at and the link measured as `xl migrate --check` does; COPY's own
forecast is taken in the move. Writes build/bench/forecast.json. A forecast and its truth are of
one run, so a busy machine moves both, though not always together.

  BENCH_ONLY=REGEX  cases whose name matches
  BENCH_RUNS=3      each counts
  BENCH_SCALE=1     links, memory and writes are divided by it: on a busy machine a full link is
                    bounded by the processors that others leave over, and that is not asked here
  BENCH_LIST=1      print the names of the cases and stop
"""

import json
import os
import re
import subprocess
import sys

import race_net

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = f"{TOP}/build/tests/bench"
OUT = f"{TOP}/build/bench/forecast.json"
race_net.NETNS = ("xfforecast-a", "xfforecast-b")  # beside a race
FACTOR = 1.5  # a forecast is right if it misses by no more than this
RIGHT = 0.8   # of all moves
SMALLEST = 32  # MiB: a smaller guest is only a few batches, which no policy can shape

# Link, mode, MiB, pages written per second, contents, more options of race_guest.
CASES = (
    ("1g", "precopy", 256, 0, "random", ()),
    ("1g", "hybrid", 512, 0, "half", ()),
    ("1g", "precopy", 256, 2000, "random", ("--encrypt",)),
    ("1g", "hybrid", 256, 8000, "random", ()),
    ("1g", "hybrid", 256, 60000, "random", ("--encrypt",)),
    ("1g", "hybrid", 256, 2000, "text", ("--compress", "auto")),
    ("1g", "postcopy", 256, 2000, "random", ()),
    ("1g1ms", "hybrid", 256, 20000, "random", ()),
    ("10g", "hybrid", 512, 2000, "random", ()),
    ("10g", "precopy", 512, 20000, "half", ("--encrypt",)),
)


def slow_down(scale):
    """Links and cases, scaled; times stay as they are."""
    for link, (rate, round_trip, shaper) in list(race_net.LINKS.items()):
        if rate and scale != 1:
            bits = int(8 * rate / scale)
            how = f"netem delay {round_trip / 2 * 1e6:.0f}us rate {bits} limit 20000" if round_trip \
                else f"tbf rate {bits} burst 32kb latency 20ms"
            race_net.LINKS[link] = (rate / scale, round_trip, how)
    return [(c[0], c[1], max(SMALLEST, round(c[2] / scale)), round(c[3] / scale), c[4], c[5])
            for c in CASES]


def name_of(case):
    link, mode, size, rate, contents, more = case
    return "/".join([link, mode, str(size), contents, str(rate)] +
                    [w.lstrip("-") for w in more if w != "auto"])


def run(case):
    link, mode, size, rate, contents, more = case
    args = [f"{BUILD}/race_guest", "--size", str(size), "--mode", mode, "--rate", str(rate),
            "--zero", "2" if contents == "half" else "0", "--max-downtime", "300", "--forecast",
            "--netns-a", race_net.path(0), "--netns-b", race_net.path(1), "--addr",
            race_net.ADDRESSES[1], *more]
    if contents == "text":
        args.append("--text")
    done = subprocess.run(args, stdout=subprocess.PIPE, timeout=900, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return {"ok": False, "error": f"race_guest ended with {done.returncode}"}


def factor(said, was):
    """By how much it missed, 1 or more; None: nothing was said."""
    if not said or not was or said <= 0 or was <= 0:
        return None
    return max(said / was, was / said)


def show(name, r):
    if not r.get("ok"):
        print(f"{name:44} FAILED {r.get('error')}", flush=True)
        return
    miss = factor(r["forecast_s"], r["total_s"])
    own = factor(r.get("own_forecast_s"), r["total_s"])
    print(f"{name:44} said {r['forecast_s']:6.2f} s, was {r['total_s']:6.2f} s"
          f" {'x%.2f' % miss if miss else '-':6} own {'x%.2f' % own if own else '-'}", flush=True)


def share(runs, said, was):
    """Of the moves, how many were said within the factor."""
    hits = [factor(r.get(said), r.get(was)) for r in runs if said in r or not r.get("ok")]
    right = [f for f in hits if f and f <= FACTOR]
    return len(right) / len(hits) if hits else None


def targets(runs):
    rows = []
    for name, said, was in (("total time, as --check says it", "forecast_s", "total_s"),
                            ("total time, as COPY says it", "own_forecast_s", "total_s"),
                            ("bytes, as --check says them", "forecast_bytes", "wire_bytes")):
        got = share(runs, said, was)
        if got is not None:
            rows.append({"name": f"{name}: part of the moves within a factor of {FACTOR}",
                         "required": RIGHT, "measured": round(got, 3), "met": got >= RIGHT})
    return rows


def measure(cases, runs):
    result = {"links": {}, "not_measured": {}, "cases": {}, "targets": []}
    net = race_net.Link(f"{BUILD}/race_delay")
    every = []
    try:
        race_net.set_up()
        for link in dict.fromkeys(c[0] for c in cases):
            result["links"][link], why = net.shape(link)
            if why:
                result["not_measured"][link] = why
                print(f"the link {link} cannot be had here: {why}", flush=True)
                continue
            for _ in range(runs):
                for case in (c for c in cases if c[0] == link):
                    r = run(case)
                    show(name_of(case), r)
                    result["cases"].setdefault(name_of(case), []).append(r)
                    every.append(r)
    finally:
        net.plain()
        race_net.take_down()
    result["targets"] = targets(every)
    return result


def main():
    only = re.compile(os.environ.get("BENCH_ONLY", ""))
    runs = int(os.environ.get("BENCH_RUNS", "3"))
    scale = float(os.environ.get("BENCH_SCALE", "1"))
    cases = [c for c in slow_down(scale) if only.search(name_of(c))]
    if os.environ.get("BENCH_LIST"):
        print("\n".join(map(name_of, cases)))
        return
    if os.geteuid() != 0 or runs < 1 or scale < 1:
        sys.exit("forecast: network namespaces need root, and BENCH_RUNS and BENCH_SCALE are 1 or more")
    result = measure(cases, runs)
    result["scale"] = scale
    os.makedirs(os.path.dirname(OUT), exist_ok=True)
    with open(OUT + ".new", "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    os.replace(OUT + ".new", OUT)
    for t in result["targets"]:
        print(f"{'met   ' if t['met'] else 'MISSED'} {t['measured']:.2f} of {t['required']} {t['name']}")
    print("All figures: build/bench/forecast.json")


if __name__ == "__main__":
    main()
