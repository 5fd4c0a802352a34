# SPDX-License-Identifier: MIT
"""Sockets that the daemon is started with: of a socket unit, or of the daemon before."""

import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import threading

from daemonlib.control import ControlGate, outcome
from daemonlib.gate import (DEADLINE, TLSGATED, Backend, Gate, children, echo, free_port, listens, log_text, need, path, peer_name,
                            start, test, wait_until, write)
from daemonlib.kills import session
from daemonlib.load import Load
from daemonlib.reload import state_of

SERVE = ("--data-path=user", "--cert=one.pem", "--key=one.key")


# Moves descriptors to where sd_listen_fds(3) looks, and becomes the program.
PASS = """
import os, sys
count = int(sys.argv[1])
high = [os.dup2(int(fd), 100 + i) for i, fd in enumerate(sys.argv[3:3 + count])]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.closerange(3 + count, 200)
os.environ.update(LISTEN_FDS=str(count), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3 + count], sys.argv[3 + count:])
"""


def started_with(fds, names, *argv, more=()):
    return start(*argv, before=[*more, sys.executable, "-c", PASS, str(len(fds)), ":".join(names), *map(str, fds)],
                 pass_fds=fds)


class Passed(Gate):
    """Of sockets and their names, as systemd passes them."""

    def __init__(self, port, backend, fds, names, *options, more=()):
        self.port = port
        self.process = started_with(fds, names, "serve", "127.0.0.1:%d" % port, backend, *SERVE, *options, more=more)
        self.ready(1)


class Store:
    """What systemd does with the messages of a unit: fds is its descriptor store."""

    def __init__(self, name):
        self.fds, self.states = [], []
        self.path = path(name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.env = ["env", "NOTIFY_SOCKET=" + self.path]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            text, fds, _, _ = socket.recv_fds(self.socket, 4096, 256)
            self.take(text.decode().split("\n"), fds)

    def take(self, lines, fds):
        if "FDSTOREREMOVE=1" in lines:
            for fd in self.fds:
                os.close(fd)
            self.fds = []
        if "FDSTORE=1" in lines:
            need("FDNAME=tlsgate-listener" in lines, str(lines))
            self.fds += fds
        self.states += lines

    def holds(self, count):
        wait_until(lambda: "READY=1" in self.states and len(self.fds) == count, "%d sockets are stored" % count)


@test
def a_restart_keeps_the_sockets():
    store = Store("store")
    with Backend().echo() as backend, Gate("serve", backend.address, before=store.env) as gate:
        store.holds(2)
        fds = [os.dup(fd) for fd in store.fds]
        with gate.connect() as connection:
            gate.process.send_signal(signal.SIGUSR1)
            need(gate.process.wait(DEADLINE) == 0, "exit status")
            plain = [gate.connect_plain() for _ in range(8)]    # nobody accepts at the moment
            with Passed(gate.port, backend.address, fds, ["tlsgate-listener"] * 2, "--workers=3", more=store.env) as new:
                wait_until(lambda: len(store.fds) == 3, "what is served is stored")
                gate.connect_plain = plain.pop
                while plain:
                    with gate.connect() as waited:
                        echo(waited)
                with new.connect() as after:
                    echo(after)
            echo(connection)
    for fd in fds:
        os.close(fd)


@test
def a_socket_of_before_that_no_gate_has_is_closed():
    port = free_port()
    old = socket.create_server(("127.0.0.1", 0))
    before = old.getsockname()[1]
    with Backend() as backend, Passed(port, backend.address, [old.fileno()], ["tlsgate-listener"]):
        old.close()
        need("the socket at 127.0.0.1:%d, of before, is closed: no gate listens there" % before in log_text(), log_text())
        need(not listens(before) and listens(port), "who listens")


@test
def a_socket_unit_with_too_much():
    """What no gate names is closed, with a line for each; the rest serves."""
    with socket.create_server(("127.0.0.1", 0)) as used, socket.create_server(("127.0.0.1", 0)) as unused, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local, Backend().echo() as backend:
        local.bind(path("passed.socket"))
        fds = [s.fileno() for s in (unused, used, local)]
        with Passed(used.getsockname()[1], backend.address, fds, ["tlsgated.socket"] * 3) as gate:
            need("127.0.0.1:%d, which systemd passed, is closed: no gate listens there" % unused.getsockname()[1]
                 in log_text(), log_text())
            need("descriptor 5, which systemd passed, is closed: it is no listening socket of TCP or UNIX" in log_text(), log_text())
            need(log_text().count("systemd passed") == 2, log_text())
            with gate.connect() as connection:
                echo(connection)


# ---- SIGUSR2 ------------------------------------------------------------------------------

class UpgradeGate(ControlGate):
    """Its program is a file that a test exchanges."""

    def __init__(self, backend, before=()):
        self.port, self.backend, self.socket = free_port(), backend, path("upgrade.socket")
        self.config()
        self.put(open(TLSGATED, "rb").read())
        self.process = start("-c", "control.conf", before=["setsid", *before], program=path("program"))
        self.ready(1)

    @staticmethod
    def put(content):
        """As a package does: under another name first, since the old one is busy."""
        with open(path("program.new"), "wb") as file:
            file.write(content)
        os.chmod(path("program.new"), 0o755)
        os.rename(path("program.new"), path("program"))

    def upgrade(self):
        """The next monitor's number."""
        outcomes = [log_text().count(text) for text in ("upgraded: process", "upgrade refused")]
        os.kill(self.monitor(), signal.SIGUSR2)
        wait_until(lambda: log_text().count("upgraded: process") > outcomes[0] or
                   log_text().count("upgrade refused") > outcomes[1], "the upgrade")
        need(log_text().count("upgrade refused") == outcomes[1], log_text())
        return self.monitor()

    def monitor(self):
        found = re.findall("upgraded: process ([0-9]+) serves", log_text())
        return int(found[-1]) if found else self.process.pid

    def refuses(self):
        count = log_text().count("upgrade refused")
        self.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: log_text().count("upgrade refused") > count, "the refusal")
        need("upgrade refused: the next daemon ended before it served, as the lines before say: what ran before goes on"
             in log_text(), log_text())

    def __exit__(self, kind, *rest):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.monitor(), signal.SIGTERM)
        super().__exit__(kind, *rest)
        wait_until(lambda: not session(self.process.pid), "every process ends")
        need(kind or not os.path.exists(self.socket), "the control socket is still there")


