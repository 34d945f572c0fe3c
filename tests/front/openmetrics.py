#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Read OpenMetrics text by the rules of its specification (version 1.0), and besides only what the
older text format of Prometheus takes as well, by which a node exporter reads its directory.

openmetrics.py FILE    prints each sample as NAME LABEL=VALUE,... VALUE, or what is wrong (status 1)
"""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SUFFIXES = {"gauge": [""], "counter": ["_total", "_created"],
            "summary": ["", "_count", "_sum", "_created"]}


def fail(number, text):
    sys.exit(f"line {number}: {text}")


def read_labels(number, text):
    """The labels of a sample, with escapes undone, and the rest after them."""
    labels, at = {}, 1
    while text[at] != "}":
        m = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="').match(text, at)
        if not m:
            fail(number, f"no label at {text[at:]!r}")
        value, at = "", m.end()
        while text[at] != '"':
            if text[at] == "\\":
                at += 1
                if text[at] not in '\\"n':
                    fail(number, f"unknown escape \\{text[at]}")
                value += "\n" if text[at] == "n" else text[at]
            else:
                value += text[at]
            at += 1
        if m[1] in labels:
            fail(number, f"label {m[1]} twice")
        labels[m[1]] = value
        at += 1
        if text[at] == ",":
            at += 1
        elif text[at] != "}":
            fail(number, f"no end of the labels at {text[at:]!r}")
    return labels, text[at + 1:]


def main():
    with open(sys.argv[1], "rb") as f:
        lines = f.read().decode("utf-8").split("\n")
    if lines[-2:] != ["# EOF", ""] or "# EOF" in lines[:-2]:
        sys.exit("it does not end with # EOF")
    family, families, seen = None, {}, set()
    for number, line in enumerate(lines[:-2], 1):
        m = re.fullmatch(rf"# (TYPE|UNIT|HELP) ({NAME}) (.*)", line)
        if m:
            kind, name, text = m.groups()
            if kind == "TYPE":
                if name in families:
                    fail(number, f"{name} for the second time")
                if text not in SUFFIXES:
                    fail(number, f"a type that not both formats know: {text}")
                if text == "counter" and name.endswith("_total"):
                    fail(number, "_total belongs to the sample")
                family = name
                families[name] = {"TYPE": text, "samples": False}
                continue
            if name != family or kind in families[name] or families[name]["samples"]:
                fail(number, f"{kind} in the wrong place")
            if kind == "UNIT" and not name.endswith("_" + text):
                fail(number, f"{name} does not end with its unit")
            families[name][kind] = text
            continue
        m = re.match(rf"({NAME})", line)
        if not m or family is None:
            fail(number, f"neither a sample nor a description: {line!r}")
        name, rest = m[1], line[m.end():]
        if name not in [family + s for s in SUFFIXES[families[family]["TYPE"]]]:
            fail(number, f"a sample of {name} among those of {family}")
        families[family]["samples"] = True
        labels, rest = read_labels(number, rest) if rest.startswith("{") else ({}, rest)
        m = re.fullmatch(r" ([-+]?(?:[0-9]+(?:\.[0-9]*)?(?:e[-+]?[0-9]+)?|NaN|\+?Inf))", rest)
        if not m:
            fail(number, f"not a number, or something after it: {rest!r}")
        if families[family]["TYPE"] == "counter" and not float(m[1]) >= 0:
            fail(number, "a counter below 0")
        if families[family]["TYPE"] == "summary" and name == family:
            if not 0 <= float(labels.get("quantile", "-1")) <= 1:
                fail(number, "no quantile")
        series = (name, tuple(sorted(labels.items())))
        if series in seen:
            fail(number, f"{name} with the same labels for the second time")
        seen.add(series)
        print(name, ",".join(f"{k}={v}" for k, v in sorted(labels.items())) or "-", m[1])
    for name, of in families.items():
        if "HELP" not in of:
            sys.exit(f"{name} without HELP")


main()
