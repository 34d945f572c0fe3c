# SPDX-License-Identifier: LGPL-2.1-or-later
"""One move of a guest by QEMU, driven by QMP: the race's other runner.

The guest is tests/bench/payload. Both QEMUs run here, each in a network namespace of its own.
"""

import json
import os
import socket
import subprocess
import threading
import time

PORT = 4444
TICK_S = 0.001  # the payload's heartbeat
READY_S = 120  # until it has filled its memory
MOVE_S = 900
UNLIMITED = 1 << 40  # bytes per second

# What QEMU is asked for in each mode: capabilities, and whether to switch to post-copy.
MODES = {
    "precopy": ({}, None),
    "multifd2": ({"multifd": 2}, None),
    "multifd4": ({"multifd": 4}, None),
    "postcopy": ({"postcopy-ram": True}, 0),
    "preempt": ({"postcopy-ram": True, "postcopy-preempt": True}, 0),
    "hybrid": ({"postcopy-ram": True, "postcopy-preempt": True}, 1),
}


class Failed(Exception):
    """QEMU did not do what it was asked to."""


class Beats:
    """What a guest writes to its console: when, and how many pages it has written till then."""

    def __init__(self, path):
        self.path = path
        self.seen = []  # (monotonic ns, pages written since the last one)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            conn = self.listener.accept()[0]
            while True:
                data = conn.recv(4096)
                if not data:
                    return
                self.seen.append((time.monotonic_ns(), sum(data)))
        except OSError:
            return

    def close(self):
        self.listener.close()


