# SPDX-License-Identifier: MIT
"""
Any process killed at any instant of a reload: what ran before goes on, or another takes its place;
nothing hangs and nothing is left. KILL_SEED=N runs one round.
"""

import collections
import os
import random
import signal
import subprocess
import time

from daemonlib.gate import (DEADLINE, TLSGATE, Backend, Gate, children, echo, free_port, log_text, name_of, need, path,
                            start, test, tmp, wait_until, write)
from daemonlib.log_targets import Syslog
from daemonlib.names import HOSTS

ROUNDS = 20
INSTANTS = 0.04                 # seconds from a fork on, most often few: so long does a reload take
FACILITIES = ("local0", "local1")       # a reload to the other one replaces the log process
WHOLE = {"tlsgated-keyd": 1, "tlsgated-w0": 1, "tlsgated-w1": 1, "tlsgated-log": 1, "tlsgated-names": 1}


def session(leader):
    """All processes of it; a zombie is none."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(pid))
    return found


class KillGate(Gate):
    """With one process of each kind."""

    def __init__(self, log, backend):
        self.log, self.backend, self.facility = log, backend, 0
        self.port, self.other = free_port(), free_port()
        write("hosts", "127.0.0.1 backend.test\n")
        write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self.begin()

    def begin(self):
        self.write()
        self.process = start("-c", "kills.conf", before=["setsid", *self.log.before, "sh", "-c", HOSTS, "sh"])
        self.settle("its start")
        self.files = self.open_files()

    def write(self):
        gate = """gate %s { mode = serve  data-path = user  cert = one.pem  key = one.key
  listen = "127.0.0.1:%d"  backend = "%s" }
"""
        write("kills.conf", "workers = 2\nstop-time = 0\nlog = syslog\nlog-facility = %s\ncontrol = %s\n%s%s" % (
            FACILITIES[self.facility], path("kills.socket"), gate % ("web", self.port, self.backend.address),
            gate % ("named", self.other, self.backend.address.replace("127.0.0.1", "backend.test"))))

    def reload(self):
        self.facility ^= 1
        self.write()
        return subprocess.Popen([TLSGATE, "-S", path("kills.socket"), "reload"], cwd=tmp, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def open_files(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def is_whole(self):
        mine = children(self.process.pid)
        names = collections.Counter(name_of(pid) for pid in mine)
        return names == WHOLE and len(children(self.keyd()[0])) == 2 and len(session(self.process.pid)) == 8

    def settle(self, text):
        wait_until(lambda: self.process.poll() is not None or self.is_whole(),
                   text + ": %s" % sorted(name_of(pid) for pid in session(self.process.pid)))
        need(self.process.poll() is None, "%s: tlsgated ended: %s" % (text, log_text()))


def visit(gate):
    with gate.connect() as connection:
        echo(connection)
        connection.unwrap()


def new_child(gate, before, reload, number):
    """The number-th that the reload forks; None: it is over."""
    while reload.poll() is None:
        new = [pid for pid in children(gate.process.pid) if pid not in before]
        if len(new) > number:
            return new[number]
    return None


def kill_one(gate, reload, victim, before, delay):
    """keyd is forked first, then both workers, then the log process."""
    if victim in ("monitor", "names"):
        pid = gate.process.pid if victim == "monitor" else next(p for p in before if name_of(p) == "tlsgated-names")
    else:
        pid = new_child(gate, before, reload, {"keyd": 0, "first worker": 1, "second worker": 2, "log": 3}[victim])
    until = time.monotonic() + delay
    while time.monotonic() < until:
        pass
    if pid and pid in (gate.process.pid, *children(gate.process.pid)):
        os.kill(pid, signal.SIGKILL)


def one_round(gate, seed, victims):
    dice = random.Random(seed)
    victim, delay = victims[seed % len(victims)], INSTANTS * dice.random() ** 2
    what = "seed %d, %s killed after %.1f ms" % (seed, victim, delay * 1000)
    with gate.connect() as connection:
        echo(connection)
        before = children(gate.process.pid)
        reload = gate.reload()
        kill_one(gate, reload, victim, before, delay)
        said, _ = reload.communicate(timeout=DEADLINE)
        need(reload.returncode in (0, 1), "%s: status %d: %s" % (what, reload.returncode, said))
        try:
            echo(connection)
            connection.unwrap()
            if victim != "monitor":
                visit(gate)
        except OSError as error:
            raise AssertionError("%s: %s" % (what, error)) from error
    if victim != "monitor":
        gate.settle(what)
        wait_until(lambda: gate.open_files() <= gate.files, what + ": the monitor's files: %d" % gate.open_files())
        visit(gate)
        return
    leader = gate.process.pid
    need(gate.process.wait(DEADLINE) == -signal.SIGKILL, what)
    wait_until(lambda: not session(leader), what + ": left over: %s" % [name_of(pid) for pid in session(leader)])
    gate.begin()
    visit(gate)


def seeds(rounds):
    return [int(os.environ["KILL_SEED"])] if "KILL_SEED" in os.environ else range(rounds)


@test
def a_child_killed_at_any_instant_of_a_reload_stops_nothing():
    with Syslog() as log, Backend().echo() as backend, KillGate(log, backend) as gate:
        for seed in seeds(ROUNDS):
            one_round(gate, seed, ("keyd", "first worker", "second worker", "log", "names"))
            log.read()


@test
def a_monitor_killed_at_any_instant_of_a_reload_leaves_nothing():
    with Syslog() as log, Backend().echo() as backend, KillGate(log, backend) as gate:
        for seed in seeds(ROUNDS // 2):
            one_round(gate, seed, ("monitor",))
            log.read()
