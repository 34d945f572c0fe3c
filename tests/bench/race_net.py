# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two network namespaces with a pair of veth between them, shaped as a link."""

import subprocess

NETNS = ("xfrace-a", "xfrace-b")
DEVICES = ("xfrace0", "xfrace1")
ADDRESSES = ("198.18.77.1", "198.18.77.2")  # for benchmarks, RFC 2544

# Bytes per second of the line, round trip in seconds, and the shaper on both ends.
LINKS = {
    "veth": (None, 0.0, None),
    "10g": (10e9 / 8, 0.0, "tbf rate 10gbit burst 1mb latency 10ms"),
    "1g": (1e9 / 8, 0.0, "tbf rate 1gbit burst 256kb latency 10ms"),
    "1g1ms": (1e9 / 8, 0.001, "netem delay 500us rate 1gbit limit 20000"),
}


def ip(*words, check=True):
    subprocess.run(["ip", *words], check=check, stdout=subprocess.DEVNULL,
                   stderr=None if check else subprocess.DEVNULL)


def take_down():
    for n in NETNS:
        ip("netns", "del", n, check=False)


def set_up():
    take_down()  # what a run that was killed has left
    for n in NETNS:
        ip("netns", "add", n)
    ip("link", "add", DEVICES[0], "netns", NETNS[0], "type", "veth", "peer", "name", DEVICES[1],
       "netns", NETNS[1])
    for n, d, a in zip(NETNS, DEVICES, ADDRESSES):
        ip("-n", n, "addr", "add", f"{a}/30", "dev", d)
        ip("-n", n, "link", "set", d, "up")
        ip("-n", n, "link", "set", "lo", "up")


def shape(link):
    """None, or why this machine cannot be made such a link."""
    for n, d in zip(NETNS, DEVICES):
        subprocess.run(["tc", "-n", n, "qdisc", "del", "dev", d, "root"], check=False,
                       stderr=subprocess.DEVNULL)
        if not LINKS[link][2]:
            continue
        done = subprocess.run(["tc", "-n", n, "qdisc", "add", "dev", d, "root",
                               *LINKS[link][2].split()], check=False, stderr=subprocess.PIPE)
        if done.returncode:
            return (f"tc {LINKS[link][2].split()[0]}: "
                    f"{done.stderr.decode(errors='replace').strip()}")
    return None


def path(side):
    return f"/run/netns/{NETNS[side]}"