class Qemu:
    """One QEMU process and its QMP connection."""

    def __init__(self, where, name, netns, case, accel, payload, incoming):
        self.beats = Beats(f"{where}/{name}.beats")
        qmp = f"{where}/{name}.qmp"
        memory = f"memory-backend-ram,id=ram,size={case['size']}M"
        if case["resident"]:
            memory += ",prealloc=on"
        args = ["ip", "netns", "exec", netns, "qemu-system-x86_64", "-machine",
                f"pc,accel={accel},memory-backend=ram", "-m", str(case["size"]), "-object", memory,
                "-nodefaults", "-no-user-config", "-display", "none", "-kernel", payload,
                "-append", append_line(case), "-qmp", f"unix:{qmp},server=on,wait=off",
                "-chardev", f"socket,id=beats,path={where}/{name}.beats",
                "-device", "isa-debugcon,iobase=0xe9,chardev=beats"]
        if accel == "kvm":
            args += ["-global", "kvm-pit.lost_tick_policy=discard"]
        if case["tls"]:
            end = "server" if incoming else "client,username=race"
            args += ["-object", f"tls-creds-psk,id=tls0,dir={where},endpoint={end}"]
        if incoming:
            args += ["-incoming", "defer"]
        self.log = open(f"{where}/{name}.log", "wb")
        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        try:
            self._connect(qmp)
        except BaseException:
            self.end()
            raise

    def _connect(self, path):
        until = time.monotonic() + 30
        while True:
            self.qmp = socket.socket(socket.AF_UNIX)
            try:
                self.qmp.connect(path)
                break
            except OSError as e:
                self.qmp.close()
                if self.process.poll() is not None or time.monotonic() > until:
                    raise Failed(f"QEMU does not answer: {self.last_words()}") from e
                time.sleep(0.02)
        self.qmp.settimeout(60)
        self.lines = self.qmp.makefile("r")
        self.line()  # its greeting
        self.ask("qmp_capabilities")

    def line(self):
        try:
            return self.lines.readline()
        except ConnectionResetError:  # it has ended with something unread
            return ""

    def ask(self, what, **arguments):
        message = {"execute": what}
        if arguments:
            message["arguments"] = arguments
        try:
            self.qmp.sendall(json.dumps(message).encode() + b"\n")
        except BrokenPipeError as e:
            raise Failed(f"QEMU went away at {what}: {self.last_words()}") from e
        while True:
            line = self.line()
            if not line:
                raise Failed(f"QEMU went away at {what}: {self.last_words()}")
            answer = json.loads(line)
            if "error" in answer:
                raise Failed(f"{what}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def last_words(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as f:
            return " ".join(f.read().split())[-200:] or "it said nothing"

    def cpu_s(self):
        """Processor time of everything but its virtual CPU."""
        vcpus = {c["thread-id"] for c in self.ask("query-cpus-fast")}
        ticks = os.sysconf("SC_CLK_TCK")
        pid = self.process.pid
        threads = [int(t) for t in os.listdir(f"/proc/{pid}/task")]
        # Threads that have ended are in the process's sum and in no thread's.
        return (spent(f"/proc/{pid}/stat") - sum(spent(f"/proc/{pid}/task/{t}/stat")
                                                 for t in threads if t in vcpus)) / ticks

    def end(self):
        self.process.kill()
        self.process.wait()
        self.beats.close()
        self.log.close()


def spent(path):
    with open(path, encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def append_line(case):
    words = [f"zero={case['zero']}", f"rate={case['rate']}"]
    if case["text"]:
        words.append("text")
    return " ".join(words)


def wait_for(qemu, what, limit_s):
    until = time.monotonic() + limit_s
    while not what():
        if qemu.process.poll() is not None:
            raise Failed(f"QEMU has ended: {qemu.last_words()}")
        if time.monotonic() > until:
            raise Failed("QEMU took too long")
        time.sleep(0.01)


def usable_accel(where, payload, netns):
    """KVM, if a guest really runs with it here; else emulation."""
    case = {"size": 64, "resident": False, "zero": 7, "rate": 0, "text": False, "tls": False}
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    qemu = None
    try:
        qemu = Qemu(where, "probe", netns, case, "kvm", payload, False)
        wait_for(qemu, lambda: qemu.beats.seen, 10)
        return "kvm"
    except Failed:
        return "tcg"
    finally:
        if qemu:
            qemu.end()


def set_up(qemu, case, incoming):
    asked, _ = MODES[case["mode"]]
    on = ["events"] + [c for c in asked]
    if incoming and "postcopy-ram" in asked:
        on.append("postcopy-blocktime")
    qemu.ask("migrate-set-capabilities",
             capabilities=[{"capability": c, "state": True} for c in on])
    parameters = {"max-bandwidth": UNLIMITED, "downtime-limit": case["downtime_ms"]}
    if "postcopy-ram" in asked:
        parameters["max-postcopy-bandwidth"] = 0
    if "multifd" in asked:
        parameters["multifd-channels"] = asked["multifd"]
    if case["tls"]:
        parameters["tls-creds"] = "tls0"
    qemu.ask("migrate-set-parameters", **parameters)


def follow(source, case, give_up_s):
    """Until the migration has ended; switches to post-copy when the mode says so."""
    _, after_pass = MODES[case["mode"]]
    until = time.monotonic() + give_up_s
    while True:
        info = source.ask("query-migrate")
        status = info.get("status", "none")
        # It is "completed" a moment before its figures are.
        if status == "completed" and info.get("total-time"):
            return info
        if status in ("failed", "cancelled", "postcopy-paused"):
            raise Failed(f"the migration {status}: {info.get('error-desc', 'no reason given')}")
        if after_pass is not None and status == "active":
            passes = info.get("ram", {}).get("dirty-sync-count", 0)
            if passes > after_pass:
                source.ask("migrate-start-postcopy")
                after_pass = None
        if time.monotonic() > until:
            return None
        time.sleep(0.002)


def samples(source, sink):
    """(ns, pages written so far) of the guest, wherever it was."""
    total, out = 0, []
    for t, n in sorted(source.beats.seen + sink.beats.seen):
        total += n
        out.append((t, total))
    return out


class Move:
    """A guest and its move by QEMU, in steps: it runs once this is made."""

    def __init__(self, where, netns, addr, case, accel, payload, port=PORT):
        self.case = case
        self.uri = f"tcp:{addr}:{port}"
        self.source = self.sink = None
        for name in os.listdir(where):
            if name.startswith(("a.", "b.")):
                os.unlink(f"{where}/{name}")
        try:
            self.sink = Qemu(where, "b", netns[1], case, accel, payload, True)
            self.source = Qemu(where, "a", netns[0], case, accel, payload, False)
            wait_for(self.source, lambda: self.source.beats.seen, READY_S)
        except BaseException:
            self.end()
            raise

    def prepare(self):
        set_up(self.sink, self.case, True)
        set_up(self.source, self.case, False)
        self.sink.ask("migrate-incoming", uri=self.uri)

    def go(self):
        """Move it. Returns seconds, and what QEMU says of it: None if it did not converge."""
        self.cpu = self.source.cpu_s() + self.sink.cpu_s()
        began = time.monotonic()
        self.source.ask("migrate", uri=self.uri)
        info = follow(self.source, self.case, self.case.get("give_up_s", MOVE_S))
        return time.monotonic() - began, info

    def arrive(self):
        """The guest runs there, with all its memory."""
        wait_for(self.sink, lambda: self.sink.beats.seen, 30)
        wait_for(self.sink, lambda: self.sink.ask("query-migrate").get("status") == "completed", 60)
        self.cpu = self.source.cpu_s() + self.sink.cpu_s() - self.cpu

    def gap_s(self):
        """From its last beat at the source to its first at the destination."""
        return (self.sink.beats.seen[0][0] - self.source.beats.seen[-1][0]) / 1e9

    def end(self):
        for q in (self.source, self.sink):
            if q:
                q.end()


def move(where, netns, addr, case, accel, payload):
    """Returns figures as race_guest gives them, as far as QEMU knows them."""
    m = Move(where, netns, addr, case, accel, payload)
    try:
        time.sleep(0.3)
        m.prepare()
        # See race_guest.c.
        subprocess.run([f"{os.path.dirname(payload)}/race_guest", "--warm", str(case["size"])],
                       check=True)
        total, info = m.go()
        if info is None:
            return {"ok": False, "error": f"did not converge in {total:.0f} s", "total_s": total}
        m.arrive()
        time.sleep(1)
        there = m.sink.ask("query-migrate")
        ram = info["ram"]
        asked = ram.get("postcopy-requests", 0)
        blocked_ms = sum(there.get("postcopy-vcpu-blocktime", [])) if asked else 0
        return {
            "ok": True,
            "total_s": info["total-time"] / 1000,
            "own_down_s": info.get("downtime", 0) / 1000,
            "gap_s": m.gap_s(),
            "switched_ns": m.source.beats.seen[-1][0],
            "wire_bytes": ram["transferred"],
            "data_pages": ram.get("normal", 0),
            "requested": asked,
            "fault_mean_s": blocked_ms / 1000 / asked if asked else 0,
            "cpu_s": m.cpu,
            "samples": samples(m.source, m.sink),
        }
    finally:
        m.end()


def tls_key(where):
    """A key for both sides, as gnutls's psktool would make it."""
    path = f"{where}/keys.psk"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="ascii") as f:
        f.write("race:" + os.urandom(32).hex() + "\n")
