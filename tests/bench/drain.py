#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make bench-drain: how fast a whole host empties, in one run, as root.

Eight process guests run side by side and are moved from one network namespace to another, so many
at a time, the next as one ends; QEMU's guests the same way. Each guest is moved by hybrid, with
resident memory and without compression. idle: they write nothing; medium: together a quarter of
what the link carries; thrash: one and a half times of it. Those that wait, and those that have
arrived, run on. Writes build/bench/drain.json: every case with the median of its runs, the plain
streams of the same run, and `targets`, which it also prints.

  BENCH_LINKS="1g 10g"
  BENCH_GUESTS=8, BENCH_SIZE=256   how many guests, and MiB of each
  BENCH_ONLY=REGEX                 cases whose name matches, e.g. '^ours/1g/idle/2$'
  BENCH_RUNS=3                     of which the median counts
  BENCH_ACCEL=kvm|tcg              how QEMU runs its guests (default: KVM if that works here)
  BENCH_LIST=1                     print the names of the cases and stop
"""

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import race
import race_net
import race_qemu

LIMITS = (1, 2, 4, 8)
USUAL = 2  # a host's own limit, if nothing else is configured
SHARE = {"idle": 0, "medium": 0.25, "thrash": 1.5}  # of the link, written by all guests together
PAGE = 4096
DRAIN_S = 1800
FIRST_PORT = 4500
# Against bytes / plain stream.
AT_MOST = {"1g": 1.1, "10g": 1.25}
THRASH_AT_MOST = 1.5  # against medium
DOWNTIME_AT_MOST = 1.1  # against one after the other


def case(who, link, load, limit, guests, size, tls=False):
    rate = int(SHARE[load] * race_net.LINKS[link][0] / PAGE / guests)
    return {"name": f"{who}/{link}/{load}/{limit}" + ("/tls" if tls else ""), "who": who,
            "link": link, "load": load, "limit": limit, "guests": guests, "size": size, "tls": tls,
            "rate": rate, "mode": "hybrid", "resident": True, "text": False, "zero": 0,
            "compress": "off", "downtime_ms": 20}


def all_cases(links, guests, size):
    """What the targets need, and QEMU beside the limits."""
    out = []
    for link in links:
        for load in SHARE:
            for tls in (False, True):
                out.append(case("ours", link, load, USUAL, guests, size, tls))
        for limit in LIMITS:
            out += [case(who, link, "medium", limit, guests, size) for who in ("ours", "qemu")]
    return list({c["name"]: c for c in out}.values())


class Ours:
    """A process guest that waits for its turn (race_guest --turn)."""

    def __init__(self, _where, _number, c, _accel):
        args = [f"{race.BUILD}/race_guest", "--size", str(c["size"]), "--mode", c["mode"],
                "--zero", "0", "--rate", str(c["rate"]), "--max-downtime", str(c["downtime_ms"]),
                "--compress", "off", "--resident", "--netns-a", race_net.path(0), "--netns-b",
                race_net.path(1), "--addr", race_net.ADDRESSES[1], "--turn", "--check"]
        if c["tls"]:
            args.append("--encrypt")
        self.rate = c["rate"]
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._expect(b"ready\n")

    def _expect(self, line):
        if self.process.stdout.readline() != line:
            self.end()
            raise race_qemu.Failed("race_guest has failed")

    def go(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        self._expect(b"moved\n")

    def figures(self):
        out = self.process.communicate(timeout=120)[0]
        r = json.loads(out)
        if not r["ok"]:
            raise race_qemu.Failed(r["error"] or "a guest is not what it was")
        # A guest that does nothing has no step that could be missed.
        return {"down_s": r["gap_s"] if self.rate else r["engine_down_s"],
                "bytes": r["wire_bytes"],
                "written": r["steps"] / r["ran_s"] if r["ran_s"] else 0}

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Qemus:
    """A guest of QEMU's that waits for its turn."""

    def __init__(self, where, number, c, accel):
        own = f"{where}/{number}"
        os.makedirs(own, exist_ok=True)
        shutil.copy(f"{where}/keys.psk", own)
        self.move = race_qemu.Move(own, race_net.NETNS, race_net.ADDRESSES[1], c, accel,
                                   f"{race.BUILD}/payload.elf", FIRST_PORT + number)
        self.sent = 0
        try:
            self.move.prepare()
        except BaseException:
            self.end()
            raise

    def go(self):
        total, info = self.move.go()
        if info is None:
            raise race_qemu.Failed(f"did not converge in {total:.0f} s")
        self.move.arrive()
        self.sent = info["ram"]["transferred"]

    def figures(self):
        beats = self.move.source.beats.seen + self.move.sink.beats.seen
        ran = (beats[-1][0] - beats[0][0]) / 1e9
        return {"down_s": self.move.gap_s(), "bytes": self.sent,
                "written": sum(n for _, n in beats) / ran}

    def end(self):
        self.move.end()


