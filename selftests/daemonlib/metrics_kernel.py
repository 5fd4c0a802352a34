# SPDX-License-Identifier: MIT
"""Metrics of what the kernel carries; the module must be loaded."""

import contextlib
import socket
import subprocess

from daemonlib.deliver import Server
from daemonlib.gate import (DEADLINE, TLSGATE, Backend, Gate, Skip, TlsServer, echo, free_port, need, path, start,
                            stopped, test, wait_until, write)
from daemonlib.kernel import CCM, MODULE, sessions
from daemonlib.samples import metrics, total

SIZE = 50000
PATHS = {"relay": "kernel", "deliver": "delivered", "connect": "kernel"}      # of each gate


def answer_twice(connection):
    """Two bytes for each: what comes from where must not be mixed up."""
    with contextlib.suppress(OSError):
        while data := connection.recv(65536):
            connection.sendall(data * 2)


class TwiceServer(Server):
    def one(self, connection):
        with connection, contextlib.suppress(OSError):
            answer_twice(connection)
            connection.shutdown(socket.SHUT_WR)


class TwiceTls(TlsServer):
    def one(self, connection):
        with contextlib.suppress(OSError), self.context.wrap_socket(connection, server_side=True) as tls:
            answer_twice(tls)


class Told(Gate):
    def tlsgate(self, *argv):
        return subprocess.run([TLSGATE, "-S", path("control"), *argv], capture_output=True, text=True, timeout=DEADLINE)


class Three(Told):
    """A gate of each kind, with its server."""

    def __init__(self, servers):
        self.ports = {name: free_port() for name in PATHS}
        gates = ("gate %s { listen = '127.0.0.1:%d' backend = '%s' %s }" % (name, self.ports[name], servers[name].address, more)
                 for name, more in (("relay", "mode = serve cert = one.pem key = one.key data-path = kernel"),
                                    ("deliver", "mode = serve cert = one.pem key = one.key deliver = always"),
                                    ("connect", "mode = connect ca = ca.pem data-path = kernel")))
        write("three.conf", "control = '%s'\nmetrics = 'unix:%s'\nworkers = 1\n%s\n" %
              (path("control"), path("metrics.socket"), "\n".join(gates)))
        self.process = start("-c", "three.conf")
        self.ready(3)

    def use(self, name):
        """A connection through that gate, which has moved SIZE bytes there, and twice as many back."""
        self.port = self.ports[name]
        connection = self.connect_plain() if name == "connect" else self.connect()
        connection.sendall(bytes(SIZE))
        left = 2 * SIZE
        while left:
            data = connection.recv(65536)
            need(data, "%d bytes are missing" % left)
            left -= len(data)
        return connection

    def need_bytes(self, rounds):
        """Of each gate, by whoever carried them, is exactly what its connections moved."""
        for name in PATHS:
            for side, size in (("client", SIZE), ("backend", 2 * SIZE)):
                wait_until(lambda: total(metrics(self), "tlsgated_bytes_total", gate=name, **{"from": side}) == rounds * size,
                           "%s from the %s: %s" % (name, side, metrics(self)))


@contextlib.contextmanager
def three():
    with TwiceServer() as relay, TwiceServer() as deliver, TwiceTls() as connect:
        with Three({"relay": relay, "deliver": deliver, "connect": connect}) as gate:
            yield gate


def end(connections):
    for connection in connections:
        (connection.unwrap() if hasattr(connection, "unwrap") else connection).close()
    wait_until(lambda: not sessions(), "they end: %s" % sessions())


@test
def metrics_count_what_the_kernel_carries():
    with three() as gate:
        held = [gate.use(name) for name in PATHS]
        wait_until(lambda: len(sessions()) == 3, "three sessions: %s" % sessions())
        gate.need_bytes(1)
        now = metrics(gate)
        for name, where in PATHS.items():
            need(total(now, "tlsgated_connections_active", gate=name) ==
                 total(now, "tlsgated_connections_active", gate=name, path=where) == 1, "active: %s" % now)
            need(total(now, "tlsgated_bytes_total", gate=name, path=where) > 0, "by the kernel: %s" % now)
        need(total(now, "tlsgated_handovers_total", kind="relay") == 2 and
             total(now, "tlsgated_handovers_total", kind="delivery") == 1, "hand-overs: %s" % now)
        need(total(now, "tlsgate_module_loaded") == 1 and total(now, "tlsgated_gate_wants_kernel") == 3, "says %s" % now)
        opened, closed = (total(now, "tlsgate_module_sessions_%s_total" % what) for what in ("opened", "closed"))
        need(opened - closed == 3 and total(now, "tlsgate_module_received_bytes_total") > 0, "the module: %s" % now)
        before = total(now, "tlsgate_module_reasons_total")
        end(held)
        gate.need_bytes(1)
        now = metrics(gate)
        need(total(now, "tlsgated_connections_active") == 0, "none is active: %s" % now)
        need(total(now, "tlsgate_module_reasons_total") == before + 3, "reasons: %s" % now)
        need(total(now, "tlsgated_handovers_refused_total") == 0, "none was refused: %s" % now)