@test
def an_upgrade_takes_over():
    store = Store("store.upgrade")
    with Backend().echo() as backend, UpgradeGate(backend.address, before=store.env) as gate:
        before = gate.connect()
        echo(before)
        write("control.conf", open(path("control.conf")).read().replace("one.", "two."))
        next_one = gate.upgrade()
        wait_until(lambda: "MAINPID=%d" % next_one in store.states, "systemd is told")
        need(next_one not in children(gate.process.pid), "systemd watches its own children only")
        need("STOPPING=1" not in store.states, "the service does not stop")
        with gate.connect() as after:
            need(peer_name(after) == "two", "the next daemon serves: " + peer_name(after))
            echo(after)
        need([g["name"] for g in gate.ask(b"gates\n")["gates"]] == ["web"], "it answers on the control socket")
        echo(before)
        before.unwrap()
        need(gate.process.wait(DEADLINE) == 0, "exit status")
        outcome(gate.tlsgate("reload"), 0)
        outcome(gate.tlsgate("upgrade"), 0, "upgraded")
        another = gate.monitor()
        wait_until(lambda: not os.path.exists("/proc/%d" % next_one), "nothing keeps the one before")
        need(another != next_one, "a further upgrade")
        with gate.connect() as after:
            echo(after)


def scrape(address):
    """The first line that a scraper gets."""
    if address.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX)
        client.connect(address[5:])
    else:
        client = socket.create_connection(("127.0.0.1", int(address.split(":")[-1])), timeout=DEADLINE)
    with client:
        client.settimeout(DEADLINE)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return client.recv(65536).split(b"\r\n")[0]


@test
def an_upgrade_keeps_the_address_of_metrics():
    for address in (":%d" % free_port(), "unix:" + path("scraped")):
        with Backend() as backend, UpgradeGate(backend.address) as gate:
            head = 'control = "%s"\nmetrics = "%s"\n' % (gate.socket, address)
            gate.config(head)
            outcome(gate.tlsgate("reload"), 0)
            gate.config(head + "nonsense = 1")
            gate.refuses()
            gate.config(head, key="absent")
            gate.refuses()
            need(scrape(address) == b"HTTP/1.1 200 OK", "after a refusal")
            gate.config(head)
            gate.upgrade()
            need(scrape(address) == b"HTTP/1.1 200 OK", "after the upgrade")