def drain(where, c, accel):
    """All guests leave, c["limit"] at a time."""
    kind = Ours if c["who"] == "ours" else Qemus
    guests = []
    try:
        with concurrent.futures.ThreadPoolExecutor(c["limit"]) as movers:
            for number in range(c["guests"]):
                guests.append(kind(where, number, c, accel))
            time.sleep(0.3)
            began = time.monotonic()
            moves = [movers.submit(g.go) for g in guests]
            done, still = concurrent.futures.wait(moves, DRAIN_S,
                                                  concurrent.futures.FIRST_EXCEPTION)
            total = time.monotonic() - began
            failed = [m for m in done if m.exception()]
            if failed or still:
                for m in still:
                    m.cancel()
                for g in guests:  # so that no mover waits
                    g.end()
                raise race_qemu.Failed(str(failed[0].exception() if failed else "took too long"))
        each = [g.figures() for g in guests]
    except (race_qemu.Failed, OSError, ValueError, subprocess.TimeoutExpired) as e:
        return {"ok": False, "error": str(e)}
    finally:
        for g in guests:
            g.end()
    downs = [f["down_s"] for f in each]
    return {"ok": True, "total_s": total, "down_sum_s": sum(downs), "down_max_s": max(downs),
            "wire_bytes": sum(f["bytes"] for f in each),
            # A guest may not get so far as it was told to.
            "written_of_link": sum(f["written"] for f in each) * PAGE /
                               race_net.LINKS[c["link"]][0]}


def ratio(result, name, key, other):
    """Of a case's figure to a number; None if the case did not run, or failed."""
    c = result["cases"].get(name)
    return c[key] / other if c and c["ok"] and other else None


def targets(result, links):
    """name, required, measured, met. What did not run has no row; what failed is missed."""
    rows = []

    def add(name, needs, measured, most):
        if all(n in result["cases"] for n in needs):
            rows.append({"name": name, "required": most, "measured": measured,
                         "met": measured is not None and measured <= most})

    for link in links:
        stream = max((result["limits"].get(link, {}).get(f"stream{n}_gib_s", 0) for n in (1, 2)))
        for tls in ("", "/tls"):
            idle, medium, thrash = (f"ours/{link}/{load}/{USUAL}{tls}" for load in SHARE)
            kind = ", encrypted" if tls else ""
            bare = result["gib"] / stream if stream else 0
            add(f"{link}: idle{kind}, total time over bytes / plain stream", [idle],
                ratio(result, idle, "total_s", bare), AT_MOST[link])
            calm = result["cases"].get(medium, {}).get("total_s")
            add(f"{link}: thrashing{kind}, total time over medium's", [medium, thrash],
                ratio(result, thrash, "total_s", calm), THRASH_AT_MOST)
        serial = f"ours/{link}/medium/1"
        for limit in LIMITS[1:]:
            many = f"ours/{link}/medium/{limit}"
            add(f"{link}: medium, {limit} at a time, sum of downtimes over one by one",
                [serial, many], ratio(result, many, "down_sum_s",
                                      result["cases"].get(serial, {}).get("down_sum_s")),
                DOWNTIME_AT_MOST)
    return rows