RCVBUF = "/proc/sys/net/core/rmem_max"


@contextlib.contextmanager
def small_buffers():
    """What asks for a greater one meanwhile gets room for an event or two."""
    with open(RCVBUF) as file:
        before = file.read()
    try:
        with open(RCVBUF, "w") as file:
            file.write("2304")
        yield
    finally:
        with open(RCVBUF, "w") as file:
            file.write(before)


def dropped():
    """Messages that netlink sockets had no room for."""
    with open("/proc/net/netlink") as file:
        return sum(int(line.split()[8]) for line in file.readlines()[1:])


def relayed(gate):
    return total(metrics(gate), "tlsgated_bytes_total", gate="relay", **{"from": "client"})


@test
def metrics_survive_lost_events():
    """Who was not listed in time is not counted, a total never goes back, and what follows is counted whole."""
    with small_buffers(), three() as gate:
        held = gate.use("relay")
        wait_until(lambda: relayed(gate) == SIZE, "one is counted: %s" % metrics(gate))
        lost = dropped()
        with stopped(gate.process.pid):
            end([held, *(gate.use("relay") for _ in range(5))])
        need(dropped() > lost, "events were lost")
        wait_until(lambda: total(metrics(gate), "tlsgated_connections_active", gate="relay") == 0, "none is open")
        after = relayed(gate)
        need(SIZE <= after <= 6 * SIZE, "counted %d bytes" % after)
        end([gate.use("relay")])
        wait_until(lambda: relayed(gate) == after + SIZE, "one more after %d: %d" % (after, relayed(gate)))


@test
def metrics_outlive_the_module():
    if not MODULE:
        raise Skip("TLSGATE_MODULE does not name the module's file")
    with three() as gate:
        end([gate.use(name) for name in PATHS])
        gate.need_bytes(1)
        text = open(path("three.conf")).read()
        write("three.conf", text.replace("deliver = always", "deliver = no"))      # its handles hold the module
        need(gate.tlsgate("reload").returncode == 0 and gate.tlsgate("pause").returncode == 0, "a pause")
        wait_until(lambda: not subprocess.run(["rmmod", "tlsgate"], capture_output=True).returncode, "rmmod")
        try:
            now = metrics(gate)
            need(total(now, "tlsgate_module_loaded") == 0 and total(now, "tlsgated_handovers_paused") == 1, "says %s" % now)
            need(not any(name.startswith("tlsgate_module_sessions") for name, _ in now), "no numbers of a module: %s" % now)
        finally:
            subprocess.run(["insmod", MODULE], check=True)
        need(gate.tlsgate("resume").returncode == 0, "resumed")
        need(total(metrics(gate), "tlsgate_module_loaded") == 1, "it is there again")
        end([gate.use(name) for name in PATHS])
        gate.need_bytes(2)


@test
def metrics_count_refusals_by_reason():
    with Backend().echo() as backend, Gate("serve", backend.address, CCM, path="user") as inner, \
            Told("connect", "localhost:%d" % inner.port, "--ca=ca.pem", CCM, "--control=" + path("control"), path="auto") as gate:
        with gate.connect_plain() as plain:
            echo(plain, bytes(300000))
            wait_until(lambda: total(metrics(gate), "tlsgated_handovers_refused_total") == 1, "a refusal: %s" % metrics(gate))
        now = metrics(gate)
        need(total(now, "tlsgated_handovers_refused_total", reason="suite") == 1, "its reason: %s" % now)
        need(total(now, "tlsgated_bytes_total", path="user", **{"from": "client"}) == 300000, "who carried it: %s" % now)
