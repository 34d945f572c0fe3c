#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make bench-drain: how fast a whole host empties, in one run, as root.

Eight process guests run side by side and are moved from one network namespace to another, so many
at a time, the next as one ends; QEMU's guests the same way. Each guest is moved by hybrid, with
resident memory and without compression. idle: they write nothing; medium: together a quarter of
what the link carries; thrash: one and a half times of it. Those that wait, and those that have
arrived, run on. lone: a single guest, with a limit of its own and with the one that all moves of a
host share. waiting: what 64 moves of one host cost that wait for it or for the other one
(tests/unit/test_queue.c). Writes
build/bench/drain.json: every case with the median of its runs, the plain streams of the same run,
`targets`, and `beside`, ours against QEMU, which it also prints.

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
STREAM_MIB = {"1g": 256, "10g": 1024}  # some two seconds and one
DRAIN_S = 1800
FIRST_PORT = 4500
# Against bytes / plain stream.
AT_MOST = {"1g": 1.1, "10g": 1.25}
THRASH_AT_MOST = 1.5  # against medium
DOWNTIME_AT_MOST = 1.1  # against one after the other
LONE_AT_MOST = 1.05  # by the limit that moves share, against one's own
LONE_MIB = {"1g": 256, "10g": 1024}
LONE_RUNS = 5  # of each other one: its moves are short, and its bound is close
# Of the link: more than the link carries costs what accounting costs; half of it is the bound.
LONE_LIMITS = {"free": 4, "half": 0.5}
WAITING = 64
WAITING_FOR = ("their own host", "the other host")
WAITING_CPU_AT_MOST = 0.01  # of a processor, together
WAITING_MIB_AT_MOST = 2
# A load of which guests did less than this part was none.
LOADED = 0.9


def case(who, link, load, limit, guests, size, tls=False):
    rate = int(SHARE[load] * race_net.LINKS[link][0] / PAGE / guests)
    return {"name": f"{who}/{link}/{load}/{limit}" + ("/tls" if tls else ""), "who": who,
            "link": link, "load": load, "limit": limit, "guests": guests, "size": size, "tls": tls,
            "rate": rate, "mode": "hybrid", "resident": True, "text": False, "zero": 0,
            "compress": "off", "downtime_ms": 20}


def lone_cases(link):
    """The same move with a limit of its own, and with the one that it shares with nobody."""
    out = []
    for how, part in LONE_LIMITS.items():
        for option in ("bandwidth", "shared"):
            c = case("ours", link, "idle", 1, 1, LONE_MIB[link])
            c["name"] = f"ours/{link}/lone/{how}/{option}"
            c["load"] = "lone"
            c[option] = int(race_net.LINKS[link][0] * part / (1 << 20))
            out.append(c)
    return out


def all_cases(links, guests, size):
    """What the targets need, and QEMU beside the limits."""
    out = []
    for link in links:
        for load in SHARE:
            for tls in (False, True):
                out.append(case("ours", link, load, USUAL, guests, size, tls))
        for limit in LIMITS:
            out += [case(who, link, "medium", limit, guests, size) for who in ("ours", "qemu")]
        out += lone_cases(link)
    return list({c["name"]: c for c in out}.values())


class Ours:
    """A process guest that waits for its turn (race_guest --turn)."""

    def __init__(self, where, _number, c, _accel):
        args = [f"{race.BUILD}/race_guest", "--size", str(c["size"]), "--mode", c["mode"],
                "--zero", "0", "--rate", str(c["rate"]), "--max-downtime", str(c["downtime_ms"]),
                "--compress", "off", "--resident", "--netns-a", race_net.path(0), "--netns-b",
                race_net.path(1), "--addr", race_net.ADDRESSES[1], "--turn", "--check"]
        if c["tls"]:
            args.append("--encrypt")
        for option in ("bandwidth", "shared"):
            if option in c:
                args += [f"--{option}", str(c[option])]
        self.rate = c["rate"]
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=os.environ | {"XENFERRY_RUN_DIR": f"{where}/run"})
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


def figure(result, name, key):
    """None if the case did not run, or failed, be it once: no guest may be lost."""
    c = result["cases"].get(name)
    return c[key] if c and c["ok"] and c["good"] == c["runs"] else None


def over(a, b):
    return a / b if a is not None and b else None


