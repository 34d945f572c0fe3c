#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make bench: the engine with a process guest against Debian's QEMU, in one run, as root.

Same size, contents and write pattern, the same pair of veth between two network namespaces,
shaped by tc. Writes build/bench/native.json: every case with the median of its runs, what the
machine can do at most, and `targets`, which it also prints as a table. Figures of one machine
move a lot from run to run: only the ratios within a run mean something.

  BENCH_SIZES="512 2048"         MiB of guest memory
  BENCH_LINKS="veth 10g 1g 1g1ms"
  BENCH_ONLY=REGEX               cases whose name matches, e.g. '^ours/.*postcopy'
  BENCH_RUNS=3                   of which the median counts (of short moves five times as many)
  BENCH_GROWTH="512 2048 8192"   MiB; how total time and memory grow
  BENCH_ACCEL=kvm|tcg            how QEMU runs its guest (default: KVM if that works here)
  BENCH_LIST=1                   print the names of the cases and stop
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import race_net
import race_qemu
import race_targets

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = f"{TOP}/build/tests/bench"
OUT = f"{TOP}/build/bench"
SLOW = ("1g", "1g1ms")
# Moves of less than a second differ by more than the 3 % that compressing may cost there: so many
# times the runs.
OFTEN = 5


def words(name, otherwise):
    return os.environ.get(name, otherwise).split()


def case(who, mode, link, size, contents="random", rate=0, resident=False, tls=False,
         compress="off", downtime_ms=20, pages="large"):
    c = {"who": who, "mode": mode, "link": link, "size": size, "contents": contents, "rate": rate,
         "resident": resident, "tls": tls, "compress": compress, "downtime_ms": downtime_ms, "pages": pages,
         "text": contents == "text", "zero": 2 if contents == "half" else 0}
    c["name"] = "/".join([who, mode, link, str(size), contents, str(rate),
                          "resident" if resident else "fresh"] + ["tls"] * tls +
                         [f"compress-{compress}"] * (compress != "off") +
                         [pages] * (pages != "large"))
    return c


def both(ours, qemu, *args, **more):
    return [case("ours", m, *args, **more) for m in ours] + \
           [case("qemu", m, *args, **more) for m in qemu]


def all_cases(sizes, links, growth):
    """What the targets need, and no more: the full product would take a day."""
    pre = ["precopy", "multifd2", "multifd4"]
    post = ["postcopy", "preempt"]
    small = sizes[0]
    out = []
    for link in links:
        # What is compared with a bound of 3 % runs side by side, and with resident memory, as new
        # memory alone moves it by more; text, which is compared with another bound, with either.
        for contents in ("random", "half", "text") if link in SLOW else ("random", "half"):
            for resident in (False, True) if contents == "text" else (True,):
                for compress in ("off", "auto"):
                    c = case("ours", "precopy", link, small, contents=contents,
                             resident=resident, compress=compress)
                    c["often"] = link not in SLOW
                    out.append(c)
        for resident in (False, True):
            for size in sizes[:1] if resident and link in SLOW else sizes:
                out += both(["precopy"], pre, link, size, resident=resident)
            out += both(["precopy"], pre, link, small, contents="half", resident=resident)
        out += both(["precopy", "hybrid"], ["precopy", "hybrid"], link, small, rate=2000)
        out += both(["postcopy"], post, link, small, rate=2000)
        out += [case("ours", "postcopy", link, size, rate=2000) for size in sizes[1:]]
        out += both(["precopy"], pre, link, small, tls=True)
        if link in SLOW:
            out += both(["hybrid"], ["hybrid"], link, small, rate=60000)
    if "veth" in links:
        # What 4 KiB pages alone cost: QEMU's guest has large ones wherever the machine has.
        out += [case("ours", "precopy", "veth", small, resident=resident, pages="small")
                for resident in (False, True)]
        out += [case("ours", "postcopy", "veth", small, rate=2000, pages="small")]
        # Resident: how fast new memory comes is the machine's affair, and that of its own host.
        out += [case("ours", "precopy", "veth", size, resident=True) for size in growth]
    first = {}
    for c in out:
        first.setdefault(c["name"], c)
    return list(first.values())


def run_ours(where, c):
    samples = f"{where}/samples"
    args = [f"{BUILD}/race_guest", "--size", str(c["size"]), "--mode", c["mode"], "--zero",
            str(c["zero"]), "--rate", str(c["rate"]), "--max-downtime", str(c["downtime_ms"]),
            "--compress", c["compress"], "--netns-a", race_net.path(0), "--netns-b",
            race_net.path(1), "--addr", race_net.ADDRESSES[1], "--samples", samples]
    for option in ("text", "resident"):
        if c[option]:
            args.append(f"--{option}")
    if c["tls"]:
        args.append("--encrypt")
    done = subprocess.run(args, stdout=subprocess.PIPE, timeout=race_qemu.MOVE_S, check=False,
                          env=dict(os.environ, XENFERRY_TEST_PAGES=c["pages"]))
    try:
        figures = json.loads(done.stdout)
    except ValueError:
        return {"ok": False, "error": f"race_guest ended with {done.returncode}"}
    with open(samples, encoding="ascii") as f:
        figures["samples"] = [tuple(map(int, line.split())) for line in f]
    return figures


