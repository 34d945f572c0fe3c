# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the race is about: each figure that is required, from the cases of one run.

A row whose cases did not run (BENCH_ONLY, or QEMU failed) is left out, except that a case of
ours that failed is a row that was missed.
"""

import race_net

GIB = 1 << 30
PRE = ("precopy", "multifd2", "multifd4")
POST = ("postcopy", "preempt")
WINDOW_NS = 100_000_000


def back_s(samples, switched_ns, rate):
    """Seconds from the guest's last work at the source until it works at 90 % of its rate for
    a tenth of a second. None: never, as far as it was watched."""
    need = 0.9 * rate * WINDOW_NS / 1e9
    ends = [s for s in samples if s[0] > switched_ns]
    j = 0
    for i, (t, n) in enumerate(ends):
        while j < len(ends) and ends[j][0] < t + WINDOW_NS:
            j += 1
        if j == len(ends):
            return None
        before = ends[i - 1][1] if i else n
        if ends[j][1] - before >= need:
            return (t - switched_ns) / 1e9
    return None


class Rows:
    def __init__(self, result):
        self.result = result
        self.rows = []

    def get(self, who, mode, link, size, contents="random", rate=0, resident=False, extra=""):
        name = "/".join([who, mode, link, str(size), contents, str(rate),
                         "resident" if resident else "fresh"]) + extra
        return self.result["cases"].get(name)

    def best(self, modes, figure, least, *args, **more):
        """QEMU's best of some modes: (mode, value), or None."""
        found = []
        for m in modes:
            c = self.get("qemu", m, *args, **more)
            if c and c["ok"] and c.get(figure):
                found.append((c[figure], m))
        if not found:
            return None
        value, mode = min(found) if least else max(found)
        return mode, value

    def add(self, figure, where, ours, other, bound, least, against):
        """ours / other is to be at least (or at most) the bound."""
        if not other:
            return
        ratio = ours / other if ours is not None else None
        met = ratio is not None and (ratio >= bound if least else ratio <= bound)
        self.rows.append({"figure": figure, "where": where, "ours": ours, "other": other,
                          "against": against, "ratio": ratio,
                          "at_least" if least else "at_most": bound, "met": met})

    def compare(self, figure, modes_qemu, key, bound, *args, mode="precopy", **more):
        """Ours against QEMU's best, less being better; missed if ours failed."""
        c = self.get("ours", mode, *args, **more)
        best = self.best(modes_qemu, key, True, *args, **more)
        if c and best:
            self.add(figure, place(*args), c.get(key) if c["ok"] else None, best[1], bound, False,
                     f"QEMU {best[0]}")


def place(link, size, *_):
    return f"{link}, {size} MiB"


def value(c, key):
    return c.get(key) if c and c["ok"] else None


def rate(c, size):
    """GiB of guest memory per second, all phases."""
    t = value(c, "total_s")
    return size * (1 << 20) / GIB / t if t else None


def memory(resident):
    return ", memory resident" if resident else ", memory fresh"


def copy_rates(r, sizes, links):
    for size in sizes:
        for resident in (False, True):
            c = r.get("ours", "precopy", "veth", size, resident=resident)
            best = r.best(PRE, "total_s", True, "veth", size, resident=resident)
            if c and best:
                r.add("rate" + memory(resident), place("veth", size), rate(c, size),
                      size / 1024 / best[1], 1.3, True, f"QEMU {best[0]}")
            fill = r.result["limits"].get("veth", {}).get("fill_gib_s")
            if c and fill and not resident:
                r.add("rate" + memory(resident), place("veth", size), rate(c, size), fill, 0.85,
                      True, "in-order fill")
            for link in links:
                c = r.get("ours", "precopy", link, size, resident=resident)
                raw = max((r.result["limits"].get(link, {}).get(f"stream{n}_gib_s", 0)
                           for n in (1, 2)))
                if c and link != "veth":
                    r.add("rate" + memory(resident), place(link, size), rate(c, size), raw, 0.97,
                          True, "plain stream")
                r.compare("processor time" + memory(resident), PRE, "cpu_s", 0.6, link, size,
                          resident=resident)


def latencies(r, size, links):
    for link in links:
        rtt = race_net.LINKS[link][1]
        limit = 0.010 + rtt if link.startswith("1g") else 0.005
        c = r.get("ours", "precopy", link, size, rate=2000)
        if c:
            r.add("guest's own gap, busy", place(link, size), value(c, "gap_s"), limit, 1, False,
                  "the limit")
        r.compare("guest's own gap, busy", ("precopy",), "gap_s", 0.5, link, size, rate=2000)
        c = r.get("ours", "postcopy", link, size, rate=2000)
        if not c:
            continue
        best = r.best(("preempt",), "fault_mean_s", True, link, size, rate=2000)
        if best:
            r.add("page request, mean", place(link, size), value(c, "fault_mean_s"), best[1], 0.2,
                  False, "QEMU preempt")
        bare = r.result["limits"].get(link, {}).get("fault_p50_s")
        if bare:
            r.add("page request, median", place(link, size), value(c, "fault_p50_s"), bare,
                  2 if link == "veth" else 4, False, "a bare fault")
        r.add("first heartbeat after post-copy", place(link, size), value(c, "gap_s"),
              0.020 + 10 * rtt, 1, False, "the limit")
        back = r.best(POST, "back_s", True, link, size, rate=2000)
        if back:
            r.add("back at 90 % of its rate", place(link, size), value(c, "back_s"), back[1], 0.5,
                  False, f"QEMU {back[0]}")