def table(result):
    print(f"\n{'case':28} {'total s':>8} {'of bare':>8} {'downtimes ms':>13} {'worst ms':>9} "
          f"{'wrote':>6}")
    for name, c in sorted(result["cases"].items()):
        if not c["ok"]:
            print(f"{name:28} failed: {'; '.join(c['errors'])[:48]}")
            continue
        of = result["limits"].get(c["case"]["link"], {})
        stream = max(of.get("stream1_gib_s", 0), of.get("stream2_gib_s", 0))
        print(f"{name:28} {c['total_s']:8.2f} {c['total_s'] * stream / result['gib']:8.2f} "
              f"{c['down_sum_s'] * 1000:13.1f} {c['down_max_s'] * 1000:9.1f} "
              f"{c['written_of_link']:6.2f}")
    print(f"\n{'target':66} needed measured")
    for r in result["targets"]:
        got = "failed" if r["measured"] is None else f"{r['measured']:.3f}"
        print(f"{r['name']:66} {r['required']:6} {got:>7} {'met' if r['met'] else 'MISSED'}")
    print(f"{sum(r['met'] for r in result['targets'])} of {len(result['targets'])} targets met")


def write(result):
    os.makedirs(race.OUT, exist_ok=True)
    with open(f"{race.OUT}/drain.json.new", "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    os.replace(f"{race.OUT}/drain.json.new", f"{race.OUT}/drain.json")


def run(where, net, cases, links, runs, result):
    accel = None
    if any(c["who"] == "qemu" for c in cases):
        accel = os.environ.get("BENCH_ACCEL") or \
            race_qemu.usable_accel(where, f"{race.BUILD}/payload.elf", race_net.NETNS[0])
        race_qemu.tls_key(where)
    result["accel"] = accel
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
        streams = []
        seen = {c["name"]: [] for c in mine}
        # In turns, so that a slow minute of the machine meets all of them.
        for turn in range(runs):
            streams.append(dict(race.limits(256, False), ok=True))
            result["limits"][link] = race.median(streams)
            for c in mine:
                r = drain(where, c, accel)
                seen[c["name"]].append(r)
                print(f"{turn + 1} {c['name']:28} " +
                      (f"{r['total_s']:8.3f} s" if r["ok"] else f"FAILED {r['error']}"), flush=True)
                result["cases"][c["name"]] = dict(race.median(seen[c["name"]]), case=c)
        write(result)


def main():
    links = race.words("BENCH_LINKS", "1g 10g")
    guests = int(os.environ.get("BENCH_GUESTS", "8"))
    size = int(os.environ.get("BENCH_SIZE", "256"))
    only = re.compile(os.environ.get("BENCH_ONLY", ""))
    runs = int(os.environ.get("BENCH_RUNS", "3"))
    if any(w not in AT_MOST for w in links) or guests < 1 or size < 16 or runs < 1:
        sys.exit(f"drain: BENCH_LINKS may have {' '.join(AT_MOST)}; the numbers are positive")
    cases = [c for c in all_cases(links, guests, size) if only.search(c["name"])]
    if os.environ.get("BENCH_LIST"):
        print("\n".join(c["name"] for c in cases))
        return
    if os.geteuid() != 0:
        sys.exit("drain: network namespaces need root")
    result = {"guests": guests, "size_mib": size, "gib": guests * size / 1024, "links": {},
              "limits": {}, "not_measured": {}, "cases": {}, "targets": []}
    where = tempfile.mkdtemp(prefix="drain-")
    net = None
    try:
        race_net.set_up()
        net = race_net.Link(f"{race.BUILD}/race_delay")
        run(where, net, cases, links, runs, result)
        result["targets"] = targets(result, links)
        write(result)
    finally:
        if net:
            net.plain()
        race_net.take_down()
        shutil.rmtree(where, ignore_errors=True)
    table(result)
    print("All figures: build/bench/drain.json")


if __name__ == "__main__":
    if len(sys.argv) > 1:  # it takes an hour: nothing that was typed may begin it by mistake
        sys.exit(__doc__)
    main()
