# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two network namespaces with a pair of veth between them, shaped as a link; where the kernel
has no netem, a link with a delay is race_delay.c's instead."""

import subprocess

NETNS = ("xfrace-a", "xfrace-b")
DEVICES = ("xfrace0", "xfrace1")
DELAY_DEVICES = ("xfdelay0", "xfdelay1")
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


class Link:
    """What is between the namespaces at the moment."""

    def __init__(self, delay_program):
        self.program = delay_program
        self.relay = None

    def plain(self):
        """The pair of veth, not shaped."""
        if self.relay:
            self.relay.stdin.close()
            self.relay.wait()
            self.relay.stdout.close()
            self.relay = None
            self._addresses("add", DEVICES)
        for n, d in zip(NETNS, DEVICES):
            subprocess.run(["tc", "-n", n, "qdisc", "del", "dev", d, "root"], check=False,
                           stderr=subprocess.DEVNULL)

    def shape(self, link):
        """How the link is made, and None; or None and why this machine cannot have it."""
        rate, round_trip, shaper = LINKS[link]
        self.plain()
        if not shaper:
            return "veth", None
        why = None
        for n, d in zip(NETNS, DEVICES):
            done = subprocess.run(["tc", "-n", n, "qdisc", "add", "dev", d, "root",
                                   *shaper.split()], check=False, stderr=subprocess.PIPE)
            if done.returncode:
                why = f"tc {shaper.split()[0]}: {done.stderr.decode(errors='replace').strip()}"
        if not why:
            return f"veth, tc {shaper}", None
        if not round_trip:
            return None, why
        self.plain()
        return self._delayed(rate, round_trip)

    def _delayed(self, rate, round_trip):
        where = [w for side in (0, 1) for w in (path(side), DELAY_DEVICES[side])]
        self.relay = subprocess.Popen([self.program, *where, str(rate), str(round_trip / 2 * 1e6)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._addresses("del", DEVICES)
        if self.relay.stdout.readline() != b"ready\n":
            self.plain()
            return None, "race_delay has failed"
        self._addresses("add", DELAY_DEVICES)
        for n, d in zip(NETNS, DELAY_DEVICES):
            ip("-n", n, "link", "set", d, "up")
        return "race_delay", None

    @staticmethod
    def _addresses(what, devices):
        for n, d, a in zip(NETNS, devices, ADDRESSES):
            ip("-n", n, "addr", what, f"{a}/30", "dev", d)


def path(side):
    return f"/run/netns/{NETNS[side]}"