def lengths(r, sizes, links):
    """How long post-copy takes, before GO and in all, and what it costs."""
    for link in links:
        r.compare("post-copy, total time", POST, "total_s", 1, link, sizes[0], mode="postcopy",
                  rate=2000)
        r.compare("post-copy, processor time", POST, "cpu_s", 1, link, sizes[0], mode="postcopy",
                  rate=2000)
        for size in sizes:
            c = r.get("ours", "postcopy", link, size, rate=2000)
            if not c:
                continue
            before = c["total_s"] - c["pull_s"] if c["ok"] else None
            r.add("post-copy, until GO", place(link, size), before,
                  0.1 + 0.2 * (size - 512) / 1024, 1, False, "the limit")
            raw = max((r.result["limits"].get(link, {}).get(f"stream{n}_gib_s", 0)
                       for n in (1, 2)))
            if link == "1g" and raw:
                r.add("post-copy, total time", place(link, size), value(c, "total_s"),
                      size / 1024 / raw, 1.05, False, "memory / plain stream")


def fast_writer(r, size, links):
    for link in links:
        c = r.get("ours", "hybrid", link, size, rate=60000)
        line = race_net.LINKS[link][0]
        if c and line:
            r.add("fast writer, total time", place(link, size), value(c, "total_s"),
                  size * (1 << 20) / line, 1.1, False, "memory / link rate")
            r.add("fast writer, bytes", place(link, size), value(c, "wire_bytes"),
                  size * (1 << 20), 1.1, False, "memory")
            r.compare("fast writer, total time", ("hybrid",), "total_s", 1, link, size,
                      mode="hybrid", rate=60000)


def compression(r, size, links):
    for link in links:
        for contents, resident, bound, where in (
                ("text", False, 0.4, ("1g", "1g1ms")), ("text", True, 0.4, ("1g", "1g1ms")),
                ("random", True, 1.03, links), ("half", True, 1.03, links)):
            off, on = (r.get("ours", "precopy", link, size, contents=contents, resident=resident,
                             extra=extra) for extra in ("", "/compress-auto"))
            if off and on and link in where:
                r.add(f"compressing {contents}" + memory(resident), place(link, size),
                      value(on, "total_s"), value(off, "total_s"), bound, False, "uncompressed")


def growth_rows(r, growth):
    first = r.get("ours", "precopy", "veth", growth[0], resident=True) if growth else None
    for size in growth[1:]:
        c = r.get("ours", "precopy", "veth", size, resident=True)
        if not first or not c:
            continue
        t = value(first, "total_s")
        r.add("growth, total time", place("veth", size), value(c, "total_s"),
              t * size / growth[0] if t else None, 1.1, False, "in proportion")
        for side in ("source", "sink"):
            a, b = value(first, f"{side}_own_kib"), value(c, f"{side}_own_kib")
            if a is not None and b is not None:
                r.add(f"growth, {side}'s memory", place("veth", size), max(b - a, 0) / 1024,
                      (size - growth[0]) / 256, 1, False, "1/256 of the guest, MiB")


def rows(result, sizes, links, growth):
    r = Rows(result)
    copy_rates(r, sizes, links)
    small = sizes[0]
    for link in links:
        for resident in (False, True):
            r.compare("half-zero" + memory(resident), PRE, "total_s", 0.6, link, small,
                      contents="half", resident=resident)
        c = r.get("ours", "precopy", link, small, extra="/tls")
        best = r.best(PRE, "total_s", True, link, small, extra="/tls")
        if c and best:
            r.add("rate, encrypted", place(link, small), rate(c, small), small / 1024 / best[1],
                  0.8, True, f"QEMU {best[0]}")
    latencies(r, small, links)
    lengths(r, sizes, links)
    fast_writer(r, small, links)
    compression(r, small, links)
    growth_rows(r, growth)
    return r.rows


def short(x):
    return "failed" if x is None else f"{x:.4g}"


def table(found):
    """Rows by figure, within 80 columns."""
    print(f"\n  {'where':15} {'ours':>7} {'other':>7} {'ratio':>7} {'needed':14} against")
    for figure in dict.fromkeys(row["figure"] for row in found):
        print(figure)
        for row in (r for r in found if r["figure"] == figure):
            need = f">= {row['at_least']}" if "at_least" in row else f"<= {row['at_most']}"
            print(f"  {row['where']:15} {short(row['ours']):>7} {short(row['other']):>7} "
                  f"{short(row['ratio']):>7} {need:7} {'met' if row['met'] else 'MISSED':6} "
                  f"{row['against']}")
    missed = sum(not row["met"] for row in found)
    print(f"{len(found) - missed} of {len(found)} targets met")
