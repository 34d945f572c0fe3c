#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Made-up reports of moves, a line each, as `xl migrate --json` writes them.

reports.py NAME...    the first with all that a report can have, the others with less and less
"""
import json
import math
import sys


def history():
    samples = {"at_s": [], "phase": [], "wire_bytes": [], "pages": [], "dirty_pages_per_s": [],
               "missing": []}
    wire = pages = 0
    for i in range(100):
        t = i * 0.24
        phase = ("CHECK" if t < 0.8 else "SKELETON" if t < 2.9 else "COPY" if t < 17 else
                 "SWITCH" if t < 17.2 else "PULL" if t < 23.4 else "FINISH")
        if phase in ("COPY", "PULL"):
            wire += int(0.24 * (90 + 20 * math.sin(i / 5)) * 1e6)
            pages += int(0.24 * 30000 * (1 + 0.2 * math.sin(i / 3)))
        for name, value in (("at_s", t), ("phase", phase), ("wire_bytes", wire), ("pages", pages),
                            ("dirty_pages_per_s", 9000.5 if phase == "COPY" and t > 9 else None),
                            ("missing", 0)):
            samples[name].append(value)
    rounds = [{"round": n, "at_s": 2.9 + n, "took_s": 1, "pages": 262144 // n, "sent": 200000 // n,
               "zero": 4000, "dirty": 70000 // n if n < 40 else None} for n in range(1, 41)]
    return {"rounds": rounds, "samples": samples}


def report(name, n):
    o = {"type": "report", "xenferry": "0.9.0", "outcome": "moved", "exit_status": 0,
         "domain": name, "host": "host2", "transport": "tcp", "mode": "hybrid", "fallback": None,
         "encrypted": True, "cipher": "TLS1.3 AES-128-GCM", "began": 1796040000 + 9 * n,
         "total_s": 24.5, "downtime_s": 0.084, "predicted_downtime_s": 0.07,
         "phase_s": {"CHECK": 0.8, "SKELETON": 2.1, "COPY": 14.2, "SWITCH": 0.1, "PULL": 7.0,
                     "FINISH": 0.3},
         "switch_reason": "copying no longer pays",
         "switch": {"suspend_s": 0.021, "last_dirty_s": 0.004, "last_pages_s": 0.043,
                    "resume_s": 0.016},
         "guest_pages": 262144, "pages_sent": 300000, "pages_zero": 40000, "pages_skipped": 1200,
         "last_pages": 800, "wire_bytes": 911234567,
         "compression": {"lz4_pages": 100000, "zstd_pages": 20000, "packed_bytes": 190000000,
                         "cpu_s": 3.2}}
    if n < 2:
        o["history"] = history()
        o["pull"] = {"left_out": 25600, "faults": 1234, "requested": 900, "fault_median_s": 0.0004,
                     "fault_p99_s": 0.004, "network_held_s": 7.1,
                     "fault_latency": [2, 0, 0, 0, 1, 5, 22, 180, 560, 300, 120, 40, 5, 1] +
                                      [0] * 9 + [1]}
    if n == 2:
        o.update(outcome="stayed", exit_status=3, downtime_s=None,
                 error="the link was lost and not re-established",
                 advice=f"{name} never stopped: it runs on here.")
    return o


for number, domain in enumerate(sys.argv[1:]):
    print(json.dumps({"type": "progress", "phase": "COPY"}))
    print(json.dumps(report(domain, number)))