def run_qemu(where, c, accel):
    addresses = race_net.ADDRESSES[1]
    try:
        return race_qemu.move(where, race_net.NETNS, addresses, c, accel, f"{BUILD}/payload.elf")
    except (race_qemu.Failed, OSError) as e:
        return {"ok": False, "error": str(e)}


def limits(mib, memory):
    args = [f"{BUILD}/race_limits", "--mib", str(mib), "--netns-a", race_net.path(0), "--netns-b",
            race_net.path(1), "--addr", race_net.ADDRESSES[1]]
    if not memory:
        args.append("--no-memory")
    done = subprocess.run(args, stdout=subprocess.PIPE, timeout=600, check=True)
    return json.loads(done.stdout)


def median(runs):
    """Of each figure, over the runs that went well."""
    good = [r for r in runs if r.get("ok")]
    out = {"ok": bool(good), "runs": len(runs), "good": len(good),
           "errors": sorted({r["error"] for r in runs if r.get("error")})}
    for key in good[0] if good else ():
        values = [r[key] for r in good if isinstance(r.get(key), (int, float))]
        if key not in ("ok", "switched_ns") and len(values) == len(good):
            out[key] = statistics.median(values)
    return out


def finish(c, r):
    """Figures that are derived from what was seen of the guest."""
    if r.get("ok") and c["rate"] and r.get("samples"):
        back = race_targets.back_s(r["samples"], r["switched_ns"], c["rate"])
        if back is not None:
            r["back_s"] = back
    r.pop("samples", None)
    return r


def write(result):
    os.makedirs(OUT, exist_ok=True)
    with open(f"{OUT}/native.json.new", "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    os.replace(f"{OUT}/native.json.new", f"{OUT}/native.json")


def race(where, net, cases, links, runs, result):
    accel = os.environ.get("BENCH_ACCEL") or \
        race_qemu.usable_accel(where, f"{BUILD}/payload.elf", race_net.NETNS[0])
    result["accel"] = accel
    race_qemu.tls_key(where)
    for link in links:
        mine = [c for c in cases if c["link"] == link]
        if not mine:
            continue
        how, why = net.shape(link)
        result["links"][link] = how
        if why:
            result["not_measured"][link] = why
            print(f"the link {link} cannot be had here: {why}", flush=True)
            continue
        result["limits"][link] = median([dict(limits(256 if link == "veth" else 64,
                                                     link == "veth"), ok=True)
                                         for _ in range(runs)])
        # In turns, so that a slow minute of the machine meets all of them.
        seen = {c["name"]: [] for c in mine}
        for turn in range(runs * OFTEN):
            for c in mine if turn < runs else [c for c in mine if c.get("often")]:
                r = run_ours(where, c) if c["who"] == "ours" else run_qemu(where, c, accel)
                seen[c["name"]].append(finish(c, r))
                print(f"{turn + 1} {c['name']:58} " +
                      (f"{r['total_s']:8.3f} s" if r.get("ok") else f"FAILED {r.get('error')}"),
                      flush=True)
                result["cases"][c["name"]] = dict(median(seen[c["name"]]), case=c)
        write(result)


def main():
    sizes = [int(s) for s in words("BENCH_SIZES", "512 2048")]
    links = words("BENCH_LINKS", "veth 10g 1g 1g1ms")
    growth = [int(s) for s in words("BENCH_GROWTH", "512 2048 8192")]
    only = re.compile(os.environ.get("BENCH_ONLY", ""))
    runs = int(os.environ.get("BENCH_RUNS", "3"))
    unknown = [w for w in links if w not in race_net.LINKS]
    if unknown or not sizes or runs < 1:
        sys.exit(f"race: BENCH_LINKS may have {' '.join(race_net.LINKS)}; BENCH_SIZES is not "
                 "empty; BENCH_RUNS is 1 or more")
    cases = [c for c in all_cases(sizes, links, growth) if only.search(c["name"])]
    if os.environ.get("BENCH_LIST"):
        print("\n".join(c["name"] for c in cases))
        return
    if os.geteuid() != 0:
        sys.exit("race: network namespaces need root")
    result = {"links": {}, "limits": {}, "not_measured": {}, "cases": {}, "targets": []}
    where = tempfile.mkdtemp(prefix="race-")
    net = None
    try:
        race_net.set_up()
        net = race_net.Link(f"{BUILD}/race_delay")
        race(where, net, cases, links, runs, result)
        result["targets"] = race_targets.rows(result, sizes, links, growth)
        write(result)
    finally:
        if net:
            net.plain()
        race_net.take_down()
        shutil.rmtree(where, ignore_errors=True)
    race_targets.table(result["targets"])
    for link, why in result["not_measured"].items():
        print(f"no row for the link {link}: {why}")
    print(f"\nQEMU's guest ran by {result['accel']}. All figures: build/bench/native.json")


if __name__ == "__main__":
    if len(sys.argv) > 1:  # it takes an hour: nothing that was typed may begin it by mistake
        sys.exit(__doc__)
    main()