def bare_s(result, link):
    """What the guests' memory takes at the rate of the plain streams."""
    of = result["limits"].get(link, {})
    stream = max(of.get(f"stream{n}_gib_s", 0) for n in (1, 2))
    return result["gib"] / stream if stream else None


def targets(result, links):
    """name, required, measured, met. What did not run has no row; what failed is missed."""
    rows = []

    def add(name, needs, measured, most):
        if all(n in result["cases"] for n in needs):
            rows.append({"name": name, "required": most, "measured": measured,
                         "met": measured is not None and measured <= most})

    def compare(name, case_a, case_b, key, most):
        add(name, [case_a, case_b],
            over(figure(result, case_a, key), figure(result, case_b, key)), most)

    for link in links:
        for tls in ("", "/tls"):
            idle, medium, thrash = (f"ours/{link}/{load}/{USUAL}{tls}" for load in SHARE)
            kind = ", encrypted" if tls else ""
            add(f"{link}: idle{kind}, total time over bytes / plain stream", [idle],
                over(figure(result, idle, "total_s"), bare_s(result, link)), AT_MOST[link])
            compare(f"{link}: thrashing{kind}, total time over medium's", thrash, medium,
                    "total_s", THRASH_AT_MOST)
        for limit in LIMITS[1:]:
            compare(f"{link}: medium, {limit} at a time, sum of downtimes over one by one",
                    f"ours/{link}/medium/{limit}", f"ours/{link}/medium/1", "down_sum_s",
                    DOWNTIME_AT_MOST)
        for how, words in (("free", "above the link"), ("half", "of half the link")):
            lone = f"ours/{link}/lone/{how}"
            compare(f"{link}: one move, shared limit {words} over its own", f"{lone}/shared",
                    f"{lone}/bandwidth", "total_s", LONE_AT_MOST)
    if "waiting" in result:
        for what, key, most in (("processors", "processors", WAITING_CPU_AT_MOST),
                                ("MiB of each (PSS)", "mib", WAITING_MIB_AT_MOST)):
            for name in WAITING_FOR:
                measured = result["waiting"].get(name, {}).get(key)
                rows.append({"name": f"{WAITING} moves wait for {name}: {what}", "required": most,
                             "measured": measured,
                             "met": measured is not None and measured <= most})
    return rows


def beside(result, links):
    """Ours against QEMU with as many at a time, and against QEMU's one after the other."""
    rows = []
    for link in links:
        for limit in LIMITS:
            ours, theirs, serial = (f"ours/{link}/medium/{limit}", f"qemu/{link}/medium/{limit}",
                                    f"qemu/{link}/medium/1")
            if ours not in result["cases"] or theirs not in result["cases"]:
                continue
            row = {"link": link, "limit": limit}
            for key in ("total_s", "down_sum_s"):
                row[key] = figure(result, ours, key)
                row[f"qemu_{key}"] = figure(result, theirs, key)
                row[f"{key}_over_qemu"] = over(row[key], row[f"qemu_{key}"])
                row[f"{key}_over_qemu_serial"] = over(row[key], figure(result, serial, key))
            rows.append(row)
    return rows


def doubts(result):
    """Loads that this machine's guests did not get to: what was measured there is another load."""
    out = []
    for name, c in sorted(result["cases"].items()):
        asked = SHARE.get(c["case"]["load"])
        if asked and c["ok"] and c["written_of_link"] < LOADED * asked:
            out.append(f"{name}: the guests wrote {c['written_of_link']:.2f} of what the link "
                       f"carries, not {asked}")
    return out


def text(value, digits):
    return "failed" if value is None else f"{value:.{digits}f}"