@test
def a_refused_upgrade_changes_nothing():
    with Backend().echo() as backend, UpgradeGate(backend.address) as gate:
        workers = gate.workers()
        gate.put(b"#!/bin/sh\nexit 3\n")
        gate.refuses()
        gate.put(b"no program")
        gate.refuses()
        os.unlink(path("program"))
        gate.refuses()
        shutil.copy(TLSGATED, path("program"))
        write("control.conf", open(path("control.conf")).read() + "nonsense = 1\n")
        gate.refuses()
        gate.config(key="absent")
        gate.refuses()
        # the tool says what is wrong: as it is found by the next monitor, by its keyd, and where there is no program
        outcome(gate.tlsgate("upgrade"), 1, "tlsgate: control.conf:[0-9]+:[0-9]+: refused: .*key 'absent.key'",
                "tlsgate: upgrade refused: the next daemon ended before it served")
        write("control.conf", open(path("control.conf")).read() + "nonsense = 1\n")
        outcome(gate.tlsgate("upgrade"), 1, "tlsgate: control.conf:[0-9]+:1: refused: no setting is called 'nonsense'")
        os.unlink(path("program"))
        outcome(gate.tlsgate("upgrade"), 1, "cannot be started: No such file or directory")
        shutil.copy(TLSGATED, path("program"))
        gate.config()
        need(gate.workers() == workers, "the same workers")
        need(gate.ask(b"gates\n")["status"] == "ok", "the control socket")
        with gate.connect() as connection:
            echo(connection)


@test
def a_stop_does_not_wait_for_an_upgrade():
    with Backend() as backend, UpgradeGate(backend.address) as gate:
        gate.put(b"#!/bin/sh\nexec sleep 1000\n")
        gate.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: "is started, with the sockets" in log_text(), "the upgrade")
        outcome(gate.tlsgate("reload"), 1, "an upgrade is under way")
        outcome(gate.tlsgate("upgrade"), 1, "an upgrade is under way")


@test
def a_daemon_whose_predecessor_dies_gives_up():
    with Backend() as backend, UpgradeGate(backend.address) as gate:
        gate.put(b"#!/bin/sh\nkill -STOP $$\nexec %s \"$@\"\n" % TLSGATED.encode())
        gate.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: [pid for pid in session(gate.process.pid) if state_of(pid) == "T"], "it stops")
        held = [pid for pid in session(gate.process.pid) if state_of(pid) == "T"][0]
        gate.process.kill()
        gate.process.wait(DEADLINE)
        os.kill(held, signal.SIGCONT)
        wait_until(lambda: not session(held) and not session(gate.process.pid), "every process ends")
        need("upgrade given up: the daemon of before has ended" in log_text(), log_text())
        gate.process = start("-c", "control.conf", before=["setsid"])
        gate.ready(1)


# ---- under load ---------------------------------------------------------------------------

ROUNDS, CONNECTIONS = 5, 1000


@contextlib.contextmanager
def load_on(gate):
    """At half the rate that client and daemon reach together; none of it is refused or broken."""
    load, over = Load(path("ca.pem"), gate.port), threading.Event()
    load.measure()
    thread = threading.Thread(target=load.run, args=(over.is_set, CONNECTIONS))
    thread.start()
    try:
        yield load
    finally:
        over.set()
        thread.join()
    need(not load.broken, "%d of %d: %s" % (len(load.broken), load.done, sorted(set(load.broken))))
    need(load.done >= CONNECTIONS, "%d connections" % load.done)
    print("# %d connections, %.0f a second of %.0f" % (load.done, load.rate / 2, load.rate))


def await_connections(load, count):
    done = load.done
    wait_until(lambda: load.done >= done + count, "%d more connections" % count, 4 * DEADLINE)


@test
def upgrades_under_load_break_nothing():
    with Backend().echo() as backend, UpgradeGate(backend.address) as gate, load_on(gate) as load:
        for _ in range(ROUNDS):
            await_connections(load, CONNECTIONS // ROUNDS // 2)
            gate.upgrade()


@test
def restarts_under_load_break_nothing():
    store = Store("store.load")
    with Backend().echo() as backend, Gate("serve", backend.address, before=store.env) as gate, load_on(gate) as load:
        for _ in range(ROUNDS):
            await_connections(load, CONNECTIONS // ROUNDS // 2)
            store.holds(2)
            fds = [os.dup(fd) for fd in store.fds]
            gate.process.send_signal(signal.SIGUSR1)
            need(gate.process.wait(DEADLINE) == 0, "exit status")
            gate.process = Passed(gate.port, backend.address, fds, ["tlsgate-listener"] * 2, "--workers=2",
                                  more=store.env).process
            for fd in fds:
                os.close(fd)
