#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a guest got done before, during and after it changed hosts, one line for each way of
moving: pages touched per second, second by second, from 5 s before SWITCH to 10 s after it.

    plot.py OUT.svg NAME WORK BEATS [NAME WORK BEATS]...

WORK is the answer of `lab guest cmd G work` (the guest's clock in ns, touches so far), BEATS
what `lab watch stop` leaves. Prints the figures as JSON: {NAME: {"from_s": -5, "per_s": [...]}}.
"""

import json
import sys

from beats import Beats, interpolate

BEFORE, AFTER = 5, 10
WIDTH, HEIGHT = 800, 420
LEFT, RIGHT, TOP, BOTTOM = 78, 20, 56, 56
# Colours that are told apart also by who sees no red or green, and strokes for print.
STROKES = [("#0072b2", ""), ("#d55e00", "9 4"), ("#009e73", "2 4")]


def per_second(work, beats):
    """Touches in each second of [-BEFORE, AFTER) around the switch."""
    clock, done = [], []
    with open(work, encoding="ascii") as f:
        for line in f:
            ns, touches = (int(w) for w in line.split())
            clock.append(ns)
            done.append(touches)
    b = Beats(beats)
    edges = [b.switch_ns + s * 10**9 for s in range(-BEFORE, AFTER + 1)]
    if len(clock) < 2:
        raise SystemExit(f"{work}: the guest counted nothing")
    if b.guest_at(edges[0]) < clock[0] or b.guest_at(edges[-1]) > clock[-1]:
        raise SystemExit(f"{work}: does not reach from {BEFORE} s before the switch to {AFTER} s after it")
    if edges[0] < b.at[0] or edges[-1] > b.at[-1]:
        raise SystemExit(f"{beats}: was watched for too short a time around the switch")
    total = [interpolate(clock, done, b.guest_at(t)) for t in edges]
    return [round(y - x, 1) for x, y in zip(total, total[1:])]


def nice_step(top):
    """So that there are four to eight lines up to `top`."""
    step = 1
    while True:
        for f in (1, 2, 5):
            if top / (step * f) <= 8:
                return step * f
        step *= 10


def text(x, y, what, anchor="middle", size=13, more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="#222"{more}>{what}</text>')


def draw(series):
    step = nice_step(max([max(v) for v in series.values()] + [1]))
    top = step * (int(max(max(v) for v in series.values()) / step) + 1)

    def px(s):
        return LEFT + (s + BEFORE) / (BEFORE + AFTER) * (WIDTH - LEFT - RIGHT)

    def py(v):
        return HEIGHT - BOTTOM - v / top * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">',
           "<title>Work done by a guest while it moves</title>",
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for i in range(int(top / step) + 1):
        y = py(i * step)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        out.append(text(LEFT - 8, y + 4, f"{i * step:g}", "end"))
    for s in range(-BEFORE, AFTER + 1):
        out.append(f'<path d="M{px(s):.1f} {py(0):.1f}v5" stroke="#222"/>')
        out.append(text(px(s), HEIGHT - BOTTOM + 20, f"{s}"))
    out.append(f'<path d="M{LEFT} {py(0):.1f}H{WIDTH - RIGHT}M{LEFT} {TOP}V{py(0):.1f}" '
               'stroke="#222" fill="none"/>')
    out.append(f'<path d="M{px(0):.1f} {TOP}V{py(0):.1f}" stroke="#222" stroke-dasharray="4 3"/>')
    out.append(text(px(0) + 6, TOP + 12, "SWITCH", "start", 12))
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "time from SWITCH [s]"))
    mid = (TOP + HEIGHT - BOTTOM) / 2
    out.append(text(18, mid, "work done [pages touched per second]",
                    more=f' transform="rotate(-90 18 {mid:.1f})"'))
    for i, (name, values) in enumerate(series.items()):
        colour, dash = STROKES[i % len(STROKES)]
        line = f'stroke="{colour}" stroke-width="2.5" fill="none" stroke-dasharray="{dash}"'
        points = [(px(k - BEFORE + 0.5), py(v)) for k, v in enumerate(values)]
        out.append(f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}" {line}/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        x = LEFT + i * 190
        out.append(f'<path d="M{x} 26h40" {line}/>')
        out.append(text(x + 48, 31, name, "start", 14))
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    words = sys.argv[2:]
    if not words or len(words) % 3:
        raise SystemExit("usage: plot.py OUT.svg NAME WORK BEATS [NAME WORK BEATS]...")
    series = {words[i]: per_second(words[i + 1], words[i + 2]) for i in range(0, len(words), 3)}
    with open(sys.argv[1], "w", encoding="ascii") as f:
        f.write(draw(series))
    json.dump({n: {"from_s": -BEFORE, "per_s": v} for n, v in series.items()}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