def table(result):
    print(f"\n{'case':28} {'total s':>8} {'of bare':>8} {'downtimes ms':>13} {'worst ms':>9} "
          f"{'wrote':>6}")
    for name, c in sorted(result["cases"].items()):
        if not c["ok"]:
            print(f"{name:28} failed: {'; '.join(c['errors'])[:48]}")
            continue
        part = c["case"]["guests"] * c["case"]["size"] / 1024 / result["gib"]
        bare = bare_s(result, c["case"]["link"])
        print(f"{name:28} {c['total_s']:8.2f} {text(over(c['total_s'], bare and bare * part), 2):>8}"
              f" {c['down_sum_s'] * 1000:13.1f} {c['down_max_s'] * 1000:9.1f} "
              f"{c['written_of_link']:6.2f}" +
              (f" {c['runs'] - c['good']} of {c['runs']} failed" if c["good"] < c["runs"] else ""))
    print(f"\n{'ours / QEMU, medium':24} {'total':>7} {'to serial':>9} {'downtimes':>9} "
          f"{'to serial':>9}")
    for r in result["beside"]:
        print(f"{r['link']}, {r['limit']} at a time".ljust(24) +
              "".join(f" {text(r[k], 2):>{w}}" for k, w in (
                  ("total_s_over_qemu", 7), ("total_s_over_qemu_serial", 9),
                  ("down_sum_s_over_qemu", 9), ("down_sum_s_over_qemu_serial", 9))))
    print(f"\n{'target':66} needed measured")
    for r in result["targets"]:
        print(f"{r['name']:66} {r['required']:6} {text(r['measured'], 3):>8} "
              f"{'met' if r['met'] else 'MISSED'}")
    print(f"{sum(r['met'] for r in result['targets'])} of {len(result['targets'])} targets met")
    for line in result["doubts"]:
        print(f"not what was asked for: {line}")


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

        def plain():
            streams.append(dict(race.limits(STREAM_MIB[link], False), ok=True))
            result["limits"][link] = race.median(streams)

        # In turns, so that a slow minute of the machine meets all of them.
        for turn in range(runs):
            plain()
            for c in mine:
                for _ in range(LONE_RUNS if c["load"] == "lone" else 1):
                    r = drain(where, c, accel)
                    seen[c["name"]].append(r)
                    print(f"{turn + 1} {c['name']:28} " +
                          (f"{r['total_s']:8.3f} s" if r["ok"] else f"FAILED {r['error']}"),
                          flush=True)
                result["cases"][c["name"]] = dict(race.median(seen[c["name"]]), case=c)
            plain()
        write(result)


def waiting():
    """What moves that wait cost, as test_queue measures it."""
    program = f"{race.TOP}/build/tests/unit/test_queue"
    done = subprocess.run([program, "cost", str(WAITING)], stdout=subprocess.PIPE, text=True,
                          timeout=600, check=False)
    print(done.stdout.strip(), flush=True)
    found = re.findall(r"wait for (.*): ([0-9.]+) % of a processor together, ([0-9.]+) MiB each",
                       done.stdout)
    if len(found) != len(WAITING_FOR):
        return {"error": f"test_queue ended with {done.returncode}"}
    return {name: {"processors": float(cpu) / 100, "mib": float(mib)} for name, cpu, mib in found}


def main():
    links = race.words("BENCH_LINKS", "1g 10g")
    guests = int(os.environ.get("BENCH_GUESTS", "8"))
    size = int(os.environ.get("BENCH_SIZE", "256"))
    only = re.compile(os.environ.get("BENCH_ONLY", ""))
    runs = int(os.environ.get("BENCH_RUNS", "3"))
    if any(w not in AT_MOST for w in links) or guests < 1 or size < 16 or runs < 1:
        sys.exit(f"drain: BENCH_LINKS may have {' '.join(AT_MOST)}; the numbers are positive")
    cases = [c for c in all_cases(links, guests, size) if only.search(c["name"])]
    wait = only.search("waiting") is not None
    if os.environ.get("BENCH_LIST"):
        print("\n".join([c["name"] for c in cases] + ["waiting"] * wait))
        return
    if os.geteuid() != 0:
        sys.exit("drain: network namespaces need root")
    result = {"guests": guests, "size_mib": size, "gib": guests * size / 1024, "links": {},
              "limits": {}, "not_measured": {}, "cases": {}, "targets": [], "beside": [], "doubts": []}
    where = tempfile.mkdtemp(prefix="drain-")
    net = None
    began = time.monotonic()
    try:
        if wait:  # first: nothing else is at work
            result["waiting"] = waiting()
        race_net.set_up()
        net = race_net.Link(f"{race.BUILD}/race_delay")
        run(where, net, cases, links, runs, result)
        result["targets"] = targets(result, links)
        result["beside"] = beside(result, links)
        result["doubts"] = doubts(result)
        result["took_s"] = time.monotonic() - began
        write(result)
    finally:
        if net:
            net.plain()
        race_net.take_down()
        shutil.rmtree(where, ignore_errors=True)
    table(result)
    print(f"All figures: build/bench/drain.json, in {result['took_s'] / 60:.0f} minutes")


if __name__ == "__main__":
    if len(sys.argv) > 1:  # it takes an hour: nothing that was typed may begin it by mistake
        sys.exit(__doc__)
    main()
